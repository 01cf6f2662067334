//! Neuron types: the state of a population and its step, in float32 as NengoDL computes it.

use std::sync::Arc;

use super::current_based::{Cell, CurrentBased};
use super::events::Events;
use super::limits::Limits;
use super::random::RandomState;
use crate::network::{NeuronType, PerNeuron};

/// Neurons that are looked at together for spikes.
const BLOCK: usize = 16;

/// The neurons of an ensemble.
#[derive(Clone, Debug)]
pub(super) enum Neurons {
    /// All with the same parameters.
    Same(NeuronType),
    /// Each with its own parameters; all of one type.
    Each(Vec<NeuronType>),
    /// Current-based neurons in steps.
    CurrentBased(Arc<CurrentBased>),
}

impl Neurons {
    /// `n` neurons.
    pub(super) fn new(neuron_type: &NeuronType<PerNeuron>, n: usize) -> Self {
        if let Some(current_based) = CurrentBased::new(neuron_type, n) {
            return Self::CurrentBased(Arc::new(current_based));
        }
        match neuron_type.uniform() {
            Some(same) => Self::Same(same),
            None => Self::Each((0..n).map(|i| neuron_type.at(i)).collect()),
        }
    }

    fn first(&self) -> Option<&NeuronType> {
        match self {
            Self::Same(same) => Some(same),
            Self::Each(each) => each.first(),
            Self::CurrentBased(_) => None,
        }
    }

    /// Tells whether the output is a function of the present current alone.
    pub(super) fn is_rate(&self) -> bool {
        match self {
            Self::CurrentBased(_) => false,
            _ => self.first().is_none_or(NeuronType::is_rate),
        }
    }

    /// Tells whether the output is spikes.
    pub(super) fn spikes(&self) -> bool {
        match self {
            Self::CurrentBased(current_based) => current_based.spikes(),
            _ => self.first().is_some_and(NeuronType::spikes),
        }
    }

    /// Tells whether neurons have a voltage.
    pub(super) fn have_voltage(&self) -> bool {
        match self {
            Self::CurrentBased(_) => true,
            _ => self.first().is_some_and(NeuronType::integrates),
        }
    }

    /// The base of neurons that spike by a type which is itself a spiking one.
    pub(super) fn spiking_base(&self) -> Option<&NeuronType> {
        self.first()?.base().filter(|base| !base.is_rate())
    }

    /// The rate for each current of one or more items, in place.
    pub(super) fn rates(&self, j: &mut [f32]) {
        match self {
            Self::Same(same) => {
                rates(same, j);
            }
            Self::Each(each) => {
                for (j, one) in j.iter_mut().zip(each.iter().cycle()) {
                    rates(one, std::slice::from_mut(j));
                }
            }
            Self::CurrentBased(_) => {}
        }
    }

    /// One step: from the currents `j`, which are used up, to what comes out.
    pub(super) fn step(&self, state: &mut Population, j: &mut [f32], dt: f32, out: &mut Events) {
        match self {
            Self::CurrentBased(current_based) => current_based.step(&mut state.cells, j, out),
            Self::Same(same) => {
                step(same, state, j, dt, out);
            }
            Self::Each(each) => {
                let mut events = Events::default();
                out.list.clear();
                out.scales.clear();
                for (i, (one, j)) in each.iter().zip(j).enumerate() {
                    let mut alone = state.take(i);
                    step(one, &mut alone, std::slice::from_mut(j), dt, &mut events);
                    state.put(i, alone);
                    out.scales.push(events.scale);
                    out.list
                        .extend(events.list.iter().map(|&(_, n)| (i as u32, n)));
                }
            }
        }
        state.limit(&mut out.list);
    }
}

/// State of a population.
#[derive(Clone, Debug)]
pub(super) struct Population {
    voltage: Vec<f32>,
    refractory: Vec<f32>,
    adaptation: Vec<f32>,
    cells: Vec<Cell>,
    rng: Option<RandomState>,
    limits: Option<Arc<Limits>>,
}

impl Population {
    /// The state at the start, with these voltages; `seed` is the ensemble's.
    pub(super) fn new(
        neuron_type: &NeuronType<PerNeuron>,
        voltage: &[f32],
        seed: u32,
        limits: Option<Limits>,
    ) -> Self {
        let n = voltage.len();
        let zeros = |wanted: bool| vec![0.0; if wanted { n } else { 0 }];
        let adaptive = matches!(neuron_type, NeuronType::AdaptiveLif { .. });
        let random = matches!(
            neuron_type,
            NeuronType::PoissonSpiking { .. } | NeuronType::StochasticSpiking { .. }
        );
        Self {
            voltage: if neuron_type.integrates() {
                voltage.to_vec()
            } else {
                Vec::new()
            },
            refractory: zeros(adaptive || matches!(neuron_type, NeuronType::Lif { .. })),
            adaptation: zeros(adaptive),
            cells: Cell::all(neuron_type, n),
            rng: random.then(|| RandomState::new(seed.wrapping_add(1))),
            limits: limits.map(Arc::new),
        }
    }
}

impl Population {
    /// The state of one neuron.
    fn take(&mut self, neuron: usize) -> Self {
        let one = |values: &[f32]| values.get(neuron).copied().into_iter().collect();
        Self {
            voltage: one(&self.voltage),
            refractory: one(&self.refractory),
            adaptation: one(&self.adaptation),
            cells: Vec::new(),
            rng: self.rng.take(),
            limits: None,
        }
    }

    /// Puts the state of one neuron back.
    fn put(&mut self, neuron: usize, one: Self) {
        for (values, one) in [
            (&mut self.voltage, one.voltage),
            (&mut self.refractory, one.refractory),
            (&mut self.adaptation, one.adaptation),
        ] {
            if let (Some(value), Some(one)) = (values.get_mut(neuron), one.first()) {
                *value = *one;
            }
        }
        self.rng = one.rng;
    }

    /// Ends a step: nothing leaves the limits.
    pub(super) fn limit(&mut self, spikes: &mut Vec<(u32, f32)>) {
        if let Some(limits) = &self.limits {
            limits.apply(&mut self.voltage, spikes);
        }
    }

    /// Empty for neurons without.
    pub(super) fn voltage(&self) -> &[f32] {
        &self.voltage
    }

    /// The extremes of current-based neurons so far, each the least and the largest; empty for others.
    pub(super) fn reached(&self) -> impl Iterator<Item = [f32; 2]> {
        self.cells.iter().map(Cell::reached)
    }

    /// The voltages of neurons that have one.
    pub(super) fn potentials(&self) -> impl Iterator<Item = f32> {
        let cells = self.cells.iter().map(Cell::potential);
        self.voltage.iter().copied().chain(cells)
    }
}

fn rectify(j: f32) -> f32 {
    if j > 0.0 { j } else { 0.0 }
}

/// The rate of a non-spiking type for each current, in place; `false` for a spiking type.
fn rates(neuron_type: &NeuronType, j: &mut [f32]) -> bool {
    match *neuron_type {
        NeuronType::RectifiedLinear { amplitude } => {
            for j in j {
                *j = rectify(*j) * amplitude;
            }
        }
        NeuronType::LeakyRelu {
            negative_slope,
            amplitude,
        } => {
            for j in j {
                *j = (rectify(*j) - negative_slope * rectify(-*j)) * amplitude;
            }
        }
        NeuronType::Sigmoid { tau_ref } => {
            for j in j {
                *j = 1.0 / (1.0 + (-*j).exp()) / tau_ref;
            }
        }
        NeuronType::Tanh { tau_ref } => {
            for j in j {
                *j = j.tanh() / tau_ref;
            }
        }
        NeuronType::LifRate {
            tau_rc,
            tau_ref,
            amplitude,
        } => {
            for j in j {
                let above = *j - 1.0;
                *j = if above > 0.0 {
                    amplitude / (tau_ref + tau_rc * (1.0 / above.max(1e-15)).ln_1p())
                } else {
                    0.0
                };
            }
        }
        _ => return false,
    }
    true
}

/// Turns each current into the gain of a rectifying integrator's voltage in a step, in place.
pub(super) fn charge(j: &mut [f32], dt: f32) {
    for j in j {
        *j = rectify(*j) * dt;
    }
}

/// One step of SpikingRectifiedLinear neurons, given [`charge`].
pub(super) fn integrate(state: &mut Population, charge: &[f32], list: &mut Vec<(u32, f32)>) {
    list.clear();
    let n = state.voltage.len().min(charge.len());
    let (blocks, rest) = state.voltage[..n].as_chunks_mut::<BLOCK>();
    let (charges, rest_charge) = charge[..n].as_chunks::<BLOCK>();
    for (block, (voltage, charge)) in blocks.iter_mut().zip(charges).enumerate() {
        let mut spikes = 0;
        for (v, c) in voltage.iter_mut().zip(charge) {
            *v += c;
            spikes |= u32::from(*v >= 1.0);
        }
        if spikes != 0 {
            fire(voltage, block * BLOCK, list);
        }
    }
    for (v, c) in rest.iter_mut().zip(rest_charge) {
        *v += c;
    }
    fire(rest, n - n % BLOCK, list);
}

/// Takes the whole spikes out of a block's voltages.
fn fire(voltage: &mut [f32], first: usize, list: &mut Vec<(u32, f32)>) {
    let mut due = 0u32;
    for (i, v) in voltage.iter().enumerate() {
        due |= u32::from(*v >= 1.0) << i;
    }
    while due != 0 {
        let i = due.trailing_zeros() as usize;
        due &= due - 1;
        if let Some(v) = voltage.get_mut(i) {
            let n = if *v < 2.0 { 1.0 } else { v.floor() };
            *v -= n;
            list.push(((first + i) as u32, n));
        }
    }
}

/// One step: from the currents `j`, which are used up, to what comes out.
fn step(
    neuron_type: &NeuronType,
    state: &mut Population,
    j: &mut [f32],
    dt: f32,
    out: &mut Events,
) {
    out.list.clear();
    match neuron_type {
        NeuronType::SpikingRectifiedLinear { amplitude } => {
            out.scale = amplitude / dt;
            charge(j, dt);
            integrate(state, j, &mut out.list);
        }
        NeuronType::SpikingLeakyRelu {
            negative_slope,
            amplitude,
        } => {
            out.scale = amplitude / dt;
            for (i, (v, j)) in state.voltage.iter_mut().zip(j.iter()).enumerate() {
                *v += (rectify(*j) - negative_slope * rectify(-*j)) * dt;
                let n = v.floor() + if *v < 0.0 { 1.0 } else { 0.0 };
                *v -= n;
                if n != 0.0 {
                    out.list.push((i as u32, n));
                }
            }
        }
        NeuronType::Lif {
            tau_rc,
            tau_ref,
            min_voltage,
            amplitude,
        } => {
            out.scale = amplitude / dt;
            let cells = state.voltage.iter_mut().zip(&mut state.refractory);
            for (i, ((v, refractory), j)) in cells.zip(j.iter()).enumerate() {
                let delta = (dt - *refractory).clamp(0.0, dt);
                *v += (*v - j) * (-delta / tau_rc).exp_m1();
                if *v > 1.0 {
                    *refractory = tau_ref + tau_rc * ((1.0 - *v) / (j - 1.0)).ln_1p();
                    *v = 0.0;
                    out.list.push((i as u32, 1.0));
                } else {
                    *refractory -= dt;
                    *v = v.max(*min_voltage);
                }
            }
        }
        NeuronType::AdaptiveLif {
            tau_n,
            inc_n,
            tau_rc,
            tau_ref,
            min_voltage,
            amplitude,
        } => {
            out.scale = amplitude / dt;
            let cells = state.voltage.iter_mut().zip(&mut state.refractory);
            let cells = cells.zip(&mut state.adaptation).zip(j.iter());
            for (i, (((v, refractory), adaptation), j)) in cells.enumerate() {
                let j = j - *adaptation;
                *refractory -= dt;
                let delta = (dt - *refractory).clamp(0.0, dt);
                *v -= (j - *v) * (-delta / tau_rc).exp_m1();
                let mut output = 0.0;
                if *v > 1.0 {
                    *refractory = tau_ref + (dt + tau_rc * (-(*v - 1.0) / (j - 1.0)).ln_1p());
                    *v = 0.0;
                    output = out.scale;
                    out.list.push((i as u32, 1.0));
                } else {
                    *v = v.max(*min_voltage);
                }
                *adaptation += (dt / tau_n) * (inc_n * output - *adaptation);
            }
        }
        NeuronType::RegularSpiking { base, amplitude } => {
            out.scale = amplitude / dt;
            rates(base, j);
            for (i, (v, rate)) in state.voltage.iter_mut().zip(j.iter()).enumerate() {
                *v += rate * dt;
                let n = v.floor();
                *v -= n;
                if n != 0.0 {
                    out.list.push((i as u32, n));
                }
            }
        }
        NeuronType::PoissonSpiking { base, amplitude } => {
            out.scale = amplitude / dt;
            rates(base, j);
            if let Some(rng) = &mut state.rng {
                for (i, rate) in j.iter().enumerate() {
                    let n = rng.poisson(f64::from(rate.abs() * dt)) as f32 * sign(*rate);
                    if n != 0.0 {
                        out.list.push((i as u32, n));
                    }
                }
            }
        }
        NeuronType::StochasticSpiking { base, amplitude } => {
            out.scale = amplitude / dt;
            rates(base, j);
            if let Some(rng) = &mut state.rng {
                for (i, rate) in j.iter().enumerate() {
                    let expected = dt * rate.abs();
                    let whole = expected.floor();
                    let more = rng.random_sample() < f64::from(expected - whole);
                    let n = (whole + if more { 1.0 } else { 0.0 }) * sign(*rate);
                    if n != 0.0 {
                        out.list.push((i as u32, n));
                    }
                }
            }
        }
        // They are `Neurons::CurrentBased`.
        NeuronType::CubaLif { .. } => out.list.clear(),
        NeuronType::RectifiedLinear { .. }
        | NeuronType::LeakyRelu { .. }
        | NeuronType::Sigmoid { .. }
        | NeuronType::Tanh { .. }
        | NeuronType::LifRate { .. } => {
            rates(neuron_type, j);
            out.fill(j);
        }
    }
}

fn sign(x: f32) -> f32 {
    if x < 0.0 { -1.0 } else { 1.0 }
}
