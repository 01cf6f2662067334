//! `tinyspike verify-image`: whether an image is whole, and who has signed it.

use std::io::Write;

use crate::sign::signer;

use crate::cli::args::VerifyImage;
use crate::cli::diagnostics::Failure;
use crate::cli::files;

pub(crate) fn run(args: &VerifyImage, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    let version = image.header().model_version;
    let checksum = image.header().checksum;
    let failed = |e| Failure::new(format!("{}: {e}", args.image.display()));
    let signed = match &args.key {
        Some(path) => {
            let key = files::read_public_key(path)?;
            key.verify(&bytes).map_err(failed)?;
            format!("signed with the key {}", key.id())
        }
        None => match signer(&bytes) {
            Some(id) => format!("claims to be signed with the key {id} (--key FILE checks it)"),
            None => "not signed".to_owned(),
        },
    };
    writeln!(
        out,
        "{}: whole, model version {version}, checksum {checksum:08x}, {signed}",
        args.image.display()
    )?;
    Ok(())
}
