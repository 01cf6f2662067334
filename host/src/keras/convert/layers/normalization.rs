//! BatchNormalization and Rescaling: a factor and an offset for each element.

use super::super::call::Connect;
use super::super::{ConvertError, ConvertOptions, LayerCall, LayerConverter, Object};
use super::tuple;
use crate::keras::model::{Layer, LayerConfig};
use crate::network::{Diagonal, NodeKind, Pre, Transform};
use crate::tensor::Tensor;

/// The layer's moving mean and variance as a diagonal transform, and a bias node of full size.
pub(super) struct BatchNormalization;

impl LayerConverter for BatchNormalization {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        if layer.trainable && !options.inference_only {
            return Err(
                "Cannot convert BatchNormalization layer to native Nengo objects unless \
                 inference_only=True or layer.trainable=False"
                    .into(),
            );
        }
        Ok(())
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::BatchNormalization {
            axis,
            epsilon,
            center,
            scale,
        } = call.layer().config
        else {
            return Err(call.configuration_error());
        };
        let shape = call.output_shape()?;
        let outer = 1 + usize::from(call.temporal());
        let axis = super::axis(axis, shape.len() + outer)
            .and_then(|axis| axis.checked_sub(outer))
            .ok_or_else(|| {
                call.shape_error(format!("{} has no axis {axis} to normalize", tuple(&shape)))
            })?;
        let n = shape[axis];
        let mean = call.weight("moving_mean", &[n])?.data();
        let variance = call.weight("moving_variance", &[n])?.data();
        let gamma = scale.then(|| call.weight("gamma", &[n])).transpose()?;
        let beta = center.then(|| call.weight("beta", &[n])).transpose()?;

        let mut factors = Vec::with_capacity(n);
        let mut offsets = Vec::with_capacity(n);
        for i in 0..n {
            let deviation = (variance[i] + epsilon as f32).sqrt();
            let factor = gamma.map_or(1.0, |gamma| gamma.data()[i]) / deviation;
            factors.push(factor);
            offsets.push(beta.map_or(0.0, |beta| beta.data()[i]) - factor * mean[i]);
        }
        let inner: usize = shape[axis + 1..].iter().product();
        let size: usize = shape.iter().product();
        let spread = |values: &[f32]| (0..size).map(|i| values[i / inner % n]).collect::<Vec<_>>();
        let object = call.add_object(None, None)?;
        add_offsets(call, object, Tensor::vector(spread(&offsets)))?;
        connect_factors(call, object, Tensor::vector(spread(&factors)))?;
        Ok(vec![object.pre])
    }
}

/// Rescaling: `scale` and `offset` along the last axis, or one for all.
pub(super) struct Rescaling;

impl LayerConverter for Rescaling {
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::Rescaling { scale, offset } = &call.layer().config else {
            return Err(call.configuration_error());
        };
        let shape = call.output_shape()?;
        let size: usize = shape.iter().product();
        let last = shape.last().copied().unwrap_or(1);
        for values in [scale, offset] {
            if values.len() != 1 && values.len() != last {
                return Err(call.shape_error(format!(
                    "{} values cannot scale the last axis of {}",
                    values.len(),
                    tuple(&shape)
                )));
            }
        }
        let spread = |values: &[f64]| -> Vec<f32> {
            (0..size).map(|i| values[i % values.len()] as f32).collect()
        };
        let factors = match scale.as_slice() {
            [scale] => Tensor::filled(Vec::new(), *scale as f32),
            scale => Tensor::vector(spread(scale)),
        };
        let object = call.add_object(None, None)?;
        if offset.iter().any(|&offset| offset != 0.0) {
            add_offsets(call, object, Tensor::vector(spread(offset)))?;
        }
        connect_factors(call, object, factors)?;
        Ok(vec![object.pre])
    }
}

/// Adds the node `X.bias` that holds a value for each element.
fn add_offsets(
    call: &mut LayerCall<'_, '_>,
    object: Object,
    offsets: Tensor,
) -> Result<(), ConvertError> {
    let size = offsets.len();
    let label = format!("{}.bias", call.label());
    let bias = call.add_node(label, 0, size, NodeKind::Constant(offsets));
    call.connect_objects(
        bias.pre,
        object.post,
        Transform::Identity(size),
        Some(false),
    )
}

fn connect_factors(
    call: &mut LayerCall<'_, '_>,
    object: Object,
    factor: Tensor,
) -> Result<(), ConvertError> {
    let size = call.output_shape()?.iter().product();
    call.connect(
        object,
        Connect {
            transform: Some(Transform::Diagonal(Diagonal { size, factor })),
            ..Connect::default()
        },
    )
}
