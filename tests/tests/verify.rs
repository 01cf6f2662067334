//! Converted networks compute what their Keras models compute.

mod npz;

use npz::{Npz, path};
use tinyspike::convert::{self, Conversion, ConvertOptions};
use tinyspike::import;
use tinyspike::keras::{VerifyOptions, verify};
use tinyspike::model::Model;
use tinyspike::network::{NodeKind, Transform};
use tinyspike::tensor::Tensor;

/// Tolerance for real images, on which some outputs are all but 0 while others reach 20: the order of float32
/// sums changes them by more than the default tolerance, which is relative to each value.
const ROUNDING: f64 = 1e-5;

fn load(model: &str) -> Model {
    let bundled = path(&format!("models/{model}.keras"));
    let fixture = path(&format!("tests/fixtures/keras/{model}.keras"));
    import::load(if bundled.exists() { &bundled } else { &fixture }).unwrap()
}

fn check(name: &str, options: &ConvertOptions) {
    let model = load(name);
    let conversion = convert::convert(&model, options).unwrap();
    let x = Npz::open(&format!("tests/fixtures/forward/{name}_ref16.npz")).tensor("x");
    let on_images = VerifyOptions {
        atol: ROUNDING,
        ..VerifyOptions::default()
    };
    for (inputs, tolerance) in [(None, VerifyOptions::default()), (Some([x]), on_images)] {
        let inputs = inputs.as_ref().map(<[Tensor; 1]>::as_slice);
        let result = verify(&model, &conversion.network, inputs, &tolerance).unwrap();
        assert!(result.passed(), "{name}: {result:#?}");
        assert!(result.outputs.iter().all(|o| o.max_magnitude > 0.0));
    }
}

/// Compares all models, with fallbacks to tensor nodes wherever NengoDL falls back, and without.
#[test]
fn all_models() {
    for name in [
        "mnist_small",
        "mnist_mlp",
        "mnist_mlp_nodropout",
        "mnist_pool_bn",
        "mnist_forum_kr",
        "conv1d_series",
        "mnist_unsupported",
    ] {
        for inference_only in [false, true] {
            for nengo_dl_compat in [false, true] {
                let options = ConvertOptions {
                    inference_only,
                    nengo_dl_compat,
                    ..ConvertOptions::default()
                };
                check(name, &options);
            }
        }
    }
}

fn broken() -> (Model, Conversion) {
    let model = load("mnist_small");
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let mut conversion = convert::convert(&model, &options).unwrap();
    let weights = (conversion.network.connections.iter_mut())
        .filter_map(|c| match &mut c.transform {
            Transform::Dense(w) if w.len() > 100 => Some(w),
            _ => None,
        })
        .next()
        .unwrap();
    let mut data = weights.data().to_vec();
    data[7] += 0.5;
    *weights = Tensor::new(weights.shape().to_vec(), data).unwrap();
    (model, conversion)
}

#[test]
fn a_wrong_weight_is_found() {
    let (model, conversion) = broken();
    let x = Npz::open("tests/fixtures/forward/mnist_small_ref16.npz").tensor("x");
    let result = verify(
        &model,
        &conversion.network,
        Some(&[x]),
        &VerifyOptions::default(),
    )
    .unwrap();
    assert!(!result.passed());
    assert!(result.outputs[0].failures > 0 && result.outputs[0].max_difference > 1e-4);
}

/// A conversion that changes what the model computes must not pass.
#[test]
fn average_for_maximum_is_found() {
    let model = load("mnist_pool_bn");
    let options = ConvertOptions {
        inference_only: true,
        max_to_avg_pool: true,
        ..ConvertOptions::default()
    };
    let conversion = convert::convert(&model, &options).unwrap();
    let tensors = (conversion.network.nodes.iter())
        .filter(|n| matches!(n.kind, NodeKind::Tensor(_)))
        .count();
    assert_eq!(tensors, 0);
    let x = Npz::open("tests/fixtures/forward/mnist_pool_bn_ref16.npz").tensor("x");
    let result = verify(
        &model,
        &conversion.network,
        Some(&[x]),
        &VerifyOptions::default(),
    )
    .unwrap();
    assert!(!result.passed());
}
