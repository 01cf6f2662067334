//! Data sets: the samples that a network is calibrated and judged on, and their labels or other targets.
//!
//! Turns a NumPy archive (`.npz` with the arrays `x` and, if known, `y`), a lone `.npy` array or a
//! pair of IDX files (the MNIST format, plain or gzipped), or a table of text (`.csv`), into a [`DataSet`]. The format is
//! told by the content, never by the name.
//!
//! Files come from anywhere, so nothing that a header claims is believed: memory grows only with data
//! that is really there, up to [`MAX_BYTES`], and every oddity is a [`DataError`].

mod array;
mod blocks;
mod content;
mod csv;
mod error;
mod events;
mod file;
mod given;
mod idx;
mod labels;
mod npy;
mod npz;
mod set;
pub mod suspicion;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;

pub(crate) use blocks::Evenly;
pub use blocks::{About, about, load_at_most, read_blocks};
pub use content::MAX_BYTES;
pub use error::DataError;
pub use events::{Frames, Recordings};
pub use file::labels_beside;
pub use given::{GivenArray, GivenValues, of_arrays};
pub use npz::{FloatArray, arrays};
pub use set::{BYTE_SCALE, DataSet, Sample, Samples, Targets};
pub use write::{NamedArray, NamedValues, write_npz};

use content::read_file;
use file::{Format, parse, read_labels};
use labels::join;

/// Reads the data set at `path`.
///
/// The labels of IDX images are looked for beside them, under MNIST's names: those of
/// `train-images-idx3-ubyte.gz` in `train-labels-idx1-ubyte.gz`, or in the same without `.gz`.
///
/// # Errors
/// [`DataError`] if the file cannot be read or is no data set.
pub fn load(path: impl AsRef<Path>) -> Result<DataSet, DataError> {
    let path = path.as_ref();
    let file = path.display().to_string();
    let bytes = read_file(path)?;
    let (x, y) = parse(&file, &bytes)?;
    let beside = match Format::of(&bytes) {
        Some(Format::Idx | Format::Gzip) => labels_beside(path),
        _ => None,
    };
    match beside {
        Some(labels) => join(x, Some(read_labels(&labels)?)),
        None => join(x, y),
    }
}

/// Reads the samples at `path`, and their labels from the file `labels`: an IDX file, a `.npy` array,
/// or a `.npz` archive with an array `y`.
///
/// # Errors
/// [`DataError`] if one of the files cannot be read or they do not fit each other.
pub fn load_with_labels(
    path: impl AsRef<Path>,
    labels: impl AsRef<Path>,
) -> Result<DataSet, DataError> {
    let path = path.as_ref();
    let (x, _) = parse(&path.display().to_string(), &read_file(path)?)?;
    join(x, Some(read_labels(labels.as_ref())?))
}

/// Reads a data set from the content of a file. `name` stands for the file in messages.
///
/// # Errors
/// [`DataError`] if the bytes are no data set.
pub fn load_bytes(name: &str, bytes: &[u8]) -> Result<DataSet, DataError> {
    let (x, y) = parse(name, bytes)?;
    join(x, y)
}
