//! What deploys: networks whose lowered graph computes what Keras does, and whose image runs close to
//! it.

mod npz;

use npz::{Npz, path};
use tinyspike::assemble::{Image, aligned_copy};
use tinyspike::calibrate::{self, Samples};
use tinyspike::convert::{ActivationType, ConvertOptions, convert};
use tinyspike::emulate::{EmulateOptions, HostEngine, emulate};
use tinyspike::lower::{Graph, LinearMap, SourceMap, lower};
use tinyspike::model::{Activation, DataFormat, LayerConfig, Model, Padding, PoolKind};
use tinyspike::pipeline::{Build, build, float_accuracy, samples};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::tensor::Tensor;
use tinyspike::{data, forward, import};
use tinyspike_tests::model::Builder;

/// Two orders of float32 sums.
const EXACT: f32 = 1e-4;
/// The root of the mean squared error of a spiking network's outputs, relative to the outputs' own.
const CLOSE: f32 = 0.06;
const SAMPLES: usize = 24;

/// Builds a model and compares the graph with Keras's arithmetic, and the image with the graph.
fn deploys(mut builder: Builder, outputs: &[usize]) -> Build {
    let noise = builder.numbers(1 << 16, 1.0);
    let model = builder.finish(outputs);
    // The batch axis is the first.
    let inputs: Vec<Tensor> = model
        .inputs
        .iter()
        .map(|input| {
            let shape = &model.layers[input.layer].calls[0].output_shapes[0];
            let mut batch = vec![SAMPLES];
            batch.extend(shape.iter().flatten());
            let n = batch.iter().product();
            let data = noise.iter().cycle().take(n).map(|v| v.abs()).collect();
            Tensor::new(batch, data).unwrap()
        })
        .collect();
    let expected = forward::forward(&model, &inputs).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    let graph = lower(&network).unwrap();
    let given: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
    let values = calibrate::forward(&graph, &given, SAMPLES).unwrap();
    for (value, expected) in values.outputs.iter().zip(&expected) {
        assert_eq!(value.len(), expected.len());
        for (v, e) in value.iter().zip(expected.data()) {
            assert!((v - e).abs() <= EXACT * e.abs().max(1.0), "{v} is not {e}");
        }
    }

    let calibration = Samples {
        inputs: inputs.iter().map(|i| i.data().to_vec()).collect(),
        count: SAMPLES,
    };
    let quantize = QuantizeOptions {
        steps: 16,
        ..QuantizeOptions::default()
    };
    let built = build(&network, Some(&calibration), &quantize, &|_| {}).unwrap();
    let bytes = aligned_copy(&built.image);
    let image = Image::parse(&bytes).unwrap();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let (mut error, mut signal) = (0.0, 0.0);
    for sample in 0..SAMPLES {
        let coded: Vec<Vec<u8>> = built
            .quantized
            .inputs
            .iter()
            .zip(&inputs)
            .map(|(input, values)| {
                let values = &values.data()[sample * input.size..][..input.size];
                let code = |v: &f32| (f64::from(*v) / input.scale).round() as u8;
                values.iter().map(code).collect()
            })
            .collect();
        let coded: Vec<&[u8]> = coded.iter().map(Vec::as_slice).collect();
        engine.reset();
        engine.set_inputs(&coded).unwrap();
        while engine.step() {}
        for (o, expected) in expected.iter().enumerate() {
            let scale = built.quantized.outputs[o].scale as f32 / f32::from(quantize.steps);
            let n = expected.len() / SAMPLES;
            let expected = &expected.data()[sample * n..][..n];
            let output = engine.output(o);
            let shown: Vec<f32> = output.values().map(|v| v as f32 * scale).collect();
            assert_eq!(shown.len(), n);
            for (v, e) in shown.iter().zip(expected) {
                error += (v - e) * (v - e);
                signal += e * e;
            }
        }
    }
    let relative = (error / signal).sqrt();
    assert!(relative <= CLOSE, "the image is {relative} off");
    built
}

fn refusal(builder: Builder, outputs: &[usize]) -> String {
    let model = builder.finish(outputs);
    let network = convert(&model, &ConvertOptions::default()).unwrap().network;
    lower(&network).unwrap_err().to_string()
}

fn sources(graph: &Graph) -> Vec<&'static str> {
    let name = |map: &SourceMap| match map {
        SourceMap::Direct => "direct",
        SourceMap::Window(_) => "window",
        SourceMap::Table { .. } => "table",
    };
    graph.links.iter().map(|l| name(&l.source)).collect()
}

fn pool(b: &mut Builder, input: usize, size: [usize; 2], strides: [usize; 2]) -> usize {
    let s = b.shape(input);
    let places = [0, 1].map(|axis| (s[axis] - size[axis]) / strides[axis] + 1);
    let config = LayerConfig::Pool {
        kind: PoolKind::Average,
        rank: 2,
        pool_size: size.to_vec(),
        strides: strides.to_vec(),
        padding: Padding::Valid,
        data_format: DataFormat::ChannelsLast,
    };
    b.plain(
        "AveragePooling2D",
        config,
        &[input],
        &[places[0], places[1], s[2]],
    )
}

fn head(b: &mut Builder, input: usize) -> usize {
    let flat = b.flatten(input, DataFormat::ChannelsLast);
    b.dense(flat, 4, Activation::Linear)
}

#[test]
fn average_pooling_before_convolution_and_matrix() {
    let mut b = Builder::new();
    let x = b.input(&[9, 10, 2]);
    let c = b.conv(x, 4, &[3, 3]);
    // The last row is cut off.
    let p = pool(&mut b, c, [2, 2], [2, 2]);
    let c = b.conv(p, 5, &[3, 3]);
    let p = pool(&mut b, c, [2, 3], [2, 3]);
    let y = head(&mut b, p);
    let built = deploys(b, &[y]);
    assert_eq!(sources(&built.graph), ["direct", "window", "window"]);
}

#[test]
fn overlapping_pools_are_composed_with_the_convolution() {
    let mut b = Builder::new();
    let x = b.input(&[9, 9, 2]);
    let c = b.conv(x, 4, &[3, 3]);
    let p = pool(&mut b, c, [3, 3], [2, 2]);
    let c = Builder::convolution(5, &[2, 2]);
    let c = b.conv_with(
        p,
        tinyspike::model::Conv {
            padding: Padding::Valid,
            ..c
        },
    );
    let y = head(&mut b, c);
    let built = deploys(b, &[y]);
    assert_eq!(sources(&built.graph), ["direct"; 3]);
}

#[test]
fn pooling_of_an_input_between_linear_layers_and_at_the_end() {
    let mut b = Builder::new();
    let x = b.input(&[8, 8, 3]);
    let p = pool(&mut b, x, [2, 2], [2, 2]);
    let mut linear = Builder::convolution(6, &[3, 3]);
    linear.activation = Activation::Linear;
    let c = b.conv_with(p, linear);
    let p = pool(&mut b, c, [2, 2], [2, 2]);
    let r = b.relu(p);
    let g = b.plain(
        "GlobalAveragePooling2D",
        LayerConfig::GlobalPool {
            kind: PoolKind::Average,
            rank: 2,
            data_format: DataFormat::ChannelsLast,
            keepdims: false,
        },
        &[r],
        &[6],
    );
    let y = b.dense(g, 3, Activation::Linear);
    let built = deploys(b, &[g, y]);
    assert_eq!(sources(&built.graph), ["window"; 3]);
}

#[test]
fn normalization_scale_and_linear_layers_fold() {
    let mut b = Builder::new();
    let x = b.input(&[6, 6, 2]);
    let r = b.plain(
        "Rescaling",
        LayerConfig::Rescaling {
            scale: vec![2.0],
            offset: vec![-0.5],
        },
        &[x],
        &[6, 6, 2],
    );
    let mut linear = Builder::convolution(5, &[3, 3]);
    linear.activation = Activation::Linear;
    let c = b.conv_with(r, linear);
    let n = b.normalization(c, -1);
    let r = b.relu(n);
    let n = b.normalization(r, -1);
    let f = b.flatten(n, DataFormat::ChannelsLast);
    let d = b.dense(f, 9, Activation::Linear);
    let d = b.dense(d, 8, Activation::Relu);
    let n = b.normalization(d, -1);
    let y = b.dense(n, 4, Activation::Linear);
    let built = deploys(b, &[y]);
    assert_eq!(sources(&built.graph), ["direct"; 3]);
    assert_eq!(built.graph.populations.len(), 2);
}

#[test]
fn residual_branches_add() {
    let mut b = Builder::new();
    let x = b.input(&[6, 6, 3]);
    let a = b.conv(x, 4, &[3, 3]);
    let mut linear = Builder::convolution(4, &[3, 3]);
    linear.activation = Activation::Linear;
    let c = b.conv(a, 4, &[3, 3]);
    let c = b.conv_with(c, linear);
    let s = b.plain("Add", LayerConfig::Add, &[a, c], &[6, 6, 4]);
    let r = b.relu(s);
    let m = b.plain("Average", LayerConfig::Average, &[r, a], &[6, 6, 4]);
    let y = head(&mut b, m);
    deploys(b, &[y]);
}

#[test]
fn concatenation_along_channels_takes_no_map() {
    let mut b = Builder::new();
    let x = b.input(&[6, 6, 2]);
    let a = b.conv(x, 3, &[3, 3]);
    let c = b.conv(x, 4, &[1, 1]);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate { axis: -1 },
        &[a, c],
        &[6, 6, 7],
    );
    let n = b.normalization(k, -1);
    let r = b.relu(n);
    let c = b.conv(r, 4, &[3, 3]);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate { axis: -1 },
        &[c, r],
        &[6, 6, 11],
    );
    let c = b.conv(k, 4, &[3, 3]);
    let y = head(&mut b, c);
    let built = deploys(b, &[y]);
    assert!(sources(&built.graph).iter().all(|s| *s == "direct"));
}

#[test]
fn concatenation_of_linear_layers_reaches_parts_of_the_target() {
    let mut b = Builder::new();
    let x = b.input(&[5, 5, 2]);
    let mut linear = Builder::convolution(3, &[3, 3]);
    linear.activation = Activation::Linear;
    let a = b.conv_with(x, linear.clone());
    let c = b.conv_with(x, linear);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate { axis: -1 },
        &[a, c],
        &[5, 5, 6],
    );
    let r = b.relu(k);
    let f = b.flatten(r, DataFormat::ChannelsLast);
    let a = b.dense(f, 4, Activation::Linear);
    let c = b.dense(f, 3, Activation::Linear);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate { axis: -1 },
        &[a, c],
        &[7],
    );
    let r = b.relu(k);
    let y = b.dense(r, 3, Activation::Linear);
    let built = deploys(b, &[y]);
    let parts = built.graph.links.iter().filter(|l| match &l.map {
        LinearMap::Dense(d) => d.first > 0,
        LinearMap::Convolution(c) => c.first > 0,
    });
    assert_eq!(parts.count(), 2);
}

#[test]
fn padding_cropping_upsampling_and_permutation() {
    let mut b = Builder::new();
    let x = b.input(&[6, 5, 2]);
    let valid = |filters| tinyspike::model::Conv {
        padding: Padding::Valid,
        ..Builder::convolution(filters, &[3, 3])
    };
    let pad = |b: &mut Builder, input: usize, padding: [(usize, usize); 2]| {
        let s = b.shape(input);
        let shape = [
            s[0] + padding[0].0 + padding[0].1,
            s[1] + padding[1].0 + padding[1].1,
            s[2],
        ];
        let config = LayerConfig::ZeroPadding {
            rank: 2,
            padding: padding.to_vec(),
            data_format: DataFormat::ChannelsLast,
        };
        b.plain("ZeroPadding2D", config, &[input], &shape)
    };
    let p = pad(&mut b, x, [(1, 2), (2, 0)]);
    let c = b.conv_with(p, valid(4));
    // More zeros than a kernel reaches.
    let p = pad(&mut b, c, [(3, 1), (0, 3)]);
    let c = b.conv_with(p, valid(3));
    let s = b.shape(c);
    let u = b.plain(
        "UpSampling2D",
        LayerConfig::UpSampling {
            rank: 2,
            size: vec![2, 3],
            data_format: DataFormat::ChannelsLast,
            interpolation: "nearest".into(),
        },
        &[c],
        &[s[0] * 2, s[1] * 3, s[2]],
    );
    let c = b.conv_with(u, valid(3));
    let s = b.shape(c);
    let k = b.plain(
        "Cropping2D",
        LayerConfig::Cropping {
            rank: 2,
            cropping: vec![(1, 2), (0, 3)],
            data_format: DataFormat::ChannelsLast,
        },
        &[c],
        &[s[0] - 3, s[1] - 3, s[2]],
    );
    let c = b.conv_with(k, valid(3));
    let s = b.shape(c);
    let t = b.plain(
        "Permute",
        LayerConfig::Permute {
            dims: vec![2, 1, 3],
        },
        &[c],
        &[s[1], s[0], s[2]],
    );
    let c = b.conv_with(t, valid(3));
    let y = head(&mut b, c);
    let built = deploys(b, &[y]);
    assert_eq!(
        sources(&built.graph),
        ["direct", "window", "window", "window", "table", "direct"]
    );
}

#[test]
fn grouped_dilated_depthwise_and_separable_convolutions() {
    let mut b = Builder::new();
    let x = b.input(&[9, 8, 4]);
    let grouped = tinyspike::model::Conv {
        groups: 2,
        strides: vec![2, 1],
        ..Builder::convolution(6, &[3, 3])
    };
    let c = b.conv_with(x, grouped);
    let dilated = tinyspike::model::Conv {
        dilation_rate: vec![2, 3],
        ..Builder::convolution(4, &[3, 2])
    };
    let c = b.conv_with(c, dilated);
    let c = b.depthwise(c, Builder::convolution(0, &[3, 3]), 2);
    let c = b.separable(c, Builder::convolution(5, &[3, 3]));
    let y = head(&mut b, c);
    let built = deploys(b, &[y]);
    assert_eq!(sources(&built.graph), ["direct"; 5]);
}

#[test]
fn convolutions_over_one_axis() {
    let mut b = Builder::new();
    let x = b.input(&[20, 3]);
    let causal = tinyspike::model::Conv {
        padding: Padding::Causal,
        dilation_rate: vec![2],
        ..Builder::convolution(5, &[3])
    };
    let c = b.conv_with(x, causal);
    let c = b.conv(c, 4, &[4]);
    let p = b.plain(
        "AveragePooling1D",
        LayerConfig::Pool {
            kind: PoolKind::Average,
            rank: 1,
            pool_size: vec![3],
            strides: vec![3],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
        },
        &[c],
        &[6, 4],
    );
    // Along the last axis.
    let d = b.dense(p, 5, Activation::Relu);
    let y = head(&mut b, d);
    let built = deploys(b, &[y]);
    assert_eq!(
        sources(&built.graph),
        ["direct", "direct", "window", "direct"]
    );
}

#[test]
fn channels_first_models_run_channels_last() {
    let mut b = Builder::new();
    let x = b.input(&[1, 8, 7]);
    let first = |filters| tinyspike::model::Conv {
        data_format: DataFormat::ChannelsFirst,
        ..Builder::convolution(filters, &[3, 3])
    };
    let c = b.conv_with(x, first(4));
    let n = b.normalization(c, 1);
    let p = b.plain(
        "AveragePooling2D",
        LayerConfig::Pool {
            kind: PoolKind::Average,
            rank: 2,
            pool_size: vec![2, 2],
            strides: vec![2, 2],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsFirst,
        },
        &[n],
        &[4, 4, 3],
    );
    let c = b.conv_with(p, first(5));
    let f = b.flatten(c, DataFormat::ChannelsFirst);
    let y = b.dense(f, 4, Activation::Linear);
    let built = deploys(b, &[y]);
    assert_eq!(sources(&built.graph), ["direct", "window", "direct"]);
}

#[test]
fn several_inputs_and_outputs() {
    let mut b = Builder::new();
    let x = b.input(&[6, 6, 2]);
    let z = b.input(&[7]);
    let c = b.conv(x, 3, &[3, 3]);
    let f = b.flatten(c, DataFormat::ChannelsLast);
    let d = b.dense(z, 6, Activation::Relu);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate { axis: -1 },
        &[f, d],
        &[114],
    );
    let h = b.dense(k, 8, Activation::Relu);
    let y = b.dense(h, 3, Activation::Linear);
    let w = b.dense(h, 2, Activation::Linear);
    deploys(b, &[y, w]);
}

#[test]
fn a_leaky_relu_is_two_populations() {
    let mut b = Builder::new();
    let x = b.input(&[6, 6, 2]);
    let mut linear = Builder::convolution(4, &[3, 3]);
    linear.activation = Activation::Linear;
    let c = b.conv_with(x, linear);
    let l = b.plain(
        "LeakyReLU",
        LayerConfig::LeakyRelu {
            negative_slope: 0.2,
        },
        &[c],
        &[6, 6, 4],
    );
    let c = b.conv(l, 4, &[3, 3]);
    let y = head(&mut b, c);
    let built = deploys(b, &[y]);
    let labels: Vec<&str> = built
        .graph
        .populations
        .iter()
        .map(|p| p.label.as_str())
        .collect();
    assert_eq!(
        labels[..2],
        ["leakyrelu_2.0.positive", "leakyrelu_2.0.negative"]
    );
}

#[test]
fn what_does_not_deploy_is_named() {
    let mut b = Builder::new();
    let x = b.input(&[4]);
    let h = b.dense(x, 3, Activation::Tanh);
    let y = b.dense(h, 2, Activation::Linear);
    let text = refusal(b, &[y]);
    assert!(
        text.contains("dense_1.0") && text.contains("Tanh") && text.contains("--swap-activation"),
        "{text}"
    );

    let mut b = Builder::new();
    let x = b.input(&[4, 4, 4, 2]);
    let c = b.conv(x, 3, &[3, 3, 3]);
    let y = head(&mut b, c);
    let text = refusal(b, &[y]);
    assert!(
        text.contains("conv3d_1.0") && text.contains("over 3 axes"),
        "{text}"
    );
}

/// Max pooling as average pooling, on the whole test set: the spiking network at default settings
/// loses at most half a point against the float network with the same pooling.
#[test]
fn mnist_pool_bn_keeps_its_accuracy() {
    let model = import::load(&path("models/mnist_pool_bn.keras")).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        max_to_avg_pool: true,
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    let calibration = data::load(path("data/mnist_calibration2k.npz")).unwrap();
    let test = data::load(path("data/mnist_test10k.npz")).unwrap();
    let samples = samples(&calibration, 512);
    let built = build(
        &network,
        Some(&samples),
        &QuantizeOptions::default(),
        &|_| {},
    )
    .unwrap();
    let float = float_accuracy(&built.graph, &test, &|_| {})
        .unwrap()
        .unwrap();
    let bytes = aligned_copy(&built.image);
    let image = Image::parse(&bytes).unwrap();
    let report = emulate(&image, &test, &EmulateOptions::default(), &|_| {}).unwrap();
    let spiking = report.accuracy.unwrap();
    assert!(float - spiking <= 0.005, "{float} falls to {spiking}");
    assert!(report.steps_mean <= 4.0);
}

fn series() -> Model {
    import::load(&path("tests/fixtures/keras/conv1d_series.keras")).unwrap()
}

#[test]
fn conv1d_series_is_refused_for_its_activations() {
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let network = convert(&series(), &options).unwrap().network;
    let text = lower(&network).unwrap_err().to_string();
    for part in ["Tanh", "Sigmoid", "--swap-activation"] {
        assert!(text.contains(part), "{text}");
    }
}

/// With relu in place of tanh and sigmoid, the image chooses the class that the float network does.
#[test]
fn conv1d_series_with_relu_tracks_the_float_network() {
    let relu = ActivationType::from(Activation::Relu);
    let options = ConvertOptions {
        inference_only: true,
        swap_activations: vec![
            (Activation::Tanh.into(), relu.clone()),
            (Activation::Sigmoid.into(), relu),
        ],
        ..ConvertOptions::default()
    };
    let network = convert(&series(), &options).unwrap().network;
    let mut npz = Npz::open("tests/fixtures/data/series_test.npz");
    let x = npz.tensor("x");
    let count = x.shape()[0];
    let size = x.len() / count;
    let calibrated = 128.min(count / 2);
    let samples = Samples {
        inputs: vec![x.data()[..calibrated * size].to_vec()],
        count: calibrated,
    };
    let quantize = QuantizeOptions {
        steps: 4,
        ..QuantizeOptions::default()
    };
    let built = build(&network, Some(&samples), &quantize, &|_| {}).unwrap();
    let bytes = aligned_copy(&built.image);
    let image = Image::parse(&bytes).unwrap();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let input = &built.quantized.inputs[0];
    let code = |v: &f32| {
        ((f64::from(*v) / input.scale).round() + f64::from(input.zero_point))
            .min(f64::from(input.max)) as u8
    };
    let steps = f32::from(quantize.steps);
    let scale = built.quantized.outputs[0].scale as f32 / steps;
    let classes = built.graph.outputs[0].bias.len();
    // By the float network's class: how many samples there are, and how many agree.
    let mut chosen = vec![(0, 0); classes];
    let (mut error, mut signal) = (0.0, 0.0);
    for sample in x.data()[calibrated * size..].chunks(size) {
        let float = calibrate::forward(&built.graph, &[sample], 1).unwrap();
        let y = &float.outputs[0];
        let best = (0..y.len()).fold(0, |b, i| if y[i] > y[b] { i } else { b });
        let coded: Vec<u8> = sample.iter().map(code).collect();
        engine.reset();
        engine.set_input(&coded).unwrap();
        while engine.step() {}
        let output = engine.output(0);
        chosen[best].0 += 1;
        chosen[best].1 += usize::from(output.class() == best);
        for (value, y) in output.values().zip(y) {
            error += (value as f32 * scale - y).powi(2);
            signal += y * y;
        }
    }
    // The float network itself prefers one class by far: each class must be found.
    assert!(chosen.iter().filter(|(n, _)| *n > 0).count() > 1);
    for (n, agree) in &chosen {
        assert!(agree * 10 >= n * 9, "{chosen:?}");
    }
    let relative = (error / signal).sqrt();
    assert!(relative <= CLOSE, "the image is {relative} off; {chosen:?}");
}
