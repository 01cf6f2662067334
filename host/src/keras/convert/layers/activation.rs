//! Activation, ReLU, LeakyReLU and PReLU.

use super::super::call::{Connect, scaling};
use super::super::{ActivationType, ConvertError, ConvertOptions, LayerCall, LayerConverter};
use super::{Arguments, coordinates, index_of, row_major};
use crate::keras::model::{self, Layer, LayerConfig};
use crate::network::{Diagonal, NeuronType, Pre, Transform};
use crate::tensor::Tensor;

/// An activation as a layer of its own: an ensemble behind an identity connection.
pub(super) struct Activation;

impl LayerConverter for Activation {
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let mut arguments = Arguments::of(layer, options);
        if let LayerConfig::Relu {
            max_value,
            threshold,
            ..
        } = layer.config
        {
            // Without a threshold, a maximum is the difference of two rectifiers.
            if let Some(maximum) = max_value
                && (options.nengo_dl_compat || threshold != 0.0 || maximum <= 0.0)
            {
                arguments.require("max_value", &float(maximum), "None");
            }
            if threshold != 0.0 {
                arguments.require("threshold", &float(threshold), "0");
            }
        }
        arguments.verdict()
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let mut maximum = None;
        let activation: ActivationType = match call.layer().config {
            LayerConfig::Activation { activation } => activation.into(),
            LayerConfig::LeakyRelu { negative_slope } => leaky(negative_slope).into(),
            LayerConfig::Relu {
                negative_slope,
                max_value,
                ..
            } => {
                maximum = max_value;
                if negative_slope == 0.0 {
                    model::Activation::Relu.into()
                } else {
                    leaky(negative_slope).into()
                }
            }
            _ => return Err(call.configuration_error()),
        };
        let object = match maximum {
            None => call.add_object(Some(activation), None)?,
            Some(maximum) => {
                let name = call.label();
                call.add_clipped(&name, activation, maximum as f32)?
            }
        };
        call.connect(object, Connect::default())?;
        Ok(vec![object.pre])
    }
}

fn leaky(negative_slope: f64) -> NeuronType {
    NeuronType::LeakyRelu {
        negative_slope: negative_slope as f32,
        amplitude: 1.0,
    }
}

/// A number as Python writes a float.
fn float(value: f64) -> String {
    format!("{value:?}")
}

/// A leaky rectifier with a slope for each element: relu(x) - slope relu(-x), from two ensembles,
/// or one where all slopes are the same.
pub(super) struct PRelu;

impl LayerConverter for PRelu {
    fn has_weights(&self) -> bool {
        true
    }

    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        let LayerConfig::PRelu { shared_axes } = &call.layer().config else {
            return Err(call.configuration_error());
        };
        let shape = call.output_shape()?;
        // Keras counts the batch as axis 0; a shared axis has one slope for all its places.
        let alpha_shape: Vec<usize> = shape
            .iter()
            .enumerate()
            .map(|(axis, &length)| {
                if shared_axes.contains(&(axis + 1)) {
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
            let object = call.add_object(Some(leaky(first.into()).into()), None)?;
            call.connect(object, Connect::default())?;
            return Ok(vec![object.pre]);
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
        let rectifier = call.neuron_type(model::Activation::Relu.into())?;
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
