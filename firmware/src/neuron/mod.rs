//! A step of neurons, each kind in a file: how they start, what current does to them, and when they fire.
//!
//! Integrate-and-fire neurons that events reach directly are the exception: [`Kernels`] update them whole. Sums
//! and products wrap, for the host has proven that they never leave their words.

mod integrate_and_fire;
mod lif;
mod rectified;

use core::ops::RangeInclusive;

use tinyspike_shared::image::Neuron;

use crate::inbox::Inbox;
use crate::kernels::{Events, Kernels, Potential};
use integrate_and_fire::IntegrateAndFire;

/// The neurons of an ensemble.
#[derive(Debug)]
pub(crate) struct Neurons<'a> {
    /// The words of their state: V of each, then what the kind has besides.
    pub(crate) state: &'a mut [u32],
    /// Number of events.
    pub(crate) count: usize,
    /// θ of each channel.
    pub(crate) threshold: &'a [i32],
    /// The most spikes that a neuron emits in a step.
    pub(crate) max_count: u8,
    /// The constants of the kind.
    pub(crate) constants: &'a [u32],
    /// `true` if another step follows. If none does, potentials may be left as they are.
    pub(crate) more: bool,
}

/// Currents that reach neurons in a step.
#[derive(Debug)]
pub(crate) struct Drive<'a> {
    /// The current of each neuron, or of each channel.
    pub(crate) currents: &'a [i32],
    /// `true` if there is one for each neuron, which [`Kind::settle`] has seen.
    pub(crate) settled: bool,
    /// Inbox that brings events.
    pub(crate) inbox: Inbox<'a>,
}

/// A kind of neurons.
trait Kind {
    /// The stored potential at a share of the threshold, in parts of 2^16.
    fn start(&self, threshold: i32, share: u16) -> u32;

    /// The potential that is stored, as [`Engine::potential`](crate::Engine::potential) shows it.
    fn potential(&self, stored: u32) -> i32;

    /// The current to keep of neurons that nothing else reaches.
    fn settle(&self, current: i32) -> i32 {
        current
    }

    /// Keeps potentials that have no bound of their own within limits.
    fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>);

    /// Adds a step's current.
    fn charge<K: Kernels<u32>>(&self, neurons: &mut Neurons<'_>, drive: Drive<'_>);

    /// Fires the neurons from `from` on, until all are done or `events` has no room for more, and returns the
    /// first neuron that is not done.
    fn fire<K: Kernels<u32>>(
        &self,
        neurons: &mut Neurons<'_>,
        from: usize,
        events: &mut Events,
    ) -> usize;
}

/// Does the same with whichever kind.
macro_rules! of_kind {
    ($neuron:expr, $kind:ident => $do:expr) => {
        match $neuron {
            Neuron::IntegrateAndFire => {
                let $kind = &IntegrateAndFire;
                $do
            }
            Neuron::Rectified($kind) => $do,
            Neuron::Lif($kind) => $do,
        }
    };
}

/// Brings neurons to rest at shares of their thresholds: one for each, or else `uniform`.
pub(crate) fn rest(neuron: &Neuron, neurons: Neurons<'_>, shares: &[u16], uniform: u16) {
    neurons.state.fill(0);
    let row = neurons.threshold.len().max(1);
    let mut shares = shares.iter();
    let potentials = neurons.state.get_mut(..neurons.count).unwrap_or(&mut []);
    for potentials in potentials.chunks_mut(row) {
        for (v, &threshold) in potentials.iter_mut().zip(neurons.threshold) {
            let share = shares.next().copied().unwrap_or(uniform);
            *v = of_kind!(neuron, kind => kind.start(threshold, share));
        }
    }
}

/// The potential that is stored.
pub(crate) fn potential(neuron: &Neuron, stored: u32) -> i32 {
    of_kind!(neuron, kind => kind.potential(stored))
}

/// The current to keep of neurons that nothing else reaches.
pub(crate) fn settle(neuron: &Neuron, current: i32) -> i32 {
    of_kind!(neuron, kind => kind.settle(current))
}

/// Adds a step's current.
pub(crate) fn charge<K: Kernels<u32>>(
    neuron: &Neuron,
    neurons: &mut Neurons<'_>,
    drive: Drive<'_>,
) {
    of_kind!(neuron, kind => kind.charge::<K>(neurons, drive));
}

/// Fires all neurons, and sends their events, a buffer at a time.
pub(crate) fn fire<K: Kernels<u32>>(
    neuron: &Neuron,
    neurons: &mut Neurons<'_>,
    mut send: impl FnMut(&Events),
) {
    let mut events = Events::new();
    let mut next = 0;
    while next < neurons.count {
        events.clear();
        let reached = of_kind!(neuron, kind => kind.fire::<K>(neurons, next, &mut events));
        if !events.is_empty() {
            send(&events);
        }
        if reached <= next {
            break;
        }
        next = reached;
    }
}

/// Ends an update in a network without end: no potential leaves its limits.
pub(crate) fn saturate(neuron: &Neuron, state: &mut [u32], limits: RangeInclusive<i32>) {
    of_kind!(neuron, kind => kind.saturate(state, limits));
}

/// Keeps potentials within limits.
pub(crate) fn clamp<P: Potential>(potentials: &mut [P], limits: RangeInclusive<i32>) {
    for v in potentials {
        *v = P::store(v.value().min(*limits.end()).max(*limits.start()));
    }
}
