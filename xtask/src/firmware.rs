//! `cargo xtask firmware`: builds the board binaries, and the engine for every supported core.

use std::path::PathBuf;
use std::process::Command;

use tinyspike_board::elf::Size;
use tinyspike_board::firmware::{self, Board, PACKAGE, Program};
use tinyspike_board::toolchain::{ALL_TARGETS, THUMBV8M_MAIN, Toolchain};
use tinyspike_board::{Failure, shell};

use crate::setup;

/// Builds everything that runs on a microcontroller, and prints where it is and how large.
pub(crate) fn build() -> Result<(), Failure> {
    for target in ALL_TARGETS {
        let toolchain = find(target)?;
        library(toolchain.cargo("build", target))?;
        if target == THUMBV8M_MAIN {
            // Without the DSP extension.
            library(toolchain.plain_cargo("build", target))?;
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

/// Builds the engine alone.
fn library(mut command: Command) -> Result<(), Failure> {
    command.env("CARGO_TARGET_DIR", firmware::target_directory());
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
