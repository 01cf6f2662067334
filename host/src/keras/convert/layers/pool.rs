//! Average and global average pooling; maximum pooling where the user accepts an average.

use super::super::call::Connect;
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter};
use super::{Arguments, coordinates, elements, index_of, row_major, tuple};
use crate::keras::model::{DataFormat, Layer, LayerConfig, Padding, PoolKind};
use crate::network::{Convolution, Pre, Sparse, Transform};
use crate::tensor::Tensor;

/// A convolution with a kernel of 1/n on the diagonal of the channels.
pub(super) struct Pool;

impl LayerConverter for Pool {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let (LayerConfig::Pool { kind, .. } | LayerConfig::GlobalPool { kind, .. }) = layer.config
        else {
            return Ok(());
        };
        if kind == PoolKind::Max && !options.max_to_avg_pool {
            return Err(
                "Cannot convert max pooling layers to native Nengo objects; consider setting \
                 max_to_avg_pool=True to use average pooling instead"
                    .into(),
            );
        }
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::Pool {
            padding: Padding::Same,
            ..
        } = layer.config
            && options.nengo_dl_compat
        {
            arguments.require("padding", "same", "valid");
        }
        arguments.verdict()
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let input_shape = call.input_shape(0)?;
        let (rank, data_format) = match call.layer().config {
            LayerConfig::Pool {
                rank, data_format, ..
            }
            | LayerConfig::GlobalPool {
                rank, data_format, ..
            } => (rank, data_format),
            _ => return Err(call.configuration_error()),
        };
        if input_shape.len() != rank + 1 {
            return Err(call.shape_error(format!(
                "{} does not have {rank} axes and channels",
                tuple(&input_shape)
            )));
        }
        let channels_last = data_format == DataFormat::ChannelsLast;
        let (spatial, channels) = if channels_last {
            (&input_shape[..rank], input_shape[rank])
        } else {
            (&input_shape[1..], input_shape[0])
        };
        let (window, strides, same) = match &call.layer().config {
            LayerConfig::Pool {
                pool_size,
                strides,
                padding,
                ..
            } => (
                pool_size.clone(),
                strides.clone(),
                *padding == Padding::Same,
            ),
            _ => (spatial.to_vec(), vec![1; rank], false),
        };
        if window.len() != rank
            || strides.len() != rank
            || window.contains(&0)
            || strides.contains(&0)
        {
            return Err(call.shape_error(format!(
                "windows of {} with strides of {} do not fit {rank} axes",
                tuple(&window),
                tuple(&strides)
            )));
        }
        let mut places = Vec::with_capacity(rank);
        for axis in 0..rank {
            let room = if same {
                spatial[axis]
            } else {
                (spatial[axis] + 1).saturating_sub(window[axis])
            };
            if room == 0 {
                return Err(call.shape_error(format!(
                    "a window of {} does not fit {}",
                    tuple(&window),
                    tuple(spatial)
                )));
            }
            places.push(room.div_ceil(strides[axis]));
        }
        let with_channels = |spatial: &[usize]| {
            if channels_last {
                [spatial, &[channels]].concat()
            } else {
                [&[channels], spatial].concat()
            }
        };
        let output_shape = with_channels(&places);
        let transform = if same {
            let spread = |spatial: &[usize]| with_channels(spatial);
            let windows = Windows {
                spatial,
                places: &places,
                window: &window,
                strides: &strides,
            };
            Transform::Sparse(
                windows
                    .average(channels, channels_last, &spread)
                    .ok_or_else(|| {
                        call.shape_error(format!("{} is too large", tuple(&input_shape)))
                    })?,
            )
        } else {
            let (kernel, groups) = average_kernel(&window, channels)
                .ok_or_else(|| call.shape_error("the window has no size".into()))?;
            Transform::Convolution(Convolution {
                input_shape: input_shape.clone(),
                output_shape,
                kernel,
                strides,
                dilation: vec![1; rank],
                same_padding: false,
                groups,
                channels_last,
            })
        };
        call.set_channels_last(channels_last);
        let object = call.add_object(None, None)?;
        call.connect(
            object,
            Connect {
                transform: Some(transform),
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}

/// The most values of a kernel that is written out for all pairs of channels.
const MAX_EYE_VALUES: usize = 1 << 24;

/// The kernel that averages a window, and its groups: NengoDL's 1/n for each channel with itself
/// and 0 for all other pairs, or, where that were too large, a group for each channel.
fn average_kernel(window: &[usize], channels: usize) -> Option<(Tensor, usize)> {
    let n = elements(window)?;
    let weight = (1.0 / n as f64) as f32;
    let values = channels
        .checked_mul(channels)
        .and_then(|pairs| pairs.checked_mul(n))
        .filter(|&values| values <= MAX_EYE_VALUES);
    let Some(values) = values else {
        let shape = [window, &[1, channels]].concat();
        elements(&shape)?;
        return Some((Tensor::filled(shape, weight), channels));
    };
    let mut kernel = vec![0.0; values];
    for plane in kernel.chunks_mut((channels * channels).max(1)) {
        for value in plane.iter_mut().step_by(channels + 1) {
            *value = weight;
        }
    }
    let kernel = Tensor::new([window, &[channels, channels]].concat(), kernel)?;
    Some((kernel, 1))
}

/// Windows over padded data.
struct Windows<'a> {
    spatial: &'a [usize],
    places: &'a [usize],
    window: &'a [usize],
    strides: &'a [usize],
}

impl Windows<'_> {
    /// The average over the real elements of each window: TensorFlow does not count the padding,
    /// which no convolution can express.
    fn average(
        &self,
        channels: usize,
        channels_last: bool,
        with_channels: &dyn Fn(&[usize]) -> Vec<usize>,
    ) -> Option<Sparse> {
        let (input, output) = (with_channels(self.spatial), with_channels(self.places));
        let (from, to) = (row_major(&input), row_major(&output));
        let rank = self.spatial.len();
        let (spatial_from, spatial_to) = if channels_last {
            (&from[..rank], &to[..rank])
        } else {
            (&from[1..], &to[1..])
        };
        let (channel_from, channel_to) = if channels_last {
            (from[rank], to[rank])
        } else {
            (from[0], to[0])
        };
        // At most so many entries: no window covers more than all places.
        let covered: Vec<usize> = (0..rank)
            .map(|axis| self.window[axis].min(self.spatial[axis]))
            .collect();
        elements(&[covered.as_slice(), &[elements(&output)?]].concat())?;
        let mut indices = Vec::new();
        let mut values = Vec::new();
        for place in 0..self.places.iter().product() {
            let place = coordinates(place, self.places);
            let first: Vec<usize> = (0..rank)
                .map(|axis| (place[axis] * self.strides[axis]).saturating_sub(self.before(axis)))
                .collect();
            let lengths: Vec<usize> = (0..rank)
                .map(|axis| {
                    let end = (place[axis] * self.strides[axis])
                        .saturating_add(self.window[axis])
                        .saturating_sub(self.before(axis));
                    end.min(self.spatial[axis]) - first[axis]
                })
                .collect();
            let base = index_of(&first, spatial_from);
            let elements: Vec<usize> = (0..lengths.iter().product())
                .map(|offset| base + index_of(&coordinates(offset, &lengths), spatial_from))
                .collect();
            let weight = (1.0 / elements.len() as f64) as f32;
            for channel in 0..channels {
                let row = index_of(&place, spatial_to) + channel * channel_to;
                for element in &elements {
                    let column = element + channel * channel_from;
                    indices.push((u32::try_from(row).ok()?, u32::try_from(column).ok()?));
                    values.push(weight);
                }
            }
        }
        Some(Sparse {
            size_out: output.iter().product(),
            size_in: input.iter().product(),
            indices: indices.into(),
            values: Tensor::vector(values),
        })
    }

    /// How many zeros `same` padding puts before an axis.
    fn before(&self, axis: usize) -> usize {
        let covered =
            ((self.places[axis] - 1) * self.strides[axis]).saturating_add(self.window[axis]);
        covered.saturating_sub(self.spatial[axis]) / 2
    }
}
