//! Random graphs with synapses, recurrent connections and all kinds of neurons beside each other, through the one
//! quantizing driver: the engine runs them as the integer network in 64 bits does, with and without end, and
//! nothing leaves the bounds that the integer network states.

use tinyspike::assemble::assemble;
use tinyspike::calibrate::{Calibration, Range};
use tinyspike::emulate::HostEngine;
use tinyspike::graph::{
    Dense, Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source, SourceMap,
    Target,
};
use tinyspike::integers::{self, Steps};
use tinyspike::network::{NeuronType, Synapse};
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::tensor::Tensor;
use tinyspike_shared::image;
use tinyspike_tests::counts::Counts;
use tinyspike_tests::model::neurons;
use tinyspike_tests::reference::Reference;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number from -1 to 1.
    fn signed(&mut self) -> f32 {
        (self.next() % (1 << 20)) as f32 / (1 << 19) as f32 - 1.0
    }

    fn synapse(&mut self) -> Option<Synapse> {
        let tau = [0.0, 0.002, 0.005, 0.05][self.below(4)];
        match self.below(3) {
            0 => None,
            1 => Some(Synapse::Lowpass { tau }),
            _ => Some(Synapse::Alpha { tau }),
        }
    }

    /// Neurons, and a current that makes them spike in most steps.
    fn neuron(&mut self) -> (Neuron, f32) {
        let (neuron_type, current) = match self.below(4) {
            0 => return (Neuron::IntegrateAndFire, 0.3),
            1 => (neurons("spiking-relu"), 600.0),
            2 => (
                NeuronType::SpikingLeakyRelu {
                    negative_slope: 0.3,
                    amplitude: 1.0,
                },
                600.0,
            ),
            _ => (neurons("lif"), 4.0),
        };
        let own = Neuron::Own {
            neuron_type: neuron_type.into(),
            voltage: Vec::new(),
        };
        (own, current)
    }
}

fn graph(random: &mut Random, endless: bool) -> Graph {
    let size = 1 + random.below(6);
    let mut graph = Graph {
        inputs: vec![Input {
            label: "in".into(),
            shape: vec![size],
        }],
        populations: Vec::new(),
        outputs: Vec::new(),
        links: Vec::new(),
    };
    let kinds: Vec<(Neuron, f32)> = (0..1 + random.below(4)).map(|_| random.neuron()).collect();
    for (at, (neuron, current)) in kinds.iter().enumerate() {
        let neurons = 1 + random.below(10);
        graph.populations.push(Population {
            label: format!("layer{at}"),
            neurons,
            shape: [1, 1, neurons],
            channels: neurons,
            bias: (0..neurons).map(|_| random.signed() * current).collect(),
            delayed_bias: Vec::new(),
            neuron: neuron.clone(),
            ceiling: None,
            ensemble: None,
        });
    }
    for at in 0..2 {
        let readout = match random.below(3) {
            0 if !endless => Readout::Sum,
            1 => Readout::Shown { synapse: None },
            _ => Readout::Shown {
                synapse: Some(Synapse::Lowpass { tau: 0.01 }),
            },
        };
        graph.outputs.push(Output {
            label: format!("out{at}"),
            // A probe's filter takes neurons alone.
            bias: match readout {
                Readout::Shown { synapse: Some(_) } => vec![0.0; 1 + random.below(4)],
                _ => vec![random.signed(); 1 + random.below(4)],
            },
            readout,
            left_out: None,
        });
    }
    let targets: Vec<(Target, usize)> = graph.targets().collect();
    for (target, rows) in targets {
        let (synapse, current) = match target {
            Target::Population(p) => (random.synapse(), kinds[p].1),
            // A probe's filter is the only one into it.
            Target::Output(_) => (None, 1.0),
        };
        let mut link = |pre, columns: usize, scale: f32, synapse| {
            let data = (0..rows * columns).map(|_| random.signed() * scale);
            graph.links.push(Link {
                pre,
                post: target,
                source: SourceMap::Direct,
                map: LinearMap::Dense(Dense {
                    weights: Tensor::new(vec![rows, columns], data.collect()).unwrap(),
                    first: 0,
                }),
                synapse,
            });
        };
        let filtered = match target {
            Target::Population(_) => false,
            Target::Output(o) => matches!(
                graph.outputs[o].readout,
                Readout::Shown { synapse: Some(_) }
            ),
        };
        if !filtered {
            link(Source::Input(0), size, current, None);
        }
        for (pre, population) in graph.populations.iter().enumerate() {
            // Without a delay, what comes must have been there before.
            let earlier = match target {
                Target::Population(p) => pre < p,
                Target::Output(_) => true,
            };
            if earlier || synapse.is_some() {
                // A spike of the network's own neurons counts for a thousand.
                let spike = match population.neuron {
                    Neuron::IntegrateAndFire | Neuron::Pooled(_) => 1.0,
                    Neuron::Own { .. } => 0.001,
                };
                let pre = Source::Population(pre);
                link(pre, population.neurons, current * spike, synapse);
            }
        }
    }
    graph.links.sort_by_key(|l| l.pre);
    graph
}

/// Features that the networks of this test had, so that none goes untested.
#[derive(Debug, Default)]
struct Seen {
    recurrent: u64,
    integrators_with_inbox: u64,
    saturated: u64,
    spikes: u64,
}

fn check(seed: u64, random: &mut Random, seen: &mut Seen) {
    let endless = random.below(3) == 0;
    let graph = graph(random, endless);
    let options = QuantizeOptions {
        steps: if endless {
            0
        } else {
            1 + random.below(40) as u16
        },
        max_count: 1 + random.below(20) as u8,
        weight_bits: if graph.is_exact() { 16 } else { 8 },
        ..QuantizeOptions::default()
    };
    let calibration = Calibration {
        inputs: vec![Range {
            min: -1.0,
            max: 1.0,
        }],
        channels: Vec::new(),
        populations: Vec::new(),
        potentials: Vec::new(),
        samples: 0,
    };
    let network = quantize(&graph, &calibration, &options)
        .unwrap_or_else(|e| panic!("{seed}: {e}\n{graph:#?}"));
    let image = assemble(&network).unwrap();
    let image = image.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let mut input: Vec<u8> = (0..network.inputs[0].size)
        .map(|_| random.below(256) as u8)
        .collect();
    engine.set_input(&input).unwrap();
    let mut reference = Reference::new(&network, &[input.clone()]);
    for step in 0..network.steps.limit().unwrap_or(300) {
        if endless && step == 200 {
            input.iter_mut().for_each(|byte| *byte = !*byte);
            engine.set_input(&input).unwrap();
            reference.set(&[input.clone()]);
        }
        let mut counts = Counts(
            network
                .ensembles
                .iter()
                .map(|e| vec![0; e.neurons])
                .collect(),
        );
        assert!(engine.step_probed(&mut counts));
        assert_eq!(
            counts.0,
            reference.step(),
            "{seed}: step {step}\n{network:#?}"
        );
        seen.spikes += counts
            .0
            .iter()
            .flatten()
            .map(|n| n.unsigned_abs())
            .sum::<u64>();
        for (at, sums) in reference.sums.iter().enumerate() {
            let shown: Vec<i64> = engine
                .output(at)
                .sums()
                .iter()
                .map(|s| i64::from(*s))
                .collect();
            assert_eq!(
                shown, *sums,
                "{seed}: step {step}, output {at}\n{network:#?}"
            );
        }
        for (e, potentials) in network.ensembles.iter().zip(&reference.potentials) {
            let limits = i64::from(e.potential_min)..=i64::from(e.potential_max);
            let thresholds = e.threshold.iter().cycle();
            let lif = matches!(e.neuron, image::Neuron::Lif(_));
            for (v, threshold) in potentials
                .iter()
                .zip(thresholds)
                .filter(|_| endless && !lif)
            {
                let v = v - i64::from(*threshold);
                assert!(limits.contains(&v), "{seed}: {v} in {limits:?}");
                seen.saturated += u64::from(v == *limits.start() && v < -1 << 29);
            }
        }
    }
    bounds_hold(seed, &network, &reference);
    seen.recurrent += u64::from(graph.links.iter().any(|l| match (l.pre, l.post) {
        (Source::Population(pre), Target::Population(post)) => pre >= post,
        _ => false,
    }));
    seen.integrators_with_inbox += u64::from(
        network
            .ensembles
            .iter()
            .any(|e| e.neuron == image::Neuron::IntegrateAndFire && e.inbox.is_some()),
    );
}

fn bounds_hold(seed: u64, network: &integers::Network, reference: &Reference<'_>) {
    let outputs = network.outputs.iter().map(|o| o.inbox);
    let inboxes = network.ensembles.iter().map(|e| e.inbox).chain(outputs);
    for (inbox, seen) in inboxes.zip(&reference.inbox_seen) {
        let Some(inbox) = inbox else { continue };
        assert!(i64::from(inbox.min) <= seen.0, "{seed}: {inbox:?} {seen:?}");
        assert!(i64::from(inbox.max) >= seen.1, "{seed}: {inbox:?} {seen:?}");
    }
    for (e, seen) in network.ensembles.iter().zip(&reference.potential_seen) {
        let all = format!("{seed}: {} {seen:?} {e:#?}", e.label);
        if network.steps == Steps::Endless {
            assert!(
                i64::from(i32::MIN) <= seen.0 && seen.1 <= i32::MAX.into(),
                "{all}"
            );
        } else if seen.1 > i64::MIN {
            assert!(i64::from(e.potential_min) <= seen.0, "{all}");
            assert!(i64::from(e.potential_max) >= seen.1, "{all}");
        }
    }
}

#[test]
fn random_graphs_run_as_their_integers_say() {
    let mut seen = Seen::default();
    for seed in 1..=600 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        for _ in 0..4 {
            random.next();
        }
        check(seed, &mut random, &mut seen);
    }
    assert!(seen.recurrent > 100, "{seen:?}");
    assert!(seen.integrators_with_inbox > 100, "{seen:?}");
    assert!(seen.saturated > 100, "{seen:?}");
    assert!(seen.spikes > 10_000, "{seen:?}");
}
