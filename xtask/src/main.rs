//! The project's chores: building firmware, running it on an emulated board, checking everything.
//!
//! `cargo xtask` lists the commands; each has a module. What they share with the command-line tool and the end-to-end
//! tests is in `tinyspike-board`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

mod bench;
mod dist;
mod ecosystems;
mod examples;
mod firmware;
mod frameworks;
mod fuzz;
mod handed_out;
mod imports;
mod libraries;
mod lint;
mod no_panic;
mod package;
mod profile;
mod prose;
mod python;
mod rp2040;
mod setup;
mod test;
mod tree;
mod unsafe_code;
mod venv;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tinyspike_board::Failure;

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
    /// Build the engine as a static library for C, for each core
    Libraries(libraries::Args),
    /// Build the tool as it is handed out: stripped, without a trace of this machine, with prebuilt firmware in it
    Dist(dist::Args),
    /// Show by the linker that no panic is reachable from the engine
    NoPanic,
    /// Look for inputs that break a parser: by generators, or by libFuzzer
    Fuzz(fuzz::Args),
    /// Check formatting, clippy, prose, unsafe code, packages and dependencies
    Lint,
    /// Check that every crate that is published packages without warnings
    Package,
    /// Count the instructions of whole inferences on an emulated board
    Bench(bench::Args),
    /// Cut the power of simulated flash in two million updates
    PowerCuts(test::PowerCuts),
    /// Take a million steps on the host and ten thousand on an emulated board, and run every kind of image on the Cortex-M7 and M33
    Soak,
    /// Export networks from other frameworks, and find the semantics of each
    TestFrameworks(frameworks::Args),
    /// Build the Python package as a wheel, with the command-line tool in it
    Wheel(python::WheelArgs),
    /// Install the wheel into a clean virtual environment, and run the tests of the Python package
    TestPython(python::TestArgs),
    /// Run the notebooks, and store what they show
    Notebooks,
    /// Build the examples for embassy and RTIC, and run the latter
    Examples,
    /// Validate exported projects with the packages of their ecosystems
    TestEcosystems,
    /// Start a UF2 file for the Pico in rp2040js, which npm brings, and run inferences there
    TestRp2040,
    /// Show which functions execute the instructions of an inference
    Profile(profile::Args),
}

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::PowerCuts(args) => test::power_cuts(&args),
        Command::Soak => test::soak(),
        Command::Test => test::test(),
        Command::Setup => setup::setup(),
        Command::Firmware => firmware::build(),
        Command::Libraries(args) => libraries::build(&args),
        Command::Dist(args) => dist::build(&args),
        Command::NoPanic => no_panic::check(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Lint => lint::lint(),
        Command::Package => package::check(),
        Command::Bench(args) => bench::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Wheel(args) => python::build(&args),
        Command::TestPython(args) => python::test(&args),
        Command::Notebooks => python::notebooks(),
        Command::Examples => examples::build(),
        Command::TestEcosystems => ecosystems::test(),
        Command::TestRp2040 => rp2040::test(),
        Command::TestFrameworks(args) => frameworks::test(&args),
    }
}
