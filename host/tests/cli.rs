//! The command-line tool as a user meets it: what it prints, its exit codes, and what it does with bad
//! files.

use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use npyz::npz::NpzArchive;
use serde_json::Value;
use tempfile::TempDir;
use tinyspike::data::{self, NamedArray, NamedValues, write_npz};

mod tool;

use tool::{json, path, project, text, tinyspike};

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
             not supported (unless --inference-only); it runs as a TensorNode"
        ),
        "{stderr}"
    );
    let error = stderr.lines().find(|l| l.starts_with("error: ")).unwrap();
    for word in ["\"conv2d_1\"", "\"dense\""] {
        assert!(error.contains(word), "{error}");
    }
    let hint = stderr.lines().find(|l| l.starts_with("hint: ")).unwrap();
    assert!(hint.contains("--inference-only"), "{hint}");
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

const SMALL: &str = "models/mnist_small.keras";
const UNSUPPORTED: &str = "tests/fixtures/keras/mnist_unsupported.keras";

/// The archive of small models that Keras 3 has written, unpacked.
fn keras3() -> TempDir {
    let folder = TempDir::new().unwrap();
    let archive = std::fs::File::open(project("tests/fixtures/keras/keras3.tar.gz")).unwrap();
    tar::Archive::new(GzDecoder::new(archive))
        .unpack(folder.path())
        .unwrap();
    folder
}

#[test]
fn simulate_spikes_and_writes_every_step() {
    let folder = TempDir::new().unwrap();
    let npz = folder.path().join("out.npz");
    let (model, data) = (project(SMALL), project("data/mnist_test10k.npz"));
    let simulate = |more: &[&str]| {
        let mut args = vec!["simulate", path(&model), "--data", path(&data)];
        args.extend(["--limit", "50", "--steps", "50", "--inference-only"]);
        args.extend(["--swap-activation", "relu=spiking-relu"]);
        args.extend(["--scale-firing-rates", "100", "--synapse", "0.005"]);
        args.extend(more);
        tinyspike(&args)
    };
    let report = json(&simulate(&["--json", "--probe", "all", "-o", path(&npz)]));
    assert_eq!(report["images"], 50);
    assert_eq!(report["steps"], 50);
    assert!(report["accuracy"].as_f64().unwrap() >= 0.94, "{report}");
    assert!(report["accuracy_mean_10"].as_f64().unwrap() >= 0.94);
    assert!(report["image_steps_per_second"].as_f64().unwrap() > 0.0);

    let mut arrays = NpzArchive::open(&npz).unwrap();
    let output = arrays.by_name("output/dense_1").unwrap().unwrap();
    assert_eq!(output.shape(), [50, 50, 10]);
    let output = output.into_vec::<f32>().unwrap();
    let labels = tinyspike::data::load(&data).unwrap();
    let right = (output.chunks(500).zip(labels.labels().unwrap()))
        .filter(|(image, label)| {
            let last = &image[490..];
            last.iter().all(|v| *v <= last[**label as usize])
        })
        .count();
    assert_eq!(report["accuracy"], right as f64 / 50.0);
    let mut spikes = 0.0;
    for (ensemble, neurons) in [("conv2d.0", 1352), ("conv2d_1.0", 576), ("dense.0", 64)] {
        let counts = arrays.by_name(&format!("spikes/{ensemble}")).unwrap();
        let counts = counts.expect("an array for each ensemble");
        assert_eq!(counts.shape(), [50, 50, neurons]);
        let sum: i64 = (counts.into_vec::<i32>().unwrap().iter())
            .map(|n| i64::from(*n))
            .sum();
        let rate = sum as f64 / (50 * 50 * neurons) as f64 / 0.001;
        let listed = report["ensembles"].as_array().unwrap();
        let listed = listed.iter().find(|e| e["label"] == ensemble).unwrap();
        assert!((listed["rate_hz"].as_f64().unwrap() - rate).abs() < 1e-9 * rate);
        spikes += sum as f64 / 50.0;
    }
    let per_image = report["spikes_per_image"].as_f64().unwrap();
    assert!((per_image - spikes).abs() < 1e-9 * spikes && spikes > 0.0);

    // What the file's voltages start from is the user's to choose.
    let zero = json(&simulate(&["--json", "--initial-voltage", "zero"]));
    let seed = json(&simulate(&["--json", "--seed", "1"]));
    assert_ne!(zero["spikes_per_image"], report["spikes_per_image"]);
    assert_ne!(seed["spikes_per_image"], report["spikes_per_image"]);
    assert_ne!(seed["spikes_per_image"], zero["spikes_per_image"]);

    let people = text(&simulate(&[]).stdout);
    for words in [
        "accuracy",
        "conv2d.0",
        "Hz",
        "spikes per sample",
        "image-steps/s",
    ] {
        assert!(people.contains(words), "{words} is missing in {people}");
    }
}

#[test]
fn a_model_of_rates_simulates_as_it_is() {
    let (model, data) = (project(SMALL), project("data/mnist_test10k.npz"));
    let report = json(&tinyspike(&[
        "simulate",
        path(&model),
        "--data",
        path(&data),
        "--limit",
        "200",
        "--steps",
        "1",
        "--json",
    ]));
    assert!(report["accuracy"].as_f64().unwrap() > 0.97, "{report}");
    assert!(report["spikes_per_image"].is_null());
    assert!(report["ensembles"][0]["rate_hz"].is_null());
}

#[test]
fn what_simulate_cannot_do_is_said() {
    let folder = TempDir::new().unwrap();
    let npz = folder.path().join("never.npz");
    let (model, data) = (project(SMALL), project("data/mnist_test10k.npz"));
    let simulate = [
        "simulate",
        path(&model),
        "--inference-only",
        "--steps",
        "1000",
    ];
    let with = |more: &[&str], words: &[&str]| {
        let mut args = simulate.to_vec();
        args.extend(more);
        refused(&args, words);
    };
    with(
        &["--data", path(&data), "--probe", "all", "-o", path(&npz)],
        &["MiB", "--limit"],
    );
    with(
        &["--data", path(&data), "--dt", "0"],
        &["mnist_small", "above 0"],
    );
    with(
        &["--data", path(&data), "--data", path(&data)],
        &["twice", "input_1"],
    );
    with(&["--data", "missing.npz"], &["missing.npz"]);
    let short = folder.path().join("short-ubyte");
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
    idx.extend([7; 12]);
    std::fs::write(&short, idx).unwrap();
    with(
        &["--data", path(&short)],
        &["[2, 3]", "[28, 28, 1]", "input_1"],
    );
    assert!(!npz.exists());
}

#[test]
fn verify_compares_with_keras() {
    let (model, data) = (project(SMALL), project("data/mnist_test10k.npz"));
    let report = json(&tinyspike(&[
        "verify",
        path(&model),
        "--data",
        path(&data),
        "--limit",
        "100",
        "--atol",
        "1e-5",
        "--json",
    ]));
    assert_eq!(report["passed"], true);
    assert_eq!(report["outputs"][0]["output"], "dense_1");
    assert_eq!(report["outputs"][0]["values"], 1000);
    assert!(report["outputs"][0]["max_magnitude"].as_f64().unwrap() > 1.0);

    // Outputs near 0 are further apart, in float32, than a tolerance relative to each of them allows.
    let unsupported = project(UNSUPPORTED);
    let mut args = vec!["verify", path(&unsupported), "--data", path(&data)];
    args.extend(["--limit", "200"]);
    assert!(tinyspike(&args).status.success());
    args.extend(["--rtol", "0"]);
    assert_eq!(tinyspike(&args).status.code(), Some(1));

    let spiking = [
        "--inference-only",
        "--swap-activation",
        "relu=spiking-relu",
        "--json",
    ];
    let mut args = vec!["verify", path(&model)];
    args.extend(spiking);
    let output = tinyspike(&args);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], false);
    assert!(report["outputs"][0]["failures"].as_u64().unwrap() > 0);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("does not compute the model's dense_1"),
        "{stderr}"
    );
    assert!(stderr.contains("only over many steps"), "{stderr}");
    args.extend(["--atol", "1e6"]);
    assert_eq!(json(&tinyspike(&args))["passed"], true);
}

#[test]
fn tensor_nodes_run_on_the_host_and_stay_there() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("never.tsp");
    let (model, data) = (project(UNSUPPORTED), project("data/mnist_test10k.npz"));
    let output = tinyspike(&["verify", path(&model)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("agrees"));
    let report = json(&tinyspike(&[
        "simulate",
        path(&model),
        "--data",
        path(&data),
        "--limit",
        "100",
        "--steps",
        "1",
        "--json",
    ]));
    assert!(report["accuracy"].as_f64().unwrap() > 0.8, "{report}");
    let output = tinyspike(&["convert", path(&model), "-o", path(&image)]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    let error = stderr.lines().find(|l| l.starts_with("error: ")).unwrap();
    for word in [
        "\"layer_normalization\"",
        "\"gru\"",
        "\"dense.0\" (activation softmax)",
    ] {
        assert!(error.contains(word), "{word} is missing in {error}");
    }
    // Another activation without training computes something else.
    assert!(
        error.contains("train the network again with relu"),
        "{error}"
    );
    assert!(!stderr.contains("--swap-activation"), "{stderr}");
    assert!(!image.exists());
}

/// Output of `inspect --json` for a converted model.
fn inspected(model: &Path, flags: &[&str]) -> Value {
    let mut args = vec!["inspect", path(model), "--json"];
    args.extend(flags);
    json(&tinyspike(&args))
}

fn neuron_types(listing: &Value) -> Vec<&str> {
    let ensembles = listing["ensembles"].as_array().unwrap();
    (ensembles.iter())
        .map(|e| e["neuron_type"].as_str().unwrap())
        .collect()
}

fn tensor_nodes(listing: &Value) -> Vec<&str> {
    let nodes = listing["nodes"].as_array().unwrap();
    (nodes.iter())
        .filter(|n| n["class"] == "TensorNode")
        .map(|n| n["label"].as_str().unwrap())
        .collect()
}

fn synapses(listing: &Value) -> Vec<&str> {
    let connections = listing["connections"].as_array().unwrap();
    (connections.iter())
        .filter(|c| c["pre"].as_str().unwrap().contains("Neurons"))
        .map(|c| c["synapse"].as_str().unwrap())
        .collect()
}

#[test]
fn every_option_of_the_converter_is_a_flag() {
    let small = project(SMALL);
    let swap = ["--inference-only", "--swap-activation", "relu=spiking-relu"];
    let with = |more: &[&str]| inspected(&small, &[&swap[..], more].concat());

    let plain = inspected(&small, &["--inference-only"]);
    assert_eq!(neuron_types(&plain), ["RectifiedLinear()"; 3]);
    assert_eq!(synapses(&plain), ["None"; 3]);
    assert_eq!(neuron_types(&with(&[])), ["SpikingRectifiedLinear()"; 3]);
    assert_eq!(
        neuron_types(&with(&["--scale-firing-rates", "100"])),
        ["SpikingRectifiedLinear(amplitude=0.01)"; 3]
    );
    let per_layer = [
        "--scale-firing-rates",
        "conv2d=50",
        "--scale-firing-rates",
        "dense=4",
    ];
    assert_eq!(
        neuron_types(&with(&per_layer)),
        [
            "SpikingRectifiedLinear(amplitude=0.02)",
            "SpikingRectifiedLinear()",
            "SpikingRectifiedLinear(amplitude=0.25)"
        ]
    );
    assert_eq!(
        synapses(&with(&["--synapse", "0.005"])),
        ["Lowpass(tau=0.005)"; 3]
    );
    assert_eq!(
        synapses(&with(&["--synapse", "alpha:0.01"])),
        ["Alpha(tau=0.01)"; 3]
    );
    let twice = ["--swap-activation", "linear=rate-tanh", "--swap-activation"];
    let listing = with(&[&twice[..], &["softmax=lif:amplitude=0.5"]].concat());
    assert!(neuron_types(&listing).contains(&"Tanh()"), "{listing}");
    assert!(
        listing["warnings"].to_string().contains("softmax"),
        "{listing}"
    );

    let pool = project("models/mnist_pool_bn.keras");
    assert_eq!(
        tensor_nodes(&inspected(
            &pool,
            &["--inference-only", "--nengo-dl-compat"]
        )),
        ["max_pooling2d", "dropout"]
    );
    assert!(tensor_nodes(&inspected(&pool, &["--inference-only"])).is_empty());
    let average = ["--inference-only", "--max-to-avg-pool"];
    assert!(tensor_nodes(&inspected(&pool, &average)).is_empty());
    let mlp = project("models/mnist_mlp.keras");
    assert!(tensor_nodes(&inspected(&mlp, &[])).is_empty());
    assert_eq!(
        tensor_nodes(&inspected(&mlp, &["--nengo-dl-compat"])),
        ["dropout"]
    );
    refused(
        &["inspect", path(&mlp), "--nengo-dl-compat", "--no-fallback"],
        &["'dropout'", "leave out --no-fallback"],
    );

    let folder = keras3();
    let nested = folder.path().join("nested.keras");
    refused(
        &["verify", path(&nested), "--nengo-dl-compat"],
        &["'d1'", "--split-shared-weights"],
    );
    let split = json(&tinyspike(&[
        "verify",
        path(&nested),
        "--split-shared-weights",
        "--json",
    ]));
    assert_eq!(split["passed"], true);
    assert_eq!(split["outputs"].as_array().unwrap().len(), 3);
}

#[test]
fn weights_with_a_configuration_and_models_over_time() {
    let folder = keras3();
    let weights = folder.path().join("seq_built.weights.h5");
    let config = folder.path().join("seq_built.json");
    refused(
        &["inspect", path(&weights)],
        &["without the model's configuration", "--config FILE"],
    );
    let listing = inspected(&weights, &["--config", path(&config)]);
    assert_eq!(listing["ensembles"][0]["n_neurons"], 4);

    // The same layers, at every step of a series of any length.
    let over_time = folder.path().join("over_time.json");
    let json_text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &over_time,
        json_text.replace("[null, 7]", "[null, null, 7]"),
    )
    .unwrap();
    let model = ["verify", path(&weights), "--config", path(&over_time)];
    refused(&model, &["temporal_model", "--temporal-model"]);
    // IDX: three series of 5 steps of 7 values.
    let series = folder.path().join("series-ubyte");
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 7];
    idx.extend((0..105).map(|i| (i * 37 % 256) as u8));
    std::fs::write(&series, idx).unwrap();
    let temporal = ["--temporal-model", "--data", path(&series), "--json"];
    let report = json(&tinyspike(&[&model[..], &temporal].concat()));
    assert_eq!(report["passed"], true);
    assert_eq!(report["outputs"][0]["values"], 3 * 5 * 3);
    let simulate = ["simulate", path(&weights), "--config", path(&over_time)];
    let report = json(&tinyspike(&[&simulate[..], &temporal].concat()));
    assert_eq!(report["steps"], 5);
    let longer = [&simulate[..], &temporal, &["--steps", "6"]].concat();
    let output = tinyspike(&longer);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("has 5 steps"));
}

#[test]
fn inputs_are_named_where_there_are_several() {
    let folder = keras3();
    let nested = folder.path().join("nested.keras");
    let listing = inspected(&nested, &["--split-shared-weights"]);
    let nodes = listing["nodes"].as_array().unwrap();
    let inputs = ["a", "b"].map(|name| {
        let node = nodes.iter().find(|n| n["label"] == name).unwrap();
        (
            name,
            usize::try_from(node["size_out"].as_u64().unwrap()).unwrap(),
        )
    });
    let mut data = Vec::new();
    for (name, size) in &inputs {
        let file = folder.path().join(format!("{name}-ubyte"));
        let mut idx = vec![
            0,
            0,
            8,
            2,
            0,
            0,
            0,
            2,
            0,
            0,
            0,
            u8::try_from(*size).unwrap(),
        ];
        idx.extend((0..2 * size).map(|i| (i * 53 % 256) as u8));
        std::fs::write(&file, idx).unwrap();
        data.push(format!("{name}={}", path(&file)));
    }
    let verify = ["verify", path(&nested), "--split-shared-weights", "--data"];
    let both = [&verify[..], &[&data[0], "--data", &data[1], "--json"]].concat();
    let report = json(&tinyspike(&both));
    assert_eq!(report["passed"], true);
    assert_eq!(report["images"], 2);
    let (_, unnamed) = data[0].split_once('=').unwrap();
    for (given, words) in [
        (
            data[0].as_str(),
            ["has no file for the input b", "INPUT=FILE"],
        ),
        (unnamed, ["which input", "INPUT=FILE"]),
    ] {
        let output = tinyspike(&[&verify[..], &[given]].concat());
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        for word in words {
            assert!(stderr.contains(word), "{given}: {stderr}");
        }
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let small = project(SMALL);
    for (flags, words) in [
        (
            ["--swap-activation", "relu=spikes"],
            &["hard_sigmoid", "spiking-relu", "adaptive-lif"][..],
        ),
        (["--swap-activation", "relu"], &["FROM=TO"]),
        (["--synapse", "fast"], &["alpha:0.01"]),
        (["--scale-firing-rates", "0"], &["conv2d=50"]),
    ] {
        let output = tinyspike(&["inspect", path(&small), flags[0], flags[1]]);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let stderr = text(&output.stderr);
        for word in words {
            assert!(stderr.contains(word), "{flags:?}: {stderr}");
        }
    }
    let help = text(&tinyspike(&["simulate", "--help"]).stdout);
    for name in [
        "hard_sigmoid",
        "log_softmax",
        "spiking-relu",
        "stochastic-spiking",
    ] {
        assert!(help.contains(name), "{name} is missing in {help}");
    }
    let scales = [
        "--scale-firing-rates",
        "10",
        "--scale-firing-rates",
        "conv2d=3",
    ];
    refused(
        &[&["inspect", path(&small)][..], &scales].concat(),
        &["cannot stand beside"],
    );
}

#[test]
fn signed_images_verify_and_altered_ones_do_not() {
    let folder = TempDir::new().unwrap();
    let image = convert(
        "models/mnist_mlp.keras",
        &folder,
        &["--steps", "1", "--model-version", "7"],
    );
    let [key, other, signed] =
        ["device.key", "other.key", "signed.tsp"].map(|f| folder.path().join(f));
    let public = folder.path().join("device.key.pub");
    let other_public = folder.path().join("other.key.pub");
    for key in [&key, &other] {
        assert!(tinyspike(&["keygen", "-o", path(key)]).status.success());
    }
    refused(
        &["keygen", "-o", path(&key)],
        &["device.key", "never overwritten"],
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "only the owner reads a private key");
    }
    let unsigned = ["verify-image", path(&image), "--key", path(&public)];
    refused(&unsigned, &["image.tsp", "not signed"]);
    let sign = tinyspike(&[
        "sign",
        path(&image),
        "--key",
        path(&key),
        "-o",
        path(&signed),
    ]);
    assert!(sign.status.success(), "{}", text(&sign.stderr));
    let verify = ["verify-image", path(&signed), "--key", path(&public)];
    let verified = tinyspike(&verify);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    assert!(text(&verified.stdout).contains("model version 7"));
    refused(
        &["verify-image", path(&signed), "--key", path(&other_public)],
        &["signed.tsp", "signed with the key"],
    );
    // A public key is no private key, and an image is no key.
    refused(
        &["sign", path(&image), "--key", path(&public)],
        &["private key", "keygen"],
    );
    refused(
        &["sign", path(&key), "--key", path(&key)],
        &["device.key", "not a tinyspike image"],
    );
    let listed = json(&tinyspike(&["inspect", path(&signed), "--json"]));
    assert_eq!(listed["model_version"], 7);
    assert!(listed["signed_by"].is_string());
    // A signed image runs as the unsigned one does.
    let limit = ["--limit", "50"];
    let (plain, with) = (emulate(&image, &limit), emulate(&signed, &limit));
    assert_eq!(plain["accuracy"], with["accuracy"]);

    // Somebody alters the model and mends the checksum: only the signature tells.
    let mut bytes = std::fs::read(&signed).unwrap();
    let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    for at in [20, length - 1] {
        bytes[at] ^= 1;
        let checksum = tinyspike_shared::image::checksum(&bytes[..length]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
        std::fs::write(&signed, &bytes).unwrap();
        assert!(tinyspike(&["verify-image", path(&signed)]).status.success());
        refused(&verify, &["does not fit the image"]);
        bytes[at] ^= 1;
    }
}

#[test]
fn openssl_s_keys_are_understood() {
    // RFC 8410, appendix A: an Ed25519 key pair in OpenSSL's forms.
    let folder = TempDir::new().unwrap();
    let [key, public] = ["rfc.key", "rfc.pub"].map(|f| folder.path().join(f));
    let private = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    std::fs::write(&key, private).unwrap();
    std::fs::write(
        &public,
        "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n",
    )
    .unwrap();
    let image = convert("models/mnist_mlp.keras", &folder, &["--steps", "1"]);
    assert!(
        tinyspike(&["sign", path(&image), "--key", path(&key)])
            .status
            .success()
    );
    let verified = tinyspike(&["verify-image", path(&image), "--key", path(&public)]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}

#[test]
fn emulated_boards_are_named_and_described() {
    let unknown = tinyspike(&["emulated-board", "--machine", "mps3"]);
    assert_eq!(unknown.status.code(), Some(2));
    let message = text(&unknown.stderr);
    for machine in [
        "microbit",
        "mps2-an386",
        "mps2-an500",
        "mps2-an505",
        "netduinoplus2",
    ] {
        assert!(message.contains(machine), "{message}");
    }

    // No QEMU is needed to see that this makes no sense.
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("chip.yaml");
    let known = tinyspike(&[
        "emulated-board",
        "--machine",
        "microbit",
        "--write-chip-description",
        path(&file),
    ]);
    assert_eq!(known.status.code(), Some(1));
    assert!(text(&known.stderr).contains("probe-rs knows its nRF51822_xxAA"));
    assert!(!file.exists());
}

/// An exact image has the simulator's accuracy and firing rates, and what has no such form is refused.
#[test]
fn an_exact_image_runs_as_simulate_does() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("exact.tsp");
    let model = project("models/mnist_small.keras");
    let flags = [
        "--inference-only",
        "--swap-activation",
        "relu=spiking-relu",
        "--scale-firing-rates",
        "250",
        "--synapse",
        "0.005",
        "--steps",
        "60",
        "--initial-voltage",
        "zero",
    ];
    let mut args = vec!["convert", path(&model), "-o", path(&image), "--exact", "-v"];
    args.extend(flags);
    let output = tinyspike(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("calibration"));
    let engine = emulate(&image, &["--limit", "500"]);
    args.extend(["--weight-bits", "16"]);
    let output = tinyspike(&args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let exact = emulate(&image, &["--limit", "500"]);
    let data = project("data/mnist_test10k.npz");
    let mut args = vec!["simulate", path(&model), "--data", path(&data), "--json"];
    args.extend(["--limit", "500"]);
    args.extend(flags);
    let float = json(&tinyspike(&args));
    for what in ["accuracy", "accuracy_mean_10"] {
        let [a, b] = [&engine, &float].map(|r| r[what].as_f64().unwrap());
        assert!((a - b).abs() <= 0.006 + 1e-9, "{what}: {a} {b}");
        let [a, b] = [&exact, &float].map(|r| r[what].as_f64().unwrap());
        assert!((a - b).abs() <= 0.002 + 1e-9, "16 bits, {what}: {a} {b}");
    }
    for (engine, bound) in [(&engine, 0.01), (&exact, 0.001)] {
        let [a, b] = [engine, &float].map(|r| r["spikes_per_image"].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < bound, "{a} {b} spikes");
    }
    let wide = [
        "convert",
        path(&model),
        "-o",
        path(&image),
        "--weight-bits",
        "9",
    ];
    refused(&wide, &["--weight-bits 9", "--exact"]);

    // The name that it had before.
    let rates = [
        "convert",
        path(&model),
        "-o",
        path(&image),
        "--faithful",
        "--inference-only",
    ];
    refused(
        &rates,
        &["conv2d.0", "RectifiedLinear", "relu=spiking-relu"],
    );
    let mut tuned = rates.to_vec();
    tuned.extend(["--calibration", "x.npz", "--tune"]);
    assert_eq!(tinyspike(&tuned).status.code(), Some(2));
    let mut filtered = rates.to_vec();
    filtered.retain(|a| *a != "--faithful");
    filtered.extend(["--synapse", "0.005"]);
    refused(&filtered, &["conv2d_1.0", "--exact", "--synapse none"]);
}

/// A network with two inputs, from calibration to running: each has its own file, and they are not mixed up.
#[test]
fn several_inputs_have_a_file_each() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("two.tsp");
    let model = project("tests/fixtures/keras/digits_two_inputs.keras");
    let plain = project("tests/fixtures/data/digits.npz");
    let mirrored = project("tests/fixtures/data/digits_mirrored.npz");
    let file = |input: &str, file: &Path| format!("{input}={}", path(file));
    let convert = [
        "convert",
        path(&model),
        "-o",
        path(&image),
        "--byte-scale",
        "0.0625",
    ];
    let run = |flag: &str, files: [String; 2], rest: &[&str]| {
        let mut args = rest.to_vec();
        for file in &files {
            args.extend([flag, file]);
        }
        let output = tinyspike(&args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    };
    let right = || [file("image", &plain), file("mirror", &mirrored)];
    let emulate = ["emulate", path(&image), "--byte-scale", "0.0625", "--json"];
    // The order of the flags does not matter.
    let [first, second] = right();
    run("--calibration", [second, first], &convert);
    let found = json(&run("--data", right(), &emulate));
    assert!(found["accuracy"].as_f64().unwrap() >= 0.96, "{found}");
    let crossed = [file("image", &mirrored), file("mirror", &plain)];
    let found = json(&run("--data", crossed, &emulate));
    assert!(found["accuracy"].as_f64().unwrap() < 0.6, "{found}");
    let tuned = [&convert[..], &["--tune", "--json"]].concat();
    let report = json(&run("--calibration", right(), &tuned));
    assert!(report["tuning"]["candidates"].as_u64().unwrap() > 10);
    let found = json(&run("--data", right(), &emulate));
    assert!(found["accuracy"].as_f64().unwrap() >= 0.95, "{found}");

    let emulate = &emulate[..4];
    let one = [emulate, &["--data", path(&plain)]].concat();
    refused(&one, &["digits.npz", "image, mirror", "INPUT=FILE"]);
    let image_only = file("image", &plain);
    let one = [emulate, &["--data", &image_only]].concat();
    refused(&one, &["mirror", "INPUT=FILE"]);
    let ten_thousand = file("mirror", &project("data/mnist_test10k.npz"));
    let uneven = [emulate, &["--data", &image_only, "--data", &ten_thousand]].concat();
    refused(
        &uneven,
        &["digits.npz has 300", "mnist_test10k.npz has 10000"],
    );
}

/// A NIR graph of the tests' fixtures.
fn nir(name: &str) -> PathBuf {
    project(&format!("tests/fixtures/nir/{name}"))
}

#[test]
fn a_nir_graph_is_inspected_simulated_and_matched() {
    let (graph, samples) = (
        nir("snntorch_watch_rleaky.nir"),
        nir("snntorch_watch_rleaky.npz"),
    );
    let output = tinyspike(&["inspect", path(&graph)]);
    let listing = text(&output.stdout);
    for part in [
        "1.w_rec -> 1.lif  closes a cycle",
        "likely writer: snntorch (r = tau / dt",
        "dt               0.0001     file",
        "reset            subtract   as snntorch",
    ] {
        assert!(listing.contains(part), "{part}: {listing}");
    }
    let said = text(&output.stderr);
    assert!(said.contains("taken for semantics snntorch"), "{said}");
    let choices = json(&tinyspike(&[
        "inspect",
        path(&graph),
        "--json",
        "--semantics",
        "snntorch,reset=zero",
    ]));
    let reset = choices["semantics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["choice"] == "reset");
    assert_eq!(reset.unwrap()["from"], "--semantics");

    let folder = TempDir::new().unwrap();
    let outputs = folder.path().join("out.npz");
    let mut args = vec!["simulate", path(&graph), "--data", path(&samples), "--json"];
    args.extend(["--probe", "all", "-o", path(&outputs)]);
    let report = json(&tinyspike(&args));
    assert_eq!(
        (&report["images"], &report["steps"], &report["accuracy"]),
        (&8.into(), &100.into(), &1.0.into())
    );
    let names: Vec<String> = NpzArchive::open(&outputs)
        .unwrap()
        .array_names()
        .map(str::to_owned)
        .collect();
    for name in [
        "output/output",
        "spikes/1.lif",
        "potentials/1.lif",
        "spikes/3",
    ] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }

    let found = json(&tinyspike(&[
        "verify",
        path(&graph),
        "--match",
        path(&samples),
        "--json",
    ]));
    assert_eq!(found["passed"], true);
    assert!(
        found["found"]
            .as_array()
            .unwrap()
            .contains(&"snntorch".into()),
        "{found}"
    );
    // What was recorded of another network fits no semantics.
    let other = tinyspike(&[
        "verify",
        path(&nir("norse_watch_ff.nir")),
        "--match",
        path(&samples),
    ]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        text(&other.stderr).contains(
            "x has the shape [8, 100, 12]; (steps, ...) or (samples, steps, ...) is needed"
        )
    );
}

/// A NIR graph becomes an image, which runs over recordings: the figures of floats and integers side by side, spikes of each
/// step, and the same as one stream.
#[test]
fn a_nir_graph_becomes_an_image() {
    let folder = TempDir::new().unwrap();
    let [image, record] = ["net.tsp", "out.npz"].map(|name| folder.path().join(name));
    let samples = nir("vowels_test.npz");
    let output = tinyspike(&[
        "convert",
        path(&nir("norse_vowels_lifcell.nir")),
        "-o",
        path(&image),
        "--semantics",
        "norse-lif,dt=0.01",
        "--calibration",
        path(&samples),
        "--calibration-samples",
        "64",
    ]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(said.contains("decides as the float network in"), "{said}");
    assert!(said.contains("% in floats,"), "{said}");
    let emulate = |more: &[&str]| {
        let args = ["emulate", path(&image), "--data", path(&samples), "--json"];
        let output = tinyspike(&[&args, more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let report = emulate(&["-o", path(&record)]);
    assert!(report["accuracy"].as_f64().unwrap() > 0.97, "{report}");
    assert_eq!(report["steps"], 30);
    assert_eq!(report["readout"], "sum");
    let arrays = data::arrays(&record).unwrap();
    let spikes = arrays
        .iter()
        .find(|a| a.name.starts_with("spikes/"))
        .unwrap();
    assert_eq!(spikes.shape[..2], [370, 30]);
    let last = emulate(&["--readout", "last", "--limit", "20"]);
    assert_eq!(last["readout"], "last");
    let stream = emulate(&["--stream"]);
    assert_eq!(
        (&stream["samples"], &stream["steps"]),
        (&1.into(), &11_100.into())
    );
}

#[test]
fn what_a_nir_graph_cannot_do_is_said() {
    let graph = nir("rockpool_vowels.nir");
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image.tsp");
    for (args, part) in [
        (
            vec!["convert", path(&nir("delays.nir")), "-o", path(&image)],
            "cannot deploy the network: layer \"d\": a delay of an input",
        ),
        (
            vec![
                "convert",
                path(&graph),
                "-o",
                path(&image),
                "--percentile",
                "0.9",
            ],
            "leave --percentile out",
        ),
        (
            vec!["inspect", path(&graph), "--synapse", "0.005"],
            "--synapse is for models of layers, and changes nothing in a NIR graph",
        ),
        (
            vec![
                "simulate",
                path(&graph),
                "--data",
                path(&graph),
                "--dt",
                "0.02",
            ],
            "give --semantics dt=0.02 instead of --dt",
        ),
        (
            vec!["verify", path(&graph)],
            "has no forward pass of its own to compare with",
        ),
        (
            vec!["inspect", path(&graph), "--semantics", "keras"],
            "there are nir, snntorch,",
        ),
        (
            vec!["inspect", path(&nir("dangling.nir"))],
            "names \"lif\", which is no node; there are in, lif1, out (is \"lif1\" meant?)",
        ),
    ] {
        let output = tinyspike(&args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            text(&output.stderr).contains(part),
            "{}",
            text(&output.stderr)
        );
    }
    assert!(!image.exists());
    let keras = tinyspike(&[
        "inspect",
        path(&project("models/mnist_small.keras")),
        "--semantics",
        "norse",
    ]);
    assert!(text(&keras.stderr).contains("--semantics is for NIR graphs, which this is none of"));
}

#[test]
fn an_onnx_file_goes_where_a_keras_file_goes() {
    let folder = TempDir::new().unwrap();
    // The content tells what it is, not its name.
    let model = folder.path().join("network");
    let file = project("tests/fixtures/onnx/keras/mnist_small_torch.onnx");
    std::fs::copy(file, &model).unwrap();
    let listing = tinyspike(&["inspect", path(&model)]);
    assert!(text(&listing.stdout).contains("<Node 'input'> -> 784"));
    let verified = tinyspike(&["verify", path(&model)]);
    assert!(verified.status.success(), "{}", text(&verified.stdout));
    let image = convert(path(&model), &folder, &[]);
    assert!(emulate(&image, &[])["accuracy"].as_f64().unwrap() > 0.98);

    let refused = |args: &[&str], part: &str| {
        let output = tinyspike(args);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{said}");
    };
    refused(
        &["inspect", path(&model), "--semantics", "snntorch"],
        "--semantics is for NIR graphs",
    );
    refused(
        &["inspect", path(&model), "--input-shape", "28,28,1"],
        "its shape without the batch axis is (1, 28, 28)",
    );
    let lite = folder.path().join("net.tflite");
    std::fs::write(&lite, b"\x1c\0\0\0TFL3....").unwrap();
    refused(&["inspect", path(&lite)], "export the float network");
}

/// Writes whole numbers as arrays of an archive.
fn write_arrays(path: &Path, arrays: Vec<(&str, Vec<usize>, Vec<i32>)>) {
    let arrays: Vec<NamedArray> = (arrays.into_iter())
        .map(|(name, shape, values)| NamedArray {
            name: name.to_owned(),
            shape,
            values: NamedValues::I32(values),
        })
        .collect();
    write_npz(std::fs::File::create(path).unwrap(), &arrays).unwrap();
}

#[test]
fn what_a_figure_of_a_nir_graph_hides_is_said() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data.npz");
    let graph = nir("norse_watch_ff.nir");
    let zeros = ("x", vec![2, 100, 6], vec![0; 1200]);
    write_arrays(&data, vec![zeros, ("y", vec![2], vec![1, 9])]);
    // So short a step leaves neurons below their thresholds.
    let output = tinyspike(&[
        "simulate",
        path(&graph),
        "--data",
        path(&data),
        "--semantics",
        "norse,dt=0.000001",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for part in [
        "warning: 1 labels (the largest is 9) have no output: the network has 7",
        "no neuron of [\"1\", \"3\"] spiked in 2 samples of 100 steps",
    ] {
        let said = text(&output.stderr).replace("\n         ", " ");
        assert!(said.contains(part), "{part}: {said}");
    }
    // Neurons have the names of their equations.
    let report = json(&tinyspike(&[
        "simulate",
        path(&nir("norse_vowels_lifcell.nir")),
        "--data",
        path(&nir("norse_vowels_lifcell.npz")),
        "--semantics",
        "norse-lif,dt=0.01",
        "--json",
    ]));
    let named = |report: &Value| -> Vec<String> {
        let ensembles = report["ensembles"].as_array().unwrap().iter();
        let names = ensembles.map(|e| e["neuron_type"].as_str().unwrap().to_owned());
        names
            .map(|name| name.split('(').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named(&report), ["CubaLIF", "CubaLIF"]);
    let report = json(&tinyspike(&[
        "simulate",
        path(&nir("sinabs_mnist_cnn.nir")),
        "--data",
        path(&nir("sinabs_mnist_cnn.npz")),
        "--steps",
        "2",
        "--json",
    ]));
    assert!(named(&report).iter().all(|name| name == "IF"), "{report}");
}

#[test]
fn semantics_that_are_still_guessed_are_named() {
    let graph = nir("norse_watch_ff.nir");
    for (semantics, part) in [
        (None, Some("taken for semantics norse (")),
        (
            Some("reset=subtract"),
            Some("taken for semantics norse in dt, scheme, "),
        ),
        (Some("norse,dt=0.02"), None),
        // Numbers in the file tell the step of this one alone.
        (Some("lif1:reset=subtract"), None),
    ] {
        let mut args = vec!["inspect", path(&graph)];
        args.extend(semantics.iter().flat_map(|text| ["--semantics", text]));
        let said = text(&tinyspike(&args).stderr).replace("\n      ", " ");
        match part {
            Some(part) => assert!(said.contains(part), "{part}: {said}"),
            None => assert!(!said.contains("taken for semantics"), "{said}"),
        }
    }
}

#[test]
fn files_that_are_called_nir_get_nirs_reasons() {
    let folder = TempDir::new().unwrap();
    let notes = folder.path().join("net.nir");
    std::fs::write(&notes, "a network").unwrap();
    for semantics in [&[][..], &["--semantics", "norse"]] {
        let output = tinyspike(&[&["inspect", path(&notes)], semantics].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains("net.nir: is no NIR graph: "), "{said}");
    }
    for command in [
        "--help",
        "simulate --help",
        "inspect --help",
        "verify --help",
    ] {
        let args: Vec<&str> = command.split(' ').collect();
        assert!(text(&tinyspike(&args).stdout).contains("NIR"), "{command}");
    }
    let picture = tinyspike(&[
        "simulate",
        path(&nir("spikingjelly_mnist_cnn.nir")),
        "--data",
        path(&nir("spikingjelly_mnist_cnn.npz")),
    ]);
    let said = text(&picture.stderr).replace("\n      ", " ");
    assert!(
        said.contains("--steps 50 shows each sample for 50 steps; samples over time"),
        "{said}"
    );
}

#[test]
fn recordings_of_events_are_simulated_as_their_counts() {
    let folder = TempDir::new().unwrap();
    let graph = nir("snntorch_watch_rleaky.nir");
    let arrays = data::arrays(&nir("snntorch_watch_rleaky.npz")).unwrap();
    let find = |name: &str| arrays.iter().find(|array| array.name == name).unwrap();
    let (x, y) = (find("x"), find("y"));
    let [samples, steps, channels] = x.shape[..] else {
        panic!("{:?}", x.shape);
    };
    // Recordings begin with their first event, so each gets one in its first step, and one in a step more.
    let mut dense: Vec<i32> = x.values.iter().map(|v| *v as i32).collect();
    let (mut offsets, mut times, mut places) = (vec![0], Vec::new(), Vec::new());
    for sample in dense.chunks_exact_mut(steps * channels) {
        sample[0] = sample[0].max(1);
        for (step, counts) in sample.chunks_exact(channels).enumerate() {
            for (channel, count) in counts.iter().enumerate() {
                let events = *count as usize;
                times.extend(vec![step as i32 * 20_000; events]);
                places.extend(vec![channel as i32; events]);
            }
        }
        times.push(steps as i32 * 20_000);
        places.push(0);
        offsets.push(times.len() as i32);
    }
    let labels: Vec<i32> = y.values.iter().map(|v| *v as i32).collect();
    let (events, counts) = (
        folder.path().join("events.npz"),
        folder.path().join("counts.npz"),
    );
    let column = |name, values: Vec<i32>| (name, vec![values.len()], values);
    write_arrays(
        &events,
        vec![
            column("offsets", offsets),
            column("t_us", times),
            column("x", places),
            column("label", labels.clone()),
        ],
    );
    write_arrays(
        &counts,
        vec![
            ("x", vec![samples, steps, channels], dense),
            column("y", labels),
        ],
    );
    let run = |file: &Path, more: &[&str]| {
        let out = folder.path().join("out.npz");
        let mut args = vec!["simulate", path(&graph), "--data", path(file), "--json"];
        args.extend(["--probe", "all", "-o", path(&out)]);
        let mut report = json(&tinyspike(&[&args, more].concat()));
        report["image_steps_per_second"] = Value::Null;
        (report, data::arrays(&out).unwrap())
    };
    let expected = run(&counts, &[]);
    assert_eq!(expected.0["steps"], steps);
    assert_eq!(run(&events, &["--bin", "0.02"]), expected);
    let (padded, _) = run(&events, &["--bin", "0.02", "--steps", "130"]);
    assert_eq!(padded["steps"], 130);
    let unused = tinyspike(&[
        "simulate",
        path(&graph),
        "--data",
        path(&counts),
        "--bin",
        "0.02",
    ]);
    assert!(text(&unused.stderr).contains("--bin is for recordings of events"));

    // One recording without end is its parts one behind the other.
    let (stream, _) = run(&counts, &["--limit", "1"]);
    let one = folder.path().join("one.npz");
    let first = x.values[..steps * channels].iter().map(|v| *v as i32);
    let mut first: Vec<i32> = first.collect();
    first[0] = first[0].max(1);
    write_arrays(&one, vec![("x", vec![steps, channels], first)]);
    let (found, _) = run(&one, &["--stream"]);
    assert_eq!(
        (
            &found["images"],
            &found["steps"],
            &found["spikes_per_image"]
        ),
        (&1.into(), &steps.into(), &stream["spikes_per_image"])
    );
}
