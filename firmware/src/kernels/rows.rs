//! Convolutions of all values of a source over plain rows of weights, in loops that any processor runs well.

use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::{Layout, Weights};

use super::Potential;

/// Adds a convolution of sources to targets; `None` if weights lie otherwise, or sums are to be divided.
#[inline(never)]
pub(super) fn drive<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    values: &[u8],
    zero_point: u8,
    shift: u8,
    targets: &mut [P],
) -> Option<()> {
    let [height, width, inputs] = conv.input.map(usize::from);
    let [_, out_width, channels] = conv.output.map(usize::from);
    let [rows, columns] = conv.kernel.map(usize::from);
    let [padding_y, padding_x] = conv.padding.map(usize::from);
    let [dilation_y, dilation_x] = conv.dilation.map(usize::from);
    let row = usize::from(conv.row());
    let first = usize::from(conv.first);
    let tap = inputs * row;
    let fits = weights.layout == Layout::Rows
        && shift == 0
        && out_width > 0
        && channels > 0
        && row > 0
        && weights.bytes.len() == rows * columns * tap;
    if !fits {
        return None;
    }
    let group = usize::from(conv.group_inputs());
    let zero = i32::from(zero_point);
    for (place, targets) in targets.chunks_exact_mut(channels).enumerate() {
        let out_y = place.checked_div(out_width)?;
        let top = out_y * usize::from(conv.stride[0]);
        let left = (place - out_y * out_width) * usize::from(conv.stride[1]);
        let targets = targets.get_mut(first..)?;
        for kernel_y in 0..rows {
            let y = (top + kernel_y * dilation_y).wrapping_sub(padding_y);
            if y >= height {
                continue;
            }
            for kernel_x in 0..columns {
                let x = (left + kernel_x * dilation_x).wrapping_sub(padding_x);
                if x >= width {
                    continue;
                }
                let from = (y * width + x) * inputs;
                let values = values.get(from..from + inputs)?;
                let at = (kernel_y * columns + kernel_x) * tap;
                let weights = weights.bytes.get(at..at + tap)?;
                if row == 1 && group == 1 {
                    for ((target, &value), &w) in targets.iter_mut().zip(values).zip(weights) {
                        *target = target.plus((i32::from(value) - zero) * i32::from(w));
                    }
                    continue;
                }
                let (mut to, mut seen) = (0, 0);
                for (&value, weights) in values.iter().zip(weights.chunks_exact(row)) {
                    if seen == group {
                        (to, seen) = (to + row, 0);
                    }
                    seen += 1;
                    if value == zero_point {
                        continue;
                    }
                    let value = i32::from(value) - zero;
                    let targets = targets.get_mut(to..).unwrap_or_default();
                    for (target, &w) in targets.iter_mut().zip(weights) {
                        *target = target.plus(value * i32::from(w));
                    }
                }
            }
        }
    }
    Some(())
}
