//! The command-line tool as a user meets it: what it prints, its exit codes, and what it does with bad
//! files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn tinyspike(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinyspike"))
        .args(args)
        .output()
        .expect("the tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn path(p: &Path) -> &str {
    p.to_str().expect("a path in UTF-8")
}

/// Converts a bundled model with the bundled calibration data.
fn convert(model: &str, folder: &TempDir, more: &[&str]) -> PathBuf {
    let image = folder.path().join("image.tsp");
    let model = project(model);
    let calibration = project("data/mnist_calibration2k.npz");
    let mut args = vec!["convert", path(&model), "-o", path(&image)];
    args.extend(["--inference-only", "--calibration", path(&calibration)]);
    args.extend(more);
    let output = tinyspike(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    image
}

fn emulate(image: &Path, more: &[&str]) -> Value {
    let data = project("data/mnist_test10k.npz");
    let mut args = vec!["emulate", path(image), "--data", path(&data), "--json"];
    args.extend(more);
    json(&tinyspike(&args))
}

#[test]
fn small_and_mlp_keep_their_accuracy_on_all_test_images() {
    for (model, float) in [("mnist_small", 0.9857), ("mnist_mlp", 0.9745)] {
        let folder = TempDir::new().unwrap();
        let image = convert(&format!("models/{model}.keras"), &folder, &[]);
        let report = emulate(&image, &[]);
        assert_eq!(report["images"], 10_000);
        let accuracy = report["accuracy"].as_f64().unwrap();
        assert!(accuracy >= float - 0.005, "{model}: {accuracy}");
        assert!(report["steps_mean"].as_f64().unwrap() <= 4.0);
        for key in [
            "events_per_image",
            "synaptic_ops_per_image",
            "neuron_updates_per_image",
            "images_per_second",
        ] {
            assert!(report[key].as_f64().unwrap() > 0.0, "{key}");
        }
    }
}

#[test]
fn the_forum_network_converts_and_emulates() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_forum_kr.keras", &folder, &["--steps", "1"]);
    let accuracy = emulate(&image, &["--limit", "500"])["accuracy"].as_f64();
    assert!(accuracy.unwrap() > 0.95, "{accuracy:?}");
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let first = std::fs::read(convert("models/mnist_small.keras", &folder, &[])).unwrap();
    let second = std::fs::read(convert("models/mnist_small.keras", &folder, &[])).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_regularized_layer_is_refused_with_the_option_that_helps() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    let model = project("models/mnist_forum_kr.keras");
    let output = tinyspike(&["convert", path(&model), "-o", path(&image)]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains(
            "conv2d.kernel_regularizer has value <keras.regularizers.L2 object> != None, which is \
             not supported (unless inference_only=True). Falling back to TensorNode."
        ),
        "{stderr}"
    );
    let error = stderr.lines().last().unwrap();
    for word in ["\"conv2d_1\"", "\"dense\"", "--inference-only"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(!image.exists());
}

#[test]
fn without_calibration_data_the_cost_is_said() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    let model = project("models/mnist_mlp.keras");
    let output = tinyspike(&["convert", path(&model), "-o", path(&image)]);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("expect a loss of accuracy"));
    assert!(emulate(&image, &["--limit", "100"])["accuracy"].is_f64());
}

#[test]
fn a_dropped_softmax_is_said() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    let model = project("models/mnist_forum_kr.keras");
    let output = tinyspike(&[
        "convert",
        path(&model),
        "-o",
        path(&image),
        "--inference-only",
    ]);
    assert!(text(&output.stderr).contains("the softmax of \"dense_2\" is left out of the image"));
}

#[test]
fn inspect_shows_an_images_costs() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, &[]);
    let listing = json(&tinyspike(&["inspect", path(&image), "--json"]));
    let size = std::fs::metadata(&image).unwrap().len();
    assert_eq!(listing["flash_bytes"].as_u64(), Some(size));
    let ensembles = listing["ensembles"].as_array().unwrap();
    let labels: Vec<&Value> = ensembles.iter().map(|e| &e["label"]).collect();
    assert_eq!(labels, ["conv2d.0", "conv2d_1.0", "dense.0"]);
    let parts = ["ensembles", "outputs"];
    let ram: u64 = parts
        .iter()
        .flat_map(|p| listing[*p].as_array().unwrap())
        .map(|part| part["ram_bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(listing["ram_bytes"].as_u64(), Some(ram));
    let people = text(&tinyspike(&["inspect", path(&image)]).stdout);
    assert!(people.contains("input_1 to conv2d.0 weights"), "{people}");
}

/// Every command that reads a file of this kind answers with one paragraph and exit code 1.
fn refused(args: &[&str], words: &[&str]) {
    let output = tinyspike(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
    assert!(
        stderr
            .lines()
            .all(|l| l.starts_with("error: ") || l.starts_with("hint: ")),
        "{args:?}: {stderr}"
    );
    assert!(output.stdout.is_empty(), "{args:?}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: {stderr}");
    }
}

#[test]
fn truncated_flipped_and_foreign_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, &[]);
    let data = project("data/mnist_test10k.npz");
    let output = folder.path().join("never.tsp");
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };

    let whole = std::fs::read(&image).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    let images = [
        (write("cut.tsp", &whole[..whole.len() / 2]), "cut short"),
        (write("flipped.tsp", &flipped), "checksum"),
        (
            write("foreign.tsp", b"not an image at all, but some text"),
            "foreign.tsp",
        ),
        (write("empty.tsp", b""), "empty.tsp"),
    ];
    for (file, word) in &images {
        refused(&["inspect", path(file)], &[word]);
        refused(
            &["emulate", path(file), "--data", path(&data)],
            &["hint", ".tsp"],
        );
    }

    let model = std::fs::read(project("models/mnist_small.keras")).unwrap();
    let mut flipped = model.clone();
    flipped[model.len() / 3] ^= 4;
    let models = [
        write("cut.keras", &model[..model.len() / 2]),
        write("flipped.keras", &flipped),
        write("foreign.keras", b"PK\x03\x04 but no archive"),
        write("text.keras", b"hello"),
        write("empty.keras", b""),
        folder.path().join("missing.keras"),
    ];
    for file in &models {
        let name = file.file_name().unwrap().to_str().unwrap();
        refused(&["inspect", path(file)], &[name]);
        refused(&["convert", path(file), "-o", path(&output)], &[name]);
    }

    let bytes = std::fs::read(&data).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 3] ^= 4;
    for file in [
        write("cut.npz", &bytes[..bytes.len() / 2]),
        write("flipped.npz", &flipped),
        write("foreign.npz", b"hello"),
        folder.path().join("missing.npz"),
    ] {
        let name = file.file_name().unwrap().to_str().unwrap();
        refused(&["emulate", path(&image), "--data", path(&file)], &[name]);
        let model = project("models/mnist_small.keras");
        refused(
            &[
                "convert",
                path(&model),
                "-o",
                path(&output),
                "--inference-only",
                "--calibration",
                path(&file),
            ],
            &[name],
        );
    }
    assert!(!output.exists());
}

#[test]
fn data_of_another_shape_and_too_many_steps_are_refused() {
    let folder = TempDir::new().unwrap();
    let image = convert("models/mnist_small.keras", &folder, &["--steps", "3"]);
    let data = project("data/mnist_test10k.npz");
    refused(
        &[
            "emulate",
            path(&image),
            "--data",
            path(&data),
            "--steps",
            "4",
        ],
        &["3 steps", "--steps 4"],
    );
    let short = folder.path().join("t10k-images-idx3-ubyte");
    // IDX: two images of 2 x 3.
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
    idx.extend([7; 12]);
    std::fs::write(&short, idx).unwrap();
    refused(
        &["emulate", path(&image), "--data", path(&short)],
        &["6 values", "784"],
    );
}

#[test]
fn the_demo_shows_accuracy_events_and_memory() {
    let output = tinyspike(&["demo"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for words in [
        "bytes of flash",
        "bytes of RAM",
        "the best guess is 7",
        "float network            98.57 %",
        "synaptic ops",
    ] {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
}
