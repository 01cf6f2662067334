//! Events over a convolution.

use heapless::Vec;
use tinyspike_shared::Event;
use tinyspike_shared::image::{Convolution, Span, Width};
use tinyspike_shared::weights::Weights;

use super::family;

unsafe extern "C" {
    fn tinyspike_rv32_scatter_16(line: *mut Line);
    fn tinyspike_rv32_scatter_32(line: *mut Line);
}

/// Columns whose targets are looked up.
const COLUMNS: usize = 32;

/// Targets of a column of the source. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Column {
    /// Bytes from the row of targets to the first target.
    targets: u16,
    /// Bytes from the weights of the row to the first tap's.
    weights: u16,
    /// Bytes of a run of targets; 0 if it leads nowhere.
    run: u16,
    /// Whole words are faster to copy.
    unused: u16,
}

impl Column {
    /// Finds the targets of a column. The targets of a place take `place` bytes, the weights of a tap `tap`.
    fn new(span: &Span, place: usize, tap: usize) -> Self {
        Self {
            targets: (span.first as usize * place) as u16,
            weights: (span.tap as usize * tap) as u16,
            run: (span.count as usize * place) as u16,
            unused: 0,
        }
    }
}

/// A part of a line of the source: where it leads, and the events from it on. The assembly knows the order.
#[repr(C)]
struct Line {
    /// The next event, and the end of all.
    events: *const Event,
    events_end: *const Event,
    /// The first source.
    first: usize,
    /// Number of sources.
    sources: usize,
    /// 2^31 / `channels`, rounded up.
    reciprocal: u32,
    /// Sources of a place.
    channels: usize,
    /// Bytes from a channel's weights to the next one's.
    channel: usize,
    columns: *const Column,
    /// The row of targets that the line leads to first.
    targets: *mut u32,
    /// The weights of the first channel that lead to that row.
    weights: *const u32,
    /// Rows of targets.
    rows: u32,
    /// Bytes of a row of targets.
    target_line: usize,
    /// Bytes of the weights of a row of the kernel.
    weights_line: usize,
    /// The assembly's own.
    reserved: [u32; 4],
}

/// Scatters events over targets of a width, whose bytes are given; `None` if the geometry and the layout do not allow for it.
#[inline(never)]
pub(super) fn scatter(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [u8],
    bits: Width,
) -> Option<()> {
    let [height, width, channels_in] = conv.input.map(usize::from);
    let [out_height, out_width, channels] = conv.output.map(usize::from);
    let [kernel_y, kernel_x] = conv.kernel.map(usize::from);
    let (place, tap) = (channels * bits.bytes(), channels * 2);
    let (target_line, weights_line) = (out_width * place, kernel_x * tap);
    let channel = kernel_y * weights_line;
    let post: &mut [u32] = bytemuck::try_cast_slice_mut(post).ok()?;
    let words: &[u32] = bytemuck::try_cast_slice(weights.bytes).ok()?;
    let fits = family::scatters(conv, weights.layout, bits)
        && post.len() * 4 == out_height * target_line
        && words.len() * 4 == channels_in * channel;
    if !fits {
        return None;
    }
    let reciprocal = (1u32 << 31).div_ceil(channels_in.max(1) as u32);
    let scatters = match bits {
        Width::I16 => tinyspike_rv32_scatter_16,
        Width::I32 => tinyspike_rv32_scatter_32,
    };
    let (vertical, horizontal) = (conv.vertical(), conv.horizontal());
    let mut columns: Vec<Column, COLUMNS> = Vec::new();
    // The columns that are looked up together: the first one, and the one behind the last.
    let (mut from, mut to) = (0, 0);
    let mut rest = events;
    while let Some(event) = rest.first() {
        let at = usize::from(event.source).checked_div(channels_in)?;
        let y = at.checked_div(width)?;
        let x = at - y * width;
        if y >= height {
            break;
        }
        if x < from || x >= to {
            from = if width <= COLUMNS { 0 } else { x };
            to = width.min(from + COLUMNS);
            columns.clear();
            for span in horizontal.spans(from as u32).take(to - from) {
                // There is room: no more are looked up together.
                let _ = columns.push(Column::new(&span, place, tap));
            }
        }
        let span = vertical.span(y as u32);
        let mut done = 1;
        if span.count > 0 {
            let range = rest.as_ptr_range();
            let targets = span.first as usize * target_line / 4;
            let taps = span.tap as usize * weights_line / 4;
            let mut line = Line {
                events: range.start,
                events_end: range.end,
                first: (y * width + from) * channels_in,
                sources: columns.len() * channels_in,
                reciprocal,
                channels: channels_in,
                channel,
                columns: columns.as_ptr(),
                targets: post.as_mut_ptr().wrapping_add(targets),
                weights: words.as_ptr().wrapping_add(taps),
                rows: span.count,
                target_line,
                weights_line,
                reserved: [0; 4],
            };
            // SAFETY: every column that is seen has been looked up; spans are clipped to the output and the kernel, whose
            // sizes those of targets and weights have been held to; both slices are aligned to words, and runs are a
            // multiple of 8 channels. The assembly stops before an event that is not of the line's columns.
            unsafe { scatters(&raw mut line) };
            // SAFETY: both lie in the slice, or at its end.
            done = (unsafe { line.events.offset_from(range.start) }) as usize;
        }
        rest = rest.get(done.max(1)..)?;
    }
    Some(())
}
