//! ELU.

use super::prelude::*;
use crate::keras::activation::elu;
use crate::network::Effect;

/// Exponential growth below zero.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Elu {
    pub alpha: f64,
}

impl LayerKind for Elu {
    fn names() -> &'static [&'static str] {
        &["ELU"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            alpha: args.number("alpha", 1.0)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let alpha = self.alpha as f32;
        Ok(axes::map(axes::only(inputs)?, |v| elu(v, alpha)))
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn effect(&self) -> Effect {
        Effect::Pointwise
    }

    fn advice(&self) -> (String, Option<Advice>) {
        ("use a relu activation".to_owned(), None)
    }
}
