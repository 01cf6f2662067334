//! The commands, one file each.

mod bench;
mod boards;
mod chips;
mod convert;
mod demo;
mod emulate;
mod emulated_board;
mod export;
pub(crate) mod flash;
mod inspect;
mod keygen;
mod monitor;
mod nir;
mod over_time;
mod probes;
mod record;
mod run;
mod sign;
mod simulate;
mod verify;
mod verify_image;

use std::io::Write;

use crate::cli::args::Command;
use crate::cli::diagnostics::Failure;

/// Runs a command.
pub(crate) fn run(command: &Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, out),
        Command::Monitor(args) => monitor::run(args, out),
        Command::Bench(args) => bench::run(args, out),
        Command::Boards(args) => boards::run(args, out),
        Command::Chips(args) => chips::run(args, out),
        Command::Probes(args) => probes::run(args, out),
        Command::Flash(args) => flash::run(args, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Convert(args) => convert::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Emulate(args) => emulate::run(args, out),
        Command::EmulatedBoard(args) => emulated_board::run(args, out),
        Command::Export(args) => export::run(args, out),
        Command::Keygen(args) => keygen::run(args, out),
        Command::Sign(args) => sign::run(args, out),
        Command::Simulate(args) => simulate::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::VerifyImage(args) => verify_image::run(args, out),
    }
}
