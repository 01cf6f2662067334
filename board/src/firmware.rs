//! The boards, and how their programs are built.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::Command;

use tinyspike_firmware::boards;
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_firmware::parts::{Part, Parts};

use crate::shell::{self, Failure};
use crate::toolchain::{self, Toolchain};

/// The package of the engine and of the boards' programs.
pub const PACKAGE: &str = "tinyspike-firmware";

/// A board that firmware is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Board {
    /// Arm's MPS2 with the Cortex-M4 image AN386, as QEMU emulates it.
    Mps2An386,
    /// Arm's MPS2 with the Cortex-M7 image AN500, as QEMU emulates it.
    Mps2An500,
    /// The BBC micro:bit with its Cortex-M0, as QEMU emulates it.
    Microbit,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 3] = [Self::Mps2An386, Self::Mps2An500, Self::Microbit];

    /// The board's name, which is its machine's in QEMU.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mps2An386 => "mps2-an386",
            Self::Mps2An500 => "mps2-an500",
            Self::Microbit => "microbit",
        }
    }

    /// The board with a name.
    ///
    /// # Errors
    /// The names that there are.
    pub fn from_name(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|b| b.name() == name);
        known.ok_or_else(|| format!("the boards are {}", Self::ALL.map(Self::name).join(", ")))
    }

    /// Its processor.
    #[must_use]
    pub const fn core(self) -> &'static str {
        match self {
            Self::Mps2An386 => "Cortex-M4",
            Self::Mps2An500 => "Cortex-M7",
            Self::Microbit => "Cortex-M0",
        }
    }

    /// The kernel family that it runs.
    #[must_use]
    pub fn family(self) -> &'static Family {
        families::of_target(self.target(), false)
    }

    /// The compiler's target.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match self {
            Self::Mps2An386 | Self::Mps2An500 => toolchain::THUMBV7EM,
            Self::Microbit => toolchain::THUMBV6M,
        }
    }

    /// Cargo's profile for its programs: their kernels are in assembly, and what is around them may be small.
    #[must_use]
    pub const fn profile(self) -> &'static str {
        "firmware-small"
    }

    /// Where its firmware looks for the image and the inputs.
    #[must_use]
    pub const fn regions(self) -> boards::Board {
        match self {
            Self::Mps2An386 => boards::MPS2_AN386,
            Self::Mps2An500 => boards::MPS2_AN500,
            Self::Microbit => boards::MICROBIT,
        }
    }

    /// The programs that it has.
    #[must_use]
    pub const fn programs(self) -> &'static [Program] {
        match self {
            Self::Mps2An386 => &[
                Program::Trace,
                Program::Bench,
                Program::Layers,
                Program::Minimal,
                Program::Soak,
            ],
            Self::Mps2An500 => &[Program::Bench, Program::Layers],
            Self::Microbit => &[
                Program::Trace,
                Program::Bench,
                Program::Layers,
                Program::Minimal,
            ],
        }
    }

    /// Whether its programs have a place to log to.
    #[must_use]
    pub const fn logs(self) -> bool {
        matches!(self, Self::Mps2An386)
    }

    /// The name of a program's binary.
    #[must_use]
    pub fn binary(self, program: Program) -> String {
        let name = self.name().replace('-', "_");
        match program {
            Program::Trace => name,
            Program::Bench => name + "_bench",
            Program::Layers => name + "_layers",
            Program::Minimal => name + "_minimal",
            Program::Soak => name + "_soak",
        }
    }

    /// Where a program's built firmware lies.
    #[must_use]
    pub fn elf(self, program: Program) -> PathBuf {
        target_directory()
            .join(self.target())
            .join(self.profile())
            .join(self.binary(program))
    }

    /// Ticks of the timer that its bench firmware reads, in a second.
    #[must_use]
    pub const fn timer_hz(self) -> u64 {
        match self {
            Self::Mps2An386 | Self::Mps2An500 => 25_000_000,
            Self::Microbit => 16_000_000,
        }
    }
}

/// What a board's firmware does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// It prints every spike.
    Trace,
    /// It measures each part of an inference.
    Bench,
    /// It measures what each layer takes of an inference.
    Layers,
    /// It classifies one input and is silent: its size is the engine's.
    Minimal,
    /// It takes many steps on random inputs and prints a digest of all state.
    Soak,
}

/// Firmware has a build directory of its own: it may come from another compiler than the host's code.
#[must_use]
pub fn target_directory() -> PathBuf {
    shell::root().join("target/firmware")
}

/// A `cargo` command on one board's binary.
#[must_use]
pub fn cargo(toolchain: &Toolchain, subcommand: &str, board: Board, program: Program) -> Command {
    // A microbit's flash holds the bench and an image with its inputs only without what runs step by step.
    let parts = match board {
        Board::Microbit => Parts::ALL.without(Part::Dynamics),
        _ => Parts::ALL,
    };
    cargo_of(toolchain, subcommand, board, program, parts)
}

/// A `cargo` command on one board's binary with some parts of the engine.
#[must_use]
pub fn cargo_of(
    toolchain: &Toolchain,
    subcommand: &str,
    board: Board,
    program: Program,
    parts: Parts,
) -> Command {
    let mut features = vec![format!("board-{}", board.name())];
    // Logging would count as a part of what is measured.
    if program == Program::Trace && board.logs() {
        features.push("defmt".into());
    }
    features.extend(parts.features().map(str::to_owned));
    let mut command = toolchain.cargo(subcommand, board.target());
    command
        .env("CARGO_TARGET_DIR", target_directory())
        // Without it, defmt leaves out all but errors.
        .env("DEFMT_LOG", "info")
        .args(["--profile", board.profile(), "--package", PACKAGE])
        .args(["--bin", &board.binary(program)])
        .args(["--no-default-features", "--features"])
        .arg(features.join(","));
    command
}

/// Builds one program for one board with some parts of the engine, with what is installed: where it lies then,
/// which is not where [`Board::elf`] says.
///
/// # Errors
/// [`Failure`], where the sources or a toolchain are missing, or the build fails.
pub fn build_of(board: Board, program: Program, parts: Parts) -> Result<PathBuf, Failure> {
    let toolchain = toolchain_here(board.target())?;
    let folder = target_directory().join(format!("parts-{:02x}", parts.bits()));
    std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    // Apart from what is built with all parts, so that cargo does not put one in the other's place.
    let built = target_directory().join("parts");
    let _lock = lock("parts.lock")?;
    let mut command = cargo_of(&toolchain, "build", board, program, parts);
    shell::run(command.env("CARGO_TARGET_DIR", &built))?;
    let binary = board.binary(program);
    let built = built
        .join(board.target())
        .join(board.profile())
        .join(&binary);
    let elf = folder.join(binary);
    std::fs::copy(&built, &elf).map_err(Failure::file(&built))?;
    Ok(elf)
}

/// Waits until nobody else builds what has one place for all.
fn lock(name: &str) -> Result<File, Failure> {
    let path = target_directory().join(name);
    let lock = File::create(&path).map_err(Failure::file(&path))?;
    lock.lock().map_err(Failure::file(&path))?;
    Ok(lock)
}

/// Builds one program for one board: where it lies then.
///
/// # Errors
/// [`Failure`], where the build fails.
pub fn build(toolchain: &Toolchain, board: Board, program: Program) -> Result<PathBuf, Failure> {
    shell::run(&mut cargo(toolchain, "build", board, program))?;
    Ok(board.elf(program))
}

/// Builds the application for any chip with what is installed: where it lies then.
///
/// `memory` is the linker's `memory.x`. It states the regions `FLASH` and `RAM` and the symbols
/// `_tinyspike_image` and `_tinyspike_image_end`, between which the image lies, outside `FLASH`; it may state
/// `_tinyspike_stack_bytes`, 4 KiB unless it does, and where a second slot and the journal lie. `target` is the
/// compiler's, such as `thumbv6m-none-eabi`, and
/// `features` are more of the package's: `defmt` logs. Where there is a key, the application runs only images
/// that this Ed25519 key has signed.
///
/// What was built once for the same arguments is kept, and built again only where its sources have changed.
///
/// # Errors
/// [`Failure`], where the sources or a toolchain are missing, or the build fails.
pub fn app(
    memory: &str,
    target: &str,
    features: &[&str],
    key: Option<&[u8; 32]>,
) -> Result<PathBuf, Failure> {
    let toolchain = toolchain_here(target)?;
    let mut same = DefaultHasher::new();
    (memory, target, features, key).hash(&mut same);
    let folder = target_directory().join(format!("app-{:016x}", same.finish()));
    std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    // Cargo has one place for the program of all chips: nobody else may build it before it is copied.
    let _lock = lock("app.lock")?;
    // Writing the file again would make cargo build again.
    let script = folder.join("memory.x");
    if std::fs::read_to_string(&script).ok().as_deref() != Some(memory) {
        std::fs::write(&script, memory).map_err(Failure::file(&script))?;
    }
    let mut command = app_cargo(&toolchain, "build", target, features, key);
    shell::run(command.env("TINYSPIKE_MEMORY", &folder))?;
    let built = target_directory().join(target).join("release/app");
    let elf = folder.join("app");
    std::fs::copy(&built, &elf).map_err(Failure::file(&built))?;
    Ok(elf)
}

/// Builds the example of a firmware of one's own, `examples/embed`: where it lies then.
///
/// # Errors
/// [`Failure`], where the build fails.
pub fn embed(toolchain: &Toolchain, target: &str) -> Result<PathBuf, Failure> {
    let folder = shell::root().join("examples/embed");
    let built = target_directory().join("embed");
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
        // SHA-512 without unrolled rounds is smaller by 26 KB.
        let compact = r#"["--cfg", "sha2_backend_soft=\"compact\""]"#;
        command.args([
            "--config",
            &format!("target.'{target}'.rustflags={compact}"),
        ]);
        "signature"
    });
    let all: Vec<&str> = (["app"].into_iter())
        .chain(features.iter().copied())
        .chain(signature)
        .collect();
    command
        .env("CARGO_TARGET_DIR", target_directory())
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

/// Builds one program for one board with what is installed: where it lies then.
///
/// # Errors
/// [`Failure`], where the sources or a toolchain are missing, or the build fails.
pub fn build_here(board: Board, program: Program) -> Result<PathBuf, Failure> {
    let toolchain = toolchain_here(board.target())?;
    build(&toolchain, board, program)
}

/// What is installed for a target, where the firmware's sources are there too.
fn toolchain_here(target: &str) -> Result<Toolchain, Failure> {
    let sources = shell::root().join("firmware/Cargo.toml");
    if !sources.is_file() {
        return Err(Failure::Missing {
            what: format!("the firmware's source at {}", sources.display()),
            advice: "run this program from the checkout that it was built in".into(),
        });
    }
    Toolchain::find(target).ok_or_else(|| Failure::Missing {
        what: format!("a way to build for {target}"),
        advice: "run `cargo xtask setup` in the checkout, which installs one".into(),
    })
}
