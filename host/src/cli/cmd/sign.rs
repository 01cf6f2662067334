//! `tinyspike sign`: an image with a signature behind it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::keygen::public_beside;
use crate::cli::args::Sign;
use crate::cli::diagnostics::Failure;
use crate::cli::files;
use crate::cli::outputs::Output;
use crate::text::shown;

pub(crate) fn run(args: &Sign, out: &mut dyn Write) -> Result<(), Failure> {
    let key = files::read_private_key(&args.key)?;
    let image = files::read_image(&args.image)?;
    let signed = key.sign(&image);
    let path = args.output.as_ref().unwrap_or(&args.image);
    // Its own image alone is replaced, and neither the key nor the one for the firmware beside it, by whatever link it was named.
    let real = fs::canonicalize(&args.key).unwrap_or_else(|_| args.key.clone());
    let keys = [public_beside(&args.key), public_beside(&real), real];
    let keys = keys.iter().map(PathBuf::as_path);
    let output = Output::new(path, keys.chain([args.key.as_path()]))?;
    let mut out = output.messages(out);
    output.write(signed.bytes())?;
    writeln!(
        out,
        "{}: {} bytes, signed with the key {}",
        shown(path),
        signed.bytes().len(),
        key.public().id(),
    )?;
    Ok(())
}
