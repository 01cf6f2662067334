//! Activations that no neurons have, in deployed images: sums of straight pieces.

mod npz;

use std::path::PathBuf;

use npz::Npz;
use tinyspike::calibrate::Samples;
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::emulate::{self, EmulateOptions};
use tinyspike::forward::forward;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::{curves, lower, lower_apart};
use tinyspike::model::{Activation, DataFormat, LayerConfig, Model, Padding, Pool, PoolKind};
use tinyspike::pipeline::{outputs, samples};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::tensor::Tensor;
use tinyspike::{DataSet, data, import};
use tinyspike_tests::deployment;
use tinyspike_tests::model::Builder;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
}

/// A dense network of this activation.
fn dense(activation: Activation) -> Model {
    let mut builder = Builder::new();
    let input = builder.input(&[12]);
    let hidden = builder.dense(input, 16, activation);
    let last = builder.dense(hidden, 5, Activation::Linear);
    builder.finish(&[last])
}

/// A padded convolution with an activation, max pooling, and another one, channels first or last.
fn convolutions(activation: Activation, format: DataFormat) -> Model {
    let shape = |[y, x, c]: [usize; 3]| match format {
        DataFormat::ChannelsLast => [y, x, c],
        DataFormat::ChannelsFirst => [c, y, x],
    };
    let mut builder = Builder::new();
    let input = builder.input(&shape([8, 7, 3]));
    let mut conv = Builder::convolution(4, &[3, 3]);
    (conv.activation, conv.data_format) = (activation, format);
    let first = builder.conv_with(input, conv.clone());
    let pool = LayerConfig::Pool(Pool {
        kind: PoolKind::Max,
        rank: 2,
        pool_size: vec![2, 2],
        strides: vec![2, 2],
        padding: Padding::Valid,
        data_format: format,
    });
    let pooled = builder.plain("MaxPooling2D", pool, &[first], &shape([4, 3, 4]));
    let second = builder.conv_with(pooled, conv);
    let flat = builder.flatten(second, format);
    let last = builder.dense(flat, 3, Activation::Linear);
    builder.finish(&[last])
}

/// The largest difference of the deployed graph's outputs from the model's, relative to the largest output.
fn difference(model: &Model) -> (f32, usize) {
    let network = convert(model, &ConvertOptions::default()).unwrap().network;
    let graph = integrate_and_fire(&lower_apart(&network).unwrap()).unwrap();
    let shape = network.nodes[network.inputs[0].1.0].size_out;
    let mut numbers = Builder::new();
    let count = 40;
    let x = numbers.numbers(count * shape, 2.0);
    let found = outputs(&graph, &x, count).unwrap();
    let own = model.shape_of(model.inputs[0]).unwrap();
    let axes = [count].into_iter().chain(own.iter().flatten().copied());
    let tensor = Tensor::new(axes.collect(), x).unwrap();
    let expected = forward(model, &[tensor]).unwrap();
    let expected = expected[0].data();
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let pairs = found.iter().zip(expected);
    let difference = pairs.fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    (difference / largest, graph.populations.len())
}

#[test]
fn activations_of_straight_pieces_are_exact() {
    for (activation, populations) in [
        (Activation::HardSigmoid, 1),
        (Activation::SteepHardSigmoid, 1),
        (Activation::HardTanh, 1),
        (Activation::SoftShrink, 2),
    ] {
        let (difference, found) = difference(&dense(activation));
        assert!(difference < 1e-3, "{activation}: {difference}");
        assert_eq!(found, populations, "{activation}");
    }
}

#[test]
fn smooth_activations_are_near() {
    for activation in [
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Elu,
        Activation::Selu,
        Activation::Swish,
        Activation::Gelu,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Mish,
        Activation::HardSilu,
        Activation::LogSigmoid,
    ] {
        let (difference, populations) = difference(&dense(activation));
        assert!(difference < 0.04, "{activation}: {difference}");
        assert!(populations <= 14, "{activation}: {populations}");
    }
}

/// Padding is 0 and not the least value, pooling is of the sum and not of the pieces, channels keep their order.
#[test]
fn padding_and_pooling_see_the_activation() {
    for format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
        for activation in [Activation::Tanh, Activation::Elu, Activation::Swish] {
            let (difference, _) = difference(&convolutions(activation, format));
            // Two layers that each miss swish by 0.03; padding with tanh's least value would miss it by half and more.
            assert!(difference < 0.08, "{activation} {format:?}: {difference}");
        }
    }
}

#[test]
fn what_has_no_pieces_is_refused_by_name() {
    let network = convert(&dense(Activation::Exponential), &ConvertOptions::default());
    let network = network.unwrap().network;
    assert!(curves(&network).is_empty());
    let error = lower_apart(&network).unwrap_err().to_string();
    for part in ["dense_1", "exponential", "train"] {
        assert!(error.contains(part), "{error}");
    }
    // An exact image takes the network's own steps.
    let tanh = convert(&dense(Activation::Elu), &ConvertOptions::default());
    let tanh = tanh.unwrap().network;
    assert_eq!(curves(&tanh)[0].function, "elu");
    assert!(lower(&tanh).is_err());
}

/// The share of samples, behind those for calibration, that an image puts into the model's class.
fn agreement(model: &Model, x: &Tensor, calibrated: usize) -> f64 {
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let network = convert(model, &options).unwrap().network;
    let (count, shape) = (x.shape()[0], x.shape()[1..].to_vec());
    let size: usize = shape.iter().product();
    let (seen, unseen) = x.data().split_at(calibrated * size);
    let samples = Samples {
        inputs: vec![seen.to_vec()],
        count: calibrated,
    };
    let settings = QuantizeOptions {
        max_count: 63,
        ..QuantizeOptions::default()
    };
    let built = deployment::plain(&network, Some(&samples), &settings).unwrap();
    let image = built.image.image();
    let rest = count - calibrated;
    let set = DataSet::new(shape.clone(), data::Samples::F32(unseen.to_vec()), None).unwrap();
    let run = emulate::run(&image, &set, 0..rest, &EmulateOptions::default(), &|_| ()).unwrap();
    let axes = [rest].into_iter().chain(shape).collect();
    let y = forward(model, &[Tensor::new(axes, unseen.to_vec()).unwrap()]).unwrap();
    let best = |values: &[f64]| {
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        values.iter().position(|v| *v == largest)
    };
    let same = (y[0].data().chunks(y[0].len() / rest).zip(&run.trials))
        .filter(|(y, trial)| {
            let float: Vec<f64> = y.iter().map(|&v| v.into()).collect();
            let spiking: Vec<f64> = trial.outputs.iter().map(|&v| v.into()).collect();
            best(&float) == best(&spiking)
        })
        .count();
    same as f64 / rest as f64
}

/// Networks that were trained with tanh, sigmoid, ELU and swish keep their classes.
#[test]
fn trained_networks_keep_their_classes() {
    let model = import::load(&path("tests/fixtures/keras/curves.keras")).unwrap();
    let calibration = data::load(path("data/mnist_calibration2k.npz")).unwrap();
    let test = data::load(path("data/mnist_test10k.npz")).unwrap();
    let mut x = samples(&calibration, 300).inputs.concat();
    x.extend(test.take(700).to_floats());
    let digits = Tensor::new(vec![1000, 28, 28, 1], x).unwrap();
    let share = agreement(&model, &digits, 300);
    assert!(share >= 0.97, "{share}");

    let model = import::load(&path("tests/fixtures/keras/conv1d_series.keras")).unwrap();
    let series = Npz::open("tests/fixtures/data/series_test.npz").tensor("x");
    let share = agreement(&model, &series, 128);
    assert!(share >= 0.95, "{share}");
}
