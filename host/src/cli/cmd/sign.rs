//! `tinyspike sign`: an image with a signature behind it.

use std::io::Write;

use super::keygen::public_beside;
use crate::cli::args::Sign;
use crate::cli::diagnostics::Failure;
use crate::cli::files;
use crate::cli::outputs::Output;

pub(crate) fn run(args: &Sign, out: &mut dyn Write) -> Result<(), Failure> {
    let key = files::read_private_key(&args.key)?;
    let image = files::read_image(&args.image)?;
    let signed = key.sign(&image);
    let path = args.output.as_ref().unwrap_or(&args.image);
    // Its own image alone is replaced, and neither the key nor the one for the firmware beside it.
    let public = public_beside(&args.key);
    let output = Output::new(path, [args.key.as_path(), &public])?;
    let mut out = output.messages(out);
    output.write(signed.bytes())?;
    writeln!(
        out,
        "{}: {} bytes, signed with the key {}",
        path.display(),
        signed.bytes().len(),
        key.public().id(),
    )?;
    Ok(())
}
