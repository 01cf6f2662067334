//! Current-based leaky neurons in steps, which networks that were trained with spikes have.
//!
//! # Units
//! A population's channels that share weights share a unit U. A weight w becomes round(w / (U 2^f)), where f are the
//! bits by which events are shifted, those of inputs by others than those of populations. V of a neuron with
//! the gain g is counted in g U, so that gains cost no bits of weights.
//!
//! V and I have 16 bits. U is so large that they hold what calibration has seen above zero, and below zero as much
//! of it as the layer's `clip` says: what lies far below the threshold decides no spike, and is cut off.
//! Shifts are those with the least sum of the squared steps of weights and potentials, both in thresholds.
//!
//! # Bounds
//! Between two updates a word takes up no more than the bias and one step's events, of which the sum fits 32 bits.

use tinyspike_shared::image::{self, CubaLif, MAX_EVENT_SHIFT, MAX_SPIKES, Neuron, Traits, Width};

use crate::graph::{Population, Source};
use crate::integers::{Ensemble, Initial};
use crate::network::{Charge, Firing, NeuronType, PerNeuron, Reset, Rule};
use crate::quantize::error::QuantizeError;
use crate::quantize::fan_in::{Events, FanIn, Sources, Weights, is_input, period, quantized};
use crate::quantize::options::{QuantizeOptions, largest};

/// Room above what calibration has seen.
const MARGIN: f64 = 1.25;
/// Thresholds that states hold if nothing was seen.
const UNSEEN: f64 = 8.0;
/// The largest state.
const STATE_MAX: f64 = i16::MAX as f64;
/// Parts of 2^16.
const PARTS: f64 = 65_536.0;

/// Tells whether neurons are current-based.
pub(crate) fn is_current_based(population: &Population) -> bool {
    neurons(population).is_some()
}

/// The current-based neurons of a population.
fn neurons(population: &Population) -> Option<&NeuronType<PerNeuron>> {
    match &population.neuron {
        crate::graph::Neuron::Own { neuron_type, .. } => {
            neuron_type.rule().is_some().then_some(neuron_type)
        }
        _ => None,
    }
}

/// The events of a population, if its neurons are current-based; `reached` are the extremes of their potentials.
pub(crate) fn events(
    population: &Population,
    reached: &[[f32; 2]],
    options: &QuantizeOptions,
) -> Option<Events> {
    let neuron_type = neurons(population)?;
    let rule = neuron_type.rule()?;
    if rule.firing == Firing::Never {
        let largest = reached.iter().flatten().fold(0.0f32, |m, v| m.max(v.abs()));
        let largest = if largest > 0.0 { largest } else { 1.0 };
        return Some(Events {
            value: f64::from(largest) * MARGIN / STATE_MAX,
            spikes: (i16::MAX.into(), -i64::from(i16::MIN)),
        });
    }
    let most = if rule.counts {
        options.max_count.min(MAX_SPIKES)
    } else {
        1
    };
    Some(Events {
        value: 1.0,
        spikes: (most.into(), 0),
    })
}

/// A population of current-based neurons, and what reaches it.
pub(crate) struct Target<'a> {
    pub(crate) at: usize,
    pub(crate) population: &'a Population,
    pub(crate) fan_in: &'a [FanIn<'a>],
    pub(crate) sources: &'a Sources,
    /// The extremes of each neuron's potential; empty if they are not known.
    pub(crate) reached: &'a [[f32; 2]],
    pub(crate) options: &'a QuantizeOptions,
}

/// Tells whether all neurons have the parameters of their channel's first.
fn repeat(population: &Population) -> bool {
    let parameters = neurons(population).map_or_else(Vec::new, NeuronType::parameters);
    parameters.iter().all(|parameter| {
        let bits = |neuron: usize| parameter.value.at(neuron).to_bits();
        (0..population.neurons).all(|n| bits(n) == bits(n % population.channels))
    })
}

/// Parameters of neurons.
struct Parameters<'a> {
    rule: Rule,
    decay: &'a PerNeuron,
    gain: &'a PerNeuron,
    leak: &'a PerNeuron,
    threshold: &'a PerNeuron,
    reset: &'a PerNeuron,
    synapse_decay: &'a PerNeuron,
    synapse_gain: &'a PerNeuron,
    floor: &'a PerNeuron,
    start: &'a PerNeuron,
}

impl Parameters<'_> {
    /// Gain from what arrives to V.
    fn whole_gain(&self, neuron: usize) -> f64 {
        let gain = f64::from(self.gain.at(neuron));
        match self.rule.charge {
            Some(_) => gain * f64::from(self.synapse_gain.at(neuron)),
            None => gain,
        }
    }
}

/// Bits by which events are shifted: those of inputs, and those of populations.
type Shifts = [u8; 2];

impl Target<'_> {
    fn unsupported(&self, what: &'static str, remedy: &'static str) -> QuantizeError {
        QuantizeError::Unsupported {
            layer: self.population.label.clone(),
            what,
            remedy,
        }
    }

    fn parameters(&self) -> Result<Parameters<'_>, QuantizeError> {
        match neurons(self.population) {
            Some(NeuronType::CubaLif {
                rule,
                decay,
                gain,
                leak,
                threshold,
                reset,
                synapse_decay,
                synapse_gain,
                floor,
                start,
            }) => Ok(Parameters {
                rule: *rule,
                decay,
                gain,
                leak,
                threshold,
                reset,
                synapse_decay,
                synapse_gain,
                floor,
                start,
            }),
            _ => Err(QuantizeError::Options),
        }
    }

    /// The population in integers, and its weights.
    pub(crate) fn quantize(&self) -> Result<(Ensemble, Weights), QuantizeError> {
        let p = self.parameters()?;
        let population = self.population;
        let channels = if repeat(population) {
            population.channels
        } else {
            population.neurons
        };
        for neuron in 0..channels {
            let gain = p.whole_gain(neuron);
            if gain.is_nan() || gain <= 0.0 || gain.is_infinite() {
                return Err(self.unsupported(
                    "a neuron whose gain is not above zero",
                    "leave the neuron out",
                ));
            }
            let decays = [p.decay.at(neuron), p.synapse_decay.at(neuron)];
            if decays.iter().any(|decay| !(0.0..=1.0).contains(decay)) {
                return Err(self.unsupported(
                    "a neuron whose decay is not between 0 and 1",
                    "mend its time constants",
                ));
            }
            if p.rule.firing != Firing::Never && p.threshold.at(neuron) <= 0.0 {
                return Err(self.unsupported(
                    "a neuron whose threshold is not above zero",
                    "mend the threshold, or leave the neuron out",
                ));
            }
        }
        let classes = period(self.fan_in, channels);
        let (units, shifts) = self.units(&p, channels, classes)?;
        let per_unit = |f: &FanIn<'_>| f64::exp2(-f64::from(shifts[usize::from(!is_input(f))]));
        let bits = self.options.bits(self.at);
        let weights: Weights = (self.fan_in.iter())
            .map(|f| quantized(f, &units, per_unit(f), bits))
            .collect();
        let mut ensemble = self.ensemble(&p, channels, &units, shifts)?;
        let bound = self.bound(&ensemble, &weights, classes, shifts)?;
        (ensemble.potential_min, ensemble.potential_max) = (-bound, bound);
        Ok((ensemble, weights))
    }

    /// The largest weight of each class from inputs and from populations, those of both in units of what arrives.
    fn largest_weights(&self, classes: usize) -> [Vec<f64>; 2] {
        let mut largest = [vec![0.0f64; classes], vec![0.0f64; classes]];
        for f in self.fan_in {
            let largest = &mut largest[usize::from(!is_input(f))];
            for (channel, w) in f.channels.iter().cycle().zip(&f.weights) {
                let largest = &mut largest[channel % classes];
                *largest = largest.max(w.abs());
            }
        }
        largest
    }

    /// The unit of each class, and the bits by which events are shifted.
    fn units(
        &self,
        p: &Parameters<'_>,
        channels: usize,
        classes: usize,
    ) -> Result<(Vec<f64>, Shifts), QuantizeError> {
        let weights = self.largest_weights(classes);
        let top = f64::from(largest(self.options.bits(self.at)));
        let mut reach = vec![0.0f64; classes];
        let mut threshold = vec![f64::INFINITY; classes];
        for neuron in 0..self.population.neurons {
            let class = neuron % channels % classes;
            let gain = p.whole_gain(neuron);
            reach[class] = reach[class].max(self.reach(p, neuron) / gain);
            let own = f64::from(p.threshold.at(neuron)).abs() / gain;
            threshold[class] = threshold[class].min(own);
        }
        // Neurons that never spike have V as their events' value, which is the same for all.
        let given = (p.rule.firing == Firing::Never).then(|| {
            let value = self.sources.populations[self.at].value;
            let gains = (0..channels).map(|n| p.whole_gain(n));
            let units: Vec<f64> = gains.map(|gain| value / gain).collect();
            units
        });
        if let Some(units) = &given {
            let same = (0..channels).all(|n| units[n] == units[n % classes]);
            if !same {
                return Err(self.unsupported(
                    "a layer behind a convolution whose neurons have different gains and never spike",
                    "give them one gain",
                ));
            }
        }
        let most = |inputs: bool| {
            let events = self.fan_in.iter().filter(|f| is_input(f) == inputs);
            let largest = events.map(|f| {
                let (most, least) = self.sources.range(f.link.pre);
                most.max(-least)
            });
            let largest = largest.max()?;
            // Kernels add rows for values of a byte the fastest.
            let fits = |most: i64| (0..=MAX_EVENT_SHIFT).rev().find(|k| largest << k <= most);
            fits(i64::from(u8::MAX)).or_else(|| fits(i64::from(i16::MAX)))
        };
        let range = |inputs: bool| 0..=most(inputs).unwrap_or(0);
        let unit = |class: usize, shifts: Shifts| {
            if let Some(given) = &given {
                return given[class];
            }
            let mut unit = reach[class] / STATE_MAX;
            for (weights, shift) in weights.iter().zip(shifts) {
                unit = unit.max(weights[class] / (top * f64::exp2(shift.into())));
            }
            if unit > 0.0 { unit } else { 1.0 / STATE_MAX }
        };
        let cost = |shifts: Shifts| -> f64 {
            let each = (0..classes).map(|class| {
                let unit = unit(class, shifts);
                let mut cost = unit * unit;
                for (weights, shift) in weights.iter().zip(shifts) {
                    let step = unit * f64::exp2(shift.into());
                    // Weights beyond the largest are cut off.
                    let over = (weights[class] - step * top).max(0.0);
                    if weights[class] > 0.0 {
                        cost += step * step + over * over * 16.0;
                    }
                }
                let threshold = threshold[class].max(f64::MIN_POSITIVE);
                cost / (threshold * threshold)
            });
            each.sum()
        };
        let all = range(true).flat_map(|inputs| range(false).map(move |events| [inputs, events]));
        let best = all.min_by(|a, b| cost(*a).total_cmp(&cost(*b)));
        let shifts = best.unwrap_or([0, 0]);
        let mut units: Vec<f64> = (0..classes).map(|class| unit(class, shifts)).collect();
        if self.options.shared_scales && given.is_none() {
            let widest = units.iter().copied().fold(0.0, f64::max);
            units.fill(widest);
        }
        Ok((units, shifts))
    }

    /// The largest magnitude of a neuron's V or charging current that states shall hold.
    fn reach(&self, p: &Parameters<'_>, neuron: usize) -> f64 {
        let threshold = f64::from(p.threshold.at(neuron)).abs();
        let clip = self.options.layer(self.at).clip;
        let [low, high] = match self.reached.get(neuron) {
            Some(&[low, high]) => [-f64::from(low) * MARGIN * clip, f64::from(high) * MARGIN],
            None => [threshold * UNSEEN * clip, threshold * UNSEEN],
        };
        let own = [p.reset, p.start].map(|v| f64::from(v.at(neuron)).abs());
        let least = match p.rule.firing {
            Firing::Never => 0.0,
            _ => threshold * MARGIN,
        };
        let known = [low, high, own[0], own[1], least];
        let reach = known.into_iter().fold(0.0, f64::max);
        if reach.is_finite() {
            reach
        } else {
            threshold * UNSEEN
        }
    }

    fn ensemble(
        &self,
        p: &Parameters<'_>,
        channels: usize,
        units: &[f64],
        [inputs, events]: Shifts,
    ) -> Result<Ensemble, QuantizeError> {
        let population = self.population;
        let classes = units.len();
        let Rule {
            charge,
            firing,
            counts: _,
            reset,
            late,
            keeps_input,
            residual_blocks,
        } = p.rule;
        let reset = match (reset, late, residual_blocks) {
            (Reset::Zero, true, false) if !keeps_input => image::Reset::Losing,
            (Reset::Zero, _, false) => image::Reset::To,
            (Reset::Subtract, false, true) => image::Reset::Blocking,
            (Reset::Subtract, true, false) => image::Reset::Late,
            (Reset::Subtract, false, false) => image::Reset::Subtract,
            (Reset::Nothing, _, false) => image::Reset::Nothing,
            // Nothing is above a threshold after it is at zero.
            (Reset::Zero, false, true) => image::Reset::To,
            (_, _, true) if firing == Firing::Never => image::Reset::Nothing,
            _ => {
                return Err(self.unsupported(
                    "neurons that need twice their threshold after anything but a subtraction at once",
                    "simulate it on the host",
                ));
            }
        };
        let recurrent = (self.fan_in.iter()).any(|f| f.link.pre == Source::Population(self.at));
        if recurrent && firing == Firing::Never {
            return Err(self.unsupported(
                "a loop of neurons that never spike",
                "simulate it on the host",
            ));
        }
        let leaks = (0..channels).any(|n| p.decay.at(n) < 1.0);
        let mut floored = false;
        let mut threshold = Vec::with_capacity(channels);
        let mut bias = Vec::with_capacity(channels);
        let mut rows: [Vec<u32>; 5] = Default::default();
        let state = |v: f64| v.round().clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        for channel in 0..channels {
            let own = |values: &PerNeuron| f64::from(values.at(channel));
            let unit = units[channel % classes];
            let of_v = unit * p.whole_gain(channel);
            let share = |decay: f64| (decay * PARTS).round().min(PARTS - 1.0) as u32;
            let spike = (own(p.threshold) / of_v).round().clamp(1.0, STATE_MAX) as i32;
            let floor = match own(p.floor) {
                f64::NEG_INFINITY => i16::MIN,
                floor => state(floor * own(p.threshold) / of_v),
            };
            let at_reset = state(own(p.reset) / of_v).max(floor);
            let current = |values: &[f32]| match values {
                [] => 0.0,
                values => f64::from(values[channel % values.len()]) / unit,
            };
            let arriving = current(&population.bias);
            let delayed = current(&population.delayed_bias);
            let leak = own(p.leak) / of_v;
            let start = own(p.decay) * own(p.start) / of_v;
            let whole = |v: f64| self.whole(v);
            let (arriving, start_of_target) = match charge {
                None => (whole(arriving + leak)?, whole(start - delayed)?),
                Some(_) => (whole(arriving)?, whole(-delayed)?),
            };
            floored |= floor > i16::MIN;
            threshold.push(spike);
            bias.push(arriving);
            rows[0].push(share(own(p.decay)) | share(own(p.synapse_decay)) << 16);
            rows[1].push(u32::from(at_reset as u16) | u32::from(floor as u16) << 16);
            rows[2].push(start_of_target as u32);
            rows[3].push(whole(start)? as u32);
            rows[4].push(whole(leak)? as u32);
        }
        let rows = match charge {
            None => &rows[..3],
            Some(_) => &rows[..],
        };
        let shared = rows
            .iter()
            .all(|row| row.iter().all(|word| *word == row[0]));
        let constants = rows.iter().flat_map(|row| match shared {
            true => &row[..1],
            false => row,
        });
        let kind = CubaLif {
            event_shift: events,
            charge: match charge {
                None => image::Charge::Direct,
                Some(Charge::First | Charge::Jump) => image::Charge::Now,
                Some(Charge::Last) => image::Charge::Last,
                Some(Charge::Decayed) => image::Charge::Decayed,
            },
            firing: match firing {
                Firing::Never => image::Firing::Never,
                Firing::Above => image::Firing::Above,
                Firing::From => image::Firing::From,
            },
            reset,
            traits: Traits::default()
                .and(Traits::LEAKS, leaks)
                .and(Traits::RECURRENT, recurrent)
                .and(Traits::SHARED, shared)
                .and(Traits::FLOORED, floored),
        };
        let (most, _) = match firing {
            Firing::Never => (1, 0),
            _ => self.sources.populations[self.at].spikes,
        };
        Ok(Ensemble {
            label: population.label.clone(),
            neurons: population.neurons,
            width: Width::I32,
            max_count: most.clamp(1, MAX_SPIKES.into()) as u8,
            current_shift: inputs as i8,
            threshold,
            bias,
            potential_min: i16::MIN.into(),
            potential_max: i16::MAX.into(),
            theta: self.sources.populations[self.at].value,
            neuron: Neuron::CubaLif(kind),
            constants: constants.copied().collect(),
            initial: Initial::Zero,
            inbox: None,
        })
    }

    /// A number of units.
    fn whole(&self, value: f64) -> Result<i32, QuantizeError> {
        let limit = f64::from(i32::MAX / 4);
        if value.abs() <= limit {
            return Ok(value.round() as i32);
        }
        Err(QuantizeError::Limit {
            layer: self.population.label.clone(),
            what: "a bias or leak in units of its weights",
            value: value.abs(),
            limit,
        })
    }

    /// The largest magnitude of a word between two updates, which must fit 32 bits.
    fn bound(
        &self,
        ensemble: &Ensemble,
        weights: &Weights,
        classes: usize,
        shifts: Shifts,
    ) -> Result<i32, QuantizeError> {
        let mut sums = vec![0i64; classes];
        for (f, q) in self.fan_in.iter().zip(weights) {
            let shift = shifts[usize::from(!is_input(f))];
            let drives = f.drive(q, self.sources.range(f.link.pre), classes);
            for (sum, drive) in sums.iter_mut().zip(drives) {
                *sum += drive.up.max(drive.down) << shift;
            }
        }
        let most = |values: &mut dyn Iterator<Item = i64>| values.map(i64::abs).max().unwrap_or(0);
        let bias = most(&mut ensemble.bias.iter().map(|b| i64::from(*b)));
        // Starts and leaks, which lie behind two rows of decays and of resets.
        let rows = if self.parameters()?.rule.charge.is_some() {
            5
        } else {
            3
        };
        let numbers = ensemble
            .constants
            .iter()
            .skip(ensemble.constants.len() / rows * 2);
        let constants = 2 * most(&mut numbers.map(|c| i64::from(*c as i32)));
        let bound = most(&mut sums.into_iter()) + bias + (1 << 17) + constants;
        i32::try_from(bound).map_err(|_| QuantizeError::Overflow {
            layer: self.population.label.clone(),
            bound,
            steps: 0,
        })
    }
}
