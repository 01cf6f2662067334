//! Deployable networks: their lowered graph computes what Keras does, and their image runs close to it.

mod npz;

use npz::{Npz, path};
use tinyspike::calibrate::{self, Samples};
use tinyspike::convert::{ActivationType, ConvertOptions, convert};
use tinyspike::deploy::{DeployOptions, Deployment, Mode};
use tinyspike::emulate::{EmulateOptions, HostEngine, emulate};
use tinyspike::graph::{Graph, LinearMap, Population, SourceMap};
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::model::{
    Activation, Concatenate, Conv, Cropping, DataFormat, GlobalPool, LayerConfig, LeakyRelu, Merge,
    Model, Padding, Permute, Pool, PoolKind, Relu, Rescaling, UpSampling, ZeroPadding,
};
use tinyspike::network::{
    Connection, Network, Node, NodeId, NodeKind, Post, Pre, Probe, Sparse, Transform,
};
use tinyspike::pipeline::{float_accuracy, samples};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::split::split_to;
use tinyspike::tensor::Tensor;
use tinyspike::{data, forward, import};
use tinyspike_tests::deployment;
use tinyspike_tests::model::Builder;

/// Two orders of float32 sums.
const EXACT: f32 = 1e-4;
/// The root of the mean squared error of a spiking network's outputs, relative to the outputs' own.
const CLOSE: f32 = 0.06;
const SAMPLES: usize = 24;

/// Builds a model and compares the graph with Keras's arithmetic, and the image with the graph.
fn deploys(mut builder: Builder, outputs: &[usize]) -> Deployment {
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
    let graph = integrate_and_fire(&lower(&network).unwrap()).unwrap();
    let given: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
    for largest in [usize::MAX, 60, 4] {
        let pieces = split_to(graph.clone(), largest);
        assert_eq!(
            pieces.populations.iter().map(|p| p.neurons).sum::<usize>(),
            graph.populations.iter().map(|p| p.neurons).sum::<usize>()
        );
        let values = calibrate::forward(&pieces, &given, SAMPLES).unwrap();
        for (value, expected) in values.outputs.iter().zip(&expected) {
            assert_eq!(value.len(), expected.len());
            for (v, e) in value.iter().zip(expected.data()) {
                assert!(
                    (v - e).abs() <= EXACT * e.abs().max(1.0),
                    "{v} is not {e} in pieces of {largest}"
                );
            }
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
    let built = deployment::plain(&network, Some(&calibration), &quantize).unwrap();
    let image = built.image.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let (mut error, mut signal) = (0.0, 0.0);
    for sample in 0..SAMPLES {
        let coded: Vec<Vec<u8>> = built
            .integers
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
            let scale = built.integers.outputs[o].scale as f32 / f32::from(quantize.steps);
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

/// Max(x, 0) and at most a maximum.
fn clipped(b: &mut Builder, input: usize, maximum: f64) -> usize {
    let config = LayerConfig::Relu(Relu {
        max_value: Some(maximum),
        negative_slope: 0.0,
        threshold: 0.0,
    });
    let shape = b.shape(input);
    b.plain("ReLU", config, &[input], &shape)
}

#[test]
fn a_rectifier_with_a_maximum_is_one_population() {
    // Maxima that all channels reach, that some reach, and that none does.
    for maximum in [0.3, 1.0, 6.0] {
        let mut b = Builder::new();
        let x = b.input(&[6, 6, 3]);
        let linear = |conv: Conv| Conv {
            activation: Activation::Linear,
            ..conv
        };
        let c = b.conv_with(x, linear(Builder::convolution(8, &[3, 3])));
        let c = clipped(&mut b, c, maximum);
        let d = b.depthwise(c, linear(Builder::convolution(8, &[3, 3])), 1);
        let d = clipped(&mut b, d, maximum);
        let n = b.normalization(d, -1);
        let shape = b.shape(c);
        let add = LayerConfig::Merge(Merge::Add);
        let sum = b.plain("Add", add, &[c, n], &shape);
        let f = b.flatten(sum, DataFormat::ChannelsLast);
        let h = b.dense(f, 12, Activation::Linear);
        let h = clipped(&mut b, h, maximum);
        let y = b.dense(h, 4, Activation::Linear);
        let deployment = deploys(b, &[y]);
        let reached = |p: &Population| p.ceiling.is_some();
        let populations = &deployment.graph.populations;
        assert_eq!(populations.len(), 3, "{maximum}");
        let reached = populations.iter().filter(|p| reached(p)).count();
        match maximum {
            0.3 => assert_eq!(reached, 3),
            6.0 => assert_eq!(reached, 0),
            _ => assert!((1..=3).contains(&reached)),
        }
        for (ensemble, population) in deployment.integers.ensembles.iter().zip(populations) {
            let most = ensemble.theta * f64::from(ensemble.max_count);
            let ceiling = population.ceiling.map_or(f64::INFINITY, f64::from);
            assert!(most <= ceiling * 1.000_001, "{most} of {ceiling}");
        }
    }
}

fn refusal(builder: Builder, outputs: &[usize]) -> String {
    let model = builder.finish(outputs);
    let network = convert(&model, &ConvertOptions::default()).unwrap().network;
    let lowered = lower(&network).and_then(|graph| integrate_and_fire(&graph));
    lowered.unwrap_err().to_string()
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
    pool_by(b, PoolKind::Average, input, size, strides)
}

fn pool_by(
    b: &mut Builder,
    kind: PoolKind,
    input: usize,
    size: [usize; 2],
    strides: [usize; 2],
) -> usize {
    let s = b.shape(input);
    let places = [0, 1].map(|axis| (s[axis] - size[axis]) / strides[axis] + 1);
    let config = LayerConfig::Pool(Pool {
        kind,
        rank: 2,
        pool_size: size.to_vec(),
        strides: strides.to_vec(),
        padding: Padding::Valid,
        data_format: DataFormat::ChannelsLast,
    });
    let class = match kind {
        PoolKind::Average => "AveragePooling2D",
        PoolKind::Max => "MaxPooling2D",
    };
    b.plain(class, config, &[input], &[places[0], places[1], s[2]])
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
        LayerConfig::GlobalPool(GlobalPool {
            kind: PoolKind::Average,
            rank: 2,
            data_format: DataFormat::ChannelsLast,
            keepdims: false,
            mask: None,
        }),
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
        LayerConfig::Rescaling(Rescaling {
            scale: vec![2.0],
            offset: vec![-0.5],
        }),
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
    let s = b.plain("Add", LayerConfig::Merge(Merge::Add), &[a, c], &[6, 6, 4]);
    let r = b.relu(s);
    let m = b.plain(
        "Average",
        LayerConfig::Merge(Merge::Average),
        &[r, a],
        &[6, 6, 4],
    );
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
        LayerConfig::Concatenate(Concatenate { axis: -1 }),
        &[a, c],
        &[6, 6, 7],
    );
    let n = b.normalization(k, -1);
    let r = b.relu(n);
    let c = b.conv(r, 4, &[3, 3]);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate(Concatenate { axis: -1 }),
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
    let z = b.conv(x, 2, &[3, 3]);
    let a = b.conv_with(x, linear.clone());
    let c = b.conv_with(z, linear);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate(Concatenate { axis: -1 }),
        &[a, c],
        &[5, 5, 6],
    );
    let r = b.relu(k);
    let f = b.flatten(r, DataFormat::ChannelsLast);
    let g = b.dense(f, 5, Activation::Relu);
    let a = b.dense(f, 4, Activation::Linear);
    let c = b.dense(g, 3, Activation::Linear);
    let k = b.plain(
        "Concatenate",
        LayerConfig::Concatenate(Concatenate { axis: -1 }),
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
fn linear_layers_of_one_source_are_one_link() {
    let mut b = Builder::new();
    let linear = |filters, kernel: &[usize]| {
        let mut linear = Builder::convolution(filters, kernel);
        linear.activation = Activation::Linear;
        linear
    };
    let concatenate = |b: &mut Builder, parts: &[usize], shape: &[usize]| {
        b.plain(
            "Concatenate",
            LayerConfig::Concatenate(Concatenate { axis: -1 }),
            parts,
            shape,
        )
    };
    let x = b.input(&[5, 5, 2]);
    let a = b.conv_with(x, linear(3, &[3, 3]));
    let c = b.conv_with(x, linear(2, &[3, 3]));
    let k = concatenate(&mut b, &[a, c], &[5, 5, 5]);
    // A smaller kernel, and no kernel at all.
    let p = b.conv_with(x, linear(5, &[1, 1]));
    let k = b.plain("Add", LayerConfig::Merge(Merge::Add), &[k, p], &[5, 5, 5]);
    let r = b.relu(k);
    let c = b.conv_with(r, linear(5, &[3, 3]));
    let k = b.plain("Add", LayerConfig::Merge(Merge::Add), &[r, c], &[5, 5, 5]);
    let r = b.relu(k);
    let f = b.flatten(r, DataFormat::ChannelsLast);
    let a = b.dense(f, 4, Activation::Linear);
    let c = b.dense(f, 3, Activation::Linear);
    let k = concatenate(&mut b, &[a, c], &[7]);
    let r = b.relu(k);
    let d = b.dense(r, 7, Activation::Linear);
    let k = b.plain(
        "Subtract",
        LayerConfig::Merge(Merge::Subtract),
        &[d, r],
        &[7],
    );
    let y = b.dense(k, 3, Activation::Linear);
    let built = deploys(b, &[y]);
    assert_eq!(built.graph.links.len(), 4, "{:?}", sources(&built.graph));
}

/// The image of a head, with and without the layers that `merge` puts between two of its layers.
fn merged(
    shape: &[usize],
    before: impl Fn(&mut Builder, usize) -> usize,
    merge: impl Fn(&mut Builder, usize) -> usize,
    after: impl Fn(&mut Builder, usize) -> usize,
) -> [Deployment; 2] {
    [false, true].map(|merging| {
        let mut b = Builder::new();
        let x = b.input(shape);
        let mut at = before(&mut b, x);
        if merging {
            at = merge(&mut b, at);
        }
        let at = after(&mut b, at);
        let y = head(&mut b, at);
        deploys(b, &[y])
    })
}

fn doubled(b: &mut Builder, x: usize) -> usize {
    let shape = b.shape(x);
    b.plain("Add", LayerConfig::Merge(Merge::Add), &[x, x], &shape)
}

/// A thing beside itself, averaged with itself before.
fn beside_itself(b: &mut Builder, x: usize) -> usize {
    let mut shape = b.shape(x);
    let m = b.plain(
        "Average",
        LayerConfig::Merge(Merge::Average),
        &[x, x, x],
        &shape,
    );
    if let Some(channels) = shape.last_mut() {
        *channels *= 2;
    }
    let axis = LayerConfig::Concatenate(Concatenate { axis: -1 });
    b.plain("Concatenate", axis, &[x, m], &shape)
}

/// The number of weights of each connection.
fn weights(built: &Deployment) -> Vec<usize> {
    let connections = built.integers.connections.iter();
    connections.map(|c| c.weights.len()).collect()
}

/// Images stay as small if something is added to itself or put beside itself: dense layers, convolutions,
/// pooling and linear layers keep one set of weights.
#[test]
fn images_are_no_larger_for_what_meets_itself() {
    let dense = |b: &mut Builder, x| b.dense(x, 12, Activation::Relu);
    let linear = |b: &mut Builder, x| b.dense(x, 12, Activation::Linear);
    let conv = |b: &mut Builder, x| b.conv(x, 4, &[3, 3]);
    let pooled = |b: &mut Builder, x| {
        let c = b.conv(x, 4, &[3, 3]);
        pool(b, c, [2, 2], [2, 2])
    };
    let linear_conv = |b: &mut Builder, x| {
        let mut linear = Builder::convolution(4, &[3, 3]);
        linear.activation = Activation::Linear;
        b.conv_with(x, linear)
    };
    let relu = |b: &mut Builder, x| b.relu(x);
    type Layers<'a> = &'a dyn Fn(&mut Builder, usize) -> usize;
    let cases: [(&[usize], Layers<'_>, Layers<'_>); 6] = [
        (&[9], &dense, &dense),
        (&[6, 6, 2], &conv, &conv),
        (&[6, 6, 2], &pooled, &conv),
        (&[9], &linear, &dense),
        (&[9], &linear, &relu),
        (&[6, 6, 2], &linear_conv, &relu),
    ];
    for (case, (shape, before, after)) in cases.into_iter().enumerate() {
        let [one, two] = merged(shape, before, doubled, after).map(|b| weights(&b));
        assert_eq!(one, two, "{case}");
        // A neuron for each value is not less for values that are alike.
        if case < 4 {
            let [one, two] = merged(shape, before, beside_itself, after).map(|b| weights(&b));
            assert_eq!(one, two, "{case}");
        }
    }
}

/// Each layer doubles the ways to the next one.
#[test]
fn chains_of_additions_are_lowered_in_linear_time() {
    let mut b = Builder::new();
    let x = b.input(&[32]);
    let mut at = b.dense(x, 64, Activation::Relu);
    for _ in 0..40 {
        at = b.plain("Add", LayerConfig::Merge(Merge::Add), &[at, at], &[64]);
        at = b.plain(
            "Average",
            LayerConfig::Merge(Merge::Average),
            &[at, at, at, at],
            &[64],
        );
    }
    // As many ways through a thing beside itself, of which no two are alike.
    for level in 0..5 {
        at = beside_itself(&mut b, at);
        assert_eq!(b.shape(at), [128 << level]);
    }
    let d = b.dense(at, 16, Activation::Relu);
    let y = b.dense(d, 3, Activation::Linear);
    let model = b.finish(&[y]);
    let network = convert(&model, &ConvertOptions::default()).unwrap().network;
    let start = std::time::Instant::now();
    let graph = integrate_and_fire(&lower(&network).unwrap()).unwrap();
    assert!(start.elapsed().as_secs_f64() < 1.0, "{:?}", start.elapsed());
    let weights: Vec<usize> = graph
        .links
        .iter()
        .map(|l| match &l.map {
            LinearMap::Dense(d) => d.weights.len(),
            LinearMap::Convolution(c) => c.kernel.len(),
        })
        .collect();
    assert_eq!(weights, [32 * 64, 64 * 16, 16 * 3]);
    let x = vec![0.01; 32];
    let values = calibrate::forward(&graph, &[&x], 1).unwrap();
    let input = Tensor::new(vec![1, 32], x).unwrap();
    let expected = forward::forward(&model, &[input]).unwrap();
    for (v, e) in values.outputs[0].iter().zip(expected[0].data()) {
        assert!((v - e).abs() <= EXACT * e.abs(), "{v} is not {e}");
    }
}

/// A network whose layers between an input and an output are nodes of these sizes and transforms.
fn relays(input: usize, transforms: Vec<Transform>) -> Network {
    let node = |label: String, kind, size_in, size_out| Node {
        label,
        size_in,
        size_out,
        kind,
        subnetwork: None,
    };
    let shape = vec![input];
    let mut network = Network {
        nodes: vec![node("in".into(), NodeKind::Input { shape }, 0, input)],
        ..Network::default()
    };
    for transform in transforms {
        let (at, size) = (network.nodes.len(), transform.size_out());
        let label = format!("relay{at}");
        network
            .nodes
            .push(node(label, NodeKind::Passthrough, size, size));
        network.connections.push(Connection {
            pre: Pre::Node(NodeId(at - 1)),
            pre_slice: None,
            post: Post::Node(NodeId(at)),
            post_slice: None,
            transform,
            synapse: None,
            trainable: None,
            subnetwork: None,
        });
    }
    network.probes.push(Probe {
        target: Pre::Node(NodeId(network.nodes.len() - 1)),
        synapse: None,
        label: "out".into(),
    });
    network
}

/// A matrix of ones.
fn ones(size_out: usize, size_in: usize) -> Transform {
    let entries = (0..size_out as u32).flat_map(|row| (0..size_in as u32).map(move |c| (row, c)));
    Transform::Sparse(Sparse {
        size_out,
        size_in,
        indices: entries.collect(),
        values: Tensor::filled(vec![size_out * size_in], 1.0),
    })
}

#[test]
fn what_takes_too_much_memory_is_refused() {
    let refused = |network: &Network| lower(network).unwrap_err().to_string();
    let huge = refused(&relays(1 << 40, vec![Transform::Identity(1 << 40)]));
    assert!(
        huge.contains("\"in\"") && huge.contains("1099511627776"),
        "{huge}"
    );
    // Each value of a layer sees all of another one.
    let all = refused(&relays(4000, vec![ones(1, 4000), ones(4000, 1)]));
    assert!(
        all.contains("relay2") && all.contains("8388608 values"),
        "{all}"
    );
    lower(&relays(500, vec![ones(1, 500), ones(500, 1)])).unwrap();
    // More ways than an image has connections.
    let mut many = relays(200, vec![Transform::Identity(200)]);
    for shift in 0..200usize {
        many.connections.push(Connection {
            pre_slice: Some((shift..200).collect()),
            post_slice: Some((0..200 - shift).rev().collect()),
            transform: Transform::Identity(200 - shift),
            ..many.connections[0].clone()
        });
    }
    let many = refused(&many);
    assert!(
        many.contains("relay1") && many.contains("128 different maps"),
        "{many}"
    );
    // A circle.
    let mut circle = relays(3, vec![Transform::Identity(3); 2]);
    circle.connections[0].pre = Pre::Node(NodeId(2));
    let circle = refused(&circle);
    assert!(circle.contains("a loop of connections"), "{circle}");
}

/// The network of so many layers of neurons in a row.
fn chain(layers: usize) -> Network {
    let mut b = Builder::new();
    let mut x = b.input(&[4]);
    for _ in 0..layers {
        x = b.dense(x, 4, Activation::Relu);
    }
    let out = b.dense(x, 2, Activation::Linear);
    let model = b.finish(&[out]);
    convert(&model, &ConvertOptions::default()).unwrap().network
}

#[test]
fn deep_networks_have_more_spikes_in_a_step_unless_settings_say_how_many() {
    let most = |deployment: &Deployment| {
        let ensembles = deployment.integers.ensembles.iter();
        ensembles.map(|e| e.max_count).max().unwrap()
    };
    for (layers, deep, count) in [(5, None, 15), (6, Some(6), 63)] {
        let network = chain(layers);
        let deployment = network.deploy(&DeployOptions::plain()).unwrap();
        assert_eq!((deployment.deep, most(&deployment)), (deep, count));
        let mode = Mode::Plain(QuantizeOptions::default());
        let deployment = network.deploy(&DeployOptions::new(&mode)).unwrap();
        assert_eq!((deployment.deep, most(&deployment)), (None, 15));
    }
}

/// Max pooling behind layers that move places: populations that are divided see parts of the moved places.
#[test]
fn max_pooling_behind_padding_and_permutation() {
    let largest = |b: &mut Builder, input: usize, size: [usize; 2], stride: [usize; 2]| {
        pool_by(b, PoolKind::Max, input, size, stride)
    };
    let pad = |b: &mut Builder, input: usize| {
        let s = b.shape(input);
        let config = LayerConfig::ZeroPadding(ZeroPadding {
            rank: 2,
            padding: vec![(1, 1), (2, 0)],
            data_format: DataFormat::ChannelsLast,
        });
        let shape = [s[0] + 2, s[1] + 2, s[2]];
        b.plain("ZeroPadding2D", config, &[input], &shape)
    };
    let turned = |b: &mut Builder, input: usize, dims: [usize; 3]| {
        let s = b.shape(input);
        let shape = dims.map(|axis| s[axis - 1]);
        let dims = dims.to_vec();
        b.plain(
            "Permute",
            LayerConfig::Permute(Permute { dims }),
            &[input],
            &shape,
        )
    };
    // As ResNet and DenseNet begin.
    let mut b = Builder::new();
    let x = b.input(&[9, 8, 2]);
    let c = b.conv(x, 4, &[3, 3]);
    let p = pad(&mut b, c);
    let m = largest(&mut b, p, [3, 3], [2, 2]);
    let c = b.conv(m, 5, &[2, 2]);
    let y = head(&mut b, c);
    deploys(b, &[y]);

    let mut b = Builder::new();
    let x = b.input(&[6, 7, 3]);
    let c = b.conv(x, 4, &[3, 3]);
    let t = turned(&mut b, c, [2, 1, 3]);
    let m = largest(&mut b, t, [2, 2], [2, 2]);
    let c = b.conv(m, 3, &[2, 2]);
    // Channels become places, and places channels.
    let t = turned(&mut b, c, [1, 3, 2]);
    let m = largest(&mut b, t, [1, 2], [1, 1]);
    let y = head(&mut b, m);
    deploys(b, &[y]);
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
        let config = LayerConfig::ZeroPadding(ZeroPadding {
            rank: 2,
            padding: padding.to_vec(),
            data_format: DataFormat::ChannelsLast,
        });
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
        LayerConfig::UpSampling(UpSampling {
            rank: 2,
            size: vec![2, 3],
            data_format: DataFormat::ChannelsLast,
            interpolation: "nearest".into(),
        }),
        &[c],
        &[s[0] * 2, s[1] * 3, s[2]],
    );
    let c = b.conv_with(u, valid(3));
    let s = b.shape(c);
    let k = b.plain(
        "Cropping2D",
        LayerConfig::Cropping(Cropping {
            rank: 2,
            cropping: vec![(1, 2), (0, 3)],
            data_format: DataFormat::ChannelsLast,
        }),
        &[c],
        &[s[0] - 3, s[1] - 3, s[2]],
    );
    let c = b.conv_with(k, valid(3));
    let s = b.shape(c);
    let t = b.plain(
        "Permute",
        LayerConfig::Permute(Permute {
            dims: vec![2, 1, 3],
        }),
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
        LayerConfig::Pool(Pool {
            kind: PoolKind::Average,
            rank: 1,
            pool_size: vec![3],
            strides: vec![3],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
        }),
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
        LayerConfig::Pool(Pool {
            kind: PoolKind::Average,
            rank: 2,
            pool_size: vec![2, 2],
            strides: vec![2, 2],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsFirst,
        }),
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
        LayerConfig::Concatenate(Concatenate { axis: -1 }),
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
        LayerConfig::LeakyRelu(LeakyRelu {
            negative_slope: 0.2,
        }),
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
        text.contains("dense_1.0") && text.contains("Tanh") && text.contains("swap them"),
        "{text}"
    );

    let mut b = Builder::new();
    let x = b.input(&[4, 4, 4, 2]);
    let c = b.conv(x, 3, &[3, 3, 3]);
    let y = head(&mut b, c);
    let text = refusal(b, &[y]);
    assert!(
        text.contains("conv3d_1.0") && text.contains("over three axes"),
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
    let built = deployment::plain(&network, Some(&samples), &QuantizeOptions::default()).unwrap();
    let float = float_accuracy(&built.graph, &test, &|_| {})
        .unwrap()
        .unwrap();
    let image = built.image.image();
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
    let graph = lower(&network).unwrap();
    let text = integrate_and_fire(&graph).unwrap_err().to_string();
    for part in ["Tanh", "Sigmoid", "swap them"] {
        assert!(text.contains(part), "{text}");
    }
}

/// With relu instead of tanh and sigmoid, the image chooses the class that the float network does.
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
    let built = deployment::plain(&network, Some(&samples), &quantize).unwrap();
    let image = built.image.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let input = &built.integers.inputs[0];
    let code = |v: &f32| {
        ((f64::from(*v) / input.scale).round() + f64::from(input.zero_point))
            .min(f64::from(input.max)) as u8
    };
    let steps = f32::from(quantize.steps);
    let scale = built.integers.outputs[0].scale as f32 / steps;
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
