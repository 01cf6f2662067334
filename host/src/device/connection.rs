//! The connection to a firmware that runs on a chip: RTT over a debug probe, as a [`Link`].

use std::time::{Duration, Instant};

use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{Core, CoreStatus};

use super::attach::{Attached, ConnectError, attach, restart, scan};
use super::chip::Chip;
use super::firmware::Firmware;
use super::memory::{Layout, LayoutOptions};
use super::plan::Plan;
use super::probe::Selector;
use super::session::{Identity, Link, Lost, Patience, Session, SessionError};
use super::watchdog::{TRANSFER, Watch};

/// The channel of the firmware's log.
const LOG: usize = 0;
/// The channel of the firmware's answers.
const UP: usize = 1;
/// The channel of requests.
const DOWN: usize = 0;
/// The words of an error while the firmware is talked with.
const ASKED: &str = "when its firmware was asked";
/// Time between two looks for the control block.
const PAUSE: Duration = Duration::from_millis(10);

/// Options for reaching a running firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TalkOptions {
    /// The probe; the only one, unless said.
    pub probe: Option<Selector>,
    /// Longest silence of the firmware.
    pub timeout: Duration,
    /// `true` if the firmware starts again first.
    pub restart: bool,
}

impl Default for TalkOptions {
    /// The only probe; three seconds of silence; the firmware goes on as it runs.
    fn default() -> Self {
        Self {
            probe: None,
            timeout: Duration::from_secs(3),
            restart: false,
        }
    }
}

/// Talks with the firmware that runs on a chip.
///
/// `firmware` is its file; without one, what it is known by is looked for in the chip's RAM.
///
/// # Errors
/// [`ConnectError`] if there is no connection or the firmware is not there; and what `work` returns.
pub fn talk<T, E: From<ConnectError>>(
    chip: &Chip,
    firmware: Option<&Firmware>,
    options: &TalkOptions,
    work: impl FnOnce(&mut Session<Connection<'_, '_>>) -> Result<T, E>,
) -> Result<T, E> {
    let layout = Layout::of(chip, &LayoutOptions::default()).map_err(ConnectError::from)?;
    let anywhere = scan(layout.ram);
    let scan = match firmware.and_then(|firmware| firmware.rtt) {
        Some(address) => ScanRegion::Exact(address.into()),
        None => anywhere.clone(),
    };
    let mut session = attach(chip, options.probe.as_ref())?;
    let failed = |during, source| {
        E::from(ConnectError::Lost {
            chip: chip.name().to_owned(),
            during,
            source,
        })
    };
    const STARTING: &str = "when its firmware was to start";
    let mut core = session
        .core(chip)
        .map_err(|e| failed(STARTING, Box::new(e)))?;
    if options.restart {
        restart(&mut core, &scan).map_err(|cause| failed(STARTING, cause))?;
    }
    let there = |core: &mut Core<'_>, scan| {
        with_session(core, scan, options.timeout, |_| ())
            .map_err(|Lost(cause)| failed(ASKED, cause))
    };
    // The same firmware with another stack lies elsewhere in RAM.
    let scan = match there(&mut core, &scan)? {
        Some(()) => scan,
        None => anywhere,
    };
    with_session(&mut core, &scan, options.timeout, work)
        .map_err(|Lost(cause)| failed(ASKED, cause))?
        .ok_or_else(|| ConnectError::NotThere {
            chip: chip.name().to_owned(),
        })?
}

/// Greets the firmware that runs on a core; `None` if there is none.
pub(super) fn greet(
    core: &mut Core<'_>,
    scan: &ScanRegion,
    timeout: Duration,
) -> Result<Option<Identity>, SessionError> {
    let deadline = Instant::now() + timeout;
    let Some(connection) = Connection::attach(core, scan, timeout)? else {
        return Ok(None);
    };
    let patience = Patience {
        silence: deadline.saturating_duration_since(Instant::now()),
        ..Patience::default()
    };
    Session::new(connection, anything(), patience)
        .hello()
        .map(Some)
}

/// Works with the firmware that runs on a core; `None` if none is there.
pub(super) fn with_session<T>(
    core: &mut Core<'_>,
    scan: &ScanRegion,
    timeout: Duration,
    work: impl FnOnce(&mut Session<Connection<'_, '_>>) -> T,
) -> Result<Option<T>, Lost> {
    let Some(connection) = Connection::attach(core, scan, timeout)? else {
        return Ok(None);
    };
    let patience = Patience {
        silence: timeout,
        ..Patience::default()
    };
    Ok(Some(work(&mut Session::new(
        connection,
        anything(),
        patience,
    ))))
}

/// Asks the firmware that runs on a chip who it is; `None` if none answers soon. It may be another one, or
/// stand still.
pub(super) fn ask(plan: &Plan, session: &mut Attached) -> Result<Option<Identity>, ConnectError> {
    const SOON: Duration = Duration::from_millis(500);
    let lost = |source| ConnectError::Lost {
        chip: plan.chip().to_owned(),
        during: ASKED,
        source,
    };
    let mut core = session.core(&plan.chip).map_err(|e| lost(Box::new(e)))?;
    let found = Connection::attach(&mut core, &plan.rtt, Duration::ZERO);
    let Some(connection) = found.map_err(|Lost(cause)| lost(cause))? else {
        return Ok(None);
    };
    let patience = Patience {
        silence: SOON,
        ..Patience::default()
    };
    match Session::new(connection, anything(), patience).hello() {
        Ok(identity) => Ok(Some(identity)),
        Err(SessionError::Lost(Lost(cause))) => Err(lost(cause)),
        Err(_) => Ok(None),
    }
}

/// A number that the last conversation is not likely to have had.
pub(super) fn anything() -> u16 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.subsec_micros() as u16
}

/// A running firmware's channels.
pub struct Connection<'c, 'p> {
    core: &'c mut Core<'p>,
    rtt: Rtt,
    watch: Watch,
}

impl<'c, 'p> Connection<'c, 'p> {
    /// Finds the channels, which the firmware makes soon after its start; `None` if it has not in time.
    fn attach(
        core: &'c mut Core<'p>,
        scan: &ScanRegion,
        timeout: Duration,
    ) -> Result<Option<Self>, Lost> {
        let deadline = Instant::now() + timeout;
        let watch = Watch::idle(ASKED, TRANSFER);
        loop {
            match watch.call(|| Rtt::attach_region(core, scan)) {
                Ok(mut rtt) => {
                    // The channels that are used come last.
                    if rtt.up_channel(UP).is_some() && rtt.down_channel(DOWN).is_some() {
                        return Ok(Some(Self { core, rtt, watch }));
                    }
                }
                Err(probe_rs::rtt::Error::Probe(error)) => return Err(Lost(Box::new(error))),
                // Not yet.
                Err(_) => {}
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn read(&mut self, channel: usize, bytes: &mut [u8]) -> Result<usize, Lost> {
        match self.rtt.up_channel(channel) {
            Some(channel) => {
                let read = || channel.read(self.core, bytes);
                self.watch.call(read).map_err(lost)
            }
            None => Ok(0),
        }
    }
}

fn lost(error: probe_rs::rtt::Error) -> Lost {
    Lost(Box::new(error))
}

impl Link for Connection<'_, '_> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        match self.rtt.down_channel(DOWN) {
            Some(channel) => {
                let write = || channel.write(self.core, bytes);
                self.watch.call(write).map_err(lost)
            }
            None => Ok(0),
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        self.read(UP, bytes)
    }

    fn log(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        self.read(LOG, bytes)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        let status = self
            .watch
            .call(|| self.core.status())
            .map_err(|e| Lost(Box::new(e)))?;
        Ok(Some(match status {
            CoreStatus::Running => "its core runs".into(),
            CoreStatus::Halted(reason) => format!("its core is halted ({reason:?})"),
            CoreStatus::LockedUp => "its core is locked up".into(),
            CoreStatus::Sleeping => "its core sleeps".into(),
            CoreStatus::Unknown => return Ok(None),
        }))
    }
}
