//! Network → integers::Network: the network's own steps in fixed point, as NengoDL runs them in floats.
//!
//! Nothing is approximated but numbers: neurons, synapses with their delay of a step, rates and first
//! voltages are the network's. Weights are integers for each channel of the target, as in every image:
//! int8, or up to 16 bits where spikes are to come when the floats' do.
//!
//! # Units
//! A step adds max(J, 0) dt to the potential of a rectifying neuron, whose threshold is 1; a spike of a
//! source with amplitude a brings a / dt to J. So a spike through a weight w brings w a to the potential
//! in all, and a value x of an input w x dt in every step. The potential of channel c is counted in
//! units ν_c; the threshold 1 / ν_c is an exact integer. (LIF neurons have J in these units, without dt.)
//!
//! An event of count n adds n 2^k q to a filter, q being its weight. Filters have no gain of their
//! own: a lowpass whose state p decays by d in each step shows, in the long run, 1 / (1 - d) times what
//! comes in. That gain, of the decay *as it is rounded*, and the 2^k go into the unit: one step of a
//! weight is worth ν_c 2^k / (1 - d). So the rounding of d shifts no firing rate, and k bits lie
//! behind the weights' point for the filter's own rounding.
//!
//! # Bounds
//! All that filters and potentials do is monotone in what comes in, rounding included. The extremes
//! therefore follow the same steps, taken with the largest and the least input. k is the largest for
//! which everything stays in 32 bits.

use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_shared::image::{
    LEAK_BITS, LEAK_PIECES, Lif, MAX_FRACTION, MAX_VOLTAGE_BITS, Neuron, Readout as Shows,
    Rectified, STEP, Synapse, Width,
};

use crate::assemble::{AssembleError, assemble};
use crate::calibrate::Range;
use crate::graph::{self, Graph, Population, Source, Target};
use crate::integers::{self, Connection, Ensemble, Inbox, Initial, Input, Output, Steps};
use crate::lower::{ForeignNeurons, LowerError, first_voltages, lower, unsupported};
use crate::network::{self, Network, NeuronType};
use crate::quantize::{
    Drive, FanIn, QuantizeError, Scaling, WEIGHT_BITS, WEIGHT_BITS_MIN, channel_units,
    check_finite, input_encoding, is_input, keep_digits, period, quantized,
};
use crate::simulate::{InitialVoltage, SimulateError};

/// The most bits of a weight.
pub const WEIGHT_BITS_MAX: u8 = 16;
/// The most bits behind a weight's point.
const FRACTION_MAX: u8 = 10;
/// The largest threshold.
const THRESHOLD_MAX: f64 = 268_435_456.0;
/// The threshold of neurons that nothing reaches.
const THRESHOLD_IDLE: i64 = 1 << 16;
/// Parts of 2^16.
const PARTS: f64 = 65_536.0;

/// How to bring a network to fixed point.
#[derive(Clone, Debug, PartialEq)]
pub struct FaithfulOptions {
    /// Steps of an inference.
    pub steps: u16,
    /// Seconds per step.
    pub dt: f64,
    /// Where voltages start.
    pub initial_voltage: InitialVoltage,
    /// The most spikes that a neuron emits in one step, where the bounds do not show that it never
    /// emits more; further spikes wait for the next step.
    pub max_count: u8,
    /// The range of each input's values; beyond the end of the list, 0 to 1.
    pub inputs: Vec<Range>,
    /// Bits of weights, 2 to 16. Layers in which sums of more than 8 would leave 32 bits have as many fewer.
    pub weight_bits: u8,
    /// The kernels that the image is for.
    pub target: &'static Family,
}

impl Default for FaithfulOptions {
    /// Fifty steps of a millisecond from voltages that are drawn from seed 0, weights as fine as there are.
    fn default() -> Self {
        Self {
            steps: 50,
            dt: 0.001,
            initial_voltage: InitialVoltage::default(),
            max_count: 63,
            inputs: Vec::new(),
            weight_bits: WEIGHT_BITS_MAX,
            target: &families::DSP,
        }
    }
}

/// Why a network cannot run in fixed point.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaithfulError {
    /// Settings that make no sense.
    #[error(
        "steps and max_count must be at least 1, weights have 2 to 16 bits, and dt is a positive number of seconds"
    )]
    Options,
    /// The network has parts that no image can hold.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The first voltages do not fit the network.
    #[error(transparent)]
    Voltage(#[from] SimulateError),
    /// A voltage at or above the threshold.
    #[error("layer {layer:?}: a neuron's voltage starts at {voltage}; it must be below 1")]
    Start {
        /// The layer.
        layer: String,
        /// The voltage.
        voltage: f32,
    },
    /// A number beyond what an image can hold.
    #[error("layer {layer:?}: {what} of {value} is more than an image can hold ({limit})")]
    Limit {
        /// The layer.
        layer: String,
        /// Of what.
        what: &'static str,
        /// The number.
        value: f64,
        /// The largest.
        limit: f64,
    },
    /// A size or a bound exceeds what an image can hold.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The image cannot be packed.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

/// An image that runs as the network does, and the stages on the way to it.
#[derive(Debug)]
pub struct FaithfulBuild {
    /// What of the network is deployed.
    pub graph: Graph,
    /// The network in integers.
    pub quantized: integers::Network,
    /// The packed image.
    pub image: Vec<u8>,
}

/// Takes a converted network to an image that runs it step by step.
///
/// # Errors
/// Where a part of the network has no such form, or a number exceeds what an image can hold.
pub fn build_faithful(
    network: &Network,
    options: &FaithfulOptions,
) -> Result<FaithfulBuild, FaithfulError> {
    let mut graph = lower(network)?;
    check_neurons(&graph)?;
    first_voltages(network, &options.initial_voltage, &mut graph)?;
    let quantized = quantize_stepwise(&graph, options)?;
    let image = assemble(&quantized)?;
    Ok(FaithfulBuild {
        graph,
        quantized,
        image,
    })
}

/// Brings a network to fixed point.
///
/// # Errors
/// Where a number exceeds what an image can hold: the layer and the number.
pub fn quantize_stepwise(
    graph: &Graph,
    options: &FaithfulOptions,
) -> Result<integers::Network, FaithfulError> {
    let valid = options.steps > 0
        && options.max_count > 0
        && (WEIGHT_BITS_MIN..=WEIGHT_BITS_MAX).contains(&options.weight_bits)
        && options.dt.is_finite()
        && options.dt > 0.0;
    if !valid {
        return Err(FaithfulError::Options);
    }
    check_neurons(graph)?;
    let inputs: Vec<Input> = (graph.inputs.iter().enumerate())
        .map(|(at, input)| {
            let unit = Range { min: 0.0, max: 1.0 };
            let range = options.inputs.get(at).copied().unwrap_or(unit);
            let (min, max) = (f64::from(range.min), f64::from(range.max));
            let (scale, zero_point) = input_encoding(min, max, u8::MAX);
            Input {
                label: input.label.clone(),
                size: input.size(),
                scale,
                zero_point,
                max: u8::MAX,
            }
        })
        .collect();
    let mut work = Work {
        graph,
        inputs: &inputs,
        options,
        values: Vec::new(),
        counts: Vec::new(),
    };
    let mut connections: Vec<Option<Connection>> = vec![None; graph.links.len()];
    let mut ensembles = Vec::new();
    for (at, population) in graph.populations.iter().enumerate() {
        let neurons = Neurons::of(population, options)?;
        let synapse = synapse(graph, Target::Population(at))?;
        let synapse = work.synapse(Target::Population(at), synapse)?;
        let ensemble = work.population(at, population, neurons, synapse, &mut connections)?;
        work.values.push(ensemble.theta);
        ensembles.push(ensemble);
    }
    let mut outputs = Vec::new();
    for (at, output) in graph.outputs.iter().enumerate() {
        let readout = readout(graph, at)?;
        outputs.push(work.output(at, output, readout, &mut connections)?);
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

/// How an output sees what populations send.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Readout {
    /// As it is.
    Direct,
    /// As the filter of a connection showed it at the end of the step before.
    Connection(network::Synapse),
    /// As the probe's filter shows it at the end of the step.
    Probe(network::Synapse),
}

/// Refuses neurons that images do not have as they are.
fn check_neurons(graph: &Graph) -> Result<(), LowerError> {
    let foreign = graph.populations.iter().filter_map(|p| match &p.neuron {
        graph::Neuron::Own { neuron_type, .. } => {
            let runs = neuron_type.uniform().is_some_and(|n| runs_stepwise(&n));
            (!runs).then(|| ForeignNeurons::new(p, neuron_type))
        }
        graph::Neuron::IntegrateAndFire => None,
    });
    let foreign: Vec<ForeignNeurons> = foreign.collect();
    if foreign.is_empty() {
        Ok(())
    } else {
        Err(LowerError::StepwiseNeurons(foreign))
    }
}

/// Whether the engine has these neurons as they are.
fn runs_stepwise(neuron_type: &NeuronType) -> bool {
    match neuron_type {
        NeuronType::SpikingRectifiedLinear { .. } | NeuronType::Lif { .. } => true,
        NeuronType::SpikingLeakyRelu { negative_slope, .. } => (0.0..1.0).contains(negative_slope),
        NeuronType::RegularSpiking { base, .. } => {
            matches!(**base, NeuronType::RectifiedLinear { .. })
        }
        _ => false,
    }
}

/// The synapse that the links from populations to a target have in common.
fn synapse(graph: &Graph, target: Target) -> Result<Option<network::Synapse>, LowerError> {
    let links = graph.links_into(target).map(|(_, link)| link);
    let mut seen = links
        .filter(|l| matches!(l.pre, Source::Population(_)))
        .map(|l| l.synapse);
    let first = seen.next().flatten();
    if seen.any(|other| other != first) {
        return Err(unsupported(
            graph.label(target),
            "several different synapses into one layer",
            "give all connections into it the same",
        ));
    }
    Ok(first)
}

fn readout(graph: &Graph, at: usize) -> Result<Readout, LowerError> {
    let (target, output) = (Target::Output(at), &graph.outputs[at]);
    let probe = match output.readout {
        graph::Readout::Sum => None,
        graph::Readout::Shown { synapse } => synapse,
    };
    let mut links = graph.links_into(target);
    let fed = links.any(|(_, l)| matches!(l.pre, Source::Input(_)));
    match (synapse(graph, target)?, probe) {
        (None, None) => Ok(Readout::Direct),
        (Some(synapse), None) => Ok(Readout::Connection(synapse)),
        // The probe would filter the bias and the input as well.
        (None, Some(synapse)) if !fed && output.bias.iter().all(|b| *b == 0.0) => {
            Ok(Readout::Probe(synapse))
        }
        _ => Err(unsupported(
            &output.label,
            "a probe with a synapse on something else than neurons",
            "probe it without one",
        )),
    }
}

/// An ensemble's neurons, as an image has them.
struct Neurons {
    neuron: Neuron,
    initial: Initial,
    /// The leak of LIF neurons: the least voltage as a share of the threshold, and all constants.
    minimum: i32,
    constants: Vec<u32>,
    /// What its current is multiplied by before it is counted: dt of rectifying neurons, else 1.
    factor: f64,
    /// What one spike in a step shows: amplitude / dt.
    value: f64,
}

impl Neurons {
    fn of(population: &Population, options: &FaithfulOptions) -> Result<Self, FaithfulError> {
        let ensemble = population;
        let dt = options.dt;
        let limit = |what, value: f64, limit: f64| {
            if value <= limit {
                Ok(value)
            } else {
                Err(FaithfulError::Limit {
                    layer: ensemble.label.clone(),
                    what,
                    value,
                    limit,
                })
            }
        };
        let (neuron_type, voltages) = match &population.neuron {
            graph::Neuron::Own {
                neuron_type,
                voltage,
            } => (neuron_type.at(0), voltage.as_slice()),
            graph::Neuron::IntegrateAndFire => (
                NeuronType::SpikingRectifiedLinear { amplitude: 1.0 },
                &[][..],
            ),
        };
        let initial = initial(population, voltages)?;
        let rectified = |slope: f32, gain: f32, amplitude: f32, initial| Self {
            neuron: Neuron::Rectified(Rectified {
                negative_slope: (f64::from(slope) * PARTS).round().min(PARTS - 1.0) as u16,
            }),
            initial,
            minimum: 0,
            constants: Vec::new(),
            factor: dt * f64::from(gain),
            value: f64::from(amplitude) / dt,
        };
        Ok(match neuron_type {
            NeuronType::Lif {
                tau_rc,
                tau_ref,
                min_voltage,
                amplitude,
            } => {
                let steps = f64::from(STEP);
                let refractory = f64::from(tau_ref) / dt * steps;
                let refractory = limit("a refractory time", refractory, i32::MAX.into())?;
                let minimum = limit("a least voltage", -f64::from(min_voltage), 16_384.0)?;
                // Each piece of a step must leak something.
                let tau = limit("a tau_rc in steps", f64::from(tau_rc) / dt, 1e6)?;
                let leaked = |piece: usize| {
                    let part = piece as f64 / LEAK_PIECES as f64;
                    -(-part / tau).exp_m1() * f64::exp2(f64::from(LEAK_BITS))
                };
                let table: Vec<u32> = (0..=LEAK_PIECES)
                    .map(|piece| leaked(piece).round() as u32)
                    .collect();
                if table.windows(2).any(|pair| pair[0] >= pair[1]) {
                    // All of a step's leak is over in the first pieces.
                    return Err(FaithfulError::Limit {
                        layer: ensemble.label.clone(),
                        what: "a step in tau_rc",
                        value: 1.0 / tau,
                        limit: 18.0,
                    });
                }
                let minimum = (-minimum * PARTS).round() as i32;
                let mut constants = vec![refractory.round() as u32, minimum as u32];
                constants.extend(table);
                Self {
                    neuron: Neuron::Lif(Lif { voltage_bits: 0 }),
                    initial,
                    minimum,
                    constants,
                    factor: 1.0,
                    value: f64::from(amplitude) / dt,
                }
            }
            NeuronType::SpikingLeakyRelu {
                negative_slope,
                amplitude,
            } => rectified(negative_slope, 1.0, amplitude, initial),
            NeuronType::RegularSpiking {
                ref base,
                amplitude,
            } => {
                let gain = base.amplitude().unwrap_or(1.0);
                rectified(0.0, gain, amplitude, initial)
            }
            // Lowering has refused all others.
            ref other => rectified(0.0, 1.0, other.amplitude().unwrap_or(1.0), initial),
        })
    }

    /// Whether V falls, and how far, for a current below zero.
    fn slope(&self) -> i64 {
        match self.neuron {
            Neuron::Rectified(Rectified { negative_slope }) => negative_slope.into(),
            _ => 0,
        }
    }
}

/// First voltages as shares of the threshold, in the order of a device.
fn initial(ensemble: &Population, voltages: &[f32]) -> Result<Initial, FaithfulError> {
    if let Some(&voltage) = voltages.iter().find(|v| !(0.0..1.0).contains(*v)) {
        return Err(FaithfulError::Start {
            layer: ensemble.label.clone(),
            voltage,
        });
    }
    if voltages.iter().all(|v| *v == 0.0) {
        return Ok(Initial::Zero);
    }
    if voltages.iter().all(|v| *v == 0.5) {
        return Ok(Initial::Half);
    }
    let share = |voltage: &f32| (f64::from(*voltage) * PARTS).round().min(PARTS - 1.0) as u16;
    Ok(Initial::Each(voltages.iter().map(share).collect()))
}

/// A filter in fixed point.
#[derive(Clone, Copy)]
struct Filter {
    synapse: Option<Synapse>,
    /// What it shows in the long run of what comes in.
    gain: f64,
}

impl Filter {
    /// The synapse of a connection: as good as none, it still delays.
    fn of(synapse: network::Synapse, dt: f64) -> Self {
        let (network::Synapse::Lowpass { tau } | network::Synapse::Alpha { tau }) = synapse;
        // Nengo's limit, below which a filter only delays.
        if tau <= 0.03 * dt {
            return Self::lowpass(0.0);
        }
        let ratio = dt / tau;
        let decay = (-ratio).exp();
        match synapse {
            network::Synapse::Lowpass { .. } => Self::lowpass(decay),
            network::Synapse::Alpha { .. } => {
                // The alpha filter has a double pole at the decay. Of what comes in, a first lowpass
                // keeps p; y takes in 1 - decay (1 + ratio) of it at once, and this share, of what is
                // left, in the next step. Counted in units of the first, y = q + p.
                let feed = decay * (ratio - 1.0 + decay) / (1.0 - decay * (1.0 + ratio));
                let [decay, feed] = [parts(decay), parts(feed)];
                let left = 1.0 - f64::from(decay) / PARTS;
                Self {
                    synapse: Some(Synapse::Alpha { decay, feed }),
                    gain: (1.0 + f64::from(feed) / PARTS) / (left * left),
                }
            }
        }
    }

    fn lowpass(decay: f64) -> Self {
        let decay = parts(decay);
        Self {
            synapse: Some(Synapse::Lowpass { decay }),
            gain: 1.0 / (1.0 - f64::from(decay) / PARTS),
        }
    }

    /// None at all.
    const THROUGH: Self = Self {
        synapse: Some(Synapse::Through),
        gain: 1.0,
    };

    /// Of a part that only inputs reach.
    const ABSENT: Self = Self {
        synapse: None,
        gain: 1.0,
    };
}

/// A number below 1 in parts of 2^16.
fn parts(x: f64) -> u16 {
    (x * PARTS).round().clamp(0.0, PARTS - 1.0) as u16
}

/// `x` · `factor` / 2^16 as the engine rounds it.
fn scaled(x: i64, factor: u16) -> i64 {
    (x * i64::from(factor) + (1 << 15)) >> 16
}

/// What all parts share, and what is known of those before.
struct Work<'a> {
    graph: &'a Graph,
    inputs: &'a [Input],
    options: &'a FaithfulOptions,
    /// What a spike of each population shows.
    values: Vec<f64>,
    /// The most spikes in a step of each population, above zero and below.
    counts: Vec<(i64, i64)>,
}

/// A part, and what reaches it.
struct Post<'a> {
    label: &'a str,
    fan_in: &'a [FanIn<'a>],
    filter: Filter,
    bias: &'a [f64],
    /// How many units of their own its channels have.
    period: usize,
}

/// A part's weights and currents, for a number of bits behind the weights' point.
struct Fit {
    fraction: u8,
    current_shift: i8,
    units: Vec<f64>,
    weights: Vec<Vec<i16>>,
    bias: Vec<i64>,
    bounds: Bounds,
}

/// The extremes of everything but the potential.
#[derive(Default)]
struct Bounds {
    /// Of the filter, at any time.
    filter: (i64, i64),
    /// Of J for each channel's bias at each step.
    current: Vec<Vec<(i64, i64)>>,
    /// The largest magnitude of anything.
    largest: i64,
}

impl<'a> Work<'a> {
    fn synapse(
        &self,
        post: Target,
        synapse: Option<network::Synapse>,
    ) -> Result<Filter, FaithfulError> {
        let links = self.graph.links.iter();
        let events = links
            .filter(|l| l.post == post && matches!(l.pre, Source::Population(_)))
            .count();
        Ok(match synapse {
            _ if events == 0 => Filter::ABSENT,
            None => Filter::THROUGH,
            Some(synapse) => Filter::of(synapse, self.options.dt),
        })
    }

    /// What one unit of an event from a source stands for.
    fn value(&self, pre: Source) -> f64 {
        match pre {
            Source::Input(i) => self.inputs[i].scale,
            Source::Population(p) => self.values[p],
        }
    }

    /// The largest and the least value of an event from a source.
    fn range(&self, pre: Source) -> (i64, i64) {
        match pre {
            Source::Input(i) => self.inputs[i].range(),
            Source::Population(p) => (self.counts[p].0, -self.counts[p].1),
        }
    }

    /// The most bits behind the point with which an event's value still is one.
    fn fraction_max(&self, fan_in: &[FanIn<'_>]) -> u8 {
        let most = fan_in
            .iter()
            .filter(|f| !is_input(f))
            .map(|f| {
                let (most, least) = self.range(f.link.pre);
                most.max(-least)
            })
            .max()
            .unwrap_or(0);
        (0..=FRACTION_MAX.min(MAX_FRACTION))
            .rev()
            .find(|k| most << k <= i64::from(i16::MAX))
            .unwrap_or(0)
    }

    /// The most bits of weights, and behind their point, with which everything stays within 32 bits. `adjust`
    /// makes units fit what they count besides weights; `also` is the largest value that follows from
    /// the extremes of currents.
    fn fit(
        &self,
        post: &Post<'_>,
        adjust: &dyn Fn(&mut [f64]),
        also: &dyn Fn(&Fit) -> i64,
    ) -> Result<Fit, FaithfulError> {
        let mut bound = 0;
        let most = self.options.weight_bits;
        for bits in (most.min(WEIGHT_BITS)..=most).rev() {
            for fraction in (0..=self.fraction_max(post.fan_in)).rev() {
                let fit = self.fit_at(post, adjust, bits, fraction);
                bound = fit.bounds.largest.max(also(&fit));
                if bound <= i64::from(i32::MAX) {
                    return Ok(fit);
                }
            }
        }
        Err(QuantizeError::Overflow {
            layer: post.label.to_owned(),
            bound,
            steps: self.options.steps,
        }
        .into())
    }

    fn fit_at(&self, post: &Post<'_>, adjust: &dyn Fn(&mut [f64]), bits: u8, fraction: u8) -> Fit {
        let Post {
            fan_in,
            filter,
            bias,
            period,
            ..
        } = *post;
        // How many units of the potential one step of an event's weight is worth.
        let event = f64::exp2(fraction.into()) * filter.gain;
        let current_shift = current_shift(fan_in, period, bits, event);
        let per_unit = |f: &FanIn<'_>| {
            if is_input(f) {
                f64::exp2(-f64::from(current_shift))
            } else {
                1.0 / event
            }
        };
        let mut units = channel_units(fan_in, period, bits, per_unit);
        adjust(&mut units);
        let weights: Vec<Vec<i16>> = fan_in
            .iter()
            .map(|f| quantized(f, &units, per_unit(f), bits))
            .collect();
        let bias: Vec<i64> = (bias.iter().enumerate())
            .map(|(channel, b)| match units[channel % period] {
                unit if unit > 0.0 => (b / unit).round() as i64,
                _ => 0,
            })
            .collect();
        let mut events = vec![Drive::default(); period];
        let mut inputs = vec![Drive::default(); period];
        for (f, q) in fan_in.iter().zip(&weights) {
            let sums = if is_input(f) {
                &mut inputs
            } else {
                &mut events
            };
            let drives = f.drive(q, self.range(f.link.pre), period);
            for (sum, drive) in sums.iter_mut().zip(drives) {
                sum.up += drive.up;
                sum.down += drive.down;
            }
        }
        for drive in &mut events {
            drive.up <<= fraction;
            drive.down <<= fraction;
        }
        let bounds = self.bounds(filter, &events, &inputs, &bias, current_shift);
        Fit {
            fraction,
            current_shift,
            units,
            weights,
            bias,
            bounds,
        }
    }

    fn bounds(
        &self,
        filter: Filter,
        events: &[Drive],
        inputs: &[Drive],
        bias: &[i64],
        current_shift: i8,
    ) -> Bounds {
        let mut bounds = Bounds::default();
        let mut wider = |x: i64| bounds.largest = bounds.largest.max(x.abs());
        // What the filter of each class of channels shows at the start of each step.
        let mut shown: Vec<Vec<(i64, i64)>> = Vec::with_capacity(events.len());
        for drive in events {
            let (mut p, mut q) = ((0, 0), (0, 0));
            let mut steps = Vec::with_capacity(self.options.steps.into());
            for _ in 0..self.options.steps {
                let before = p;
                let y = (q.0 + p.0, q.1 + p.1);
                let (kept, fed) = match filter.synapse {
                    None | Some(Synapse::Through) => ((0, 0), (0, 0)),
                    Some(Synapse::Lowpass { decay }) => {
                        ((scaled(p.0, decay), scaled(p.1, decay)), (0, 0))
                    }
                    Some(Synapse::Alpha { decay, feed }) => (
                        (scaled(p.0, decay), scaled(p.1, decay)),
                        (
                            scaled(y.0, decay) + scaled(before.0, feed),
                            scaled(y.1, decay) + scaled(before.1, feed),
                        ),
                    ),
                };
                q = fed;
                // Events may come in any order.
                p = (kept.0 - drive.down, kept.1 + drive.up);
                // A target without a filter, or a probe with one, sees this step's events.
                let after = (q.0 + p.0, q.1 + p.1);
                let seen = (y.0.min(after.0), y.1.max(after.1));
                for x in [p.0, p.1, q.0, q.1, seen.0, seen.1] {
                    wider(x);
                }
                bounds.filter.0 = bounds.filter.0.min(seen.0).min(p.0).min(q.0);
                bounds.filter.1 = bounds.filter.1.max(seen.1).max(p.1).max(q.1);
                steps.push(seen);
            }
            shown.push(steps);
        }
        for (channel, &b) in bias.iter().enumerate() {
            let class = channel % inputs.len().max(1);
            let Drive { up, down } = inputs[class];
            wider(up);
            wider(down);
            wider(b);
            let shift = |x: i64| {
                if current_shift >= 0 {
                    x << current_shift
                } else {
                    // Rounding adds at most one.
                    (x >> current_shift.unsigned_abs()) + 1
                }
            };
            let (up, down) = (shift(up), shift(down));
            wider(up);
            wider(down);
            let steady = (b - down, b + up);
            wider(steady.0);
            wider(steady.1);
            let steps = shown[class]
                .iter()
                .map(|y| (steady.0 + y.0, steady.1 + y.1))
                .collect::<Vec<_>>();
            for j in &steps {
                wider(j.0);
                wider(j.1);
            }
            bounds.current.push(steps);
        }
        bounds
    }

    fn place(
        &self,
        fan_in: &[FanIn<'_>],
        weights: Vec<Vec<i16>>,
        connections: &mut [Option<Connection>],
    ) -> Result<(), FaithfulError> {
        for (f, weights) in fan_in.iter().zip(weights) {
            connections[f.index] = Some(f.connection(self.graph, weights)?);
        }
        Ok(())
    }

    fn population(
        &mut self,
        at: usize,
        population: &Population,
        neurons: Neurons,
        filter: Filter,
        connections: &mut [Option<Connection>],
    ) -> Result<Ensemble, FaithfulError> {
        let fan_in = FanIn::of(self.graph, Target::Population(at), |pre| {
            self.value(pre) * neurons.factor
        });
        let label = &population.label;
        check_finite(label, &fan_in, &population.bias)?;
        let period = period(&fan_in, population.channels);
        let bias: Vec<f64> = (population.bias.iter())
            .map(|b| f64::from(*b) * neurons.factor)
            .collect();
        // A unit that is a whole part of the threshold, and is coarse enough for the bias.
        let adjust = |units: &mut [f64]| {
            for (class, unit) in units.iter_mut().enumerate() {
                let biases = bias.iter().skip(class).step_by(period);
                let largest = biases.fold(0.0, |m: f64, b| m.max(b.abs()));
                let steps = if *unit > 0.0 {
                    unit.max(largest / f64::from(1 << 29)).recip()
                } else if largest > 0.0 {
                    (THRESHOLD_IDLE as f64).min(f64::from(1 << 29) / largest)
                } else {
                    THRESHOLD_IDLE as f64
                };
                *unit = steps.floor().clamp(1.0, THRESHOLD_MAX).recip();
            }
        };
        let post = Post {
            label,
            fan_in: &fan_in,
            filter,
            bias: &bias,
            period,
        };
        let thresholds = |fit: &Fit| -> Vec<i64> {
            let channels = 0..population.channels;
            channels
                .map(|channel| fit.units[channel % period].recip().round() as i64)
                .collect()
        };
        let potential = |fit: &Fit| {
            let mut potential = Potential::new(self.options.max_count.into());
            for (currents, threshold) in fit.bounds.current.iter().zip(thresholds(fit)) {
                potential.follow(currents, threshold, neurons.slope());
            }
            potential
        };
        let leaky = matches!(neurons.neuron, Neuron::Lif(_));
        let mut fit = self.fit(&post, &adjust, &|fit| {
            if leaky { 0 } else { potential(fit).largest() }
        })?;
        let threshold = thresholds(&fit);
        let mut neuron = neurons.neuron;
        let (count, potential) = match &mut neuron {
            Neuron::Lif(lif) => {
                let highest = threshold.iter().copied().max().unwrap_or(1);
                let widest = fit.bounds.largest.max(highest);
                // (J - V) times the leak stays within 64 bits, V within 32.
                let bits = (0..=MAX_VOLTAGE_BITS).rev().find(|b| {
                    let lowest = ((highest << b) * i64::from(neurons.minimum)) >> 16;
                    widest << b < 1 << 31 && highest << b < 1 << 30 && -lowest < 1 << 31
                });
                lif.voltage_bits = bits.ok_or_else(|| QuantizeError::Overflow {
                    layer: label.clone(),
                    bound: widest,
                    steps: self.options.steps,
                })?;
                let v = highest << lif.voltage_bits;
                ((1, 0), ((v * i64::from(neurons.minimum)) >> 16, v))
            }
            _ => {
                let potential = potential(&fit);
                (potential.counts, (potential.least, potential.most))
            }
        };
        self.counts.push(count);
        let weights = std::mem::take(&mut fit.weights);
        self.place(&fan_in, weights, connections)?;
        let narrow = |values: &[i64]| values.iter().map(|v| *v as i32).collect();
        Ok(Ensemble {
            label: label.clone(),
            neurons: population.neurons,
            width: Width::I32,
            max_count: count.0.max(count.1).clamp(1, u8::MAX.into()) as u8,
            current_shift: fit.current_shift,
            threshold: narrow(&threshold),
            bias: narrow(&fit.bias),
            potential_min: potential.0 as i32,
            potential_max: potential.1 as i32,
            theta: neurons.value,
            neuron,
            constants: neurons.constants,
            initial: neurons.initial,
            inbox: fit.inbox(filter),
        })
    }

    fn output(
        &self,
        at: usize,
        output: &graph::Output,
        readout: Readout,
        connections: &mut [Option<Connection>],
    ) -> Result<Output, FaithfulError> {
        let post = Target::Output(at);
        let fan_in = FanIn::of(self.graph, post, |pre| self.value(pre));
        check_finite(&output.label, &fan_in, &output.bias)?;
        let size = output.bias.len();
        let (filter, delayed) = match readout {
            Readout::Direct => (self.synapse(post, None)?, false),
            Readout::Connection(synapse) => (self.synapse(post, Some(synapse))?, true),
            Readout::Probe(synapse) => match Filter::of(synapse, self.options.dt) {
                Filter {
                    synapse: Some(Synapse::Lowpass { decay: 0 }),
                    ..
                } => (Filter::THROUGH, false),
                filter => (filter, false),
            },
        };
        let bias: Vec<f64> = output.bias.iter().map(|b| f64::from(*b)).collect();
        let adjust = |units: &mut [f64]| {
            keep_digits(units);
            for (unit, b) in units.iter_mut().zip(&bias) {
                *unit = unit.max(b.abs() / f64::from(1 << 29));
            }
        };
        let post = Post {
            label: &output.label,
            fan_in: &fan_in,
            filter,
            bias: &bias,
            period: size,
        };
        let mut fit = self.fit(&post, &adjust, &|_| 0)?;
        let weights = std::mem::take(&mut fit.weights);
        self.place(&fan_in, weights, connections)?;
        let Scaling {
            multiplier,
            shift,
            scale,
        } = Scaling::of(&fit.units, fit.bounds.largest);
        Ok(Output {
            label: output.label.clone(),
            bias: fit.bias.iter().map(|b| *b as i32).collect(),
            multiplier,
            shift,
            exit_margin: 0,
            scale,
            readout: Shows::Shown { delayed },
            current_shift: fit.current_shift,
            inbox: fit.inbox(filter),
        })
    }
}

impl Fit {
    /// The inbox of a part with a filter.
    fn inbox(&self, filter: Filter) -> Option<Inbox> {
        let (min, max) = self.bounds.filter;
        filter.synapse.map(|synapse| Inbox {
            synapse,
            fraction: self.fraction,
            min: min as i32,
            max: max as i32,
        })
    }
}

/// By how many bits the sums of inputs are shifted, so that their weights make no unit coarser than
/// those of events do; `event` units of the potential are one step of an event's weight.
fn current_shift(fan_in: &[FanIn<'_>], period: usize, bits: u8, event: f64) -> i8 {
    let largest =
        |inputs: bool| channel_units(fan_in, period, bits, |f| f64::from(is_input(f) == inputs));
    let pairs = largest(true).into_iter().zip(largest(false));
    let ratio = pairs
        .filter(|&(input, events)| input > 0.0 && events > 0.0)
        .map(|(input, events)| input * event / events)
        .fold(0.0, f64::max);
    if ratio > 0.0 {
        ratio.log2().ceil().clamp(-31.0, 31.0) as i8
    } else {
        0
    }
}

/// The extremes of V - θ, and of spikes in a step, of rectifying neurons.
struct Potential {
    max_count: i64,
    least: i64,
    most: i64,
    counts: (i64, i64),
}

impl Potential {
    fn new(max_count: i64) -> Self {
        Self {
            max_count,
            least: 0,
            most: i64::MIN,
            counts: (1, 0),
        }
    }

    fn largest(&self) -> i64 {
        self.most.max(self.least.saturating_neg())
    }

    /// Follows a channel's neurons through all steps with the largest and the least currents.
    fn follow(&mut self, currents: &[(i64, i64)], threshold: i64, slope: i64) {
        let (mut low, mut high) = (0, threshold - 1);
        for &(least, most) in currents {
            high += most.max(0);
            low += (least.min(0) * slope - (1 << 15)) >> 16;
            self.least = self.least.min(low.min(0) - threshold);
            self.most = self.most.max(high - threshold);
            let (above, below) = (high / threshold, -low / threshold);
            self.counts.0 = self.counts.0.max(above.min(self.max_count));
            self.counts.1 = self.counts.1.max(below.min(self.max_count));
            // What is left is below a threshold, unless the count was cut off.
            high = high.min((high - self.max_count * threshold).max(threshold - 1));
            low = low.max((low + self.max_count * threshold).min(1 - threshold));
        }
    }
}
