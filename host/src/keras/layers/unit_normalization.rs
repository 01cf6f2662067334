//! UnitNormalization.

use super::prelude::*;

/// x / sqrt(Σ x²) over some axes, which count the batch axis as 0.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct UnitNormalization {
    pub axis: Vec<isize>,
    /// The least sum of squares that is divided by.
    pub epsilon: f32,
}

/// The least sum of squares of TensorFlow's and Keras's functions, and of the layer.
pub(crate) const EPSILON: f32 = 1e-12;

impl LayerKind for UnitNormalization {
    fn names() -> &'static [&'static str] {
        &["UnitNormalization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            axis: args.integers("axis", &[-1])?,
            epsilon: EPSILON,
        }))
    }

    fn number_axes(&mut self, rank: usize) {
        shape::number_axes(&mut self.axis, rank);
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::with_axes(inputs, &self.axis).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let named = axes::indices(x, &self.axis)?;
        let kept = |at: usize| !named.contains(&at);
        let lengths = x.shape().iter().enumerate();
        let sums: Vec<usize> = (lengths.clone())
            .map(|(at, &n)| if kept(at) { n } else { 1 })
            .collect();
        let strides = axes::strides(&sums);
        let steps: Vec<usize> = lengths
            .map(|(at, _)| if kept(at) { strides[at] } else { 0 })
            .collect();
        let to = || axes::gather(x.shape(), &steps);
        let mut squares = vec![0.0f32; sums.iter().product()];
        for (x, to) in x.data().iter().zip(to()) {
            squares[to] += x * x;
        }
        let y = (x.data().iter().zip(to()))
            .map(|(x, to)| x / squares[to].max(self.epsilon).sqrt())
            .collect();
        axes::tensor(x.shape().to_vec(), y)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }
}
