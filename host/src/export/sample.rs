//! A sample that an exported project carries, and what the emulator makes of it.

use tinyspike_firmware::trace::split;
use tinyspike_firmware::{Event, Probe};
use tinyspike_shared::wire::Fnv;

use crate::assemble::Image;
use crate::data::DataSet;
use crate::emulate::{EmulateError, Encoder, HostEngine, input_size};

/// The most steps of a stream that a project carries.
const STEPS: usize = 64;

/// Bytes for a network's inputs: one frame for all steps of an inference, or one for each step of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Frames, each with the bytes of all inputs one behind the other.
    pub frames: Vec<Vec<u8>>,
    /// `true` if nobody recorded it.
    pub made_up: bool,
}

impl Sample {
    /// The first sample of a data set; of one with an axis of time its first 64 steps.
    ///
    /// # Errors
    /// [`EmulateError::Size`] if the data does not fit the image.
    pub fn first(image: &Image<'_>, data: &DataSet) -> Result<Self, EmulateError> {
        let size = input_size(image);
        let stream = image.description().steps == 0;
        let over_time = stream && data.sample_size() != size;
        let encoder = if over_time {
            if !data.sample_size().is_multiple_of(size) {
                return Err(EmulateError::size(image, data));
            }
            Encoder::of_steps(image, data, size)?
        } else {
            Encoder::new(image, data)?
        };
        let Some(sample) = data.sample(0) else {
            return Err(EmulateError::size(image, data));
        };
        let frames = match (stream, over_time) {
            (false, _) => 1,
            (true, true) => (data.sample_size() / size).min(STEPS),
            (true, false) => STEPS,
        };
        let frame = |at: usize| {
            let from = if over_time { at * size } else { 0 };
            let mut bytes = Vec::new();
            encoder.encode(sample.part(from..from + size), &mut bytes);
            bytes
        };
        Ok(Self {
            frames: (0..frames).map(frame).collect(),
            made_up: false,
        })
    }

    /// Bytes that nobody recorded: half of them rest, the others are anything that the inputs take.
    #[must_use]
    pub fn made_up(image: &Image<'_>) -> Self {
        let network = image.description();
        let mut state = 0x2545_f491u32;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state >> 8
        };
        let mut frame = || {
            let places = network.inputs.iter();
            let places = places.flat_map(|input| std::iter::repeat_n(input, input.size as usize));
            places
                .map(|input| match next() % 2 {
                    0 => input.zero_point,
                    _ => (next() % (u32::from(input.max) + 1)) as u8,
                })
                .collect()
        };
        let frames = if network.steps == 0 { STEPS } else { 1 };
        Self {
            frames: (0..frames).map(|_| frame()).collect(),
            made_up: true,
        }
    }
}

/// Results of a sample on the emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Steps of the inference, or of the stream.
    pub steps: u16,
    /// A hash (FNV-1a) over words of four bytes: ensemble, source and value of each event, and after each frame the values of all
    /// outputs.
    pub digest: u32,
    /// Spikes of all ensembles.
    pub spikes: u32,
    /// The last values of each output.
    pub outputs: Vec<Vec<i32>>,
    /// The class of the first output.
    pub class: usize,
}

impl Expected {
    /// Runs a sample from rest.
    ///
    /// # Errors
    /// [`EmulateError`] if the sample is not one of this image's.
    pub fn of(image: &Image<'_>, sample: &Sample) -> Result<Self, EmulateError> {
        let network = image.description();
        let mut arena = vec![0u32; image.arena_bytes() / 4];
        let mut seen = Seen::default();
        let mut found = Self {
            steps: 0,
            digest: 0,
            spikes: 0,
            outputs: Vec::new(),
            class: 0,
        };
        // The arena has the size that the image states.
        let Ok(mut engine) = HostEngine::new(image, &mut arena) else {
            return Ok(found);
        };
        for frame in &sample.frames {
            engine.set_inputs(&split(&network.inputs, frame))?;
            found.steps = engine.infer(&mut seen);
            let outputs = 0..network.outputs.len();
            found.outputs = outputs
                .map(|at| engine.output(at).values().collect())
                .collect();
            for value in found.outputs.iter().flatten() {
                seen.digest.add(&value.to_le_bytes());
            }
        }
        found.class = engine.output(0).class();
        found.digest = seen.digest.finish();
        found.spikes = seen.spikes;
        Ok(found)
    }
}

/// Events that have been seen.
#[derive(Default)]
struct Seen {
    digest: Fnv,
    spikes: u32,
}

impl Probe for Seen {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        for event in events {
            self.digest.add(&(ensemble as u32).to_le_bytes());
            self.digest.add(&u32::from(event.source).to_le_bytes());
            self.digest.add(&i32::from(event.value).to_le_bytes());
            let spikes = u32::from(event.value.unsigned_abs());
            self.spikes = self.spikes.wrapping_add(spikes);
        }
    }
}
