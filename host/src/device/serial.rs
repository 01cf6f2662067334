//! The connection to a firmware over a byte stream, such as a serial line, as a [`Link`]: no probe, and no log.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use serialport::SerialPort;
use tinyspike_shared::accept::{Refusal, Terms};
use tinyspike_shared::slots::Slot;
use tinyspike_shared::wire::INPUT_CHUNK;

use super::plan::beyond_room;
use super::run::{self, RunError};
use super::session::{Link, Lost, Patience, Session, SessionError};
use crate::advice::{Advice, Advised};
use crate::image::{Image, ImageBuf};

/// Longest wait of a read or write of a serial line, after which the other side has its turn.
const TURN: Duration = Duration::from_millis(50);

/// Pieces of up to a KiB that wait to be read: a device that sends without end fills no more memory than that.
const PIECES: usize = 64;

/// Reason why a serial line cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the serial line {port}: {source}")]
pub struct SerialError {
    /// Its name, such as `/dev/ttyACM0` or `COM3`.
    port: String,
    /// The system's reason.
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Advised for SerialError {
    fn advice(&self) -> Vec<Advice> {
        vec![Advice::SerialPorts(ports())]
    }
}

/// The names of the serial lines that there are.
fn ports() -> Vec<String> {
    let ports = serialport::available_ports().unwrap_or_default();
    ports.into_iter().map(|port| port.port_name).collect()
}

/// A device behind a byte stream.
#[derive(Debug)]
pub struct Stream<W> {
    incoming: Receiver<io::Result<Vec<u8>>>,
    left: VecDeque<u8>,
    outgoing: W,
}

impl<W: Write> Stream<W> {
    /// Joins a stream's two directions. A thread reads, until the stream ends or this is dropped.
    pub fn new(mut reader: impl Read + Send + 'static, outgoing: W) -> Self {
        let (send, incoming) = sync_channel(PIECES);
        let read = move || {
            let mut bytes = [0; 1024];
            loop {
                let read = match reader.read(&mut bytes) {
                    Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(count) => Ok(bytes.get(..count).unwrap_or(&[]).to_vec()),
                    Err(e) if is_turn(&e) => Ok(Vec::new()),
                    Err(e) => Err(e),
                };
                let ends = read.is_err();
                if send.send(read).is_err() || ends {
                    return;
                }
            }
        };
        // Without a thread the stream ends at once.
        let _ = std::thread::Builder::new().spawn(read);
        Self {
            incoming,
            left: VecDeque::new(),
            outgoing,
        }
    }

    /// The direction to the device.
    pub fn outgoing(&mut self) -> &mut W {
        &mut self.outgoing
    }
}

/// Tells if nothing has failed, but time has passed.
fn is_turn(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

impl<W: Write> Link for Stream<W> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        let lost = |e: io::Error| Lost(Box::new(e));
        // Nothing is flushed: a line has no buffer of ours, and its system's may wait for the other side without end.
        match self.outgoing.write(bytes) {
            Ok(count) => Ok(count),
            Err(e) if is_turn(&e) => Ok(0),
            Err(e) => Err(lost(e)),
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        while self.left.len() < bytes.len() {
            match self.incoming.try_recv() {
                Ok(Ok(more)) => self.left.extend(more),
                // What came before is handed on first.
                Ok(Err(_)) | Err(TryRecvError::Disconnected) if !self.left.is_empty() => break,
                Ok(Err(error)) => return Err(Lost(Box::new(error))),
                Err(TryRecvError::Disconnected) => {
                    let ended: io::Error = io::ErrorKind::UnexpectedEof.into();
                    return Err(Lost(Box::new(ended)));
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        let count = bytes.len().min(self.left.len());
        for (slot, byte) in bytes.iter_mut().zip(self.left.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        Ok(None)
    }
}

/// A device on a serial line.
pub type Line = Stream<Box<dyn SerialPort>>;

/// Begins a conversation with the device on a serial line of so many baud, 8 bits without parity.
///
/// # Errors
/// [`SerialError`], if there is no such line, or another program has it.
pub fn open(port: &str, baud: u32) -> Result<Session<Line>, SerialError> {
    let failed = |source: serialport::Error| SerialError {
        port: port.to_owned(),
        source: Box::new(source),
    };
    let line = serialport::new(port, baud).timeout(TURN).open();
    let line = line.map_err(failed)?;
    let reader = line.try_clone().map_err(failed)?;
    Ok(session(Stream::new(reader, line)))
}

/// Begins a conversation over a stream.
pub fn session<W: Write>(stream: Stream<W>) -> Session<Stream<W>> {
    Session::new(stream, super::connection::anything(), Patience::default())
}

/// Reason why an image was not exchanged over a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The device does not answer, or refuses.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The device would refuse the image.
    #[error("the device would refuse it: {0}")]
    Refused(Refusal),
    /// The network has more parts than the firmware holds.
    #[error(
        "the device's firmware holds networks of up to {limit} {what}, and this one has {found}"
    )]
    TooManyLayers {
        /// `ensembles` or `connections`.
        what: &'static str,
        /// Number that the network has.
        found: usize,
        /// Largest number.
        limit: usize,
    },
    /// The device has started again with the image, and does not run an inference as the emulator does.
    #[error("the image is in slot {slot}, but {reason}")]
    Inference {
        /// Slot with the image.
        slot: Slot,
        /// The difference, or the device's reason.
        reason: String,
    },
    /// The device has started again and runs another image.
    #[error("the image is in slot {slot}, but the device runs another since it started again{}", reason.as_ref().map_or(String::new(), |r| format!(": {r}")))]
    Other {
        /// Slot with the image.
        slot: Slot,
        /// The reason that the device gives.
        reason: Option<Refusal>,
    },
}

impl Advised for ExchangeError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Refused(Refusal::Signature(_)) => vec![Advice::Sign],
            Self::Refused(Refusal::Version { .. }) => vec![Advice::ModelVersion],
            Self::Refused(_) => vec![Advice::DeployAgain],
            _ => Vec::new(),
        }
    }
}

/// The outcome of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Exchanged {
    /// The slot that the image is in.
    pub slot: Slot,
    /// Bytes of the image and its signature.
    pub bytes: usize,
    /// `true` if the device runs it; `false` if it does not start again by itself.
    pub running: bool,
}

/// Time that erasing a slot or checking a signature may take.
const WORK: Duration = Duration::from_secs(15);

/// Sends an image to a device that writes its own slots, has it switch, and starts it again. No model below `minimum` runs
/// there from then on. Whenever this is broken off, the device starts from the old image or the new one.
///
/// # Errors
/// [`ExchangeError`].
pub fn exchange<L: Link>(
    session: &mut Session<L>,
    image: &ImageBuf,
    minimum: u32,
    progress: &mut dyn FnMut(usize),
) -> Result<Exchanged, ExchangeError> {
    let identity = session.hello()?;
    let least = minimum.max(identity.start.minimum);
    let terms = Terms::version(least).signed(identity.key.map(|key| *key.bytes()));
    let network = terms.accept(image.bytes());
    let network: Image<'_> = network.map_err(ExchangeError::Refused)?;
    let room = [identity.ensembles, identity.connections].map(usize::from);
    if let Some((what, found, limit)) = beyond_room(&network, room[0], room[1]) {
        return Err(ExchangeError::TooManyLayers { what, found, limit });
    }
    let length = image.bytes().len();
    session.clear(length as u32, WORK)?;
    for (piece, at) in (image.bytes().chunks(INPUT_CHUNK)).zip((0..).step_by(INPUT_CHUNK)) {
        session.store(at, piece)?;
        progress(piece.len());
    }
    let slot = session.switch(minimum, WORK)?;
    session.restart()?;
    let checksum = network.header().checksum;
    let exchanged = |running| Exchanged {
        slot,
        bytes: length,
        running,
    };
    // It answers as before if it cannot start again, and not at once if it does.
    let until = Instant::now() + WORK;
    loop {
        match session.hello() {
            Ok(found) => {
                let old = identity.image.as_ref().map(|image| image.checksum).ok();
                return match found.image {
                    Ok(image) if image.checksum == checksum => {
                        try_out(session, &network)
                            .map_err(|reason| ExchangeError::Inference { slot, reason })?;
                        Ok(exchanged(true))
                    }
                    Ok(image) if Some(image.checksum) == old && found.start == identity.start => {
                        Ok(exchanged(false))
                    }
                    _ => Err(ExchangeError::Other {
                        slot,
                        reason: found.start.passed_over(),
                    }),
                };
            }
            Err(SessionError::Silent { .. }) if Instant::now() < until => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Has the device run an inference, which must be the emulator's.
fn try_out<L: Link>(session: &mut Session<L>, image: &Image<'_>) -> Result<(), String> {
    let failed = |e: RunError| format!("it does not run an inference: {e}");
    let report = run::try_out(session, image).map_err(failed)?;
    report.parting().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(link: &mut impl Link, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            let mut bytes = [0; 3];
            let received = link.receive(&mut bytes).unwrap();
            all.extend(&bytes[..received]);
        }
        all
    }

    #[test]
    fn bytes_come_in_pieces_and_an_end_is_an_error() {
        let (reader, mut far) = io::pipe().unwrap();
        let mut stream = Stream::new(reader, Vec::new());
        far.write_all(b"0123456").unwrap();
        assert_eq!(drained(&mut stream, 7), b"0123456");
        assert_eq!(stream.receive(&mut [0; 8]).unwrap(), 0);
        far.write_all(b"78").unwrap();
        drop(far);
        assert_eq!(drained(&mut stream, 2), b"78");
        let lost = loop {
            match stream.receive(&mut [0; 8]) {
                Ok(0) => std::thread::yield_now(),
                Ok(more) => panic!("{more}"),
                Err(lost) => break lost,
            }
        };
        assert!(lost.to_string().contains("lost"), "{lost}");
        assert_eq!(stream.send(b"abc").unwrap(), 3);
        assert_eq!(stream.outgoing(), b"abc");
    }

    #[test]
    fn a_line_that_is_not_there_is_an_error() {
        let error = open("/dev/no-such-line", 115_200).unwrap_err();
        assert!(error.to_string().contains("/dev/no-such-line"), "{error}");
        assert!(matches!(error.advice()[..], [Advice::SerialPorts(_)]));
    }
}
