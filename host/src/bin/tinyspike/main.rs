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
mod source;

use std::process::ExitCode;

use clap::Parser as _;
use tinyspike::advice::Advice;
use tinyspike::device::{self, Stall};
use tinyspike::text::Plain;

use crate::diagnostics::Failure;

fn main() -> ExitCode {
    let args = args::Args::parse();
    device::on_stall(|stall| stalled(&stall));
    let mut out = Plain::new(std::io::stdout().lock());
    match cmd::run(&args.command, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => diagnostics::report(&failure),
    }
}

/// Ends the program, which waits for a probe that does not answer.
fn stalled(stall: &Stall) {
    let advice = [Advice::CheckConnection];
    diagnostics::report(&Failure::advised(stall.to_string(), &advice));
    let _all = outputs::remove_temporaries();
    std::process::exit(1);
}
