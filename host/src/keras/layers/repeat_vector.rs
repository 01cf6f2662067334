//! RepeatVector.

use super::prelude::*;

/// A vector, `n` times.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct RepeatVector {
    pub n: usize,
}

impl LayerKind for RepeatVector {
    fn names() -> &'static [&'static str] {
        &["RepeatVector"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self { n: args.size("n")? }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(vec![Some(self.n), shape::of_rank(inputs, 1)?[0]])
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let &[batch, features] = x.shape() else {
            return Err(Problem::Shape {
                needs: "the axes (batch, features)".to_owned(),
                found: x.shape().to_vec(),
            });
        };
        let places = axes::gather(&[batch, self.n, features], &[features, 0, 1]);
        axes::tensor(
            vec![batch, self.n, features],
            places.map(|i| x.data()[i]).collect(),
        )
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    /// Adds a node that reads its input several times.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let n = self.n;
        let size = call.input_shape(0)?.iter().product();
        if call.output_shape()?.first() != Some(&n) {
            return Err(call.shape_error(format!("the output is not {n} repetitions")));
        }
        index::gather(call, (0..n).flat_map(|_| 0..size).collect())
    }
}
