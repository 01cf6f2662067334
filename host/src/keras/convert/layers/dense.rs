//! Dense.

use super::super::call::Connect;
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter};
use super::Arguments;
use crate::keras::model::{Layer, LayerConfig};
use crate::network::{Convolution, Pre, Transform};
use crate::tensor::Tensor;

/// A matrix from the input; the biases are the ensemble's own, or a bias node's.
pub(super) struct Dense;

impl LayerConverter for Dense {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::Dense { penalties, .. } = &layer.config {
            arguments.penalties(penalties);
        }
        arguments.verdict()
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let &LayerConfig::Dense {
            units,
            use_bias,
            activation,
            ..
        } = &call.layer().config
        else {
            return Err(call.configuration_error());
        };
        let input_shape = call.input_shape(0)?;
        let Some((&n_in, places)) = input_shape.split_last() else {
            return Err(call.shape_error("Dense needs at least one axis".into()));
        };
        let kernel = call.weight("kernel", &[n_in, units])?;
        // Keras applies the matrix along the last axis; NengoDL knows that axis alone.
        let places: usize = places.iter().product();
        let along_places = places != 1 && !call.options().nengo_dl_compat;
        let biases = if use_bias {
            let bias = call.weight("bias", &[units])?;
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
                layer: call.layer().name.clone(),
                parameter: "init",
                problem: format!(
                    "Shape of initial value ({units}, {n_in}) does not match expected shape \
                     ({}, {})",
                    places * units,
                    places * n_in
                ),
            });
        }
        let object = call.add_object(Some(activation.into()), biases)?;
        let transform = if along_places {
            let kernel = kernel
                .reshaped(vec![1, n_in, units])
                .ok_or_else(|| call.shape_error("the kernel is no matrix".into()))?;
            Transform::Convolution(Convolution {
                input_shape: vec![places, n_in],
                output_shape: vec![places, units],
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
