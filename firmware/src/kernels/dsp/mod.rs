//! Kernels for Cortex-M cores with the DSP extension: M4, M7, M33.
//!
//! Two 16-bit sums share a word, so that a count times two weights, added to two sums, is one
//! multiply-accumulate. The inner loops are in assembly, because what they cost is decided by which
//! fourteen registers hold what; the layouts of weights are made for them.

mod dense;
mod input;
mod neurons;
mod scatter;

use core::arch::global_asm;

use tinyspike_shared::Event;
use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::Weights;

use scatter::Targets;

use crate::parts::Part;

use super::{Events, Kernels, Population, Portable, Values};

// SAFETY: each function is called only through a declaration of a module of this one, with what its
// comments ask for.
global_asm!(
    include_str!("../macros.s"),
    include_str!("dense.s"),
    include_str!("input.s"),
    include_str!("neurons.s"),
    include_str!("scatter.s"),
    options(raw)
);

/// Whether what has no fast form here can run.
const PORTABLE: bool = Part::Portable.is_built();

/// The kernels for cores with the DSP extension. What has no fast form here is left to [`Portable`].
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

impl Kernels<u16> for Dsp {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], post: &mut [u16]) {
        if !dense::dense(weights, outputs, events, Values::Narrow(post)) && PORTABLE {
            <Portable as Kernels<u16>>::dense(weights, outputs, events, post);
        }
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [u16]) {
        let targets = bytemuck::cast_slice_mut(post);
        if !scatter::scatter(conv, weights, events, targets, Targets::Narrow) && PORTABLE {
            <Portable as Kernels<u16>>::convolution(conv, weights, events, post);
        }
    }

    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [u16],
    ) {
        let driven =
            zero_point == 0 && input::drive(conv, weights, input, shift, currents).is_some();
        if !driven && PORTABLE {
            <Portable as Kernels<u16>>::drive_convolution(
                conv, weights, input, zero_point, shift, currents,
            );
        }
    }

    fn drive_dense(
        weights: Weights<'_>,
        outputs: usize,
        input: &[u8],
        zero_point: u8,
        sums: &mut [u16],
    ) {
        if PORTABLE {
            <Portable as Kernels<u16>>::drive_dense(weights, outputs, input, zero_point, sums);
        }
    }

    fn fire(population: &mut Population<'_, u16>, from: usize, events: &mut Events) -> usize {
        match neurons::fire(population, from, events) {
            Some(next) if next > from => next,
            _ if PORTABLE => Portable::fire(population, from, events),
            _ => from,
        }
    }

    fn settle(population: &mut Population<'_, u16>) {
        if neurons::settle(population).is_none() && PORTABLE {
            Portable::settle(population);
        }
    }

    fn repeat(potentials: &mut [u16], channels: usize) {
        if neurons::repeat(potentials, channels).is_none() && PORTABLE {
            Portable::repeat(potentials, channels);
        }
    }
}

impl Kernels<u32> for Dsp {
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], post: &mut [u32]) {
        if !dense::dense(weights, outputs, events, Values::Wide(post)) && PORTABLE {
            <Portable as Kernels<u32>>::dense(weights, outputs, events, post);
        }
    }

    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [u32]) {
        let targets = bytemuck::cast_slice_mut(post);
        if !scatter::scatter(conv, weights, events, targets, Targets::Wide) && PORTABLE {
            <Portable as Kernels<u32>>::convolution(conv, weights, events, post);
        }
    }

    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [u32],
    ) {
        if PORTABLE {
            <Portable as Kernels<u32>>::drive_convolution(
                conv, weights, input, zero_point, shift, currents,
            );
        }
    }

    fn drive_dense(
        weights: Weights<'_>,
        outputs: usize,
        input: &[u8],
        zero_point: u8,
        sums: &mut [u32],
    ) {
        if input::drive_dense(weights, outputs, input, zero_point, sums).is_none() && PORTABLE {
            <Portable as Kernels<u32>>::drive_dense(weights, outputs, input, zero_point, sums);
        }
    }

    fn fire(population: &mut Population<'_, u32>, from: usize, events: &mut Events) -> usize {
        match neurons::fire(population, from, events) {
            Some(next) if next > from => next,
            _ if PORTABLE => Portable::fire(population, from, events),
            _ => from,
        }
    }

    fn settle(population: &mut Population<'_, u32>) {
        if neurons::settle(population).is_none() && PORTABLE {
            Portable::settle(population);
        }
    }

    fn repeat(potentials: &mut [u32], channels: usize) {
        if neurons::repeat(potentials, channels).is_none() && PORTABLE {
            Portable::repeat(potentials, channels);
        }
    }
}
