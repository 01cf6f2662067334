//! Current-based networks in integers: the ranges of their states, and the choice of what is cut off.

use std::cmp::Reverse;

use crate::assemble::assemble;
use crate::calibrate::{Blocks, CalibrateError, Calibration, Samples, input_ranges};
use crate::data::{self, DataSet};
use crate::deploy::DeployError;
use crate::graph::{Dense, Graph, LinearMap, SourceMap, Target};
use crate::integers;
use crate::network::Network;
use crate::neuron::cuba_lif;
use crate::quantize::{LayerOptions, QuantizeOptions, quantize};
use crate::simulate::{Input, InputData, SimulateOptions, Simulator};
use crate::stream::{self, StreamOptions};
use crate::tensor::Tensor;

/// Shares of the potentials below zero that states hold; what is left out makes room for finer steps.
const CLIPS: [f64; 6] = [1.0, 0.5, 1.0 / 3.0, 0.2, 0.1, 0.05];
/// The largest byte.
const BYTES: f32 = 255.0;
/// Samples on which they are compared.
const COMPARED: usize = 128;
/// Samples whose potentials are looked at.
const LOOKED_AT: usize = 256;

/// Tells whether a graph has current-based neurons.
pub(crate) fn is_temporal(graph: &Graph) -> bool {
    graph.populations.iter().any(cuba_lif::is_current_based)
}

/// Samples over time, in the order of the network's inputs.
struct Recording {
    inputs: Vec<Input>,
    items: usize,
    steps: usize,
    /// The same for the engine.
    set: DataSet,
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
        let shape = |items| match is_static {
            true => vec![items, size],
            false => vec![items, each / size, size],
        };
        let set = DataSet::new(
            shape(items)[1..].to_vec(),
            data::Samples::F32(values.clone()),
            None,
        )?;
        let tensor = Tensor::new(shape(items), values)?;
        Some(Self {
            inputs: vec![Input {
                name: network.nodes.get(node.0)?.label.clone(),
                data: match is_static {
                    true => InputData::Static(tensor),
                    false => InputData::Steps(tensor),
                },
            }],
            items,
            steps: if is_static { steps } else { each / size },
            set,
        })
    }
}

/// Values of an output from which on a matrix of ones is not worth its flash.
const SMALL: usize = 64;

/// The graph in which small outputs of neurons themselves have a matrix, whose rows kernels add fast.
pub(crate) fn with_small_outputs(mut graph: Graph) -> Graph {
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
pub(crate) fn quantized(
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
    let mut first: Option<(Recording, Vec<f32>)> = None;
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
        match simulator.predict(&recording.inputs, recording.steps) {
            Ok(run) => {
                for (seen, population) in potentials.iter_mut().zip(&graph.populations) {
                    let data = population.ensemble.and_then(|id| run.ensembles.get(id.0));
                    let Some(data) = data else { continue };
                    widen(seen, &data.reached, network, population);
                }
                if first.is_none() {
                    let outputs = run.probes.into_iter().next();
                    let outputs = outputs.map(|p| p.values.data().to_vec());
                    first = Some((recording, outputs.unwrap_or_default()));
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
    let plain = quantize(graph, &calibration, &settings)?;
    let Some((recording, outputs)) = first else {
        return Ok((plain, calibration));
    };
    let all = graph.populations.len();
    let mut layers = settings.layers.clone();
    layers.resize(all, LayerOptions::default());
    let scored = |settings: &QuantizeOptions| -> Result<(Score, integers::Network), DeployError> {
        let network = quantize(graph, &calibration, settings)?;
        Ok((score(&network, &recording, &outputs)?, network))
    };
    let mut chosen = settings;
    let mut best = (score(&plain, &recording, &outputs)?, plain);
    let mut attempt = |settings: QuantizeOptions, chosen: &mut QuantizeOptions| {
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
    for layer in 0..all {
        for clip in CLIPS {
            let mut own = chosen.layers.clone();
            own.resize(all, LayerOptions::default());
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

/// Widens the extremes of a population by those of a network's ensemble, whose neurons have another order.
fn widen(
    seen: &mut Vec<[f32; 2]>,
    reached: &[[f32; 2]],
    network: &Network,
    population: &crate::graph::Population,
) {
    let Some(ensemble) = population
        .ensemble
        .and_then(|id| network.ensembles.get(id.0))
    else {
        return;
    };
    let places = crate::lower::device_places(ensemble);
    let ordered = places.iter().filter_map(|&at| reached.get(at).copied());
    if seen.is_empty() {
        seen.extend(ordered);
        return;
    }
    for ([low, high], [least, most]) in seen.iter_mut().zip(ordered) {
        (*low, *high) = (low.min(least), high.max(most));
    }
}

/// Decisions that agree, and of as many the error of the results.
type Score = (usize, Reverse<u64>);

/// Agreement of an image with the network: the more the better.
fn score(
    network: &integers::Network,
    recording: &Recording,
    outputs: &[f32],
) -> Result<Score, DeployError> {
    let image = assemble(network)?;
    let image = image.image();
    let items = recording.items.min(COMPARED);
    let run = stream::run(
        &image,
        &recording.set,
        0..items,
        recording.steps,
        StreamOptions::default(),
    );
    // What calibrates the image fits it.
    let Some(probe) = run.as_ref().ok().and_then(|run| run.probes.first()) else {
        return Ok((0, Reverse(0)));
    };
    let size = probe.values.shape().last().copied().unwrap_or(1).max(1);
    let all = recording.steps * size;
    let readout = stream::readout(&image);
    let (mut agree, mut error, mut largest) = (0, 0.0, f64::MIN_POSITIVE);
    for (found, wanted) in (probe.values.data().chunks(all.max(1))).zip(outputs.chunks(all.max(1)))
    {
        let class = |values: &[f32]| {
            let values = readout.of(values, size);
            let first = (0..values.len()).rev();
            first.max_by(|a, b| values[*a].total_cmp(&values[*b]))
        };
        agree += usize::from(class(found) == class(wanted));
        for (found, wanted) in readout.of(found, size).iter().zip(readout.of(wanted, size)) {
            error += (found - wanted).powi(2);
            largest = f64::max(largest, wanted.abs());
        }
    }
    let error = (error / (largest * largest) * 1e9).min(1e18);
    Ok((agree, Reverse(error as u64)))
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
