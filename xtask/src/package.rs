//! `cargo xtask package`: crates that are published package without warnings, offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use tinyspike_board::shell::{self, Failure};

/// The crates that build on any machine in seconds: their packages are built, too.
const BUILT: [&str; 2] = ["tinyspike-shared", "tinyspike-firmware"];

/// The part of `cargo metadata` that is read.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
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
    let packages: Vec<&Package> = metadata
        .packages
        .iter()
        .filter(|package| package.publish.is_none())
        .collect();
    package(&packages)?;
    let built: Vec<&Package> = packages
        .into_iter()
        .filter(|package| BUILT.contains(&package.name.as_str()))
        .collect();
    build(&built, &metadata.target_directory.join("package"))
}

/// Unpacks packages into a workspace of their own, and builds them there.
///
/// `cargo package` could build them, too. But it would take a dependency of the same version
/// that an earlier run has left in cargo's home, whatever this run has packaged.
fn build(packages: &[&Package], packed: &Path) -> Result<(), Failure> {
    let place = packed.join("unpacked");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(Failure::file(&place))?;
    }
    fs::create_dir_all(&place).map_err(Failure::file(&place))?;
    let mut patches = String::new();
    for Package { name, version, .. } in packages {
        let package = format!("{name}-{version}");
        let mut unpack = Command::new("tar");
        // Files get the time of now: those in packages are all of one day, and cargo would take them for built.
        unpack.current_dir(&place).arg("-xmzf");
        shell::run(unpack.arg(packed.join(format!("{package}.crate"))))?;
        patches += &format!("{name} = {{ path = \"{package}\" }}\n");
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"*-*\"]\n\n[patch.crates-io]\n{patches}"
    );
    write(&place.join("Cargo.toml"), &manifest)?;
    let lock = shell::root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(Failure::file(&lock))?;
    write(&place.join("Cargo.lock"), &lock)?;
    let mut build = shell::cargo();
    build.current_dir(&place).args(["build", "--offline"]);
    shell::run(build.arg("--target-dir").arg(packed.join("built")))
}

/// Writes a file.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(Failure::file(path))
}

/// Runs `cargo package`, whose warnings are errors.
fn package(packages: &[&Package]) -> Result<(), Failure> {
    let mut command = shell::cargo();
    command
        .args(["package", "--no-verify", "--offline"])
        .arg("--allow-dirty");
    let names: Vec<&str> = packages.iter().map(|one| one.name.as_str()).collect();
    for name in &names {
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
