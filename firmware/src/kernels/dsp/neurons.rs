//! Updates of neurons.

use core::ops::Range;

use tinyspike_shared::Event;

use super::super::{EVENTS, Events, Population, Potential};

unsafe extern "C" {
    fn tinyspike_fire_16(fire: *mut Fire);
    fn tinyspike_fire_16_last(fire: *mut Fire);
    fn tinyspike_fire_32(fire: *mut Fire);
    fn tinyspike_fire_32_last(fire: *mut Fire);
    fn tinyspike_settle_16(settle: *const Settle);
    fn tinyspike_settle_16_driven(settle: *const Settle);
    fn tinyspike_settle_32(settle: *const Settle);
    fn tinyspike_settle_32_driven(settle: *const Settle);
    fn tinyspike_copy(to: *mut u32, from: *const u32, groups: u32);
}

/// Words of potentials that are looked at together.
const GROUP: usize = 4;
/// Words that are copied together.
const COPIED: usize = 8;

/// Neurons that may fire. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Fire {
    /// The potentials of the next group.
    next: *mut u32,
    /// The end of all.
    end: *mut u32,
    /// The most spikes in a step.
    max_count: u32,
    /// Where the next event goes.
    events: *mut Event,
    /// The last place for events behind which there is room for a group.
    events_last: *mut Event,
    /// The potentials of the second group.
    second: *mut u32,
    /// How many thresholds there are.
    channels: u32,
    /// The thresholds.
    thresholds: *const u8,
}

/// What neurons receive in a step. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Settle {
    potentials: *mut u32,
    end: *mut u32,
    /// Where in the bias the first potential's lies.
    bias: *const u32,
    bias_start: *const u32,
    bias_end: *const u32,
    currents: *const u32,
}

/// A potential whose updates are in assembly.
pub(super) trait Neuron: Potential {
    /// # Safety
    /// Potentials and channels are whole groups, thresholds are positive, and one group's events have room
    /// behind `events_last`.
    unsafe fn fire(fire: &mut Fire, last: bool);

    /// # Safety
    /// Potentials are whole groups, at least one; so are biases; there are as many currents as
    /// potentials where `driven`.
    unsafe fn settle(settle: &Settle, driven: bool);
}

impl Neuron for u16 {
    unsafe fn fire(fire: &mut Fire, last: bool) {
        let fires = if last {
            tinyspike_fire_16_last
        } else {
            tinyspike_fire_16
        };
        // SAFETY: the caller's.
        unsafe { fires(fire) };
    }

    unsafe fn settle(settle: &Settle, driven: bool) {
        let settles = if driven {
            tinyspike_settle_16_driven
        } else {
            tinyspike_settle_16
        };
        // SAFETY: the caller's.
        unsafe { settles(settle) };
    }
}

impl Neuron for u32 {
    unsafe fn fire(fire: &mut Fire, last: bool) {
        let fires = if last {
            tinyspike_fire_32_last
        } else {
            tinyspike_fire_32
        };
        // SAFETY: the caller's.
        unsafe { fires(fire) };
    }

    unsafe fn settle(settle: &Settle, driven: bool) {
        let settles = if driven {
            tinyspike_settle_32_driven
        } else {
            tinyspike_settle_32
        };
        // SAFETY: the caller's.
        unsafe { settles(settle) };
    }
}

/// Fires neurons from `from` on; `None` where their number or channels are no whole groups.
#[inline(never)]
pub(super) fn fire<P: Neuron>(
    population: &mut Population<'_, P>,
    from: usize,
    events: &mut Events,
) -> Option<usize> {
    let group = GROUP * 4 / size_of::<P>();
    let channels = population.threshold.len();
    let neurons = population.potentials.len();
    let len = events.len();
    if channels == 0
        || !channels.is_multiple_of(group)
        || !neurons.is_multiple_of(group)
        || !from.is_multiple_of(group)
        || from >= neurons
        || len > EVENTS - group
    {
        return None;
    }
    let potentials: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let start = potentials.as_mut_ptr();
    let events_start = events.as_mut_ptr();
    let per_word = 4 / size_of::<P>();
    let mut state = Fire {
        next: start.wrapping_add(from / per_word),
        end: start.wrapping_add(potentials.len()),
        max_count: population.max_count.into(),
        events: events_start.wrapping_add(len),
        events_last: events_start.wrapping_add(EVENTS - group),
        second: start.wrapping_add(GROUP),
        channels: channels as u32,
        thresholds: population.threshold.as_ptr().cast(),
    };
    // SAFETY: neurons and channels are whole groups, parsing has made sure that thresholds are positive,
    // and events stop while there is room for a group.
    unsafe { P::fire(&mut state, !population.more) };
    // SAFETY: both lie in the buffer.
    let written = unsafe { state.events.offset_from(events_start) };
    // SAFETY: so many events have been written.
    unsafe { events.set_len(written as usize) };
    // SAFETY: both lie in the potentials, or behind their end.
    let done = unsafe { state.next.offset_from(start) };
    Some(done as usize * per_word)
}

/// Values as words; `None` where they are not aligned or no whole number of words.
fn in_words<T: bytemuck::NoUninit>(values: &[T]) -> Option<&[u32]> {
    if values.is_empty() {
        // No values need not be aligned.
        return Some(&[]);
    }
    bytemuck::try_cast_slice(values).ok()
}

/// Adds bias and current to neurons; `None` where they are no whole groups.
#[inline(never)]
pub(super) fn settle<P: Neuron>(population: &mut Population<'_, P>) -> Option<()> {
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let bias = in_words(population.bias)?;
    let currents = in_words(population.currents)?;
    // Currents alone are added as a bias that does not repeat.
    let (bias, currents) = match (bias, currents) {
        ([], currents) => (currents.get(..words.len())?, &[][..]),
        both => both,
    };
    let driven = !currents.is_empty();
    let whole = !words.is_empty()
        && words.len().is_multiple_of(GROUP)
        && !bias.is_empty()
        && bias.len().is_multiple_of(GROUP)
        && (!driven || currents.len() >= words.len());
    if !whole {
        return None;
    }
    let potentials = words.as_mut_ptr_range();
    let bias = bias.as_ptr_range();
    let settle = Settle {
        potentials: potentials.start,
        end: potentials.end,
        bias: bias.start,
        bias_start: bias.start,
        bias_end: bias.end,
        currents: currents.as_ptr(),
    };
    // SAFETY: that all are whole groups, and that there are enough currents, has just been checked.
    unsafe { P::settle(&settle, driven) };
    Some(())
}

/// Repeats the potentials of the first place over all; `None` where a place is no whole number of words.
pub(super) fn repeat<P: Potential>(potentials: &mut [P], channels: usize) -> Option<()> {
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(potentials).ok()?;
    let per_word = 4 / size_of::<P>();
    let period = channels / per_word;
    if period == 0 || !channels.is_multiple_of(per_word) {
        return None;
    }
    // What is copied at once is a whole number of places behind what it is copied from.
    let distance = period * COPIED.div_ceil(period);
    let groups = words.len().saturating_sub(distance) / COPIED;
    let tail = distance + groups * COPIED;
    copy(words, period..distance, period);
    if groups > 0 {
        let start = words.as_mut_ptr();
        // SAFETY: so many groups lie in the words from `distance` on, and as many from their start; the
        // latter are ahead by a group or more, and have been written.
        unsafe { tinyspike_copy(start.wrapping_add(distance), start, groups as u32) };
    }
    let len = words.len();
    copy(words, tail..len, period);
    Some(())
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
