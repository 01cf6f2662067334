//! Files of a project, in memory and on disk.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;

use crate::file;

/// The fate of a file that is there before an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is replaced: it follows from the image.
    Replace,
    /// It stays: it is the user's to change.
    Keep,
}

/// Files of a project by their paths, with `/` between folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    files: BTreeMap<String, (Vec<u8>, Keep)>,
}

/// A file or a folder that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl Project {
    /// Adds a file.
    pub(super) fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>, keep: Keep) {
        self.files.insert(path.into(), (bytes.into(), keep));
    }

    /// The files, by their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, (bytes, _))| (path.as_str(), bytes.as_slice()))
    }

    /// A file's bytes.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|(bytes, _)| bytes.as_slice())
    }

    /// The paths of files in a folder that would stay as they are, because they are the user's and differ.
    #[must_use]
    pub fn kept(&self, folder: &Path) -> Vec<PathBuf> {
        let differs = |path: &Path, bytes: &[u8]| {
            let limit = bytes.len() as u64 + 1;
            path.exists() && file::read(path, limit).ok().as_deref() != Some(bytes)
        };
        let files = self.files.iter();
        files
            .map(|(path, (bytes, keep))| (folder.join(path), bytes, *keep))
            .filter(|(path, bytes, keep)| *keep == Keep::Keep && differs(path, bytes))
            .map(|(path, ..)| path)
            .collect()
    }

    /// Writes the files into a folder, which is made if it is not there. Files of the user's that are there stay.
    ///
    /// # Errors
    /// [`WriteError`] with the first file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), WriteError> {
        for (path, (bytes, keep)) in &self.files {
            let path = folder.join(path);
            let failed = |source| WriteError {
                path: path.clone(),
                source,
            };
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(failed)?;
            }
            if *keep == Keep::Replace || !path.exists() {
                file::write(&path, bytes).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The files as a ZIP archive, below one folder unless its name is empty. The same files give the same bytes.
    ///
    /// # Errors
    /// [`io::Error`], if a file is too large for an archive.
    pub fn zip(&self, folder: &str) -> io::Result<Vec<u8>> {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o644);
        for (path, bytes) in self.files() {
            let path = match folder {
                "" => path.to_owned(),
                folder => format!("{folder}/{path}"),
            };
            archive.start_file(path, options)?;
            archive.write_all(bytes)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}
