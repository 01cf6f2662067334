//! Runs inputs through an image and writes down every spike, in the same words on every machine.
//!
//! ```text
//! image 8c1f03aa: 40200 bytes, arena 12344 bytes, 2 ensembles, 3 connections, 20 steps
//! input 0
//! step 0 conv2d.0: 3:1 17:2
//! output dense.0 class 7: -120 44
//! ```
//!
//! The first line names the image by its checksum. Each `step` line has the step (from 0), the
//! ensemble, and `neuron:count` for every neuron that spiked; ensembles without a spike have no line.
//! An `output` line has the class and the values after the last step, which comes early if the
//! image allows it and the outputs are decided.

use core::fmt::{self, Write};

use heapless::Vec;
use tinyspike_shared::image::{Input, MAX_INPUTS};
use tinyspike_shared::{Event, Image, Inputs};

use crate::engine::{Engine, EngineError, InputError, Probe};
use crate::kernels::Native;

/// Reason for the early end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RunError {
    /// The network cannot run here.
    Engine(EngineError),
    /// The inputs do not fit the network.
    Input(InputError),
    /// The inputs together have another length than the network's.
    Size {
        /// The length of all inputs of the network in bytes.
        expected: u64,
        /// The length of the inputs in the block.
        found: u32,
    },
    /// The trace could not be written.
    Write,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(e) => e.fmt(f),
            Self::Input(e) => e.fmt(f),
            Self::Size { expected, found } => write!(
                f,
                "the network takes {expected} bytes of input, the block has inputs of {found}"
            ),
            Self::Write => f.write_str("the trace could not be written"),
        }
    }
}

impl core::error::Error for RunError {}

impl From<EngineError> for RunError {
    fn from(e: EngineError) -> Self {
        Self::Engine(e)
    }
}

impl From<InputError> for RunError {
    fn from(e: InputError) -> Self {
        Self::Input(e)
    }
}

impl From<fmt::Error> for RunError {
    fn from(_: fmt::Error) -> Self {
        Self::Write
    }
}

/// Refuses a block whose inputs are not as long as the network's together.
pub(crate) fn check_size(network: &[Input], inputs: &Inputs<'_>) -> Result<(), RunError> {
    let expected = network.iter().map(|i| u64::from(i.size)).sum();
    let found = inputs.header().size;
    if u64::from(found) == expected {
        Ok(())
    } else {
        Err(RunError::Size { expected, found })
    }
}

/// One input of a block as the inputs of the network.
#[must_use]
pub fn split<'a>(network: &[Input], input: &'a [u8]) -> Vec<&'a [u8], MAX_INPUTS> {
    let mut rest = input;
    let mut parts = Vec::new();
    for part in network {
        let (part, tail) = rest
            .split_at_checked(part.size as usize)
            .unwrap_or((rest, &[]));
        // There is room: a network has no more than `MAX_INPUTS` inputs.
        let _ = parts.push(part);
        rest = tail;
    }
    parts
}

/// Runs all inputs, each from rest and for at most the image's number of steps, and writes the trace to `out`. In a
/// network without end each input is set for one step, and only the first is set at rest.
///
/// # Errors
/// [`RunError`] if the network cannot run here or on these inputs, or `out` fails.
pub fn run<const E: usize, const C: usize>(
    image: &Image<'_, E, C>,
    arena: &mut [u32],
    inputs: &Inputs<'_>,
    out: &mut impl Write,
) -> Result<(), RunError> {
    let network = image.description();
    writeln!(
        out,
        "image {:08x}: {} bytes, arena {} bytes, {} ensembles, {} connections, {} steps",
        image.header().checksum,
        image.header().length,
        image.arena_bytes(),
        network.ensembles.len(),
        network.connections.len(),
        network.steps
    )?;
    check_size(&network.inputs, inputs)?;
    let mut engine: Engine<'_, Native, E, C> = Engine::new(image, arena)?;
    for (number, input) in inputs.iter().enumerate() {
        writeln!(out, "input {number}")?;
        let parts = split(&network.inputs, input);
        let endless = network.steps == 0;
        if !endless || number == 0 {
            engine.reset();
        }
        engine.set_inputs(&parts)?;
        // Of a stream each input is a step.
        for step in 0..network.steps.max(1) {
            let mut spikes = Spikes::new(image, step, out);
            engine.step_probed(&mut spikes);
            spikes.end()?;
            if engine.decided() {
                break;
            }
        }
        for index in 0..network.outputs.len() {
            let output = engine.output(index);
            let label = network.output_label(index);
            write!(out, "output {label} class {}:", output.class())?;
            for value in output.values() {
                write!(out, " {value}")?;
            }
            out.write_char('\n')?;
        }
    }
    Ok(())
}

/// Writes the lines of one step.
struct Spikes<'a, 'i, W, const E: usize, const C: usize> {
    image: &'a Image<'i, E, C>,
    step: u16,
    out: &'a mut W,
    /// The ensemble whose line is begun.
    line: Option<usize>,
    written: fmt::Result,
}

impl<'a, 'i, W: Write, const E: usize, const C: usize> Spikes<'a, 'i, W, E, C> {
    fn new(image: &'a Image<'i, E, C>, step: u16, out: &'a mut W) -> Self {
        Self {
            image,
            step,
            out,
            line: None,
            written: Ok(()),
        }
    }

    fn write(&mut self, ensemble: usize, events: &[Event]) -> fmt::Result {
        if self.line != Some(ensemble) {
            self.end_line()?;
            let label = self.image.description().ensemble_label(ensemble);
            write!(self.out, "step {} {label}:", self.step)?;
            self.line = Some(ensemble);
        }
        for event in events {
            write!(self.out, " {}:{}", event.source, event.value)?;
        }
        Ok(())
    }

    fn end_line(&mut self) -> fmt::Result {
        match self.line.take() {
            Some(_) => self.out.write_char('\n'),
            None => Ok(()),
        }
    }

    /// Ends the step: whether all of it was written.
    fn end(mut self) -> fmt::Result {
        self.written?;
        self.end_line()
    }
}

impl<W: Write, const E: usize, const C: usize> Probe for Spikes<'_, '_, W, E, C> {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        if self.written.is_ok() {
            self.written = self.write(ensemble, events);
        }
    }
}
