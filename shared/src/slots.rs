//! Two places for the model in flash, and which of them counts.
//!
//! An update writes the place that is not in use, reads it back, and then switches with one write of one
//! word. The power may go at any moment, in the middle of an erase or a write as well: what is left is a
//! device with the old model or with the new one.
//!
//! # Why a word can be trusted
//! Flash is erased to ones, and a write only turns ones to zeros. A write that the power cut short has
//! turned some of its bits and not others; an erase that was cut short likewise, the other way. Every
//! word of the state carries the number of zeros among its other bits (a Berger code, J. M. Berger,
//! "A note on error detection codes for asymmetric channels", 1961). Bits that are one where they should
//! be zero lower the real number and can only raise the written one, so that no half-written and no
//! half-erased word passes for another.
//!
//! # The journal
//! Two sectors hold the state, of which the one with the later sequence number counts. Its first word is
//! that number, the words behind it are records, of which the last valid one counts. Where a sector is
//! full, the other is erased, gets the record, and then its number: that write is the switch.

use core::fmt;
use core::ops::Range;

/// Flash as an update sees it.
pub trait Flash {
    /// Why an access failed.
    type Error;

    /// Fills `bytes` with what is at `address`.
    ///
    /// # Errors
    /// Where the memory cannot be read.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Turns a whole erase unit to ones.
    ///
    /// # Errors
    /// Where the memory cannot be erased.
    fn erase(&mut self, address: u32) -> Result<(), Self::Error>;

    /// Writes `bytes`, whose place has been erased, at a multiple of the layout's `write_size`.
    ///
    /// # Errors
    /// Where the memory cannot be written.
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<F: Flash> Flash for &mut F {
    type Error = F::Error;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(address, bytes)
    }

    fn erase(&mut self, address: u32) -> Result<(), Self::Error> {
        (**self).erase(address)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write(address, bytes)
    }
}

/// One of the two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// The other place.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// Where slots and state lie in flash. No two of them share an erase unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    /// The places for a model, in addresses; each starts and ends at an erase unit's border.
    pub slots: [Range<u32>; 2],
    /// The two erase units that hold the state.
    pub state: [Range<u32>; 2],
    /// Bytes of an erase unit within the slots.
    pub erase_size: u32,
    /// Bytes that are written at once and never again until they are erased: records lie this far apart.
    pub write_size: u32,
}

/// What of a layout is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayoutError {
    /// A slot is empty or no multiple of the erase unit.
    Size,
    /// The write size is not 4, 8, 16 ... or 256 bytes.
    WriteSize,
    /// Two parts overlap.
    Overlap,
    /// A state sector has no room for a number and one record.
    State,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "a slot is empty or no multiple of the erase unit",
            Self::WriteSize => "the write size is not 4, 8, 16 ... or 256 bytes",
            Self::Overlap => "two parts of the flash layout overlap",
            Self::State => "a state sector has no room for a number and a record",
        })
    }
}

impl core::error::Error for LayoutError {}

impl SlotLayout {
    /// Checks that the parts have sizes that make sense and do not overlap.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), LayoutError> {
        let Self {
            slots,
            state,
            erase_size,
            write_size,
        } = self;
        let whole_words = write_size.is_multiple_of(WORD);
        if *write_size < WORD || !whole_words || !(CHUNK as u32).is_multiple_of(*write_size) {
            return Err(LayoutError::WriteSize);
        }
        for slot in slots {
            let len = slot.end.saturating_sub(slot.start);
            if len == 0 || len.checked_rem(*erase_size) != Some(0) {
                return Err(LayoutError::Size);
            }
        }
        for sector in state {
            let len = sector.end.saturating_sub(sector.start);
            if len / write_size < 2 {
                return Err(LayoutError::State);
            }
        }
        let parts = [&slots[0], &slots[1], &state[0], &state[1]];
        let overlap = parts.iter().enumerate().any(|(at, a)| {
            let rest = parts.iter().skip(at + 1);
            rest.into_iter().any(|b| a.start < b.end && b.start < a.end)
        });
        if overlap {
            return Err(LayoutError::Overlap);
        }
        Ok(())
    }

    /// The addresses of a slot.
    #[must_use]
    pub const fn slot(&self, slot: Slot) -> &Range<u32> {
        match slot {
            Slot::A => &self.slots[0],
            Slot::B => &self.slots[1],
        }
    }
}

/// What the journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct State {
    /// The slot to start from.
    pub slot: Slot,
    /// No model of a version below this may run; at most [`MINIMUM_LIMIT`].
    pub minimum: u32,
}

impl State {
    /// The state of a device on which nothing has been written.
    pub const BLANK: Self = Self {
        slot: Slot::A,
        minimum: 0,
    };
}

/// The largest minimum version that a record can hold.
pub const MINIMUM_LIMIT: u32 = (1 << 22) - 1;

const WORD: u32 = 4;
/// Bits of a word that are not its number of zeros.
const PAYLOAD: u32 = 24;
const PAYLOAD_MASK: u32 = (1 << PAYLOAD) - 1;
/// The three bits that no word uses: zeros, so that an erased word is none.
const UNUSED: u32 = 0b111 << 29;

/// A payload of 24 bits with its number of zeros above.
const fn encode(payload: u32) -> u32 {
    let payload = payload & PAYLOAD_MASK;
    let zeros = PAYLOAD - payload.count_ones();
    payload | zeros << PAYLOAD
}

/// The payload of a word that was written whole.
const fn decode(word: u32) -> Option<u32> {
    let payload = word & PAYLOAD_MASK;
    if word & UNUSED == 0 && encode(payload) == word {
        Some(payload)
    } else {
        None
    }
}

impl State {
    const fn word(self) -> u32 {
        let slot = match self.slot {
            Slot::A => 0,
            Slot::B => 1,
        };
        encode(self.minimum << 1 | slot)
    }

    /// The slot to start from: the one that counts, or the other where the first holds no model that may
    /// run. `version_of` looks at a slot and gives the version of a model that has been found whole (and
    /// signed, where signatures are asked for).
    #[must_use]
    pub fn boot(self, mut version_of: impl FnMut(Slot) -> Option<u32>) -> Option<Slot> {
        [self.slot, self.slot.other()]
            .into_iter()
            .find(|&slot| version_of(slot).is_some_and(|version| version >= self.minimum))
    }

    const fn of(word: u32) -> Option<Self> {
        match decode(word) {
            Some(payload) => Some(Self {
                slot: if payload & 1 == 0 { Slot::A } else { Slot::B },
                minimum: payload >> 1,
            }),
            None => None,
        }
    }
}

/// Why an update was not made; what ran before still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UpdateError<E> {
    /// The layout makes no sense.
    Layout(LayoutError),
    /// The flash failed.
    Flash(E),
    /// The model is larger than a slot.
    TooLarge {
        /// Bytes of the model.
        needed: usize,
        /// Bytes of the slot.
        available: usize,
    },
    /// The minimum is larger than a record can hold.
    Minimum {
        /// What was asked for.
        minimum: u32,
    },
    /// The model's version is below the minimum.
    Downgrade {
        /// The model's version.
        version: u32,
        /// The least version that may run.
        minimum: u32,
    },
    /// What was read back is not what was written.
    Verify {
        /// The first address that differs.
        address: u32,
    },
}

impl<E: fmt::Display> fmt::Display for UpdateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(e) => e.fmt(f),
            Self::Flash(e) => e.fmt(f),
            Self::TooLarge { needed, available } => {
                write!(f, "the model has {needed} bytes, a slot has {available}")
            }
            Self::Minimum { minimum } => write!(
                f,
                "a minimum version of {minimum} is above {MINIMUM_LIMIT}, the most that the device can store"
            ),
            Self::Downgrade { version, minimum } => write!(
                f,
                "the model has version {version}, and the device takes none below {minimum}"
            ),
            Self::Verify { address } => write!(
                f,
                "what was read back from {address:#010x} is not what was written there"
            ),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for UpdateError<E> {}

/// A sector of the journal that counts.
#[derive(Clone, Copy)]
struct Sector {
    /// Which of the two.
    at: usize,
    sequence: u32,
    state: State,
    /// The first address behind the last word that is not erased.
    next: u32,
}

/// The journal in a device's flash.
#[derive(Debug)]
pub struct Journal<'a, F> {
    layout: &'a SlotLayout,
    flash: F,
}

impl<'a, F: Flash> Journal<'a, F> {
    /// The journal of a layout.
    ///
    /// # Errors
    /// Where the layout makes no sense.
    pub fn new(layout: &'a SlotLayout, flash: F) -> Result<Self, LayoutError> {
        layout.check()?;
        Ok(Self { layout, flash })
    }

    /// What counts now: which slot to start from. Reads only.
    ///
    /// # Errors
    /// Where the flash cannot be read.
    pub fn state(&mut self) -> Result<State, F::Error> {
        Ok(self.current()?.map_or(State::BLANK, |s| s.state))
    }

    /// Writes a model of `version` to the slot that is not `running`, reads it back and switches to it.
    /// No model below `minimum` will be taken from then on; one that is below the minimum so far leaves
    /// that as it is. `image` is padded with ones to whole writes.
    ///
    /// `running` is the slot whose model has been found good, which need not be the one that
    /// [`state`](Self::state) names.
    ///
    /// # Errors
    /// Where the model is too large or too old, or the flash fails. Whatever the error, the running slot
    /// is as it was, and unless the last write failed in the flash, so is the state.
    pub fn update(
        &mut self,
        running: Slot,
        image: &[u8],
        version: u32,
        minimum: u32,
    ) -> Result<Slot, UpdateError<F::Error>> {
        let current = self.current().map_err(UpdateError::Flash)?;
        let state = current.map_or(State::BLANK, |s| s.state);
        if minimum > MINIMUM_LIMIT {
            return Err(UpdateError::Minimum { minimum });
        }
        let minimum = minimum.max(state.minimum);
        if version < minimum {
            return Err(UpdateError::Downgrade { version, minimum });
        }
        let slot = running.other();
        let place = self.layout.slot(slot).clone();
        let available = (place.end - place.start) as usize;
        if image.len() > available {
            return Err(UpdateError::TooLarge {
                needed: image.len(),
                available,
            });
        }
        // Were the state to name the slot that is about to be erased, a cut would leave it naming a ruin:
        // the device would still find the other, but only by looking.
        if state.slot == slot {
            let named = State {
                slot: running,
                ..state
            };
            self.append(current, named).map_err(UpdateError::Flash)?;
        }
        self.fill(&place, image)?;
        let current = self.current().map_err(UpdateError::Flash)?;
        self.append(current, State { slot, minimum })
            .map_err(UpdateError::Flash)?;
        Ok(slot)
    }

    /// Raises the least version that may run, and changes nothing else.
    ///
    /// # Errors
    /// Where it is lower than before or too large, or the flash fails.
    pub fn raise(&mut self, minimum: u32) -> Result<(), UpdateError<F::Error>> {
        let current = self.current().map_err(UpdateError::Flash)?;
        let state = current.map_or(State::BLANK, |s| s.state);
        if minimum > MINIMUM_LIMIT {
            return Err(UpdateError::Minimum { minimum });
        }
        if minimum < state.minimum {
            return Err(UpdateError::Downgrade {
                version: minimum,
                minimum: state.minimum,
            });
        }
        self.append(current, State { minimum, ..state })
            .map_err(UpdateError::Flash)
    }

    /// Erases what the image covers, writes it and compares.
    fn fill(&mut self, place: &Range<u32>, image: &[u8]) -> Result<(), UpdateError<F::Error>> {
        let mut address = place.start;
        let end = place.start.saturating_add(image.len() as u32);
        while address < end {
            self.flash.erase(address).map_err(UpdateError::Flash)?;
            address = address.saturating_add(self.layout.erase_size);
        }
        let mut address = place.start;
        for chunk in image.chunks(CHUNK) {
            let mut whole = [0xff; CHUNK];
            if let Some(to) = whole.get_mut(..chunk.len()) {
                to.copy_from_slice(chunk);
            }
            let padded = chunk
                .len()
                .next_multiple_of(self.layout.write_size.max(1) as usize);
            self.flash
                .write(address, whole.get(..padded).unwrap_or(&whole))
                .map_err(UpdateError::Flash)?;
            address = address.saturating_add(chunk.len() as u32);
        }
        let mut address = place.start;
        for chunk in image.chunks(CHUNK) {
            let mut back = [0; CHUNK];
            let Some(back) = back.get_mut(..chunk.len()) else {
                continue;
            };
            self.flash.read(address, back).map_err(UpdateError::Flash)?;
            if let Some(at) = chunk.iter().zip(&*back).position(|(a, b)| a != b) {
                return Err(UpdateError::Verify {
                    address: address.saturating_add(at as u32),
                });
            }
            address = address.saturating_add(chunk.len() as u32);
        }
        Ok(())
    }

    /// Adds a record behind the last one, or moves to the other sector.
    fn append(&mut self, current: Option<Sector>, state: State) -> Result<(), F::Error> {
        let layout = self.layout;
        if let Some(sector) = current {
            if sector.state == state {
                return Ok(());
            }
            let place = &layout.state[sector.at];
            if sector.next.saturating_add(layout.write_size) <= place.end {
                return self.write_word(sector.next, state.word());
            }
        }
        let at = current.map_or(0, |s| 1 - s.at);
        let sequence = current.map_or(0, |s| s.sequence.wrapping_add(1) & PAYLOAD_MASK);
        let start = layout.state[at].start;
        self.flash.erase(start)?;
        self.write_word(start.saturating_add(layout.write_size), state.word())?;
        self.write_word(start, encode(sequence))
    }

    fn write_word(&mut self, address: u32, word: u32) -> Result<(), F::Error> {
        let mut bytes = [0xff; CHUNK];
        let [b0, b1, b2, b3, ..] = &mut bytes;
        [*b0, *b1, *b2, *b3] = word.to_le_bytes();
        let size = (self.layout.write_size as usize).min(CHUNK);
        self.flash.write(address, bytes.get(..size).unwrap_or(&[]))
    }

    fn read_word(&mut self, address: u32) -> Result<u32, F::Error> {
        let mut bytes = [0; 4];
        self.flash.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The sector that counts, if any does.
    fn current(&mut self) -> Result<Option<Sector>, F::Error> {
        let first = self.sector(0)?;
        let second = self.sector(1)?;
        Ok(match (first, second) {
            // Numbers differ by one; they wrap.
            (Some(a), Some(b)) => {
                let ahead = b.sequence.wrapping_sub(a.sequence) & PAYLOAD_MASK;
                Some(if ahead <= PAYLOAD_MASK / 2 { b } else { a })
            }
            (a, b) => a.or(b),
        })
    }

    fn sector(&mut self, at: usize) -> Result<Option<Sector>, F::Error> {
        let layout = self.layout;
        let place = &layout.state[at];
        let Some(sequence) = decode(self.read_word(place.start)?) else {
            return Ok(None);
        };
        let mut found = None;
        let mut next = place.start.saturating_add(layout.write_size);
        let mut address = next;
        while address.saturating_add(layout.write_size) <= place.end {
            let word = self.read_word(address)?;
            address = address.saturating_add(layout.write_size);
            if word != u32::MAX {
                next = address;
            }
            found = State::of(word).or(found);
        }
        Ok(found.map(|state| Sector {
            at,
            sequence,
            state,
            next,
        }))
    }
}

/// Bytes that are written and compared at once.
const CHUNK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to stop halfway between all ones and a word, on words of few enough zeros to try all.
    #[test]
    fn no_half_written_word_is_valid() {
        for minimum in [0, 1, 2, 5, 1000, MINIMUM_LIMIT] {
            for slot in [Slot::A, Slot::B] {
                let word = State { slot, minimum }.word();
                let zeros = !word;
                // All supersets of the word's ones, by counting through the subsets of its zeros.
                let mut rest = zeros;
                let mut tried = 0;
                while rest != 0 && tried < 2_000_000 {
                    assert_eq!(State::of(word | rest), None, "{word:08x} | {rest:08x}");
                    rest = (rest - 1) & zeros;
                    tried += 1;
                }
                assert_eq!(State::of(word), Some(State { slot, minimum }));
            }
        }
        assert_eq!(State::of(u32::MAX), None);
    }
}
