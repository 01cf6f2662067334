//! A board that is reached over a serial line, without a probe: an emulated one, through its UART.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tinyspike_board::firmware::{Board, Program, build_here};

mod tool;

use tool::{json, path, project, text, tinyspike};

/// An emulated board whose UART is a pseudo-terminal.
struct Emulator {
    qemu: Child,
    port: String,
}

impl Emulator {
    fn start(board: Board, firmware: &Path, image: &Path) -> Self {
        let address = board.programs().unwrap().image.address;
        let loader = format!(
            "loader,file={},addr={address:#x},force-raw=on",
            image.display()
        );
        let mut qemu = Command::new("qemu-system-arm")
            .args(["-M", board.name(), "-display", "none", "-monitor", "none"])
            .args(["-serial", "pty", "-device", &loader, "-kernel"])
            .arg(firmware)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        // "char device redirected to /dev/pts/4 (label serial0)"
        let mut line = String::new();
        let mut said = BufReader::new(qemu.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let port = line.split_whitespace().find(|word| word.starts_with('/'));
        let port = port.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { qemu, port }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn convert(folder: &TempDir, name: &str, steps: &str) -> std::path::PathBuf {
    let image = folder.path().join(name);
    let (model, samples) = (
        project("models/mnist_small.keras"),
        project("data/mnist_calibration2k.npz"),
    );
    let output = tinyspike(&[
        "convert",
        path(&model),
        "--inference-only",
        "--calibration",
        path(&samples),
        "--steps",
        steps,
        "-o",
        path(&image),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    image
}

#[test]
#[ignore = "takes QEMU; `cargo xtask test` runs it"]
fn a_board_without_a_probe_runs_and_exchanges_images() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (
        convert(&folder, "a.tsp", "1"),
        convert(&folder, "b.tsp", "2"),
    );
    let board = Board::Mps2An386;
    let firmware = build_here(board, Program::Serve).unwrap();
    let emulator = Emulator::start(board, &firmware, &first);
    let port = emulator.port.as_str();
    let data = project("data/mnist_test10k.npz");
    let run = |image: &Path, more: &[&str]| {
        let args = [
            "run",
            path(image),
            "--data",
            path(&data),
            "--limit",
            "5",
            "--serial",
            port,
        ];
        tinyspike(&[&args[..], more].concat())
    };
    let report = json(&run(&first, &["--json", "--bisect"]));
    assert_eq!(report["images"], 5);
    assert_eq!(report["divergence"], serde_json::Value::Null, "{report}");

    let other = run(&second, &[]);
    assert_eq!(other.status.code(), Some(1));
    let message = text(&other.stderr);
    assert!(
        message.contains("tinyspike flash --model-only --serial PORT"),
        "{message}"
    );

    let flash = |image: &Path, more: &[&str]| {
        tinyspike(&[&["flash", path(image), "--serial", port], more].concat())
    };
    let message = text(&flash(&second, &[]).stderr);
    assert!(message.contains("--model-only"), "{message}");
    let exchanged = flash(&second, &["--model-only"]);
    let printed = text(&exchanged.stdout);
    assert!(
        exchanged.status.success(),
        "{printed}{}",
        text(&exchanged.stderr)
    );
    assert!(
        printed.contains("in slot B") && printed.contains("the device runs it\n"),
        "{printed}"
    );

    let report = json(&run(&second, &["--json", "--bisect"]));
    assert_eq!(report["divergence"], serde_json::Value::Null, "{report}");
    let watched = tinyspike(&[
        "monitor",
        path(&second),
        "--data",
        path(&data),
        "--limit",
        "2",
        "--serial",
        port,
    ]);
    let printed = text(&watched.stdout);
    assert!(watched.status.success(), "{}", text(&watched.stderr));
    assert!(printed.contains("sample 1: class "), "{printed}");
}

#[test]
fn a_line_that_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let image = convert(&folder, "a.tsp", "1");
    let data = project("data/mnist_test10k.npz");
    let output = tinyspike(&[
        "run",
        path(&image),
        "--data",
        path(&data),
        "--serial",
        "/dev/no-such-line",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("cannot open the serial line /dev/no-such-line"),
        "{message}"
    );
    assert!(message.contains("hint: "), "{message}");
    // A probe and a line exclude each other.
    let both = tinyspike(&[
        "run",
        path(&image),
        "--data",
        path(&data),
        "--serial",
        "x",
        "--chip",
        "RP2040",
    ]);
    assert_eq!(both.status.code(), Some(2));
}
