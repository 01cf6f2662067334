//! Builds tinyspike's firmware and runs it on boards that QEMU emulates.
//!
//! [`firmware`] knows the boards and builds their programs with what [`toolchain`] finds, [`library`] what C links; [`qemu`]
//! runs one; [`elf`] says how large it is and where its functions are.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "builds are announced, as cargo announces its own"
)]

pub mod archive;
pub mod elf;
pub mod firmware;
pub mod library;
pub mod qemu;
pub mod shell;
pub mod toolchain;

pub use shell::Failure;
