//! The integer network as its definition says it, in 64-bit integers and with no thought of speed.

use tinyspike::graph::{Source, Target};
use tinyspike::quantize::{Connection, Quantized, Seen};
use tinyspike_shared::image::{Convolution, Transform, Window};

/// A network at work: every potential, every sum, and the extremes that potentials reached.
#[derive(Debug)]
pub struct Reference<'a> {
    network: &'a Quantized,
    currents: Vec<Vec<i64>>,
    /// V of every neuron of every ensemble.
    pub potentials: Vec<Vec<i64>>,
    output_currents: Vec<Vec<i64>>,
    /// The sums of every output.
    pub sums: Vec<Vec<i64>>,
}

impl<'a> Reference<'a> {
    /// The network at rest with its inputs set.
    #[must_use]
    pub fn new(network: &'a Quantized, inputs: &[Vec<u8>]) -> Self {
        let mut reference = Self {
            network,
            currents: network
                .ensembles
                .iter()
                .map(|e| vec![0; e.neurons])
                .collect(),
            potentials: network
                .ensembles
                .iter()
                .map(|e| {
                    (0..e.neurons)
                        .map(|i| i64::from(e.threshold[i % e.threshold.len()] / 2))
                        .collect()
                })
                .collect(),
            output_currents: network
                .outputs
                .iter()
                .map(|o| vec![0; o.bias.len()])
                .collect(),
            sums: network
                .outputs
                .iter()
                .map(|o| vec![0; o.bias.len()])
                .collect(),
        };
        for c in &network.connections {
            let Source::Input(i) = c.pre else { continue };
            let zero = i64::from(network.inputs[i].zero_point);
            let values: Vec<i64> = inputs[i].iter().map(|&b| i64::from(b) - zero).collect();
            match c.post {
                Target::Population(p) => {
                    let shift = network.ensembles[p].current_shift;
                    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
                    let mut brought = vec![0; network.ensembles[p].neurons];
                    send(c, &values, &mut brought);
                    for (current, b) in reference.currents[p].iter_mut().zip(brought) {
                        *current += (b + half) >> shift;
                    }
                }
                Target::Output(o) => send(c, &values, &mut reference.output_currents[o]),
            }
        }
        reference
    }

    /// One step; returns the spike counts of every ensemble.
    pub fn step(&mut self) -> Vec<Vec<i64>> {
        let network = self.network;
        let mut all = Vec::new();
        for (p, e) in network.ensembles.iter().enumerate() {
            let mut counts = vec![0; e.neurons];
            for (i, count) in counts.iter_mut().enumerate() {
                let channel = i % e.threshold.len();
                let threshold = i64::from(e.threshold[channel]);
                let v = &mut self.potentials[p][i];
                *v += self.currents[p][i] + i64::from(e.bias[channel]);
                *count = v.div_euclid(threshold).clamp(0, i64::from(e.max_count));
                *v -= *count * threshold;
            }
            for c in &network.connections {
                if c.pre == Source::Population(p) {
                    let post = match c.post {
                        Target::Population(p) => &mut self.potentials[p],
                        Target::Output(o) => &mut self.sums[o],
                    };
                    send(c, &counts, post);
                }
            }
            all.push(counts);
        }
        for (o, output) in network.outputs.iter().enumerate() {
            for (i, sum) in self.sums[o].iter_mut().enumerate() {
                *sum += i64::from(output.bias[i]) + self.output_currents[o][i];
            }
        }
        all
    }
}

/// Adds what a connection brings from x to y.
pub fn send(c: &Connection, x: &[i64], y: &mut [i64]) {
    let seen = match &c.source {
        Seen::Direct => x.to_vec(),
        Seen::Window(window) => through(window, x),
        Seen::Table(table) => {
            let n = c.transform.inputs().unwrap() as usize;
            let sum = |at| {
                let to_here = table
                    .iter()
                    .zip(x)
                    .filter(|(to, _)| usize::from(**to) == at);
                to_here.map(|(_, x)| x).sum()
            };
            (0..n).map(sum).collect()
        }
    };
    match &c.transform {
        Transform::Dense(d) => {
            let outputs = d.outputs as usize;
            for (i, x) in seen.iter().enumerate() {
                for o in 0..outputs {
                    y[d.first as usize + o] += x * i64::from(c.weights[i * outputs + o]);
                }
            }
        }
        Transform::Convolution(conv) => convolve(conv, &c.weights, &seen, y),
    }
}

/// What a window shows, seen from its output: each place asks every place of the source.
fn through(w: &Window, x: &[i64]) -> Vec<i64> {
    let [height, width, channels] = w.input.map(i64::from);
    let [out_height, out_width, _] = w.output.map(i64::from);
    // The place before repetition and offset, if there is one.
    let pooled =
        |axis: usize, at: i64| (at - i64::from(w.offset[axis])).div_euclid(w.repeat[axis].into());
    let mut y = Vec::new();
    for oy in 0..out_height {
        for ox in 0..out_width {
            for c in 0..channels {
                let mut sum = 0;
                for iy in 0..height {
                    for ix in 0..width {
                        if iy / i64::from(w.pool[0]) == pooled(0, oy)
                            && ix / i64::from(w.pool[1]) == pooled(1, ox)
                        {
                            sum += x[((iy * width + ix) * channels + c) as usize];
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

fn convolve(c: &Convolution, weights: &[i16], x: &[i64], y: &mut [i64]) {
    let [height, width, channels_in] = c.input.map(i64::from);
    let [out_height, out_width, channels] = c.output.map(i64::from);
    let groups = i64::from(c.groups);
    let (inner, outer) = (channels_in / groups, i64::from(c.filters) / groups);
    let dilation = c.dilation.map(i64::from);
    for oy in 0..out_height {
        for ox in 0..out_width {
            for ky in 0..i64::from(c.kernel[0]) {
                for kx in 0..i64::from(c.kernel[1]) {
                    let iy =
                        oy * i64::from(c.stride[0]) + ky * dilation[0] - i64::from(c.padding[0]);
                    let ix =
                        ox * i64::from(c.stride[1]) + kx * dilation[1] - i64::from(c.padding[1]);
                    if iy < 0 || iy >= height || ix < 0 || ix >= width {
                        continue;
                    }
                    for f in 0..i64::from(c.filters) {
                        let group = f / outer;
                        for i in group * inner..(group + 1) * inner {
                            let tap = (ky * i64::from(c.kernel[1]) + kx) * channels_in + i;
                            let w = i64::from(weights[(tap * outer + f % outer) as usize]);
                            let to = (oy * out_width + ox) * channels + i64::from(c.first) + f;
                            y[to as usize] += w * x[((iy * width + ix) * channels_in + i) as usize];
                        }
                    }
                }
            }
        }
    }
}
