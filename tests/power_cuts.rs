//! Updates one after another, cut at random, and a device that starts after each. An image comes as a whole, as from a probe
//! that writes the flash, or in pieces, which the device writes itself.

use std::fmt;

use tinyspike_firmware::serve::Slots as _;
use tinyspike_firmware::update::{MAX_WRITE, Updater};
use tinyspike_shared::accept::Refusal;
use tinyspike_shared::image::ImageError;
use tinyspike_shared::slots::{Journal, Slot, SlotLayout};

use crate::flash::{SharedFlash, Silicon, SimulatedFlash};
use crate::numbers::Numbers;

/// A device whose power is cut.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The places of slots and journal.
    pub layout: SlotLayout,
    /// Bytes that are erased at once.
    pub erase_size: u32,
    /// Properties of its flash.
    pub silicon: Silicon,
}

/// The events of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Updates that were begun.
    pub updates: u64,
    /// Updates whose image came in pieces.
    pub in_pieces: u64,
    /// Updates that a power cut ended.
    pub cuts: u64,
    /// Updates whose image came in pieces, and that a power cut ended.
    pub cuts_in_pieces: u64,
    /// Updates that were cut and after which the new model ran.
    pub new: u64,
    /// Starts that differ from the one before, with nothing done in between or with an update that was cut.
    pub unsteady: u64,
}

impl Counts {
    /// The events of two trials.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            updates: self.updates + other.updates,
            in_pieces: self.in_pieces + other.in_pieces,
            cuts: self.cuts + other.cuts,
            cuts_in_pieces: self.cuts_in_pieces + other.cuts_in_pieces,
            new: self.new + other.new,
            unsteady: self.unsteady + other.unsteady,
        }
    }
}

/// A device that is not as it should be after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Neither slot has a model that may run.
    NoModel,
    /// The least version that may run is lower than it was at the start before.
    MinimumFell,
    /// The least version that may run is one that nobody has asked for.
    MinimumRaised,
    /// A model runs that is older than the one before.
    Older,
    /// A model runs that is neither the old one nor the new one.
    Other,
    /// Two starts in a row differ.
    Unsteady,
    /// The slot in use has been erased or written.
    RunningTouched,
    /// The update failed, though the power stayed.
    Failed,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoModel => "no model is left",
            Self::MinimumFell => "the minimum version fell",
            Self::MinimumRaised => "the minimum version rose by itself",
            Self::Older => "an older model runs",
            Self::Other => "another model runs",
            Self::Unsteady => "two starts differ",
            Self::RunningTouched => "the slot in use was touched",
            Self::Failed => "an update failed that was not cut",
        })
    }
}

/// A model that is eight times the same word: its version.
#[must_use]
pub fn stamp(version: u32) -> Vec<u8> {
    version.to_le_bytes().repeat(8)
}

/// The version of the model at the start of some bytes, if it is whole.
#[must_use]
pub fn stamped(bytes: &[u8]) -> Option<u32> {
    let version = u32::from_le_bytes(*bytes.first_chunk()?);
    (version != u32::MAX && version != 0 && bytes.starts_with(&stamp(version))).then_some(version)
}

/// State that a device finds at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Started {
    slot: Slot,
    version: u32,
    minimum: u32,
}

/// An update that was not made; what the trial has to know is if the power has gone.
#[derive(Clone, Copy, Debug)]
struct Broken;

impl Trial {
    /// Makes updates on one device, of which about half are cut. The image of every other one comes in pieces, if
    /// [`Updater`] writes to such flash.
    ///
    /// No reader can tell a weak place that reads rightly nearly always from one that is whole. On such flash a
    /// model has to be left, and no minimum may fall that an update has set which ended well. Starts that differ
    /// are counted.
    ///
    /// # Errors
    /// The first loss, with the number of the update.
    pub fn run(&self, updates: u64, seed: u64) -> Result<Counts, (u64, Loss)> {
        let mut numbers = Numbers::new(seed);
        let flash = SimulatedFlash::new(&self.layout, self.erase_size, self.silicon);
        let flash = SharedFlash::new(flash);
        let whole = |running, version, minimum| {
            let mut journal = Journal::new(&self.layout, flash.clone()).map_err(|_| Broken)?;
            let done = journal.update(running, &stamp(version), version, minimum);
            done.map(|_| ()).map_err(|_| Broken)
        };
        whole(Slot::B, 1, 0).map_err(|_| (0, Loss::Failed))?;
        let first = flash.flash().operations;
        let mut now = self.start(&mut flash.flash()).ok_or((0, Loss::NoModel))?;
        let mut counts = Counts::default();
        let mut promised = now.minimum;
        for at in 0..updates {
            let loss = |loss| Err((at, loss));
            let next = now.version + 1;
            let asked = [now.version, 0, next][numbers.below(3)];
            flash.flash().touched.clear();
            let after = numbers.draw() % (2 * first);
            flash.flash().cut_after(after, numbers.draw());
            let pieces = self.takes_pieces() && numbers.below(2) == 1;
            let result = if pieces {
                self.in_pieces(&flash, now.slot, next, asked, &mut numbers)
            } else {
                whole(now.slot, next, asked)
            };
            let mut flash = flash.flash();
            let gone = flash.is_off();
            flash.power_on();
            counts.updates += 1;
            counts.in_pieces += u64::from(pieces);
            let kept = self.layout.slot(now.slot);
            if flash
                .touched
                .iter()
                .any(|t| t.start < kept.end && kept.start < t.end)
            {
                return loss(Loss::RunningTouched);
            }
            let Some(then) = self.start(&mut flash) else {
                return loss(Loss::NoModel);
            };
            let again = self.start(&mut flash);
            match result {
                Ok(()) if then.version != next || then.minimum < asked => {
                    return loss(Loss::Failed);
                }
                Ok(()) => promised = then.minimum,
                Err(Broken) if gone => {
                    counts.cuts += 1;
                    counts.cuts_in_pieces += u64::from(pieces);
                    counts.new += u64::from(then.version == next);
                }
                Err(Broken) => return loss(Loss::Failed),
            }
            let least = if self.silicon.biased {
                promised
            } else {
                now.minimum
            };
            let found = if again != Some(then) {
                Some(Loss::Unsteady)
            } else if then.minimum < least {
                return loss(Loss::MinimumFell);
            } else if then.minimum < now.minimum {
                Some(Loss::MinimumFell)
            } else if then.minimum > asked.max(now.minimum) {
                Some(Loss::MinimumRaised)
            } else if then.version < now.version {
                Some(Loss::Older)
            } else if then.version != now.version && then.version != next {
                Some(Loss::Other)
            } else {
                None
            };
            match found {
                Some(found) if !self.silicon.biased => return loss(found),
                Some(_) => counts.unsteady += 1,
                None => {}
            }
            now = then;
        }
        Ok(counts)
    }

    /// Tells whether a device writes such flash itself.
    fn takes_pieces(&self) -> bool {
        self.layout.write_size as usize <= MAX_WRITE
    }

    /// An update as a device makes it whose host sends the image piece by piece.
    fn in_pieces(
        &self,
        flash: &SharedFlash,
        running: Slot,
        version: u32,
        minimum: u32,
        numbers: &mut Numbers,
    ) -> Result<(), Broken> {
        let accept = |slot, minimum| match self.version(&mut flash.flash(), slot) {
            Some(found) if found >= minimum => Ok(()),
            Some(version) => Err(Refusal::Version { version, minimum }),
            None => Err(Refusal::Image(ImageError::Magic)),
        };
        let slots = Updater::new(&self.layout, flash.clone(), running, accept);
        let mut slots = slots.map_err(|_| Broken)?;
        let image = stamp(version);
        slots.clear(image.len() as u32).map_err(|_| Broken)?;
        let mut stored = 0;
        while let Some(rest @ [_, ..]) = image.get(stored..) {
            let length = rest.len().min(1 + numbers.below(image.len()));
            slots
                .store(stored as u32, &rest[..length])
                .map_err(|_| Broken)?;
            stored += length;
        }
        slots.switch(minimum).map(|_| ()).map_err(|_| Broken)
    }

    /// The version of the model in a slot, if it is whole.
    fn version(&self, flash: &mut SimulatedFlash, slot: Slot) -> Option<u32> {
        let place = self.layout.slot(slot);
        let model = place.start..place.start + stamp(0).len() as u32;
        stamped(&flash.reading(&model)?)
    }

    /// The start of a device: it looks where the journal says, then in the other slot.
    fn start(&self, flash: &mut SimulatedFlash) -> Option<Started> {
        let state = Journal::new(&self.layout, &mut *flash).ok()?.state().ok()?;
        state.order().into_iter().find_map(|slot| {
            let version = self.version(flash, slot)?;
            (version >= state.minimum).then_some(Started {
                slot,
                version,
                minimum: state.minimum,
            })
        })
    }
}

/// Devices of all kinds: sectors with room for a record and its copy, or for one record alone; erased to ones
/// and to zeros; each effect of a cut alone, and all together.
#[must_use]
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    // Bytes of a block, how many of them are a sector, and what is written and programmed at once.
    let geometries = [
        (32, 1, 1, 1),
        (32, 1, 4, 4),
        (32, 1, 8, 8),
        (32, 1, 16, 16),
        (32, 1, 32, 4),
        (32, 1, 32, 32),
        (32, 2, 32, 4),
        (64, 1, 32, 32),
        (64, 2, 64, 8),
        (256, 1, 64, 4),
    ];
    for (block, blocks, write_size, word) in geometries {
        for erased in [0xff, 0] {
            let plain = Silicon {
                word,
                ..Silicon::plain(erased)
            };
            for (programs_first, weak, corrected, biased, pads) in [
                (false, 0, false, false, false),
                (true, 0, false, false, true),
                (false, 51, false, false, false),
                (true, 51, false, false, true),
                (true, 8, true, false, true),
                (true, 16, true, true, false),
            ] {
                let alone = write_size == block * blocks;
                let silicon = Silicon {
                    programs_first,
                    weak,
                    corrected,
                    biased: biased && !alone,
                    pads,
                    ..plain
                };
                trials.push(Trial::new(block, blocks, write_size, silicon));
            }
        }
    }
    trials
}

impl Trial {
    /// A device with blocks of so many bytes: two of them a slot, and so many a sector of the journal.
    #[must_use]
    pub fn new(block: u32, blocks: u32, write_size: u32, silicon: Silicon) -> Self {
        let (slot, sector) = (2 * block, blocks * block);
        let journal = 2 * slot;
        Self {
            layout: SlotLayout {
                slots: [0..slot, slot..journal],
                state: [
                    journal..journal + sector,
                    journal + sector..journal + 2 * sector,
                ],
                write_size,
            },
            erase_size: block,
            silicon,
        }
    }
}
