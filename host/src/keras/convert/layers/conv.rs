//! Conv1D to Conv3D, depthwise, separable and transposed convolution.

use super::super::call::Connect;
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter, Object};
use super::{Arguments, coordinates, index_of, row_major, tuple};
use crate::keras::model::{self, DataFormat, Layer, LayerConfig, Padding};
use crate::network::{Convolution, NodeKind, Pre, Sparse, Transform};
use crate::tensor::Tensor;

/// A convolution from the input. The biases, one for each filter, go from a bias node through a
/// relay to every place of the filter's output.
pub(super) struct Conv;

/// The layer's arguments, and the depth multiplier of the depthwise kinds.
fn configuration(layer: &Layer) -> Option<(&model::Conv, Kind)> {
    match &layer.config {
        LayerConfig::Conv(conv) => Some((conv, Kind::Full)),
        LayerConfig::DepthwiseConv {
            conv,
            depth_multiplier,
        } => Some((conv, Kind::Depthwise(*depth_multiplier))),
        LayerConfig::SeparableConv {
            conv,
            depth_multiplier,
        } => Some((conv, Kind::Separable(*depth_multiplier))),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Full,
    Depthwise(usize),
    Separable(usize),
}

impl LayerConverter for Conv {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if let Some((conv, _)) = configuration(layer) {
            if options.nengo_dl_compat {
                if conv.groups != 1 {
                    return Err("Grouped Convolution layers require Nengo>3.2.0".into());
                }
                arguments.require(
                    "dilation_rate",
                    &tuple(&conv.dilation_rate),
                    &tuple(&vec![1; conv.rank]),
                );
            }
            arguments.penalties(&conv.penalties);
        }
        arguments.verdict()
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let Some((conv, kind)) = configuration(call.layer()) else {
            return Err(call.configuration_error());
        };
        let channels_last = conv.data_format == DataFormat::ChannelsLast;
        call.set_channels_last(channels_last);
        let input = Image::of(call, &call.input_shape(0)?, conv)?;
        let n_in = input.channels;
        if conv.groups == 0 || n_in % conv.groups != 0 {
            return Err(call.shape_error(format!(
                "{n_in} channels do not fall into {} groups",
                conv.groups
            )));
        }

        let full =
            |inner: usize, outer: usize| [conv.kernel_size.as_slice(), &[inner, outer]].concat();
        // The kernel from the input, how many groups it has, and the kernel after it.
        let (kernel, groups, pointwise) = match kind {
            Kind::Full => (
                call.weight("kernel", &full(n_in / conv.groups, conv.filters))?
                    .clone(),
                conv.groups,
                None,
            ),
            Kind::Depthwise(multiplier) => {
                (depthwise_kernel(call, conv, n_in, multiplier)?, n_in, None)
            }
            Kind::Separable(multiplier) => {
                let shape = [
                    vec![1; conv.rank],
                    vec![n_in.saturating_mul(multiplier), conv.filters],
                ]
                .concat();
                (
                    depthwise_kernel(call, conv, n_in, multiplier)?,
                    n_in,
                    Some(call.weight("pointwise_kernel", &shape)?.clone()),
                )
            }
        };
        let n_out = match kind {
            Kind::Depthwise(multiplier) => n_in.saturating_mul(multiplier),
            Kind::Full | Kind::Separable(_) => conv.filters,
        };
        let bias = if conv.use_bias {
            Some(call.weight("bias", &[n_out])?.clone())
        } else {
            None
        };

        let object = call.add_object(Some(conv.activation.into()), None)?;
        if let Some(bias) = bias {
            add_bias(call, object, &bias, channels_last)?;
        }

        let (input, from) = if conv.padding == Padding::Causal {
            let (padded, pre) = add_causal_padding(call, conv, &input)?;
            (padded, Some(pre))
        } else {
            (input, None)
        };
        let first = transform(call, conv, &input, kernel, groups)?;
        match pointwise {
            None => connect(call, from, object, first)?,
            Some(kernel) => {
                let (between, last) = add_depthwise(call, &first, kernel);
                connect(call, from, between, first)?;
                connect(call, Some(between.pre), object, last)?;
            }
        }
        Ok(vec![object.pre])
    }
}

/// Connects a convolution to an object: from `pre`, or from the call's input.
fn connect(
    call: &mut LayerCall<'_, '_>,
    pre: Option<Pre>,
    object: Object,
    convolution: Convolution,
) -> Result<(), ConvertError> {
    let transform = Transform::Convolution(convolution);
    match pre {
        Some(pre) => call.connect_objects(pre, object.post, transform, Some(true)),
        None => call.connect(
            object,
            Connect {
                transform: Some(transform),
                trainable: true,
                ..Connect::default()
            },
        ),
    }
}

/// A transposed convolution: a plain one, with the kernel reversed, of the input set among zeros.
pub(super) struct ConvTranspose;

impl LayerConverter for ConvTranspose {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::ConvTranspose(conv) = &layer.config {
            arguments.penalties(&conv.penalties);
        }
        arguments.verdict()
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::ConvTranspose(conv) = &call.layer().config else {
            return Err(call.configuration_error());
        };
        let channels_last = conv.data_format == DataFormat::ChannelsLast;
        call.set_channels_last(channels_last);
        let input = Image::of(call, &call.input_shape(0)?, conv)?;
        // The kernel of the convolution whose gradient this is.
        let shape = [conv.kernel_size.as_slice(), &[conv.filters, input.channels]].concat();
        let kernel = reversed(call.weight("kernel", &shape)?)
            .ok_or_else(|| call.shape_error("the kernel has no shape".into()))?;
        let bias = if conv.use_bias {
            Some(call.weight("bias", &[conv.filters])?.clone())
        } else {
            None
        };
        let mut axes = Vec::with_capacity(conv.rank);
        for (axis, &length) in input.spatial.iter().enumerate() {
            let stride = conv.strides[axis];
            let window = window(conv.kernel_size[axis], conv.dilation_rate[axis]);
            let surplus = window.saturating_sub(stride);
            let (output, before) = match conv.padding {
                Padding::Valid => (length.saturating_mul(stride).saturating_add(surplus), 0),
                Padding::Same | Padding::Causal => (length.saturating_mul(stride), surplus / 2),
            };
            if stride == 0 || window == 0 || conv.kernel_size[axis] == 0 {
                return Err(call.shape_error("a window or a stride is 0".into()));
            }
            axes.push(Stuffing {
                length: output.saturating_add(window - 1),
                before: window - 1 - before,
                step: stride,
            });
        }
        let object = call.add_object(Some(conv.activation.into()), None)?;
        if let Some(bias) = bias {
            add_bias(call, object, &bias, channels_last)?;
        }
        let (stuffed, pre) = add_stuffed(call, &input, &axes)?;
        let plain = model::Conv {
            strides: vec![1; conv.rank],
            padding: Padding::Valid,
            ..conv.clone()
        };
        let convolution = transform(call, &plain, &stuffed, kernel, 1)?;
        connect(call, Some(pre), object, convolution)?;
        Ok(vec![object.pre])
    }
}

/// The kernel `[k.., out, in]` of a transposed convolution, its windows reversed, as `[k.., in, out]`.
fn reversed(kernel: &Tensor) -> Option<Tensor> {
    let [window @ .., n_out, n_in] = kernel.shape() else {
        return None;
    };
    let plane = n_out * n_in;
    let mut data = Vec::with_capacity(kernel.len());
    for values in kernel.data().chunks(plane.max(1)).rev() {
        for inner in 0..*n_in {
            data.extend(values.iter().skip(inner).step_by(*n_in));
        }
    }
    Tensor::new([window, &[*n_in, *n_out]].concat(), data)
}

/// How many places a kernel of `size` covers.
fn window(size: usize, dilation: usize) -> usize {
    size.saturating_sub(1)
        .saturating_mul(dilation)
        .saturating_add(1)
}

/// The spatial axes and the channels of a shape.
struct Image {
    spatial: Vec<usize>,
    channels: usize,
    channels_last: bool,
}

impl Image {
    fn of(
        call: &LayerCall<'_, '_>,
        shape: &[usize],
        conv: &model::Conv,
    ) -> Result<Self, ConvertError> {
        let channels_last = conv.data_format == DataFormat::ChannelsLast;
        let split = if channels_last {
            shape.split_last()
        } else {
            shape.split_first()
        };
        match split {
            Some((&channels, spatial))
                if spatial.len() == conv.rank
                    && conv.kernel_size.len() == conv.rank
                    && conv.strides.len() == conv.rank
                    && conv.dilation_rate.len() == conv.rank =>
            {
                Ok(Self {
                    spatial: spatial.to_vec(),
                    channels,
                    channels_last,
                })
            }
            _ => Err(call.shape_error(format!(
                "an input of shape {} cannot be convolved along {} axes with a kernel of {}, \
                 strides of {} and dilation of {}",
                tuple(shape),
                conv.rank,
                tuple(&conv.kernel_size),
                tuple(&conv.strides),
                tuple(&conv.dilation_rate)
            ))),
        }
    }

    fn shape(&self) -> Vec<usize> {
        if self.channels_last {
            [self.spatial.as_slice(), &[self.channels]].concat()
        } else {
            [&[self.channels], self.spatial.as_slice()].concat()
        }
    }
}

/// A depthwise kernel `[k.., in, multiplier]` as that of a convolution with a group for each
/// channel: `[k.., 1, in * multiplier]`.
fn depthwise_kernel(
    call: &LayerCall<'_, '_>,
    conv: &model::Conv,
    n_in: usize,
    multiplier: usize,
) -> Result<Tensor, ConvertError> {
    let shape =
        |inner: usize, outer: usize| [conv.kernel_size.as_slice(), &[inner, outer]].concat();
    let expected = shape(n_in, multiplier);
    let name = if call.layer().weight("depthwise_kernel").is_some() {
        "depthwise_kernel"
    } else {
        "kernel"
    };
    call.weight(name, &expected)?
        .reshaped(shape(1, n_in.saturating_mul(multiplier)))
        .ok_or_else(|| call.shape_error("the depthwise kernel has no shape".into()))
}

/// The convolution of an image with a kernel `[k.., in / groups, out]`.
fn transform(
    call: &LayerCall<'_, '_>,
    conv: &model::Conv,
    input: &Image,
    kernel: Tensor,
    groups: usize,
) -> Result<Convolution, ConvertError> {
    let channels = kernel.shape().last().copied().unwrap_or(0);
    let same = conv.padding == Padding::Same;
    let mut spatial = Vec::with_capacity(conv.rank);
    for (axis, &length) in input.spatial.iter().enumerate() {
        let (size, stride, dilation) = (
            conv.kernel_size[axis],
            conv.strides[axis],
            conv.dilation_rate[axis],
        );
        let window = window(size, dilation);
        let places = if same {
            length
        } else {
            (length + 1).saturating_sub(window)
        };
        if size == 0 || stride == 0 || places == 0 {
            return Err(call.shape_error(format!(
                "a window of {window} with a stride of {stride} does not fit {length} places"
            )));
        }
        spatial.push(places.div_ceil(stride));
    }
    Ok(Convolution {
        input_shape: input.shape(),
        output_shape: Image {
            spatial,
            channels,
            channels_last: input.channels_last,
        }
        .shape(),
        kernel,
        strides: conv.strides.clone(),
        dilation: conv.dilation_rate.clone(),
        same_padding: same,
        groups,
        channels_last: input.channels_last,
    })
}

/// Adds the node between the depthwise and the pointwise part, and returns it with the pointwise
/// convolution.
fn add_depthwise(
    call: &mut LayerCall<'_, '_>,
    depthwise: &Convolution,
    pointwise: Tensor,
) -> (Object, Convolution) {
    let size = depthwise.output_shape.iter().product();
    let label = format!("{}.depthwise", call.label());
    let node = call.add_node(label, size, size, NodeKind::Passthrough);
    let rank = depthwise.strides.len();
    let mut output_shape = depthwise.output_shape.clone();
    let channel_axis = if depthwise.channels_last { rank } else { 0 };
    if let (Some(channels), Some(&filters)) =
        (output_shape.get_mut(channel_axis), pointwise.shape().last())
    {
        *channels = filters;
    }
    let last = Convolution {
        input_shape: depthwise.output_shape.clone(),
        output_shape,
        kernel: pointwise,
        strides: vec![1; rank],
        dilation: vec![1; rank],
        same_padding: false,
        groups: 1,
        channels_last: depthwise.channels_last,
    };
    (node, last)
}

/// Nengo's convolution knows no causal padding: adds a node with the zeros before the start.
fn add_causal_padding(
    call: &mut LayerCall<'_, '_>,
    conv: &model::Conv,
    input: &Image,
) -> Result<(Image, Pre), ConvertError> {
    if call.options().nengo_dl_compat {
        return Err(ConvertError::Validation {
            layer: call.layer().name.clone(),
            parameter: "Convolution.padding",
            problem: "String 'causal' must be one of ['same', 'valid']".into(),
        });
    }
    let axes: Vec<Stuffing> = (input.spatial.iter())
        .zip(conv.kernel_size.iter().zip(&conv.dilation_rate))
        .map(|(&length, (size, &dilation))| {
            let before = size.saturating_sub(1).saturating_mul(dilation);
            Stuffing {
                length: length.saturating_add(before),
                before,
                step: 1,
            }
        })
        .collect();
    add_stuffed(call, input, &axes)
}

/// How the places of an axis are set into a longer one: the first at `before`, each at `step` from
/// the one before it.
struct Stuffing {
    length: usize,
    before: usize,
    step: usize,
}

/// Adds the node `X.padding` that has the input's values among zeros.
fn add_stuffed(
    call: &mut LayerCall<'_, '_>,
    input: &Image,
    axes: &[Stuffing],
) -> Result<(Image, Pre), ConvertError> {
    let stuffed = Image {
        spatial: axes.iter().map(|axis| axis.length).collect(),
        channels: input.channels,
        channels_last: input.channels_last,
    };
    let shape = stuffed.shape();
    let size = super::elements(&shape)
        .ok_or_else(|| call.shape_error(format!("padded to {}, it is too large", tuple(&shape))))?;
    let mut before: Vec<usize> = axes.iter().map(|axis| axis.before).collect();
    let mut steps: Vec<usize> = axes.iter().map(|axis| axis.step).collect();
    let channel_axis = if input.channels_last { axes.len() } else { 0 };
    before.insert(channel_axis, 0);
    steps.insert(channel_axis, 1);
    let strides = row_major(&shape);
    let from = input.shape();
    let places: Vec<usize> = (0..from.iter().product())
        .map(|element| {
            let place: Vec<usize> = (coordinates(element, &from).iter())
                .zip(before.iter().zip(&steps))
                .map(|(place, (before, step))| before + place * step)
                .collect();
            index_of(&place, &strides)
        })
        .collect();
    let label = format!("{}.padding", call.label());
    let node = call.add_node(label, size, size, NodeKind::Passthrough);
    call.connect(
        node,
        Connect {
            post_slice: Some(places.into()),
            ..Connect::default()
        },
    )?;
    Ok((stuffed, node.pre))
}

/// Adds `X.bias`, which holds one weight for each filter, and `X.bias_relay`, which spreads it.
fn add_bias(
    call: &mut LayerCall<'_, '_>,
    object: Object,
    bias: &Tensor,
    channels_last: bool,
) -> Result<(), ConvertError> {
    let name = call.label();
    let filters = bias.len();
    let shape = call.output_shape()?;
    let size: usize = shape.iter().product();
    let too_large =
        |call: &LayerCall<'_, '_>| call.shape_error(format!("{size} outputs are too many"));
    let channel_axis = if channels_last {
        shape.len().saturating_sub(1)
    } else {
        0
    };
    if shape.get(channel_axis) != Some(&filters) {
        return Err(call.shape_error(format!(
            "the output {} does not have {filters} channels",
            tuple(&shape)
        )));
    }

    // The bias node is listed before the relay, and both before the connections between them.
    let source = call.add_node(
        format!("{name}.bias"),
        0,
        1,
        NodeKind::Constant(Tensor::filled(vec![1], 1.0)),
    );
    let relay = call.add_node(
        format!("{name}.bias_relay"),
        filters,
        filters,
        NodeKind::Passthrough,
    );
    let weights = bias
        .reshaped(vec![filters, 1])
        .ok_or_else(|| too_large(call))?;
    call.connect_objects(source.pre, relay.post, Transform::Dense(weights), None)?;

    let places = size / filters.max(1);
    let mut indices = Vec::with_capacity(size);
    for filter in 0..filters {
        for place in 0..places {
            let element = if channels_last {
                place * filters + filter
            } else {
                filter * places + place
            };
            let entry = (u32::try_from(element), u32::try_from(filter));
            let (Ok(row), Ok(column)) = entry else {
                return Err(too_large(call));
            };
            indices.push((row, column));
        }
    }
    let spread = Sparse {
        size_out: size,
        size_in: filters,
        indices: indices.into(),
        values: Tensor::filled(vec![size], 1.0),
    };
    call.connect_objects(
        relay.pre,
        object.post,
        Transform::Sparse(spread),
        Some(false),
    )
}
