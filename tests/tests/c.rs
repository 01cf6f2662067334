//! The engine from C: exported projects check themselves on the host and on emulated boards, tests in C pass under the host's
//! sanitizers, and what C costs beside Rust is bounded.

#![expect(clippy::print_stdout, reason = "figures for docs/c.md")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tinyspike::bench;
use tinyspike::convert::{self, ConvertOptions, ScaleFiringRates};
use tinyspike::data::{self, DataSet};
use tinyspike::export::{self, ExportError, ExportOptions, Kind, Libraries, Sample};
use tinyspike::import;
use tinyspike::model::Activation;
use tinyspike::network::{NeuronType, Synapse};
use tinyspike::nir::{self, Choices};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::{DeployOptions, ImageBuf, Mode};
use tinyspike_board::elf::Size;
use tinyspike_board::firmware::{Board, Program, build_of, family};
use tinyspike_board::library::Core;
use tinyspike_board::qemu;
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_firmware::parts::Parts;
use tinyspike_tests::boards::block;
use tinyspike_tests::mnist::{self, project};

/// A network with data of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// A convolutional network for pictures, with an end.
    Static,
    /// A network with recurrent neurons, over time.
    Recurrent,
    /// A network without recurrence, over time.
    Stream,
    /// A convolutional network that takes NengoDL's steps, with synapses.
    Exact,
}

const NETWORKS: [Network; 3] = [Network::Static, Network::Recurrent, Network::Stream];

impl Network {
    fn image(self, target: &'static Family) -> ImageBuf {
        let (name, semantics) = match self {
            Self::Static => {
                let options = QuantizeOptions {
                    steps: 2,
                    target,
                    ..QuantizeOptions::default()
                };
                return mnist::small(Some(100), &options);
            }
            Self::Exact => return exact(target),
            Self::Recurrent => ("snntorch_watch_rleaky", "snntorch"),
            Self::Stream => ("norse_watch_ff", "norse,dt=0.02"),
        };
        let graph = nir::load(&fixture(&format!("{name}.nir"))).unwrap();
        let choices = Choices::parse(&graph, &[semantics.to_owned()]).unwrap();
        let network = graph.convert(&choices).unwrap().network;
        let mode = Mode::Exact(QuantizeOptions {
            weight_bits: 8,
            target,
            ..QuantizeOptions::exact()
        });
        let options = DeployOptions::new(&mode);
        let data = self.data();
        let options = options.with_data(&data);
        network.deploy(&options).unwrap().image
    }

    fn data(self) -> DataSet {
        let recorded = |name: &str| data::load(fixture(name)).unwrap().with_byte_scale(1.0);
        match self {
            Self::Static | Self::Exact => data::load(project("data/mnist_test10k.npz"))
                .unwrap()
                .take(1),
            Self::Recurrent => recorded("snntorch_watch_rleaky.npz"),
            Self::Stream => recorded("norse_watch_ff.npz"),
        }
    }

    fn sample(self, image: &ImageBuf) -> Sample {
        Sample::first(&image.image(), &self.data()).unwrap()
    }
}

/// An exact image of `mnist_small`, with spiking rectified neurons and synapses.
fn exact(target: &'static Family) -> ImageBuf {
    let model = import::load(&project("models/mnist_small.keras")).unwrap();
    let neurons = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };
    let options = ConvertOptions {
        inference_only: true,
        swap_activations: vec![(Activation::Relu.into(), neurons.into())],
        scale_firing_rates: ScaleFiringRates::All(100.0),
        synapse: Some(Synapse::Lowpass { tau: 0.005 }),
        ..ConvertOptions::default()
    };
    let network = convert::convert(&model, &options).unwrap().network;
    let mode = Mode::Exact(QuantizeOptions {
        steps: 10,
        weight_bits: 8,
        target,
        ..QuantizeOptions::exact()
    });
    network.deploy(&DeployOptions::new(&mode)).unwrap().image
}

fn fixture(name: &str) -> PathBuf {
    project("tests/fixtures/nir").join(name)
}

fn options(cores: &[&str], libraries: Libraries) -> ExportOptions {
    ExportOptions {
        name: "model".into(),
        cores: cores
            .iter()
            .map(|name| Core::named(name).unwrap())
            .collect(),
        libraries,
    }
}

/// Exports a network into a folder.
fn exported(folder: &Path, image: &ImageBuf, sample: &Sample, options: &ExportOptions) {
    let project = export::export(image, sample, Kind::C, options).unwrap_or_else(|e| panic!("{e}"));
    project.write(folder).unwrap();
}

fn ran(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Runs a command that must succeed.
fn passes(command: &mut Command) -> String {
    let output = ran(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{stderr}",
        output.status
    );
    // Semihosting prints on the one, all else on the other.
    stdout + &stderr
}

/// Flags under which all C code is without warnings.
const STRICT: [&str; 7] = [
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Werror",
    "-g",
];

/// Compiles a program of a project with the host's compiler, and returns its path.
fn compiled(folder: &Path, main: &Path, flags: &[&str]) -> PathBuf {
    let program = folder.join("program");
    passes(
        Command::new("cc")
            .args(STRICT)
            .args(flags)
            .arg(format!("-I{}", folder.display()))
            .arg(format!("-I{}", folder.join("tinyspike/include").display()))
            .arg(main)
            .arg(folder.join("model.c"))
            .arg(folder.join("tinyspike/lib/host/libtinyspike.a"))
            .arg("-o")
            .arg(&program),
    );
    program
}

/// Every kind of network passes the tests in C under the sanitizers of addresses and of undefined behaviour, and its
/// project's example says so; if the sample is changed, it says that, too.
#[test]
fn projects_check_themselves_and_wrong_arguments_have_errors() {
    for network in NETWORKS {
        let image = network.image(&families::DSP);
        let sample = network.sample(&image);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        exported(
            folder,
            &image,
            &sample,
            &options(&["host"], Libraries::Whole),
        );
        let main = folder.join("main.c");
        passes(&mut Command::new(compiled(folder, &main, &["-O1"])));

        let tests = project("c/tests/unit.c");
        let sanitizers = [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-O1",
        ];
        let said = passes(&mut Command::new(compiled(folder, &tests, &sanitizers)));
        assert_eq!(said, "0 checks failed\n", "{network:?}");

        let path = folder.join("sample.h");
        let text = fs::read_to_string(&path).unwrap();
        for (what, code) in [
            ("SAMPLE_DIGEST 0x", 2),
            ("sample_outputs[", 3),
            ("SAMPLE_CLASS ", 4),
        ] {
            let changed = match what {
                "sample_outputs[" => text.replacen("] = {\n    ", "] = {\n    1 + ", 1),
                "SAMPLE_CLASS " => text.replacen(what, "SAMPLE_CLASS 1U + ", 1),
                _ => text.replacen(what, "SAMPLE_DIGEST ~0x", 1),
            };
            assert_ne!(changed, text);
            fs::write(&path, changed).unwrap();
            let status = ran(&mut Command::new(compiled(folder, &main, &["-O1"]))).status;
            assert_eq!(status.code(), Some(code), "{network:?}: {what}");
        }
    }
}

/// A library that is built for an image holds what the image needs, and refuses a larger state's absence; several models stand in one
/// project by their names.
#[test]
fn a_project_of_another_name_has_its_own_library() {
    let image = Network::Static.image(&families::DSP);
    let sample = Sample::made_up(&image.image());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let named = ExportOptions {
        name: "digits".into(),
        ..options(&["host"], Libraries::Built)
    };
    exported(folder, &image, &sample, &named);
    for file in ["digits.h", "digits.c", "main.c", "sample.h"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(
            !text.contains("model_") && !text.contains("MODEL_I"),
            "{file}"
        );
    }
    let header = fs::read_to_string(folder.join("digits.h")).unwrap();
    for line in [
        "#define TINYSPIKE_ENSEMBLES 3\n",
        "#define DIGITS_INPUT_0_SIZE 784U\n",
        "#define DIGITS_INPUT_0_ZERO_POINT 0\n",
        "#define DIGITS_INPUT_0_MOST 1e0F\n",
        "#define DIGITS_STEPS 2U\n",
    ] {
        assert!(header.contains(line), "{line}{header}");
    }
    fs::rename(folder.join("digits.c"), folder.join("model.c")).unwrap();
    passes(&mut Command::new(compiled(
        folder,
        &folder.join("main.c"),
        &["-O1"],
    )));

    // What is the user's stays at the next export.
    fs::write(folder.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    fs::write(folder.join("sample.h"), "").unwrap();
    let project = export::export(&image, &sample, Kind::C, &named).unwrap();
    assert_eq!(project.kept(folder), [folder.join("main.c")]);
    project.write(folder).unwrap();
    assert!(
        fs::read_to_string(folder.join("main.c"))
            .unwrap()
            .contains("return 0")
    );
    assert!(
        fs::read_to_string(folder.join("sample.h"))
            .unwrap()
            .contains("SAMPLE_DIGEST")
    );

    for name in ["", "9lives", "a-b", "a b", "é"] {
        let wrong = ExportOptions {
            name: name.into(),
            ..named.clone()
        };
        let error = export::export(&image, &sample, Kind::C, &wrong).unwrap_err();
        assert!(matches!(error, ExportError::Name { .. }), "{error}");
    }
    let missing = options(&["host"], Libraries::Folder(folder.join("nowhere")));
    let error = export::export(&image, &sample, Kind::C, &missing)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("nowhere") && error.contains("host"),
        "{error}"
    );
}

/// The emulated boards of exported projects, their cores and toolchain files.
const BOARDS: [(&str, &str, &str); 4] = [
    ("microbit", "cortex-m0", "arm-none-eabi"),
    ("mps2-an386", "cortex-m4", "arm-none-eabi"),
    ("mps2-an505", "cortex-m33", "arm-none-eabi"),
    ("riscv-virt", "rv32imac", "riscv64-unknown-elf"),
];

/// Builds a project with CMake for a board, and returns the program.
fn built(folder: &Path, board: &str, toolchain: &str, flags: &str) -> PathBuf {
    let build = folder.join(format!("build-{board}"));
    passes(
        Command::new("cmake")
            .arg("-S")
            .arg(folder)
            .arg("-B")
            .arg(&build)
            .arg(format!("-DTINYSPIKE_BOARD={board}"))
            .arg(format!("-DCMAKE_C_FLAGS=-Werror {flags}"))
            .args(match toolchain {
                "" => None,
                name => Some(format!(
                    "-DCMAKE_TOOLCHAIN_FILE={}",
                    folder.join(format!("cmake/{name}.cmake")).display()
                )),
            }),
    );
    passes(Command::new("cmake").arg("--build").arg(&build));
    build.join("model")
}

/// Runs what CMake has built as `ctest` does.
fn tested(folder: &Path, board: &str) -> Output {
    let build = folder.join(format!("build-{board}"));
    let mut command = Command::new("ctest");
    ran(command
        .arg("--test-dir")
        .arg(build)
        .arg("--output-on-failure"))
}

#[test]
#[ignore = "needs CMake, GCC for microcontrollers and QEMU: cargo xtask test"]
fn projects_run_on_emulated_boards() {
    let (mut cores, mut families) = (vec!["host"], Vec::new());
    cores.extend(BOARDS.map(|(_, core, _)| core));
    for core in &cores[1..] {
        families.push(Core::named(core).unwrap().family());
    }
    for network in NETWORKS {
        for ((board, core, toolchain), family) in BOARDS.into_iter().zip(&families) {
            let image = network.image(family);
            let sample = network.sample(&image);
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            exported(folder, &image, &sample, &options(&[core], Libraries::Whole));
            built(folder, board, toolchain, "");
            let output = tested(folder, board);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{network:?} on {board}: {said}");
            assert!(said.contains("100% tests passed"), "{said}");

            // The board's result is main's: it fails if the sample is another.
            let path = folder.join("sample.h");
            let text = fs::read_to_string(&path).unwrap();
            let changed = text.replacen("SAMPLE_DIGEST 0x", "SAMPLE_DIGEST ~0x", 1);
            assert_ne!(changed, text);
            fs::write(&path, changed).unwrap();
            built(folder, board, toolchain, "");
            assert!(!tested(folder, board).status.success(), "{board}");
        }
    }
}

/// Replaces a project's example and builds it for an emulated board with a Cortex-M4.
fn rebuilt(folder: &Path, main: &str) -> PathBuf {
    fs::copy(project(main), folder.join("main.c")).unwrap();
    built(folder, "mps2-an386", "arm-none-eabi", "")
}

/// The sum of all that a program has printed behind a name.
fn printed(text: &str, name: &str) -> u64 {
    let numbers = text.lines().filter_map(|line| line.strip_prefix(name));
    numbers
        .map(|number| number.trim().parse::<u64>().unwrap())
        .sum()
}

/// The most that a program has printed behind a name.
fn most(text: &str, name: &str) -> u64 {
    let numbers = text.lines().filter_map(|line| line.strip_prefix(name));
    numbers
        .map(|number| number.trim().parse().unwrap())
        .max()
        .unwrap()
}

/// Bytes of code that the checks of C's arguments, and calls that nothing is inlined into, may take beside Rust's firmware.
const CALLS: u64 = 1600;
/// Instructions that two calls for each frame may take beside an inference's own.
const FRAME: u64 = 400;

/// A library that is built for an image takes little more flash than Rust's firmware with the same parts, whatever these are, and an
/// inference at most 1 % more instructions. Two calls for each sample of a stream take those of the calls, too. Stacks are what the
/// header says.
#[test]
#[ignore = "needs CMake, GCC for microcontrollers and QEMU: cargo xtask test"]
fn c_costs_what_rust_costs() {
    let board = Board::Mps2An386;
    for network in NETWORKS.into_iter().chain([Network::Exact]) {
        let image = network.image(family(board));
        let sample = network.sample(&image);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        exported(
            folder,
            &image,
            &sample,
            &options(&["cortex-m4"], Libraries::Built),
        );
        let size = Size::read(&rebuilt(folder, "c/tests/minimal.c")).unwrap();
        let data = image.bytes().len() as u64 + sample.frames.concat().len() as u64;
        let code = size.flash - data;
        let parts = Parts::needed(&image.image(), family(board));
        let firmware = build_of(board, Program::Minimal, parts).unwrap();
        let rust = Size::read(&firmware).unwrap().flash;
        println!("{network:?}: {code} bytes of code in C, {rust} in Rust");

        let program = rebuilt(folder, "c/tests/measure.c");
        let output = passes(
            Command::new("qemu-system-arm")
                .args([
                    "-machine",
                    "mps2-an386",
                    "-display",
                    "none",
                    "-monitor",
                    "none",
                ])
                .args(["-semihosting-config", "enable=on,target=native"])
                .args(["-icount", "shift=7,sleep=off", "-kernel"])
                .arg(program),
        );
        let instructions = |name: &str| {
            let count = output.lines().filter(|line| line.starts_with(name)).count() as u64;
            let ticks = printed(&output, name) - count * printed(&output, "empty ticks ");
            ticks * 1_000_000_000 / 25_000_000 / qemu::INSTRUCTION_NS
        };
        let c = instructions("input ticks ") + instructions("infer ticks ");
        // A stream takes many samples in one call.
        let at_once = match image.image().description().steps {
            0 => instructions("samples ticks "),
            _ => c,
        };
        let bench = bench::BenchOptions {
            firmware: Some(build_of(board, Program::Bench, parts).unwrap()),
            ..bench::BenchOptions::default()
        };
        let measured = bench::measure_block(&image, &block(&sample.frames), &bench).unwrap();
        let rust_instructions: u64 = measured
            .inferences
            .iter()
            .map(|i| i.input + i.all_steps())
            .sum();
        println!(
            "{network:?}: {c} instructions in C, {at_once} in one call, {rust_instructions} in Rust; open {} ; class {} ; quantize {}\n{output}",
            instructions("open ticks "),
            instructions("class ticks "),
            instructions("quantize ticks "),
        );
        assert!(
            code <= rust + CALLS,
            "{network:?}: {code} bytes of code, {rust} in Rust"
        );
        assert!(
            100 * at_once <= 101 * rust_instructions,
            "{network:?}: {at_once} instructions, {rust_instructions} in Rust"
        );
        let calls = FRAME * sample.frames.len() as u64;
        assert!(
            100 * c <= 101 * rust_instructions + 100 * calls,
            "{network:?}: {c} instructions, {rust_instructions} in Rust"
        );
        for (what, names) in [
            ("open", &["open"][..]),
            (
                "step",
                &["reset", "input", "infer", "class", "output", "quantize"],
            ),
        ] {
            let allowed = printed(&output, &format!("{what} allowed "));
            for name in names {
                let stack = most(&output, &format!("{name} stack "));
                assert!(
                    8 * stack <= 7 * allowed,
                    "{network:?}: {name} {stack} of {allowed}"
                );
            }
        }
    }
}
