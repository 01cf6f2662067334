//! Two places for the model in flash, and a journal that says which of them counts.
//!
//! An update writes the place that is not in use, reads it back, and then switches by writing one record.
//! The power may go at any moment, in the middle of an erase or a write as well. What is left is a device
//! with the old model or with the new one.
//!
//! # The journal
//! Two sectors hold the state. Each has one record at its start and a copy of it at its middle, if both
//! begin a unit that is written at once. Of two valid records the one with the later number counts. Every
//! update erases the sector that does not count and writes both copies there: the first is the switch.
//!
//! # Flash whose power is cut
//! - A write or an erase changes some of its bits and not others. Each bit of a record stands beside its
//!   complement, so that no such record is valid ([`record`]).
//! - An erase may program all bits first, and leaves anything in between. 64 pairs of bits are not valid by
//!   chance.
//! - A weak bit reads differently each time. A reader believes a record only if 32 readings in a row give it.
//!   An update takes over a record of which a single reading is valid, and completes its copy before the
//!   other sector is erased. So an update does not fall behind what a reader has believed.
//! - Flash with error correction may refuse to read a place ([`Flash::unreadable`]). That place has no record.
//! - A unit may look erased although a write has begun there. So each record is read back.

mod journal;
mod record;

use core::fmt;
use core::ops::Range;

use serde::{Deserialize, Serialize};

pub use journal::{Cleared, Journal, fresh, stored};
use record::RECORD;

/// Flash as an update sees it.
pub trait Flash {
    /// Error of an access.
    type Error;

    /// Fills `bytes` with what is at `address`, from the memory itself: weak bits may have changed.
    ///
    /// # Errors
    /// The memory cannot be read.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;

    /// Erases every unit of which the addresses are a part. They start where a unit starts.
    ///
    /// # Errors
    /// The memory cannot be erased.
    fn erase(&mut self, addresses: Range<u32>) -> Result<(), Self::Error>;

    /// Writes `bytes`, whose place has been erased, from a multiple of the layout's `write_size` on. The rest
    /// of the last unit may become anything; nothing is written there before the next erase.
    ///
    /// # Errors
    /// The memory cannot be written.
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Tells an error of one place, such as one that error correction reports, from one of the whole memory.
    fn unreadable(_error: &Self::Error) -> bool {
        false
    }

    /// The first address at which something else than `bytes` lies.
    ///
    /// # Errors
    /// The memory cannot be read.
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

    fn unreadable(error: &Self::Error) -> bool {
        F::unreadable(error)
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

/// The places of slots and state in flash. No two of them share an erase unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    /// The places for a model, in addresses; each starts and ends at an erase unit's border.
    pub slots: [Range<u32>; 2],
    /// The two sectors that hold the state; each starts and ends at an erase unit's border.
    pub state: [Range<u32>; 2],
    /// Bytes that are written at once and never again until they are erased: 1, 2, or a multiple of 4.
    pub write_size: u32,
}

/// A fault of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayoutError {
    /// A slot is empty.
    Size,
    /// Size of a write that is not 1 or 2 bytes, nor a multiple of 4.
    WriteSize,
    /// Two parts overlap.
    Overlap,
    /// A state sector has no room for a record, or for what is written at once.
    State,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "a slot is empty",
            Self::WriteSize => "what is written at once is not 1 or 2 bytes, nor a multiple of 4",
            Self::Overlap => "two parts of the flash layout overlap",
            Self::State => {
                "a state sector has no room for a record, or for what is written at once"
            }
        })
    }
}

impl core::error::Error for LayoutError {}

impl SlotLayout {
    /// Checks that the parts have sizes that make sense and do not overlap.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn check(&self) -> Result<(), LayoutError> {
        let Self {
            slots,
            state,
            write_size,
        } = self;
        if !matches!(*write_size, 1 | 2) && (*write_size == 0 || !write_size.is_multiple_of(4)) {
            return Err(LayoutError::WriteSize);
        }
        if slots.iter().any(|slot| slot.end <= slot.start) {
            return Err(LayoutError::Size);
        }
        for sector in state {
            let len = sector.end.saturating_sub(sector.start);
            if len < RECORD_LEN || len < *write_size {
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

    /// The address of the copy of a sector's record; `None` if it would share a unit with the record.
    fn copy(&self, sector: &Range<u32>) -> Option<u32> {
        let half = sector.end.saturating_sub(sector.start) / 2;
        let apart = half >= RECORD_LEN && half.is_multiple_of(self.write_size);
        apart.then(|| sector.start.saturating_add(half))
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

/// The state of a device's slots, as its journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct State {
    /// The slot to start from.
    pub slot: Slot,
    /// The least version that may run; at most [`MINIMUM_LIMIT`].
    pub minimum: u32,
}

/// Bytes of a record of the journal.
pub const RECORD_LEN: u32 = RECORD as u32;

/// The largest minimum version that a record can hold.
pub const MINIMUM_LIMIT: u32 = (1 << 22) - 1;

impl State {
    /// The state of a device on which nothing has been written.
    pub const BLANK: Self = Self {
        slot: Slot::A,
        minimum: 0,
    };

    /// The slots in the order in which to look for a model that may run: the one that counts, then the other.
    #[must_use]
    pub const fn order(self) -> [Slot; 2] {
        [self.slot, self.slot.other()]
    }
}

/// The reason why an update was not made; what ran before still runs.
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
        /// Minimum that was asked for.
        minimum: u32,
    },
    /// The model's version is below the minimum.
    Downgrade {
        /// The model's version.
        version: u32,
        /// The least version that may run.
        minimum: u32,
    },
    /// Read-back bytes differ from what was written.
    Verify {
        /// The first address that differs.
        address: u32,
    },
}

impl<E> UpdateError<E> {
    /// The flash's error.
    ///
    /// # Errors
    /// Any other reason.
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
