//! Max pooling: places count the events of the ensemble before, and each window emits what its largest count, or its
//! least, has grown by.
//!
//! A step looks at each place once for each window that it lies in; an event costs an addition.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use super::super::description::Ensemble;
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

    /// The places of a window along an axis.
    fn span(&self, axis: usize, at: u16) -> Range<usize> {
        let [input, window, stride, padding] = [self.input, self.window, self.stride, self.padding]
            .map(|pair| {
                let value = if axis == 0 { pair[0] } else { pair[1] };
                usize::from(value)
            });
        let start = usize::from(at) * stride;
        let end = (start + window).saturating_sub(padding).min(input);
        start.saturating_sub(padding)..end
    }

    /// Tells whether every window has places, and the numbers are those of an ensemble.
    fn fits(&self, places: u32, e: &Ensemble) -> bool {
        let channels = u32::from(self.channels);
        let plane = |[height, width]: [u16; 2]| volume(&[height.into(), width.into(), channels]);
        let meets = |axis: usize| {
            let [input, output, window, stride, padding] = [
                self.input,
                self.output,
                self.window,
                self.stride,
                self.padding,
            ]
            .map(|pair| u32::from(pair[axis]));
            output > 0 && stride > 0 && padding < window && (output - 1) * stride < input + padding
        };
        e.channels == channels
            && plane(self.input) == Some(places)
            && plane(self.output) == Some(e.neurons)
            && meets(0)
            && meets(1)
    }
}

impl Pool {
    /// Words of state: 16 bits for the count of each place and, from a word on, for what each window has emitted.
    pub(in super::super) fn words(self, neurons: u32) -> Option<u32> {
        self.places.div_ceil(2).checked_add(neurons.div_ceil(2))
    }

    /// Checks the ensemble and its constants.
    pub(in super::super) fn validate(self, e: &Ensemble, constants: &[u8]) -> Result<(), Fault> {
        let (words, _) = constants.as_chunks::<4>();
        let mut values = [0; CONSTANTS as usize];
        for (value, word) in values.iter_mut().zip(words) {
            *value = u32::from_le_bytes(*word);
        }
        match Windows::of(&values) {
            Some(windows) if windows.fits(self.places, e) => Ok(()),
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
        for y in 0..windows.output[0] {
            let lines = windows.span(0, y);
            for x in 0..windows.output[1] {
                let columns = windows.span(1, x);
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
