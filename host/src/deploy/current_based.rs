//! Current-based networks in integers: the ranges of their states, and the choice of what is cut off.

use std::cmp::Reverse;

use crate::assemble::assemble;
use crate::calibrate::{Blocks, CalibrateError, Calibration, Samples, input_ranges};
use crate::data::{self, DataSet};
use crate::graph::{Dense, Graph, LinearMap, SourceMap, Target};
use crate::integers;
use crate::judge;
use crate::lower::device_places;
use crate::network::Network;
use crate::neuron::cuba_lif;
use crate::quantize::{LayerOptions, QuantizeOptions, quantize};
use crate::simulate::{Input, InputData, ProbeData, Readout, SimulateOptions, Simulator, widen};
use crate::stream::{self, StreamOptions};
use crate::tensor::Tensor;

use super::error::DeployError;

/// Shares of the potentials below zero that states hold; what is left out makes room for finer steps.
const CLIPS: [f64; 6] = [1.0, 0.5, 1.0 / 3.0, 0.2, 0.1, 0.05];
/// The largest byte.
const BYTES: f32 = 255.0;
/// Samples on which they are compared.
const COMPARED: usize = 128;
/// Samples whose potentials are looked at.
const LOOKED_AT: usize = 256;

/// Tells whether a graph has current-based neurons.
pub(super) fn is_current_based(graph: &Graph) -> bool {
    graph.populations.iter().any(cuba_lif::is_current_based)
}

/// Samples over time of the network's only input.
struct Recording {
    input: Input,
    items: usize,
    steps: usize,
}

impl Recording {
    /// Samples of a block, with as many steps as they have values for; those without time are shown for `steps`.
    fn of(
        network: &Network,
        graph: &Graph,
        samples: &Samples,
        most: usize,
        steps: usize,
    ) -> Option<Self> {
        let sizes = graph.input_sizes();
        let items = samples.count.min(most);
        let [values] = samples.inputs.as_slice() else {
            return None;
        };
        let [size] = *sizes.as_slice() else {
            return None;
        };
        let each = values.len().checked_div(samples.count)?;
        let is_static = each == size;
        if size == 0 || each == 0 || !each.is_multiple_of(size) {
            return None;
        }
        let values = values.get(..items * each)?.to_vec();
        let (_, node) = network.inputs.first()?;
        let data = match is_static {
            true => InputData::Static(Tensor::new(vec![items, size], values)?),
            false => InputData::Steps(Tensor::new(vec![items, each / size, size], values)?),
        };
        Some(Self {
            input: Input {
                name: network.nodes.get(node.0)?.label.clone(),
                data,
            },
            items,
            steps: if is_static { steps } else { each / size },
        })
    }

    /// The same for the engine.
    fn set(&self) -> Option<DataSet> {
        let tensor = self.input.data.tensor();
        let shape = tensor.shape().get(1..)?.to_vec();
        DataSet::new(shape, data::Samples::F32(tensor.data().to_vec()), None)
    }
}

/// Values of an output from which on a matrix of ones is not worth its flash.
const SMALL: usize = 64;

/// The graph in which small outputs of neurons themselves have a matrix, whose rows kernels add fast.
pub(super) fn with_small_outputs(mut graph: Graph) -> Graph {
    for link in &mut graph.links {
        let LinearMap::Convolution(c) = &link.map else {
            continue;
        };
        let [height, width, size] = c.input;
        let alone = c.kernel.shape() == [1, 1, 1, size] && c.groups == size && c.first == 0;
        let plain = link.source == SourceMap::Direct && c.output == c.input && c.stride == [1, 1];
        if !alone || !plain || height * width != 1 || size > SMALL {
            continue;
        }
        if let Target::Output(_) = link.post {
            let weight = |at: usize| match at / size == at % size {
                true => c.kernel.data()[at % size],
                false => 0.0,
            };
            let weights = (0..size * size).map(weight).collect();
            if let Some(weights) = Tensor::new(vec![size, size], weights) {
                link.map = LinearMap::Dense(Dense { weights, first: 0 });
            }
        }
    }
    graph
}

/// The network in integers, and the ranges that were observed. Samples without an axis of time are shown for the
/// settings' steps. Of the ranges that states may hold, and of scales for each neuron or for all, those are taken with
/// which the image spikes most like the network on the calibration's samples.
///
/// # Errors
/// [`DeployError`], if the samples do not fit, or the network does not fit an image.
pub(super) fn quantized(
    network: &Network,
    graph: &Graph,
    settings: &QuantizeOptions,
    blocks: Option<&dyn Blocks>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(integers::Network, Calibration), DeployError> {
    let steps = settings.steps.into();
    let settings = QuantizeOptions {
        steps: 0,
        ..settings.clone()
    };
    let Some(blocks) = blocks else {
        let calibration = Calibration::of_inputs(graph, &vec![BYTES; graph.inputs.len()]);
        return Ok((quantize(graph, &calibration, &settings)?, calibration));
    };
    let simulator = Simulator::new(
        network,
        &SimulateOptions {
            dt: settings.dt,
            ..SimulateOptions::default()
        },
    )?;
    let mut potentials: Vec<Vec<[f32; 2]>> = vec![Vec::new(); graph.populations.len()];
    let mut first: Option<(Recording, ProbeData)> = None;
    let mut left = LOOKED_AT;
    let mut failed = None;
    blocks.for_each(&mut |samples| {
        if left == 0 || failed.is_some() {
            return Ok(());
        }
        let Some(recording) = Recording::of(network, graph, samples, left, steps) else {
            return Err(CalibrateError::Steps {
                expected: graph.input_sizes().iter().sum(),
                found: samples.inputs.iter().map(Vec::len).sum::<usize>() / samples.count.max(1),
            });
        };
        left -= recording.items;
        match simulator.predict(std::slice::from_ref(&recording.input), recording.steps) {
            Ok(run) => {
                for (seen, population) in potentials.iter_mut().zip(&graph.populations) {
                    let Some(id) = population.ensemble else {
                        continue;
                    };
                    // A population's neurons have another order.
                    let reached = &run.ensembles[id.0].reached;
                    let places = device_places(&network.ensembles[id.0]);
                    widen(
                        seen,
                        places.iter().filter_map(|&at| reached.get(at).copied()),
                    );
                }
                if first.is_none() {
                    let output = run.probes.into_iter().next();
                    first = output.map(|output| (recording, output));
                }
            }
            Err(error) => failed = Some(error),
        }
        Ok(())
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut calibration = Calibration {
        potentials,
        ..input_ranges(graph, &OverTime { blocks, graph }, progress)?
    };
    if let Some(grid) = grid(blocks)?
        && let [range] = calibration.inputs.as_mut_slice()
        && (range.max.max(0.0) - range.min.min(0.0)) / grid <= BYTES
    {
        range.min = range.min.min(0.0);
        range.max = range.min + BYTES * grid;
        calibration.channels = Vec::new();
    }
    let sample = first.and_then(|(recording, wanted)| Some((recording.set()?, recording, wanted)));
    let Some((set, recording, wanted)) = sample else {
        return Ok((quantize(graph, &calibration, &settings)?, calibration));
    };
    let samples = 0..recording.items.min(COMPARED);
    let scored = |settings: &QuantizeOptions| -> Result<(Score, integers::Network), DeployError> {
        let network = quantize(graph, &calibration, settings)?;
        let image = assemble(&network)?;
        let run = stream::run(
            &image.image(),
            &set,
            samples.clone(),
            recording.steps,
            StreamOptions::default(),
        );
        // What calibrates the image fits it.
        let found = run.ok().and_then(|run| run.probes.into_iter().next());
        let readout = stream::readout(&image.image());
        let score = found.map_or(Score::default(), |found| score(&found, &wanted, readout));
        Ok((score, network))
    };
    let all = graph.populations.len();
    let mut layers = settings.layers.clone();
    layers.resize(layers.len().max(all), LayerOptions::default());
    let mut chosen = QuantizeOptions {
        layers: layers.clone(),
        ..settings
    };
    let mut best = scored(&chosen)?;
    let mut attempt = |settings: QuantizeOptions, chosen: &mut QuantizeOptions| {
        if settings == *chosen {
            return Ok(());
        }
        let found = scored(&settings)?;
        if found.0 > best.0 {
            best = found;
            *chosen = settings;
        }
        Ok::<_, DeployError>(())
    };
    // All layers alike first, then each on its own.
    for shared_scales in [false, true] {
        for clip in CLIPS {
            let settings = QuantizeOptions {
                shared_scales,
                layers: clipped(&layers, 0..all, clip),
                ..chosen.clone()
            };
            attempt(settings, &mut chosen)?;
        }
    }
    for layer in (0..all).filter(|_| all > 1) {
        for clip in CLIPS {
            let mut own = chosen.layers.clone();
            own[layer].clip = layers[layer].clip;
            let settings = QuantizeOptions {
                layers: clipped(&own, layer..layer + 1, clip),
                ..chosen.clone()
            };
            attempt(settings, &mut chosen)?;
        }
    }
    Ok((best.1, calibration))
}

/// Settings of layers of which some hold a share of their potentials below zero.
fn clipped(layers: &[LayerOptions], some: std::ops::Range<usize>, clip: f64) -> Vec<LayerOptions> {
    let mut layers = layers.to_vec();
    for own in layers.get_mut(some).into_iter().flatten() {
        own.clip *= clip;
    }
    layers
}

/// The largest power of two, at most 1, of which all values are multiples, so that bytes can hold them as they are.
fn grid(blocks: &dyn Blocks) -> Result<Option<f32>, CalibrateError> {
    let mut grid = Some(1.0f32);
    blocks.for_each(&mut |samples| {
        for value in samples.inputs.iter().flatten() {
            while let Some(step) = grid
                && (value / step).fract() != 0.0
            {
                grid = (step > 1.0 / BYTES).then_some(step / 2.0);
            }
        }
        Ok(())
    })?;
    Ok(grid)
}

/// Decisions that agree, and of as many the error of the results.
type Score = (usize, Reverse<u64>);

/// Agreement of an image's output with the network's: the more the better.
fn score(found: &ProbeData, wanted: &ProbeData, readout: Readout) -> Score {
    let (mut agree, mut error, mut largest) = (0, 0.0, f64::MIN_POSITIVE);
    for (found, wanted) in found.results(readout).zip(wanted.results(readout)) {
        let class = |results: &[f64]| judge::largest(results.iter().copied());
        agree += usize::from(class(&found) == class(&wanted));
        for (found, wanted) in found.iter().zip(&wanted) {
            error += (found - wanted).powi(2);
            largest = f64::max(largest, wanted.abs());
        }
    }
    let error = (error / (largest * largest) * 1e9).min(1e18);
    (agree, Reverse(error as u64))
}

/// Samples over time as samples of the inputs alone.
struct OverTime<'a> {
    blocks: &'a dyn Blocks,
    graph: &'a Graph,
}

impl Blocks for OverTime<'_> {
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Samples) -> Result<(), CalibrateError>,
    ) -> Result<(), CalibrateError> {
        let size: usize = self.graph.input_sizes().iter().sum();
        self.blocks.for_each(&mut |samples| {
            let values: usize = samples.inputs.iter().map(Vec::len).sum();
            visit(&Samples {
                inputs: samples.inputs.clone(),
                count: values.checked_div(size).unwrap_or(0),
            })
        })
    }
}
