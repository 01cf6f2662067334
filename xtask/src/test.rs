//! `cargo xtask test`: everything that must hold, from a machine with nothing but Rust. Beside it stand the tests that
//! take long.

use std::env;

use crate::{firmware, lint, no_panic, python, setup};
use tinyspike_board::firmware::{Board, Program};
use tinyspike_board::shell::{self, Failure};

/// Variable with the seed of proptest's cases.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Tests of every kind of image on cores that run the Cortex-M4's kernels, which take minutes: `soak` has them.
const TWINS: [&str; 2] = ["image_runs_on_a_cortex_m7", "image_runs_on_a_cortex_m33"];

/// Installs what is missing, builds the firmware, shows that its engine cannot panic, checks formatting and lints, and runs all tests,
/// those on emulated boards and quick ones of the Python package included.
///
/// Properties are tested on the same cases every time, so that a commit that passes here passes everywhere; with
/// `PROPTEST_RNG_SEED` in the environment they are others, and plain `cargo test` draws new ones in every run.
pub(crate) fn test() -> Result<(), Failure> {
    setup::setup()?;
    firmware::build()?;
    no_panic::check()?;
    lint::lint()?;
    run_tests(&[], &[])?;
    // Tests that need the firmware and QEMU are ignored by plain `cargo test`. Other ignored ones are
    // measurements.
    let boards = [
        "--test=board",
        "--test=boards",
        "--test=c",
        "--test=deep",
        "--test=faults",
        "--test=flash",
        "--test=hostile_images",
        "--test=on_device",
        "--test=parts",
        "--test=prebuilt",
        "--test=serial",
        "--test=updates",
        "--test=values_on_device",
    ];
    // Many of them wait for a device that does not answer.
    let mut chosen = vec!["--ignored", "--test-threads=3"];
    chosen.extend(TWINS.into_iter().flat_map(|name| ["--skip", name]));
    run_tests(&boards, &chosen)?;
    let state = "the_state_on_a_board_is_the_hosts";
    run_tests(&["--test=soak"], &["--ignored", "--exact", state])?;
    python::test_quickly()?;
    println!("cargo xtask test: everything passed");
    Ok(())
}

/// Runs tests of all packages: those of one package alone would build what it needs again, with its own features.
fn run_tests(which: &[&str], how: &[&str]) -> Result<(), Failure> {
    let mut tests = shell::cargo();
    tests.args(["test", "--workspace"]).args(which);
    tests.arg("--").args(how);
    if env::var_os(SEED).is_none() {
        tests.env(SEED, "1");
    }
    shell::run(&mut tests)
}

/// The options of `cargo xtask power-cuts`.
#[derive(clap::Args)]
pub(crate) struct PowerCuts {
    /// Number of power cuts
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    cuts: u64,
}

/// Cuts the power of simulated flash in updates of a model. It fails if a device loses its model or its minimum
/// version falls.
pub(crate) fn power_cuts(args: &PowerCuts) -> Result<(), Failure> {
    let mut tests = shell::cargo();
    tests
        .args(["test", "--package=tinyspike-tests", "--test=slots", "--"])
        .args(["--ignored", "--nocapture", "millions_of_cuts"])
        .env("TINYSPIKE_POWER_CUTS", args.cuts.to_string());
    shell::run(&mut tests)
}

/// Takes a million steps on the host and ten thousand on emulated boards, in tests that take minutes. It fails if
/// a potential leaves its bounds, or the states differ.
pub(crate) fn soak() -> Result<(), Failure> {
    for board in [Board::Mps2An386, Board::RiscvVirt] {
        firmware::build_program(board, Program::Soak)?;
    }
    let mut tests = shell::cargo();
    tests.args(["test", "--workspace", "--test=soak", "--"]);
    shell::run(tests.args(["--include-ignored", "--nocapture"]))?;
    run_tests(&["--test=boards"], &[&["--ignored"], &TWINS[..]].concat())
}
