//! Add, Average, Subtract, Multiply, Maximum and Minimum.

use super::prelude::*;
use crate::keras::convert::call::scaling;

/// A layer that merges its inputs element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the Keras class of that name")]
pub enum Merge {
    Add,
    Average,
    Subtract,
    Multiply,
    Maximum,
    Minimum,
}

impl LayerKind for Merge {
    fn names() -> &'static [&'static str] {
        &[
            "Add", "Average", "Subtract", "Multiply", "Maximum", "Minimum",
        ]
    }

    fn read(name: &str, _: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(match name {
            "Add" => Self::Add,
            "Average" => Self::Average,
            "Subtract" => Self::Subtract,
            "Multiply" => Self::Multiply,
            "Maximum" => Self::Maximum,
            "Minimum" => Self::Minimum,
            _ => return Ok(None),
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (first, rest) = (inputs.split_first())
            .filter(|(_, rest)| !rest.is_empty())
            .ok_or_else(|| {
                format!(
                    "it merges at least two inputs, but is given {}",
                    inputs.len()
                )
            })?;
        if *self == Self::Subtract && rest.len() != 1 {
            return Err(format!(
                "it takes two inputs, but is given {}",
                inputs.len()
            ));
        }
        rest.iter()
            .try_fold(first.clone(), |out, input| broadcast(&out, input))
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let fold = |f: fn(f32, f32) -> f32| {
            let (first, rest) = inputs.split_first().ok_or(Problem::Inputs {
                expected: "at least one input",
                found: 0,
            })?;
            rest.iter()
                .try_fold(first.clone(), |a, b| axes::broadcast(&a, b, f))
        };
        match self {
            Self::Add => fold(|a, b| a + b),
            Self::Average => {
                let n = inputs.len() as f32;
                fold(|a, b| a + b).map(|sum| axes::map(&sum, |v| v / n))
            }
            Self::Subtract if inputs.len() == 2 => fold(|a, b| a - b),
            Self::Subtract => Err(Problem::Inputs {
                expected: "two inputs",
                found: inputs.len(),
            }),
            Self::Multiply => fold(|a, b| a * b),
            Self::Maximum => fold(f32::max),
            Self::Minimum => fold(f32::min),
        }
    }

    fn native(&self) -> Native {
        match self {
            Self::Add | Self::Average => Native::NengoDl,
            Self::Subtract => Native::Extended,
            Self::Multiply | Self::Maximum | Self::Minimum => Native::Never,
        }
    }

    /// Adds a node to which every input connects, with a weight.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let n = call.n_inputs();
        let weight = |input: usize| match self {
            Self::Add => Some(None),
            Self::Average => Some(Some((1.0 / n as f64) as f32)),
            Self::Subtract if n == 2 => Some((input == 1).then_some(-1.0)),
            _ => None,
        };
        let Some(weights) = (0..n).map(weight).collect::<Option<Vec<_>>>() else {
            return Err(call.shape_error(format!("{n} inputs cannot be merged")));
        };
        let shape = call.output_shape()?;
        let size = shape.iter().product();
        let object = call.add_object(None, None)?;
        for (input, weight) in weights.into_iter().enumerate() {
            let input_shape = call.input_shape(input)?;
            let pre_slice = if input_shape == shape || call.options().nengo_dl_compat {
                None
            } else {
                Some(index::broadcast(call, &input_shape, &shape)?.into())
            };
            call.connect(
                object,
                Connect {
                    input,
                    pre_slice,
                    transform: weight.map(|weight| scaling(size, weight)),
                    ..Connect::default()
                },
            )?;
        }
        Ok(vec![object.pre])
    }
}

/// The shape that merging two tensors gives: axes are aligned at the end, and a
/// length of 1 stretches.
fn broadcast(a: &[Option<usize>], b: &[Option<usize>]) -> Result<Shape, String> {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut out = long.to_vec();
    let skip = long.len() - short.len();
    for (x, &y) in out[skip..].iter_mut().zip(short) {
        *x = match (*x, y) {
            (Some(1), y) => y,
            (x, Some(1)) => x,
            (None, _) | (_, None) => None,
            (Some(m), Some(n)) if m == n => Some(m),
            _ => {
                return Err(format!(
                    "inputs of shapes {} and {} cannot be merged",
                    shape::display(a),
                    shape::display(b)
                ));
            }
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_lengths_stay_unknown() {
        assert_eq!(
            broadcast(&[None, Some(1)], &[Some(3)]),
            Ok(vec![None, Some(3)])
        );
    }
}
