//! Small networks built by hand: neuron types, synapses, loops and what a user can get wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use tinyspike::emulate::HostEngine;
use tinyspike::network::{
    Connection, Ensemble, EnsembleId, Network, NeuronType, Node, NodeId, NodeKind, PerNeuron, Post,
    Pre, Probe, Synapse, Transform,
};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::simulate::{
    InitialVoltage, Input, InputData, Limits, Run, SimulateError, SimulateOptions, Simulator, Watch,
};
use tinyspike::tensor::Tensor;
use tinyspike_tests::counts::Counts;
use tinyspike_tests::deployment;

const DT: f32 = 0.001;

fn node(label: &str, size: usize, kind: NodeKind) -> Node {
    Node {
        label: label.to_owned(),
        size_in: match kind {
            NodeKind::Passthrough => size,
            _ => 0,
        },
        size_out: size,
        kind,
        subnetwork: None,
    }
}

fn connection(pre: Pre, post: Post, size: usize, synapse: Option<Synapse>) -> Connection {
    Connection {
        pre,
        pre_slice: None,
        post,
        post_slice: None,
        transform: Transform::Identity(size),
        synapse,
        trainable: None,
        subnetwork: None,
    }
}

/// Input "u" → neurons "a" → (synapse) → node "y", with a probe on "y".
fn chain(
    neuron_type: impl Into<NeuronType<PerNeuron>>,
    size: usize,
    synapse: Option<Synapse>,
) -> Network {
    Network {
        nodes: vec![
            node("u", size, NodeKind::Input { shape: vec![size] }),
            node("y", size, NodeKind::Passthrough),
        ],
        ensembles: vec![Ensemble {
            label: "a".to_owned(),
            n_neurons: size,
            neuron_type: neuron_type.into(),
            gain: 2.0.into(),
            bias: Some(Tensor::filled(vec![size], 0.5)),
            bias_trainable: None,
            shape: vec![size],
            channels_last: true,
            initial_voltage: None,
            subnetwork: None,
        }],
        connections: vec![
            connection(
                Pre::Node(NodeId(0)),
                Post::Neurons(EnsembleId(0)),
                size,
                None,
            ),
            connection(
                Pre::Neurons(EnsembleId(0)),
                Post::Node(NodeId(1)),
                size,
                synapse,
            ),
        ],
        probes: vec![Probe {
            target: Pre::Node(NodeId(1)),
            synapse: None,
            label: "y".to_owned(),
        }],
        ..Network::default()
    }
}

fn drive(values: &[f32]) -> [Input; 1] {
    [Input {
        name: "u".to_owned(),
        data: InputData::Static(Tensor::new(vec![1, values.len()], values.to_vec()).unwrap()),
    }]
}

fn run(network: &Network, values: &[f32], steps: usize, initial_voltage: InitialVoltage) -> Run {
    let options = SimulateOptions {
        initial_voltage,
        watch: Watch::All,
        ..SimulateOptions::default()
    };
    let simulator = Simulator::new(network, &options).unwrap();
    simulator.predict(&drive(values), steps).unwrap()
}

fn spiking_relu() -> NeuronType {
    NeuronType::SpikingRectifiedLinear { amplitude: 0.5 }
}

/// J = 0.5 + 2 u; V += max(J, 0) dt; n = floor V; out = n amplitude / dt.
#[test]
fn spiking_rectified_linear_is_its_equations() {
    let inputs = [-3.0, 0.0, 99.75, 1234.5, 2600.0];
    let run = run(
        &chain(spiking_relu(), 5, None),
        &inputs,
        40,
        InitialVoltage::Zero,
    );
    let counts = run.ensembles[0].counts.as_ref().unwrap();
    let potentials = run.ensembles[0].potentials.as_ref().unwrap();
    let mut voltage = [0.0f32; 5];
    let mut total = 0.0;
    for step in 0..40 {
        for (i, u) in inputs.iter().enumerate() {
            voltage[i] += (0.5 + 2.0 * u).max(0.0) * DT;
            let n = voltage[i].floor();
            voltage[i] -= n;
            total += n;
            assert_eq!(counts.data()[step * 5 + i], n);
            assert_eq!(potentials.data()[step * 5 + i], voltage[i]);
            let y = run.probes[0].values.data()[step * 5 + i];
            assert_eq!(y, n * (0.5 / DT));
        }
    }
    assert_eq!(run.ensembles[0].spikes, Some(total as u64));
    let rate = run.rate(&run.ensembles[0]).unwrap();
    assert!((rate - f64::from(total) / (5.0 * 0.04)).abs() < 1e-6);
}

/// The rate of every spiking type comes to that of its rate type.
#[test]
fn spiking_types_fire_at_their_rates() {
    let size = 200;
    let u = vec![60.0; size];
    let lif = NeuronType::LifRate {
        tau_rc: 0.02,
        tau_ref: 0.002,
        amplitude: 1.0,
    };
    let tanh = NeuronType::Tanh { tau_ref: 0.01 };
    let leaky = NeuronType::LeakyRelu {
        negative_slope: 0.1,
        amplitude: 1.0,
    };
    let spiking_lif = NeuronType::Lif {
        tau_rc: 0.02,
        tau_ref: 0.002,
        min_voltage: 0.0,
        amplitude: 1.0,
    };
    let spiking_leaky = NeuronType::SpikingLeakyRelu {
        negative_slope: 0.1,
        amplitude: 1.0,
    };
    let base = Box::new(tanh.clone());
    let regular = NeuronType::RegularSpiking {
        base: base.clone(),
        amplitude: 1.0,
    };
    let poisson = NeuronType::PoissonSpiking {
        base: base.clone(),
        amplitude: 1.0,
    };
    let stochastic = NeuronType::StochasticSpiking {
        base,
        amplitude: 1.0,
    };
    for (spiking, rate, tolerance) in [
        (spiking_lif, lif, 0.02),
        (spiking_leaky, leaky, 0.01),
        (regular, tanh.clone(), 0.01),
        (poisson, tanh.clone(), 0.05),
        (stochastic, tanh, 0.05),
    ] {
        let start = InitialVoltage::Uniform { seed: 3 };
        let expected = run(&chain(rate, size, None), &u, 1, start.clone()).probes[0]
            .values
            .data()[0];
        let spikes = run(&chain(spiking.clone(), size, None), &u, 200, start);
        let values = spikes.probes[0].values.data();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(
            (mean - expected).abs() <= tolerance * expected,
            "{spiking:?}: {mean} Hz, not {expected} Hz"
        );
    }
}

/// An ensemble with parameters for each neuron does what ensembles of one neuron each do.
#[test]
fn neurons_may_have_their_own_parameters() {
    let each = |values: [f32; 3]| PerNeuron::Each(values.into());
    let amplitude = || each([1.0, 0.5, 2.0]);
    let tau_rc = || each([0.02, 0.03, 0.01]);
    let rate = || NeuronType::LifRate {
        tau_rc: tau_rc(),
        tau_ref: 0.002.into(),
        amplitude: amplitude(),
    };
    let types: [NeuronType<PerNeuron>; 5] = [
        rate(),
        NeuronType::Lif {
            tau_rc: tau_rc(),
            tau_ref: each([0.002, 0.001, 0.003]),
            min_voltage: 0.0.into(),
            amplitude: amplitude(),
        },
        NeuronType::AdaptiveLif {
            tau_n: each([0.1, 0.2, 0.3]),
            inc_n: 0.5.into(),
            tau_rc: tau_rc(),
            tau_ref: 0.002.into(),
            min_voltage: 0.0.into(),
            amplitude: amplitude(),
        },
        NeuronType::SpikingRectifiedLinear {
            amplitude: amplitude(),
        },
        NeuronType::RegularSpiking {
            base: Box::new(rate()),
            amplitude: 1.0.into(),
        },
    ];
    let inputs = [60.0, 150.0, 20.25];
    let gains = [2.0, 1.5, 3.0];
    let steps = 50;
    for neuron_type in types {
        for synapse in [None, Some(Synapse::Lowpass { tau: 0.005 })] {
            let mut together = chain(neuron_type.clone(), 3, synapse);
            together.ensembles[0].gain = each(gains);
            let together = run(&together, &inputs, steps, InitialVoltage::Zero);
            for neuron in 0..3 {
                let mut alone = chain(neuron_type.at(neuron), 1, synapse);
                alone.ensembles[0].gain = gains[neuron].into();
                let input = [inputs[neuron]];
                let alone = run(&alone, &input, steps, InitialVoltage::Zero);
                let found = together.probes[0].values.data().iter();
                let found: Vec<f32> = found.skip(neuron).step_by(3).copied().collect();
                assert_eq!(found, alone.probes[0].values.data(), "{neuron_type}");
                assert!(found.iter().any(|&value| value != 0.0), "{neuron_type}");
            }
        }
    }
    let network = chain(rate(), 3, None);
    let listed = serde_json::to_value(tinyspike::inspect::listing(&network)).unwrap();
    assert_eq!(
        listed["ensembles"][0]["neuron_type"],
        "LIFRate(tau_rc=[0.02, 0.03, 0.01], amplitude=[1.0, 0.5, 2.0])"
    );
}

#[test]
fn leaky_neurons_spike_below_zero() {
    let leaky = NeuronType::SpikingLeakyRelu {
        negative_slope: 0.5,
        amplitude: 1.0,
    };
    let run = run(&chain(leaky, 1, None), &[-500.25], 10, InitialVoltage::Zero);
    // J = -1000: V falls by 0.5 a step. floor(V) + 1 is 0 down to -1, and takes 1 off below.
    let counts = run.ensembles[0].counts.as_ref().unwrap().data();
    assert_eq!(counts, [0., 0., -1., 0., -1., 0., -1., 0., -1., 0.]);
}

/// A stream that drives neurons beyond the limits that its image states, up and down, and then stops: what has piled
/// up there comes out spike by spike, in floats as in the engine.
#[test]
fn streams_saturate_as_their_images_do() {
    const DRIVEN: usize = 900;
    const STEPS: usize = 4000;
    let leaky = NeuronType::SpikingLeakyRelu {
        negative_slope: 0.5,
        amplitude: 1.0,
    };
    let mut network = chain(leaky, 2, None);
    // Six thresholds a step, of which one can be fired, and three down.
    network.ensembles[0].gain = PerNeuron::Each(vec![6000.0, -6000.0].into());
    network.ensembles[0].bias = None;
    let options = QuantizeOptions {
        steps: 0,
        max_count: 1,
        initial_voltage: InitialVoltage::Zero,
        ..QuantizeOptions::exact()
    };
    let deployment = deployment::exact(&network, &options).unwrap();
    let image = deployment.image.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let mut expected = Vec::new();
    for step in 0..STEPS {
        match step {
            0 => engine.set_input(&[255, 255]).unwrap(),
            DRIVEN => engine.set_input(&[0, 0]).unwrap(),
            _ => {}
        }
        let mut counts = Counts(vec![vec![0; 2]]);
        engine.step_probed(&mut counts);
        expected.extend(counts.0[0].iter().map(|n| *n as f32));
    }
    let values = (0..STEPS).flat_map(|step| [f32::from(u8::from(step < DRIVEN)); 2]);
    let input = [Input {
        name: "u".to_owned(),
        data: InputData::Steps(Tensor::new(vec![1, STEPS, 2], values.collect()).unwrap()),
    }];
    let counts = |limits| {
        let options = SimulateOptions {
            initial_voltage: InitialVoltage::Zero,
            watch: Watch::All,
            limits,
            ..SimulateOptions::default()
        };
        let run = Simulator::new(&network, &options).unwrap();
        let run = run.predict(&input, STEPS).unwrap();
        run.ensembles[0].counts.as_ref().unwrap().data().to_vec()
    };
    let limits = Limits::of(&deployment.integers);
    assert_eq!(counts(limits.clone()), expected);
    // Both limits were met: with the counts' limit alone more would have come out, up and down.
    let mut unlimited = limits;
    unlimited.get_mut("a").unwrap().voltage = vec![(f32::MIN, f32::MAX)];
    let sums = |counts: &[f32], neuron| -> f32 { counts.iter().skip(neuron).step_by(2).sum() };
    let unlimited = counts(unlimited);
    assert!(sums(&expected, 0) > DRIVEN as f32 && sums(&unlimited, 0) > sums(&expected, 0));
    assert!(sums(&expected, 1) < -(DRIVEN as f32) && sums(&unlimited, 1) < sums(&expected, 1));
}

/// Adaptation lowers the rate that a LIF neuron begins with.
#[test]
fn adaptive_neurons_slow_down() {
    let adaptive = NeuronType::AdaptiveLif {
        tau_n: 0.1,
        inc_n: 0.5,
        tau_rc: 0.02,
        tau_ref: 0.002,
        min_voltage: 0.0,
        amplitude: 1.0,
    };
    let run = run(
        &chain(adaptive, 50, None),
        &[5.0; 50],
        400,
        InitialVoltage::default(),
    );
    let counts = run.ensembles[0].counts.as_ref().unwrap().data();
    let (first, last) = (&counts[..100 * 50], &counts[300 * 50..]);
    let sum = |c: &[f32]| c.iter().sum::<f32>();
    assert!(sum(last) > 0.0 && sum(last) < 0.6 * sum(first));
}

/// y shows the filter of the step before: exactly one step of delay.
#[test]
fn a_synapse_delays_by_one_step() {
    let tau = 0.005;
    let start = InitialVoltage::Zero;
    let plain = run(&chain(spiking_relu(), 1, None), &[300.0], 30, start.clone());
    let through = Some(Synapse::Lowpass { tau: 0.0 });
    let delayed = run(
        &chain(spiking_relu(), 1, through),
        &[300.0],
        30,
        start.clone(),
    );
    let (s, d) = (
        plain.probes[0].values.data(),
        delayed.probes[0].values.data(),
    );
    assert_eq!(d[0], 0.0);
    assert_eq!(d[1..], s[..29]);
    let lowpass = Some(Synapse::Lowpass { tau });
    let filtered = run(&chain(spiking_relu(), 1, lowpass), &[300.0], 30, start);
    let decay = (-0.001 / tau).exp();
    let mut f = 0.0;
    for (y, s) in filtered.probes[0].values.data().iter().zip(s) {
        assert!((f64::from(*y) - f).abs() < 1e-3, "{y} {f}");
        f = decay * f + (1.0 - decay) * f64::from(*s);
    }
}

/// Slices choose and order places on both sides.
#[test]
fn slices() {
    let mut network = chain(spiking_relu(), 3, None);
    let link = &mut network.connections[1];
    link.pre_slice = Some(Arc::from([2, 0]));
    link.post_slice = Some(Arc::from([1, 2]));
    link.transform = Transform::Identity(2);
    let run = run(&network, &[499.75, 0.0, 1499.75], 1, InitialVoltage::Zero);
    // J = 1000 and 3000: one spike and three.
    assert_eq!(
        run.probes[0].values.data(),
        [0.0, 3.0 * (0.5 / DT), 0.5 / DT]
    );
}

/// A loop needs a synapse.
#[test]
fn loops() {
    let back = |synapse| {
        let mut network = chain(spiking_relu(), 1, None);
        network.connections.push(connection(
            Pre::Node(NodeId(1)),
            Post::Neurons(EnsembleId(0)),
            1,
            synapse,
        ));
        Simulator::new(&network, &SimulateOptions::default())
    };
    match back(None) {
        Err(SimulateError::Loop { objects }) => assert_eq!(objects, ["y", "a"]),
        other => panic!("{other:?}"),
    }
    let simulator = back(Some(Synapse::Lowpass { tau: 0.005 })).unwrap();
    let looped = simulator.predict(&drive(&[50.0]), 100).unwrap();
    let open = run(
        &chain(spiking_relu(), 1, None),
        &[50.0],
        100,
        InitialVoltage::default(),
    );
    assert!(looped.ensembles[0].spikes > open.ensembles[0].spikes);
}

#[test]
fn mistakes_are_named() {
    let network = chain(spiking_relu(), 3, None);
    let simulator = Simulator::new(&network, &SimulateOptions::default()).unwrap();
    assert_eq!(simulator.inputs(), ["u"]);
    let data = |name: &str, shape: Vec<usize>| Input {
        name: name.to_owned(),
        data: InputData::Static(Tensor::filled(shape, 0.0)),
    };
    let error = |inputs: &[Input]| simulator.predict(inputs, 2).unwrap_err();
    assert!(matches!(
        error(&[]),
        SimulateError::InputCount { times: 0, .. }
    ));
    assert!(matches!(
        error(&[data("u", vec![1, 3]), data("y", vec![1, 3])]),
        SimulateError::UnknownInput { .. }
    ));
    assert!(matches!(
        error(&[data("u", vec![1, 4])]),
        SimulateError::InputShape { .. }
    ));
    let steps = Input {
        name: "u".to_owned(),
        data: InputData::Steps(Tensor::filled(vec![1, 5, 3], 0.0)),
    };
    assert!(error(&[steps]).to_string().contains("[batch, 2, ..]"));

    let given = |voltages: &[f32]| {
        let voltage = Tensor::vector(voltages.to_vec());
        let options = SimulateOptions {
            initial_voltage: InitialVoltage::Given(BTreeMap::from([("a".to_owned(), voltage)])),
            ..SimulateOptions::default()
        };
        Simulator::new(&network, &options)
    };
    assert_eq!(
        given(&[0.25, 0.5, 0.0])
            .unwrap()
            .initial_voltage("a")
            .unwrap(),
        [0.25, 0.5, 0.0]
    );
    assert!(matches!(
        given(&[0.0; 2]),
        Err(SimulateError::Voltage { .. })
    ));
    assert!(matches!(
        given(&[0.0, -0.5, 0.0]),
        Err(SimulateError::Voltage { .. })
    ));

    let mut wrong = chain(spiking_relu(), 3, None);
    wrong.connections[1].transform = Transform::Identity(2);
    assert!(matches!(
        Simulator::new(&wrong, &SimulateOptions::default()),
        Err(SimulateError::Connection { .. })
    ));
}
