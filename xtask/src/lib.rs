//! The project's chores: building firmware, running it on an emulated board, checking everything.
//!
//! `cargo xtask` lists the commands; each has a module of its own. The end-to-end tests use
//! [`firmware`] and [`qemu`] too, so that they run what the commands run.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool"
)]

pub mod bench;
pub mod firmware;
pub mod lint;
pub mod profile;
pub mod qemu;
pub mod run;
pub mod setup;
pub mod shell;
pub mod test;
pub mod toolchain;

pub use shell::Failure;
