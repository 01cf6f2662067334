//! Network + data set → accuracy and firing rates, in floats.
//!
//! [`Simulator`] runs samples; here is what a whole data set comes to, block by block, so that any
//! number of samples fits into memory.

use std::time::Duration;

use serde::Serialize;

use crate::advice::{Advice, Advised};
use crate::inputs::{Inputs, InputsError};
use crate::judge::{self, Deviation, Figures, Judge, Tally};
use crate::network::{Network, Pre};
use crate::simulate::{Readout, Run, SimulateError, SimulateOptions, Simulator, Watch};

/// Most samples that are simulated at a time.
const BLOCK: usize = 256;

/// Most values of outputs, and of watched ensembles, that are held at a time: 1 GiB.
const MAX_VALUES: usize = 1 << 28;

/// Number of last steps whose mean gives the second accuracy.
const WINDOW: usize = 10;

/// Reasons why a network is not simulated on a data set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The data does not fit the network's inputs.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The network cannot be simulated.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The data has fewer steps.
    #[error("the data has {found} steps, fewer than {asked}")]
    Steps {
        /// Number of steps that were asked for.
        asked: usize,
        /// Number of steps of the data.
        found: usize,
    },
    /// The outputs of one sample do not fit into memory.
    #[error(
        "{steps} steps of {values} values each are more than the {limit} values that are held at a time"
    )]
    TooLong {
        /// Number of steps.
        steps: usize,
        /// Number of values of outputs and watched ensembles in a step.
        values: usize,
        /// Most values that are held.
        limit: usize,
    },
    /// The data is the same in all steps, and nobody says how many.
    #[error(
        "the samples have no axis of time, and are shown in every step: it is open for how many"
    )]
    NoSteps,
}

impl Advised for SimulationError {
    fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Steps { found, .. } => vec![Advice::RunSteps(Some(*found))],
            Self::TooLong { values, limit, .. } => {
                vec![Advice::RunSteps(limit.checked_div(*values))]
            }
            Self::NoSteps => vec![Advice::RunSteps(None)],
            _ => Vec::new(),
        }
    }
}

/// Outcome of a simulation. Means are per sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulation {
    /// Number of samples.
    pub images: usize,
    /// Number of steps of each.
    pub steps: usize,
    /// Seconds per step.
    pub dt: f64,
    /// The share of classes that the first output's result has right, see [`Judge`] and [`SimulateOptions::readout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The errors of the first output's result, if its targets are values.
    #[serde(flatten)]
    pub error: Option<Deviation>,
    /// The accuracy by the mean of the last ten steps, if the result is that of the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_mean_10: Option<f64>,
    /// Spikes; `None` if no neurons spike.
    pub spikes_per_image: Option<f64>,
    /// Each ensemble's share.
    pub ensembles: Vec<EnsembleSimulation>,
    /// Samples times steps per second of computation.
    pub image_steps_per_second: f64,
}

/// An ensemble's share of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnsembleSimulation {
    /// Its label.
    pub label: String,
    /// Number of its neurons.
    pub neurons: usize,
    /// Their type.
    pub neuron_type: String,
    /// Spikes per neuron and second; `None` of neurons that do not spike.
    pub rate_hz: Option<f64>,
    /// Spikes; `None` of neurons that do not spike.
    pub spikes_per_image: Option<f64>,
}

/// The number of steps to run: those that are asked for, or as many as the data is found to have.
///
/// # Errors
/// [`SimulationError::Steps`] and [`SimulationError::NoSteps`].
pub fn steps(asked: Option<usize>, found: Option<usize>) -> Result<usize, SimulationError> {
    match (asked, found) {
        (Some(asked), Some(found)) if asked > found => Err(SimulationError::Steps { asked, found }),
        (Some(steps), _) | (None, Some(steps)) => Ok(steps),
        (None, None) => Err(SimulationError::NoSteps),
    }
}

/// Simulates a network on all samples. `visit` is handed each block's run.
///
/// # Errors
/// [`SimulationError`], if data, steps and network do not fit one another.
pub fn simulate(
    network: &Network,
    inputs: &Inputs,
    asked: Option<usize>,
    options: &SimulateOptions,
    visit: &mut dyn FnMut(&Run),
) -> Result<Simulation, SimulationError> {
    let steps = steps(asked, inputs.steps())?;
    let simulator = Simulator::new(network, options)?;
    let values = values_in_a_step(network, options);
    let block = match MAX_VALUES.checked_div(values.saturating_mul(steps)) {
        Some(0) => {
            return Err(SimulationError::TooLong {
                steps,
                values,
                limit: MAX_VALUES,
            });
        }
        Some(samples) => samples.min(BLOCK),
        None => BLOCK,
    };
    let block = block.min(inputs.block(steps));
    let mut sums = Sums::new(network, inputs, options.readout);
    for from in (0..inputs.len()).step_by(block) {
        let samples = from..inputs.len().min(from + block);
        let run = simulator.predict(&inputs.nodes(samples, steps), steps)?;
        sums.add(&run, from);
        visit(&run);
    }
    Ok(sums.report(network, inputs.len(), steps, options.dt))
}

/// Number of values that a run keeps of each sample in each step.
fn values_in_a_step(network: &Network, options: &SimulateOptions) -> usize {
    let outputs = (network.probes.iter()).map(|probe| size_of(network, probe.target));
    let watched = network.ensembles.iter().filter(|e| match &options.watch {
        Watch::None => false,
        Watch::Ensembles(labels) => labels.contains(&e.label),
        Watch::All => true,
    });
    let watched = watched.map(|e| e.n_neurons);
    outputs.chain(watched).fold(0, usize::saturating_add)
}

/// The judge of a network's first output, if the data has targets that fit.
#[must_use]
pub fn judge<'i>(network: &Network, inputs: &'i Inputs) -> Option<Judge<'i>> {
    inputs.judge(outputs(network)?, judge::threshold(network))
}

/// Number of values of a network's first output.
#[must_use]
pub fn outputs(network: &Network) -> Option<usize> {
    let (_, probe) = network.outputs.first()?;
    let probe = network.probes.get(probe.0)?;
    Some(size_of(network, probe.target))
}

/// The result of a network's first output unless another is asked for: of spikes their sum, else the last value.
#[must_use]
pub fn readout(network: &Network) -> Readout {
    let probe = network.outputs.first();
    let probe = probe.and_then(|(_, probe)| network.probes.get(probe.0));
    let spikes = probe.is_some_and(|probe| match probe.target {
        Pre::Neurons(e) => {
            let neurons = network.ensembles.get(e.0).map(|e| &e.neuron_type);
            neurons.is_some_and(|neurons| neurons.rule().is_some() && neurons.spikes())
        }
        Pre::Node(_) => false,
    });
    if spikes { Readout::Sum } else { Readout::Last }
}

/// Number of values of a source.
fn size_of(network: &Network, source: Pre) -> usize {
    match source {
        Pre::Node(n) => network.nodes.get(n.0).map_or(0, |n| n.size_out),
        Pre::Neurons(e) => network.ensembles.get(e.0).map_or(0, |e| e.n_neurons),
    }
}

/// Counts over all blocks.
struct Sums<'a> {
    /// The place of the first output's probe.
    output: Option<usize>,
    judge: Option<Judge<'a>>,
    spikes: Vec<Option<u64>>,
    readout: Readout,
    /// Comparisons of the result, and of the mean of the last steps.
    tallies: [Tally; 2],
    elapsed: Duration,
}

impl<'a> Sums<'a> {
    fn new(network: &Network, inputs: &'a Inputs, readout: Readout) -> Self {
        let output = network.outputs.first().map(|(_, probe)| probe.0);
        Self {
            output,
            judge: judge(network, inputs),
            spikes: vec![None; network.ensembles.len()],
            readout,
            tallies: <[Tally; 2]>::default(),
            elapsed: Duration::ZERO,
        }
    }

    /// Adds a run of the samples from `from` on.
    fn add(&mut self, run: &Run, from: usize) {
        for (sum, ensemble) in self.spikes.iter_mut().zip(&run.ensembles) {
            if let Some(spikes) = ensemble.spikes {
                let sum = sum.get_or_insert(0);
                *sum = sum.saturating_add(spikes);
            }
        }
        let output = self.output.and_then(|at| run.probes.get(at));
        if let (Some(judge), Some(output)) = (&self.judge, output) {
            let readouts = [self.readout, Readout::Mean(WINDOW)];
            for (tally, readout) in self.tallies.iter_mut().zip(readouts) {
                judge.add_all(tally, from, output.results(readout));
            }
        }
        self.elapsed += run.elapsed;
    }

    fn report(&self, network: &Network, images: usize, steps: usize, dt: f64) -> Simulation {
        let figures = |tally| match &self.judge {
            Some(judge) => judge.figures(tally),
            None => Figures::default(),
        };
        let [last, mean] = self.tallies.each_ref().map(figures);
        let per_image = |spikes: u64| spikes as f64 / images.max(1) as f64;
        Simulation {
            images,
            steps,
            dt,
            accuracy: last.accuracy,
            error: last.error,
            accuracy_mean_10: mean
                .accuracy
                .filter(|_| self.readout == Readout::Last && steps >= WINDOW),
            spikes_per_image: (self.spikes.iter().flatten())
                .copied()
                .reduce(|a, b| a + b)
                .map(per_image),
            ensembles: (network.ensembles.iter().zip(&self.spikes))
                .map(|(e, spikes)| EnsembleSimulation {
                    label: e.label.clone(),
                    neurons: e.n_neurons,
                    neuron_type: e.neuron_type.to_string(),
                    rate_hz: spikes
                        .map(|n| per_image(n) / (steps.max(1) * e.n_neurons.max(1)) as f64 / dt),
                    spikes_per_image: spikes.map(per_image),
                })
                .collect(),
            image_steps_per_second: (images * steps) as f64 / self.elapsed.as_secs_f64().max(1e-9),
        }
    }
}
