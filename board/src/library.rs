//! Static libraries of the engine for C, and how they are built.

use std::path::PathBuf;

use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_firmware::parts::Parts;

use crate::archive;
use crate::firmware::{build_directory, lock, target_directory, toolchain_here};
use crate::held;
use crate::shell::{self, Failure};
use crate::toolchain::{Toolchain, add_flag};

/// The package of the calls for C.
const PACKAGE: &str = "tinyspike-c";

/// A kind of core that a library is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its name, and that of the library's folder.
    pub name: &'static str,
    /// Text about it.
    pub about: &'static str,
    /// The compiler's target; `None` for the machine that the library is built on.
    pub target: Option<&'static str>,
    /// The processor, if the target does not tell enough of it.
    pub cpu: Option<&'static str>,
    /// Options for GCC and Clang, with which code that is linked with the library is compiled.
    pub gcc: &'static [&'static str],
}

const fn arm(
    name: &'static str,
    about: &'static str,
    target: &'static str,
    cpu: Option<&'static str>,
    gcc: &'static [&'static str],
) -> Core {
    Core {
        name,
        about,
        target: Some(target),
        cpu,
        gcc,
    }
}

/// Every kind of core. Names with `hf` pass floats in the registers of a floating-point unit, as most projects for such cores do.
pub const CORES: [Core; 15] = [
    Core {
        name: "host",
        about: "This machine, for unit tests",
        target: None,
        cpu: None,
        gcc: &[],
    },
    arm(
        "cortex-m0",
        "Cortex-M0, M0+ and M1",
        "thumbv6m-none-eabi",
        None,
        &["-mcpu=cortex-m0", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m3",
        "Cortex-M3",
        "thumbv7m-none-eabi",
        None,
        &["-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m4",
        "Cortex-M4 and M7, floats passed in integer registers",
        "thumbv7em-none-eabi",
        None,
        &["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m4hf",
        "Cortex-M4F and M7",
        "thumbv7em-none-eabihf",
        None,
        &[
            "-mcpu=cortex-m4",
            "-mthumb",
            "-mfpu=fpv4-sp-d16",
            "-mfloat-abi=hard",
        ],
    ),
    arm(
        "cortex-m23",
        "Cortex-M23",
        "thumbv8m.base-none-eabi",
        None,
        &["-mcpu=cortex-m23", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m33",
        "Cortex-M33 with DSP instructions, floats passed in integer registers",
        "thumbv8m.main-none-eabi",
        Some("cortex-m33"),
        &["-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m33hf",
        "Cortex-M33 with DSP instructions and a floating-point unit",
        "thumbv8m.main-none-eabihf",
        Some("cortex-m33"),
        &[
            "-mcpu=cortex-m33",
            "-mthumb",
            "-mfpu=fpv5-sp-d16",
            "-mfloat-abi=hard",
        ],
    ),
    arm(
        "cortex-m33-nodsp",
        "Cortex-M33 without DSP instructions",
        "thumbv8m.main-none-eabi",
        None,
        &["-mcpu=cortex-m33+nodsp", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m33-nodsp-hf",
        "Cortex-M33 without DSP instructions, with a floating-point unit",
        "thumbv8m.main-none-eabihf",
        None,
        &[
            "-mcpu=cortex-m33+nodsp",
            "-mthumb",
            "-mfpu=fpv5-sp-d16",
            "-mfloat-abi=hard",
        ],
    ),
    arm(
        "cortex-m55",
        "Cortex-M55 and M85, floats passed in integer registers",
        "thumbv8m.main-none-eabi",
        Some("cortex-m55"),
        &["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=soft"],
    ),
    arm(
        "cortex-m55hf",
        "Cortex-M55 and M85",
        "thumbv8m.main-none-eabihf",
        Some("cortex-m55"),
        &["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"],
    ),
    arm(
        "rv32imc",
        "RISC-V without atomic instructions, such as the ESP32-C3",
        "riscv32imc-unknown-none-elf",
        None,
        &["-march=rv32imc", "-mabi=ilp32"],
    ),
    arm(
        "rv32imac",
        "RISC-V, such as the ESP32-C6",
        "riscv32imac-unknown-none-elf",
        None,
        &["-march=rv32imac", "-mabi=ilp32"],
    ),
    arm(
        "rv32imafc",
        "RISC-V with a floating-point unit, such as the ESP32-P4",
        "riscv32imafc-unknown-none-elf",
        None,
        &["-march=rv32imafc", "-mabi=ilp32f"],
    ),
];

impl Core {
    /// The core with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CORES.iter().find(|core| core.name == name)
    }

    /// The kernel family that its library runs.
    #[must_use]
    pub fn family(&self) -> &'static Family {
        self.target.map_or(&families::PORTABLE, |target| {
            families::of_target(target, self.cpu.is_some())
        })
    }

    /// The target, that of this machine included.
    fn triple(&self) -> Result<String, Failure> {
        if let Some(target) = self.target {
            return Ok(target.to_owned());
        }
        let args = ["--print", "host-tuple"];
        shell::read(std::process::Command::new("rustc").args(args)).ok_or_else(|| {
            Failure::Missing {
                what: "rustc".into(),
                advice: "install Rust from https://rustup.rs".into(),
            }
        })
    }

    /// Tells if the tool holds a library for it, or one can be built here.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let built = |target: String| Toolchain::find(&target).is_some();
        held::any() || self.triple().is_ok_and(built)
    }
}

/// Contents of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The parts of the engine.
    pub parts: Parts,
    /// The most ensembles of a network.
    pub ensembles: usize,
    /// The most connections of a network.
    pub connections: usize,
}

impl Contents {
    /// Every part, and room for the networks that the header names if nobody defines its limits.
    pub const WHOLE: Self = Self {
        parts: Parts::ALL,
        ensembles: 16,
        connections: 24,
    };
}

/// Builds the static library for a core with what is installed, and returns its path. What was built once is built again only if
/// its sources have changed.
///
/// # Errors
/// [`Failure`] if the sources or a toolchain are missing, or the build fails.
pub fn build(core: &Core, contents: Contents) -> Result<PathBuf, Failure> {
    let target = core.triple()?;
    let toolchain = toolchain_here(&target)?;
    let Contents {
        parts,
        ensembles,
        connections,
    } = contents;
    // Kernels in assembly want what is around them small; others are all there is.
    let profile = match core.family().leaves {
        Some(_) => "firmware-small",
        None => "firmware",
    };
    let variable = profile.to_uppercase().replace('-', "_");
    let mut features = vec!["static".to_owned()];
    features.extend((parts.features()).map(|part| format!("tinyspike-firmware/{part}")));
    let mut command = toolchain.plain_cargo("rustc", &target);
    command
        .env("CARGO_TARGET_DIR", build_directory(&toolchain))
        .env(format!("CARGO_PROFILE_{variable}_DEBUG"), "0")
        // A library for this machine has no unwinder either.
        .env(format!("CARGO_PROFILE_{variable}_PANIC"), "abort")
        .env("TINYSPIKE_ENSEMBLES", ensembles.to_string())
        .env("TINYSPIKE_CONNECTIONS", connections.to_string())
        .args(["--profile", profile, "--package", PACKAGE, "--lib"])
        .args(["--crate-type", "staticlib", "--features"])
        .arg(features.join(","));
    if let Some(cpu) = core.cpu {
        add_flag(&mut command, &target, &format!("-Ctarget-cpu={cpu}"));
    }
    let folder = target_directory().join(format!(
        "library-{:03x}-{ensembles}-{connections}/{}",
        parts.bits(),
        core.name
    ));
    std::fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    // Cargo has one place for all of them: nobody else may build one before it is copied.
    let _lock = lock("library.lock")?;
    shell::run(&mut command)?;
    let built = build_directory(&toolchain).join(&target).join(profile);
    let built = built.join("libtinyspike_c.a");
    let library = folder.join("libtinyspike.a");
    let bytes = std::fs::read(&built).map_err(Failure::file(&built))?;
    let own = archive::reached(&bytes, "ts_").unwrap_or(bytes);
    std::fs::write(&library, own).map_err(Failure::file(&library))?;
    Ok(library)
}

/// The name of a core's library.
#[must_use]
pub fn prebuilt_name(core: &Core) -> String {
    format!("library-{}", core.name)
}

/// A core's library for C, with the whole engine.
///
/// # Errors
/// [`Failure`] if the tool holds none.
pub fn prebuilt(core: &Core) -> Result<Vec<u8>, Failure> {
    let missing = || held::missing(&format!("a prebuilt library for {}", core.name));
    held::file(&prebuilt_name(core))?.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_have_names_of_their_own_and_kernels_of_their_kind() {
        for (at, core) in CORES.iter().enumerate() {
            assert_eq!(Core::named(core.name), Some(&CORES[at]));
        }
        let family = |name| Core::named(name).unwrap().family().name;
        assert_eq!(family("cortex-m4hf"), "cortex-m4");
        assert_eq!(family("cortex-m33"), "cortex-m4");
        assert_eq!(family("cortex-m33-nodsp"), "cortex-m0");
        assert_eq!(family("cortex-m0"), "cortex-m0");
        assert_eq!(family("rv32imc"), "rv32");
        assert_eq!(family("rv32imac"), "rv32");
        assert_eq!(family("rv32imafc"), "rv32");
        assert_eq!(family("host"), "portable");
    }
}
