//! Max pooling: places count the events of the ensemble before, and each window emits what its largest count, or its
//! least, has grown by.
//!
//! A step looks at each place once for each window that it lies in; an event costs an addition.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::super::error::Fault;
use crate::event::Event;
use crate::transform::volume;

/// Windows over places that count. θ is 1, and the bias of a channel is 0 for the largest count of a window, -1 for
/// the least.
///
/// Their constants are pairs of `u16`, the lower half first: height and width of the places, channels and 0,
/// height and width of the windows' grid, of a window, of the stride, and of the padding before the places, which
/// counts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pool {
    /// Number of places.
    pub places: u32,
}

/// Words of constants.
pub(super) const CONSTANTS: u32 = 6;

/// The geometry of windows, as constants hold it. Each pair is vertical, then horizontal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Height and width of the places.
    pub input: [u16; 2],
    /// Number of channels.
    pub channels: u16,
    /// Number of windows.
    pub output: [u16; 2],
    /// Size of a window.
    pub window: [u16; 2],
    /// Distance of windows.
    pub stride: [u16; 2],
    /// Places that the first window reaches beyond the first place.
    pub padding: [u16; 2],
}

impl Windows {
    /// The geometry in some constants.
    #[must_use]
    pub fn of(constants: &[u32]) -> Option<Self> {
        let &[input, channels, output, window, stride, padding] = constants else {
            return None;
        };
        let pair = |word: u32| [word as u16, (word >> 16) as u16];
        Some(Self {
            input: pair(input),
            channels: channels as u16,
            output: pair(output),
            window: pair(window),
            stride: pair(stride),
            padding: pair(padding),
        })
    }

    /// The constants that hold it.
    #[must_use]
    pub fn constants(&self) -> [u32; CONSTANTS as usize] {
        let word = |[low, high]: [u16; 2]| u32::from(low) | u32::from(high) << 16;
        [
            word(self.input),
            self.channels.into(),
            word(self.output),
            word(self.window),
            word(self.stride),
            word(self.padding),
        ]
    }

    /// The geometry along an axis: vertical, or else horizontal.
    fn axis(&self, vertical: bool) -> Axis {
        let of = |[first, second]: [u16; 2]| if vertical { first } else { second }.into();
        Axis {
            input: of(self.input),
            output: of(self.output),
            window: of(self.window),
            stride: of(self.stride),
            padding: of(self.padding),
        }
    }

    /// Tells whether every window has places, and the numbers are those of an ensemble.
    fn fits(&self, places: u32, neurons: u32, channels: u32) -> bool {
        let plane = |[height, width]: [u16; 2]| volume(&[height.into(), width.into(), channels]);
        channels == u32::from(self.channels)
            && plane(self.input) == Some(places)
            && plane(self.output) == Some(neurons)
            && self.axis(true).meets()
            && self.axis(false).meets()
    }
}

/// The geometry along an axis.
struct Axis {
    input: u32,
    output: u32,
    window: u32,
    stride: u32,
    padding: u32,
}

impl Axis {
    /// Tells whether every window has places.
    fn meets(&self) -> bool {
        self.output > 0
            && self.stride > 0
            && self.padding < self.window
            && (self.output - 1) * self.stride < self.input + self.padding
    }

    /// The places of a window.
    fn span(&self, at: u32) -> Range<usize> {
        let start = at * self.stride;
        let end = (start + self.window).saturating_sub(self.padding);
        start.saturating_sub(self.padding) as usize..end.min(self.input) as usize
    }
}

impl Pool {
    /// Words of state: 16 bits for the count of each place and, from a word on, for what each window has emitted.
    pub(in super::super) fn words(self, neurons: u32) -> Option<u32> {
        self.places.div_ceil(2).checked_add(neurons.div_ceil(2))
    }

    /// Checks the size of an ensemble, and its constants.
    pub(in super::super) fn validate(
        self,
        neurons: u32,
        channels: u32,
        constants: &[u8],
    ) -> Result<(), Fault> {
        let (words, _) = constants.as_chunks::<4>();
        let mut values = [0; CONSTANTS as usize];
        for (value, word) in values.iter_mut().zip(words) {
            *value = u32::from_le_bytes(*word);
        }
        match Windows::of(&values) {
            Some(windows) if windows.fits(self.places, neurons, channels) => Ok(()),
            _ => Err(Fault::Neuron),
        }
    }

    /// Calls `emit` with what each window's count has changed by, if it has. `least` is the bias of each channel.
    pub fn fire(
        self,
        constants: &[u32],
        least: &[i16],
        state: &mut [i16],
        mut emit: impl FnMut(Event),
    ) {
        let places = (self.places as usize).next_multiple_of(2);
        let (Some(windows), Some((counts, emitted))) =
            (Windows::of(constants), state.split_at_mut_checked(places))
        else {
            return;
        };
        let channels = least.len();
        let line = usize::from(windows.input[1]) * channels;
        let mut emitted = (0..=u16::MAX).zip(emitted);
        let (vertical, horizontal) = (windows.axis(true), windows.axis(false));
        for y in 0..vertical.output {
            let lines = vertical.span(y);
            for x in 0..horizontal.output {
                let columns = horizontal.span(x);
                for (channel, &least) in least.iter().enumerate() {
                    let Some((source, emitted)) = emitted.next() else {
                        return;
                    };
                    // All bits turned, the largest is the least.
                    let mut best = i16::MIN;
                    for y in lines.clone() {
                        let first = y * line + channel;
                        for x in columns.clone() {
                            let count = counts.get(first + x * channels);
                            best = best.max(count.copied().unwrap_or(0) ^ least);
                        }
                    }
                    let best = best ^ least;
                    let value = best.wrapping_sub(*emitted);
                    if value != 0 {
                        *emitted = best;
                        emit(Event { source, value });
                    }
                }
            }
        }
    }
}
