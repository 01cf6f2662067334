//! The Keras forward pass: what a [`Model`] computes for a batch, as Keras computes it at inference.
//!
//! It is what a converted network is verified against, and what runs the layers that have no native
//! form in a network. Tensors here carry the batch axis first. If versions of Keras differ, it is the one
//! that wrote the file.

pub(crate) mod axes;
pub(crate) mod error;
pub(crate) mod linear;

use std::collections::BTreeMap;

use rayon::prelude::*;

pub use error::{ForwardError, Problem};

use crate::keras::layers::Input;
use crate::keras::model::{Layer, LayerConfig, Model, TensorRef};
use crate::keras::weight::Weights;
use crate::tensor::Tensor;

/// The most items that go through the layers together.
const ITEMS: usize = 32;

/// The most values of all layers that are held together for a group of items.
const VALUES: usize = 1 << 26;

/// The model's outputs for a batch. Each input and output carries the batch axis first. The result
/// does not depend on how many threads there are.
///
/// # Errors
/// [`ForwardError`] if the inputs are not the model's, or a layer cannot run.
pub fn forward(model: &Model, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForwardError> {
    let batch = check_inputs(model, inputs)?;
    let values = (model.layers.iter())
        .flat_map(|layer| &layer.calls)
        .flat_map(|call| &call.output_shapes)
        .fold(1usize, |sum, shape| {
            sum.saturating_add(crate::keras::shape::elements(shape).unwrap_or(1))
        });
    let group = (VALUES / values).clamp(1, ITEMS);
    if batch <= group {
        return run(model, inputs);
    }
    let parts = (0..batch.div_ceil(group))
        .into_par_iter()
        .map(|part| {
            let from = part * group;
            let to = batch.min(from + group);
            let slices: Option<Vec<Tensor>> = inputs.iter().map(|x| items(x, from, to)).collect();
            run(model, &slices.unwrap_or_default())
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(join(&parts))
}

/// The items `from..to` of a batch.
fn items(x: &Tensor, from: usize, to: usize) -> Option<Tensor> {
    let (_, item) = x.shape().split_first()?;
    let n: usize = item.iter().product();
    let data = x.data().get(from * n..to * n)?.to_vec();
    let shape = [to - from]
        .into_iter()
        .chain(item.iter().copied())
        .collect();
    Tensor::new(shape, data)
}

fn join(parts: &[Vec<Tensor>]) -> Vec<Tensor> {
    let outputs = parts.first().map_or(0, Vec::len);
    (0..outputs)
        .filter_map(|o| {
            let tensors: Vec<&Tensor> = parts.iter().filter_map(|p| p.get(o)).collect();
            let mut shape = tensors.first()?.shape().to_vec();
            *shape.first_mut()? = tensors.iter().filter_map(|t| t.shape().first()).sum();
            Tensor::new(
                shape,
                tensors.iter().flat_map(|t| t.data()).copied().collect(),
            )
        })
        .collect()
}

/// The number of items, after checking that the inputs are the model's.
fn check_inputs(model: &Model, inputs: &[Tensor]) -> Result<usize, ForwardError> {
    if model.inputs.len() != inputs.len() {
        return Err(ForwardError::InputCount {
            model: model.name.clone(),
            expected: model.inputs.len(),
            found: inputs.len(),
        });
    }
    let batches: Vec<usize> = (inputs.iter())
        .map(|x| x.shape().first().copied().unwrap_or(0))
        .collect();
    for (input, x) in model.inputs.iter().zip(inputs) {
        let Some(layer) = model.layers.get(input.layer) else {
            return Err(graph_error(model, *input));
        };
        let LayerConfig::Input(Input { shape, .. }) = &layer.config else {
            continue;
        };
        let fits = x.shape().len() == shape.len() + 1
            && (x.shape().iter().skip(1).zip(shape)).all(|(n, s)| s.is_none_or(|s| s == *n));
        if !fits {
            return Err(ForwardError::InputShape {
                input: layer.name.clone(),
                expected: crate::keras::shape::display(shape),
                found: x.shape().to_vec(),
            });
        }
    }
    let first = batches.first().copied().unwrap_or(0);
    if batches.iter().any(|b| *b != first) {
        return Err(ForwardError::BatchSize { found: batches });
    }
    Ok(first)
}

fn graph_error(model: &Model, at: TensorRef) -> ForwardError {
    ForwardError::Graph {
        model: model.name.clone(),
        layer: at.layer,
        call: at.call,
        tensor: at.tensor,
    }
}

/// Runs every call that the outputs need, each after those that it needs.
fn run(model: &Model, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForwardError> {
    let mut done: BTreeMap<TensorRef, Tensor> =
        (model.inputs.iter().copied().zip(inputs.iter().cloned())).collect();
    // A call that waits for another is below it on the stack.
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for &output in &model.outputs {
        if done.contains_key(&output) {
            continue;
        }
        stack.push((output.layer, output.call));
        while let Some(&(l, c)) = stack.last() {
            let here = TensorRef {
                layer: l,
                call: c,
                tensor: 0,
            };
            let (layer, call) = model
                .layers
                .get(l)
                .and_then(|layer| Some((layer, layer.calls.get(c)?)))
                .ok_or_else(|| graph_error(model, here))?;
            let missing = call.inputs.iter().find(|t| !done.contains_key(t));
            if let Some(&missing) = missing {
                let next = (missing.layer, missing.call);
                let made = TensorRef {
                    tensor: 0,
                    ..missing
                };
                if stack.contains(&next) || (missing.tensor > 0 && done.contains_key(&made)) {
                    return Err(graph_error(model, missing));
                }
                stack.push(next);
                continue;
            }
            let arguments: Vec<Tensor> = call
                .inputs
                .iter()
                .filter_map(|t| done.get(t).cloned())
                .collect();
            let results = call_layer(layer, &arguments)?;
            if results.is_empty() {
                return Err(graph_error(model, here));
            }
            for (tensor, result) in results.into_iter().enumerate() {
                done.insert(TensorRef { tensor, ..here }, result);
            }
            stack.pop();
        }
    }
    (model.outputs.iter())
        .map(|o| done.get(o).cloned().ok_or_else(|| graph_error(model, *o)))
        .collect()
}

/// The layer's outputs for these inputs, which carry the batch axis first.
///
/// # Errors
/// [`ForwardError::Layer`] if the inputs or the weights do not fit the layer, or if there is
/// no way to run it.
pub fn call_layer(layer: &Layer, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForwardError> {
    let result = match (&layer.config, layer.config.kind()) {
        (LayerConfig::Model(model), _) => {
            forward(model, inputs).map_err(|e| Problem::Nested(Box::new(e)))
        }
        (LayerConfig::TimeDistributed { layer }, _) => {
            axes::only(inputs).and_then(|x| Ok(vec![time_distributed(layer, x)?]))
        }
        (_, Some(kind)) => kind.forward_all(Weights(&layer.weights), inputs),
        (LayerConfig::Unknown { reason, .. }, None) => Err(Problem::Values(reason.clone())),
        (_, None) => Err(Problem::Unsupported(layer.class_name.clone())),
    };
    result.map_err(|problem| ForwardError::Layer {
        layer: layer.name.clone(),
        class_name: layer.class_name.clone(),
        problem,
    })
}

fn time_distributed(layer: &Layer, x: &Tensor) -> Result<Tensor, Problem> {
    let [batch, steps, item @ ..] = x.shape() else {
        return Err(Problem::Shape {
            needs: "the axes (batch, steps, ..)".to_owned(),
            found: x.shape().to_vec(),
        });
    };
    let mut folded = vec![batch * steps];
    folded.extend(item);
    let outputs = call_layer(layer, &[axes::reshape(x, folded)?]).map_err(Box::new)?;
    let [y] = outputs.as_slice() else {
        return Err(Problem::Unsupported(
            "a layer of several outputs at every step".to_owned(),
        ));
    };
    let (_, item) = axes::split_batch(y)?;
    let mut shape = vec![*batch, *steps];
    shape.extend(item);
    axes::reshape(y, shape)
}
