//! The bounds that quantization states for potentials hold for the worst events that there can be, and
//! are no more than twice as wide as what those reach.

use proptest::prelude::*;
use tinyspike::assemble::assemble;
use tinyspike::calibrate::{Samples, calibrate};
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::data;
use tinyspike::emulate::{Encoder, HostEngine};
use tinyspike::graph::{
    Dense, Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source, SourceMap,
    Target,
};
use tinyspike::import;
use tinyspike::integers;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::lower;
use tinyspike::pipeline::samples;
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::tensor::Tensor;
use tinyspike_tests::reference::send;

/// Most and least that can reach each neuron of an ensemble in one step.
struct Reach {
    /// Sums from ensembles: added to the potential in any order.
    events: Vec<[i64; 2]>,
    /// Sums from inputs, in every step.
    current: Vec<[i64; 2]>,
}

fn reach(network: &integers::Network, at: usize) -> Reach {
    let e = &network.ensembles[at];
    let mut reach = Reach {
        events: vec![[0; 2]; e.neurons],
        current: vec![[0; 2]; e.neurons],
    };
    for c in &network.connections {
        if c.post != Target::Population(at) {
            continue;
        }
        let (size, most, least, shift) = match c.pre {
            Source::Input(i) => {
                let input = &network.inputs[i];
                let zero = i64::from(input.zero_point);
                let most = i64::from(input.max) - zero;
                (input.size, most, -zero, e.current_shift.unsigned_abs())
            }
            Source::Population(p) => {
                let pre = &network.ensembles[p];
                (pre.neurons, i64::from(pre.max_count), 0, 0)
            }
        };
        // Every source is at the end of its range that its weight's sign asks for.
        let part = |positive: bool| {
            let mut part = c.clone();
            for w in &mut part.weights {
                *w = if positive { (*w).max(0) } else { (*w).min(0) };
            }
            part
        };
        let mut ends = [vec![0; e.neurons], vec![0; e.neurons]];
        for (end, [up, down]) in ends.iter_mut().zip([[most, least], [least, most]]) {
            send(&part(true), &vec![up; size], end);
            send(&part(false), &vec![down; size], end);
        }
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        let sums = match c.pre {
            Source::Input(_) => &mut reach.current,
            Source::Population(_) => &mut reach.events,
        };
        for (end, values) in ends.iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(values) {
                sum[end] += (value + half) >> shift;
            }
        }
    }
    reach
}

/// The extremes of V - θ over all neurons of an ensemble under the worst events: those that push up, or
/// down, in every step, or up first and then down.
fn extremes(network: &integers::Network, at: usize) -> [i64; 2] {
    let e = &network.ensembles[at];
    let reach = reach(network, at);
    let mut seen = [i64::MAX, i64::MIN];
    for i in 0..e.neurons {
        let channel = i % e.threshold.len();
        let threshold = i64::from(e.threshold[channel]);
        let bias = i64::from(e.bias[channel]);
        let pushes = [(0, 0), (1, 1), (0, 1), (1, 0)];
        // Bounds hold for any order of additions.
        for ((first, then), bias_first) in pushes.into_iter().flat_map(|p| [(p, true), (p, false)])
        {
            let mut v = threshold / 2 - threshold;
            for step in 0..network.steps.limit().unwrap() {
                let end = if step == 0 { first } else { then };
                let mut watch = |v: i64| seen = [seen[0].min(v), seen[1].max(v)];
                watch(v);
                v += reach.events[i][end];
                watch(v);
                let current = reach.current[i][end];
                let parts = if bias_first {
                    [bias, current]
                } else {
                    [current, bias]
                };
                for part in parts {
                    v += part;
                    watch(v);
                }
                if v >= 0 {
                    v -= threshold * (v / threshold + 1).min(i64::from(e.max_count));
                }
                watch(v);
            }
        }
    }
    seen
}

fn check(network: &integers::Network) -> Result<(), TestCaseError> {
    for (at, e) in network.ensembles.iter().enumerate() {
        let [least, most] = extremes(network, at);
        let [min, max] = [e.potential_min, e.potential_max].map(i64::from);
        let all = format!("{}: {least}..={most} in {min}..={max}", e.label);
        prop_assert!(min <= least && most <= max, "exceeded: {all}");
        prop_assert!(2 * (most - least) >= max - min, "loose: {all}");
        prop_assert!(max <= i64::from(e.width.max()) && min >= -i64::from(e.width.max()) - 1);
    }
    Ok(())
}

/// Random fully connected networks in floats, some layers fed by the input as well.
fn graphs() -> impl Strategy<Value = (Graph, Samples)> {
    (
        1usize..20,
        prop::collection::vec((1usize..16, any::<bool>()), 1..4),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(inputs, layers, seed, signed)| {
            let mut state = seed | 1;
            let mut random = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            };
            let mut graph = Graph {
                inputs: vec![Input {
                    label: "in".into(),
                    shape: vec![inputs],
                }],
                populations: Vec::new(),
                outputs: vec![Output {
                    label: "out".into(),
                    bias: vec![0.0; 2],
                    readout: Readout::Sum,
                    left_out: None,
                }],
                links: Vec::new(),
            };
            let mut dense = |pre, columns: usize, post, rows: usize| {
                let data = (0..rows * columns).map(|_| random()).collect();
                Link {
                    pre,
                    post,
                    source: SourceMap::Direct,
                    map: LinearMap::Dense(Dense {
                        weights: Tensor::new(vec![rows, columns], data).unwrap(),
                        first: 0,
                    }),
                    synapse: None,
                }
            };
            let (mut pre, mut size) = (Source::Input(0), inputs);
            for (at, &(neurons, fed)) in layers.iter().enumerate() {
                let post = Target::Population(at);
                graph.links.push(dense(pre, size, post, neurons));
                if fed && at > 0 {
                    graph
                        .links
                        .push(dense(Source::Input(0), inputs, post, neurons));
                }
                let bias = dense(pre, neurons, post, 1);
                let LinearMap::Dense(bias) = bias.map else {
                    unreachable!("made above")
                };
                graph.populations.push(Population {
                    label: format!("layer{at}"),
                    neurons,
                    shape: [1, 1, neurons],
                    channels: neurons,
                    bias: bias.weights.data().to_vec(),
                    delayed_bias: Vec::new(),
                    neuron: Neuron::IntegrateAndFire,
                    ceiling: None,
                    ensemble: None,
                });
                (pre, size) = (Source::Population(at), neurons);
            }
            graph.links.push(dense(pre, size, Target::Output(0), 2));
            graph.links.sort_by_key(|l| l.pre);
            let values = dense(pre, inputs, Target::Output(0), 8);
            let LinearMap::Dense(values) = values.map else {
                unreachable!("made above")
            };
            let sign = |v: &f32| if signed { *v } else { v.abs() };
            let samples = Samples {
                inputs: vec![values.weights.data().iter().map(sign).collect()],
                count: 8,
            };
            (graph, samples)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_networks(
        (graph, samples) in graphs(),
        steps in 1u16..6,
        max_count in 1u8..40,
        input_bits in 1u8..=8,
    ) {
        let calibration = calibrate(&graph, &samples, &|_| {}).unwrap();
        let options = QuantizeOptions { steps, max_count, input_bits, ..QuantizeOptions::default() };
        check(&quantize(&graph, &calibration, &options).unwrap())?;
    }
}

const CALIBRATION: &[u8] = include_bytes!("../../data/mnist_calibration2k.npz");

fn bundled(name: &str, bytes: &[u8], options: &QuantizeOptions) -> integers::Network {
    let model = import::load_bytes(name, bytes).unwrap();
    let convert_options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let lowered = lower(&convert(&model, &convert_options).unwrap().network).unwrap();
    let graph = integrate_and_fire(&lowered).unwrap();
    let data = data::load_bytes("calibration", CALIBRATION).unwrap();
    let samples = samples(&data, 100);
    let calibration = calibrate(&graph, &samples, &|_| {}).unwrap();
    quantize(&graph, &calibration, options).unwrap()
}

#[test]
fn bundled_models() {
    let small = include_bytes!("../../models/mnist_small.keras");
    let mlp = include_bytes!("../../models/mnist_mlp.keras");
    for (name, bytes) in [("small.keras", &small[..]), ("mlp.keras", &mlp[..])] {
        for (steps, max_count) in [(1, 15), (2, 7), (6, 1)] {
            let options = QuantizeOptions {
                steps,
                max_count,
                ..QuantizeOptions::default()
            };
            let network = bundled(name, bytes, &options);
            check(&network).unwrap();
            stays_inside(&network);
        }
    }
}

/// Real inputs, and one at its largest everywhere, with the engine itself.
fn stays_inside(network: &integers::Network) {
    let data = data::load_bytes("calibration", CALIBRATION)
        .unwrap()
        .take(10);
    let bytes = assemble(network).unwrap();
    let image = bytes.image();
    let encoder = Encoder::new(&image, &data).unwrap();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let mut input = Vec::new();
    for sample in 0..=data.len() {
        match data.sample(sample) {
            Some(sample) => encoder.encode(sample, &mut input),
            None => input.fill(network.inputs[0].max),
        }
        engine.reset();
        engine.set_input(&input).unwrap();
        for _ in 0..network.steps.limit().unwrap() {
            engine.step();
            if image.layout().reuses {
                // Other potentials lie there by now.
                continue;
            }
            for (at, e) in network.ensembles.iter().enumerate() {
                for i in 0..e.neurons {
                    let v = engine.potential(at, i).unwrap();
                    assert!((e.potential_min..=e.potential_max).contains(&v));
                }
            }
        }
    }
}
