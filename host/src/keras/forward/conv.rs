//! Convolutions: plain, depthwise, separable and transposed.

use super::axes::{from_channels_last, tensor, to_channels_last};
use super::{Problem, Weights, activation};
use crate::keras::model::{Activation, Conv, DataFormat, Padding};
use crate::ops::{self, Axis, ConvPlan, MatMut, MatRef, OUTSIDE, OpsError, Taps};
use crate::tensor::Tensor;

/// Adds one value per channel, the last axis.
pub(super) fn add_bias(y: &mut [f32], bias: &[f32]) {
    if !bias.is_empty() {
        for row in y.chunks_exact_mut(bias.len()) {
            for (y, b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

struct Geometry<'a> {
    strides: &'a [usize],
    dilation: &'a [usize],
    padding: Padding,
    groups: usize,
}

/// The convolution of `x`, which has channels last, with a kernel of shape `[k.., in / groups, out]`.
fn convolve(x: &Tensor, kernel: &Tensor, g: &Geometry<'_>) -> Result<Tensor, Problem> {
    let (batch, item) = split_batch(x)?;
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
    tensor(shape, y)
}

pub(super) fn split_batch(x: &Tensor) -> Result<(usize, &[usize]), Problem> {
    x.shape()
        .split_first()
        .map(|(batch, item)| (*batch, item))
        .ok_or_else(|| Problem::Shape {
            needs: "a batch axis".to_owned(),
            found: Vec::new(),
        })
}

fn finish(y: Tensor, bias: Option<&Tensor>, activation: Activation) -> Result<Tensor, Problem> {
    let y = match bias {
        None => y,
        Some(bias) => {
            let channels = y.shape().last().copied().unwrap_or(0);
            ops::check_len("the bias", channels, bias.len())?;
            let mut data = y.data().to_vec();
            add_bias(&mut data, bias.data());
            tensor(y.shape().to_vec(), data)?
        }
    };
    activation::activate(activation, &y)
}

/// Softmax goes over the last axis, which is the channels' only with channels last.
fn laid_out(
    y: Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    format: DataFormat,
) -> Result<Tensor, Problem> {
    let y = finish(y, bias, Activation::Linear)?;
    activation::activate(activation, &from_channels_last(&y, format)?)
}

pub(super) fn conv(c: &Conv, w: &Weights<'_>, x: &Tensor) -> Result<Tensor, Problem> {
    let kernel = w.get("kernel")?;
    let x = to_channels_last(x, c.data_format)?;
    let geometry = Geometry {
        strides: &c.strides,
        dilation: &c.dilation_rate,
        padding: c.padding,
        groups: c.groups,
    };
    let y = convolve(&x, kernel, &geometry)?;
    laid_out(y, w.bias(c.use_bias)?, c.activation, c.data_format)
}

/// A depthwise kernel `[k.., in, m]` is a grouped kernel `[k.., 1, in m]` in memory.
fn depthwise(c: &Conv, kernel: &Tensor, x: &Tensor) -> Result<Tensor, Problem> {
    let [window @ .., channels, multiplier] = kernel.shape() else {
        return Err(Problem::Shape {
            needs: "a depthwise kernel".to_owned(),
            found: kernel.shape().to_vec(),
        });
    };
    let mut shape = window.to_vec();
    shape.extend([1, channels * multiplier]);
    let grouped = tensor(shape, kernel.data().to_vec())?;
    let geometry = Geometry {
        strides: &c.strides,
        dilation: &c.dilation_rate,
        padding: c.padding,
        groups: *channels,
    };
    convolve(x, &grouped, &geometry)
}

pub(super) fn depthwise_conv(c: &Conv, w: &Weights<'_>, x: &Tensor) -> Result<Tensor, Problem> {
    let x = to_channels_last(x, c.data_format)?;
    let y = depthwise(c, w.get("depthwise_kernel")?, &x)?;
    laid_out(y, w.bias(c.use_bias)?, c.activation, c.data_format)
}

pub(super) fn separable_conv(c: &Conv, w: &Weights<'_>, x: &Tensor) -> Result<Tensor, Problem> {
    let x = to_channels_last(x, c.data_format)?;
    let y = depthwise(c, w.get("depthwise_kernel")?, &x)?;
    let ones = vec![1; c.rank];
    let geometry = Geometry {
        strides: &ones,
        dilation: &ones,
        padding: Padding::Valid,
        groups: 1,
    };
    let y = convolve(&y, w.get("pointwise_kernel")?, &geometry)?;
    laid_out(y, w.bias(c.use_bias)?, c.activation, c.data_format)
}

/// The gradient of a convolution from the output's places to the input's: each input value adds the
/// kernel, times itself, to the output. The kernel has the shape `[k.., out, in]`.
pub(super) fn conv_transpose(c: &Conv, w: &Weights<'_>, x: &Tensor) -> Result<Tensor, Problem> {
    let kernel = w.get("kernel")?;
    let x = to_channels_last(x, c.data_format)?;
    let (batch, item) = split_batch(&x)?;
    let wrong_kernel = || Problem::Shape {
        needs: format!("a kernel of {} axes and channels", c.rank),
        found: kernel.shape().to_vec(),
    };
    let ([places @ .., channels_in], [window @ .., channels_out, kernel_in]) =
        (item, kernel.shape())
    else {
        return Err(wrong_kernel());
    };
    if places.len() != c.rank || window.len() != c.rank || channels_in != kernel_in {
        return Err(wrong_kernel());
    }
    let axes = (0..c.rank)
        .map(|a| {
            let (n, k) = (places[a], window[a]);
            let (stride, dilation) = (*c.strides.get(a)?, *c.dilation_rate.get(a)?);
            let span = k.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
            let strided = n.checked_mul(stride)?;
            // The length that Keras gives the result; TensorFlow then pads as the convolution that
            // this is the gradient of.
            let output = match c.padding {
                Padding::Valid => strided.checked_add(span.saturating_sub(stride))?,
                Padding::Same | Padding::Causal => strided,
            };
            let before = match c.padding {
                Padding::Valid => 0,
                Padding::Same | Padding::Causal => span.saturating_sub(stride) / 2,
            };
            Some(Axis {
                input: output,
                kernel: k,
                stride,
                dilation,
                output: n,
                before,
            })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong_kernel)?;
    let taps = Taps::new(&axes).ok_or_else(wrong_kernel)?;
    let mut columns = vec![0.0; taps.output * taps.kernel * channels_out];
    let size_out = taps.input * channels_out;
    let mut y = vec![0.0; batch * size_out];
    let rows = taps.kernel * channels_out;
    if *channels_in > 0 && size_out > 0 {
        for (x, y) in x
            .data()
            .chunks_exact(taps.output * channels_in)
            .zip(y.chunks_exact_mut(size_out))
        {
            columns.fill(0.0);
            ops::gemm(
                MatRef::row_major(x, taps.output, *channels_in),
                MatRef::row_major(kernel.data(), rows, *channels_in).transposed(),
                MatMut::row_major(&mut columns, taps.output, rows),
            )?;
            for (row, window) in columns.chunks_exact(rows).zip(taps.windows()) {
                for (cell, &place) in row.chunks_exact(*channels_out).zip(window) {
                    if place != OUTSIDE {
                        let at = place as usize * channels_out;
                        for (y, v) in y[at..].iter_mut().zip(cell) {
                            *y += v;
                        }
                    }
                }
            }
        }
    }
    let mut shape = vec![batch];
    shape.extend(axes.iter().map(|a| a.input));
    shape.push(*channels_out);
    let y = tensor(shape, y)?;
    laid_out(y, w.bias(c.use_bias)?, c.activation, c.data_format)
}

pub(super) fn dense(
    activation: Activation,
    use_bias: bool,
    w: &Weights<'_>,
    x: &Tensor,
) -> Result<Tensor, Problem> {
    let y = product(x, w.get("kernel")?)?;
    finish(y, w.bias(use_bias)?, activation)
}

/// The last axis times a kernel of shape `[in, out]`.
pub(super) fn product(x: &Tensor, kernel: &Tensor) -> Result<Tensor, Problem> {
    let (&[rows, cols], Some((&last, rest))) = (kernel.shape(), x.shape().split_last()) else {
        return Err(Problem::Shape {
            needs: "a kernel of two axes".to_owned(),
            found: kernel.shape().to_vec(),
        });
    };
    if last != rows {
        return Err(Problem::Ops(OpsError::Shape {
            what: "the input",
            expected: format!("a last axis of {rows}"),
            found: x.shape().to_vec(),
        }));
    }
    let items: usize = rest.iter().product();
    let mut y = vec![0.0; items * cols];
    ops::gemm(
        MatRef::row_major(x.data(), items, rows),
        MatRef::row_major(kernel.data(), rows, cols),
        MatMut::row_major(&mut y, items, cols),
    )?;
    let mut shape = rest.to_vec();
    shape.push(cols);
    tensor(shape, y)
}
