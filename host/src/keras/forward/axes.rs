//! Axes: finding, splitting, permuting and broadcasting them. Shapes here contain the batch axis.

use super::error::Problem;
use crate::keras::shape::DataFormat;
use crate::tensor::Tensor;

/// The axes of a shape as seen from one of them.
pub(crate) struct Split {
    /// The number of values on the axes before it.
    pub(crate) before: usize,
    /// Its own length.
    pub(crate) len: usize,
    /// The number of values on the axes after it.
    pub(crate) after: usize,
}

impl Split {
    /// `axis` must be one of `shape`'s; see [`index`].
    pub(crate) fn at(shape: &[usize], axis: usize) -> Self {
        let (head, tail) = shape.split_at(axis.min(shape.len()));
        Self {
            before: head.iter().product(),
            len: tail.first().copied().unwrap_or(1),
            after: tail.iter().skip(1).product(),
        }
    }
}

/// The axis that a Keras index means, which may count from the end.
pub(crate) fn index(x: &Tensor, axis: isize) -> Result<usize, Problem> {
    let rank = x.shape().len();
    let from_start = if axis < 0 {
        rank.checked_sub(axis.unsigned_abs())
    } else {
        Some(axis.unsigned_abs())
    };
    from_start
        .filter(|a| *a < rank)
        .ok_or_else(|| Problem::Shape {
            needs: format!("an axis {axis}"),
            found: x.shape().to_vec(),
        })
}

/// The places of axes, as [`index`] has them.
pub(crate) fn indices(x: &Tensor, axes: &[isize]) -> Result<Vec<usize>, Problem> {
    axes.iter().map(|&axis| index(x, axis)).collect()
}

/// The tensor of values that were made for this shape.
pub(crate) fn tensor(shape: Vec<usize>, data: Vec<f32>) -> Result<Tensor, Problem> {
    let found = vec![data.len()];
    let needs = format!("as many values as the shape {shape:?}");
    Tensor::new(shape, data).ok_or(Problem::Shape { needs, found })
}

/// A function of each value.
pub(crate) fn map(x: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    let y = x.data().iter().map(|v| f(*v)).collect();
    Tensor::new(x.shape().to_vec(), y).unwrap_or_else(|| x.clone())
}

/// The axes in the order `order`, which names each once.
pub(crate) fn permute(x: &Tensor, order: &[usize]) -> Result<Tensor, Problem> {
    let shape = x.shape();
    let mut seen = order.to_vec();
    seen.sort_unstable();
    if !seen.iter().copied().eq(0..shape.len()) {
        return Err(Problem::Shape {
            needs: format!("axes to permute as {order:?}"),
            found: shape.to_vec(),
        });
    }
    let strides = strides(shape);
    let new: Vec<usize> = order.iter().map(|&a| shape[a]).collect();
    let steps: Vec<usize> = order.iter().map(|&a| strides[a]).collect();
    let y = gather(&new, &steps).map(|i| x.data()[i]).collect();
    tensor(new, y)
}

/// Values from one place of each axis to the next.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for a in (1..shape.len()).rev() {
        strides[a - 1] = strides[a] * shape[a];
    }
    strides
}

/// The places that a walk over `shape` in row-major order visits, if a step along each axis goes
/// `steps` places.
pub(crate) fn gather(shape: &[usize], steps: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let (shape, steps) = (shape.to_vec(), steps.to_vec());
    let total: usize = shape.iter().product();
    let mut counter = vec![0; shape.len()];
    let mut at = 0;
    (0..total).map(move |_| {
        let here = at;
        for a in (0..shape.len()).rev() {
            counter[a] += 1;
            at += steps[a];
            if counter[a] < shape[a] {
                break;
            }
            at -= steps[a] * shape[a];
            counter[a] = 0;
        }
        here
    })
}

/// A tensor of `[batch, places.., channels]` as the layer wants it, whatever its data format.
pub(crate) fn to_channels_last(x: &Tensor, format: DataFormat) -> Result<Tensor, Problem> {
    let rank = x.shape().len();
    match format {
        DataFormat::ChannelsFirst if rank > 2 => {
            let order: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
            permute(x, &order)
        }
        _ => Ok(x.clone()),
    }
}

/// The reverse of [`to_channels_last`].
pub(crate) fn from_channels_last(x: &Tensor, format: DataFormat) -> Result<Tensor, Problem> {
    let rank = x.shape().len();
    match format {
        DataFormat::ChannelsFirst if rank > 2 => {
            let order: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
            permute(x, &order)
        }
        _ => Ok(x.clone()),
    }
}

/// `f` of each value and of the one at its place along the last axis; a single one stands for all.
pub(crate) fn along_last(
    x: &Tensor,
    values: Vec<f32>,
    f: impl Fn(f32, f32) -> f32,
) -> Result<Tensor, Problem> {
    let mut shape = vec![1; x.shape().len().saturating_sub(1)];
    shape.push(values.len());
    broadcast(x, &tensor(shape, values)?, f)
}

/// `f` of each pair of values, in which axes of length 1 stretch, and a tensor with fewer axes gets
/// axes of length 1 after the batch axis.
pub(crate) fn broadcast(
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(f32, f32) -> f32,
) -> Result<Tensor, Problem> {
    let rank = a.shape().len().max(b.shape().len());
    let widen = |t: &Tensor| -> Vec<usize> {
        let missing = rank - t.shape().len();
        let (batch, rest) = t.shape().split_at(t.shape().len().min(1));
        let ones = std::iter::repeat_n(1, missing);
        batch
            .iter()
            .copied()
            .chain(ones)
            .chain(rest.iter().copied())
            .collect()
    };
    let (sa, sb) = (widen(a), widen(b));
    let shape = sa
        .iter()
        .zip(&sb)
        .map(|(&m, &n)| match (m, n) {
            (m, n) if m == n => Some(m),
            (1, n) => Some(n),
            (m, 1) => Some(m),
            _ => None,
        })
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| Problem::Shape {
            needs: format!("a shape that goes with {:?}", a.shape()),
            found: b.shape().to_vec(),
        })?;
    let steps = |s: &[usize]| -> Vec<usize> {
        strides(s)
            .iter()
            .zip(s)
            .map(|(&stride, &n)| if n == 1 { 0 } else { stride })
            .collect()
    };
    let y = gather(&shape, &steps(&sa))
        .zip(gather(&shape, &steps(&sb)))
        .map(|(i, j)| f(a.data()[i], b.data()[j]))
        .collect();
    tensor(shape, y)
}

/// The number of items, and the shape of each.
pub(crate) fn split_batch(x: &Tensor) -> Result<(usize, &[usize]), Problem> {
    x.shape()
        .split_first()
        .map(|(batch, item)| (*batch, item))
        .ok_or_else(|| Problem::Shape {
            needs: "a batch axis".to_owned(),
            found: Vec::new(),
        })
}

/// The same values under another shape.
pub(crate) fn reshape(x: &Tensor, shape: Vec<usize>) -> Result<Tensor, Problem> {
    let needs = format!("as many values as the shape {shape:?}");
    x.reshaped(shape).ok_or_else(|| Problem::Shape {
        needs,
        found: x.shape().to_vec(),
    })
}

/// The only input of a layer that takes one.
pub(crate) fn only(inputs: &[Tensor]) -> Result<&Tensor, Problem> {
    match inputs {
        [x] => Ok(x),
        _ => Err(Problem::Inputs {
            expected: "one input",
            found: inputs.len(),
        }),
    }
}

/// Mixes two old places along `axis` into each new one: `(1 - share) first + share second`.
pub(crate) fn resample(
    x: &Tensor,
    axis: usize,
    mix: &[(usize, usize, f32)],
) -> Result<Tensor, Problem> {
    let split = Split::at(x.shape(), axis);
    let mut y = Vec::with_capacity(split.before * mix.len() * split.after);
    for b in 0..split.before {
        for &(first, second, share) in mix {
            let row = |i: usize| &x.data()[(b * split.len + i) * split.after..][..split.after];
            if share == 0.0 {
                y.extend_from_slice(row(first));
            } else {
                let mixed = row(first).iter().zip(row(second));
                y.extend(mixed.map(|(p, q)| p + (q - p) * share));
            }
        }
    }
    let mut shape = x.shape().to_vec();
    shape[axis] = mix.len();
    tensor(shape, y)
}
