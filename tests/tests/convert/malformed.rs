//! Models whose numbers do not fit one another are refused, never a panic.

use proptest::prelude::*;
use tinyspike::convert::{ConvertError, ConvertOptions, convert};
use tinyspike::model::{
    Activation, BatchNormalization, Call, Concatenate, ConvTranspose, Cropping, DataFormat, Dense,
    DepthwiseConv, Flatten, GlobalPool, LayerConfig, Model, PRelu, Padding, Permute, Pool,
    PoolKind, RepeatVector, Rescaling, SeparableConv, TensorRef, UpSampling, ZeroPadding,
};

use super::keras::{Net, conv, dense, layer, weight};

fn number() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 1..4usize, 1 => Just(0), 1 => Just(1 << 28), 1 => Just(usize::MAX)]
}

/// One number for each of two axes, most of the time.
fn numbers() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        6 => prop::collection::vec(number(), 2),
        1 => prop::collection::vec(number(), 0..4),
    ]
}

fn rank() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(2), 1 => 1..4usize]
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        6 => prop::collection::vec(1..6usize, 3),
        1 => prop::collection::vec(1..6usize, 0..4),
        1 => numbers(),
    ]
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Valid),
        Just(Padding::Same),
        Just(Padding::Causal)
    ]
}

fn data_format() -> impl Strategy<Value = DataFormat> {
    prop_oneof![
        Just(DataFormat::ChannelsLast),
        Just(DataFormat::ChannelsFirst)
    ]
}

fn pairs() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop_oneof![
        6 => prop::collection::vec((number(), number()), 2),
        1 => prop::collection::vec((number(), number()), 0..4),
    ]
}

fn convolution() -> impl Strategy<Value = LayerConfig> {
    (
        (rank(), number(), numbers(), numbers(), padding()),
        (
            data_format(),
            numbers(),
            number(),
            any::<bool>(),
            0..4,
            number(),
        ),
    )
        .prop_map(|((rank, filters, kernel_size, strides, padding), rest)| {
            let (data_format, dilation_rate, groups, use_bias, kind, depth_multiplier) = rest;
            let mut conv = conv(rank, 1, filters);
            conv.kernel_size = kernel_size;
            conv.strides = strides;
            conv.padding = padding;
            conv.data_format = data_format;
            conv.dilation_rate = dilation_rate;
            conv.groups = groups;
            conv.use_bias = use_bias;
            match kind {
                0 => LayerConfig::Conv(conv),
                1 => LayerConfig::DepthwiseConv(DepthwiseConv {
                    conv,
                    depth_multiplier,
                }),
                _ => LayerConfig::SeparableConv(SeparableConv {
                    conv,
                    depth_multiplier,
                }),
            }
        })
}

fn moving() -> impl Strategy<Value = LayerConfig> {
    prop_oneof![
        (rank(), pairs(), data_format()).prop_map(|(rank, padding, data_format)| {
            LayerConfig::ZeroPadding(ZeroPadding {
                rank,
                padding,
                data_format,
            })
        }),
        (rank(), pairs(), data_format()).prop_map(|(rank, cropping, data_format)| {
            LayerConfig::Cropping(Cropping {
                rank,
                cropping,
                data_format,
            })
        }),
        (rank(), numbers(), data_format()).prop_map(|(rank, size, data_format)| {
            LayerConfig::UpSampling(UpSampling {
                rank,
                size,
                data_format,
                interpolation: "nearest".into(),
            })
        }),
        numbers().prop_map(|dims| LayerConfig::Permute(Permute { dims })),
        number().prop_map(|n| LayerConfig::RepeatVector(RepeatVector { n })),
        any::<isize>().prop_map(|axis| LayerConfig::Concatenate(Concatenate { axis })),
        (-3..4isize).prop_map(|axis| LayerConfig::Concatenate(Concatenate { axis })),
        numbers().prop_map(|shared_axes| LayerConfig::PRelu(PRelu { shared_axes })),
        data_format().prop_map(|data_format| LayerConfig::Flatten(Flatten { data_format })),
    ]
}

fn computing() -> impl Strategy<Value = LayerConfig> {
    prop_oneof![
        (
            rank(),
            numbers(),
            numbers(),
            padding(),
            data_format(),
            any::<bool>()
        )
            .prop_map(|(rank, pool_size, strides, padding, data_format, global)| {
                let kind = PoolKind::Average;
                if global {
                    LayerConfig::GlobalPool(GlobalPool {
                        kind,
                        rank,
                        data_format,
                        keepdims: false,
                        mask: None,
                    })
                } else {
                    LayerConfig::Pool(Pool {
                        kind,
                        rank,
                        pool_size,
                        strides,
                        padding,
                        data_format,
                    })
                }
            }),
        prop_oneof![-5..6isize, any::<isize>()].prop_map(|axis| LayerConfig::BatchNormalization(
            BatchNormalization {
                axis,
                epsilon: 0.001,
                center: true,
                scale: true,
            }
        )),
        prop::collection::vec(any::<f64>(), 0..3).prop_map(|scale| LayerConfig::Rescaling(
            Rescaling {
                offset: scale.clone(),
                scale,
            }
        )),
        number().prop_map(|units| LayerConfig::Dense(Dense {
            units,
            use_bias: true,
            activation: Activation::Relu6,
            penalties: tinyspike::model::Penalties::default(),
        })),
    ]
}

fn config() -> impl Strategy<Value = LayerConfig> {
    prop_oneof![convolution(), moving(), computing()]
}

/// The shapes of weights that fit the configuration, if they are small.
fn fitting_weights(config: &LayerConfig, input: &[usize]) -> Vec<Vec<usize>> {
    let (Some(&first), Some(&last)) = (input.first(), input.last()) else {
        return Vec::new();
    };
    let channels = |conv: &tinyspike::model::Conv| match conv.data_format {
        DataFormat::ChannelsLast => last,
        DataFormat::ChannelsFirst => first,
    };
    let kernel = |conv: &tinyspike::model::Conv, inner: usize, outer: usize| {
        [conv.kernel_size.as_slice(), &[inner, outer]].concat()
    };
    let shapes = match config {
        LayerConfig::Conv(conv) => {
            let inner = channels(conv) / conv.groups.max(1);
            vec![kernel(conv, inner, conv.filters), vec![conv.filters]]
        }
        LayerConfig::ConvTranspose(ConvTranspose { conv, .. }) => {
            vec![
                kernel(conv, conv.filters, channels(conv)),
                vec![conv.filters],
            ]
        }
        LayerConfig::DepthwiseConv(DepthwiseConv {
            conv,
            depth_multiplier,
        }) => vec![
            kernel(conv, channels(conv), *depth_multiplier),
            vec![channels(conv).saturating_mul(*depth_multiplier)],
        ],
        LayerConfig::SeparableConv(SeparableConv {
            conv,
            depth_multiplier,
        }) => vec![
            kernel(conv, channels(conv), *depth_multiplier),
            [
                vec![1; conv.rank],
                vec![
                    channels(conv).saturating_mul(*depth_multiplier),
                    conv.filters,
                ],
            ]
            .concat(),
            vec![conv.filters],
        ],
        LayerConfig::Dense(Dense { units, .. }) => vec![vec![last, *units], vec![*units]],
        LayerConfig::BatchNormalization(BatchNormalization { axis, .. }) => {
            let axis = if *axis < 0 { *axis } else { *axis - 1 };
            let n = usize::try_from(axis.rem_euclid(input.len() as isize)).map_or(1, |i| input[i]);
            vec![vec![n]; 4]
        }
        LayerConfig::PRelu(PRelu { shared_axes }) => vec![
            input
                .iter()
                .enumerate()
                .map(|(i, &n)| if shared_axes.contains(&(i + 1)) { 1 } else { n })
                .collect(),
        ],
        _ => Vec::new(),
    };
    let small = |shape: &Vec<usize>| {
        shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .is_some_and(|n| n < 1 << 12)
    };
    if shapes.iter().all(small) {
        shapes
    } else {
        Vec::new()
    }
}

const CLASSES: [&str; 18] = [
    "Conv2D",
    "SeparableConv2D",
    "Dense",
    "PReLU",
    "Add",
    "Average",
    "Subtract",
    "Concatenate",
    "Flatten",
    "UpSampling2D",
    "ZeroPadding2D",
    "AveragePooling2D",
    "BatchNormalization",
    "Rescaling",
    "Permute",
    "SpikingActivation",
    "Lowpass",
    "Functional",
];

/// The class to which a configuration belongs.
fn class_of(config: &LayerConfig) -> &'static str {
    match config {
        LayerConfig::Conv(_) => "Conv2D",
        LayerConfig::ConvTranspose(_) => "Conv2DTranspose",
        LayerConfig::DepthwiseConv(_) => "DepthwiseConv2D",
        LayerConfig::SeparableConv(_) => "SeparableConv2D",
        LayerConfig::ZeroPadding(_) => "ZeroPadding2D",
        LayerConfig::Cropping(_) => "Cropping2D",
        LayerConfig::UpSampling(_) => "UpSampling2D",
        LayerConfig::Permute(_) => "Permute",
        LayerConfig::RepeatVector(_) => "RepeatVector",
        LayerConfig::Concatenate(_) => "Concatenate",
        LayerConfig::PRelu(_) => "PReLU",
        LayerConfig::Flatten(_) => "Flatten",
        LayerConfig::Pool(_) => "AveragePooling2D",
        LayerConfig::GlobalPool(_) => "GlobalAveragePooling2D",
        LayerConfig::BatchNormalization(_) => "BatchNormalization",
        LayerConfig::Rescaling(_) => "Rescaling",
        _ => "Dense",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn numbers_that_do_not_fit(
        config in config(),
        input in lengths(),
        output in lengths(),
        other_class in prop::option::weighted(0.1, prop::sample::select(&CLASSES[..])),
        other_weights in prop::option::weighted(
            0.2,
            prop::collection::vec(prop::collection::vec(0..4usize, 0..5), 0..5),
        ),
        n_inputs in 1..3usize,
        inference_only in any::<bool>(),
        nengo_dl_compat in any::<bool>(),
        temporal_model in prop::bool::weighted(0.2),
    ) {
        let class = other_class.unwrap_or_else(|| class_of(&config));
        let names: &[&str] = match class {
            "BatchNormalization" => &["moving_mean", "moving_variance", "gamma", "beta"],
            "SeparableConv2D" => &["depthwise_kernel", "pointwise_kernel", "bias"],
            "DepthwiseConv2D" => &["depthwise_kernel", "bias"],
            "PReLU" => &["alpha"],
            "Lowpass" => &["tau", "level_smoothing"],
            _ => &["kernel", "bias"],
        };
        let weights = other_weights.unwrap_or_else(|| fitting_weights(&config, &input));
        let mut layer = layer(class, "layer", config);
        layer.weights = names.iter().zip(&weights).map(|(n, shape)| weight(n, shape)).collect();
        let mut net = Net::default();
        let inputs: Vec<TensorRef> =
            (0..n_inputs).map(|i| net.input(&format!("input_{i}"), &input)).collect();
        let out = net.apply(layer, &inputs, &output);
        let model = net.finish(&inputs, &[out]);
        let options = ConvertOptions {
            inference_only,
            nengo_dl_compat,
            temporal_model,
            ..ConvertOptions::default()
        };
        // Either a network or an error: the test is that there is no panic.
        if let Ok(conversion) = convert(&model, &options) {
            prop_assert_eq!(conversion.network.inputs.len(), n_inputs);
        }
    }
}

fn graph_error(model: &Model) -> String {
    match convert(model, &ConvertOptions::default()) {
        Err(error @ ConvertError::Graph { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn references_to_nothing_and_cycles() {
    let model = Net::single(&[4], dense("dense", 4, 3, Activation::Relu), &[3]);

    let mut nothing = model.clone();
    nothing.layers[1].calls[0].inputs[0].call = 7;
    assert_eq!(
        graph_error(&nothing),
        "model 'model': there is no tensor 0 of call 7 of layer 0"
    );

    let mut cycle = model.clone();
    cycle.layers[1].calls[0].inputs[0].layer = 1;
    assert_eq!(
        graph_error(&cycle),
        "model 'model': call 0 of layer 1 needs itself"
    );

    let mut no_input = model.clone();
    no_input.inputs = no_input.outputs.clone();
    assert_eq!(
        graph_error(&no_input),
        "model 'model': the input 'dense' is not an InputLayer"
    );

    let mut two_outputs = model;
    let call: &mut Call = &mut two_outputs.layers[1].calls[0];
    call.output_shapes.push(vec![Some(3)]);
    assert_eq!(
        graph_error(&two_outputs),
        "model 'model': layer 'dense' has 2 outputs, but its converter made 1 objects"
    );
}
