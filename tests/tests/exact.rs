//! Checks by the parser of neurons, inboxes and readouts beyond those of deployed networks.

use tinyspike::assemble::{AssembleError, assemble};
use tinyspike::graph::{Source, Target};
use tinyspike::integers::{self, Connection, Ensemble, Inbox, Initial, Input, Output, Seen, Steps};
use tinyspike_firmware::ImageError;
use tinyspike_firmware::kernels::families;
use tinyspike_shared::image::{
    Dense, Fault, Lif, Neuron, Readout, Rectified, Synapse, Transform, Width,
};

const LOWPASS: Inbox = Inbox {
    synapse: Synapse::Lowpass { decay: 60_000 },
    fraction: 2,
    min: -1000,
    max: 1000,
};

fn dense(pre: Source, post: Target, inputs: u32, outputs: u32) -> Connection {
    Connection {
        dense: false,
        pre,
        post,
        source: Seen::Direct,
        transform: Transform::Dense(Dense {
            inputs,
            outputs,
            first: 0,
        }),
        weights: vec![1; (inputs * outputs) as usize],
    }
}

/// Rectified neurons, LIF neurons behind them, and an output.
fn network() -> integers::Network {
    let ensemble = |label: &str| Ensemble {
        label: label.into(),
        neurons: 3,
        max_count: 1,
        current_shift: -1,
        threshold: vec![100],
        bias: vec![0],
        potential_min: -200,
        potential_max: 200,
        theta: 1.0,
        ..Ensemble::default()
    };
    let table = (0..=64).map(|piece| piece << 20);
    integers::Network {
        target: &families::PORTABLE,
        steps: Steps::Limited(3),
        inputs: vec![Input {
            label: "x".into(),
            size: 2,
            scale: 1.0,
            zero_point: 0,
            max: 255,
            channels: Vec::new(),
            coder: None,
        }],
        ensembles: vec![
            Ensemble {
                neuron: Neuron::Rectified(Rectified { negative_slope: 0 }),
                ..ensemble("a")
            },
            Ensemble {
                neuron: Neuron::Lif(Lif { voltage_bits: 4 }),
                constants: [1 << 17, 0].into_iter().chain(table).collect(),
                initial: Initial::Each(vec![1, 2, 3]),
                inbox: Some(LOWPASS),
                ..ensemble("b")
            },
        ],
        outputs: vec![Output {
            label: "y".into(),
            bias: vec![0; 2],
            multiplier: vec![1; 2],
            scale: 1.0,
            readout: Readout::Shown { delayed: true },
            inbox: Some(LOWPASS),
            ..Output::default()
        }],
        connections: vec![
            dense(Source::Input(0), Target::Population(0), 2, 3),
            dense(Source::Population(0), Target::Population(1), 3, 3),
            dense(Source::Population(1), Target::Output(0), 3, 2),
        ],
    }
}

/// Error of the parser for the network with something altered.
fn refused(alter: impl FnOnce(&mut integers::Network)) -> Option<ImageError> {
    let mut network = network();
    alter(&mut network);
    network.connections.sort_by_key(|c| c.pre);
    match assemble(&network) {
        Err(AssembleError::Refused(error)) => Some(error),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

fn of_ensemble(at: u8, alter: impl FnOnce(&mut Ensemble)) -> Option<Fault> {
    match refused(|network| alter(&mut network.ensembles[usize::from(at)]))? {
        ImageError::Ensemble { index, fault } if index == at => Some(fault),
        other => panic!("{other}"),
    }
}

fn of_output(alter: impl FnOnce(&mut Output)) -> Option<Fault> {
    match refused(|network| alter(&mut network.outputs[0]))? {
        ImageError::Output { index: 0, fault } => Some(fault),
        other => panic!("{other}"),
    }
}

fn fraction(inbox: &mut Option<Inbox>) {
    *inbox = Some(Inbox {
        fraction: 15,
        ..LOWPASS
    });
}

#[test]
fn shifts_are_small() {
    assert_eq!(refused(|_| ()), None);
    let shift = Some(Fault::Shift);
    for at in 0..2 {
        assert_eq!(of_ensemble(at, |e| fraction(&mut e.inbox)), shift);
        for (by, fault) in [(-32, shift), (-31, None), (31, None), (32, shift)] {
            assert_eq!(of_ensemble(at, |e| e.current_shift = by), fault);
            assert_eq!(of_output(|o| o.current_shift = by), fault);
        }
    }
    assert_eq!(of_output(|o| fraction(&mut o.inbox)), shift);
    // What events reach directly, inputs only divide.
    let direct = |by| {
        of_ensemble(0, |e| {
            (e.neuron, e.current_shift) = (Neuron::IntegrateAndFire, by)
        })
    };
    assert_eq!((direct(1), direct(0)), (shift, None));
}

#[test]
fn constants_are_checked() {
    let neuron = Some(Fault::Neuron);
    let with = |at: usize, value: u32| of_ensemble(1, |e| e.constants[at] = value);
    let bits = |voltage_bits| of_ensemble(1, |e| e.neuron = Neuron::Lif(Lif { voltage_bits }));
    assert_eq!((bits(14), bits(15)), (None, neuron));
    // The refractory time, the least voltage, and the table.
    assert_eq!((with(0, 0), with(0, i32::MAX as u32)), (None, None));
    assert_eq!(with(0, 1 << 31), neuron);
    assert_eq!((with(1, -5i32 as u32), with(1, 1)), (None, neuron));
    assert_eq!(with(2, 1), neuron);
    assert_eq!((with(9, 6 << 20), with(9, (6 << 20) + 1)), (neuron, None));
    assert_eq!((with(66, 1 << 30), with(66, (1 << 30) + 1)), (None, neuron));
}

#[test]
fn direct_ensembles_start_at_half_their_threshold() {
    let start = |inbox: Option<Inbox>, initial| {
        of_ensemble(0, |e| {
            (e.neuron, e.inbox, e.initial) = (Neuron::IntegrateAndFire, inbox, initial)
        })
    };
    assert_eq!(start(None, Initial::Half), None);
    assert_eq!(start(None, Initial::Zero), Some(Fault::Neuron));
    assert_eq!(start(Some(LOWPASS), Initial::Zero), None);
}

#[test]
fn others_have_potentials_of_32_bits() {
    for at in 0..2 {
        let narrow = of_ensemble(at, |e| e.width = Width::I16);
        assert_eq!(narrow, Some(Fault::Width));
    }
}

#[test]
fn events_are_taken_up() {
    let fault = Fault::Inbox;
    let deaf = refused(|network| network.ensembles[1].inbox = None);
    assert_eq!(deaf, Some(ImageError::Connection { index: 1, fault }));
    let deaf = refused(|network| network.outputs[0].inbox = None);
    assert_eq!(deaf, Some(ImageError::Connection { index: 2, fault }));
    let sum = |inbox, shift| {
        of_output(|o| (o.readout, o.inbox, o.current_shift) = (Readout::Sum, inbox, shift))
    };
    assert_eq!(sum(None, 0), None);
    assert_eq!(sum(Some(LOWPASS), 0), Some(fault));
    assert_eq!(sum(None, 1), Some(fault));
    assert_eq!(of_output(|o| o.exit_margin = 1), Some(fault));
}

#[test]
fn only_a_delay_lets_connections_lead_back() {
    let with = |synapse, pre: usize, post: usize| {
        refused(|network| {
            network.ensembles[0].inbox = Some(LOWPASS);
            network.ensembles[post].inbox = Some(Inbox { synapse, ..LOWPASS });
            let (pre, post) = (Source::Population(pre), Target::Population(post));
            network.connections.push(dense(pre, post, 3, 3));
        })
    };
    let alpha = Synapse::Alpha { decay: 1, feed: 1 };
    for synapse in [LOWPASS.synapse, alpha] {
        for (pre, post) in [(0, 0), (1, 1), (1, 0), (0, 1)] {
            assert_eq!(with(synapse, pre, post), None);
        }
    }
    for (pre, post, index) in [(0, 0, 2), (1, 1, 3), (1, 0, 3)] {
        let fault = Fault::Order;
        let order = Some(ImageError::Connection { index, fault });
        assert_eq!(with(Synapse::Through, pre, post), order);
    }
    assert_eq!(with(Synapse::Through, 0, 1), None);
}

#[test]
fn sums_end() {
    let endless = |readout, inbox| {
        refused(|network| {
            network.steps = Steps::Endless;
            (network.outputs[0].readout, network.outputs[0].inbox) = (readout, inbox);
        })
    };
    let shown = Readout::Shown { delayed: false };
    assert_eq!(endless(shown, Some(LOWPASS)), None);
    let fault = Fault::Inbox;
    let sum = endless(Readout::Sum, None);
    assert_eq!(sum, Some(ImageError::Output { index: 0, fault }));
}
