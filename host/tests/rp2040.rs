//! A UF2 file for the Pico, started in rp2040js as the boot ROM does it. `cargo xtask test-rp2040` installs rp2040js and
//! runs this.

#![expect(clippy::print_stdout, reason = "cycles are measured")]

use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tinyspike::device::Board;
use tinyspike::device::estimate::of_run;
use tinyspike::device::run::{RunOptions, check, run};
use tinyspike::device::serial::Stream;
use tinyspike::device::session::{Patience, Session};
use tinyspike::emulate::{self, EmulateOptions};

mod tool;

use tool::{json, path, project, text, tinyspike};

/// Variable with the folder in which rp2040js is installed.
const FOLDER: &str = "TINYSPIKE_RP2040JS";

/// An emulated RP2040.
struct Emulator(Child);

impl Emulator {
    fn start(uf2: &std::path::Path) -> (Self, Session<Stream<ChildStdin>>) {
        let folder = std::env::var_os(FOLDER).expect("`cargo xtask test-rp2040` runs this");
        let mut child = Command::new("node")
            .arg(project("tests/rp2040js/run.mjs"))
            .arg(uf2)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let patience = Patience {
            silence: Duration::from_secs(60),
            repeat: Duration::from_secs(20),
        };
        let session = Session::new(Stream::new(output, input), 1, patience);
        (Self(child), session)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "takes rp2040js; `cargo xtask test-rp2040` runs it"]
fn a_uf2_starts_and_runs_an_inference() {
    let folder = TempDir::new().unwrap();
    let [image, uf2] = ["image.tsp", "pico.uf2"].map(|name| folder.path().join(name));
    let model = project("models/mnist_small.keras");
    let samples = project("data/mnist_calibration2k.npz");
    let convert = [
        "convert",
        path(&model),
        "--inference-only",
        "--board",
        "pico",
    ];
    let files = ["--calibration", path(&samples), "-o", path(&image)];
    let output = tinyspike(&[&convert[..], &files].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = tinyspike(&[
        "export",
        path(&image),
        "--board",
        "pico",
        "--uf2",
        path(&uf2),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let (_emulator, mut session) = Emulator::start(&uf2);
    let loaded = tinyspike::ImageBuf::load(&image).unwrap();
    let identity = check(&mut session, &loaded.image()).unwrap();
    assert_eq!(identity.architecture, "thumbv6m-none-eabi");
    let pico = json(&tinyspike(&["boards", "pico", "--json"]));
    assert_eq!(pico["core"], "Cortex-M0+");
    let data = tinyspike::data::load_at_most(project("data/mnist_test10k.npz"), 3).unwrap();
    let report = run(
        &mut session,
        &loaded.image(),
        &data,
        &RunOptions { bisect: true },
        &mut |_| (),
    );
    let report = report.unwrap();
    assert!(report.divergence.is_none(), "{:?}", report.divergence);
    assert_eq!(report.images, 3);
    assert!(report.stack.high_water <= report.stack.size);

    // Its timer counts the cycles that rp2040js takes for a Cortex-M0+, without a cache before the flash.
    let data = tinyspike::data::load_at_most(project("data/mnist_test10k.npz"), 20).unwrap();
    let options = RunOptions::default();
    let report = run(&mut session, &loaded.image(), &data, &options, &mut |_| ()).unwrap();
    let (image, all) = (loaded.image(), 0..data.len());
    let emulated = emulate::run(&image, &data, all, &EmulateOptions::default(), &|_| ()).unwrap();
    let estimate = of_run(Board::find("pico").unwrap(), &image, &emulated).unwrap();
    let (cycles, instructions) = (report.ticks.mean, estimate.instructions);
    println!(
        "{cycles:.0} cycles, {instructions:.0} instructions predicted: {:?}",
        estimate.cycles
    );
    assert!(cycles > estimate.cycles.least && cycles < estimate.cycles.most);
}
