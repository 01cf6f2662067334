//! The command-line tool as a program of its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tinyspike::cli::main()
}
