//! `cargo xtask examples`: firmware on embassy, esp-hal and RTIC. It takes minutes, because their chips' crates are large.

use std::path::PathBuf;
use std::process::Command;

use tinyspike_board::firmware as board_firmware;
use tinyspike_board::shell::{self, Failure};

use crate::firmware;

/// A program of an example, and how it is built.
struct Example {
    folder: &'static str,
    program: &'static str,
    target: &'static str,
    /// The feature that chooses a chip; empty for none.
    feature: &'static str,
}

const BUILT: [Example; 3] = [
    Example {
        folder: "embassy",
        program: "nrf52840",
        target: "thumbv7em-none-eabi",
        feature: "nrf52840",
    },
    Example {
        folder: "embassy",
        program: "rp2040",
        target: "thumbv6m-none-eabi",
        feature: "rp2040",
    },
    Example {
        folder: "esp32c3",
        program: "esp32c3",
        target: "riscv32imc-unknown-none-elf",
        feature: "",
    },
];
const RTIC: Example = Example {
    folder: "rtic",
    program: "rtic-example",
    target: "thumbv7m-none-eabi",
    feature: "",
};

impl Example {
    fn build(&self) -> Result<PathBuf, Failure> {
        let toolchain = firmware::find(self.target)?;
        let built = board_firmware::target_directory().join(self.folder);
        let mut command = toolchain.cargo("build", self.target);
        command
            // Cargo reads settings from where it is started.
            .current_dir(shell::root().join("examples").join(self.folder))
            .env("CARGO_TARGET_DIR", &built)
            .args(["--release", "--bin", self.program])
            .args(["--features", self.feature]);
        shell::run(&mut command)?;
        Ok(built.join(self.target).join("release").join(self.program))
    }
}

/// Builds all, and runs that of RTIC, whose chip QEMU emulates. It fails unless the digit is classified while a timer ticks.
///
/// # Errors
/// [`Failure`] if one cannot be built, or the run fails.
pub(crate) fn build() -> Result<(), Failure> {
    for example in BUILT {
        println!("{}: {}", example.program, example.build()?.display());
    }
    let program = RTIC.build()?;
    shell::run(
        Command::new("qemu-system-arm")
            .args(["-machine", "lm3s6965evb", "-display", "none"])
            .args(["-monitor", "none", "-serial", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .arg("-kernel")
            .arg(program),
    )
}
