//! Updates of neurons, a word of potentials at a time.

#[cfg(tinyspike_swar_assembly)]
use core::ops::Range;

use tinyspike_shared::Event;

use super::super::words::{copy_from_before, in_words};
use super::super::{EVENTS, Events, Population, Potential, portable};

#[cfg(tinyspike_swar_assembly)]
unsafe extern "C" {
    fn tinyspike_swar_fire_16(fire: *mut Fire);
    fn tinyspike_swar_fire_32(fire: *mut Fire);
    fn tinyspike_swar_settle_16(from: *mut u32, end: *mut u32, add: *const u32, end: *const u32);
    fn tinyspike_swar_settle_32(from: *mut u32, end: *mut u32, add: *const u32, end: *const u32);
    fn tinyspike_swar_copy(to: *mut u32, from: *const u32, groups: usize);
}

/// Words of potentials that are looked at together for spikes.
const BLOCK: usize = 4;
/// Words that are copied together.
const COPIED: usize = 8;

/// A potential of which one or two fill a word.
pub trait Neuron: Potential {
    /// Potentials of a word.
    const PER_WORD: usize = 4 / size_of::<Self>();
    /// The bits of a word that say who spikes.
    #[cfg(not(tinyspike_swar_assembly))]
    const SIGNS: u32;

    /// The numbers in a word, as what is added to a word of potentials.
    #[cfg(not(tinyspike_swar_assembly))]
    fn addend(word: u32) -> u32;

    /// # Safety
    /// Potentials and channels are whole blocks, thresholds are positive, and one block's events have room
    /// behind `events_last`.
    #[cfg(tinyspike_swar_assembly)]
    unsafe fn fire(fire: &mut Fire);

    /// # Safety
    /// Both are whole blocks, at least one.
    #[cfg(tinyspike_swar_assembly)]
    unsafe fn settle(potentials: Range<*mut u32>, addends: Range<*const u32>);
}

impl Neuron for u16 {
    #[cfg(not(tinyspike_swar_assembly))]
    const SIGNS: u32 = 0x8000_8000;

    #[cfg(not(tinyspike_swar_assembly))]
    fn addend(word: u32) -> u32 {
        // a + 2^16 b for the signed numbers a and b.
        word.wrapping_sub((word & 0x8000) << 1)
    }

    #[cfg(tinyspike_swar_assembly)]
    unsafe fn fire(fire: &mut Fire) {
        // SAFETY: the caller's.
        unsafe { tinyspike_swar_fire_16(fire) };
    }

    #[cfg(tinyspike_swar_assembly)]
    unsafe fn settle(potentials: Range<*mut u32>, addends: Range<*const u32>) {
        // SAFETY: the caller's.
        unsafe {
            tinyspike_swar_settle_16(potentials.start, potentials.end, addends.start, addends.end);
        }
    }
}

impl Neuron for u32 {
    #[cfg(not(tinyspike_swar_assembly))]
    const SIGNS: u32 = 0x8000_0000;

    #[cfg(not(tinyspike_swar_assembly))]
    fn addend(word: u32) -> u32 {
        word
    }

    #[cfg(tinyspike_swar_assembly)]
    unsafe fn fire(fire: &mut Fire) {
        // SAFETY: the caller's.
        unsafe { tinyspike_swar_fire_32(fire) };
    }

    #[cfg(tinyspike_swar_assembly)]
    unsafe fn settle(potentials: Range<*mut u32>, addends: Range<*const u32>) {
        // SAFETY: the caller's.
        unsafe {
            tinyspike_swar_settle_32(potentials.start, potentials.end, addends.start, addends.end);
        }
    }
}

/// Neurons to be looked at for spikes. The assembly knows the order.
#[cfg(tinyspike_swar_assembly)]
#[repr(C)]
pub struct Fire {
    /// The next potentials, and the thresholds of their channels.
    potentials: *mut u32,
    thresholds: *const u32,
    /// Place of the next event.
    events: *mut Event,
    /// A whole number of blocks from the next potentials.
    end: *mut u32,
    thresholds_start: *const u32,
    thresholds_end: *const u32,
    max_count: u32,
    /// The last place for events behind which there is room for a block's.
    events_last: *mut Event,
    /// The potentials of the first neuron.
    start: *mut u32,
}

/// Fires neurons from `from` on; `None` if they and their channels are no whole blocks.
#[inline(never)]
pub(super) fn fire<P: Neuron>(
    population: &mut Population<'_, P>,
    from: usize,
    events: &mut Events,
) -> Option<usize> {
    let group = BLOCK * P::PER_WORD;
    let channels = population.threshold.len();
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let neurons = words.len() * P::PER_WORD;
    let whole = channels > 0
        && channels.is_multiple_of(group)
        && neurons.is_multiple_of(group)
        && from.is_multiple_of(group)
        && from < neurons
        && events.len() <= EVENTS - group;
    if !whole {
        return None;
    }
    // SAFETY: all are whole blocks, `from` inside, and there is room for the events of one.
    Some(unsafe {
        fire_blocks::<P>(
            words,
            population.threshold,
            population.max_count,
            from,
            events,
        )
    })
}

/// Fires neurons from `from` on, as long as there is room for a block's events.
///
/// # Safety
/// Potentials, channels and `from` are whole blocks, the last inside the first, and there is room for the events of
/// a block.
#[cfg(tinyspike_swar_assembly)]
unsafe fn fire_blocks<P: Neuron>(
    words: &mut [u32],
    thresholds: &[P::Param],
    max_count: u8,
    from: usize,
    events: &mut Events,
) -> usize {
    let channel = from.checked_rem(thresholds.len()).unwrap_or(0);
    let range = words.as_mut_ptr_range();
    let channels = thresholds.as_ptr_range();
    let events_start = events.as_mut_ptr();
    let mut fire = Fire {
        potentials: range.start.wrapping_add(from / P::PER_WORD),
        thresholds: channels.start.wrapping_add(channel).cast(),
        events: events_start.wrapping_add(events.len()),
        end: range.end,
        thresholds_start: channels.start.cast(),
        thresholds_end: channels.end.cast(),
        max_count: max_count.into(),
        events_last: events_start.wrapping_add(EVENTS - BLOCK * P::PER_WORD),
        start: range.start,
    };
    // SAFETY: the caller's word, and parsing has made sure that thresholds are positive; events stop while there is
    // room for a block.
    unsafe { P::fire(&mut fire) };
    // SAFETY: both lie in the buffer.
    let written = unsafe { fire.events.offset_from(events_start) };
    // SAFETY: so many events have been written.
    unsafe { events.set_len(written as usize) };
    // SAFETY: both lie in the potentials, or behind their end.
    let done = unsafe { fire.potentials.offset_from(range.start) };
    done as usize * P::PER_WORD
}

/// Fires neurons from `from` on, as long as there is room for a block's events.
///
/// # Safety
/// None is asked for but by the form in assembly.
#[cfg(not(tinyspike_swar_assembly))]
unsafe fn fire_blocks<P: Neuron>(
    words: &mut [u32],
    thresholds: &[P::Param],
    max_count: u8,
    from: usize,
    events: &mut Events,
) -> usize {
    let group = BLOCK * P::PER_WORD;
    let channels = thresholds.len();
    let mut neuron = from;
    let blocks = words.as_chunks_mut::<BLOCK>().0.iter_mut();
    for block in blocks.skip(from / group) {
        let [a, b, c, d] = *block;
        if (a | b | c | d) & P::SIGNS != 0 {
            if events.len() > EVENTS - group {
                return neuron;
            }
            let block = bytemuck::try_cast_slice_mut::<u32, P>(block).unwrap_or_default();
            for (source, v) in (neuron..).zip(block) {
                let above = v.value();
                if above < 0 {
                    continue;
                }
                let channel = source.checked_rem(channels).unwrap_or(0);
                let threshold: i32 = thresholds.get(channel).map_or(1, |&t| t.into());
                let mut rest = above - threshold;
                let mut count = 1;
                while rest >= 0 && count < max_count {
                    rest -= threshold;
                    count += 1;
                }
                *v = v.plus(threshold.wrapping_mul(count.into()).wrapping_neg());
                // There is room for a block.
                let _ = events.push(Event {
                    source: source as u16,
                    value: count.into(),
                });
            }
        }
        neuron += group;
    }
    neuron
}

/// Adds bias and current to neurons; `None` if they are no whole blocks.
#[inline(never)]
pub(super) fn settle<P: Neuron>(population: &mut Population<'_, P>) -> Option<()> {
    let potentials: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let bias = in_words(bytemuck::cast_slice(population.bias))?;
    let currents = in_words(bytemuck::cast_slice(population.currents))?;
    let currents = match currents {
        [] => currents,
        currents => currents.get(..potentials.len())?,
    };
    let whole = [potentials.len(), bias.len(), currents.len()];
    if whole.iter().any(|len| !len.is_multiple_of(BLOCK)) {
        return None;
    }
    // SAFETY: all are whole blocks.
    unsafe {
        add::<P>(potentials, bias);
        add::<P>(potentials, currents);
    }
    Some(())
}

/// Adds numbers, which repeat, to potentials.
///
/// # Safety
/// Both are whole blocks.
unsafe fn add<P: Neuron>(potentials: &mut [u32], addends: &[u32]) {
    if potentials.is_empty() || addends.is_empty() {
        return;
    }
    // SAFETY: by the caller's word both are whole blocks, and there is one of each.
    #[cfg(tinyspike_swar_assembly)]
    unsafe {
        P::settle(potentials.as_mut_ptr_range(), addends.as_ptr_range());
    }
    #[cfg(not(tinyspike_swar_assembly))]
    for (v, &addend) in potentials.iter_mut().zip(addends.iter().cycle()) {
        *v = v.wrapping_add(P::addend(addend));
    }
}

/// Repeats the potentials of the first place over all others.
pub(super) fn repeat<P: Potential>(potentials: &mut [P], channels: usize) {
    let per_word = 4 / size_of::<P>();
    match bytemuck::try_cast_slice_mut::<P, u32>(potentials) {
        Ok(words) if channels.is_multiple_of(per_word) => repeat_words(words, channels / per_word),
        _ => portable::repeat(potentials, channels),
    }
}

/// Repeats the first so many words over all others.
fn repeat_words(words: &mut [u32], period: usize) {
    if period == 0 {
        return;
    }
    // What is copied at once is a whole number of places behind what it is copied from.
    let mut distance = period;
    while distance < COPIED {
        distance += period;
    }
    let groups = words.len().saturating_sub(distance) / COPIED;
    let tail = distance + groups * COPIED;
    copy_from_before(words, period..distance, period);
    #[cfg(tinyspike_swar_assembly)]
    if groups > 0 {
        let start = words.as_mut_ptr();
        // SAFETY: so many groups lie in the words from `distance` on, and as many from their start, each a group
        // or more before its copy.
        unsafe { tinyspike_swar_copy(start.wrapping_add(distance), start, groups) };
    }
    #[cfg(not(tinyspike_swar_assembly))]
    copy_from_before(words, distance..tail, distance);
    copy_from_before(words, tail..words.len(), period);
}
