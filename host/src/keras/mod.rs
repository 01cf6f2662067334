//! The front end for Keras: model files → [`Model`](model::Model) →
//! [`Network`](crate::network::Network).
//!
//! Nothing outside this module knows Keras: the other stages meet it at the network. What a network
//! cannot express runs in it as a [`TensorFunc`](crate::network::TensorFunc).

mod activation;
mod args;
mod class;
pub mod convert;
mod dialect;
pub mod forward;
pub mod import;
mod infer;
mod layers;
pub mod model;
mod operators;
mod penalty;
pub mod shape;
mod tensor_func;
mod unknown;
mod verify;
mod weight;

pub use infer::ShapeError;
pub use verify::{Comparison, Verification, VerifyError, VerifyOptions, verify};
