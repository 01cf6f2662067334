//! Graph → Graph: rectifiers with a maximum, such as ReLU6, as one population with a ceiling.
//!
//! A network has min(max(J, 0), m) as max(J, 0) - max(J - m, 0), because its neurons have no maximum. In an image a
//! population has one anyway: the most spikes in a step. One population takes half the neurons, weights and events of two.

use std::borrow::Cow;

use crate::calibrate::Calibration;
use crate::graph::{Graph, LinearMap, Link, Neuron, Population, Source, Target};
use crate::network::NeuronType;

/// Two floats are one maximum if they differ by less than this share of the larger one.
const TOLERANCE: f32 = 1e-5;

/// The graph with each rectifier and its excess above a maximum as one population, whose ceiling is the maximum of J.
#[must_use]
pub fn with_ceilings(graph: &Graph) -> Cow<'_, Graph> {
    let mut ceilings = vec![None; graph.populations.len()];
    let mut gone = vec![false; graph.populations.len()];
    for below in 0..graph.populations.len() {
        let mut others = below + 1..graph.populations.len();
        let excess = others.find_map(|above| {
            let free = !gone[above] && !gone[below];
            Some((above, free.then(|| maximum(graph, below, above))??))
        });
        if let Some((above, maximum)) = excess {
            (ceilings[below], gone[above]) = (Some(maximum), true);
        }
    }
    if gone.contains(&true) {
        Cow::Owned(without(graph, &ceilings, &gone))
    } else {
        Cow::Borrowed(graph)
    }
}

/// Drops the ceilings that no activation reaches on calibration samples: its channels can be scaled one by one then.
pub fn drop_unreached(graph: &mut Graph, calibration: &Calibration) {
    for (population, seen) in graph.populations.iter_mut().zip(&calibration.populations) {
        let reached = |ceiling: &f32| seen.max >= *ceiling * (1.0 - TOLERANCE);
        population.ceiling = population.ceiling.filter(reached);
    }
}

/// The maximum of a rectifier from which on another one takes away what exceeds it; `None` if it does not.
fn maximum(graph: &Graph, below: usize, above: usize) -> Option<f32> {
    let [a, b] = [below, above].map(|at| &graph.populations[at]);
    let alike = a.neurons == b.neurons && a.shape == b.shape && a.neuron == b.neuron;
    if !alike || !rectifies(a) || !a.delayed_bias.is_empty() || !b.delayed_bias.is_empty() {
        return None;
    }
    let maximum = between(&a.bias, &b.bias)?;
    let into = [below, above].map(|at| graph.links_into(Target::Population(at)).map(|l| l.1));
    let [own, of_excess] = into;
    let same = |(a, b): (&Link, &Link)| a.pre == b.pre && a.source == b.source && a.map == b.map;
    let out = |at: usize| {
        let links = graph.links.iter();
        links.filter(move |link| link.pre == Source::Population(at))
    };
    let opposite = |(a, b): (&Link, &Link)| {
        let taken = |map: &LinearMap| map.map(|w| -w);
        // Places that count have no weights, by which something could be taken away.
        let weighs = !a.map.counts();
        weighs && a.post == b.post && a.source == b.source && a.map == taken(&b.map)
    };
    (all(own, of_excess, same) && all(out(below), out(above), opposite)).then_some(maximum)
}

/// Tells whether something holds for all pairs of as many links.
fn all<'a>(
    a: impl Iterator<Item = &'a Link>,
    b: impl Iterator<Item = &'a Link>,
    holds: impl FnMut((&'a Link, &'a Link)) -> bool,
) -> bool {
    let (a, b): (Vec<_>, Vec<_>) = (a.collect(), b.collect());
    let unfiltered = a.iter().chain(&b).all(|link| link.synapse.is_none());
    a.len() == b.len() && unfiltered && a.into_iter().zip(b).all(holds)
}

/// The difference of two biases, if it is the same in all channels and above zero.
fn between(a: &[f32], b: &[f32]) -> Option<f32> {
    let channels = a.len().max(b.len());
    let mut pairs = a.iter().cycle().zip(b.iter().cycle()).take(channels);
    let (first, than) = pairs.next()?;
    let maximum = first - than;
    let near = |(a, b): (&f32, &f32)| {
        let scale = a.abs().max(b.abs()).max(maximum);
        (a - b - maximum).abs() <= scale * TOLERANCE
    };
    (maximum > 0.0 && pairs.all(near)).then_some(maximum)
}

/// Tells whether neurons have the activation amplitude · max(J, 0).
fn rectifies(population: &Population) -> bool {
    fn is_rectifier(neuron_type: &NeuronType) -> bool {
        match neuron_type {
            NeuronType::RectifiedLinear { .. } | NeuronType::SpikingRectifiedLinear { .. } => true,
            NeuronType::RegularSpiking { base, .. } => is_rectifier(base),
            _ => false,
        }
    }
    match &population.neuron {
        Neuron::Own { neuron_type, .. } => neuron_type.uniform().is_some_and(|n| is_rectifier(&n)),
        _ => false,
    }
}

/// The graph with these ceilings, without the populations that are gone.
fn without(graph: &Graph, ceilings: &[Option<f32>], gone: &[bool]) -> Graph {
    let mut left = 0;
    let indices = gone.iter().map(|gone| {
        left += usize::from(!gone);
        (!gone).then(|| left - 1)
    });
    let indices: Vec<Option<usize>> = indices.collect();
    let populations = graph.populations.iter().zip(ceilings).zip(gone);
    let links = graph.links.iter().filter_map(|link| {
        Some(Link {
            pre: match link.pre {
                Source::Population(at) => Source::Population(indices[at]?),
                input => input,
            },
            post: match link.post {
                Target::Population(at) => Target::Population(indices[at]?),
                output => output,
            },
            ..link.clone()
        })
    });
    Graph {
        inputs: graph.inputs.clone(),
        populations: populations
            .filter(|(_, gone)| !**gone)
            .map(|((population, ceiling), _)| Population {
                ceiling: *ceiling,
                ..population.clone()
            })
            .collect(),
        outputs: graph.outputs.clone(),
        links: links.collect(),
    }
}
