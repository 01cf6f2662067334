//! Events over a matrix.

use core::mem::MaybeUninit;

use tinyspike_shared::Event;
use tinyspike_shared::image::Width;
use tinyspike_shared::weights::{Layout, Weights};

use super::super::Values;

unsafe extern "C" {
    fn tinyspike_matrix_terms(listing: *mut Listing);
    fn tinyspike_matrix(tiles: *const Tiles);
}

/// `true` if a value that has no fast form here can be added.
const PORTABLE: bool = cfg!(feature = "portable");
/// Targets that are summed at once, in the halves of registers.
const TILE: usize = 16;
/// 255, the largest byte, times this still fits 16 bits.
const BUDGET: u32 = 257;
/// Surplus that `Quads` adds to every weight.
const SURPLUS: u32 = 128;
/// The most terms that are summed together, and events that the assembly makes terms of at once.
const TERMS: usize = 32;
/// Terms of a chain in the assembly.
const CHAIN: usize = 4;

/// A row of weights, and the value of its source. In a list of ones no value is there.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Term {
    /// Rest of the row; each tile moves it forward. Null ends a list.
    row: *const i8,
    value: u32,
}

impl Term {
    const END: Self = Self {
        row: core::ptr::null(),
        value: 0,
    };
}

/// Events to be made terms of. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Listing {
    /// The next event.
    events: *const Event,
    events_end: *const Event,
    /// Rest of the budget for the sum of all values.
    budget: u32,
    /// The first row.
    weights: *const i8,
    /// Bytes of a row.
    stride: usize,
    /// Number of rows.
    count: usize,
    /// Place of the next term of value one, upwards.
    ones: *mut Term,
    /// Place of the next term of another value, downwards.
    others: *mut Term,
}

/// Tiles of targets that terms are added to. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Tiles {
    ones: *mut Term,
    others: *mut Term,
    /// Terms of each list that are no whole chain.
    ones_rest: usize,
    others_rest: usize,
    /// Amount that the weights' surplus has added to each sum, in both halves of a word.
    surplus: u32,
    targets: *mut u32,
    tiles: usize,
    /// Bytes of a target.
    bytes: usize,
    /// Number that wide targets take each sum times.
    factor: u32,
    /// Targets of the last tile, if they are wide.
    last: usize,
}

/// Adds rows of weights to targets: whether it did, for the layout may not allow for it. Values above the budget, and
/// those below zero, take plain Rust.
#[inline(never)]
pub(super) fn dense(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    shift: u8,
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
    // A place for the end of each list.
    let mut list = [const { MaybeUninit::<Term>::uninit() }; TERMS + 2];
    let first = list.as_mut_ptr().cast::<Term>();
    let last = first.wrapping_add(TERMS);
    // SAFETY: the list has one place behind `last`.
    unsafe { last.add(1).write(Term::END) };
    let all = events.as_ptr_range();
    let mut listing = Listing {
        events: all.start,
        events_end: all.end,
        budget: BUDGET,
        weights: weights.bytes.as_ptr(),
        stride,
        count,
        ones: first,
        others: last,
    };
    while listing.events < all.end {
        // SAFETY: there is an event, there are so many rows, and the list has room for as many terms as are made at once.
        unsafe { tinyspike_matrix_terms(&raw mut listing) };
        // SAFETY: all of these lie in the list.
        let (ones, others) = unsafe {
            (
                listing.ones.offset_from(first) as usize,
                last.offset_from(listing.others) as usize,
            )
        };
        if ones + others == 0 {
            // A value that no budget suffices for, or no row.
            // SAFETY: the event is one of the slice's.
            let event = unsafe { *listing.events };
            listing.events = listing.events.wrapping_add(1);
            if PORTABLE {
                add(weights, outputs, event, shift, &mut post);
            }
            continue;
        }
        // SAFETY: the place is left free between the lists.
        unsafe { listing.ones.write(Term::END) };
        let tiles = Tiles {
            ones: first,
            others: listing.others.wrapping_add(1),
            ones_rest: ones % CHAIN,
            others_rest: others % CHAIN,
            surplus: (BUDGET - listing.budget) * SURPLUS * 0x0001_0001,
            targets: core::ptr::null_mut(),
            tiles: 0,
            bytes: 0,
            factor: 1u32.wrapping_shl(shift.into()),
            last: TILE,
        };
        // SAFETY: each list has an end, the values are within the budget, and the rows are those of the targets, filled
        // up to whole tiles.
        unsafe { add_terms(tiles, &mut post) };
        listing.budget = BUDGET;
        listing.ones = first;
        listing.others = last;
    }
    true
}

/// Adds terms to all targets.
///
/// # Safety
/// Each list has an end, and as many terms before it as there are beyond whole chains; all values are together within the
/// budget; and each row has as many weights as there are targets, filled up to whole tiles.
unsafe fn add_terms(mut tiles: Tiles, post: &mut Values<'_>) {
    let (start, bytes) = match post {
        Values::Narrow(targets) => (targets.as_mut_ptr().cast::<u32>(), Width::I16.bytes()),
        Values::Wide(targets) => (targets.as_mut_ptr(), Width::I32.bytes()),
    };
    tiles.bytes = bytes;
    if let Values::Wide(targets) = post {
        let whole = targets.len() / TILE;
        let last = targets.len() - whole * TILE;
        tiles.targets = start;
        tiles.tiles = whole + usize::from(last > 0);
        tiles.last = if last > 0 { last } else { TILE };
        if tiles.tiles > 0 {
            // SAFETY: there are so many targets, the last tile as many as it says; the rest is the caller's.
            unsafe { tinyspike_matrix(&raw const tiles) };
        }
        return;
    }
    let mut done = 0;
    let whole = post.len() / TILE;
    if whole > 0 && start.is_aligned() {
        tiles.targets = start;
        tiles.tiles = whole;
        // SAFETY: there are so many whole tiles of targets, aligned to words; the rest is the caller's.
        unsafe { tinyspike_matrix(&raw const tiles) };
        done = whole * TILE;
    }
    while done < post.len() {
        let mut sums = [0u32; TILE];
        tiles.targets = sums.as_mut_ptr();
        tiles.tiles = 1;
        // SAFETY: there is room for a tile of either width; the rest is the caller's.
        unsafe { tinyspike_matrix(&raw const tiles) };
        if let Values::Narrow(targets) = post {
            add_tile(targets, done, bytemuck::cast_slice(&sums));
        }
        done += TILE;
    }
}

/// Adds sums to as many of the targets from `at` on as there are.
fn add_tile(targets: &mut [u16], at: usize, sums: &[u16]) {
    let targets = targets.get_mut(at..).unwrap_or_default();
    for (target, sum) in targets.iter_mut().zip(sums).take(TILE) {
        *target = target.wrapping_add(*sum);
    }
}

/// Adds one event's row.
fn add(weights: Weights<'_>, outputs: usize, event: Event, shift: u8, targets: &mut Values<'_>) {
    if let Some(row) = weights.dense_row(event.source.into(), outputs) {
        let mut row = row;
        for from in (0..outputs).step_by(TILE) {
            let mut places = from..outputs;
            row.zip(&mut [(); TILE], |(), w| {
                if let Some(at) = places.next() {
                    let value = i32::from(event.value).wrapping_shl(shift.into());
                    targets.add(at, value.wrapping_mul(w));
                }
            });
            row = row.skip(TILE);
        }
    }
}
