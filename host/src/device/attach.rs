//! Connecting to a chip, and starting it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{Core, MemoryInterface as _, Permissions, Session};

use super::chip::Chip;
use super::memory::{LayoutError, Region};
use super::probe::{self, ProbeError, Selector};
use super::processor::{self, Architecture};
use super::watchdog::{OPENING, Watch};
use crate::advice::{Advice, Advised};

/// An error of probe-rs's that says more.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reasons why there is no connection to a chip, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No usable probe.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The chip's memory is not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The probe cannot reach the chip.
    #[error("the probe does not reach a {chip}: {source}")]
    Attach {
        /// The chip.
        chip: String,
        /// probe-rs's reason.
        source: Cause,
    },
    /// The chip is another than was said.
    #[error(
        "the probe is connected to another chip than {chip}, which has an {expected} core: this one is {found}"
    )]
    OtherChip {
        /// The chip that was said.
        chip: String,
        /// The architecture of its core.
        expected: Architecture,
        /// Architecture that was found.
        found: Architecture,
    },
    /// The connection to the chip failed.
    #[error("the connection to {chip} failed {during}: {source}")]
    Lost {
        /// The chip.
        chip: String,
        /// Work that was being done.
        during: &'static str,
        /// probe-rs's reason.
        source: Cause,
    },
    /// No firmware that could be talked with is running.
    #[error("no firmware of tinyspike's runs on {chip}")]
    NotThere {
        /// The chip.
        chip: String,
    },
}

impl Advised for ConnectError {
    fn advice(&self) -> Vec<Advice> {
        vec![match self {
            Self::Probe(e) => return e.advice(),
            Self::Layout(e) => return e.advice(),
            Self::Attach { .. } | Self::OtherChip { .. } => Advice::CheckChip,
            Self::Lost { .. } => Advice::CheckConnection,
            Self::NotThere { .. } => Advice::Flash,
        }]
    }
}

/// A session with a chip, watched where it begins, ends, and turns to a core: probe-rs talks with the probe there too.
pub(super) struct Attached {
    /// The session, which is there until this is dropped.
    session: Option<Session>,
    /// Watches the drop of the session, which comes before it.
    closing: Option<Watch>,
}

impl Attached {
    /// The core of a chip.
    pub(super) fn core(&mut self, chip: &Chip) -> Result<Core<'_>, probe_rs::Error> {
        let _watch = Watch::new("when its core was asked", OPENING);
        self.deref_mut().core(chip.core())
    }
}

impl Deref for Attached {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl DerefMut for Attached {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().unwrap_or_else(|| unreachable!())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A probe that has made probe-rs panic would do so again in the session's last words, which ends the program.
        if std::thread::panicking() {
            std::mem::forget(self.session.take());
        }
        self.closing = Some(Watch::new("when it was let go", OPENING));
    }
}

/// Connects to a chip, and sees that it is one.
pub(super) fn attach(chip: &Chip, probe: Option<&Selector>) -> Result<Attached, ConnectError> {
    let probe = probe::open(probe)?;
    let unreached = |source: probe_rs::Error| ConnectError::Attach {
        chip: chip.name().to_owned(),
        source: Box::new(source),
    };
    let _watch = Watch::new("when it was to reach the chip", OPENING);
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
        Some(found) if found != expected => Err(ConnectError::OtherChip {
            chip: chip.name().to_owned(),
            expected,
            found,
        }),
        _ => Ok(Attached {
            session: Some(session),
            closing: None,
        }),
    }
}

/// Restarts a core.
pub(super) fn restart(
    core: &mut Core<'_>,
    rtt: &ScanRegion,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    const HALT: Duration = Duration::from_millis(500);
    let _watch = Watch::new("when the chip was to start", OPENING);
    core.reset_and_halt(HALT)?;
    // RAM outlives a reset: what an earlier firmware left must not be taken for this one's.
    Rtt::clear_control_block(core, rtt)?;
    Ok(core.run()?)
}

/// Region to scan for RTT's control block of an unknown firmware: among its variables, which lie at the RAM's
/// start.
pub(super) fn scan(ram: Region) -> ScanRegion {
    const REACH: u32 = 64 << 10;
    let end = ram.address.saturating_add(ram.len.min(REACH));
    ScanRegion::range(ram.address.into()..end.into())
}
