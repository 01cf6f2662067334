//! The line from a converted network to an image, on one page.

use crate::assemble::{AssembleError, assemble};
use crate::balance::balance;
use crate::calibrate::{
    Blocks, CalibrateError, Calibration, Samples, bounds_from_weights, calibrate_blocks, forward,
};
use crate::compensate::{CompensateError, Reference, compensate};
use crate::data::DataSet;
use crate::graph::Graph;
use crate::integers;
use crate::integrate::integrate_and_fire;
use crate::lower::{LowerError, lower};
use crate::network::Network;
use crate::ops::OpsError;
use crate::quantize::{QuantizeError, QuantizeOptions, WEIGHT_BITS, quantize};

/// How far channels are balanced unless somebody tunes it, see [`balance`](crate::balance).
const BALANCE: f64 = 0.5;
/// Samples that biases and roundings are fitted on.
const FITTED: usize = 256;

/// An image, and every stage on the way to it.
#[derive(Debug)]
pub struct Build {
    /// What of it is deployed, in floats; channels are balanced.
    pub graph: Graph,
    /// What was observed.
    pub calibration: Calibration,
    /// The network in integers.
    pub quantized: integers::Network,
    /// The packed image.
    pub image: Vec<u8>,
}

/// Which stage failed, and why.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the stage of that name")]
#[non_exhaustive]
pub enum BuildError {
    #[error("cannot deploy the network: {0}")]
    Lower(#[from] LowerError),
    #[error("cannot calibrate the network: {0}")]
    Calibrate(#[from] CalibrateError),
    #[error("cannot fit the quantized network: {0}")]
    Compensate(#[from] CompensateError),
    #[error("cannot quantize the network: {0}")]
    Quantize(#[from] QuantizeError),
    #[error("cannot pack the network: {0}")]
    Assemble(#[from] AssembleError),
}

/// Takes a converted network to an image.
///
/// Without `samples`, the ranges of activations are bounds from the weights, which can cost much
/// accuracy. `progress` is told how many more samples are done; they are gone through twice.
///
/// # Errors
/// The first stage that fails.
pub fn build(
    network: &Network,
    samples: Option<&Samples>,
    options: &QuantizeOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Build, BuildError> {
    build_from(
        network,
        samples.map(|s| s as &dyn Blocks),
        options,
        progress,
    )
}

/// Takes a converted network to an image, as [`build`] does, with samples that come block by block.
///
/// # Errors
/// The first stage that fails.
pub fn build_from(
    network: &Network,
    samples: Option<&dyn Blocks>,
    options: &QuantizeOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Build, BuildError> {
    let graph = integrate_and_fire(&lower(network)?)?;
    let Some(samples) = samples else {
        let calibration = bounds_from_weights(&graph).map_err(CalibrateError::from)?;
        let quantized = quantize(&graph, &calibration, options)?;
        let image = assemble(&quantized)?;
        return Ok(Build {
            graph,
            calibration,
            quantized,
            image,
        });
    };
    let calibration = calibrate_blocks(&graph, samples, progress)?;
    let graph = balance(&graph, &calibration, BALANCE).graph;
    let calibration = calibrate_blocks(&graph, samples, progress)?;
    let reference = Reference::new(&graph, first(samples, &graph)?)?;
    // With eight bits the nearest integers lose next to nothing, and a rounding that is fitted to the
    // samples costs classes that are rare among them.
    let round = options.weight_bits < WEIGHT_BITS;
    let quantized = match compensate(&graph, &calibration, options, &reference, round) {
        Err(CompensateError::Quantize(e)) => return Err(e.into()),
        compensated => compensated?.quantized,
    };
    let image = assemble(&quantized)?;
    Ok(Build {
        graph,
        calibration,
        quantized,
        image,
    })
}

/// The first samples.
fn first(samples: &dyn Blocks, graph: &Graph) -> Result<Samples, CalibrateError> {
    let mut all = Samples {
        inputs: vec![Vec::new(); graph.inputs.len()],
        count: 0,
    };
    samples.for_each(&mut |block| {
        let count = block.count.min(FITTED - all.count);
        for ((all, block), input) in all.inputs.iter_mut().zip(&block.inputs).zip(&graph.inputs) {
            all.extend(block.iter().take(count * input.size()));
        }
        all.count += count;
        Ok(())
    })?;
    Ok(all)
}

/// The first `limit` samples of a data set, for a network with one input; [`Samples::split`] makes those of
/// several of them.
#[must_use]
pub fn samples(data: &DataSet, limit: usize) -> Samples {
    let count = data.len().min(limit);
    let mut values = data.to_floats();
    values.truncate(count * data.sample_size());
    Samples {
        inputs: vec![values],
        count,
    }
}

/// The share of samples whose largest value of the first output is the label's, in the float network;
/// `None` without labels.
///
/// # Errors
/// Where the data does not fit the network.
pub fn float_accuracy(
    graph: &Graph,
    data: &DataSet,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Option<f64>, OpsError> {
    use rayon::prelude::*;
    const BATCH: usize = 32;
    let Some(labels) = data.labels() else {
        return Ok(None);
    };
    let values = data.to_floats();
    let size = data.sample_size();
    let correct = values
        .par_chunks(BATCH * size)
        .zip(labels.par_chunks(BATCH))
        .map(|(x, labels)| {
            let values = outputs(graph, x, labels.len())?;
            let classes = values.len() / labels.len();
            progress(labels.len() as u64);
            Ok(values
                .chunks(classes)
                .zip(labels)
                .filter(|(y, label)| argmax(y) == **label as usize)
                .count())
        })
        .try_reduce(|| 0, |a, b| Ok::<_, OpsError>(a + b))?;
    Ok(Some(correct as f64 / labels.len() as f64))
}

/// The first output of the float network for so many samples, of all inputs one behind the other.
pub(crate) fn outputs(graph: &Graph, x: &[f32], count: usize) -> Result<Vec<f32>, OpsError> {
    let samples = Samples {
        inputs: vec![x.to_vec()],
        count,
    };
    let samples = samples.split(&graph.input_sizes());
    Ok(forward(graph, &samples.slices(), count)?
        .outputs
        .swap_remove(0))
}

/// The place of the largest value, the first of equals.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}
