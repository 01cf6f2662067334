//! Cost of an inference on a processor: instructions and cycles, predicted from counts.
//!
//! cost = Σ coefficient · count. The counts come from a run with the device's own engine; the coefficients, by the layout
//! of weights, the width of potentials and the kernel that reads them, are the kernel family's.
//!
//! What reaches a connection's targets can be computed event by event, or densely from all values of its source. Both
//! are priced here, and [`choose`] takes the cheaper one, connection by connection.

use tinyspike_firmware::kernels::family::{Cost, EventCost, Family, Shape, Values};
use tinyspike_shared::image::{
    Connection, Convolution, Dense, Description, Ensemble, Pre, SourceMap, Transform, Width, Window,
};
use tinyspike_shared::weights::Layout;

use crate::assemble::Image;
use crate::emulate::{Activity, Run};
use crate::graph::Source;
use crate::integers;

/// Values of pictures that are not zero lie together. So of windows, and of pairs of values near each other, a share that
/// is not all zero that is a power of the share of single values, here for 3x3 windows over handwritten digits.
const CLUSTERED_WINDOW: f64 = 0.6;
const CLUSTERED_PAIR: f64 = 0.8;
/// So many neurons of a channel are as active as this power of their number of unlike ones.
const TOGETHER: f64 = 0.7;

/// The most values of a window that kernels multiply at once.
const PART: u32 = 256;

/// Unit of a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Executed instructions.
    Instructions,
    /// Cycles of a core whose memory never waits.
    Cycles,
}

impl Unit {
    const fn of(self, family: &Family) -> &Cost {
        match self {
            Self::Instructions => &family.cost,
            Self::Cycles => &family.cycles,
        }
    }
}

/// Cost of an inference, in the mean over the samples of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Cost of each input: what it brings to its targets.
    pub inputs: Vec<f64>,
    /// Cost of each ensemble: its neurons, and all that their spikes bring to targets.
    pub ensembles: Vec<f64>,
    /// All else.
    pub rest: f64,
}

impl Prediction {
    /// The whole.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.inputs.iter().chain(&self.ensembles).sum::<f64>() + self.rest
    }
}

/// The mean instructions of an inference, over the samples of `run`.
#[must_use]
pub fn instructions(family: &Family, image: &Image<'_>, run: &Run) -> f64 {
    predict(family, Unit::Instructions, image, run).total()
}

/// The mean cycles of an inference, over the samples of `run`.
#[must_use]
pub fn cycles(family: &Family, image: &Image<'_>, run: &Run) -> f64 {
    predict(family, Unit::Cycles, image, run).total()
}

/// The mean cost of an inference and of its layers, over the samples of `run`.
#[must_use]
pub fn predict(family: &Family, unit: Unit, image: &Image<'_>, run: &Run) -> Prediction {
    let network = image.description();
    let prices = Prices::new(family, unit, image, run);
    let cost = prices.cost;
    let mut prediction = Prediction {
        inputs: (network.inputs.iter())
            .map(|i| f64::from(i.size) * units(cost.input_place))
            .collect(),
        ensembles: vec![0.0; network.ensembles.len()],
        rest: units(cost.inference) + state(image) * units(cost.rest_byte),
    };
    for (at, e) in network.ensembles.iter().enumerate() {
        prediction.ensembles[at] += prices.neurons(at, e);
    }
    for c in &network.connections {
        let price = prices.connection(c, c.layout, Way::of(c));
        match c.pre {
            Pre::Input(i) => prediction.inputs[usize::from(i)] += price,
            Pre::Ensemble(e) | Pre::Counts(e) => prediction.ensembles[usize::from(e)] += price,
        }
    }
    prediction
}

/// The bytes of all states, which may share memory.
fn state(image: &Image<'_>) -> f64 {
    let network = image.description();
    let ensembles = (0..network.ensembles.len()).map(|at| image.ensemble_ram(at));
    let outputs = (0..network.outputs.len()).map(|at| image.output_ram(at));
    ensembles.chain(outputs).map(f64::from).sum()
}

/// Way in which values of a source reach targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Events,
    Dense,
}

impl Way {
    /// The way of a packed connection. What an input brings in tiles is always computed densely.
    const fn of(c: &Connection) -> Self {
        match (c.pre, c.layout) {
            (Pre::Counts(_), _) | (Pre::Input(_), Layout::Tiles) => Self::Dense,
            _ => Self::Events,
        }
    }
}

/// Prices of the parts of an image.
struct Prices<'a> {
    family: &'a Family,
    cost: &'a Cost,
    network:
        &'a Description<'a, { crate::image::MAX_ENSEMBLES }, { crate::image::MAX_CONNECTIONS }>,
    run: &'a Run,
    samples: f64,
    steps: f64,
}

impl<'a> Prices<'a> {
    fn new(family: &'a Family, unit: Unit, image: &'a Image<'_>, run: &'a Run) -> Self {
        let samples = run.trials.len().max(1) as f64;
        let steps: usize = run.trials.iter().map(|t| t.steps()).sum();
        Self {
            family,
            cost: unit.of(family),
            network: image.description(),
            run,
            samples,
            steps: steps as f64 / samples,
        }
    }

    /// Price of updating the neurons of an ensemble.
    fn neurons(&self, at: usize, e: &Ensemble) -> f64 {
        let cost = self.cost;
        let each = units(match e.width {
            Width::I16 => cost.neuron_16,
            Width::I32 => cost.neuron_32,
        });
        let neurons = f64::from(e.neurons);
        let bytes = e.width.bytes() as f64 * neurons;
        let plain = match self.family.leaves {
            Some(leaves) if (leaves.ensemble)(e) && !e.pools() => units(cost.plain_neuron),
            _ => 0.0,
        };
        let own = |c: &&Connection| c.pre.ensemble() == Some(at as u8);
        let mut own = self.network.connections.iter().filter(own);
        let counted = |c: &Connection| {
            let exact = self.network.is_exact();
            let sums = !exact && c.sums(e, self.network.steps).is_some();
            matches!(c.pre, Pre::Counts(_)) || sums
        };
        let alone = own.clone().all(counted);
        let fired = match own.any(counted) {
            true => self.counts(at, e, alone),
            false => 0.0,
        };
        let events = self.run.ensembles.get(at).map_or(0, |a| a.events) as f64;
        self.steps * (units(cost.step) + (each + plain) * neurons)
            + (self.steps - 1.0) * units(cost.settle_byte) * bytes
            + units(cost.spike) * events / self.samples
            + fired
    }

    /// Price of the counts of an ensemble's neurons, beyond that of events; less than nothing if they are `alone`.
    fn counts(&self, at: usize, e: &Ensemble, alone: bool) -> f64 {
        let (cost, dense) = (self.cost, &self.cost.dense);
        let neurons = f64::from(e.neurons);
        let events = self.run.ensembles.get(at).map_or(0, |a| a.events) as f64 / self.samples;
        if alone && !e.pools() && dense.counted_neuron > 0 {
            let each = match e.width {
                Width::I16 => cost.neuron_16,
                Width::I32 => cost.neuron_32,
            };
            neurons * (units(dense.counted_neuron) - units(each))
                + events * (units(dense.counted_spike) - units(cost.spike))
        } else {
            neurons * units(dense.neuron) + events * units(dense.count)
        }
    }

    /// Activity of a connection's source, and the share of its operations that go over this connection.
    fn activity(&self, c: &Connection) -> (Activity, f64) {
        let of = |list: &[Activity], at: u8| list.get(usize::from(at)).copied().unwrap_or_default();
        let activity = match c.pre {
            Pre::Input(i) => of(&self.run.inputs, i),
            Pre::Ensemble(e) | Pre::Counts(e) => of(&self.run.ensembles, e),
        };
        // How many of the weights lead over which connection was not counted.
        let alike = self.network.connections.iter();
        let alike = alike.filter(|other| other.pre.order() == c.pre.order());
        let all: f64 = alike.map(reach).sum();
        (activity, if all > 0.0 { reach(c) / all } else { 1.0 })
    }

    /// Price of a connection in a way, with weights in a layout.
    fn connection(&self, c: &Connection, layout: Layout, way: Way) -> f64 {
        let mut shape = Shape::of(self.network, c);
        let zero_point = match shape.values {
            Values::Input { zero_point } => zero_point,
            _ => 0,
        };
        if let Pre::Counts(_) = c.pre
            && way == Way::Events
        {
            shape.values = Values::Counts;
        }
        if way == Way::Dense {
            shape.values = Values::Dense { zero_point };
        }
        let reads = (self.family.reads)(&shape, layout);
        match (&c.transform, way) {
            (Transform::Convolution(conv), Way::Dense) => self.dense(conv, layout, reads),
            (Transform::Dense(d), Way::Dense) => self.matrix(c, d),
            _ if matches!(shape.values, Values::Input { .. }) => self.input(c, reads),
            _ => self.events(c, layout),
        }
    }

    /// Price of what an input's values bring that are not the zero point.
    fn input(&self, c: &Connection, reads: bool) -> f64 {
        let cost = self.cost;
        let (activity, share) = self.activity(c);
        let ops = activity.ops as f64 / self.samples * share;
        match &c.transform {
            Transform::Dense(_) => ops * units(cost.input_matrix_op),
            Transform::Convolution(conv) if reads => {
                let windows = places(conv) * f64::from(conv.filters.div_ceil(8));
                let size: f64 = conv.input.iter().map(|d| f64::from(*d)).product();
                let density = (activity.events as f64 / self.samples / size).min(1.0);
                let rows = f64::from(conv.kernel[0]);
                let run = u32::from(conv.kernel[1]) * u32::from(conv.input[2]);
                let fours = f64::from(run.div_ceil(4));
                let full = density.powf(CLUSTERED_WINDOW).max(f64::MIN_POSITIVE);
                let pair = density.powf(CLUSTERED_PAIR);
                let four = |pair: f64| units(cost.input_four) + 2.0 * pair * units(cost.input_half);
                let window = match fours > 1.0 {
                    true => {
                        let row = units(cost.input_row)
                            + fours * (four(pair) + units(cost.input_next_four));
                        units(cost.input_full_window) + rows * row
                    }
                    // Windows of a single four in a row are passed if they are empty.
                    false => {
                        let row = units(cost.input_row) + four((pair / full).min(1.0));
                        full * (units(cost.input_full_window) + rows * row)
                            + (1.0 - full) * rows * units(cost.input_empty_row)
                    }
                };
                windows * (units(cost.input_window) + window)
                    + ops * units(cost.input_convolution_op)
            }
            Transform::Convolution(conv) => self.portable(conv),
        }
    }

    /// Price of a source's events.
    fn events(&self, c: &Connection, layout: Layout) -> f64 {
        let cost = self.cost;
        let (activity, share) = self.activity(c);
        let price = event(cost, &c.transform, layout);
        let per_sample = |n: u64| n as f64 / self.samples;
        let source = c.pre.ensemble();
        let source = source.and_then(|e| self.network.ensembles.get(usize::from(e)));
        let summed = source.and_then(|e| c.sums(e, self.network.steps));
        if let (Some(e), Some(window), false) = (source, summed, self.network.is_exact()) {
            return self.sums(e, window, c, layout);
        }
        let counted = per_sample(activity.ops - activity.single_ops);
        let ops = per_sample(activity.ops) * share;
        let taps = match &c.transform {
            Transform::Convolution(conv) if !matches!(layout, Layout::WidePairs | Layout::Wide) => {
                ops / f64::from(conv.row().max(1))
            }
            _ => 0.0,
        };
        let mapped = match c.source {
            SourceMap::Direct => 0,
            _ => cost.mapped_event,
        };
        per_sample(activity.events) * (units(price.event) + units(mapped))
            + per_sample(activity.single_ops) * units(price.single_op) * share
            + counted * units(price.counted_op) * share
            + taps * units(cost.plain_tap)
    }

    /// Price of the sums of counts that a window sees, each an event.
    fn sums(&self, e: &Ensemble, window: &Window, c: &Connection, layout: Layout) -> f64 {
        let cost = self.cost;
        let price = event(cost, &c.transform, layout);
        let (activity, _) = self.activity(c);
        let neurons = f64::from(e.neurons);
        let seen: f64 = window.output.iter().map(|d| f64::from(*d)).product();
        let crowd = f64::from(window.pool[0]) * f64::from(window.pool[1]);
        let quiet = 1.0 - activity.events as f64 / self.samples / neurons.max(1.0);
        // Neurons of a channel are active together.
        let crowd = crowd.min(neurons / seen.max(1.0)).powf(TOGETHER);
        let events = seen * (1.0 - quiet.powf(crowd));
        let each = match &c.transform {
            Transform::Dense(d) => {
                // Sums are larger than what kernels for counts take.
                let event = match layout {
                    Layout::Rows => cost.matrix.event,
                    _ => cost.summed_event,
                };
                f64::from(d.outputs) * units(cost.matrix.counted_op) + units(event)
            }
            Transform::Convolution(conv) => {
                let [y, x] = inside(conv);
                let row = f64::from(conv.row()) * f64::from(conv.input[2]);
                y * x * row / seen.max(1.0) * units(price.counted_op) + units(price.event)
            }
        };
        neurons * units(cost.sum) + events * each
    }

    /// Price of computing all targets of a matrix from pairs of values.
    fn matrix(&self, c: &Connection, d: &Dense) -> f64 {
        let dense = &self.cost.dense;
        let (activity, _) = self.activity(c);
        let inputs = f64::from(d.inputs.max(1));
        let quiet = 1.0 - (activity.events as f64 / self.samples / inputs).min(1.0);
        let pairs = inputs / 2.0 * (1.0 - quiet.powi(2));
        let macs = 2.0 * f64::from(d.outputs.next_multiple_of(8));
        pairs * (units(dense.pair) + macs * units(dense.pair_mac))
    }

    /// Price of computing all targets of a convolution densely.
    fn dense(&self, conv: &Convolution, layout: Layout, reads: bool) -> f64 {
        let dense = &self.cost.dense;
        if !reads {
            return self.portable(conv);
        }
        let places = places(conv);
        if layout == Layout::Halves {
            // Channels in lanes.
            let channels = f64::from(conv.filters);
            let inside = inside(conv);
            let blocks = channels / 8.0;
            return self.steps
                * (places * (units(dense.lanes_place) + blocks * units(dense.lanes_block))
                    + inside[0] * blocks * f64::from(conv.output[1]) * units(dense.lanes_row)
                    + inside[0] * inside[1] * channels * units(dense.lanes_mac));
        }
        if layout == Layout::Rows {
            // Plain rows, a tap of a window at a time.
            let [y, x] = inside(conv);
            let values = match conv.row() {
                1 if conv.groups == conv.input[2] => 0.0,
                _ => f64::from(conv.input[2]),
            };
            let filters = f64::from(conv.row()) * f64::from(conv.input[2]);
            return self.steps
                * y
                * x
                * (units(dense.window) + values * units(dense.value) + filters * units(dense.mac));
        }
        let run = u32::from(conv.kernel[1]) * u32::from(conv.group_inputs());
        let rows = f64::from(conv.kernel[0]);
        let values = rows * f64::from(run.next_multiple_of(4));
        let blocks = f64::from(conv.row().div_ceil(4));
        let aside = match conv.row().is_multiple_of(4) && conv.output[2].is_multiple_of(2) {
            // A single window has no partner.
            true if places > 1.0 => 0.0,
            false if conv.output[2].is_multiple_of(2) => 1.0,
            _ => blocks,
        };
        // A window that lies inside is taken in one go, any other one row by row, or even column by column.
        let side_by_side = conv.groups == 1 && conv.dilation[1] == 1;
        let inside = match side_by_side {
            true => (1.0 - border(conv, 0)) * (1.0 - border(conv, 1)),
            false => 0.0,
        };
        let columns = match side_by_side {
            true => 0.0,
            false => rows * f64::from(conv.kernel[1]),
        };
        let copied = match conv.group_inputs().is_multiple_of(4) {
            true => 0.0,
            false => values * (1.0 - inside),
        };
        let rows = rows * (inside * units(dense.line) + (1.0 - inside) * units(dense.row));
        // Long windows are taken in parts.
        let parts = parts(conv);
        self.steps
            * places
            * f64::from(conv.groups)
            * (parts * units(dense.window)
                + rows
                + columns * units(dense.column)
                + copied * units(dense.copied)
                + values * units(dense.value)
                + parts * aside * units(dense.aside)
                + blocks * (parts * units(dense.block) + 4.0 * values * units(dense.mac)))
    }

    /// Price of computing all targets of a convolution in plain Rust.
    fn portable(&self, conv: &Convolution) -> f64 {
        let [y, x] = inside(conv);
        let ops =
            y * x * f64::from(conv.row()) * f64::from(conv.group_inputs()) * f64::from(conv.groups);
        let blocks = y * x * f64::from(conv.row().div_ceil(16)) * f64::from(conv.input[2]);
        self.steps * (ops * units(self.cost.plain_op) + blocks * units(self.cost.plain_value))
    }
}

/// Target places of a convolution.
fn places(conv: &Convolution) -> f64 {
    f64::from(conv.output[0]) * f64::from(conv.output[1])
}

/// The taps of all windows along each axis that lie inside the source.
fn inside(conv: &Convolution) -> [f64; 2] {
    [0, 1].map(|axis| {
        let (stride, padding) = (u32::from(conv.stride[axis]), u32::from(conv.padding[axis]));
        let (dilation, size) = (u32::from(conv.dilation[axis]), u32::from(conv.input[axis]));
        let taps = (0..u32::from(conv.output[axis])).flat_map(|target| {
            (0..u32::from(conv.kernel[axis])).map(move |tap| target * stride + tap * dilation)
        });
        let inside = taps.filter(|at| (padding..padding + size).contains(at));
        inside.count() as f64
    })
}

/// The parts in which a window over all filters is multiplied.
fn parts(conv: &Convolution) -> f64 {
    let run = u32::from(conv.kernel[1]) * u32::from(conv.group_inputs());
    let line = run.next_multiple_of(4).max(1);
    let rows = u32::from(conv.kernel[0]);
    let together = (PART / line).clamp(1, rows.max(1));
    f64::from(rows.div_ceil(together) * line.div_ceil(PART))
}

/// The share of windows of which a part lies outside along an axis.
fn border(conv: &Convolution, axis: usize) -> f64 {
    let span = (u32::from(conv.kernel[axis]) - 1) * u32::from(conv.dilation[axis]) + 1;
    let (padding, size) = (u32::from(conv.padding[axis]), u32::from(conv.input[axis]));
    let outside = (0..u32::from(conv.output[axis]))
        .map(|at| at * u32::from(conv.stride[axis]))
        .filter(|start| *start < padding || start + span > padding + size);
    outside.count() as f64 / f64::from(conv.output[axis].max(1))
}

/// The weights that all sources of a connection reach together.
fn reach(c: &Connection) -> f64 {
    let crowd = match &c.source {
        SourceMap::Window(w) => {
            let all = |sides: [u8; 2]| f64::from(sides[0]) * f64::from(sides[1]);
            all(w.pool)
        }
        _ => 1.0,
    };
    let macs = DenseMacs::of_connection(c);
    crowd * (macs.convolution + macs.matrix) as f64
}

/// Costs that are given in thousandths.
fn units(thousandths: u32) -> f64 {
    f64::from(thousandths) / 1000.0
}

/// The cost of events over a connection.
const fn event(cost: &Cost, transform: &Transform, layout: Layout) -> EventCost {
    match (layout, transform) {
        (Layout::Quads, _) => cost.quads,
        (Layout::WidePairs, _) => cost.wide_pairs,
        (Layout::Wide, _) => cost.wide,
        (_, Transform::Dense(_)) => cost.matrix,
        (_, Transform::Convolution(_)) => cost.convolution,
    }
}

/// A way of computing a connection, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// `true` if its targets are computed from all values of its source.
    pub dense: bool,
    /// Cycles by events, and densely; `None` if that cannot be.
    pub cycles: (f64, Option<f64>),
    /// Instructions and cycles that the choice adds to what the network costs as it is.
    pub more: [f64; 2],
}

/// Share of all connections' cycles that dense ones must save together: what computes them takes 8 KB of the device's flash.
const WORTH: f64 = 0.1;

/// A connection's price both ways.
struct Priced {
    /// Instructions and cycles, each by events and densely.
    both: [(f64, f64); 2],
    /// `true` if it can be dense.
    able: bool,
    /// `true` if it cannot be anything else: the family has no other kernel for such an input.
    only: bool,
    /// The way that it is packed for.
    packed: Way,
}

impl Priced {
    /// Instructions and cycles in a way.
    fn price(&self, way: Way) -> [f64; 2] {
        self.both.map(|(events, dense)| match way {
            Way::Events => events,
            Way::Dense => dense,
        })
    }

    fn cycles(&self, way: Way) -> f64 {
        self.price(way)[1]
    }

    fn is_cheaper(&self) -> bool {
        self.able && !self.only && self.cycles(Way::Dense) < self.cycles(Way::Events)
    }
}

/// Prices each connection of a network both ways, by what happened in `run` on its image, and makes those dense that are
/// cheaper so, if that saves a tenth of all.
pub fn choose(network: &mut integers::Network, image: &Image<'_>, run: &Run) -> Vec<Choice> {
    let choices = choices(network, image, run);
    for (c, choice) in network.connections.iter_mut().zip(&choices) {
        c.dense = choice.dense;
    }
    choices
}

/// Prices each connection of a network both ways, by what happened in `run` on its image.
#[must_use]
pub fn choices(network: &integers::Network, image: &Image<'_>, run: &Run) -> Vec<Choice> {
    let family = network.target;
    let description = image.description();
    let [instructions, cycles] =
        [Unit::Instructions, Unit::Cycles].map(|unit| Prices::new(family, unit, image, run));
    let noted = |prices: &Prices<'_>, pre: Source| match pre {
        Source::Population(p) => {
            let all = network.connections.iter().filter(|c| c.pre == pre);
            let alone = all.count() == 1;
            let e = description.ensembles.get(p);
            e.map_or(0.0, |e| prices.counts(p, e, alone))
        }
        Source::Input(_) => 0.0,
    };
    let able: Vec<bool> = (network.connections.iter())
        .map(|c| can_be_dense(network, c))
        .collect();
    let mut priced = Vec::new();
    let packed = network.connections.iter().zip(&description.connections);
    for ((c, packed), able) in packed.zip(able) {
        let mut shape = Shape::of(description, packed);
        let zero_point = match shape.values {
            Values::Input { zero_point } => zero_point,
            _ => 0,
        };
        if let Pre::Counts(_) = packed.pre {
            shape.values = Values::Counts;
        }
        let fastest = family.layout(&shape);
        // What is not dense and has no kernel of its own runs in plain Rust.
        let by_events = match fastest {
            Layout::Tiles => Layout::Rows,
            layout => layout,
        };
        let usual = shape;
        shape.values = Values::Dense { zero_point };
        let densely = family.layout(&shape);
        let from_population = matches!(c.pre, Source::Population(_));
        let able = able
            && match &c.transform {
                // A matrix in one layout goes event by event in any case.
                Transform::Dense(_) => {
                    from_population && densely != by_events && (family.reads)(&shape, densely)
                }
                Transform::Convolution(_) => from_population || (family.reads)(&usual, densely),
            };
        let price = |prices: &Prices<'_>| {
            let events = prices.connection(packed, by_events, Way::Events);
            let dense = prices.connection(packed, densely, Way::Dense) + noted(prices, c.pre);
            (events, dense)
        };
        let way = Way::of(packed);
        priced.push(Priced {
            both: [price(&instructions), price(&cycles)],
            able,
            only: !from_population && fastest == Layout::Tiles && way == Way::Dense,
            packed: way,
        });
    }
    let all: f64 = (priced.iter())
        .map(|one| one.cycles(if one.only { Way::Dense } else { Way::Events }))
        .sum();
    let saved: f64 = (priced.iter().filter(|one| one.is_cheaper()))
        .map(|one| one.cycles(Way::Events) - one.cycles(Way::Dense))
        .sum();
    let steps = description.steps;
    let there = description.connections.iter().any(|c| {
        let source = c.pre.ensemble();
        let source = source.and_then(|e| description.ensembles.get(usize::from(e)));
        source.is_some_and(|e| c.sums(e, steps).is_some())
    });
    let there = there || priced.iter().any(|one| one.only);
    let worth = there || saved >= WORTH * all;
    (priced.iter())
        .map(|one| {
            let dense = one.only || worth && one.is_cheaper();
            let then = one.price(if dense { Way::Dense } else { Way::Events });
            let now = one.price(one.packed);
            Choice {
                dense,
                cycles: (
                    one.cycles(Way::Events),
                    one.able.then(|| one.cycles(Way::Dense)),
                ),
                more: [0, 1].map(|unit| then[unit] - now[unit]),
            }
        })
        .collect()
}

/// Activity of a network that is not known: so large a share of all values is no zero point.
#[must_use]
pub fn assumed(image: &Image<'_>, density: f64) -> Run {
    let network = image.description();
    let activity = |pre: u16, size: u32| {
        let own = network.connections.iter().filter(|c| c.pre.order() == pre);
        let ops = own.map(reach).sum::<f64>() * density;
        Activity {
            events: (f64::from(size) * density) as u64,
            ops: ops as u64,
            ..Activity::default()
        }
    };
    let inputs = (0..).zip(&network.inputs);
    let ensembles = (0..).zip(&network.ensembles);
    Run {
        trials: vec![crate::emulate::Trial {
            leads: vec![
                crate::emulate::Lead {
                    class: 0,
                    margin: 0
                };
                network.steps.max(1).into()
            ],
            ..crate::emulate::Trial::default()
        }],
        inputs: inputs
            .map(|(at, i)| activity(Pre::Input(at).order(), i.size))
            .collect(),
        ensembles: ensembles
            .map(|(at, e)| activity(Pre::Ensemble(at).order(), e.neurons))
            .collect(),
    }
}

/// Makes those connections dense that cost less so whatever happens: each event would reach few weights at a time.
pub fn choose_by_shape(network: &mut integers::Network) {
    let able: Vec<bool> = (network.connections.iter())
        .map(|c| can_be_dense(network, c))
        .collect();
    for (c, able) in network.connections.iter_mut().zip(able) {
        let thin = matches!(&c.transform, Transform::Convolution(conv) if conv.row() == 1);
        c.dense = able && thin && matches!(c.pre, Source::Population(_));
    }
}

/// Tells whether an image can have a connection dense.
fn can_be_dense(network: &integers::Network, c: &integers::Connection) -> bool {
    use tinyspike_shared::image::Neuron;
    let single = network.steps == integers::Steps::Limited(1);
    let plain = |p: usize| {
        let e = &network.ensembles[p];
        e.neuron == Neuron::IntegrateAndFire && e.inbox.is_none()
    };
    let from = match c.pre {
        Source::Input(_) => true,
        Source::Population(p) => {
            single && (plain(p) || matches!(network.ensembles[p].neuron, Neuron::Pool(_)))
        }
    };
    let to = match c.post {
        crate::graph::Target::Population(p) => plain(p),
        crate::graph::Target::Output(o) => {
            let output = &network.outputs[o];
            output.inbox.is_none() && output.readout == tinyspike_shared::image::Readout::Sum
        }
    };
    from && to && c.source == integers::Seen::Direct
}

/// The instructions of the same network in int8 that computes every multiplication.
#[must_use]
pub fn dense_instructions(cost: &Cost, image: &Image<'_>) -> f64 {
    let macs = DenseMacs::of(image);
    macs.convolution as f64 * units(cost.dense_convolution_mac)
        + macs.matrix as f64 * units(cost.dense_matrix_mac)
}

/// The multiplications of a network that computes everything once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenseMacs {
    /// Operations in convolutions, padding included.
    pub convolution: u64,
    /// Operations in matrices.
    pub matrix: u64,
}

impl DenseMacs {
    /// Work of an image's network.
    #[must_use]
    pub fn of(image: &Image<'_>) -> Self {
        let mut macs = Self::default();
        for c in &image.description().connections {
            let own = Self::of_connection(c);
            macs.convolution += own.convolution;
            macs.matrix += own.matrix;
        }
        macs
    }

    /// Work of one of its connections.
    #[must_use]
    pub fn of_connection(c: &Connection) -> Self {
        let mut macs = Self::default();
        // Some layouts fill rows up, or take two bytes a weight.
        let weights = u64::from(Layout::Rows.bytes(&c.transform).unwrap_or(0));
        match &c.transform {
            Transform::Dense(_) => macs.matrix = weights,
            Transform::Convolution(conv) => {
                macs.convolution = weights * u64::from(conv.output[0]) * u64::from(conv.output[1]);
            }
        }
        macs
    }
}
