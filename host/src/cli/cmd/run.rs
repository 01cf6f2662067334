//! `tinyspike run`: an image on a board, held to the emulator.

use std::io::Write;

use crate::assemble::Image;
use crate::data::{DataSet, NamedArray, NamedValues, write_npz};
use crate::device::connection::Connection;
use crate::device::run::{self, RunError, RunOptions, RunReport, StreamOptions, Tally};
use crate::device::session::{Session, SessionError};
use crate::device::{ConnectError, talk};
use crate::judge::Figures;
use crate::stream;
use crate::text::escaped;

use super::emulate::output;
use crate::cli::args::Run;
use crate::cli::deployed::{Deployed, deploy};
use crate::cli::diagnostics::Failure;
use crate::cli::{files, inputs, progress};

pub(crate) fn run(args: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    let more = (args.firmware.iter()).chain(&args.board.chip_description);
    let output = output(args.output.as_deref(), &args.image, &args.data, more)?;
    let mut out = match &output {
        Some(output) => output.messages(out),
        None => Box::new(out),
    };
    let over_time = stream::is_temporal(&image);
    let set = if over_time {
        let flags = &args.streams.recordings;
        inputs::recordings(&args.data, &image, &args.bytes, flags, args.limit)?
    } else {
        inputs::of_image(&args.data, &image, &args.bytes, args.limit)?
    };
    let options = RunOptions {
        bisect: args.bisect,
    };
    let streaming = StreamOptions {
        readout: (args.streams.readout).unwrap_or_else(|| stream::readout(&image)),
        stateful: args.streams.stateful,
    };
    let deployed = deploy(&args.board, args.firmware.as_deref(), Some(&bytes))?;
    let network = image.description();
    let mut outputs = vec![Vec::new(); network.outputs.len()];
    let mut visit = |tally: &Tally| {
        for (all, values) in outputs.iter_mut().zip(&tally.outputs) {
            all.extend(values.iter().map(|&v| v as f32));
        }
    };
    let report = if over_time {
        on_board(&deployed, &image, &set, &mut visit, |session, show| {
            run::stream(session, &image, &set, streaming, show)
        })?
    } else {
        run_on(&deployed, &image, &set, &options, &mut visit)?
    };
    if let Some(output) = output {
        let arrays = outputs
            .into_iter()
            .enumerate()
            .map(|(at, values)| NamedArray {
                name: format!("output/{}", network.output_label(at)),
                shape: vec![report.images, network.outputs[at].size as usize],
                values: NamedValues::F32(values),
            });
        let arrays: Vec<NamedArray> = arrays.collect();
        output.write_with(|file| write_npz(file, &arrays))?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, &mut out)?;
    }
    out.flush()?;
    agreed(&report)
}

/// Runs samples on a board, and shows how far it is. `visit` is told of each.
pub(crate) fn run_on(
    deployed: &Deployed,
    image: &Image<'_>,
    set: &DataSet,
    options: &RunOptions,
    visit: &mut dyn FnMut(&Tally),
) -> Result<RunReport, Failure> {
    on_board(deployed, image, set, visit, |session, show| {
        run::run(session, image, set, options, show)
    })
}

/// Does a run on a board, and shows how far it is.
fn on_board(
    deployed: &Deployed,
    image: &Image<'_>,
    set: &DataSet,
    visit: &mut dyn FnMut(&Tally),
    work: impl FnOnce(
        &mut Session<Connection<'_, '_>>,
        &mut dyn FnMut(&Tally),
    ) -> Result<RunReport, RunError>,
) -> Result<RunReport, Failure> {
    let bar = progress::live("running", set.len() as u64);
    let mut show = |tally: &Tally| {
        bar.set_position(tally.samples as u64);
        bar.set_message(live(tally));
        visit(tally);
    };
    let report = talk(
        &deployed.board.chip,
        Some(&deployed.firmware),
        &deployed.talk(),
        |session| {
            run::check(session, image)?;
            Ok(work(session, &mut show)?)
        },
    );
    bar.finish_and_clear();
    report.map_err(Broken::failure)
}

/// Checks that device and emulator did the same.
pub(crate) fn agreed(report: &RunReport) -> Result<(), Failure> {
    match &report.divergence {
        None => Ok(()),
        Some(divergence) => Err(Failure::new(format!(
            "device and emulator part at {divergence}"
        ))),
    }
}

/// Reason why a board could not be worked with.
pub(crate) enum Broken {
    Device(ConnectError),
    Run(RunError),
    Other(Failure),
}

impl From<ConnectError> for Broken {
    fn from(error: ConnectError) -> Self {
        Self::Device(error)
    }
}

impl From<RunError> for Broken {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl Broken {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Device(error) => Failure::of(error),
            Self::Run(error) => failure(error),
            Self::Other(failure) => failure,
        }
    }
}

/// An error of a run, with what to do.
fn failure(error: RunError) -> Failure {
    let hint = match &error {
        RunError::Session { source, .. } => match source {
            SessionError::Lost(_) => {
                "see that the probe is still connected and the board has power"
            }
            SessionError::Silent { .. } | SessionError::Fault(_) => {
                "`tinyspike monitor` shows what the firmware logs; `tinyspike flash` restarts it"
            }
            _ => return Failure::from(error),
        },
        RunError::OtherImage { .. } | RunError::NoImage(_) => {
            "`tinyspike flash` writes the image and its firmware"
        }
        _ => return Failure::from(error),
    };
    Failure::from(error).hint(hint)
}

/// Text beside the bar.
pub(crate) fn live(tally: &Tally) -> String {
    let spikes: Vec<String> = (tally.counts.iter())
        .map(|count| count.spikes.to_string())
        .collect();
    let figure = match (tally.figures.accuracy, tally.figures.error) {
        (Some(accuracy), _) => format!("accuracy {:.1} %, ", accuracy * 100.0),
        (None, Some(error)) => format!("rms error {:.4}, ", error.rms_error),
        (None, None) => String::new(),
    };
    format!("{figure}spikes {}", spikes.join(" "))
}

pub(crate) fn print(report: &RunReport, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "samples            {:>12}", report.images)?;
    let (accuracy, error) = (report.accuracy, report.error);
    write!(out, "{}", Figures { accuracy, error })?;
    if report.divergence.is_none() {
        writeln!(
            out,
            "every spike count and output is the emulator's, to the bit"
        )?;
    }
    writeln!(out, "steps              {:>12.2}", report.steps_mean)?;
    writeln!(out, "per sample:")?;
    writeln!(out, "  events           {:>12.1}", report.events_per_image)?;
    writeln!(out, "  spikes           {:>12.1}", report.spikes_per_image)?;
    for e in &report.ensembles {
        writeln!(
            out,
            "    {:<20} {:>7} neurons {:>9.1} events {:>9.1} spikes",
            escaped(&e.label),
            e.neurons,
            e.events_per_image,
            e.spikes_per_image
        )?;
    }
    writeln!(out, "  ticks            {:>12.1}", report.ticks.mean)?;
    let stack = report.stack;
    writeln!(
        out,
        "stack              {:>12} of {} bytes",
        stack.high_water, stack.size
    )?;
    writeln!(out, "samples per second {:>12.1}", report.images_per_second)?;
    Ok(())
}
