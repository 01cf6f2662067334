//! Counts of an image's inferences on an emulated board, to the instruction.
//!
//! QEMU gives each instruction the same virtual time, so a timer of the board counts instructions, to
//! the last one, and always the same number. What reading the timer takes is measured and taken off.

use std::fmt;
use std::iter::Peekable;
use std::path::PathBuf;
use std::str::SplitWhitespace;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tinyspike_board::elf::Size;
use tinyspike_board::firmware::{
    Board, Program, build_here, build_of, elf, family, has_sources, usual_parts,
};
use tinyspike_board::qemu::{self, INSTRUCTION_NS, QemuError};
use tinyspike_firmware::parts::Parts;
use tinyspike_shared::inputs::{Header, Inputs};

use crate::assemble::Image;
use crate::data::DataSet;
use crate::emulate::{self, Activity, EmulateError, EmulateOptions, Encoder, Run};
use crate::image::ImageBuf;
use crate::judge::{Deviation, Figures, Tally};
use crate::text::escaped;

/// Options of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// The board; its programs that measure must have been built.
    pub board: Board,
    /// Another build of the program that measures the parts of an inference, instead of the board's own.
    pub firmware: Option<PathBuf>,
    /// Another build of the program that measures layers.
    pub layers_firmware: Option<PathBuf>,
    /// Flash that a firmware takes, as [`code`] finds it; it is passed on to the report.
    pub code: Option<Code>,
    /// Time after which the run is given up.
    pub timeout: Duration,
}

impl Default for BenchOptions {
    /// A Cortex-M4 with its own program, of no stated size; ten minutes.
    fn default() -> Self {
        Self {
            board: Board::Mps2An386,
            firmware: None,
            layers_firmware: None,
            code: None,
            timeout: Duration::from_secs(600),
        }
    }
}

/// Reason for a failed measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The data does not fit the image.
    #[error(transparent)]
    Data(#[from] EmulateError),
    /// The board could not be run.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The firmware refused.
    #[error("{board} cannot run this image: {reason}")]
    Refused {
        /// The board.
        board: &'static str,
        /// Message of the firmware.
        reason: String,
    },
    /// The firmware printed something else than measurements.
    #[error(
        "the firmware's measurements cannot be read, it may be older than this program: build it again. It printed:\n{0}"
    )]
    Unreadable(String),
    /// A firmware cannot be built, or its file says no size.
    #[error(transparent)]
    Firmware(#[from] tinyspike_board::Failure),
}

/// Bytes of flash that a complete firmware takes without the image and without logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Bytes with the parts of the engine that the image needs.
    pub needed: u64,
    /// Names of these parts: features of the package of the engine.
    pub parts: Vec<&'static str>,
    /// Bytes with all parts.
    pub whole: u64,
}

/// Builds the least firmware for an image, and one for every image, and returns what they take. `None` for a
/// board that has no program for it, and in a tool that knows of no sources.
///
/// # Errors
/// [`BenchError`] if the firmware cannot be built.
pub fn code(image: &ImageBuf, board: Board) -> Result<Option<Code>, BenchError> {
    if !board.has(Program::Minimal) || !has_sources() {
        return Ok(None);
    }
    let parts = Parts::needed(&image.image(), family(board));
    let size = |parts| {
        let firmware = build_of(board, Program::Minimal, parts)?;
        Ok::<_, BenchError>(Size::read(&firmware)?.flash)
    };
    Ok(Some(Code {
        needed: size(parts)?,
        parts: parts.features().collect(),
        whole: size(Parts::ALL)?,
    }))
}

/// The programs that count an image's instructions on a board, whole and by layers. If an image needs parts of the engine
/// for which a board's flash has no room beside all others, they are built for it.
///
/// # Errors
/// [`BenchError`] if they cannot be built.
pub fn programs(image: &ImageBuf, board: Board) -> Result<[PathBuf; 2], BenchError> {
    let needed = Parts::needed(&image.image(), family(board));
    let build = |program| match needed.beyond(usual_parts(board)) {
        None => build_here(board, program),
        Some(_) => build_of(board, program, needed),
    };
    Ok([build(Program::Bench)?, build(Program::Layers)?])
}

/// Counts of one inference.
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
        self.reset + self.input + self.all_steps() + self.output
    }

    /// Instructions of all steps.
    #[must_use]
    pub fn all_steps(&self) -> u64 {
        self.steps.iter().sum()
    }
}

/// Counts of a run on a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurements {
    /// Instructions to parse and check the image, once.
    pub parse: u64,
    /// The most stack that this took, in bytes.
    pub parse_stack: u64,
    /// Bytes that the parsed image keeps.
    pub parsed_bytes: u64,
    /// Each inference.
    pub inferences: Vec<Inference>,
}

/// Counts of the layers in one inference, each in its place in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerCounts {
    /// Instructions of each input, to set it.
    pub inputs: Vec<u64>,
    /// Each step.
    pub steps: Vec<StepCounts>,
    /// The class.
    pub class: u32,
}

/// Counts of the layers in one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// Instructions of each ensemble: to update its neurons, and to send their spikes over all its connections.
    pub ensembles: Vec<u64>,
    /// Instructions of each output: to sum up its current. The last one's are also those to see whether the
    /// outputs are decided.
    pub outputs: Vec<u64>,
}

impl StepCounts {
    /// Instructions of all layers.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.ensembles.iter().chain(&self.outputs).sum()
    }
}

/// Runs samples through an image on a board whose firmware is built.
///
/// # Errors
/// [`BenchError`] if the data does not fit the image, or the firmware cannot be run.
pub fn measure(
    image: &ImageBuf,
    data: &DataSet,
    options: &BenchOptions,
) -> Result<Measurements, BenchError> {
    measure_block(image, &block(image, data)?, options)
}

/// Runs a block of inputs, in the format of `tinyspike_shared::inputs`, as [`measure`] does the samples of a data set.
///
/// # Errors
/// As [`measure`].
pub fn measure_block(
    image: &ImageBuf,
    block: &[u8],
    options: &BenchOptions,
) -> Result<Measurements, BenchError> {
    let count = Inputs::parse(block).map_or(0, |inputs| inputs.header().count as usize);
    let printed = run(image, block, options, Program::Bench)?;
    parse(&printed, timer_hz(options.board))
        .filter(|m| m.inferences.len() == count)
        .ok_or(BenchError::Unreadable(printed))
}

/// Runs samples through an image on a board whose firmware is built, and measures layer by layer. What reading
/// the timer at the end of each takes is taken off.
///
/// # Errors
/// As [`measure`].
pub fn measure_layers(
    image: &ImageBuf,
    data: &DataSet,
    options: &BenchOptions,
) -> Result<Vec<LayerCounts>, BenchError> {
    let printed = run(image, &block(image, data)?, options, Program::Layers)?;
    parse_layers(&printed, timer_hz(options.board), &image.image())
        .filter(|inferences| inferences.len() == data.len())
        .ok_or(BenchError::Unreadable(printed))
}

/// Ticks of a board's timer in a second; a board without programs is not run.
fn timer_hz(board: Board) -> u64 {
    board.programs().map_or(1, |programs| programs.timer_hz)
}

/// Runs a program that measures, and returns what it prints.
fn run(
    image: &ImageBuf,
    block: &[u8],
    options: &BenchOptions,
    program: Program,
) -> Result<String, BenchError> {
    let other = match program {
        Program::Layers => &options.layers_firmware,
        _ => &options.firmware,
    };
    let own = elf(options.board, program);
    let outcome = qemu::run(&qemu::Run {
        board: options.board,
        firmware: other.as_deref().unwrap_or(&own),
        count: true,
        plugin: None,
        image: image.bytes(),
        inputs: block,
        timeout: options.timeout,
    })?;
    if outcome.status.success() {
        Ok(outcome.stdout)
    } else {
        Err(BenchError::Refused {
            board: options.board.name(),
            reason: outcome.stderr.trim().to_owned(),
        })
    }
}

/// The block of inputs that the samples are for an image.
///
/// # Errors
/// [`BenchError`] if the data does not fit the image.
pub fn block(image: &ImageBuf, data: &DataSet) -> Result<Vec<u8>, BenchError> {
    let encoder = Encoder::new(&image.image(), data)?;
    let header = Header {
        count: data.len() as u32,
        size: data.sample_size() as u32,
    };
    let mut block = header.to_bytes().to_vec();
    let mut sample = Vec::new();
    for values in (0..data.len()).filter_map(|i| data.sample(i)) {
        encoder.encode(values, &mut sample);
        block.extend_from_slice(&sample);
    }
    Ok(block)
}

/// The instructions that some ticks are.
fn instructions(ticks: &str, timer_hz: u64) -> Option<u64> {
    let ticks: u64 = ticks.parse().ok()?;
    // A tick is less than half an instruction's time, so the nearest number of instructions is it.
    let (n, d) = (ticks.checked_mul(1_000_000_000)?, timer_hz * INSTRUCTION_NS);
    Some((n + d / 2) / d)
}

/// Reads what the firmware has printed.
fn parse(text: &str, timer_hz: u64) -> Option<Measurements> {
    let mut lines = text.lines();
    lines.next().filter(|line| line.starts_with("image "))?;
    let empty = instructions(lines.next()?.strip_prefix("empty ")?, timer_hz)?;
    let count = |ticks: &str| instructions(ticks, timer_hz)?.checked_sub(empty);
    let mut words = lines.next()?.split_whitespace().peekable();
    let mut measurements = Measurements {
        parse: count(value(&mut words, "parse")?)?,
        parse_stack: value(&mut words, "stack")?.parse().ok()?,
        parsed_bytes: value(&mut words, "holds")?.parse().ok()?,
        inferences: Vec::new(),
    };
    for line in lines {
        let mut words = line.split_whitespace().peekable();
        value(&mut words, "input")?;
        let (reset, input) = (value(&mut words, "reset")?, value(&mut words, "input")?);
        let mut steps = vec![count(value(&mut words, "steps")?)?];
        while let Some(word) = words.next_if(|w| w.starts_with(|c: char| c.is_ascii_digit())) {
            steps.push(count(word)?);
        }
        measurements.inferences.push(Inference {
            reset: count(reset)?,
            input: count(input)?,
            steps,
            output: count(value(&mut words, "output")?)?,
            class: value(&mut words, "class")?.parse().ok()?,
            stack: value(&mut words, "stack")?.parse().ok()?,
        });
    }
    Some(measurements)
}

/// The word behind the next one, which is a key.
fn value<'a>(words: &mut Peekable<SplitWhitespace<'a>>, key: &str) -> Option<&'a str> {
    words.next_if_eq(&key)?;
    words.next()
}

/// Reads what the firmware has printed of an image's layers, each of which has had a turn where it belongs.
fn parse_layers(text: &str, timer_hz: u64, image: &Image<'_>) -> Option<Vec<LayerCounts>> {
    let network = image.description();
    let none = |layers: usize| vec![None; layers];
    let all = |turns: Vec<Option<u64>>| turns.into_iter().collect::<Option<Vec<u64>>>();
    let mut empty = None;
    let mut inferences = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next()? {
            "empty" => empty = Some(instructions(words.next()?, timer_hz)?),
            "input" => {
                words.next()?;
                let mut inputs = none(network.inputs.len());
                let mut steps = Vec::new();
                let mut class = None;
                while let Some(word) = words.next() {
                    match word {
                        "set" => {}
                        "step" => {
                            steps
                                .push((none(network.ensembles.len()), none(network.outputs.len())));
                        }
                        "class" => class = Some(words.next()?.parse().ok()?),
                        layer => {
                            let (kind, at) = layer.split_at_checked(1)?;
                            let turns = match (kind, steps.last_mut()) {
                                ("i", None) => &mut inputs,
                                ("e", Some((ensembles, _))) => ensembles,
                                ("o", Some((_, outputs))) => outputs,
                                _ => return None,
                            };
                            let turn = instructions(words.next()?, timer_hz)?;
                            let sum = turns.get_mut(at.parse::<usize>().ok()?)?;
                            *sum = Some(sum.unwrap_or(0) + turn.checked_sub(empty?)?);
                        }
                    }
                }
                let step = |(ensembles, outputs)| {
                    Some(StepCounts {
                        ensembles: all(ensembles)?,
                        outputs: all(outputs)?,
                    })
                };
                inferences.push(LayerCounts {
                    inputs: all(inputs)?,
                    steps: steps.into_iter().map(step).collect::<Option<_>>()?,
                    class: class?,
                });
            }
            _ => return None,
        }
    }
    Some(inferences)
}

/// Mean, median and worst of some counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The median, the larger of two.
    pub median: u64,
    /// The largest.
    pub worst: u64,
}

impl Spread {
    /// Summary of some counts; zeros if there are none.
    #[must_use]
    pub fn of(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut counts: Vec<u64> = counts.into_iter().collect();
        counts.sort_unstable();
        Self {
            mean: counts.iter().sum::<u64>() as f64 / counts.len().max(1) as f64,
            median: counts.get(counts.len() / 2).copied().unwrap_or(0),
            worst: counts.last().copied().unwrap_or(0),
        }
    }

    /// A line for each of some spreads under their unit.
    pub(crate) fn write(
        f: &mut fmt::Formatter<'_>,
        unit: &str,
        spreads: &[(&str, Self)],
    ) -> fmt::Result {
        let (mean, median, worst) = ("mean", "median", "worst");
        writeln!(f, "{unit:<28} {mean:>14} {median:>12} {worst:>12}")?;
        for (name, spread) in spreads {
            let Self {
                mean,
                median,
                worst,
            } = spread;
            writeln!(f, "{name:<28} {mean:>14.1} {median:>12} {worst:>12}")?;
        }
        Ok(())
    }
}

/// Kind of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LayerKind {
    /// An input of the network.
    Input,
    /// An ensemble of neurons.
    Ensemble,
    /// An output of the network.
    Output,
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Input => "input",
            Self::Ensemble => "ensemble",
            Self::Output => "output",
        })
    }
}

/// Cost of a layer in an inference: means over all samples. Instructions are executed ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its label.
    pub label: String,
    /// Kind of the layer.
    pub kind: LayerKind,
    /// Instructions in all steps: of an input to be set, of an ensemble to update its neurons and to send their
    /// spikes over all its connections, of an output to sum up its current.
    pub instructions: f64,
    /// Neurons, places of an input, or values of an output.
    pub neurons: u32,
    /// Neurons or values that sent events, step by step: `None` for an output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<f64>,
    /// Weights that they touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synaptic_ops: Option<f64>,
    /// All of the layer's instructions, for each of these; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions_per_synaptic_op: Option<f64>,
}

/// Cost of an image on a board. Instructions are executed ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The board's name.
    pub board: String,
    /// Its processor.
    pub core: String,
    /// Samples that were run.
    pub images: usize,
    /// The share of classes that are right, see [`crate::judge`]; `None` if there are none.
    pub accuracy: Option<f64>,
    /// The errors of the first output, if its targets are values.
    #[serde(flatten)]
    pub error: Option<Deviation>,
    /// Mean instructions of a whole inference: reset, input, all steps, output.
    pub instructions_per_inference: f64,
    /// Mean instructions of a step.
    pub instructions_per_step: f64,
    /// Mean instructions of an inference for each weight that an input or a spike touched in it.
    pub instructions_per_synaptic_op: f64,
    /// Cost of one more weight touched by a spike in a step: the slope of a line through all samples. It is 0
    /// if the samples do not differ.
    pub marginal_instructions_per_spike_op: f64,
    /// Cost of one more weight touched by the input when it is set, likewise.
    pub marginal_instructions_per_input_op: f64,
    /// Cost of a neuron's update in a step: that line's value at no weights, for each neuron.
    pub instructions_per_neuron_update: f64,
    /// Weights that an inference touched: by inputs and by spikes.
    pub synaptic_ops_per_inference: f64,
    /// Neurons that an inference updated.
    pub neuron_updates_per_inference: f64,
    /// Steps of an inference, which an image may end early.
    pub steps_per_inference: f64,
    /// Whole inferences.
    pub inference: Spread,
    /// Bringing the network to rest.
    pub reset: Spread,
    /// Setting the input.
    pub input: Spread,
    /// All steps of an inference.
    pub steps: Spread,
    /// Finding the class.
    pub output: Spread,
    /// Bytes of flash: the image, and the code that it needs. `None` if the board has no program that shows
    /// the code's.
    pub flash_bytes: Option<u64>,
    /// Bytes of flash that a complete firmware takes without the image, and without the parts of the engine that
    /// this image does not need.
    pub code_bytes: Option<u64>,
    /// The features of the engine that this image needs.
    #[serde(default)]
    pub engine_features: Vec<String>,
    /// Bytes of flash that the same firmware takes with the whole engine, for every image.
    #[serde(default)]
    pub whole_code_bytes: Option<u64>,
    /// Bytes of flash that the image takes, weights and all.
    pub image_bytes: u64,
    /// Bytes of RAM: arena, parsed image and stack.
    pub ram_bytes: u64,
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Bytes that the parsed image keeps: its description and layout.
    pub parsed_bytes: u64,
    /// The most bytes of stack below the caller, in an inference or in parsing.
    pub stack_bytes: u64,
    /// Instructions to parse and check the image, once.
    pub parse_instructions: u64,
    /// Cost of each layer: inputs, ensembles, outputs. Together they are the instructions of the inputs and of
    /// all steps, except those that choose the next layer.
    #[serde(default)]
    pub layers: Vec<Layer>,
}

impl Report {
    /// A line for each layer.
    fn write_layers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.layers.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "{:<28} {:>14} {:>12} {:>12} {:>14} {:>12}",
            "layer", "instructions", "neurons", "events", "synaptic ops", "for each"
        )?;
        for layer in &self.layers {
            let name = format!("  {} {}", layer.kind, escaped(&layer.label));
            let (instructions, neurons) = (layer.instructions, layer.neurons);
            write!(f, "{name:<28} {instructions:>14.1} {neurons:>12}")?;
            if let (Some(events), Some(ops)) = (layer.events, layer.synaptic_ops) {
                write!(f, " {events:>12.1} {ops:>14.1}")?;
            }
            if let Some(each) = layer.instructions_per_synaptic_op {
                write!(f, " {each:>12.2}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (board, core, images) = (&self.board, &self.core, self.images);
        writeln!(f, "{images} samples on {board} ({core})")?;
        let (accuracy, error) = (self.accuracy, self.error);
        write!(f, "{}", Figures { accuracy, error })?;
        let spreads = [
            ("inference", self.inference),
            ("  to rest", self.reset),
            ("  setting the input", self.input),
            ("  steps", self.steps),
            ("  finding the class", self.output),
        ];
        Spread::write(f, "instructions", &spreads)?;
        let ops = self.synaptic_ops_per_inference;
        let updates = self.neuron_updates_per_inference;
        writeln!(f, "{:<28} {ops:>14.1}", "synaptic ops")?;
        for (name, value) in [
            ("  instructions for each", self.instructions_per_synaptic_op),
            (
                "  one more, by a spike",
                self.marginal_instructions_per_spike_op,
            ),
            (
                "  one more, by the input",
                self.marginal_instructions_per_input_op,
            ),
        ] {
            writeln!(f, "{name:<28} {value:>14.2}")?;
        }
        writeln!(f, "{:<28} {updates:>14.1}", "neuron updates")?;
        let each = self.instructions_per_neuron_update;
        writeln!(f, "{:<28} {each:>14.2}", "  instructions for each")?;
        self.write_layers(f)?;
        let (image, arena, stack) = (self.image_bytes, self.arena_bytes, self.stack_bytes);
        let parsed = self.parsed_bytes;
        write!(f, "flash: {image} bytes of image")?;
        if let (Some(code), Some(whole)) = (self.code_bytes, self.whole_code_bytes) {
            let parts = match self.engine_features.join(", ") {
                none if none.is_empty() => "none of its features".to_owned(),
                parts => parts,
            };
            write!(
                f,
                ", {code} of code with what it needs of the engine ({parts}), {whole} with the whole engine"
            )?;
        }
        write!(
            f,
            "\nRAM: {arena} bytes of arena, {parsed} of parsed image, {stack} of stack"
        )
    }
}

/// Measures an image, and its layers, on a board whose firmware is built.
///
/// # Errors
/// As [`measure`].
pub fn bench(
    image: &ImageBuf,
    data: &DataSet,
    options: &BenchOptions,
) -> Result<Report, BenchError> {
    let Measurements {
        parse,
        parse_stack,
        parsed_bytes,
        inferences,
    } = measure(image, data, options)?;
    let board = options.board;
    let parsed = image.image();
    let activity = activity(&parsed, data)?;
    let figures = figures(&parsed, data, &inferences, &activity);
    let operations: Vec<Operations> = activity.iter().map(Operations::of).collect();
    let layers = layers(&parsed, &activity, &measure_layers(image, data, options)?);
    let network = parsed.description();
    let steps: usize = inferences.iter().map(|i| i.steps.len()).sum();
    let neurons: u64 = network.ensembles.iter().map(|e| u64::from(e.neurons)).sum();
    let images = inferences.len().max(1) as f64;
    let ops: u64 = operations.iter().map(|o| o.input + o.spikes).sum();
    let total: u64 = inferences.iter().map(Inference::instructions).sum();
    let line = |x: fn(&Operations) -> u64, y: fn(&Inference) -> u64| {
        Line::through(
            operations
                .iter()
                .zip(&inferences)
                .map(|(o, i)| (x(o) as f64, y(i) as f64)),
        )
    };
    let step = line(|o| o.spikes, Inference::all_steps);
    let input = line(|o| o.input, |i| i.input);
    let deepest = inferences.iter().map(|i| i.stack).max().unwrap_or(0);
    let stack_bytes = deepest.max(parse_stack);
    let arena_bytes = parsed.arena_bytes() as u64;
    let code = options.code.as_ref();
    let code_bytes = code.map(|code| code.needed);
    let image_bytes = parsed.bytes().len() as u64;
    let spread = |of: fn(&Inference) -> u64| Spread::of(inferences.iter().map(of));
    let all_steps = spread(Inference::all_steps);
    let steps = steps as f64 / images;
    let updates = neurons as f64 * steps;
    Ok(Report {
        board: board.name().to_owned(),
        core: board.cpu().to_owned(),
        images: inferences.len(),
        accuracy: figures.accuracy,
        error: figures.error,
        instructions_per_inference: total as f64 / images,
        instructions_per_step: all_steps.mean / steps.max(1.0),
        instructions_per_synaptic_op: total as f64 / ops.max(1) as f64,
        marginal_instructions_per_spike_op: step.slope,
        marginal_instructions_per_input_op: input.slope,
        instructions_per_neuron_update: step.start / updates.max(1.0),
        synaptic_ops_per_inference: ops as f64 / images,
        neuron_updates_per_inference: updates,
        steps_per_inference: steps,
        inference: spread(Inference::instructions),
        reset: spread(|i| i.reset),
        input: spread(|i| i.input),
        steps: all_steps,
        output: spread(|i| i.output),
        flash_bytes: code_bytes.map(|code| code + image_bytes),
        code_bytes,
        engine_features: code.map_or_else(Vec::new, |code| {
            code.parts.iter().map(ToString::to_string).collect()
        }),
        whole_code_bytes: code.map(|code| code.whole),
        image_bytes,
        ram_bytes: arena_bytes + parsed_bytes + stack_bytes,
        arena_bytes,
        parsed_bytes,
        stack_bytes,
        parse_instructions: parse,
        layers,
    })
}

/// The figures of inferences. The board tells classes alone; values are the emulator's.
fn figures(
    image: &Image<'_>,
    data: &DataSet,
    inferences: &[Inference],
    activity: &[Run],
) -> Figures {
    let Some(judge) = emulate::judge(image, data) else {
        return Figures::default();
    };
    let mut tally = Tally::default();
    for (sample, (inference, run)) in inferences.iter().zip(activity).enumerate() {
        let trial = run.trials.first().cloned().unwrap_or_default();
        let own = |place| f64::from(u8::from(inference.class == place));
        match judge.ranks() {
            true => judge.add(&mut tally, sample, (0..trial.outputs.len() as u32).map(own)),
            false => {
                let outputs = emulate::in_units(image, 0, trial.steps(), &trial.outputs);
                judge.add(&mut tally, sample, outputs);
            }
        }
    }
    judge.figures(&tally)
}

/// The means of what each layer did and took.
fn layers(image: &Image<'_>, activity: &[Run], counts: &[LayerCounts]) -> Vec<Layer> {
    let network = image.description();
    let images = counts.len().max(1) as f64;
    let layer = |kind, label: &str, neurons, took: u64, did: Option<Activity>| {
        let ops = did.map(|did| did.ops);
        Layer {
            label: label.to_owned(),
            kind,
            instructions: took as f64 / images,
            neurons,
            events: did.map(|did| did.events as f64 / images),
            synaptic_ops: ops.map(|ops| ops as f64 / images),
            instructions_per_synaptic_op: ops
                .filter(|ops| *ops > 0)
                .map(|ops| took as f64 / ops as f64),
        }
    };
    let in_steps = |of: &dyn Fn(&StepCounts) -> Option<u64>| {
        let steps = counts.iter().flat_map(|c| &c.steps);
        steps.filter_map(of).sum()
    };
    let did = |of: &dyn Fn(&Run) -> Option<Activity>| {
        let mut all = Activity::default();
        let samples = activity.iter().filter_map(of);
        samples.for_each(|sample| all.add(&sample));
        Some(all)
    };
    let inputs = network.inputs.iter().enumerate().map(|(at, input)| {
        let took = counts.iter().filter_map(|c| c.inputs.get(at)).sum();
        let did = did(&|run| run.inputs.get(at).copied());
        layer(
            LayerKind::Input,
            network.input_label(at),
            input.size,
            took,
            did,
        )
    });
    let ensembles = network.ensembles.iter().enumerate().map(|(at, e)| {
        let took = in_steps(&|step| step.ensembles.get(at).copied());
        let did = did(&|run| run.ensembles.get(at).copied());
        let label = network.ensemble_label(at);
        layer(LayerKind::Ensemble, label, e.neurons, took, did)
    });
    let outputs = network.outputs.iter().enumerate().map(|(at, output)| {
        let took = in_steps(&|step| step.outputs.get(at).copied());
        layer(
            LayerKind::Output,
            network.output_label(at),
            output.size,
            took,
            None,
        )
    });
    inputs.chain(ensembles).chain(outputs).collect()
}

/// The weights that an inference touched.
#[derive(Clone, Copy, Debug, Default)]
struct Operations {
    input: u64,
    spikes: u64,
}

impl Operations {
    fn of(run: &Run) -> Self {
        Self {
            input: run.input().ops,
            spikes: run.ensembles.iter().map(|e| e.ops).sum(),
        }
    }
}

/// Activity of each sample in the host's engine.
fn activity(image: &Image<'_>, data: &DataSet) -> Result<Vec<Run>, BenchError> {
    let options = EmulateOptions::default();
    let one = |at| emulate::run(image, data, at..at + 1, &options, &|_| ());
    let runs = (0..data.len()).map(one).collect::<Result<_, _>>()?;
    Ok(runs)
}

/// The line with the least squared distances to some points.
struct Line {
    start: f64,
    slope: f64,
}

impl Line {
    fn through(points: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let n = points.clone().count().max(1) as f64;
        let (x, y) = points
            .clone()
            .fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
        let (xx, xy) = points.fold((0.0, 0.0), |(a, b), (px, py)| {
            (a + (px - x) * (px - x), b + (px - x) * (py - y))
        });
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        Self {
            start: y - slope * x,
            slope,
        }
    }
}

#[cfg(test)]
mod tests {
    use tinyspike_firmware::kernels::families;
    use tinyspike_shared::image::{Dense, Transform, Width};

    use super::*;
    use crate::assemble::assemble;
    use crate::graph::{Source, Target as Post};
    use crate::integers::{self, Connection, Ensemble, Input, Output, Seen, Steps};

    #[test]
    fn ticks_become_instructions_less_the_timers_own() {
        // At 128 ns an instruction and 25 MHz: 3.2 ticks each, rounded down or up.
        let text = "image 00000000: 4 bytes, arena 8 bytes\nempty 16\n\
                    parse 3216 stack 100 holds 50\n\
                    input 0 reset 48 input 340 steps 3217 3219 output 35 class 7 stack 64\n";
        let expected = Inference {
            reset: 10,
            input: 101,
            steps: vec![1000, 1001],
            output: 6,
            class: 7,
            stack: 64,
        };
        let measurements = parse(text, 25_000_000).unwrap();
        assert_eq!(
            measurements.inferences.as_slice(),
            std::slice::from_ref(&expected)
        );
        assert_eq!(measurements.parse, 1000);
        assert_eq!(
            (measurements.parse_stack, measurements.parsed_bytes),
            (100, 50)
        );
        assert_eq!(expected.instructions(), 2118);
        for (given, other) in [
            ("image 00000000: 4 bytes, arena 8 bytes\n", ""),
            ("empty 16\n", ""),
            ("empty 16", "empty 49"),
            ("parse 3216", "parse"),
            (" holds 50", ""),
            ("reset 48", ""),
            ("input 340", "something 340"),
            ("3217 3219", ""),
            ("stack 64", ""),
        ] {
            let wrong = text.replacen(given, other, 1);
            assert_ne!(wrong, text);
            assert_eq!(parse(&wrong, 25_000_000), None, "{wrong}");
        }
    }

    #[test]
    fn turns_of_layers_are_summed_up_and_none_may_be_missing() {
        let image = image();
        let image = image.image();
        let layers = |text: &str| parse_layers(text, 25_000_000, &image);
        // At 128 ns an instruction and 25 MHz: 3.2 ticks each, 5 instructions of which are the timer's.
        let text = "empty 16\n\
                    input 0 set i0 48 i0 80 step e0 336 o0 19 o0 35 step e0 3216 o0 19 class 7\n";
        let step = |ensemble, output| StepCounts {
            ensembles: vec![ensemble],
            outputs: vec![output],
        };
        let expected = LayerCounts {
            inputs: vec![10 + 20],
            steps: vec![step(100, 1 + 6), step(1000, 1)],
            class: 7,
        };
        assert_eq!(layers(text).unwrap(), [expected]);
        for (given, other) in [
            ("empty 16\n", ""),
            ("empty 16", "empty 49"),
            ("set", "reset"),
            ("i0", "i1"),
            ("set i0", "set e0"),
            ("i0 48 i0 80 ", ""),
            ("e0 336 ", ""),
            ("e0 3216", "e1 3216"),
            ("o0 19 class", "o0 class"),
            (" class 7", ""),
        ] {
            let wrong = text.replacen(given, other, 1);
            assert_ne!(wrong, text);
            assert_eq!(layers(&wrong), None, "{wrong}");
        }
    }

    /// An input, an ensemble and an output, of one value each.
    fn image() -> ImageBuf {
        let connection = |pre, post| Connection {
            dense: false,
            pre,
            post,
            source: Seen::Direct,
            transform: Transform::Dense(Dense {
                inputs: 1,
                outputs: 1,
                first: 0,
            }),
            weights: vec![1],
        };
        assemble(&integers::Network {
            target: &families::PORTABLE,
            steps: Steps::Limited(2),
            inputs: vec![Input {
                label: "in".into(),
                size: 1,
                scale: 1.0,
                zero_point: 0,
                max: 255,
                channels: Vec::new(),
                coder: None,
            }],
            ensembles: vec![Ensemble {
                label: "hidden".into(),
                neurons: 1,
                width: Width::I32,
                max_count: 1,
                threshold: vec![255],
                bias: vec![0],
                potential_min: -1000,
                potential_max: 1000,
                theta: 1.0,
                ..Ensemble::default()
            }],
            outputs: vec![Output {
                label: "out".into(),
                bias: vec![0],
                multiplier: vec![1],
                shift: 0,
                scale: 1.0,
                ..Output::default()
            }],
            connections: vec![
                connection(Source::Input(0), Post::Population(0)),
                connection(Source::Population(0), Post::Output(0)),
            ],
        })
        .unwrap()
    }

    #[test]
    fn every_number_of_instructions_is_told_apart() {
        for (hz, board) in Board::MEASURED.map(|b| (timer_hz(b), b.name())) {
            for n in (0..2000u64).chain(1 << 23..(1 << 23) + 2000) {
                let exact = n * INSTRUCTION_NS * hz;
                let least = exact / 1_000_000_000;
                // The timer may have been anywhere within a tick.
                for ticks in [least, exact.div_ceil(1_000_000_000)] {
                    assert_eq!(instructions(&ticks.to_string(), hz), Some(n), "{board}");
                }
            }
        }
    }

    #[test]
    fn a_line_through_points_on_it_is_it() {
        let points = [(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)];
        let line = Line::through(points.into_iter());
        assert!((line.slope - 2.0).abs() < 1e-12 && (line.start - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_spread_has_a_median_and_a_worst() {
        let spread = Spread::of([4, 1, 100, 3]);
        assert_eq!((spread.median, spread.worst), (4, 100));
        assert!((spread.mean - 27.0).abs() < 1e-12);
        assert_eq!(Spread::of([]), Spread::default());
    }
}
