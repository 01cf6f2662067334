//! Current-based neurons in steps: the state of one, and the step of a population.

use super::events::Events;
use crate::network::{Charge, Firing, NeuronType, PerNeuron, Reset, Rule};

/// State of one neuron. Frameworks add in float32, each in its own order: here nothing is lost between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    voltage: f64,
    current: f64,
    /// Spikes of the step before.
    last: f64,
    /// The least and the largest of the voltage before its reset, and of the current that charges it, so far.
    reached: [f64; 2],
}

impl Cell {
    /// States at the start; none for other types.
    pub(super) fn all(neuron_type: &NeuronType<PerNeuron>, n: usize) -> Vec<Self> {
        let NeuronType::CubaLif { start, .. } = neuron_type else {
            return Vec::new();
        };
        let cell = |neuron| Self {
            voltage: f64::from(start.at(neuron)),
            ..Self::default()
        };
        (0..n).map(cell).collect()
    }

    /// The least and the largest voltage so far, before resets, or current that charged it.
    #[expect(clippy::cast_possible_truncation, reason = "what is shown is float32")]
    pub(super) fn reached(&self) -> [f32; 2] {
        self.reached.map(|v| v as f32)
    }

    /// Voltage as the last step has left it.
    #[expect(clippy::cast_possible_truncation, reason = "what is shown is float32")]
    pub(super) fn potential(&self) -> f32 {
        self.voltage as f32
    }
}

/// A population of current-based neurons.
#[derive(Clone, Debug)]
pub(super) struct CurrentBased {
    rule: Rule,
    neurons: Vec<Parameters>,
}

/// Parameters of one neuron.
#[derive(Clone, Copy, Debug)]
struct Parameters {
    decay: f64,
    gain: f64,
    leak: f64,
    threshold: f64,
    reset: f64,
    synapse_decay: f64,
    synapse_gain: f64,
    floor: f64,
}

impl CurrentBased {
    /// `None` for other types.
    pub(super) fn new(neuron_type: &NeuronType<PerNeuron>, n: usize) -> Option<Self> {
        let NeuronType::CubaLif {
            rule,
            decay,
            gain,
            leak,
            threshold,
            reset,
            synapse_decay,
            synapse_gain,
            floor,
            start: _,
        } = neuron_type
        else {
            return None;
        };
        let of = |neuron| {
            let at = |parameter: &PerNeuron| f64::from(parameter.at(neuron));
            Parameters {
                decay: at(decay),
                gain: at(gain),
                leak: at(leak),
                threshold: at(threshold),
                reset: at(reset),
                synapse_decay: at(synapse_decay),
                synapse_gain: at(synapse_gain),
                floor: at(floor),
            }
        };
        Some(Self {
            rule: *rule,
            neurons: (0..n).map(of).collect(),
        })
    }

    pub(super) fn spikes(&self) -> bool {
        self.rule.firing != Firing::Never
    }

    /// One step: from the input currents `x` to what comes out.
    pub(super) fn step(&self, cells: &mut [Cell], x: &[f32], out: &mut Events) {
        out.list.clear();
        out.scale = 1.0;
        for (i, ((cell, neuron), x)) in cells.iter_mut().zip(&self.neurons).zip(x).enumerate() {
            let n = self.rule.step(neuron, cell, f64::from(*x));
            if n != 0.0 {
                out.list.push((i as u32, n as f32));
            }
        }
    }
}

impl Rule {
    /// One step of one neuron: its spikes, or the voltage of neurons that never spike.
    fn step(&self, neuron: &Parameters, cell: &mut Cell, x: f64) -> f64 {
        let drive = self.charge(neuron, cell, x);
        let Parameters {
            decay,
            threshold,
            reset,
            ..
        } = *neuron;
        let blocked = self.residual_blocks && cell.voltage > threshold;
        let due = self.late && cell.last > 0.0;
        let to_reset = due && self.reset == Reset::Zero;
        let mut v = cell.voltage;
        if to_reset && self.keeps_input {
            v = reset;
        }
        v = decay * v + neuron.gain * drive + neuron.leak;
        if to_reset && !self.keeps_input {
            v = reset;
        }
        if due && self.reset == Reset::Subtract {
            v -= threshold * cell.last;
        }
        let charged = match self.charge {
            Some(_) => neuron.gain * cell.current,
            None => 0.0,
        };
        let [low, high] = cell.reached;
        cell.reached = [low.min(v).min(charged), high.max(v).max(charged)];
        if self.firing == Firing::Never {
            cell.voltage = v;
            return v;
        }
        let over = if blocked { v - threshold } else { v };
        let n = if self.counts {
            (over.max(0.0) / threshold).floor()
        } else if over > threshold || self.firing == Firing::From && over == threshold {
            1.0
        } else {
            0.0
        };
        if !self.late && n > 0.0 {
            match self.reset {
                Reset::Zero => v = reset,
                Reset::Subtract => v -= threshold * n,
                Reset::Nothing => {}
            }
        }
        cell.voltage = v.max(neuron.floor * threshold);
        cell.last = n;
        n
    }

    /// Takes the input into the current: what charges the voltage.
    fn charge(&self, neuron: &Parameters, cell: &mut Cell, x: f64) -> f64 {
        let Some(charge) = self.charge else { return x };
        let (a, before) = (neuron.synapse_decay, cell.current);
        let x = neuron.synapse_gain * x;
        let jump = before + x;
        cell.current = match charge {
            Charge::First | Charge::Last => a * before + x,
            Charge::Jump | Charge::Decayed => a * jump,
        };
        match charge {
            Charge::First | Charge::Decayed => cell.current,
            Charge::Last => before,
            Charge::Jump => jump,
        }
    }
}
