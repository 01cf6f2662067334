//! Cost of an inference on a processor: instructions, predicted from counts.
//!
//! instructions = Σ coefficient · count. The counts come from a run with the device's own engine; the
//! coefficients, by the layout of weights and the width of potentials, are the kernel family's.

use tinyspike_firmware::kernels::family::{Cost, EventCost};
use tinyspike_shared::image::{Connection, Pre, Transform, Width};
use tinyspike_shared::weights::Layout;

use crate::assemble::Image;
use crate::emulate::Run;

/// The mean instructions of an inference, over the samples of `run`.
#[must_use]
pub fn instructions(cost: &Cost, image: &Image<'_>, run: &Run) -> f64 {
    let network = image.description();
    let samples = run.trials.len().max(1) as f64;
    let steps: usize = run.trials.iter().map(|t| t.steps()).sum();
    let steps = steps as f64;
    let mut sum = samples * (units(cost.inference) + input(cost, image))
        + samples * image.arena_bytes() as f64 * units(cost.rest_byte)
        + run.input().ops as f64 * input_op(cost, image);
    for e in &network.ensembles {
        let each = units(match e.width {
            Width::I16 => cost.neuron_16,
            Width::I32 => cost.neuron_32,
        });
        let bytes = e.width.bytes() as f64 * f64::from(e.neurons);
        sum += steps * (units(cost.step) + each * f64::from(e.neurons))
            + (steps - samples) * units(cost.settle_byte) * bytes;
    }
    for (at, activity) in (0u8..).zip(&run.ensembles) {
        sum += activity.events as f64 * units(cost.spike);
        let outgoing = network.connections.iter();
        let outgoing: Vec<EventCost> = outgoing
            .filter(|c| c.pre == Pre::Ensemble(at))
            .map(|c| event(cost, c))
            .collect();
        // How many of the weights lead over which connection was not counted.
        let share = 1.0 / outgoing.len().max(1) as f64;
        let counted = activity.ops - activity.single_ops;
        for cost in outgoing {
            sum += activity.events as f64 * units(cost.event)
                + activity.single_ops as f64 * units(cost.single_op) * share
                + counted as f64 * units(cost.counted_op) * share;
        }
    }
    sum / samples
}

/// Instructions that are given in thousandths.
fn units(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1000.0
}

/// The cost of events over a connection.
const fn event(cost: &Cost, c: &Connection) -> EventCost {
    match (c.layout, &c.transform) {
        (Layout::Quads, _) => cost.quads,
        (Layout::WidePairs, _) => cost.wide_pairs,
        (Layout::Wide, _) => cost.wide,
        (_, Transform::Dense(_)) => cost.matrix,
        (_, Transform::Convolution(_)) => cost.convolution,
    }
}

/// The cost of setting the input, its weights excepted.
fn input(cost: &Cost, image: &Image<'_>) -> f64 {
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
    places * units(cost.input_place) + windows * units(cost.input_window)
}

/// The cost of a weight that an input touches.
fn input_op(cost: &Cost, image: &Image<'_>) -> f64 {
    let convolved = driven(image).any(|c| matches!(c.transform, Transform::Convolution(_)));
    units(match convolved {
        true => cost.input_convolution_op,
        false => cost.input_matrix_op,
    })
}

/// The instructions of the same network in int8 that computes every multiplication.
#[must_use]
pub fn dense_instructions(cost: &Cost, image: &Image<'_>) -> f64 {
    let macs = DenseMacs::of(image);
    macs.convolution as f64 * units(cost.dense_convolution_mac)
        + macs.matrix as f64 * units(cost.dense_matrix_mac)
}

/// The connections from inputs.
fn driven<'a>(image: &'a Image<'_>) -> impl Iterator<Item = &'a Connection> {
    let connections = image.description().connections.iter();
    connections.filter(|c| matches!(c.pre, Pre::Input(_)))
}

/// The multiplications of a network that computes everything once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenseMacs {
    /// Operations in convolutions, padding included.
    pub convolution: u64,
    /// Operations in matrices.
    pub matrix: u64,
}

impl DenseMacs {
    /// Work of an image's network.
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

    /// Work of one of its connections.
    #[must_use]
    pub fn of_connection(c: &Connection) -> Self {
        let mut macs = Self::default();
        // Some layouts fill rows up, or take two bytes a weight.
        let weights = u64::from(Layout::Rows.bytes(&c.transform).unwrap_or(0));
        match &c.transform {
            Transform::Dense(_) => macs.matrix = weights,
            Transform::Convolution(conv) => {
                macs.convolution = weights * u64::from(conv.output[0]) * u64::from(conv.output[1]);
            }
        }
        macs
    }
}
