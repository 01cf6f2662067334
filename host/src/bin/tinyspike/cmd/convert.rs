//! `tinyspike convert`: a Keras model to an image file.

use std::io::Write;

use tinyspike::assemble::{Image, aligned_copy, set_model_version};
use tinyspike::calibrate::{Calibration, Range, bounds_from_weights};
use tinyspike::convert::Conversion;
use tinyspike::data::{self, DataSet};
use tinyspike::faithful::{FaithfulError, build_faithful};
use tinyspike::lower::{Graph, lower};
use tinyspike::network::Network;
use tinyspike::pipeline::{BuildError, build, samples};
use tinyspike::quantize::Quantized;
use tinyspike::report::report;
use tinyspike::tune::{TuneOptions, tune};

use crate::args::Convert;
use crate::diagnostics::{Failure, note, warn};
use crate::{files, progress};

/// Calibration samples unless the user says how many.
const SAMPLES: usize = 512;

/// What an image came from.
struct Built {
    graph: Graph,
    calibration: Calibration,
    quantized: Quantized,
    image: Vec<u8>,
}

pub(crate) fn run(args: &Convert, out: &mut dyn Write) -> Result<(), Failure> {
    let (_, conversion) = super::converted(&args.model, &args.convert)?;
    show_warnings(&conversion);
    let set = args.calibration.as_ref().map(data::load).transpose()?;
    let mut built = match (args.tuning(), set) {
        (_, set) if args.faithful => faithful(args, &conversion.network, set.as_ref())?,
        (Some(options), Some(set)) => {
            let set = match args.calibration_samples {
                Some(limit) => set.take(limit as usize),
                None => set,
            };
            tuned(args, &conversion.network, &set, &options, out)?
        }
        (_, set) => plain(args, &conversion.network, set.as_ref())?,
    };
    show_omissions(&built.graph);
    if args.calibration.is_none() && !args.faithful {
        warn(
            "without calibration data the activation ranges are bounds from the weights, which are \
             many times what the network uses: expect a loss of accuracy, often a large one. A few \
             hundred real inputs (--calibration FILE) avoid it",
        );
    }
    set_model_version(&mut built.image, args.model_version)?;
    let bytes = aligned_copy(&built.image);
    let image = files::parse_image(&args.output, &bytes)?;
    args.budgets()
        .check(&image)
        .map_err(|e| Failure::new(format!("{}: {e}", args.model.display())))?;
    let report = report(&built.graph, &built.calibration, &built.quantized, &image);
    if let Some(path) = &args.report {
        let mut json = serde_json::to_string_pretty(&report)?;
        json.push('\n');
        files::write_whole(path, json.as_bytes())?;
    }
    files::write_whole(&args.output, &built.image)?;
    if args.verbose {
        writeln!(out, "{report}")?;
    }
    writeln!(out, "{}: {}", args.output.display(), summary(&image))?;
    Ok(())
}

/// An image with the settings that the user gives.
fn plain(args: &Convert, network: &Network, set: Option<&DataSet>) -> Result<Built, Failure> {
    let limit = args.calibration_samples.map_or(SAMPLES, |n| n as usize);
    let samples = set.map(|set| samples(set, args.data.byte_scale, limit));
    let bar = samples
        .as_ref()
        .map(|s| progress::bar("calibrating", s.count as u64));
    let built = build(network, samples.as_ref(), &args.quantize(), &|n| {
        if let Some(bar) = &bar {
            bar.inc(n);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let built = built.map_err(|e| failure(args, e))?;
    Ok(Built {
        graph: built.graph,
        calibration: built.calibration,
        quantized: built.quantized,
        image: built.image,
    })
}

/// An image that runs the network step by step as it is.
fn faithful(args: &Convert, network: &Network, set: Option<&DataSet>) -> Result<Built, Failure> {
    let failed = |e: FaithfulError| Failure::new(format!("{}: {e}", args.model.display()));
    let mut options = args.faithful().unwrap_or_default();
    if let Some(set) = set {
        // All that real inputs have to say is their range.
        let values = set.to_floats(args.data.byte_scale);
        options.inputs.push(Range {
            min: values.iter().copied().fold(f32::INFINITY, f32::min),
            max: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        });
    }
    let built = build_faithful(network, &options).map_err(failed)?;
    let calibration = bounds_from_weights(&built.graph)
        .map_err(|e| Failure::new(format!("{}: {e}", args.model.display())))?;
    Ok(Built {
        graph: built.graph,
        calibration,
        quantized: built.quantized,
        image: built.image,
    })
}

/// The best image that a search finds.
fn tuned(
    args: &Convert,
    network: &Network,
    set: &DataSet,
    options: &TuneOptions,
    out: &mut dyn Write,
) -> Result<Built, Failure> {
    let graph = lower(network).map_err(|e| failure(args, e.into()))?;
    let bar = progress::count("tuning");
    let tuned = tune(&graph, set, options, &|n| bar.inc(n));
    bar.finish_and_clear();
    let tuned = tuned.map_err(|e| Failure::new(format!("{}: {e}", args.model.display())))?;
    writeln!(out, "{tuned}")?;
    Ok(Built {
        graph: tuned.graph,
        calibration: tuned.calibration,
        quantized: tuned.quantized,
        image: tuned.image,
    })
}

fn failure(args: &Convert, error: BuildError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", args.model.display()));
    match error {
        BuildError::Calibrate(_) => {
            failure.hint("calibration data must have the model's input shape")
        }
        _ => failure,
    }
}

/// What the converter has to say.
pub(crate) fn show_warnings(conversion: &Conversion) {
    for warning in &conversion.warnings {
        warn(warning);
    }
}

/// What of the network an image leaves out.
pub(crate) fn show_omissions(graph: &Graph) {
    for output in graph.outputs.iter().filter(|o| o.dropped_softmax) {
        note(format_args!(
            "the softmax of {:?} is left out of the image: it does not change the ranking",
            output.label
        ));
    }
}

/// An image's costs in a line.
pub(crate) fn summary(image: &Image<'_>) -> String {
    let network = image.description();
    let neurons: u64 = network.ensembles.iter().map(|e| u64::from(e.neurons)).sum();
    format!(
        "{} neurons in {} ensembles, {} steps, {} bytes of flash, {} bytes of RAM",
        neurons,
        network.ensembles.len(),
        network.steps,
        image.bytes().len(),
        image.arena_bytes(),
    )
}
