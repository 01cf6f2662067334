//! The two ends of the protocol between host and device, each with a partner that says anything.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use serde::ser::SerializeTuple as _;
use serde::{Serialize, Serializer};
use tinyspike::assemble::{AlignedBytes, Image, MAX_CONNECTIONS, MAX_ENSEMBLES, aligned_copy};
use tinyspike::device::session::{Link, Lost, Patience, Session};
use tinyspike_firmware::serve::{Board, Build, Device, Slots};
use tinyspike_firmware::update::Updater;
use tinyspike_shared::accept::{Refusal, Start};
use tinyspike_shared::slots::{Flash, Slot, SlotLayout};
use tinyspike_shared::wire::{
    self, Clock, Head, INPUT_CHUNK, MAX_FRAME, Receiver, Request, Response, UpdateFault, Watch,
};
use tinyspike_tests::flash::{SharedFlash, Silicon, SimulatedFlash};

use crate::seeds::SeedError;
use crate::{Outcome, seeds};

/// Bytes that are a message as they are.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for byte in self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

/// The length that stands for a false head of the next message: a sequence number and the number of a part.
const LIE: u8 = 254;

/// Bytes that travel: each message has its length before it; messages of length 255 are 16 bytes that are no
/// frame.
fn stream(mut bytes: &[u8], mut head: impl FnMut() -> Head) -> Vec<u8> {
    let mut all = Vec::new();
    let mut lie = None;
    while let Some((&length, rest)) = bytes.split_first() {
        if length == LIE
            && let Some((&[sequence, part @ ..], tail)) = rest.split_first_chunk::<5>()
        {
            lie = Some(Head {
                sequence: sequence.into(),
                part: u32::from_le_bytes(part),
            });
            bytes = tail;
            continue;
        }
        let (message, tail) = match length {
            u8::MAX => rest.split_at(rest.len().min(16)),
            _ => rest.split_at(rest.len().min(length.into())),
        };
        bytes = tail;
        let mut frame = [0; MAX_FRAME];
        match wire::encode(
            lie.take().unwrap_or_else(&mut head),
            &Raw(message),
            &mut frame,
        ) {
            Ok(frame) if length < u8::MAX => all.extend_from_slice(frame),
            _ => all.extend_from_slice(message),
        }
    }
    all
}

/// Messages as [`stream`] reads them.
fn messages<M: Serialize>(messages: &[M]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        if let Ok(message) = postcard::to_allocvec(message) {
            bytes.push(message.len() as u8);
            bytes.extend(message);
        }
    }
    bytes
}

/// A chip that hears a stream and keeps what is said.
struct Chip<'a> {
    heard: VecDeque<u8>,
    said: Vec<u8>,
    slots: &'a mut dyn Slots,
}

/// Two slots of a device that runs the small image from the first.
struct Store {
    flash: SharedFlash,
    layout: SlotLayout,
}

impl Store {
    const SECTOR: u32 = 1024;

    fn new() -> Self {
        let slot = (IMAGE.len() as u32).next_multiple_of(Self::SECTOR);
        let journal = 2 * slot;
        let layout = SlotLayout {
            slots: [0..slot, slot..journal],
            state: [
                journal..journal + Self::SECTOR,
                journal + Self::SECTOR..journal + 2 * Self::SECTOR,
            ],
            write_size: 8,
        };
        let mut flash = SimulatedFlash::new(&layout, Self::SECTOR, Silicon::plain(0xff));
        flash.write(0, &IMAGE).unwrap_or_else(|e| panic!("{e:?}"));
        Self {
            flash: SharedFlash::new(flash),
            layout,
        }
    }

    fn bytes(&self, slot: Slot) -> Vec<u8> {
        self.flash.flash().bytes(self.layout.slot(slot)).to_vec()
    }

    /// Tells why the image in a slot may not run.
    fn accept(&self, slot: Slot, minimum: u32) -> Result<(), Refusal> {
        let checked =
            (self.flash).accept::<MAX_ENSEMBLES, MAX_CONNECTIONS>(&self.layout, slot, minimum);
        checked.map(|_| ())
    }
}

/// Slots that never switch to an image which may not run.
struct Checked<'a> {
    slots: &'a mut dyn Slots,
    store: &'a Store,
}

impl Slots for Checked<'_> {
    fn clear(&mut self, length: u32) -> Result<(), UpdateFault> {
        self.slots.clear(length)
    }

    fn store(&mut self, offset: u32, bytes: &[u8]) -> Result<(), UpdateFault> {
        self.slots.store(offset, bytes)
    }

    fn switch(&mut self, minimum: u32) -> Result<Slot, UpdateFault> {
        let slot = self.slots.switch(minimum)?;
        assert!(self.store.accept(slot, minimum).is_ok(), "it may not run");
        Ok(slot)
    }
}

impl Board for Chip<'_> {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.heard.len());
        for (place, byte) in bytes.iter_mut().zip(self.heard.drain(..count)) {
            *place = byte;
        }
        count
    }

    fn send(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
    }

    fn clock(&self) -> Clock {
        Clock::CycleCounter
    }

    fn ticks(&self) -> u32 {
        0
    }

    fn stack(&self) -> u32 {
        4096
    }

    fn stack_high_water(&self) -> u32 {
        1024
    }

    fn slots(&mut self) -> Option<&mut dyn Slots> {
        Some(self.slots)
    }
}

/// A small image for the device.
static IMAGE: LazyLock<AlignedBytes> = LazyLock::new(|| {
    let images = seeds::images().unwrap_or_else(|e| panic!("{e}"));
    let small = images.iter().find(|image| {
        let bytes = aligned_copy(image);
        Image::parse(&bytes).is_ok_and(|image| {
            image.description().steps > 1 && image.description().ensembles.len() > 1
        })
    });
    aligned_copy(small.map_or(&[], Vec::as_slice))
});

/// A device whose host says anything. Whatever that is, the running image stays, and none is switched to that may not run.
pub(crate) fn device(bytes: &[u8]) -> Outcome {
    let store = Store::new();
    let running = store.bytes(Slot::A);
    let accept = |slot, minimum| store.accept(slot, minimum);
    let slots = Updater::new(&store.layout, store.flash.clone(), Slot::A, accept);
    let mut slots = slots.unwrap_or_else(|e| panic!("{e:?}"));
    let image = Image::parse(&IMAGE).unwrap_or_else(|e| panic!("{e}"));
    let mut memory = vec![0; 1 << 16];
    let build = Build {
        version: "0",
        architecture: "host",
        key: None,
    };
    let mut device = Device::new(build, Ok(&image), Start::single(None), &mut memory);
    let mut sequence = 0;
    let heard = stream(bytes, || {
        sequence += 1;
        Head { sequence, part: 0 }
    });
    let mut chip = Chip {
        heard: heard.into(),
        said: Vec::new(),
        slots: &mut Checked {
            slots: &mut slots,
            store: &store,
        },
    };
    while !chip.heard.is_empty() {
        device.poll(&mut chip);
    }
    let mut receiver = Receiver::new();
    let mut said = &chip.said[..];
    let mut outcome = Outcome::Refused;
    while let Some(frame) = receiver.receive(&mut said) {
        let response: Option<Response<'_>> = frame.message();
        match response.unwrap_or_else(|| panic!("a device says what a host reads")) {
            Response::Error(_) => {}
            _ => outcome = Outcome::Accepted,
        }
    }
    assert_eq!(receiver.damaged(), 0);
    assert!(
        store.bytes(Slot::A) == running,
        "the running image has changed"
    );
    outcome
}

/// Requests of every kind.
pub(crate) fn requests() -> Result<Vec<Vec<u8>>, SeedError> {
    let input = [7; 200];
    let set = Request::SetInput {
        offset: 0,
        bytes: &input,
    };
    let (echo, ensemble, first) = (5, 0, 0);
    let length = IMAGE.len() as u32;
    let pieces = IMAGE.chunks(INPUT_CHUNK).zip((0..).step_by(INPUT_CHUNK));
    let pieces = pieces.map(|(bytes, offset)| Request::Store { offset, bytes });
    let update: Vec<Request<'_>> = [Request::Clear { length }]
        .into_iter()
        .chain(pieces)
        .chain([Request::Switch { minimum: 0 }, Request::Restart])
        .collect();
    Ok([
        messages(&update),
        messages(&[
            set,
            Request::Advance {
                from_rest: true,
                watch: Watch::Spikes,
            },
            Request::Advance {
                from_rest: false,
                watch: Watch::Hashes,
            },
        ]),
        messages(&[Request::Hello, Request::Ping { echo }, Request::Stack]),
        messages(&[
            set,
            Request::Infer {
                watch: Watch::Nothing,
            },
        ]),
        messages(&[
            set,
            Request::Infer {
                watch: Watch::Hashes,
            },
        ]),
        messages(&[
            set,
            Request::Step {
                at: 0,
                watch: Watch::Spikes,
            },
            Request::Step {
                at: 1,
                watch: Watch::Counts,
            },
        ]),
        messages(&[Request::Potentials { ensemble, first }]),
    ]
    .into())
}

/// A connection over which a stream comes, until it is lost, or again and again.
struct Says {
    stream: Vec<u8>,
    at: usize,
    endless: bool,
    /// Bytes that the host has taken.
    heard: usize,
}

/// The most bytes that a host takes of a short stream that repeats itself.
const PATIENCE: usize = 64 << 20;

impl Link for Says {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        Ok(bytes.len())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        if self.at == self.stream.len() && self.endless {
            self.at = 0;
        }
        let rest = self.stream.get(self.at..).unwrap_or(&[]);
        if rest.is_empty() {
            return Err(Lost("all is said".into()));
        }
        let count = bytes.len().min(rest.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        (self.at, self.heard) = (self.at + count, self.heard + count);
        assert!(self.heard < PATIENCE, "a host that listens for ever");
        Ok(count)
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        Ok(None)
    }
}

/// A host whose device says anything. The first byte chooses what the host asks, and whether the device goes on for ever.
pub(crate) fn session(bytes: &[u8]) -> Outcome {
    let Some((question, bytes)) = bytes.split_first() else {
        return Outcome::Refused;
    };
    let mut part = 0;
    let said = stream(bytes, || {
        part += 1;
        Head {
            sequence: 1,
            part: part - 1,
        }
    });
    let endless = *question >= ENDLESS;
    // Whoever says nothing that is an answer is given up after this.
    let patience = match endless {
        true => Duration::from_millis(20),
        false => Duration::from_secs(5),
    };
    let patience = Patience {
        silence: patience,
        repeat: patience / 2,
    };
    let says = Says {
        stream: said,
        at: 0,
        endless,
        heard: 0,
    };
    let mut session = Session::new(says, 0, patience);
    let answered = match question % 12 {
        0 => session.hello().is_ok(),
        1 => session.ping().is_ok(),
        2 => session.stack().is_ok(),
        3 => session.infer(Watch::Spikes, Duration::ZERO).is_ok(),
        4 => session.step(1, Watch::Hashes, Duration::ZERO).is_ok(),
        5 => session.potentials(0).is_ok(),
        6 => (session.advance(true, Watch::Spikes, Duration::ZERO)).is_ok(),
        7 => session.set_input(&[7; 100]).is_ok(),
        8 => session.clear(5000, Duration::ZERO).is_ok(),
        9 => session.store(0, &[7; 100]).is_ok(),
        10 => session.switch(3, Duration::ZERO).is_ok(),
        _ => session.restart().is_ok(),
    };
    match answered {
        true => Outcome::Accepted,
        false => Outcome::Refused,
    }
}

/// The first question of a device that repeats its answer for ever; a multiple of 12.
const ENDLESS: u8 = 240;

/// Answers of a device to each question.
pub(crate) fn answers() -> Result<Vec<Vec<u8>>, SeedError> {
    let image = Image::parse(&IMAGE).unwrap_or_else(|e| panic!("{e}"));
    let requests = [
        Request::Hello,
        Request::Ping { echo: 0x0001_5aa5 },
        Request::Stack,
        Request::Infer {
            watch: Watch::Spikes,
        },
        Request::Step {
            at: 1,
            watch: Watch::Hashes,
        },
        Request::Potentials {
            ensemble: 0,
            first: 0,
        },
        Request::Advance {
            from_rest: true,
            watch: Watch::Spikes,
        },
        Request::SetInput {
            offset: 0,
            bytes: &[7; 100],
        },
        Request::Clear { length: 100 },
        Request::Store {
            offset: 0,
            bytes: &[7; 100],
        },
        Request::Switch { minimum: 3 },
        Request::Restart,
    ];
    let store = Store::new();
    let accept = |slot, minimum| store.accept(slot, minimum);
    let slots = Updater::new(&store.layout, store.flash.clone(), Slot::A, accept);
    let mut slots = slots.unwrap_or_else(|e| panic!("{e:?}"));
    let mut answers = Vec::new();
    for (question, request) in (0u8..).zip(requests) {
        let mut memory = vec![0; 1 << 16];
        let build = Build {
            version: "0",
            architecture: "host",
            key: None,
        };
        let mut device = Device::new(build, Ok(&image), Start::single(None), &mut memory);
        let mut chip = Chip {
            heard: stream(&messages(&[request]), || Head {
                sequence: 1,
                part: 0,
            })
            .into(),
            said: Vec::new(),
            slots: &mut slots,
        };
        while !chip.heard.is_empty() {
            device.poll(&mut chip);
        }
        let mut answer = vec![question];
        let (mut receiver, mut said) = (Receiver::new(), &chip.said[..]);
        while let Some(frame) = receiver.receive(&mut said) {
            answer.push(frame.bytes().len() as u8);
            answer.extend_from_slice(frame.bytes());
        }
        // The same without an end, and with numbers of parts that lie.
        let mut endless = answer.clone();
        endless[0] += ENDLESS;
        let mut lies = vec![question];
        for part in [0, 1, 65_536, u32::MAX] {
            lies.extend([LIE, 1]);
            lies.extend(part.to_le_bytes());
            lies.extend(&answer[1..]);
        }
        answers.extend([answer, endless, lies]);
    }
    Ok(answers)
}
