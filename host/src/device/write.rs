//! Writing to a chip's flash: errors, progress, and the one call of probe-rs that does it.

use std::convert::Infallible;
use std::time::Duration;

use probe_rs::Session;
use probe_rs::flashing::{self, DownloadOptions, FlashProgress, ProgressEvent, ProgressOperation};
use tinyspike_shared::slots::UpdateError;

use super::attach::ConnectError;
use super::firmware::Segment;
use super::plan::{Plan, PlanError};
use super::watchdog::{FLASHING, Watch};
use crate::advice::{Advice, Advised};

/// Reasons why a chip does not run what was to be written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Conflict of the plan with what is on the chip.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A place in flash cannot be read, and others can.
    #[error("{chip}: its flash cannot be read at {address:#010x}: {source}")]
    Unreadable {
        /// The chip.
        chip: String,
        /// The place.
        address: u32,
        /// The message of probe-rs.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Contents of the flash differ from what was written.
    #[error("{chip}: the flash does not hold what was written to it")]
    Verify {
        /// The chip.
        chip: String,
    },
    /// The slots cannot be used in turns.
    #[error("{chip}: its slots cannot be updated: {source}")]
    Update {
        /// The chip.
        chip: String,
        /// The reason.
        source: UpdateError<Infallible>,
    },
    /// The firmware does not answer.
    #[error("{chip} was flashed and runs, but its firmware did not answer within {timeout:?}")]
    Silent {
        /// The chip.
        chip: String,
        /// Time that it was given.
        timeout: Duration,
    },
    /// The firmware speaks another version of the protocol.
    #[error(
        "the firmware of {chip} speaks version {found} of the protocol, and this program {expected}"
    )]
    Protocol {
        /// The chip.
        chip: String,
        /// Version of this program.
        expected: u16,
        /// The firmware's.
        found: u16,
    },
    /// The device has another image than the one that was written, or cannot use it.
    #[error("{chip} was flashed, but {reason}")]
    Image {
        /// The chip.
        chip: String,
        /// Reason that the device gave.
        reason: String,
    },
}

impl Advised for FlashError {
    fn advice(&self) -> Vec<Advice> {
        vec![match self {
            Self::Connect(e) => return e.advice(),
            Self::Plan(e) => return e.advice(),
            Self::Unreadable { .. } | Self::Verify { .. } => Advice::CheckFlash,
            Self::Silent { .. } | Self::Protocol { .. } => Advice::FlashFirmwareOrWait,
            Self::Image { .. } => Advice::FlashFirmware,
            Self::Update { .. } => return Vec::new(),
        }]
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
    /// Reading back what was written.
    Verify,
}

/// Progress of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A part of the work will have so many bytes more.
    Planned {
        /// Part of the work.
        phase: Phase,
        /// Number of bytes.
        bytes: u64,
    },
    /// Bytes that have been done since.
    Done {
        /// Part that they belong to.
        phase: Phase,
        /// Number of bytes.
        bytes: u64,
    },
    /// A part of the work is done, or has failed.
    Ended {
        /// Part of the work.
        phase: Phase,
    },
}

/// The bytes that were erased and written so far, and who wants to know.
pub(super) struct Tally<'a> {
    pub(super) erased: u64,
    pub(super) programmed: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Tally<'a> {
    pub(super) fn new(progress: &'a mut dyn FnMut(Progress)) -> Self {
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
pub(super) fn failed(plan: &Plan, source: flashing::FlashError) -> FlashError {
    match source {
        flashing::FlashError::Verify => FlashError::Verify {
            chip: plan.chip().to_owned(),
        },
        other => FlashError::from(ConnectError::Lost {
            chip: plan.chip().to_owned(),
            during: "while its flash was written",
            source: Box::new(other),
        }),
    }
}

/// Writes and reads back; erases before, if that has not been done.
pub(super) fn write(
    plan: &Plan,
    session: &mut Session,
    writes: &[Segment],
    erased: bool,
    tally: &mut Tally<'_>,
) -> Result<(), FlashError> {
    let mut loader = session.target().flash_loader();
    for segment in writes {
        let address = u64::from(segment.address);
        loader
            .add_data(address, &segment.bytes)
            .map_err(|e| failed(plan, e))?;
    }
    let watch = Watch::new("while flash was written", FLASHING);
    let mut download = DownloadOptions::default();
    download.verify = true;
    download.skip_erase = erased;
    download.progress = FlashProgress::new(|event| {
        watch.alive();
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
