//! The command-line tool: reads arguments, calls the library, prints.
//!
//! It is a part of the library so that programs that bring the tool along, such as the Python package, hold one copy
//! of all code.

mod advice;
mod args;
mod board;
mod broken;
pub mod bundled;
mod cmd;
mod converted;
mod deployed;
mod diagnostics;
mod files;
mod inputs;
mod names;
mod outputs;
mod progress;
mod several;
mod source;
mod warnings;

use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::advice::Advice;
use crate::cli::diagnostics::Failure;
use crate::device::{self, Stall};
use crate::text::Plain;

/// Runs the tool with the arguments of this process.
///
/// Wrong arguments, `--help` and `--version` end the process.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the tool with these arguments, of which the first is the program's name; returns the exit code.
///
/// Wrong arguments, `--help` and `--version` end the process, as does a debug probe that does not answer.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match args::Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => wrong_arguments(&error),
    };
    diagnostics::set_quiet(args.quiet);
    if let Err(failure) = start_threads() {
        return diagnostics::report(&failure);
    }
    device::on_stall(|stall| stalled(&stall));
    end_with_probes_that_lie();
    let mut out = Plain::new(std::io::stdout().lock());
    match cmd::run(&args.command, &mut out) {
        Ok(()) => 0,
        Err(failure) => diagnostics::report(&failure),
    }
}

/// Ends the program with what clap says: help, the version, or that arguments are wrong. Those may hold what moves the terminal.
fn wrong_arguments(error: &clap::Error) -> ! {
    if error.use_stderr() {
        let _ = Plain::new(std::io::stderr()).write_all(error.to_string().as_bytes());
    } else {
        let _ = error.print();
    }
    std::process::exit(error.exit_code())
}

/// Starts the threads that work is divided among.
fn start_threads() -> Result<(), Failure> {
    match rayon::ThreadPoolBuilder::new().build_global() {
        // In another program they may run already, which has no reason behind it.
        Err(error) if error.source().is_some() => Err(Failure::new(format!(
            "the system starts no threads for this command: {error}"
        ))
        .hint("end other programs, or raise the limits (ulimit -v, ulimit -u)")),
        _ => Ok(()),
    }
}

/// Ends the program, to which the system gives no memory of so many bytes. Files that it had begun to write go.
pub fn out_of_memory(bytes: usize) -> ! {
    diagnostics::no_memory(bytes);
    outputs::remove_temporaries_if_free();
    std::process::exit(1)
}

/// Ends the program, which waits for a probe that does not answer.
fn stalled(stall: &Stall) {
    end_without_probe(stall);
}

/// Ends the program where probe-rs panics, as it does if a probe says what cannot be: what would follow may talk with the
/// probe again. Other panics are faults of this program, and are shown as such.
fn end_with_probes_that_lie() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or("", |place| place.file());
        if !place.contains("probe-rs") {
            return others(panic);
        }
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("no reason is known");
        end_without_probe(&format_args!("the probe has said what cannot be ({text})"));
    }));
}

/// Ends the program, which cannot go on with its probe.
fn end_without_probe(reason: &dyn std::fmt::Display) -> ! {
    let advice = [Advice::CheckConnection];
    let code = diagnostics::report(&Failure::advised(reason.to_string(), &advice));
    let _all = outputs::remove_temporaries();
    std::process::exit(code.into());
}
