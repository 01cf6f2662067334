//! NumPy archives: `.npz`, a zip of `.npy` files.

use std::io::{Cursor, Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, Role, Values, array_called, damaged};
use super::content::{read_file, unpacked_limit};
use super::error::DataError;
use super::npy::parse_npy;

/// A NumPy archive: a zip of `.npy` files.
pub(super) struct Archive<'a, R> {
    file: &'a str,
    pub(super) zip: ZipArchive<R>,
    limit: u64,
}

impl<'a, R: Read + Seek> Archive<'a, R> {
    pub(super) fn open(file: &'a str, content: R, limit: u64) -> Result<Self, DataError> {
        match ZipArchive::new(content) {
            Ok(zip) => Ok(Self { file, zip, limit }),
            Err(e) => Err(damaged(file, "the archive", e)),
        }
    }

    pub(super) fn array(&mut self, name: &str, role: Role) -> Result<Option<Array>, DataError> {
        match self.zip.by_name(&format!("{name}.npy")) {
            Ok(entry) => parse_npy(self.file, name, role, self.limit, entry).map(Some),
            Err(ZipError::FileNotFound) => Ok(None),
            Err(e) => Err(damaged(self.file, &array_called(name), e)),
        }
    }

    /// Refuses recordings of events, whose x and y are addresses.
    pub(super) fn samples(self) -> Result<Self, DataError> {
        match self.zip.index_for_name("offsets.npy") {
            None => Ok(self),
            Some(_) => Err(DataError::Events {
                file: self.file.into(),
            }),
        }
    }

    /// The error for an array that is not there: it names what is.
    pub(super) fn lacks(&self, array: &str) -> DataError {
        let mut names: Vec<_> = self
            .zip
            .file_names()
            .filter_map(Result::ok)
            .map(|n| n.strip_suffix(".npy").unwrap_or(&n).to_owned())
            .collect();
        names.sort_unstable();
        let more = names.len() > 16;
        names.truncate(16);
        // Names come from the file too.
        let shown = |name: &String| {
            name.chars()
                .take(40)
                .collect::<String>()
                .escape_debug()
                .to_string()
        };
        let mut found = names.iter().map(shown).collect::<Vec<_>>().join(", ");
        if more {
            found.push_str(", ...");
        }
        DataError::NoArray {
            file: self.file.into(),
            array: array.into(),
            found,
        }
    }
}

/// An array of a file as floats.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatArray {
    /// Its name in the file.
    pub name: String,
    /// The length along each axis.
    pub shape: Vec<usize>,
    /// The values, row-major. Bytes stand for whole numbers.
    pub values: Vec<f32>,
}

/// Reads all arrays of a `.npz` whose numbers are floats or integers.
///
/// # Errors
/// [`DataError`], if the file cannot be read, is no archive, or an array is damaged or holds no numbers.
pub fn arrays(path: &Path) -> Result<Vec<FloatArray>, DataError> {
    let file = path.display().to_string();
    let bytes = read_file(path)?;
    let limit = unpacked_limit(bytes.len() as u64);
    let mut archive = Archive::open(&file, Cursor::new(&*bytes), limit)?;
    let names: Vec<String> = (archive.zip.file_names().filter_map(Result::ok))
        .filter_map(|name| name.strip_suffix(".npy").map(str::to_owned))
        .collect();
    let mut arrays = Vec::new();
    for name in names {
        let Some(array) = archive.array(&name, Role::Samples)? else {
            continue;
        };
        arrays.push(FloatArray {
            name,
            shape: array.shape,
            values: match array.values {
                Values::U8(bytes) => bytes.into_iter().map(f32::from).collect(),
                Values::Int(values) => values.into_iter().map(|v| v as f32).collect(),
                Values::Float(values) => values,
            },
        });
    }
    Ok(arrays)
}
