//! Activation.

use super::prelude::*;
use crate::network::{Effect, TensorFunc};

/// An activation function as a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationLayer {
    /// The function.
    pub activation: Activation,
}

impl LayerKind for ActivationLayer {
    fn names() -> &'static [&'static str] {
        &["Activation"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let activation = args.activation("activation", Activation::Linear)?;
        Ok(activation.map(|activation| Self { activation }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        self.activation.of(axes::only(inputs)?)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn effect(&self) -> Effect {
        self.activation.effect()
    }

    fn advice(&self) -> (String, Option<Advice>) {
        (self.activation.advice(), None)
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    /// Adds an ensemble behind an identity connection.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        call.add_activation(self.activation.into())
    }
}
