//! Currents from an input.

use core::mem::MaybeUninit;

use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::{Layout, Weights};

use super::super::{Potential, Values};
use super::family::{self, COPIED};

unsafe extern "C" {
    fn tinyspike_windows(windows: *mut Windows);
    fn tinyspike_windows_long(windows: *mut Windows);
    fn tinyspike_crossed_terms(crossing: *mut Crossing);
    fn tinyspike_crossed(terms: *mut Term, targets: *mut u32);
}

/// Channels that are summed together.
const BLOCK: usize = family::BLOCK as usize;
/// Bytes of weights for four values and a block of channels.
const FOUR: usize = 4 * BLOCK * 2;

/// Windows of an input that lie in a row, for a block of channels. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Windows {
    /// The next window.
    input: *const u8,
    weights: *const i8,
    /// Rows of a window.
    rows: usize,
    /// Bytes from the end of a row's fours, or from its start if it has one only, to the next.
    line: usize,
    /// Fours of values in a row.
    fours: usize,
    /// The bytes of a row's only four that belong to it.
    mask: u32,
    /// Start of each sum, for rounding.
    half: u32,
    /// Place of the window's sums.
    currents: *mut u32,
    /// Bits by which the sums are shifted right.
    shift: u32,
    /// Bytes from a window to the next.
    step: usize,
    /// Bytes from its target to the next.
    currents_step: usize,
    /// Windows that are left.
    count: usize,
}

impl Windows {
    /// # Safety
    /// All windows lie in the input, up to the end of their last four; so do their targets, aligned to
    /// words, in the currents, and a block's taps in the weights. There is a window.
    unsafe fn run(&mut self) {
        if self.fours == 1 {
            // SAFETY: the caller's.
            unsafe { tinyspike_windows(self) };
        } else {
            // SAFETY: the caller's.
            unsafe { tinyspike_windows_long(self) };
        }
    }
}

/// Brings an input's current to potentials or currents of 16 bits.
#[inline(never)]
pub(super) fn drive(
    conv: &Convolution,
    weights: Weights<'_>,
    input: &[u8],
    shift: u8,
    currents: &mut [u16],
) -> Option<()> {
    let [height, width, channels_in] = conv.input.map(usize::from);
    let [out_height, out_width, channels] = conv.output.map(usize::from);
    let [kernel_y, kernel_x] = conv.kernel.map(usize::from);
    let [stride_y, stride_x] = conv.stride.map(usize::from);
    let line = width * channels_in;
    let run = kernel_x * channels_in;
    let fours = run.div_ceil(4);
    let step = stride_x * channels_in;
    let block = kernel_y * fours * FOUR;
    let fits = family::drives(conv, weights.layout)
        && run > 0
        && kernel_y > 0
        && out_height > 0
        && out_width > 0
        && weights.bytes.len() == channels / BLOCK * block
        && input.len() == height * line
        && currents.len() == out_height * out_width * channels
        && weights.bytes.as_ptr().cast::<u32>().is_aligned();
    if !fits {
        return None;
    }
    let words: &mut [u32] = bytemuck::try_cast_slice_mut(currents).ok()?;
    let next = if fours == 1 { 0 } else { fours * 4 };
    let shift = u32::from(shift.min(31));
    for out_y in 0..out_height {
        let start = out_y * stride_y * line;
        // Windows whose last row's fours end inside the input; the others are copied.
        let last_row = start + (kernel_y - 1) * line;
        let whole = (input.len() + step).saturating_sub(last_row + fours * 4);
        let whole = whole.checked_div(step)?.min(out_width);
        let targets = words.get_mut(out_y * out_width * channels / 2..)?;
        for at in 0..channels / BLOCK {
            let mut windows = Windows {
                input: input.get(start..)?.as_ptr(),
                weights: weights.bytes.get(at * block..)?.as_ptr(),
                rows: kernel_y,
                // Fours may end behind their line: then the way to the next row is one back.
                line: line.wrapping_sub(next),
                fours,
                mask: u32::MAX >> (8 * (fours * 4 - run)),
                half: if shift == 0 { 0 } else { 1 << (shift - 1) },
                currents: targets.get_mut(at * BLOCK / 2..)?.as_mut_ptr(),
                shift,
                step,
                currents_step: channels * 2,
                count: whole,
            };
            if whole > 0 {
                // SAFETY: so many windows lie inside the input, each with its fours, their taps inside
                // the kernel, and their targets inside the currents.
                unsafe { windows.run() };
            }
            for out_x in whole..out_width {
                let mut copy = [0u8; COPIED];
                let rows = copy.chunks_mut((fours * 4).max(1)).take(kernel_y);
                for (row, to) in rows.enumerate() {
                    let from = start + row * line + out_x * step;
                    // A byte at a time: a few bytes are not worth the code that copies many.
                    for (to, at) in to.iter_mut().zip(from..from + run) {
                        *to = *input.get(at)?;
                    }
                }
                windows.input = copy.as_ptr();
                windows.line = fours * 4 - next;
                windows.count = 1;
                // SAFETY: the copy is a whole window, the rest as above.
                unsafe { windows.run() };
            }
        }
    }
    Some(())
}

/// Two rows of weights, one in two, and the values of their sources.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Term {
    /// Rest of the row; each tile moves it forward. Null ends a list.
    row: *const i8,
    /// The first source's value, and above the second's.
    values: u32,
}

/// Values to be made terms of. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Crossing {
    values: *const u8,
    /// A whole number of fours from there.
    end: *const u8,
    /// The row of the next two values.
    row: *const i8,
    /// Bytes of a row.
    stride: usize,
    /// Place of the next term.
    terms: *mut Term,
    /// The last place for terms behind which there is room for two.
    terms_last: *mut Term,
    /// The zero point, four times and twice.
    zero_four: u32,
    zero_two: u32,
}

/// Terms of a list: sums of so many never overflow the 24 bits that the kernel has for them.
const TERMS: usize = 64;
/// Terms that are taken at once.
const UNROLLED: usize = 4;
/// Targets that are summed together.
const TILE: usize = 8;

/// Adds the products of an input with a matrix to sums; `None` if the weights are not laid out for it.
#[inline(never)]
pub(super) fn drive_dense(
    weights: Weights<'_>,
    outputs: usize,
    values: &[u8],
    zero_point: u8,
    mut targets: Values<'_>,
) -> Option<()> {
    let stride = Layout::Crossed.stride(outputs);
    let fits = weights.layout == Layout::Crossed
        && targets.len() >= outputs
        && weights.bytes.len() == values.len().div_ceil(2) * stride
        && weights.bytes.as_ptr().cast::<u32>().is_aligned();
    if !fits {
        return None;
    }
    let mut targets = targets.part(0..outputs);
    let mut list = [const { MaybeUninit::uninit() }; TERMS + 1];
    let zero_two = u32::from(zero_point) * 0x0001_0001;
    let (fours, rest) = values.as_chunks::<4>();
    let mut last = [zero_point; 4];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    let mut row = weights.bytes.as_ptr();
    let first = list.as_mut_ptr().cast::<Term>();
    for part in [fours.as_flattened(), &last[..]] {
        let range = part.as_ptr_range();
        let mut crossing = Crossing {
            values: range.start,
            end: range.end,
            row,
            stride,
            terms: first,
            terms_last: first.wrapping_add(TERMS - 2),
            zero_four: zero_two * 0x0101,
            zero_two,
        };
        while crossing.values < range.end {
            crossing.terms = first;
            // SAFETY: the values are whole fours, and terms stop while there is room for two.
            unsafe { tinyspike_crossed_terms(&raw mut crossing) };
            // SAFETY: both lie in the list.
            let terms = unsafe { crossing.terms.offset_from(first) } as usize;
            if terms > 0 {
                // SAFETY: so many terms have been written, each of two sources whose row is there.
                unsafe { add(&mut list, terms, &mut targets) };
            }
        }
        row = crossing.row;
    }
    Some(())
}

/// Adds so many terms of a list to targets; the terms are used up.
///
/// # Safety
/// There are so many, from 1 to `TERMS`, and each has a whole row, filled up to whole tiles.
unsafe fn add(list: &mut [MaybeUninit<Term>; TERMS + 1], terms: usize, targets: &mut Values<'_>) {
    let first = list.as_mut_ptr().cast::<Term>();
    // SAFETY: there is a first term.
    let row = unsafe { (*first).row };
    let padded = terms.next_multiple_of(UNROLLED);
    // Terms of no value fill the last four up.
    for term in list.iter_mut().take(padded).skip(terms) {
        term.write(Term { row, values: 0 });
    }
    if let Some(end) = list.get_mut(padded) {
        end.write(Term {
            row: core::ptr::null(),
            values: 0,
        });
    }
    let mut done = 0;
    if let Values::Wide(targets) = targets {
        let (tiles, _) = targets.as_chunks_mut::<TILE>();
        done = tiles.len() * TILE;
        for tile in tiles {
            // SAFETY: the list has an end behind whole fours, and each row a whole tile left.
            unsafe { tinyspike_crossed(first, tile.as_mut_ptr()) };
        }
    }
    while done < targets.len() {
        let mut tile = [0; TILE];
        // SAFETY: as above.
        unsafe { tinyspike_crossed(first, tile.as_mut_ptr()) };
        let rest = targets.part(done..targets.len().min(done + TILE));
        match rest {
            Values::Narrow(rest) => add_sums(rest, &tile),
            Values::Wide(rest) => add_sums(rest, &tile),
        }
        done += TILE;
    }
}

/// Adds sums to as many targets as there are.
fn add_sums<P: Potential>(targets: &mut [P], sums: &[u32; TILE]) {
    for (target, sum) in targets.iter_mut().zip(sums) {
        *target = target.plus(*sum as i32);
    }
}
