//! NumPy archives: `.npz`, a zip of `.npy` files.

use std::io::{Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, Role, array_called, damaged};
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
