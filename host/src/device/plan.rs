//! Chip + image + firmware → what is written where, and whether it fits.

use std::fmt;
use std::path::PathBuf;

use probe_rs::rtt::ScanRegion;
use serde::Serialize;
use tinyspike_firmware::limits::Limits;
use tinyspike_firmware::parts::{Part, Parts};
use tinyspike_shared::accept::{Refusal, Terms};
use tinyspike_shared::signature::KeyId;
use tinyspike_shared::slots::{Slot, State, fresh};

use super::attach::scan;
use super::boards::Board;
use super::chip::Chip;
use super::firmware::{Firmware, FirmwareError, Segment};
use super::memory::{
    Layout, LayoutError, LayoutOptions, MemoryError, MemoryMap, Region, Second, Slots,
    firmware_bytes, firmware_ram,
};
use super::processor::Processor;
use crate::advice::{Advice, Advised};
use crate::assemble::suits;
use crate::image::{Image, ImageBuf};
use crate::sign::{PublicKey, trailer_of};
use crate::stream::is_current_based;

/// Options of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Division of the flash.
    pub layout: LayoutOptions,
    /// True if the firmware on the chip stays as it is; one that is given says where images go.
    pub model_only: bool,
    /// The key whose signature the firmware asks for.
    pub key: Option<PublicKey>,
    /// The device takes no model below this version from then on. With the firmware this starts again; for an
    /// image alone what the device has stored is never lowered.
    pub minimum: u32,
}

/// Extent of what is written to a chip.
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
    /// The slot.
    pub slot: Slot,
    /// Place of the image, with its signature.
    pub image: Region,
    /// Sectors that are erased before.
    pub erased: Vec<Region>,
}

/// Reasons why an image is not put on a chip, known before anything is touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The chip's memory cannot be divided.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The firmware cannot be used.
    #[error(transparent)]
    Firmware(#[from] FirmwareError),
    /// The firmware lies outside its place.
    #[error(
        "the firmware has bytes at {segment}, and its place on {chip} is {place}: it was linked for another chip or layout"
    )]
    Misplaced {
        /// The chip.
        chip: String,
        /// Their place.
        segment: Region,
        /// The place for firmware.
        place: Region,
    },
    /// Need that does not fit.
    #[error("{chip}: {budget}")]
    OverBudget {
        /// The chip.
        chip: String,
        /// Need and limit.
        budget: Budget,
    },
    /// The device would not run the image: it is not signed, too old, or damaged.
    #[error("{chip} would refuse it: {refusal}")]
    Refused {
        /// The chip.
        chip: String,
        /// The reason, as the device would say it.
        refusal: Refusal,
    },
    /// No place to store a least version.
    #[error(
        "{chip} has one place for an image and no journal, which would hold the least version that may run"
    )]
    NoJournal {
        /// The chip.
        chip: String,
    },
    /// The firmware asks for another key's signatures.
    #[error(
        "the firmware {} {}, not of {expected}: build it with that key",
        path.display(),
        found.map_or("asks for no signature".to_owned(), |id| format!("asks for signatures of the key {id}"))
    )]
    OtherKey {
        /// The firmware's file.
        path: PathBuf,
        /// The key that it was built with, if any.
        found: Option<KeyId>,
        /// The key that was meant.
        expected: KeyId,
    },
    /// Firmware that checks signatures does not fit its place.
    #[error(
        "the firmware's place on {chip} has {room} bytes, and firmware that checks signatures takes up to {needed}"
    )]
    NoRoomForSignatures {
        /// The chip.
        chip: String,
        /// Bytes of the place.
        room: u32,
        /// Bytes that it may take.
        needed: u32,
    },
    /// Firmware with parts that the image needs does not fit its place.
    #[error(
        "the firmware's place on {chip} has {room} bytes, and firmware for {what} takes up to {needed}"
    )]
    NoRoomForParts {
        /// The chip.
        chip: String,
        /// Bytes of the place.
        room: u32,
        /// Bytes that it may take.
        needed: u32,
        /// Purpose of these parts.
        what: &'static str,
    },
    /// The firmware cannot hold the network.
    #[error(
        "the firmware of {chip} holds networks of up to {limit} {what}, and this one has {found}"
    )]
    TooManyLayers {
        /// The chip.
        chip: String,
        /// `ensembles` or `connections`.
        what: &'static str,
        /// Number that the network has.
        found: usize,
        /// Largest number.
        limit: usize,
    },
}

impl Advised for PlanError {
    fn advice(&self) -> Vec<Advice> {
        vec![match self {
            Self::Layout(e) => return e.advice(),
            Self::Firmware(e) => return e.advice(),
            Self::Refused { refusal, .. } => match refusal {
                Refusal::Signature(_) => Advice::Sign,
                Refusal::Version { .. } => Advice::ModelVersion,
                _ => Advice::DeployAgain,
            },
            Self::NoJournal { .. } => Advice::NoMinimumVersion,
            Self::OtherKey { .. } => Advice::FirmwareOrKey,
            Self::TooManyLayers { .. } => Advice::FlashFirmware,
            Self::OverBudget { .. } => Advice::SmallerImage,
            Self::NoRoomForSignatures { .. } | Self::NoRoomForParts { .. } => Advice::FirmwareSize,
            Self::Misplaced { .. } => return Vec::new(),
        }]
    }
}

/// A resource: need and limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Its name.
    pub what: &'static str,
    /// Its users, and what each takes in bytes.
    pub parts: Vec<(&'static str, u64)>,
    /// Bytes that there are.
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

    fn check(self, chip: &Chip) -> Result<Self, PlanError> {
        if self.needed() <= self.limit {
            return Ok(self);
        }
        Err(PlanError::OverBudget {
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

/// A plan: changes to a chip, before anything is touched.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    #[serde(skip)]
    pub(super) chip: Chip,
    /// The chip's name.
    #[serde(rename = "chip")]
    name: String,
    /// The board that it is on, if that is known.
    #[serde(serialize_with = "board_name", skip_serializing_if = "Option::is_none")]
    pub board: Option<&'static Board>,
    /// The processor that code is built for.
    pub processor: Processor,
    /// The place of everything.
    pub layout: Layout,
    /// Extent of what is written.
    pub mode: Mode,
    /// Places for the image: one of the two slots if they take turns, else the first.
    pub places: Vec<Place>,
    /// The image's checksum.
    pub checksum: u32,
    /// The model's version.
    pub version: u32,
    /// The least version that the device is to run.
    pub minimum: u32,
    /// The place of what the boot ROM wants, if that is written: firmware that is given may have brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Region>,
    /// Places of the firmware's parts; none if it stays as it is.
    pub firmware: Vec<Region>,
    /// Sectors that are erased for firmware and journal, which is written again with it.
    pub erased: Vec<Region>,
    /// Needs and limits.
    pub budgets: Vec<Budget>,
    /// The image and its signature.
    #[serde(skip)]
    pub(super) image: ImageBuf,
    /// The key whose signature the firmware asks for, if that is known.
    #[serde(skip)]
    pub(super) key: Option<PublicKey>,
    /// The firmware and its journal.
    #[serde(skip)]
    pub(super) writes: Vec<Segment>,
    #[serde(skip)]
    pub(super) map: MemoryMap,
    #[serde(skip)]
    pub(super) rtt: ScanRegion,
}

impl Plan {
    /// Plans to write an image with its signature and, if one is given, the firmware beside it.
    ///
    /// # Errors
    /// [`PlanError`], if they do not fit the chip, or each other, or the device would refuse the image.
    pub fn new(
        chip: &Chip,
        image: &ImageBuf,
        firmware: Option<&Firmware>,
        options: &PlanOptions,
    ) -> Result<Self, PlanError> {
        let map = chip.memory_map()?;
        // No image is small enough if our own firmware is too large.
        let (ram, needed) = (map.ram.len, firmware_ram(chip.processor().target()));
        if firmware.is_none() && ram < needed {
            return Err(PlanError::Layout(LayoutError {
                chip: chip.name().to_owned(),
                source: MemoryError::LittleRam { ram, needed },
            }));
        }
        let layout = match firmware {
            None => Layout::divide(chip, &map, &options.layout)?,
            Some(firmware) => divide_for(chip, &map, firmware, &options.layout)?,
        }
        .built_for(chip, &image.image());
        let key = asked_key(firmware, options)?;
        // Else the linker would say so. Who states a size is believed.
        let (room, needed) = (
            layout.linked().len,
            firmware_bytes(chip.processor().target(), true),
        );
        let builds = firmware.is_none() && !options.model_only && options.layout.firmware.is_none();
        let optional = layout.optional_bytes();
        let unsigned = firmware_bytes(chip.processor().target(), false) + optional;
        if builds && optional > 0 && key.is_none() && room < unsigned {
            return Err(PlanError::NoRoomForParts {
                chip: chip.name().to_owned(),
                room,
                needed: unsigned,
                what: match layout.current_based {
                    true => "networks that were trained with spikes",
                    false => "layers that are computed densely",
                },
            });
        }
        let needed = needed + optional;
        if builds && key.is_some() && room < needed {
            return Err(PlanError::NoRoomForSignatures {
                chip: chip.name().to_owned(),
                room,
                needed,
            });
        }
        let signed = image.followed_by(trailer_of(image).as_ref().map_or(&[], |t| t));
        let image = &image.image();
        let bytes = signed.bytes().len();
        let own = firmware.filter(|_| !options.model_only);
        let turns = layout.slots.turns(bytes as u64);
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
                let image = Region::new(start, start.saturating_add(bytes as u32));
                Some(Place {
                    slot,
                    image,
                    erased: map.blocks_of(image).collect(),
                })
            })
            .collect();
        let mut writes = Vec::new();
        let mut boot = None;
        if let Some(firmware) = own {
            boot = boot_block(chip, &layout, firmware);
            writes.extend(boot.clone());
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
        let erased = erased.filter(|block| writes.iter().any(|w| block.overlaps(Region::of(w))));
        let plan = Self {
            chip: chip.clone(),
            name: chip.name().to_owned(),
            board: chip.board(),
            processor: chip.processor(),
            mode,
            places,
            checksum: image.header().checksum,
            version: image.header().model_version,
            minimum: options.minimum,
            boot: boot.as_ref().map(Region::of),
            firmware: own.map_or(Vec::new(), |own| {
                own.segments.iter().map(Region::of).collect()
            }),
            erased: erased.collect(),
            budgets: budgets(chip, image, bytes as u64, firmware, own, key, &layout)?,
            image: signed,
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
            return Err(PlanError::NoJournal { chip: plan.name });
        }
        plan.check_acceptance(plan.minimum, plan.key)?;
        plan.check_firmware(image, firmware)?;
        Ok(plan)
    }

    /// Checks that a device takes the image if it asks for this version and this key's signature.
    pub(super) fn check_acceptance(
        &self,
        minimum: u32,
        key: Option<PublicKey>,
    ) -> Result<(), PlanError> {
        let terms = Terms::version(minimum).signed(key.map(|key| *key.bytes()));
        let accepted: Result<Image<'_>, _> = terms.accept(self.image.bytes());
        accepted.map(|_| ()).map_err(|refusal| PlanError::Refused {
            chip: self.name.clone(),
            refusal,
        })
    }

    /// Checks that firmware which holds so many ensembles and connections holds an image.
    pub(super) fn check_room(
        &self,
        image: &Image<'_>,
        ensembles: usize,
        connections: usize,
    ) -> Result<(), PlanError> {
        match beyond_room(image, ensembles, connections) {
            None => Ok(()),
            Some((what, found, limit)) => Err(PlanError::TooManyLayers {
                chip: self.name.clone(),
                what,
                found,
                limit,
            }),
        }
    }

    /// Checks that a firmware holds the image, and lies where it may.
    fn check_firmware(
        &self,
        image: &Image<'_>,
        firmware: Option<&Firmware>,
    ) -> Result<(), PlanError> {
        if let Some(limits) = firmware.and_then(|firmware| firmware.limits) {
            self.check_room(image, limits.ensembles, limits.connections)?;
        }
        let place = self.layout.firmware;
        match self.firmware.iter().find(|part| !place.contains(**part)) {
            None => Ok(()),
            Some(&segment) => Err(PlanError::Misplaced {
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

    /// Warnings: what works, but less well than it could; each with a remedy if there is one.
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

/// The kind of parts of which an image has more than firmware that holds so many ensembles and connections, their number, and
/// the largest.
pub(super) fn beyond_room(
    image: &Image<'_>,
    ensembles: usize,
    connections: usize,
) -> Option<(&'static str, usize, usize)> {
    let network = image.description();
    let parts = [
        ("ensembles", network.ensembles.len(), ensembles),
        ("connections", network.connections.len(), connections),
    ];
    parts.into_iter().find(|(_, found, limit)| found > limit)
}

fn board_name<S: serde::Serializer>(
    board: &Option<&'static Board>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    board.map(|board| board.name).serialize(serializer)
}

/// The key that the device is going to ask for.
fn asked_key(
    firmware: Option<&Firmware>,
    options: &PlanOptions,
) -> Result<Option<PublicKey>, PlanError> {
    match (firmware, options.key) {
        (Some(firmware), Some(expected)) if firmware.key != Some(expected) => {
            Err(PlanError::OtherKey {
                path: firmware.path.clone(),
                found: firmware.key.map(|key| key.id()),
                expected: expected.id(),
            })
        }
        (Some(firmware), _) => Ok(firmware.key),
        (None, key) => Ok(key),
    }
}

/// The boot block for a firmware; `None` if the chip wants none, or the firmware has its own.
fn boot_block(chip: &Chip, layout: &Layout, firmware: &Firmware) -> Option<Segment> {
    let place = layout.boot?;
    let overlaps = |segment: &Segment| Region::of(segment).overlaps(place);
    if firmware.segments.iter().any(overlaps) {
        return None;
    }
    Some(Segment {
        address: place.address,
        bytes: chip.boot_block()?.bytes(place.address),
    })
}

/// The segments of a journal that begins with a state. A sector may be two blocks: something goes to each half, so
/// that all are erased.
fn journal(second: &Second, state: State) -> [Segment; 4] {
    let [first, other] = second.journal;
    let (record, blank) = (fresh(state).to_vec(), vec![0xff; 4]);
    let copy = if second.copies() { &record } else { &blank };
    [
        (first.address, &record),
        (first.address + first.len / 2, copy),
        (other.address, &blank),
        (other.address + other.len / 2, &blank),
    ]
    .map(|(address, bytes)| Segment {
        address,
        bytes: bytes.clone(),
    })
}

/// Needs and limits.
fn budgets(
    chip: &Chip,
    image: &Image<'_>,
    bytes: u64,
    firmware: Option<&Firmware>,
    own: Option<&Firmware>,
    key: Option<PublicKey>,
    layout: &Layout,
) -> Result<Vec<Budget>, PlanError> {
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
            limit: layout.linked().len.into(),
        });
    }
    budgets.push(ram(image, firmware, layout));
    // Custom firmware without a key, starts as it likes.
    let application = firmware.is_some_and(|firmware| firmware.limits.is_some());
    if application || key.is_some() {
        let usual = Limits::of(chip.processor().target());
        let limits = firmware
            .and_then(|firmware| firmware.limits)
            .unwrap_or_else(|| usual.times(layout.rooms));
        let memory = firmware.and_then(|firmware| firmware.memory);
        let rest = layout.ram.len.saturating_sub(layout.stack);
        budgets.push(Budget {
            what: match key {
                Some(_) => "RAM to check the signature at the start",
                None => "RAM to read the image at the start",
            },
            parts: vec![("stack", limits.stack_to_start(key.is_some()).into())],
            limit: memory.map_or(rest, |memory| memory.len).into(),
        });
    }
    // The application alone lends memory, and its stack is what it was built with.
    if let Some(stack) = firmware.and_then(|own| own.memory.and(own.stack)) {
        budgets.push(Budget {
            what: "the firmware's stack",
            parts: vec![("an inference", layout.stack.into())],
            limit: stack.len.into(),
        });
    }
    budgets.into_iter().map(|b| b.check(chip)).collect()
}

impl Layout {
    /// The same for firmware that is built for an image: a stack for its inferences, and room for its parts.
    #[must_use]
    pub fn built_for(self, chip: &Chip, image: &Image<'_>) -> Self {
        let usual = Limits::of(chip.processor().target());
        let network = image.description();
        let rooms = usual
            .rooms(network.ensembles.len(), network.connections.len())
            .unwrap_or(Limits::MOST_ROOMS);
        Self {
            stack: usual.times(rooms).stack(network),
            current_based: is_current_based(image),
            dense: Parts::needed(image, chip.processor().family()).has(Part::Dense),
            rooms,
            ..self
        }
    }
}

/// The layout that a firmware was linked for: it says where images go.
fn divide_for(
    chip: &Chip,
    map: &MemoryMap,
    firmware: &Firmware,
    options: &LayoutOptions,
) -> Result<Layout, PlanError> {
    let images = firmware.images;
    let turns = |slots: &Slots| slots.second.map(|second| (second.journal, second.b));
    if let Ok(layout) = Layout::divide(chip, map, options)
        && layout.slots.whole() == images
        && turns(&layout.slots) == firmware.turns
    {
        return Ok(layout);
    }
    let unusable = |reason: String| {
        let path = firmware.path.clone();
        PlanError::Firmware(FirmwareError::Unusable { path, reason })
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
    let layout = Layout::divide(chip, map, &options)?;
    Ok(Layout {
        slots: Slots {
            a: Region::new(images.address, second.map_or(images.end(), |s| s.b.address)),
            second,
        },
        ..layout
    })
}

/// The image's need of RAM, beside the firmware's if that is known.
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
        None => parts.push(("stack", layout.stack.into())),
    }
    Budget {
        what: "RAM",
        parts,
        limit,
    }
}
