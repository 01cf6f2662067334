//! Linear layers as populations of their own, if their product with what follows is larger or cannot be
//! held.

use std::borrow::Cow;

use super::attempt;
use super::curves::with_pieces;
use super::error::LowerError;
use super::rewire::{move_ends, move_starts, plain, shape};
use crate::graph::Graph;
use crate::network::{
    Ensemble, EnsembleId, MaxPool, Network, NeuronType, NodeId, NodeKind, PerNeuron, Post, Pre,
    Transform,
};

/// Resolves a network as [`lower`](super::lower) does, with populations of its own between linear layers if
/// these need them. A population's values have both signs: it is a leaky rectifier of slope 1, or a
/// rectifier if no value is below zero. Activations that no neurons have become sums of straight pieces.
///
/// # Errors
/// As [`lower`](super::lower).
pub fn lower_apart(network: &Network) -> Result<Graph, LowerError> {
    let mut own = with_pieces(network);
    while let Some(rectified) = rectified_before_pooling(&own) {
        own = Cow::Owned(rectified);
    }
    loop {
        match attempt(&own, true) {
            Ok(mut graph) => {
                for population in &mut graph.populations {
                    let known = |id: &EnsembleId| id.0 < network.ensembles.len();
                    population.ensemble = population.ensemble.filter(known);
                }
                return Ok(graph);
            }
            Err(refused) => match refused.cut {
                Some(node) => {
                    own = Cow::Owned(match &own.nodes[node.0].kind {
                        NodeKind::Max(pool) => with_population_before(&own, node, pool),
                        _ => with_population(&own, node),
                    });
                }
                None => return Err(refused.error),
            },
        }
    }
}

/// The network with a population in the place of a node.
fn with_population(network: &Network, node: NodeId) -> Network {
    let mut network = network.clone();
    let shape = shape(&network, node);
    let id = add_linear(&mut network, node, "", shape);
    move_ends(&mut network, Post::Node(node), Post::Neurons(id));
    move_starts(&mut network, Pre::Node(node), Pre::Neurons(id));
    network
}

/// The network with a population before a node that pools, which takes up what the node did.
fn with_population_before(network: &Network, node: NodeId, pool: &MaxPool) -> Network {
    let mut network = network.clone();
    let shape = (seen_by(pool), pool.channels_last);
    let id = add_linear(&mut network, node, ".input", shape);
    move_ends(&mut network, Post::Node(node), Post::Neurons(id));
    (network.connections).push(plain(Pre::Neurons(id), Post::Node(node), pool.size_in()));
    network
}

/// Adds neurons that answer with their currents, those of a node; its name and `suffix` name them.
fn add_linear(
    network: &mut Network,
    node: NodeId,
    suffix: &str,
    (shape, channels_last): (Vec<usize>, bool),
) -> EnsembleId {
    let neuron_type = if is_positive(network, node) {
        NeuronType::RectifiedLinear { amplitude: 1.0 }
    } else {
        NeuronType::LeakyRelu {
            negative_slope: 1.0,
            amplitude: 1.0,
        }
    };
    let label = format!("{}{suffix}", network.nodes[node.0].label);
    network.ensembles.push(Ensemble {
        label,
        n_neurons: shape.iter().product(),
        neuron_type: neuron_type.into(),
        gain: PerNeuron::Same(1.0),
        bias: None,
        bias_trainable: None,
        shape,
        channels_last,
        initial_voltage: None,
        subnetwork: None,
    });
    EnsembleId(network.ensembles.len() - 1)
}

/// The shape that a pool sees, as its layer has it.
fn seen_by(pool: &MaxPool) -> Vec<usize> {
    let [height, width, channels] = pool.input;
    match pool.channels_last {
        true => vec![height, width, channels],
        false => vec![channels, height, width],
    }
}

/// The network with rectifiers before a node that pools in place of those behind it, if there are: the largest of
/// rectified values is the largest value, rectified. So no population has to hold both signs.
fn rectified_before_pooling(network: &Network) -> Option<Network> {
    let (node, pool, id) = network.nodes.iter().enumerate().find_map(|(at, node)| {
        let NodeKind::Max(pool) = &node.kind else {
            return None;
        };
        let node = NodeId(at);
        let mut readers = network
            .connections
            .iter()
            .filter(|c| c.pre == Pre::Node(node));
        let reader = readers.next()?;
        let alone =
            readers.next().is_none() && network.probes.iter().all(|p| p.target != Pre::Node(node));
        let Post::Neurons(id) = reader.post else {
            return None;
        };
        let ensemble = &network.ensembles[id.0];
        let passes = matches!(reader.transform, Transform::Identity(_))
            && reader.pre_slice.is_none()
            && reader.post_slice.is_none()
            && reader.synapse.is_none();
        let into = network.connections.iter();
        let into = into.filter(|c| c.post == Post::Neurons(id)).count();
        let plain = matches!(ensemble.gain, PerNeuron::Same(gain) if gain > 0.0)
            && ensemble.bias.is_none()
            && ensemble.initial_voltage.is_none()
            && ensemble.neuron_type.uniform().is_some_and(|n| rises(&n));
        let mut before = network.connections.iter();
        let signed = before.any(|c| c.post == Post::Node(node) && matches!(c.pre, Pre::Node(_)));
        (alone && passes && into == 1 && plain && signed).then_some((node, pool, id))
    })?;
    let mut network = network.clone();
    let ensemble = &mut network.ensembles[id.0];
    ensemble.n_neurons = pool.size_in();
    ensemble.shape = seen_by(pool);
    ensemble.channels_last = pool.channels_last;
    let behind = network
        .connections
        .iter()
        .position(|c| c.pre == Pre::Node(node))?;
    network.connections.remove(behind);
    move_starts(&mut network, Pre::Neurons(id), Pre::Node(node));
    move_ends(&mut network, Post::Node(node), Post::Neurons(id));
    (network.connections).push(plain(Pre::Neurons(id), Post::Node(node), pool.size_in()));
    Some(network)
}

/// Tells whether neurons of a type never answer less to more.
fn rises(neuron_type: &NeuronType) -> bool {
    match neuron_type {
        NeuronType::RectifiedLinear { amplitude }
        | NeuronType::SpikingRectifiedLinear { amplitude } => *amplitude > 0.0,
        NeuronType::LeakyRelu {
            negative_slope,
            amplitude,
        }
        | NeuronType::SpikingLeakyRelu {
            negative_slope,
            amplitude,
        } => *amplitude > 0.0 && *negative_slope >= 0.0,
        _ => false,
    }
}

/// `true` if a node's values are sums of what rectifiers send, with weights that are not negative.
fn is_positive(network: &Network, node: NodeId) -> bool {
    let mut into = network
        .connections
        .iter()
        .filter(|c| c.post == Post::Node(node));
    into.all(|c| {
        let rectified = match c.pre {
            Pre::Neurons(e) => matches!(
                network.ensembles[e.0].neuron_type,
                NeuronType::RectifiedLinear { .. } | NeuronType::SpikingRectifiedLinear { .. }
            ),
            Pre::Node(_) => false,
        };
        let weights = match &c.transform {
            Transform::Identity(_) => &[],
            Transform::Diagonal(d) => d.factor.data(),
            Transform::Sparse(s) => s.values.data(),
            Transform::Dense(w) => w.data(),
            Transform::Convolution(conv) => conv.kernel.data(),
        };
        rectified && weights.iter().all(|&w| w >= 0.0)
    })
}
