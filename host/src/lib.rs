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
pub mod convert;
pub mod cost;
pub mod data;
#[cfg(feature = "boards")]
pub mod device;
pub mod emulate;
pub mod faithful;
pub mod forward;
pub mod image;
pub mod import;
pub mod inspect;
pub mod lower;
pub mod model;
pub mod network;
pub mod ops;
pub mod pipeline;
pub mod quantize;
pub mod report;
pub mod shape;
pub mod sign;
pub mod simulate;
pub mod tensor;
pub mod tune;
