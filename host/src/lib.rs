//! Deploys a trained Keras network as a spiking network on a microcontroller.
//!
//! Each stage is a function from one immutable type to the next; see `ARCHITECTURE.md`.

#![forbid(unsafe_code)]

pub mod advice;
#[doc(hidden)]
pub mod assemble;
#[doc(hidden)]
pub mod balance;
#[cfg(feature = "boards")]
pub mod bench;
#[doc(hidden)]
pub mod calibrate;
#[doc(hidden)]
pub mod compensate;
#[doc(hidden)]
pub mod cost;
pub mod data;
#[cfg(feature = "boards")]
pub mod device;
pub mod emulate;
#[doc(hidden)]
pub mod faithful;
#[doc(hidden)]
pub mod file;
mod front;
#[doc(hidden)]
pub mod graph;
pub mod image;
pub mod inputs;
pub mod inspect;
#[doc(hidden)]
pub mod integers;
#[doc(hidden)]
pub mod integrate;
pub mod keras;
#[doc(hidden)]
pub mod lower;
pub mod names;
pub mod network;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod pipeline;
#[doc(hidden)]
pub mod quantize;
pub mod report;
pub mod sign;
pub mod simulate;
pub mod simulation;
#[doc(hidden)]
pub mod tensor;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod tune;

pub use advice::{Advice, Advised};
pub use data::DataSet;
pub use emulate::EmulateOptions;
pub use image::ImageBuf;
pub use keras::VerifyOptions;
pub use keras::convert::{ConvertOptions, ScaleFiringRates};
pub use keras::model::Model;
#[doc(hidden)]
pub use keras::{convert, forward, import, model};
pub use network::Network;
pub use simulate::SimulateOptions;
