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
mod outputs;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;
use tinyspike::device;
use tinyspike::text::Plain;

fn main() -> ExitCode {
    let args = args::Args::parse();
    device::on_stall(|stall| diagnostics::stalled(&stall));
    let mut out = Plain::new(std::io::stdout().lock());
    match cmd::run(&args.command, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => diagnostics::report(&failure),
    }
}
