//! Arrays of what a network does step by step, which a command writes for numpy.

use crate::data::{MAX_BYTES, NamedArray, NamedValues, write_npz};
use crate::simulate::Run;

use crate::cli::diagnostics::Failure;
use crate::cli::outputs::Output;

/// Arrays of the shape `[samples, steps, size]`, to which runs are added.
pub(crate) struct Record(Vec<NamedArray>);

/// Name, size and kind of values of an array.
pub(crate) type Kind = (String, usize, NamedValues);

impl Record {
    /// Empty arrays for so many samples and steps: those of all outputs, then of spikes, then of potentials.
    pub(crate) fn new(
        samples: usize,
        steps: usize,
        kinds: impl IntoIterator<Item = Kind>,
    ) -> Result<Self, Failure> {
        let array = |(name, size, values)| NamedArray {
            name,
            shape: vec![samples, steps, size],
            values,
        };
        let arrays: Vec<NamedArray> = kinds.into_iter().map(array).collect();
        let values: u128 = (arrays.iter())
            .map(|a| a.shape.iter().map(|n| *n as u128).product::<u128>())
            .sum();
        if values * 4 > u128::from(MAX_BYTES) {
            return Err(Failure::new(format!(
                "{} values at {steps} steps of {samples} samples take {} MiB, and at most {} are \
                 written",
                values / (samples * steps).max(1) as u128,
                (values * 4) >> 20,
                MAX_BYTES >> 20
            ))
            .hint("run fewer samples with --limit"));
        }
        Ok(Self(arrays))
    }

    /// Adds a run's outputs and, as far as it has them, spikes and potentials.
    pub(crate) fn add(&mut self, run: &Run) {
        let outputs = run.probes.iter().map(|p| &p.values);
        let counts = run.ensembles.iter().filter_map(|e| e.counts.as_ref());
        let potentials = run.ensembles.iter().filter_map(|e| e.potentials.as_ref());
        let all = outputs.chain(counts).chain(potentials);
        for (array, more) in self.0.iter_mut().zip(all) {
            match &mut array.values {
                NamedValues::F32(values) => values.extend_from_slice(more.data()),
                // Counts are whole; leaky neurons count those below zero as negative.
                NamedValues::I32(values) => values.extend(more.data().iter().map(|n| *n as i32)),
            }
        }
    }

    pub(crate) fn write(&self, output: Output) -> Result<(), Failure> {
        output.write_with(|file| write_npz(file, &self.0))
    }
}
