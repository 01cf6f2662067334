//! Integrate-and-fire neurons: V += J, from half the threshold on.
//!
//! Those with an inbox charge a current as other kinds do, see [`charged`]. All else here is about those that events
//! reach directly.
//!
//! # Units
//! A population's activation is counted in spikes: `theta` is the activation that one spike in one
//! step stands for, so that after T steps a neuron with N spikes shows theta N / T. Potentials of
//! channel c are counted in units u_c of activation. A weight w from a source with `theta_pre` becomes
//! q = round(w theta_pre / u_c), and the threshold theta / u_c is an exact integer: u_c is chosen as
//! theta / floor(127 theta / max |w theta_pre|), the smallest unit for which the largest weight of the
//! channel fits int8. With fewer bits 127 becomes 7 (for 4 bits), and if that has the smaller squared
//! error, the largest weights of a channel are cut off. Weights of a convolution from an input can be finer than
//! u_c by a power of two, by which its current is divided. Beside those of a matrix from an input, which are charged event by
//! event, weights of spikes have up to 16 bits if they would leave too few to the input.
//!
//! # Bounds
//! In one step a potential rises at most by P (its positive weights at the largest counts, positive
//! current and bias) and falls at most by N. Potentials are stored less the threshold, so a neuron
//! ends a step below zero unless it has emitted its largest count. From these follow the least and
//! largest value at any time within `steps` steps, in whatever order events are added. The narrowest
//! type that holds them is chosen; the bounds are kept in the image.

use tinyspike_shared::image::Width;

use super::Charged;
use super::rectified::{Below, Integrating};
use crate::graph::{LinearMap, Population, SourceMap};
use crate::integers::Ensemble;
use crate::quantize::error::QuantizeError;
use crate::quantize::fan_in::{
    Drive, Events, FanIn, Sources, Weights, by_spikes, is_input, period, rounded, units_within,
    whole, wider,
};
use crate::quantize::options::{QuantizeOptions, Rounding, largest};

/// The largest threshold of an int16 potential; a channel of tiny weights uses less of int8 then.
const THRESHOLD_MAX_16: f64 = 4096.0;
/// The largest threshold of an int32 potential.
const THRESHOLD_MAX_32: f64 = 1_048_576.0;
/// An int16 potential is chosen only if every threshold keeps at least this resolution.
const THRESHOLD_MIN_16: i64 = 16;
/// Factor by which a channel's weights may become coarser to fit its potentials into int16, which halves the
/// RAM and the work of a step: two bits.
const COARSEST_16: f64 = 4.0;
/// Times that this is tried.
const TRIES_16: usize = 12;
/// Room that is left in int16 for weights that are later rounded another way.
const ROOM_16: f64 = 0.985;
/// The highest shift that is tried to fit an input current into int16.
const SHIFT_MAX: u8 = 12;

/// Neurons that charge a current, with the activation that a spike in a step stands for.
pub(crate) fn charged(theta: f64, max_count: u8, options: &QuantizeOptions) -> Charged {
    let max_count = max_count.into();
    Charged {
        factor: theta.recip(),
        events: Events {
            value: theta,
            spikes: (max_count, 0),
        },
        kind: Box::new(Integrating {
            below: Below::Whole,
            max_count,
            endless: options.steps == 0,
        }),
    }
}

/// One population, and what reaches it.
pub(crate) struct Target<'a> {
    pub(crate) at: usize,
    pub(crate) population: &'a Population,
    pub(crate) fan_in: &'a [FanIn<'a>],
    pub(crate) sources: &'a Sources,
    pub(crate) options: &'a QuantizeOptions,
    pub(crate) rounding: &'a Rounding,
}

impl Target<'_> {
    fn theta(&self) -> f64 {
        self.sources.populations[self.at].value
    }

    fn period(&self) -> usize {
        period(self.fan_in, self.population.channels)
    }

    /// The population in integers, and its weights.
    pub(crate) fn quantize(&self) -> Result<(Ensemble, Weights), QuantizeError> {
        let &Self {
            at,
            population,
            fan_in,
            ..
        } = self;
        let driven = fan_in.iter().any(|f| is_input(f));
        // What comes event by event from an input sums in 32 bits.
        let needs_32 = fan_in.iter().any(|f| {
            let whole = matches!(f.link.map, LinearMap::Dense(_));
            is_input(f) && (whole || f.link.source != SourceMap::Direct)
        });
        let (spare, wide) = match needs_32 {
            true => (0, wider(fan_in, self.period(), self.options.bits(at))),
            false => (self.spare(), 0),
        };
        if let Some(units) = self.rounding.units(at) {
            let (ensemble, weights) =
                self.ensemble_in(units.shift, wide, &self.units(&units.threshold), true);
            if ensemble.fits(units.width) && (!needs_32 || units.width == Width::I32) {
                return Ok((ensemble.finish(population, units.width), weights));
            }
        }
        if !needs_32 {
            // Inputs are divided further until the bounds fit.
            let mut shifts = spare..=if driven { SHIFT_MAX } else { 0 };
            let coarsest = if driven { 1.0 } else { COARSEST_16 };
            if let Some((ensemble, weights)) = shifts.find_map(|shift| self.narrow(shift, coarsest))
            {
                return Ok((ensemble.finish(population, Width::I16), weights));
            }
        }
        let mut all = (0..=wide).rev().map(|wide| {
            let units = self.finest(spare, wide, THRESHOLD_MAX_32);
            self.ensemble_in(spare, wide, &units, false)
        });
        let fits = |(ensemble, _): &(Wide, Weights)| ensemble.fits(Width::I32);
        let Some((ensemble, weights)) = all.find(fits) else {
            let units = self.finest(spare, 0, THRESHOLD_MAX_32);
            let (ensemble, _) = self.ensemble_in(spare, 0, &units, false);
            return Err(QuantizeError::Overflow {
                layer: population.label.clone(),
                bound: ensemble.max.max(-ensemble.min),
                steps: self.options.steps,
            });
        };
        Ok((ensemble.finish(population, Width::I32), weights))
    }

    /// Bits by which the weights of inputs can be finer than those of spikes without coarsening these in any channel:
    /// a byte stands for much less than a spike.
    fn spare(&self) -> u8 {
        let period = self.period();
        let largest = |of_input: bool| {
            let mut largest = vec![0f64; period];
            for f in self.fan_in.iter().filter(|f| is_input(f) == of_input) {
                for (channel, w) in f.channels.iter().cycle().zip(&f.weights) {
                    let largest = &mut largest[channel % period];
                    *largest = largest.max(w.abs());
                }
            }
            largest
        };
        let (inputs, spikes) = (largest(true), largest(false));
        let both = inputs
            .iter()
            .zip(&spikes)
            .filter(|(i, s)| **i > 0.0 && **s > 0.0);
        let bits = both.map(|(i, s)| (s / i).log2().floor());
        let least = bits.fold(f64::INFINITY, f64::min);
        if least.is_finite() {
            least.clamp(0.0, SHIFT_MAX.into()) as u8
        } else {
            0
        }
    }

    /// The ensemble with potentials of 16 bits, if they can have as few: the weights of channels whose
    /// bounds are too wide are made coarser, up to `coarsest` times.
    fn narrow(&self, shift: u8, coarsest: f64) -> Option<(Wide, Weights)> {
        let finest = self.finest(shift, 0, THRESHOLD_MAX_16);
        let mut units = finest.clone();
        for _ in 0..TRIES_16 {
            let (ensemble, weights) = self.ensemble_in(shift, 0, &units, false);
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
                    *unit = self.theta() / *threshold as f64;
                    if *unit > finest.0 * coarsest {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Units for thresholds.
    fn units(&self, thresholds: &[i32]) -> Vec<(f64, i64)> {
        let theta = self.theta();
        let unit = |&t: &i32| (theta / f64::from(t), i64::from(t));
        thresholds.iter().map(unit).collect()
    }

    /// The smallest unit of each channel if weights of spikes are wider by `wide` bits, of which its threshold is a whole
    /// number up to `threshold_max`, and that number.
    fn finest(&self, shift: u8, wide: u8, threshold_max: f64) -> Vec<(f64, i64)> {
        let theta = self.theta();
        let scale = f64::exp2(f64::from(shift));
        let weight_max = self.options.weight_max(self.at);
        let scale = |f: &FanIn<'_>| if is_input(f) { scale } else { by_spikes(wide) };
        units_within(self.fan_in, self.period(), weight_max, scale)
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

    /// The ensemble with input currents divided by 2^`shift` and weights of spikes that are wider by `wide` bits, with a unit
    /// and a threshold for each of its channels (repeating), and its bounds.
    fn ensemble_in(
        &self,
        shift: u8,
        wide: u8,
        units: &[(f64, i64)],
        offset: bool,
    ) -> (Wide, Weights) {
        let &Self {
            at,
            population,
            fan_in,
            ..
        } = self;
        let theta = self.theta();
        let scale = f64::exp2(f64::from(shift));
        let thresholds: Vec<i64> = units.iter().map(|u| u.1).collect();
        let units: Vec<f64> = units.iter().map(|u| u.0).collect();
        let period = self.period();
        let bits = self.options.bits(at);
        let mut weights = Vec::with_capacity(fan_in.len());
        let mut drives = vec![Drive::default(); period];
        for f in fan_in {
            let per_unit = if is_input(f) { scale } else { 1.0 };
            let offsets = if offset {
                self.rounding.offsets(f.index)
            } else {
                &[]
            };
            let limit = largest(if is_input(f) { bits } else { bits + wide });
            let q = rounded(f, &units, per_unit, limit, offsets);
            let mut drive = f.drive(&q, self.sources.range(f.link.pre), period);
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

    fn finish(self, population: &Population, width: Width) -> Ensemble {
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
