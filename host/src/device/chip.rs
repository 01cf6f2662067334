//! One chip: its processor, and reasons why there is none of a name.

use std::path::PathBuf;

use probe_rs::Target;
use probe_rs::config::{CoreType, MemoryRegion};

use super::boards::{Board, Place};
use super::boot::BootBlock;
use super::families::{self, Obstacle};
use super::likeness::nearest;
use super::processor::{Architecture, Processor};
use super::region::Region;
use crate::advice::{Advice, Advised};

/// Reasons why there is no chip to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChipError {
    /// No chip has this name.
    #[error("no chip is called {name:?}{}", nearest(suggestions))]
    Unknown {
        /// The name.
        name: String,
        /// Names that are like it, the nearest first.
        suggestions: Vec<String>,
    },
    /// Several chips' names begin so.
    #[error("{count} chips' names begin with {name:?}, such as {}: give one in full", examples.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Number of them.
        count: usize,
        /// Some of them.
        examples: Vec<String>,
    },
    /// The chip has no core that the engine is built for.
    #[error("{chip} has no Cortex-M core")]
    NotCortexM {
        /// The chip.
        chip: String,
    },
    /// A chip description cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A chip description cannot be used.
    #[error("{} is no chip description of probe-rs's: {source}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Advised for ChipError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Unknown { .. } | Self::Ambiguous { .. } => vec![Advice::ListChips],
            _ => Vec::new(),
        }
    }
}

/// One chip, by itself or on a board.
#[derive(Clone, Debug)]
pub struct Chip {
    pub(super) target: Target,
    family: String,
    core: usize,
    architecture: Architecture,
    place: Option<Place>,
    board: Option<&'static Board>,
}

impl Chip {
    pub(super) fn new(target: Target, family: String) -> Result<Self, ChipError> {
        let core = boot_core(&target);
        let architecture = match target.cores.get(core).map(|core| core.core_type) {
            Some(CoreType::Armv6m) => Architecture::Armv6M,
            Some(CoreType::Armv7m) => Architecture::Armv7M,
            Some(CoreType::Armv7em) => Architecture::Armv7EM,
            Some(CoreType::Armv8m) => Architecture::Armv8M,
            _ => {
                return Err(ChipError::NotCortexM {
                    chip: target.name.clone(),
                });
            }
        };
        Ok(Self {
            target,
            family,
            core,
            architecture,
            place: None,
            board: None,
        })
    }

    /// The same chip on a board, with the flash that programs get there.
    #[must_use]
    pub(super) fn on(self, board: &'static Board) -> Self {
        Self {
            place: board.place(),
            board: Some(board),
            ..self
        }
    }

    /// The same chip with so many bytes of flash for programs: the size of an external flash chip, or less than the
    /// chip has.
    #[must_use]
    pub fn with_flash_size(self, bytes: u32) -> Self {
        let place = match self.place {
            Some(Place::BehindLoader(region)) => {
                let end = region.address.saturating_add(bytes);
                Place::BehindLoader(Region::new(region.address, end))
            }
            _ => Place::External(bytes),
        };
        Self {
            place: Some(place),
            ..self
        }
    }

    /// The board that it is on, if that is known.
    #[must_use]
    pub const fn board(&self) -> Option<&'static Board> {
        self.board
    }

    /// The flash for programs, if it is not all that the description has.
    pub(super) const fn place(&self) -> Option<Place> {
        self.place
    }

    /// The bytes that its boot ROM wants before a program.
    #[must_use]
    pub fn boot_block(&self) -> Option<BootBlock> {
        let known_flash = self.board.is_some();
        BootBlock::of(&self.family, known_flash)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// Its family, whose chips are described together.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.family
    }

    /// The processor that runs the firmware: the one that starts first.
    #[must_use]
    pub fn processor(&self) -> Processor {
        let mainline = families::is_mainline(&self.family);
        Processor {
            architecture: self.architecture,
            dsp: match self.architecture {
                Architecture::Armv7EM => true,
                Architecture::Armv8M => mainline,
                _ => false,
            },
        }
    }

    /// The obstacle to firmware that is built here, if there is one.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        match families::obstacle(&self.family) {
            Some(Obstacle::ExternalFlash) if self.place.is_some() => {
                let block = self.boot_block();
                block.is_none().then_some(Obstacle::BootHeader)
            }
            obstacle => obstacle,
        }
    }

    pub(super) const fn core(&self) -> usize {
        self.core
    }

    pub(super) fn core_name(&self) -> &str {
        self.target
            .cores
            .get(self.core)
            .map_or("", |core| core.name.as_str())
    }
}

/// The core that starts first: the first one that reaches the memory that the chip starts from.
fn boot_core(target: &Target) -> usize {
    let regions = target.memory_map.iter();
    let boot = regions
        .filter_map(MemoryRegion::as_nvm_region)
        .find(|r| r.is_boot_memory());
    let name = boot.and_then(|region| region.cores.first());
    name.and_then(|name| target.cores.iter().position(|core| core.name == *name))
        .unwrap_or(0)
}
