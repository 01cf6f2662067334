//! The same image and inputs on the host and on emulated boards: every line of the trace must agree.

use proptest::prelude::*;
use tinyspike::ImageBuf;
use tinyspike::assemble::assemble;
use tinyspike::bench::{BenchError, BenchOptions, Inference, StepCounts, measure, measure_layers};
use tinyspike::convert::{ConvertOptions, ScaleFiringRates, convert};
use tinyspike::data::{self, DataSet};
use tinyspike::device::LogTable;
use tinyspike::emulate::{EmulateOptions, Encoder, emulate};
use tinyspike::import;
use tinyspike::integers;
use tinyspike::model::Activation;
use tinyspike::network::{NeuronType, Synapse};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_board::qemu::Outcome;
use tinyspike_firmware::kernels::families;
use tinyspike_tests::boards::{self, block, decode_log, run_on_host};
use tinyspike_tests::deployment;
use tinyspike_tests::mnist::{self, project};
use tinyspike_tests::network::{
    current_based_networks, dense_networks, endless_networks, exact_networks, inputs,
    mixed_networks, networks, pooled_exact_networks, pooled_networks, spiking,
};

/// A run on a board; if there can be none, the message says what to do.
fn run_on_board(board: Board, image: &[u8], block: &[u8]) -> Outcome {
    boards::run_on_board(board, image, block).unwrap_or_else(|e| panic!("{e}"))
}

/// The inputs of a network as one, as a block holds them.
fn joined(network: &integers::Network, seed: u64) -> Vec<u8> {
    inputs(network, seed).concat()
}

/// The image of `mnist_small`, calibrated on 200 samples, and the first `count` test samples.
fn mnist(count: usize) -> (ImageBuf, DataSet) {
    let image = mnist::small(Some(200), &QuantizeOptions::default());
    let test = data::load(project("data/mnist_test10k.npz"))
        .unwrap()
        .take(count);
    (image, test)
}

/// The boards with a program that prints every spike.
fn traced() -> impl Iterator<Item = Board> {
    Board::ALL
        .into_iter()
        .filter(|board| board.has(Program::Trace))
}

/// Networks of all kinds: recurrent ones and streams among them.
fn all_networks() -> impl Strategy<Value = integers::Network> {
    prop_oneof![
        2 => networks(),
        1 => exact_networks(),
        2 => mixed_networks(),
        1 => endless_networks(),
        2 => current_based_networks(),
        1 => pooled_networks(),
        1 => pooled_exact_networks(),
    ]
}

/// Tells whether a board has room for a network, and its program the parts that it needs.
fn holds(board: Board, image: &[u8]) -> bool {
    let programs = board.programs().unwrap();
    let [ensembles, connections] = programs.traced;
    let bytes = ImageBuf::new(image).unwrap();
    let parsed = bytes.image();
    let network = parsed.description();
    let built = board != Board::Microbit || !network.is_exact();
    built
        && network.ensembles.len() <= ensembles
        && network.connections.len() <= connections
        && parsed.arena_bytes() <= programs.arena * 4
        && image.len() <= programs.image.len as usize
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn mnist_on_a_board_is_mnist_on_the_host() {
    const COUNT: usize = 20;
    let (image, test) = mnist(COUNT);
    let parsed = image.image();
    let encoder = Encoder::new(&parsed, &test).unwrap();
    let samples: Vec<Vec<u8>> = (0..COUNT)
        .map(|i| {
            let mut bytes = Vec::new();
            encoder.encode(test.sample(i).unwrap(), &mut bytes);
            bytes
        })
        .collect();
    let inputs = block(&samples);
    let host = run_on_host(image.bytes(), &inputs).unwrap();
    let report = emulate(&parsed, &test, &EmulateOptions::default(), &|_| ()).unwrap();

    for board in traced() {
        let outcome = run_on_board(board, image.bytes(), &inputs);
        assert_eq!(outcome.stderr, "");
        assert!(
            outcome.stdout == host,
            "the traces differ:\n{}",
            outcome.stdout
        );
        assert!(outcome.status.success(), "{}", outcome.status);

        // What the emulator counts is what the board printed.
        let counts: Vec<u64> = outcome
            .stdout
            .lines()
            .filter(|line| line.starts_with("step "))
            .flat_map(str::split_whitespace)
            .filter_map(|word| word.rsplit_once(':')?.1.parse().ok())
            .collect();
        let images = COUNT as f64;
        assert_eq!(counts.len() as f64, report.events_per_image * images);
        assert_eq!(
            counts.iter().sum::<u64>() as f64,
            report.spikes_per_image * images
        );
        let classes: Vec<u32> = outcome
            .stdout
            .lines()
            .filter_map(|line| {
                line.strip_prefix("output ")?
                    .split_once(" class ")?
                    .1
                    .split_once(':')
            })
            .map(|(class, _)| class.parse().unwrap())
            .collect();
        let labels = test.labels().unwrap();
        let correct = classes.iter().zip(labels).filter(|(a, b)| a == b).count();
        assert_eq!(classes.len(), COUNT);
        assert_eq!(Some(correct as f64 / images), report.accuracy);
        assert!(correct >= 18, "{correct} of {COUNT}");

        if board.programs().unwrap().uart.is_none() {
            continue;
        }
        let log = decode_log(board, &outcome.log).unwrap();
        let hash = &host["image ".len()..][..8];
        assert!(
            log[0].starts_with(&format!("INFO image {hash} of ")),
            "{log:?}"
        );
        assert_eq!(log[1..], ["INFO 20 inputs done"]);
        // What never ends is no message, and is not kept for ever.
        let table = LogTable::read(&elf(board, Program::Trace))
            .unwrap()
            .unwrap();
        let mut reader = table.reader();
        for _ in 0..17 {
            assert_eq!(reader.read(&[0x55; 4096]), []);
        }
        let texts = reader.read(&outcome.log).into_iter().map(|m| m.text);
        assert!(texts.eq(log.iter().map(|text| text["INFO ".len()..].to_owned())));
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn instructions_are_counted_alike_in_every_run() {
    let (image, test) = mnist(3);
    let parsed = image.image();
    let report = emulate(&parsed, &test, &EmulateOptions::default(), &|_| ()).unwrap();
    for board in Board::MEASURED {
        let options = BenchOptions {
            board,
            ..BenchOptions::default()
        };
        let first = measure(&image, &test, &options).unwrap();
        assert_eq!(first, measure(&image, &test, &options).unwrap());

        // Wrong units would be off by far more.
        let ops = report.synaptic_ops_per_image + report.input_ops_per_image;
        let mean = first
            .inferences
            .iter()
            .map(Inference::instructions)
            .sum::<u64>() as f64
            / 3.0;
        assert!(
            (0.2..60.0).contains(&(mean / ops)),
            "{mean} instructions for {ops} operations"
        );
        for inference in &first.inferences {
            assert_eq!(
                inference.steps.len(),
                usize::from(parsed.description().steps)
            );
            assert!(inference.input > 0 && inference.steps.iter().all(|&n| n > 0));
            assert!((64..4096).contains(&inference.stack), "{}", inference.stack);
        }
        let right = first.inferences.iter().zip(test.labels().unwrap());
        let right = right.filter(|(i, label)| i.class == **label).count();
        assert_eq!(Some(right as f64 / 3.0), report.accuracy);
    }
}

/// `mnist_small` as it runs step by step, 10 steps.
fn stepwise_mnist() -> ImageBuf {
    let model = import::load(&project("models/mnist_small.keras")).unwrap();
    let relu = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };
    let options = ConvertOptions {
        inference_only: true,
        swap_activations: vec![(Activation::Relu.into(), relu.into())],
        scale_firing_rates: ScaleFiringRates::All(100.0),
        synapse: Some(Synapse::Lowpass { tau: 0.005 }),
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    let options = QuantizeOptions {
        steps: 10,
        ..QuantizeOptions::exact()
    };
    deployment::exact(&network, &options).unwrap().image
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn the_layers_take_what_the_whole_takes() {
    let (small, test) = mnist(3);
    let stepwise = stepwise_mnist();
    for board in Board::MEASURED {
        // Small flash has no room for what runs step by step.
        let images = match board.programs().unwrap().whole {
            false => vec![&small],
            true => vec![&small, &stepwise],
        };
        let options = BenchOptions {
            board,
            ..BenchOptions::default()
        };
        for image in images {
            let whole = measure(image, &test, &options).unwrap().inferences;
            let layers = measure_layers(image, &test, &options).unwrap();
            assert_eq!(layers, measure_layers(image, &test, &options).unwrap());
            assert_eq!(layers.len(), whole.len());
            for (layers, whole) in layers.iter().zip(&whole) {
                assert_eq!(layers.class, whole.class);
                assert_eq!(layers.steps.len(), whole.steps.len());
                // The compiler makes another engine of one that is watched; a layer too many or too few would be
                // off by more.
                let agree = |sum: u64, all: u64, percent: u64| {
                    let differs = all.abs_diff(sum);
                    let most = all * percent / 100;
                    assert!(differs <= most, "{}: {sum} of {all}", board.name());
                };
                agree(layers.inputs.iter().sum(), whole.input, 10);
                let steps = layers.steps.iter().map(StepCounts::instructions);
                for (sum, all) in steps.zip(&whole.steps) {
                    agree(sum, *all, 1);
                }
                for step in &layers.steps {
                    assert_eq!((step.ensembles.len(), step.outputs.len()), (3, 1));
                    assert!(step.ensembles.iter().chain(&step.outputs).all(|&n| n > 0));
                }
            }
        }
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn what_another_program_prints_is_not_taken_for_measurements() {
    let (image, test) = mnist(2);
    for board in traced().filter(|board| Board::MEASURED.contains(board)) {
        for program in [Program::Trace, Program::Bench, Program::Layers] {
            let options = BenchOptions {
                board,
                firmware: Some(elf(board, program)),
                layers_firmware: Some(elf(board, program)),
                ..BenchOptions::default()
            };
            let parts = measure(&image, &test, &options);
            let layers = measure_layers(&image, &test, &options);
            let unreadable = |e: Option<BenchError>| match e {
                Some(BenchError::Unreadable(printed)) => printed.contains("input 0"),
                _ => false,
            };
            assert_eq!(parts.is_ok(), program == Program::Bench);
            assert_eq!(layers.is_ok(), program == Program::Layers);
            assert!(program == Program::Bench || unreadable(parts.err()));
            assert!(program == Program::Layers || unreadable(layers.err()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs QEMU and the firmware: cargo xtask test"]
    fn random_networks_agree(network in all_networks(), seeds in prop::collection::vec(any::<u64>(), 1..4)) {
        agrees(&network, &seeds)?;
    }
}

/// Runs a network on the host and on every board that holds it, and compares every spike. Weights lie as the network says; on
/// RISC-V, for which no random network is made, also as its own kernels read them.
fn agrees(network: &integers::Network, seeds: &[u64]) -> Result<(), TestCaseError> {
    let samples: Vec<_> = seeds.iter().map(|&seed| joined(network, seed)).collect();
    let inputs = block(&samples);
    let all: Vec<Board> = traced().collect();
    let own = integers::Network {
        target: &families::RV32,
        ..network.clone()
    };
    for (network, boards) in [(network, &all[..]), (&own, &[Board::RiscvVirt])] {
        let image = assemble(network).unwrap().bytes().to_vec();
        let host = run_on_host(&image, &inputs).unwrap();
        for &board in boards.iter().filter(|&&board| holds(board, &image)) {
            let outcome = run_on_board(board, &image, &inputs);
            prop_assert_eq!(outcome.stderr, "");
            prop_assert_eq!(&outcome.stdout, &host);
            prop_assert!(outcome.status.success());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs QEMU and the firmware: cargo xtask test"]
    fn dense_layers_agree(network in dense_networks(), seeds in prop::collection::vec(any::<u64>(), 1..4)) {
        agrees(&network, &seeds)?;
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn a_board_refuses_what_it_cannot_run() {
    let network = spiking();
    let image = assemble(&network).unwrap().bytes().to_vec();
    let sample = joined(&network, 1);
    let inputs = block(std::slice::from_ref(&sample));
    let mut damaged = image.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let long = block(&[[sample, vec![0]].concat()]);
    for board in traced() {
        for (image, inputs, reason) in [
            (&damaged[..], &inputs[..], "the checksum does not match"),
            (b"", &inputs, "this is not a tinyspike image"),
            (&image, b"", "this is not a block of inputs"),
            (&image, &long, "bytes of input, the block has inputs of"),
        ] {
            let outcome = run_on_board(board, image, inputs);
            assert!(outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
            assert!(outcome.stderr.contains(reason), "{}", outcome.stderr);
            assert!(!outcome.stdout.contains("input 0"), "{}", outcome.stdout);
            assert_eq!(outcome.status.code(), Some(1));
        }
    }
}
