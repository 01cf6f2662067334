//! Two places for the model in flash, and which of them counts.
//!
//! An update writes the place that is not in use, reads it back, and then switches with one write of one
//! word. The power may go at any moment, in the middle of an erase or a write as well: what is left is a
//! device with the old model or with the new one.
//!
//! # Why a word can be trusted
//! Flash is erased to ones, and a write only turns ones to zeros (or the other way round, with some kinds of
//! flash). A write that the power cut short has
//! turned some of its bits and not others; an erase that was cut short likewise, the other way. Every
//! word of the state carries the number of zeros among its other bits (a Berger code, J. M. Berger,
//! "A note on error detection codes for asymmetric channels", 1961). Bits that are one where they should
//! be zero lower the real number and can only raise the written one, and the other way round, so that no
//! half-written and no half-erased word passes for another.
//!
//! # The journal
//! Two sectors hold the state, of which the one with the later sequence number counts. Its first word is
//! that number, the words behind it are records, of which the last valid one counts. The first record
//! stands directly behind the number, each other one in a unit of its own that is written at once.
//! Where a sector is full, the other is erased and gets its number and a record: it counts as soon as both
//! are whole, so that write is the switch. Where a sector is no larger than what is written at once, every
//! update moves to the other sector.
//!
//! A reader needs no more than the addresses of the sectors: it takes every word for a record that is one.

use core::fmt;
use core::ops::Range;

use serde::{Deserialize, Serialize};

/// Flash as an update sees it.
pub trait Flash {
    /// Why an access failed.
    type Error;

    /// Fills `bytes` with what is at `address`.
    ///
    /// # Errors
    /// Where the memory cannot be read.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Erases every unit of which the addresses are a part. They start where a unit starts.
    ///
    /// # Errors
    /// Where the memory cannot be erased.
    fn erase(&mut self, addresses: Range<u32>) -> Result<(), Self::Error>;

    /// Writes `bytes`, whose place has been erased, from a multiple of the layout's `write_size` on. What is
    /// missing to a whole unit stays as erasing left it; nothing is written there before the next erase.
    ///
    /// # Errors
    /// Where the memory cannot be written.
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;

    /// The first address at which something else than `bytes` lies.
    ///
    /// # Errors
    /// Where the memory cannot be read.
    fn differs(&mut self, address: u32, bytes: &[u8]) -> Result<Option<u32>, Self::Error> {
        const CHUNK: usize = 64;
        for (chunk, start) in bytes.chunks(CHUNK).zip((address..).step_by(CHUNK)) {
            let mut found = [0; CHUNK];
            let Some(found) = found.get_mut(..chunk.len()) else {
                continue;
            };
            self.read(start, found)?;
            if let Some(at) = chunk.iter().zip(&*found).position(|(a, b)| a != b) {
                return Ok(Some(start.saturating_add(at as u32)));
            }
        }
        Ok(None)
    }
}

impl<F: Flash> Flash for &mut F {
    type Error = F::Error;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(address, bytes)
    }

    fn erase(&mut self, addresses: Range<u32>) -> Result<(), Self::Error> {
        (**self).erase(addresses)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write(address, bytes)
    }

    fn differs(&mut self, address: u32, bytes: &[u8]) -> Result<Option<u32>, Self::Error> {
        (**self).differs(address, bytes)
    }
}

/// One of the two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The two sectors that hold the state; each starts and ends at an erase unit's border.
    pub state: [Range<u32>; 2],
    /// Bytes that are written at once and never again until they are erased: records lie this far apart.
    pub write_size: u32,
}

/// What of a layout is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayoutError {
    /// A slot is empty.
    Size,
    /// What is written at once is no multiple of 4 bytes.
    WriteSize,
    /// Two parts overlap.
    Overlap,
    /// A state sector has no room for a number and one record, or for what is written at once.
    State,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "a slot is empty",
            Self::WriteSize => "what is written at once is no multiple of 4 bytes",
            Self::Overlap => "two parts of the flash layout overlap",
            Self::State => {
                "a state sector has no room for a number and a record, or for what is written at once"
            }
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
            write_size,
        } = self;
        if *write_size < WORD || !write_size.is_multiple_of(WORD) {
            return Err(LayoutError::WriteSize);
        }
        if slots.iter().any(|slot| slot.end <= slot.start) {
            return Err(LayoutError::Size);
        }
        for sector in state {
            let len = sector.end.saturating_sub(sector.start);
            if len < HEAD || len < *write_size {
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
/// Bytes of a sector's number and its first record.
const HEAD: u32 = 2 * WORD;
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

    /// The slots in the order in which to look for a model that may run: the one that counts, then the other.
    #[must_use]
    pub const fn order(self) -> [Slot; 2] {
        [self.slot, self.slot.other()]
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

impl<E> UpdateError<E> {
    /// What the flash said; or why else there was no update.
    ///
    /// # Errors
    /// Where it was not the flash.
    pub fn into_flash(self) -> Result<E, UpdateError<core::convert::Infallible>> {
        Err(match self {
            Self::Flash(error) => return Ok(error),
            Self::Layout(error) => UpdateError::Layout(error),
            Self::TooLarge { needed, available } => UpdateError::TooLarge { needed, available },
            Self::Minimum { minimum } => UpdateError::Minimum { minimum },
            Self::Downgrade { version, minimum } => UpdateError::Downgrade { version, minimum },
            Self::Verify { address } => UpdateError::Verify { address },
        })
    }
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
    /// Bytes up to the last word that is not erased.
    used: u32,
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
        Ok(self.stored()?.unwrap_or(State::BLANK))
    }

    /// What the journal says; `None` where it has never been written, or is damaged. Reads only.
    ///
    /// # Errors
    /// Where the flash cannot be read.
    pub fn stored(&mut self) -> Result<Option<State>, F::Error> {
        Ok(self.current()?.map(|s| s.state))
    }

    /// Writes a model of `version` to the slot that is not `running`, reads it back and switches to it.
    /// No model below `minimum` will be taken from then on; one that is below the minimum so far leaves
    /// that as it is. `image` may go on behind the model with what belongs to it, such as a signature.
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
        let state = self.state().map_err(UpdateError::Flash)?;
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
            self.switch(running, state.minimum)?;
        }
        let end = place.start.saturating_add(image.len() as u32);
        self.flash
            .erase(place.start..end)
            .map_err(UpdateError::Flash)?;
        self.flash
            .write(place.start, image)
            .map_err(UpdateError::Flash)?;
        if let Some(address) = self
            .flash
            .differs(place.start, image)
            .map_err(UpdateError::Flash)?
        {
            return Err(UpdateError::Verify { address });
        }
        self.switch(slot, minimum)?;
        Ok(slot)
    }

    /// Raises the least version that may run, and changes nothing else.
    ///
    /// # Errors
    /// Where it is lower than before or too large, or the flash fails.
    pub fn raise(&mut self, minimum: u32) -> Result<(), UpdateError<F::Error>> {
        let state = self.state().map_err(UpdateError::Flash)?;
        self.switch(state.slot, minimum)
    }

    /// Names the slot that counts from now on, and the least version that may run. A journal that is damaged
    /// or has never been written is one then.
    ///
    /// # Errors
    /// Where the minimum is lower than before or too large, or the flash fails.
    pub fn switch(&mut self, slot: Slot, minimum: u32) -> Result<(), UpdateError<F::Error>> {
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
        self.append(current, State { slot, minimum })
            .map_err(UpdateError::Flash)
    }

    /// Adds a record behind the last one, or moves to the other sector.
    fn append(&mut self, current: Option<Sector>, state: State) -> Result<(), F::Error> {
        let layout = self.layout;
        if let Some(sector) = current {
            if sector.state == state {
                return Ok(());
            }
            let place = &layout.state[sector.at];
            let next = sector.used.div_ceil(layout.write_size.max(1));
            let next = next
                .saturating_mul(layout.write_size)
                .saturating_add(place.start);
            if next.saturating_add(layout.write_size) <= place.end {
                return self.flash.write(next, &state.word().to_le_bytes());
            }
        }
        let at = current.map_or(0, |s| 1 - s.at);
        let sequence = current.map_or(0, |s| s.sequence.wrapping_add(1) & PAYLOAD_MASK);
        let place = layout.state[at].clone();
        self.flash.erase(place.clone())?;
        self.flash.write(place.start, &head(sequence, state))
    }

    /// The sector that counts, if any does.
    fn current(&mut self) -> Result<Option<Sector>, F::Error> {
        let mut found = [None; 2];
        for (at, (place, found)) in self.layout.state.iter().zip(&mut found).enumerate() {
            let mut scan = Scan::default();
            let mut address = place.start;
            while address.saturating_add(WORD) <= place.end {
                let mut word = [0; WORD as usize];
                self.flash.read(address, &mut word)?;
                scan.take(word);
                address = address.saturating_add(WORD);
            }
            *found = scan.sector(at);
        }
        Ok(latest(found))
    }
}

/// What counts by the two sectors of a journal that lie in memory, as a device sees its own flash; `None`
/// where neither is valid.
#[must_use]
pub fn stored(sectors: [&[u8]; 2]) -> Option<State> {
    let mut found = [None; 2];
    for (at, (sector, found)) in sectors.into_iter().zip(&mut found).enumerate() {
        let mut scan = Scan::default();
        for word in sector.as_chunks().0 {
            scan.take(*word);
        }
        *found = scan.sector(at);
    }
    latest(found).map(|sector| sector.state)
}

/// The beginning of a journal that starts with a state: the first bytes of its first sector. The rest of both
/// sectors is to be erased.
#[must_use]
pub fn fresh(state: State) -> [u8; HEAD as usize] {
    head(0, state)
}

/// The beginning of a sector: its number and its first record.
fn head(sequence: u32, state: State) -> [u8; HEAD as usize] {
    let [a, b, c, d] = encode(sequence).to_le_bytes();
    let [e, f, g, h] = state.word().to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The later one of two sectors that are valid.
fn latest(sectors: [Option<Sector>; 2]) -> Option<Sector> {
    match sectors {
        // Numbers differ by one; they wrap.
        [Some(a), Some(b)] => {
            let ahead = b.sequence.wrapping_sub(a.sequence) & PAYLOAD_MASK;
            Some(if ahead <= PAYLOAD_MASK / 2 { b } else { a })
        }
        [a, b] => a.or(b),
    }
}

/// What has been seen of a sector, word by word.
#[derive(Default)]
struct Scan {
    /// Bytes so far.
    seen: u32,
    sequence: Option<u32>,
    state: Option<State>,
    /// Bytes up to the last word that is not erased.
    used: u32,
}

impl Scan {
    fn take(&mut self, word: [u8; WORD as usize]) {
        let word = u32::from_le_bytes(word);
        if self.seen == 0 {
            self.sequence = decode(word);
        } else {
            self.state = State::of(word).or(self.state);
        }
        self.seen = self.seen.saturating_add(WORD);
        // Erasing leaves ones, or zeros with some kinds of flash; what was written has both.
        if word != 0 && word != u32::MAX {
            self.used = self.seen;
        }
    }

    fn sector(&self, at: usize) -> Option<Sector> {
        Some(Sector {
            at,
            sequence: self.sequence?,
            state: self.state?,
            used: self.used,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to stop halfway between an erased word, of ones or of zeros, and a word.
    #[test]
    fn no_half_written_word_is_valid() {
        for minimum in [0, 1, 2, 5, 1000, MINIMUM_LIMIT] {
            for slot in [Slot::A, Slot::B] {
                let word = State { slot, minimum }.word();
                let zeros = !word;
                // All supersets of the word's ones, by counting through the subsets of its zeros; and all
                // subsets of its ones.
                for (bits, left) in [(zeros, word), (word, 0)] {
                    let mut rest = bits;
                    let mut tried = 0;
                    while rest != 0 && tried < 2_000_000 {
                        let half = left | rest;
                        assert!(
                            half == word || State::of(half).is_none(),
                            "{word:08x}: {half:08x}"
                        );
                        rest = (rest - 1) & bits;
                        tried += 1;
                    }
                }
                assert_eq!(State::of(word), Some(State { slot, minimum }));
            }
        }
        for erased in [0, u32::MAX] {
            assert_eq!(State::of(erased), None);
        }
    }
}
