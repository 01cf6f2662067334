//! Graph + Calibration → integers::Network: the network in integers, with the proof that none overflows.
//!
//! One driver takes one target after another. A population of integrate-and-fire neurons has its units and
//! bounds from `neuron::integrate_and_fire`, and its range from the calibration. Events reach them directly,
//! unless there is a synapse or no end. Neurons of the
//! network's own charge a current, see `quantize::current`, and have theirs from `neuron::rectified` and
//! the like. Nothing is approximated there but numbers: neurons, synapses with their delay of a step, rates
//! and first voltages are the network's.

pub(crate) mod current;
pub(crate) mod error;
pub(crate) mod fan_in;
pub(crate) mod input;
pub(crate) mod options;

use tinyspike_shared::image::{Readout as Shows, Width};

use crate::calibrate::Calibration;
use crate::graph::{Graph, Neuron, Output as GraphOutput, Population, Readout, Source, Target};
use crate::integers::{self, Ensemble, Initial, Input, Output, Steps, left_out};
use crate::lower::ForeignNeurons;
use crate::network::{NeuronType, PerNeuron, Synapse};
use crate::neuron::{self, Charged, cuba_lif, integrate_and_fire};
use current::{Filter, Post};
use fan_in::{
    Drive, Events, FanIn, Sources, Weights, by_spikes, check_finite, connection, is_input, period,
    rounded, units_within, whole, wider,
};

pub use error::QuantizeError;
pub(crate) use fan_in::image_order;
pub use input::input_encoding;
pub(crate) use input::{encoded, inputs};
pub(crate) use options::largest;
pub use options::{
    LayerOptions, QuantizeOptions, Rounding, Units, WEIGHT_BITS, WEIGHT_BITS_MAX, WEIGHT_BITS_MIN,
};

/// Output multipliers are at most 2^this.
const MULTIPLIER_BITS: i32 = 15;
/// The largest threshold of neurons that charge a current.
const THRESHOLD_MAX: f64 = 268_435_456.0;
/// The threshold of such neurons that nothing reaches.
const THRESHOLD_IDLE: i64 = 1 << 16;
/// The largest bias, in units of its channel.
const BIAS_MAX: i32 = 1 << 29;

/// Brings a network to integers.
///
/// The settings of exact networks, `QuantizeOptions::exact`, suit graphs whose neurons are the network's
/// own; their ranges follow from the inputs alone.
///
/// # Errors
/// [`QuantizeError`], if a size or a bound exceeds what an image can hold: the layer and the value.
pub fn quantize(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<integers::Network, QuantizeError> {
    quantize_with(graph, calibration, options, &Rounding::default())
}

/// Brings a network to integers, with weights that are rounded as `rounding` says.
///
/// If the potentials of a population would no longer fit the width that its offsets were chosen for, its
/// weights are rounded to nearest.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_with(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    rounding: &Rounding,
) -> Result<integers::Network, QuantizeError> {
    let inputs = inputs(graph, calibration, options);
    let graph = encoded(graph, &inputs);
    let mut quantizer = Quantizer::new(&graph, inputs, calibration, options)?;
    quantizer.all(&graph, rounding)?;
    Ok(quantizer.network)
}

/// A network that is brought to integers one target at a time.
pub(crate) struct Quantizer<'a> {
    options: &'a QuantizeOptions,
    sources: Sources,
    /// The neurons of each population that charge a current.
    charged: Vec<Option<Charged>>,
    /// The extremes of the potentials of current-based neurons, by population.
    potentials: &'a [Vec<[f32; 2]>],
    /// The network so far.
    pub(crate) network: integers::Network,
}

impl<'a> Quantizer<'a> {
    /// A network of which no target has been quantized. The graph sees its inputs as [`encoded`] has them.
    pub(crate) fn new(
        graph: &Graph,
        inputs: Vec<Input>,
        calibration: &'a Calibration,
        options: &'a QuantizeOptions,
    ) -> Result<Self, QuantizeError> {
        let mut readouts = graph.outputs.iter().map(|o| o.readout);
        let shown = readouts.all(|readout| matches!(readout, Readout::Shown { .. }));
        if !options.valid(graph.is_exact(), shown) {
            return Err(QuantizeError::Options);
        }
        let charged = charged(graph, calibration, options)?;
        let mut populations: Vec<Events> = Vec::with_capacity(charged.len());
        for (at, charged) in charged.iter().enumerate() {
            let population = &graph.populations[at];
            let reached = calibration
                .potentials
                .get(at)
                .map_or(&[][..], Vec::as_slice);
            if let Some(events) = cuba_lif::events(population, reached, options) {
                populations.push(events);
                continue;
            }
            populations.push(match (charged, pool_source(graph, at)) {
                (_, Some(source)) => populations[source],
                (Some(charged), None) => charged.events,
                (None, None) => Events {
                    value: theta(at, population.ceiling, calibration, options),
                    spikes: (options.count(at).into(), 0),
                },
            });
        }
        let links = graph.links.iter();
        let network = integers::Network {
            target: options.target,
            steps: match options.steps {
                0 => Steps::Endless,
                steps => Steps::Limited(steps),
            },
            inputs: inputs.clone(),
            ensembles: vec![Ensemble::default(); graph.populations.len()],
            outputs: vec![Output::default(); graph.outputs.len()],
            connections: links
                .map(|l| connection(graph, l))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            options,
            sources: Sources {
                populations,
                inputs,
            },
            charged,
            potentials: &calibration.potentials,
            network,
        })
    }

    /// Quantizes all targets, in order.
    pub(crate) fn all(&mut self, graph: &Graph, rounding: &Rounding) -> Result<(), QuantizeError> {
        for (target, _) in graph.targets() {
            self.target(graph, target, rounding)?;
        }
        Ok(())
    }

    /// Quantizes one target. No other one changes by it, unless its neurons charge a current: then those
    /// behind it have to follow.
    pub(crate) fn target(
        &mut self,
        graph: &Graph,
        target: Target,
        rounding: &Rounding,
    ) -> Result<(), QuantizeError> {
        if let Target::Population(at) = target
            && let Some(source) = pool_source(graph, at)
        {
            let events = self.sources.populations[source];
            self.network.ensembles[at] =
                neuron::pool::ensemble(&graph.populations[at], events, self.options.steps)?;
            self.sources.populations[at] = events;
            return Ok(());
        }
        let factor = match target {
            Target::Population(p) => self.charged[p].as_ref().map_or(1.0, |c| c.factor),
            Target::Output(_) => 1.0,
        };
        let fan_in = FanIn::of(graph, target, |pre| self.sources.value(pre) * factor);
        check_finite(graph.label(target), &fan_in, graph.bias(target))?;
        let weights = match target {
            Target::Population(at) => {
                let population = &graph.populations[at];
                let (ensemble, weights) = match &self.charged[at] {
                    _ if cuba_lif::is_current_based(population) => {
                        self.delays(graph, target)?;
                        let target = cuba_lif::Target {
                            at,
                            population,
                            fan_in: &fan_in,
                            sources: &self.sources,
                            reached: self.potentials.get(at).map_or(&[], Vec::as_slice),
                            options: self.options,
                        };
                        target.quantize()?
                    }
                    Some(charged) => {
                        let filter = match self.filter(graph, target)? {
                            // Without an inbox their currents would be those of the neurons of few steps.
                            Filter::ABSENT if population.neuron == Neuron::IntegrateAndFire => {
                                Filter::THROUGH
                            }
                            filter => filter,
                        };
                        let (ensemble, weights, spikes) =
                            self.charging(at, population, charged, filter, &fan_in)?;
                        self.sources.populations[at].spikes = spikes;
                        (ensemble, weights)
                    }
                    None => {
                        let target = integrate_and_fire::Target {
                            at,
                            population,
                            fan_in: &fan_in,
                            sources: &self.sources,
                            options: self.options,
                            rounding,
                        };
                        target.quantize()?
                    }
                };
                self.network.ensembles[at] = ensemble;
                weights
            }
            Target::Output(at) => {
                let output = &graph.outputs[at];
                let (output, weights) = match output.readout {
                    Readout::Sum => {
                        let layer = graph.populations.len() + at;
                        self.summing(layer, output, &fan_in, rounding)?
                    }
                    Readout::Shown { synapse } => {
                        let (filter, delayed) = self.readout(graph, at, synapse)?;
                        self.showing(output, filter, delayed, &fan_in)?
                    }
                };
                self.network.outputs[at] = output;
                weights
            }
        };
        for (f, weights) in fan_in.iter().zip(weights) {
            self.network.connections[f.index].weights = weights;
        }
        Ok(())
    }

    /// Checks that events come to current-based neurons when their connections say so: those of a population before
    /// them in the same step, all others in the next.
    fn delays(&self, graph: &Graph, target: Target) -> Result<(), QuantizeError> {
        for (_, link) in graph.links_into(target) {
            let later = match (link.pre, target) {
                (Source::Population(pre), Target::Population(at)) => pre >= at,
                _ => false,
            };
            let delayed = match link.synapse {
                None => false,
                Some(Synapse::Delay { steps: 1 }) => true,
                Some(_) => {
                    return Err(QuantizeError::Unsupported {
                        layer: graph.label(target).into(),
                        what: "a filter or a delay of more than one step into current-based neurons",
                        remedy: "simulate it on the host",
                    });
                }
            };
            if delayed != later {
                return Err(QuantizeError::Unsupported {
                    layer: graph.label(target).into(),
                    what: "a delay that is not in a loop, or a loop without a delay, into current-based neurons",
                    remedy: "simulate it on the host",
                });
            }
        }
        Ok(())
    }

    /// The filter on what populations send to a target.
    fn filter(&self, graph: &Graph, target: Target) -> Result<Filter, QuantizeError> {
        let mut seen = graph
            .links_into(target)
            .filter(|(_, l)| matches!(l.pre, Source::Population(_)))
            .map(|(_, l)| l.synapse);
        let Some(first) = seen.next() else {
            return Ok(Filter::ABSENT);
        };
        if seen.any(|other| other != first) {
            return Err(QuantizeError::Unsupported {
                layer: graph.label(target).into(),
                what: "several different synapses into one layer",
                remedy: "give all connections into it the same",
            });
        }
        Ok(match first {
            None => Filter::THROUGH,
            Some(Synapse::Delay { steps: 2.. }) => {
                return Err(QuantizeError::Unsupported {
                    layer: graph.label(target).into(),
                    what: "a delay of more than one step",
                    remedy: "simulate it on the host",
                });
            }
            Some(synapse) => Filter::of(synapse, self.options.dt),
        })
    }

    /// The filter of an output that shows a last value, and whether it shows the step before.
    fn readout(
        &self,
        graph: &Graph,
        at: usize,
        probe: Option<Synapse>,
    ) -> Result<(Filter, bool), QuantizeError> {
        let target = Target::Output(at);
        let output = &graph.outputs[at];
        let filter = self.filter(graph, target)?;
        let mut links = graph.links_into(target);
        let delayed = links.any(|(_, l)| l.synapse.is_some());
        let Some(probe) = probe else {
            return Ok((filter, delayed));
        };
        let mut links = graph.links_into(target);
        let fed = links.any(|(_, l)| matches!(l.pre, Source::Input(_)));
        // The probe would filter the bias and the input as well.
        if delayed || fed || output.bias.iter().any(|b| *b != 0.0) {
            return Err(QuantizeError::Unsupported {
                layer: output.label.clone(),
                what: "a probe with a synapse on something else than neurons",
                remedy: "probe it without one",
            });
        }
        let filter = Filter::of(probe, self.options.dt);
        let filter = if filter.only_delays() {
            Filter::THROUGH
        } else {
            filter
        };
        Ok((filter, false))
    }

    /// A population whose neurons charge a current, its weights, and its most spikes in a step.
    fn charging(
        &self,
        at: usize,
        population: &Population,
        charged: &Charged,
        filter: Filter,
        fan_in: &[FanIn<'_>],
    ) -> Result<(Ensemble, Weights, (i64, i64)), QuantizeError> {
        let period = period(fan_in, population.channels);
        let bias: Vec<f64> = (population.bias.iter())
            .map(|b| f64::from(*b) * charged.factor)
            .collect();
        // A unit that is a whole part of the threshold, and is coarse enough for the bias.
        let adjust = |units: &mut [f64]| {
            for (class, unit) in units.iter_mut().enumerate() {
                let biases = bias.iter().skip(class).step_by(period);
                let largest = biases.fold(0.0, |m: f64, b| m.max(b.abs()));
                let steps = if *unit > 0.0 {
                    unit.max(largest / f64::from(BIAS_MAX)).recip()
                } else if largest > 0.0 {
                    (THRESHOLD_IDLE as f64).min(f64::from(BIAS_MAX) / largest)
                } else {
                    THRESHOLD_IDLE as f64
                };
                *unit = steps.floor().clamp(1.0, THRESHOLD_MAX).recip();
            }
        };
        let post = Post {
            label: &population.label,
            fan_in,
            sources: &self.sources,
            filter,
            bias: &bias,
            period,
            weight_bits: self.options.bits(at),
            steps: self.options.steps,
        };
        let channels = population.channels;
        let fit = post.fit(&adjust, &|fit| {
            charged.kind.largest(&fit.bounds, &fit.thresholds(channels))
        })?;
        let threshold = fit.thresholds(channels);
        let settled = charged.kind.settle(&fit.bounds, &threshold);
        let settled = settled.map_err(|bound| QuantizeError::Overflow {
            layer: population.label.clone(),
            bound,
            steps: self.options.steps,
        })?;
        let initial = match &population.neuron {
            Neuron::Own { voltage, .. } => neuron::initial(population, voltage)?,
            Neuron::IntegrateAndFire | Neuron::Pooled(_) => Initial::Half,
        };
        let narrow = |values: &[i64]| values.iter().map(|v| *v as i32).collect();
        let (above, below) = settled.spikes;
        let ensemble = Ensemble {
            label: population.label.clone(),
            neurons: population.neurons,
            width: Width::I32,
            max_count: above.max(below).clamp(1, u8::MAX.into()) as u8,
            current_shift: fit.current_shift,
            threshold: narrow(&threshold),
            bias: narrow(&fit.bias),
            potential_min: settled.potential.0 as i32,
            potential_max: settled.potential.1 as i32,
            theta: charged.events.value,
            neuron: settled.neuron,
            constants: settled.constants,
            initial,
            inbox: fit.inbox(filter),
        };
        Ok((ensemble, fit.weights, settled.spikes))
    }

    /// An output that shows a value of each step.
    fn showing(
        &self,
        output: &GraphOutput,
        filter: Filter,
        delayed: bool,
        fan_in: &[FanIn<'_>],
    ) -> Result<(Output, Weights), QuantizeError> {
        let bias: Vec<f64> = output.bias.iter().map(|b| f64::from(*b)).collect();
        let size = bias.len();
        let period = period(fan_in, size);
        let adjust = |units: &mut [f64]| {
            keep_digits(units);
            for (class, unit) in units.iter_mut().enumerate() {
                let biases = bias.iter().skip(class).step_by(period);
                let largest = biases.fold(0.0, |m: f64, b| m.max(b.abs()));
                *unit = unit.max(largest / f64::from(BIAS_MAX));
            }
        };
        let post = Post {
            label: &output.label,
            fan_in,
            sources: &self.sources,
            filter,
            bias: &bias,
            period,
            weight_bits: self.options.weight_bits,
            steps: self.options.steps,
        };
        let fit = post.fit(&adjust, &|_| 0)?;
        let Scaling {
            multiplier,
            shift,
            scale,
        } = Scaling::of(&fit.units, size, fit.bounds.largest);
        let output = Output {
            label: output.label.clone(),
            bias: fit.bias.iter().map(|b| *b as i32).collect(),
            multiplier,
            shift,
            exit_margin: 0,
            scale,
            readout: Shows::Shown { delayed },
            current_shift: fit.current_shift,
            inbox: fit.inbox(filter),
            left_out: left_out(output.left_out),
        };
        Ok((output, fit.weights))
    }

    /// An output that sums up all steps.
    fn summing(
        &self,
        layer: usize,
        output: &GraphOutput,
        fan_in: &[FanIn<'_>],
        rounding: &Rounding,
    ) -> Result<(Output, Weights), QuantizeError> {
        if self.options.steps == 0 {
            return Err(QuantizeError::Unsupported {
                layer: output.label.clone(),
                what: "a sum over steps without end",
                remedy: "say how many steps there are",
            });
        }
        let bits = self.options.bits(layer);
        let size = output.bias.len();
        let mut wider = wider(fan_in, period(fan_in, size), bits);
        let sums = loop {
            let sums = self.sums(bits, wider, output, fan_in, rounding);
            if sums.bound <= i64::from(i32::MAX) {
                break sums;
            }
            wider = wider.checked_sub(1).ok_or(QuantizeError::Overflow {
                layer: output.label.clone(),
                bound: sums.bound,
                steps: self.options.steps,
            })?;
        };
        let Sums {
            units,
            bias,
            weights,
            bound,
        } = sums;
        let Scaling {
            multiplier,
            shift,
            scale,
        } = Scaling::of(&units, size, bound);
        Ok((
            Output {
                label: output.label.clone(),
                bias: bias.into_iter().map(|b| b as i32).collect(),
                multiplier,
                shift,
                scale,
                left_out: left_out(output.left_out),
                ..Output::default()
            },
            weights,
        ))
    }

    /// The sums of an output whose weights of spikes are `wider` by so many bits than those of inputs.
    fn sums(
        &self,
        bits: u8,
        wider: u8,
        output: &GraphOutput,
        fan_in: &[FanIn<'_>],
        rounding: &Rounding,
    ) -> Sums {
        let size = output.bias.len();
        // The places of a convolution share the units of its channels.
        let period = period(fan_in, size);
        let scale = |f: &FanIn<'_>| if is_input(f) { 1.0 } else { by_spikes(wider) };
        let mut units = units_within(fan_in, period, f64::from(largest(bits)), scale);
        keep_digits(&mut units);
        let mut drives = vec![Drive::default(); period];
        let mut weights = Vec::with_capacity(fan_in.len());
        for f in fan_in {
            let limit = largest(if is_input(f) { bits } else { bits + wider });
            let q = rounded(f, &units, 1.0, limit, rounding.offsets(f.index));
            let drive = f.drive(&q, self.sources.range(f.link.pre), period);
            for (total, d) in drives.iter_mut().zip(drive) {
                total.up += d.up;
                total.down += d.down;
            }
            weights.push(q);
        }
        let mut bound = 0i64;
        let mut bias = Vec::with_capacity(size);
        let channels = units.iter().zip(&drives).cycle();
        for (b, (unit, drive)) in output.bias.iter().zip(channels) {
            let b = whole(f64::from(*b) / unit);
            bound = bound.max((drive.up.max(drive.down) + b.abs()) * i64::from(self.options.steps));
            bias.push(b);
        }
        Sums {
            units,
            bias,
            weights,
            bound,
        }
    }
}

/// An output that sums up all steps, in units of its channels.
struct Sums {
    units: Vec<f64>,
    bias: Vec<i64>,
    weights: Weights,
    /// The largest magnitude after all steps.
    bound: i64,
}

/// The neurons of each population that charge a current; `None` for integrate-and-fire neurons that events
/// reach directly.
fn charged(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<Vec<Option<Charged>>, QuantizeError> {
    let mut foreign = Vec::new();
    let mut all = Vec::with_capacity(graph.populations.len());
    for (at, population) in graph.populations.iter().enumerate() {
        if matches!(population.neuron, Neuron::Pooled(_)) || cuba_lif::is_current_based(population)
        {
            all.push(None);
            continue;
        }
        let Neuron::Own { neuron_type, .. } = &population.neuron else {
            let mut links = graph.links_into(Target::Population(at));
            let inbox = options.steps == 0 || links.any(|(_, l)| l.synapse.is_some());
            all.push(inbox.then(|| {
                let theta = theta(at, population.ceiling, calibration, options);
                integrate_and_fire::charged(theta, options.count(at), options)
            }));
            continue;
        };
        let uniform: Option<NeuronType> = NeuronType::<PerNeuron>::uniform(neuron_type);
        let charged = uniform.map(|n| neuron::charged(&n, &population.label, options));
        let charged = charged.transpose()?.flatten();
        if charged.is_none() {
            foreign.push(ForeignNeurons::new(population, neuron_type));
        }
        all.push(charged);
    }
    if foreign.is_empty() {
        Ok(all)
    } else {
        Err(QuantizeError::Neurons {
            foreign,
            known: neuron::known(),
        })
    }
}

/// The population that another one pools; `None` if that has neurons. It stands before it.
fn pool_source(graph: &Graph, at: usize) -> Option<usize> {
    let pooled = matches!(graph.populations[at].neuron, Neuron::Pooled(_));
    let mut links = graph.links_into(Target::Population(at));
    links.find_map(|(_, link)| match link.pre {
        Source::Population(source) if pooled && source < at => Some(source),
        _ => None,
    })
}

/// The activation that one spike in one step stands for.
fn theta(
    at: usize,
    ceiling: Option<f32>,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> f64 {
    let count = options.count(at);
    let levels = u32::from(count) * u32::from(options.steps);
    let clip = calibration.populations.get(at).map_or(0.0, |seen| {
        f64::from(match options.percentile {
            Some(share) => seen.percentile(share),
            None => seen.best_clip(levels),
        })
    });
    let clip = (clip * options.layer(at).clip).min(ceiling.map_or(f64::INFINITY, f64::from));
    // A layer that was never active still needs a threshold.
    let clip = if clip > 0.0 { clip } else { 1.0 };
    clip / f64::from(count)
}

/// Raises the units of an output's channels that are so much smaller than the rest that their multipliers
/// would have no digits.
fn keep_digits(units: &mut [f64]) {
    let largest = largest_unit(units);
    for unit in units {
        *unit = unit.max(largest * f64::exp2(-8.0));
    }
}

fn largest_unit(units: &[f64]) -> f64 {
    let largest = units.iter().copied().fold(0.0, f64::max);
    if largest > 0.0 { largest } else { 1.0 }
}

/// Common unit of an output's sums.
struct Scaling {
    multiplier: Vec<i32>,
    shift: u8,
    scale: f64,
}

impl Scaling {
    /// Makes a scaling for so many values, whose channels have these units and whose sums do not exceed `bound`.
    fn of(units: &[f64], size: usize, bound: i64) -> Self {
        let largest = largest_unit(units);
        // As many fractional bits as the bound leaves room for.
        let room = 31 - 64 + (bound.max(1) as u64).leading_zeros() as i32;
        let fraction = room.clamp(0, MULTIPLIER_BITS);
        Self {
            multiplier: (units.iter().cycle().take(size))
                .map(|u| (u / largest * f64::exp2(f64::from(MULTIPLIER_BITS))).round() as i32)
                .collect(),
            shift: (MULTIPLIER_BITS - fraction) as u8,
            scale: largest * f64::exp2(-f64::from(fraction)),
        }
    }
}
