//! `tinyspike emulate`: an image over a data set.

use std::io::Write;

use tinyspike::advice::Advised as _;
use tinyspike::emulate::{EmulateOptions, Report, emulate};
use tinyspike::text::escaped;

use crate::args::Emulate;
use crate::diagnostics::Failure;
use crate::{files, inputs, progress};

pub(crate) fn run(args: &Emulate, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    let mut set = inputs::of_image(&args.data, &image, args.bytes.byte_scale)?;
    if let Some(limit) = args.limit {
        set = set.take(limit as usize);
    }
    let options = EmulateOptions {
        steps: args.steps,
        early_exit: true,
    };
    let bar = progress::bar("emulating", set.len() as u64);
    let report = emulate(&image, &set, &options, &|n| bar.inc(n));
    bar.finish_and_clear();
    let report = report.map_err(|e| {
        let (image, data) = (args.image.display(), args.data.join(", "));
        Failure::advised(format!("{image} on {data}: {e}"), &e.advice())
    })?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, out)?;
    }
    Ok(())
}

/// A report as a person reads it.
pub(crate) fn print(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "samples            {:>12}", report.images)?;
    if let Some(accuracy) = report.accuracy {
        writeln!(out, "accuracy           {:>11.2} %", accuracy * 100.0)?;
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
