//! The Keras forward pass: what a [`Model`] computes for a batch, as Keras computes it at inference.
//!
//! It is what a converted network is verified against, and what runs the layers that have no native
//! form in a network. Tensors here carry the batch axis first. Where versions of Keras differ, it is
//! Keras 3: `hard_sigmoid` is relu6(x + 3) / 6, which was clip(0.2 x + 0.5, 0, 1) in Keras 2.

mod activation;
mod axes;
mod conv;
mod normalize;
mod pool;
mod recurrent;

use std::collections::BTreeMap;

use rayon::prelude::*;
use thiserror::Error;

use crate::keras::model::{Activation, Layer, LayerConfig, Model, TensorRef};
use crate::ops::OpsError;
use crate::tensor::Tensor;
use recurrent::{Cell, Filter, Walk};

/// How many items go through the layers together.
const ITEMS: usize = 32;

/// Why a forward pass failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Not as many inputs as the model has.
    #[error("the model \"{model}\" has {expected} inputs, but {found} were given")]
    InputCount {
        /// The model's name.
        model: String,
        /// How many inputs it has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An input does not have the shape that the model takes.
    #[error(
        "input \"{input}\" takes the shape {expected} for each item, but the shape {found:?} (with the batch axis) was given"
    )]
    InputShape {
        /// The input layer's name.
        input: String,
        /// Its shape, without the batch axis.
        expected: String,
        /// The shape that was given, with the batch axis.
        found: Vec<usize>,
    },
    /// The inputs disagree on the number of items.
    #[error("the inputs have {found:?} items; each must have as many as the first")]
    BatchSize {
        /// How many items each input has.
        found: Vec<usize>,
    },
    /// A layer could not run.
    #[error("layer \"{layer}\" ({class_name}): {problem}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// Its Keras class.
        class_name: String,
        /// What is wrong.
        problem: Problem,
    },
    /// The model names a tensor that no layer makes, or that needs itself.
    #[error(
        "layer {layer}, call {call}, output {tensor} of the model \"{model}\" cannot be computed: no layer makes it, or it needs itself"
    )]
    Graph {
        /// The model's name.
        model: String,
        /// Index of the layer.
        layer: usize,
        /// Index of its call.
        call: usize,
        /// Index of the call's output.
        tensor: usize,
    },
}

/// What is wrong with a layer or its input.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// Not as many inputs as the layer takes.
    #[error("it takes {expected}, but has {found}")]
    Inputs {
        /// How many it takes, in words.
        expected: &'static str,
        /// How many it has.
        found: usize,
    },
    /// A shape does not fit.
    #[error("the shape {found:?} (with the batch axis) does not fit: it needs {needs}")]
    Shape {
        /// What is needed, in words.
        needs: String,
        /// The shape that was found.
        found: Vec<usize>,
    },
    /// A weight is missing.
    #[error("it has no weight \"{0}\"")]
    Weight(&'static str),
    /// The layer can be listed but not run.
    #[error("cannot run {0}")]
    Unsupported(String),
    /// An embedding's index is outside its table.
    #[error("the index {index} lies outside the embedding's {rows} rows")]
    Index {
        /// The input's value.
        index: f32,
        /// How many rows the table has.
        rows: usize,
    },
    /// Shapes that contradict each other.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// A model that is used as a layer failed.
    #[error(transparent)]
    Nested(#[from] Box<ForwardError>),
}

/// A layer's weights by name.
struct Weights<'a>(&'a Layer);

impl<'a> Weights<'a> {
    fn find(&self, name: &str) -> Option<&'a Tensor> {
        self.0.weight(name)
    }

    fn get(&self, name: &'static str) -> Result<&'a Tensor, Problem> {
        self.find(name).ok_or(Problem::Weight(name))
    }

    fn bias(&self, used: bool) -> Result<Option<&'a Tensor>, Problem> {
        if used {
            self.get("bias").map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The model's outputs for a batch. Each input and output carries the batch axis first. The result
/// does not depend on how many threads there are.
///
/// # Errors
/// [`ForwardError`] where the inputs are not the model's, or a layer cannot run.
pub fn forward(model: &Model, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForwardError> {
    let batch = check_inputs(model, inputs)?;
    if batch <= ITEMS {
        return run(model, inputs);
    }
    let parts = (0..batch.div_ceil(ITEMS))
        .into_par_iter()
        .map(|part| {
            let from = part * ITEMS;
            let to = batch.min(from + ITEMS);
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
        let LayerConfig::Input { shape } = &layer.config else {
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

/// An activation of each value; softmax is over the last axis.
///
/// # Errors
/// [`Problem::Shape`] for a softmax of a tensor without axes.
pub fn activate(activation: Activation, x: &Tensor) -> Result<Tensor, Problem> {
    activation::activate(activation, x)
}

/// The layer's outputs for these inputs, which carry the batch axis first.
///
/// # Errors
/// [`ForwardError::Layer`] where the inputs or the weights do not fit the layer, or where there is
/// no way to run it.
pub fn call_layer(layer: &Layer, inputs: &[Tensor]) -> Result<Vec<Tensor>, ForwardError> {
    let result = match &layer.config {
        LayerConfig::Model(model) => {
            forward(model, inputs).map_err(|e| Problem::Nested(Box::new(e)))
        }
        _ => evaluate(layer, inputs).map(|y| vec![y]),
    };
    result.map_err(|problem| ForwardError::Layer {
        layer: layer.name.clone(),
        class_name: layer.class_name.clone(),
        problem,
    })
}

fn evaluate(layer: &Layer, inputs: &[Tensor]) -> Result<Tensor, Problem> {
    if let Some(merged) = merge(&layer.config, inputs) {
        return merged;
    }
    let [x] = inputs else {
        return Err(Problem::Inputs {
            expected: "one input",
            found: inputs.len(),
        });
    };
    let w = Weights(layer);
    match &layer.config {
        LayerConfig::Input { .. } | LayerConfig::Dropout { .. } | LayerConfig::Noise => {
            Ok(x.clone())
        }
        LayerConfig::Conv(c) => conv::conv(c, &w, x),
        LayerConfig::ConvTranspose(c) => conv::conv_transpose(c, &w, x),
        LayerConfig::DepthwiseConv { conv, .. } => conv::depthwise_conv(conv, &w, x),
        LayerConfig::SeparableConv { conv, .. } => conv::separable_conv(conv, &w, x),
        LayerConfig::Dense {
            use_bias,
            activation,
            ..
        } => conv::dense(*activation, *use_bias, &w, x),
        LayerConfig::Activation { activation } => activate(*activation, x),
        LayerConfig::Relu {
            max_value,
            negative_slope,
            threshold,
        } => {
            let (slope, threshold) = (*negative_slope as f32, *threshold as f32);
            let max = max_value.map_or(f32::INFINITY, |m| m as f32);
            Ok(axes::map(x, |v| {
                if v >= threshold {
                    v.min(max)
                } else {
                    slope * (v - threshold)
                }
            }))
        }
        LayerConfig::LeakyRelu { negative_slope } => {
            let slope = *negative_slope as f32;
            Ok(axes::map(x, |v| activation::leaky_relu(v, slope)))
        }
        LayerConfig::PRelu { .. } => {
            let alpha = w.get("alpha")?;
            let mut shape = vec![1];
            shape.extend(alpha.shape());
            let alpha = axes::tensor(shape, alpha.data().to_vec())?;
            axes::broadcast(x, &alpha, activation::leaky_relu)
        }
        LayerConfig::Elu { alpha } => {
            let alpha = *alpha as f32;
            Ok(axes::map(x, |v| activation::elu(v, alpha)))
        }
        LayerConfig::Softmax { axis } => activation::softmax(x, *axis, false),
        LayerConfig::Flatten { data_format } => {
            let x = axes::to_channels_last(x, *data_format)?;
            let (batch, item) = conv::split_batch(&x)?;
            reshape(&x, vec![batch, item.iter().product()])
        }
        LayerConfig::Reshape { target_shape } => target(x, target_shape),
        LayerConfig::Permute { dims } => {
            let order: Vec<usize> = [0].into_iter().chain(dims.iter().copied()).collect();
            axes::permute(x, &order)
        }
        LayerConfig::RepeatVector { n } => {
            let &[batch, features] = x.shape() else {
                return Err(Problem::Shape {
                    needs: "the axes (batch, features)".to_owned(),
                    found: x.shape().to_vec(),
                });
            };
            let places = axes::gather(&[batch, *n, features], &[features, 0, 1]);
            axes::tensor(
                vec![batch, *n, features],
                places.map(|i| x.data()[i]).collect(),
            )
        }
        LayerConfig::Pool {
            kind,
            pool_size,
            strides,
            padding,
            data_format,
            ..
        } => pool::pool(*kind, pool_size, strides, *padding, *data_format, x),
        LayerConfig::GlobalPool {
            kind,
            data_format,
            keepdims,
            ..
        } => pool::global_pool(*kind, *data_format, *keepdims, x),
        LayerConfig::BatchNormalization {
            axis,
            epsilon,
            center,
            scale,
        } => normalize::batch(*axis, *epsilon, (*center, *scale), &w, x),
        LayerConfig::LayerNormalization {
            axis,
            epsilon,
            center,
            scale,
        } => normalize::layer(axis, *epsilon, (*center, *scale), &w, x),
        LayerConfig::UpSampling {
            size,
            data_format,
            interpolation,
            ..
        } => pool::up_sampling(size, *data_format, interpolation, x),
        LayerConfig::ZeroPadding {
            padding,
            data_format,
            ..
        } => pool::zero_padding(padding, *data_format, x),
        LayerConfig::Cropping {
            cropping,
            data_format,
            ..
        } => pool::cropping(cropping, *data_format, x),
        LayerConfig::Rescaling { scale, offset } => {
            let along_last = |values: &[f64]| {
                let mut shape = vec![1; x.shape().len().saturating_sub(1)];
                shape.push(values.len());
                axes::tensor(shape, values.iter().map(|v| *v as f32).collect())
            };
            let scaled = axes::broadcast(x, &along_last(scale)?, |x, s| x * s)?;
            axes::broadcast(&scaled, &along_last(offset)?, |x, o| x + o)
        }
        LayerConfig::Embedding { .. } => embedding(w.get("embeddings")?, x),
        LayerConfig::SimpleRnn {
            units,
            activation,
            use_bias,
            return_sequences,
            go_backwards,
        } => recurrent::run(
            Cell::Simple,
            *units,
            *activation,
            *use_bias,
            Walk {
                return_sequences: *return_sequences,
                go_backwards: *go_backwards,
            },
            &w,
            x,
        ),
        LayerConfig::Gru {
            units,
            activation,
            recurrent_activation,
            use_bias,
            reset_after,
            return_sequences,
            go_backwards,
        } => recurrent::run(
            Cell::Gru {
                recurrent: *recurrent_activation,
                reset_after: *reset_after,
            },
            *units,
            *activation,
            *use_bias,
            Walk {
                return_sequences: *return_sequences,
                go_backwards: *go_backwards,
            },
            &w,
            x,
        ),
        LayerConfig::Lstm {
            units,
            activation,
            recurrent_activation,
            use_bias,
            return_sequences,
            go_backwards,
        } => recurrent::run(
            Cell::Lstm {
                recurrent: *recurrent_activation,
            },
            *units,
            *activation,
            *use_bias,
            Walk {
                return_sequences: *return_sequences,
                go_backwards: *go_backwards,
            },
            &w,
            x,
        ),
        LayerConfig::TimeDistributed { layer } => time_distributed(layer, x),
        LayerConfig::SpikingActivation {
            activation,
            return_sequences,
            ..
        } => recurrent::spiking_activation(*activation, *return_sequences, x),
        LayerConfig::Lowpass {
            tau_initializer,
            dt,
            return_sequences,
        } => recurrent::filter(
            Filter::Lowpass,
            *tau_initializer,
            *dt,
            *return_sequences,
            &w,
            x,
        ),
        LayerConfig::Alpha {
            tau_initializer,
            dt,
            return_sequences,
        } => recurrent::filter(
            Filter::Alpha,
            *tau_initializer,
            *dt,
            *return_sequences,
            &w,
            x,
        ),
        LayerConfig::Add
        | LayerConfig::Average
        | LayerConfig::Subtract
        | LayerConfig::Multiply
        | LayerConfig::Maximum
        | LayerConfig::Minimum
        | LayerConfig::Concatenate { .. }
        | LayerConfig::Model(_)
        | LayerConfig::Unknown { .. } => Err(Problem::Unsupported(format!(
            "a layer of the class {}",
            layer.class_name
        ))),
    }
}

/// The result of a layer that merges its inputs; `None` for the others.
fn merge(config: &LayerConfig, inputs: &[Tensor]) -> Option<Result<Tensor, Problem>> {
    let fold = |f: fn(f32, f32) -> f32| {
        let (first, rest) = inputs.split_first().ok_or(Problem::Inputs {
            expected: "at least one input",
            found: 0,
        })?;
        rest.iter()
            .try_fold(first.clone(), |a, b| axes::broadcast(&a, b, f))
    };
    Some(match config {
        LayerConfig::Add => fold(|a, b| a + b),
        LayerConfig::Average => {
            let n = inputs.len() as f32;
            fold(|a, b| a + b).map(|sum| axes::map(&sum, |v| v / n))
        }
        LayerConfig::Subtract if inputs.len() == 2 => fold(|a, b| a - b),
        LayerConfig::Subtract => Err(Problem::Inputs {
            expected: "two inputs",
            found: inputs.len(),
        }),
        LayerConfig::Multiply => fold(|a, b| a * b),
        LayerConfig::Maximum => fold(f32::max),
        LayerConfig::Minimum => fold(f32::min),
        LayerConfig::Concatenate { axis } => concatenate(*axis, inputs),
        _ => return None,
    })
}

fn concatenate(axis: isize, inputs: &[Tensor]) -> Result<Tensor, Problem> {
    let first = inputs.first().ok_or(Problem::Inputs {
        expected: "at least one input",
        found: 0,
    })?;
    let axis = axes::index(first, axis)?;
    let mut shape = first.shape().to_vec();
    shape[axis] = 0;
    for x in inputs {
        let others_fit = x.shape().len() == shape.len()
            && (x.shape().iter().zip(&shape).enumerate()).all(|(a, (m, n))| a == axis || m == n);
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

fn reshape(x: &Tensor, shape: Vec<usize>) -> Result<Tensor, Problem> {
    let needs = format!("as many values as the shape {shape:?}");
    x.reshaped(shape).ok_or_else(|| Problem::Shape {
        needs,
        found: x.shape().to_vec(),
    })
}

/// A target shape of Keras, in which one axis may be -1: whatever is left.
fn target(x: &Tensor, shape: &[isize]) -> Result<Tensor, Problem> {
    let (batch, item) = conv::split_batch(x)?;
    let n: usize = item.iter().product();
    let known: usize = (shape.iter().filter(|d| **d >= 0))
        .map(|d| d.unsigned_abs())
        .product();
    let left = n.checked_div(known).unwrap_or(0);
    let axes = shape.iter().map(|&d| usize::try_from(d).unwrap_or(left));
    reshape(x, [batch].into_iter().chain(axes).collect())
}

fn embedding(table: &Tensor, x: &Tensor) -> Result<Tensor, Problem> {
    let &[rows, width] = table.shape() else {
        return Err(Problem::Shape {
            needs: "a table of two axes".to_owned(),
            found: table.shape().to_vec(),
        });
    };
    let mut y = Vec::with_capacity(x.len() * width);
    for &v in x.data() {
        // Keras casts to int32, towards zero.
        let row = v.trunc();
        if !(0.0..rows as f32).contains(&row) {
            return Err(Problem::Index { index: v, rows });
        }
        y.extend_from_slice(&table.data()[row as usize * width..][..width]);
    }
    let mut shape = x.shape().to_vec();
    shape.push(width);
    axes::tensor(shape, y)
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
    let outputs = call_layer(layer, &[reshape(x, folded)?]).map_err(Box::new)?;
    let [y] = outputs.as_slice() else {
        return Err(Problem::Unsupported(
            "a layer of several outputs at every step".to_owned(),
        ));
    };
    let (_, item) = conv::split_batch(y)?;
    let mut shape = vec![*batch, *steps];
    shape.extend(item);
    reshape(y, shape)
}
