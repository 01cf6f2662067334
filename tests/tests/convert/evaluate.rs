//! Evaluation of a network of rate neurons, without filters, plainly in f64 and by the definition of each
//! object. It holds the converter's transforms against Keras's layers.

use std::collections::BTreeMap;

use tinyspike::network::{
    Connection, Convolution, Network, NeuronType, NodeKind, Post, Pre, Transform,
};
use tinyspike::tensor::Tensor;

/// The values of each probe, given those of each input in the order of the nodes.
pub(crate) fn evaluate(network: &Network, inputs: &[Tensor]) -> Vec<Vec<f64>> {
    let mut evaluation = Evaluation {
        network,
        inputs: inputs.iter(),
        outputs: BTreeMap::new(),
    };
    for (i, node) in network.nodes.iter().enumerate() {
        if let NodeKind::Input { .. } = node.kind {
            let input = evaluation.inputs.next().expect("an input for each node");
            let values = input.data().iter().map(|&x| f64::from(x)).collect();
            evaluation.outputs.insert((true, i), values);
        }
    }
    network
        .probes
        .iter()
        .map(|probe| evaluation.output(probe.target))
        .collect()
}

struct Evaluation<'a> {
    network: &'a Network,
    inputs: std::slice::Iter<'a, Tensor>,
    /// Outputs of nodes (true) and ensembles.
    outputs: BTreeMap<(bool, usize), Vec<f64>>,
}

impl Evaluation<'_> {
    fn output(&mut self, pre: Pre) -> Vec<f64> {
        let key = match pre {
            Pre::Node(node) => (true, node.0),
            Pre::Neurons(ensemble) => (false, ensemble.0),
        };
        if let Some(output) = self.outputs.get(&key) {
            return output.clone();
        }
        let output = match pre {
            Pre::Node(id) => {
                let node = &self.network.nodes[id.0];
                let arrived = self.arrived(Post::Node(id), node.size_in);
                match &node.kind {
                    NodeKind::Input { .. } => panic!("{} has no input", node.label),
                    NodeKind::Constant(value) => {
                        value.data().iter().map(|&x| f64::from(x)).collect()
                    }
                    NodeKind::Passthrough => arrived,
                    NodeKind::Max(pool) => {
                        let x: Vec<f32> = arrived.iter().map(|&x| x as f32).collect();
                        let mut y = vec![0.0; pool.size_out()];
                        pool.apply(&x, |_| false, &mut y);
                        y.into_iter().map(f64::from).collect()
                    }
                    NodeKind::Tensor(tensor) => {
                        let shape = [&[1], tensor.shape_in.as_slice()].concat();
                        let data = arrived.iter().map(|&x| x as f32).collect();
                        let x = Tensor::new(shape, data).expect("the sizes fit");
                        let y = tensor.func.run(&x).expect("the function runs");
                        y.data().iter().map(|&x| f64::from(x)).collect()
                    }
                }
            }
            Pre::Neurons(id) => {
                let ensemble = &self.network.ensembles[id.0];
                let arrived = self.arrived(Post::Neurons(id), ensemble.n_neurons);
                arrived
                    .iter()
                    .enumerate()
                    .map(|(i, x)| {
                        let bias = ensemble.bias.as_ref().map_or(0.0, |b| b.data()[i]);
                        let current = f64::from(ensemble.gain.at(i)) * x + f64::from(bias);
                        rate(&ensemble.neuron_type.at(i), current)
                    })
                    .collect()
            }
        };
        self.outputs.insert(key, output.clone());
        output
    }

    /// The sum of what all connections bring.
    fn arrived(&mut self, post: Post, size: usize) -> Vec<f64> {
        let mut sum = vec![0.0; size];
        let network = self.network;
        for connection in network.connections.iter().filter(|c| c.post == post) {
            let Connection {
                pre,
                pre_slice,
                post_slice,
                transform,
                ..
            } = connection;
            let source = self.output(*pre);
            let source: Vec<f64> = match pre_slice {
                Some(slice) => slice.iter().map(|&i| source[i]).collect(),
                None => source,
            };
            for (i, value) in transformed(transform, &source).into_iter().enumerate() {
                sum[post_slice.as_ref().map_or(i, |slice| slice[i])] += value;
            }
        }
        sum
    }
}

fn rate(neuron_type: &NeuronType, current: f64) -> f64 {
    match neuron_type {
        NeuronType::RectifiedLinear { amplitude } => f64::from(*amplitude) * current.max(0.0),
        NeuronType::LeakyRelu {
            negative_slope,
            amplitude,
        } => {
            f64::from(*amplitude)
                * (current.max(0.0) + f64::from(*negative_slope) * current.min(0.0))
        }
        NeuronType::Sigmoid { .. } => 1.0 / (1.0 + (-current).exp()),
        NeuronType::Tanh { .. } => current.tanh(),
        other => panic!("no rate for {other}"),
    }
}

fn transformed(transform: &Transform, x: &[f64]) -> Vec<f64> {
    match transform {
        Transform::Identity(_) => x.to_vec(),
        Transform::Diagonal(diagonal) => {
            let factor = diagonal.factor.data();
            x.iter()
                .enumerate()
                .map(|(i, x)| x * f64::from(factor[i % factor.len()]))
                .collect()
        }
        Transform::Dense(weights) => weights
            .data()
            .chunks(x.len())
            .map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum())
            .collect(),
        Transform::Sparse(sparse) => {
            let mut y = vec![0.0; sparse.size_out];
            for ((row, column), value) in sparse.indices.iter().zip(sparse.values.data()) {
                y[*row as usize] += f64::from(*value) * x[*column as usize];
            }
            y
        }
        Transform::Convolution(convolution) => convolved(convolution, x),
    }
}

/// The sum over the kernel for each place, by the definition.
fn convolved(convolution: &Convolution, x: &[f64]) -> Vec<f64> {
    let rank = convolution.strides.len();
    let split = |shape: &[usize]| {
        if convolution.channels_last {
            (shape[..rank].to_vec(), shape[rank])
        } else {
            (shape[1..].to_vec(), shape[0])
        }
    };
    let (places_in, n_in) = split(&convolution.input_shape);
    let (places_out, n_out) = split(&convolution.output_shape);
    let kernel = convolution.kernel.shape();
    let (group_in, group_out) = (n_in / convolution.groups, n_out / convolution.groups);
    assert_eq!(kernel[rank..], [group_in, n_out]);
    let at = |place: usize, channel: usize, places: &[usize], channels: usize| {
        if convolution.channels_last {
            place * channels + channel
        } else {
            channel * places.iter().product::<usize>() + place
        }
    };
    let mut y = vec![0.0; places_out.iter().product::<usize>() * n_out];
    for place in 0..places_out.iter().product() {
        let out_place = unravel(place, &places_out);
        for offset in 0..kernel[..rank].iter().product() {
            let offsets = unravel(offset, &kernel[..rank]);
            let mut source = Some(0);
            for axis in 0..rank {
                let before = if convolution.same_padding {
                    let window = (kernel[axis] - 1) * convolution.dilation[axis] + 1;
                    let covered = (places_out[axis] - 1) * convolution.strides[axis] + window;
                    covered.saturating_sub(places_in[axis]) / 2
                } else {
                    0
                };
                source = (out_place[axis] * convolution.strides[axis]
                    + offsets[axis] * convolution.dilation[axis])
                    .checked_sub(before)
                    .filter(|&i| i < places_in[axis])
                    .and_then(|i| source.map(|source| source * places_in[axis] + i));
            }
            let Some(source) = source else { continue };
            for out in 0..n_out {
                let group = out / group_out;
                for inner in 0..group_in {
                    let weight =
                        convolution.kernel.data()[(offset * group_in + inner) * n_out + out];
                    y[at(place, out, &places_out, n_out)] += f64::from(weight)
                        * x[at(source, group * group_in + inner, &places_in, n_in)];
                }
            }
        }
    }
    y
}

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (axis, &length) in shape.iter().enumerate().rev() {
        place[axis] = index % length;
        index /= length;
    }
    place
}
