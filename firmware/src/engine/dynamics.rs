//! The step of a network whose parts run as Nengo's do.
//!
//! A filter shows what it held at the end of the step before, so its target must look before this step's
//! events arrive: targets with filters are visited first, the last one in topological order first of
//! all. The others take up events of the same step, and follow in topological order. Each ensemble is
//! visited once: it takes its current, its filter goes on, and its spikes go over its connections.

use tinyspike_shared::Event;
use tinyspike_shared::image::dynamics::{Dynamics, Initial, Kind, Records, Synapse};
use tinyspike_shared::image::{Area, Connection, Post, Pre};

use super::{Engine, Later, Layer, Outgoing, Probe, current, deliver, target};
use crate::kernels::dynamics::{self, Filter, Lif, rectified, shifted};
use crate::kernels::{Events, Kernels, Population, Potential, Values};

/// The state of an ensemble or an output.
struct State<'a> {
    /// V less the threshold, V itself of LIF neurons, or sums.
    values: &'a mut [u32],
    filter: Filter<'a>,
    refractory: &'a mut [u32],
}

impl<'a> State<'a> {
    /// The parts of `words`, for so many neurons or values.
    fn of(words: &'a mut [u32], size: usize, dynamics: &Dynamics) -> Self {
        let (values, rest) = cut(words, size);
        let (p, rest) = match dynamics.synapse {
            Some(_) => cut(rest, size),
            None => (&mut [][..], rest),
        };
        let (q, rest) = match dynamics.synapse {
            Some(Synapse::Alpha { .. }) => cut(rest, size),
            _ => (&mut [][..], rest),
        };
        let (refractory, _) = cut(rest, size);
        Self {
            values,
            filter: Filter {
                p,
                q,
                synapse: dynamics.synapse,
            },
            refractory,
        }
    }
}

fn cut(words: &mut [u32], at: usize) -> (&mut [u32], &mut [u32]) {
    let at = at.min(words.len());
    words.split_at_mut_checked(at).unwrap_or_default()
}

/// Whether a part looks at its filter before this step's events arrive.
fn is_filtered(dynamics: &Dynamics) -> bool {
    dynamics.synapse.is_some_and(Synapse::is_filter)
}

impl<'a, K, const E: usize, const C: usize> Engine<'a, K, E, C>
where
    K: Kernels<u16> + Kernels<u32>,
{
    /// Whether the network has records.
    pub(super) fn is_dynamic(&self) -> bool {
        !self.records().is_empty()
    }

    fn records(&self) -> Records<'a> {
        if cfg!(feature = "dynamics") {
            self.image.dynamics()
        } else {
            Records::default()
        }
    }

    /// Whether an ensemble has LIF neurons.
    pub(super) fn has_leak(&self, ensemble: usize) -> bool {
        let record = self.records().get(ensemble);
        record.is_some_and(|r| matches!(r.kind, Kind::Lif { .. }))
    }

    /// Brings one ensemble to rest, without input.
    pub(super) fn rest_dynamic(&mut self, index: usize) {
        let image = self.image;
        let (Some(e), Some(area), Some(dynamics)) = (
            image.description().ensembles.get(index),
            image.layout().ensembles.get(index),
            self.records().get(index),
        ) else {
            return;
        };
        let Some(words) = self.arena.get_mut(super::whole(area)) else {
            return;
        };
        words.fill(0);
        let Some(words) = self.arena.get_mut(super::state(area)) else {
            return;
        };
        let (values, _) = cut(words, e.neurons as usize);
        let thresholds = image.params32(e.threshold);
        let (bits, less) = match dynamics.kind {
            Kind::Lif { leak, .. } => (leak.voltage_bits, false),
            _ => (0, true),
        };
        let shares = match dynamics.initial() {
            Initial::Values(section) => image.table(section),
            _ => &[],
        };
        let uniform = match dynamics.initial() {
            Initial::Half => 1 << 15,
            _ => 0,
        };
        let mut shares = shares.iter();
        let row = thresholds.len().max(1);
        for values in values.chunks_mut(row) {
            for (v, &threshold) in values.iter_mut().zip(thresholds) {
                let share = shares.next().copied().unwrap_or(uniform);
                let whole = i64::from(threshold) << bits.min(31);
                let start = (whole.wrapping_mul(share.into()) >> 16) as i32;
                *v = if less {
                    u32::store(start.wrapping_sub(threshold))
                } else {
                    start as u32
                };
            }
        }
    }

    /// Makes the currents that parts receive in every step out of what their inputs bring.
    pub(super) fn settle_inputs(&mut self) {
        // What is there now must go before other inputs come.
        self.driven = true;
        let image = self.image;
        let records = self.records();
        let network = image.description();
        let layout = image.layout();
        let biases = network.ensembles.iter().map(|e| e.bias);
        let biases = biases.chain(network.outputs.iter().map(|o| o.bias));
        let areas = layout.ensembles.iter().chain(&layout.outputs);
        for (part, (area, bias)) in areas.zip(biases).enumerate() {
            let (Some(words), Some(dynamics)) =
                (self.arena.get_mut(current(area)), records.get(part))
            else {
                continue;
            };
            let bias = image.params32(bias);
            for words in words.chunks_mut(bias.len().max(1)) {
                for (word, bias) in words.iter_mut().zip(bias) {
                    let current = shifted(*word as i32, dynamics.current_shift);
                    let current = current.wrapping_add(*bias);
                    *word = match (dynamics.kind, dynamics.synapse) {
                        // Nothing else will reach it.
                        (Kind::Rectified { negative_slope, .. }, None) => {
                            rectified(current, negative_slope) as u32
                        }
                        _ => current as u32,
                    };
                }
            }
        }
    }

    pub(super) fn step_dynamic(&mut self, probe: &mut impl Probe) {
        let ensembles = self.image.description().ensembles.len();
        self.show_outputs(true, probe);
        for index in (0..ensembles).rev() {
            self.step_ensemble(index, true, probe);
            probe.done(Layer::Ensemble(index));
        }
        for index in 0..ensembles {
            self.step_ensemble(index, false, probe);
            probe.done(Layer::Ensemble(index));
        }
        self.show_outputs(false, probe);
    }

    /// At the start of a step, outputs with a delay show their values and all their filters go on; at
    /// its end the others show theirs.
    fn show_outputs(&mut self, start: bool, probe: &mut impl Probe) {
        let image = self.image;
        let network = image.description();
        let outputs = network.outputs.iter().zip(&image.layout().outputs);
        for (at, (o, area)) in outputs.enumerate() {
            let part = network.ensembles.len().wrapping_add(at);
            let Some(dynamics) = self.records().get(part) else {
                continue;
            };
            let delayed = matches!(dynamics.kind, Kind::Readout { delayed: true });
            let Some(words) = self.arena.get_mut(super::whole(area)) else {
                continue;
            };
            let split = area.state.wrapping_sub(area.current) as usize;
            let (currents, words) = cut(words, split);
            let mut state = State::of(words, o.size as usize, &dynamics);
            let currents = currents_or(currents, image.params32(o.bias));
            if delayed == start {
                dynamics::read_out(state.values, currents, &state.filter);
            }
            if start {
                dynamics::advance(&mut state.filter, currents, state.values);
            }
            probe.done(Layer::Output(at));
        }
    }

    /// Runs an ensemble, if it has a filter or has none, as `filtered` says.
    fn step_ensemble(&mut self, index: usize, filtered: bool, probe: &mut impl Probe) {
        let image = self.image;
        let network = image.description();
        let more = self.taken < network.steps;
        let (Some(e), Some(area), Some(record)) = (
            network.ensembles.get(index),
            image.layout().ensembles.get(index),
            self.records().get(index),
        ) else {
            return;
        };
        if is_filtered(&record) != filtered {
            return;
        }
        let records = self.records();
        let connections = network.connections.as_slice();
        let pre = Pre::Ensemble(index as u8);
        let from = connections.partition_point(|c| c.pre < pre);
        let to = connections.partition_point(|c| c.pre <= pre);
        let outgoing = Outgoing {
            image,
            ensemble: index,
            connections: connections.get(from..to).unwrap_or(&[]),
        };
        let (own, later) = cut(self.arena, area.end as usize);
        let mut later = Later {
            words: later,
            start: area.end as usize,
        };
        let (before, words) = cut(own, area.state as usize);
        let kept = before.get(area.current as usize..).unwrap_or(&[]);
        let bias = image.params32(e.bias);
        let threshold = image.params32(e.threshold);
        let neurons = e.neurons as usize;
        let mut state = State::of(words, neurons, &record);
        let mut send = |events: &Events| {
            probe.spikes(outgoing.ensemble, events);
            outgoing.send::<K>(records, events, &mut later);
        };
        match record.kind {
            Kind::Rectified { negative_slope, .. } => {
                if record.synapse.is_none() && !kept.is_empty() {
                    // Rectified when the input was set.
                    let mut population = Population {
                        potentials: &mut *state.values,
                        currents: kept,
                        bias: &[],
                        threshold,
                        max_count: e.max_count,
                        more,
                    };
                    <K as Kernels<u32>>::settle(&mut population);
                } else {
                    let currents = currents_or(kept, bias);
                    dynamics::charge(state.values, currents, &mut state.filter, negative_slope);
                }
                if negative_slope > 0 {
                    in_parts(neurons, &mut send, |from, events| {
                        let values = &mut *state.values;
                        dynamics::fire_signed(values, threshold, e.max_count, from, events)
                    });
                } else {
                    let mut population = Population {
                        potentials: state.values,
                        currents: &[],
                        bias: &[],
                        threshold,
                        max_count: e.max_count,
                        more,
                    };
                    in_parts(neurons, &mut send, |from, events| {
                        <K as Kernels<u32>>::fire(&mut population, from, events)
                    });
                }
            }
            Kind::Lif { leak, .. } => {
                let mut population = Lif {
                    voltages: state.values,
                    refractory: state.refractory,
                    currents: currents_or(kept, bias),
                    threshold,
                    filter: state.filter,
                    leak,
                    table: bytemuck::cast_slice(image.params32(leak.table)),
                };
                in_parts(neurons, &mut send, |from, events| {
                    population.fire(from, events)
                });
            }
            Kind::Readout { .. } => {}
        }
    }
}

/// The currents that are kept for each neuron, or where there are none, the biases.
fn currents_or<'a>(kept: &'a [u32], bias: &'a [i32]) -> &'a [i32] {
    if kept.is_empty() {
        bias
    } else {
        bytemuck::cast_slice(kept)
    }
}

/// Fires all neurons, a buffer of events at a time.
fn in_parts(
    neurons: usize,
    mut send: impl FnMut(&Events),
    mut fire: impl FnMut(usize, &mut Events) -> usize,
) {
    let mut events = Events::new();
    let mut next = 0;
    while next < neurons {
        events.clear();
        let reached = fire(next, &mut events);
        if !events.is_empty() {
            send(&events);
        }
        if reached <= next {
            break;
        }
        next = reached;
    }
}

impl<const E: usize, const C: usize> Outgoing<'_, E, C> {
    /// Sends events over all connections, into the filters of their targets.
    fn send<K>(&self, records: Records<'_>, events: &Events, later: &mut Later<'_>)
    where
        K: Kernels<u16> + Kernels<u32>,
    {
        let network = self.image.description();
        for c in self.connections {
            let (part, size) = match c.post {
                Post::Ensemble(e) => {
                    let e = usize::from(e);
                    (e, network.ensembles.get(e).map(|e| e.neurons))
                }
                Post::Output(o) => {
                    let o = usize::from(o);
                    let part = network.ensembles.len().wrapping_add(o);
                    (part, network.outputs.get(o).map(|o| o.size))
                }
            };
            let (Some(size), Some((area, ..)), Some(record)) =
                (size, target(self.image, c.post), records.get(part))
            else {
                continue;
            };
            let words = later.range(filter(area, size));
            self.send_over::<K>(c, &record, events, words);
        }
    }

    /// Sends events, counted as their target counts them, over one connection.
    fn send_over<K>(&self, c: &Connection, record: &Dynamics, events: &Events, words: &mut [u32])
    where
        K: Kernels<u16> + Kernels<u32>,
    {
        let weights = self.image.weights(c);
        let mut counted = Events::new();
        for event in events {
            // There is room: one buffer is as large as the other.
            let _ = counted.push(Event {
                source: event.source,
                value: event.value.wrapping_shl(record.fraction.into()),
            });
        }
        deliver::<K, E, C>(self.image, c, weights, &counted, &mut Values::Wide(words));
    }
}

/// Where the filter of a part of so many neurons or values takes up events.
fn filter(area: &Area, size: u32) -> core::ops::Range<usize> {
    let from = area.state.saturating_add(size) as usize;
    from..from.saturating_add(size as usize)
}
