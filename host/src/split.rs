//! Graph → Graph: populations with more places than an image addresses, in pieces.
//!
//! Events carry the place that they come from in 16 bits. A larger population becomes several, each with some of its channels;
//! what reaches it and what it reaches is divided likewise, and adds up as before. Nothing else changes: pieces have the
//! spikes of the whole.

use std::iter;
use std::ops::Range;

use crate::graph::{
    Convolution, Dense, Graph, LinearMap, Link, Neuron, Population, Source, SourceMap, Target,
    Window,
};
use crate::tensor::Tensor;

/// The most places that an image addresses.
pub const MOST_PLACES: usize = 1 << 16;

/// The graph with populations of up to [`MOST_PLACES`] places, as far as channels divide them, and links that see no more.
#[must_use]
pub fn split(graph: Graph) -> Graph {
    split_to(graph, MOST_PLACES)
}

/// The same for another largest number of places.
#[must_use]
pub fn split_to(graph: Graph, largest: usize) -> Graph {
    let pieces = pieces(&graph, largest);
    if pieces.iter().all(|pieces| pieces.len() == 1) {
        return graph;
    }
    let first: Vec<usize> = pieces
        .iter()
        .scan(0, |next, pieces| {
            let first = *next;
            *next += pieces.len();
            Some(first)
        })
        .collect();
    let populations = graph.populations.iter().zip(&pieces);
    let populations = populations
        .flat_map(|(population, pieces)| pieces.iter().map(|piece| part(population, piece)));
    // The pieces of a population, and what each is of it.
    let parts = |at: usize| {
        let population = &graph.populations[at];
        let parts = pieces[at]
            .iter()
            .map(move |channels| Part::of(population, channels));
        (first[at]..).zip(parts)
    };
    let mut links = Vec::with_capacity(graph.links.len());
    for link in &graph.links {
        let pres: Vec<(Source, Option<Part>)> = match link.pre {
            Source::Input(_) => vec![(link.pre, None)],
            Source::Population(at) => {
                (parts(at).map(|(p, part)| (Source::Population(p), part))).collect()
            }
        };
        let posts: Vec<(Target, Option<Part>)> = match link.post {
            Target::Output(_) => vec![(link.post, None)],
            Target::Population(at) => {
                (parts(at).map(|(p, part)| (Target::Population(p), part))).collect()
            }
        };
        for (pre, from) in &pres {
            for (post, to) in &posts {
                let Some((source, map)) = divided(&graph, link, from.as_ref(), to.as_ref()) else {
                    continue;
                };
                links.push(Link {
                    pre: *pre,
                    post: *post,
                    source,
                    map,
                    synapse: link.synapse,
                });
            }
        }
    }
    links.sort_by_key(|link| link.pre);
    let populations = populations.collect();
    Graph {
        inputs: graph.inputs,
        populations,
        outputs: graph.outputs,
        links,
    }
}

/// The channels of each piece of each population: one piece of all channels if it stays whole.
fn pieces(graph: &Graph, largest: usize) -> Vec<Vec<Range<usize>>> {
    let mut most: Vec<usize> = graph.populations.iter().map(Population::places).collect();
    for link in &graph.links {
        // What sees a population divided sees a part of its places.
        if let Source::Population(pre) = link.pre {
            let channelwise = !matches!(link.source, SourceMap::Table { .. });
            let seen = if channelwise { link.map.inputs() } else { 0 };
            most[pre] = most[pre].max(seen);
        }
    }
    // What pools has the channels of its source; those of a depthwise convolution are best divided alike.
    let alike: Vec<(usize, usize)> = graph
        .links
        .iter()
        .filter(|link| match &link.map {
            LinearMap::Dense(_) => link.map.counts(),
            LinearMap::Convolution(c) => c.groups > 1 && c.input[2] == c.output[2],
        })
        .filter_map(|link| match (link.pre, link.post) {
            (Source::Population(pre), Target::Population(post)) => Some((pre, post)),
            _ => None,
        })
        .collect();
    // There and back, as a chain has sizes on both sides.
    for &(pre, post) in alike.iter().chain(alike.iter().rev()) {
        let larger = most[pre].max(most[post]);
        (most[pre], most[post]) = (larger, larger);
    }
    graph
        .populations
        .iter()
        .zip(most)
        .map(|(population, most)| {
            let channels = population.shape[2];
            let whole = population.shape.iter().product::<usize>() == population.neurons;
            if most <= largest || !whole || channels < 2 {
                return iter::once(0..channels).collect();
            }
            let each = (largest / most.div_ceil(channels)).clamp(1, channels);
            // As equal as they can be.
            let count = channels.div_ceil(each);
            let start = |piece: usize| piece * channels / count;
            (0..count).map(|at| start(at)..start(at + 1)).collect()
        })
        .collect()
}

impl Population {
    /// The most of its neurons and of the places that links reach.
    fn places(&self) -> usize {
        self.neurons.max(self.size_in())
    }
}

/// Some channels of a population.
struct Part {
    channels: Range<usize>,
    /// Channels of the whole.
    of: usize,
}

impl Part {
    /// A part of a population; `None` if it is the whole.
    fn of(population: &Population, channels: &Range<usize>) -> Option<Self> {
        let of = population.shape[2];
        (channels.len() < of).then(|| Self {
            channels: channels.clone(),
            of,
        })
    }

    fn len(&self) -> usize {
        self.channels.len()
    }

    /// Places of the part among the first `places` of the whole, in its order.
    fn before(&self, places: usize) -> usize {
        let rest = (places % self.of).clamp(self.channels.start, self.channels.end);
        places / self.of * self.len() + rest - self.channels.start
    }

    fn holds(&self, place: usize) -> bool {
        self.channels.contains(&(place % self.of))
    }
}

/// A piece of a population.
fn part(population: &Population, channels: &Range<usize>) -> Population {
    let Some(part) = Part::of(population, channels) else {
        return population.clone();
    };
    let places: Vec<usize> = (0..population.neurons)
        .filter(|&at| part.holds(at))
        .collect();
    // Parameters repeat with the channels, or each neuron has its own.
    let of_channels = |values: &[f32]| -> Vec<f32> {
        let values = values.iter().enumerate();
        values
            .filter(|(at, _)| part.holds(*at))
            .map(|(_, v)| *v)
            .collect()
    };
    let mut neuron = population.neuron.clone();
    match &mut neuron {
        Neuron::IntegrateAndFire => {}
        Neuron::Own {
            neuron_type,
            voltage,
        } => {
            *neuron_type = neuron_type.map(&mut |p| p.ordered(&places));
            *voltage = of_channels(voltage);
        }
        Neuron::Pooled(pooled) => {
            pooled.pool.input[2] = part.len();
            pooled.least = pooled.least[channels.clone()].to_vec();
        }
    }
    let [height, width, _] = population.shape;
    Population {
        label: format!("{}[{}..{}]", population.label, channels.start, channels.end),
        neurons: places.len(),
        shape: [height, width, part.len()],
        channels: part.before(population.channels),
        bias: of_channels(&population.bias),
        delayed_bias: of_channels(&population.delayed_bias),
        neuron,
        ..population.clone()
    }
}

/// A link from a part of its source to a part of its target; `None` if it has no weights there.
fn divided(
    graph: &Graph,
    link: &Link,
    from: Option<&Part>,
    to: Option<&Part>,
) -> Option<(SourceMap, LinearMap)> {
    let inputs = graph.source_size(link.pre);
    if link.map.counts() {
        return counted(&link.source, inputs, link.map.inputs(), from, to);
    }
    let (source, by_channel) = match from {
        None => (link.source.clone(), true),
        Some(from) => seen(&link.source, inputs, from),
    };
    let from = from.filter(|_| by_channel);
    let map = match &link.map {
        LinearMap::Dense(dense) => LinearMap::Dense(matrix(dense, from, to)?),
        LinearMap::Convolution(c) => LinearMap::Convolution(convolution(c, from, to)?),
    };
    Some((source, map))
}

/// The part of a link that counts spikes for windows: between parts of the same channels as it is, else as a table of
/// the places that both parts hold.
fn counted(
    source: &SourceMap,
    inputs: usize,
    places: usize,
    from: Option<&Part>,
    to: Option<&Part>,
) -> Option<(SourceMap, LinearMap)> {
    let mixes = matches!(source, SourceMap::Table { .. });
    match (from, to) {
        (None, None) => return Some((source.clone(), LinearMap::counting(places))),
        (Some(from), Some(to)) if !mixes && from.channels == to.channels => {
            let (source, _) = seen(source, inputs, from);
            return Some((source, LinearMap::counting(from.before(places))));
        }
        _ => {}
    }
    let mut table = vec![None; inputs];
    source.for_each(inputs, |from, to| table[from] = Some(to));
    let table: Vec<Option<u32>> = (table.into_iter().enumerate())
        .filter(|(at, _)| from.is_none_or(|part| part.holds(*at)))
        .map(|(_, seen)| {
            let seen = seen.filter(|&at| to.is_none_or(|part| part.holds(at)))?;
            Some(to.map_or(seen, |part| part.before(seen)) as u32)
        })
        .collect();
    let places = to.map_or(places, |part| part.before(places));
    let reached = table.iter().any(Option::is_some);
    let source = SourceMap::Table { places, to: table };
    reached.then(|| (source, LinearMap::counting(places)))
}

/// The view that weights have of a part of a source; `true` if they see a part of the places of the whole then.
fn seen(source: &SourceMap, inputs: usize, part: &Part) -> (SourceMap, bool) {
    match source {
        SourceMap::Direct => (SourceMap::Direct, true),
        SourceMap::Window(window) => {
            let mut window = Window { ..*window };
            (window.input[2], window.output[2]) = (part.len(), part.len());
            (SourceMap::Window(window), true)
        }
        SourceMap::Table { places, to } => {
            let own = (0..inputs).filter(|&at| part.holds(at));
            let to = own.map(|at| to[at]).collect();
            let places = *places;
            (SourceMap::Table { places, to }, false)
        }
    }
}

/// The rows of a part of the target, and the columns of a part of the source.
fn matrix(dense: &Dense, from: Option<&Part>, to: Option<&Part>) -> Option<Dense> {
    let &[rows, columns] = dense.weights.shape() else {
        return None;
    };
    let row = |at: usize| to.is_none_or(|part| part.holds(dense.first + at));
    let column = |at: usize| from.is_none_or(|part| part.holds(at));
    let data = dense.weights.data().chunks_exact(columns.max(1));
    let own = data.enumerate().filter(|(at, _)| row(*at));
    let weights: Vec<f32> = own
        .flat_map(|(_, weights)| {
            let weights = weights.iter().enumerate();
            weights.filter(|(at, _)| column(*at)).map(|(_, w)| *w)
        })
        .collect();
    let (rows, first) = match to {
        None => (rows, dense.first),
        Some(part) => {
            let first = part.before(dense.first);
            (part.before(dense.first + rows) - first, first)
        }
    };
    let columns = from.map_or(columns, |part| part.before(columns));
    let weights = Tensor::new(vec![rows, columns], weights)?;
    (rows > 0).then_some(Dense { weights, first })
}

/// The filters of a part of the target, over the channels of a part of the source.
fn convolution(c: &Convolution, from: Option<&Part>, to: Option<&Part>) -> Option<Convolution> {
    let filters = c.filters();
    let own = to.map_or(0..filters, |part| {
        let within = |at: usize| at.saturating_sub(c.first).min(filters);
        within(part.channels.start)..within(part.channels.end)
    });
    let (inner, outer) = (c.input[2] / c.groups, filters / c.groups);
    // Whole groups that the filters belong to, and the channels that these see.
    let groups = own.start / outer..own.end.div_ceil(outer);
    let seen = groups.start * inner..groups.end * inner;
    let given = from.map_or(0..c.input[2], |part| part.channels.clone());
    if own.is_empty() || seen.start.max(given.start) >= seen.end.min(given.end) {
        return None;
    }
    // Groups of which source and target have other parts become one group, with zeros.
    let whole = own.start == groups.start * outer && own.end == groups.end * outer;
    let groups = if whole && seen == given {
        groups.len()
    } else {
        1
    };
    let depth = given.len() / groups;
    let &[kernel_y, kernel_x, ..] = c.kernel.shape() else {
        return None;
    };
    let data = c.kernel.data();
    let mut kernel = Vec::with_capacity(kernel_y * kernel_x * depth * own.len());
    for tap in 0..kernel_y * kernel_x {
        for at in 0..depth {
            kernel.extend(own.clone().map(|filter| {
                let group = filter / outer;
                let channel = match groups {
                    1 => given.start + at,
                    _ => group * inner + at,
                };
                let inside = (group * inner..(group + 1) * inner).contains(&channel);
                let row = tap * inner + channel.saturating_sub(group * inner);
                if inside {
                    data[row * filters + filter]
                } else {
                    0.0
                }
            }));
        }
    }
    let [in_height, in_width, _] = c.input;
    let [height, width, targets] = c.output;
    let first = c.first + own.start;
    Some(Convolution {
        input: [in_height, in_width, given.len()],
        output: [height, width, to.map_or(targets, Part::len)],
        kernel: Tensor::new(vec![kernel_y, kernel_x, depth, own.len()], kernel)?,
        groups,
        first: first - to.map_or(0, |part| part.channels.start),
        ..c.clone()
    })
}
