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
//!
//! [`layers`] writes down what each layer takes of setting the inputs and of every step, by its place among the
//! inputs, ensembles and outputs:
//!
//! ```text
//! empty 24
//! input 0 set i0 210 i0 90021 step e0 30110 e1 9871 o0 129 step e0 30001 e1 9822 o0 129 class 7
//! ```

use core::fmt::{self, Write};

use heapless::Vec;
use tinyspike_shared::image::{MAX_INPUTS, MAX_OUTPUTS};
use tinyspike_shared::{Event, Image, Inputs};

use crate::engine::{Engine, Layer, Probe};
use crate::kernels::Kernels;
use crate::trace::{self, RunError};

/// Measures time and stack.
pub trait Meter {
    /// A time that counts up and wraps around.
    fn ticks(&self) -> u32;

    /// Fills the free part of the stack with a pattern.
    fn paint(&mut self);

    /// Bytes of the pattern that have been overwritten since, from the stack's top.
    fn depth(&self) -> u32;
}

/// Result of some work, and its cost.
#[derive(Clone, Copy, Debug)]
pub struct Measured<T> {
    /// Result of the work.
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
/// number of steps or until the outputs are decided. In a network without end each input is set for one step, and only
/// the first is set at rest. Writes the measurements to `out`.
///
/// # Errors
/// [`RunError`] if the network cannot run here or on these inputs, or `out` fails.
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
        let rests = network.steps > 0 || number == 0;
        let reset = measure(meter, || {
            if rests {
                engine.reset();
            }
        });
        write!(out, "input {number} reset {}", reset.ticks)?;
        let set = measure(meter, || engine.set_inputs(&parts));
        set.result?;
        write!(out, " input {} steps", set.ticks)?;
        let mut stack = reset.stack.max(set.stack);
        for _ in 0..network.steps.max(1) {
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

/// Runs all inputs through an image as [`run`] does, and writes what each layer took to `out`.
///
/// It is a program of its own, since the compiler makes another engine of one that is watched.
///
/// # Errors
/// As [`run`].
pub fn layers<K, const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    arena: &mut [u32],
    inputs: &Inputs<'_>,
    meter: &impl Meter,
    out: &mut impl Write,
) -> Result<(), RunError>
where
    K: Kernels<u16> + Kernels<u32>,
{
    const {
        assert!(2 * E + 2 * MAX_OUTPUTS < TURNS, "turns of a step");
        assert!(MAX_INPUTS + C < TURNS, "turns of inputs");
    }
    let network = image.description();
    let last = Layer::Output(network.outputs.len().saturating_sub(1));
    let mut watch = Watch {
        meter,
        since: meter.ticks(),
        turns: Vec::new(),
    };
    watch.done(last);
    watch.done(last);
    let empty = watch.turns.last().map_or(0, |(_, ticks)| *ticks);
    writeln!(out, "empty {empty}")?;
    trace::check_size(&network.inputs, inputs)?;
    let mut engine: Engine<'_, K, E, C> = Engine::new(image, arena)?;
    for (number, input) in inputs.iter().enumerate() {
        let parts = trace::split(&network.inputs, input);
        if network.steps > 0 || number == 0 {
            engine.reset();
        }
        write!(out, "input {number} set")?;
        watch.start();
        engine.set_inputs_probed(&parts, &mut watch)?;
        watch.write(out)?;
        for _ in 0..network.steps.max(1) {
            write!(out, " step")?;
            watch.start();
            engine.step_probed(&mut watch);
            let decided = engine.decided();
            watch.done(last);
            watch.write(out)?;
            if decided {
                break;
            }
        }
        writeln!(out, " class {}", engine.output(0).class())?;
    }
    Ok(())
}

/// The most turns of layers between two starts of a [`Watch`].
const TURNS: usize = 176;

/// Measures the turns of layers.
struct Watch<'a, M> {
    meter: &'a M,
    /// Tick at which the turn began.
    since: u32,
    turns: Vec<(Layer, u32), TURNS>,
}

impl<M: Meter> Watch<'_, M> {
    /// Begins the first turn.
    fn start(&mut self) {
        self.turns.clear();
        self.since = self.meter.ticks();
    }

    /// Writes down all turns.
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        for (layer, ticks) in &self.turns {
            let (kind, at) = match layer {
                Layer::Input(at) => ('i', at),
                Layer::Ensemble(at) => ('e', at),
                Layer::Output(at) => ('o', at),
            };
            write!(out, " {kind}{at} {ticks}")?;
        }
        Ok(())
    }
}

impl<M: Meter> Probe for Watch<'_, M> {
    const SPIKES: bool = false;

    fn spikes(&mut self, _ensemble: usize, _events: &[Event]) {}

    // Never a part of the engine, so that all turns have the same cost of measuring.
    #[inline(never)]
    fn done(&mut self, layer: Layer) {
        let ticks = self.meter.ticks().wrapping_sub(self.since);
        // There is room, see `layers`.
        let _ = self.turns.push((layer, ticks));
        self.since = self.meter.ticks();
    }
}
