//! Reasons why a network cannot be quantized.

use crate::advice::{Advice, Advised};
use crate::lower::ForeignNeurons;

/// Reason why a network cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// Settings that make no sense.
    #[error(
        "max_count and every layer's max_count must be at least 1, steps too unless a network is exact, \
         input_bits 1 to 8, weight_bits 2 to 8 (of exact networks to 16), every clip a positive number, a \
         percentile above 0 and at most 1, and dt a positive number of seconds"
    )]
    Options,
    /// A geometry beyond the image's fields.
    #[error("layer {layer:?}: {what} of {value} is more than an image can hold ({limit})")]
    Geometry {
        /// The target layer.
        layer: String,
        /// Name of the size.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The largest that an image can hold.
        limit: usize,
    },
    /// A weight or bias is infinite or not a number.
    #[error("layer {layer:?}: a weight or bias is not a finite number")]
    NotFinite {
        /// The layer.
        layer: String,
    },
    /// A bound exceeds 32 bits.
    #[error(
        "layer {layer:?}: a potential could reach {bound}{}, more than 32 bits hold; fewer steps or fewer spikes in a step make it smaller",
        if *steps > 0 { format!(" within {steps} steps") } else { String::new() }
    )]
    Overflow {
        /// The layer.
        layer: String,
        /// The bound.
        bound: i64,
        /// The steps; 0 without end.
        steps: u16,
    },
    /// A sum of counts exceeds 16 bits.
    #[error(
        "layer {layer:?}: a place that is pooled could count {bound} spikes within {steps} steps, more than 16 bits hold; fewer steps or fewer spikes in a step make it smaller"
    )]
    Counts {
        /// The layer.
        layer: String,
        /// The bound.
        bound: i64,
        /// The steps.
        steps: u16,
    },
    /// Neurons that images do not have as they are.
    #[error("{}", neurons(foreign, known))]
    Neurons {
        /// The neurons of each layer.
        foreign: Vec<ForeignNeurons>,
        /// Types that images have.
        known: String,
    },
    /// A voltage at or above the threshold.
    #[error("layer {layer:?}: a neuron's voltage starts at {voltage}; it must be below 1")]
    Start {
        /// The layer.
        layer: String,
        /// The voltage.
        voltage: f32,
    },
    /// A parameter of neurons beyond what an image can hold.
    #[error("layer {layer:?}: {what} of {value} is more than an image can hold ({limit})")]
    Limit {
        /// The layer.
        layer: String,
        /// The parameter.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The largest.
        limit: f64,
    },
    /// Part that images cannot hold.
    #[error("layer {layer:?}: {what} cannot be deployed to a device; {remedy}")]
    Unsupported {
        /// The layer.
        layer: String,
        /// Its property.
        what: &'static str,
        /// A remedy.
        remedy: &'static str,
    },
}

impl QuantizeError {
    /// The layer at fault, if it is one.
    #[must_use]
    pub fn layer(&self) -> Option<&str> {
        match self {
            Self::Options => None,
            Self::Neurons { foreign, .. } => foreign.first().map(|f| f.layer.as_str()),
            Self::Geometry { layer, .. }
            | Self::NotFinite { layer }
            | Self::Overflow { layer, .. }
            | Self::Counts { layer, .. }
            | Self::Start { layer, .. }
            | Self::Limit { layer, .. }
            | Self::Unsupported { layer, .. } => Some(layer),
        }
    }
}

impl Advised for QuantizeError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Overflow { steps, .. } if *steps > 0 => {
                vec![Advice::FewerSteps, Advice::SmallerMaxCount]
            }
            Self::Counts { .. } => vec![Advice::FewerSteps, Advice::SmallerMaxCount],
            Self::Overflow { .. } => vec![Advice::SmallerMaxCount],
            Self::Neurons { .. } => vec![
                Advice::SwapActivation {
                    from: Some("relu".into()),
                    to: Some("spiking-relu".into()),
                },
                Advice::NotExact,
            ],
            _ => Vec::new(),
        }
    }
}

fn neurons(foreign: &[ForeignNeurons], known: &str) -> String {
    let each: Vec<String> = foreign.iter().map(ForeignNeurons::to_string).collect();
    format!(
        "an exact image can hold neurons of the types {known}; {}: swap them, such as relu for spiking-relu",
        each.join(", ")
    )
}
