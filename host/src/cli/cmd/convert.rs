//! `tinyspike convert`: a Keras model to an image file.

use std::cell::{Cell, RefCell};
use std::io::Write;

use crate::calibrate::{Blocks, CalibrateError, FileBlocks, Samples};
use crate::coder::CoderError;
use crate::compare::{Comparison, compare};
use crate::data::suspicion::{Watch, of_calibration};
use crate::data::{self, DataError, DataSet};
use crate::deploy::{COMPARED, DeployOptions, Deployment, Mode, TUNED};
use crate::forward::forward;
use crate::graph::Graph;
use crate::inputs::Inputs;
use crate::judge::{Judge, THRESHOLD, THRESHOLD_OF_SIGMOID};
use crate::lower::{Curve, curves};
use crate::network::Network;
use crate::quantize::WEIGHT_BITS;
use crate::tensor::Tensor;
use crate::trained::{Layers, Trained};
use crate::tune::OTHERS;

use crate::cli::args::Convert;
use crate::cli::converted::{Files, failure, show};
use crate::cli::diagnostics::{Failure, note, warn};
use crate::cli::inputs::{assign, joined, show_measure};
use crate::cli::progress;
use crate::cli::source::{self, scaled};
use crate::cli::warnings;

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
    let trained = source::load(&args.model, &args.convert)?;
    let layers = match &trained {
        Trained::Layers(layers) => layers,
        Trained::Graph(reading) => {
            source::show_remarks(reading);
            return super::over_time::convert(args, &trained, files, &mut *out);
        }
    };
    if args.coder.is_some() {
        return Err(
            Failure::new(format!("{}: {}", args.model.display(), CoderError::Network))
                .hint("leave --coder out"),
        );
    }
    warnings::show(&layers.conversion.warnings, true);
    let (deployment, few) = deploy(args, &trained)?;
    if let Some(tuning) = deployment.tuning.as_ref().filter(|_| !args.json) {
        writeln!(out, "{tuning}")?;
    }
    if deployment.tuning.is_some() && deployment.graph.outputs.len() > 1 {
        warn(OTHERS);
    }
    show_curves(&curves(trained.network()));
    show_omissions(&deployment.graph);
    if args.calibration.is_empty() && !args.exact {
        warn(
            "without calibration data the activation ranges are bounds from the weights, which are \
             many times what the network uses: expect a loss of accuracy, often a large one. A few \
             hundred real inputs (--calibration FILE) avoid it",
        );
    }
    files.write(&deployment)?;
    let comparison = few.and_then(|few| compared(layers, &deployment, few));
    show(args, &deployment, comparison.as_ref(), &mut out)
}

/// The outputs of model, network and image on a few samples; `None`, with a warning, if one cannot run on them.
fn compared(layers: &Layers, deployment: &Deployment, few: DataSet) -> Option<Comparison> {
    let Layers {
        model, conversion, ..
    } = layers;
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

/// The names of a network's inputs.
fn inputs(network: &Network) -> Vec<&str> {
    let inputs = network.inputs.iter();
    inputs.map(|(name, _)| name.as_str()).collect()
}

/// The calibration samples, of several inputs side by side.
fn calibration(
    args: &Convert,
    trained: &Trained,
    load: impl Fn(&str) -> Result<DataSet, DataError>,
) -> Result<DataSet, Failure> {
    let network = trained.network();
    joined(
        "--calibration",
        &args.calibration,
        &inputs(network),
        |at, path| {
            let set = scaled(trained, load(path)?, &args.data, at);
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
fn deploy(args: &Convert, trained: &Trained) -> Result<(Deployment, Option<DataSet>), Failure> {
    let mode = args.mode();
    let limit = args.calibration_samples.map(|n| n as usize);
    let names = inputs(trained.network());
    let tuned = matches!(mode, Mode::Tuned(_));
    let whole = |set: DataSet| -> (usize, Option<Box<dyn Blocks>>, Option<DataSet>) {
        of_calibration(&set).iter().for_each(warn);
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
            let few = calibration(args, trained, few)?;
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
            whole(calibration(args, trained, |path| {
                data::load_at_most(path, most)
            })?)
        }
        _ => {
            let set = calibration(args, trained, |path| data::load(path))?;
            whole(set.evenly(limit.unwrap_or(usize::MAX)))
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
        largest: trained.largest(),
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
    // Counts of exact neurons follow from the samples, unless the user has chosen.
    let counted = few.as_ref().filter(|_| args.max_count.is_none());
    let deployment = trained.network().deploy_with_room(&options, counted);
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    watch.borrow().found().iter().for_each(warn);
    let (deployment, wider) = deployment.map_err(|error| failure(args, &error))?;
    if wider {
        note("neurons have more than 63 spikes in a step: up to 255 are counted");
    }
    if let (Some(depth), Mode::Plain(settings)) = (deployment.deep, &mode) {
        note(format_args!(
            "{depth} layers of neurons in a row: more spikes in a step, which rounds less (--max-count {} is as for \
             others)",
            settings.max_count
        ));
    }
    let outputs = deployment.graph.outputs.first().map_or(0, |o| o.bias.len());
    if let Some(few) = &few {
        let judge = Judge::new(few, outputs, THRESHOLD);
        show_measure(judge.as_ref(), trained.head());
        deployment
            .suspicions(few)
            .iter()
            .for_each(warnings::suspicious);
    }
    Ok((deployment, few))
}

/// Prints the activations that an image computes in straight pieces, those of one function together.
fn show_curves(curves: &[Curve]) {
    let mut shown: Vec<&str> = Vec::new();
    for curve in curves {
        if shown.contains(&curve.function.as_str()) {
            continue;
        }
        shown.push(&curve.function);
        let alike = curves
            .iter()
            .filter(|other| other.function == curve.function);
        let labels: Vec<String> = alike.map(|curve| format!("{:?}", curve.label)).collect();
        let pieces = match curve.pieces {
            1 => "one straight piece".to_owned(),
            n => format!("{n} straight pieces"),
        };
        note(format_args!(
            "{} of {}: {pieces}, each of them neurons, which miss it by {:.3} at most",
            curve.function,
            labels.join(", "),
            curve.error
        ));
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
