//! `tinyspike emulated-board`: a board without hardware, for anything that uses probe-rs.

use std::io::Write;

use emulated_board::{Board, Options};

use crate::cli::args::EmulatedBoard;
use crate::cli::diagnostics::Failure;
use crate::cli::outputs::Output;
use crate::text::shown;

/// An instruction takes 2^6 ns: on the microbit, whose core runs at 16 MHz, nearly a cycle.
const INSTRUCTION_SHIFT: u8 = 6;

pub(crate) fn run(args: &EmulatedBoard, out: &mut dyn Write) -> Result<(), Failure> {
    let machine = args.machine;
    let description = machine.chip_description();
    if let Some(path) = &args.write_chip_description {
        let Some(text) = description else {
            return Err(Failure::new(format!(
                "{machine} needs no description: probe-rs knows its {}",
                machine.chip()
            ))
            .hint("leave out --write-chip-description"));
        };
        Output::new(path, [])?.write(text.as_bytes())?;
    }
    let options = Options {
        port: args.port,
        icount_shift: args.count_instructions.then_some(INSTRUCTION_SHIFT),
        ..Options::default()
    };
    let board = Board::start(machine, &options)?;
    let (chip, probe) = (machine.chip(), board.probe_selector());
    writeln!(
        out,
        "{machine} ({}) is running; Ctrl-C ends it",
        machine.cpu()
    )?;
    writeln!(out, "--chip {chip} --probe {probe}")?;
    if let Some(path) = &args.write_chip_description {
        let path = shown(path);
        writeln!(
            out,
            "--chip-description {path} (probe-rs: --chip-description-path)"
        )?;
    }
    out.flush()?;
    Ok(board.serve()?)
}
