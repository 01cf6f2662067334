//! The integer network as it would be without rounding.

use tinyspike::graph::Source;
use tinyspike::integers;
use tinyspike_shared::image::Synapse;

use crate::reference::{driven, inbox_of, part_of, send, sizes};

/// A network, with its integer weights, in floats that do not round: what is left between it and
/// the engine is the rounding of filters, potentials and first voltages. For rectifying neurons with
/// no slope below zero, and lowpass synapses or none.
#[derive(Debug)]
pub struct Ideal<'a> {
    network: &'a integers::Network,
    /// The decay of every lowpass.
    decay: f64,
    currents: Vec<Vec<f64>>,
    shown: Vec<Vec<f64>>,
    potentials: Vec<Vec<f64>>,
}

impl<'a> Ideal<'a> {
    /// The network at rest, with these first voltages (1 is the threshold) and its inputs set.
    #[must_use]
    pub fn new(
        network: &'a integers::Network,
        inputs: &[Vec<u8>],
        voltages: &[Vec<f64>],
        decay: f64,
    ) -> Self {
        let sizes = sizes(network);
        let ensembles = network.ensembles.iter().map(|e| (&e.bias, e.current_shift));
        let outputs = network.outputs.iter().map(|o| (&o.bias, o.current_shift));
        let parts: Vec<_> = ensembles.chain(outputs).collect();
        let biases = parts.iter().zip(&sizes);
        let biases = biases.map(|((bias, _), n)| (0..*n).map(|i| f64::from(bias[i % bias.len()])));
        let mut currents: Vec<Vec<f64>> = biases.map(Iterator::collect).collect();
        for (_, part, brought) in driven(network, inputs) {
            let factor = f64::exp2(parts[part].1.into());
            for (current, brought) in currents[part].iter_mut().zip(brought) {
                *current += brought as f64 * factor;
            }
        }
        let potentials = network.ensembles.iter().zip(voltages).map(|(e, v)| {
            let threshold = |i: usize| f64::from(e.threshold[i % e.threshold.len()]);
            v.iter()
                .enumerate()
                .map(|(i, v)| v * threshold(i))
                .collect()
        });
        Self {
            currents,
            shown: sizes.iter().map(|n| vec![0.0; *n]).collect(),
            potentials: potentials.collect(),
            network,
            decay,
        }
    }

    /// One step; returns the spike counts of every ensemble.
    pub fn step(&mut self) -> Vec<Vec<i64>> {
        let network = self.network;
        let sizes = sizes(network);
        let mut arrived: Vec<Vec<i64>> = sizes.iter().map(|n| vec![0; *n]).collect();
        let mut all = Vec::new();
        for (at, e) in network.ensembles.iter().enumerate() {
            let filtered = e.inbox.is_some_and(|inbox| inbox.synapse.is_delayed());
            let mut counts = vec![0; e.neurons];
            for (i, count) in counts.iter_mut().enumerate() {
                let seen = if filtered {
                    self.shown[at][i]
                } else {
                    arrived[at][i] as f64
                };
                let threshold = f64::from(e.threshold[i % e.threshold.len()]);
                let v = &mut self.potentials[at][i];
                *v += (self.currents[at][i] + seen).max(0.0);
                let n = (*v / threshold).floor();
                *v -= n * threshold;
                *count = n as i64;
            }
            for c in &network.connections {
                if c.pre == Source::Population(at) {
                    let post = part_of(network, c.post);
                    let fraction = inbox_of(network, post).map_or(0, |inbox| inbox.fraction);
                    let values: Vec<i64> = counts.iter().map(|n| n << fraction).collect();
                    send(c, &values, &mut arrived[post]);
                }
            }
            all.push(counts);
        }
        for (at, (shown, arrived)) in self.shown.iter_mut().zip(&arrived).enumerate() {
            let synapse = inbox_of(network, at).map(|inbox| inbox.synapse);
            let Some(Synapse::Lowpass { decay }) = synapse else {
                continue;
            };
            // The gain that the unit was made for is that of the rounded decay.
            let gain = 1.0 / (1.0 - f64::from(decay) / 65_536.0);
            for (shown, u) in shown.iter_mut().zip(arrived) {
                *shown = self.decay * *shown + (1.0 - self.decay) * gain * *u as f64;
            }
        }
        all
    }
}
