//! Boards that QEMU emulates, as data: a folder for each, and this list of them.
//!
//! The emulated probe, the programs for the boards, and what builds and runs these all read it.

#![no_std]
#![forbid(unsafe_code)]

mod data;
mod microbit;
mod mps2_an386;
mod mps2_an500;
mod mps2_an505;
mod netduinoplus2;
mod riscv_virt;

use core::fmt;
use core::str::FromStr;

pub use data::{Data, Emulator, Erase, Program, Programs, Region, Timer};

/// A board that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Board {
    /// BBC micro:bit: nRF51822, Cortex-M0, 256 KiB of flash behind a flash controller, 16 KiB of RAM.
    Microbit,
    /// Arm MPS2 with the image AN386: Cortex-M4. Its program memory is RAM, and serves as 4 MiB of flash.
    Mps2An386,
    /// Arm MPS2 with the image AN500: Cortex-M7. Its program memory is RAM, and serves as 4 MiB of flash.
    Mps2An500,
    /// Arm MPS2 with the image AN505: Cortex-M33. Its program memory is RAM, and serves as 4 MiB of flash.
    Mps2An505,
    /// Netduino Plus 2: STM32F405, Cortex-M4. QEMU has no flash controller for it, so that flashing seems to
    /// work and verification fails.
    NetduinoPlus2,
    /// QEMU's `virt` with a 32-bit RISC-V core. Its memory is RAM, of which 16 MiB serve as flash. It has no debug probe.
    RiscvVirt,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 6] = [
        Self::Microbit,
        Self::Mps2An386,
        Self::Mps2An500,
        Self::Mps2An505,
        Self::NetduinoPlus2,
        Self::RiscvVirt,
    ];
    /// Those with a debug probe.
    pub const PROBED: [Self; 5] = [
        Self::Microbit,
        Self::Mps2An386,
        Self::Mps2An500,
        Self::Mps2An505,
        Self::NetduinoPlus2,
    ];
    /// Those whose programs are measured, the largest first.
    pub const MEASURED: [Self; 4] = [
        Self::Mps2An386,
        Self::Mps2An500,
        Self::RiscvVirt,
        Self::Microbit,
    ];

    /// All that is known of it.
    #[must_use]
    pub const fn data(self) -> &'static Data {
        match self {
            Self::Microbit => &microbit::BOARD,
            Self::Mps2An386 => &mps2_an386::BOARD,
            Self::Mps2An500 => &mps2_an500::BOARD,
            Self::Mps2An505 => &mps2_an505::BOARD,
            Self::NetduinoPlus2 => &netduinoplus2::BOARD,
            Self::RiscvVirt => &riscv_virt::BOARD,
        }
    }
}

// All below follows from the data.
impl Board {
    /// The board with a name.
    #[must_use]
    pub const fn named(name: &str) -> Option<Self> {
        let mut at = 0;
        while at < Self::ALL.len() {
            if equal(Self::ALL[at].name().as_bytes(), name.as_bytes()) {
                return Some(Self::ALL[at]);
            }
            at += 1;
        }
        None
    }

    /// The board that is measured and has a name.
    ///
    /// # Errors
    /// [`UnknownBoard`], which names those that there are.
    pub fn measured(name: &str) -> Result<Self, UnknownBoard> {
        find(name, &Self::MEASURED)
    }

    /// Its name, such as `mps2-an386`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.data().name
    }

    /// Its processor, such as `Cortex-M4`.
    #[must_use]
    pub const fn cpu(self) -> &'static str {
        self.data().core
    }

    /// The compiler's target.
    #[must_use]
    pub const fn target(self) -> &'static str {
        self.data().target
    }

    /// probe-rs's name of its chip, such as `nRF51822_xxAA`; empty if it has no debug probe.
    #[must_use]
    pub const fn chip(self) -> &'static str {
        self.data().chip
    }

    /// The description of its chip in probe-rs's YAML, if probe-rs's database has none. Programs hand it to
    /// `probe_rs::config::Registry::add_target_family_from_yaml`.
    #[must_use]
    pub const fn chip_description(self) -> Option<&'static str> {
        self.data().chip_description
    }

    /// The addresses of its flash, which starts with the vector table.
    #[must_use]
    pub const fn flash(self) -> core::ops::Range<u32> {
        self.data().flash.range()
    }

    /// The addresses of its main RAM.
    #[must_use]
    pub const fn ram(self) -> core::ops::Range<u32> {
        self.data().ram.range()
    }

    /// Tells whether an address is in memory, which has no side effects, at any width.
    #[must_use]
    pub fn is_memory(self, address: u32) -> bool {
        let Data {
            flash, ram, more, ..
        } = self.data();
        let mut regions = [flash, ram].into_iter().chain(*more);
        regions.any(|region| region.range().contains(&address))
    }

    /// Tells whether anything answers at an address.
    #[must_use]
    pub fn is_mapped(self, address: u32) -> bool {
        const PERIPHERALS: core::ops::Range<u32> = 0x4000_0000..0x6000_0000;
        const PRIVATE_PERIPHERALS: u32 = 0xe000_0000;
        let mut others = self.data().mapped.iter();
        self.is_memory(address)
            || others.any(|region| region.range().contains(&address))
            || PERIPHERALS.contains(&address)
            || address >= PRIVATE_PERIPHERALS
    }

    /// Needs of its programs; `None` if it has none.
    #[must_use]
    pub const fn programs(self) -> Option<&'static Programs> {
        self.data().programs.as_ref()
    }

    /// Tells whether it has a program.
    #[must_use]
    pub fn has(self, program: Program) -> bool {
        self.programs()
            .is_some_and(|programs| programs.which.contains(&program))
    }
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no board has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownBoard {
    /// The boards that there are.
    boards: &'static [Board],
}

impl fmt::Display for UnknownBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such emulated board: there are")?;
        for (at, board) in self.boards.iter().enumerate() {
            let before = match at {
                0 => " ",
                _ if at + 1 == self.boards.len() => " and ",
                _ => ", ",
            };
            write!(f, "{before}{board}")?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownBoard {}

/// Reads the name of a board with a debug probe.
impl FromStr for Board {
    type Err = UnknownBoard;

    fn from_str(name: &str) -> Result<Self, UnknownBoard> {
        find(name, &Self::PROBED)
    }
}

fn find(name: &str, boards: &'static [Board]) -> Result<Board, UnknownBoard> {
    let found = boards.iter().find(|board| board.name() == name);
    found.copied().ok_or(UnknownBoard { boards })
}
