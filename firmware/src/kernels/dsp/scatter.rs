//! Events over a convolution.

use tinyspike_shared::Event;
use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::{Layout, Weights};

use super::super::{Kernels, Portable, Potential};

unsafe extern "C" {
    fn tinyspike_scatter_16(place: *mut Place);
    fn tinyspike_scatter_16_long(place: *mut Place);
    fn tinyspike_scatter_32(place: *mut Place);
}

/// Channels of a block.
const BLOCK: u32 = 8;
/// Blocks of a chain.
const CHAIN: u32 = 8;

/// A place of the source: where its taps lead, and the events from it on. The assembly knows the order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The first target.
    targets: *mut u32,
    /// Blocks of a row's first round.
    blocks: u32,
    /// The next event, and the end of all.
    events: *const Event,
    events_end: *const Event,
    /// The place's first source.
    first: u32,
    /// Channels of the source.
    channels: u32,
    /// Bytes from a channel's weights to the next channel's.
    weights_channel: u32,
    /// The weights of the first channel to the first target.
    weights: *const i8,
    /// Rows of targets.
    rows: u32,
    /// Rounds of a row behind the first.
    rounds: u32,
    /// Bytes from the end of a row's targets to the next row's.
    targets_row: u32,
    /// Bytes from the end of a row's weights to the next row's.
    weights_row: u32,
}

/// The targets along one axis that see a source.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The first target.
    first: u32,
    /// How many there are.
    count: u32,
    /// Where the first one's tap stands.
    tap: u32,
}

fn span(conv: &Convolution, axis: usize, place: u32) -> Span {
    let padded = place + u32::from(conv.padding[axis]);
    let phase = conv.phase(axis, padded);
    // Behind the last target that the source could have.
    let end = padded.checked_div(conv.stride[axis].into()).unwrap_or(0) + 1;
    let first = end.saturating_sub(phase.taps);
    Span {
        first,
        count: end.min(conv.output[axis].into()).saturating_sub(first),
        tap: phase.first + phase.taps.saturating_sub(end),
    }
}

/// A potential that a kernel in assembly adds to.
pub(super) trait Target: Potential {
    /// The layout of the weights.
    const LAYOUT: Layout;

    /// Runs the events of a place, and moves to the next event.
    ///
    /// # Safety
    /// All rows of targets and weights that the place names are there and aligned to words; steps
    /// between rows are below 2^16.
    unsafe fn scatter(place: &mut Place);
}

impl Target for u16 {
    const LAYOUT: Layout = Layout::WidePairs;

    unsafe fn scatter(place: &mut Place) {
        if place.rounds == 0 {
            // SAFETY: the caller's.
            unsafe { tinyspike_scatter_16(place) };
        } else {
            // SAFETY: the caller's.
            unsafe { tinyspike_scatter_16_long(place) };
        }
    }
}

impl Target for u32 {
    const LAYOUT: Layout = Layout::Wide;

    unsafe fn scatter(place: &mut Place) {
        // SAFETY: the caller's.
        unsafe { tinyspike_scatter_32(place) };
    }
}

/// Scatters events over potentials.
pub(super) fn scatter<P: Target>(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [P],
) where
    Portable: Kernels<P>,
{
    let [height, width, channels_in] = conv.input.map(u32::from);
    let [out_height, out_width, channels] = conv.output.map(u32::from);
    let [kernel_y, kernel_x] = conv.kernel.map(u32::from);
    // Bytes of the targets at a place, and of the weights of a tap, of a row and of a channel.
    let column = channels * size_of::<P>() as u32;
    let weights_column = channels * 2;
    let weights_line = kernel_x * weights_column;
    let weights_channel = kernel_y * weights_line;
    let fast = weights.layout == P::LAYOUT
        && conv.is_plain()
        && channels.is_multiple_of(BLOCK)
        && out_width * column < 1 << 16
        && weights_line < 1 << 16
        && weights.bytes.len() == (channels_in * weights_channel) as usize
        && size_of_val(post) == (out_height * out_width * column) as usize
        && post.as_ptr().cast::<u32>().is_aligned()
        && weights.bytes.as_ptr().cast::<u32>().is_aligned();
    if !fast {
        return <Portable as Kernels<P>>::convolution(conv, weights, events, post);
    }
    let all = events.as_ptr_range();
    let targets = post.as_mut_ptr().cast::<u8>();
    let mut place = Place {
        targets: targets.cast(),
        blocks: 0,
        events: all.start,
        events_end: all.end,
        first: 0,
        channels: channels_in,
        weights_channel,
        weights: weights.bytes.as_ptr(),
        rows: 0,
        rounds: 0,
        targets_row: 0,
        weights_row: 0,
    };
    let mut line = u32::MAX;
    let mut y = span(conv, 0, 0);
    while place.events < all.end {
        // SAFETY: it is an event of the slice, before the end.
        let source = u32::from(unsafe { (*place.events).source });
        // The compiler cannot know that neither is 0.
        let (Some(at), Some(new_line)) = (
            source.checked_div(channels_in),
            source.checked_div(channels_in * width),
        ) else {
            return;
        };
        if new_line != line {
            if new_line >= height {
                return;
            }
            line = new_line;
            y = span(conv, 0, line);
        }
        let x = span(conv, 1, at - line * width);
        if x.count == 0 || y.count == 0 {
            // No target sees the place.
            place.events = place.events.wrapping_add(1);
            continue;
        }
        let blocks = x.count * channels / BLOCK - 1;
        place.blocks = blocks % CHAIN + 1;
        place.rounds = blocks / CHAIN;
        place.first = at * channels_in;
        place.rows = y.count;
        place.targets_row = (out_width - x.count) * column;
        place.weights_row = weights_line - x.count * weights_column;
        let first = (y.first * out_width + x.first) * column;
        place.targets = targets.wrapping_add(first as usize).cast();
        let first = y.tap * weights_line + x.tap * weights_column;
        place.weights = weights.bytes.as_ptr().wrapping_add(first as usize);
        // SAFETY: the spans name targets inside `post` and taps inside the kernel, whose sizes are those
        // of the geometry; both are aligned, as are rows of a multiple of 8 channels; rows are shorter
        // than 2^16 bytes. The assembly stops before an event whose channel is not the place's.
        unsafe { P::scatter(&mut place) };
    }
}
