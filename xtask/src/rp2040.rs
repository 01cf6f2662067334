//! `cargo xtask test-rp2040`: a UF2 file for the Raspberry Pi Pico, started in an emulator of its chip.
//!
//! The emulator is rp2040js, of a fixed version, which npm puts into `target/rp2040js`.

use std::fs;
use std::process::Command;

use tinyspike_board::shell::{self, Failure};

const PACKAGE: &str = "rp2040js@1.4.1";

/// Installs the emulator, and runs the test.
///
/// # Errors
/// [`Failure`] if npm or Node.js is missing, or the firmware does not run.
pub(crate) fn test() -> Result<(), Failure> {
    let folder = shell::root().join("target/rp2040js");
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    let mut npm = Command::new("npm");
    npm.current_dir(&folder)
        .args(["install", "--no-audit", "--no-fund", PACKAGE]);
    shell::run(&mut npm)?;
    let mut tests = shell::cargo();
    tests
        .args(["test", "--package=tinyspike", "--test=rp2040", "--"])
        .args(["--ignored", "--nocapture"])
        .env("TINYSPIKE_RP2040JS", &folder);
    shell::run(&mut tests)
}
