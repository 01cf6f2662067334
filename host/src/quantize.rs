//! Graph + Calibration → integers::Network: the network in integers, with the proof that none overflows.
//!
//! # Units
//! A population's activation is counted in spikes: `theta` is the activation that one spike in one
//! step stands for, so that after T steps a neuron with N spikes shows theta N / T. Potentials of
//! channel c are counted in units u_c of activation. A weight w from a source with `theta_pre` becomes
//! q = round(w theta_pre / u_c), and the threshold theta / u_c is an exact integer: u_c is chosen as
//! theta / floor(127 theta / max |w theta_pre|), the smallest unit for which the largest weight of the
//! channel fits int8. With fewer bits 127 becomes 7 (for 4 bits), and where that has the smaller squared
//! error, the largest weights of a channel are cut off.
//!
//! # Bounds
//! In one step a potential rises at most by P (its positive weights at the largest counts, positive
//! current and bias) and falls at most by N. Potentials are stored less the threshold, so a neuron
//! ends a step below zero unless it has emitted its largest count. From these follow the least and
//! largest value at any time within `steps` steps, in whatever order events are added. The narrowest
//! type that holds them is chosen; the bounds are kept in the image.

use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_shared::image::{self, Transform, Width};

use crate::calibrate::Calibration;
use crate::graph::{self, Convolution, Graph, LinearMap, Link, Source, SourceMap};
use crate::integers::{self, Connection, Ensemble, Input, Output, Seen, Steps};

/// Bits of a weight, unless fewer are asked for.
pub const WEIGHT_BITS: u8 = 8;
/// The fewest.
pub const WEIGHT_BITS_MIN: u8 = 2;
/// The largest threshold of an int16 potential; a channel of tiny weights uses less of int8 then.
const THRESHOLD_MAX_16: f64 = 4096.0;
/// The largest threshold of an int32 potential.
const THRESHOLD_MAX_32: f64 = 1_048_576.0;
/// An int16 potential is chosen only where every threshold keeps at least this resolution.
const THRESHOLD_MIN_16: i64 = 16;
/// How much coarser a channel's weights may become to fit its potentials into int16, which halves the RAM
/// and the work of a step: two bits.
const COARSEST_16: f64 = 4.0;
/// How often that is tried.
const TRIES_16: usize = 12;
/// Room that is left in int16 for weights that are later rounded another way.
const ROOM_16: f64 = 0.985;
/// Where the weights of a channel are cut off, as shares of the largest; tried below 8 bits.
const CUTS: [f64; 8] = [1.0, 0.92, 0.85, 0.78, 0.71, 0.64, 0.57, 0.5];
/// The highest shift that is tried to fit an input current into int16.
const SHIFT_MAX: u8 = 12;
/// Output multipliers are at most 2^this.
const MULTIPLIER_BITS: i32 = 15;

/// How to quantize.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeOptions {
    /// Steps of an inference.
    pub steps: u16,
    /// The most spikes that a neuron emits in one step.
    pub max_count: u8,
    /// The kernels that the image is for.
    pub target: &'static Family,
    /// What a layer's largest activation is taken to be; `None` for what gives the least squared error,
    /// or the share of the activations above zero that stay below it.
    pub percentile: Option<f64>,
    /// How many bits an input's bytes use, 1 to 8. With fewer, small values become zero, which costs
    /// nothing to run.
    pub input_bits: u8,
    /// How many bits a weight has, 2 to 8.
    pub weight_bits: u8,
    /// What differs in single layers, in the order of the graph's populations and then its outputs;
    /// layers beyond the end have the defaults.
    pub layers: Vec<LayerOptions>,
}

/// How to quantize one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerOptions {
    /// The most spikes that a neuron emits in one step; `None` for the network's.
    pub max_count: Option<u8>,
    /// The largest activation that can be shown, as a multiple of the one with the least squared error.
    pub clip: f64,
    /// How many bits the weights of its inputs have; `None` for the network's.
    pub weight_bits: Option<u8>,
}

impl Default for LayerOptions {
    /// The network's count and bits, and the clip with the least squared error.
    fn default() -> Self {
        Self {
            max_count: None,
            clip: 1.0,
            weight_bits: None,
        }
    }
}

impl QuantizeOptions {
    fn layer(&self, at: usize) -> LayerOptions {
        self.layers.get(at).copied().unwrap_or_default()
    }

    /// The most spikes in a step of a population's neurons.
    #[must_use]
    pub fn count(&self, at: usize) -> u8 {
        self.layer(at).max_count.unwrap_or(self.max_count)
    }

    /// The bits of the weights of the inputs of a layer.
    #[must_use]
    pub fn bits(&self, at: usize) -> u8 {
        self.layer(at).weight_bits.unwrap_or(self.weight_bits)
    }

    /// The largest weight of the inputs of a layer.
    fn weight_max(&self, at: usize) -> f64 {
        f64::from(largest(self.bits(at)))
    }

    fn valid(&self) -> bool {
        let bits = WEIGHT_BITS_MIN..=WEIGHT_BITS;
        self.steps > 0
            && self.max_count > 0
            && (1..=8).contains(&self.input_bits)
            && bits.contains(&self.weight_bits)
            && self.percentile.is_none_or(|p| p > 0.0 && p <= 1.0)
            && self
                .layers
                .iter()
                .all(|l| l.max_count != Some(0) && l.clip.is_finite() && l.clip > 0.0)
            && self
                .layers
                .iter()
                .all(|l| l.weight_bits.is_none_or(|b| bits.contains(&b)))
    }
}

/// The largest weight of so many bits; the least is its negative.
pub(crate) const fn largest(bits: u8) -> i16 {
    i16::MAX >> (16 - bits)
}

impl Default for QuantizeOptions {
    /// Two steps of up to 15 spikes.
    fn default() -> Self {
        Self {
            steps: 2,
            max_count: 15,
            target: &families::DSP,
            percentile: None,
            input_bits: 8,
            weight_bits: WEIGHT_BITS,
            layers: Vec::new(),
        }
    }
}

/// Weights that are rounded another way than to nearest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounding {
    /// The units of each population whose weights are rounded so.
    pub units: Vec<Option<Units>>,
    /// For each link, what is added to each weight after rounding to nearest, in the image's order;
    /// empty for nothing.
    pub offsets: Vec<Vec<i8>>,
}

/// The units that offsets were chosen for.
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    /// The type of the potentials.
    pub width: Width,
    /// What an input's current is shifted right by.
    pub shift: u8,
    /// The threshold of each channel, in its units.
    pub threshold: Vec<i32>,
}

impl Rounding {
    fn offsets(&self, link: usize) -> &[i8] {
        self.offsets.get(link).map_or(&[], Vec::as_slice)
    }

    fn units(&self, population: usize) -> Option<&Units> {
        self.units.get(population)?.as_ref()
    }
}

/// Why a network cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// Settings that make no sense.
    #[error(
        "steps, max_count and every layer's max_count must be at least 1, input_bits 1 to 8, weight_bits 2 to 8, every clip a positive number, and a percentile above 0 and at most 1"
    )]
    Options,
    /// A geometry beyond the image's fields.
    #[error("layer {layer:?}: {what} of {value} is more than an image can hold ({limit})")]
    Geometry {
        /// The target layer.
        layer: String,
        /// Which size.
        what: &'static str,
        /// Its value.
        value: usize,
        /// The largest that an image can hold.
        limit: usize,
    },
    /// A weight or bias is infinite or not a number.
    #[error("layer {layer:?}: a weight or bias is not a finite number")]
    NotFinite {
        /// The layer.
        layer: String,
    },
    /// A bound exceeds 32 bits.
    #[error(
        "layer {layer:?}: a potential could reach {bound} within {steps} steps, more than 32 bits hold; use fewer steps or a smaller --max-count"
    )]
    Overflow {
        /// The layer.
        layer: String,
        /// The bound.
        bound: i64,
        /// The steps.
        steps: u16,
    },
}

/// Brings a network to integers.
///
/// # Errors
/// Where a size or a bound exceeds what an image can hold: the layer and the value.
pub fn quantize(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<integers::Network, QuantizeError> {
    quantize_with(graph, calibration, options, &Rounding::default())
}

/// Brings a network to integers, with weights that are rounded as `rounding` says.
///
/// Where the potentials of a population would no longer fit the width that its offsets were chosen for,
/// its weights are rounded to nearest.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_with(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    rounding: &Rounding,
) -> Result<integers::Network, QuantizeError> {
    if !options.valid() {
        return Err(QuantizeError::Options);
    }
    let inputs: Vec<Input> = graph
        .inputs
        .iter()
        .zip(&calibration.inputs)
        .map(|(input, range)| {
            let max = u8::MAX >> (8 - options.input_bits);
            let (scale, zero_point) =
                input_encoding(f64::from(range.min), f64::from(range.max), max);
            Input {
                label: input.label.clone(),
                size: input.size(),
                scale,
                zero_point,
                max,
            }
        })
        .collect();
    let thetas: Vec<f64> = calibration
        .populations
        .iter()
        .enumerate()
        .map(|(at, activations)| {
            let count = options.count(at);
            let levels = u32::from(count) * u32::from(options.steps);
            let clip = match options.percentile {
                Some(share) => activations.percentile(share),
                None => activations.best_clip(levels),
            };
            let clip = f64::from(clip) * options.layer(at).clip;
            // A layer that was never active still needs a threshold.
            let clip = if clip > 0.0 { clip } else { 1.0 };
            clip / f64::from(count)
        })
        .collect();

    let context = Context {
        graph,
        inputs: &inputs,
        thetas: &thetas,
        options,
        rounding,
    };
    let mut connections: Vec<Option<Connection>> = vec![None; graph.links.len()];
    let mut ensembles = Vec::new();
    for (at, population) in graph.populations.iter().enumerate() {
        let fan_in = context.fan_in(graph::Target::Population(at));
        let (ensemble, weights) = context.ensemble(at, population, &fan_in)?;
        ensembles.push(ensemble);
        context.place(&fan_in, weights, &mut connections)?;
    }
    let mut outputs = Vec::new();
    for (at, output) in graph.outputs.iter().enumerate() {
        let fan_in = context.fan_in(graph::Target::Output(at));
        let layer = graph.populations.len() + at;
        let (output, weights) = context.output(layer, output, &fan_in)?;
        outputs.push(output);
        context.place(&fan_in, weights, &mut connections)?;
    }
    Ok(integers::Network {
        target: options.target,
        steps: Steps::Limited(options.steps),
        inputs,
        ensembles,
        outputs,
        connections: connections.into_iter().flatten().collect(),
    })
}

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

struct Context<'a> {
    graph: &'a Graph,
    inputs: &'a [Input],
    thetas: &'a [f64],
    options: &'a QuantizeOptions,
    rounding: &'a Rounding,
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
    /// How many channels of the target the link tells apart.
    pub(crate) span: usize,
    /// How many events of the source can reach one place that the weights see.
    pub(crate) crowd: i64,
}

impl<'a> FanIn<'a> {
    /// The links into a target; `value` is what one unit of an event from a source stands for.
    pub(crate) fn of(
        graph: &'a Graph,
        post: graph::Target,
        value: impl Fn(Source) -> f64,
    ) -> Vec<Self> {
        let links = graph.links.iter().enumerate();
        let size = match post {
            graph::Target::Population(p) => graph.populations[p].neurons,
            graph::Target::Output(o) => graph.outputs[o].bias.len(),
        };
        links
            .filter(|(_, l)| l.post == post)
            .map(|(index, link)| {
                let value = value(link.pre);
                let (weights, channels, span) = image_order(&link.map, size);
                let sources = match link.pre {
                    Source::Input(i) => graph.inputs[i].size(),
                    Source::Population(p) => graph.populations[p].neurons,
                };
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

    /// The connection that the link becomes with these weights.
    pub(crate) fn connection(
        &self,
        graph: &Graph,
        weights: Vec<i16>,
    ) -> Result<Connection, QuantizeError> {
        let layer = match self.link.post {
            graph::Target::Population(p) => &graph.populations[p].label,
            graph::Target::Output(o) => &graph.outputs[o].label,
        };
        Ok(Connection {
            pre: self.link.pre,
            post: self.link.post,
            source: seen(layer, &self.link.source)?,
            transform: transform(layer, &self.link.map)?,
            weights,
        })
    }
}

/// The quantized weights of one link, and what they can bring in a step.
type Weights = Vec<Vec<i16>>;

/// Per channel: the most that a step can add, and the most that it can take away.
#[derive(Clone, Copy, Default)]
pub(crate) struct Drive {
    pub(crate) up: i64,
    pub(crate) down: i64,
}

impl<'a> Context<'a> {
    fn fan_in(&self, post: graph::Target) -> Vec<FanIn<'a>> {
        FanIn::of(self.graph, post, |pre| self.event_value(pre))
    }

    /// The activation that one unit of an event's value stands for.
    fn event_value(&self, pre: Source) -> f64 {
        match pre {
            Source::Input(i) => self.inputs[i].scale,
            Source::Population(p) => self.thetas[p],
        }
    }

    /// The largest and the least value of an event from a source.
    fn event_range(&self, pre: Source) -> (i64, i64) {
        match pre {
            Source::Input(i) => self.inputs[i].range(),
            Source::Population(p) => (i64::from(self.options.count(p)), 0),
        }
    }

    fn ensemble(
        &self,
        at: usize,
        population: &crate::graph::Population,
        fan_in: &[FanIn<'_>],
    ) -> Result<(Ensemble, Weights), QuantizeError> {
        check_finite(&population.label, fan_in, &population.bias)?;
        let driven = fan_in.iter().any(|f| is_input(f));
        // What comes event by event from an input sums in 32 bits.
        let needs_32 = fan_in.iter().any(|f| {
            let whole = matches!(f.link.map, LinearMap::Dense(_));
            is_input(f) && (whole || f.link.source != SourceMap::Direct)
        });
        if let Some(units) = self.rounding.units(at) {
            let (ensemble, weights) = self.ensemble_in(
                at,
                population,
                fan_in,
                units.shift,
                &self.units(at, &units.threshold),
                true,
            );
            if ensemble.fits(units.width) && (!needs_32 || units.width == Width::I32) {
                return Ok((ensemble.finish(population, units.width), weights));
            }
        }
        if !needs_32 {
            // Inputs are divided further until the bounds fit.
            let mut shifts = 0..=if driven { SHIFT_MAX } else { 0 };
            let coarsest = if driven { 1.0 } else { COARSEST_16 };
            if let Some((ensemble, weights)) =
                shifts.find_map(|shift| self.narrow(at, population, fan_in, shift, coarsest))
            {
                return Ok((ensemble.finish(population, Width::I16), weights));
            }
        }
        let period = period(fan_in, population.channels);
        let units = self.finest(at, fan_in, period, 0, THRESHOLD_MAX_32);
        let (ensemble, weights) = self.ensemble_in(at, population, fan_in, 0, &units, false);
        if !ensemble.fits(Width::I32) {
            return Err(QuantizeError::Overflow {
                layer: population.label.clone(),
                bound: ensemble.max.max(-ensemble.min),
                steps: self.options.steps,
            });
        }
        Ok((ensemble.finish(population, Width::I32), weights))
    }

    /// The ensemble with potentials of 16 bits, if they can have as few: the weights of channels whose
    /// bounds are too wide are made coarser, up to `coarsest` times.
    fn narrow(
        &self,
        at: usize,
        population: &crate::graph::Population,
        fan_in: &[FanIn<'_>],
        shift: u8,
        coarsest: f64,
    ) -> Option<(Wide, Weights)> {
        let period = period(fan_in, population.channels);
        let finest = self.finest(at, fan_in, period, shift, THRESHOLD_MAX_16);
        let mut units = finest.clone();
        for _ in 0..TRIES_16 {
            let (ensemble, weights) =
                self.ensemble_in(at, population, fan_in, shift, &units, false);
            if ensemble.threshold.iter().any(|&t| t < THRESHOLD_MIN_16) {
                return None;
            }
            let room = f64::from(Width::I16.max()) * if coarsest > 1.0 { ROOM_16 } else { 1.0 };
            let over: Vec<f64> = ensemble.reach.iter().map(|r| *r as f64 / room).collect();
            if over.iter().all(|o| *o <= 1.0) {
                return Some((ensemble, weights));
            }
            for (((unit, threshold), finest), over) in units.iter_mut().zip(&finest).zip(over) {
                if over > 1.0 {
                    *threshold = ((*threshold as f64 / over).floor() as i64)
                        .min(*threshold - 1)
                        .max(1);
                    *unit = self.thetas[at] / *threshold as f64;
                    if *unit > finest.0 * coarsest {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Units for thresholds.
    fn units(&self, at: usize, thresholds: &[i32]) -> Vec<(f64, i64)> {
        let theta = self.thetas[at];
        let unit = |&t: &i32| (theta / f64::from(t), i64::from(t));
        thresholds.iter().map(unit).collect()
    }

    /// The smallest unit of each channel, of which its threshold is a whole number up to
    /// `threshold_max`, and that number.
    fn finest(
        &self,
        at: usize,
        fan_in: &[FanIn<'_>],
        period: usize,
        shift: u8,
        threshold_max: f64,
    ) -> Vec<(f64, i64)> {
        let theta = self.thetas[at];
        let scale = f64::exp2(f64::from(shift));
        let weight_max = self.options.weight_max(at);
        let scale = |f: &FanIn<'_>| if is_input(f) { scale } else { 1.0 };
        units_within(fan_in, period, weight_max, scale)
            .into_iter()
            .map(|unit| {
                let steps = if unit > 0.0 {
                    theta / unit
                } else {
                    threshold_max
                };
                let whole = steps.floor().clamp(1.0, threshold_max);
                (theta / whole, whole as i64)
            })
            .collect()
    }

    /// The ensemble with input currents divided by 2^`shift`, with a unit and a threshold for each of its
    /// channels (repeating), and its bounds.
    fn ensemble_in(
        &self,
        at: usize,
        population: &crate::graph::Population,
        fan_in: &[FanIn<'_>],
        shift: u8,
        units: &[(f64, i64)],
        offset: bool,
    ) -> (Wide, Weights) {
        let theta = self.thetas[at];
        let scale = f64::exp2(f64::from(shift));
        let thresholds: Vec<i64> = units.iter().map(|u| u.1).collect();
        let units: Vec<f64> = units.iter().map(|u| u.0).collect();
        let period = period(fan_in, population.channels);
        let limit = largest(self.options.bits(at));
        let mut weights = Vec::with_capacity(fan_in.len());
        let mut drives = vec![Drive::default(); period];
        for f in fan_in {
            let per_unit = if is_input(f) { scale } else { 1.0 };
            let offsets = if offset {
                self.rounding.offsets(f.index)
            } else {
                &[]
            };
            let q = rounded(f, &units, per_unit, limit, offsets);
            let mut drive = self.drive(f, &q, period);
            if is_input(f) && shift > 0 {
                for d in &mut drive {
                    // Rounding adds at most one.
                    d.up = (d.up >> shift) + 1;
                    d.down = (d.down >> shift) + 1;
                }
            }
            for (total, d) in drives.iter_mut().zip(drive) {
                total.up += d.up;
                total.down += d.down;
            }
            weights.push(q);
        }
        let steps = i64::from(self.options.steps);
        let max_count = i64::from(self.options.count(at));
        let mut wide = Wide {
            theta,
            shift,
            max_count: self.options.count(at),
            threshold: Vec::with_capacity(population.channels),
            bias: Vec::with_capacity(population.channels),
            min: 0,
            max: 0,
            reach: vec![0; period],
        };
        for (channel, &bias) in population.bias.iter().enumerate() {
            let class = channel % period;
            let (mut min, mut max) = (0, 0);
            let bias = whole(f64::from(bias) / units[class]);
            let threshold = thresholds[class];
            let Drive { up, down } = drives[class];
            let start = threshold / 2 - threshold;
            // What whole steps can add and take; within a step the bias may come first or last.
            let rise = (up + bias).max(0);
            let fall = (down - bias).max(0);
            let (up, down) = (up + bias.max(0), down - bias.min(0));
            let later = steps - 1;
            min = min.min(start - down - fall * later);
            if start + up + rise * later < 0 {
                // It never spikes.
                max = max.max(start + up + rise * later);
            } else {
                // After an update a potential is below zero, unless its count was cut off: then each
                // step adds at most `rise` and takes `max_count` thresholds. A spike leaves it at the
                // negative threshold or above.
                let from = if later == 0 { start } else { -1 };
                let kept = (rise - max_count * threshold).max(0);
                max = max.max(from.max(start) + up + kept * later);
                let fallen = if later == 0 {
                    0
                } else {
                    down + fall * (later - 1)
                };
                min = min.min(-threshold - fallen);
            }
            wide.min = wide.min.min(min);
            wide.max = wide.max.max(max);
            let reach = max.max(-min - 1).max(bias.abs());
            wide.reach[class] = wide.reach[class].max(reach);
            wide.threshold.push(threshold);
            wide.bias.push(bias);
        }
        (wide, weights)
    }

    fn output(
        &self,
        layer: usize,
        output: &crate::graph::Output,
        fan_in: &[FanIn<'_>],
    ) -> Result<(Output, Weights), QuantizeError> {
        check_finite(&output.label, fan_in, &output.bias)?;
        let size = output.bias.len();
        let weight_max = self.options.weight_max(layer);
        let mut units = units_within(fan_in, size, weight_max, |_| 1.0);
        let limit = largest(self.options.bits(layer));
        keep_digits(&mut units);
        let mut drives = vec![Drive::default(); size];
        let mut weights = Vec::with_capacity(fan_in.len());
        for f in fan_in {
            let q = rounded(f, &units, 1.0, limit, self.rounding.offsets(f.index));
            let drive = self.drive(f, &q, size);
            for (total, d) in drives.iter_mut().zip(drive) {
                total.up += d.up;
                total.down += d.down;
            }
            weights.push(q);
        }
        let mut bound = 0i64;
        let mut bias = Vec::with_capacity(size);
        for ((b, unit), drive) in output.bias.iter().zip(&units).zip(&drives) {
            let b = whole(f64::from(*b) / unit);
            bound = bound.max((drive.up.max(drive.down) + b.abs()) * i64::from(self.options.steps));
            bias.push(b);
        }
        if bound > i64::from(i32::MAX) {
            return Err(QuantizeError::Overflow {
                layer: output.label.clone(),
                bound,
                steps: self.options.steps,
            });
        }
        let Scaling {
            multiplier,
            shift,
            scale,
        } = Scaling::of(&units, bound);
        Ok((
            Output {
                label: output.label.clone(),
                bias: bias.into_iter().map(|b| b as i32).collect(),
                multiplier,
                shift,
                scale,
                ..Output::default()
            },
            weights,
        ))
    }

    fn drive(&self, f: &FanIn<'_>, q: &[i16], period: usize) -> Vec<Drive> {
        f.drive(q, self.event_range(f.link.pre), period)
    }

    fn place(
        &self,
        fan_in: &[FanIn<'_>],
        weights: Weights,
        connections: &mut [Option<Connection>],
    ) -> Result<(), QuantizeError> {
        for (f, weights) in fan_in.iter().zip(weights) {
            connections[f.index] = Some(f.connection(self.graph, weights)?);
        }
        Ok(())
    }
}

/// Raises the units of an output's channels that are so much smaller than the rest that their multipliers
/// would have no digits.
pub(crate) fn keep_digits(units: &mut [f64]) {
    let largest = largest_unit(units);
    for unit in units {
        *unit = unit.max(largest * f64::exp2(-8.0));
    }
}

fn largest_unit(units: &[f64]) -> f64 {
    let largest = units.iter().copied().fold(0.0, f64::max);
    if largest > 0.0 { largest } else { 1.0 }
}

/// How an output's sums come to a common unit.
pub(crate) struct Scaling {
    pub(crate) multiplier: Vec<i32>,
    pub(crate) shift: u8,
    pub(crate) scale: f64,
}

impl Scaling {
    /// For channels with these units whose sums do not exceed `bound`.
    pub(crate) fn of(units: &[f64], bound: i64) -> Self {
        let largest = largest_unit(units);
        // As many fractional bits as the bound leaves room for.
        let room = 31 - 64 + (bound.max(1) as u64).leading_zeros() as i32;
        let fraction = room.clamp(0, MULTIPLIER_BITS);
        Self {
            multiplier: units
                .iter()
                .map(|u| (u / largest * f64::exp2(f64::from(MULTIPLIER_BITS))).round() as i32)
                .collect(),
            shift: (MULTIPLIER_BITS - fraction) as u8,
            scale: largest * f64::exp2(-f64::from(fraction)),
        }
    }
}

/// An ensemble before its width is known.
struct Wide {
    theta: f64,
    shift: u8,
    max_count: u8,
    threshold: Vec<i64>,
    bias: Vec<i64>,
    min: i64,
    max: i64,
    /// The largest magnitude of each unit's channels.
    reach: Vec<i64>,
}

impl Wide {
    fn fits(&self, width: Width) -> bool {
        let max = i64::from(width.max());
        let holds = |x: i64| (-max - 1..=max).contains(&x);
        holds(self.min) && holds(self.max) && self.bias.iter().all(|&b| holds(b))
    }

    fn finish(self, population: &crate::graph::Population, width: Width) -> Ensemble {
        let narrow = |values: Vec<i64>| values.into_iter().map(|v| v as i32).collect();
        Ensemble {
            label: population.label.clone(),
            neurons: population.neurons,
            width,
            max_count: self.max_count,
            current_shift: -(self.shift as i8),
            threshold: narrow(self.threshold),
            bias: narrow(self.bias),
            potential_min: self.min as i32,
            potential_max: self.max as i32,
            theta: self.theta,
            ..Ensemble::default()
        }
    }
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

/// How many units of their own the channels of a target can have: as many as all its links and its
/// parameters tell apart.
pub(crate) fn period(fan_in: &[FanIn<'_>], channels: usize) -> usize {
    fan_in.iter().fold(channels, |n, f| gcd(n, f.span))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A bias in whole units. What no sum of 32 bits holds becomes 2^40, so that bounds can be computed with
/// it, and are refused.
fn whole(bias: f64) -> i64 {
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
fn units_within(
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

/// The weights of so many bits in units of their channels; `per_unit` of them make one unit of the potential.
pub(crate) fn quantized(f: &FanIn<'_>, units: &[f64], per_unit: f64, bits: u8) -> Vec<i16> {
    rounded(f, units, per_unit, largest(bits), &[])
}

/// The same up to ±`limit`, with `offsets` added where there are any.
fn rounded(f: &FanIn<'_>, units: &[f64], per_unit: f64, limit: i16, offsets: &[i8]) -> Vec<i16> {
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
