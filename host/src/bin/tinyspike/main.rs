//! The command-line tool: reads arguments, calls the library, prints.

#![forbid(unsafe_code)]

mod advice;
mod args;
mod board;
mod cmd;
mod deployed;
mod diagnostics;
mod files;
mod inputs;
mod names;
mod npz;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let mut out = std::io::stdout().lock();
    match cmd::run(&args.command, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => diagnostics::report(&failure),
    }
}
