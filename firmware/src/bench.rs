//! Runs inputs through an image and writes down what each part of an inference takes.
//!
//! ```text
//! image 8c1f03aa: 40200 bytes, arena 12344 bytes
//! empty 16
//! parse 90122 stack 3000 holds 2500
//! input 0 reset 2212 input 90231 steps 40110 39871 output 320 class 7 stack 512
//! ```
//!
//! All numbers but the class and those of bytes are ticks of the [`Meter`], each with the ticks of an
//! `empty` measurement in it; `steps` has one for every step. `stack` is the most bytes of stack that
//! any part took, and `holds` how many the parsed image keeps.

use core::fmt::Write;

use tinyspike_shared::{Image, Inputs};

use crate::engine::Engine;
use crate::kernels::Kernels;
use crate::trace::{self, RunError};

/// Measures time and stack.
pub trait Meter {
    /// A time that counts up and wraps around.
    fn ticks(&self) -> u32;

    /// Fills the free part of the stack with a pattern.
    fn paint(&mut self);

    /// How much of the pattern has been overwritten since, in bytes from the stack's top.
    fn depth(&self) -> u32;
}

/// What some work returned, and what it took.
#[derive(Clone, Copy, Debug)]
pub struct Measured<T> {
    /// What it returned.
    pub result: T,
    /// Ticks of the meter.
    pub ticks: u32,
    /// Bytes of stack.
    pub stack: u32,
}

/// Measures some work.
pub fn measure<T>(meter: &mut impl Meter, work: impl FnOnce() -> T) -> Measured<T> {
    meter.paint();
    let before = meter.ticks();
    let result = work();
    let ticks = meter.ticks().wrapping_sub(before);
    let stack = meter.depth();
    Measured {
        result,
        ticks,
        stack,
    }
}

/// Runs all inputs through an image, whose parsing was measured, each from rest and for the image's
/// number of steps or until the outputs are decided, and writes the measurements to `out`.
///
/// # Errors
/// [`RunError`], where the network cannot run here or on these inputs, or `out` fails.
pub fn run<K, const E: usize, const C: usize>(
    parsed: &Measured<Image<'_, E, C>>,
    arena: &mut [u32],
    inputs: &Inputs<'_>,
    meter: &mut impl Meter,
    out: &mut impl Write,
) -> Result<(), RunError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    let image = &parsed.result;
    let network = image.description();
    writeln!(
        out,
        "image {:08x}: {} bytes, arena {} bytes",
        image.header().checksum,
        image.header().length,
        image.arena_bytes(),
    )?;
    writeln!(out, "empty {}", measure(meter, || ()).ticks)?;
    let (ticks, stack) = (parsed.ticks, parsed.stack);
    let holds = core::mem::size_of_val(image);
    writeln!(out, "parse {ticks} stack {stack} holds {holds}")?;
    trace::check_size(&network.inputs, inputs)?;
    let mut engine: Engine<'_, K, E, C> = Engine::new(image, arena)?;
    for (number, input) in inputs.iter().enumerate() {
        let parts = trace::split(&network.inputs, input);
        let reset = measure(meter, || engine.reset());
        write!(out, "input {number} reset {}", reset.ticks)?;
        let set = measure(meter, || engine.set_inputs(&parts));
        set.result?;
        write!(out, " input {} steps", set.ticks)?;
        let mut stack = reset.stack.max(set.stack);
        for _ in 0..network.steps {
            let step = measure(meter, || {
                engine.step();
                engine.decided()
            });
            write!(out, " {}", step.ticks)?;
            stack = stack.max(step.stack);
            if step.result {
                break;
            }
        }
        let output = measure(meter, || engine.output(0).class());
        writeln!(
            out,
            " output {} class {} stack {}",
            output.ticks,
            output.result,
            stack.max(output.stack)
        )?;
    }
    Ok(())
}
