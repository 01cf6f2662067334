//! Permute.

use super::prelude::*;
use crate::keras::args::length;
use serde_json::Value;

/// Axes in another order. `dims` counts from 1.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Permute {
    pub dims: Vec<usize>,
}

impl LayerKind for Permute {
    fn names() -> &'static [&'static str] {
        &["Permute"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let dims = match args.get("dims") {
            Some(Value::Array(list)) => (list.iter().map(length).collect::<Option<Vec<_>>>())
                .filter(|dims| !dims.contains(&0)),
            _ => None,
        };
        let dims = dims.ok_or_else(|| args.wrong("dims", "axes, counted from 1"))?;
        Ok(Some(Self { dims }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (input, dims) = (shape::single(inputs)?, &self.dims);
        let mut sorted = dims.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(1..=input.len()) {
            return Err(format!(
                "the axes {dims:?} are no permutation of those of an input of shape {}",
                shape::display(input)
            ));
        }
        Ok(dims.iter().map(|&d| input[d - 1]).collect())
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let order: Vec<usize> = [0].into_iter().chain(self.dims.iter().copied()).collect();
        axes::permute(axes::only(inputs)?, &order)
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    /// Adds a node that reads its input in another order.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let (shape, dims) = (call.input_shape(0)?, &self.dims);
        let outer = usize::from(call.temporal());
        let axes: Option<Vec<usize>> = dims
            .iter()
            .skip(outer)
            .map(|dim| dim.checked_sub(1 + outer))
            .collect();
        let mut sorted = axes.clone().unwrap_or_default();
        sorted.sort_unstable();
        let indices = match axes {
            Some(axes) if sorted.iter().copied().eq(0..shape.len()) => {
                index::permuted(&shape, &axes)
            }
            _ => {
                return Err(call.shape_error(format!(
                    "{} is no order of the axes of {}",
                    tuple(dims),
                    tuple(&shape)
                )));
            }
        };
        index::gather(call, indices)
    }
}
