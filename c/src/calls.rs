//! The calls of C. `include/tinyspike.h` is made of their comments, which speak to C.

use core::ffi::{c_char, c_void};
use core::{ptr, slice};

use tinyspike_firmware::{Engine, Image, Native, Probe};
use tinyspike_shared::image::Header;
use tinyspike_shared::wire::Fnv;

pub use crate::callback::{Event, Spikes};
use crate::memory::{self, Piece};
use crate::size::{CONNECTIONS, ENSEMBLES};
pub use crate::state::State;
use crate::state::{BUSY, OPEN, ParsedImage};
pub use crate::status::Status;

type CEngine<'a> = Engine<'a, Native, ENSEMBLES, CONNECTIONS>;

/// Shows spikes to a callback.
struct Watcher {
    spikes: Spikes,
    context: *mut c_void,
}

impl Probe for Watcher {
    fn spikes(&mut self, ensemble: usize, events: &[tinyspike_firmware::Event]) {
        if let Some(spikes) = self.spikes {
            // SAFETY: who set the callback has promised that it takes such events; both types have the same two fields.
            unsafe {
                spikes(self.context, ensemble, events.as_ptr().cast(), events.len());
            }
        }
    }
}

/// Tells the status of a call.
fn status(result: Result<(), Status>) -> Status {
    match result {
        Ok(()) => Status::Ok,
        Err(status) => status,
    }
}

/// Checks that a state is open and at rest.
///
/// # Safety
/// A pointer that is not NULL leads to memory of a state.
unsafe fn opened(state: *const State) -> Result<*const State, Status> {
    let state = memory::one(state)?;
    // SAFETY: the pointer is aligned, and the memory is there.
    match unsafe { (&raw const (*state).mark).read() } {
        OPEN => Ok(state),
        BUSY => Err(Status::Busy),
        _ => Err(Status::NotOpen),
    }
}

/// The image of an open state.
///
/// # Safety
/// As [`opened`], and the state stays open meanwhile.
unsafe fn image<'a>(state: *const State) -> Result<&'a ParsedImage, Status> {
    // SAFETY: the caller's promise.
    let state = unsafe { opened(state)? };
    // SAFETY: an open state has an image, and only `ts_open` writes to it.
    Ok(unsafe { (*state).image.assume_init_ref() })
}

/// The arena of an open state.
///
/// # Safety
/// As [`opened`].
unsafe fn arena(state: *const State) -> Result<Piece, Status> {
    // SAFETY: the caller's promise.
    let state = unsafe { opened(state)? };
    // SAFETY: the fields of an open state have been written.
    let (arena, words) = unsafe { ((*state).arena, (*state).words) };
    Ok(Piece::of(arena, words))
}

/// Work of a call on an engine. It is handed over as a value, so that the code around it is there once.
type Work<'w> = &'w mut dyn FnMut(&mut CEngine<'_>, &mut Watcher) -> Result<(), Status>;

/// Puts an engine together, lets `work` have it, and takes it apart. Meanwhile the state is busy. The arena and what `work` reads or
/// writes must not overlap.
///
/// # Safety
/// As [`opened`]; the arena that the state was opened with is there and nothing else refers to it.
#[inline(never)]
unsafe fn with_buffer(state: *mut State, buffer: Piece, work: Work<'_>) -> Result<(), Status> {
    // SAFETY: the caller's promise.
    unsafe { opened(state)? };
    // SAFETY: the fields of an open state have been written, and `ts_open` has checked the arena. What is shared with `work` is the
    // image, which stays; other calls on this state see its mark, and end.
    unsafe {
        buffer.apart(Piece::of((*state).arena, (*state).words))?;
        let words = slice::from_raw_parts_mut((*state).arena, (*state).words);
        let image = (*state).image.assume_init_ref();
        let mut engine = CEngine::resume(image, words, (*state).paused)?;
        let mut watcher = Watcher {
            spikes: (*state).spikes,
            context: (*state).context,
        };
        (&raw mut (*state).mark).write(BUSY);
        let result = work(&mut engine, &mut watcher);
        (&raw mut (*state).paused).write(engine.pause());
        (&raw mut (*state).mark).write(OPEN);
        result
    }
}

/// The same without a buffer.
///
/// # Safety
/// As [`with_buffer`].
unsafe fn with(state: *mut State, work: Work<'_>) -> Result<(), Status> {
    // SAFETY: the caller's promise.
    unsafe { with_buffer(state, Piece::NONE, work) }
}

/// Looks at an engine.
///
/// # Safety
/// As [`with_buffer`].
unsafe fn look(state: *const State, work: Work<'_>) -> Result<(), Status> {
    // SAFETY: the caller's promise; `work` changes nothing, so what is written back is what was there.
    unsafe { with(state.cast_mut(), work) }
}

/// A step. It is here once, for all calls.
#[inline(never)]
fn step(engine: &mut CEngine<'_>, watcher: &mut Watcher) -> bool {
    engine.step_probed(watcher)
}

/// The text of a status, in English, without a full stop. A number that is no status has a text, too.
///
/// It blocks for a few instructions.
#[unsafe(no_mangle)]
pub extern "C" fn ts_status_text(status: i32) -> *const c_char {
    let found = Status::ALL.iter().find(|s| **s as i32 == status);
    found.map_or(c"unknown status", |s| s.text()).as_ptr()
}

/// Tells the bytes of arena that an image needs, from its header alone.
///
/// It blocks for a few instructions.
///
/// # Safety
/// If `image` is not NULL, `image_bytes` bytes are there. If `bytes` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_arena_bytes(
    image: *const c_void,
    image_bytes: usize,
    bytes: *mut usize,
) -> Status {
    status((|| {
        let bytes = memory::one_mut(bytes)?;
        // SAFETY: the caller's promise.
        let image = unsafe { memory::some(image.cast::<u8>(), image_bytes)? };
        let header = Header::read(image)?;
        // SAFETY: the pointer is aligned and not NULL, and the caller says that it can be written.
        unsafe { bytes.write(header.arena_bytes as usize) };
        Ok(())
    })())
}

/// Opens an image in a state, and brings its network to rest. A state that was open is opened again.
///
/// `state_bytes` is sizeof(ts_state). The image lies at a multiple of 4, and the arena is as large as ts_arena_bytes says, or larger. Image
/// and arena stay where they are, and the image stays as it is, for as long as the state is used. Nothing else writes to the arena or the
/// state. The state may be moved or copied between two calls.
///
/// Errors: TS_STATUS_NULL_POINTER, TS_STATUS_STATE_TOO_SMALL, TS_STATUS_MISALIGNED, TS_STATUS_ARENA_TOO_SMALL, TS_STATUS_OVERLAP,
/// TS_STATUS_NO_IMAGE, TS_STATUS_IMAGE_... and TS_STATUS_NOT_BUILT. After an error the state is not open.
///
/// It blocks for one pass over the image's bytes (a checksum) and one over thresholds and tables: some 10 instructions a byte. It takes
/// TINYSPIKE_OPEN_STACK_BYTES of stack.
///
/// # Safety
/// Pointers that are not NULL lead to as many bytes as are stated. They stay, as the text says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_open(
    state: *mut State,
    state_bytes: usize,
    image: *const c_void,
    image_bytes: usize,
    arena: *mut u32,
    arena_bytes: usize,
) -> Status {
    status((|| {
        if state_bytes < size_of::<State>() {
            return Err(match state.is_null() {
                true => Status::NullPointer,
                false => Status::StateTooSmall,
            });
        }
        let state = memory::one_mut(state)?;
        // SAFETY: the pointer is aligned and not NULL, and the caller says that the memory is there.
        unsafe { (&raw mut (*state).mark).write(0) };
        let words = arena_bytes / size_of::<u32>();
        let (own, lent) = (Piece::of(state, 1), Piece::of(arena, words));
        let whole = Piece::of(image.cast::<u8>(), image_bytes);
        whole.apart(own)?;
        whole.apart(lent)?;
        own.apart(lent)?;
        // SAFETY: the memory is the state's, and nothing refers to it. The caller says that image and arena are there, and the
        // arena is its own.
        unsafe {
            let bytes = memory::some(image.cast::<u8>(), image_bytes)?;
            let words = memory::some_mut(arena, words)?;
            let image = Image::parse_into(&mut (*state).image, bytes)?;
            let engine = CEngine::new(image, words)?;
            (&raw mut (*state).words).write(engine.state().len());
            (&raw mut (*state).paused).write(engine.pause());
            (&raw mut (*state).arena).write(arena);
            (&raw mut (*state).spikes).write(None);
            (&raw mut (*state).context).write(ptr::null_mut());
            (&raw mut (*state).mark).write(OPEN);
        }
        Ok(())
    })())
}

/// Writes what a call tells, if there is a place for it.
///
/// # Safety
/// If `to` is not NULL, it can be written.
unsafe fn tell<T>(to: *mut T, find: impl FnOnce() -> Result<T, Status>) -> Status {
    status((|| {
        let to = memory::one_mut(to)?;
        let found = find()?;
        // SAFETY: the pointer is aligned and not NULL, and the caller says that it can be written.
        unsafe { to.write(found) };
        Ok(())
    })())
}

/// Brings the network to rest: an inference, or a stream, begins again.
///
/// Errors: TS_STATUS_NULL_POINTER, TS_STATUS_NOT_OPEN, TS_STATUS_BUSY; the same of all calls below.
///
/// It blocks for one pass over the arena.
///
/// # Safety
/// If `state` is not NULL, it is a state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_reset(state: *mut State) -> Status {
    // SAFETY: the caller's promise.
    status(unsafe {
        with(state, &mut |engine, _| {
            engine.reset();
            Ok(())
        })
    })
}

/// Sets a callback for spikes, of all calls that take steps; NULL for none. `context` is handed to it as it is. ts_open clears it.
///
/// It blocks for a few instructions, and the callback as often and as long as it is called.
///
/// # Safety
/// As [`ts_reset`]; the callback may be called with `context` for as long as it is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_set_spikes(
    state: *mut State,
    spikes: Spikes,
    context: *mut c_void,
) -> Status {
    status((|| {
        // SAFETY: the caller's promise.
        unsafe { opened(state)? };
        // SAFETY: the state is open, and nobody is at work on it.
        unsafe {
            (&raw mut (*state).spikes).write(spikes);
            (&raw mut (*state).context).write(context);
        }
        Ok(())
    })())
}

/// Sets the input of a network that has one: a byte for each place, or the bytes of samples of which the network makes events, see
/// the model's header. It stays until it is set again; in a stream of current-based neurons
/// it lasts for one step.
///
/// Errors: TS_STATUS_INPUT_INDEX (several inputs: ts_set_inputs), TS_STATUS_INPUT_LENGTH, TS_STATUS_INPUT_RANGE, TS_STATUS_OVERLAP.
/// After an error nothing has changed.
///
/// It blocks for the weights of every place that is not at the zero point: `tinyspike bench` counts them, as "setting the input". It
/// takes TINYSPIKE_STEP_STACK_BYTES of stack at most.
///
/// # Safety
/// As [`ts_reset`]; if `values` is not NULL, so many bytes are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_set_input(
    state: *mut State,
    values: *const u8,
    count: usize,
) -> Status {
    status((|| {
        let buffer = Piece::of(values, count);
        // SAFETY: the caller's promise; the arena is elsewhere.
        unsafe {
            let values = memory::some(values, count)?;
            with_buffer(
                state,
                buffer,
                &mut |engine, _| Ok(engine.set_input(values)?),
            )
        }
    })())
}

/// Sets all inputs of a network: `inputs` pointers to bytes, and the number of bytes behind each, in the image's order.
///
/// Errors, time and stack: as ts_set_input.
///
/// # Safety
/// As [`ts_reset`]; pointers that are not NULL lead to as many values as are stated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_set_inputs(
    state: *mut State,
    values: *const *const u8,
    counts: *const usize,
    inputs: usize,
) -> Status {
    const MOST: usize = tinyspike_shared::image::MAX_INPUTS;
    status((|| {
        // SAFETY: the caller's promise.
        let arena = unsafe { arena(state)? };
        // SAFETY: the caller's promise.
        let (pointers, counts) =
            unsafe { (memory::some(values, inputs)?, memory::some(counts, inputs)?) };
        let mut slices: [&[u8]; MOST] = [&[]; MOST];
        let Some(slices) = slices.get_mut(..inputs) else {
            return Err(Status::InputIndex);
        };
        for (slice, (&pointer, &count)) in slices.iter_mut().zip(pointers.iter().zip(counts)) {
            arena.apart(Piece::of(pointer, count))?;
            // SAFETY: the caller's promise; the arena is elsewhere.
            *slice = unsafe { memory::some(pointer, count)? };
        }
        // SAFETY: the caller's promise.
        unsafe { with(state, &mut |engine, _| Ok(engine.set_inputs(slices)?)) }
    })())
}

/// Takes one step through the whole network. It is the piece into which an inference can be cut, between other work.
///
/// Errors: TS_STATUS_FINISHED after the last step of an inference; nothing has changed then. A stream has no last step.
///
/// It blocks for the update of every neuron and the weights of every spike: `tinyspike bench` counts them. It takes
/// TINYSPIKE_STEP_STACK_BYTES of stack, and what the callback takes.
///
/// # Safety
/// As [`ts_reset`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_step(state: *mut State) -> Status {
    // SAFETY: the caller's promise.
    status(unsafe {
        with(state, &mut |engine, watcher| match step(engine, watcher) {
            true => Ok(()),
            false => Err(Status::Finished),
        })
    })
}

/// Takes all steps that are left of an inference, or fewer if the outputs are decided early. In a stream it takes one.
///
/// `steps`, if it is not NULL, gets the number of steps since the network was at rest.
///
/// It blocks for as many steps, see ts_step.
///
/// # Safety
/// As [`ts_reset`]; if `steps` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_infer(state: *mut State, steps: *mut u16) -> Status {
    status((|| {
        if !steps.is_null() {
            memory::one_mut(steps)?;
        }
        // SAFETY: the caller's promise.
        let endless = unsafe { image(state)? }.description().steps == 0;
        let mut taken = 0;
        // SAFETY: the caller's promise.
        unsafe {
            with(state, &mut |engine, watcher| {
                while step(engine, watcher) && !engine.decided() && !endless {}
                taken = engine.taken();
                Ok(())
            })?;
        }
        if !steps.is_null() {
            // SAFETY: the pointer is aligned, and the caller says that it can be written.
            unsafe { steps.write(taken) };
        }
        Ok(())
    })())
}

/// Tells if more steps on the same input change no class: every output of the image states a margin, and has it.
///
/// It blocks for one pass over the outputs.
///
/// # Safety
/// As [`ts_reset`]; if `decided` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_decided(state: *const State, decided: *mut bool) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        tell(decided, || {
            let mut found = false;
            look(state, &mut |engine, _| {
                found = engine.decided();
                Ok(())
            })?;
            Ok(found)
        })
    }
}

/// Reads an output: `count` values, as many as it has, all in units of its scale. Those of an inference are sums over the steps.
///
/// Errors: TS_STATUS_OUTPUT_INDEX, TS_STATUS_BUFFER_LENGTH, TS_STATUS_OVERLAP.
///
/// It blocks for one multiplication a value.
///
/// # Safety
/// As [`ts_reset`]; if `values` is not NULL, so many values can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_output(
    state: *const State,
    output: usize,
    values: *mut i32,
    count: usize,
) -> Status {
    // SAFETY: the caller's promise.
    status(unsafe {
        fill(state, output, values, count, |output, to| {
            copy(output.values(), to)
        })
    })
}

/// Reads an output in the network's units: the nearest float to each value, those of an inference as means over the steps. No float
/// instruction is used.
///
/// Errors: as ts_output.
///
/// It blocks for a division of 64 bits a value.
///
/// # Safety
/// As [`ts_output`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_dequantize(
    state: *const State,
    output: usize,
    values: *mut f32,
    count: usize,
) -> Status {
    // SAFETY: the caller's promise.
    status(unsafe {
        fill(state, output, values, count, |output, to| {
            copy(output.dequantized(), to)
        })
    })
}

/// Puts values into a buffer.
fn copy<T>(values: impl Iterator<Item = T>, buffer: &mut [T]) {
    for (to, value) in buffer.iter_mut().zip(values) {
        *to = value;
    }
}

/// Fills a buffer with what an output has.
///
/// # Safety
/// As [`ts_output`].
unsafe fn fill<T>(
    state: *const State,
    output: usize,
    values: *mut T,
    count: usize,
    how: impl Fn(&tinyspike_firmware::Output<'_>, &mut [T]),
) -> Result<(), Status> {
    let values = memory::one_mut(values)?;
    let buffer = Piece::of(values, count);
    // SAFETY: the caller's promise; the arena is elsewhere, and `how` changes nothing of the engine.
    unsafe {
        with_buffer(state.cast_mut(), buffer, &mut |engine, _| {
            let output = engine.output(output);
            if output.sums().is_empty() {
                return Err(Status::OutputIndex);
            }
            if output.sums().len() != count {
                return Err(Status::BufferLength);
            }
            how(&output, memory::some_mut(values, count)?);
            Ok(())
        })
    }
}

/// Tells the class of an output: the index of its largest value, the first of equals.
///
/// Errors: TS_STATUS_OUTPUT_INDEX.
///
/// It blocks for one multiplication a value.
///
/// # Safety
/// As [`ts_reset`]; if `class_index` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_class(
    state: *const State,
    output: usize,
    class_index: *mut usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        tell(class_index, || {
            let mut class = 0;
            look(state, &mut |engine, _| {
                let output = engine.output(output);
                if output.sums().is_empty() {
                    return Err(Status::OutputIndex);
                }
                class = output.class();
                Ok(())
            })?;
            Ok(class)
        })
    }
}

/// Tells the number of places of an input.
///
/// Errors: TS_STATUS_INPUT_INDEX.
///
/// It blocks for a few instructions.
///
/// # Safety
/// As [`ts_reset`]; if `places` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_input_size(
    state: *const State,
    input: usize,
    places: *mut usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        tell(places, || {
            let inputs = &image(state)?.description().inputs;
            Ok(inputs.get(input).ok_or(Status::InputIndex)?.size as usize)
        })
    }
}

/// Tells the number of values of an output.
///
/// Errors: TS_STATUS_OUTPUT_INDEX.
///
/// It blocks for a few instructions.
///
/// # Safety
/// As [`ts_reset`]; if `values` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_output_size(
    state: *const State,
    output: usize,
    values: *mut usize,
) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        tell(values, || {
            let outputs = &image(state)?.description().outputs;
            Ok(outputs.get(output).ok_or(Status::OutputIndex)?.size as usize)
        })
    }
}

/// Pushes events to an input of current-based neurons, for the next step. The events of a step at one place are together no more than
/// one may have; more give wrong numbers.
///
/// Errors: TS_STATUS_EVENT_PLACE, TS_STATUS_INPUT_RANGE, TS_STATUS_INPUT_HELD, TS_STATUS_INPUT_INDEX, TS_STATUS_OVERLAP. After an error the
/// events before the first faulty one have been pushed.
///
/// It blocks for the weights of each event.
///
/// # Safety
/// As [`ts_reset`]; if `events` is not NULL, so many events are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_push_events(
    state: *mut State,
    input: usize,
    events: *const Event,
    count: usize,
) -> Status {
    status((|| {
        // SAFETY: the caller's promise.
        let arena = unsafe { arena(state)? };
        arena.apart(Piece::of(events, count))?;
        // SAFETY: the caller's promise; the arena is elsewhere.
        unsafe {
            if input >= image(state)?.description().inputs.len() {
                return Err(Status::InputIndex);
            }
            let events = memory::read(events, count)?;
            with(state, &mut |engine, _| {
                for event in events {
                    engine.push_event(input, event.source, event.value)?;
                }
                Ok(())
            })
        }
    })())
}

/// Pushes samples over time to a stream with one input: each is a byte for each place, and takes a step. `count` is the number of all
/// bytes, whole samples.
///
/// Errors: TS_STATUS_NO_STREAM, TS_STATUS_INPUT_INDEX, TS_STATUS_INPUT_LENGTH, TS_STATUS_INPUT_RANGE, TS_STATUS_OVERLAP. After
/// TS_STATUS_INPUT_RANGE the samples before the faulty one have taken their steps.
///
/// It blocks for ts_set_input and ts_step of each sample.
///
/// # Safety
/// As [`ts_set_input`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_push_samples(
    state: *mut State,
    values: *const u8,
    count: usize,
) -> Status {
    status((|| {
        // SAFETY: the caller's promise.
        let arena = unsafe { arena(state)? };
        arena.apart(Piece::of(values, count))?;
        // SAFETY: the caller's promise.
        let network = unsafe { image(state)? }.description();
        if network.steps != 0 {
            return Err(Status::NoStream);
        }
        let [input] = network.inputs.as_slice() else {
            return Err(Status::InputIndex);
        };
        let size = (input.size as usize).max(1);
        // SAFETY: the caller's promise; the arena is elsewhere.
        unsafe {
            let samples = memory::read(values, count)?.chunks_exact(size);
            if !samples.remainder().is_empty() {
                return Err(Status::InputLength);
            }
            with(state, &mut |engine, watcher| {
                samples.clone().try_for_each(|sample| {
                    engine.set_input(sample)?;
                    step(engine, watcher);
                    Ok(())
                })
            })
        }
    })())
}

/// Tells if steps without events change nothing: a core may sleep until the next event, and leave the steps out.
///
/// It blocks for one pass over the arena at most.
///
/// # Safety
/// As [`ts_reset`]; if `idle` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_is_idle(state: *const State, idle: *mut bool) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        tell(idle, || {
            let mut found = false;
            look(state, &mut |engine, _| {
                found = engine.is_idle();
                Ok(())
            })?;
            Ok(found)
        })
    }
}

/// Words before a saved state: the image's checksum, and one of the words that follow.
const HEAD: usize = 2;

/// Tells the number of words that ts_save writes: those of the arena and two more.
///
/// It blocks for a few instructions.
///
/// # Safety
/// As [`ts_reset`]; if `words` is not NULL, it can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_saved_words(state: *const State, words: *mut usize) -> Status {
    // SAFETY: the caller's promise.
    unsafe {
        tell(words, || {
            let arena = image(state)?.arena_bytes() / size_of::<u32>();
            Ok(arena.saturating_add(HEAD))
        })
    }
}

/// A number that tells if words are those that were saved.
fn digest(words: &[u32]) -> u32 {
    let mut hash = Fnv::default();
    for word in words {
        hash.add(&word.to_le_bytes());
    }
    hash.finish()
}

/// Saves the state of a stream, to be kept through a deep sleep: as many words as ts_saved_words says.
///
/// Errors: TS_STATUS_NO_STREAM, TS_STATUS_BUFFER_LENGTH, TS_STATUS_OVERLAP.
///
/// It blocks for one pass over the arena.
///
/// # Safety
/// As [`ts_reset`]; if `buffer` is not NULL, so many words can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_save(state: *const State, buffer: *mut u32, words: usize) -> Status {
    status((|| {
        // SAFETY: the caller's promise.
        let (arena, image) = unsafe { (arena(state)?, image(state)?) };
        let buffer = memory::one_mut(buffer)?;
        arena.apart(Piece::of(buffer, words))?;
        if image.description().steps != 0 {
            return Err(Status::NoStream);
        }
        // SAFETY: the caller's promise; the arena is elsewhere.
        unsafe {
            look(state, &mut |engine, _| {
                let own = engine.state();
                match memory::some_mut(buffer, words)? {
                    [checksum, hash, saved @ ..] if saved.len() == own.len() => {
                        saved.copy_from_slice(own);
                        *checksum = image.header().checksum;
                        *hash = digest(own);
                        Ok(())
                    }
                    _ => Err(Status::BufferLength),
                }
            })
        }
    })())
}

/// Brings back the state of a stream that ts_save has written, of this image.
///
/// Errors: TS_STATUS_NO_STREAM, TS_STATUS_BUFFER_LENGTH, TS_STATUS_OTHER_IMAGE, TS_STATUS_OVERLAP. After an error nothing has changed.
///
/// It blocks for two passes over the arena.
///
/// # Safety
/// As [`ts_reset`]; if `buffer` is not NULL, so many words are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_restore(state: *mut State, buffer: *const u32, words: usize) -> Status {
    status((|| {
        // SAFETY: the caller's promise.
        let (arena, image) = unsafe { (arena(state)?, image(state)?) };
        let buffer = memory::one(buffer)?;
        arena.apart(Piece::of(buffer, words))?;
        if image.description().steps != 0 {
            return Err(Status::NoStream);
        }
        // SAFETY: the caller's promise; the arena is elsewhere.
        let saved = unsafe { memory::some(buffer, words)? };
        let [checksum, hash, saved @ ..] = saved else {
            return Err(Status::BufferLength);
        };
        if saved.len() != image.arena_bytes() / size_of::<u32>() {
            return Err(Status::BufferLength);
        }
        if *checksum != image.header().checksum || *hash != digest(saved) {
            return Err(Status::OtherImage);
        }
        // SAFETY: the caller's promise.
        unsafe {
            with(state, &mut |engine, _| match engine.restore(saved) {
                true => Ok(()),
                false => Err(Status::NoStream),
            })
        }
    })())
}

/// Quantizes values in the network's units to the bytes of an input: `count` of each, one for each place. They are rounded to nearest,
/// ties away from zero, and cut to what the input takes; NaN becomes 0. No float instruction is used.
///
/// Errors: TS_STATUS_INPUT_INDEX, also for an input that makes events of samples and takes them as they are; TS_STATUS_INPUT_LENGTH,
/// TS_STATUS_OVERLAP.
///
/// It blocks for a division of 64 bits a value.
///
/// # Safety
/// As [`ts_reset`]; if `values` is not NULL, so many values are there; if `bytes` is not NULL, so many bytes can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_quantize_f32(
    state: *const State,
    input: usize,
    values: *const f32,
    count: usize,
    bytes: *mut u8,
) -> Status {
    // SAFETY: the caller's promise.
    status(unsafe {
        quantize(
            state,
            input,
            values,
            count,
            bytes,
            |input, values, bytes| Ok(input.quantize(values, bytes)?),
        )
    })
}

/// Quantizes integers of a converter, of which each unit stands for `unit` in the network's units, as ts_quantize_f32 does their exact
/// products.
///
/// Errors and time: as ts_quantize_f32.
///
/// # Safety
/// As [`ts_quantize_f32`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ts_quantize_i16(
    state: *const State,
    input: usize,
    samples: *const i16,
    count: usize,
    unit: f32,
    bytes: *mut u8,
) -> Status {
    // SAFETY: the caller's promise.
    status(unsafe {
        quantize(
            state,
            input,
            samples,
            count,
            bytes,
            |input, samples, bytes| Ok(input.quantize_i16(samples, unit, bytes)?),
        )
    })
}

/// Quantizes an input's values.
///
/// # Safety
/// As [`ts_quantize_f32`].
unsafe fn quantize<T>(
    state: *const State,
    input: usize,
    values: *const T,
    count: usize,
    bytes: *mut u8,
    how: impl FnOnce(&tinyspike_shared::quantize::Quantizer<'_>, &[T], &mut [u8]) -> Result<(), Status>,
) -> Result<(), Status> {
    // SAFETY: the caller's promise.
    let (arena, image) = unsafe { (arena(state)?, image(state)?) };
    let (values, bytes) = (memory::one(values)?, memory::one_mut(bytes)?);
    let written = Piece::of(bytes, count);
    written.apart(Piece::of(values, count))?;
    written.apart(arena)?;
    let input = image.input(input).ok_or(Status::InputIndex)?;
    if input.input().size as usize != count {
        return Err(Status::InputLength);
    }
    // SAFETY: the caller's promise; what is read is elsewhere.
    unsafe {
        how(
            &input,
            memory::some(values, count)?,
            memory::some_mut(bytes, count)?,
        )
    }
}
