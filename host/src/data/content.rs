//! Contents of files, and how much of them is read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::error::DataError;

/// The most bytes that a file, or one of its arrays when unpacked, may have: 2 GiB.
pub const MAX_BYTES: u64 = 2 << 30;

/// The length of a file that can be read more than once.
pub(super) fn regular(file: &File) -> io::Result<u64> {
    let about = file.metadata()?;
    if about.is_file() {
        return Ok(about.len());
    }
    let reason = "not a regular file, and samples are read more than once";
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

/// The content of a file.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let failed = |source| DataError::Read {
        file: path.display().to_string(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let len = regular(&file).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DataError::TooLarge {
            file: path.display().to_string(),
            what: "the file".into(),
            bytes: len,
            limit: MAX_BYTES,
        });
    }
    Ok(bytes)
}

/// The most bytes that an array in a file may have. Real samples can hardly be packed to a hundredth:
/// more is a claim that is made to exhaust the memory.
pub(super) fn unpacked_limit(packed: u64) -> u64 {
    packable(packed).min(MAX_BYTES)
}

/// The most bytes that real samples are packed into `packed` bytes from.
pub(super) fn packable(packed: u64) -> u64 {
    packed.saturating_mul(100).saturating_add(64 << 20)
}
