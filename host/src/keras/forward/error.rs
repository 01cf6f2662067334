//! Failures of a forward pass.

use thiserror::Error;

use crate::ops::OpsError;

/// Reason why a forward pass failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Wrong number of inputs for the model.
    #[error("the model \"{model}\" has {expected} inputs, but {found} were given")]
    InputCount {
        /// The model's name.
        model: String,
        /// The number of its inputs.
        expected: usize,
        /// The number that was given.
        found: usize,
    },
    /// An input does not have the shape that the model takes.
    #[error(
        "input \"{input}\" takes the shape {expected} for each item, but the shape {found:?} (with the batch axis) was given"
    )]
    InputShape {
        /// The input layer's name.
        input: String,
        /// Its shape, without the batch axis.
        expected: String,
        /// The shape that was given, with the batch axis.
        found: Vec<usize>,
    },
    /// The inputs disagree on the number of items.
    #[error("the inputs have {found:?} items; each must have as many as the first")]
    BatchSize {
        /// The number of items of each input.
        found: Vec<usize>,
    },
    /// A layer could not run.
    #[error("layer \"{layer}\" ({class_name}): {problem}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its Keras class.
        class_name: String,
        /// The fault.
        problem: Problem,
    },
    /// The model names a tensor that no layer makes, or that needs itself.
    #[error(
        "layer {layer}, call {call}, output {tensor} of the model \"{model}\" cannot be computed: no layer makes it, or it needs itself"
    )]
    Graph {
        /// The model's name.
        model: String,
        /// Index of the layer.
        layer: usize,
        /// Index of its call.
        call: usize,
        /// Index of the call's output.
        tensor: usize,
    },
}

/// Fault of a layer or its input.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Wrong number of inputs for the layer.
    #[error("it takes {expected}, but has {found}")]
    Inputs {
        /// The number that it takes, in words.
        expected: &'static str,
        /// The number that it has.
        found: usize,
    },
    /// A shape does not fit.
    #[error("the shape {found:?} (with the batch axis) does not fit: it needs {needs}")]
    Shape {
        /// The shape that is needed, in words.
        needs: String,
        /// The shape that was found.
        found: Vec<usize>,
    },
    /// A weight is missing.
    #[error("it has no weight \"{0}\"")]
    Weight(&'static str),
    /// The layer can be listed but not run.
    #[error("cannot run {0}")]
    Unsupported(String),
    /// Arguments or weights do not fit the input.
    #[error("{0}")]
    Values(String),
    /// An embedding's index is outside its table.
    #[error("the index {index} lies outside the embedding's {rows} rows")]
    Index {
        /// The input's value.
        index: f32,
        /// The number of rows of the table.
        rows: usize,
    },
    /// Shapes that contradict each other.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// A model that is used as a layer failed.
    #[error(transparent)]
    Nested(#[from] Box<ForwardError>),
}
