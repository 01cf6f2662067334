//! What the firmware says of itself after a start.

use std::thread;
use std::time::{Duration, Instant};

use probe_rs::Core;
use probe_rs::rtt::{Rtt, ScanRegion};
use serde::Serialize;
use tinyspike_shared::wire::{
    self, Head, ImageState, MAX_FRAME, PROTOCOL, Receiver, Request, Response,
};

/// The channel of the firmware's answers.
const UP: usize = 1;
/// The channel of requests.
const DOWN: usize = 0;
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// After how long to ask again: a frame may have been lost.
const REPEAT: Duration = Duration::from_millis(500);

/// A firmware's answer to the first request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Greeting {
    /// The firmware's version.
    pub firmware: String,
    /// The architecture that it was built for.
    pub architecture: String,
    /// The kernels that it runs.
    pub kernels: String,
    /// What it makes of the image.
    pub image: ImageReport,
    /// Bytes of RAM that nothing takes.
    pub free_ram: u32,
    /// Bytes of stack.
    pub stack: u32,
}

/// What a device makes of its image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ImageReport {
    /// It runs it.
    Ready {
        /// The image's checksum.
        checksum: u32,
        /// Bytes of arena.
        arena: u32,
    },
    /// It cannot.
    Refused {
        /// Why not.
        reason: String,
    },
}

/// Why there is no greeting.
pub(super) enum NoGreeting {
    /// Nobody answers.
    Silent,
    /// The firmware speaks another version of the protocol.
    Protocol(u16),
    /// It has failed.
    Fault(String),
    /// The connection broke.
    Connection(probe_rs::rtt::Error),
}

/// Asks a running firmware who it is.
pub(super) fn greet(
    core: &mut Core<'_>,
    scan: &ScanRegion,
    timeout: Duration,
) -> Result<Greeting, NoGreeting> {
    let deadline = Instant::now() + timeout;
    let mut rtt = attach(core, scan, deadline)?;
    let mut frame = [0; MAX_FRAME];
    let mut receiver = Receiver::new();
    let mut received = [0; MAX_FRAME];
    for sequence in 1u16.. {
        let head = Head { sequence, part: 0 };
        let request =
            wire::encode(head, &Request::Hello, &mut frame).map_err(|_| NoGreeting::Silent)?;
        let mut rest = request;
        let again = Instant::now() + REPEAT;
        while Instant::now() < again {
            if Instant::now() >= deadline {
                return Err(NoGreeting::Silent);
            }
            if !rest.is_empty() {
                let down = rtt.down_channel(DOWN).ok_or(NoGreeting::Silent)?;
                let written = down.write(core, rest).map_err(NoGreeting::Connection)?;
                rest = rest.get(written..).unwrap_or(&[]);
            }
            let up = rtt.up_channel(UP).ok_or(NoGreeting::Silent)?;
            let count = up
                .read(core, &mut received)
                .map_err(NoGreeting::Connection)?;
            let mut bytes = received.get(..count).unwrap_or(&[]);
            while let Some(answer) = receiver.receive(&mut bytes) {
                if let Some(greeting) = read(&answer) {
                    return greeting;
                }
            }
            if count == 0 {
                thread::sleep(PAUSE);
            }
        }
    }
    Err(NoGreeting::Silent)
}

/// Finds the control block, which the firmware writes soon after its start.
fn attach(core: &mut Core<'_>, scan: &ScanRegion, deadline: Instant) -> Result<Rtt, NoGreeting> {
    loop {
        match Rtt::attach_region(core, scan) {
            Ok(mut rtt) => {
                // It is written from its start on: the channels that are used come last.
                if rtt.up_channel(UP).is_some() && rtt.down_channel(DOWN).is_some() {
                    return Ok(rtt);
                }
            }
            Err(error @ probe_rs::rtt::Error::Probe(_)) => {
                return Err(NoGreeting::Connection(error));
            }
            // Not yet.
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            return Err(NoGreeting::Silent);
        }
        thread::sleep(PAUSE);
    }
}

/// What an answer says; `None` where it answers something else.
fn read(answer: &wire::Frame<'_>) -> Option<Result<Greeting, NoGreeting>> {
    match answer.beginning::<Response<'_>>()? {
        Response::Hello(hello) if hello.protocol != PROTOCOL => {
            Some(Err(NoGreeting::Protocol(hello.protocol)))
        }
        Response::Hello(hello) => Some(Ok(Greeting {
            firmware: hello.firmware.to_owned(),
            architecture: hello.architecture.to_owned(),
            kernels: hello.kernels.to_owned(),
            image: match hello.image {
                ImageState::Ready {
                    checksum, arena, ..
                } => ImageReport::Ready { checksum, arena },
                ImageState::Refused(error) => ImageReport::Refused {
                    reason: error.to_string(),
                },
                ImageState::NoRoom { needed, given } => ImageReport::Refused {
                    reason: format!(
                        "arena and input need {needed} bytes of RAM, and {given} are left"
                    ),
                },
            },
            free_ram: hello.free_ram,
            stack: hello.stack,
        })),
        Response::Error(error) => Some(Err(NoGreeting::Fault(format!("{error:?}")))),
        _ => None,
    }
}
