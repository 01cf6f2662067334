//! Reasons why an ONNX file has no model.

use thiserror::Error;

use crate::advice::{Advice, Advised};
use crate::text::brief;

/// An ONNX file without a model: which, and why.
#[derive(Debug, Error)]
#[error("{file}: {}", brief(&problem.to_string()))]
pub struct OnnxError {
    /// The file, as the caller named it.
    pub file: String,
    /// The fault. The message contains it, so the source does not repeat it.
    pub problem: Problem,
}

impl Problem {
    /// The problem as one of a file.
    pub(super) fn in_file(self, file: &str) -> OnnxError {
        OnnxError {
            file: file.to_owned(),
            problem: self,
        }
    }
}

impl Advised for OnnxError {
    fn advice(&self) -> Vec<Advice> {
        match self.problem {
            Problem::UnknownShape { .. } => vec![Advice::InputShape],
            _ => Vec::new(),
        }
    }
}

/// Fault of an ONNX file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The content is no ONNX.
    #[error("is no ONNX model: {reason}; export the network again")]
    Format {
        /// The finding.
        reason: String,
    },
    /// More of something than is read.
    #[error("has {found} {what}, above the limit of {limit}")]
    TooLarge {
        /// Things of which there are too many.
        what: &'static str,
        /// Their number.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A version of the operators that is not known here.
    #[error(
        "is of {found}; opsets {least} to {most} are read: export the network with opset_version=17"
    )]
    Opset {
        /// The version, in words.
        found: String,
        /// The least version that is read.
        least: i64,
        /// The largest version that is read.
        most: i64,
    },
    /// A tensor of the file cannot be used.
    #[error("tensor \"{tensor}\": {reason}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// The finding, and the remedy.
        reason: String,
    },
    /// An input of the network cannot be used.
    #[error("input \"{input}\": {reason}")]
    Input {
        /// The input's name.
        input: String,
        /// The finding, and the remedy.
        reason: String,
    },
    /// An input has axes of unknown length.
    #[error(
        "input \"{input}\" has shape {shape}, with axes of unknown length; state its shape without the batch axis"
    )]
    UnknownShape {
        /// The input's name.
        input: String,
        /// Its shape without the batch axis.
        shape: String,
    },
    /// The graph contradicts itself.
    #[error("the graph: {reason}")]
    Graph {
        /// The finding.
        reason: String,
    },
    /// A node has no layer.
    #[error("node \"{node}\" ({op}): {reason}")]
    Node {
        /// The node's name.
        node: String,
        /// Its operator.
        op: String,
        /// The finding, and the remedy.
        reason: String,
    },
}
