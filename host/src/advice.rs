//! Remedies that errors and warnings name, as data.
//!
//! The library knows settings, not how a user gives them. Each front end words a remedy in its own
//! terms: the command-line tool as flags, a binding as arguments.

/// A remedy. A front end words every one of them, so that the list is no open one.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// State the shape of an input whose axes have no length (`Model::set_input_shapes`).
    InputShape,
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
    /// List the boards that are known.
    ListBoards,
    /// Count the instructions on an emulated board.
    BenchEmulated,
    /// Write a file of this kind, such as `hex`.
    FileKind(String),
    /// Choose one of these serial lines, which there are.
    SerialPorts(Vec<String>),
    /// State the size of the flash for programs, or the board that the chip is on.
    FlashSize,
    /// Export a project in C for the core of this name.
    Library(&'static str),
    /// Give custom firmware, made for the chip.
    Firmware,
    /// Keep more flash for the firmware, which does not fit its place.
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

/// Errors that know remedies.
pub trait Advised {
    /// The remedies, the best first; empty if there is none to name.
    fn advice(&self) -> Vec<Advice>;
}
