//! An image that runs without end, over data with an axis of time: the device's own engine, step by step.
//!
//! What comes out has the form of a float simulation's ([`simulate::Run`](crate::simulate::Run)), so that both are
//! judged, recorded and compared alike.

use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;
use serde::{Serialize, Serializer};
use tinyspike_firmware::trace::split;
use tinyspike_firmware::{Event, Probe};
use tinyspike_shared::image::{Firing, Post, Pre, Readout as Shows, Transform};

use crate::assemble::{Image, scale_value};
use crate::data::DataSet;
use crate::emulate::{self, EmulateError, Encoder, HostEngine, input_size, plain_weights};
use crate::judge::{Deviation, Figures, Tally};
use crate::simulate::{EnsembleData, ProbeData, Readout, Run};
use crate::simulation::{self, SimulationError};
use crate::tensor::Tensor;

/// Tells whether an image has neurons that keep their state from step to step, and takes an input for each.
#[must_use]
pub fn is_current_based(image: &Image<'_>) -> bool {
    let ensembles = &image.description().ensembles;
    ensembles.iter().any(|e| e.current_based().is_some())
}

/// Recordings as one input after another, each a step; `None` if their steps are no inputs of the image.
#[must_use]
pub fn as_steps(image: &Image<'_>, recordings: &DataSet) -> Option<DataSet> {
    let steps = DataSet::new(vec![input_size(image)], recordings.samples().clone(), None)?;
    Some(steps.with_byte_scale(recordings.byte_scale()))
}

/// The result of an image's first output unless another is asked for: of spikes their sum, else the last value.
#[must_use]
pub fn readout(image: &Image<'_>) -> Readout {
    let network = image.description();
    let mut into = network
        .connections
        .iter()
        .filter(|c| c.post == Post::Output(0));
    let (Some(c), None) = (into.next(), into.next()) else {
        return Readout::Last;
    };
    let spikes = match c.pre {
        Pre::Ensemble(e) => {
            let e = network
                .ensembles
                .get(usize::from(e))
                .and_then(|e| e.current_based());
            e.is_some_and(|kind| kind.firing != Firing::Never)
        }
        Pre::Input(_) | Pre::Counts(_) => false,
    };
    // An output of neurons themselves has a weight for each of them.
    let outputs = network.outputs.first().map_or(0, |o| o.size);
    let own = match &c.transform {
        Transform::Dense(dense) => {
            let columns = dense.outputs as usize;
            let diagonal = |(at, w): (usize, &i16)| (*w != 0) == (at / columns == at % columns);
            dense.inputs == outputs
                && dense.outputs == outputs
                && plain_weights(image, c).iter().enumerate().all(diagonal)
        }
        Transform::Convolution(conv) => {
            conv.kernel == [1, 1]
                && conv.input == conv.output
                && conv.groups == conv.input[2]
                && conv.stride == [1, 1]
                && c.transform.outputs() == Some(outputs)
        }
    };
    if spikes && own {
        Readout::Sum
    } else {
        Readout::Last
    }
}

/// Settings of a run over recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// `true` to keep the spikes and potentials of each step.
    pub record: bool,
    /// `true` to go on from sample to sample, instead of from rest.
    pub stateful: bool,
}

/// Runs samples of so many steps each through an image.
///
/// `data` has samples of the shape `[steps, ..]`; without time, of the inputs' size, the same in each step. Potentials
/// are V in units of the image, as the last step has left it: decayed for the next one.
///
/// # Errors
/// [`EmulateError`], if the data does not fit the image.
pub fn run(
    image: &Image<'_>,
    data: &DataSet,
    samples: Range<usize>,
    steps: usize,
    options: StreamOptions,
) -> Result<Run, EmulateError> {
    let began = Instant::now();
    let inputs = &image.description().inputs;
    let size = input_size(image);
    let over_time = data.sample_size() != size;
    let fits = !over_time || data.sample_size() >= size.saturating_mul(steps);
    if !fits || inputs.len() != 1 && over_time {
        return Err(EmulateError::size(image, data));
    }
    let encoder = Encoder::of_steps(image, data, size)?;
    let one = |samples: Range<usize>| -> Result<Tape, EmulateError> {
        let mut tape = Tape::new(image, options.record);
        let mut arena = vec![0u32; image.arena_bytes() / 4];
        // The arena has the size that the image states.
        let Ok(mut engine) = HostEngine::new(image, &mut arena) else {
            return Ok(tape);
        };
        let mut bytes = Vec::with_capacity(size);
        for sample in samples {
            let Some(sample) = data.sample(sample) else {
                break;
            };
            if !options.stateful {
                engine.reset();
            }
            for step in 0..steps {
                let from = if over_time { step * size } else { 0 };
                encoder.encode(sample.part(from..from + size), &mut bytes);
                engine.set_inputs(&split(inputs, &bytes))?;
                tape.start();
                engine.step_probed(&mut tape);
                tape.end(image, &engine);
            }
        }
        Ok(tape)
    };
    let tapes = if options.stateful {
        vec![one(samples.clone())?]
    } else {
        let each: Vec<usize> = samples.clone().collect();
        let tapes = each.into_par_iter().map(|sample| one(sample..sample + 1));
        tapes.collect::<Result<Vec<_>, _>>()?
    };
    let items = samples.end.min(data.len()).saturating_sub(samples.start);
    Ok(collect(image, &tapes, items, steps, began))
}

/// Samples that run at a time, unless the network goes on from one to the next.
const BLOCK: usize = 256;

/// Result of a run over recordings.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// Number of samples.
    pub samples: usize,
    /// Steps of each.
    pub steps: usize,
    /// Result of an output that was judged.
    #[serde(serialize_with = "shown")]
    pub readout: Readout,
    /// Measures against targets.
    pub accuracy: Option<f64>,
    /// The same for values.
    pub error: Option<Deviation>,
    /// Activity of each ensemble.
    pub ensembles: Vec<EnsembleSpikes>,
    /// Steps of samples in a second.
    pub sample_steps_per_second: f64,
}

/// Activity of an ensemble.
#[derive(Clone, Debug, Serialize)]
pub struct EnsembleSpikes {
    /// Its label.
    pub label: String,
    /// Number of neurons.
    pub neurons: u32,
    /// Spikes of all neurons in a step, in the mean.
    pub spikes_per_step: f64,
}

fn shown<S: Serializer>(readout: &Readout, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(readout)
}

impl StreamReport {
    /// Measures against targets.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            accuracy: self.accuracy,
            error: self.error,
        }
    }
}

/// The steps of each sample: those that are asked for, or as many as the data has.
///
/// # Errors
/// [`SimulationError`], if the data has fewer, or none and no number is asked for.
pub fn steps(
    image: &Image<'_>,
    data: &DataSet,
    asked: Option<usize>,
) -> Result<usize, SimulationError> {
    let size = input_size(image);
    let all = data.sample_size();
    simulation::steps(asked, (all != size).then(|| all / size.max(1)))
}

/// Runs all samples, of so many steps each, and judges the first output. `visit` is handed each block's run.
///
/// # Errors
/// [`EmulateError`], as of [`run`].
pub fn report(
    image: &Image<'_>,
    data: &DataSet,
    steps: usize,
    options: StreamOptions,
    readout: Readout,
    visit: &mut dyn FnMut(&Run),
) -> Result<StreamReport, EmulateError> {
    let judge = emulate::judge(image, data);
    let mut tally = Tally::default();
    let network = image.description();
    let mut spikes = vec![0u64; network.ensembles.len()];
    let began = Instant::now();
    let block = match options.stateful {
        true => data.len().max(1),
        false => BLOCK,
    };
    for from in (0..data.len()).step_by(block) {
        let samples = from..data.len().min(from + block);
        let run = run(image, data, samples, steps, options)?;
        if let (Some(judge), Some(output)) = (&judge, run.probes.first()) {
            judge.add_all(&mut tally, from, output.results(readout));
        }
        for (sum, ensemble) in spikes.iter_mut().zip(&run.ensembles) {
            *sum += ensemble.spikes.unwrap_or(0);
        }
        visit(&run);
    }
    let seconds = began.elapsed().as_secs_f64();
    let Figures { accuracy, error } =
        judge.map_or_else(Figures::default, |judge| judge.figures(&tally));
    let taken = data.len() * steps;
    let ensembles = network.ensembles.iter().zip(spikes).enumerate();
    Ok(StreamReport {
        samples: data.len(),
        steps,
        readout,
        accuracy,
        error,
        ensembles: ensembles
            .map(|(at, (e, spikes))| EnsembleSpikes {
                label: network.ensemble_label(at).to_owned(),
                neurons: e.neurons,
                spikes_per_step: spikes as f64 / taken.max(1) as f64,
            })
            .collect(),
        sample_steps_per_second: taken as f64 / seconds.max(1e-9),
    })
}

/// Record of some steps.
struct Tape {
    /// The values of each output, step by step.
    outputs: Vec<Vec<f32>>,
    /// Spikes of each ensemble over all steps.
    spikes: Vec<u64>,
    /// The counts of each ensemble's neurons in this step.
    counts: Vec<Vec<f32>>,
    /// The same step by step, and potentials; empty unless they are recorded.
    all_counts: Vec<Vec<f32>>,
    potentials: Vec<Vec<f32>>,
    record: bool,
}

impl Tape {
    fn new(image: &Image<'_>, record: bool) -> Self {
        let network = image.description();
        let ensembles = network.ensembles.len();
        Self {
            outputs: vec![Vec::new(); network.outputs.len()],
            spikes: vec![0; ensembles],
            counts: (network.ensembles.iter())
                .map(|e| vec![0.0; e.neurons as usize])
                .collect(),
            all_counts: vec![Vec::new(); ensembles],
            potentials: vec![Vec::new(); ensembles],
            record,
        }
    }

    fn start(&mut self) {
        if self.record {
            self.counts.iter_mut().for_each(|counts| counts.fill(0.0));
        }
    }

    fn end(&mut self, image: &Image<'_>, engine: &HostEngine<'_>) {
        for (at, (values, output)) in (self.outputs.iter_mut())
            .zip(&image.description().outputs)
            .enumerate()
        {
            let unit = scale_value(output.scale);
            values.extend((engine.output(at).values()).map(|v| (f64::from(v) * unit) as f32));
        }
        if self.record {
            for (all, counts) in self.all_counts.iter_mut().zip(&self.counts) {
                all.extend(counts);
            }
            for (at, potentials) in self.potentials.iter_mut().enumerate() {
                potentials.extend(
                    (0..)
                        .map_while(|n| engine.potential(at, n))
                        .map(|v| v as f32),
                );
            }
        }
    }
}

impl Probe for Tape {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        for event in events {
            self.spikes[ensemble] += u64::from(event.value.unsigned_abs());
            if self.record {
                self.counts[ensemble][usize::from(event.source)] = event.value.into();
            }
        }
    }
}

fn collect(image: &Image<'_>, tapes: &[Tape], items: usize, steps: usize, began: Instant) -> Run {
    let network = image.description();
    let join = |part: &dyn Fn(&Tape) -> &[f32], size: usize| {
        let mut values = Vec::with_capacity(items * steps * size);
        for tape in tapes {
            values.extend_from_slice(part(tape));
        }
        Tensor::new(vec![items, steps, size], values)
    };
    let probes = (network.outputs.iter().enumerate()).filter_map(|(at, output)| {
        Some(ProbeData {
            label: network.output_label(at).to_owned(),
            values: join(&|tape| &tape.outputs[at], output.size as usize)?,
        })
    });
    let ensembles = (network.ensembles.iter().enumerate()).map(|(at, e)| {
        let never = e
            .current_based()
            .is_some_and(|kind| kind.firing == Firing::Never);
        let size = e.neurons as usize;
        let recorded = tapes.first().is_some_and(|tape| tape.record);
        let join = |part: &dyn Fn(&Tape) -> &[f32]| recorded.then(|| join(part, size)).flatten();
        EnsembleData {
            label: network.ensemble_label(at).to_owned(),
            n_neurons: size,
            spikes: (!never).then(|| tapes.iter().map(|tape| tape.spikes[at]).sum()),
            counts: join(&|tape| &tape.all_counts[at]),
            potentials: join(&|tape| &tape.potentials[at]),
            reached: Vec::new(),
        }
    });
    debug_assert!(network.outputs.iter().all(|o| o.readout != Shows::Sum));
    Run {
        probes: probes.collect(),
        ensembles: ensembles.collect(),
        items,
        steps,
        dt: 1.0,
        elapsed: began.elapsed(),
    }
}
