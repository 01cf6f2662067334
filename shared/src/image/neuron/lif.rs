//! Leaky integrate-and-fire neurons with a refractory time: V += (J - V) E(δ); a spike if V > θ, and then V = 0 for
//! that time.
//!
//! A step is over when the current is there: whether a neuron spikes, and when, follows from it. Until the neuron
//! fires, its refractory time carries the spike in its top bit.

use core::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Drive, Kind, Neurons};
use crate::event::{EVENTS, Event, Events};
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

/// Units of a refractory time in one piece of a leak's table.
const PIECE: u32 = STEP / LEAK_PIECES as u32;
/// The mark of a spike on a refractory time, which is smaller.
const SPIKE: u32 = 1 << 31;

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
}

impl Kind for Lif {
    // V and the refractory time.
    const WORDS: u32 = 2;
    // The refractory time, the least voltage and the table.
    const CONSTANTS: u32 = 2 + LEAK_PIECES as u32 + 1;

    fn validate(&self, constants: &[u8]) -> Result<(), Fault> {
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

    fn start(&self, threshold: i32, share: u16) -> u32 {
        let whole = i64::from(threshold).wrapping_shl(self.voltage_bits.into());
        (whole.wrapping_mul(share.into()) >> 16) as u32
    }

    fn potential(&self, stored: u32) -> i32 {
        stored as i32
    }

    // A leak bounds V.
    fn saturate(&self, _state: &mut [u32], _limits: RangeInclusive<i32>) {}

    fn charge(&self, neurons: &mut Neurons<'_>, drive: Drive<'_>) {
        let Drive {
            currents,
            mut inbox,
            ..
        } = drive;
        let leak = Leak::of(neurons.constants, self.voltage_bits);
        let (voltages, times) = split(neurons.state, neurons.count);
        let currents = currents.iter().cycle();
        let parts = currents.zip(neurons.threshold.iter().cycle());
        let neurons = voltages.iter_mut().zip(times).zip(parts);
        for (at, ((voltage, time), (current, threshold))) in neurons.enumerate() {
            let current = current.wrapping_add(inbox.step(at));
            leak.step(voltage, time, current, *threshold);
        }
    }

    fn fire(&self, neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize {
        let (_, times) = split(neurons.state, neurons.count);
        let mut neuron = from;
        for time in times.iter_mut().skip(from) {
            if *time >= SPIKE {
                *time &= !SPIKE;
                // There is room: a full buffer ends the loop.
                let _ = events.push(Event {
                    source: neuron as u16,
                    value: 1,
                });
            }
            neuron += 1;
            if events.len() == EVENTS {
                break;
            }
        }
        neuron
    }
}

/// Voltages, and refractory times.
fn split(state: &mut [u32], count: usize) -> (&mut [u32], &mut [u32]) {
    state.split_at_mut(count.min(state.len()))
}

/// The leak, and what follows a spike.
struct Leak<'a> {
    /// The refractory time, in parts of [`STEP`].
    refractory: u32,
    /// The least V as a share of the threshold, in parts of 2^16.
    minimum: i32,
    /// E at the ends of all pieces of a step.
    table: &'a [u32],
    voltage_bits: u32,
}

impl<'a> Leak<'a> {
    fn of(constants: &'a [u32], voltage_bits: u8) -> Self {
        let (refractory, minimum, table) = match constants {
            [refractory, minimum, table @ ..] => (*refractory, *minimum, table),
            _ => (0, 0, &[][..]),
        };
        Self {
            refractory,
            minimum: minimum as i32,
            table,
            voltage_bits: voltage_bits.into(),
        }
    }

    /// Runs a neuron for a step.
    fn step(&self, voltage: &mut u32, time: &mut u32, current: i32, threshold: i32) {
        let drive = i64::from(current).wrapping_shl(self.voltage_bits);
        let threshold = i64::from(threshold).wrapping_shl(self.voltage_bits);
        let before = i64::from(*voltage as i32);
        let share = self.leaked(STEP.saturating_sub(*time));
        let rise = drive.wrapping_sub(before).wrapping_mul(share.into());
        let rounded = rise.wrapping_add(1 << (LEAK_BITS - 1)) >> LEAK_BITS;
        let after = before.wrapping_add(rounded);
        if after > threshold {
            let over = after.wrapping_sub(threshold).wrapping_shl(LEAK_BITS);
            let above = drive.wrapping_sub(threshold);
            let since = over.checked_div(above).unwrap_or(0);
            let since = self.elapsed(since.clamp(0, 1 << LEAK_BITS) as u32);
            *time = self.refractory.saturating_sub(since) | SPIKE;
            *voltage = 0;
        } else {
            *time = time.saturating_sub(STEP);
            let least = threshold.wrapping_mul(self.minimum.into()) >> 16;
            *voltage = after.max(least) as u32;
        }
    }

    /// E of a part of a step.
    fn leaked(&self, part: u32) -> u32 {
        let at = (part / PIECE) as usize;
        let from = self.table.get(at).copied().unwrap_or(0);
        let to = self.table.get(at.wrapping_add(1)).copied().unwrap_or(from);
        let rise = u64::from(to.wrapping_sub(from)).wrapping_mul((part % PIECE).into());
        from.wrapping_add((rise / u64::from(PIECE)) as u32)
    }

    /// The part of a step in which `share` leaks: the inverse of [`leaked`](Self::leaked).
    fn elapsed(&self, share: u32) -> u32 {
        let at = self.table.partition_point(|&entry| entry <= share);
        let before = at.saturating_sub(1);
        let (Some(&from), Some(&to)) = (self.table.get(before), self.table.get(at)) else {
            return STEP;
        };
        let into = u64::from(share.wrapping_sub(from)).wrapping_mul(PIECE.into());
        let into = into.checked_div(to.wrapping_sub(from).into()).unwrap_or(0);
        (before as u32)
            .wrapping_mul(PIECE)
            .wrapping_add(into as u32)
    }
}
