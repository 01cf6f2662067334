//! The kernels behind their seam.

use core::arch::global_asm;

use tinyspike_shared::Event;
use tinyspike_shared::image::{Convolution, CubaLif, Neurons};
use tinyspike_shared::weights::Weights;

use super::super::swar::{Neuron, Swar, Taker};
use super::super::{Events, Kernels, Population, current_based, portable};
use super::scatter;

// SAFETY: each function is called only through a declaration of this module, of `swar` or of `current_based`, with what its
// comments ask for.
global_asm!(
    // The assembler is not told which extensions the target has.
    ".option push",
    ".option arch, +m",
    #[cfg(target_feature = "c")]
    ".option arch, +c",
    include_str!("macros.s"),
    include_str!("dense.s"),
    include_str!("input.s"),
    include_str!("neurons.s"),
    include_str!("scatter.s"),
    #[cfg(feature = "current-based")]
    include_str!("current_based.s"),
    ".option pop",
    options(raw)
);

/// The kernels for RISC-V. What has no fast form here is left to plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Rv32;

impl<P: Taker + Neuron> Kernels<P> for Rv32 {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], shift: u8, post: &mut [P]) {
        Swar::dense(weights, outputs, events, shift, post);
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [P]) {
        let targets = bytemuck::cast_slice_mut(post);
        if scatter::scatter(conv, weights, events, targets, P::WIDTH).is_none() {
            portable::convolution(conv, weights, events, post);
        }
    }

    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [P],
    ) {
        Swar::drive_convolution(conv, weights, input, zero_point, shift, currents);
    }

    fn drive_dense(
        weights: Weights<'_>,
        outputs: usize,
        input: &[u8],
        zero_point: u8,
        sums: &mut [P],
    ) {
        Swar::drive_dense(weights, outputs, input, zero_point, sums);
    }

    fn fire(population: &mut Population<'_, P>, from: usize, events: &mut Events) -> usize {
        Swar::fire(population, from, events)
    }

    fn settle(population: &mut Population<'_, P>) {
        Swar::settle(population);
    }

    const UPDATES: bool = cfg!(feature = "current-based");

    fn update(
        kind: CubaLif,
        neurons: &mut Neurons<'_>,
        bias: &[i32],
        from: usize,
        events: &mut Events,
    ) -> usize {
        current_based::update(kind, neurons, bias, from, events)
    }

    fn repeat(potentials: &mut [P], channels: usize) {
        Swar::repeat(potentials, channels);
    }
}
