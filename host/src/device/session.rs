//! The host's side of the protocol in [`tinyspike_shared::wire`]: asks a device, and asks again if an
//! answer does not come whole.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use serde_json::json;
use tinyspike_shared::Event;
use tinyspike_shared::accept::{Journal, Refusal, Start};
use tinyspike_shared::slots::Slot;
use tinyspike_shared::wire::{
    self, Clock, Count, Fault, Head, Hello, INPUT_CHUNK, ImageState, MAX_FRAME, PROTOCOL, Receiver,
    Request, RequestError, Response, UpdateFault, Watch,
};

use crate::sign::PublicKey;

/// Carries bytes to and from a device.
pub trait Link {
    /// Sends some of `bytes`: how many. It does not wait if there is no room.
    ///
    /// # Errors
    /// [`Lost`] if the connection is broken.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost>;

    /// Receives what has come: how many bytes of `bytes` it is. It does not wait if there is nothing.
    ///
    /// # Errors
    /// [`Lost`] if the connection is broken.
    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost>;

    /// Reads what the device has logged, encoded by defmt: how many bytes of `bytes` it is, 0 if the link carries no log.
    ///
    /// # Errors
    /// [`Lost`] if the connection is broken.
    fn log(&mut self, _bytes: &mut [u8]) -> Result<usize, Lost> {
        Ok(0)
    }

    /// State of a device that does not answer, such as `its core is halted`; `None` if nobody knows.
    ///
    /// # Errors
    /// [`Lost`] if the connection is broken.
    fn state(&mut self) -> Result<Option<String>, Lost>;
}

/// The connection to a device is broken.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the device is lost: {0}")]
pub struct Lost(#[source] pub Box<dyn Error + Send + Sync>);

/// Reason why a device gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The connection is broken.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// No answer came.
    #[error("the device has not answered for {:.1} s{}", waited.as_secs_f32(), state.as_ref().map_or(String::new(), |s| format!(": {s}")))]
    Silent {
        /// Time that it was waited for.
        waited: Duration,
        /// State of the device, if it is known.
        state: Option<String>,
    },
    /// Answer of which parts do not arrive, however often they are asked for.
    #[error(
        "{missing} of at least {parts} parts of the device's answer do not arrive, though it was asked {asked} times: the connection loses them; try another cable, or a lower speed of the probe"
    )]
    Incomplete {
        /// Number of missing parts.
        missing: usize,
        /// Number of parts, as far as is known.
        parts: usize,
        /// Questions to the device since the last part that was new.
        asked: u64,
    },
    /// The firmware speaks another version of the protocol.
    #[error(
        "the device's firmware speaks version {found} of the protocol, this program {PROTOCOL}: flash its firmware again"
    )]
    Protocol {
        /// The version that the device speaks.
        found: u16,
    },
    /// The firmware has failed.
    #[error("the device's firmware has failed: {0}")]
    Fault(String),
    /// The device has no image that it can run.
    #[error("the device does not run its image: {0}")]
    NoImage(Refusal),
    /// The device refuses a request.
    #[error("the device refuses: {0}")]
    Refused(String),
    /// The device has not stored an image, and runs what it did.
    #[error("the device does not store the image: {}", update_fault(*.0))]
    Update(UpdateFault),
    /// The answer is not one to the question.
    #[error(
        "the device answers something else than it was asked for: its firmware and this program do not fit"
    )]
    Unexpected,
}

/// The image that a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RunningImage {
    /// The image's checksum.
    pub checksum: u32,
    /// The model's version.
    pub version: u32,
    /// Bytes of arena.
    pub arena: u32,
    /// Bytes of all inputs together.
    pub input: u32,
    /// Steps of an inference.
    pub steps: u16,
}

/// Identity of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The firmware's version.
    pub firmware: String,
    /// The architecture that it is built for.
    pub architecture: String,
    /// The kernels that it runs.
    pub kernels: String,
    /// The image that it runs, or why not.
    pub image: Result<RunningImage, Refusal>,
    /// Bytes of RAM that nothing takes.
    pub free_ram: u32,
    /// Bytes of stack.
    pub stack: u32,
    /// Clock that counts its ticks.
    pub clock: Clock,
    /// Choice of its image.
    pub start: Start,
    /// The key that has to have signed its images, if it asks for one.
    pub key: Option<PublicKey>,
    /// The most ensembles of a network that it holds.
    pub ensembles: u16,
    /// The most connections of such a network.
    pub connections: u16,
}

impl Identity {
    /// The slot of the image that it runs.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.start.running.unwrap_or(self.start.named)
    }
}

impl Serialize for Identity {
    /// Writes reasons and keys in words, and of the start what matters to a user.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let image = match &self.image {
            Ok(image) => json!({
                "state": "ready",
                "checksum": image.checksum,
                "version": image.version,
                "slot": self.slot(),
                "arena": image.arena,
            }),
            Err(reason) => json!({ "state": "refused", "reason": reason.to_string() }),
        };
        let start = &self.start;
        json!({
            "firmware": self.firmware,
            "architecture": self.architecture,
            "kernels": self.kernels,
            "image": image,
            "free_ram": self.free_ram,
            "stack": self.stack,
            "named": (start.journal != Journal::Absent).then_some(start.named),
            "passed_over": start.passed_over().map(|reason| reason.to_string()),
            "minimum_version": start.minimum,
            "key": self.key.map(|key| key.id().to_string()),
            "ensembles": self.ensembles,
            "connections": self.connections,
        })
        .serialize(serializer)
    }
}

impl From<Hello<'_>> for Identity {
    fn from(hello: Hello<'_>) -> Self {
        Self {
            firmware: hello.firmware.to_owned(),
            architecture: hello.architecture.to_owned(),
            kernels: hello.kernels.to_owned(),
            image: match hello.image {
                ImageState::Ready {
                    checksum,
                    version,
                    arena,
                    input,
                    steps,
                } => Ok(RunningImage {
                    checksum,
                    version,
                    arena,
                    input,
                    steps,
                }),
                ImageState::Refused(reason) => Err(reason),
            },
            free_ram: hello.free_ram,
            stack: hello.stack,
            clock: hello.clock,
            start: hello.start,
            key: hello.key.map(PublicKey::new),
            ensembles: hello.ensembles,
            connections: hello.connections,
        }
    }
}

/// Depth of a device's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StackUse {
    /// Bytes that it may have.
    pub size: u32,
    /// The most bytes that it has had since the device started.
    pub high_water: u32,
}

/// Report of a device on an inference, or on a step of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inference {
    /// Steps since rest.
    pub steps: u16,
    /// Ticks to bring the network to rest and set the input; 0 if a step went on from another.
    pub set_up: u32,
    /// Ticks of each step that was asked for.
    pub ticks: Vec<u32>,
    /// Counts of each ensemble; empty if it was not watched.
    pub counts: Vec<Count>,
    /// The values of each output.
    pub outputs: Vec<Vec<i32>>,
    /// The events of each step that was asked for, by ensemble, if they were watched.
    pub spikes: Vec<Vec<Vec<Event>>>,
    /// The hash of each ensemble and then each output, by step, if they were watched.
    pub hashes: Vec<Vec<u32>>,
}

impl Inference {
    /// Ticks of all of it.
    #[must_use]
    pub fn all_ticks(&self) -> u64 {
        let steps = self
            .ticks
            .iter()
            .map(|&ticks| u64::from(ticks))
            .sum::<u64>();
        u64::from(self.set_up) + steps
    }
}

/// Patience with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest silence of a device before it is given up.
    pub silence: Duration,
    /// Silence after which to ask again: an answer may have been lost.
    pub repeat: Duration,
}

impl Default for Patience {
    /// Three seconds; asking again after one.
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(3),
            repeat: Duration::from_secs(1),
        }
    }
}

impl Patience {
    /// Adds time for work that takes a while.
    #[must_use]
    pub fn and(self, work: Duration) -> Self {
        Self {
            silence: self.silence + 2 * work,
            repeat: self.repeat + work,
        }
    }
}

/// The most neurons of an ensemble.
const MAX_NEURONS: usize = 1 << 16;

/// Attempts for the parts of an answer, if only known parts come, before they are given up.
const ATTEMPTS: u64 = 16;

/// The most parts of an answer: more than all steps of an inference have, with a hash for each layer.
const MAX_PARTS: u32 = 1 << 22;

/// Time to sleep if neither side has anything to say.
const PAUSE: Duration = Duration::from_micros(200);

/// A conversation with a device.
#[derive(Debug)]
pub struct Session<L> {
    link: L,
    receiver: Receiver,
    sequence: u16,
    patience: Patience,
}

impl<L: Link> Session<L> {
    /// Begins a conversation. Sequence numbers start at `first`: another one than in the last conversation, so that
    /// nothing that was left of it is taken for an answer.
    pub const fn new(link: L, first: u16, patience: Patience) -> Self {
        Self {
            link,
            receiver: Receiver::new(),
            sequence: first,
            patience,
        }
    }

    /// The connection.
    pub const fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Asks the device for its identity.
    ///
    /// # Errors
    /// [`SessionError`]; [`SessionError::Protocol`] if it speaks another version.
    pub fn hello(&mut self) -> Result<Identity, SessionError> {
        let parts = self.ask(&Request::Hello, self.patience)?;
        match parts.last().and_then(Part::read) {
            Some(Response::Hello(hello)) if hello.protocol == PROTOCOL => Ok(hello.into()),
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Asks whether the device is there.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn ping(&mut self) -> Result<(), SessionError> {
        let echo = u32::from(self.sequence) << 16 | 0x5aa5;
        let parts = self.ask(&Request::Ping { echo }, self.patience)?;
        match parts.last().and_then(Part::read) {
            Some(Response::Pong { echo: heard }) if heard == echo => Ok(()),
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Asks for the depth of its stack.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn stack(&mut self) -> Result<StackUse, SessionError> {
        let parts = self.ask(&Request::Stack, self.patience)?;
        match parts.last().and_then(Part::read) {
            Some(Response::Stack { size, high_water }) => Ok(StackUse { size, high_water }),
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Sets the input: the bytes of all inputs of the image, one after another.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn set_input(&mut self, input: &[u8]) -> Result<(), SessionError> {
        let mut offset = 0;
        for bytes in input.chunks(INPUT_CHUNK) {
            let length = bytes.len() as u32;
            let parts = self.ask(&Request::SetInput { offset, bytes }, self.patience)?;
            let accepted = Response::Accepted { offset, length };
            if parts.last().and_then(Part::read) != Some(accepted) {
                return Err(SessionError::Unexpected);
            }
            offset += length;
        }
        Ok(())
    }

    /// An inference on the input, from rest to its end, for which the device may take `work`.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn infer(&mut self, watch: Watch, work: Duration) -> Result<Inference, SessionError> {
        let parts = self.ask(&Request::Infer { watch }, self.patience.and(work))?;
        read_inference(&parts, 0)
    }

    /// One step of an inference on the input, for which, and for the steps before, the device may take `work`.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn step(
        &mut self,
        at: u16,
        watch: Watch,
        work: Duration,
    ) -> Result<Inference, SessionError> {
        let parts = self.ask(&Request::Step { at, watch }, self.patience.and(work))?;
        read_inference(&parts, at)
    }

    /// One step on the input from where the last one has left the network, or from rest, for which the device may
    /// take `work`.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn advance(
        &mut self,
        from_rest: bool,
        watch: Watch,
        work: Duration,
    ) -> Result<Inference, SessionError> {
        let request = Request::Advance { from_rest, watch };
        let parts = self.ask(&request, self.patience.and(work))?;
        read_inference(&parts, 0)
    }

    /// Has the device erase so many bytes of the slot that is not in use, which may take as long as `work`.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn clear(&mut self, length: u32, work: Duration) -> Result<(), SessionError> {
        let parts = self.ask(&Request::Clear { length }, self.patience.and(work))?;
        match parts.last().and_then(Part::read) {
            Some(Response::Accepted { .. }) => Ok(()),
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Has the device store a piece of an image in the slot that has been cleared.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn store(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SessionError> {
        let parts = self.ask(&Request::Store { offset, bytes }, self.patience)?;
        match parts.last().and_then(Part::read) {
            Some(Response::Accepted { offset: at, length })
                if (at, length as usize) == (offset, bytes.len()) =>
            {
                Ok(())
            }
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Has the device check what has been stored, and start from it the next time, which may take as long as `work`.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn switch(&mut self, minimum: u32, work: Duration) -> Result<Slot, SessionError> {
        let parts = self.ask(&Request::Switch { minimum }, self.patience.and(work))?;
        match parts.last().and_then(Part::read) {
            Some(Response::Switched { slot }) => Ok(slot),
            _ => Err(SessionError::Unexpected),
        }
    }

    /// Starts the device again.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn restart(&mut self) -> Result<(), SessionError> {
        self.ask(&Request::Restart, self.patience).map(|_| ())
    }

    /// The potentials of an ensemble as they are, less the threshold.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn potentials(&mut self, ensemble: u8) -> Result<Vec<i32>, SessionError> {
        let mut all = Vec::new();
        loop {
            let first = all.len() as u32;
            let parts = self.ask(&Request::Potentials { ensemble, first }, self.patience)?;
            match parts.last().and_then(Part::read) {
                Some(Response::Potentials {
                    ensemble: e,
                    first: f,
                    values,
                }) if (e, f) == (ensemble, first) => {
                    if values.is_empty() {
                        return Ok(all);
                    }
                    if all.len() >= MAX_NEURONS {
                        return Err(SessionError::Unexpected);
                    }
                    all.extend_from_slice(&values);
                }
                _ => return Err(SessionError::Unexpected),
            }
        }
    }

    /// Asks until a whole answer has come: all its parts.
    fn ask(
        &mut self,
        request: &Request<'_>,
        patience: Patience,
    ) -> Result<Vec<Part>, SessionError> {
        self.sequence = self.sequence.wrapping_add(1);
        let head = Head {
            sequence: self.sequence,
            part: 0,
        };
        let mut frame = [0; MAX_FRAME];
        let frame =
            wire::encode(head, request, &mut frame).map_err(|_| SessionError::Unexpected)?;
        let mut to_send = frame;
        // Only what is watched step by step takes more than one part.
        let most = match request {
            Request::Infer { .. } | Request::Step { .. } | Request::Advance { .. } => MAX_PARTS,
            _ => 1,
        };
        let mut answer = Parts::default();
        let start = Instant::now();
        let (mut heard, mut asked) = (start, start);
        // A device that repeats itself would be heard for ever.
        let (mut asks, mut frames) = (1u64, 0u64);
        // Answers in a row that had nothing new.
        let mut fruitless = 0;
        let mut bytes = [0; 1024];
        loop {
            let sent = if to_send.is_empty() {
                0
            } else {
                self.link.send(to_send)?
            };
            to_send = to_send.get(sent..).unwrap_or(&[]);
            let received = self.link.receive(&mut bytes)?;
            let mut rest = bytes.get(..received).unwrap_or(&[]);
            while let Some(frame) = self.receiver.receive(&mut rest) {
                if frame.head.sequence != head.sequence {
                    continue;
                }
                heard = Instant::now();
                if let Some(Response::Hello(hello)) = frame.beginning()
                    && hello.protocol != PROTOCOL
                {
                    let found = hello.protocol;
                    return Err(SessionError::Protocol { found });
                }
                let Some(response) = frame.message::<Response<'_>>() else {
                    return Err(SessionError::Unexpected);
                };
                if let Response::Error(error) = response {
                    return Err(refusal(error));
                }
                let part = Part(frame.bytes().to_vec());
                let last = response.is_last();
                if frame.head.part >= most {
                    return Err(SessionError::Unexpected);
                }
                if answer.add(frame.head.part, part, last) {
                    fruitless = 0;
                }
                frames += 1;
                if frames > asks * u64::from(answer.end) {
                    return Err(answer.incomplete(asks));
                }
            }
            if let Some(parts) = answer.whole() {
                return Ok(parts);
            }
            if heard.elapsed() > patience.silence {
                let state = self.link.state()?;
                return Err(SessionError::Silent {
                    waited: heard.elapsed(),
                    state,
                });
            }
            if heard.max(asked).elapsed() > patience.repeat {
                fruitless += u64::from(heard > asked);
                if fruitless > ATTEMPTS {
                    return Err(answer.incomplete(fruitless));
                }
                asks += 1;
                asked = Instant::now();
                to_send = frame;
            }
            if sent == 0 && received == 0 {
                thread::sleep(PAUSE);
            }
        }
    }
}

fn update_fault(fault: UpdateFault) -> String {
    match fault {
        UpdateFault::NotHere => "its firmware does not write its own slots".into(),
        UpdateFault::TooLarge { available } => format!("its slots have {available} bytes"),
        UpdateFault::Order { expected } => {
            format!("it misses the piece that begins with byte {expected}")
        }
        UpdateFault::Flash => "its flash fails, or reads back something else".into(),
        UpdateFault::Minimum => {
            "it cannot store this least version, or has a higher one already".into()
        }
        UpdateFault::Refused(refusal) => refusal.to_string(),
        _ => "it gives a reason that this program does not know".into(),
    }
}

/// Turns a device's error into one of the session.
fn refusal(error: RequestError<'_>) -> SessionError {
    SessionError::Refused(match error {
        RequestError::Fault(fault) => return SessionError::Fault(fault_text(fault)),
        RequestError::Unknown => "its firmware does not know the request".into(),
        RequestError::NoImage => "it has no image that it can run".into(),
        RequestError::Outside { size } => {
            format!("the image's inputs together have {size} bytes")
        }
        RequestError::Value { input, max, found } => {
            format!("input {input} takes bytes up to {max}, one of {found} was given")
        }
        RequestError::Update(fault) => return SessionError::Update(fault),
        RequestError::NoStep { steps } => format!("an inference has {steps} steps"),
        RequestError::NoEnsemble { ensembles } => {
            format!("the network has {ensembles} ensembles")
        }
        other => format!("{other:?}"),
    })
}

fn fault_text(fault: Fault<'_>) -> String {
    match fault {
        Fault::Panic { file, line } => format!("it panicked at {file}:{line}"),
        Fault::HardFault { pc, lr } => {
            format!("a hard fault at {pc:#010x}, called from {lr:#010x}")
        }
        Fault::StackOverflow { sp } => {
            format!("its stack was too small (the stack pointer was {sp:#010x})")
        }
        other => format!("{other:?}"),
    }
}

/// A message, not yet read.
#[derive(Clone, Debug)]
struct Part(Vec<u8>);

impl Part {
    fn read(&self) -> Option<Response<'_>> {
        wire::read(&self.0)
    }
}

/// Parts of an answer that have come.
#[derive(Debug, Default)]
struct Parts {
    /// Parts by number: memory grows with what has come, not with what a number claims.
    parts: BTreeMap<u32, Part>,
    /// The number behind the largest that has come.
    end: u32,
    /// The number of parts, if the last has come.
    count: Option<u32>,
}

impl Parts {
    /// Adds a part, and says whether it is new. Numbers are below [`MAX_PARTS`].
    fn add(&mut self, number: u32, part: Part, last: bool) -> bool {
        if last {
            self.count = Some(number + 1);
        }
        self.end = self.end.max(number + 1);
        match self.parts.entry(number) {
            Entry::Vacant(place) => {
                place.insert(part);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Error for an incomplete answer. Without its last part nobody knows their number, so at least that one is
    /// missing.
    fn incomplete(&self, asked: u64) -> SessionError {
        let parts = self.end as usize + usize::from(self.count.is_none());
        SessionError::Incomplete {
            missing: parts - self.parts.len(),
            parts,
            asked,
        }
    }

    /// All parts, once they are there.
    fn whole(&mut self) -> Option<Vec<Part>> {
        if self.count != Some(self.end) || self.parts.len() != self.end as usize {
            return None;
        }
        Some(std::mem::take(&mut self.parts).into_values().collect())
    }
}

/// Puts the parts of an inference's answer together. `from` is the first step that was asked for.
fn read_inference(parts: &[Part], from: u16) -> Result<Inference, SessionError> {
    fn at<T: Default>(list: &mut Vec<T>, index: usize) -> Option<&mut T> {
        if list.len() <= index {
            list.resize_with(index + 1, T::default);
        }
        list.get_mut(index)
    }
    let mut inference = Inference::default();
    let mut finished = false;
    for part in parts {
        let place = |step: u16| step.checked_sub(from).map(usize::from);
        let read = match part.read() {
            Some(Response::Took { step, ticks }) if place(step) == Some(inference.ticks.len()) => {
                inference.ticks.push(ticks);
                Some(())
            }
            Some(Response::Counts { first, counts })
                if usize::from(first) == inference.counts.len() =>
            {
                inference.counts.extend_from_slice(&counts);
                Some(())
            }
            Some(Response::Values {
                output,
                first,
                values,
            }) => at(&mut inference.outputs, output.into())
                .filter(|all| all.len() == first as usize)
                .map(|all| all.extend_from_slice(&values)),
            Some(Response::Spikes {
                step,
                ensemble,
                events,
            }) => place(step)
                .and_then(|step| at(&mut inference.spikes, step))
                .and_then(|step| at(step, ensemble.into()))
                .map(|all| all.extend_from_slice(&events)),
            Some(Response::Hash { step, layer, hash }) => place(step)
                .and_then(|step| at(&mut inference.hashes, step))
                .filter(|all| all.len() == usize::from(layer))
                .map(|all| all.push(hash)),
            Some(Response::Finished { steps, set_up }) => {
                inference.steps = steps;
                inference.set_up = set_up;
                finished = true;
                Some(())
            }
            _ => None,
        };
        read.ok_or(SessionError::Unexpected)?;
    }
    finished
        .then_some(inference)
        .ok_or(SessionError::Unexpected)
}

#[cfg(test)]
mod tests {
    use tinyspike_shared::wire::encode;

    use super::*;

    /// A device that answers a request with frames of its own making, which it is asked for one by one.
    struct Hostile<F> {
        receiver: Receiver,
        sequence: Option<u16>,
        sent: u32,
        frame: F,
    }

    impl<F> Hostile<F>
    where
        F: FnMut(u32) -> Option<(u32, Response<'static>)>,
    {
        fn session(frame: F) -> Session<Self> {
            let link = Self {
                receiver: Receiver::new(),
                sequence: None,
                sent: 0,
                frame,
            };
            let patience = Patience {
                silence: Duration::from_secs(2),
                repeat: Duration::from_secs(1),
            };
            Session::new(link, 0, patience)
        }
    }

    impl<F> Link for Hostile<F>
    where
        F: FnMut(u32) -> Option<(u32, Response<'static>)>,
    {
        fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
            let mut rest = bytes;
            while let Some(frame) = self.receiver.receive(&mut rest) {
                self.sequence = Some(frame.head.sequence);
            }
            Ok(bytes.len())
        }

        fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
            let Some(sequence) = self.sequence else {
                return Ok(0);
            };
            let Some((part, response)) = (self.frame)(self.sent) else {
                return Ok(0);
            };
            self.sent += 1;
            let mut frame = [0; MAX_FRAME];
            let frame = encode(Head { sequence, part }, &response, &mut frame).unwrap();
            bytes[..frame.len()].copy_from_slice(frame);
            Ok(frame.len())
        }

        fn state(&mut self) -> Result<Option<String>, Lost> {
            Ok(None)
        }
    }

    const TOOK: Response<'static> = Response::Took { step: 0, ticks: 1 };

    fn infer(frame: impl FnMut(u32) -> Option<(u32, Response<'static>)>) -> SessionError {
        let start = Instant::now();
        let mut session = Hostile::session(frame);
        let error = session.infer(Watch::Nothing, Duration::ZERO).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(20));
        error
    }

    #[test]
    fn a_device_that_repeats_a_part_is_given_up() {
        for part in [0, 7] {
            let error = infer(|_| Some((part, TOOK)));
            assert!(matches!(error, SessionError::Incomplete { .. }), "{error}");
        }
        let error = infer(|sent| Some((sent % 3, TOOK)));
        assert!(
            matches!(error, SessionError::Incomplete { parts: 4, .. }),
            "{error}"
        );
    }

    #[test]
    fn numbers_that_no_part_has_take_no_memory() {
        for part in [MAX_PARTS, u32::MAX] {
            let error = infer(|_| Some((part, TOOK)));
            assert!(matches!(error, SessionError::Unexpected), "{error}");
        }
        // New parts, one after another, up to the limit.
        let error = infer(|sent| Some((MAX_PARTS - 1000 + sent, TOOK)));
        assert!(matches!(error, SessionError::Unexpected), "{error}");
        let error = infer(|sent| (sent < 1).then_some((MAX_PARTS - 1, TOOK)));
        assert!(
            matches!(
                error,
                SessionError::Incomplete { .. } | SessionError::Silent { .. }
            ),
            "{error}"
        );
    }

    /// More than the 65,536 that 16 bits would count: as bisecting a long inference takes.
    #[test]
    fn an_answer_may_have_many_parts() {
        const STEPS: u32 = 40_000;
        let mut session = Hostile::session(|sent| {
            let step = (sent / 2) as u16;
            let response = match sent {
                sent if sent == 2 * STEPS => Response::Finished {
                    steps: STEPS as u16,
                    set_up: 5,
                },
                sent if sent > 2 * STEPS => return None,
                sent if sent % 2 == 0 => Response::Took { step, ticks: sent },
                sent => Response::Hash {
                    step,
                    layer: 0,
                    hash: sent,
                },
            };
            Some((sent, response))
        });
        let inference = session.infer(Watch::Hashes, Duration::ZERO).unwrap();
        assert_eq!(inference.ticks.len(), STEPS as usize);
        assert_eq!(inference.hashes[39_999], [79_999]);
    }
}
