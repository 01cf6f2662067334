//! The front end for ONNX, in which PyTorch, JAX, scikit-learn and MATLAB exchange networks: an `.onnx` file →
//! [`Model`](crate::keras::model::Model).
//!
//! An ONNX graph becomes the same graph of layers that Keras files become, so that forward pass, conversion and
//! comparison are shared. Tensors keep the file's order of axes, channels first: lowering turns them once. The
//! first axis of every tensor is the batch. What depends on constants and shapes alone is folded.

mod build;
mod call;
mod constant;
mod error;
mod file;
mod fuse;
mod node;
mod ops;
mod proto;
mod walk;

pub use error::{OnnxError, Problem};
pub(crate) use file::begins_onnx;
pub use file::{is_onnx, load, load_bytes};
pub use walk::Import;
