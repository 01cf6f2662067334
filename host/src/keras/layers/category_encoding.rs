//! CategoryEncoding.

use super::prelude::*;

/// Indices as vectors of a place for each category.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct CategoryEncoding {
    pub num_tokens: usize,
    pub output_mode: Categories,
}

/// The form in which categories are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Categories {
    /// Their indices.
    Index,
    /// A one among zeros for each index.
    OneHot,
    /// One for each category that an item has.
    MultiHot,
    /// The number of times that an item has a category.
    Count,
}

impl Categories {
    /// The argument `output_mode`.
    pub(super) fn read(args: &Args<'_>, default: &str) -> Result<Self, String> {
        match args.text("output_mode", default)?.as_str() {
            "int" => Ok(Self::Index),
            "one_hot" => Ok(Self::OneHot),
            "multi_hot" | "binary" => Ok(Self::MultiHot),
            "count" => Ok(Self::Count),
            _ => Err(args.wrong(
                "output_mode",
                "\"int\", \"one_hot\", \"multi_hot\" or \"count\"",
            )),
        }
    }

    /// The shape of the categories of indices of this shape.
    pub(super) fn shape(self, input: &[Option<usize>], tokens: usize) -> Shape {
        let mut shape = input.to_vec();
        match self {
            Self::Index => return shape,
            // Keras puts no axis after one of length 1.
            Self::OneHot if shape.last() != Some(&Some(1)) => {}
            _ => {
                shape.pop();
            }
        }
        shape.push(Some(tokens));
        shape
    }

    /// The categories of indices with the batch axis first.
    pub(super) fn of(self, x: &Tensor, tokens: usize) -> Result<Tensor, Problem> {
        if self == Self::Index {
            return Ok(x.clone());
        }
        let (batch, item) = axes::split_batch(x)?;
        let known: Shape = item.iter().map(|&d| Some(d)).collect();
        let shape: Vec<usize> = self.shape(&known, tokens).into_iter().flatten().collect();
        let together = match (self, item.last()) {
            (Self::OneHot, _) | (_, None) => 1,
            (_, Some(&last)) => last,
        };
        let mut y = vec![0.0; x.len() / together.max(1) * tokens];
        for (indices, y) in (x.data().chunks(together.max(1))).zip(y.chunks_mut(tokens.max(1))) {
            for &index in indices {
                let at = index.trunc();
                if !(0.0..tokens as f32).contains(&at) {
                    return Err(Problem::Index {
                        index,
                        rows: tokens,
                    });
                }
                match self {
                    Self::Count => y[at as usize] += 1.0,
                    _ => y[at as usize] = 1.0,
                }
            }
        }
        axes::tensor([&[batch][..], &shape[..]].concat(), y)
    }
}

impl LayerKind for CategoryEncoding {
    fn names() -> &'static [&'static str] {
        &["CategoryEncoding"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        if args.set("sparse") {
            return Ok(None);
        }
        Ok(Some(Self {
            num_tokens: args.size("num_tokens")?,
            output_mode: Categories::read(args, "multi_hot")?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(self
            .output_mode
            .shape(shape::single(inputs)?, self.num_tokens))
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        self.output_mode.of(axes::only(inputs)?, self.num_tokens)
    }
}
