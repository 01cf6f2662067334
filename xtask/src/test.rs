//! `cargo xtask test`: everything that must hold, from a machine with nothing but Rust.

use crate::{firmware, lint, setup};
use tinyspike_board::shell::{self, Failure};

/// Installs what is missing, builds the firmware, checks formatting and lints, and runs all tests,
/// those on emulated boards included.
///
/// # Errors
/// [`Failure`] of the first step that fails.
pub fn test() -> Result<(), Failure> {
    setup::setup()?;
    firmware::build()?;
    lint::lint()?;
    shell::run(shell::cargo().args(["test", "--workspace"]))?;
    // Tests that need the firmware and QEMU are ignored by plain `cargo test`. Other ignored ones are
    // measurements.
    for package in ["tinyspike-tests", "emulated-board"] {
        let boards = ["test", "--package", package, "--test", "board"];
        shell::run(shell::cargo().args(boards).args(["--", "--ignored"]))?;
    }
    println!("cargo xtask test: everything passed");
    Ok(())
}
