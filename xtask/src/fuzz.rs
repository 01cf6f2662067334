//! `cargo xtask fuzz`: looks for inputs that break a parser, or what runs behind it.
//!
//! Without a target, generators of a fixed seed give every parser the volume of an outside audit, and emulated boards the
//! hostile images. With one, libFuzzer looks for more. The targets are those of `tinyspike-fuzz`, whose tests run each for a
//! few seconds. Only the workspace's crates count what is covered; libFuzzer itself is built with a C++ compiler.

use std::fs;
use std::path::Path;

use tinyspike_board::shell::{self, Failure};

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The target for libFuzzer: image, inputs, model, archive, savedmodel, nir, onnx, data, chips, device or session
    target: Option<String>,
    /// Seconds to run libFuzzer
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// MiB that an execution of libFuzzer's may take
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// Hostile images without a target, on the host and on each board
    #[arg(long, default_value_t = 57_000)]
    images: u64,
    /// Changed files of each format without a target
    #[arg(long, default_value_t = 31_000)]
    files: u64,
    /// Seed of the generators without a target
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the generators on all targets, or libFuzzer on one.
///
/// # Errors
/// [`Failure`] if something cannot be built, or an input breaks a target; the message names its file.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.target {
        Some(target) => libfuzzer(args, target),
        None => volume(args),
    }
}

fn volume(args: &Args) -> Result<(), Failure> {
    for (test, count) in [("hostile_images", args.images), ("smoke", args.files)] {
        let mut tests = shell::cargo();
        tests
            .args(["test", "--workspace", "--test", test, "--"])
            .env("TINYSPIKE_FUZZ_VOLUME", count.to_string())
            .env("TINYSPIKE_FUZZ_SEED", args.seed.to_string())
            .args(["--include-ignored", "--nocapture"]);
        shell::run(&mut tests)?;
    }
    Ok(())
}

/// Builds libFuzzer's program and runs it on a target; what it has found before is where it starts.
fn libfuzzer(args: &Args, target: &str) -> Result<(), Failure> {
    let work = shell::root().join("target/fuzz").join(target);
    let [corpus, seeds, found] = ["corpus", "seeds", "found"].map(|name| work.join(name));
    for folder in [&corpus, &seeds, &found] {
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    }
    let package = ["--package", "tinyspike-fuzz", "--features", "libfuzzer"];
    shell::run(
        shell::cargo()
            .env(
                "RUSTC_WORKSPACE_WRAPPER",
                shell::root().join("fuzz/coverage.sh"),
            )
            // A compiler cache does not know a wrapped compiler.
            .env("RUSTC_WRAPPER", "")
            .env("TINYSPIKE_FUZZ_TARGET", target)
            .env("TINYSPIKE_FUZZ_SEEDS", &seeds)
            .arg("run")
            .args(package)
            .args(["--bin", "libfuzzer", "--"])
            .args([&corpus, &seeds])
            .arg(format!("-max_total_time={}", args.seconds))
            .arg(format!("-rss_limit_mb={}", args.memory))
            .arg(format!("-malloc_limit_mb={}", args.memory))
            .args(["-timeout=20", "-max_len=262144", "-print_final_stats=1"])
            .arg(artifacts(&found)),
    )
}

/// Folder in which libFuzzer puts what breaks the target.
fn artifacts(folder: &Path) -> String {
    format!("-artifact_prefix={}/", folder.display())
}
