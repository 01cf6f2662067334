//! The command-line tool, as tests call it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A file of the project, by its path from the project's root.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs the tool to its end.
pub(crate) fn tinyspike(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyspike"))
        .args(args)
        .output()
        .expect("the tool starts")
}

/// Output of the firmware.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON object that it printed.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// A path as an argument.
pub(crate) fn path(p: &Path) -> &str {
    p.to_str().expect("a path in UTF-8")
}
