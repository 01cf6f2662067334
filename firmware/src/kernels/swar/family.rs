//! The family for cores without the DSP extension, and its rule for what its kernels read.

use tinyspike_shared::image::{Convolution, Transform, Width};
use tinyspike_shared::weights::Layout;

use super::super::family::{Cost, DenseCost, EventCost, Family, Shape, Values};

/// Cores without the DSP extension.
pub const FAMILY: Family = Family {
    name: "cortex-m0",
    cores: "Cores without the DSP extension: Cortex-M0, M0+, M3, M23",
    targets: include_str!("targets"),
    layouts: &[Layout::Quads, Layout::WidePairs, Layout::Rows],
    reads,
    leaves: None,
    cost: COST,
    cycles: COST,
};

/// Channels of a block of a convolution.
pub(super) const BLOCK: u16 = 8;
/// The most bytes of a row of an input.
pub(super) const COLUMNS: usize = 256;

fn reads(shape: &Shape<'_>, layout: Layout) -> bool {
    match (shape.transform, shape.values) {
        (Transform::Dense(_), _) => layout == Layout::Quads,
        (Transform::Convolution(_), Values::Dense { .. }) => layout == Layout::Rows,
        (Transform::Convolution(_), _) if shape.width == Width::I32 => false,
        (Transform::Convolution(conv), Values::Input { .. }) => drives(conv, layout),
        (Transform::Convolution(conv), _) => scatters(conv, layout),
    }
}

/// Tells whether an input's windows are summed up to 16 bits.
#[inline]
pub(super) fn drives(conv: &Convolution, layout: Layout) -> bool {
    let line = usize::from(conv.input[1]) * usize::from(conv.input[2]);
    layout == Layout::Rows
        && conv.is_plain()
        && conv.output[2].is_multiple_of(BLOCK)
        && (1..=COLUMNS).contains(&line)
}

/// Tells whether events are scattered over targets of 16 bits.
#[inline]
pub(super) fn scatters(conv: &Convolution, layout: Layout) -> bool {
    let [_, out_width, channels] = conv.output.map(u32::from);
    let line = |places: u32| {
        let bytes = places.checked_mul(channels * 2);
        bytes.is_some_and(|bytes| bytes < 1 << 16)
    };
    layout == Layout::WidePairs
        && conv.is_plain()
        && conv.output[2].is_multiple_of(BLOCK)
        && line(out_width)
        && line(conv.kernel[1].into())
        // Places of a source are told from their channels by a product with a reciprocal, which is exact for so many.
        && conv.input[2] <= 1 << 8
}

/// Read off the kernels, and held against whole inferences on an emulated Cortex-M0; what is left to plain Rust
/// and the dense network's: whole inferences.
const COST: Cost = Cost {
    quads: EventCost::new(25_000, 2630, 2630),
    wide_pairs: EventCost::new(65_000, 1750, 1750),
    wide: EventCost::new(200_000, 22_000, 24_000),
    matrix: EventCost::new(40_000, 7500, 8500),
    convolution: EventCost::new(500_000, 22_000, 24_000),
    plain_tap: 0,
    mapped_event: 150_000,
    sum: 9000,
    summed_event: 200_000,
    plain_op: 30_000,
    plain_value: 100_000,
    dense: DenseCost {
        count: 8000,
        neuron: 1000,
        counted_spike: 0,
        counted_neuron: 0,
        window: 60_000,
        line: 0,
        row: 0,
        column: 0,
        copied: 0,
        value: 25_000,
        aside: 0,
        block: 0,
        mac: 9000,
        lanes_place: 400_000,
        lanes_block: 100_000,
        lanes_row: 50_000,
        lanes_mac: 8000,
        pair: 24_000,
        pair_mac: 2600,
    },
    neuron_16: 4500,
    neuron_32: 9000,
    settle_byte: 2500,
    plain_neuron: 0,
    spike: 23_000,
    rest_byte: 800,
    input_matrix_op: 3200,
    input_convolution_op: 4900,
    input_window: 100_000,
    input_row: 0,
    input_empty_row: 0,
    input_four: 0,
    input_next_four: 0,
    input_half: 0,
    input_full_window: 0,
    input_place: 1000,
    step: 400_000,
    inference: 2_500_000,
    dense_convolution_mac: 10_000,
    dense_matrix_mac: 6200,
};
