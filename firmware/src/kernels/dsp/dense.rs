//! Events over a matrix.

use tinyspike_shared::Event;
use tinyspike_shared::weights::{Layout, Weights};

use super::super::{Kernels, Portable, Potential};

unsafe extern "C" {
    fn tinyspike_dense(rows: *mut Rows);
    fn tinyspike_take_16(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32);
    fn tinyspike_take_32(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32);
}

/// Targets in a tile of a row.
const TILE: usize = 16;
/// The most targets that are summed at once.
const LANES: usize = 64;
/// 255, the largest byte, times this still fits 16 bits.
const BUDGET: i32 = 257;
/// What `Quads` adds to every weight.
const SURPLUS: i32 = 128;
/// Targets that take their lanes together.
const TAKEN: usize = 8;

/// Rows of weights to be added to lanes. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Rows {
    lanes: *mut u32,
    /// The next event, and the end of all.
    events: *const Event,
    /// What is left of the sum of all values.
    budget: i32,
    events_end: *const Event,
    /// The first row.
    weights: *const i8,
    /// Bytes of a row.
    stride: usize,
    tiles: usize,
    /// Whether events are tried in twos.
    twos: u32,
}

/// A potential that takes sums in lanes.
pub(super) trait Taker: Potential {
    /// Adds lanes less a surplus, which comes twice in a word, to targets.
    ///
    /// # Safety
    /// The targets from the first pointer to the second are aligned to words and whole groups of
    /// `TAKEN`, at least one, and there are as many lanes.
    unsafe fn take(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32);
}

impl Taker for u16 {
    unsafe fn take(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32) {
        // SAFETY: the caller's.
        unsafe { tinyspike_take_16(targets, end, lanes, surplus) };
    }
}

impl Taker for u32 {
    unsafe fn take(targets: *mut u32, end: *mut u32, lanes: *mut u32, surplus: u32) {
        // SAFETY: the caller's.
        unsafe { tinyspike_take_32(targets, end, lanes, surplus) };
    }
}

/// Adds rows of weights to targets.
#[inline(never)]
pub(super) fn dense<P: Taker>(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    post: &mut [P],
) where
    Portable: Kernels<P>,
{
    let stride = weights.layout.stride(outputs);
    let fast = weights.layout == Layout::Quads
        && weights.bytes.as_ptr().cast::<u32>().is_aligned()
        && post.len() >= outputs;
    let (Some(rows), true) = (weights.bytes.len().checked_div(stride), fast) else {
        return <Portable as Kernels<P>>::dense(weights, outputs, events, post);
    };
    let post = post.get_mut(..outputs).unwrap_or(&mut []);
    if events.iter().any(|e| usize::from(e.source) >= rows) {
        return;
    }
    let all = events.as_ptr_range();
    // Where the first are so, most will be of count one.
    let twos = matches!(events, [Event { value: 1, .. }, Event { value: 1, .. }, ..]);
    let mut lanes = [0u32; LANES / 2];
    for (at, targets) in post.chunks_mut(LANES).enumerate() {
        let mut rows = Rows {
            lanes: lanes.as_mut_ptr(),
            events: all.start,
            budget: BUDGET,
            events_end: all.end,
            weights: weights.bytes.as_ptr().wrapping_add(at * LANES),
            stride,
            tiles: targets.len().div_ceil(TILE),
            twos: twos.into(),
        };
        while rows.events < all.end {
            let before = rows.events;
            // SAFETY: every event's row is there and filled up to whole tiles, the lanes have room for
            // as many tiles, and the budget keeps them from overflowing.
            unsafe { tinyspike_dense(&raw mut rows) };
            take(targets, &mut lanes, BUDGET - rows.budget);
            rows.budget = BUDGET;
            if rows.events == before {
                // A value that no budget suffices for.
                // SAFETY: the event is one of the slice's.
                let event = unsafe { *before };
                rows.events = before.wrapping_add(1);
                if let Some(row) = weights.dense_row(event.source.into(), outputs) {
                    let value = i32::from(event.value);
                    row.skip(at * LANES)
                        .zip(targets, |v, w| *v = v.plus(value * w));
                }
            }
        }
    }
}

/// Adds lanes, in which values of so much in total have been summed up, to targets; they are 0 then.
fn take<P: Taker>(targets: &mut [P], lanes: &mut [u32; LANES / 2], total: i32) {
    let surplus = SURPLUS * total;
    let start = targets.as_mut_ptr().cast::<u32>();
    let mut whole = targets.len() / TAKEN * TAKEN;
    if whole > 0 && start.is_aligned() {
        let end = start.wrapping_add(whole * size_of::<P>() / 4);
        let twice = surplus as u32 * 0x0001_0001;
        // SAFETY: from `start` to `end` there are whole groups of targets, and there are no more of them
        // than lanes.
        unsafe { P::take(start, end, lanes.as_mut_ptr(), twice) };
    } else {
        whole = 0;
    }
    let rest = targets.get_mut(whole..).unwrap_or(&mut []);
    let words = lanes.get_mut(whole / 2..).unwrap_or(&mut []);
    for (pair, word) in rest.chunks_mut(2).zip(words.iter_mut()) {
        for (v, sum) in pair.iter_mut().zip([*word & 0xffff, *word >> 16]) {
            *v = v.plus(sum as i32 - surplus);
        }
    }
    // The weights that fill rows up have been summed as well.
    for word in words {
        *word = 0;
    }
}
