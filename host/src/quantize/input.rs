//! Graph + Calibration → the bytes of each input, and the graph that sees them.
//!
//! A byte stands for scale (byte - zero point). One scale does for an input unless it costs the first layers
//! bits: features of different sizes, or sensors far from zero. Then each channel has a scale and a zero point of its
//! own. What the engine sees stays the same: the scales go into the weights, the distances from zero into the
//! biases. If places see zeros that are not the input's (padding), zero stays the same byte in all channels.

use std::borrow::Cow;

use super::options::QuantizeOptions;
use crate::calibrate::{Calibration, InputChannel};
use crate::graph::{Graph, LinearMap, Link, Source, Target};
use crate::integers::{Channel, Input};

/// Ratio of an input's variance to that of its rounding, both as the first layers see them, from which on one scale
/// does: 30 dB.
const ENOUGH: f64 = 1000.0;
/// Factor in the variance of rounding below which a better encoding is not worth its place: a bit.
const BIT: f64 = 4.0;
/// The largest distance of a zero point, in bytes.
const FAR: f64 = 1_073_741_824.0;
/// Share of the largest bias up to which biases of one channel count as equal.
const EQUAL: f32 = 1e-5;

/// The scale and zero point of bytes from 0 to `largest` that cover the range. Zero is always exact, so
/// that empty places of an input cost nothing.
#[must_use]
pub fn input_encoding(min: f64, max: f64, largest: u8) -> (f64, u8) {
    let (min, max) = (min.min(0.0), max.max(0.0));
    let steps = f64::from(largest);
    let scale = (max - min) / steps;
    if scale <= 0.0 {
        return (1.0 / steps, 0);
    }
    (scale, (-min / scale).round().clamp(0.0, steps) as u8)
}

/// The encoding of each input.
pub(crate) fn inputs(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Vec<Input> {
    let max = u8::MAX >> (8 - options.input_bits);
    let ranges = graph.inputs.iter().zip(&calibration.inputs).enumerate();
    let inputs = ranges.map(|(at, (input, range))| {
        let (scale, zero_point) = input_encoding(f64::from(range.min), f64::from(range.max), max);
        let one = Input {
            label: input.label.clone(),
            size: input.size(),
            scale,
            zero_point,
            max,
            channels: Vec::new(),
            coder: None,
        };
        let channels = calibration.channels.get(at);
        let own = channels.and_then(|seen| own(graph, at, seen, &one));
        own.unwrap_or(one)
    });
    inputs.collect()
}

/// The graph whose inputs are in units of their encodings: as it is, unless channels have scales of their own.
pub(crate) fn encoded<'g>(graph: &'g Graph, inputs: &[Input]) -> Cow<'g, Graph> {
    let mut encoded = Cow::Borrowed(graph);
    for (at, input) in inputs.iter().enumerate() {
        if !input.channels.is_empty() {
            fold(encoded.to_mut(), at, input);
        }
    }
    encoded
}

/// The encoding with a scale for each channel, if it shows the first layers more than `one` scale for all does.
fn own(graph: &Graph, at: usize, seen: &[InputChannel], one: &Input) -> Option<Input> {
    let links: Vec<&Link> = (graph.links.iter())
        .filter(|link| link.pre == Source::Input(at))
        .collect();
    let mut gains = vec![0.0; seen.len()];
    for link in &links {
        // Whether the weights can take a factor for each channel does not depend on the factors.
        let distinct: Vec<f64> = (1..=seen.len()).map(|channel| channel as f64).collect();
        factors(link, one.size, &distinct)?;
        let squares = squares(&link.map);
        (link.source).for_each(one.size, |from, to| {
            gains[from % seen.len()] += squares[to % squares.len()];
        });
    }
    let sum = |each: &dyn Fn(usize) -> f64| -> f64 {
        let gains = gains.iter().enumerate();
        gains.map(|(channel, gain)| gain * each(channel)).sum()
    };
    let noise = |input: &Input| sum(&|channel| input.channel(channel).scale.powi(2) / 12.0);
    let signal = sum(&|channel| seen[channel].variance());
    let coarse = noise(one);
    if signal >= ENOUGH * coarse {
        return None;
    }
    let kept = from_zero(seen, one);
    let moved = moved(seen, one);
    let moved = moved.filter(|moved| biases(graph, at, moved).is_some());
    let least = moved
        .as_ref()
        .map_or(f64::INFINITY, noise)
        .min(noise(&kept));
    if coarse <= BIT * least {
        None
    } else if noise(&kept) <= BIT * least {
        Some(kept)
    } else {
        moved
    }
}

/// Scales of all channels around one zero point, the one at which no channel loses much.
fn from_zero(seen: &[InputChannel], one: &Input) -> Input {
    let scale = |channel: &InputChannel, zero: u8| {
        let [below, above] = [-channel.range.min, channel.range.max].map(|v| f64::from(v.max(0.0)));
        let part = |value: f64, bytes: u8| match value {
            0.0 => 0.0,
            value => value / f64::from(bytes),
        };
        part(below, zero).max(part(above, one.max - zero))
    };
    let loss = |zero: u8| {
        let spans = seen.iter().map(|channel| {
            let span = channel.range.max.max(0.0) - channel.range.min.min(0.0);
            (scale(channel, zero), f64::from(span))
        });
        spans.fold(0.0, |loss: f64, (scale, span)| match span {
            0.0 => loss,
            span => loss.max(scale / span),
        })
    };
    let zero_point = (0..=one.max).min_by(|&a, &b| loss(a).total_cmp(&loss(b)));
    let zero_point = zero_point.unwrap_or(one.zero_point);
    let channels = seen.iter().map(|channel| Channel {
        scale: match scale(channel, zero_point) {
            0.0 => one.scale,
            scale => scale,
        },
        zero_point: zero_point.into(),
    });
    Input {
        scale: 1.0,
        zero_point,
        channels: channels.collect(),
        ..one.clone()
    }
}

/// Scales of all channels that cover just their ranges; `None` if one lies too far from zero for its size.
fn moved(seen: &[InputChannel], one: &Input) -> Option<Input> {
    let channels = seen.iter().map(|channel| {
        let [min, max] = [channel.range.min, channel.range.max].map(f64::from);
        let scale = match (max - min) / f64::from(one.max) {
            0.0 => one.scale,
            scale => scale,
        };
        let zero = (-min / scale).round();
        (zero.abs() <= FAR).then_some(Channel {
            scale,
            zero_point: zero as i32,
        })
    });
    Some(Input {
        scale: 1.0,
        zero_point: one.max.div_ceil(2),
        channels: channels.collect::<Option<_>>()?,
        ..one.clone()
    })
}

/// Brings the links and biases of a graph from an input's values to units of its bytes.
fn fold(graph: &mut Graph, at: usize, input: &Input) {
    let scales: Vec<f64> = input.channels.iter().map(|channel| channel.scale).collect();
    for (target, bias) in biases(graph, at, input).unwrap_or_default() {
        let own = match target {
            Target::Population(p) => &mut graph.populations[p].bias,
            Target::Output(o) => &mut graph.outputs[o].bias,
        };
        own.iter_mut()
            .zip(bias)
            .for_each(|(own, bias)| *own += bias);
    }
    for link in &mut graph.links {
        if link.pre == Source::Input(at)
            && let Some(factors) = factors(link, input.size, &scales)
        {
            scale(&mut link.map, &factors);
        }
    }
}

/// Contribution of each channel's distance from zero to the biases of targets; `None` if it is not the same at all
/// places of a channel, or comes late.
fn biases(graph: &Graph, at: usize, input: &Input) -> Option<Vec<(Target, Vec<f32>)>> {
    let offsets: Vec<f32> = (0..input.size)
        .map(|place| input.offset(place) as f32)
        .collect();
    if offsets.iter().all(|offset| *offset == 0.0) {
        return Some(Vec::new());
    }
    let links = graph
        .links
        .iter()
        .filter(|link| link.pre == Source::Input(at));
    let each = links.map(|link| {
        let mut y = vec![0.0; graph.target_size(link.post)];
        link.apply_batch(1, &offsets, &mut y).ok()?;
        let channels = graph.bias(link.post).len();
        let largest = y.iter().fold(0.0f32, |largest, y| largest.max(y.abs()));
        let (first, rest) = y.split_at_checked(channels)?;
        let mut pairs = rest.iter().zip(first.iter().cycle());
        let equal = pairs.all(|(y, first)| (y - first).abs() <= EQUAL * largest);
        (equal && link.synapse.is_none()).then(|| (link.post, first.to_vec()))
    });
    each.collect()
}

/// The factor of each column of a dense link, or of each channel that a convolution sees, for these scales of an
/// input's channels; `None` if several meet in one.
fn factors(link: &Link, inputs: usize, scales: &[f64]) -> Option<Vec<f64>> {
    let mut factors: Vec<Option<f64>> = vec![None; columns(&link.map)];
    let mut one_each = true;
    let count = factors.len();
    link.source.for_each(inputs, |from, to| {
        let scale = scales[from % scales.len()];
        one_each &= *factors[to % count].get_or_insert(scale) == scale;
    });
    one_each.then(|| factors.into_iter().map(|f| f.unwrap_or(1.0)).collect())
}

/// Columns of a dense link, or channels that a convolution sees.
fn columns(map: &LinearMap) -> usize {
    match map {
        LinearMap::Dense(d) => d.weights.shape()[1],
        LinearMap::Convolution(c) => c.input[2],
    }
}

/// The column of each weight, as [`columns`] counts them.
fn column_of(map: &LinearMap) -> impl Fn(usize) -> usize + use<> {
    let (filters, groups) = match map {
        LinearMap::Dense(_) => (1, 1),
        LinearMap::Convolution(c) => (c.filters().max(1), c.groups),
    };
    let inner = (columns(map) / groups.max(1)).max(1);
    move |weight| {
        let (row, filter) = (weight / filters, weight % filters);
        filter * groups / filters * inner + row % inner
    }
}

/// The sum of the squares of each column's weights.
fn squares(map: &LinearMap) -> Vec<f64> {
    let mut squares = vec![0.0; columns(map)];
    let column = column_of(map);
    for (at, w) in weights(map).iter().enumerate() {
        squares[column(at)] += f64::from(*w) * f64::from(*w);
    }
    squares
}

fn weights(map: &LinearMap) -> &[f32] {
    match map {
        LinearMap::Dense(d) => d.weights.data(),
        LinearMap::Convolution(c) => c.kernel.data(),
    }
}

/// Multiplies the weights of each column by its factor.
fn scale(map: &mut LinearMap, factors: &[f64]) {
    let column = column_of(map);
    let mut at = 0..;
    *map = map.map(|w| {
        let factor = at.next().map_or(1.0, |at| factors[column(at)]);
        (f64::from(w) * factor) as f32
    });
}
