//! Shapes, orders and parts of tensors, of constants as of what depends on an input.

use std::rc::Rc;

use super::super::build::Live;
use super::super::call::{Call, Value, axis, item_axis};
use super::super::constant::{Constant, Data, Elements, elements, size};
use super::elementwise::lengths;
use super::window::zeros;
use crate::keras::forward::axes;
use crate::keras::model::{
    Concatenate, DataFormat, LayerConfig, Permute, Places, Reshape, Slice, UpSampling,
};

/// The value under another shape, which includes the batch axis.
fn reshaped(call: &mut Call<'_>, value: &Value, shape: Vec<usize>) -> Result<Value, String> {
    match value {
        Value::Constant(constant) => Ok(constant.reshaped(shape)?.into()),
        Value::Live(live) => {
            let item = match shape.split_first() {
                Some((&first, item)) if first == call.batch => item,
                _ => {
                    return Err(format!(
                        "it makes {shape:?} of {:?}, whose first axis is the batch and has to stay; export the network \
                         with the batch as first axis of every tensor",
                        call.shape(value)
                    ));
                }
            };
            if item == live.item {
                return Ok(value.clone());
            }
            let target_shape = lengths(item)?;
            let made = call.layer("", Reshape { target_shape }, Vec::new(), &[live])?;
            let rectified = live.rectified;
            Ok(Live { rectified, ..made }.into())
        }
    }
}

/// `Flatten`: two axes.
pub(super) fn flatten(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let shape = call.shape(&value);
    let number = call.node.int("axis", 1)?;
    // The axis may stand behind the last one.
    let at = axis(number, shape.len() + usize::from(number >= 0))?;
    let (first, last) = shape.split_at(at);
    reshaped(call, &value, vec![size(first)?, size(last)?])
}

/// `Reshape`: 0 keeps a length, -1 is what is left.
pub(super) fn reshape(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let from = call.shape(&value);
    let target = call.integers(1)?.ok_or("its target shape is missing")?;
    let keeps = !call.node.flag("allowzero", false)?;
    let refuse = || format!("{from:?} cannot be reshaped to {target:?}");
    let mut shape = Vec::new();
    let mut open = None;
    for (at, &length) in target.iter().enumerate() {
        shape.push(match length {
            0 if keeps => *from.get(at).ok_or_else(refuse)?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            length => usize::try_from(length).map_err(|_| refuse())?,
        });
    }
    let total: usize = from.iter().product();
    let known = (shape.iter()).try_fold(1usize, |n, &d| n.checked_mul(d));
    let known = known.ok_or_else(refuse)?;
    match open {
        Some(at) if known > 0 && total.is_multiple_of(known) => shape[at] = total / known,
        None if known == total => {}
        _ => return Err(refuse()),
    }
    reshaped(call, &value, shape)
}

/// `Squeeze`: without the axes of length 1 that it names; else without all of them except the batch.
pub(super) fn squeeze(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let mut shape = call.shape(&value);
    let first = usize::from(matches!(value, Value::Live(_)));
    let gone: Vec<usize> = match call.integers_or(1, "axes")? {
        Some(numbers) => (numbers.iter())
            .map(|&number| axis(number, shape.len()))
            .collect::<Result<_, _>>()?,
        None => (first..shape.len()).filter(|&at| shape[at] == 1).collect(),
    };
    if let Some(&at) = gone.iter().find(|&&at| shape[at] != 1) {
        return Err(format!("axis {at} of {shape:?} is longer than 1"));
    }
    if first == 1 && gone.contains(&0) {
        return Err(
            "it removes the batch axis; export the network with the batch as first axis".to_owned(),
        );
    }
    let mut at = 0;
    shape.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
    reshaped(call, &value, shape)
}

/// `Unsqueeze`.
pub(super) fn unsqueeze(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let shape = call.shape(&value);
    let numbers = call.integers_or(1, "axes")?.ok_or("its axes are missing")?;
    let rank = shape.len() + numbers.len();
    let new = (numbers.iter())
        .map(|&number| axis(number, rank))
        .collect::<Result<Vec<_>, _>>()?;
    let mut old = shape.iter();
    let full: Vec<usize> = (0..rank)
        .map(|at| match new.contains(&at) {
            true => 1,
            false => old.next().copied().unwrap_or(1),
        })
        .collect();
    reshaped(call, &value, full)
}

/// `Transpose`. Two of them in a row are one, or none.
pub(super) fn transpose(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let rank = call.shape(&value).len();
    let order = match call.node.ints("perm")? {
        Some(perm) => (perm.iter())
            .map(|&number| axis(number, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank) {
        return Err(format!("its perm {order:?} is no order of {rank} axes"));
    }
    let live = match value {
        Value::Constant(constant) => return Ok(constant.permuted(&order).into()),
        Value::Live(live) => live,
    };
    let [0, dims @ ..] = &order[..] else {
        return Err(format!(
            "its perm {order:?} moves the batch axis; export the network with the batch as first axis"
        ));
    };
    let (source, dims) = match call.build.permuted(&live) {
        Some((source, before)) => (source, dims.iter().map(|&d| before[d - 1]).collect()),
        None => (live, dims.to_vec()),
    };
    if dims.iter().copied().eq(1..rank) {
        return Ok(source.into());
    }
    let made = call.layer("", Permute { dims }, Vec::new(), &[&source])?;
    let rectified = source.rectified;
    Ok(Live { rectified, ..made }.into())
}

/// `Concat`.
pub(super) fn concat(call: &mut Call<'_>) -> Result<Value, String> {
    let number = call.node.int("axis", 1)?;
    let values = (0..call.inputs.len())
        .map(|at| call.value(at))
        .collect::<Result<Vec<_>, _>>()?;
    let constants: Option<Vec<Rc<Constant>>> = (values.iter())
        .map(|value| match value {
            Value::Constant(constant) => Some(Rc::clone(constant)),
            Value::Live(_) => None,
        })
        .collect();
    if let Some(constants) = constants {
        return Ok(joined(&constants, number)?.into());
    }
    let all = (0..values.len())
        .map(|at| call.live(at))
        .collect::<Result<Vec<_>, _>>()?;
    let [first, rest @ ..] = &all[..] else {
        return Err("it has no inputs".to_owned());
    };
    if rest.is_empty() {
        return Ok(first.clone().into());
    }
    let at = item_axis(number, first)? + 1;
    let config = Concatenate {
        axis: isize::try_from(at).map_err(|e| e.to_string())?,
    };
    let made = call.layer("", config, Vec::new(), &all.iter().collect::<Vec<_>>())?;
    let rectified = all.iter().all(|live| live.rectified);
    Ok(Live { rectified, ..made }.into())
}

fn joined(constants: &[Rc<Constant>], number: i64) -> Result<Constant, String> {
    let first = constants.first().ok_or("it has no inputs")?;
    let at = axis(number, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[at] = 0;
    for constant in constants {
        let mut other = constant.shape.clone();
        let length = other.get(at).copied().unwrap_or(0);
        if other.len() == shape.len() {
            other[at] = shape[at];
        }
        if other != shape {
            return Err(format!(
                "{:?} and {:?} cannot be joined along axis {at}",
                first.shape, constant.shape
            ));
        }
        shape[at] = shape[at].checked_add(length).ok_or("it is too long")?;
    }
    size(&shape)?;
    let before: usize = shape[..at].iter().product();
    let rows = |c: &Constant| c.shape[at..].iter().product::<usize>();
    let integers = constants.iter().all(|c| c.as_integers().is_some());
    let data = if integers {
        let mut data = Vec::new();
        for row in 0..before {
            for constant in constants {
                let n = rows(constant);
                data.extend_from_slice(&constant.as_integers().unwrap_or_default()[row * n..][..n]);
            }
        }
        Data::Integers(data)
    } else {
        let floats: Vec<Vec<f32>> = constants.iter().map(|c| c.floats()).collect();
        let mut data = Vec::new();
        for row in 0..before {
            for (constant, floats) in constants.iter().zip(&floats) {
                let n = rows(constant);
                data.extend_from_slice(&floats[row * n..][..n]);
            }
        }
        Data::Floats(data)
    };
    Ok(Constant { shape, data })
}

/// Places along an axis, from a start by steps.
struct Run {
    start: usize,
    count: usize,
    step: i64,
}

/// The places that a start, an end and a step name along an axis, by ONNX's rules.
fn run(start: i64, end: i64, step: i64, length: usize) -> Result<Run, String> {
    let n = i64::try_from(length).map_err(|e| e.to_string())?;
    if n == 0 {
        return Ok(Run {
            start: 0,
            count: 0,
            step: 1,
        });
    }
    let counted = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
    let (start, end) = match step {
        0 => return Err("a step is 0".to_owned()),
        1.. => (counted(start).clamp(0, n), counted(end).clamp(0, n)),
        _ => (
            counted(start).clamp(0, n - 1),
            counted(end).clamp(-1, n - 1),
        ),
    };
    let distance = if step > 0 { end - start } else { start - end };
    let count = if distance > 0 {
        (distance.unsigned_abs() - 1) / step.unsigned_abs() + 1
    } else {
        0
    };
    Ok(Run {
        start: usize::try_from(start).unwrap_or(0),
        count: usize::try_from(count).map_err(|e| e.to_string())?,
        step,
    })
}

/// `Slice`.
pub(super) fn slice(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let shape = call.shape(&value);
    let starts = call.integers(1)?.ok_or("its starts are missing")?;
    let ends = call.integers(2)?.ok_or("its ends are missing")?;
    let numbers = call.integers(3)?;
    let numbers = numbers.unwrap_or_else(|| (0i64..).take(starts.len()).collect());
    let steps = call.integers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), numbers.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps are of different lengths".to_owned());
    }
    let mut runs: Vec<Run> = (shape.iter())
        .map(|&count| Run {
            start: 0,
            count,
            step: 1,
        })
        .collect();
    for (((&start, end), number), step) in starts.iter().zip(ends).zip(numbers).zip(steps) {
        let at = axis(number, shape.len())?;
        runs[at] = run(start, end, step, shape[at])?;
    }
    match value {
        Value::Constant(constant) => picked(&constant, &runs),
        Value::Live(live) => {
            if runs[0].count != call.batch || runs[0].step != 1 {
                return Err("it takes a part of the batch".to_owned());
            }
            let places = runs[1..].iter().map(places).collect::<Result<_, _>>()?;
            cut(call, "", &live, places)
        }
    }
}

/// The values of a constant at these places of each axis.
fn picked(constant: &Constant, runs: &[Run]) -> Result<Value, String> {
    let shape: Vec<usize> = runs.iter().map(|run| run.count).collect();
    let total = size(&shape)?;
    let strides = axes::strides(&constant.shape);
    let along = |run: &Run, at: usize| {
        let offset = run.step.unsigned_abs() as usize * at;
        if run.step > 0 {
            run.start + offset
        } else {
            run.start - offset
        }
    };
    let counts = axes::strides(&shape);
    let places = (0..total).map(|index| {
        (0..shape.len())
            .map(|axis| along(&runs[axis], index / counts[axis] % shape[axis]) * strides[axis])
            .sum()
    });
    Ok(constant.pick(shape.clone(), places).into())
}

/// The same places in a layer's terms.
fn places(run: &Run) -> Result<Places, String> {
    let step = usize::try_from(run.step).map_err(|_| "it goes backwards, which has no layer")?;
    let at = |place: usize| isize::try_from(place).map_err(|e| e.to_string());
    let stop = run
        .count
        .saturating_sub(1)
        .saturating_mul(step)
        .saturating_add(run.start);
    Ok(Places::Range {
        start: Some(at(run.start)?),
        stop: Some(at(stop.saturating_add(usize::from(run.count > 0)))?),
        step,
    })
}

fn cut(call: &mut Call<'_>, part: &str, live: &Live, places: Vec<Places>) -> Result<Value, String> {
    let made = call.layer(part, Slice { places }, Vec::new(), &[live])?;
    let rectified = live.rectified;
    Ok(Live { rectified, ..made }.into())
}

const ALL: Places = Places::Range {
    start: None,
    stop: None,
    step: 1,
};

/// `Split`: parts along an axis.
pub(super) fn split(call: &mut Call<'_>) -> Result<Vec<Value>, String> {
    let live = call.live(0)?;
    let at = item_axis(call.node.int("axis", 0)?, &live)?;
    let n = live.item[at];
    let parts = call.node.outputs.len().max(1);
    call.node.int("num_outputs", 0)?;
    let sizes = match call.integers_or(1, "split")? {
        Some(sizes) => sizes
            .iter()
            .map(|&d| usize::try_from(d).map_err(|_| format!("a part has the length {d}")))
            .collect::<Result<Vec<_>, _>>()?,
        None => {
            let each = n.div_ceil(parts);
            (0..parts)
                .map(|k| each.min(n.saturating_sub(k * each)))
                .collect()
        }
    };
    if sizes.len() != parts || sizes.iter().try_fold(0usize, |a, &b| a.checked_add(b)) != Some(n) {
        return Err(format!(
            "its parts of {sizes:?} are not the {n} places of the axis"
        ));
    }
    let mut start = 0;
    let mut made = Vec::new();
    for (k, count) in sizes.into_iter().enumerate() {
        let mut all = vec![ALL; at];
        all.push(places(&Run {
            start,
            count,
            step: 1,
        })?);
        made.push(cut(call, &format!("part{k}"), &live, all)?);
        start += count;
    }
    Ok(made)
}

/// `Gather` with constant indices: any of a constant, one place or neighbours of other tensors.
pub(super) fn gather(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let shape = call.shape(&value);
    let at = axis(call.node.int("axis", 0)?, shape.len())?;
    let indices = call.needed(1)?;
    let numbers = indices.as_integers().ok_or("its indices are floats")?;
    let found = (numbers.iter())
        .map(|&number| {
            axis(number, shape[at]).map_err(|_| format!("it takes place {number} of {}", shape[at]))
        })
        .collect::<Result<Vec<_>, _>>()?;
    match value {
        Value::Constant(constant) => {
            let full = [&shape[..at], &indices.shape, &shape[at + 1..]].concat();
            size(&full)?;
            let after: usize = shape[at + 1..].iter().product();
            let before: usize = shape[..at].iter().product();
            let from = shape[at];
            let places = (0..before).flat_map(|b| {
                (found.iter())
                    .flat_map(move |&i| (0..after).map(move |a| (b * from + i) * after + a))
            });
            Ok(constant.pick(full, places).into())
        }
        Value::Live(live) => {
            let item = at.checked_sub(1).ok_or("it takes parts of the batch")?;
            let place = match (&indices.shape[..], &found[..]) {
                ([], &[one]) => Places::At(isize::try_from(one).map_err(|e| e.to_string())?),
                ([_], &[first, ..]) if found.iter().copied().eq(first..first + found.len()) => {
                    places(&Run {
                        start: first,
                        count: found.len(),
                        step: 1,
                    })?
                }
                _ => return Err("it takes places that are no neighbours".to_owned()),
            };
            let mut all = vec![ALL; item];
            all.push(place);
            cut(call, "", &live, all)
        }
    }
}

/// `Pad` with zeros.
pub(super) fn pad(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let mode = call.node.text("mode", "constant")?;
    if mode != "constant" {
        return Err(format!("it pads in mode {mode}; train with zeros instead"));
    }
    let numbers = call.integers_or(1, "pads")?.ok_or("its pads are missing")?;
    let value = match call.scalar(2)? {
        Some(value) => value,
        None => call.node.float("value", 0.0)?,
    };
    let chosen = match call.integers(3)? {
        Some(numbers) => (numbers.iter())
            .map(|&number| axis(number, live.rank()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..live.rank()).collect(),
    };
    if numbers.len() != 2 * chosen.len() {
        return Err(format!(
            "its pads are {} numbers for {} axes",
            numbers.len(),
            chosen.len()
        ));
    }
    let mut pads = vec![(0, 0); live.rank()];
    let pad = |number: i64| {
        usize::try_from(number)
            .map_err(|_| format!("it pads by {number}, and so crops; use Slice instead"))
    };
    for (k, &at) in chosen.iter().enumerate() {
        pads[at] = (pad(numbers[k])?, pad(numbers[k + chosen.len()])?);
    }
    if pads.iter().all(|&pads| pads == (0, 0)) {
        return Ok(live.into());
    }
    if value != 0.0 {
        return Err(format!("it pads with {value}; only zeros are supported"));
    }
    match &pads[..] {
        [(0, 0), (0, 0), spatial @ ..] if (1..=3).contains(&spatial.len()) => {
            Ok(zeros(call, &live, spatial.to_vec())?.into())
        }
        [(0, 0), all @ ..] if (1..=3).contains(&all.len()) => {
            // The channels are padded, too: one axis more stands for them.
            let under = |live: &Live, ones: usize| -> Result<LayerConfig, String> {
                let shape = [&vec![1; ones], &live.item[1 - ones..]].concat();
                Ok(Reshape {
                    target_shape: lengths(&shape)?,
                }
                .into())
            };
            let config = under(&live, 1)?;
            let inner = call.layer("channel", config, Vec::new(), &[&live])?;
            let padded = zeros(call, &inner, all.to_vec())?;
            let config = under(&padded, 0)?;
            Ok(call.layer("", config, Vec::new(), &[&padded])?.into())
        }
        _ => Err(format!(
            "it pads by {pads:?}: the batch, or more than three axes"
        )),
    }
}

/// `Resize` and `Upsample` by whole numbers, to the nearest place.
pub(super) fn resize(call: &mut Call<'_>) -> Result<Value, String> {
    let live = call.live(0)?;
    let node = call.node;
    let mode = node.text("mode", "nearest")?;
    let transformation = node.text("coordinate_transformation_mode", "half_pixel")?;
    let nearest = node.text("nearest_mode", "round_prefer_floor")?;
    node.text("keep_aspect_ratio_policy", "stretch")?;
    node.float("cubic_coeff_a", -0.75)?;
    node.float("extrapolation_value", 0.0)?;
    node.flag("exclude_outside", false)?;
    let alike = match transformation.as_str() {
        "asymmetric" => nearest == "floor",
        "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel" => {
            nearest.starts_with("round_prefer")
        }
        _ => false,
    };
    if mode != "nearest"
        || (!alike && node.op == "Resize")
        || node.has("axes")
        || node.flag("antialias", false)?
    {
        return Err(format!(
            "it resizes by mode {mode}, {transformation}, {nearest}; only repeated places are supported (nearest)"
        ));
    }
    let old = node.op == "Upsample";
    let scales = call
        .constant(if old { 1 } else { 2 })?
        .filter(|c| c.len() > 0);
    let rank = live.rank();
    let factors: Vec<usize> = match (scales, call.integers(3)?) {
        (Some(scales), _) => (scales.floats().iter())
            .map(|&scale| {
                (scale.fract() == 0.0 && (1.0..=1e6).contains(&scale))
                    .then_some(scale as usize)
                    .ok_or_else(|| format!("it resizes by {scale}; whole numbers are supported"))
            })
            .collect::<Result<_, _>>()?,
        (None, Some(sizes)) => (sizes.iter().zip([&[call.batch], &live.item[..]].concat()))
            .map(|(&to, from)| {
                (usize::try_from(to).ok())
                    .filter(|to| *to > 0 && to.is_multiple_of(from))
                    .map(|to| to / from)
                    .ok_or_else(|| {
                        format!("it resizes {from} places to {to}; multiples are supported")
                    })
            })
            .collect::<Result<_, _>>()?,
        (None, None) => return Err("its scales are missing".to_owned()),
    };
    let [1, 1, size @ ..] = &factors[..] else {
        return Err(format!(
            "it resizes by {factors:?}, and so batch or channels"
        ));
    };
    if factors.len() != rank || !(1..=3).contains(&size.len()) {
        return Err(format!("it resizes by {factors:?} a tensor of {rank} axes"));
    }
    let config = UpSampling {
        rank: size.len(),
        size: size.to_vec(),
        data_format: DataFormat::ChannelsFirst,
        interpolation: "nearest".to_owned(),
    };
    let made = call.layer("", config, Vec::new(), &[&live])?;
    let rectified = live.rectified;
    Ok(Live { rectified, ..made }.into())
}

/// `Expand` of a constant.
pub(super) fn expand(call: &mut Call<'_>) -> Result<Value, String> {
    let constant = call.needed(0)?;
    let target = call.integers(1)?.ok_or("its shape is missing")?;
    let shape = (target.iter())
        .map(|&d| usize::try_from(d).map_err(|_| format!("an axis has length {d}")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(constant.broadcast(&shape)?.into())
}

/// `Shape`: the lengths, with that of the batch.
pub(super) fn shape(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let shape = call.shape(&value);
    let n = i64::try_from(shape.len()).map_err(|e| e.to_string())?;
    let run = run(
        call.node.int("start", 0)?,
        call.node.int("end", n)?,
        1,
        shape.len(),
    )?;
    let lengths = (shape.iter().skip(run.start).take(run.count))
        .map(|&d| i64::try_from(d).map_err(|e| e.to_string()))
        .collect::<Result<_, _>>()?;
    Ok(Constant::integers(lengths).into())
}

/// `Constant`.
pub(super) fn constant(call: &mut Call<'_>) -> Result<Value, String> {
    let node = call.node;
    if let Some(tensor) = node.tensor("value")? {
        return Ok(tensor.into());
    }
    let scalar = |data| Constant {
        shape: Vec::new(),
        data,
    };
    Ok(if node.has("value_int") {
        scalar(Data::Integers(vec![node.int("value_int", 0)?])).into()
    } else if node.has("value_float") {
        scalar(Data::Floats(vec![node.float("value_float", 0.0)?])).into()
    } else if let Some(ints) = node.ints("value_ints")? {
        Constant::integers(ints).into()
    } else if let Some(floats) = node.floats("value_floats")? {
        let shape = vec![floats.len()];
        Constant {
            shape,
            data: Data::Floats(floats),
        }
        .into()
    } else {
        return Err("it has no value of numbers".to_owned());
    })
}

/// `ConstantOfShape`.
pub(super) fn constant_of_shape(call: &mut Call<'_>) -> Result<Value, String> {
    let shape = call.integers(0)?.ok_or("its shape is missing")?;
    let shape = (shape.iter())
        .map(|&d| usize::try_from(d).map_err(|_| format!("an axis has length {d}")))
        .collect::<Result<Vec<_>, _>>()?;
    let n = size(&shape)?;
    let value = call.node.tensor("value")?.map(|value| value.data);
    let data = match value {
        Some(Data::Integers(v)) if v.len() == 1 => Data::Integers(vec![v[0]; n]),
        Some(Data::Floats(v)) if v.len() == 1 => Data::Floats(vec![v[0]; n]),
        None => Data::Floats(vec![0.0; n]),
        Some(_) => return Err("its value is no single number".to_owned()),
    };
    Ok(Constant { shape, data }.into())
}

/// `Cast`: a tensor may become floats of another width, a constant integers, too.
pub(super) fn cast(call: &mut Call<'_>) -> Result<Value, String> {
    let value = call.value(0)?;
    let to = call.node.int("to", 0)?;
    call.node.flag("saturate", true)?;
    let to = i32::try_from(to).ok().and_then(elements);
    match (&value, to) {
        (Value::Live(_), Some(Elements::Floats)) => Ok(value),
        (Value::Constant(c), Some(to)) => {
            let data = match (&c.data, to) {
                (Data::Floats(values), Elements::Integers) => {
                    Data::Integers(values.iter().map(|&v| v as i64).collect())
                }
                (Data::Integers(_), Elements::Floats) => Data::Floats(c.floats()),
                _ => return Ok(value),
            };
            let shape = c.shape.clone();
            Ok(Constant { shape, data }.into())
        }
        _ => Err("it makes integers or texts of the network's values".to_owned()),
    }
}

/// `Identity`, and `ZipMap`, which names scores.
pub(super) fn same(call: &mut Call<'_>) -> Result<Value, String> {
    call.value(0)
}

/// `Dropout` at inference.
pub(super) fn dropout(call: &mut Call<'_>) -> Result<Value, String> {
    call.node.int("seed", 0)?;
    call.node.float("ratio", 0.5)?;
    if let Some(training) = call.constant(2)?
        && training.floats().iter().any(|&v| v != 0.0)
    {
        return Err("it is in training mode; export the network after model.eval()".to_owned());
    }
    call.value(0)
}
