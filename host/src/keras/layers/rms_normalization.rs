//! RMSNormalization.

use super::prelude::*;

/// The root mean square of the values along axes divided out, with a scale for each place.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct RmsNormalization {
    /// Counts the batch axis as 0.
    pub axis: isize,
    pub epsilon: f64,
}

impl LayerKind for RmsNormalization {
    fn names() -> &'static [&'static str] {
        &["RMSNormalization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(match args.integers("axis", &[-1])?[..] {
            [axis] => Some(Self {
                axis,
                epsilon: args.number("epsilon", 1e-6)?,
            }),
            _ => None,
        })
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let length = match input {
            Some(input) => input[shape::axis_index(self.axis, input.len())?],
            None => None,
        };
        Ok(vec![Slot::new("scale", vec![length])])
    }

    fn number_axes(&mut self, rank: usize) {
        shape::number_axis(&mut self.axis, rank);
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::with_axes(inputs, &[self.axis]).cloned()
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let scale = w.get("scale")?.data();
        let split = axes::Split::at(x.shape(), axes::index(x, self.axis)?);
        let mut y = x.data().to_vec();
        for before in 0..split.before {
            for after in 0..split.after {
                let at = |k: usize| (before * split.len + k) * split.after + after;
                let sum: f32 = (0..split.len)
                    .map(|k| x.data()[at(k)] * x.data()[at(k)])
                    .sum();
                let factor = 1.0 / (sum / split.len as f32 + self.epsilon as f32).sqrt();
                for k in 0..split.len {
                    y[at(k)] *= factor * scale.get(k).copied().unwrap_or(1.0);
                }
            }
        }
        axes::tensor(x.shape().to_vec(), y)
    }
}
