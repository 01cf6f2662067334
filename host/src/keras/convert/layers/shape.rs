//! Layers that move elements: Flatten, Reshape, ZeroPadding, UpSampling, Cropping, Permute,
//! RepeatVector.

use super::super::call::Connect;
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter};
use super::{Arguments, coordinates, index_of, row_major, tuple};
use crate::keras::model::{DataFormat, Layer, LayerConfig};
use crate::network::Pre;

/// The indices of a block of a row-major array, in the block's own order.
pub(super) fn block(shape: &[usize], offset: &[usize], block: &[usize]) -> Vec<usize> {
    let strides = row_major(shape);
    let base = index_of(offset, &strides);
    (0..block.iter().product())
        .map(|i| base + index_of(&coordinates(i, block), &strides))
        .collect()
}

/// For each element of `shape`, the element of `from` that it repeats: axes of length 1 are
/// stretched, as Keras's merging layers do.
pub(super) fn broadcast(
    call: &LayerCall<'_, '_>,
    from: &[usize],
    shape: &[usize],
) -> Result<Vec<usize>, ConvertError> {
    let fits = from.len() <= shape.len()
        && from
            .iter()
            .rev()
            .zip(shape.iter().rev())
            .all(|(f, s)| f == s || *f == 1);
    if !fits {
        return Err(call.shape_error(format!(
            "an input of shape {} cannot be stretched to {}",
            tuple(from),
            tuple(shape)
        )));
    }
    let mut strides = vec![0; shape.len() - from.len()];
    strides.extend(
        row_major(from)
            .into_iter()
            .zip(from)
            .map(|(stride, &length)| if length == 1 { 0 } else { stride }),
    );
    Ok((0..shape.iter().product())
        .map(|i| index_of(&coordinates(i, shape), &strides))
        .collect())
}

/// Flatten and Reshape leave no object: Nengo's objects are vectors.
pub(super) struct Reshape;

impl LayerConverter for Reshape {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        // Keras flattens channels_first data with the channels moved last; NengoDL forgets that.
        if let LayerConfig::Flatten {
            data_format: DataFormat::ChannelsFirst,
        } = call.layer().config
            && !call.options().nengo_dl_compat
        {
            let shape = call.input_shape(0)?;
            if shape.len() > 1 {
                let mut axes: Vec<usize> = (1..shape.len()).collect();
                axes.push(0);
                return gather(call, permuted(&shape, &axes));
            }
        }
        call.set_channels_last(true);
        Ok(vec![call.input(0)?])
    }
}

/// A node that reads these elements of the input.
fn gather(call: &mut LayerCall<'_, '_>, indices: Vec<usize>) -> Result<Vec<Pre>, ConvertError> {
    call.set_channels_last(true);
    let object = call.add_object(None, None)?;
    call.connect(
        object,
        Connect {
            pre_slice: Some(indices.into()),
            ..Connect::default()
        },
    )?;
    Ok(vec![object.pre])
}

/// For each element of the array with its axes in the order `axes`, its index in `shape`.
fn permuted(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let strides = row_major(shape);
    let new_shape: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
    (0..new_shape.iter().product())
        .map(|i| index_of(&coordinates(i, &new_shape), &strides))
        .collect()
}

/// Permute, RepeatVector and Cropping: a node that reads elements of its input in another order.
pub(super) struct Gather;

impl LayerConverter for Gather {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let shape = call.input_shape(0)?;
        let indices = match &call.layer().config {
            LayerConfig::Permute { dims } => {
                let outer = usize::from(call.temporal());
                let axes: Option<Vec<usize>> = dims
                    .iter()
                    .skip(outer)
                    .map(|dim| dim.checked_sub(1 + outer))
                    .collect();
                let mut sorted = axes.clone().unwrap_or_default();
                sorted.sort_unstable();
                match axes {
                    Some(axes) if sorted.iter().copied().eq(0..shape.len()) => {
                        permuted(&shape, &axes)
                    }
                    _ => {
                        return Err(call.shape_error(format!(
                            "{} is no order of the axes of {}",
                            tuple(dims),
                            tuple(&shape)
                        )));
                    }
                }
            }
            &LayerConfig::RepeatVector { n } => {
                let size = shape.iter().product();
                if call.output_shape()?.first() != Some(&n) {
                    return Err(call.shape_error(format!("the output is not {n} repetitions")));
                }
                (0..n).flat_map(|_| 0..size).collect()
            }
            LayerConfig::Cropping {
                rank,
                cropping,
                data_format,
            } => {
                let place = Spatial::of(call, &shape, *rank, cropping.len(), *data_format)?;
                let mut offset = vec![0; shape.len()];
                let mut size = shape.clone();
                for (axis, &(before, after)) in cropping.iter().enumerate() {
                    let axis = place.first + axis;
                    offset[axis] = before;
                    size[axis] = shape[axis]
                        .checked_sub(before.saturating_add(after))
                        .filter(|&left| left > 0)
                        .ok_or_else(|| {
                            call.shape_error(format!(
                                "nothing is left of {} places without {before} and {after}",
                                shape[axis]
                            ))
                        })?;
                }
                block(&shape, &offset, &size)
            }
            _ => return Err(call.configuration_error()),
        };
        let channels_last = match &call.layer().config {
            LayerConfig::Cropping { data_format, .. } => *data_format == DataFormat::ChannelsLast,
            _ => true,
        };
        let made = gather(call, indices)?;
        call.set_channels_last(channels_last);
        Ok(made)
    }
}

/// Which axes of a shape are spatial.
struct Spatial {
    first: usize,
}

impl Spatial {
    /// The spatial axes of an image with one channel axis, for `arguments` spatial arguments.
    fn of(
        call: &LayerCall<'_, '_>,
        shape: &[usize],
        rank: usize,
        arguments: usize,
        data_format: DataFormat,
    ) -> Result<Self, ConvertError> {
        if shape.len() != rank + 1 || arguments != rank {
            return Err(call.shape_error(format!(
                "{arguments} arguments for {rank} axes do not fit the shape {}",
                tuple(shape)
            )));
        }
        Ok(Self {
            first: usize::from(data_format == DataFormat::ChannelsFirst),
        })
    }
}

/// A node of the padded size, of which the input fills the inner places.
pub(super) struct ZeroPadding;

impl LayerConverter for ZeroPadding {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::ZeroPadding {
            rank,
            padding,
            data_format,
        } = &call.layer().config
        else {
            return Err(call.configuration_error());
        };
        call.set_channels_last(*data_format == DataFormat::ChannelsLast);
        let (input, output) = (call.input_shape(0)?, call.output_shape()?);
        let place = Spatial::of(call, &input, *rank, padding.len(), *data_format)?;
        let mut offset = vec![0; input.len()];
        let mut padded = input.clone();
        for (axis, &(before, after)) in padding.iter().enumerate() {
            let axis = place.first + axis;
            offset[axis] = before;
            padded[axis] = input[axis].saturating_add(before).saturating_add(after);
        }
        if padded != output {
            return Err(call.shape_error(format!(
                "{} is padded to {}, not to {}",
                tuple(&input),
                tuple(&padded),
                tuple(&output)
            )));
        }
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                post_slice: Some(block(&output, &offset, &input).into()),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}

/// A node that reads every element of the input several times.
pub(super) struct UpSampling;

impl LayerConverter for UpSampling {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::UpSampling {
            rank: 2,
            interpolation,
            ..
        } = &layer.config
        {
            arguments.require("interpolation", interpolation, "nearest");
        }
        arguments.verdict()
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::UpSampling {
            rank,
            size,
            data_format,
            ..
        } = &call.layer().config
        else {
            return Err(call.configuration_error());
        };
        call.set_channels_last(*data_format == DataFormat::ChannelsLast);
        let (input, output) = (call.input_shape(0)?, call.output_shape()?);
        let place = Spatial::of(call, &input, *rank, size.len(), *data_format)?;
        let mut repeats = vec![1; input.len()];
        repeats[place.first..place.first + rank].copy_from_slice(size);
        let fits = input
            .iter()
            .zip(&repeats)
            .map(|(length, &repeat)| length.checked_mul(repeat))
            .eq(output.iter().map(|&length| Some(length)));
        if !fits {
            return Err(call.shape_error(format!(
                "{} repeated {} times is not {}",
                tuple(&input),
                tuple(&repeats),
                tuple(&output)
            )));
        }
        let strides = row_major(&input);
        let indices: Vec<usize> = (0..output.iter().product())
            .map(|i| {
                let nearest: Vec<usize> = coordinates(i, &output)
                    .iter()
                    .zip(&repeats)
                    .map(|(place, repeat)| place / repeat)
                    .collect();
                index_of(&nearest, &strides)
            })
            .collect();
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                pre_slice: Some(indices.into()),
                // NengoDL forgets the filter on this connection; so the network has none.
                synapse: Some(None),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}
