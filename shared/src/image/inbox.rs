//! Inboxes: what takes up the events for a part of the network before its neurons see them.

use serde::{Deserialize, Serialize};

use super::reader::Reader;

/// The most bits by which an event's count is shifted.
pub const MAX_FRACTION: u8 = 14;

/// A filter on all events that reach an ensemble or an output. An event of count n brings n · 2^`fraction` times
/// its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Inbox {
    /// Synapse on the events of a step.
    pub synapse: Synapse,
    /// Bits behind the weights' point, at most [`MAX_FRACTION`].
    pub fraction: u8,
}

/// A linear filter of first or second order with a gain that the host has put into thresholds and
/// biases. p takes up events; y is what the filter shows. Products are rounded to nearest, ties up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Synapse {
    /// Events reach their target in the same step: y = p, of this step alone.
    Through,
    /// y\[t\] = p\[t\]; p\[t\] = decay p\[t-1\] + events.
    Lowpass {
        /// Decay in parts of 2^16.
        decay: u16,
    },
    /// y\[t\] = q\[t\] + p\[t\]; q\[t\] = decay y\[t-1\] + feed p\[t-1\]; p as a lowpass's.
    Alpha {
        /// Decay in parts of 2^16.
        decay: u16,
        /// Decay in parts of 2^16.
        feed: u16,
    },
}

impl Synapse {
    /// Tells whether neurons see what it showed at the end of the step before. Events may come from any
    /// ensemble then.
    #[must_use]
    pub const fn is_delayed(self) -> bool {
        !matches!(self, Self::Through)
    }

    /// Words of state for each neuron or value: p, and q of an alpha synapse.
    #[must_use]
    pub const fn words(self) -> u32 {
        match self {
            Self::Through | Self::Lowpass { .. } => 1,
            Self::Alpha { .. } => 2,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.variant(3) {
            0 => Self::Through,
            1 => Self::Lowpass {
                decay: reader.u16(),
            },
            _ => Self::Alpha {
                decay: reader.u16(),
                feed: reader.u16(),
            },
        }
    }
}

impl Inbox {
    /// An inbox, or none.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        (reader.flag() && reader.exact()).then(|| Self {
            synapse: Synapse::read(reader),
            fraction: reader.u8(),
        })
    }
}
