//! The converter does as NengoDL 3.6 in every edge case of `golden/edge_cases.json`: objects,
//! connections, warnings, errors. The models are built here, of the shapes that the listings show.
//!
//! Every case is compared with `nengo_dl_compat`; by default all but those in [`BETTER`], which
//! `native.rs` holds. Left out of the comparison are the `verify` results, which concern
//! simulation, and from messages: addresses, the Python exception's class, and the module path of a
//! layer (`<keras.layers.core.dense.Dense object at ...>` is `<Dense 'dense'>` here). An unsupported
//! activation's message goes on here with the layer and the remedy.

use serde_json::Value;
use tinyspike::convert::{ConvertOptions, ScaleFiringRates, convert};
use tinyspike::inspect::listing;
use tinyspike::model::{
    Activation, ActivationLayer, BatchNormalization, Cell, Concatenate, Conv, ConvTranspose,
    Cropping, DataFormat, Dense, DepthwiseConv, Elu, Embedding, Filter, FilterKind, GlobalPool,
    Identity, Input, LayerConfig, LayerNormalization, LeakyRelu, Merge, Model, PRelu, Padding,
    Penalties, Penalty, Permute, PoolKind, Recurrent, RepeatVector, Rescaling, SeparableConv,
    Softmax, SpikingActivation, UpSampling,
};
use tinyspike::network::{NeuronType, Synapse};

use super::keras::{self, Net, conv, dense, layer, pool, relu, weight};
use super::{golden, messages, without_python};

/// Cases that NengoDL leaves to a TensorNode or refuses, and the default does not.
pub(crate) const BETTER: [&str; 25] = [
    "act_relu6_fn",
    "avgpool_same",
    "concat_0",
    "conv1d_causal",
    "conv2d_transpose",
    "cropping",
    "depthwise",
    "dilated_conv",
    "dropout",
    "gaussnoise",
    "gmp",
    "grouped_conv",
    "maxpool",
    "maxpool_same_to_avg",
    "multiply_multi_input",
    "permute",
    "prelu_layer",
    "relu_max6",
    "repeat",
    "rescaling",
    "separable",
    "shared_no_split",
    "subtract_multi_input",
    "td_nontemporal",
    "upsampling_bilinear",
];

/// One layer on one input.
fn single(
    input: &[usize],
    class: &str,
    name: &str,
    config: LayerConfig,
    output: &[usize],
) -> Model {
    Net::single(input, layer(class, name, config), output)
}

fn dense_model(activation: Activation) -> Model {
    Net::single(&[4], dense("dense", 4, 3, activation), &[3])
}

fn with_penalties(penalties: Penalties) -> Model {
    let mut layer = dense("dense", 4, 3, Activation::Linear);
    if let LayerConfig::Dense(Dense { penalties: p, .. }) = &mut layer.config {
        *p = penalties;
    }
    Net::single(&[4], layer, &[3])
}

fn penalty(class: &str) -> Option<Penalty> {
    Some(Penalty {
        class: class.into(),
        config: Value::Null,
    })
}

fn pool_model(kind: PoolKind, padding: Padding) -> Model {
    let (class, name) = match kind {
        PoolKind::Average => ("AveragePooling2D", "average_pooling2d"),
        PoolKind::Max => ("MaxPooling2D", "max_pooling2d"),
    };
    single(
        &[6, 6, 2],
        class,
        name,
        pool(kind, 2, padding, DataFormat::ChannelsLast),
        &[3, 3, 2],
    )
}

fn pooling(rank: usize, class: &str, name: &str, input: &[usize], output: &[usize]) -> Model {
    single(
        input,
        class,
        name,
        pool(
            PoolKind::Average,
            rank,
            Padding::Valid,
            DataFormat::ChannelsLast,
        ),
        output,
    )
}

fn global_pool(kind: PoolKind, class: &str, name: &str) -> Model {
    single(
        &[4, 4, 3],
        class,
        name,
        LayerConfig::GlobalPool(GlobalPool {
            kind,
            rank: 2,
            data_format: DataFormat::ChannelsLast,
            keepdims: false,
            mask: None,
        }),
        &[3],
    )
}

/// A 3x3 convolution, changed by `change`.
fn conv_model(
    input: &[usize],
    groups: usize,
    output: &[usize],
    change: impl Fn(&mut Conv),
) -> Model {
    let n_in = input[input.len() - 1];
    let n_out = output[output.len() - 1];
    let mut arguments = conv(2, 3, n_out);
    arguments.groups = groups;
    change(&mut arguments);
    let mut kernel = arguments.kernel_size.clone();
    kernel.extend([n_in / groups, n_out]);
    let bias = arguments.use_bias;
    let mut layer = layer("Conv2D", "conv2d", LayerConfig::Conv(arguments));
    layer.weights = vec![weight("kernel", &kernel)];
    if bias {
        layer.weights.push(weight("bias", &[n_out]));
    }
    Net::single(input, layer, output)
}

fn batch_norm(trainable: bool) -> Model {
    let mut layer = layer(
        "BatchNormalization",
        "batch_normalization",
        LayerConfig::BatchNormalization(BatchNormalization {
            axis: 3,
            epsilon: 0.001,
            center: true,
            scale: true,
        }),
    );
    layer.trainable = trainable;
    layer.weights = ["gamma", "beta", "moving_mean", "moving_variance"]
        .iter()
        .map(|name| weight(name, &[3]))
        .collect();
    Net::single(&[4, 4, 3], layer, &[4, 4, 3])
}

/// Two inputs merged by one layer.
fn merge(class: &str, name: &str, config: LayerConfig, input: &[usize], output: &[usize]) -> Model {
    let mut net = Net::default();
    let a = net.input("input_1", input);
    let b = net.input("input_2", input);
    let out = net.apply(layer(class, name, config), &[a, b], output);
    net.finish(&[a, b], &[out])
}

fn concatenate(axis: isize) -> Model {
    let output: &[usize] = match axis {
        1 | -2 => &[6, 2],
        2 | -1 => &[3, 4],
        _ => &[3, 2],
    };
    merge(
        "Concatenate",
        "concatenate",
        LayerConfig::Concatenate(Concatenate { axis }),
        &[3, 2],
        output,
    )
}

fn up_sampling(rank: usize, name: &str, interpolation: &str, input: &[usize]) -> Model {
    let mut output: Vec<usize> = input.iter().map(|length| length * 2).collect();
    output[rank] = input[rank];
    single(
        input,
        &format!("UpSampling{rank}D"),
        name,
        LayerConfig::UpSampling(UpSampling {
            rank,
            size: vec![2; rank],
            data_format: DataFormat::ChannelsLast,
            interpolation: interpolation.into(),
        }),
        &output,
    )
}

/// The seed that gives the voltages of the golden run, which drew it at random.
const DRAWN_SEED: u64 = 1_478_844_273;

fn spiking_activation(spiking_aware_training: bool) -> Model {
    single(
        &[4],
        "keras_spiking.SpikingActivation",
        "spiking_activation",
        LayerConfig::SpikingActivation(SpikingActivation {
            activation: Activation::Relu,
            dt: 0.001,
            seed: Some(DRAWN_SEED),
            spiking_aware_training,
            return_sequences: true,
        }),
        &[4],
    )
    .over_time()
}

fn filter(class: &str, name: &str) -> Model {
    let config = LayerConfig::Filter(Filter {
        kind: if class == "Lowpass" {
            FilterKind::Lowpass
        } else {
            FilterKind::Alpha
        },
        tau_initializer: 0.01,
        dt: 0.001,
        return_sequences: true,
    });
    let mut layer = layer(&format!("keras_spiking.{class}"), name, config);
    layer.weights = vec![
        keras::filled("initial_level", &[1, 4], 0.0),
        keras::filled("tau", &[1, 4], 0.01),
    ];
    Net::single(&[4], layer, &[4]).over_time()
}

trait OverTime {
    /// The same model with a time axis of unknown length before each shape.
    fn over_time(self) -> Self;
}

impl OverTime for Model {
    fn over_time(mut self) -> Self {
        for layer in &mut self.layers {
            if let LayerConfig::Input(Input { shape, .. }) = &mut layer.config {
                shape.insert(0, None);
            }
            for call in &mut layer.calls {
                for shape in &mut call.output_shapes {
                    shape.insert(0, None);
                }
            }
        }
        self
    }
}

/// The model and the options of a golden case.
pub(crate) fn case(name: &str) -> (Model, ConvertOptions) {
    let options = ConvertOptions::default;
    let inference_only = || ConvertOptions {
        inference_only: true,
        ..options()
    };
    let temporal = || ConvertOptions {
        temporal_model: true,
        ..options()
    };
    let max_to_avg_pool = || ConvertOptions {
        max_to_avg_pool: true,
        ..options()
    };
    let no_fallback = || ConvertOptions {
        allow_fallback: false,
        ..options()
    };
    let rectified = NeuronType::RectifiedLinear { amplitude: 1.0 };
    let spiking = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };
    let swap = |from, to| ConvertOptions {
        swap_activations: vec![(from, to)],
        ..options()
    };
    let activation = |activation| (dense_model(activation), options());
    let relu_max = |max_value, negative_slope, threshold| {
        single(
            &[4],
            "ReLU",
            "re_lu",
            relu(max_value, negative_slope, threshold),
            &[4],
        )
    };
    match name {
        "allow_fallback_False" => (
            single(
                &[4],
                "LayerNormalization",
                "layer_normalization",
                LayerConfig::LayerNormalization(LayerNormalization {
                    axis: vec![-1],
                    epsilon: 0.001,
                    center: false,
                    scale: false,
                }),
                &[4],
            ),
            no_fallback(),
        ),
        "allow_fallback_False_activation" => (dense_model(Activation::Elu), no_fallback()),
        "shared_no_split" | "shared_split" => {
            let mut net = Net::default();
            let input = net.input("input_1", &[4]);
            let a = net.apply(dense("dense", 4, 4, Activation::Linear), &[input], &[4]);
            let b = net.again(a, &[a], &[4]);
            let split = ConvertOptions {
                split_shared_weights: name == "shared_split",
                ..options()
            };
            (net.finish(&[input], &[b]), split)
        }
        "shared_no_weights" => {
            let mut net = Net::default();
            let input = net.input("input_1", &[4]);
            let rectifier = layer("ReLU", "re_lu", relu(None, 0.0, 0.0));
            let a = net.apply(rectifier, &[input], &[4]);
            let b = net.again(a, &[a], &[4]);
            (net.finish(&[input], &[b]), options())
        }
        "sequential" => {
            let mut net = Net::default();
            let input = net.input("input_1", &[4]);
            let out = net.apply(dense("dense", 4, 3, Activation::Relu), &[input], &[3]);
            let mut model = net.finish(&[input], &[out]);
            model.sequential = true;
            (model, options())
        }
        "swap_unused" => (
            dense_model(Activation::Relu),
            swap(Activation::Tanh.into(), rectified.into()),
        ),
        "swap_nengo_key" => (
            dense_model(Activation::Relu),
            swap(rectified.into(), spiking.into()),
        ),
        "swap_elu_to_relu" => (
            dense_model(Activation::Elu),
            swap(Activation::Elu.into(), Activation::Relu.into()),
        ),
        "scale_dict" => {
            let mut net = Net::default();
            let input = net.input("inp", &[4]);
            let a = net.apply(dense("a", 4, 3, Activation::Relu), &[input], &[3]);
            let b = net.apply(dense("b", 3, 3, Activation::Relu), &[a], &[3]);
            let scales = [("a".to_owned(), 50.0)].into_iter().collect();
            (
                net.finish(&[input], &[b]),
                ConvertOptions {
                    scale_firing_rates: ScaleFiringRates::PerLayer(scales),
                    ..options()
                },
            )
        }
        "scale_sigmoid_warn" => (
            dense_model(Activation::Sigmoid),
            ConvertOptions {
                scale_firing_rates: ScaleFiringRates::All(10.0),
                ..options()
            },
        ),
        "avgpool_same" => (pool_model(PoolKind::Average, Padding::Same), options()),
        "avgpool_chfirst" => (
            single(
                &[2, 6, 6],
                "AveragePooling2D",
                "average_pooling2d",
                pool(
                    PoolKind::Average,
                    2,
                    Padding::Valid,
                    DataFormat::ChannelsFirst,
                ),
                &[2, 3, 3],
            ),
            options(),
        ),
        "maxpool" => (pool_model(PoolKind::Max, Padding::Valid), options()),
        "maxpool_to_avg" => (pool_model(PoolKind::Max, Padding::Valid), max_to_avg_pool()),
        "maxpool_same_to_avg" => (pool_model(PoolKind::Max, Padding::Same), max_to_avg_pool()),
        "dilated_conv" => (
            conv_model(&[8, 8, 2], 1, &[4, 4, 3], |conv| {
                conv.dilation_rate = vec![2, 2];
            }),
            options(),
        ),
        "grouped_conv" => (conv_model(&[8, 8, 4], 2, &[6, 6, 4], |_| {}), options()),
        "conv_no_bias_linear" => (
            conv_model(&[8, 8, 2], 1, &[6, 6, 3], |conv| conv.use_bias = false),
            options(),
        ),
        "conv_same_stride2" => (
            conv_model(&[7, 7, 2], 1, &[4, 4, 3], |conv| {
                conv.padding = Padding::Same;
                conv.strides = vec![2, 2];
            }),
            options(),
        ),
        "conv_same_stride2_even" => (
            conv_model(&[8, 8, 2], 1, &[4, 4, 3], |conv| {
                conv.padding = Padding::Same;
                conv.strides = vec![2, 2];
            }),
            options(),
        ),
        "conv1d_causal" => {
            let mut arguments = conv(1, 3, 3);
            arguments.padding = Padding::Causal;
            let mut layer = layer("Conv1D", "conv1d", LayerConfig::Conv(arguments));
            layer.weights = vec![weight("kernel", &[3, 2, 3]), weight("bias", &[3])];
            (Net::single(&[8, 2], layer, &[8, 3]), options())
        }
        "conv3d" => {
            let mut arguments = conv(3, 3, 3);
            arguments.activation = Activation::Relu;
            let mut layer = layer("Conv3D", "conv3d", LayerConfig::Conv(arguments));
            layer.weights = vec![weight("kernel", &[3, 3, 3, 1, 3]), weight("bias", &[3])];
            (Net::single(&[6, 6, 6, 1], layer, &[4, 4, 4, 3]), options())
        }
        "depthwise" => {
            let mut layer = layer(
                "DepthwiseConv2D",
                "depthwise_conv2d",
                LayerConfig::DepthwiseConv(DepthwiseConv {
                    conv: conv(2, 3, 4),
                    depth_multiplier: 2,
                }),
            );
            layer.weights = vec![
                weight("depthwise_kernel", &[3, 3, 2, 2]),
                weight("bias", &[4]),
            ];
            (Net::single(&[8, 8, 2], layer, &[6, 6, 4]), options())
        }
        "separable" => {
            let mut layer = layer(
                "SeparableConv2D",
                "separable_conv2d",
                LayerConfig::SeparableConv(SeparableConv {
                    conv: conv(2, 3, 3),
                    depth_multiplier: 2,
                }),
            );
            layer.weights = vec![
                weight("depthwise_kernel", &[3, 3, 2, 2]),
                weight("pointwise_kernel", &[1, 1, 4, 3]),
                weight("bias", &[3]),
            ];
            (Net::single(&[8, 8, 2], layer, &[6, 6, 3]), options())
        }
        "conv2d_transpose" => {
            let mut layer = layer(
                "Conv2DTranspose",
                "conv2d_transpose",
                ConvTranspose {
                    conv: conv(2, 3, 3),
                    output_padding: None,
                }
                .into(),
            );
            layer.weights = vec![weight("kernel", &[3, 3, 3, 2]), weight("bias", &[3])];
            (Net::single(&[8, 8, 2], layer, &[10, 10, 3]), options())
        }
        "upsampling_bilinear" => (
            up_sampling(2, "up_sampling2d", "bilinear", &[4, 4, 2]),
            options(),
        ),
        "upsampling3d" => (
            up_sampling(3, "up_sampling3d", "nearest", &[2, 2, 2, 1]),
            options(),
        ),
        "relu_max6" => (relu_max(Some(6.0), 0.0, 0.0), options()),
        "relu_thresh" => (relu_max(None, 0.0, 0.5), options()),
        "relu_neg" => (relu_max(None, 0.2, 0.0), options()),
        "leaky_spiking" => (
            single(
                &[4],
                "LeakyReLU",
                "leaky_re_lu",
                LayerConfig::LeakyRelu(LeakyRelu {
                    negative_slope: 0.1,
                }),
                &[4],
            ),
            swap(
                NeuronType::LeakyRelu {
                    negative_slope: 0.1,
                    amplitude: 1.0,
                }
                .into(),
                NeuronType::SpikingLeakyRelu {
                    negative_slope: 0.1,
                    amplitude: 1.0,
                }
                .into(),
            ),
        ),
        "softmax_layer" => (
            single(
                &[4],
                "Softmax",
                "softmax",
                LayerConfig::Softmax(Softmax { axis: -1 }),
                &[4],
            ),
            options(),
        ),
        "activation_softmax" => (
            single(
                &[4],
                "Activation",
                "activation",
                LayerConfig::Activation(ActivationLayer {
                    activation: Activation::Softmax,
                }),
                &[4],
            ),
            options(),
        ),
        "elu_layer" => (
            single(
                &[4],
                "ELU",
                "elu",
                LayerConfig::Elu(Elu { alpha: 1.0 }),
                &[4],
            ),
            options(),
        ),
        "prelu_layer" => {
            let mut layer = layer(
                "PReLU",
                "p_re_lu",
                LayerConfig::PRelu(PRelu {
                    shared_axes: Vec::new(),
                }),
            );
            layer.weights = vec![weight("alpha", &[4])];
            (Net::single(&[4], layer, &[4]), options())
        }
        "act_tanh" => activation(Activation::Tanh),
        "act_sigmoid" => activation(Activation::Sigmoid),
        "act_relu" => activation(Activation::Relu),
        "act_linear" => activation(Activation::Linear),
        "act_relu6_fn" => activation(Activation::Relu6),
        "act_softplus" => activation(Activation::Softplus),
        "act_selu" => activation(Activation::Selu),
        "act_swish" => activation(Activation::Swish),
        "act_exponential" => activation(Activation::Exponential),
        "act_hard_sigmoid" => activation(Activation::HardSigmoid),
        "act_softsign" => activation(Activation::Softsign),
        "dropout" => (
            single(
                &[4],
                "Dropout",
                "dropout",
                LayerConfig::Identity(Identity),
                &[4],
            ),
            options(),
        ),
        "gaussnoise" => (
            single(
                &[4],
                "GaussianNoise",
                "gaussian_noise",
                LayerConfig::Identity(Identity),
                &[4],
            ),
            options(),
        ),
        "rescaling" => (
            single(
                &[4],
                "Rescaling",
                "rescaling",
                LayerConfig::Rescaling(Rescaling {
                    scale: vec![2.0],
                    offset: vec![0.5],
                }),
                &[4],
            ),
            options(),
        ),
        "permute" => (
            single(
                &[4, 2],
                "Permute",
                "permute",
                LayerConfig::Permute(Permute { dims: vec![2, 1] }),
                &[2, 4],
            ),
            options(),
        ),
        "repeat" => (
            single(
                &[4],
                "RepeatVector",
                "repeat_vector",
                LayerConfig::RepeatVector(RepeatVector { n: 3 }),
                &[3, 4],
            ),
            options(),
        ),
        "cropping" => (
            single(
                &[6, 6, 1],
                "Cropping2D",
                "cropping2d",
                LayerConfig::Cropping(Cropping {
                    rank: 2,
                    cropping: vec![(1, 1), (1, 1)],
                    data_format: DataFormat::ChannelsLast,
                }),
                &[4, 4, 1],
            ),
            options(),
        ),
        "bn_train" => (batch_norm(true), options()),
        "bn_inf" => (batch_norm(true), inference_only()),
        "bn_frozen" => (batch_norm(false), options()),
        "multiply_multi_input" => (
            merge(
                "Multiply",
                "multiply",
                LayerConfig::Merge(Merge::Multiply),
                &[4],
                &[4],
            ),
            options(),
        ),
        "subtract_multi_input" => (
            merge(
                "Subtract",
                "subtract",
                LayerConfig::Merge(Merge::Subtract),
                &[4],
                &[4],
            ),
            options(),
        ),
        "concat_1" => (concatenate(1), options()),
        "concat_2" => (concatenate(2), options()),
        "concat_-1" => (concatenate(-1), options()),
        "concat_-2" => (concatenate(-2), options()),
        "concat_0" => (concatenate(0), options()),
        "nested" => {
            let mut inner = Net::default();
            let input = inner.input("in2", &[4]);
            let d = inner.apply(dense("d", 4, 3, Activation::Relu), &[input], &[3]);
            let mut model = inner.finish(&[input], &[d]);
            model.name = "sub".into();
            let mut net = Net::default();
            let input = net.input("input_1", &[4]);
            let nested = layer("Functional", "sub", LayerConfig::Model(Box::new(model)));
            let sub = net.apply(nested, &[input], &[3]);
            let out = net.apply(dense("o", 3, 2, Activation::Linear), &[sub], &[2]);
            (net.finish(&[input], &[out]), options())
        }
        "multi_out_syn" => {
            let mut net = Net::default();
            let input = net.input("input_1", &[4]);
            let h = net.apply(dense("h", 4, 3, Activation::Relu), &[input], &[3]);
            let o = net.apply(dense("o", 3, 2, Activation::Linear), &[h], &[2]);
            (
                net.finish(&[input], &[h, o]),
                ConvertOptions {
                    synapse: Some(Synapse::Lowpass { tau: 0.01 }),
                    ..options()
                },
            )
        }
        "td_nontemporal" | "td_temporal" => {
            let wrapped = dense("dense", 4, 3, Activation::Linear);
            let time_distributed = layer(
                "TimeDistributed",
                "time_distributed",
                LayerConfig::TimeDistributed {
                    layer: Box::new(wrapped),
                },
            );
            let model = Net::single(&[4], time_distributed, &[3]).over_time();
            if name == "td_temporal" {
                (model, temporal())
            } else {
                let mut model = model;
                for layer in &mut model.layers {
                    if let LayerConfig::Input(Input { shape, .. }) = &mut layer.config {
                        shape[0] = Some(5);
                    }
                    for call in &mut layer.calls {
                        for shape in &mut call.output_shapes {
                            shape[0] = Some(5);
                        }
                    }
                }
                (model, options())
            }
        }
        "none_shape" => (relu_max(None, 0.0, 0.0).over_time(), options()),
        "none_shape_temporal" => (relu_max(None, 0.0, 0.0).over_time(), temporal()),
        "dense_temporal" => (dense_model(Activation::Relu).over_time(), temporal()),
        "lstm" => (
            single(
                &[5, 4],
                "LSTM",
                "lstm",
                LayerConfig::Recurrent(Recurrent {
                    cell: Cell::Lstm,
                    units: 3,
                    activation: Activation::Tanh,
                    recurrent_activation: Activation::Sigmoid,
                    use_bias: true,
                    return_sequences: false,
                    return_state: false,
                    go_backwards: false,
                    zero_output_for_mask: false,
                    mask: None,
                    below: Vec::new(),
                }),
                &[3],
            ),
            options(),
        ),
        "embedding" => (
            single(
                &[5],
                "Embedding",
                "embedding",
                LayerConfig::Embedding(Embedding {
                    input_dim: 10,
                    output_dim: 3,
                    mask_zero: false,
                }),
                &[5, 3],
            ),
            options(),
        ),
        "constraint" => (
            with_penalties(Penalties {
                kernel_constraint: penalty("keras.constraints.NonNeg"),
                ..Penalties::default()
            }),
            options(),
        ),
        "bias_reg" => (
            with_penalties(Penalties {
                bias_regularizer: penalty("keras.regularizers.L2"),
                ..Penalties::default()
            }),
            options(),
        ),
        "act_reg" => (
            with_penalties(Penalties {
                activity_regularizer: penalty("keras.regularizers.L1"),
                ..Penalties::default()
            }),
            options(),
        ),
        "conv_channels_first_inf" => {
            let mut arguments = conv(2, 3, 3);
            arguments.data_format = DataFormat::ChannelsFirst;
            let mut layer = layer("Conv2D", "conv2d", LayerConfig::Conv(arguments));
            layer.weights = vec![weight("kernel", &[3, 3, 2, 3]), weight("bias", &[3])];
            (Net::single(&[2, 8, 8], layer, &[3, 6, 6]), inference_only())
        }
        "gap" => (
            global_pool(
                PoolKind::Average,
                "GlobalAveragePooling2D",
                "global_average_pooling2d",
            ),
            options(),
        ),
        "gmp" => (
            global_pool(PoolKind::Max, "GlobalMaxPooling2D", "global_max_pooling2d"),
            options(),
        ),
        "avg_pool1d" => (
            pooling(1, "AveragePooling1D", "average_pooling1d", &[6, 2], &[3, 2]),
            options(),
        ),
        "avgpool3d" => (
            pooling(
                3,
                "AveragePooling3D",
                "average_pooling3d",
                &[4, 4, 4, 2],
                &[2, 2, 2, 2],
            ),
            options(),
        ),
        "ks_spiking_activation" => (spiking_activation(true), temporal()),
        "ks_spiking_activation_noaware" => (spiking_activation(false), temporal()),
        "ks_spiking_inf" => (
            spiking_activation(true),
            ConvertOptions {
                inference_only: true,
                ..temporal()
            },
        ),
        "ks_lowpass" => (filter("Lowpass", "lowpass"), temporal()),
        "ks_lowpass_inf" | "ks_alpha_inf" => (
            if name == "ks_lowpass_inf" {
                filter("Lowpass", "lowpass")
            } else {
                filter("Alpha", "alpha")
            },
            ConvertOptions {
                inference_only: true,
                ..temporal()
            },
        ),
        other => panic!("no model for the case {other}"),
    }
}

/// A text without what Python alone says.
fn normalised(text: &str) -> String {
    without_python(text).replace("<keras.layers.core.dense.Dense object>", "<Dense 'dense'>")
}

fn texts(value: &Value) -> Vec<String> {
    let values = value.as_array().map_or(&[][..], Vec::as_slice);
    values
        .iter()
        .map(|value| normalised(value.as_str().expect("a text")))
        .collect()
}

fn words(listing: &Value) -> [Vec<String>; 5] {
    let all = |kind: &str| {
        listing[kind]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
    };
    let text = |object: &Value, field: &str| object[field].as_str().unwrap().to_owned();
    let nodes = all("nodes").map(|node| match node.get("shape_in") {
        None => text(node, "repr"),
        Some(shape) => {
            let shape = shape.as_array().unwrap();
            let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
            let comma = if shape.len() == 1 { "," } else { "" };
            let repr = text(node, "repr");
            format!("{repr} shape_in=({}{comma})", lengths.join(", "))
        }
    });
    let ensembles = all("ensembles").map(|ensemble| {
        // NumPy shows eight digits of a voltage.
        let neuron_type = text(ensemble, "neuron_type").replace("0.0013381243", "0.00133812");
        // Python had cached the text of this object before NengoDL changed its amplitude.
        let neuron_type =
            neuron_type.replace("RectifiedLinear(amplitude=0.02)", "RectifiedLinear()");
        let (label, gain) = (text(ensemble, "label"), text(ensemble, "gain"));
        format!(
            "{label} n={} {neuron_type} gain={gain}",
            ensemble["n_neurons"]
        )
    });
    let connections = all("connections").map(|connection| {
        let [pre, post, synapse, trainable] =
            ["pre", "post", "synapse", "trainable"].map(|field| text(connection, field));
        let transform = text(&connection["transform"], "type");
        format!("{pre}->{post} {transform} syn={synapse} trainable={trainable}")
    });
    let probes = all("probes").map(|p| format!("{} {}", text(p, "target"), text(p, "synapse")));
    let networks = all("networks").map(|label| label.as_str().unwrap().to_owned());
    [
        nodes.collect(),
        ensembles.collect(),
        connections.collect(),
        networks.collect(),
        probes.collect(),
    ]
}

fn assert_case(name: &str, golden: &Value, nengo_dl_compat: bool) {
    let (model, options) = case(name);
    let options = ConvertOptions {
        nengo_dl_compat,
        ..options
    };
    let converted = convert(&model, &options);
    if let Some(error) = golden["error"].as_str() {
        let error = normalised(error);
        let (_, message) = error.split_once(": ").expect("Python names the exception");
        let found = converted.expect_err("NengoDL refuses it").to_string();
        if name == "allow_fallback_False_activation" {
            assert!(found.starts_with(message), "{name}: {found}");
        } else {
            assert_eq!(message, found, "{name}");
        }
        return;
    }
    let conversion = converted.expect("NengoDL converts it");
    let listed = serde_json::to_value(listing(&conversion.network)).expect("a listing is data");
    let found = words(&listed);
    let kinds = ["nodes", "ens", "conns", "networks", "probes"];
    for (kind, found) in kinds.into_iter().zip(found) {
        assert_eq!(texts(&golden[kind]), found, "{name}: {kind}");
    }
    let expected: Vec<String> = texts(&golden["warnings"])
        .iter()
        .map(|warning| warning.trim_start_matches("UserWarning: ").to_owned())
        .collect();
    assert_eq!(expected, messages(&conversion), "{name}: warnings");
}

#[test]
fn edge_cases_to_the_letter() {
    let golden = golden("edge_cases.json.gz");
    assert_eq!(golden.len(), 86);
    for (name, golden) in &golden {
        assert_case(name, golden, true);
    }
}

#[test]
fn edge_cases_by_default() {
    for (name, golden) in &golden("edge_cases.json.gz") {
        if !BETTER.contains(&name.as_str()) {
            assert_case(name, golden, false);
        }
    }
}
