//! Warnings of the converter, which goes on.

use std::fmt;

use super::options::ActivationType;
use crate::network::NeuronType;

/// A warning; its `Display` is the message, in NengoDL's words if NengoDL has the same warning.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The model is sequential; its layers are numbered as in the functional model made of it.
    Sequential,
    /// A layer became a `TensorNode`.
    Fallback {
        /// The layer.
        layer: String,
        /// Part without a native form; may be empty.
        reason: String,
    },
    /// An activation became a `TensorNode`.
    ActivationFallback {
        /// The layer.
        layer: String,
        /// Its activation.
        activation: ActivationType,
    },
    /// Firing rates of a neuron type are scaled whose output cannot be scaled back.
    NoAmplitude {
        /// The layer.
        layer: String,
        /// Its neuron type.
        neuron_type: NeuronType,
    },
    /// Entries of `swap_activations` that no layer has asked for.
    UnusedSwaps(Vec<ActivationType>),
    /// `scale_firing_rates` names a layer that the model does not have.
    UnknownScaledLayer(String),
    /// A keras_spiking layer's own step length has no effect.
    IgnoredDt {
        /// The layer's class.
        class: String,
        /// Its step in seconds.
        dt: f64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequential => f.write_str(
                "Converting sequential model to functional model; use `Converter.model` to refer \
                 to the functional model (rather than the original sequential model) when working \
                 with the output of the Converter",
            ),
            Self::Fallback { reason, .. } if reason.is_empty() => {
                f.write_str("Falling back to TensorNode.")
            }
            Self::Fallback { reason, .. } => write!(f, "{reason}. Falling back to TensorNode."),
            Self::ActivationFallback { activation, .. } => write!(
                f,
                "Activation type {activation} does not have a native Nengo equivalent; falling \
                 back to a TensorNode"
            ),
            Self::NoAmplitude { neuron_type, .. } => write!(
                f,
                "Firing rate scaling being applied to activation type that does not support \
                 amplitude ({}); this will change the output",
                neuron_type.name()
            ),
            Self::UnusedSwaps(keys) => {
                f.write_str("swap_activations contained {")?;
                for (i, key) in keys.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{key}")?;
                }
                f.write_str("}, but there were no layers in the model with that activation type")
            }
            Self::UnknownScaledLayer(layer) => write!(
                f,
                "scale_firing_rates names the layer '{layer}', but there is no such layer in the \
                 model"
            ),
            Self::IgnoredDt { class, dt } => write!(
                f,
                "Ignoring {class}.dt={dt:.6} parameter; dt will be controlled by Simulator.dt"
            ),
        }
    }
}
