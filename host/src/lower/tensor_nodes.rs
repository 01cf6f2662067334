//! TensorNodes: which of them an image can do without, and what would make the others native.

use super::error::{Fallback, LowerError};
use crate::network::{Effect, Network, NodeId, NodeKind, Pre, TensorNode};

/// Refuses all TensorNodes at once, except those that pass values on and a softmax that only a probe
/// reads.
pub(super) fn refuse(network: &Network) -> Result<(), LowerError> {
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

/// A function that passes its values on, such as a layer that only does something in training.
pub(super) fn is_identity(t: &TensorNode) -> bool {
    t.func.effect() == Effect::Identity
}

/// A softmax along the only axis, which keeps the ranking.
pub(super) fn is_softmax(t: &TensorNode) -> bool {
    t.func.effect() == Effect::Softmax && t.shape_in.len() == 1
}

pub(super) fn fallback(label: &str, t: &TensorNode) -> Fallback {
    Fallback {
        layer: label.into(),
        function: t.func.name(),
        advice: t.func.advice(),
        remedy: t.func.remedy(),
    }
}
