//! Reading and writing whole files.

use std::io::Write as _;
use std::path::Path;

use tinyspike::assemble::{AlignedBytes, Image, aligned_copy};
use tinyspike::sign::PublicKey;
use tinyspike_shared::image::MAGIC;

use crate::diagnostics::Failure;

/// No image is larger than this.
const MAX_IMAGE: u64 = 1 << 30;

/// Whether a file begins as an image does.
pub(crate) fn is_image(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = [0; 4];
    std::fs::File::open(path)
        .and_then(|mut f| f.read_exact(&mut start))
        .is_ok()
        && start == MAGIC
}

/// The bytes of an image file, unparsed.
pub(crate) fn read_image(path: &Path) -> Result<AlignedBytes, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("cannot read {}: {e}", path.display()));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_IMAGE {
        return Err(Failure::new(format!(
            "{}: {size} bytes are more than any image has",
            path.display()
        )));
    }
    Ok(aligned_copy(&std::fs::read(path).map_err(failed)?))
}

/// Parses an image, with the file's name in the error.
pub(crate) fn parse_image<'a>(path: &Path, bytes: &'a [u8]) -> Result<Image<'a>, Failure> {
    Image::parse(bytes).map_err(|e| {
        Failure::new(format!("{}: {e}", path.display()))
            .hint("an image is a file that `tinyspike convert MODEL -o IMAGE` writes")
    })
}

/// Reads a small text file.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))
}

/// Reads a public key from a PEM file.
pub(crate) fn read_public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read_text(path)?)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}

/// Writes a file that only its owner may read, and never over another.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        // A temporary file is private.
        let file = beside(path, |file| file.write_all(text.as_bytes()))?;
        file.persist_noclobber(path).map_err(|e| e.error)
    };
    write().map(drop).map_err(|e| unwritten(path, &e))
}

/// Writes a file as a whole or not at all: to a temporary file beside it, then a rename.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole_with(path, |file| file.write_all(bytes))
}

/// As [`write_whole`], with what `fill` writes.
pub(crate) fn write_whole_with(
    path: &Path,
    fill: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let write = || {
        let file = beside(path, fill)?;
        // A temporary file is private; what we write is an ordinary file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path).map_or(0o644, |m| m.permissions().mode());
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        file.persist(path).map_err(|e| e.error)
    };
    write().map(drop).map_err(|e| unwritten(path, &e))
}

/// A temporary file in the folder of `path`, filled and on its disk.
fn beside(
    path: &Path,
    fill: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    fill(file.as_file_mut())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
