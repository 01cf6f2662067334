//! `tinyspike verify`: a converted network against its Keras model.

use std::io::Write;

use crate::keras::verify;
use crate::text::escaped;
use crate::trained::Trained;
use serde::Serialize;

use crate::cli::args::{TimeFlags, Verify};
use crate::cli::diagnostics::Failure;
use crate::cli::{inputs, progress, source};

/// Outcome of a comparison.
#[derive(Serialize)]
struct Report {
    passed: bool,
    atol: f64,
    rtol: f64,
    /// None if the inputs are ones.
    images: Option<usize>,
    outputs: Vec<OutputReport>,
}

#[derive(Serialize)]
struct OutputReport {
    output: String,
    passed: bool,
    values: usize,
    failures: usize,
    max_difference: f64,
    max_magnitude: f64,
}

pub(crate) fn run(args: &Verify, out: &mut dyn Write) -> Result<(), Failure> {
    let trained = source::load(&args.model, &args.convert)?;
    source::show_warnings(&trained);
    let (model, conversion) = match &trained {
        Trained::Layers(layers) => (&layers.model, &layers.conversion),
        Trained::Graph(reading) => return super::nir::verify(args, reading, out),
    };
    if args.trace.is_some() {
        return Err(Failure::new(
            "--match is for NIR graphs; a Keras model has a forward pass to compare with",
        ));
    }
    let options = args.options();
    let failed = |e| Failure::new(format!("{}: {e}", args.model.display()));
    let (verification, images) = if args.data.is_empty() {
        let verification = verify(model, &conversion.network, None, &options).map_err(failed)?;
        (verification, None)
    } else {
        let inputs = inputs::load(
            &args.data,
            &trained,
            args.convert.temporal_model,
            (&TimeFlags::default(), None),
            &args.bytes,
            args.limit,
        )?;
        let bar = progress::bar("verifying", inputs.len() as u64);
        let done = &mut |n| bar.inc(n as u64);
        let whole = model.verify_inputs(&conversion.network, &inputs, &options, done);
        bar.finish_and_clear();
        let whole = whole.map_err(failed)?;
        (whole, Some(inputs.len()))
    };
    let report = Report {
        passed: verification.passed(),
        atol: options.atol,
        rtol: options.rtol,
        images,
        outputs: (verification.outputs.iter())
            .map(|o| OutputReport {
                output: o.output.clone(),
                passed: o.passed(),
                values: o.values,
                failures: o.failures,
                max_difference: o.max_difference,
                max_magnitude: o.max_magnitude,
            })
            .collect(),
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, out)?;
    }
    if report.passed {
        return Ok(());
    }
    let wrong: Vec<&OutputReport> = report.outputs.iter().filter(|o| !o.passed).collect();
    let names: Vec<&str> = wrong.iter().map(|o| o.output.as_str()).collect();
    let failure = Failure::new(format!(
        "{}: the network does not compute the model's {}",
        args.model.display(),
        names.join(", ")
    ));
    let network = &conversion.network;
    let causes = [
        (
            network.ensembles.iter().any(|e| !e.neuron_type.is_rate()),
            "spiking neurons agree only over many steps",
        ),
        (
            network.connections.iter().any(|c| c.synapse.is_some()),
            "synapses agree only over many steps",
        ),
        (
            args.convert.max_to_avg_pool,
            "max_to_avg_pool changes what the model computes",
        ),
    ];
    let causes = causes.iter().filter(|(there, _)| *there);
    let causes: Vec<&str> = causes.map(|(_, cause)| *cause).collect();
    Err(match causes.as_slice() {
        [] => failure,
        causes => failure.hint(format!(
            "{}: verify without, or give a larger --atol",
            causes.join(", and ")
        )),
    })
}

fn print(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(
        out,
        "{:<20} {:>10} {:>10} {:>14} {:>14}",
        "output", "values", "too far", "max difference", "max magnitude"
    )?;
    for o in &report.outputs {
        writeln!(
            out,
            "{:<20} {:>10} {:>10} {:>14.3e} {:>14.3e}  {}",
            escaped(&o.output),
            o.values,
            o.failures,
            o.max_difference,
            o.max_magnitude,
            if o.passed { "agrees" } else { "DIFFERS" }
        )?;
    }
    let inputs = report
        .images
        .map_or_else(|| "ones".to_owned(), |n| format!("{n} samples"));
    writeln!(
        out,
        "on {inputs}; values may differ by {:e} + {:e} of the output's largest",
        report.atol, report.rtol
    )?;
    Ok(())
}
