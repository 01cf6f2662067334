//! The engine runs stepwise networks exactly as their definition says, on random networks.

use proptest::prelude::*;
use tinyspike::assemble::{AssembleError, Image, aligned_copy, assemble};
use tinyspike::emulate::HostEngine;
use tinyspike::lower::{Source, Target};
use tinyspike::quantize::{
    Connection, Dynamics, Ensemble, Initial, Input, Kind, Leak, Output, PartDynamics, Quantized,
    Seen,
};
use tinyspike_firmware::ImageError;
use tinyspike_firmware::kernels::families;
use tinyspike_shared::image::dynamics::Synapse;
use tinyspike_shared::image::{Dense, Fault, Transform, Width};
use tinyspike_tests::counts::Counts;
use tinyspike_tests::network::{inputs, stepwise_networks};
use tinyspike_tests::stepwise::Stepwise;

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

/// A network with an ensemble of LIF neurons that another one feeds, and an output.
fn network() -> Quantized {
    let dense = |pre, post, inputs, outputs| Connection {
        pre,
        post,
        source: Seen::Direct,
        transform: Transform::Dense(Dense {
            inputs,
            outputs,
            first: 0,
        }),
        weights: vec![1; (inputs * outputs) as usize],
    };
    let ensemble = |label: &str| Ensemble {
        label: label.into(),
        neurons: 3,
        width: Width::I32,
        max_count: 1,
        current_shift: 0,
        threshold: vec![100],
        bias: vec![0],
        potential_min: -200,
        potential_max: 200,
        theta: 1.0,
    };
    let part = |kind, synapse| PartDynamics {
        kind,
        synapse,
        fraction: 2,
        current_shift: -1,
        filter_min: -1000,
        filter_max: 1000,
    };
    let rectified = Kind::Rectified {
        negative_slope: 0,
        initial: Initial::Half,
    };
    let lif = Kind::Lif {
        leak: Leak {
            table: (0..=64).map(|piece| piece << 20).collect(),
            refractory: 1 << 17,
            minimum: 0,
            voltage_bits: 4,
        },
        initial: Initial::Values(vec![1, 2, 3]),
    };
    let lowpass = Some(Synapse::Lowpass { decay: 60_000 });
    Quantized {
        target: &families::PORTABLE,
        steps: 3,
        inputs: vec![Input {
            label: "x".into(),
            size: 2,
            scale: 1.0,
            zero_point: 0,
            max: 255,
        }],
        ensembles: vec![ensemble("a"), ensemble("b")],
        outputs: vec![Output {
            label: "y".into(),
            bias: vec![0; 2],
            multiplier: vec![1; 2],
            shift: 0,
            exit_margin: 0,
            scale: 1.0,
        }],
        connections: vec![
            dense(Source::Input(0), Target::Population(0), 2, 3),
            dense(Source::Population(0), Target::Population(1), 3, 3),
            dense(Source::Population(1), Target::Output(0), 3, 2),
        ],
        dynamics: Some(Dynamics {
            ensembles: vec![part(rectified, None), part(lif, lowpass)],
            outputs: vec![part(Kind::Readout { delayed: true }, lowpass)],
        }),
    }
}

/// What the parser says of the network with something altered.
fn refused(alter: impl FnOnce(&mut Quantized)) -> Option<ImageError> {
    let mut network = network();
    alter(&mut network);
    match assemble(&network) {
        Err(AssembleError::Refused(error)) => Some(error),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

/// The same of an altered record: of an ensemble, or of the output.
fn of_part(part: usize, alter: impl FnOnce(&mut PartDynamics)) -> Option<Fault> {
    let error = refused(|network| {
        let dynamics = network.dynamics.as_mut().unwrap();
        let mut parts = dynamics.ensembles.iter_mut().chain(&mut dynamics.outputs);
        alter(parts.nth(part).unwrap());
    });
    match error? {
        ImageError::Ensemble { index, fault } if usize::from(index) == part => Some(fault),
        ImageError::Output { index: 0, fault } if part == 2 => Some(fault),
        other => panic!("{other}"),
    }
}

fn of_leak(alter: impl FnOnce(&mut Leak)) -> Option<Fault> {
    of_part(1, |part| match &mut part.kind {
        Kind::Lif { leak, .. } => alter(leak),
        _ => panic!("no leak"),
    })
}

#[test]
fn records_are_checked() {
    assert_eq!(refused(|_| ()), None);
    for part in 0..3 {
        assert_eq!(of_part(part, |p| p.fraction = 15), Some(Fault::Shift));
        assert_eq!(of_part(part, |p| p.current_shift = -32), Some(Fault::Shift));
        assert_eq!(of_part(part, |p| p.current_shift = 32), Some(Fault::Shift));
        assert_eq!(of_part(part, |p| p.filter_min = 1), Some(Fault::Bounds));
        assert_eq!(of_part(part, |p| p.filter_max = -1), Some(Fault::Bounds));
    }
    let readout = Kind::Readout { delayed: false };
    assert_eq!(of_part(2, |p| p.kind = readout.clone()), None);
    assert_eq!(
        of_part(1, |p| p.kind = readout.clone()),
        Some(Fault::Dynamics)
    );
    let neurons = Kind::Rectified {
        negative_slope: 1,
        initial: Initial::Zero,
    };
    assert_eq!(of_part(1, |p| p.kind = neurons.clone()), None);
    assert_eq!(
        of_part(2, |p| p.kind = neurons.clone()),
        Some(Fault::Dynamics)
    );
    let short = of_part(1, |p| match &mut p.kind {
        Kind::Lif { initial, .. } => *initial = Initial::Values(vec![1, 2]),
        _ => panic!("no voltages"),
    });
    assert!(matches!(short, Some(Fault::Section { .. })), "{short:?}");
}

#[test]
fn leaks_are_checked() {
    let dynamics = Some(Fault::Dynamics);
    assert_eq!(of_leak(|l| l.voltage_bits = 15), dynamics);
    assert_eq!(of_leak(|l| l.minimum = 1), dynamics);
    assert_eq!(of_leak(|l| l.table[0] = 1), dynamics);
    assert_eq!(of_leak(|l| l.table[7] = l.table[6]), dynamics);
    assert_eq!(of_leak(|l| l.table[64] = (1 << 30) + 1), dynamics);
    let short = of_leak(|l| l.table.truncate(64));
    assert!(matches!(short, Some(Fault::Section { .. })), "{short:?}");
}

#[test]
fn a_network_runs_step_by_step_as_a_whole() {
    // Events need something that takes them up.
    let fault = Fault::Dynamics;
    let deaf = |part: usize| {
        refused(move |network| {
            let dynamics = network.dynamics.as_mut().unwrap();
            let mut parts = dynamics.ensembles.iter_mut().chain(&mut dynamics.outputs);
            parts.nth(part).unwrap().synapse = None;
        })
    };
    assert_eq!(deaf(0), None);
    assert_eq!(deaf(1), Some(ImageError::Connection { index: 1, fault }));
    assert_eq!(deaf(2), Some(ImageError::Connection { index: 2, fault }));
    let exit = refused(|network| network.outputs[0].exit_margin = 1);
    assert_eq!(exit, Some(ImageError::Output { index: 0, fault }));
    let narrow = refused(|network| network.ensembles[1].width = Width::I16);
    let fault = Fault::Width;
    assert_eq!(narrow, Some(ImageError::Ensemble { index: 1, fault }));
    let mut missing = network();
    missing.dynamics.as_mut().unwrap().outputs.clear();
    assert!(assemble(&missing).is_err());
}
