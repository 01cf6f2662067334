//! Network → Graph: what of a converted network a device has to compute.
//!
//! Bias nodes, relays and passthrough nodes are resolved into links between populations, and a bias
//! vector for each target; gains are folded into them. Neurons and synapses stay as they are. Whatever
//! is linear between two populations becomes one set of weights and a map of the source before them:
//! batch normalization and scales go into the weights, as do linear layers; pooling, padding,
//! upsampling, slices and orders of elements go into the weights if possible, else into the map.
//! Populations keep their channels last, whatever the layer does. A softmax, a sigmoid or a tanh at an
//! output is left out: it does not change the ranking. What no image can hold is refused, with the layer's
//! name and a remedy.
//!
//! Each node is resolved once, in topological order. What reaches it from one source over several ways is
//! added up: equal ways at once, links of one target as far as their sum is no larger.

mod apart;
mod curves;
mod device;
mod error;
mod link;
mod order;
mod path;
mod pieces;
mod pooling;
mod resolve;
mod rewire;
mod tensor_nodes;
mod wiring;

use crate::graph::{
    Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source, SourceMap, Target,
};
use crate::network::{Ensemble, Network, NodeId, NodeKind, Post, Pre};
use crate::simulate::{InitialVoltage, SimulateError, initial_voltages};
use crate::tensor::Tensor;
use device::{device_order, planes};
use error::unsupported;
use resolve::{Refused, Resolved, Resolver, Term};
use wiring::Wiring;

pub use apart::lower_apart;
pub use curves::{Curve, curves};
pub use error::{Fallback, ForeignNeurons, LowerError};

/// Resolves a network into populations and links, with its own neurons and synapses.
///
/// # Errors
/// [`LowerError`], if no image can hold a part of the network: the layer, and what can be done.
pub fn lower(network: &Network) -> Result<Graph, LowerError> {
    attempt(network, false).map_err(|refused| refused.error)
}

/// Resolves a network as [`lower`] does. `apart` asks for linear layers that are to be populations.
fn attempt(network: &Network, apart: bool) -> Result<Graph, Refused> {
    tensor_nodes::refuse(network)?;
    let inputs = inputs(network);
    if inputs.is_empty() {
        return Err(LowerError::Empty { what: "input" }.into());
    }
    if network.probes.is_empty() {
        return Err(LowerError::Empty { what: "output" }.into());
    }
    let mut resolver = Resolver::new(network, apart);
    let mut order = order::topological(network)?;
    order.retain(|source| match source {
        Pre::Neurons(id) => tensor_nodes::ensemble_head(network, *id).is_none(),
        Pre::Node(_) => true,
    });
    let mut work = Work::new(network, &inputs, &order);
    let mut populations = Vec::with_capacity(order.len());
    for (at, &source) in order.iter().enumerate() {
        let id = match source {
            Pre::Neurons(id) => id,
            Pre::Node(node) => {
                let (population, pre, source) = pooling::pooled(network, node, &mut resolver)?;
                work.count(&pre, source, &population, at);
                populations.push(population);
                continue;
            }
        };
        let ensemble = &network.ensembles[id.0];
        let resolved = resolver.sum_into(Post::Neurons(id))?;
        let (shape, order) = device_order(ensemble);
        let places: Vec<usize> = order.rows().map(|row| row[0].0 as usize).collect();
        let own_bias = ensemble.bias.as_ref().map_or(&[][..], Tensor::data);
        let gain = |neuron: usize| ensemble.gain.at(neuron);
        let biases = resolved.bias.iter().enumerate();
        let mut current: Vec<f32> = biases.map(|(at, b)| b * gain(at)).collect();
        for (c, own) in current.iter_mut().zip(own_bias) {
            *c += own;
        }
        let bias: Vec<f32> = places.iter().map(|&at| current[at]).collect();
        let delayed_bias: Vec<f32> = (places.iter())
            .map(|&at| resolved.delayed_bias[at] * gain(at))
            .collect();
        let delays = delayed_bias.iter().any(|b| *b != 0.0);
        if delays && ensemble.neuron_type.rule().is_none() {
            return Err(delayed_bias_refused(&ensemble.label).into());
        }
        let to = Arrival {
            post: Target::Population(at),
            label: &ensemble.label,
            shape,
            order: order.scaled(gain),
        };
        work.link(&resolved, &to)?;
        let periodic = |values: &[f32]| is_periodic(values, shape[2]);
        let channels = if periodic(&bias) && periodic(&delayed_bias) {
            shape[2]
        } else {
            ensemble.n_neurons
        };
        populations.push(Population {
            label: ensemble.label.clone(),
            neurons: ensemble.n_neurons,
            shape,
            channels,
            bias: bias[..channels].to_vec(),
            delayed_bias: if delays {
                delayed_bias[..channels].to_vec()
            } else {
                Vec::new()
            },
            neuron: Neuron::Own {
                neuron_type: ensemble.neuron_type.map(&mut |p| p.ordered(&places)),
                voltage: Vec::new(),
            },
            ceiling: None,
            ensemble: Some(id),
        });
    }
    let mut outputs = Vec::with_capacity(network.probes.len());
    for (at, probe) in network.probes.iter().enumerate() {
        let (resolved, left_out) = resolver.output(probe.target)?;
        let size = resolved.bias.len();
        if resolved.delayed_bias.iter().any(|b| *b != 0.0) {
            return Err(delayed_bias_refused(&probe.label).into());
        }
        let to = Arrival {
            post: Target::Output(at),
            label: &probe.label,
            shape: [1, 1, size],
            order: Wiring::identity(size),
        };
        work.link(&resolved, &to)?;
        outputs.push(Output {
            label: probe.label.clone(),
            bias: resolved.bias.clone(),
            readout: Readout::Shown {
                synapse: probe.synapse,
            },
            left_out,
        });
    }
    let mut links = work.links;
    links.sort_by_key(|l| l.pre);
    Ok(Graph {
        inputs,
        populations,
        outputs,
        links,
    })
}

fn delayed_bias_refused(label: &str) -> LowerError {
    unsupported(
        label,
        "a delay of a bias into it",
        "add the bias behind the delay",
    )
}

/// Gives the neurons of a graph the first voltages that a simulation would give those of its network.
///
/// # Errors
/// [`SimulateError`], if the voltages do not fit the network.
pub fn first_voltages(
    network: &Network,
    wanted: &InitialVoltage,
    graph: &mut Graph,
) -> Result<(), SimulateError> {
    let voltages = initial_voltages(network, wanted)?;
    for population in &mut graph.populations {
        let ensemble = population.ensemble.filter(|id| id.0 < voltages.len());
        let (Neuron::Own { voltage, .. }, Some(id)) = (&mut population.neuron, ensemble) else {
            continue;
        };
        let (_, order) = device_order(&network.ensembles[id.0]);
        let given = &voltages[id.0];
        let in_order = order
            .rows()
            .map(|row| given.get(row[0].0 as usize).copied());
        *voltage = in_order.map(|v| v.unwrap_or(0.0)).collect();
    }
    Ok(())
}

/// The place in an ensemble of each neuron of its population.
pub(crate) fn device_places(ensemble: &Ensemble) -> Vec<usize> {
    let (_, order) = device_order(ensemble);
    order.rows().map(|row| row[0].0 as usize).collect()
}

/// The inputs of a network.
fn inputs(network: &Network) -> Vec<Input> {
    let nodes = network.nodes.iter();
    nodes
        .filter_map(|node| match &node.kind {
            NodeKind::Input { shape } => Some(Input {
                label: node.label.clone(),
                shape: shape.clone(),
            }),
            _ => None,
        })
        .collect()
}

/// The links so far, and what their ends look like.
struct Work {
    links: Vec<Link>,
    /// The input or the population that each node is, if it is one.
    nodes: Vec<Source>,
    /// The population of each ensemble.
    population_of: Vec<usize>,
    /// The shape of each input, and of each population.
    shapes: [Vec<[usize; 3]>; 2],
}

/// A target of links: its shape, and how its values get from the network's order into the graph's.
struct Arrival<'a> {
    post: Target,
    label: &'a str,
    shape: [usize; 3],
    order: Wiring,
}

impl Work {
    fn new(network: &Network, inputs: &[Input], order: &[Pre]) -> Self {
        let mut count = 0;
        let nodes = network.nodes.iter().map(|node| {
            let at = count;
            count += usize::from(matches!(node.kind, NodeKind::Input { .. }));
            Source::Input(at)
        });
        let mut work = Self {
            links: Vec::new(),
            nodes: nodes.collect(),
            population_of: vec![0; network.ensembles.len()],
            shapes: [
                inputs.iter().map(|i| planes(&i.shape)).collect(),
                Vec::with_capacity(order.len()),
            ],
        };
        for (at, source) in order.iter().enumerate() {
            let shape = match *source {
                Pre::Neurons(id) => {
                    work.population_of[id.0] = at;
                    device_order(&network.ensembles[id.0]).0
                }
                Pre::Node(n) => {
                    work.nodes[n.0] = Source::Population(at);
                    match &network.nodes[n.0].kind {
                        NodeKind::Max(pool) => pool.shape(),
                        _ => planes(&[network.nodes[n.0].size_out]),
                    }
                }
            };
            work.shapes[1].push(shape);
        }
        work
    }

    fn source(&self, pre: Pre) -> Source {
        match pre {
            Pre::Node(NodeId(n)) => self.nodes[n],
            Pre::Neurons(e) => Source::Population(self.population_of[e.0]),
        }
    }

    /// Adds the link over which a population's places count.
    fn count(&mut self, pre: &Pre, source: SourceMap, population: &Population, at: usize) {
        self.links.push(Link {
            pre: self.source(*pre),
            post: Target::Population(at),
            source,
            map: LinearMap::counting(population.size_in()),
            synapse: None,
        });
    }

    fn shape(&self, source: Source) -> [usize; 3] {
        match source {
            Source::Input(i) => self.shapes[0][i],
            Source::Population(p) => self.shapes[1][p],
        }
    }

    /// Adds the links that bring all terms to a target.
    fn link(&mut self, resolved: &Resolved, to: &Arrival<'_>) -> Result<(), Refused> {
        let refused = |what: String| {
            let advice = link::advice(&what);
            unsupported(to.label, what, advice)
        };
        let mut links = Vec::with_capacity(resolved.terms.len());
        for term in &resolved.terms {
            let Term {
                pre, path, synapse, ..
            } = term;
            let pre = self.source(*pre);
            let made = (path.then(&to.order))
                .and_then(|path| link::finish(path, self.shape(pre), to.shape));
            let (source, map) = made.map_err(|what| Refused {
                error: refused(what),
                cut: term.sum.or(term.product),
            })?;
            links.push(Link {
                pre,
                post: to.post,
                source,
                map,
                synapse: *synapse,
            });
        }
        let size = |shape: [usize; 3]| shape.iter().product();
        let links = link::combined(links, |l| [size(self.shape(l.pre)), size(to.shape)]);
        self.links.extend(links);
        Ok(())
    }
}

/// Tells whether the values repeat, except for the rounding of sums.
fn is_periodic(values: &[f32], period: usize) -> bool {
    let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    values
        .iter()
        .enumerate()
        .all(|(at, v)| (v - values[at % period]).abs() <= largest * 1e-6)
}
