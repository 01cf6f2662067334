//! Faults of a file.

use crate::advice::{Advice, Advised};
use thiserror::Error;

use crate::keras::infer::ShapeError;
use crate::text::brief;

/// A file that cannot be imported: which, and why.
#[derive(Debug, Error)]
#[error("{file}: {}", brief(&problem.to_string()))]
pub struct ImportError {
    /// The file, as the caller named it.
    pub file: String,
    /// The fault. The message contains it, so the source does not repeat it.
    pub problem: Problem,
}

/// Reason why a file cannot be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The content is of no kind that is supported.
    #[error(
        "is {found}, not a Keras model; give a .keras or .h5 file or a SavedModel directory that \
         Keras's model.save() has written, or an .onnx file"
    )]
    UnknownFormat {
        /// The likely kind of the content.
        found: String,
    },
    /// The zip archive of a `.keras` file is broken, or lacks a part.
    #[error(
        "is a zip archive without a readable Keras model: {reason}; save the model again with model.save(\"model.keras\")"
    )]
    Zip {
        /// The fault.
        reason: String,
    },
    /// The HDF5 data is broken, or of a kind that Keras does not write.
    #[error("HDF5 object \"{object}\": {reason}; the file is damaged or was not written by Keras")]
    Hdf5 {
        /// The path of the object in the HDF5 file.
        object: String,
        /// The fault.
        reason: String,
    },
    /// A TensorFlow checkpoint or SavedModel is broken.
    #[error("SavedModel part \"{part}\": {reason}; save the model again with model.save()")]
    SavedModel {
        /// The file within the SavedModel, or the variable.
        part: String,
        /// The fault.
        reason: String,
    },
    /// The file holds weights, but no description of the layers.
    #[error(
        "holds weights without the model's configuration; give the JSON text of model.to_json() \
         with it, or save the whole model with model.save()"
    )]
    NoConfig,
    /// The configuration is no JSON.
    #[error("the model's configuration is not valid JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The configuration is JSON, but no functional or sequential model.
    #[error("the model's configuration: {reason}")]
    Model {
        /// The finding, and the remedy.
        reason: String,
    },
    /// A layer's configuration is not as Keras writes it.
    #[error("layer \"{layer}\" ({class}): {reason}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its Keras class.
        class: String,
        /// The finding, and the expectation.
        reason: String,
    },
    /// The layers do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A weight that the layer needs is not there.
    #[error(
        "layer \"{layer}\": its weight \"{weight}\" of shape {expected} is missing from the file"
    )]
    MissingWeight {
        /// The layer's name.
        layer: String,
        /// The weight's role.
        weight: String,
        /// The shape that the layer's configuration asks for.
        expected: String,
    },
    /// More weights than the layer has.
    #[error(
        "layer \"{layer}\": the file holds {found} weights for it, but its configuration asks for {expected}"
    )]
    ExtraWeights {
        /// The layer's name.
        layer: String,
        /// The number of weights in the file.
        found: usize,
        /// The number that the layer has.
        expected: usize,
    },
    /// A weight does not have the shape that its layer's configuration asks for.
    #[error(
        "layer \"{layer}\": weight \"{weight}\" has shape {found}, but the layer's configuration asks for {expected}"
    )]
    WeightShape {
        /// The layer's name.
        layer: String,
        /// The weight's role.
        weight: String,
        /// The shape in the file.
        found: String,
        /// The shape that the layer's configuration asks for.
        expected: String,
    },
    /// A weight is stored in a number format that is not supported.
    #[error(
        "layer \"{layer}\": weight \"{weight}\" is stored as {found}; save the model with float32 weights"
    )]
    WeightType {
        /// The layer's name.
        layer: String,
        /// The weight's role.
        weight: String,
        /// The number format in the file.
        found: String,
    },
    /// A weight holds NaN or an infinity.
    #[error(
        "layer \"{layer}\": weight \"{weight}\" is {value} at index {index:?}; the training diverged or the file is damaged"
    )]
    NotFinite {
        /// The layer's name.
        layer: String,
        /// The weight's role.
        weight: String,
        /// The first index at which it is not finite.
        index: Vec<usize>,
        /// The value there.
        value: f64,
    },
    /// Size above that of any model that is supported.
    #[error(
        "{what} is {found}, over the limit of {limit}; the file is damaged, or too large for this tool"
    )]
    TooLarge {
        /// The thing that is too large.
        what: String,
        /// The size that the file states.
        found: u64,
        /// The most that is supported.
        limit: u64,
    },
}

impl Problem {
    /// The error that names the file.
    pub(super) fn in_file(self, file: &str) -> ImportError {
        ImportError {
            file: file.to_owned(),
            problem: self,
        }
    }

    /// An error in the model's configuration as a whole.
    pub(super) fn model(reason: impl Into<String>) -> Self {
        Self::Model {
            reason: reason.into(),
        }
    }
}

impl Advised for ImportError {
    fn advice(&self) -> Vec<Advice> {
        match self.problem {
            Problem::NoConfig => vec![Advice::Configuration],
            _ => Vec::new(),
        }
    }
}
