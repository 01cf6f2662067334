//! Graph → Graph: channels scaled so that one threshold suits all of a population.
//!
//! Some channels of a layer are many times as active as others. With one threshold for all, small ones
//! have few levels to show their activation with. Rectified neurons pass a positive factor on, so
//! a channel's incoming weights and bias can be divided by one and its outgoing weights multiplied by it:
//! the network computes the same, and each channel has in effect a threshold of its own.
//!
//! A channel's factor is the root mean square of its activations above zero, relative to the most active
//! channel's, to the power of a strength: 0 leaves everything as it is, 1 makes all channels equally
//! active. More balance makes errors smaller and events more.

use crate::calibrate::Calibration;
use crate::graph::{
    Convolution, Graph, LinearMap, Link, Neuron, Population, Source, SourceMap, Target,
};

/// Observations that a channel's own count must outweigh: a channel that is hardly ever active is taken
/// to be like the others.
const PRIOR: f64 = 16.0;
/// No channel is scaled by more than this.
const LARGEST: f64 = 64.0;

/// Channels are far apart if the middle one has less than this share of the largest one's size, or the least less than
/// that.
const FAR_MIDDLE: f64 = 1.0 / 16.0;
const FAR_LEAST: f64 = 1.0 / 256.0;

/// The graph with balanced channels, and the factor of each channel of each population: an activation
/// of the graph is that of the balanced one times the factor.
#[derive(Clone, Debug)]
pub struct Balanced {
    /// The graph.
    pub graph: Graph,
    /// The factors, at most 1; empty for a population that stays as it is.
    pub factors: Vec<Vec<f32>>,
}

/// Balances the channels of all populations, as far as what their activations are sent through allows.
#[must_use]
pub fn balance(graph: &Graph, calibration: &Calibration, strength: f64) -> Balanced {
    scaled(graph, calibration, |squares, counts| {
        let (all, count) = (squares.iter().sum::<f64>(), counts.iter().sum::<f64>());
        if strength <= 0.0 || all <= 0.0 || count <= 0.0 {
            return None;
        }
        let mean = all / count;
        let sizes: Vec<f64> = squares
            .iter()
            .zip(counts)
            .map(|(s, n)| ((s + PRIOR * mean) / (n + PRIOR)).sqrt())
            .collect();
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let factor = |s: &f64| (s / largest).powf(strength).max(1.0 / LARGEST) as f32;
        Some(sizes.iter().map(factor).collect())
    })
}

/// The graph with channels of one size in each population whose channels are far apart; `None` if none is such.
///
/// Scales of channels that training, or folding a normalization, has left say nothing about what channels are worth:
/// small ones would vanish below the threshold of large ones, and a partial balance would keep them there.
#[must_use]
pub fn level(graph: &Graph, calibration: &Calibration) -> Option<Graph> {
    let levelled = scaled(graph, calibration, |squares, counts| {
        let sizes = squares.iter().zip(counts);
        let sizes = sizes.map(|(s, n)| (*n >= PRIOR && *s > 0.0).then(|| (s / n).sqrt()));
        let sizes: Vec<Option<f64>> = sizes.collect();
        let mut known: Vec<f64> = sizes.iter().flatten().copied().collect();
        known.sort_by(f64::total_cmp);
        let (least, largest) = (*known.first()?, *known.last()?);
        let middle = known[known.len() / 2];
        let apart = middle < largest * FAR_MIDDLE || least < largest * FAR_LEAST;
        let factor = |size: &Option<f64>| {
            (size.unwrap_or(middle) / largest).max(f64::from(f32::EPSILON)) as f32
        };
        apart.then(|| sizes.iter().map(factor).collect())
    });
    let any = levelled.factors.iter().any(|factors| !factors.is_empty());
    any.then_some(levelled.graph)
}

/// The graph with channels divided by the factors that `factors` finds for a population, by the sum of squares and
/// the number of each channel's activations above zero.
fn scaled(
    graph: &Graph,
    calibration: &Calibration,
    factors: impl Fn(&[f64], &[f64]) -> Option<Vec<f32>>,
) -> Balanced {
    let mut balanced = Balanced {
        graph: graph.clone(),
        factors: vec![Vec::new(); graph.populations.len()],
    };
    for (at, (population, seen)) in graph
        .populations
        .iter()
        .zip(&calibration.populations)
        .enumerate()
    {
        // What pools has the channels of its source, and a ceiling is that of all channels.
        if matches!(population.neuron, Neuron::Pooled(_)) || population.ceiling.is_some() {
            continue;
        }
        let Some(group) = with_pools(graph, at) else {
            continue;
        };
        let periods = group
            .iter()
            .map(|&at| period(graph, at, &graph.populations[at]));
        let period = periods.fold(0, gcd).max(1);
        let columns = group
            .iter()
            .map(|&at| columns(graph, at, &graph.populations[at], period));
        let Some(columns) = columns.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let columns = columns.concat();
        let mut squares = vec![0.0; period];
        let mut counts = vec![0.0; period];
        for (channel, activity) in seen.channels.iter().enumerate() {
            squares[channel % period] += activity.squares;
            counts[channel % period] += activity.active as f64;
        }
        let Some(factors) = factors(&squares, &counts) else {
            continue;
        };
        apply(&mut balanced.graph, at, &factors, &columns);
        for at in group {
            balanced.factors[at].clone_from(&factors);
        }
    }
    balanced
}

/// A population and those that pool it, and pool these; `None` if one sees it in another order.
fn with_pools(graph: &Graph, at: usize) -> Option<Vec<usize>> {
    let mut group = vec![at];
    for link in &graph.links {
        if let (Source::Population(pre), Target::Population(post)) = (link.pre, link.post)
            && group.contains(&pre)
            && link.map.counts()
        {
            if link.source != SourceMap::Direct {
                return None;
            }
            group.push(post);
        }
    }
    Some(group)
}

/// Channels of a population that can have factors of their own.
fn period(graph: &Graph, at: usize, population: &Population) -> usize {
    let mut period = population.channels;
    for link in &graph.links {
        let LinearMap::Convolution(c) = &link.map else {
            continue;
        };
        if link.post == Target::Population(at) {
            period = gcd(period, c.output[2]);
        }
        if link.pre == Source::Population(at) {
            period = gcd(period, c.input[2]);
        }
    }
    period.max(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Channels that each column (of a matrix) or input channel (of a convolution) of each link from the population
/// sees; `None` if one sees several.
type Columns = Vec<(usize, Vec<Option<usize>>)>;

fn columns(graph: &Graph, at: usize, population: &Population, period: usize) -> Option<Columns> {
    let links = graph.links.iter().enumerate();
    links
        .filter(|(_, link)| link.pre == Source::Population(at) && !link.map.counts())
        .map(|(index, link)| {
            let own = match &link.map {
                LinearMap::Dense(d) => d.weights.shape()[1],
                LinearMap::Convolution(c) => c.input[2],
            };
            let mut seen = vec![None; own];
            let mut single = true;
            link.source.for_each(population.neurons, |from, to| {
                let column = &mut seen[to % own];
                single &= *column.get_or_insert(from % period) == from % period;
            });
            single.then_some((index, seen))
        })
        .collect()
}

fn apply(graph: &mut Graph, at: usize, factors: &[f32], columns: &Columns) {
    let population = &mut graph.populations[at];
    for (channel, bias) in population.bias.iter_mut().enumerate() {
        *bias /= factors[channel % factors.len()];
    }
    for link in &mut graph.links {
        if link.post == Target::Population(at) {
            divide_rows(link, factors);
        }
    }
    for (index, seen) in columns {
        let factor = |column: usize| seen[column].map_or(1.0, |channel| factors[channel]);
        match &mut graph.links[*index].map {
            LinearMap::Dense(d) => {
                let inputs = seen.len();
                d.weights = indexed(&d.weights, |at, w| w * factor(at % inputs));
            }
            LinearMap::Convolution(c) => {
                let of = input_channels(c);
                c.kernel = indexed(&c.kernel, |at, w| w * factor(of(at)));
            }
        }
    }
}

fn divide_rows(link: &mut Link, factors: &[f32]) {
    let factor = |target: usize| factors[target % factors.len()];
    match &mut link.map {
        LinearMap::Dense(d) => {
            let (inputs, first) = (d.weights.shape()[1].max(1), d.first);
            d.weights = indexed(&d.weights, |at, w| w / factor(first + at / inputs));
        }
        LinearMap::Convolution(c) => {
            let (filters, first) = (c.filters(), c.first);
            c.kernel = indexed(&c.kernel, |at, w| w / factor(first + at % filters));
        }
    }
}

/// The input channel of each weight of a kernel.
fn input_channels(c: &Convolution) -> impl Fn(usize) -> usize + use<> {
    let filters = c.filters();
    let (inner, outer) = (c.input[2] / c.groups, filters / c.groups);
    move |at| (at % filters) / outer * inner + at / filters % inner
}

fn indexed(tensor: &crate::tensor::Tensor, f: impl Fn(usize, f32) -> f32) -> crate::tensor::Tensor {
    let mut at = 0;
    tensor.map(|w| {
        at += 1;
        f(at - 1, w)
    })
}
