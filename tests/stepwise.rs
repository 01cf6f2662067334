//! Networks that run step by step as Nengo's do, spelt out: in integers as their definition says it,
//! and in floats as they would be without rounding.

use tinyspike::graph::{Source, Target};
use tinyspike::quantize::{Initial, Kind, PartDynamics, Quantized};
use tinyspike_shared::image::dynamics::Synapse;

use crate::reference::send;

/// What a filter remembers.
#[derive(Clone, Debug, Default)]
struct Filter<T> {
    /// What it takes up.
    p: Vec<T>,
    /// What stands behind that.
    q: Vec<T>,
    /// What it shows.
    shown: Vec<T>,
}

/// The parts of a network: its ensembles, then its outputs.
fn parts(network: &Quantized) -> Vec<(&PartDynamics, usize, &[i32])> {
    let dynamics = network.dynamics.as_ref().expect("a stepwise network");
    let ensembles = network.ensembles.iter().zip(&dynamics.ensembles);
    let outputs = network.outputs.iter().zip(&dynamics.outputs);
    ensembles
        .map(|(e, d)| (d, e.neurons, e.bias.as_slice()))
        .chain(outputs.map(|(o, d)| (d, o.bias.len(), o.bias.as_slice())))
        .collect()
}

fn part_of(network: &Quantized, post: Target) -> usize {
    match post {
        Target::Population(p) => p,
        Target::Output(o) => network.ensembles.len() + o,
    }
}

/// What inputs bring to each part, without its shift and bias.
fn driven(network: &Quantized, inputs: &[Vec<u8>]) -> Vec<Vec<i64>> {
    let sizes = parts(network).into_iter().map(|(_, n, _)| vec![0; n]);
    let mut sums: Vec<Vec<i64>> = sizes.collect();
    for c in &network.connections {
        let Source::Input(i) = c.pre else { continue };
        let zero = i64::from(network.inputs[i].zero_point);
        let values: Vec<i64> = inputs[i].iter().map(|&b| i64::from(b) - zero).collect();
        send(c, &values, &mut sums[part_of(network, c.post)]);
    }
    sums
}

/// The share of the threshold at which a neuron starts, in parts of 2^16.
fn share(initial: &Initial, neuron: usize) -> i64 {
    match initial {
        Initial::Zero => 0,
        Initial::Half => 1 << 15,
        Initial::Values(values) => values[neuron].into(),
    }
}

fn start(kind: &Kind) -> &Initial {
    match kind {
        Kind::Readout { .. } => &Initial::Zero,
        Kind::Rectified { initial, .. } | Kind::Lif { initial, .. } => initial,
    }
}

/// `x` · `factor` / 2^16, rounded to nearest, ties up.
fn scaled(x: i64, factor: u16) -> i64 {
    (x * i64::from(factor) + (1 << 15)).div_euclid(1 << 16)
}

/// The network in integers.
#[derive(Debug)]
pub struct Stepwise<'a> {
    network: &'a Quantized,
    /// The current of each part's neurons (or values).
    currents: Vec<Vec<i64>>,
    filters: Vec<Filter<i64>>,
    /// V of every neuron.
    pub potentials: Vec<Vec<i64>>,
    /// The refractory time of every LIF neuron.
    refractory: Vec<Vec<i64>>,
    /// The values of every output.
    pub sums: Vec<Vec<i64>>,
    /// The extremes of each part's filter.
    pub filter_seen: Vec<(i64, i64)>,
    /// The extremes of each ensemble's potentials less the threshold, before spikes are taken off.
    pub potential_seen: Vec<(i64, i64)>,
}

impl<'a> Stepwise<'a> {
    /// The network at rest with its inputs set.
    #[must_use]
    pub fn new(network: &'a Quantized, inputs: &[Vec<u8>]) -> Self {
        let parts = parts(network);
        let mut currents = driven(network, inputs);
        for (sums, (dynamics, _, bias)) in currents.iter_mut().zip(&parts) {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = match dynamics.current_shift {
                    shift @ 0.. => *sum << shift,
                    shift => {
                        let half = 1 << (shift.unsigned_abs() - 1);
                        (*sum + half) >> shift.unsigned_abs()
                    }
                };
                *sum += i64::from(bias[i % bias.len()]);
            }
        }
        let filters = parts.iter().map(|(_, n, _)| Filter {
            p: vec![0; *n],
            q: vec![0; *n],
            shown: vec![0; *n],
        });
        let filters = filters.collect();
        let potentials = network.ensembles.iter().zip(&parts).map(|(e, (d, n, _))| {
            let bits = match &d.kind {
                Kind::Lif { leak, .. } => leak.voltage_bits,
                _ => 0,
            };
            let threshold = |i: usize| i64::from(e.threshold[i % e.threshold.len()]) << bits;
            (0..*n)
                .map(|i| (threshold(i) * share(start(&d.kind), i)) >> 16)
                .collect()
        });
        Self {
            potentials: potentials.collect(),
            refractory: network
                .ensembles
                .iter()
                .map(|e| vec![0; e.neurons])
                .collect(),
            sums: network
                .outputs
                .iter()
                .map(|o| vec![0; o.bias.len()])
                .collect(),
            filter_seen: vec![(0, 0); parts.len()],
            potential_seen: vec![(0, i64::MIN); network.ensembles.len()],
            network,
            currents,
            filters,
        }
    }

    /// One step; returns the spike counts of every ensemble.
    pub fn step(&mut self) -> Vec<Vec<i64>> {
        let network = self.network;
        let parts = parts(network);
        // What reaches each part in this step.
        let mut arrived: Vec<Vec<i64>> = parts.iter().map(|(_, n, _)| vec![0; *n]).collect();
        let mut all = Vec::new();
        for (at, e) in network.ensembles.iter().enumerate() {
            let dynamics = parts[at].0;
            let mut counts = vec![0; e.neurons];
            for (i, count) in counts.iter_mut().enumerate() {
                let seen = match dynamics.synapse {
                    None => 0,
                    Some(Synapse::Through) => arrived[at][i],
                    Some(_) => self.filters[at].shown[i],
                };
                let j = self.currents[at][i] + seen;
                let threshold = i64::from(e.threshold[i % e.threshold.len()]);
                *count = self.fire(at, i, j, threshold, dynamics, i64::from(e.max_count));
            }
            for c in &network.connections {
                if c.pre == Source::Population(at) {
                    let post = part_of(network, c.post);
                    let fraction = parts[post].0.fraction;
                    let values: Vec<i64> = counts.iter().map(|n| n << fraction).collect();
                    send(c, &values, &mut arrived[post]);
                }
            }
            all.push(counts);
        }
        let shown_before: Vec<Vec<i64>> = self.filters.iter().map(|f| f.shown.clone()).collect();
        for (at, (dynamics, n, _)) in parts.iter().enumerate() {
            let filter = &mut self.filters[at];
            let seen = &mut self.filter_seen[at];
            for (i, &u) in arrived[at].iter().enumerate().take(*n) {
                let (p, y) = (filter.p[i], filter.shown[i]);
                match dynamics.synapse {
                    None | Some(Synapse::Through) => filter.p[i] = u,
                    Some(Synapse::Lowpass { decay }) => filter.p[i] = scaled(p, decay) + u,
                    Some(Synapse::Alpha { decay, feed }) => {
                        filter.p[i] = scaled(p, decay) + u;
                        filter.q[i] = scaled(y, decay) + scaled(p, feed);
                    }
                }
                filter.shown[i] = filter.p[i] + filter.q[i];
                for x in [filter.p[i], filter.q[i], filter.shown[i]] {
                    *seen = (seen.0.min(x), seen.1.max(x));
                }
            }
        }
        for (o, sums) in self.sums.iter_mut().enumerate() {
            let at = network.ensembles.len() + o;
            let delayed = matches!(parts[at].0.kind, Kind::Readout { delayed: true });
            let shown = if delayed {
                &shown_before[at]
            } else {
                &self.filters[at].shown
            };
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = self.currents[at][i] + shown[i];
            }
        }
        all
    }

    fn fire(
        &mut self,
        at: usize,
        i: usize,
        j: i64,
        threshold: i64,
        dynamics: &PartDynamics,
        max_count: i64,
    ) -> i64 {
        let v = &mut self.potentials[at][i];
        match &dynamics.kind {
            Kind::Rectified { negative_slope, .. } => {
                *v += j.max(0) - scaled((-j).max(0), *negative_slope);
                let seen = &mut self.potential_seen[at];
                let less = *v - threshold;
                *seen = (seen.0.min(less), seen.1.max(less));
                let count = (*v / threshold).clamp(-max_count, max_count);
                *v -= count * threshold;
                count
            }
            Kind::Lif { leak, .. } => {
                let left = &mut self.refractory[at][i];
                let drive = i128::from(j) << leak.voltage_bits;
                let threshold = i128::from(threshold) << leak.voltage_bits;
                let before = i128::from(*v);
                let part = (65_536 - *left).max(0) as usize;
                let entry = |at: usize| i128::from(leak.table[at.min(64)]);
                let (piece, rest) = (part / 1024, (part % 1024) as i128);
                let share = entry(piece) + (entry(piece + 1) - entry(piece)) * rest / 1024;
                let after = before + ((((drive - before) * share) + (1 << 29)) >> 30);
                if after > threshold {
                    let over = ((after - threshold) << 30) / (drive - threshold);
                    let piece = (0..65).rev().find(|&p| entry(p) <= over).unwrap_or(0);
                    let since = if piece == 64 {
                        65_536
                    } else {
                        let into = (over - entry(piece)) * 1024;
                        piece as i128 * 1024 + into / (entry(piece + 1) - entry(piece))
                    };
                    *left = (i128::from(leak.refractory) - since).max(0) as i64;
                    *v = 0;
                    1
                } else {
                    *left = (*left - 65_536).max(0);
                    let least = (threshold * i128::from(leak.minimum)) >> 16;
                    *v = after.max(least) as i64;
                    0
                }
            }
            Kind::Readout { .. } => 0,
        }
    }
}

/// The same network, with its integer weights, in floats that do not round: what is left between it and
/// the engine is the rounding of filters, potentials and first voltages. For rectifying neurons with
/// no slope below zero, and lowpass synapses or none.
#[derive(Debug)]
pub struct Ideal<'a> {
    network: &'a Quantized,
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
        network: &'a Quantized,
        inputs: &[Vec<u8>],
        voltages: &[Vec<f64>],
        decay: f64,
    ) -> Self {
        let parts = parts(network);
        let currents = driven(network, inputs).into_iter().zip(&parts);
        let currents = currents.map(|(sums, (dynamics, _, bias))| {
            let factor = f64::exp2(dynamics.current_shift.into());
            let each = sums.into_iter().enumerate();
            each.map(|(i, sum)| sum as f64 * factor + f64::from(bias[i % bias.len()]))
                .collect()
        });
        let potentials = network.ensembles.iter().zip(voltages).map(|(e, v)| {
            let threshold = |i: usize| f64::from(e.threshold[i % e.threshold.len()]);
            v.iter()
                .enumerate()
                .map(|(i, v)| v * threshold(i))
                .collect()
        });
        Self {
            currents: currents.collect(),
            shown: parts.iter().map(|(_, n, _)| vec![0.0; *n]).collect(),
            potentials: potentials.collect(),
            network,
            decay,
        }
    }

    /// One step; returns the spike counts of every ensemble.
    pub fn step(&mut self) -> Vec<Vec<i64>> {
        let network = self.network;
        let parts = parts(network);
        let mut arrived: Vec<Vec<i64>> = parts.iter().map(|(_, n, _)| vec![0; *n]).collect();
        let mut all = Vec::new();
        for (at, e) in network.ensembles.iter().enumerate() {
            let filtered = matches!(parts[at].0.synapse, Some(Synapse::Lowpass { .. }));
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
                    let fraction = parts[post].0.fraction;
                    let values: Vec<i64> = counts.iter().map(|n| n << fraction).collect();
                    send(c, &values, &mut arrived[post]);
                }
            }
            all.push(counts);
        }
        for (at, (dynamics, ..)) in parts.iter().enumerate() {
            let Some(Synapse::Lowpass { decay }) = dynamics.synapse else {
                continue;
            };
            // The gain that the unit was made for is that of the rounded decay.
            let gain = 1.0 / (1.0 - f64::from(decay) / 65_536.0);
            for (shown, u) in self.shown[at].iter_mut().zip(&arrived[at]) {
                *shown = self.decay * *shown + (1.0 - self.decay) * gain * *u as f64;
            }
        }
        all
    }
}
