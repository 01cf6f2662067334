//! What an inference costs on a processor: instructions, predicted from counts.
//!
//! instructions = Σ coefficient · count. The counts come from a run with the device's own engine; the
//! coefficients stand in one table for each target.

use tinyspike_shared::image::{Pre, Transform};
use tinyspike_shared::weights::Layout;

use crate::assemble::Image;
use crate::emulate::Run;

/// A processor with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostTarget {
    /// Cortex-M0 and M0+: no multiply-accumulate, no lanes.
    CortexM0,
    /// Cortex-M4 and M7: two 16-bit lanes in a word.
    CortexM4,
    /// Cortex-M55: 128-bit vectors.
    CortexM55,
}

impl CostTarget {
    /// The name that a user writes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CortexM0 => "cortex-m0",
            Self::CortexM4 => "cortex-m4",
            Self::CortexM55 => "cortex-m55",
        }
    }

    /// Its table.
    #[must_use]
    pub const fn coefficients(self) -> &'static Coefficients {
        match self {
            Self::CortexM0 => &CORTEX_M0,
            Self::CortexM4 => &CORTEX_M4,
            Self::CortexM55 => &CORTEX_M55,
        }
    }
}

/// Instructions for each unit of work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// A weight added once, for an event of count one.
    pub single_op: f64,
    /// A weight times a count.
    pub counted_op: f64,
    /// Finding the targets of an event that goes over a convolution.
    pub convolution_event: f64,
    /// Finding the row of an event that goes over a dense connection.
    pub dense_event: f64,
    /// A neuron updated in a step.
    pub neuron_update: f64,
    /// A weight times an input's byte.
    pub input_op: f64,
    /// Looking whether an input place holds anything.
    pub input_place: f64,
    /// A step, whatever happens in it.
    pub step: f64,
    /// An inference, whatever happens in it.
    pub inference: f64,
    /// A multiplication of a convolution in an int8 network that computes everything, CMSIS-NN.
    pub dense_convolution_mac: f64,
    /// A multiplication of a matrix in such a network.
    pub dense_matrix_mac: f64,
}

/// Estimates. Operations: inner loops alone, counted in QEMU; the dense network's: whole inferences of
/// CMSIS-NN there. Events, updates and input from reading the loops. `cargo xtask bench` is to replace
/// them by a fit to whole inferences.
const CORTEX_M4: Coefficients = Coefficients {
    single_op: 0.85,
    counted_op: 1.3,
    convolution_event: 45.0,
    dense_event: 12.0,
    neuron_update: 2.5,
    input_op: 1.3,
    input_place: 3.0,
    step: 200.0,
    inference: 500.0,
    dense_convolution_mac: 4.0,
    dense_matrix_mac: 1.96,
};

/// Estimates, as for the Cortex-M4: two 16-bit sums in a word without instructions for it.
const CORTEX_M0: Coefficients = Coefficients {
    single_op: 2.6,
    counted_op: 4.0,
    convolution_event: 80.0,
    dense_event: 20.0,
    neuron_update: 8.0,
    input_op: 4.0,
    input_place: 4.0,
    step: 300.0,
    inference: 800.0,
    dense_convolution_mac: 10.0,
    dense_matrix_mac: 6.2,
};

/// Estimates, as for the Cortex-M4: eight 16-bit lanes.
const CORTEX_M55: Coefficients = Coefficients {
    single_op: 0.33,
    counted_op: 0.45,
    convolution_event: 45.0,
    dense_event: 12.0,
    neuron_update: 1.0,
    input_op: 0.45,
    input_place: 3.0,
    step: 200.0,
    inference: 500.0,
    dense_convolution_mac: 1.47,
    dense_matrix_mac: 0.95,
};

impl Coefficients {
    /// The mean instructions of an inference, over the samples of `run`.
    #[must_use]
    pub fn instructions(&self, image: &Image<'_>, run: &Run) -> f64 {
        let network = image.description();
        let samples = run.trials.len().max(1) as f64;
        let steps: usize = run.trials.iter().map(|t| t.steps()).sum();
        let neurons: f64 = network.ensembles.iter().map(|e| f64::from(e.neurons)).sum();
        let places: f64 = network.inputs.iter().map(|i| f64::from(i.size)).sum();
        let mut sum = steps as f64 * (self.step + self.neuron_update * neurons)
            + run.input.ops as f64 * self.input_op
            + samples * (self.inference + self.input_place * places);
        for (at, activity) in (0u8..).zip(&run.ensembles) {
            let outgoing = network.connections.iter();
            let finding: f64 = outgoing
                .filter(|c| c.pre == Pre::Ensemble(at))
                .map(|c| match c.transform {
                    Transform::Dense(_) => self.dense_event,
                    Transform::Convolution(_) => self.convolution_event,
                })
                .sum();
            let counted = activity.ops - activity.single_ops;
            sum += activity.single_ops as f64 * self.single_op
                + counted as f64 * self.counted_op
                + activity.events as f64 * finding;
        }
        sum / samples
    }

    /// The instructions of the same network in int8 that computes every multiplication.
    #[must_use]
    pub fn dense_instructions(&self, image: &Image<'_>) -> f64 {
        let macs = DenseMacs::of(image);
        macs.convolution as f64 * self.dense_convolution_mac
            + macs.matrix as f64 * self.dense_matrix_mac
    }
}

/// The multiplications of a network that computes everything once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenseMacs {
    /// In convolutions, padding included.
    pub convolution: u64,
    /// In matrices.
    pub matrix: u64,
}

impl DenseMacs {
    /// Of an image's network.
    #[must_use]
    pub fn of(image: &Image<'_>) -> Self {
        let mut macs = Self::default();
        for c in &image.description().connections {
            // Some layouts fill rows up, or take two bytes a weight.
            let weights = u64::from(c.transform.weights(Layout::Rows).unwrap_or(0));
            match &c.transform {
                Transform::Dense(_) => macs.matrix += weights,
                Transform::Convolution(conv) => {
                    macs.convolution +=
                        weights * u64::from(conv.output[0]) * u64::from(conv.output[1]);
                }
            }
        }
        macs
    }
}
