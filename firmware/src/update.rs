//! A device that writes its own slots, for firmware that a host reaches without a probe.

use heapless::Vec;
use tinyspike_shared::accept::Refusal;
use tinyspike_shared::slots::{
    Cleared, Flash, Journal, LayoutError, Slot, SlotLayout, UpdateError,
};
use tinyspike_shared::wire::UpdateFault;

use crate::serve::Slots;

/// The most bytes that a flash may write at once.
pub const MAX_WRITE: usize = 256;

/// Slots in a flash.
///
/// Whenever the power goes, the device starts from the old image or the new one: nothing but the slot that is not in use
/// and the journal is erased or written, and the journal names the new image when that has been checked
/// ([`tinyspike_shared::slots`]).
#[derive(Debug)]
pub struct Updater<'l, F, A> {
    journal: Journal<'l, F>,
    layout: &'l SlotLayout,
    running: Slot,
    accept: A,
    /// The slot that the image goes to, once there is room for it.
    cleared: Option<Cleared>,
    /// Bytes that are not written yet, because they are no whole unit.
    rest: Vec<u8, MAX_WRITE>,
    /// Bytes that have come, and how many there will be.
    stored: u32,
    length: u32,
}

impl<'l, F: Flash, A: FnMut(Slot, u32) -> Result<(), Refusal>> Updater<'l, F, A> {
    /// Slots of which one runs. `accept` checks if the image in a slot may run, with a least version, as
    /// [`Terms::accept`](tinyspike_shared::accept::Terms::accept) does at the start.
    ///
    /// # Errors
    /// The layout makes no sense, or writes more than [`MAX_WRITE`] bytes at once.
    pub fn new(
        layout: &'l SlotLayout,
        flash: F,
        running: Slot,
        accept: A,
    ) -> Result<Self, LayoutError> {
        if layout.write_size as usize > MAX_WRITE {
            return Err(LayoutError::WriteSize);
        }
        Ok(Self {
            journal: Journal::new(layout, flash)?,
            layout,
            running,
            accept,
            cleared: None,
            rest: Vec::new(),
            stored: 0,
            length: 0,
        })
    }

    /// Writes the bytes that wait.
    fn flush(&mut self) -> Result<(), UpdateFault> {
        let start = self.stored.saturating_sub(self.rest.len() as u32);
        let written = self.journal.store(self.running.other(), start, &self.rest);
        self.rest.clear();
        written.map_err(fault)
    }
}

fn fault<E>(error: UpdateError<E>) -> UpdateFault {
    match error {
        UpdateError::TooLarge { available, .. } => UpdateFault::TooLarge {
            available: available as u32,
        },
        UpdateError::Minimum { .. } | UpdateError::Downgrade { .. } => UpdateFault::Minimum,
        _ => UpdateFault::Flash,
    }
}

impl<F: Flash, A: FnMut(Slot, u32) -> Result<(), Refusal>> Slots for Updater<'_, F, A> {
    fn clear(&mut self, length: u32) -> Result<(), UpdateFault> {
        self.rest.clear();
        (self.stored, self.length, self.cleared) = (0, 0, None);
        let cleared = self.journal.clear(self.running, length as usize);
        self.cleared = Some(cleared.map_err(fault)?);
        self.length = length;
        Ok(())
    }

    fn store(&mut self, offset: u32, bytes: &[u8]) -> Result<(), UpdateFault> {
        let end = offset.saturating_add(bytes.len() as u32);
        // The host asks again if an answer is lost.
        if end <= self.stored {
            return Ok(());
        }
        if offset != self.stored || end > self.length {
            let expected = self.stored;
            return Err(UpdateFault::Order { expected });
        }
        let unit = self.layout.write_size.max(1) as usize;
        for byte in bytes {
            // A unit is no longer than what waits may be.
            let _ = self.rest.push(*byte);
            self.stored += 1;
            let whole = self.rest.len().is_multiple_of(unit) && self.rest.len() + unit > MAX_WRITE;
            if whole || self.stored == self.length {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn switch(&mut self, minimum: u32) -> Result<Slot, UpdateFault> {
        let expected = self.stored;
        let Some(cleared) = &mut self.cleared else {
            return Err(UpdateFault::Order { expected });
        };
        if self.stored < self.length || self.length == 0 {
            return Err(UpdateFault::Order { expected });
        }
        let slot = cleared.slot();
        let minimum = minimum.max(cleared.minimum());
        (self.accept)(slot, minimum).map_err(UpdateFault::Refused)?;
        self.journal.switch_to(cleared, minimum).map_err(fault)?;
        Ok(slot)
    }
}
