//! The inner loops, behind one seam.
//!
//! An implementation of [`Kernels`] may be as fast as its processor allows, but it returns bit for
//! bit what [`Portable`] returns. Sums never overflow: the host has proven the bounds of every
//! potential, so the order of additions does not matter.

#[cfg(any(
    tinyspike_kernels = "dsp",
    tinyspike_kernels = "rv32",
    tinyspike_kernels = "swar"
))]
#[expect(
    unsafe_code,
    reason = "kernels in assembly, each call with its argument"
)]
mod current_based;
#[cfg_attr(
    tinyspike_kernels = "dsp",
    expect(
        unsafe_code,
        reason = "kernels in assembly, each call with its argument"
    )
)]
mod dsp;
pub mod families;
pub mod family;
mod helium;
#[cfg(not(target_os = "none"))]
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "loops for processors with AVX2 are called where it is there"
    )
)]
mod lanes;
mod portable;
#[cfg(feature = "dense")]
mod rows;
#[cfg_attr(
    tinyspike_kernels = "rv32",
    expect(
        unsafe_code,
        reason = "kernels in assembly, each call with its argument"
    )
)]
mod rv32;
#[expect(
    unsafe_code,
    reason = "kernels in assembly, each call with its argument; their twins elsewhere have the same signatures"
)]
mod swar;
mod targets;
mod words;

use core::ops::Range;

use tinyspike_shared::Event;
pub use tinyspike_shared::event::{EVENTS, Events};
use tinyspike_shared::image::{Convolution, CubaLif, Neurons, Width};
use tinyspike_shared::weights::Weights;

use family::Family;

#[cfg(tinyspike_kernels = "dsp")]
pub use dsp::Dsp;
#[cfg(not(target_os = "none"))]
pub use lanes::Lanes;
#[cfg(tinyspike_kernels = "rv32")]
pub use rv32::Rv32;
pub use swar::Swar;

/// Plain Rust, for any processor: the reference for all others.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl<P: Potential> Kernels<P> for Portable {
    const COUNTS: bool = true;
}

// The build script chooses among the families by the compiler's target.

/// The fastest kernels for the processor that this is built for.
#[cfg(tinyspike_kernels = "dsp")]
pub type Native = Dsp;
/// The fastest kernels for the processor that this is built for.
#[cfg(tinyspike_kernels = "rv32")]
pub type Native = Rv32;
/// The fastest kernels for the processor that this is built for.
#[cfg(tinyspike_kernels = "swar")]
pub type Native = Swar;
/// The fastest kernels for the processor that this is built for.
#[cfg(not(any(target_os = "none", tinyspike_kernels = "rv32")))]
pub type Native = Lanes;
/// The fastest kernels for the processor that this is built for.
#[cfg(all(
    target_os = "none",
    not(any(
        tinyspike_kernels = "dsp",
        tinyspike_kernels = "rv32",
        tinyspike_kernels = "swar"
    ))
))]
pub type Native = Portable;

/// The family of [`Native`]; of a computer, whose kernels read every layout, the portable one.
#[cfg(tinyspike_kernels = "dsp")]
pub const NATIVE: &Family = &families::DSP;
/// The family of [`Native`]; of a computer, whose kernels read every layout, the portable one.
#[cfg(tinyspike_kernels = "rv32")]
pub const NATIVE: &Family = &families::RV32;
/// The family of [`Native`]; of a computer, whose kernels read every layout, the portable one.
#[cfg(tinyspike_kernels = "swar")]
pub const NATIVE: &Family = &families::SWAR;
/// The family of [`Native`]; of a computer, whose kernels read every layout, the portable one.
#[cfg(not(any(
    tinyspike_kernels = "dsp",
    tinyspike_kernels = "rv32",
    tinyspike_kernels = "swar"
)))]
pub const NATIVE: &Family = &families::PORTABLE;

/// A stored potential: `u16` or `u32`, for a value of 16 or 32 bits plus half the range.
///
/// What is stored is V - θ. The top bit says whether the neuron
/// spikes, and sums of 16 bits never borrow from their neighbours in a word.
pub trait Potential: bytemuck::Pod {
    /// The type of thresholds and biases.
    type Param: bytemuck::Pod + Into<i32>;

    /// Its width.
    const WIDTH: Width;

    /// Potentials, their width being told by a value.
    fn values(values: &mut [Self]) -> Values<'_>;

    /// Stores a value. The host has proven that it fits.
    fn store(value: i32) -> Self;

    /// The stored value.
    fn value(self) -> i32;

    /// The stored value plus an addend, modulo the width.
    #[must_use]
    fn plus(self, addend: i32) -> Self;

    /// The bits as a plain signed number, which is how currents are kept.
    fn current(self) -> i32;
}

impl Potential for u16 {
    type Param = i16;

    const WIDTH: Width = Width::I16;

    fn values(values: &mut [Self]) -> Values<'_> {
        Values::Narrow(values)
    }

    fn store(value: i32) -> Self {
        (value as Self) ^ (1 << 15)
    }

    fn value(self) -> i32 {
        i32::from((self ^ (1 << 15)) as i16)
    }

    fn plus(self, addend: i32) -> Self {
        self.wrapping_add(addend as Self)
    }

    fn current(self) -> i32 {
        i32::from(self as i16)
    }
}

impl Potential for u32 {
    type Param = i32;

    const WIDTH: Width = Width::I32;

    fn values(values: &mut [Self]) -> Values<'_> {
        Values::Wide(values)
    }

    fn store(value: i32) -> Self {
        (value as Self) ^ (1 << 31)
    }

    fn value(self) -> i32 {
        (self ^ (1 << 31)) as i32
    }

    fn plus(self, addend: i32) -> Self {
        self.wrapping_add(addend as Self)
    }

    fn current(self) -> i32 {
        self as i32
    }
}

/// The neurons of one ensemble, as an update sees them.
#[derive(Debug)]
pub struct Population<'a, P: Potential> {
    /// The potential of each neuron.
    pub potentials: &'a mut [P],
    /// The current that inputs bring to each neuron; empty if none is kept.
    pub currents: &'a [P],
    /// The current that each channel receives in this step; empty in the first, at whose start
    /// potentials hold it already.
    pub bias: &'a [P::Param],
    /// θ of each channel.
    pub threshold: &'a [P::Param],
    /// The most spikes that a neuron emits in a step.
    pub max_count: u8,
    /// `true` if another step follows. If none does, potentials may be left as they are.
    pub more: bool,
}

impl<P: Potential> Population<'_, P> {
    /// Tells whether neurons receive anything before they fire.
    #[must_use]
    pub const fn receives(&self) -> bool {
        !self.bias.is_empty() || !self.currents.is_empty()
    }
}

/// Potentials or sums, of whichever width.
#[derive(Debug)]
pub enum Values<'a> {
    /// Values of 16 bits.
    Narrow(&'a mut [u16]),
    /// Values of 32 bits.
    Wide(&'a mut [u32]),
}

impl<'a> Values<'a> {
    /// Takes words as values of a width.
    #[must_use]
    pub fn of(words: &'a mut [u32], width: Width) -> Self {
        match width {
            Width::I16 => Self::Narrow(bytemuck::cast_slice_mut(words)),
            Width::I32 => Self::Wide(words),
        }
    }

    /// Number of events.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds to one of them, modulo its width; nothing if there is none such.
    pub fn add(&mut self, at: usize, addend: i32) {
        match self {
            Self::Narrow(values) => {
                if let Some(value) = values.get_mut(at) {
                    *value = value.plus(addend);
                }
            }
            Self::Wide(values) => {
                if let Some(value) = values.get_mut(at) {
                    *value = value.plus(addend);
                }
            }
        }
    }

    /// A part of them; empty if they have none such.
    #[must_use]
    pub fn part(&mut self, range: Range<usize>) -> Values<'_> {
        match self {
            Self::Narrow(values) => Values::Narrow(values.get_mut(range).unwrap_or_default()),
            Self::Wide(values) => Values::Wide(values.get_mut(range).unwrap_or_default()),
        }
    }
}

/// The inner loops for potentials of type `P`. An implementation overrides those that it has; the others are in plain
/// Rust.
pub trait Kernels<P: Potential> {
    /// Adds `value` times 2^`shift` times the row of weights of each event's source to all targets.
    /// `weights` is `[sources][outputs]`; values of 16 bits are not shifted.
    fn dense(weights: Weights<'_>, outputs: usize, events: &[Event], shift: u8, post: &mut [P]) {
        portable::dense(weights, outputs, events, shift, post);
    }

    /// Adds `value` times the kernel, placed where each event's source is, to the targets.
    fn convolution(conv: &Convolution, weights: Weights<'_>, events: &[Event], post: &mut [P]) {
        portable::convolution(conv, weights, events, post);
    }

    /// Adds to `currents` the convolution of (`input` - `zero_point`), divided by 2^`shift` and
    /// rounded to nearest, ties up.
    fn drive_convolution(
        conv: &Convolution,
        weights: Weights<'_>,
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [P],
    ) {
        portable::drive_convolution(conv, weights, input, zero_point, shift, currents);
    }

    /// Adds the products of (`input` - `zero_point`) with a matrix, `[sources][outputs]`, to `sums`.
    fn drive_dense(
        weights: Weights<'_>,
        outputs: usize,
        input: &[u8],
        zero_point: u8,
        sums: &mut [P],
    ) {
        portable::drive_dense(weights, outputs, input, zero_point, sums);
    }

    /// Fires the neurons from `from` on, until all are done or `events` has no room for more, and
    /// returns the first neuron that is not done. Appends an event for each neuron that spikes, and
    /// takes its spikes' thresholds from its potential.
    fn fire(population: &mut Population<'_, P>, from: usize, events: &mut Events) -> usize {
        portable::fire(population, from, events)
    }

    /// `true` if counts alone are better had from [`fire_counts`](Self::fire_counts) than from events.
    const COUNTS: bool = false;

    /// Fires all neurons for the last time: the count of each goes to a byte, from where their potentials begin, which are
    /// gone then.
    fn fire_counts(population: &mut Population<'_, P>) {
        portable::fire_counts(population);
    }

    /// Adds the step's bias and the input's current to all neurons, before they fire.
    fn settle(population: &mut Population<'_, P>) {
        portable::settle(population);
    }

    /// `true` if [`update`](Self::update) does anything.
    const UPDATES: bool = false;

    /// Updates [simple](CubaLif::is_simple) current-based neurons from `from` on, appends an event for each that spikes,
    /// and returns the first that is not updated. It may stop at any neuron, and stops if `events` is full. Spikes that
    /// are [deferred](CubaLif::defers) are left to the caller.
    fn update(
        kind: CubaLif,
        neurons: &mut Neurons<'_>,
        bias: &[i32],
        from: usize,
        events: &mut Events,
    ) -> usize {
        let _ = (kind, neurons, bias, events);
        from
    }

    /// Repeats the potentials of the first `channels` neurons over all others.
    fn repeat(potentials: &mut [P], channels: usize) {
        portable::repeat(potentials, channels);
    }
}
