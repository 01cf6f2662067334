//! What the user may say, and the typed options that it becomes.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tinyspike::convert::ConvertOptions;
use tinyspike::cost::CostTarget;
use tinyspike::quantize::{QuantizeOptions, Target};
use tinyspike::report::Budgets;
use tinyspike::tune::TuneOptions;
use tinyspike_board::firmware::Board;

/// Deploy a trained Keras network as a spiking network on a microcontroller.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take a bundled network from its Keras file to spikes, and show what it does and costs.
    Demo(Demo),
    /// Convert a Keras model to an image for a device.
    Convert(Convert),
    /// List what is in a Keras model (as NengoDL lists it) or in an image.
    Inspect(Inspect),
    /// Run an image over a data set on this machine, with the engine that devices run.
    Emulate(Emulate),
    /// Count the instructions that an image's inferences take on an emulated board.
    Bench(Bench),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Also write the image here.
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) output: Option<PathBuf>,
}

/// How a model becomes a network.
#[derive(Debug, clap::Args)]
pub(crate) struct ConvertFlags {
    /// Ignore what only matters in training (regularizers, constraints), so that layers become native.
    #[arg(long)]
    pub(crate) inference_only: bool,
    /// Use average pooling in place of max pooling.
    #[arg(long)]
    pub(crate) max_to_avg_pool: bool,
}

impl ConvertFlags {
    pub(crate) fn options(&self) -> ConvertOptions {
        ConvertOptions {
            inference_only: self.inference_only,
            max_to_avg_pool: self.max_to_avg_pool,
            ..ConvertOptions::default()
        }
    }
}

/// How bytes in a data file are to be read.
#[derive(Debug, clap::Args)]
pub(crate) struct DataFlags {
    /// The value of one unit of a byte in the data: 1/255 for images that the network saw as 0 to 1.
    #[arg(long, value_name = "X", default_value = "1/255", value_parser = fraction)]
    pub(crate) byte_scale: f32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Convert {
    /// A Keras model: .h5 or .keras.
    pub(crate) model: PathBuf,
    /// Where to write the image.
    #[arg(short, long, value_name = "IMAGE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) convert: ConvertFlags,
    /// Real inputs (.npz or IDX), a few hundred at least, a few thousand to tune: they show which range each layer needs.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Use at most this many calibration samples: 512 unless said, all of them to tune.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calibration_samples: Option<u32>,
    #[command(flatten)]
    pub(crate) data: DataFlags,
    /// Steps of an inference: 2 unless said, or what tuning finds.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) steps: Option<u16>,
    /// The most spikes that a neuron emits in one step: 15 unless said, or what tuning finds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) max_count: Option<u8>,
    /// Bits of an input's bytes; with fewer, small values become zero and cost nothing.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=8), conflicts_with = "tune")]
    pub(crate) input_bits: u8,
    /// Take this share of the activations above zero as a layer's range, such as 0.999, in place of the
    /// range with the least squared error.
    #[arg(long, value_name = "SHARE", conflicts_with = "tune")]
    pub(crate) percentile: Option<f64>,
    /// Search for the cheapest image that keeps the accuracy, on held-out calibration samples.
    #[arg(long, requires = "calibration")]
    pub(crate) tune: bool,
    /// Percentage points of accuracy that tuning may give up.
    #[arg(long, value_name = "POINTS", default_value_t = 0.2, requires = "tune")]
    pub(crate) max_drop: f64,
    /// Seed of tuning: the split of the samples and the order of the search.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "tune")]
    pub(crate) seed: u64,
    /// Never let tuning end an inference before its last step.
    #[arg(long, requires = "tune")]
    pub(crate) no_early_exit: bool,
    /// The most RAM that the network's state may take, such as 16K.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_ram: Option<u64>,
    /// The most flash that the image may take, such as 128K.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_flash: Option<u64>,
    /// Write what quantization did to each layer here, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Show what quantization did to each layer.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// The processor: its kernels' layout of the weights, and the instructions that tuning predicts.
    /// Every engine runs every image.
    #[arg(long, value_enum, default_value = "cortex-m4")]
    pub(crate) target: TargetName,
}

/// A target by its name on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum TargetName {
    /// Plain rows of weights
    Portable,
    /// Cortex-M0 and M0+: plain rows of weights
    CortexM0,
    /// Cores with the DSP extension: Cortex-M4, M7, M33
    CortexM4,
    /// Cortex-M55: plain rows of weights
    CortexM55,
}

impl From<TargetName> for Target {
    fn from(name: TargetName) -> Self {
        match name {
            TargetName::CortexM4 => Self::CortexM4,
            TargetName::Portable | TargetName::CortexM0 | TargetName::CortexM55 => Self::Portable,
        }
    }
}

impl From<TargetName> for CostTarget {
    fn from(name: TargetName) -> Self {
        match name {
            TargetName::CortexM4 => Self::CortexM4,
            TargetName::Portable | TargetName::CortexM0 => Self::CortexM0,
            TargetName::CortexM55 => Self::CortexM55,
        }
    }
}

impl Convert {
    pub(crate) fn quantize(&self) -> QuantizeOptions {
        let default = QuantizeOptions::default();
        QuantizeOptions {
            steps: self.steps.unwrap_or(default.steps),
            max_count: self.max_count.unwrap_or(default.max_count),
            input_bits: self.input_bits,
            percentile: self.percentile,
            target: self.target.into(),
            ..default
        }
    }

    pub(crate) fn budgets(&self) -> Budgets {
        Budgets {
            ram: self.max_ram,
            flash: self.max_flash,
        }
    }

    /// How to tune; `None` where that is not asked for.
    pub(crate) fn tuning(&self) -> Option<TuneOptions> {
        self.tune.then(|| TuneOptions {
            max_drop: self.max_drop / 100.0,
            target: self.target.into(),
            layout: self.target.into(),
            budgets: self.budgets(),
            seed: self.seed,
            steps: self.steps,
            max_count: self.max_count,
            early_exit: !self.no_early_exit,
            byte_scale: self.data.byte_scale,
            ..TuneOptions::default()
        })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// A Keras model or an image.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) convert: ConvertFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Emulate {
    /// An image that `convert` wrote.
    pub(crate) image: PathBuf,
    /// The samples: .npz with x and y, or IDX (-ubyte, .gz too).
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Run only the first N samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Run fewer steps than the image states.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) steps: Option<u16>,
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
    /// Where to run it: emulated:mps2-an386 (Cortex-M4), emulated:mps2-an500 (Cortex-M7),
    /// emulated:microbit (Cortex-M0).
    #[arg(long, value_name = "TARGET", default_value = "emulated:mps2-an386", value_parser = emulated)]
    pub(crate) on: Board,
    /// The samples: .npz with x and y, or IDX (-ubyte, .gz too).
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Run only the first N samples.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) bytes: DataFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// An emulated board, such as `emulated:mps2-an386`.
fn emulated(text: &str) -> Result<Board, String> {
    let name = text
        .strip_prefix("emulated:")
        .ok_or("a target is emulated:BOARD, such as emulated:mps2-an386")?;
    Board::from_name(name)
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
