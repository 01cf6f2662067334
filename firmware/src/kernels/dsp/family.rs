//! The family for cores with the DSP extension, and its rule for what its kernels read.

use tinyspike_shared::image::{Convolution, Ensemble, Transform, Width};
use tinyspike_shared::weights::Layout;

use super::super::family::{Cost, EventCost, Family, Leaves, Shape, Values};

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
    ],
    reads,
    leaves: Some(Leaves {
        connection: leaves,
        ensemble: |e| !is_whole(e),
    }),
    cost: COST,
};

/// Channels of a block of a convolution.
pub(super) const BLOCK: u16 = 8;
/// Words of potentials that are looked at together.
pub(super) const GROUP: usize = 4;
/// The most bytes of a window that is copied, because what it reads would reach beyond the input.
pub(super) const COPIED: usize = 256;

fn reads(shape: &Shape<'_>, layout: Layout) -> bool {
    match (shape.transform, shape.values) {
        (Transform::Dense(_), Values::Input { .. }) => layout == Layout::Crossed,
        (Transform::Dense(_), _) => layout == Layout::Quads,
        (Transform::Convolution(conv), Values::Input { zero_point }) => {
            shape.width == Width::I16 && zero_point == 0 && drives(conv, layout)
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
    quads: EventCost::new(30_000, 730, 1290),
    wide_pairs: EventCost::new(46_000, 875, 875),
    wide: EventCost::new(60_000, 1570, 1570),
    matrix: EventCost::new(40_000, 5000, 5000),
    convolution: EventCost::new(150_000, 6000, 6000),
    neuron_16: 2300,
    neuron_32: 3200,
    settle_byte: 1100,
    spike: 11_000,
    rest_byte: 140,
    input_matrix_op: 1350,
    input_convolution_op: 1800,
    input_window: 45_000,
    input_place: 2000,
    step: 400_000,
    inference: 3_000_000,
    dense_convolution_mac: 4000,
    dense_matrix_mac: 1960,
};
