//! Files that the tool holds, so that nobody has to build them.
//!
//! `cargo xtask dist` hands them to this package's build by [`PREBUILT`]. Without that there are none.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flate2::read::ZlibDecoder;
use tempfile::TempDir;
use tinyspike_boards::{Board, Program};

use crate::shell::{self, Failure};

/// The variable with the folder of files that a build of the tool takes in.
pub const PREBUILT: &str = "TINYSPIKE_PREBUILT";

/// Names and compressed files.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/prebuilt.rs"));

/// The most bytes of a file.
const MOST: u64 = 16 << 20;

/// Tells whether this tool holds firmware, and shall use it: who names a checkout wants what that gives.
#[must_use]
pub fn any() -> bool {
    !FILES.is_empty() && shell::named_checkout().is_none()
}

/// The failure of what needs a file that the tool does not hold.
pub(crate) fn missing(what: &str) -> Failure {
    Failure::Missing {
        what: format!("{what} in the tool"),
        advice: format!(
            "with Rust and a checkout of tinyspike it is built: name its folder in the variable {}",
            shell::CHECKOUT
        ),
    }
}

/// A file that the tool holds.
pub(crate) fn file(name: &str) -> Result<Option<Vec<u8>>, Failure> {
    if !any() {
        return Ok(None);
    }
    let Some((_, packed)) = FILES.iter().find(|(other, _)| *other == name) else {
        return Ok(None);
    };
    unpack(packed)
        .map(Some)
        .map_err(Failure::file(Path::new(name)))
}

/// Unpacks what [`pack`] has packed.
fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed)
        .take(MOST)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Packs a file for the tool.
///
/// # Errors
/// None but the system's.
pub fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes)?;
    packed.finish()
}

/// The name of a board's program.
#[must_use]
pub fn program_name(board: Board, program: Program) -> String {
    format!("{board}-{}", program.name())
}

/// A board's program in a file; `None` if the tool holds none.
///
/// # Errors
/// [`Failure`] if no file can be written.
pub fn program(board: Board, program: Program) -> Result<Option<PathBuf>, Failure> {
    let name = program_name(board, program);
    let bytes = file(&name)?;
    bytes.map(|bytes| keep(&name, &bytes)).transpose()
}

/// A folder of this process, which nobody else may exchange files in: for users without a folder of their own.
fn private() -> Result<PathBuf, Failure> {
    static FOLDER: Mutex<Option<TempDir>> = Mutex::new(None);
    let mut folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = &*folder {
        return Ok(folder.path().to_owned());
    }
    let made = tempfile::tempdir().map_err(Failure::file(&std::env::temp_dir()))?;
    let path = made.path().to_owned();
    *folder = Some(made);
    Ok(path)
}

/// Keeps a file among what the user's programs keep, under a name that its content fixes.
pub(crate) fn keep(name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let folder = match dirs::cache_dir() {
        Some(cache) => cache.join("tinyspike").join("firmware"),
        None => private()?,
    };
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    let mut content = DefaultHasher::new();
    bytes.hash(&mut content);
    let path = folder.join(format!("{name}-{:016x}.elf", content.finish()));
    write(&path, bytes)?;
    Ok(path)
}

/// Writes a file whole or not at all, unless it has these bytes already. Whoever writes the same at the same time writes the same bytes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Failure::file(folder))?;
    file.write_all(bytes).map_err(Failure::file(file.path()))?;
    file.persist(path)
        .map_err(|e| Failure::file(path)(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let bytes: Vec<u8> = (0..9999_u32).map(|n| ((n * n) >> 7) as u8).collect();
        assert_eq!(unpack(&pack(&bytes).unwrap()).unwrap(), bytes);
    }
}
