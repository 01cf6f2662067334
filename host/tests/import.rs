//! The importer on files that Keras has written, on damaged ones and on hostile ones.
//!
//! `tests/fixtures/keras/README.md` tells what the fixtures are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use tempfile::TempDir;
use tinyspike::import::{self, ImportError, Problem};
use tinyspike::model::{Activation, Layer, LayerConfig, Model, TensorRef};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/keras").join(name)
}

fn bundled(name: &str) -> PathBuf {
    root().join("models").join(name)
}

fn unzipped(name: &str) -> Vec<u8> {
    let packed = std::fs::read(fixture(name)).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A fixture archive, unpacked.
fn unpacked(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(fixture(name)).unwrap();
    tar::Archive::new(GzDecoder::new(file))
        .unpack(dir.path())
        .unwrap();
    dir
}

/// The model, without what containers of the same model differ in: the version that wrote them, and
/// the weights' names in layers of unknown classes.
fn essence(mut model: Model) -> Model {
    fn anonymous(layer: &mut Layer) {
        match &mut layer.config {
            LayerConfig::Model(model) => model.layers.iter_mut().for_each(anonymous),
            LayerConfig::TimeDistributed { layer } => anonymous(layer),
            LayerConfig::Unknown { .. } => layer.weights.clear(),
            _ => {}
        }
    }
    model.keras_version = None;
    model.layers.iter_mut().for_each(anonymous);
    model
}

fn parameters(model: &Model) -> usize {
    (model.layers.iter())
        .flat_map(|l| &l.weights)
        .map(|w| w.value.len())
        .sum()
}

#[test]
fn reads_the_bundled_models() {
    for (name, layers, count) in [
        ("mnist_forum_kr", 7, 1_201_258),
        ("mnist_small", 6, 38_826),
        ("mnist_pool_bn", 12, 9_170),
        ("mnist_mlp", 5, 101_770),
    ] {
        let path = bundled(&format!("{name}.keras"));
        let model = import::load(&path).unwrap();
        assert_eq!(model.name, name);
        assert_eq!(model.layers.len(), layers);
        assert_eq!(parameters(&model), count);
        assert_eq!(model.keras_version.as_deref(), Some("3.15.1"));
        let last = TensorRef {
            layer: layers - 1,
            call: 0,
            tensor: 0,
        };
        assert_eq!(model.outputs, [last]);
        let again = import::load_bytes(name, &std::fs::read(path).unwrap()).unwrap();
        assert_eq!(again, model);
    }
}

#[test]
fn reads_arguments_and_penalties() {
    let model = import::load(&bundled("mnist_small.keras")).unwrap();
    let LayerConfig::Conv(conv) = &model.layers[2].config else {
        panic!("{:?}", model.layers[2].config);
    };
    assert_eq!((conv.filters, conv.activation), (16, Activation::Relu));
    assert_eq!(
        (&conv.kernel_size[..], &conv.strides[..]),
        (&[3, 3][..], &[2, 2][..])
    );
    let Some(penalty) = &conv.penalties.activity_regularizer else {
        panic!("no activity regularizer");
    };
    assert_eq!(penalty.class, "keras.regularizers.L1");
    // As a number: a build of the whole workspace keeps numbers in JSON as they were written.
    assert_eq!(
        penalty.config["l1"].as_f64(),
        Some(1.000_000_011_686_097_4e-7)
    );
    assert_eq!(conv.penalties.bias_regularizer, None);
    assert_eq!(
        model.layers[2].weight("kernel").unwrap().shape(),
        [3, 3, 8, 16]
    );
}

#[test]
fn every_container_of_a_trained_model_gives_the_same_model() {
    for (name, files) in [
        ("conv1d_series", &["h5", "keras", "keras3.h5"][..]),
        ("mnist_unsupported", &["h5", "keras", "keras3.h5"]),
        ("mnist_small", &["h5", "keras3.h5"]),
    ] {
        let mut models = Vec::new();
        for suffix in files {
            let bytes = unzipped(&format!("{name}.{suffix}.gz"));
            models.push(import::load_bytes(suffix, &bytes).unwrap());
        }
        if name == "mnist_small" {
            models.push(import::load(&bundled("mnist_small.keras")).unwrap());
            models.push(import::load(&fixture("mnist_small_savedmodel.tar.gz")).unwrap());
            let dir = unpacked("mnist_small_savedmodel.tar.gz");
            models.push(import::load(&dir.path().join("mnist_small_savedmodel")).unwrap());
        }
        let mut models = models.into_iter().map(essence);
        let first = models.next().unwrap();
        assert_eq!(first.name, name);
        for model in models {
            assert!(model == first, "{name}");
        }
    }
}

#[test]
fn weights_with_a_configuration_apart() {
    let dir = tempfile::tempdir().unwrap();
    let weights = dir.path().join("mnist_unsupported.h5");
    std::fs::write(&weights, unzipped("mnist_unsupported.h5.gz")).unwrap();
    let config = fixture("mnist_unsupported_keras2_config.json");
    let apart = import::load_with_config(&weights, &config).unwrap();
    assert_eq!(essence(apart), essence(import::load(&weights).unwrap()));
}

#[test]
fn weights_of_a_model_that_was_built_again() {
    let dir = unpacked("keras2.tar.gz");
    let (weights, config) = (
        "seq_built.weights_legacy.h5",
        dir.path().join("seq_built.json"),
    );
    let plain = import::load_with_config(&dir.path().join(weights), &config).unwrap();
    let json = std::fs::read_to_string(&config).unwrap();
    // The names that the next session would give.
    let json = json
        .replace("dense_4", "dense_1")
        .replace("dense_3", "dense");
    std::fs::write(&config, json).unwrap();
    let again = import::load_with_config(&dir.path().join(weights), &config).unwrap();
    for (layer, name) in again.layers.iter().zip(["dense_input", "dense", "dense_1"]) {
        assert_eq!(layer.name, name);
    }
    for (a, b) in again.layers.iter().zip(&plain.layers) {
        assert_eq!(a.weights, b.weights);
    }
}

/// Contents of a `.truth` file, from a model of ours.
fn truth(model: &Model) -> String {
    fn shapes(model: &Model, place: &str, out: &mut String) {
        for layer in &model.layers {
            let axis = |d: &Option<usize>| d.map_or("None".to_owned(), |d| d.to_string());
            let shape: Vec<String> = (layer.calls[0].output_shapes.iter())
                .map(|s| format!("[{}]", s.iter().map(axis).collect::<Vec<_>>().join(", ")))
                .collect();
            writeln!(out, "= {place}{} {}", layer.name, shape.join(" ")).unwrap();
            if let LayerConfig::Model(inner) = &layer.config {
                shapes(inner, &format!("{place}{}/", layer.name), out);
            }
        }
    }
    fn weights(layer: &Layer, place: &str, out: &mut String) {
        let inner = format!("{place}{}/", layer.name);
        match &layer.config {
            LayerConfig::Model(model) => {
                model.layers.iter().for_each(|l| weights(l, &inner, out));
            }
            LayerConfig::TimeDistributed { layer } => weights(layer, &inner, out),
            _ => {
                for weight in &layer.weights {
                    let first = weight.value.data().iter().take(3);
                    let first: Vec<String> = first.map(|x| format!("{x:.5}")).collect();
                    let (name, shape) = (&weight.name, weight.value.shape());
                    let first = first.join(" ");
                    writeln!(out, "{place}{} {name} {shape:?} {first}", layer.name).unwrap();
                }
            }
        }
    }
    let mut out = String::new();
    shapes(model, "", &mut out);
    model.layers.iter().for_each(|l| weights(l, "", &mut out));
    out
}

/// The lines of ours that Keras does not have, and the other way round.
fn differences<'a>(ours: &'a str, keras: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let only = |a: &'a str, b: &'a str| {
        let b: Vec<&str> = b.lines().collect();
        a.lines().filter(|l| !b.contains(l)).collect()
    };
    (only(ours, keras), only(keras, ours))
}

/// Every model of an archive agrees with Keras's own account of it, in each of its containers.
fn agrees_with_keras(archive: &str) -> usize {
    let dir = unpacked(archive);
    let keras3 = archive == "keras3.tar.gz";
    let mut containers = 0;
    let mut names: Vec<PathBuf> = (std::fs::read_dir(dir.path()).unwrap())
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "truth"))
        .collect();
    names.sort();
    for path in names {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let keras = std::fs::read_to_string(&path).unwrap();
        let at = |suffix: &str| dir.path().join(format!("{name}{suffix}"));
        let mut models = BTreeMap::new();
        for whole in [".h5", ".keras", "_sm"] {
            if at(whole).exists() {
                models.insert(whole.to_owned(), import::load(&at(whole)).unwrap());
            }
        }
        for apart in [".weights.h5", ".weights_legacy.h5", ".h5"] {
            if at(apart).exists() {
                let model = import::load_with_config(&at(apart), &at(".json")).unwrap();
                models.insert(format!("{apart} with .json"), model);
            }
        }
        containers += models.len();
        let whole = models[".h5"].clone();
        // Keras calls the weights of both directions alike.
        let ours = truth(&whole)
            .replace(" forward_", " ")
            .replace(" backward_", " ");
        let order = |text: &str| -> Vec<String> {
            (text
                .lines()
                .filter(|l| !l.starts_with('='))
                .map(str::to_owned))
            .collect()
        };
        // Keras 3 calls a depthwise kernel a kernel.
        let ours = if keras3 {
            ours.replace(" depthwise_kernel ", " kernel ")
        } else {
            ours
        };
        let keras = if keras3 {
            keras.replace(" depthwise_kernel ", " kernel ")
        } else {
            keras
        };
        assert_eq!(order(&ours), order(&keras), "{archive} {name}");
        let (ours, theirs) = differences(&ours, &keras);
        match name.as_str() {
            // The shapes behind layers of unknown classes are known only if the file states them.
            "ops" if !keras3 => assert!(ours.iter().all(|l| l.ends_with(' ')), "{ours:?}"),
            "embed" if !keras3 => assert!(ours.iter().all(|l| l.ends_with(' ')), "{ours:?}"),
            _ => {
                assert_eq!(theirs, Vec::<&str>::new(), "{archive} {name}");
                // A Sequential lists its input only in our model, Keras 3's functions are no layers.
                let expected = match name.as_str() {
                    "nested" | "seq_built" | "seq_shape" => 1,
                    "ops" => 3,
                    _ => 0,
                };
                assert_eq!(ours.len(), expected, "{archive} {name} {ours:?}");
            }
        }
        let whole = essence(whole);
        for (container, model) in models {
            assert!(essence(model) == whole, "{archive} {name}{container}");
        }
    }
    containers
}

#[test]
fn agrees_with_keras_2() {
    assert_eq!(agrees_with_keras("keras2.tar.gz"), 55);
}

#[test]
fn agrees_with_keras_3() {
    assert_eq!(agrees_with_keras("keras3.tar.gz"), 36);
}

#[test]
fn nested_and_shared_layers_keep_their_calls() {
    for archive in ["keras2.tar.gz", "keras3.tar.gz"] {
        let dir = unpacked(archive);
        let model = import::load(&dir.path().join("nested.keras")).unwrap();
        assert_eq!(model.inputs.len(), 2);
        assert_eq!(model.outputs.len(), 3);
        let layer = |name: &str| model.layers.iter().position(|l| l.name == name).unwrap();
        let (inner, shared) = (layer("inner"), layer("shared"));
        assert_eq!(model.layers[inner].calls.len(), 2);
        for call in 0..2 {
            let input = TensorRef {
                layer: inner,
                call,
                tensor: 0,
            };
            assert_eq!(model.layers[shared].calls[call].inputs, [input]);
        }
        assert!(matches!(&model.layers[inner].config, LayerConfig::Model(m) if !m.sequential));
        assert!(
            matches!(&model.layers[layer("seq")].config, LayerConfig::Model(m) if m.sequential)
        );
    }
}

#[test]
fn other_layouts_of_hdf5() {
    let plain = unpacked("keras2.tar.gz");
    let plain = import::load(&plain.path().join("seq_built.h5")).unwrap();
    let dir = unpacked("hostile.tar.gz");
    for name in ["latest.h5", "chunked.h5"] {
        assert_eq!(
            import::load(&dir.path().join(name)).unwrap(),
            plain,
            "{name}"
        );
    }
}

/// The error of a file, which must come quickly, name the file and fit into a paragraph.
fn refused(result: Result<Model, ImportError>, file: &str, since: Instant) -> Problem {
    let error = result.expect_err(file);
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{file}: {:?}",
        since.elapsed()
    );
    let text = error.to_string();
    assert!(
        text.starts_with(&error.file) && error.file.contains(file),
        "{text}"
    );
    assert!(text.len() < 700 && !text.contains('\n'), "{text}");
    error.problem
}

#[test]
fn refuses_claims_loops_and_bombs() {
    let dir = unpacked("hostile.tar.gz");
    let at = |name: &str| dir.path().join(name);
    for name in ["claim.h5", "claim_chunked.h5"] {
        let problem = refused(import::load(&at(name)), name, Instant::now());
        assert!(
            matches!(
                problem,
                Problem::TooLarge {
                    found: 200_000_000,
                    ..
                }
            ),
            "{problem}"
        );
    }
    let problem = refused(
        import::load(&at("bomb.keras")),
        "bomb.keras",
        Instant::now(),
    );
    assert!(
        matches!(
            problem,
            Problem::TooLarge {
                found: 419_430_408,
                ..
            }
        ),
        "{problem}"
    );
    let now = Instant::now();
    let problem = refused(import::load(&at("bomb.tar.gz")), "bomb.tar.gz", now);
    assert!(
        matches!(problem, Problem::UnknownFormat { .. }),
        "{problem}"
    );
    let now = Instant::now();
    let loaded = import::load_with_config(&at("loop.h5"), &at("loop.json"));
    let problem = refused(loaded, "loop.h5", now);
    assert!(matches!(problem, Problem::Hdf5 { .. }), "{problem}");
}

#[test]
fn refuses_what_is_no_model() {
    let refuse = |name: &str, bytes: &[u8]| {
        let problem = refused(import::load_bytes(name, bytes), name, Instant::now());
        problem.to_string()
    };
    assert!(refuse("empty.h5", b"").contains("is empty"));
    assert!(refuse("m.tflite", b"\x1c\0\0\0TFL3....").contains("TensorFlow Lite"));
    assert!(refuse("m.h5", b"{\"class_name\": 1}").contains("JSON text"));
    assert!(refuse("m.keras", b"PK\x03\x04 no archive").contains("zip archive"));
    assert!(refuse("m.h5", b"\x89HDF\r\n\x1a\n").contains("HDF5"));
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("folder");
    std::fs::create_dir(&at).unwrap();
    let problem = refused(import::load(&at), "folder", Instant::now());
    assert!(
        problem
            .to_string()
            .contains("a directory without saved_model.pb")
    );
    std::fs::write(at.join("saved_model.pb"), b"").unwrap();
    let problem = refused(import::load(&at), "folder", Instant::now());
    assert!(
        problem.to_string().contains("describes no layers"),
        "{problem}"
    );
    let problem = refused(
        import::load(&dir.path().join("none.h5")),
        "none.h5",
        Instant::now(),
    );
    assert!(matches!(problem, Problem::Io(_)));
    let weights = unpacked("keras3.tar.gz");
    let weights = weights.path().join("seq_shape.weights.h5");
    let problem = refused(
        import::load(&weights),
        "seq_shape.weights.h5",
        Instant::now(),
    );
    assert!(matches!(problem, Problem::NoConfig));
}

/// The weights of Keras 2's `seq_built` with its configuration after a change of its text.
fn with_changed_config(archive: &str, weights: &str, from: &str, to: &str) -> Problem {
    let dir = unpacked(archive);
    let config = dir.path().join("seq_built.json");
    let json = std::fs::read_to_string(&config).unwrap();
    assert!(json.contains(from), "{json}");
    std::fs::write(&config, json.replacen(from, to, 1)).unwrap();
    let now = Instant::now();
    let loaded = import::load_with_config(&dir.path().join(weights), &config);
    refused(loaded, "seq_built", now)
}

#[test]
fn names_the_layer_and_both_shapes() {
    for (archive, weights) in [
        ("keras2.tar.gz", "seq_built.h5"),
        ("keras2.tar.gz", "seq_built.weights.h5"),
        ("keras3.tar.gz", "seq_built.weights.h5"),
    ] {
        let problem = with_changed_config(archive, weights, "\"units\": 4", "\"units\": 9");
        let text = problem.to_string();
        assert!(matches!(problem, Problem::WeightShape { .. }), "{text}");
        assert!(
            text.contains("layer \"dense") && text.contains("(7, 4)") && text.contains("(7, 9)")
        );
        let problem = with_changed_config(
            archive,
            weights,
            "\"use_bias\": true",
            "\"use_bias\": false",
        );
        let extra = matches!(
            problem,
            Problem::ExtraWeights {
                found: 2,
                expected: 1,
                ..
            }
        );
        assert!(extra, "{problem}");
    }
    let (from, to) = ("\"units\": 4", "\"units\": 1000000000");
    let problem = with_changed_config("keras2.tar.gz", "seq_built.h5", from, to);
    assert!(matches!(problem, Problem::Shape(_)), "{problem}");
    let problem = with_changed_config("keras2.tar.gz", "seq_built.h5", from, "\"units\": 0");
    assert!(matches!(problem, Problem::Layer { .. }), "{problem}");
    let problem = with_changed_config("keras2.tar.gz", "seq_built.h5", from, "\"units\": -4");
    assert!(
        problem.to_string().contains("argument \"units\" is -4"),
        "{problem}"
    );
}

#[test]
fn names_the_place_of_a_value_that_is_not_finite() {
    let dir = unpacked("keras2.tar.gz");
    let good = import::load(&dir.path().join("seq_built.h5")).unwrap();
    let kernel = good.layers[2].weight("kernel").unwrap();
    let at = 5;
    let mut bytes = std::fs::read(dir.path().join("seq_built.h5")).unwrap();
    let stored: Vec<u8> = kernel.data().iter().flat_map(|x| x.to_le_bytes()).collect();
    let start = bytes
        .windows(stored.len())
        .position(|w| w == stored)
        .unwrap()
        + 4 * at;
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
        let problem = refused(import::load_bytes("n.h5", &bytes), "n.h5", Instant::now());
        let Problem::NotFinite { layer, index, .. } = &problem else {
            panic!("{problem}");
        };
        assert_eq!(layer, &good.layers[2].name);
        assert_eq!(index[..], [at / 3, at % 3]);
    }
}

/// A generator of numbers that look random (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

/// Changes bits, bytes or addresses, or cuts the end off.
fn damaged(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut out = bytes.to_vec();
    match numbers.below(4) {
        0 => {
            for _ in 0..=numbers.below(5) {
                let at = numbers.below(out.len());
                out[at] ^= 1 << numbers.below(8);
            }
        }
        1 => {
            let at = numbers.below(out.len());
            out[at] = [0, 0x7f, 0x80, 0xff][numbers.below(4)];
        }
        2 => {
            let at = numbers.below(out.len() / 8) * 8;
            let value = match numbers.below(5) {
                0 => u64::MAX,
                1 => 1 << 62,
                2 => 1 << 31,
                3 => at as u64,
                _ => numbers.below(out.len()) as u64 & !7,
            };
            out[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        _ => out.truncate(numbers.below(out.len())),
    }
    out
}

#[test]
fn damaged_files_give_a_model_or_an_error() {
    let (keras2, keras3) = (unpacked("keras2.tar.gz"), unpacked("keras3.tar.gz"));
    let hostile = unpacked("hostile.tar.gz");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for path in [
        keras2.path().join("seq_built.h5"),
        keras2.path().join("seq_built.keras"),
        keras3.path().join("seq_built.keras"),
        hostile.path().join("latest.h5"),
        hostile.path().join("chunked.h5"),
    ] {
        let bytes = std::fs::read(&path).unwrap();
        let mut errors = 0;
        for _ in 0..300 {
            let bytes = damaged(&bytes, &mut numbers);
            let now = Instant::now();
            match import::load_bytes("damaged", &bytes) {
                Ok(_) => assert!(now.elapsed() < Duration::from_secs(2)),
                Err(e) => {
                    errors += 1;
                    refused(Err(e), "damaged", now);
                }
            }
        }
        assert!(
            (50..300).contains(&errors),
            "{}: {errors} errors",
            path.display()
        );
    }
}

#[test]
fn damaged_savedmodels_give_a_model_or_an_error() {
    let dir = unpacked("keras2.tar.gz");
    let model = dir.path().join("seq_built_sm");
    let mut numbers = Numbers(7);
    for part in [
        "keras_metadata.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ] {
        let bytes = std::fs::read(model.join(part)).unwrap();
        let mut errors = 0;
        for _ in 0..150 {
            std::fs::write(model.join(part), damaged(&bytes, &mut numbers)).unwrap();
            let now = Instant::now();
            if let Err(e) = import::load(&model) {
                errors += 1;
                refused(Err(e), "seq_built_sm", now);
            }
        }
        std::fs::write(model.join(part), &bytes).unwrap();
        import::load(&model).unwrap();
        assert!(errors >= 50, "{part}: {errors} errors");
    }
}
