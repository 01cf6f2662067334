//! BatchNormalization.

use super::prelude::*;
use crate::keras::penalty::inference_only;
use crate::ops::check_len;

/// gamma (x - mean) / sqrt(variance + epsilon) + beta, with the moving averages of training. `axis`
/// counts the batch axis as 0.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct BatchNormalization {
    pub axis: isize,
    pub epsilon: f64,
    pub center: bool,
    pub scale: bool,
}

impl LayerKind for BatchNormalization {
    fn names() -> &'static [&'static str] {
        &["BatchNormalization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let [axis] = args.integers("axis", &[-1])?[..] else {
            return Ok(None);
        };
        Ok(Some(Self {
            axis,
            epsilon: args.number("epsilon", 1e-3)?,
            center: args.flag("center", true)?,
            scale: args.flag("scale", true)?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let dim = match input {
            Some(input) => input[shape::axis_index(self.axis, input.len())?],
            None => None,
        };
        let slots = [
            ("gamma", self.scale, true),
            ("beta", self.center, true),
            ("moving_mean", true, false),
            ("moving_variance", true, false),
        ];
        Ok((slots.into_iter().filter(|(_, used, _)| *used))
            .map(|(role, _, trainable)| Slot {
                role,
                shape: Some(vec![dim]),
                trainable,
            })
            .collect())
    }

    fn number_axes(&mut self, rank: usize) {
        shape::number_axis(&mut self.axis, rank);
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        shape::axis_index(self.axis, input.len())?;
        Ok(input.clone())
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let axis = axes::index(x, self.axis)?;
        let split = axes::Split::at(x.shape(), axis);
        let values = |name: &'static str, wanted: bool| -> Result<Option<&[f32]>, Problem> {
            if !wanted {
                return Ok(None);
            }
            let weight = w.get(name)?;
            check_len(name, split.len, weight.len())?;
            Ok(Some(weight.data()))
        };
        let (gamma, beta) = (values("gamma", self.scale)?, values("beta", self.center)?);
        let mean = values("moving_mean", true)?.unwrap_or_default();
        let variance = values("moving_variance", true)?.unwrap_or_default();
        let lines: Vec<(f32, f32)> = (0..split.len)
            .map(|c| {
                let factor =
                    gamma.map_or(1.0, |g| g[c]) / (variance[c] + self.epsilon as f32).sqrt();
                (factor, beta.map_or(0.0, |b| b[c]) - mean[c] * factor)
            })
            .collect();
        let mut y = x.data().to_vec();
        if split.after > 0 && split.len > 0 {
            for (i, chunk) in y.chunks_exact_mut(split.after).enumerate() {
                let (factor, offset) = lines[i % split.len];
                for v in chunk {
                    *v = *v * factor + offset;
                }
            }
        }
        axes::tensor(x.shape().to_vec(), y)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn advice(&self) -> (String, Option<Advice>) {
        inference_only("training")
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        if layer.trainable && !options.inference_only {
            return Err(
                "Cannot convert BatchNormalization layer to native Nengo objects unless \
                 inference_only=True or layer.trainable=False"
                    .into(),
            );
        }
        Ok(())
    }

    /// Adds a diagonal transform, and a bias node of full size.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let &Self {
            axis,
            epsilon,
            center,
            scale,
        } = self;
        let shape = call.output_shape()?;
        let outer = 1 + usize::from(call.temporal());
        let axis = index::axis(axis, shape.len() + outer)
            .and_then(|axis| axis.checked_sub(outer))
            .ok_or_else(|| {
                call.shape_error(format!("{} has no axis {axis} to normalize", tuple(&shape)))
            })?;
        let n = shape[axis];
        let mean = call.weight("moving_mean", &[n])?.data();
        let variance = call.weight("moving_variance", &[n])?.data();
        let gamma = scale.then(|| call.weight("gamma", &[n])).transpose()?;
        let beta = center.then(|| call.weight("beta", &[n])).transpose()?;

        let mut factors = Vec::with_capacity(n);
        let mut offsets = Vec::with_capacity(n);
        for i in 0..n {
            let deviation = (variance[i] + epsilon as f32).sqrt();
            let factor = gamma.map_or(1.0, |gamma| gamma.data()[i]) / deviation;
            factors.push(factor);
            offsets.push(beta.map_or(0.0, |beta| beta.data()[i]) - factor * mean[i]);
        }
        let inner: usize = shape[axis + 1..].iter().product();
        let size: usize = shape.iter().product();
        let spread = |values: &[f32]| (0..size).map(|i| values[i / inner % n]).collect::<Vec<_>>();
        let object = call.add_object(None, None)?;
        index::add_offsets(call, object, Tensor::vector(spread(&offsets)))?;
        index::connect_factors(call, object, Tensor::vector(spread(&factors)))?;
        Ok(vec![object.pre])
    }
}
