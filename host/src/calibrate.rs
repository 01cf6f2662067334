//! Graph + samples → Calibration: which values the inputs and activations take.
//!
//! The float network runs on real inputs, and each population's activations fill a logarithmic
//! histogram: one pass, bounded memory, any number of samples. If there are no samples, bounds
//! follow from the weights; they are far wider than what a network does in practice.

use rayon::prelude::*;

use crate::data::{DataSet, Evenly};
use crate::graph::{Graph, Source, Target};
use crate::ops::OpsError;

/// The bins of one octave: neighbours differ by 2.2 %.
const BINS_PER_OCTAVE: usize = 32;
/// The smallest exponent with bins of its own; what is smaller counts as zero.
const MIN_EXPONENT: i32 = -24;
const OCTAVES: usize = 48;
const BINS: usize = BINS_PER_OCTAVE * OCTAVES;
/// Samples that run at once.
pub const BATCH: usize = 16;
/// Batches whose observations are kept until they are added up.
const BATCHES: usize = 64;

/// Inputs for calibration: for each input of the graph, `count` samples one after another.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The values, input by input.
    pub inputs: Vec<Vec<f32>>,
    /// Number of samples.
    pub count: usize,
}

impl Samples {
    /// Samples whose values for several inputs, of these sizes, lie one behind the other as if there were
    /// one input. Others stay as they are.
    #[must_use]
    pub fn split(self, sizes: &[usize]) -> Self {
        let [values] = self.inputs.as_slice() else {
            return self;
        };
        let size: usize = sizes.iter().sum();
        if sizes.len() < 2 || values.len() != size * self.count {
            return self;
        }
        let mut start = 0;
        let inputs = sizes.iter().map(|part| {
            let range = start..start + part;
            start = range.end;
            let parts = values
                .chunks_exact(size)
                .map(|sample| &sample[range.clone()]);
            parts.flatten().copied().collect()
        });
        Self {
            inputs: inputs.collect(),
            count: self.count,
        }
    }

    /// The values of each input.
    pub(crate) fn slices(&self) -> Vec<&[f32]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }
}

/// Calibration samples that can be gone through again and again, a block at a time.
pub trait Blocks {
    /// Hands over all blocks, in order.
    ///
    /// # Errors
    /// [`CalibrateError`] if samples cannot be read; what `visit` returns.
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError>;

    /// All samples in memory, as tuning needs them; `None` if they are read block by block.
    fn set(&self) -> Option<&DataSet> {
        None
    }
}

impl Blocks for DataSet {
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        visit(&Samples {
            inputs: vec![self.to_floats()],
            count: self.len(),
        })
    }

    fn set(&self) -> Option<&DataSet> {
        Some(self)
    }
}

impl Blocks for Samples {
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        visit(self)
    }
}

/// The samples of a file, read again each time; for a network with one input.
#[derive(Clone, Debug)]
pub struct FileBlocks {
    /// The file, of any format that [`data::load`](crate::data::load) reads.
    pub path: std::path::PathBuf,
    /// The float that one unit of a byte stands for; `None` for what the file says.
    pub byte_scale: Option<f32>,
    /// Most samples that are used, at even distances; `None` for all.
    pub limit: Option<usize>,
}

/// Samples of a block.
const BLOCK: usize = BATCH * BATCHES;
/// Values of a block, so that large samples come in smaller blocks.
const BLOCK_VALUES: usize = 1 << 24;

impl FileBlocks {
    /// Hands over all blocks as data sets, in order.
    ///
    /// # Errors
    /// [`CalibrateError::Data`], if the file cannot be read; what `visit` returns.
    pub fn for_each_set(
        &self,
        visit: &mut dyn FnMut(DataSet) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        let about = crate::data::about(&self.path)?;
        let size = about.shape.iter().product::<usize>().max(1);
        let block = (BLOCK_VALUES / size)
            .clamp(1, BLOCK)
            .next_multiple_of(BATCH);
        let mut evenly = Evenly::new(self.limit.unwrap_or(usize::MAX));
        crate::data::read_blocks(&self.path, block, &mut |about, block| {
            let Some(mut block) = block.select(&evenly.of_block(about.count, block.len())) else {
                return Ok(());
            };
            if let Some(scale) = self.byte_scale {
                block = block.with_byte_scale(scale);
            }
            visit(block)
        })?;
        Ok(())
    }
}

impl Blocks for FileBlocks {
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        self.for_each_set(&mut |set| set.for_each(visit))
    }
}

/// Ranges of activations that were observed, or bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The range of each input.
    pub inputs: Vec<Range>,
    /// Values of each input's channels, which lie along its last axis; none if there were no samples.
    pub channels: Vec<Vec<InputChannel>>,
    /// The activations of each population.
    pub populations: Vec<Activations>,
    /// The least and the largest potential of each current-based neuron before resets, by population; empty if it
    /// is not known.
    pub potentials: Vec<Vec<[f32; 2]>>,
    /// Samples that it rests on; 0 for bounds from the weights.
    pub samples: usize,
}

/// The least and the largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f32,
    /// The largest.
    pub max: f32,
}

/// Values of one channel of an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputChannel {
    /// The range.
    pub range: Range,
    /// Number of values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl InputChannel {
    const NOTHING: Self = Self {
        range: Range::NOTHING,
        count: 0,
        sum: 0.0,
        squares: 0.0,
    };

    fn add(&mut self, value: f32) {
        self.range.add(value);
        self.count += 1;
        self.sum += f64::from(value);
        self.squares += f64::from(value) * f64::from(value);
    }

    /// The variance of its values.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        (self.squares / count - mean * mean).max(0.0)
    }
}

impl Range {
    const NOTHING: Self = Self {
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
    };

    fn add(&mut self, value: f32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

/// The distribution of a population's activations.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// The largest activation.
    pub max: f32,
    /// Activations that were zero, or too small to matter.
    pub zeros: u64,
    /// Activations of each channel.
    pub channels: Vec<Channel>,
    /// Activations in each bin; empty for bounds from the weights.
    bins: Vec<u64>,
}

/// The activations of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Channel {
    /// The largest.
    pub max: f32,
    /// Activations above zero.
    pub active: u64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Activations {
    fn new(channels: usize) -> Self {
        Self {
            max: 0.0,
            zeros: 0,
            channels: vec![Channel::default(); channels],
            bins: vec![0; BINS],
        }
    }

    fn add(&mut self, activations: &[f32]) {
        for neurons in activations.chunks(self.channels.len().max(1)) {
            for (&a, channel) in neurons.iter().zip(&mut self.channels) {
                match bin(a) {
                    Some(at) => {
                        self.bins[at] += 1;
                        channel.max = channel.max.max(a);
                        channel.active += 1;
                        channel.squares += f64::from(a) * f64::from(a);
                    }
                    None => self.zeros += 1,
                }
            }
        }
        self.max = self.channels.iter().map(|c| c.max).fold(0.0, f32::max);
    }

    fn merge(&mut self, other: &Self) {
        self.max = self.max.max(other.max);
        self.zeros += other.zeros;
        for (a, b) in self.channels.iter_mut().zip(&other.channels) {
            a.max = a.max.max(b.max);
            a.active += b.active;
            a.squares += b.squares;
        }
        for (a, b) in self.bins.iter_mut().zip(&other.bins) {
            *a += b;
        }
    }

    /// The share of activations above zero.
    #[must_use]
    pub fn density(&self) -> f64 {
        let active: u64 = self.bins.iter().sum();
        active as f64 / (active + self.zeros).max(1) as f64
    }

    /// The activation that a share `q` of those above zero does not exceed, in the histogram's
    /// resolution of 2.2 %; the bound itself without observations.
    #[must_use]
    pub fn percentile(&self, q: f64) -> f32 {
        let active: u64 = self.bins.iter().sum();
        let wanted = q.clamp(0.0, 1.0) * active as f64;
        let mut seen = 0;
        for (at, n) in self.bins.iter().enumerate() {
            seen += n;
            if *n > 0 && seen as f64 >= wanted {
                return (centre(at) as f32).min(self.max);
            }
        }
        self.max
    }

    /// The share of activations above `clip`, in the histogram's resolution.
    #[must_use]
    pub fn share_above(&self, clip: f64) -> f64 {
        let all: u64 = self.zeros + self.bins.iter().sum::<u64>();
        let bins = self.bins.iter().enumerate();
        let above: u64 = bins.filter(|b| centre(b.0) > clip).map(|b| b.1).sum();
        above as f64 / all.max(1) as f64
    }

    /// The largest representable activation (the clip) that gives the least mean squared error when
    /// activations are rounded to `levels` equal steps from zero to it.
    ///
    /// Rounding costs at most half a step; what lies above the clip is cut off. Without observations
    /// this is the bound itself.
    #[must_use]
    pub fn best_clip(&self, levels: u32) -> f32 {
        let levels = f64::from(levels.max(1));
        let occupied: Vec<(f64, f64)> = self
            .bins
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(|(at, n)| (centre(at), *n as f64))
            .collect();
        let Some(&(top, _)) = occupied.last() else {
            return self.max;
        };
        let error = |clip: f64| -> f64 {
            let step = clip / levels;
            occupied
                .iter()
                .map(|&(a, n)| {
                    let shown = (a / step).round().min(levels) * step;
                    n * (a - shown) * (a - shown)
                })
                .sum()
        };
        // From the largest activation down to 1/16 of it, in the histogram's own resolution.
        let candidates =
            (0..BINS_PER_OCTAVE * 4).map(|k| top * f64::exp2(-(k as f64) / BINS_PER_OCTAVE as f64));
        let best = candidates
            .map(|clip| (clip, error(clip)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(self.max, |(clip, _)| clip as f32)
    }
}

fn bin(a: f32) -> Option<usize> {
    if a <= 0.0 {
        return None;
    }
    let position = (f64::from(a).log2() - f64::from(MIN_EXPONENT)) * BINS_PER_OCTAVE as f64;
    (position >= 0.0).then(|| (position as usize).min(BINS - 1))
}

fn centre(bin: usize) -> f64 {
    f64::exp2((bin as f64 + 0.5) / BINS_PER_OCTAVE as f64 + f64::from(MIN_EXPONENT))
}

/// Reason for a failed calibration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// No samples.
    #[error("there are no calibration samples")]
    NoSamples,
    /// The data does not fit the network's inputs.
    #[error(
        "a sample of the calibration data has {found} values, the network's input {input:?} has {expected}"
    )]
    Input {
        /// The input.
        input: String,
        /// Values in a sample.
        expected: usize,
        /// Values in a sample that was given.
        found: usize,
    },
    /// The data has not as many arrays as the network has inputs.
    #[error("the network has {expected} inputs, the calibration data has {found}")]
    Inputs {
        /// The network's inputs.
        expected: usize,
        /// The data's arrays.
        found: usize,
    },
    /// Samples of a network of current-based neurons that are no steps of its input.
    #[error(
        "a sample of the calibration data has {found} values, which are no steps of the network's only input of {expected}"
    )]
    Steps {
        /// Values in a step.
        expected: usize,
        /// Values in a sample that was given.
        found: usize,
    },
    /// An activation is infinite or not a number.
    #[error("layer {layer:?}: an activation is not finite; look for a huge weight or input")]
    NotFinite {
        /// The population.
        layer: String,
    },
    /// The samples' file cannot be read.
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// The graph is inconsistent.
    #[error(transparent)]
    Ops(#[from] OpsError),
}

/// Runs the float network on all samples. `progress` is told how many more samples are done.
///
/// # Errors
/// [`CalibrateError`] if the samples do not fit the network, or an activation is not finite.
pub fn calibrate(
    graph: &Graph,
    samples: &Samples,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Calibration, CalibrateError> {
    calibrate_blocks(graph, samples, progress)
}

/// Runs the float network on all blocks. `progress` is told how many more samples are done.
///
/// # Errors
/// [`CalibrateError`] if samples cannot be read or do not fit the network, or an activation is not finite.
pub fn calibrate_blocks(
    graph: &Graph,
    blocks: &dyn Blocks,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Calibration, CalibrateError> {
    calibrate_keeping(graph, blocks, 0, progress).map(|(calibration, _)| calibration)
}

/// Calibrates as [`calibrate_blocks`] does, for samples whose values for several inputs may lie one behind the
/// other; also returns at most `keep` samples at even distances, so that nobody has to read them again.
///
/// # Errors
/// As [`calibrate_blocks`].
pub(crate) fn calibrate_keeping(
    graph: &Graph,
    blocks: &dyn Blocks,
    keep: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Calibration, Samples), CalibrateError> {
    let sizes = graph.input_sizes();
    let mut observer = Observer::new(graph);
    let mut kept = Kept::new(keep, &sizes);
    blocks.for_each(&mut |block| {
        let split;
        let block = if sizes.len() > 1 && block.inputs.len() == 1 {
            split = block.clone().split(&sizes);
            &split
        } else {
            block
        };
        observer.observe(block, progress)?;
        kept.add(block);
        Ok(())
    })?;
    Ok((observer.finish()?, kept.finish()))
}

/// Samples at even distances of a series whose length nobody knows before its end: every one, every second, every
/// fourth and so on, as more come.
struct Kept<'a> {
    most: usize,
    sizes: &'a [usize],
    /// The distance of those that are kept.
    stride: usize,
    seen: usize,
    samples: Vec<Vec<Vec<f32>>>,
}

impl<'a> Kept<'a> {
    fn new(most: usize, sizes: &'a [usize]) -> Self {
        Self {
            most,
            sizes,
            stride: 1,
            seen: 0,
            samples: Vec::new(),
        }
    }

    fn add(&mut self, block: &Samples) {
        if self.most == 0 {
            return;
        }
        for at in 0..block.count {
            if self.seen.is_multiple_of(self.stride) {
                let inputs = block.inputs.iter().zip(self.sizes);
                let own = inputs.map(|(x, size)| x[at * size..(at + 1) * size].to_vec());
                self.samples.push(own.collect());
                if self.samples.len() == 2 * self.most {
                    self.stride *= 2;
                    let mut at = 0;
                    self.samples.retain(|_| {
                        at += 1;
                        at % 2 == 1
                    });
                }
            }
            self.seen += 1;
        }
    }

    fn finish(self) -> Samples {
        let count = self.samples.len().min(self.most);
        let mut inputs = vec![Vec::new(); self.sizes.len()];
        for k in 0..count {
            let sample = &self.samples[k * self.samples.len() / count];
            for (kept, values) in inputs.iter_mut().zip(sample) {
                kept.extend(values);
            }
        }
        Samples { inputs, count }
    }
}

/// The ranges of inputs alone, which is all that an exact network needs to know.
///
/// # Errors
/// [`CalibrateError`], if samples cannot be read or do not fit the network.
pub(crate) fn input_ranges(
    graph: &Graph,
    blocks: &dyn Blocks,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Calibration, CalibrateError> {
    let inputs = Graph {
        populations: Vec::new(),
        outputs: Vec::new(),
        links: Vec::new(),
        ..graph.clone()
    };
    let (calibration, _) = calibrate_keeping(&inputs, blocks, 0, progress)?;
    if let Some(at) = calibration
        .inputs
        .iter()
        .position(|r| !(r.min.is_finite() && r.max.is_finite()))
    {
        return Err(CalibrateError::NotFinite {
            layer: graph.inputs[at].label.clone(),
        });
    }
    Ok(calibration)
}

impl Calibration {
    /// Inputs between 0 and their largest value, and nothing known of populations.
    pub(crate) fn of_inputs(graph: &Graph, largest: &[f32]) -> Self {
        Self {
            inputs: ranges(graph, largest).collect(),
            channels: Vec::new(),
            populations: Vec::new(),
            potentials: Vec::new(),
            samples: 0,
        }
    }
}

/// Calibration a block of samples at a time.
///
/// What it keeps does not grow with the samples. Blocks of a multiple of [`BATCH`] samples give to the
/// bit what all samples in one block give.
#[derive(Clone, Debug)]
pub struct Observer<'a> {
    graph: &'a Graph,
    seen: Calibration,
}

impl<'a> Observer<'a> {
    /// An observer that has seen nothing.
    #[must_use]
    pub fn new(graph: &'a Graph) -> Self {
        let populations = graph.populations.iter();
        let channels = graph.inputs.iter().map(|input| {
            let channels = input.shape.last().copied().unwrap_or(1);
            vec![InputChannel::NOTHING; channels]
        });
        Self {
            graph,
            seen: Calibration {
                inputs: vec![Range::NOTHING; graph.inputs.len()],
                channels: channels.collect(),
                populations: populations.map(|p| Activations::new(p.channels)).collect(),
                potentials: Vec::new(),
                samples: 0,
            },
        }
    }

    /// Runs the float network on some samples. `progress` is told how many more are done.
    ///
    /// # Errors
    /// [`CalibrateError`] if the samples do not fit the network, or an activation is not finite.
    pub fn observe(
        &mut self,
        samples: &Samples,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), CalibrateError> {
        let graph = self.graph;
        check(graph, samples)?;
        let starts: Vec<usize> = (0..samples.count).step_by(BATCH).collect();
        // Sums are taken in the samples' order, whichever thread is the first.
        for starts in starts.chunks(BATCHES) {
            let parts = starts
                .par_iter()
                .map(|&start| {
                    let count = BATCH.min(samples.count - start);
                    let part = observed(graph, &batch_of(graph, samples, start, count), count)?;
                    progress(count as u64);
                    Ok(part)
                })
                .collect::<Result<Vec<_>, CalibrateError>>()?;
            for part in &parts {
                for (all, part) in self.seen.populations.iter_mut().zip(part) {
                    all.merge(part);
                }
            }
        }
        let inputs = self.seen.inputs.iter_mut().zip(&mut self.seen.channels);
        for ((range, channels), values) in inputs.zip(&samples.inputs) {
            for values in values.chunks(channels.len().max(1)) {
                for (channel, value) in channels.iter_mut().zip(values) {
                    channel.add(*value);
                }
            }
            for channel in channels {
                range.add(channel.range.min);
                range.add(channel.range.max);
            }
        }
        self.seen.samples += samples.count;
        Ok(())
    }

    /// Returns the observed ranges.
    ///
    /// # Errors
    /// [`CalibrateError`] if there were no samples.
    pub fn finish(self) -> Result<Calibration, CalibrateError> {
        if self.seen.samples == 0 {
            return Err(CalibrateError::NoSamples);
        }
        Ok(self.seen)
    }
}

/// The activations of each population for a batch of inputs.
fn observed(
    graph: &Graph,
    inputs: &[&[f32]],
    count: usize,
) -> Result<Vec<Activations>, CalibrateError> {
    let values = forward(graph, inputs, count)?;
    values
        .populations
        .iter()
        .zip(&graph.populations)
        .map(|(activations, population)| {
            if activations.iter().any(|a| !a.is_finite()) {
                return Err(CalibrateError::NotFinite {
                    layer: population.label.clone(),
                });
            }
            let mut histogram = Activations::new(population.channels);
            histogram.add(activations);
            Ok(histogram)
        })
        .collect()
}

fn check(graph: &Graph, samples: &Samples) -> Result<(), CalibrateError> {
    if samples.count == 0 {
        return Err(CalibrateError::NoSamples);
    }
    if samples.inputs.len() != graph.inputs.len() {
        return Err(CalibrateError::Inputs {
            expected: graph.inputs.len(),
            found: samples.inputs.len(),
        });
    }
    for (values, input) in samples.inputs.iter().zip(&graph.inputs) {
        if Some(values.len()) != input.size().checked_mul(samples.count) {
            return Err(CalibrateError::Input {
                input: input.label.clone(),
                expected: input.size(),
                found: values.len() / samples.count,
            });
        }
    }
    Ok(())
}

/// The inputs of `count` samples from `start` on.
pub(crate) fn batch_of<'a>(
    graph: &Graph,
    samples: &'a Samples,
    start: usize,
    count: usize,
) -> Vec<&'a [f32]> {
    graph
        .inputs
        .iter()
        .zip(&samples.inputs)
        .map(|(input, values)| &values[start * input.size()..(start + count) * input.size()])
        .collect()
}

/// Values of a float run of the graph.
#[derive(Clone, Debug)]
pub struct Values {
    /// The activations of each population, sample after sample.
    pub populations: Vec<Vec<f32>>,
    /// The values of each output, sample after sample.
    pub outputs: Vec<Vec<f32>>,
}

/// The float network's answer to a batch of inputs.
///
/// # Errors
/// [`OpsError`] if lengths do not match.
pub fn forward(graph: &Graph, inputs: &[&[f32]], batch: usize) -> Result<Values, OpsError> {
    let mut values = Values {
        populations: graph
            .populations
            .iter()
            .map(|p| repeat(&p.bias, p.size_in() * batch))
            .collect(),
        outputs: graph
            .outputs
            .iter()
            .map(|o| repeat(&o.bias, o.bias.len() * batch))
            .collect(),
    };
    let mut links = graph.links.iter().peekable();
    while let Some(link) = links.next_if(|l| matches!(l.pre, Source::Input(_))) {
        if let Source::Input(i) = link.pre {
            send(link, inputs[i], batch, &mut values)?;
        }
    }
    for at in 0..graph.populations.len() {
        let currents = std::mem::take(&mut values.populations[at]);
        let own = graph.populations[at].activations(currents);
        while let Some(link) = links.next_if(|l| l.pre == Source::Population(at)) {
            send(link, &own, batch, &mut values)?;
        }
        values.populations[at] = own;
    }
    Ok(values)
}

fn repeat(bias: &[f32], len: usize) -> Vec<f32> {
    bias.iter().copied().cycle().take(len).collect()
}

fn send(
    link: &crate::graph::Link,
    x: &[f32],
    batch: usize,
    values: &mut Values,
) -> Result<(), OpsError> {
    let y = match link.post {
        Target::Population(p) => &mut values.populations[p],
        Target::Output(o) => &mut values.outputs[o],
    };
    link.apply_batch(batch, x, y)
}

/// The range of each input between 0 and its largest value, which is 1 unless stated.
fn ranges(graph: &Graph, largest: &[f32]) -> impl Iterator<Item = Range> {
    let largest = largest.iter().copied().chain(std::iter::repeat(1.0));
    largest
        .take(graph.inputs.len())
        .map(|max| Range { min: 0.0, max })
}

/// Bounds that follow from the weights alone, for inputs between 0 and their `largest` value, which is 1 unless stated.
///
/// Each neuron's largest activation is bounded by the sum of its positive weights times the bound of
/// its sources. The bounds hold for every input, and widen with every layer.
///
/// # Errors
/// [`OpsError`] if the graph is inconsistent.
pub fn bounds_from_weights(graph: &Graph, largest: &[f32]) -> Result<Calibration, OpsError> {
    let positive = Graph {
        links: graph
            .links
            .iter()
            .map(|l| crate::graph::Link {
                map: l.map.map(|w| w.max(0.0)),
                ..l.clone()
            })
            .collect(),
        ..graph.clone()
    };
    let ranges: Vec<Range> = ranges(graph, largest).collect();
    let inputs = graph.inputs.iter().zip(&ranges);
    let highest: Vec<Vec<f32>> = inputs.map(|(i, r)| vec![r.max; i.size()]).collect();
    let inputs: Vec<&[f32]> = highest.iter().map(Vec::as_slice).collect();
    let values = forward(&positive, &inputs, 1)?;
    Ok(Calibration {
        inputs: ranges,
        channels: Vec::new(),
        populations: values
            .populations
            .iter()
            .zip(&graph.populations)
            .map(|(a, p)| Activations {
                max: a.iter().copied().fold(0.0, f32::max),
                zeros: 0,
                channels: a.chunks(p.channels.max(1)).fold(
                    vec![Channel::default(); p.channels],
                    |mut channels, neurons| {
                        for (channel, a) in channels.iter_mut().zip(neurons) {
                            channel.max = channel.max.max(*a);
                        }
                        channels
                    },
                ),
                bins: Vec::new(),
            })
            .collect(),
        potentials: Vec::new(),
        samples: 0,
    })
}
