//! Remedies that errors and warnings name, as data.
//!
//! The library knows settings, not how a user gives them. Each front end words a remedy in its own
//! terms: the command-line tool as flags, a binding as arguments. [`Display`](std::fmt::Display) words
//! it without either, for messages that are shown as they are.

use std::fmt;

/// A remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Use another activation or neuron type in place of one (`ConvertOptions::swap_activations`).
    SwapActivation {
        /// The one in the model; `None` if it is clear from the message.
        from: Option<String>,
        /// One that works; `None` if several do.
        to: Option<String>,
    },
    /// Ignore what only matters in training (`ConvertOptions::inference_only`).
    InferenceOnly,
    /// Use average pooling in place of max pooling (`ConvertOptions::max_to_avg_pool`).
    AveragePooling,
    /// Let layers without a native form become TensorNodes (`ConvertOptions::allow_fallback`).
    AllowFallback,
    /// Give each use of a shared layer its own weights (`ConvertOptions::split_shared_weights`).
    SplitSharedWeights,
    /// Take the first axis of inputs as time (`ConvertOptions::temporal_model`).
    TemporalModel,
    /// Convert without a synapse (`ConvertOptions::synapse`).
    NoSynapse,
    /// Give the model's configuration beside its weights (`Model::load_with_config`).
    Configuration,
    /// Deploy the network with its own neurons and synapses (`DeployOptions::exact`).
    Exact,
    /// Deploy without the network's own neurons and synapses (`DeployOptions::plain`).
    NotExact,
    /// Calibrate on real inputs, a few hundred at least.
    Calibrate,
    /// Deploy for so many steps.
    Steps(u16),
    /// Deploy for fewer steps.
    FewerSteps,
    /// Allow a neuron fewer spikes in a step.
    SmallerMaxCount,
    /// Use weights of at most so many bits.
    WeightBits(u8),
    /// Search for the cheapest image, or raise its budgets.
    SmallerImage,
    /// Deploy for the kernel family of this name.
    KernelFamily(String),
    /// Use fewer samples.
    FewerSamples,
    /// State the model's version.
    ModelVersion,
    /// Make a pair of keys.
    MakeKeys,
    /// Sign the image.
    Sign,
    /// Deploy again, to write the image again.
    DeployAgain,
    /// Compare device and emulator step by step.
    Bisect,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwapActivation { from, to } => match (from, to) {
                (Some(from), Some(to)) => write!(f, "swap {from} for {to}"),
                (Some(from), None) => write!(f, "swap {from} for another"),
                (None, Some(to)) => write!(f, "swap it for {to}"),
                (None, None) => f.write_str("swap it for another"),
            },
            Self::InferenceOnly => f.write_str("ignore what only matters in training"),
            Self::AveragePooling => f.write_str("use average pooling in place of max pooling"),
            Self::AllowFallback => f.write_str("let it become a TensorNode"),
            Self::SplitSharedWeights => f.write_str("give each use its own weights"),
            Self::TemporalModel => f.write_str("take the first axis as time"),
            Self::NoSynapse => f.write_str("convert without a synapse"),
            Self::Configuration => f.write_str("give the model's configuration beside its weights"),
            Self::Exact => f.write_str("deploy the network exactly"),
            Self::NotExact => f.write_str("deploy the network, but not exactly"),
            Self::Calibrate => f.write_str("calibrate on a few hundred real inputs"),
            Self::Steps(steps) => write!(f, "deploy for {steps} steps"),
            Self::FewerSteps => f.write_str("deploy for fewer steps"),
            Self::SmallerMaxCount => f.write_str("allow fewer spikes in a step"),
            Self::WeightBits(bits) => write!(f, "use weights of at most {bits} bits"),
            Self::SmallerImage => f.write_str("tune for a smaller image"),
            Self::KernelFamily(name) => write!(f, "deploy for {name}"),
            Self::FewerSamples => f.write_str("use fewer samples"),
            Self::ModelVersion => f.write_str("state the model's version"),
            Self::MakeKeys => f.write_str("make a pair of keys"),
            Self::Sign => f.write_str("sign the image"),
            Self::DeployAgain => f.write_str("deploy the model again"),
            Self::Bisect => f.write_str("compare device and emulator step by step"),
        }
    }
}

/// Errors that know remedies.
pub trait Advised {
    /// The remedies, the best first; empty if there is none to name.
    fn advice(&self) -> Vec<Advice>;
}
