//! The data of a model's inputs, from the files that the user names.

use std::ops::Range;

use tinyspike::assemble::Image;
use tinyspike::convert::Conversion;
use tinyspike::data::{self, DataError, DataSet};
use tinyspike::network::NodeKind;
use tinyspike::simulate::{Input, InputData};
use tinyspike::tensor::Tensor;

use crate::diagnostics::Failure;

/// Data for each input of a model, in the model's order.
pub(crate) struct Inputs {
    /// The input nodes' labels.
    labels: Vec<String>,
    tensors: Vec<Tensor>,
    classes: Option<Vec<u32>>,
    temporal: bool,
}

impl Inputs {
    /// Reads `[INPUT=]FILE` for each input, and shapes the samples as the inputs are. At most `limit`
    /// samples are kept. In a temporal model, samples have an axis of time before.
    pub(crate) fn load(
        files: &[String],
        conversion: &Conversion,
        temporal: bool,
        byte_scale: f32,
        limit: Option<u32>,
    ) -> Result<Self, Failure> {
        let names: Vec<&str> = conversion
            .network
            .inputs
            .iter()
            .map(|(n, _)| n.as_str())
            .collect();
        let paths = assign("--data", files, &names)?;
        let mut inputs = Self {
            labels: Vec::new(),
            tensors: Vec::new(),
            classes: None,
            temporal,
        };
        for ((name, node), path) in conversion.network.inputs.iter().zip(paths) {
            let mut set = data::load(path)?.with_byte_scale(byte_scale);
            if let Some(limit) = limit {
                set = set.take(limit as usize);
            }
            let node = conversion.network.nodes.get(node.0);
            let wanted = match node.map(|n| &n.kind) {
                Some(NodeKind::Input { shape }) => shape.as_slice(),
                _ => &[],
            };
            let refuse = |what: &str| {
                Failure::new(format!(
                    "{path}: samples have the shape {:?}, but the input {name:?} takes {what}{wanted:?}",
                    set.shape()
                ))
            };
            let mut shape = vec![set.len()];
            let mut each = set.shape();
            if temporal {
                let (steps, rest) = each.split_first().ok_or_else(|| refuse("steps of "))?;
                shape.push(*steps);
                each = rest;
            }
            if each.iter().product::<usize>() != wanted.iter().product::<usize>() {
                return Err(refuse(if temporal { "steps of " } else { "" }));
            }
            shape.extend(wanted);
            let values = set.to_floats();
            let tensor = Tensor::new(shape, values).ok_or_else(|| refuse(""))?;
            if let Some(first) = inputs.tensors.first() {
                let axes = if temporal { 2 } else { 1 };
                let (first, here) = (first.shape().get(..axes), tensor.shape().get(..axes));
                if first != here {
                    return Err(Failure::new(format!(
                        "{path}: the input {name:?} has {here:?} samples{}, but the first input has \
                         {first:?}",
                        if temporal { " and steps" } else { "" },
                        here = here.unwrap_or_default(),
                        first = first.unwrap_or_default(),
                    )));
                }
            }
            inputs.classes = inputs.classes.or_else(|| set.labels().map(<[u32]>::to_vec));
            inputs
                .labels
                .push(node.map(|n| n.label.clone()).unwrap_or_default());
            inputs.tensors.push(tensor);
        }
        Ok(inputs)
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.tensors.first().map_or(0, |t| t.shape()[0])
    }

    /// How many steps a temporal model's data has.
    pub(crate) fn steps(&self) -> Option<usize> {
        let shape = self.tensors.first().filter(|_| self.temporal)?.shape();
        shape.get(1).copied()
    }

    /// The class of each sample, where known.
    pub(crate) fn classes(&self) -> Option<&[u32]> {
        self.classes.as_deref()
    }

    /// Some of the samples, for the model.
    pub(crate) fn tensors(&self, samples: Range<usize>) -> Vec<Tensor> {
        (self.tensors.iter())
            .map(|t| rows(t, samples.clone()))
            .collect()
    }

    /// Some of the samples, for a simulation of so many steps.
    pub(crate) fn nodes(&self, samples: Range<usize>, steps: usize) -> Vec<Input> {
        (self.labels.iter().zip(&self.tensors))
            .map(|(label, tensor)| {
                let x = rows(tensor, samples.clone());
                Input {
                    name: label.clone(),
                    data: if self.temporal {
                        InputData::Steps(first_steps(&x, steps))
                    } else {
                        InputData::Static(x)
                    },
                }
            })
            .collect()
    }
}

/// The data of all inputs of an image, one behind the other in a sample.
pub(crate) fn of_image(
    files: &[String],
    image: &Image<'_>,
    byte_scale: f32,
) -> Result<DataSet, Failure> {
    let network = image.description();
    let labels = (0..network.inputs.len()).map(|at| network.input_label(at));
    let labels: Vec<&str> = labels.collect();
    joined("--data", files, &labels, |path| {
        Ok(data::load(path)?.with_byte_scale(byte_scale))
    })
}

/// The data of all inputs, from the files that a flag names.
pub(crate) fn joined(
    flag: &str,
    files: &[String],
    names: &[&str],
    load: impl Fn(&str) -> Result<DataSet, DataError>,
) -> Result<DataSet, Failure> {
    let paths = assign(flag, files, names)?;
    let sets: Vec<DataSet> = paths
        .iter()
        .map(|path| load(path))
        .collect::<Result<_, _>>()?;
    let counts: Vec<String> = (paths.iter().zip(&sets))
        .map(|(path, set)| format!("{path} has {}", set.len()))
        .collect();
    DataSet::side_by_side(sets).ok_or_else(|| {
        Failure::new(format!(
            "all inputs need the same number of samples: {}",
            counts.join(", ")
        ))
    })
}

/// Which file is which input's, as a flag says.
pub(crate) fn assign<'a>(
    flag: &str,
    files: &'a [String],
    names: &[&str],
) -> Result<Vec<&'a str>, Failure> {
    let listed = names.join(", ");
    let mut paths: Vec<Option<&str>> = vec![None; names.len()];
    for file in files {
        // A path may have an equals sign too.
        let named = file.split_once('=').and_then(|(name, path)| {
            let at = names.iter().position(|n| *n == name)?;
            Some((at, path))
        });
        let (at, path) = match named {
            Some(named) => named,
            None if names.len() == 1 => (0, file.as_str()),
            None => {
                return Err(Failure::new(format!(
                    "{flag} {file} does not say which input it is for; the model has the inputs {listed}"
                ))
                .hint(format!("give {flag} INPUT=FILE for each input")));
            }
        };
        if paths[at].replace(path).is_some() {
            return Err(Failure::new(format!(
                "{flag} is given twice for the input {:?}",
                names[at]
            )));
        }
    }
    let missing: Vec<&str> = (names.iter().zip(&paths))
        .filter(|(_, path)| path.is_none())
        .map(|(name, _)| *name)
        .collect();
    if !missing.is_empty() {
        return Err(Failure::new(format!(
            "{flag} has no file for the input {}",
            missing.join(", ")
        ))
        .hint(format!("give {flag} INPUT=FILE for each input")));
    }
    Ok(paths.into_iter().flatten().collect())
}

/// Some items of the first axis.
fn rows(tensor: &Tensor, range: Range<usize>) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    let size: usize = shape[1..].iter().product();
    shape[0] = range.len();
    let values = tensor.data()[range.start * size..range.end * size].to_vec();
    Tensor::new(shape, values).expect("as many values as the shape says")
}

/// The first of the steps on the second axis.
fn first_steps(tensor: &Tensor, steps: usize) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    let all: usize = shape[1..].iter().product();
    let size: usize = shape[2..].iter().product();
    shape[1] = steps;
    let values = (tensor.data().chunks_exact(all))
        .flat_map(|item| &item[..steps * size])
        .copied()
        .collect();
    Tensor::new(shape, values).expect("as many values as the shape says")
}
