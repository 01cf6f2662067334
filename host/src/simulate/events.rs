//! Events: the non-zero outputs of an object in a step.

/// Output of an object in a step: its non-zero places, in order, to be multiplied by `scale`.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    /// Place and value; of spiking neurons, the number of spikes.
    pub(super) list: Vec<(u32, f32)>,
    /// The size of one spike.
    pub(super) scale: f32,
    /// The size of each neuron's spike, if the neurons differ.
    pub(super) scales: Vec<f32>,
}

impl Events {
    /// Value of `n` spikes at a place.
    pub(super) fn value(&self, place: u32, n: f32) -> f32 {
        n * self.scales.get(place as usize).unwrap_or(&self.scale)
    }

    /// The non-zero ones of these values.
    pub(super) fn fill(&mut self, values: &[f32]) {
        self.scale = 1.0;
        self.list.clear();
        for (i, &v) in values.iter().enumerate() {
            if v != 0.0 {
                self.list.push((i as u32, v));
            }
        }
    }

    /// Adds the values to `y`.
    pub(super) fn add_to(&self, y: &mut [f32]) {
        for &(i, n) in &self.list {
            if let Some(y) = y.get_mut(i as usize) {
                *y += self.value(i, n);
            }
        }
    }
}
