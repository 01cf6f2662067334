//! Options of the converter.

use std::collections::BTreeMap;

use crate::keras::activation::Activation;
use crate::network::{NeuronType, Synapse};

/// The converter's options; the default is NengoDL's.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertOptions {
    /// A layer or activation that has no native form becomes a [`TensorNode`] with a warning. If
    /// false, it is an error.
    ///
    /// [`TensorNode`]: crate::network::TensorNode
    pub allow_fallback: bool,
    /// Drop what only training needs: regularizers, constraints, the training side of batch
    /// normalization.
    pub inference_only: bool,
    /// Average if the model takes a maximum. The network's output changes.
    pub max_to_avg_pool: bool,
    /// Give each use of a shared layer its own weights.
    pub split_shared_weights: bool,
    /// Pairs (from, to). Looked up by the Keras activation first, then by the neuron type that it
    /// was mapped to.
    pub swap_activations: Vec<(ActivationType, ActivationType)>,
    /// Multiplies the input of neurons and divides their output.
    pub scale_firing_rates: ScaleFiringRates,
    /// The filter on what ensembles send.
    pub synapse: Option<Synapse>,
    /// The first axis of every shape is time.
    pub temporal_model: bool,
    /// Follow NengoDL to the letter, even if it falls back although the layer has a native form.
    pub nengo_dl_compat: bool,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            allow_fallback: true,
            inference_only: false,
            max_to_avg_pool: false,
            split_shared_weights: false,
            swap_activations: Vec::new(),
            scale_firing_rates: ScaleFiringRates::None,
            synapse: None,
            temporal_model: false,
            nengo_dl_compat: false,
        }
    }
}

/// Factors on the input of neurons. A factor must be finite and above 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ScaleFiringRates {
    /// Leave the rates alone.
    #[default]
    None,
    /// One factor for every layer.
    All(f32),
    /// A factor for each named layer; the others are left alone.
    PerLayer(BTreeMap<String, f32>),
}

impl ScaleFiringRates {
    /// The factor of a layer, if it has one.
    #[must_use]
    pub fn of(&self, layer: &str) -> Option<f32> {
        match self {
            Self::None => None,
            Self::All(scale) => Some(*scale),
            Self::PerLayer(scales) => scales.get(layer).copied(),
        }
    }
}

/// An activation, as Keras names it or as Nengo does.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivationType {
    /// A Keras activation function.
    Keras(Activation),
    /// A Nengo neuron type, with its parameters.
    Neuron(NeuronType),
}

impl ActivationType {
    /// `true` if both have one name: that of a Keras function stands for it in all versions.
    pub(crate) fn is_called(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keras(a), Self::Keras(b)) => a.keras_name() == b.keras_name(),
            _ => self == other,
        }
    }
}

impl From<Activation> for ActivationType {
    fn from(activation: Activation) -> Self {
        Self::Keras(activation)
    }
}

impl From<NeuronType> for ActivationType {
    fn from(neuron_type: NeuronType) -> Self {
        Self::Neuron(neuron_type)
    }
}

impl std::fmt::Display for ActivationType {
    /// `<function relu>` or `RectifiedLinear()`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keras(activation) => write!(f, "<function {activation}>"),
            Self::Neuron(neuron_type) => write!(f, "{neuron_type}"),
        }
    }
}
