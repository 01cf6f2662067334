//! Layers that NengoDL leaves to a TensorNode, or refuses, have native forms: what they are, and
//! that they compute what the Keras layer does.

use std::fmt::Write;

use tinyspike::convert::{ConvertError, ConvertOptions, ScaleFiringRates, convert};
use tinyspike::forward::forward;
use tinyspike::inspect::listing;
use tinyspike::model::{
    Activation, ConvTranspose, Cropping, DataFormat, DepthwiseConv, Flatten, LayerConfig, Merge,
    Model, PRelu, Padding, Permute, Pool, PoolKind, Rescaling, SeparableConv,
};
use tinyspike::network::{Network, NeuronType, NodeKind, Synapse};
use tinyspike::tensor::Tensor;

use super::edge_cases::{BETTER, case};
use super::evaluate::evaluate;
use super::keras::{Net, conv, dense, layer, pool, weight};
use super::{golden, messages, root};

/// Relative to the largest output: float32 against float64.
const CLOSE: f64 = 1e-5;

/// Inputs between -8 and 8, different everywhere.
fn inputs(model: &Model) -> Vec<Tensor> {
    model
        .inputs
        .iter()
        .enumerate()
        .map(|(k, tensor)| {
            let shape = &model.layers[tensor.layer].calls[0].output_shapes[0];
            let shape: Vec<usize> = shape.iter().map(|d| d.expect("a known length")).collect();
            let size: usize = shape.iter().product();
            let data = (0..size)
                .map(|i| ((i * 37 + k * 11 + 5) % 101) as f32 / 6.3 - 8.0)
                .collect();
            Tensor::new([&[1], shape.as_slice()].concat(), data).expect("the size fits")
        })
        .collect()
}

/// The network computes what Keras does, and has no TensorNode; returns its listing.
fn assert_native(name: &str, model: &Model, options: &ConvertOptions) -> String {
    let network = assert_as_keras(name, model, options);
    for node in &network.nodes {
        assert!(
            !matches!(node.kind, NodeKind::Tensor(_)),
            "{name}: {}",
            node.label
        );
    }
    listing(&network).to_string()
}

/// The network computes what Keras does.
fn assert_as_keras(name: &str, model: &Model, options: &ConvertOptions) -> Network {
    let conversion = convert(model, options).unwrap_or_else(|e| panic!("{name}: {e}"));
    let inputs = inputs(model);
    let expected = forward(model, &inputs).expect("the model runs");
    let found = evaluate(&conversion.network, &inputs);
    assert_eq!(expected.len(), found.len());
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected.len(), found.len(), "{name}");
        let largest = expected.data().iter().fold(1e-6f32, |m, x| m.max(x.abs()));
        for (i, (expected, found)) in expected.data().iter().zip(found).enumerate() {
            let difference = (f64::from(*expected) - found).abs() / f64::from(largest);
            assert!(difference <= CLOSE, "{name}[{i}]: {expected} != {found}");
        }
    }
    conversion.network
}

/// Layers that no golden edge case has.
fn further_cases() -> Vec<(&'static str, Model)> {
    let mut cases = Vec::new();
    let mut add = |name, model| cases.push((name, model));

    add(
        "dense on two axes",
        Net::single(&[5, 4], dense("dense", 4, 3, Activation::Relu), &[5, 3]),
    );
    add(
        "dense on two axes, linear",
        Net::single(&[5, 4], dense("dense", 4, 3, Activation::Linear), &[5, 3]),
    );
    add(
        "dense with leaky_relu",
        Net::single(&[4], dense("dense", 4, 3, Activation::LeakyRelu), &[3]),
    );
    let mut relu6 = conv(2, 3, 3);
    relu6.activation = Activation::Relu6;
    relu6.padding = Padding::Same;
    relu6.strides = vec![2, 2];
    let mut relu6 = layer("Conv2D", "conv2d", LayerConfig::Conv(relu6));
    relu6.weights = vec![weight("kernel", &[3, 3, 2, 3]), weight("bias", &[3])];
    add(
        "conv2d with relu6",
        Net::single(&[7, 6, 2], relu6, &[4, 3, 3]),
    );

    add(
        "relu with a slope and a maximum",
        Net::single(
            &[9],
            layer("ReLU", "re_lu", super::keras::relu(Some(2.5), 0.25, 0.0)),
            &[9],
        ),
    );
    let mut shared = layer(
        "PReLU",
        "p_re_lu",
        LayerConfig::PRelu(PRelu {
            shared_axes: vec![1, 2],
        }),
    );
    shared.weights = vec![weight("alpha", &[1, 1, 2])];
    add(
        "prelu with shared axes",
        Net::single(&[3, 3, 2], shared, &[3, 3, 2]),
    );
    let mut uniform = layer(
        "PReLU",
        "p_re_lu",
        LayerConfig::PRelu(PRelu {
            shared_axes: vec![1],
        }),
    );
    uniform.weights = vec![super::keras::filled("alpha", &[1], 0.25)];
    add("prelu with one slope", Net::single(&[4], uniform, &[4]));

    let mut depthwise = conv(2, 3, 2);
    depthwise.padding = Padding::Same;
    depthwise.strides = vec![2, 2];
    depthwise.activation = Activation::Relu;
    let mut depthwise = layer(
        "DepthwiseConv2D",
        "depthwise_conv2d",
        LayerConfig::DepthwiseConv(DepthwiseConv {
            conv: depthwise,
            depth_multiplier: 1,
        }),
    );
    depthwise.weights = vec![
        weight("depthwise_kernel", &[3, 3, 2, 1]),
        weight("bias", &[2]),
    ];
    add(
        "depthwise with same padding",
        Net::single(&[8, 7, 2], depthwise, &[4, 4, 2]),
    );
    let mut causal = conv(1, 3, 4);
    causal.padding = Padding::Causal;
    causal.dilation_rate = vec![2];
    causal.activation = Activation::Relu;
    let mut causal = layer("Conv1D", "conv1d", LayerConfig::Conv(causal));
    causal.weights = vec![weight("kernel", &[3, 2, 4]), weight("bias", &[4])];
    add(
        "dilated causal conv1d",
        Net::single(&[9, 2], causal, &[9, 4]),
    );
    let mut dilated = conv(2, 3, 2);
    dilated.padding = Padding::Same;
    dilated.dilation_rate = vec![2, 3];
    let mut dilated = layer("Conv2D", "conv2d", LayerConfig::Conv(dilated));
    dilated.weights = vec![weight("kernel", &[3, 3, 2, 2]), weight("bias", &[2])];
    add(
        "dilated conv2d with same padding",
        Net::single(&[9, 8, 2], dilated, &[9, 8, 2]),
    );
    let mut separable = conv(1, 3, 2);
    separable.padding = Padding::Same;
    let mut separable = layer(
        "SeparableConv1D",
        "separable_conv1d",
        LayerConfig::SeparableConv(SeparableConv {
            conv: separable,
            depth_multiplier: 2,
        }),
    );
    separable.weights = vec![
        weight("depthwise_kernel", &[3, 3, 2]),
        weight("pointwise_kernel", &[1, 6, 2]),
        weight("bias", &[2]),
    ];
    add("separable_conv1d", Net::single(&[8, 3], separable, &[8, 2]));

    let mut transposed = conv(2, 4, 3);
    transposed.padding = Padding::Same;
    transposed.strides = vec![2, 3];
    transposed.activation = Activation::Relu;
    let mut transposed = layer(
        "Conv2DTranspose",
        "conv2d_transpose",
        ConvTranspose {
            conv: transposed,
            output_padding: None,
        }
        .into(),
    );
    transposed.weights = vec![weight("kernel", &[4, 4, 3, 2]), weight("bias", &[3])];
    add(
        "conv2d_transpose with same padding and strides",
        Net::single(&[3, 4, 2], transposed, &[6, 12, 3]),
    );
    let mut transposed = conv(1, 2, 2);
    transposed.strides = vec![3];
    transposed.data_format = DataFormat::ChannelsFirst;
    let mut transposed = layer(
        "Conv1DTranspose",
        "conv1d_transpose",
        ConvTranspose {
            conv: transposed,
            output_padding: None,
        }
        .into(),
    );
    transposed.weights = vec![weight("kernel", &[2, 2, 3]), weight("bias", &[2])];
    add(
        "conv1d_transpose with gaps, channels first",
        Net::single(&[3, 4], transposed, &[2, 12]),
    );

    add(
        "average pooling with same padding and overlap",
        Net::single(
            &[5, 7, 2],
            layer(
                "AveragePooling2D",
                "average_pooling2d",
                LayerConfig::Pool(Pool {
                    kind: PoolKind::Average,
                    rank: 2,
                    pool_size: vec![3, 3],
                    strides: vec![2, 2],
                    padding: Padding::Same,
                    data_format: DataFormat::ChannelsLast,
                }),
            ),
            &[3, 4, 2],
        ),
    );
    add(
        "average pooling with same padding, channels first",
        Net::single(
            &[2, 5, 5],
            layer(
                "AveragePooling2D",
                "average_pooling2d",
                pool(
                    PoolKind::Average,
                    2,
                    Padding::Same,
                    DataFormat::ChannelsFirst,
                ),
            ),
            &[2, 3, 3],
        ),
    );
    add(
        "flatten, channels first",
        Net::single(
            &[2, 3, 3],
            layer(
                "Flatten",
                "flatten",
                LayerConfig::Flatten(Flatten {
                    data_format: DataFormat::ChannelsFirst,
                }),
            ),
            &[18],
        ),
    );
    add(
        "permute three axes",
        Net::single(
            &[2, 3, 4],
            layer(
                "Permute",
                "permute",
                LayerConfig::Permute(Permute {
                    dims: vec![3, 1, 2],
                }),
            ),
            &[4, 2, 3],
        ),
    );
    add(
        "cropping, channels first",
        Net::single(
            &[2, 5, 6],
            layer(
                "Cropping2D",
                "cropping2d",
                LayerConfig::Cropping(Cropping {
                    rank: 2,
                    cropping: vec![(1, 2), (0, 3)],
                    data_format: DataFormat::ChannelsFirst,
                }),
            ),
            &[2, 2, 3],
        ),
    );
    add(
        "rescaling of channels",
        Net::single(
            &[2, 3],
            layer(
                "Rescaling",
                "rescaling",
                LayerConfig::Rescaling(Rescaling {
                    scale: vec![1.0, 2.0, -0.5],
                    offset: vec![0.0],
                }),
            ),
            &[2, 3],
        ),
    );
    let mut net = Net::default();
    let a = net.input("a", &[3, 2]);
    let b = net.input("b", &[1, 2]);
    let sum = net.apply(
        layer("Add", "add", LayerConfig::Merge(Merge::Add)),
        &[a, b],
        &[3, 2],
    );
    add("add with a stretched input", net.finish(&[a, b], &[sum]));
    cases
}

#[test]
fn native_layers_compute_what_keras_does() {
    let mut text = String::new();
    let mut list = |name: &str, model: &Model, options: &ConvertOptions| {
        let listing = assert_native(name, model, options);
        writeln!(text, "## {name}\n{listing}").expect("a text grows");
    };
    for name in BETTER {
        let (model, mut options) = case(name);
        if ["concat_0", "multiply_multi_input"].contains(&name) {
            continue;
        }
        // The average of a maximum pooling is not what Keras computes.
        if name == "maxpool_same_to_avg" {
            options.max_to_avg_pool = true;
            let conversion = convert(&model, &options).expect("it converts");
            assert!(messages(&conversion).is_empty());
            continue;
        }
        list(name, &model, &options);
    }
    for (name, model) in further_cases() {
        list(name, &model, &ConvertOptions::default());
    }
    let path = root().join("tests/fixtures/listings/native_layers.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &text).expect("the snapshot can be written");
    }
    let snapshot = std::fs::read_to_string(path).expect("the snapshot exists");
    for (found, expected) in text.lines().zip(snapshot.lines()) {
        assert_eq!(
            found, expected,
            "UPDATE_SNAPSHOTS=1 accepts the new listings"
        );
    }
    assert_eq!(text.lines().count(), snapshot.lines().count());
}

/// Every edge case that NengoDL has verified against Keras, but the temporal ones.
#[test]
fn edge_cases_compute_what_keras_does() {
    let mut compared = 0;
    for (name, golden) in golden("edge_cases.json.gz") {
        let (model, options) = case(&name);
        // These models have no weights here.
        let weightless = ["lstm", "embedding"].contains(&name.as_str());
        if golden["verify"] != true || options.temporal_model || weightless {
            continue;
        }
        // Max pooling to average pooling: Keras ran on inputs that are the same everywhere.
        if options.max_to_avg_pool && name != "maxpool_same_to_avg" {
            continue;
        }
        let options = ConvertOptions {
            nengo_dl_compat: true,
            ..options
        };
        assert_as_keras(&name, &model, &options);
        compared += 1;
    }
    assert_eq!(compared, 59);
}

/// The models of the golden listings compute what Keras does, scaled or not.
#[test]
fn scaled_networks_compute_what_keras_does() {
    let scaled = ConvertOptions {
        inference_only: true,
        scale_firing_rates: ScaleFiringRates::All(100.0),
        synapse: Some(Synapse::Lowpass { tau: 0.005 }),
        ..ConvertOptions::default()
    };
    for file in ["mnist_small", "mnist_mlp"] {
        let path = root().join(format!("models/{file}.keras"));
        let model = tinyspike::import::load(&path).expect("the model loads");
        assert_native(file, &model, &scaled);
    }
    let path = root().join("tests/fixtures/keras/conv1d_series.keras");
    let model = tinyspike::import::load(&path).expect("the model loads");
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    assert_native("conv1d_series", &model, &options);
}

#[test]
fn swaps_reach_the_parts_of_a_clipped_rectifier() {
    let model = Net::single(&[4], dense("dense", 4, 3, Activation::Relu6), &[3]);
    let spiking = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };
    let options = ConvertOptions {
        swap_activations: vec![(Activation::Relu.into(), spiking.into())],
        scale_firing_rates: ScaleFiringRates::All(10.0),
        ..ConvertOptions::default()
    };
    let conversion = convert(&model, &options).expect("it converts");
    let ensembles = &conversion.network.ensembles;
    let scaled = NeuronType::SpikingRectifiedLinear { amplitude: 0.1 };
    assert!(
        ensembles
            .iter()
            .all(|e| e.neuron_type == scaled.clone().into() && e.gain == 10.0)
    );
    assert_eq!(ensembles[1].bias, Some(Tensor::filled(vec![3], -60.0)));
    assert!(conversion.warnings.is_empty());
}

#[test]
fn layers_of_several_inputs_without_a_native_form_run_on_the_host() {
    let (model, options) = case("multiply_multi_input");
    let conversion = convert(&model, &options).expect("it converts");
    let tensor_nodes = (conversion.network.nodes.iter())
        .filter(|node| matches!(node.kind, NodeKind::Tensor(_)))
        .count();
    assert_eq!(tensor_nodes, 1);
    let (model, options) = case("concat_0");
    let error = convert(&model, &options).expect_err("there is no native form");
    assert!(matches!(error, ConvertError::Shape { .. }), "{error}");
}

#[test]
fn training_only_layers_leave_no_object() {
    let (model, options) = case("dropout");
    let conversion = convert(&model, &options).expect("it converts");
    assert_eq!(conversion.network.nodes.len(), 1);
    assert_eq!(conversion.layer("dropout"), conversion.layer("inp"));
    assert_eq!(messages(&conversion), [""; 0]);
}

#[test]
fn unknown_scaled_layers_are_named() {
    let model = Net::single(&[4], dense("dense", 4, 3, Activation::Relu), &[3]);
    let scale = |layer: &str, factor: f32| ConvertOptions {
        scale_firing_rates: ScaleFiringRates::PerLayer(
            [(layer.to_owned(), factor)].into_iter().collect(),
        ),
        ..ConvertOptions::default()
    };
    let conversion = convert(&model, &scale("dens", 2.0)).expect("it converts");
    assert_eq!(
        messages(&conversion),
        ["scale_firing_rates names the layer 'dens', but there is no such layer in the model"]
    );
    let error = convert(&model, &scale("dense", 0.0)).expect_err("0 is no factor");
    assert_eq!(
        error.to_string(),
        "scale_firing_rates is 0 for layer 'dense', but must be a finite number above 0"
    );
}
