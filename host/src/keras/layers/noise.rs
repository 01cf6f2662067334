//! Other layers that do nothing at inference.

use super::prelude::*;
use crate::network::Effect;

/// GaussianNoise, GaussianDropout, AlphaDropout, SpatialDropout1-3D, ActivityRegularization: the
/// identity at inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise;

impl LayerKind for Noise {
    fn names() -> &'static [&'static str] {
        &[
            "GaussianNoise",
            "GaussianDropout",
            "AlphaDropout",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "SpatialDropout3D",
            "ActivityRegularization",
        ]
    }

    fn read(_: &str, _: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
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
