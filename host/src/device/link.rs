//! RTT over a debug probe as a [`Link`].

use std::time::{Duration, Instant};

use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{Core, CoreStatus};

use super::session::{Link, Lost};

/// The channel of the firmware's log.
const LOG: usize = 0;
/// The channel of the firmware's answers.
const UP: usize = 1;
/// The channel of requests.
const DOWN: usize = 0;
/// How long to wait between two looks for the control block.
const PAUSE: Duration = Duration::from_millis(10);

/// A running firmware's channels.
pub(super) struct RttLink<'c, 'p> {
    core: &'c mut Core<'p>,
    rtt: Rtt,
}

impl<'c, 'p> RttLink<'c, 'p> {
    /// Finds the channels, which the firmware makes soon after its start; `None` where it has not in time.
    pub(super) fn attach(
        core: &'c mut Core<'p>,
        scan: &ScanRegion,
        timeout: Duration,
    ) -> Result<Option<Self>, Lost> {
        let deadline = Instant::now() + timeout;
        loop {
            match Rtt::attach_region(core, scan) {
                Ok(mut rtt) => {
                    // The channels that are used come last.
                    if rtt.up_channel(UP).is_some() && rtt.down_channel(DOWN).is_some() {
                        return Ok(Some(Self { core, rtt }));
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

    /// What the firmware has logged, encoded by defmt: how many bytes of `bytes` it is.
    pub(super) fn log(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        self.read(LOG, bytes)
    }

    fn read(&mut self, channel: usize, bytes: &mut [u8]) -> Result<usize, Lost> {
        match self.rtt.up_channel(channel) {
            Some(channel) => channel.read(self.core, bytes).map_err(lost),
            None => Ok(0),
        }
    }
}

fn lost(error: probe_rs::rtt::Error) -> Lost {
    Lost(Box::new(error))
}

impl Link for RttLink<'_, '_> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        match self.rtt.down_channel(DOWN) {
            Some(channel) => channel.write(self.core, bytes).map_err(lost),
            None => Ok(0),
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        self.read(UP, bytes)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        let status = self.core.status().map_err(|e| Lost(Box::new(e)))?;
        Ok(Some(match status {
            CoreStatus::Running => "its core runs".into(),
            CoreStatus::Halted(reason) => format!("its core is halted ({reason:?})"),
            CoreStatus::LockedUp => "its core is locked up".into(),
            CoreStatus::Sleeping => "its core sleeps".into(),
            CoreStatus::Unknown => return Ok(None),
        }))
    }
}
