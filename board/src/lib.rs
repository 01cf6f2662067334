//! Builds tinyspike's firmware and runs it on boards that QEMU emulates.
//!
//! [`firmware`] knows the boards and builds their programs with what [`toolchain`] finds, [`library`] what C links; [`qemu`]
//! runs one; [`elf`] says how large it is and where its functions are. [`prebuilt`] is firmware that nobody has to build, for the
//! tool has [`held`] it; [`relocate`] moves it to a chip's [`memory`].

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "builds are announced, as cargo announces its own"
)]

pub mod archive;
pub mod elf;
pub mod firmware;
pub mod held;
pub mod library;
pub mod memory;
pub mod prebuilt;
pub mod qemu;
pub mod relocate;
pub mod shell;
pub mod toolchain;

pub use shell::Failure;
