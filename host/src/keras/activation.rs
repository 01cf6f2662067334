//! Keras's activation functions: names, values, and the neurons that compute them.

use std::fmt;

use super::dialect::Dialect;
use super::forward::axes::{self, Split};
use super::forward::error::Problem;
use crate::advice::Advice;
use crate::network::{Effect, Head, NeuronType, TensorFunc};
use crate::tensor::Tensor;

/// A number that an activation takes as an argument: its bits, so that activations can be compared and ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parameter(u32);

impl Parameter {
    /// The parameter of a value; `None` if it is not finite.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        let value = value as f32;
        value.is_finite().then_some(Self(value.to_bits()))
    }

    /// Its value.
    #[must_use]
    pub fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// Makes [`Activation`] of Keras's names; the first name of a function is the one that is shown.
macro_rules! activations {
    ($($function:ident: $name:literal $(| $other:literal)*,)*) => {
        /// An activation function by its Keras name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is the Keras function of that name")]
        pub enum Activation {
            $($function,)*
            /// `hard_sigmoid` of Keras 1 and 2, clip(0.2 x + 0.5, 0, 1); that of Keras 3 is
            /// relu6(x + 3) / 6.
            SteepHardSigmoid,
            /// A layer LeakyReLU in place of a function, with its slope below zero.
            LeakyReluBy(Parameter),
            /// A layer ELU in place of a function, with its factor below zero.
            EluBy(Parameter),
            /// A layer ReLU in place of a function, with its largest value.
            ReluUpTo(Parameter),
        }

        impl Activation {
            /// All functions of Keras 3.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$function,)*];

            /// The Keras name, such as `relu`.
            pub(crate) fn keras_name(self) -> &'static str {
                match self {
                    $(Self::$function => $name,)*
                    Self::SteepHardSigmoid => "hard_sigmoid",
                    Self::LeakyReluBy(_) => "leaky_relu",
                    Self::EluBy(_) => "elu",
                    Self::ReluUpTo(_) => "relu",
                }
            }

            /// The function that a version of Keras calls by this name.
            pub(crate) fn by_name(name: &str, dialect: Dialect) -> Option<Self> {
                // A registered name has its package before it.
                let name = match name.rsplit_once('>') {
                    Some((package, name)) if package.eq_ignore_ascii_case("keras") => name,
                    Some(_) => return None,
                    None => name,
                };
                Some(match name {
                    "hard_sigmoid" if dialect.version < 3 => Self::SteepHardSigmoid,
                    $($name $(| $other)* => Self::$function,)*
                    _ => return None,
                })
            }
        }
    };
}

activations! {
    Linear: "linear",
    Relu: "relu",
    Sigmoid: "sigmoid",
    Tanh: "tanh",
    Softmax: "softmax" | "softmax_v2",
    Elu: "elu",
    Selu: "selu",
    Relu6: "relu6",
    Softplus: "softplus",
    Softsign: "softsign",
    Swish: "swish" | "silu",
    Gelu: "gelu",
    Exponential: "exponential",
    HardSigmoid: "hard_sigmoid",
    LeakyRelu: "leaky_relu",
    Mish: "mish",
    LogSoftmax: "log_softmax",
    HardSilu: "hard_silu" | "hard_swish",
    Celu: "celu",
    HardTanh: "hard_tanh",
    HardShrink: "hard_shrink",
    SoftShrink: "soft_shrink",
    TanhShrink: "tanh_shrink",
    LogSigmoid: "log_sigmoid",
    SparsePlus: "sparse_plus",
    SparseSigmoid: "sparse_sigmoid",
    Squareplus: "squareplus",
    Sparsemax: "sparsemax",
}

impl fmt::Display for Activation {
    /// The Keras name, such as `relu`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keras_name())
    }
}

impl Activation {
    /// The neuron type that computes the function: `Some(None)` for the identity, `None` if there is
    /// none. `native` adds those that NengoDL does not map.
    pub(crate) fn neuron_type(self, native: bool) -> Option<Option<NeuronType>> {
        match self {
            Self::Linear => Some(None),
            Self::Relu => Some(Some(NeuronType::RectifiedLinear { amplitude: 1.0 })),
            Self::Sigmoid => Some(Some(NeuronType::Sigmoid { tau_ref: 1.0 })),
            Self::Tanh => Some(Some(NeuronType::Tanh { tau_ref: 1.0 })),
            Self::LeakyRelu if native => Some(Some(NeuronType::LeakyRelu {
                negative_slope: 0.2,
                amplitude: 1.0,
            })),
            Self::LeakyReluBy(slope) if native => Some(Some(NeuronType::LeakyRelu {
                negative_slope: slope.value(),
                amplitude: 1.0,
            })),
            _ => None,
        }
    }

    /// The activation of each value; softmax, log_softmax and sparsemax are over the last axis.
    pub(crate) fn of(self, x: &Tensor) -> Result<Tensor, Problem> {
        match self {
            Self::Linear => Ok(x.clone()),
            Self::Softmax => softmax(x, -1, false),
            Self::LogSoftmax => softmax(x, -1, true),
            Self::Sparsemax => sparsemax(x),
            _ => Ok(axes::map(x, |v| scalar(self, v))),
        }
    }
}

impl Activation {
    /// The advice if no neurons compute the function.
    pub(crate) fn advice(self) -> String {
        format!(
            "no neurons compute {self}; train the network again with relu, relu6 or leaky_relu in its place"
        )
    }
}

impl TensorFunc for Activation {
    fn listed(&self) -> String {
        format!("<function {self}>")
    }

    fn name(&self) -> String {
        format!("activation {self}")
    }

    fn run(&self, x: &Tensor) -> Result<Tensor, String> {
        self.of(x).map_err(|problem| problem.to_string())
    }

    fn effect(&self) -> Effect {
        match self {
            Self::Softmax | Self::LogSoftmax => Effect::Head(Head::Softmax),
            Self::Sigmoid => Effect::Head(Head::Sigmoid),
            Self::HardSigmoid => Effect::Head(Head::HardSigmoid),
            Self::SteepHardSigmoid => Effect::Head(Head::SteepHardSigmoid),
            Self::Tanh => Effect::Head(Head::Tanh),
            Self::HardTanh => Effect::Head(Head::HardTanh),
            Self::Linear => Effect::Identity,
            Self::Sparsemax => Effect::Other,
            _ => Effect::Pointwise,
        }
    }

    fn advice(&self) -> String {
        (*self).advice()
    }

    fn remedy(&self) -> Option<Advice> {
        None
    }
}

/// The natural growth of SELU below zero, and its scale.
const SELU_ALPHA: f32 = 1.673_263_2;
const SELU_SCALE: f32 = 1.050_701;
/// The slope of the function `leaky_relu` below zero.
const LEAKY_SLOPE: f32 = 0.2;

/// `true` for functions of all values of an axis together.
pub(crate) fn needs_all(activation: Activation) -> bool {
    use Activation::{LogSoftmax, Softmax, Sparsemax};
    matches!(activation, Softmax | LogSoftmax | Sparsemax)
}

/// The activation of one value. Functions that need all values hand it through.
pub(crate) fn scalar(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Linear
        | Activation::Softmax
        | Activation::LogSoftmax
        | Activation::Sparsemax => x,
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::Elu | Activation::Celu => elu(x, 1.0),
        Activation::Selu => SELU_SCALE * elu(x, SELU_ALPHA),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Softplus => softplus(x),
        Activation::Softsign => x / (1.0 + x.abs()),
        Activation::Swish => x * sigmoid(x),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::Exponential => x.exp(),
        Activation::HardSigmoid => hard_sigmoid(x),
        Activation::SteepHardSigmoid => (0.2 * x + 0.5).clamp(0.0, 1.0),
        Activation::HardSilu => x * hard_sigmoid(x),
        Activation::HardTanh => x.clamp(-1.0, 1.0),
        Activation::HardShrink if x.abs() <= 0.5 => 0.0,
        Activation::HardShrink => x,
        Activation::SoftShrink => x - x.clamp(-0.5, 0.5),
        Activation::TanhShrink => x - x.tanh(),
        Activation::LogSigmoid => -softplus(-x),
        Activation::SparsePlus if x >= 1.0 => x,
        Activation::SparsePlus => 0.25 * (x + 1.0).max(0.0).powi(2),
        Activation::SparseSigmoid => (0.5 * (x + 1.0)).clamp(0.0, 1.0),
        Activation::Squareplus => 0.5 * (x + (x * x + 4.0).sqrt()),
        Activation::LeakyRelu => leaky_relu(x, LEAKY_SLOPE),
        Activation::LeakyReluBy(slope) => leaky_relu(x, slope.value()),
        Activation::EluBy(alpha) => elu(x, alpha.value()),
        Activation::ReluUpTo(most) => x.max(0.0).min(most.value()),
        Activation::Mish => x * softplus(x).tanh(),
    }
}

pub(crate) fn leaky_relu(x: f32, slope: f32) -> f32 {
    if x >= 0.0 { x } else { slope * x }
}

pub(crate) fn elu(x: f32, alpha: f32) -> f32 {
    if x > 0.0 { x } else { alpha * x.exp_m1() }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn hard_sigmoid(x: f32) -> f32 {
    (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Softmax, or its logarithm, along `axis` (which counts the batch axis).
pub(crate) fn softmax(x: &Tensor, axis: isize, logarithm: bool) -> Result<Tensor, Problem> {
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

/// Sparsemax along the last axis as Keras computes it, with the sum of all partial sums of the support
/// (Martins and Astudillo, 2016, have the last of them).
fn sparsemax(x: &Tensor) -> Result<Tensor, Problem> {
    let mut y = x.data().to_vec();
    let len = x.shape().last().copied().unwrap_or(1).max(1);
    for row in y.chunks_mut(len) {
        let mut sorted = row.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut partial, mut total, mut support) = (0.0, 0.0, 0.0);
        let mut count = 0.0;
        for value in sorted {
            count += 1.0;
            partial += value;
            if value - (partial - 1.0) / count > 0.0 {
                total += partial;
                support += 1.0;
            }
        }
        for v in row {
            *v = (*v - (total - 1.0) / support).max(0.0);
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
