//! The project's chores: building firmware, running it on an emulated board, checking everything.
//!
//! `cargo xtask` lists the commands; each has a module of its own. What they
//! share with the command-line tool and the end-to-end tests is in `tinyspike-board`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

pub mod bench;
pub mod firmware;
pub mod fuzz;
pub mod lint;
pub mod no_panic;
pub mod package;
pub mod power_cuts;
pub mod profile;
pub mod prose;
pub mod run;
pub mod setup;
pub mod soak;
pub mod test;
mod tree;
pub mod unsafe_code;

pub use tinyspike_board::Failure;
