//! Coders: what makes events of an input's samples, on the device as on the host.

use serde::{Deserialize, Serialize};

use super::section::Section;

/// Code by which the samples of an input become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Coder {
    /// None: each byte less the zero point is a number of events.
    #[default]
    None,
    /// Events for changes. A sample is an `i16` for each channel, little-endian. Channel c has the places 2 c for rises and
    /// 2 c + 1 for falls, see [`change`]. The first sample after a reset is what later ones are compared with.
    Delta {
        /// The threshold of each channel, `u16` in units of samples.
        thresholds: Section,
        /// The most events of a place in a step.
        most: u8,
    },
    /// Events in proportion to a byte for each place, see [`share`].
    Rate {
        /// The sum of bytes that makes an event.
        full: u8,
    },
}

impl Coder {
    /// Words of state that the places of an input need.
    #[must_use]
    pub const fn words(self, places: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::Delta { .. } => places / 2,
            Self::Rate { .. } => places.div_ceil(4),
        }
    }

    /// Values of a sample for so many places.
    #[must_use]
    pub const fn values(self, places: usize) -> usize {
        match self {
            Self::Delta { .. } => places / 2,
            Self::None | Self::Rate { .. } => places,
        }
    }

    /// The most events that a place has in a step.
    pub(crate) fn most(self, max: u8) -> u8 {
        match self {
            Self::None => max,
            Self::Delta { most, .. } => most,
            // What is left of sums before is less than a full one.
            Self::Rate { full } => {
                let most = (u32::from(u8::MAX) + u32::from(full)).saturating_sub(1);
                most.checked_div(full.into()).unwrap_or(u32::MAX).min(255) as u8
            }
        }
    }
}

/// The changes of a channel by whole thresholds since its reference, at most `most`, below 0 for falls. The reference moves by as
/// much.
#[must_use]
pub fn change(reference: &mut i32, sample: i16, threshold: u16, most: u8) -> i16 {
    let (threshold, most) = (i32::from(threshold), i32::from(most));
    let distance = i32::from(sample).saturating_sub(*reference);
    let count = distance.checked_div(threshold).unwrap_or(0);
    let count = count.clamp(-most, most);
    *reference = reference.saturating_add(count.saturating_mul(threshold));
    count as i16
}

/// The whole sums of bytes since the last event. What is left stays.
#[must_use]
pub fn share(rest: &mut u8, byte: u8, full: u8) -> u8 {
    let sum = u16::from(*rest) + u16::from(byte);
    let full = u16::from(full.max(1));
    // A remainder is less than `full`.
    *rest = sum.checked_rem(full).unwrap_or(0) as u8;
    sum.checked_div(full).unwrap_or(0).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_in_whole_thresholds() {
        let mut reference = 100;
        assert_eq!(change(&mut reference, 129, 10, 3), 2);
        assert_eq!(reference, 120);
        assert_eq!(change(&mut reference, 111, 10, 3), 0);
        assert_eq!(change(&mut reference, 0, 10, 3), -3);
        assert_eq!(reference, 90);
        // References catch up later.
        assert_eq!(change(&mut reference, 50, 10, 3), -3);
        assert_eq!(change(&mut reference, 50, 10, 3), -1);
        assert_eq!(change(&mut reference, i16::MIN, u16::MAX, 255), 0);
        let mut low = i32::from(i16::MIN);
        assert_eq!(change(&mut low, i16::MAX, 1, 255), 255);
    }

    #[test]
    fn rates_lose_nothing() {
        for full in [1, 2, 100, 255] {
            for byte in [0, 1, 99, 254, 255] {
                let (mut rest, mut events) = (0, 0u32);
                let most = Coder::Rate { full }.most(0);
                for _ in 0..1000 {
                    let count = share(&mut rest, byte, full);
                    assert!(count <= most);
                    events += u32::from(count);
                }
                assert_eq!(
                    events * u32::from(full) + u32::from(rest),
                    1000 * u32::from(byte)
                );
            }
        }
    }
}
