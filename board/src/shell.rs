//! Runs other programs, and says so.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Reason for the failure of a chore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A program could not be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Error of the system.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("failed ({status}): {command}")]
    Status {
        /// The whole command.
        command: String,
        /// Status with which it ended.
        status: String,
    },
    /// Missing part that could not be installed.
    #[error("{what} is missing: {advice}")]
    Missing {
        /// Thing that is needed.
        what: String,
        /// Way to get it.
        advice: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// An argument that cannot be used.
    #[error("{0}")]
    Argument(String),
}

impl Failure {
    /// Wraps an error about a file.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// The variable that names a checkout, for a tool that knows of none or is to build from another one.
pub const CHECKOUT: &str = "TINYSPIKE_CHECKOUT";

/// The checkout that the variable [`CHECKOUT`] names.
#[must_use]
pub fn named_checkout() -> Option<PathBuf> {
    let named = env::var_os(CHECKOUT).filter(|path| !path.is_empty());
    named.map(PathBuf::from)
}

/// The workspace's root directory: that of the checkout that a variable names, or that this was built in. It is empty in a tool that
/// holds prebuilt firmware, which knows of none.
#[must_use]
pub fn root() -> PathBuf {
    named_checkout().unwrap_or_else(|| env!("TINYSPIKE_CHECKOUT").into())
}

/// The compiler's flag that keeps the folder of cargo's packages out of what is built. `None` if that is not known, or has a name
/// that no flag can hold.
#[must_use]
pub fn home_remapped() -> Option<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    let home = home
        .to_str()
        .filter(|path| !path.contains(char::is_whitespace))?;
    Some(format!("--remap-path-prefix={home}=cargo"))
}

/// The place of a program among those of the system.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A `cargo` command in the workspace.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Prints a command, runs it with this process's output, and waits for it.
///
/// # Errors
/// [`Failure`] if it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| Failure::Start {
            program: command.get_program().to_string_lossy().into(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Status {
            command: shown,
            status: status.to_string(),
        })
    }
}

/// Returns the output of a command, without the white space around it; `None` if it fails or is missing.
#[must_use]
pub fn read(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Tells whether a program starts and succeeds with these arguments.
#[must_use]
pub fn works(program: &str, args: &[&str]) -> bool {
    read(Command::new(program).args(args)).is_some()
}

/// A command as a person would type it.
fn show(command: &Command) -> String {
    let environment = command.get_envs().filter_map(|(key, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={value}", key.to_string_lossy()))
    });
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    environment
        .chain([program.to_string_lossy().into_owned()])
        .chain(command.get_args().map(|a| a.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}
