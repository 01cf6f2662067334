//! Model, network and image on the same samples → what each step of the way cost.

use std::fmt;

use serde::Serialize;

use crate::assemble::Image;
use crate::cost::DenseMacs;
use crate::data::DataSet;
use crate::deploy::Deployment;
use crate::emulate::{self, EmulateError, EmulateOptions, in_units};
use crate::inputs::Inputs;
use crate::judge::{Figures, Judge, THRESHOLD, largest, relative_error};
use crate::network::{Head, Network};
use crate::ops::OpsError;
use crate::pipeline;
use crate::tensor::Tensor;

/// Multiplications of the dense network that a comparison may cost, and the samples that it takes for them.
const MACS: u64 = 1 << 31;
const SAMPLES: std::ops::RangeInclusive<u64> = 16..=512;
/// Samples that a model runs at a time.
const BLOCK: usize = 32;

/// First output of model, float network and image on the same samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Number of samples.
    pub samples: usize,
    /// The model itself.
    pub model: Outcome,
    /// The float network that is quantized; `None` for an exact image, which takes the steps of a simulation.
    pub network: Option<Outcome>,
    /// The image.
    pub image: Outcome,
    /// The image's root mean squared difference from the network (or else from the model), relative to the standard
    /// deviation; `None` if outputs are ranked, or shown by a function that the image leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
}

/// Worth of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Figures against the targets, if there are any.
    #[serde(flatten)]
    pub figures: Figures,
    /// The share of samples whose largest output is the model's; `None` for one output, and for
    /// outputs of several axes.
    pub agreement: Option<f64>,
}

/// Reason why nothing could be compared.
#[derive(Debug, thiserror::Error)]
#[error("model and image cannot be compared: {0}")]
#[non_exhaustive]
pub enum CompareError {
    /// The model could not run.
    Model(String),
    /// The network could not run.
    Ops(#[from] OpsError),
    /// The image could not run.
    Emulate(#[from] EmulateError),
}

/// Runs samples through a model (whose first output for some inputs `model` computes, and whose last function is a
/// sigmoid if `threshold` says so), the network that it became, and the image.
///
/// # Errors
/// [`CompareError`], if one of them cannot run on the samples.
pub fn compare(
    model: &dyn Fn(&[Tensor]) -> Result<Tensor, String>,
    threshold: f64,
    network: &Network,
    deployment: &Deployment,
    data: DataSet,
) -> Result<Comparison, CompareError> {
    let image = deployment.image.image();
    let data = data.take(samples(&image));
    let count = data.len();
    let inputs = Inputs::new(network, std::slice::from_ref(&data), false);
    let inputs = inputs.map_err(|error| CompareError::Model(error.to_string()))?;
    let mut outputs = Vec::new();
    let mut places = 1;
    for from in (0..count).step_by(BLOCK) {
        let x = inputs.tensors(from..count.min(from + BLOCK));
        let y = model(&x).map_err(CompareError::Model)?;
        places = y.shape().iter().skip(1).filter(|&&n| n > 1).count();
        outputs.extend_from_slice(y.data());
    }
    let size = outputs.len() / count;
    // Images, series and maps are no ranking.
    let classes = size > 1 && places < 2;
    let graph = &deployment.graph;
    let floats = if graph.is_exact() {
        None
    } else {
        Some(pipeline::outputs(graph, &data.to_floats(), count)?)
    };
    let run = emulate::run(&image, &data, 0..count, &EmulateOptions::default(), &|_| ())?;
    let spiking: Vec<f32> = (run.trials.iter())
        .flat_map(|trial| in_units(&image, 0, trial.steps(), &trial.outputs))
        .map(|v| v as f32)
        .collect();
    let head = graph.outputs.first().and_then(|o| o.left_out);
    let outcome = |found: &[f32], threshold, head| {
        let judge = Judge::new(&data, size, threshold);
        let judge = judge.map(|judge| judge.behind(head).all(found));
        Outcome {
            figures: judge.unwrap_or_default(),
            agreement: classes.then(|| agreement(found, &outputs, size)),
        }
    };
    let judge = Judge::new(&data, size, THRESHOLD);
    let ranked = judge.map(|judge| judge.ranks());
    let shown = !ranked.unwrap_or(classes && matches!(head, Some(Head::Softmax | Head::Softmaxes)))
        && (head.is_none() || floats.is_some());
    let reference = floats.as_deref().unwrap_or(&outputs);
    Ok(Comparison {
        samples: count,
        model: outcome(&outputs, threshold, None),
        network: floats
            .as_ref()
            .map(|floats| outcome(floats, THRESHOLD, head)),
        image: outcome(&spiking, THRESHOLD, head),
        relative_error: shown
            .then(|| relative_error(reference, size, spiking.iter().map(|&v| v.into()))),
    })
}

/// The number of samples that a comparison takes.
fn samples(image: &Image<'_>) -> usize {
    let macs = DenseMacs::of(image);
    (MACS / (macs.convolution + macs.matrix).max(1)).clamp(*SAMPLES.start(), *SAMPLES.end())
        as usize
}

/// The share of samples whose largest outputs are the same.
fn agreement(a: &[f32], b: &[f32], size: usize) -> f64 {
    let class = |outputs: &[f32]| largest(outputs.iter().map(|&v| v.into()));
    let pairs = a.chunks_exact(size).zip(b.chunks_exact(size));
    let (all, same) = pairs.fold((0usize, 0usize), |(all, same), (a, b)| {
        (all + 1, same + usize::from(class(a) == class(b)))
    });
    same as f64 / all.max(1) as f64
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = vec![("model", &self.model), ("spiking", &self.image)];
        if let Some(network) = &self.network {
            all.insert(1, ("converted", network));
        }
        let list = |of: &dyn Fn(&Outcome) -> Option<String>| {
            let shown = all
                .iter()
                .filter_map(|(name, outcome)| Some((name, of(outcome)?)));
            let shown: Vec<String> = shown.map(|(name, text)| format!("{name} {text}")).collect();
            shown.join(", ")
        };
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        write!(f, "{} calibration samples: ", self.samples)?;
        let figures = self.image.figures;
        if figures.accuracy.is_some() {
            write!(f, "accuracy {}", list(&|o| o.figures.accuracy.map(percent)))?;
        } else if figures.error.is_some() {
            let rms = |o: &Outcome| {
                o.figures
                    .error
                    .map(|error| format!("{:.5}", error.rms_error))
            };
            let r2 = |o: &Outcome| o.figures.error?.r2.map(|r2| format!("{r2:.4}"));
            write!(f, "rms error {}", list(&rms))?;
            match list(&r2) {
                none if none.is_empty() => {}
                r2 => write!(f, "; R² {r2}")?,
            }
        } else if let Some(share) = self.image.agreement {
            write!(f, "spiking has the model's class for {}", percent(share))?;
            if let Some(share) = self.network.and_then(|network| network.agreement) {
                write!(f, ", converted for {}", percent(share))?;
            }
            write!(f, " (y in the file would give accuracies)")?;
        }
        if let Some(error) = self.relative_error {
            let by = if figures == Figures::default() && self.image.agreement.is_none() {
                ""
            } else {
                "; "
            };
            let [when, why] = match self.network {
                Some(_) => ["", ""],
                // Single spikes make most of it, as they do in a simulation.
                None => [
                    "in the last step, ",
                    ", the noise of single spikes included",
                ],
            };
            write!(
                f,
                "{by}{when}spiking outputs differ from the float ones by {} of their standard deviation{why}",
                percent(error)
            )?;
        }
        Ok(())
    }
}
