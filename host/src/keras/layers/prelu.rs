//! PReLU.

use super::prelude::*;
use crate::keras::args::length;
use serde_json::Value;

use super::leaky_relu::leaky;
use crate::keras::activation::leaky_relu;
use crate::keras::convert::call::scaling;
use crate::keras::convert::index::{coordinates, index_of, row_major};
use crate::network::{Diagonal, Transform};

/// A leaky rectifier with a trained slope for each element.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct PRelu {
    pub shared_axes: Vec<usize>,
}

impl LayerKind for PRelu {
    fn names() -> &'static [&'static str] {
        &["PReLU"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let shared_axes = match args.get("shared_axes") {
            None => Vec::new(),
            Some(Value::Array(list)) => (list.iter().map(length).collect::<Option<_>>())
                .ok_or_else(|| args.wrong("shared_axes", "axes, counted from 1"))?,
            Some(_) => args.sizes("shared_axes", 1)?,
        };
        Ok(Some(Self { shared_axes }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let alpha = input.map(|input| {
            let mut alpha = input.clone();
            for &axis in &self.shared_axes {
                if let Some(d) = axis.checked_sub(1).and_then(|a| alpha.get_mut(a)) {
                    *d = Some(1);
                }
            }
            alpha
        });
        Ok(vec![Slot {
            role: "alpha",
            shape: alpha,
            trainable: true,
        }])
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        shape::single(inputs).cloned()
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let x = axes::only(inputs)?;
        let alpha = w.get("alpha")?;
        let mut shape = vec![1];
        shape.extend(alpha.shape());
        let alpha = axes::tensor(shape, alpha.data().to_vec())?;
        axes::broadcast(x, &alpha, leaky_relu)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn native(&self) -> Native {
        Native::Extended
    }

    fn has_weights(&self) -> bool {
        true
    }

    /// Adds relu(x) - slope relu(-x), from two ensembles, or one if all slopes are the same.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let shape = call.output_shape()?;
        // Keras counts the batch as axis 0; a shared axis has one slope for all its places.
        let alpha_shape: Vec<usize> = shape
            .iter()
            .enumerate()
            .map(|(axis, &length)| {
                if self.shared_axes.contains(&(axis + 1)) {
                    1
                } else {
                    length
                }
            })
            .collect();
        let alpha = call.weight("alpha", &alpha_shape)?;
        if let Some((&first, rest)) = alpha.data().split_first()
            && rest.iter().all(|&slope| slope == first)
        {
            return call.add_activation(leaky(first.into()));
        }
        let mut strides = row_major(&alpha_shape);
        for (stride, &length) in strides.iter_mut().zip(&alpha_shape) {
            if length == 1 {
                *stride = 0;
            }
        }
        let size: usize = shape.iter().product();
        let slopes: Vec<f32> = (0..size)
            .map(|i| -alpha.data()[index_of(&coordinates(i, &shape), &strides)])
            .collect();

        let name = call.label();
        let rectifier = call.neuron_type(Activation::Relu.into())?;
        let positive =
            call.add_ensemble(format!("{name}.positive"), rectifier.clone(), None, None)?;
        let negative = call.add_ensemble(format!("{name}.negative"), rectifier, None, None)?;
        let output = call.add_object(None, None)?;
        call.connect(positive, Connect::default())?;
        call.connect(
            negative,
            Connect {
                transform: Some(scaling(size, -1.0)),
                ..Connect::default()
            },
        )?;
        call.connect_neurons(positive.pre, output.post, Transform::Identity(size))?;
        call.connect_neurons(
            negative.pre,
            output.post,
            Transform::Diagonal(Diagonal {
                size,
                factor: Tensor::vector(slopes),
            }),
        )?;
        Ok(vec![output.pre])
    }
}
