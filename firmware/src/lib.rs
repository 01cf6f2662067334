//! The tinyspike engine: runs a packed image step by step, on a microcontroller and on the host.
//!
//! It allocates nothing, uses no floats, and cannot panic: [`Image::parse`] has checked all that it
//! relies on, and the caller lends it one arena for all its state.
//!
//! Its [parts] are features, on by default except `dense` and `current-based`: firmware for one network can be built
//! without what that does not need, and refuses networks that do.
//!
//! ```
//! use tinyspike_firmware::{Engine, EngineError, Image, InputError, Native};
//!
//! /// What keeps a network from an answer.
//! enum Fault {
//!     /// The image needs parts that are not built in, or a larger arena.
//!     Engine(EngineError),
//!     /// The input has another size.
//!     Input(InputError),
//! }
//!
//! /// The most active class of one input.
//! fn classify(image: &Image<'_>, arena: &mut [u32], input: &[u8]) -> Result<usize, Fault> {
//!     let mut engine = Engine::<Native>::new(image, arena).map_err(Fault::Engine)?;
//!     engine.set_input(input).map_err(Fault::Input)?;
//!     for _ in 0..image.description().steps {
//!         engine.step();
//!     }
//!     Ok(engine.output(0).class())
//! }
//! ```

#![no_std]
#![deny(unsafe_code)]
#![deny(clippy::float_arithmetic)]

pub mod bench;
mod engine;
pub mod hashes;
pub mod kernels;
pub mod limits;
mod output;
pub mod parts;
pub mod serve;
pub mod soak;
#[cfg(feature = "embedded-io")]
pub mod stream;
pub mod trace;
pub mod update;

pub use engine::{Engine, EngineError, InputError, Layer, Paused, Probe};
pub use kernels::{Native, Portable, Swar};
pub use output::Output;
pub use tinyspike_shared::{Event, Image, ImageError, Inputs, InputsError};
