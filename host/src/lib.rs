//! Deploys a trained Keras network as a spiking network on a microcontroller.
//!
//! Each stage is a function from one immutable type to the next; see `ARCHITECTURE.md`.

<<<<<<< HEAD
pub mod assemble;
pub mod calibrate;
pub mod data;
pub mod emulate;
pub mod import;
pub mod lower;
=======
pub mod convert;
pub mod import;
pub mod inspect;
>>>>>>> convert
pub mod model;
pub mod network;
pub mod ops;
pub mod quantize;
pub mod shape;
pub mod tensor;
