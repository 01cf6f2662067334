//! Protocol between a host and a device that runs an image.
//!
//! The host asks, the device answers; it never speaks first. A message is a [`Head`] and a [`Request`]
//! or [`Response`] in postcard's wire format. On the wire it is a frame:
//!
//! ```text
//! 0 | COBS of (head, message, CRC-32/ISO-HDLC of both, little-endian) | 0
//! ```
//!
//! COBS leaves no zero inside a frame, so a receiver finds the next frame after any garbage. Frames that
//! are damaged are dropped, and the host asks again. That is always safe: what a device holds after a request depends on
//! the request and the input alone, not on how often it was asked.
//!
//! An answer has one or more parts, numbered from 0, each with the sequence number of the request. The
//! last part [says so](Response::is_last); if one before it is missing, the host asks again.
//!
//! # Stability
//! [`PROTOCOL`] rises with every change that the other side would misread. The first request is
//! [`Request::Hello`]; it, and the first field of its answer, stay as they are.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::accept::{Refusal, Start};
use crate::crc32::Crc32;
use crate::event::Event;
use crate::signature::PUBLIC_KEY_LEN;
use crate::slots::Slot;

/// The version of this protocol.
pub const PROTOCOL: u16 = 4;
/// The longest head and message, in bytes.
pub const MAX_MESSAGE: usize = 240;
/// The longest frame, in bytes: the message, its checksum, what COBS adds, and a zero at either end.
pub const MAX_FRAME: usize = MAX_MESSAGE + CHECKSUM + 1 + 2;
/// The most bytes of input in a [`Request::SetInput`].
pub const INPUT_CHUNK: usize = 224;
/// The most events, values or potentials in a part of an answer.
pub const CHUNK: usize = 32;
/// The most counts in a [`Response::Counts`].
pub const COUNTS: usize = 16;

const CHECKSUM: usize = 4;

/// Head of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// The host's number of the request; an answer repeats it.
    pub sequence: u16,
    /// Index of this part of the answer, from 0. Requests have one part, 0.
    pub part: u32,
}

/// Request of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Request<'a> {
    /// Asks who is there, and whether it has an image. Answer: [`Response::Hello`].
    Hello,
    /// Asks whether anybody is there. Answer: [`Response::Pong`].
    Ping {
        /// Number that the answer is to repeat.
        echo: u32,
    },
    /// A part of the input, of all inputs in the image's order, one after another. Answer:
    /// [`Response::Accepted`].
    SetInput {
        /// Start, in bytes.
        offset: u32,
        /// Chunk of at most [`INPUT_CHUNK`] bytes.
        bytes: &'a [u8],
    },
    /// A whole inference on the input, from rest, ending early if the image allows it. Answer:
    /// [`Response::Took`] for each step, [`Response::Counts`] and [`Response::Values`] for all ensembles
    /// and outputs, and what `watch` asks for, in between; then [`Response::Finished`].
    Infer {
        /// Further things to report.
        watch: Watch,
    },
    /// One step of an inference on the input. The steps before it are taken too, unless the last request
    /// took the one before. Answer: as for [`Infer`](Self::Infer), of this step alone.
    Step {
        /// Index, from 0.
        at: u16,
        /// Further things to report.
        watch: Watch,
    },
    /// The potentials as they are, less the threshold. Answer: [`Response::Potentials`].
    Potentials {
        /// Index of the ensemble.
        ensemble: u8,
        /// The first neuron.
        first: u32,
    },
    /// Asks for the depth of the stack. Answer: [`Response::Stack`].
    Stack,
    /// One step on the input from where the last one has left the network, as a stream takes it. Answer: as for
    /// [`Infer`](Self::Infer), of this step alone, which counts as step 0.
    Advance {
        /// `true` to begin at rest.
        from_rest: bool,
        /// Further things to report.
        watch: Watch,
    },
    /// Erases so many bytes of the slot that is not in use, for an image with its signature, if the device writes its own
    /// slots. Answer: [`Response::Accepted`], of nothing.
    Clear {
        /// Its length in bytes.
        length: u32,
    },
    /// Stores a piece of the image, each behind the one before. Answer: [`Response::Accepted`].
    Store {
        /// Start, in bytes.
        offset: u32,
        /// Piece of at most [`INPUT_CHUNK`] bytes.
        bytes: &'a [u8],
    },
    /// Checks the image that has been stored, and starts from it the next time. Answer: [`Response::Switched`].
    Switch {
        /// No model below this version may run from then on; what the device has stored is never lowered.
        minimum: u32,
    },
    /// Starts the device again, after the answer. Answer: [`Response::Pong`], of 0.
    Restart,
}

/// Report of an inference beside its outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Watch {
    /// No report, not even counts: steps take no longer than they must.
    Nothing,
    /// Events and spikes of each ensemble.
    #[default]
    Counts,
    /// Counts, and every event: [`Response::Spikes`].
    Spikes,
    /// Counts, and a hash of each ensemble and output after each step: [`Response::Hash`].
    Hashes,
}

/// Answer of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response<'a> {
    /// Identity of the device.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Sign of life.
    Pong {
        /// Number of the request.
        echo: u32,
    },
    /// A part of the input has been stored.
    Accepted {
        /// Start of the chunk.
        offset: u32,
        /// Its length in bytes.
        length: u32,
    },
    /// Some events of an ensemble in a step, in the order of its neurons.
    Spikes {
        /// Index of the step, from 0.
        step: u16,
        /// Index of the ensemble.
        ensemble: u8,
        /// The events.
        events: Vec<Event, CHUNK>,
    },
    /// Hash of what an ensemble or an output did and holds, in one number.
    Hash {
        /// Index of the step, from 0.
        step: u16,
        /// The ensembles in order, then the outputs.
        layer: u8,
        /// The hash.
        hash: u32,
    },
    /// Cost of a step.
    Took {
        /// Index of the step, from 0.
        step: u16,
        /// Ticks of the device's [`Clock`].
        ticks: u32,
    },
    /// Counts of some ensembles in the steps of the request.
    Counts {
        /// The first of them.
        first: u8,
        /// One for each.
        counts: Vec<Count, COUNTS>,
    },
    /// Some values of an output after the last step, as
    /// docs/image-format.md defines rescale(sum).
    Values {
        /// Index of the output.
        output: u8,
        /// The first value's place.
        first: u32,
        /// The values.
        values: Vec<i32, CHUNK>,
    },
    /// The end of an inference or a step.
    Finished {
        /// Steps since rest.
        steps: u16,
        /// Ticks to bring the network to rest and set the input; 0 if a step went on from another.
        set_up: u32,
    },
    /// Some potentials, less the threshold.
    Potentials {
        /// Index of the ensemble.
        ensemble: u8,
        /// The first neuron.
        first: u32,
        /// The potentials; empty behind the last.
        values: Vec<i32, CHUNK>,
    },
    /// Depth of the stack.
    Stack {
        /// Bytes that it may have.
        size: u32,
        /// The most bytes that it has had since the device started.
        high_water: u32,
    },
    /// The request cannot be met.
    Error(RequestError<'a>),
    /// The device starts from this slot the next time.
    Switched {
        /// The slot.
        slot: Slot,
    },
}

impl Response<'_> {
    /// Tells whether this is the last part of an answer.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        !matches!(
            self,
            Self::Spikes { .. }
                | Self::Hash { .. }
                | Self::Took { .. }
                | Self::Counts { .. }
                | Self::Values { .. }
        )
    }
}

/// Identity of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Hello<'a> {
    /// The [`PROTOCOL`] that it speaks.
    pub protocol: u16,
    /// The firmware's version.
    pub firmware: &'a str,
    /// The architecture that it is built for.
    pub architecture: &'a str,
    /// The kernels that it runs.
    pub kernels: &'a str,
    /// Its image.
    pub image: ImageState,
    /// Bytes of RAM that neither the firmware's variables, its stack, the arena nor the input take.
    pub free_ram: u32,
    /// Bytes of stack.
    pub stack: u32,
    /// Clock that counts its ticks.
    pub clock: Clock,
    /// Choice of its image.
    pub start: Start,
    /// The key that has to have signed its images, if it asks for one.
    pub key: Option<[u8; PUBLIC_KEY_LEN]>,
    /// The most ensembles of a network that it holds.
    pub ensembles: u16,
    /// The most connections of such a network.
    pub connections: u16,
}

/// State of a device's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ImageState {
    /// Runs it.
    Ready {
        /// The image's checksum.
        checksum: u32,
        /// The model's version.
        version: u32,
        /// Bytes of arena.
        arena: u32,
        /// Bytes of all inputs together.
        input: u32,
        /// Steps of an inference.
        steps: u16,
    },
    /// Refusal of its image: of two, the one that its journal names.
    Refused(Refusal),
}

/// Clock that counts a device's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Clock {
    /// The cycle counter of the core's DWT unit: a tick is a cycle.
    CycleCounter,
    /// The core's system timer at the core's clock: a tick is a cycle.
    SysTick,
    /// No clock: ticks are 0.
    None,
}

/// Data of an ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Count {
    /// Neurons that spiked, step by step.
    pub events: u32,
    /// Spikes of these events.
    pub spikes: u32,
}

/// Reason why a request cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RequestError<'a> {
    /// The frame is whole, but this firmware does not know the request.
    Unknown,
    /// No usable image: [`Hello::image`] says why.
    NoImage,
    /// The part of the input lies outside it.
    Outside {
        /// Bytes of all inputs together.
        size: u32,
    },
    /// The input has a byte that is above the largest that one of the network's inputs takes.
    Value {
        /// Index of the input.
        input: u8,
        /// The largest byte.
        max: u8,
        /// The byte.
        found: u8,
    },
    /// The inference has no such step.
    NoStep {
        /// The image's steps.
        steps: u16,
    },
    /// The network has no such ensemble.
    NoEnsemble {
        /// Number that it has.
        ensembles: u8,
    },
    /// The firmware has failed, and answers nothing else until it is reset.
    #[serde(borrow)]
    Fault(Fault<'a>),
    /// The image is not stored; what ran before still runs.
    Update(UpdateFault),
}

/// Reason why a device does not store an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UpdateFault {
    /// This firmware does not write its slots.
    NotHere,
    /// A slot has fewer bytes.
    TooLarge {
        /// Bytes of the slot.
        available: u32,
    },
    /// The piece does not follow the one before.
    Order {
        /// Start of the piece that is missing.
        expected: u32,
    },
    /// The flash has failed, or reads back something else.
    Flash,
    /// The version that is to be the least cannot be stored, or is below the one that is.
    Minimum,
    /// The device would not run the image.
    Refused(Refusal),
}

/// Failure of a firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault<'a> {
    /// Its code panicked.
    Panic {
        /// Source file.
        file: &'a str,
        /// Line in the source file.
        line: u32,
    },
    /// The core took a hard fault.
    HardFault {
        /// The address of the instruction.
        pc: u32,
        /// The address that it would have returned to.
        lr: u32,
    },
    /// The stack outgrew its place.
    StackOverflow {
        /// Stack pointer at that time.
        sp: u32,
    },
}

/// A message does not fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooLong;

impl core::fmt::Display for TooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "a message of more than {MAX_MESSAGE} bytes does not fit a frame"
        )
    }
}

impl core::error::Error for TooLong {}

/// Writes a message as a frame: the part of `frame` that it takes.
///
/// # Errors
/// [`TooLong`] if it is longer than [`MAX_MESSAGE`]. What the limits of this module allow never is.
pub fn encode<'f, M: Serialize>(
    head: Head,
    message: &M,
    frame: &'f mut [u8; MAX_FRAME],
) -> Result<&'f [u8], TooLong> {
    let mut plain = [0; MAX_MESSAGE + CHECKSUM];
    let room = plain.get_mut(..MAX_MESSAGE).ok_or(TooLong)?;
    let length = postcard::to_slice(&(head, message), room)
        .map_err(|_| TooLong)?
        .len();
    let (message, rest) = plain.split_at_mut_checked(length).ok_or(TooLong)?;
    let checksum = rest.first_chunk_mut().ok_or(TooLong)?;
    *checksum = Crc32::new().and(message).value().to_le_bytes();
    let plain = plain.get(..length + CHECKSUM).ok_or(TooLong)?;
    frame[0] = 0;
    let stuffed = frame.get_mut(1..).ok_or(TooLong)?;
    let length = cobs::try_encode(plain, stuffed).map_err(|_| TooLong)?;
    *frame.get_mut(1 + length).ok_or(TooLong)? = 0;
    frame.get(..length + 2).ok_or(TooLong)
}

/// A whole message, not yet read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its head.
    pub head: Head,
    message: &'a [u8],
}

/// A message in the bytes that a frame has; `None` if it is none of this type, as one of another version
/// of the protocol.
#[must_use]
pub fn read<'a, M: Deserialize<'a>>(message: &'a [u8]) -> Option<M> {
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}

impl<'a> Frame<'a> {
    /// The message's bytes, for [`read`].
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.message
    }

    /// The message, as [`read`] gives it.
    #[must_use]
    pub fn message<M: Deserialize<'a>>(&self) -> Option<M> {
        read(self.message)
    }

    /// The message, which may go on with what a later version has added. For a [`Hello`] of another
    /// version.
    #[must_use]
    pub fn beginning<M: Deserialize<'a>>(&self) -> Option<M> {
        Some(postcard::take_from_bytes(self.message).ok()?.0)
    }
}

/// Finds frames in a stream of bytes.
#[derive(Clone, Debug)]
pub struct Receiver {
    buffer: [u8; MAX_FRAME],
    length: usize,
    /// `true` if what arrives is longer than any frame.
    overrun: bool,
    damaged: u32,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A receiver that has seen nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffer: [0; MAX_FRAME],
            length: 0,
            overrun: false,
            damaged: 0,
        }
    }

    /// Runs of bytes between two zeros that were no frame.
    #[must_use]
    pub const fn damaged(&self) -> u32 {
        self.damaged
    }

    /// Takes bytes from the front of `bytes` up to the end of the next whole frame, or all of them.
    pub fn receive(&mut self, bytes: &mut &[u8]) -> Option<Frame<'_>> {
        let (head, range) = loop {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            if byte != 0 {
                match self.buffer.get_mut(self.length) {
                    Some(place) => {
                        *place = byte;
                        self.length += 1;
                    }
                    None => self.overrun = true,
                }
                continue;
            }
            let length = core::mem::take(&mut self.length);
            let overrun = core::mem::take(&mut self.overrun);
            if length == 0 {
                continue;
            }
            let stuffed = self.buffer.get_mut(..length).filter(|_| !overrun);
            match stuffed.and_then(unpack) {
                Some(found) => break found,
                None => self.damaged = self.damaged.wrapping_add(1),
            }
        };
        let message = self.buffer.get(range)?;
        Some(Frame { head, message })
    }
}

/// Undoes COBS in place and checks the checksum: the head, and where the message lies.
fn unpack(stuffed: &mut [u8]) -> Option<(Head, core::ops::Range<usize>)> {
    let length = unstuff(stuffed)?;
    let plain = stuffed.get(..length)?;
    let (body, checksum) = plain.split_last_chunk::<CHECKSUM>()?;
    if Crc32::new().and(body).value() != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (head, message) = postcard::take_from_bytes(body).ok()?;
    Some((head, body.len() - message.len()..body.len()))
}

/// Undoes COBS in place: the length of what was stuffed; `None` if the bytes are no COBS. The crate's
/// own decoder indexes the bytes in a way that the compiler cannot prove.
fn unstuff(bytes: &mut [u8]) -> Option<usize> {
    let (mut read, mut written) = (0, 0);
    while let Some(&code) = bytes.get(read) {
        let end = read + usize::from(code);
        for at in read + 1..end {
            let byte = *bytes.get(at).filter(|byte| **byte != 0)?;
            *bytes.get_mut(written)? = byte;
            written += 1;
        }
        // Every code but the largest stands for a zero, less the one that was added at the end.
        if code == 0 {
            return None;
        }
        if code < u8::MAX && end < bytes.len() {
            *bytes.get_mut(written)? = 0;
            written += 1;
        }
        read = end;
    }
    Some(written)
}

/// A 32-bit FNV-1a hash, for comparing what two machines did step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    /// Adds some bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }

    /// The hash of all that was added.
    #[must_use]
    pub const fn finish(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec::Vec as List;

    use super::*;
    use crate::accept::Journal;
    use crate::slots::Slot;

    fn framed<M: Serialize>(sequence: u16, message: &M) -> List<u8> {
        let head = Head { sequence, part: 0 };
        encode(head, message, &mut [0; MAX_FRAME]).unwrap().to_vec()
    }

    /// The sequence numbers of all whole frames in some bytes.
    fn heard(bytes: &[u8], piece: usize) -> (List<u16>, u32) {
        let mut receiver = Receiver::new();
        let mut found = List::new();
        for mut bytes in bytes.chunks(piece) {
            while let Some(frame) = receiver.receive(&mut bytes) {
                let _: Option<Request<'_>> = frame.message();
                let _: Option<Response<'_>> = frame.message();
                let _: Option<Hello<'_>> = frame.beginning();
                found.push(frame.head.sequence);
            }
        }
        (found, receiver.damaged())
    }

    fn watch() -> impl Strategy<Value = Watch> {
        prop_oneof![
            Just(Watch::Nothing),
            Just(Watch::Counts),
            Just(Watch::Spikes),
            Just(Watch::Hashes),
        ]
    }

    fn unframed(bytes: &[u8], check: impl FnOnce(Frame<'_>)) {
        let mut receiver = Receiver::new();
        check(receiver.receive(&mut &*bytes).unwrap());
    }

    proptest! {
        #[test]
        fn cobs_is_undone_as_its_crate_does(
            bytes in prop::collection::vec(1u8.., 1..600),
            plain in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..600),
        ) {
            let mut ours = bytes.clone();
            let mut theirs = bytes.clone();
            let length = unstuff(&mut ours);
            prop_assert_eq!(length, cobs::decode_in_place(&mut theirs).ok());
            let length = length.unwrap_or(0);
            prop_assert_eq!(&ours[..length], &theirs[..length]);

            let mut stuffed = [0; 700];
            let length = cobs::try_encode(&plain, &mut stuffed).unwrap();
            let stuffed = &mut stuffed[..length];
            prop_assert_eq!(unstuff(stuffed), Some(plain.len()));
            prop_assert_eq!(&stuffed[..plain.len()], &plain[..]);
        }

        #[test]
        fn requests_come_back(
            sequence: u16, at: u16, offset: u32, watch in watch(), echo: u32,
            bytes in proptest::collection::vec(any::<u8>(), 0..=INPUT_CHUNK),
        ) {
            for request in [
                Request::Hello,
                Request::Ping { echo },
                Request::SetInput { offset, bytes: &bytes },
                Request::Infer { watch },
                Request::Step { at, watch },
                Request::Potentials { ensemble: 255, first: offset },
                Request::Stack,
            ] {
                unframed(&framed(sequence, &request), |frame| {
                    assert_eq!(frame.head.sequence, sequence);
                    assert_eq!(frame.message(), Some(request));
                });
            }
        }

        #[test]
        fn garbage_is_passed_over(
            garbage in proptest::collection::vec(any::<u8>(), 0..600),
            sequences in proptest::collection::vec(any::<u16>(), 1..5),
            piece in 1usize..300,
        ) {
            let mut bytes = garbage.clone();
            for &sequence in &sequences {
                bytes.extend(framed(sequence, &Request::Ping { echo: 0 }));
            }
            let (found, _) = heard(&bytes, piece);
            prop_assert!(found.ends_with(&sequences), "{found:?}");
        }

        #[test]
        fn a_damaged_frame_is_dropped(
            bytes in proptest::collection::vec(any::<u8>(), 0..=INPUT_CHUNK),
            at: prop::sample::Index, flip in 1u8..,
        ) {
            let mut frame = framed(7, &Request::SetInput { offset: 0, bytes: &bytes });
            // The zeros at either end are not the frame's contents.
            let inside = 1 + at.index(frame.len() - 2);
            frame[inside] ^= flip;
            let (found, _) = heard(&frame, 1000);
            prop_assert_eq!(found, []);
        }
    }

    /// The longest of each message that the limits allow.
    #[test]
    fn what_the_limits_allow_fits() {
        let values: Vec<i32, CHUNK> = [i32::MIN; CHUNK].into();
        let event = Event {
            source: u16::MAX,
            value: i16::MIN,
        };
        let count = Count {
            events: u32::MAX,
            spikes: u32::MAX,
        };
        let (ensemble, first, step, output) = (u8::MAX, u32::MAX, u16::MAX, u8::MAX);
        let responses = [
            Response::Spikes {
                step,
                ensemble,
                events: [event; CHUNK].into(),
            },
            Response::Counts {
                first: ensemble,
                counts: [count; COUNTS].into(),
            },
            Response::Values {
                output,
                first,
                values: values.clone(),
            },
            Response::Potentials {
                ensemble,
                first,
                values,
            },
        ];
        for response in responses {
            let head = Head {
                sequence: u16::MAX,
                part: u32::MAX,
            };
            let mut frame = [0; MAX_FRAME];
            unframed(encode(head, &response, &mut frame).unwrap(), |frame| {
                assert_eq!(frame.head, head);
                assert_eq!(frame.message(), Some(response));
            });
        }
        let input = Request::SetInput {
            offset: u32::MAX,
            bytes: &[0; INPUT_CHUNK],
        };
        assert!(framed(u16::MAX, &input).len() <= MAX_FRAME);
        let mut frame = [0; MAX_FRAME];
        let head = Head {
            sequence: 0,
            part: 0,
        };
        assert_eq!(
            encode(head, &&[1u8; MAX_MESSAGE][..], &mut frame),
            Err(TooLong)
        );
    }

    #[test]
    fn a_refusal_travels_with_its_place() {
        let refused = Refusal::Image(crate::ImageError::Ensemble {
            index: 3,
            fault: crate::image::Fault::Section { offset: 0x1234 },
        });
        let hello = Hello {
            protocol: PROTOCOL,
            firmware: "0.1.0",
            architecture: "armv6-m",
            kernels: "portable",
            image: ImageState::Refused(refused),
            free_ram: u32::MAX,
            stack: u32::MAX,
            clock: Clock::SysTick,
            start: Start {
                journal: Journal::Whole,
                named: Slot::B,
                minimum: u32::MAX,
                running: None,
                refused: [Some(refused); 2],
            },
            key: Some([u8::MAX; PUBLIC_KEY_LEN]),
            ensembles: u16::MAX,
            connections: u16::MAX,
        };
        unframed(&framed(1, &Response::Hello(hello)), |frame| {
            assert_eq!(frame.message(), Some(Response::Hello(hello)));
        });
    }
}
