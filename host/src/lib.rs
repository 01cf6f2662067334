//! Deploys a trained Keras network as a spiking network on a microcontroller.
//!
//! Each stage is a function from one immutable type to the next; see `ARCHITECTURE.md`.

#![forbid(unsafe_code)]

pub mod advice;
pub mod assemble;
pub mod balance;
#[cfg(feature = "boards")]
pub mod bench;
pub mod calibrate;
pub mod compensate;
pub mod cost;
pub mod data;
#[cfg(feature = "boards")]
pub mod device;
pub mod emulate;
pub mod faithful;
pub mod image;
pub mod inspect;
pub mod keras;
pub mod lower;
pub mod network;
pub mod ops;
pub mod pipeline;
pub mod quantize;
pub mod report;
pub mod sign;
pub mod simulate;
pub mod tensor;
pub mod tune;

pub use keras::{convert, forward, import, model, shape};
