//! Runs inputs through an image and writes down what each part of an inference takes.
//!
//! ```text
//! image 8c1f03aa: 40200 bytes, arena 12344 bytes
//! empty 16
//! input 0 reset 2212 input 90231 steps 40110 39871 output 320 class 7 stack 512
//! ```
//!
//! All numbers but the class and the stack are ticks of the [`Meter`], each with the ticks of an
//! `empty` measurement in it; `steps` has one for every step. `stack` is the most bytes of stack that
//! any part took.

use core::fmt::Write;

use heapless::Vec;
use tinyspike_shared::image::MAX_INPUTS;
use tinyspike_shared::{Image, Inputs};

use crate::engine::Engine;
use crate::kernels::Kernels;
use crate::trace::RunError;

/// Measures time and stack.
pub trait Meter {
    /// A time that counts up and wraps around.
    fn ticks(&self) -> u32;

    /// Fills the free part of the stack with a pattern.
    fn paint(&mut self);

    /// How much of the pattern has been overwritten since, in bytes from the stack's top.
    fn depth(&self) -> u32;
}

/// Runs all inputs, each from rest and for the image's number of steps, and writes the measurements to
/// `out`.
///
/// # Errors
/// [`RunError`], where the network cannot run here or on these inputs, or `out` fails.
pub fn run<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    arena: &mut [u32],
    inputs: &Inputs<'_>,
    meter: &mut impl Meter,
    out: &mut impl Write,
) -> Result<(), RunError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let network = image.description();
    writeln!(
        out,
        "image {:08x}: {} bytes, arena {} bytes",
        image.header().checksum,
        image.header().length,
        image.arena_bytes(),
    )?;
    let mut measure = Measure { meter, stack: 0 };
    let ((), empty) = measure.of(|| ());
    writeln!(out, "empty {empty}")?;
    let expected = network.inputs.iter().map(|i| u64::from(i.size)).sum();
    let found = inputs.header().size;
    if u64::from(found) != expected {
        return Err(RunError::Size { expected, found });
    }
    let mut engine: Engine<'_, K, E, C> = Engine::new(image, arena)?;
    for (number, input) in inputs.iter().enumerate() {
        let mut rest = input;
        let mut parts = Vec::<&[u8], MAX_INPUTS>::new();
        for part in &network.inputs {
            let (part, tail) = rest
                .split_at_checked(part.size as usize)
                .unwrap_or((rest, &[]));
            // There is room: a network has no more than `MAX_INPUTS` inputs.
            let _ = parts.push(part);
            rest = tail;
        }
        measure.stack = 0;
        let ((), ticks) = measure.of(|| engine.reset());
        write!(out, "input {number} reset {ticks}")?;
        let (set, ticks) = measure.of(|| engine.set_inputs(&parts));
        set?;
        write!(out, " input {ticks} steps")?;
        for _ in 0..network.steps {
            let (_, ticks) = measure.of(|| engine.step());
            write!(out, " {ticks}")?;
        }
        let (class, ticks) = measure.of(|| engine.output(0).class());
        writeln!(out, " output {ticks} class {class} stack {}", measure.stack)?;
    }
    Ok(())
}

struct Measure<'a, M> {
    meter: &'a mut M,
    /// The most that a part took since it was last set to zero.
    stack: u32,
}

impl<M: Meter> Measure<'_, M> {
    /// What `work` returns, and the ticks that it took.
    fn of<T>(&mut self, work: impl FnOnce() -> T) -> (T, u32) {
        self.meter.paint();
        let before = self.meter.ticks();
        let result = work();
        let ticks = self.meter.ticks().wrapping_sub(before);
        self.stack = self.stack.max(self.meter.depth());
        (result, ticks)
    }
}
