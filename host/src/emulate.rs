//! An image on the host: the device's own engine over a whole data set, many samples at a time.

use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;
use tinyspike_firmware::{Engine, Event, InputError, Portable, Probe};
use tinyspike_shared::image::{Convolution, Pre, SourceMap, Transform};

use crate::assemble::{Image, MAX_CONNECTIONS, MAX_ENSEMBLES, scale_value};
use crate::data::{DataSet, Sample};

/// The engine as the host builds it: with room for the largest network.
pub type HostEngine<'a> = Engine<'a, Portable, MAX_ENSEMBLES, MAX_CONNECTIONS>;

/// Samples that one thread takes at a time.
const CHUNK: usize = 32;

/// How to run a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct EmulateOptions {
    /// Steps of an inference, at most the image's; `None` for the image's.
    pub steps: Option<u16>,
    /// The float that one unit of a byte in the data stands for.
    pub byte_scale: f32,
}

impl Default for EmulateOptions {
    /// The image's steps; bytes are 0 to 1 in 255 parts.
    fn default() -> Self {
        Self {
            steps: None,
            byte_scale: 1.0 / 255.0,
        }
    }
}

/// Why a data set cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulateError {
    /// A data set has one array of samples, and the network several inputs.
    #[error("the network has {0} inputs; a data set can feed only one")]
    Inputs(usize),
    /// Samples of another size.
    #[error(
        "a sample of the data has {found} values (shape {shape:?}), the network's input {input:?} has {expected}"
    )]
    Size {
        /// The input.
        input: String,
        /// Its size.
        expected: usize,
        /// The sample's size.
        found: usize,
        /// The sample's shape.
        shape: Vec<usize>,
    },
    /// More steps than the image's bounds are proven for.
    #[error(
        "the image is made for {image} steps and its bounds are proven for no more; convert with --steps {asked} for {asked}"
    )]
    Steps {
        /// The image's steps.
        image: u16,
        /// The steps that were asked for.
        asked: u16,
    },
    /// The engine refused an input.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// What a run over a data set showed. Means are per sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many samples were run.
    pub images: usize,
    /// The share of samples whose largest output is the label's; `None` without labels.
    pub accuracy: Option<f64>,
    /// How many steps an inference took.
    pub steps_mean: f64,
    /// Events beyond the input: neurons that spiked in a step, whatever their count.
    pub events_per_image: f64,
    /// Spikes: events times their counts.
    pub spikes_per_image: f64,
    /// Weights that events beyond the input touched.
    pub synaptic_ops_per_image: f64,
    /// Weights that nonzero input places touched, once for a static input.
    pub input_ops_per_image: f64,
    /// Neurons updated, over all steps.
    pub neuron_updates_per_image: f64,
    /// Samples per second of this run on this machine, all threads together.
    pub images_per_second: f64,
    /// Each ensemble's share.
    pub ensembles: Vec<EnsembleReport>,
}

/// What one ensemble did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnsembleReport {
    /// Its label.
    pub label: String,
    /// How many neurons it has.
    pub neurons: usize,
    /// Events per sample.
    pub events_per_image: f64,
    /// Spikes per sample.
    pub spikes_per_image: f64,
    /// Weights that its events touched, per sample.
    pub synaptic_ops_per_image: f64,
}

/// Brings samples to the bytes that an input of an image takes.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    scale: f64,
    zero_point: u8,
    byte_scale: f32,
}

impl Encoder {
    /// The encoder of the only input of `image`.
    ///
    /// # Errors
    /// Where the network has several inputs, or the samples another size.
    pub fn new(image: &Image<'_>, data: &DataSet, byte_scale: f32) -> Result<Self, EmulateError> {
        let network = image.description();
        let [input] = network.inputs.as_slice() else {
            return Err(EmulateError::Inputs(network.inputs.len()));
        };
        if data.sample_size() != input.size as usize {
            return Err(EmulateError::Size {
                input: network.input_label(0).to_owned(),
                expected: input.size as usize,
                found: data.sample_size(),
                shape: data.shape().to_vec(),
            });
        }
        Ok(Self {
            scale: scale_value(input.scale),
            zero_point: input.zero_point,
            byte_scale,
        })
    }

    /// The bytes of a sample: each value in steps of the input's scale, rounded and clamped.
    pub fn encode(&self, sample: Sample<'_>, bytes: &mut Vec<u8>) {
        bytes.clear();
        match sample {
            Sample::U8(values) => {
                // A byte has 256 values: look them up.
                let mut table = [0; 256];
                for (value, byte) in (0u8..=255).zip(&mut table) {
                    *byte = self.byte(f32::from(value) * self.byte_scale);
                }
                bytes.extend(values.iter().map(|&v| table[usize::from(v)]));
            }
            Sample::F32(values) => bytes.extend(values.iter().map(|&v| self.byte(v))),
        }
    }

    fn byte(&self, value: f32) -> u8 {
        let steps = (f64::from(value) / self.scale).round() + f64::from(self.zero_point);
        // A cast clamps to the range and takes no number for 0.
        steps as u8
    }
}

/// Counts of one ensemble.
#[derive(Clone, Copy, Default)]
struct Tally {
    events: u64,
    spikes: u64,
    ops: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.spikes += other.spikes;
        self.ops += other.ops;
    }
}

struct Counter<'a> {
    tallies: Vec<Tally>,
    fan_out: &'a FanOut,
}

impl Probe for Counter<'_> {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        let tally = &mut self.tallies[ensemble];
        let fan_out = &self.fan_out.ensembles[ensemble];
        tally.events += events.len() as u64;
        for e in events {
            tally.spikes += e.value.unsigned_abs() as u64;
            tally.ops += u64::from(fan_out[usize::from(e.source)]);
        }
    }
}

/// How many weights an event of each source touches.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// By ensemble and neuron.
    pub ensembles: Vec<Vec<u32>>,
    /// By input and place.
    pub inputs: Vec<Vec<u32>>,
}

impl FanOut {
    /// Of every source of an image.
    #[must_use]
    pub fn of(image: &Image<'_>) -> Self {
        let network = image.description();
        let mut fan_out = Self {
            ensembles: network
                .ensembles
                .iter()
                .map(|e| vec![0; e.neurons as usize])
                .collect(),
            inputs: network
                .inputs
                .iter()
                .map(|i| vec![0; i.size as usize])
                .collect(),
        };
        for c in &network.connections {
            let counts = match c.pre {
                Pre::Input(i) => &mut fan_out.inputs[usize::from(i)],
                Pre::Ensemble(e) => &mut fan_out.ensembles[usize::from(e)],
            };
            let seen = match &c.transform {
                Transform::Dense(d) => vec![d.outputs; d.inputs as usize],
                Transform::Convolution(conv) => convolution_fan_out(conv),
            };
            match &c.source {
                SourceMap::Direct => counts.iter_mut().zip(&seen).for_each(|(n, s)| *n += s),
                SourceMap::Window(window) => {
                    for (n, source) in counts.iter_mut().zip(0..=u16::MAX) {
                        *n += window
                            .places(source)
                            .map(|at| seen[usize::from(at)])
                            .sum::<u32>();
                    }
                }
                SourceMap::Table(table) => {
                    for (n, &at) in counts.iter_mut().zip(image.table(*table)) {
                        *n += seen.get(usize::from(at)).copied().unwrap_or(0);
                    }
                }
            }
        }
        fan_out
    }
}

/// How many weights each place of a convolution's source touches.
fn convolution_fan_out(conv: &Convolution) -> Vec<u32> {
    let [height, width, channels] = conv.input.map(usize::from);
    let rows: Vec<u32> = (0..height).map(|y| reach(conv, 0, y)).collect();
    let columns: Vec<u32> = (0..width).map(|x| reach(conv, 1, x)).collect();
    (0..height * width * channels)
        .map(|at| {
            let place = at / channels;
            rows[place / width] * columns[place % width] * u32::from(conv.row())
        })
        .collect()
}

/// How many targets along one axis see a source at `place`.
fn reach(conv: &Convolution, axis: usize, place: usize) -> u32 {
    let padded = place + usize::from(conv.padding[axis]);
    let [kernel, stride, dilation] =
        [conv.kernel[axis], conv.stride[axis], conv.dilation[axis]].map(usize::from);
    (0..usize::from(conv.output[axis]))
        .filter(|target| {
            padded
                .checked_sub(target * stride)
                .is_some_and(|at| at < kernel * dilation && at.is_multiple_of(dilation))
        })
        .count() as u32
}

/// What one chunk of samples adds.
#[derive(Default)]
struct Part {
    correct: u64,
    input_ops: u64,
    tallies: Vec<Tally>,
}

/// Runs every sample of `data` through the image. `progress` is told how many more are done.
///
/// # Errors
/// Where the data does not fit the image, or more steps are asked for than the image has.
pub fn emulate(
    image: &Image<'_>,
    data: &DataSet,
    options: &EmulateOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Report, EmulateError> {
    let network = image.description();
    let encoder = Encoder::new(image, data, options.byte_scale)?;
    let steps = match options.steps {
        Some(asked) if asked > network.steps || asked == 0 => {
            return Err(EmulateError::Steps {
                image: network.steps,
                asked,
            });
        }
        Some(asked) => asked,
        None => network.steps,
    };
    let fan_out = FanOut::of(image);
    let start = Instant::now();
    let chunks: Vec<usize> = (0..data.len()).step_by(CHUNK).collect();
    let total = chunks
        .par_iter()
        .map(|&from| {
            let to = (from + CHUNK).min(data.len());
            let part = run_chunk(image, data, from..to, steps, &encoder, &fan_out)?;
            progress((to - from) as u64);
            Ok::<_, EmulateError>(part)
        })
        .try_reduce(Part::default, |mut a, b| {
            a.correct += b.correct;
            a.input_ops += b.input_ops;
            if a.tallies.is_empty() {
                a.tallies = b.tallies;
            } else {
                for (a, b) in a.tallies.iter_mut().zip(b.tallies) {
                    a.add(b);
                }
            }
            Ok(a)
        })?;
    let seconds = start.elapsed().as_secs_f64();

    let images = data.len();
    let mean = |sum: u64| sum as f64 / images as f64;
    let mut all = Tally::default();
    for tally in &total.tallies {
        all.add(*tally);
    }
    let neurons: u64 = network.ensembles.iter().map(|e| u64::from(e.neurons)).sum();
    Ok(Report {
        images,
        accuracy: data.labels().map(|_| mean(total.correct)),
        steps_mean: f64::from(steps),
        events_per_image: mean(all.events),
        spikes_per_image: mean(all.spikes),
        synaptic_ops_per_image: mean(all.ops),
        input_ops_per_image: mean(total.input_ops),
        neuron_updates_per_image: (neurons * u64::from(steps)) as f64,
        images_per_second: images as f64 / seconds.max(1e-9),
        ensembles: network
            .ensembles
            .iter()
            .zip(&total.tallies)
            .enumerate()
            .map(|(at, (e, tally))| EnsembleReport {
                label: network.ensemble_label(at).to_owned(),
                neurons: e.neurons as usize,
                events_per_image: mean(tally.events),
                spikes_per_image: mean(tally.spikes),
                synaptic_ops_per_image: mean(tally.ops),
            })
            .collect(),
    })
}

fn run_chunk(
    image: &Image<'_>,
    data: &DataSet,
    samples: std::ops::Range<usize>,
    steps: u16,
    encoder: &Encoder,
    fan_out: &FanOut,
) -> Result<Part, EmulateError> {
    let network = image.description();
    let mut arena = vec![0u32; image.arena_bytes() / 4];
    let mut part = Part::default();
    let mut counter = Counter {
        tallies: vec![Tally::default(); network.ensembles.len()],
        fan_out,
    };
    // The arena has the size that the image states.
    let Ok(mut engine) = HostEngine::new(image, &mut arena) else {
        return Ok(part);
    };
    let zero = encoder.zero_point;
    let mut input = Vec::with_capacity(data.sample_size());
    for i in samples {
        let Some(sample) = data.sample(i) else { break };
        encoder.encode(sample, &mut input);
        engine.reset();
        engine.set_input(&input)?;
        for _ in 0..steps {
            engine.step_probed(&mut counter);
        }
        part.input_ops += input
            .iter()
            .zip(&fan_out.inputs[0])
            .filter(|(byte, _)| **byte != zero)
            .map(|(_, ops)| u64::from(*ops))
            .sum::<u64>();
        let label = data.labels().and_then(|l| l.get(i));
        if label.is_some_and(|&l| l as usize == engine.output(0).class()) {
            part.correct += 1;
        }
    }
    part.tallies = counter.tallies;
    Ok(part)
}
