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
    /// Use another activation or neuron type instead of one (`ConvertOptions::swap_activations`).
    SwapActivation {
        /// The one in the model; `None` if it is clear from the message.
        from: Option<String>,
        /// One that works; `None` if several do.
        to: Option<String>,
    },
    /// Ignore what only matters in training (`ConvertOptions::inference_only`).
    InferenceOnly,
    /// Use average pooling instead of max pooling (`ConvertOptions::max_to_avg_pool`).
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
    /// Run so many steps at most; or say how many, if the data does not.
    RunSteps(Option<usize>),
    /// Use fewer samples.
    FewerSamples,
    /// State the model's version.
    ModelVersion,
    /// Make a pair of keys.
    MakeKeys,
    /// Sign the image.
    Sign,
    /// Give an image, as deploying a model writes it.
    Image,
    /// Deploy again, to write the image again.
    DeployAgain,
    /// Compare device and emulator step by step.
    Bisect,
    /// List the chips that are known, or describe another.
    ListChips,
    /// List which chips can be used.
    UsableChips,
    /// Give custom firmware, made for the chip.
    Firmware,
    /// Give custom firmware whose image type holds larger networks.
    LargerFirmware,
    /// Keep more flash for the firmware, if the linker says that something does not fit.
    FirmwareSize,
    /// Connect a probe, or use an emulated board.
    ConnectProbe,
    /// Choose one probe.
    ChooseProbe,
    /// List the connected probes.
    ListProbes,
    /// Start the emulated board, which has perhaps ended.
    StartEmulatedBoard,
    /// Check that it is this chip, has power, and is connected to the probe.
    CheckChip,
    /// Check that probe and power are there, then flash again.
    CheckConnection,
    /// Flash again; flash that stays wrong is worn out, protected, or another chip's.
    CheckFlash,
    /// Ask for no least version, or use a chip with room for two slots.
    NoMinimumVersion,
    /// Build firmware with the key, or ask for no key.
    FirmwareOrKey,
    /// Flash an image and its firmware.
    Flash,
    /// Flash the firmware too.
    FlashFirmware,
    /// Flash the firmware too, or wait longer for its answer.
    FlashFirmwareOrWait,
    /// Install the compiler's target of this name.
    InstallTarget(&'static str),
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
            Self::RunSteps(Some(steps)) => write!(f, "run at most {steps} steps"),
            Self::RunSteps(None) => f.write_str("say how many steps to run"),
            Self::FewerSamples => f.write_str("use fewer samples"),
            Self::ModelVersion => f.write_str("state the model's version"),
            Self::MakeKeys => f.write_str("make a pair of keys"),
            Self::Sign => f.write_str("sign the image"),
            Self::Image => f.write_str("give an image, as deploying a model writes it"),
            Self::DeployAgain => f.write_str("deploy the model again"),
            Self::Bisect => f.write_str("compare device and emulator step by step"),
            Self::ListChips => f.write_str("list the chips that are known"),
            Self::UsableChips => f.write_str("list which chips can be used"),
            Self::Firmware => f.write_str("give firmware that is made for the chip"),
            Self::LargerFirmware => f.write_str("give firmware that holds larger networks"),
            Self::FirmwareSize => f.write_str("keep more flash for the firmware"),
            Self::ConnectProbe => f.write_str("connect a probe, or use an emulated board"),
            Self::ChooseProbe => f.write_str("choose one probe"),
            Self::ListProbes => f.write_str("list the connected probes"),
            Self::StartEmulatedBoard => f.write_str("start the emulated board"),
            Self::CheckChip => {
                f.write_str("check the chip, its power and its connection to the probe")
            }
            Self::CheckConnection => f.write_str("check probe and power, then flash again"),
            Self::CheckFlash => f.write_str("flash again"),
            Self::NoMinimumVersion => f.write_str("ask for no least version"),
            Self::FirmwareOrKey => f.write_str("build firmware with the key"),
            Self::Flash => f.write_str("flash an image and its firmware"),
            Self::FlashFirmware => f.write_str("flash the firmware too"),
            Self::FlashFirmwareOrWait => f.write_str("flash the firmware too, or wait longer"),
            Self::InstallTarget(target) => write!(f, "install the compiler's target {target}"),
        }
    }
}

/// Errors that know remedies.
pub trait Advised {
    /// The remedies, the best first; empty if there is none to name.
    fn advice(&self) -> Vec<Advice>;
}
