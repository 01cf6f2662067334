//! TensorNodes: which of them an image can do without, and what would make the others native.

use super::{Fallback, LowerError};
use crate::model::{Activation, LayerConfig, Penalties};
use crate::network::{Network, NodeId, NodeKind, Pre, TensorFunc, TensorNode};

/// Refuses all TensorNodes at once, but for those that pass values on and a softmax that only a probe
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

/// A layer that only does something in training, as NengoDL's Converter makes it a TensorNode.
pub(super) fn is_identity(t: &TensorNode) -> bool {
    let TensorFunc::Layer(layer) = &t.func else {
        return false;
    };
    matches!(
        layer.config,
        LayerConfig::Dropout { .. } | LayerConfig::Noise
    )
}

/// A softmax along the only axis, which keeps the ranking.
pub(super) fn is_softmax(t: &TensorNode) -> bool {
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

pub(super) fn fallback(label: &str, t: &TensorNode) -> Fallback {
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
