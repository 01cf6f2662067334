//! Raw arguments, and the typed options that they become.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::DataSet;
use crate::coder::{CoderError, CoderOptions};
use crate::convert::{ActivationType, ConvertOptions, ScaleFiringRates};
use crate::deploy::Mode;
use crate::device::{Board as Known, FlashOptions, Format, LayoutOptions, Origin, Selector};
use crate::export::{ExportOptions, Kind, Libraries};
use crate::keras::VerifyOptions;
use crate::quantize::QuantizeOptions;
use crate::report::Budgets;
use crate::simulate::{InitialVoltage, Readout, SimulateOptions, Watch};
use crate::tune::TuneOptions;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use emulated_board::Machine;
use tinyspike_board::firmware::Board;
use tinyspike_board::library::{CORES, Core};
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_shared::slots::MINIMUM_LIMIT;

use crate::cli::diagnostics::Failure;
use crate::cli::names::{self, FiringRate, SynapseName};

/// Deploy a trained network as a spiking network on a microcontroller: a Keras model, an ONNX file or a NIR graph.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Args {
    /// Print errors and results alone, no warnings, notes or progress.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tune and run a bundled network, and show its accuracy and cost.
    Demo(Demo),
    /// Convert a Keras model to an image for a device.
    Convert(Convert),
    /// List the contents of a Keras or ONNX model (in NengoDL's words), of a NIR graph (with what it leaves open) or of
    /// an image.
    Inspect(Inspect),
    /// Run a Keras or ONNX model, or a NIR graph, as a spiking network in floats, step by step as NengoDL or the graph's
    /// framework does.
    Simulate(Simulate),
    /// Compare a converted model with its Keras forward pass, or a NIR graph with a recorded sample.
    Verify(Verify),
    /// Run an image on this machine, with the engine that devices run.
    Emulate(Emulate),
    /// Run an image on a board, and compare every spike and output with the emulator's.
    Run(Run),
    /// Show the log of a board's firmware, and the spikes of its network.
    Monitor(Monitor),
    /// Count the instructions of inferences on an emulated board, or their cycles on a chip.
    Bench(Bench),
    /// Start an emulated board that any program with probe-rs can flash and debug.
    EmulatedBoard(EmulatedBoard),
    /// List the boards that are known by name: chip, core, clock, memory, and how programs get onto each.
    Boards(Boards),
    /// List the chips that can be flashed, and the memory of each.
    Chips(Chips),
    /// List the connected debug probes.
    Probes(Probes),
    /// Write an image and its firmware to a board.
    Flash(Flash),
    /// Write a project around an image, with the engine as a library: for C, and for what firmware engineers build with.
    Export(Export),
    /// Make a pair of keys for signing images.
    Keygen(Keygen),
    /// Sign an image, for devices that ask for a signature.
    Sign(Sign),
    /// Check an image and its signature.
    VerifyImage(VerifyImage),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Also run it on an emulated board, and count its instructions: emulated:microbit, emulated:mps2-an386,
    /// emulated:mps2-an500.
    #[arg(long, value_name = "TARGET", value_parser = emulated)]
    pub(crate) on: Option<Board>,
    /// Also write the image here.
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options for reading a model and converting it; the defaults are NengoDL's.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How the model is converted")]
pub(crate) struct ConvertFlags {
    /// The JSON text of model.to_json(), for a MODEL that holds only weights.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The shape of an input without the batch axis, such as 1000,4, if the model leaves it open; may be given
    /// for each input in turn.
    #[arg(long, value_name = "LENGTHS", value_parser = input_shape)]
    pub(crate) input_shape: Vec<Shape>,
    /// Refuse a layer that has no native form, instead of making a TensorNode of it.
    #[arg(long)]
    no_fallback: bool,
    /// Ignore regularizers and constraints, which matter only in training, so that layers become native.
    #[arg(long)]
    inference_only: bool,
    /// Use average pooling instead of max pooling, as NengoDL does: the network is no longer the one that was trained.
    #[arg(long)]
    pub(crate) max_to_avg_pool: bool,
    /// Give each use of a shared layer its own weights.
    #[arg(long)]
    split_shared_weights: bool,
    /// Replace an activation or neuron type, such as relu=spiking-relu; may be given several times. `--help`
    /// lists all names.
    #[arg(long, value_name = "FROM=TO", value_parser = names::swap, long_help = names::swap_help())]
    swap_activation: Vec<(ActivationType, ActivationType)>,
    /// Multiply the inputs of neurons and divide their outputs: 100 for all layers, or conv2d=50 for one (may
    /// be given several times).
    #[arg(long, value_name = "FACTOR", value_parser = names::firing_rate)]
    scale_firing_rates: Vec<FiringRate>,
    /// The synapse on the neurons' outputs: none, 0.005 (a Lowpass of 5 ms), or alpha:0.01.
    #[arg(long, value_name = "SYNAPSE", default_value = "none", value_parser = names::synapse)]
    synapse: SynapseName,
    /// Take the first axis of the model's inputs as time.
    #[arg(long)]
    pub(crate) temporal_model: bool,
    /// Semantics of a NIR graph, which its file leaves open: snntorch, norse, sinabs and so on, KEY=VALUE for single
    /// choices, several with commas between, or NODE:KEY=VALUE for one node [default: those of the file's likely
    /// writer, which `inspect` shows].
    #[arg(long, value_name = "CHOICES")]
    pub(crate) semantics: Vec<String>,
    /// Follow NengoDL to the letter, even if it gives up on a layer that is native here.
    #[arg(long)]
    nengo_dl_compat: bool,
}

/// The lengths of an input's axes.
#[derive(Clone, Debug)]
pub(crate) struct Shape(pub(crate) Vec<usize>);

fn input_shape(text: &str) -> Result<Shape, String> {
    let lengths: Option<Vec<usize>> = (text.split(','))
        .map(|length| length.trim().parse().ok().filter(|&n| n > 0))
        .collect();
    let lengths = lengths.ok_or("give the length of each axis, such as 1000,4")?;
    Ok(Shape(lengths))
}

impl ConvertFlags {
    pub(crate) fn options(&self) -> Result<ConvertOptions, Failure> {
        Ok(ConvertOptions {
            allow_fallback: !self.no_fallback,
            inference_only: self.inference_only,
            max_to_avg_pool: self.max_to_avg_pool,
            split_shared_weights: self.split_shared_weights,
            swap_activations: self.swap_activation.clone(),
            scale_firing_rates: self.scale()?,
            synapse: self.synapse.0,
            temporal_model: self.temporal_model,
            nengo_dl_compat: self.nengo_dl_compat,
        })
    }

    fn scale(&self) -> Result<ScaleFiringRates, Failure> {
        match self.scale_firing_rates.as_slice() {
            [] => return Ok(ScaleFiringRates::None),
            [
                FiringRate {
                    layer: None,
                    factor,
                },
            ] => return Ok(ScaleFiringRates::All(*factor)),
            _ => {}
        }
        let mut factors = BTreeMap::new();
        for rate in &self.scale_firing_rates {
            let Some(layer) = &rate.layer else {
                return Err(Failure::new(format!(
                    "--scale-firing-rates {} is for all layers, and cannot stand beside another",
                    rate.factor
                ))
                .hint("give either one factor for all, or LAYER=FACTOR for each layer"));
            };
            if factors.insert(layer.clone(), rate.factor).is_some() {
                return Err(Failure::new(format!(
                    "--scale-firing-rates has two factors for the layer {layer:?}"
                )));
            }
        }
        Ok(ScaleFiringRates::PerLayer(factors))
    }
}

/// Options for reading bytes in a data file.
#[derive(Debug, clap::Args)]
pub(crate) struct DataFlags {
    /// The value of one unit of a byte in the data [default: 1 if a model scales bytes itself or has an integer
    /// input, and for bools; else 1/255, for images that the network saw as 0 to 1].
    #[arg(long, value_name = "X", value_parser = fraction)]
    pub(crate) byte_scale: Option<f32>,
    /// Read y as values, which have errors, even if all are 0 or 1 [default: those are labels, which have an
    /// accuracy].
    #[arg(long)]
    pub(crate) values: bool,
}

/// Options for data over time.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TimeFlags {
    /// Seconds of a step in which recorded events are counted [default: 0.001].
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub(crate) bin: Option<f64>,
    /// Take x as one recording of many steps, of the shape (steps, ...), instead of as samples.
    #[arg(long, conflicts_with_all = ["bin", "limit"])]
    pub(crate) stream: bool,
}

/// Options for recordings that an image runs.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecordingFlags {
    #[command(flatten)]
    pub(crate) time: TimeFlags,
    /// The shape of the input, such as 2,34,34, for addresses of recorded events.
    #[arg(long, value_name = "LENGTHS", value_parser = input_shape)]
    pub(crate) input_shape: Option<Shape>,
}

/// Options of a run over recordings.
#[derive(Debug, clap::Args)]
pub(crate) struct StreamFlags {
    /// The result of an output over time: last, mean:N of the last N steps, sum, largest, or first to spike [default:
    /// the sum of spikes, else last].
    #[arg(long, value_name = "HOW")]
    pub(crate) readout: Option<Readout>,
    #[command(flatten)]
    pub(crate) recordings: RecordingFlags,
    /// Go on from recording to recording instead of from rest.
    #[arg(long)]
    pub(crate) stateful: bool,
}

impl StreamFlags {
    /// Refuses options over time for an image that takes one input after another.
    pub(crate) fn refuse(&self, image: &Path) -> Result<(), Failure> {
        let given = [
            ("--readout", self.readout.is_some()),
            ("--bin", self.recordings.time.bin.is_some()),
            ("--stream", self.recordings.time.stream),
            ("--input-shape", self.recordings.input_shape.is_some()),
            ("--stateful", self.stateful),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => Err(Failure::new(format!(
                "{}: {flag} is for networks that run over recordings, step by step; this one takes one input after another",
                image.display()
            ))
            .hint(format!("leave {flag} out"))),
        }
    }
}

impl DataFlags {
    /// The data with its targets as the user has them.
    pub(crate) fn targets(&self, set: DataSet) -> DataSet {
        if self.values { set.measured() } else { set }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Convert {
    /// A Keras model (.h5, .keras or a SavedModel) or an ONNX file.
    pub(crate) model: PathBuf,
    /// Write the image here.
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) output: PathBuf,
    /// Real inputs (.npz or IDX), which show the range of each layer: a few hundred at least, a few thousand to
    /// tune. INPUT=FILE for each input of a model with several.
    #[arg(long, value_name = "[INPUT=]FILE")]
    pub(crate) calibration: Vec<String>,
    /// Use at most this many calibration samples, at even distances [default: all]. They are read in blocks. Tuning
    /// uses up to 12,288.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calibration_samples: Option<u32>,
    #[command(flatten)]
    pub(crate) data: DataFlags,
    /// Seconds of a step in which recorded events are counted [default: 0.001].
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    pub(crate) bin: Option<f64>,
    /// Make events of samples on the device, for a network that takes events: `delta:THRESHOLDS[:MOST]` for changes by the
    /// threshold of each channel or of all, up to MOST in a step [default: 1], as `delta:0.1,0.3:2`; or `rate` in proportion to
    /// values. The calibration data and all later data are samples then.
    #[arg(long, value_name = "CODER", value_parser = coder, conflicts_with_all = ["tune", "bin"])]
    pub(crate) coder: Option<CoderOptions>,
    /// Steps of an inference [default: 2, or as tuning finds; with --exact 50, where 0 makes a network without
    /// end].
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16))]
    pub(crate) steps: Option<u16>,
    /// The most spikes that a neuron emits in one step [default: 15, of deep networks 63, or as tuning finds; with
    /// --exact 63]. With --exact, the rest waits for the next step.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) max_count: Option<u8>,
    /// Bits of an input's bytes; with fewer, small values become zero and cost nothing.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8), conflicts_with = "tune")]
    pub(crate) input_bits: u8,
    /// Bits of a weight [default: 8, with --exact 16]. With 4 or fewer, two weights fit a byte of flash. 16
    /// bits time spikes as the float network does, for twice the flash.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=16))]
    pub(crate) weight_bits: Option<u8>,
    /// Take this share of the activations above zero as a layer's range, such as 0.999, instead of the range
    /// with the least squared error.
    #[arg(long, value_name = "SHARE", conflicts_with = "tune")]
    pub(crate) percentile: Option<f64>,
    /// Search for the cheapest image that keeps the accuracy, on held-out calibration samples.
    #[arg(long, requires = "calibration")]
    pub(crate) tune: bool,
    /// Percentage points of accuracy that tuning may give up.
    #[arg(long, value_name = "POINTS", default_value_t = 0.2, requires = "tune")]
    pub(crate) max_drop: f64,
    /// Error that tuning may make in an output of a single value, in percent of the output's standard
    /// deviation.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, requires = "tune")]
    pub(crate) max_error: f64,
    /// Seed of tuning: the split of the samples and the order of the search. With --exact, the seed of uniform
    /// initial voltages, as in Nengo.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u32,
    /// Make an exact image, which takes the same steps as `simulate` and NengoDL. The options below set its
    /// neurons, synapses, firing rates and initial voltages.
    #[arg(long, alias = "faithful", conflicts_with_all = ["tune", "percentile", "input_bits"])]
    pub(crate) exact: bool,
    /// The neurons' voltages at the start.
    #[arg(
        long,
        value_name = "WHERE",
        value_enum,
        default_value = "uniform",
        requires = "exact"
    )]
    initial_voltage: VoltageName,
    /// Seconds per step.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0.001,
        requires = "exact"
    )]
    dt: f64,
    /// Never let tuning end an inference before its last step.
    #[arg(long, requires = "tune")]
    pub(crate) no_early_exit: bool,
    /// The most RAM that the network's state may take, such as 16K.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_ram: Option<u64>,
    /// The most flash that the image may take, such as 128K.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_flash: Option<u64>,
    /// The release of the model; devices can refuse to go back below one.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(MINIMUM_LIMIT)))]
    pub(crate) model_version: u32,
    /// Write the effects of quantization on each layer here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Show the effects of quantization on each layer.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print one JSON object, with the effects of quantization on each layer and the result of tuning.
    #[arg(long)]
    pub(crate) json: bool,
    /// The processor, which decides the layout of the weights and the instructions that tuning predicts. Every
    /// engine runs every image.
    #[arg(long, value_parser = families(), default_value = families::DSP.name, conflicts_with = "board")]
    target: &'static Family,
    /// The board that it is for, such as pico, which decides the processor; `tinyspike boards` lists them.
    #[arg(long, value_name = "NAME", value_parser = board)]
    pub(crate) board: Option<&'static Known>,
    #[command(flatten)]
    pub(crate) convert: ConvertFlags,
}

/// The kernel families by their names.
fn families() -> impl TypedValueParser<Value = &'static Family> {
    let names = families::ALL.map(|family| PossibleValue::new(family.name).help(family.cores));
    PossibleValuesParser::new(names)
        .map(|name| families::named(&name).unwrap_or(&families::PORTABLE))
}

impl Convert {
    /// The kind of image, with its settings.
    pub(crate) fn mode(&self) -> Mode {
        match self.tuning() {
            Some(options) => Mode::Tuned(options),
            None if self.exact => Mode::Exact(self.quantize(QuantizeOptions::exact())),
            None => Mode::Plain(self.quantize(QuantizeOptions::default())),
        }
    }

    /// The kernel family.
    pub(crate) fn target(&self) -> &'static Family {
        self.board.map_or(self.target, Known::family)
    }

    fn quantize(&self, default: QuantizeOptions) -> QuantizeOptions {
        QuantizeOptions {
            steps: self.steps.unwrap_or(default.steps),
            max_count: self.max_count.unwrap_or(default.max_count),
            input_bits: self.input_bits,
            weight_bits: self.weight_bits.unwrap_or(default.weight_bits),
            percentile: self.percentile,
            target: self.target(),
            dt: self.dt,
            initial_voltage: self.initial_voltage.with(self.seed),
            ..default
        }
    }

    pub(crate) fn budgets(&self) -> Budgets {
        Budgets {
            ram: self.max_ram,
            flash: self.max_flash,
        }
    }

    /// Settings of a search; `None` if none is asked for.
    fn tuning(&self) -> Option<TuneOptions> {
        let default = TuneOptions::default();
        self.tune.then(|| TuneOptions {
            max_drop: self.max_drop / 100.0,
            max_error: self.max_error / 100.0,
            target: self.target(),
            budgets: self.budgets(),
            seed: self.seed.into(),
            steps: self.steps,
            max_count: self.max_count,
            early_exit: !self.no_early_exit,
            weight_bits: self.weight_bits.unwrap_or(default.weight_bits),
            ..default
        })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A Keras model, an ONNX file, a NIR graph or an image.
    pub(crate) file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) convert: ConvertFlags,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Simulate {
    /// A Keras model (.h5, .keras or a SavedModel), an ONNX file or a NIR graph (.nir).
    pub(crate) model: PathBuf,
    /// The samples: .npz with x and y, IDX (-ubyte, .gz too), or .npz with recordings of events (t_us, x, y, p,
    /// offsets, label). INPUT=FILE for each input of a model with several.
    #[arg(long, value_name = "[INPUT=]FILE", required = true)]
    pub(crate) data: Vec<String>,
    /// Steps of an inference. With data over time, the default is the data's.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: Option<u32>,
    /// Run only the first N samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Also write every ensemble's spikes at every step (or the output of neurons that do not spike).
    #[arg(long, value_name = "WHAT", value_enum, requires = "output")]
    pub(crate) probe: Option<ProbeName>,
    /// Write the outputs at every step here, for numpy.load.
    #[arg(short, long, value_name = "NPZ")]
    pub(crate) output: Option<PathBuf>,
    /// The neurons' voltages at the start.
    #[arg(long, value_name = "WHERE", value_enum, default_value = "uniform")]
    initial_voltage: VoltageName,
    /// Seed of uniform initial voltages and of random neurons, as in Nengo.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,
    /// Seconds per step [default: 0.001]. Of a NIR graph, --semantics says it.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) dt: Option<f64>,
    /// The result of an output: last, mean:N of the last N steps, sum, largest, or first to spike [default: the sum
    /// of a NIR graph's spikes, else last].
    #[arg(long, value_name = "HOW")]
    readout: Option<Readout>,
    #[command(flatten)]
    pub(crate) time: TimeFlags,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) convert: ConvertFlags,
}

impl Simulate {
    /// The options, for a network that may say its step, and whose outputs have a usual read-out.
    pub(crate) fn options(&self, dt: Option<f64>, readout: Readout) -> SimulateOptions {
        let default = SimulateOptions::default();
        SimulateOptions {
            dt: self.dt.or(dt).unwrap_or(default.dt),
            readout: self.readout.unwrap_or(readout),
            initial_voltage: self.initial_voltage.with(self.seed),
            watch: match self.probe {
                Some(ProbeName::All) => Watch::All,
                None => Watch::None,
            },
            ..default
        }
    }
}

/// Data to write beside the outputs.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ProbeName {
    /// Every ensemble
    All,
}

/// Start of voltages.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum VoltageName {
    /// All at 0
    Zero,
    /// Uniform in [0, 1), as Nengo draws them for --seed
    Uniform,
}

impl VoltageName {
    fn with(self, seed: u32) -> InitialVoltage {
        match self {
            Self::Zero => InitialVoltage::Zero,
            Self::Uniform => InitialVoltage::Uniform { seed },
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// A Keras model (.h5, .keras or a SavedModel), an ONNX file or a NIR graph (.nir).
    pub(crate) model: PathBuf,
    /// The samples: .npz with x and y, or IDX (-ubyte, .gz too) [default: ones]. INPUT=FILE for each input of a
    /// model with several.
    #[arg(long, value_name = "[INPUT=]FILE")]
    pub(crate) data: Vec<String>,
    /// Compare only the first N samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// A recorded sample of a NIR graph (.npz with x and the spikes of nodes by their names): find the semantics that
    /// reproduce it.
    #[arg(long = "match", value_name = "NPZ", conflicts_with_all = ["data", "limit"])]
    pub(crate) trace: Option<PathBuf>,
    /// Allowed difference.
    #[arg(long, value_name = "X", default_value_t = VerifyOptions::default().atol, value_parser = tolerance)]
    atol: f64,
    /// Allowed difference for each unit of an output's largest value.
    #[arg(long, value_name = "X", default_value_t = VerifyOptions::default().rtol, value_parser = tolerance)]
    rtol: f64,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) convert: ConvertFlags,
}

impl Verify {
    pub(crate) fn options(&self) -> VerifyOptions {
        VerifyOptions {
            atol: self.atol,
            rtol: self.rtol,
            temporal_model: self.convert.temporal_model,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Emulate {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    /// The samples: .npz with x and y, or IDX (-ubyte, .gz too). INPUT=FILE for each input of a network
    /// with several.
    #[arg(long, value_name = "[INPUT=]FILE", required = true)]
    pub(crate) data: Vec<String>,
    /// Run only the first N samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Run fewer steps than the image states, or the data has.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) steps: Option<u16>,
    #[command(flatten)]
    pub(crate) streams: StreamFlags,
    /// Write outputs, spikes and potentials of each sample here, for numpy.load: the last ones, or over time those of
    /// each step.
    #[arg(short, long, value_name = "NPZ")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    /// Run it on this board. Emulated boards count instructions: emulated:mps2-an386 (Cortex-M4),
    /// emulated:mps2-an500 (Cortex-M7), emulated:microbit (Cortex-M0), emulated:riscv-virt (RISC-V). A chip behind a probe, such as
    /// nRF52840_xxAA, counts its cycles; `tinyspike chips` lists them.
    #[arg(long, value_name = "TARGET", default_value = "emulated:mps2-an386", value_parser = bench_target)]
    pub(crate) on: BenchTarget,
    /// Estimate what it takes on this board, without having it, such as pico or microbit-v2; `tinyspike boards` lists
    /// them.
    #[arg(long, value_name = "NAME", value_parser = board, conflicts_with_all = ["on", "probe", "chip_description", "firmware", "clock_mhz", "current_ma"])]
    pub(crate) board: Option<&'static Known>,
    /// The debug probe, if several are connected: VID:PID or VID:PID:SERIAL. Repeat it, give one that fits several, or
    /// `all`, to measure several boards at once.
    #[arg(long, value_name = "PROBE")]
    pub(crate) probe: Vec<String>,
    /// A description of the chip in probe-rs's format, if its database has none.
    #[arg(long, value_name = "YAML")]
    pub(crate) chip_description: Option<PathBuf>,
    /// Use this firmware, an ELF file that is linked for the chip, instead of the application.
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// The chip's clock, for times.
    #[arg(long, value_name = "MHZ", value_parser = positive)]
    pub(crate) clock_mhz: Option<f64>,
    /// The current of the working chip, as you have measured it, for energies.
    #[arg(long, value_name = "MA", value_parser = positive, requires_all = ["volts", "clock_mhz"])]
    pub(crate) current_ma: Option<f64>,
    /// The voltage at which you have measured it.
    #[arg(long, value_name = "V", value_parser = positive, requires = "current_ma")]
    pub(crate) volts: Option<f64>,
    /// The samples: .npz with x and y, or IDX (-ubyte, .gz too). INPUT=FILE for each input of a network
    /// with several.
    #[arg(long, value_name = "[INPUT=]FILE", required = true)]
    pub(crate) data: Vec<String>,
    /// Run only the first N samples.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Place of a measurement.
#[derive(Clone, Debug)]
pub(crate) enum BenchTarget {
    /// Counts on an emulated board, to the instruction.
    Emulated(Board),
    /// Counts on a chip, by its own clock.
    Chip(String),
}

fn bench_target(text: &str) -> Result<BenchTarget, String> {
    if text.starts_with("emulated:") {
        emulated(text).map(BenchTarget::Emulated)
    } else {
        Ok(BenchTarget::Chip(text.to_owned()))
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    #[command(flatten)]
    pub(crate) board: BoardFlags,
    /// The samples: .npz with x and y, or IDX (-ubyte, .gz too). INPUT=FILE for each input of a network
    /// with several.
    #[arg(long, value_name = "[INPUT=]FILE", required = true)]
    pub(crate) data: Vec<String>,
    /// Run only the first N samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    #[command(flatten)]
    pub(crate) streams: StreamFlags,
    /// Also compare every potential and every sum after every step, to find the first difference.
    #[arg(long)]
    pub(crate) bisect: bool,
    /// Write the device's outputs for each sample here, for numpy.load.
    #[arg(short, long, value_name = "NPZ")]
    pub(crate) output: Option<PathBuf>,
    /// Use this firmware, an ELF file that is linked for the chip, instead of the application.
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Monitor {
    /// The image that should run [default: whatever runs].
    #[arg(required_unless_present_any = ["chip", "board", "serial"])]
    pub(crate) image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) board: BoardFlags,
    /// Samples to feed it meanwhile: .npz with x and y, or IDX (-ubyte, .gz too). INPUT=FILE for each input of
    /// a network with several.
    #[arg(long, value_name = "[INPUT=]FILE", requires = "image")]
    pub(crate) data: Vec<String>,
    /// Feed only the first N samples.
    #[arg(long, value_name = "N", default_value_t = u32::MAX, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// End after this many seconds. Without it and without --data, Ctrl-C ends the command.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    /// Restart the firmware first.
    #[arg(long, conflicts_with = "serial")]
    pub(crate) restart: bool,
    /// The ELF file of the running firmware, which has the log's texts, instead of the one that is built for
    /// the chip.
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EmulatedBoard {
    /// The board: microbit (nRF51822), mps2-an386 (Cortex-M4), mps2-an500 (Cortex-M7), mps2-an505 (Cortex-M33), or netduinoplus2
    /// (STM32F405, whose flash cannot be written).
    #[arg(long, value_name = "NAME", default_value = "mps2-an386")]
    pub(crate) machine: Machine,
    /// The TCP port of 127.0.0.1 that its probe listens on; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port: u16,
    /// Let its clock follow the instructions that it executes, 64 ns each. Then `bench --on CHIP` measures the
    /// same in every run, however fast this machine is.
    #[arg(long)]
    pub(crate) count_instructions: bool,
    /// Write the chip's description for probe-rs here, if its database has none (mps2-an386, mps2-an500, mps2-an505).
    #[arg(long, value_name = "FILE")]
    pub(crate) write_chip_description: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Boards {
    /// Only this board, with the sources of what is known of it.
    #[arg(value_parser = board)]
    pub(crate) name: Option<&'static Known>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Chips {
    /// A part of a chip's, a package's or a family's name [default: all chips].
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) search: String,
    /// The chip of this board; `tinyspike boards` lists them.
    #[arg(long, value_name = "NAME", value_parser = board, conflicts_with = "search")]
    pub(crate) board: Option<&'static Known>,
    /// Also the chips of a description in probe-rs's format.
    #[arg(long, value_name = "YAML")]
    pub(crate) chip_description: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Probes {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Choice of a board.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which board")]
pub(crate) struct BoardFlags {
    /// The chip, such as nRF52840_xxAA; `tinyspike chips` lists them.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["on", "board", "serial"])]
    pub(crate) chip: Option<String>,
    /// The board, such as pico or microbit-v2; `tinyspike boards` lists them.
    #[arg(long, value_name = "NAME", value_parser = board, conflicts_with = "chip")]
    pub(crate) board: Option<&'static Known>,
    /// Flash for programs: the size of an external flash chip, which no chip's description knows, or less than there is.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) flash_size: Option<u64>,
    /// The debug probe, if several are connected: VID:PID or VID:PID:SERIAL; `tinyspike probes` lists them. `run` works
    /// on several boards at once: repeat it, give one that fits several, or `all`.
    #[arg(long, value_name = "PROBE")]
    pub(crate) probe: Vec<String>,
    /// A description of the chip in probe-rs's format, if its database has none.
    #[arg(long, value_name = "YAML")]
    pub(crate) chip_description: Option<PathBuf>,
    /// Use a board that QEMU emulates, for as long as the command takes: emulated:microbit,
    /// emulated:mps2-an386, emulated:mps2-an500.
    #[arg(long, value_name = "TARGET", value_parser = machine, conflicts_with_all = ["chip", "board", "flash_size", "probe", "chip_description"])]
    pub(crate) on: Option<Machine>,
    /// Talk with firmware over this serial line, such as /dev/ttyACM0 or COM3, without a probe. The firmware serves it
    /// (docs/boards.md); the application serves probes alone.
    #[arg(long, value_name = "PORT", conflicts_with_all = ["chip", "board", "flash_size", "probe", "chip_description", "on"])]
    pub(crate) serial: Option<String>,
    /// Speed of the serial line.
    #[arg(long, value_name = "BAUD", default_value_t = 115_200, requires = "serial", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) baud: u32,
}

impl BoardFlags {
    /// The same board behind this probe.
    pub(crate) fn with_probe(&self, probe: &str) -> Self {
        Self {
            probe: vec![probe.to_owned()],
            ..self.clone()
        }
    }
}

/// The firmware beside an image.
#[derive(Debug, clap::Args)]
pub(crate) struct FirmwareFlags {
    /// Use this firmware, an ELF file that is linked for the chip, instead of the application. With --model-only
    /// it is not written, and says at which address the chip's firmware looks for images.
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// Build firmware that runs only images signed by this public key (PEM, as `keygen` writes it). An image
    /// that the firmware would refuse is refused here.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Let the device refuse models below this version from now on (see `convert --model-version`). Only
    /// writing the firmware lowers it again.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u32).range(..=i64::from(MINIMUM_LIMIT)))]
    pub(crate) minimum_version: u32,
    /// Flash to keep for the firmware [default: 96K, or three quarters of a smaller flash]. Give the same size
    /// again with --model-only.
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "firmware")]
    firmware_size: Option<u64>,
    /// Build the firmware from the checkout of tinyspike even if this tool holds a prebuilt one.
    #[arg(long, conflicts_with = "firmware")]
    build_firmware: bool,
}

impl FirmwareFlags {
    /// Origin of the firmware, unless it is given.
    pub(crate) fn origin(&self) -> Origin {
        match self.build_firmware {
            true => Origin::Sources,
            false => Origin::Prebuilt,
        }
    }

    pub(crate) fn layout(&self) -> Result<LayoutOptions, Failure> {
        let firmware = self.firmware_size.map(u32::try_from).transpose();
        let firmware =
            firmware.map_err(|_| Failure::new("--firmware-size is more than any flash has"))?;
        Ok(LayoutOptions { firmware })
    }

    /// Tells whether a flag was given.
    pub(crate) fn any(&self) -> bool {
        self.firmware.is_some()
            || self.key.is_some()
            || self.minimum_version > 0
            || self.firmware_size.is_some()
            || self.build_firmware
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Flash {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    #[command(flatten)]
    pub(crate) board: BoardFlags,
    #[command(flatten)]
    pub(crate) firmware: FirmwareFlags,
    /// Write the image alone and leave the chip's firmware as it is. The image goes to the slot that is not in
    /// use, so the old image or the new one is there, whatever happens.
    #[arg(long)]
    pub(crate) model_only: bool,
    /// Show what would be written, and touch nothing. No probe is needed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait for the firmware's answer, which custom firmware need not give.
    #[arg(long)]
    no_greeting: bool,
    /// Time that the firmware has to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Flash {
    pub(crate) fn options(&self, probe: Option<Selector>) -> FlashOptions {
        FlashOptions {
            probe,
            timeout: Duration::from_secs(self.timeout),
            greet: !self.no_greeting,
        }
    }
}

/// A coder of samples.
fn coder(text: &str) -> Result<CoderOptions, String> {
    text.parse().map_err(|e: CoderError| e.to_string())
}

/// A board that one can buy, by its name.
fn board(name: &str) -> Result<&'static Known, String> {
    Known::find(name).map_err(|e| format!("{e}; `tinyspike boards` lists them"))
}

/// A board with a debug probe, such as `emulated:microbit`.
fn machine(text: &str) -> Result<Machine, String> {
    let name = text
        .strip_prefix("emulated:")
        .ok_or("a target is emulated:BOARD, such as emulated:microbit")?;
    name.parse()
        .map_err(|e: emulated_board::UnknownMachine| e.to_string())
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("kind").required(true)))]
pub(crate) struct Export {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    /// Write a C project for CMake into this folder. Files of an earlier export that are yours to change stay.
    #[arg(long, value_name = "DIR", group = "kind")]
    c: Option<PathBuf>,
    /// Write a library for the Arduino IDE, as a .zip file.
    #[arg(long, value_name = "ZIP", group = "kind")]
    arduino: Option<PathBuf>,
    /// Write a module of Zephyr's into this folder.
    #[arg(long, value_name = "DIR", group = "kind")]
    zephyr: Option<PathBuf>,
    /// Write a component of ESP-IDF's into this folder.
    #[arg(long, value_name = "DIR", group = "kind")]
    esp_idf: Option<PathBuf>,
    /// Write a library of PlatformIO's into this folder.
    #[arg(long, value_name = "DIR", group = "kind")]
    platformio: Option<PathBuf>,
    /// Write a pack of CMSIS into this folder.
    #[arg(long, value_name = "DIR", group = "kind")]
    cmsis_pack: Option<PathBuf>,
    /// Write a crate in Rust for a Cortex-M into this folder.
    #[arg(long, value_name = "DIR", group = "kind")]
    rust: Option<PathBuf>,
    /// Write firmware and image as a UF2 file, for boards that show a drive.
    #[arg(long, value_name = "FILE", group = "kind")]
    uf2: Option<PathBuf>,
    /// Write firmware and image in Intel's hexadecimal format.
    #[arg(long, value_name = "FILE", group = "kind")]
    hex: Option<PathBuf>,
    /// Write firmware and image as the bytes of the flash, from the start of programs on.
    #[arg(long, value_name = "FILE", group = "kind")]
    bin: Option<PathBuf>,
    /// The board that --uf2, --hex or --bin is for, such as pico; `tinyspike boards` lists them.
    #[arg(long, value_name = "NAME", value_parser = board, help_heading = "For which board", conflicts_with = "chip")]
    board: Option<&'static Known>,
    /// The chip, if the board has no name here.
    #[arg(long, value_name = "NAME", help_heading = "For which board")]
    chip: Option<String>,
    /// Flash for programs, if it is external: no chip's description knows its size.
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "For which board")]
    flash_size: Option<u64>,
    /// A description of the chip in probe-rs's format, if its database has none.
    #[arg(
        long,
        value_name = "YAML",
        help_heading = "For which board",
        requires = "chip"
    )]
    chip_description: Option<PathBuf>,
    #[command(flatten, next_help_heading = "For which board")]
    pub(crate) firmware: FirmwareFlags,
    /// A core that gets a library, such as cortex-m4hf; may be given several times, or `all` for those that can be built
    /// here [default: this machine]. `--help` lists them.
    #[arg(long, value_name = "NAME", value_parser = cores(), long_help = cores_help())]
    core: Vec<CoreChoice>,
    /// Carry the first of these samples, with what the emulator makes of it (.npz or IDX), instead of bytes that nobody
    /// recorded. INPUT=FILE for each input of a network with several.
    #[arg(long, value_name = "[INPUT=]FILE")]
    pub(crate) data: Vec<String>,
    /// Seconds of a step in which recorded events are counted [default: 0.001].
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    event_bin: Option<f64>,
    /// The shape of the input, such as 2,34,34, for addresses of recorded events.
    #[arg(long, value_name = "LENGTHS", value_parser = input_shape)]
    input_shape: Option<Shape>,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// The model's name, of which files, variables and macros are made.
    #[arg(long, value_name = "NAME", default_value = "model")]
    pub(crate) name: String,
    /// Build libraries with the whole engine, for several images in one project.
    #[arg(long)]
    whole: bool,
    /// Take libraries that `cargo xtask libraries` has put into this folder, instead of building some.
    #[arg(long, value_name = "DIR", conflicts_with = "whole")]
    libraries: Option<PathBuf>,
}

/// Choice of cores.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CoreChoice {
    One(&'static Core),
    All,
}

/// Name of the choice of all cores.
const ALL_CORES: &str = "all";

fn cores() -> impl TypedValueParser<Value = CoreChoice> {
    let names = CORES.iter().map(|core| PossibleValue::new(core.name));
    PossibleValuesParser::new(names.chain([PossibleValue::new(ALL_CORES)]))
        .map(|name| Core::named(&name).map_or(CoreChoice::All, CoreChoice::One))
}

fn cores_help() -> String {
    let mut text =
        "A core that gets a library; may be given several times [default: this machine].\n"
            .to_owned();
    for core in &CORES {
        text += &format!("\n- {}: {}", core.name, core.about);
    }
    text + "\n- all: those that this tool holds, or can be built here"
}

impl Export {
    /// The file for a board, and its place.
    pub(crate) fn file(&self) -> Option<(Format, &Path)> {
        let files = [
            (Format::Uf2, &self.uf2),
            (Format::Hex, &self.hex),
            (Format::Bin, &self.bin),
        ];
        let mut given = files
            .into_iter()
            .filter_map(|(format, path)| Some((format, path.as_deref()?)));
        given.next()
    }

    /// The board that a file is for; `None` if none is named.
    pub(crate) fn board(&self) -> Option<BoardFlags> {
        (self.board.is_some() || self.chip.is_some()).then(|| BoardFlags {
            chip: self.chip.clone(),
            board: self.board,
            flash_size: self.flash_size,
            chip_description: self.chip_description.clone(),
            ..BoardFlags::default()
        })
    }

    /// Tells whether a flag was given that only a file has.
    pub(crate) fn has_board_flags(&self) -> bool {
        self.board.is_some()
            || self.chip.is_some()
            || self.flash_size.is_some()
            || self.firmware.any()
    }

    /// The kind of project, and its place.
    pub(crate) fn kind(&self) -> Option<(Kind, &Path)> {
        let kinds = [
            (Kind::C, &self.c),
            (Kind::Arduino, &self.arduino),
            (Kind::Zephyr, &self.zephyr),
            (Kind::EspIdf, &self.esp_idf),
            (Kind::PlatformIo, &self.platformio),
            (Kind::CmsisPack, &self.cmsis_pack),
            (Kind::Rust, &self.rust),
        ];
        let mut given = kinds
            .into_iter()
            .filter_map(|(kind, path)| Some((kind, path.as_deref()?)));
        given.next()
    }

    pub(crate) fn recordings(&self) -> RecordingFlags {
        RecordingFlags {
            time: TimeFlags {
                bin: self.event_bin,
                stream: false,
            },
            input_shape: self.input_shape.clone(),
        }
    }

    pub(crate) fn options(&self) -> ExportOptions {
        let mut cores = Vec::new();
        let host = CoreChoice::One(&CORES[0]);
        let chosen = if self.core.is_empty() {
            &[host][..]
        } else {
            &self.core
        };
        for choice in chosen {
            match choice {
                CoreChoice::One(core) => cores.push(*core),
                CoreChoice::All => cores.extend(CORES.iter().filter(|core| core.is_there())),
            }
        }
        let mut seen = BTreeSet::new();
        cores.retain(|core| seen.insert(core.name));
        ExportOptions {
            name: self.name.clone(),
            cores,
            libraries: match &self.libraries {
                Some(folder) => Libraries::Folder(folder.clone()),
                None if self.whole => Libraries::Whole,
                None => Libraries::default(),
            },
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Keygen {
    /// Write the private key here (PKCS#8 PEM). The public key goes beside it, with the ending .pub.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    /// The private key (PKCS#8 PEM), as `keygen` or OpenSSL writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Write the signed image here [default: in place].
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyImage {
    /// An image.
    pub(crate) image: PathBuf,
    /// The public key (PEM) that must have signed the image.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// An emulated board, such as `emulated:mps2-an386`.
fn emulated(text: &str) -> Result<Board, String> {
    let name = text
        .strip_prefix("emulated:")
        .ok_or("a target is emulated:BOARD, such as emulated:mps2-an386")?;
    Board::measured(name).map_err(|e| e.to_string())
}

/// A finite number above 0.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err("must be a number above 0".into()),
    }
}

/// A finite number of at least 0.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
        _ => Err("must be a number of at least 0".into()),
    }
}

/// A number of bytes, with K or M for their multiples of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text
            .strip_suffix(['m', 'M'])
            .map_or((text, 1), |d| (d, 1 << 20)),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(|| "must be a number of bytes, such as 16384, 16K or 1M".into())
}

/// A positive number, or a fraction such as `1/255`.
fn fraction(text: &str) -> Result<f32, String> {
    let number = |t: &str| t.trim().parse::<f32>().map_err(|e| e.to_string());
    let value = match text.split_once('/') {
        Some((a, b)) => number(a)? / number(b)?,
        None => number(text)?,
    };
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err("must be a positive number".into())
    }
}
