//! Reasons why a model cannot be converted.

use super::options::ActivationType;
use crate::advice::{Advice, Advised};

/// Reason why a model cannot be converted, in NengoDL's words if NengoDL refuses it too.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A layer has no native form, and may not fall back.
    #[error("{}Unable to convert layer '{layer}' to native Nengo objects; {}consider registering a custom LayerConverter for this layer type.",
        if reason.is_empty() { String::new() } else { format!("{reason}. ") },
        if *fallback_would_help { "set allow_fallback=True if you would like to use a TensorNode instead, or " } else { "" })]
    NotConvertible {
        /// The layer.
        layer: String,
        /// The part that has no native form.
        reason: String,
        /// `true` if `allow_fallback` would make a `TensorNode` of it.
        fallback_would_help: bool,
    },
    /// An activation has no native form, and may not fall back.
    #[error(
        "Unsupported activation type ({activation}) of layer '{layer}'; set allow_fallback=True to use a TensorNode, or swap_activations to use another activation"
    )]
    UnsupportedActivation {
        /// The layer.
        layer: String,
        /// Its activation.
        activation: ActivationType,
    },
    /// A `SpikingActivation` around a function that no neuron type computes.
    #[error(
        "SpikingActivation activation type ({activation}) of layer '{layer}' does not have a native Nengo equivalent"
    )]
    SpikingActivation {
        /// The layer.
        layer: String,
        /// Its activation.
        activation: ActivationType,
    },
    /// A layer with weights is used more than once.
    #[error(
        "Multiple applications of layer <{class} '{layer}'> detected; this is not supported unless split_shared_weights=True"
    )]
    SharedLayer {
        /// The layer.
        layer: String,
        /// Its class.
        class: String,
    },
    /// An input has an axis of unknown length.
    #[error(
        "Input shapes must be fully specified; got {shape}. If inputs contain `None` in the first axis to indicate a variable number of timesteps, set `temporal_model=True` on the `Converter`."
    )]
    InputShape {
        /// The input layer.
        layer: String,
        /// Its shape as Python writes it.
        shape: String,
    },
    /// A parameter that Nengo's own objects refuse.
    #[error("{parameter}: {problem}")]
    Validation {
        /// The layer.
        layer: String,
        /// The Nengo object's parameter.
        parameter: &'static str,
        /// The fault.
        problem: String,
    },
    /// A layer of an unknown class, or with arguments that are not supported.
    #[error("layer \"{layer}\" ({class}): {reason}")]
    Unknown {
        /// The layer.
        layer: String,
        /// Its class.
        class: String,
        /// The reason, and the remedy.
        reason: String,
    },
    /// A factor of `scale_firing_rates` is not a finite number above 0.
    #[error("scale_firing_rates is {scale}{}, but must be a finite number above 0",
        layer.as_ref().map_or_else(String::new, |layer| format!(" for layer '{layer}'")))]
    ScaleFiringRates {
        /// The layer; `None` if the factor is for all.
        layer: Option<String>,
        /// The factor.
        scale: f32,
    },
    /// A layer's shapes do not fit one another.
    #[error("layer '{layer}': {problem}")]
    Shape {
        /// The layer.
        layer: String,
        /// The shapes that were found and expected.
        problem: String,
    },
    /// A layer lacks a weight, or has one of another shape than its configuration says.
    #[error("layer '{layer}': weight '{weight}' {problem}")]
    Weight {
        /// The layer.
        layer: String,
        /// The weight's role.
        weight: String,
        /// The shape or presence that was found and expected.
        problem: String,
    },
    /// The model's graph refers to a call that it does not have, or to itself.
    #[error("model '{model}': {problem}")]
    Graph {
        /// The model.
        model: String,
        /// The fault.
        problem: String,
    },
}

impl ConvertError {
    /// The layer at fault, if it is one.
    #[must_use]
    pub fn layer(&self) -> Option<&str> {
        match self {
            Self::NotConvertible { layer, .. }
            | Self::UnsupportedActivation { layer, .. }
            | Self::SpikingActivation { layer, .. }
            | Self::SharedLayer { layer, .. }
            | Self::InputShape { layer, .. }
            | Self::Validation { layer, .. }
            | Self::Unknown { layer, .. }
            | Self::Shape { layer, .. }
            | Self::Weight { layer, .. } => Some(layer),
            Self::ScaleFiringRates { layer, .. } => layer.as_deref(),
            Self::Graph { .. } => None,
        }
    }
}

impl Advised for ConvertError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::NotConvertible {
                fallback_would_help: true,
                ..
            } => vec![Advice::AllowFallback],
            Self::UnsupportedActivation { activation, .. } => vec![
                Advice::SwapActivation {
                    from: Some(activation.to_string()),
                    to: None,
                },
                Advice::AllowFallback,
            ],
            Self::SharedLayer { .. } => vec![Advice::SplitSharedWeights],
            Self::InputShape { .. } => vec![Advice::InputShape, Advice::TemporalModel],
            _ => Vec::new(),
        }
    }
}
