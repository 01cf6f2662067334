//! Reasons why a data set cannot be read.

use std::io;

/// Reason why a data set could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file could not be opened or read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The content is of no known format.
    #[error(
        "{file}: neither a NumPy archive (.npz), a NumPy array (.npy), an IDX file nor a table of numbers (.csv); save the samples with numpy.savez(file, x=samples, y=labels)"
    )]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// The file, or an array in it, is too large.
    #[error(
        "{file}: {what} has {bytes} bytes, and at most {limit} are read from a file of its length; split the data set"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// The array, or the file itself.
        what: String,
        /// Its size, as far as the header's claim can be counted.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// An archive without the array that is needed: `x` for samples, `y` for labels.
    #[error(
        "{file}: no array {array:?} among [{found}]; save the data with numpy.savez(file, x=samples, y=labels)"
    )]
    NoArray {
        /// The file.
        file: String,
        /// The array that is needed.
        array: String,
        /// The names of its arrays, comma-separated.
        found: String,
    },
    /// Recordings of events, for a reader of samples.
    #[error(
        "{file}: recordings of events, which NIR graphs and their images take, and temporal models in `simulate`; for anything else count them in steps, and save x of the shape (samples, steps, ...)"
    )]
    Events {
        /// The file.
        file: String,
    },
    /// Bytes that the format does not allow, or that end too early.
    #[error("{file}: {what}: {reason}; the file is damaged, or was cut short: write it again")]
    Damaged {
        /// The file.
        file: String,
        /// The array or the part of the file.
        what: String,
        /// The fault.
        reason: String,
    },
    /// A cell of a table that is no number.
    #[error("{file}: {place}: {reason}")]
    Cell {
        /// The file.
        file: String,
        /// Line and column.
        place: String,
        /// The fault, and the remedy.
        reason: String,
    },
    /// An element type that is not read.
    #[error(
        "{file}: array {array} has dtype {dtype}; convert it to uint8 or float32 (labels: to an integer type)"
    )]
    Dtype {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// Its NumPy type string.
        dtype: String,
    },
    /// A shape that holds no samples, or labels that do not fit the samples.
    #[error("{file}: array {array} has shape {shape:?}: {reason}")]
    Shape {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// Its shape, with the batch axis.
        shape: Vec<usize>,
        /// The mismatch, and what would fit.
        reason: String,
    },
    /// A value that no network can take, or that is no label.
    #[error("{file}: array {array}, sample {sample}: {reason}")]
    Value {
        /// The file.
        file: String,
        /// The array.
        array: String,
        /// The first sample at fault, from 0.
        sample: usize,
        /// The fault of the value, and what to do.
        reason: String,
    },
}

impl DataError {
    /// The refusal of a value that is no number.
    pub(super) fn not_finite(file: &str, array: &str, sample: usize, value: f32) -> Self {
        Self::Value {
            file: file.into(),
            array: array.into(),
            sample,
            reason: format!(
                "the value {value} is not finite as float32; replace or drop the sample"
            ),
        }
    }
}
