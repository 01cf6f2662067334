//! The family for RISC-V, and its rule for what its kernels read.

use tinyspike_shared::image::{Convolution, Transform, Width};
use tinyspike_shared::weights::Layout;

use super::super::family::{Cost, EventCost, Family, Shape, Values};
use super::super::swar::family::FAMILY as SWAR;

/// RISC-V cores with multiplication.
pub const FAMILY: Family = Family {
    name: "rv32",
    cores: "RISC-V with multiplication, 32 bits: ESP32-C3 and C6, CH32V, Hazard3",
    targets: include_str!("targets"),
    layouts: &[Layout::Quads, Layout::WidePairs, Layout::Wide, Layout::Rows],
    reads,
    leaves: None,
    cost: COST,
    cycles: COST,
};

/// Channels of a block of a convolution.
const BLOCK: u16 = 8;
/// The most channels of a source for which a product with a reciprocal tells places from channels.
const CHANNELS: u16 = 1 << 15;

/// All that small Cortex-M cores read, but events over convolutions by a rule of its own.
fn reads(shape: &Shape<'_>, layout: Layout) -> bool {
    match (shape.transform, shape.values) {
        (Transform::Convolution(conv), Values::Counts | Values::Events) => {
            scatters(conv, layout, shape.width)
        }
        _ => (SWAR.reads)(shape, layout),
    }
}

/// Tells whether events are scattered over targets of a width.
#[inline]
pub(super) fn scatters(conv: &Convolution, layout: Layout, width: Width) -> bool {
    let read = match width {
        Width::I16 => Layout::WidePairs,
        Width::I32 => Layout::Wide,
    };
    let [_, out_width, channels] = conv.output.map(u32::from);
    let line = |places: u32| {
        let bytes = places.checked_mul(channels * width.bytes() as u32);
        bytes.is_some_and(|bytes| bytes < 1 << 16)
    };
    layout == read
        && conv.is_plain()
        && conv.output[2].is_multiple_of(BLOCK)
        && line(out_width)
        && line(conv.kernel[1].into())
        && conv.input[2] <= CHANNELS
}

/// Slopes of instructions of layers on an emulated board, and for targets of 32 bits what the kernel's code says. What is left to
/// plain Rust takes what it takes on small Cortex-M cores.
const COST: Cost = Cost {
    quads: EventCost::new(15_000, 2130, 2130),
    wide_pairs: EventCost::new(30_000, 1920, 1920),
    wide: EventCost::new(35_000, 3600, 3600),
    neuron_16: 4000,
    neuron_32: 7500,
    settle_byte: 2300,
    spike: 19_000,
    input_matrix_op: 2900,
    input_convolution_op: 3700,
    input_window: 90_000,
    ..SWAR.cost
};
