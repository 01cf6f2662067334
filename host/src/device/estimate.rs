//! Time and energy of an inference on a board that nobody has measured: an estimate, with its spread.
//!
//! Instructions and cycles are those that tuning predicts ([`crate::cost`]) from a run on this machine. The spread is
//! that of three things:
//!
//! - Predictions are held to 15 % of what is counted on emulated boards (`cargo xtask bench --grid`).
//! - Flash makes a core wait. Inside the chip that is up to 40 % (docs/performance.md). In a flash chip beside it, at most
//!   all weights are read again in each step, in lines of a cache that take [`LINE_CYCLES`].
//! - On an Armv6-M core, cycles are instructions times a mean ([`per_instruction`]), as no model has been fitted.

use std::fmt;

use serde::Serialize;
use tinyspike_firmware::kernels::families;

use super::boards::{Board, Current, Place};
use crate::advice::{Advice, Advised};
use crate::assemble::{Image, suits};
use crate::cost;
use crate::data::DataSet;
use crate::emulate::{self, EmulateError, EmulateOptions, Run};
use crate::stream::is_current_based;

/// Largest part by which predictions are off.
const PREDICTED: f64 = 0.15;
/// Largest part that flash inside the chip adds.
const WAITS: f64 = 0.4;
/// Bytes of a line of the cache before the flash chip (RP2040 datasheet, section 2.6.3; RP2350's is alike).
const LINE: f64 = 8.0;
/// Cycles of the core to fill it: address, mode and pause take 12 cycles of the flash chip's clock and 16 half bytes one
/// each, at half the core's clock.
const LINE_CYCLES: f64 = 56.0;

/// Reasons why there is no estimate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EstimateError {
    /// No model of the core.
    #[error("there is no model of the time that {board} takes: its core is {core}")]
    NoModel {
        /// The board.
        board: &'static str,
        /// Its core.
        core: &'static str,
    },
    /// A network whose neurons keep their state from step to step.
    #[error("there is no estimate for networks over time yet")]
    OverTime,
    /// The run on this machine.
    #[error(transparent)]
    Emulate(#[from] EmulateError),
}

impl Advised for EstimateError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::NoModel { .. } => vec![Advice::ListBoards],
            Self::OverTime => vec![Advice::BenchEmulated],
            Self::Emulate(error) => error.advice(),
        }
    }
}

/// A range of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Range {
    fn times(self, least: f64, most: f64) -> Self {
        Self {
            least: self.least * least,
            most: self.most * most,
        }
    }
}

/// The cost of an inference on a board, estimated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Always true: nobody has measured it.
    pub estimate: bool,
    /// The board's name.
    pub board: &'static str,
    #[serde(skip)]
    about: &'static Board,
    /// Samples that the prediction is from.
    pub samples: usize,
    /// Mean steps of an inference.
    pub steps: f64,
    /// Instructions of an inference, in the mean.
    pub instructions: f64,
    /// Cycles of an inference, in the mean.
    pub cycles: Range,
    /// The clock that the chip is made for, in MHz.
    pub clock_mhz: f64,
    /// Milliseconds of an inference at this clock.
    pub milliseconds: Range,
    /// Energy of an inference at this clock in microjoules, if a current of the board's chip is known.
    pub microjoules: Option<Range>,
    /// Source of that current.
    pub current: Option<Current>,
    /// Milliseconds at the clock that the application runs at, which is that after a reset.
    pub application_milliseconds: Option<Range>,
    /// The kernel family that the image should be laid out for, if it is laid out for another.
    pub better_target: Option<&'static str>,
}

/// Mean cycles of the engine's instructions on a core of Armv6-M without wait states; `None` for cores whose cycles are
/// predicted.
fn per_instruction(core: &str) -> Option<f64> {
    match core {
        "Cortex-M0" => Some(CYCLES_M0),
        "Cortex-M0+" => Some(CYCLES_M0_PLUS),
        _ => None,
    }
}

/// mnist_small in rp2040js, whose Cortex-M0+ has the timings of its reference manual: 514,941 cycles for 306,005 predicted
/// instructions (`cargo xtask test-rp2040`).
const CYCLES_M0_PLUS: f64 = 1.68;
/// A Cortex-M0 takes a cycle more for a branch that is taken: an assumption for each tenth instruction.
const CYCLES_M0: f64 = CYCLES_M0_PLUS + 0.1;

/// Checks that there is an estimate for an image on a board.
///
/// # Errors
/// [`EstimateError`], if the core's time is not known, or the network runs over time.
pub fn check(board: &'static Board, image: &Image<'_>) -> Result<(), EstimateError> {
    // Nobody knows the cycles of its instructions.
    if [&families::PORTABLE, &families::RV32].contains(&board.family()) {
        return Err(EstimateError::NoModel {
            board: board.title,
            core: board.core,
        });
    }
    match is_current_based(image) {
        true => Err(EstimateError::OverTime),
        false => Ok(()),
    }
}

/// Runs an image over all samples on this machine, and estimates an inference on a board from that. `done` is called with the
/// number of samples that are through.
///
/// # Errors
/// [`EstimateError`], if the core's time is not known, the network runs over time, or the data does not fit it.
pub fn estimate(
    board: &'static Board,
    image: &Image<'_>,
    data: &DataSet,
    done: &(dyn Fn(u64) + Sync),
) -> Result<Estimate, EstimateError> {
    check(board, image)?;
    let run = emulate::run(image, data, 0..data.len(), &EmulateOptions::default(), done)?;
    of_run(board, image, &run)
}

/// Estimates an inference on a board from a run of the image on this machine.
///
/// # Errors
/// As [`check`].
pub fn of_run(
    board: &'static Board,
    image: &Image<'_>,
    run: &Run,
) -> Result<Estimate, EstimateError> {
    check(board, image)?;
    let family = board.family();
    let instructions = cost::instructions(family, image, run);
    let without_waits = match per_instruction(board.core) {
        Some(each) => instructions * each,
        None => cost::cycles(family, image, run),
    };
    let steps: usize = run.trials.iter().map(|trial| trial.steps()).sum();
    let steps = steps as f64 / run.trials.len().max(1) as f64;
    let whole = Range {
        least: without_waits,
        most: without_waits,
    };
    let cycles = match board.place() {
        Some(Place::External(_)) => {
            let lines = image.bytes().len() as f64 / LINE * steps.max(1.0);
            let Range { least, most } = whole.times(1.0 - PREDICTED, 1.0 + PREDICTED);
            Range {
                least,
                most: most + lines * LINE_CYCLES,
            }
        }
        _ => whole.times(1.0 - PREDICTED, (1.0 + PREDICTED) * (1.0 + WAITS)),
    };
    let at = |fast: f64, slow: f64| cycles.times(1e-3 / fast, 1e-3 / slow);
    let full = board.clock.full_mhz;
    let energy = |current: Current| {
        let each = current.ma_per_mhz * current.volts * 1e-3;
        cycles.times(each, each)
    };
    Ok(Estimate {
        estimate: true,
        board: board.name,
        about: board,
        samples: run.trials.len(),
        steps,
        instructions,
        cycles,
        clock_mhz: full,
        milliseconds: at(full, full),
        microjoules: board.current.map(energy),
        current: board.current,
        application_milliseconds: board.clock.reset_mhz.map(|[slow, fast]| at(fast, slow)),
        better_target: (!suits(image, family)).then_some(family.name),
    })
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Board {
            title, chip, core, ..
        } = self.about;
        writeln!(
            f,
            "{} samples for {title} ({chip}, {core}): an estimate, nothing was measured",
            self.samples
        )?;
        writeln!(f, "steps         {:.2}", self.steps)?;
        writeln!(f, "instructions  {:.0}, predicted", self.instructions)?;
        let Range { least, most } = self.cycles;
        writeln!(f, "cycles        {least:.0} to {most:.0}")?;
        let Range { least, most } = self.milliseconds;
        write!(
            f,
            "time          {least:.3} to {most:.3} ms at {} MHz",
            self.clock_mhz
        )?;
        if let (Some(Range { least, most }), Some([slow, fast])) =
            (self.application_milliseconds, self.about.clock.reset_mhz)
            && fast != self.clock_mhz
        {
            let clock = match slow < fast {
                true => format!("{slow} to {fast}"),
                false => fast.to_string(),
            };
            write!(
                f,
                "\n              {least:.3} to {most:.3} ms at {clock} MHz after a reset, as the application runs"
            )?;
        }
        match (self.microjoules, self.current) {
            (Some(Range { least, most }), Some(current)) => write!(
                f,
                "\nenergy        {least:.1} to {most:.1} uJ at {} V\n              {}",
                current.volts, current.source
            )?,
            _ => write!(f, "\nenergy        no source for its current was found")?,
        }
        match self.better_target {
            Some(target) => write!(
                f,
                "\nslow          the weights are laid out for other kernels; deploy for the target {target}"
            ),
            None => Ok(()),
        }
    }
}
