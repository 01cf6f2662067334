//! Integrate-and-fire neurons: V += J; n = min(floor(V / θ), max_count) if V ≥ θ, else 0; V -= n θ.

use core::ops::RangeInclusive;

use super::{Drive, Kind, Neurons};
use crate::event::{EVENTS, Event, Events};

/// Neurons that take up all of their current. They store V - θ plus half the range.
#[derive(Clone, Copy, Debug)]
pub(super) struct IntegrateAndFire;

impl Kind for IntegrateAndFire {
    fn start(&self, threshold: i32, share: u16) -> u32 {
        let start = (i64::from(threshold).wrapping_mul(share.into()) >> 16) as i32;
        stored(start.wrapping_sub(threshold))
    }

    fn potential(&self, stored: u32) -> i32 {
        value(stored)
    }

    fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>) {
        for v in state {
            *v = stored(value(*v).min(*limits.end()).max(*limits.start()));
        }
    }

    fn adds(&self) -> bool {
        true
    }

    fn fires_above(&self) -> bool {
        true
    }

    fn charge(&self, neurons: &mut Neurons<'_>, mut drive: Drive<'_>) {
        let currents = drive.currents;
        drive.inbox.advance(neurons.state, currents, add);
    }

    fn fire(&self, neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize {
        fire_down_to(0, neurons, from, events)
    }
}

/// Stored form of a potential.
const fn stored(value: i32) -> u32 {
    value as u32 ^ 1 << 31
}

const fn value(stored: u32) -> i32 {
    (stored ^ 1 << 31) as i32
}

/// Adds a current to a potential.
#[inline]
pub(super) const fn add(v: &mut u32, current: i32) {
    *v = v.wrapping_add(current as u32);
}

/// Fires neurons, of which each counts V / θ spikes, rounded towards zero, but no fewer than `least`.
pub(super) fn fire_down_to(
    least: i32,
    neurons: &mut Neurons<'_>,
    from: usize,
    events: &mut Events,
) -> usize {
    let channel = from.checked_rem(neurons.threshold.len()).unwrap_or(0);
    let thresholds = neurons.threshold.iter().cycle().skip(channel);
    let most = i32::from(neurons.max_count);
    let mut neuron = from;
    for (v, &threshold) in neurons.state.iter_mut().skip(from).zip(thresholds) {
        // V itself may be more than a word holds.
        let count = match value(*v) {
            less @ 0.. => less.checked_div(threshold).map(|n| n.wrapping_add(1)),
            less => less.wrapping_add(threshold).checked_div(threshold),
        };
        let count = count.unwrap_or(0);
        let count = count.min(most).max(least);
        if count != 0 {
            add(v, threshold.wrapping_mul(count).wrapping_neg());
            // There is room: a full buffer ends the loop.
            let _ = events.push(Event {
                source: neuron as u16,
                value: count as i16,
            });
        }
        neuron += 1;
        if events.len() == EVENTS {
            break;
        }
    }
    neuron
}
