//! `tinyspike bench`: what inferences take on an emulated board, or on a chip.

use std::io::Write;

use crate::ImageBuf;
use crate::advice::Advised as _;
use crate::assemble::Image;
use crate::bench::{BenchError, BenchOptions, bench, code, programs};
use crate::data::DataSet;
use crate::device::bench::{DeviceBenchError, DeviceBenchOptions, DeviceReport, Power, measure};
use crate::device::estimate::{self, Estimate, EstimateError};
use crate::device::{Board, talk};
use crate::judge::Figures;
use crate::stream;
use tinyspike_board::firmware::Board as Emulated;

use crate::cli::args::{Bench, BenchTarget, BoardFlags, RecordingFlags};
use crate::cli::broken::{Broken, Way};
use crate::cli::deployed::deploy;
use crate::cli::diagnostics::Failure;
use crate::cli::{files, inputs, progress, several};

pub(crate) fn run(args: &Bench, out: &mut dyn Write) -> Result<(), Failure> {
    let bytes = files::read_image(&args.image)?;
    let image = bytes.image();
    if let Some(board) = args.board {
        return print(args, &estimated(args, board, &image)?, out);
    }
    let data = if stream::is_current_based(&image) {
        let flags = RecordingFlags::default();
        let limit = Some(args.limit);
        let recordings = inputs::recordings(&args.data, &image, &args.bytes, &flags, limit)?;
        stream::as_steps(&image, &recordings)
            .ok_or_else(|| Failure::new("the recordings are no steps of the network's input"))?
            .take(args.limit as usize)
    } else {
        inputs::of_image(&args.data, &image, &args.bytes, Some(args.limit))?
    };
    match &args.on {
        BenchTarget::Emulated(board) => {
            let report = emulated(args, *board, &bytes, &data)?;
            print(args, &report, out)
        }
        BenchTarget::Chip(chip) => {
            let flags = BoardFlags {
                chip: Some(chip.clone()),
                probe: args.probe.clone(),
                chip_description: args.chip_description.clone(),
                ..BoardFlags::default()
            };
            if let Some(probes) = several::probes(&args.probe)? {
                let outcomes = several::on_each(probes, |probe| {
                    on_chip(args, &flags.with_probe(probe), &bytes, &data)
                });
                return several::print(&outcomes, args.json, out);
            }
            let report = on_chip(args, &flags, &bytes, &data)?;
            print(args, &report, out)
        }
    }
}

impl several::Row for DeviceReport {
    fn columns(&self) -> Vec<(&'static str, String)> {
        let (accuracy, error) = (self.accuracy, self.error);
        let mut columns = vec![("samples", self.images.to_string())];
        columns.extend(several::figure(&Figures { accuracy, error }));
        columns.extend([
            ("steps", format!("{:.2}", self.steps_per_inference)),
            ("cycles", format!("{:.0}", self.inference.mean)),
            ("worst", self.inference.worst.to_string()),
        ]);
        columns.extend(self.milliseconds.map(|ms| ("ms", format!("{ms:.3}"))));
        columns.extend(self.microjoules.map(|uj| ("uJ", format!("{uj:.1}"))));
        let stack = self.stack;
        columns.push(("stack", format!("{} of {}", stack.high_water, stack.size)));
        columns
    }
}

/// The cost on a board, from a run on this machine.
fn estimated(args: &Bench, board: &'static Board, image: &Image<'_>) -> Result<Estimate, Failure> {
    let failed = |e: EstimateError| {
        let path = args.image.display();
        Failure::advised(format!("{path}: {e}"), &e.advice())
    };
    estimate::check(board, image).map_err(failed)?;
    let data = inputs::of_image(&args.data, image, &args.bytes, Some(args.limit))?;
    estimate::estimate(board, image, &data, &|_| ()).map_err(|e| {
        let (image, data) = (args.image.display(), args.data.join(", "));
        Failure::advised(format!("{image} on {data}: {e}"), &e.advice())
    })
}

fn print(
    args: &Bench,
    report: &(impl serde::Serialize + std::fmt::Display),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(report)?)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(())
}

fn emulated(
    args: &Bench,
    board: Emulated,
    image: &ImageBuf,
    data: &DataSet,
) -> Result<crate::bench::Report, Failure> {
    if let Some(flag) = [
        args.probe.first().map(|_| "--probe"),
        args.chip_description.as_ref().map(|_| "--chip-description"),
        args.firmware.as_ref().map(|_| "--firmware"),
        args.clock_mhz.as_ref().map(|_| "--clock-mhz"),
    ]
    .into_iter()
    .flatten()
    .next()
    {
        return Err(Failure::new(format!(
            "{flag} is for a chip: an emulated board counts instructions"
        ))
        .hint("name the chip with --on, such as --on nRF52840_xxAA"));
    }
    count(board, image, data).map_err(|e| failure(args, &e))
}

/// Counts on an emulated board, with programs that the tool holds or builds.
pub(crate) fn count(
    board: Emulated,
    image: &ImageBuf,
    data: &DataSet,
) -> Result<crate::bench::Report, BenchError> {
    let [whole, layers] = programs(image, board)?;
    let options = BenchOptions {
        board,
        firmware: Some(whole),
        layers_firmware: Some(layers),
        code: code(image, board)?,
        ..BenchOptions::default()
    };
    bench(image, data, &options)
}

fn on_chip(
    args: &Bench,
    flags: &BoardFlags,
    image: &ImageBuf,
    data: &DataSet,
) -> Result<DeviceReport, Failure> {
    let options = DeviceBenchOptions {
        clock_mhz: args.clock_mhz,
        power: (args.current_ma.zip(args.volts))
            .map(|(current_ma, volts)| Power { current_ma, volts }),
    };
    let deployed = deploy(flags, args.firmware.as_deref(), Some(image))?;
    let bar = progress::bar("measuring", data.len() as u64);
    let report = talk(
        &deployed.board.chip,
        Some(&deployed.firmware),
        &deployed.talk(),
        |session| {
            let done = &mut |n| bar.set_position(n as u64);
            measure(session, &image.image(), data, &options, done).map_err(|e| match e {
                DeviceBenchError::Run(e) => Broken::Run(e),
                other => {
                    let advice = other.advice();
                    Broken::Other(Failure::from(other).with(&advice))
                }
            })
        },
    );
    bar.finish_and_clear();
    report.map_err(|e| e.failure(Way::Probe))
}

fn failure(args: &Bench, error: &BenchError) -> Failure {
    let (image, data) = (args.image.display(), args.data.join(", "));
    let failure = Failure::new(match error {
        BenchError::Data(e) => format!("{image} on {data}: {e}"),
        other => format!("{image}: {other}"),
    });
    hinted(failure, error)
}

/// Adds the remedy to a failure.
pub(crate) fn hinted(failure: Failure, error: &BenchError) -> Failure {
    match error {
        BenchError::Qemu(_) => failure.hint("`cargo xtask setup` installs the emulator"),
        _ => failure,
    }
}
