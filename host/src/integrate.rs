//! Graph → Graph: rectified neurons as integrate-and-fire neurons, for images of few steps.
//!
//! A rectified neuron's activation max(J, 0) is what the mean count of an integrate-and-fire neuron
//! approaches, with an amplitude folded into the current. A leaky rectifier is the difference of two
//! halves, max(J, 0) - slope max(-J, 0). Outputs become sums over all steps. An exact image leaves this
//! pass out.

use crate::advice::Advice;
use crate::graph::{Graph, Link, Neuron, Population, Readout, Source, Target};
use crate::lower::{ForeignNeurons, LowerError};
use crate::network::NeuronType;

/// A population that stands for another one, or for a half of it.
#[derive(Clone, Copy)]
struct Half {
    /// The end of its label.
    suffix: &'static str,
    /// Factor on the current: the amplitude, negative for the half below zero.
    gain: f32,
    /// The share of its activation in the output of the whole.
    factor: f32,
}

/// Turns rectified neurons into integrate-and-fire neurons.
///
/// # Errors
/// [`LowerError::NeuronTypes`] if neurons are of another kind, [`LowerError::Unsupported`] if a link has
/// a synapse.
pub fn integrate_and_fire(graph: &Graph) -> Result<Graph, LowerError> {
    let mut foreign = Vec::new();
    let mut halves: Vec<Vec<Half>> = Vec::with_capacity(graph.populations.len());
    for population in &graph.populations {
        match &population.neuron {
            Neuron::IntegrateAndFire => halves.push(vec![Half::WHOLE]),
            Neuron::Own { neuron_type, .. } => halves.push(
                neuron_type
                    .uniform()
                    .and_then(|n| halves_of(&n))
                    .unwrap_or_else(|| {
                        foreign.push(ForeignNeurons::new(population, neuron_type));
                        Vec::new()
                    }),
            ),
        }
    }
    if !foreign.is_empty() {
        return Err(LowerError::NeuronTypes(foreign));
    }
    if let Some(link) = graph.links.iter().find(|l| l.synapse.is_some()) {
        return Err(LowerError::Unsupported {
            layer: graph.label(link.post).into(),
            what: "a synapse with a filter".into(),
            advice: "convert the network without one, or deploy it exactly",
            remedies: vec![Advice::NoSynapse, Advice::Exact],
        });
    }
    let mut first = Vec::with_capacity(halves.len());
    let mut populations = Vec::with_capacity(halves.len());
    for (population, halves) in graph.populations.iter().zip(&halves) {
        first.push(populations.len());
        populations.extend(halves.iter().map(|half| half.population(population)));
    }
    let outputs = graph.outputs.iter().cloned().map(|mut output| {
        output.readout = Readout::Sum;
        output
    });
    let mut links = Vec::with_capacity(graph.links.len());
    for (target, _) in graph.targets() {
        let posts: Vec<(Target, f32)> = match target {
            Target::Output(_) => vec![(target, 1.0)],
            Target::Population(p) => (first[p]..)
                .zip(&halves[p])
                .map(|(at, half)| (Target::Population(at), half.gain))
                .collect(),
        };
        for (post, gain) in posts {
            for (_, link) in graph.links_into(target) {
                let pres: Vec<(Source, f32)> = match link.pre {
                    Source::Input(_) => vec![(link.pre, 1.0)],
                    Source::Population(p) => (first[p]..)
                        .zip(&halves[p])
                        .map(|(at, half)| (Source::Population(at), half.factor))
                        .collect(),
                };
                links.extend(pres.into_iter().map(|(pre, factor)| {
                    let factor = gain * factor;
                    Link {
                        pre,
                        post,
                        source: link.source.clone(),
                        // Clones share their weights.
                        map: if factor == 1.0 {
                            link.map.clone()
                        } else {
                            link.map.map(|w| w * factor)
                        },
                        synapse: None,
                    }
                }));
            }
        }
    }
    links.sort_by_key(|l| l.pre);
    Ok(Graph {
        inputs: graph.inputs.clone(),
        populations,
        outputs: outputs.collect(),
        links,
    })
}

impl Half {
    const WHOLE: Self = Self {
        suffix: "",
        gain: 1.0,
        factor: 1.0,
    };

    fn population(&self, whole: &Population) -> Population {
        Population {
            label: format!("{}{}", whole.label, self.suffix),
            bias: whole.bias.iter().map(|b| b * self.gain).collect(),
            neuron: Neuron::IntegrateAndFire,
            ..whole.clone()
        }
    }
}

/// The halves that rectified neurons are made of; `None` for neurons of another kind.
fn halves_of(neuron_type: &NeuronType) -> Option<Vec<Half>> {
    Some(match *neuron_type {
        // amplitude · max(J, 0) = max(amplitude · J, 0)
        NeuronType::RectifiedLinear { amplitude }
        | NeuronType::SpikingRectifiedLinear { amplitude } => vec![Half {
            gain: amplitude,
            ..Half::WHOLE
        }],
        NeuronType::LeakyRelu {
            negative_slope,
            amplitude,
        }
        | NeuronType::SpikingLeakyRelu {
            negative_slope,
            amplitude,
        } => vec![
            Half {
                suffix: ".positive",
                gain: amplitude,
                factor: 1.0,
            },
            Half {
                suffix: ".negative",
                gain: -amplitude,
                factor: -negative_slope,
            },
        ],
        NeuronType::RegularSpiking {
            ref base,
            amplitude,
        } => {
            let mut halves = halves_of(base)?;
            for half in &mut halves {
                half.gain *= amplitude;
            }
            halves
        }
        _ => return None,
    })
}
