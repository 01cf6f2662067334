//! What an inference costs on a processor: instructions, predicted from counts.
//!
//! instructions = Σ coefficient · count. The counts come from a run with the device's own engine; the
//! coefficients, by the layout of weights and the width of potentials, stand in one table for each
//! target.

use tinyspike_shared::image::{Connection, Pre, Transform, Width};
use tinyspike_shared::weights::Layout;

use crate::assemble::Image;
use crate::emulate::Run;

/// A processor with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostTarget {
    /// Cortex-M0 and M0+: two 16-bit sums in a word, eight registers.
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

/// What a connection's events cost, in instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventCost {
    /// Finding the targets of an event.
    pub event: f64,
    /// A weight added once, for an event of count one.
    pub single_op: f64,
    /// A weight times a count.
    pub counted_op: f64,
}

impl EventCost {
    const fn new(event: f64, single_op: f64, counted_op: f64) -> Self {
        Self {
            event,
            single_op,
            counted_op,
        }
    }
}

/// Instructions for each unit of work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// A matrix in [`Layout::Quads`].
    pub quads: EventCost,
    /// A convolution in [`Layout::WidePairs`], into potentials of 16 bits.
    pub wide_pairs: EventCost,
    /// A convolution in [`Layout::Wide`], into potentials of 32 bits.
    pub wide: EventCost,
    /// A matrix in any other layout.
    pub matrix: EventCost,
    /// A convolution in any other layout.
    pub convolution: EventCost,
    /// A neuron of 16 bits updated in a step.
    pub neuron_16: f64,
    /// A neuron of 32 bits updated in a step.
    pub neuron_32: f64,
    /// A step's bias and current, for a byte of potentials; the first step has them already.
    pub settle_byte: f64,
    /// A neuron that spikes.
    pub spike: f64,
    /// Bringing a byte of potentials and currents to rest.
    pub rest_byte: f64,
    /// A weight times an input's byte, in a matrix.
    pub input_matrix_op: f64,
    /// A weight times an input's byte, in a convolution.
    pub input_convolution_op: f64,
    /// A window of an input for 8 channels, or for fewer.
    pub input_window: f64,
    /// Looking whether an input place holds anything.
    pub input_place: f64,
    /// A step, whatever happens in it, for each ensemble.
    pub step: f64,
    /// An inference, whatever happens in it.
    pub inference: f64,
    /// A multiplication of a convolution in an int8 network that computes everything, CMSIS-NN.
    pub dense_convolution_mac: f64,
    /// A multiplication of a matrix in such a network.
    pub dense_matrix_mac: f64,
}

/// Read off the kernels, and held against whole inferences that `cargo xtask bench` counts; the dense
/// network's: whole inferences of CMSIS-NN.
const CORTEX_M4: Coefficients = Coefficients {
    quads: EventCost::new(30.0, 0.73, 1.29),
    wide_pairs: EventCost::new(46.0, 0.875, 0.875),
    wide: EventCost::new(60.0, 1.57, 1.57),
    matrix: EventCost::new(40.0, 5.0, 5.0),
    convolution: EventCost::new(150.0, 6.0, 6.0),
    neuron_16: 2.3,
    neuron_32: 3.2,
    settle_byte: 1.1,
    spike: 11.0,
    rest_byte: 0.14,
    input_matrix_op: 1.35,
    input_convolution_op: 1.8,
    input_window: 45.0,
    input_place: 2.0,
    step: 400.0,
    inference: 3000.0,
    dense_convolution_mac: 4.0,
    dense_matrix_mac: 1.96,
};

/// Read off the kernels, and held against whole inferences on an emulated Cortex-M0; what is left to plain Rust
/// and the dense network's: whole inferences.
const CORTEX_M0: Coefficients = Coefficients {
    quads: EventCost::new(25.0, 2.63, 2.63),
    wide_pairs: EventCost::new(65.0, 1.75, 1.75),
    wide: EventCost::new(200.0, 22.0, 24.0),
    matrix: EventCost::new(40.0, 7.5, 8.5),
    convolution: EventCost::new(500.0, 22.0, 24.0),
    neuron_16: 4.5,
    neuron_32: 9.0,
    settle_byte: 2.5,
    spike: 23.0,
    rest_byte: 0.8,
    input_matrix_op: 3.2,
    input_convolution_op: 4.9,
    input_window: 100.0,
    input_place: 1.0,
    step: 400.0,
    inference: 2500.0,
    dense_convolution_mac: 10.0,
    dense_matrix_mac: 6.2,
};

/// Estimates: what inner loops alone take with eight 16-bit lanes, and around them what the Cortex-M4
/// takes.
const CORTEX_M55: Coefficients = Coefficients {
    quads: EventCost::new(30.0, 0.33, 0.45),
    wide_pairs: EventCost::new(46.0, 0.45, 0.45),
    wide: EventCost::new(60.0, 0.9, 0.9),
    matrix: EventCost::new(40.0, 0.45, 0.45),
    convolution: EventCost::new(150.0, 0.9, 0.9),
    neuron_16: 1.0,
    neuron_32: 2.0,
    settle_byte: 0.3,
    input_matrix_op: 0.45,
    input_convolution_op: 0.6,
    dense_convolution_mac: 1.47,
    dense_matrix_mac: 0.95,
    ..CORTEX_M4
};

impl Coefficients {
    /// The mean instructions of an inference, over the samples of `run`.
    #[must_use]
    pub fn instructions(&self, image: &Image<'_>, run: &Run) -> f64 {
        let network = image.description();
        let samples = run.trials.len().max(1) as f64;
        let steps: usize = run.trials.iter().map(|t| t.steps()).sum();
        let steps = steps as f64;
        let mut sum = samples * (self.inference + self.input(image))
            + samples * image.arena_bytes() as f64 * self.rest_byte
            + run.input().ops as f64 * self.input_op(image);
        for e in &network.ensembles {
            let each = match e.width {
                Width::I16 => self.neuron_16,
                Width::I32 => self.neuron_32,
            };
            let bytes = e.width.bytes() as f64 * f64::from(e.neurons);
            sum += steps * (self.step + each * f64::from(e.neurons))
                + (steps - samples) * self.settle_byte * bytes;
        }
        for (at, activity) in (0u8..).zip(&run.ensembles) {
            sum += activity.events as f64 * self.spike;
            let outgoing = network.connections.iter();
            let outgoing: Vec<EventCost> = outgoing
                .filter(|c| c.pre == Pre::Ensemble(at))
                .map(|c| self.event(c))
                .collect();
            // How many of the weights lead over which connection was not counted.
            let share = 1.0 / outgoing.len().max(1) as f64;
            let counted = activity.ops - activity.single_ops;
            for cost in outgoing {
                sum += activity.events as f64 * cost.event
                    + activity.single_ops as f64 * cost.single_op * share
                    + counted as f64 * cost.counted_op * share;
            }
        }
        sum / samples
    }

    /// What events over a connection cost.
    const fn event(&self, c: &Connection) -> EventCost {
        match (c.layout, &c.transform) {
            (Layout::Quads, _) => self.quads,
            (Layout::WidePairs, _) => self.wide_pairs,
            (Layout::Wide, _) => self.wide,
            (_, Transform::Dense(_)) => self.matrix,
            (_, Transform::Convolution(_)) => self.convolution,
        }
    }

    /// What setting the input costs but for its weights.
    fn input(&self, image: &Image<'_>) -> f64 {
        let network = image.description();
        let places: f64 = network.inputs.iter().map(|i| f64::from(i.size)).sum();
        let windows: f64 = driven(image)
            .map(|c| match &c.transform {
                Transform::Dense(_) => 0.0,
                Transform::Convolution(conv) => {
                    let places = f64::from(conv.output[0]) * f64::from(conv.output[1]);
                    places * f64::from(conv.filters.div_ceil(8))
                }
            })
            .sum();
        places * self.input_place + windows * self.input_window
    }

    /// What a weight that an input touches costs.
    fn input_op(&self, image: &Image<'_>) -> f64 {
        let convolved = driven(image).any(|c| matches!(c.transform, Transform::Convolution(_)));
        match convolved {
            true => self.input_convolution_op,
            false => self.input_matrix_op,
        }
    }

    /// The instructions of the same network in int8 that computes every multiplication.
    #[must_use]
    pub fn dense_instructions(&self, image: &Image<'_>) -> f64 {
        let macs = DenseMacs::of(image);
        macs.convolution as f64 * self.dense_convolution_mac
            + macs.matrix as f64 * self.dense_matrix_mac
    }
}

/// The connections from inputs.
fn driven<'a>(image: &'a Image<'_>) -> impl Iterator<Item = &'a Connection> {
    let connections = image.description().connections.iter();
    connections.filter(|c| matches!(c.pre, Pre::Input(_)))
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
            let own = Self::of_connection(c);
            macs.convolution += own.convolution;
            macs.matrix += own.matrix;
        }
        macs
    }

    /// Of one of its connections.
    #[must_use]
    pub fn of_connection(c: &Connection) -> Self {
        let mut macs = Self::default();
        // Some layouts fill rows up, or take two bytes a weight.
        let weights = u64::from(c.transform.weights(Layout::Rows).unwrap_or(0));
        match &c.transform {
            Transform::Dense(_) => macs.matrix = weights,
            Transform::Convolution(conv) => {
                macs.convolution = weights * u64::from(conv.output[0]) * u64::from(conv.output[1]);
            }
        }
        macs
    }
}
