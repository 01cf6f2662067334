//! `cargo xtask dist`: the tool and the Python wheel as they are handed out, with prebuilt firmware in them.
//!
//! Two things are held to what they should be: prebuilt firmware that is moved to a chip's memory must be, byte for byte, what the
//! linker makes of the sources for that chip, and neither tool nor wheel may name a folder of this machine. Both are then used
//! without anything of Rust's to be found.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tinyspike::device::{Chips, Layout, LayoutOptions};
use tinyspike_board::elf::{self, Program};
use tinyspike_board::firmware::{App, Board, app};
use tinyspike_board::library::{self, CORES, Contents};
use tinyspike_board::memory::Memory;
use tinyspike_board::prebuilt::{self, PROGRAMS, Variant};
use tinyspike_board::relocate::{FOUND, relocate};
use tinyspike_board::toolchain::ALL_TARGETS;
use tinyspike_board::{Failure, held, shell};

use crate::firmware::{build_program, find};
use crate::{handed_out, python, tree, venv};

/// The options of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the prebuilt firmware, for builds of other programs with TINYSPIKE_PREBUILT
    #[arg(long)]
    firmware: bool,
    /// Compare every application with what the linker makes of it for a chip, not one of each kind and core
    #[arg(long)]
    check_all: bool,
    /// Build only applications for these targets of the compiler's; what is there for others stays [default: all]
    #[arg(long = "target", value_name = "TARGET")]
    targets: Vec<String>,
}

/// A key that applications which ask for one get when they are compared.
const OTHER_KEY: [u8; 32] = [0xa5; 32];

/// Builds the firmware, then the tool and the wheel.
pub(crate) fn build(args: &Args) -> Result<(), Failure> {
    let folder = firmware(args)?;
    if !args.firmware {
        let tool = tool(&folder)?;
        try_out(&tool)?;
        try_wheel(&python::wheel(false, Some(&folder))?)?;
    }
    Ok(())
}

/// Builds all prebuilt firmware, and returns its folder.
fn firmware(args: &Args) -> Result<PathBuf, Failure> {
    let folder = shell::root().join("target/prebuilt");
    // What an earlier version left would be taken, too.
    if args.targets.is_empty() && folder.is_dir() {
        fs::remove_dir_all(&folder).map_err(Failure::file(&folder))?;
    }
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    let memory = prebuilt::memory();
    let mut total = 0;
    let known = |target: &String| ALL_TARGETS.contains(&target.as_str());
    if let Some(target) = args.targets.iter().find(|target| !known(target)) {
        return Err(Failure::Argument(format!(
            "{target} is none of {}",
            ALL_TARGETS.join(", ")
        )));
    }
    let wanted = |target: &str| args.targets.is_empty() || args.targets.iter().any(|t| t == target);
    for target in ALL_TARGETS.into_iter().filter(|target| wanted(target)) {
        find(target)?;
    }
    let chosen: Vec<Variant> = Variant::all()
        .filter(|variant| wanted(variant.target))
        .collect();
    // Before the first build.
    for &variant in &chosen {
        memory_of_a_chip(variant)?;
    }
    for variant in chosen {
        let mut parts = variant.app(&memory);
        let elf = app(&parts)?;
        let bytes = elf::without_debug(&fs::read(&elf).map_err(Failure::file(&elf))?)?;
        if args.check_all || variant.rooms == 1 {
            let chip = memory_of_a_chip(variant)?;
            parts.memory = &chip;
            parts.key = variant.signed.then_some(&OTHER_KEY);
            compare(variant, &bytes, &parts)?;
        }
        total += keep(&folder, &variant.name(), &bytes)?;
    }
    for board in Board::ALL {
        for program in PROGRAMS.into_iter().filter(|&program| board.has(program)) {
            let elf = build_program(board, program)?;
            let bytes = elf::without_debug(&fs::read(&elf).map_err(Failure::file(&elf))?)?;
            total += keep(&folder, &held::program_name(board, program), &bytes)?;
        }
    }
    for core in &CORES {
        if let Some(target) = core.target {
            find(target)?;
        }
        let library = library::build(core, Contents::WHOLE)?;
        let bytes = fs::read(&library).map_err(Failure::file(&library))?;
        total += keep(&folder, &library::prebuilt_name(core), &bytes)?;
    }
    println!("prebuilt firmware: {total} bytes in {}", folder.display());
    Ok(folder)
}

/// Writes a file for the tool, and returns its bytes.
fn keep(folder: &Path, name: &str, bytes: &[u8]) -> Result<usize, Failure> {
    let path = folder.join(format!("{name}.z"));
    let packed = held::pack(bytes).map_err(Failure::file(&path))?;
    fs::write(&path, &packed).map_err(Failure::file(&path))?;
    Ok(packed.len())
}

/// The memory of a chip with a core of a target, which is not where prebuilt firmware is linked.
fn memory_of_a_chip(variant: Variant) -> Result<Memory, Failure> {
    let name = match variant.target {
        "thumbv6m-none-eabi" => "STM32G071RB",
        "thumbv7m-none-eabi" => "STM32F103RC",
        "thumbv8m.base-none-eabi" => "R7FA6M5BH",
        "thumbv8m.main-none-eabi" => "STM32U585AI",
        _ => "nRF52840_xxAA",
    };
    let chips = Chips::builtin();
    let wrong = |e: &dyn std::fmt::Display| Failure::Argument(format!("{name}: {e}"));
    let chip = chips.find(name).map_err(|e| wrong(&e))?;
    if chip.processor().target() != variant.target {
        return Err(wrong(&format_args!("it is no {}", variant.target)));
    }
    let options = LayoutOptions {
        firmware: Some(112 << 10),
    };
    let layout = Layout::of(&chip, &options).map_err(|e| wrong(&e))?;
    Ok(layout.memory())
}

/// Compares an application that is moved with the one that the linker makes.
fn compare(variant: Variant, movable: &[u8], app_there: &App<'_>) -> Result<(), Failure> {
    let moved = relocate(
        movable,
        &prebuilt::memory(),
        app_there.memory,
        app_there.key,
    )?;
    let linked = app(app_there)?;
    let linked = fs::read(&linked).map_err(Failure::file(&linked))?;
    let (moved, linked) = (Program::parse(&moved)?, Program::parse(&linked)?);
    let name = variant.name();
    if moved.segments != linked.segments {
        return Err(Failure::Argument(format!(
            "{name}: what is moved is not what the linker makes"
        )));
    }
    let fixed = app_there.memory.symbols().map(|(symbol, _)| symbol);
    for symbol in fixed.into_iter().chain(FOUND) {
        if moved.symbol(symbol) != linked.symbol(symbol) {
            return Err(Failure::Argument(format!("{name}: {symbol} differs")));
        }
    }
    let bytes: usize = linked.segments.iter().map(|s| s.bytes.len()).sum();
    println!("{name}: {bytes} bytes, as the linker makes them");
    Ok(())
}

/// Builds the tool with the firmware of a folder in it, and returns its path.
fn tool(firmware: &Path) -> Result<PathBuf, Failure> {
    let mut command = shell::cargo();
    command
        .args(["build", "--locked", "--release", "--package", "tinyspike"])
        .args(["--bin", "tinyspike"])
        .env(held::PREBUILT, firmware);
    handed_out::settings(&mut command);
    shell::run(&mut command)?;
    let name = format!("tinyspike{}", env::consts::EXE_SUFFIX);
    let tool = handed_out::folder().join("release").join(name);
    let bytes = handed_out::names_no_folder(&tool)?;
    println!("{}: {bytes} bytes", tool.display());
    Ok(tool)
}

/// Runs the tool elsewhere, if QEMU is there, without anything of Rust's to be found.
fn try_out(tool: &Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file(&env::temp_dir()))?;
    let path = folder.path().join(tool.file_name().unwrap_or_default());
    fs::copy(tool, &path).map_err(Failure::file(tool))?;
    let begun = Instant::now();
    let Some(mut command) = handed_out::alone(&path, folder.path())? else {
        return Ok(());
    };
    shell::run(command.args(["demo", "--on", "emulated:microbit"]))?;
    println!(
        "tried out without Rust and a checkout: `tinyspike demo --on emulated:microbit` in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Use of the wheel by somebody who has neither Rust nor a checkout.
const NOTEBOOK: &str = r#"
import tinyspike
x, y = tinyspike.demo.samples(20)
image = tinyspike.demo.image()
run = image.run(x, y, on="emulated:microbit")
assert run.report["divergence"] is None and run.accuracy == image.emulate(x, y).accuracy
assert image.bench(x, y, on="emulated:microbit").instructions > 100_000
assert image.to_c("project", x, cores=["cortex-m4"]) == ["cortex-m4"]
print(run)
"#;

/// Installs the wheel with what it needs into a new environment, and uses it there without anything of Rust's to be found.
fn try_wheel(wheel: &Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file(&env::temp_dir()))?;
    let venv = folder.path().join("venv");
    let system = if cfg!(windows) { "python" } else { "python3" };
    shell::run(Command::new(system).args(["-m", "venv"]).arg(&venv))?;
    let python = venv::program(&venv, "python");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "--disable-pip-version-check", "install"]);
    shell::run(install.arg("--quiet").arg(wheel))?;
    let native = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("_native.")
    };
    let ends = if cfg!(windows) { "pyd" } else { "so" };
    for native in tree::files(&venv, ends)?.iter().filter(native) {
        let bytes = handed_out::names_no_folder(native)?;
        println!("the wheel's native half: {bytes} bytes");
    }
    let begun = Instant::now();
    let Some(mut command) = handed_out::alone(&python, folder.path())? else {
        return Ok(());
    };
    shell::run(command.args(["-c", NOTEBOOK]))?;
    println!(
        "tried out in a new environment, without Rust and a checkout: {} in {:.1} s",
        wheel.display(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
