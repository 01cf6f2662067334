//! Data set beside an image → signs that the data is not what the network was made for.
//!
//! None is an error: each names a cause that would else show as a poor figure, or not at all.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::set::{DataSet, Sample, Samples, Targets};
use tinyspike_shared::image::{Coder, LeftOut, Neuron};

use crate::assemble::Image;
use crate::emulate::{Run, channels};
use crate::graph::{Graph, LinearMap, Source, SourceMap};
use crate::integers;
use crate::simulation::Simulation;
use crate::stream::is_current_based;

/// A sign that data is not what a network was made for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Suspicion {
    /// All values of all samples are the same.
    Constant {
        /// The value.
        value: f32,
    },
    /// Most samples are there several times.
    Repeated {
        /// Number of samples.
        samples: usize,
        /// Number of samples without repetitions.
        distinct: usize,
    },
    /// All samples are of one class.
    OneClass {
        /// The class.
        label: u32,
    },
    /// All samples get one class, whatever their labels are.
    Alike {
        /// The class.
        class: usize,
        /// Number of samples.
        samples: usize,
    },
    /// Values that use little of an input's range.
    Small {
        /// The input.
        input: String,
        /// The least and the largest value of the data.
        found: [f32; 2],
        /// The range that the image was made for.
        range: [f32; 2],
    },
    /// Whole numbers beside an output whose classes are 0 and 1.
    NotBinary {
        /// The largest.
        largest: u32,
    },
    /// Labels that no output has.
    Labels {
        /// Number of such labels.
        count: usize,
        /// The largest.
        largest: u32,
        /// Number of outputs.
        outputs: usize,
    },
    /// Targets of another number of values than the network has outputs.
    Targets {
        /// Number of values of a sample.
        values: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// Ensembles whose neurons never spiked.
    Silent {
        /// The ensembles.
        ensembles: Vec<String>,
        /// Number of samples.
        samples: usize,
        /// Number of steps of each.
        steps: usize,
    },
    /// Neurons of an exact image that had more spikes in a step than an event may have.
    Saturated {
        /// The ensemble.
        ensemble: String,
        /// The share of its events that were full.
        share: f64,
        /// The most spikes of an event.
        most: u8,
    },
    /// An input whose bytes are too coarse for what the network does with it.
    Coarse {
        /// The input.
        input: String,
        /// The channel that loses the most.
        channel: usize,
        /// The range of its values.
        found: [f32; 2],
        /// The difference that one step of a byte stands for.
        step: f64,
    },
    /// Values outside an input's range, which are clamped to it.
    Clamped {
        /// The input.
        input: String,
        /// The channel that is the farthest off, if each has a range of its own.
        channel: Option<usize>,
        /// Number of such values.
        count: usize,
        /// Number of the input's values in all samples.
        values: usize,
        /// The least and the largest value of the data, or of the channel.
        found: [f32; 2],
        /// The range that the image was made for, or the channel's.
        range: [f32; 2],
    },
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { value } => write!(
                f,
                "all values of the data are {value}: they say nothing about what the network computes"
            ),
            Self::Repeated { samples, distinct } => write!(
                f,
                "of {samples} samples only {distinct} are distinct: ranges and accuracy stand for these alone"
            ),
            Self::OneClass { label } => write!(
                f,
                "all samples have the label {label}: their ranges and their accuracy say nothing about other classes"
            ),
            Self::Alike { class, samples } => write!(
                f,
                "the image takes all of {samples} samples for class {class}: they are of one class, or not what the network was \
                 trained on. Ranges and accuracy say nothing about other classes"
            ),
            Self::Small {
                input,
                found: [least, largest],
                range: [from, to],
            } => write!(
                f,
                "all values of the input {input:?} lie between {least:.4} and {largest:.4}, which is little of the range \
                 {from:.4} to {to:.4} that the image was made for: is the data scaled as the calibration data was?"
            ),
            Self::NotBinary { largest } => write!(
                f,
                "y has whole numbers up to {largest}, and the output is a sigmoid, whose classes are 0 and 1: they are taken \
                 for values, of which the error is shown"
            ),
            Self::Labels {
                count,
                largest,
                outputs,
            } => write!(
                f,
                "{count} labels (the largest is {largest}) have no output: the network has {outputs}, and classes \
                 count from 0. These samples count as wrong"
            ),
            Self::Targets { values, outputs } => write!(
                f,
                "y has {values} values for each sample, and the network has {outputs} outputs: neither accuracy nor \
                 error can be told. Classes are whole numbers from 0 on"
            ),
            Self::Silent {
                ensembles,
                samples,
                steps,
            } => write!(
                f,
                "no neuron of {ensembles:?} spiked in {samples} samples of {steps} steps, so that nothing behind them sees the \
                 data: are the data's scale and the step those of training, and are there enough steps?"
            ),
            Self::Saturated {
                ensemble,
                share,
                most,
            } => write!(
                f,
                "{:.1} % of the events of {ensemble:?} have {most} spikes, the most that one may have: further spikes \
                 wait for later steps, and the image is not exact. Allow more spikes in a step (up to 255)",
                share * 100.0
            ),
            Self::Coarse {
                input,
                channel,
                found: [least, largest],
                step,
            } => write!(
                f,
                "bytes are too coarse for the input {input:?}: one step of a byte is {step:.4}, and channel {channel} \
                 goes from {least:.4} to {largest:.4}, which is {:.1} bits. Bring all channels to a similar range \
                 around 0 before they reach the network, in training and on the device",
                (f64::from(largest - least) / step + 1.0).log2()
            ),
            Self::Clamped {
                input,
                channel,
                count,
                values,
                found: [least, largest],
                range: [from, to],
            } => write!(
                f,
                "{count} of {values} values of the input {input:?} lie outside the range {}{from:.4} to {to:.4} that \
                 the image was made for, and are clamped to it (the data is {least:.4} to {largest:.4}): is it \
                 scaled as the calibration data was?",
                channel.map_or_else(String::new, |channel| format!("(of channel {channel}) "))
            ),
        }
    }
}

/// Calibration samples as they pass, and what they say of themselves.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    samples: usize,
    values: usize,
    /// The first value, as long as all are the same.
    constant: Option<f32>,
    distinct: HashSet<u64>,
    labelled: usize,
    /// The first label, as long as all are the same.
    class: Option<u32>,
}

impl Watch {
    /// Looks at some more samples.
    pub fn add(&mut self, data: &DataSet) {
        let (first, same) = match data.samples() {
            Samples::U8(v) => (f32::from(v[0]) * data.byte_scale(), all_same(v)),
            Samples::F32(v) => (v[0], all_same(v)),
        };
        let known = self.values == 0 || self.constant == Some(first);
        self.constant = (same && known).then_some(first);
        self.values += data.sample_size() * data.len();
        self.samples += data.len();
        for sample in (0..data.len()).filter_map(|i| data.sample(i)) {
            let mut hasher = DefaultHasher::new();
            match sample {
                Sample::U8(v) => v.hash(&mut hasher),
                Sample::F32(v) => v.iter().for_each(|v| v.to_bits().hash(&mut hasher)),
            }
            self.distinct.insert(hasher.finish());
        }
        if let Some(labels @ [first, ..]) = data.labels() {
            let known = self.labelled == 0 || self.class == Some(*first);
            self.class = (all_same(labels) && known).then_some(*first);
            self.labelled += labels.len();
        }
    }

    /// Signs that the samples cannot stand for what a network will see.
    #[must_use]
    pub fn found(&self) -> Vec<Suspicion> {
        let (samples, distinct) = (self.samples, self.distinct.len());
        let mut found = Vec::new();
        match self.constant {
            Some(value) if self.values > 1 => found.push(Suspicion::Constant { value }),
            _ if samples >= FEW && distinct * 2 < samples => {
                found.push(Suspicion::Repeated { samples, distinct });
            }
            _ => {}
        }
        if let Some(label) = self.class.filter(|_| samples >= FEW) {
            found.push(Suspicion::OneClass { label });
        }
        found
    }
}

fn all_same<T: PartialEq>(values: &[T]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Signs that samples cannot stand for what a network will see, as [`Watch::found`].
#[must_use]
pub fn of_calibration(data: &DataSet) -> Vec<Suspicion> {
    let mut watch = Watch::default();
    watch.add(data);
    watch.found()
}

/// Signs that targets are not those of a network with so many outputs.
#[must_use]
pub fn of_targets(targets: Option<&Targets>, outputs: usize) -> Option<Suspicion> {
    let labels = match targets? {
        targets if !targets.fit(outputs) => {
            let values = targets.columns();
            return Some(Suspicion::Targets { values, outputs });
        }
        Targets::Classes { classes, .. } if outputs > 1 => classes,
        // One output of whole numbers has an error, as other values have.
        Targets::Classes { .. } | Targets::Values { .. } => return None,
    };
    let largest = labels.iter().copied().max()?;
    let count = labels.iter().filter(|l| **l as usize >= outputs).count();
    (count > 0).then_some(Suspicion::Labels {
        count,
        largest,
        outputs,
    })
}

/// Signs that targets are not those of an image.
pub(crate) fn of_image_targets(targets: Option<&Targets>, image: &Image<'_>) -> Vec<Suspicion> {
    let outputs = image.description().outputs.first();
    let outputs = outputs.map_or(0, |o| o.size as usize);
    let signs = [of_targets(targets, outputs), of_binary(targets, image)];
    signs.into_iter().flatten().collect()
}

/// A sign that whole numbers are no classes of an image that ends in a sigmoid.
fn of_binary(targets: Option<&Targets>, image: &Image<'_>) -> Option<Suspicion> {
    let output = image.description().outputs.first()?;
    let Targets::Classes { classes, .. } = targets? else {
        return None;
    };
    let largest = classes
        .iter()
        .copied()
        .max()
        .filter(|&largest| largest > 1)?;
    let sigmoid = output.size == 1 && output.left_out == LeftOut::Sigmoid;
    sigmoid.then_some(Suspicion::NotBinary { largest })
}

/// Signs that spikes end in the middle of a network.
#[must_use]
pub fn of_simulation(simulation: &Simulation) -> Option<Suspicion> {
    let silent = simulation
        .ensembles
        .iter()
        .filter(|e| e.spikes_per_image == Some(0.0));
    let ensembles: Vec<String> = silent.map(|e| e.label.clone()).collect();
    (!ensembles.is_empty()).then_some(Suspicion::Silent {
        ensembles,
        samples: simulation.images,
        steps: simulation.steps,
    })
}

/// Ratio of an input's variance to that of its rounding, both as the first layers see them, below which bytes are too
/// coarse: 17 dB.
const FINE: f64 = 50.0;

/// Signs that the bytes of inputs are too coarse for what the first layers of a network do with them.
#[must_use]
pub fn of_inputs(data: &DataSet, graph: &Graph, network: &integers::Network) -> Vec<Suspicion> {
    let mut found = Vec::new();
    let mut start = 0;
    let values = data.to_floats();
    let samples = || values.chunks_exact(data.sample_size());
    for (at, input) in network.inputs.iter().enumerate() {
        let part = start..start + input.size;
        start = part.end;
        // Weights of each channel that sees the input as it is, squared.
        let mut gains = vec![0.0; input.size];
        for link in graph
            .links
            .iter()
            .filter(|link| link.pre == Source::Input(at))
        {
            let (weights, columns): (&[f32], usize) = match (&link.map, &link.source) {
                (LinearMap::Dense(d), SourceMap::Direct) => (d.weights.data(), input.size),
                (LinearMap::Convolution(c), SourceMap::Direct) if c.groups == 1 => {
                    (c.kernel.data(), c.input[2])
                }
                _ => continue,
            };
            let wide = match &link.map {
                LinearMap::Dense(_) => 1,
                LinearMap::Convolution(c) => c.filters(),
            };
            let mut each = vec![0.0; columns.max(1)];
            for (place, w) in weights.iter().enumerate() {
                each[place / wide % columns.max(1)] += f64::from(w * w);
            }
            for (gain, own) in gains.iter_mut().zip(each.iter().cycle()) {
                *gain += own;
            }
        }
        let (mut noise, mut signal, mut worst) = (0.0, 0.0, (0.0, 0, [0.0; 2]));
        for (channel, gain) in gains.iter().enumerate() {
            let column = || samples().filter_map(|x| x.get(part.start + channel));
            let n = column().count().max(1) as f64;
            let mean = column().map(|&v| f64::from(v)).sum::<f64>() / n;
            let squares = column().map(|&v| (f64::from(v) - mean) * (f64::from(v) - mean));
            let variance = squares.sum::<f64>() / n;
            if variance <= 0.0 {
                continue;
            }
            let rounding = input.channel(channel).scale.powi(2) / 12.0;
            signal += gain * variance;
            noise += gain * rounding;
            let lost = gain * variance.min(rounding);
            if lost > worst.0 {
                let range = column().fold([f32::INFINITY, f32::NEG_INFINITY], |[a, b], &v| {
                    [a.min(v), b.max(v)]
                });
                worst = (lost, channel, range);
            }
        }
        if noise > 0.0 && signal < noise * FINE {
            found.push(Suspicion::Coarse {
                input: input.label.clone(),
                channel: worst.1,
                found: worst.2,
                step: input.channel(worst.1).scale,
            });
        }
    }
    found
}

/// Signs that neurons of an exact image had more spikes in a step than they may have.
#[must_use]
pub fn of_run(image: &Image<'_>, run: &Run) -> Vec<Suspicion> {
    let network = image.description();
    let ensembles = network.ensembles.iter().zip(&run.ensembles).enumerate();
    // Where fewer are proven to suffice, an ensemble has a smaller limit of its own.
    let most = network.ensembles.iter().map(|e| e.max_count).max();
    ensembles
        .filter(|(_, (e, _))| matches!(e.neuron, Neuron::Rectified(_)) && e.max_count > 1)
        .filter(|(_, (e, activity))| Some(e.max_count) == most && activity.full > 0)
        .map(|(at, (e, activity))| Suspicion::Saturated {
            ensemble: network.ensemble_label(at).to_owned(),
            share: activity.full as f64 / activity.events.max(1) as f64,
            most: e.max_count,
        })
        .collect()
}

/// The share of an input's range up to which bytes that use no more of it are taken for too small.
const UNUSED: f64 = 0.1;

/// The share of an input's range that data uses at least, if it is scaled as the calibration data was: a twentieth is less than
/// any change of units leaves.
const LITTLE: f64 = 0.05;

/// End of a range that bytes from 0 to 1 did not calibrate.
const BEYOND: f64 = 1.5;

/// Fewer samples say little.
pub(crate) const FEW: usize = 8;

/// One value in so many may lie outside a range by this share of it: samples that calibrated it were others.
const RARE: usize = 100;
const SLIGHT: f64 = 0.02;

/// Tells whether bytes of samples for an input of an image are meant as they are: as such they lie in its range, and
/// in 255ths they would use little of it.
#[must_use]
pub fn takes_bytes(data: &DataSet, image: &Image<'_>, input: usize) -> bool {
    let (Samples::U8(bytes), Some(input)) = (data.samples(), image.description().inputs.get(input))
    else {
        return false;
    };
    let ends = channels(image, input).into_iter();
    let ends = ends.map(|channel| (channel.value(input.max), channel.scale));
    let (to, step) = ends.fold((0.0, 0.0), |a: (f64, f64), b| if b.0 > a.0 { b } else { a });
    let largest = f64::from(bytes.iter().copied().max().unwrap_or(0));
    largest <= to + step && largest * f64::from(data.byte_scale()) < to * UNUSED
}

/// The values of a part of each step, with their places in it.
fn parts<'v, T: Copy>(
    values: &'v [T],
    step: usize,
    part: &'v Range<usize>,
) -> impl Iterator<Item = (usize, T)> + 'v {
    let steps = values.chunks_exact(step.max(1));
    steps.flat_map(|values| {
        let own = values.get(part.clone()).unwrap_or_default();
        own.iter().copied().enumerate()
    })
}

/// Signs that a data set is not what an image was made for. A sample holds the values of each input, or of a recording
/// those of each step.
#[must_use]
pub fn of_image(data: &DataSet, image: &Image<'_>) -> Vec<Suspicion> {
    let network = image.description();
    let mut found = of_image_targets(data.targets(), image);
    // A coder takes samples of any size.
    if network.coder != Coder::None {
        return found;
    }
    let counts = is_current_based(image);
    let mut start = 0;
    let step: usize = network.inputs.iter().map(|i| i.size as usize).sum();
    let steps = data.sample_size() / step.max(1);
    for (at, input) in network.inputs.iter().enumerate() {
        let part = start..start + input.size as usize;
        start = part.end;
        let channels = channels(image, input);
        let ranges: Vec<[f64; 2]> = (channels.iter())
            .map(|channel| [0, input.max].map(|byte| channel.value(byte)))
            .collect();
        let mut seen = vec![([f32::INFINITY, f32::NEG_INFINITY], 0); channels.len()];
        let mut take = |at: usize, v: f32| {
            let own = at % channels.len();
            let (channel, [from, to]) = (channels[own], ranges[own]);
            let ([least, largest], outside) = &mut seen[own];
            *least = least.min(v);
            *largest = largest.max(v);
            // Rounding moves a value by half a step.
            let (value, step) = (f64::from(v), channel.scale);
            *outside += usize::from(value < from - step || value > to + step);
        };
        for sample in (0..data.len()).filter_map(|i| data.sample(i)) {
            match sample {
                Sample::U8(v) => parts(v, step, &part)
                    .for_each(|(at, v)| take(at, f32::from(v) * data.byte_scale())),
                Sample::F32(v) => parts(v, step, &part).for_each(|(at, v)| take(at, v)),
            }
        }
        let count: usize = seen.iter().map(|(_, outside)| outside).sum();
        let values = input.size as usize * data.len() * steps;
        // How far each channel goes beyond its range, as a share of it.
        let beyond = seen
            .iter()
            .zip(&ranges)
            .map(|(([least, largest], _), [from, to])| {
                let beyond = (from - f64::from(*least)).max(f64::from(*largest) - to);
                beyond / (to - from)
            });
        // The largest share of its range that a channel uses.
        let used = seen.iter().zip(&ranges).map(|((ends, _), range)| {
            let largest = |[a, b]: [f64; 2]| a.abs().max(b.abs());
            largest(ends.map(f64::from)) / largest(*range)
        });
        // Bytes that stand for 0 to 1 were none where ranges go beyond.
        let most = (ranges.iter().flatten()).fold(0.0, |m: f64, end| m.max(end.abs()));
        let others = data.has_plain_bytes() && most > BEYOND;
        // Counts of events are few.
        let little = !counts && used.fold(0.0, f64::max) < LITTLE;
        if data.len() * steps >= FEW && (others && !counts || little) {
            let none = [f32::INFINITY, f32::NEG_INFINITY];
            let both = |[a, b]: [f32; 2], [c, d]: [f32; 2]| [a.min(c), b.max(d)];
            found.push(Suspicion::Small {
                input: network.input_label(at).to_owned(),
                found: seen.iter().map(|(ends, _)| *ends).fold(none, both),
                range: (ranges.iter().map(|range| range.map(|end| end as f32))).fold(none, both),
            });
            continue;
        }
        let Some((worst, beyond)) = beyond.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else {
            continue;
        };
        let few = count * RARE < values && beyond < SLIGHT;
        if count > 0 && !few {
            found.push(Suspicion::Clamped {
                input: network.input_label(at).to_owned(),
                channel: (channels.len() > 1).then_some(worst),
                count,
                values,
                found: seen[worst].0,
                range: ranges[worst].map(|end| end as f32),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(samples: Samples, size: usize, labels: Option<Vec<u32>>) -> DataSet {
        DataSet::new(vec![size], samples, labels).unwrap()
    }

    #[test]
    fn calibration_that_says_nothing_is_named() {
        let zeros = set(Samples::U8(vec![0; 40]), 4, None);
        let constant = Suspicion::Constant { value: 0.0 };
        assert_eq!(of_calibration(&zeros), [constant]);
        // Two samples, five times each.
        let twice = set(Samples::F32([1.0, 2.0, 3.0, 4.0].repeat(5)), 2, None);
        let repeated = Suspicion::Repeated {
            samples: 10,
            distinct: 2,
        };
        assert_eq!(of_calibration(&twice), [repeated]);
        // Seen in parts, samples say the same as at once.
        let mut watch = Watch::default();
        for value in [1.0, 1.0, 2.0, 1.0, 1.0] {
            watch.add(&set(Samples::F32(vec![value; 4]), 2, Some(vec![7; 2])));
        }
        assert_eq!(
            watch.found(),
            [
                Suspicion::Repeated {
                    samples: 10,
                    distinct: 2
                },
                Suspicion::OneClass { label: 7 },
            ]
        );
    }

    #[test]
    fn one_class_is_named() {
        let values: Vec<f32> = (0..20u8).map(f32::from).collect();
        let of = |labels: Vec<u32>| set(Samples::F32(values.clone()), 2, Some(labels));
        let expected = Suspicion::OneClass { label: 3 };
        assert_eq!(of_calibration(&of(vec![3; 10])), [expected]);
        assert_eq!(of_calibration(&of([vec![3; 9], vec![2]].concat())), []);
    }

    #[test]
    fn labels_without_an_output_are_counted() {
        let of = |labels: Vec<u32>| set(Samples::U8(vec![1; labels.len()]), 1, Some(labels));
        assert_eq!(of_targets(of(vec![0, 9, 4]).targets(), 10), None);
        let beyond = Suspicion::Labels {
            count: 2,
            largest: 11,
            outputs: 10,
        };
        assert_eq!(of_targets(of(vec![1, 10, 11]).targets(), 10), Some(beyond));
        assert_eq!(of_targets(of(vec![0, 1, 2]).targets(), 1), None);
        let two = Targets::Values {
            size: 2,
            values: vec![0.5; 4],
            bytes: false,
            labels: true,
        };
        let two = set(Samples::U8(vec![1, 2]), 1, None).with_targets(Some(two));
        let (values, outputs) = (2, 3);
        // Rows with a column more than there are outputs, though no sample has that class.
        for (columns, outputs, fits) in
            [(10, 10, true), (11, 10, false), (2, 1, true), (3, 1, false)]
        {
            let rows = Targets::Classes {
                classes: vec![1, 0],
                columns: Some(columns),
                rows: Vec::new(),
            };
            let sign = Suspicion::Targets {
                values: columns,
                outputs,
            };
            assert_eq!(of_targets(Some(&rows), outputs), (!fits).then_some(sign));
        }
        assert_eq!(of_targets(two.targets(), 2), None);
        let others = Suspicion::Targets { values, outputs };
        assert_eq!(of_targets(two.targets(), outputs), Some(others));
    }

    #[test]
    fn ordinary_data_raises_no_suspicion() {
        let values: Vec<u8> = (0..80).collect();
        let labels = (0..20).map(|i| i % 3).collect();
        let data = set(Samples::U8(values), 4, Some(labels));
        assert_eq!(of_calibration(&data), []);
        assert_eq!(of_targets(data.targets(), 3), None);
    }
}
