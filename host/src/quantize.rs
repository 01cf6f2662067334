//! Graph + Calibration → Quantized: the network in integers, with the proof that none overflows.
//!
//! # Units
//! A population's activation is counted in spikes: `theta` is the activation that one spike in one
//! step stands for, so that after T steps a neuron with N spikes shows theta N / T. Potentials of
//! channel c are counted in units u_c of activation. A weight w from a source with `theta_pre` becomes
//! q = round(w theta_pre / u_c), and the threshold theta / u_c is an exact integer: u_c is chosen as
//! theta / floor(127 theta / max |w theta_pre|), the smallest unit for which the largest weight of the
//! channel fits int8.
//!
//! # Bounds
//! In one step a potential rises at most by P (its positive weights at the largest counts, positive
//! current and bias) and falls at most by N. Potentials are stored less the threshold, so a neuron
//! ends a step below zero unless it has emitted its largest count. From these follow the least and
//! largest value at any time within `steps` steps, in whatever order events are added. The narrowest
//! type that holds them is chosen; the bounds are kept in the image.

use tinyspike_shared::image::{Convolution as ConvShape, Dense, Transform, Width};

use crate::calibrate::Calibration;
use crate::lower::{self, Graph, LinearMap, Link, Source};
use crate::network::Convolution;

/// Largest magnitude of a weight.
const WEIGHT_MAX: f64 = 127.0;
/// A threshold needs no more resolution than this; a channel of tiny weights uses less of int8.
const THRESHOLD_MAX: f64 = 4096.0;
/// An int16 potential is chosen only where every threshold keeps at least this resolution.
const THRESHOLD_MIN_16: i64 = 24;
/// The highest shift that is tried to fit an input current into int16.
const SHIFT_MAX: u8 = 12;
/// Output multipliers are at most 2^this.
const MULTIPLIER_BITS: i32 = 15;

/// The kernels that an image is laid out for. Any engine runs any layout; its own is the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Target {
    /// Plain rows.
    Portable,
    /// Cores with the DSP extension: Cortex-M4, M7, M33.
    #[default]
    CortexM4,
}

/// How to quantize.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeOptions {
    /// Steps of an inference.
    pub steps: u16,
    /// The most spikes that a neuron emits in one step.
    pub max_count: u8,
    /// The kernels that the image is for.
    pub target: Target,
    /// What a layer's largest activation is taken to be; `None` for what gives the least squared error,
    /// or the share of the activations above zero that stay below it.
    pub percentile: Option<f64>,
    /// How many bits an input's bytes use, 1 to 8. With fewer, small values become zero, which costs
    /// nothing to run.
    pub input_bits: u8,
    /// What differs in single layers, in the order of the graph's populations; layers beyond the end
    /// have the defaults.
    pub layers: Vec<LayerOptions>,
}

/// How to quantize one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerOptions {
    /// The most spikes that a neuron emits in one step; `None` for the network's.
    pub max_count: Option<u8>,
    /// The largest activation that can be shown, as a multiple of the one with the least squared error.
    pub clip: f64,
}

impl Default for LayerOptions {
    /// The network's count, and the clip with the least squared error.
    fn default() -> Self {
        Self {
            max_count: None,
            clip: 1.0,
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

    fn valid(&self) -> bool {
        self.steps > 0
            && self.max_count > 0
            && (1..=8).contains(&self.input_bits)
            && self.percentile.is_none_or(|p| p > 0.0 && p <= 1.0)
            && self
                .layers
                .iter()
                .all(|l| l.max_count != Some(0) && l.clip.is_finite() && l.clip > 0.0)
    }
}

impl Default for QuantizeOptions {
    /// Two steps of up to 15 spikes.
    fn default() -> Self {
        Self {
            steps: 2,
            max_count: 15,
            target: Target::default(),
            percentile: None,
            input_bits: 8,
            layers: Vec::new(),
        }
    }
}

/// A network in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// The kernels that the image is for.
    pub target: Target,
    /// Steps of an inference.
    pub steps: u16,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// The neurons, in topological order.
    pub ensembles: Vec<Ensemble>,
    /// The readouts.
    pub outputs: Vec<Output>,
    /// The synapses, sorted by source.
    pub connections: Vec<Connection>,
}

/// A quantized input: value = `scale` (byte - `zero_point`), for bytes up to `max`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "said at the type")]
pub struct Input {
    pub label: String,
    pub size: usize,
    pub scale: f64,
    pub zero_point: u8,
    pub max: u8,
}

/// Integrate-and-fire neurons.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// The Nengo ensemble's label.
    pub label: String,
    /// How many neurons.
    pub neurons: usize,
    /// The type of potentials.
    pub width: Width,
    /// The most spikes in one step.
    pub max_count: u8,
    /// What an input's current is shifted right by.
    pub current_shift: u8,
    /// The threshold of each channel.
    pub threshold: Vec<i32>,
    /// The bias of each channel.
    pub bias: Vec<i32>,
    /// The least V - threshold at any time.
    pub potential_min: i32,
    /// The largest V - threshold at any time.
    pub potential_max: i32,
    /// The activation that one spike in one step stands for.
    pub theta: f64,
}

/// A readout.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The probe's label.
    pub label: String,
    /// Added to each sum in every step.
    pub bias: Vec<i32>,
    /// Brings each sum to the common unit.
    pub multiplier: Vec<i32>,
    /// The product is shifted right by this.
    pub shift: u8,
    /// The lead of the largest value at which an inference may end, in common units; 0 for none.
    pub exit_margin: u32,
    /// The common unit.
    pub scale: f64,
}

/// Quantized synapses.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in the graph")]
pub struct Connection {
    pub pre: Source,
    pub post: lower::Target,
    pub transform: Transform,
    pub weights: Vec<i8>,
}

/// Why a network cannot be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// Settings that make no sense.
    #[error(
        "steps, max_count and every layer's max_count must be at least 1, input_bits 1 to 8, every clip a positive number, and a percentile above 0 and at most 1"
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
) -> Result<Quantized, QuantizeError> {
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
    };
    let mut connections: Vec<Option<Connection>> = vec![None; graph.links.len()];
    let mut ensembles = Vec::new();
    for (at, population) in graph.populations.iter().enumerate() {
        let fan_in = context.fan_in(lower::Target::Population(at));
        let (ensemble, weights) = context.ensemble(at, population, &fan_in)?;
        ensembles.push(ensemble);
        context.place(&fan_in, weights, &mut connections)?;
    }
    let mut outputs = Vec::new();
    for (at, output) in graph.outputs.iter().enumerate() {
        let fan_in = context.fan_in(lower::Target::Output(at));
        let (output, weights) = context.output(output, &fan_in)?;
        outputs.push(output);
        context.place(&fan_in, weights, &mut connections)?;
    }
    Ok(Quantized {
        target: options.target,
        steps: options.steps,
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
}

/// One link into a target, with its weights as a matrix of rows over channels.
struct FanIn<'a> {
    /// Index into the graph's links.
    index: usize,
    link: &'a Link,
    /// The weights times the value of one event, in the image's order.
    weights: Vec<f64>,
    /// The weights' innermost length: the number of channels of the target that they tell apart.
    channels: usize,
}

/// The quantized weights of one link, and what they can bring in a step.
type Weights = Vec<Vec<i8>>;

/// Per channel: the most that a step can add, and the most that it can take away.
#[derive(Clone, Copy, Default)]
struct Drive {
    up: i64,
    down: i64,
}

impl<'a> Context<'a> {
    fn fan_in(&self, post: lower::Target) -> Vec<FanIn<'a>> {
        let links = self.graph.links.iter().enumerate();
        links
            .filter(|(_, l)| l.post == post)
            .map(|(index, link)| {
                let value = self.event_value(link.pre);
                let (weights, channels) = image_order(&link.map);
                FanIn {
                    index,
                    link,
                    weights: weights.into_iter().map(|w| w * value).collect(),
                    channels,
                }
            })
            .collect()
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
            Source::Input(i) => {
                let zero = i64::from(self.inputs[i].zero_point);
                (i64::from(self.inputs[i].max) - zero, -zero)
            }
            Source::Population(p) => (i64::from(self.options.count(p)), 0),
        }
    }

    fn ensemble(
        &self,
        at: usize,
        population: &crate::lower::Population,
        fan_in: &[FanIn<'_>],
    ) -> Result<(Ensemble, Weights), QuantizeError> {
        check_finite(&population.label, fan_in, &population.bias)?;
        let driven = fan_in.iter().any(|f| is_input(f));
        // A matrix on an input sums in 32 bits: its row is as long as the input.
        let needs_32 = fan_in
            .iter()
            .any(|f| is_input(f) && matches!(f.link.map, LinearMap::Dense(_)));
        if !needs_32 {
            let shifts = if driven { 0..=SHIFT_MAX } else { 0..=0 };
            for shift in shifts {
                let (ensemble, weights) = self.ensemble_at(at, population, fan_in, shift);
                if ensemble.fits(Width::I16)
                    && ensemble.threshold.iter().all(|&t| t >= THRESHOLD_MIN_16)
                {
                    return Ok((ensemble.finish(population, Width::I16), weights));
                }
            }
        }
        let (ensemble, weights) = self.ensemble_at(at, population, fan_in, 0);
        if !ensemble.fits(Width::I32) {
            return Err(QuantizeError::Overflow {
                layer: population.label.clone(),
                bound: ensemble.max.max(-ensemble.min),
                steps: self.options.steps,
            });
        }
        Ok((ensemble.finish(population, Width::I32), weights))
    }

    /// The ensemble with input currents divided by 2^`shift`, and its bounds.
    fn ensemble_at(
        &self,
        at: usize,
        population: &crate::lower::Population,
        fan_in: &[FanIn<'_>],
        shift: u8,
    ) -> (Wide, Weights) {
        let theta = self.thetas[at];
        let scale = f64::exp2(f64::from(shift));
        let period = period(fan_in, population.channels);
        let mut units = channel_units(fan_in, period, |f| if is_input(f) { scale } else { 1.0 });
        let mut thresholds = vec![0i64; period];
        for (unit, threshold) in units.iter_mut().zip(&mut thresholds) {
            let steps = if *unit > 0.0 {
                theta / *unit
            } else {
                THRESHOLD_MAX
            };
            let whole = steps.floor().clamp(1.0, THRESHOLD_MAX);
            *threshold = whole as i64;
            *unit = theta / whole;
        }
        let mut weights = Vec::with_capacity(fan_in.len());
        let mut drives = vec![Drive::default(); period];
        for f in fan_in {
            let per_unit = if is_input(f) { scale } else { 1.0 };
            let q = quantized(f, &units, per_unit);
            let mut drive = self.drive(f, &q);
            if is_input(f) && shift > 0 {
                for d in &mut drive {
                    // Rounding adds at most one.
                    d.up = (d.up >> shift) + 1;
                    d.down = (d.down >> shift) + 1;
                }
            }
            for (at, total) in drives.iter_mut().enumerate() {
                let d = drive[at % f.channels];
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
        };
        for (channel, &bias) in population.bias.iter().enumerate() {
            let class = channel % period;
            let bias = (f64::from(bias) / units[class]).round() as i64;
            let threshold = thresholds[class];
            let Drive { up, down } = drives[class];
            let start = threshold / 2 - threshold;
            // What whole steps can add and take; within a step the bias may come first or last.
            let rise = (up + bias).max(0);
            let fall = (down - bias).max(0);
            let (up, down) = (up + bias.max(0), down - bias.min(0));
            let later = steps - 1;
            wide.min = wide.min.min(start - down - fall * later);
            if start + up + rise * later < 0 {
                // It never spikes.
                wide.max = wide.max.max(start + up + rise * later);
            } else {
                // After an update a potential is below zero, unless its count was cut off: then each
                // step adds at most `rise` and takes `max_count` thresholds. A spike leaves it at the
                // negative threshold or above.
                let from = if later == 0 { start } else { -1 };
                let kept = (rise - max_count * threshold).max(0);
                wide.max = wide.max.max(from.max(start) + up + kept * later);
                let fallen = if later == 0 {
                    0
                } else {
                    down + fall * (later - 1)
                };
                wide.min = wide.min.min(-threshold - fallen);
            }
            wide.threshold.push(threshold);
            wide.bias.push(bias);
        }
        (wide, weights)
    }

    fn output(
        &self,
        output: &crate::lower::Output,
        fan_in: &[FanIn<'_>],
    ) -> Result<(Output, Weights), QuantizeError> {
        check_finite(&output.label, fan_in, &output.bias)?;
        let size = output.bias.len();
        let mut units = channel_units(fan_in, size, |_| 1.0);
        let largest = units.iter().copied().fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        // A channel much smaller than the rest would lose its multiplier's digits.
        for unit in &mut units {
            *unit = unit.max(largest * f64::exp2(-8.0));
        }
        let mut drives = vec![Drive::default(); size];
        let mut weights = Vec::with_capacity(fan_in.len());
        for f in fan_in {
            let q = quantized(f, &units, 1.0);
            let drive = self.drive(f, &q);
            for (at, total) in drives.iter_mut().enumerate() {
                let d = drive[at % f.channels];
                total.up += d.up;
                total.down += d.down;
            }
            weights.push(q);
        }
        let mut bound = 0i64;
        let mut bias = Vec::with_capacity(size);
        for ((b, unit), drive) in output.bias.iter().zip(&units).zip(&drives) {
            let b = (f64::from(*b) / unit).round() as i64;
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
        // As many fractional bits as the bound leaves room for.
        let room = 31 - 64 + (bound.max(1) as u64).leading_zeros() as i32;
        let fraction = room.clamp(0, MULTIPLIER_BITS);
        let multiplier = units
            .iter()
            .map(|u| (u / largest * f64::exp2(f64::from(MULTIPLIER_BITS))).round() as i32)
            .collect();
        Ok((
            Output {
                label: output.label.clone(),
                bias: bias.into_iter().map(|b| b as i32).collect(),
                multiplier,
                shift: (MULTIPLIER_BITS - fraction) as u8,
                exit_margin: 0,
                scale: largest * f64::exp2(-f64::from(fraction)),
            },
            weights,
        ))
    }

    /// The most that a link can bring to each of its channels in one step.
    fn drive(&self, f: &FanIn<'_>, q: &[i8]) -> Vec<Drive> {
        let (most, least) = self.event_range(f.link.pre);
        let mut drives = vec![Drive::default(); f.channels];
        for row in q.chunks(f.channels.max(1)) {
            for (drive, &w) in drives.iter_mut().zip(row) {
                let w = i64::from(w);
                drive.up += (w * most).max(w * least);
                drive.down -= (w * most).min(w * least);
            }
        }
        drives
    }

    fn place(
        &self,
        fan_in: &[FanIn<'_>],
        weights: Weights,
        connections: &mut [Option<Connection>],
    ) -> Result<(), QuantizeError> {
        for (f, weights) in fan_in.iter().zip(weights) {
            let layer = match f.link.post {
                lower::Target::Population(p) => &self.graph.populations[p].label,
                lower::Target::Output(o) => &self.graph.outputs[o].label,
            };
            connections[f.index] = Some(Connection {
                pre: f.link.pre,
                post: f.link.post,
                transform: transform(layer, &f.link.map)?,
                weights,
            });
        }
        Ok(())
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
}

impl Wide {
    fn fits(&self, width: Width) -> bool {
        let max = i64::from(width.max());
        let holds = |x: i64| (-max - 1..=max).contains(&x);
        holds(self.min) && holds(self.max) && self.bias.iter().all(|&b| holds(b))
    }

    fn finish(self, population: &crate::lower::Population, width: Width) -> Ensemble {
        let narrow = |values: Vec<i64>| values.into_iter().map(|v| v as i32).collect();
        Ensemble {
            label: population.label.clone(),
            neurons: population.neurons,
            width,
            max_count: self.max_count,
            current_shift: self.shift,
            threshold: narrow(self.threshold),
            bias: narrow(self.bias),
            potential_min: self.min as i32,
            potential_max: self.max as i32,
            theta: self.theta,
        }
    }
}

fn is_input(f: &FanIn<'_>) -> bool {
    matches!(f.link.pre, Source::Input(_))
}

fn check_finite(layer: &str, fan_in: &[FanIn<'_>], bias: &[f32]) -> Result<(), QuantizeError> {
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

/// A link's weights in the image's order, and their innermost length: the number of channels of the
/// target that they tell apart.
pub(crate) fn image_order(map: &LinearMap) -> (Vec<f64>, usize) {
    match map {
        LinearMap::Dense(w) => (transposed(w.data(), w.shape()), w.shape()[0]),
        LinearMap::Convolution(c) => (
            c.kernel.data().iter().map(|&w| f64::from(w)).collect(),
            c.output_shape.last().copied().unwrap_or(1),
        ),
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

/// How many units of their own the channels of a target need: as few as its links tell apart.
fn period(fan_in: &[FanIn<'_>], channels: usize) -> usize {
    fan_in.iter().map(|f| f.channels).min().unwrap_or(channels)
}

/// The smallest unit of each channel for which all its weights fit int8; `scale` says how many units
/// an event's unit is divided into before it reaches the potential.
fn channel_units(
    fan_in: &[FanIn<'_>],
    period: usize,
    scale: impl Fn(&FanIn<'_>) -> f64,
) -> Vec<f64> {
    let mut units = vec![0f64; period];
    for f in fan_in {
        let scale = scale(f);
        for row in f.weights.chunks(f.channels.max(1)) {
            for (channel, w) in row.iter().enumerate() {
                let unit = &mut units[channel % period];
                *unit = unit.max(w.abs() * scale / WEIGHT_MAX);
            }
        }
    }
    units
}

/// The weights in units of their channels; `per_unit` of them make one unit of the potential.
fn quantized(f: &FanIn<'_>, units: &[f64], per_unit: f64) -> Vec<i8> {
    f.weights
        .iter()
        .enumerate()
        .map(|(at, w)| {
            let unit = units[(at % f.channels) % units.len()] / per_unit;
            if unit > 0.0 {
                (w / unit).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) as i8
            } else {
                0
            }
        })
        .collect()
}

/// A link's geometry in the image's terms.
fn transform(layer: &str, map: &LinearMap) -> Result<Transform, QuantizeError> {
    let c = match map {
        LinearMap::Dense(w) => {
            return Ok(Transform::Dense(Dense {
                inputs: fit(layer, "a number of inputs", w.shape()[1])?,
                outputs: fit(layer, "a number of outputs", w.shape()[0])?,
            }));
        }
        LinearMap::Convolution(c) => c,
    };
    let axis = |k: usize| Axis::of(c, k);
    // A convolution over one axis is one over two, of height 1.
    let axes = match c.strides.len() {
        1 => [Axis::SINGLE, axis(0)],
        _ => [axis(0), axis(1)],
    };
    let channels = |shape: &[usize]| shape.last().copied().unwrap_or(0);
    let [y, x] = axes;
    Ok(Transform::Convolution(ConvShape {
        input: [
            fit(layer, "an input height", y.input)?,
            fit(layer, "an input width", x.input)?,
            fit(
                layer,
                "a number of input channels",
                channels(&c.input_shape),
            )?,
        ],
        output: [
            fit(layer, "an output height", y.output)?,
            fit(layer, "an output width", x.output)?,
            fit(
                layer,
                "a number of output channels",
                channels(&c.output_shape),
            )?,
        ],
        kernel: [
            fit(layer, "a kernel height", y.kernel)?,
            fit(layer, "a kernel width", x.kernel)?,
        ],
        stride: [
            fit(layer, "a stride", y.stride)?,
            fit(layer, "a stride", x.stride)?,
        ],
        padding: [
            fit(layer, "a padding", y.padding)?,
            fit(layer, "a padding", x.padding)?,
        ],
    }))
}

#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    const SINGLE: Self = Self {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        padding: 0,
    };

    fn of(c: &Convolution, k: usize) -> Self {
        let (input, output) = (c.input_shape[k], c.output_shape[k]);
        let (kernel, stride) = (c.kernel.shape()[k], c.strides[k]);
        // TensorFlow's rule: the smaller half of the zeros stands before.
        let padding = if c.same_padding {
            ((output.saturating_sub(1) * stride + kernel).saturating_sub(input)) / 2
        } else {
            0
        };
        Self {
            input,
            output,
            kernel,
            stride,
            padding,
        }
    }
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
