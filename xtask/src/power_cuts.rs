//! `cargo xtask power-cuts`: updates of a model on simulated flash whose power is cut.

use tinyspike_board::shell::{self, Failure};

/// The options of `cargo xtask power-cuts`.
#[derive(clap::Args)]
pub struct Args {
    /// Number of power cuts
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    cuts: u64,
}

/// Runs the test that takes minutes.
///
/// # Errors
/// [`Failure`] if a device loses its model or its minimum version falls.
pub fn run(args: &Args) -> Result<(), Failure> {
    let tests = [
        "test",
        "--package=tinyspike-tests",
        "--test=slots",
        "--",
        "--ignored",
        "--nocapture",
        "millions_of_cuts",
    ];
    let cuts = args.cuts.to_string();
    shell::run(shell::cargo().args(tests).env("TINYSPIKE_POWER_CUTS", cuts))
}
