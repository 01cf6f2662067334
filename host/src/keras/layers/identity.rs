//! Layers that do nothing at inference.

use super::prelude::*;
use crate::network::Effect;

/// Identity, dropout, noise, random changes of images, ActivityRegularization: the identity at
/// inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity;

impl LayerKind for Identity {
    fn names() -> &'static [&'static str] {
        &[
            "Identity",
            "Dropout",
            "GaussianNoise",
            "GaussianDropout",
            "AlphaDropout",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "SpatialDropout3D",
            "ActivityRegularization",
            "StochasticDepth",
            "RandomFlip",
            "RandomRotation",
            "RandomZoom",
            "RandomTranslation",
            "RandomContrast",
            "RandomBrightness",
            "RandomHeight",
            "RandomWidth",
            "RandomShear",
            "RandomHue",
            "RandomSaturation",
            "RandomGrayscale",
            "RandomPosterization",
            "RandomColorJitter",
            "RandomColorDegeneration",
            "RandomErasing",
            "RandomGaussianBlur",
            "RandomInvert",
            "RandomPerspective",
            "RandomElasticTransform",
            "RandomSharpness",
            "RandAugment",
            "AugMix",
            "CutMix",
            "MixUp",
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

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn effect(&self) -> Effect {
        Effect::Identity
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn ignores_weights(&self) -> bool {
        true
    }

    /// Leaves no object: the input's stands for the layer.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        Ok(vec![call.input(0)?])
    }
}
