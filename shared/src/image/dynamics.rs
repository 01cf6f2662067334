//! Populations and readouts that run step by step as Nengo's do: their neurons, filters and first
//! voltages.
//!
//! A network either has a record for each of its ensembles and outputs, in this order, or none at all.
//! Records have a fixed length and are read in place, so that a network without them is no larger.

use super::description::Section;
use super::error::Fault;
use super::header::ALIGN;

/// The length of a record in bytes.
pub const RECORD_LEN: usize = 48;
/// The most bits by which an event's count is shifted.
pub const MAX_FRACTION: u8 = 14;
/// The most bits by which the sums of inputs are shifted, to either side.
pub const MAX_SHIFT: i8 = 31;
/// The pieces of a step in the table of a leak.
pub const LEAK_PIECES: usize = 64;
/// A step in the units of refractory times and of the leak's table.
pub const STEP: u32 = 1 << 16;
/// The bits behind the point of the leak's table.
pub const LEAK_BITS: u32 = 30;

/// What an ensemble or an output does with what reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dynamics {
    /// Its neurons, or that it has none.
    pub kind: Kind,
    /// The filter on what its sources of events send; `None` where only inputs reach it.
    pub synapse: Option<Synapse>,
    /// An event of count n brings n 2^this times the weight.
    pub fraction: u8,
    /// The sums of the inputs are multiplied by 2^this, rounded to nearest where it is below zero.
    pub current_shift: i8,
    /// The proven least value of a filter at any time.
    pub filter_min: i32,
    /// The proven largest value of a filter at any time.
    pub filter_max: i32,
}

/// What stands behind the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// An output.
    Readout {
        /// Whether it shows what the filter showed at the end of the step before.
        delayed: bool,
    },
    /// V += max(J, 0) - slope max(-J, 0); n = V / θ, rounded towards zero; V -= n θ.
    Rectified {
        /// The slope below zero, in parts of 2^16.
        negative_slope: u16,
        /// V at the start.
        initial: Initial,
    },
    /// Leaky integrate-and-fire neurons with a refractory time, at most one spike in a step.
    Lif {
        /// The leak and what follows a spike.
        leak: Leak,
        /// V at the start.
        initial: Initial,
    },
}

/// V of each neuron at the start of an inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Initial {
    /// 0.
    Zero,
    /// Half the threshold.
    Half,
    /// `u16` for each neuron: a share of the threshold in parts of 2^16, rounded down.
    Values(Section),
}

/// A linear filter of first or second order with a gain that the host has put into thresholds and
/// biases. p takes up events; y is what the filter shows. Products are rounded to nearest, ties up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Synapse {
    /// Events reach their target in the same step: y = p, of this step alone.
    Through,
    /// y\[t\] = p\[t\]; p\[t\] = decay p\[t-1\] + events.
    Lowpass {
        /// In parts of 2^16.
        decay: u16,
    },
    /// y\[t\] = q\[t\] + p\[t\]; q\[t\] = decay y\[t-1\] + feed p\[t-1\]; p as a lowpass's.
    Alpha {
        /// In parts of 2^16.
        decay: u16,
        /// In parts of 2^16.
        feed: u16,
    },
}

/// The leak of LIF neurons: V += (J - V) E(δ) for the part δ of the step in which the neuron is not
/// refractory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Leak {
    /// E at the ends of [`LEAK_PIECES`] equal pieces of a step, from 0 to a whole step, `u32` each with
    /// [`LEAK_BITS`] bits behind the point; strictly ascending from 0. Linear in between.
    pub table: Section,
    /// The refractory time, in parts of [`STEP`].
    pub refractory: u32,
    /// The least V, at most 0, as a share of the threshold in parts of 2^16.
    pub minimum: i32,
    /// V has this many more bits than J and the threshold have.
    pub voltage_bits: u8,
}

impl Synapse {
    /// Whether what it shows is that of the step before.
    #[must_use]
    pub const fn is_filter(self) -> bool {
        !matches!(self, Self::Through)
    }
}

impl Dynamics {
    /// Words of state for each neuron or value: V or the sum, the filter, the refractory time.
    #[must_use]
    pub const fn words(&self) -> u32 {
        let filter = match self.synapse {
            None => 0,
            Some(Synapse::Through | Synapse::Lowpass { .. }) => 1,
            Some(Synapse::Alpha { .. }) => 2,
        };
        let refractory = match self.kind {
            Kind::Lif { .. } => 1,
            _ => 0,
        };
        1 + filter + refractory
    }

    /// Where V starts; an output's sum starts at zero.
    #[must_use]
    pub const fn initial(&self) -> Initial {
        match self.kind {
            Kind::Readout { .. } => Initial::Zero,
            Kind::Rectified { initial, .. } | Kind::Lif { initial, .. } => initial,
        }
    }

    /// The record's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        let mut put = |at: usize, value: &[u8]| {
            for (byte, v) in bytes.iter_mut().skip(at).zip(value) {
                *byte = *v;
            }
        };
        let (synapse, decay, feed) = match self.synapse {
            None => (0, 0, 0),
            Some(Synapse::Through) => (1, 0, 0),
            Some(Synapse::Lowpass { decay }) => (2, decay, 0),
            Some(Synapse::Alpha { decay, feed }) => (3, decay, feed),
        };
        let (kind, slope, delayed) = match self.kind {
            Kind::Readout { delayed } => (0, 0, delayed),
            Kind::Rectified { negative_slope, .. } => (1, negative_slope, false),
            Kind::Lif { .. } => (2, 0, false),
        };
        let (initial, values) = match self.initial() {
            Initial::Zero => (0, None),
            Initial::Half => (1, None),
            Initial::Values(section) => (2, Some(section)),
        };
        put(0, &[kind, synapse, self.fraction, self.current_shift as u8]);
        put(4, &decay.to_le_bytes());
        put(6, &feed.to_le_bytes());
        put(8, &slope.to_le_bytes());
        put(10, &[initial, u8::from(delayed)]);
        if let Some(section) = values {
            put(12, &section.offset.to_le_bytes());
            put(16, &section.len.to_le_bytes());
        }
        if let Kind::Lif { leak, .. } = self.kind {
            put(20, &leak.table.offset.to_le_bytes());
            put(24, &leak.table.len.to_le_bytes());
            put(28, &leak.refractory.to_le_bytes());
            put(32, &leak.minimum.to_le_bytes());
            put(44, &[leak.voltage_bits]);
        }
        put(36, &self.filter_min.to_le_bytes());
        put(40, &self.filter_max.to_le_bytes());
        bytes
    }

    /// Reads a record; `None` where it is none.
    #[must_use]
    pub fn read(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        let half = |at| u16::from_le_bytes(part(bytes, at));
        let word = |at| u32::from_le_bytes(part(bytes, at));
        let section = |at: usize| Section {
            offset: word(at),
            len: word(at + 4),
        };
        let (decay, feed) = (half(4), half(6));
        let synapse = match bytes[1] {
            0 => None,
            1 => Some(Synapse::Through),
            2 => Some(Synapse::Lowpass { decay }),
            3 => Some(Synapse::Alpha { decay, feed }),
            _ => return None,
        };
        let initial = match bytes[10] {
            0 => Initial::Zero,
            1 => Initial::Half,
            2 => Initial::Values(section(12)),
            _ => return None,
        };
        let kind = match bytes[0] {
            0 => Kind::Readout {
                delayed: match bytes[11] {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
            },
            1 => Kind::Rectified {
                negative_slope: half(8),
                initial,
            },
            2 => Kind::Lif {
                leak: Leak {
                    table: section(20),
                    refractory: word(28),
                    minimum: word(32) as i32,
                    voltage_bits: bytes[44],
                },
                initial,
            },
            _ => return None,
        };
        let dynamics = Self {
            kind,
            synapse,
            fraction: bytes[2],
            current_shift: bytes[3] as i8,
            filter_min: word(36) as i32,
            filter_max: word(40) as i32,
        };
        // What a record does not use is zero, so that a later version can give it a meaning.
        (dynamics.to_bytes() == *bytes).then_some(dynamics)
    }
}

/// The bytes of a field of a record.
fn part<const N: usize>(record: &[u8; RECORD_LEN], at: usize) -> [u8; N] {
    let field = record.get(at..).and_then(<[u8]>::first_chunk);
    field.copied().unwrap_or([0; N])
}

/// The records of a network: of its ensembles, then of its outputs; empty where it has none, and in a build
/// without the feature `dynamics`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records in these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !cfg!(feature = "dynamics") || self.bytes.is_empty()
    }

    /// The record of an ensemble, or of an output behind all ensembles.
    #[must_use]
    pub fn get(&self, part: usize) -> Option<Dynamics> {
        if !cfg!(feature = "dynamics") {
            return None;
        }
        let bytes = self.bytes.get(part.checked_mul(RECORD_LEN)?..)?;
        Dynamics::read(bytes.first_chunk()?)
    }
}

/// Checks a record against its part of the network, which has so many neurons or values. `section`
/// finds a section of a stated length.
pub(super) fn validate<'a>(
    dynamics: &Dynamics,
    size: u32,
    readout: bool,
    section: impl Fn(Section, Option<u32>) -> Result<&'a [u8], Fault>,
) -> Result<(), Fault> {
    if readout != matches!(dynamics.kind, Kind::Readout { .. }) {
        return Err(Fault::Dynamics);
    }
    if dynamics.fraction > MAX_FRACTION
        || !(-MAX_SHIFT..=MAX_SHIFT).contains(&dynamics.current_shift)
    {
        return Err(Fault::Shift);
    }
    // At rest a filter shows zero.
    if dynamics.filter_min > 0 || dynamics.filter_max < 0 {
        return Err(Fault::Bounds);
    }
    if let Initial::Values(values) = dynamics.initial() {
        section(values, size.checked_mul(2))?;
    }
    if let Kind::Lif { leak, .. } = dynamics.kind {
        if leak.voltage_bits > MAX_FRACTION || leak.minimum > 0 {
            return Err(Fault::Dynamics);
        }
        let table = section(leak.table, Some(((LEAK_PIECES + 1) * ALIGN) as u32))?;
        let mut last = None;
        for entry in table.chunks_exact(ALIGN) {
            let entry = entry.first_chunk().map(|e| u32::from_le_bytes(*e));
            let (Some(entry), true) = (entry, entry > last) else {
                return Err(Fault::Dynamics);
            };
            if (last.is_none() && entry != 0) || entry > 1 << LEAK_BITS {
                return Err(Fault::Dynamics);
            }
            last = Some(entry);
        }
    }
    Ok(())
}
