//! libFuzzer on one target.
//!
//! The environment variable [`TARGET_NAME`] names the target, and [`SEEDS`] a folder that real inputs
//! are written into before libFuzzer reads it.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tinyspike_fuzz::{SEEDS, TARGET_NAME, TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var(TARGET_NAME).unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        let names = TARGETS.map(|target| target.name).join(", ");
        panic!("set {TARGET_NAME} to one of {names}")
    })
});

fn write_seeds() {
    let Some(folder) = std::env::var_os(SEEDS).map(PathBuf::from) else {
        return;
    };
    let seeds = (TARGET.seeds)().unwrap_or_else(|e| panic!("{e}"));
    for (at, seed) in seeds.iter().enumerate() {
        let path = folder.join(format!("seed-{at}"));
        fs::write(&path, seed).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

fuzz_target!(
    init: write_seeds(),
    |bytes: &[u8]| {
        (TARGET.run)(bytes);
    }
);
