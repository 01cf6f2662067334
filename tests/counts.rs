//! Spike counts of each neuron.

use tinyspike_firmware::{Event, Probe};

/// Spikes of each neuron, by ensemble.
#[derive(Clone, Debug)]
pub struct Counts(pub Vec<Vec<i64>>);

impl Probe for Counts {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        for e in events {
            self.0[ensemble][usize::from(e.source)] += i64::from(e.value);
        }
    }
}
