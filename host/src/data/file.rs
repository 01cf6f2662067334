//! Files: their formats, told by the content.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::array::{Array, Role};
use super::content::{read_file, unpacked_limit};
use super::csv;
use super::error::DataError;
use super::idx::parse_idx;
use super::npy::parse_npy;
use super::npz::Archive;

/// A format, as the first bytes of a file show it.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Npz,
    Npy,
    Idx,
    /// A compressed file; only IDX files come so.
    Gzip,
}

impl Format {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Npz),
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Some(Self::Npy),
            [0, 0, ..] => Some(Self::Idx),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// The file of labels that MNIST's naming gives for a file of images, if it is there.
#[must_use]
pub fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let (set, _) = name.split_once("images")?;
    // Copies of MNIST also come with a dot before `idx`.
    ["-idx1-ubyte", ".idx1-ubyte"]
        .iter()
        .flat_map(|rest| {
            [
                format!("{set}labels{rest}.gz"),
                format!("{set}labels{rest}"),
            ]
        })
        .map(|labels| images.with_file_name(labels))
        .find(|path| path.is_file())
}

pub(super) fn read_labels(path: &Path) -> Result<Array, DataError> {
    let file = path.display().to_string();
    let bytes = read_file(path)?;
    let limit = unpacked_limit(bytes.len() as u64);
    match Format::of(&bytes) {
        Some(Format::Npz) => {
            let mut archive = Archive::open(&file, Cursor::new(&*bytes), limit)?;
            archive
                .array("y", Role::Labels)?
                .ok_or_else(|| archive.lacks("y"))
        }
        Some(Format::Npy) => parse_npy(&file, "y", Role::Labels, limit, bytes.as_slice()),
        Some(Format::Idx) => parse_idx(&file, Role::Labels, limit, bytes.as_slice()),
        Some(Format::Gzip) => parse_idx(&file, Role::Labels, limit, MultiGzDecoder::new(&*bytes)),
        None if csv::is_table(&bytes) => {
            let (x, y) = csv::parse(&file, &bytes)?;
            Ok(y.unwrap_or(x))
        }
        None => Err(DataError::UnknownFormat { file }),
    }
}

/// The samples of a file, and the labels if they are in the same file.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Array, Option<Array>), DataError> {
    let limit = unpacked_limit(bytes.len() as u64);
    match Format::of(bytes) {
        Some(Format::Npz) => {
            let mut archive = Archive::open(file, Cursor::new(bytes), limit)?.samples()?;
            let x = archive
                .array("x", Role::Samples)?
                .ok_or_else(|| archive.lacks("x"))?;
            Ok((x, archive.array("y", Role::Labels)?))
        }
        Some(Format::Npy) => Ok((parse_npy(file, "x", Role::Samples, limit, bytes)?, None)),
        Some(Format::Idx) => Ok((parse_idx(file, Role::Samples, limit, bytes)?, None)),
        Some(Format::Gzip) => {
            let unpacked = MultiGzDecoder::new(bytes);
            Ok((parse_idx(file, Role::Samples, limit, unpacked)?, None))
        }
        None if csv::is_table(bytes) => csv::parse(file, bytes),
        None => Err(DataError::UnknownFormat { file: file.into() }),
    }
}
