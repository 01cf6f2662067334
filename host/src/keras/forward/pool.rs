//! Pooling, and its reverse.

use super::Problem;
use super::axes::{from_channels_last, tensor, to_channels_last};
use super::conv::split_batch;
use crate::keras::model::{DataFormat, Padding, PoolKind};
use crate::ops::{Axis, OUTSIDE, Taps};
use crate::tensor::Tensor;

/// The maximum of `window`'s places, or the mean of those that are not padding.
pub(super) fn pool(
    kind: PoolKind,
    size: &[usize],
    strides: &[usize],
    padding: Padding,
    format: DataFormat,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let x = to_channels_last(x, format)?;
    let (batch, item) = split_batch(&x)?;
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
    let axes = (0..places.len())
        .map(|a| Axis::new(places[a], size[a], strides[a], 1, padding))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(no_room)?;
    let taps = Taps::new(&axes).ok_or_else(no_room)?;
    let mut y = vec![0.0; batch * taps.output * channels];
    let (n_in, n_out) = (taps.input * channels, taps.output * channels);
    if n_in > 0 && n_out > 0 {
        for (x, y) in x.data().chunks_exact(n_in).zip(y.chunks_exact_mut(n_out)) {
            for (y, window) in y.chunks_exact_mut(*channels).zip(taps.windows()) {
                reduce(kind, window, *channels, x, y);
            }
        }
    }
    let mut shape = vec![batch];
    shape.extend(axes.iter().map(|a| a.output));
    shape.push(*channels);
    from_channels_last(&tensor(shape, y)?, format)
}

fn reduce(kind: PoolKind, window: &[u32], channels: usize, x: &[f32], y: &mut [f32]) {
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

/// One window over all places.
pub(super) fn global_pool(
    kind: PoolKind,
    format: DataFormat,
    keepdims: bool,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let last = to_channels_last(x, format)?;
    let [batch, places @ .., channels] = last.shape() else {
        return Err(Problem::Shape {
            needs: "places and channels".to_owned(),
            found: x.shape().to_vec(),
        });
    };
    let n: usize = places.iter().product();
    let window: Vec<u32> = u32::try_from(n)
        .map(|n| (0..n).collect())
        .unwrap_or_default();
    let mut y = vec![0.0; batch * channels];
    if n > 0 && *channels > 0 {
        for (x, y) in last
            .data()
            .chunks_exact(n * channels)
            .zip(y.chunks_exact_mut(*channels))
        {
            reduce(kind, &window, *channels, x, y);
        }
    }
    let mut shape = vec![*batch];
    if keepdims {
        shape.extend(std::iter::repeat_n(1, places.len()));
    }
    shape.push(*channels);
    let y = tensor(shape, y)?;
    if keepdims {
        from_channels_last(&y, format)
    } else {
        Ok(y)
    }
}

/// Each place becomes `size` places: by repetition, or in two dimensions bilinear between the
/// places' centres.
pub(super) fn up_sampling(
    size: &[usize],
    format: DataFormat,
    interpolation: &str,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let mut y = to_channels_last(x, format)?;
    if y.shape().len() != size.len() + 2 {
        return Err(Problem::Shape {
            needs: format!("{} axes and channels", size.len()),
            found: x.shape().to_vec(),
        });
    }
    for (a, &factor) in size.iter().enumerate() {
        let len = y.shape()[a + 1];
        let mix: Vec<(usize, usize, f32)> = match interpolation {
            "nearest" => (0..len * factor).map(|o| (o / factor, 0, 0.0)).collect(),
            "bilinear" => (0..len * factor)
                .map(|o| {
                    let at = (o as f64 + 0.5) / factor as f64 - 0.5;
                    let low = at.floor();
                    let clamp = |v: f64| (v.max(0.0) as usize).min(len - 1);
                    (clamp(low), clamp(low + 1.0), (at - low) as f32)
                })
                .collect(),
            other => {
                return Err(Problem::Unsupported(format!(
                    "the interpolation \"{other}\"; use nearest or bilinear"
                )));
            }
        };
        y = resample(&y, a + 1, &mix)?;
    }
    from_channels_last(&y, format)
}

/// Along `axis`, each new place mixes two old ones: `(1 - share) first + share second`.
fn resample(x: &Tensor, axis: usize, mix: &[(usize, usize, f32)]) -> Result<Tensor, Problem> {
    let split = super::axes::Split::at(x.shape(), axis);
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

/// Zeros around each axis.
pub(super) fn zero_padding(
    padding: &[(usize, usize)],
    format: DataFormat,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let mut y = to_channels_last(x, format)?;
    if y.shape().len() < padding.len() + 1 {
        return Err(Problem::Shape {
            needs: format!("{} axes to pad", padding.len()),
            found: x.shape().to_vec(),
        });
    }
    for (a, &(before, after)) in padding.iter().enumerate() {
        let split = super::axes::Split::at(y.shape(), a + 1);
        let row = split.len * split.after;
        let mut data = Vec::with_capacity(split.before * (row + (before + after) * split.after));
        for b in 0..split.before {
            data.extend(std::iter::repeat_n(0.0, before * split.after));
            data.extend_from_slice(&y.data()[b * row..][..row]);
            data.extend(std::iter::repeat_n(0.0, after * split.after));
        }
        let mut shape = y.shape().to_vec();
        shape[a + 1] += before + after;
        y = tensor(shape, data)?;
    }
    from_channels_last(&y, format)
}

/// Takes places away from both ends of each axis.
pub(super) fn cropping(
    cropping: &[(usize, usize)],
    format: DataFormat,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let mut y = to_channels_last(x, format)?;
    for (a, &(before, after)) in cropping.iter().enumerate() {
        let left = y
            .shape()
            .get(a + 1)
            .and_then(|n| n.checked_sub(before)?.checked_sub(after))
            .filter(|n| *n > 0)
            .ok_or_else(|| Problem::Shape {
                needs: format!("more places than the cropping {cropping:?} takes"),
                found: x.shape().to_vec(),
            })?;
        let mix: Vec<_> = (before..before + left).map(|i| (i, 0, 0.0)).collect();
        y = resample(&y, a + 1, &mix)?;
    }
    from_channels_last(&y, format)
}
