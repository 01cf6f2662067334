//! A device's side of the protocol in [`tinyspike_shared::wire`]: it answers what a host asks.
//!
//! [`Device`] holds all that this takes but the chip, which [`Board`] is: a firmware calls
//! [`poll`](Device::poll) for ever.

use bytemuck::cast_slice_mut;
use heapless::Vec;
use serde::Serialize;
use tinyspike_shared::accept::{Refusal, Start};
use tinyspike_shared::signature::PUBLIC_KEY_LEN;
use tinyspike_shared::slots::Slot;
use tinyspike_shared::wire::{
    self, CHUNK, COUNTS, Clock, Count, Fault, Frame, Head, Hello, ImageState, MAX_FRAME, PROTOCOL,
    Receiver, Request, RequestError, Response, UpdateFault, Watch,
};
use tinyspike_shared::{Event, Image};

use crate::engine::{Engine, InputError, Probe};
use crate::hashes::Hashes;
use crate::kernels::Native;
use crate::trace::split;

/// Services of the chip and the connection that a device needs.
pub trait Board {
    /// Bytes that have come from the host: how many of `bytes` they are, 0 if there are none.
    fn receive(&mut self, bytes: &mut [u8]) -> usize;

    /// Sends all of some bytes to the host.
    fn send(&mut self, bytes: &[u8]);

    /// Clock that counts the ticks.
    fn clock(&self) -> Clock;

    /// A time in ticks, which counts up and wraps around.
    fn ticks(&self) -> u32;

    /// Bytes of stack that there are.
    fn stack(&self) -> u32;

    /// The most bytes of stack that have been in use.
    fn stack_high_water(&self) -> u32;

    /// The place to feed a watchdog: called before each request is looked for, and before each step. A step takes as
    /// long as the image says, so its time bounds that of the watchdog.
    fn alive(&mut self) {}

    /// The slots that the device writes itself, if it does.
    fn slots(&mut self) -> Option<&mut dyn Slots> {
        None
    }

    /// Starts the device again, if it can.
    fn restart(&mut self) {}

    /// The place to sleep until an interrupt: called if nothing has come from the host. Not every debug port reaches
    /// the RAM of a core that sleeps.
    fn idle(&mut self) {}
}

/// Slots that a device writes itself: [`Updater`](crate::update::Updater) does it on any flash.
pub trait Slots {
    /// Erases so many bytes of the slot that is not in use.
    ///
    /// # Errors
    /// [`UpdateFault`].
    fn clear(&mut self, length: u32) -> Result<(), UpdateFault>;

    /// Stores a piece of the image, behind the one before. A piece that has come before is ignored.
    ///
    /// # Errors
    /// [`UpdateFault`].
    fn store(&mut self, offset: u32, bytes: &[u8]) -> Result<(), UpdateFault>;

    /// Checks what has been stored, and starts from it the next time.
    ///
    /// # Errors
    /// [`UpdateFault`].
    fn switch(&mut self, minimum: u32) -> Result<Slot, UpdateFault>;
}

/// Does what a request asks of the device's slots.
fn change<'r>(
    slots: Option<&mut dyn Slots>,
    request: &Request<'_>,
) -> Result<Response<'r>, UpdateFault> {
    let slots = slots.ok_or(UpdateFault::NotHere)?;
    Ok(match *request {
        Request::Clear { length } => {
            slots.clear(length)?;
            Response::Accepted {
                offset: 0,
                length: 0,
            }
        }
        Request::Store { offset, bytes } => {
            slots.store(offset, bytes)?;
            let length = bytes.len() as u32;
            Response::Accepted { offset, length }
        }
        Request::Switch { minimum } => Response::Switched {
            slot: slots.switch(minimum)?,
        },
        _ => return Err(UpdateFault::NotHere),
    })
}

/// Origin of a firmware.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Its version.
    pub version: &'static str,
    /// The architecture that it is built for.
    pub architecture: &'static str,
    /// The key that has to have signed its images, if it asks for one.
    pub key: Option<&'static [u8; PUBLIC_KEY_LEN]>,
}

/// A device with its image, or without one that it could run.
#[derive(Debug)]
pub struct Device<'a, const E: usize, const C: usize> {
    build: Build,
    receiver: Receiver,
    network: Option<Network<'a, E, C>>,
    state: ImageState,
    start: Start,
    free: u32,
}

/// Bytes of RAM that an image needs, for its arena and its input.
#[must_use]
pub fn needed<const E: usize, const C: usize>(image: &Image<'_, E, C>) -> u32 {
    let inputs = image.description().inputs.iter();
    inputs.fold(image.header().arena_bytes, |sum, i| {
        sum.saturating_add(i.size)
    })
}

impl<'a, const E: usize, const C: usize> Device<'a, E, C> {
    /// A device that runs an image, or says why it does not, and how it chose that image. The arena and the
    /// input are cut from `memory`.
    pub fn new(
        build: Build,
        image: Result<&'a Image<'a, E, C>, Refusal>,
        start: Start,
        memory: &'a mut [u32],
    ) -> Self {
        let given = size_of_val(memory) as u32;
        let (network, state, free) = match image {
            Err(reason) => (None, ImageState::Refused(reason), given),
            Ok(image) => match Network::new(image, memory) {
                Ok((network, free)) => {
                    let state = ImageState::Ready {
                        checksum: image.header().checksum,
                        version: image.header().model_version,
                        arena: image.header().arena_bytes,
                        input: network.input.len() as u32,
                        steps: image.description().steps,
                    };
                    (Some(network), state, free)
                }
                Err(needed) => {
                    let refused = ImageState::Refused(Refusal::NoRoom { needed, given });
                    (None, refused, given)
                }
            },
        };
        Self {
            build,
            receiver: Receiver::new(),
            network,
            state,
            start,
            free,
        }
    }

    /// State of its image.
    #[must_use]
    pub const fn image(&self) -> &ImageState {
        &self.state
    }

    /// Answers what has come from the host. It never waits for the host but to take what is sent.
    pub fn poll(&mut self, board: &mut impl Board) {
        board.alive();
        let mut received = [0; 64];
        let count = board.receive(&mut received);
        if count == 0 {
            board.idle();
        }
        let mut bytes = received.get(..count).unwrap_or(&[]);
        while let Some(frame) = self.receiver.receive(&mut bytes) {
            let mut answer = Answer::to(&frame, board);
            let Some(request) = frame.message() else {
                answer.send(&Response::Error(RequestError::Unknown));
                continue;
            };
            let restarts = matches!(request, Request::Restart);
            let last = match request {
                Request::Hello => Response::Hello(Hello {
                    protocol: PROTOCOL,
                    firmware: self.build.version,
                    architecture: self.build.architecture,
                    kernels: kernels(),
                    image: self.state,
                    free_ram: self.free,
                    stack: answer.board.stack(),
                    clock: answer.board.clock(),
                    start: self.start,
                    key: self.build.key.copied(),
                    ensembles: E as u16,
                    connections: C as u16,
                }),
                Request::Ping { echo } => Response::Pong { echo },
                Request::Stack => Response::Stack {
                    size: answer.board.stack(),
                    high_water: answer.board.stack_high_water(),
                },
                Request::Restart => Response::Pong { echo: 0 },
                Request::Clear { .. } | Request::Store { .. } | Request::Switch { .. } => {
                    change(answer.board.slots(), &request)
                        .unwrap_or_else(|fault| Response::Error(RequestError::Update(fault)))
                }
                on_network => match &mut self.network {
                    None => Response::Error(RequestError::NoImage),
                    Some(network) => network
                        .answer(on_network, &mut answer)
                        .unwrap_or_else(Response::Error),
                },
            };
            answer.send(&last);
            if restarts {
                answer.board.restart();
            }
        }
    }
}

/// Answers everything with a fault, for a firmware that can do nothing else any more.
pub fn answer_with_fault(fault: Fault<'_>, board: &mut impl Board) -> ! {
    let mut receiver = Receiver::new();
    loop {
        let mut received = [0; 64];
        let count = board.receive(&mut received);
        let mut bytes = received.get(..count).unwrap_or(&[]);
        while let Some(frame) = receiver.receive(&mut bytes) {
            Answer::to(&frame, board).send(&Response::Error(RequestError::Fault(fault)));
        }
    }
}

/// The parts of an answer, one after another.
struct Answer<'b, B> {
    head: Head,
    board: &'b mut B,
}

impl<'b, B: Board> Answer<'b, B> {
    fn to(frame: &Frame<'_>, board: &'b mut B) -> Self {
        let sequence = frame.head.sequence;
        let head = Head { sequence, part: 0 };
        Self { head, board }
    }

    fn send(&mut self, part: &impl Serialize) {
        let mut frame = [0; MAX_FRAME];
        // What is too long for a frame would be missing on the other side; the limits exclude it.
        if let Ok(bytes) = wire::encode(self.head, part, &mut frame) {
            self.board.send(bytes);
        }
        self.head.part = self.head.part.wrapping_add(1);
    }
}

/// A network at work on one input.
#[derive(Debug)]
struct Network<'a, const E: usize, const C: usize> {
    image: &'a Image<'a, E, C>,
    engine: Engine<'a, Native, E, C>,
    /// All inputs, one after another.
    input: &'a mut [u8],
    /// Steps that the engine has taken on this input; `None` if it has not been set.
    taken: Option<u16>,
}

impl<'a, const E: usize, const C: usize> Network<'a, E, C> {
    /// A network, and the bytes of memory that are left; or the bytes that it needs.
    fn new(image: &'a Image<'a, E, C>, memory: &'a mut [u32]) -> Result<(Self, u32), u32> {
        let needed = needed(image);
        let input = needed.saturating_sub(image.header().arena_bytes);
        let (arena, rest) = memory
            .split_at_mut_checked(image.arena_bytes() / 4)
            .ok_or(needed)?;
        let (input, free) = cast_slice_mut::<u32, u8>(rest)
            .split_at_mut_checked(input as usize)
            .ok_or(needed)?;
        let network = Self {
            image,
            engine: Engine::new(image, arena).map_err(|_| needed)?,
            input,
            taken: None,
        };
        Ok((network, free.len() as u32))
    }

    /// Does what a request asks for, and sends all parts of the answer but the last, which it returns.
    fn answer<'r>(
        &mut self,
        request: Request<'_>,
        answer: &mut Answer<'_, impl Board>,
    ) -> Result<Response<'r>, RequestError<'r>> {
        match request {
            Request::SetInput { offset, bytes } => self.store(offset, bytes),
            Request::Infer { watch } => {
                let set_up = self.set_up(true, answer)?;
                let mut watcher = Watcher::new(watch);
                while let Some(ticks) = self.step(&mut watcher, answer) {
                    self.tell(&watcher, ticks, answer);
                    // Of a stream this is a step.
                    if self.engine.decided() || self.image.description().steps == 0 {
                        break;
                    }
                }
                Ok(self.finish(&watcher, set_up, answer))
            }
            Request::Step { at, watch } => {
                let steps = self.image.description().steps;
                if at >= steps {
                    return Err(RequestError::NoStep { steps });
                }
                let mut set_up = 0;
                if self.taken != Some(at) {
                    set_up = self.set_up(true, answer)?;
                    let mut quiet = Watcher::new(Watch::Nothing);
                    while self.taken < Some(at) && self.step(&mut quiet, answer).is_some() {}
                }
                Ok(self.take_step(watch, set_up, answer))
            }
            Request::Advance { from_rest, watch } => {
                let set_up = self.set_up(from_rest, answer)?;
                Ok(self.take_step(watch, set_up, answer))
            }
            Request::Potentials { ensemble, first } => {
                let ensembles = self.image.description().ensembles.len();
                if usize::from(ensemble) >= ensembles {
                    let ensembles = ensembles as u8;
                    return Err(RequestError::NoEnsemble { ensembles });
                }
                let neuron = |n| self.engine.potential(usize::from(ensemble), n);
                let values = filled((first as usize..).map_while(neuron));
                Ok(Response::Potentials {
                    ensemble,
                    first,
                    values,
                })
            }
            Request::Hello
            | Request::Ping { .. }
            | Request::Stack
            | Request::Clear { .. }
            | Request::Store { .. }
            | Request::Switch { .. }
            | Request::Restart => Err(RequestError::Unknown),
        }
    }

    fn store<'r>(&mut self, offset: u32, bytes: &[u8]) -> Result<Response<'r>, RequestError<'r>> {
        let size = self.input.len() as u32;
        let start = offset as usize;
        start
            .checked_add(bytes.len())
            .and_then(|end| self.input.get_mut(start..end))
            .ok_or(RequestError::Outside { size })?
            .copy_from_slice(bytes);
        self.taken = None;
        let length = bytes.len() as u32;
        Ok(Response::Accepted { offset, length })
    }

    /// Brings the network to rest if that is asked for, and sets its input: the ticks that it took.
    fn set_up<'r>(
        &mut self,
        from_rest: bool,
        answer: &Answer<'_, impl Board>,
    ) -> Result<u32, RequestError<'r>> {
        let inputs = split(&self.image.description().inputs, self.input);
        let start = answer.board.ticks();
        if from_rest {
            self.engine.reset();
        }
        let set = self.engine.set_inputs(&inputs);
        let ticks = answer.board.ticks().wrapping_sub(start);
        self.taken = None;
        set.map_err(|e| match e {
            InputError::Range { input, max, found } => RequestError::Value {
                input: input as u8,
                max,
                found,
            },
            // The input is as long as the network's.
            InputError::Count { .. }
            | InputError::Length { .. }
            | InputError::Place { .. }
            | InputError::Held { .. } => RequestError::Outside {
                size: self.input.len() as u32,
            },
        })?;
        self.taken = Some(0);
        Ok(ticks)
    }

    /// Takes one step, if there is one to take, and tells of it; returns what ends the answer.
    fn take_step<'r>(
        &mut self,
        watch: Watch,
        set_up: u32,
        answer: &mut Answer<'_, impl Board>,
    ) -> Response<'r> {
        let mut watcher = Watcher::new(watch);
        if let Some(ticks) = self.step(&mut watcher, answer) {
            self.tell(&watcher, ticks, answer);
        }
        self.finish(&watcher, set_up, answer)
    }

    /// Takes a step, if there is one to take: its ticks.
    fn step(
        &mut self,
        watcher: &mut Watcher<E>,
        answer: &mut Answer<'_, impl Board>,
    ) -> Option<u32> {
        let step = self.taken?;
        watcher.hashes = Hashes::new();
        answer.board.alive();
        let start = answer.board.ticks();
        let stepped = self.engine.step_probed(&mut Watching {
            step,
            watcher,
            answer,
        });
        let ticks = answer.board.ticks().wrapping_sub(start);
        self.taken = Some(step.saturating_add(u16::from(stepped)));
        stepped.then_some(ticks)
    }

    /// Tells of the step that has just been taken.
    fn tell(&self, watcher: &Watcher<E>, ticks: u32, answer: &mut Answer<'_, impl Board>) {
        let step = self.taken.unwrap_or(0).saturating_sub(1);
        answer.send(&Response::Took { step, ticks });
        if watcher.watch == Watch::Hashes {
            let hashes = watcher.hashes.layers(self.image, &self.engine, step);
            for (layer, hash) in (0..).zip(hashes) {
                answer.send(&Response::Hash { step, layer, hash });
            }
        }
    }

    /// Tells of counts and outputs, and what ends the answer.
    fn finish<'r>(
        &self,
        watcher: &Watcher<E>,
        set_up: u32,
        answer: &mut Answer<'_, impl Board>,
    ) -> Response<'r> {
        let network = self.image.description();
        let counts = watcher.counts.get(..network.ensembles.len()).unwrap_or(&[]);
        if watcher.watch != Watch::Nothing {
            for (first, counts) in (0..).step_by(COUNTS).zip(counts.chunks(COUNTS)) {
                let counts = filled(counts.iter().copied());
                answer.send(&Response::Counts { first, counts });
            }
        }
        for output in 0..network.outputs.len() {
            let mut all = self.engine.output(output).values();
            let mut first = 0;
            loop {
                let values: Vec<i32, CHUNK> = filled(all.by_ref());
                if values.is_empty() {
                    break;
                }
                let next = first + values.len() as u32;
                answer.send(&Response::Values {
                    output: output as u8,
                    first,
                    values,
                });
                first = next;
            }
        }
        let steps = self.taken.unwrap_or(0);
        #[cfg(feature = "defmt")]
        defmt::info!(
            "{=u16} steps, class {=usize}",
            steps,
            self.engine.output(0).class()
        );
        Response::Finished { steps, set_up }
    }
}

/// Record of an inference's spikes.
struct Watcher<const E: usize> {
    watch: Watch,
    /// Counts of each ensemble, over all steps.
    counts: [Count; E],
    /// Hashes of this step.
    hashes: Hashes<E>,
}

impl<const E: usize> Watcher<E> {
    fn new(watch: Watch) -> Self {
        Self {
            watch,
            counts: [Count::default(); E],
            hashes: Hashes::new(),
        }
    }
}

struct Watching<'s, 'b, B, const E: usize> {
    step: u16,
    watcher: &'s mut Watcher<E>,
    answer: &'s mut Answer<'b, B>,
}

impl<B: Board, const E: usize> Probe for Watching<'_, '_, B, E> {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        if self.watcher.watch == Watch::Nothing {
            return;
        }
        if let Some(count) = self.watcher.counts.get_mut(ensemble) {
            count.events = count.events.saturating_add(events.len() as u32);
            for event in events {
                let spikes = u32::from(event.value.unsigned_abs());
                count.spikes = count.spikes.saturating_add(spikes);
            }
        }
        match self.watcher.watch {
            Watch::Nothing | Watch::Counts => {}
            Watch::Hashes => self.watcher.hashes.spikes(ensemble, events),
            Watch::Spikes => {
                for events in events.chunks(CHUNK) {
                    self.answer.send(&Response::Spikes {
                        step: self.step,
                        ensemble: ensemble as u8,
                        events: filled(events.iter().copied()),
                    });
                }
            }
        }
    }
}

/// The first elements, as many as there is room for. `collect` would panic on one more.
fn filled<T, const N: usize>(elements: impl Iterator<Item = T>) -> Vec<T, N> {
    let mut all = Vec::new();
    for element in elements.take(N) {
        // There is room for so many.
        let _ = all.push(element);
    }
    all
}

/// The name of the kernels that this is built with.
fn kernels() -> &'static str {
    let path = core::any::type_name::<Native>();
    // Byte by byte: a search for text would bring the tables of Unicode along.
    let end = path.as_bytes().iter().rposition(|&b| b == b':');
    path.get(end.map_or(0, |colon| colon + 1)..).unwrap_or(path)
}
