//! Semantics from a recorded sample: the choices that reproduce its spikes to the last cell.

use std::path::Path;

use rayon::prelude::*;

use super::convert::Choices;
use super::error::Problem;
use super::graph::{Graph, Node};
use super::semantics::{Gain, Scheme, Semantics, Start, Traits, guess, presets};
use crate::data::{self, FloatArray};
use crate::network::{Charge, Firing, Network, NodeKind, Reset};
use crate::simulate::{Input, InputData, Run, SimulateOptions, Simulator, Watch};
use crate::tensor::Tensor;

/// Steps that all candidates run first; each that agrees runs four times as many, and so on.
const FIRST_STEPS: usize = 8;
/// Seconds per step that networks are trained with, and one step as the unit of time.
const STEPS: [f64; 11] = [
    1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 1.0,
];

/// Samples that a framework has run: what went in, and the spikes of some nodes.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `[samples, steps, ..]`.
    x: Tensor,
    /// Spikes of nodes by name: `[samples, steps, neurons]`.
    spikes: Vec<(String, Tensor)>,
}

impl Trace {
    /// Reads a trace from a `.npz`: `x` of the shape (steps, ...) or (samples, steps, ...), and for each recorded node its
    /// spikes as `NODE` or `spikes/NODE`, (steps, neurons) or (samples, steps, neurons). Other arrays are left alone.
    ///
    /// # Errors
    /// [`Problem::Trace`], if arrays are missing or do not fit the graph.
    pub fn load(path: &Path, graph: &Graph) -> Result<Self, Problem> {
        let arrays = data::arrays(path).map_err(|e| Problem::Trace(e.to_string()))?;
        Self::new(arrays, graph).map_err(|e| match e {
            Problem::Trace(reason) => Problem::Trace(format!("{}: {reason}", path.display())),
            other => other,
        })
    }

    /// A trace of arrays by their names; see [`load`](Self::load).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn new(arrays: Vec<FloatArray>, graph: &Graph) -> Result<Self, Problem> {
        let refuse = |reason: String| Problem::Trace(reason);
        let (x, rest): (Vec<FloatArray>, _) =
            arrays.into_iter().partition(|array| array.name == "x");
        let x = x.into_iter().next().ok_or_else(|| {
            refuse(
                "it has no array x: what went into the network, of the shape (steps, ...)".into(),
            )
        })?;
        let schedule = graph.schedule()?;
        let inputs: Vec<&str> = graph.inputs().collect();
        let [input] = inputs.as_slice() else {
            return Err(refuse(format!(
                "networks with {} inputs are not matched",
                inputs.len()
            )));
        };
        let shape = &schedule.shapes[*input][1];
        let size: usize = shape.iter().product();
        // The axes before the input's own, which may be one.
        let ahead = x.shape.strip_suffix(shape.as_slice());
        let ahead = ahead.or_else(|| x.shape.strip_suffix(&[size]));
        let (samples, steps) = match ahead {
            Some([steps]) => (1, *steps),
            // One sample whose axis comes after that of time.
            Some([steps, 1]) => (1, *steps),
            Some([samples, steps]) => (*samples, *steps),
            _ => {
                return Err(refuse(format!(
                    "x has the shape {:?}; (steps, ...) or (samples, steps, ...) is needed, of which a step of the input \
                     \"{input}\" takes {shape:?}. What is shown in every step has to be repeated",
                    x.shape
                )));
            }
        };
        if steps < 2 || samples == 0 {
            return Err(refuse(format!(
                "x of the shape {:?} has less than two steps, which decide nothing",
                x.shape
            )));
        }
        let shape = vec![samples, steps, size];
        let x = Tensor::new(shape, x.values).ok_or_else(|| refuse("x is empty".into()))?;
        let mut spikes = Vec::new();
        for array in rest {
            let name = array.name.strip_prefix("spikes/").unwrap_or(&array.name);
            if !matches!(graph.nodes.get(name), Some(Node::Neurons(_))) {
                continue;
            }
            let neurons: usize = schedule.shapes[name][1].iter().product();
            let found = array.shape.clone();
            if let Some(odd) = array.values.iter().find(|v| v.fract() != 0.0) {
                return Err(refuse(format!(
                    "the array of \"{name}\" holds {odd}, which is no number of spikes; record spikes, not voltages"
                )));
            }
            let tensor = Tensor::new(vec![samples, steps, neurons], array.values);
            let tensor = tensor.ok_or_else(|| {
                refuse(format!(
                    "the spikes of \"{name}\" have the shape {found:?}; {samples} samples of {steps} steps of {neurons} neurons \
                     are needed"
                ))
            })?;
            spikes.push((name.to_owned(), tensor));
        }
        if spikes.is_empty() {
            let there = graph
                .nodes
                .iter()
                .filter(|(_, n)| matches!(n, Node::Neurons(_)));
            let there: Vec<&str> = there.map(|(name, _)| name.as_str()).collect();
            return Err(refuse(format!(
                "it has no spikes of any node; name arrays after nodes: {}",
                there.join(", ")
            )));
        }
        if spikes
            .iter()
            .all(|(_, spikes)| spikes.data().iter().all(|n| *n == 0.0))
        {
            return Err(refuse(
                "no neuron of it spikes, which decides nothing".into(),
            ));
        }
        Ok(Self { x, spikes })
    }

    /// The names of the recorded nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<&str> {
        self.spikes.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Number of recorded cells: samples times steps times neurons.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.spikes.iter().map(|(_, spikes)| spikes.len()).sum()
    }

    fn steps(&self) -> usize {
        self.x.shape()[1]
    }

    /// Compares the first steps of a network's spikes with the record, which may be a step late.
    fn compare(&self, run: &Run, late: bool) -> Difference {
        let mut difference = Difference::default();
        for (name, recorded) in &self.spikes {
            let found = run.ensembles.iter().find(|e| e.label == *name);
            let Some(found) = found.and_then(|e| e.counts.as_ref()) else {
                continue;
            };
            let &[samples, all, neurons] = recorded.shape() else {
                continue;
            };
            let steps = run.steps;
            for (sample, step) in (0..samples).flat_map(|s| (0..steps).map(move |t| (s, t))) {
                let Some(shown) = step.checked_sub(usize::from(late)) else {
                    continue;
                };
                let found = &found.data()[(sample * steps + shown) * neurons..][..neurons];
                let wanted = &recorded.data()[(sample * all + step) * neurons..][..neurons];
                for (neuron, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                    if found != wanted {
                        difference.cells += 1;
                        let cell = Cell {
                            node: name.clone(),
                            sample,
                            step,
                            neuron,
                        };
                        if difference.first.as_ref().is_none_or(|f| cell.step < f.step) {
                            difference.first = Some(cell);
                        }
                    }
                }
            }
        }
        difference
    }
}

/// A cell of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cell {
    pub node: String,
    pub sample: usize,
    pub step: usize,
    pub neuron: usize,
}

/// Cells in which a network and a trace differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Their number.
    pub cells: usize,
    /// One of the earliest.
    pub first: Option<Cell>,
}

/// Semantics that were tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The choices.
    pub semantics: Semantics,
    /// The record shows each spike a step after it was fired.
    pub late: bool,
}

/// Outcome of a search.
#[derive(Clone, Debug)]
pub struct Match {
    /// Number of combinations that were tried.
    pub tried: usize,
    /// Those that reproduce every cell, the nearest to a preset first.
    pub found: Vec<Candidate>,
    /// The one that parts last, and where, if none does.
    pub best: Option<(Candidate, Difference)>,
}

/// Tries all combinations of choices that can matter in a graph on a trace. Steps are tried from `base`'s on, and no
/// others if the file itself says its step.
///
/// # Errors
/// [`Problem`], if the graph has no network at all.
pub fn search(graph: &Graph, trace: &Trace, base: &Semantics) -> Result<Match, Problem> {
    let traits = Traits::of(graph)?;
    let mut left = candidates(graph, &traits, base.dt);
    let tried = left.len();
    let mut steps = FIRST_STEPS.min(trace.steps());
    let mut best: Option<(Candidate, Difference)> = None;
    loop {
        let tested: Vec<(Candidate, Option<Difference>)> = left
            .into_par_iter()
            .map(|candidate| {
                let difference = differ(graph, trace, &candidate, steps);
                (candidate, difference)
            })
            .collect();
        let (mut same, mut parted) = (Vec::new(), Vec::new());
        for (candidate, difference) in tested {
            match difference {
                Some(Difference { cells: 0, .. }) => same.push(candidate),
                Some(difference) => parted.push((candidate, difference)),
                // The graph has no network by these choices.
                None => {}
            }
        }
        let step = |difference: &Difference| difference.first.as_ref().map_or(0, |cell| cell.step);
        let last = parted
            .into_iter()
            .max_by_key(|(_, difference)| (step(difference), std::cmp::Reverse(difference.cells)));
        if let Some((candidate, difference)) = last
            && (best.as_ref()).is_none_or(|(_, b)| step(&difference) > step(b))
        {
            best = Some((candidate, difference));
        }
        left = same;
        if left.is_empty() || steps == trace.steps() {
            break;
        }
        steps = (steps * 4).min(trace.steps());
    }
    let writer = guess(graph).preset.name;
    left.sort_by_key(|candidate| {
        let (name, changes) = nearest(&candidate.semantics, &traits, writer);
        (candidate.late, changes.len(), name != writer)
    });
    let best = match best {
        Some((candidate, _)) if left.is_empty() => {
            let whole = differ(graph, trace, &candidate, trace.steps());
            whole.map(|difference| (candidate, difference))
        }
        _ => None,
    };
    Ok(Match {
        tried,
        found: left,
        best,
    })
}

/// Every combination of choices that can make a difference in a graph.
fn candidates(graph: &Graph, traits: &Traits, first: f64) -> Vec<Candidate> {
    let known = guess(graph).fixed.contains(&"dt");
    let mut steps = vec![first];
    for dt in STEPS {
        if !known && !steps.contains(&dt) {
            steps.push(dt);
        }
    }
    let plain = Semantics::default();
    let resets = [
        plain.clone(),
        Semantics {
            late: true,
            ..plain.clone()
        },
        Semantics {
            late: true,
            keeps_input: false,
            ..plain.clone()
        },
        Semantics {
            reset: Reset::Subtract,
            ..plain.clone()
        },
        Semantics {
            reset: Reset::Subtract,
            residual_blocks: true,
            ..plain.clone()
        },
        Semantics {
            reset: Reset::Subtract,
            counts: true,
            ..plain.clone()
        },
        Semantics {
            reset: Reset::Subtract,
            late: true,
            ..plain.clone()
        },
        Semantics {
            reset: Reset::Subtract,
            late: true,
            counts: true,
            ..plain.clone()
        },
    ];
    let mut all: Vec<Semantics> = resets.into();
    let mut times = |changes: &[&dyn Fn(&mut Semantics)]| {
        all = changes
            .iter()
            .flat_map(|change| {
                all.iter().map(move |one| {
                    let mut one = one.clone();
                    change(&mut one);
                    one
                })
            })
            .collect();
    };
    times(&[&|_| (), &|s| s.fires = Firing::From]);
    times(&[&|_| (), &|s| s.gain = Gain::One]);
    times(&[&|_| (), &|s| s.floor = -1.0]);
    if traits.leaks {
        times(&[&|_| (), &|s| s.scheme = Scheme::Exact]);
    }
    if traits.currents {
        times(&[
            &|_| (),
            &|s| s.current = Charge::Last,
            &|s| s.current = Charge::Jump,
            &|s| s.current = Charge::Decayed,
        ]);
    }
    if traits.resets {
        times(&[&|_| (), &|s| s.start = Start::Reset]);
    }
    if traits.cycle_bias {
        times(&[&|_| (), &|s| s.first_bias = false]);
    }
    let late = [false, true];
    let mut found = Vec::new();
    for (at, dt) in steps.iter().enumerate() {
        for one in &all {
            // Without a leak, the step only scales the gain.
            if at > 0 && !traits.leaks && one.gain == Gain::One {
                continue;
            }
            let semantics = Semantics {
                dt: *dt,
                ..one.clone()
            };
            found.extend(late.map(|late| Candidate {
                semantics: semantics.clone(),
                late,
            }));
        }
    }
    found
}

/// Runs the first steps with some semantics; `None` if the graph has no network by them.
fn differ(graph: &Graph, trace: &Trace, candidate: &Candidate, steps: usize) -> Option<Difference> {
    let network = graph
        .convert(&Choices::from(candidate.semantics.clone()))
        .ok()?
        .network;
    let options = SimulateOptions {
        dt: candidate.semantics.dt,
        watch: Watch::Ensembles(trace.nodes().into_iter().map(str::to_owned).collect()),
        ..SimulateOptions::default()
    };
    let run = run(&network, &options, &trace.x, steps)?;
    Some(trace.compare(&run, candidate.late))
}

/// Runs the first steps of samples.
fn run(network: &Network, options: &SimulateOptions, x: &Tensor, steps: usize) -> Option<Run> {
    let &[samples, all, size] = x.shape() else {
        return None;
    };
    let input = network
        .nodes
        .iter()
        .find(|n| matches!(n.kind, NodeKind::Input { .. }))?;
    let first = x
        .data()
        .chunks_exact(all * size)
        .flat_map(|sample| &sample[..steps * size]);
    let first = Tensor::new(vec![samples, steps, size], first.copied().collect())?;
    let input = Input {
        name: input.label.clone(),
        data: InputData::Steps(first),
    };
    let simulator = Simulator::new(network, options).ok()?;
    simulator.predict(&[input], steps).ok()
}

/// The preset that is nearest to some semantics, and what it needs changed, as `key=value`. Choices that do not matter
/// count for nothing, and of presets that are as near `writer` comes first.
#[must_use]
pub fn nearest(
    semantics: &Semantics,
    traits: &Traits,
    writer: &str,
) -> (&'static str, Vec<String>) {
    let wanted = semantics.choices(Some(traits));
    let mut presets = presets();
    presets.sort_by_key(|preset| preset.name != writer);
    let each = presets.into_iter().map(|preset| {
        let own = preset.semantics.choices(Some(traits));
        let changed = wanted
            .iter()
            .zip(&own)
            .filter(|(wanted, own)| (wanted.matters || own.matters) && wanted.value != own.value);
        let changed: Vec<String> = changed
            .map(|(wanted, _)| format!("{}={}", wanted.key, wanted.value))
            .collect();
        (preset.name, changed)
    });
    each.min_by_key(|(_, changed)| changed.len())
        .unwrap_or_default()
}

/// Semantics as the command line takes them: the nearest preset, and what is changed of it.
#[must_use]
pub fn described(semantics: &Semantics, traits: &Traits, writer: &str) -> String {
    let (name, changed) = nearest(semantics, traits, writer);
    [&[name.to_owned()], changed.as_slice()].concat().join(",")
}
