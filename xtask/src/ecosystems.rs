//! `cargo xtask test-ecosystems`: exported projects, validated by the packages of their ecosystems.
//!
//! The packages are in a virtual environment in `target/ecosystems`, of fixed versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinyspike::ImageBuf;
use tinyspike::export::{self, ExportOptions, Kind, Libraries, Sample};
use tinyspike_board::library::Core;
use tinyspike_board::shell::{self, Failure};

use crate::{firmware, venv};

/// Packages that validate a project.
const PACKAGES: [&str; 3] = [
    "idf-component-manager==3.1.2",
    "kconfiglib==14.1.0",
    "platformio==6.2.0",
];

/// Kinds of projects that have a validator, and their folders.
const PROJECTS: [(Kind, &str); 4] = [
    (Kind::Arduino, "arduino"),
    (Kind::Zephyr, "zephyr"),
    (Kind::EspIdf, "esp-idf"),
    (Kind::PlatformIo, "platformio"),
];

/// Exports the example's image in each layout, and validates what an ecosystem's package can.
///
/// # Errors
/// [`Failure`] if a package cannot be installed, or refuses a project.
pub(crate) fn test() -> Result<(), Failure> {
    let root = shell::root();
    let folder = root.join("target/ecosystems");
    let failed = |e: &dyn std::fmt::Display| Failure::Argument(e.to_string());
    let cores: Vec<&Core> = (["cortex-m4", "rv32imc"].into_iter())
        .filter_map(Core::named)
        .collect();
    for core in &cores {
        core.target.map(firmware::find).transpose()?;
    }
    let image = ImageBuf::load(root.join("examples/embed/mnist.tsp")).map_err(|e| failed(&e))?;
    let sample = Sample::made_up(&image.image());
    let options = ExportOptions {
        name: "model".into(),
        cores,
        libraries: Libraries::Built,
    };
    for (kind, name) in PROJECTS {
        let place = folder.join(name);
        if place.exists() {
            fs::remove_dir_all(&place).map_err(Failure::file(&place))?;
        }
        let project = export::export(&image, &sample, kind, &options).map_err(|e| failed(&e))?;
        project.write(&place).map_err(|e| failed(&e))?;
    }
    let python = environment(&folder.join("python"))?;
    let script = root.join("tests/ecosystems/validate.py");
    shell::run(Command::new(python).arg(script).arg(&folder))
}

/// The Python of a virtual environment with the packages.
fn environment(root: &Path) -> Result<PathBuf, Failure> {
    venv::environment(root, &PACKAGES.join("\n"), |python| {
        let mut install = Command::new(python);
        install.args(["-m", "pip", "install", "--quiet"]);
        shell::run(install.args(PACKAGES))
    })
}
