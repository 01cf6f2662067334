//! `cargo xtask libraries`: the engine as static libraries for C, one for each core, with the header.
//!
//! `tinyspike export --libraries` takes them, so that a machine without Rust's targets can export projects.

use std::fs;
use std::path::PathBuf;

use tinyspike_board::library::{self, CORES, Contents, Core};
use tinyspike_board::shell::{self, Failure};
use tinyspike_c::HEADER;

use crate::firmware;

/// The options of `cargo xtask libraries`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build for these cores alone [default: all]
    cores: Vec<String>,
    /// Folder for the libraries
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Builds the whole engine for each core, and puts it beside the header.
///
/// # Errors
/// [`Failure`] if a core is unknown, a target cannot be installed or a build fails.
pub(crate) fn build(args: &Args) -> Result<(), Failure> {
    let folder = args.output.clone();
    let folder = folder.unwrap_or_else(|| shell::root().join("target/libraries"));
    for core in chosen(&args.cores)? {
        if let Some(target) = core.target {
            firmware::find(target)?;
        }
        let built = library::build(core, Contents::WHOLE)?;
        let own = folder.join(core.name);
        fs::create_dir_all(&own).map_err(Failure::file(&own))?;
        let library = own.join("libtinyspike.a");
        fs::copy(&built, &library).map_err(Failure::file(&library))?;
        println!("{}: {}", core.name, library.display());
    }
    let header = folder.join("tinyspike.h");
    fs::write(&header, HEADER).map_err(Failure::file(&header))?;
    println!("header: {}", header.display());
    Ok(())
}

/// The cores with these names; all if there are none.
fn chosen(names: &[String]) -> Result<Vec<&'static Core>, Failure> {
    if names.is_empty() {
        return Ok(CORES.iter().collect());
    }
    let named = |name: &String| {
        Core::named(name).ok_or_else(|| {
            let all: Vec<&str> = CORES.iter().map(|core| core.name).collect();
            Failure::Argument(format!(
                "no core is named {name}: there are {}",
                all.join(", ")
            ))
        })
    };
    names.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_core_is_named_beside_the_known_ones() {
        assert_eq!(chosen(&[]).unwrap().len(), CORES.len());
        let error = chosen(&["z80".into()]).unwrap_err().to_string();
        assert!(
            error.contains("z80") && error.contains("cortex-m4hf"),
            "{error}"
        );
    }
}
