//! The inner loops, behind one seam.
//!
//! An implementation of [`Kernels`] may be as fast as its processor allows, but it returns bit for
//! bit what [`Portable`] returns. Sums never overflow: the host has proven the bounds of every
//! potential, so the order of additions does not matter.

mod portable;

use heapless::Vec;
use tinyspike_shared::Event;
use tinyspike_shared::image::Convolution;

pub use portable::Portable;

/// How many events are handed over at once.
pub const EVENTS: usize = 64;

/// A buffer of events on the stack.
pub type Events = Vec<Event, EVENTS>;

/// An integer that holds a potential: `i16` or `i32`.
pub trait Potential: bytemuck::Pod + Into<i32> + Ord {
    /// The low bits of a sum. The host has proven that they are all of it.
    fn wrap(sum: i32) -> Self;

    /// This value plus an addend, modulo the width.
    #[must_use]
    fn plus(self, addend: i32) -> Self {
        Self::wrap(self.into().wrapping_add(addend))
    }
}

impl Potential for i16 {
    fn wrap(sum: i32) -> Self {
        sum as Self
    }
}

impl Potential for i32 {
    fn wrap(sum: i32) -> Self {
        sum
    }
}

/// The neurons of one ensemble, as an update sees them.
#[derive(Debug)]
pub struct Population<'a, P> {
    /// V - θ of each neuron.
    pub potentials: &'a mut [P],
    /// The current that inputs bring to each neuron; empty where no input does.
    pub currents: &'a [P],
    /// The current that each channel receives in every step.
    pub bias: &'a [P],
    /// θ of each channel.
    pub threshold: &'a [P],
    /// The most spikes that a neuron emits in a step.
    pub max_count: u8,
}

/// The inner loops for potentials of type `P`.
pub trait Kernels<P: Potential> {
    /// Adds `value` times the row of weights of each event's source to all targets.
    /// `weights` is `[sources][outputs]`.
    fn dense(weights: &[i8], outputs: usize, events: &[Event], post: &mut [P]);

    /// Adds `value` times the kernel, placed where each event's source is, to the targets.
    fn convolution(conv: &Convolution, weights: &[i8], events: &[Event], post: &mut [P]);

    /// Adds to `currents` the convolution of (`input` - `zero_point`), divided by 2^`shift` and
    /// rounded to nearest, ties up.
    fn drive_convolution(
        conv: &Convolution,
        weights: &[i8],
        input: &[u8],
        zero_point: u8,
        shift: u8,
        currents: &mut [P],
    );

    /// Integrates the neurons from `from` on, until all are done or `events` has no room for more,
    /// and returns the first neuron that is not done. Appends an event for each neuron that spikes.
    fn update(population: &mut Population<'_, P>, from: usize, events: &mut Events) -> usize;
}
