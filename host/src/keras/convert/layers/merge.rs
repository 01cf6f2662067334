//! Add, Average, Subtract and Concatenate.

use super::super::call::{Connect, scaling};
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter};
use crate::keras::model::{Layer, LayerConfig};
use crate::network::Pre;

/// A node to which every input connects, with a weight.
pub(super) struct Sum;

impl LayerConverter for Sum {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let n = call.n_inputs();
        let weight = |input: usize| match call.layer().config {
            LayerConfig::Add => Some(None),
            LayerConfig::Average => Some(Some((1.0 / n as f64) as f32)),
            LayerConfig::Subtract if n == 2 => Some((input == 1).then_some(-1.0)),
            _ => None,
        };
        let Some(weights) = (0..n).map(weight).collect::<Option<Vec<_>>>() else {
            return Err(call.configuration_error());
        };
        let shape = call.output_shape()?;
        let size = shape.iter().product();
        let object = call.add_object(None, None)?;
        for (input, weight) in weights.into_iter().enumerate() {
            let input_shape = call.input_shape(input)?;
            let pre_slice = if input_shape == shape || call.options().nengo_dl_compat {
                None
            } else {
                Some(super::shape::broadcast(call, &input_shape, &shape)?.into())
            };
            call.connect(
                object,
                Connect {
                    input,
                    pre_slice,
                    transform: weight.map(|weight| scaling(size, weight)),
                    ..Connect::default()
                },
            )?;
        }
        Ok(vec![object.pre])
    }
}

/// A node in which every input has its own places.
pub(super) struct Concatenate;

impl LayerConverter for Concatenate {
    fn convertible(&self, layer: &Layer, _: &ConvertOptions) -> Result<(), String> {
        match layer.config {
            LayerConfig::Concatenate { axis: 0 } => {
                Err("Cannot concatenate along batch dimension (axis 0)".into())
            }
            _ => Ok(()),
        }
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::Concatenate { axis } = call.layer().config else {
            return Err(call.configuration_error());
        };
        let shape = call.output_shape()?;
        let outer = 1 + usize::from(call.temporal());
        let axis = super::axis(axis, shape.len() + outer)
            .and_then(|axis| axis.checked_sub(outer))
            .ok_or_else(|| call.shape_error(format!("cannot concatenate along axis {axis}")))?;
        let object = call.add_object(None, None)?;
        let mut offset = vec![0; shape.len()];
        for input in 0..call.n_inputs() {
            let block = call.input_shape(input)?;
            if block.len() != shape.len() || offset[axis] + block[axis] > shape[axis] {
                return Err(call.shape_error(format!(
                    "input {input} of shape {} does not fit into {}",
                    super::tuple(&block),
                    super::tuple(&shape)
                )));
            }
            call.connect(
                object,
                Connect {
                    input,
                    post_slice: Some(super::shape::block(&shape, &offset, &block).into()),
                    ..Connect::default()
                },
            )?;
            offset[axis] += block[axis];
        }
        Ok(vec![object.pre])
    }
}
