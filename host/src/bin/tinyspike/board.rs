//! The board that a command works on: a real one, or one that is emulated meanwhile.

use emulated_board::{Board as Emulated, Options};
use tinyspike::device::{Chip, Chips, DeviceError, Selector};

use crate::args::BoardFlags;
use crate::diagnostics::Failure;

/// A chip, and what selects its probe.
pub(crate) struct Board {
    pub(crate) chip: Chip,
    pub(crate) probe: Option<Selector>,
    /// An emulated board lives as long as this.
    _emulated: Option<Emulated>,
}

/// The chip that is meant; nothing is connected to it.
pub(crate) fn chip(flags: &BoardFlags) -> Result<Chip, Failure> {
    let mut chips = Chips::builtin();
    if let Some(path) = &flags.chip_description {
        chips.add_description(path).map_err(failure)?;
    }
    let name = match flags.on {
        Some(machine) => {
            if let Some(text) = machine.chip_description() {
                chips.add_yaml(machine.name(), text).map_err(failure)?;
            }
            machine.chip()
        }
        None => flags.chip.as_deref().unwrap_or_default(),
    };
    chips.find(name).map_err(failure)
}

/// The board that is meant, started where it is an emulated one.
pub(crate) fn connect(flags: &BoardFlags, chip: Chip) -> Result<Board, Failure> {
    let emulated = flags
        .on
        .map(|machine| Emulated::start(machine, &Options::default()))
        .transpose()?;
    let probe = match &emulated {
        Some(board) => Some(board.probe_selector()),
        None => flags.probe.clone(),
    };
    let probe = probe
        .map(|text| text.parse())
        .transpose()
        .map_err(failure)?;
    Ok(Board {
        chip,
        probe,
        _emulated: emulated,
    })
}

/// An error about a chip, with what to do.
pub(crate) fn failure(error: DeviceError) -> Failure {
    let hint = match &error {
        DeviceError::UnknownChip { .. } | DeviceError::AmbiguousChip { .. } => {
            "`tinyspike chips SEARCH` lists the chips; --chip-description FILE.yaml adds one"
        }
        DeviceError::NoTarget { target, .. } => {
            let hint = format!(
                "`rustup target add {target}` installs it; or give a firmware of your own with --firmware ELF"
            );
            return Failure::from(error).hint(hint);
        }
        DeviceError::Build(_) => {
            "where the linker says that something will not fit, keep more flash with --firmware-size BYTES"
        }
        DeviceError::NeedsOwnFirmware { .. } => {
            "give a firmware that is made for the chip with --firmware ELF"
        }
        DeviceError::NoProbe => {
            "connect one, or use an emulated board with --on emulated:microbit; on Linux, probes need udev rules"
        }
        DeviceError::SeveralProbes { .. } => "choose one with --probe VID:PID:SERIAL",
        DeviceError::OpenProbe { selector, .. } if selector.contains(":tcp:") => {
            "does the emulated board still run? `tinyspike emulated-board` starts one"
        }
        DeviceError::OpenProbe { .. } => "`tinyspike probes` lists the connected probes",
        DeviceError::Attach { .. } | DeviceError::OtherChip { .. } => {
            "is it this chip, has it power, and is it connected to the probe?"
        }
        DeviceError::Connection { .. } => {
            "see that the probe is still connected and the chip has power, then flash again"
        }
        DeviceError::Verify { .. } => {
            "flash again; if it stays so, the flash is worn out, protected, or another chip's"
        }
        DeviceError::NoJournal { .. } => {
            "leave out --minimum-version, or use a chip with room for two slots"
        }
        DeviceError::OtherKey { .. } => {
            "leave out --firmware to build one with the key, or leave out --key"
        }
        DeviceError::NotThere { .. } => "`tinyspike flash` writes an image and its firmware",
        DeviceError::Silent { .. } | DeviceError::Protocol { .. } => {
            "flash without --model-only to write the firmware too, or wait longer with --timeout SECONDS"
        }
        DeviceError::Image { .. } => "flash without --model-only to write the firmware too",
        DeviceError::TooManyLayers { .. } => {
            "give a firmware of your own with --firmware ELF, whose Image holds more"
        }
        DeviceError::OverBudget { .. } => {
            "convert with --max-ram and --max-flash, or --tune, for a smaller image"
        }
        DeviceError::Memory { .. } => "`tinyspike chips SEARCH` shows which chips can be used",
        _ => return Failure::from(error),
    };
    Failure::from(error).hint(hint)
}
