//! The same image and inputs on the host and on emulated boards: every line of the trace must agree.

use proptest::prelude::*;
use tinyspike::assemble::{Image, aligned_copy, assemble};
use tinyspike::bench::{BenchOptions, Inference, measure};
use tinyspike::data::{self, DataSet};
use tinyspike::emulate::{EmulateOptions, Encoder, emulate};
use tinyspike::quantize::{QuantizeOptions, Quantized};
use tinyspike_board::firmware::{Board, Program};
use tinyspike_board::qemu::Outcome;
use tinyspike_firmware::boards::{Limits, MICROBIT_ARENA};
use tinyspike_tests::boards::{self, block, decode_log, run_on_host};
use tinyspike_tests::mnist::{self, BYTE_SCALE, project};
use tinyspike_tests::network::{inputs, networks, spiking};

/// A run on a board; where there can be none, the message says what to do.
fn run_on_board(board: Board, image: &[u8], block: &[u8]) -> Outcome {
    boards::run_on_board(board, image, block).unwrap_or_else(|e| panic!("{e}"))
}

/// The inputs of a network as one, as a block holds them.
fn joined(network: &Quantized, seed: u64) -> Vec<u8> {
    inputs(network, seed).concat()
}

/// The image of `mnist_small`, calibrated on 200 samples, and the first `count` test samples.
fn mnist(count: usize) -> (Vec<u8>, DataSet) {
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
        .filter(|board| board.programs().contains(&Program::Trace))
}

/// Whether a board has room for a network.
fn holds(board: Board, image: &[u8]) -> bool {
    let (limits, arena) = match board {
        Board::Microbit => (Limits::BASELINE, MICROBIT_ARENA * 4),
        _ => (Limits::MAINLINE, usize::MAX),
    };
    let bytes = aligned_copy(image);
    let parsed: Image<'_> = Image::parse(&bytes).unwrap();
    let network = parsed.description();
    network.ensembles.len() <= limits.ensembles
        && network.connections.len() <= limits.connections
        && parsed.arena_bytes() <= arena
        && image.len() <= board.regions().image.len as usize
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn mnist_on_a_board_is_mnist_on_the_host() {
    const COUNT: usize = 20;
    let (image, test) = mnist(COUNT);
    let bytes = aligned_copy(&image);
    let parsed: Image<'_> = Image::parse(&bytes).unwrap();
    let encoder = Encoder::new(&parsed, &test, BYTE_SCALE).unwrap();
    let samples: Vec<Vec<u8>> = (0..COUNT)
        .map(|i| {
            let mut bytes = Vec::new();
            encoder.encode(test.sample(i).unwrap(), &mut bytes);
            bytes
        })
        .collect();
    let inputs = block(&samples);
    let host = run_on_host(&image, &inputs).unwrap();
    let report = emulate(&parsed, &test, &EmulateOptions::default(), &|_| ()).unwrap();

    for board in traced() {
        let outcome = run_on_board(board, &image, &inputs);
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

        if !board.logs() {
            continue;
        }
        let log = decode_log(board, &outcome.log).unwrap();
        let hash = &host["image ".len()..][..8];
        assert!(
            log[0].starts_with(&format!("INFO image {hash} of ")),
            "{log:?}"
        );
        assert_eq!(log[1..], ["INFO 20 inputs done"]);
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn instructions_are_counted_alike_in_every_run() {
    let (image, test) = mnist(3);
    let bytes = aligned_copy(&image);
    let parsed: Image<'_> = Image::parse(&bytes).unwrap();
    let report = emulate(&parsed, &test, &EmulateOptions::default(), &|_| ()).unwrap();
    for board in Board::ALL {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs QEMU and the firmware: cargo xtask test"]
    fn random_networks_agree(network in networks(), seeds in prop::collection::vec(any::<u64>(), 1..4)) {
        let image = assemble(&network).unwrap();
        let samples: Vec<_> = seeds.iter().map(|&seed| joined(&network, seed)).collect();
        let inputs = block(&samples);
        let host = run_on_host(&image, &inputs).unwrap();
        for board in traced().filter(|&board| holds(board, &image)) {
            let outcome = run_on_board(board, &image, &inputs);
            prop_assert_eq!(outcome.stderr, "");
            prop_assert_eq!(&outcome.stdout, &host);
            prop_assert!(outcome.status.success());
        }
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn a_board_refuses_what_it_cannot_run() {
    let network = spiking();
    let image = assemble(&network).unwrap();
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
