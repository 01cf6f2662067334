//! AveragePooling1D to 3D and MaxPooling1D to 3D.

use super::prelude::*;
use crate::keras::convert::index::elements;
use crate::keras::convert::index::{coordinates, index_of, row_major};
use crate::network::{Convolution, MaxPool, NodeKind, Sparse, Transform};
use crate::ops::{Axis, OUTSIDE, Padding, Taps};

/// Operation of a pooling layer on its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PoolKind {
    Average,
    Max,
}

/// Windows over an image.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Pool {
    pub kind: PoolKind,
    pub rank: usize,
    pub pool_size: Vec<usize>,
    pub strides: Vec<usize>,
    pub padding: Padding,
    pub data_format: DataFormat,
}

impl PoolKind {
    /// The kind in the name of a class.
    pub(super) fn named(name: &str) -> Self {
        if name.contains("Max") {
            Self::Max
        } else {
            Self::Average
        }
    }
}

impl LayerKind for Pool {
    fn names() -> &'static [&'static str] {
        &[
            "AveragePooling1D",
            "AveragePooling2D",
            "AveragePooling3D",
            "MaxPooling1D",
            "MaxPooling2D",
            "MaxPooling3D",
        ]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let rank = rank(name);
        let pool_size = args.sizes_or("pool_size", &vec![2; rank])?;
        Ok(Some(Self {
            kind: PoolKind::named(name),
            rank,
            strides: args.sizes_or("strides", &pool_size)?,
            pool_size,
            padding: args.padding()?,
            data_format: args.data_format()?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::of_rank(inputs, self.rank + 1)?;
        let (_, spatial) = shape::axes(self.rank, self.data_format);
        let mut out = input.clone();
        for (i, axis) in spatial.enumerate() {
            out[axis] = input[axis]
                .map(|n| shape::windows(n, self.pool_size[i], self.strides[i], 1, self.padding))
                .transpose()?;
        }
        Ok(out)
    }

    /// The maximum of each window's places, or the mean of those that are not padding.
    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let (size, strides) = (&self.pool_size, &self.strides);
        let x = axes::to_channels_last(axes::only(inputs)?, self.data_format)?;
        let (batch, item) = axes::split_batch(&x)?;
        let no_room = || Problem::Shape {
            needs: format!("room for windows of {size:?} with strides {strides:?}"),
            found: x.shape().to_vec(),
        };
        let [places @ .., channels] = item else {
            return Err(no_room());
        };
        if places.len() != size.len() || places.len() != strides.len() {
            return Err(no_room());
        }
        let spans = (0..places.len())
            .map(|a| Axis::new(places[a], size[a], strides[a], 1, self.padding))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(no_room)?;
        let taps = Taps::new(&spans).ok_or_else(no_room)?;
        let mut y = vec![0.0; batch * taps.output * channels];
        let (n_in, n_out) = (taps.input * channels, taps.output * channels);
        if n_in > 0 && n_out > 0 {
            for (x, y) in x.data().chunks_exact(n_in).zip(y.chunks_exact_mut(n_out)) {
                for (y, window) in y.chunks_exact_mut(*channels).zip(taps.windows()) {
                    reduce(self.kind, window, *channels, x, y);
                }
            }
        }
        let mut shape = vec![batch];
        shape.extend(spans.iter().map(|a| a.output));
        shape.push(*channels);
        axes::from_channels_last(&axes::tensor(shape, y)?, self.data_format)
    }

    fn advice(&self) -> (String, Option<Advice>) {
        average()
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        convertible(self.kind, self.rank, options)?;
        let mut arguments = Arguments::of(layer, options);
        if self.padding == Padding::Same && options.nengo_dl_compat {
            arguments.require("padding", "same", "valid");
        }
        arguments.verdict()
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let windows = |_: &[usize]| Spans {
            window: self.pool_size.clone(),
            strides: self.strides.clone(),
            padding: self.padding,
        };
        convert(call, self.kind, self.rank, self.data_format, windows)
    }
}

/// Windows along each axis.
pub(super) struct Spans {
    pub(super) window: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) padding: Padding,
}

/// Adds pooling as it was trained, or as the options replace it.
pub(super) fn convert(
    call: &mut LayerCall<'_, '_>,
    kind: PoolKind,
    rank: usize,
    data_format: DataFormat,
    windows: impl FnOnce(&[usize]) -> Spans,
) -> Result<Vec<Pre>, ConvertError> {
    if kind == PoolKind::Max && !call.options().max_to_avg_pool {
        largest(call, rank, data_format, windows)
    } else {
        averages(call, rank, data_format, windows)
    }
}

/// Adds a node of max pooling.
fn largest(
    call: &mut LayerCall<'_, '_>,
    rank: usize,
    data_format: DataFormat,
    windows: impl FnOnce(&[usize]) -> Spans,
) -> Result<Vec<Pre>, ConvertError> {
    let shape = call.input_shape(0)?;
    let channels_last = data_format == DataFormat::ChannelsLast;
    let (places, channels) = match (&*shape, channels_last) {
        ([places @ .., channels], true) | ([channels, places @ ..], false)
            if places.len() == rank =>
        {
            (places, *channels)
        }
        _ => {
            return Err(call.shape_error(format!(
                "{} does not have {rank} axes and channels",
                tuple(&shape)
            )));
        }
    };
    let Spans {
        window,
        strides,
        padding,
    } = windows(places);
    let pair = |values: &[usize]| match values {
        [x] => Some([1, *x]),
        [y, x] => Some([*y, *x]),
        _ => None,
    };
    let pool = pair(places)
        .zip(pair(&window))
        .zip(pair(&strides))
        .and_then(|(([y, x], window), strides)| {
            MaxPool::new([y, x, channels], window, strides, padding, channels_last)
        });
    let Some(pool) = pool else {
        return Err(call.shape_error(format!(
            "windows of {} with strides of {} do not fit {}",
            tuple(&window),
            tuple(&strides),
            tuple(places)
        )));
    };
    call.set_channels_last(channels_last);
    let (size_in, size_out) = (pool.size_in(), pool.size_out());
    let object = call.add_node(call.label(), size_in, size_out, NodeKind::Max(pool));
    call.connect(object, Connect::default())?;
    Ok(vec![object.pre])
}

/// Adds a convolution with a kernel of 1/n on the diagonal of the channels; for windows that reach over
/// the border, a sparse matrix.
fn averages(
    call: &mut LayerCall<'_, '_>,
    rank: usize,
    data_format: DataFormat,
    windows: impl FnOnce(&[usize]) -> Spans,
) -> Result<Vec<Pre>, ConvertError> {
    let input_shape = call.input_shape(0)?;
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
    let Spans {
        window,
        strides,
        padding,
    } = windows(spatial);
    let same = padding == Padding::Same;
    if window.len() != rank || strides.len() != rank || window.contains(&0) || strides.contains(&0)
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
                .ok_or_else(|| call.shape_error(format!("{} is too large", tuple(&input_shape))))?,
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
    call.through(transform)
}

/// Checks if pooling can be converted.
pub(super) fn convertible(
    kind: PoolKind,
    rank: usize,
    options: &ConvertOptions,
) -> Result<(), String> {
    if kind == PoolKind::Average || options.max_to_avg_pool {
        return Ok(());
    }
    if options.nengo_dl_compat {
        return Err(
            "Cannot convert max pooling layers to native Nengo objects; consider setting \
             max_to_avg_pool=True to use average pooling instead"
                .into(),
        );
    }
    if rank > 2 {
        return Err("Max pooling over three axes has no native form".into());
    }
    Ok(())
}

/// The advice if a pooling layer has not been converted.
pub(super) fn average() -> (String, Option<Advice>) {
    let advice = "average pooling is native, and so is max pooling over one or two axes";
    (advice.to_owned(), Some(Advice::AveragePooling))
}

/// The maximum or the mean of a window.
pub(super) fn reduce(kind: PoolKind, window: &[u32], channels: usize, x: &[f32], y: &mut [f32]) {
    let mut count = 0u32;
    for &place in window.iter().filter(|p| **p != OUTSIDE) {
        let row = &x[place as usize * channels..][..channels];
        for (y, x) in y.iter_mut().zip(row) {
            *y = match kind {
                PoolKind::Average => *y + x,
                PoolKind::Max if count == 0 => *x,
                PoolKind::Max => y.max(*x),
            };
        }
        count += 1;
    }
    if kind == PoolKind::Average && count > 0 {
        for y in y {
            *y /= count as f32;
        }
    }
}

/// The most values of a kernel that is written out for all pairs of channels.
const MAX_EYE_VALUES: usize = 1 << 24;

/// The kernel that averages a window, and its groups: NengoDL's 1/n for each channel with itself
/// and 0 for all other pairs, or, if that were too large, a group for each channel.
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

    /// The number of zeros that `same` padding puts before an axis.
    fn before(&self, axis: usize) -> usize {
        let covered =
            ((self.places[axis] - 1) * self.strides[axis]).saturating_add(self.window[axis]);
        covered.saturating_sub(self.spatial[axis]) / 2
    }
}
