//! LayerNormalization.

use super::prelude::*;
use crate::ops::check_len;

/// (x - mean) / sqrt(variance + epsilon) gamma + beta, with each item's own mean and variance.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct LayerNormalization {
    pub axis: Vec<isize>,
    pub epsilon: f64,
    pub center: bool,
    pub scale: bool,
}

impl LayerKind for LayerNormalization {
    fn names() -> &'static [&'static str] {
        &["LayerNormalization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.set("rms_scaling") {
            return Ok(None);
        }
        Ok(Some(Self {
            axis: args.integers("axis", &[-1])?,
            epsilon: args.number("epsilon", 1e-3)?,
            center: args.flag("center", true)?,
            scale: args.flag("scale", true)?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let dims = match input {
            Some(input) => (self.axis.iter())
                .map(|&a| Ok(input[shape::axis_index(a, input.len())?]))
                .collect::<Result<Shape, String>>()?,
            None => vec![None; self.axis.len()],
        };
        let slots = [("gamma", self.scale), ("beta", self.center)];
        Ok((slots.into_iter().filter(|(_, used)| *used))
            .map(|(role, _)| Slot::new(role, dims.clone()))
            .collect())
    }

    fn number_axes(&mut self, rank: usize) {
        shape::number_axes(&mut self.axis, rank);
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::with_axes(inputs, &self.axis).cloned()
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let rank = x.shape().len();
        // The weights' axes are in the order in which the layer names them.
        let named = axes::indices(x, &self.axis)?;
        let order: Vec<usize> = (0..rank)
            .filter(|a| !named.contains(a))
            .chain(named.iter().copied())
            .collect();
        let moved = axes::permute(x, &order)?;
        let n: usize = named.iter().map(|&a| x.shape()[a]).product();
        let weight = |name: &'static str, wanted: bool| -> Result<Option<&[f32]>, Problem> {
            if !wanted {
                return Ok(None);
            }
            let weight = w.get(name)?;
            check_len(name, n, weight.len())?;
            Ok(Some(weight.data()))
        };
        let (gamma, beta) = (weight("gamma", self.scale)?, weight("beta", self.center)?);
        let mut y = moved.data().to_vec();
        if n > 0 {
            for row in y.chunks_exact_mut(n) {
                let mean = row.iter().sum::<f32>() / n as f32;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n as f32;
                let factor = 1.0 / (variance + self.epsilon as f32).sqrt();
                for (i, v) in row.iter_mut().enumerate() {
                    *v = (*v - mean) * factor * gamma.map_or(1.0, |g| g[i])
                        + beta.map_or(0.0, |b| b[i]);
                }
            }
        }
        let mut back = vec![0; rank];
        for (new, &old) in order.iter().enumerate() {
            back[old] = new;
        }
        axes::permute(&axes::tensor(moved.shape().to_vec(), y)?, &back)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }
}
