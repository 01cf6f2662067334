//! The front end for Keras: model files → [`Model`](model::Model) →
//! [`Network`](crate::network::Network).
//!
//! Nothing outside this module knows Keras: ONNX meets it at the graph of layers, the other stages at the network. What a network
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

impl model::Model {
    /// Gives the inputs these shapes, without the batch axis, in place of axes of unknown length.
    ///
    /// # Errors
    /// [`ShapeError`], if an input has another shape, or a layer cannot be applied to its inputs.
    pub fn set_input_shapes(&mut self, shapes: &[Vec<usize>]) -> Result<(), ShapeError> {
        let known = |shape: &Vec<usize>| shape.iter().map(|&d| Some(d)).collect();
        let shapes: Vec<shape::Shape> = shapes.iter().map(known).collect();
        infer::set_inputs(self, &shapes)
    }
}

pub use infer::ShapeError;
pub use verify::{Comparison, Verification, VerifyError, VerifyOptions, verify};
