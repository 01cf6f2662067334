//! Deep networks on emulated boards: firmware has room for as many parts as the image at hand, and stacks are measured.

#![expect(clippy::print_stdout, reason = "the tests say what they measured")]

use emulated_board::Machine;
use tinyspike::ImageBuf;
use tinyspike::assemble::assemble;
use tinyspike::calibrate::calibrate;
use tinyspike::data::{self, DataSet};
use tinyspike::device::{FlashError, LayoutOptions, PlanError, PlanOptions};
use tinyspike::graph::{
    Dense, Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source, SourceMap,
    Target,
};
use tinyspike::pipeline::samples;
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::tensor::Tensor;
use tinyspike_firmware::limits::Limits;
use tinyspike_tests::bench::{Bench, logged};

const NEURONS: usize = 8;

fn digits() -> DataSet {
    data::load_bytes(
        "digits",
        include_bytes!("../../data/mnist_calibration2k.npz"),
    )
    .unwrap()
    .take(40)
}

/// An image of a chain of so many layers over digits, each with a skip from the layer before the last if `skips`.
fn chain(layers: usize, skips: bool) -> Vec<u8> {
    let dense = |outputs: usize, inputs: usize, seed: usize| {
        let weights = (0..outputs * inputs).map(|at| {
            let number = ((at + seed * 31) * 7919 % 1009) as f32 / 504.5 - 0.9;
            number * 2.0 / (inputs as f32).sqrt()
        });
        LinearMap::Dense(Dense {
            weights: Tensor::new(vec![outputs, inputs], weights.collect()).unwrap(),
            first: 0,
        })
    };
    let mut links = Vec::new();
    let mut connect = |pre, post, map| {
        links.push(Link {
            pre,
            post,
            source: SourceMap::Direct,
            map,
            synapse: None,
        });
    };
    connect(
        Source::Input(0),
        Target::Population(0),
        dense(NEURONS, 784, 0),
    );
    for at in 1..layers {
        let post = Target::Population(at);
        connect(
            Source::Population(at - 1),
            post,
            dense(NEURONS, NEURONS, at),
        );
        if skips && at > 1 {
            connect(
                Source::Population(at - 2),
                post,
                dense(NEURONS, NEURONS, at + 100),
            );
        }
    }
    let last = Source::Population(layers - 1);
    connect(last, Target::Output(0), dense(10, NEURONS, 7));
    links.sort_by_key(|link| link.pre);
    let graph = Graph {
        inputs: vec![Input {
            label: "in".into(),
            shape: vec![28, 28, 1],
        }],
        populations: (0..layers)
            .map(|at| Population {
                label: format!("layer{at}"),
                neurons: NEURONS,
                shape: [1, 1, NEURONS],
                channels: NEURONS,
                bias: vec![0.05; NEURONS],
                delayed_bias: Vec::new(),
                neuron: Neuron::IntegrateAndFire,
                ceiling: None,
                ensemble: None,
            })
            .collect(),
        outputs: vec![Output {
            label: "out".into(),
            bias: vec![0.0; 10],
            readout: Readout::Sum,
            left_out: None,
        }],
        links,
    };
    let samples = samples(&digits(), 40);
    let calibration = calibrate(&graph, &samples, &|_| {}).unwrap();
    let network = quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    assemble(&network).unwrap().bytes().to_vec()
}

/// Flashes chains of layers with firmware that is built for each, and runs them to the bit within the stacks that are reserved.
fn deep_networks_run(machine: Machine, target: &str, chains: &[(usize, bool)]) {
    for &(layers, skips) in chains {
        let image = chain(layers, skips);
        let bytes = ImageBuf::new(&image).unwrap();
        let parts = bytes.image();
        let network = parts.description();
        let usual = Limits::of(target);
        let rooms = usual
            .rooms(network.ensembles.len(), network.connections.len())
            .unwrap();
        let limits = usual.times(rooms);
        let bench = Bench::for_image(machine, &image);
        bench.flash(&image, true);
        let (identity, log) = bench.hello(true).unwrap();
        assert_eq!(usize::from(identity.ensembles), limits.ensembles);
        assert_eq!(usize::from(identity.connections), limits.connections);
        let text = logged(&log, "the start took ").unwrap();
        let start: u32 = text.split(' ').nth(3).unwrap().parse().unwrap();
        let (report, _) = bench.run(&image, &digits().take(3), false).unwrap();
        assert!(report.divergence.is_none());
        let [stack, reserved] = [report.stack.high_water, limits.plain_stack];
        println!(
            "{machine}, {layers} layers, {rooms} rooms: {start} of {} bytes of stack at the start, {stack} of {reserved} later",
            limits.start_stack
        );
        assert!(start <= limits.start_stack, "{start}");
        assert!(start >= limits.start_stack / 2, "{start}");
        assert!(stack * 8 <= reserved * 7, "{stack} of {reserved}");
    }
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn deep_networks_run_on_a_cortex_m4() {
    let chains = [(16, false), (20, false), (40, true), (100, true)];
    deep_networks_run(Machine::Mps2An386, "thumbv7em-none-eabi", &chains);
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn deep_networks_run_on_a_microbit() {
    deep_networks_run(
        Machine::Microbit,
        "thumbv6m-none-eabi",
        &[(8, false), (12, false)],
    );
}

/// A model alone goes onto firmware that has room for it, or nothing is written.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_model_alone_that_firmware_cannot_hold_is_refused_before_anything_is_written() {
    let (small, deep) = (chain(3, false), chain(20, false));
    let bench = Bench::for_image(Machine::Mps2An386, &small);
    bench.flash(&small, true);
    let model_only = PlanOptions {
        layout: LayoutOptions { firmware: None },
        model_only: true,
        key: None,
        minimum: 0,
    };
    let plan = bench.plan(&deep, model_only).unwrap();
    let error = bench.carry_out(&plan, &mut |_| panic!("something is written"));
    match error {
        Err(FlashError::Plan(PlanError::TooManyLayers {
            what: "ensembles",
            found: 20,
            limit: 16,
            ..
        })) => {}
        other => panic!("{other:?}"),
    }
    let (identity, _) = bench.hello(true).unwrap();
    assert!(identity.image.is_ok());
}
