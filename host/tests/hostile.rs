//! Files that are made to crash the tool or to exhaust the machine: each is refused by one paragraph and
//! exit code 1, in a process that may use little memory and processor time.

#![cfg(unix)]

use std::fmt::Write as _;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use emulated_board::Machine;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tinyspike::import;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Addresses that a process may use, in KiB, and seconds of processor time. The largest limit that a
/// small file sets for itself is 64 MiB.
const MEMORY: u32 = 1 << 20;
const SECONDS: u32 = 10;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a program within the limits. One that exceeds them is killed, and has no exit code.
fn limited(program: &Path, args: &[&str]) -> Output {
    within(MEMORY, program, args)
}

/// The same within so many KiB.
fn within(memory: u32, program: &Path, args: &[&str]) -> Output {
    let script = format!("ulimit -v {memory} && ulimit -t {SECONDS} && exec \"$0\" \"$@\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .args(args)
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .expect("a shell")
}

fn tinyspike(args: &[&str]) -> Output {
    limited(Path::new(env!("CARGO_BIN_EXE_tinyspike")), args)
}

/// Exit code 1, and a short reason that contains the given words.
#[track_caller]
fn refused(output: &Output, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}: {stderr}", output.status);
    assert!(stderr.contains(words), "{stderr}");
    assert!(
        stderr.len() < 2000 && !stderr.contains("panicked"),
        "{stderr}"
    );
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("a temporary file");
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Output of `inspect` for a model.
    fn inspect(&self, name: &str, content: &[u8]) -> Output {
        tinyspike(&["inspect", &self.file(name, content), "--inference-only"])
    }

    /// Output of `convert` for a bundled model that is calibrated on a data set.
    fn calibrate(&self, name: &str, content: &[u8]) -> Output {
        let (data, image) = (self.file(name, content), self.file("image.tsp", b""));
        let model = project("models/mnist_mlp.keras");
        let model = model.to_str().expect("a path in UTF-8");
        let flags = ["-o", &image, "--inference-only", "--calibration", &data];
        tinyspike(&[&["convert", model], &flags[..]].concat())
    }
}

fn zip(method: CompressionMethod, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The configuration and the weights of a bundled model.
fn bundled(name: &str) -> (String, Vec<u8>) {
    let file = std::fs::File::open(project(name)).unwrap();
    let mut zip = ZipArchive::new(file).unwrap();
    let mut config = String::new();
    let mut weights = Vec::new();
    let mut part = zip.by_name("config.json").unwrap();
    part.read_to_string(&mut config).unwrap();
    drop(part);
    let mut part = zip.by_name("model.weights.h5").unwrap();
    part.read_to_end(&mut weights).unwrap();
    (config, weights)
}

fn archive(config: &str, weights: &[u8]) -> Vec<u8> {
    zip(
        CompressionMethod::Stored,
        &[
            ("config.json", config.as_bytes()),
            ("model.weights.h5", weights),
        ],
    )
}

/// The content with one run of bytes replaced by another of the same length.
fn patched(content: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = content.windows(from.len()).position(|w| w == from);
    let at = at.expect("what is to be replaced");
    let mut content = content.to_vec();
    content[at..at + to.len()].copy_from_slice(to);
    content
}

fn dims(shape: [u64; 4]) -> Vec<u8> {
    shape.iter().flat_map(|d| d.to_le_bytes()).collect()
}

#[test]
fn bombs_do_not_unfold() {
    let mut packed = Vec::new();
    let hostile = std::fs::File::open(project("tests/fixtures/keras/hostile.tar.gz")).unwrap();
    let mut files = tar::Archive::new(GzDecoder::new(hostile));
    let folder = Folder::new();
    for entry in files.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name.contains("bomb") {
            packed.clear();
            entry.read_to_end(&mut packed).unwrap();
            // Each holds 400 MiB of zeros.
            let words = if name.ends_with(".keras") {
                "419430408"
            } else {
                "SavedModel"
            };
            refused(&folder.inspect("model.keras", &packed), words);
        }
    }
    assert!(!packed.is_empty());
}

#[test]
fn nesting_has_an_end() {
    let folder = Folder::new();
    let weights = bundled("models/mnist_small.keras").1;
    for text in [
        "[",
        "{\"config\":",
        "{\"class_name\": \"Functional\", \"config\": [",
    ] {
        let deep = archive(&text.repeat(100_000), &weights);
        refused(&folder.inspect("deep.keras", &deep), "recursion limit");
    }
}

/// A model of so many ReLU layers in a row.
fn chain(layers: usize) -> Vec<u8> {
    let mut config = String::from(
        r#"{"class_name": "Sequential", "config": {"name": "long", "layers": [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [null, 4]}}"#,
    );
    for layer in 0..layers {
        let activation = r#"{"class_name": "ReLU", "config": {"name": "relu"#;
        write!(config, ", {activation}_{layer}\"}}}}").unwrap();
    }
    config += "]}}";
    archive(&config, &bundled("models/mnist_small.keras").1)
}

/// A chain of many layers takes no stack for each of them.
#[test]
fn long_chains_are_models() {
    const LAYERS: usize = 5_000;
    let folder = Folder::new();
    let output = folder.inspect("long.keras", &chain(LAYERS));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}: {stderr}", output.status);
    let listing = String::from_utf8_lossy(&output.stdout);
    assert!(listing.contains(&format!("relu_{}", LAYERS - 1)));
}

/// A model that doubles its input so many times, by a layer with the class and arguments.
fn doubling(class: &str, times: usize) -> Vec<u8> {
    let mut config = String::from(
        r#"{"class_name": "Functional", "config": {"name": "f", "layers": [
        {"class_name": "InputLayer", "config": {"name": "l0", "batch_shape": [null, 4]}, "name": "l0", "inbound_nodes": []}"#,
    );
    for layer in 0..times {
        let tensor = format!(
            r#"{{"class_name": "__keras_tensor__", "config": {{"keras_history": ["l{layer}", 0, 0]}}}}"#
        );
        let next = layer + 1;
        write!(
            config,
            r#", {{"module": "keras.layers", "class_name": "{class}", "config": {{"name": "l{next}", "axis": -1}}, "name": "l{next}",
            "inbound_nodes": [{{"args": [[{tensor}, {tensor}]], "kwargs": {{}}}}]}}"#
        )
        .unwrap();
    }
    write!(
        config,
        r#"], "input_layers": [["l0", 0, 0]], "output_layers": [["l{times}", 0, 0]]}}}}"#
    )
    .unwrap();
    archive(&config, &bundled("models/mnist_small.keras").1)
}

#[test]
fn doublings_cost_what_their_tensors_hold() {
    let folder = Folder::new();
    let [added, joined, more] = [("Add", 60), ("Concatenate", 18), ("Concatenate", 26)]
        .map(|(class, times)| folder.inspect("doubling.keras", &doubling(class, times)));
    for output in [added, joined] {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {stderr}", output.status);
    }
    refused(&more, "elements");
}

/// Forty layers that each add a tensor to itself are one scale in the end.
#[test]
fn chains_of_additions_convert_within_little_memory() {
    let folder = Folder::new();
    let tool = Path::new(env!("CARGO_BIN_EXE_tinyspike"));
    let model = project("tests/fixtures/keras/additions.keras");
    let image = folder.file("additions.tsp", b"");
    let args = ["convert", model.to_str().unwrap(), "-o", &image];
    let output = within(100 << 10, tool, &args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}: {stderr}", output.status);
    // The weights of two layers, and little beside them.
    assert!(std::fs::metadata(&image).unwrap().len() < 1500);
}

/// An allocation that fails is a paragraph, and leaves nothing behind.
#[test]
fn memory_that_is_not_there_is_a_paragraph() {
    let folder = Folder::new();
    let model = folder.file("joined.keras", &doubling("Concatenate", 22));
    let tool = Path::new(env!("CARGO_BIN_EXE_tinyspike"));
    let output = within(300 << 10, tool, &["inspect", &model]);
    refused(&output, "bytes of memory left for this command");
}

#[test]
fn absurd_configurations_are_refused() {
    let folder = Folder::new();
    let (config, weights) = bundled("models/mnist_small.keras");
    for (from, to, words) in [
        ("\"filters\": 8", "\"filters\": 0", "filters"),
        ("\"filters\": 8", "\"filters\": 1000000000", "conv2d"),
        (
            "\"filters\": 8",
            "\"filters\": 18446744073709551616",
            "filters",
        ),
        ("\"filters\": 8", "\"filters\": -8", "filters"),
        ("\"filters\": 8", "\"filters\": 1e300", "filters"),
        ("\"filters\": 8", "\"filters\": [8]", "filters"),
        (
            "\"kernel_size\": [3, 3]",
            "\"kernel_size\": [0, 3]",
            "conv2d",
        ),
        ("\"kernel_size\": [3, 3]", "\"kernel_size\": [3]", "conv2d"),
        (
            "\"kernel_size\": [3, 3]",
            "\"kernel_size\": [4294967296, 4294967296]",
            "conv2d",
        ),
        ("\"strides\": [2, 2]", "\"strides\": [0, 2]", "conv2d"),
        ("\"groups\": 1", "\"groups\": 0", "conv2d"),
        ("[null, 28, 28, 1]", "[null, 0, 28, 1]", "0"),
        (
            "[null, 28, 28, 1]",
            "[null, 1000000000, 1000000000, 1000000000]",
            "the most that is supported",
        ),
        ("\"units\": 10", "\"units\": 0", "units"),
        ("\"units\": 10", "\"units\": 1000000000", "dense"),
    ] {
        assert!(config.contains(from), "{from}");
        let model = archive(&config.replacen(from, to, 1), &weights);
        refused(&folder.inspect("absurd.keras", &model), words);
    }
}

/// A network of 10^18 neurons has a valid configuration and needs no weights.
#[test]
fn claims_without_weights_cost_nothing() {
    let weights = bundled("models/mnist_small.keras").1;
    let folder = Folder::new();
    let config = r#"{"class_name": "Sequential", "config": {"name": "claim", "layers": [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [null, 1000000000, 1000000000]}},
        {"class_name": "ReLU", "config": {"name": "relu"}}]}}"#;
    let model = folder.file("claim.keras", &archive(config, &weights));
    let image = folder.file("image.tsp", b"");
    let output = tinyspike(&["convert", &model, "-o", &image, "--inference-only"]);
    refused(&output, "1000000000");
}

#[test]
fn absurd_shapes_of_weights_are_refused() {
    let folder = Folder::new();
    let (config, weights) = bundled("models/mnist_small.keras");
    let shape = dims([3, 3, 8, 16]);
    for claim in [
        [1_000_000_000, 3, 8, 16],
        [u64::MAX, u64::MAX, u64::MAX, u64::MAX],
        [1 << 32, 1 << 32, 8, 16],
        [0, 3, 8, 16],
    ] {
        let claimed = patched(&weights, &shape, &dims(claim));
        let output = folder.inspect("claim.keras", &archive(&config, &claimed));
        refused(&output, "claim.keras");
    }
}

#[test]
fn weights_are_finite() {
    let folder = Folder::new();
    let model = import::load(&project("models/mnist_small.keras")).unwrap();
    let (config, weights) = bundled("models/mnist_small.keras");
    let kernel = model.layers[2].weight("kernel").unwrap();
    let [first, second] = [40, 41].map(|at| kernel.data()[at].to_le_bytes());
    let place = [first, second].concat();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let altered = [first, value.to_le_bytes()].concat();
        let altered = patched(&weights, &place, &altered);
        let output = folder.inspect("values.keras", &archive(&config, &altered));
        // 41 = ((0 · 3 + 0) · 8 + 2) · 16 + 9.
        refused(&output, "[0, 0, 2, 9]");
    }
    // Finite weights whose sums are not.
    let huge = [f32::MAX.to_le_bytes(), f32::MAX.to_le_bytes()].concat();
    let altered = archive(&config, &patched(&weights, &place, &huge));
    let (model, image) = (
        folder.file("huge.keras", &altered),
        folder.file("i.tsp", b""),
    );
    let output = tinyspike(&["convert", &model, "-o", &image, "--inference-only"]);
    assert!(
        output.status.code().is_some_and(|code| code < 2),
        "{}",
        output.status
    );
}

/// A NumPy array of a header and some values.
fn npy(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

/// An array that states this shape and holds so many values.
fn shaped(shape: &str, values: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    npy(&header, &vec![0; 4 * values])
}

#[test]
fn absurd_headers_of_arrays_are_refused() {
    let folder = Folder::new();
    for (shape, values, words) in [
        ("(1000000000000000000, 784)", 16, "data.np"),
        ("(1000000000, 1000000000)", 16, "data.np"),
        ("(18446744073709551615,)", 16, "data.np"),
        ("(18446744073709551616,)", 16, "unknown form"),
        ("(10000, 784)", 16, "ends before"),
        ("(10000000, 784)", 16, "ends before"),
        ("(0, 1099511627776, 1099511627776)", 0, "no sample"),
        ("(0, 784)", 0, "no sample"),
        ("(4, 0)", 0, "empty"),
        ("(-1, 784)", 16, "unknown form"),
        ("()", 1, "single value"),
        ("(1.5, 784)", 16, "unknown form"),
    ] {
        let array = shaped(shape, values);
        refused(&folder.calibrate("data.npy", &array), words);
        let packed = zip(CompressionMethod::Deflated, &[("x.npy", &array)]);
        // What is packed so well are no samples.
        let words = if shape == "(10000000, 784)" {
            "31360000000 bytes"
        } else {
            words
        };
        refused(&folder.calibrate("data.npz", &packed), words);
    }
    let axes = format!("({})", "1, ".repeat(65));
    refused(
        &folder.calibrate("data.npy", &shaped(&axes, 1)),
        "unknown form",
    );
    let deep = "(".repeat(9_000);
    refused(
        &folder.calibrate("data.npy", &shaped(&deep, 1)),
        "unknown form",
    );
    let mut long = shaped("(4, 4)", 16);
    long[8..12].fill(0xff);
    refused(&folder.calibrate("data.npy", &long), "4294967295");
    let infinite = f32::INFINITY.to_le_bytes().repeat(784);
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 784), }\n";
    refused(
        &folder.calibrate("data.npy", &npy(header, &infinite)),
        "not finite",
    );
}

#[test]
fn bombs_of_samples_do_not_unfold() {
    let folder = Folder::new();
    const SAMPLES: usize = 1_000_000;
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 784), }\n";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let deflated = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("x.npy", deflated).unwrap();
    zip.write_all(&npy(header, &[])).unwrap();
    // A part of what the header claims is enough to be a bomb.
    let zeros = vec![0; 1 << 20];
    for _ in 0..128 {
        zip.write_all(&zeros).unwrap();
    }
    let packed = zip.finish().unwrap().into_inner();
    let claimed = (SAMPLES * 784).to_string();
    refused(&folder.calibrate("bomb.npz", &packed), &claimed);

    // IDX: the same claim in two axes, and a gigabyte of zeros in many packed parts.
    let mut idx = vec![0, 0, 8, 2];
    idx.extend((SAMPLES as u32).to_be_bytes());
    idx.extend(784u32.to_be_bytes());
    let packed = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let part = packed(&vec![0; 16 << 20]);
    let bomb = [packed(&idx), part.repeat(64)].concat();
    refused(&folder.calibrate("bomb.gz", &bomb), &claimed);
}

/// The files of Keras's own whose bytes are changed one after another.
fn victims() -> Vec<(String, Vec<u8>)> {
    let mut victims = Vec::new();
    for (archive, names) in [
        ("keras2.tar.gz", &["seq_built.h5"][..]),
        ("hostile.tar.gz", &["chunked.h5", "latest.h5", "loop.h5"]),
    ] {
        let file = std::fs::File::open(project("tests/fixtures/keras").join(archive)).unwrap();
        let mut files = tar::Archive::new(GzDecoder::new(file));
        for entry in files.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            if names
                .iter()
                .any(|name| Path::new(&path).file_name() == Some(name.as_ref()))
            {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                victims.push((path, bytes));
            }
        }
    }
    assert_eq!(victims.len(), 4);
    victims
}

/// Sizes of attributes, chunks and heaps, addresses, counts: every word of HDF5 files that is not zero,
/// in turn, claims the absurd. If a group's address is its own parent's, groups form loops.
#[test]
fn absurd_words_in_hdf5_are_refused() {
    let this = std::env::current_exe().unwrap();
    let args = ["--exact", "absurd_words", "--ignored", "--nocapture"];
    let output = limited(&this, &args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
#[ignore = "another test runs it with limits"]
fn absurd_words() {
    // Where HDF5's structures lie; values follow.
    const REACH: usize = 4096;
    for (name, bytes) in victims() {
        let mut errors = 0;
        let mut tried = 0;
        for at in (8..bytes.len().min(REACH)).step_by(4) {
            if bytes[at..].iter().take(4).all(|&b| b == 0) {
                continue;
            }
            for value in [1_000_000_000u32, u32::MAX, at as u32] {
                let mut altered = bytes.clone();
                if let Some(place) = altered.get_mut(at..at + 4) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
                tried += 1;
                if let Err(e) = import::load_bytes(&name, &altered) {
                    errors += 1;
                    assert!(e.to_string().len() < 1000, "{name} at {at}: {e}");
                }
            }
        }
        assert!(errors > 100, "{name}: {errors} of {tried} were refused");
    }
}

/// Chips whose memory is described as no memory is: each is listed, with an image planned for it or refused.
#[test]
fn absurd_chips_are_listed_and_refused() {
    let folder = Folder::new();
    let text = Machine::Mps2An386.chip_description().unwrap();
    let image = folder.file("image.tsp", b"");
    let model = project("models/mnist_mlp.keras");
    let flags = ["-o", &image, "--inference-only", "--target", "cortex-m4"];
    let converted = tinyspike(&[&["convert", model.to_str().unwrap()], &flags[..]].concat());
    assert!(converted.status.success(), "{converted:?}");
    let flash = "{ start: 0x00000000, end: 0x00400000 }";
    let algorithm = "{ start: 0x0, end: 0x400000 }";
    let sectors = "- { size: 0x1000, address: 0x0 }";
    let (huge, all) = ("end: 0x5fffffff", "end: 0xffffffffffffffff");
    for changes in [
        &[(flash, "{ start: 0x0, end: 0x0 }")][..],
        &[(flash, "{ start: 0x400000, end: 0x0 }")],
        // Two regions that lead to one another.
        &[(
            "- !Ram\n    name: PSRAM\n    range: { start: 0x21000000, end: 0x22000000 }",
            "- !Nvm\n    name: BACK\n    access: { boot: true }\n    range: { start: 0x400000, end: 0x0 }",
        )],
        &[(sectors, "- { size: 1, address: 0x0 }")],
        &[(sectors, "- { size: 0, address: 0x0 }")],
        &[(sectors, "- { size: 0xffffffffffffffff, address: 0x0 }")],
        &[(
            sectors,
            "- { size: 0xfffffffffffffff0, address: 0xfffffffffffffff0 }",
        )],
        &[("page_size: 0x1000", "page_size: 0xffffffff")],
        &[("page_size: 0x1000", "page_size: 0")],
        &[
            (flash, &format!("{{ start: 0x0, {huge} }}")),
            (algorithm, &format!("{{ start: 0x0, {huge} }}")),
            (sectors, "- { size: 1, address: 0x0 }"),
            ("page_size: 0x1000", "page_size: 0x40000001"),
        ],
        &[
            (flash, &format!("{{ start: 0x0, {all} }}")),
            (algorithm, &format!("{{ start: 0x0, {all} }}")),
        ],
        &[("end: 0x20400000", all)],
        &[("end: 0x20400000", "end: 0")],
    ] {
        let mut changed = text.to_owned();
        for (from, to) in changes {
            assert!(changed.contains(from), "{from}");
            changed = changed.replace(from, to);
        }
        let description = folder.file("chip.yaml", changed.as_bytes());
        let described = ["--chip-description", &description];
        let output = tinyspike(&[&["chips", "MPS2_AN386"], &described[..]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(0 | 1)) && !stderr.contains("panicked"),
            "{changes:?}: {}: {stderr}",
            output.status
        );
        let plan = [
            "flash",
            &image,
            "--dry-run",
            "--model-only",
            "--chip",
            "MPS2_AN386",
        ];
        let output = tinyspike(&[&plan, &described[..]].concat());
        if !output.status.success() {
            refused(&output, "MPS2");
        }
    }
}

/// Names of any length, and more chips than anybody has: listed in a short time, or refused with their number.
#[test]
fn long_names_and_many_chips_are_listed_or_refused() {
    let folder = Folder::new();
    let text = Machine::Mps2An386.chip_description().unwrap();
    let chips = |description: &str, search: &str| {
        let file = folder.file("chips.yaml", description.as_bytes());
        tinyspike(&["chips", search, "--chip-description", &file])
    };
    let long = "A".repeat(100_000);
    for name in ["MPS2_AN386", "MPS2 AN386"] {
        assert!(text.contains(name));
        let output = chips(&text.replace(name, &long), "AAAA");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {stderr}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(&long));
    }
    let (begin, end) = (
        text.find("- name: MPS2_AN386").unwrap(),
        text.find("\nflash_algorithms:").unwrap() + 1,
    );
    let many = |count: usize| {
        let variants = (0..count).map(|at| text[begin..end].replace("AN386", &format!("V{at}")));
        let variants: String = variants.collect();
        [&text[..begin], &variants, &text[end..]].concat()
    };
    let output = chips(&many(1024), "MPS2");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("MPS2_V1023 "));
    refused(&chips(&many(20_000), "MPS2"), "20000 chips");
}

/// A network that no image can hold is refused before it is lowered.
#[test]
fn networks_that_no_image_holds_are_refused_soon() {
    let folder = Folder::new();
    let model = folder.file("long.keras", &chain(20_000));
    let image = folder.0.path().join("image.tsp");
    let output = tinyspike(&["convert", &model, "-o", image.to_str().unwrap()]);
    refused(&output, "20000 ensembles, an image holds at most 128");
    assert!(!image.exists());
}

/// Neither a lack of memory nor one of threads is a panic.
#[test]
fn little_memory_is_no_panic() {
    let folder = Folder::new();
    let tool = Path::new(env!("CARGO_BIN_EXE_tinyspike"));
    let model = project("models/mnist_mlp.keras");
    let image = folder.0.path().join("image.tsp");
    let args = ["convert", model.to_str().unwrap(), "-o"];
    let args = [&args[..], &[image.to_str().unwrap(), "--inference-only"]].concat();
    for memory in [20 << 10, 30 << 10, 40 << 10, 50 << 10, 70 << 10, 100 << 10] {
        let output = within(memory, tool, &args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{memory}: {stderr}");
        assert_ne!(output.status.code(), Some(101), "{memory}: {stderr}");
        assert!(stderr.matches("error: ").count() <= 1, "{memory}: {stderr}");
    }
}
