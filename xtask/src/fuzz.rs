//! `cargo xtask fuzz`: lets libFuzzer look for inputs that break a parser, or what runs behind it.
//!
//! The targets are those of `tinyspike-fuzz`, whose tests run each for a few seconds. Only the
//! workspace's crates count what is covered; libFuzzer itself is built with a C++ compiler.

use std::fs;
use std::path::Path;

use tinyspike_board::shell::{self, Failure};

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The target: image, inputs, model, archive, savedmodel, data, device or session
    target: String,
    /// Seconds to run
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// MiB that an execution may take
    #[arg(long, default_value_t = 1024)]
    memory: u32,
}

/// Builds libFuzzer's program and runs it on a target; what it has found before is where it starts.
///
/// # Errors
/// [`Failure`] if it cannot be built, or an input breaks the target; libFuzzer names its file.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let work = shell::root().join("target/fuzz").join(&args.target);
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
            .env("TINYSPIKE_FUZZ_TARGET", &args.target)
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
