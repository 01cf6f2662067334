//! Updates of neurons.

use tinyspike_shared::Event;

use super::super::words::{copy_from_before, in_words};
use super::super::{EVENTS, Events, Population, Potential};
use super::family::GROUP;

unsafe extern "C" {
    fn tinyspike_fire_16(fire: *mut Fire);
    fn tinyspike_fire_16_last(fire: *mut Fire);
    fn tinyspike_fire_32(fire: *mut Fire);
    fn tinyspike_fire_32_last(fire: *mut Fire);
    #[cfg(feature = "dense")]
    fn tinyspike_count_16(counting: *const Counting);
    #[cfg(feature = "dense")]
    fn tinyspike_count_32(counting: *const Counting);
    fn tinyspike_settle_16(settle: *const Settle);
    fn tinyspike_settle_16_driven(settle: *const Settle);
    fn tinyspike_settle_32(settle: *const Settle);
    fn tinyspike_settle_32_driven(settle: *const Settle);
    fn tinyspike_copy(to: *mut u32, from: *const u32, groups: u32);
}

/// `true` if another step can follow.
const STEPS: bool = cfg!(feature = "steps");
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
    /// Place of the next event.
    events: *mut Event,
    /// The last place for events behind which there is room for a group.
    events_last: *mut Event,
    /// The potentials of the second group.
    second: *mut u32,
    /// Number of thresholds.
    channels: u32,
    /// The thresholds.
    thresholds: *const u8,
}

/// Neurons that fire for the last time. The assembly knows the order.
#[cfg(feature = "dense")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Counting {
    potentials: *mut u32,
    end: *mut u32,
    thresholds: *const u8,
    thresholds_end: *const u8,
    /// The most spikes in a step.
    max_count: u32,
}

/// Bias and current that neurons receive in a step. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Settle {
    potentials: *mut u32,
    end: *mut u32,
    /// Word of the bias that belongs to the first potential.
    bias: *const u32,
    bias_start: *const u32,
    bias_end: *const u32,
    currents: *const u32,
}

/// Fires neurons from `from` on; `None` if their number or channels are no whole groups.
pub(super) fn fire<P: Potential>(
    population: &mut Population<'_, P>,
    from: usize,
    events: &mut Events,
) -> Option<usize> {
    let per_word = 4 / size_of::<P>();
    let potentials: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let start = potentials.as_mut_ptr();
    let fire = Fire {
        next: start.wrapping_add(from / per_word),
        end: start.wrapping_add(potentials.len()),
        max_count: population.max_count.into(),
        events: events.as_mut_ptr(),
        events_last: events.as_mut_ptr(),
        second: start.wrapping_add(GROUP),
        channels: population.threshold.len() as u32,
        thresholds: population.threshold.as_ptr().cast(),
    };
    let fires = match (size_of::<P>(), STEPS && population.more) {
        (2, true) => tinyspike_fire_16,
        (2, false) => tinyspike_fire_16_last,
        (_, true) => tinyspike_fire_32,
        (_, false) => tinyspike_fire_32_last,
    };
    let group = per_word * GROUP;
    if !from.is_multiple_of(group) {
        return None;
    }
    let done = run(fire, fires, group, events)?;
    Some(from + done * per_word)
}

/// Puts the count of each neuron where the potentials were; `None` if neurons or channels are no whole groups.
#[cfg(feature = "dense")]
pub(super) fn fire_counts<P: Potential>(population: &mut Population<'_, P>) -> Option<()> {
    let potentials: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let thresholds: &[u8] = bytemuck::cast_slice(population.threshold);
    let group = GROUP * 4;
    let whole = !thresholds.is_empty()
        && thresholds.len().is_multiple_of(group)
        && !potentials.is_empty()
        && potentials.len().is_multiple_of(GROUP);
    if !whole {
        return None;
    }
    let counts = match size_of::<P>() {
        2 => tinyspike_count_16,
        _ => tinyspike_count_32,
    };
    let (potentials, thresholds) = (potentials.as_mut_ptr_range(), thresholds.as_ptr_range());
    let counting = Counting {
        potentials: potentials.start,
        end: potentials.end,
        thresholds: thresholds.start,
        thresholds_end: thresholds.end,
        max_count: population.max_count.into(),
    };
    // SAFETY: both are whole groups, parsing has made sure that thresholds are positive, and a group's counts lie where
    // potentials were that have been read.
    unsafe { counts(&raw const counting) };
    Some(())
}

/// Runs a kernel in groups of so many neurons, the next of which is the first of one, and returns by how many
/// words it has come on; `None` if neurons or channels are no whole groups, or there is no room for a group's
/// events. The place of the events is set here.
#[inline(never)]
fn run(
    mut fire: Fire,
    fires: unsafe extern "C" fn(*mut Fire),
    group: usize,
    events: &mut Events,
) -> Option<usize> {
    let channels = fire.channels as usize;
    let start = fire.next;
    let left = (fire.end as usize).checked_sub(start as usize)? / 4;
    let len = events.len();
    if channels == 0
        || !channels.is_multiple_of(group)
        || left == 0
        || !left.is_multiple_of(GROUP)
        || len > EVENTS - group
    {
        return None;
    }
    fire.events = fire.events.wrapping_add(len);
    fire.events_last = fire.events_last.wrapping_add(EVENTS - group);
    // SAFETY: neurons and channels are whole groups, parsing has made sure that thresholds are positive,
    // and events stop while there is room for a group.
    unsafe { fires(&raw mut fire) };
    // SAFETY: both lie in the buffer.
    let written = unsafe { fire.events.offset_from(events.as_ptr()) };
    // SAFETY: so many events have been written.
    unsafe { events.set_len(written as usize) };
    // SAFETY: both lie in the potentials, or behind their end.
    let done = unsafe { fire.next.offset_from(start) };
    Some(done as usize)
}

/// Adds bias and current to neurons; `None` if they are no whole groups.
pub(super) fn settle<P: Potential>(population: &mut Population<'_, P>) -> Option<()> {
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(population.potentials).ok()?;
    let bias = in_words(bytemuck::cast_slice(population.bias))?;
    let currents = in_words(bytemuck::cast_slice(population.currents))?;
    let settles = match size_of::<P>() {
        2 => [tinyspike_settle_16, tinyspike_settle_16_driven],
        _ => [tinyspike_settle_32, tinyspike_settle_32_driven],
    };
    settle_words(words, bias, currents, settles)
}

/// Settles words of neurons by a kernel for neurons without currents, or one for such with currents.
#[inline(never)]
fn settle_words(
    words: &mut [u32],
    bias: &[u32],
    currents: &[u32],
    [still, driven]: [unsafe extern "C" fn(*const Settle); 2],
) -> Option<()> {
    // Currents alone are added as a bias that does not repeat.
    let (bias, currents) = match (bias, currents) {
        ([], currents) => (currents.get(..words.len())?, &[][..]),
        both => both,
    };
    let settles = if currents.is_empty() { still } else { driven };
    let whole = !words.is_empty()
        && words.len().is_multiple_of(GROUP)
        && !bias.is_empty()
        && bias.len().is_multiple_of(GROUP)
        && (currents.is_empty() || currents.len() >= words.len());
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
    unsafe { settles(&raw const settle) };
    Some(())
}

/// Repeats the potentials of the first place over all; `None` if a place is no whole number of words.
pub(super) fn repeat<P: Potential>(potentials: &mut [P], channels: usize) -> Option<()> {
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(potentials).ok()?;
    let per_word = 4 / size_of::<P>();
    let period = channels / per_word;
    if period == 0 || !channels.is_multiple_of(per_word) {
        return None;
    }
    repeat_words(words, period);
    Some(())
}

/// Repeats the first words, so many, over all.
#[inline(never)]
fn repeat_words(words: &mut [u32], period: usize) {
    // What is copied at once is a whole number of places behind what it is copied from.
    let distance = period * COPIED.div_ceil(period);
    let groups = words.len().saturating_sub(distance) / COPIED;
    let tail = distance + groups * COPIED;
    copy_from_before(words, period..distance, period);
    if groups > 0 {
        let start = words.as_mut_ptr();
        // SAFETY: so many groups lie in the words from `distance` on, and as many from their start; the
        // latter are ahead by a group or more, and have been written.
        unsafe { tinyspike_copy(start.wrapping_add(distance), start, groups as u32) };
    }
    let len = words.len();
    copy_from_before(words, tail..len, period);
}
