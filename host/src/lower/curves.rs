//! Activations that no neurons have, such as tanh or ELU, as sums of straight pieces: each is a rectifier with a
//! maximum, and a population adds them up.

use std::borrow::Cow;

use super::pieces::{Pieces, places};
use super::rewire::{move_ends, move_starts, plain, shape};
use super::tensor_nodes::{ensemble_head, head, is_last};
use crate::network::{
    Connection, Diagonal, Effect, Ensemble, EnsembleId, Head, Network, NeuronType, Node, NodeId,
    NodeKind, PerNeuron, Post, Pre, TensorNode, Transform,
};
use crate::tensor::Tensor;

/// An activation that a deployed image computes in straight pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The label of its node or ensemble.
    pub label: String,
    /// The function, such as `tanh`.
    pub function: String,
    /// The number of pieces.
    pub pieces: usize,
    /// The largest difference from the function.
    pub error: f32,
}

/// An object of the network that computes such an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Node(NodeId),
    Ensemble(EnsembleId),
}

/// The activations of a network that a deployed image computes in straight pieces.
#[must_use]
pub fn curves(network: &Network) -> Vec<Curve> {
    let found = found(network).into_iter();
    found.map(|(_, curve, _)| curve).collect()
}

/// The network with a sum of straight pieces in the place of each such activation.
pub(super) fn with_pieces(network: &Network) -> Cow<'_, Network> {
    let found = found(network);
    if found.is_empty() {
        return Cow::Borrowed(network);
    }
    let mut network = network.clone();
    for (place, curve, pieces) in &found {
        replace(&mut network, *place, &curve.label, pieces);
    }
    Cow::Owned(network)
}

fn found(network: &Network) -> Vec<(Place, Curve, Pieces)> {
    let nodes = (0..).map(NodeId).zip(&network.nodes);
    let nodes = nodes.filter_map(|(id, node)| match &node.kind {
        NodeKind::Tensor(t) if is_pointwise(t) && !(head(t).is_some() && is_last(network, id)) => {
            let pieces = Pieces::of(&values(t)?)?;
            let name = t.func.name();
            let function = name.strip_prefix("activation ").unwrap_or(&name);
            Some((Place::Node(id), &node.label, function.to_owned(), pieces))
        }
        _ => None,
    });
    let ensembles = (0..).map(EnsembleId).zip(&network.ensembles);
    let ensembles = ensembles.filter_map(|(id, ensemble)| {
        let (function, name): (fn(f32) -> f32, _) = match ensemble.neuron_type {
            NeuronType::Sigmoid { .. } => (|x| 1.0 / (1.0 + (-x).exp()), "sigmoid"),
            NeuronType::Tanh { .. } => (f32::tanh, "tanh"),
            _ => return None,
        };
        let (NeuronType::Sigmoid { tau_ref } | NeuronType::Tanh { tau_ref }) =
            ensemble.neuron_type.uniform()?
        else {
            return None;
        };
        if ensemble_head(network, id).is_some() {
            return None;
        }
        let values: Vec<f32> = (places().into_iter())
            .map(|x| function(x) / tau_ref)
            .collect();
        let pieces = Pieces::of(&values)?;
        Some((
            Place::Ensemble(id),
            &ensemble.label,
            name.to_owned(),
            pieces,
        ))
    });
    (nodes.chain(ensembles))
        .map(|(place, label, function, pieces)| {
            let curve = Curve {
                label: label.clone(),
                function,
                pieces: pieces.pieces.len(),
                error: pieces.error,
            };
            (place, curve, pieces)
        })
        .collect()
}

/// Tells whether a function takes each value by itself.
fn is_pointwise(t: &TensorNode) -> bool {
    match t.func.effect() {
        Effect::Head(Head::Softmax | Head::Softmaxes) | Effect::Identity | Effect::Other => false,
        Effect::Pointwise | Effect::Head(_) => true,
    }
}

/// The values of a function at [`places`]; `None` if it does not run on them.
fn values(t: &TensorNode) -> Option<Vec<f32>> {
    let places = places();
    let x = Tensor::new(vec![places.len(), 1], places)?;
    let y = t.func.run(&x).ok()?;
    Some(y.data().to_vec())
}

/// Neurons with gains and biases, or a node without, in whose place the pieces come.
struct Whole {
    size: usize,
    gain: PerNeuron,
    bias: Vec<f32>,
    shape: (Vec<usize>, bool),
}

fn replace(network: &mut Network, place: Place, label: &str, sum: &Pieces) {
    let (pre, post, whole) = match place {
        Place::Node(id) => {
            let node = &network.nodes[id.0];
            let own = match &node.kind {
                NodeKind::Tensor(t) => t.shape_out.clone(),
                _ => vec![node.size_out],
            };
            let known = shape(network, id);
            let whole = Whole {
                size: node.size_out,
                gain: PerNeuron::Same(1.0),
                bias: vec![0.0; node.size_out],
                shape: if known.0.len() > 1 {
                    known
                } else {
                    (own, true)
                },
            };
            (Pre::Node(id), Post::Node(id), whole)
        }
        Place::Ensemble(id) => {
            let ensemble = &network.ensembles[id.0];
            let bias = ensemble.bias.as_ref().map(|b| b.data().to_vec());
            let whole = Whole {
                size: ensemble.n_neurons,
                gain: ensemble.gain.clone(),
                bias: bias.unwrap_or_else(|| vec![0.0; ensemble.n_neurons]),
                shape: (ensemble.shape.clone(), ensemble.channels_last),
            };
            (Pre::Neurons(id), Post::Neurons(id), whole)
        }
    };
    let into: Vec<Connection> = (network.connections.iter())
        .filter(|c| c.post == post)
        .cloned()
        .collect();
    let mut sources = Vec::with_capacity(2 * sum.pieces.len());
    for (at, piece) in sum.pieces.iter().enumerate() {
        let mut half = |suffix: &str, start: f32, slope: f32| {
            let label = format!("{label}.piece{}{suffix}", at + 1);
            let id = whole.neurons(network, label, piece.sign, start);
            let into = into.iter().cloned();
            (network.connections).extend(into.map(|c| Connection {
                post: Post::Neurons(id),
                ..c
            }));
            sources.push((id, slope));
        };
        half("", piece.start, piece.slope);
        if let Some(width) = piece.width {
            half(".excess", piece.start + width, -piece.slope);
        }
    }
    network.connections.retain(|c| c.post != post);
    // What reads the activation reads a node that adds the pieces, or the population that does.
    let joint = add_node(network, label, whole.size, NodeKind::Passthrough);
    move_starts(network, pre, Pre::Node(joint));
    let add = |network: &mut Network, to: Post| {
        let through = sources.iter().map(|&(id, slope)| Connection {
            transform: scaled(whole.size, slope),
            ..plain(Pre::Neurons(id), to, whole.size)
        });
        network.connections.extend(through);
    };
    let least = sum.least.unwrap_or(0.0);
    let mut rest = sum.offset;
    let own = matches!(place, Place::Ensemble(_));
    if own || sum.pieces.len() > 2 {
        // Values above the least one need no sign.
        let neuron_type = match sum.least {
            Some(_) => NeuronType::RectifiedLinear { amplitude: 1.0 },
            None => NeuronType::LeakyRelu {
                negative_slope: 1.0,
                amplitude: 1.0,
            },
        };
        let bias = vec![sum.offset - least; whole.size];
        let ensemble = Ensemble {
            label: format!("{label}.sum"),
            neuron_type: neuron_type.into(),
            gain: PerNeuron::Same(1.0),
            bias: Tensor::new(vec![whole.size], bias),
            ..whole.ensemble()
        };
        let id = match place {
            // Others keep their numbers.
            Place::Ensemble(id) => {
                network.ensembles[id.0] = ensemble;
                id
            }
            Place::Node(_) => {
                network.ensembles.push(ensemble);
                EnsembleId(network.ensembles.len() - 1)
            }
        };
        add(network, Post::Neurons(id));
        (network.connections).push(plain(Pre::Neurons(id), Post::Node(joint), whole.size));
        rest = least;
    } else {
        add(network, Post::Node(joint));
    }
    if rest != 0.0
        && let Some(value) = Tensor::new(vec![whole.size], vec![rest; whole.size])
    {
        let label = format!("{label}.offset");
        let constant = add_node(network, &label, whole.size, NodeKind::Constant(value));
        (network.connections).push(plain(Pre::Node(constant), Post::Node(joint), whole.size));
    }
    if let Place::Node(id) = place {
        // Nothing reaches it, and nothing reads it.
        network.nodes[id.0].kind = NodeKind::Passthrough;
        move_ends(network, post, Post::Node(joint));
    }
}

impl Whole {
    /// Adds rectifiers of the whole's currents from a start on; returns them.
    fn neurons(&self, network: &mut Network, label: String, sign: f32, start: f32) -> EnsembleId {
        let gain = match &self.gain {
            PerNeuron::Same(gain) => PerNeuron::Same(sign * gain),
            PerNeuron::Each(gains) => PerNeuron::Each(gains.iter().map(|g| sign * g).collect()),
        };
        let bias = self.bias.iter().map(|b| sign * b - start).collect();
        network.ensembles.push(Ensemble {
            label,
            gain,
            bias: Tensor::new(vec![self.size], bias),
            ..self.ensemble()
        });
        EnsembleId(network.ensembles.len() - 1)
    }

    fn ensemble(&self) -> Ensemble {
        let (shape, channels_last) = &self.shape;
        Ensemble {
            label: String::new(),
            n_neurons: self.size,
            neuron_type: NeuronType::RectifiedLinear { amplitude: 1.0 }.into(),
            gain: PerNeuron::Same(1.0),
            bias: None,
            bias_trainable: None,
            shape: shape.clone(),
            channels_last: *channels_last,
            initial_voltage: None,
            subnetwork: None,
        }
    }
}

fn add_node(network: &mut Network, label: &str, size: usize, kind: NodeKind) -> NodeId {
    network.nodes.push(Node {
        label: label.to_owned(),
        size_in: if matches!(kind, NodeKind::Constant(_)) {
            0
        } else {
            size
        },
        size_out: size,
        kind,
        subnetwork: None,
    });
    NodeId(network.nodes.len() - 1)
}

/// Each value times a factor.
fn scaled(size: usize, factor: f32) -> Transform {
    match Tensor::new(Vec::new(), vec![factor]) {
        Some(factor) => Transform::Diagonal(Diagonal { size, factor }),
        None => Transform::Identity(size),
    }
}
