//! Rectified neurons: V += max(J, 0) - slope · max(-J, 0); n = V / θ, rounded towards zero; V -= n θ.

use core::ops::RangeInclusive;

use tinyspike_shared::Event;
use tinyspike_shared::fixed::scaled;
use tinyspike_shared::image::Rectified;

use super::integrate_and_fire::{IntegrateAndFire, population};
use super::{Drive, Kind, Neurons};
use crate::kernels::{EVENTS, Events, Kernels, Potential};

impl Kind for Rectified {
    fn start(&self, threshold: i32, share: u16) -> u32 {
        IntegrateAndFire.start(threshold, share)
    }

    fn potential(&self, stored: u32) -> i32 {
        IntegrateAndFire.potential(stored)
    }

    fn settle(&self, current: i32) -> i32 {
        rectified(current, self.negative_slope)
    }

    fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>) {
        IntegrateAndFire.saturate(state, limits);
    }

    fn charge<K: Kernels<u32>>(&self, neurons: &mut Neurons<'_>, drive: Drive<'_>) {
        let Drive {
            currents,
            settled,
            mut inbox,
        } = drive;
        let slope = self.negative_slope;
        if settled && inbox.is_absent() {
            K::settle(&mut population(neurons, bytemuck::cast_slice(currents)));
        } else if slope == 0 {
            inbox.advance(neurons.state, currents, |v, j| *v = v.plus(j.max(0)));
        } else {
            let add = |v: &mut u32, j| *v = v.plus(rectified(j, slope));
            inbox.advance(neurons.state, currents, add);
        }
    }

    fn fire<K: Kernels<u32>>(
        &self,
        neurons: &mut Neurons<'_>,
        from: usize,
        events: &mut Events,
    ) -> usize {
        if self.negative_slope > 0 {
            fire_signed(neurons, from, events)
        } else {
            IntegrateAndFire.fire::<K>(neurons, from, events)
        }
    }
}

/// Adds a current to a potential: all of it above zero, a share of it below.
#[inline]
fn rectified(current: i32, negative_slope: u16) -> i32 {
    let below = scaled(current.min(0).wrapping_neg(), negative_slope);
    current.max(0).wrapping_sub(below)
}

/// Fires neurons that count spikes below zero as well.
fn fire_signed(neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize {
    let channel = from.checked_rem(neurons.threshold.len()).unwrap_or(0);
    let thresholds = neurons.threshold.iter().cycle().skip(channel);
    let most = i32::from(neurons.max_count);
    let mut neuron = from;
    for (v, &threshold) in neurons.state.iter_mut().skip(from).zip(thresholds) {
        let potential = v.value().wrapping_add(threshold);
        let count = potential.checked_div(threshold).unwrap_or(0);
        let count = count.min(most).max(most.wrapping_neg());
        if count != 0 {
            *v = v.plus(threshold.wrapping_mul(count).wrapping_neg());
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
