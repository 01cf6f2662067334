//! `tinyspike convert`: a Keras model to an image file.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use tinyspike::Advised;
use tinyspike::assemble::Image;
use tinyspike::calibrate::{Blocks, CalibrateError, FileBlocks, Samples};
use tinyspike::convert::Conversion;
use tinyspike::data::suspicion::{Watch, of_calibration};
use tinyspike::data::{self, DataError, DataSet};
use tinyspike::deploy::{DeployError, DeployOptions, Deployment, Mode};
use tinyspike::graph::Graph;
use tinyspike::quantize::WEIGHT_BITS;
use tinyspike::report::Report;
use tinyspike::tune::Tuning;

use crate::args::Convert;
use crate::diagnostics::{Failure, note, warn};
use crate::inputs::{assign, input_files, joined};
use crate::outputs::Output;
use crate::progress;

/// Tuning uses no more samples than this; of more, so many at even distances in the file.
const TUNED: usize = 12_288;

/// Output of `--json`.
#[derive(Serialize)]
struct Json<'a> {
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<&'a Tuning>,
}

pub(crate) fn run(args: &Convert, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(bits) = args.weight_bits.filter(|&bits| bits > WEIGHT_BITS)
        && !args.exact
    {
        return Err(Failure::new(format!(
            "--weight-bits {bits}: weights of more than {WEIGHT_BITS} bits need --exact"
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
    let deployment = deploy(args, &conversion)?;
    if let Some(tuning) = deployment.tuning.as_ref().filter(|_| !args.json) {
        writeln!(out, "{tuning}")?;
    }
    show_omissions(&deployment.graph);
    if args.calibration.is_empty() && !args.exact {
        warn(
            "without calibration data the activation ranges are bounds from the weights, which are \
             many times what the network uses: expect a loss of accuracy, often a large one. A few \
             hundred real inputs (--calibration FILE) avoid it",
        );
    }
    let report = &deployment.report;
    if let Some(report_output) = report_output {
        let mut json = serde_json::to_string_pretty(report)?;
        json.push('\n');
        report_output.write(json.as_bytes())?;
    }
    output.write(deployment.image.bytes())?;
    if args.json {
        let all = Json {
            report,
            tuning: deployment.tuning.as_ref(),
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    if args.verbose {
        writeln!(out, "{report}")?;
    }
    writeln!(
        out,
        "{}: {}",
        args.output.display(),
        summary(&deployment.image.image())
    )?;
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

/// A file's samples, of which the first pass also tells whether they are of use.
struct Watched<'a> {
    file: FileBlocks,
    watch: &'a RefCell<Watch>,
    passed: Cell<bool>,
}

impl Blocks for Watched<'_> {
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        self.file.for_each_set(&mut |set| {
            if !self.passed.get() {
                self.watch.borrow_mut().add(&set);
            }
            set.for_each(visit)
        })?;
        self.passed.set(true);
        Ok(())
    }
}

/// The image that the user asks for.
fn deploy(args: &Convert, conversion: &Conversion) -> Result<Deployment, Failure> {
    let mode = args.mode();
    let limit = args.calibration_samples.map(|n| n as usize);
    let names = inputs(conversion);
    let watch = RefCell::default();
    let (count, blocks): (usize, Option<Box<dyn Blocks>>) = match (names.as_slice(), &mode) {
        _ if args.calibration.is_empty() => (0, None),
        (_, Mode::Tuned(_)) => {
            let most = limit.unwrap_or(TUNED).min(TUNED);
            let set = calibration(args, conversion, |path| data::load_at_most(path, most))?;
            of_calibration(&set, true).iter().for_each(warn);
            (set.len(), Some(Box::new(set)))
        }
        ([name], _) => {
            let path = assign("--calibration", &args.calibration, &[name])?[0];
            let blocks = Watched {
                file: FileBlocks {
                    path: path.into(),
                    byte_scale: args.data.byte_scale,
                    limit,
                },
                watch: &watch,
                passed: Cell::new(false),
            };
            (data::about(path)?.count, Some(Box::new(blocks)))
        }
        _ => {
            let set = calibration(args, conversion, |path| data::load(path))?;
            let set = set.take(limit.unwrap_or(usize::MAX));
            of_calibration(&set, false).iter().for_each(warn);
            (set.len(), Some(Box::new(set)))
        }
    };
    let count = count.min(limit.unwrap_or(count)) as u64;
    let bar = match &mode {
        Mode::Tuned(_) => Some(progress::count("tuning")),
        _ if blocks.is_none() => None,
        Mode::Exact(_) => Some(progress::bar("calibrating", count)),
        // They are gone through twice.
        _ => Some(progress::bar("calibrating", count.saturating_mul(2))),
    };
    let options = DeployOptions {
        data: blocks.as_deref(),
        budgets: args.budgets(),
        model_version: args.model_version,
        progress: &|n| {
            if let Some(bar) = &bar {
                bar.inc(n);
            }
        },
        ..DeployOptions::new(&mode)
    };
    let deployment = conversion.network.deploy(&options);
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    watch.borrow().found(false).iter().for_each(warn);
    deployment.map_err(|error| failure(args, &error))
}

fn failure(args: &Convert, error: &DeployError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", args.model.display()));
    match error {
        DeployError::Calibrate(CalibrateError::Input { .. } | CalibrateError::Inputs { .. }) => {
            failure.hint("calibration data must have the model's input shape")
        }
        error => failure.with(&error.advice()),
    }
}

/// Prints the converter's warnings.
pub(crate) fn show_warnings(conversion: &Conversion) {
    for warning in &conversion.warnings {
        warn(warning);
    }
}

/// Prints the parts of the network that an image leaves out.
pub(crate) fn show_omissions(graph: &Graph) {
    for output in &graph.outputs {
        if let Some(head) = output.left_out {
            note(format_args!(
                "the {head} of {:?} is left out of the image: {}",
                output.label,
                head.omission()
            ));
        }
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
