//! Graph → Graph: biases that make up for what quantization does to each layer's mean input.
//!
//! Rounding to counts and clipping shift the mean of every source. A target sees that shift through
//! its weights; the bias of each of its channels takes back the mean over the channel's neurons. Layer
//! by layer from the input on, so that each layer is corrected for what the corrected ones before it do.

use rayon::prelude::*;
use tinyspike_firmware::{Event, Probe};

use crate::assemble::{AssembleError, Image, aligned_copy, assemble};
use crate::calibrate::{Calibration, forward};
use crate::data::DataSet;
use crate::emulate::{EmulateError, Encoder, HostEngine};
use crate::lower::{Graph, Source, Target};
use crate::ops::OpsError;
use crate::quantize::{QuantizeError, QuantizeOptions, Quantized, quantize};

/// Samples that one thread takes at a time.
const CHUNK: usize = 16;

/// Why biases cannot be corrected.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the stage of that name")]
#[non_exhaustive]
pub enum CorrectError {
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Emulate(#[from] EmulateError),
}

/// The mean value of every source.
#[derive(Clone, Debug, PartialEq)]
pub struct Means {
    /// Of each place of the only input.
    pub input: Vec<f64>,
    /// Of each neuron of each population.
    pub populations: Vec<Vec<f64>>,
}

/// The float network's means over a data set.
///
/// # Errors
/// Where the data does not fit the network.
pub fn float_means(graph: &Graph, data: &DataSet, byte_scale: f32) -> Result<Means, CorrectError> {
    let size = data.sample_size().max(1);
    let values = data.to_floats(byte_scale);
    let parts = values
        .par_chunks(CHUNK * size)
        .map(|x| {
            let batch = x.len() / size;
            let values = forward(graph, &[x], batch)?;
            let populations = values.populations.iter().zip(&graph.populations);
            Ok((
                column_sums(x, size),
                populations
                    .map(|(a, p)| column_sums(a, p.neurons))
                    .collect::<Vec<_>>(),
            ))
        })
        .collect::<Result<Vec<_>, OpsError>>()?;
    let mut means = Means {
        input: vec![0.0; size],
        populations: graph
            .populations
            .iter()
            .map(|p| vec![0.0; p.neurons])
            .collect(),
    };
    for (input, populations) in &parts {
        add(&mut means.input, input);
        for (sum, part) in means.populations.iter_mut().zip(populations) {
            add(sum, part);
        }
    }
    means.divide(data.len());
    Ok(means)
}

impl Means {
    fn divide(&mut self, by: usize) {
        let by = by.max(1) as f64;
        let all = self.populations.iter_mut().chain([&mut self.input]);
        all.flatten().for_each(|v| *v /= by);
    }
}

fn column_sums(values: &[f32], size: usize) -> Vec<f64> {
    let mut sums = vec![0.0; size];
    for row in values.chunks(size.max(1)) {
        for (sum, v) in sums.iter_mut().zip(row) {
            *sum += f64::from(*v);
        }
    }
    sums
}

fn add(sum: &mut [f64], part: &[f64]) {
    for (sum, v) in sum.iter_mut().zip(part) {
        *sum += v;
    }
}

/// What the quantized network shows in the mean over a data set, in the float network's units.
///
/// # Errors
/// Where the data does not fit the network.
pub fn quantized_means(
    network: &Quantized,
    data: &DataSet,
    byte_scale: f32,
) -> Result<Means, CorrectError> {
    let bytes = aligned_copy(&assemble(network)?);
    let image = Image::parse(&bytes).map_err(AssembleError::from)?;
    let encoder = Encoder::new(&image, data, byte_scale)?;
    let input = &network.inputs[0];
    let starts: Vec<usize> = (0..data.len()).step_by(CHUNK).collect();
    let parts = starts
        .par_iter()
        .map(|&from| {
            let mut arena = vec![0; image.arena_bytes() / 4];
            let mut counts = Counts {
                populations: network
                    .ensembles
                    .iter()
                    .map(|e| vec![0.0; e.neurons])
                    .collect(),
            };
            let mut sums = vec![0.0; input.size];
            let mut given = Vec::new();
            // The arena has the size that the image states.
            if let Ok(mut engine) = HostEngine::new(&image, &mut arena) {
                for i in from..(from + CHUNK).min(data.len()) {
                    let Some(sample) = data.sample(i) else { break };
                    encoder.encode(sample, &mut given);
                    for (sum, byte) in sums.iter_mut().zip(&given) {
                        *sum += input.scale * (f64::from(*byte) - f64::from(input.zero_point));
                    }
                    engine.reset();
                    engine.set_input(&given).map_err(EmulateError::from)?;
                    for _ in 0..network.steps {
                        engine.step_probed(&mut counts);
                    }
                }
            }
            Ok((sums, counts.populations))
        })
        .collect::<Result<Vec<_>, CorrectError>>()?;
    let mut means = Means {
        input: vec![0.0; input.size],
        populations: network
            .ensembles
            .iter()
            .map(|e| vec![0.0; e.neurons])
            .collect(),
    };
    for (input, populations) in &parts {
        add(&mut means.input, input);
        for (sum, part) in means.populations.iter_mut().zip(populations) {
            add(sum, part);
        }
    }
    for (counts, e) in means.populations.iter_mut().zip(&network.ensembles) {
        for v in counts {
            *v *= e.theta / f64::from(network.steps);
        }
    }
    means.divide(data.len());
    Ok(means)
}

struct Counts {
    populations: Vec<Vec<f64>>,
}

impl Probe for Counts {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        for e in events {
            self.populations[ensemble][usize::from(e.source)] += f64::from(e.value);
        }
    }
}

/// The graph with corrected biases, for a network that is quantized with `options`. `float` are the
/// float network's means over `data`.
///
/// # Errors
/// Where the network cannot be quantized, or the data does not fit.
pub fn correct_biases(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    float: &Means,
    data: &DataSet,
    byte_scale: f32,
) -> Result<Graph, CorrectError> {
    let mut corrected = graph.clone();
    for at in 0..=graph.populations.len() {
        let quantized = quantize(&corrected, calibration, options)?;
        let means = quantized_means(&quantized, data, byte_scale)?;
        if let Some(population) = corrected.populations.get_mut(at) {
            let shift = shift(
                graph,
                Target::Population(at),
                population.neurons,
                float,
                &means,
            )?;
            let channels = population.channels.max(1);
            let per_channel = (population.neurons / channels).max(1) as f32;
            for (neuron, s) in shift.iter().enumerate() {
                population.bias[neuron % channels] += s / per_channel;
            }
        } else {
            for (o, output) in corrected.outputs.iter_mut().enumerate() {
                let shift = shift(graph, Target::Output(o), output.bias.len(), float, &means)?;
                for (b, s) in output.bias.iter_mut().zip(shift) {
                    *b += s;
                }
            }
        }
    }
    Ok(corrected)
}

/// What a target of `size` misses in the mean: Σ W (float mean - quantized mean).
fn shift(
    graph: &Graph,
    target: Target,
    size: usize,
    float: &Means,
    quantized: &Means,
) -> Result<Vec<f32>, OpsError> {
    let mut y = vec![0.0; size];
    for link in graph.links.iter().filter(|l| l.post == target) {
        let (a, b) = match link.pre {
            Source::Input(_) => (&float.input, &quantized.input),
            Source::Population(p) => (&float.populations[p], &quantized.populations[p]),
        };
        let x: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a - b) as f32).collect();
        link.map.apply_batch(1, &x, &mut y)?;
    }
    Ok(y)
}
