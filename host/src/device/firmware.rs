//! The firmware's file, and where it comes from.

use std::path::{Path, PathBuf};

pub use tinyspike_board::elf::Segment;
use tinyspike_board::elf::{self, Program};
use tinyspike_board::firmware as boards;
use tinyspike_board::toolchain::Toolchain;
use tinyspike_board::{held, prebuilt};
use tinyspike_firmware::limits::Limits;
use tinyspike_shared::signature::PUBLIC_KEY_LEN;

use super::chip::Chip;
use super::families::Obstacle;
use super::memory::{Layout, Region};
use crate::advice::{Advice, Advised};
use crate::file;
use crate::sign::PublicKey;

/// No firmware's file has more bytes, its debug information among them.
pub(super) const MAX_ELF: u64 = 256 << 20;

/// Reasons why there is no firmware for a chip.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirmwareError {
    /// Firmware that is built here does not run on the chip.
    #[error("no firmware can be built for {chip}: {obstacle}")]
    Obstacle {
        /// The chip.
        chip: String,
        /// The reason.
        obstacle: Obstacle,
    },
    /// The firmware could not be built.
    #[error(transparent)]
    Build(#[from] tinyspike_board::Failure),
    /// No compiler for the chip is installed.
    #[error("{chip} needs the compiler's target {target}, which is not installed")]
    NoTarget {
        /// The chip.
        chip: String,
        /// The target.
        target: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A firmware file cannot be used.
    #[error("the firmware {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        reason: String,
    },
}

impl Advised for FirmwareError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::NoTarget { target, .. } => vec![Advice::InstallTarget(target), Advice::Firmware],
            Self::Build(_) => vec![Advice::FirmwareSize],
            Self::Obstacle { .. } => vec![Advice::Firmware],
            _ => Vec::new(),
        }
    }
}

impl Region {
    /// The place of a segment.
    #[must_use]
    pub fn of(segment: &Segment) -> Self {
        let len = u32::try_from(segment.bytes.len()).unwrap_or(u32::MAX);
        Self {
            address: segment.address,
            len,
        }
    }
}

/// A firmware that is linked for one chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Its ELF file.
    pub path: PathBuf,
    /// Content of the flash.
    pub segments: Vec<Segment>,
    /// Place where it looks for images: from `_tinyspike_image` to `_tinyspike_image_end`.
    pub images: Region,
    /// Its journal and the second slot, if two images take turns: from `_tinyspike_journal` to
    /// `_tinyspike_journal_second` to `_tinyspike_journal_end`, and from `_tinyspike_slot_b` on. `None` if it
    /// has one place for an image.
    pub turns: Option<([Region; 2], Region)>,
    /// The key that has to have signed its images, if it asks for one: `_tinyspike_public_key`.
    pub key: Option<PublicKey>,
    /// The RAM that it lends to a network, for the arena and the input: from `_tinyspike_memory` to
    /// `_tinyspike_memory_end`, if it says so.
    pub memory: Option<Region>,
    /// Its stack, from `_stack_end` to `_stack_start`, if it says so.
    pub stack: Option<Region>,
    /// Bytes of its variables, the network's memory and the stack among them if they are declared so.
    pub variables: u64,
    /// Limits on networks, if they are known: those of the application.
    pub limits: Option<Limits>,
    /// The address of RTT's control block, if it has one.
    pub(super) rtt: Option<u32>,
}

impl Firmware {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// [`FirmwareError`], if it cannot be read, is no program for a 32-bit microcontroller, or does not say where
    /// it looks for images.
    pub fn read(path: &Path) -> Result<Self, FirmwareError> {
        let bytes = file::read(path, MAX_ELF).map_err(|source| FirmwareError::File {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &bytes)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, FirmwareError> {
        let unusable = |reason: String| FirmwareError::Unusable {
            path: path.to_owned(),
            reason,
        };
        let mut program = Program::parse(bytes).map_err(|e| unusable(e.to_string()))?;
        let segments = std::mem::take(&mut program.segments);
        let size = elf::Size::of(bytes).unwrap_or_default();
        let symbol = |name: &str| program.symbol(name);
        let between = |start: &str, end: &str| {
            let (start, end) = (symbol(start)?, symbol(end)?);
            (start <= end).then(|| Region::new(start, end))
        };
        let key = match symbol("_tinyspike_public_key") {
            None => None,
            Some(address) => Some(key_at(&segments, address).ok_or_else(|| {
                unusable(format!(
                    "its public key is not at {address:#010x}, where _tinyspike_public_key says"
                ))
            })?),
        };
        let journal = [
            between("_tinyspike_journal", "_tinyspike_journal_second"),
            between("_tinyspike_journal_second", "_tinyspike_journal_end"),
        ];
        let turns = match (
            journal,
            between("_tinyspike_slot_b", "_tinyspike_image_end"),
        ) {
            ([Some(first), Some(second)], Some(b)) if first.len.min(second.len).min(b.len) > 0 => {
                Some(([first, second], b))
            }
            _ => None,
        };
        Ok(Self {
            path: path.to_owned(),
            segments,
            turns,
            key,
            images: between("_tinyspike_image", "_tinyspike_image_end").ok_or_else(|| {
                unusable(
                    "it does not define _tinyspike_image and _tinyspike_image_end, where it looks for images".into(),
                )
            })?,
            memory: between("_tinyspike_memory", "_tinyspike_memory_end"),
            stack: between("_stack_end", "_stack_start"),
            variables: size.ram,
            limits: None,
            rtt: symbol("_SEGGER_RTT"),
        })
    }
}

/// The key that is stored at an address.
fn key_at(segments: &[Segment], address: u32) -> Option<PublicKey> {
    let key = Region::new(address, address.saturating_add(PUBLIC_KEY_LEN as u32));
    let holds = |segment: &&Segment| Region::of(segment).contains(key);
    let segment = segments.iter().find(holds)?;
    let from = (address - segment.address) as usize;
    let bytes = segment.bytes.get(from..)?.first_chunk()?;
    Some(PublicKey::new(*bytes))
}

/// Origin of an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// One that the tool holds, or was built before, moved to the chip's memory; if none serves, it is built.
    #[default]
    Prebuilt,
    /// A build of the sources, linked for the chip's memory.
    Sources,
}

/// The application for a chip: prebuilt, or built with what is installed. If there is a key, it runs only images that
/// this key has signed.
///
/// # Errors
/// [`FirmwareError`], if it would not run there, or there is neither prebuilt firmware nor a way to build it.
pub fn application(
    chip: &Chip,
    layout: &Layout,
    key: Option<&PublicKey>,
    origin: Origin,
) -> Result<Firmware, FirmwareError> {
    if let Some(obstacle) = chip.obstacle() {
        return Err(FirmwareError::Obstacle {
            chip: chip.name().to_owned(),
            obstacle,
        });
    }
    let target = chip.processor().target();
    let memory = layout.memory();
    let mut features = vec!["defmt"];
    features.extend(layout.dense.then_some("dense"));
    features.extend(layout.current_based.then_some("current-based"));
    let app = boards::App {
        memory: &memory,
        target,
        features: &features,
        key: key.map(PublicKey::bytes),
        rooms: layout.rooms,
    };
    let held = match origin {
        Origin::Prebuilt => prebuilt::app(&app)?,
        Origin::Sources => None,
    };
    let elf = match held {
        Some(elf) => elf,
        None if !held::any() && Toolchain::find(target).is_none() => {
            return Err(FirmwareError::NoTarget {
                chip: chip.name().to_owned(),
                target,
            });
        }
        None => match origin {
            Origin::Prebuilt => prebuilt::built(&app)?,
            Origin::Sources => boards::app(&app)?,
        },
    };
    Ok(Firmware {
        limits: Some(Limits::of(target).times(layout.rooms)),
        ..Firmware::read(&elf)?
    })
}
