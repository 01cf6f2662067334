//! Dense layers: convolutions of all bytes of an input, or of all counts of an ensemble.

use tinyspike_shared::image::{Convolution, Width};
use tinyspike_shared::weights::{Layout, Weights};

use super::super::{Potential, Values};
use super::family::{self, WINDOW};

unsafe extern "C" {
    fn tinyspike_tiles(tiles: *mut Tiles);
    fn tinyspike_depthwise(depthwise: *mut Depthwise);
    fn tinyspike_expand(
        to: *mut u32,
        from: *const u8,
        fours: usize,
        zero: u32,
        rows: usize,
        step: usize,
    );
}

/// Filters of a block.
const BLOCK: usize = 4;
/// Windows that are multiplied together.
const PAIR: usize = 2;
/// Channels that are multiplied together in a depthwise convolution.
const LANES: usize = 8;

/// Two windows over blocks of filters. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Tiles {
    /// Values of the windows in pairs of 16 bits, a word of each in turn.
    values: *const u32,
    weights: *const i8,
    /// Words of a window.
    words: usize,
    /// Bytes from the end of a block's weights to the next block's.
    next: usize,
    /// Start of each sum, for rounding.
    half: u32,
    /// Bits by which the sums are shifted right.
    shift: u32,
    targets: [*mut u8; PAIR],
    /// Blocks of filters.
    blocks: usize,
    /// Bytes of a target.
    bytes: usize,
    reserved: u32,
}

/// A depthwise window over blocks of channels. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Depthwise {
    /// The first value that the window sees, and its weight.
    values: *const u8,
    weights: *const i8,
    targets: *mut u8,
    /// Blocks of channels.
    blocks: usize,
    /// Rows and columns of the window that lie inside the source.
    rows: usize,
    columns: usize,
    /// Bytes from the values of a tap to the next tap's; half as many as of weights.
    step: usize,
    /// Bytes from the end of a row of the window to the next.
    values_line: usize,
    weights_line: usize,
    /// Bytes of a target.
    bytes: usize,
    reserved: u32,
}

/// Sources that some windows see.
struct Source<'a> {
    values: &'a [u8],
    zero_point: u8,
    height: usize,
    width: usize,
    channels: usize,
    /// Channels of a group.
    inputs: usize,
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    /// Columns of a window.
    columns: usize,
    /// Values of a row of a window.
    run: usize,
    /// `true` if the columns of a window lie side by side.
    side_by_side: bool,
}

/// A part of the windows that is multiplied at once, and the group that sees it.
#[derive(Clone, Copy)]
struct Part {
    group: usize,
    /// The first row of the kernel, and their number.
    row: usize,
    rows: usize,
    /// The first value of a row, a multiple of four, and their number, filled up to fours.
    at: usize,
    len: usize,
}

/// Adds a convolution of sources to targets; `None` if the geometry and the layout do not allow for it.
#[inline(never)]
pub(super) fn drive<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    values: &[u8],
    zero_point: u8,
    shift: u8,
    post: &mut [P],
) -> Option<()> {
    let targets = P::values(post);
    if family::depthwise(conv, weights.layout) && zero_point == 0 && shift == 0 {
        depthwise(conv, weights, values, targets)
    } else if weights.layout == Layout::Tiles {
        tiled(conv, weights, values, zero_point, shift, targets)
    } else {
        None
    }
}

/// The bytes of targets, and how many each has.
fn bytes_of(targets: Values<'_>) -> (&mut [u8], usize) {
    match targets {
        Values::Narrow(targets) => (bytemuck::cast_slice_mut(targets), Width::I16.bytes()),
        Values::Wide(targets) => (bytemuck::cast_slice_mut(targets), Width::I32.bytes()),
    }
}

fn volume(shape: [u16; 3]) -> usize {
    let [height, width, channels] = shape.map(usize::from);
    height * width * channels
}

#[inline(never)]
fn tiled(
    conv: &Convolution,
    weights: Weights<'_>,
    values: &[u8],
    zero_point: u8,
    shift: u8,
    mut targets: Values<'_>,
) -> Option<()> {
    let [height, width, channels] = conv.output.map(usize::from);
    let rows = usize::from(conv.kernel[0]);
    let filters = usize::from(conv.row());
    let inputs = usize::from(conv.group_inputs());
    let run = usize::from(conv.kernel[1]) * inputs;
    let line = run.next_multiple_of(4);
    let groups = usize::from(conv.groups);
    let block = rows * line * BLOCK * 2;
    let blocks = filters.div_ceil(BLOCK);
    let fits = weights.bytes.len() == groups * blocks * block
        && weights.bytes.as_ptr().cast::<u32>().is_aligned()
        && values.len() >= volume(conv.input)
        && targets.len() >= volume(conv.output)
        && rows > 0
        && run > 0
        && shift < 31
        && (shift == 0 || rows * line <= WINDOW);
    if !fits {
        return None;
    }
    let [height_in, width_in, channels_in] = conv.input.map(usize::from);
    let source = Source {
        values,
        zero_point,
        height: height_in,
        width: width_in,
        channels: channels_in,
        inputs,
        stride: conv.stride.map(usize::from),
        padding: conv.padding.map(usize::from),
        dilation: conv.dilation.map(usize::from),
        columns: conv.kernel[1].into(),
        run,
        side_by_side: conv.dilation[1] == 1 && groups == 1,
    };
    // Whole rows of the kernel together, as many as there is room for, or a part of one.
    let rows_together = (WINDOW.checked_div(line)?).min(rows).max(1);
    let length = line.clamp(1, WINDOW);
    let mut pair = [[0u32; PAIR]; WINDOW / 2];
    let mut copy = [0; WINDOW];
    let places = height * width;
    let mut at = [0, 0];
    for place in (0..places).step_by(PAIR) {
        let first_at = at;
        let second_at = next(at, width);
        at = next(second_at, width);
        for group in 0..groups {
            let first = usize::from(conv.first) + group * filters;
            for row in (0..rows).step_by(rows_together) {
                for at in (0..line).step_by(length) {
                    let part = Part {
                        group,
                        row,
                        rows: rows_together.min(rows - row),
                        at,
                        len: length.min(line - at),
                    };
                    for (side, at) in [first_at, second_at].into_iter().enumerate() {
                        // Behind the last place there is none.
                        let at = if at[0] < height { at } else { first_at };
                        let mut window = Window {
                            rest: pair.as_flattened_mut().get_mut(side..)?,
                            zero: u32::from(zero_point) * 0x0001_0001,
                            copy: &mut copy,
                        };
                        source.gather(part, at, &mut window);
                    }
                    let words = part.rows * part.len / 2;
                    let start = (row * line + at) * BLOCK * 2;
                    let weights = weights.bytes.get(group * blocks * block..)?.get(start..)?;
                    let tiles = Tiles {
                        values: pair.as_ptr().cast(),
                        weights: weights.as_ptr(),
                        words,
                        next: block - words * BLOCK * 4,
                        half: if shift == 0 { 0 } else { 1 << (shift - 1) },
                        shift: shift.into(),
                        targets: [core::ptr::null_mut(); PAIR],
                        blocks,
                        bytes: 0,
                        reserved: 0,
                    };
                    if words == 0 || words > WINDOW / 2 {
                        return None;
                    }
                    // SAFETY: so many words of two windows have been gathered, and there are as many weights for each
                    // of the blocks.
                    unsafe {
                        add(
                            tiles,
                            &mut targets,
                            place * channels + first,
                            channels,
                            filters,
                            place + 1 < places,
                        )?
                    };
                }
            }
        }
    }
    Some(())
}

/// The place behind one, row by row.
const fn next([y, x]: [usize; 2], width: usize) -> [usize; 2] {
    if x + 1 < width {
        [y, x + 1]
    } else {
        [y + 1, 0]
    }
}

/// Adds what two windows bring to the filters of a group, whose targets begin at `at` and, if there is a second place, a
/// place of `channels` behind.
///
/// # Safety
/// There are so many words of values, from one on, and of weights for each block.
unsafe fn add(
    mut tiles: Tiles,
    targets: &mut Values<'_>,
    at: usize,
    channels: usize,
    filters: usize,
    second: bool,
) -> Option<()> {
    let whole = filters / BLOCK;
    let mut done = 0;
    let both = match targets {
        Values::Narrow(targets) => {
            let even = at.is_multiple_of(2) && channels.is_multiple_of(2);
            let range = targets.get_mut(at..at + channels + filters);
            range
                .filter(|_| even)
                .map(|range| (range.as_mut_ptr().cast::<u8>(), 2))
        }
        Values::Wide(targets) => {
            let range = targets.get_mut(at..at + channels + filters);
            range.map(|range| (range.as_mut_ptr().cast(), 4))
        }
    };
    if let Some((start, bytes)) = both
        && second
        && whole > 0
        && start.cast::<u32>().is_aligned()
    {
        tiles.targets = [start, start.wrapping_add(channels * bytes)];
        tiles.bytes = bytes;
        let block = tiles.words * BLOCK * 4 + tiles.next;
        tiles.blocks = whole;
        // SAFETY: the caller's; the targets of both places have just been checked.
        unsafe { tinyspike_tiles(&raw mut tiles) };
        tiles.weights = tiles.weights.wrapping_add(whole * block);
        done = whole * BLOCK;
    }
    while done < filters {
        let mut sums = [[0u32; BLOCK]; PAIR];
        tiles.targets = sums.each_mut().map(|sums| sums.as_mut_ptr().cast());
        tiles.bytes = 4;
        tiles.blocks = 1;
        let mut part = tiles;
        // SAFETY: the caller's; there is room for a block of two windows.
        unsafe { tinyspike_tiles(&raw mut part) };
        tiles.weights = tiles
            .weights
            .wrapping_add(tiles.words * BLOCK * 4 + tiles.next);
        let count = BLOCK.min(filters - done);
        for (side, sums) in sums.iter().enumerate().take(1 + usize::from(second)) {
            for (filter, sum) in sums.iter().enumerate().take(count) {
                targets.add(at + side * channels + done + filter, *sum as i32);
            }
        }
        done += count;
    }
    Some(())
}

impl Source<'_> {
    /// Brings a part of the window of a place to words of one of two sides.
    fn gather(&self, part: Part, [out_y, out_x]: [usize; 2], window: &mut Window<'_>) {
        let &Self {
            height,
            width,
            channels,
            inputs,
            columns,
            side_by_side,
            ..
        } = self;
        let ([stride_y, stride_x], [padding_y, padding_x]) = (self.stride, self.padding);
        let dilation_y = self.dilation[0];
        let left = (out_x * stride_x).wrapping_sub(padding_x);
        let end = (part.at + part.len).min(self.run);
        let whole = left < width && left + columns <= width;
        let top = (out_y * stride_y + part.row * dilation_y).wrapping_sub(padding_y);
        let bottom = top.wrapping_add((part.rows - 1) * dilation_y);
        let is_line = part.at == 0 && end == self.run;
        if side_by_side && whole && top < height && bottom < height && is_line {
            // All of it lies inside.
            let from = (top * width + left) * channels;
            let step = dilation_y * width * channels;
            let values = self.values.get(from..).unwrap_or(&[]);
            if window.put_rows(values, part.len, part.rows, step) {
                return;
            }
        }
        for row in part.row..part.row + part.rows {
            let y = (out_y * stride_y + row * dilation_y).wrapping_sub(padding_y);
            if y >= height {
                window.zeros(part.len / 2);
                continue;
            }
            let line = y * width * channels;
            if side_by_side {
                // Some columns before, some inside, some behind.
                let start = out_x * stride_x;
                let before = padding_x.saturating_sub(start).min(columns);
                let behind = (width + padding_x).saturating_sub(start).min(columns);
                let from = (before * inputs).max(part.at).min(end);
                let to = (behind * inputs).max(from).min(end);
                let at = line.wrapping_add(left.wrapping_mul(channels));
                let inside = self.values.get(at.wrapping_add(from)..).unwrap_or(&[]);
                // Weights of values that fill a row up are zero, whatever these values are.
                let all = from == part.at && to == end;
                if !(all && window.put_rows(inside, part.len, 1, part.len)) {
                    window.put_between(from - part.at, inside, to - from, part.len);
                }
            } else if inputs.is_multiple_of(4) {
                self.columns(part, line, left, |values, count| match values {
                    Some(values) => window.put(values),
                    None => window.zeros(count / 2),
                });
            } else {
                self.put_together(part, line, left, window);
            }
        }
    }

    /// Brings a row of a part of a window, whose columns are no whole number of fours.
    #[inline(never)]
    fn put_together(&self, part: Part, line: usize, left: usize, window: &mut Window<'_>) {
        let values = (part.at + part.len).min(self.run).saturating_sub(part.at);
        let copy = window.copy.get_mut(..values).unwrap_or(&mut []);
        let mut rest = &mut *copy;
        self.columns(part, line, left, |values, count| {
            let (column, behind) = core::mem::take(&mut rest)
                .split_at_mut_checked(count)
                .unwrap_or_default();
            for (at, to) in column.iter_mut().enumerate() {
                let value = values.and_then(|values| values.get(at));
                *to = value.copied().unwrap_or(self.zero_point);
            }
            rest = behind;
        });
        let zero = window.zero as u8;
        for to in window.copy.iter_mut().take(part.len).skip(values) {
            *to = zero;
        }
        window.put_copy(part.len);
    }

    /// Calls `put` with the values of each column in a row of a part of a window, or with none where it lies outside, and
    /// with their number.
    #[inline]
    fn columns(
        &self,
        part: Part,
        line: usize,
        left: usize,
        mut put: impl FnMut(Option<&[u8]>, usize),
    ) {
        let inputs = self.inputs;
        let values = (part.at + part.len).min(self.run).saturating_sub(part.at);
        let first = part.at.checked_div(inputs).unwrap_or(0);
        let mut skipped = part.at - first * inputs;
        let mut place = 0;
        for column in first..self.columns {
            if place >= values {
                break;
            }
            let count = (inputs - skipped).min(values - place);
            let x = left.wrapping_add(column * self.dilation[1]);
            // A column outside wraps around, and is left out below.
            let start = line
                .wrapping_add(x.wrapping_mul(self.channels))
                .wrapping_add(part.group * inputs + skipped);
            let inside = self.values.get(start..start.wrapping_add(count));
            put(inside.filter(|_| x < self.width), count);
            place += count;
            skipped = 0;
        }
    }
}

/// The words of one of two windows, as they are filled.
struct Window<'a> {
    /// Words of both windows in turn, from the next one of this window on.
    rest: &'a mut [u32],
    /// The zero point, in both halves of a word.
    zero: u32,
    /// Room for the values of a row that do not lie side by side.
    copy: &'a mut [u8; WINDOW],
}

impl Window<'_> {
    fn advance(&mut self, words: usize) {
        let rest = core::mem::take(&mut self.rest);
        self.rest = rest.get_mut(words * PAIR..).unwrap_or_default();
    }

    fn zeros(&mut self, words: usize) {
        for pair in self.rest.chunks_mut(PAIR).take(words) {
            if let Some(word) = pair.first_mut() {
                *word = 0;
            }
        }
        self.advance(words);
    }

    /// Adds so many values, a multiple of four: zeros up to `before`, then as many of `inside` as are said, then zeros.
    #[inline(never)]
    fn put_between(&mut self, before: usize, inside: &[u8], count: usize, len: usize) {
        if before.is_multiple_of(4) && count.is_multiple_of(4) {
            self.zeros(before / 2);
            self.put(inside.get(..count).unwrap_or(&[]));
            self.zeros((len - before - count) / 2);
            return;
        }
        let zero = self.zero as u8;
        let mut inside = inside.iter().take(count);
        for (at, to) in self.copy.iter_mut().take(len).enumerate() {
            let value = if at < before { None } else { inside.next() };
            *to = value.copied().unwrap_or(zero);
        }
        self.put_copy(len);
    }

    /// Adds so many values of the copy, a multiple of four.
    fn put_copy(&mut self, len: usize) {
        let values = self.copy.get(..len).unwrap_or(&[]);
        expand(&mut self.rest, self.zero, values, len, 1, len);
    }

    /// Adds values, a multiple of four.
    fn put(&mut self, values: &[u8]) {
        self.put_rows(values, values.len(), 1, values.len());
    }

    /// Adds rows of so many values, a multiple of four, whose starts are so many bytes apart; `false` if there are none such.
    fn put_rows(&mut self, values: &[u8], len: usize, rows: usize, step: usize) -> bool {
        expand(&mut self.rest, self.zero, values, len, rows, step)
    }
}

/// Brings rows of so many values, a multiple of four, whose starts are so many bytes apart, to the first of `to`, every
/// other word, and leaves the words behind them; `false` if there are none such, or no room.
#[inline(never)]
fn expand(
    to: &mut &mut [u32],
    zero: u32,
    values: &[u8],
    len: usize,
    rows: usize,
    step: usize,
) -> bool {
    let fours = len / 4;
    let words = fours * 2 * rows;
    let there = (rows.wrapping_sub(1)).wrapping_mul(step).wrapping_add(len);
    // The last word of this window stands before the other window's.
    let room = words > 0 && words * PAIR <= to.len() + 1;
    let fits = room && there <= values.len() && fours * 4 <= step;
    if fits {
        let (start, from) = (to.as_mut_ptr(), values.as_ptr());
        // SAFETY: there are so many rows of values, and room for two words of each four, every other word.
        unsafe { tinyspike_expand(start, from, fours, zero, rows, step - fours * 4) };
        *to = core::mem::take(to)
            .get_mut(words * PAIR..)
            .unwrap_or_default();
    }
    fits
}

#[inline(never)]
fn depthwise(
    conv: &Convolution,
    weights: Weights<'_>,
    values: &[u8],
    targets: Values<'_>,
) -> Option<()> {
    let [height, width, inputs] = conv.input.map(usize::from);
    let [out_height, out_width, channels] = conv.output.map(usize::from);
    let [kernel_y, kernel_x] = conv.kernel.map(usize::from);
    let [padding_y, padding_x] = conv.padding.map(usize::from);
    let [stride_y, stride_x] = conv.stride.map(usize::from);
    let dilation_y = usize::from(conv.dilation[0]);
    let first = usize::from(conv.first);
    let blocks = inputs / LANES;
    let (post, bytes) = bytes_of(targets);
    let fits = weights.bytes.len() == kernel_y * kernel_x * inputs * 2
        && weights.bytes.as_ptr().cast::<u32>().is_aligned()
        && values.len() >= volume(conv.input)
        && post.len() >= volume(conv.output) * bytes
        && post.as_ptr().cast::<u32>().is_aligned()
        && inputs.is_multiple_of(LANES)
        && (channels * bytes).is_multiple_of(4)
        && (first * bytes).is_multiple_of(4)
        && first + inputs <= channels
        && blocks > 0;
    if !fits {
        return None;
    }
    for out_y in 0..out_height {
        let (skipped_y, y, rows) = seen(out_y * stride_y, padding_y, dilation_y, kernel_y, height);
        for out_x in 0..out_width {
            let (skipped_x, x, columns) = seen(out_x * stride_x, padding_x, 1, kernel_x, width);
            if rows == 0 || columns == 0 {
                continue;
            }
            let from = (y * width + x) * inputs;
            let tap = (skipped_y * kernel_x + skipped_x) * inputs * 2;
            let to = ((out_y * out_width + out_x) * channels + first) * bytes;
            let mut depthwise = Depthwise {
                values: values.get(from..)?.as_ptr(),
                weights: weights.bytes.get(tap..)?.as_ptr(),
                targets: post.get_mut(to..)?.as_mut_ptr(),
                blocks,
                rows,
                columns,
                step: inputs,
                values_line: (dilation_y * width - columns) * inputs,
                weights_line: (kernel_x - columns) * inputs * 2,
                bytes,
                reserved: 0,
            };
            // SAFETY: rows and columns of the window are those inside the source and the kernel, at least one of each;
            // there are so many blocks of channels at each of them, and of targets.
            unsafe { tinyspike_depthwise(&raw mut depthwise) };
        }
    }
    Some(())
}

/// Splits a window that starts `padding` before `start`: the taps before the source, the place of the first one
/// inside, and how many are inside.
fn seen(
    start: usize,
    padding: usize,
    dilation: usize,
    kernel: usize,
    size: usize,
) -> (usize, usize, usize) {
    let outside = padding.saturating_sub(start);
    let skipped = (outside + dilation - 1).checked_div(dilation).unwrap_or(0);
    let first = (start + skipped * dilation).saturating_sub(padding);
    let inside = size.saturating_sub(first).div_ceil(dilation.max(1));
    (skipped, first, inside.min(kernel.saturating_sub(skipped)))
}
