//! Graph + samples → the cheapest image that keeps the accuracy.
//!
//! The samples are split into a fit part, from which ranges, biases and roundings follow, and a held-out
//! part, on which every candidate runs with the device's own engine. A candidate keeps the accuracy if its
//! drop against the float network is within the bound with a certainty of nine in ten. Two estimates are
//! weighed for that, each by how far it may err ([`AccuracyDrop`]). One counts samples, lost and gained. The other sets
//! the spread of the outputs' errors against the float network's margins, and predicts which classes change,
//! and whether the right one is lost. It rests on all samples, not only the few whose class did change, so it
//! finds out candidates that were lucky. Of those that keep the accuracy, the one with the fewest predicted
//! instructions is taken. First a grid of steps and counts is screened on a part of the held-out samples;
//! then the best ones are refined a setting at a time: counts and clips of single layers, input bits, how far
//! channels are balanced.
//!
//! The choice among many candidates by the same samples still favours lucky ones, and a network shows
//! smaller drops on what it was trained on: data that it has not seen is the better choice.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;

use crate::assemble::{AssembleError, Image, assemble, scale_value};
use crate::balance::{balance, level};
use crate::calibrate::{CalibrateError, Calibration, calibrate};
use crate::clip::drop_unreached;
use crate::compensate::{CompensateError, Reference, compensate};
use crate::cost::{self, Choice, DenseMacs};
use crate::data::DataSet;
use crate::emulate::{EmulateError, EmulateOptions, Trial, run};
use crate::graph::Graph;
use crate::image::ImageBuf;
use crate::integers;
use crate::judge::{Judge, THRESHOLD, relative_error};
use crate::ops::OpsError;
use crate::pipeline::{argmax, outputs, samples};
use crate::quantize::{LayerOptions, QuantizeError, QuantizeOptions, WEIGHT_BITS, quantize};
use crate::report::{BudgetError, Budgets};

/// Least number of samples that say something about an accuracy.
const MIN_SAMPLES: usize = 100;
/// Ranges need no more samples than this.
const MAX_FIT: usize = 2048;
/// Samples that biases and roundings are fitted on.
const CORRECT: std::ops::RangeInclusive<u64> = 96..=256;
/// Multiplications (of the dense network) that a candidate's screening may cost, and all full runs
/// together: large networks are screened on fewer samples, and fewer of their candidates run in full.
const SCREEN_MACS: u64 = 1 << 31;
const FULL_MACS: u64 = 120_000_000_000;
/// The fewest candidates that run in full.
const MIN_FULL: usize = 12;
/// The most held-out samples.
const MAX_HELD: usize = 10_000;
/// Samples of a screening.
const SCREEN: std::ops::RangeInclusive<u64> = 128..=400;
/// The steps and counts of the grid, and which products of the two.
const STEPS: [u16; 4] = [1, 2, 3, 4];
const COUNTS: [u8; 11] = [1, 2, 3, 5, 7, 10, 15, 23, 31, 47, 63];
const LEVELS: std::ops::RangeInclusive<u32> = 4..=64;
/// Refinement moves a layer's count by one in so many.
const COUNT_STEP: u8 = 4;
/// Grid points that are refined.
const STARTS: usize = 3;
/// Range of a layer's clip around the one with the least squared error, and the steps in it.
const CLIPS: std::ops::RangeInclusive<f64> = 0.3..=2.5;
const CLIP_STEP: f64 = 1.2;
/// Strengths at which channels are balanced.
const BALANCES: [f64; 3] = [0.0, 0.5, 1.0];
/// A layer with less than this share of all multiplications after it starts with at least so many spikes
/// a step.
const SMALL: f64 = 0.02;
const FINE: u8 = 47;
/// Standard deviations between the expected drop and the bound: nine in ten of a normal distribution are below.
const CERTAINTY: f64 = 1.281_55;
/// Share of changed classes that counts as lost if nobody knows which is right: a float network that is torn between two
/// classes is about as often wrong as right.
const LOST: f64 = 0.5;
/// Sentence on networks with several outputs.
pub const OTHERS: &str = "tuning judges the first output alone, and others may lose much; an image that is not tuned keeps them";

/// Standard deviation of the drop that margins predict, as a share of it.
const MARGINS_ERROR: f64 = 0.25;
/// A screening's expected drop that is below this share of the bound is low enough.
const FINE_RISK: f64 = 0.6;
/// A screening's expected drop may exceed the bound by so much.
const HOPE: f64 = 1.3;
/// Bits of weights that lie two to a byte.
const NIBBLE_BITS: u8 = 4;
/// The price of missing the bound by all of it, and of exceeding a budget, in shares of the instructions.
const MISSED: f64 = 3.0;
const TOO_LARGE: f64 = 10.0;
/// Share of the bound by which a candidate may miss it and still become good enough by refinement.
const NEAR_MISS: f64 = 0.25;
/// One in so many samples, those of the smallest margins, shows how far errors spread.
const NEAR: usize = 4;
/// Exit margins that are tried: this many quantiles of those that were seen.
const MARGINS: usize = 48;
/// The most rows of the front that are shown.
const SHOWN: usize = 12;

/// Options of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuneOptions {
    /// Accuracy that may be lost, as a share of the samples: 0.002 is 0.2 percentage points.
    pub max_drop: f64,
    /// Root mean squared error that quantization may make in outputs that are no classes, relative to the
    /// standard deviation of the float network's outputs.
    pub max_error: f64,
    /// The kernels that the image is laid out for, and whose instructions are to be few.
    pub target: &'static Family,
    /// Limits of image and state.
    pub budgets: Budgets,
    /// Seed of the split of the samples and of the order of the search.
    pub seed: u64,
    /// Steps of an inference; `None` to search.
    pub steps: Option<u16>,
    /// The most spikes in a step; `None` to search.
    pub max_count: Option<u8>,
    /// `true` if an inference may end early.
    pub early_exit: bool,
    /// Bits of a weight.
    pub weight_bits: u8,
    /// The most candidates that are run on all held-out samples; large networks get fewer.
    pub evaluations: usize,
}

impl Default for TuneOptions {
    /// A drop of 0.2 points (or an error of 5 %) on a Cortex-M4, all else free.
    fn default() -> Self {
        Self {
            max_drop: 0.002,
            max_error: 0.05,
            target: &families::DSP,
            budgets: Budgets::default(),
            seed: 0,
            steps: None,
            max_count: None,
            early_exit: true,
            weight_bits: WEIGHT_BITS,
            evaluations: 80,
        }
    }
}

impl TuneOptions {
    /// The same with these budgets.
    pub(crate) fn within(self, budgets: Budgets) -> Self {
        Self { budgets, ..self }
    }
}

/// Reason why tuning failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the stage of that name")]
#[non_exhaustive]
pub enum TuneError {
    #[error(
        "tuning needs at least {MIN_SAMPLES} calibration samples to tell accuracies apart, there are {0}"
    )]
    TooFew(usize),
    #[error("tuning needs a network with an output")]
    Shape,
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    #[error(transparent)]
    Compensate(CompensateError),
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Emulate(#[from] EmulateError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

impl From<CompensateError> for TuneError {
    fn from(error: CompensateError) -> Self {
        match error {
            CompensateError::Ops(error) => Self::Ops(error),
            CompensateError::Quantize(error) => Self::Quantize(error),
            CompensateError::Assemble(error) => Self::Assemble(error),
            CompensateError::Emulate(error) => Self::Emulate(error),
            error @ CompensateError::NoSamples => Self::Compensate(error),
        }
    }
}

/// One choice of everything that the search varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Steps of an inference, at most.
    pub steps: u16,
    /// The most spikes in a step, layer by layer.
    pub max_counts: Vec<u8>,
    /// The clip of each layer, as a multiple of the one with the least squared error.
    pub clips: Vec<f64>,
    /// The bits of the weights into each layer, and then into each output.
    pub weight_bits: Vec<u8>,
    /// The bits of an input's bytes.
    pub input_bits: u8,
    /// The strength at which channels are balanced, see [`balance`](crate::balance).
    pub balance: f64,
    /// `true` if the rounding of weights is fitted; biases always are.
    pub rounded: bool,
    /// The lead at which an inference may end, in the output's units; 0 for never.
    pub exit_margin: u32,
}

impl Setting {
    fn options(&self, target: &'static Family) -> QuantizeOptions {
        let layer = |(at, &weight_bits): (usize, &u8)| LayerOptions {
            max_count: self.max_counts.get(at).copied(),
            clip: self.clips.get(at).copied().unwrap_or(1.0),
            weight_bits: Some(weight_bits),
        };
        QuantizeOptions {
            steps: self.steps,
            target,
            max_count: self.max_counts.iter().copied().max().unwrap_or(1),
            input_bits: self.input_bits,
            layers: self.weight_bits.iter().enumerate().map(layer).collect(),
            ..QuantizeOptions::default()
        }
    }
}

/// Accuracies of two networks on the same samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Number of samples.
    pub samples: usize,
    /// Right in the float network only.
    pub lost: usize,
    /// Right in the spiking network only.
    pub gained: usize,
}

impl Paired {
    /// The share of samples by which the spiking network is worse.
    #[must_use]
    pub fn drop(&self) -> f64 {
        (self.lost as f64 - self.gained as f64) / self.samples.max(1) as f64
    }

    /// The standard error of the drop, with one more sample taken for lost than was seen, so that few
    /// samples without a difference do not pass for certainty.
    #[must_use]
    pub fn error(&self) -> f64 {
        AccuracyDrop::counted(self, 0.0).sqrt()
    }

    /// The drop, at least 0, plus its standard error: what an early exit may not raise beyond the bound.
    fn upper(&self) -> f64 {
        self.drop().max(0.0) + self.error()
    }

    /// The share of samples that only one of the two has right.
    #[must_use]
    pub fn differing(&self) -> f64 {
        (self.lost + self.gained) as f64 / self.samples.max(1) as f64
    }
}

/// Accuracy, as far as it is known, that a candidate loses against the float network, as a share of all samples.
///
/// Two estimates are weighed by the inverse of their variances. The drop that was counted errs by chance: its
/// variance is that of a paired difference, with as many differing samples as were seen or as margins predict. The drop
/// that margins predict errs as a model does, by a share of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccuracyDrop {
    /// Mean of what the drop may be.
    pub expected: f64,
    /// Its standard deviation.
    pub error: f64,
}

impl AccuracyDrop {
    /// Weighs the counted drop against the one that margins predict: `lost` is the share of samples lost less those gained,
    /// `changed` that of samples whose class changes.
    #[must_use]
    pub fn estimate(paired: &Paired, lost: f64, changed: f64) -> Self {
        let counted = Self::counted(paired, changed).max(f64::MIN_POSITIVE);
        // A class that changes may be lost or gained: what margins say of that errs, too.
        let one = 1.0 / paired.samples.max(1) as f64;
        let by_margins = (MARGINS_ERROR * changed.max(one)).powi(2);
        let weight = counted / (counted + by_margins);
        Self {
            expected: lost * weight + paired.drop() * (1.0 - weight),
            error: (counted * by_margins / (counted + by_margins)).sqrt(),
        }
    }

    /// The variance of a counted drop, if at least a share `changed` of the samples would differ in the mean. One more
    /// differs than was seen: few samples without a difference are no certainty.
    fn counted(paired: &Paired, changed: f64) -> f64 {
        let n = paired.samples.max(1) as f64;
        let differing = paired.differing().max(changed) + 1.0 / n;
        ((differing - paired.drop() * paired.drop()) / n).max(0.0)
    }

    /// The drop that is not exceeded with a certainty of nine in ten.
    #[must_use]
    pub fn upper(&self) -> f64 {
        self.expected + CERTAINTY * self.error
    }

    /// The chance that the drop exceeds a bound.
    #[must_use]
    pub fn risk(&self, bound: f64) -> f64 {
        tail((bound - self.expected) / self.error.max(f64::MIN_POSITIVE))
    }
}

/// A candidate before it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Setting that is tried.
    pub setting: Setting,
    /// Number of held-out samples, from the first on.
    pub samples: usize,
}

/// A candidate that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Setting that was chosen.
    pub setting: Setting,
    /// The share of held-out samples that it has right (or, without labels, as the float network has).
    pub accuracy: f64,
    /// Against the float network.
    pub paired: Paired,
    /// The share of samples that its errors would lose against the float network, less those gained, as margins and the
    /// spread of errors predict; 0 if outputs are values.
    pub lost: f64,
    /// The share of samples that its errors would put into another class than the float network does, as
    /// margins and the spread of errors predict. Of outputs that are values, their root mean squared
    /// error relative to the standard deviation.
    pub risk: f64,
    /// Predicted instructions of an inference, in the mean.
    pub instructions: f64,
    /// Predicted cycles of an inference, in the mean.
    pub cycles: f64,
    /// Weights that events beyond the input touch in an inference, in the mean.
    pub synaptic_ops: f64,
    /// Weights that the input touches, in the mean.
    pub input_ops: f64,
    /// Steps of an inference, in the mean.
    pub steps_mean: f64,
    /// The arena.
    pub ram_bytes: usize,
    /// The image.
    pub flash_bytes: usize,
}

impl Point {
    /// Accuracy, as far as it is known, that it loses; of outputs that are classes. Without labels each class that changes is taken
    /// for half a loss.
    #[must_use]
    pub fn drop(&self, labelled: bool) -> AccuracyDrop {
        let drop = AccuracyDrop::estimate(&self.paired, self.lost, self.risk);
        let weight = loss(labelled);
        AccuracyDrop {
            expected: weight * drop.expected,
            error: weight * drop.error,
        }
    }
}

/// Share of a changed class that is a loss, if the right one is known or not.
const fn loss(labelled: bool) -> f64 {
    if labelled { 1.0 } else { LOST }
}

/// Result of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Tuning {
    /// Options of the search that was made.
    #[serde(skip)]
    pub options: TuneOptions,
    /// `true` if the chosen candidate keeps the accuracy, by the rule that the module states.
    pub kept: bool,
    /// The chosen candidate.
    pub chosen: Point,
    /// The candidates that no other beats in accuracy, instructions, RAM and flash together, and the one
    /// that was chosen; by cost.
    pub front: Vec<Point>,
    /// The accuracy of the float network on the held-out samples; `None` without labels.
    pub float_accuracy: Option<f64>,
    /// Candidates that ran, screenings included.
    pub candidates: usize,
    /// The predicted instructions of an int8 network that computes everything.
    pub dense_instructions: f64,
    /// `true` if outputs are values, whose error is judged and not a class.
    pub scalar: bool,
    /// Samples that ranges and biases follow from.
    #[serde(skip)]
    pub fit: usize,
}

/// A chosen candidate, and what the search found.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// Result of the search.
    pub tuning: Tuning,
    /// The network in floats; channels are balanced.
    pub graph: Graph,
    /// Returns the observed ranges.
    pub calibration: Calibration,
    /// The network in integers.
    pub integers: integers::Network,
    /// The packed image.
    pub image: ImageBuf,
    /// The way in which each connection is computed, and what either way would cost.
    pub choices: Vec<Choice>,
}

/// A place where candidates run, many at a time: other processes, or other machines.
///
/// It decides how long a search takes, and never what it finds.
pub trait Elsewhere: Sync {
    /// Runs candidates as [`Task::run`] does, and returns the outcome of each in turn. `None` in place of an outcome
    /// leaves the candidate to the search itself.
    fn run(&self, candidates: &[Candidate]) -> Vec<Option<Option<Point>>>;
}

/// Searches. `progress` is told how many candidates have run. Those that are likely to be wanted run elsewhere first, if
/// there is such a place.
///
/// # Errors
/// [`TuneError`] if the samples do not fit or are too few, or nothing fits the budgets.
pub fn tune(
    graph: &Graph,
    data: &DataSet,
    options: &TuneOptions,
    progress: &(dyn Fn(u64) + Sync),
    elsewhere: Option<&dyn Elsewhere>,
) -> Result<Tuned, TuneError> {
    let (task, mut random) = Task::prepare(graph, data, options)?;
    let mut search = Search {
        task,
        candidates: 0,
        progress,
        elsewhere,
        known: Vec::new(),
    };
    let points = search.points(&mut random)?;
    search.finish(points)
}

/// The float network's outputs, sample after sample.
fn float_outputs(graph: &Graph, data: &DataSet) -> Result<Vec<f32>, OpsError> {
    use rayon::prelude::*;
    const BATCH: usize = 32;
    let size = data.sample_size();
    let outputs = data
        .to_floats()
        .par_chunks(BATCH * size)
        .map(|x| outputs(graph, x, x.len() / size))
        .collect::<Result<Vec<_>, OpsError>>()?;
    Ok(outputs.concat())
}

/// The network with its channels balanced at some strength.
struct Variant {
    graph: Graph,
    calibration: Calibration,
    reference: Reference,
}

/// All that a candidate's outcome rests on: networks, held-out samples, and the float network's results on them.
pub struct Task {
    /// One for each of [`BALANCES`].
    variants: Vec<Variant>,
    options: TuneOptions,
    held: DataSet,
    /// Number of samples that ranges follow from.
    fit: usize,
    /// `true` if the right classes are known.
    labelled: bool,
    /// `true` if outputs are values, whose error is judged and not a class.
    by_error: bool,
    /// Number of outputs; of one, the sign is the class.
    classes: usize,
    /// The right class of each held-out sample.
    wanted: Vec<usize>,
    /// The float network's class of each.
    float: Vec<usize>,
    /// Its outputs, sample after sample.
    outputs: Vec<f32>,
    sizes: Sizes,
}

struct Search<'a> {
    task: Task,
    candidates: usize,
    progress: &'a (dyn Fn(u64) + Sync),
    elsewhere: Option<&'a dyn Elsewhere>,
    /// Outcomes of candidates that ran elsewhere.
    known: Vec<(Candidate, Option<Point>)>,
}

/// Sizes that the search can afford.
struct Sizes {
    /// The share of the dense network's multiplications that follow each population.
    shares: Vec<f64>,
    /// Outputs of the network.
    outputs: usize,
    /// Samples of a screening.
    screen: usize,
    /// Samples of a full run.
    full: usize,
    /// Full runs.
    evaluations: usize,
    /// Samples that biases are corrected on.
    correct: usize,
}

impl Sizes {
    fn of(
        graph: &Graph,
        calibration: &Calibration,
        held: usize,
        options: &TuneOptions,
    ) -> Result<Self, TuneError> {
        let quantized = quantize(graph, calibration, &QuantizeOptions::default())?;
        let bytes = assemble(&quantized)?;
        let image = bytes.image();
        let shares = shares(&image);
        let macs = DenseMacs::of(&image);
        let macs = (macs.convolution + macs.matrix).max(1);
        let screen = (SCREEN_MACS / macs).clamp(*SCREEN.start(), *SCREEN.end());
        let correct = (SCREEN_MACS / 4 / macs).clamp(*CORRECT.start(), *CORRECT.end());
        let affordable = FULL_MACS / (macs * held as u64);
        Ok(Self {
            shares,
            outputs: graph.outputs.len(),
            screen: held.min(screen as usize),
            full: held,
            evaluations: options.evaluations.min((affordable as usize).max(MIN_FULL)),
            correct: correct as usize,
        })
    }
}

/// The share of all multiplications of a dense network that follow each ensemble.
fn shares(image: &Image<'_>) -> Vec<f64> {
    let network = image.description();
    let mut macs = vec![0.0; network.ensembles.len()];
    let mut all = 0.0;
    for c in &network.connections {
        let own = DenseMacs::of_connection(c);
        let own = (own.convolution + own.matrix) as f64;
        all += own;
        if let Some(e) = c.pre.ensemble() {
            macs[usize::from(e)] += own;
        }
    }
    macs.iter().map(|m| m / f64::max(all, 1.0)).collect()
}

/// A candidate that ran, with the network itself.
struct Made {
    point: Point,
    graph: Graph,
    calibration: Calibration,
    quantized: integers::Network,
    image: ImageBuf,
    choices: Vec<Choice>,
}

/// A sample's first class before its second.
struct Lead {
    /// Lead in the float network.
    float: f64,
    /// Difference of the spiking network's lead from it.
    error: f64,
    /// Samples that are lost if the second class is taken for the first: 1, 0, or -1 if it is the right one.
    lost: f64,
}

impl Task {
    /// Splits the samples, and prepares what candidates are made of.
    ///
    /// # Errors
    /// [`TuneError`], if the samples do not fit the network or are too few.
    pub fn new(graph: &Graph, data: &DataSet, options: &TuneOptions) -> Result<Self, TuneError> {
        Self::prepare(graph, data, options).map(|(task, _)| task)
    }

    /// Prepares, and returns the random numbers that follow those of the split.
    fn prepare(
        graph: &Graph,
        data: &DataSet,
        options: &TuneOptions,
    ) -> Result<(Self, Random), TuneError> {
        if data.len() < MIN_SAMPLES {
            return Err(TuneError::TooFew(data.len()));
        }
        let classes = graph.outputs.first().map_or(0, |o| o.bias.len());
        if classes == 0 {
            return Err(TuneError::Shape);
        }
        let mut random = Random(options.seed);
        let mut order: Vec<usize> = (0..data.len()).collect();
        random.shuffle(&mut order);
        let (fit, held) = order.split_at((data.len() / 4).min(MAX_FIT));
        let held = &held[..held.len().min(MAX_HELD)];
        let (Some(fit), Some(held)) = (data.select(fit), data.select(held)) else {
            return Err(TuneError::TooFew(data.len()));
        };
        let fit_samples = samples(&fit, fit.len()).split(&graph.input_sizes());
        let mut graph = Cow::Borrowed(graph);
        let mut calibration = calibrate(&graph, &fit_samples, &|_| {})?;
        if graph.populations.iter().any(|p| p.ceiling.is_some()) {
            drop_unreached(graph.to_mut(), &calibration);
        }
        let levelled = level(&graph, &calibration);
        if let Some(levelled) = &levelled {
            calibration = calibrate(levelled, &fit_samples, &|_| {})?;
        }
        let graph = levelled.as_ref().unwrap_or(&graph);
        let sizes = Sizes::of(graph, &calibration, held.len(), options)?;
        let correct_on = samples(&fit, sizes.correct).split(&graph.input_sizes());
        let variants = BALANCES
            .iter()
            .map(|&strength| {
                let graph = balance(graph, &calibration, strength).graph;
                Ok(Variant {
                    calibration: calibrate(&graph, &fit_samples, &|_| {})?,
                    reference: Reference::new(&graph, correct_on.clone())?,
                    graph,
                })
            })
            .collect::<Result<Vec<_>, TuneError>>()?;
        let outputs = float_outputs(graph, &held)?;
        let judge = Judge::new(&held, classes, THRESHOLD);
        let sides = judge
            .as_ref()
            .and_then(Judge::sides)
            .filter(|_| classes == 1);
        let by_error = match &judge {
            Some(judge) => !judge.ranks() && sides.is_none(),
            None => classes == 1 || held.targets().is_some(),
        };
        let class = |output: &[f32]| match sides {
            Some(_) => usize::from(f64::from(output[0]) > THRESHOLD),
            None => argmax(output),
        };
        let float: Vec<usize> = outputs.chunks(classes).map(class).collect();
        let wanted = match (sides, held.labels().filter(|_| !by_error)) {
            (Some(sides), _) => sides.iter().map(|&side| side.into()).collect(),
            (None, Some(labels)) => labels.iter().map(|&l| l as usize).collect(),
            (None, None) => float.clone(),
        };
        let task = Self {
            variants,
            options: *options,
            labelled: sides.is_some() || held.labels().is_some_and(|_| !by_error),
            by_error,
            classes,
            wanted,
            float,
            outputs,
            fit: fit.len(),
            held,
            sizes,
        };
        Ok((task, random))
    }

    /// Runs a candidate; `None` if it cannot be built within 32 bits.
    ///
    /// # Errors
    /// [`TuneError`], if it cannot be built or run for another reason.
    pub fn run(&self, candidate: &Candidate) -> Result<Option<Point>, TuneError> {
        let made = self.make(&candidate.setting, candidate.samples)?;
        Ok(made.map(|made| made.point))
    }

    fn first(&self, steps: u16, count: u8) -> Setting {
        // What costs next to nothing may be as exact as it can be.
        let fine = |share: &f64| match self.options.max_count {
            None if *share < SMALL => count.max(FINE),
            _ => count,
        };
        Setting {
            steps,
            max_counts: self.sizes.shares.iter().map(fine).collect(),
            clips: vec![1.0; self.sizes.shares.len()],
            weight_bits: vec![
                self.options.weight_bits;
                self.sizes.shares.len() + self.sizes.outputs
            ],
            input_bits: 8,
            balance: BALANCES[BALANCES.len() / 2],
            rounded: true,
            exit_margin: 0,
        }
    }

    fn passes(&self, point: &Point) -> bool {
        self.excess(point) <= 0.0 && self.fits(point)
    }

    /// The class of an inference, or its sign.
    fn class(&self, trial: &Trial) -> usize {
        match trial.outputs.as_slice() {
            [value] => usize::from(*value > 0),
            _ => trial.class(),
        }
    }

    /// Drop of a candidate that margins predict.
    fn drop_by_margins(&self, point: &Point) -> f64 {
        loss(self.labelled) * point.lost
    }

    /// Excess of a candidate over the bound by margins, which say something on few samples, too.
    fn excess_by_margins(&self, point: &Point) -> f64 {
        if self.by_error {
            return (point.risk / self.options.max_error - 1.0) * self.options.max_drop;
        }
        self.drop_by_margins(point) - self.options.max_drop
    }

    /// Excess of a candidate over the bound on the drop, or over that on the error.
    fn excess(&self, point: &Point) -> f64 {
        if self.by_error {
            return self.excess_by_margins(point);
        }
        point.drop(self.labelled).upper() - self.options.max_drop
    }

    fn fits(&self, point: &Point) -> bool {
        let Budgets { ram, flash } = self.options.budgets;
        ram.is_none_or(|most| point.ram_bytes as u64 <= most)
            && flash.is_none_or(|most| point.flash_bytes as u64 <= most)
    }

    /// Quantity that refinement makes smaller: the instructions, and a price for what misses the bounds.
    fn price(&self, p: &Point, excess: f64) -> f64 {
        let missed = (excess / self.options.max_drop.max(f64::MIN_POSITIVE)).max(0.0);
        p.instructions * (1.0 + MISSED * missed + TOO_LARGE * self.over_budget(p))
    }

    /// The bytes beyond each budget, as a share of it.
    fn over_budget(&self, p: &Point) -> f64 {
        let over = |limit: Option<u64>, used: usize| {
            limit.map_or(0.0, |l| (used as f64 / l.max(1) as f64 - 1.0).max(0.0))
        };
        let Budgets { ram, flash } = self.options.budgets;
        over(ram, p.ram_bytes) + over(flash, p.flash_bytes)
    }

    /// Tells whether a screening promises less than another.
    fn is_cheaper(&self, a: &Point, b: &Point) -> bool {
        let price = |p: &Point| self.price(p, self.excess_by_margins(p));
        price(a) < price(b)
    }

    /// Tells whether `a` is to be preferred: what keeps the bounds, then what is cheap; if neither keeps them,
    /// what comes closer, first to the budgets.
    fn better(&self, a: &Point, b: &Point) -> bool {
        let rank = |p: &Point| (self.passes(p), self.fits(p));
        match rank(a).cmp(&rank(b)) {
            std::cmp::Ordering::Equal if self.passes(a) => a.instructions < b.instructions,
            std::cmp::Ordering::Equal => {
                let large = self.over_budget(a).total_cmp(&self.over_budget(b));
                large
                    .then(self.excess(a).total_cmp(&self.excess(b)))
                    .is_lt()
            }
            order => order.is_gt(),
        }
    }

    /// Tells whether a screening leaves hope that a candidate keeps the bound on all held-out samples.
    fn hopeful(&self, p: &Point) -> bool {
        if self.by_error {
            return p.risk <= self.options.max_error * HOPE;
        }
        let (drop, bound) = (p.drop(self.labelled), self.options.max_drop);
        drop.expected - drop.error <= bound && self.drop_by_margins(p) <= bound * HOPE
    }

    /// Tells whether a screening leaves no doubt that a candidate keeps the bound.
    fn is_fine(&self, p: &Point) -> bool {
        if self.by_error {
            return p.risk <= self.options.max_error * FINE_RISK;
        }
        let bound = self.options.max_drop;
        self.hopeful(p) && self.drop_by_margins(p) <= bound * FINE_RISK
    }

    /// Steps, and the counts that are tried with them, both ascending.
    fn grid(&self) -> Vec<(u16, Vec<u8>)> {
        let steps: Vec<u16> = self.options.steps.map_or(STEPS.to_vec(), |s| vec![s]);
        let all: Vec<u8> = self.options.max_count.map_or(COUNTS.to_vec(), |c| vec![c]);
        let of = |steps: u16| {
            let inside = |c: &&u8| LEVELS.contains(&(u32::from(steps) * u32::from(**c)));
            let counts: Vec<u8> = all.iter().filter(inside).copied().collect();
            (
                steps,
                if counts.is_empty() {
                    all.clone()
                } else {
                    counts
                },
            )
        };
        steps.into_iter().map(of).collect()
    }

    /// The settings next to one.
    fn moves(&self, from: &Setting) -> Vec<Setting> {
        let mut moves = Vec::new();
        for bits in [from.input_bits - 1, from.input_bits + 1] {
            if (1..=8).contains(&bits) {
                moves.push(Setting {
                    input_bits: bits,
                    ..from.clone()
                });
            }
        }
        for &strength in &BALANCES {
            if strength != from.balance {
                moves.push(Setting {
                    balance: strength,
                    ..from.clone()
                });
            }
        }
        // Weights of few bits are slower to read: they pay if flash is short.
        if self.options.budgets.flash.is_some() {
            for layer in 0..from.weight_bits.len() {
                let mut setting = from.clone();
                let bits = &mut setting.weight_bits[layer];
                *bits = if *bits == NIBBLE_BITS {
                    self.options.weight_bits
                } else {
                    NIBBLE_BITS
                };
                if setting != *from {
                    moves.push(setting);
                }
            }
        }
        for layer in 0..from.max_counts.len() {
            let count = from.max_counts[layer];
            if self.options.max_count.is_none() {
                let by = (count / COUNT_STEP).max(1);
                let most = *COUNTS.last().unwrap_or(&count);
                let others = [count - by, count.saturating_add(by).min(most)];
                for other in others.into_iter().filter(|o| *o > 0 && *o != count) {
                    let mut setting = from.clone();
                    setting.max_counts[layer] = other;
                    moves.push(setting);
                }
            }
            for factor in [CLIP_STEP, 1.0 / CLIP_STEP] {
                let clip = from.clips[layer] * factor;
                if CLIPS.contains(&clip) {
                    let mut setting = from.clone();
                    setting.clips[layer] = clip;
                    moves.push(setting);
                }
            }
        }
        moves
    }

    /// Builds a candidate and runs it on the first `count` held-out samples; `None` if it cannot be
    /// built within 32 bits.
    fn make(&self, setting: &Setting, count: usize) -> Result<Option<Made>, TuneError> {
        let options = setting.options(self.options.target);
        let at = BALANCES.iter().position(|b| *b == setting.balance);
        let variant = &self.variants[at.unwrap_or(0)];
        let compensated = compensate(
            &variant.graph,
            &variant.calibration,
            &options,
            &variant.reference,
            setting.rounded,
        );
        let (graph, mut quantized) = match compensated {
            Ok(quantized) => (variant.graph.clone(), quantized),
            Err(CompensateError::Quantize(QuantizeError::Overflow { .. })) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let mut image = assemble(&quantized)?;
        let (mut point, trials, mut choices) =
            self.measure(setting, &quantized, &image.image(), count, None)?;
        let may_exit = self.options.early_exit && !self.by_error && self.classes > 1;
        if may_exit && setting.steps > 1 && quantized.outputs.len() == 1 {
            let margin = self.exit_margin(&trials);
            if margin > 0 {
                quantized.outputs[0].exit_margin = margin;
                image = assemble(&quantized)?;
                let image = image.image();
                (point, _, choices) =
                    self.measure(setting, &quantized, &image, count, Some(margin))?;
            }
        }
        Ok(Some(Made {
            point,
            graph,
            calibration: variant.calibration.clone(),
            quantized,
            image,
            choices,
        }))
    }

    fn measure(
        &self,
        setting: &Setting,
        quantized: &integers::Network,
        image: &Image<'_>,
        count: usize,
        exit: Option<u32>,
    ) -> Result<(Point, Vec<Trial>, Vec<Choice>), TuneError> {
        let options = EmulateOptions {
            early_exit: exit.is_some(),
            ..EmulateOptions::default()
        };
        let run = run(image, &self.held, 0..count, &options, &|_| {})?;
        let samples = run.trials.len().max(1) as f64;
        let paired = self.paired(run.trials.iter().map(|trial| self.class(trial)));
        let float = self.float.iter().zip(&self.wanted).take(count);
        let float_right = float.filter(|(f, w)| f == w).count();
        let ops: u64 = run.ensembles.iter().map(|a| a.ops).sum();
        let steps: usize = run.trials.iter().map(Trial::steps).sum();
        let choices = cost::choices(quantized, image, &run);
        let more = |unit: usize| choices.iter().map(|c| c.more[unit]).sum::<f64>();
        let unit = scale_value(image.description().outputs[0].scale);
        let (risk, lost) = self.risk(&run.trials, unit);
        let point = Point {
            setting: Setting {
                exit_margin: exit.unwrap_or(0),
                ..setting.clone()
            },
            accuracy: float_right as f64 / samples - paired.drop(),
            paired,
            lost,
            risk,
            instructions: cost::instructions(self.options.target, image, &run) + more(0),
            cycles: cost::cycles(self.options.target, image, &run) + more(1),
            synaptic_ops: ops as f64 / samples,
            input_ops: run.input().ops as f64 / samples,
            steps_mean: steps as f64 / samples,
            ram_bytes: image.arena_bytes(),
            flash_bytes: image.bytes().len(),
        };
        Ok((point, run.trials, choices))
    }

    /// The share of samples whose class the errors would change: for each the chance that a normal error
    /// of the lead, as wide as it is at small margins, exceeds the float network's margin. Then the share that would be lost
    /// by that, less what would be gained: if the float network is wrong, its second class may be the right one.
    /// `unit` is what one unit of an output stands for. Of outputs that are values, their error, and 0.
    ///
    /// A count of changed classes says little if they are few; this uses all samples.
    fn risk(&self, trials: &[Trial], unit: f64) -> (f64, f64) {
        let classes = self.classes;
        let in_units =
            |trial: &Trial, value: &i32| f64::from(*value) * unit / trial.steps().max(1) as f64;
        if self.by_error {
            let reference = &self.outputs[..trials.len() * classes];
            let outputs = trials
                .iter()
                .flat_map(|t| t.outputs.iter().map(|v| in_units(t, v)));
            return (relative_error(reference, classes, outputs), 0.0);
        }
        let float = self.outputs.chunks(classes.max(1)).zip(&self.float);
        let mut leads: Vec<Lead> = trials
            .iter()
            .zip(float)
            .zip(&self.wanted)
            .map(|((trial, (float, &first)), &wanted)| {
                let lost = |second: usize| {
                    if first == wanted {
                        1.0
                    } else if second == wanted {
                        -1.0
                    } else {
                        0.0
                    }
                };
                if let ([float], Some(value)) = (float, trial.outputs.first()) {
                    // The lead of a sign is the distance to the threshold.
                    return Lead {
                        float: f64::from(float.abs()),
                        error: in_units(trial, value) - f64::from(*float),
                        lost: lost(1 - first.min(1)),
                    };
                }
                let second = (0..classes)
                    .filter(|c| *c != first)
                    .max_by(|a, b| float[*a].total_cmp(&float[*b]))
                    .unwrap_or(first);
                let lead = f64::from(float[first]) - f64::from(float[second]);
                let value = |c: usize| trial.outputs.get(c).map_or(0.0, |v| f64::from(*v));
                let unit = unit / trial.steps().max(1) as f64;
                Lead {
                    float: lead,
                    error: (value(first) - value(second)) * unit - lead,
                    lost: lost(second),
                }
            })
            .collect();
        leads.sort_by(|a, b| a.float.total_cmp(&b.float));
        let near = (leads.len() / NEAR).max(1);
        let squares: f64 = leads.iter().take(near).map(|l| l.error * l.error).sum();
        let spread = (squares / near as f64).sqrt().max(f64::MIN_POSITIVE);
        let (changed, lost) = leads.iter().fold((0.0, 0.0), |(changed, lost), lead| {
            let chance = tail(lead.float / spread);
            (changed + chance, lost + chance * lead.lost)
        });
        let samples = leads.len().max(1) as f64;
        (changed / samples, lost / samples)
    }

    /// The first samples' classes against the float network's.
    fn paired(&self, classes: impl Iterator<Item = usize>) -> Paired {
        let mut paired = Paired {
            samples: 0,
            lost: 0,
            gained: 0,
        };
        for ((class, float), wanted) in classes.zip(&self.float).zip(&self.wanted) {
            paired.samples += 1;
            match (float == wanted, class == *wanted) {
                (true, false) => paired.lost += 1,
                (false, true) => paired.gained += 1,
                _ => {}
            }
        }
        paired
    }

    /// The smallest lead at which to stop that keeps the accuracy; 0 if there is none.
    fn exit_margin(&self, trials: &[Trial]) -> u32 {
        let before_last = |t: &'_ Trial| t.leads.len().saturating_sub(1);
        let mut seen: Vec<u32> = trials
            .iter()
            .flat_map(|t| t.leads.iter().take(before_last(t)).map(|l| l.margin))
            .collect();
        seen.sort_unstable();
        let at_end = self.paired(trials.iter().map(Trial::class));
        let bound = self.options.max_drop.max(at_end.upper());
        (0..MARGINS)
            .filter_map(|q| seen.get(q * seen.len() / MARGINS).copied())
            .find(|&margin| {
                let classes = trials.iter().map(|t| {
                    let early = t.leads.iter().find(|l| l.margin >= margin);
                    early.map_or(t.class(), |l| l.class)
                });
                margin > 0 && self.paired(classes).upper() <= bound
            })
            .unwrap_or(0)
    }
}

impl Search<'_> {
    /// Has candidates run elsewhere, if there is such a place, so that their outcomes are known when they are asked for.
    fn prefetch<'s>(&mut self, settings: impl IntoIterator<Item = &'s Setting>, samples: usize) {
        let Some(elsewhere) = self.elsewhere else {
            return;
        };
        let new = settings
            .into_iter()
            .filter(|setting| self.known(setting, samples).is_none());
        let new: Vec<Candidate> = new
            .map(|setting| Candidate {
                setting: setting.clone(),
                samples,
            })
            .collect();
        if new.is_empty() {
            return;
        }
        let outcomes = elsewhere.run(&new);
        let known = new.into_iter().zip(outcomes);
        self.known
            .extend(known.filter_map(|(candidate, outcome)| Some((candidate, outcome?))));
    }

    /// Runs a candidate, unless it is known.
    fn run(&mut self, setting: &Setting, samples: usize) -> Result<Option<Point>, TuneError> {
        self.candidates += 1;
        (self.progress)(1);
        match self.known(setting, samples) {
            Some(outcome) => Ok(outcome.cloned()),
            None => Ok(self.task.make(setting, samples)?.map(|made| made.point)),
        }
    }

    /// The outcome of a candidate that ran elsewhere.
    fn known(&self, setting: &Setting, samples: usize) -> Option<Option<&Point>> {
        let mut known = self.known.iter();
        let known = known
            .find(|(candidate, _)| candidate.samples == samples && candidate.setting == *setting);
        known.map(|(_, outcome)| outcome.as_ref())
    }

    /// The settings that are known to be worth a full run.
    fn promising(&self, moves: &[Setting], best: &Point) -> Vec<Setting> {
        let better = moves.iter().filter(|setting| {
            let screened = self.known(setting, self.task.sizes.screen).flatten();
            screened.is_some_and(|screened| self.task.is_cheaper(screened, best))
        });
        better.cloned().collect()
    }

    /// All points that ran on the full part.
    fn points(&mut self, random: &mut Random) -> Result<Vec<Point>, TuneError> {
        let mut screened: Vec<Point> = Vec::new();
        let mut cheapest = f64::INFINITY;
        for (steps, counts) in self.task.grid() {
            let before = cheapest;
            let settings = counts.iter().map(|&count| self.task.first(steps, count));
            let settings: Vec<Setting> = settings.collect();
            self.prefetch(&settings, self.task.sizes.screen);
            for setting in settings {
                let Some(point) = self.run(&setting, self.task.sizes.screen)? else {
                    continue;
                };
                if self.task.hopeful(&point) {
                    cheapest = cheapest.min(point.instructions);
                }
                let fine = self.task.is_fine(&point);
                screened.push(point);
                // Larger counts would only cost more.
                if fine {
                    break;
                }
            }
            // As would more steps, once they do not pay.
            if before < f64::INFINITY && cheapest >= before {
                break;
            }
        }
        // What is clearly too inaccurate is left out, then the cheapest and the most accurate start.
        let hopeful = |p: &Point| self.task.hopeful(p);
        let mut starts: Vec<Point> = screened.iter().filter(|p| hopeful(p)).cloned().collect();
        starts.sort_by(|a, b| a.instructions.total_cmp(&b.instructions));
        screened.sort_by(|a, b| a.risk.total_cmp(&b.risk));
        starts.extend(screened);
        let mut points: Vec<Point> = Vec::new();
        let mut begun = Vec::new();
        let first = starts.iter().take(STARTS).map(|p| &p.setting);
        self.prefetch(first, self.task.sizes.full);
        // The cheapest that also hold on the full part, or nearly.
        for start in &starts {
            if begun.len() == STARTS || points.len() >= self.task.sizes.evaluations / 2 {
                break;
            }
            if points
                .iter()
                .any(|p| same_but_exit(&p.setting, &start.setting))
            {
                continue;
            }
            if let Some(point) = self.run(&start.setting, self.task.sizes.full)? {
                if self.task.excess(&point) <= self.task.options.max_drop * NEAR_MISS {
                    begun.push(point.clone());
                }
                points.push(point);
            }
        }
        if begun.is_empty() {
            let best = points
                .iter()
                .cloned()
                .reduce(|a, b| if self.task.better(&b, &a) { b } else { a });
            begun.extend(best);
        }
        for (at, start) in begun.iter().enumerate() {
            let left = self.task.sizes.evaluations.saturating_sub(points.len());
            let share = points.len() + left / (begun.len() - at);
            self.refine(start, share, random, &mut points)?;
        }
        Ok(points)
    }

    /// Improves a setting, one thing at a time, until nothing helps or `until` points have run.
    fn refine(
        &mut self,
        start: &Point,
        until: usize,
        random: &mut Random,
        points: &mut Vec<Point>,
    ) -> Result<(), TuneError> {
        let mut best = start.clone();
        let mut best_screened = match self.run(&best.setting, self.task.sizes.screen)? {
            Some(point) => point,
            None => return Ok(()),
        };
        loop {
            let mut moves = self.task.moves(&best.setting);
            random.shuffle(&mut moves);
            // What is too large gets smaller first.
            if !self.task.fits(&best) {
                moves.sort_by_key(|moved| moved.weight_bits == best.setting.weight_bits);
            }
            let mut improved = false;
            self.prefetch(&moves, self.task.sizes.screen);
            let promising = self.promising(&moves, &best_screened);
            let left = until.saturating_sub(points.len());
            self.prefetch(promising.iter().take(left), self.task.sizes.full);
            for setting in moves {
                if points.len() >= until {
                    return Ok(());
                }
                let Some(screened) = self.run(&setting, self.task.sizes.screen)? else {
                    continue;
                };
                if !self.task.is_cheaper(&screened, &best_screened) {
                    continue;
                }
                let Some(point) = self.run(&setting, self.task.sizes.full)? else {
                    continue;
                };
                points.push(point.clone());
                let price = |p: &Point| self.task.price(p, self.task.excess(p));
                if price(&point) < price(&best) {
                    best = point;
                    best_screened = screened;
                    improved = true;
                    break;
                }
            }
            if !improved {
                return Ok(());
            }
        }
    }

    fn finish(&mut self, mut points: Vec<Point>) -> Result<Tuned, TuneError> {
        points.sort_by(|a, b| a.instructions.total_cmp(&b.instructions));
        let chosen = points
            .iter()
            .cloned()
            .reduce(|a, b| if self.task.better(&b, &a) { b } else { a })
            .ok_or(TuneError::Shape)?;
        let mut plain = chosen.setting.clone();
        plain.exit_margin = 0;
        self.candidates += 1;
        (self.progress)(1);
        let made = self.task.make(&plain, self.task.sizes.full)?;
        let mut made = made.ok_or(TuneError::Shape)?;
        // Layers are made dense last: that changes what they cost and nothing else.
        for (c, choice) in made.quantized.connections.iter_mut().zip(&made.choices) {
            c.dense = choice.dense;
        }
        made.image = assemble(&made.quantized)?;
        let image = made.image.image();
        made.point.flash_bytes = image.bytes().len();
        self.task.options.budgets.check(&image)?;
        let front = points
            .iter()
            .filter(|p| **p == chosen || !points.iter().any(|q| dominates(q, p)))
            .cloned()
            .collect();
        let right = self
            .task
            .float
            .iter()
            .zip(&self.task.wanted)
            .take(self.task.sizes.full);
        let right = right.filter(|(f, w)| f == w).count();
        let tuning = Tuning {
            options: self.task.options,
            kept: self.task.passes(&made.point),
            scalar: self.task.by_error,
            chosen: made.point,
            front,
            float_accuracy: (self.task.labelled)
                .then(|| right as f64 / self.task.sizes.full.max(1) as f64),
            fit: self.task.fit,
            candidates: self.candidates,
            dense_instructions: cost::dense_instructions(&self.task.options.target.cost, &image),
        };
        Ok(Tuned {
            tuning,
            graph: made.graph,
            calibration: made.calibration,
            integers: made.quantized,
            image: made.image.clone(),
            choices: made.choices,
        })
    }
}

/// The chance that a standard normal number exceeds `x`.
fn tail(x: f64) -> f64 {
    0.5 * libm::erfc(x / std::f64::consts::SQRT_2)
}

/// Tells whether two settings are equal except for the exit margin, which follows from the rest.
fn same_but_exit(a: &Setting, b: &Setting) -> bool {
    let mut a = a.clone();
    a.exit_margin = b.exit_margin;
    a == *b
}

/// Tells whether `a` is at least as good as `b` everywhere, and better somewhere.
fn dominates(a: &Point, b: &Point) -> bool {
    let no_worse = a.accuracy >= b.accuracy
        && a.instructions <= b.instructions
        && a.ram_bytes <= b.ram_bytes
        && a.flash_bytes <= b.flash_bytes;
    let better = a.accuracy > b.accuracy
        || a.instructions < b.instructions
        || a.ram_bytes < b.ram_bytes
        || a.flash_bytes < b.flash_bytes;
    no_worse && better
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paired = &self.chosen.paired;
        writeln!(
            f,
            "{} candidates; ranges from {} samples, accuracy on {} others{}",
            self.candidates,
            self.fit,
            paired.samples,
            match self.float_accuracy {
                Some(float) => format!(" (float network: {:.2} %)", float * 100.0),
                None => ": without labels, agreement with the float network".into(),
            }
        )?;
        writeln!(
            f,
            "{:>9} {:>7} {:>6} {:>13} {:>13} {:>9} {:>9}  steps, counts, clips, balance, input bits",
            "accuracy", "drop", "risk", "instructions", "synaptic ops", "RAM", "flash"
        )?;
        for p in self.front.iter().take(SHOWN) {
            let chosen = p.setting == self.chosen.setting;
            writeln!(
                f,
                "{:>8.2}% {:>+7.2} {:>6.2} {:>13.0} {:>13.0} {:>9} {:>9}  {:.2}, {:?}, {:.1?}, {}, {}{}",
                p.accuracy * 100.0,
                p.paired.drop() * 100.0,
                p.risk * 100.0,
                p.instructions,
                p.synaptic_ops,
                p.ram_bytes,
                p.flash_bytes,
                p.steps_mean,
                p.setting.max_counts,
                p.setting.clips,
                p.setting.balance,
                p.setting.input_bits,
                if chosen { "  <- chosen" } else { "" }
            )?;
        }
        if self.front.len() > SHOWN {
            writeln!(f, "  and {} dearer ones", self.front.len() - SHOWN)?;
        }
        if self.scalar {
            writeln!(
                f,
                "the error is {:.2} % of the output's standard deviation ({} {:.2} %)",
                self.chosen.risk * 100.0,
                if self.kept {
                    "within"
                } else {
                    "no candidate is within"
                },
                self.options.max_error * 100.0
            )?;
        } else {
            self.explain_drop(f)?;
        }
        let (spiking, dense) = (self.chosen.instructions, self.dense_instructions);
        let name = self.options.target.name;
        if spiking < dense {
            write!(
                f,
                "predicted {spiking:.0} instructions on {name}; computing everything in int8 would take \
                 about {dense:.0}, {:.1} times as many",
                dense / spiking
            )
        } else {
            write!(
                f,
                "predicted {spiking:.0} instructions on {name}: computing everything in int8 would be \
                 cheaper, about {dense:.0}. Spikes do not pay for this network at this accuracy"
            )
        }
    }
}

impl Tuning {
    /// The certainty that the drop stays within the bound.
    fn explain_drop(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labelled = self.float_accuracy.is_some();
        let (paired, drop) = (&self.chosen.paired, self.chosen.drop(labelled));
        let bound = self.options.max_drop * 100.0;
        writeln!(
            f,
            "expected drop {:.2} points with a standard error of {:.2}: {:+.2} was counted ({} samples lost, {} gained), \
             {:+.2} follows from the margins of all {}",
            drop.expected * 100.0,
            drop.error * 100.0,
            paired.drop() * 100.0,
            paired.lost,
            paired.gained,
            self.chosen.lost * 100.0,
            paired.samples
        )?;
        if !labelled {
            writeln!(
                f,
                "without labels each class that changes is taken for half a loss, since a network that is torn between two \
                 classes is often wrong"
            )?;
        }
        let exceeds = drop.risk(self.options.max_drop) * 100.0;
        if self.kept {
            writeln!(
                f,
                "the chance that it exceeds {bound:.2} is {exceeds:.0} %. It is somewhat larger, as this is the best of \
                 many, and if the network was trained on these samples"
            )?;
        } else {
            writeln!(
                f,
                "no candidate stays within {bound:.2} points with a certainty of nine in ten on {} samples; this one comes \
                 closest (a chance of {exceeds:.0} % to exceed it). More calibration samples make the standard error smaller",
                paired.samples
            )?;
        }
        Ok(())
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Fisher and Yates's shuffle.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_that_of_a_paired_difference() {
        let paired = Paired {
            samples: 1000,
            lost: 9,
            gained: 4,
        };
        assert!((paired.drop() - 0.005).abs() < 1e-12);
        // sqrt((14/1000 - 0.005²) / 1000)
        assert!((paired.error() - 0.003_738_315).abs() < 1e-8);
        let equal = Paired {
            samples: 50,
            lost: 0,
            gained: 0,
        };
        assert!(equal.error() > 0.0, "no certainty from 50 samples");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_repeats_for_a_seed() {
        let shuffled = |seed| {
            let mut items: Vec<usize> = (0..100).collect();
            Random(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(3), shuffled(3));
        assert_ne!(shuffled(3), shuffled(4));
        let mut sorted = shuffled(3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
