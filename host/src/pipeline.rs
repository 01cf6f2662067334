//! Graph + data set → what the float network makes of it.

use crate::calibrate::{Samples, forward};
use crate::data::DataSet;
use crate::graph::Graph;
use crate::ops::OpsError;

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
/// [`OpsError`] if the data does not fit the network.
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
pub fn outputs(graph: &Graph, x: &[f32], count: usize) -> Result<Vec<f32>, OpsError> {
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
