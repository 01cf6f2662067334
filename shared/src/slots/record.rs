//! A record of the journal: 16 bytes ↔ a number and a state; and the record that counts, out of two sectors.
//!
//! Four little-endian words, each of 16 bits and their complement in the upper half: the number, the lower
//! and the upper half of the state, and a tag. So each word has 16 ones and 16 zeros. A bit that has not
//! been written or erased yet makes a pair of equal bits, and no such word is valid. Bits at random are valid
//! with a probability of at most 2^-64.

use super::{MINIMUM_LIMIT, Slot, State};

/// Bytes of a record.
pub(super) const RECORD: usize = 16;

/// The number of readings that decide on a place: weak bits read differently each time.
const READINGS: u32 = 32;

/// The last word's value, in every record.
const TAG: u16 = 0x3a71;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// One more than that of the record before; it wraps.
    pub(super) number: u16,
    pub(super) state: State,
    /// `true` if a later update has written it, because that of the first copy may have been cut.
    pub(super) settled: bool,
}

impl Record {
    /// The bytes that stand for it.
    pub(super) fn bytes(self) -> [u8; RECORD] {
        let slot = match self.state.slot {
            Slot::A => 0,
            Slot::B => 1,
        };
        let state = u32::from(self.settled) << 31 | self.state.minimum << 1 | slot;
        let halves = [self.number, state as u16, (state >> 16) as u16, TAG];
        let mut bytes = [0; RECORD];
        for (word, half) in bytes.as_chunks_mut().0.iter_mut().zip(halves) {
            *word = (u32::from(half) | u32::from(!half) << 16).to_le_bytes();
        }
        bytes
    }

    /// The record in some bytes; `None` unless they were written whole.
    pub(super) fn of(bytes: &[u8; RECORD]) -> Option<Self> {
        let mut halves = [0; RECORD / 4];
        for (half, word) in halves.iter_mut().zip(bytes.as_chunks().0) {
            let word = u32::from_le_bytes(*word);
            *half = word as u16;
            if (word >> 16) as u16 != !*half {
                return None;
            }
        }
        let [number, low, high, tag] = halves;
        let state = u32::from(high) << 16 | u32::from(low);
        let minimum = state << 1 >> 2;
        (tag == TAG && minimum <= MINIMUM_LIMIT).then_some(Self {
            number,
            state: State {
                slot: if state & 1 == 0 { Slot::A } else { Slot::B },
                minimum,
            },
            settled: state >> 31 == 1,
        })
    }
}

/// Contents of a sector of the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sector {
    /// Index of the sector.
    pub(super) at: usize,
    pub(super) record: Record,
    /// The number of copies that every reading gave.
    pub(super) firm: u32,
}

/// Reads both copies of a record in each of two sectors of so many bytes. `read` gives the bytes of a sector
/// from an offset on; `None` if they cannot be read.
pub(super) fn survey<E>(
    lengths: [u32; 2],
    mut read: impl FnMut(usize, u32) -> Result<Option<[u8; RECORD]>, E>,
) -> Result<[Option<Sector>; 2], E> {
    let mut found: [Option<Sector>; 2] = [None; 2];
    for (at, (found, length)) in found.iter_mut().zip(lengths).enumerate() {
        for offset in [0, length / 2] {
            let (mut first, mut times) = (None, 0);
            for _ in 0..READINGS {
                let record = read(at, offset)?.as_ref().and_then(Record::of);
                first = first.or(record);
                times += u32::from(record.is_some() && record == first);
            }
            let firm = u32::from(times == READINGS);
            let Some(record) = first else { continue };
            match found {
                Some(first) if first.firm >= firm => {
                    first.firm += firm * u32::from(first.record == record);
                }
                _ => *found = Some(Sector { at, record, firm }),
            }
        }
    }
    Ok(found)
}

/// The sector that counts.
pub(super) fn latest(sectors: [Option<Sector>; 2]) -> Option<Sector> {
    match sectors {
        [Some(a), Some(b)] => Some(match b.record.number.wrapping_sub(a.record.number) {
            1 => b,
            u16::MAX => a,
            // No update leaves such numbers: nothing older than either allows may run.
            _ if b.record.state.minimum > a.record.state.minimum => b,
            _ => a,
        }),
        [a, b] => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let parts = (
            any::<u16>(),
            any::<bool>(),
            0..=MINIMUM_LIMIT,
            any::<bool>(),
        );
        parts.prop_map(|(number, b, minimum, settled)| Record {
            number,
            state: State {
                slot: if b { Slot::B } else { Slot::A },
                minimum,
            },
            settled,
        })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(record in any_record()) {
            prop_assert_eq!(Record::of(&record.bytes()), Some(record));
            for word in record.bytes().as_chunks::<4>().0 {
                prop_assert_eq!(u32::from_le_bytes(*word).count_ones(), 16);
            }
        }

        /// Each byte of the mask says which bits a write or an erase has reached.
        #[test]
        fn half_a_record_is_none(record in any_record(), reached in any::<[u8; RECORD]>()) {
            let whole = record.bytes();
            for erased in [0, u8::MAX] {
                let mut half = whole;
                for (byte, mask) in half.iter_mut().zip(reached) {
                    *byte = *byte & mask | erased & !mask;
                }
                prop_assert!(half == whole || Record::of(&half).is_none());
            }
        }

        #[test]
        fn a_single_bit_that_flips_is_noticed(record in any_record(), bit in 0..8 * RECORD) {
            let mut bytes = record.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Record::of(&bytes), None);
        }
    }

    #[test]
    fn erased_flash_is_no_record() {
        for erased in [0, u8::MAX] {
            assert_eq!(Record::of(&[erased; RECORD]), None);
        }
    }
}
