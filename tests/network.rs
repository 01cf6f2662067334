//! Random networks in integers.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tinyspike::graph::{Source, Target};
use tinyspike::integers::{self, Connection, Ensemble, Inbox, Initial, Input, Output, Seen, Steps};
use tinyspike_firmware::kernels::families;
use tinyspike_shared::image::{
    Charge, Convolution, CubaLif, Dense, Firing, LEAK_PIECES, Lif, NOWHERE, Neuron, Pool, Readout,
    Rectified, Reset, Synapse, Traits, Transform, Width, Window, Windows,
};
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
        /// `true` if it reaches every channel of its target.
        whole: bool,
    },
}

/// Rearrangement of a layer's source.
#[derive(Clone, Debug)]
enum Before {
    Nothing,
    Window {
        pool: [usize; 2],
        repeat: [usize; 2],
        offset: [i16; 2],
        /// Margin by which the layer sees more than the source fills.
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

/// Random feed-forward networks of integrate-and-fire neurons, in dense and convolutional layers: grouped and dilated ones, some
/// that see their source through a window or a table, some that reach only a part of their target,
/// some with a second connection that skips a layer. Their weights, thresholds and biases are
/// arbitrary; potentials never leave the bounds that they state.
pub fn networks() -> impl Strategy<Value = integers::Network> {
    layered(false)
}

/// The same networks with max pooling behind some layers: windows that overlap, reach over the border or leave places
/// out, one behind another, and of the least count in some channels.
pub fn pooled_networks() -> impl Strategy<Value = integers::Network> {
    layered(true).prop_filter("max pooling", pools)
}

/// The same with the neurons and synapses of exact networks, whose counts may be below zero.
pub fn pooled_exact_networks() -> impl Strategy<Value = integers::Network> {
    (pooled_networks(), any::<u64>()).prop_map(|(network, seed)| exact(network, seed))
}

/// Tells whether some ensemble of a network pools.
fn pools(network: &integers::Network) -> bool {
    network.ensembles.iter().any(is_pool)
}

fn is_pool(e: &Ensemble) -> bool {
    matches!(e.neuron, Neuron::Pool(_))
}

fn layered(pools: bool) -> impl Strategy<Value = integers::Network> {
    layered_of(pools, layer(), 1..5)
}

/// Networks of one step, most of whose convolutions are dense: depthwise, grouped and dilated ones, with padding and any
/// number of filters, from neurons and from inputs whose zero point is any byte, some behind max pooling.
pub fn dense_networks() -> impl Strategy<Value = integers::Network> {
    let channels = prop_oneof![3 => 1usize..20, 3 => Just(8), 1 => Just(16), 1 => Just(24)];
    let convolution = (
        channels,
        prop::array::uniform2(1usize..6),
        prop::array::uniform2(1usize..4),
        prop_oneof![3 => Just([1, 1]), 1 => prop::array::uniform2(1usize..3)],
        any::<bool>(),
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.7),
    );
    let convolution = convolution.prop_map(
        |(channels, kernel, stride, dilation, same, grouped, whole)| Layer::Convolution {
            channels,
            kernel,
            stride,
            dilation,
            same,
            grouped,
            whole,
        },
    );
    let layer = prop_oneof![1 => layer(), 4 => convolution.prop_map(|c| (Before::Nothing, c))];
    let layer = layer.boxed();
    let networks = prop_oneof![
        3 => layered_of(false, layer.clone(), 1..2),
        1 => layered_of(true, layer, 1..2),
    ];
    (networks, any::<u64>()).prop_map(|(network, seed)| dense(network, seed))
}

/// Makes most connections of a network dense that can be.
fn dense(mut network: integers::Network, seed: u64) -> integers::Network {
    let mut random = Random(seed | 1);
    for c in &mut network.connections {
        let kept = match c.post {
            Target::Population(p) => !is_pool(&network.ensembles[p]),
            Target::Output(_) => true,
        };
        let matrix = matches!(c.transform, Transform::Dense(_));
        let kept = kept && !(matrix && matches!(c.pre, Source::Input(_)));
        c.dense = kept && c.source == Seen::Direct && random.below(5) > 0;
    }
    network
}

fn layered_of(
    pools: bool,
    layer: impl Strategy<Value = (Before, Layer)>,
    steps: std::ops::Range<u16>,
) -> impl Strategy<Value = integers::Network> {
    // Long lines have more columns than a kernel looks up at once.
    let shape = prop_oneof![
        6 => prop::array::uniform3(1usize..9),
        1 => (1usize..4, 30usize..50, 1usize..4).prop_map(|(y, x, c)| [y, x, c]),
    ];
    (
        shape,
        prop::collection::vec(layer, 0..4),
        1usize..12,
        steps,
        1u8..20,
        any::<u64>(),
    )
        .prop_map(move |(shape, layers, outputs, steps, max_count, seed)| {
            Builder {
                pools,
                random: Random(seed | 1),
                steps,
                max_count,
            }
            .build(shape, &layers, outputs)
        })
}

/// The same networks with the neurons and synapses of exact ones: rectified and LIF neurons, inboxes of all
/// kinds, and any first voltages. Nothing leaves 32 bits in their few steps.
pub fn exact_networks() -> impl Strategy<Value = integers::Network> {
    (networks(), any::<u64>()).prop_map(|(network, seed)| exact(network, seed))
}

fn exact(mut network: integers::Network, seed: u64) -> integers::Network {
    let mut random = Random(seed | 1);
    for at in 0..network.ensembles.len() {
        if is_pool(&network.ensembles[at]) {
            continue;
        }
        let reached = reached(&network.connections, Target::Population(at));
        let e = &mut network.ensembles[at];
        e.width = Width::I32;
        e.max_count = e.max_count.min(3);
        random.initial(e);
        let kind = 1 + random.below(4);
        random.neuron(e, kind);
        let (inbox, shift) = random.inbox();
        (e.inbox, e.current_shift) = (reached.then_some(inbox), shift);
    }
    for at in 0..network.outputs.len() {
        let reached = reached(&network.connections, Target::Output(at));
        random.show(&mut network.outputs[at], reached);
    }
    network
}

/// Networks with neurons of all kinds beside each other, with and without inboxes, and with connections that
/// lead back to earlier ensembles or to their own source.
pub fn mixed_networks() -> impl Strategy<Value = integers::Network> {
    (networks(), any::<u64>()).prop_map(|(network, seed)| mixed(network, seed, false))
}

/// The same as streams, whose states have bounds for any number of steps.
pub fn endless_networks() -> impl Strategy<Value = integers::Network> {
    (networks(), any::<u64>()).prop_map(|(network, seed)| mixed(network, seed, true))
}

/// Networks of current-based neurons of all kinds, without end, with connections that lead back to earlier
/// ensembles or to their own source.
pub fn current_based_networks() -> impl Strategy<Value = integers::Network> {
    (layered(false), any::<u64>()).prop_map(|(network, seed)| current_based(network, seed))
}

fn current_based(mut network: integers::Network, seed: u64) -> integers::Network {
    let mut random = Random(seed | 1);
    network.steps = Steps::Endless;
    let count = network.ensembles.len();
    for at in 0..count {
        let still = random.below(6) == 0;
        let e = &mut network.ensembles[at];
        (e.width, e.initial, e.inbox) = (Width::I32, Initial::Zero, None);
        e.max_count = if random.below(2) == 0 {
            1
        } else {
            1 + random.below(5) as u8
        };
        e.current_shift = random.below(3) as i8;
        (e.potential_min, e.potential_max) = (-(1 << 30), 1 << 30);
        for threshold in &mut e.threshold {
            *threshold = 1 + random.below(3000) as i32;
        }
        for bias in &mut e.bias {
            *bias = random.below(400) as i32 - 200;
        }
        let (kind, constants) = random.cells(e.threshold.len(), still);
        (e.neuron, e.constants) = (Neuron::CubaLif(kind), constants);
    }
    let spikes = |e: &Ensemble| matches!(e.neuron, Neuron::CubaLif(k) if k.firing != Firing::Never);
    for at in 0..count {
        if random.below(2) == 0 {
            continue;
        }
        let from = at + random.below((count - at) as u64) as usize;
        if from == at && !spikes(&network.ensembles[at]) {
            continue;
        }
        let (size, targets) = (
            network.ensembles[from].neurons,
            network.ensembles[at].neurons,
        );
        let dense = Transform::Dense(Dense {
            inputs: size as u32,
            outputs: targets as u32,
            first: 0,
        });
        let post = Target::Population(at);
        let back = random.connect(Source::Population(from), post, Seen::Direct, dense);
        network.connections.push(back);
        if from == at
            && let Neuron::CubaLif(kind) = &mut network.ensembles[at].neuron
        {
            kind.traits = kind.traits.and(Traits::RECURRENT, true);
        }
    }
    for c in &mut network.connections {
        // Sums of potentials as events must fit 32 bits, too.
        let graded = match c.pre {
            Source::Population(p) => !spikes(&network.ensembles[p]),
            Source::Input(_) => false,
        };
        let most = if graded { 15 } else { 2000 };
        c.weights
            .iter_mut()
            .for_each(|w| *w = (*w).clamp(-most, most));
    }
    network.connections.sort_by_key(|c| c.pre);
    for at in 0..network.outputs.len() {
        let o = &mut network.outputs[at];
        o.exit_margin = 0;
        o.readout = Readout::Shown { delayed: false };
        (o.inbox, o.current_shift) = (None, 0);
        if reached(&network.connections, Target::Output(at)) {
            network.outputs[at].inbox = Some(Inbox {
                synapse: Synapse::Through,
                fraction: 0,
                min: i32::MIN,
                max: i32::MAX,
            });
        }
    }
    network
}

fn mixed(mut network: integers::Network, seed: u64, endless: bool) -> integers::Network {
    let mut random = Random(seed | 1);
    if endless {
        network.steps = Steps::Endless;
    }
    let count = network.ensembles.len();
    for at in 0..count {
        let post = Target::Population(at);
        let back = random.below(2) == 0;
        let reached = back || reached(&network.connections, post);
        let e = &mut network.ensembles[at];
        let kind = random.below(5);
        let (mut inbox, shift) = random.inbox();
        if kind == 0 && !back && random.below(2) == 0 {
            // It stays as it is.
            continue;
        }
        if back && !inbox.synapse.is_delayed() {
            let decay = random.below(1 << 16) as u16;
            inbox.synapse = Synapse::Lowpass { decay };
        }
        (e.width, e.max_count) = (Width::I32, e.max_count.min(3));
        random.initial(e);
        random.neuron(e, kind);
        (e.inbox, e.current_shift) = (reached.then_some(inbox), shift);
        if kind == 0 && !reached {
            // What inputs alone drive needs no inbox.
            (e.initial, e.current_shift) = (Initial::Half, -(random.below(9) as i8));
        }
        if back {
            let from = at + random.below((count - at) as u64) as usize;
            let (size, targets) = (
                network.ensembles[from].neurons,
                network.ensembles[at].neurons,
            );
            let first = random.below(targets as u64);
            let dense = Transform::Dense(Dense {
                inputs: size as u32,
                outputs: (1 + random.below(targets as u64 - first)) as u32,
                first: first as u32,
            });
            let back = random.connect(Source::Population(from), post, Seen::Direct, dense);
            network.connections.push(back);
        }
    }
    network.connections.sort_by_key(|c| c.pre);
    for at in 0..network.outputs.len() {
        if endless || random.below(2) == 0 {
            let reached = reached(&network.connections, Target::Output(at));
            random.show(&mut network.outputs[at], reached);
        }
    }
    bound(&mut network, &mut random);
    network
}

/// The most that a step brings any neuron or value of a target, in magnitude: from inputs, and from events.
fn worst(network: &integers::Network, post: Target) -> [i64; 2] {
    let mut worst = [0; 2];
    for c in network.connections.iter().filter(|c| c.post == post) {
        let (most, from) = match c.pre {
            Source::Input(i) => {
                let input = &network.inputs[i];
                let zero = i64::from(input.zero_point);
                ((i64::from(input.max) - zero).max(zero), 0)
            }
            Source::Population(p) => (network.ensembles[p].max_count.into(), 1),
        };
        let most = most * crowd(&c.source);
        let (up, down) = drive(&c.weights, row(&c.transform), most, -most);
        worst[from] += up.max(down);
    }
    worst
}

/// Makes filters leak so much, and limits so narrow, that nothing leaves its word, and states the bounds.
fn bound(network: &mut integers::Network, random: &mut Random) {
    let endless = network.steps == Steps::Endless;
    const ROOM: i64 = 1 << 27;
    let posts = (0..network.ensembles.len()).map(Target::Population);
    let posts = posts.chain((0..network.outputs.len()).map(Target::Output));
    for post in posts.collect::<Vec<_>>() {
        let [input, events] = worst(network, post);
        let (inbox, shift) = match post {
            Target::Population(p) => {
                let e = &mut network.ensembles[p];
                (&mut e.inbox, &mut e.current_shift)
            }
            Target::Output(o) => {
                let o = &mut network.outputs[o];
                (&mut o.inbox, &mut o.current_shift)
            }
        };
        while *shift > 0 && input << *shift > ROOM {
            *shift -= 1;
        }
        let current = if *shift > 0 {
            input << *shift
        } else {
            input + 1
        };
        if let Some(inbox) = inbox {
            while inbox.fraction > 0 && events << inbox.fraction > ROOM / 4 {
                inbox.fraction -= 1;
            }
            // Without end a filter gathers as much as it leaks.
            let most = loop {
                let most = gathered(inbox.synapse, events << inbox.fraction);
                match &mut inbox.synapse {
                    _ if most <= ROOM => break most,
                    Synapse::Through
                    | Synapse::Lowpass { decay: 0 }
                    | Synapse::Alpha { decay: 0, feed: 0 } => break most,
                    Synapse::Lowpass { decay } => *decay /= 2,
                    Synapse::Alpha { decay, feed } => (*decay, *feed) = (*decay / 2, *feed / 2),
                }
            };
            (inbox.min, inbox.max) = (-(most as i32), most as i32);
        }
        let Target::Population(p) = post else {
            continue;
        };
        let signed = (network.connections.iter()).any(|c| match c.pre {
            Source::Population(pre) if c.post == post => matches!(
                network.ensembles[pre].neuron,
                Neuron::Rectified(Rectified {
                    negative_slope: 1..
                })
            ),
            _ => false,
        });
        let e = &mut network.ensembles[p];
        let (threshold, bias) = (&e.threshold, &e.bias);
        let threshold = threshold.iter().copied().max().unwrap_or(1);
        let bias = bias.iter().map(|b| i64::from(b.abs())).max().unwrap_or(0);
        let shown = e.inbox.map_or(events, |inbox| inbox.max.into());
        let step = current + shown + bias + i64::from(threshold);
        let steps = network.steps.limit().map_or(2, i64::from);
        if signed || step * steps > e.width.max().into() {
            e.width = Width::I32;
        }
        let room = i64::from(e.width.max()) - step;
        assert!(room > 0, "{step}");
        if matches!(e.neuron, Neuron::Lif(_)) {
            // Nothing leaves the words of their voltages, whatever their currents.
            (e.potential_min, e.potential_max) = (i32::MIN, i32::MAX);
        } else if endless {
            let (below, above) = (room.min(step * 2) as u64, room.min(step) as u64);
            e.potential_max = random.below(above + 1) as i32;
            e.potential_min = -threshold.min(room as i32) - random.below(below / 2 + 1) as i32;
            e.potential_min = e.potential_min.max(-(room as i32));
        } else {
            let most = (steps * step) as i32;
            (e.potential_min, e.potential_max) = (-most, most);
        }
    }
}

/// The largest magnitude of p, q and y of a filter that so much reaches in every step.
fn gathered(synapse: Synapse, events: i64) -> i64 {
    let scaled = |x: i64, factor: u16| ((x * i64::from(factor)) >> 16) + 1;
    let (mut p, mut q) = (0i64, 0i64);
    for _ in 0..1 << 20 {
        let before = (p, q);
        let (decay, feed) = match synapse {
            Synapse::Through => return events,
            Synapse::Lowpass { decay } => (decay, 0),
            Synapse::Alpha { decay, feed } => (decay, feed),
        };
        if matches!(synapse, Synapse::Alpha { .. }) {
            q = scaled(p + q, decay) + scaled(p, feed);
        }
        p = scaled(p, decay) + events;
        if (p, q) == before || p + q > 1 << 40 {
            break;
        }
    }
    p + q
}

/// Tells whether events reach a target.
fn reached(connections: &[Connection], post: Target) -> bool {
    connections
        .iter()
        .any(|c| c.post == post && matches!(c.pre, Source::Population(_)))
}

/// Bytes for the network's inputs, mostly zero points.
#[must_use]
pub fn inputs(network: &integers::Network, seed: u64) -> Vec<Vec<u8>> {
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

    /// Draws where voltages start.
    fn initial(&mut self, e: &mut Ensemble) {
        e.initial = match self.below(3) {
            0 => Initial::Zero,
            1 => Initial::Half,
            _ => Initial::Each((0..e.neurons).map(|_| self.below(1 << 16) as u16).collect()),
        };
    }

    /// Makes neurons of a kind: 0 integrates and fires, 1 leaks, 2 also spikes below zero, others are rectified.
    fn neuron(&mut self, e: &mut Ensemble, kind: u64) {
        let (neuron, constants) = match kind {
            0 => (Neuron::IntegrateAndFire, Vec::new()),
            1 => self.leak(),
            2 => {
                let negative_slope = self.below(1 << 16) as u16;
                (Neuron::Rectified(Rectified { negative_slope }), Vec::new())
            }
            _ => {
                let rectified = Rectified { negative_slope: 0 };
                (Neuron::Rectified(rectified), Vec::new())
            }
        };
        (e.neuron, e.constants) = (neuron, constants);
    }

    /// Current-based neurons of so many channels; `still` ones never spike.
    fn cells(&mut self, channels: usize, still: bool) -> (CubaLif, Vec<u32>) {
        let charge = match self.below(6) {
            0 => Charge::Last,
            1 => Charge::Decayed,
            2 | 3 => Charge::Now,
            _ => Charge::Direct,
        };
        let reset = match self.below(6) {
            0 => Reset::To,
            1 => Reset::Losing,
            2 => Reset::Subtract,
            3 => Reset::Late,
            4 => Reset::Blocking,
            _ => Reset::Nothing,
        };
        let kind = CubaLif {
            // Potentials as events leave little room.
            event_shift: 0,
            charge,
            firing: match self.below(2) {
                _ if still => Firing::Never,
                0 => Firing::Above,
                _ => Firing::From,
            },
            reset: if still { Reset::To } else { reset },
            traits: Traits::default()
                .and(Traits::LEAKS, self.below(4) > 0)
                .and(Traits::SHARED, self.below(3) == 0)
                .and(Traits::FLOORED, self.below(2) == 0),
        };
        let rows = if charge == Charge::Direct { 3 } else { 5 };
        let row = if kind.shared() { 1 } else { channels };
        // Kernels have another loop for those that decay by less than half, without a leak.
        let slow = self.below(2) == 0;
        let constants = (0..rows * row).map(|at| match at / row {
            // Without a current there is but one decay.
            0 if rows == 3 => self.below(1 << 16) as u32,
            0 if slow => self.next() as u32 | 0x8001_8001,
            0 => self.next() as u32,
            4 if slow => 0,
            1 => {
                let reset = self.below(400) as i16 - 200;
                let floor = match self.below(2) {
                    0 => i16::MIN,
                    _ => -(self.below(3000) as i16) - 200,
                };
                u32::from(reset as u16) | u32::from(floor as u16) << 16
            }
            _ => (self.below(2000) as i32 - 1000) as u32,
        });
        let constants = constants.collect();
        (kind, constants)
    }

    /// Makes an output show its values.
    fn show(&mut self, o: &mut Output, reached: bool) {
        let delayed = self.below(2) == 0;
        let (inbox, shift) = self.inbox();
        o.exit_margin = 0;
        o.readout = Readout::Shown { delayed };
        (o.inbox, o.current_shift) = (reached.then_some(inbox), shift);
    }

    /// An inbox, and how the current of inputs is shifted.
    fn inbox(&mut self) -> (Inbox, i8) {
        let parts = |random: &mut Self| random.below(1 << 16) as u16;
        let synapse = match self.below(4) {
            0 => Synapse::Through,
            1 => Synapse::Alpha {
                decay: parts(self),
                feed: parts(self),
            },
            _ => Synapse::Lowpass { decay: parts(self) },
        };
        let inbox = Inbox {
            synapse,
            fraction: self.below(4) as u8,
            min: i32::MIN,
            max: i32::MAX,
        };
        (inbox, self.below(10) as i8 - 8)
    }

    /// LIF neurons and their constants.
    fn leak(&mut self) -> (Neuron, Vec<u32>) {
        let tau = 1.0 + self.below(40) as f64;
        let table = (0..=LEAK_PIECES).map(|piece| {
            let leaked = -(-(piece as f64) / LEAK_PIECES as f64 / tau).exp_m1();
            (leaked * f64::from(1 << 30)) as u32
        });
        let refractory = self.below(4 << 16) as u32;
        let minimum = -(self.below(2 << 16) as i32);
        let constants = [refractory, minimum as u32].into_iter().chain(table);
        let constants = constants.collect();
        let voltage_bits = self.below(4) as u8;
        (Neuron::Lif(Lif { voltage_bits }), constants)
    }

    fn connect(
        &mut self,
        pre: Source,
        post: Target,
        source: Seen,
        transform: Transform,
    ) -> Connection {
        let n = Layout::Rows.bytes(&transform).unwrap_or(0);
        // Small weights let potentials of 16 bits hold their sums, still smaller ones go two to a byte; large ones need
        // layouts of 16 bits.
        let [factor, divisor] = match self.below(8) {
            0 => [19, 1],
            1..3 => [1, 1],
            3..5 => [1, 31],
            _ => [1, 12],
        };
        Connection {
            dense: false,
            pre,
            post,
            source,
            transform,
            weights: (0..n).map(|_| self.weight() * factor / divisor).collect(),
        }
    }
}

struct Builder {
    /// `true` if some layers are pooled.
    pools: bool,
    random: Random,
    steps: u16,
    max_count: u8,
}

/// The length of a row of weights.
fn row(transform: &Transform) -> usize {
    match transform {
        Transform::Dense(d) => d.outputs as usize,
        Transform::Convolution(c) => usize::from(c.row()),
    }
}

/// Places of a source that can stand for one that the weights see.
fn crowd(source: &Seen) -> i64 {
    match source {
        Seen::Direct => 1,
        Seen::Window(w) => i64::from(w.pool[0]) * i64::from(w.pool[1]),
        Seen::Table(places) => {
            let count = |at: &u16| places.iter().filter(|p| *p == at).count();
            let largest = places.iter().filter(|at| **at != NOWHERE).map(count).max();
            largest.unwrap_or(0) as i64
        }
    }
}

/// Most that a step can bring to a channel, and take from it; `row` is the weights' inner length.
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
    fn build(
        mut self,
        shape: [usize; 3],
        layers: &[(Before, Layer)],
        outputs: usize,
    ) -> integers::Network {
        let zero_point = if self.random.below(2) == 0 { 0 } else { 100 };
        let max = zero_point + self.random.below(256 - u64::from(zero_point)) as u8;
        let mut network = integers::Network {
            target: match self.random.below(3) {
                0 => &families::PORTABLE,
                1 => &families::SWAR,
                _ => &families::DSP,
            },
            steps: Steps::Limited(self.steps),
            inputs: vec![Input {
                label: "in".into(),
                size: shape.iter().product(),
                scale: 1.0 / 255.0,
                zero_point,
                max,
                channels: Vec::new(),
                coder: None,
            }],
            ensembles: Vec::new(),
            outputs: Vec::new(),
            connections: Vec::new(),
        };
        // The shape that each source has.
        let mut sources = vec![(Source::Input(0), shape)];
        for (before, layer) in layers {
            let (pre, shape) = sources[sources.len() - 1];
            let (seen, shape) = self.seen(before, shape);
            let (transform, out) = self.transform(layer, shape);
            let at = network.ensembles.len();
            let first = self
                .random
                .connect(pre, Target::Population(at), seen, transform);
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
                connections.push(self.random.connect(
                    pre,
                    Target::Population(at),
                    Seen::Direct,
                    dense,
                ));
            }
            let ensemble = self.ensemble(at, out, &connections, &network);
            network.ensembles.push(ensemble);
            network.connections.extend(connections);
            sources.push((Source::Population(at), out));
            while self.pools && self.random.below(2) == 0 {
                let (pre, shape) = sources[sources.len() - 1];
                let pooled = self.pool(&mut network, pre, shape);
                sources.push(pooled);
            }
        }
        let (pre, shape) = sources[sources.len() - 1];
        let dense = Transform::Dense(Dense {
            inputs: shape.iter().product::<usize>() as u32,
            outputs: outputs as u32,
            first: 0,
        });
        let connection = self
            .random
            .connect(pre, Target::Output(0), Seen::Direct, dense);
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
            ..Output::default()
        });
        network
    }

    /// Makes an ensemble that pools a source of this shape; returns it as a source, and its shape.
    fn pool(
        &mut self,
        network: &mut integers::Network,
        pre: Source,
        shape: [usize; 3],
    ) -> (Source, [usize; 3]) {
        let at = network.ensembles.len();
        // Some order of more places, of which some stay empty, or the source as it is.
        let mut seen = shape;
        let source = if self.random.below(3) == 0 {
            seen[0] += self.random.below(3) as usize;
            let places = seen.iter().product::<usize>();
            let mut free: Vec<u16> = (0..places as u16).collect();
            let mut any = || free.swap_remove(self.random.below(free.len() as u64) as usize);
            Seen::Table((0..shape.iter().product()).map(|_| any()).collect())
        } else {
            Seen::Direct
        };
        let mut w = Windows {
            input: [seen[0] as u16, seen[1] as u16],
            channels: seen[2] as u16,
            output: [0; 2],
            window: [0; 2],
            stride: [0; 2],
            padding: [0; 2],
        };
        for axis in 0..2 {
            w.window[axis] = 1 + self.random.below(4) as u16;
            w.stride[axis] = 1 + self.random.below(3) as u16;
            w.padding[axis] = self.random.below(w.window[axis].into()) as u16;
            let most = (w.input[axis] + w.padding[axis]).div_ceil(w.stride[axis]);
            w.output[axis] = 1 + self.random.below(most.into()) as u16;
        }
        let out = [w.output[0].into(), w.output[1].into(), seen[2]];
        let places = seen.iter().product::<usize>() as u32;
        let most = i32::from(self.max_count) * i32::from(self.steps);
        network.ensembles.push(Ensemble {
            label: format!("pool{at}"),
            neurons: out.iter().product(),
            width: Width::I16,
            max_count: self.max_count,
            threshold: vec![1; seen[2]],
            bias: (0..seen[2])
                .map(|_| -i32::from(self.random.below(4) == 0))
                .collect(),
            potential_min: -most,
            potential_max: most,
            theta: 0.25,
            neuron: Neuron::Pool(Pool { places }),
            constants: w.constants().to_vec(),
            ..Ensemble::default()
        });
        network.connections.push(Connection {
            dense: false,
            pre,
            post: Target::Population(at),
            source,
            transform: Transform::Dense(Dense {
                inputs: places,
                outputs: 0,
                first: 0,
            }),
            weights: Vec::new(),
        });
        (Source::Population(at), out)
    }

    /// Makes a layer's view of a source of this shape, and the shape that it sees.
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

    fn ensemble(
        &mut self,
        at: usize,
        shape: [usize; 3],
        connections: &[Connection],
        network: &integers::Network,
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
            let (row, crowd) = (row(&c.transform), crowd(&c.source));
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
            current_shift: -(shift as i8),
            threshold,
            bias,
            potential_min: min as i32,
            potential_max: max as i32,
            theta: 0.25,
            ..Ensemble::default()
        }
    }
}

/// The first random network that has neurons: the same in every run.
///
/// # Panics
/// If no random network has neurons.
#[must_use]
pub fn spiking() -> integers::Network {
    networks()
        .prop_filter("without a neuron nothing spikes", |n| {
            !n.ensembles.is_empty()
        })
        .new_tree(&mut TestRunner::deterministic())
        .expect("some network has neurons")
        .current()
}
