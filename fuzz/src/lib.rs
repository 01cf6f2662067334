//! Feeds tinyspike's parsers with what no sane program writes.
//!
//! A [`Target`] takes any bytes, makes of them what a parser reads, and runs on whatever the parser
//! accepts. It panics if something is wrong. The same targets serve libFuzzer (`cargo xtask fuzz`)
//! and a short run with a generator of a fixed seed, which is an ordinary test.

#![forbid(unsafe_code)]

pub mod generate;
pub mod mutate;
mod parts;
mod seal;
pub mod seeds;
mod targets;
mod wire;

use std::path::{Path, PathBuf};

pub use parts::{join, split};
pub use targets::runnable;

/// The environment variable that names the target for libFuzzer's program.
pub const TARGET_NAME: &str = "TINYSPIKE_FUZZ_TARGET";
/// The environment variable that names a folder for real inputs, which libFuzzer's program fills.
pub const SEEDS: &str = "TINYSPIKE_FUZZ_SEEDS";

/// The environment variable with the number of executions of a run of great volume, and the one with its seed.
pub const VOLUME: [&str; 2] = ["TINYSPIKE_FUZZ_VOLUME", "TINYSPIKE_FUZZ_SEED"];

/// The number of executions, which is `short` unless [`VOLUME`] says otherwise, and the first seed.
#[must_use]
pub fn volume(short: u64) -> (u64, u64) {
    let [count, seed] = VOLUME.map(|name| std::env::var(name).ok()?.parse().ok());
    (count.unwrap_or(short), seed.unwrap_or(1))
}

/// Verdict of a parser on the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepts them; the result was run.
    Accepted,
    /// Refuses them.
    Refused,
}

/// A parser, and all that runs on what it accepts.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Tries some bytes.
    pub run: fn(&[u8]) -> Outcome,
    /// Real inputs to start from, made of the repository's files.
    pub seeds: fn() -> Result<Vec<Vec<u8>>, seeds::SeedError>,
    /// Executions of the short run.
    pub smoke: u32,
    /// Number of file formats that its parser reads: a run of great volume tries each as often.
    pub formats: u32,
}

/// Every target.
pub const TARGETS: [Target; 11] = [
    Target {
        name: "image",
        run: targets::image,
        seeds: seeds::images,
        smoke: 4000,
        formats: 1,
    },
    Target {
        name: "inputs",
        run: targets::inputs,
        seeds: seeds::blocks,
        smoke: 4000,
        formats: 1,
    },
    Target {
        name: "model",
        run: targets::model,
        seeds: seeds::models,
        smoke: 400,
        formats: 2,
    },
    Target {
        name: "archive",
        run: targets::archive,
        seeds: seeds::archives,
        smoke: 400,
        formats: 1,
    },
    Target {
        name: "savedmodel",
        run: targets::savedmodel,
        seeds: seeds::savedmodels,
        smoke: 300,
        formats: 1,
    },
    Target {
        name: "nir",
        run: targets::nir,
        seeds: seeds::graphs,
        smoke: 400,
        formats: 1,
    },
    Target {
        name: "onnx",
        run: targets::onnx,
        seeds: seeds::onnx,
        smoke: 2000,
        formats: 1,
    },
    Target {
        name: "data",
        run: targets::data,
        seeds: seeds::data,
        smoke: 1500,
        formats: 4,
    },
    Target {
        name: "chips",
        run: targets::chips,
        seeds: seeds::chips,
        smoke: 1500,
        formats: 1,
    },
    Target {
        name: "device",
        run: wire::device,
        seeds: wire::requests,
        smoke: 1500,
        formats: 1,
    },
    Target {
        name: "session",
        run: wire::session,
        seeds: wire::answers,
        smoke: 1500,
        formats: 1,
    },
];

impl Target {
    /// The target of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// The folder of inputs that once broke it.
    #[must_use]
    pub fn regressions(&self) -> PathBuf {
        root().join("fuzz/regressions").join(self.name)
    }
}

/// The workspace's root.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
