//! The project's chores: `cargo xtask` lists them.

#![expect(clippy::print_stderr, reason = "a command-line tool")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{Failure, bench, firmware, lint, profile, run, setup, test};

/// The project's chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing, build the firmware, and run every check and test
    Test,
    /// Install what the firmware and the emulated boards need
    Setup,
    /// Build the board binaries, and the engine for every supported core
    Firmware,
    /// Check the formatting and run clippy on everything
    Lint,
    /// Run an image on an emulated board and print the trace
    Qemu(run::Args),
    /// Count the instructions of whole inferences on an emulated board
    Bench(bench::Args),
    /// Show which functions execute the instructions of an inference
    Profile(profile::Args),
}

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Test => test::test()?,
        Command::Setup => setup::setup()?,
        Command::Firmware => firmware::build()?,
        Command::Lint => lint::lint()?,
        Command::Bench(args) => bench::run(&args)?,
        Command::Profile(args) => profile::run(&args)?,
        Command::Qemu(args) => return run::run(&args),
    }
    Ok(ExitCode::SUCCESS)
}
