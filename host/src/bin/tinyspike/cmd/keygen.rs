//! `tinyspike keygen`: a pair of keys to sign images with.

use std::io::Write;
use std::path::PathBuf;

use tinyspike::sign::PrivateKey;

use crate::args::Keygen;
use crate::diagnostics::Failure;
use crate::files;

pub(crate) fn run(args: &Keygen, out: &mut dyn Write) -> Result<(), Failure> {
    let key = PrivateKey::generate()?;
    let public = key.public();
    let mut beside = args.output.clone().into_os_string();
    beside.push(".pub");
    let beside = PathBuf::from(beside);
    files::write_secret(&args.output, &key.to_pem()?).map_err(|e| {
        e.hint("a key is never overwritten: images that it has signed would have no key any more")
    })?;
    files::write_whole(&beside, public.to_pem()?.as_bytes())?;
    writeln!(
        out,
        "{}: private key {}; keep it secret\n{}: public key, for the firmware",
        args.output.display(),
        public.id(),
        beside.display(),
    )?;
    Ok(())
}
