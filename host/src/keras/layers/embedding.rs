//! Embedding.

use super::prelude::*;

/// A row of a table for each index.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Embedding {
    pub input_dim: usize,
    pub output_dim: usize,
    pub mask_zero: bool,
}

impl LayerKind for Embedding {
    fn names() -> &'static [&'static str] {
        &["Embedding"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            input_dim: args.size("input_dim")?,
            output_dim: args.size("output_dim")?,
            mask_zero: args.flag("mask_zero", false)?,
        }))
    }

    fn slots(&self, _: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let table = vec![Some(self.input_dim), Some(self.output_dim)];
        Ok(vec![Slot::new("embeddings", table)])
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = shape::single(inputs)?.clone();
        out.push(Some(self.output_dim));
        Ok(out)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let table = w.get("embeddings")?;
        let &[rows, width] = table.shape() else {
            return Err(Problem::Shape {
                needs: "a table of two axes".to_owned(),
                found: table.shape().to_vec(),
            });
        };
        let mut y = Vec::with_capacity(x.len() * width);
        for &v in x.data() {
            // Keras casts to int32, towards zero.
            let row = v.trunc();
            if !(0.0..rows as f32).contains(&row) {
                return Err(Problem::Index { index: v, rows });
            }
            y.extend_from_slice(&table.data()[row as usize * width..][..width]);
        }
        let mut shape = x.shape().to_vec();
        shape.push(width);
        axes::tensor(shape, y)
    }
}
