//! Means, sums and maxima over axes, as functions compute them.

use super::prelude::*;
use crate::network::{Sparse, Transform};

/// One value for all places along some axes, which count the batch axis as 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// The function.
    pub operation: Reduction,
    /// The axes.
    pub axes: Vec<isize>,
    /// `true` if the axes stay, with the length 1.
    pub keepdims: bool,
}

/// A function of many values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Reduction {
    Mean,
    Sum,
    Max,
}

impl Reduce {
    /// The axes without the batch axis, in order.
    fn gone(&self, rank: usize) -> Result<Vec<usize>, String> {
        let mut gone = (self.axes.iter())
            .map(|&axis| shape::axis_index(axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        gone.sort_unstable();
        gone.dedup();
        Ok(gone)
    }

    /// The place in the output of each element of an item, and the number of elements for each.
    fn places(&self, item: &[usize]) -> Result<(Vec<usize>, usize), String> {
        let gone = self.gone(item.len())?;
        let kept = |axis: usize| if gone.contains(&axis) { 1 } else { item[axis] };
        let out: Vec<usize> = (0..item.len()).map(kept).collect();
        let strides = index::row_major(&out);
        let to = (0..item.iter().product())
            .map(|at| {
                let mut place = index::coordinates(at, item);
                gone.iter().for_each(|&axis| place[axis] = 0);
                index::index_of(&place, &strides)
            })
            .collect();
        Ok((to, gone.iter().map(|&axis| item[axis]).product()))
    }
}

impl LayerKind for Reduce {
    /// Only functions make it.
    fn names() -> &'static [&'static str] {
        &[]
    }

    fn read(_: &str, _: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(None)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = shape::single(inputs)?;
        let gone = self.gone(input.len())?;
        let mut out = input.clone();
        for &axis in gone.iter().rev() {
            if self.keepdims {
                out[axis] = Some(1);
            } else {
                out.remove(axis);
            }
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let (batch, item) = axes::split_batch(x)?;
        let (to, count) = self.places(item).map_err(Problem::Values)?;
        let known: Shape = item.iter().map(|&d| Some(d)).collect();
        let out = self.output(&[known]).map_err(Problem::Values)?;
        let size: usize = out.iter().flatten().product();
        let start = match self.operation {
            Reduction::Max => f32::NEG_INFINITY,
            Reduction::Mean | Reduction::Sum => 0.0,
        };
        let mut y = vec![start; batch * size];
        for (x, y) in x
            .data()
            .chunks(to.len().max(1))
            .zip(y.chunks_mut(size.max(1)))
        {
            for (&value, &to) in x.iter().zip(&to) {
                y[to] = match self.operation {
                    Reduction::Max => y[to].max(value),
                    Reduction::Mean | Reduction::Sum => y[to] + value,
                };
            }
        }
        if self.operation == Reduction::Mean {
            y.iter_mut().for_each(|y| *y /= count as f32);
        }
        let shape = [batch]
            .into_iter()
            .chain(out.into_iter().flatten())
            .collect();
        axes::tensor(shape, y)
    }

    fn native(&self) -> Native {
        match self.operation {
            Reduction::Mean | Reduction::Sum => Native::Extended,
            Reduction::Max => Native::Never,
        }
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let input = call.input_shape(0)?;
        let places = self.places(&input);
        let (to, count) = places.map_err(|reason| call.shape_error(reason))?;
        let share = match self.operation {
            Reduction::Mean => (1.0 / count as f64) as f32,
            Reduction::Sum | Reduction::Max => 1.0,
        };
        let mut indices: Vec<(u32, u32)> = (0u32..)
            .zip(&to)
            .map(|(from, &to)| (to as u32, from))
            .collect();
        indices.sort_unstable();
        let transform = Transform::Sparse(Sparse {
            size_out: call.output_shape()?.iter().product(),
            size_in: to.len(),
            values: Tensor::filled(vec![indices.len()], share),
            indices: indices.into(),
        });
        call.through(transform)
    }
}
