//! The command-line tool: reads arguments, calls the library, prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its user"
)]

mod args;
mod cmd;
mod diagnostics;
mod files;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match cmd::run(&args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => diagnostics::report(&failure),
    }
}
