//! Graph → Graph: rectified neurons as integrate-and-fire neurons, for images of few steps.
//!
//! A rectified neuron's activation max(J, 0) is what the mean count of an integrate-and-fire neuron
//! approaches, with an amplitude folded into the current. A leaky rectifier is the difference of two
//! halves, max(J, 0) - slope max(-J, 0). A rectifier with a maximum, such as ReLU6, which a network has as the difference of
//! two, is one population with a ceiling. Outputs become sums over all steps. If both inputs and spikes reach a
//! population, matrices from inputs take the form of convolutions. An exact image leaves this pass out.

use crate::advice::Advice;
use crate::clip::with_ceilings;
use crate::graph::{
    Convolution, Graph, LinearMap, Link, Neuron, Population, Readout, Source, SourceMap, Target,
};
use crate::lower::{ForeignNeurons, LowerError};
use crate::network::NeuronType;
use crate::tensor::Tensor;

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
    let graph = &with_ceilings(graph);
    let mut foreign = Vec::new();
    let mut halves: Vec<Vec<Half>> = Vec::with_capacity(graph.populations.len());
    for population in &graph.populations {
        match &population.neuron {
            Neuron::IntegrateAndFire => halves.push(vec![Half::WHOLE]),
            // The largest of a difference is the largest minuend, less the least of what is taken away.
            Neuron::Pooled(_) => {
                let mut links = graph.links_into(Target::Population(halves.len()));
                let pre = links.find_map(|(_, link)| match link.pre {
                    Source::Population(p) => halves.get(p),
                    Source::Input(_) => None,
                });
                let pre: Vec<Half> = pre.into_iter().flatten().map(Half::pooled).collect();
                if pre.iter().skip(1).any(|below| below.factor > 0.0) {
                    return Err(LowerError::Unsupported {
                        layer: population.label.clone(),
                        what: "max pooling of a leaky rectifier with a slope below zero".into(),
                        advice: "train it with a slope of at least zero",
                        remedies: Vec::new(),
                    });
                }
                halves.push(pre);
            }
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
        for (post_half, (post, gain)) in posts.into_iter().enumerate() {
            for (_, link) in graph.links_into(target) {
                let counts = link.map.counts();
                let pres: Vec<(Source, f32)> = match link.pre {
                    Source::Input(_) => vec![(link.pre, 1.0)],
                    Source::Population(p) => (first[p]..)
                        .zip(&halves[p])
                        .enumerate()
                        // Each half is pooled apart.
                        .filter(|(half, _)| !counts || *half == post_half)
                        .map(|(_, (at, half))| (Source::Population(at), half.factor))
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
    let mut graph = Graph {
        inputs: graph.inputs.clone(),
        populations,
        outputs: outputs.collect(),
        links,
    };
    set_currents_apart(&mut graph);
    Ok(graph)
}

/// Turns the matrices from inputs to populations that other populations reach, too, into convolutions over one
/// place. An image computes their current apart, in units that can be finer than those of spikes.
fn set_currents_apart(graph: &mut Graph) {
    for at in 0..graph.populations.len() {
        let into = |link: &Link| link.post == Target::Population(at);
        let is_input = |link: &Link| matches!(link.pre, Source::Input(_));
        let mut links = graph.links.iter().filter(|link| into(link));
        if links.clone().all(is_input) || !links.any(is_input) {
            continue;
        }
        let neurons = graph.populations[at].neurons;
        for link in graph
            .links
            .iter_mut()
            .filter(|link| into(link) && is_input(link))
        {
            let LinearMap::Dense(dense) = &link.map else {
                continue;
            };
            let &[outputs, inputs] = dense.weights.shape() else {
                continue;
            };
            let weights = dense.weights.data();
            let by_input = (0..inputs)
                .flat_map(|input| (0..outputs).map(move |output| weights[output * inputs + input]));
            let kernel = Tensor::new(vec![1, 1, inputs, outputs], by_input.collect());
            if let (Some(kernel), SourceMap::Direct) = (kernel, &link.source) {
                link.map = LinearMap::Convolution(Convolution {
                    input: [1, 1, inputs],
                    output: [1, 1, neurons],
                    kernel,
                    stride: [1, 1],
                    padding: [0, 0],
                    dilation: [1, 1],
                    groups: 1,
                    first: dense.first,
                });
            }
        }
    }
}

impl Half {
    const WHOLE: Self = Self {
        suffix: "",
        gain: 1.0,
        factor: 1.0,
    };

    /// The half of a population that pools this one.
    fn pooled(&self) -> Self {
        Self { gain: 1.0, ..*self }
    }

    fn population(&self, whole: &Population) -> Population {
        let mut neuron = whole.neuron.clone();
        match &mut neuron {
            Neuron::Pooled(pooled) if self.factor < 0.0 => {
                pooled.least.iter_mut().for_each(|least| *least = !*least);
            }
            Neuron::Pooled(_) => {}
            _ => neuron = Neuron::IntegrateAndFire,
        }
        Population {
            label: format!("{}{}", whole.label, self.suffix),
            bias: whole.bias.iter().map(|b| b * self.gain).collect(),
            ceiling: whole.ceiling.map(|ceiling| ceiling * self.gain),
            delayed_bias: Vec::new(),
            neuron,
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
