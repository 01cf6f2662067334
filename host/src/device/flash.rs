//! A plan carried out: erases, writes, reads back, starts the chip, and asks its firmware what it runs.

use std::time::Duration;

use serde::Serialize;
use tinyspike_shared::slots::Slot;

use super::attach::{Attached, ConnectError, attach, restart};
use super::connection::{ask, greet, with_session};
use super::firmware::Segment;
use super::plan::{Mode, Plan};
use super::probe::Selector;
use super::run;
use super::session::{Identity, Lost, SessionError, StackUse};
use super::update::{Updated, update};
use super::write::{FlashError, Progress, Tally, write};

/// Options of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashOptions {
    /// The probe; `None` for the only one.
    pub probe: Option<Selector>,
    /// Time that the firmware may take to answer.
    pub timeout: Duration,
    /// True to wait for the answer of the application, which custom firmware need not give.
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

/// The outcome of writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flashed {
    /// Bytes of the sectors that were erased.
    pub erased: u64,
    /// Bytes of the pages that were written, and read back.
    pub programmed: u64,
    /// The part of the images that was written: in place if the image that was there needed both slots.
    pub mode: Mode,
    /// The slot that the image was written to.
    pub slot: Slot,
    /// True if there was no journal, or a damaged one, beside firmware that stays: it has been written again.
    pub journal_repaired: bool,
    /// The firmware's answer, if it was asked.
    pub greeting: Option<Identity>,
    /// The inference that it has run, if it was asked.
    pub trial: Option<Trial>,
}

/// An inference on the largest input, which a device has run as the emulator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// Its steps.
    pub steps: u16,
    /// The stack that the device has needed so far.
    pub stack: StackUse,
}

/// Carries a plan out: erases, writes, reads back, resets the chip, starts it, and asks its firmware what
/// it runs.
///
/// # Errors
/// [`FlashError`]. If it comes after the erasing began, an image that was written to the inactive slot is
/// not yet in use, or is whole; else the flash's contents are undefined.
pub fn flash(
    plan: &Plan,
    options: &FlashOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Flashed, FlashError> {
    let mut session = attach(&plan.chip, options.probe.as_ref())?;
    let mut tally = Tally::new(progress);
    let updated = match plan.mode {
        Mode::Everything => {
            let image = plan.places.iter().map(|place| Segment {
                address: place.image.address,
                bytes: plan.image.bytes().to_vec(),
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
    let trial = match &greeting {
        Some(_) => Some(try_out(plan, &mut session, options)?),
        None => None,
    };
    Ok(Flashed {
        erased,
        programmed,
        mode: updated.mode,
        slot: updated.slot,
        journal_repaired: updated.journal_repaired,
        greeting,
        trial,
    })
}

/// Has the device run an inference, whose spike counts and outputs must be the emulator's.
fn try_out(
    plan: &Plan,
    session: &mut Attached,
    options: &FlashOptions,
) -> Result<Trial, FlashError> {
    let failed = |reason: String| FlashError::Image {
        chip: plan.chip().to_owned(),
        reason: format!("it does not run an inference: {reason}"),
    };
    let image = plan.image.image();
    let mut core = session
        .core(&plan.chip)
        .map_err(|e| failed(e.to_string()))?;
    let report = with_session(&mut core, &plan.rtt, options.timeout, |session| {
        run::try_out(session, &image)
    })
    .map_err(|Lost(cause)| failed(cause.to_string()))?
    .ok_or_else(|| failed("its firmware is gone".to_owned()))?
    .map_err(|e| failed(e.to_string()))?;
    if let Some(parting) = report.parting() {
        return Err(failed(parting));
    }
    Ok(Trial {
        steps: report.steps_mean as u16,
        stack: report.stack,
    })
}

/// Restarts the chip, and asks its firmware what it runs.
fn start(
    plan: &Plan,
    session: &mut Attached,
    options: &FlashOptions,
) -> Result<Option<Identity>, FlashError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::Lost {
        chip: plan.chip().to_owned(),
        during: "when it was to start",
        source,
    };
    let mut core = session.core(&plan.chip).map_err(|e| failed(Box::new(e)))?;
    restart(&mut core, &plan.rtt).map_err(failed)?;
    if !options.greet {
        return Ok(None);
    }
    let chip = plan.chip().to_owned();
    // A small core takes its time for a signature.
    const SIGNATURE: Duration = Duration::from_secs(15);
    let timeout = match plan.key {
        Some(_) => options.timeout + SIGNATURE,
        None => options.timeout,
    };
    let silent = || FlashError::Silent {
        chip: chip.clone(),
        timeout,
    };
    let identity = greet(&mut core, &plan.rtt, timeout)
        .map_err(|e| match e {
            SessionError::Silent { .. } => silent(),
            SessionError::Protocol { found } => FlashError::Protocol {
                chip: chip.clone(),
                expected: tinyspike_shared::wire::PROTOCOL,
                found,
            },
            SessionError::Lost(Lost(source)) => failed(source).into(),
            other => FlashError::Image {
                chip: chip.clone(),
                reason: other.to_string(),
            },
        })?
        .ok_or_else(silent)?;
    let (slot, wanted) = (identity.slot(), plan.checksum);
    let reason = match (identity.image, identity.start.passed_over()) {
        (Ok(image), _) if image.checksum == wanted => return Ok(Some(identity)),
        (Ok(image), Some(refused)) => format!(
            "its firmware refuses the image: {refused}; it runs the image {:08x} in slot {slot}",
            image.checksum
        ),
        (Ok(image), None) => format!(
            "its firmware runs an image with the checksum {:08x} in place of {wanted:08x}: it looks elsewhere",
            image.checksum
        ),
        (Err(reason), _) => format!("its firmware does not run the image: {reason}"),
    };
    Err(FlashError::Image { chip, reason })
}
