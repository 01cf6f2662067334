//! `cargo xtask soak`: a million steps on the host and ten thousand on an emulated board.

use tinyspike_board::firmware::{Board, Program};
use tinyspike_board::shell::{self, Failure};

use crate::firmware;

/// Builds the board's program and runs the tests that take minutes.
///
/// # Errors
/// [`Failure`] if it cannot be built, a potential leaves its bounds, or the states differ.
pub fn run() -> Result<(), Failure> {
    firmware::build_program(Board::Mps2An386, Program::Soak)?;
    let tests = ["test", "--workspace", "--test=soak", "--"];
    let all = ["--include-ignored", "--nocapture"];
    shell::run(shell::cargo().args(tests).args(all))
}
