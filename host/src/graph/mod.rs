//! A network after lowering: populations, outputs and the links between them, in floats.
//!
//! Nodes, slices and relays are gone: whatever is linear between two populations is one set of weights
//! and a map of the source before them. Neurons and synapses are the network's own until a pass from
//! graph to graph changes them. A link with a synapse may lead backwards.

mod map;

use std::borrow::Cow;

use crate::network::{EnsembleId, Head, MaxPool, NeuronType, PerNeuron, Synapse};
use crate::ops::OpsError;

pub use map::{Convolution, Dense, LinearMap, SourceMap, Window};

/// A network as populations of neurons and links between them.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Inputs that the user feeds.
    pub inputs: Vec<Input>,
    /// The neurons, in topological order of the links without a synapse.
    pub populations: Vec<Population>,
    /// Outputs that the user reads.
    pub outputs: Vec<Output>,
    /// The synapses, sorted by source, inputs first.
    pub links: Vec<Link>,
}

/// An input.
#[derive(Clone, Debug)]
pub struct Input {
    /// The input node's label.
    pub label: String,
    /// Its shape without the batch axis.
    pub shape: Vec<usize>,
}

/// Neurons of one type, with J = Σ links + bias.
#[derive(Clone, Debug)]
pub struct Population {
    /// The ensemble's label.
    pub label: String,
    /// Number of neurons.
    pub neurons: usize,
    /// Height, width and channels; neurons lie in this order.
    pub shape: [usize; 3],
    /// Neuron i belongs to channel i mod `channels`.
    pub channels: usize,
    /// The bias current of each channel.
    pub bias: Vec<f32>,
    /// The part of the bias of each channel that comes from the second step on; empty if all of it comes at once.
    pub delayed_bias: Vec<f32>,
    /// Answer of its neurons to J.
    pub neuron: Neuron,
    /// The largest activation of rectified neurons, as of ReLU6; `None` for any.
    pub ceiling: Option<f32>,
    /// The network's ensemble that it stands for; `None` in a graph that comes from no network.
    pub ensemble: Option<EnsembleId>,
}

/// Answer of a neuron to its current J.
#[derive(Clone, Debug, PartialEq)]
pub enum Neuron {
    /// V += J from half the threshold on; its mean count approaches max(J, 0).
    IntegrateAndFire,
    /// The network's own neuron.
    Own {
        /// Its type, with its parameters.
        neuron_type: NeuronType<PerNeuron>,
        /// V of each neuron at the start, as a share of the threshold; empty for 0.
        voltage: Vec<f32>,
    },
    /// No neurons, but windows over the one population that reaches it.
    Pooled(Pooled),
}

/// Max pooling: the largest of each window's values, or the least.
///
/// Of counts it emits what the largest count of a window has grown by.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooled {
    /// The windows, channels last.
    pub pool: MaxPool,
    /// `true` for each channel of which the least counts.
    pub least: Vec<bool>,
}

/// Values that the user reads.
#[derive(Clone, Debug)]
pub struct Output {
    /// The probe's label.
    pub label: String,
    /// The bias of each value.
    pub bias: Vec<f32>,
    /// Readout of its values from what links bring.
    pub readout: Readout,
    /// Function after it that was left out.
    pub left_out: Option<Head>,
}

/// Readout of an output's values from what its links bring in each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Readout {
    /// The sum over all steps.
    Sum,
    /// The value in the last step, as a probe shows it.
    Shown {
        /// The probe's filter.
        synapse: Option<Synapse>,
    },
}

/// A source of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Index into [`Graph::inputs`].
    Input(usize),
    /// Index into [`Graph::populations`].
    Population(usize),
}

/// A target of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Index into [`Graph::populations`].
    Population(usize),
    /// Index into [`Graph::outputs`].
    Output(usize),
}

/// Synapses from one source to one target.
#[derive(Clone, Debug)]
pub struct Link {
    /// Source end.
    pub pre: Source,
    /// Target end.
    pub post: Target,
    /// View that the weights have of the source.
    pub source: SourceMap,
    /// The weights.
    pub map: LinearMap,
    /// The filter behind the weights, which delays by a step.
    pub synapse: Option<Synapse>,
}

impl Graph {
    /// The size of each input.
    #[must_use]
    pub fn input_sizes(&self) -> Vec<usize> {
        self.inputs.iter().map(Input::size).collect()
    }

    /// All targets, populations first, each with the number of its neurons, places or values that links reach.
    pub fn targets(&self) -> impl Iterator<Item = (Target, usize)> + '_ {
        let populations = self.populations.iter().enumerate();
        let outputs = self.outputs.iter().enumerate();
        populations
            .map(|(at, p)| (Target::Population(at), p.size_in()))
            .chain(outputs.map(|(at, o)| (Target::Output(at), o.bias.len())))
    }

    /// The label of a target.
    ///
    /// # Panics
    /// If the graph has no such target.
    #[must_use]
    pub fn label(&self, target: Target) -> &str {
        match target {
            Target::Population(p) => &self.populations[p].label,
            Target::Output(o) => &self.outputs[o].label,
        }
    }

    /// The bias of a target.
    ///
    /// # Panics
    /// If the graph has no such target.
    #[must_use]
    pub fn bias(&self, target: Target) -> &[f32] {
        match target {
            Target::Population(p) => &self.populations[p].bias,
            Target::Output(o) => &self.outputs[o].bias,
        }
    }

    /// The number of neurons, places or values of a target that links reach.
    ///
    /// # Panics
    /// If the graph has no such target.
    #[must_use]
    pub fn target_size(&self, target: Target) -> usize {
        match target {
            Target::Population(p) => self.populations[p].size_in(),
            Target::Output(o) => self.outputs[o].bias.len(),
        }
    }

    /// The number of values or neurons of a source.
    ///
    /// # Panics
    /// If the graph has no such source.
    #[must_use]
    pub fn source_size(&self, source: Source) -> usize {
        match source {
            Source::Input(i) => self.inputs[i].size(),
            Source::Population(p) => self.populations[p].neurons,
        }
    }

    /// Tells whether all neurons are the network's own and all outputs show a last value, as in an exact image.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        let own = |p: &Population| !matches!(p.neuron, Neuron::IntegrateAndFire);
        let shown = |o: &Output| matches!(o.readout, Readout::Shown { .. });
        self.populations.iter().all(own) && self.outputs.iter().all(shown)
    }

    /// The most populations of neurons that follow one another, without those that pool.
    #[must_use]
    pub fn depth(&self) -> usize {
        let mut depths = vec![0; self.populations.len()];
        for (at, population) in self.populations.iter().enumerate() {
            let before = self.links_into(Target::Population(at));
            let before = before.filter_map(|(_, link)| match link.pre {
                Source::Population(pre) if pre < at => Some(depths[pre]),
                _ => None,
            });
            let own = usize::from(!matches!(population.neuron, Neuron::Pooled(_)));
            depths[at] = before.max().unwrap_or(0) + own;
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// The links into a target, each with its index.
    pub fn links_into(&self, target: Target) -> impl Iterator<Item = (usize, &Link)> {
        let links = self.links.iter().enumerate();
        links.filter(move |(_, link)| link.post == target)
    }
}

impl Input {
    /// The number of its values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Population {
    /// The number of neurons or places that links reach.
    #[must_use]
    pub fn size_in(&self) -> usize {
        match &self.neuron {
            Neuron::Pooled(pooled) => pooled.pool.size_in(),
            _ => self.neurons,
        }
    }

    /// The activations of rectified neurons, or of windows, for their currents, sample after sample.
    #[must_use]
    pub fn activations(&self, mut currents: Vec<f32>) -> Vec<f32> {
        let Neuron::Pooled(Pooled { pool, least }) = &self.neuron else {
            let ceiling = self.ceiling.unwrap_or(f32::INFINITY);
            for a in &mut currents {
                *a = a.max(0.0).min(ceiling);
            }
            return currents;
        };
        let size = pool.size_in().max(1);
        let mut all = vec![0.0; currents.len() / size * self.neurons];
        for (x, y) in currents
            .chunks_exact(size)
            .zip(all.chunks_exact_mut(self.neurons.max(1)))
        {
            pool.apply(x, |channel| least[channel], y);
        }
        all
    }
}

impl Link {
    /// Adds what `batch` sources in `x` bring to as many targets in `y`.
    ///
    /// # Errors
    /// [`OpsError`] if the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        let seen = self.seen(batch, x);
        if self.map.counts() {
            y.iter_mut().zip(&*seen).for_each(|(y, x)| *y += x);
            return Ok(());
        }
        self.map.apply_batch(batch, &seen, y)
    }

    /// The part of `batch` sources in `x` that the weights see.
    pub(crate) fn seen<'x>(&self, batch: usize, x: &'x [f32]) -> Cow<'x, [f32]> {
        if self.source == SourceMap::Direct {
            return x.into();
        }
        let (inputs, places) = (x.len() / batch.max(1), self.map.inputs());
        let mut seen = vec![0.0; batch * places];
        for (x, seen) in x.chunks(inputs.max(1)).zip(seen.chunks_mut(places.max(1))) {
            self.source.for_each(inputs, |from, to| seen[to] += x[from]);
        }
        seen.into()
    }
}
