//! Rescaling.

use super::prelude::*;

/// scale x + offset, along the last axis or with one value for all.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Rescaling {
    pub scale: Vec<f64>,
    pub offset: Vec<f64>,
}

impl LayerKind for Rescaling {
    fn names() -> &'static [&'static str] {
        &["Rescaling"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            scale: args.numbers("scale", 1.0)?,
            offset: args.numbers("offset", 0.0)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let floats = |values: &[f64]| values.iter().map(|v| *v as f32).collect();
        let scaled = axes::along_last(x, floats(&self.scale), |x, s| x * s)?;
        axes::along_last(&scaled, floats(&self.offset), |x, o| x + o)
    }

    fn hands_masks_on(&self, keras3: bool) -> bool {
        keras3
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let Self { scale, offset } = self;
        let shape = call.output_shape()?;
        let size: usize = shape.iter().product();
        let last = shape.last().copied().unwrap_or(1);
        for values in [scale, offset] {
            if values.len() != 1 && values.len() != last {
                return Err(call.shape_error(format!(
                    "{} values cannot scale the last axis of {}",
                    values.len(),
                    tuple(&shape)
                )));
            }
        }
        let spread = |values: &[f64]| -> Vec<f32> {
            (0..size).map(|i| values[i % values.len()] as f32).collect()
        };
        let factors = match scale.as_slice() {
            [scale] => Tensor::filled(Vec::new(), *scale as f32),
            scale => Tensor::vector(spread(scale)),
        };
        let object = call.add_object(None, None)?;
        if offset.iter().any(|&offset| offset != 0.0) {
            index::add_offsets(call, object, Tensor::vector(spread(offset)))?;
        }
        index::connect_factors(call, object, factors)?;
        Ok(vec![object.pre])
    }
}
