//! `cargo xtask firmware`: builds the board binaries, and application and example for every supported core. The application
//! must take as much flash as plans reserve for it, and little less.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tinyspike::device::{Firmware, firmware_bytes, firmware_variables};
use tinyspike_board::elf::Size;
use tinyspike_board::firmware::{self, App, Board, PACKAGE, Program};
use tinyspike_board::prebuilt;
use tinyspike_board::toolchain::{ALL_TARGETS, THUMBV8M_MAIN, Toolchain};
use tinyspike_board::{Failure, shell};

use crate::setup;

/// Builds everything that runs on a microcontroller, and prints where it is and how large.
pub(crate) fn build() -> Result<(), Failure> {
    applications()?;
    for target in ALL_TARGETS {
        let toolchain = find(target)?;
        if target == THUMBV8M_MAIN {
            // The engine without the DSP extension, which nothing else has.
            library(&toolchain, target)?;
        }
        let example = firmware::embed(&toolchain, target)?;
        let size = Size::read(&example)?;
        println!(
            "examples/embed: {} ({} bytes of flash, {} bytes of RAM)",
            example.display(),
            size.flash,
            size.ram
        );
    }
    for board in Board::ALL {
        for &program in board.programs().map_or(&[][..], |programs| programs.which) {
            let elf = build_program(board, program)?;
            let size = Size::read(&elf)?;
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

/// The most bytes that a reserve of flash may be larger than the largest application in it.
const SPARE: u64 = 10 << 10;
/// The same of variables.
const SPARE_VARIABLES: u64 = 512;

/// Builds the application for each core, and compares it with what plans reserve.
fn applications() -> Result<(), Failure> {
    let mut largest = BTreeMap::new();
    let memory = prebuilt::memory();
    for target in ALL_TARGETS {
        find(target)?;
        for key in [None, Some(&[7; 32])] {
            let elf = firmware::app(&App {
                memory: &memory,
                target,
                features: &["defmt"],
                key,
                rooms: 1,
            })?;
            let Size { flash, .. } = Size::read(&elf)?;
            let reserved = firmware_bytes(target, key.is_some());
            let variables = variables(&elf)?;
            let own = firmware_variables(target);
            println!(
                "application, {target}: {flash} of {reserved} bytes of flash, {variables} of {own} bytes of variables"
            );
            for (what, reserved, taken, spare) in [
                ("flash", reserved, flash, SPARE),
                ("variables", own, variables, SPARE_VARIABLES),
            ] {
                let most = largest.entry((what, reserved)).or_insert((0, spare));
                most.0 = taken.max(most.0);
            }
        }
    }
    for ((what, reserved), (taken, spare)) in largest {
        reserve(what, reserved.into(), taken, spare)?;
    }
    Ok(())
}

/// Bytes of RAM that the application neither lends to a network nor uses as its stack.
fn variables(elf: &Path) -> Result<u64, Failure> {
    let ram = prebuilt::memory().ram.len() as u32;
    let firmware = Firmware::read(elf).map_err(|e| Failure::Argument(e.to_string()))?;
    let others = [firmware.memory, firmware.stack].into_iter().flatten();
    let others: u32 = others.map(|region| region.len).sum();
    Ok(u64::from(ram.saturating_sub(others)))
}

/// Compares a reserve with the most that applications take of it.
fn reserve(what: &str, reserved: u64, taken: u64, spare: u64) -> Result<(), Failure> {
    let wrong = if taken > reserved {
        "too little"
    } else if reserved - taken > spare {
        "too much"
    } else {
        return Ok(());
    };
    Err(Failure::Argument(format!(
        "{reserved} bytes of {what} are {wrong} for an application of {taken}: change host/src/device/memory.rs"
    )))
}

/// Builds the engine alone, for a core of which no more is known than the target.
fn library(toolchain: &Toolchain, target: &str) -> Result<(), Failure> {
    let mut command = toolchain.plain_cargo("build", target);
    command.env("CARGO_TARGET_DIR", firmware::build_directory(toolchain));
    shell::run(command.args(["--release", "--package", PACKAGE, "--lib"]))
}

/// Builds one program for one board, and returns its path.
pub(crate) fn build_program(board: Board, program: Program) -> Result<PathBuf, Failure> {
    firmware::build(&find(board.target())?, board, program)
}

/// Finds what is installed for `target`, or can be installed now.
pub(crate) fn find(target: &str) -> Result<Toolchain, Failure> {
    Toolchain::find(target).map_or_else(|| setup::toolchain_for(target), Ok)
}

#[cfg(test)]
mod tests {
    use super::reserve;

    #[test]
    fn a_reserve_holds_what_is_taken_and_little_more() {
        assert!(reserve("flash", 100, 100, 5).is_ok());
        assert!(reserve("flash", 100, 95, 5).is_ok());
        for (taken, wrong) in [(101, "too little"), (94, "too much")] {
            let error = reserve("flash", 100, taken, 5).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
