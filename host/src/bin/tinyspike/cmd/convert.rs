//! `tinyspike convert`: a Keras model to an image file.

use std::io::Write;

use tinyspike::assemble::Image;
use tinyspike::convert::{Conversion, convert};
use tinyspike::lower::Graph;
use tinyspike::pipeline::{BuildError, build, samples};
use tinyspike::{data, import};

use crate::args::Convert;
use crate::diagnostics::{Failure, note, warn};
use crate::{files, progress};

pub(crate) fn run(args: &Convert, out: &mut dyn Write) -> Result<(), Failure> {
    let model = import::load(&args.model)?;
    let conversion = convert(&model, &args.convert.options())?;
    show_warnings(&conversion);
    let limit = args.calibration_samples as usize;
    let samples = match &args.calibration {
        Some(path) => Some(samples(&data::load(path)?, args.data.byte_scale, limit)),
        None => None,
    };
    let bar = samples
        .as_ref()
        .map(|s| progress::bar("calibrating", s.count as u64));
    let built = build(
        &conversion.network,
        samples.as_ref(),
        &args.quantize(),
        &|n| {
            if let Some(bar) = &bar {
                bar.inc(n);
            }
        },
    );
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let built = built.map_err(|e| failure(args, e))?;
    show_omissions(&built.graph);
    if args.calibration.is_none() {
        warn(
            "without calibration data the activation ranges are bounds from the weights, which are \
             many times what the network uses: expect a loss of accuracy, often a large one. A few \
             hundred real inputs (--calibration FILE) avoid it",
        );
    }
    files::write_whole(&args.output, &built.image)?;
    let image = files::parse_image(
        &args.output,
        &tinyspike::assemble::aligned_copy(&built.image),
    )
    .map(|image| summary(&image))?;
    writeln!(out, "{}: {image}", args.output.display())?;
    Ok(())
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
