//! The family for a Cortex-M55 as it may become: the tuner's estimate of its cost.

use super::dsp::family::{COST, CYCLES};
use super::family::{Cost, EventCost, Family};

/// Cortex-M55, which has no kernels yet.
pub const FAMILY: Family = Family {
    name: "cortex-m55",
    cores: "Cortex-M55: plain rows of weights",
    targets: "",
    layouts: &[],
    reads: |_, _| false,
    leaves: None,
    // Estimates: what inner loops alone take with eight 16-bit lanes, and around them what the Cortex-M4 takes.
    cost: Cost {
        quads: EventCost::new(30_000, 330, 450),
        wide_pairs: EventCost::new(46_000, 450, 450),
        wide: EventCost::new(60_000, 900, 900),
        matrix: EventCost::new(40_000, 450, 450),
        convolution: EventCost::new(150_000, 900, 900),
        neuron_16: 1000,
        neuron_32: 2000,
        settle_byte: 300,
        input_matrix_op: 450,
        input_convolution_op: 600,
        dense_convolution_mac: 1470,
        dense_matrix_mac: 950,
        ..COST
    },
    cycles: CYCLES,
};
