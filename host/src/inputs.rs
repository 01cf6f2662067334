//! Data sets → an array for each input of a network.

use std::ops::Range;

use crate::data::{DataSet, Frames, Targets};
use crate::judge::Judge;
use crate::network::{Network, NodeKind};
use crate::simulate::{Input, InputData};
use crate::tensor::Tensor;

/// Data for each input of a network, in the network's order.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The input nodes' labels.
    labels: Vec<String>,
    data: Vec<Data>,
    targets: Option<Targets>,
    byte_scale: f32,
    temporal: bool,
}

/// Data of one input.
#[derive(Clone, Debug)]
enum Data {
    /// An array of shape `[samples, ..]`, or in a temporal model `[samples, steps, ..]`.
    Dense(Tensor),
    /// Recordings of events over time, which stay events until they are asked for.
    Events(Frames),
}

impl Data {
    /// The first `axes` axes of the array: samples, or samples and steps.
    fn axes(&self, axes: usize) -> Vec<usize> {
        match self {
            Self::Dense(tensor) => tensor.shape().iter().take(axes).copied().collect(),
            Self::Events(frames) => vec![frames.len(), frames.steps()],
        }
    }

    /// Some of the samples, in the first steps if there are more.
    fn rows(&self, samples: Range<usize>, steps: Option<usize>) -> Tensor {
        match (self, steps) {
            (Self::Dense(tensor), None) => rows(tensor, samples),
            (Self::Dense(tensor), Some(steps)) => first_steps(&rows(tensor, samples), steps),
            (Self::Events(frames), steps) => frames.dense(samples, steps.unwrap_or(usize::MAX)),
        }
    }
}

/// Mismatch of data and a network's inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputsError {
    /// Neither one data set for each input, nor one for all.
    #[error("{found} data sets for the inputs {}; give one for each", names.join(", "))]
    Count {
        /// The inputs' names.
        names: Vec<String>,
        /// Number of data sets.
        found: usize,
    },
    /// Samples of another shape.
    #[error(
        "samples have the shape {found:?}, but the input {input:?} takes {}{expected:?}{}",
        if *temporal { "steps of " } else { "" },
        reordered(found, expected, usize::from(*temporal))
    )]
    Shape {
        /// The input's name.
        input: String,
        /// The samples' shape.
        found: Vec<usize>,
        /// The input's shape.
        expected: Vec<usize>,
        /// True if an axis of time comes before it.
        temporal: bool,
    },
    /// Inputs whose numbers of samples differ, or of steps.
    #[error("the input {input:?} has {found:?} samples{}, but the first input has {first:?}", if first.len() > 1 { " and steps" } else { "" })]
    Samples {
        /// The input's name.
        input: String,
        /// Its number of samples, and in a temporal model of steps.
        found: Vec<usize>,
        /// The first input's.
        first: Vec<usize>,
    },
}

impl InputsError {
    /// The input at fault, if it is one.
    #[must_use]
    pub fn input(&self) -> Option<&str> {
        match self {
            Self::Count { .. } => None,
            Self::Shape { input, .. } | Self::Samples { input, .. } => Some(input),
        }
    }
}

impl Inputs {
    /// Shapes samples as a network's inputs are. There is a data set for each input, in the network's
    /// order, or one for all whose samples hold the values of each, see [`DataSet::side_by_side`]. In a
    /// temporal model, samples have an axis of time before.
    ///
    /// # Errors
    /// [`InputsError`], if the data does not fit the inputs.
    pub fn new(network: &Network, sets: &[DataSet], temporal: bool) -> Result<Self, InputsError> {
        let inputs = Place::all(network);
        let split;
        let sets = match sets {
            [one] if inputs.len() > 1 => {
                split = split_up(one, &inputs, temporal)?;
                split.as_slice()
            }
            _ => sets,
        };
        if sets.len() != inputs.len() {
            return Err(InputsError::Count {
                names: inputs.iter().map(|input| input.name.clone()).collect(),
                found: sets.len(),
            });
        }
        let mut all = Self {
            labels: Vec::new(),
            data: Vec::new(),
            targets: None,
            byte_scale: 1.0,
            temporal,
        };
        for (input, set) in inputs.into_iter().zip(sets) {
            all.add(input, set)?;
        }
        Ok(all)
    }

    /// Takes recordings of events, in steps, as the data of a network's only input.
    ///
    /// # Errors
    /// [`InputsError`], if the network has other inputs.
    pub fn of_events(network: &Network, frames: Frames) -> Result<Self, InputsError> {
        let mut inputs = Place::all(network);
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else {
            return Err(InputsError::Count {
                names: network
                    .inputs
                    .iter()
                    .map(|(name, _)| name.clone())
                    .collect(),
                found: 1,
            });
        };
        if frames.shape() != input.shape {
            return Err(InputsError::Shape {
                input: input.name,
                found: frames.shape().to_vec(),
                expected: input.shape,
                temporal: true,
            });
        }
        Ok(Self {
            labels: vec![input.label],
            targets: frames.targets().cloned(),
            data: vec![Data::Events(frames)],
            byte_scale: 1.0,
            temporal: true,
        })
    }

    fn add(&mut self, input: Place, set: &DataSet) -> Result<(), InputsError> {
        let refuse = || InputsError::Shape {
            input: input.name.clone(),
            found: set.shape().to_vec(),
            expected: input.shape.clone(),
            temporal: self.temporal,
        };
        let mut shape = vec![set.len()];
        let mut each = set.shape();
        if self.temporal {
            let (steps, rest) = each.split_first().ok_or_else(refuse)?;
            shape.push(*steps);
            each = rest;
        }
        let axes = shape.len();
        if !fits(each, &input.shape) {
            return Err(refuse());
        }
        shape.extend(&input.shape);
        let tensor = Tensor::new(shape, set.to_floats()).ok_or_else(refuse)?;
        let data = Data::Dense(tensor);
        if let Some(first) = self.data.first() {
            let (first, found) = (first.axes(axes), data.axes(axes));
            if first != found {
                return Err(InputsError::Samples {
                    input: input.name,
                    found,
                    first,
                });
            }
        }
        if self.targets.is_none() {
            self.targets = set.targets().cloned();
            self.byte_scale = set.byte_scale();
        }
        self.labels.push(input.label);
        self.data.push(data);
        Ok(())
    }

    /// Tells whether samples of this shape have an axis of time before those of a network's input, by its number.
    #[must_use]
    pub fn over_time(network: &Network, at: usize, shape: &[usize]) -> bool {
        let input = Place::all(network).into_iter().nth(at);
        input.is_some_and(|input| {
            let each = shape.split_first().map(|(_, each)| each);
            !fits(shape, &input.shape) && each.is_some_and(|each| fits(each, &input.shape))
        })
    }

    /// The shape of a network's input, by its number.
    #[must_use]
    pub fn shape(network: &Network, at: usize) -> Option<Vec<usize>> {
        Place::all(network)
            .into_iter()
            .nth(at)
            .map(|input| input.shape)
    }

    /// Checks the shape of samples for an input of a network, by its number.
    ///
    /// # Errors
    /// [`InputsError::Shape`], if it does not fit.
    pub fn check(network: &Network, at: usize, shape: &[usize]) -> Result<(), InputsError> {
        match Place::all(network).into_iter().nth(at) {
            Some(input) if !fits(shape, &input.shape) => Err(InputsError::Shape {
                input: input.name,
                found: shape.to_vec(),
                expected: input.shape,
                temporal: false,
            }),
            _ => Ok(()),
        }
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        let first = self
            .data
            .first()
            .and_then(|data| data.axes(1).first().copied());
        first.unwrap_or(0)
    }

    /// Tells whether there is no sample, as for a network without inputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of steps of a temporal model's data.
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        let first = self.data.first().filter(|_| self.temporal)?;
        first.axes(2).get(1).copied()
    }

    /// The most samples to hold at a time, so that events that become dense take no more than 256 MiB in so many
    /// steps.
    pub(crate) fn block(&self, steps: usize) -> usize {
        const MOST: usize = 1 << 26;
        let sizes = self.data.iter().map(|data| match data {
            Data::Events(frames) => frames.shape().iter().product::<usize>(),
            Data::Dense(_) => 0,
        });
        let each = sizes.sum::<usize>().saturating_mul(steps);
        MOST.checked_div(each).unwrap_or(usize::MAX).max(1)
    }

    /// The results that the network should have, if known.
    #[must_use]
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// The judge of a first output of so many values, if there are targets that fit.
    #[must_use]
    pub fn judge(&self, outputs: usize, threshold: f64) -> Option<Judge<'_>> {
        Judge::of(self.targets.as_ref()?, self.byte_scale, outputs, threshold)
    }

    /// Some of the samples, for a Keras model; none of those past the end.
    #[must_use]
    pub fn tensors(&self, samples: Range<usize>) -> Vec<Tensor> {
        let data = self.data.iter();
        data.map(|data| data.rows(samples.clone(), None)).collect()
    }

    /// Some of the samples, for a simulation of so many steps, if the data has as many.
    #[must_use]
    pub fn nodes(&self, samples: Range<usize>, steps: usize) -> Vec<Input> {
        let all = self.labels.iter().zip(&self.data);
        all.map(|(label, data)| Input {
            name: label.clone(),
            data: if self.temporal {
                InputData::Steps(data.rows(samples.clone(), Some(steps)))
            } else {
                InputData::Static(data.rows(samples.clone(), None))
            },
        })
        .collect()
    }
}

/// Tells whether samples of a shape are those of an input: the same axes, if none of length 1 counts, or all of
/// them in one.
pub(crate) fn fits(found: &[usize], expected: &[usize]) -> bool {
    let long = |shape: &[usize]| -> Vec<usize> {
        let axes = shape.iter().copied();
        axes.filter(|length| *length != 1).collect()
    };
    let (found, expected) = (long(found), long(expected));
    let size = |shape: &[usize]| shape.iter().product::<usize>();
    size(&found) == size(&expected)
        && (found == expected || found.len() == 1 || expected.len() == 1)
}

/// The order in which axes have to be put, behind the first ones of all samples and of time, as a part of a
/// message; empty if no order helps.
pub(crate) fn reordered(found: &[usize], expected: &[usize], times: usize) -> String {
    let found = found.get(times..).unwrap_or_default();
    let mut left: Vec<Option<usize>> = found.iter().copied().map(Some).collect();
    let order: Option<Vec<usize>> = (expected.iter())
        .map(|length| {
            let at = left.iter().position(|axis| *axis == Some(*length))?;
            left[at] = None;
            Some(at)
        })
        .collect();
    match order {
        Some(order) if found.len() == expected.len() => {
            let all = (0..=times).chain(order.iter().map(|at| at + times + 1));
            let all: Vec<String> = all.map(|axis| axis.to_string()).collect();
            format!(
                ": its axes are in another order; numpy.transpose(x, ({})) turns them",
                all.join(", ")
            )
        }
        _ => String::new(),
    }
}

/// An input of a network.
struct Place {
    name: String,
    label: String,
    shape: Vec<usize>,
}

impl Place {
    fn all(network: &Network) -> Vec<Self> {
        let inputs = network.inputs.iter().map(|(name, node)| {
            let node = network.nodes.get(node.0);
            Self {
                name: name.clone(),
                label: node.map(|n| n.label.clone()).unwrap_or_default(),
                shape: match node.map(|n| &n.kind) {
                    Some(NodeKind::Input { shape }) => shape.clone(),
                    _ => Vec::new(),
                },
            }
        });
        inputs.collect()
    }

    fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The data sets of several inputs whose values lie one behind the other in a sample.
fn split_up(set: &DataSet, inputs: &[Place], temporal: bool) -> Result<Vec<DataSet>, InputsError> {
    let each: usize = inputs.iter().map(Place::size).sum();
    let steps = if temporal {
        set.sample_size().checked_div(each).unwrap_or(0)
    } else {
        1
    };
    let mut from = 0;
    let parts = inputs.iter().map(|input| {
        let size = input.size() * steps;
        let part = from..from + size;
        from += size;
        let mut shape = input.shape.clone();
        if temporal {
            shape.insert(0, steps);
        }
        set.part(part, shape)
    });
    let parts: Option<Vec<DataSet>> = parts.collect();
    parts
        .filter(|_| from == set.sample_size())
        .ok_or_else(|| InputsError::Count {
            names: inputs.iter().map(|input| input.name.clone()).collect(),
            found: 1,
        })
}

/// Some items of the first axis, of those that there are.
fn rows(tensor: &Tensor, range: Range<usize>) -> Tensor {
    let [count, rest @ ..] = tensor.shape() else {
        return tensor.clone();
    };
    let size: usize = rest.iter().product();
    let (from, to) = (range.start.min(*count), range.end.min(*count));
    let values = tensor.data().get(from * size..to * size).unwrap_or(&[]);
    let shape = [&[to.saturating_sub(from)], rest].concat();
    // There are as many values as the shape says.
    Tensor::new(shape, values.to_vec()).unwrap_or_else(|| tensor.clone())
}

/// The first of the steps on the second axis, of those that there are.
fn first_steps(tensor: &Tensor, steps: usize) -> Tensor {
    let [items, all, rest @ ..] = tensor.shape() else {
        return tensor.clone();
    };
    let steps = steps.min(*all);
    let size: usize = rest.iter().product();
    let values = (tensor.data().chunks_exact((all * size).max(1)))
        .flat_map(|item| &item[..steps * size])
        .copied()
        .collect();
    let shape = [&[*items, steps], rest].concat();
    Tensor::new(shape, values).unwrap_or_else(|| tensor.clone())
}
