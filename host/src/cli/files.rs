//! Reading whole files.

use std::path::Path;

use crate::advice::Advised as _;
use crate::file;
use crate::image::{ImageBuf, MAX_BYTES};
use crate::sign::{PrivateKey, PublicKey};
use tinyspike_shared::image::MAGIC;

use crate::cli::diagnostics::{Failure, warn};

/// No key has more bytes.
const MAX_KEY: u64 = 1 << 16;

/// Tells whether a regular file begins as an image does. What is read of a pipe would be lost.
pub(crate) fn is_image(path: &Path) -> bool {
    path.is_file()
        && file::read_if(path, MAX_BYTES, |_| false).is_ok_and(|start| start.starts_with(&MAGIC))
}

/// Reads an image file.
pub(crate) fn read_image(path: &Path) -> Result<ImageBuf, Failure> {
    ImageBuf::load(path).map_err(Failure::of)
}

/// Reads a public key from a PEM file.
pub(crate) fn read_public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read_key(path)?)
        .map_err(|e| Failure::advised(format!("{}: {e}", path.display()), &e.advice()))
}

/// Reads a private key from a PEM file, and warns if others than its owner may read it, too.
pub(crate) fn read_private_key(path: &Path) -> Result<PrivateKey, Failure> {
    let key = PrivateKey::from_pem(&read_key(path)?)
        .map_err(|e| Failure::advised(format!("{}: {e}", path.display()), &e.advice()))?;
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
