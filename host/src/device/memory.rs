//! Chip description → where firmware, image and variables go.
//!
//! The flash is the one that the chip starts from; the RAM is one piece, for variables, arena and stack.
//! A flash is divided only if both a sector, which is erased as a whole, and a page, which is written
//! as a whole, begin: so nothing that is written to one part ever touches another.
//!
//! # Which RAM
//! The longest run of neighbouring regions from 0x2000_0000 up to 0x4000_0000, which the architecture
//! makes data memory. Only if there is none, the longest below: core-coupled memory there serves loads
//! and stores on all chips of the database that have nothing else, but not their DMA. A run at address 0 (an ITCM) is never
//! taken, for no variable may lie there, nor is memory outside the chip, from 0x6000_0000 on. A run ends at 0x2000_0000:
//! on either side lies another bus. Of aliases only those are taken that show such lower memory as data memory (nRF52).

use probe_rs::config::{MemoryRegion, NvmRegion, RamRegion, RawFlashAlgorithm};
use serde::Serialize;
use tinyspike_board::held;
use tinyspike_board::memory::{Memory, Turns};
use tinyspike_firmware::limits::Limits;
use tinyspike_shared::slots::{RECORD_LEN, Slot};

use super::boards::Place;
use super::boot::BootBlock;
use super::chip::Chip;
use super::families::{self, Obstacle};
pub use super::region::Region;
use crate::advice::{Advice, Advised};

/// Begin and end of data memory, by the architecture.
const DATA: std::ops::Range<u64> = 0x2000_0000..0x4000_0000;
/// Begin of memory outside the chip, by the architecture.
const EXTERNAL: u64 = 0x6000_0000;
/// No chip has more sectors. A description that claims so many more is not followed any further.
const MAX_SECTORS: usize = 1 << 16;

/// Reason why a chip's memory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// probe-rs cannot write the chip's flash.
    #[error("probe-rs has no flash algorithm for it")]
    NoAlgorithm,
    /// None of its flash can be written and run from.
    #[error("its description has no flash that it starts from and probe-rs can write")]
    NoFlash,
    /// The memory that it starts from is not part of the chip.
    #[error("{0}")]
    External(Obstacle),
    /// The flash for programs is not in the flash that there is.
    #[error("the flash for programs is said to be {place}, and its description has {flash}")]
    OutsideFlash {
        /// The flash for programs.
        place: Region,
        /// The flash that there is.
        flash: Region,
    },
    /// The sectors do not divide the flash.
    #[error("its flash at {flash} cannot be divided into whole sectors and pages")]
    Undivided {
        /// The flash.
        flash: Region,
    },
    /// No RAM that a program could use.
    #[error("its description has no RAM for variables")]
    NoRam,
    /// The RAM is too small for the application.
    #[error("its RAM has {ram} bytes, and the firmware takes {needed} before it has a network")]
    LittleRam {
        /// Its length in bytes.
        ram: u32,
        /// Bytes that the application needs.
        needed: u32,
    },
    /// The flash is too small for a firmware and an image.
    #[error(
        "its flash has {flash} bytes in {blocks} sectors, which leave no room for an image behind {firmware} bytes of firmware"
    )]
    NoRoom {
        /// Its length in bytes.
        flash: u32,
        /// Number of its parts.
        blocks: usize,
        /// Bytes that the firmware is to have.
        firmware: u32,
    },
}

/// The memory of a chip that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{chip}: {source}")]
pub struct LayoutError {
    /// The chip.
    pub chip: String,
    /// The reason.
    pub source: MemoryError,
}

impl Advised for LayoutError {
    fn advice(&self) -> Vec<Advice> {
        vec![match self.source {
            MemoryError::External(_) | MemoryError::OutsideFlash { .. } => Advice::FlashSize,
            _ => Advice::UsableChips,
        }]
    }
}

/// The flash and RAM of a chip that firmware and image can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    /// The flash, cut to whole blocks.
    pub flash: Region,
    /// Parts of the flash that can be erased and written without touching the rest, one behind another.
    pub blocks: Vec<Region>,
    /// Bytes that are written at once: the flash algorithm's page, the largest if there are several.
    pub page: u32,
    /// The RAM for variables, arena and stack.
    pub ram: Region,
}

impl MemoryMap {
    /// The memory of a chip.
    ///
    /// # Errors
    /// [`MemoryError`], if there is nothing that could be used.
    pub fn of(chip: &Chip) -> Result<Self, MemoryError> {
        if chip.target.flash_algorithms.is_empty() {
            return Err(MemoryError::NoAlgorithm);
        }
        if let Some(obstacle @ Obstacle::ExternalFlash) = chip.obstacle() {
            return Err(MemoryError::External(obstacle));
        }
        let flash = flash_regions(chip)?;
        let mut blocks = Vec::new();
        let mut page = 0;
        let mut sectors = MAX_SECTORS;
        for Flash { region, algorithm } in flash {
            page = page.max(algorithm.flash_properties.page_size);
            for block in blocks_of(region, algorithm, &mut sectors) {
                // Where one region's blocks end before it does, the next one is out of reach.
                match blocks.last() {
                    Some(last) if Region::end(*last) != block.address => break,
                    _ => blocks.push(block),
                }
            }
        }
        if families::keeps_last_sector(chip.family()) {
            blocks.pop();
        }
        if let Some(place) = chip.place() {
            keep(&mut blocks, place)?;
        }
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            let whole = chip
                .target
                .memory_map
                .iter()
                .find_map(MemoryRegion::as_nvm_region);
            let flash = whole
                .and_then(|r| region(&r.range))
                .unwrap_or(Region::new(0, 0));
            return Err(MemoryError::Undivided { flash });
        };
        Ok(Self {
            flash: Region::new(first.address, last.end()),
            ram: ram(chip).ok_or(MemoryError::NoRam)?,
            blocks,
            page,
        })
    }

    /// The blocks that have to be erased to write a part of the flash.
    pub fn blocks_of(&self, part: Region) -> impl Iterator<Item = Region> {
        self.blocks
            .iter()
            .copied()
            .filter(move |b| b.overlaps(part))
    }
}

impl Chip {
    /// The flash and RAM that firmware and image can have.
    ///
    /// # Errors
    /// [`LayoutError`], if there is nothing that could be used.
    pub fn memory_map(&self) -> Result<MemoryMap, LayoutError> {
        MemoryMap::of(self).map_err(|source| LayoutError {
            chip: self.name().to_owned(),
            source,
        })
    }
}

/// Keeps the blocks that are for programs.
fn keep(blocks: &mut Vec<Region>, place: Place) -> Result<(), MemoryError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Ok(());
    };
    let flash = Region::new(first.address, last.end());
    let place = match place {
        Place::BehindLoader(region) => region,
        Place::External(bytes) => Region {
            address: flash.address,
            len: bytes,
        },
    };
    if place.len == 0 || place.address.checked_add(place.len).is_none() || !flash.contains(place) {
        return Err(MemoryError::OutsideFlash { place, flash });
    }
    blocks.retain(|block| place.contains(*block));
    Ok(())
}

/// A region of flash, and what writes it.
#[derive(Clone, Copy)]
struct Flash<'a> {
    region: &'a NvmRegion,
    algorithm: &'a RawFlashAlgorithm,
}

/// The flash that a chip starts from, with what directly follows it.
fn flash_regions(chip: &Chip) -> Result<Vec<Flash<'_>>, MemoryError> {
    // An empty region follows itself; one whose end lies before its start leads back.
    let usable = |region: &NvmRegion| {
        !region.range.is_empty()
            && region.is_readable()
            && region.is_executable()
            && region.accessible_by(chip.core_name())
    };
    // Its size is known, so that it may be used.
    let external = chip.place().is_some();
    let regions = chip.target.memory_map.iter();
    let mut all: Vec<Flash<'_>> = regions
        .filter_map(MemoryRegion::as_nvm_region)
        .filter(|region| usable(region) && (external || region.range.end <= EXTERNAL))
        .filter_map(|region| {
            let algorithm = algorithm(chip, region)?;
            Some(Flash { region, algorithm })
        })
        .collect();
    all.sort_by_key(|flash| flash.region.range.start);
    let plain: Vec<_> = all.iter().filter(|flash| !flash.region.is_alias).collect();
    let boots = |flash: &&Flash<'_>| flash.region.is_boot_memory();
    let first = match plain.iter().copied().find(boots) {
        Some(first) => first,
        // An alias serves if the chip starts from nothing else.
        None => match (all.iter().find(boots), plain.as_slice()) {
            (Some(alias), _) => alias,
            (None, [only]) => only,
            (None, _) => return Err(MemoryError::NoFlash),
        },
    };
    let mut run = vec![*first];
    let mut end = first.region.range.end;
    while let Some(next) = all.iter().find(|next| {
        next.region.range.start == end
            && next.region.is_alias == first.region.is_alias
            && next.region.access() == first.region.access()
            && next.region.cores == first.region.cores
    }) {
        run.push(*next);
        end = next.region.range.end;
    }
    Ok(run)
}

/// The flash algorithm that probe-rs uses for a region; `None` if it has none, or cannot decide.
fn algorithm<'a>(chip: &'a Chip, region: &NvmRegion) -> Option<&'a RawFlashAlgorithm> {
    let core = region.cores.first()?;
    let fitting: Vec<&RawFlashAlgorithm> = chip
        .target
        .flash_algorithms
        .iter()
        .filter(|a| {
            let range = &a.flash_properties.address_range;
            range.start <= region.range.start
                && region.range.end <= range.end
                && (a.cores.is_empty() || a.cores.contains(core))
        })
        .collect();
    match fitting.as_slice() {
        [only] => Some(only),
        several => match several
            .iter()
            .filter(|a| a.default)
            .collect::<Vec<_>>()
            .as_slice()
        {
            [only] => Some(only),
            _ => None,
        },
    }
}

/// Parts of a region that can be erased and written alone.
///
/// probe-rs erases a sector for data in it, or in the page at its start, and leaves out sectors and pages
/// that are not wholly in the region. So blocks begin where a sector and a page do. `left` sectors are looked at.
fn blocks_of(nvm: &NvmRegion, algorithm: &RawFlashAlgorithm, left: &mut usize) -> Vec<Region> {
    let properties = &algorithm.flash_properties;
    let (start, page) = (
        properties.address_range.start,
        u64::from(properties.page_size),
    );
    if page == 0 {
        return Vec::new();
    }
    let cut = |at: u64| (at - start).is_multiple_of(page) && at.is_multiple_of(page);
    let end = nvm.range.end.min(properties.address_range.end);
    let mut blocks = Vec::new();
    let mut begun = None;
    for (i, sectors) in properties.sectors.iter().enumerate() {
        let next = properties.sectors.get(i + 1);
        let until = next.map_or(end, |s| end.min(start.saturating_add(s.address)));
        let mut at = start.saturating_add(sectors.address);
        if sectors.size == 0 {
            return Vec::new();
        }
        if at < nvm.range.start {
            // Sectors before the region are none of its own.
            let before = (nvm.range.start - at).div_ceil(sectors.size);
            at = at.saturating_add(before.saturating_mul(sectors.size));
        }
        while at < until && sectors.size <= end - at && *left > 0 {
            *left -= 1;
            if begun.is_none() && cut(at) {
                begun = Some(at);
            }
            at += sectors.size;
            if let Some(from) = begun
                && cut(at)
            {
                blocks.extend(region(&(from..at)));
                begun = None;
            }
        }
    }
    // A block that a gap between sectors tears is none, nor is what comes behind it.
    let whole = blocks.windows(2).position(|pair| match pair {
        [a, b] => a.end() != b.address,
        _ => false,
    });
    if let Some(torn) = whole {
        blocks.truncate(torn + 1);
    }
    blocks
}

/// A range of addresses as a region; `None` beyond 32 bits.
fn region(range: &std::ops::Range<u64>) -> Option<Region> {
    let (start, end) = (
        u32::try_from(range.start).ok()?,
        u32::try_from(range.end).ok()?,
    );
    Some(Region::new(start, end))
}

/// The RAM for variables, arena and stack.
fn ram(chip: &Chip) -> Option<Region> {
    let usable =
        |r: &&RamRegion| r.is_readable() && r.is_writable() && r.accessible_by(chip.core_name());
    let (aliases, plain): (Vec<&RamRegion>, Vec<&RamRegion>) = chip
        .target
        .memory_map
        .iter()
        .filter_map(MemoryRegion::as_ram_region)
        .filter(usable)
        .partition(|r| r.is_alias);
    let data = |range: &std::ops::Range<u64>| DATA.contains(&range.start);
    let plain = runs(plain.into_iter());
    if let Some(longest) = longest(plain.iter().filter(|r| data(r))) {
        return Some(longest);
    }
    let low = longest(plain.iter().filter(|r| r.start > 0 && r.start < DATA.start))?;
    let aliases = runs(aliases.into_iter());
    let twin = longest(aliases.iter().filter(|r| data(r)));
    Some(twin.filter(|twin| twin.len == low.len).unwrap_or(low))
}

/// The runs of regions that touch, cut at the beginning and the end of data memory.
fn runs<'a>(regions: impl Iterator<Item = &'a RamRegion>) -> Vec<std::ops::Range<u64>> {
    let mut pieces: Vec<std::ops::Range<u64>> = Vec::new();
    for range in regions.map(|r| r.range.clone()) {
        for limits in [0..DATA.start, DATA] {
            let piece = range.start.max(limits.start)..range.end.min(limits.end);
            if !piece.is_empty() {
                pieces.push(piece);
            }
        }
    }
    pieces.sort_by_key(|r| (r.start, r.end));
    let mut runs: Vec<std::ops::Range<u64>> = Vec::new();
    for piece in pieces {
        match runs.last_mut() {
            Some(run) if piece.start <= run.end && piece.start != DATA.start => {
                run.end = run.end.max(piece.end);
            }
            _ => runs.push(piece),
        }
    }
    runs
}

/// The longest of some runs, the lowest of equals, as double words; `None` if all are empty.
fn longest<'a>(runs: impl Iterator<Item = &'a std::ops::Range<u64>>) -> Option<Region> {
    const DOUBLE_WORD: u64 = 8;
    runs.filter_map(|run| {
        let start = run.start.next_multiple_of(DOUBLE_WORD);
        let end = run.end - run.end % DOUBLE_WORD;
        region(&(start..end)).filter(|r| r.len > 0)
    })
    .max_by_key(|r| (r.len, std::cmp::Reverse(r.address)))
}

/// Bytes of flash that hold the application for every network on a core of a compiler's target, with the check of signatures
/// or without. Builds of `cargo xtask firmware` assert them.
#[must_use]
pub fn firmware_bytes(target: &str, signed: bool) -> u32 {
    let small = target.starts_with("thumbv6m");
    match (signed, small) {
        (true, _) => 80 << 10,
        (false, true) => 59 << 10,
        (false, false) => 64 << 10,
    }
}

/// Bytes of flash that layers which are computed densely take of the application besides.
pub const DENSE_BYTES: u32 = 9 << 10;

/// Bytes of flash that current-based neurons take of the application besides.
pub const CURRENT_BASED_BYTES: u32 = 9 << 10;

/// Bytes of RAM that the application takes on a core of a compiler's target before it has a network: variables, stack, and what
/// it reads the image on. Builds of `cargo xtask firmware` assert the variables.
#[must_use]
pub fn firmware_ram(target: &str) -> u32 {
    let limits = Limits::of(target);
    firmware_variables(target) + limits.plain_stack + limits.stack_to_start(false)
}

/// Bytes of the application's variables.
#[must_use]
pub fn firmware_variables(target: &str) -> u32 {
    match Limits::of(target) {
        Limits::BASELINE => 3200,
        _ => 6400,
    }
}

/// A flash of a board that has little for images beside the usual room for firmware.
const SMALL: u32 = 128 << 10;

/// Bytes for the firmware unless somebody says otherwise.
fn usual_firmware(map: &MemoryMap) -> u32 {
    const MOST: u32 = 96 << 10;
    MOST.min(map.flash.len / 4 * 3)
}

/// Options of dividing the flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayoutOptions {
    /// Bytes for the firmware, which are rounded up to whole blocks: 96 KiB unless said, and three quarters
    /// of a flash of less than 128 KiB. For a chip it is at least as much as the firmware takes, and no more than
    /// that if sectors are too large.
    pub firmware: Option<u32>,
}

/// The places for images.
///
/// Two images take turns if there is room for two slots and the two blocks of the journal that says which one
/// is in use ([`tinyspike_shared::slots`]). If there is not, one slot takes all. The first slot's address
/// depends on the chip and the firmware's place alone, never on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Slots {
    /// The first slot.
    pub a: Region,
    /// The second slot, and what says which one is in use.
    pub second: Option<Second>,
}

/// The second slot and the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Second {
    /// The two sectors between firmware and slots that say which slot is in use.
    pub journal: [Region; 2],
    /// Bytes of them that are written at once.
    pub unit: u32,
    /// The second slot, directly behind the first.
    pub b: Region,
}

impl Second {
    /// Tells whether each sector of the journal has room for a record and a copy of it.
    #[must_use]
    pub fn copies(&self) -> bool {
        let apart = |half: u32| half >= RECORD_LEN && half.is_multiple_of(self.unit);
        self.journal.iter().all(|sector| apart(sector.len / 2))
    }
}

impl Slots {
    /// The place of an image that has both slots to itself.
    #[must_use]
    pub fn whole(&self) -> Region {
        let last = self.second.map_or(self.a, |second| second.b);
        Region::new(self.a.address, last.end())
    }

    /// A slot, if there is one.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> Option<Region> {
        match slot {
            Slot::A => Some(self.a),
            Slot::B => self.second.map(|second| second.b),
        }
    }

    /// The second slot, if two images of so many bytes take turns, signatures included; `None` if there is one slot,
    /// or an image needs both.
    #[must_use]
    pub fn turns(&self, bytes: u64) -> Option<Second> {
        self.second
            .filter(|second| bytes <= u64::from(self.a.len.min(second.b.len)))
    }
}

/// Divides a chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// The firmware's code and constants, behind what the boot ROM wants before them.
    pub firmware: Region,
    /// The part of it that is for the boot ROM, if that wants something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Region>,
    /// The images.
    pub slots: Slots,
    /// Variables, arena and stack.
    pub ram: Region,
    /// Bytes of the RAM that are the stack of a firmware that is built for it.
    pub stack: u32,
    /// `true` if such a firmware runs current-based neurons.
    pub current_based: bool,
    /// `true` if it computes layers densely.
    pub dense: bool,
    /// Times the usual room for ensembles and connections that such a firmware has ([`Limits::times`]).
    pub rooms: usize,
}

impl Layout {
    /// Bytes of flash that parts of the application take which it has for some images alone.
    #[must_use]
    pub fn optional_bytes(&self) -> u32 {
        // Prebuilt firmware with one of them has all.
        let all = held::any() && (self.dense || self.current_based);
        let parts = [
            (all || self.dense, DENSE_BYTES),
            (all || self.current_based, CURRENT_BASED_BYTES),
        ];
        parts
            .into_iter()
            .filter(|part| part.0)
            .map(|part| part.1)
            .sum()
    }

    /// Divides a chip for which firmware is yet to be built.
    ///
    /// # Errors
    /// [`LayoutError`], if the chip's memory cannot be used.
    pub fn of(chip: &Chip, options: &LayoutOptions) -> Result<Self, LayoutError> {
        let map = chip.memory_map()?;
        Self::divide(chip, &map, options)
    }

    /// Divides as [`Layout::new`] does, with the chip's name in the error.
    pub(super) fn divide(
        chip: &Chip,
        map: &MemoryMap,
        options: &LayoutOptions,
    ) -> Result<Self, LayoutError> {
        let target = chip.processor().target();
        let limits = Limits::of(target);
        let boot = chip.boot_block().map_or(0, BootBlock::reserved);
        let needed = firmware_bytes(target, false) + boot;
        let usual = match chip.board() {
            // By its name, a board keeps what it can for images.
            Some(_) if map.flash.len <= SMALL => needed + DENSE_BYTES,
            _ => usual_firmware(map),
        };
        let layout = match options.firmware {
            Some(_) => Self::new(map, options),
            // Where sectors are large, no more than is needed leaves the most for images.
            None => Self::with_firmware(map, usual.max(needed))
                .or_else(|error| Self::with_firmware(map, needed).map_err(|_| error)),
        };
        let layout = layout.map_err(|source| LayoutError {
            chip: chip.name().to_owned(),
            source,
        })?;
        let stack = limits.plain_stack;
        let start = layout.firmware.address;
        Ok(Self {
            stack,
            boot: (boot > 0).then(|| Region::new(start, start.saturating_add(boot))),
            ..layout
        })
    }

    /// Two slots are made only if each has this many bytes.
    pub const LEAST_SLOT: u32 = 16 << 10;

    /// Divides a chip's memory.
    ///
    /// # Errors
    /// [`MemoryError::NoRoom`] if the flash is too small.
    pub fn new(map: &MemoryMap, options: &LayoutOptions) -> Result<Self, MemoryError> {
        Self::with_firmware(map, options.firmware.unwrap_or_else(|| usual_firmware(map)))
    }

    fn with_firmware(map: &MemoryMap, bytes: u32) -> Result<Self, MemoryError> {
        let no_room = || MemoryError::NoRoom {
            flash: map.flash.len,
            blocks: map.blocks.len(),
            firmware: bytes,
        };
        let end = map
            .flash
            .address
            .checked_add(bytes.max(1))
            .ok_or_else(no_room)?;
        let count = map.blocks.iter().take_while(|b| b.address < end).count();
        let (own, rest) = map.blocks.split_at_checked(count).ok_or_else(no_room)?;
        let last = own.last().filter(|b| b.end() >= end).ok_or_else(no_room)?;
        let firmware = Region::new(map.flash.address, last.end());
        let slots = two_slots(rest, map.page)
            .or_else(|| {
                let (first, last) = (rest.first()?, rest.last()?);
                Some(Slots {
                    a: Region::new(first.address, last.end()),
                    second: None,
                })
            })
            .ok_or_else(no_room)?;
        Ok(Self {
            firmware,
            boot: None,
            slots,
            ram: map.ram,
            stack: Limits::MAINLINE.plain_stack,
            current_based: false,
            dense: false,
            rooms: 1,
        })
    }

    /// The place of what is linked: the firmware's, without what the boot ROM wants.
    #[must_use]
    pub fn linked(&self) -> Region {
        let start = self.boot.map_or(self.firmware.address, Region::end);
        Region::new(start, self.firmware.end())
    }

    /// The memory that firmware in its place is linked for.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let range = |region: Region| region.address..region.end();
        Memory {
            flash: range(self.linked()),
            ram: range(self.ram),
            images: range(self.slots.whole()),
            stack: self.stack,
            turns: self.slots.second.map(|second| Turns {
                journal: second.journal.map(range),
                slot_b: second.b.address,
            }),
        }
    }
}

/// Two sectors for the journal, and two slots of nearly the same length; `None` if they would be too small.
///
/// A sector of the journal is a block, or two blocks if one has no room for a record and a copy of it.
fn two_slots(blocks: &[Region], page: u32) -> Option<Slots> {
    let unit = page.checked_next_multiple_of(4)?;
    let with = |count| divided(blocks, count, unit);
    let copies = |slots: &Slots| slots.second.is_some_and(|second| second.copies());
    with(1)
        .filter(copies)
        .or_else(|| with(2).filter(copies))
        .or_else(|| with(1))
}

/// Two slots behind a journal of two sectors, each of so many blocks.
fn divided(blocks: &[Region], count: usize, unit: u32) -> Option<Slots> {
    let (journal, slots) = blocks.split_at_checked(2 * count)?;
    let (first, second) = journal.split_at_checked(count)?;
    let whole = |part: &[Region]| Some(Region::new(part.first()?.address, part.last()?.end()));
    let (journal, both) = ([whole(first)?, whole(second)?], whole(slots)?);
    // Where blocks are large, one slot with their room is worth more than two.
    if journal[0].len + journal[1].len > both.len / 2 {
        return None;
    }
    let cut = slots
        .iter()
        .map(|block| block.address)
        .min_by_key(|&at| (at - both.address).abs_diff(both.end() - at))?;
    let (a, b) = (Region::new(both.address, cut), Region::new(cut, both.end()));
    // If a sector is no multiple of a page, or no larger, all of it is one unit.
    let multiple = |sector: &Region| sector.len.is_multiple_of(unit);
    let unit = if journal.iter().all(multiple) {
        unit
    } else {
        journal[0].len.min(journal[1].len)
    };
    (a.len.min(b.len) >= Layout::LEAST_SLOT).then_some(Slots {
        a,
        second: Some(Second { journal, unit, b }),
    })
}
