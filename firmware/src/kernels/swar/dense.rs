//! Rows of a matrix: what events and inputs bring over it.

use heapless::Vec;
use tinyspike_shared::Event;
use tinyspike_shared::weights::{Layout, Weights};

use super::super::{Potential, portable};

#[cfg(tinyspike_swar_assembly)]
unsafe extern "C" {
    fn tinyspike_swar_tile(tile: *const Tile, sums: *mut u32, more: u32);
    fn tinyspike_swar_take(sums: *const u32, targets: *mut u32, count: usize, shift: u32);
}

/// Targets that are summed together.
const TILE: usize = 16;
/// Words of their sums.
const WORDS: usize = TILE / 2;
/// Surplus that `Quads` adds to every weight.
const SURPLUS: u32 = 128;

/// Events over a tile of each row. The assembly knows the order.
#[cfg(tinyspike_swar_assembly)]
#[repr(C)]
struct Tile {
    /// Bytes of a row.
    stride: usize,
    /// The tile of the first row.
    weights: *const u32,
    events_end: *const Event,
    events: *const Event,
}

/// A potential that takes sums in lanes.
pub trait Taker: Potential {
    /// Largest sum of a list's values. A lane must tell 128 times as much from its complement.
    const BUDGET: u32;

    /// Adds two sums, s0 + 2^16 s1, each times 2^`shift`, to one or two targets. Those of 16 bits are not shifted.
    fn take_pair(pair: &mut [Self], sums: u32, shift: u8);

    /// Adds the sums of a tile to as many targets as there are.
    fn take(targets: &mut [Self], sums: &[u32; WORDS], shift: u8) {
        for (pair, &sums) in targets.chunks_mut(2).zip(sums) {
            Self::take_pair(pair, sums, shift);
        }
    }

    /// The targets of a tile as sums, if they are such themselves.
    fn sums(_targets: &mut [Self]) -> Option<&mut [u32; WORDS]> {
        None
    }
}

impl Taker for u16 {
    /// Any budget will do, because only the final sums have to fit.
    const BUDGET: u32 = u32::MAX;

    #[inline]
    fn take_pair(pair: &mut [Self], sums: u32, _shift: u8) {
        match pair {
            [low, high] => {
                let both = u32::from(*low) | u32::from(*high) << 16;
                let both = both.wrapping_add(sums);
                *low = both as Self;
                *high = (both >> 16) as Self;
            }
            [low] => *low = low.wrapping_add(sums as Self),
            _ => {}
        }
    }

    #[inline]
    fn sums(targets: &mut [Self]) -> Option<&mut [u32; WORDS]> {
        let words = bytemuck::try_cast_slice_mut(targets).ok()?;
        words.try_into().ok()
    }
}

impl Taker for u32 {
    const BUDGET: u32 = 255;

    #[cfg(tinyspike_swar_assembly)]
    fn take(targets: &mut [Self], sums: &[u32; WORDS], shift: u8) {
        let count = targets.len().min(TILE);
        if count > 0 {
            // SAFETY: there are so many targets, and sums for a whole tile of them.
            unsafe {
                tinyspike_swar_take(sums.as_ptr(), targets.as_mut_ptr(), count, shift.into());
            }
        }
    }

    #[inline]
    fn take_pair(pair: &mut [Self], sums: u32, shift: u8) {
        let low_sum = i32::from(sums as i16);
        let high_sum = (sums as i32).wrapping_sub(low_sum) >> 16;
        let shifted = |sum: i32| sum.wrapping_shl(shift.into());
        match pair {
            [low, high] => {
                *low = low.plus(shifted(low_sum));
                *high = high.plus(shifted(high_sum));
            }
            [low] => *low = low.plus(shifted(low_sum)),
            _ => {}
        }
    }
}

/// Rows of weights, whole tiles each.
struct Rows<'a> {
    weights: &'a [u32],
    /// Bytes of a row.
    stride: usize,
    /// Number of events.
    count: usize,
}

impl<'a> Rows<'a> {
    /// The rows of a matrix; `None` if they are not laid out as `Quads`.
    fn new(weights: Weights<'a>, outputs: usize) -> Option<Self> {
        if weights.layout != Layout::Quads {
            return None;
        }
        let stride = weights.layout.stride(outputs);
        Some(Self {
            weights: bytemuck::try_cast_slice(weights.bytes).ok()?,
            stride,
            count: weights.bytes.len().checked_div(stride)?,
        })
    }

    /// Adds the events' products, and as much more, to the sums of the tile that starts at a word of each row.
    ///
    /// # Safety
    /// There are events, a row for each, and the tile in each row.
    #[cfg(tinyspike_swar_assembly)]
    unsafe fn add_tile(&self, tile: usize, events: &[Event], more: u32, sums: &mut [u32; WORDS]) {
        let range = events.as_ptr_range();
        let tile = Tile {
            stride: self.stride,
            weights: self.weights.as_ptr().wrapping_add(tile),
            events_end: range.end,
            events: range.start,
        };
        // SAFETY: by the caller's word there is an event, a row for each, and the tile.
        unsafe { tinyspike_swar_tile(&raw const tile, sums.as_mut_ptr(), more) };
    }

    /// Adds the events' products, and as much more, to the sums of the tile that starts at a word of each row.
    ///
    /// # Safety
    /// None is asked for but by the form in assembly.
    #[cfg(not(tinyspike_swar_assembly))]
    unsafe fn add_tile(&self, tile: usize, events: &[Event], more: u32, sums: &mut [u32; WORDS]) {
        const MASK: u32 = 0x00ff_00ff;
        for sum in sums.iter_mut() {
            *sum = sum.wrapping_add(more);
        }
        for event in events {
            let row = usize::from(event.source) * self.stride / 4;
            let row = self.weights.get(row + tile..).unwrap_or(&[]);
            let value = i32::from(event.value) as u32;
            let (pairs, _) = sums.as_chunks_mut::<2>();
            for ([even, odd], &word) in pairs.iter_mut().zip(row) {
                *even = even.wrapping_add((word & MASK).wrapping_mul(value));
                *odd = odd.wrapping_add((word >> 8 & MASK).wrapping_mul(value));
            }
        }
    }

    /// Adds events, whose values together are within the budget, times 2^`shift` to targets.
    ///
    /// # Safety
    /// There is a row for each, and rows are as long as the targets are many, filled up to whole tiles.
    unsafe fn add<P: Taker>(&self, events: &[Event], shift: u8, targets: &mut [P]) {
        if events.is_empty() {
            return;
        }
        let total = events.iter().fold(0u32, |sum, event| {
            sum.wrapping_add(i32::from(event.value) as u32)
        });
        let surplus = total.wrapping_mul(SURPLUS * 0x0001_0001);
        for (at, targets) in targets.chunks_mut(TILE).enumerate() {
            let (tile, more) = (at * TILE / 4, surplus.wrapping_neg());
            if let Some(sums) = P::sums(targets) {
                // SAFETY: there are events, by the caller's word a row for each, and in it the tile of these targets.
                unsafe { self.add_tile(tile, events, more, sums) };
            } else {
                let mut sums = [0; WORDS];
                // SAFETY: as above.
                unsafe { self.add_tile(tile, events, more, &mut sums) };
                P::take(targets, &sums, shift);
            }
        }
    }
}

/// Adds rows of weights to targets.
#[inline(never)]
pub(super) fn dense<P: Taker>(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    shift: u8,
    post: &mut [P],
) {
    let rows = Rows::new(weights, outputs);
    let rows = rows.filter(|r| events.iter().all(|e| usize::from(e.source) < r.count));
    let (Some(rows), Some(targets)) = (rows, post.get_mut(..outputs)) else {
        return portable::dense(weights, outputs, events, shift, post);
    };
    let mut rest = events;
    while !rest.is_empty() {
        let mut budget = P::BUDGET;
        let within = rest.iter().take_while(|event| {
            let left = budget.checked_sub(event.value.unsigned_abs().into());
            budget = left.unwrap_or(0);
            left.is_some()
        });
        let count = if P::BUDGET == u32::MAX {
            rest.len()
        } else {
            within.count()
        };
        if count == 0 {
            // A value that no budget suffices for.
            let Some((event, tail)) = rest.split_first() else {
                return;
            };
            let event = core::slice::from_ref(event);
            portable::dense(weights, outputs, event, shift, targets);
            rest = tail;
            continue;
        }
        let Some((now, tail)) = rest.split_at_checked(count) else {
            return;
        };
        // SAFETY: every event's source is below the number of rows, which are those of so many targets.
        unsafe { rows.add(now, shift, targets) };
        rest = tail;
    }
}

/// Adds the products of an input with a matrix to sums.
#[inline(never)]
pub(super) fn drive<P: Taker>(
    weights: Weights<'_>,
    outputs: usize,
    input: &[u8],
    zero_point: u8,
    sums: &mut [P],
) {
    let rows = Rows::new(weights, outputs).filter(|rows| input.len() <= rows.count);
    let (Some(rows), Some(targets)) = (rows, sums.get_mut(..outputs)) else {
        return portable::drive_dense(weights, outputs, input, zero_point, sums);
    };
    let mut events: Vec<Event, TERMS> = Vec::new();
    let mut magnitude = 0u32;
    let mut each = |from: usize, bytes: &[u8]| {
        for (source, &byte) in (from..).zip(bytes) {
            let value = i16::from(byte) - i16::from(zero_point);
            if value == 0 {
                continue;
            }
            let more = u32::from(value.unsigned_abs());
            if events.is_full() || magnitude + more > P::BUDGET {
                // SAFETY: there is a row for every value of the input, and rows are those of so many targets.
                unsafe { rows.add(&events, 0, targets) };
                events.clear();
                magnitude = 0;
            }
            magnitude += more;
            // There is room: a full list has been emptied.
            let _ = events.push(Event {
                source: source as u16,
                value,
            });
        }
    };
    // Most values are the zero point: whole words of them are passed together.
    let quiet = u32::from_ne_bytes([zero_point; 4]);
    let (before, words, behind) = bytemuck::pod_align_to::<u8, u32>(input);
    each(0, before);
    let mut source = before.len();
    for word in words {
        if *word != quiet {
            each(source, &word.to_ne_bytes());
        }
        source += 4;
    }
    each(source, behind);
    // SAFETY: as above.
    unsafe { rows.add(&events, 0, targets) };
}

/// Values of an input that are added together.
const TERMS: usize = 48;
