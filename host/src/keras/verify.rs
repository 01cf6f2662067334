//! Comparison of a converted network with its Keras model.

use thiserror::Error;

use crate::inputs::InputsError;
use crate::keras::forward::{self, ForwardError};
use crate::keras::model::Model;
use crate::network::Network;
use crate::simulate::{Input, InputData, SimulateError, SimulateOptions, Simulator};
use crate::tensor::Tensor;

/// Tolerances of the comparison; the default is NengoDL's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VerifyOptions {
    /// Allowed difference.
    pub atol: f64,
    /// Allowed difference for each unit of the largest of an output's values, by magnitude.
    pub rtol: f64,
    /// `true` if the first axis of every input and output after the batch is time.
    pub temporal_model: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            atol: 1e-8,
            rtol: 1e-5,
            temporal_model: false,
        }
    }
}

/// Reason why a network could not be verified at all.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The Keras model could not run.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The data does not fit the network's inputs.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The network could not run.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The model has an axis of unknown length, and no inputs were given.
    #[error("the input \"{input}\" has an axis of unknown length; give inputs to verify with")]
    UnknownShape {
        /// The input layer's name.
        input: String,
    },
    /// The network is not this model's.
    #[error(
        "the network has no output of the size of the model's \"{output}\"; it was converted from another model"
    )]
    Output {
        /// The model's output layer.
        output: String,
    },
}

/// Comparison of one output of model and network.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The output's layer.
    pub output: String,
    /// The number of values that were compared.
    pub values: usize,
    /// The number of values that are too far apart.
    pub failures: usize,
    /// The largest difference.
    pub max_difference: f64,
    /// The largest output of the Keras model, by magnitude.
    pub max_magnitude: f64,
}

impl Comparison {
    /// `true` if all values agree.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures == 0
    }
}

/// The outcome of [`verify`], a row for each output.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Comparisons in the model's order.
    pub outputs: Vec<Comparison>,
    /// The tolerances.
    pub options: VerifyOptions,
}

impl Verification {
    /// `true` if all outputs agree.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outputs.iter().all(Comparison::passed)
    }

    /// Adds the outcome on other samples of the same model.
    pub fn add(&mut self, more: Self) {
        if self.outputs.is_empty() {
            self.outputs = more.outputs;
            return;
        }
        for (sum, more) in self.outputs.iter_mut().zip(more.outputs) {
            sum.values += more.values;
            sum.failures += more.failures;
            sum.max_difference = sum.max_difference.max(more.max_difference);
            sum.max_magnitude = sum.max_magnitude.max(more.max_magnitude);
        }
    }
}

/// Compares a model's outputs with those of the network that it was converted to, as NengoDL's
/// `Converter.verify` does, except that the tolerance rests on an output's largest value and not on each: sums
/// in another order differ by as much in small values as in large ones. Each value may differ by
/// `atol + rtol max |model's|`. The network runs one step, or in a temporal model as many as the inputs have.
///
/// `inputs` has an array for each of the model's inputs, with the batch axis first; without it, the
/// inputs are two items of ones (of ten steps, if the length in time is unknown).
///
/// # Errors
/// [`VerifyError`] if model or network cannot run. That they differ is no error, but the result.
pub fn verify(
    model: &Model,
    network: &Network,
    inputs: Option<&[Tensor]>,
    options: &VerifyOptions,
) -> Result<Verification, VerifyError> {
    let ones;
    let inputs = match inputs {
        Some(inputs) => inputs,
        None => {
            ones = ones_for(model, options)?;
            &ones
        }
    };
    let expected = forward::forward(model, inputs)?;
    let steps = match inputs.first().map(Tensor::shape) {
        Some([_, steps, ..]) if options.temporal_model => *steps,
        _ => 1,
    };
    let data: Vec<Input> = network
        .inputs
        .iter()
        .zip(inputs)
        .map(|((_, node), x)| Input {
            name: (network.nodes.get(node.0))
                .map(|n| n.label.clone())
                .unwrap_or_default(),
            data: if options.temporal_model {
                InputData::Steps(with_values(x, 2))
            } else {
                InputData::Static(with_values(x, 1))
            },
        })
        .collect();
    let simulator = Simulator::new(network, &SimulateOptions::default())?;
    let run = simulator.predict(&data, steps)?;
    let outputs = expected
        .iter()
        .zip(&network.outputs)
        .map(|(expected, (label, probe))| {
            let found = run
                .probes
                .get(probe.0)
                .filter(|p| p.values.len() == expected.len())
                .ok_or_else(|| VerifyError::Output {
                    output: label.clone(),
                })?;
            Ok(compare(label, expected, &found.values, options))
        })
        .collect::<Result<Vec<_>, VerifyError>>()?;
    Ok(Verification {
        outputs,
        options: *options,
    })
}

/// The array with at least one axis after the first `axes`, as a scalar input has none.
fn with_values(x: &Tensor, axes: usize) -> Tensor {
    if x.shape().len() > axes {
        return x.clone();
    }
    let mut shape = x.shape().to_vec();
    shape.push(1);
    x.reshaped(shape).unwrap_or_else(|| x.clone())
}

fn ones_for(model: &Model, options: &VerifyOptions) -> Result<Vec<Tensor>, VerifyError> {
    model
        .inputs
        .iter()
        .map(|input| {
            let layer = model.layers.get(input.layer);
            let known = model.shape_of(*input).and_then(|shape| {
                let mut known = vec![2];
                for (axis, length) in shape.iter().enumerate() {
                    match length {
                        Some(n) => known.push(*n),
                        None if axis == 0 && options.temporal_model => known.push(10),
                        None => return None,
                    }
                }
                Some(known)
            });
            match known {
                Some(shape) => Ok(Tensor::filled(shape, 1.0)),
                None => Err(VerifyError::UnknownShape {
                    input: layer.map(|l| l.name.clone()).unwrap_or_default(),
                }),
            }
        })
        .collect()
}

fn compare(label: &str, keras: &Tensor, nengo: &Tensor, options: &VerifyOptions) -> Comparison {
    let magnitudes = keras.data().iter().map(|k| f64::from(k.abs()));
    let mut comparison = Comparison {
        output: label.to_owned(),
        values: keras.len(),
        failures: 0,
        max_difference: 0.0,
        max_magnitude: magnitudes.fold(0.0, f64::max),
    };
    let allowed = options.atol + options.rtol * comparison.max_magnitude;
    for (k, n) in keras.data().iter().zip(nengo.data()) {
        let (k, n) = (f64::from(*k), f64::from(*n));
        let difference = (k - n).abs();
        // NaN compares as false: it is a failure.
        let close = difference <= allowed;
        comparison.failures += usize::from(!close);
        comparison.max_difference = comparison.max_difference.max(difference);
    }
    comparison
}
