//! `tinyspike simulate`: a model as a spiking network in floats.

use std::io::Write;
use std::path::PathBuf;

use crate::Network;
use crate::advice::Advised as _;
use crate::data::{NamedValues, suspicion};
use crate::judge::Figures;
use crate::network::{Ensemble, Pre};
use crate::simulation::{self, Simulation, SimulationError};
use crate::text::escaped;
use crate::trained::Trained;

use super::record::{Kind, Record};
use crate::cli::args::Simulate;
use crate::cli::diagnostics::{Failure, warn};
use crate::cli::inputs::{input_files, show_measure};
use crate::cli::outputs::Output;
use crate::cli::source;
use crate::cli::{inputs, progress};

pub(crate) fn run(args: &Simulate, out: &mut dyn Write) -> Result<(), Failure> {
    let files = input_files(&args.model, &args.convert, &args.data);
    let output = args.output.as_ref();
    let output = output.map(|path| Output::new(path, files.iter().map(PathBuf::as_path)));
    let output = output.transpose()?;
    let mut out = match &output {
        Some(output) => output.messages(out),
        None => Box::new(out),
    };
    let trained = source::load(&args.model, &args.convert)?;
    source::show_warnings(&trained);
    if let (Trained::Graph(_), Some(dt)) = (&trained, args.dt) {
        return Err(Failure::new(format!(
            "{}: the step of a NIR graph is one of its semantics, on which its decays rest",
            args.model.display()
        ))
        .hint(format!("give --semantics dt={dt} instead of --dt")));
    }
    let network = trained.network();
    let options = args.options(trained.dt(), simulation::readout(trained.network()));
    let inputs = inputs::load(
        &args.data,
        &trained,
        args.convert.temporal_model,
        (&args.time, args.steps),
        &args.bytes,
        args.limit,
    )?;
    let outputs = simulation::outputs(network).unwrap_or(0);
    let targets = suspicion::of_targets(inputs.targets(), outputs);
    targets.iter().for_each(warn);
    show_measure(simulation::judge(network, &inputs).as_ref(), trained.head());
    let asked = args.steps.map(|n| n as usize);
    let failed = |e: SimulationError| {
        Failure::advised(format!("{}: {e}", args.model.display()), &e.advice())
    };
    let steps = simulation::steps(asked, inputs.steps()).map_err(failed)?;
    let mut record = match args.output {
        Some(_) => Some(Record::new(inputs.len(), steps, arrays(args, network))?),
        None => None,
    };
    let bar = progress::bar("simulating", inputs.len() as u64);
    let report = simulation::simulate(network, &inputs, asked, &options, &mut |run| {
        if let Some(record) = &mut record {
            record.add(run);
        }
        bar.inc(run.items as u64);
    });
    bar.finish_and_clear();
    let report = report.map_err(failed)?;
    if let (Some(output), Some(record)) = (output, record) {
        record.write(output)?;
    }
    suspicion::of_simulation(&report).iter().for_each(warn);
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(())
}

/// The arrays of a network's outputs, and of its neurons if they are asked for.
fn arrays(args: &Simulate, network: &Network) -> Vec<Kind> {
    let mut arrays = Vec::new();
    for probe in &network.probes {
        let size = match probe.target {
            Pre::Node(n) => network.nodes[n.0].size_out,
            Pre::Neurons(e) => network.ensembles[e.0].n_neurons,
        };
        let name = format!("output/{}", probe.label);
        arrays.push((name, size, NamedValues::F32(Vec::new())));
    }
    if args.probe.is_none() {
        return arrays;
    }
    for e in &network.ensembles {
        let (what, values) = if e.neuron_type.spikes() {
            ("spikes", NamedValues::I32(Vec::new()))
        } else {
            ("activity", NamedValues::F32(Vec::new()))
        };
        arrays.push((format!("{what}/{}", e.label), e.n_neurons, values));
    }
    let has_voltage = |e: &&Ensemble| e.neuron_type.has_voltage();
    for e in network.ensembles.iter().filter(has_voltage) {
        let name = format!("potentials/{}", e.label);
        arrays.push((name, e.n_neurons, NamedValues::F32(Vec::new())));
    }
    arrays
}

fn print(report: &Simulation, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "samples            {:>12}", report.images)?;
    writeln!(
        out,
        "steps              {:>12} of {} s",
        report.steps, report.dt
    )?;
    let (accuracy, error) = (report.accuracy, report.error);
    write!(out, "{}", Figures { accuracy, error })?;
    if let Some(accuracy) = report.accuracy_mean_10 {
        writeln!(out, "  mean of 10 steps {:>11.2} %", accuracy * 100.0)?;
    }
    if let Some(spikes) = report.spikes_per_image {
        writeln!(out, "spikes per sample  {spikes:>12.1}")?;
    }
    for e in &report.ensembles {
        write!(
            out,
            "    {:<20} {:>7} neurons",
            escaped(&e.label),
            e.neurons
        )?;
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
