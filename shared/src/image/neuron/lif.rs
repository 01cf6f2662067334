//! Leaky integrate-and-fire neurons with a refractory time.

use serde::{Deserialize, Serialize};

use crate::image::error::Fault;
use crate::image::reader::Reader;

/// The pieces of a step in the table of a leak.
pub const LEAK_PIECES: usize = 64;
/// A step in the units of refractory times and of the leak's table.
pub const STEP: u32 = 1 << 16;
/// The bits behind the point of the leak's table.
pub const LEAK_BITS: u32 = 30;
/// The most bits that V has more than J.
pub const MAX_VOLTAGE_BITS: u8 = 14;

/// V and the refractory time.
pub(super) const WORDS: u32 = 2;
/// The refractory time, the least voltage and the table.
pub(super) const CONSTANTS: u32 = 2 + LEAK_PIECES as u32 + 1;

/// Neurons of which V += (J - V) E(δ) for the part δ of a step in which they are not refractory; they emit at
/// most one spike in a step.
///
/// Their constants are
/// - the refractory time after a spike, `u32` in parts of [`STEP`], below 2^31;
/// - the least V, `i32`, at most 0, as a share of the threshold in parts of 2^16;
/// - E at the ends of [`LEAK_PIECES`] equal pieces of a step, from 0 to a whole step: `u32` each with
///   [`LEAK_BITS`] bits behind the point, strictly ascending from 0, at most 1. E is linear in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lif {
    /// V has this many more bits than J and the threshold have; at most [`MAX_VOLTAGE_BITS`].
    pub voltage_bits: u8,
}

impl Lif {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            voltage_bits: reader.u8(),
        }
    }

    pub(super) fn validate(&self, constants: &[u8]) -> Result<(), Fault> {
        let (constants, _) = constants.as_chunks::<4>();
        let mut constants = constants.iter().map(|word| u32::from_le_bytes(*word));
        let (refractory, minimum) = (constants.next(), constants.next());
        let valid = self.voltage_bits <= MAX_VOLTAGE_BITS
            && refractory.is_some_and(|time| time <= i32::MAX as u32)
            && minimum.is_some_and(|least| least as i32 <= 0)
            && constants.next() == Some(0);
        let mut last = 0;
        let ascends = constants.all(|entry| {
            let above = last;
            last = entry;
            above < entry && entry <= 1 << LEAK_BITS
        });
        if valid && ascends {
            Ok(())
        } else {
            Err(Fault::Neuron)
        }
    }
}
