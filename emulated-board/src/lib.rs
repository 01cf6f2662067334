//! A microcontroller board that QEMU emulates, behind a debug probe that probe-rs connects to.
#![deny(unsafe_code)]

mod board;
mod breakpoints;
mod core;
mod error;
mod glasgow;
mod machine;
mod qemu;
mod swd;

pub use board::{Board, Fault, Options};
pub use error::Error;
pub use machine::{MPS2_DESCRIPTION, Machine, UnknownMachine};
