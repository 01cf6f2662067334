//! Integrate-and-fire neurons: V += J; n = min(floor(V / θ), max_count) if V ≥ θ, else 0; V -= n θ.

use core::ops::RangeInclusive;

use super::{Drive, Kind, Neurons, clamp};
use crate::kernels::{Events, Kernels, Population, Potential};

/// Neurons that take up all of their current. What is stored is V - θ.
#[derive(Clone, Copy, Debug)]
pub(super) struct IntegrateAndFire;

impl Kind for IntegrateAndFire {
    fn start(&self, threshold: i32, share: u16) -> u32 {
        let start = (i64::from(threshold).wrapping_mul(share.into()) >> 16) as i32;
        u32::store(start.wrapping_sub(threshold))
    }

    fn potential(&self, stored: u32) -> i32 {
        stored.value()
    }

    fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>) {
        clamp(state, limits);
    }

    fn charge<K: Kernels<u32>>(&self, neurons: &mut Neurons<'_>, drive: Drive<'_>) {
        let mut inbox = drive.inbox;
        inbox.advance(neurons.state, drive.currents, |v, j| *v = v.plus(j));
    }

    fn fire<K: Kernels<u32>>(
        &self,
        neurons: &mut Neurons<'_>,
        from: usize,
        events: &mut Events,
    ) -> usize {
        let mut population = population(neurons, &[]);
        K::fire(&mut population, from, events)
    }
}

/// The neurons as kernels see them.
pub(super) fn population<'a>(
    neurons: &'a mut Neurons<'_>,
    currents: &'a [u32],
) -> Population<'a, u32> {
    Population {
        potentials: neurons.state,
        currents,
        bias: &[],
        threshold: neurons.threshold,
        max_count: neurons.max_count,
        more: neurons.more,
    }
}
