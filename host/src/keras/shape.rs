//! Shape inference: from a layer and the shapes that it is applied to, the shapes of its outputs.
//!
//! Shapes are without the batch axis; `None` stands for an axis of unknown length. All arithmetic is
//! checked, and no tensor may have more than [`MAX_ELEMENTS`] elements, so that later stages can
//! multiply lengths freely.

use thiserror::Error;

use crate::keras::model::{Conv, DataFormat, Layer, LayerConfig, Model, Padding, TensorRef};

/// The length along each axis, without the batch axis; `None` where it is unknown.
pub type Shape = Vec<Option<usize>>;

/// The most elements that one tensor of a model may have.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// How many calls of layers [`infer_model`] looks at before it gives up: nested models that call
/// each other several times at every level would otherwise take exponential time.
const MAX_CALLS: usize = 1 << 16;

/// Why a layer cannot be applied to its inputs.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("layer \"{layer}\" ({class}): {reason}")]
pub struct ShapeError {
    /// The layer's name.
    pub layer: String,
    /// Its Keras class.
    pub class: String,
    /// What does not fit, with the shapes.
    pub reason: String,
}

/// A shape as Keras prints it, without the batch axis: `(28, 28, 1)`, `(None, 3)`, `()`.
#[must_use]
pub fn display(shape: &[Option<usize>]) -> String {
    let axes: Vec<String> = shape
        .iter()
        .map(|d| d.map_or_else(|| "None".to_owned(), |d| d.to_string()))
        .collect();
    format!("({})", axes.join(", "))
}

/// Fills the output shapes of every call of `model`, whose calls are given in `order`: a call after
/// all that it takes its inputs from. `known` gives the output shapes of layers whose class is
/// unknown, where the file states them.
///
/// A call whose inputs have unknown shapes gets none (an empty list).
///
/// # Errors
/// If a layer cannot be applied to its inputs, or if an output would have an axis of length 0 or more
/// than [`MAX_ELEMENTS`] elements.
pub(crate) fn infer_model(
    model: &mut Model,
    order: &[(usize, usize)],
    known: impl Fn(TensorRef) -> Option<Shape>,
) -> Result<(), ShapeError> {
    let mut budget = MAX_CALLS;
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
                check(shape).map_err(|reason| error(&model.layers[layer], reason))?;
            }
        }
        model.layers[layer].calls[call].output_shapes = shapes;
    }
    Ok(())
}

/// The shapes that a call is applied to, or nothing where one of them is unknown.
fn inputs_of(model: &Model, layer: usize, call: usize) -> Option<Vec<Shape>> {
    model.layers[layer].calls[call]
        .inputs
        .iter()
        .map(|&r| shape_of(model, r).cloned())
        .collect()
}

/// The shape of a tensor of the model, where it is known.
pub(crate) fn shape_of(model: &Model, tensor: TensorRef) -> Option<&Shape> {
    model
        .layers
        .get(tensor.layer)?
        .calls
        .get(tensor.call)?
        .output_shapes
        .get(tensor.tensor)
}

fn too_many_calls() -> String {
    format!("the nested models make more than {MAX_CALLS} calls of layers")
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
    budget: &mut usize,
) -> Result<Vec<Shape>, ShapeError> {
    *budget = budget
        .checked_sub(1)
        .ok_or_else(|| error(layer, too_many_calls()))?;
    if let LayerConfig::Model(inner) = &layer.config {
        return infer_nested(layer, inner, inputs, budget);
    }
    if let LayerConfig::TimeDistributed { layer: inner } = &layer.config {
        let input = single(inputs).map_err(|reason| error(layer, reason))?;
        let Some((time, rest)) = input.split_first() else {
            return Err(error(layer, "its input has no time axis".to_owned()));
        };
        let mut outputs = infer_within(inner, &[rest.to_vec()], budget)?;
        for shape in &mut outputs {
            shape.insert(0, *time);
            check(shape).map_err(|reason| error(layer, reason))?;
        }
        return Ok(outputs);
    }
    let shape = match output(&layer.config, inputs) {
        Ok(Some(shape)) => shape,
        Ok(None) => return Ok(Vec::new()),
        Err(reason) => return Err(error(layer, reason)),
    };
    check(&shape).map_err(|reason| error(layer, reason))?;
    Ok(vec![shape])
}

/// The outputs of a model that is used as a layer.
fn infer_nested(
    layer: &Layer,
    model: &Model,
    inputs: &[Shape],
    budget: &mut usize,
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
        let declared = shape_of(model, tensor).map_or(&[][..], Vec::as_slice);
        let fits = declared.len() == given.len()
            && (declared.iter().zip(given)).all(|(d, g)| d.is_none() || g.is_none() || d == g);
        if !fits {
            return Err(error(
                layer,
                format!(
                    "the model's input has shape {}, but it is given {}",
                    display(declared),
                    display(given)
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
    let stored = outputs(&|tensor| shape_of(model, tensor).cloned());
    if same || stored.len() < model.outputs.len() {
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
            *budget = budget
                .checked_sub(1)
                .ok_or_else(|| error(layer, too_many_calls()))?;
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

/// The number of elements, where every axis is known.
fn elements(shape: &[Option<usize>]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| d.and_then(|d| n.checked_mul(d)))
}

/// Refuses axes of length 0 and shapes that no model has.
fn check(shape: &[Option<usize>]) -> Result<(), String> {
    if shape.contains(&Some(0)) {
        return Err(format!(
            "a tensor of shape {} has an axis of length 0",
            display(shape)
        ));
    }
    let mut known = 1usize;
    for d in shape.iter().flatten() {
        known = known
            .checked_mul(*d)
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| {
                format!(
                    "a tensor of shape {} has more than {MAX_ELEMENTS} elements, the most that is supported",
                    display(shape)
                )
            })?;
    }
    Ok(())
}

fn single(inputs: &[Shape]) -> Result<&Shape, String> {
    match inputs {
        [input] => Ok(input),
        _ => Err(format!("it takes one input, but is given {}", inputs.len())),
    }
}

fn of_rank(inputs: &[Shape], rank: usize) -> Result<&Shape, String> {
    let input = single(inputs)?;
    if input.len() == rank {
        Ok(input)
    } else {
        Err(format!(
            "it takes an input of rank {rank} (without the batch axis), but is given {}",
            display(input)
        ))
    }
}

/// Where the channels and the spatial axes of a shape of `rank` spatial axes stand.
fn axes(rank: usize, format: DataFormat) -> (usize, std::ops::Range<usize>) {
    match format {
        DataFormat::ChannelsLast => (rank, 0..rank),
        DataFormat::ChannelsFirst => (0, 1..rank + 1),
    }
}

/// The index, without the batch axis, of an axis that counts the batch axis as 0 and may be negative.
pub(crate) fn axis_index(axis: isize, rank: usize) -> Result<usize, String> {
    let batched = isize::try_from(rank + 1).unwrap_or(isize::MAX);
    let positive = if axis < 0 { axis + batched } else { axis };
    if positive == 0 {
        return Err(format!("axis {axis} is the batch axis"));
    }
    usize::try_from(positive - 1)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| {
            format!("axis {axis} is outside of an input of rank {rank} (without the batch axis)")
        })
}

/// The number of places of a window of `k` with step `s` over `n`.
fn windows(n: usize, k: usize, s: usize, d: usize, padding: Padding) -> Result<usize, String> {
    let reach = span(k, d)?;
    match padding {
        Padding::Same | Padding::Causal => Ok(n.div_ceil(s)),
        Padding::Valid => Ok(n.checked_sub(reach).ok_or_else(|| {
            format!("a window over {reach} places does not fit into an axis of length {n}")
        })? / s
            + 1),
    }
}

fn conv_shape(
    conv: &Conv,
    inputs: &[Shape],
    channels: impl Fn(Option<usize>) -> Option<usize>,
    place: impl Fn(usize, usize) -> Result<usize, String>,
) -> Result<Shape, String> {
    let input = of_rank(inputs, conv.rank + 1)?;
    let (channel, spatial) = axes(conv.rank, conv.data_format);
    let mut out = input.clone();
    for (i, axis) in spatial.enumerate() {
        out[axis] = input[axis].map(|n| place(n, i)).transpose()?;
    }
    out[channel] = channels(input[channel]);
    Ok(out)
}

fn convolved(
    conv: &Conv,
    inputs: &[Shape],
    channels: impl Fn(Option<usize>) -> Option<usize>,
) -> Result<Shape, String> {
    conv_shape(conv, inputs, channels, |n, i| {
        windows(
            n,
            conv.kernel_size[i],
            conv.strides[i],
            conv.dilation_rate[i],
            conv.padding,
        )
    })
}

/// The shape that merging layers other than `Concatenate` give: axes are aligned at the end, and a
/// length of 1 stretches.
fn broadcast(a: &[Option<usize>], b: &[Option<usize>]) -> Result<Shape, String> {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut out = long.to_vec();
    let skip = long.len() - short.len();
    for (x, &y) in out[skip..].iter_mut().zip(short) {
        *x = match (*x, y) {
            (Some(1), y) => y,
            (x, Some(1)) => x,
            (None, _) | (_, None) => None,
            (Some(m), Some(n)) if m == n => Some(m),
            _ => {
                return Err(format!(
                    "inputs of shapes {} and {} cannot be merged",
                    display(a),
                    display(b)
                ));
            }
        };
    }
    Ok(out)
}

fn concatenate(axis: isize, inputs: &[Shape]) -> Result<Shape, String> {
    let Some((first, rest)) = inputs.split_first() else {
        return Err("it takes at least one input".to_owned());
    };
    let axis = axis_index(axis, first.len())?;
    let mut out = first.clone();
    for input in rest {
        let fits = input.len() == out.len()
            && (0..out.len())
                .filter(|&i| i != axis)
                .all(|i| out[i].is_none() || input[i].is_none() || out[i] == input[i]);
        if !fits {
            return Err(format!(
                "inputs of shapes {} and {} cannot be concatenated along axis {}",
                display(first),
                display(input),
                axis + 1
            ));
        }
        for i in 0..out.len() {
            out[i] = if i == axis {
                match (out[i], input[i]) {
                    (Some(a), Some(b)) => Some(add(a, b)?),
                    _ => None,
                }
            } else {
                out[i].or(input[i])
            };
        }
    }
    Ok(out)
}

fn reshape(input: &Shape, target: &[isize]) -> Result<Shape, String> {
    let refuse = || {
        let target: Vec<String> = target.iter().map(ToString::to_string).collect();
        format!(
            "an input of shape {} cannot be reshaped to ({})",
            display(input),
            target.join(", ")
        )
    };
    let mut out: Shape = target.iter().map(|&d| usize::try_from(d).ok()).collect();
    let known = out
        .iter()
        .flatten()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .ok_or_else(refuse)?;
    let open: Vec<usize> = (0..out.len()).filter(|&i| out[i].is_none()).collect();
    let Some(total) = elements(input) else {
        return if open.len() <= 1 {
            Ok(out)
        } else {
            Err(refuse())
        };
    };
    match open[..] {
        [] if known == total => {}
        [i] if target[i] == -1 && known > 0 && total % known == 0 => out[i] = Some(total / known),
        _ => return Err(refuse()),
    }
    Ok(out)
}

fn add(a: usize, b: usize) -> Result<usize, String> {
    a.checked_add(b)
        .ok_or_else(|| format!("the length {a} + {b} is out of range"))
}

fn mul(a: usize, b: usize) -> Result<usize, String> {
    a.checked_mul(b)
        .ok_or_else(|| format!("the length {a} * {b} is out of range"))
}

fn recurrent(inputs: &[Shape], units: usize, sequences: bool) -> Result<Shape, String> {
    let input = of_rank(inputs, 2)?;
    Ok(if sequences {
        vec![input[0], Some(units)]
    } else {
        vec![Some(units)]
    })
}

/// An input with a time axis first, which only the last step leaves unless `sequences`.
fn temporal(inputs: &[Shape], sequences: bool) -> Result<Shape, String> {
    let input = single(inputs)?;
    match input.split_first() {
        Some(_) if sequences => Ok(input.clone()),
        Some((_, rest)) => Ok(rest.to_vec()),
        None => Err("its input has no time axis".to_owned()),
    }
}

/// The output's shape; nothing where the layer's class is unknown.
fn output(config: &LayerConfig, inputs: &[Shape]) -> Result<Option<Shape>, String> {
    let shape = match config {
        LayerConfig::Input { shape } => {
            if !inputs.is_empty() {
                return Err("an input layer takes no inputs".to_owned());
            }
            shape.clone()
        }
        LayerConfig::Conv(conv) => convolved(conv, inputs, |_| Some(conv.filters))?,
        LayerConfig::SeparableConv { conv, .. } => convolved(conv, inputs, |_| Some(conv.filters))?,
        LayerConfig::DepthwiseConv {
            conv,
            depth_multiplier,
        } => {
            let shape = convolved(conv, inputs, |n| n)?;
            let (channel, _) = axes(conv.rank, conv.data_format);
            let mut out = shape;
            out[channel] = out[channel]
                .map(|n| mul(n, *depth_multiplier))
                .transpose()?;
            out
        }
        LayerConfig::ConvTranspose(conv) => conv_shape(
            conv,
            inputs,
            |_| Some(conv.filters),
            |n, i| {
                let reach = span(conv.kernel_size[i], conv.dilation_rate[i])?;
                let scaled = mul(n, conv.strides[i])?;
                match conv.padding {
                    Padding::Valid => add(scaled, reach.saturating_sub(conv.strides[i])),
                    Padding::Same | Padding::Causal => Ok(scaled),
                }
            },
        )?,
        LayerConfig::Dense { units, .. } => {
            let mut out = single(inputs)?.clone();
            match out.last_mut() {
                Some(last @ Some(_)) => *last = Some(*units),
                _ => {
                    return Err(format!(
                        "its input of shape {} has no last axis of known length",
                        display(&out)
                    ));
                }
            }
            out
        }
        LayerConfig::Activation { .. }
        | LayerConfig::Relu { .. }
        | LayerConfig::LeakyRelu { .. }
        | LayerConfig::PRelu { .. }
        | LayerConfig::Elu { .. }
        | LayerConfig::Rescaling { .. }
        | LayerConfig::Dropout { .. }
        | LayerConfig::Noise => single(inputs)?.clone(),
        LayerConfig::Softmax { axis } | LayerConfig::BatchNormalization { axis, .. } => {
            let input = single(inputs)?;
            axis_index(*axis, input.len())?;
            input.clone()
        }
        LayerConfig::LayerNormalization { axis, .. } => {
            let input = single(inputs)?;
            for &axis in axis {
                axis_index(axis, input.len())?;
            }
            input.clone()
        }
        LayerConfig::Add
        | LayerConfig::Average
        | LayerConfig::Subtract
        | LayerConfig::Multiply
        | LayerConfig::Maximum
        | LayerConfig::Minimum => {
            let (first, rest) = (inputs.split_first())
                .filter(|(_, rest)| !rest.is_empty())
                .ok_or_else(|| {
                    format!(
                        "it merges at least two inputs, but is given {}",
                        inputs.len()
                    )
                })?;
            if matches!(config, LayerConfig::Subtract) && rest.len() != 1 {
                return Err(format!(
                    "it takes two inputs, but is given {}",
                    inputs.len()
                ));
            }
            rest.iter()
                .try_fold(first.clone(), |out, input| broadcast(&out, input))?
        }
        LayerConfig::Concatenate { axis } => concatenate(*axis, inputs)?,
        LayerConfig::Flatten { .. } => {
            let input = single(inputs)?;
            check(input)?;
            vec![elements(input)]
        }
        LayerConfig::Reshape { target_shape } => reshape(single(inputs)?, target_shape)?,
        LayerConfig::Permute { dims } => {
            let input = single(inputs)?;
            let mut sorted = dims.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(1..=input.len()) {
                return Err(format!(
                    "the axes {dims:?} are no permutation of those of an input of shape {}",
                    display(input)
                ));
            }
            dims.iter().map(|&d| input[d - 1]).collect()
        }
        LayerConfig::RepeatVector { n } => vec![Some(*n), of_rank(inputs, 1)?[0]],
        LayerConfig::Pool {
            rank,
            pool_size,
            strides,
            padding,
            data_format,
            ..
        } => {
            let input = of_rank(inputs, rank + 1)?;
            let (_, spatial) = axes(*rank, *data_format);
            let mut out = input.clone();
            for (i, axis) in spatial.enumerate() {
                out[axis] = input[axis]
                    .map(|n| windows(n, pool_size[i], strides[i], 1, *padding))
                    .transpose()?;
            }
            out
        }
        LayerConfig::GlobalPool {
            rank,
            data_format,
            keepdims,
            ..
        } => {
            let input = of_rank(inputs, rank + 1)?;
            let (channel, spatial) = axes(*rank, *data_format);
            if *keepdims {
                let mut out = input.clone();
                out[spatial].fill(Some(1));
                out
            } else {
                vec![input[channel]]
            }
        }
        LayerConfig::UpSampling {
            rank,
            size,
            data_format,
            ..
        } => {
            let mut out = of_rank(inputs, rank + 1)?.clone();
            for (i, axis) in axes(*rank, *data_format).1.enumerate() {
                out[axis] = out[axis].map(|n| mul(n, size[i])).transpose()?;
            }
            out
        }
        LayerConfig::ZeroPadding {
            rank,
            padding,
            data_format,
        } => {
            let mut out = of_rank(inputs, rank + 1)?.clone();
            for (i, axis) in axes(*rank, *data_format).1.enumerate() {
                let (before, after) = padding[i];
                out[axis] = out[axis].map(|n| add(add(n, before)?, after)).transpose()?;
            }
            out
        }
        LayerConfig::Cropping {
            rank,
            cropping,
            data_format,
        } => {
            let mut out = of_rank(inputs, rank + 1)?.clone();
            for (i, axis) in axes(*rank, *data_format).1.enumerate() {
                let (before, after) = cropping[i];
                out[axis] = out[axis]
                    .map(|n| {
                        n.checked_sub(before)
                            .and_then(|n| n.checked_sub(after))
                            .ok_or_else(|| {
                                format!(
                                    "it crops {before} and {after} places of an axis of length {n}"
                                )
                            })
                    })
                    .transpose()?;
            }
            out
        }
        LayerConfig::Embedding { output_dim, .. } => {
            let mut out = single(inputs)?.clone();
            out.push(Some(*output_dim));
            out
        }
        LayerConfig::SimpleRnn {
            units,
            return_sequences,
            ..
        }
        | LayerConfig::Gru {
            units,
            return_sequences,
            ..
        }
        | LayerConfig::Lstm {
            units,
            return_sequences,
            ..
        } => recurrent(inputs, *units, *return_sequences)?,
        LayerConfig::SpikingActivation {
            return_sequences, ..
        }
        | LayerConfig::Lowpass {
            return_sequences, ..
        }
        | LayerConfig::Alpha {
            return_sequences, ..
        } => temporal(inputs, *return_sequences)?,
        // Both are handled by the caller, which has the layer.
        LayerConfig::TimeDistributed { .. } | LayerConfig::Model(_) => return Ok(None),
        LayerConfig::Unknown { .. } => return Ok(None),
    };
    Ok(Some(shape))
}

/// How many places a window of `k` dilated by `d` spans.
fn span(k: usize, d: usize) -> Result<usize, String> {
    add(mul(k.saturating_sub(1), d)?, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        infer_within(&layer, &inputs, &mut MAX_CALLS.clone())
    }

    // What Keras infers for the layers is in the importer's fixtures; here is what it refuses.
    #[test]
    fn refuses_what_does_not_fit() {
        let pool = |pool_size: usize| LayerConfig::Pool {
            kind: crate::keras::model::PoolKind::Max,
            rank: 1,
            pool_size: vec![pool_size],
            strides: vec![1],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
        };
        let pad = |n| LayerConfig::ZeroPadding {
            rank: 1,
            padding: vec![(n, n)],
            data_format: DataFormat::ChannelsLast,
        };
        let up = |n| LayerConfig::UpSampling {
            rank: 1,
            size: vec![n],
            data_format: DataFormat::ChannelsLast,
            interpolation: "nearest".to_owned(),
        };
        let reshape = |shape: &[isize]| LayerConfig::Reshape {
            target_shape: shape.to_vec(),
        };
        let cases: Vec<(LayerConfig, &[&[usize]], &str)> = vec![
            (pool(6), &[&[5, 2]], "window over 6 places"),
            (pool(2), &[&[5]], "rank 2"),
            (pool(2), &[&[5, 2], &[5, 2]], "given 2"),
            (pad(usize::MAX), &[&[5, 2]], "out of range"),
            (up(usize::MAX), &[&[5, 2]], "out of range"),
            (up(MAX_ELEMENTS), &[&[1, 2]], "elements"),
            (reshape(&[4, 4]), &[&[5, 3]], "cannot be reshaped to (4, 4)"),
            (reshape(&[-1, -1]), &[&[5, 3]], "cannot be reshaped"),
            (reshape(&[-1, 0]), &[&[5, 3]], "cannot be reshaped"),
            (LayerConfig::Add, &[&[5, 3], &[5, 2]], "cannot be merged"),
            (LayerConfig::Add, &[&[5, 3]], "at least two"),
            (LayerConfig::Subtract, &[&[5], &[5], &[5]], "two inputs"),
            (
                LayerConfig::Concatenate { axis: 0 },
                &[&[5], &[5]],
                "batch axis",
            ),
            (
                LayerConfig::Concatenate { axis: -1 },
                &[&[5, 3], &[4, 3]],
                "concatenated",
            ),
            (
                LayerConfig::Concatenate { axis: isize::MIN },
                &[&[5]],
                "outside",
            ),
            (
                LayerConfig::Permute { dims: vec![1, 1] },
                &[&[5, 3]],
                "permutation",
            ),
            (LayerConfig::RepeatVector { n: 2 }, &[&[5, 3]], "rank 1"),
        ];
        for (config, inputs, part) in cases {
            let error = infer(config, inputs).unwrap_err();
            assert!(error.to_string().contains(part), "{part}: {error}");
            assert_eq!((error.layer.as_str(), error.class.as_str()), ("l", "L"));
        }
    }

    #[test]
    fn unknown_lengths_stay_unknown() {
        assert_eq!(
            reshape(&vec![None, Some(4)], &[-1, 2]),
            Ok(vec![None, Some(2)])
        );
        assert_eq!(
            broadcast(&[None, Some(1)], &[Some(3)]),
            Ok(vec![None, Some(3)])
        );
        assert_eq!(
            concatenate(1, &[vec![None, Some(4)], vec![Some(2), Some(4)]]),
            Ok(vec![None, Some(4)])
        );
        assert_eq!(display(&[None, Some(3)]), "(None, 3)");
        assert_eq!(display(&[]), "()");
    }
}
