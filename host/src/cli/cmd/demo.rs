//! `tinyspike demo`: the whole line on a bundled network and real data.

use std::io::Write;

use crate::assemble::Image;
use crate::convert::ConvertOptions;
use crate::data;
use crate::data::{DataSet, Sample};
use crate::deploy::{DeployOptions, Mode};
use crate::device::run::RunOptions;
use crate::emulate::{EmulateOptions, Encoder, HostEngine, emulate};
use crate::pipeline::float_accuracy;
use crate::tune::TuneOptions;
use crate::{ImageBuf, Model};
use tinyspike_board::firmware::{Board, family};
use tinyspike_firmware::{Event, Probe};

use super::convert::show_omissions;
use super::run::{agreed, print, run_on};
use super::{bench, emulate as show};
use crate::cli::args::{BoardFlags, Demo};
use crate::cli::bundled::{CALIBRATION, MODEL, TEST};
use crate::cli::converted::summary;
use crate::cli::deployed::deploy;
use crate::cli::diagnostics::Failure;
use crate::cli::outputs::Output;
use crate::cli::progress;
use crate::cli::warnings;
use crate::text::shown;

/// Digits that an emulated board classifies.
const ON_BOARD: usize = 100;

pub(crate) fn run(args: &Demo, out: &mut dyn Write) -> Result<(), Failure> {
    let output = args.output.as_ref();
    let output = output.map(|path| Output::new(path, [])).transpose()?;
    let mut messages = match &output {
        Some(output) => output.messages(out),
        None => Box::new(out),
    };
    let out: &mut dyn Write = &mut messages;
    let model = Model::from_bytes("mnist_small.keras", MODEL)?;
    let test = data::load_bytes("mnist_test10k.npz", TEST)?;
    let calibration = data::load_bytes("mnist_calibration2k.npz", CALIBRATION)?;
    writeln!(
        out,
        "model      mnist_small, {} layers, trained in Keras on 60,000 handwritten digits",
        model.layers.len()
    )?;

    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let conversion = model.convert(&options)?;
    warnings::show(&conversion.warnings, true);
    let mut options = TuneOptions::default();
    if let Some(board) = args.on {
        options.target = family(board);
    }
    let bar = progress::count("tuning");
    let mode = Mode::Tuned(options);
    let options = DeployOptions {
        progress: &|n| bar.inc(n),
        ..DeployOptions::new(&mode).with_data(&calibration)
    };
    let built = conversion.network.deploy(&options);
    bar.finish_and_clear();
    let built = built?;
    show_omissions(&built.graph);
    let bytes = &built.image;
    let image = bytes.image();
    if let Some(tuning) = &built.tuning {
        writeln!(out, "tuned      {tuning}")?;
    }
    writeln!(out, "image      {}", summary(&image))?;

    one_digit(&image, &test, out)?;

    let bar = progress::bar("float", test.len() as u64);
    let float = float_accuracy(&built.graph, &test, &|n| bar.inc(n))?;
    bar.finish_and_clear();
    let bar = progress::bar("spiking", test.len() as u64);
    let report = emulate(&image, &test, &EmulateOptions::default(), &|n| bar.inc(n));
    bar.finish_and_clear();
    writeln!(out)?;
    if let Some(float) = float {
        writeln!(out, "float network      {:>11.2} %", float * 100.0)?;
    }
    writeln!(
        out,
        "spiking network, with the engine that a microcontroller runs:"
    )?;
    show::print(&report?, out)?;
    if let Some(board) = args.on {
        on_board(board, bytes, &test, out)?;
    }
    if let (Some(path), Some(output)) = (&args.output, output) {
        output.write(built.image.bytes())?;
        writeln!(out, "\nwrote {}", shown(path))?;
    }
    Ok(())
}

/// Flashes an emulated board, runs the first digits on it, and counts instructions.
fn on_board(
    board: Board,
    image: &ImageBuf,
    test: &DataSet,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let flags = BoardFlags {
        on: Some(board.name().parse()?),
        ..BoardFlags::default()
    };
    let first = test.clone().take(ON_BOARD);
    let options = RunOptions::default();
    let report = {
        let deployed = deploy(&flags, None, Some(image))?;
        writeln!(
            out,
            "\nflashed to an emulated {}, through a debug probe, and run there:",
            board.name()
        )?;
        run_on(&deployed, &image.image(), &first, &options, &mut |_| ())?
    };
    print(&report, out)?;
    out.flush()?;
    agreed(&report)?;
    let counted = bench::count(board, image, &first)
        .map_err(|error| bench::hinted(Failure::new(error.to_string()), &error))?;
    writeln!(
        out,
        "\nwhat that takes, counted to the instruction:\n{counted}"
    )?;
    Ok(())
}

/// Shows the first digit and what each layer makes of it, step by step.
fn one_digit(image: &Image<'_>, test: &DataSet, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(sample) = test.sample(0) else {
        return Ok(());
    };
    writeln!(out, "\nthe first test image:\n")?;
    draw(sample, out)?;
    let network = image.description();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(image, &mut arena)?;
    let mut input = Vec::new();
    Encoder::new(image, test)?.encode(sample, &mut input);
    engine.set_input(&input)?;
    writeln!(out)?;
    for step in 1..=network.steps {
        let mut spikes = Spikes(vec![0; network.ensembles.len()]);
        engine.step_probed(&mut spikes);
        let layers: Vec<String> = spikes
            .0
            .iter()
            .enumerate()
            .map(|(at, n)| format!("{} {n} spikes", network.ensemble_label(at)))
            .collect();
        writeln!(
            out,
            "step {step}: {}; the best guess is {}",
            layers.join(", "),
            engine.output(0).class()
        )?;
    }
    Ok(())
}

struct Spikes(Vec<u32>);

impl Probe for Spikes {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        self.0[ensemble] += events
            .iter()
            .map(|e| u32::from(e.value.unsigned_abs()))
            .sum::<u32>();
    }
}

fn draw(sample: Sample<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    const SHADES: [char; 5] = [' ', '.', ':', 'o', '#'];
    const WIDTH: usize = 28;
    let Sample::U8(pixels) = sample else {
        return Ok(());
    };
    for rows in pixels.chunks(WIDTH) {
        let line: String = rows
            .iter()
            .map(|&p| SHADES[usize::from(p) * (SHADES.len() - 1) / 255])
            .flat_map(|c| [c, c])
            .collect();
        if !line.trim().is_empty() {
            writeln!(out, "  {}", line.trim_end())?;
        }
    }
    Ok(())
}
