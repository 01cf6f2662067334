//! Networks by their shapes, with random weights: single layers of all kinds, and networks like MLPerf Tiny's four.
//!
//! Biases are set so that a wanted share of each layer's neurons is active on random inputs.

use tinyspike::calibrate::{Samples, calibrate, forward};
use tinyspike::cost::{self, Choice};
use tinyspike::graph::{
    Convolution, Dense, Graph, Input, LinearMap, Link, Neuron, Output, Population, Readout, Source,
    SourceMap, Target, Window,
};
use tinyspike::quantize::{QuantizeOptions, quantize};
use tinyspike::tensor::Tensor;
use tinyspike::{DataSet, ImageBuf, assemble, balance, data, emulate};
use tinyspike_board::Failure;
use tinyspike_firmware::kernels::family::Family;

use super::argument;

/// Samples that a network is made and measured on.
const SAMPLES: usize = 4;

/// A network in the making.
pub(super) struct Network {
    graph: Graph,
    samples: Vec<f32>,
    random: u64,
    /// Values of all inputs and populations so far are those of this one.
    last: Source,
    shape: [usize; 3],
}

/// A convolution in the making.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    pub(super) filters: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) groups: usize,
    /// `true` if as many places come out as go in, strides aside.
    pub(super) same: bool,
    /// Share of its neurons that are active.
    pub(super) density: f32,
}

impl Conv {
    /// The common kind.
    pub(super) const fn new(filters: usize, kernel: usize, stride: usize) -> Self {
        Self {
            filters,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1, 1],
            groups: 1,
            same: true,
            density: 0.3,
        }
    }

    /// A filter of its own for each of so many channels.
    pub(super) const fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self {
            groups: channels,
            ..Self::new(channels, kernel, stride)
        }
    }

    pub(super) const fn active(self, density: f32) -> Self {
        Self { density, ..self }
    }
}

impl Network {
    /// A network with an input of a shape, of which a share of values is not zero, inside a margin that is; `signed` ones lie
    /// around zero.
    pub(super) fn new(shape: [usize; 3], signed: bool, density: f32) -> Self {
        let mut network = Self {
            graph: Graph {
                inputs: vec![Input {
                    label: "input".into(),
                    shape: shape.to_vec(),
                }],
                populations: Vec::new(),
                outputs: Vec::new(),
                links: Vec::new(),
            },
            samples: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            last: Source::Input(0),
            shape,
        };
        let size: usize = shape.iter().product();
        let [height, width, channels] = shape;
        let inside = |at: usize, size: usize, share: f32| {
            let margin = ((1.0 - share) * size as f32 / 2.0) as usize;
            (margin..size - margin).contains(&at)
        };
        for at in 0..size * SAMPLES {
            let value = network.uniform();
            let place = at % size / channels;
            let (y, x) = (place / width, place % width);
            let side = if height == 1 { density } else { density.sqrt() };
            let shown = (height == 1 || inside(y, height, side)) && inside(x, width, side);
            network.samples.push(match (shown, signed) {
                (false, _) => 0.0,
                (true, false) => value,
                (true, true) => value * 2.0 - 1.0,
            });
        }
        network
    }

    fn uniform(&mut self) -> f32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1 << 24) as f32
    }

    /// Weights around zero, of the magnitude that keeps activations as large as they are.
    fn weights(&mut self, count: usize, fan_in: usize) -> Vec<f32> {
        let scale = (6.0 / fan_in.max(1) as f32).sqrt();
        (0..count)
            .map(|_| (self.uniform() * 2.0 - 1.0) * scale)
            .collect()
    }

    /// Adds a layer of neurons, with links to it, of which a share is active.
    fn population(&mut self, shape: [usize; 3], links: Vec<Link>, density: f32) {
        let at = self.graph.populations.len();
        self.graph.populations.push(Population {
            label: format!("layer{at}"),
            neurons: shape.iter().product(),
            shape,
            channels: shape[2],
            bias: vec![0.0; shape[2]],
            delayed_bias: Vec::new(),
            ceiling: None,
            neuron: Neuron::IntegrateAndFire,
            ensemble: None,
        });
        self.graph.links.extend(links);
        self.graph.links.sort_by_key(|l| l.pre);
        if let Ok(values) = forward(&self.graph, &[&self.samples], SAMPLES) {
            let mut values = values.populations[at].clone();
            values.sort_by(f32::total_cmp);
            let quantile = values[((1.0 - density) * (values.len() - 1) as f32) as usize];
            let largest = values.last().copied().unwrap_or(0.0);
            let bias = match quantile > 0.0 {
                true => -quantile,
                // More than half are wanted.
                false => largest * (density - 0.5).max(0.0),
            };
            self.graph.populations[at].bias = vec![bias; shape[2]];
        }
        self.last = Source::Population(at);
        self.shape = shape;
    }

    fn link(&self, map: LinearMap, source: SourceMap) -> Link {
        Link {
            pre: self.last,
            post: Target::Population(self.graph.populations.len()),
            source,
            map,
            synapse: None,
        }
    }

    fn convolution(&mut self, conv: Conv) -> Convolution {
        let Conv { groups, .. } = conv;
        let mut output = [0, 0, conv.filters];
        let mut padding = [0; 2];
        for axis in 0..2 {
            let span = (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
            if conv.same {
                output[axis] = self.shape[axis].div_ceil(conv.stride[axis]);
                let needed = (output[axis] - 1) * conv.stride[axis] + span;
                padding[axis] = needed.saturating_sub(self.shape[axis]) / 2;
            } else {
                output[axis] = (self.shape[axis] - span) / conv.stride[axis] + 1;
            }
        }
        let [y, x] = conv.kernel;
        let inputs = self.shape[2] / groups;
        let weights = self.weights(y * x * inputs * conv.filters, y * x * inputs);
        Convolution {
            input: self.shape,
            output,
            kernel: Tensor::new(vec![y, x, inputs, conv.filters], weights)
                .unwrap_or_else(|| Tensor::filled(vec![y, x, inputs, conv.filters], 0.0)),
            stride: conv.stride,
            padding,
            dilation: conv.dilation,
            groups,
            first: 0,
        }
    }

    /// Adds a convolutional layer.
    pub(super) fn conv(mut self, conv: Conv) -> Self {
        let map = self.convolution(conv);
        let output = map.output;
        let link = self.link(LinearMap::Convolution(map), SourceMap::Direct);
        self.population(output, vec![link], conv.density);
        self
    }

    /// Adds two convolutional layers around which the source goes, as it is or through a convolution of one place.
    pub(super) fn residual(mut self, filters: usize, stride: usize, density: f32) -> Self {
        let (source, shape) = (self.last, self.shape);
        let first = Conv::new(filters, 3, stride).active(density);
        self = self.conv(first);
        let map = self.convolution(Conv::new(filters, 3, 1));
        let output = map.output;
        let through = self.link(LinearMap::Convolution(map), SourceMap::Direct);
        let last = std::mem::replace(&mut self.last, source);
        let around = match filters == shape[2] && stride == 1 {
            true => Conv::depthwise(filters, 1, 1),
            false => Conv::new(filters, 1, stride),
        };
        let before = std::mem::replace(&mut self.shape, shape);
        let mut map = self.convolution(around);
        if around.groups > 1 {
            map.kernel = Tensor::filled(vec![1, 1, 1, filters], 1.0);
        }
        let around = self.link(LinearMap::Convolution(map), SourceMap::Direct);
        (self.last, self.shape) = (last, before);
        self.population(output, vec![through, around], density);
        self
    }

    /// The mean over neighbours, or over all places, as layers behind see it.
    fn pooled(&self, pool: [usize; 2]) -> (SourceMap, [usize; 3]) {
        let [height, width, channels] = self.shape;
        let output = [height / pool[0], width / pool[1], channels];
        let window = Window {
            input: self.shape,
            output,
            pool,
            repeat: [1, 1],
            offset: [0, 0],
        };
        (SourceMap::Window(window), output)
    }

    /// Adds a convolutional layer behind average pooling.
    pub(super) fn pooled_conv(mut self, pool: usize, conv: Conv) -> Self {
        let (source, shape) = self.pooled([pool; 2]);
        self.shape = shape;
        let mut map = self.convolution(conv);
        let scale = 1.0 / (pool * pool) as f32;
        let kernel: Vec<f32> = map.kernel.data().iter().map(|w| w * scale).collect();
        let dims = map.kernel.shape().to_vec();
        map.kernel = Tensor::new(dims.clone(), kernel).unwrap_or_else(|| Tensor::filled(dims, 0.0));
        let output = map.output;
        let link = self.link(LinearMap::Convolution(map), source);
        self.population(output, vec![link], conv.density);
        self
    }

    fn matrix(&mut self, outputs: usize, inputs: usize, scale: f32) -> LinearMap {
        let weights = self.weights(outputs * inputs, inputs);
        let weights = weights.into_iter().map(|w| w * scale).collect();
        LinearMap::Dense(Dense {
            weights: Tensor::new(vec![outputs, inputs], weights)
                .unwrap_or_else(|| Tensor::filled(vec![outputs, inputs], 0.0)),
            first: 0,
        })
    }

    /// Adds a layer with a full matrix.
    pub(super) fn dense(mut self, neurons: usize, density: f32) -> Self {
        let inputs = self.shape.iter().product();
        let map = self.matrix(neurons, inputs, 1.0);
        let link = self.link(map, SourceMap::Direct);
        self.population([1, 1, neurons], vec![link], density);
        self
    }

    fn output(mut self, outputs: usize, map: LinearMap, source: SourceMap) -> Self {
        let link = Link {
            post: Target::Output(0),
            ..self.link(map, source)
        };
        self.graph.links.push(link);
        self.graph.links.sort_by_key(|l| l.pre);
        self.graph.outputs.push(Output {
            label: "output".into(),
            bias: vec![0.0; outputs],
            readout: Readout::Sum,
            left_out: None,
        });
        self
    }

    /// Ends in a matrix.
    pub(super) fn class(mut self, outputs: usize) -> Self {
        let inputs = self.shape.iter().product();
        let map = self.matrix(outputs, inputs, 1.0);
        self.output(outputs, map, SourceMap::Direct)
    }

    /// Ends in a matrix behind the mean over all places.
    pub(super) fn mean_class(mut self, outputs: usize) -> Self {
        let [height, width, channels] = self.shape;
        let (source, _) = self.pooled([height, width]);
        let map = self.matrix(outputs, channels, 1.0 / (height * width) as f32);
        self.output(outputs, map, source)
    }

    /// The image for the kernels of a family, and samples for it.
    pub(super) fn image(&self, target: &'static Family, count: u8) -> Result<Made, Failure> {
        let samples = Samples {
            inputs: vec![self.samples.clone()],
            count: SAMPLES,
        };
        let calibration = calibrate(&self.graph, &samples, &|_| {}).map_err(argument)?;
        let graph = balance::balance(&self.graph, &calibration, 0.5).graph;
        let calibration = calibrate(&graph, &samples, &|_| {}).map_err(argument)?;
        let options = QuantizeOptions {
            steps: 1,
            max_count: count,
            target,
            ..QuantizeOptions::default()
        };
        let mut integers = quantize(&graph, &calibration, &options).map_err(argument)?;
        cost::choose_by_shape(&mut integers);
        let events = assemble::assemble(&integers).map_err(argument)?;
        let data = DataSet::new(
            self.graph.inputs[0].shape.clone(),
            data::Samples::F32(self.samples.clone()),
            None,
        );
        let data = data.ok_or_else(|| argument("no samples"))?;
        let run = |image: &ImageBuf| {
            let image = image.image();
            let options = emulate::EmulateOptions::default();
            emulate::run(&image, &data, 0..SAMPLES, &options, &|_| {}).map_err(argument)
        };
        let activity = run(&events)?;
        let choices = cost::choose(&mut integers, &events.image(), &activity);
        let image = assemble::assemble(&integers).map_err(argument)?;
        Ok(Made {
            run: run(&image)?,
            image,
            data,
            choices,
        })
    }
}

/// An image of a network, and what happens in it.
pub(super) struct Made {
    pub(super) image: ImageBuf,
    pub(super) data: DataSet,
    pub(super) run: emulate::Run,
    pub(super) choices: Vec<Choice>,
}

/// MLPerf Tiny's keyword spotting: DS-CNN.
pub(super) fn keywords() -> Network {
    let first = Conv {
        kernel: [10, 4],
        ..Conv::new(64, 3, 2)
    };
    let mut network = Network::new([49, 10, 1], true, 1.0).conv(first.active(0.5));
    for (depthwise, pointwise) in [(0.5, 0.45), (0.45, 0.4), (0.4, 0.4), (0.4, 0.35)] {
        network = network
            .conv(Conv::depthwise(64, 3, 1).active(depthwise))
            .conv(Conv::new(64, 1, 1).active(pointwise));
    }
    network.mean_class(12)
}

/// MLPerf Tiny's image classification: ResNet-8.
pub(super) fn pictures() -> Network {
    Network::new([32, 32, 3], false, 1.0)
        .conv(Conv::new(16, 3, 1).active(0.5))
        .residual(16, 1, 0.5)
        .residual(32, 2, 0.4)
        .residual(64, 2, 0.3)
        .mean_class(10)
}

/// MLPerf Tiny's visual wake words: a MobileNet of a quarter of the width.
pub(super) fn persons() -> Network {
    let mut network = Network::new([96, 96, 3], false, 1.0).conv(Conv::new(8, 3, 2).active(0.5));
    let layers = [
        (8, 16, 1),
        (16, 32, 2),
        (32, 32, 1),
        (32, 64, 2),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 128, 1),
        (128, 128, 1),
        (128, 128, 1),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
    ];
    for (at, (inputs, filters, stride)) in layers.into_iter().enumerate() {
        let density = 0.5 - 0.025 * at as f32;
        network = network
            .conv(Conv::depthwise(inputs, 3, stride).active(density))
            .conv(Conv::new(filters, 1, 1).active(density));
    }
    network.mean_class(2)
}

/// MLPerf Tiny's anomaly detection: an autoencoder of matrices.
pub(super) fn sounds() -> Network {
    let mut network = Network::new([1, 1, 640], true, 1.0);
    for neurons in [128, 128, 128, 128, 8, 128, 128, 128, 128] {
        network = network.dense(neurons, 0.35);
    }
    network.class(640)
}

/// Layers of all kinds, each alone behind a layer that brings it counts, or behind an input.
pub(super) fn grid() -> Vec<(String, Network)> {
    let mut all: Vec<(String, Network)> = Vec::new();
    let mut add = |name: String, network: Network| all.push((name, network));
    let counts = |shape: [usize; 3], density: f32| {
        let conv = Conv::new(shape[2], 1, 1).active(density);
        Network::new([shape[0], shape[1], 8], false, 1.0).conv(conv)
    };
    for density in [0.2, 0.4, 0.7] {
        let name = |what: &str| format!("{what}, {:.0} % active", density * 100.0);
        let behind = |shape, conv: Conv| counts(shape, density).conv(conv.active(0.05)).class(2);
        add(
            name("3x3, 16 to 16"),
            behind([14, 14, 16], Conv::new(16, 3, 1)),
        );
        let valid = Conv {
            same: false,
            ..Conv::new(16, 3, 1)
        };
        add(name("3x3, valid"), behind([14, 14, 16], valid));
        add(
            name("3x3, 16 to 12"),
            behind([14, 14, 16], Conv::new(12, 3, 1)),
        );
        add(
            name("3x3, 10 to 16"),
            behind([14, 14, 10], Conv::new(16, 3, 1)),
        );
        let wide = Conv {
            dilation: [2, 2],
            ..Conv::new(16, 3, 1)
        };
        add(name("3x3, dilated"), behind([14, 14, 16], wide));
        add(
            name("3x3, stride 2"),
            behind([14, 14, 16], Conv::new(32, 3, 2)),
        );
        add(
            name("1x1, 64 to 64"),
            behind([9, 9, 64], Conv::new(64, 1, 1)),
        );
        add(
            name("1x1, 8 to 16"),
            behind([20, 20, 8], Conv::new(16, 1, 1)),
        );
        add(
            name("3x3, depthwise 64"),
            behind([9, 9, 64], Conv::depthwise(64, 3, 1)),
        );
        add(
            name("3x3, depthwise 8, stride 2"),
            behind([20, 20, 8], Conv::depthwise(8, 3, 2)),
        );
        let grouped = Conv {
            groups: 4,
            ..Conv::new(32, 3, 1)
        };
        add(name("3x3, 4 groups"), behind([10, 10, 32], grouped));
        let line = Conv {
            kernel: [1, 5],
            stride: [1, 1],
            ..Conv::new(24, 3, 1)
        };
        add(name("1D, 5, 16 to 24"), behind([1, 60, 16], line));
        add(
            name("3x3, 64 to 32"),
            behind([7, 7, 64], Conv::new(32, 3, 1)),
        );
        add(
            name("2x2 pooled, 3x3"),
            counts([16, 16, 16], density)
                .pooled_conv(2, Conv::new(16, 3, 1).active(0.05))
                .class(2),
        );
        add(
            name("mean of all, 10 classes"),
            counts([12, 12, 32], density).mean_class(10),
        );
        add(
            name("matrix, 256 to 64"),
            Network::new([1, 1, 64], false, 1.0)
                .dense(256, density)
                .dense(64, 0.05)
                .class(2),
        );
        add(
            name("residual identity"),
            counts([12, 12, 16], density).residual(16, 1, 0.05).class(2),
        );
    }
    for (what, signed, density) in [
        ("grey", false, 0.2),
        ("unsigned", false, 1.0),
        ("signed", true, 1.0),
    ] {
        let channels = if what == "grey" { 1 } else { 3 };
        let input = |shape: [usize; 2], conv: Conv| {
            let shape = [shape[0], shape[1], channels];
            Network::new(shape, signed, density)
                .conv(conv.active(0.05))
                .class(2)
        };
        add(
            format!("{what} input, 3x3 same, 16"),
            input([20, 20], Conv::new(16, 3, 1)),
        );
        let valid = Conv {
            same: false,
            ..Conv::new(16, 3, 1)
        };
        add(
            format!("{what} input, 3x3 valid, 16"),
            input([20, 20], valid),
        );
        add(
            format!("{what} input, 3x3 stride 2, 12"),
            input([24, 24], Conv::new(12, 3, 2)),
        );
        let line = Conv {
            kernel: [1, 5],
            stride: [1, 2],
            ..Conv::new(16, 3, 1)
        };
        add(format!("{what} input, 1D, 5"), input([1, 100], line));
    }
    all
}

/// More layers, of shapes and densities that no cost was fitted to.
pub(super) fn kept_aside() -> Vec<(String, Network)> {
    let mut all: Vec<(String, Network)> = Vec::new();
    let mut add = |name: &str, network: Network| all.push((format!("aside: {name}"), network));
    let behind = |channels: usize, shape: [usize; 3], density: f32, conv: Conv| {
        let first = Conv::new(shape[2], 1, 1).active(density);
        Network::new([shape[0], shape[1], channels], false, 1.0)
            .conv(first)
            .conv(conv.active(0.1))
            .class(3)
    };
    let valid = |conv: Conv| Conv {
        same: false,
        ..conv
    };
    add(
        "5x5, 24 to 8, 30 % active",
        behind(5, [11, 13, 24], 0.3, Conv::new(8, 5, 1)),
    );
    add(
        "3x3 valid, 12 to 20, stride 2, 50 % active",
        behind(4, [15, 15, 12], 0.5, valid(Conv::new(20, 3, 2))),
    );
    add(
        "1x1, 32 to 24, 25 % active",
        behind(3, [12, 10, 32], 0.25, Conv::new(24, 1, 1)),
    );
    add(
        "1x1, 48 to 96, 60 % active",
        behind(6, [6, 7, 48], 0.6, Conv::new(96, 1, 1)),
    );
    add(
        "5x5, depthwise 24, 45 % active",
        behind(4, [10, 12, 24], 0.45, Conv::depthwise(24, 5, 1)),
    );
    add(
        "3x3, depthwise 48, stride 2, 15 % active",
        behind(3, [13, 13, 48], 0.15, Conv::depthwise(48, 3, 2)),
    );
    let halves = Conv {
        groups: 2,
        ..Conv::new(24, 3, 1)
    };
    add(
        "3x3, 2 groups, 35 % active",
        behind(2, [9, 11, 16], 0.35, halves),
    );
    let line = Conv {
        kernel: [1, 7],
        stride: [1, 2],
        ..Conv::new(32, 3, 1)
    };
    add(
        "1D, 7, 24 to 32, stride 2, 55 % active",
        behind(7, [1, 80, 24], 0.55, line),
    );
    add(
        "3x3, 32 to 40, 10 % active",
        behind(4, [8, 8, 32], 0.1, Conv::new(40, 3, 1)),
    );
    for (name, sources, targets, density) in [
        ("matrix, 100 to 40, 30 % active", 100, 40, 0.3),
        ("matrix, 384 to 96, 90 % active", 384, 96, 0.9),
        ("matrix, 210 to 20, 55 % active", 210, 20, 0.55),
    ] {
        add(
            name,
            Network::new([1, 1, 48], true, 1.0)
                .dense(sources, density)
                .dense(targets, 0.1)
                .class(4),
        );
    }
    add(
        "3x3 pooled, 1x1, 40 % active",
        Network::new([12, 12, 4], false, 1.0)
            .conv(Conv::new(24, 1, 1).active(0.4))
            .pooled_conv(3, Conv::new(24, 1, 1).active(0.1))
            .class(3),
    );
    add(
        "mean of all, 4 classes, 30 % active",
        Network::new([9, 15, 4], false, 1.0)
            .conv(Conv::new(48, 1, 1).active(0.3))
            .mean_class(4),
    );
    add(
        "residual, 16 to 24, stride 2, 35 % active",
        Network::new([10, 10, 4], false, 1.0)
            .conv(Conv::new(16, 1, 1).active(0.35))
            .residual(24, 2, 0.1)
            .class(3),
    );
    let inputs = |shape: [usize; 3], signed: bool, density: f32, conv: Conv| {
        Network::new(shape, signed, density)
            .conv(conv.active(0.1))
            .class(3)
    };
    add(
        "RGB input, 5x5 valid, stride 2, 8",
        inputs([25, 25, 3], false, 1.0, valid(Conv::new(8, 5, 2))),
    );
    add(
        "grey input, 40 % shown, 7x7 same, stride 2, 24",
        inputs([28, 28, 1], false, 0.4, Conv::new(24, 7, 2)),
    );
    add(
        "grey input, 30 % shown, 5x5 valid, 32",
        inputs([22, 22, 1], false, 0.3, valid(Conv::new(32, 5, 1))),
    );
    let line = Conv {
        kernel: [1, 9],
        stride: [1, 3],
        same: false,
        ..Conv::new(20, 3, 1)
    };
    add(
        "signed input, 6 channels, 1D, 9",
        inputs([1, 128, 6], true, 1.0, line),
    );
    add(
        "input of 10 channels, 1x1, 24",
        inputs([11, 11, 10], false, 1.0, Conv::new(24, 1, 1)),
    );
    all
}
