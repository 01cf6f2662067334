//! Network → Graph: what of a converted network a device has to compute.
//!
//! Bias nodes, relays and passthrough nodes are resolved into links between populations, each with one
//! transform, and a bias vector for each target; gain and amplitude are folded into them. A softmax at
//! an output is left out: it does not change the ranking. What integers and events cannot express is
//! refused here, with the layer's name and what can be done.

use crate::model::{Activation, LayerConfig, Penalties};
use crate::network::{
    Convolution, Diagonal, EnsembleId, Network, NeuronType, NodeId, NodeKind, Post, Pre,
    TensorFunc, TensorNode, Transform,
};
use crate::ops::{self, OpsError};
use crate::tensor::Tensor;

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
    /// The weights.
    pub map: LinearMap,
}

/// The weights of a link.
#[derive(Clone, Debug)]
pub enum LinearMap {
    /// A full matrix `[outputs, inputs]`.
    Dense(Tensor),
    /// A convolution over one or two axes, channels last, without dilation or groups.
    Convolution(Convolution),
}

impl LinearMap {
    /// How many weights it has.
    #[must_use]
    pub fn weights(&self) -> usize {
        match self {
            Self::Dense(w) => w.data().len(),
            Self::Convolution(c) => c.kernel.data().len(),
        }
    }

    /// y += W x.
    ///
    /// # Errors
    /// Where the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        match self {
            Self::Dense(w) => ops::dense(w, batch, x, y),
            Self::Convolution(c) => {
                ops::ConvPlan::new(c)?.apply_batch(c.kernel.data(), batch, x, y)
            }
        }
    }
}

/// Why a network cannot be deployed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// Layers run as TensorNodes, which only a host can.
    #[error("{}", tensor_nodes(.0))]
    TensorNodes(Vec<Fallback>),
    /// Neurons of a type that the engine does not have.
    #[error(
        "layer {layer:?} has {neuron_type} neurons: a device image can hold RectifiedLinear and \
         SpikingRectifiedLinear ones; use a relu activation, or swap it (--swap-activation)"
    )]
    NeuronType {
        /// The ensemble.
        layer: String,
        /// Its type.
        neuron_type: String,
    },
    /// Something else that images cannot hold yet.
    #[error("layer {layer:?}: {what} cannot be deployed to a device")]
    Unsupported {
        /// The object.
        layer: String,
        /// What it has.
        what: String,
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
    let resolver = Resolver { network };
    resolver.refuse_tensor_nodes()?;
    let order = topological(network)?;
    let mut rank = vec![0; network.ensembles.len()];
    for (at, id) in order.iter().enumerate() {
        rank[id.0] = at;
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
        return Err(LowerError::Empty { what: "input" });
    }
    let source = |pre: Pre| match pre {
        Pre::Node(n) => input_of.get(n.0).copied().flatten().map(Source::Input),
        Pre::Neurons(e) => rank.get(e.0).map(|&at| Source::Population(at)),
    };

    let mut links = Vec::new();
    let mut populations = Vec::new();
    for (at, id) in order.iter().enumerate() {
        let ensemble = &network.ensembles[id.0];
        let amplitude = amplitude(&ensemble.label, &ensemble.neuron_type)?;
        let resolved = resolver.sum_into(Post::Neurons(*id), ensemble.n_neurons)?;
        // amplitude · relu(gain · x + bias) = relu(amplitude · gain · x + amplitude · bias)
        let gain = ensemble.gain * amplitude;
        let own_bias = ensemble.bias.as_ref().map_or(&[][..], Tensor::data);
        let mut bias: Vec<f32> = resolved.bias.iter().map(|b| b * gain).collect();
        for (b, own) in bias.iter_mut().zip(own_bias) {
            *b += own * amplitude;
        }
        let mut channels = ensemble.n_neurons;
        for (pre, transform) in resolved.terms {
            let map = linear_map(&ensemble.label, &transform, gain)?;
            if let LinearMap::Convolution(c) = &map {
                channels = c.output_shape.last().copied().unwrap_or(channels);
            }
            links.push(Link {
                pre: source(pre).ok_or_else(|| unsupported(&ensemble.label, "its source"))?,
                post: Target::Population(at),
                map,
            });
        }
        if !is_periodic(&bias, channels) {
            channels = ensemble.n_neurons;
        }
        bias.truncate(channels);
        populations.push(Population {
            label: ensemble.label.clone(),
            neurons: ensemble.n_neurons,
            channels,
            bias,
        });
    }

    let mut outputs = Vec::new();
    for probe in &network.probes {
        let (resolved, dropped_softmax) = resolver.output(probe.target)?;
        let at = outputs.len();
        for (pre, transform) in resolved.terms {
            links.push(Link {
                pre: source(pre).ok_or_else(|| unsupported(&probe.label, "its source"))?,
                post: Target::Output(at),
                map: linear_map(&probe.label, &transform, 1.0)?,
            });
        }
        outputs.push(Output {
            label: probe.label.clone(),
            bias: resolved.bias,
            dropped_softmax,
        });
    }
    if outputs.is_empty() {
        return Err(LowerError::Empty { what: "output" });
    }
    links.sort_by_key(|l| l.pre);
    Ok(Graph {
        inputs,
        populations,
        outputs,
        links,
    })
}

fn unsupported(layer: &str, what: impl Into<String>) -> LowerError {
    LowerError::Unsupported {
        layer: layer.into(),
        what: what.into(),
    }
}

fn is_periodic(values: &[f32], period: usize) -> bool {
    values.iter().skip(period).zip(values).all(|(a, b)| a == b)
}

fn amplitude(layer: &str, neuron_type: &NeuronType) -> Result<f32, LowerError> {
    match neuron_type {
        NeuronType::RectifiedLinear { amplitude }
        | NeuronType::SpikingRectifiedLinear { amplitude } => Ok(*amplitude),
        other => {
            let debug = format!("{other:?}");
            Err(LowerError::NeuronType {
                layer: layer.into(),
                neuron_type: debug.split([' ', '{']).next().unwrap_or("").into(),
            })
        }
    }
}

/// What reaches an object: Σ transform · source + bias.
#[derive(Clone)]
struct Resolved {
    terms: Vec<(Pre, Transform)>,
    bias: Vec<f32>,
}

struct Resolver<'a> {
    network: &'a Network,
}

impl Resolver<'_> {
    /// Refuses all TensorNodes at once, but for a softmax that only a probe reads.
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
                NodeKind::Tensor(t) if !(is_softmax(t) && last(id)) => {
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
            if c.synapse.is_some() {
                return Err(unsupported(label, "a synapse with a filter"));
            }
            if c.pre_slice.is_some() || c.post_slice.is_some() {
                return Err(unsupported(label, "a connection to a part of a layer"));
            }
            let from = self.output_of(c.pre)?;
            if from.bias.iter().any(|&b| b != 0.0) {
                let through = ops_at(label, |y| ops::apply(&c.transform, &from.bias, y), size)?;
                for (b, t) in sum.bias.iter_mut().zip(through) {
                    *b += t;
                }
            }
            for (pre, inner) in &from.terms {
                sum.terms.push((*pre, compose(label, &c.transform, inner)?));
            }
        }
        Ok(sum)
    }

    /// What an object hands on, in terms of inputs and neurons.
    fn output_of(&self, pre: Pre) -> Result<Resolved, LowerError> {
        let node = match pre {
            Pre::Neurons(e) => {
                let n = self.network.ensembles[e.0].n_neurons;
                return Ok(Resolved {
                    terms: vec![(pre, Transform::Identity(n))],
                    bias: vec![0.0; n],
                });
            }
            Pre::Node(n) => n,
        };
        let NodeId(at) = node;
        let object = &self.network.nodes[at];
        match &object.kind {
            NodeKind::Input { .. } => Ok(Resolved {
                terms: vec![(pre, Transform::Identity(object.size_out))],
                bias: vec![0.0; object.size_out],
            }),
            NodeKind::Constant(value) => Ok(Resolved {
                terms: Vec::new(),
                bias: value.data().to_vec(),
            }),
            NodeKind::Passthrough => self.sum_into(Post::Node(node), object.size_in),
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

/// A softmax along the only axis, which keeps the ranking.
fn is_softmax(t: &TensorNode) -> bool {
    let softmax = match &t.func {
        TensorFunc::Activation(a) => *a == Activation::Softmax,
        TensorFunc::Layer(layer) => {
            matches!(&layer.config, LayerConfig::Softmax { .. })
                || matches!(
                    &layer.config,
                    LayerConfig::Activation {
                        activation: Activation::Softmax
                    }
                )
        }
    };
    softmax && t.shape_in.len() == 1
}

fn fallback(label: &str, t: &TensorNode) -> Fallback {
    const SWAP: &str = "use a relu activation, or swap it (--swap-activation)";
    let (function, advice) = match &t.func {
        TensorFunc::Activation(a) => (format!("activation {a}"), SWAP.to_owned()),
        TensorFunc::Layer(layer) => {
            let penalties = match &layer.config {
                LayerConfig::Conv(c) => Some(&c.penalties),
                LayerConfig::Dense { penalties, .. } => Some(penalties),
                _ => None,
            };
            let advice = match (&layer.config, penalties.and_then(training_argument)) {
                (_, Some(argument)) => format!(
                    "its {argument} only matters in training, convert with --inference-only to make it native"
                ),
                (LayerConfig::Pool { .. } | LayerConfig::GlobalPool { .. }, None) => {
                    "average pooling is native, convert with --max-to-avg-pool".to_owned()
                }
                (LayerConfig::Softmax { .. }, None) => {
                    "a softmax can only be left out at the end of the network".to_owned()
                }
                (LayerConfig::Activation { .. } | LayerConfig::Elu { .. }, None) => SWAP.to_owned(),
                _ => "convert with --inference-only if it is native then, or replace it".to_owned(),
            };
            (layer.class_name.clone(), advice)
        }
    };
    Fallback {
        layer: label.into(),
        function,
        advice,
    }
}

fn training_argument(p: &Penalties) -> Option<&'static str> {
    [
        (&p.kernel_regularizer, "kernel_regularizer"),
        (&p.bias_regularizer, "bias_regularizer"),
        (&p.activity_regularizer, "activity_regularizer"),
        (&p.kernel_constraint, "kernel_constraint"),
        (&p.bias_constraint, "bias_constraint"),
    ]
    .into_iter()
    .find_map(|(value, name)| value.is_some().then_some(name))
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

/// outer ∘ inner as one transform.
fn compose(layer: &str, outer: &Transform, inner: &Transform) -> Result<Transform, LowerError> {
    Ok(match (outer, inner) {
        (Transform::Identity(_), t) | (t, Transform::Identity(_)) => t.clone(),
        (Transform::Diagonal(d), t) => scale_rows(t, &diagonal(d))
            .ok_or_else(|| unsupported(layer, "a scale that differs within a channel"))?,
        (t, Transform::Diagonal(d)) => scale_columns(t, &diagonal(d))
            .ok_or_else(|| unsupported(layer, "a scale that differs within a channel"))?,
        (Transform::Dense(outer), Transform::Dense(inner)) => product(layer, outer, inner)?,
        _ => {
            return Err(unsupported(
                layer,
                "two linear layers in a row, of which one is a convolution or pooling,",
            ));
        }
    })
}

fn diagonal(d: &Diagonal) -> Vec<f32> {
    match d.factor.data() {
        [one] => vec![*one; d.size],
        all => all.to_vec(),
    }
}

/// diag(factor) W.
fn scale_rows(t: &Transform, factor: &[f32]) -> Option<Transform> {
    match t {
        Transform::Dense(w) => {
            let columns = *w.shape().get(1)?;
            let rows = w.data().chunks(columns.max(1));
            let data = rows
                .zip(factor)
                .flat_map(|(row, f)| row.iter().map(move |w| w * f))
                .collect();
            Tensor::new(w.shape().to_vec(), data).map(Transform::Dense)
        }
        Transform::Convolution(c) if c.channels_last => {
            let channels = *c.output_shape.last()?;
            if !is_periodic(factor, channels) {
                return None;
            }
            let data = c
                .kernel
                .data()
                .chunks(channels)
                .flat_map(|taps| taps.iter().zip(factor).map(|(w, f)| w * f))
                .collect();
            Some(Transform::Convolution(Convolution {
                kernel: Tensor::new(c.kernel.shape().to_vec(), data)?,
                ..c.clone()
            }))
        }
        Transform::Diagonal(d) => {
            let data = diagonal(d).iter().zip(factor).map(|(a, b)| a * b).collect();
            Some(Transform::Diagonal(Diagonal {
                size: d.size,
                factor: Tensor::vector(data),
            }))
        }
        _ => None,
    }
}

/// W diag(factor).
fn scale_columns(t: &Transform, factor: &[f32]) -> Option<Transform> {
    match t {
        Transform::Dense(w) => {
            let data = w
                .data()
                .chunks(factor.len().max(1))
                .flat_map(|row| row.iter().zip(factor).map(|(w, f)| w * f))
                .collect();
            Tensor::new(w.shape().to_vec(), data).map(Transform::Dense)
        }
        Transform::Convolution(c) if c.channels_last && c.groups == 1 => {
            let inputs = *c.input_shape.last()?;
            let outputs = *c.output_shape.last()?;
            if !is_periodic(factor, inputs) {
                return None;
            }
            let data = c
                .kernel
                .data()
                .chunks(outputs.max(1))
                .zip(factor[..inputs].iter().cycle())
                .flat_map(|(row, f)| row.iter().map(move |w| w * f))
                .collect();
            Some(Transform::Convolution(Convolution {
                kernel: Tensor::new(c.kernel.shape().to_vec(), data)?,
                ..c.clone()
            }))
        }
        _ => None,
    }
}

fn product(layer: &str, outer: &Tensor, inner: &Tensor) -> Result<Transform, LowerError> {
    let (rows, columns) = (outer.shape()[0], inner.shape()[1]);
    // W_outer W_inner, a column of W_inner at a time.
    let transposed: Vec<f32> = (0..columns)
        .flat_map(|c| inner.data().iter().skip(c).step_by(columns.max(1)))
        .copied()
        .collect();
    let by_column = ops_at(
        layer,
        |y| ops::dense(outer, columns, &transposed, y),
        rows * columns,
    )?;
    let data = (0..rows)
        .flat_map(|r| by_column.iter().skip(r).step_by(rows.max(1)))
        .copied()
        .collect();
    Tensor::new(vec![rows, columns], data)
        .map(Transform::Dense)
        .ok_or_else(|| unsupported(layer, "a product of matrices"))
}

/// A transform in one of the forms that images have, times `gain`.
fn linear_map(layer: &str, t: &Transform, gain: f32) -> Result<LinearMap, LowerError> {
    let scaled = |w: &Tensor| {
        let data = w.data().iter().map(|w| w * gain).collect();
        Tensor::new(w.shape().to_vec(), data)
            .ok_or_else(|| unsupported(layer, "an inconsistent shape"))
    };
    match t {
        Transform::Dense(w) => Ok(LinearMap::Dense(scaled(w)?)),
        Transform::Convolution(c) => {
            if c.groups != 1 || c.dilation.iter().any(|&d| d != 1) {
                return Err(unsupported(layer, "a grouped or dilated convolution"));
            }
            if !c.channels_last {
                return Err(unsupported(layer, "a convolution with channels first"));
            }
            if c.strides.len() > 2 {
                return Err(unsupported(layer, "a convolution over three axes"));
            }
            Ok(LinearMap::Convolution(Convolution {
                kernel: scaled(&c.kernel)?,
                ..c.clone()
            }))
        }
        Transform::Identity(n) => one_to_one(layer, &vec![gain; *n]),
        Transform::Diagonal(d) => {
            let factor: Vec<f32> = diagonal(d).iter().map(|f| f * gain).collect();
            one_to_one(layer, &factor)
        }
        Transform::Sparse(_) => Err(unsupported(layer, "a sparse transform of a signal")),
    }
}

/// The largest one-to-one link that is spelt out as a matrix.
const MAX_ONE_TO_ONE: usize = 256;

fn one_to_one(layer: &str, factor: &[f32]) -> Result<LinearMap, LowerError> {
    let n = factor.len();
    if n > MAX_ONE_TO_ONE {
        return Err(unsupported(
            layer,
            format!("a one-to-one connection of {n} neurons (at most {MAX_ONE_TO_ONE})"),
        ));
    }
    let mut data = vec![0.0; n * n];
    for (i, f) in factor.iter().enumerate() {
        data[i * n + i] = *f;
    }
    Tensor::new(vec![n, n], data)
        .map(LinearMap::Dense)
        .ok_or_else(|| unsupported(layer, "an inconsistent shape"))
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
            ));
        };
        placed[at] = true;
        order.push(EnsembleId(at));
    }
    Ok(order)
}
