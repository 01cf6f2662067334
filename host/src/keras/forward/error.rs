//! Failures of a forward pass.

use thiserror::Error;

use crate::ops::OpsError;

/// Why a forward pass failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Not as many inputs as the model has.
    #[error("the model \"{model}\" has {expected} inputs, but {found} were given")]
    InputCount {
        /// The model's name.
        model: String,
        /// How many inputs it has.
        expected: usize,
        /// How many were given.
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
        /// How many items each input has.
        found: Vec<usize>,
    },
    /// A layer could not run.
    #[error("layer \"{layer}\" ({class_name}): {problem}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its Keras class.
        class_name: String,
        /// What is wrong.
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

/// What is wrong with a layer or its input.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not as many inputs as the layer takes.
    #[error("it takes {expected}, but has {found}")]
    Inputs {
        /// How many it takes, in words.
        expected: &'static str,
        /// How many it has.
        found: usize,
    },
    /// A shape does not fit.
    #[error("the shape {found:?} (with the batch axis) does not fit: it needs {needs}")]
    Shape {
        /// What is needed, in words.
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
    /// An embedding's index is outside its table.
    #[error("the index {index} lies outside the embedding's {rows} rows")]
    Index {
        /// The input's value.
        index: f32,
        /// How many rows the table has.
        rows: usize,
    },
    /// Shapes that contradict each other.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// A model that is used as a layer failed.
    #[error(transparent)]
    Nested(#[from] Box<ForwardError>),
}
