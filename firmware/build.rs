//! Hands the linker a board's memory layout. Without a board's feature there is nothing to do.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::path::Path;

const BOARDS: [&str; 3] = ["mps2-an386", "mps2-an500", "microbit"];
/// The directory of the application's `memory.x`.
const MEMORY: &str = "TINYSPIKE_MEMORY";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_dsp)");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_baseline)");
    let target = env::var("TARGET")?;
    // The compiler does not tell of the DSP extension, which these targets have.
    if target.starts_with("thumbv7em") || target.starts_with("thumbv8m.main") {
        println!("cargo::rustc-cfg=tinyspike_dsp");
    }
    // Nor of the small cores.
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        println!("cargo::rustc-cfg=tinyspike_baseline");
    }
    println!("cargo::rustc-env=TINYSPIKE_TARGET={target}");
    let boards = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("boards");
    for board in BOARDS {
        if has(&format!("board-{board}")) {
            let folder = boards.join(board);
            println!("cargo::rerun-if-changed={}", folder.display());
            println!("cargo::rustc-link-search={}", folder.display());
            link();
        }
    }
    if has("app") {
        println!("cargo::rerun-if-env-changed={MEMORY}");
        let memory = env::var(MEMORY)
            .map_err(|_| format!("{MEMORY} must name the directory of the chip's memory.x"))?;
        let folder = boards.join("app");
        for folder in [Path::new(&memory), &folder] {
            println!("cargo::rerun-if-changed={}", folder.display());
            println!("cargo::rustc-link-search={}", folder.display());
        }
        link();
        println!("cargo::rustc-link-arg-bins=-Tapp.x");
    }
    Ok(())
}

/// Whether a feature is on.
fn has(feature: &str) -> bool {
    let name = feature.to_uppercase().replace('-', "_");
    env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
}

fn link() {
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if has("defmt") {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
}
