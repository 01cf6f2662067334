//! Kernels for Cortex-M cores without the DSP extension: M0, M0+, M3, M23. Built for others they are the same, slower.
//!
//! Two 16-bit sums share a word. Weights of two targets are the integer w0 + 2^16 w1, potentials v0 + 2^16 v1;
//! a plain multiplication and a plain addition of words do both, and what one borrows from its neighbour on the way
//! is given back when the sum is complete: modulo 2^32 there is only one pair of values in range. The loops that
//! touch weights are in assembly, because eight of the core's registers have to be divided among them by hand;
//! each has a twin in Rust for all other processors, which the tests hold to the portable kernels. On RISC-V the
//! assembly of `rv32` takes the place of this one's.

mod dense;
pub(super) mod family;
mod input;
mod neurons;
mod scatter;

use tinyspike_shared::Event;
use tinyspike_shared::image::Convolution;
#[cfg(tinyspike_kernels = "swar")]
use tinyspike_shared::image::{CubaLif, Neurons};
use tinyspike_shared::weights::Weights;

use super::{Events, Kernels, Population, Values, portable};
pub(super) use dense::Taker;
pub(super) use neurons::Neuron;

// SAFETY: each function is called only through a declaration of a module of this one, with what its
// comments ask for.
#[cfg(tinyspike_kernels = "swar")]
core::arch::global_asm!(
    include_str!("../macros.s"),
    include_str!("registers.s"),
    include_str!("dense.s"),
    include_str!("input.s"),
    include_str!("neurons.s"),
    include_str!("scatter.s"),
    #[cfg(feature = "current-based")]
    include_str!("current_based.s"),
    options(raw)
);

/// The kernels for cores without the DSP extension. What has no fast form here is left to plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Swar;

impl<P: Taker + Neuron> Kernels<P> for Swar {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], shift: u8, post: &mut [P]) {
        dense::dense(weights, outputs, events, shift, post);
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [P]) {
        let scattered = match P::values(post) {
            Values::Narrow(post) => scatter::scatter(conv, weights, events, post),
            Values::Wide(_) => None,
        };
        if scattered.is_none() {
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
        let driven = match P::values(currents) {
            Values::Narrow(currents) => {
                input::drive(conv, weights, input, zero_point, shift, currents)
            }
            Values::Wide(_) => None,
        };
        #[cfg(feature = "dense")]
        let driven = driven
            .or_else(|| super::rows::drive(conv, weights, input, zero_point, shift, currents));
        if driven.is_none() {
            portable::drive_convolution(conv, weights, input, zero_point, shift, currents);
        }
    }

    fn drive_dense(
        weights: Weights<'_>,
        outputs: usize,
        input: &[u8],
        zero_point: u8,
        sums: &mut [P],
    ) {
        dense::drive(weights, outputs, input, zero_point, sums);
    }

    fn fire(population: &mut Population<'_, P>, from: usize, events: &mut Events) -> usize {
        match neurons::fire(population, from, events) {
            Some(next) if next > from => next,
            _ => portable::fire(population, from, events),
        }
    }

    fn settle(population: &mut Population<'_, P>) {
        if neurons::settle(population).is_none() {
            portable::settle(population);
        }
    }

    #[cfg(tinyspike_kernels = "swar")]
    const UPDATES: bool = cfg!(feature = "current-based");

    #[cfg(tinyspike_kernels = "swar")]
    fn update(
        kind: CubaLif,
        neurons: &mut Neurons<'_>,
        bias: &[i32],
        from: usize,
        events: &mut Events,
    ) -> usize {
        super::current_based::update(kind, neurons, bias, from, events)
    }

    fn repeat(potentials: &mut [P], channels: usize) {
        neurons::repeat(potentials, channels);
    }
}
