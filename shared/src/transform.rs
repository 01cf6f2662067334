//! Transforms: neurons that a connection joins, and the order of its weights.

use core::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Neurons that a connection joins, and the order of its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transform {
    /// Each source with each target.
    Dense(Dense),
    /// A two-dimensional convolution, channels last.
    Convolution(Convolution),
}

/// A full matrix, one row of weights for each source: `[inputs][outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dense {
    /// Sources.
    pub inputs: u32,
    /// Targets that it reaches: those from `first` on.
    pub outputs: u32,
    /// The first target that it reaches.
    pub first: u32,
}

/// A cross-correlation over two axes: target (y, x) sees the sources (y s - p + k d, x s - p + k d)
/// for stride s, padding p and dilation d.
///
/// The channels of the source form `groups`, as do the filters; each group of filters sees its group
/// of channels alone. Filter f brings to channel `first` + f of the target. Weights lie as
/// `[kernel y][kernel x][input channel][filter of its group]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Convolution {
    /// Height, width and channels of the source.
    pub input: [u16; 3],
    /// Height, width and channels of the whole target.
    pub output: [u16; 3],
    /// Height and width of the kernel.
    pub kernel: [u8; 2],
    /// Vertical and horizontal stride.
    pub stride: [u8; 2],
    /// Rows of zeros above and columns of zeros to the left.
    pub padding: [u8; 2],
    /// Rows and columns of the source from one kernel place to the next.
    pub dilation: [u8; 2],
    /// Groups of channels and filters.
    pub groups: u16,
    /// Number of the target's channels that it reaches.
    pub filters: u16,
    /// The first channel of the target that it reaches.
    pub first: u16,
}

impl Convolution {
    /// Tells whether it is the common kind: one group, no dilation, every channel of the target.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.groups == 1
            && self.dilation[0] == 1
            && self.dilation[1] == 1
            && self.filters == self.output[2]
            && self.first == 0
    }

    /// The geometry along the vertical axis.
    #[must_use]
    pub fn vertical(&self) -> Axis {
        let ([stride, _], [kernel, _]) = (self.stride, self.kernel);
        Axis::new(stride, kernel, self.padding[0], self.output[0])
    }

    /// The geometry along the horizontal axis.
    #[must_use]
    pub fn horizontal(&self) -> Axis {
        let ([_, stride], [_, kernel]) = (self.stride, self.kernel);
        Axis::new(stride, kernel, self.padding[1], self.output[1])
    }

    /// Filters of a group: the length of a row of weights.
    #[must_use]
    pub const fn row(&self) -> u16 {
        match self.filters.checked_div(self.groups) {
            Some(row) => row,
            None => 0,
        }
    }

    /// Input channels of a group.
    #[must_use]
    pub const fn group_inputs(&self) -> u16 {
        match self.input[2].checked_div(self.groups) {
            Some(inputs) => inputs,
            None => 0,
        }
    }
}

/// The geometry of a convolution without dilation along an axis.
///
/// A source at a place p leads to the targets of one phase of the stride: through the taps t with
/// t mod stride = (p + padding) mod stride, to targets the later the smaller t. In the order of the targets, phases
/// follow one another, and the taps of each descend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    stride: NonZeroU32,
    padding: u32,
    output: u32,
    /// Taps that every phase has.
    whole: u32,
    /// Phases that have one more.
    rest: u32,
}

/// The targets along an axis that a source leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first target.
    pub first: u32,
    /// Number of them, side by side.
    pub count: u32,
    /// Place of the tap to the first target in the order of the targets; those to the next ones follow.
    pub tap: u32,
}

impl Axis {
    fn new(stride: u8, kernel: u8, padding: u8, output: u16) -> Self {
        let stride = NonZeroU32::new(stride.into()).unwrap_or(NonZeroU32::MIN);
        let kernel = u32::from(kernel);
        Self {
            stride,
            padding: padding.into(),
            output: output.into(),
            whole: kernel / stride,
            rest: kernel % stride,
        }
    }

    /// Place of a tap in the order of the targets.
    #[must_use]
    pub fn tap_at(&self, tap: u32) -> u32 {
        let (first, taps) = self.phase(tap % self.stride);
        first + (taps - 1).saturating_sub(tap / self.stride)
    }

    /// The targets that see the source at a place.
    #[must_use]
    #[inline]
    pub fn span(&self, place: u32) -> Span {
        let padded = place + self.padding;
        let last = padded / self.stride;
        self.span_at(last, padded - last * self.stride.get())
    }

    /// The targets that see the sources from a place on, source by source.
    pub fn spans(self, place: u32) -> impl Iterator<Item = Span> {
        let padded = place + self.padding;
        let mut last = padded / self.stride;
        let mut phase = padded - last * self.stride.get();
        core::iter::from_fn(move || {
            let span = self.span_at(last, phase);
            phase += 1;
            if phase == self.stride.get() {
                phase = 0;
                last += 1;
            }
            Some(span)
        })
    }

    /// The targets that see the source behind `phase` others that have the same last target.
    #[inline]
    fn span_at(&self, last: u32, phase: u32) -> Span {
        let (tap, taps) = self.phase(phase);
        let end = last + 1;
        // At the start, targets that would have the phase's first taps are not there.
        let missing = taps.saturating_sub(end);
        let first = end - (taps - missing);
        Span {
            first,
            count: end.min(self.output).saturating_sub(first),
            tap: tap + missing,
        }
    }

    /// Place of a phase's first tap, and the number of its taps.
    #[inline]
    fn phase(&self, phase: u32) -> (u32, u32) {
        let more = phase < self.rest;
        let before = phase.min(self.rest);
        (phase * self.whole + before, self.whole + u32::from(more))
    }
}

/// The number of elements of a shape; `None` if it exceeds 32 bits.
pub(crate) fn volume(dims: &[u32]) -> Option<u32> {
    dims.iter().try_fold(1u32, |n, &d| n.checked_mul(d))
}

impl Transform {
    /// The number of sources.
    #[must_use]
    pub fn inputs(&self) -> Option<u32> {
        match self {
            Self::Dense(d) => Some(d.inputs),
            Self::Convolution(c) => volume(&c.input.map(u32::from)),
        }
    }

    /// The least number of targets that it needs; a convolution needs exactly so many.
    #[must_use]
    pub fn outputs(&self) -> Option<u32> {
        match self {
            Self::Dense(d) => d.first.checked_add(d.outputs),
            Self::Convolution(c) => volume(&c.output.map(u32::from)),
        }
    }
}
