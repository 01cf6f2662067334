//! `tinyspike convert`: a Keras model to an image file.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use tinyspike::assemble::Image;
use tinyspike::calibrate::{Blocks, CalibrateError, FileBlocks, Samples};
use tinyspike::compare::{Comparison, compare};
use tinyspike::convert::Conversion;
use tinyspike::data::suspicion::{self, Suspicion, Watch, of_calibration};
use tinyspike::data::{self, DataError, DataSet};
use tinyspike::deploy::{DeployError, DeployOptions, Deployment, Mode};
use tinyspike::emulate::{self, EmulateOptions};
use tinyspike::forward::forward;
use tinyspike::graph::Graph;
use tinyspike::inputs::Inputs;
use tinyspike::judge::{Judge, THRESHOLD, THRESHOLD_OF_SIGMOID};
use tinyspike::network::Head;
use tinyspike::quantize::{QuantizeOptions, WEIGHT_BITS};
use tinyspike::report::Report;
use tinyspike::tensor::Tensor;
use tinyspike::tune::Tuning;
use tinyspike::{Advised, Model};
use tinyspike_firmware::limits::Limits;

use crate::args::Convert;
use crate::diagnostics::{Failure, note, warn};
use crate::inputs::{assign, input_files, joined, show_measure};
use crate::outputs::Output;
use crate::progress;
use crate::source::{Source, scaled};

/// Tuning uses no more samples than this; of more, so many at even distances in the file.
const TUNED: usize = 12_288;

/// The most calibration samples on which model, network and image are compared.
const COMPARED: usize = 512;

/// Output of `--json`.
#[derive(Serialize)]
struct Json<'a, C> {
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<&'a Tuning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a C>,
}

/// Files that are written: the image and, if it is asked for, its report.
pub(crate) struct Files {
    image: Output,
    report: Option<Output>,
}

impl Files {
    /// Makes sure that both can be written, and that they are no inputs and not one file.
    fn new(args: &Convert) -> Result<Self, Failure> {
        let read = input_files(&args.model, &args.convert, &args.calibration);
        let claim = |path| Output::new(path, read.iter().map(PathBuf::as_path));
        let image = claim(&args.output)?;
        let report = args.report.as_deref().map(claim).transpose()?;
        if report.as_ref().is_some_and(|report| report.is(&image)) {
            return Err(Failure::new(format!(
                "the image and the report would both be {}",
                args.output.display()
            )));
        }
        Ok(Self { image, report })
    }

    /// Writes both, and shows which boards hold the image.
    pub(crate) fn write(self, deployment: &Deployment) -> Result<(), Failure> {
        if let Some(output) = self.report {
            let mut json = serde_json::to_string_pretty(&deployment.report)?;
            json.push('\n');
            output.write(json.as_bytes())?;
        }
        self.image.write(deployment.image.bytes())?;
        show_boards(&deployment.image.image());
        Ok(())
    }
}

pub(crate) fn run(args: &Convert, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(bits) = args.weight_bits.filter(|&bits| bits > WEIGHT_BITS)
        && !args.exact
    {
        return Err(Failure::new(format!(
            "--weight-bits {bits}: weights of more than {WEIGHT_BITS} bits need --exact"
        )));
    }
    let files = Files::new(args)?;
    let mut out = files.image.messages(out);
    let (model, conversion) = match Source::load(&args.model, &args.convert)? {
        Source::Keras(model, conversion) => (*model, *conversion),
        source @ Source::Nir(_) => {
            source.show_warnings();
            return super::temporal::convert(args, &source, files, &mut *out);
        }
    };
    show_warnings(&conversion);
    let (deployment, few) = deploy(args, &model, &conversion)?;
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
    files.write(&deployment)?;
    let comparison = few.and_then(|few| compared(&model, &conversion, &deployment, few));
    show(args, &deployment, comparison.as_ref(), &mut out)
}

/// Shows the image that was written, what was compared, and what comes next.
pub(crate) fn show<C: Serialize + fmt::Display>(
    args: &Convert,
    deployment: &Deployment,
    comparison: Option<&C>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let report = &deployment.report;
    if args.json {
        let all = Json {
            report,
            tuning: deployment.tuning.as_ref(),
            comparison,
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
    if let Some(comparison) = comparison {
        writeln!(out, "{comparison}")?;
        writeln!(
            out,
            "next: tinyspike emulate {} --data FILE",
            args.output.display()
        )?;
    }
    Ok(())
}

/// The outputs of model, network and image on a few samples; `None`, with a warning, if one cannot run on them.
fn compared(
    model: &Model,
    conversion: &Conversion,
    deployment: &Deployment,
    few: DataSet,
) -> Option<Comparison> {
    let threshold = if model.ends_in_sigmoid() {
        THRESHOLD_OF_SIGMOID
    } else {
        THRESHOLD
    };
    let first = |x: &[Tensor]| match forward(model, x) {
        Ok(outputs) => outputs
            .into_iter()
            .next()
            .ok_or_else(|| "it has no output".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    compare(&first, threshold, &conversion.network, deployment, few)
        .map_err(warn)
        .ok()
}

/// The names of a model's inputs.
fn inputs(conversion: &Conversion) -> Vec<&str> {
    let inputs = conversion.network.inputs.iter();
    inputs.map(|(name, _)| name.as_str()).collect()
}

/// The calibration samples, of several inputs side by side.
fn calibration(
    args: &Convert,
    model: &Model,
    conversion: &Conversion,
    load: impl Fn(&str) -> Result<DataSet, DataError>,
) -> Result<DataSet, Failure> {
    let network = &conversion.network;
    joined(
        "--calibration",
        &args.calibration,
        &inputs(conversion),
        |at, path| {
            let set = scaled(load(path)?, &args.data, model, at);
            Inputs::check(network, at, set.shape())
                .map_err(|e| Failure::new(format!("{path}: {e}")))?;
            Ok(set)
        },
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

/// The image that the user asks for, and a few of the calibration samples.
fn deploy(
    args: &Convert,
    model: &Model,
    conversion: &Conversion,
) -> Result<(Deployment, Option<DataSet>), Failure> {
    let mode = args.mode();
    let limit = args.calibration_samples.map(|n| n as usize);
    let names = inputs(conversion);
    let tuned = matches!(mode, Mode::Tuned(_));
    let whole = |set: DataSet| -> (usize, Option<Box<dyn Blocks>>, Option<DataSet>) {
        of_calibration(&set, tuned).iter().for_each(warn);
        let few = set.evenly(COMPARED);
        (set.len(), Some(Box::new(set)), Some(few))
    };
    let watch = RefCell::default();
    let (count, blocks, few) = match names.as_slice() {
        _ if args.calibration.is_empty() => (0, None, None),
        [name] if !tuned => {
            let path = assign("--calibration", &args.calibration, &[name])?[0];
            let few =
                |path: &str| data::load_at_most(path, COMPARED.min(limit.unwrap_or(COMPARED)));
            let few = calibration(args, model, conversion, few)?;
            let blocks = Watched {
                file: FileBlocks {
                    path: path.into(),
                    byte_scale: Some(few.byte_scale()),
                    limit,
                },
                watch: &watch,
                passed: Cell::new(false),
            };
            (
                data::about(path)?.count,
                Some(Box::new(blocks) as Box<dyn Blocks>),
                Some(few),
            )
        }
        _ if tuned => {
            let most = limit.unwrap_or(TUNED).min(TUNED);
            whole(calibration(args, model, conversion, |path| {
                data::load_at_most(path, most)
            })?)
        }
        _ => {
            let set = calibration(args, model, conversion, |path| data::load(path))?;
            whole(set.take(limit.unwrap_or(usize::MAX)))
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
        largest: (0..names.len())
            .map(|input| if model.takes_bytes(input) { 255.0 } else { 1.0 })
            .collect(),
        deepen: args.steps.is_none() && args.max_count.is_none(),
        budgets: args.budgets(),
        model_version: args.model_version,
        progress: &|n| {
            if let Some(bar) = &bar {
                bar.inc(n);
            }
        },
        ..DeployOptions::new(&mode)
    };
    let mut deployment = conversion.network.deploy(&options);
    // Counts of exact neurons follow from the samples, unless the user has chosen.
    if let (Ok(first), Some(few), Mode::Exact(settings)) = (&deployment, &few, &mode)
        && args.max_count.is_none()
        && !saturated(first, few).is_empty()
    {
        let mode = Mode::Exact(QuantizeOptions {
            max_count: u8::MAX,
            ..settings.clone()
        });
        let wider = DeployOptions {
            mode: Cow::Borrowed(&mode),
            ..options.clone()
        };
        if let Ok(wider) = conversion.network.deploy(&wider) {
            note("neurons have more than 63 spikes in a step: up to 255 are counted");
            deployment = Ok(wider);
        }
    }
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    watch.borrow().found(false).iter().for_each(warn);
    let deployment = deployment.map_err(|error| failure(args, &error))?;
    if let (Some(depth), Mode::Plain(settings)) = (deployment.deep, &mode) {
        note(format_args!(
            "{depth} layers of neurons in a row: more spikes in a step, which rounds less (--max-count {} is as for \
             others)",
            settings.max_count
        ));
    }
    let outputs = deployment.graph.outputs.first().map_or(0, |o| o.bias.len());
    if let Some(few) = &few {
        suspicion::of_targets(few.targets(), outputs)
            .iter()
            .for_each(warn);
        let last = model.ends_in_sigmoid().then_some(Head::Sigmoid);
        show_measure(Judge::new(few, outputs, THRESHOLD).as_ref(), last);
        let (graph, integers) = (&deployment.graph, &deployment.integers);
        suspicion::of_inputs(few, graph, integers)
            .iter()
            .for_each(warn);
        saturated(&deployment, few).iter().for_each(warn);
    }
    Ok((deployment, few))
}

/// Notes if an image has more parts than firmware usually has room for.
fn show_boards(image: &Image<'_>) {
    let network = image.description();
    let (ensembles, connections) = (network.ensembles.len(), network.connections.len());
    let beyond = |limits: Limits| limits.rooms(ensembles, connections) != Some(1);
    let usual = Limits::MAINLINE;
    if beyond(usual) {
        note(format_args!(
            "{ensembles} ensembles and {connections} connections: `flash` builds firmware with room for them; for custom \
             firmware the Image type says how many it holds (usually {} and {})",
            usual.ensembles, usual.connections
        ));
    } else if beyond(Limits::BASELINE) {
        note(format_args!(
            "{ensembles} ensembles and {connections} connections: `flash` builds firmware with room for them on Cortex-M0, \
             M0+ and M23, which takes more RAM"
        ));
    }
}

/// Neurons of an exact image that have more spikes in a step than they may have, on a few samples.
fn saturated(deployment: &Deployment, few: &DataSet) -> Vec<Suspicion> {
    const SAMPLES: usize = 32;
    if !deployment.graph.is_exact() {
        return Vec::new();
    }
    let image = deployment.image.image();
    let some = 0..few.len().min(SAMPLES);
    let run = emulate::run(&image, few, some, &EmulateOptions::default(), &|_| ());
    run.map_or_else(|_| Vec::new(), |run| suspicion::of_run(&image, &run))
}

pub(crate) fn failure(args: &Convert, error: &DeployError) -> Failure {
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
