//! Chooses the kernel family by the compiler's target, and hands the linker the application's memory layout.

#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

#[path = "src/kernels/targets.rs"]
mod targets;

/// The folder of the kernel families, each with a list of the targets that it is for.
const KERNELS: &str = "src/kernels";
/// The families with assembly for the callers of `swar`.
const SWAR: [&str; 2] = ["swar", "rv32"];

/// The directory of the application's `memory.x`.
const MEMORY: &str = "TINYSPIKE_MEMORY";
/// The public key whose signature the application asks for: 64 hexadecimal digits.
const KEY: &str = "TINYSPIKE_PUBLIC_KEY";
/// Times the usual room for a network's ensembles and connections that the application has: 1 unless it says more.
const ROOMS: &str = "TINYSPIKE_ROOMS";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_baseline)");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_swar_assembly)");
    println!("cargo::rustc-check-cfg=cfg(tinyspike_v8m)");
    println!("cargo::rerun-if-changed={KERNELS}");
    let target = env::var("TARGET")?;
    // The small cores, of which the compiler does not tell.
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        println!("cargo::rustc-cfg=tinyspike_baseline");
    }
    if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=tinyspike_v8m");
    }
    let mut families = Vec::new();
    for folder in fs::read_dir(KERNELS)? {
        let folder = folder?;
        if let Ok(list) = fs::read_to_string(folder.path().join("targets")) {
            let name = folder.file_name().to_string_lossy().into_owned();
            println!("cargo::rustc-check-cfg=cfg(tinyspike_kernels, values({name:?}))");
            families.push((targets::precision(&list, &target, has_dsp()), name));
        }
    }
    if let Some((Some(_), family)) = families.into_iter().max() {
        println!("cargo::rustc-cfg=tinyspike_kernels={family:?}");
        if SWAR.contains(&family.as_str()) {
            println!("cargo::rustc-cfg=tinyspike_swar_assembly");
        }
    }
    println!("cargo::rustc-env=TINYSPIKE_TARGET={target}");
    if has("app") {
        println!("cargo::rerun-if-env-changed={MEMORY}");
        let memory = env::var(MEMORY)
            .map_err(|_| format!("{MEMORY} must name the directory of the chip's memory.x"))?;
        let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("boards/app");
        // Of the former directory only this file: what is built is put beside it.
        let script = Path::new(&memory).join("memory.x");
        println!("cargo::rerun-if-changed={}", script.display());
        println!("cargo::rerun-if-changed={}", folder.display());
        for folder in [Path::new(&memory), &folder] {
            println!("cargo::rustc-link-search={}", folder.display());
        }
        println!("cargo::rerun-if-env-changed={ROOMS}");
        let rooms: usize = env::var(ROOMS).map_or(Ok(1), |text| text.parse())?;
        println!("cargo::rustc-env={ROOMS}={rooms}");
        println!("cargo::rustc-link-arg-bins=--nmagic");
        // A list of its addresses, by which it can be moved to another chip's memory.
        println!("cargo::rustc-link-arg-bins=--emit-relocs");
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
        if has("defmt") {
            println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
        }
        println!("cargo::rustc-link-arg-bins=-Tapp.x");
        if has("signature") {
            println!("cargo::rerun-if-env-changed={KEY}");
            let key = env::var(KEY).ok().and_then(|text| key(&text));
            let key = key.ok_or_else(|| format!("{KEY} must hold a key: 64 hexadecimal digits"))?;
            fs::write(Path::new(&env::var("OUT_DIR")?).join("public.key"), key)?;
        }
    }
    Ok(())
}

/// A key's bytes.
fn key(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect();
    (text.len() == 64).then(|| bytes.try_into().ok())?
}

/// Tells whether the compiler's flags name the DSP extension: by the CPU, for targets that do not say, or by
/// themselves.
fn has_dsp() -> bool {
    const CPUS: [&str; 4] = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85"];
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has = |flag: &str| flags.contains(flag);
    let cpu = CPUS.iter().any(|cpu| has(&format!("target-cpu={cpu}")));
    (cpu || has("+dsp")) && !has("-dsp")
}

/// Tells whether a feature is on.
fn has(feature: &str) -> bool {
    let name = feature.to_uppercase().replace('-', "_");
    env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
}
