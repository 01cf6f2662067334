//! Firmware without parts of the engine: it runs what needs none of them as the whole engine does, and refuses
//! all else.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tinyspike::ImageBuf;
use tinyspike::assemble::assemble;
use tinyspike::integers;
use tinyspike::quantize::QuantizeOptions;
use tinyspike_board::firmware::{Board, Program, build_of, family};
use tinyspike_board::qemu::{self, Outcome};
use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_firmware::parts::{Part, Parts};
use tinyspike_tests::boards::{block, run_on_host};
use tinyspike_tests::mnist;
use tinyspike_tests::network::{
    current_based_networks, dense_networks, exact_networks, inputs, mixed_networks, networks,
    pooled_networks,
};

const BOARD: Board = Board::Mps2An386;

fn needed(image: &[u8], family: &Family) -> Parts {
    let bytes = ImageBuf::new(image).unwrap();
    let image = bytes.image();
    Parts::needed(&image, family)
}

fn run(firmware: &Path, image: &[u8], inputs: &[u8]) -> Outcome {
    let outcome = qemu::run(&qemu::Run {
        board: BOARD,
        firmware,
        count: false,
        plugin: None,
        image,
        inputs,
        timeout: Duration::from_secs(60),
    });
    outcome.unwrap_or_else(|e| panic!("{e}"))
}

/// Checks a network's trace on firmware with some parts: it is the host's, or a refusal names a part that is
/// missing.
fn holds(firmware: &Path, built: Parts, image: &[u8], inputs: &[u8]) {
    let outcome = run(firmware, image, inputs);
    match needed(image, family(BOARD)).beyond(built) {
        None => {
            assert_eq!(outcome.stderr, "");
            assert_eq!(outcome.stdout, run_on_host(image, inputs).unwrap());
        }
        Some(part) => {
            assert_eq!(outcome.status.code(), Some(1));
            let feature = format!("`{}`", part.feature());
            assert!(outcome.stderr.contains(&feature), "{}", outcome.stderr);
            assert!(!outcome.stdout.contains("step 0"), "{}", outcome.stdout);
        }
    }
}

fn image_and_inputs(network: &integers::Network) -> (Vec<u8>, Vec<u8>) {
    let samples = [1, 2].map(|seed| inputs(network, seed).concat());
    (assemble(network).unwrap().bytes().to_vec(), block(&samples))
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn without_a_part_all_else_runs() {
    let mut runner = TestRunner::deterministic();
    let networks = prop_oneof![
        4 => networks(),
        1 => exact_networks(),
        1 => mixed_networks(),
        1 => pooled_networks(),
        3 => current_based_networks(),
        2 => dense_networks(),
    ];
    let networks: Vec<_> = (0..48)
        .map(|_| networks.new_tree(&mut runner).unwrap().current())
        .map(|network| image_and_inputs(&network))
        .collect();
    for part in Part::ALL {
        let parts = Parts::ALL.without(part);
        let firmware = build_of(BOARD, Program::Trace, parts).unwrap();
        let mut with = 0;
        for (image, inputs) in &networks {
            holds(&firmware, parts, image, inputs);
            with += usize::from(needed(image, family(BOARD)).has(part));
        }
        assert!(with > 2, "{part}: {with} networks need it");
        assert!(
            part == Part::Portable || with < networks.len(),
            "all networks need {part}"
        );
    }
}

/// Most random networks need plain kernels: of many, those that do not.
#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn what_kernels_in_assembly_can_do_alone_they_do() {
    let parts = Parts::ALL.without(Part::Portable);
    let firmware = build_of(BOARD, Program::Trace, parts).unwrap();
    let mut runner = TestRunner::deterministic();
    let networks = prop_oneof![networks(), dense_networks()];
    let mut ran = 0;
    for _ in 0..3000 {
        let network = networks.new_tree(&mut runner).unwrap().current();
        let (image, inputs) = image_and_inputs(&network);
        if !needed(&image, family(BOARD)).has(Part::Portable) {
            holds(&firmware, parts, &image, &inputs);
            ran += 1;
        }
    }
    assert!(ran > 20, "{ran} networks");
}

#[test]
#[ignore = "needs QEMU and the firmware: cargo xtask test"]
fn mnist_runs_on_what_it_needs() {
    let options = QuantizeOptions {
        steps: 1,
        ..QuantizeOptions::default()
    };
    let image = mnist::small(Some(200), &options).bytes().to_vec();
    let parts = needed(&image, family(BOARD));
    assert_eq!(
        parts.features().collect::<Vec<_>>(),
        ["convolutions", "wide"]
    );
    let firmware = build_of(BOARD, Program::Trace, parts).unwrap();
    let sample: Vec<u8> = (0..784u32).map(|i| (i * 37 % 256) as u8).collect();
    holds(&firmware, parts, &image, &block(&[sample]));
}

#[test]
fn a_processor_without_the_dsp_extension_has_its_kernels_anyway() {
    let options = QuantizeOptions::default();
    let image = mnist::small(Some(200), &options).bytes().to_vec();
    let features: Vec<_> = needed(&image, &families::SWAR).features().collect();
    assert_eq!(features, ["convolutions", "steps", "wide"]);
    assert_eq!(needed(&image, &families::SWAR).beyond(Parts::BUILT), None);
}
