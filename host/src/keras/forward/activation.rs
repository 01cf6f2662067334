//! Keras's activation functions.

use super::Problem;
use super::axes::{self, Split};
use crate::keras::model::Activation;
use crate::tensor::Tensor;

/// The natural growth of SELU below zero, and its scale.
const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_SCALE: f32 = 1.050_701;
/// The slope of the function `leaky_relu` below zero.
const LEAKY_SLOPE: f32 = 0.2;

/// The activation of each value; softmax and log_softmax are over the last axis.
pub(super) fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, Problem> {
    match activation {
        Activation::Linear => Ok(x.clone()),
        Activation::Softmax => softmax(x, -1, false),
        Activation::LogSoftmax => softmax(x, -1, true),
        _ => Ok(axes::map(x, |v| scalar(activation, v))),
    }
}

/// The activation of one value. Softmax and log_softmax, which need all, hand it through.
pub(super) fn scalar(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Linear | Activation::Softmax | Activation::LogSoftmax => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Elu => elu(x, 1.0),
        Activation::Selu => SELU_SCALE * elu(x, SELU_ALPHA),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Softplus => softplus(x),
        Activation::Softsign => x / (1.0 + x.abs()),
        Activation::Swish => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::Exponential => x.exp(),
        Activation::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Activation::LeakyRelu => leaky_relu(x, LEAKY_SLOPE),
        Activation::Mish => x * softplus(x).tanh(),
    }
}

pub(super) fn leaky_relu(x: f32, slope: f32) -> f32 {
    if x >= 0.0 { x } else { slope * x }
}

pub(super) fn elu(x: f32, alpha: f32) -> f32 {
    if x > 0.0 { x } else { alpha * x.exp_m1() }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Softmax, or its logarithm, along `axis` (which counts the batch axis).
pub(super) fn softmax(x: &Tensor, axis: isize, logarithm: bool) -> Result<Tensor, Problem> {
    let axis = axes::index(x, axis)?;
    let Split { before, len, after } = Split::at(x.shape(), axis);
    let mut y = x.data().to_vec();
    for b in 0..before {
        for a in 0..after {
            let at = |i: usize| (b * len + i) * after + a;
            let max = (0..len).fold(f32::NEG_INFINITY, |m, i| m.max(y[at(i)]));
            let sum: f32 = (0..len).map(|i| (y[at(i)] - max).exp()).sum();
            for i in 0..len {
                let v = &mut y[at(i)];
                *v = if logarithm {
                    *v - max - sum.ln()
                } else {
                    (*v - max).exp() / sum
                };
            }
        }
    }
    axes::tensor(x.shape().to_vec(), y)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the Keras functions at -2, -0.5, 0, 1 and 4.
    #[test]
    fn values_are_keras() {
        let expected: [(Activation, [f32; 5]); 10] = [
            (
                Activation::Elu,
                [-0.864_664_7, -0.393_469_33, 0.0, 1.0, 4.0],
            ),
            (
                Activation::Selu,
                [-1.520_166_4, -0.691_758_2, 0.0, 1.050_701, 4.202_804],
            ),
            (
                Activation::Softplus,
                [0.126_928, 0.474_077, 2f32.ln(), 1.313_261_7, 4.018_15],
            ),
            (
                Activation::Softsign,
                [-0.666_666_7, -0.333_333_34, 0.0, 0.5, 0.8],
            ),
            (
                Activation::Swish,
                [-0.238_405_84, -0.188_770_33, 0.0, 0.731_058_6, 3.928_055],
            ),
            (
                Activation::Gelu,
                [-0.045_500_264, -0.154_268_77, 0.0, 0.841_344_7, 3.999_873_4],
            ),
            (
                Activation::HardSigmoid,
                [0.166_666_67, 0.416_666_66, 0.5, 0.666_666_7, 1.0],
            ),
            (Activation::LeakyRelu, [-0.4, -0.1, 0.0, 1.0, 4.0]),
            (
                Activation::Mish,
                [-0.252_501_5, -0.220_743_7, 0.0, 0.865_098_4, 3.997_412_8],
            ),
            (Activation::Relu6, [0.0, 0.0, 0.0, 1.0, 4.0]),
        ];
        for (activation, values) in expected {
            for (x, y) in [-2.0f32, -0.5, 0.0, 1.0, 4.0].into_iter().zip(values) {
                let found = scalar(activation, x);
                assert!(
                    (found - y).abs() < 1e-5,
                    "{activation}({x}) = {found}, not {y}"
                );
            }
        }
    }

    #[test]
    fn softmax_takes_any_axis() {
        let x = Tensor::new(vec![1, 2, 2], vec![0.0, 1.0, 3f32.ln(), 1.0]).unwrap();
        let y = softmax(&x, 1, false).unwrap();
        let expected = [0.25, 0.5, 0.75, 0.5];
        for (y, e) in y.data().iter().zip(expected) {
            assert!((y - e).abs() < 1e-6);
        }
        let y = softmax(&x, -2, true).unwrap();
        assert!((y.data()[0] - 0.25f32.ln()).abs() < 1e-6);
    }
}
