//! Currents from an input over a convolution.

use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::Weights;

use super::family::{self, COLUMNS};

#[cfg(not(tinyspike_swar_assembly))]
use super::super::Potential;

#[cfg(tinyspike_swar_assembly)]
unsafe extern "C" {
    fn tinyspike_swar_windows(windows: *mut Run);
}

/// Channels that are summed together.
const CHANNELS: usize = family::BLOCK as usize;

/// Windows side by side, for a block of channels. The assembly knows the order.
#[cfg(tinyspike_swar_assembly)]
#[repr(C)]
struct Run {
    /// Columns of the next window.
    columns: *const u8,
    /// Windows that are left.
    count: usize,
    /// Values in a row.
    run: usize,
    /// Bytes from a window to the next.
    step: usize,
    /// Bytes from columns to values.
    values: usize,
    targets_end: *mut u16,
    /// Bytes from a window's targets to the next one's.
    targets_step: usize,
    weights: *const i8,
    /// Start of each sum, for rounding.
    half: u32,
    /// Bits by which the sums are shifted right.
    shift: u32,
    zero_point: usize,
    /// Bytes from a value's weights to the next one's.
    value_step: usize,
    /// Bytes from the end of a row to the next one.
    line_step: usize,
    /// Bytes from the end of a row's weights to the next one's.
    weights_step: usize,
    rows: usize,
}

/// Windows side by side, each with as many values.
#[derive(Clone, Copy)]
struct Windows<'a> {
    /// The input from the first row of the windows on.
    input: &'a [u8],
    /// Difference between the windows' columns and the zero point, rows combined: 0 if there is none.
    columns: &'a [u8; COLUMNS],
    /// The weights from those of the first value on.
    weights: &'a [i8],
    zero_point: u8,
    shift: u32,
    /// Bytes of a row of the input.
    line: usize,
    /// Targets of a window, and bytes of a value's weights.
    channels: usize,
    /// Bytes of the weights of a row of the kernel.
    weights_line: usize,
    /// Start of the first window in a row.
    start: usize,
    /// Bytes to the next one.
    step: usize,
    /// Values in a row of a window.
    run: usize,
    rows: usize,
    count: usize,
}

impl Windows<'_> {
    /// Adds the windows' sums to targets.
    ///
    /// # Safety
    /// The windows lie inside the input, their values' taps inside the kernel; there is a window, a row and a value,
    /// and targets for all.
    #[cfg(tinyspike_swar_assembly)]
    unsafe fn add(self, targets: &mut [u16]) {
        let columns = self.columns.as_ptr().wrapping_add(self.start);
        let values = self.input.as_ptr().wrapping_add(self.start);
        for block in 0..self.channels / CHANNELS {
            let end = block * CHANNELS + self.count * self.channels;
            let mut run = Run {
                columns,
                count: self.count,
                run: self.run,
                step: self.step,
                values: values.addr().wrapping_sub(columns.addr()),
                targets_end: targets.as_mut_ptr().wrapping_add(end),
                targets_step: self.channels * 2,
                weights: self.weights.as_ptr().wrapping_add(block * CHANNELS),
                half: 1 << self.shift >> 1,
                shift: self.shift,
                zero_point: self.zero_point.into(),
                value_step: self.channels,
                line_step: self.line - self.run,
                weights_step: self.weights_line - self.run * self.channels,
                rows: self.rows,
            };
            // SAFETY: by the caller's word there is a window, a row and a value, and all that they name is there;
            // weights of whole blocks are aligned to words as the slice is.
            unsafe { tinyspike_swar_windows(&raw mut run) };
        }
    }

    /// Adds the windows' sums to targets.
    ///
    /// # Safety
    /// None is asked for but by the form in assembly.
    #[cfg(not(tinyspike_swar_assembly))]
    unsafe fn add(self, targets: &mut [u16]) {
        let windows = targets.chunks_exact_mut(self.channels);
        for (at, targets) in windows.take(self.count).enumerate() {
            let start = self.start + at * self.step;
            let columns = self.columns.get(start..start + self.run).unwrap_or(&[]);
            if columns.iter().all(|&column| column == 0) {
                continue;
            }
            for (block, targets) in targets.chunks_mut(CHANNELS).enumerate() {
                let mut sums = [0i32; CHANNELS];
                for row in 0..self.rows {
                    let from = start + row * self.line;
                    let values = self.input.get(from..from + self.run).unwrap_or(&[]);
                    let weights = row * self.weights_line + block * CHANNELS;
                    for (at, &value) in values.iter().enumerate() {
                        let value = i32::from(value) - i32::from(self.zero_point);
                        let weights = self.weights.get(weights + at * self.channels..);
                        for (sum, &w) in sums.iter_mut().zip(weights.unwrap_or(&[])) {
                            *sum = sum.wrapping_add(value.wrapping_mul(w.into()));
                        }
                    }
                }
                let half = 1 << self.shift >> 1;
                for (target, sum) in targets.iter_mut().zip(sums) {
                    *target = target.plus(sum.wrapping_add(half) >> self.shift);
                }
            }
        }
    }
}

/// Brings an input's current to potentials or currents of 16 bits; `None` if the geometry and the layout do not
/// allow for it.
#[inline(never)]
pub(super) fn drive(
    conv: &Convolution,
    weights: Weights<'_>,
    input: &[u8],
    zero_point: u8,
    shift: u8,
    currents: &mut [u16],
) -> Option<()> {
    let [height, width, channels_in] = conv.input.map(usize::from);
    let [out_height, out_width, channels] = conv.output.map(usize::from);
    let [kernel_y, kernel_x] = conv.kernel.map(usize::from);
    let [stride_y, stride_x] = conv.stride.map(usize::from);
    let [padding_y, padding_x] = conv.padding.map(usize::from);
    let line = width * channels_in;
    let value_line = kernel_x * channels_in;
    let fits = family::drives(conv, weights.layout)
        && shift < 31
        && weights.bytes.as_ptr().cast::<u32>().is_aligned()
        && weights.bytes.len() == kernel_y * value_line * channels
        && input.len() == height * line
        && currents.len() == out_height * out_width * channels;
    if !fits {
        return None;
    }
    // Windows before this one do not reach beyond the end of a line.
    let whole_end = (width + padding_x).checked_sub(kernel_x);
    let whole_end = whole_end.map_or(Some(0), |last| last.checked_div(stride_x).map(|n| n + 1))?;
    let mut columns = [0; COLUMNS / 4];
    for (out_y, targets) in currents
        .chunks_exact_mut((out_width * channels).max(1))
        .enumerate()
    {
        let (skipped_y, y, rows) = seen(out_y * stride_y, padding_y, kernel_y, height);
        let band = input.get(y * line..)?;
        note(&mut columns, band.get(..rows * line)?, line, zero_point);
        let mut out_x = 0;
        while out_x < out_width {
            let (skipped_x, x, seen_x) = seen(out_x * stride_x, padding_x, kernel_x, width);
            let count = if skipped_x == 0 && seen_x == kernel_x {
                whole_end.min(out_width).saturating_sub(out_x).max(1)
            } else {
                1
            };
            let from = (skipped_y * kernel_x + skipped_x) * channels_in * channels;
            if rows > 0 && seen_x > 0 {
                let windows = Windows {
                    input: band,
                    columns: bytemuck::cast_ref(&columns),
                    weights: weights.bytes.get(from..)?,
                    zero_point,
                    shift: shift.into(),
                    line,
                    channels,
                    weights_line: value_line * channels,
                    start: x * channels_in,
                    step: stride_x * channels_in,
                    run: seen_x * channels_in,
                    rows,
                    count,
                };
                let targets = targets.get_mut(out_x * channels..)?;
                // SAFETY: windows are clipped to the input and the kernel, whose sizes have been checked; they are as
                // many as targets are left for in the row, and there is a row and a value.
                unsafe { windows.add(targets) };
            }
            out_x += count;
        }
    }
    Some(())
}

/// Splits a window that starts `padding` before `start`: the length before the input, the start of the rest,
/// and the length of it inside.
#[inline]
fn seen(start: usize, padding: usize, kernel: usize, size: usize) -> (usize, usize, usize) {
    let skipped = padding.saturating_sub(start).min(kernel);
    let first = (start + skipped).saturating_sub(padding).min(size);
    (skipped, first, (kernel - skipped).min(size - first))
}

/// Notes what the columns of a band of rows differ in from the zero point, rows combined.
fn note(columns: &mut [u32; COLUMNS / 4], band: &[u8], line: usize, zero_point: u8) {
    for column in columns.iter_mut().take(line.div_ceil(4)) {
        *column = 0;
    }
    let words = bytemuck::try_cast_slice::<u8, u32>(band);
    if let (Ok(words), true) = (words, line.is_multiple_of(4)) {
        let zero = u32::from_ne_bytes([zero_point; 4]);
        for row in words.chunks_exact((line / 4).max(1)) {
            for (column, word) in columns.iter_mut().zip(row) {
                *column |= word ^ zero;
            }
        }
        return;
    }
    let columns: &mut [u8; COLUMNS] = bytemuck::cast_mut(columns);
    for row in band.chunks_exact(line.max(1)) {
        for (column, byte) in columns.iter_mut().zip(row) {
            *column |= byte ^ zero_point;
        }
    }
}
