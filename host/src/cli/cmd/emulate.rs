//! `tinyspike emulate`: an image over a data set.

use std::io::Write;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::advice::Advised as _;
use crate::assemble::Image;
use crate::data::{MAX_BYTES, NamedArray, NamedValues, suspicion, write_npz};
use crate::emulate::{self, EmulateOptions, Record, Report, Trial, in_units};
use crate::judge::Figures;
use crate::text::escaped;

use crate::cli::args::Emulate;
use crate::cli::diagnostics::Failure;
use crate::cli::outputs::Output;
use crate::cli::warnings::suspicious;
use crate::cli::{files, inputs, progress};

pub(crate) fn run(args: &Emulate, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    let output = output(args.output.as_deref(), &args.image, &args.data, [])?;
    let mut out = match &output {
        Some(output) => output.messages(out),
        None => Box::new(out),
    };
    if crate::stream::is_current_based(&image) {
        return super::over_time::emulate(args, &image, output, &mut *out);
    }
    args.streams.refuse(&args.image)?;
    let set = inputs::of_image(&args.data, &image, &args.bytes, args.limit)?;
    let options = EmulateOptions {
        steps: args.steps,
        record: output.is_some(),
        ..EmulateOptions::default()
    };
    if options.record {
        holds(&image, set.len())?;
    }
    let bar = progress::bar("emulating", set.len() as u64);
    let start = Instant::now();
    let run = emulate::run(&image, &set, 0..set.len(), &options, &|n| bar.inc(n));
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let run = run.map_err(|e| {
        let (image, data) = (args.image.display(), args.data.join(", "));
        Failure::advised(format!("{image} on {data}: {e}"), &e.advice())
    })?;
    if let Some(output) = output {
        let arrays = arrays(&image, &run.trials);
        output.write_with(|file| write_npz(file, &arrays))?;
    }
    suspicion::of_run(&image, &run).iter().for_each(suspicious);
    let report = emulate::report(&image, &set, &run, seconds);
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(())
}

/// The file for what a command on an image computes, which is none of those that it reads, `more` among them.
pub(crate) fn output<'a>(
    path: Option<&Path>,
    image: &Path,
    data: &[String],
    more: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<Option<Output>, Failure> {
    let mut files = inputs::data_files(image, data);
    files.extend(more.into_iter().cloned());
    path.map(|path| Output::new(path, files.iter().map(PathBuf::as_path)))
        .transpose()
}

/// Makes sure that what is recorded of so many samples can be held.
fn holds(image: &Image<'_>, samples: usize) -> Result<(), Failure> {
    let network = image.description();
    let neurons: u64 = network.ensembles.iter().map(|e| u64::from(e.neurons)).sum();
    let outputs: u64 = network.outputs.iter().map(|o| u64::from(o.size)).sum();
    let bytes = 4 * (2 * neurons + outputs) * samples as u64;
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Failure::new(format!(
        "outputs, spikes and potentials of {samples} samples take {} MiB, and at most {} are written",
        bytes >> 20,
        MAX_BYTES >> 20
    ))
    .hint("run fewer samples with --limit"))
}

/// A part of a record: values of each ensemble's neurons.
type State = fn(&Record) -> &Vec<Vec<i32>>;

/// The arrays of recorded trials: outputs in the network's units, spikes over all steps, and last potentials.
fn arrays(image: &Image<'_>, trials: &[Trial]) -> Vec<NamedArray> {
    let network = image.description();
    let array = |name: String, size: u32, values| NamedArray {
        name,
        shape: vec![trials.len(), size as usize],
        values,
    };
    let mut arrays = Vec::new();
    for at in 0..network.outputs.len() {
        let values = trials.iter().flat_map(|trial| {
            let record = trial.record.as_ref();
            let values = record
                .and_then(|r| r.outputs.get(at))
                .map_or(&[][..], Vec::as_slice);
            in_units(image, at, trial.steps(), values).map(|v| v as f32)
        });
        arrays.extend(of_output(image, at, trials.len(), values.collect()));
    }
    let states: [(&str, State); 2] = [("spikes", |r| &r.spikes), ("potentials", |r| &r.potentials)];
    for (what, of) in states {
        for (at, ensemble) in network.ensembles.iter().enumerate() {
            // Pools have none.
            if what == "potentials" && ensemble.pools() {
                continue;
            }
            let records = trials.iter().filter_map(|trial| trial.record.as_ref());
            let values = records.filter_map(|record| of(record).get(at)).flatten();
            let name = format!("{what}/{}", network.ensemble_label(at));
            let values = NamedValues::I32(values.copied().collect());
            arrays.push(array(name, ensemble.neurons, values));
        }
    }
    arrays
}

/// The array of an output's values of all samples, and that of the probabilities that they stand for, if they do.
pub(super) fn of_output(
    image: &Image<'_>,
    at: usize,
    samples: usize,
    values: Vec<f32>,
) -> impl Iterator<Item = NamedArray> {
    let network = image.description();
    let label = network.output_label(at).to_owned();
    let size = network.outputs[at].size as usize;
    let likely = emulate::probabilities(image, at, &values);
    let all = [("output", Some(values)), ("probability", likely)];
    all.into_iter().filter_map(move |(kind, values)| {
        Some(NamedArray {
            name: format!("{kind}/{label}"),
            shape: vec![samples, size],
            values: NamedValues::F32(values?),
        })
    })
}

/// A report as a person reads it.
pub(crate) fn print(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "samples            {:>12}", report.images)?;
    let (accuracy, error) = (report.accuracy, report.error);
    write!(out, "{}", Figures { accuracy, error })?;
    if let Some(head) = report.left_out {
        let behind = match error {
            None => "",
            Some(_) => ", and y was compared behind it",
        };
        writeln!(
            out,
            "outputs            those before the {head}, which is left out{behind}"
        )?;
    }
    if let Some(accuracy) = report.accuracy_mean_10 {
        writeln!(out, "  mean of 10 steps {:>11.2} %", accuracy * 100.0)?;
    }
    writeln!(
        out,
        "steps              {:>12.2} (at most {})",
        report.steps_mean, report.steps_max
    )?;
    writeln!(out, "per sample:")?;
    writeln!(out, "  events           {:>12.1}", report.events_per_image)?;
    writeln!(out, "  spikes           {:>12.1}", report.spikes_per_image)?;
    writeln!(
        out,
        "  synaptic ops     {:>12.1}",
        report.synaptic_ops_per_image
    )?;
    writeln!(
        out,
        "  input ops        {:>12.1}",
        report.input_ops_per_image
    )?;
    writeln!(
        out,
        "  neuron updates   {:>12.1}",
        report.neuron_updates_per_image
    )?;
    for e in &report.ensembles {
        writeln!(
            out,
            "    {:<20} {:>7} neurons {:>9.1} events {:>9.1} spikes {:>10.1} synaptic ops",
            escaped(&e.label),
            e.neurons,
            e.events_per_image,
            e.spikes_per_image,
            e.synaptic_ops_per_image
        )?;
    }
    let bench = &report.neurobench;
    writeln!(out, "as NeuroBench counts:")?;
    writeln!(out, "  footprint        {:>12} bytes", bench.footprint)?;
    writeln!(
        out,
        "  sparsity         {:>12.4} of connections, {:.4} of activations",
        bench.connection_sparsity, bench.activation_sparsity
    )?;
    writeln!(out, "  effective ACs    {:>12.1}", bench.effective_acs)?;
    writeln!(out, "  effective MACs   {:>12.1}", bench.effective_macs)?;
    writeln!(out, "  dense operations {:>12.1}", bench.dense_ops)?;
    writeln!(out, "samples per second {:>12.0}", report.images_per_second)?;
    writeln!(
        out,
        "sample-steps/s     {:>12.0}",
        report.images_per_second * report.steps_mean
    )?;
    Ok(())
}
