//! `cargo xtask lint`: formatting, clippy, the list of unsafe code, and the licences of dependencies.

use tinyspike_board::firmware::{self, Board};
use tinyspike_board::shell::{self, Failure};
use tinyspike_board::toolchain::Toolchain;

use crate::{dependencies, unsafe_code};

/// Checks the formatting of all code, where unsafe code stands and what is depended on, and runs clippy
/// with warnings as errors.
///
/// # Errors
/// [`Failure::Status`], where something is to be mended.
pub fn lint() -> Result<(), Failure> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    unsafe_code::check()?;
    dependencies::check()?;
    let strict = ["--", "--deny", "warnings"];
    let workspace = ["clippy", "--workspace", "--all-targets"];
    shell::run(shell::cargo().args(workspace).args(strict))?;
    for board in Board::ALL {
        // Clippy is the default toolchain's, so it can only see targets that this one knows.
        if Toolchain::find(board.target()) == Some(Toolchain::Installed) {
            for &program in board.programs() {
                let mut clippy = firmware::cargo(&Toolchain::Installed, "clippy", board, program);
                shell::run(clippy.args(strict))?;
            }
        } else {
            println!(
                "clippy does not see the binary of {}: the target {} has no ready-made library",
                board.name(),
                board.target()
            );
        }
    }
    Ok(())
}
