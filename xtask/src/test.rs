//! `cargo xtask test`: everything that must hold, from a machine with nothing but Rust.

use crate::{firmware, lint, no_panic, setup};
use tinyspike_board::shell::{self, Failure};

/// Installs what is missing, builds the firmware, shows that its engine cannot panic, checks formatting and lints, and runs all tests,
/// those on emulated boards included.
///
/// # Errors
/// [`Failure`] of the first step that fails.
pub fn test() -> Result<(), Failure> {
    setup::setup()?;
    firmware::build()?;
    no_panic::check()?;
    lint::lint()?;
    shell::run(shell::cargo().args(["test", "--workspace"]))?;
    // Tests that need the firmware and QEMU are ignored by plain `cargo test`. Other ignored ones are
    // measurements.
    for (package, test) in [
        ("tinyspike-tests", "board"),
        ("tinyspike-tests", "parts"),
        ("tinyspike-tests", "flash"),
        ("tinyspike-tests", "on_device"),
        ("tinyspike-tests", "updates"),
        ("tinyspike", "boards"),
        ("emulated-board", "board"),
    ] {
        let boards = ["test", "--package", package, "--test", test];
        shell::run(shell::cargo().args(boards).args(["--", "--ignored"]))?;
    }
    let state = "the_state_on_a_board_is_the_hosts";
    let soak = ["test", "--package", "tinyspike-tests", "--test", "soak"];
    shell::run(
        shell::cargo()
            .args(soak)
            .args(["--", "--ignored", "--exact", state]),
    )?;
    println!("cargo xtask test: everything passed");
    Ok(())
}
