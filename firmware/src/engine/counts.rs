//! Dense layers: targets that are computed from all counts of an ensemble at once, as from the bytes of an input.
//!
//! In a single step potentials are dead once they have fired. So the counts, a byte each, go where the potentials of
//! these and earlier neurons were.

use core::ops::Range;

use tinyspike_shared::Event;
use tinyspike_shared::image::{Connection, Pre, Transform};

use super::{CONVOLUTIONS, Later, Outgoing, WIDE, state, target};
use crate::kernels::{Kernels, Values};

/// Tells whether a connection takes counts.
pub(super) fn wanted(connections: &[Connection]) -> bool {
    connections.iter().any(|c| matches!(c.pre, Pre::Counts(_)))
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

/// Sends the counts of an ensemble's neurons over all connections that take them.
#[inline(never)]
pub(super) fn send<K, const E: usize, const C: usize>(
    bytes: &[u8],
    neurons: usize,
    outgoing: &Outgoing<'_, E, C>,
    later: &mut Later<'_>,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let image = outgoing.image;
    let counts = bytes.get(..neurons).unwrap_or(&[]);
    for c in outgoing.connections {
        let (Pre::Counts(_), Transform::Convolution(conv)) = (c.pre, &c.transform) else {
            continue;
        };
        let Some((area, width, _)) = target(image, c.post) else {
            continue;
        };
        let weights = image.weights(c);
        match Values::of(later.range(state(area)), width) {
            Values::Narrow(post) if CONVOLUTIONS => {
                <K as Kernels<u16>>::drive_convolution(conv, weights, counts, 0, 0, post);
            }
            Values::Wide(post) if CONVOLUTIONS && WIDE => {
                <K as Kernels<u32>>::drive_convolution(conv, weights, counts, 0, 0, post);
            }
            _ => {}
        }
    }
}
