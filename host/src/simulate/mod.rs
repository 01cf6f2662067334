//! Network + data → outputs and spikes: a simulation in float32 that steps as NengoDL does.
//!
//! In each step, objects are visited in topological order. A connection brings `W s` of the same
//! step, or, with a synapse, what its filter showed at the end of the step before. Neurons get the
//! current `J = bias + gain Σ`, and spiking ones put out `amplitude / dt` for each spike. Items of a
//! batch are independent: the result for one does not depend on the others, nor on the number of
//! threads. Input nodes are all that takes data; constant nodes, such as biases, never do.

mod accuracy;
mod current_based;
mod events;
mod filter;
mod kernel;
mod limits;
mod neurons;
mod plan;
mod random;
mod run;
mod seeds;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use thiserror::Error;

pub use accuracy::{Readout, accuracy};
pub use limits::Limits;
pub use random::RandomState;

use crate::judge;
use crate::network::Network;
use crate::ops::OpsError;
use crate::tensor::Tensor;
use neurons::Population;
use plan::{Kind, Plan};
pub(crate) use run::widen;
use run::{Pooling, Record, Scratch, State};

/// The most steps, or items, whose fixed values are computed together.
const ROWS: usize = 32;

/// Reason why a network cannot be simulated.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// A connection or a probe names an object that the network does not have.
    #[error("{what} names an object that the network does not have")]
    Dangling {
        /// Name of the connection or probe.
        what: String,
    },
    /// A connection does not fit its ends.
    #[error("the connection from \"{pre}\" to \"{post}\": {problem}")]
    Connection {
        /// The source's label.
        pre: String,
        /// The target's label.
        post: String,
        /// Mismatch.
        problem: String,
    },
    /// A node or an ensemble contradicts itself.
    #[error("\"{object}\": {problem}")]
    Object {
        /// Its label.
        object: String,
        /// Fault that was found.
        problem: String,
    },
    /// Objects need each other within one step.
    #[error(
        "{objects:?} need each other within one step; put a synapse on a connection between them"
    )]
    Loop {
        /// The labels of all that wait for each other.
        objects: Vec<String>,
    },
    /// Shapes that contradict each other.
    #[error("on the way to \"{object}\": {source}")]
    Ops {
        /// The target's label.
        object: String,
        /// Mismatch.
        source: OpsError,
    },
    /// A tensor node's function failed.
    #[error("tensor node \"{node}\": {reason}")]
    TensorNode {
        /// Its label.
        node: String,
        /// The function's reason.
        reason: String,
    },
    /// The step is not a positive number of seconds.
    #[error("a step of {dt} s; it must be above 0")]
    Dt {
        /// The step in seconds.
        dt: f64,
    },
    /// A voltage at the start that no neuron can have, or none at all.
    #[error("the initial voltage of \"{ensemble}\" {problem}")]
    Voltage {
        /// The ensemble's label.
        ensemble: String,
        /// Fault that was found.
        problem: String,
    },
    /// Data for something that is no input.
    #[error(
        "\"{name}\" is no input of this network; its inputs are {inputs:?} (constant nodes take no data)"
    )]
    UnknownInput {
        /// The name that was given.
        name: String,
        /// The names of the inputs.
        inputs: Vec<String>,
    },
    /// An input was given twice, or not at all.
    #[error("the input \"{name}\" was given {times} times; give each input's data once")]
    InputCount {
        /// The input's name.
        name: String,
        /// Times that it was given.
        times: usize,
    },
    /// The data of an input has the wrong shape.
    #[error("the data of \"{name}\" has the shape {found:?}, but {expected} is needed")]
    InputShape {
        /// The input's name.
        name: String,
        /// Need, in words.
        expected: String,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// A stateful simulation was continued with another number of items.
    #[error("{found} items, but the simulation runs {expected}; reset it first")]
    BatchSize {
        /// Number that it runs.
        expected: usize,
        /// Number that was given.
        found: usize,
    },
}

/// Start of the neurons' voltages. A voltage that the network itself fixes comes first.
#[derive(Clone, Debug, PartialEq)]
pub enum InitialVoltage {
    /// All at 0.
    Zero,
    /// Uniform in [0, 1), the same for every item: what Nengo draws for a network with this seed.
    Uniform {
        /// The network's seed.
        seed: u32,
    },
    /// Given voltages, by the ensemble's label.
    Given(BTreeMap<String, Tensor>),
}

impl Default for InitialVoltage {
    fn default() -> Self {
        Self::Uniform { seed: 0 }
    }
}

/// Options of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateOptions {
    /// Seconds per step.
    pub dt: f64,
    /// Start of voltages.
    pub initial_voltage: InitialVoltage,
    /// Ensembles whose spikes are kept step by step.
    pub watch: Watch,
    /// Limits of ensembles, by their labels: those of an image that runs without end.
    pub limits: BTreeMap<String, Limits>,
    /// The result of an output, which is compared with targets.
    pub readout: Readout,
}

impl Default for SimulateOptions {
    fn default() -> Self {
        Self {
            dt: 0.001,
            initial_voltage: InitialVoltage::default(),
            watch: Watch::None,
            limits: BTreeMap::new(),
            readout: Readout::default(),
        }
    }
}

/// Ensembles whose spikes are kept step by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Watch {
    /// None: only how many there were.
    #[default]
    None,
    /// Ensembles with these labels.
    Ensembles(Vec<String>),
    /// All.
    All,
}

/// The data of one input node.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The input's name: the node's label.
    pub name: String,
    /// Data that it shows.
    pub data: InputData,
}

/// Data that an input shows over the steps.
#[derive(Clone, Debug, PartialEq)]
pub enum InputData {
    /// The same at every step: an array of shape `[batch, ..]`.
    Static(Tensor),
    /// An array of shape `[batch, n_steps, ..]`.
    Steps(Tensor),
}

impl InputData {
    pub(crate) fn tensor(&self) -> &Tensor {
        let (Self::Static(tensor) | Self::Steps(tensor)) = self;
        tensor
    }
}

/// Result of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Data of the probes, in the network's order.
    pub probes: Vec<ProbeData>,
    /// Data of the ensembles, in the network's order.
    pub ensembles: Vec<EnsembleData>,
    /// Number of items.
    pub items: usize,
    /// Number of steps that each ran.
    pub steps: usize,
    /// Seconds per step.
    pub dt: f64,
    /// Time that it took.
    pub elapsed: Duration,
}

/// Data of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeData {
    /// The probe's label.
    pub label: String,
    /// Its values: `[items, steps, size]`.
    pub values: Tensor,
}

/// Data of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleData {
    /// Its label.
    pub label: String,
    /// Number of its neurons.
    pub n_neurons: usize,
    /// Number of spikes, over all items, steps and neurons; `None` if its neurons do not spike.
    pub spikes: Option<u64>,
    /// Spikes of each neuron in each step (or the output of neurons that do not spike), if watched: `[items,
    /// steps, n_neurons]`.
    pub counts: Option<Tensor>,
    /// Voltages after each step of neurons that have one, if watched: `[items, steps, n_neurons]`.
    pub potentials: Option<Tensor>,
    /// The least and the largest voltage of each current-based neuron, over all items and steps and before resets, or
    /// current that charges it; empty for others.
    pub reached: Vec<[f32; 2]>,
}

impl ProbeData {
    /// The result of each value, item by item.
    pub fn results(&self, readout: Readout) -> impl Iterator<Item = Vec<f64>> {
        let axes = self.values.shape().get(1..).unwrap_or_default();
        let each = axes.iter().product::<usize>().max(1);
        let size = axes.last().copied().unwrap_or(0);
        let items = self.values.data().chunks_exact(each);
        items.map(move |steps| readout.of(steps, size))
    }

    /// The place of the largest result of each item, the first of equals.
    pub fn decisions(&self, readout: Readout) -> impl Iterator<Item = usize> {
        self.results(readout)
            .map(|results| judge::largest(results.into_iter()))
    }
}

impl Run {
    /// An ensemble's spikes per neuron and second.
    #[must_use]
    pub fn rate(&self, ensemble: &EnsembleData) -> Option<f64> {
        let seconds = (self.items * self.steps * ensemble.n_neurons) as f64 * self.dt;
        ensemble
            .spikes
            .filter(|_| seconds > 0.0)
            .map(|n| n as f64 / seconds)
    }

    /// Items times steps per second of computation.
    #[must_use]
    pub fn item_steps_per_second(&self) -> f64 {
        (self.items * self.steps) as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// A simulation of one network.
#[derive(Clone, Debug)]
pub struct Simulator {
    plan: Plan,
    dt: f64,
    watched: Vec<bool>,
    start: State,
    /// States from which [`run_steps`](Self::run_steps) goes on, by item.
    states: Vec<State>,
}

impl Simulator {
    /// Prepares a network.
    ///
    /// # Errors
    /// [`SimulateError`] if the network contradicts itself, or the options do not fit it.
    pub fn new(network: &Network, options: &SimulateOptions) -> Result<Self, SimulateError> {
        let dt = options.dt;
        if !(dt.is_finite() && dt > 0.0) {
            return Err(SimulateError::Dt { dt });
        }
        let plan = Plan::new(network, dt)?;
        let seeds = ensemble_seeds(network, &options.initial_voltage);
        let populations = (initial_voltages(network, &options.initial_voltage)?.iter())
            .zip(&network.ensembles)
            .zip(&seeds)
            .map(|((voltage, ensemble), &seed)| {
                let limits = options.limits.get(&ensemble.label).cloned();
                Population::new(&ensemble.neuron_type, voltage, seed, limits)
            })
            .collect();
        let filters = (plan.links.iter())
            .map(|l| {
                l.filter
                    .map_or_else(Default::default, |f| f.state(l.size_out))
            })
            .collect();
        let probes = (plan.probes.iter())
            .map(|p| {
                let size = plan.objects[p.target].size_out;
                p.filter.map_or_else(Default::default, |f| f.state(size))
            })
            .collect();
        let pools = plan.objects.iter().take(plan.nodes);
        let pools = pools.map(Pooling::of).collect();
        let watched = (network.ensembles.iter())
            .map(|e| match &options.watch {
                Watch::None => false,
                Watch::All => true,
                Watch::Ensembles(labels) => labels.contains(&e.label),
            })
            .collect();
        Ok(Self {
            plan,
            dt,
            watched,
            start: State {
                populations,
                filters,
                probes,
                pools,
            },
            states: Vec::new(),
        })
    }

    /// The names of the inputs, in the network's order.
    #[must_use]
    pub fn inputs(&self) -> Vec<&str> {
        (self.plan.objects.iter())
            .filter(|o| matches!(o.kind, Kind::Input))
            .map(|o| o.label.as_str())
            .collect()
    }

    /// The voltages at the start of an ensemble's neurons; `None` if it has none, or is not there.
    #[must_use]
    pub fn initial_voltage(&self, ensemble: &str) -> Option<&[f32]> {
        let ensembles = self.plan.objects.get(self.plan.nodes..)?;
        let e = ensembles.iter().position(|o| o.label == ensemble)?;
        Some(self.start.populations.get(e)?.voltage()).filter(|v| !v.is_empty())
    }

    /// Runs every item for `n_steps` from the start, and forgets.
    ///
    /// # Errors
    /// [`SimulateError`] if the data does not fit the inputs, or a tensor node fails.
    pub fn predict(&self, inputs: &[Input], n_steps: usize) -> Result<Run, SimulateError> {
        let data = self.prepare(inputs, n_steps)?;
        let began = Instant::now();
        let chunk = self.chunk(&data);
        let records = (0..data.items.div_ceil(chunk))
            .into_par_iter()
            .map(|c| {
                let from = c * chunk;
                let items = from..data.items.min(from + chunk);
                self.simulate(&data, items, None)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.collect(&data, records, began))
    }

    /// Runs every item for `n_steps` from where the last call left it.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and where the number of items has changed since.
    pub fn run_steps(&mut self, inputs: &[Input], n_steps: usize) -> Result<Run, SimulateError> {
        let data = self.prepare(inputs, n_steps)?;
        let began = Instant::now();
        let mut states = std::mem::take(&mut self.states);
        if states.is_empty() {
            states = vec![self.start.clone(); data.items];
        } else if states.len() != data.items {
            let expected = states.len();
            self.states = states;
            return Err(SimulateError::BatchSize {
                expected,
                found: data.items,
            });
        }
        let chunk = self.chunk(&data);
        let records = states
            .par_chunks_mut(chunk)
            .enumerate()
            .map(|(c, states)| {
                let from = c * chunk;
                self.simulate(&data, from..from + states.len(), Some(states))
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.states = states;
        Ok(self.collect(&data, records, began))
    }

    /// Runs as [`run_steps`](Self::run_steps) does, for a time in seconds, rounded to whole steps.
    ///
    /// # Errors
    /// As [`run_steps`](Self::run_steps).
    pub fn run(&mut self, inputs: &[Input], seconds: f64) -> Result<Run, SimulateError> {
        self.run_steps(inputs, (seconds / self.dt).round() as usize)
    }

    /// Goes back to the start.
    pub fn reset(&mut self) {
        self.states.clear();
    }

    /// Small enough that every thread has work, large enough for matrix products.
    fn chunk(&self, data: &Data<'_>) -> usize {
        let parts = rayon::current_num_threads() * 4;
        data.items.div_ceil(parts.max(1)).clamp(1, ROWS)
    }

    fn prepare<'a>(&self, inputs: &'a [Input], steps: usize) -> Result<Data<'a>, SimulateError> {
        if let Some(unknown) = inputs
            .iter()
            .find(|i| !self.inputs().contains(&i.name.as_str()))
        {
            return Err(SimulateError::UnknownInput {
                name: unknown.name.clone(),
                inputs: self.inputs().iter().map(|s| (*s).to_owned()).collect(),
            });
        }
        let mut sources = Vec::new();
        let mut items = None;
        for (o, object) in self.plan.objects.iter().enumerate() {
            if !matches!(object.kind, Kind::Input) {
                continue;
            }
            let given: Vec<&Input> = inputs.iter().filter(|i| i.name == object.label).collect();
            let [input] = given.as_slice() else {
                return Err(SimulateError::InputCount {
                    name: object.label.clone(),
                    times: given.len(),
                });
            };
            let size = object.size_out;
            let shape = input.data.tensor().shape();
            let (fits, expected) = match &input.data {
                InputData::Static(_) => (
                    shape.len() > 1 && shape[1..].iter().product::<usize>() == size,
                    format!("[batch, ..] with {size} values for each item"),
                ),
                InputData::Steps(_) => (
                    shape.len() > 2
                        && shape[1] == steps
                        && shape[2..].iter().product::<usize>() == size,
                    format!("[batch, {steps}, ..] with {size} values for each step"),
                ),
            };
            let batch = shape.first().copied().unwrap_or(0);
            let first = *items.get_or_insert(batch);
            if !fits || batch != first {
                return Err(SimulateError::InputShape {
                    name: object.label.clone(),
                    expected: if batch == first {
                        expected
                    } else {
                        format!("a batch of {first}, as the first input's,")
                    },
                    found: shape.to_vec(),
                });
            }
            sources.push((o, &input.data));
        }
        Ok(Data {
            sources,
            // A network without inputs runs once.
            items: items.unwrap_or(1),
            steps,
        })
    }

    /// Runs these items, from the start or from `states`.
    fn simulate(
        &self,
        data: &Data<'_>,
        items: std::ops::Range<usize>,
        mut states: Option<&mut [State]>,
    ) -> Result<Record, SimulateError> {
        let plan = &self.plan;
        let dt = self.dt as f32;
        let mut record = Record::new(plan);
        let mut scratch = Scratch::new(plan);
        let mut fresh = self.start.clone();
        let first = items.start;
        // One row for each item, or for each of some steps of one item.
        let shared = if data.is_static() {
            Some(self.rows(data, items.clone(), 0..1)?)
        } else {
            None
        };
        for item in items {
            let state = match &mut states {
                Some(states) => &mut states[item - first],
                None => {
                    fresh.clone_from(&self.start);
                    &mut fresh
                }
            };
            let mut from = 0;
            while from < data.steps {
                let to = match shared {
                    Some(_) => data.steps,
                    None => data.steps.min(from + ROWS),
                };
                let own;
                let fixed = match &shared {
                    Some(fixed) => fixed,
                    None => {
                        own = self.rows(data, item..item + 1, from..to)?;
                        &own
                    }
                };
                for step in from..to {
                    let row = if shared.is_some() {
                        item - first
                    } else {
                        step - from
                    };
                    plan.step(dt, fixed, row, state, &mut scratch)?;
                    plan.record(fixed, row, &self.watched, state, &mut scratch, &mut record);
                }
                from = to;
            }
            record.end(state);
        }
        Ok(record)
    }

    /// All that is fixed, for these items and steps.
    fn rows(
        &self,
        data: &Data<'_>,
        items: std::ops::Range<usize>,
        steps: std::ops::Range<usize>,
    ) -> Result<plan::Fixed, SimulateError> {
        let rows: BTreeMap<usize, std::borrow::Cow<'_, [f32]>> = data
            .sources
            .iter()
            .map(|&(o, source)| {
                let size = self.plan.objects[o].size_out;
                let all = source.tensor().data();
                let rows = match source {
                    InputData::Static(_) if data.is_static() => {
                        std::borrow::Cow::Borrowed(&all[items.start * size..items.end * size])
                    }
                    InputData::Static(_) => {
                        all[items.start * size..][..size].repeat(steps.len()).into()
                    }
                    InputData::Steps(_) => {
                        let from = items.start * data.steps + steps.start;
                        all[from * size..(from + steps.len()) * size].into()
                    }
                };
                (o, rows)
            })
            .collect();
        let mut fixed = self.plan.fixed(items.len() * steps.len(), |o| {
            rows.get(&o).map(AsRef::as_ref).unwrap_or_default()
        })?;
        self.plan.precharge(&mut fixed, self.dt as f32);
        Ok(fixed)
    }

    fn collect(&self, data: &Data<'_>, records: Vec<Record>, began: Instant) -> Run {
        let join = |part: &dyn Fn(&Record) -> &[f32], size: usize| {
            let mut values = Vec::with_capacity(data.items * data.steps * size);
            for record in &records {
                values.extend_from_slice(part(record));
            }
            Tensor::new(vec![data.items, data.steps, size], values)
        };
        let probes = (self.plan.probes.iter().enumerate())
            .filter_map(|(p, probe)| {
                let size = self.plan.objects[probe.target].size_out;
                Some(ProbeData {
                    label: probe.label.clone(),
                    values: join(&|r| &r.probes[p], size)?,
                })
            })
            .collect();
        let ensembles = (self.plan.objects.iter().skip(self.plan.nodes).enumerate())
            .map(|(e, object)| EnsembleData {
                label: object.label.clone(),
                n_neurons: object.size_out,
                spikes: object.spiking().then(|| {
                    records
                        .iter()
                        .fold(0, |n: u64, r| n.saturating_add(r.spikes[e]))
                }),
                counts: if self.watched[e] {
                    join(&|r| &r.counts[e], object.size_out)
                } else {
                    None
                },
                potentials: if self.watched[e] && object.has_voltage() {
                    join(&|r| &r.potentials[e], object.size_out)
                } else {
                    None
                },
                reached: records.iter().fold(Vec::new(), |mut all, r| {
                    widen(&mut all, r.reached[e].iter().copied());
                    all
                }),
            })
            .collect();
        Run {
            probes,
            ensembles,
            items: data.items,
            steps: data.steps,
            dt: self.dt,
            elapsed: began.elapsed(),
        }
    }
}

/// Input data that fits the network.
struct Data<'a> {
    /// Object and data of every input.
    sources: Vec<(usize, &'a InputData)>,
    items: usize,
    steps: usize,
}

impl Data<'_> {
    fn is_static(&self) -> bool {
        (self.sources.iter()).all(|(_, data)| matches!(data, InputData::Static(_)))
    }
}

fn ensemble_seeds(network: &Network, wanted: &InitialVoltage) -> Vec<u32> {
    match wanted {
        InitialVoltage::Uniform { seed } => seeds::ensembles(network, *seed),
        _ => seeds::ensembles(network, 0),
    }
}

/// First voltages of each ensemble's neurons.
pub(crate) fn initial_voltages(
    network: &Network,
    wanted: &InitialVoltage,
) -> Result<Vec<Vec<f32>>, SimulateError> {
    let seeds = ensemble_seeds(network, wanted);
    let ensembles = network.ensembles.iter().zip(&seeds);
    ensembles
        .map(|(ensemble, &seed)| initial_voltage(ensemble, seed, wanted))
        .collect()
}

fn initial_voltage(
    ensemble: &crate::network::Ensemble,
    seed: u32,
    wanted: &InitialVoltage,
) -> Result<Vec<f32>, SimulateError> {
    let n = ensemble.n_neurons;
    let problem = |problem: String| SimulateError::Voltage {
        ensemble: ensemble.label.clone(),
        problem,
    };
    let given = match (&ensemble.initial_voltage, wanted) {
        (Some(voltage), _) => voltage,
        (None, InitialVoltage::Given(voltages)) => match voltages.get(&ensemble.label) {
            Some(voltage) => voltage,
            None if ensemble.neuron_type.integrates() => {
                return Err(problem("is missing".to_owned()));
            }
            None => return Ok(vec![0.0; n]),
        },
        (None, InitialVoltage::Zero) => return Ok(vec![0.0; n]),
        (None, InitialVoltage::Uniform { .. }) => {
            let mut rng = RandomState::new(seed.wrapping_add(1));
            return Ok((0..n).map(|_| rng.random_sample() as f32).collect());
        }
    };
    if given.len() != n {
        return Err(problem(format!(
            "has {} values for {n} neurons",
            given.len()
        )));
    }
    match given.data().iter().find(|v| !(v.is_finite() && **v >= 0.0)) {
        Some(v) => Err(problem(format!("contains {v}; it must be at least 0"))),
        None => Ok(given.data().to_vec()),
    }
}
