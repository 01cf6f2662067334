//! Hands the linker the memory of the chip that the features name.

use std::env;
use std::fs;
use std::path::PathBuf;

const NRF52840: &str = "MEMORY
{
  FLASH : ORIGIN = 0x00000000, LENGTH = 1024K
  RAM : ORIGIN = 0x20000000, LENGTH = 256K
}
";
/// The second boot stage takes the first 256 bytes.
const RP2040: &str = "MEMORY
{
  BOOT2 : ORIGIN = 0x10000000, LENGTH = 0x100
  FLASH : ORIGIN = 0x10000100, LENGTH = 2048K - 0x100
  RAM : ORIGIN = 0x20000000, LENGTH = 264K
}
";

fn main() {
    let rp2040 = env::var_os("CARGO_FEATURE_RP2040").is_some();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let memory = if rp2040 { RP2040 } else { NRF52840 };
    fs::write(out.join("memory.x"), memory).unwrap();
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if rp2040 {
        println!("cargo::rustc-link-arg-bins=-Tlink-rp.x");
    }
}
