//! Hands the linker a board's memory layout. Without a board's feature there is nothing to do.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::path::Path;

const BOARDS: [&str; 3] = ["mps2-an386", "mps2-an500", "microbit"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_dsp)");
    let target = env::var("TARGET")?;
    // The compiler does not tell of the DSP extension, which these targets have.
    if target.starts_with("thumbv7em") || target.starts_with("thumbv8m.main") {
        println!("cargo::rustc-cfg=tinyspike_dsp");
    }
    for board in BOARDS {
        let feature = board.to_uppercase().replace('-', "_");
        if env::var_os(format!("CARGO_FEATURE_BOARD_{feature}")).is_none() {
            continue;
        }
        let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
            .join("boards")
            .join(board);
        println!("cargo::rerun-if-changed={}", folder.display());
        println!("cargo::rustc-link-search={}", folder.display());
        println!("cargo::rustc-link-arg-bins=--nmagic");
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
        }
    }
    Ok(())
}
