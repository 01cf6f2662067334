//! `tinyspike convert`: a Keras model to an image file.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use tinyspike::ImageBuf;
use tinyspike::assemble::{Image, set_model_version};
use tinyspike::calibrate::{
    Blocks, CalibrateError, Calibration, FileBlocks, Range, bounds_from_weights,
};
use tinyspike::convert::Conversion;
use tinyspike::data::{self, DataError, DataSet};
use tinyspike::faithful::{FaithfulError, build_faithful};
use tinyspike::graph::Graph;
use tinyspike::integers;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::network::Network;
use tinyspike::pipeline::{BuildError, build_from, samples};
use tinyspike::quantize::WEIGHT_BITS;
use tinyspike::report::{Report, report};
use tinyspike::tune::{Point, TuneOptions, tune};

use crate::args::Convert;
use crate::diagnostics::{Failure, note, warn};
use crate::inputs::{assign, input_files, joined};
use crate::outputs::Output;
use crate::progress;

/// Tuning uses no more samples than this; of more, so many at even distances in the file.
const TUNED: usize = 12_288;

/// What an image came from.
struct Built {
    tuning: Option<Tuning>,
    graph: Graph,
    calibration: Calibration,
    quantized: integers::Network,
    image: Vec<u8>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<&'a Tuning>,
}

/// What tuning found.
#[derive(Serialize)]
struct Tuning {
    /// Whether the accuracy is kept.
    kept: bool,
    chosen: Point,
    front: Vec<Point>,
    float_accuracy: Option<f64>,
    candidates: usize,
    /// What an int8 network that computes everything would take.
    dense_instructions: f64,
}

pub(crate) fn run(args: &Convert, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(bits) = args.weight_bits.filter(|&bits| bits > WEIGHT_BITS)
        && !args.faithful
    {
        return Err(Failure::new(format!(
            "--weight-bits {bits}: weights of more than {WEIGHT_BITS} bits need --faithful"
        )));
    }
    let files = input_files(&args.model, &args.convert, &args.calibration);
    let claim = |path| Output::new(path, files.iter().map(PathBuf::as_path));
    let output = claim(&args.output)?;
    let report_output = args.report.as_deref().map(claim).transpose()?;
    if report_output
        .as_ref()
        .is_some_and(|report| report.is(&output))
    {
        return Err(Failure::new(format!(
            "the image and the report would both be {}",
            args.output.display()
        )));
    }
    let mut out = output.messages(out);
    let (_, conversion) = super::converted(&args.model, &args.convert)?;
    show_warnings(&conversion);
    let mut built = match args.tuning() {
        _ if args.faithful => faithful(args, &conversion)?,
        Some(options) => {
            let most = args.calibration_samples.map_or(TUNED, |n| n as usize);
            let set = calibration(args, &conversion, |path| {
                data::load_at_most(path, most.min(TUNED))
            })?;
            tuned(args, &conversion.network, &set, &options, &mut out)?
        }
        None => plain(args, &conversion)?,
    };
    show_omissions(&built.graph);
    if args.calibration.is_empty() && !args.faithful {
        warn(
            "without calibration data the activation ranges are bounds from the weights, which are \
             many times what the network uses: expect a loss of accuracy, often a large one. A few \
             hundred real inputs (--calibration FILE) avoid it",
        );
    }
    set_model_version(&mut built.image, args.model_version)?;
    let bytes = ImageBuf::new(&built.image)?;
    let image = bytes.image();
    args.budgets()
        .check(&image)
        .map_err(|e| Failure::new(format!("{}: {e}", args.model.display())))?;
    let report = report(&built.graph, &built.calibration, &built.quantized, &image);
    if let Some(report_output) = report_output {
        let mut json = serde_json::to_string_pretty(&report)?;
        json.push('\n');
        report_output.write(json.as_bytes())?;
    }
    output.write(&built.image)?;
    if args.json {
        let all = Json {
            report: &report,
            tuning: built.tuning.as_ref(),
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    if args.verbose {
        writeln!(out, "{report}")?;
    }
    writeln!(out, "{}: {}", args.output.display(), summary(&image))?;
    Ok(())
}

/// The names of a model's inputs.
fn inputs(conversion: &Conversion) -> Vec<&str> {
    let inputs = conversion.network.inputs.iter();
    inputs.map(|(name, _)| name.as_str()).collect()
}

/// The calibration samples, of several inputs side by side.
fn calibration(
    args: &Convert,
    conversion: &Conversion,
    load: impl Fn(&str) -> Result<DataSet, DataError>,
) -> Result<DataSet, Failure> {
    joined(
        "--calibration",
        &args.calibration,
        &inputs(conversion),
        |path| Ok(load(path)?.with_byte_scale(args.data.byte_scale)),
    )
}

/// An image with the settings that the user gives.
fn plain(args: &Convert, conversion: &Conversion) -> Result<Built, Failure> {
    let limit = args.calibration_samples.map(|n| n as usize);
    let (count, blocks): (usize, Option<Box<dyn Blocks>>) = match inputs(conversion).as_slice() {
        _ if args.calibration.is_empty() => (0, None),
        [name] => {
            let path = assign("--calibration", &args.calibration, &[name])?[0];
            let blocks = FileBlocks {
                path: path.into(),
                byte_scale: args.data.byte_scale,
                limit,
            };
            (data::about(path)?.count, Some(Box::new(blocks)))
        }
        _ => {
            let set = calibration(args, conversion, |path| data::load(path))?;
            let lowered = lower(&conversion.network).and_then(|g| integrate_and_fire(&g));
            let graph = lowered.map_err(|e| failure(args, e.into()))?;
            let all = samples(&set, limit.unwrap_or(usize::MAX));
            (set.len(), Some(Box::new(all.split(&graph.input_sizes()))))
        }
    };
    let bar = blocks.as_ref().map(|_| {
        let count = count.min(limit.unwrap_or(count)) as u64;
        // They are gone through twice.
        progress::bar("calibrating", count.saturating_mul(2))
    });
    let network = &conversion.network;
    let built = build_from(network, blocks.as_deref(), &args.quantize(), &|n| {
        if let Some(bar) = &bar {
            bar.inc(n);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let built = built.map_err(|e| failure(args, e))?;
    Ok(Built {
        tuning: None,
        graph: built.graph,
        calibration: built.calibration,
        quantized: built.quantized,
        image: built.image,
    })
}

/// An image that runs the network step by step as it is.
fn faithful(args: &Convert, conversion: &Conversion) -> Result<Built, Failure> {
    let failed = |e: FaithfulError| Failure::new(format!("{}: {e}", args.model.display()));
    let mut options = args.faithful().unwrap_or_default();
    if !args.calibration.is_empty() {
        for path in assign("--calibration", &args.calibration, &inputs(conversion))? {
            let set = data::load(path)?.with_byte_scale(args.data.byte_scale);
            // All that real inputs have to say is their range.
            let values = set.to_floats();
            options.inputs.push(Range {
                min: values.iter().copied().fold(f32::INFINITY, f32::min),
                max: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            });
        }
    }
    let built = build_faithful(&conversion.network, &options).map_err(failed)?;
    let calibration = bounds_from_weights(&built.graph)
        .map_err(|e| Failure::new(format!("{}: {e}", args.model.display())))?;
    Ok(Built {
        tuning: None,
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
    let lowered = lower(network).and_then(|g| integrate_and_fire(&g));
    let graph = lowered.map_err(|e| failure(args, e.into()))?;
    let bar = progress::count("tuning");
    let tuned = tune(&graph, set, options, &|n| bar.inc(n));
    bar.finish_and_clear();
    let tuned = tuned.map_err(|e| Failure::new(format!("{}: {e}", args.model.display())))?;
    if !args.json {
        writeln!(out, "{tuned}")?;
    }
    Ok(Built {
        tuning: Some(Tuning {
            kept: tuned.kept,
            chosen: tuned.chosen,
            front: tuned.front,
            float_accuracy: tuned.float_accuracy,
            candidates: tuned.candidates,
            dense_instructions: tuned.dense_instructions,
        }),
        graph: tuned.graph,
        calibration: tuned.calibration,
        quantized: tuned.quantized,
        image: tuned.image,
    })
}

fn failure(args: &Convert, error: BuildError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", args.model.display()));
    match error {
        BuildError::Calibrate(CalibrateError::Input { .. } | CalibrateError::Inputs { .. }) => {
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
