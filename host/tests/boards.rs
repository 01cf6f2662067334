//! The way of a model onto a board as a user goes it: every command on emulated boards, and what they say and do
//! if something goes wrong.

#![expect(clippy::print_stdout, reason = "stacks and refusals are measured")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use emulated_board::{Board, Fault, Machine, Options};
use npyz::npz::NpzArchive;
use serde_json::Value;
use tempfile::TempDir;
use tinyspike::assemble::assemble;
use tinyspike::calibrate::calibrate;
use tinyspike::graph::{
    Dense, Graph, Input, LinearMap, Link, Neuron, Output as GraphOutput, Population, Readout,
    Source, SourceMap, Target,
};
use tinyspike::network::{
    self, Connection, Ensemble, EnsembleId, MaxPool, Network, NeuronType, Node, NodeId, NodeKind,
    PerNeuron, Post, Pre, Probe, Transform,
};
use tinyspike::ops::Padding;
use tinyspike::pipeline::samples;
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::tensor::Tensor;
use tinyspike::{DeployOptions, Mode};
use tinyspike_board::firmware::family;
use tinyspike_shared::image;

#[path = "tool/dead_probes.rs"]
mod dead_probes;
mod tool;

use tool::{json, path, project, text, tinyspike};

/// Mark of the processes that a command starts, directly or not: a variable of their environment.
struct Mark(String);

impl Mark {
    const NAME: &str = "TINYSPIKE_TEST_COMMAND";

    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}.{number}.", std::process::id()))
    }

    /// The tool, which hands the mark on to all that it starts.
    fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinyspike"));
        command.args(args).env(Self::NAME, &self.0);
        command
    }

    /// Names of the processes with this mark that run. Only Linux tells.
    fn processes(&self) -> Vec<String> {
        let mark = format!("{}={}", Self::NAME, self.0);
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let running = processes.filter_map(|process| {
            let read = |file| std::fs::read(process.path().join(file)).unwrap_or_default();
            let environment = read("environ");
            let marked = environment.split(|b| *b == 0).any(|v| v == mark.as_bytes());
            marked.then(|| text(&read("comm")))
        });
        running.collect()
    }

    /// Number of emulators with this mark that run.
    fn emulators(&self) -> usize {
        let processes = self.processes();
        processes.iter().filter(|p| p.starts_with("qemu")).count()
    }
}

/// Runs the tool to its end, which no emulator of its outlives.
fn command(args: &[&str]) -> Output {
    let mark = Mark::new();
    let output = mark.tool(args).output().unwrap();
    assert_eq!(mark.emulators(), 0, "{args:?}");
    output
}

/// Runs a command that must succeed, and returns its output and its messages.
fn succeeds(args: &[&str]) -> (String, String) {
    let output = command(args);
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{args:?}: {printed}{said}");
    (printed, said)
}

/// Runs a command that must fail, and returns its message.
fn fails(args: &[&str]) -> String {
    let output = command(args);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(
        said.contains("\nhint: ") && !said.contains("panicked"),
        "{args:?}: {said}"
    );
    let errors = said.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{args:?}: {said}");
    said
}

/// Converts a bundled model.
fn convert(folder: &TempDir, name: &str, model: &str, more: &[&str]) -> String {
    let image = folder.path().join(name);
    let model = project(&format!("models/{model}.keras"));
    let flags = ["--inference-only", "--max-to-avg-pool"];
    let args = [
        &["convert", path(&model), "-o", path(&image)],
        &flags[..],
        more,
    ]
    .concat();
    let output = tinyspike(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    path(&image).to_owned()
}

/// `mnist_small`, calibrated.
fn small(folder: &TempDir, name: &str, more: &[&str]) -> String {
    let calibration = project("data/mnist_calibration2k.npz");
    let calibrated = ["--calibration", path(&calibration)];
    convert(folder, name, "mnist_small", &[&calibrated, more].concat())
}

fn test_set() -> String {
    path(&project("data/mnist_test10k.npz")).to_owned()
}

/// Runs samples of an image that a board has already: every one to the bit, most of them right.
fn runs(image: &str, board: &[&str], limit: &str) {
    let data = test_set();
    let samples = ["run", image, "--data", &data, "--limit", limit];
    let (printed, said) = succeeds(&[&samples, board].concat());
    assert!(!said.contains("note: flashing"), "{said}");
    assert!(
        printed.contains("every spike count and output is the emulator's, to the bit"),
        "{printed}"
    );
    assert_eq!(field(&printed, "samples "), limit);
    let accuracy: f64 = field(&printed, "accuracy ").parse().unwrap();
    assert!(accuracy >= 90.0, "{printed}");
}

/// The first word behind a line's beginning.
fn field<'a>(printed: &'a str, beginning: &str) -> &'a str {
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix(beginning));
    let line = line.unwrap_or_else(|| panic!("no {beginning:?} in {printed}"));
    line.split_whitespace().next().unwrap_or_default()
}

/// A board that `tinyspike emulated-board` serves.
struct Served {
    process: Child,
    /// The flags that name it, as the command prints them.
    flags: Vec<String>,
}

impl Served {
    fn start(machine: Machine, folder: &TempDir) -> Self {
        let description = folder.path().join("chip.yaml");
        let mut args = vec!["emulated-board", "--machine", machine.name()];
        args.push("--count-instructions");
        let mut lines = 2;
        if machine.chip_description().is_some() {
            args.extend(["--write-chip-description", path(&description)]);
            lines += 1;
        }
        let mark = Mark::new();
        let mut process = mark.tool(&args).stdout(Stdio::piped()).spawn().unwrap();
        let printed = BufReader::new(process.stdout.take().unwrap()).lines();
        let printed: Vec<String> = printed.take(lines).map(Result::unwrap).collect();
        assert!(
            printed[0].contains("is running; Ctrl-C ends it"),
            "{printed:?}"
        );
        #[cfg(target_os = "linux")]
        assert_eq!(mark.emulators(), 1);
        let flags = printed[1..].iter().flat_map(|line| {
            // What is in brackets is for others.
            let ours = line.split(" (").next().unwrap_or_default();
            ours.split(' ').map(str::to_owned)
        });
        Self {
            flags: flags.collect(),
            process,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Takes an image to a board, runs it, looks at it, exchanges it and measures it.
fn from_flash_to_bench(machine: Machine) {
    let folder = TempDir::new().unwrap();
    let target = match machine {
        Machine::Microbit => "cortex-m0",
        _ => "cortex-m4",
    };
    let image = small(&folder, "image.tsp", &["--target", target]);
    let other = small(&folder, "other.tsp", &["--target", target, "--steps", "3"]);
    let data = test_set();
    let served = Served::start(machine, &folder);
    let board: Vec<&str> = served.flags.iter().map(String::as_str).collect();

    let (printed, said) = succeeds(&[&["flash", &image], &board[..]].concat());
    assert!(!said.contains("warning: "), "{said}");
    assert!(printed.contains("the image is in slot A\n"), "{printed}");
    let written = field(&printed, "erased ");
    let verified = format!("erased {written} bytes, wrote {written} and read them back the same\n");
    assert!(printed.contains(&verified), "{printed}");
    assert!(printed.contains("\nruns the image "), "{printed}");

    runs(&image, &board, "20");

    let two = ["--data", &data, "--limit", "2"];
    let (printed, _) = succeeds(&[&["monitor", &image], &two[..], &board].concat());
    let log = |message: &str, file: &str| {
        let found = printed.lines().any(|line| {
            let place = line
                .rsplit_once(".rs:")
                .and_then(|(_, line)| line.strip_suffix(')'));
            line.starts_with("info  ")
                && line.contains(message)
                && line.contains(file)
                && place.is_some_and(|line| line.parse::<u32>().is_ok())
        });
        assert!(found, "no {message:?} from {file} in {printed}");
    };
    log(" of slot A accepted, arena ", "firmware/src/bin/app.rs:");
    log("2 steps, class 7 ", "firmware/src/serve.rs:");
    assert!(
        printed.contains("\nsample 0: class 7, accuracy 100.0 %, spikes "),
        "{printed}"
    );
    assert!(
        printed.contains("\nsample 1: class 2, accuracy 100.0 %, spikes "),
        "{printed}"
    );

    let (printed, _) = succeeds(&[&["flash", &other, "--model-only"], &board[..]].concat());
    assert!(printed.contains("the image is in slot B\n"), "{printed}");
    runs(&other, &board, "5");

    // The chip's name is where to measure.
    let on: Vec<&str> = board
        .iter()
        .map(|f| if *f == "--chip" { "--on" } else { f })
        .collect();
    let ten = ["--data", &data, "--limit", "10"];
    let bench = [&["bench", &other], &ten[..], &on].concat();
    let (printed, said) = succeeds(&bench);
    assert!(!said.contains("note: flashing"), "{said}");
    for part in [
        "cycles (SysTick) ",
        "inference ",
        "  each step ",
        "flash: ",
        "RAM: ",
    ] {
        assert!(
            printed.lines().any(|line| line.starts_with(part)),
            "no {part:?} in {printed}"
        );
    }
    assert!(printed.contains(" of stack"), "{printed}");
    let report = json(&command(&[&bench[..], &["--json"]].concat()));
    assert_eq!(
        (&report["images"], &report["steps_per_inference"]),
        (&10.into(), &3.0.into())
    );
    let number = |value: &Value| value.as_f64().unwrap();
    let step = number(&report["step"]["mean"]);
    assert!(
        step > 0.0 && number(&report["inference"]["mean"]) > 3.0 * step,
        "{report}"
    );
    // The board counts instructions, however fast it is.
    let printed: f64 = field(&printed, "  each step ").parse().unwrap();
    assert!((printed / step - 1.0).abs() < 0.001, "{printed}: {report}");
    for bytes in ["image_bytes", "arena_bytes", "input_bytes", "free_ram"] {
        assert!(number(&report[bytes]) > 0.0, "{bytes}: {report}");
    }
    let stack = ["high_water", "size"].map(|part| number(&report["stack"][part]));
    assert!(500.0 < stack[0] && stack[0] < stack[1], "{report}");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_microbit_from_flash_to_bench() {
    from_flash_to_bench(Machine::Microbit);
}

/// One after the other: both have firmware for the same target, which is built in the same place.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn the_mps2_boards_from_flash_to_bench() {
    from_flash_to_bench(Machine::Mps2An386);
    from_flash_to_bench(Machine::Mps2An500);
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_cortex_m33_from_flash_to_bench() {
    from_flash_to_bench(Machine::Mps2An505);
}

/// A microbit, and the flags that name it.
fn microbit() -> (Board, String) {
    let board = Board::start(Machine::Microbit, &Options::default()).unwrap();
    let probe = board.probe_selector();
    (board, probe)
}

fn flags(probe: &str) -> [&str; 4] {
    ["--chip", "nRF51822_xxAA", "--probe", probe]
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn what_does_not_fit_a_microbit_is_refused_before_it_is_touched() {
    let folder = TempDir::new().unwrap();
    let target = ["--target", "cortex-m0"];
    let image = small(&folder, "small.tsp", &target);
    let (board, probe) = microbit();
    let flags = flags(&probe);
    succeeds(&[&["flash", &image], &flags[..]].concat());

    // The first transfer on the probe would be the last.
    board.inject(Fault::ProbeVanishes { after: 0 });
    let data = test_set();
    let [_, name, on_probe, probe] = flags;
    for (model, memory) in [
        ("mnist_forum_kr", "flash for images"),
        ("mnist_pool_bn", "RAM"),
    ] {
        let large = convert(&folder, "large.tsp", model, &target);
        let size = std::fs::metadata(&large).unwrap().len().to_string();
        for command in [
            [&["flash", &large], &flags[..]].concat(),
            [&["flash", &large, "--model-only"], &flags[..]].concat(),
            [&["run", &large, "--data", &data], &flags[..]].concat(),
            vec![
                "bench", &large, "--data", &data, "--on", name, on_probe, probe,
            ],
        ] {
            let said = fails(&command);
            let whose = format!("error: nRF51822_xxAA: {memory}: ");
            assert!(
                said.contains(&whose) && said.contains(" too many"),
                "{said}"
            );
            assert!(said.contains("--max-ram and --max-flash"), "{said}");
            let bytes = if memory == "RAM" { " of 16384 " } else { &size };
            assert!(said.contains(bytes), "{said}");
        }
    }
    // There has been none.
    let run = ["run", &image, "--data", &data, "--limit", "5"];
    let said = fails(&[&run, &flags[..]].concat());
    assert!(said.contains("cannot be opened"), "{said}");
    runs(&image, &flags, "5");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_broken_off_flash_leaves_a_device_that_says_so_and_can_be_flashed_again() {
    let folder = TempDir::new().unwrap();
    let target = ["--target", "cortex-m0"];
    let image = small(&folder, "small.tsp", &target);
    // It needs both slots.
    let large = convert(&folder, "large.tsp", "mnist_mlp", &target);
    let (board, probe) = microbit();
    let flags = flags(&probe);
    succeeds(&[&["flash", &image], &flags[..]].concat());

    board.inject(Fault::ProbeVanishes { after: 40_000 });
    let flash = [&["flash", &large, "--model-only"], &flags[..]].concat();
    let said = fails(&flash);
    assert!(
        said.contains(
            "error: the connection to nRF51822_xxAA failed while its flash was written: "
        ) && said.contains("hint: see that the probe is still connected"),
        "{said}"
    );
    let output = command(&[&["monitor", "--restart"], &flags[..]].concat());
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}{said}");
    assert!(
        said.contains("error: the device does not run its image: "),
        "{printed}{said}"
    );
    let refused = printed
        .lines()
        .find(|line| line.starts_with("warn  image refused: "));
    assert!(
        refused.is_some_and(|line| line.contains("app.rs:")),
        "{printed}"
    );

    let (printed, _) = succeeds(&flash);
    assert!(printed.contains("read them back the same"), "{printed}");
    let data = test_set();
    let (printed, _) = succeeds(
        &[
            &["run", &large, "--data", &data, "--limit", "5"],
            &flags[..],
        ]
        .concat(),
    );
    assert!(printed.contains("to the bit"), "{printed}");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn several_boards_run_at_once() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &["--target", "cortex-m0"]);
    let data = test_set();
    let ((_first, first), (second, other)) = (microbit(), microbit());
    let probes = ["--probe", &first, "--probe", &other];
    let flags = [&["--chip", "nRF51822_xxAA"], &probes[..]].concat();
    let run = [
        &["run", &image, "--data", &data, "--limit", "20"],
        &flags[..],
    ]
    .concat();
    let (printed, said) = succeeds(&run);
    assert_eq!(said.matches("note: flashing").count(), 2, "{said}");
    let rows: Vec<&str> = printed.lines().collect();
    assert_eq!(rows.len(), 3, "{printed}");
    assert!(rows[0].starts_with("probe ") && rows[0].ends_with("as the emulator"));
    for (row, probe) in rows[1..].iter().zip([&first, &other]) {
        assert!(row.starts_with(probe.as_str()), "{printed}");
        assert!(row.contains(" 20 ") && row.ends_with(" yes"), "{printed}");
    }

    let bench = [
        "bench",
        &image,
        "--data",
        &data,
        "--limit",
        "3",
        "--json",
        "--on",
        "nRF51822_xxAA",
    ];
    let (printed, _) = succeeds(&[&bench[..], &probes[..]].concat());
    let all: Value = serde_json::from_str(&printed).unwrap();
    let cycles = |at: usize| all[at]["report"]["inference"]["mean"].as_f64().unwrap();
    assert_eq!(all[1]["probe"], other.as_str());
    assert!(cycles(0) > 1000.0 && cycles(1) > 1000.0, "{printed}");

    // One board that is lost takes nothing from the others.
    second.inject(Fault::ProbeVanishes { after: 0 });
    let output = command(&run);
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}{said}");
    let failed = format!("error: 1 of 2 boards failed: {other}: ");
    assert!(said.contains(&failed), "{said}");
    assert!(printed.contains(&format!("{other}  failed")), "{printed}");
    assert!(printed.contains("yes"), "{printed}");

    let npz = folder.path().join("out.npz").display().to_string();
    let said = fails(&[&run[..], &["-o", &npz]].concat());
    assert!(
        said.contains("-o writes the outputs of one board"),
        "{said}"
    );
    let said = fails(&[&["flash", &image], &flags[..]].concat());
    assert!(said.contains("this command works on one board"), "{said}");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_lost_probe_or_board_ends_a_run() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &["--target", "cortex-m0"]);
    let (board, probe) = microbit();
    let flags = flags(&probe);
    succeeds(&[&["flash", &image], &flags[..]].concat());
    let data = test_set();
    let all = [&["run", &image, "--data", &data], &flags[..]].concat();
    let lost = |fault| {
        board.inject(fault);
        let start = Instant::now();
        let said = fails(&all);
        assert!(start.elapsed() < Duration::from_secs(30), "{said}");
        assert!(said.contains("error: sample "), "{said}");
        assert!(
            said.contains("hint: see that the probe is still connected and the board has power"),
            "{said}"
        );
    };
    lost(Fault::ProbeVanishes { after: 5_000 });
    runs(&image, &flags, "5");
    lost(Fault::BoardDies { after: 5_000 });
    let said = fails(&all);
    assert!(
        said.contains("cannot be opened")
            && said.contains("hint: does the emulated board still run?"),
        "{said}"
    );
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn another_chip_and_an_image_for_other_kernels() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "m4.tsp", &["--target", "cortex-m4"]);
    let (_board, probe) = microbit();
    let flags = flags(&probe);
    let said = fails(&[&["monitor", "--seconds", "1"], &flags[..]].concat());
    assert!(
        said.contains("no firmware of tinyspike's runs on nRF51822_xxAA"),
        "{said}"
    );

    // Any engine runs any layout.
    let (_, said) = succeeds(&[&["flash", &image], &flags[..]].concat());
    assert!(
        said.contains("warning: ") && said.contains("convert with --target cortex-m0"),
        "{said}"
    );
    runs(&image, &flags, "20");

    let flash = |chip: &str| {
        fails(&[
            "flash",
            &image,
            "--model-only",
            "--chip",
            chip,
            "--probe",
            &probe,
        ])
    };
    let said = flash("nRF51228_xxAA");
    assert!(said.contains("the nearest are nRF51822_xxAA, "), "{said}");
    let said = flash("STM32F103ZG");
    assert!(
        said.contains("has an Armv7-M core: this one is Armv6-M"),
        "{said}"
    );
    runs(&image, &flags, "5");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn flash_that_keeps_nothing_fails_to_verify() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "m4.tsp", &[]);
    let said = fails(&[
        "flash",
        &image,
        "--model-only",
        "--on",
        "emulated:netduinoplus2",
    ]);
    assert!(
        said.contains("STM32F405RGTx: the flash does not hold what was written to it"),
        "{said}"
    );
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
#[cfg(target_os = "linux")]
fn no_emulator_outlives_a_killed_command() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &[]);
    let data = test_set();
    let on = ["--on", "emulated:mps2-an386"];
    let (image, data) = (image.as_str(), data.as_str());
    let of = |command, limit| [command, image, "--data", data, "--limit", limit];
    // Programs are built once; what is ended later is at work.
    succeeds(&[&of("bench", "1")[..], &on].concat());
    for (command, signal) in [
        ("run", "-KILL"),
        ("run", "-TERM"),
        ("bench", "-KILL"),
        ("bench", "-TERM"),
        ("bench", "-INT"),
    ] {
        let mark = Mark::new();
        let mut process = mark
            .tool(&[&of(command, "800")[..], &on].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while mark.emulators() != 1 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{command}: no emulator"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let id = process.id().to_string();
        let kill = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(kill.success());
        let status = process.wait().unwrap();
        assert_eq!(status.code(), None, "{command} has ended before {signal}");
        // Nor does what guards it.
        let start = Instant::now();
        while !mark.processes().is_empty() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{command} {signal} leaves {:?}",
                mark.processes()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn the_demo_goes_on_to_a_board() {
    let (printed, _) = succeeds(&["demo", "--on", "emulated:microbit"]);
    let (_, on_board) = printed
        .split_once("to the bit")
        .unwrap_or_else(|| panic!("{printed}"));
    assert!(
        on_board.contains("instructions ")
            && on_board.contains("100 samples on microbit (Cortex-M0)"),
        "{printed}"
    );
}

/// A device makes the events of samples that the emulator makes: `run` compares each step, through the application.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn events_are_made_on_boards() {
    let folder = TempDir::new().unwrap();
    let model = project("tests/fixtures/nir/snntorch_watch_rleaky.nir");
    let data = project("tests/fixtures/nir/watch_samples.npz");
    let data = path(&data);
    for (board, target, coder) in [
        ("microbit", "cortex-m0", "delta:0.1"),
        ("mps2-an386", "cortex-m4", "delta:0.1,0.1,0.1,0.3,0.3,0.3:3"),
    ] {
        let image = folder.path().join(format!("{board}.tsp"));
        let image = path(&image);
        let convert = ["convert", path(&model), "-o", image, "--calibration", data];
        let flags = [
            "--semantics",
            "snntorch",
            "--target",
            target,
            "--coder",
            coder,
        ];
        let (printed, _) = succeeds(&[&convert[..], &flags].concat());
        assert!(printed.contains("as an image"), "{printed}");
        let on = format!("emulated:{board}");
        let run = ["run", image, "--data", data, "--limit", "2", "--on", &on];
        let (printed, _) = succeeds(&run);
        assert!(printed.contains("stack"), "{printed}");
    }
}

/// Over time, what a chip takes is that of steps with their inputs.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn steps_over_time_are_measured_on_a_chip() {
    let folder = TempDir::new().unwrap();
    let [model, data] = ["nir", "npz"]
        .map(|kind| project(&format!("tests/fixtures/nir/snntorch_watch_rleaky.{kind}")));
    let image = folder.path().join("net.tsp");
    let (image, data) = (path(&image), path(&data));
    let convert = ["convert", path(&model), "-o", image, "--calibration", data];
    let flags = ["--semantics", "snntorch", "--target", "cortex-m0"];
    succeeds(&[&convert[..], &flags].concat());
    // Beside all other parts of the engine its flash has no room for these.
    let bench = ["bench", image, "--data", data, "--limit", "30"];
    let (printed, _) = succeeds(&[&bench[..], &["--on", "emulated:microbit"]].concat());
    assert!(printed.starts_with("30 samples on microbit"), "{printed}");
    let (_board, probe) = microbit();
    let flags = self::flags(&probe);
    succeeds(&[&["flash", image], &flags[..]].concat());
    let [_, chip, on_probe, probe] = flags;
    let bench = [
        "bench", image, "--data", data, "--limit", "30", "--on", chip, on_probe, probe,
    ];
    let (printed, _) = succeeds(&bench);
    assert!(printed.starts_with("30 steps over time on "), "{printed}");
    for part in [
        "step with its input ",
        "  setting the input ",
        "  the step ",
    ] {
        let there = printed.lines().any(|line| line.starts_with(part));
        assert!(there, "no {part:?} in {printed}");
    }
    let report = json(&command(&[&bench[..], &["--json"]].concat()));
    assert_eq!(
        (&report["images"], &report["over_time"]),
        (&30.into(), &true.into())
    );
    let mean = |part: &str| report[part]["mean"].as_f64().unwrap();
    let parts = mean("set_up") + mean("step");
    assert!(
        mean("set_up") > 0.0 && (parts - mean("inference")).abs() < 1.0,
        "{report}"
    );
}

/// Names of chips are no part of what the linker reads: no object comes in by a name, and no file is shown.
#[test]
#[ignore = "needs a compiler for the boards: cargo xtask test"]
fn a_chips_name_does_not_reach_the_linker() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "m4.tsp", &[]);
    let secret = folder.path().join("secret.txt");
    std::fs::write(&secret, "SECRET\n").unwrap();
    let description = folder.path().join("chip.yaml");
    for name in [
        "EVIL */ INPUT(nothing.o) /* ".to_owned(),
        format!("EVIL */ INCLUDE {} /* ", secret.display()),
    ] {
        let text = Machine::Mps2An386.chip_description().unwrap();
        let text = text.replace("- name: MPS2_AN386\n", &format!("- name: {name:?}\n"));
        std::fs::write(&description, text).unwrap();
        // Linked for the chip, not moved to it.
        let flash = ["flash", &image, "--dry-run", "--build-firmware"];
        let flash = [&flash[..], &["--chip", &name]].concat();
        let described = ["--chip-description", path(&description)];
        let (printed, said) = succeeds(&[&flash, &described[..]].concat());
        assert!(printed.contains("dry run"), "{printed}");
        assert!(!said.contains("SECRET"), "{said}");
    }
}

/// Every kind of image runs in the application, on the stack that was reserved for it, as the emulator runs it.
fn every_kind_of_image(machine: Machine, target: &str) {
    let folder = TempDir::new().unwrap();
    let target = ["--target", target];
    let exact = |neurons: &'static str, synapse: &'static str| {
        let swap = ["--swap-activation", neurons, "--scale-firing-rates", "100"];
        [
            &["--faithful", "--steps", "20", "--weight-bits", "8"][..],
            &swap,
            &["--synapse", synapse],
        ]
        .concat()
    };
    let calibration = project("data/mnist_calibration2k.npz");
    // Few samples will do: it is not accuracy that matters here.
    let calibrated = ["--calibration", path(&calibration)];
    let calibrated = [&calibrated[..], &["--calibration-samples", "300"]].concat();
    let tuned = ["--tune"];
    let kinds = [
        ("mnist_small", calibrated.to_vec()),
        ("mnist_mlp", calibrated.to_vec()),
        ("mnist_mlp", [&calibrated[..], &tuned].concat()),
        // Uncalibrated ranges take potentials of 32 bits.
        ("mnist_mlp", vec!["--steps", "100"]),
        ("mnist_mlp", exact("relu=spiking-relu", "none")),
        ("mnist_mlp", exact("relu=spiking-relu", "0.005")),
        ("mnist_mlp", exact("relu=lif", "0.005")),
        ("mnist_mlp", exact("relu=spiking-relu", "alpha:0.005")),
        ("mnist_mlp", exact("relu=lif", "alpha:0.005")),
    ];
    let endless = |neurons, synapse| {
        let mut flags = exact(neurons, synapse);
        flags.retain(|flag| *flag != "20");
        let at = flags.iter().position(|flag| *flag == "--steps").unwrap();
        flags.insert(at + 1, "0");
        flags
    };
    let streams = [
        ("mnist_mlp", endless("relu=spiking-relu", "0.005")),
        ("mnist_mlp", endless("relu=lif", "alpha:0.005")),
    ];
    for (model, flags) in kinds.into_iter().chain(streams) {
        let image = convert(&folder, "image.tsp", model, &[&flags[..], &target].concat());
        runs_within_its_stack(machine, &image, &["--data", &test_set()]);
    }
    // Two inputs, deployed and exact.
    let model = project("tests/fixtures/keras/digits_two_inputs.keras");
    let data = |flag: &'static str| {
        let file = |input: &str, file: &str| {
            let file = project(&format!("tests/fixtures/data/{file}.npz"));
            [flag.to_owned(), format!("{input}={}", path(&file))]
        };
        [file("image", "digits"), file("mirror", "digits_mirrored")].concat()
    };
    let scale = ["--byte-scale", "0.0625"];
    let calibration = data("--calibration");
    let calibration: Vec<&str> = calibration.iter().map(String::as_str).collect();
    let samples = data("--data");
    let samples: Vec<&str> = samples.iter().map(String::as_str).collect();
    let fine = exact("relu=spiking-relu", "0.005").into_iter();
    let fine = fine.map(|flag| if flag == "8" { "16" } else { flag });
    for flags in [
        calibration,
        exact("relu=spiking-relu", "0.005"),
        fine.collect(),
    ] {
        let image = folder.path().join("two.tsp");
        let convert = ["convert", path(&model), "-o", path(&image)];
        succeeds(&[&convert, &scale[..], &flags, &target].concat());
        runs_within_its_stack(machine, path(&image), &[&samples, &scale[..]].concat());
    }
}

/// The same with kinds of images that small models have, and networks that were trained with max pooling.
fn every_small_kind_of_image(machine: Machine, target: &str) {
    let folder = TempDir::new().unwrap();
    let target = ["--target", target];
    for (model, data, flags) in SMALL {
        let image = folder.path().join("small.tsp");
        let [model, data] = [model, data].map(|file| project(&format!("tests/fixtures/{file}")));
        let calibration = ["--calibration", path(&data)];
        let convert = ["convert", path(&model), "-o", path(&image)];
        succeeds(&[&convert, &calibration[..], flags, &target].concat());
        runs_within_its_stack(machine, path(&image), &["--data", path(&data)]);
    }
    let digits = project("tests/fixtures/data/digits.npz");
    let set = tinyspike::data::load(&digits).unwrap();
    let set = set.with_byte_scale(0.0625);
    let settings = |default| QuantizeOptions {
        target: family(machine),
        ..default
    };
    let (plain, exact) = (QuantizeOptions::default(), QuantizeOptions::exact());
    let rectified = NeuronType::RectifiedLinear { amplitude: 1.0 };
    let spiking = NeuronType::SpikingRectifiedLinear { amplitude: 0.01 };
    for (neurons, gain, mode) in [
        (rectified, 1.0, Mode::Plain(settings(plain))),
        (spiking, 100.0, Mode::Exact(settings(exact))),
    ] {
        let options = DeployOptions::new(&mode).with_data(&set);
        let deployed = pooled(neurons, gain).deploy(&options).unwrap();
        let parts = deployed.image.image();
        let ensembles = &parts.description().ensembles;
        let pools = |neuron| matches!(neuron, image::Neuron::Pool(_));
        assert!(ensembles.iter().any(|ensemble| pools(ensemble.neuron)));
        let image = folder.path().join("pooled.tsp");
        deployed.image.save(&image).unwrap();
        let data = ["--data", path(&digits), "--byte-scale", "0.0625"];
        runs_within_its_stack(machine, path(&image), &data);
    }
}

/// Kinds of images that small models have: model, samples, and how it is converted.
const SMALL: [(&str, &str, &[&str]); 6] = [
    // A scale and a zero point for each channel of the input.
    (
        "silence/pressure.keras",
        "silence/pressure.npz",
        &["--inference-only"],
    ),
    (
        "silence/pressure.keras",
        "silence/pressure.npz",
        &[
            "--inference-only",
            "--exact",
            "--swap-activation",
            "relu=spiking-relu",
            "--scale-firing-rates",
            "3000",
            "--steps",
            "40",
        ],
    ),
    // Straight pieces in the place of a curve.
    (
        "keras/sine.keras",
        "data/sine.npz",
        &["--swap-activation", "relu=tanh"],
    ),
    (
        "keras/sine.keras",
        "data/sine.npz",
        &["--swap-activation", "relu=sigmoid"],
    ),
    // Networks over time, with weights of 16 bits and of 8.
    (
        "nir/norse_vowels_lifcell.nir",
        "nir/vowels_test.npz",
        &["--semantics", "norse-lif,dt=0.01"],
    ),
    (
        "nir/snntorch_watch_rleaky.nir",
        "nir/snntorch_watch_rleaky.npz",
        &["--semantics", "snntorch", "--weight-bits", "8"],
    ),
];

/// Digits of 8 x 8 through a convolution whose largest values in windows decide.
fn pooled(neurons: NeuronType, gain: f32) -> Network {
    const SIDE: usize = 8;
    const CHANNELS: usize = 3;
    let shape = [SIDE, SIDE, CHANNELS];
    let number = |at: usize| ((at * 37 % 101) as f32 - 45.0) / 100.0;
    let tensor = |shape: &[usize]| {
        let values = (0..shape.iter().product()).map(number).collect();
        Tensor::new(shape.to_vec(), values).unwrap()
    };
    let node = |label: &str, size_in, size_out, kind| Node {
        label: label.into(),
        size_in,
        size_out,
        kind,
        subnetwork: None,
    };
    let connection = |pre, post, transform| Connection {
        pre,
        pre_slice: None,
        post,
        post_slice: None,
        transform,
        synapse: None,
        trainable: None,
        subnetwork: None,
    };
    let pool = MaxPool::new(shape, [2, 2], [2, 2], Padding::Valid, true).unwrap();
    let (all, left) = (pool.size_in(), pool.size_out());
    let [input, pooling, output] = [NodeId(0), NodeId(1), NodeId(2)];
    let hidden = EnsembleId(0);
    Network {
        nodes: vec![
            node(
                "image",
                0,
                SIDE * SIDE,
                NodeKind::Input {
                    shape: vec![SIDE, SIDE, 1],
                },
            ),
            node("pool", all, left, NodeKind::Max(pool)),
            node("digit", 10, 10, NodeKind::Passthrough),
        ],
        ensembles: vec![Ensemble {
            label: "hidden".into(),
            n_neurons: all,
            neuron_type: neurons.into(),
            gain: PerNeuron::Same(gain),
            bias: None,
            bias_trainable: None,
            shape: shape.to_vec(),
            channels_last: true,
            initial_voltage: None,
            subnetwork: None,
        }],
        connections: vec![
            connection(
                Pre::Node(input),
                Post::Neurons(hidden),
                Transform::Convolution(network::Convolution {
                    input_shape: vec![SIDE, SIDE, 1],
                    output_shape: shape.to_vec(),
                    kernel: tensor(&[3, 3, 1, CHANNELS]),
                    strides: vec![1; 2],
                    dilation: vec![1; 2],
                    same_padding: true,
                    groups: 1,
                    channels_last: true,
                }),
            ),
            connection(
                Pre::Neurons(hidden),
                Post::Node(pooling),
                Transform::Identity(all),
            ),
            connection(
                Pre::Node(pooling),
                Post::Node(output),
                Transform::Dense(tensor(&[10, left])),
            ),
        ],
        inputs: vec![("image".into(), input)],
        probes: vec![Probe {
            target: Pre::Node(output),
            synapse: None,
            label: "digit".into(),
        }],
        ..Network::default()
    }
}

/// A network of two outputs behind a layer of neurons, which all see much of a picture.
fn two_outputs() -> Graph {
    let dense = |outputs: usize, inputs: usize| {
        let weights = (0..outputs * inputs).map(|at| ((at * 37 % 101) as f32 - 45.0) / 100.0);
        LinearMap::Dense(Dense {
            weights: Tensor::new(vec![outputs, inputs], weights.collect()).unwrap(),
            first: 0,
        })
    };
    let link = |pre, post, map| Link {
        pre,
        post,
        source: SourceMap::Direct,
        map,
        synapse: None,
    };
    let output = |label: &str, size: usize| GraphOutput {
        label: label.into(),
        bias: vec![0.5; size],
        readout: Readout::Sum,
        left_out: None,
    };
    let hidden = Source::Population(0);
    Graph {
        inputs: vec![Input {
            label: "in".into(),
            shape: vec![28, 28, 1],
        }],
        populations: vec![Population {
            label: "hidden".into(),
            neurons: 8,
            shape: [1, 1, 8],
            channels: 8,
            bias: vec![0.0; 8],
            delayed_bias: Vec::new(),
            neuron: Neuron::IntegrateAndFire,
            ceiling: None,
            ensemble: None,
        }],
        outputs: vec![output("classes", 10), output("more", 3)],
        links: vec![
            link(Source::Input(0), Target::Population(0), dense(8, 784)),
            link(hidden, Target::Output(0), dense(10, 8)),
            link(hidden, Target::Output(1), dense(3, 8)),
        ],
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn outputs_of_a_board_are_written_as_the_emulators() {
    let folder = TempDir::new().unwrap();
    let graph = two_outputs();
    let data = tinyspike::data::load(project("data/mnist_test10k.npz")).unwrap();
    let data = samples(&data, 20).split(&graph.input_sizes());
    let calibration = calibrate(&graph, &data, &|_| {}).unwrap();
    let network = quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    let image = folder.path().join("two.tsp");
    assemble(&network).unwrap().save(&image).unwrap();
    let set = test_set();
    let [device, host] = ["device.npz", "host.npz"].map(|name| folder.path().join(name));
    let of = |command, file| {
        [
            command,
            path(&image),
            "--data",
            &set,
            "--limit",
            "5",
            "-o",
            path(file),
        ]
    };
    succeeds(&of("emulate", &host));
    let on = ["--on", "emulated:mps2-an386"];
    succeeds(&[&of("run", &device)[..], &on].concat());
    for (name, size) in [("output/classes", 10), ("output/more", 3)] {
        let [device, host] = [&device, &host].map(|file| {
            let mut arrays = NpzArchive::open(file).unwrap();
            let array = arrays.by_name(name).unwrap();
            let array = array.unwrap_or_else(|| panic!("no {name} in {}", file.display()));
            assert_eq!(array.shape(), [5, size]);
            array.into_vec::<f32>().unwrap()
        });
        assert_eq!(device, host, "{name}");
        // Samples differ, or nothing would be compared.
        let first = &host[..size as usize];
        assert!(
            host.chunks(size as usize).any(|other| other != first),
            "{name}: {host:?}"
        );
    }
}

/// Flashes an image and runs samples, to the bit, with an eighth of the stack to spare.
fn runs_within_its_stack(machine: Machine, image: &str, data: &[&str]) {
    let on = format!("emulated:{}", machine.name());
    let (printed, _) = succeeds(&["flash", image, "--on", &on]);
    assert!(printed.contains("\nan inference of "), "{image}: {printed}");
    let run = ["run", image, "--limit", "3", "--on", &on, "--json"];
    let report = json(&command(&[&run, data].concat()));
    assert!(report["divergence"].is_null(), "{image}: {report}");
    let [used, size] = ["high_water", "size"].map(|part| report["stack"][part].as_u64().unwrap());
    println!("{machine}: {used} of {size} bytes of stack");
    // An interrupt comes on top, at any time.
    assert!(
        used * 8 <= size * 7,
        "{image}: {used} of {size} bytes of stack"
    );
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_kind_of_image_runs_on_a_microbit() {
    every_kind_of_image(Machine::Microbit, "cortex-m0");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_kind_of_image_runs_on_a_cortex_m4() {
    every_kind_of_image(Machine::Mps2An386, "cortex-m4");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_kind_of_image_runs_on_a_cortex_m7() {
    every_kind_of_image(Machine::Mps2An500, "cortex-m4");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_kind_of_image_runs_on_a_cortex_m33() {
    every_kind_of_image(Machine::Mps2An505, "cortex-m4");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_small_kind_of_image_runs_on_a_microbit() {
    every_small_kind_of_image(Machine::Microbit, "cortex-m0");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_small_kind_of_image_runs_on_a_cortex_m4() {
    every_small_kind_of_image(Machine::Mps2An386, "cortex-m4");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_small_kind_of_image_runs_on_a_cortex_m7() {
    every_small_kind_of_image(Machine::Mps2An500, "cortex-m4");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn every_small_kind_of_image_runs_on_a_cortex_m33() {
    every_small_kind_of_image(Machine::Mps2An505, "cortex-m4");
}

/// Firmware for chips with a Cortex-M33 is built, and has room for an image beside it.
#[test]
#[ignore = "needs a compiler for the boards: cargo xtask test"]
fn chips_with_a_cortex_m33_have_firmware() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "m33.tsp", &["--target", "cortex-m4"]);
    for chip in ["STM32U585AI", "STM32H563ZI", "nRF5340_xxAA"] {
        let (printed, said) = succeeds(&["flash", &image, "--dry-run", "--chip", chip]);
        assert!(printed.contains("\nflash for firmware: "), "{printed}");
        assert!(printed.contains("dry run"), "{printed}");
        assert!(!said.contains("other kernels"), "{said}");
    }
}

/// A client that says nothing does not keep a board from others.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn an_idle_client_makes_room() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &["--target", "cortex-m0"]);
    let (board, probe) = microbit();
    let idle = TcpStream::connect(("127.0.0.1", board.port())).unwrap();
    // It has been accepted when this is sent, and is no packet.
    std::thread::sleep(Duration::from_millis(100));
    succeeds(&[&["flash", &image], &flags(&probe)[..]].concat());
    drop(idle);
}

/// A probe that lies: bytes of its answers are changed, left out, said twice, or do not end, from some place on.
struct Liar {
    port: u16,
}

impl Liar {
    fn start(board: u16, seed: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(host), Ok(probe)) = (client, TcpStream::connect(("127.0.0.1", board)))
                else {
                    return;
                };
                let (to_probe, from_host) = (probe.try_clone().unwrap(), host.try_clone().unwrap());
                std::thread::spawn(move || {
                    let (mut from, mut to) = (&from_host, &to_probe);
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to_probe.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || Self::answer(probe, host, seed));
            }
        });
        Self { port }
    }

    fn answer(mut probe: TcpStream, mut host: TcpStream, seed: u64) {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |n: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) % n
        };
        let truth = 1 << below(15);
        let mut true_bytes = below(truth) as usize;
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = probe.read(&mut bytes) {
            let mut answer = bytes[..count].to_vec();
            let lies = true_bytes < count;
            true_bytes = true_bytes.saturating_sub(count);
            if lies {
                let at = below(count as u64) as usize;
                match seed % 6 {
                    0 => answer[at] ^= 1 << below(8),
                    1 => answer.truncate(at),
                    2 => answer.extend_from_within(at..),
                    3 => answer.fill_with(|| below(256) as u8),
                    4 => answer.fill(0xff),
                    _ => {
                        let endless = [bytes[at]; 4096];
                        while host.write_all(&endless).is_ok() {}
                    }
                }
                true_bytes = below(512) as usize;
            }
            if host.write_all(&answer).is_err() {
                break;
            }
        }
        let _ = host.shutdown(Shutdown::Both);
        let _ = probe.shutdown(Shutdown::Both);
    }
}

/// A command meets a lie: it ends in time, with one paragraph if with an error, which this tells.
fn meets_a_liar(seed: u64, image: &str, data: &str) -> bool {
    let (board, probe) = microbit();
    // Each lie meets one command after another.
    let which = (seed + seed / 6) % 3;
    if which > 0 {
        succeeds(&[&["flash", image], &flags(&probe)[..]].concat());
    }
    let liar = Liar::start(board.port(), seed);
    let probe = format!("20b7:9db1:tcp:127.0.0.1:{}", liar.port);
    let tool = match which {
        0 => vec!["flash", image],
        1 => vec!["run", image, "--data", data, "--limit", "5"],
        _ => vec!["monitor", "--seconds", "2"],
    };
    let start = Instant::now();
    let output = command(&[&tool[..], &flags(&probe)].concat());
    let said = text(&output.stderr);
    assert!(start.elapsed() < Duration::from_secs(180), "{seed}: {said}");
    let code = output.status.code();
    assert!(
        matches!(code, Some(0 | 1)),
        "{seed}: {:?}: {said}",
        output.status
    );
    assert!(
        !said.contains("panicked") && said.len() < 8192,
        "{seed}: {said}"
    );
    let errors = said.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(
        errors.count(),
        usize::from(code == Some(1)),
        "{seed}: {said}"
    );
    let moves = |c: char| c.is_control() && c != '\n';
    assert!(!said.contains(moves), "{seed}: {said:?}");
    code == Some(1)
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_probe_that_lies_ends_a_command_with_one_paragraph() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &["--target", "cortex-m0"]);
    let data = test_set();
    let count = std::env::var("TINYSPIKE_LIES").map_or(12, |n| n.parse().unwrap());
    // Most of the time each waits for an answer that does not come.
    let (next, refused) = (AtomicU64::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    if meets_a_liar(seed, &image, &data) {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (ended, refused) = (count, u64::from(refused.into_inner()));
    println!("{ended} commands ended, {refused} of them with an error");
    assert!(2 * refused > ended, "{refused} of {ended}");
}

/// Commands that talk with the firmware end as `flash` does, whose test needs no firmware.
#[test]
#[ignore = "needs a compiler for the boards: cargo xtask test"]
fn a_probe_that_does_not_answer_ends_a_command() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &["--target", "cortex-m0"]);
    let data = test_set();
    let (chip, samples) = ("nRF51822_xxAA", ["--data", &data, "--limit", "1"]);
    // The firmware is built once.
    succeeds(&["flash", &image, "--chip", chip, "--dry-run"]);
    dead_probes::end(&[&["run", &image, "--chip", chip], &samples[..]].concat());
    dead_probes::end(&[&["bench", &image, "--on", chip], &samples[..]].concat());
    dead_probes::end(&["monitor", "--chip", chip]);
    dead_probes::end(&[&["monitor", &image, "--chip", chip], &samples[..]].concat());
}

/// A probe that stops in the middle of its work, and keeps the connection.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_frozen_probe_ends_a_command() {
    let folder = TempDir::new().unwrap();
    let image = small(&folder, "small.tsp", &["--target", "cortex-m0"]);
    let data = test_set();
    let (board, probe) = microbit();
    let flags = flags(&probe);
    succeeds(&[&["flash", &image], &flags[..]].concat());
    let [_, chip, on_probe, probe] = flags;
    // More than can be done before the probe stops.
    let samples = ["--data", &data, "--limit", "10000"];
    for command in [
        [&["monitor", "--restart", "--seconds", "300"], &flags[..]].concat(),
        [&["monitor", &image], &samples[..], &flags].concat(),
        [&["run", &image], &samples[..], &flags].concat(),
        [
            &["bench", &image],
            &samples[..],
            &["--on", chip, on_probe, probe],
        ]
        .concat(),
    ] {
        board.inject(Fault::ProbeFreezes { after: 5_000 });
        let start = Instant::now();
        let said = fails(&command);
        assert!(start.elapsed() < Duration::from_secs(120), "{said}");
        assert!(
            said.contains("error: the probe has not answered for "),
            "{command:?}: {said}"
        );
    }
    // The board serves the next one.
    runs(&image, &flags, "5");
}
