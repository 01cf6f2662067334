//! Kernels for a computer, in loops that the compiler turns into vector instructions.
//!
//! What takes the time in the portable kernels there is not to add weights but to find them: each event looks up and decodes
//! the few weights of every tap by themselves. Here the runs of weights that lie side by side in a layout go
//! to the targets that lie side by side, and what an input needs of a convolution's weights is decoded once.
//! What has no such form is left to them.
//!
//! The loops are inlined where they are called, so that each is compiled for the instructions that all processors of a
//! kind have, and for wider ones, which are taken where they are there.

#[cfg(target_arch = "x86_64")]
mod avx2;

use tinyspike_shared::Event;
use tinyspike_shared::fixed::round_shift;
use tinyspike_shared::image::{Convolution, Span};
use tinyspike_shared::weights::{Layout, Weights};

use super::{Kernels, Potential, portable};

/// Vector instructions as the compiler finds them, for the processor of a computer.
#[derive(Clone, Copy, Debug)]
pub struct Lanes;

/// The most taps whose weights are decoded for a tile of channels.
const TAPS: usize = 4096;
/// Channels that `drive_convolution` sums at once.
const TILE: usize = 16;

/// Calls a loop as it was compiled for this processor.
macro_rules! fastest {
    ($work:ident($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if avx2::is_here() {
            // SAFETY: the processor has these instructions.
            return unsafe { avx2::$work($($argument),*) };
        }
        $work($($argument),*)
    }};
}

impl<P: Potential> Kernels<P> for Lanes {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], shift: u8, post: &mut [P]) {
        fastest!(dense(weights, outputs, events, shift, post));
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [P]) {
        fastest!(convolution(conv, weights, events, post));
    }

    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [P],
    ) {
        fastest!(drive_convolution(
            conv, weights, input, zero_point, shift, currents
        ));
    }

    fn drive_dense(
        weights: Weights<'_>,
        outputs: usize,
        input: &[u8],
        zero_point: u8,
        sums: &mut [P],
    ) {
        fastest!(drive_dense(weights, outputs, input, zero_point, sums));
    }
}

/// Adds rows of a matrix.
#[inline(always)]
fn dense<P: Potential>(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    shift: u8,
    post: &mut [P],
) {
    let Some(post) = post.get_mut(..outputs) else {
        return portable::dense(weights, outputs, events, shift, post);
    };
    for event in events {
        let value = event.value.wrapping_shl(shift.into());
        add_row(weights, event.source.into(), value, post);
    }
}

/// Sends events over a convolution.
#[inline(always)]
fn convolution<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [P],
) {
    let [_, width, channels_in] = conv.input.map(u32::from);
    let [_, out_width, channels] = conv.output.map(usize::from);
    let in_runs = match weights.layout {
        Layout::Wide => true,
        Layout::WidePairs => channels.is_multiple_of(2),
        _ => false,
    };
    if !in_runs || !conv.is_plain() {
        return portable::convolution(conv, weights, events, post);
    }
    let [rows, columns] = conv.kernel.map(usize::from);
    let (vertical, horizontal) = (conv.vertical(), conv.horizontal());
    let mut here: Option<(u32, Span, Span)> = None;
    for event in events {
        let source = u32::from(event.source);
        let (Some(place), Some(channel)) = (
            source.checked_div(channels_in),
            source.checked_rem(channels_in),
        ) else {
            return;
        };
        // Events come in the order of their sources: many share a place.
        let (y, x) = match here {
            Some((last, y, x)) if last == place => (y, x),
            _ => {
                let (Some(y), Some(x)) = (place.checked_div(width), place.checked_rem(width))
                else {
                    return;
                };
                (vertical.span(y), horizontal.span(x))
            }
        };
        here = Some((place, y, x));
        let run = x.count as usize * channels;
        for row in 0..y.count as usize {
            let line = channel as usize * rows + y.tap as usize + row;
            let from = (line * columns + x.tap as usize) * channels;
            let line = y.first as usize + row;
            let to = (line * out_width + x.first as usize) * channels;
            if let (Some(run), Some(post)) = (
                weights.bytes.get(from * 2..(from + run) * 2),
                post.get_mut(to..to + run),
            ) {
                add_run(weights.layout, run, event.value, post);
            }
        }
    }
}

/// Adds a convolution of all values of an input.
#[inline(always)]
fn drive_convolution<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    input: &[u8],
    zero_point: u8,
    shift: u8,
    currents: &mut [P],
) {
    let dense = DenseConvolution {
        conv,
        weights,
        input,
        zero_point,
        shift,
    };
    if !dense.lanes(currents) && !dense.depthwise(currents) {
        portable::drive_convolution(conv, weights, input, zero_point, shift, currents);
    }
}

/// Adds a matrix times all values of an input.
#[inline(always)]
fn drive_dense<P: Potential>(
    weights: Weights<'_>,
    outputs: usize,
    input: &[u8],
    zero_point: u8,
    sums: &mut [P],
) {
    let Some(sums) = sums.get_mut(..outputs) else {
        return portable::drive_dense(weights, outputs, input, zero_point, sums);
    };
    for (source, &byte) in input.iter().enumerate() {
        if byte != zero_point {
            let value = i16::from(byte) - i16::from(zero_point);
            add_row(weights, source, value, sums);
        }
    }
}

/// A convolution of all values of a source.
struct DenseConvolution<'a> {
    conv: &'a Convolution,
    weights: Weights<'a>,
    input: &'a [u8],
    zero_point: u8,
    shift: u8,
}

impl DenseConvolution<'_> {
    /// Adds it to targets, many filters at once; `false` if it has groups or gaps.
    #[inline(always)]
    fn lanes<P: Potential>(&self, currents: &mut [P]) -> bool {
        let conv = self.conv;
        let [height, width, channels_in] = conv.input.map(usize::from);
        let [_, out_width, channels] = conv.output.map(usize::from);
        let [rows, columns] = conv.kernel.map(usize::from);
        let taps = rows * columns * channels_in;
        if !conv.is_plain() || out_width * channels == 0 || taps > TAPS {
            return false;
        }
        // A tile of filters at a time, by tap.
        let mut decoded = [[0i16; TILE]; TAPS];
        for tile in (0..channels).step_by(TILE) {
            for (tap, decoded) in decoded.iter_mut().enumerate().take(taps) {
                let place = tap / channels_in.max(1);
                let (y, x) = (place / columns.max(1), place % columns.max(1));
                let channel = (tap % channels_in.max(1)) as u32;
                if let Some(row) = self.weights.tap(conv, y as u32, x as u32, channel) {
                    let in_tile = decoded.get_mut(..TILE.min(channels - tile));
                    row.skip(tile)
                        .zip(in_tile.unwrap_or_default(), |to, w| *to = w as i16);
                }
            }
            let zero = i16::from(self.zero_point);
            for (place, currents) in currents.chunks_exact_mut(channels).enumerate() {
                let (out_y, out_x) = (place / out_width, place % out_width);
                let top = out_y * usize::from(conv.stride[0]);
                let left = out_x * usize::from(conv.stride[1]);
                let [above, before] = conv.padding.map(usize::from);
                // The columns of the kernel that lie inside the input.
                let first = before.saturating_sub(left).min(columns);
                let last = (width + before).saturating_sub(left).min(columns);
                let mut sums = [0i32; TILE];
                for kernel_y in above.saturating_sub(top)..rows {
                    let y = top + kernel_y - above;
                    if y >= height || first >= last {
                        break;
                    }
                    let from = (y * width + left + first - before) * channels_in;
                    let values = self.input.get(from..from + (last - first) * channels_in);
                    let tap = (kernel_y * columns + first) * channels_in;
                    let row = decoded.get(tap..).unwrap_or(&[]);
                    for (&value, weights) in values.unwrap_or(&[]).iter().zip(row) {
                        if value != self.zero_point {
                            let value = i32::from(i16::from(value) - zero);
                            for (sum, &w) in sums.iter_mut().zip(weights) {
                                *sum = sum.wrapping_add(value * i32::from(w));
                            }
                        }
                    }
                }
                let currents = currents.get_mut(tile..).unwrap_or_default();
                for (current, &sum) in currents.iter_mut().zip(&sums) {
                    *current = current.plus(round_shift(sum, self.shift));
                }
            }
        }
        true
    }

    /// Adds it to targets, a place's channels at once; `false` unless each channel has a filter of its own.
    #[inline(always)]
    fn depthwise<P: Potential>(&self, currents: &mut [P]) -> bool {
        let conv = self.conv;
        let [height, width, channels_in] = conv.input.map(usize::from);
        let [_, out_width, channels] = conv.output.map(usize::from);
        let [rows, columns] = conv.kernel.map(usize::from);
        let taps = rows * columns;
        let own = conv.groups == conv.input[2] && conv.filters == conv.groups;
        if !own || out_width * channels == 0 || taps * channels_in > TAPS * TILE {
            return false;
        }
        let mut decoded = [0i16; TAPS * TILE];
        for (tap, decoded) in decoded.chunks_exact_mut(channels_in).enumerate().take(taps) {
            let (y, x) = ((tap / columns) as u32, (tap % columns) as u32);
            for (channel, to) in (0..).zip(decoded) {
                if let Some(row) = self.weights.tap(conv, y, x, channel) {
                    row.zip(core::slice::from_mut(to), |to, w| *to = w as i16);
                }
            }
        }
        let [dilation_y, dilation_x] = conv.dilation.map(usize::from);
        let [padding_y, padding_x] = conv.padding.map(usize::from);
        let zero = i32::from(self.zero_point);
        let first = usize::from(conv.first);
        for (place, currents) in currents.chunks_exact_mut(channels).enumerate() {
            let top = place / out_width * usize::from(conv.stride[0]);
            let left = place % out_width * usize::from(conv.stride[1]);
            let targets = currents.get_mut(first..first + channels_in);
            let targets = targets.unwrap_or_default();
            for (block, targets) in targets.chunks_mut(TILE).enumerate() {
                let mut sums = [0i32; TILE];
                for tap in 0..taps {
                    let y = (top + tap / columns * dilation_y).wrapping_sub(padding_y);
                    let x = (left + tap % columns * dilation_x).wrapping_sub(padding_x);
                    if y >= height || x >= width {
                        continue;
                    }
                    let at = block * TILE;
                    let values = self.input.get((y * width + x) * channels_in + at..);
                    let weights = decoded.get(tap * channels_in + at..);
                    let both = values.unwrap_or(&[]).iter().zip(weights.unwrap_or(&[]));
                    for (sum, (&value, &w)) in sums.iter_mut().zip(both) {
                        *sum = sum.wrapping_add((i32::from(value) - zero) * i32::from(w));
                    }
                }
                for (target, sum) in targets.iter_mut().zip(sums) {
                    *target = target.plus(round_shift(sum, self.shift));
                }
            }
        }
        true
    }
}

/// Adds `value` times the weights of a source of a matrix to all its targets.
#[inline(always)]
fn add_row<P: Potential>(weights: Weights<'_>, source: usize, value: i16, post: &mut [P]) {
    let stride = weights.layout.stride(post.len());
    let row = match weights.layout {
        Layout::Crossed => source / 2,
        _ => source,
    };
    let start = row.saturating_mul(stride);
    let Some(bytes) = weights.bytes.get(start..start.saturating_add(stride)) else {
        return;
    };
    let times = |w: i16| i32::from(value) * i32::from(w);
    match weights.layout {
        Layout::Quads => {
            let (fours, rest) = post.as_chunks_mut::<4>();
            let (groups, _) = bytes.as_chunks::<4>();
            let plain = |group: &[i8; 4]| {
                let [b0, b1, b2, b3] = group.map(|b| i16::from(b ^ i8::MIN));
                [b0, b2, b1, b3]
            };
            for (four, group) in fours.iter_mut().zip(groups) {
                for (v, w) in four.iter_mut().zip(plain(group)) {
                    *v = v.plus(times(w));
                }
            }
            if let Some(group) = groups.get(fours.len()) {
                for (v, w) in rest.iter_mut().zip(plain(group)) {
                    *v = v.plus(times(w));
                }
            }
        }
        Layout::Crossed => {
            let (pairs, rest) = post.as_chunks_mut::<2>();
            let (groups, _) = bytes.as_chunks::<4>();
            let upper = source % 2 == 1;
            let plain = |group: &[i8; 4]| {
                let [a, b, c, d] = *group;
                let (low, high) = if upper { (c, d) } else { (a, b) };
                [i16::from(low), i16::from(high) + i16::from(low < 0)]
            };
            for (pair, group) in pairs.iter_mut().zip(groups) {
                let [low, high] = plain(group);
                *pair = [pair[0].plus(times(low)), pair[1].plus(times(high))];
            }
            if let (Some(v), Some(group)) = (rest.first_mut(), groups.get(pairs.len())) {
                *v = v.plus(times(plain(group)[0]));
            }
        }
        Layout::Halves => add_run(Layout::Halves, bytes, value, post),
        _ => {
            if let Some(row) = weights.dense_row(source, post.len()) {
                row.zip(post, |v, w| *v = v.plus(i32::from(value) * w));
            }
        }
    }
}

/// Adds `value` times a run of weights of 16 bits to as many targets.
#[inline(always)]
fn add_run<P: Potential>(layout: Layout, run: &[i8], value: i16, post: &mut [P]) {
    let half = |bytes: [i8; 2]| i16::from_le_bytes(bytes.map(|byte| byte as u8));
    let times = |w: i16| i32::from(value) * i32::from(w);
    if layout == Layout::WidePairs {
        let (pairs, _) = post.as_chunks_mut::<2>();
        for (pair, &[b0, b1, b2, b3]) in pairs.iter_mut().zip(run.as_chunks::<4>().0) {
            let low = half([b0, b1]);
            let high = half([b2, b3]).wrapping_add(i16::from(low < 0));
            *pair = [pair[0].plus(times(low)), pair[1].plus(times(high))];
        }
        return;
    }
    let halves = run.as_chunks::<2>().0;
    if value == 1 {
        for (v, &bytes) in post.iter_mut().zip(halves) {
            *v = v.plus(half(bytes).into());
        }
    } else {
        for (v, &bytes) in post.iter_mut().zip(halves) {
            *v = v.plus(times(half(bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A convolution that a run of weights goes over, in a square input.
    fn convolutions() -> impl Strategy<Value = Convolution> {
        let geometry = (1..=9u16, 1..=4u16, 1..=3u8, 1..=3u8, 0..=1u8);
        let channels = prop_oneof![Just(2u16), Just(8), Just(24)];
        (geometry, channels).prop_map(|((side, channels_in, kernel, stride, padding), channels)| {
            let kernel = kernel.min(side as u8);
            let padding = padding.min(kernel - 1);
            let seen = side + 2 * u16::from(padding) - u16::from(kernel);
            let output = seen / u16::from(stride) + 1;
            Convolution {
                input: [side, side, channels_in],
                output: [output, output, channels],
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 2],
                dilation: [1, 1],
                groups: 1,
                filters: channels,
                first: 0,
            }
        })
    }

    /// Makes a number of bytes, the same for the same seed.
    fn bytes(count: usize, seed: u32) -> Vec<i8> {
        let mut random = seed | 1;
        let next = |_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as i8
        };
        (0..count).map(next).collect()
    }

    fn same<P: Potential + PartialEq + core::fmt::Debug>(
        conv: &Convolution,
        layout: Layout,
        seed: u32,
    ) {
        let count = |shape: [u16; 3]| shape.into_iter().map(usize::from).product::<usize>();
        let (sources, targets) = (count(conv.input), count(conv.output));
        let [height, width] = conv.kernel.map(u16::from);
        let taps = count([height, width, conv.input[2]]) * usize::from(conv.filters);
        let weights = bytes(taps * 2, seed);
        let weights = Weights {
            bytes: &weights,
            layout,
        };
        let values = bytes(sources, !seed);
        let events: Vec<Event> = (0..=u16::MAX)
            .zip(&values)
            .map(|(source, &value)| Event {
                source,
                // Counts of one are kinds of their own.
                value: i16::from(value).clamp(-100, 1),
            })
            .collect();
        let start: Vec<P> = bytes(targets, seed ^ 0x5555)
            .into_iter()
            .map(|v| P::store(v.into()))
            .collect();
        let (mut expected, mut found) = (start.clone(), start);
        portable::convolution(conv, weights, &events, &mut expected);
        Lanes::convolution(conv, weights, &events, &mut found);
        assert_eq!(expected, found);
    }

    proptest! {
        #[test]
        fn events_over_a_convolution_bring_what_the_reference_says(
            conv in convolutions(),
            seed in any::<u32>(),
        ) {
            for layout in [Layout::Wide, Layout::WidePairs] {
                same::<u16>(&conv, layout, seed);
                same::<u32>(&conv, layout, seed);
            }
        }
    }
}
