//! Hands the linker a board's memory layout. Without the feature `board` there is nothing to do.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use tinyspike_boards::Board;

/// The board's name.
const BOARD: &str = "TINYSPIKE_BOARD";

/// The memory of each section, as riscv-rt asks for it.
const REGIONS: [(&str, &str); 6] = [
    ("TEXT", "FLASH"),
    ("RODATA", "FLASH"),
    ("DATA", "RAM"),
    ("BSS", "RAM"),
    ("HEAP", "RAM"),
    ("STACK", "RAM"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_baseline)");
    let target = env::var("TARGET")?;
    if target.starts_with("thumbv6m") {
        println!("cargo::rustc-cfg=tinyspike_baseline");
    }
    if env::var_os("CARGO_FEATURE_BOARD").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-env-changed={BOARD}");
    let name = env::var(BOARD).map_err(|_| format!("{BOARD} must name the board"))?;
    let data = Board::named(&name).ok_or("no such board")?.data();
    let programs = data.programs.as_ref().ok_or("a board without programs")?;
    let region = |name: &str, region: tinyspike_boards::Region| {
        let (address, len) = (region.address, region.len);
        format!("  {name} : ORIGIN = {address:#x}, LENGTH = {len:#x}\n")
    };
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let (flash, ram) = (programs.flash(data), data.ram);
    let memory = region("FLASH", flash) + &region("RAM", ram);
    let mut script = format!("MEMORY\n{{\n{memory}}}\n");
    if target.starts_with("riscv32") {
        for (section, region) in REGIONS {
            script += &format!("REGION_ALIAS(\"REGION_{section}\", {region});\n");
        }
    }
    fs::write(out.join("memory.x"), script)?;
    // No interrupt has a handler of its own: all lead to DefaultHandler, see src/support/interrupts.rs.
    fs::write(out.join("device.x"), "")?;
    println!("cargo::rustc-env={BOARD}={name}");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    Ok(())
}
