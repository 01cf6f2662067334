//! Virtual environments of Python, each in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinyspike_board::shell::{self, Failure};

/// The Python of the virtual environment in a folder. It is made, and `install` fills it, unless what it was filled
/// with is what is `wanted`.
pub(crate) fn environment(
    root: &Path,
    wanted: &str,
    install: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    let python = program(root, "python");
    let installed = root.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let system = if cfg!(windows) { "python" } else { "python3" };
    let venv = ["-m", "venv", "--clear"];
    shell::run(Command::new(system).args(venv).arg(root))?;
    install(&python)?;
    fs::write(&installed, wanted).map_err(Failure::file(&installed))?;
    Ok(python)
}

/// A program of a virtual environment.
pub(crate) fn program(root: &Path, name: &str) -> PathBuf {
    if cfg!(windows) {
        root.join("Scripts").join(format!("{name}.exe"))
    } else {
        root.join("bin").join(name)
    }
}
