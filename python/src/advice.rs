//! Remedies as arguments of the Python package: the one place that words them.

use tinyspike::advice::Advice;

/// A remedy as a hint.
pub(crate) fn hint(advice: &Advice) -> String {
    match advice {
        Advice::SwapActivation { from, to } => {
            let from = from.as_deref().unwrap_or("FROM");
            let to = to.as_deref().unwrap_or("TO");
            format!("swap_activations={{{from:?}: {to:?}}} uses another")
        }
        Advice::InferenceOnly => "inference_only=True ignores what only matters in training".into(),
        Advice::AveragePooling => "max_to_avg_pool=True uses average pooling, which is native".into(),
        Advice::AllowFallback => {
            "allow_fallback=True makes a TensorNode, which simulates but does not deploy".into()
        }
        Advice::SplitSharedWeights => {
            "split_shared_weights=True gives each use its own weights".into()
        }
        Advice::TemporalModel => "temporal_model=True takes the first axis as time".into(),
        Advice::InputShape => "input_shapes=[(1000, 4)] states the lengths of an input's axes".into(),
        Advice::NoSynapse => "synapse=None converts without a filter".into(),
        Advice::Configuration => "config= takes the text or the file of model.to_json()".into(),
        Advice::Exact => "goal=\"exact\" runs the network's own neurons and synapses".into(),
        Advice::NotExact => "goal=\"plain\" or \"tuned\" deploys without the network's own neurons and synapses".into(),
        Advice::Calibrate => "calibration= takes real inputs, a few hundred at least".into(),
        Advice::Steps(steps) => format!("deploy with steps={steps}"),
        Advice::FewerSteps => "deploy with fewer steps=".into(),
        Advice::SmallerMaxCount => "deploy with a smaller max_count=".into(),
        Advice::WeightBits(bits) => format!("give weight_bits= of at most {bits}"),
        Advice::SmallerImage => {
            "deploy with other max_ram= and max_flash=, or goal=\"tuned\", for a smaller image".into()
        }
        Advice::KernelFamily(name) => format!("deploy with target={name:?}"),
        Advice::RunSteps(Some(steps)) => format!("give steps={steps} at most"),
        Advice::RunSteps(None) => "steps=50 shows each sample for 50 steps; samples over time have the shape (samples, steps, ...)".into(),
        Advice::FewerSamples => "run fewer samples, such as x[:100]".into(),
        Advice::ModelVersion => "deploy with model_version=, which says which version a model is".into(),
        Advice::MakeKeys => "tinyspike.keygen() makes a pair of keys".into(),
        Advice::Sign => "image.sign(key) signs it".into(),
        Advice::Image => "an image is a file that Image.save() writes".into(),
        Advice::DeployAgain => "network.deploy(...).save(file) writes it again".into(),
        Advice::Bisect => "run(..., bisect=True) finds the neuron where they part".into(),
        Advice::ListChips => "`tinyspike chips SEARCH` lists the chips, `tinyspike boards` the boards; chip_description= adds a chip".into(),
        Advice::UsableChips => "`tinyspike chips SEARCH` shows which chips can be used".into(),
        Advice::BenchEmulated => "`Image.bench` counts its instructions on emulated boards".into(),
        Advice::ListBoards => "`tinyspike boards` lists the boards; on= takes the name of any chip, too".into(),
        Advice::FileKind(file) => format!("`tinyspike export IMAGE --board NAME --{file} FILE` writes one"),
        Advice::SerialPorts(ports) => format!("serial lines that there are: {}", ports.join(", ")),
        Advice::FlashSize => "`tinyspike flash` takes --flash-size and --board, which say how much flash there is".into(),
        Advice::Library(core) => format!("`tinyspike export IMAGE --c DIR --core {core}` writes a project in C for it"),
        Advice::Firmware => "firmware= takes an ELF file that is made for the chip".into(),
        Advice::FirmwareSize => "if the firmware does not fit its place, keep more flash for it with `tinyspike flash --firmware-size BYTES`".into(),
        Advice::ConnectProbe => "connect one, or use an emulated board with on=\"emulated:microbit\"; on Linux, probes need udev rules".into(),
        Advice::ChooseProbe => "choose one with probe=\"VID:PID:SERIAL\"".into(),
        Advice::ListProbes => "`tinyspike probes` lists the connected probes".into(),
        Advice::StartEmulatedBoard => "does the emulated board still run? `tinyspike emulated-board` starts one".into(),
        Advice::CheckChip => "is it this chip, has it power, and is it connected to the probe?".into(),
        Advice::CheckConnection => "see that the probe is still connected and the chip has power, then flash again".into(),
        Advice::CheckFlash => "flash again; if it stays so, the flash is worn out, protected, or another chip's".into(),
        Advice::NoMinimumVersion => "use a chip with room for two slots, or ask for no least version".into(),
        Advice::FirmwareOrKey => "leave firmware= out to build one with the key, or leave the key out".into(),
        Advice::Flash => "image.flash(...) writes an image and its firmware".into(),
        Advice::FlashFirmware => "image.flash(...) writes the firmware too".into(),
        Advice::FlashFirmwareOrWait => "image.flash(...) writes the firmware too".into(),
        Advice::InstallTarget(target) => format!("`rustup target add {target}` installs it"),
    }
}
