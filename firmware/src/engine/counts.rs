//! Dense layers: targets that are computed from all counts of an ensemble at once, as from the bytes of an input.
//!
//! In a single step potentials are dead once they have fired. So the counts, a byte each, go where the potentials of
//! these and earlier neurons were.

use core::ops::Range;

use tinyspike_shared::Event;
use tinyspike_shared::image::{Connection, Pre, Transform, Window};

use super::{
    CONVOLUTIONS, INPUT_MATRICES, Later, Outgoing, Probe, WIDE, in_buffers, nonzero, scatter,
    state, target,
};
use crate::kernels::{Kernels, Values};

/// Tells whether a connection takes counts.
pub(super) fn wanted(connections: &[Connection]) -> bool {
    connections.iter().any(|c| matches!(c.pre, Pre::Counts(_)))
}

impl<const E: usize, const C: usize> Outgoing<'_, E, C> {
    /// Tells whether a connection takes counts, or sums of counts.
    pub(super) fn takes_counts(&self) -> bool {
        let summed = |c: &Connection| self.sums(c).is_some();
        wanted(self.connections) || self.connections.iter().any(summed)
    }

    /// Tells whether no connection takes events.
    pub(super) fn takes_counts_alone(&self) -> bool {
        let counts = |c: &Connection| matches!(c.pre, Pre::Counts(_)) || self.sums(c).is_some();
        self.connections.iter().all(counts)
    }

    /// The window through which counts are summed up before a connection's weights see them.
    pub(super) fn sums<'c>(&self, c: &'c Connection) -> Option<&'c Window> {
        let network = self.image.description();
        let e = network.ensembles.get(self.ensemble)?;
        c.sums(e, network.steps).filter(|_| !self.exact)
    }
}

/// Notes the counts of some neurons, of which `events` have spiked.
pub(super) fn note(counts: &mut [u8], neurons: Range<usize>, events: &[Event]) {
    if let Some(counts) = counts.get_mut(neurons) {
        counts.fill(0);
    }
    for event in events {
        if let Some(count) = counts.get_mut(usize::from(event.source)) {
            *count = event.value as u8;
        }
    }
}

/// Shows the counts of an ensemble's neurons to a probe, as events.
pub(super) fn show<P: Probe>(counts: &[u8], neurons: usize, ensemble: usize, probe: &mut P) {
    if P::SPIKES {
        let counts = counts.get(..neurons).unwrap_or(&[]);
        in_buffers(nonzero(counts, 0), |events| probe.spikes(ensemble, events));
    }
}

/// Notes what windows have emitted since rest, 16 bits each, as a byte for each.
pub(super) fn pack(emitted: &mut [u8]) {
    for at in 0..emitted.len() / 2 {
        let pair = emitted.get(at * 2..).and_then(|rest| rest.first_chunk());
        let count = pair.map_or(0, |pair| i16::from_ne_bytes(*pair));
        if let Some(byte) = emitted.get_mut(at) {
            *byte = count as u8;
        }
    }
}

/// Sends the sums of counts that a window sees, each as an event.
#[inline(never)]
fn send_sums<K, const E: usize, const C: usize>(
    bytes: &mut [u8],
    neurons: usize,
    outgoing: &Outgoing<'_, E, C>,
    (c, window): (&Connection, &Window),
    later: &mut Later<'_>,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let image = outgoing.image;
    let [height, width, channels] = window.output.map(usize::from);
    let seen = height * width * channels;
    let Some((counts, rest)) = bytes.split_at_mut_checked(neurons.next_multiple_of(4)) else {
        return;
    };
    // Four sums lie in two words, so that two counts of four are added at once: 0 and 2, 1 and 3.
    let fours = channels.is_multiple_of(4);
    let sums = rest
        .get_mut(..(seen * 2).next_multiple_of(4))
        .unwrap_or(&mut []);
    let sums: &mut [u32] = bytemuck::try_cast_slice_mut(sums).unwrap_or_default();
    sums.fill(0);
    window.runs(|from, to, len| {
        let counts = counts.get(from..from + len).unwrap_or(&[]);
        if fours {
            let sums = sums.get_mut(to / 2..).unwrap_or(&mut []);
            let (pairs, _) = sums.as_chunks_mut::<2>();
            for (pair, four) in pairs.iter_mut().zip(counts.as_chunks::<4>().0) {
                let four = u32::from_le_bytes(*four);
                let [even, odd] = pair;
                *even = even.wrapping_add(four & 0x00ff_00ff);
                *odd = odd.wrapping_add((four >> 8) & 0x00ff_00ff);
            }
        } else {
            let sums: &mut [u16] = bytemuck::cast_slice_mut(sums);
            let sums = sums.get_mut(to..to + len).unwrap_or(&mut []);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum = sum.wrapping_add((*count).into());
            }
        }
    });
    let sum_of = |place: usize| {
        let (word, half) = match fours {
            true => (place / 4 * 2 + place % 2, place % 4 / 2),
            false => (place / 2, place % 2),
        };
        sums.get(word)
            .map_or(0, |word| (word >> (16 * half)) as i16)
    };
    let Some((area, width, _)) = target(image, c.post) else {
        return;
    };
    let mut post = Values::of(later.range(state(area)), width);
    let weights = image.weights(c);
    let events = (0..seen).map(|place| Event {
        source: place as u16,
        value: sum_of(place),
    });
    let events = events.filter(|event| event.value != 0);
    in_buffers(events, |events| scatter::<K>(c, weights, events, &mut post));
}

/// Sends the counts of an ensemble's neurons over all connections that take them.
#[inline(never)]
pub(super) fn send<K, const E: usize, const C: usize>(
    bytes: &mut [u8],
    neurons: usize,
    outgoing: &Outgoing<'_, E, C>,
    later: &mut Later<'_>,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let image = outgoing.image;
    for c in outgoing.connections {
        if let Some(window) = outgoing.sums(c) {
            send_sums::<K, E, C>(bytes, neurons, outgoing, (c, window), later);
        }
    }
    let counts = bytes.get(..neurons).unwrap_or(&[]);
    for c in outgoing.connections {
        let (Pre::Counts(_), Some((area, width, _))) = (c.pre, target(image, c.post)) else {
            continue;
        };
        let weights = image.weights(c);
        let mut post = Values::of(later.range(state(area)), width);
        match &c.transform {
            Transform::Convolution(conv) if CONVOLUTIONS => match post {
                Values::Narrow(post) => {
                    <K as Kernels<u16>>::drive_convolution(conv, weights, counts, 0, 0, post);
                }
                Values::Wide(post) if WIDE => {
                    <K as Kernels<u32>>::drive_convolution(conv, weights, counts, 0, 0, post);
                }
                Values::Wide(_) => {}
            },
            Transform::Dense(dense) if INPUT_MATRICES => {
                let (first, outputs) = (dense.first as usize, dense.outputs as usize);
                match post.part(first..first.saturating_add(outputs)) {
                    Values::Narrow(post) => {
                        <K as Kernels<u16>>::drive_dense(weights, outputs, counts, 0, post);
                    }
                    Values::Wide(post) => {
                        <K as Kernels<u32>>::drive_dense(weights, outputs, counts, 0, post);
                    }
                }
            }
            _ => {}
        }
    }
}
