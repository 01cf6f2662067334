//! The commands, one file each.

mod bench;
mod convert;
mod demo;
mod emulate;
mod inspect;

use std::io::Write;

use crate::args::Command;
use crate::diagnostics::Failure;

/// Runs a command.
pub(crate) fn run(command: &Command, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Bench(args) => bench::run(args, out),
        Command::Demo(args) => demo::run(args, out),
        Command::Convert(args) => convert::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Emulate(args) => emulate::run(args, out),
    }
}
