//! The boards, and how their programs are built.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use tinyspike_boards::{Board, Program};
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_firmware::parts::{Part, Parts};

use crate::held;
use crate::memory::Memory;
use crate::shell::{self, Failure};
use crate::toolchain::Toolchain;

/// The package of the engine and of the application.
pub const PACKAGE: &str = "tinyspike-firmware";
/// The package of the boards' programs.
const PROGRAMS: &str = "tinyspike-programs";

/// Cargo's profile for boards' programs: their kernels are in assembly, and what is around them may be small.
pub const PROFILE: &str = "firmware-small";

/// The kernel family that a board runs.
#[must_use]
pub fn family(board: Board) -> &'static Family {
    // A core of Armv8-M with the main extension is built as one with the DSP extension, see `Toolchain::cargo`.
    families::of_target(board.target(), board.target().starts_with("thumbv8m.main"))
}

/// The place of a program's built firmware.
#[must_use]
pub fn elf(board: Board, program: Program) -> PathBuf {
    built(&target_directory().join(board.name()), board, program)
}

fn built(directory: &Path, board: Board, program: Program) -> PathBuf {
    let built = directory.join(board.target()).join(PROFILE);
    built.join(program.name())
}

/// Firmware has a build directory of its own: it may come from another compiler than the host's code.
#[must_use]
pub fn target_directory() -> PathBuf {
    shell::root().join("target/firmware")
}

/// The folder in which cargo builds what is for more than one board. Compilers do not share it: cargo builds everything again
/// where the compiler is another one.
#[must_use]
pub fn build_directory(toolchain: &Toolchain) -> PathBuf {
    match toolchain {
        Toolchain::Installed => target_directory(),
        Toolchain::FromSource { .. } => target_directory().join("from-source"),
    }
}

/// Parts of the engine that a board's programs have unless they are built for one image. Flash may hold the program, an
/// image and its inputs only without what runs step by step.
#[must_use]
pub fn usual_parts(board: Board) -> Parts {
    match board.programs().is_none_or(|programs| programs.whole) {
        true => Parts::ALL,
        false => Parts::ALL.without(Part::Exact),
    }
}

/// A `cargo` command on one board's program.
#[must_use]
pub fn cargo(toolchain: &Toolchain, subcommand: &str, board: Board, program: Program) -> Command {
    cargo_of(toolchain, subcommand, board, program, usual_parts(board))
}

/// A `cargo` command on one board's program with some parts of the engine.
#[must_use]
pub fn cargo_of(
    toolchain: &Toolchain,
    subcommand: &str,
    board: Board,
    program: Program,
    parts: Parts,
) -> Command {
    let mut features = vec!["board".to_owned()];
    // Logging would count as a part of what is measured.
    let logs = board
        .programs()
        .is_some_and(|programs| programs.uart.is_some());
    if program == Program::Trace && logs {
        features.push("defmt".into());
    }
    features.extend(parts.features().map(|part| format!("{PACKAGE}/{part}")));
    let mut command = toolchain.cargo(subcommand, board.target());
    command
        // Boards with the same target have programs of the same names.
        .env("CARGO_TARGET_DIR", target_directory().join(board.name()))
        .env("TINYSPIKE_BOARD", board.name())
        // Without it, defmt leaves out all but errors.
        .env("DEFMT_LOG", "info")
        .args(["--profile", PROFILE, "--package", PROGRAMS])
        .args(["--bin", program.name(), "--features"])
        .arg(features.join(","));
    command
}

/// Builds one program for one board with some parts of the engine, with what is installed: where it lies then,
/// which is not where [`elf`] says.
///
/// # Errors
/// [`Failure`] if the sources or a toolchain are missing, or the build fails.
pub fn build_of(board: Board, program: Program, parts: Parts) -> Result<PathBuf, Failure> {
    let toolchain = toolchain_here(board.target())?;
    let folder = target_directory().join(format!("parts-{:02x}", parts.bits()));
    std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    // Apart from what is built with all parts, so that cargo does not put one in the other's place.
    let directory = target_directory().join("parts").join(board.name());
    let _lock = lock("parts.lock")?;
    let mut command = cargo_of(&toolchain, "build", board, program, parts);
    shell::run(command.env("CARGO_TARGET_DIR", &directory))?;
    let built = built(&directory, board, program);
    let elf = folder.join(format!("{board}-{}", program.name()));
    std::fs::copy(&built, &elf).map_err(Failure::file(&built))?;
    Ok(elf)
}

/// Builds one program for one board with overflow checks and debug assertions, with what is installed, and returns its path.
///
/// # Errors
/// [`Failure`] if the sources or a toolchain are missing, or the build fails.
pub fn build_checked(board: Board, program: Program) -> Result<PathBuf, Failure> {
    let toolchain = toolchain_here(board.target())?;
    let directory = target_directory().join("checked").join(board.name());
    let mut command = cargo(&toolchain, "build", board, program);
    command.env("CARGO_TARGET_DIR", &directory);
    let profile = PROFILE.to_uppercase().replace('-', "_");
    for check in ["OVERFLOW_CHECKS", "DEBUG_ASSERTIONS"] {
        command.env(format!("CARGO_PROFILE_{profile}_{check}"), "true");
    }
    shell::run(&mut command)?;
    Ok(built(&directory, board, program))
}

/// Waits until nobody else builds what has one place for all.
pub(crate) fn lock(name: &str) -> Result<File, Failure> {
    let path = target_directory().join(name);
    let lock = File::create(&path).map_err(Failure::file(&path))?;
    lock.lock().map_err(Failure::file(&path))?;
    Ok(lock)
}

/// Builds one program for one board, and returns its path.
///
/// # Errors
/// [`Failure`] if the build fails.
pub fn build(toolchain: &Toolchain, board: Board, program: Program) -> Result<PathBuf, Failure> {
    shell::run(&mut cargo(toolchain, "build", board, program))?;
    Ok(elf(board, program))
}

/// An application that is to be built for any chip.
#[derive(Clone, Copy, Debug, Hash)]
pub struct App<'a> {
    /// The memory that it is linked for.
    pub memory: &'a Memory,
    /// The compiler's target, such as `thumbv6m-none-eabi`.
    pub target: &'a str,
    /// More features of the package: `defmt` logs.
    pub features: &'a [&'a str],
    /// The Ed25519 key whose signature an image must have to run, if any.
    pub key: Option<&'a [u8; 32]>,
    /// Times the usual room for ensembles and connections ([`Limits::times`](tinyspike_firmware::limits::Limits::times)).
    pub rooms: usize,
}

/// Builds the application with what is installed, and returns its path.
///
/// What was built once for the same arguments is kept, and built again only if its sources have changed. It can be moved to another
/// memory ([`relocate`](crate::relocate::relocate())).
///
/// # Errors
/// [`Failure`] if the sources or a toolchain are missing, or the build fails.
pub fn app(app: &App<'_>) -> Result<PathBuf, Failure> {
    let toolchain = toolchain_here(app.target)?;
    let folder = folder("app", app)?;
    // Cargo has one place for the program of all chips: nobody else may build it before it is copied.
    let _lock = lock("app.lock")?;
    // Writing the file again would make cargo build again.
    let script = folder.join("memory.x");
    let text = app.memory.script();
    if std::fs::read_to_string(&script).ok().as_deref() != Some(&text) {
        std::fs::write(&script, text).map_err(Failure::file(&script))?;
    }
    let mut command = app_cargo(&toolchain, "build", app.target, app.features, app.key);
    command
        .env("TINYSPIKE_MEMORY", &folder)
        .env("TINYSPIKE_ROOMS", app.rooms.to_string());
    shell::run(&mut command)?;
    let built = build_directory(&toolchain).join(app.target);
    let built = built.join("release/app");
    let elf = folder.join("app");
    std::fs::copy(&built, &elf).map_err(Failure::file(&built))?;
    Ok(elf)
}

/// The folder of what is built for the same arguments.
fn folder(what: &str, app: &App<'_>) -> Result<PathBuf, Failure> {
    let mut same = DefaultHasher::new();
    app.hash(&mut same);
    let folder = target_directory().join(format!("{what}-{:016x}", same.finish()));
    std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    Ok(folder)
}

/// Keeps an application that was moved, and returns its path.
pub(crate) fn keep(app: &App<'_>, moved: &[u8]) -> Result<PathBuf, Failure> {
    let path = folder("moved", app)?.join("app");
    held::write(&path, moved)?;
    Ok(path)
}

/// Builds the example of custom firmware, `examples/embed`, and returns its path.
///
/// # Errors
/// [`Failure`] if the build fails.
pub fn embed(toolchain: &Toolchain, target: &str) -> Result<PathBuf, Failure> {
    let folder = shell::root().join("examples/embed");
    let built = build_directory(toolchain).join("embed");
    let mut command = toolchain.cargo("build", target);
    command
        // Cargo reads settings from where it is started.
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", &built)
        .arg("--release");
    shell::run(&mut command)?;
    Ok(built.join(target).join("release/embed"))
}

/// A `cargo` command on the application, which must be told in `TINYSPIKE_MEMORY` where its `memory.x` lies.
#[must_use]
pub fn app_cargo(
    toolchain: &Toolchain,
    subcommand: &str,
    target: &str,
    features: &[&str],
    key: Option<&[u8; 32]>,
) -> Command {
    let mut command = toolchain.cargo(subcommand, target);
    let signature = key.map(|key| {
        let digits = key.iter().map(|byte| format!("{byte:02x}"));
        command.env("TINYSPIKE_PUBLIC_KEY", digits.collect::<String>());
        "signature"
    });
    let all: Vec<&str> = (["app"].into_iter())
        .chain(features.iter().copied())
        .chain(signature)
        .collect();
    command
        .env("CARGO_TARGET_DIR", build_directory(toolchain))
        // Without it, defmt leaves out all but errors.
        .env("DEFMT_LOG", "info")
        // Debug information says where a message is logged; it stays in the file.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .args(["--release", "--package", PACKAGE, "--bin", "app"])
        .args(["--features", &all.join(",")]);
    command
}

/// One program for one board, prebuilt or built with what is installed: its path.
///
/// # Errors
/// [`Failure`] if the sources or a toolchain are missing, or the build fails.
pub fn build_here(board: Board, program: Program) -> Result<PathBuf, Failure> {
    if let Some(path) = held::program(board, program)? {
        return Ok(path);
    }
    let toolchain = toolchain_here(board.target())?;
    build(&toolchain, board, program)
}

/// Tells whether the firmware's sources are known, so that it can be built if there is a toolchain.
#[must_use]
pub fn has_sources() -> bool {
    !shell::root().as_os_str().is_empty()
}

/// The failure of a build without the sources.
fn no_sources(sources: &Path) -> Failure {
    if held::any() {
        return held::missing("prebuilt firmware for this");
    }
    Failure::Missing {
        what: format!("the firmware's source at {}", sources.display()),
        advice: format!(
            "run this program from the checkout that it was built in, or name one in the variable {}",
            shell::CHECKOUT
        ),
    }
}

/// Finds the installed toolchain for a target, if the firmware's sources are there, too.
pub(crate) fn toolchain_here(target: &str) -> Result<Toolchain, Failure> {
    let root = shell::root();
    let sources = root.join("firmware/Cargo.toml");
    // A tool that knows of no checkout does not look where it is started.
    if !has_sources() || !sources.is_file() {
        return Err(no_sources(&sources));
    }
    Toolchain::find(target).ok_or_else(|| Failure::Missing {
        what: format!("a way to build for {target}"),
        advice: "run `cargo xtask setup` in the checkout, which installs one".into(),
    })
}
