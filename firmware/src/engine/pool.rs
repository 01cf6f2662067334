//! The step of max pooling.

use tinyspike_shared::image::{Ensemble, Neuron};

use super::{DENSE, Later, Outgoing, Probe, counts};
use crate::kernels::{Events, Kernels};

/// Sends on what the counts of an ensemble's windows have changed by.
#[inline(never)]
pub(super) fn fire<K, const E: usize, const C: usize>(
    e: &Ensemble,
    state: &mut [u32],
    outgoing: &Outgoing<'_, E, C>,
    mut later: Later<'_>,
    probe: &mut impl Probe,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let Neuron::Pool(pool) = e.neuron else {
        return;
    };
    let image = outgoing.image;
    let mut events = Events::new();
    let mut send = |events: &mut Events| {
        if !events.is_empty() {
            probe.spikes(outgoing.ensemble, events);
            outgoing.send::<K>(events, &mut later);
            events.clear();
        }
    };
    let words: &mut [i16] = bytemuck::try_cast_slice_mut(state).unwrap_or_default();
    pool.fire(image.constants(e), image.biases(e), words, |event| {
        // There is room: the buffer is emptied when it is full.
        let _ = events.push(event);
        if events.is_full() {
            send(&mut events);
        }
    });
    send(&mut events);
    if DENSE && counts::wanted(outgoing.connections) {
        let emitted = state.get_mut(pool.places.div_ceil(2) as usize..);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(emitted.unwrap_or_default());
        let neurons = e.neurons as usize;
        counts::pack(bytes.get_mut(..neurons * 2).unwrap_or_default());
        counts::send::<K, E, C>(bytes, neurons, outgoing, &mut later);
    }
}
