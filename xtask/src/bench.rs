//! `cargo xtask bench`: executed instructions of whole inferences on an emulated board.
//!
//! QEMU gives each instruction the same virtual time, so a timer of the board counts instructions, to
//! the last one, and always the same number. What reading the timer takes is measured and taken off.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tinyspike::assemble::{Image, aligned_copy};
use tinyspike::data::{self, DataSet};
use tinyspike::emulate::Encoder;
use tinyspike_shared::inputs::Header;

use crate::firmware::{self, Board, Program};
use crate::qemu::{self, INSTRUCTION_NS};
use crate::shell::Failure;

/// What `cargo xtask bench` is given.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The packed image
    #[arg(long)]
    image: PathBuf,
    /// The samples: .npz with x and y, or IDX
    #[arg(long)]
    data: PathBuf,
    /// Run only the first N samples
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// The board that QEMU emulates
    #[arg(long, default_value = "mps2-an386", value_parser = board)]
    board: Board,
    /// How many seconds to wait
    #[arg(long, default_value_t = 600)]
    timeout: u64,
}

pub(crate) fn board(name: &str) -> Result<Board, String> {
    Board::ALL
        .into_iter()
        .find(|b| b.name() == name)
        .ok_or_else(|| {
            let names = Board::ALL.map(Board::name).join(", ");
            format!("the boards are {names}")
        })
}

/// What one inference took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inference {
    /// Instructions to bring the network to rest.
    pub reset: u64,
    /// Instructions to set the input.
    pub input: u64,
    /// Instructions of each step.
    pub steps: Vec<u64>,
    /// Instructions to find the class.
    pub output: u64,
    /// The class.
    pub class: u32,
    /// The most stack that any of these took, in bytes.
    pub stack: u64,
}

impl Inference {
    /// Instructions of all of it.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.reset + self.input + self.steps.iter().sum::<u64>() + self.output
    }
}

/// Builds the firmware, runs the samples, and prints what they took.
///
/// # Errors
/// [`Failure`], where a file cannot be used, or the firmware not be built or run.
pub fn run(args: &Args) -> Result<(), Failure> {
    firmware::build_program(args.board, Program::Bench)?;
    let image = fs::read(&args.image).map_err(Failure::file(&args.image))?;
    let data = data::load(&args.data)
        .map_err(|e| Failure::Argument(e.to_string()))?
        .take(args.limit);
    let timeout = Duration::from_secs(args.timeout);
    let inferences = measure(args.board, &image, &data, timeout)?;
    print(&inferences, data.labels());
    Ok(())
}

/// Runs samples through an image on a board whose firmware is built.
///
/// # Errors
/// [`Failure`], where the image or the data cannot be used, or the firmware not be run.
pub fn measure(
    board: Board,
    image: &[u8],
    data: &DataSet,
    timeout: Duration,
) -> Result<Vec<Inference>, Failure> {
    let argument = |e: &dyn std::fmt::Display| Failure::Argument(e.to_string());
    let block = block(image, data)?;
    let outcome = qemu::run(&qemu::Run {
        board,
        program: Program::Bench,
        count: true,
        plugin: None,
        image,
        inputs: &block,
        timeout,
    })
    .map_err(|e| argument(&e))?;
    if !outcome.status.success() {
        return Err(Failure::Argument(format!(
            "{} ended with {}: {}",
            board.name(),
            outcome.status,
            outcome.stderr.trim()
        )));
    }
    parse(&outcome.stdout, board.timer_hz())
        .ok_or_else(|| Failure::Argument(format!("no measurements:\n{}", outcome.stdout)))
}

/// The block of inputs that the samples are for an image.
pub(crate) fn block(image: &[u8], data: &DataSet) -> Result<Vec<u8>, Failure> {
    let argument = |e: &dyn std::fmt::Display| Failure::Argument(e.to_string());
    let bytes = aligned_copy(image);
    let parsed: Image<'_> = Image::parse(&bytes).map_err(|e| argument(&e))?;
    let encoder = Encoder::new(&parsed, data, 1.0 / 255.0).map_err(|e| argument(&e))?;
    let header = Header {
        count: data.len() as u32,
        size: data.sample_size() as u32,
    };
    let mut block = header.to_bytes().to_vec();
    let mut sample = Vec::new();
    for i in 0..data.len() {
        if let Some(values) = data.sample(i) {
            encoder.encode(values, &mut sample);
            block.extend_from_slice(&sample);
        }
    }
    Ok(block)
}

/// Reads what the firmware has printed.
fn parse(text: &str, timer_hz: u64) -> Option<Vec<Inference>> {
    // Ticks are whole parts of a time that is a multiple of an instruction's: the nearest number of
    // instructions is the right one.
    let instructions = |ticks: u64| {
        let (n, d) = (ticks * 1_000_000_000, timer_hz * INSTRUCTION_NS);
        (n + d / 2) / d
    };
    let mut empty = 0;
    let mut inferences = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().peekable();
        match words.next()? {
            "empty" => empty = instructions(words.next()?.parse().ok()?),
            "input" => {
                words.next()?;
                let mut inference = Inference::default();
                let count = |word: Option<&str>| -> Option<u64> {
                    instructions(word?.parse().ok()?).checked_sub(empty)
                };
                while let Some(key) = words.next() {
                    match key {
                        "reset" => inference.reset = count(words.next())?,
                        "input" => inference.input = count(words.next())?,
                        "output" => inference.output = count(words.next())?,
                        "class" => inference.class = words.next()?.parse().ok()?,
                        "stack" => inference.stack = words.next()?.parse().ok()?,
                        "steps" => {
                            while let Some(word) =
                                words.next_if(|w| w.starts_with(|c: char| c.is_ascii_digit()))
                            {
                                inference.steps.push(count(Some(word))?);
                            }
                        }
                        _ => return None,
                    }
                }
                inferences.push(inference);
            }
            _ => {}
        }
    }
    Some(inferences)
}

fn print(inferences: &[Inference], labels: Option<&[u32]>) {
    let line = |name: &str, of: &dyn Fn(&Inference) -> u64| {
        let mut counts: Vec<u64> = inferences.iter().map(of).collect();
        counts.sort_unstable();
        let mean = counts.iter().sum::<u64>() as f64 / counts.len().max(1) as f64;
        let median = counts.get(counts.len() / 2).copied().unwrap_or(0);
        let worst = counts.last().copied().unwrap_or(0);
        println!("{name:<12} {mean:>14.1} {median:>12} {worst:>12}");
    };
    println!(
        "{:<12} {:>14} {:>12} {:>12}",
        "instructions", "mean", "median", "worst"
    );
    line("inference", &Inference::instructions);
    line("  reset", &|i| i.reset);
    line("  set_input", &|i| i.input);
    line("  steps", &|i| i.steps.iter().sum());
    let steps = inferences.first().map_or(0, |i| i.steps.len());
    if steps > 1 {
        for step in 0..steps {
            line(&format!("    step {step}"), &|i| {
                i.steps.get(step).copied().unwrap_or(0)
            });
        }
    }
    line("  output", &|i| i.output);
    line("stack bytes", &|i| i.stack);
    if let Some(labels) = labels {
        let right = inferences
            .iter()
            .zip(labels)
            .filter(|(i, label)| i.class == **label)
            .count();
        println!("accuracy     {right} of {}", inferences.len());
    }
}
