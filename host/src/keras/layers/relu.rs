//! ReLU.

use super::leaky_relu::leaky;
use super::prelude::*;

/// A rectifier: slope (x - threshold) below the threshold, x above it, and at most the maximum.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Relu {
    pub max_value: Option<f64>,
    pub negative_slope: f64,
    pub threshold: f64,
}

impl LayerKind for Relu {
    fn names() -> &'static [&'static str] {
        &["ReLU", "ThresholdedReLU"]
    }

    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if name == "ThresholdedReLU" {
            return Ok(Some(Self {
                max_value: None,
                negative_slope: 0.0,
                threshold: args.number("theta", 1.0)?,
            }));
        }
        Ok(Some(Self {
            max_value: args.number_or_none("max_value")?,
            negative_slope: args.number("negative_slope", 0.0)?,
            threshold: args.number("threshold", 0.0)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (slope, threshold) = (self.negative_slope as f32, self.threshold as f32);
        let max = self.max_value.map_or(f32::INFINITY, |m| m as f32);
        Ok(axes::map(x, |v| {
            if v >= threshold {
                v.min(max)
            } else {
                slope * (v - threshold)
            }
        }))
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        let threshold = self.threshold;
        // Without a threshold, a maximum is the difference of two rectifiers.
        if let Some(maximum) = self.max_value
            && (options.nengo_dl_compat || maximum <= 0.0)
        {
            arguments.require("max_value", &float(maximum), "None");
        }
        if threshold != 0.0 {
            arguments.require("threshold", &float(threshold), "0");
        }
        arguments.verdict()
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let activation = if self.negative_slope == 0.0 {
            Activation::Relu.into()
        } else {
            leaky(self.negative_slope)
        };
        let Some(maximum) = self.max_value else {
            return call.add_activation(activation);
        };
        let name = call.label();
        let object = call.add_clipped(&name, activation, maximum as f32)?;
        call.connect(object, Connect::default())?;
        Ok(vec![object.pre])
    }
}

/// A number as Python writes a float.
fn float(value: f64) -> String {
    format!("{value:?}")
}
