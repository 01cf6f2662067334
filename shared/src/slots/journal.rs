//! The journal's work on flash: which slot counts, and updates.

use core::convert::Infallible;
use core::hint::black_box;

use super::record::{RECORD, Record, Sector, latest, survey};
use super::{Flash, LayoutError, MINIMUM_LIMIT, Slot, SlotLayout, State, UpdateError};

/// The journal in a device's flash.
#[derive(Debug)]
pub struct Journal<'a, F> {
    layout: &'a SlotLayout,
    flash: F,
}

/// A slot that has been cleared for an image, and the state that counted then.
///
/// It is kept until the journal names the slot. What a cut has left of an earlier update may read as a record at one time and
/// not at another, and was passed over when the slot was cleared.
#[derive(Clone, Copy, Debug)]
pub struct Cleared {
    slot: Slot,
    current: Option<Sector>,
}

impl Cleared {
    /// The slot.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The least version that may run.
    #[must_use]
    pub const fn minimum(&self) -> u32 {
        match &self.current {
            Some(sector) => sector.record.state.minimum,
            None => State::BLANK.minimum,
        }
    }
}

impl<'a, F: Flash> Journal<'a, F> {
    /// The journal of a layout.
    ///
    /// # Errors
    /// The layout makes no sense.
    pub fn new(layout: &'a SlotLayout, flash: F) -> Result<Self, LayoutError> {
        layout.check()?;
        Ok(Self { layout, flash })
    }

    /// The state that counts now, with the slot to start from. Reads only.
    ///
    /// # Errors
    /// The flash cannot be read.
    pub fn state(&mut self) -> Result<State, F::Error> {
        Ok(self.stored()?.unwrap_or(State::BLANK))
    }

    /// The journal's state; `None` if it has never been written, or is damaged. Reads only.
    ///
    /// # Errors
    /// The flash cannot be read.
    pub fn stored(&mut self) -> Result<Option<State>, F::Error> {
        let sectors = self.sectors()?;
        Ok(believed(sectors))
    }

    /// Writes a model of `version` to the slot that is not `running`, reads it back and switches to it.
    /// No model below `minimum` will be taken from then on; one that is below the minimum so far leaves
    /// that as it is. `image` may go on behind the model with what belongs to it, such as a signature.
    ///
    /// `running` is the slot whose model has been found good, which need not be the one that
    /// [`state`](Self::state) names.
    ///
    /// # Errors
    /// The model is too large or too old, or the flash fails. Whatever the error, the running slot is as it
    /// was. So is the state, unless the flash failed in the last write.
    pub fn update(
        &mut self,
        running: Slot,
        image: &[u8],
        version: u32,
        minimum: u32,
    ) -> Result<Slot, UpdateError<F::Error>> {
        let counts = self.counts_for(running).map_err(UpdateError::Flash)?;
        let state = counts.1.map_or(State::BLANK, |s| s.record.state);
        if minimum > MINIMUM_LIMIT {
            return Err(UpdateError::Minimum { minimum });
        }
        let minimum = minimum.max(state.minimum);
        if version < minimum {
            return Err(UpdateError::Downgrade { version, minimum });
        }
        let cleared = self.free(running, counts, image.len())?;
        let slot = cleared.slot;
        let place = self.layout.slot(slot).start;
        self.write(place, image)?;
        self.append(cleared.current, State { slot, minimum })?;
        Ok(slot)
    }

    /// Erases so many bytes of the slot that is not `running`, for an image that comes in pieces. From then on the
    /// journal names the running one, until [`switch_to`](Self::switch_to) names the other.
    ///
    /// # Errors
    /// A slot has fewer bytes, or the flash fails. Whatever the error, the running slot is as it was.
    pub fn clear(&mut self, running: Slot, bytes: usize) -> Result<Cleared, UpdateError<F::Error>> {
        let counts = self.counts_for(running).map_err(UpdateError::Flash)?;
        self.free(running, counts, bytes)
    }

    /// Names a slot whose image has come since it was cleared, and the least version that may run; one below the
    /// minimum so far leaves that as it is. It can be done again.
    ///
    /// # Errors
    /// The minimum is too large, or the flash fails.
    pub fn switch_to(
        &mut self,
        cleared: &mut Cleared,
        minimum: u32,
    ) -> Result<(), UpdateError<F::Error>> {
        if minimum > MINIMUM_LIMIT {
            return Err(UpdateError::Minimum { minimum });
        }
        let next = State {
            slot: cleared.slot,
            minimum: minimum.max(cleared.minimum()),
        };
        cleared.current = Some(self.append(cleared.current, next)?);
        Ok(())
    }

    /// Writes a piece of an image to a slot that has been cleared, from a multiple of the layout's `write_size` on, and
    /// reads it back.
    ///
    /// # Errors
    /// It reaches beyond the slot, or the flash fails.
    pub fn store(
        &mut self,
        slot: Slot,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), UpdateError<F::Error>> {
        let place = self.layout.slot(slot);
        let available = place.end.saturating_sub(place.start) as usize;
        let needed = (offset as usize).saturating_add(bytes.len());
        if needed > available {
            return Err(UpdateError::TooLarge { needed, available });
        }
        self.write(place.start.saturating_add(offset), bytes)
    }

    /// Erases so many bytes of the slot that is not running, by what [`counts_for`](Self::counts_for) has read. The sector that
    /// counts is firm then.
    fn free(
        &mut self,
        running: Slot,
        (named, current): (Slot, Option<Sector>),
        bytes: usize,
    ) -> Result<Cleared, UpdateError<F::Error>> {
        let state = current.map_or(State::BLANK, |s| s.record.state);
        let slot = running.other();
        let place = self.layout.slot(slot).clone();
        let available = (place.end - place.start) as usize;
        if bytes > available {
            return Err(UpdateError::TooLarge {
                needed: bytes,
                available,
            });
        }
        let mut current = self.settle(current)?;
        // If a record still named the slot that is about to be erased, a cut would leave it naming garbage.
        if named == slot {
            let next = State {
                slot: running,
                minimum: state.minimum,
            };
            current = Some(self.append(current, next)?);
        }
        let end = place.start.saturating_add(bytes as u32);
        self.flash
            .erase(place.start..end)
            .map_err(UpdateError::Flash)?;
        Ok(Cleared { slot, current })
    }

    /// Raises the least version that may run, and changes nothing else.
    ///
    /// # Errors
    /// It is lower than before or too large, or the flash fails.
    pub fn raise(&mut self, minimum: u32) -> Result<(), UpdateError<F::Error>> {
        let sectors = self.sectors().map_err(UpdateError::Flash)?;
        let state = latest(sectors).map_or(State::BLANK, |s| s.record.state);
        self.switch(state.slot, minimum)
    }

    /// Names the slot that counts from now on, and the least version that may run. A journal that is damaged
    /// or has never been written is one then.
    ///
    /// # Errors
    /// The minimum is lower than before or too large, or the flash fails.
    pub fn switch(&mut self, slot: Slot, minimum: u32) -> Result<(), UpdateError<F::Error>> {
        let current = latest(self.sectors().map_err(UpdateError::Flash)?);
        let state = current.map_or(State::BLANK, |s| s.record.state);
        if minimum > MINIMUM_LIMIT {
            return Err(UpdateError::Minimum { minimum });
        }
        if minimum < state.minimum {
            return Err(UpdateError::Downgrade {
                version: minimum,
                minimum: state.minimum,
            });
        }
        let current = self.settle(current)?;
        self.append(current, State { slot, minimum })?;
        Ok(())
    }

    /// The slot that the last record names, and the sector that counts if a slot's model runs.
    ///
    /// All copies of a record whose update has ended are firm. Any other record that does not name what runs was
    /// not believed at the start: its minimum may be above the version that runs. Then the one before counts.
    fn counts_for(&mut self, running: Slot) -> Result<(Slot, Option<Sector>), F::Error> {
        let sectors = self.sectors()?;
        let names = |sector: &Sector| sector.record.state.slot == running;
        let Some(last) = latest(sectors) else {
            return Ok((State::BLANK.slot, None));
        };
        let place = &self.layout.state[last.at];
        let copies = 1 + u32::from(self.layout.copy(place).is_some());
        let counts = if names(&last) || last.firm == copies {
            last
        } else {
            sectors[1 - last.at].filter(names).unwrap_or(last)
        };
        Ok((last.record.state.slot, Some(counts)))
    }

    /// Makes the sector that counts firm, so that the other may be erased.
    fn settle(&mut self, current: Option<Sector>) -> Result<Option<Sector>, UpdateError<F::Error>> {
        let Some(mut sector) = current else {
            return Ok(None);
        };
        // The copy is begun only after the record is whole. So without a trace of the copy nothing has touched
        // its place since it was erased, and with one the record is whole, unless it is being settled again.
        if let Some(copy) = self.layout.copy(&self.layout.state[sector.at])
            && let Some(found) = self.record(copy).map_err(UpdateError::Flash)?
            && (found == [0; RECORD] || found == [u8::MAX; RECORD])
        {
            let record = Record {
                settled: true,
                ..sector.record
            };
            match self.write(copy, &record.bytes()) {
                Ok(()) => sector.firm += 1,
                // It had been touched after all.
                Err(UpdateError::Verify { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if sector.firm > 0 {
            return Ok(Some(sector));
        }
        // The other sector holds what counted before, until this one is whole.
        self.put(sector.at, sector.record).map(Some)
    }

    /// Writes a state to the sector that does not count, which counts from then on.
    fn append(
        &mut self,
        current: Option<Sector>,
        state: State,
    ) -> Result<Sector, UpdateError<F::Error>> {
        let at = current.map_or(0, |s| 1 - s.at);
        let number = current.map_or(0, |s| s.record.number.wrapping_add(1));
        let record = Record {
            number,
            state,
            settled: false,
        };
        self.put(at, record)
    }

    /// Erases a sector and writes a record and its copy to it.
    fn put(&mut self, at: usize, record: Record) -> Result<Sector, UpdateError<F::Error>> {
        let place = self.layout.state[at].clone();
        let copy = self.layout.copy(&place);
        self.flash
            .erase(place.clone())
            .map_err(UpdateError::Flash)?;
        self.write(place.start, &record.bytes())?;
        if let Some(copy) = copy {
            self.write(copy, &record.bytes())?;
        }
        let firm = 1;
        Ok(Sector { at, record, firm })
    }

    /// Writes bytes and reads them back.
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), UpdateError<F::Error>> {
        self.flash
            .write(address, bytes)
            .map_err(UpdateError::Flash)?;
        match self.flash.differs(address, bytes) {
            Ok(None) => Ok(()),
            Ok(Some(address)) => Err(UpdateError::Verify { address }),
            Err(error) if F::unreadable(&error) => Err(UpdateError::Verify { address }),
            Err(error) => Err(UpdateError::Flash(error)),
        }
    }

    /// The bytes of a record's place; `None` if just these cannot be read.
    fn record(&mut self, address: u32) -> Result<Option<[u8; RECORD]>, F::Error> {
        let mut bytes = [0; RECORD];
        match self.flash.read(address, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if F::unreadable(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Both sectors, read again.
    fn sectors(&mut self) -> Result<[Option<Sector>; 2], F::Error> {
        let layout = self.layout;
        let lengths = layout
            .state
            .each_ref()
            .map(|place| place.end.saturating_sub(place.start));
        survey(lengths, |at, offset| {
            let start = layout.state.get(at).map_or(0, |place| place.start);
            self.record(start.saturating_add(offset))
        })
    }
}

/// The state by the two sectors of a journal that lie in memory, as a device sees its own flash; `None` if
/// neither is valid.
#[must_use]
pub fn stored(sectors: [&[u8]; 2]) -> Option<State> {
    let lengths = sectors.map(|sector| sector.len() as u32);
    let found = survey(lengths, |at, offset| {
        // Each reading is one of the memory itself.
        let sector = black_box(sectors.get(at));
        let bytes = sector.and_then(|sector| sector.get(offset as usize..)?.first_chunk().copied());
        Ok::<_, Infallible>(bytes)
    });
    match found {
        Ok(sectors) => believed(sectors),
        Err(never) => match never {},
    }
}

/// The state that a reader believes.
fn believed(sectors: [Option<Sector>; 2]) -> Option<State> {
    let firm = sectors.map(|sector| sector.filter(|sector| sector.firm > 0));
    latest(firm).map(|sector| sector.record.state)
}

/// The record with which a journal starts, for the start and the middle of its first sector. The rest of both
/// sectors is to be erased.
#[must_use]
pub fn fresh(state: State) -> [u8; RECORD] {
    let record = Record {
        number: 0,
        state,
        settled: false,
    };
    record.bytes()
}
