//! The integer network as docs/image-format.md defines it, in 64-bit integers and with no thought of speed.

use tinyspike::graph::{Source, Target};
use tinyspike::integers::{self, Connection, Ensemble, Inbox, Initial, Seen};
use tinyspike_shared::image::{
    Charge, Convolution, CubaLif, Firing, Lif, Neuron, Readout, Rectified, Reset, Synapse, Traits,
    Transform, Window, Windows,
};

/// The state of an inbox.
#[derive(Clone, Debug)]
struct Filter {
    /// Events that it takes up.
    p: Vec<i64>,
    /// Second state behind that.
    q: Vec<i64>,
    /// Values that it shows at the end of a step.
    shown: Vec<i64>,
}

/// A current-based neuron as a step has left it, before anything decays.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    v: i64,
    current: i64,
    /// Subtracted from V in the next step.
    late: i64,
    marked: bool,
}

/// A network at work. Parts are its ensembles and then its outputs.
#[derive(Debug)]
pub struct Reference<'a> {
    network: &'a integers::Network,
    /// I of each part.
    currents: Vec<Vec<i64>>,
    /// Filters of each part; an absent inbox shows zero.
    filters: Vec<Filter>,
    /// The counts of every place of every ensemble that pools.
    places: Vec<Vec<i64>>,
    /// V of every neuron of every ensemble; of one that pools what each window has emitted.
    pub potentials: Vec<Vec<i64>>,
    /// The refractory time of every LIF neuron.
    refractory: Vec<Vec<i64>>,
    /// The cells of current-based neurons, and what reaches each in the next step.
    cells: Vec<Vec<Cell>>,
    /// Events that current-based neurons see in the next step.
    carried: Vec<Vec<i64>>,
    /// `true` after the first step.
    started: bool,
    /// The sums, or the values shown, of every output.
    pub sums: Vec<Vec<i64>>,
    /// The extremes of each part's p, q and y.
    pub inbox_seen: Vec<(i64, i64)>,
    /// The extremes of each ensemble's potentials less the threshold, before spikes are taken off and limits
    /// apply; of LIF neurons none.
    pub potential_seen: Vec<(i64, i64)>,
}

/// Part that an inbox belongs to.
pub(crate) fn part_of(network: &integers::Network, post: Target) -> usize {
    match post {
        Target::Population(p) => p,
        Target::Output(o) => network.ensembles.len() + o,
    }
}

pub(crate) fn inbox_of(network: &integers::Network, part: usize) -> Option<Inbox> {
    match part.checked_sub(network.ensembles.len()) {
        None => network.ensembles[part].inbox,
        Some(output) => network.outputs[output].inbox,
    }
}

/// Number of neurons or values of each part.
pub(crate) fn sizes(network: &integers::Network) -> Vec<usize> {
    let ensembles = network.ensembles.iter().map(|e| e.neurons);
    let outputs = network.outputs.iter().map(|o| o.bias.len());
    ensembles.chain(outputs).collect()
}

/// Tells whether events reach the potential of an ensemble's neurons directly.
fn is_direct(e: &Ensemble) -> bool {
    e.neuron == Neuron::IntegrateAndFire && e.inbox.is_none()
}

/// x · 2^shift, rounded to nearest, ties up.
fn shifted(x: i64, shift: i8) -> i64 {
    match shift {
        0.. => x << shift,
        _ => (x + (1 << (shift.unsigned_abs() - 1))) >> shift.unsigned_abs(),
    }
}

/// `x` · `factor` / 2^16, rounded to nearest, ties up.
fn scaled(x: i64, factor: u16) -> i64 {
    (x * i64::from(factor) + (1 << 15)).div_euclid(1 << 16)
}

/// The values that connections from inputs carry: to each part, by connection.
pub(crate) fn driven<'n>(
    network: &'n integers::Network,
    inputs: &[Vec<u8>],
) -> Vec<(&'n Connection, usize, Vec<i64>)> {
    let sizes = sizes(network);
    let mut all = Vec::new();
    for c in &network.connections {
        let Source::Input(i) = c.pre else { continue };
        let zero = i64::from(network.inputs[i].zero_point);
        let values: Vec<i64> = inputs[i].iter().map(|&b| i64::from(b) - zero).collect();
        let part = part_of(network, c.post);
        let mut brought = vec![0; sizes[part]];
        send(c, &values, &mut brought);
        all.push((c, part, brought));
    }
    all
}

/// The threshold of a neuron.
fn threshold(e: &Ensemble, neuron: usize) -> i64 {
    e.threshold[neuron % e.threshold.len()].into()
}

impl<'a> Reference<'a> {
    /// The network at rest with its inputs set.
    #[must_use]
    pub fn new(network: &'a integers::Network, inputs: &[Vec<u8>]) -> Self {
        let sizes = sizes(network);
        let zeros: Vec<Vec<i64>> = sizes.iter().map(|n| vec![0; *n]).collect();
        let (ensembles, outputs) = zeros.split_at(network.ensembles.len());
        let potentials = network.ensembles.iter().map(|e| {
            let bits = match e.neuron {
                Neuron::Lif(Lif { voltage_bits }) => voltage_bits,
                _ => 0,
            };
            let share = |neuron: usize| match &e.initial {
                Initial::Zero => 0,
                Initial::Half => 1 << 15,
                Initial::Each(shares) => i64::from(shares[neuron]),
            };
            (0..e.neurons)
                .map(|i| ((threshold(e, i) << bits) * share(i)) >> 16)
                .collect()
        });
        let filters = zeros.iter().map(|zeros| Filter {
            p: zeros.clone(),
            q: zeros.clone(),
            shown: zeros.clone(),
        });
        let cells = (network.ensembles.iter()).map(|e| match e.neuron {
            Neuron::CubaLif(_) => vec![Cell::default(); e.neurons],
            _ => Vec::new(),
        });
        let mut reference = Self {
            network,
            cells: cells.collect(),
            carried: ensembles.to_vec(),
            started: false,
            currents: Vec::new(),
            filters: filters.collect(),
            places: (network.ensembles.iter())
                .map(|e| match e.neuron {
                    Neuron::Pool(pool) => vec![0; pool.places as usize],
                    _ => Vec::new(),
                })
                .collect(),
            potentials: potentials.collect(),
            refractory: ensembles.to_vec(),
            sums: outputs.to_vec(),
            inbox_seen: vec![(0, 0); sizes.len()],
            potential_seen: vec![(0, i64::MIN); network.ensembles.len()],
        };
        reference.set(inputs);
        reference
    }

    /// Sets other inputs.
    pub fn set(&mut self, inputs: &[Vec<u8>]) {
        let network = self.network;
        self.currents = sizes(network).iter().map(|n| vec![0; *n]).collect();
        for (c, part, brought) in driven(network, inputs) {
            let convolved = matches!(c.transform, Transform::Convolution(_));
            let shift = match network.ensembles.get(part) {
                Some(e) if is_direct(e) && convolved && c.source == Seen::Direct => e.current_shift,
                _ => 0,
            };
            for (current, b) in self.currents[part].iter_mut().zip(brought) {
                *current += shifted(b, shift);
            }
        }
        let ensembles = network.ensembles.iter().map(|e| match is_direct(e) {
            true => 0,
            false => e.current_shift,
        });
        let shifts = ensembles.chain(network.outputs.iter().map(|o| o.current_shift));
        for (currents, shift) in self.currents.iter_mut().zip(shifts) {
            currents.iter_mut().for_each(|i| *i = shifted(*i, shift));
        }
    }

    /// One step; returns the spike counts of every ensemble.
    pub fn step(&mut self) -> Vec<Vec<i64>> {
        let network = self.network;
        let before: Vec<Vec<i64>> = self.filters.iter().map(|f| f.shown.clone()).collect();
        // What reaches the inbox of each part in this step.
        let mut arrived: Vec<Vec<i64>> = before.iter().map(|b| vec![0; b.len()]).collect();
        let mut all = Vec::new();
        // What reaches current-based neurons in this step.
        let mut seen = std::mem::take(&mut self.carried);
        self.carried = seen.iter().map(|seen| vec![0; seen.len()]).collect();
        for (at, e) in network.ensembles.iter().enumerate() {
            let mut counts = vec![0; e.neurons];
            if let Neuron::CubaLif(kind) = e.neuron {
                for (i, count) in counts.iter_mut().enumerate() {
                    // What inputs bring is gone after a step.
                    let current = std::mem::take(&mut self.currents[at][i]);
                    *count = self.cell(at, kind, i, current + seen[at][i]);
                }
            }
            if let Neuron::Pool(_) = e.neuron {
                let largest = pooled(e, &self.places[at]);
                for ((count, emitted), largest) in
                    counts.iter_mut().zip(&mut self.potentials[at]).zip(largest)
                {
                    *count = largest - *emitted;
                    *emitted = largest;
                }
            }
            for (i, count) in counts.iter_mut().enumerate() {
                if matches!(e.neuron, Neuron::Pool(_) | Neuron::CubaLif(_)) {
                    break;
                }
                let shown = match e.inbox.map(|inbox| inbox.synapse) {
                    None => 0,
                    Some(Synapse::Through) => arrived[at][i],
                    Some(_) => before[at][i],
                };
                let bias = i64::from(e.bias[i % e.bias.len()]);
                *count = self.fire(at, i, bias + self.currents[at][i] + shown);
            }
            for c in &network.connections {
                if c.pre != Source::Population(at) {
                    continue;
                }
                let part = part_of(network, c.post);
                match (inbox_of(network, part), c.post) {
                    (Some(inbox), _) => {
                        let scaled: Vec<i64> = counts.iter().map(|n| n << inbox.fraction).collect();
                        send(c, &scaled, &mut arrived[part]);
                    }
                    (None, Target::Population(p)) => match network.ensembles[p].neuron {
                        Neuron::Pool(_) => count(c, &counts, &mut self.places[p]),
                        Neuron::CubaLif(kind) => {
                            let shifted: Vec<i64> =
                                counts.iter().map(|n| n << kind.event_shift).collect();
                            let to = if at < p { &mut seen } else { &mut self.carried };
                            send(c, &shifted, &mut to[p]);
                        }
                        _ => send(c, &counts, &mut self.potentials[p]),
                    },
                    (None, Target::Output(o)) => send(c, &counts, &mut self.sums[o]),
                }
            }
            all.push(counts);
        }
        self.started = true;
        for (part, arrived) in arrived.iter().enumerate() {
            if let Some(inbox) = inbox_of(network, part) {
                self.take_up(part, inbox.synapse, arrived);
            }
        }
        for (o, output) in network.outputs.iter().enumerate() {
            let part = network.ensembles.len() + o;
            for (i, sum) in self.sums[o].iter_mut().enumerate() {
                let steady = i64::from(output.bias[i]) + self.currents[part][i];
                *sum = match output.readout {
                    Readout::Sum => *sum + steady,
                    Readout::Shown { delayed: true } => steady + before[part][i],
                    Readout::Shown { delayed: false } => steady + self.filters[part].shown[i],
                };
            }
        }
        all
    }

    /// Takes up the events that have reached an inbox.
    fn take_up(&mut self, part: usize, synapse: Synapse, arrived: &[i64]) {
        let filter = &mut self.filters[part];
        let seen = &mut self.inbox_seen[part];
        for (i, &u) in arrived.iter().enumerate() {
            let (p, y) = (filter.p[i], filter.shown[i]);
            match synapse {
                Synapse::Through => filter.p[i] = u,
                Synapse::Lowpass { decay } => filter.p[i] = scaled(p, decay) + u,
                Synapse::Alpha { decay, feed } => {
                    filter.p[i] = scaled(p, decay) + u;
                    filter.q[i] = scaled(y, decay) + scaled(p, feed);
                }
            }
            filter.shown[i] = filter.p[i] + filter.q[i];
            for x in [filter.p[i], filter.q[i], filter.shown[i]] {
                *seen = (seen.0.min(x), seen.1.max(x));
            }
        }
    }

    /// The step of a current-based neuron that so much reaches; returns its event's value.
    fn cell(&mut self, at: usize, kind: CubaLif, i: usize, arrived: i64) -> i64 {
        let e = &self.network.ensembles[at];
        let channels = e.threshold.len();
        let channel = i % channels;
        let rows = if kind.charge == Charge::Direct { 3 } else { 5 };
        let constant = |row: usize| match kind.shared() {
            true => e.constants[row],
            false => e.constants[row * (e.constants.len() / rows) + channel],
        };
        let word = |row: usize| i64::from(constant(row) as i32);
        let cut = |x: i64| x.clamp(-32_768, 32_767);
        let [of_v, of_i] = [constant(0) as u16, (constant(0) >> 16) as u16];
        let [reset, floor] = [constant(1), constant(1) >> 16].map(|w| i64::from(w as u16 as i16));
        let threshold = threshold(e, i);
        let first = !self.started;
        let cell = &mut self.cells[at][i];
        let x = i64::from(e.bias[channel]) + arrived + if first { word(2) } else { 0 };
        let kept = match kind.leaks() {
            true => scaled(cell.v, of_v),
            false => cell.v,
        };
        let kept = if first { 0 } else { kept - cell.late };
        let before = cell.current;
        let mut v = match kind.charge {
            Charge::Direct => kept + x,
            charge => {
                let rest = if first { word(3) } else { kept } + word(4);
                // Of a current whose decay comes first the state has decayed already.
                let decays = charge != Charge::Decayed;
                let left = if decays { scaled(before, of_i) } else { before };
                let sum = cut(left + x);
                cell.current = if decays { sum } else { scaled(sum, of_i) };
                match charge {
                    Charge::Last => rest + before,
                    _ => rest + cell.current,
                }
            }
        };
        let floor = if kind.traits.has(Traits::FLOORED) {
            floor
        } else {
            -32_768
        };
        v = v.clamp(floor, 32_767);
        if cell.marked && kind.reset == Reset::Losing {
            v = reset;
        }
        let mut late = 0;
        let mut value = 0;
        if kind.firing == Firing::Never {
            value = v;
        } else {
            let needed = match cell.marked && kind.reset == Reset::Blocking {
                true => 2 * threshold,
                false => threshold,
            };
            if v > needed || v == needed && kind.firing == Firing::From {
                value = ((v - needed + threshold) / threshold).min(e.max_count.into());
                match kind.reset {
                    Reset::To => v = reset,
                    Reset::Subtract | Reset::Blocking => v -= value * threshold,
                    Reset::Late => late = value * threshold,
                    Reset::Losing | Reset::Nothing => {}
                }
            }
        }
        cell.marked = match kind.reset {
            Reset::Losing => value > 0,
            Reset::Blocking => v > threshold,
            _ => false,
        };
        (cell.v, cell.late) = (v, late);
        value
    }

    /// A neuron's step with a current; returns its count.
    fn fire(&mut self, at: usize, i: usize, j: i64) -> i64 {
        let e = &self.network.ensembles[at];
        let threshold = threshold(e, i);
        let v = &mut self.potentials[at][i];
        let most = i64::from(e.max_count);
        let (least, j) = match e.neuron {
            Neuron::IntegrateAndFire | Neuron::Pool(_) | Neuron::CubaLif(_) => (0, j),
            Neuron::Rectified(Rectified { negative_slope }) => {
                let least = if negative_slope > 0 { -most } else { 0 };
                (least, j.max(0) - scaled((-j).max(0), negative_slope))
            }
            Neuron::Lif(lif) => {
                let time = &mut self.refractory[at][i];
                return leak(lif, &e.constants, v, time, j, threshold);
            }
        };
        *v += j;
        let seen = &mut self.potential_seen[at];
        let less = *v - threshold;
        *seen = (seen.0.min(less), seen.1.max(less));
        let count = (*v / threshold).clamp(least, most);
        *v -= count * threshold;
        if self.network.steps == integers::Steps::Endless {
            let less = *v - threshold;
            *v = threshold + less.clamp(e.potential_min.into(), e.potential_max.into());
        }
        count
    }
}

/// The step of an LIF neuron; returns its count.
fn leak(lif: Lif, constants: &[u32], v: &mut i64, time: &mut i64, j: i64, threshold: i64) -> i64 {
    let (refractory, minimum) = (i128::from(constants[0]), i128::from(constants[1] as i32));
    let table = &constants[2..];
    let drive = i128::from(j) << lif.voltage_bits;
    let threshold = i128::from(threshold) << lif.voltage_bits;
    let before = i128::from(*v);
    let part = (65_536 - *time).max(0) as usize;
    let entry = |at: usize| i128::from(table[at.min(64)]);
    let (piece, rest) = (part / 1024, (part % 1024) as i128);
    let share = entry(piece) + (entry(piece + 1) - entry(piece)) * rest / 1024;
    let after = before + ((((drive - before) * share) + (1 << 29)) >> 30);
    if after > threshold {
        let over = ((after - threshold) << 30) / (drive - threshold);
        let piece = (0..65).rev().find(|&p| entry(p) <= over).unwrap_or(0);
        let since = if piece == 64 {
            65_536
        } else {
            let into = (over - entry(piece)) * 1024;
            piece as i128 * 1024 + into / (entry(piece + 1) - entry(piece))
        };
        *time = (refractory - since).max(0) as i64;
        *v = 0;
        1
    } else {
        *time = (*time - 65_536).max(0);
        let least = (threshold * minimum) >> 16;
        *v = after.max(least) as i64;
        0
    }
}

/// The largest count of each window, or the least in channels whose bias is -1.
fn pooled(e: &Ensemble, counts: &[i64]) -> Vec<i64> {
    let w = Windows::of(&e.constants).unwrap();
    let (channels, [height, width]) = (usize::from(w.channels), w.input.map(i64::from));
    let mut all = Vec::new();
    for y in 0..i64::from(w.output[0]) {
        for x in 0..i64::from(w.output[1]) {
            for channel in 0..channels {
                let inside = |row: i64, column: i64| {
                    let start = [0, 1].map(|axis| {
                        [y, x][axis] * i64::from(w.stride[axis]) - i64::from(w.padding[axis])
                    });
                    [(0, row), (1, column)].iter().all(|&(axis, at)| {
                        (start[axis]..start[axis] + i64::from(w.window[axis])).contains(&at)
                    })
                };
                let places =
                    (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
                let places = places.filter(|&(row, column)| inside(row, column));
                let counts = places.map(|(row, column)| {
                    counts[(row * width + column) as usize * channels + channel]
                });
                all.push(match e.bias[channel] {
                    0 => counts.max().unwrap(),
                    _ => counts.min().unwrap(),
                });
            }
        }
    }
    all
}

/// Adds events of x to the counts of the places that they stand for.
fn count(c: &Connection, x: &[i64], counts: &mut [i64]) {
    for (count, x) in counts.iter_mut().zip(seen(c, x)) {
        *count += x;
    }
}

/// Adds what a connection brings from x to y.
pub fn send(c: &Connection, x: &[i64], y: &mut [i64]) {
    let seen = seen(c, x);
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

/// The part of x that a connection's weights see.
fn seen(c: &Connection, x: &[i64]) -> Vec<i64> {
    match &c.source {
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
    }
}

/// Passes values through a window, seen from its output: each place asks every place of the source.
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
