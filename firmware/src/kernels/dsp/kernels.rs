//! The kernels behind their seam.

use core::arch::global_asm;

use tinyspike_shared::Event;
use tinyspike_shared::image::{Convolution, CubaLif, Neurons};
use tinyspike_shared::weights::Weights;

use super::super::{Events, Kernels, Population, Potential, Values, current_based, portable};
#[cfg(feature = "dense")]
use super::tiles;
use super::{dense, input, neurons, scatter};

// SAFETY: each function is called only through a declaration of a module of this one, with what its
// comments ask for.
global_asm!(
    // The triple of Armv8-M does not tell the assembler of the extension.
    #[cfg(tinyspike_v8m)]
    ".cpu cortex-m33",
    include_str!("../macros.s"),
    include_str!("dense.s"),
    include_str!("input.s"),
    include_str!("neurons.s"),
    include_str!("scatter.s"),
    #[cfg(feature = "dense")]
    include_str!("counts.s"),
    #[cfg(feature = "dense")]
    include_str!("tiles.s"),
    #[cfg(feature = "current-based")]
    include_str!("current_based.s"),
    options(raw)
);

/// `true` if the portable kernels can run what has no fast form here.
const PORTABLE: bool = cfg!(feature = "portable");

/// The kernels for cores with the DSP extension. What has no fast form here is left to plain Rust.
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

impl<P: Potential> Kernels<P> for Dsp {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], shift: u8, post: &mut [P]) {
        if !dense::dense(weights, outputs, events, shift, P::values(post)) && PORTABLE {
            portable::dense(weights, outputs, events, shift, post);
        }
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [P]) {
        let targets = bytemuck::cast_slice_mut(post);
        if !scatter::scatter(conv, weights, events, targets, P::WIDTH) && PORTABLE {
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
            Values::Narrow(currents) if zero_point == 0 => {
                input::drive(conv, weights, input, shift, currents)
            }
            _ => None,
        };
        #[cfg(feature = "dense")]
        let driven =
            driven.or_else(|| tiles::drive(conv, weights, input, zero_point, shift, currents));
        if driven.is_none() && PORTABLE {
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
        let driven = input::drive_dense(weights, outputs, input, zero_point, P::values(sums));
        if driven.is_none() && PORTABLE {
            portable::drive_dense(weights, outputs, input, zero_point, sums);
        }
    }

    fn fire(population: &mut Population<'_, P>, from: usize, events: &mut Events) -> usize {
        match neurons::fire(population, from, events) {
            Some(next) if next > from => next,
            _ if PORTABLE => portable::fire(population, from, events),
            _ => from,
        }
    }

    const COUNTS: bool = cfg!(feature = "dense");

    fn fire_counts(population: &mut Population<'_, P>) {
        #[cfg(feature = "dense")]
        if neurons::fire_counts(population).is_some() {
            return;
        }
        if PORTABLE {
            portable::fire_counts(population);
        }
    }

    fn settle(population: &mut Population<'_, P>) {
        if neurons::settle(population).is_none() && PORTABLE {
            portable::settle(population);
        }
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
        if neurons::repeat(potentials, channels).is_none() && PORTABLE {
            portable::repeat(potentials, channels);
        }
    }
}
