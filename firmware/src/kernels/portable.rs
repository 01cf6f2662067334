//! The kernels in plain Rust, which a family overrides: the reference for all of them.

use tinyspike_shared::Event;
use tinyspike_shared::fixed::round_shift;
use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::{Layout, Row, Weights};

use super::{EVENTS, Events, Population, Potential};

pub(super) fn dense<P: Potential>(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    shift: u8,
    post: &mut [P],
) {
    let post = post.get_mut(..outputs).unwrap_or(&mut []);
    for event in events {
        if weights.layout == Layout::Rows {
            let value = i32::from(event.value.wrapping_shl(shift.into()));
            let from = usize::from(event.source) * outputs;
            let row = weights.bytes.get(from..).unwrap_or(&[]);
            for (target, &w) in post.iter_mut().zip(row) {
                *target = target.plus(value * i32::from(w));
            }
            continue;
        }
        if let Some(row) = weights.dense_row(event.source.into(), outputs) {
            add_row(row, event.value.wrapping_shl(shift.into()), &mut *post);
        }
    }
}

pub(super) fn convolution<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [P],
) {
    let channels_in = u32::from(conv.input[2]);
    let width_in = u32::from(conv.input[1]);
    let channels = usize::from(conv.output[2]);
    let row_len = usize::from(conv.row());
    let group_inputs = u32::from(conv.group_inputs());
    for event in events {
        let source = u32::from(event.source);
        let (Some(place), Some(channel)) = (
            source.checked_div(channels_in),
            source.checked_rem(channels_in),
        ) else {
            return;
        };
        let (Some(y), Some(x)) = (place.checked_div(width_in), place.checked_rem(width_in)) else {
            return;
        };
        let group = channel.checked_div(group_inputs).unwrap_or(0) as usize;
        let first = usize::from(conv.first) + group * row_len;
        for (out_y, kernel_y) in taps::<0>(conv, y) {
            for (out_x, kernel_x) in taps::<1>(conv, x) {
                let place = (out_y * u32::from(conv.output[1]) + out_x) as usize;
                let to = place * channels + first;
                if let (Some(row), Some(post)) = (
                    weights.tap(conv, kernel_y, kernel_x, channel),
                    post.get_mut(to..to + row_len),
                ) {
                    add_row(row, event.value, post);
                }
            }
        }
    }
}

pub(super) fn drive_convolution<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    input: &[u8],
    zero_point: u8,
    shift: u8,
    currents: &mut [P],
) {
    let channels_in = usize::from(conv.input[2]);
    let channels = usize::from(conv.output[2]);
    let row_len = usize::from(conv.row());
    let group_inputs = usize::from(conv.group_inputs());
    let first = usize::from(conv.first);
    let filters = first..first + usize::from(conv.filters);
    let width = u32::from(conv.output[1]);
    let places = (0..u32::from(conv.output[0])).flat_map(|y| (0..width).map(move |x| (y, x)));
    if channels == 0 || row_len == 0 {
        return;
    }
    for ((out_y, out_x), currents) in places.zip(currents.chunks_exact_mut(channels)) {
        let currents = currents.get_mut(filters.clone()).unwrap_or(&mut []);
        for (group, currents) in currents.chunks_exact_mut(row_len).enumerate() {
            let from = group * group_inputs;
            // A tile of channels at a time, so that the sums stay on the stack.
            for (tile, currents) in currents.chunks_mut(TILE).enumerate() {
                let mut sums = [0i32; TILE];
                for (kernel_y, y) in window::<0>(conv, out_y) {
                    for (kernel_x, x) in window::<1>(conv, out_x) {
                        let place = (y * u32::from(conv.input[1]) + x) as usize * channels_in;
                        let start = place + from;
                        let Some(values) = input.get(start..start + group_inputs) else {
                            continue;
                        };
                        for (channel, &value) in values.iter().enumerate() {
                            let value = i32::from(value) - i32::from(zero_point);
                            if value == 0 {
                                continue;
                            }
                            let channel = (from + channel) as u32;
                            if let Some(row) = weights.tap(conv, kernel_y, kernel_x, channel) {
                                // What a row has behind the tile is not looked at.
                                row.skip(tile * TILE).zip(&mut sums, |sum, w| {
                                    *sum = sum.wrapping_add(value.wrapping_mul(w));
                                });
                            }
                        }
                    }
                }
                for (current, &sum) in currents.iter_mut().zip(&sums) {
                    *current = current.plus(round_shift(sum, shift));
                }
            }
        }
    }
}

pub(super) fn drive_dense<P: Potential>(
    weights: Weights<'_>,
    outputs: usize,
    input: &[u8],
    zero_point: u8,
    sums: &mut [P],
) {
    let sums = sums.get_mut(..outputs).unwrap_or(&mut []);
    let mut add = |source: usize, byte: u8| {
        let value = i16::from(byte) - i16::from(zero_point);
        if value != 0
            && let Some(row) = weights.dense_row(source, outputs)
        {
            add_row(row, value, sums);
        }
    };
    // Most values are the zero point.
    let (fours, rest) = input.as_chunks::<4>();
    for (at, four) in fours.iter().enumerate() {
        if *four != [zero_point; 4] {
            four.iter()
                .enumerate()
                .for_each(|(k, &byte)| add(at * 4 + k, byte));
        }
    }
    for (k, &byte) in rest.iter().enumerate() {
        add(fours.len() * 4 + k, byte);
    }
}

pub(super) fn fire<P: Potential>(
    population: &mut Population<'_, P>,
    from: usize,
    events: &mut Events,
) -> usize {
    let channels = population.threshold.len();
    let max_count = i32::from(population.max_count);
    let Some(mut channel) = from.checked_rem(channels) else {
        return population.potentials.len();
    };
    let mut neuron = from;
    let potentials = population.potentials.get_mut(from..).unwrap_or(&mut []);
    for block in potentials.chunks_mut(BLOCK) {
        // Most blocks are quiet.
        let quiet = block.iter().fold(true, |quiet, v| quiet & (v.value() < 0));
        if quiet {
            neuron += block.len();
            channel += block.len();
            if channel >= channels {
                channel = channel.checked_rem(channels).unwrap_or(0);
            }
            continue;
        }
        for v in block {
            let above = v.value();
            if above >= 0 {
                let threshold: i32 = population.threshold.get(channel).map_or(0, |&t| t.into());
                let count = count(above, threshold, max_count);
                *v = v.plus(threshold.wrapping_mul(count).wrapping_neg());
                // There is room: a full buffer ends the loop.
                let _ = events.push(Event {
                    source: neuron as u16,
                    value: count as i16,
                });
            }
            neuron += 1;
            channel += 1;
            if channel == channels {
                channel = 0;
            }
            if events.len() == EVENTS {
                return neuron;
            }
        }
    }
    neuron
}

/// Spikes of a neuron whose potential is so much above its threshold, 0 or more.
fn count(above: i32, threshold: i32, max_count: i32) -> i32 {
    let more = above.checked_div(threshold);
    more.map_or(0, |n| n.saturating_add(1)).min(max_count)
}

pub(super) fn fire_counts<P: Potential>(population: &mut Population<'_, P>) {
    let channels = population.threshold.len();
    let max_count = i32::from(population.max_count);
    let mut channel = 0;
    for neuron in 0..population.potentials.len() {
        let threshold = population.threshold.get(channel).map_or(0, |&t| t.into());
        let above = population.potentials.get(neuron).map_or(-1, |v| v.value());
        let spikes = match above {
            0.. => count(above, threshold, max_count),
            _ => 0,
        };
        // It lies where potentials up to this one were.
        let counts: &mut [u8] = bytemuck::cast_slice_mut(population.potentials);
        if let Some(to) = counts.get_mut(neuron) {
            *to = spikes as u8;
        }
        channel += 1;
        if channel >= channels {
            channel = 0;
        }
    }
}

pub(super) fn settle<P: Potential>(population: &mut Population<'_, P>) {
    let channels = population.bias.len().max(1);
    for places in population.potentials.chunks_mut(channels) {
        for (v, &bias) in places.iter_mut().zip(population.bias) {
            *v = v.plus(bias.into());
        }
    }
    for (v, current) in population.potentials.iter_mut().zip(population.currents) {
        *v = v.plus(current.current());
    }
}

pub(super) fn repeat<P: Potential>(potentials: &mut [P], channels: usize) {
    let mut filled = channels;
    while filled > 0
        && let Some((done, rest)) = potentials.split_at_mut_checked(filled)
        && !rest.is_empty()
    {
        for (to, from) in rest.iter_mut().zip(done) {
            *to = *from;
        }
        filled += filled;
    }
}

/// Neurons that are looked at together for spikes.
const BLOCK: usize = 32;

/// Channels that `drive_convolution` sums at once.
const TILE: usize = 16;

/// Adds `value` times each weight to its target.
fn add_row<P: Potential>(row: Row<'_>, value: i16, post: &mut [P]) {
    if value == 1 {
        row.zip(post, |v, w| *v = v.plus(w));
    } else {
        let value = i32::from(value);
        row.zip(post, |v, w| *v = v.plus(value * w));
    }
}

/// Targets along one axis that a source at `place` reaches, each with the kernel index between.
fn taps<const AXIS: usize>(conv: &Convolution, place: u32) -> impl Iterator<Item = (u32, u32)> {
    let stride = u32::from(conv.stride[AXIS]);
    let dilation = u32::from(conv.dilation[AXIS]).max(1);
    let span = u32::from(conv.kernel[AXIS]) * dilation;
    let padded = place + u32::from(conv.padding[AXIS]);
    let last = padded
        .checked_div(stride)
        .map_or(0, |t| t.min(u32::from(conv.output[AXIS]).saturating_sub(1)));
    (0..=last)
        .rev()
        .map(move |target| (target, padded.wrapping_sub(target * stride)))
        .take_while(move |&(_, at)| at < span)
        .filter_map(move |(target, at)| {
            if dilation == 1 {
                Some((target, at))
            } else {
                let tap = at.checked_div(dilation)?;
                (tap * dilation == at).then_some((target, tap))
            }
        })
}

/// Kernel indices along one axis that a target sees inside the source, each with its place there.
fn window<const AXIS: usize>(conv: &Convolution, target: u32) -> impl Iterator<Item = (u32, u32)> {
    let start = target * u32::from(conv.stride[AXIS]);
    let padding = u32::from(conv.padding[AXIS]);
    let dilation = u32::from(conv.dilation[AXIS]).max(1);
    let input = u32::from(conv.input[AXIS]);
    let outside = padding.saturating_sub(start) + (dilation - 1);
    let first = outside.checked_div(dilation).unwrap_or(0);
    (first..u32::from(conv.kernel[AXIS]))
        .map(move |tap| (tap, start + tap * dilation - padding))
        .take_while(move |&(_, place)| place < input)
}
