//! Small models of every version of Keras: each equals Keras's own outputs, or is refused by what is
//! unknown in it. `tests/fixtures/keras/README.md` tells what they have.

mod npz;

use std::path::{Path, PathBuf};

use npz::{Npz, path};
use tempfile::TempDir;
use tinyspike::calibrate;
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::forward::forward;
use tinyspike::import;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::keras::{VerifyOptions, verify};
use tinyspike::lower::{lower, lower_apart};
use tinyspike::model::Model;
use tinyspike::network::Head;
use tinyspike::tensor::Tensor;

/// The largest difference from Keras, relative to the largest output: float32 sums in another order.
const CLOSE: f32 = 1e-5;

/// The archive, unpacked.
fn unpacked() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(path("tests/fixtures/keras/grid.zip")).unwrap();
    zip::ZipArchive::new(file)
        .unwrap()
        .extract(dir.path())
        .unwrap();
    dir
}

/// The files in a folder that are models, or are none.
fn files(folder: &Path, models: bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_none_or(|e| e != "npz") == models)
        .collect();
    paths.sort();
    paths
}

/// The inputs and outputs of a model.
fn arrays(model: &Model, file: &Path) -> (Vec<Tensor>, Vec<Tensor>) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let stem = name.split('.').next().unwrap();
    let data = file.with_file_name(format!("{stem}.npz"));
    let mut npz = Npz::open(data.to_str().unwrap());
    let mut all = |letter: &str, n: usize| -> Vec<Tensor> {
        (0..n)
            .map(|k| npz.tensor(&format!("{letter}{k}")))
            .collect()
    };
    (all("x", model.inputs.len()), all("y", model.outputs.len()))
}

/// The difference of two tensors, relative to the largest value.
fn difference(found: &Tensor, expected: &Tensor) -> f32 {
    if found.shape() != expected.shape() {
        return f32::INFINITY;
    }
    let largest = expected.data().iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let pairs = found.data().iter().zip(expected.data());
    let difference = pairs.fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    difference / largest.max(f32::MIN_POSITIVE)
}

#[test]
fn every_model_equals_keras() {
    let dir = unpacked();
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in files(dir.path(), true) {
        if folder.ends_with("refused") || folder.ends_with("open") {
            continue;
        }
        for file in files(&folder, true) {
            count += 1;
            let name = file.strip_prefix(dir.path()).unwrap().display().to_string();
            let model = match import::load(&file) {
                Ok(model) => model,
                Err(error) => {
                    wrong.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let (inputs, expected) = arrays(&model, &file);
            let outputs = match forward(&model, &inputs) {
                Ok(outputs) => outputs,
                Err(error) => {
                    wrong.push(format!("{name}: {error}"));
                    continue;
                }
            };
            for (k, (y, e)) in outputs.iter().zip(&expected).enumerate() {
                let difference = difference(y, e);
                if difference > CLOSE {
                    let layer = &model.layers[model.outputs[k].layer];
                    let (layer, class) = (&layer.name, &layer.class_name);
                    wrong.push(format!(
                        "{name}: output {k} ({layer}, {class}) of {:?} differs by {difference:e}",
                        e.shape()
                    ));
                }
            }
            // What is converted computes the same.
            match convert(&model, &options) {
                Ok(conversion) => {
                    let relative = VerifyOptions {
                        atol: 1e-4,
                        ..VerifyOptions::default()
                    };
                    match verify(&model, &conversion.network, Some(&inputs), &relative) {
                        Ok(result) if result.passed() => {}
                        Ok(result) => wrong.push(format!("{name}: converted: {result:?}")),
                        Err(error) => wrong.push(format!("{name}: converted: {error}")),
                    }
                }
                Err(error) => wrong.push(format!("{name}: not converted: {error}")),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(count, FILES);
}

/// The models in the archive that run.
const FILES: usize = 170;

#[test]
fn what_is_unknown_is_named() {
    let dir = unpacked();
    for (file, parts) in [
        ("lambda_layer.h5", ["\"lambda\" (Lambda)", "Rescaling"]),
        ("lambda.keras", ["\"lambda\" (Lambda)", "Rescaling"]),
        (
            "custom_activation.keras",
            ["\"dense\" (Dense)", "mine>myact"],
        ),
        ("custom_layer.h5", ["(", "is no layer of Keras"]),
    ] {
        let model = import::load(&dir.path().join("refused").join(file)).unwrap();
        let error = convert(&model, &ConvertOptions::default())
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(error.contains(part), "{file}: {error}");
        }
    }
}

#[test]
fn axes_without_a_length_are_given_one() {
    let dir = unpacked();
    let file = dir.path().join("open/variable_length.h5");
    let mut model = import::load(&file).unwrap();
    let options = ConvertOptions::default();
    assert!(convert(&model, &options).is_err());
    let (inputs, expected) = arrays(&model, &file);
    let error = model.set_input_shapes(&[vec![64, 5]]).unwrap_err();
    assert!(error.to_string().contains("(None, 4)"), "{error}");
    model
        .set_input_shapes(&[inputs[0].shape()[1..].to_vec()])
        .unwrap();
    let conversion = convert(&model, &options).unwrap();
    let outputs = forward(&model, &inputs).unwrap();
    assert!(difference(&outputs[0], &expected[0]) < CLOSE);
    let relative = VerifyOptions {
        atol: 1e-4,
        ..VerifyOptions::default()
    };
    assert!(
        verify(&model, &conversion.network, Some(&inputs), &relative)
            .unwrap()
            .passed()
    );
}

#[test]
fn heads_are_left_out_of_images() {
    let dir = unpacked();
    for (file, head) in [
        ("keras-2.15/sigmoid_output.h5", Head::Sigmoid),
        ("keras-2.15/softmax_then_reshape.h5", Head::Softmax),
    ] {
        let model = import::load(&dir.path().join(file)).unwrap();
        let network = convert(&model, &ConvertOptions::default()).unwrap().network;
        let graph = lower(&network).unwrap();
        assert_eq!(graph.outputs[0].left_out, Some(head), "{file}");
        let labels: Vec<&str> = graph.populations.iter().map(|p| p.label.as_str()).collect();
        assert!(
            labels.iter().all(|label| !label.starts_with("dense")),
            "{file}: {labels:?}"
        );
    }
}

/// Values before each head, and Keras's behind it.
#[test]
fn heads_make_of_the_values_before_them_what_keras_does() {
    let dir = unpacked();
    let file = dir.path().join("keras-3.15/heads.keras");
    let model = import::load(&file).unwrap();
    let (inputs, expected) = arrays(&model, &file);
    let network = convert(&model, &ConvertOptions::default()).unwrap().network;
    let graph = lower(&network).unwrap();
    let given: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
    let count = inputs[0].shape()[0];
    let before = calibrate::forward(&graph, &given, count).unwrap().outputs;
    let heads = [
        (Head::Softmaxes, false),
        (Head::Softmax, true),
        (Head::HardSigmoid, true),
        (Head::HardTanh, false),
        (Head::Sigmoid, true),
        (Head::Tanh, false),
    ];
    for (k, (head, likely)) in heads.into_iter().enumerate() {
        assert_eq!(graph.outputs[k].left_out, Some(head), "output {k}");
        let size = before[k].len() / count;
        let values = before[k].chunks(size);
        for (values, expected) in values.zip(expected[k].data().chunks(size)) {
            let values: Vec<f64> = values.iter().map(|&v| v.into()).collect();
            let found = head.probabilities(&values);
            assert_eq!(found.is_some(), likely, "{head}");
            if head == Head::Softmaxes {
                continue;
            }
            let found = found.unwrap_or_else(|| values.iter().map(|&v| head.of(v)).collect());
            for (f, e) in found.iter().zip(expected) {
                assert!((f - f64::from(*e)).abs() < 1e-5, "{head}: {f} is not {e}");
            }
        }
    }
}

#[test]
fn linear_layers_become_populations_if_their_product_is_larger() {
    let dir = unpacked();
    let model = import::load(&dir.path().join("open/pooled.h5")).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    // A padded convolution behind a pooling that overlaps.
    let error = lower(&network).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    let graph = lower_apart(&network).unwrap();
    let labels: Vec<&str> = graph.populations.iter().map(|p| p.label.as_str()).collect();
    assert_eq!(labels.len(), 3, "{labels:?}");
    // Averages of rectified values are not below zero: the population is a rectifier.
    let graph = integrate_and_fire(&graph).unwrap();
    assert_eq!(graph.populations.len(), 3);
}
