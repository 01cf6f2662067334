//! Currents of parts that run step by step: their filters, the units of their weights, and the extremes of
//! everything up to J.
//!
//! # Units
//! A step adds J times a factor to the potential of a neuron whose threshold is 1; a spike of a source with
//! amplitude a brings a / dt to J. The potential of channel c is counted in units ν_c; the threshold
//! 1 / ν_c is an exact integer.
//!
//! An event of count n adds n 2^k q to a filter, q being its weight. Filters have no gain of their
//! own: a lowpass whose state p decays by d in each step shows, in the long run, 1 / (1 - d) times what
//! comes in. That gain, of the decay *as it is rounded*, and the 2^k go into the unit: one step of a
//! weight is worth ν_c 2^k / (1 - d). So the rounding of d shifts no firing rate, and k bits lie
//! behind the weights' point for the filter's own rounding.
//!
//! # Bounds
//! All that filters do is monotone in what comes in, rounding included. The extremes therefore follow the
//! same steps, taken with the largest and the least input; without end they follow them until nothing
//! changes, or are bounded by the filter's geometric series. k is the largest for which everything
//! stays in 32 bits.

use tinyspike_shared::image::{MAX_FRACTION, Synapse};

use super::error::QuantizeError;
use super::fan_in::{Drive, FanIn, Sources, Weights, channel_units, is_input, quantized};
use super::options::WEIGHT_BITS;
use crate::integers::Inbox;
use crate::network;

/// The most bits behind a weight's point.
const FRACTION_MAX: u8 = 10;
/// Parts of 2^16.
const PARTS: f64 = 65_536.0;
/// Steps that the extremes of an endless network are followed for, before a geometric series bounds them.
const FOLLOWED: usize = 1024;

/// A filter in fixed point.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Filter {
    synapse: Option<Synapse>,
    /// Value that it shows in the long run for a constant input.
    gain: f64,
}

impl Filter {
    /// The synapse of a connection: as good as none, it still delays.
    pub(crate) fn of(synapse: network::Synapse, dt: f64) -> Self {
        let tau = match synapse {
            network::Synapse::Lowpass { tau } | network::Synapse::Alpha { tau } => tau,
            // Quantizing refuses longer ones before.
            network::Synapse::Delay { .. } => return Self::lowpass(0.0),
        };
        // Nengo's limit, below which a filter only delays.
        if tau <= 0.03 * dt {
            return Self::lowpass(0.0);
        }
        let ratio = dt / tau;
        let decay = (-ratio).exp();
        match synapse {
            network::Synapse::Lowpass { .. } | network::Synapse::Delay { .. } => {
                Self::lowpass(decay)
            }
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

    /// Tells whether it only delays.
    pub(crate) fn only_delays(&self) -> bool {
        self.synapse == Some(Synapse::Lowpass { decay: 0 })
    }

    /// None at all.
    pub(crate) const THROUGH: Self = Self {
        synapse: Some(Synapse::Through),
        gain: 1.0,
    };

    /// Bounds of a part that only inputs reach.
    pub(crate) const ABSENT: Self = Self {
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

/// A part, and what reaches it.
pub(crate) struct Post<'a> {
    pub(crate) label: &'a str,
    pub(crate) fan_in: &'a [FanIn<'a>],
    pub(crate) sources: &'a Sources,
    pub(crate) filter: Filter,
    pub(crate) bias: &'a [f64],
    /// The number of units of its channels.
    pub(crate) period: usize,
    /// The most bits of a weight.
    pub(crate) weight_bits: u8,
    /// Steps of an inference; 0 without end.
    pub(crate) steps: u16,
}

/// A part's weights and currents, for a number of bits behind the weights' point.
pub(crate) struct Fit {
    pub(crate) fraction: u8,
    pub(crate) current_shift: i8,
    pub(crate) units: Vec<f64>,
    pub(crate) weights: Weights,
    pub(crate) bias: Vec<i64>,
    pub(crate) bounds: Bounds,
}

/// The extremes of everything but the potential.
#[derive(Default)]
pub(crate) struct Bounds {
    /// Bounds of the filter, at any time.
    pub(crate) filter: (i64, i64),
    /// Bounds of J for each channel's bias at each step; without end, at any step.
    pub(crate) current: Vec<Vec<(i64, i64)>>,
    /// The largest magnitude of anything.
    pub(crate) largest: i64,
}

impl Fit {
    /// The inbox of a part with a filter.
    pub(crate) fn inbox(&self, filter: Filter) -> Option<Inbox> {
        let (min, max) = self.bounds.filter;
        filter.synapse.map(|synapse| Inbox {
            synapse,
            fraction: self.fraction,
            min: min as i32,
            max: max as i32,
        })
    }

    /// The threshold of each of so many channels.
    pub(crate) fn thresholds(&self, channels: usize) -> Vec<i64> {
        let units = self.units.iter().cycle().take(channels);
        units.map(|unit| unit.recip().round() as i64).collect()
    }
}

impl Post<'_> {
    /// The most bits behind the point with which an event's value still is one.
    fn fraction_max(&self) -> u8 {
        let events = self.fan_in.iter().filter(|f| !is_input(f));
        let most = events
            .map(|f| {
                let (most, least) = self.sources.range(f.link.pre);
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
    pub(crate) fn fit(
        &self,
        adjust: &dyn Fn(&mut [f64]),
        also: &dyn Fn(&Fit) -> i64,
    ) -> Result<Fit, QuantizeError> {
        let mut bound = 0;
        let most = self.weight_bits;
        for bits in (most.min(WEIGHT_BITS)..=most).rev() {
            for fraction in (0..=self.fraction_max()).rev() {
                let fit = self.fit_at(adjust, bits, fraction);
                bound = fit.bounds.largest.max(also(&fit));
                if bound <= i64::from(i32::MAX) {
                    return Ok(fit);
                }
            }
        }
        Err(QuantizeError::Overflow {
            layer: self.label.to_owned(),
            bound,
            steps: self.steps,
        })
    }

    fn fit_at(&self, adjust: &dyn Fn(&mut [f64]), bits: u8, fraction: u8) -> Fit {
        let &Self {
            fan_in,
            filter,
            bias,
            period,
            ..
        } = self;
        // The units of the potential that one step of an event's weight is worth.
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
        let weights: Weights = fan_in
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
            let drives = f.drive(q, self.sources.range(f.link.pre), period);
            for (sum, drive) in sums.iter_mut().zip(drives) {
                sum.up += drive.up;
                sum.down += drive.down;
            }
        }
        for drive in &mut events {
            drive.up <<= fraction;
            drive.down <<= fraction;
        }
        let bounds = self.bounds(&events, &inputs, &bias, current_shift);
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
        events: &[Drive],
        inputs: &[Drive],
        bias: &[i64],
        current_shift: i8,
    ) -> Bounds {
        let mut bounds = Bounds::default();
        // What the filter of each class of channels shows at the start of each step.
        let mut shown: Vec<Vec<(i64, i64)>> = Vec::with_capacity(events.len());
        for drive in events {
            shown.push(self.filter.follow(drive, self.steps, &mut bounds));
        }
        let mut wider = |x: i64| bounds.largest = bounds.largest.max(x.abs());
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
}

/// The extremes of a filter's states.
#[derive(Clone, Copy, Default, PartialEq)]
struct Extremes {
    p: (i64, i64),
    q: (i64, i64),
}

impl Filter {
    /// The extremes of what the filter shows in each step, or in any step without end.
    fn follow(&self, drive: &Drive, steps: u16, bounds: &mut Bounds) -> Vec<(i64, i64)> {
        let mut states = Extremes::default();
        let mut all = Vec::with_capacity(steps.into());
        let mut any = (0, 0);
        let mut wider = |bounds: &mut Bounds, states: Extremes, seen: (i64, i64)| {
            let (p, q) = (states.p, states.q);
            for x in [p.0, p.1, q.0, q.1, seen.0, seen.1] {
                bounds.largest = bounds.largest.max(x.abs());
            }
            bounds.filter.0 = bounds.filter.0.min(seen.0).min(p.0).min(q.0);
            bounds.filter.1 = bounds.filter.1.max(seen.1).max(p.1).max(q.1);
            any = (any.0.min(seen.0), any.1.max(seen.1));
            any
        };
        if steps > 0 {
            for _ in 0..steps {
                let seen;
                (states, seen) = self.step(states, drive);
                wider(bounds, states, seen);
                all.push(seen);
            }
            return all;
        }
        for _ in 0..FOLLOWED {
            let (next, seen) = self.step(states, drive);
            let any = wider(bounds, next, seen);
            if next == states {
                return vec![any];
            }
            states = next;
        }
        // States between these stay between them.
        states = self.geometric(drive);
        let (_, seen) = self.step(states, drive);
        vec![wider(bounds, states, seen)]
    }

    /// The states after a step, and the extremes of what the filter shows in it.
    fn step(&self, Extremes { p, q }: Extremes, drive: &Drive) -> (Extremes, (i64, i64)) {
        let y = (q.0 + p.0, q.1 + p.1);
        let (kept, fed) = match self.synapse {
            None | Some(Synapse::Through) => ((0, 0), (0, 0)),
            Some(Synapse::Lowpass { decay }) => ((scaled(p.0, decay), scaled(p.1, decay)), (0, 0)),
            Some(Synapse::Alpha { decay, feed }) => (
                (scaled(p.0, decay), scaled(p.1, decay)),
                (
                    scaled(y.0, decay) + scaled(p.0, feed),
                    scaled(y.1, decay) + scaled(p.1, feed),
                ),
            ),
        };
        // Events may come in any order.
        let p = (kept.0 - drive.down, kept.1 + drive.up);
        // A target without a filter, or a probe with one, sees this step's events.
        let after = (fed.0 + p.0, fed.1 + p.1);
        let seen = (y.0.min(after.0), y.1.max(after.1));
        (Extremes { p, q: fed }, seen)
    }

    /// States that a step does not leave: with d the decay and each product rounded by at most a half,
    /// p (1 - d) ≥ drive + 1 and q (1 - d) ≥ (d + feed) p + 2.
    fn geometric(&self, drive: &Drive) -> Extremes {
        let (decay, feed) = match self.synapse {
            None | Some(Synapse::Through) => (0, 0),
            Some(Synapse::Lowpass { decay }) => (decay, 0),
            Some(Synapse::Alpha { decay, feed }) => (decay, feed),
        };
        let parts = i64::from(u16::MAX) + 1;
        let left = parts - i64::from(decay);
        // Beyond 2^40 nothing fits an image.
        let limit = 1 << 40;
        let series = |x: i64| (x.min(limit) * parts / left + 1).min(limit);
        let fed = |p: i64| match feed {
            0 => 0,
            feed => series(((i64::from(decay) + i64::from(feed)) * p / parts).min(limit) + 3),
        };
        let p = (series(drive.down + 1), series(drive.up + 1));
        Extremes {
            p: (-p.0, p.1),
            q: (-fed(p.0), fed(p.1)),
        }
    }
}

/// The shift left of the sums of inputs, in bits, so that their weights make no unit coarser than
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_filters_stay_within_their_bounds() {
        for tau in [0.001, 0.005, 0.1, 3.0, 50.0] {
            let synapses = [
                network::Synapse::Lowpass { tau },
                network::Synapse::Alpha { tau },
            ];
            for synapse in synapses {
                let filter = Filter::of(synapse, 0.001);
                for drive in [
                    Drive { up: 1, down: 0 },
                    Drive { up: 700, down: 3 },
                    Drive {
                        up: 12_345,
                        down: 54_321,
                    },
                ] {
                    let mut bounds = Bounds::default();
                    let shown = filter.follow(&drive, 0, &mut bounds)[0];
                    let still = filter.geometric(&drive);
                    if still.q.1.max(-still.q.0) >= 1 << 40 {
                        // States are cut off there, for no image holds them: the fit is refused.
                        assert!(bounds.largest > i32::MAX.into(), "{tau}");
                        continue;
                    }
                    let (next, _) = filter.step(still, &drive);
                    assert!(next.p.1 <= still.p.1 && next.p.0 >= still.p.0, "{tau}");
                    assert!(next.q.1 <= still.q.1 && next.q.0 >= still.q.0, "{tau}");
                    let mut states = Extremes::default();
                    for _ in 0..20_000 {
                        let seen;
                        (states, seen) = filter.step(states, &drive);
                        assert!(shown.0 <= seen.0 && seen.1 <= shown.1, "{tau}");
                        let all = bounds.filter.0..=bounds.filter.1;
                        assert!(
                            [states.p.0, states.q.1, states.p.1]
                                .iter()
                                .all(|x| all.contains(x))
                        );
                    }
                }
            }
        }
    }
}
