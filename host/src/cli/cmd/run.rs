//! `tinyspike run`: an image on a board, held to the emulator.

use std::io::Write;

use crate::assemble::Image;
use crate::data::{DataSet, NamedArray, write_npz};
use crate::device::run::{self, RunError, RunOptions, RunReport, StreamOptions, Tally};
use crate::device::session::{Link, Session};
use crate::device::{serial, talk};
use crate::judge::Figures;
use crate::stream;
use crate::text::escaped;

use super::emulate::{of_output, output};
use crate::cli::args::Run;
use crate::cli::broken::{Broken, Way, failure};
use crate::cli::deployed::{Deployed, deploy};
use crate::cli::diagnostics::Failure;
use crate::cli::{files, inputs, progress, several};

pub(crate) fn run(args: &Run, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    let more = (args.firmware.iter()).chain(&args.board.chip_description);
    let output = output(args.output.as_deref(), &args.image, &args.data, more)?;
    let mut out = match &output {
        Some(output) => output.messages(out),
        None => Box::new(out),
    };
    let over_time = stream::is_current_based(&image);
    let set = if over_time {
        let flags = &args.streams.recordings;
        inputs::recordings(&args.data, &image, &args.bytes, flags, args.limit)?
    } else {
        args.streams.refuse(&args.image)?;
        inputs::of_image(&args.data, &image, &args.bytes, args.limit)?
    };
    let options = RunOptions {
        bisect: args.bisect,
    };
    let streaming = StreamOptions {
        readout: (args.streams.readout).unwrap_or_else(|| stream::readout(&image)),
        stateful: args.streams.stateful,
    };
    let network = image.description();
    let mut outputs = vec![Vec::new(); network.outputs.len()];
    let mut visit = |tally: &Tally| {
        for (all, values) in outputs.iter_mut().zip(&tally.outputs) {
            all.extend(values.iter().map(|&v| v as f32));
        }
    };
    let task = Task {
        image: &image,
        set: &set,
        options: &options,
        streaming: over_time.then_some(streaming),
    };
    if let Some(probes) = several::probes(&args.board.probe)? {
        if output.is_some() {
            let failure = "-o writes the outputs of one board, and several are chosen";
            return Err(Failure::new(failure).hint("give one --probe, or leave -o out"));
        }
        let outcomes = several::on_each(probes, |probe| {
            let flags = args.board.with_probe(probe);
            let deployed = deploy(&flags, args.firmware.as_deref(), Some(&bytes))?;
            task.on_board(&deployed, &mut |_| ())
        });
        return several::print(&outcomes, args.json, &mut out);
    }
    let report = match &args.board.serial {
        Some(port) => {
            let mut session = serial::open(port, args.board.baud).map_err(Failure::of)?;
            let report = task.shown(&mut visit, |show| task.on(&mut session, show));
            report.map_err(|e| failure(e, Way::Line))?
        }
        None => {
            let deployed = deploy(&args.board, args.firmware.as_deref(), Some(&bytes))?;
            task.on_board(&deployed, &mut visit)?
        }
    };
    if let Some(output) = output {
        let outputs = outputs.into_iter().enumerate();
        let arrays: Vec<NamedArray> = outputs
            .flat_map(|(at, values)| of_output(&image, at, report.images, values))
            .collect();
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
    let task = Task {
        image,
        set,
        options,
        streaming: None,
    };
    task.on_board(deployed, visit)
}

impl several::Row for RunReport {
    fn columns(&self) -> Vec<(&'static str, String)> {
        let (accuracy, error) = (self.accuracy, self.error);
        let mut columns = vec![("samples", self.images.to_string())];
        columns.extend(several::figure(&Figures { accuracy, error }));
        columns.extend([
            ("steps", format!("{:.2}", self.steps_mean)),
            ("ticks", format!("{:.1}", self.ticks.mean)),
            (
                "samples per second",
                format!("{:.1}", self.images_per_second),
            ),
            (
                "stack",
                format!("{} of {}", self.stack.high_water, self.stack.size),
            ),
            (
                "as the emulator",
                if self.divergence.is_none() {
                    "yes"
                } else {
                    "no"
                }
                .into(),
            ),
        ]);
        columns
    }

    fn fault(&self) -> Option<String> {
        self.parting()
    }
}

/// A run that is to be done on a device.
struct Task<'a> {
    image: &'a Image<'a>,
    set: &'a DataSet,
    options: &'a RunOptions,
    /// Options of a run over time.
    streaming: Option<StreamOptions>,
}

impl Task<'_> {
    /// Does it on a board, which may be flashed before.
    fn on_board(
        &self,
        deployed: &Deployed,
        visit: &mut dyn FnMut(&Tally),
    ) -> Result<RunReport, Failure> {
        let report = self.shown(visit, |show| {
            let (chip, firmware) = (&deployed.board.chip, &deployed.firmware);
            talk(chip, Some(firmware), &deployed.talk(), |session| {
                self.on(session, show).map_err(Broken::from)
            })
        });
        report.map_err(|e| e.failure(Way::Probe))
    }

    /// Does it with whatever device answers, if that runs the image.
    fn on<L: Link>(
        &self,
        session: &mut Session<L>,
        show: &mut dyn FnMut(&Tally),
    ) -> Result<RunReport, RunError> {
        run::check(session, self.image)?;
        match self.streaming {
            Some(options) => run::stream(session, self.image, self.set, options, show),
            None => run::run(session, self.image, self.set, self.options, show),
        }
    }

    /// Shows how far it is while it is done.
    fn shown<T>(
        &self,
        visit: &mut dyn FnMut(&Tally),
        work: impl FnOnce(&mut dyn FnMut(&Tally)) -> T,
    ) -> T {
        let bar = progress::live("running", self.set.len() as u64);
        let done = work(&mut |tally: &Tally| {
            bar.set_position(tally.samples as u64);
            bar.set_message(live(tally));
            visit(tally);
        });
        bar.finish_and_clear();
        done
    }
}

/// Checks that device and emulator did the same.
pub(crate) fn agreed(report: &RunReport) -> Result<(), Failure> {
    report
        .parting()
        .map_or(Ok(()), |parting| Err(Failure::new(parting)))
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
