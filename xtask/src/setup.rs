//! `cargo xtask setup`: installs what is missing, and says what it does.

use std::io::{IsTerminal, stdin};
use std::process::Command;

use tinyspike_board::qemu;
use tinyspike_board::shell::{self, Failure};
use tinyspike_board::toolchain::{TARGETS, Toolchain};

/// Makes sure that firmware can be built, checked and run: formatter, linter and cargo-deny, a toolchain for each
/// target, Python, and QEMU.
///
/// # Errors
/// [`Failure::Missing`] for what is not there and cannot be installed, with what to do by hand.
pub(crate) fn setup() -> Result<(), Failure> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !shell::works("cargo", &[subcommand, "--version"]) {
            shell::run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    if !shell::works("cargo", &["deny", "--version"]) {
        // It is fast enough as it is built the fastest.
        let install = ["install", "cargo-deny", "--locked", "--debug"];
        shell::run(Command::new("cargo").args(install))?;
    }
    for target in TARGETS {
        let toolchain = toolchain_for(target)?;
        let how = match &toolchain {
            Toolchain::Installed => "the compiler has its library".into(),
            Toolchain::FromSource { rustc, linker } => format!(
                "core is built from source with {} and linked with {}",
                rustc.display(),
                linker.display()
            ),
        };
        println!("target {target}: {how}");
    }
    let python = ["-c", "import ensurepip, venv; print(1)"];
    if !shell::works("python3", &python) {
        install(&["python3", "python3-venv"]);
    }
    if !shell::works("python3", &python) {
        return Err(Failure::Missing {
            what: "Python with its module venv".into(),
            advice:
                "install Python 3.9 or newer (Debian and Ubuntu: apt install python3 python3-venv)"
                    .into(),
        });
    }
    if qemu::version().is_none() {
        install(&["qemu-system-arm"]);
    }
    let version = qemu::version().ok_or_else(|| Failure::Missing {
        what: "qemu-system-arm".into(),
        advice: "install QEMU's Arm system emulator (Debian and Ubuntu: apt install qemu-system-arm; macOS: brew install qemu)".into(),
    })?;
    println!("emulator: {version}");
    for_c()
}

/// Programs that build C projects and run them, and the Debian package of each.
const FOR_C: [(&str, &str); 4] = [
    ("cmake", "cmake"),
    ("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
    ("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"),
    ("qemu-system-riscv32", "qemu-system-misc"),
];

/// Makes sure that C projects can be built and run.
fn for_c() -> Result<(), Failure> {
    let missing = |(program, _): &&(&str, &str)| !shell::works(program, &["--version"]);
    let packages: Vec<&str> = FOR_C
        .iter()
        .filter(missing)
        .map(|(_, package)| *package)
        .collect();
    if !packages.is_empty() {
        install(&packages);
    }
    match FOR_C.iter().find(missing) {
        None => Ok(()),
        Some((program, package)) => Err(Failure::Missing {
            what: (*program).into(),
            advice: format!(
                "install it, for the tests of C projects (Debian and Ubuntu: apt install {package})"
            ),
        }),
    }
}

/// A way to build for `target`: what is installed, or what can be installed now.
///
/// # Errors
/// [`Failure::Missing`] if nothing works.
pub(crate) fn toolchain_for(target: &str) -> Result<Toolchain, Failure> {
    // The target's library is the better way, so a compiler with source does not keep us from asking.
    if Toolchain::find(target) != Some(Toolchain::Installed) {
        add_target(target);
    }
    if Toolchain::find(target).is_none() {
        add_source();
    }
    if Toolchain::find(target).is_none() {
        install(&["rustc-web", "rust-web-src", "lld"]);
    }
    Toolchain::find(target).ok_or_else(|| Failure::Missing {
        what: format!("a way to build for {target}"),
        advice: format!(
            "run `rustup target add {target}`, or install a compiler with its library's source (rustup component add rust-src; Debian: apt install rustc-web rust-web-src lld)"
        ),
    })
}

/// Asks rustup for the target's library. Whether it came shows when it is looked for.
fn add_target(target: &str) {
    if shell::works("rustup", &["--version"]) {
        attempt(Command::new("rustup").args(["target", "add", target]));
    }
}

/// Asks rustup for the source that `core` can be built from.
fn add_source() {
    if shell::works("rustup", &["--version"]) {
        attempt(Command::new("rustup").args(["component", "add", "rust-src"]));
    }
}

/// Asks Debian's package manager for packages. What it could not do shows when they are looked for.
fn install(packages: &[&str]) {
    if !shell::works("apt-get", &["--version"]) {
        return;
    }
    if attempt(apt().arg("update")) {
        attempt(
            apt()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages),
        );
    }
}

/// `apt-get` with the rights that it needs, without questions.
fn apt() -> Command {
    let is_root = shell::read(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    if is_root {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        return command;
    }
    let mut command = Command::new("sudo");
    if !stdin().is_terminal() {
        command.arg("--non-interactive");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

/// Runs a command that may fail, since there is another way.
fn attempt(command: &mut Command) -> bool {
    match shell::run(command) {
        Ok(()) => true,
        Err(failure) => {
            println!("{failure}; trying without it");
            false
        }
    }
}
