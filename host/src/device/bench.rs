//! Cost of an image's inferences on a device, by its own clock.

use std::fmt;

use serde::Serialize;
use tinyspike_shared::wire::{Clock, Watch};

use super::run::{Emulator, RunError, check, output};
use super::session::{Link, Session, StackUse};
use crate::advice::{Advice, Advised};
use crate::assemble::Image;
use crate::bench::Spread;
use crate::data::DataSet;
use crate::emulate::{Encoder, HostEngine, judge};
use crate::judge::{Deviation, Figures, Tally};
use crate::stream;
use crate::text::escaped;

/// Options of a measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceBenchOptions {
    /// The core's clock, if it is known.
    pub clock_mhz: Option<f64>,
    /// Power that the device draws while it works, if it has been measured.
    pub power: Option<Power>,
}

/// Power of a device, as somebody has measured it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Power {
    /// The current in milliamperes.
    pub current_ma: f64,
    /// The voltage in volts.
    pub volts: f64,
}

/// Reason why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceBenchError {
    /// The image cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The device cannot measure time.
    #[error("the device has no counter of cycles")]
    NoClock,
    /// The device computed something else than the emulator.
    #[error("sample {sample}: the device's outputs are not the emulator's")]
    Differs {
        /// The sample, from 0.
        sample: usize,
    },
}

impl Advised for DeviceBenchError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Differs { .. } => vec![Advice::Bisect],
            _ => Vec::new(),
        }
    }
}

/// Cost of an image on a device. Over time, an inference is a step with its input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceReport {
    /// The architecture that its firmware is built for.
    pub architecture: String,
    /// The kernels that it runs.
    pub kernels: String,
    /// The counter of cycles.
    pub clock: &'static str,
    /// Number of samples that were run, or of steps over time.
    pub images: usize,
    /// `true` if the network runs over time.
    pub over_time: bool,
    /// The share of classes that the device has right, see [`crate::judge`]; `None` if there are none.
    pub accuracy: Option<f64>,
    /// The errors of the device's first output, if its targets are values.
    #[serde(flatten)]
    pub error: Option<Deviation>,
    /// Steps of an inference.
    pub steps_per_inference: f64,
    /// Cycles of whole inferences.
    pub inference: Spread,
    /// Cycles to bring the network to rest and set the input.
    pub set_up: Spread,
    /// Cycles of single steps.
    pub step: Spread,
    /// Mean milliseconds of an inference, if the clock is known.
    pub milliseconds: Option<f64>,
    /// Mean energy of an inference in microjoules, if clock, current and voltage are known.
    pub microjoules: Option<f64>,
    /// The power that this follows from.
    pub power: Option<Power>,
    /// Bytes of flash that the image takes.
    pub image_bytes: u64,
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Bytes of the input.
    pub input_bytes: u64,
    /// Bytes of RAM that nothing takes.
    pub free_ram: u32,
    /// The stack.
    pub stack: StackUse,
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.images;
        // These are a device's words.
        let (architecture, kernels) = (escaped(&self.architecture), escaped(&self.kernels));
        let [samples, inference, an_inference, step] = match self.over_time {
            true => [
                "steps over time",
                "step with its input",
                "a step",
                "  the step",
            ],
            false => ["samples", "inference", "an inference", "  each step"],
        };
        writeln!(f, "{images} {samples} on {architecture}, {kernels} kernels")?;
        let (accuracy, error) = (self.accuracy, self.error);
        write!(f, "{}", Figures { accuracy, error })?;
        if !self.over_time {
            writeln!(f, "steps    {:.2}", self.steps_per_inference)?;
        }
        let spreads = [
            (inference, self.inference),
            ("  setting the input", self.set_up),
            (step, self.step),
        ];
        Spread::write(f, &format!("cycles ({})", self.clock), &spreads)?;
        if let Some(milliseconds) = self.milliseconds {
            writeln!(f, "time: {milliseconds:.3} ms {an_inference}")?;
        }
        if let (Some(energy), Some(power)) = (self.microjoules, self.power) {
            let Power { current_ma, volts } = power;
            writeln!(
                f,
                "energy: {energy:.2} µJ {an_inference}, at the stated {current_ma} mA and {volts} V"
            )?;
        }
        writeln!(f, "flash: {} bytes of image", self.image_bytes)?;
        let (arena, input, free) = (self.arena_bytes, self.input_bytes, self.free_ram);
        let StackUse { size, high_water } = self.stack;
        write!(
            f,
            "RAM: {arena} bytes of arena, {input} of input, {high_water} of {size} of stack, {free} free"
        )
    }
}

/// Measures an image on a device that runs it. Each output is held to the emulator's. The samples of a network over time
/// are steps ([`stream::as_steps`]), one after another from rest on.
///
/// # Errors
/// [`DeviceBenchError`], if it does not run it, or cannot measure.
pub fn measure<L: Link>(
    session: &mut Session<L>,
    image: &Image<'_>,
    data: &DataSet,
    options: &DeviceBenchOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<DeviceReport, DeviceBenchError> {
    let identity = check(session, image)?;
    let clock = match identity.clock {
        Clock::CycleCounter => "DWT cycle counter",
        Clock::SysTick => "SysTick",
        Clock::None => return Err(DeviceBenchError::NoClock),
    };
    let encoder = Encoder::new(image, data).map_err(RunError::from)?;
    let mut emulator = Emulator::new(image).map_err(RunError::from)?;
    let mut arena = vec![0; image.arena_bytes() / 4];
    let over_time = stream::is_current_based(image);
    let engine = over_time.then(|| HostEngine::new(image, &mut arena));
    let mut engine = engine.transpose().map_err(RunError::from)?;
    let (mut whole, mut set_up, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    let judge = judge(image, data);
    let mut judged = Tally::default();
    let mut input = Vec::new();
    for (sample, values) in (0..data.len()).filter_map(|i| Some((i, data.sample(i)?))) {
        encoder.encode(values, &mut input);
        let expected = match &mut engine {
            Some(engine) => emulator.advance(engine, &input),
            None => emulator.infer(&input),
        };
        let expected = expected.map_err(|source| RunError::Input { sample, source })?;
        let failed = |source| RunError::Session {
            sample: Some(sample),
            source,
        };
        session.set_input(&input).map_err(failed)?;
        let work = emulator.work(&expected);
        let found = match over_time {
            true => session.advance(sample == 0, Watch::Nothing, work),
            false => session.infer(Watch::Nothing, work),
        };
        let found = found.map_err(failed)?;
        if found.outputs != expected.outputs {
            return Err(DeviceBenchError::Differs { sample });
        }
        if let Some(judge) = &judge {
            let outputs = output(image, &found, 0);
            judge.add(&mut judged, sample, outputs.into_iter());
        }
        whole.push(found.all_ticks());
        set_up.push(found.set_up.into());
        steps.extend(found.ticks.iter().map(|&ticks| u64::from(ticks)));
        progress(sample + 1);
    }
    let images = whole.len();
    let share = |n: usize| n as f64 / images.max(1) as f64;
    let inference = Spread::of(whole);
    let milliseconds = options.clock_mhz.map(|mhz| inference.mean / (mhz * 1e3));
    let running = identity.image.map_err(RunError::from)?;
    let figures = judge.map_or_else(Figures::default, |judge| judge.figures(&judged));
    Ok(DeviceReport {
        architecture: identity.architecture,
        kernels: identity.kernels,
        clock,
        images,
        over_time,
        accuracy: figures.accuracy,
        error: figures.error,
        steps_per_inference: share(steps.len()),
        inference,
        set_up: Spread::of(set_up),
        step: Spread::of(steps),
        milliseconds,
        // A milliwatt for a millisecond is a microjoule.
        microjoules: (options.power.zip(milliseconds))
            .map(|(power, time)| power.current_ma * power.volts * time),
        power: options.power,
        image_bytes: image.bytes().len() as u64,
        arena_bytes: running.arena.into(),
        input_bytes: running.input.into(),
        free_ram: identity.free_ram,
        stack: session.stack().map_err(RunError::from)?,
    })
}
