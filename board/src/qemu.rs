//! Runs firmware on a board that QEMU emulates.
//!
//! QEMU puts the image and the inputs into the board's memory, the firmware runs them all and prints
//! its trace over semihosting, and its exit code becomes QEMU's. Its log leaves through the first UART.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tinyspike_boards::{Board, Region};

use crate::shell;

/// The program whose version is stated: those for other processors come with it.
const PROGRAM: &str = "qemu-system-arm";

/// Virtual time of an instruction in a run that counts them, in nanoseconds. It is a power of two, large enough
/// for a timer of 16 MHz to tell any two numbers of instructions apart.
pub const INSTRUCTION_NS: u64 = 1 << INSTRUCTION_SHIFT;
const INSTRUCTION_SHIFT: u32 = 7;

/// Becomes a program, after it has set a guard up that kills the program if standard input closes without a line: the
/// owner holds its other end, and the system closes that however the owner ends, by any signal.
#[cfg(unix)]
const GUARDED: &str = r#"
exec 3<&0 </dev/null
{ read -r _ <&3 || kill -9 $$; } >/dev/null 2>&1 &
exec "$0" "$@" 3<&-
"#;

/// Task of an emulated board.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The board.
    pub board: Board,
    /// Its firmware, an ELF file.
    pub firmware: &'a Path,
    /// Lets virtual time follow the executed instructions: each takes [`INSTRUCTION_NS`]. It makes the run
    /// slower, and its timers deterministic.
    pub count: bool,
    /// A plugin for QEMU, with its arguments: `FILE,key=value`.
    pub plugin: Option<&'a str>,
    /// The image's bytes.
    pub image: &'a [u8],
    /// A block of inputs, in the format of `tinyspike_shared::inputs`.
    pub inputs: &'a [u8],
    /// Time after which the run is given up.
    pub timeout: Duration,
}

/// Result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit status of the firmware.
    pub status: ExitStatus,
    /// Output of the firmware.
    pub stdout: String,
    /// Complaints of the firmware or of QEMU.
    pub stderr: String,
    /// The encoded defmt frames that it sent.
    pub log: Vec<u8>,
}

/// Reason for a run without an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QemuError {
    /// The firmware has not been built.
    #[error("there is no firmware at {}: `cargo xtask test` builds it and runs all tests", path.display())]
    NoFirmware {
        /// Path at which it should be.
        path: PathBuf,
    },
    /// QEMU is not there, or does not start.
    #[error(
        "{program} does not start ({source}): `cargo xtask test` installs it and runs all tests"
    )]
    Start {
        /// The program.
        program: &'static str,
        /// Error of the system.
        source: io::Error,
    },
    /// The firmware did not end in time; QEMU was killed.
    #[error("the firmware did not end within {timeout:?}; it printed:\n{stdout}{stderr}")]
    Timeout {
        /// Time that it was given.
        timeout: Duration,
        /// Output up to then.
        stdout: String,
        /// Complaints of the firmware or of QEMU up to then.
        stderr: String,
    },
    /// The image or the inputs do not fit the board's memory.
    #[error("{name}: {found} bytes, and the board has room for {room}")]
    TooLarge {
        /// Name of the input.
        name: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The length of its region in bytes.
        room: u32,
    },
    /// A file for QEMU could not be written, or one of QEMU's not be read.
    #[error("a temporary file: {0}")]
    File(#[from] io::Error),
}

/// The version that QEMU states; `None` if it is not installed.
#[must_use]
pub fn version() -> Option<String> {
    let text = shell::read(Command::new(PROGRAM).arg("--version"))?;
    text.lines().next().map(str::to_owned)
}

/// Runs firmware to its end.
///
/// QEMU never outlives the call: it is killed if the time is up or the caller panics.
///
/// # Errors
/// [`QemuError`] if there is nothing to run, or no end to it. That the firmware itself reports a
/// failure is no error here, but in [`Outcome::status`].
pub fn run(run: &Run<'_>) -> Result<Outcome, QemuError> {
    let elf = run.firmware;
    if !elf.is_file() {
        return Err(QemuError::NoFirmware { path: elf.into() });
    }
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let load = |name: &'static str, bytes: &[u8], region: Region| {
        if bytes.len() > region.len as usize {
            let (found, room) = (bytes.len(), region.len);
            return Err(QemuError::TooLarge { name, found, room });
        }
        fs::write(path(name), bytes)?;
        let file = path(name).display().to_string().replace(',', ",,");
        Ok(format!(
            "loader,file={file},addr={:#x},force-raw=on",
            region.address
        ))
    };
    let Some(programs) = run.board.programs() else {
        return Err(QemuError::NoFirmware { path: elf.into() });
    };
    let image = load("image", run.image, programs.image)?;
    let inputs = load("inputs", run.inputs, programs.inputs)?;
    let serial = format!("file:{}", path("log").display());
    let emulator = run.board.data().emulator;
    let mut qemu = guarded(emulator.program);
    qemu.args(["-machine", emulator.machine])
        .args(emulator.options)
        .args(["-display", "none", "-monitor", "none"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(["-serial", &serial])
        .arg("-kernel")
        .arg(elf)
        .args(["-device", &image, "-device", &inputs])
        .stdout(File::create(path("stdout"))?)
        .stderr(File::create(path("stderr"))?);
    if run.count {
        qemu.args(["-icount", &format!("shift={INSTRUCTION_SHIFT},sleep=off")]);
    }
    if let Some(plugin) = run.plugin {
        qemu.args(["-plugin", plugin]);
    }
    let not_started = |source| QemuError::Start {
        program: emulator.program,
        source,
    };
    let child = qemu.spawn().map_err(not_started)?;
    let status = Guard::new(child).wait(run.timeout)?;
    if status.is_some_and(|status| matches!(status.code(), Some(126 | 127))) {
        // The shell may not have found it, and the system says why.
        let mut version = Command::new(emulator.program);
        version.arg("--version").stdin(Stdio::null());
        version.output().map_err(not_started)?;
    }
    let text = |name: &str| fs::read(path(name)).map(|b| String::from_utf8_lossy(&b).into_owned());
    let (stdout, stderr) = (text("stdout")?, text("stderr")?);
    match status {
        Some(status) => Ok(Outcome {
            status,
            stdout,
            stderr,
            log: fs::read(path("log"))?,
        }),
        None => Err(QemuError::Timeout {
            timeout: run.timeout,
            stdout,
            stderr,
        }),
    }
}

/// A command that ends with its owner, if its standard input does.
#[cfg(unix)]
fn guarded(program: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("sh");
    command.args(["-c", GUARDED, program]).stdin(Stdio::piped());
    // What ends the owner's group, such as a Ctrl-C in the terminal, leaves the guard to its work.
    command.process_group(0);
    command
}

#[cfg(not(unix))]
fn guarded(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// A process that ends with its owner.
struct Guard {
    child: Child,
    /// The end by which the other guard, in the shell, knows that the owner is there.
    owner: Option<ChildStdin>,
}

impl Guard {
    fn new(mut child: Child) -> Self {
        let owner = child.stdin.take();
        Self { child, owner }
    }

    /// Waits for the process to end; `None` if it did not within `timeout`.
    fn wait(mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The system may give the process's number to another from now on: there is nothing left to kill.
        if let Some(mut owner) = self.owner.take() {
            let _ = owner.write_all(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_hangs_is_ended() {
        let child = guarded("sleep").arg("600").spawn().unwrap();
        let id = child.id();
        let start = Instant::now();
        let status = Guard::new(child).wait(Duration::from_millis(50)).unwrap();
        assert_eq!(status, None);
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(!shell::works("kill", &["-0", &id.to_string()]));
    }

    /// An owner that is killed closes its end, as here.
    #[test]
    #[cfg(unix)]
    fn a_process_ends_with_its_owner_and_not_before() {
        let mut child = guarded("sleep").arg("600").spawn().unwrap();
        thread::sleep(Duration::from_millis(200));
        assert_eq!(child.try_wait().unwrap(), None);
        drop(child.stdin.take());
        let status = Guard::new(child).wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.map(|status| status.code()), Some(None));
        // Its exit code is the program's.
        let child = guarded("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let status = Guard::new(child).wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.and_then(|status| status.code()), Some(7));
    }

    #[test]
    fn missing_firmware_says_what_to_do() {
        let path = PathBuf::from("some/firmware");
        let message = QemuError::NoFirmware { path }.to_string();
        assert!(message.contains("some/firmware") && message.contains("cargo xtask test"));
    }
}
