//! Updates of current-based neurons, as long as none fires.

use tinyspike_shared::image::{Charge, CubaLif, Firing, Neurons, Traits};

/// Current-based neurons that follow one another, each with a threshold and a bias of its own. The assembly knows the
/// order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Quiet {
    next: *mut u32,
    end: *mut u32,
    thresholds: *const i32,
    decays: *const u32,
    bias: *const i32,
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
    }
}

/// Neurons that are updated together.
#[cfg(tinyspike_kernels = "dsp")]
const GROUP: usize = 4;
/// Neurons that are updated together.
#[cfg(not(tinyspike_kernels = "dsp"))]
const GROUP: usize = 2;

/// Updates neurons from `from` on, as long as none fires, and returns the first that is not updated. `bias` is that of
/// each channel.
pub(super) fn quiet(kind: CubaLif, neurons: &mut Neurons<'_>, bias: &[i32], from: usize) -> usize {
    let mut next = from;
    if kind.charge != Charge::Direct
        || kind.keeps()
        || kind.traits.has(Traits::FLOORED)
        || kind.firing == Firing::Never
    {
        return next;
    }
    let channels = neurons.threshold.len().min(bias.len());
    let count = neurons.count.min(neurons.state.len());
    let decays = kind.decays(neurons.constants, channels);
    while next < count && channels > 0 {
        let channel = next.checked_rem(channels).unwrap_or(0);
        let run = count.wrapping_sub(next).min(channels.wrapping_sub(channel));
        let run = run.wrapping_sub(run % GROUP);
        if run == 0 {
            break;
        }
        let (Some(words), Some(thresholds), Some(bias)) = (
            neurons.state.get_mut(next..next.wrapping_add(run)),
            neurons.threshold.get(channel..channel.wrapping_add(run)),
            bias.get(channel..channel.wrapping_add(run)),
        ) else {
            break;
        };
        let decays = match decays {
            [one] => core::slice::from_ref(one),
            each => match each.get(channel..channel.wrapping_add(run)) {
                Some(own) => own,
                None => break,
            },
        };
        let done = rows(kind, words, thresholds, decays, bias);
        next = next.wrapping_add(done);
        if done < run {
            break;
        }
    }
    next
}

/// Updates whole groups of neurons, and returns how many.
fn rows(
    kind: CubaLif,
    words: &mut [u32],
    thresholds: &[i32],
    decays: &[u32],
    bias: &[i32],
) -> usize {
    let range = words.as_mut_ptr_range();
    let mut quiet = Quiet {
        next: range.start,
        end: range.end,
        thresholds: thresholds.as_ptr(),
        decays: decays.as_ptr(),
        bias: bias.as_ptr(),
    };
    let from = kind.firing == Firing::From;
    let all = decays.len() == 1;
    let update = match (kind.leaks(), from) {
        (false, false) => assembly::tinyspike_quiet_above_none,
        (false, true) => assembly::tinyspike_quiet_from_none,
        (true, false) if all => assembly::tinyspike_quiet_above_all,
        (true, true) if all => assembly::tinyspike_quiet_from_all,
        (true, false) => assembly::tinyspike_quiet_above_each,
        (true, true) => assembly::tinyspike_quiet_from_each,
    };
    // SAFETY: words, thresholds and biases are equally many, in whole groups, and decays are one or as many.
    unsafe { update(&raw mut quiet) };
    (quiet.next as usize).wrapping_sub(range.start as usize) / size_of::<u32>()
}
