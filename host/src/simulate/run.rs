//! The steps of one item, and what is recorded of them.

use super::SimulateError;
use super::events::Events;
use super::filter::FilterState;
use super::neurons::{self, Neurons, Population};
use super::plan::{Fixed, Kind, Object, Plan, tensor_node};
use crate::network::{MaxPool, NeuronType, PerNeuron};

/// State of one item of a batch between steps.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// States by ensemble.
    pub(super) populations: Vec<Population>,
    /// States by link; empty for a link without a filter.
    pub(super) filters: Vec<FilterState>,
    /// States by probe; empty for a probe without a filter.
    pub(super) probes: Vec<FilterState>,
    /// States by node; empty unless it pools.
    pub(super) pools: Vec<Pooling>,
}

/// State of max pooling.
#[derive(Clone, Debug, Default)]
pub(super) struct Pooling {
    /// The sum of each value over all steps so far.
    sums: Vec<f32>,
    /// The largest sum of each window.
    largest: Vec<f32>,
}

impl Pooling {
    /// State of an object at rest.
    pub(super) fn of(object: &Object) -> Self {
        match &object.kind {
            Kind::Max(_) if !object.fixed => Self {
                sums: vec![0.0; object.size_in],
                largest: vec![0.0; object.size_out],
            },
            _ => Self::default(),
        }
    }

    /// Takes up a step's values, and returns what the largest sums have grown by.
    fn step(&mut self, pool: &MaxPool, values: &[f32]) -> Vec<f32> {
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value;
        }
        let mut largest = vec![0.0; self.largest.len()];
        pool.apply(&self.sums, |_| false, &mut largest);
        let growth = largest
            .iter()
            .zip(&self.largest)
            .map(|(l, before)| l - before);
        let growth = growth.collect();
        self.largest = largest;
        growth
    }
}

/// Record of a chunk of items: each list is item by item, step by step.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Values by probe.
    pub(super) probes: Vec<Vec<f32>>,
    /// Counts by ensemble; empty for those that are not watched.
    pub(super) counts: Vec<Vec<f32>>,
    /// Voltages by ensemble; empty for those that are not watched or not current-based.
    pub(super) potentials: Vec<Vec<f32>>,
    /// Number of spikes by ensemble.
    pub(super) spikes: Vec<u64>,
    /// The least and the largest voltage of each current-based neuron, by ensemble.
    pub(super) reached: Vec<Vec<[f32; 2]>>,
}

impl Record {
    pub(super) fn new(plan: &Plan) -> Self {
        let ensembles = plan.objects.len() - plan.nodes;
        Self {
            probes: vec![Vec::new(); plan.probes.len()],
            counts: vec![Vec::new(); ensembles],
            potentials: vec![Vec::new(); ensembles],
            spikes: vec![0; ensembles],
            reached: vec![Vec::new(); ensembles],
        }
    }

    /// Ends an item: its extremes.
    pub(super) fn end(&mut self, state: &State) {
        for (reached, population) in self.reached.iter_mut().zip(&state.populations) {
            widen(reached, population.reached());
        }
    }
}

/// Widens extremes by others; empty ones are theirs.
pub(crate) fn widen(all: &mut Vec<[f32; 2]>, more: impl Iterator<Item = [f32; 2]>) {
    if all.is_empty() {
        all.extend(more);
        return;
    }
    for ([low, high], [least, most]) in all.iter_mut().zip(more) {
        (*low, *high) = (low.min(least), high.max(most));
    }
}

/// Memory that the steps share.
pub(super) struct Scratch {
    /// Output in this step by object that is not fixed.
    events: Vec<Events>,
    /// Output as a vector by node that is not fixed.
    values: Vec<Vec<f32>>,
    input: Vec<f32>,
    sum: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            events: vec![Events::default(); plan.objects.len()],
            values: vec![Vec::new(); plan.nodes],
            input: Vec::new(),
            sum: Vec::new(),
        }
    }
}

impl Plan {
    /// Turns the currents of neurons that nothing else drives into what their voltages gain, so that
    /// a step only adds.
    pub(super) fn precharge(&self, fixed: &mut Fixed, dt: f32) {
        for (object, values) in self.objects.iter().zip(fixed) {
            if object.precharged() {
                neurons::charge(values, dt);
            }
        }
    }

    /// Runs one step with row `row` of what is fixed.
    pub(super) fn step(
        &self,
        dt: f32,
        fixed: &Fixed,
        row: usize,
        state: &mut State,
        scratch: &mut Scratch,
    ) -> Result<(), SimulateError> {
        for &o in &self.order {
            let object = &self.objects[o];
            if object.fixed {
                continue;
            }
            let drive = &fixed[o][row * object.size_in..][..object.size_in];
            if object.precharged()
                && let Kind::Neurons {
                    neurons: Neurons::Same(NeuronType::SpikingRectifiedLinear { amplitude }),
                    ..
                } = &object.kind
            {
                let events = &mut scratch.events[o];
                events.scale = amplitude / dt;
                let population = &mut state.populations[o - self.nodes];
                neurons::integrate(population, drive, &mut events.list);
                population.limit(&mut events.list);
                continue;
            }
            let gain = match &object.kind {
                Kind::Neurons { gain, .. } => gain,
                _ => &PerNeuron::Same(1.0),
            };
            scratch.input.clear();
            scratch.input.extend_from_slice(drive);
            for &l in &object.direct {
                let link = &self.links[l];
                scratch.sum.clear();
                scratch.sum.resize(link.size_out, 0.0);
                let events = &scratch.events[link.pre];
                for &(place, n) in &events.list {
                    link.scatter(place, events.value(place, n), &mut scratch.sum);
                }
                link.write(gain, &scratch.sum, &mut scratch.input);
            }
            for &l in &object.filtered {
                self.links[l].write(gain, &state.filters[l].y, &mut scratch.input);
            }
            match &object.kind {
                Kind::Neurons { neurons, .. } => neurons.step(
                    &mut state.populations[o - self.nodes],
                    &mut scratch.input,
                    dt,
                    &mut scratch.events[o],
                ),
                Kind::Tensor(node) => {
                    let input = std::mem::take(&mut scratch.input);
                    scratch.values[o] = tensor_node(object, node, 1, input)?;
                    scratch.events[o].fill(&scratch.values[o]);
                }
                Kind::Max(pool) => {
                    scratch.values[o] = state.pools[o].step(pool, &scratch.input);
                    scratch.events[o].fill(&scratch.values[o]);
                }
                Kind::Passthrough | Kind::Input | Kind::Constant(_) => {
                    std::mem::swap(&mut scratch.values[o], &mut scratch.input);
                    scratch.events[o].fill(&scratch.values[o]);
                }
            }
        }
        self.filter(fixed, row, state, scratch);
        Ok(())
    }

    /// Takes this step's outputs into the filters, for the next step.
    fn filter(&self, fixed: &Fixed, row: usize, state: &mut State, scratch: &mut Scratch) {
        for (link, filter_state) in self.links.iter().zip(&mut state.filters) {
            let Some(filter) = link.filter else { continue };
            scratch.sum.clear();
            scratch.sum.resize(link.size_out, 0.0);
            let pre = &self.objects[link.pre];
            if pre.fixed {
                let values = &fixed[link.pre][row * pre.size_out..][..pre.size_out];
                for (place, &value) in values.iter().enumerate() {
                    if value != 0.0 {
                        link.scatter(place as u32, value, &mut scratch.sum);
                    }
                }
            } else {
                let events = &scratch.events[link.pre];
                for &(place, n) in &events.list {
                    link.scatter(place, events.value(place, n), &mut scratch.sum);
                }
            }
            filter.step(filter_state, &scratch.sum);
        }
    }

    /// Adds what is to be seen of this step to the record.
    pub(super) fn record(
        &self,
        fixed: &Fixed,
        row: usize,
        watched: &[bool],
        state: &mut State,
        scratch: &mut Scratch,
        record: &mut Record,
    ) {
        for ((probe, filter_state), out) in (self.probes.iter())
            .zip(&mut state.probes)
            .zip(&mut record.probes)
        {
            let object = &self.objects[probe.target];
            let n = object.size_out;
            let value: &[f32] = if object.fixed {
                &fixed[probe.target][row * n..][..n]
            } else if probe.target < self.nodes {
                &scratch.values[probe.target]
            } else {
                scratch.sum.clear();
                scratch.sum.resize(n, 0.0);
                scratch.events[probe.target].add_to(&mut scratch.sum);
                &scratch.sum
            };
            match probe.filter {
                None => out.extend_from_slice(value),
                Some(filter) => {
                    filter.step(filter_state, value);
                    out.extend_from_slice(&filter_state.y);
                }
            }
        }
        for (e, object) in self.objects.iter().skip(self.nodes).enumerate() {
            let o = self.nodes + e;
            let n = object.size_out;
            if object.spiking() {
                let spikes: f32 = scratch.events[o].list.iter().map(|(_, n)| n.abs()).sum();
                // What explodes in floats is counted as far as it goes.
                record.spikes[e] = record.spikes[e].saturating_add(spikes as u64);
            }
            if watched[e] {
                record.potentials[e].extend(state.populations[e].potentials());
                let counts = &mut record.counts[e];
                if object.fixed {
                    counts.extend_from_slice(&fixed[o][row * n..][..n]);
                } else {
                    let from = counts.len();
                    counts.resize(from + n, 0.0);
                    for &(place, n) in &scratch.events[o].list {
                        counts[from + place as usize] = n;
                    }
                }
            }
        }
    }
}

impl super::plan::Object {
    fn precharged(&self) -> bool {
        let rectifies = matches!(
            &self.kind,
            Kind::Neurons {
                neurons: Neurons::Same(NeuronType::SpikingRectifiedLinear { .. }),
                ..
            }
        );
        rectifies && self.direct.is_empty() && self.filtered.is_empty()
    }

    /// Tells whether it is an ensemble of neurons that spike.
    pub(super) fn spiking(&self) -> bool {
        matches!(&self.kind, Kind::Neurons { neurons, .. } if neurons.spikes())
    }

    /// Tells whether it is an ensemble of neurons that have a voltage.
    pub(super) fn has_voltage(&self) -> bool {
        matches!(&self.kind, Kind::Neurons { neurons, .. } if neurons.have_voltage())
    }
}
