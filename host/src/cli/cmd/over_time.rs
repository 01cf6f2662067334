//! Networks of current-based neurons as images: `convert` and `emulate` over time.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use crate::advice::Advised as _;
use crate::assemble::Image;
use crate::coder;
use crate::compare::Outcome;
use crate::data::{self, DataSet, NamedValues, Recordings, suspicion};
use crate::deploy::{CALIBRATED, DeployOptions, Mode};
use crate::emulate::{self, EmulateError};
use crate::inputs::Inputs;
use crate::judge::{Figures, Tally};
use crate::quantize::{QuantizeOptions, WEIGHT_BITS};
use crate::simulate::SimulateOptions;
use crate::simulation;
use crate::stream::{self, StreamOptions};
use crate::text::escaped;
use crate::trained::Trained;
use serde::Serialize;

use super::record::{Kind, Record};
use crate::cli::args::{Convert, Emulate};
use crate::cli::converted::{self, Files};
use crate::cli::diagnostics::{Failure, note, warn};
use crate::cli::inputs::{self, assign};
use crate::cli::outputs::Output;
use crate::cli::progress;
use crate::cli::source::scaled;

/// Steps for which samples without an axis of time are shown.
const STEPS: u16 = 32;

/// First output of the network in floats and of its image, on the same samples.
#[derive(Serialize)]
struct Comparison {
    samples: usize,
    network: Outcome,
    image: Outcome,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "on {} calibration samples: the image decides as the float network in {:.1} %",
            self.samples,
            100.0 * self.image.agreement.unwrap_or_default()
        )?;
        match (self.network.figures.accuracy, self.image.figures.accuracy) {
            (Some(network), Some(image)) => write!(
                f,
                "\naccuracy: {:.2} % in floats, {:.2} % as an image",
                network * 100.0,
                image * 100.0
            ),
            _ => Ok(()),
        }
    }
}

/// Writes the image of a NIR graph.
pub(crate) fn convert(
    args: &Convert,
    trained: &Trained,
    files: Files,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let refused = [
        ("--tune", args.tune),
        ("--percentile", args.percentile.is_some()),
    ];
    if let Some((flag, _)) = refused.iter().find(|(_, given)| *given) {
        return Err(Failure::new(format!(
            "{}: {flag} is for networks that run so many steps; this one runs as many as its data has",
            args.model.display()
        ))
        .hint(format!("leave {flag} out")));
    }
    let network = trained.network();
    let mode = Mode::Exact(QuantizeOptions {
        steps: args.steps.unwrap_or(STEPS),
        weight_bits: args.weight_bits.unwrap_or(WEIGHT_BITS),
        max_count: args.max_count.unwrap_or(QuantizeOptions::exact().max_count),
        target: args.target(),
        dt: trained.dt().unwrap_or(1.0),
        ..QuantizeOptions::exact()
    });
    let limit = args.calibration_samples.map_or(CALIBRATED, |n| n as usize);
    let names: Vec<&str> = network.inputs.iter().map(|(n, _)| n.as_str()).collect();
    let mut samples = match args.calibration.as_slice() {
        [] => None,
        files => {
            let path = assign("--calibration", files, &names)?[0];
            let set = match Recordings::open(path)? {
                Some(events) => {
                    let shape = Inputs::shape(network, 0).unwrap_or_default();
                    inputs::counted(events.evenly(limit), &shape, args.bin)?
                }
                None => scaled(trained, data::load(path)?, &args.data, 0),
            };
            Some((path, set.evenly(limit)))
        }
    };
    let mut coder = None;
    let raw = samples.as_ref().map(|(_, set)| set.clone());
    if let Some(options) = &args.coder {
        let Some((path, set)) = &mut samples else {
            return Err(Failure::new(
                "--coder needs samples, which tell the units that it counts in",
            )
            .hint("--calibration FILE gives some"));
        };
        let steps = args.steps.unwrap_or(STEPS).into();
        let (made, coded) = coder::prepare(network, options, set, steps)
            .map_err(|e| Failure::new(format!("{path}: {e}")))?;
        note(format_args!("the device makes events: {made}"));
        *set = coded;
        coder = Some(made);
    }
    if let Some((path, set)) = &samples {
        let over_time = trained.over_time(set, 0);
        Inputs::new(network, std::slice::from_ref(set), over_time)
            .map_err(|e| Failure::new(format!("{path}: {e}")))?;
        suspicion::of_calibration(set).iter().for_each(warn);
    } else {
        warn(
            "without calibration data the ranges of potentials are guessed from thresholds: expect a loss of accuracy. \
             A hundred real recordings (--calibration FILE) avoid it",
        );
    }
    match &samples {
        Some(_) if coder.is_some() => {}
        Some((path, set)) if trained.over_time(set, 0) && args.steps.is_some() => {
            return Err(Failure::new(format!(
                "--steps says how long a sample without time is shown, and those of {path} have an axis of time"
            ))
            .hint("leave --steps out"));
        }
        Some((path, set)) if !trained.over_time(set, 0) && args.steps.is_none() => {
            note(format_args!(
                "the samples of {path} have no axis of time: each is shown for {STEPS} steps; --steps says else"
            ))
        }
        _ => {}
    }
    let bar = progress::bar(
        "calibrating",
        samples.as_ref().map_or(0, |(_, s)| s.len()) as u64,
    );
    let options = DeployOptions {
        data: samples.as_ref().map(|(_, set)| set as _),
        budgets: args.budgets(),
        model_version: args.model_version,
        coder,
        mode: Cow::Borrowed(&mode),
        ..DeployOptions::new(&mode)
    };
    let deployment = network.deploy(&options);
    bar.finish_and_clear();
    let deployment = deployment.map_err(|error| converted::failure(args, &error))?;
    files.write(&deployment)?;
    let comparison = match (&samples, &raw) {
        (Some((_, set)), Some(raw)) => {
            let steps = args.steps.unwrap_or(STEPS);
            let image = deployment.image.image();
            Some(compared(trained, &image, set, raw, steps)?)
        }
        _ => None,
    };
    converted::show(args, &deployment, comparison.as_ref(), out)
}

/// Compares the network in floats on what comes into it, and its image on samples, which are the same unless a coder makes events
/// of them.
fn compared(
    trained: &Trained,
    image: &Image<'_>,
    set: &DataSet,
    raw: &DataSet,
    steps: u16,
) -> Result<Comparison, Failure> {
    let network = trained.network();
    let over_time = trained.over_time(set, 0);
    let inputs = Inputs::new(network, std::slice::from_ref(set), over_time)?;
    let steps = inputs.steps().unwrap_or(usize::from(steps));
    let readout = simulation::readout(trained.network());
    let options = SimulateOptions {
        dt: trained.dt().unwrap_or(1.0),
        readout,
        ..SimulateOptions::default()
    };
    let mut wanted = Vec::new();
    let float = simulation::simulate(network, &inputs, Some(steps), &options, &mut |run| {
        let output = run.probes.first();
        wanted.extend(output.into_iter().flat_map(|o| o.decisions(readout)));
    });
    let float = float.map_err(|e| Failure::new(e.to_string()))?;
    let run = stream::run(image, raw, 0..raw.len(), steps, StreamOptions::default())?;
    let output = run.probes.first();
    let found = output.into_iter().flat_map(|o| o.decisions(readout));
    let agree = found.zip(&wanted).filter(|(a, b)| a == *b).count();
    let figures = emulate::judge(image, set)
        .zip(output)
        .map(|(judge, output)| {
            let mut tally = Tally::default();
            judge.add_all(&mut tally, 0, output.results(readout));
            judge.figures(&tally)
        });
    Ok(Comparison {
        samples: set.len(),
        network: Outcome {
            figures: Figures {
                accuracy: float.accuracy,
                error: float.error,
            },
            agreement: None,
        },
        image: Outcome {
            figures: figures.unwrap_or_default(),
            agreement: Some(agree as f64 / wanted.len().max(1) as f64),
        },
    })
}

/// Runs an image over recordings.
pub(crate) fn emulate(
    args: &Emulate,
    image: &Image<'_>,
    output: Option<Output>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let flags = &args.streams.recordings;
    let set = inputs::recordings(&args.data, image, &args.bytes, flags, args.limit)?;
    let steps = stream::steps(image, &set, args.steps.map(usize::from))
        .map_err(|e| Failure::advised(e.to_string(), &e.advice()))?;
    let readout = (args.streams.readout).unwrap_or_else(|| stream::readout(image));
    let mut record = match &output {
        Some(_) => Some(Record::new(set.len(), steps, arrays(image))?),
        None => None,
    };
    let options = StreamOptions {
        record: record.is_some(),
        stateful: args.streams.stateful,
    };
    let failed = |e: EmulateError| {
        Failure::new(format!(
            "{} on {}: {e}",
            args.image.display(),
            args.data.join(", ")
        ))
    };
    let bar = progress::bar("emulating", set.len() as u64);
    let report = stream::report(image, &set, steps, options, readout, &mut |run| {
        if let Some(record) = &mut record {
            record.add(run);
        }
        bar.inc(run.items as u64);
    });
    let report = report.map_err(failed)?;
    bar.finish_and_clear();
    if let (Some(output), Some(record)) = (output, record) {
        record.write(output)?;
    }
    if args.json {
        let report = serde_json::to_value(&report)?;
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(());
    }
    writeln!(out, "samples            {:>12}", report.samples)?;
    writeln!(out, "steps              {steps:>12} (read-out: {readout})")?;
    write!(out, "{}", report.figures())?;
    let ensembles = &report.ensembles;
    writeln!(
        out,
        "spikes per step    {:>12.2}",
        ensembles.iter().map(|e| e.spikes_per_step).sum::<f64>()
    )?;
    for e in ensembles {
        writeln!(
            out,
            "    {:<20} {:>7} neurons {:>9.3} spikes",
            escaped(&e.label),
            e.neurons,
            e.spikes_per_step
        )?;
    }
    writeln!(
        out,
        "sample-steps/s     {:>12.0}",
        report.sample_steps_per_second
    )?;
    Ok(())
}

/// The arrays of an image's outputs, spikes and potentials.
fn arrays(image: &Image<'_>) -> Vec<Kind> {
    let network = image.description();
    let outputs = network.outputs.iter().enumerate().map(|(at, o)| {
        let name = format!("output/{}", network.output_label(at));
        (name, o.size as usize, NamedValues::F32(Vec::new()))
    });
    let state = |what: &'static str| {
        network.ensembles.iter().enumerate().map(move |(at, e)| {
            let name = format!("{what}/{}", network.ensemble_label(at));
            (name, e.neurons as usize, NamedValues::I32(Vec::new()))
        })
    };
    let neurons = state("spikes").chain(state("potentials"));
    outputs.chain(neurons).collect()
}
