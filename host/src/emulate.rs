//! An image on the host: the device's own engine over a whole data set, many samples at a time.

use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;
use tinyspike_firmware::trace::split;
use tinyspike_firmware::{Engine, Event, InputError, Native, Probe};
use tinyspike_shared::image::{
    Coder, Connection, Convolution, Input, NOWHERE, Pre, Readout, SourceMap, Transform,
};
use tinyspike_shared::weights::Row;

use crate::advice::{Advice, Advised};
use crate::assemble::{Image, MAX_CONNECTIONS, MAX_ENSEMBLES, scale_value};
use crate::calibrate;
use crate::coder;
use crate::data::{DataSet, Sample, Samples};
use crate::inputs::{fits, reordered};
use crate::integers::{self, Channel};
use crate::judge::{Deviation, Figures, Judge, THRESHOLD, Tally};
use crate::network::Head;

/// The engine as the host builds it: with room for the largest network.
pub type HostEngine<'a> = Engine<'a, Native, MAX_ENSEMBLES, MAX_CONNECTIONS>;

/// Samples that one thread takes at a time.
const CHUNK: usize = 32;

/// Steps whose mean decides if outputs show each step's value.
const WINDOW: u16 = 10;

/// Options for running a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct EmulateOptions {
    /// Steps of an inference, at most the image's; `None` for the image's.
    pub steps: Option<u16>,
    /// `true` if an inference may end early, if the image allows it.
    pub early_exit: bool,
    /// `true` to keep all outputs, spikes and last potentials of each sample.
    pub record: bool,
}

impl Default for EmulateOptions {
    /// The image's steps, ending early if it allows that.
    fn default() -> Self {
        Self {
            steps: None,
            early_exit: true,
            record: false,
        }
    }
}

/// Reason why a data set cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulateError {
    /// Samples of another size.
    #[error(
        "a sample of the data has {found} values (shape {shape:?}), the network's input {inputs} has {expected}"
    )]
    Size {
        /// The inputs.
        inputs: String,
        /// Size of all inputs together.
        expected: usize,
        /// The sample's size.
        found: usize,
        /// The sample's shape.
        shape: Vec<usize>,
    },
    /// Samples whose axes are in another order.
    #[error(
        "samples have the shape {found:?}, but the network's input {input} takes {expected:?}{}",
        reordered(found, expected, 0)
    )]
    Axes {
        /// The input.
        input: String,
        /// The samples' shape.
        found: Vec<usize>,
        /// The input's shape.
        expected: Vec<usize>,
    },
    /// More steps than the image's bounds are proven for.
    #[error(
        "the image is made for {image} steps and its bounds are proven for no more than that, not for {asked}"
    )]
    Steps {
        /// The image's steps.
        image: u16,
        /// The steps that were asked for.
        asked: u16,
    },
    /// Samples that are none.
    #[error("there are no samples, or they have no values")]
    Samples,
    /// The engine refused an input.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl EmulateError {
    /// The refusal of samples of another size.
    pub(crate) fn size(image: &Image<'_>, data: &DataSet) -> Self {
        let network = image.description();
        let labels = (0..network.inputs.len()).map(|at| format!("{:?}", network.input_label(at)));
        Self::Size {
            inputs: labels.collect::<Vec<_>>().join(" with "),
            expected: input_size(image),
            found: data.sample_size(),
            shape: data.shape().to_vec(),
        }
    }
}

impl Advised for EmulateError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Steps { asked, .. } => vec![Advice::Steps(*asked)],
            _ => Vec::new(),
        }
    }
}

/// Results of a run over a data set. Means are per sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Samples that were run.
    pub images: usize,
    /// The share of classes that the first output has right, see [`Judge`]; `None` if there are none. Of an
    /// exact image, the output of the last step. One output alone, or one of several labels, is 1 if it is
    /// above zero.
    pub accuracy: Option<f64>,
    /// The errors of the first output, if its targets are values.
    #[serde(flatten)]
    pub error: Option<Deviation>,
    /// The model's last function, if the image leaves it out: outputs are those before it, and targets that are
    /// values are compared behind a sigmoid or tanh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Head>,
    /// Accuracy of such an image by the mean of the last ten steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_mean_10: Option<f64>,
    /// Steps of an inference.
    pub steps_mean: f64,
    /// The most steps that one took.
    pub steps_max: u16,
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
    /// The columns of NeuroBench's tables.
    #[serde(flatten)]
    pub neurobench: NeuroBench,
    /// Samples per second of this run on this machine, all threads together.
    pub images_per_second: f64,
    /// Each ensemble's share.
    pub ensembles: Vec<EnsembleReport>,
}

/// The static and workload metrics that NeuroBench's harness reports, by its definitions; one "model
/// execution" is one inference with all its steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NeuroBench {
    /// Bytes of weights, parameters and state: the image and the arena.
    pub footprint: u64,
    /// The share of weights that are zero.
    pub connection_sparsity: f64,
    /// The share of neuron updates that gave no spike.
    pub activation_sparsity: f64,
    /// Nonzero weights times activations of exactly one spike, per inference: additions.
    pub effective_acs: f64,
    /// Nonzero weights times other nonzero activations, inputs included, per inference.
    pub effective_macs: f64,
    /// All weights times all activations, zero or not, per inference; those of a static input once.
    pub dense_ops: f64,
}

/// Activity of one ensemble.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnsembleReport {
    /// Its label.
    pub label: String,
    /// Number of its neurons.
    pub neurons: usize,
    /// Events per sample.
    pub events_per_image: f64,
    /// Spikes per sample.
    pub spikes_per_image: f64,
    /// Weights that its events touched, per sample.
    pub synaptic_ops_per_image: f64,
}

/// Brings samples to the bytes that the inputs of an image take, one behind the other.
#[derive(Clone, Debug)]
pub struct Encoder {
    inputs: Vec<Encoding>,
}

/// Encoding of an input's values as bytes.
#[derive(Clone, Debug)]
struct Encoding {
    size: usize,
    /// The encoding of each channel; one if all are alike.
    channels: Vec<Channel>,
    /// The byte that brings nothing.
    zero_point: u8,
    max: u8,
    /// The float that one unit of a sample's byte stands for.
    byte_scale: f32,
    /// Code of each byte of a sample if all channels are alike.
    table: [u8; 256],
    coder: Coder,
}

impl Encoding {
    /// Appends samples of 16 bits.
    fn samples(&self, values: Sample<'_>, bytes: &mut Vec<u8>) {
        let unit = self.channels.first().map_or(1.0, |channel| channel.scale);
        let mut push = |value: f32| bytes.extend(coder::sample(value, unit).to_le_bytes());
        match values {
            Sample::U8(values) => {
                let values = values.iter().map(|&byte| f32::from(byte) * self.byte_scale);
                values.for_each(push);
            }
            Sample::F32(values) => values.iter().copied().for_each(&mut push),
        }
    }

    fn byte(&self, place: usize, value: f32) -> u8 {
        self.channels[place % self.channels.len()].byte(value, self.max)
    }
}

impl Encoder {
    /// The encoder of the inputs of `image`. A sample holds the values of each, in the image's order, see
    /// [`DataSet::side_by_side`].
    ///
    /// # Errors
    /// [`EmulateError`] if samples have another size than all inputs together.
    pub fn new(image: &Image<'_>, data: &DataSet) -> Result<Self, EmulateError> {
        let encoder = Self::of_steps(image, data, data.sample_size())?;
        if let ([_], Some(expected)) = (encoder.inputs.as_slice(), shape_of_only(image))
            && !fits(data.shape(), &expected)
        {
            return Err(EmulateError::Axes {
                input: format!("{:?}", image.description().input_label(0)),
                found: data.shape().to_vec(),
                expected,
            });
        }
        Ok(encoder)
    }

    /// The same for parts of samples that have so many values.
    pub(crate) fn of_steps(
        image: &Image<'_>,
        data: &DataSet,
        size: usize,
    ) -> Result<Self, EmulateError> {
        let network = image.description();
        let coder = network.coder;
        let inputs = network.inputs.iter().map(|input| {
            let mut encoding = Encoding {
                size: input.size as usize,
                channels: channels(image, input),
                byte_scale: data.byte_scale(),
                zero_point: input.zero_point,
                max: match coder {
                    Coder::Rate { .. } => u8::MAX,
                    _ => input.max,
                },
                table: [0; 256],
                coder,
            };
            encoding.table =
                std::array::from_fn(|value| encoding.byte(0, value as f32 * data.byte_scale()));
            encoding
        });
        let inputs: Vec<Encoding> = inputs.collect();
        if size != input_size(image) {
            return Err(EmulateError::size(image, data));
        }
        Ok(Self { inputs })
    }

    /// The bytes of a sample: each value in steps of its channel's scale, rounded and clamped.
    pub fn encode(&self, sample: Sample<'_>, bytes: &mut Vec<u8>) {
        bytes.clear();
        let mut start = 0;
        for input in &self.inputs {
            let part = start..start + input.coder.values(input.size);
            start = part.end;
            if let Coder::Delta { .. } = input.coder {
                input.samples(sample.part(part), bytes);
                continue;
            }
            match sample {
                Sample::U8(values) => {
                    let values = values.get(part).unwrap_or_default();
                    if let [_] = input.channels.as_slice() {
                        bytes.extend(values.iter().map(|&v| input.table[usize::from(v)]));
                    } else {
                        let values = values.iter().map(|&v| f32::from(v) * input.byte_scale);
                        bytes.extend((0..).zip(values).map(|(at, v)| input.byte(at, v)));
                    }
                }
                Sample::F32(values) => {
                    let values = values.get(part).unwrap_or_default();
                    bytes.extend((0..).zip(values).map(|(at, &v)| input.byte(at, v)));
                }
            }
        }
    }
}

/// The shape of an image's only input, if a convolution tells it.
fn shape_of_only(image: &Image<'_>) -> Option<Vec<usize>> {
    let connections = image.description().connections.iter();
    let mut shapes = connections.filter_map(|c| match (&c.pre, &c.source, &c.transform) {
        (Pre::Input(0), SourceMap::Direct, Transform::Convolution(conv)) => {
            Some(conv.input.map(usize::from).to_vec())
        }
        _ => None,
    });
    shapes.next()
}

/// The encodings of an input's channels; one if all are alike.
pub(crate) fn channels(image: &Image<'_>, input: &Input) -> Vec<Channel> {
    let channels = image.channels(input).map(|channel| Channel {
        scale: scale_value(channel.scale),
        zero_point: channel.zero_point,
    });
    channels.collect()
}

/// Results of a run, before means are taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Results, sample by sample.
    pub trials: Vec<Trial>,
    /// Activity of each ensemble, over all samples.
    pub ensembles: Vec<Activity>,
    /// Activity of each input, over all samples; its places are its neurons, its bytes its counts.
    pub inputs: Vec<Activity>,
}

impl Run {
    /// Activity of all inputs together.
    #[must_use]
    pub fn input(&self) -> Activity {
        let mut all = Activity::default();
        self.inputs.iter().for_each(|input| all.add(input));
        all
    }
}

/// Result for one sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// Class after each step, and the lead of its value over the second largest.
    pub leads: Vec<Lead>,
    /// The values of the first output at the end, in its units and summed over the steps.
    pub outputs: Vec<i32>,
    /// Class by the mean of the last ten steps, if outputs show each step's value and there were as many.
    pub mean: Option<usize>,
    /// The whole network's state, if it is recorded.
    pub record: Option<Record>,
}

/// State of a network after an inference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The values of each output, in its units and summed over the steps.
    pub outputs: Vec<Vec<i32>>,
    /// The spikes of each ensemble's neurons, over all steps.
    pub spikes: Vec<Vec<i32>>,
    /// The potential of each ensemble's neurons, less the threshold.
    pub potentials: Vec<Vec<i32>>,
}

impl Trial {
    /// The class after the last step.
    #[must_use]
    pub fn class(&self) -> usize {
        self.leads.last().map_or(0, |l| l.class)
    }

    /// Number of steps that it took.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.leads.len()
    }
}

/// The state of the first output after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The largest value's place.
    pub class: usize,
    /// Its distance to the second largest, in the output's units.
    pub margin: u32,
}

/// Counts over all samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Neurons (or places) that had something to say, step by step.
    pub events: u64,
    /// Events of as many spikes as one may have.
    pub full: u64,
    /// Spikes of these events.
    pub spikes: u64,
    /// Weights that they touched.
    pub ops: u64,
    /// Operations of events of count one.
    pub single_ops: u64,
    /// Weights that are not zero, touched by events of count one.
    pub acs: u64,
    /// Weights that are not zero, touched by other events.
    pub macs: u64,
}

impl Activity {
    fn count(&mut self, value: u64, reach: Reach) {
        let (weights, nonzero) = (u64::from(reach.weights), u64::from(reach.nonzero));
        self.events += 1;
        self.spikes += value;
        self.ops += weights;
        if value == 1 {
            self.single_ops += weights;
            self.acs += nonzero;
        } else {
            self.macs += nonzero;
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.full += other.full;
        self.spikes += other.spikes;
        self.ops += other.ops;
        self.single_ops += other.single_ops;
        self.acs += other.acs;
        self.macs += other.macs;
    }
}

struct Counter<'a> {
    ensembles: Vec<Activity>,
    /// The spikes of each ensemble's neurons in this inference; empty if they are not recorded.
    spikes: Vec<Vec<i32>>,
    fan_out: &'a FanOut,
    /// The most spikes in an event of each ensemble.
    most: Vec<u64>,
}

impl Probe for Counter<'_> {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        let activity = &mut self.ensembles[ensemble];
        let fan_out = &self.fan_out.ensembles[ensemble];
        let most = self.most[ensemble];
        for e in events {
            let count = u64::from(e.value.unsigned_abs());
            activity.count(count, fan_out[usize::from(e.source)]);
            activity.full += u64::from(count >= most);
        }
        if let Some(spikes) = self.spikes.get_mut(ensemble) {
            for e in events {
                spikes[usize::from(e.source)] += i32::from(e.value);
            }
        }
    }
}

/// Weights that an event of one source touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// All of them.
    pub weights: u32,
    /// Places that are not zero.
    pub nonzero: u32,
}

/// The reach of every source of an image.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// Reach by ensemble and neuron.
    pub ensembles: Vec<Vec<Reach>>,
    /// Reach by input and place.
    pub inputs: Vec<Vec<Reach>>,
}

impl FanOut {
    /// Reach of every source of an image.
    #[must_use]
    pub fn of(image: &Image<'_>) -> Self {
        let network = image.description();
        let none = |n: u32| vec![Reach::default(); n as usize];
        let mut fan_out = Self {
            ensembles: network.ensembles.iter().map(|e| none(e.neurons)).collect(),
            inputs: network.inputs.iter().map(|i| none(i.size)).collect(),
        };
        for c in &network.connections {
            let counts = match c.pre {
                Pre::Input(i) => &mut fan_out.inputs[usize::from(i)],
                Pre::Ensemble(e) | Pre::Counts(e) => &mut fan_out.ensembles[usize::from(e)],
            };
            let weights = plain_weights(image, c);
            let seen = match &c.transform {
                Transform::Dense(d) => weights
                    .chunks((d.outputs as usize).max(1))
                    .map(Reach::of)
                    .collect(),
                Transform::Convolution(conv) => convolution_fan_out(conv, &weights),
            };
            // A matrix without targets has no rows.
            let seen = |at: u16| seen.get(usize::from(at)).copied().unwrap_or_default();
            for (n, source) in counts.iter_mut().zip(0..=u16::MAX) {
                match &c.source {
                    SourceMap::Direct => n.add(seen(source)),
                    SourceMap::Window(window) => {
                        window.places(source).for_each(|at| n.add(seen(at)))
                    }
                    SourceMap::Table(table) => {
                        let place = image.table(*table).get(usize::from(source));
                        if let Some(&at) = place.filter(|at| **at != NOWHERE) {
                            n.add(seen(at));
                        }
                    }
                }
            }
        }
        fan_out
    }

    /// The weights that all sources of ensembles reach together, and those of inputs.
    fn totals(&self) -> (u64, u64) {
        let sum = |sources: &[Vec<Reach>]| {
            let all = sources.iter().flatten();
            all.map(|r| u64::from(r.weights)).sum()
        };
        (sum(&self.ensembles), sum(&self.inputs))
    }
}

impl Reach {
    fn of(row: &[i16]) -> Self {
        Self {
            weights: row.len() as u32,
            nonzero: row.iter().filter(|w| **w != 0).count() as u32,
        }
    }

    fn add(&mut self, other: Self) {
        self.weights = self.weights.saturating_add(other.weights);
        self.nonzero = self.nonzero.saturating_add(other.nonzero);
    }
}

/// A connection's weights in the order that its transform states.
pub(crate) fn plain_weights(image: &Image<'_>, c: &Connection) -> Vec<i16> {
    let weights = image.weights(c);
    let mut values = Vec::new();
    let mut push = |row: Option<Row<'_>>, len: usize| {
        let mut plain = vec![0; len];
        if let Some(row) = row {
            row.zip(&mut plain, |value, w| *value = w as i16);
        }
        values.extend(plain);
    };
    match &c.transform {
        Transform::Dense(d) => {
            let outputs = d.outputs as usize;
            for source in 0..d.inputs as usize {
                push(weights.dense_row(source, outputs), outputs);
            }
        }
        Transform::Convolution(conv) => {
            let [rows, columns] = conv.kernel.map(u32::from);
            for place in 0..rows * columns {
                for channel in 0..u32::from(conv.input[2]) {
                    let tap = weights.tap(conv, place / columns, place % columns, channel);
                    push(tap, usize::from(conv.row()));
                }
            }
        }
    }
    values
}

/// Weights that each place of a convolution's source reaches.
fn convolution_fan_out(conv: &Convolution, weights: &[i16]) -> Vec<Reach> {
    let [height, width, channels] = conv.input.map(usize::from);
    let rows: Vec<Reach> = weights
        .chunks(usize::from(conv.row()).max(1))
        .map(Reach::of)
        .collect();
    let taps = |axis: usize, size: usize| -> Vec<Vec<usize>> {
        (0..size).map(|place| taps(conv, axis, place)).collect()
    };
    let (vertical, horizontal) = (taps(0, height), taps(1, width));
    let columns = usize::from(conv.kernel[1]);
    let mut reached = vec![Reach::default(); height * width * channels];
    for (at, n) in reached.iter_mut().enumerate() {
        let (place, channel) = (at / channels, at % channels);
        for y in &vertical[place / width] {
            for x in &horizontal[place % width] {
                n.add(rows[(y * columns + x) * channels + channel]);
            }
        }
    }
    reached
}

/// Kernel indices along one axis through which targets see a source at `place`.
fn taps(conv: &Convolution, axis: usize, place: usize) -> Vec<usize> {
    let padded = place + usize::from(conv.padding[axis]);
    let [kernel, stride, dilation] =
        [conv.kernel[axis], conv.stride[axis], conv.dilation[axis]].map(usize::from);
    (0..usize::from(conv.output[axis]))
        .filter_map(|target| padded.checked_sub(target * stride))
        .filter(|at| *at < kernel * dilation && at.is_multiple_of(dilation))
        .map(|at| at / dilation)
        .collect()
}

/// Runs every sample of `data` through the image. `progress` is told how many more are done.
///
/// # Errors
/// [`EmulateError`] if the data does not fit the image, or more steps are asked for than the image has.
pub fn emulate(
    image: &Image<'_>,
    data: &DataSet,
    options: &EmulateOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Report, EmulateError> {
    let start = Instant::now();
    let run = run(image, data, 0..data.len(), options, progress)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(report(image, data, &run, seconds))
}

/// Runs the samples of `data` in `range` through the image. `progress` is told how many more are done.
///
/// # Errors
/// [`EmulateError`] if the data does not fit the image, or more steps are asked for than the image has.
pub fn run(
    image: &Image<'_>,
    data: &DataSet,
    range: Range<usize>,
    options: &EmulateOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Run, EmulateError> {
    let encoder = Encoder::new(image, data)?;
    run_encoded(image, data, range, options, &encoder, progress)
}

/// Runs the first samples, at most so many, of those that a network was fitted on.
///
/// # Errors
/// If the samples do not fit the image.
pub(crate) fn run_samples(
    image: &Image<'_>,
    samples: &calibrate::Samples,
    most: usize,
) -> Result<Run, EmulateError> {
    let count = samples.count.min(most);
    let sizes = samples.inputs.iter().map(|values| {
        let size = values.len() / samples.count.max(1);
        (values, size)
    });
    let sizes: Vec<(&Vec<f32>, usize)> = sizes.collect();
    let rows = (0..count).flat_map(|sample| {
        sizes
            .iter()
            .flat_map(move |(values, size)| &values[sample * size..(sample + 1) * size])
    });
    let size = sizes.iter().map(|(_, size)| size).sum();
    let rows = Samples::F32(rows.copied().collect());
    let data = DataSet::new(vec![size], rows, None);
    let data = data.ok_or(EmulateError::Samples)?;
    let encoder = Encoder::of_steps(image, &data, size)?;
    let options = EmulateOptions::default();
    run_encoded(image, &data, 0..count, &options, &encoder, &|_| {})
}

fn run_encoded(
    image: &Image<'_>,
    data: &DataSet,
    range: Range<usize>,
    options: &EmulateOptions,
    encoder: &Encoder,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Run, EmulateError> {
    let network = image.description();
    let steps = match options.steps {
        Some(asked) if asked == 0 || !network.goes_on(asked - 1) => {
            return Err(EmulateError::Steps {
                image: network.steps,
                asked,
            });
        }
        Some(asked) => asked,
        None => network.steps,
    };
    let setup = Setup {
        image,
        data,
        steps,
        early_exit: options.early_exit,
        record: options.record,
        encoder,
        fan_out: &FanOut::of(image),
        shows_steps: (network.outputs.iter()).any(|o| o.readout != Readout::Sum),
    };
    let starts: Vec<usize> = range.clone().step_by(CHUNK).collect();
    let parts = starts
        .par_iter()
        .map(|&from| {
            let to = (from + CHUNK).min(range.end);
            let part = run_chunk(&setup, from..to)?;
            progress((to - from) as u64);
            Ok::<_, EmulateError>(part)
        })
        .collect::<Result<Vec<Run>, _>>()?;
    let mut all = Run {
        trials: Vec::new(),
        ensembles: vec![Activity::default(); network.ensembles.len()],
        inputs: vec![Activity::default(); network.inputs.len()],
    };
    for part in parts {
        all.trials.extend(part.trials);
        for (a, b) in all.inputs.iter_mut().zip(&part.inputs) {
            a.add(b);
        }
        for (a, b) in all.ensembles.iter_mut().zip(&part.ensembles) {
            a.add(b);
        }
    }
    Ok(all)
}

/// Number of values of all inputs of an image together; of those with a coder, in a sample.
#[must_use]
pub fn input_size(image: &Image<'_>) -> usize {
    let network = image.description();
    let inputs = network.inputs.iter();
    let values = inputs.map(|input| network.coder.values(input.size as usize));
    values.sum()
}

/// The coder that an image states.
#[must_use]
pub fn coder_of(image: &Image<'_>) -> Option<coder::Coder> {
    let network = image.description();
    let unit = scale_value(network.inputs.first()?.scale);
    match network.coder {
        Coder::None => None,
        Coder::Delta { thresholds, most } => Some(coder::Coder::Delta {
            thresholds: image.table(thresholds).to_vec(),
            most,
            unit,
        }),
        Coder::Rate { .. } => Some(coder::Coder::Rate { unit }),
    }
}

/// The judge of an image's first output on a data set, if it has targets that fit.
#[must_use]
pub fn judge<'d>(image: &Image<'_>, data: &'d DataSet) -> Option<Judge<'d>> {
    let output = image.description().outputs.first()?;
    let judge = Judge::new(data, output.size as usize, THRESHOLD)?;
    Some(judge.behind(left_out(image)))
}

/// The function behind an image's first output that the image leaves out.
#[must_use]
pub fn left_out(image: &Image<'_>) -> Option<Head> {
    integers::head(image.description().outputs.first()?.left_out)
}

/// The values of an image's output after so many steps, in the network's units, from those of the engine.
pub fn in_units<'v>(
    image: &Image<'_>,
    output: usize,
    steps: usize,
    values: &'v [i32],
) -> impl Iterator<Item = f64> + use<'v> {
    let unit = image.description().outputs.get(output).map_or(0.0, |o| {
        let steps = match o.readout {
            Readout::Sum => steps.max(1),
            Readout::Shown { .. } => 1,
        };
        scale_value(o.scale) / steps as f64
    });
    values.iter().map(move |&v| f64::from(v) * unit)
}

/// The probabilities that values of an output stand for, in its network's units, those of a sample behind those of
/// another; `None` if the image leaves out no function of the output that makes probabilities.
#[must_use]
pub fn probabilities(image: &Image<'_>, output: usize, values: &[f32]) -> Option<Vec<f32>> {
    let output = image.description().outputs.get(output)?;
    let head = integers::head(output.left_out)?;
    let mut all = Vec::with_capacity(values.len());
    for sample in values.chunks_exact((output.size as usize).max(1)) {
        let sample: Vec<f64> = sample.iter().map(|&v| v.into()).collect();
        all.extend(head.probabilities(&sample)?.into_iter().map(|p| p as f32));
    }
    Some(all)
}

/// The means of a run over all of `data` that took `seconds`.
#[must_use]
pub fn report(image: &Image<'_>, data: &DataSet, run: &Run, seconds: f64) -> Report {
    let network = image.description();
    let images = run.trials.len();
    let mean = |sum: u64| sum as f64 / images.max(1) as f64;
    let mut all = Activity::default();
    for activity in &run.ensembles {
        all.add(activity);
    }
    let input = run.input();
    let steps: u64 = run.trials.iter().map(|t| t.steps() as u64).sum();
    let neurons: u64 = network.ensembles.iter().map(|e| u64::from(e.neurons)).sum();
    let updates = neurons * steps;
    let (mut weights, mut zeros) = (0, 0);
    for c in &network.connections {
        let plain = plain_weights(image, c);
        weights += plain.len() as u64;
        zeros += plain.iter().filter(|w| **w == 0).count() as u64;
    }
    let (from_ensembles, from_inputs) = FanOut::of(image).totals();
    let judge = judge(image, data);
    let figures = (judge.as_ref()).map_or_else(Figures::default, |judge| {
        let mut tally = Tally::default();
        for (sample, trial) in run.trials.iter().enumerate() {
            let outputs = in_units(image, 0, trial.steps(), &trial.outputs);
            judge.add(&mut tally, sample, outputs);
        }
        judge.figures(&tally)
    });
    Report {
        images,
        accuracy: figures.accuracy,
        error: figures.error,
        left_out: left_out(image),
        accuracy_mean_10: data
            .labels()
            .filter(|_| judge.is_some_and(|judge| judge.ranks()))
            .filter(|_| run.trials.iter().any(|t| t.mean.is_some()))
            .map(|labels| {
                let right = |(t, l): &(&Trial, &u32)| t.mean == Some(**l as usize);
                mean(run.trials.iter().zip(labels).filter(right).count() as u64)
            }),
        steps_mean: mean(steps),
        steps_max: run.trials.iter().map(Trial::steps).max().unwrap_or(0) as u16,
        events_per_image: mean(all.events),
        spikes_per_image: mean(all.spikes),
        synaptic_ops_per_image: mean(all.ops),
        input_ops_per_image: mean(input.ops),
        neuron_updates_per_image: mean(updates),
        neurobench: NeuroBench {
            footprint: (image.bytes().len() + image.arena_bytes()) as u64,
            connection_sparsity: zeros as f64 / weights.max(1) as f64,
            activation_sparsity: 1.0 - all.events as f64 / updates.max(1) as f64,
            effective_acs: mean(all.acs + input.acs),
            effective_macs: mean(all.macs + input.macs),
            dense_ops: from_inputs as f64 + from_ensembles as f64 * mean(steps),
        },
        images_per_second: images as f64 / seconds.max(1e-9),
        ensembles: network
            .ensembles
            .iter()
            .zip(&run.ensembles)
            .enumerate()
            .map(|(at, (e, activity))| EnsembleReport {
                label: network.ensemble_label(at).to_owned(),
                neurons: e.neurons as usize,
                events_per_image: mean(activity.events),
                spikes_per_image: mean(activity.spikes),
                synaptic_ops_per_image: mean(activity.ops),
            })
            .collect(),
    }
}

/// Setup that all chunks of a run share.
struct Setup<'a> {
    image: &'a Image<'a>,
    data: &'a DataSet,
    steps: u16,
    early_exit: bool,
    record: bool,
    encoder: &'a Encoder,
    fan_out: &'a FanOut,
    /// `true` if outputs show each step's value instead of a sum over all steps.
    shows_steps: bool,
}

/// The place of the largest value, the first of equals.
fn largest(values: &[i64]) -> usize {
    let first = (0..values.len()).rev();
    first.max_by_key(|&at| values[at]).unwrap_or(0)
}

fn run_chunk(setup: &Setup<'_>, samples: Range<usize>) -> Result<Run, EmulateError> {
    let Setup { image, data, .. } = *setup;
    let mut arena = vec![0u32; image.arena_bytes() / 4];
    let mut run = Run {
        inputs: vec![Activity::default(); image.description().inputs.len()],
        ..Run::default()
    };
    let mut counter = Counter {
        ensembles: vec![Activity::default(); image.description().ensembles.len()],
        spikes: Vec::new(),
        fan_out: setup.fan_out,
        most: (image.description().ensembles.iter())
            .map(|e| e.max_count.into())
            .collect(),
    };
    // The arena has the size that the image states.
    let Ok(mut engine) = HostEngine::new(image, &mut arena) else {
        return Ok(run);
    };
    let mut input = Vec::with_capacity(data.sample_size());
    // The outputs of the last steps, summed up.
    let mut window = vec![0i64; engine.output(0).sums().len()];
    for i in samples {
        let Some(sample) = data.sample(i) else { break };
        setup.encoder.encode(sample, &mut input);
        engine.reset();
        engine.set_inputs(&split(&image.description().inputs, &input))?;
        let mut trial = Trial::default();
        if setup.record {
            let ensembles = image.description().ensembles.iter();
            counter.spikes = ensembles.map(|e| vec![0; e.neurons as usize]).collect();
        }
        window.fill(0);
        for step in 0..setup.steps {
            engine.step_probed(&mut counter);
            let output = engine.output(0);
            if setup.shows_steps && step + WINDOW >= setup.steps {
                for (sum, value) in window.iter_mut().zip(output.values()) {
                    *sum += i64::from(value);
                }
            }
            trial.leads.push(Lead {
                class: output.class(),
                margin: output.margin(),
            });
            if setup.early_exit && engine.decided() {
                break;
            }
        }
        trial.outputs = engine.output(0).values().collect();
        trial.record = setup.record.then(|| Record {
            outputs: (0..image.description().outputs.len())
                .map(|output| engine.output(output).values().collect())
                .collect(),
            potentials: (0..counter.spikes.len())
                .map(|e| (0..).map_while(|n| engine.potential(e, n)).collect())
                .collect(),
            spikes: std::mem::take(&mut counter.spikes),
        });
        trial.mean = (setup.shows_steps && setup.steps >= WINDOW).then(|| largest(&window));
        run.trials.push(trial);
        let mut bytes = input.iter();
        let encodings = setup.encoder.inputs.iter().zip(&setup.fan_out.inputs);
        for (activity, (encoding, reaches)) in run.inputs.iter_mut().zip(encodings) {
            let zero = encoding.zero_point;
            for (reach, byte) in reaches.iter().zip(&mut bytes) {
                if *byte != zero {
                    activity.count(u64::from(byte.abs_diff(zero)), *reach);
                }
            }
        }
    }
    run.ensembles = counter.ensembles;
    Ok(run)
}
