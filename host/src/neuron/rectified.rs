//! Rectifying neurons: V += max(J, 0) dt, or with a slope below zero V -= slope max(-J, 0) dt; n = V / θ
//! spikes, rounded towards zero; V -= n θ.
//!
//! # Bounds
//! V follows the extremes of J dt step by step. After an update it is below a threshold, unless the
//! count was cut off. Without end, what cut-off counts leave behind has no bound: V then saturates after an
//! update, as far from 32 bits as one step can take it.

use tinyspike_shared::image::{Neuron, Rectified};

use super::{Charged, Kind, PARTS, Settled};
use crate::network::NeuronType;
use crate::quantize::current::Bounds;
use crate::quantize::error::QuantizeError;
use crate::quantize::fan_in::Events;
use crate::quantize::options::QuantizeOptions;

/// Types that it is for.
pub(super) const TYPES: &str = "SpikingRectifiedLinear, SpikingLeakyReLU (with a slope of 0 to 1), RegularSpiking(RectifiedLinear)";

/// Neurons that integrate a current.
pub(super) struct Integrating {
    pub(super) below: Below,
    pub(super) max_count: i64,
    pub(super) endless: bool,
}

/// Current below zero.
#[derive(Clone, Copy)]
pub(super) enum Below {
    /// All of it is added; no spikes are counted below zero.
    Whole,
    /// A share of it in parts of 2^16 is added. If that is above zero, spikes are counted below zero, too.
    Share(u16),
}

impl Below {
    /// The most that the least current takes off in a step.
    fn fall(self, least: i64) -> i64 {
        match self {
            Self::Whole => -least.min(0),
            Self::Share(0) => 0,
            Self::Share(slope) => ((1 << 15) - least.min(0) * i64::from(slope)) >> 16,
        }
    }

    /// A bound of the same, with a rounding.
    fn fall_within(self, least: i64) -> i64 {
        match self {
            Self::Whole => self.fall(least),
            Self::Share(slope) => -((least.min(0) * i64::from(slope) - (1 << 15)) >> 16),
        }
    }

    /// Tells whether a fall is made up for by spikes below zero.
    const fn is_counted(self) -> bool {
        matches!(self, Self::Share(_))
    }
}

pub(super) fn charged(
    neuron_type: &NeuronType,
    _: &str,
    options: &QuantizeOptions,
) -> Result<Option<Charged>, QuantizeError> {
    let (slope, gain, amplitude) = match *neuron_type {
        NeuronType::SpikingRectifiedLinear { amplitude } => (0.0, 1.0, amplitude),
        NeuronType::SpikingLeakyRelu {
            negative_slope,
            amplitude,
        } if (0.0..1.0).contains(&negative_slope) => (negative_slope, 1.0, amplitude),
        NeuronType::RegularSpiking {
            ref base,
            amplitude,
        } => match **base {
            NeuronType::RectifiedLinear { amplitude: gain } => (0.0, gain, amplitude),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let max_count = i64::from(options.max_count);
    let negative_slope = (f64::from(slope) * PARTS).round().min(PARTS - 1.0) as u16;
    Ok(Some(Charged {
        factor: options.dt * f64::from(gain),
        events: Events {
            value: f64::from(amplitude) / options.dt,
            spikes: (max_count, if negative_slope > 0 { max_count } else { 0 }),
        },
        kind: Box::new(Integrating {
            below: Below::Share(negative_slope),
            max_count,
            endless: options.steps == 0,
        }),
    }))
}

impl Kind for Integrating {
    fn largest(&self, bounds: &Bounds, thresholds: &[i64]) -> i64 {
        self.potential(bounds, thresholds).largest()
    }

    fn settle(&self, bounds: &Bounds, thresholds: &[i64]) -> Result<Settled, i64> {
        let potential = self.potential(bounds, thresholds);
        Ok(Settled {
            neuron: match self.below {
                Below::Whole => Neuron::IntegrateAndFire,
                Below::Share(negative_slope) => Neuron::Rectified(Rectified { negative_slope }),
            },
            constants: Vec::new(),
            spikes: potential.counts,
            potential: if self.endless {
                potential.limits()
            } else {
                (potential.least, potential.most)
            },
        })
    }
}

impl Integrating {
    fn potential(&self, bounds: &Bounds, thresholds: &[i64]) -> Potential {
        let mut potential = Potential {
            max_count: self.max_count,
            least: 0,
            most: i64::MIN,
            counts: (1, 0),
            kept: Kept::default(),
        };
        for (currents, threshold) in bounds.current.iter().zip(thresholds) {
            if self.endless {
                for &extremes in currents {
                    potential.forever(extremes, *threshold, self.below);
                }
            } else {
                potential.follow(currents, *threshold, self.below);
            }
        }
        potential
    }
}

/// The extremes of V - θ, and of spikes in a step.
struct Potential {
    max_count: i64,
    least: i64,
    most: i64,
    counts: (i64, i64),
    kept: Kept,
}

/// The extremes of V - θ after an update, without end.
#[derive(Default)]
struct Kept {
    least: i64,
    /// The most that a step adds, and the most that it takes, in channels whose V has no bound.
    rise: Option<i64>,
    fall: Option<i64>,
}

impl Potential {
    fn largest(&self) -> i64 {
        self.most.max(self.least.saturating_neg())
    }

    /// Follows a channel's neurons through all steps with the largest and the least currents.
    fn follow(&mut self, currents: &[(i64, i64)], threshold: i64, below: Below) {
        let (mut low, mut high) = (0, threshold - 1);
        for &(least, most) in currents {
            high += most.max(0);
            low -= below.fall_within(least);
            self.widen(low, high, threshold, below);
            // What is left is below a threshold, unless the count was cut off.
            high = high.min((high - self.max_count * threshold).max(threshold - 1));
            if below.is_counted() {
                low = low.max((low + self.max_count * threshold).min(1 - threshold));
            }
        }
    }

    fn widen(&mut self, low: i64, high: i64, threshold: i64, below: Below) {
        self.least = self.least.min(low.min(0) - threshold);
        self.most = self.most.max(high - threshold);
        self.counts.0 = self.counts.0.max((high / threshold).min(self.max_count));
        if below.is_counted() {
            self.counts.1 = self.counts.1.max((-low / threshold).min(self.max_count));
        }
    }

    /// The same for any number of steps.
    fn forever(&mut self, (least, most): (i64, i64), threshold: i64, below: Below) {
        let rise = most.max(0);
        let fall = below.fall(least);
        let most_at_once = self.max_count * threshold;
        // From what an update leaves.
        let low = if fall > 0 && below.is_counted() {
            1 - threshold
        } else {
            0
        };
        self.widen(low - fall, threshold - 1 + rise, threshold, below);
        self.kept.least = self.kept.least.min(low - threshold);
        if rise > most_at_once {
            self.kept.rise = self.kept.rise.max(Some(rise));
            self.counts.0 = self.max_count;
        }
        if below.is_counted() && fall > most_at_once {
            self.kept.fall = self.kept.fall.max(Some(fall));
            self.counts.1 = self.max_count;
        } else if !below.is_counted() && fall > 0 {
            self.kept.fall = self.kept.fall.max(Some(fall));
        }
    }

    /// The limits of V - θ after an update: what it keeps to anyway, or what leaves room for a step.
    fn limits(&self) -> (i64, i64) {
        let word = i64::from(i32::MAX);
        let least = self.kept.fall.map(|fall| fall - word);
        let most = self.kept.rise.map(|rise| word - rise);
        (least.unwrap_or(self.kept.least), most.unwrap_or(-1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least and the largest value that V - θ takes after updates, in many steps of these currents.
    fn run(max_count: i64, slope: i64, threshold: i64, currents: &[i64]) -> (i64, i64) {
        let (mut v, mut seen) = (0i64, (-threshold, -threshold));
        for _ in 0..200 {
            for j in currents {
                // A product is rounded to nearest, as the engine does.
                v += if *j > 0 {
                    *j
                } else {
                    -((-j * slope + (1 << 15)) >> 16)
                };
                v -= (v / threshold).clamp(-max_count, max_count) * threshold;
                seen = (seen.0.min(v - threshold), seen.1.max(v - threshold));
            }
        }
        seen
    }

    #[test]
    fn endless_potentials_stay_within_their_limits_or_are_said_to_have_none() {
        for slope in [0u16, 1, 9_000, 65_535] {
            for (most, least) in [(40, -40), (900, -3), (5_000, -5_000), (0, -70_000)] {
                let kind = Integrating {
                    below: Below::Share(slope),
                    max_count: 3,
                    endless: true,
                };
                let bounds = Bounds {
                    current: vec![vec![(least, most)]],
                    ..Bounds::default()
                };
                let potential = kind.potential(&bounds, &[1000]);
                let (low, high) = potential.limits();
                let all = format!("{slope} {most} {least}: {low}..={high}");
                let (least_seen, most_seen) = [[most; 2], [least; 2], [most, least]]
                    .map(|currents| run(3, slope.into(), 1000, &currents))
                    .into_iter()
                    .fold((0, i64::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
                if potential.kept.rise.is_none() {
                    assert!(most_seen <= high, "{all}, {most_seen}");
                }
                if potential.kept.fall.is_none() {
                    assert!(low <= least_seen, "{all}, {least_seen}");
                }
                assert_eq!(potential.kept.rise.is_some(), most > 3000);
                // One more step fits a word.
                let fall = (-least * i64::from(slope) + (1 << 15)) >> 16;
                assert!(high + most <= i32::MAX.into(), "{all}");
                assert!(low - fall >= i32::MIN.into(), "{all}");
            }
        }
    }
}
