//! The simulator against NengoDL's outputs and spikes, step by step.

mod npz;

use npz::{Npz, path};
use tinyspike::convert::{self, Conversion, ConvertOptions, ScaleFiringRates};
use tinyspike::import;
use tinyspike::model::Activation;
use tinyspike::network::{NeuronType, Synapse};
use tinyspike::simulate::{InitialVoltage, Input, InputData, SimulateOptions, Simulator, Watch};
use tinyspike::tensor::Tensor;

fn conversion(model: &str, tau: Option<f64>) -> Conversion {
    let file = match model {
        "mnist_mlp_nodropout" => format!("tests/fixtures/keras/{model}.keras"),
        _ => format!("models/{model}.keras"),
    };
    let model = import::load(&path(&file)).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        swap_activations: vec![(
            Activation::Relu.into(),
            NeuronType::SpikingRectifiedLinear { amplitude: 1.0 }.into(),
        )],
        scale_firing_rates: ScaleFiringRates::All(100.0),
        synapse: tau.map(|tau| Synapse::Lowpass { tau }),
        // NengoDL leaves dropout as a tensor node, to which no synapse leads.
        nengo_dl_compat: true,
        ..ConvertOptions::default()
    };
    convert::convert(&model, &options).unwrap()
}

fn input(conversion: &Conversion, data: InputData) -> [Input; 1] {
    let (_, node) = conversion.network.inputs[0];
    [Input {
        name: conversion.network.nodes[node.0].label.clone(),
        data,
    }]
}

fn check(model: &str, synapse: &str, tau: Option<f64>, voltage: &str, tolerance: f32) {
    let conversion = conversion(model, tau);
    let name = format!("{model}_S100_{synapse}_{voltage}");
    let mut golden = Npz::open(&format!("tests/fixtures/golden/{name}.npz"));
    let options = SimulateOptions {
        initial_voltage: match voltage {
            "zero" => InitialVoltage::Zero,
            _ => InitialVoltage::Uniform { seed: 0 },
        },
        watch: Watch::All,
        ..SimulateOptions::default()
    };
    let simulator = Simulator::new(&conversion.network, &options).unwrap();
    if voltage != "zero" {
        for ensemble in &conversion.network.ensembles {
            let expected = golden.tensor(&format!("v0__{}", ensemble.label));
            let found = simulator.initial_voltage(&ensemble.label).unwrap();
            assert_eq!(found, expected.data(), "{name}: v0 of {}", ensemble.label);
        }
    }
    let x = golden.tensor("x");
    let run = simulator
        .predict(&input(&conversion, InputData::Static(x)), 50)
        .unwrap();
    for ensemble in &run.ensembles {
        let expected = golden.tensor(&format!("count__{}", ensemble.label));
        let counts = ensemble.counts.as_ref().unwrap();
        assert_eq!(counts.shape(), expected.shape());
        let wrong = (counts.data().iter().zip(expected.data()))
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(
            wrong, 0,
            "{name}: {} spike counts of {}",
            wrong, ensemble.label
        );
    }
    let counted = golden
        .names()
        .iter()
        .filter(|n| n.starts_with("count__"))
        .count();
    assert_eq!(run.ensembles.len(), counted);
    let expected = golden.tensor("output");
    let difference = difference(&run.probes[0].values, &expected);
    assert!(
        difference <= tolerance,
        "{name}: outputs differ by {difference:e}"
    );
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.shape(), b.shape());
    (a.data().iter().zip(b.data()))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn check_all(model: &str) {
    for voltage in ["zero", "uniform_seed0"] {
        check(model, "synNone", None, voltage, 2e-5);
        check(model, "syn5ms", Some(0.005), voltage, 1e-5);
    }
}

#[test]
fn mnist_small() {
    check_all("mnist_small");
}

#[test]
fn mnist_mlp_nodropout() {
    check_all("mnist_mlp_nodropout");
}

#[test]
fn mnist_mlp() {
    check_all("mnist_mlp");
}

fn small() -> (Conversion, Tensor) {
    let conversion = conversion("mnist_small", Some(0.005));
    let x = Npz::open("tests/fixtures/forward/mnist_small_ref16.npz").tensor("x");
    (conversion, x)
}

/// The same data at every step is the same simulation, in however many pieces.
#[test]
fn data_by_steps_and_by_pieces() {
    let (conversion, x) = small();
    let options = SimulateOptions {
        watch: Watch::All,
        ..SimulateOptions::default()
    };
    let mut simulator = Simulator::new(&conversion.network, &options).unwrap();
    let whole = simulator
        .predict(&input(&conversion, InputData::Static(x.clone())), 40)
        .unwrap();

    let size = x.len() / 16;
    let repeated = x
        .data()
        .chunks(size)
        .flat_map(|item| item.repeat(40))
        .collect();
    let steps = Tensor::new(vec![16, 40, size], repeated).unwrap();
    let by_steps = simulator
        .predict(&input(&conversion, InputData::Steps(steps)), 40)
        .unwrap();
    assert_eq!(whole.probes, by_steps.probes);
    assert_eq!(whole.ensembles, by_steps.ensembles);

    let data = input(&conversion, InputData::Static(x));
    for _ in 0..2 {
        let mut pieces = Vec::new();
        for n in [1, 15, 24] {
            pieces.push(simulator.run_steps(&data, n).unwrap());
        }
        for item in 0..16 {
            let joined: Vec<f32> = pieces
                .iter()
                .flat_map(|run| {
                    let n = run.steps * 10;
                    run.probes[0].values.data()[item * n..][..n].to_vec()
                })
                .collect();
            assert_eq!(joined, whole.probes[0].values.data()[item * 400..][..400]);
        }
        simulator.reset();
    }
}

/// An item's result is the same alone and in any batch, to the bit.
#[test]
fn items_are_independent() {
    let (conversion, x) = small();
    let simulator = Simulator::new(&conversion.network, &SimulateOptions::default()).unwrap();
    let run = |x: Tensor| {
        simulator
            .predict(&input(&conversion, InputData::Static(x)), 30)
            .unwrap()
    };
    let many = Tensor::new(vec![96, 28, 28, 1], x.data().repeat(6)).unwrap();
    let many = run(many);
    let size = x.len() / 16;
    for (i, item) in x.data().chunks(size).enumerate() {
        let alone = run(Tensor::new(vec![1, 28, 28, 1], item.to_vec()).unwrap());
        for repeat in 0..6 {
            let at = (repeat * 16 + i) * 300;
            assert_eq!(
                alone.probes[0].values.data(),
                &many.probes[0].values.data()[at..at + 300]
            );
        }
    }
}
