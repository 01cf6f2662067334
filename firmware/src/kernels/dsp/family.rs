//! The family for cores with the DSP extension, and its rule for what its kernels read.

use tinyspike_shared::image::{Convolution, Ensemble, Transform, Width};
use tinyspike_shared::weights::Layout;

use super::super::family::{Cost, DenseCost, EventCost, Family, Leaves, Shape, Values};

/// Cores with the DSP extension.
pub const FAMILY: Family = Family {
    name: "cortex-m4",
    cores: "Cores with the DSP extension: Cortex-M4, M7, M33",
    targets: include_str!("targets"),
    layouts: &[
        Layout::Crossed,
        Layout::Quads,
        Layout::Windows,
        Layout::WidePairs,
        Layout::Wide,
        Layout::Tiles,
        Layout::Halves,
    ],
    reads,
    leaves: Some(Leaves {
        connection: leaves,
        ensemble: |e| !is_whole(e),
    }),
    cost: COST,
    cycles: CYCLES,
};

/// Channels of a block of a convolution.
pub(super) const BLOCK: u16 = 8;
/// Words of potentials that are looked at together.
pub(super) const GROUP: usize = 4;
/// The most bytes of a window that is copied, because what it reads would reach beyond the input.
pub(super) const COPIED: usize = 256;
/// The most values of a window that are multiplied at once.
pub(super) const WINDOW: usize = 256;

fn reads(shape: &Shape<'_>, layout: Layout) -> bool {
    match (shape.transform, shape.values) {
        (Transform::Dense(_), Values::Input { .. } | Values::Dense { .. }) => {
            layout == Layout::Crossed
        }
        (Transform::Dense(_), _) => layout == Layout::Quads,
        (Transform::Convolution(conv), Values::Input { zero_point }) => {
            let windows = shape.width == Width::I16 && zero_point == 0 && drives(conv, layout);
            windows || layout == Layout::Tiles && is_whole_window(conv)
        }
        (Transform::Convolution(conv), Values::Dense { zero_point }) => {
            convolves(conv, zero_point, layout)
        }
        (Transform::Convolution(conv), _) => scatters(conv, layout, shape.width),
    }
}

fn leaves(shape: &Shape<'_>, layout: Layout) -> bool {
    // Values below zero, and those above the budget of a lane, are added in plain Rust.
    let odd = matches!(shape.transform, Transform::Dense(_)) && shape.values == Values::Events;
    odd || !reads(shape, layout)
}

/// Tells whether all neurons of an ensemble are updated.
fn is_whole(e: &Ensemble) -> bool {
    (e.channels as usize).is_multiple_of(GROUP * 4 / e.width.bytes())
}

/// Tells whether an input's windows, from the zero point 0, are summed up to 16 bits.
#[inline(never)]
pub(super) fn drives(conv: &Convolution, layout: Layout) -> bool {
    let run = usize::from(conv.kernel[1]) * usize::from(conv.input[2]);
    let inside = |axis: usize| {
        let last = u32::from(conv.output[axis]).saturating_sub(1) * u32::from(conv.stride[axis]);
        last + u32::from(conv.kernel[axis]) <= conv.input[axis].into()
    };
    layout == Layout::Windows
        && conv.is_plain()
        && conv.padding == [0, 0]
        && conv.output[2].is_multiple_of(BLOCK)
        && inside(0)
        && inside(1)
        && usize::from(conv.kernel[0]) * run.div_ceil(4) * 4 <= COPIED
}

/// Tells whether windows of all values are multiplied with all filters.
fn convolves(conv: &Convolution, zero_point: u8, layout: Layout) -> bool {
    if depthwise(conv, Layout::Halves) && zero_point == 0 {
        return layout == Layout::Halves;
    }
    layout == Layout::Tiles
}

/// Tells whether a window is multiplied at once: an input's sums are rounded, so they must be whole.
fn is_whole_window(conv: &Convolution) -> bool {
    let values = u32::from(conv.kernel[1]) * u32::from(conv.group_inputs());
    let window = u32::from(conv.kernel[0]).saturating_mul(values.next_multiple_of(4));
    window <= WINDOW as u32
}

/// Tells whether each channel is multiplied with its own filter, many channels at once.
pub(super) fn depthwise(conv: &Convolution, layout: Layout) -> bool {
    layout == Layout::Halves
        && conv.groups == conv.input[2]
        && conv.filters == conv.groups
        && conv.dilation[1] == 1
        && conv.groups.is_multiple_of(BLOCK)
        && conv.output[2].is_multiple_of(2)
        && conv.first.is_multiple_of(2)
}

/// Tells whether events are scattered over targets of a width.
#[inline(never)]
pub(super) fn scatters(conv: &Convolution, layout: Layout, width: Width) -> bool {
    let expected = match width {
        Width::I16 => Layout::WidePairs,
        Width::I32 => Layout::Wide,
    };
    let [_, out_width, channels] = conv.output.map(u32::from);
    let line = |places: u32, bytes: u32| {
        let bytes = places.checked_mul(channels * bytes);
        bytes.is_some_and(|bytes| bytes < 1 << 16)
    };
    layout == expected
        && conv.is_plain()
        && conv.output[2].is_multiple_of(BLOCK)
        && line(out_width, width.bytes() as u32)
        && line(conv.kernel[1].into(), 2)
}

/// Read off the kernels, and held against whole inferences that `cargo xtask bench` counts; the dense
/// network's: whole inferences of CMSIS-NN.
pub(in crate::kernels) const COST: Cost = Cost {
    quads: EventCost::new(16_000, 900, 1450),
    wide_pairs: EventCost::new(46_000, 875, 875),
    wide: EventCost::new(60_000, 1570, 1570),
    matrix: EventCost::new(73_000, 5000, 5000),
    convolution: EventCost::new(150_000, 6000, 6000),
    plain_tap: 170_000,
    mapped_event: 80_000,
    sum: 2500,
    summed_event: 800_000,
    plain_op: 8000,
    plain_value: 100_000,
    dense: DenseCost {
        count: 13_000,
        neuron: 300,
        counted_spike: 10_000,
        counted_neuron: 3300,
        window: 280_000,
        line: 5000,
        row: 77_000,
        column: 85_000,
        copied: 7000,
        value: 1800,
        aside: 75_000,
        block: 30_000,
        mac: 720,
        lanes_place: 150_000,
        lanes_block: 42_000,
        lanes_row: 14_000,
        lanes_mac: 2500,
        pair: 12_000,
        pair_mac: 1000,
    },
    neuron_16: 2300,
    neuron_32: 3200,
    settle_byte: 1100,
    plain_neuron: 17_000,
    spike: 11_000,
    rest_byte: 140,
    input_matrix_op: 1350,
    input_convolution_op: 0,
    input_window: 18_000,
    input_full_window: 32_000,
    input_row: 6000,
    input_empty_row: 6000,
    input_four: 13_000,
    input_next_four: 5000,
    input_half: 10_000,
    input_place: 2000,
    step: 400_000,
    inference: 3_000_000,
    dense_convolution_mac: 4000,
    dense_matrix_mac: 1960,
};

/// The same in cycles of a Cortex-M4, estimated by classes of instructions.
pub(in crate::kernels) const CYCLES: Cost = Cost {
    quads: EventCost::new(22_000, 1250, 1900),
    wide_pairs: EventCost::new(85_000, 2400, 2400),
    wide: EventCost::new(95_000, 4000, 4000),
    matrix: EventCost::new(115_000, 8000, 8000),
    convolution: EventCost::new(220_000, 9000, 9000),
    plain_tap: 250_000,
    mapped_event: 120_000,
    sum: 4000,
    summed_event: 1_250_000,
    plain_op: 12_000,
    plain_value: 150_000,
    dense: DenseCost {
        count: 20_000,
        neuron: 400,
        counted_spike: 15_000,
        counted_neuron: 5500,
        window: 405_000,
        line: 9000,
        row: 115_000,
        column: 130_000,
        copied: 10_000,
        value: 2400,
        aside: 115_000,
        block: 55_000,
        mac: 1100,
        lanes_place: 220_000,
        lanes_block: 60_000,
        lanes_row: 25_000,
        lanes_mac: 3000,
        pair: 18_000,
        pair_mac: 1450,
    },
    neuron_16: 4000,
    neuron_32: 5500,
    settle_byte: 2000,
    plain_neuron: 25_000,
    spike: 20_000,
    rest_byte: 400,
    input_matrix_op: 2000,
    input_convolution_op: 0,
    input_window: 34_000,
    input_full_window: 45_000,
    input_row: 9000,
    input_empty_row: 9000,
    input_four: 22_000,
    input_next_four: 8000,
    input_half: 14_000,
    input_place: 3000,
    step: 600_000,
    inference: 4_500_000,
    dense_convolution_mac: 5100,
    dense_matrix_mac: 2400,
};
