//! Random networks in integers.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tinyspike::lower::{Source, Target};
use tinyspike::quantize::{
    Connection, Dynamics, Ensemble, Initial, Input, Kind, Leak, Output, PartDynamics, Quantized,
    Seen,
};
use tinyspike_firmware::kernels::families;
use tinyspike_shared::image::dynamics::Synapse;
use tinyspike_shared::image::{Convolution, Dense, NOWHERE, Transform, Width, Window};
use tinyspike_shared::weights::Layout;

/// One layer to be.
#[derive(Clone, Debug)]
enum Layer {
    Dense(usize),
    Convolution {
        channels: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        same: bool,
        grouped: bool,
        /// Whether it reaches every channel of its target.
        whole: bool,
    },
}

/// What a layer does to its source.
#[derive(Clone, Debug)]
enum Before {
    Nothing,
    Window {
        pool: [usize; 2],
        repeat: [usize; 2],
        offset: [i16; 2],
        /// What the layer sees is as large as what the source fills, and this much larger.
        margin: [i16; 2],
    },
    Table {
        places: [usize; 3],
    },
}

fn before() -> impl Strategy<Value = Before> {
    let window = (
        prop::array::uniform2(1usize..4),
        prop::array::uniform2(1usize..3),
        prop::array::uniform2(-2i16..3),
        prop::array::uniform2(-2i16..3),
    )
        .prop_map(|(pool, repeat, offset, margin)| Before::Window {
            pool,
            repeat,
            offset,
            margin,
        });
    let table = prop::array::uniform3(1usize..7).prop_map(|places| Before::Table { places });
    prop_oneof![3 => Just(Before::Nothing), 2 => window, 1 => table]
}

fn layer() -> impl Strategy<Value = (Before, Layer)> {
    let layer = prop_oneof![
        prop_oneof![1usize..40, Just(16), Just(64)].prop_map(Layer::Dense),
        (
            prop_oneof![2 => 1usize..20, 3 => Just(8), 1 => Just(16), 1 => Just(24), 1 => Just(40)],
            prop::array::uniform2(1usize..6),
            prop::array::uniform2(1usize..4),
            prop_oneof![2 => Just([1, 1]), 1 => prop::array::uniform2(1usize..3)],
            any::<bool>(),
            prop::bool::weighted(0.2),
            prop::bool::weighted(0.7),
        )
            .prop_map(
                |(channels, kernel, stride, dilation, same, grouped, whole)| {
                    Layer::Convolution {
                        channels,
                        kernel,
                        stride,
                        dilation,
                        same,
                        grouped,
                        whole,
                    }
                }
            ),
    ];
    (before(), layer)
}

/// Random feed-forward networks of dense and convolutional layers: grouped and dilated ones, some
/// that see their source through a window or a table, some that reach only a part of their target,
/// some with a second connection that skips a layer. Their weights, thresholds and biases are
/// arbitrary; potentials never leave the bounds that they state.
pub fn networks() -> impl Strategy<Value = Quantized> {
    // Long lines have more columns than a kernel looks up at once.
    let shape = prop_oneof![
        6 => prop::array::uniform3(1usize..9),
        1 => (1usize..4, 30usize..50, 1usize..4).prop_map(|(y, x, c)| [y, x, c]),
    ];
    (
        shape,
        prop::collection::vec(layer(), 0..4),
        1usize..12,
        1u16..5,
        1u8..20,
        any::<u64>(),
    )
        .prop_map(|(shape, layers, outputs, steps, max_count, seed)| {
            Builder {
                random: Random(seed | 1),
                steps,
                max_count,
            }
            .build(shape, &layers, outputs)
        })
}

/// The same networks, whose parts run step by step as Nengo's do: with neurons of all kinds, filters of
/// all kinds, and any first voltages. Nothing leaves 32 bits in their few steps.
pub fn stepwise_networks() -> impl Strategy<Value = Quantized> {
    (networks(), any::<u64>()).prop_map(|(mut network, seed)| {
        let mut random = Random(seed | 1);
        let (mut ensembles, mut outputs) = (Vec::new(), Vec::new());
        for (at, e) in network.ensembles.iter_mut().enumerate() {
            e.width = Width::I32;
            e.current_shift = 0;
            e.max_count = e.max_count.min(3);
            let reached = reached(&network.connections, Target::Population(at));
            let initial = match random.below(3) {
                0 => Initial::Zero,
                1 => Initial::Half,
                _ => Initial::Values(
                    (0..e.neurons)
                        .map(|_| random.below(1 << 16) as u16)
                        .collect(),
                ),
            };
            let kind = match random.below(4) {
                0 => Kind::Lif {
                    leak: random.leak(),
                    initial,
                },
                1 => Kind::Rectified {
                    negative_slope: random.below(1 << 16) as u16,
                    initial,
                },
                _ => Kind::Rectified {
                    negative_slope: 0,
                    initial,
                },
            };
            ensembles.push(random.part(kind, reached));
        }
        for (at, o) in network.outputs.iter_mut().enumerate() {
            o.exit_margin = 0;
            let reached = reached(&network.connections, Target::Output(at));
            let delayed = random.below(2) == 0;
            outputs.push(random.part(Kind::Readout { delayed }, reached));
        }
        network.dynamics = Some(Dynamics { ensembles, outputs });
        network
    })
}

/// Whether events reach a target.
fn reached(connections: &[Connection], post: Target) -> bool {
    connections
        .iter()
        .any(|c| c.post == post && matches!(c.pre, Source::Population(_)))
}

/// Bytes for the network's inputs, mostly zero points.
#[must_use]
pub fn inputs(network: &Quantized, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed | 1);
    network
        .inputs
        .iter()
        .map(|input| {
            (0..input.size)
                .map(|_| {
                    if random.below(3) == 0 {
                        random.below(u64::from(input.max) + 1) as u8
                    } else {
                        input.zero_point
                    }
                })
                .collect()
        })
        .collect()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n
    }

    fn weight(&mut self) -> i16 {
        (self.below(255) as i64 - 127) as i16
    }

    fn part(&mut self, kind: Kind, reached: bool) -> PartDynamics {
        let parts = |random: &mut Self| random.below(1 << 16) as u16;
        let synapse = match self.below(4) {
            0 => Synapse::Through,
            1 => Synapse::Alpha {
                decay: parts(self),
                feed: parts(self),
            },
            _ => Synapse::Lowpass { decay: parts(self) },
        };
        PartDynamics {
            kind,
            synapse: reached.then_some(synapse),
            fraction: self.below(4) as u8,
            current_shift: self.below(10) as i8 - 8,
            filter_min: i32::MIN,
            filter_max: i32::MAX,
        }
    }

    fn leak(&mut self) -> Leak {
        let tau = 1.0 + self.below(40) as f64;
        Leak {
            table: (0..=64)
                .map(|piece| {
                    let leaked = -(-f64::from(piece) / 64.0 / tau).exp_m1();
                    (leaked * f64::from(1 << 30)) as u32
                })
                .collect(),
            refractory: self.below(4 << 16) as u32,
            minimum: -(self.below(2 << 16) as i32),
            voltage_bits: self.below(4) as u8,
        }
    }
}

struct Builder {
    random: Random,
    steps: u16,
    max_count: u8,
}

/// What a step can bring to a channel at most, and take from it; `row` is the weights' inner length.
fn drive(weights: &[i16], row: usize, most: i64, least: i64) -> (i64, i64) {
    let mut up = vec![0; row];
    let mut down = vec![0; row];
    for row in weights.chunks(row) {
        for (c, &w) in row.iter().enumerate() {
            let w = i64::from(w);
            up[c] += (w * most).max(w * least);
            down[c] -= (w * most).min(w * least);
        }
    }
    let largest = |v: Vec<i64>| v.into_iter().max().unwrap_or(0);
    (largest(up), largest(down))
}

impl Builder {
    fn build(mut self, shape: [usize; 3], layers: &[(Before, Layer)], outputs: usize) -> Quantized {
        let zero_point = if self.random.below(2) == 0 { 0 } else { 100 };
        let max = zero_point + self.random.below(256 - u64::from(zero_point)) as u8;
        let mut network = Quantized {
            target: match self.random.below(3) {
                0 => &families::PORTABLE,
                1 => &families::SWAR,
                _ => &families::DSP,
            },
            steps: self.steps,
            inputs: vec![Input {
                label: "in".into(),
                size: shape.iter().product(),
                scale: 1.0 / 255.0,
                zero_point,
                max,
            }],
            ensembles: Vec::new(),
            outputs: Vec::new(),
            connections: Vec::new(),
            dynamics: None,
        };
        // The shape that each source has.
        let mut sources = vec![(Source::Input(0), shape)];
        for (before, layer) in layers {
            let (pre, shape) = sources[sources.len() - 1];
            let (seen, shape) = self.seen(before, shape);
            let (transform, out) = self.transform(layer, shape);
            let at = network.ensembles.len();
            let first = self.connect(pre, Target::Population(at), seen, transform);
            let mut connections = vec![first];
            // A skip from the layer before.
            if sources.len() > 1 && self.random.below(3) == 0 {
                let (pre, shape) = sources[sources.len() - 2];
                let size = out.iter().product::<usize>() as u64;
                let first = self.random.below(size);
                let dense = Transform::Dense(Dense {
                    inputs: shape.iter().product::<usize>() as u32,
                    outputs: (1 + self.random.below(size - first)) as u32,
                    first: first as u32,
                });
                connections.push(self.connect(pre, Target::Population(at), Seen::Direct, dense));
            }
            let ensemble = self.ensemble(at, out, &connections, &network);
            network.ensembles.push(ensemble);
            network.connections.extend(connections);
            sources.push((Source::Population(at), out));
        }
        let (pre, shape) = sources[sources.len() - 1];
        let dense = Transform::Dense(Dense {
            inputs: shape.iter().product::<usize>() as u32,
            outputs: outputs as u32,
            first: 0,
        });
        let connection = self.connect(pre, Target::Output(0), Seen::Direct, dense);
        network.connections.push(connection);
        network.connections.sort_by_key(|c| c.pre);
        network.outputs.push(Output {
            label: "out".into(),
            bias: (0..outputs)
                .map(|_| i32::from(self.random.weight()) * 100)
                .collect(),
            multiplier: (0..outputs)
                .map(|_| self.random.below(1 << 15) as i32)
                .collect(),
            shift: self.random.below(16) as u8,
            exit_margin: self.random.below(2000) as u32,
            scale: 0.5,
        });
        network
    }

    /// How a layer sees a source of this shape, and the shape that it sees.
    fn seen(&mut self, before: &Before, shape: [usize; 3]) -> (Seen, [usize; 3]) {
        match before {
            Before::Nothing => (Seen::Direct, shape),
            Before::Window {
                pool,
                repeat,
                offset,
                margin,
            } => {
                let mut output = shape;
                for axis in 0..2 {
                    let filled = shape[axis].div_ceil(pool[axis]) * repeat[axis];
                    output[axis] = filled.saturating_add_signed(margin[axis].into()).max(1);
                }
                let window = Window {
                    input: shape.map(|d| d as u16),
                    output: output.map(|d| d as u16),
                    pool: pool.map(|d| d as u8),
                    repeat: repeat.map(|d| d as u8),
                    offset: *offset,
                };
                (Seen::Window(window), output)
            }
            Before::Table { places } => {
                let seen = places.iter().product::<usize>() as u64;
                let table = (0..shape.iter().product())
                    .map(|_| match self.random.below(seen + 2) {
                        at if at < seen => at as u16,
                        _ => NOWHERE,
                    })
                    .collect();
                (Seen::Table(table), *places)
            }
        }
    }

    fn transform(&mut self, layer: &Layer, shape: [usize; 3]) -> (Transform, [usize; 3]) {
        match layer {
            Layer::Dense(n) => {
                // Some targets beyond those that it reaches, before and behind.
                let (before, behind) = (self.random.below(3), self.random.below(3));
                (
                    Transform::Dense(Dense {
                        inputs: shape.iter().product::<usize>() as u32,
                        outputs: *n as u32,
                        first: before as u32,
                    }),
                    [1, 1, *n + (before + behind) as usize],
                )
            }
            Layer::Convolution {
                channels,
                kernel,
                stride,
                dilation,
                same,
                grouped,
                whole,
            } => {
                let groups = if *grouped { shape[2] } else { 1 };
                let filters = channels.next_multiple_of(groups);
                let mut beside = || match whole {
                    true => 0,
                    false => self.random.below(3) as usize,
                };
                let (first, behind) = (beside(), beside());
                let mut output = [0, 0, first + filters + behind];
                let mut padding = [0; 2];
                let mut kernel = *kernel;
                for axis in 0..2 {
                    kernel[axis] = kernel[axis].min((shape[axis] - 1) / dilation[axis] + 1);
                    let span = (kernel[axis] - 1) * dilation[axis] + 1;
                    if *same {
                        output[axis] = shape[axis].div_ceil(stride[axis]);
                        let needed = (output[axis] - 1) * stride[axis] + span;
                        padding[axis] = needed.saturating_sub(shape[axis]) / 2;
                    } else {
                        output[axis] = (shape[axis] - span) / stride[axis] + 1;
                    }
                }
                (
                    Transform::Convolution(Convolution {
                        input: shape.map(|d| d as u16),
                        output: output.map(|d| d as u16),
                        kernel: kernel.map(|d| d as u8),
                        stride: stride.map(|d| d as u8),
                        padding: padding.map(|d| d as u8),
                        dilation: dilation.map(|d| d as u8),
                        groups: groups as u16,
                        filters: filters as u16,
                        first: first as u16,
                    }),
                    output,
                )
            }
        }
    }

    fn connect(
        &mut self,
        pre: Source,
        post: Target,
        source: Seen,
        transform: Transform,
    ) -> Connection {
        let n = transform.weights(Layout::Rows).unwrap_or(0);
        // Small weights let potentials of 16 bits hold their sums, still smaller ones go two to a byte; large ones need
        // layouts of 16 bits.
        let [factor, divisor] = match self.random.below(8) {
            0 => [19, 1],
            1..3 => [1, 1],
            3..5 => [1, 31],
            _ => [1, 12],
        };
        Connection {
            pre,
            post,
            source,
            transform,
            weights: (0..n)
                .map(|_| self.random.weight() * factor / divisor)
                .collect(),
        }
    }

    fn ensemble(
        &mut self,
        at: usize,
        shape: [usize; 3],
        connections: &[Connection],
        network: &Quantized,
    ) -> Ensemble {
        let neurons: usize = shape.iter().product();
        let channels = shape[2];
        let mut inputs = connections
            .iter()
            .filter(|c| matches!(c.pre, Source::Input(_)))
            .peekable();
        let driven = inputs.peek().is_some();
        // What comes event by event from an input is not shifted.
        let whole_input =
            inputs.any(|c| matches!(c.transform, Transform::Dense(_)) || c.source != Seen::Direct);
        let shift = match driven {
            true if !whole_input => self.random.below(9) as u8,
            _ => 0,
        };
        let mut up = 0;
        let mut down = 0;
        for c in connections {
            let row = match &c.transform {
                Transform::Dense(d) => d.outputs as usize,
                Transform::Convolution(c) => usize::from(c.row()),
            };
            let crowd = match &c.source {
                Seen::Direct => 1,
                Seen::Window(w) => i64::from(w.pool[0]) * i64::from(w.pool[1]),
                Seen::Table(places) => {
                    let count = |at: &u16| places.iter().filter(|p| *p == at).count();
                    let largest = places.iter().filter(|at| **at != NOWHERE).map(count).max();
                    largest.unwrap_or(0) as i64
                }
            };
            let (most, least, shift) = match c.pre {
                Source::Input(i) => {
                    let Input {
                        zero_point, max, ..
                    } = &network.inputs[i];
                    let zero = i64::from(*zero_point);
                    (i64::from(*max) - zero, -zero, shift)
                }
                Source::Population(_) => (i64::from(self.max_count), 0, 0),
            };
            let (u, d) = drive(&c.weights, row, most * crowd, least * crowd);
            up += (u >> shift) + 1;
            down += (d >> shift) + 1;
        }
        let threshold: Vec<i32> = (0..channels)
            .map(|_| 1 + self.random.below(2000) as i32)
            .collect();
        let bias: Vec<i32> = (0..channels)
            .map(|_| i32::from(self.random.weight()) * 4)
            .collect();
        let steps = i64::from(self.steps);
        let largest = i64::from(*threshold.iter().max().unwrap_or(&1));
        let max = (up + 512) * steps;
        let min = -largest - (down + 512) * steps;
        let width = if !whole_input && max <= 32767 && min >= -32768 {
            Width::I16
        } else {
            Width::I32
        };
        Ensemble {
            label: format!("layer{at}"),
            neurons,
            width,
            max_count: self.max_count,
            current_shift: shift,
            threshold,
            bias,
            potential_min: min as i32,
            potential_max: max as i32,
            theta: 0.25,
        }
    }
}

/// The first random network that has neurons: the same in every run.
///
/// # Panics
/// Where no random network has neurons.
#[must_use]
pub fn spiking() -> Quantized {
    networks()
        .prop_filter("without a neuron nothing spikes", |n| {
            !n.ensembles.is_empty()
        })
        .new_tree(&mut TestRunner::deterministic())
        .expect("some network has neurons")
        .current()
}
