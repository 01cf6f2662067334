//! Reasons why a network cannot be lowered.

use std::fmt;

use crate::advice::{Advice, Advised};
use crate::graph::Population;
use crate::network::{NeuronType, PerNeuron};
use crate::ops::OpsError;

/// Reason why a network cannot be deployed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// Layers run as TensorNodes, which only a host can.
    #[error("{}", tensor_nodes(.0))]
    TensorNodes(Vec<Fallback>),
    /// Neurons of types that the engine does not have.
    #[error("{}", neuron_types(.0))]
    NeuronTypes(Vec<ForeignNeurons>),
    /// Part that images cannot hold.
    #[error("layer {layer:?}: {what} cannot be deployed to a device; {advice}")]
    Unsupported {
        /// The object.
        layer: String,
        /// Part that it has.
        what: String,
        /// Remedy in words.
        advice: &'static str,
        /// Remedies by settings.
        remedies: Vec<Advice>,
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
        /// Mismatch.
        source: OpsError,
    },
}

impl LowerError {
    /// The layer at fault, if it is one.
    #[must_use]
    pub fn layer(&self) -> Option<&str> {
        match self {
            Self::TensorNodes(nodes) => nodes.first().map(|node| node.layer.as_str()),
            Self::NeuronTypes(foreign) => foreign.first().map(|f| f.layer.as_str()),
            Self::Unsupported { layer, .. } | Self::Ops { layer, .. } => Some(layer),
            Self::Empty { .. } => None,
        }
    }
}

impl Advised for LowerError {
    fn advice(&self) -> Vec<Advice> {
        let mut advice: Vec<Advice> = Vec::new();
        match self {
            Self::NeuronTypes(_) => advice.push(Advice::SwapActivation {
                from: None,
                to: Some("relu".into()),
            }),
            Self::Unsupported { remedies, .. } => advice.extend(remedies.iter().cloned()),
            Self::TensorNodes(nodes) => {
                for remedy in nodes.iter().filter_map(|node| node.remedy.as_ref()) {
                    if !advice.contains(remedy) {
                        advice.push(remedy.clone());
                    }
                }
            }
            Self::Empty { .. } | Self::Ops { .. } => {}
        }
        advice
    }
}

/// A layer that runs as a TensorNode, and what would make it native.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The node's label.
    pub layer: String,
    /// Function that it computes, such as `GRU` or `activation elu`.
    pub function: String,
    /// Remedy that would make it native, in words.
    pub advice: String,
    /// The same as data.
    pub remedy: Option<Advice>,
}

/// An ensemble whose neurons the engine does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignNeurons {
    /// The ensemble's label.
    pub layer: String,
    /// Name of their type, such as `Tanh`.
    pub neuron_type: String,
}

impl fmt::Display for ForeignNeurons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, neuron_type } = self;
        write!(f, "layer {layer:?} has {neuron_type} neurons")
    }
}

impl ForeignNeurons {
    pub(crate) fn new(population: &Population, neuron_type: &NeuronType<PerNeuron>) -> Self {
        let name = neuron_type.name();
        Self {
            layer: population.label.clone(),
            neuron_type: match neuron_type.uniform() {
                Some(_) => name.into(),
                None => format!("{name} (each its own)"),
            },
        }
    }
}

fn neuron_types(foreign: &[ForeignNeurons]) -> String {
    format!(
        "an image can hold RectifiedLinear and LeakyReLU neurons and their spiking kinds; {}: use \
         relu activations, or swap them",
        each_layer(foreign)
    )
}

fn each_layer(foreign: &[ForeignNeurons]) -> String {
    let each: Vec<String> = foreign.iter().map(ForeignNeurons::to_string).collect();
    each.join(", ")
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

pub(super) const COMPOSITION: &str =
    "an activation (such as relu) between the two layers makes each a layer of its own";

/// Advice on a layer that only moves or mixes places.
pub(super) const PLACES: &str = "interpolation=\"nearest\" or Conv2DTranspose takes the place of a bilinear \
     UpSampling2D or Resizing there; elsewhere an activation (such as relu) between the two layers helps";

/// Advice on convolutions over three axes.
pub(super) const VOLUMES: &str = "convolve two of the axes, with what lies along the third as channels; or end the network before \
     it and compute the rest on the host";

/// Advice on average pooling whose windows hang over the border.
pub(super) const WINDOWS: &str = "padding=\"valid\", behind a ZeroPadding layer if the shape is to stay, makes all windows \
     alike; the network is to be trained again then";

pub(super) fn unsupported(
    layer: &str,
    what: impl Into<String>,
    advice: &'static str,
) -> LowerError {
    LowerError::Unsupported {
        layer: layer.into(),
        what: what.into(),
        advice,
        remedies: Vec::new(),
    }
}
