//! The result of a conversion, of any network: files, words and failures.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use tinyspike_firmware::limits::Limits;

use crate::advice::Advised as _;
use crate::assemble::Image;
use crate::calibrate::CalibrateError;
use crate::deploy::{DeployError, Deployment};
use crate::device::boards::{Board, Runs};
use crate::device::{Chips, Plan, PlanOptions};
use crate::image::ImageBuf;
use crate::report::Report;
use crate::tune::Tuning;

use crate::cli::args::Convert;
use crate::cli::diagnostics::{Failure, note, warn};
use crate::cli::inputs::input_files;
use crate::cli::outputs::Output;
use crate::text::{escaped, shown};

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
    pub(crate) image: Output,
    report: Option<Output>,
}

impl Files {
    /// Makes sure that both can be written, and that they are no inputs and not one file.
    pub(crate) fn new(args: &Convert) -> Result<Self, Failure> {
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
        shown(&args.output),
        summary(&deployment.image.image())
    )?;
    if let Some(board) = args.board {
        show_board(board, &deployment.image, out)?;
    }
    if let Some(comparison) = comparison {
        writeln!(out, "{comparison}")?;
        let image = deployment.image.image();
        let network = image.description();
        let data = match network.inputs.len() {
            1 => " --data FILE".to_owned(),
            inputs => (0..inputs)
                .map(|at| format!(" --data {}=FILE", escaped(network.input_label(at))))
                .collect(),
        };
        writeln!(out, "next: tinyspike emulate {}{data}", shown(&args.output))?;
        if network.outputs.len() > 1 {
            note(format_args!(
                "the figures are those of the first of {} outputs, {:?}; `emulate -o FILE.npz` writes all",
                network.outputs.len(),
                network.output_label(0)
            ));
        }
    }
    Ok(())
}

/// Says if a board runs an image, and what that leaves of its memory.
fn show_board(board: &'static Board, image: &ImageBuf, out: &mut dyn Write) -> Result<(), Failure> {
    let title = board.title;
    if let Runs::Library(core) = board.runs {
        writeln!(
            out,
            "runs on {title} by `tinyspike export --c DIR --core {core}`, without the application"
        )?;
        return Ok(());
    }
    let chip = board.chip(&Chips::builtin()).map_err(Failure::of)?;
    match Plan::new(&chip, image, None, &PlanOptions::default()) {
        Ok(plan) => {
            let budgets: Vec<String> = plan.budgets.iter().map(ToString::to_string).collect();
            writeln!(out, "runs on {title}: {}", budgets.join("; "))?;
        }
        Err(error) => warn(format_args!("does not run on {title}: {error}")),
    }
    Ok(())
}

/// Says why there is no image.
pub(crate) fn failure(args: &Convert, error: &DeployError) -> Failure {
    let failure = Failure::new(format!("{}: {error}", args.model.display()));
    match error {
        DeployError::Calibrate(CalibrateError::Input { .. } | CalibrateError::Inputs { .. }) => {
            failure.hint("calibration data must have the model's input shape")
        }
        error => failure.with(&error.advice()),
    }
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

/// The length of an inference, in words.
pub(crate) fn steps(steps: u16) -> String {
    match steps {
        0 => "a step for each sample of a stream".into(),
        1 => "1 step".into(),
        steps => format!("{steps} steps"),
    }
}

/// An image's costs in a line.
pub(crate) fn summary(image: &Image<'_>) -> String {
    let network = image.description();
    let neurons: u64 = network.ensembles.iter().map(|e| u64::from(e.neurons)).sum();
    format!(
        "{} neurons in {} ensembles, {}, {} bytes of flash, {} bytes of RAM",
        neurons,
        network.ensembles.len(),
        steps(network.steps),
        image.bytes().len(),
        image.arena_bytes(),
    )
}
