//! An image alone onto a chip whose firmware stays, over a debug probe: into the slot that is not in use.
//!
//! What is done in which order is [`Journal`]'s; here is the flash that it works on.

use std::ops::Range;

use probe_rs::MemoryInterface as _;
use probe_rs::flashing::{FlashProgress, erase};
use tinyspike_shared::accept::{self, Refusal, Start, Terms};
use tinyspike_shared::image::{HEADER_LEN, Header, ImageError};
use tinyspike_shared::signature::TRAILER_LEN;
use tinyspike_shared::slots::{Flash, Journal, Slot, SlotLayout, State, UpdateError};

use super::attach::{Attached, ConnectError};
use super::firmware::Segment;
use super::memory::Region;
use super::plan::{Mode, Plan, PlanError};
use super::session::Identity;
use super::watchdog::{FLASHING, Watch};
use super::write::{FlashError, Phase, Progress, Tally, failed, write};
use crate::image::{Image, aligned_copy};

/// Result of an update.
pub(super) struct Updated {
    pub(super) slot: Slot,
    pub(super) mode: Mode,
    /// `true` if there was no journal, or a damaged one.
    pub(super) journal_repaired: bool,
}

/// Writes a plan's image where it is not in use, and switches to it. `identity` is what the firmware says that
/// still runs, if it does.
pub(super) fn update(
    plan: &Plan,
    session: &mut Attached,
    identity: Option<&Identity>,
    tally: &mut Tally<'_>,
) -> Result<Updated, FlashError> {
    let key = plan.key.or(identity.and_then(|identity| identity.key));
    if let Some(identity) = identity {
        let room = [identity.ensembles, identity.connections].map(usize::from);
        plan.check_room(&plan.image.image(), room[0], room[1])?;
    }
    let start = identity.map(|identity| identity.start);
    let single = start.is_some_and(|start| start.journal == accept::Journal::Absent);
    let in_place = Updated {
        slot: Slot::A,
        mode: Mode::InPlace,
        journal_repaired: false,
    };
    let Some(second) = plan.layout.slots.second.filter(|_| !single) else {
        plan.check_acceptance(plan.minimum, key)?;
        write(plan, session, &[first_slot(plan)], false, tally)?;
        return Ok(in_place);
    };
    let layout = SlotLayout {
        slots: [plan.layout.slots.a, second.b].map(addresses),
        state: second.journal.map(addresses),
        write_size: second.unit,
    };
    let mut flash = ProbeFlash {
        plan,
        session,
        tally,
    };
    let stored = Journal::new(&layout, &mut flash)
        .map_err(|e| unusable(plan, UpdateError::Layout(e)))?
        .stored()?;
    let least = stored.unwrap_or(State::BLANK).minimum;
    plan.check_acceptance(plan.minimum.max(least), key)?;
    let terms = Terms::version(least).signed(key.map(|key| *key.bytes()));
    // What the firmware has found to run counts; if it is silent, what it is going to find.
    let start = match start {
        Some(start) => start,
        None => flash.find(stored, &terms)?,
    };
    let both = start.running == Some(Slot::A) && flash.length(Slot::A)? > plan.layout.slots.a.len;
    let journal_repaired = stored.is_none();
    if plan.mode == Mode::InPlace || both {
        let image = first_slot(plan);
        write(plan, flash.session, &[image], false, flash.tally)?;
        let mut journal =
            Journal::new(&layout, flash).map_err(|e| unusable(plan, UpdateError::Layout(e)))?;
        journal
            .switch(Slot::A, plan.minimum.max(least))
            .map_err(|e| unusable(plan, e))?;
        return Ok(Updated {
            journal_repaired,
            ..in_place
        });
    }
    let mut journal =
        Journal::new(&layout, flash).map_err(|e| unusable(plan, UpdateError::Layout(e)))?;
    // Where nothing runs, what is named may as well be written.
    let running = start.running.unwrap_or(start.named.other());
    let slot = journal
        .update(running, plan.image.bytes(), plan.version, plan.minimum)
        .map_err(|e| unusable(plan, e))?;
    Ok(Updated {
        slot,
        mode: Mode::InactiveSlot,
        journal_repaired,
    })
}

/// The image if it has both slots to itself.
fn first_slot(plan: &Plan) -> Segment {
    Segment {
        address: plan.layout.slots.a.address,
        bytes: plan.image.bytes().to_vec(),
    }
}

fn addresses(region: Region) -> Range<u32> {
    region.address..region.end()
}

/// An error of an update as one of a chip.
fn unusable(plan: &Plan, error: UpdateError<FlashError>) -> FlashError {
    let chip = plan.chip().to_owned();
    match error.into_flash() {
        Ok(error) => error,
        Err(UpdateError::Verify { .. }) => FlashError::Verify { chip },
        Err(UpdateError::Downgrade { version, minimum }) => PlanError::Refused {
            chip,
            refusal: Refusal::Version { version, minimum },
        }
        .into(),
        Err(source) => FlashError::Update { chip, source },
    }
}

/// A chip's flash, behind a probe.
struct ProbeFlash<'a, 't> {
    plan: &'a Plan,
    session: &'a mut Attached,
    tally: &'a mut Tally<'t>,
}

impl ProbeFlash<'_, '_> {
    /// Some bytes at once.
    fn bytes(&mut self, address: u32, length: usize) -> Result<Vec<u8>, FlashError> {
        let chip = || self.plan.chip().to_owned();
        let lost = |source| ConnectError::Lost {
            chip: chip(),
            during: "while its flash was read",
            source: Box::new(source),
        };
        let mut core = self.session.core(&self.plan.chip).map_err(lost)?;
        let mut bytes = vec![0; length];
        let _watch = Watch::new("while flash was read", FLASHING);
        core.read(address.into(), &mut bytes).map_err(|error| {
            // The firmware lies in the same flash. If it can be read, it is the place that fails.
            match core.read_word_32(self.plan.layout.firmware.address.into()) {
                Ok(_) => FlashError::Unreadable {
                    chip: chip(),
                    address,
                    source: Box::new(error),
                },
                Err(_) => lost(error).into(),
            }
        })?;
        Ok(bytes)
    }

    /// Bytes that the image in a slot states; 0 if there is none.
    fn length(&mut self, slot: Slot) -> Result<u32, FlashError> {
        let Some(place) = self.plan.layout.slots.slot(slot) else {
            return Ok(0);
        };
        match self.bytes(place.address, HEADER_LEN) {
            Ok(header) => Ok(Header::read(&aligned_copy(&header)).map_or(0, |h| h.length)),
            Err(FlashError::Unreadable { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Looks for an image that may run, as the firmware does.
    fn find(&mut self, stored: Option<State>, terms: &Terms) -> Result<Start, FlashError> {
        let mut lost = None;
        let start = Start::find(stored, |slot, _| match self.image(slot) {
            Ok(bytes) => {
                let bytes = aligned_copy(&bytes);
                let image: Result<Image<'_>, Refusal> = terms.accept(&bytes);
                image.map(|_| ())
            }
            Err(error) => {
                if !matches!(error, FlashError::Unreadable { .. }) {
                    lost = Some(error);
                }
                Err(Refusal::Image(ImageError::Magic))
            }
        });
        match lost {
            None => Ok(start),
            Some(error) => Err(error),
        }
    }

    /// The image in a slot and what is behind it, as far as it says how long it is.
    fn image(&mut self, slot: Slot) -> Result<Vec<u8>, FlashError> {
        let slots = self.plan.layout.slots;
        let Some(place) = slots.slot(slot) else {
            return Ok(Vec::new());
        };
        let length = (self.length(slot)? as usize).saturating_add(TRAILER_LEN);
        let available = (slots.whole().end() - place.address) as usize;
        self.bytes(place.address, length.min(available))
    }
}

impl Flash for ProbeFlash<'_, '_> {
    type Error = FlashError;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        bytes.copy_from_slice(&self.bytes(address, bytes.len())?);
        Ok(())
    }

    fn erase(&mut self, addresses: Range<u32>) -> Result<(), FlashError> {
        let part = Region::new(addresses.start, addresses.end);
        let (mut from, mut to) = (part.address, part.address);
        for block in self.plan.map.blocks_of(part) {
            from = from.min(block.address);
            to = to.max(block.end());
        }
        let (phase, bytes) = (Phase::Erase, u64::from(to - from));
        self.tally.take(Progress::Planned { phase, bytes });
        let mut silent = FlashProgress::empty();
        let _watch = Watch::new("while flash was erased", FLASHING);
        let done = erase(self.session, &mut silent, from.into(), to.into(), false);
        if done.is_ok() {
            self.tally.take(Progress::Done { phase, bytes });
        }
        self.tally.take(Progress::Ended { phase });
        done.map_err(|e| failed(self.plan, e))
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let segment = Segment {
            address,
            bytes: bytes.to_vec(),
        };
        write(self.plan, self.session, &[segment], true, self.tally)
    }

    fn unreadable(error: &FlashError) -> bool {
        matches!(error, FlashError::Unreadable { .. })
    }

    fn differs(&mut self, address: u32, bytes: &[u8]) -> Result<Option<u32>, FlashError> {
        let found = self.bytes(address, bytes.len())?;
        let at = bytes.iter().zip(&found).position(|(a, b)| a != b);
        Ok(at.map(|at| address.saturating_add(at as u32)))
    }
}
