//! `cargo xtask firmware`: builds the board binaries, and the engine for every supported core.

use std::path::PathBuf;
use std::process::Command;

use crate::setup;
use crate::shell::{self, Failure};
use crate::toolchain::{self, TARGETS, Toolchain};

const PACKAGE: &str = "tinyspike-firmware";

/// A board that firmware is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Board {
    /// Arm's MPS2 with the Cortex-M4 image AN386, as QEMU emulates it.
    Mps2An386,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 1] = [Self::Mps2An386];

    /// The board's name, which is its machine's in QEMU.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mps2An386 => "mps2-an386",
        }
    }

    /// The compiler's target.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match self {
            Self::Mps2An386 => toolchain::THUMBV7EM,
        }
    }

    const fn binary(self, program: Program) -> &'static str {
        match (self, program) {
            (Self::Mps2An386, Program::Trace) => "mps2_an386",
            (Self::Mps2An386, Program::Bench) => "mps2_an386_bench",
        }
    }

    /// Where a program's built firmware lies.
    #[must_use]
    pub fn elf(self, program: Program) -> PathBuf {
        target_directory()
            .join(self.target())
            .join("release")
            .join(self.binary(program))
    }

    /// Ticks of the board's timer in a second.
    #[must_use]
    pub const fn timer_hz(self) -> u64 {
        match self {
            Self::Mps2An386 => 25_000_000,
        }
    }
}

/// What a board's firmware does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// It prints every spike.
    Trace,
    /// It measures each part of an inference.
    Bench,
}

impl Program {
    /// Every program.
    pub const ALL: [Self; 2] = [Self::Trace, Self::Bench];
}

/// Firmware has a build directory of its own: it may come from another compiler than the host's code.
fn target_directory() -> PathBuf {
    shell::root().join("target/firmware")
}

/// A `cargo` command on one board's binary.
pub(crate) fn cargo(
    toolchain: &Toolchain,
    subcommand: &str,
    board: Board,
    program: Program,
) -> Command {
    // Logging would count as a part of what is measured.
    let log = match program {
        Program::Trace => ",defmt",
        Program::Bench => "",
    };
    let mut command = toolchain.cargo(subcommand, board.target());
    command
        .env("CARGO_TARGET_DIR", target_directory())
        // Without it, defmt leaves out all but errors.
        .env("DEFMT_LOG", "info")
        .args(["--release", "--package", PACKAGE])
        .args(["--bin", board.binary(program)])
        .args(["--features", &format!("board-{}{log}", board.name())]);
    command
}

/// Builds everything that runs on a microcontroller, and prints where it is and how large.
///
/// # Errors
/// [`Failure`], where a toolchain is missing or the build fails.
pub fn build() -> Result<(), Failure> {
    for target in TARGETS {
        let toolchain = find(target)?;
        let mut command = toolchain.cargo("build", target);
        command.env("CARGO_TARGET_DIR", target_directory());
        shell::run(command.args(["--release", "--package", PACKAGE, "--lib"]))?;
    }
    for board in Board::ALL {
        for program in Program::ALL {
            let elf = build_program(board, program)?;
            let bytes = std::fs::read(&elf).map_err(Failure::file(&elf))?;
            let size = Size::of(&bytes).ok_or_else(|| Failure::Missing {
                what: format!("a 32-bit ELF file at {}", elf.display()),
                advice: "remove the file and build again".into(),
            })?;
            println!(
                "{}: {} ({} bytes of flash, {} bytes of RAM)",
                board.name(),
                elf.display(),
                size.flash,
                size.ram
            );
        }
    }
    Ok(())
}

/// Builds one program for one board: where it lies then.
///
/// # Errors
/// As [`build`].
pub fn build_program(board: Board, program: Program) -> Result<PathBuf, Failure> {
    let toolchain = find(board.target())?;
    shell::run(&mut cargo(&toolchain, "build", board, program))?;
    Ok(board.elf(program))
}

/// What is installed for `target`, or what can be installed now.
fn find(target: &str) -> Result<Toolchain, Failure> {
    Toolchain::find(target).map_or_else(|| setup::toolchain_for(target), Ok)
}

/// What a program takes of a microcontroller's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// Code, constants, and the first values of variables.
    flash: u64,
    /// Variables; the stack comes on top.
    ram: u64,
}

impl Size {
    /// The size of a 32-bit little-endian ELF program, from the segments that are loaded.
    fn of(elf: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
        if elf.get(..6)? != b"\x7fELF\x01\x01" {
            return None;
        }
        let (table, entry, count) = (word(28)? as usize, half(42)?, half(44)?);
        let mut size = Self::default();
        for i in 0..usize::from(count) {
            let at = i.checked_mul(usize::from(entry))?.checked_add(table)?;
            const LOAD: u32 = 1;
            if word(at)? != LOAD {
                continue;
            }
            let (virtual_address, physical_address) = (word(at + 8)?, word(at + 12)?);
            let (in_file, in_memory) = (word(at + 16)?, word(at + 20)?);
            size.flash += u64::from(in_file);
            // What is copied or cleared at the start lives elsewhere than where it is stored.
            if virtual_address != physical_address || in_file == 0 {
                size.ram += u64::from(in_memory);
            }
        }
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header and a table of segments: virtual and physical address, length in the file and in
    /// memory.
    fn elf(segments: &[[u32; 4]]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x01\x01".to_vec();
        bytes.resize(52, 0);
        bytes[28..32].copy_from_slice(&52u32.to_le_bytes());
        bytes[42..44].copy_from_slice(&32u16.to_le_bytes());
        bytes[44..46].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        for &[virtual_address, physical_address, in_file, in_memory] in segments {
            let words = [
                1,
                0,
                virtual_address,
                physical_address,
                in_file,
                in_memory,
                0,
                4,
            ];
            bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn variables_take_ram_and_their_first_values_flash() {
        let code = [0, 0, 1000, 1000];
        let data = [0x2000_0000, 1000, 24, 24];
        let zeroed = [0x2000_0018, 0x2000_0018, 0, 4096];
        let size = Size::of(&elf(&[code, data, zeroed])).unwrap();
        assert_eq!((size.flash, size.ram), (1024, 4120));
    }

    #[test]
    fn what_is_no_elf_file_has_no_size() {
        let whole = elf(&[[0, 0, 8, 8]]);
        assert!(Size::of(&whole).is_some());
        for cut in 0..whole.len() - 8 {
            assert_eq!(Size::of(&whole[..cut]), None);
        }
        assert_eq!(Size::of(b"MZ"), None);
    }
}
