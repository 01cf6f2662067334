//! Convolutions over any number of axes: arguments, and what all kinds share.

use super::prelude::*;
use crate::keras::convert::call::Object;
use crate::keras::convert::index::{coordinates, index_of, row_major};
use crate::keras::forward::linear;
use crate::keras::penalty::Penalties;
use crate::network::{Convolution, NodeKind, Sparse, Transform};
use crate::ops::{ConvPlan, Padding};

/// A convolution over `rank` axes, channels to channels: Conv1D to Conv3D. As the argument of the other
/// kinds, it holds what they have in common.
///
/// The kernel's shape is `[k.., in / groups, filters]`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Conv {
    pub rank: usize,
    pub filters: usize,
    pub kernel_size: Vec<usize>,
    pub strides: Vec<usize>,
    pub padding: Padding,
    pub data_format: DataFormat,
    pub dilation_rate: Vec<usize>,
    pub groups: usize,
    pub use_bias: bool,
    pub activation: Activation,
    pub penalties: Penalties,
}

impl Conv {
    /// The arguments; `None` if the activation is none of Keras's. `prefix` is that of the kernel's
    /// penalties.
    pub(super) fn arguments(
        rank: usize,
        filters: usize,
        prefix: &str,
        args: &Args<'_>,
    ) -> Result<Option<Self>, String> {
        let Some(activation) = args.activation("activation", Activation::Linear)? else {
            return Ok(None);
        };
        let groups = args.size_or("groups", 1)?;
        if !filters.is_multiple_of(groups) {
            return Err(format!(
                "its {filters} filters cannot be split into {groups} groups"
            ));
        }
        Ok(Some(Conv {
            rank,
            filters,
            kernel_size: args.sizes("kernel_size", rank)?,
            strides: args.sizes_or("strides", &vec![1; rank])?,
            padding: args.padding()?,
            data_format: args.data_format()?,
            dilation_rate: args.sizes_or("dilation_rate", &vec![1; rank])?,
            groups,
            use_bias: args.flag("use_bias", true)?,
            activation,
            penalties: args.penalties(prefix)?,
        }))
    }

    /// The slot of the bias, if there is one.
    pub(super) fn bias_slot(&self, length: Option<usize>) -> Option<Slot> {
        self.use_bias.then(|| Slot::new("bias", vec![length]))
    }

    pub(super) fn geometry(&self) -> Geometry<'_> {
        Geometry {
            strides: &self.strides,
            dilation: &self.dilation_rate,
            padding: self.padding,
            groups: self.groups,
        }
    }

    /// Checks if Nengo's objects can express it with these arguments.
    pub(super) fn convertible(
        &self,
        layer: LayerRef<'_>,
        options: &ConvertOptions,
    ) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if options.nengo_dl_compat {
            if self.groups != 1 {
                return Err("Grouped Convolution layers require Nengo>3.2.0".into());
            }
            arguments.require(
                "dilation_rate",
                &tuple(&self.dilation_rate),
                &tuple(&vec![1; self.rank]),
            );
        }
        arguments.penalties(&self.penalties);
        arguments.verdict()
    }

    /// Adds a convolution from the input. The biases, one for each filter, go from a bias node through
    /// a relay to every place of the filter's output.
    pub(super) fn convert(
        &self,
        call: &mut LayerCall<'_, '_>,
        kernels: impl FnOnce(&LayerCall<'_, '_>, usize) -> Result<Kernels, ConvertError>,
    ) -> Result<Vec<Pre>, ConvertError> {
        let conv = self;
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

        let Kernels {
            kernel,
            groups,
            pointwise,
            n_out,
        } = kernels(call, n_in)?;
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

/// The weights of a convolution as Nengo's object has them.
pub(super) struct Kernels {
    /// The kernel from the input: `[k.., in / groups, out]`.
    pub(super) kernel: Tensor,
    /// The groups that its channels form.
    pub(super) groups: usize,
    /// The kernel after it.
    pub(super) pointwise: Option<Tensor>,
    /// The channels of the output.
    pub(super) n_out: usize,
}

/// The geometry of a convolution.
pub(super) struct Geometry<'a> {
    pub(super) strides: &'a [usize],
    pub(super) dilation: &'a [usize],
    pub(super) padding: Padding,
    pub(super) groups: usize,
}

impl<'a> Geometry<'a> {
    /// One group, and strides and dilations of one.
    pub(super) fn of_ones(ones: &'a [usize], padding: Padding) -> Self {
        Self {
            strides: ones,
            dilation: ones,
            padding,
            groups: 1,
        }
    }
}

/// The convolution of `x`, which has channels last, with a kernel of shape `[k.., in / groups, out]`.
pub(super) fn convolve(x: &Tensor, kernel: &Tensor, g: &Geometry<'_>) -> Result<Tensor, Problem> {
    let (batch, item) = axes::split_batch(x)?;
    let plan = ConvPlan::with_padding(
        item,
        kernel.shape(),
        g.strides,
        g.dilation,
        g.padding,
        g.groups,
        true,
    )?;
    let mut y = vec![0.0; batch * plan.size_out()];
    plan.apply_batch(kernel.data(), batch, x.data(), &mut y)?;
    let mut shape = vec![batch];
    shape.extend(&plan.places);
    shape.push(plan.channels_out);
    axes::tensor(shape, y)
}

/// Softmax goes over the last axis, which is the channels' only with channels last.
pub(super) fn laid_out(
    y: Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    format: DataFormat,
) -> Result<Tensor, Problem> {
    let y = linear::finish(y, bias, Activation::Linear)?;
    activation.of(&axes::from_channels_last(&y, format)?)
}

/// A depthwise kernel `[k.., in, m]` is a grouped kernel `[k.., 1, in m]` in memory.
pub(super) fn depthwise(c: &Conv, kernel: &Tensor, x: &Tensor) -> Result<Tensor, Problem> {
    let [window @ .., channels, multiplier] = kernel.shape() else {
        return Err(Problem::Shape {
            needs: "a depthwise kernel".to_owned(),
            found: kernel.shape().to_vec(),
        });
    };
    let mut shape = window.to_vec();
    shape.extend([1, channels * multiplier]);
    let grouped = axes::tensor(shape, kernel.data().to_vec())?;
    let geometry = Geometry {
        groups: *channels,
        ..c.geometry()
    };
    convolve(x, &grouped, &geometry)
}

pub(super) fn conv_shape(
    conv: &Conv,
    inputs: &[Shape],
    channels: impl Fn(Option<usize>) -> Option<usize>,
    place: impl Fn(usize, usize) -> Result<usize, String>,
) -> Result<Shape, String> {
    let input = shape::of_rank(inputs, conv.rank + 1)?;
    let (channel, spatial) = shape::axes(conv.rank, conv.data_format);
    let mut out = input.clone();
    for (i, axis) in spatial.enumerate() {
        out[axis] = input[axis].map(|n| place(n, i)).transpose()?;
    }
    out[channel] = channels(input[channel]);
    Ok(out)
}

pub(super) fn convolved(
    conv: &Conv,
    inputs: &[Shape],
    channels: impl Fn(Option<usize>) -> Option<usize>,
) -> Result<Shape, String> {
    conv_shape(conv, inputs, channels, |n, i| {
        shape::windows(
            n,
            conv.kernel_size[i],
            conv.strides[i],
            conv.dilation_rate[i],
            conv.padding,
        )
    })
}

/// The input channels of a convolution.
pub(super) fn channels(conv: &Conv, input: Option<&Shape>) -> Option<usize> {
    let input = input?;
    match conv.data_format {
        DataFormat::ChannelsLast => *input.last()?,
        DataFormat::ChannelsFirst => *input.first()?,
    }
}

/// The shape of a kernel: the window, then the two axes of channels.
pub(super) fn kernel(conv: &Conv, channels: [Option<usize>; 2]) -> Shape {
    let window = conv.kernel_size.iter().map(|&k| Some(k));
    window.chain(channels).collect()
}

/// Connects a convolution to an object: from `pre`, or from the call's input.
pub(super) fn connect(
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

/// Number of places that a kernel of `size` covers.
pub(super) fn window(size: usize, dilation: usize) -> usize {
    size.saturating_sub(1)
        .saturating_mul(dilation)
        .saturating_add(1)
}

/// The spatial axes and the channels of a shape.
pub(super) struct Image {
    pub(super) spatial: Vec<usize>,
    pub(super) channels: usize,
    pub(super) channels_last: bool,
}

impl Image {
    pub(super) fn of(
        call: &LayerCall<'_, '_>,
        shape: &[usize],
        conv: &Conv,
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

    pub(super) fn shape(&self) -> Vec<usize> {
        if self.channels_last {
            [self.spatial.as_slice(), &[self.channels]].concat()
        } else {
            [&[self.channels], self.spatial.as_slice()].concat()
        }
    }
}

/// A depthwise kernel `[k.., in, multiplier]` as that of a convolution with a group for each
/// channel: `[k.., 1, in * multiplier]`.
pub(super) fn depthwise_kernel(
    call: &LayerCall<'_, '_>,
    conv: &Conv,
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
pub(super) fn transform(
    call: &LayerCall<'_, '_>,
    conv: &Conv,
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
pub(super) fn add_depthwise(
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
pub(super) fn add_causal_padding(
    call: &mut LayerCall<'_, '_>,
    conv: &Conv,
    input: &Image,
) -> Result<(Image, Pre), ConvertError> {
    if call.options().nengo_dl_compat {
        return Err(ConvertError::Validation {
            layer: call.layer().name.to_owned(),
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

/// Places of an axis set into a longer one: the first at `before`, each at `step` from
/// the one before it.
pub(super) struct Stuffing {
    pub(super) length: usize,
    pub(super) before: usize,
    pub(super) step: usize,
}

/// Adds the node `X.padding` that has the input's values among zeros.
pub(super) fn add_stuffed(
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
    let size = index::elements(&shape)
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
pub(super) fn add_bias(
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
