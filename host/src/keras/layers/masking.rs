//! Masking, and masks that recurrent layers take.

use super::prelude::*;

/// Steps of zeros for those whose features all have one value, which recurrent layers leave out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Masking {
    /// The value.
    pub mask_value: f64,
}

/// Steps that count, told by the layer's source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mask {
    /// Those of which some feature is not this value.
    NotAll(f64),
    /// Those whose index is not 0.
    NotZero,
}

impl Mask {
    /// Tells for each step of each item if it counts.
    pub(super) fn shown(self, source: &Tensor) -> Result<Vec<bool>, Problem> {
        let [batch, steps, item @ ..] = source.shape() else {
            return Err(Problem::Shape {
                needs: "the axes (batch, steps, ..)".to_owned(),
                found: source.shape().to_vec(),
            });
        };
        let size: usize = item.iter().product();
        let value = match self {
            Self::NotAll(value) => value as f32,
            Self::NotZero => 0.0,
        };
        let shown: Vec<bool> = (source.data().chunks(size.max(1)))
            .map(|step| step.iter().any(|&x| x != value))
            .collect();
        debug_assert_eq!(shown.len(), batch * steps);
        Ok(shown)
    }
}

impl LayerKind for Masking {
    fn names() -> &'static [&'static str] {
        &["Masking"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            mask_value: args.number("mask_value", 0.0)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let shown = Mask::NotAll(self.mask_value).shown(x)?;
        let size = x.len().checked_div(shown.len()).unwrap_or(0);
        let steps = x.data().chunks(size.max(1)).zip(shown);
        let y = steps
            .flat_map(|(step, shown)| step.iter().map(move |&x| if shown { x } else { 0.0 }))
            .collect();
        axes::tensor(x.shape().to_vec(), y)
    }
}
