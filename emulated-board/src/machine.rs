//! The boards: what each has, and what probe-rs calls its chip.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// probe-rs's description of the chips that its database does not have, as YAML.
///
/// It is `chips/mps2.yaml` of this crate. A program of one's own hands it to
/// `probe_rs::config::Registry::add_target_family_from_yaml`; the `probe-rs` tool takes it as a file:
/// `--chip-description-path`.
pub const MPS2_DESCRIPTION: &str = include_str!("../chips/mps2.yaml");

/// A board that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Machine {
    /// BBC micro:bit: nRF51822, Cortex-M0, 256 KiB of flash behind a flash controller, 16 KiB of RAM.
    Microbit,
    /// Arm MPS2 with the image AN386: Cortex-M4. Its program memory is RAM, and serves as 4 MiB of flash.
    Mps2An386,
    /// Arm MPS2 with the image AN500: Cortex-M7. Its program memory is RAM, and serves as 4 MiB of flash.
    Mps2An500,
    /// Netduino Plus 2: STM32F405, Cortex-M4. QEMU has no flash controller for it, so that flashing seems to
    /// work and verification fails.
    NetduinoPlus2,
}

impl Machine {
    /// Every board.
    pub const ALL: [Self; 4] = [
        Self::Microbit,
        Self::Mps2An386,
        Self::Mps2An500,
        Self::NetduinoPlus2,
    ];

    /// QEMU's name of it, such as `mps2-an386`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Microbit => "microbit",
            Self::Mps2An386 => "mps2-an386",
            Self::Mps2An500 => "mps2-an500",
            Self::NetduinoPlus2 => "netduinoplus2",
        }
    }

    /// Its processor, such as `Cortex-M4`.
    #[must_use]
    pub fn cpu(self) -> &'static str {
        match self {
            Self::Microbit => "Cortex-M0",
            Self::Mps2An386 | Self::NetduinoPlus2 => "Cortex-M4",
            Self::Mps2An500 => "Cortex-M7",
        }
    }

    /// probe-rs's name of its chip, such as `nRF51822_xxAA`.
    #[must_use]
    pub fn chip(self) -> &'static str {
        match self {
            Self::Microbit => "nRF51822_xxAA",
            Self::Mps2An386 => "MPS2_AN386",
            Self::Mps2An500 => "MPS2_AN500",
            Self::NetduinoPlus2 => "STM32F405RGTx",
        }
    }

    /// The description of its chip, where probe-rs's database has none: [`MPS2_DESCRIPTION`].
    #[must_use]
    pub fn chip_description(self) -> Option<&'static str> {
        match self {
            Self::Mps2An386 | Self::Mps2An500 => Some(MPS2_DESCRIPTION),
            Self::Microbit | Self::NetduinoPlus2 => None,
        }
    }

    /// The addresses of its flash, which starts with the vector table.
    #[must_use]
    pub fn flash(self) -> Range<u32> {
        match self {
            Self::Microbit => 0..256 << 10,
            Self::Mps2An386 | Self::Mps2An500 => 0..4 << 20,
            Self::NetduinoPlus2 => 0x0800_0000..0x0810_0000,
        }
    }

    /// The addresses of its main RAM.
    #[must_use]
    pub fn ram(self) -> Range<u32> {
        let start = 0x2000_0000;
        match self {
            Self::Microbit => start..start + (16 << 10),
            Self::Mps2An386 | Self::Mps2An500 => start..start + (4 << 20),
            Self::NetduinoPlus2 => start..start + (128 << 10),
        }
    }

    /// Further memory, which programs may use as they like.
    fn more_memory(self) -> Option<Range<u32>> {
        match self {
            Self::Mps2An386 => Some(0x2100_0000..0x2200_0000),
            Self::Mps2An500 => Some(0x6000_0000..0x6100_0000),
            Self::Microbit | Self::NetduinoPlus2 => None,
        }
    }

    /// Tells whether an address is in memory, which has no side effects, at any width.
    pub(crate) fn is_memory(self, address: u32) -> bool {
        [Some(self.flash()), Some(self.ram()), self.more_memory()]
            .into_iter()
            .flatten()
            .any(|region| region.contains(&address))
    }

    /// Tells whether anything answers at an address.
    pub(crate) fn is_mapped(self, address: u32) -> bool {
        let more = match self {
            // Factory information, and the user's.
            Self::Microbit => [0x1000_0000..0x1000_1000, 0x1000_1000..0x1000_2000],
            Self::Mps2An386 | Self::Mps2An500 => [0..0, 0..0],
            // RAM for the core alone, which reads as zeros in QEMU 7.2, and factory information.
            Self::NetduinoPlus2 => [0x1000_0000..0x1001_0000, 0x1fff_0000..0x2000_0000],
        };
        const PERIPHERALS: Range<u32> = 0x4000_0000..0x6000_0000;
        const PRIVATE_PERIPHERALS: u32 = 0xe000_0000;
        self.is_memory(address)
            || more.iter().any(|region| region.contains(&address))
            || PERIPHERALS.contains(&address)
            || address >= PRIVATE_PERIPHERALS
    }

    /// Instructions that its breakpoint unit compares, and whether that is of the second version.
    pub(crate) fn breakpoint_unit(self) -> (usize, bool) {
        match self {
            Self::Microbit => (4, false),
            Self::Mps2An386 | Self::NetduinoPlus2 => (6, false),
            Self::Mps2An500 => (8, true),
        }
    }

    /// Tells whether it has floating-point registers.
    pub(crate) fn has_fpu(self) -> bool {
        self != Self::Microbit
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no board has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no emulated board {name:?}: there are microbit, mps2-an386, mps2-an500 and netduinoplus2"
)]
pub struct UnknownMachine {
    /// The name.
    pub name: String,
}

impl FromStr for Machine {
    type Err = UnknownMachine;

    fn from_str(name: &str) -> Result<Self, UnknownMachine> {
        Self::ALL
            .into_iter()
            .find(|machine| machine.name() == name)
            .ok_or_else(|| UnknownMachine { name: name.into() })
    }
}
