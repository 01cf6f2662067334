//! Bounded reading of regular files, pipes and devices.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// The system's; [`io::ErrorKind::FileTooLarge`], if there is more, as in a device that never ends.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_if(path, limit, |_| true)
}

/// Reads a file of at most `limit` bytes if its first 8 are as `begins` wants them; else no more than these.
///
/// # Errors
/// Those of [`read`].
pub fn read_if(path: &Path, limit: u64, begins: impl FnOnce(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    const START: u64 = 8;
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(START).read_to_end(&mut bytes)?;
    if begins(&bytes) {
        file.take(limit.saturating_add(1).saturating_sub(START))
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// Those of [`read`]; [`io::ErrorKind::InvalidData`], if it is no UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.utf8_error()))
}
