//! Many steps on random inputs: potentials stay within their bounds, and a board's state is the host's.

#![expect(clippy::print_stdout, reason = "a long run says what it has done")]

use std::time::Duration;

use proptest::prop_oneof;
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use tinyspike::ImageBuf;
use tinyspike::assemble::assemble;
use tinyspike::integers::{self, Steps};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_board::firmware::{Board, Program, elf};
use tinyspike_board::qemu;
use tinyspike_firmware::Native;
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::soak::{Digest, Soak, run};
use tinyspike_tests::boards::block;
use tinyspike_tests::mnist;
use tinyspike_tests::network::{
    current_based_networks, endless_networks, mixed_networks, networks,
};

/// The image of `mnist_small` with this many steps to an inference, for a Cortex-M4.
fn trained(steps: u16) -> Vec<u8> {
    let options = QuantizeOptions {
        steps,
        target: &families::DSP,
        ..QuantizeOptions::default()
    };
    mnist::small(Some(100), &options).bytes().to_vec()
}

/// Images of so many random networks, each with neurons and more than one step.
fn random(count: usize) -> Vec<Vec<u8>> {
    let lasting = prop_oneof![2 => networks(), 1 => mixed_networks(), 1 => endless_networks()]
        .prop_filter("no potential outlives a step", |n| {
            !n.ensembles.is_empty() && n.steps != Steps::Limited(1)
        });
    drawn(&lasting, count)
}

/// Images of so many random networks without end, all with neurons.
fn streams(count: usize) -> Vec<Vec<u8>> {
    let all = prop_oneof![endless_networks(), current_based_networks()];
    let spiking = all.prop_filter("neurons", |n| !n.ensembles.is_empty());
    drawn(&spiking, count)
}

fn drawn(networks: &impl Strategy<Value = integers::Network>, count: usize) -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let mut draw = |_| networks.new_tree(&mut runner).unwrap().current();
    (0..count)
        .map(|at| assemble(&draw(at)).unwrap().bytes().to_vec())
        .collect()
}

fn on_host(image: &[u8], soak: Soak) -> Digest {
    let bytes = ImageBuf::new(image).unwrap();
    let image = bytes.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let inputs = image.description().inputs.iter().map(|i| i.size as usize);
    let mut values = vec![0; inputs.sum()];
    run::<Native, _, _>(&image, &mut arena, &mut values, soak).unwrap()
}

/// `steps` steps of each image on the host, spread over seeds; how many were taken.
fn soak(images: &[Vec<u8>], steps: u32) -> u64 {
    let mut taken = 0;
    let mut states = Vec::new();
    for (seed, image) in (1..).zip(images) {
        let digest = on_host(image, Soak { seed, steps });
        assert_eq!(digest.beyond, 0, "image {seed}");
        assert!(digest.steps >= steps);
        taken += u64::from(digest.steps);
        states.push(digest.state);
    }
    let first = Soak { seed: 1, steps };
    let other = Soak { seed: 3, steps };
    assert_eq!(on_host(&images[0], first).state, states[0]);
    assert_ne!(on_host(&images[0], other).state, states[0]);
    taken
}

/// The same runs on a board of each kind, line by line.
fn on_board(images: &[Vec<u8>], steps: u32) {
    for board in [Board::Mps2An386, Board::RiscvVirt] {
        on_one(board, images, steps);
    }
}

fn on_one(board: Board, images: &[Vec<u8>], steps: u32) {
    for (seed, image) in (1..).zip(images) {
        let runs = [1, 2].map(|part| Soak {
            seed: seed * 2 + part,
            steps: steps / 2,
        });
        let outcome = qemu::run(&qemu::Run {
            board,
            firmware: &elf(board, Program::Soak),
            count: false,
            plugin: None,
            image,
            inputs: &block(&runs.map(|run| run.to_bytes().to_vec())),
            timeout: Duration::from_secs(600),
        });
        let outcome = outcome.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(outcome.stderr, "");
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        let expected = runs.map(|run| {
            let Digest {
                steps,
                state,
                beyond,
            } = on_host(image, run);
            format!("{steps} steps {state:08x} {beyond} beyond")
        });
        assert_eq!(lines, expected, "{board}, image {seed}");
        assert!(outcome.status.success());
    }
}

#[test]
fn potentials_stay_within_their_bounds() {
    soak(&[trained(4)], 400);
    soak(&random(40), 100);
}

#[test]
fn potentials_of_streams_stay_within_their_limits() {
    soak(&streams(8), 20_000);
}

/// A bound that is too narrow by one would be noticed, were it ever reached.
#[test]
fn a_potential_beyond_its_bounds_is_counted() {
    let mut runner = TestRunner::deterministic();
    let lasting = networks().prop_filter("potentials", |n| {
        !n.ensembles.is_empty() && n.steps.limit() > Some(1)
    });
    let mut network = lasting.new_tree(&mut runner).unwrap().current();
    for e in &mut network.ensembles {
        (e.potential_min, e.potential_max) = (0, 0);
    }
    let image = assemble(&network).unwrap();
    let digest = on_host(image.bytes(), Soak { seed: 1, steps: 50 });
    assert!(digest.beyond > 0);
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask soak"]
fn the_state_on_a_board_is_the_hosts() {
    on_board(&[trained(2)], 500);
    on_board(&random(4), 200);
    on_board(&streams(2), 1_000);
}

#[test]
#[ignore = "takes minutes: cargo xtask soak"]
fn a_million_steps_on_the_host() {
    let trained = soak(&[trained(2), trained(8)], 300_000);
    let random = soak(&random(100), 4_000);
    let streams = soak(&streams(20), 50_000);
    let steps = trained + random + streams;
    assert!(steps >= 2_000_000);
    println!("host: {steps} steps, no potential beyond its bounds");
}

#[test]
#[ignore = "takes minutes, needs QEMU and the firmware: cargo xtask soak"]
fn ten_thousand_steps_on_a_board() {
    on_board(&[trained(2), trained(8)], 4_000);
    on_board(&random(10), 200);
    println!("boards: 10000 steps, every state the host's");
}
