//! LeakyReLU.

use super::prelude::*;
use crate::keras::activation::leaky_relu;
use crate::keras::convert::options::ActivationType;
use crate::network::NeuronType;

/// A rectifier with a slope below zero.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct LeakyRelu {
    pub negative_slope: f64,
}

impl LayerKind for LeakyRelu {
    fn names() -> &'static [&'static str] {
        &["LeakyReLU"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let negative_slope = match args.number_or_none("negative_slope")? {
            Some(slope) => slope,
            None => args.number("alpha", 0.3)?,
        };
        Ok(Some(Self { negative_slope }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let slope = self.negative_slope as f32;
        Ok(axes::map(axes::only(inputs)?, |v| leaky_relu(v, slope)))
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        call.add_activation(leaky(self.negative_slope))
    }
}

/// The neurons of a leaky rectifier.
pub(super) fn leaky(negative_slope: f64) -> ActivationType {
    ActivationType::Neuron(NeuronType::LeakyRelu {
        negative_slope: negative_slope as f32,
        amplitude: 1.0,
    })
}
