//! Hands the linker a board's memory layout. Without a board's feature there is nothing to do.

use std::env;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_BOARD_MPS2_AN386").is_some() {
        let board = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("boards/mps2-an386");
        println!("cargo::rerun-if-changed={}", board.display());
        println!("cargo::rustc-link-search={}", board.display());
        println!("cargo::rustc-link-arg-bins=--nmagic");
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
        }
    }
    Ok(())
}
