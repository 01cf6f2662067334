//! Linear layers as populations of their own, if their product with what follows is larger or cannot be
//! held.

use std::borrow::Cow;

use super::attempt;
use super::error::LowerError;
use crate::graph::Graph;
use crate::network::{
    Ensemble, EnsembleId, Network, NeuronType, NodeId, PerNeuron, Post, Pre, Transform,
};

/// Resolves a network as [`lower`](super::lower) does, with populations of its own between linear layers if
/// these need them. A population's values have both signs: it is a leaky rectifier of slope 1, or a
/// rectifier if no value is below zero.
///
/// # Errors
/// As [`lower`](super::lower).
pub fn lower_apart(network: &Network) -> Result<Graph, LowerError> {
    let mut own = Cow::Borrowed(network);
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
                Some(node) => own = Cow::Owned(with_population(&own, node)),
                None => return Err(refused.error),
            },
        }
    }
}

/// The network with a population in the place of a node.
fn with_population(network: &Network, node: NodeId) -> Network {
    let mut network = network.clone();
    let id = EnsembleId(network.ensembles.len());
    let (shape, channels_last) = shape(&network, node);
    let neuron_type = if is_positive(&network, node) {
        NeuronType::RectifiedLinear { amplitude: 1.0 }
    } else {
        NeuronType::LeakyRelu {
            negative_slope: 1.0,
            amplitude: 1.0,
        }
    };
    let replaced = &network.nodes[node.0];
    network.ensembles.push(Ensemble {
        label: replaced.label.clone(),
        n_neurons: replaced.size_out,
        neuron_type: neuron_type.into(),
        gain: PerNeuron::Same(1.0),
        bias: None,
        bias_trainable: None,
        shape,
        channels_last,
        initial_voltage: None,
        subnetwork: None,
    });
    for connection in &mut network.connections {
        if connection.post == Post::Node(node) {
            connection.post = Post::Neurons(id);
        }
        if connection.pre == Pre::Node(node) {
            connection.pre = Pre::Neurons(id);
        }
    }
    for probe in &mut network.probes {
        if probe.target == Pre::Node(node) {
            probe.target = Pre::Neurons(id);
        }
    }
    network
}

/// The shape of a node's values, as the convolutions around it know it, and `true` if channels come last.
fn shape(network: &Network, node: NodeId) -> (Vec<usize>, bool) {
    let size = network.nodes[node.0].size_out;
    let known = network.connections.iter().find_map(|c| {
        let Transform::Convolution(conv) = &c.transform else {
            return None;
        };
        let shape = if c.post == Post::Node(node) {
            &conv.output_shape
        } else if c.pre == Pre::Node(node) {
            &conv.input_shape
        } else {
            return None;
        };
        (shape.iter().product::<usize>() == size).then(|| (shape.clone(), conv.channels_last))
    });
    known.unwrap_or((vec![size], true))
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
