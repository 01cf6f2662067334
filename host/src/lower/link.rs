//! The synapses of a link, in the forms that images have: weights, and a map of the source before
//! them.

use super::path::{Middle, Path, Weights, matrix_after};
use super::wiring::Wiring;
use crate::ops::{self, Axis, ConvPlan, OpsError, Taps};
use crate::tensor::Tensor;

/// What a link's weights see of its source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceMap {
    /// The source as it is.
    Direct,
    /// Sums over neighbours, repetitions and offsets.
    Window(Window),
    /// Each place of the source as one of `places`, or as none.
    Table {
        /// How many places the weights see.
        places: usize,
        /// For each place of the source, what it stands for.
        to: Vec<Option<u32>>,
    },
}

/// Pooling, repetition and an offset along two axes; channels stay.
///
/// Place (y, x, c) stands for (floor(y / pool) repeat + offset + k, likewise for x, c) for every k
/// below `repeat`, as far as that lies inside `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height, width and channels of the source.
    pub input: [usize; 3],
    /// Height, width and channels of what the weights see.
    pub output: [usize; 3],
    /// How many neighbours along each axis add up to one place.
    pub pool: [usize; 2],
    /// How many places each of those becomes.
    pub repeat: [usize; 2],
    /// How far behind the origin those lie.
    pub offset: [isize; 2],
}

impl Window {
    fn axis(&self, axis: usize, place: usize) -> std::ops::Range<usize> {
        let repeat = self.repeat[axis];
        let first = (place / self.pool[axis] * repeat) as isize + self.offset[axis];
        let inside = |at: isize| at.clamp(0, self.output[axis] as isize) as usize;
        inside(first)..inside(first + repeat as isize)
    }

    /// Calls `each` with every place of the source and every place that it stands for.
    fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        let [height, width, channels] = self.input;
        for y in 0..height {
            for x in 0..width {
                for to_y in self.axis(0, y) {
                    for to_x in self.axis(1, x) {
                        let from = (y * width + x) * channels;
                        let to = (to_y * self.output[1] + to_x) * channels;
                        for c in 0..channels {
                            each(from + c, to + c);
                        }
                    }
                }
            }
        }
    }
}

impl SourceMap {
    /// Calls `each` with every place of a source of `inputs` places, and every place that it stands
    /// for.
    pub fn for_each(&self, inputs: usize, mut each: impl FnMut(usize, usize)) {
        match self {
            Self::Direct => (0..inputs).for_each(|at| each(at, at)),
            Self::Window(w) => w.for_each(each),
            Self::Table { to, .. } => {
                for (from, to) in to.iter().enumerate() {
                    if let Some(to) = to {
                        each(from, *to as usize);
                    }
                }
            }
        }
    }

    /// How many places of a source of `inputs` places the most crowded place stands for.
    #[must_use]
    pub fn crowd(&self, inputs: usize) -> usize {
        match self {
            Self::Direct => 1,
            Self::Window(w) => (0..2).map(|axis| w.pool[axis].min(w.input[axis])).product(),
            Self::Table { places, .. } => {
                let mut crowds = vec![0; *places];
                self.for_each(inputs, |_, to| crowds[to] += 1);
                crowds.into_iter().max().unwrap_or(0)
            }
        }
    }
}

/// The weights of a link.
#[derive(Clone, Debug)]
pub enum LinearMap {
    /// A full matrix to a part of the target.
    Dense(Dense),
    /// A convolution, channels last.
    Convolution(Convolution),
}

/// A full matrix.
#[derive(Clone, Debug)]
pub struct Dense {
    /// `[outputs, inputs]`.
    pub weights: Tensor,
    /// The first place of the target that it reaches.
    pub first: usize,
}

/// A cross-correlation over two axes, channels last. One over one axis has the height 1.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// Height, width and channels of what it sees.
    pub input: [usize; 3],
    /// Height, width and channels of the target.
    pub output: [usize; 3],
    /// `[kernel y, kernel x, input channels / groups, filters]`.
    pub kernel: Tensor,
    /// Stride along each axis.
    pub stride: [usize; 2],
    /// Zeros before each axis; what a window misses behind it is zero as well.
    pub padding: [usize; 2],
    /// Dilation along each axis.
    pub dilation: [usize; 2],
    /// Groups of channels and filters.
    pub groups: usize,
    /// The channel of the target that the first filter reaches.
    pub first: usize,
}

impl Convolution {
    /// How many filters it has.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.kernel.shape()[3]
    }

    /// y += W x for each of `batch` vectors.
    ///
    /// # Errors
    /// Where the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        let axes = [0, 1].map(|axis| Axis {
            input: self.input[axis],
            kernel: self.kernel.shape()[axis],
            stride: self.stride[axis],
            dilation: self.dilation[axis],
            output: self.output[axis],
            before: self.padding[axis],
        });
        let filters = self.filters();
        let plan = ConvPlan {
            taps: Taps::new(&axes).ok_or_else(|| OpsError::Shape {
                what: "a convolution's input",
                expected: "fewer places".to_owned(),
                found: self.input.to_vec(),
            })?,
            places: self.output[..2].to_vec(),
            channels_in: self.input[2],
            channels_out: filters,
            groups: self.groups,
            channels_last: true,
        };
        let channels = self.output[2];
        if filters == channels {
            return plan.apply_batch(self.kernel.data(), batch, x, y);
        }
        let mut part = vec![0.0; y.len() / channels.max(1) * filters];
        plan.apply_batch(self.kernel.data(), batch, x, &mut part)?;
        let part = part.chunks(filters.max(1));
        for (y, part) in y.chunks_mut(channels.max(1)).zip(part) {
            let y = y.iter_mut().skip(self.first);
            y.zip(part).for_each(|(y, part)| *y += part);
        }
        Ok(())
    }
}

impl LinearMap {
    /// How many places it sees.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::Dense(d) => d.weights.shape()[1],
            Self::Convolution(c) => c.input.iter().product(),
        }
    }

    /// y += W x for each of `batch` vectors.
    ///
    /// # Errors
    /// Where the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        match self {
            Self::Dense(d) => {
                let outputs = d.weights.shape()[0];
                let size = y.len().checked_div(batch).unwrap_or(0);
                if outputs == size {
                    return ops::dense(&d.weights, batch, x, y);
                }
                let mut part = vec![0.0; outputs * batch];
                ops::dense(&d.weights, batch, x, &mut part)?;
                let part = part.chunks(outputs.max(1));
                for (y, part) in y.chunks_mut(size.max(1)).zip(part) {
                    let y = y.iter_mut().skip(d.first);
                    y.zip(part).for_each(|(y, part)| *y += part);
                }
                Ok(())
            }
            Self::Convolution(c) => c.apply_batch(batch, x, y),
        }
    }

    /// The same with every weight changed by `f`.
    #[must_use]
    pub fn map(&self, f: impl FnMut(f32) -> f32) -> Self {
        match self {
            Self::Dense(d) => Self::Dense(Dense {
                weights: d.weights.map(f),
                first: d.first,
            }),
            Self::Convolution(c) => Self::Convolution(Convolution {
                kernel: c.kernel.map(f),
                ..c.clone()
            }),
        }
    }
}

/// What a path needs of an image: a map of the source and weights. `source` is the source's shape,
/// `target` the target's, both channels last; `Err` says what an image cannot hold.
pub(super) fn finish(
    path: Path,
    source: [usize; 3],
    target: [usize; 3],
) -> Result<(SourceMap, LinearMap), String> {
    let Path { before, middle } = path;
    match middle {
        None => {
            let whole = convolution(Convolution::one_to_one(target), &before, source);
            let flat = [1, 1, target.iter().product()];
            whole
                .or_else(|| convolution(Convolution::one_to_one(flat), &before, source))
                .or_else(|| {
                    let one = Weights::Convolution(Convolution::one_to_one(flat));
                    matrix(&one, &Wiring::identity(flat[2]), &before)
                })
                .ok_or_else(|| "an order of elements that no convolution sees".into())
        }
        Some(Middle { weights, after }) => {
            let made = match &weights {
                Weights::Dense(w) => placed(w, &after).and_then(|d| dense(d, &before, source)),
                Weights::Convolution(c) => c
                    .placed(&after)
                    .and_then(|c| convolution(c, &before, source)),
            };
            made.or_else(|| matrix(&weights, &after, &before))
                .ok_or_else(|| {
                    "a convolution whose input or output is taken apart or put together in this way"
                        .into()
                })
        }
    }
}

/// Everything as one matrix.
fn matrix(weights: &Weights, after: &Wiring, before: &Wiring) -> Option<(SourceMap, LinearMap)> {
    let w = weights.matrix(after)?;
    let weights = matrix_after(&w, before)?;
    Some((
        SourceMap::Direct,
        LinearMap::Dense(Dense { weights, first: 0 }),
    ))
}

/// `after` the matrix, without the rows of zeros before and behind.
fn placed(w: &Tensor, after: &Wiring) -> Option<Dense> {
    if after.is_identity() {
        return Some(Dense {
            weights: w.clone(),
            first: 0,
        });
    }
    let rows = after.rows();
    let first = rows.iter().position(|row| !row.is_empty())?;
    let end = rows.iter().rposition(|row| !row.is_empty())? + 1;
    let whole = Weights::Dense(w.clone()).matrix(after)?;
    let columns = whole.shape()[1];
    let data = whole.data()[first * columns..end * columns].to_vec();
    Some(Dense {
        weights: Tensor::new(vec![end - first, columns], data)?,
        first,
    })
}

/// A matrix after wiring.
fn dense(d: Dense, before: &Wiring, source: [usize; 3]) -> Option<(SourceMap, LinearMap)> {
    let direct = |weights| {
        let first = d.first;
        Some((
            SourceMap::Direct,
            LinearMap::Dense(Dense { weights, first }),
        ))
    };
    if before.is_identity() {
        return direct(d.weights.clone());
    }
    // Places that see the same are one, and their order is the source's: what is left of the wiring
    // is what the matrix cannot take over.
    let mut order: Vec<usize> = (0..before.outputs())
        .filter(|&row| !before.rows()[row].is_empty())
        .collect();
    let seen = |row: usize| before.rows()[row].iter().map(|&(at, _)| at);
    order.sort_by(|&a, &b| seen(a).cmp(seen(b)));
    let uniform = before.row_values();
    let groups: Vec<&[usize]> = order.chunk_by(|&a, &b| seen(a).eq(seen(b))).collect();
    let Some(values) = uniform.filter(|_| groups.len() < before.inputs) else {
        return direct(matrix_after(&d.weights, before)?);
    };
    let [outputs, columns] = *d.weights.shape() else {
        return None;
    };
    let data = (0..outputs)
        .flat_map(|output| {
            let row = &d.weights.data()[output * columns..][..columns];
            let values = &values;
            groups
                .iter()
                .map(move |group| group.iter().map(|&at| row[at] * values[at]).sum())
        })
        .collect();
    let weights = Tensor::new(vec![outputs, groups.len()], data)?;
    let places: Vec<Vec<usize>> = groups
        .iter()
        .map(|group| seen(group[0]).map(|at| at as usize).collect())
        .collect();
    let channels = source[2];
    // Wiring that takes channels apart is no window of whole places.
    let map = if places.len().is_multiple_of(channels.max(1)) {
        let pooled = places.len() / channels.max(1);
        (1..=pooled)
            .filter(|height| pooled.is_multiple_of(*height))
            .find_map(|height| window(&places, source, [height, pooled / height, channels]))
    } else {
        None
    };
    match map
        .map(SourceMap::Window)
        .or_else(|| table(&places, before.inputs))
    {
        Some(map) => {
            let first = d.first;
            Some((map, LinearMap::Dense(Dense { weights, first })))
        }
        None => direct(matrix_after(&d.weights, before)?),
    }
}

/// A convolution after wiring.
fn convolution(
    c: Convolution,
    before: &Wiring,
    source: [usize; 3],
) -> Option<(SourceMap, LinearMap)> {
    if before.is_identity() {
        return Some((SourceMap::Direct, LinearMap::Convolution(c)));
    }
    let values = before.row_values()?;
    let seen = c.input[2];
    let channel_value = |channel: usize| {
        let rows = before.rows().iter().zip(&values);
        let mut of_channel = rows.skip(channel).step_by(seen);
        let (_, value) = of_channel.clone().find(|(row, _)| !row.is_empty())?;
        of_channel
            .all(|(row, v)| row.is_empty() || v == value)
            .then_some(*value)
    };
    let factors: Vec<f32> = (0..seen)
        .map(|channel| {
            let none = before
                .rows()
                .iter()
                .skip(channel)
                .step_by(seen)
                .all(Vec::is_empty);
            if none {
                Some(0.0)
            } else {
                channel_value(channel)
            }
        })
        .collect::<Option<_>>()?;
    let c = scaled_channels(&c, &factors)?;
    // The source may not have the shape that it is seen with: a matrix's outputs have one channel.
    let width = before.inputs.checked_div(seen).unwrap_or(0);
    let reshaped = (1..=width)
        .filter(|w| width.is_multiple_of(*w))
        .map(|w| [width / w, w, seen]);
    let shapes = std::iter::once(source).chain(reshaped.filter(|shape| *shape != source));
    let same = |map: &SourceMap| *map == SourceMap::Direct;
    let mut second = None;
    for shape in shapes {
        if shape.iter().product::<usize>() != before.inputs {
            continue;
        }
        match windowed(&c, before, shape, false) {
            Some(found) if same(&found.0) => return Some(found),
            Some(found) => {
                second.get_or_insert(found);
            }
            None => {}
        }
        // What a whole order needs does not depend on how it is named.
        if second.is_some() {
            break;
        }
    }
    let places: Vec<Vec<usize>> = before
        .rows()
        .iter()
        .map(|row| row.iter().map(|&(at, _)| at as usize).collect())
        .collect();
    second
        .or_else(|| {
            let map = table(&places, before.inputs)?;
            Some((map, LinearMap::Convolution(c.clone())))
        })
        .or_else(|| windowed(&c, before, source, true))
}

/// A convolution after wiring from a source of this shape, where each of its channels sees at most
/// one channel of the source, and all see it through the same window. `ungroup` allows to give up the
/// groups of the convolution for it.
fn windowed(
    c: &Convolution,
    before: &Wiring,
    shape: [usize; 3],
    ungroup: bool,
) -> Option<(SourceMap, LinearMap)> {
    let seen = c.input[2];
    let channels = shape[2];
    // The channel of the source that each channel sees.
    let mut from = vec![None; seen];
    for (at, row) in before.rows().iter().enumerate() {
        for &(column, _) in row {
            let channel = column as usize % channels;
            if *from[at % seen].get_or_insert(channel) != channel {
                return None;
            }
        }
    }
    // All that do see one must see it alike.
    let template = from.iter().position(Option::is_some)?;
    let mut places = Vec::with_capacity(before.outputs() / seen);
    for rows in before.rows().chunks(seen) {
        let place = |row: &[(u32, f32)]| -> Vec<usize> {
            row.iter().map(|&(at, _)| at as usize / channels).collect()
        };
        let expected = place(&rows[template]);
        let alike = rows
            .iter()
            .zip(&from)
            .all(|(row, from)| from.is_none() || place(row) == expected);
        if !alike {
            return None;
        }
        places.push(expected);
    }
    let c = selected_channels(c, &from, channels, ungroup)?;
    let [height, width, _] = c.input;
    let plane = [shape[0], shape[1], 1];
    let w = window(&places, plane, [height, width, 1])?;
    if let Some(direct) = padded(&c, &w) {
        return Some((SourceMap::Direct, LinearMap::Convolution(direct)));
    }
    let w = Window {
        input: shape,
        output: c.input,
        ..w
    };
    Some((SourceMap::Window(w), LinearMap::Convolution(c)))
}

/// A convolution of a source that the window only offsets, as one with other padding.
fn padded(c: &Convolution, w: &Window) -> Option<Convolution> {
    if w.pool != [1; 2] || w.repeat != [1; 2] {
        return None;
    }
    let mut padding = [0; 2];
    for (axis, padding) in padding.iter_mut().enumerate() {
        *padding = c.padding[axis].checked_add_signed(w.offset[axis])?;
        let (kernel, dilation) = (c.kernel.shape()[axis], c.dilation[axis]);
        let last = c.output[axis].checked_sub(1)? * c.stride[axis];
        // Where the source reaches beyond what the convolution sees, no window may reach.
        let cut = w.input[axis] as isize + w.offset[axis] > w.output[axis] as isize;
        let reaches = last + (kernel - 1) * dilation >= w.output[axis] + c.padding[axis];
        if w.offset[axis] < 0
            || *padding > (kernel - 1) * dilation
            || last >= w.input[axis] + *padding
            || cut && reaches
        {
            return None;
        }
    }
    Some(Convolution {
        input: [w.input[0], w.input[1], c.input[2]],
        padding,
        ..c.clone()
    })
}

/// The convolution of channels that are multiplied by `factors` before.
fn scaled_channels(c: &Convolution, factors: &[f32]) -> Option<Convolution> {
    let (channels, filters) = (c.input[2], c.filters());
    let (inner, outer) = (channels / c.groups, filters / c.groups);
    let data = c
        .kernel
        .data()
        .iter()
        .enumerate()
        .map(|(at, w)| {
            let (row, filter) = (at / filters, at % filters);
            w * factors[filter / outer * inner + row % inner]
        })
        .collect();
    Some(Convolution {
        kernel: Tensor::new(c.kernel.shape().to_vec(), data)?,
        ..c.clone()
    })
}

/// The convolution of a source with `channels` channels, of which each channel that it saw was one,
/// or none.
fn selected_channels(
    c: &Convolution,
    from: &[Option<usize>],
    channels: usize,
    ungroup: bool,
) -> Option<Convolution> {
    let seen = c.input[2];
    let in_order = |from: &[Option<usize>]| (0..).zip(from).all(|(i, f)| *f == Some(i));
    if channels == seen && in_order(from) {
        return Some(c.clone());
    }
    // A run of whole groups stays grouped.
    let (inner, outer) = (seen / c.groups, c.filters() / c.groups);
    let first = from.iter().position(Option::is_some)?;
    let end = from.iter().rposition(Option::is_some)? + 1;
    let whole_groups = first.is_multiple_of(inner) && end.is_multiple_of(inner);
    if end - first == channels && whole_groups && in_order(&from[first..end]) && c.groups > 1 {
        let filters = first / inner * outer..end / inner * outer;
        let rows = c.kernel.data().chunks(c.filters());
        let data = rows
            .flat_map(|row| &row[filters.clone()])
            .copied()
            .collect();
        let mut shape = c.kernel.shape().to_vec();
        shape[3] = filters.len();
        return Some(Convolution {
            input: [c.input[0], c.input[1], channels],
            kernel: Tensor::new(shape, data)?,
            groups: channels / inner,
            first: c.first + filters.start,
            ..c.clone()
        });
    }
    if c.groups > 1 && !ungroup {
        return None;
    }
    let whole = c.ungrouped()?;
    let [ky, kx, _, filters] = *whole.kernel.shape() else {
        return None;
    };
    let mut data = vec![0.0; ky * kx * channels * filters];
    for (row, weights) in whole.kernel.data().chunks(filters).enumerate() {
        let (tap, channel) = (row / seen, row % seen);
        if let Some(source) = from[channel] {
            let to = &mut data[(tap * channels + source) * filters..][..filters];
            to.iter_mut().zip(weights).for_each(|(to, w)| *to += w);
        }
    }
    Some(Convolution {
        input: [c.input[0], c.input[1], channels],
        kernel: Tensor::new(vec![ky, kx, channels, filters], data)?,
        ..whole
    })
}

/// The window through which places of `output` see those of `input`, if it is one.
fn window(places: &[Vec<usize>], input: [usize; 3], output: [usize; 3]) -> Option<Window> {
    let channels = input[2];
    if places.len() != output.iter().product::<usize>() || channels == 0 {
        return None;
    }
    let mut w = Window {
        input,
        output,
        pool: [1; 2],
        repeat: [1; 2],
        offset: [0; 2],
    };
    for axis in 0..2 {
        // What each place of the output sees along this axis.
        let mut seen = vec![Vec::new(); output[axis]];
        for (at, from) in places.iter().enumerate() {
            let along = |place: usize, shape: [usize; 3]| match axis {
                0 => place / shape[2] / shape[1],
                _ => place / shape[2] % shape[1],
            };
            let seen: &mut Vec<usize> = &mut seen[along(at, output)];
            if seen.is_empty() {
                seen.extend(from.iter().map(|&from| along(from, input)));
                seen.sort_unstable();
                seen.dedup();
            }
        }
        let mut seen_by = vec![Vec::new(); input[axis]];
        for (at, from) in seen.iter().enumerate() {
            for &from in from {
                seen_by[from].push(at);
            }
        }
        w.pool[axis] = seen.iter().map(Vec::len).max().filter(|&n| n > 0)?;
        w.repeat[axis] = seen_by.iter().map(Vec::len).max()?;
        let (from, first) = seen_by
            .iter()
            .enumerate()
            .find(|(_, by)| by.len() == w.repeat[axis])
            .and_then(|(from, by)| Some((from, *by.first()?)))?;
        w.offset[axis] = first as isize - (from / w.pool[axis] * w.repeat[axis]) as isize;
    }
    let fits = |limit: usize, value: usize| value <= limit;
    let small = w.pool.iter().chain(&w.repeat).all(|&v| fits(255, v));
    let near = w.offset.iter().all(|&o| i16::try_from(o).is_ok());
    if !small || !near {
        return None;
    }
    // Whether that is all.
    let mut found = vec![Vec::new(); places.len()];
    w.for_each(|from, to| found[to].push(from));
    let same = found.iter_mut().zip(places).all(|(found, place)| {
        found.sort_unstable();
        found == place
    });
    same.then_some(w)
}

/// A table in which each place of the source has at most one entry.
fn table(places: &[Vec<usize>], inputs: usize) -> Option<SourceMap> {
    // The last number stands for none.
    if places.len() > usize::from(u16::MAX) {
        return None;
    }
    let mut to = vec![None; inputs];
    for (at, from) in (0u32..).zip(places) {
        for &from in from {
            if to[from].replace(at).is_some() {
                return None;
            }
        }
    }
    Some(SourceMap::Table {
        places: places.len(),
        to,
    })
}
