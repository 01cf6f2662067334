//! Chip + image + firmware → what is written where, and whether it fits; and then the writing.

use std::fmt;
use std::time::Duration;

use probe_rs::flashing::{
    DownloadOptions, FlashError, FlashProgress, ProgressEvent, ProgressOperation,
};
use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{Core, MemoryInterface as _, Permissions, Session};
use serde::Serialize;
use tinyspike_shared::weights::Layout as WeightLayout;

use super::chips::Chip;
use super::connection::greet;
use super::error::DeviceError;
use super::firmware::{Firmware, Segment};
use super::hello::{Greeting, ImageReport};
use super::memory::{Layout, LayoutOptions, MemoryMap, Region};
use super::probe::{self, Selector};
use super::processor::{self, Processor};
use super::session::{Lost, SessionError};
use crate::assemble::Image;

/// How to plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// How the flash is divided.
    pub layout: LayoutOptions,
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
    chip: Chip,
    /// The chip's name.
    #[serde(rename = "chip")]
    name: String,
    /// The processor that code is built for.
    pub processor: Processor,
    /// Where everything goes.
    pub layout: Layout,
    /// Where the image goes.
    pub image: Region,
    /// The image's checksum.
    pub checksum: u32,
    /// Where the firmware's parts go; none where it stays as it is.
    pub firmware: Vec<Region>,
    /// What is erased before.
    pub erased: Vec<Region>,
    /// What it takes and what there is.
    pub budgets: Vec<Budget>,
    #[serde(skip)]
    writes: Vec<Segment>,
    #[serde(skip)]
    rtt: ScanRegion,
}

impl Plan {
    /// Plans to write an image and, where one is given, the firmware beside it.
    ///
    /// # Errors
    /// [`DeviceError`], where they do not fit the chip, or each other.
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
        let images = layout.slots.whole();
        let mut budgets = vec![
            Budget {
                what: "flash for images",
                parts: vec![("image", image.bytes().len() as u64)],
                limit: images.len.into(),
            }
            .check(chip)?,
        ];
        if let Some(firmware) = firmware {
            let bytes = firmware.segments.iter().map(|s| s.bytes.len() as u64).sum();
            budgets.push(
                Budget {
                    what: "flash for firmware",
                    parts: vec![("firmware", bytes)],
                    limit: layout.firmware.len.into(),
                }
                .check(chip)?,
            );
        }
        budgets.push(ram(image, firmware, &layout).check(chip)?);
        if let Some(limits) = firmware.and_then(|firmware| firmware.limits) {
            let network = image.description();
            for (what, found, limit) in [
                ("ensembles", network.ensembles.len(), limits.ensembles),
                ("connections", network.connections.len(), limits.connections),
            ] {
                if found > limit {
                    return Err(DeviceError::TooManyLayers {
                        chip: chip.name().to_owned(),
                        what,
                        found,
                        limit,
                    });
                }
            }
        }
        let place = Segment {
            address: images.address,
            bytes: image.bytes().to_vec(),
        };
        let own = firmware.map_or(&[][..], |firmware| &firmware.segments);
        for segment in own {
            if !layout.firmware.contains(segment.region()) {
                return Err(DeviceError::Misplaced {
                    chip: chip.name().to_owned(),
                    segment: segment.region(),
                    place: layout.firmware,
                });
            }
        }
        let writes: Vec<Segment> = own.iter().cloned().chain([place.clone()]).collect();
        let erased = map.blocks.iter().copied();
        let erased = erased.filter(|block| writes.iter().any(|w| block.overlaps(w.region())));
        Ok(Self {
            chip: chip.clone(),
            name: chip.name().to_owned(),
            processor: chip.processor(),
            image: place.region(),
            checksum: image.header().checksum,
            firmware: own.iter().map(Segment::region).collect(),
            erased: erased.collect(),
            budgets,
            rtt: match firmware.and_then(|firmware| firmware.rtt) {
                Some(address) => ScanRegion::Exact(address.into()),
                None => scan(layout.ram),
            },
            layout,
            writes,
        })
    }

    /// The chip's name.
    #[must_use]
    pub fn chip(&self) -> &str {
        &self.name
    }

    /// What works, but less well than it could.
    #[must_use]
    pub fn warnings(&self, image: &Image<'_>) -> Vec<String> {
        let connections = &image.description().connections;
        let packed = connections.iter().any(|c| c.layout != WeightLayout::Rows);
        if packed && !self.processor.has_dsp_kernels() {
            return vec![format!(
                "the image's weights are laid out for DSP instructions, which {} is not known to have:                  it will run, but slowly; convert with --target cortex-m0",
                self.name
            )];
        }
        Vec::new()
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

/// The layout that a firmware was linked for: it says where images go.
fn divide_for(
    chip: &Chip,
    map: &MemoryMap,
    firmware: &Firmware,
    options: &LayoutOptions,
) -> Result<Layout, DeviceError> {
    if let Ok(layout) = Layout::new(map, options)
        && layout.slots.whole() == firmware.images
    {
        return Ok(layout);
    }
    let unusable = |reason: String| DeviceError::Firmware {
        path: firmware.path.clone(),
        reason,
    };
    let images = firmware.images;
    if !map.flash.contains(images) {
        return Err(unusable(format!(
            "it looks for images at {images}, and the flash of {} is {}",
            chip.name(),
            map.flash
        )));
    }
    if !map
        .blocks
        .iter()
        .any(|block| block.address == images.address)
    {
        return Err(unusable(format!(
            "it looks for images at {:#010x}, where no sector of {} begins: to write one would erase what \
             lies before",
            images.address,
            chip.name()
        )));
    }
    let options = LayoutOptions {
        firmware: Some(images.address - map.flash.address),
    };
    let layout = divide(chip, map, &options)?;
    Ok(Layout {
        slots: super::memory::Slots {
            state: None,
            a: images,
            b: None,
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
    /// What the firmware said then, where it was asked.
    pub greeting: Option<Greeting>,
}

/// Does what was planned: erases, writes, reads back, resets the chip, starts it, and asks its firmware what
/// it runs.
///
/// # Errors
/// [`DeviceError`]. Where it comes after the erasing began, the flash's contents are undefined.
pub fn flash(
    plan: &Plan,
    options: &FlashOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Flashed, DeviceError> {
    let mut session = attach(&plan.chip, options.probe.as_ref())?;
    let (erased, programmed) = write(plan, &mut session, progress)?;
    let greeting = start(plan, &mut session, options)?;
    Ok(Flashed {
        erased,
        programmed,
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

/// The bytes that were erased and written.
fn write(
    plan: &Plan,
    session: &mut Session,
    progress: &mut dyn FnMut(Progress),
) -> Result<(u64, u64), DeviceError> {
    let failed = |source: FlashError| match source {
        FlashError::Verify => DeviceError::Verify {
            chip: plan.name.clone(),
        },
        other => DeviceError::Connection {
            chip: plan.name.clone(),
            during: "while its flash was written",
            source: Box::new(other),
        },
    };
    let mut loader = session.target().flash_loader();
    for segment in &plan.writes {
        let address = u64::from(segment.address);
        loader.add_data(address, &segment.bytes).map_err(failed)?;
    }
    let (mut erased, mut programmed) = (0, 0);
    let mut download = DownloadOptions::default();
    download.verify = true;
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
        if let Some(event) = event {
            match event {
                Progress::Done {
                    phase: Phase::Erase,
                    bytes,
                } => erased += bytes,
                Progress::Done {
                    phase: Phase::Program,
                    bytes,
                } => programmed += bytes,
                _ => {}
            }
            progress(event);
        }
    });
    loader.commit(session, download).map_err(failed)?;
    Ok((erased, programmed))
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
    let silent = || DeviceError::Silent {
        chip: chip.clone(),
        timeout: options.timeout,
    };
    let identity = greet(&mut core, &plan.rtt, options.timeout)
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
    let greeting = Greeting::from(identity);
    match &greeting.image {
        ImageReport::Ready { checksum, .. } if *checksum == plan.checksum => Ok(Some(greeting)),
        ImageReport::Ready { checksum, .. } => Err(DeviceError::Image {
            chip,
            reason: format!(
                "its firmware runs an image with the checksum {checksum:08x} in place of {:08x}: it looks elsewhere",
                plan.checksum
            ),
        }),
        ImageReport::Refused { reason } => Err(DeviceError::Image {
            chip,
            reason: format!("its firmware does not run the image: {reason}"),
        }),
    }
}
