//! TensorNodes: which of them an image can do without, and what would make the others native.

use super::error::{Fallback, LowerError};
use crate::network::{
    Effect, EnsembleId, Head, Network, NeuronType, NodeId, NodeKind, Pre, TensorNode,
};

/// Refuses all TensorNodes at once, except those that pass values on and heads that only a probe reads.
pub(super) fn refuse(network: &Network) -> Result<(), LowerError> {
    let found: Vec<Fallback> = (0..)
        .map(NodeId)
        .zip(&network.nodes)
        .filter_map(|(id, node)| match &node.kind {
            NodeKind::Tensor(t)
                if !(is_identity(t) || head(t).is_some() && is_last(network, id)) =>
            {
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

/// Tells whether probes alone read a node.
pub(super) fn is_last(network: &Network, id: NodeId) -> bool {
    network.connections.iter().all(|c| c.pre != Pre::Node(id))
        && network.probes.iter().any(|p| p.target == Pre::Node(id))
}

/// A function that passes its values on, such as a layer that only does something in training.
pub(super) fn is_identity(t: &TensorNode) -> bool {
    t.func.effect() == Effect::Identity
}

/// The head that a TensorNode computes.
pub(super) fn head(t: &TensorNode) -> Option<Head> {
    match t.func.effect() {
        // Along one of several axes, it is one at each place of the others.
        Effect::Head(Head::Softmax) if t.shape_out.iter().filter(|&&n| n > 1).count() > 1 => {
            Some(Head::Softmaxes)
        }
        Effect::Head(head) => Some(head),
        Effect::Identity | Effect::Pointwise | Effect::Other => None,
    }
}

/// The head that an ensemble computes, if probes alone read it.
pub(super) fn ensemble_head(network: &Network, id: EnsembleId) -> Option<Head> {
    let head = match network.ensembles[id.0].neuron_type {
        NeuronType::Sigmoid { .. } => Head::Sigmoid,
        NeuronType::Tanh { .. } => Head::Tanh,
        _ => return None,
    };
    let read = network
        .connections
        .iter()
        .any(|c| c.pre == Pre::Neurons(id));
    let probed = network.probes.iter().any(|p| p.target == Pre::Neurons(id));
    (probed && !read).then_some(head)
}

pub(super) fn fallback(label: &str, t: &TensorNode) -> Fallback {
    Fallback {
        layer: label.into(),
        function: t.func.name(),
        advice: t.func.advice(),
        remedy: t.func.remedy(),
    }
}
