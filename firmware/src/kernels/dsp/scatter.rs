//! Events over a convolution.

use core::mem::MaybeUninit;
use core::num::NonZeroU32;

use tinyspike_shared::Event;
use tinyspike_shared::image::{Axis, Convolution, Width};
use tinyspike_shared::weights::Weights;

use super::family;

unsafe extern "C" {
    fn tinyspike_scatter_16(line: *mut Line);
    fn tinyspike_scatter_16_long(line: *mut Line);
    fn tinyspike_scatter_32(line: *mut Line);
}

/// Channels of a block.
const BLOCK: u32 = family::BLOCK as u32;
/// Blocks of a chain.
const CHAIN: u32 = 8;
/// Columns whose targets are looked up.
const COLUMNS: usize = 32;

/// A part of a line of the source: where it leads, and the events from it on. The assembly knows the
/// order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The row of targets that it leads to first.
    targets: *mut u32,
    /// The assembly's own.
    reserved: u32,
    /// The next event, and the end of all.
    events: *const Event,
    events_end: *const Event,
    /// The first source.
    first: u32,
    /// Channels of the source.
    channels: u32,
    /// Bytes from a channel's weights to the next channel's.
    weights_channel: u32,
    /// The weights of the first channel that lead to that row.
    weights: *const i8,
    /// Rows of targets.
    rows: u32,
    /// Number of sources.
    sources: u32,
    /// Targets of each column.
    columns: *const Column,
}

/// Targets of a column of the source. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Column {
    /// Bytes from the row of targets to the first target.
    targets: u16,
    /// Bytes from the weights of the row to the first tap's.
    weights: u16,
    /// Bytes of code for the blocks of a row's first round; 0 if it leads nowhere.
    code: u16,
    /// Rounds of a row behind the first.
    rounds: u16,
    /// Bytes from the end of a row's weights to the next row's.
    weights_row: u16,
    /// Bytes from the end of a row's targets to the next row's.
    targets_row: u16,
}

impl Column {
    const NOWHERE: Self = Self {
        targets: 0,
        weights: 0,
        code: 0,
        rounds: 0,
        weights_row: 0,
        targets_row: 0,
    };
}

/// Bytes of code for a block.
const fn code(width: Width) -> u32 {
    match width {
        Width::I16 => 28,
        Width::I32 => 48,
    }
}

impl Line {
    /// Runs the events of a line on targets of a width, and moves to the next event. `long` is whether any row has
    /// rounds behind the first.
    ///
    /// # Safety
    /// All rows of targets and weights that the line's columns name are there and aligned to words.
    unsafe fn scatter(&mut self, width: Width, long: bool) {
        let scatters = match (width, long) {
            (Width::I16, false) => tinyspike_scatter_16,
            (Width::I16, true) => tinyspike_scatter_16_long,
            (Width::I32, _) => tinyspike_scatter_32,
        };
        // SAFETY: the caller's.
        unsafe { scatters(self) };
    }
}

/// Bytes of the parts of a convolution; a row of each is shorter than 2^16.
#[derive(Clone, Copy)]
struct Bytes {
    /// The targets of a place.
    column: u32,
    /// A row of targets.
    target_line: u32,
    /// The weights of a tap.
    tap: u32,
    /// The weights of a row of the kernel.
    weights_line: u32,
}

/// Fills the whole table of the targets of columns from `from` on, and returns whether any row has rounds
/// behind the first.
fn columns(
    table: &mut [MaybeUninit<Column>],
    axis: Axis,
    from: u32,
    bytes: Bytes,
    code: u32,
) -> bool {
    let mut long = false;
    for (column, place) in table.iter_mut().zip(from..) {
        let x = axis.span(place);
        column.write(match (x.count * (bytes.tap / (BLOCK * 2))).checked_sub(1) {
            None => Column::NOWHERE,
            Some(blocks) => {
                long |= blocks >= CHAIN;
                Column {
                    targets: (x.first * bytes.column) as u16,
                    weights: (x.tap * bytes.tap) as u16,
                    code: ((blocks % CHAIN + 1) * code) as u16,
                    rounds: (blocks / CHAIN) as u16,
                    weights_row: (bytes.weights_line - x.count * bytes.tap) as u16,
                    targets_row: (bytes.target_line - x.count * bytes.column) as u16,
                }
            }
        });
    }
    long
}

/// Scatters events over targets of a width, whose bytes are given: whether it did, for the geometry and the layout may not
/// allow for it.
#[inline(never)]
pub(super) fn scatter(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [u8],
    bits: Width,
) -> bool {
    let [height, width, channels_in] = conv.input.map(u32::from);
    let [out_height, out_width, channels] = conv.output.map(u32::from);
    let [kernel_y, kernel_x] = conv.kernel.map(u32::from);
    let column = channels * bits.bytes() as u32;
    let bytes = Bytes {
        column,
        target_line: out_width * column,
        tap: channels * 2,
        weights_line: kernel_x * channels * 2,
    };
    let weights_channel = kernel_y * bytes.weights_line;
    let fast = family::scatters(conv, weights.layout, bits)
        && weights.bytes.len() == (channels_in * weights_channel) as usize
        && post.len() == (out_height * bytes.target_line) as usize
        && post.as_ptr().cast::<u32>().is_aligned()
        && weights.bytes.as_ptr().cast::<u32>().is_aligned();
    let (Some(place), true) = (NonZeroU32::new(channels_in), fast) else {
        return false;
    };
    let (vertical, horizontal) = (conv.vertical(), conv.horizontal());
    let mut table = [const { MaybeUninit::uninit() }; COLUMNS];
    let seen = width.min(COLUMNS as u32);
    let table = table.get_mut(..seen as usize).unwrap_or(&mut []);
    let mut from = 0;
    let mut long = columns(table, horizontal, from, bytes, code(bits));
    let all = events.as_ptr_range();
    let mut next = all.start;
    while next < all.end {
        // SAFETY: it is an event of the slice, before the end.
        let source = u32::from(unsafe { (*next).source });
        let at = source / place;
        let y = at.checked_div(width).unwrap_or(height);
        if y >= height {
            break;
        }
        let x = at - y * width;
        if x < from || x >= from + seen {
            from = x;
            long = columns(table, horizontal, from, bytes, code(bits));
        }
        let span = vertical.span(y);
        if span.count == 0 {
            // No target sees the line.
            next = next.wrapping_add(1);
            continue;
        }
        let targets = (span.first * bytes.target_line) as usize;
        let taps = (span.tap * bytes.weights_line) as usize;
        let mut line = Line {
            targets: post.as_mut_ptr().wrapping_add(targets).cast(),
            reserved: 0,
            events: next,
            events_end: all.end,
            first: (y * width + from) * channels_in,
            channels: channels_in,
            weights_channel,
            weights: weights.bytes.as_ptr().wrapping_add(taps),
            rows: span.count,
            sources: seen.min(width - from) * channels_in,
            columns: table.as_ptr().cast(),
        };
        // SAFETY: every column that is seen has been filled in; the spans name targets inside `post` and taps
        // inside the kernel, whose sizes are those of the geometry; both are aligned, as are rows of a multiple of 8 channels. The assembly stops
        // before an event that is not of the line's columns.
        unsafe { line.scatter(bits, long) };
        next = line.events;
    }
    true
}
