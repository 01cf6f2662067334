//! Chip + image + firmware → what is written where, and whether it fits; and then the writing.

use std::fmt;
use std::time::Duration;

use probe_rs::flashing::{
    DownloadOptions, FlashError, FlashProgress, ProgressEvent, ProgressOperation,
};
use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{Core, MemoryInterface as _, Permissions, Session};
use serde::Serialize;
use tinyspike_firmware::boards::Limits;
use tinyspike_shared::accept::Terms;
use tinyspike_shared::signature::TRAILER_LEN;
use tinyspike_shared::slots::{Slot, State, fresh};

use super::chips::Chip;
use super::connection::{ask, greet};
use super::error::DeviceError;
use super::firmware::{Firmware, Segment};
use super::hello::{Greeting, ImageReport};
use super::memory::{Layout, LayoutOptions, MemoryMap, Region, Second, Slots};
use super::probe::{self, Selector};
use super::processor::{self, Processor};
use super::session::{Lost, SessionError};
use super::update::{Updated, update};
use crate::advice::Advice;
use crate::assemble::{Image, aligned_copy, suits};
use crate::sign::PublicKey;

/// How to plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// How the flash is divided.
    pub layout: LayoutOptions,
    /// Whether the firmware on the chip stays as it is; one that is given says where images go.
    pub model_only: bool,
    /// What stands behind the image where it is signed, as [`trailer_of`](crate::sign::trailer_of) finds it.
    pub trailer: Option<[u8; TRAILER_LEN]>,
    /// The key whose signature the firmware asks for.
    pub key: Option<PublicKey>,
    /// The device takes no model below this version from then on. With the firmware this starts anew; for an
    /// image alone what the device has stored is never lowered.
    pub minimum: u32,
}

/// What of the images on a chip is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// The firmware, the first slot, and a journal that begins with it.
    Everything,
    /// The slot that is not in use, and then the journal. Whenever that is broken off, the old image is there
    /// or the new one.
    InactiveSlot,
    /// The only place there is, or both slots for an image that needs them: while that lasts the chip has none.
    InPlace,
}

/// A slot, and what writing the image there does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Which slot.
    pub slot: Slot,
    /// Where the image goes, with its signature.
    pub image: Region,
    /// What is erased before.
    pub erased: Vec<Region>,
}

/// Something that there is so much of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// What it is.
    pub what: &'static str,
    /// What takes of it, in bytes.
    pub parts: Vec<(&'static str, u64)>,
    /// How many bytes there are.
    pub limit: u64,
}

impl Budget {
    /// Bytes that all parts need.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.parts
            .iter()
            .fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    fn check(self, chip: &Chip) -> Result<Self, DeviceError> {
        if self.needed() <= self.limit {
            return Ok(self);
        }
        Err(DeviceError::OverBudget {
            chip: chip.name().to_owned(),
            budget: self,
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (needed, limit) = (self.needed(), self.limit);
        write!(f, "{}: {needed} of {limit} bytes", self.what)?;
        if needed > limit {
            write!(f, ", {} too many", needed - limit)?;
        }
        if self.parts.len() > 1 {
            let parts = self
                .parts
                .iter()
                .map(|(name, bytes)| format!("{name} {bytes}"));
            write!(f, " ({})", parts.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// What would be done to a chip.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    #[serde(skip)]
    pub(super) chip: Chip,
    /// The chip's name.
    #[serde(rename = "chip")]
    name: String,
    /// The processor that code is built for.
    pub processor: Processor,
    /// Where everything goes.
    pub layout: Layout,
    /// What of the images is written.
    pub mode: Mode,
    /// Where the image may go: into one of the two slots where they take turns, else into the first.
    pub places: Vec<Place>,
    /// The image's checksum.
    pub checksum: u32,
    /// The model's version.
    pub version: u32,
    /// The least version that the device is to run.
    pub minimum: u32,
    /// Where the firmware's parts go; none where it stays as it is.
    pub firmware: Vec<Region>,
    /// What is erased for firmware and journal, which is written anew with it.
    pub erased: Vec<Region>,
    /// What it takes and what there is.
    pub budgets: Vec<Budget>,
    /// The image and its signature.
    #[serde(skip)]
    pub(super) image: Vec<u8>,
    /// The key whose signature the firmware asks for, where that is known.
    #[serde(skip)]
    pub(super) key: Option<PublicKey>,
    /// The firmware and its journal.
    #[serde(skip)]
    writes: Vec<Segment>,
    #[serde(skip)]
    pub(super) map: MemoryMap,
    #[serde(skip)]
    pub(super) rtt: ScanRegion,
}

impl Plan {
    /// Plans to write an image and, where one is given, the firmware beside it.
    ///
    /// # Errors
    /// [`DeviceError`], where they do not fit the chip, or each other, or the device would refuse the image.
    pub fn new(
        chip: &Chip,
        image: &Image<'_>,
        firmware: Option<&Firmware>,
        options: &PlanOptions,
    ) -> Result<Self, DeviceError> {
        let map = memory_map(chip)?;
        let layout = match firmware {
            None => divide(chip, &map, &options.layout)?,
            Some(firmware) => divide_for(chip, &map, firmware, &options.layout)?,
        };
        let key = asked_key(firmware, options)?;
        let bytes = [image.bytes(), options.trailer.as_ref().map_or(&[], |t| t)].concat();
        let own = firmware.filter(|_| !options.model_only);
        let turns = layout.slots.turns(bytes.len() as u64);
        let mode = match (own, turns) {
            (Some(_), _) => Mode::Everything,
            (None, Some(_)) => Mode::InactiveSlot,
            (None, None) => Mode::InPlace,
        };
        let slots: &[Slot] = match mode {
            Mode::InactiveSlot => &[Slot::A, Slot::B],
            Mode::Everything | Mode::InPlace => &[Slot::A],
        };
        let places = slots
            .iter()
            .filter_map(|&slot| {
                let start = layout.slots.slot(slot)?.address;
                let image = Region::new(start, start.saturating_add(bytes.len() as u32));
                Some(Place {
                    slot,
                    image,
                    erased: map.blocks_of(image).collect(),
                })
            })
            .collect();
        let mut writes = Vec::new();
        if let Some(firmware) = own {
            writes.extend(firmware.segments.iter().cloned());
            writes.extend(layout.slots.second.iter().flat_map(|second| {
                journal(
                    second,
                    State {
                        slot: Slot::A,
                        minimum: options.minimum,
                    },
                )
            }));
        }
        let erased = map.blocks.iter().copied();
        let erased = erased.filter(|block| writes.iter().any(|w| block.overlaps(w.region())));
        let plan = Self {
            chip: chip.clone(),
            name: chip.name().to_owned(),
            processor: chip.processor(),
            mode,
            places,
            checksum: image.header().checksum,
            version: image.header().model_version,
            minimum: options.minimum,
            firmware: own.map_or(Vec::new(), |own| {
                own.segments.iter().map(Segment::region).collect()
            }),
            erased: erased.collect(),
            budgets: budgets(chip, image, bytes.len() as u64, firmware, own, key, &layout)?,
            image: bytes,
            key,
            rtt: match firmware.and_then(|firmware| firmware.rtt) {
                Some(address) => ScanRegion::Exact(address.into()),
                None => scan(layout.ram),
            },
            layout,
            writes,
            map,
        };
        if plan.minimum > 0 && plan.layout.slots.second.is_none() {
            return Err(DeviceError::NoJournal { chip: plan.name });
        }
        plan.check_acceptance(plan.minimum, plan.key)?;
        plan.check_firmware(image, firmware)?;
        Ok(plan)
    }

    /// Whether a device takes the image that asks for this version and this key's signature.
    pub(super) fn check_acceptance(
        &self,
        minimum: u32,
        key: Option<PublicKey>,
    ) -> Result<(), DeviceError> {
        let bytes = aligned_copy(&self.image);
        let terms = Terms::version(minimum).signed(key.map(|key| *key.bytes()));
        let accepted: Result<Image<'_>, _> = terms.accept(&bytes);
        accepted
            .map(|_| ())
            .map_err(|refusal| DeviceError::Refused {
                chip: self.name.clone(),
                refusal,
            })
    }

    /// Whether a firmware holds the image, and lies where it may.
    fn check_firmware(
        &self,
        image: &Image<'_>,
        firmware: Option<&Firmware>,
    ) -> Result<(), DeviceError> {
        if let Some(limits) = firmware.and_then(|firmware| firmware.limits) {
            let network = image.description();
            for (what, found, limit) in [
                ("ensembles", network.ensembles.len(), limits.ensembles),
                ("connections", network.connections.len(), limits.connections),
            ] {
                if found > limit {
                    return Err(DeviceError::TooManyLayers {
                        chip: self.name.clone(),
                        what,
                        found,
                        limit,
                    });
                }
            }
        }
        let place = self.layout.firmware;
        match self.firmware.iter().find(|part| !place.contains(**part)) {
            None => Ok(()),
            Some(&segment) => Err(DeviceError::Misplaced {
                chip: self.name.clone(),
                segment,
                place,
            }),
        }
    }

    /// The chip's name.
    #[must_use]
    pub fn chip(&self) -> &str {
        &self.name
    }

    /// What works, but less well than it could; each with a remedy if there is one.
    #[must_use]
    pub fn warnings(&self, image: &Image<'_>) -> Vec<(String, Option<Advice>)> {
        let mut warnings = Vec::new();
        let target = self.processor.family();
        if !suits(image, target) {
            let text = format!(
                "the image's weights are laid out for other kernels than those of {}: it will run, but slowly",
                self.name
            );
            warnings.push((text, Some(Advice::KernelFamily(target.to_string()))));
        }
        if self.mode == Mode::InPlace {
            let why = match self.layout.slots.second {
                Some(_) => "the image needs both slots",
                None => "there is one place for an image",
            };
            let text = format!(
                "{why}: if writing is broken off, {} has no image until it is written again",
                self.name
            );
            warnings.push((text, None));
        }
        warnings
    }
}

/// A chip's memory, with its name in the error.
fn memory_map(chip: &Chip) -> Result<MemoryMap, DeviceError> {
    chip.memory_map().map_err(|source| DeviceError::Memory {
        chip: chip.name().to_owned(),
        source,
    })
}

fn divide(chip: &Chip, map: &MemoryMap, options: &LayoutOptions) -> Result<Layout, DeviceError> {
    Layout::new(map, options).map_err(|source| DeviceError::Memory {
        chip: chip.name().to_owned(),
        source,
    })
}

impl Layout {
    /// Where everything goes on a chip for which firmware is yet to be built.
    ///
    /// # Errors
    /// [`DeviceError`], where the chip's memory cannot be used.
    pub fn of(chip: &Chip, options: &LayoutOptions) -> Result<Self, DeviceError> {
        divide(chip, &memory_map(chip)?, options)
    }
}

/// The key that the device is going to ask for.
fn asked_key(
    firmware: Option<&Firmware>,
    options: &PlanOptions,
) -> Result<Option<PublicKey>, DeviceError> {
    match (firmware, options.key) {
        (Some(firmware), Some(expected)) if firmware.key != Some(expected) => {
            Err(DeviceError::OtherKey {
                path: firmware.path.clone(),
                found: firmware.key.map(|key| key.id()),
                expected: expected.id(),
            })
        }
        (Some(firmware), _) => Ok(firmware.key),
        (None, key) => Ok(key),
    }
}

/// What is written for a journal that begins with a state: so that both blocks are erased, something to each.
fn journal(second: &Second, state: State) -> [Segment; 2] {
    let [first, other] = second.journal;
    [
        Segment {
            address: first.address,
            bytes: fresh(state).to_vec(),
        },
        Segment {
            address: other.address,
            bytes: vec![0xff; 4],
        },
    ]
}

/// What it takes and what there is.
fn budgets(
    chip: &Chip,
    image: &Image<'_>,
    bytes: u64,
    firmware: Option<&Firmware>,
    own: Option<&Firmware>,
    key: Option<PublicKey>,
    layout: &Layout,
) -> Result<Vec<Budget>, DeviceError> {
    let images = match layout.slots.turns(bytes) {
        Some(second) => ("flash for an image", layout.slots.a.len.min(second.b.len)),
        None => ("flash for images", layout.slots.whole().len),
    };
    let mut budgets = vec![Budget {
        what: images.0,
        parts: vec![("image", bytes)],
        limit: images.1.into(),
    }];
    if let Some(own) = own {
        let bytes = own.segments.iter().map(|s| s.bytes.len() as u64).sum();
        budgets.push(Budget {
            what: "flash for firmware",
            parts: vec![("firmware", bytes)],
            limit: layout.firmware.len.into(),
        });
    }
    budgets.push(ram(image, firmware, layout));
    // A firmware of one's own, without a key, starts as it likes.
    let application = firmware.is_some_and(|firmware| firmware.limits.is_some());
    if application || key.is_some() {
        let limits = Limits::of(chip.processor().target());
        let memory = firmware.and_then(|firmware| firmware.memory);
        let rest = layout.ram.len.saturating_sub(Layout::STACK);
        budgets.push(Budget {
            what: match key {
                Some(_) => "RAM to check the signature at the start",
                None => "RAM to read the image at the start",
            },
            parts: vec![("stack", limits.stack_to_start(key.is_some()).into())],
            limit: memory.map_or(rest, |memory| memory.len).into(),
        });
    }
    budgets.into_iter().map(|b| b.check(chip)).collect()
}

/// The layout that a firmware was linked for: it says where images go.
fn divide_for(
    chip: &Chip,
    map: &MemoryMap,
    firmware: &Firmware,
    options: &LayoutOptions,
) -> Result<Layout, DeviceError> {
    let images = firmware.images;
    let turns = |slots: &Slots| slots.second.map(|second| (second.journal, second.b));
    if let Ok(layout) = Layout::new(map, options)
        && layout.slots.whole() == images
        && turns(&layout.slots) == firmware.turns
    {
        return Ok(layout);
    }
    let unusable = |reason: String| DeviceError::Firmware {
        path: firmware.path.clone(),
        reason,
    };
    if !map.flash.contains(images) {
        return Err(unusable(format!(
            "it looks for images at {images}, and the flash of {} is {}",
            chip.name(),
            map.flash
        )));
    }
    let begins = |address: u32| map.blocks.iter().any(|block| block.address == address);
    if !begins(images.address) {
        return Err(unusable(format!(
            "it looks for images at {:#010x}, where no sector of {} begins: to write one would erase what \
             lies before",
            images.address,
            chip.name()
        )));
    }
    let second = match firmware.turns {
        None => None,
        Some((journal, b)) => {
            let whole = |part: &Region| {
                let end = part.end();
                begins(part.address) && (begins(end) || end == map.flash.end())
            };
            let apart = journal.iter().all(|part| part.end() <= images.address);
            if !(journal.iter().all(whole) && begins(b.address) && apart && images.contains(b)) {
                return Err(unusable(format!(
                    "its journal at {} and {} and its second slot at {b} are not whole sectors of {}, one behind \
                     another",
                    journal[0],
                    journal[1],
                    chip.name()
                )));
            }
            let shorter = journal[0].len.min(journal[1].len);
            Some(Second {
                journal,
                unit: (map.page.checked_next_multiple_of(4)).map_or(shorter, |u| u.min(shorter)),
                b,
            })
        }
    };
    let first = second.map_or(images.address, |second| second.journal[0].address);
    let options = LayoutOptions {
        firmware: Some(first.saturating_sub(map.flash.address)),
    };
    let layout = divide(chip, map, &options)?;
    Ok(Layout {
        slots: Slots {
            a: Region::new(images.address, second.map_or(images.end(), |s| s.b.address)),
            second,
        },
        ..layout
    })
}

/// What the image needs of the RAM, beside the firmware where it is known.
fn ram(image: &Image<'_>, firmware: Option<&Firmware>, layout: &Layout) -> Budget {
    let input = image
        .description()
        .inputs
        .iter()
        .map(|i| u64::from(i.size))
        .sum();
    let mut parts = vec![("arena", image.arena_bytes() as u64), ("input", input)];
    let limit = u64::from(layout.ram.len);
    let own = firmware.map(|firmware| (firmware.memory, firmware.stack, firmware.variables));
    match own {
        Some((Some(memory), stack, _)) => {
            // What the firmware keeps for itself, its parsed image among it, is known to the byte.
            let stack = stack.map_or(0, |stack| u64::from(stack.len));
            let variables = limit
                .saturating_sub(u64::from(memory.len))
                .saturating_sub(stack);
            parts.push(("variables", variables));
            parts.push(("stack", stack));
        }
        // The arena is among its variables.
        Some((None, _, variables)) => parts = vec![("variables", variables)],
        None => parts.push(("stack", Layout::STACK.into())),
    }
    Budget {
        what: "RAM",
        parts,
        limit,
    }
}

/// Where to look for RTT's control block of a firmware that is not known: among its variables, which lie at the
/// RAM's start.
pub(super) fn scan(ram: Region) -> ScanRegion {
    const REACH: u32 = 64 << 10;
    let end = ram.address.saturating_add(ram.len.min(REACH));
    ScanRegion::range(ram.address.into()..end.into())
}

/// How to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashOptions {
    /// The probe; the only one, unless said.
    pub probe: Option<Selector>,
    /// How long the firmware may take to answer.
    pub timeout: Duration,
    /// Whether to wait for the answer of the application, which firmware of one's own need not give.
    pub greet: bool,
}

impl Default for FlashOptions {
    /// The only probe; an answer within five seconds.
    fn default() -> Self {
        Self {
            probe: None,
            timeout: Duration::from_secs(5),
            greet: true,
        }
    }
}

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Sectors are erased.
    Erase,
    /// Pages are written.
    Program,
    /// What was written is read back.
    Verify,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A part of the work will have so many bytes more.
    Planned {
        /// Which part.
        phase: Phase,
        /// How many.
        bytes: u64,
    },
    /// So many bytes more are done.
    Done {
        /// Of which part.
        phase: Phase,
        /// How many.
        bytes: u64,
    },
    /// A part of the work is done, or has failed.
    Ended {
        /// Which part.
        phase: Phase,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flashed {
    /// Bytes of the sectors that were erased.
    pub erased: u64,
    /// Bytes of the pages that were written, and read back.
    pub programmed: u64,
    /// What of the images was written: in place where the image that was there needed both slots.
    pub mode: Mode,
    /// The slot that the image was written to.
    pub slot: Slot,
    /// Whether there was no journal, or a damaged one, beside a firmware that stays: it has been written anew.
    pub journal_repaired: bool,
    /// What the firmware said then, where it was asked.
    pub greeting: Option<Greeting>,
}

/// Does what was planned: erases, writes, reads back, resets the chip, starts it, and asks its firmware what
/// it runs.
///
/// # Errors
/// [`DeviceError`]. Where it comes after the erasing began, an image that was written to the inactive slot is
/// not yet in use, or is whole; else the flash's contents are undefined.
pub fn flash(
    plan: &Plan,
    options: &FlashOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Flashed, DeviceError> {
    let mut session = attach(&plan.chip, options.probe.as_ref())?;
    let mut tally = Tally::new(progress);
    let updated = match plan.mode {
        Mode::Everything => {
            let image = plan.places.iter().map(|place| Segment {
                address: place.image.address,
                bytes: plan.image.clone(),
            });
            let writes: Vec<Segment> = plan.writes.iter().cloned().chain(image).collect();
            write(plan, &mut session, &writes, false, &mut tally)?;
            Updated {
                slot: Slot::A,
                mode: Mode::Everything,
                journal_repaired: false,
            }
        }
        Mode::InactiveSlot | Mode::InPlace => {
            let identity = ask(plan, &mut session)?;
            update(plan, &mut session, identity.as_ref(), &mut tally)?
        }
    };
    let Tally {
        erased, programmed, ..
    } = tally;
    let greeting = start(plan, &mut session, options)?;
    Ok(Flashed {
        erased,
        programmed,
        mode: updated.mode,
        slot: updated.slot,
        journal_repaired: updated.journal_repaired,
        greeting,
    })
}

/// Connects to a chip, and sees that it is one.
pub(super) fn attach(chip: &Chip, probe: Option<&Selector>) -> Result<Session, DeviceError> {
    let probe = probe::open(probe)?;
    let unreached = |source: probe_rs::Error| DeviceError::Attach {
        chip: chip.name().to_owned(),
        source: Box::new(source),
    };
    // The chip's description comes along, so no registry is asked.
    let registry = probe_rs::config::Registry::new();
    let mut session = probe
        .attach_with_registry(chip.target.clone(), Permissions::default(), &registry)
        .map_err(unreached)?;
    const CPUID: u64 = 0xe000_ed00;
    let mut core = session.core(chip.core()).map_err(unreached)?;
    let cpuid = core.read_word_32(CPUID).map_err(unreached)?;
    drop(core);
    let expected = chip.processor().architecture;
    match processor::architecture_of_cpuid(cpuid) {
        Some(found) if found != expected => Err(DeviceError::OtherChip {
            chip: chip.name().to_owned(),
            expected,
            found,
        }),
        _ => Ok(session),
    }
}

/// The bytes that were erased and written so far, and who wants to know.
pub(super) struct Tally<'a> {
    erased: u64,
    programmed: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Tally<'a> {
    fn new(progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            erased: 0,
            programmed: 0,
            progress,
        }
    }

    pub(super) fn take(&mut self, progress: Progress) {
        if let Progress::Done { phase, bytes } = progress {
            match phase {
                Phase::Erase => self.erased += bytes,
                Phase::Program => self.programmed += bytes,
                Phase::Verify => {}
            }
        }
        (self.progress)(progress);
    }
}

/// An error of probe-rs's while the flash is worked on.
pub(super) fn failed(plan: &Plan, source: FlashError) -> DeviceError {
    match source {
        FlashError::Verify => DeviceError::Verify {
            chip: plan.name.clone(),
        },
        other => DeviceError::Connection {
            chip: plan.name.clone(),
            during: "while its flash was written",
            source: Box::new(other),
        },
    }
}

/// Writes and reads back; erases before, where that has not been done.
pub(super) fn write(
    plan: &Plan,
    session: &mut Session,
    writes: &[Segment],
    erased: bool,
    tally: &mut Tally<'_>,
) -> Result<(), DeviceError> {
    let mut loader = session.target().flash_loader();
    for segment in writes {
        let address = u64::from(segment.address);
        loader
            .add_data(address, &segment.bytes)
            .map_err(|e| failed(plan, e))?;
    }
    let mut download = DownloadOptions::default();
    download.verify = true;
    download.skip_erase = erased;
    download.progress = FlashProgress::new(|event| {
        let event = match event {
            ProgressEvent::AddProgressBar { operation, total } => {
                phase(operation).map(|phase| Progress::Planned {
                    phase,
                    bytes: total.unwrap_or(0),
                })
            }
            ProgressEvent::Progress {
                operation, size, ..
            } => phase(operation).map(|phase| Progress::Done { phase, bytes: size }),
            ProgressEvent::Finished(operation) | ProgressEvent::Failed(operation) => {
                phase(operation).map(|phase| Progress::Ended { phase })
            }
            _ => None,
        };
        // Erasing that is left out is announced all the same.
        let erasing = |p: &Progress| {
            matches!(
                p,
                Progress::Planned {
                    phase: Phase::Erase,
                    ..
                }
            )
        };
        if let Some(event) = event.filter(|event| !(erased && erasing(event))) {
            tally.take(event);
        }
    });
    loader
        .commit(session, download)
        .map_err(|e| failed(plan, e))
}

fn phase(operation: ProgressOperation) -> Option<Phase> {
    match operation {
        ProgressOperation::Erase => Some(Phase::Erase),
        ProgressOperation::Program => Some(Phase::Program),
        ProgressOperation::Verify => Some(Phase::Verify),
        ProgressOperation::Fill => None,
    }
}

/// Starts a core anew.
pub(super) fn restart(
    core: &mut Core<'_>,
    rtt: &ScanRegion,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    const HALT: Duration = Duration::from_millis(500);
    core.reset_and_halt(HALT)?;
    // RAM outlives a reset: what an earlier firmware left must not be taken for this one's.
    Rtt::clear_control_block(core, rtt)?;
    Ok(core.run()?)
}

/// Starts the chip anew, and asks its firmware what it runs.
fn start(
    plan: &Plan,
    session: &mut Session,
    options: &FlashOptions,
) -> Result<Option<Greeting>, DeviceError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| DeviceError::Connection {
        chip: plan.name.clone(),
        during: "when it was to start",
        source,
    };
    let mut core = session
        .core(plan.chip.core())
        .map_err(|e| failed(Box::new(e)))?;
    restart(&mut core, &plan.rtt).map_err(failed)?;
    if !options.greet {
        return Ok(None);
    }
    let chip = plan.name.clone();
    // A small core takes its time for a signature.
    const SIGNATURE: Duration = Duration::from_secs(15);
    let timeout = match plan.key {
        Some(_) => options.timeout + SIGNATURE,
        None => options.timeout,
    };
    let silent = || DeviceError::Silent {
        chip: chip.clone(),
        timeout,
    };
    let identity = greet(&mut core, &plan.rtt, timeout)
        .map_err(|e| match e {
            SessionError::Silent { .. } => silent(),
            SessionError::Protocol { found } => DeviceError::Protocol {
                chip: chip.clone(),
                expected: tinyspike_shared::wire::PROTOCOL,
                found,
            },
            SessionError::Lost(Lost(source)) => failed(source),
            other => DeviceError::Image {
                chip: chip.clone(),
                reason: other.to_string(),
            },
        })?
        .ok_or_else(silent)?;
    let refused = identity.start.passed_over();
    let greeting = Greeting::from(identity);
    match &greeting.image {
        ImageReport::Ready { checksum, .. } if *checksum == plan.checksum => Ok(Some(greeting)),
        ImageReport::Ready { checksum, slot, .. } => Err(DeviceError::Image {
            chip,
            reason: match refused {
                Some(refused) => format!(
                    "its firmware refuses the image: {refused}; it runs the image {checksum:08x} in slot {slot}"
                ),
                None => format!(
                    "its firmware runs an image with the checksum {checksum:08x} in place of {:08x}: it looks elsewhere",
                    plan.checksum
                ),
            },
        }),
        ImageReport::Refused { reason } => Err(DeviceError::Image {
            chip,
            reason: format!("its firmware does not run the image: {reason}"),
        }),
    }
}
