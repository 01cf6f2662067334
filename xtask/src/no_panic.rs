//! `cargo xtask no-panic`: shows by the linker that no panic is reachable from the engine.
//!
//! The package `tinyspike-no-panic` has a panic handler that cannot be linked. Its program `engine` calls
//! all of the engine and must link; so must `device`, which answers a host, and `c`, which makes the calls of C; `control`
//! panics and must not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tinyspike_board::shell::{self, Failure};
use tinyspike_board::toolchain::{TARGETS, Toolchain};
use tinyspike_board::{elf, firmware as board_firmware};

use crate::firmware;

/// The package.
const PACKAGE: &str = "tinyspike-no-panic";
/// Function that the panic handler calls, and nobody defines.
const MISSING: &str = "tinyspike_panic_is_reachable";
/// Profiles of firmware, for speed and for size: a panic that one removes may survive the other.
const PROFILES: [&str; 2] = ["firmware", "firmware-small"];

/// Links all programs for every target, optimized as firmware is.
///
/// # Errors
/// [`Failure::Argument`] if a panic is reachable, with the functions that lead to it; or if
/// the check itself does not work.
pub(crate) fn check() -> Result<(), Failure> {
    for target in TARGETS {
        let toolchain = firmware::find(target)?;
        for profile in PROFILES {
            let link = Link {
                toolchain: &toolchain,
                target,
                profile,
            };
            link.passes("engine")?;
            link.passes("device")?;
            link.passes("c")?;
            link.control()?;
            println!("no panic is reachable on {target} in the profile {profile}");
        }
    }
    Ok(())
}

/// One way to link.
struct Link<'a> {
    toolchain: &'a Toolchain,
    target: &'a str,
    profile: &'a str,
}

impl Link<'_> {
    fn cargo(&self, program: &str) -> Command {
        let mut command = self.toolchain.cargo("rustc", self.target);
        command
            .env(
                "CARGO_TARGET_DIR",
                board_firmware::build_directory(self.toolchain),
            )
            .args(["--quiet", "--profile", self.profile, "--package", PACKAGE])
            .args(["--features", "bare", "--bin", program]);
        command
    }

    /// Runs compiler and linker, and returns whether they succeed, and their output.
    fn outcome(&self, program: &str) -> Result<(bool, String), Failure> {
        let mut command = self.cargo(program);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Failure::Start {
                program: "cargo".into(),
                source,
            })?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.success(), text))
    }

    /// A program must link.
    fn passes(&self, name: &str) -> Result<(), Failure> {
        let (linked, text) = self.outcome(name)?;
        if linked {
            return Ok(());
        }
        if !text.contains(MISSING) {
            return Err(Failure::Argument(format!(
                "the program {name} cannot be built for {}:\n{text}",
                self.target
            )));
        }
        Err(Failure::Argument(format!(
            "a panic is reachable from the program {name} on {} in the profile {}:\n{}",
            self.target,
            self.profile,
            self.culprits(name)?
        )))
    }

    /// A program that panics must not.
    fn control(&self) -> Result<(), Failure> {
        let (linked, text) = self.outcome("control")?;
        if !linked && text.contains(MISSING) {
            return Ok(());
        }
        Err(Failure::Argument(format!(
            "the check does not work: a program that panics {} for {}, {MISSING} aside\n{text}",
            if linked { "links" } else { "fails to be built" },
            self.target
        )))
    }

    /// Links nevertheless, and lists which function calls which of the functions that panic.
    fn culprits(&self, name: &str) -> Result<String, Failure> {
        let mut command = self.cargo(name);
        command.args(["--", "-Clink-arg=--warn-unresolved-symbols"]);
        shell::run(command.arg("-Clink-arg=--emit-relocs"))?;
        let program: PathBuf = board_firmware::build_directory(self.toolchain)
            .join(self.target)
            .join(self.profile)
            .join(name);
        let lines = elf::references(&program, panics)?
            .into_iter()
            .filter(|(from, _)| !panics(from))
            .flat_map(|(from, to)| to.into_iter().map(move |to| format!("  {from} calls {to}")));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Tells whether a function is one of those of `core` that end in a panic.
fn panics(name: &str) -> bool {
    name.contains("panicking")
        || name.contains("panic_")
        || name.ends_with("_fail")
        || name.ends_with("_failed")
        || name.contains("begin_unwind")
}
