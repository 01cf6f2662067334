//! Programs that are handed out: built without a folder of this machine in them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tinyspike_board::toolchain::sysroot;
use tinyspike_board::{Failure, shell};

/// The folder in which they are built.
pub(crate) fn folder() -> PathBuf {
    shell::root().join("target/dist")
}

/// Lets a build of cargo's make what is handed out: stripped, with other names for this machine's folders.
pub(crate) fn settings(command: &mut Command) {
    let mut flags: Vec<String> = shell::home_remapped().into_iter().collect();
    flags.push(format!(
        "--remap-path-prefix={}=tinyspike",
        shell::root().display()
    ));
    // The standard library's source, if it is installed.
    if let Some(sysroot) = sysroot(Path::new("rustc")) {
        flags.push(format!("--remap-path-prefix={}=rust", sysroot.display()));
    }
    flags.push("-Cstrip=symbols".into());
    command
        .env("CARGO_TARGET_DIR", folder())
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
}

/// Makes sure that a program names neither the checkout nor the user's folder; returns its bytes.
pub(crate) fn names_no_folder(program: &Path) -> Result<usize, Failure> {
    let bytes = fs::read(program).map_err(Failure::file(program))?;
    let home = env::home_dir().filter(|home| home.components().count() > 1);
    for place in [Some(shell::root()), home].into_iter().flatten() {
        let text = place.display().to_string();
        if bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
        {
            return Err(Failure::Argument(format!(
                "{} names the folder {text} of this machine",
                program.display()
            )));
        }
    }
    Ok(bytes.len())
}

/// A command in a folder, with nothing of this machine but QEMU and a shell, which guards emulated boards; `None` if one
/// of these is not there.
pub(crate) fn alone(
    program: impl Into<OsString>,
    folder: &Path,
) -> Result<Option<Command>, Failure> {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).map_err(Failure::file(&bin))?;
    for name in ["qemu-system-arm", "sh"] {
        let Some(found) = shell::on_path(name) else {
            println!("not tried out: there is no {name}");
            return Ok(None);
        };
        #[cfg(unix)]
        if !bin.join(name).exists() {
            std::os::unix::fs::symlink(&found, bin.join(name)).map_err(Failure::file(&found))?;
        }
    }
    let mut command = Command::new(program.into());
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", &bin)
        .env("HOME", folder);
    Ok(Some(command))
}
