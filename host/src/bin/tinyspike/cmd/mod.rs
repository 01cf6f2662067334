//! The commands, one file each.

mod convert;
mod demo;
mod emulate;
mod inspect;

use crate::args::Command;
use crate::diagnostics::Failure;

/// Runs a command.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Emulate(args) => emulate::run(args),
    }
}
