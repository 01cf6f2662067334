//! Takes prebuilt firmware into the tool, if there is some, and says where the checkout is, if the tool may know.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The folder of prebuilt firmware, as `cargo xtask dist` makes it. A tool that holds some knows of no checkout.
const PREBUILT: &str = "TINYSPIKE_PREBUILT";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={PREBUILT}");
    let mut table = "&[\n".to_owned();
    let folder = env::var_os(PREBUILT).filter(|folder| !folder.is_empty());
    if let Some(folder) = &folder {
        println!("cargo::rerun-if-changed={}", Path::new(folder).display());
        let files = fs::read_dir(folder)?.map(|file| file.map(|file| file.path()));
        let mut files = files.collect::<Result<Vec<_>, _>>()?;
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "z")) {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            writeln!(table, "({name:?}, include_bytes!({:?})),", fs::canonicalize(file)?)?;
        }
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("prebuilt.rs"), table)?;
    let checkout = match folder {
        Some(_) => String::new(),
        None => {
            let package = env::var("CARGO_MANIFEST_DIR")?;
            let package = Path::new(&package);
            package.parent().unwrap_or(package).display().to_string()
        }
    };
    println!("cargo::rustc-env=TINYSPIKE_CHECKOUT={checkout}");
    Ok(())
}
