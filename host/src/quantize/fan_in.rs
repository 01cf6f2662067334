//! Links into one target, with weights in the image's order: their units, their rounding, and what they
//! can bring in a step.

use tinyspike_shared::image::{self, Transform};

use super::error::QuantizeError;
use super::options::{WEIGHT_BITS, WEIGHT_BITS_MAX, largest};
use crate::graph::{self, Convolution, Graph, LinearMap, Link, Source, SourceMap};
use crate::integers::{Connection, Input, Seen};

/// Shares of the largest weight at which the weights of a channel are cut off; tried below 8 bits.
const CUTS: [f64; 8] = [1.0, 0.92, 0.85, 0.78, 0.71, 0.64, 0.57, 0.5];

/// Ratio of an input's weights to their errors, both squared, from which on more bits are not worth their place: 30 dB.
const ENOUGH: f64 = 1000.0;
/// Factor in squared errors below which as well: a bit.
const BIT: f64 = 4.0;

/// The events of one population.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    /// The output that one spike in a step stands for.
    pub(crate) value: f64,
    /// The most spikes of a neuron in a step, and the most below zero.
    pub(crate) spikes: (i64, i64),
}

/// The events of all sources.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) inputs: Vec<Input>,
    pub(crate) populations: Vec<Events>,
}

impl Sources {
    /// The value of one unit of an event.
    pub(crate) fn value(&self, pre: Source) -> f64 {
        match pre {
            Source::Input(i) => self.inputs[i].scale,
            Source::Population(p) => self.populations[p].value,
        }
    }

    /// The largest and the least value of an event.
    pub(crate) fn range(&self, pre: Source) -> (i64, i64) {
        match pre {
            Source::Input(i) => self.inputs[i].range(),
            Source::Population(p) => {
                let (above, below) = self.populations[p].spikes;
                (above, -below)
            }
        }
    }
}

/// One link into a target, with its weights in the image's order.
pub(crate) struct FanIn<'a> {
    /// Index into the graph's links.
    pub(crate) index: usize,
    pub(crate) link: &'a Link,
    /// The weights times the value of one event, in the image's order.
    pub(crate) weights: Vec<f64>,
    /// The channel of the target of each weight; repeats as often as needed.
    pub(crate) channels: Vec<usize>,
    /// The number of channels of the target that the link tells apart.
    pub(crate) span: usize,
    /// The number of events of the source that can reach one place that the weights see.
    pub(crate) crowd: i64,
}

impl<'a> FanIn<'a> {
    /// The links into a target; `value` is what one unit of an event from a source stands for.
    pub(crate) fn of(
        graph: &'a Graph,
        post: graph::Target,
        value: impl Fn(Source) -> f64,
    ) -> Vec<Self> {
        let size = graph.target_size(post);
        let links = graph.links_into(post);
        links
            .map(|(index, link)| {
                let value = value(link.pre);
                let (weights, channels, span) = image_order(&link.map, size);
                let sources = graph.source_size(link.pre);
                Self {
                    index,
                    link,
                    weights: weights.into_iter().map(|w| w * value).collect(),
                    channels,
                    span,
                    crowd: link.source.crowd(sources) as i64,
                }
            })
            .collect()
    }

    /// The most that the link can bring in one step to any of its channels that share a unit, with
    /// weights `q` and events from `least` to `most`.
    pub(crate) fn drive(&self, q: &[i16], (most, least): (i64, i64), period: usize) -> Vec<Drive> {
        let (most, least) = (most * self.crowd, least * self.crowd);
        let mut each = vec![Drive::default(); self.span];
        for (&channel, &w) in self.channels.iter().cycle().zip(q) {
            let w = i64::from(w);
            each[channel].up += (w * most).max(w * least);
            each[channel].down -= (w * most).min(w * least);
        }
        let mut drives = vec![Drive::default(); period];
        for (at, d) in each.into_iter().enumerate() {
            let drive = &mut drives[at % period];
            drive.up = drive.up.max(d.up);
            drive.down = drive.down.max(d.down);
        }
        drives
    }
}

/// The connection that a link becomes, without its weights.
pub(crate) fn connection(graph: &Graph, link: &Link) -> Result<Connection, QuantizeError> {
    let layer = graph.label(link.post);
    Ok(Connection {
        dense: false,
        pre: link.pre,
        post: link.post,
        source: seen(layer, &link.source)?,
        transform: transform(layer, &link.map)?,
        weights: Vec::new(),
    })
}

/// The quantized weights of one link, and what they can bring in a step.
pub(crate) type Weights = Vec<Vec<i16>>;

/// Per channel: the most that a step can add, and the most that it can take away.
#[derive(Clone, Copy, Default)]
pub(crate) struct Drive {
    pub(crate) up: i64,
    pub(crate) down: i64,
}

pub(crate) fn is_input(f: &FanIn<'_>) -> bool {
    matches!(f.link.pre, Source::Input(_))
}

pub(crate) fn check_finite(
    layer: &str,
    fan_in: &[FanIn<'_>],
    bias: &[f32],
) -> Result<(), QuantizeError> {
    let finite = bias.iter().all(|b| b.is_finite())
        && fan_in
            .iter()
            .all(|f| f.weights.iter().all(|w| w.is_finite()));
    if finite {
        Ok(())
    } else {
        Err(QuantizeError::NotFinite {
            layer: layer.into(),
        })
    }
}

/// A link's weights in the image's order, the channel of the target of each (repeating), and how many
/// channels of its `targets` the link tells apart.
pub(crate) fn image_order(map: &LinearMap, targets: usize) -> (Vec<f64>, Vec<usize>, usize) {
    match map {
        LinearMap::Dense(d) => {
            let shape = d.weights.shape();
            let reached = d.first..d.first + shape[0];
            let weights = transposed(d.weights.data(), shape);
            (weights, reached.collect(), targets)
        }
        LinearMap::Convolution(c) => (by_source(c), channels(c), c.output[2]),
    }
}

/// `[outputs, inputs]` as `[inputs][outputs]`.
fn transposed(data: &[f32], shape: &[usize]) -> Vec<f64> {
    let (outputs, inputs) = (shape[0], shape[1]);
    let mut rows = vec![0.0; data.len()];
    for (o, row) in data.chunks(inputs.max(1)).enumerate() {
        for (i, &w) in row.iter().enumerate() {
            rows[i * outputs + o] = f64::from(w);
        }
    }
    rows
}

/// A convolution's weights as `[kernel y][kernel x][input channel][filter of its group]`.
fn by_source(c: &Convolution) -> Vec<f64> {
    let (filters, inputs) = (c.filters(), c.input[2]);
    let (inner, outer) = (inputs / c.groups, filters / c.groups);
    let taps = c.kernel.shape()[0] * c.kernel.shape()[1];
    (0..taps)
        .flat_map(|tap| (0..inputs).map(move |input| (tap, input)))
        .flat_map(|(tap, input)| {
            let row = (tap * inner + input % inner) * filters + input / inner * outer;
            &c.kernel.data()[row..row + outer]
        })
        .map(|&w| f64::from(w))
        .collect()
}

/// The target's channel of each weight under one place of the kernel.
fn channels(c: &Convolution) -> Vec<usize> {
    let (inner, outer) = (c.input[2] / c.groups, c.filters() / c.groups);
    (0..c.input[2])
        .flat_map(|input| (0..outer).map(move |f| c.first + input / inner * outer + f))
        .collect()
}

/// The number of units of their own that the channels of a target can have: as many as all its links and its
/// parameters tell apart.
pub(crate) fn period(fan_in: &[FanIn<'_>], channels: usize) -> usize {
    fan_in.iter().fold(channels, |n, f| gcd(n, f.span))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A bias in whole units. What no sum of 32 bits holds becomes 2^40, so that bounds can be computed with
/// it, and are refused.
pub(crate) fn whole(bias: f64) -> i64 {
    let limit = f64::exp2(40.0);
    bias.round().clamp(-limit, limit) as i64
}

/// The smallest unit of each channel for which all its weights fit so many bits; `scale` says how many
/// units an event's unit is divided into before it reaches the potential.
pub(crate) fn channel_units(
    fan_in: &[FanIn<'_>],
    period: usize,
    bits: u8,
    scale: impl Fn(&FanIn<'_>) -> f64,
) -> Vec<f64> {
    units_within(fan_in, period, f64::from(largest(bits)), scale)
}

/// The smallest unit of each channel for which all its weights fit ±`weight_max`. With few bits, the
/// unit with the least squared error, beyond which weights are cut off.
pub(crate) fn units_within(
    fan_in: &[FanIn<'_>],
    period: usize,
    weight_max: f64,
    scale: impl Fn(&FanIn<'_>) -> f64,
) -> Vec<f64> {
    let mut units = vec![0f64; period];
    let each = |f: &mut dyn FnMut(usize, f64)| {
        for fan in fan_in {
            let scale = scale(fan);
            for (channel, w) in fan.channels.iter().cycle().zip(&fan.weights) {
                f(channel % period, w.abs() * scale);
            }
        }
    };
    each(&mut |channel, w| units[channel] = units[channel].max(w / weight_max));
    if weight_max < f64::from(largest(WEIGHT_BITS)) {
        let mut errors = vec![[0.0; CUTS.len()]; period];
        each(&mut |channel, w| {
            for (error, cut) in errors[channel].iter_mut().zip(CUTS) {
                let unit = (units[channel] * cut).max(f64::MIN_POSITIVE);
                let difference = w - (w / unit).round().min(weight_max) * unit;
                *error += difference * difference;
            }
        });
        for (unit, errors) in units.iter_mut().zip(&errors) {
            let best = errors.iter().zip(CUTS).min_by(|a, b| a.0.total_cmp(b.0));
            *unit *= best.map_or(1.0, |(_, cut)| cut);
        }
    }
    units
}

/// Bits by which weights of spikes have to be wider than `bits`, so that those of inputs beside them keep theirs: both have
/// one unit, and a byte stands for much less than a spike.
pub(crate) fn wider(fan_in: &[FanIn<'_>], period: usize, bits: u8) -> u8 {
    let weight_max = f64::from(largest(bits));
    let units = |spikes: f64| {
        let scale = |f: &FanIn<'_>| if is_input(f) { 1.0 } else { spikes };
        units_within(fan_in, period, weight_max, scale)
    };
    let shared = units(1.0);
    // Each channel counts by its largest weight.
    let error = |units: &[f64]| {
        let weights = fan_in.iter().filter(|f| is_input(f)).flat_map(|f| {
            let channels = f.channels.iter().cycle();
            channels.map(|channel| channel % period).zip(&f.weights)
        });
        let errors = weights.filter(|(channel, w)| **w != 0.0 && shared[*channel] > 0.0);
        let errors = errors.map(|(channel, w)| {
            let unit = units[channel].max(f64::MIN_POSITIVE);
            let q = (w / unit).round().clamp(-weight_max, weight_max);
            ((w - q * unit) / shared[channel]).powi(2)
        });
        errors.sum::<f64>()
    };
    let weights = error(&vec![0.0; period]);
    let enough = (weights / ENOUGH).max(BIT * error(&units(0.0)));
    let most = WEIGHT_BITS_MAX.saturating_sub(bits);
    let narrower = |wider: &u8| error(&units(by_spikes(*wider))) <= enough;
    (0..most).find(narrower).unwrap_or(most)
}

/// Factor of the weights of spikes that are so many bits wider than those of inputs, for [`units_within`].
pub(crate) fn by_spikes(wider: u8) -> f64 {
    f64::exp2(-f64::from(wider))
}

/// The weights of so many bits in units of their channels; `per_unit` of them make one unit of the potential.
pub(crate) fn quantized(f: &FanIn<'_>, units: &[f64], per_unit: f64, bits: u8) -> Vec<i16> {
    rounded(f, units, per_unit, largest(bits), &[])
}

/// The same up to ±`limit`, with `offsets` added if there are any.
pub(crate) fn rounded(
    f: &FanIn<'_>,
    units: &[f64],
    per_unit: f64,
    limit: i16,
    offsets: &[i8],
) -> Vec<i16> {
    let offsets = offsets.iter().copied().chain(std::iter::repeat(0));
    let limit = f64::from(limit);
    f.weights
        .iter()
        .zip(f.channels.iter().cycle())
        .zip(offsets)
        .map(|((w, channel), offset)| {
            let unit = units[channel % units.len()] / per_unit;
            if unit > 0.0 {
                ((w / unit).round() + f64::from(offset)).clamp(-limit, limit) as i16
            } else {
                0
            }
        })
        .collect()
}

/// A link's map of its source in the image's terms.
fn seen(layer: &str, source: &SourceMap) -> Result<Seen, QuantizeError> {
    Ok(match source {
        SourceMap::Direct => Seen::Direct,
        SourceMap::Window(w) => Seen::Window(image::Window {
            input: shape(layer, w.input)?,
            output: shape(layer, w.output)?,
            pool: pair(layer, "a pool", w.pool)?,
            repeat: pair(layer, "an upsampling", w.repeat)?,
            // Lowering makes no window with a larger offset.
            offset: w
                .offset
                .map(|o| o.clamp(i16::MIN.into(), i16::MAX.into()) as i16),
        }),
        SourceMap::Table { to, .. } => Seen::Table(
            to.iter()
                .map(|to| match to {
                    Some(to) => fit(layer, "a number of inputs", *to as usize),
                    None => Ok(image::NOWHERE),
                })
                .collect::<Result<_, _>>()?,
        ),
    })
}

/// A link's geometry in the image's terms.
fn transform(layer: &str, map: &LinearMap) -> Result<Transform, QuantizeError> {
    Ok(match map {
        LinearMap::Dense(d) => Transform::Dense(image::Dense {
            inputs: fit(layer, "a number of inputs", d.weights.shape()[1])?,
            outputs: fit(layer, "a number of outputs", d.weights.shape()[0])?,
            first: fit(layer, "a first output", d.first)?,
        }),
        LinearMap::Convolution(c) => {
            let kernel = [c.kernel.shape()[0], c.kernel.shape()[1]];
            Transform::Convolution(image::Convolution {
                input: shape(layer, c.input)?,
                output: shape(layer, c.output)?,
                kernel: pair(layer, "a kernel", kernel)?,
                stride: pair(layer, "a stride", c.stride)?,
                padding: pair(layer, "a padding", c.padding)?,
                dilation: pair(layer, "a dilation", c.dilation)?,
                groups: fit(layer, "a number of groups", c.groups)?,
                filters: fit(layer, "a number of filters", c.filters())?,
                first: fit(layer, "a first output channel", c.first)?,
            })
        }
    })
}

fn shape(layer: &str, [height, width, channels]: [usize; 3]) -> Result<[u16; 3], QuantizeError> {
    Ok([
        fit(layer, "a height", height)?,
        fit(layer, "a width", width)?,
        fit(layer, "a number of channels", channels)?,
    ])
}

fn pair(layer: &str, what: &'static str, [y, x]: [usize; 2]) -> Result<[u8; 2], QuantizeError> {
    Ok([fit(layer, what, y)?, fit(layer, what, x)?])
}

fn fit<T: TryFrom<usize>>(
    layer: &str,
    what: &'static str,
    value: usize,
) -> Result<T, QuantizeError> {
    T::try_from(value).map_err(|_| QuantizeError::Geometry {
        layer: layer.into(),
        what,
        value,
        // The fields are one, two or four bytes wide.
        limit: (1usize << (8 * size_of::<T>())) - 1,
    })
}
