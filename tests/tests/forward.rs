//! The forward pass against what Keras computed for the same models and inputs.

mod npz;

use npz::{Npz, path};
use tinyspike::forward::{self, ForwardError};
use tinyspike::import;
use tinyspike::tensor::Tensor;

/// Keras's outputs are float32 sums in another order.
const TOLERANCE: f32 = 1e-4;

fn check(model: &str, reference: &str) {
    let model = import::load(&path(model)).unwrap();
    let mut npz = Npz::open(&format!("tests/fixtures/forward/{reference}_ref16.npz"));
    let (x, expected) = (npz.tensor("x"), npz.tensor("keras_out"));
    let outputs = forward::forward(&model, &[x]).unwrap();
    let [y] = outputs.as_slice() else {
        panic!("{} outputs", outputs.len())
    };
    assert_eq!(y.shape(), expected.shape());
    let difference = y
        .data()
        .iter()
        .zip(expected.data())
        .map(|(y, e)| (y - e).abs())
        .fold(0.0, f32::max);
    assert!(
        difference <= TOLERANCE,
        "{reference}: differs by {difference}"
    );
}

#[test]
fn mnist_small() {
    check("models/mnist_small.keras", "mnist_small");
}

#[test]
fn mnist_mlp() {
    check("models/mnist_mlp.keras", "mnist_mlp");
}

#[test]
fn mnist_mlp_nodropout() {
    check(
        "tests/fixtures/keras/mnist_mlp_nodropout.keras",
        "mnist_mlp_nodropout",
    );
}

/// Batch normalization and max pooling.
#[test]
fn mnist_pool_bn() {
    check("models/mnist_pool_bn.keras", "mnist_pool_bn");
}

#[test]
fn mnist_forum_kr() {
    check("models/mnist_forum_kr.keras", "mnist_forum_kr");
}

/// Conv1D, LeakyReLU, Concatenate, Add, ZeroPadding, UpSampling and Reshape.
#[test]
fn conv1d_series() {
    check("tests/fixtures/keras/conv1d_series.keras", "conv1d_series");
}

/// ELU, depthwise convolution, LayerNormalization, GRU, and a softmax in the middle.
#[test]
fn mnist_unsupported() {
    check(
        "tests/fixtures/keras/mnist_unsupported.keras",
        "mnist_unsupported",
    );
}

/// A batch goes through in parts; an item's result must not depend on its place.
#[test]
fn parts_of_a_batch_agree() {
    let model = import::load(&path("models/mnist_small.keras")).unwrap();
    let mut npz = Npz::open("tests/fixtures/forward/mnist_small_ref16.npz");
    let x = npz.tensor("x");
    let once = forward::forward(&model, std::slice::from_ref(&x)).unwrap();
    let mut shape = x.shape().to_vec();
    shape[0] *= 5;
    let five = Tensor::new(shape, x.data().repeat(5)).unwrap();
    let y = forward::forward(&model, &[five]).unwrap();
    assert_eq!(y[0].shape(), [80, 10]);
    assert_eq!(y[0].data(), once[0].data().repeat(5));
}

#[test]
fn wrong_inputs_are_named() {
    let model = import::load(&path("models/mnist_small.keras")).unwrap();
    let x = Tensor::filled(vec![2, 27, 28, 1], 0.0);
    let error = forward::forward(&model, &[x]).unwrap_err();
    assert!(matches!(error, ForwardError::InputShape { .. }));
    let text = error.to_string();
    assert!(
        text.contains("(28, 28, 1)") && text.contains("27"),
        "{text}"
    );
    assert!(matches!(
        forward::forward(&model, &[]).unwrap_err(),
        ForwardError::InputCount { .. }
    ));
}

/// A layer of nearly every class, each with an output of its own; Keras 3.15 made the values.
#[test]
fn every_layer() {
    let model = import::load(&path("tests/fixtures/keras/layers.keras")).unwrap();
    let mut npz = Npz::open("tests/fixtures/forward/layers.npz");
    let inputs: Vec<Tensor> = model
        .inputs
        .iter()
        .map(|i| npz.tensor(&format!("x_{}", model.layers[i.layer].name)))
        .collect();
    let mut names: Vec<String> = npz.names();
    names.retain(|n| n.starts_with('y'));
    names.sort();
    assert_eq!(names.len(), model.outputs.len());
    let outputs = forward::forward(&model, &inputs).unwrap();
    let wrong: Vec<String> = names
        .iter()
        .zip(&outputs)
        .filter_map(|(name, y)| {
            let expected = npz.tensor(name);
            if y.shape() != expected.shape() {
                return Some(format!(
                    "{name}: {:?} not {:?}",
                    y.shape(),
                    expected.shape()
                ));
            }
            let difference = (y.data().iter().zip(expected.data()))
                .map(|(y, e)| (y - e).abs() / e.abs().max(1.0))
                .fold(0.0, f32::max);
            (difference > 2e-6).then(|| format!("{name}: {difference:e}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
