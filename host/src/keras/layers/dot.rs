//! Dot.

use super::prelude::*;
use super::unit_normalization::{EPSILON, UnitNormalization};

/// Sums of products of two inputs over an axis of each. `axes` count the batch axis as 0.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Dot {
    pub axes: [isize; 2],
    pub normalize: bool,
}

impl Dot {
    /// The axes that are summed over, without the batch axis.
    fn summed(&self, inputs: &[&[Option<usize>]; 2]) -> Result<[usize; 2], String> {
        let mut summed = [0; 2];
        for (k, input) in inputs.iter().enumerate() {
            summed[k] = shape::axis_index(self.axes[k], input.len())?;
        }
        Ok(summed)
    }
}

/// Two inputs; the number of them if there are others.
fn two<T>(inputs: &[T]) -> Result<[&T; 2], usize> {
    match inputs {
        [a, b] => Ok([a, b]),
        _ => Err(inputs.len()),
    }
}

impl LayerKind for Dot {
    fn names() -> &'static [&'static str] {
        &["Dot"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let axes = match args.integers("axes", &[])?[..] {
            [one] => [one, one],
            [a, b] => [a, b],
            _ => return Err(args.wrong("axes", "an integer or two")),
        };
        Ok(Some(Self {
            axes,
            normalize: args.flag("normalize", false)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [a, b] = two(inputs).map_err(|n| format!("it takes two inputs, but is given {n}"))?;
        let summed = self.summed(&[a.as_slice(), b.as_slice()])?;
        if let (Some(m), Some(n)) = (a[summed[0]], b[summed[1]])
            && m != n
        {
            return Err(format!(
                "inputs of shapes {} and {} differ along the axes that are summed over",
                shape::display(a),
                shape::display(b)
            ));
        }
        let rest = |input: &Shape, gone: usize| -> Shape {
            let kept = input.iter().enumerate().filter(|(at, _)| *at != gone);
            kept.map(|(_, n)| *n).collect()
        };
        let mut out = rest(a, summed[0]);
        out.extend(rest(b, summed[1]));
        // Keras keeps one axis beside the batch.
        if out.is_empty() {
            out.push(Some(1));
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let both = two(inputs).map_err(|found| Problem::Inputs {
            expected: "two inputs",
            found,
        })?;
        let shapes =
            both.map(|x| -> Shape { x.shape().iter().skip(1).map(|&n| Some(n)).collect() });
        let out = self.output(&shapes).map_err(Problem::Values)?;
        // The summed axis goes last in both, and the others keep their order.
        let mut rows = Vec::with_capacity(2);
        for (x, &axis) in both.into_iter().zip(&self.axes) {
            let at = axes::index(x, axis)?;
            let x = match self.normalize {
                true => UnitNormalization {
                    axis: vec![axis],
                    epsilon: EPSILON,
                }
                .forward(Weights(&[]), std::slice::from_ref(x))?,
                false => x.clone(),
            };
            let others = (0..x.shape().len()).filter(|&other| other != at);
            let order: Vec<usize> = others.chain([at]).collect();
            rows.push(axes::permute(&x, &order)?);
        }
        let batch = rows[0].shape().first().copied().unwrap_or(0);
        let length = rows[0].shape().last().copied().unwrap_or(0).max(1);
        let item = |x: &Tensor| x.len() / batch.max(1);
        let mut y = Vec::new();
        let items = (rows[0].data().chunks(item(&rows[0]).max(1)))
            .zip(rows[1].data().chunks(item(&rows[1]).max(1)));
        for (a, b) in items {
            for a in a.chunks(length) {
                y.extend(b.chunks(length).map(|b| products(a, b)));
            }
        }
        let shape = [batch].into_iter().chain(out.into_iter().flatten());
        axes::tensor(shape.collect(), y)
    }
}

/// The sum of products.
pub(super) fn products(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
