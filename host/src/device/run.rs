//! An image on a device over a data set, held to the emulator on this machine: every spike count and every
//! output, to the bit; and if they part, to the neuron.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use tinyspike_firmware::hashes::Hashes;
use tinyspike_firmware::trace::split;
use tinyspike_firmware::{EngineError, Event, InputError, Probe};
use tinyspike_shared::accept::Refusal;
use tinyspike_shared::wire::{Count, Watch};

use super::session::{Identity, Inference, Link, Session, SessionError, StackUse};
use crate::assemble::{Image, MAX_ENSEMBLES};
use crate::bench::Spread;
use crate::data::DataSet;
use crate::emulate::{EmulateError, Encoder, FanOut, HostEngine, in_units, input_size, judge};
use crate::judge::{self, Deviation, Figures, Judge};
use crate::simulate::Readout;

/// Options of a run on a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunOptions {
    /// True to compare every potential and sum after every step, too.
    pub bisect: bool,
}

/// Reason why a data set was not run on a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The data does not fit the image.
    #[error(transparent)]
    Data(#[from] EmulateError),
    /// The emulator refuses an input.
    #[error("sample {sample}: {source}")]
    Input {
        /// The sample, from 0.
        sample: usize,
        /// The reason.
        source: InputError,
    },
    /// The device runs another image.
    #[error("the device runs an image with the checksum {device:08x}, not this one ({host:08x})")]
    OtherImage {
        /// The checksum of the device's image.
        device: u32,
        /// The checksum of this image.
        host: u32,
    },
    /// The device does not run its image.
    #[error("the device does not run its image: {0}")]
    NoImage(#[from] Refusal),
    /// The conversation failed.
    #[error("{}{source}", sample.map_or(String::new(), |s| format!("sample {s}: ")))]
    Session {
        /// Number of the sample, from 0; `None` if it was at none.
        sample: Option<usize>,
        /// The reason.
        source: SessionError,
    },
    /// The emulator does not run the image, which parsing and its whole engine exclude.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<SessionError> for RunError {
    fn from(source: SessionError) -> Self {
        Self::Session {
            sample: None,
            source,
        }
    }
}

/// A run so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Samples.
    pub samples: usize,
    /// The figures of these samples.
    pub figures: Figures,
    /// Counts of each ensemble in the last sample.
    pub counts: Vec<Count>,
    /// Each output for the last sample, in the network's units.
    pub outputs: Vec<Vec<f64>>,
}

/// Outcome of a run on a device. Means are per sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// Number of samples that were run.
    pub images: usize,
    /// The share of classes that the device has right, see [`Judge`]; `None` if there are none.
    pub accuracy: Option<f64>,
    /// The errors of the device's first output, if its targets are values.
    #[serde(flatten)]
    pub error: Option<Deviation>,
    /// Number of steps of an inference.
    pub steps_mean: f64,
    /// Events beyond the input.
    pub events_per_image: f64,
    /// Spikes: events times their counts.
    pub spikes_per_image: f64,
    /// Each ensemble's share.
    pub ensembles: Vec<EnsembleActivity>,
    /// Ticks of the device for whole inferences: setting the input and all steps. Watching costs some.
    pub ticks: Spread,
    /// The device's stack.
    pub stack: StackUse,
    /// Samples per second, the connection included.
    pub images_per_second: f64,
    /// The first difference between device and emulator; `None` if there is none.
    pub divergence: Option<Divergence>,
}

impl RunReport {
    /// The first difference in words, if there is one.
    #[must_use]
    pub fn parting(&self) -> Option<String> {
        let divergence = self.divergence.as_ref()?;
        Some(format!("device and emulator part at {divergence}"))
    }
}

/// An ensemble's share on the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnsembleActivity {
    /// Its label.
    pub label: String,
    /// Number of its neurons.
    pub neurons: u32,
    /// Events per sample.
    pub events_per_image: f64,
    /// Spikes per sample.
    pub spikes_per_image: f64,
}

/// The first thing that a device did otherwise than the emulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The sample, from 0.
    pub sample: usize,
    /// The step, from 0.
    pub step: u16,
    /// The label of the ensemble or output.
    pub layer: String,
    /// The difference.
    pub quantity: Quantity,
    /// The neuron, or the output's place.
    pub neuron: usize,
    /// The device's value.
    pub device: i64,
    /// The emulator's value.
    pub host: i64,
}

/// The part of a neuron that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Number of spikes in the step.
    Spikes,
    /// Its potential less the threshold, after the step.
    Potential,
    /// The output's value after the step.
    Value,
    /// A hash of the whole layer, in which no single value can be shown to differ.
    Hash,
    /// The number of steps of the inference.
    Steps,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sample,
            step,
            layer,
            quantity,
            neuron,
            device,
            host,
        } = self;
        write!(f, "sample {sample}, step {step}, layer {layer:?}")?;
        match quantity {
            Quantity::Spikes => write!(
                f,
                ", neuron {neuron}: {device} spikes on the device, {host} in the emulator"
            ),
            Quantity::Potential => write!(
                f,
                ", neuron {neuron}: potential {device} on the device, {host} in the emulator"
            ),
            Quantity::Value => write!(
                f,
                ", place {neuron}: value {device} on the device, {host} in the emulator"
            ),
            Quantity::Hash => write!(
                f,
                ": hash {device:08x} on the device, {host:08x} in the emulator"
            ),
            Quantity::Steps => write!(f, ": {device} steps on the device, {host} in the emulator"),
        }
    }
}

/// The device's identity, if it runs this image.
///
/// # Errors
/// [`RunError::NoImage`] or [`RunError::OtherImage`] if it does not, [`RunError::Session`] if it does not answer.
pub fn check<L: Link>(session: &mut Session<L>, image: &Image<'_>) -> Result<Identity, RunError> {
    let identity = session.hello()?;
    let (device, host) = (identity.image?.checksum, image.header().checksum);
    if device == host {
        Ok(identity)
    } else {
        Err(RunError::OtherImage { device, host })
    }
}

/// Runs samples on a device and in the emulator, up to the first difference.
///
/// # Errors
/// [`RunError`], if the data does not fit the image or the device does not answer.
pub fn run<L: Link>(
    session: &mut Session<L>,
    image: &Image<'_>,
    data: &DataSet,
    options: &RunOptions,
    progress: &mut dyn FnMut(&Tally),
) -> Result<RunReport, RunError> {
    let encoder = Encoder::new(image, data)?;
    let samples = (0..data.len()).filter_map(|i| data.sample(i));
    let inputs = samples.map(|sample| {
        let mut bytes = Vec::new();
        encoder.encode(sample, &mut bytes);
        bytes
    });
    compare(
        session,
        image,
        inputs,
        judge(image, data).as_ref(),
        options.bisect,
        progress,
    )
}

/// Has a device run an inference, beside the emulator. The largest input excites the most neurons.
pub(super) fn try_out<L: Link>(
    session: &mut Session<L>,
    image: &Image<'_>,
) -> Result<RunReport, RunError> {
    let inputs = image.description().inputs.iter();
    let largest = inputs.flat_map(|input| vec![input.max; input.size as usize]);
    let input = [largest.collect()];
    compare(session, image, input, None, false, &mut |_| ())
}

/// Runs inputs on a device and in the emulator, up to the first difference. Each has the bytes of all
/// inputs of the network, one after another.
///
/// # Errors
/// [`RunError`], if an input does not fit the image or the device does not answer.
pub fn compare<L: Link>(
    session: &mut Session<L>,
    image: &Image<'_>,
    inputs: impl IntoIterator<Item = Vec<u8>>,
    judge: Option<&Judge<'_>>,
    bisect: bool,
    progress: &mut dyn FnMut(&Tally),
) -> Result<RunReport, RunError> {
    let watch = if bisect { Watch::Hashes } else { Watch::Counts };
    let mut emulator = Emulator::new(image)?;
    let mut so_far = SoFar::new(image, judge);
    for (sample, input) in inputs.into_iter().enumerate() {
        let refused = |source| RunError::Input { sample, source };
        let expected = emulator.infer(&input).map_err(refused)?;
        let failed = |source| RunError::Session {
            sample: Some(sample),
            source,
        };
        session.set_input(&input).map_err(failed)?;
        let work = emulator.work(&expected);
        let found = session.infer(watch, work).map_err(failed)?;
        if !expected.is(&found) {
            let place = locate(session, &mut emulator, &input, work, &expected, &found);
            let mut place = place.map_err(failed)?;
            place.sample = sample;
            so_far.divergence = Some(place);
            break;
        }
        so_far.ticks.push(found.all_ticks());
        let outputs = 0..found.outputs.len();
        let outputs = outputs.map(|at| output(image, &found, at)).collect();
        progress(so_far.add(found.steps.into(), outputs, found.counts));
    }
    so_far.report(session, image)
}

/// Recordings on a device and in the emulator, step by step, up to the first difference.
///
/// `data` has samples of the shape `[steps, ..]`. Each begins at rest, unless the run is `stateful`. Spike counts,
/// outputs and hashes of all states are compared after each step. In the report, ticks are those of a step with
/// its input, and events and spikes those of a sample.
///
/// # Errors
/// [`RunError`], if the data does not fit the image or the device does not answer.
pub fn stream<L: Link>(
    session: &mut Session<L>,
    image: &Image<'_>,
    data: &DataSet,
    options: StreamOptions,
    progress: &mut dyn FnMut(&Tally),
) -> Result<RunReport, RunError> {
    let network = image.description();
    let size = input_size(image);
    let encoder = Encoder::of_steps(image, data, size)?;
    let steps = data.sample_size() / size.max(1);
    if steps * size != data.sample_size() {
        return Err(EmulateError::size(image, data).into());
    }
    let emulator = Emulator::new(image)?;
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(image, &mut arena)?;
    let judge = judge(image, data);
    let mut so_far = SoFar::new(image, judge.as_ref());
    let mut bytes = Vec::new();
    'samples: for sample in 0..data.len() {
        let Some(values) = data.sample(sample) else {
            break;
        };
        let mut shown = vec![Vec::new(); network.outputs.len()];
        let mut counts = vec![Count::default(); network.ensembles.len()];
        for step in 0..steps {
            encoder.encode(values.part(step * size..(step + 1) * size), &mut bytes);
            let from_rest = step == 0 && (sample == 0 || !options.stateful);
            if from_rest {
                engine.reset();
            }
            let refused = |source| RunError::Input { sample, source };
            let expected = emulator.advance(&mut engine, &bytes).map_err(refused)?;
            let failed = |source| RunError::Session {
                sample: Some(sample),
                source,
            };
            session.set_input(&bytes).map_err(failed)?;
            let work = emulator.work(&expected);
            let found = session
                .advance(from_rest, Watch::Hashes, work)
                .map_err(failed)?;
            if !expected.is(&found) {
                let mut place = emulator
                    .difference(session, &engine, &expected, &found)
                    .map_err(failed)?;
                (place.sample, place.step) = (sample, step.min(usize::from(u16::MAX)) as u16);
                so_far.divergence = Some(place);
                break 'samples;
            }
            for (total, count) in counts.iter_mut().zip(&found.counts) {
                total.events = total.events.saturating_add(count.events);
                total.spikes = total.spikes.saturating_add(count.spikes);
            }
            so_far.ticks.push(found.all_ticks());
            for (at, shown) in shown.iter_mut().enumerate() {
                shown.extend(output(image, &found, at).iter().map(|v| *v as f32));
            }
        }
        let outputs = (shown.iter().zip(&network.outputs))
            .map(|(shown, o)| options.readout.of(shown, o.size as usize))
            .collect();
        progress(so_far.add(steps, outputs, counts));
    }
    so_far.report(session, image)
}

/// Options of a run over recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// The result of the first output.
    pub readout: Readout,
    /// `true` to go on from sample to sample, instead of from rest.
    pub stateful: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count64 {
    events: u64,
    spikes: u64,
}

/// Samples so far, in which device and emulator agree.
struct SoFar<'d> {
    judge: Option<&'d Judge<'d>>,
    judged: judge::Tally,
    tally: Tally,
    totals: Vec<Count64>,
    /// Steps of all samples.
    steps: usize,
    /// Ticks of each inference, or over time of each step.
    ticks: Vec<u64>,
    start: Instant,
    divergence: Option<Divergence>,
}

impl<'d> SoFar<'d> {
    fn new(image: &Image<'_>, judge: Option<&'d Judge<'d>>) -> Self {
        Self {
            judge,
            judged: judge::Tally::default(),
            tally: Tally::default(),
            totals: vec![Count64::default(); image.description().ensembles.len()],
            steps: 0,
            ticks: Vec::new(),
            start: Instant::now(),
            divergence: None,
        }
    }

    /// Takes up a sample of so many steps: its outputs, and the counts of each ensemble.
    fn add(&mut self, steps: usize, outputs: Vec<Vec<f64>>, counts: Vec<Count>) -> &Tally {
        if let (Some(judge), Some(first)) = (self.judge, outputs.first()) {
            let sample = self.tally.samples;
            judge.add(&mut self.judged, sample, first.iter().copied());
            self.tally.figures = judge.figures(&self.judged);
        }
        for (total, count) in self.totals.iter_mut().zip(&counts) {
            total.events += u64::from(count.events);
            total.spikes += u64::from(count.spikes);
        }
        self.steps += steps;
        self.tally.samples += 1;
        self.tally.outputs = outputs;
        self.tally.counts = counts;
        &self.tally
    }

    fn report<L: Link>(
        self,
        session: &mut Session<L>,
        image: &Image<'_>,
    ) -> Result<RunReport, RunError> {
        let seconds = self.start.elapsed().as_secs_f64();
        let (tally, totals) = (&self.tally, &self.totals);
        let images = tally.samples.max(1) as f64;
        let sum = |of: fn(&Count64) -> u64| totals.iter().map(of).sum::<u64>() as f64 / images;
        let network = image.description();
        let ensembles = network.ensembles.iter().zip(totals).enumerate();
        Ok(RunReport {
            images: tally.samples,
            accuracy: tally.figures.accuracy,
            error: tally.figures.error,
            steps_mean: self.steps as f64 / images,
            events_per_image: sum(|t| t.events),
            spikes_per_image: sum(|t| t.spikes),
            ensembles: ensembles
                .map(|(index, (ensemble, total))| EnsembleActivity {
                    label: network.ensemble_label(index).to_owned(),
                    neurons: ensemble.neurons,
                    events_per_image: total.events as f64 / images,
                    spikes_per_image: total.spikes as f64 / images,
                })
                .collect(),
            ticks: Spread::of(self.ticks),
            stack: session.stack()?,
            images_per_second: tally.samples as f64 / seconds.max(1e-9),
            divergence: self.divergence,
        })
    }
}

/// An output of an inference, in the network's units.
pub(super) fn output(image: &Image<'_>, found: &Inference, at: usize) -> Vec<f64> {
    let values = found.outputs.get(at).map_or(&[][..], Vec::as_slice);
    in_units(image, at, found.steps.into(), values).collect()
}

/// Finds the first step, layer and neuron in which device and emulator differ on an input, of which a whole
/// inference did. The divergence is of sample 0.
fn locate<L: Link>(
    session: &mut Session<L>,
    emulator: &mut Emulator<'_>,
    input: &[u8],
    work: Duration,
    expected: &Expected,
    found: &Inference,
) -> Result<Divergence, SessionError> {
    let image = emulator.image;
    let ensembles = image.description().ensembles.len();
    let divergence = |step: u16, layer, quantity, neuron, device, host| Divergence {
        sample: 0,
        step,
        layer: label(image, layer),
        quantity,
        neuron,
        device,
        host,
    };
    for step in 0..found.steps.max(expected.steps()) {
        // The emulator takes the steps that the device takes.
        let Some(here) = emulator.step(input, step) else {
            break;
        };
        let there = session.step(step, Watch::Hashes, work)?;
        let hashes = there.hashes.first().map_or(&[][..], Vec::as_slice);
        let differs = (here.hashes.iter().zip(hashes)).position(|(a, b)| a != b);
        let Some(layer) = differs else { continue };
        if layer < ensembles {
            // Asked for again, the device takes the same steps again.
            let there = session.step(step, Watch::Spikes, work)?;
            let events = there.spikes.first().and_then(|step| step.get(layer));
            let events = events.map_or(&[][..], Vec::as_slice);
            let expected = here.spikes.get(layer).map_or(&[][..], Vec::as_slice);
            if let Some((neuron, device, host)) = first_event(events, expected) {
                let spikes = Quantity::Spikes;
                return Ok(divergence(step, layer, spikes, neuron, device, host));
            }
            let potentials = session.potentials(layer as u8)?;
            let expected = emulator.potentials(layer);
            if let Some((neuron, device, host)) = first_value(&potentials, &expected) {
                let potential = Quantity::Potential;
                return Ok(divergence(step, layer, potential, neuron, device, host));
            }
        } else {
            let output = layer - ensembles;
            let device = there.outputs.get(output).map_or(&[][..], Vec::as_slice);
            let host = here.outputs.get(output).map_or(&[][..], Vec::as_slice);
            if let Some((place, device, host)) = first_value(device, host) {
                let value = Quantity::Value;
                return Ok(divergence(step, layer, value, place, device, host));
            }
        }
        let hash = |list: &[u32]| list.get(layer).map_or(0, |&h| i64::from(h));
        let (device, host) = (hash(hashes), hash(&here.hashes));
        return Ok(divergence(step, layer, Quantity::Hash, 0, device, host));
    }
    // Step by step they agree: the device ended its inference elsewhere, or says so.
    let (device, host) = (found.steps, expected.steps());
    let step = device.min(host).saturating_sub(1);
    if device != host {
        let (device, host) = (device.into(), host.into());
        return Ok(divergence(
            step,
            ensembles,
            Quantity::Steps,
            0,
            device,
            host,
        ));
    }
    for (output, (device, host)) in found.outputs.iter().zip(&expected.outputs).enumerate() {
        if let Some((place, device, host)) = first_value(device, host) {
            let layer = ensembles + output;
            let value = Quantity::Value;
            return Ok(divergence(step, layer, value, place, device, host));
        }
    }
    for (layer, (device, host)) in found.counts.iter().zip(&expected.counts).enumerate() {
        if device != host {
            let (device, host) = (device.spikes.into(), host.spikes.into());
            return Ok(divergence(step, layer, Quantity::Spikes, 0, device, host));
        }
    }
    Ok(divergence(step, ensembles, Quantity::Hash, 0, 0, 0))
}

/// The label of a layer: ensembles come first, then outputs.
fn label(image: &Image<'_>, layer: usize) -> String {
    let network = image.description();
    match layer.checked_sub(network.ensembles.len()) {
        None => network.ensemble_label(layer).to_owned(),
        Some(output) => network.output_label(output).to_owned(),
    }
}

/// The first place at which two lists differ, and what they have there; 0 if one ends.
fn first_value(device: &[i32], host: &[i32]) -> Option<(usize, i64, i64)> {
    let length = device.len().max(host.len());
    let at = |list: &[i32], place: usize| list.get(place).map_or(0, |&v| i64::from(v));
    (0..length)
        .map(|place| (place, at(device, place), at(host, place)))
        .find(|(place, a, b)| a != b || device.get(*place).is_some() != host.get(*place).is_some())
}

/// The first neuron whose spikes differ, and how many there are.
fn first_event(device: &[Event], host: &[Event]) -> Option<(usize, i64, i64)> {
    let place = (0..device.len().max(host.len())).find(|&i| device.get(i) != host.get(i))?;
    let neuron = [device.get(place), host.get(place)]
        .into_iter()
        .flatten()
        .map(|event| event.source)
        .min()?;
    let spikes = |events: &[Event]| {
        let event = events.iter().find(|event| event.source == neuron);
        event.map_or(0, |event| i64::from(event.value))
    };
    Some((neuron.into(), spikes(device), spikes(host)))
}

/// An inference as it is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    counts: Vec<Count>,
    pub(super) outputs: Vec<Vec<i32>>,
    /// Hashes by step and layer.
    hashes: Vec<Vec<u32>>,
    /// Weights that it touches.
    operations: u64,
}

impl Expected {
    fn steps(&self) -> u16 {
        self.hashes.len() as u16
    }

    /// Adds the step that an engine has just taken.
    fn add(
        &mut self,
        record: &Record,
        engine: &HostEngine<'_>,
        image: &Image<'_>,
        fan_out: &FanOut,
    ) {
        let step = self.steps();
        for ((ensemble, count), events) in (self.counts.iter_mut().enumerate()).zip(&record.spikes)
        {
            count.events += events.len() as u32;
            for event in events {
                count.spikes += u32::from(event.value.unsigned_abs());
                let reach = fan_out.ensembles.get(ensemble);
                let reach = reach.and_then(|e| e.get(usize::from(event.source)));
                self.operations += reach.map_or(0, |r| u64::from(r.weights));
            }
        }
        self.hashes
            .push(record.hashes.layers(image, engine, step).collect());
    }

    /// Tells whether a device's inference is this.
    fn is(&self, found: &Inference) -> bool {
        found.steps == self.steps()
            && found.counts == self.counts
            && found.outputs == self.outputs
            && (found.hashes.is_empty() || found.hashes == self.hashes)
    }
}

/// A step as it is to be.
#[derive(Clone, Debug, Default)]
struct ExpectedStep {
    spikes: Vec<Vec<Event>>,
    hashes: Vec<u32>,
    outputs: Vec<Vec<i32>>,
}

/// The engine on this machine, which says all that a device may be asked for.
pub(super) struct Emulator<'i> {
    image: &'i Image<'i>,
    arena: Vec<u32>,
    fan_out: FanOut,
    /// Weights that all places of the inputs reach.
    driven: u64,
    /// The potentials of each ensemble after the last step that was asked for.
    potentials: Vec<Vec<i32>>,
}

impl<'i> Emulator<'i> {
    pub(super) fn new(image: &'i Image<'i>) -> Result<Self, EngineError> {
        let mut arena = vec![0; image.arena_bytes() / 4];
        HostEngine::new(image, &mut arena)?;
        let fan_out = FanOut::of(image);
        let reaches = fan_out.inputs.iter().flatten();
        Ok(Self {
            image,
            arena,
            driven: reaches.map(|reach| u64::from(reach.weights)).sum(),
            fan_out,
            potentials: Vec::new(),
        })
    }

    /// The whole inference on an input.
    pub(super) fn infer(&mut self, input: &[u8]) -> Result<Expected, InputError> {
        let mut expected = Expected {
            counts: vec![Count::default(); self.image.description().ensembles.len()],
            ..Expected::default()
        };
        expected.operations = self.driven;
        let (image, fan_out) = (self.image, &self.fan_out);
        let Ok(mut engine) = HostEngine::new(image, &mut self.arena) else {
            return Ok(expected);
        };
        engine.set_inputs(&split(&image.description().inputs, input))?;
        loop {
            let mut record = Record::new(image);
            if !engine.step_probed(&mut record) {
                break;
            }
            expected.add(&record, &engine, image, fan_out);
            // Of a stream a device takes one step.
            if engine.decided() || image.description().steps == 0 {
                break;
            }
        }
        expected.outputs = outputs(image, &engine);
        Ok(expected)
    }

    /// The next step of an engine on an input, which is to be a device's.
    pub(super) fn advance(
        &self,
        engine: &mut HostEngine<'_>,
        input: &[u8],
    ) -> Result<Expected, InputError> {
        let network = self.image.description();
        engine.set_inputs(&split(&network.inputs, input))?;
        let mut record = Record::new(self.image);
        engine.step_probed(&mut record);
        let mut expected = Expected {
            counts: vec![Count::default(); network.ensembles.len()],
            operations: self.driven,
            ..Expected::default()
        };
        expected.add(&record, engine, self.image, &self.fan_out);
        expected.outputs = outputs(self.image, engine);
        Ok(expected)
    }

    /// The first difference of a device's step from an engine's. The divergence is of step 0 of sample 0.
    fn difference<L: Link>(
        &self,
        session: &mut Session<L>,
        engine: &HostEngine<'_>,
        expected: &Expected,
        found: &Inference,
    ) -> Result<Divergence, SessionError> {
        let place = |layer, quantity, neuron, device, host| Divergence {
            sample: 0,
            step: 0,
            layer: label(self.image, layer),
            quantity,
            neuron,
            device,
            host,
        };
        let ensembles = expected.counts.len();
        for (layer, (device, host)) in found.counts.iter().zip(&expected.counts).enumerate() {
            if device != host {
                let (device, host) = (device.spikes.into(), host.spikes.into());
                return Ok(place(layer, Quantity::Spikes, 0, device, host));
            }
            let device = session.potentials(layer as u8)?;
            let host: Vec<i32> = (0..).map_while(|n| engine.potential(layer, n)).collect();
            if let Some((neuron, device, host)) = first_value(&device, &host) {
                return Ok(place(layer, Quantity::Potential, neuron, device, host));
            }
        }
        for (output, (device, host)) in found.outputs.iter().zip(&expected.outputs).enumerate() {
            if let Some((neuron, device, host)) = first_value(device, host) {
                let layer = ensembles + output;
                return Ok(place(layer, Quantity::Value, neuron, device, host));
            }
        }
        let hashes = found
            .hashes
            .iter()
            .flatten()
            .zip(expected.hashes.iter().flatten());
        let differs = hashes
            .enumerate()
            .find(|(_, (device, host))| device != host);
        let (layer, (&device, &host)) = differs.unwrap_or((ensembles, (&0, &0)));
        Ok(place(layer, Quantity::Hash, 0, device.into(), host.into()))
    }

    /// One step on an input, which the engine has taken before; `None` if there is none.
    fn step(&mut self, input: &[u8], at: u16) -> Option<ExpectedStep> {
        let image = self.image;
        let mut engine = HostEngine::new(image, &mut self.arena).ok()?;
        let inputs = split(&image.description().inputs, input);
        engine.set_inputs(&inputs).ok()?;
        for _ in 0..at {
            engine.step();
        }
        let mut record = Record::new(image);
        if !engine.step_probed(&mut record) {
            return None;
        }
        let ensembles = image.description().ensembles.len();
        self.potentials = (0..ensembles)
            .map(|e| (0..).map_while(|n| engine.potential(e, n)).collect())
            .collect();
        Some(ExpectedStep {
            hashes: record.hashes.layers(image, &engine, at).collect(),
            outputs: outputs(image, &engine),
            spikes: record.spikes,
        })
    }

    fn potentials(&self, ensemble: usize) -> Vec<i32> {
        self.potentials.get(ensemble).cloned().unwrap_or_default()
    }

    /// Time that a slow device may take for an inference.
    pub(super) fn work(&self, expected: &Expected) -> Duration {
        let ensembles = &self.image.description().ensembles;
        let neurons: u64 = ensembles.iter().map(|e| u64::from(e.neurons)).sum();
        let updates = neurons * u64::from(expected.steps());
        Duration::from_micros(SLOWEST_US * (expected.operations + updates))
    }
}

/// Time that a slow core may take for one weight or one neuron, in microseconds, with some to spare.
const SLOWEST_US: u64 = 10;

fn outputs(image: &Image<'_>, engine: &HostEngine<'_>) -> Vec<Vec<i32>> {
    (0..image.description().outputs.len())
        .map(|output| engine.output(output).values().collect())
        .collect()
}

/// Spikes of an engine in a step.
struct Record {
    spikes: Vec<Vec<Event>>,
    hashes: Hashes<MAX_ENSEMBLES>,
}

impl Record {
    fn new(image: &Image<'_>) -> Self {
        Self {
            spikes: vec![Vec::new(); image.description().ensembles.len()],
            hashes: Hashes::new(),
        }
    }
}

impl Probe for Record {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        if let Some(all) = self.spikes.get_mut(ensemble) {
            all.extend_from_slice(events);
        }
        self.hashes.spikes(ensemble, events);
    }
}
