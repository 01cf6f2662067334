//! Updates of neurons, a word of potentials at a time.

use core::ops::Range;

use tinyspike_shared::Event;

use super::super::{EVENTS, Events, Kernels, Population, Portable, Potential};

#[cfg(tinyspike_baseline)]
unsafe extern "C" {
    fn tinyspike_swar_fire(fire: *mut Fire);
    fn tinyspike_swar_copy(to: *mut u32, from: *const u32, groups: usize);
}

/// Words of potentials that are looked at together for spikes.
const BLOCK: usize = 4;
/// Words that are copied together.
const COPIED: usize = 8;

/// A potential of which one or two fill a word.
pub(super) trait Neuron: Potential {
    /// Potentials of a word.
    const PER_WORD: usize = 4 / size_of::<Self>();
    /// The bits of a word that say who spikes.
    const SIGNS: u32;
}

impl Neuron for u16 {
    const SIGNS: u32 = 0x8000_8000;
}

impl Neuron for u32 {
    const SIGNS: u32 = 0x8000_0000;
}

/// Neurons of 16 bits to be looked at for spikes. The assembly knows the order.
#[cfg(tinyspike_baseline)]
#[repr(C)]
struct Fire {
    /// The next potentials, and the thresholds of their channels.
    potentials: *mut u32,
    thresholds: *const i16,
    /// Where the next event goes.
    events: *mut Event,
    /// A whole number of blocks from the next potentials.
    end: *mut u32,
    thresholds_start: *const i16,
    thresholds_end: *const i16,
    max_count: u32,
    /// The last place for events behind which there is room for a block's.
    events_last: *mut Event,
    /// The potentials of the first neuron.
    start: *mut u32,
}

/// Fires neurons of 16 bits from `from` on; `None` where their channels are no whole blocks.
#[cfg(tinyspike_baseline)]
#[inline(never)]
pub(super) fn fire_narrow(
    population: &mut Population<'_, u16>,
    from: usize,
    events: &mut Events,
) -> Option<usize> {
    const GROUP: usize = 2 * BLOCK;
    let thresholds = population.threshold;
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let neurons = words.len() * 2;
    let len = events.len();
    let channel = from.checked_rem(thresholds.len())?;
    let whole = thresholds.len().is_multiple_of(GROUP)
        && neurons.is_multiple_of(GROUP)
        && from.is_multiple_of(GROUP)
        && from < neurons
        && len <= EVENTS - GROUP;
    if !whole {
        return None;
    }
    let range = words.as_mut_ptr_range();
    let channels = thresholds.as_ptr_range();
    let events_start = events.as_mut_ptr();
    let mut fire = Fire {
        potentials: range.start.wrapping_add(from / 2),
        thresholds: channels.start.wrapping_add(channel),
        events: events_start.wrapping_add(len),
        end: range.end,
        thresholds_start: channels.start,
        thresholds_end: channels.end,
        max_count: population.max_count.into(),
        events_last: events_start.wrapping_add(EVENTS - GROUP),
        start: range.start,
    };
    // SAFETY: neurons and channels are whole blocks, parsing has made sure that thresholds are positive, and events
    // stop while there is room for a block.
    unsafe { tinyspike_swar_fire(&raw mut fire) };
    // SAFETY: both lie in the buffer.
    let written = unsafe { fire.events.offset_from(events_start) };
    // SAFETY: so many events have been written.
    unsafe { events.set_len(written as usize) };
    // SAFETY: both lie in the potentials, or behind their end.
    let done = unsafe { fire.potentials.offset_from(range.start) };
    Some(done as usize * 2)
}

/// Fires neurons from `from` on.
#[inline(never)]
pub(super) fn fire<P: Neuron>(
    population: &mut Population<'_, P>,
    from: usize,
    events: &mut Events,
) -> usize
where
    Portable: Kernels<P>,
{
    let group = BLOCK * P::PER_WORD;
    let thresholds = population.threshold;
    let channels = thresholds.len();
    let (before, words, _) = bytemuck::pod_align_to_mut::<P, u32>(population.potentials);
    let (blocks, _) = words.as_chunks_mut::<BLOCK>();
    let whole = blocks.len() * group;
    if !before.is_empty() || !from.is_multiple_of(group) || from >= whole || channels == 0 {
        return Portable::fire(population, from, events);
    }
    let blocks = blocks.get_mut(from / group..).unwrap_or(&mut []);
    let mut neuron = from;
    // The channel of the first neuron of a block.
    let mut channel = from.checked_rem(channels).unwrap_or(0);
    for block in blocks {
        let [a, b, c, d] = *block;
        if (a | b | c | d) & P::SIGNS != 0 {
            if events.len() > EVENTS - group {
                return if neuron > from {
                    neuron
                } else {
                    Portable::fire(population, from, events)
                };
            }
            let block = bytemuck::try_cast_slice_mut::<u32, P>(block).unwrap_or_default();
            let mut at = channel;
            for (source, v) in (neuron..).zip(block) {
                let above = v.value();
                if above >= 0 {
                    let threshold: i32 = thresholds.get(at).map_or(1, |&t| t.into());
                    let count = spikes(above, threshold, population.max_count.into());
                    *v = v.plus(threshold.wrapping_mul(count).wrapping_neg());
                    // There is room for a block.
                    let _ = events.push(Event {
                        source: source as u16,
                        value: count as i16,
                    });
                }
                at += 1;
                if at == channels {
                    at = 0;
                }
            }
        }
        neuron += group;
        channel += group;
        while channel >= channels {
            channel -= channels;
        }
    }
    if whole < population.potentials.len() && events.len() < EVENTS {
        return Portable::fire(population, whole, events);
    }
    whole
}

/// How often a neuron spikes whose potential is so far above its threshold.
#[inline]
fn spikes(above: i32, threshold: i32, max_count: i32) -> i32 {
    // Most spike a few times; there is no division on these cores.
    if above >> 3 >= threshold {
        let more = above.checked_div(threshold).unwrap_or(0);
        return more.saturating_add(1).min(max_count);
    }
    let mut rest = above - threshold;
    let mut count = 1;
    while rest >= 0 && count < max_count {
        rest -= threshold;
        count += 1;
    }
    count
}

/// Adds bias and current to neurons of 16 bits; `None` where they do not fill words.
#[inline(never)]
pub(super) fn settle(population: &mut Population<'_, u16>) -> Option<()> {
    let potentials: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let bias: &[u32] = in_words(population.bias)?;
    let currents: &[u32] = in_words(population.currents)?;
    for places in potentials.chunks_mut(bias.len().max(1)) {
        for (v, &bias) in places.iter_mut().zip(bias) {
            *v = v.wrapping_add(pair(bias));
        }
    }
    for (v, &current) in potentials.iter_mut().zip(currents) {
        *v = v.wrapping_add(pair(current));
    }
    Some(())
}

/// Values as words; `None` where they do not fill words.
fn in_words<T: bytemuck::NoUninit>(values: &[T]) -> Option<&[u32]> {
    if values.is_empty() {
        // No values need not be aligned.
        return Some(&[]);
    }
    bytemuck::try_cast_slice(values).ok()
}

/// Two signed values that share a word, as the integer a + 2^16 b.
#[inline]
const fn pair(halves: u32) -> u32 {
    halves.wrapping_sub((halves & 0x8000) << 1)
}

/// Repeats the potentials of the first place over all others.
pub(super) fn repeat<P: Potential>(potentials: &mut [P], channels: usize)
where
    Portable: Kernels<P>,
{
    let per_word = 4 / size_of::<P>();
    match bytemuck::try_cast_slice_mut::<P, u32>(potentials) {
        Ok(words) if channels.is_multiple_of(per_word) => repeat_words(words, channels / per_word),
        _ => Portable::repeat(potentials, channels),
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
    copy(words, period..distance, period);
    #[cfg(tinyspike_baseline)]
    if groups > 0 {
        let start = words.as_mut_ptr();
        // SAFETY: so many groups lie in the words from `distance` on, and as many from their start, each a group
        // or more before its copy.
        unsafe { tinyspike_swar_copy(start.wrapping_add(distance), start, groups) };
    }
    #[cfg(not(tinyspike_baseline))]
    copy(words, distance..tail, distance);
    copy(words, tail..words.len(), period);
}

/// Copies words of a range from `distance` before them, as far as they are there.
fn copy(words: &mut [u32], range: Range<usize>, distance: usize) {
    for at in range {
        if let Some(&word) = words.get(at - distance)
            && let Some(to) = words.get_mut(at)
        {
            *to = word;
        }
    }
}
