//! The board that a command works on: a real one, or one that is emulated meanwhile.

use crate::device::{Chip, Chips, Selector};
use emulated_board::{Board as Emulated, Options};

use crate::cli::args::BoardFlags;
use crate::cli::diagnostics::Failure;

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
        chips.add_description(path).map_err(Failure::of)?;
    }
    let chip = match (flags.on, flags.board) {
        (Some(machine), _) => {
            if let Some(text) = machine.chip_description() {
                chips.add_yaml(machine.name(), text).map_err(Failure::of)?;
            }
            chips.find(machine.chip()).map_err(Failure::of)?
        }
        (None, Some(board)) => board.chip(&chips).map_err(Failure::of)?,
        (None, None) => {
            let name = flags.chip.as_deref().unwrap_or_default();
            chips.find(name).map_err(Failure::of)?
        }
    };
    let Some(bytes) = flags.flash_size else {
        return Ok(chip);
    };
    let bytes = u32::try_from(bytes)
        .map_err(|_| Failure::new("--flash-size is more than any flash has"))?;
    Ok(chip.with_flash_size(bytes))
}

/// The board that is meant, started if it is an emulated one.
pub(crate) fn connect(flags: &BoardFlags, chip: Chip) -> Result<Board, Failure> {
    let emulated = flags
        .on
        .map(|machine| Emulated::start(machine, &Options::default()))
        .transpose()?;
    let probe = match &emulated {
        Some(board) => Some(board.probe_selector()),
        None => match flags.probe.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => {
                return Err(Failure::new("this command works on one board")
                    .hint("give one --probe; `run` and `bench` take several"));
            }
        },
    };
    let probe = probe
        .map(|text| text.parse::<Selector>())
        .transpose()
        .map_err(Failure::of)?;
    Ok(Board {
        chip,
        probe,
        _emulated: emulated,
    })
}
