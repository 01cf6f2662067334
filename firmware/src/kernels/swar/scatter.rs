//! Events over a convolution.

use heapless::Vec;
use tinyspike_shared::Event;
use tinyspike_shared::image::{Convolution, Span};
use tinyspike_shared::weights::Weights;

use super::family;

#[cfg(tinyspike_kernels = "swar")]
unsafe extern "C" {
    fn tinyspike_swar_scatter(line: *mut Line);
}

/// Words of a block of targets.
const BLOCK: usize = 4;
/// The most blocks of a run.
const CHAIN: usize = 8;
/// Columns whose targets are looked up.
const COLUMNS: usize = 32;
/// Rows of the source that are passed one by one before they are counted by a division.
const NEAR: usize = 16;

/// Targets of a column of the source: runs of at most `CHAIN` blocks each. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Column {
    /// Bytes from the row of targets to the first target.
    targets: u16,
    /// Bytes from the weights of the row to the first tap's.
    weights: u16,
    /// Bytes of code for the blocks of a run; 0 if it leads nowhere.
    code: u16,
    /// Bytes from the end of a run of weights to the next run.
    weights_step: u16,
    /// Bytes from the end of a run of targets to the next run.
    targets_step: u16,
    /// Whole words are faster to copy.
    unused: u16,
}

impl Column {
    /// Bytes of code for a block.
    const CODE: usize = 28;

    /// Words of a run.
    #[cfg(not(tinyspike_kernels = "swar"))]
    const fn words(&self) -> usize {
        self.code as usize / Self::CODE * BLOCK
    }
}

/// Bytes of the parts of a convolution; a row of each is shorter than 2^16.
#[derive(Clone, Copy)]
struct Bytes {
    /// The targets of a place, and the weights of a tap.
    column: usize,
    /// A row of targets.
    target_line: usize,
    /// The weights of a row of the kernel.
    weights_line: usize,
    /// The weights of a channel.
    channel: usize,
}

impl Bytes {
    /// Finds the targets of a column, from the blocks of a run that come `part` chains later.
    #[inline]
    fn column(&self, span: &Span, part: usize) -> Column {
        let skipped = part * CHAIN * BLOCK * 4;
        let run = span.count as usize * self.column;
        let run = run.saturating_sub(skipped).min(CHAIN * BLOCK * 4);
        Column {
            targets: (span.first as usize * self.column + skipped) as u16,
            weights: (span.tap as usize * self.column + skipped) as u16,
            code: (run / (BLOCK * 4) * Column::CODE) as u16,
            weights_step: (self.weights_line - run) as u16,
            targets_step: (self.target_line - run) as u16,
            unused: 0,
        }
    }
}

/// A part of a line of the source, and where it leads, as places in slices of words.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    /// Bytes of the parts of the convolution.
    bytes: Bytes,
    /// Its first source.
    first: usize,
    /// Sources of a place.
    channels: usize,
    /// 2^16 / `channels`, rounded up.
    #[cfg_attr(
        not(tinyspike_kernels = "swar"),
        expect(dead_code, reason = "others divide")
    )]
    reciprocal: usize,
    columns: &'a [Column],
    /// Runs of targets.
    rows: usize,
    /// Start of its first row of targets, in words.
    targets: usize,
    /// Start of the weights to that row among those of a channel, in words.
    weights: usize,
}

/// Events of a stretch, for the assembly, which knows the order.
#[cfg(tinyspike_kernels = "swar")]
#[repr(C)]
struct Line {
    /// Targets of the last event's place.
    place_targets: *mut u32,
    place_weights: *const u32,
    /// Bytes from a channel's weights to the next one's.
    channel: usize,
    rows: usize,
    /// The first source of the place of the last event.
    place_first: usize,
    channels: usize,
    events: *const Event,
    events_end: *const Event,
    first: usize,
    sources: usize,
    /// 2^16 / `channels`, rounded up.
    reciprocal: usize,
    columns: *const Column,
    targets: *mut u32,
    weights: *const u32,
}

impl Stretch<'_> {
    /// Adds the events up to one of another stretch, and returns how many these are.
    ///
    /// # Safety
    /// There is a row, and all runs lie inside `post` and inside the weights of each channel.
    #[cfg(tinyspike_kernels = "swar")]
    unsafe fn scatter(self, events: &[Event], weights: &[u32], post: &mut [u32]) -> usize {
        let range = events.as_ptr_range();
        let mut line = Line {
            place_targets: post.as_mut_ptr(),
            place_weights: weights.as_ptr(),
            channel: self.bytes.channel,
            rows: self.rows,
            // No event is of this place.
            place_first: 1 << 16,
            channels: self.channels,
            events: range.start,
            events_end: range.end,
            first: self.first,
            sources: self.columns.len() * self.channels,
            reciprocal: self.reciprocal,
            columns: self.columns.as_ptr(),
            targets: post.as_mut_ptr().wrapping_add(self.targets),
            weights: weights.as_ptr().wrapping_add(self.weights),
        };
        // SAFETY: runs have no more blocks than the chain, and by the caller's word there is a row and all that
        // they name; both slices are aligned to words. The assembly stops before an event that is not of
        // the stretch.
        unsafe { tinyspike_swar_scatter(&raw mut line) };
        // SAFETY: both lie in the slice, or at its end.
        (unsafe { line.events.offset_from(range.start) }) as usize
    }

    /// Adds the events up to one of another stretch, and returns how many these are.
    ///
    /// # Safety
    /// None is asked for but by the form in assembly.
    #[cfg(not(tinyspike_kernels = "swar"))]
    unsafe fn scatter(self, events: &[Event], weights: &[u32], post: &mut [u32]) -> usize {
        for (done, event) in events.iter().enumerate() {
            let at = usize::from(event.source).checked_sub(self.first);
            let x = at.and_then(|at| at.checked_div(self.channels));
            let (Some(at), Some(column)) = (at, x.and_then(|x| self.columns.get(x))) else {
                return done;
            };
            let channel = at.checked_rem(self.channels).unwrap_or(0);
            let value = i32::from(event.value) as u32;
            let words = column.words();
            for row in 0..self.rows {
                let line = row * self.bytes.weights_line + channel * self.bytes.channel;
                let from = self.weights + (line + usize::from(column.weights)) / 4;
                let line = row * self.bytes.target_line + usize::from(column.targets);
                let to = self.targets + line / 4;
                let weights = weights.get(from..from + words).unwrap_or(&[]);
                let targets = post.get_mut(to..to + words).unwrap_or(&mut []);
                for (target, weight) in targets.iter_mut().zip(weights) {
                    *target = target.wrapping_add(weight.wrapping_mul(value));
                }
            }
        }
        events.len()
    }
}

/// Scatters events over targets; `None` if the geometry and the layout do not allow for it.
#[inline(never)]
pub(super) fn scatter(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [u16],
) -> Option<()> {
    let [height, width, channels_in] = conv.input.map(usize::from);
    let [out_height, out_width, channels] = conv.output.map(usize::from);
    let [kernel_y, kernel_x] = conv.kernel.map(usize::from);
    let column = channels * 2;
    let bytes = Bytes {
        column,
        target_line: out_width * column,
        weights_line: kernel_x * column,
        channel: kernel_y * kernel_x * column,
    };
    let post: &mut [u32] = bytemuck::try_cast_slice_mut(post).ok()?;
    let words: &[u32] = bytemuck::try_cast_slice(weights.bytes).ok()?;
    // A product with the reciprocal is exact for so many sources.
    let reciprocal = (1usize << 16).checked_div(channels_in)?;
    let seen = width.min(COLUMNS).min(reciprocal / channels_in.max(1));
    let fits = family::scatters(conv, weights.layout)
        && seen > 0
        && post.len() * 4 == out_height * bytes.target_line
        && words.len() * 4 == channels_in * bytes.channel;
    if !fits {
        return None;
    }
    let (vertical, horizontal) = (conv.vertical(), conv.horizontal());
    let longest = bytes.weights_line.min(bytes.target_line);
    let parts = longest.div_ceil(CHAIN * BLOCK * 4);
    let mut columns: Vec<Column, COLUMNS> = Vec::new();
    // The column from which on they are, and the part of each run.
    let mut filled = None;
    let line_sources = width * channels_in;
    // The source's row, its first source, and where it leads.
    let (mut y, mut line_first) = (0, 0);
    let mut lines = vertical.spans(0);
    let mut line = lines.next()?;
    let mut rest = events;
    while let Some(event) = rest.first() {
        let source = usize::from(event.source);
        if source < line_first || source - line_first >= NEAR * line_sources {
            y = source.checked_div(line_sources)?;
            line_first = y * line_sources;
            lines = vertical.spans(y as u32);
            line = lines.next()?;
        }
        while source - line_first >= line_sources {
            y += 1;
            line_first += line_sources;
            line = lines.next()?;
        }
        if y >= height {
            break;
        }
        // The columns that are looked up together, from the first event's on if there are more.
        let from = if seen == width {
            0
        } else {
            (source - line_first).checked_div(channels_in)?
        };
        let count = seen.min(width - from);
        let mut done = 1;
        if line.count > 0 {
            for part in 0..parts {
                if filled != Some((from, part)) {
                    columns.clear();
                    for span in horizontal.spans(from as u32).take(count) {
                        // There is room: no more are looked up together.
                        let _ = columns.push(bytes.column(&span, part));
                    }
                    filled = Some((from, part));
                }
                let stretch = Stretch {
                    bytes,
                    first: line_first + from * channels_in,
                    channels: channels_in,
                    reciprocal: reciprocal + 1,
                    columns: &columns,
                    rows: line.count as usize,
                    targets: line.first as usize * bytes.target_line / 4,
                    weights: line.tap as usize * bytes.weights_line / 4,
                };
                // SAFETY: spans are clipped to the output and the kernel, whose sizes those of targets and weights
                // have been held to, and this line has a row.
                done = unsafe { stretch.scatter(rest, words, post) };
            }
        }
        rest = rest.get(done.max(1)..)?;
    }
    Some(())
}
