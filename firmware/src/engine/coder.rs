//! The coder of an input: samples become events, which go over all connections.

use tinyspike_shared::Event;
use tinyspike_shared::image::coder::{change, share};
use tinyspike_shared::image::{Coder, Pre};

use super::Engine;
use crate::kernels::{Events, Kernels};

/// Makes events of the samples of the only input, and sends them on. Later changes are counted from the first samples after a
/// reset, of which nothing is `known`.
#[inline(never)]
pub(super) fn code<K, const E: usize, const C: usize>(
    engine: &mut Engine<'_, K, E, C>,
    inputs: &[&[u8]],
    known: bool,
) where
    K: Kernels<u16> + Kernels<u32>,
{
    let image = engine.image;
    let Some(samples) = inputs.first() else {
        return;
    };
    let start = image.layout().coder as usize;
    let mut events = Events::new();
    let mut next = 0;
    loop {
        let state = engine.arena.get_mut(start..).unwrap_or(&mut []);
        let begun = next;
        match image.description().coder {
            Coder::None => return,
            Coder::Delta { thresholds, most } => {
                let thresholds = image.table(thresholds).get(next..).unwrap_or(&[]);
                let samples = samples.as_chunks().0.get(next..).unwrap_or(&[]);
                let references = state.get_mut(next..).unwrap_or(&mut []);
                let channels = references.iter_mut().zip(samples).zip(thresholds);
                for ((word, sample), &threshold) in channels {
                    let sample = i16::from_le_bytes(*sample);
                    let mut reference = if known { *word as i32 } else { sample.into() };
                    let count = change(&mut reference, sample, threshold, most);
                    *word = reference as u32;
                    let place = next.wrapping_mul(2).wrapping_add(usize::from(count < 0));
                    next = next.wrapping_add(1);
                    if is_full(&mut events, place, count.wrapping_abs()) {
                        break;
                    }
                }
            }
            Coder::Rate { full } => {
                let state: &mut [u8] = bytemuck::cast_slice_mut(state);
                let rests = state.get_mut(next..).unwrap_or(&mut []).iter_mut();
                for (rest, &byte) in rests.zip(samples.get(next..).unwrap_or(&[])) {
                    let count = share(rest, byte, full);
                    let place = next;
                    next = next.wrapping_add(1);
                    if is_full(&mut events, place, count.into()) {
                        break;
                    }
                }
            }
        }
        if next == begun {
            return;
        }
        for c in &image.description().connections {
            let Pre::Input(_) = c.pre else { break };
            engine.feed(c, &events);
        }
        events.clear();
    }
}

/// Adds an event, if it is one: whether the buffer is full then.
fn is_full(events: &mut Events, place: usize, value: i16) -> bool {
    if value == 0 {
        return false;
    }
    // There is room: a buffer that is full is emptied. Inputs have at most 65,536 places.
    let source = place as u16;
    let _ = events.push(Event { source, value });
    events.is_full()
}
