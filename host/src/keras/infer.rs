//! Shape inference: from a layer and the shapes that it is applied to, the shapes of its outputs.
//!
//! No tensor may have more than [`MAX_ELEMENTS`](shape::MAX_ELEMENTS) elements, and all together no more
//! than [`MAX_TOTAL_ELEMENTS`], so that later stages can multiply lengths freely, and a small file
//! cannot exhaust the memory.

use std::collections::BTreeSet;

use thiserror::Error;

use super::model::{Input, Layer, LayerConfig, Model, TensorRef};
use super::shape::{self, MAX_TOTAL_ELEMENTS, Shape};

/// The most calls of layers that [`infer_model`] looks at: nested models that call each other several
/// times at every level would otherwise take exponential time.
const MAX_CALLS: usize = 1 << 16;

/// A layer that cannot be applied to its inputs.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("layer \"{layer}\" ({class}): {reason}")]
pub struct ShapeError {
    /// The layer's name.
    pub layer: String,
    /// Its Keras class.
    pub class: String,
    /// The reason, with the shapes.
    pub reason: String,
}

/// Fills the output shapes of every call of `model`, whose calls are given in `order`: a call after
/// all that it takes its inputs from. `known` gives the output shapes of layers whose class is
/// unknown, if the file states them.
///
/// A call whose inputs have unknown shapes gets none (an empty list).
///
/// # Errors
/// If a layer cannot be applied to its inputs, or if an output would have an axis of length 0 or more
/// than [`MAX_ELEMENTS`](shape::MAX_ELEMENTS) elements, or all together too many.
pub(super) fn infer_model(
    model: &mut Model,
    order: &[(usize, usize)],
    known: impl Fn(TensorRef) -> Option<Shape>,
) -> Result<(), ShapeError> {
    let mut budget = Budget::default();
    for &(layer, call) in order {
        let inputs = inputs_of(model, layer, call);
        let mut shapes = match inputs {
            Some(inputs) => infer_within(&model.layers[layer], &inputs, &mut budget)?,
            None => Vec::new(),
        };
        if shapes.is_empty() {
            let stated = |tensor| {
                known(TensorRef {
                    layer,
                    call,
                    tensor,
                })
            };
            shapes = (0..).map_while(stated).collect();
            for shape in &shapes {
                budget.output(&model.layers[layer], shape)?;
            }
        }
        model.layers[layer].calls[call].output_shapes = shapes;
    }
    Ok(())
}

/// The shapes that a call is applied to, `None` if one of them is unknown.
fn inputs_of(model: &Model, layer: usize, call: usize) -> Option<Vec<Shape>> {
    model.layers[layer].calls[call]
        .inputs
        .iter()
        .map(|&r| model.shape_of(r).cloned())
        .collect()
}

/// The calls and the elements that a model may still have.
struct Budget {
    calls: usize,
    elements: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            calls: MAX_CALLS,
            elements: MAX_TOTAL_ELEMENTS,
        }
    }
}

impl Budget {
    fn call(&mut self, layer: &Layer) -> Result<(), ShapeError> {
        self.calls = (self.calls.checked_sub(1)).ok_or_else(|| {
            let reason = format!("the nested models make more than {MAX_CALLS} calls of layers");
            error(layer, reason)
        })?;
        Ok(())
    }

    /// Takes the elements of an output; an axis of unknown length counts as one place.
    fn output(&mut self, layer: &Layer, shape: &Shape) -> Result<(), ShapeError> {
        shape::check(shape).map_err(|reason| error(layer, reason))?;
        let what = format!("its output of shape {}", shape::display(shape));
        self.take(layer, known_elements(shape), &what)
    }

    fn take(&mut self, layer: &Layer, elements: usize, what: &str) -> Result<(), ShapeError> {
        let left = self.elements.checked_sub(elements).ok_or_else(|| {
            let so_far = MAX_TOTAL_ELEMENTS - self.elements;
            error(
                layer,
                format!(
                    "with {what}, {elements} elements, after the {so_far} of the \
                     layers before it, the model's tensors have more than {MAX_TOTAL_ELEMENTS} \
                     elements together, the most that is supported; use a smaller model"
                ),
            )
        })?;
        self.elements = left;
        Ok(())
    }
}

/// The product of the known lengths.
fn known_elements(shape: &Shape) -> usize {
    (shape.iter().flatten()).fold(1, |n, &d| n.saturating_mul(d))
}

/// The elements of all tensors in a model that is used as a layer.
fn total_elements(model: &Model) -> usize {
    (model.layers.iter())
        .map(|layer| match &layer.config {
            LayerConfig::Model(inner) => total_elements(inner).saturating_mul(layer.calls.len()),
            _ => (layer.calls.iter().flat_map(|call| &call.output_shapes))
                .fold(0, |sum, shape| known_elements(shape).saturating_add(sum)),
        })
        .fold(0, usize::saturating_add)
}

fn error(layer: &Layer, reason: String) -> ShapeError {
    ShapeError {
        layer: layer.name.clone(),
        class: layer.class_name.clone(),
        reason,
    }
}

fn infer_within(
    layer: &Layer,
    inputs: &[Shape],
    budget: &mut Budget,
) -> Result<Vec<Shape>, ShapeError> {
    budget.call(layer)?;
    if let LayerConfig::Model(inner) = &layer.config {
        return infer_nested(layer, inner, inputs, budget);
    }
    if let LayerConfig::TimeDistributed { layer: inner } = &layer.config {
        let input = shape::single(inputs).map_err(|reason| error(layer, reason))?;
        let Some((time, rest)) = input.split_first() else {
            return Err(error(layer, "its input has no time axis".to_owned()));
        };
        let mut outputs = infer_within(inner, &[rest.to_vec()], budget)?;
        for shape in &mut outputs {
            shape.insert(0, *time);
            budget.output(layer, shape)?;
        }
        return Ok(outputs);
    }
    let Some(kind) = layer.config.kind() else {
        return Ok(Vec::new());
    };
    let shapes = (kind.outputs(inputs)).map_err(|reason| error(layer, reason))?;
    for shape in &shapes {
        budget.output(layer, shape)?;
    }
    Ok(shapes)
}

/// The outputs of a model that is used as a layer.
fn infer_nested(
    layer: &Layer,
    model: &Model,
    inputs: &[Shape],
    budget: &mut Budget,
) -> Result<Vec<Shape>, ShapeError> {
    if inputs.len() != model.inputs.len() {
        return Err(error(
            layer,
            format!(
                "the model takes {} inputs, but is given {}",
                model.inputs.len(),
                inputs.len()
            ),
        ));
    }
    let mut same = true;
    for (&tensor, given) in model.inputs.iter().zip(inputs) {
        let declared = model.shape_of(tensor).map_or(&[][..], Vec::as_slice);
        let fits = declared.len() == given.len()
            && (declared.iter().zip(given)).all(|(d, g)| d.is_none() || g.is_none() || d == g);
        if !fits {
            return Err(error(
                layer,
                format!(
                    "the model's input has shape {}, but it is given {}",
                    shape::display(declared),
                    shape::display(given)
                ),
            ));
        }
        same &= declared == given;
    }
    let outputs = |shapes: &dyn Fn(TensorRef) -> Option<Shape>| -> Vec<Shape> {
        model
            .outputs
            .iter()
            .map_while(|&tensor| shapes(tensor))
            .collect()
    };
    let stored = outputs(&|tensor| model.shape_of(tensor).cloned());
    if same || stored.len() < model.outputs.len() {
        budget.take(
            layer,
            total_elements(model),
            "the outputs of all its layers",
        )?;
        return Ok(if stored.len() == model.outputs.len() {
            stored
        } else {
            Vec::new()
        });
    }
    // The model was built for unknown lengths and is given known ones (or the other way round).
    let mut shapes: Vec<Vec<Vec<Shape>>> = (model.layers.iter())
        .map(|l| vec![Vec::new(); l.calls.len()])
        .collect();
    for (&tensor, given) in model.inputs.iter().zip(inputs) {
        shapes[tensor.layer][tensor.call] = vec![given.clone()];
    }
    let mut pending: Vec<(usize, usize)> = (model.layers.iter().enumerate())
        .flat_map(|(l, layer)| (0..layer.calls.len()).map(move |c| (l, c)))
        .filter(|&(l, c)| shapes[l][c].is_empty())
        .collect();
    // Layers may stand in any order in the file: sweep until nothing is left.
    while !pending.is_empty() {
        let before = pending.len();
        let mut left = Vec::new();
        for (l, c) in pending {
            budget.call(layer)?;
            let given: Option<Vec<Shape>> = (model.layers[l].calls[c].inputs.iter())
                .map(|r| shapes[r.layer][r.call].get(r.tensor).cloned())
                .collect();
            match given {
                Some(given) => {
                    shapes[l][c] = infer_within(&model.layers[l], &given, budget)?;
                }
                None => left.push((l, c)),
            }
        }
        if left.len() == before {
            break;
        }
        pending = left;
    }
    Ok(outputs(&|t: TensorRef| {
        shapes[t.layer][t.call].get(t.tensor).cloned()
    }))
}

/// Gives a model's inputs these shapes, and all its tensors the shapes that follow.
///
/// # Errors
/// If an input has another shape, or a layer cannot be applied to its inputs.
pub(super) fn set_inputs(model: &mut Model, shapes: &[Shape]) -> Result<(), ShapeError> {
    let inputs = model.inputs.clone();
    for (k, &tensor) in inputs.iter().enumerate() {
        let layer = &mut model.layers[tensor.layer];
        let refuse = |layer: &Layer, reason| Err(error(layer, reason));
        let Some(given) = shapes.get(k).filter(|_| shapes.len() == inputs.len()) else {
            let reason = format!(
                "the model has {} inputs, not {}",
                inputs.len(),
                shapes.len()
            );
            return refuse(layer, reason);
        };
        let LayerConfig::Input(Input { shape, .. }) = &mut layer.config else {
            continue;
        };
        let fits = shape.len() == given.len()
            && (shape.iter().zip(given)).all(|(s, g)| s.is_none() || s == g);
        if !fits {
            let (has, given) = (shape::display(shape), shape::display(given));
            return refuse(
                layer,
                format!("its shape is {has}, which {given} does not fit"),
            );
        }
        shape.clone_from(given);
    }
    let mut budget = Budget::default();
    let mut pending: Vec<(usize, usize)> = (model.layers.iter().enumerate())
        .flat_map(|(l, layer)| (0..layer.calls.len()).map(move |c| (l, c)))
        .collect();
    let mut done = BTreeSet::new();
    // Layers may stand in any order in the file: sweep until nothing is left.
    while !pending.is_empty() {
        let before = pending.len();
        let mut left = Vec::new();
        for (l, c) in pending {
            let known = |t: &TensorRef| done.contains(&(t.layer, t.call));
            if !model.layers[l].calls[c].inputs.iter().all(known) {
                left.push((l, c));
                continue;
            }
            let given = inputs_of(model, l, c);
            let layer = &mut model.layers[l];
            if let (LayerConfig::Model(inner), Some(given), 0) = (&mut layer.config, &given, c) {
                set_inputs(inner, given)?;
            }
            // What the file states of a layer of an unknown class stays.
            if let Some(given) = given
                && !matches!(layer.config, LayerConfig::Unknown { .. })
            {
                layer.calls[c].output_shapes = infer_within(layer, &given, &mut budget)?;
            }
            done.insert((l, c));
        }
        if left.len() == before {
            break;
        }
        pending = left;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keras::model::{
        Concatenate, DataFormat, Merge, Padding, Permute, Pool, PoolKind, RepeatVector, Reshape,
        UpSampling, ZeroPadding,
    };
    use crate::keras::shape::MAX_ELEMENTS;

    fn infer(config: LayerConfig, inputs: &[&[usize]]) -> Result<Vec<Shape>, ShapeError> {
        let layer = Layer {
            name: "l".to_owned(),
            class_name: "L".to_owned(),
            trainable: true,
            config,
            weights: Vec::new(),
            calls: Vec::new(),
        };
        let inputs: Vec<Shape> = (inputs.iter())
            .map(|shape| shape.iter().map(|&d| Some(d)).collect())
            .collect();
        infer_within(&layer, &inputs, &mut Budget::default())
    }

    // What Keras infers for the layers is in the importer's fixtures; here is what it refuses.
    #[test]
    fn refuses_what_does_not_fit() {
        let pool = |pool_size: usize| {
            LayerConfig::Pool(Pool {
                kind: PoolKind::Max,
                rank: 1,
                pool_size: vec![pool_size],
                strides: vec![1],
                padding: Padding::Valid,
                data_format: DataFormat::ChannelsLast,
            })
        };
        let pad = |n| {
            LayerConfig::ZeroPadding(ZeroPadding {
                rank: 1,
                padding: vec![(n, n)],
                data_format: DataFormat::ChannelsLast,
            })
        };
        let up = |n| {
            LayerConfig::UpSampling(UpSampling {
                rank: 1,
                size: vec![n],
                data_format: DataFormat::ChannelsLast,
                interpolation: "nearest".to_owned(),
            })
        };
        let reshape = |shape: &[isize]| {
            LayerConfig::Reshape(Reshape {
                target_shape: shape.to_vec(),
            })
        };
        let cases: Vec<(LayerConfig, &[&[usize]], &str)> = vec![
            (pool(6), &[&[5, 2]], "window over 6 places"),
            (pool(2), &[&[5]], "rank 2"),
            (pool(2), &[&[5, 2], &[5, 2]], "given 2"),
            (pad(usize::MAX), &[&[5, 2]], "out of range"),
            (up(usize::MAX), &[&[5, 2]], "out of range"),
            (up(MAX_ELEMENTS), &[&[1, 2]], "more than 268435456 elements"),
            (
                up(MAX_TOTAL_ELEMENTS),
                &[&[1, 2]],
                "the most that is supported; use",
            ),
            (reshape(&[4, 4]), &[&[5, 3]], "cannot be reshaped to (4, 4)"),
            (reshape(&[-1, -1]), &[&[5, 3]], "cannot be reshaped"),
            (reshape(&[-1, 0]), &[&[5, 3]], "cannot be reshaped"),
            (
                LayerConfig::Merge(Merge::Add),
                &[&[5, 3], &[5, 2]],
                "cannot be merged",
            ),
            (LayerConfig::Merge(Merge::Add), &[&[5, 3]], "at least two"),
            (
                LayerConfig::Merge(Merge::Subtract),
                &[&[5], &[5], &[5]],
                "two inputs",
            ),
            (
                LayerConfig::Concatenate(Concatenate { axis: 0 }),
                &[&[5], &[5]],
                "batch axis",
            ),
            (
                LayerConfig::Concatenate(Concatenate { axis: -1 }),
                &[&[5, 3], &[4, 3]],
                "concatenated",
            ),
            (
                LayerConfig::Concatenate(Concatenate { axis: isize::MIN }),
                &[&[5]],
                "outside",
            ),
            (
                LayerConfig::Permute(Permute { dims: vec![1, 1] }),
                &[&[5, 3]],
                "permutation",
            ),
            (
                LayerConfig::RepeatVector(RepeatVector { n: 2 }),
                &[&[5, 3]],
                "rank 1",
            ),
        ];
        for (config, inputs, part) in cases {
            let error = infer(config, inputs).unwrap_err();
            assert!(error.to_string().contains(part), "{part}: {error}");
            assert_eq!((error.layer.as_str(), error.class.as_str()), ("l", "L"));
        }
    }
}
