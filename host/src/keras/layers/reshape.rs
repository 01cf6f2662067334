//! Reshape.

use serde_json::Value;

use super::prelude::*;
use crate::keras::args::integer;

/// The same elements under another shape, in which one axis may be -1: whatever is left.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Reshape {
    pub target_shape: Vec<isize>,
}

impl LayerKind for Reshape {
    fn names() -> &'static [&'static str] {
        &["Reshape"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        // Keras writes null for an axis of unknown length that it was given.
        let target_shape = match args.get("target_shape") {
            Some(Value::Array(list)) => (list.iter())
                .map(|d| if d.is_null() { Some(-1) } else { integer(d) })
                .collect::<Option<_>>(),
            _ => None,
        };
        let target_shape =
            target_shape.ok_or_else(|| args.wrong("target_shape", "a list of integers"))?;
        Ok(Some(Self { target_shape }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (input, target) = (shape::single(inputs)?, &self.target_shape);
        let refuse = || {
            let target: Vec<String> = target.iter().map(ToString::to_string).collect();
            format!(
                "an input of shape {} cannot be reshaped to ({})",
                shape::display(input),
                target.join(", ")
            )
        };
        let mut out: Shape = target.iter().map(|&d| usize::try_from(d).ok()).collect();
        let known = out
            .iter()
            .flatten()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .ok_or_else(refuse)?;
        let open: Vec<usize> = (0..out.len()).filter(|&i| out[i].is_none()).collect();
        let Some(total) = shape::elements(input) else {
            return if open.len() <= 1 {
                Ok(out)
            } else {
                Err(refuse())
            };
        };
        match open[..] {
            [] if known == total => {}
            [i] if target[i] == -1 && known > 0 && total % known == 0 => {
                out[i] = Some(total / known)
            }
            _ => return Err(refuse()),
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let shape = &self.target_shape;
        let (batch, item) = axes::split_batch(x)?;
        let n: usize = item.iter().product();
        let known: usize = (shape.iter().filter(|d| **d >= 0))
            .map(|d| d.unsigned_abs())
            .product();
        let left = n.checked_div(known).unwrap_or(0);
        let lengths = shape.iter().map(|&d| usize::try_from(d).unwrap_or(left));
        axes::reshape(x, [batch].into_iter().chain(lengths).collect())
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    /// Leaves no object: Nengo's objects are vectors.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        call.set_channels_last(true);
        Ok(vec![call.input(0)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_lengths_stay_unknown() {
        let reshape = Reshape {
            target_shape: vec![-1, 2],
        };
        assert_eq!(
            reshape.output(&[vec![None, Some(4)]]),
            Ok(vec![None, Some(2)])
        );
    }
}
