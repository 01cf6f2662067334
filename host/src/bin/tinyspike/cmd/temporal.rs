//! Networks of current-based neurons as images: `convert` and `emulate` over time.

use std::borrow::Cow;
use std::io::Write;
use std::time::Instant;

use tinyspike::assemble::Image;
use tinyspike::data::{self, DataSet, NamedArray, NamedValues, Recordings, Samples, write_npz};
use tinyspike::deploy::{DeployOptions, Mode};
use tinyspike::emulate::EmulateError;
use tinyspike::inputs::Inputs;
use tinyspike::judge::{Figures, Judge, THRESHOLD, Tally};
use tinyspike::quantize::{QuantizeOptions, WEIGHT_BITS};
use tinyspike::simulate::{Readout, Run, SimulateOptions};
use tinyspike::simulation;
use tinyspike::stream::{self, StreamOptions};
use tinyspike::text::escaped;

use super::convert::summary;
use crate::args::{Convert, DataFlags, Emulate, Shape, TimeFlags};
use crate::diagnostics::{Failure, note, warn};
use crate::inputs::{BIN, assign};
use crate::outputs::Output;
use crate::progress;
use crate::source::Source;

/// Steps for which samples without an axis of time are shown.
const STEPS: u16 = 32;
/// Calibration samples that are used.
const CALIBRATED: usize = 256;
/// Samples that run at a time.
const BLOCK: usize = 256;

/// Writes the image of a NIR graph.
pub(crate) fn convert(
    args: &Convert,
    source: &Source,
    output: Output,
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
    let network = source.network();
    let mode = Mode::Exact(QuantizeOptions {
        steps: args.steps.unwrap_or(STEPS),
        weight_bits: args.weight_bits.unwrap_or(WEIGHT_BITS),
        max_count: args.max_count.unwrap_or(QuantizeOptions::exact().max_count),
        target: args.target,
        dt: source.dt().unwrap_or(1.0),
        ..QuantizeOptions::exact()
    });
    let limit = args.calibration_samples.map_or(CALIBRATED, |n| n as usize);
    let names: Vec<&str> = network.inputs.iter().map(|(n, _)| n.as_str()).collect();
    let samples = match args.calibration.as_slice() {
        [] => None,
        files => {
            let path = assign("--calibration", files, &names)?[0];
            let set = match Recordings::open(path)? {
                Some(events) => {
                    let shape = Inputs::shape(network, 0).unwrap_or_default();
                    counted(events.take(limit), &shape, args.bin)?
                }
                None => source.scaled(data::load(path)?, &args.data, 0),
            };
            Some((path, set.evenly(limit)))
        }
    };
    if let Some((path, set)) = &samples {
        let over_time = source.over_time(set, 0);
        Inputs::new(network, std::slice::from_ref(set), over_time)
            .map_err(|e| Failure::new(format!("{path}: {e}")))?;
    } else {
        warn(
            "without calibration data the ranges of potentials are guessed from thresholds: expect a loss of accuracy. \
             A hundred real recordings (--calibration FILE) avoid it",
        );
    }
    match &samples {
        Some((path, set)) if source.over_time(set, 0) && args.steps.is_some() => {
            return Err(Failure::new(format!(
                "--steps says how long a sample without time is shown, and those of {path} have an axis of time"
            ))
            .hint("leave --steps out"));
        }
        Some((path, set)) if !source.over_time(set, 0) && args.steps.is_none() => {
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
        mode: Cow::Borrowed(&mode),
        ..DeployOptions::new(&mode)
    };
    let deployment = network.deploy(&options);
    bar.finish_and_clear();
    let deployment = deployment.map_err(|error| super::convert::failure(args, &error))?;
    let image = deployment.image.image();
    output.write(deployment.image.bytes())?;
    super::convert::show_boards(&image);
    if let Some(path) = &args.report {
        let mut json = serde_json::to_string_pretty(&deployment.report)?;
        json.push('\n');
        std::fs::write(path, json).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    }
    writeln!(out, "{}: {}", args.output.display(), summary(&image))?;
    if let Some((_, set)) = &samples {
        compared(source, &image, set, args.steps.unwrap_or(STEPS), out)?;
        writeln!(
            out,
            "next: tinyspike emulate {} --data FILE",
            args.output.display()
        )?;
    }
    Ok(())
}

/// Shows accuracies of the network in floats and of its image.
fn compared(
    source: &Source,
    image: &Image<'_>,
    set: &DataSet,
    steps: u16,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let network = source.network();
    let over_time = source.over_time(set, 0);
    let inputs = Inputs::new(network, std::slice::from_ref(set), over_time)?;
    let steps = inputs.steps().unwrap_or(usize::from(steps));
    let readout = source.readout();
    let options = SimulateOptions {
        dt: source.dt().unwrap_or(1.0),
        readout,
        ..SimulateOptions::default()
    };
    let mut classes = Vec::new();
    let float = simulation::simulate(network, &inputs, Some(steps), &options, &mut |run| {
        classes.extend(decisions(run, readout));
    });
    let float = float.map_err(|e| Failure::new(e.to_string()))?;
    let run = stream::run(image, set, 0..set.len(), steps, StreamOptions::default())?;
    let own = decisions(&run, readout);
    let agree = own.iter().zip(&classes).filter(|(a, b)| a == b).count();
    writeln!(
        out,
        "on {} calibration samples: the image decides as the float network in {:.1} %",
        set.len(),
        100.0 * agree as f64 / own.len().max(1) as f64
    )?;
    let size = output_size(image);
    if let (Some(accuracy), Some(judge)) = (float.accuracy, Judge::new(set, size, THRESHOLD)) {
        let mut tally = Tally::default();
        judged(&judge, &mut tally, &run, 0, readout);
        if let Some(found) = judge.figures(&tally).accuracy {
            writeln!(
                out,
                "accuracy: {:.2} % in floats, {:.2} % as an image",
                accuracy * 100.0,
                found * 100.0
            )?;
        }
    }
    Ok(())
}

fn output_size(image: &Image<'_>) -> usize {
    let outputs = &image.description().outputs;
    outputs.first().map_or(0, |o| o.size as usize)
}

/// The place of the largest result of the first output, for each item.
fn decisions(run: &Run, readout: Readout) -> Vec<Option<usize>> {
    let results = results(run, readout);
    let class = |values: Vec<f64>| {
        let places = (0..values.len()).rev();
        places.max_by(|a, b| values[*a].total_cmp(&values[*b]))
    };
    results.into_iter().map(class).collect()
}

/// The results of the first output, for each item.
fn results(run: &Run, readout: Readout) -> Vec<Vec<f64>> {
    let Some(probe) = run.probes.first() else {
        return Vec::new();
    };
    let &[_, steps, size] = probe.values.shape() else {
        return Vec::new();
    };
    let items = probe.values.data().chunks_exact((steps * size).max(1));
    items.map(|item| readout.of(item, size)).collect()
}

fn judged(judge: &Judge<'_>, tally: &mut Tally, run: &Run, from: usize, readout: Readout) {
    for (at, values) in results(run, readout).into_iter().enumerate() {
        judge.add(tally, from + at, values.into_iter());
    }
}

/// The recordings for an image: bytes stand for numbers of events unless the user says else. Addresses of recorded
/// events are those of an input of this shape.
pub(crate) fn recordings(
    files: &[String],
    image: &Image<'_>,
    flags: &DataFlags,
    (time, shape): (&TimeFlags, Option<&Shape>),
    limit: Option<u32>,
) -> Result<DataSet, Failure> {
    let network = image.description();
    let labels = (0..network.inputs.len()).map(|at| network.input_label(at));
    let labels: Vec<&str> = labels.collect();
    let path = assign("--data", files, &labels)?[0];
    let size = network.inputs.first().map_or(0, |i| i.size as usize);
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    if let Some(events) = Recordings::open(path)? {
        let shape = shape.map_or_else(|| vec![size], |shape| shape.0.clone());
        if shape.iter().product::<usize>() != size {
            return Err(Failure::new(format!(
                "--input-shape {shape:?} is no shape of the network's input of {size} places"
            )));
        }
        return counted(events.take(limit), &shape, time.bin);
    }
    let mut set = data::load(path)?;
    if time.stream {
        set = set.as_stream();
    }
    Ok(of_events(set, flags, size).take(limit))
}

/// Recorded events as counts in steps.
fn counted(events: Recordings, shape: &[usize], bin: Option<f64>) -> Result<DataSet, Failure> {
    let seconds = bin.unwrap_or(BIN);
    if bin.is_none() {
        note(format_args!(
            "events are counted in steps of {seconds} s; --bin says else"
        ));
    }
    let frames = events.frames(shape, seconds, None)?;
    let (count, steps) = (frames.len(), frames.steps());
    let mut bytes = Vec::with_capacity(count * steps * shape.iter().product::<usize>());
    for recording in 0..count {
        let counts = frames.dense(recording..recording + 1, steps);
        // What is more than a byte holds is cut off; a step has a few events at a place.
        bytes.extend(counts.data().iter().map(|count| *count as u8));
    }
    let shape = [&[steps], shape].concat();
    let set = DataSet::new(shape, Samples::U8(bytes), None);
    let set = set.ok_or_else(|| Failure::new("the recordings have no step"))?;
    Ok(set
        .with_byte_scale(1.0)
        .with_targets(frames.targets().cloned()))
}

/// Recordings as one input after another, each a step.
pub(crate) fn as_steps(image: &Image<'_>, set: &DataSet) -> Option<DataSet> {
    let inputs = image.description().inputs.iter();
    let size = inputs.map(|input| input.size as usize).sum();
    let steps = DataSet::new(vec![size], set.samples().clone(), None)?;
    Some(steps.with_byte_scale(set.byte_scale()))
}

fn of_events(set: DataSet, flags: &DataFlags, size: usize) -> DataSet {
    let set = flags.targets(set);
    match flags.byte_scale {
        Some(scale) => set.with_byte_scale(scale),
        None if set.sample_size() != size => {
            if matches!(set.samples(), Samples::U8(_)) {
                note("bytes over time stand for numbers of events; --byte-scale says else");
            }
            set.with_byte_scale(1.0)
        }
        None => set,
    }
}

/// Runs an image over recordings.
pub(crate) fn emulate(
    args: &Emulate,
    image: &Image<'_>,
    output: Option<Output>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let over_time = (&args.time, args.input_shape.as_ref());
    let set = recordings(&args.data, image, &args.bytes, over_time, args.limit)?;
    let size: usize = image
        .description()
        .inputs
        .iter()
        .map(|i| i.size as usize)
        .sum();
    let has = match set.sample_size() {
        all if all == size => None,
        all => Some(all / size.max(1)),
    };
    let asked = args.steps.map(usize::from);
    let steps = match (asked, has) {
        (Some(asked), Some(has)) if asked > has => {
            return Err(
                Failure::new(format!("the data has {has} steps, fewer than {asked}"))
                    .hint(format!("give --steps {has}, or leave it out")),
            );
        }
        (Some(steps), _) | (None, Some(steps)) => steps,
        (None, None) => {
            return Err(Failure::new(
                "the data does not say how many steps to run: its samples have no axis of time",
            )
            .hint("give --steps N"));
        }
    };
    let readout = args.readout.unwrap_or_else(|| stream::readout(image));
    let judge = Judge::new(&set, output_size(image), THRESHOLD);
    let mut tally = Tally::default();
    let mut record = output
        .as_ref()
        .map(|_| Record::new(image, set.len(), steps));
    let options = StreamOptions {
        record: record.is_some(),
        stateful: args.stateful,
    };
    let failed = |e: EmulateError| {
        Failure::new(format!(
            "{} on {}: {e}",
            args.image.display(),
            args.data.join(", ")
        ))
    };
    let bar = progress::bar("emulating", set.len() as u64);
    let start = Instant::now();
    let mut spikes = vec![0u64; image.description().ensembles.len()];
    let block = if args.stateful {
        set.len().max(1)
    } else {
        BLOCK
    };
    for from in (0..set.len()).step_by(block) {
        let samples = from..set.len().min(from + block);
        let run = stream::run(image, &set, samples, steps, options).map_err(failed)?;
        if let Some(judge) = &judge {
            judged(judge, &mut tally, &run, from, readout);
        }
        for (sum, e) in spikes.iter_mut().zip(&run.ensembles) {
            *sum += e.spikes.unwrap_or(0);
        }
        if let Some(record) = &mut record {
            record.add(&run);
        }
        bar.inc(run.items as u64);
    }
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if let (Some(output), Some(record)) = (output, record) {
        output.write_with(|file| write_npz(file, &record.0))?;
    }
    let figures = judge
        .as_ref()
        .map_or_else(Figures::default, |judge| judge.figures(&tally));
    let network = image.description();
    let per_step = |n: u64| n as f64 / (set.len() * steps).max(1) as f64;
    if args.json {
        let ensembles: Vec<_> = (spikes.iter().enumerate())
            .map(|(at, n)| {
                serde_json::json!({
                    "label": network.ensemble_label(at),
                    "neurons": network.ensembles[at].neurons,
                    "spikes_per_step": per_step(*n),
                })
            })
            .collect();
        let report = serde_json::json!({
            "samples": set.len(),
            "steps": steps,
            "readout": readout.to_string(),
            "accuracy": figures.accuracy,
            "error": figures.error,
            "ensembles": ensembles,
            "sample_steps_per_second": (set.len() * steps) as f64 / seconds.max(1e-9),
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(());
    }
    writeln!(out, "samples            {:>12}", set.len())?;
    writeln!(out, "steps              {steps:>12} (read-out: {readout})")?;
    write!(out, "{figures}")?;
    writeln!(
        out,
        "spikes per step    {:>12.2}",
        per_step(spikes.iter().sum())
    )?;
    for (at, n) in spikes.iter().enumerate() {
        writeln!(
            out,
            "    {:<20} {:>7} neurons {:>9.3} spikes",
            escaped(network.ensemble_label(at)),
            network.ensembles[at].neurons,
            per_step(*n)
        )?;
    }
    writeln!(
        out,
        "sample-steps/s     {:>12.0}",
        (set.len() * steps) as f64 / seconds.max(1e-9)
    )?;
    Ok(())
}

/// Arrays of outputs, spikes and potentials, step by step.
struct Record(Vec<NamedArray>);

impl Record {
    fn new(image: &Image<'_>, samples: usize, steps: usize) -> Self {
        let network = image.description();
        let array = |name: String, size: u32, values| NamedArray {
            name,
            shape: vec![samples, steps, size as usize],
            values,
        };
        let outputs = network.outputs.iter().enumerate().map(|(at, o)| {
            let name = format!("output/{}", network.output_label(at));
            array(name, o.size, NamedValues::F32(Vec::new()))
        });
        let state = |what: &'static str| {
            network.ensembles.iter().enumerate().map(move |(at, e)| {
                let name = format!("{what}/{}", network.ensemble_label(at));
                array(name, e.neurons, NamedValues::I32(Vec::new()))
            })
        };
        Self(
            outputs
                .chain(state("spikes"))
                .chain(state("potentials"))
                .collect(),
        )
    }

    fn add(&mut self, run: &Run) {
        let outputs = run.probes.iter().map(|p| &p.values);
        let counts = run.ensembles.iter().filter_map(|e| e.counts.as_ref());
        let potentials = run.ensembles.iter().filter_map(|e| e.potentials.as_ref());
        for (array, more) in self
            .0
            .iter_mut()
            .zip(outputs.chain(counts).chain(potentials))
        {
            match &mut array.values {
                NamedValues::F32(values) => values.extend_from_slice(more.data()),
                NamedValues::I32(values) => values.extend(more.data().iter().map(|n| *n as i32)),
            }
        }
    }
}
