//! Softmax.

use super::prelude::*;
use crate::keras::activation::softmax;
use crate::network::{Effect, Head};

/// A softmax along an axis.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Softmax {
    pub axis: isize,
}

impl LayerKind for Softmax {
    fn names() -> &'static [&'static str] {
        &["Softmax"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(match args.integers("axis", &[-1])?[..] {
            [axis] => Some(Self { axis }),
            _ => None,
        })
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        shape::axis_index(self.axis, input.len())?;
        Ok(input.clone())
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        softmax(axes::only(inputs)?, self.axis, false)
    }

    fn effect(&self) -> Effect {
        Effect::Head(Head::Softmax)
    }

    fn advice(&self) -> (String, Option<Advice>) {
        let advice = "a softmax can only be left out at the end of the network";
        (advice.to_owned(), None)
    }
}
