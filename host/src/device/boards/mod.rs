//! Boards that one can buy, by name: their chips, and where programs go on them.
//!
//! [`BOARDS`] is the one place for what is known of a board, each fact with its source. What probe-rs's database
//! has of its chip stays there.

mod data;

use std::fmt;

use serde::Serialize;
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;

use super::likeness::{likest, nearest};
use super::region::Region;
use crate::advice::{Advice, Advised};

pub use data::BOARDS;

/// A board that one can buy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Board {
    /// The name that a user gives, such as `pico-2`.
    pub name: &'static str,
    /// The maker's name of it.
    pub title: &'static str,
    /// The name of its chip.
    pub chip: &'static str,
    /// Its core, such as `Cortex-M0+`.
    pub core: &'static str,
    /// Clocks of the core.
    pub clock: Clock,
    /// Bytes of flash.
    pub flash: u32,
    /// Bytes of RAM.
    pub ram: u32,
    /// Programs that run on it.
    pub runs: Runs,
    /// The way that programs get onto it.
    pub flashing: &'static str,
    /// The file that it takes, dropped onto the drive that it shows or sent by its maker's tool.
    pub file: Option<File>,
    /// Current of the working core, if a source for it was found.
    pub current: Option<Current>,
    /// The source of clock and memory.
    pub source: &'static str,
}

/// Clocks of a core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Clock {
    /// The fastest that the chip is made for, in MHz.
    pub full_mhz: f64,
    /// The slowest and the fastest after a reset, in MHz, which the application leaves as it is; `None` if it does not
    /// run there.
    pub reset_mhz: Option<[f64; 2]>,
}

/// Programs that run on a board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Runs {
    /// The application, and custom firmware.
    Application {
        /// probe-rs's name of the chip.
        #[serde(rename = "probe-rs")]
        probe_rs: &'static str,
        /// The flash for programs; `None` for all that the chip's description has.
        place: Option<Place>,
    },
    /// A project in C with the engine as a library, for the core of this name.
    Library(&'static str),
}

/// The flash for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Place {
    /// A flash chip beside the microcontroller, of so many bytes.
    External(u32),
    /// The part that the board's boot loader leaves to programs.
    BehindLoader(Region),
}

/// A file that a board takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum File {
    /// UF2, with the family that its boot loader asks for.
    Uf2 {
        /// The family's number.
        family: u32,
    },
    /// Intel's hexadecimal format.
    Hex,
    /// The bytes of the flash from the start of programs on.
    Bin,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uf2 { .. } => "uf2",
            Self::Hex => "hex",
            Self::Bin => "bin",
        })
    }
}

/// A current, as somebody has measured it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Current {
    /// Milliamperes for each MHz of the core's clock.
    pub ma_per_mhz: f64,
    /// The voltage in volts.
    pub volts: f64,
    /// The document, and the place in it.
    pub source: &'static str,
}

/// No board has a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no board is called {name:?}{}", nearest(suggestions))]
pub struct UnknownBoard {
    /// The name.
    pub name: String,
    /// Names that are like it, the nearest first.
    pub suggestions: Vec<&'static str>,
}

impl Advised for UnknownBoard {
    fn advice(&self) -> Vec<Advice> {
        vec![Advice::ListBoards]
    }
}

impl Board {
    /// The board with a name, in any case, with spaces, underscores or hyphens between its words.
    ///
    /// # Errors
    /// [`UnknownBoard`], with the nearest names.
    pub fn find(name: &str) -> Result<&'static Self, UnknownBoard> {
        let wanted = plain(name);
        let named = |b: &&Self| plain(b.name) == wanted || plain(b.title) == wanted;
        BOARDS.iter().find(named).ok_or_else(|| UnknownBoard {
            name: name.to_owned(),
            suggestions: near(&wanted),
        })
    }

    /// The kernels that its core runs.
    #[must_use]
    pub fn family(&self) -> &'static Family {
        match (self.runs, self.core) {
            (Runs::Library(_), _) => &families::RV32,
            (_, "Cortex-M0" | "Cortex-M0+") => &families::SWAR,
            _ => &families::DSP,
        }
    }

    /// The flash for programs, if it is not all that the chip's description has.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        match self.runs {
            Runs::Application { place, .. } => place,
            Runs::Library(_) => None,
        }
    }
}

/// A name without what people write in several ways.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric() || *c == '+');
    letters.flat_map(char::to_lowercase).collect()
}

/// The names that are the most like one.
fn near(wanted: &str) -> Vec<&'static str> {
    const MOST: usize = 3;
    let names = BOARDS.iter().map(|board| {
        let likeness = |name: &str| {
            let name = plain(name);
            let part = wanted.len() >= 3 && (name.contains(wanted) || wanted.contains(&name));
            f64::from(u8::from(part)) + strsim::jaro_winkler(wanted, &name)
        };
        let alike = [board.name, board.title, board.chip].map(likeness);
        (alike.into_iter().fold(0.0, f64::max), board.name)
    });
    likest(names, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_people_write_them() {
        for (name, found) in [
            ("pico", "pico"),
            ("Pico_2", "pico-2"),
            ("Raspberry Pi Pico 2", "pico-2"),
            ("NUCLEO-F411RE", "nucleo-f411re"),
            ("bbc micro:bit v2", "microbit-v2"),
        ] {
            assert_eq!(Board::find(name).unwrap().name, found, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        for (name, first) in [
            ("picco", "pico"),
            ("microbit", "microbit-v1"),
            ("nano33ble", "arduino-nano-33-ble"),
            ("rp2350", "pico-2"),
            ("nucleo-f411", "nucleo-f411re"),
            ("xiao", "xiao-nrf52840"),
        ] {
            let error = Board::find(name).unwrap_err();
            assert_eq!(error.suggestions.first(), Some(&first), "{error}");
        }
        let error = Board::find("z80").unwrap_err().to_string();
        assert_eq!(error, "no board is called \"z80\"");
    }

    #[test]
    fn names_are_unlike_each_other() {
        for (at, board) in BOARDS.iter().enumerate() {
            for other in &BOARDS[at + 1..] {
                assert_ne!(plain(board.name), plain(other.name));
                assert_ne!(plain(board.title), plain(other.title));
            }
        }
    }
}
