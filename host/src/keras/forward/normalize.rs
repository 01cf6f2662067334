//! Normalization at inference.

use super::axes::{self, Split, tensor};
use super::{Problem, Weights};
use crate::ops::check_len;
use crate::tensor::Tensor;

/// gamma (x - mean) / sqrt(variance + epsilon) + beta with the moving averages of training.
pub(super) fn batch(
    axis: isize,
    epsilon: f64,
    (center, scale): (bool, bool),
    w: &Weights<'_>,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let axis = axes::index(x, axis)?;
    let split = Split::at(x.shape(), axis);
    let values = |name: &'static str, wanted: bool| -> Result<Option<&[f32]>, Problem> {
        if !wanted {
            return Ok(None);
        }
        let weight = w.get(name)?;
        check_len(name, split.len, weight.len())?;
        Ok(Some(weight.data()))
    };
    let (gamma, beta) = (values("gamma", scale)?, values("beta", center)?);
    let mean = values("moving_mean", true)?.unwrap_or_default();
    let variance = values("moving_variance", true)?.unwrap_or_default();
    let lines: Vec<(f32, f32)> = (0..split.len)
        .map(|c| {
            let factor = gamma.map_or(1.0, |g| g[c]) / (variance[c] + epsilon as f32).sqrt();
            (factor, beta.map_or(0.0, |b| b[c]) - mean[c] * factor)
        })
        .collect();
    let mut y = x.data().to_vec();
    if split.after > 0 && split.len > 0 {
        for (i, chunk) in y.chunks_exact_mut(split.after).enumerate() {
            let (factor, offset) = lines[i % split.len];
            for v in chunk {
                *v = *v * factor + offset;
            }
        }
    }
    tensor(x.shape().to_vec(), y)
}

/// The same with each item's own mean and variance over `axes`.
pub(super) fn layer(
    axes: &[isize],
    epsilon: f64,
    (center, scale): (bool, bool),
    w: &Weights<'_>,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let rank = x.shape().len();
    // The weights' axes are in the order in which the layer names them.
    let named = axes
        .iter()
        .map(|&a| axes::index(x, a))
        .collect::<Result<Vec<usize>, _>>()?;
    let order: Vec<usize> = (0..rank)
        .filter(|a| !named.contains(a))
        .chain(named.iter().copied())
        .collect();
    let moved = axes::permute(x, &order)?;
    let n: usize = named.iter().map(|&a| x.shape()[a]).product();
    let weight = |name: &'static str, wanted: bool| -> Result<Option<&[f32]>, Problem> {
        if !wanted {
            return Ok(None);
        }
        let weight = w.get(name)?;
        check_len(name, n, weight.len())?;
        Ok(Some(weight.data()))
    };
    let (gamma, beta) = (weight("gamma", scale)?, weight("beta", center)?);
    let mut y = moved.data().to_vec();
    if n > 0 {
        for row in y.chunks_exact_mut(n) {
            let mean = row.iter().sum::<f32>() / n as f32;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
            let factor = 1.0 / (variance + epsilon as f32).sqrt();
            for (i, v) in row.iter_mut().enumerate() {
                *v =
                    (*v - mean) * factor * gamma.map_or(1.0, |g| g[i]) + beta.map_or(0.0, |b| b[i]);
            }
        }
    }
    let mut back = vec![0; rank];
    for (new, &old) in order.iter().enumerate() {
        back[old] = new;
    }
    axes::permute(&tensor(moved.shape().to_vec(), y)?, &back)
}
