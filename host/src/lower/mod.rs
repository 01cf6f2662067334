//! Network → Graph: what of a converted network a device has to compute.
//!
//! Bias nodes, relays and passthrough nodes are resolved into links between populations, and a bias
//! vector for each target; gain and amplitude are folded into them. Whatever is linear between two
//! populations becomes one set of weights and a map of the source before them: batch normalization and
//! scales go into the weights, as do linear layers; pooling, padding, upsampling, slices and orders of
//! elements go into the weights where they can, else into the map. Populations keep their channels
//! last, whatever the layer does. A softmax at an output is left out: it does not change the ranking.
//! What integers and events cannot express is refused here, with the layer's name and what can be done.

mod link;
mod path;
mod wiring;

use crate::network::{
    Effect, Ensemble, EnsembleId, Network, NeuronType, NodeId, NodeKind, Post, Pre, Synapse,
    TensorNode,
};
use crate::ops::{self, OpsError};
use crate::tensor::Tensor;

pub use link::{Convolution, Dense, LinearMap, SourceMap, Window};
use path::Path;
use wiring::Wiring;

/// A network as populations of integrate-and-fire neurons and links between them; still in floats.
#[derive(Clone, Debug)]
pub struct Graph {
    /// What the user feeds.
    pub inputs: Vec<Input>,
    /// The neurons, in topological order.
    pub populations: Vec<Population>,
    /// What the user reads.
    pub outputs: Vec<Output>,
    /// The synapses, sorted by source, inputs first.
    pub links: Vec<Link>,
}

impl Graph {
    /// The size of each input.
    #[must_use]
    pub fn input_sizes(&self) -> Vec<usize> {
        self.inputs.iter().map(Input::size).collect()
    }
}

/// An input.
#[derive(Clone, Debug)]
pub struct Input {
    /// The input node's label.
    pub label: String,
    /// Its shape without the batch axis.
    pub shape: Vec<usize>,
}

impl Input {
    /// How many values it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Rectified neurons: activation = max(0, Σ links + bias).
#[derive(Clone, Debug)]
pub struct Population {
    /// The ensemble's label.
    pub label: String,
    /// How many neurons.
    pub neurons: usize,
    /// Height, width and channels; neurons lie in this order.
    pub shape: [usize; 3],
    /// Neuron i belongs to channel i mod `channels`.
    pub channels: usize,
    /// The bias of each channel.
    pub bias: Vec<f32>,
}

/// A readout: value = Σ links + bias.
#[derive(Clone, Debug)]
pub struct Output {
    /// The probe's label.
    pub label: String,
    /// The bias of each value.
    pub bias: Vec<f32>,
    /// Whether a softmax after it was left out.
    pub dropped_softmax: bool,
}

/// A source of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Index into [`Graph::inputs`].
    Input(usize),
    /// Index into [`Graph::populations`].
    Population(usize),
}

/// A target of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Index into [`Graph::populations`].
    Population(usize),
    /// Index into [`Graph::outputs`].
    Output(usize),
}

/// Synapses from one source to one target.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it begins.
    pub pre: Source,
    /// Where it ends.
    pub post: Target,
    /// What the weights see of the source.
    pub source: SourceMap,
    /// The weights.
    pub map: LinearMap,
}

impl Link {
    /// Adds what `batch` sources in `x` bring to as many targets in `y`.
    ///
    /// # Errors
    /// Where the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        if self.source == SourceMap::Direct {
            return self.map.apply_batch(batch, x, y);
        }
        let (inputs, places) = (x.len() / batch.max(1), self.map.inputs());
        let mut seen = vec![0.0; batch * places];
        for (x, seen) in x.chunks(inputs.max(1)).zip(seen.chunks_mut(places.max(1))) {
            self.source.for_each(inputs, |from, to| seen[to] += x[from]);
        }
        self.map.apply_batch(batch, &seen, y)
    }
}

/// Why a network cannot be deployed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// Layers run as TensorNodes, which only a host can.
    #[error("{}", tensor_nodes(.0))]
    TensorNodes(Vec<Fallback>),
    /// Neurons of types that the engine does not have.
    #[error("{}", neuron_types(.0))]
    NeuronTypes(Vec<ForeignNeurons>),
    /// Neurons of types that the engine cannot run as they are.
    #[error("{}", stepwise_neurons(.0))]
    StepwiseNeurons(Vec<ForeignNeurons>),
    /// Something else that images cannot hold.
    #[error("layer {layer:?}: {what} cannot be deployed to a device; {advice}")]
    Unsupported {
        /// The object.
        layer: String,
        /// What it has.
        what: String,
        /// What can be done.
        advice: &'static str,
    },
    /// The graph has no input or no output.
    #[error("the network has no {what}: there is nothing to deploy")]
    Empty {
        /// `input`, or `output`.
        what: &'static str,
    },
    /// The network is inconsistent.
    #[error("layer {layer:?}: {source}")]
    Ops {
        /// The object.
        layer: String,
        /// What does not fit.
        source: OpsError,
    },
}

/// A layer that runs as a TensorNode, and what would make it native.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The node's label.
    pub layer: String,
    /// What it computes, such as `GRU` or `activation elu`.
    pub function: String,
    /// What would make it native.
    pub advice: String,
}

/// An ensemble whose neurons the engine does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignNeurons {
    /// The ensemble's label.
    pub layer: String,
    /// Their type, such as `Tanh`.
    pub neuron_type: String,
}

fn neuron_types(foreign: &[ForeignNeurons]) -> String {
    format!(
        "an image can hold RectifiedLinear and LeakyReLU neurons and their spiking kinds; {}: use \
         relu activations, or swap them (--swap-activation)",
        each_layer(foreign)
    )
}

fn stepwise_neurons(foreign: &[ForeignNeurons]) -> String {
    format!(
        "a faithful image can hold SpikingRectifiedLinear, SpikingLeakyReLU (with a slope of 0 to 1), \
         LIF and RegularSpiking(RectifiedLinear) neurons; {}: swap them (such as --swap-activation \
         relu=spiking-relu)",
        each_layer(foreign)
    )
}

fn each_layer(foreign: &[ForeignNeurons]) -> String {
    let each: Vec<String> = foreign
        .iter()
        .map(|f| format!("layer {:?} has {} neurons", f.layer, f.neuron_type))
        .collect();
    each.join(", ")
}

fn tensor_nodes(fallbacks: &[Fallback]) -> String {
    let each: Vec<String> = fallbacks
        .iter()
        .map(|f| format!("layer {:?} ({}): {}", f.layer, f.function, f.advice))
        .collect();
    format!(
        "an image cannot hold TensorNodes, which run on the host only; {}",
        each.join("; ")
    )
}

/// Resolves a network into populations and links.
///
/// # Errors
/// Where a part of the network cannot run on a device: the layer, and what can be done.
pub fn lower(network: &Network) -> Result<Graph, LowerError> {
    let resolver = Resolver {
        network,
        keep_synapses: false,
    };
    let resolved = resolver.resolve(&halves).map_err(|unfit| match unfit {
        Unfit::Neurons(foreign) => LowerError::NeuronTypes(foreign),
        Unfit::Other(error) => error,
    })?;
    Ok(resolved.graph)
}

/// A network whose neurons and synapses are to run step by step as Nengo's do.
#[derive(Clone, Debug)]
pub struct Stepwise {
    /// The populations, one for each ensemble, and their links. A link's weights bring the source's
    /// output to the target's current J, or to an output's value; a population's bias is a current.
    pub graph: Graph,
    /// The ensemble that each population stands for.
    pub ensembles: Vec<EnsembleId>,
    /// The filter on all that populations send to each population; `None` for none.
    pub populations: Vec<Option<Synapse>>,
    /// How each output sees what populations send to it.
    pub outputs: Vec<Readout>,
}

/// How an output sees what populations send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Readout {
    /// As it is.
    Direct,
    /// As the filter of a connection showed it at the end of the step before.
    Connection(Synapse),
    /// As the probe's filter shows it at the end of the step.
    Probe(Synapse),
}

/// Resolves a network into populations and links, without a change to its neurons and synapses.
///
/// # Errors
/// Where a part of the network cannot run on a device: the layer, and what can be done.
pub fn lower_stepwise(network: &Network) -> Result<Stepwise, LowerError> {
    let resolver = Resolver {
        network,
        keep_synapses: true,
    };
    let whole = |neuron_type: &NeuronType| {
        let part = Part {
            population: 0,
            suffix: "",
            gain: 1.0,
            factor: 1.0,
        };
        runs_stepwise(neuron_type).then(|| vec![part])
    };
    let resolved = resolver.resolve(&whole).map_err(|unfit| match unfit {
        Unfit::Neurons(foreign) => LowerError::StepwiseNeurons(foreign),
        Unfit::Other(error) => error,
    })?;
    let Lowered {
        graph,
        ensembles,
        synapses,
    } = resolved;
    // What the links from populations to a target have in common.
    let filter = |target: Target, label: &str| -> Result<Option<Synapse>, LowerError> {
        let links = graph.links.iter().zip(&synapses);
        let mut seen = links
            .filter(|(l, _)| l.post == target && matches!(l.pre, Source::Population(_)))
            .map(|(_, synapse)| *synapse);
        let first = seen.next().flatten();
        if seen.any(|other| other != first) {
            return Err(unsupported(
                label,
                "several different synapses into one layer",
                "give all connections into it the same",
            ));
        }
        Ok(first)
    };
    let populations = graph.populations.iter().enumerate();
    let populations = populations
        .map(|(at, p)| filter(Target::Population(at), &p.label))
        .collect::<Result<_, _>>()?;
    let outputs = (network.probes.iter().zip(&graph.outputs).enumerate())
        .map(|(at, (probe, output))| {
            let connection = filter(Target::Output(at), &output.label)?;
            let fed = graph
                .links
                .iter()
                .any(|l| l.post == Target::Output(at) && matches!(l.pre, Source::Input(_)));
            match (connection, probe.synapse) {
                (None, None) => Ok(Readout::Direct),
                (Some(synapse), None) => Ok(Readout::Connection(synapse)),
                // The probe would filter the bias and the input as well.
                (None, Some(synapse)) if !fed && output.bias.iter().all(|b| *b == 0.0) => {
                    Ok(Readout::Probe(synapse))
                }
                _ => Err(unsupported(
                    &output.label,
                    "a probe with a synapse on something else than neurons",
                    "probe it without one",
                )),
            }
        })
        .collect::<Result<_, LowerError>>()?;
    Ok(Stepwise {
        ensembles,
        populations,
        outputs,
        graph,
    })
}

/// Whether the engine has these neurons as they are.
fn runs_stepwise(neuron_type: &NeuronType) -> bool {
    match neuron_type {
        NeuronType::SpikingRectifiedLinear { .. } | NeuronType::Lif { .. } => true,
        NeuronType::SpikingLeakyRelu { negative_slope, .. } => (0.0..1.0).contains(negative_slope),
        NeuronType::RegularSpiking { base, .. } => {
            matches!(**base, NeuronType::RectifiedLinear { .. })
        }
        _ => false,
    }
}

/// What became of a network.
struct Lowered {
    graph: Graph,
    /// The ensemble of each population.
    ensembles: Vec<EnsembleId>,
    /// The synapse of each link.
    synapses: Vec<Option<Synapse>>,
}

/// Why nothing became of it.
enum Unfit {
    Neurons(Vec<ForeignNeurons>),
    Other(LowerError),
}

impl From<LowerError> for Unfit {
    fn from(error: LowerError) -> Self {
        Self::Other(error)
    }
}

impl Resolver<'_> {
    /// Resolves the network; `halves` says which populations stand for an ensemble.
    fn resolve(&self, halves: &dyn Fn(&NeuronType) -> Option<Vec<Part>>) -> Result<Lowered, Unfit> {
        let (resolver, network) = (self, self.network);
        resolver.refuse_tensor_nodes()?;
        let order = topological(network)?;
        // What stands for each ensemble's output.
        let mut parts: Vec<Vec<Part>> = vec![Vec::new(); network.ensembles.len()];
        let mut count = 0;
        let mut foreign = Vec::new();
        for id in &order {
            let ensemble = &network.ensembles[id.0];
            let uniform = ensemble.neuron_type.uniform();
            let Some(halves) = uniform.as_ref().and_then(halves) else {
                foreign.push(ForeignNeurons {
                    layer: ensemble.label.clone(),
                    neuron_type: match uniform {
                        Some(_) => ensemble.neuron_type.name().into(),
                        None => format!("{} (each its own)", ensemble.neuron_type.name()),
                    },
                });
                continue;
            };
            parts[id.0] = halves;
            for part in &mut parts[id.0] {
                part.population = count;
                count += 1;
            }
        }
        if !foreign.is_empty() {
            return Err(Unfit::Neurons(foreign));
        }

        let mut inputs = Vec::new();
        let mut input_of = vec![None; network.nodes.len()];
        for (at, node) in network.nodes.iter().enumerate() {
            if let NodeKind::Input { shape } = &node.kind {
                input_of[at] = Some(inputs.len());
                inputs.push(Input {
                    label: node.label.clone(),
                    shape: shape.clone(),
                });
            }
        }
        if inputs.is_empty() {
            return Err(LowerError::Empty { what: "input" }.into());
        }
        // The sources that an object's output is made of, each with its factor.
        let sources = |pre: Pre| -> Vec<(Source, f32)> {
            match pre {
                Pre::Node(n) => {
                    let input = input_of.get(n.0).copied().flatten();
                    input.map(|i| (Source::Input(i), 1.0)).into_iter().collect()
                }
                Pre::Neurons(e) => parts[e.0]
                    .iter()
                    .map(|part| (Source::Population(part.population), part.factor))
                    .collect(),
            }
        };
        let shape_of = |source: Source, populations: &[Population]| match source {
            Source::Input(i) => planes(&inputs[i].shape),
            Source::Population(p) => populations[p].shape,
        };
        let mut links: Vec<(Link, Option<Synapse>)> = Vec::new();
        let mut ensembles = Vec::new();
        let mut populations = Vec::new();
        for id in &order {
            let ensemble = &network.ensembles[id.0];
            let label = &ensemble.label;
            let resolved = resolver.sum_into(Post::Neurons(*id), ensemble.n_neurons)?;
            let own_bias = ensemble.bias.as_ref().map_or(&[][..], Tensor::data);
            let gain = (ensemble.gain.uniform()).ok_or_else(|| {
                unsupported(label, "a gain for each neuron", "put it into the weights")
            })?;
            let mut current: Vec<f32> = resolved.bias.iter().map(|b| b * gain).collect();
            for (c, own) in current.iter_mut().zip(own_bias) {
                *c += own;
            }
            let (shape, order) = device_order(ensemble);
            for part in &parts[id.0] {
                // amplitude · relu(gain · x + bias) = relu(amplitude · gain · x + amplitude · bias)
                let bias: Vec<f32> = order
                    .rows()
                    .iter()
                    .map(|row| current[row[0].0 as usize] * part.gain)
                    .collect();
                for Term { pre, path, synapse } in &resolved.terms {
                    for (pre, factor) in sources(*pre) {
                        let order = order.scaled(gain * part.gain * factor);
                        let from = shape_of(pre, &populations);
                        let (source, map) = link::finish(path.clone().then(&order), from, shape)
                            .map_err(|what| unsupported(label, what, COMPOSITION))?;
                        let link = Link {
                            pre,
                            post: Target::Population(part.population),
                            source,
                            map,
                        };
                        links.push((link, *synapse));
                    }
                }
                let channels = if is_periodic(&bias, shape[2]) {
                    shape[2]
                } else {
                    ensemble.n_neurons
                };
                ensembles.push(*id);
                populations.push(Population {
                    label: format!("{label}{}", part.suffix),
                    neurons: ensemble.n_neurons,
                    shape,
                    channels,
                    bias: bias[..channels].to_vec(),
                });
            }
        }

        let mut outputs = Vec::new();
        for probe in &network.probes {
            let (resolved, dropped_softmax) = resolver.output(probe.target)?;
            let at = outputs.len();
            let size = resolved.bias.len();
            for Term { pre, path, synapse } in &resolved.terms {
                for (pre, factor) in sources(*pre) {
                    let path = path.clone().then(&Wiring::identity(size).scaled(factor));
                    let from = shape_of(pre, &populations);
                    let (source, map) = link::finish(path, from, [1, 1, size])
                        .map_err(|what| unsupported(&probe.label, what, COMPOSITION))?;
                    let link = Link {
                        pre,
                        post: Target::Output(at),
                        source,
                        map,
                    };
                    links.push((link, *synapse));
                }
            }
            outputs.push(Output {
                label: probe.label.clone(),
                bias: resolved.bias,
                dropped_softmax,
            });
        }
        if outputs.is_empty() {
            return Err(LowerError::Empty { what: "output" }.into());
        }
        links.sort_by_key(|(l, _)| l.pre);
        let (links, synapses) = links.into_iter().unzip();
        Ok(Lowered {
            graph: Graph {
                inputs,
                populations,
                outputs,
                links,
            },
            ensembles,
            synapses,
        })
    }
}

const COMPOSITION: &str =
    "an activation (such as relu) between the two layers makes each a layer of its own";

fn unsupported(layer: &str, what: impl Into<String>, advice: &'static str) -> LowerError {
    LowerError::Unsupported {
        layer: layer.into(),
        what: what.into(),
        advice,
    }
}

/// Whether the values repeat, but for the rounding of sums.
fn is_periodic(values: &[f32], period: usize) -> bool {
    let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    values
        .iter()
        .enumerate()
        .all(|(at, v)| (v - values[at % period]).abs() <= largest * 1e-6)
}

/// A shape as height, width and channels.
fn planes(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [] => [1, 1, 1],
        [channels] => [1, 1, channels],
        [width, channels] => [1, width, channels],
        [height, width, channels] => [height, width, channels],
        [ref places @ .., channels] => [1, places.iter().product(), channels],
    }
}

/// For each of an ensemble's neurons in the order in which a device holds them, its place in Keras's order.
pub(crate) fn device_places(ensemble: &Ensemble) -> Vec<usize> {
    let (_, order) = device_order(ensemble);
    let rows = order.rows().iter();
    rows.map(|row| row.first().map_or(0, |at| at.0 as usize))
        .collect()
}

/// The shape in which a device holds an ensemble's neurons, and how they get there from Keras's order.
fn device_order(ensemble: &Ensemble) -> ([usize; 3], Wiring) {
    let n = ensemble.n_neurons;
    let shape = &ensemble.shape;
    if shape.iter().product::<usize>() != n {
        return ([1, 1, n], Wiring::identity(n));
    }
    match shape.split_first() {
        Some((&channels, places)) if !ensemble.channels_last && !places.is_empty() => {
            let last = [places, &[channels]].concat();
            let order = Wiring::channels_last(places.iter().product(), channels);
            (planes(&last), order)
        }
        _ => (planes(shape), Wiring::identity(n)),
    }
}

/// A population that stands for an ensemble, or for a half of one.
#[derive(Clone)]
struct Part {
    /// Index into [`Graph::populations`].
    population: usize,
    /// What is added to the ensemble's label.
    suffix: &'static str,
    /// The current is multiplied by this: by the amplitude, and by -1 for the half below zero.
    gain: f32,
    /// The ensemble's output has this much of the population's activation.
    factor: f32,
}

/// The rectified populations that an ensemble is made of. A leaky rectifier is the difference of two:
/// max(J, 0) - slope max(-J, 0).
fn halves(neuron_type: &NeuronType) -> Option<Vec<Part>> {
    let half = |suffix, gain, factor| Part {
        population: 0,
        suffix,
        gain,
        factor,
    };
    Some(match *neuron_type {
        NeuronType::RectifiedLinear { amplitude }
        | NeuronType::SpikingRectifiedLinear { amplitude } => vec![half("", amplitude, 1.0)],
        NeuronType::LeakyRelu {
            negative_slope,
            amplitude,
        }
        | NeuronType::SpikingLeakyRelu {
            negative_slope,
            amplitude,
        } => vec![
            half(".positive", amplitude, 1.0),
            half(".negative", -amplitude, -negative_slope),
        ],
        NeuronType::RegularSpiking {
            ref base,
            amplitude,
        } => {
            let mut parts = halves(base)?;
            for part in &mut parts {
                part.gain *= amplitude;
            }
            parts
        }
        _ => return None,
    })
}

/// What reaches an object: Σ transform · source + bias.
#[derive(Clone)]
struct Resolved {
    terms: Vec<Term>,
    bias: Vec<f32>,
}

/// One way from a source to an object.
#[derive(Clone)]
struct Term {
    pre: Pre,
    path: Path,
    /// The only filter on the way.
    synapse: Option<Synapse>,
}

impl Resolved {
    /// The source itself.
    fn source(pre: Pre, path: Wiring) -> Self {
        Self {
            bias: vec![0.0; path.outputs()],
            terms: vec![Term {
                pre,
                path: Path::of(path),
                synapse: None,
            }],
        }
    }
}

struct Resolver<'a> {
    network: &'a Network,
    /// Whether connections may have synapses.
    keep_synapses: bool,
}

impl Resolver<'_> {
    /// Refuses all TensorNodes at once, but for those that pass values on and a softmax that only a probe
    /// reads.
    fn refuse_tensor_nodes(&self) -> Result<(), LowerError> {
        let network = self.network;
        let last = |id: NodeId| {
            network.connections.iter().all(|c| c.pre != Pre::Node(id))
                && network.probes.iter().any(|p| p.target == Pre::Node(id))
        };
        let found: Vec<Fallback> = (0..)
            .map(NodeId)
            .zip(&network.nodes)
            .filter_map(|(id, node)| match &node.kind {
                NodeKind::Tensor(t) if !(is_identity(t) || is_softmax(t) && last(id)) => {
                    Some(fallback(&node.label, t))
                }
                _ => None,
            })
            .collect();
        if found.is_empty() {
            Ok(())
        } else {
            Err(LowerError::TensorNodes(found))
        }
    }

    /// What all connections bring to an object of `size`.
    fn sum_into(&self, post: Post, size: usize) -> Result<Resolved, LowerError> {
        let mut sum = Resolved {
            terms: Vec::new(),
            bias: vec![0.0; size],
        };
        for c in self.network.connections.iter().filter(|c| c.post == post) {
            let label = self.label(post);
            if c.synapse.is_some() && !self.keep_synapses {
                return Err(unsupported(
                    label,
                    "a synapse with a filter",
                    "convert without one (--synapse none), or with --faithful",
                ));
            }
            let from = self.output_of(c.pre)?;
            if c.synapse.is_some() {
                self.check_filter(&from, label)?;
            }
            let places = |slice: &[usize]| slice.to_vec();
            let pre_slice = c.pre_slice.as_deref().map(places);
            let post_slice = c.post_slice.as_deref().map(places);
            if from.bias.iter().any(|&b| b != 0.0) {
                let seen: Vec<f32> = match &pre_slice {
                    Some(places) => places.iter().map(|&at| from.bias[at]).collect(),
                    None => from.bias.clone(),
                };
                let outputs = c.transform.size_out();
                let through = ops_at(label, |y| ops::apply(&c.transform, &seen, y), outputs)?;
                for (i, b) in through.iter().enumerate() {
                    let at = post_slice.as_ref().map_or(i, |places| places[i]);
                    sum.bias[at] += b;
                }
            }
            let before = pre_slice.map(|places| Wiring::gather(from.bias.len(), places));
            let after = post_slice.map(|places| Wiring::spread(size, &places));
            for Term { pre, path, synapse } in from.terms {
                let path = match &before {
                    Some(wiring) => path.then(wiring),
                    None => path,
                };
                let path = path
                    .then_transform(&c.transform)
                    .map_err(|what| unsupported(label, what, COMPOSITION))?;
                let path = match &after {
                    Some(wiring) => path.then(wiring),
                    None => path,
                };
                let synapse = c.synapse.or(synapse);
                sum.terms.push(Term { pre, path, synapse });
            }
        }
        Ok(sum)
    }

    /// Refuses a filter on what it would have to be told apart from: another filter, a bias, an input.
    fn check_filter(&self, from: &Resolved, label: &str) -> Result<(), LowerError> {
        let input = |term: &Term| matches!(term.pre, Pre::Node(_));
        if from.bias.iter().any(|&b| b != 0.0) || from.terms.iter().any(input) {
            return Err(unsupported(
                label,
                "a synapse on something else than neurons",
                "put synapses on what neurons send",
            ));
        }
        if from.terms.iter().any(|term| term.synapse.is_some()) {
            return Err(unsupported(
                label,
                "a synapse behind another one",
                "keep one of them",
            ));
        }
        Ok(())
    }

    /// What an object hands on, in terms of inputs and neurons.
    fn output_of(&self, pre: Pre) -> Result<Resolved, LowerError> {
        let node = match pre {
            Pre::Neurons(e) => {
                let (_, order) = device_order(&self.network.ensembles[e.0]);
                return Ok(Resolved::source(pre, order.inverse()));
            }
            Pre::Node(n) => n,
        };
        let NodeId(at) = node;
        let object = &self.network.nodes[at];
        match &object.kind {
            NodeKind::Input { .. } => Ok(Resolved::source(pre, Wiring::identity(object.size_out))),
            NodeKind::Constant(value) => Ok(Resolved {
                terms: Vec::new(),
                bias: value.data().to_vec(),
            }),
            NodeKind::Passthrough => self.sum_into(Post::Node(node), object.size_in),
            NodeKind::Tensor(t) if is_identity(t) => {
                self.sum_into(Post::Node(node), object.size_in)
            }
            NodeKind::Tensor(t) => Err(LowerError::TensorNodes(vec![fallback(&object.label, t)])),
        }
    }

    /// What a probe sees, and whether a softmax before it was left out.
    fn output(&self, target: Pre) -> Result<(Resolved, bool), LowerError> {
        if let Pre::Node(n) = target {
            let node = &self.network.nodes[n.0];
            if let NodeKind::Tensor(t) = &node.kind
                && is_softmax(t)
            {
                return Ok((self.sum_into(Post::Node(n), node.size_in)?, true));
            }
        }
        Ok((self.output_of(target)?, false))
    }

    fn label(&self, post: Post) -> &str {
        match post {
            Post::Node(n) => &self.network.nodes[n.0].label,
            Post::Neurons(e) => &self.network.ensembles[e.0].label,
        }
    }
}

/// A function that passes its values on, such as a layer that only does something in training.
fn is_identity(t: &TensorNode) -> bool {
    t.func.effect() == Effect::Identity
}

/// A softmax along the only axis, which keeps the ranking.
fn is_softmax(t: &TensorNode) -> bool {
    t.func.effect() == Effect::Softmax && t.shape_in.len() == 1
}

fn fallback(label: &str, t: &TensorNode) -> Fallback {
    Fallback {
        layer: label.into(),
        function: t.func.name(),
        advice: t.func.advice(),
    }
}

fn ops_at(
    layer: &str,
    f: impl FnOnce(&mut [f32]) -> Result<(), OpsError>,
    size: usize,
) -> Result<Vec<f32>, LowerError> {
    let mut y = vec![0.0; size];
    f(&mut y).map_err(|source| LowerError::Ops {
        layer: layer.into(),
        source,
    })?;
    Ok(y)
}

/// Ensembles in an order in which every connection leads forward.
fn topological(network: &Network) -> Result<Vec<EnsembleId>, LowerError> {
    /// The ensembles that reach an object through nodes alone.
    fn sources(network: &Network, post: Post, depth: usize, found: &mut Vec<usize>) {
        if depth == 0 {
            return;
        }
        for c in network.connections.iter().filter(|c| c.post == post) {
            match c.pre {
                Pre::Neurons(e) => found.push(e.0),
                Pre::Node(n) => sources(network, Post::Node(n), depth - 1, found),
            }
        }
    }
    let n = network.ensembles.len();
    let depth = network.nodes.len() + 1;
    let waits: Vec<Vec<usize>> = (0..n)
        .map(|at| {
            let mut found = Vec::new();
            sources(network, Post::Neurons(EnsembleId(at)), depth, &mut found);
            found
        })
        .collect();
    let mut order: Vec<EnsembleId> = Vec::with_capacity(n);
    let mut placed = vec![false; n];
    while order.len() < n {
        let ready = (0..n).find(|&at| !placed[at] && waits[at].iter().all(|&w| placed[w]));
        let Some(at) = ready else {
            let stuck = (0..n).find(|&at| !placed[at]).unwrap_or(0);
            return Err(unsupported(
                &network.ensembles[stuck].label,
                "a loop of connections",
                "unroll it",
            ));
        };
        placed[at] = true;
        order.push(EnsembleId(at));
    }
    Ok(order)
}
