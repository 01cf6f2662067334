//! The engine runs stepwise networks exactly as their definition says, on random networks.

use proptest::prelude::*;
use tinyspike::assemble::{Image, aligned_copy, assemble};
use tinyspike::emulate::HostEngine;
use tinyspike::quantize::Kind;
use tinyspike_firmware::{Event, Probe};
use tinyspike_tests::network::{inputs, stepwise_networks};
use tinyspike_tests::stepwise::Stepwise;

struct Counts(Vec<Vec<i64>>);

impl Probe for Counts {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        for e in events {
            self.0[ensemble][usize::from(e.source)] += i64::from(e.value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn spikes_potentials_and_outputs_equal_the_reference(
        network in stepwise_networks(),
        seed in any::<u64>(),
    ) {
        let bytes = aligned_copy(&assemble(&network).unwrap());
        let image = Image::parse(&bytes).unwrap();
        let inputs = inputs(&network, seed);
        let mut arena = vec![0xdead_beef; image.arena_bytes() / 4];
        let mut engine = HostEngine::new(&image, &mut arena).unwrap();
        let given: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let dynamics = network.dynamics.as_ref().unwrap();
        // The second run, after a reset, is the same.
        for _ in 0..2 {
            engine.reset();
            engine.set_inputs(&given).unwrap();
            let mut reference = Stepwise::new(&network, &inputs);
            for step in 0..network.steps {
                let mut counts =
                    Counts(network.ensembles.iter().map(|e| vec![0; e.neurons]).collect());
                prop_assert!(engine.step_probed(&mut counts));
                prop_assert_eq!(&counts.0, &reference.step());
                let sums: Vec<i64> =
                    engine.output(0).sums().iter().map(|&s| i64::from(s)).collect();
                prop_assert_eq!(&sums, &reference.sums[0]);
                if step + 1 == network.steps {
                    // Potentials need not be kept after the last step.
                    continue;
                }
                if step == 0 {
                    // An input that is set again between steps replaces itself.
                    engine.set_inputs(&given).unwrap();
                }
                for (e, ensemble) in network.ensembles.iter().enumerate() {
                    for i in 0..ensemble.neurons {
                        let threshold = ensemble.threshold[i % ensemble.threshold.len()];
                        let stored = i64::from(engine.potential(e, i).unwrap());
                        let found = match dynamics.ensembles[e].kind {
                            Kind::Lif { .. } => stored,
                            _ => stored + i64::from(threshold),
                        };
                        prop_assert_eq!(found, reference.potentials[e][i]);
                    }
                }
            }
            prop_assert!(!engine.step());
        }
    }
}
