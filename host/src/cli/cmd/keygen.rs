//! `tinyspike keygen`: a pair of keys to sign images with.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::sign::PrivateKey;

use crate::cli::args::Keygen;
use crate::cli::diagnostics::Failure;
use crate::cli::outputs::Output;
use crate::text::shown;

pub(crate) fn run(args: &Keygen, out: &mut dyn Write) -> Result<(), Failure> {
    let beside = public_beside(&args.output);
    let fresh = |path: &Path, mode| {
        Output::fresh(path, mode).map_err(|e| match path.symlink_metadata() {
            Ok(_) => e.hint(
                "a key is never overwritten: images that it has signed would have no key any more",
            ),
            Err(_) => e,
        })
    };
    let (private, other) = (fresh(&args.output, 0o600)?, fresh(&beside, 0o666)?);
    let key = PrivateKey::generate()?;
    let public = key.public();
    private.write(key.to_pem()?.as_bytes())?;
    if let Err(failure) = other.write(public.to_pem()?.as_bytes()) {
        // Half a pair is of no use.
        let _ = fs::remove_file(&args.output);
        return Err(failure);
    }
    writeln!(
        out,
        "{}: private key {}; keep it secret\n{}: public key, for the firmware",
        shown(&args.output),
        public.id(),
        shown(&beside),
    )?;
    Ok(())
}

/// The file of the public key beside a private one.
pub(crate) fn public_beside(key: &Path) -> PathBuf {
    let mut beside = key.as_os_str().to_owned();
    beside.push(".pub");
    beside.into()
}
