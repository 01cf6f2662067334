//! Updates of current-based neurons, by loops in assembly.

use tinyspike_shared::Event;
use tinyspike_shared::image::{Charge, CubaLif, Firing, Neurons};

use super::{EVENTS, Events};

/// Current-based neurons that follow one another, each with a threshold and a bias of its own. The assembly knows the
/// order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Update {
    /// Words that events reach.
    next: *mut u32,
    end: *mut u32,
    thresholds: *const i32,
    decays: *const u32,
    bias: *const i32,
    /// Potentials and leaks of neurons with a current.
    potentials: *mut u32,
    leaks: *const u32,
    /// Place of the next event, and the end of all places. If there is none, loops stop at a neuron that fires.
    events: *mut Event,
    events_end: *mut Event,
    /// Address that the word of neuron 0 has, or would have.
    origin: usize,
    /// Reset potentials, in lower halves.
    resets: *const u32,
    /// A [`Reset`](tinyspike_shared::image::Reset).
    reset: u32,
    start: *mut u32,
    /// Bits of a neuron's offset that are those of its reset potential's: all, or none if that is shared.
    offsets: usize,
}

/// Loops in assembly, by whether neurons fire at their threshold, and by their decays.
mod assembly {
    use super::Update;

    unsafe extern "C" {
        pub(super) fn tinyspike_update_above_each(update: *mut Update);
        pub(super) fn tinyspike_update_above_all(update: *mut Update);
        pub(super) fn tinyspike_update_above_none(update: *mut Update);
        pub(super) fn tinyspike_update_from_each(update: *mut Update);
        pub(super) fn tinyspike_update_from_all(update: *mut Update);
        pub(super) fn tinyspike_update_from_none(update: *mut Update);
        pub(super) fn tinyspike_update_current_above_each(update: *mut Update);
        pub(super) fn tinyspike_update_current_above_all(update: *mut Update);
        pub(super) fn tinyspike_update_current_above_slow(update: *mut Update);
        pub(super) fn tinyspike_update_current_from_each(update: *mut Update);
        pub(super) fn tinyspike_update_current_from_all(update: *mut Update);
        pub(super) fn tinyspike_update_current_from_slow(update: *mut Update);
    }
}

/// A loop in assembly.
type Loop = unsafe extern "C" fn(*mut Update);

/// Loops of neurons without a current: that decay each by a number of its own, all by the same, or not at all; each as
/// those that fire above their threshold, and from it on.
const DIRECT: [[Loop; 2]; 3] = [
    [
        assembly::tinyspike_update_above_each,
        assembly::tinyspike_update_from_each,
    ],
    [
        assembly::tinyspike_update_above_all,
        assembly::tinyspike_update_from_all,
    ],
    [
        assembly::tinyspike_update_above_none,
        assembly::tinyspike_update_from_none,
    ],
];

/// Loops of neurons with a current: that decay each by a number of its own, all by the same, or all by the same that is less
/// than half, and without a leak.
const CURRENT: [[Loop; 2]; 3] = [
    [
        assembly::tinyspike_update_current_above_each,
        assembly::tinyspike_update_current_from_each,
    ],
    [
        assembly::tinyspike_update_current_above_all,
        assembly::tinyspike_update_current_from_all,
    ],
    [
        assembly::tinyspike_update_current_above_slow,
        assembly::tinyspike_update_current_from_slow,
    ],
];

/// Updates neurons from `from` on, and emits their spikes, until `events` is full or a neuron needs more than sums and
/// decays; returns the first that is not updated. `bias` is that of each channel. What the neurons keep stays.
// Lengths are checked once, since an update of a few neurons takes less than checking each of seven slices.
#[inline(never)]
pub(super) fn update(
    kind: CubaLif,
    neurons: &mut Neurons<'_>,
    bias: &[i32],
    from: usize,
    events: &mut Events,
) -> usize {
    let (count, channels) = (neurons.count, neurons.threshold.len());
    let shared = kind.shared();
    let row = if shared { 1 } else { channels };
    let potentials = kind.potentials(count);
    let fits = channels > 0
        && bias.len() >= channels
        && (neurons.state.len().checked_sub(count)).is_some_and(|rest| rest >= potentials)
        && neurons.constants.len() / kind.rows() >= row;
    if !fits {
        return from;
    }
    if from >= count {
        return from;
    }
    let state = neurons.state.as_mut_ptr();
    let constants = neurons.constants.as_ptr();
    let channel = if from < channels {
        from
    } else {
        from.checked_rem(channels).unwrap_or(0)
    };
    // Constants that are shared are those of one channel.
    let own = constants.wrapping_add(if shared { 0 } else { channel });
    let start = state.wrapping_add(from);
    let places = events.as_mut_ptr();
    let used = events.len();
    let place = places.wrapping_add(used);
    let alone = neurons.max_count != 1 || kind.defers(count);
    let mut all = Update {
        next: start,
        end: start.wrapping_add((count - from).min(channels - channel)),
        thresholds: neurons.threshold.as_ptr().wrapping_add(channel),
        decays: own,
        bias: bias.as_ptr().wrapping_add(channel),
        potentials: start.wrapping_add(potentials),
        leaks: own.wrapping_add(row.wrapping_mul(LEAKS)),
        events: place,
        events_end: if alone {
            place
        } else {
            places.wrapping_add(EVENTS)
        },
        origin: state as usize,
        resets: own.wrapping_add(row),
        reset: kind.reset as u32,
        start,
        offsets: if shared { 0 } else { usize::MAX },
    };
    let update = loop_of(kind, neurons.constants);
    let next = loop {
        // SAFETY: by the lengths above, all have as many words from their pointers on as neurons are updated, but constants
        // that are shared one; potentials and leaks are there for the loops that read them. Places from
        // the first free one to the end of the buffer are free.
        unsafe { update(&raw mut all) };
        let next = (all.next as usize).wrapping_sub(state as usize) / size_of::<u32>();
        if all.next != all.end || next >= count {
            break next;
        }
        // The next neuron is of the first channel.
        all.start = all.next;
        all.end = all.next.wrapping_add((count - next).min(channels));
        all.thresholds = neurons.threshold.as_ptr();
        all.decays = constants;
        all.bias = bias.as_ptr();
        all.potentials = all.next.wrapping_add(potentials);
        all.leaks = constants.wrapping_add(row.wrapping_mul(LEAKS));
        all.resets = constants.wrapping_add(row);
    };
    let emitted = (all.events as usize).wrapping_sub(place as usize) / size_of::<Event>();
    if emitted > 0 {
        // SAFETY: so many events behind those that were there have been written, and there was room for them.
        unsafe { events.set_len(used.wrapping_add(emitted)) };
    }
    next
}

/// The row of leaks among those of constants.
const LEAKS: usize = 4;

/// The loop for a kind of neurons with these constants.
fn loop_of(kind: CubaLif, constants: &[u32]) -> Loop {
    let (loops, by) = match kind.charge {
        Charge::Direct if !kind.leaks() => (&DIRECT, 2),
        Charge::Direct => (&DIRECT, usize::from(kind.shared())),
        _ if !kind.shared() => (&CURRENT, 0),
        _ => {
            let word = |at: usize| constants.get(at).copied().unwrap_or(0);
            let decay = word(0);
            // What decays by less than half is the value less a product of a number that is positive in 16 bits.
            let slow = (decay & 0xffff).min(decay >> 16) > 1 << 15;
            (&CURRENT, if slow && word(LEAKS) == 0 { 2 } else { 1 })
        }
    };
    let [above, from] = *loops.get(by).unwrap_or(&loops[0]);
    if kind.firing == Firing::From {
        from
    } else {
        above
    }
}
