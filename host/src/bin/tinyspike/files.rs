//! Reading whole files.

use std::path::Path;

use tinyspike::assemble::{AlignedBytes, Image, aligned_copy};
use tinyspike::file;
use tinyspike::sign::{PrivateKey, PublicKey};
use tinyspike_shared::image::MAGIC;

use crate::diagnostics::{Failure, warn};

/// No image is larger than this.
const MAX_IMAGE: u64 = 1 << 30;

/// No key has more bytes.
const MAX_KEY: u64 = 1 << 16;

/// Whether a regular file begins as an image does. What is read of a pipe would be lost.
pub(crate) fn is_image(path: &Path) -> bool {
    path.is_file()
        && file::read_if(path, MAX_IMAGE, |_| false).is_ok_and(|start| start.starts_with(&MAGIC))
}

/// The bytes of an image file, unparsed; only the first of a file that is none.
pub(crate) fn read_image(path: &Path) -> Result<AlignedBytes, Failure> {
    let bytes = file::read_if(path, MAX_IMAGE, |start| start.starts_with(&MAGIC));
    Ok(aligned_copy(&bytes.map_err(|e| unread(path, &e))?))
}

/// Parses an image, with the file's name in the error.
pub(crate) fn parse_image<'a>(path: &Path, bytes: &'a [u8]) -> Result<Image<'a>, Failure> {
    Image::parse(bytes).map_err(|e| {
        Failure::new(format!("{}: {e}", path.display()))
            .hint("an image is a file that `tinyspike convert MODEL -o IMAGE` writes")
    })
}

/// Reads a public key from a PEM file.
pub(crate) fn read_public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read_key(path)?)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}

/// Reads a private key from a PEM file, and warns if others than its owner may read it, too.
pub(crate) fn read_private_key(path: &Path) -> Result<PrivateKey, Failure> {
    let key = PrivateKey::from_pem(&read_key(path)?)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0, |about| about.permissions().mode());
        if mode & 0o077 != 0 {
            warn(format_args!(
                "others than its owner may read the private key {0}: `chmod 600 {0}` ends that",
                path.display()
            ));
        }
    }
    Ok(key)
}

fn read_key(path: &Path) -> Result<String, Failure> {
    file::read_text(path, MAX_KEY).map_err(|e| unread(path, &e))
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}
