//! Updates of current-based neurons, as long as none fires.

use tinyspike_shared::image::{Charge, CubaLif, Firing, Neurons};

/// Current-based neurons that follow one another, each with a threshold and a bias of its own. The assembly knows the
/// order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Quiet {
    /// Words that events reach.
    next: *mut u32,
    end: *mut u32,
    thresholds: *const i32,
    decays: *const u32,
    bias: *const i32,
    /// Potentials and leaks of neurons with a current.
    potentials: *mut u32,
    leaks: *const u32,
}

/// Loops in assembly, by whether neurons fire at their threshold, and by their decays.
mod assembly {
    use super::Quiet;

    unsafe extern "C" {
        pub(super) fn tinyspike_quiet_above_each(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_above_all(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_above_none(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_from_each(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_from_all(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_from_none(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_current_above_each(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_current_above_all(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_current_from_each(quiet: *mut Quiet);
        pub(super) fn tinyspike_quiet_current_from_all(quiet: *mut Quiet);
    }
}

/// Updates neurons from `from` on, as long as none fires, and returns the first that is not updated. `bias` is that of
/// each channel. What the neurons keep stays.
pub(super) fn quiet(kind: CubaLif, neurons: &mut Neurons<'_>, bias: &[i32], from: usize) -> usize {
    let mut next = from;
    let channels = neurons.threshold.len().min(bias.len());
    let count = neurons.count.min(neurons.state.len());
    let (targets, rest) = neurons.state.split_at_mut(count);
    let (decays, leaks) = kind.decays(neurons.constants, channels);
    while next < count && channels > 0 {
        let channel = next.checked_rem(channels).unwrap_or(0);
        let run = count.wrapping_sub(next).min(channels.wrapping_sub(channel));
        // Constants that are shared are those of one channel.
        let own = |row: &[u32]| match kind.shared() {
            true => row.get(..1).map(<[u32]>::as_ptr),
            false => row
                .get(channel..channel.wrapping_add(run))
                .map(<[u32]>::as_ptr),
        };
        let potentials = match kind.charge {
            Charge::Direct => Some(core::ptr::null_mut()),
            _ => (rest.get_mut(next..next.wrapping_add(run))).map(<[u32]>::as_mut_ptr),
        };
        let leaks = match kind.charge {
            Charge::Direct => Some(core::ptr::null()),
            _ => own(leaks),
        };
        let (
            Some(words),
            Some(thresholds),
            Some(bias),
            Some(decays),
            Some(potentials),
            Some(leaks),
        ) = (
            targets.get_mut(next..next.wrapping_add(run)),
            neurons.threshold.get(channel..channel.wrapping_add(run)),
            bias.get(channel..channel.wrapping_add(run)),
            own(decays),
            potentials,
            leaks,
        )
        else {
            break;
        };
        let range = words.as_mut_ptr_range();
        let mut quiet = Quiet {
            next: range.start,
            end: range.end,
            thresholds: thresholds.as_ptr(),
            decays,
            bias: bias.as_ptr(),
            potentials,
            leaks,
        };
        let update = loop_of(kind);
        // SAFETY: all have as many words from their pointers on, but those that are shared one; leaks
        // and potentials are there for the loops that read them.
        unsafe { update(&raw mut quiet) };
        let done = (quiet.next as usize).wrapping_sub(range.start as usize) / size_of::<u32>();
        next = next.wrapping_add(done);
        if done < run {
            break;
        }
    }
    next
}

/// The loop for a kind of neurons.
fn loop_of(kind: CubaLif) -> unsafe extern "C" fn(*mut Quiet) {
    let from = kind.firing == Firing::From;
    match (kind.charge, kind.leaks(), kind.shared()) {
        (Charge::Direct, false, _) if from => assembly::tinyspike_quiet_from_none,
        (Charge::Direct, false, _) => assembly::tinyspike_quiet_above_none,
        (Charge::Direct, true, true) if from => assembly::tinyspike_quiet_from_all,
        (Charge::Direct, true, true) => assembly::tinyspike_quiet_above_all,
        (Charge::Direct, true, false) if from => assembly::tinyspike_quiet_from_each,
        (Charge::Direct, true, false) => assembly::tinyspike_quiet_above_each,
        (_, _, true) if from => assembly::tinyspike_quiet_current_from_all,
        (_, _, true) => assembly::tinyspike_quiet_current_above_all,
        (_, _, false) if from => assembly::tinyspike_quiet_current_from_each,
        (_, _, false) => assembly::tinyspike_quiet_current_above_each,
    }
}
