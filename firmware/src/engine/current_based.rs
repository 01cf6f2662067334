//! The step of current-based neurons, and what inputs bring them.
//!
//! Their events go anywhere, also back: what has been updated in this step sees them in the next.

use tinyspike_shared::image::{Area, CubaLif, Ensemble, Image, Neurons};

use super::exact::neurons;
use super::{Later, Outgoing, Probe, state};
use crate::kernels::{Events, Kernels};

/// Brings an ensemble to rest.
#[inline(never)]
pub(super) fn rest<const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    e: &Ensemble,
    kind: CubaLif,
    state: &mut [u32],
) {
    kind.rest(neurons(image, e, state), image.biases(e));
}

/// Updates an ensemble, and sends its events on.
#[inline(never)]
pub(super) fn fire<K, const E: usize, const C: usize>(
    e: &Ensemble,
    kind: CubaLif,
    area: &Area,
    arena: &mut [u32],
    outgoing: &Outgoing<'_, E, C>,
    probe: &mut impl Probe,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let count = e.neurons as usize;
    let deferred = kind.defers(count);
    let (threshold, biases, constants) = outgoing.image.parameters(e, kind);
    let mut events = Events::new();
    let mut next = 0;
    let mut updated = !deferred;
    while next < count {
        events.clear();
        let mut own = Neurons {
            state: arena.get_mut(state(area)).unwrap_or(&mut []),
            count,
            threshold,
            max_count: e.max_count,
            constants,
        };
        if !updated {
            updated = true;
            if <K as Kernels<u32>>::UPDATES && kind.is_simple() {
                // Kernels leave what neurons keep as it is.
                kind.forget(&mut own);
            }
            update::<K>(kind, &mut own, biases, 0, &mut events);
        }
        let reached = if deferred {
            kind.emit(&mut own, next, &mut events)
        } else {
            update::<K>(kind, &mut own, biases, next, &mut events)
        };
        if reached <= next {
            break;
        }
        next = reached;
        if !events.is_empty() {
            probe.spikes(outgoing.ensemble, &events);
            let mut all = Later {
                before: &mut [],
                words: &mut *arena,
                start: 0,
            };
            outgoing.send::<K>(&events, &mut all);
        }
    }
}

/// Updates neurons from `next` on, and emits their spikes, until all are done or `events` has no room for more;
/// returns the first that is not done.
fn update<K: Kernels<u32>>(
    kind: CubaLif,
    neurons: &mut Neurons<'_>,
    biases: &[i32],
    mut next: usize,
    events: &mut Events,
) -> usize {
    let count = neurons.count;
    if !K::UPDATES || !kind.is_simple() {
        return sweep(kind, neurons, biases, next, events);
    }
    while next < count {
        next = K::update(kind, neurons, biases, next, events);
        if events.is_full() {
            break;
        }
        // What stopped there goes through all questions.
        if next < count {
            next = update_one(kind, neurons, biases, next, events);
        }
        if events.is_full() {
            break;
        }
    }
    next
}

#[inline(never)]
fn sweep(
    kind: CubaLif,
    neurons: &mut Neurons<'_>,
    biases: &[i32],
    next: usize,
    events: &mut Events,
) -> usize {
    kind.update(neurons, biases, next..neurons.count, events)
}

#[inline(never)]
fn update_one(
    kind: CubaLif,
    neurons: &mut Neurons<'_>,
    biases: &[i32],
    neuron: usize,
    events: &mut Events,
) -> usize {
    kind.update_one(neurons, biases, neuron, events);
    neuron.wrapping_add(1)
}

/// Tells whether a step without events changes nothing.
#[inline(never)]
pub(super) fn is_idle<const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    e: &Ensemble,
    kind: CubaLif,
    state: &[u32],
) -> bool {
    let (count, biases) = (e.neurons as usize, image.biases(e));
    kind.is_idle(
        state,
        count,
        image.thresholds(e),
        biases,
        image.constants(e),
    )
}
