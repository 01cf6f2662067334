//! Events over a matrix.

use tinyspike_shared::Event;
use tinyspike_shared::weights::{Layout, Weights};

use super::super::Values;

unsafe extern "C" {
    fn tinyspike_dense(rows: *mut Rows);
    fn tinyspike_take_16(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32);
    fn tinyspike_take_32(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32);
}

/// `true` if a value that has no fast form here can be added.
const PORTABLE: bool = cfg!(feature = "portable");
/// Targets in a tile of a row.
const TILE: usize = 16;
/// The most targets that are summed at once.
const LANES: usize = 64;
/// 255, the largest byte, times this still fits 16 bits.
const BUDGET: i32 = 257;
/// Surplus that `Quads` adds to every weight.
const SURPLUS: i32 = 128;
/// Targets that take their lanes together.
const TAKEN: usize = 8;

/// Rows of weights to be added to lanes. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Rows {
    lanes: *mut u32,
    /// The next event.
    events: *const Event,
    /// Rest of the budget for the sum of all values.
    budget: i32,
    /// The first row.
    weights: *const i8,
    /// Bytes of a row.
    stride: usize,
    /// Number of events.
    count: usize,
    tiles: usize,
    /// `true` if events are tried in threes.
    threes: u32,
    events_end: *const Event,
}

/// Adds rows of weights to targets: whether it did, for the layout may not allow for it. Values above the budget, and
/// those below zero, take plain Rust.
#[inline(never)]
pub(super) fn dense(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    mut post: Values<'_>,
) -> bool {
    let stride = weights.layout.stride(outputs);
    let Some(count) = weights.bytes.len().checked_div(stride) else {
        return false;
    };
    let fast = weights.layout == Layout::Quads
        && weights.bytes.as_ptr().cast::<u32>().is_aligned()
        && post.len() == outputs;
    if !fast {
        return false;
    }
    let all = events.as_ptr_range();
    // Where the first are so, most will be of count one.
    let threes =
        (events.first_chunk::<3>()).is_some_and(|three| three.iter().all(|e| e.value == 1));
    let mut lanes = [0u32; LANES / 2];
    for at in (0..outputs).step_by(LANES) {
        let mut targets = post.part(at..outputs.min(at + LANES));
        let mut rows = Rows {
            lanes: lanes.as_mut_ptr(),
            events: all.start,
            budget: BUDGET,
            weights: weights.bytes.as_ptr().wrapping_add(at),
            stride,
            count,
            tiles: targets.len().div_ceil(TILE),
            threes: threes.into(),
            events_end: all.end,
        };
        while rows.events < all.end {
            let before = rows.events;
            // SAFETY: there are so many rows, filled up to whole tiles, and the assembly leaves before an event that
            // has none; the lanes have room for as many tiles, and the budget keeps them from overflowing.
            unsafe { tinyspike_dense(&raw mut rows) };
            take(&mut targets, &mut lanes, BUDGET - rows.budget);
            rows.budget = BUDGET;
            if rows.events == before {
                // A value that no budget suffices for, or no row.
                // SAFETY: the event is one of the slice's.
                let event = unsafe { *before };
                rows.events = before.wrapping_add(1);
                if PORTABLE {
                    add(weights, outputs, event, at, &mut targets);
                }
            }
        }
    }
    true
}

/// Adds one event's row, from a target on.
fn add(weights: Weights<'_>, outputs: usize, event: Event, from: usize, targets: &mut Values<'_>) {
    if let Some(row) = weights.dense_row(event.source.into(), outputs) {
        let mut all = [(); LANES];
        let mut places = 0..targets.len();
        row.skip(from).zip(&mut all, |(), w| {
            if let Some(at) = places.next() {
                targets.add(at, i32::from(event.value) * w);
            }
        });
    }
}

/// Adds lanes, in which values of so much in total have been summed up, to targets; they are 0 then.
fn take(targets: &mut Values<'_>, lanes: &mut [u32; LANES / 2], total: i32) {
    let surplus = SURPLUS * total;
    let twice = surplus as u32 * 0x0001_0001;
    let len = targets.len();
    let mut whole = len / TAKEN * TAKEN;
    let (start, words) = match targets {
        Values::Narrow(targets) => (targets.as_mut_ptr().cast::<u32>(), whole / 2),
        Values::Wide(targets) => (targets.as_mut_ptr(), whole),
    };
    if whole > 0 && start.is_aligned() {
        let end = start.wrapping_add(words);
        let takes = match targets {
            Values::Narrow(_) => tinyspike_take_16,
            Values::Wide(_) => tinyspike_take_32,
        };
        // SAFETY: from `start` to `end` there are whole groups of targets, and there are no more of them
        // than lanes.
        unsafe { takes(start, end, lanes.as_mut_ptr(), twice) };
    } else {
        whole = 0;
    }
    for at in whole..len {
        if let Some(word) = lanes.get(at / 2) {
            let sum = (*word >> (at % 2 * 16)) & 0xffff;
            targets.add(at, sum as i32 - surplus);
        }
    }
    // The weights that fill rows up have been summed as well.
    if let Some(words) = lanes.get_mut(whole / 2..) {
        words.fill(0);
    }
}
