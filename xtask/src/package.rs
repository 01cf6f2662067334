//! `cargo xtask package`: crates that are published package without warnings, offline.

use std::process::Stdio;

use serde::Deserialize;
use tinyspike_board::shell::{self, Failure};

/// The crates that build on any machine in seconds: their packages are built, too.
const BUILT: [&str; 2] = ["tinyspike-shared", "tinyspike-firmware"];

/// The part of `cargo metadata` that is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// The registries that may have it; `None` stands for all.
    publish: Option<Vec<String>>,
}

/// Packages every crate that is not marked `publish = false`, and builds the packages of shared and firmware.
///
/// # Errors
/// [`Failure::Argument`] with what cargo warns of; [`Failure`] if the crates cannot be listed.
pub(crate) fn check() -> Result<(), Failure> {
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ];
    let metadata = shell::read(shell::cargo().args(arguments)).unwrap_or_default();
    let metadata: Metadata = serde_json::from_str(&metadata)
        .map_err(|e| Failure::Argument(format!("cargo metadata: {e}")))?;
    let published = metadata
        .packages
        .iter()
        .filter(|package| package.publish.is_none());
    let names: Vec<&str> = published.map(|package| package.name.as_str()).collect();
    package(&names, &["--no-verify"])?;
    package(&BUILT, &[])
}

/// Runs `cargo package`, whose warnings are errors.
fn package(names: &[&str], how: &[&str]) -> Result<(), Failure> {
    let mut command = shell::cargo();
    command
        .args(["package", "--offline", "--allow-dirty"])
        .args(how);
    for name in names {
        command.args(["--package", name]);
    }
    println!("packaging {}", names.join(", "));
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Failure::Start {
            program: "cargo".into(),
            source,
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && !said.contains("warning:") {
        return Ok(());
    }
    Err(Failure::Argument(format!("cargo package:\n{said}")))
}
