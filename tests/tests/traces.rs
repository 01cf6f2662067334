//! Spikes, potentials and outputs of deployed networks stay what they were, to the bit.
//!
//! `tests/fixtures/traces.txt` holds a hash of every trace, taken before networks came to run through one step.
//! `UPDATE_TRACES=1` writes the file again: only for networks that are meant to change.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tinyspike::ImageBuf;
use tinyspike::assemble::assemble;
use tinyspike::convert::{ConvertOptions, ScaleFiringRates, convert};
use tinyspike::data::{self, DataSet};
use tinyspike::emulate::{Encoder, HostEngine};
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::model::Activation;
use tinyspike::network::{Network, NeuronType, Synapse};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::simulate::InitialVoltage;
use tinyspike::tune::{TuneOptions, tune};
use tinyspike::{import, pipeline};
use tinyspike_firmware::kernels::families;
use tinyspike_tests::counts::Counts;
use tinyspike_tests::deployment;
use tinyspike_tests::mnist::project;
use tinyspike_tests::network::{exact_networks, inputs, networks};

const FIXTURE: &str = "tests/fixtures/traces.txt";

/// 64-bit FNV-1a.
struct Hash(u64);

impl Hash {
    fn add(&mut self, value: i64) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Runs an image on several samples, and hashes every spike, every potential after every step but the last,
/// and every output.
fn trace(bytes: &[u8], samples: &[Vec<Vec<u8>>]) -> u64 {
    let bytes = ImageBuf::new(bytes).unwrap();
    let image = bytes.image();
    let network = image.description();
    let mut arena = vec![0xdead_beef; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    for sample in samples {
        let given: Vec<&[u8]> = sample.iter().map(Vec::as_slice).collect();
        engine.reset();
        engine.set_inputs(&given).unwrap();
        for step in 1..=network.steps {
            let sizes = network
                .ensembles
                .iter()
                .map(|e| vec![0; e.neurons as usize]);
            let mut counts = Counts(sizes.collect());
            assert!(engine.step_probed(&mut counts));
            counts.0.iter().flatten().for_each(|&n| hash.add(n));
            if step == network.steps {
                continue;
            }
            for (at, ensemble) in network.ensembles.iter().enumerate() {
                for neuron in 0..ensemble.neurons as usize {
                    hash.add(engine.potential(at, neuron).unwrap().into());
                }
            }
        }
        for at in 0..network.outputs.len() {
            engine
                .output(at)
                .sums()
                .iter()
                .for_each(|&s| hash.add(s.into()));
            engine.output(at).values().for_each(|v| hash.add(v.into()));
        }
    }
    hash.0
}

fn converted(name: &str, options: ConvertOptions) -> Network {
    let model = import::load(&project(&format!("models/{name}.keras"))).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        max_to_avg_pool: true,
        ..options
    };
    convert(&model, &options).unwrap().network
}

/// The first samples of the test set, as an image takes them.
fn digits(image: &[u8], count: usize) -> Vec<Vec<Vec<u8>>> {
    let test = data::load(project("data/mnist_test10k.npz")).unwrap();
    let bytes = ImageBuf::new(image).unwrap();
    let image = bytes.image();
    let encoder = Encoder::new(&image, &test).unwrap();
    let encoded = (0..count).map(|sample| {
        let mut input = Vec::new();
        encoder.encode(test.sample(sample).unwrap(), &mut input);
        vec![input]
    });
    encoded.collect()
}

fn calibration(samples: usize) -> DataSet {
    data::load(project("data/mnist_calibration2k.npz"))
        .unwrap()
        .take(samples)
}

/// Adds a line for a trained network.
fn note(found: &mut String, name: &str, image: &[u8], samples: usize) {
    let hash = trace(image, &digits(image, samples));
    writeln!(found, "{name} {hash:016x}").unwrap();
}

fn plain(found: &mut String) {
    for (name, samples) in [
        ("mnist_small", 20),
        ("mnist_mlp", 20),
        ("mnist_pool_bn", 10),
        ("mnist_forum_kr", 2),
    ] {
        let network = converted(name, ConvertOptions::default());
        let known = pipeline::samples(&calibration(128), 128);
        for (target, weight_bits) in [
            (&families::PORTABLE, 8),
            (&families::SWAR, 4),
            (&families::DSP, 8),
        ] {
            let options = QuantizeOptions {
                target,
                weight_bits,
                ..QuantizeOptions::default()
            };
            let built = deployment::plain(&network, Some(&known), &options).unwrap();
            let label = format!("{name} plain {target} {weight_bits}");
            note(found, &label, built.image.bytes(), samples);
        }
        let built = deployment::plain(&network, None, &QuantizeOptions::default()).unwrap();
        note(
            found,
            &format!("{name} uncalibrated"),
            built.image.bytes(),
            samples,
        );
    }
}

fn tuned(found: &mut String) {
    for name in ["mnist_small", "mnist_mlp"] {
        let lowered = lower(&converted(name, ConvertOptions::default())).unwrap();
        let graph = integrate_and_fire(&lowered).unwrap();
        let options = TuneOptions {
            max_drop: 0.01,
            evaluations: 8,
            ..TuneOptions::default()
        };
        let tuned = tune(&graph, &calibration(500), &options, &|_| {}, None).unwrap();
        note(found, &format!("{name} tuned"), tuned.image.bytes(), 20);
    }
}

fn exact(found: &mut String) {
    let relu = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };
    let leaky = NeuronType::SpikingLeakyRelu {
        negative_slope: 0.25,
        amplitude: 1.0,
    };
    let lif = NeuronType::Lif {
        tau_rc: 0.02,
        tau_ref: 0.002,
        min_voltage: 0.0,
        amplitude: 0.01,
    };
    let lowpass = Some(Synapse::Lowpass { tau: 0.005 });
    let alpha = Some(Synapse::Alpha { tau: 0.004 });
    for (name, samples) in [("mnist_small", 4), ("mnist_mlp", 6), ("mnist_pool_bn", 3)] {
        for (kind, neurons, synapse, bits) in [
            ("relu", &relu, None, 16),
            ("relu lowpass", &relu, lowpass, 16),
            ("relu lowpass 8", &relu, lowpass, 8),
            ("leaky alpha", &leaky, alpha, 16),
            ("lif lowpass", &lif, lowpass, 16),
        ] {
            let options = ConvertOptions {
                swap_activations: vec![(Activation::Relu.into(), neurons.clone().into())],
                scale_firing_rates: ScaleFiringRates::All(100.0),
                synapse,
                ..ConvertOptions::default()
            };
            let network = converted(name, options);
            for (start, initial_voltage) in [
                ("zero", InitialVoltage::Zero),
                ("drawn", InitialVoltage::default()),
            ] {
                let options = QuantizeOptions {
                    steps: 20,
                    initial_voltage,
                    weight_bits: bits,
                    ..QuantizeOptions::exact()
                };
                let built = deployment::exact(&network, &options).unwrap();
                note(
                    found,
                    &format!("{name} exact {kind} {start}"),
                    built.image.bytes(),
                    samples,
                );
            }
        }
    }
}

fn random(found: &mut String) {
    let mut runner = TestRunner::deterministic();
    for (kind, strategy) in [
        ("random", networks().boxed()),
        ("random exact", exact_networks().boxed()),
    ] {
        for at in 0..200 {
            let network = strategy.new_tree(&mut runner).unwrap().current();
            let samples: Vec<_> = (0..3).map(|seed| inputs(&network, seed)).collect();
            let hash = trace(assemble(&network).unwrap().bytes(), &samples);
            writeln!(found, "{kind} {at} {hash:016x}").unwrap();
        }
    }
}

#[test]
fn traces_are_what_they_were() {
    let mut found = String::new();
    plain(&mut found);
    tuned(&mut found);
    exact(&mut found);
    random(&mut found);
    if std::env::var_os("UPDATE_TRACES").is_some() {
        std::fs::write(project(FIXTURE), &found).unwrap();
    }
    let kept = std::fs::read_to_string(project(FIXTURE)).unwrap();
    let differ: Vec<_> = kept
        .lines()
        .zip(found.lines())
        .filter(|(kept, found)| kept != found)
        .collect();
    assert!(
        differ.is_empty(),
        "{} traces differ: {differ:#?}",
        differ.len()
    );
    assert_eq!(kept.lines().count(), found.lines().count());
}
