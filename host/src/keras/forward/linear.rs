//! Matrix products along the last axis.

use super::axes::tensor;
use super::error::Problem;
use crate::keras::activation::Activation;
use crate::ops::{self, MatMut, MatRef, OpsError};
use crate::tensor::Tensor;

/// Adds one value per channel, the last axis.
pub(crate) fn add_bias(y: &mut [f32], bias: &[f32]) {
    if !bias.is_empty() {
        for row in y.chunks_exact_mut(bias.len()) {
            for (y, b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

/// The biases and the activation after a product; channels are the last axis.
pub(crate) fn finish(
    y: Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor, Problem> {
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
    activation.of(&y)
}

/// The last axis times a kernel of shape `[in, out]`.
pub(crate) fn product(x: &Tensor, kernel: &Tensor) -> Result<Tensor, Problem> {
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
