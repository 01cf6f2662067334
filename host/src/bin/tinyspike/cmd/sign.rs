//! `tinyspike sign`: an image with a signature behind it.

use std::io::Write;

use tinyspike::sign::{PrivateKey, SignError};

use crate::args::Sign;
use crate::diagnostics::Failure;
use crate::files;

pub(crate) fn run(args: &Sign, out: &mut dyn Write) -> Result<(), Failure> {
    let at =
        |path: &std::path::Path, e: SignError| Failure::new(format!("{}: {e}", path.display()));
    let key = PrivateKey::from_pem(&files::read_text(&args.key)?).map_err(|e| at(&args.key, e))?;
    let image = files::read_image(&args.image)?;
    let signed = key.sign(&image).map_err(|e| at(&args.image, e))?;
    let output = args.output.as_ref().unwrap_or(&args.image);
    files::write_whole(output, &signed)?;
    writeln!(
        out,
        "{}: {} bytes, signed with the key {}",
        output.display(),
        signed.len(),
        key.public().id(),
    )?;
    Ok(())
}
