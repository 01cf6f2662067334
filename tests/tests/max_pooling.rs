//! Max pooling as trained: in floats, in the integers of an image, and on real digits.

use std::path::PathBuf;

use tinyspike::calibrate::{self, Samples};
use tinyspike::convert::{ConvertOptions, convert};
use tinyspike::deploy::Deployment;
use tinyspike::emulate::{EmulateOptions, HostEngine, emulate};
use tinyspike::graph::Neuron;
use tinyspike::integrate::integrate_and_fire;
use tinyspike::lower::{lower, lower_apart};
use tinyspike::network::{
    Connection, Convolution, Diagonal, Ensemble, EnsembleId, MaxPool, Network, NeuronType, Node,
    NodeId, NodeKind, PerNeuron, Post, Pre, Probe, Synapse, Transform,
};
use tinyspike::ops::Padding;
use tinyspike::pipeline::{float_accuracy, samples};
use tinyspike::quantize::QuantizeOptions;
use tinyspike::simulate::{Input, InputData, SimulateOptions, Simulator};
use tinyspike::tensor::Tensor;
use tinyspike::{data, import};
use tinyspike_tests::deployment;

/// A file of the repository.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name)
}

/// Numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    /// A number from -1 to 1.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let data = (0..shape.iter().product()).map(|_| self.next()).collect();
        Tensor::new(shape.to_vec(), data).unwrap()
    }
}

/// A network that grows layer by layer.
struct Net {
    network: Network,
    numbers: Numbers,
    channels_last: bool,
}

const INPUT: [usize; 3] = [7, 6, 2];
const CHANNELS: usize = 4;
const RELU: NeuronType = NeuronType::RectifiedLinear { amplitude: 1.0 };
const SPIKING: NeuronType = NeuronType::SpikingRectifiedLinear { amplitude: 1.0 };

impl Net {
    fn new(channels_last: bool) -> (Self, Pre) {
        let mut net = Self {
            network: Network::default(),
            numbers: Numbers(7),
            channels_last,
        };
        let shape = net.shape(INPUT);
        let size = INPUT.iter().product();
        let input = net.node("x", 0, size, NodeKind::Input { shape });
        (net, input)
    }

    fn shape(&self, [y, x, c]: [usize; 3]) -> Vec<usize> {
        match self.channels_last {
            true => vec![y, x, c],
            false => vec![c, y, x],
        }
    }

    fn node(&mut self, label: &str, size_in: usize, size_out: usize, kind: NodeKind) -> Pre {
        self.network.nodes.push(Node {
            label: label.to_owned(),
            size_in,
            size_out,
            kind,
            subnetwork: None,
        });
        Pre::Node(NodeId(self.network.nodes.len() - 1))
    }

    fn connect(&mut self, pre: Pre, post: Pre, transform: Transform) {
        self.network.connections.push(Connection {
            pre,
            pre_slice: None,
            post: match post {
                Pre::Node(n) => Post::Node(n),
                Pre::Neurons(e) => Post::Neurons(e),
            },
            post_slice: None,
            transform,
            synapse: None,
            trainable: None,
            subnetwork: None,
        });
    }

    /// A linear layer's node.
    fn linear(&mut self, shape: [usize; 3]) -> Pre {
        let size = shape.iter().product();
        self.node("linear", size, size, NodeKind::Passthrough)
    }

    fn neurons(&mut self, shape: [usize; 3], neuron_type: NeuronType) -> Pre {
        let ensemble = Ensemble {
            label: format!("neurons{}", self.network.ensembles.len()),
            n_neurons: shape.iter().product(),
            neuron_type: neuron_type.into(),
            gain: PerNeuron::Same(1.0),
            bias: None,
            bias_trainable: None,
            shape: self.shape(shape),
            channels_last: self.channels_last,
            initial_voltage: None,
            subnetwork: None,
        };
        self.network.ensembles.push(ensemble);
        Pre::Neurons(EnsembleId(self.network.ensembles.len() - 1))
    }

    /// A convolution of 3 x 3 that keeps height and width.
    fn convolve(&mut self, pre: Pre, post: Pre, [y, x, c]: [usize; 3]) {
        let convolution = Convolution {
            input_shape: self.shape([y, x, c]),
            output_shape: self.shape([y, x, CHANNELS]),
            kernel: self.numbers.tensor(&[3, 3, c, CHANNELS]),
            strides: vec![1; 2],
            dilation: vec![1; 2],
            same_padding: true,
            groups: 1,
            channels_last: self.channels_last,
        };
        self.connect(pre, post, Transform::Convolution(convolution));
    }

    fn pool(
        &mut self,
        pre: Pre,
        shape: [usize; 3],
        window: [usize; 2],
        stride: [usize; 2],
        padding: Padding,
    ) -> (Pre, [usize; 3]) {
        let pool = MaxPool::new(shape, window, stride, padding, self.channels_last).unwrap();
        let out = pool.shape();
        let (size_in, size_out) = (pool.size_in(), pool.size_out());
        let node = self.node("pool", size_in, size_out, NodeKind::Max(pool));
        self.connect(pre, node, Transform::Identity(size_in));
        (node, out)
    }

    /// Factors and offsets of both signs for each channel.
    fn normalize(&mut self, pre: Pre, shape: [usize; 3]) -> Pre {
        let size = shape.iter().product::<usize>();
        let each: Vec<[f32; 2]> = (0..shape[2])
            .map(|c| [0.5 - 0.4 * c as f32, self.numbers.next()])
            .collect();
        let (places, last) = (shape[0] * shape[1], self.channels_last);
        let of = |at: usize| each[if last { at % shape[2] } else { at / places }];
        let factors = Tensor::vector((0..size).map(|at| of(at)[0]).collect());
        let offsets = Tensor::vector((0..size).map(|at| of(at)[1]).collect());
        let node = self.linear(shape);
        let diagonal = Diagonal {
            size,
            factor: factors,
        };
        self.connect(pre, node, Transform::Diagonal(diagonal));
        let bias = self.node("bias", 0, size, NodeKind::Constant(offsets));
        self.connect(bias, node, Transform::Identity(size));
        node
    }

    /// The network with a matrix to three outputs.
    fn finish(mut self, pre: Pre, shape: [usize; 3]) -> Network {
        let size = shape.iter().product();
        let output = self.node("y", 3, 3, NodeKind::Passthrough);
        let weights = self.numbers.tensor(&[3, size]);
        self.connect(pre, output, Transform::Dense(weights));
        self.network.probes.push(Probe {
            target: output,
            synapse: None,
            label: "y".to_owned(),
        });
        self.network
    }
}

/// Networks of all kinds of layers around max pooling.
fn networks(channels_last: bool) -> Vec<(&'static str, Network)> {
    let mut all = Vec::new();
    let out = [INPUT[0], INPUT[1], CHANNELS];
    let windows = [
        ("windows side by side", [2, 2], [2, 2], Padding::Valid),
        ("windows that overlap", [3, 2], [2, 1], Padding::Same),
        ("windows with gaps", [1, 2], [3, 3], Padding::Valid),
        ("all places", [INPUT[0], INPUT[1]], [1, 1], Padding::Valid),
    ];
    let leaky = NeuronType::LeakyRelu {
        negative_slope: 0.3,
        amplitude: 1.0,
    };
    for (name, window, stride, padding) in windows {
        let (mut net, x) = Net::new(channels_last);
        let a = net.neurons(out, RELU);
        net.convolve(x, a, INPUT);
        let (p, shape) = net.pool(a, out, window, stride, padding);
        all.push((name, net.finish(p, shape)));
    }
    let two = |net: &mut Net, pre, shape| net.pool(pre, shape, [2, 2], [2, 2], Padding::Same);
    for (name, neurons) in [("normalized", RELU), ("leaky, normalized", leaky.clone())] {
        let (mut net, x) = Net::new(channels_last);
        let a = net.neurons(out, neurons);
        net.convolve(x, a, INPUT);
        let n = net.normalize(a, out);
        let (p, shape) = two(&mut net, n, out);
        all.push((name, net.finish(p, shape)));
    }
    for (name, behind) in [
        ("linear", None),
        ("rectified behind", Some(RELU)),
        ("leaky behind", Some(leaky)),
    ] {
        let (mut net, x) = Net::new(channels_last);
        let a = net.linear(out);
        net.convolve(x, a, INPUT);
        let (mut p, shape) = two(&mut net, a, out);
        if let Some(neurons) = behind {
            let b = net.neurons(shape, neurons);
            net.connect(p, b, Transform::Identity(shape.iter().product()));
            p = b;
        }
        all.push((name, net.finish(p, shape)));
    }
    {
        let (mut net, x) = Net::new(channels_last);
        let (p, shape) = two(&mut net, x, INPUT);
        let a = net.neurons([shape[0], shape[1], CHANNELS], RELU);
        net.convolve(p, a, shape);
        all.push(("of an input", net.finish(a, [shape[0], shape[1], CHANNELS])));
    }
    {
        let (mut net, x) = Net::new(channels_last);
        let a = net.neurons(out, RELU);
        net.convolve(x, a, INPUT);
        let (p, shape) = two(&mut net, a, out);
        let n = net.normalize(p, shape);
        let (q, shape) = two(&mut net, n, shape);
        let b = net.neurons(shape, RELU);
        net.convolve(q, b, shape);
        let (r, shape) = net.pool(b, shape, [2, 2], [1, 1], Padding::Valid);
        all.push(("several", net.finish(r, shape)));
    }
    {
        let (mut net, x) = Net::new(channels_last);
        let sum = net.linear(out);
        for _ in 0..2 {
            let a = net.neurons(out, RELU);
            net.convolve(x, a, INPUT);
            net.connect(a, sum, Transform::Identity(out.iter().product()));
        }
        let (p, shape) = two(&mut net, sum, out);
        all.push(("a sum", net.finish(p, shape)));
    }
    all
}

/// Inputs from 0 to 1.
fn inputs(count: usize) -> Vec<f32> {
    let mut numbers = Numbers(99);
    let size = INPUT.iter().product::<usize>() * count;
    (0..size).map(|_| numbers.next().max(0.0)).collect()
}

/// The float simulator's outputs in every step.
fn simulated(network: &Network, x: &[f32], count: usize, steps: usize) -> Vec<f32> {
    let simulator = Simulator::new(network, &SimulateOptions::default()).unwrap();
    let input = Input {
        name: "x".to_owned(),
        data: InputData::Static(Tensor::new(vec![count, x.len() / count], x.to_vec()).unwrap()),
    };
    let run = simulator.predict(&[input], steps).unwrap();
    run.probes[0].values.data().to_vec()
}

/// The root of the mean square of the difference, relative to that of `expected`.
fn error(found: &[f32], expected: &[f32]) -> f32 {
    let pairs = found.iter().zip(expected);
    let difference: f32 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
    let size: f32 = expected.iter().map(|e| e * e).sum();
    (difference / size).sqrt()
}

/// The engine's outputs, item by item: of each step, and at the end.
fn emulated(built: &Deployment, x: &[f32], count: usize) -> (Vec<Vec<f32>>, Vec<f32>) {
    let image = built.image.image();
    let mut arena = vec![0; image.arena_bytes() / 4];
    let mut engine = HostEngine::new(&image, &mut arena).unwrap();
    let input = &built.integers.inputs[0];
    let output = &built.integers.outputs[0];
    let (mut steps, mut ends) = (Vec::new(), Vec::new());
    for item in x.chunks(x.len() / count) {
        let code = |v: &f32| {
            let byte = (f64::from(*v) / input.scale).round() + f64::from(input.zero_point);
            byte.min(f64::from(input.max)) as u8
        };
        let bytes: Vec<u8> = item.iter().map(code).collect();
        engine.reset();
        engine.set_input(&bytes).unwrap();
        let values = |engine: &HostEngine<'_>| -> Vec<f32> {
            let values = engine.output(0).values();
            values.map(|v| (v as f64 * output.scale) as f32).collect()
        };
        while engine.step() {
            steps.push(values(&engine));
        }
        ends.extend(values(&engine));
    }
    (steps, ends)
}

#[test]
fn lowered_networks_compute_the_same() {
    let x = inputs(5);
    for channels_last in [true, false] {
        for (name, network) in networks(channels_last) {
            let expected = simulated(&network, &x, 5, 1);
            let graph = integrate_and_fire(&lower_apart(&network).unwrap()).unwrap();
            let found = calibrate::forward(&graph, &[&x], 5).unwrap();
            let error = error(&found.outputs[0], &expected);
            assert!(error < 1e-5, "{name}: {error}");
        }
    }
}

/// A rectifier behind the windows goes before them, so that one population and its windows are enough.
#[test]
fn rectifiers_go_before_windows() {
    let all = networks(true);
    let (_, network) = all
        .iter()
        .find(|(name, _)| *name == "rectified behind")
        .unwrap();
    let graph = integrate_and_fire(&lower_apart(network).unwrap()).unwrap();
    assert_eq!(graph.populations.len(), 2);
    assert!(matches!(graph.populations[1].neuron, Neuron::Pooled(_)));
}

/// Images approach the float network, in one step and in several.
#[test]
fn images_approach_the_float_network() {
    let count = 40;
    let x = inputs(count);
    for channels_last in [true, false] {
        for (name, network) in networks(channels_last) {
            let expected = simulated(&network, &x, count, 1);
            let samples = Samples {
                inputs: vec![x.clone()],
                count,
            };
            for (steps, max_count) in [(1, 127), (6, 15)] {
                let options = QuantizeOptions {
                    steps,
                    max_count,
                    ..QuantizeOptions::default()
                };
                let built = deployment::plain(&network, Some(&samples), &options).unwrap();
                let (_, mut found) = emulated(&built, &x, count);
                found.iter_mut().for_each(|v| *v /= f32::from(steps));
                let error = error(&found, &expected);
                assert!(error < 0.06, "{name}, {steps} steps: {error}");
            }
        }
    }
}

fn spiking() -> Network {
    let out = [INPUT[0], INPUT[1], CHANNELS];
    let (mut net, x) = Net::new(true);
    let a = net.neurons(out, SPIKING);
    net.convolve(x, a, INPUT);
    let Pre::Neurons(id) = a else { unreachable!() };
    // Some spikes in each step.
    net.network.ensembles[id.0].gain = PerNeuron::Same(500.0);
    let (p, shape) = net.pool(a, out, [2, 2], [2, 2], Padding::Same);
    net.network.probes.push(Probe {
        target: p,
        synapse: None,
        label: "y".to_owned(),
    });
    assert_eq!(shape, [4, 3, CHANNELS]);
    net.network
}

/// An exact image emits what the largest counts have grown by, as the float simulator does: the sums over all
/// steps differ by a spike at most.
#[test]
fn exact_images_pool_as_the_simulator_does() {
    let network = spiking();
    let x = inputs(1);
    let steps = 30;
    let options = QuantizeOptions {
        steps,
        ..QuantizeOptions::exact()
    };
    let built = deployment::exact(&network, &options).unwrap();
    let (found, _) = emulated(&built, &x, 1);
    let size = 4 * 3 * CHANNELS;
    let expected = simulated(&network, &x, 1, steps.into());
    let mut total = 0.0;
    let (mut sums, mut wanted) = (vec![0.0; size], vec![0.0; size]);
    for (found, expected) in found.iter().zip(expected.chunks(size)) {
        for at in 0..size {
            // A spike counts for a thousand.
            sums[at] += found[at] / 1000.0;
            wanted[at] += expected[at] / 1000.0;
            assert!((sums[at] - wanted[at]).abs() < 1.01, "{sums:?} {wanted:?}");
        }
        total += expected.iter().sum::<f32>() / 1000.0;
    }
    assert!(total > 100.0, "{total} spikes");
}

#[test]
fn what_images_cannot_pool_is_named() {
    let all = networks(true);
    let (_, linear) = all.iter().find(|(name, _)| *name == "linear").unwrap();
    let text = lower(linear).unwrap_err().to_string();
    assert!(text.contains("\"pool\"") && text.contains("relu"), "{text}");

    let mut filtered = spiking();
    filtered.connections[1].synapse = Some(Synapse::Lowpass { tau: 0.005 });
    let text = lower(&filtered).unwrap_err().to_string();
    assert!(text.contains("behind a synapse"), "{text}");

    let endless = QuantizeOptions {
        steps: 0,
        ..QuantizeOptions::exact()
    };
    let text = deployment::exact(&spiking(), &endless)
        .unwrap_err()
        .to_string();
    assert!(text.contains("max pooling without end"), "{text}");

    let long = QuantizeOptions {
        steps: 60_000,
        ..QuantizeOptions::exact()
    };
    let text = deployment::exact(&spiking(), &long)
        .unwrap_err()
        .to_string();
    assert!(text.contains("more than 16 bits hold"), "{text}");
}

/// A network that was trained with max pooling keeps its accuracy within 0.3 points.
#[test]
fn digits_keep_their_accuracy() {
    let model = import::load(&path("tests/fixtures/keras/maxpool_mnist.h5")).unwrap();
    let options = ConvertOptions {
        inference_only: true,
        ..ConvertOptions::default()
    };
    let network = convert(&model, &options).unwrap().network;
    let calibration = data::load(path("data/mnist_calibration2k.npz")).unwrap();
    let test = data::load(path("data/mnist_test10k.npz"))
        .unwrap()
        .take(2000);
    let samples = samples(&calibration, 500);
    let built = deployment::plain(&network, Some(&samples), &QuantizeOptions::default()).unwrap();
    let float = float_accuracy(&built.graph, &test, &|_| {})
        .unwrap()
        .unwrap();
    let image = built.image.image();
    let report = emulate(&image, &test, &EmulateOptions::default(), &|_| {}).unwrap();
    let spiking = report.accuracy.unwrap();
    assert!((float - 0.921).abs() < 1e-3, "{float}");
    assert!(
        (float - spiking).abs() <= 0.003,
        "{float} becomes {spiking}"
    );
}
