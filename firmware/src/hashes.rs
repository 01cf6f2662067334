//! A number for what each layer did and holds after a step, which two machines compare to find where
//! they part.

use tinyspike_shared::wire::Fnv;
use tinyspike_shared::{Event, Image};

use crate::engine::{Engine, Probe};
use crate::kernels::Kernels;

/// Hashes of the ensembles' events in one step.
#[derive(Clone, Debug)]
pub struct Hashes<const E: usize> {
    events: [Fnv; E],
}

impl<const E: usize> Default for Hashes<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const E: usize> Hashes<E> {
    /// Hashes of a step without events.
    #[must_use]
    pub fn new() -> Self {
        Self {
            events: [Fnv::default(); E],
        }
    }

    /// The hashes of all ensembles in order, then of all outputs, after the step that this has watched:
    /// number `step` since rest, from 0. An ensemble's is over its events and potentials (after the image's last step,
    /// in which potentials need not be kept, its events alone), an output's over its sums.
    pub fn layers<K, const F: usize, const C: usize>(
        &self,
        image: &Image<'_, F, C>,
        engine: &Engine<'_, K, F, C>,
        step: u16,
    ) -> impl Iterator<Item = u32>
    where
        K: Kernels<u16> + Kernels<u32>,
    {
        let network = image.description();
        let keeps = network.goes_on(step.saturating_add(1));
        let ensembles = self.events.iter().take(network.ensembles.len());
        let ensembles = ensembles.enumerate().map(move |(ensemble, events)| {
            let mut hash = *events;
            if keeps {
                (0..)
                    .map_while(|neuron| engine.potential(ensemble, neuron))
                    .for_each(|v| hash.add(&v.to_le_bytes()));
            }
            hash.finish()
        });
        let outputs = (0..network.outputs.len()).map(|output| {
            let mut hash = Fnv::default();
            for sum in engine.output(output).sums() {
                hash.add(&sum.to_le_bytes());
            }
            hash.finish()
        });
        ensembles.chain(outputs)
    }
}

impl<const E: usize> Probe for Hashes<E> {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        if let Some(hash) = self.events.get_mut(ensemble) {
            for event in events {
                hash.add(&event.source.to_le_bytes());
                hash.add(&event.value.to_le_bytes());
            }
        }
    }
}
