//! Paths between a source and an object, brought to one form: wiring before, at most one set of weights, wiring
//! after.

use super::wiring::{MAX_ENTRIES, Wiring, padding_before};
use crate::graph::Convolution;
use crate::network::{self, Transform};
use crate::ops;
use crate::tensor::Tensor;

/// The most weights that a composition is spelt out to: a matrix instead of a convolution, or the
/// kernel of two convolutions in one.
pub(super) const MAX_COMPOSED: usize = 1 << 18;

/// Path as after · weights · before.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) before: Wiring,
    pub(super) middle: Option<Middle>,
}

/// The weights, and what follows them.
#[derive(Clone, Debug)]
pub(super) struct Middle {
    pub(super) weights: Weights,
    pub(super) after: Wiring,
}

#[derive(Clone, Debug)]
pub(super) enum Weights {
    /// `[outputs, inputs]`.
    Dense(Tensor),
    /// Channels last.
    Convolution(Convolution),
}

impl Path {
    pub(super) fn of(wiring: Wiring) -> Self {
        Self {
            before: wiring,
            middle: None,
        }
    }

    /// `wiring` after this; `Err` says why not.
    pub(super) fn then(&self, wiring: &Wiring) -> Result<Self, String> {
        let after = |inner: &Wiring| {
            let composed = wiring.after(inner);
            composed.ok_or_else(|| format!("a sum of more than {MAX_ENTRIES} values"))
        };
        Ok(match &self.middle {
            None => Self::of(after(&self.before)?),
            Some(middle) => Self {
                before: self.before.clone(),
                middle: Some(Middle {
                    weights: middle.weights.clone(),
                    after: after(&middle.after)?,
                }),
            },
        })
    }

    /// A measure of its memory, without that of weights, which are shared.
    pub(super) fn size(&self) -> usize {
        self.before.size() + self.middle.as_ref().map_or(0, |m| m.after.size())
    }

    /// The number of its weights.
    pub(super) fn weights(&self) -> usize {
        self.middle
            .as_ref()
            .map_or(0, |middle| match &middle.weights {
                Weights::Dense(w) => w.len(),
                Weights::Convolution(c) => c.kernel.len(),
            })
    }

    /// The sum of this and `other` as one path that is no larger than either; `None` if there is none.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let middle = match (&self.middle, &other.middle) {
            (None, None) => return self.before.plus(&other.before).map(Self::of),
            (Some(a), Some(b)) if self.before == other.before => {
                if a.weights.same(&b.weights) {
                    Middle {
                        weights: a.weights.clone(),
                        after: a.after.plus(&b.after)?,
                    }
                } else if a.after == b.after {
                    Middle {
                        weights: a.weights.plus(&b.weights)?,
                        after: a.after.clone(),
                    }
                } else {
                    return None;
                }
            }
            _ => return None,
        };
        Some(Self {
            before: self.before.clone(),
            middle: Some(middle),
        })
    }

    /// The sum of this and `other`, if both bring the same to different places.
    pub(super) fn beside(&self, other: &Self) -> Option<Self> {
        match (&self.middle, &other.middle) {
            (None, None) => self.before.beside(&other.before).map(Self::of),
            (Some(a), Some(b)) if self.before == other.before && a.weights.same(&b.weights) => {
                Some(Self {
                    before: self.before.clone(),
                    middle: Some(Middle {
                        weights: a.weights.clone(),
                        after: a.after.beside(&b.after)?,
                    }),
                })
            }
            _ => None,
        }
    }

    /// `transform` after this; `Err` says what cannot be composed.
    pub(super) fn then_transform(&self, transform: &Transform) -> Result<Self, String> {
        match transform {
            Transform::Identity(_) => Ok(self.clone()),
            Transform::Diagonal(d) => self.then(&Wiring::diagonal(d)),
            Transform::Sparse(s) => self.then(&Wiring::sparse(s)),
            Transform::Dense(w) => self.then_dense(w),
            Transform::Convolution(c) => self.then_convolution(c),
        }
    }

    fn then_dense(&self, w: &Tensor) -> Result<Self, String> {
        let Some(Middle { weights, after }) = &self.middle else {
            let after = Wiring::identity(w.shape()[0]);
            return Ok(Self {
                before: self.before.clone(),
                middle: Some(Middle {
                    weights: Weights::Dense(w.clone()),
                    after,
                }),
            });
        };
        let product = match (weights.matrix(after), weights) {
            (Some(inner), _) => product(w, &inner).ok_or("two linear layers that do not fit")?,
            (None, Weights::Convolution(c)) => (c.before_matrix(after, w))
                .ok_or("two linear layers in a row, whose product is too large,")?,
            (None, Weights::Dense(_)) => {
                return Err("two linear layers in a row, whose product is too large,".into());
            }
        };
        Ok(Self {
            before: self.before.clone(),
            middle: Some(Middle {
                after: Wiring::identity(product.shape()[0]),
                weights: Weights::Dense(product),
            }),
        })
    }

    fn then_convolution(&self, c: &network::Convolution) -> Result<Self, String> {
        let pooling = Wiring::pooling(c);
        let follows_convolution = matches!(
            &self.middle,
            Some(Middle {
                weights: Weights::Convolution(_),
                ..
            })
        );
        if let Some(pooling) = &pooling
            && !follows_convolution
        {
            return self.then(pooling);
        }
        let outer = Convolution::of(c)?;
        let [in_places, out_places] = [outer.input, outer.output].map(|[y, x, _]| y * x);
        let (channels, filters) = (outer.input[2], outer.output[2]);
        let (to_last, to_first) = if c.channels_last {
            (None, Wiring::identity(out_places * filters))
        } else {
            (
                Some(Wiring::channels_last(in_places, channels)),
                Wiring::channels_first(out_places, filters),
            )
        };
        let inner = match to_last {
            Some(wiring) => self.then(&wiring)?,
            None => self.clone(),
        };
        let Some(Middle { weights, after }) = inner.middle else {
            return Ok(Self {
                before: inner.before,
                middle: Some(Middle {
                    weights: Weights::Convolution(outer),
                    after: to_first,
                }),
            });
        };
        let composed = match &weights {
            Weights::Convolution(first) => first
                .placed(&after)
                .and_then(|first| outer.after(&first))
                .map(Weights::Convolution),
            Weights::Dense(_) => None,
        };
        let weights = match composed {
            Some(weights) => weights,
            None => {
                let matrix = weights
                    .matrix(&after)
                    .and_then(|inner| outer.after_matrix(&inner))
                    .ok_or("two linear layers in a row, whose product is too large,")?;
                Weights::Dense(matrix)
            }
        };
        Ok(Self {
            before: inner.before,
            middle: Some(Middle {
                weights,
                after: to_first,
            }),
        })
    }
}

/// The kernel of a convolution that keeps channels apart, such as average pooling, with a group for
/// each channel.
fn depthwise(c: &network::Convolution) -> Option<(Tensor, usize)> {
    let [kernel @ .., channels, filters] = c.kernel.shape() else {
        return None;
    };
    let diagonal = |plane: &[f32]| {
        let off = plane.iter().enumerate();
        off.filter(|(at, _)| at % (filters + 1) != 0)
            .all(|(_, &w)| w == 0.0)
    };
    let planes = || c.kernel.data().chunks(channels * filters);
    if c.groups != 1 || channels != filters || *channels < 2 || !planes().all(diagonal) {
        return None;
    }
    let data = planes()
        .flat_map(|plane| plane.iter().step_by(filters + 1))
        .copied()
        .collect();
    let shape = [kernel, &[1, *filters]].concat();
    Some((Tensor::new(shape, data)?, *channels))
}

impl Weights {
    /// Tells whether these are the same weights, without a look at those that are long and lie elsewhere.
    fn same(&self, other: &Self) -> bool {
        let data = |w: &Self| match w {
            Self::Dense(w) => w.data().as_ptr(),
            Self::Convolution(c) => c.kernel.data().as_ptr(),
        };
        data(self) == data(other) && self.alike(other)
    }

    /// Tells whether both have one geometry.
    fn alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => a.shape() == b.shape(),
            (Self::Convolution(a), Self::Convolution(b)) => a.alike(b) && a.first == b.first,
            _ => false,
        }
    }

    /// The sum, if both have one geometry.
    fn plus(&self, other: &Self) -> Option<Self> {
        if !self.alike(other) {
            return None;
        }
        Some(match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => Self::Dense(sum(a, b)?),
            (Self::Convolution(a), Self::Convolution(b)) => Self::Convolution(Convolution {
                kernel: sum(&a.kernel, &b.kernel)?,
                ..a.clone()
            }),
            _ => return None,
        })
    }

    /// `after` these weights, as one matrix; `None` if it is too large.
    pub(super) fn matrix(&self, after: &Wiring) -> Option<Tensor> {
        match self {
            Self::Dense(w) => {
                let columns = w.shape()[1];
                let size = after.outputs().checked_mul(columns)?;
                if size > MAX_COMPOSED.max(w.len()) {
                    return None;
                }
                let mut data = vec![0.0; size];
                for (row, entries) in data.chunks_mut(columns.max(1)).zip(after.rows()) {
                    for &(from, value) in entries {
                        let from = &w.data()[from as usize * columns..][..columns];
                        for (y, w) in row.iter_mut().zip(from) {
                            *y += value * w;
                        }
                    }
                }
                Tensor::new(vec![after.outputs(), columns], data)
            }
            Self::Convolution(c) => {
                let columns: usize = c.input.iter().product();
                let size = after.outputs().checked_mul(columns)?;
                if size > MAX_COMPOSED {
                    return None;
                }
                let mut one = vec![0.0; columns];
                let mut reached = vec![0.0; c.output.iter().product()];
                let mut data = vec![0.0; size];
                for column in 0..columns {
                    one[column] = 1.0;
                    reached.fill(0.0);
                    c.apply_batch(1, &one, &mut reached).ok()?;
                    one[column] = 0.0;
                    for (row, entries) in after.rows().enumerate() {
                        let sum = entries.iter().map(|&(at, v)| v * reached[at as usize]);
                        data[row * columns + column] = sum.sum();
                    }
                }
                Tensor::new(vec![after.outputs(), columns], data)
            }
        }
    }
}

/// a + b, of equal shapes.
pub(super) fn sum(a: &Tensor, b: &Tensor) -> Option<Tensor> {
    let data = a.data().iter().zip(b.data()).map(|(a, b)| a + b).collect();
    (a.shape() == b.shape())
        .then(|| Tensor::new(a.shape().to_vec(), data))
        .flatten()
}

/// W · `wiring` as one matrix.
pub(super) fn matrix_after(w: &Tensor, wiring: &Wiring) -> Option<Tensor> {
    let columns = w.shape()[1];
    let size = w.shape()[0].checked_mul(wiring.inputs)?;
    if size > MAX_COMPOSED.max(w.len()) {
        return None;
    }
    let mut data = vec![0.0; size];
    let rows = w.data().chunks(columns.max(1));
    for (row, weights) in data.chunks_mut(wiring.inputs.max(1)).zip(rows) {
        for (w, entries) in weights.iter().zip(wiring.rows()) {
            for &(at, value) in entries {
                row[at as usize] += w * value;
            }
        }
    }
    Tensor::new(vec![w.shape()[0], wiring.inputs], data)
}

/// outer · inner.
fn product(outer: &Tensor, inner: &Tensor) -> Option<Tensor> {
    let (rows, columns) = (outer.shape()[0], inner.shape()[1]);
    // A column of `inner` at a time.
    let transposed: Vec<f32> = (0..columns)
        .flat_map(|c| inner.data().iter().skip(c).step_by(columns.max(1)))
        .copied()
        .collect();
    let mut by_column = vec![0.0; rows.checked_mul(columns)?];
    ops::dense(outer, columns, &transposed, &mut by_column).ok()?;
    let data = (0..rows)
        .flat_map(|r| by_column.iter().skip(r).step_by(rows.max(1)))
        .copied()
        .collect();
    Tensor::new(vec![rows, columns], data)
}

/// Convolution that no image holds.
pub(super) const VOLUME: &str = "a convolution over three axes";

impl Convolution {
    /// Tells whether both see and reach the same places, through kernels of one shape.
    pub(super) fn alike(&self, other: &Self) -> bool {
        self.kernel.shape() == other.kernel.shape() && self.groups == other.groups && {
            let geometry = |c: &Self| (c.input, c.output, c.stride, c.padding, c.dilation);
            geometry(self) == geometry(other)
        }
    }

    /// A network's convolution with its channels last; `Err` says what an image cannot hold.
    pub(super) fn of(c: &network::Convolution) -> Result<Self, String> {
        let rank = c.strides.len();
        if rank == 0 || rank > 2 {
            return Err(VOLUME.to_owned());
        }
        let split = |shape: &[usize]| -> Option<[usize; 3]> {
            let (places, channels) = ops::split_channels(shape, c.channels_last)?;
            match places {
                [x] => Some([1, *x, channels]),
                [y, x] => Some([*y, *x, channels]),
                _ => None,
            }
        };
        let kernel = c.kernel.shape();
        let (Some(input), Some(output), true) = (
            split(&c.input_shape),
            split(&c.output_shape),
            kernel.len() == rank + 2,
        ) else {
            return Err("a convolution of inconsistent shapes".into());
        };
        let pair = |values: &[usize], missing: usize| match values {
            [x] => [missing, *x],
            values => [values[0], values[1]],
        };
        let size = pair(&kernel[..rank], 1);
        let (weights, groups) = depthwise(c).unwrap_or_else(|| (c.kernel.clone(), c.groups));
        let padding: Vec<usize> = (0..rank)
            .map(|axis| padding_before(c, axis, input[axis + 2 - rank], kernel[axis]))
            .collect();
        Ok(Self {
            input,
            output,
            kernel: weights
                .reshaped(vec![
                    size[0],
                    size[1],
                    input[2] / groups.max(1),
                    kernel[rank + 1],
                ])
                .ok_or("a convolution of inconsistent shapes")?,
            stride: pair(&c.strides, 1),
            padding: pair(&padding, 0),
            dilation: pair(&c.dilation, 1),
            groups,
            first: 0,
        })
    }

    /// Each of `channels` channels to itself, at every place of an image.
    pub(super) fn one_to_one(shape: [usize; 3]) -> Self {
        Self {
            input: shape,
            output: shape,
            kernel: Tensor::filled(vec![1, 1, 1, shape[2]], 1.0),
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: shape[2],
            first: 0,
        }
    }

    /// `wiring` after this convolution, if it scales channels, leaves some out or moves them to a
    /// part of a target with more channels.
    pub(super) fn placed(&self, wiring: &Wiring) -> Option<Self> {
        if wiring.is_identity() {
            return Some(self.clone());
        }
        let [height, width, channels] = self.output;
        let places = height * width;
        if self.first != 0 || self.filters() != channels || places == 0 {
            return None;
        }
        let targets = wiring.outputs().checked_div(places)?;
        if targets * places != wiring.outputs() {
            return None;
        }
        // Which filter each channel of the target sees, and how much of it.
        let filters: Vec<Option<(usize, f32)>> = wiring
            .rows()
            .take(targets)
            .map(|row| match row {
                [] => Some(None),
                [(at, value)] if (*at as usize) < channels => Some(Some((*at as usize, *value))),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let as_first = wiring.rows().enumerate().all(|(at, row)| {
            let (place, target) = (at / targets, at % targets);
            match filters[target] {
                None => row.is_empty(),
                Some((filter, value)) => row == [((place * channels + filter) as u32, value)],
            }
        });
        if !as_first {
            return None;
        }
        let first = filters.iter().position(Option::is_some)?;
        let end = filters.iter().rposition(Option::is_some)? + 1;
        let chosen = &filters[first..end];
        // Groups stay only if every filter stays in its place.
        let in_order = chosen.len() == channels
            && (0..)
                .zip(chosen)
                .all(|(i, f)| f.is_some_and(|(at, _)| at == i));
        let whole = if in_order {
            self.clone()
        } else {
            self.ungrouped()?
        };
        let data: Vec<f32> = whole
            .kernel
            .data()
            .chunks(channels.max(1))
            .flat_map(|row| {
                chosen
                    .iter()
                    .map(|f| f.map_or(0.0, |(filter, value)| row[filter] * value))
            })
            .collect();
        let mut shape = whole.kernel.shape().to_vec();
        shape[3] = chosen.len();
        Some(Self {
            output: [height, width, targets],
            kernel: Tensor::new(shape, data)?,
            first,
            ..whole
        })
    }

    /// The same with one group, and zeros for what the groups left out.
    pub(super) fn ungrouped(&self) -> Option<Self> {
        if self.groups == 1 {
            return Some(self.clone());
        }
        let (channels, filters) = (self.input[2], self.filters());
        let (inner, outer) = (channels / self.groups, filters / self.groups);
        let taps = self.kernel.shape()[0] * self.kernel.shape()[1];
        let size = taps.checked_mul(channels)?.checked_mul(filters)?;
        if size > MAX_COMPOSED {
            return None;
        }
        let mut data = vec![0.0; size];
        for tap in 0..taps {
            for i in 0..inner {
                for f in 0..filters {
                    let channel = f / outer * inner + i;
                    data[(tap * channels + channel) * filters + f] =
                        self.kernel.data()[(tap * inner + i) * filters + f];
                }
            }
        }
        let [y, x, ..] = *self.kernel.shape() else {
            return None;
        };
        Some(Self {
            kernel: Tensor::new(vec![y, x, channels, filters], data)?,
            groups: 1,
            ..self.clone()
        })
    }

    /// This after `inner`, as one convolution; `None` if there is none, or it is too large.
    fn after(&self, inner: &Self) -> Option<Self> {
        if inner.first != 0 || inner.output != self.input || inner.filters() != inner.output[2] {
            return None;
        }
        let (inner, outer) = if inner.groups == self.groups {
            (inner.clone(), self.clone())
        } else {
            (inner.ungrouped()?, self.ungrouped()?)
        };
        let mut kernel = [0; 2];
        let mut dilation = [1; 2];
        let mut stride = [1; 2];
        let mut padding = [0; 2];
        // By axis, where the taps of the two meet in the composed kernel.
        let mut steps = [[0; 2]; 2];
        for axis in 0..2 {
            let (k1, k2) = (inner.kernel.shape()[axis], outer.kernel.shape()[axis]);
            let (s1, d1, p1) = (
                inner.stride[axis],
                inner.dilation[axis],
                inner.padding[axis],
            );
            let (s2, d2, p2) = (
                outer.stride[axis],
                outer.dilation[axis],
                outer.padding[axis],
            );
            let reach = (outer.output[axis].checked_sub(1)?) * s2 + (k2 - 1) * d2;
            let inside = p2 == 0 && reach < outer.input[axis];
            // Zeros around the inner's output are no zeros around its input, unless it sees one
            // place alone.
            let pointwise = k1 == 1 && s1 == 1 && p1 == 0;
            if !inside && !pointwise {
                return None;
            }
            stride[axis] = s1 * s2;
            padding[axis] = if pointwise { p2 } else { p1 };
            if pointwise {
                (kernel[axis], dilation[axis], steps[axis]) = (k2, d2, [0, 1]);
            } else if k2 == 1 {
                (kernel[axis], dilation[axis], steps[axis]) = (k1, d1, [1, 0]);
            } else if k1 == 1 {
                (kernel[axis], dilation[axis], steps[axis]) = (k2, d2 * s1, [0, 1]);
            } else {
                kernel[axis] = (k1 - 1) * d1 + (k2 - 1) * d2 * s1 + 1;
                steps[axis] = [d1, d2 * s1];
            }
        }
        let groups = inner.groups;
        let (g_in, g_mid, filters) = (
            inner.input[2] / groups,
            inner.output[2] / groups,
            outer.filters(),
        );
        let g_out = filters / groups;
        let middle = inner.output[2];
        let size = [kernel[0], kernel[1], g_in, filters];
        let len = size.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
        if len > MAX_COMPOSED.max(inner.kernel.len() + outer.kernel.len()) {
            return None;
        }
        let taps = |c: &Self| {
            let [ky, kx] = [c.kernel.shape()[0], c.kernel.shape()[1]];
            (0..ky).flat_map(move |y| (0..kx).map(move |x| (y * kx + x, [y, x])))
        };
        let mut data = vec![0f64; len];
        for (tap1, at1) in taps(&inner) {
            for (tap2, at2) in taps(&outer) {
                let [y, x] =
                    [0, 1].map(|axis| at1[axis] * steps[axis][0] + at2[axis] * steps[axis][1]);
                let tap = y * kernel[1] + x;
                for i in 0..g_in {
                    for f in 0..filters {
                        let group = f / g_out;
                        let sum: f64 = (0..g_mid)
                            .map(|m| {
                                let first = (tap1 * g_in + i) * middle + group * g_mid + m;
                                let second = (tap2 * g_mid + m) * filters + f;
                                f64::from(inner.kernel.data()[first])
                                    * f64::from(outer.kernel.data()[second])
                            })
                            .sum();
                        data[(tap * g_in + i) * filters + f] += sum;
                    }
                }
            }
        }
        Some(Self {
            input: inner.input,
            output: outer.output,
            kernel: Tensor::new(size.to_vec(), data.into_iter().map(|w| w as f32).collect())?,
            stride,
            padding,
            dilation,
            groups,
            first: 0,
        })
    }

    /// `outer` after `wiring` after this, as one matrix, row by row: what is between may be larger.
    fn before_matrix(&self, wiring: &Wiring, outer: &Tensor) -> Option<Tensor> {
        let &[rows, middle] = outer.shape() else {
            return None;
        };
        let columns: usize = self.input.iter().product();
        let size = rows.checked_mul(columns)?;
        let [height, width, channels] = self.output;
        let &[ky, kx, inner, filters] = self.kernel.shape() else {
            return None;
        };
        if size > MAX_COMPOSED
            || wiring.outputs() != middle
            || self.first != 0
            || filters != channels
        {
            return None;
        }
        let group = filters / self.groups.max(1);
        let from = |axis: usize, at: usize, tap: usize| {
            let place = at * self.stride[axis] + tap * self.dilation[axis];
            place
                .checked_sub(self.padding[axis])
                .filter(|&p| p < self.input[axis])
        };
        let mut data = vec![0.0; size];
        let rows = outer.data().chunks(middle.max(1));
        for (row, outer) in data.chunks_mut(columns.max(1)).zip(rows) {
            let mut reached = vec![0.0; height * width * channels];
            for (weight, entries) in outer.iter().zip(wiring.rows()) {
                for &(at, value) in entries {
                    reached[at as usize] += weight * value;
                }
            }
            for (at, &weight) in reached.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                let (place, filter) = (at / channels, at % channels);
                let first = filter / group.max(1) * inner;
                for tap in 0..ky * kx {
                    let y = from(0, place / width, tap / kx);
                    let x = from(1, place % width, tap % kx);
                    let (Some(y), Some(x)) = (y, x) else {
                        continue;
                    };
                    let to = (y * self.input[1] + x) * self.input[2] + first;
                    for i in 0..inner {
                        row[to + i] +=
                            weight * self.kernel.data()[(tap * inner + i) * filters + filter];
                    }
                }
            }
        }
        Tensor::new(vec![outer.shape()[0], columns], data)
    }

    /// Puts this behind a matrix, as one matrix.
    fn after_matrix(&self, inner: &Tensor) -> Option<Tensor> {
        let columns = inner.shape()[1];
        let rows: usize = self.output.iter().product();
        let size = rows.checked_mul(columns)?;
        if size > MAX_COMPOSED {
            return None;
        }
        let mut data = vec![0.0; size];
        let mut reached = vec![0.0; rows];
        for column in 0..columns {
            let x: Vec<f32> = inner
                .data()
                .iter()
                .skip(column)
                .step_by(columns)
                .copied()
                .collect();
            reached.fill(0.0);
            self.apply_batch(1, &x, &mut reached).ok()?;
            for (row, value) in reached.iter().enumerate() {
                data[row * columns + column] = *value;
            }
        }
        Tensor::new(vec![rows, columns], data)
    }
}
