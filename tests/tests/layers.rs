//! Every layer has its turn, and says when it is over.

use proptest::prelude::*;
use tinyspike::assemble::assemble;
use tinyspike::emulate::HostEngine;
use tinyspike::integers::{self, Ensemble};
use tinyspike_firmware::{Event, Layer, Probe};
use tinyspike_tests::network::{exact_networks, inputs, networks};

/// The layers whose turns are over, and the ensemble that has spiked since.
#[derive(Default)]
struct Turns {
    over: Vec<Layer>,
    spiking: Option<usize>,
}

impl Probe for Turns {
    fn spikes(&mut self, ensemble: usize, _events: &[Event]) {
        assert!(self.spiking.is_none_or(|other| other == ensemble));
        self.spiking = Some(ensemble);
    }

    fn done(&mut self, layer: Layer) {
        if let Some(ensemble) = self.spiking.take() {
            assert_eq!(layer, Layer::Ensemble(ensemble), "it spiked in its turn");
        }
        self.over.push(layer);
    }
}

impl Turns {
    /// Turns that these layers had.
    fn count(&self, layers: usize, kind: fn(usize) -> Layer) -> Vec<usize> {
        let turns = |layer| self.over.iter().filter(|over| **over == layer).count();
        (0..layers).map(|at| turns(kind(at))).collect()
    }
}

fn take_turns(network: &integers::Network, seed: u64) {
    let bytes = assemble(network).unwrap();
    let image = bytes.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let inputs = inputs(network, seed);
    let given: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let mut turns = Turns::default();
    engine.set_inputs_probed(&given, &mut turns).unwrap();
    let of_inputs = turns.count(given.len(), Layer::Input);
    assert!(of_inputs.iter().all(|n| *n > 0), "{of_inputs:?}");
    assert_eq!(of_inputs.iter().sum::<usize>(), turns.over.len());
    for _ in 0..network.steps.limit().unwrap() {
        let mut turns = Turns::default();
        assert!(engine.step_probed(&mut turns));
        assert_eq!(turns.spiking, None);
        let ensembles = turns.count(network.ensembles.len(), Layer::Ensemble);
        let outputs = turns.count(network.outputs.len(), Layer::Output);
        // What a step begins with is a turn of its own.
        let delayed = |e: &Ensemble| e.inbox.is_some_and(|inbox| inbox.synapse.is_delayed());
        let expected = network
            .ensembles
            .iter()
            .map(|e| 1 + usize::from(delayed(e)));
        assert_eq!(ensembles, expected.collect::<Vec<_>>());
        let expected = network
            .outputs
            .iter()
            .map(|o| 1 + usize::from(o.inbox.is_some()));
        assert_eq!(outputs, expected.collect::<Vec<_>>());
        let all = ensembles.iter().chain(&outputs).sum::<usize>();
        assert_eq!(all, turns.over.len());
    }
    let mut turns = Turns::default();
    assert!(!engine.step_probed(&mut turns));
    assert!(turns.over.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_layer_has_its_turn(network in networks(), seed in any::<u64>()) {
        take_turns(&network, seed);
    }

    #[test]
    fn every_layer_of_an_exact_network_has_its_turn(
        network in exact_networks(),
        seed in any::<u64>(),
    ) {
        take_turns(&network, seed);
    }
}
