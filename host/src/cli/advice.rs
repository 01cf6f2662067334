//! Remedies as this tool's flags and commands: the one place that words them.

use crate::advice::Advice;

/// A remedy as a hint.
pub(crate) fn hint(advice: &Advice) -> String {
    match advice {
        Advice::SwapActivation { from, to } => {
            let from = from.as_deref().unwrap_or("FROM");
            let to = to.as_deref().unwrap_or("TO");
            format!("--swap-activation {from}={to} uses another")
        }
        Advice::InferenceOnly => "--inference-only ignores what only matters in training".into(),
        Advice::AveragePooling => "--max-to-avg-pool uses average pooling, which is native".into(),
        Advice::AllowFallback => {
            "leave out --no-fallback for a TensorNode, which simulates but does not deploy".into()
        }
        Advice::SplitSharedWeights => {
            "--split-shared-weights gives each use its own weights".into()
        }
        Advice::TemporalModel => "--temporal-model takes the first axis as time".into(),
        Advice::InputShape => "--input-shape 1000,4 states the lengths of an input's axes".into(),
        Advice::NoSynapse => "--synapse none converts without a filter".into(),
        Advice::Configuration => "give the configuration with --config FILE".into(),
        Advice::Exact => "--exact runs the network's own neurons and synapses".into(),
        Advice::NotExact => "leave out --exact".into(),
        Advice::Calibrate => "give a few hundred real inputs with --calibration FILE".into(),
        Advice::Steps(steps) => format!("convert with --steps {steps}"),
        Advice::FewerSteps => "convert with fewer --steps".into(),
        Advice::SmallerMaxCount => "convert with a smaller --max-count".into(),
        Advice::WeightBits(bits) => format!("give --weight-bits of at most {bits}"),
        Advice::SmallerImage => {
            "convert with --max-ram and --max-flash, or --tune, for a smaller image".into()
        }
        Advice::KernelFamily(name) => format!("convert with --target {name}"),
        Advice::RunSteps(Some(steps)) => format!("give --steps {steps} at most"),
        Advice::RunSteps(None) => "--steps 50 shows each sample for 50 steps; samples over time have the shape (samples, steps, ...)".into(),
        Advice::FewerSamples => "run fewer samples with --limit".into(),
        Advice::ModelVersion => {
            "`tinyspike convert --model-version N` says which version a model is".into()
        }
        Advice::MakeKeys => "`tinyspike keygen -o FILE` makes a pair of keys, the public one in FILE.pub".into(),
        Advice::Sign => "`tinyspike sign IMAGE --key FILE` signs it".into(),
        Advice::Image => {
            "an image is a file that `tinyspike convert MODEL -o IMAGE` writes".into()
        }
        Advice::DeployAgain => "`tinyspike convert MODEL -o IMAGE` writes it again".into(),
        Advice::Bisect => "`tinyspike run --bisect` finds where they part".into(),
        Advice::ListChips => "`tinyspike chips SEARCH` lists the chips; --chip-description FILE.yaml adds one".into(),
        Advice::UsableChips => "`tinyspike chips SEARCH` shows which chips can be used".into(),
        Advice::BenchEmulated => "`tinyspike bench --on emulated:mps2-an386` counts its instructions".into(),
        Advice::ListBoards => "`tinyspike boards` lists the boards; --chip NAME takes any chip".into(),
        Advice::FileKind(file) => format!("write one with --{file} FILE"),
        Advice::SerialPorts(ports) if ports.is_empty() => {
            "no serial line is connected; on Linux, users of serial lines are in the group dialout".into()
        }
        Advice::SerialPorts(ports) => format!("there are {}; on Linux, users of serial lines are in the group dialout", ports.join(", ")),
        Advice::FlashSize => "--flash-size 2M says how much flash there is; --board NAME knows it of a board (`tinyspike boards`)".into(),
        Advice::Library(core) => format!("`tinyspike export IMAGE --c DIR --core {core}` writes a project in C for it"),
        Advice::Firmware => "give firmware that is made for the chip with --firmware ELF".into(),
        Advice::FirmwareSize => "if the firmware does not fit its place, keep more flash for it with --firmware-size BYTES".into(),
        Advice::ConnectProbe => "connect one, or use an emulated board with --on emulated:microbit; on Linux, probes need udev rules".into(),
        Advice::ChooseProbe => "choose one with --probe VID:PID:SERIAL".into(),
        Advice::ListProbes => "`tinyspike probes` lists the connected probes".into(),
        Advice::StartEmulatedBoard => "does the emulated board still run? `tinyspike emulated-board` starts one".into(),
        Advice::CheckChip => "is it this chip, has it power, and is it connected to the probe?".into(),
        Advice::CheckConnection => "see that the probe is still connected and the chip has power, then flash again".into(),
        Advice::CheckFlash => "flash again; if it stays so, the flash is worn out, protected, or another chip's".into(),
        Advice::NoMinimumVersion => "leave out --minimum-version, or use a chip with room for two slots".into(),
        Advice::FirmwareOrKey => "leave out --firmware to build one with the key, or leave out --key".into(),
        Advice::Flash => "`tinyspike flash` writes an image and its firmware".into(),
        Advice::FlashFirmware => "flash without --model-only to write the firmware too".into(),
        Advice::FlashFirmwareOrWait => "flash without --model-only to write the firmware too, or wait longer with --timeout SECONDS".into(),
        Advice::InstallTarget(target) => format!("`rustup target add {target}` installs it"),
    }
}

/// Remedies as one hint; `None` if there are none.
pub(crate) fn hints(advice: &[Advice]) -> Option<String> {
    let hints: Vec<String> = advice.iter().map(hint).collect();
    (!hints.is_empty()).then(|| hints.join("; or "))
}
