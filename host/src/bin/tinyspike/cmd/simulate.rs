//! `tinyspike simulate`: a model as a spiking network in floats.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;
use tinyspike::convert::Conversion;
use tinyspike::data::MAX_BYTES;
use tinyspike::network::Pre;
use tinyspike::simulate::{Readout, Run, Simulator, accuracy};

use super::convert::show_warnings;
use crate::args::Simulate;
use crate::diagnostics::Failure;
use crate::inputs::Inputs;
use crate::npz::{self, Array, Values};
use crate::progress;

/// How many samples are simulated at a time.
const BLOCK: usize = 256;

/// How many last steps the second accuracy takes the mean of.
const WINDOW: usize = 10;

/// What came of a simulation.
#[derive(Serialize)]
struct Report {
    images: usize,
    steps: usize,
    dt: f64,
    /// The share of samples whose label's value is the largest of the first output's at the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    /// The same of the mean of the last ten steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_mean_10: Option<f64>,
    /// None where no neurons spike.
    spikes_per_image: Option<f64>,
    ensembles: Vec<EnsembleReport>,
    image_steps_per_second: f64,
}

#[derive(Serialize)]
struct EnsembleReport {
    label: String,
    neurons: usize,
    neuron_type: String,
    /// Per neuron and second; none of neurons that do not spike.
    rate_hz: Option<f64>,
    spikes_per_image: Option<f64>,
}

pub(crate) fn run(args: &Simulate, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, conversion) = super::converted(&args.model, &args.convert)?;
    show_warnings(&conversion);
    let inputs = Inputs::load(
        &args.data,
        &conversion,
        args.convert.temporal_model,
        args.bytes.byte_scale,
        args.limit,
    )?;
    let steps = steps(args, &inputs)?;
    let failed = |e| Failure::new(format!("{}: {e}", args.model.display()));
    let simulator = Simulator::new(&conversion.network, &args.options()).map_err(failed)?;
    let mut sums = Sums::new(&conversion);
    let mut record = match args.output {
        Some(_) => Some(Record::new(args, &conversion, inputs.len(), steps)?),
        None => None,
    };
    let bar = progress::bar("simulating", inputs.len() as u64);
    for from in (0..inputs.len()).step_by(BLOCK) {
        let samples = from..inputs.len().min(from + BLOCK);
        let block = inputs.nodes(samples.clone(), steps);
        let run = simulator.predict(&block, steps).map_err(|e| {
            bar.finish_and_clear();
            failed(e)
        })?;
        sums.add(&run, inputs.classes().map(|c| &c[samples.clone()]));
        if let Some(record) = &mut record {
            record.add(&run);
        }
        bar.inc(samples.len() as u64);
    }
    bar.finish_and_clear();
    if let (Some(path), Some(record)) = (&args.output, record) {
        npz::write(path, &record.arrays)?;
    }
    let report = sums.report(&conversion, inputs.len(), steps, args.options().dt);
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, out)?;
    }
    Ok(())
}

/// How many steps to run.
fn steps(args: &Simulate, inputs: &Inputs) -> Result<usize, Failure> {
    let asked = args.steps.map(|n| n as usize);
    match (asked, inputs.steps()) {
        (Some(asked), Some(there)) if asked > there => Err(Failure::new(format!(
            "--steps {asked}, but the data of this temporal model has {there} steps"
        ))),
        (Some(asked), _) => Ok(asked),
        (None, Some(there)) => Ok(there),
        (None, None) => Err(Failure::new(
            "the model has no input, so --steps must say how long to run",
        )),
    }
}

/// What is counted over all blocks.
struct Sums {
    /// The place of the first output's probe.
    output: Option<usize>,
    spikes: Vec<Option<u64>>,
    /// How many samples were right at the last step, and by the mean of the last steps.
    right: Option<[f64; 2]>,
    elapsed: Duration,
}

impl Sums {
    fn new(conversion: &Conversion) -> Self {
        Self {
            output: conversion.network.outputs.first().map(|(_, probe)| probe.0),
            spikes: vec![None; conversion.network.ensembles.len()],
            right: None,
            elapsed: Duration::ZERO,
        }
    }

    fn add(&mut self, run: &Run, classes: Option<&[u32]>) {
        for (sum, ensemble) in self.spikes.iter_mut().zip(&run.ensembles) {
            if let Some(spikes) = ensemble.spikes {
                *sum.get_or_insert(0) += spikes;
            }
        }
        let output = self.output.and_then(|at| run.probes.get(at));
        // One value alone names no class.
        if let (Some(classes), Some(output)) = (classes, output)
            && output.values.shape().last().is_some_and(|n| *n > 1)
        {
            let right = self.right.get_or_insert([0.0; 2]);
            for (sum, readout) in right.iter_mut().zip([Readout::Last, Readout::Mean(WINDOW)]) {
                let share = accuracy(&output.values, classes, run.steps, readout);
                *sum += (share.unwrap_or(0.0) * classes.len() as f64).round();
            }
        }
        self.elapsed += run.elapsed;
    }

    fn report(&self, conversion: &Conversion, images: usize, steps: usize, dt: f64) -> Report {
        let share = |at: usize| self.right.map(|right| right[at] / images.max(1) as f64);
        let per_image = |spikes: u64| spikes as f64 / images.max(1) as f64;
        Report {
            images,
            steps,
            dt,
            accuracy: share(0),
            accuracy_mean_10: share(1).filter(|_| steps >= WINDOW),
            spikes_per_image: (self.spikes.iter().flatten())
                .copied()
                .reduce(|a, b| a + b)
                .map(per_image),
            ensembles: (conversion.network.ensembles.iter().zip(&self.spikes))
                .map(|(e, spikes)| EnsembleReport {
                    label: e.label.clone(),
                    neurons: e.n_neurons,
                    neuron_type: e.neuron_type.to_string(),
                    rate_hz: spikes
                        .map(|n| per_image(n) / (steps.max(1) * e.n_neurons.max(1)) as f64 / dt),
                    spikes_per_image: spikes.map(per_image),
                })
                .collect(),
            image_steps_per_second: (images * steps) as f64 / self.elapsed.as_secs_f64().max(1e-9),
        }
    }
}

/// What is written to a file.
struct Record {
    arrays: Vec<Array>,
    /// Whether ensembles follow the outputs.
    ensembles: bool,
}

impl Record {
    /// Empty arrays of the shapes that they will have.
    fn new(
        args: &Simulate,
        conversion: &Conversion,
        images: usize,
        steps: usize,
    ) -> Result<Self, Failure> {
        let network = &conversion.network;
        let mut arrays = Vec::new();
        for probe in &network.probes {
            let size = match probe.target {
                Pre::Node(n) => network.nodes[n.0].size_out,
                Pre::Neurons(e) => network.ensembles[e.0].n_neurons,
            };
            arrays.push(Array {
                name: format!("output/{}", probe.label),
                shape: vec![images, steps, size],
                values: Values::F32(Vec::new()),
            });
        }
        if args.probe.is_some() {
            for e in &network.ensembles {
                let (what, values) = if !e.neuron_type.is_rate() {
                    ("spikes", Values::I32(Vec::new()))
                } else {
                    ("activity", Values::F32(Vec::new()))
                };
                arrays.push(Array {
                    name: format!("{what}/{}", e.label),
                    shape: vec![images, steps, e.n_neurons],
                    values,
                });
            }
        }
        let values: u128 = (arrays.iter())
            .map(|a| a.shape.iter().map(|n| *n as u128).product::<u128>())
            .sum();
        if values * 4 > u128::from(MAX_BYTES) {
            return Err(Failure::new(format!(
                "{} values at {steps} steps of {images} samples take {} MiB, and at most {} are \
                 written",
                values / (images * steps).max(1) as u128,
                (values * 4) >> 20,
                MAX_BYTES >> 20
            ))
            .hint("run fewer samples with --limit"));
        }
        Ok(Self {
            arrays,
            ensembles: args.probe.is_some(),
        })
    }

    fn add(&mut self, run: &Run) {
        let outputs = run.probes.iter().map(|p| &p.values);
        let counts = (run.ensembles.iter())
            .filter(|_| self.ensembles)
            .filter_map(|e| e.counts.as_ref());
        for (array, more) in self.arrays.iter_mut().zip(outputs.chain(counts)) {
            match &mut array.values {
                Values::F32(values) => values.extend_from_slice(more.data()),
                // Counts are whole; leaky neurons count those below zero as negative.
                Values::I32(values) => values.extend(more.data().iter().map(|n| *n as i32)),
            }
        }
    }
}

fn print(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "samples            {:>12}", report.images)?;
    writeln!(
        out,
        "steps              {:>12} of {} s",
        report.steps, report.dt
    )?;
    if let Some(accuracy) = report.accuracy {
        writeln!(out, "accuracy           {:>11.2} %", accuracy * 100.0)?;
    }
    if let Some(accuracy) = report.accuracy_mean_10 {
        writeln!(out, "  mean of 10 steps {:>11.2} %", accuracy * 100.0)?;
    }
    if let Some(spikes) = report.spikes_per_image {
        writeln!(out, "spikes per sample  {spikes:>12.1}")?;
    }
    for e in &report.ensembles {
        write!(out, "    {:<20} {:>7} neurons", e.label, e.neurons)?;
        if let (Some(rate), Some(spikes)) = (e.rate_hz, e.spikes_per_image) {
            write!(out, " {rate:>9.2} Hz {spikes:>10.1} spikes")?;
        }
        writeln!(out, "  {}", e.neuron_type)?;
    }
    writeln!(
        out,
        "image-steps/s      {:>12.0}",
        report.image_steps_per_second
    )?;
    Ok(())
}
