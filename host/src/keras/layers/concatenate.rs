//! Concatenate.

use super::prelude::*;

/// Inputs side by side. `axis` is as Keras has it: it counts the batch axis as 0, and may be negative.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Concatenate {
    pub axis: isize,
}

impl LayerKind for Concatenate {
    fn names() -> &'static [&'static str] {
        &["Concatenate"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self {
            axis: args.integer("axis", -1)?,
        }))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err("it takes at least one input".to_owned());
        };
        let axis = shape::axis_index(self.axis, first.len())?;
        let mut out = first.clone();
        for input in rest {
            let fits = input.len() == out.len()
                && (0..out.len())
                    .filter(|&i| i != axis)
                    .all(|i| out[i].is_none() || input[i].is_none() || out[i] == input[i]);
            if !fits {
                return Err(format!(
                    "inputs of shapes {} and {} cannot be concatenated along axis {}",
                    shape::display(first),
                    shape::display(input),
                    axis + 1
                ));
            }
            for i in 0..out.len() {
                out[i] = if i == axis {
                    match (out[i], input[i]) {
                        (Some(a), Some(b)) => Some(shape::add(a, b)?),
                        _ => None,
                    }
                } else {
                    out[i].or(input[i])
                };
            }
        }
        Ok(out)
    }

    fn forward(&self, _: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let first = inputs.first().ok_or(Problem::Inputs {
            expected: "at least one input",
            found: 0,
        })?;
        let axis = axes::index(first, self.axis)?;
        let mut shape = first.shape().to_vec();
        shape[axis] = 0;
        for x in inputs {
            let others_fit = x.shape().len() == shape.len()
                && (x.shape().iter().zip(&shape).enumerate())
                    .all(|(a, (m, n))| a == axis || m == n);
            if !others_fit {
                return Err(Problem::Shape {
                    needs: format!("the lengths {:?} but on axis {axis}", first.shape()),
                    found: x.shape().to_vec(),
                });
            }
            shape[axis] += x.shape()[axis];
        }
        let mut y = Vec::with_capacity(shape.iter().product());
        for b in 0..axes::Split::at(&shape, axis).before {
            for x in inputs {
                let split = axes::Split::at(x.shape(), axis);
                let row = split.len * split.after;
                y.extend_from_slice(&x.data()[b * row..][..row]);
            }
        }
        axes::tensor(shape, y)
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, _: LayerRef<'_>, _: &ConvertOptions) -> Result<(), String> {
        match self.axis {
            0 => Err("Cannot concatenate along batch dimension (axis 0)".into()),
            _ => Ok(()),
        }
    }

    /// Adds a node in which every input has its own places.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let axis = self.axis;
        let shape = call.output_shape()?;
        let outer = 1 + usize::from(call.temporal());
        let axis = index::axis(axis, shape.len() + outer)
            .and_then(|axis| axis.checked_sub(outer))
            .ok_or_else(|| call.shape_error(format!("cannot concatenate along axis {axis}")))?;
        let object = call.add_object(None, None)?;
        let mut offset = vec![0; shape.len()];
        for input in 0..call.n_inputs() {
            let block = call.input_shape(input)?;
            if block.len() != shape.len() || offset[axis] + block[axis] > shape[axis] {
                return Err(call.shape_error(format!(
                    "input {input} of shape {} does not fit into {}",
                    tuple(&block),
                    tuple(&shape)
                )));
            }
            call.connect(
                object,
                Connect {
                    input,
                    post_slice: Some(index::block(&shape, &offset, &block).into()),
                    ..Connect::default()
                },
            )?;
            offset[axis] += block[axis];
        }
        Ok(vec![object.pre])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_lengths_stay_unknown() {
        assert_eq!(
            Concatenate { axis: 1 }.output(&[vec![None, Some(4)], vec![Some(2), Some(4)]]),
            Ok(vec![None, Some(4)])
        );
    }
}
