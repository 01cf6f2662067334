//! Dropout.

use super::prelude::*;
use crate::network::Effect;

/// The identity at inference.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Dropout {
    pub rate: f64,
}

impl LayerKind for Dropout {
    fn names() -> &'static [&'static str] {
        &["Dropout"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            rate: args.number("rate", 0.0)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        axes::only(inputs).cloned()
    }

    fn effect(&self) -> Effect {
        Effect::Identity
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    /// Leaves no object: the input's stands for the layer.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        Ok(vec![call.input(0)?])
    }
}
