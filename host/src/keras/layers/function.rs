//! Functions of each value by itself that are no activations, such as an absolute value.

use super::prelude::*;
use crate::network::Effect;

/// A function of each value by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// |x|.
    Abs,
    /// The square root.
    Sqrt,
    /// One over the square root.
    Rsqrt,
    /// The natural logarithm.
    Log,
    /// The natural logarithm of 1 + x.
    Log1p,
    /// x to the power of this.
    Power(f64),
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// x, at least the first and at most the second value.
    Clip(f64, f64),
}

impl LayerKind for Function {
    /// Only functions make it.
    fn names() -> &'static [&'static str] {
        &[]
    }

    fn read(_: &str, _: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(None)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let f: Box<dyn Fn(f32) -> f32> = match *self {
            Self::Abs => Box::new(f32::abs),
            Self::Sqrt => Box::new(f32::sqrt),
            Self::Rsqrt => Box::new(|x| 1.0 / x.sqrt()),
            Self::Log => Box::new(f32::ln),
            Self::Log1p => Box::new(f32::ln_1p),
            // As multiplied, not as a logarithm.
            Self::Power(2.0) => Box::new(|x| x * x),
            Self::Power(power) => Box::new(move |x| x.powf(power as f32)),
            Self::Sin => Box::new(f32::sin),
            Self::Cos => Box::new(f32::cos),
            Self::Clip(least, most) => Box::new(move |x| x.max(least as f32).min(most as f32)),
        };
        Ok(axes::map(axes::only(inputs)?, f))
    }

    fn effect(&self) -> Effect {
        Effect::Pointwise
    }
}
