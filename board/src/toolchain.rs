//! Decides how to build for a microcontroller.
//!
//! The usual way is the target's ready-made standard library, from `rustup target add`. If there
//! is none, any compiler that has the library's source beside it builds `core` itself: the sources of
//! Debian's `rust-web-src`, or of rustup's component `rust-src`. Compiler and source must be of one
//! version, so they are always taken from one sysroot.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// Cortex-M4 and M7. The engine uses no floats, and no floating-point unit.
pub const THUMBV7EM: &str = "thumbv7em-none-eabi";
/// Cortex-M0 and M0+.
pub const THUMBV6M: &str = "thumbv6m-none-eabi";
/// Cortex-M33 and later.
pub const THUMBV8M_MAIN: &str = "thumbv8m.main-none-eabi";
/// RISC-V with multiplication, compressed and atomic instructions.
pub const RISCV32IMAC: &str = "riscv32imac-unknown-none-elf";
/// The targets of emulated boards, on which everything is checked and tested.
pub const TARGETS: [&str; 3] = [THUMBV7EM, THUMBV6M, RISCV32IMAC];
/// Every target that a chip leads to which the application runs on.
pub const ALL_TARGETS: [&str; 5] = [
    THUMBV7EM,
    THUMBV6M,
    "thumbv7m-none-eabi",
    "thumbv8m.base-none-eabi",
    THUMBV8M_MAIN,
];

/// A way to build for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The default compiler has the target's library.
    Installed,
    /// Compiler that builds `core` from the source in its sysroot, with a linker that links.
    FromSource {
        /// The compiler.
        rustc: PathBuf,
        /// `ld.lld` or `rust-lld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The way to build for `target` with what is installed; `None` if there is none.
    #[must_use]
    pub fn find(target: &str) -> Option<Self> {
        if has_library(target) {
            return Some(Self::Installed);
        }
        Some(Self::FromSource {
            rustc: compilers().into_iter().find(|rustc| has_source(rustc))?,
            linker: linker()?,
        })
    }

    /// A `cargo` command with what this way needs: `cargo build` and the like, for `target`. A core of Armv8-M with
    /// the main extension is one with the DSP extension too.
    #[must_use]
    pub fn cargo(&self, subcommand: &str, target: &str) -> Command {
        let mut command = self.plain_cargo(subcommand, target);
        if target.starts_with("thumbv8m.main") {
            add_flag(&mut command, target, "-Ctarget-cpu=cortex-m33");
        }
        command
    }

    /// Makes a command as [`cargo`](Self::cargo) does, for a core of which no more is known than the target.
    #[must_use]
    pub fn plain_cargo(&self, subcommand: &str, target: &str) -> Command {
        let mut command = shell::cargo();
        // What runs on a device is built from the versions that are known.
        command.args([subcommand, "--locked"]);
        if let Self::FromSource { rustc, linker } = self {
            command
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .env(variable(target, "LINKER"), linker)
                .arg("-Zbuild-std=core,compiler_builtins")
                .arg("-Zbuild-std-features=compiler-builtins-mem");
        }
        command.args(["--target", target]);
        // All builds have the same flags: cargo builds everything again where they change.
        // SHA-512 without unrolled rounds is smaller by 26 KB.
        add_flag(&mut command, target, "--cfg=sha2_backend_soft=\"compact\"");
        // What a panic says is the same wherever firmware is built.
        if let Some(flag) = shell::home_remapped() {
            add_flag(&mut command, target, &flag);
        }
        command
    }
}

/// Adds a flag of the compiler's for what is built for a target. Cargo's `--config` does not know targets with a dot in their name.
pub fn add_flag(command: &mut Command, target: &str, flag: &str) {
    let name = variable(target, "RUSTFLAGS");
    let mut set = command
        .get_envs()
        .filter(|(other, _)| other.to_str() == Some(&name));
    let before = set.next().and_then(|(_, value)| value?.to_str());
    let flags = before.map_or(flag.to_owned(), |before| format!("{before} {flag}"));
    command.env(name, flags);
}

/// The variable of cargo's setting for a target.
fn variable(target: &str, setting: &str) -> String {
    let name = target.to_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{name}_{setting}")
}

/// Tells whether the default compiler comes with `core` for the target.
fn has_library(target: &str) -> bool {
    let args = ["--print", "target-libdir", "--target", target];
    let Some(directory) = shell::read(Command::new("rustc").args(args)) else {
        return false;
    };
    std::fs::read_dir(directory).is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// The compilers that may build `core`, the best first.
fn compilers() -> Vec<PathBuf> {
    let rustup = ["stable", "nightly"].map(|toolchain| {
        let args = ["which", "--toolchain", toolchain, "rustc"];
        shell::read(Command::new("rustup").args(args)).map(PathBuf::from)
    });
    let default = sysroot(Path::new("rustc")).map(|root| root.join("bin/rustc"));
    let distribution = Some(PathBuf::from("/usr/bin/rustc"));
    [default, distribution]
        .into_iter()
        .chain(rustup)
        .flatten()
        .filter(|rustc| rustc.is_file())
        .collect()
}

/// The folder of a compiler; `None` if it does not run.
#[must_use]
pub fn sysroot(rustc: &Path) -> Option<PathBuf> {
    shell::read(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

/// Tells whether the library's source is beside the compiler.
fn has_source(rustc: &Path) -> bool {
    sysroot(rustc).is_some_and(|root| {
        root.join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file()
    })
}

/// LLVM's linker: the system's, or the one that comes with rustup's compilers.
fn linker() -> Option<PathBuf> {
    let bundled = || {
        let host = shell::read(Command::new("rustc").args(["--print", "host-tuple"]))?;
        let linker = sysroot(Path::new("rustc"))?
            .join("lib/rustlib")
            .join(host)
            .join("bin/rust-lld");
        linker.is_file().then_some(linker)
    };
    shell::on_path("ld.lld").or_else(bundled)
}
