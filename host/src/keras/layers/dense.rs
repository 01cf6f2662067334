//! Dense.

use super::prelude::*;
use crate::keras::forward::linear;
use crate::keras::penalty::Penalties;
use crate::network::{Convolution, Transform};

/// A matrix along the last axis.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Dense {
    pub units: usize,
    pub use_bias: bool,
    pub activation: Activation,
    pub penalties: Penalties,
}

impl LayerKind for Dense {
    fn names() -> &'static [&'static str] {
        &["Dense"]
    }

    fn read(_: &str, args: &Args<'_>) -> Result<Option<Self>, String> {
        let Some(activation) = args.activation("activation", Activation::Linear)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            units: args.size("units")?,
            use_bias: args.flag("use_bias", true)?,
            activation,
            penalties: args.penalties("kernel")?,
        }))
    }

    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let last = input.and_then(|i| *i.last()?);
        let units = Some(self.units);
        let kernel = vec![last, units];
        Ok(Slot::kernel_and_bias(kernel, self.use_bias, vec![units]))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let mut out = shape::single(inputs)?.clone();
        match out.last_mut() {
            Some(last @ Some(_)) => *last = Some(self.units),
            _ => {
                return Err(format!(
                    "its input of shape {} has no last axis of known length",
                    shape::display(&out)
                ));
            }
        }
        Ok(out)
    }

    fn forward(&self, w: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem> {
        let y = linear::product(axes::only(inputs)?, w.get("kernel")?)?;
        linear::finish(y, w.bias(self.use_bias)?, self.activation)
    }

    fn hands_masks_on(&self, _: bool) -> bool {
        true
    }

    fn advice(&self) -> (String, Option<Advice>) {
        self.penalties.advice()
    }

    fn native(&self) -> Native {
        Native::NengoDl
    }

    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        arguments.penalties(&self.penalties);
        arguments.verdict()
    }

    fn has_weights(&self) -> bool {
        true
    }

    /// Adds a matrix from the input; the biases are the ensemble's own, or a bias node's.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let input_shape = call.input_shape(0)?;
        let Some((&n_in, places)) = input_shape.split_last() else {
            return Err(call.shape_error("Dense needs at least one axis".into()));
        };
        let kernel = call.weight("kernel", &[n_in, self.units])?;
        // Keras applies the matrix along the last axis; NengoDL knows that axis alone.
        let places: usize = places.iter().product();
        let along_places = places != 1 && !call.options().nengo_dl_compat;
        let biases = if self.use_bias {
            let bias = call.weight("bias", &[self.units])?;
            Some(if along_places {
                Tensor::vector(bias.data().repeat(places))
            } else {
                bias.clone()
            })
        } else {
            None
        };
        if call.options().nengo_dl_compat && places != 1 {
            return Err(ConvertError::Validation {
                layer: call.layer().name.to_owned(),
                parameter: "init",
                problem: format!(
                    "Shape of initial value ({}, {n_in}) does not match expected shape \
                     ({}, {})",
                    self.units,
                    places * self.units,
                    places * n_in
                ),
            });
        }
        let object = call.add_object(Some(self.activation.into()), biases)?;
        let transform = if along_places {
            let kernel = kernel
                .reshaped(vec![1, n_in, self.units])
                .ok_or_else(|| call.shape_error("the kernel is no matrix".into()))?;
            Transform::Convolution(Convolution {
                input_shape: vec![places, n_in],
                output_shape: vec![places, self.units],
                kernel,
                strides: vec![1],
                dilation: vec![1],
                same_padding: false,
                groups: 1,
                channels_last: true,
            })
        } else {
            Transform::Dense(
                transposed(kernel)
                    .ok_or_else(|| call.shape_error("the kernel is no matrix".into()))?,
            )
        };
        call.connect(
            object,
            Connect {
                transform: Some(transform),
                trainable: true,
                ..Connect::default()
            },
        )?;
        Ok(vec![object.pre])
    }
}

/// The transpose of a matrix.
fn transposed(matrix: &Tensor) -> Option<Tensor> {
    let &[rows, columns] = matrix.shape() else {
        return None;
    };
    let mut data = Vec::with_capacity(matrix.len());
    for column in 0..columns {
        data.extend(matrix.data().iter().skip(column).step_by(columns));
    }
    Tensor::new(vec![columns, rows], data)
}
