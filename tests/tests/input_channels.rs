//! Inputs whose channels have a scale and a zero point each: features of different sizes, and sensors far from zero. Inputs
//! beside spikes, which keep their bits.

use tinyspike::assemble::assemble;
use tinyspike::calibrate::{Calibration, calibrate, forward};
use tinyspike::compensate::{Reference, compensate};
use tinyspike::data::suspicion;
use tinyspike::data::{DataSet, Samples};
use tinyspike::emulate::{EmulateOptions, in_units, run};
use tinyspike::graph::{
    Convolution, Dense, Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source,
    SourceMap, Target,
};
use tinyspike::image::ImageBuf;
use tinyspike::integers::{self, Steps};
use tinyspike::pipeline::samples;
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::tensor::Tensor;
use tinyspike_tests::numbers::Numbers;

const SAMPLES: usize = 200;
const HIDDEN: usize = 16;
const OUTPUTS: usize = 3;
/// Sizes and middles of features.
const FEATURES: [(f32, f32); 4] = [(1e-4, 0.0), (1.0, 0.0), (5e3, 0.0), (0.5, 0.0)];
const SENSORS: [(f32, f32); 4] = [(1.5, 1013.5), (1.5, 1012.0), (0.2, -40.0), (3.0, 300.0)];

/// Numbers between -1 and 1.
fn number(numbers: &mut Numbers) -> f32 {
    (numbers.draw() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn values(numbers: &mut Numbers, count: usize) -> Vec<f32> {
    (0..count).map(|_| number(numbers)).collect()
}

fn tensor(shape: &[usize], data: Vec<f32>) -> Tensor {
    Tensor::new(shape.to_vec(), data).unwrap()
}

fn dense(outputs: usize, inputs: usize, data: Vec<f32>) -> LinearMap {
    LinearMap::Dense(Dense {
        weights: tensor(&[outputs, inputs], data),
        first: 0,
    })
}

fn link(pre: Source, post: Target, map: LinearMap) -> Link {
    Link {
        pre,
        post,
        source: SourceMap::Direct,
        map,
        synapse: None,
    }
}

fn population(shape: [usize; 3]) -> Population {
    Population {
        label: "hidden".into(),
        neurons: shape.iter().product(),
        shape,
        channels: shape[2],
        bias: vec![0.2; shape[2]],
        delayed_bias: Vec::new(),
        neuron: Neuron::IntegrateAndFire,
        ceiling: None,
        ensemble: None,
    }
}

fn input(label: &str, shape: &[usize]) -> Input {
    Input {
        label: label.into(),
        shape: shape.to_vec(),
    }
}

/// A layer of neurons behind a link from the input, and outputs behind them.
fn network(inputs: Vec<Input>, hidden: Population, first: Vec<Link>) -> Graph {
    let mut numbers = Numbers::new(7);
    let out = dense(
        OUTPUTS,
        hidden.neurons,
        values(&mut numbers, OUTPUTS * hidden.neurons),
    );
    let out = link(Source::Population(0), Target::Output(0), out);
    Graph {
        inputs,
        populations: vec![hidden],
        outputs: vec![Output {
            label: "out".into(),
            bias: vec![0.0; OUTPUTS],
            readout: Readout::Sum,
            left_out: None,
        }],
        links: first.into_iter().chain([out]).collect(),
    }
}

/// Features of these sizes and middles into a layer that takes all of them for equally important.
fn features(channels: &[(f32, f32)]) -> Graph {
    let mut numbers = Numbers::new(3);
    let mut hidden = population([1, 1, HIDDEN]);
    let mut weights = Vec::new();
    for bias in &mut hidden.bias {
        for (size, middle) in channels {
            let w = number(&mut numbers) / size;
            weights.push(w);
            *bias -= w * middle;
        }
    }
    let map = dense(HIDDEN, channels.len(), weights);
    let first = link(Source::Input(0), Target::Population(0), map);
    network(vec![input("in", &[channels.len()])], hidden, vec![first])
}

/// The same as channels of a picture that a convolution sees, with `padding` zeros around it.
fn picture(channels: &[(f32, f32)], padding: usize) -> Graph {
    const SIDE: usize = 5;
    const FILTERS: usize = 4;
    let mut numbers = Numbers::new(4);
    let side = SIDE - 2 + 2 * padding;
    let mut hidden = population([side, side, FILTERS]);
    let mut weights = Vec::new();
    for _ in 0..9 {
        for (size, middle) in channels {
            for bias in &mut hidden.bias {
                let w = number(&mut numbers) / size / 3.0;
                weights.push(w);
                *bias -= w * middle;
            }
        }
    }
    let map = LinearMap::Convolution(Convolution {
        input: [SIDE, SIDE, channels.len()],
        output: hidden.shape,
        kernel: tensor(&[3, 3, channels.len(), FILTERS], weights),
        stride: [1; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        groups: 1,
        first: 0,
    });
    let first = link(Source::Input(0), Target::Population(0), map);
    let input = input("in", &[SIDE, SIDE, channels.len()]);
    network(vec![input], hidden, vec![first])
}

/// Samples whose places go through channels of these sizes and middles.
fn data(size: usize, channels: &[(f32, f32)]) -> DataSet {
    let mut numbers = Numbers::new(5);
    let values = (0..SAMPLES * size).map(|at| {
        let (size, middle) = channels[at % channels.len()];
        middle + size * number(&mut numbers)
    });
    DataSet::new(vec![size], Samples::F32(values.collect()), None).unwrap()
}

fn plain() -> QuantizeOptions {
    QuantizeOptions {
        steps: 16,
        ..QuantizeOptions::default()
    }
}

/// The network in integers, fitted to the data.
fn fitted(graph: &Graph, calibration: &Calibration, data: &DataSet) -> integers::Network {
    let samples = samples(data, data.len()).split(&graph.input_sizes());
    let reference = Reference::new(graph, samples).unwrap();
    compensate(graph, calibration, &plain(), &reference, false).unwrap()
}

fn calibrated(graph: &Graph, data: &DataSet) -> Calibration {
    let samples = samples(data, data.len()).split(&graph.input_sizes());
    calibrate(graph, &samples, &|_| {}).unwrap()
}

/// The same without what it knows of channels: one scale for all.
fn without_channels(calibration: &Calibration) -> Calibration {
    Calibration {
        channels: Vec::new(),
        ..calibration.clone()
    }
}

/// The error of an image's outputs, as a share of the deviation of the float network's.
fn error(graph: &Graph, network: &integers::Network, image: &ImageBuf, data: &DataSet) -> f64 {
    let samples = samples(data, data.len()).split(&graph.input_sizes());
    let inputs: Vec<&[f32]> = samples.inputs.iter().map(Vec::as_slice).collect();
    let wanted = &forward(graph, &inputs, data.len()).unwrap().outputs[0];
    let image = image.image();
    let options = EmulateOptions::default();
    let run = run(&image, data, 0..data.len(), &options, &|_| {}).unwrap();
    let Steps::Limited(steps) = network.steps else {
        panic!("it ends");
    };
    let trials = run.trials.iter();
    let found = trials.flat_map(|t| in_units(&image, 0, steps.into(), &t.outputs));
    let mean = wanted.iter().map(|v| f64::from(*v)).sum::<f64>() / wanted.len() as f64;
    let (mut squares, mut variance) = (0.0, 0.0);
    for (found, wanted) in found.zip(wanted) {
        squares += (found - f64::from(*wanted)).powi(2);
        variance += (f64::from(*wanted) - mean).powi(2);
    }
    (squares / variance).sqrt()
}

/// Errors with channels and with one scale for all.
fn errors(graph: &Graph, data: &DataSet) -> (f64, f64) {
    let calibration = calibrated(graph, data);
    let of = |calibration: &Calibration| {
        let network = fitted(graph, calibration, data);
        let image = assemble(&network).unwrap();
        error(graph, &network, &image, data)
    };
    (of(&calibration), of(&without_channels(&calibration)))
}

#[test]
fn features_of_different_sizes_and_sensors_far_from_zero_keep_their_bits() {
    for channels in [FEATURES, SENSORS] {
        let graph = features(&channels);
        let data = data(channels.len(), &channels);
        let (own, one) = errors(&graph, &data);
        assert!(own < 0.05, "{channels:?}: {own}");
        assert!(one > 5.0 * own, "{channels:?}: {own}, {one}");
        // The same without samples to fit biases on.
        let calibration = calibrated(&graph, &data);
        let network = quantize(&graph, &calibration, &plain()).unwrap();
        let image = assemble(&network).unwrap();
        let error = error(&graph, &network, &image, &data);
        assert!(error < 0.08, "{channels:?}: {error}");
        // Nothing is left to warn of: bytes are fine enough, and no value lies outside.
        assert_eq!(suspicion::of_inputs(&data, &graph, &network), []);
        assert_eq!(suspicion::of_image(&data, &image.image()), []);
    }
    // A single sensor far from zero is a channel as well.
    let sensor = [(1.5, 1013.5)];
    let graph = features(&sensor);
    let (own, one) = errors(&graph, &data(1, &sensor));
    assert!(own < 0.05 && one > 5.0 * own, "{own}, {one}");
}

#[test]
fn a_convolution_sees_channels_with_scales_of_their_own() {
    for (channels, padding) in [(FEATURES, 0), (FEATURES, 1), (SENSORS, 0)] {
        let graph = picture(&channels, padding);
        let data = data(graph.inputs[0].size(), &channels);
        let (own, one) = errors(&graph, &data);
        assert!(own < 0.05, "{channels:?}, {padding}: {own}");
        assert!(one > 5.0 * own, "{channels:?}, {padding}: {own}, {one}");
    }
}

#[test]
fn padding_stays_zero() {
    // Sensors around 1000 whose border is zero: the bytes of a channel cannot start at its least value.
    let channels = [(1.5, 1013.5), (1e-3, 0.0)];
    let graph = picture(&channels, 1);
    let data = data(graph.inputs[0].size(), &channels);
    let network = fitted(&graph, &calibrated(&graph, &data), &data);
    let [input] = network.inputs.as_slice() else {
        panic!("one input");
    };
    assert_eq!(input.channels.len(), 2);
    for channel in &input.channels {
        assert_eq!(channel.zero_point, i32::from(input.zero_point));
    }
    let largest = input.channels[0].value(input.max);
    assert!((largest - 1015.0).abs() < 0.1, "{largest}");
    // Bytes are too coarse for what varies, which is said.
    let found = suspicion::of_inputs(&data, &graph, &network);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn each_input_has_the_encoding_that_it_needs() {
    let mut graph = features(&SENSORS);
    let mut numbers = Numbers::new(6);
    let second = dense(HIDDEN, 8, values(&mut numbers, HIDDEN * 8));
    graph.inputs.push(input("picture", &[8]));
    let second = link(Source::Input(1), Target::Population(0), second);
    graph.links.insert(1, second);
    let both: Vec<(f32, f32)> = SENSORS.into_iter().chain([(1.0, 0.0); 8]).collect();
    let data = data(both.len(), &both);
    let (own, one) = errors(&graph, &data);
    assert!(own < 0.05 && one > 5.0 * own, "{own}, {one}");
    let network = fitted(&graph, &calibrated(&graph, &data), &data);
    assert_eq!(network.inputs[0].channels.len(), SENSORS.len());
    assert_eq!(network.inputs[1].channels, []);
}

#[test]
fn one_scale_stays_if_it_does() {
    // Equal sizes, sizes that differ little, and a small channel that hardly matters.
    let alike = [(1.0, 0.0), (0.7, 0.1), (0.5, 0.2), (1.0, 0.0)];
    let minor = features(&alike);
    let sizes = [(1.0, 0.0), (1e-3, 0.0), (1.0, 0.0), (1.0, 0.0)];
    for channels in [alike, sizes] {
        let data = data(4, &channels);
        let calibration = calibrated(&minor, &data);
        let network = fitted(&minor, &calibration, &data);
        assert_eq!(network.inputs[0].channels, [], "{channels:?}");
        let same = fitted(&minor, &without_channels(&calibration), &data);
        assert_eq!(network, same);
    }
}

/// Places of the input of [`skipping`], all of one size.
const PLACES: usize = 32;

/// Neurons behind an input, and a target that takes both: an output, or neurons before one. Spikes count `stronger` times
/// as much as the input.
fn skipping(into_output: bool, stronger: f32) -> Graph {
    let mut numbers = Numbers::new(9);
    let mut random = |outputs, inputs, size: f32| {
        let weights = values(&mut numbers, outputs * inputs);
        dense(
            outputs,
            inputs,
            weights.into_iter().map(|w| w * size).collect(),
        )
    };
    let first = random(HIDDEN, PLACES, 1.0);
    let first = link(Source::Input(0), Target::Population(0), first);
    let inputs = vec![input("in", &[PLACES])];
    let mut graph = network(inputs, population([1, 1, HIDDEN]), vec![first]);
    let out = graph.links.pop();
    let (target, size) = if into_output {
        (Target::Output(0), OUTPUTS)
    } else {
        graph.populations.push(population([1, 1, HIDDEN]));
        (Target::Population(1), HIDDEN)
    };
    let skip = random(size, PLACES, 1.0);
    graph.links.push(link(Source::Input(0), target, skip));
    let spikes = random(size, HIDDEN, stronger);
    graph
        .links
        .push(link(Source::Population(0), target, spikes));
    if let Some(mut out) = out.filter(|_| !into_output) {
        out.pre = Source::Population(1);
        graph.links.push(out);
    }
    graph
}

#[test]
fn what_skips_neurons_keeps_its_bits() {
    let data = data(PLACES, &[(1.0, 0.0)]);
    for (into_output, stronger) in [(true, 1.0), (true, 4.0), (false, 1.0), (false, 4.0)] {
        let graph = skipping(into_output, stronger);
        let network = fitted(&graph, &calibrated(&graph, &data), &data);
        let mut skips = graph.links.iter().zip(&network.connections);
        let skip = skips.rfind(|(link, _)| link.pre == Source::Input(0));
        let weights = &skip.unwrap().1.weights;
        let largest = weights.iter().map(|w| w.unsigned_abs()).max().unwrap();
        let image = assemble(&network).unwrap();
        let error = error(&graph, &network, &image, &data);
        assert!(largest >= 16, "{into_output}, {stronger}: up to {largest}");
        assert!(error < 0.03, "{into_output}, {stronger}: {error}");
    }
}
