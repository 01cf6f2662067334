//! Integer network → limits of its neurons, at which a simulation of the float network saturates, too.

use std::collections::BTreeMap;

use tinyspike_shared::image::Neuron;

use crate::integers::{Ensemble, Network};

/// Limits of an ensemble's neurons after a step, as the image of a network without end states them.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The most spikes of a neuron in a step; more stay in its voltage.
    pub max_count: f32,
    /// The least and the largest voltage, in thresholds, of each channel: neurons take them in turn.
    pub voltage: Vec<(f32, f32)>,
}

impl Limits {
    /// The limits of all ensembles, by their labels. Those that leak need none.
    #[must_use]
    pub fn of(network: &Network) -> BTreeMap<String, Self> {
        let ensembles = network.ensembles.iter();
        let ensembles =
            ensembles.filter(|e| !matches!(e.neuron, Neuron::Lif(_) | Neuron::CubaLif(_)));
        ensembles
            .map(|e| (e.label.clone(), Self::of_ensemble(e)))
            .collect()
    }

    fn of_ensemble(e: &Ensemble) -> Self {
        let voltage = e.threshold.iter().map(|&threshold| {
            let threshold = f64::from(threshold);
            let [least, most] = [e.potential_min, e.potential_max].map(f64::from);
            let [least, most] = [least, most].map(|v| (v + threshold) / threshold);
            (least as f32, most as f32)
        });
        Self {
            max_count: e.max_count.into(),
            voltage: voltage.collect(),
        }
    }

    /// Keeps voltages and spikes within the limits.
    pub(super) fn apply(&self, voltage: &mut [f32], spikes: &mut Vec<(u32, f32)>) {
        for (neuron, count) in spikes {
            let kept = count.clamp(-self.max_count, self.max_count);
            if let Some(v) = voltage.get_mut(*neuron as usize) {
                *v += *count - kept;
            }
            *count = kept;
        }
        for (v, (least, most)) in voltage.iter_mut().zip(self.voltage.iter().cycle()) {
            *v = v.min(*most).max(*least);
        }
    }
}
