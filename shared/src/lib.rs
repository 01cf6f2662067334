//! The image format and the fixed-point types that the tinyspike host and firmware share.
//!
//! This crate depends on neither side. It allocates nothing, does no float arithmetic and holds no
//! unsafe code, so that the same checks run on a workstation and on a microcontroller.

#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

#[cfg(target_endian = "big")]
compile_error!(
    "weights are read in place as little-endian integers; big-endian targets are not supported"
);

pub mod accept;
mod crc32;
pub mod event;
pub mod fixed;
pub mod image;
pub mod inputs;
pub mod quantize;
pub mod signature;
pub mod slots;
mod transform;
pub mod weights;
pub mod wire;

pub use event::Event;
pub use image::{Image, ImageError};
pub use inputs::{Inputs, InputsError};
