//! Axes of length 1 that functions add or drop.

use super::prelude::*;

/// The same elements with more axes of length 1, or with fewer. Axes count the batch axis as 0.
#[derive(Clone, Debug, PartialEq)]
pub enum LengthsOfOne {
    /// A new axis at this place of the output.
    Add(isize),
    /// Axes that are dropped; none for all of length 1.
    Drop(Vec<isize>),
}

impl LayerKind for LengthsOfOne {
    /// Only functions make it.
    fn names() -> &'static [&'static str] {
        &[]
    }

    fn read(_: &str, _: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(None)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        let mut out = input.clone();
        match self {
            Self::Add(axis) => out.insert(shape::axis_index(*axis, input.len() + 1)?, Some(1)),
            Self::Drop(axes) if axes.is_empty() => out.retain(|length| *length != Some(1)),
            Self::Drop(axes) => {
                let mut gone = (axes.iter())
                    .map(|&axis| shape::axis_index(axis, input.len()))
                    .collect::<Result<Vec<_>, _>>()?;
                gone.sort_unstable();
                gone.dedup();
                for at in gone.into_iter().rev() {
                    if out.remove(at).is_some_and(|length| length != 1) {
                        let shape = shape::display(input);
                        return Err(format!(
                            "an axis of an input of shape {shape} cannot be dropped: its length is not 1"
                        ));
                    }
                }
            }
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (batch, item) = axes::split_batch(x)?;
        let known: Shape = item.iter().map(|&n| Some(n)).collect();
        let out = self.output(&[known]).map_err(Problem::Values)?;
        let lengths = out.into_iter().flatten();
        axes::reshape(x, [batch].into_iter().chain(lengths).collect())
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    /// Leaves no object: Nengo's objects are vectors.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        call.set_channels_last(true);
        Ok(vec![call.input(0)?])
    }
}
