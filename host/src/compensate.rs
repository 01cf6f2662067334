//! Graph + samples → integers::Network, whose biases and rounded weights make up for what quantization does.
//!
//! Rounding activations to counts, clipping them and rounding weights shift what every target gets. Layer
//! by layer from the input on, the quantized network so far runs on some samples, and each channel of
//! the next target is fitted by least squares to what it gets in the float network on the same samples: its
//! bias takes back the mean difference, and each weight is rounded up or down, whichever makes the rest
//! smaller given all others. Each layer so makes up for the layers before it too.
//!
//! # What is minimized
//! Over a number of rows (samples, of a convolution also places), Σ ω (y - ŷ)², with ω small if a
//! rectifier hides the difference. With few rows for many weights the fit would follow the samples more
//! than the network; a penalty on each weight's own rounding error, in proportion to weights per row,
//! pulls it back to the nearest integer.

use std::borrow::Cow;

use rayon::prelude::*;
use tinyspike_firmware::{Event, Probe};

use crate::assemble::{AssembleError, assemble};
use crate::calibrate::{BATCH, Calibration, Samples, batch_of, forward};
use crate::cost;
use crate::emulate::{EmulateError, HostEngine};
use crate::graph::{Convolution, Graph, LinearMap, Link, Neuron, Source, Target};
use crate::integers;
use crate::ops::OpsError;
use crate::quantize::{
    QuantizeError, QuantizeOptions, Quantizer, Rounding, Units, encoded, image_order, inputs,
    largest,
};

/// The most rows of a fit.
const ROWS: usize = 2048;
/// Values of gathered columns that are held at once.
const VALUES: usize = 1 << 25;
/// The weight of a row in which the target is far below its threshold either way.
const HIDDEN: f32 = 0.05;
/// Most weights for each row: with more, the rows say nothing about single weights.
const WEIGHTS_PER_ROW: usize = 4;
/// Rounds over all weights of a channel.
const ROUNDS: usize = 4;

/// Reason why quantization cannot be made up for.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the stage of that name")]
#[non_exhaustive]
pub enum CompensateError {
    #[error("there are no samples to compensate on")]
    NoSamples,
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Emulate(#[from] EmulateError),
}

/// Values of the float network on some samples.
#[derive(Clone, Debug)]
pub struct Reference {
    samples: Samples,
    /// Rows of each population and then of each output.
    targets: Vec<Rows>,
}

/// Inputs of a target in the float network, in some rows.
#[derive(Clone, Debug)]
struct Rows {
    /// Sample and place of each row, by sample.
    at: Vec<(usize, usize)>,
    /// Row by row, a value for each group.
    values: Vec<f32>,
    /// Values of a row: the target's channels, or its neurons if a matrix reaches it.
    groups: usize,
}

impl Reference {
    /// The samples that it was made of.
    #[must_use]
    pub const fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Runs the float network.
    ///
    /// # Errors
    /// [`CompensateError`] if the samples do not fit the graph.
    pub fn new(graph: &Graph, samples: Samples) -> Result<Self, CompensateError> {
        if samples.count == 0 {
            return Err(CompensateError::NoSamples);
        }
        let mut targets: Vec<Rows> = graph
            .targets()
            .map(|(target, size)| Rows::chosen(graph, target, size, samples.count))
            .collect();
        let starts: Vec<usize> = (0..samples.count).step_by(BATCH).collect();
        let parts = starts
            .par_iter()
            .map(|&start| {
                let count = BATCH.min(samples.count - start);
                batch(graph, &samples, &targets, start, count)
            })
            .collect::<Result<Vec<_>, OpsError>>()?;
        for part in parts {
            for (target, values) in targets.iter_mut().zip(part) {
                target.values.extend(values);
            }
        }
        Ok(Self { samples, targets })
    }
}

/// Places over which the links into a target share weights: those of a convolution, whose filters are the
/// groups, or just one.
fn places(graph: &Graph, target: Target, size: usize) -> usize {
    let mut channels = graph.links_into(target).map(|(_, l)| match &l.map {
        LinearMap::Dense(_) => None,
        LinearMap::Convolution(c) => Some(c.output[2]),
    });
    let first = channels.next().flatten();
    match first {
        Some(n) if n > 0 && channels.all(|other| other == first) => size / n,
        _ => 1,
    }
}

/// Tells whether a target has no weights of its own, but pools.
fn is_pooled(graph: &Graph, target: Target) -> bool {
    matches!(target, Target::Population(p) if matches!(graph.populations[p].neuron, Neuron::Pooled(_)))
}

impl Rows {
    fn chosen(graph: &Graph, target: Target, size: usize, samples: usize) -> Self {
        if is_pooled(graph, target) {
            return Self {
                at: Vec::new(),
                values: Vec::new(),
                groups: 0,
            };
        }
        let places = places(graph, target, size);
        let each = ROWS.div_ceil(samples).min(places);
        // Places at even distances, that begin elsewhere in each sample.
        let at = (0..samples)
            .flat_map(|sample| {
                let shift = sample.wrapping_mul(0x9E37_79B9) % places.max(1);
                (0..each).map(move |k| (sample, (k * places / each + shift) % places))
            })
            .collect();
        Self {
            at,
            values: Vec::new(),
            groups: size / places.max(1),
        }
    }

    /// The rows of some samples.
    fn of(&self, samples: std::ops::Range<usize>) -> &[(usize, usize)] {
        let from = self.at.partition_point(|row| row.0 < samples.start);
        let to = self.at.partition_point(|row| row.0 < samples.end);
        &self.at[from..to]
    }
}

/// Gathers the inputs of each target in its rows of some samples.
fn batch(
    graph: &Graph,
    samples: &Samples,
    rows: &[Rows],
    start: usize,
    count: usize,
) -> Result<Vec<Vec<f32>>, OpsError> {
    let inputs = batch_of(graph, samples, start, count);
    let values = forward(graph, &inputs, count)?;
    graph
        .targets()
        .zip(rows)
        .map(|((target, size), rows)| {
            if rows.at.is_empty() {
                return Ok(Vec::new());
            }
            let bias = graph.bias(target).iter();
            let mut y: Vec<f32> = bias.copied().cycle().take(size * count).collect();
            for (_, link) in graph.links_into(target) {
                let x = match link.pre {
                    Source::Input(i) => inputs[i],
                    Source::Population(p) => &values.populations[p],
                };
                link.apply_batch(count, x, &mut y)?;
            }
            Ok(rows
                .of(start..start + count)
                .iter()
                .flat_map(|&(sample, place)| {
                    &y[(sample - start) * size + place * rows.groups..][..rows.groups]
                })
                .copied()
                .collect())
        })
        .collect()
}

/// Quantizes a graph with `options`, with biases that are fitted to what it computes, and with `round` fitted roundings
/// of weights. `reference` is of the same graph.
///
/// # Errors
/// [`CompensateError`] if the network cannot be quantized.
pub fn compensate(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    reference: &Reference,
    round: bool,
) -> Result<integers::Network, CompensateError> {
    let inputs = inputs(graph, calibration, options);
    let mut graph = encoded(graph, &inputs).into_owned();
    let samples = &in_units(&inputs, &reference.samples);
    let mut rounding = Rounding {
        units: vec![None; graph.populations.len()],
        offsets: vec![Vec::new(); graph.links.len()],
    };
    let mut quantizer = Quantizer::new(&graph, inputs, calibration, options)?;
    quantizer.all(&graph, &rounding)?;
    cost::choose_by_shape(&mut quantizer.network);
    let all: Vec<(Target, usize)> = graph.targets().collect();
    let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.populations.len()];
    for ((layer, (target, size)), rows) in all.into_iter().enumerate().zip(&reference.targets) {
        if is_pooled(&graph, target) {
            continue;
        }
        let quantized = &quantizer.network;
        let missing: Vec<usize> = graph
            .links_into(target)
            .filter_map(|(_, l)| match l.pre {
                Source::Population(p) if values[p].is_none() => Some(p),
                _ => None,
            })
            .collect();
        if !missing.is_empty() {
            let shown = shown(quantized, samples, &missing)?;
            for (p, shown) in missing.into_iter().zip(shown) {
                values[p] = Some(shown);
            }
        }
        let limit = largest(options.bits(layer));
        let fit = Fit {
            graph: &graph,
            quantized,
            samples,
            values: &values,
            target,
            rows,
            round,
            limit,
        };
        let fitted = fit.groups(size)?;
        let least = least_output(&graph, target);
        let bias = match target {
            Target::Population(p) => &mut graph.populations[p].bias,
            Target::Output(o) => &mut graph.outputs[o].bias,
        };
        let channels = bias.len().max(1);
        let share = fitted.len().div_ceil(channels).max(1) as f32;
        for at in 0..fitted.len().max(channels) {
            let group = &fitted[at % fitted.len().max(1)];
            bias[at % channels] += group.bias / share;
        }
        if let Some(least) = least {
            bias.iter_mut().for_each(|bias| *bias = bias.max(least));
        }
        if let Target::Population(p) = target {
            let e = &quantized.ensembles[p];
            rounding.units[p] = Some(Units {
                width: e.width,
                shift: e.current_shift.unsigned_abs(),
                threshold: e.threshold.clone(),
            });
        }
        for group in &fitted {
            for &(link, weight, offset) in &group.offsets {
                let offsets = &mut rounding.offsets[link];
                if offsets.is_empty() {
                    offsets.resize(quantized.connections[link].weights.len(), 0);
                }
                offsets[weight] = offset;
            }
        }
        // No other target depends on these biases and roundings.
        quantizer.target(&graph, target, &rounding)?;
    }
    Ok(quantizer.network)
}

/// The least value of an output that cannot be below 0, as one behind a ReLU: its sources are counts, and neither weights nor
/// biases are below 0. No fit of its bias may change that.
fn least_output(graph: &Graph, target: Target) -> Option<f32> {
    let Target::Output(output) = target else {
        return None;
    };
    let rises = |values: &[f32]| values.iter().all(|&value| value >= 0.0);
    let mut links = graph.links_into(target);
    let counts = links.all(|(_, link)| {
        let weights = match &link.map {
            LinearMap::Dense(d) => &d.weights,
            LinearMap::Convolution(c) => &c.kernel,
        };
        let counted = match link.pre {
            Source::Population(p) => matches!(
                graph.populations[p].neuron,
                Neuron::IntegrateAndFire | Neuron::Pooled(_)
            ),
            Source::Input(_) => false,
        };
        counted && rises(weights.data())
    });
    (counts && rises(&graph.outputs[output].bias)).then_some(0.0)
}

/// Values of some populations in the quantized network, sample after sample, in the float network's units.
fn shown(
    network: &integers::Network,
    samples: &Samples,
    populations: &[usize],
) -> Result<Vec<Vec<f32>>, CompensateError> {
    let bytes = assemble(network)?;
    let image = bytes.image();
    let starts: Vec<usize> = (0..samples.count).step_by(BATCH).collect();
    let parts = starts
        .par_iter()
        .map(|&from| {
            let to = (from + BATCH).min(samples.count);
            let mut arena = vec![0; image.arena_bytes() / 4];
            let mut counts = Counts {
                populations,
                values: populations
                    .iter()
                    .map(|&p| vec![0.0; network.ensembles[p].neurons * (to - from)])
                    .collect(),
                sizes: populations
                    .iter()
                    .map(|&p| network.ensembles[p].neurons)
                    .collect(),
                sample: 0,
            };
            // The arena has the size that the image states.
            if let Ok(mut engine) = HostEngine::new(&image, &mut arena) {
                for sample in from..to {
                    counts.sample = sample - from;
                    let given = bytes_of(network, samples, sample);
                    let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
                    engine.reset();
                    engine.set_inputs(&given).map_err(EmulateError::from)?;
                    while engine.step_probed(&mut counts) {}
                }
            }
            Ok(counts.values)
        })
        .collect::<Result<Vec<_>, CompensateError>>()?;
    let mut all: Vec<Vec<f32>> = vec![Vec::new(); populations.len()];
    for part in parts {
        for (all, part) in all.iter_mut().zip(part) {
            all.extend(part);
        }
    }
    let steps = network.steps.limit().unwrap_or(1);
    for (all, &p) in all.iter_mut().zip(populations) {
        let unit = (network.ensembles[p].theta / f64::from(steps)) as f32;
        all.iter_mut().for_each(|v| *v *= unit);
    }
    Ok(all)
}

/// Samples as an encoded graph sees them.
fn in_units<'s>(inputs: &[integers::Input], samples: &'s Samples) -> Cow<'s, Samples> {
    if inputs.iter().all(|input| input.channels.is_empty()) {
        return Cow::Borrowed(samples);
    }
    let inputs = inputs.iter().zip(&samples.inputs).map(|(input, values)| {
        let places = (0..input.size).cycle();
        let units = places.zip(values).map(|(place, &v)| input.unit(place, v));
        units.collect()
    });
    Cow::Owned(Samples {
        inputs: inputs.collect(),
        count: samples.count,
    })
}

/// The byte of a value that an encoded graph sees.
fn byte(input: &integers::Input, value: f32) -> u8 {
    let seen = integers::Channel {
        scale: input.scale,
        zero_point: input.zero_point.into(),
    };
    seen.byte(value, input.max)
}

/// A sample as the network gets it.
fn bytes_of(network: &integers::Network, samples: &Samples, sample: usize) -> Vec<Vec<u8>> {
    let inputs = network.inputs.iter().zip(&samples.inputs);
    inputs
        .map(|(input, values)| {
            values[sample * input.size..(sample + 1) * input.size]
                .iter()
                .map(|&v| byte(input, v))
                .collect()
        })
        .collect()
}

/// Counts the spikes of some populations.
struct Counts<'a> {
    populations: &'a [usize],
    values: Vec<Vec<f32>>,
    sizes: Vec<usize>,
    sample: usize,
}

impl Probe for Counts<'_> {
    fn spikes(&mut self, ensemble: usize, events: &[Event]) {
        for ((p, values), size) in self
            .populations
            .iter()
            .zip(&mut self.values)
            .zip(&self.sizes)
        {
            if *p == ensemble {
                for e in events {
                    values[self.sample * size + usize::from(e.source)] += f32::from(e.value);
                }
            }
        }
    }
}

/// One target, to be fitted.
struct Fit<'a> {
    graph: &'a Graph,
    quantized: &'a integers::Network,
    samples: &'a Samples,
    values: &'a [Option<Vec<f32>>],
    target: Target,
    rows: &'a Rows,
    round: bool,
    limit: i16,
}

/// Result for one group of weights.
#[derive(Default)]
struct Fitted {
    /// Correction that is added to the bias.
    bias: f32,
    /// Link, weight and what is added to it.
    offsets: Vec<(usize, usize, i8)>,
}

/// Values that the rows of one target see through one link.
struct Seen<'a> {
    index: usize,
    link: &'a Link,
    /// Values of each group of channels, column after column, one for each row.
    columns: Vec<Vec<f32>>,
    weights: Vec<f64>,
    channels: Vec<usize>,
}

/// One weight of a group.
struct Weight<'a> {
    link: usize,
    at: usize,
    /// The weight as an integer, and what one unit of it is in the float network.
    q: i16,
    unit: f32,
    /// The largest magnitude of the integer.
    limit: u16,
    /// Distance from the float network's.
    error: f32,
    column: &'a [f32],
}

impl Fit<'_> {
    fn groups(&self, size: usize) -> Result<Vec<Fitted>, CompensateError> {
        let links: Vec<(usize, &Link)> = self.graph.links_into(self.target).collect();
        let places = size / self.rows.groups.max(1);
        // Links of both kinds share no rows: what the weights of such a target are is left as it is.
        let mixed = places == 1
            && links
                .iter()
                .any(|(_, l)| matches!(&l.map, LinearMap::Convolution(c) if c.output[2] != size));
        let width: usize = links.iter().map(|(_, l)| columns(&l.map)).sum();
        if mixed || width * self.rows.at.len() > VALUES {
            return self.means(size, places);
        }
        let seen: Vec<Seen<'_>> = links
            .into_iter()
            .map(|(index, link)| self.seen(index, link, size))
            .collect();
        let width: usize = seen.iter().map(|s| s.own()).sum();
        let round = self.round && width <= self.rows.at.len() * WEIGHTS_PER_ROW;
        let penalty = width as f32 / self.rows.at.len().max(1) as f32;
        let mut weights: Vec<Vec<Weight<'_>>> = (0..self.rows.groups).map(|_| Vec::new()).collect();
        for seen in &seen {
            self.collect(seen, &mut weights);
        }
        Ok(weights
            .into_par_iter()
            .enumerate()
            .map(|(group, mut weights)| self.fit(group, &mut weights, round, penalty))
            .collect())
    }

    /// The mean difference alone, with the float network's weights.
    fn means(&self, size: usize, places: usize) -> Result<Vec<Fitted>, CompensateError> {
        let count = self.samples.count;
        let mut y = vec![0.0; size * count];
        let bias = self.graph.bias(self.target);
        for (y, bias) in y.iter_mut().zip(bias.iter().cycle()) {
            *y = *bias;
        }
        for (_, link) in self.graph.links_into(self.target) {
            link.apply_batch(count, &self.source(link.pre), &mut y)?;
        }
        let groups = self.rows.groups;
        let mut fitted: Vec<Fitted> = (0..groups).map(|_| Fitted::default()).collect();
        let rows = self.rows.at.len().max(1) as f32;
        debug_assert_eq!(places * groups, size);
        for (&(sample, place), wanted) in self.rows.at.iter().zip(self.rows.values.chunks(groups)) {
            let got = &y[sample * size + place * groups..][..groups];
            for ((fitted, got), wanted) in fitted.iter_mut().zip(got).zip(wanted) {
                fitted.bias += (wanted - got) / rows;
            }
        }
        Ok(fitted)
    }

    /// Values of a source in the quantized network, sample after sample.
    fn source(&self, pre: Source) -> Cow<'_, [f32]> {
        match pre {
            Source::Input(i) => {
                let input = &self.quantized.inputs[i];
                let values = self.samples.inputs[i].iter().map(|&v| {
                    let byte = byte(input, v);
                    ((f64::from(byte) - f64::from(input.zero_point)) * input.scale) as f32
                });
                values.collect::<Vec<_>>().into()
            }
            Source::Population(p) => self.values[p].as_deref().unwrap_or(&[]).into(),
        }
    }

    fn seen<'a>(&self, index: usize, link: &'a Link, size: usize) -> Seen<'a> {
        let x = self.source(link.pre);
        let count = self.samples.count;
        let x = link.seen(count, &x);
        let rows = self.rows.at.len();
        let columns = match &link.map {
            LinearMap::Dense(_) => {
                let inside = link.map.inputs();
                let mut all = vec![0.0; inside * rows];
                for (row, (sample, _)) in self.rows.at.iter().enumerate() {
                    let x = &x[sample * inside..][..inside];
                    for (column, x) in x.iter().enumerate() {
                        all[column * rows + row] = *x;
                    }
                }
                vec![all]
            }
            LinearMap::Convolution(c) => (0..c.groups)
                .map(|g| gather(c, &x, &self.rows.at, g))
                .collect(),
        };
        let (weights, channels, _) = image_order(&link.map, size);
        Seen {
            index,
            link,
            columns,
            weights,
            channels,
        }
    }

    /// Value of one unit of a weight in the float network.
    fn unit(&self, channel: usize, pre: Source) -> f64 {
        let value = match pre {
            Source::Input(i) => self.quantized.inputs[i].scale,
            Source::Population(p) => self.quantized.ensembles[p].theta,
        };
        let unit = match self.target {
            Target::Population(p) => {
                let e = &self.quantized.ensembles[p];
                let threshold = e.threshold[channel % e.threshold.len()];
                let unit = e.theta / f64::from(threshold);
                match pre {
                    Source::Input(_) => unit * f64::exp2(e.current_shift.into()),
                    Source::Population(_) => unit,
                }
            }
            Target::Output(o) => {
                let o = &self.quantized.outputs[o];
                o.scale * f64::from(o.multiplier[channel]) * f64::exp2(-f64::from(o.shift))
            }
        };
        unit / value
    }

    /// The weights of a link, by group.
    fn collect<'a>(&self, seen: &'a Seen<'_>, groups: &mut [Vec<Weight<'a>>]) {
        let rows = self.rows.at.len();
        let q = &self.quantized.connections[seen.index].weights;
        // Those of spikes can be wider than others.
        let limit = q.iter().map(|q| q.unsigned_abs());
        let limit = limit.fold(self.limit.unsigned_abs(), u16::max);
        let each = seen.weights.iter().zip(q).zip(seen.channels.iter().cycle());
        for (at, ((w, q), channel)) in each.enumerate() {
            let (matrix, column) = seen.column(at);
            let unit = self.unit(*channel, seen.link.pre);
            let group = channel % groups.len();
            groups[group].push(Weight {
                link: seen.index,
                at,
                q: *q,
                unit: unit as f32,
                limit,
                error: (f64::from(*q) * unit - w) as f32,
                column: &seen.columns[matrix][column * rows..][..rows],
            });
        }
    }

    fn fit(&self, group: usize, weights: &mut [Weight<'_>], round: bool, penalty: f32) -> Fitted {
        let wanted = self
            .rows
            .values
            .iter()
            .skip(group)
            .step_by(self.rows.groups);
        let bias = self.graph.bias(self.target);
        let places = self.rows.at.iter().map(|row| row.1);
        let mut got: Vec<f32> = places
            .map(|place| bias[(place * self.rows.groups + group) % bias.len()])
            .collect();
        for w in weights.iter().filter(|w| w.q != 0) {
            let value = f32::from(w.q) * w.unit;
            for (got, x) in got.iter_mut().zip(w.column) {
                *got += value * x;
            }
        }
        let hidden = match self.target {
            Target::Population(p) => -0.5 * self.quantized.ensembles[p].theta as f32,
            Target::Output(_) => f32::NEG_INFINITY,
        };
        let importance: Vec<f32> = wanted
            .clone()
            .zip(&got)
            .map(|(y, got)| if y.max(*got) > hidden { 1.0 } else { HIDDEN })
            .collect();
        // ω (y - ŷ), kept up to date.
        let mut rest: Vec<f32> = wanted
            .zip(&got)
            .zip(&importance)
            .map(|((y, got), w)| w * (y - got))
            .collect();
        let total: f32 = importance.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        let mut rest_sum: f32 = rest.iter().sum();
        let mut fitted = Fitted::default();
        if round {
            let moments: Vec<[f32; 2]> = weights
                .iter()
                .map(|w| {
                    let sum = dot(w.column, &importance);
                    let square: f32 = squares(w.column, &importance);
                    [sum, square - sum * sum / total]
                })
                .collect();
            let mut offsets = vec![0i8; weights.len()];
            for _ in 0..ROUNDS {
                let mut changed = false;
                for ((w, &[sum, square]), offset) in
                    weights.iter_mut().zip(&moments).zip(&mut offsets)
                {
                    // The other neighbour of the float weight.
                    let step: i16 = if w.error > 0.0 { -1 } else { 1 };
                    let d = f32::from(step) * w.unit;
                    let held = w.q.unsigned_abs() >= w.limit && w.q.signum() == step;
                    if square <= 0.0 || held || (w.error + d).abs() >= w.unit.abs() {
                        continue;
                    }
                    let along = dot(w.column, &rest) - sum * rest_sum / total;
                    let gain = 2.0 * d * along
                        - d * d * square
                        - penalty * square * (2.0 * w.error * d + d * d);
                    if gain > 1e-6 * d * d * square {
                        w.q += step;
                        w.error += d;
                        *offset += step as i8;
                        for ((rest, x), i) in rest.iter_mut().zip(w.column).zip(&importance) {
                            *rest -= d * x * i;
                        }
                        rest_sum -= d * sum;
                        changed = true;
                    }
                }
                if !changed {
                    break;
                }
            }
            let offsets = weights
                .iter()
                .zip(offsets)
                .filter(|(_, offset)| *offset != 0);
            fitted.offsets = offsets.map(|(w, offset)| (w.link, w.at, offset)).collect();
        }
        fitted.bias = rest_sum / total;
        fitted
    }
}

impl Seen<'_> {
    /// Weights of a group.
    fn own(&self) -> usize {
        columns(&self.link.map)
    }

    /// The group of channels and the column of a weight.
    fn column(&self, at: usize) -> (usize, usize) {
        match &self.link.map {
            LinearMap::Dense(d) => (0, at / d.weights.shape()[0].max(1)),
            LinearMap::Convolution(c) => {
                let (inner, outer) = (c.input[2] / c.groups, c.filters() / c.groups);
                let row = at / outer.max(1);
                let (tap, channel) = (row / c.input[2], row % c.input[2]);
                (channel / inner, tap * inner + channel % inner)
            }
        }
    }
}

/// Weights that a target sees through a map.
fn columns(map: &LinearMap) -> usize {
    match map {
        LinearMap::Dense(d) => d.weights.shape()[1],
        LinearMap::Convolution(c) => {
            c.kernel.shape()[0] * c.kernel.shape()[1] * c.input[2] / c.groups
        }
    }
}

/// Gathers the values that the filters of a convolution's group see in each row, column after column.
fn gather(c: &Convolution, x: &[f32], at: &[(usize, usize)], group: usize) -> Vec<f32> {
    let [height, width, channels] = c.input;
    let inner = channels / c.groups;
    let (kernel, rows) = (c.kernel.shape(), at.len());
    let mut all = vec![0.0; kernel[0] * kernel[1] * inner * rows];
    for (row, &(sample, place)) in at.iter().enumerate() {
        let x = &x[sample * height * width * channels..];
        let target = [place / c.output[1], place % c.output[1]];
        for ky in 0..kernel[0] {
            for kx in 0..kernel[1] {
                let source = |axis: usize, k: usize, size: usize| {
                    (target[axis] * c.stride[axis] + k * c.dilation[axis])
                        .checked_sub(c.padding[axis])
                        .filter(|s| *s < size)
                };
                let (Some(y), Some(x_at)) = (source(0, ky, height), source(1, kx, width)) else {
                    continue;
                };
                let from = (y * width + x_at) * channels + group * inner;
                let first = (ky * kernel[1] + kx) * inner;
                for (k, value) in x[from..from + inner].iter().enumerate() {
                    all[(first + k) * rows + row] = *value;
                }
            }
        }
    }
    all
}

/// Sums of so many values run side by side.
const LANES: usize = 8;

/// Σ a b.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * b)
}

/// Σ a² b.
fn squares(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * a * b)
}

fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(*a, *b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum();
    sums.iter().sum::<f32>() + rest
}
