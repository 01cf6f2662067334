//! Discretization.

use super::category_encoding::Categories;
use super::prelude::*;

/// The number of the range that a value falls into.
#[derive(Clone, Debug, PartialEq)]
pub struct Discretization {
    /// The boundaries between ranges, rising; a value at one belongs to the range above.
    pub bin_boundaries: Vec<f64>,
    /// The form of the numbers.
    pub output_mode: Categories,
}

impl LayerKind for Discretization {
    fn names() -> &'static [&'static str] {
        &["Discretization"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        // Those that `adapt` has found are in no file of Keras 3, and in a table in those of Keras 2.
        if args.get("bin_boundaries").is_none() || args.set("sparse") {
            return Ok(None);
        }
        Ok(Some(Self {
            bin_boundaries: args.flat_numbers("bin_boundaries")?,
            output_mode: Categories::read(args, "int")?,
        }))
    }

    fn ignores_weights(&self) -> bool {
        true
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let tokens = self.bin_boundaries.len() + 1;
        Ok(self.output_mode.shape(shape::single(inputs)?, tokens))
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let below = |x: f32| {
            let below = self.bin_boundaries.iter().filter(|b| **b as f32 <= x);
            below.count() as f32
        };
        let x = axes::map(axes::only(inputs)?, below);
        self.output_mode.of(&x, self.bin_boundaries.len() + 1)
    }
}
