//! Outputs + targets → figures: the one place that says how good a network's outputs are.
//!
//! What is measured follows from the targets and the number of outputs:
//!
//! | targets | outputs | figure |
//! |---|---|---|
//! | a class | several | the share of samples whose largest output is the class's, the first of equals |
//! | 0 or 1 (or -1 or 1) | one | the share of samples on the right side of the threshold |
//! | a 0 or 1 for each output | several | the same, over all outputs of all samples |
//! | other values, or other whole numbers for one output | as many | root mean squared error and R² |
//!
//! Whoever knows that zeros and ones are values says so with [`DataSet::measured`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::{DataSet, Targets};
use crate::network::{Effect, Head, Network, NeuronType, NodeKind, Pre};

/// The output above which a class is 1, unless a sigmoid is the last function.
pub const THRESHOLD: f64 = 0.0;
/// The same for the values of a sigmoid, which is one half at 0.
pub const THRESHOLD_OF_SIGMOID: f64 = 0.5;

/// Targets as a network's outputs are compared with them.
#[derive(Clone, Debug)]
pub struct Judge<'a> {
    wanted: Wanted<'a>,
    outputs: usize,
    threshold: f64,
    head: Option<Head>,
}

#[derive(Clone, Debug)]
enum Wanted<'a> {
    /// The place of the largest output.
    Class(&'a [u32]),
    /// Outputs that should be above the threshold.
    Sides(Vec<bool>),
    Values(Vec<f64>),
}

/// Comparisons so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    compared: usize,
    right: usize,
    squares: f64,
    /// The sum of each output's targets, and of their squares.
    targets: Vec<[f64; 2]>,
}

/// Measures of outputs against targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// The share of classes that are right; `None` if targets are values.
    pub accuracy: Option<f64>,
    /// The errors of values.
    #[serde(flatten)]
    pub error: Option<Deviation>,
}

/// Deviation of outputs from the values that they should have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deviation {
    /// The root mean squared error, over all outputs.
    pub rms_error: f64,
    /// The share of the targets' variance that the outputs explain; `None` if targets do not vary.
    pub r2: Option<f64>,
}

impl<'a> Judge<'a> {
    /// Compares a network's first output, of so many values, with the targets of a data set; `None` without
    /// targets, or if they are others in number.
    #[must_use]
    pub fn new(data: &'a DataSet, outputs: usize, threshold: f64) -> Option<Self> {
        Self::of(data.targets()?, data.byte_scale(), outputs, threshold)
    }

    /// The same for targets alone. A byte of theirs stands for `byte_scale`.
    #[must_use]
    pub fn of(
        targets: &'a Targets,
        byte_scale: f32,
        outputs: usize,
        threshold: f64,
    ) -> Option<Self> {
        let wanted = match targets {
            targets if !targets.fit(outputs) => return None,
            Targets::Classes { classes, .. } if outputs != 1 => Wanted::Class(classes),
            Targets::Classes { classes, .. } if classes.iter().all(|class| *class <= 1) => {
                Wanted::Sides(classes.iter().map(|class| *class == 1).collect())
            }
            Targets::Classes { classes, .. } => {
                Wanted::Values(classes.iter().map(|&class| class.into()).collect())
            }
            Targets::Values {
                values,
                bytes,
                labels,
                ..
            } => {
                let sides = |low: f32| *labels && values.iter().all(|v| *v == low || *v == 1.0);
                if sides(0.0) && !bytes || outputs == 1 && sides(-1.0) {
                    Wanted::Sides(values.iter().map(|v| *v == 1.0).collect())
                } else {
                    let unit = if *bytes { byte_scale.into() } else { 1.0 };
                    Wanted::Values(values.iter().map(|&v| f64::from(v) * unit).collect())
                }
            }
        };
        Some(Self {
            wanted,
            outputs,
            threshold,
            head: None,
        })
    }

    /// The same for outputs before a function that is left out: values are compared behind it. Those behind a softmax in groups,
    /// which an image does not state, are not compared.
    #[must_use]
    pub fn behind(mut self, head: Option<Head>) -> Self {
        if head == Some(Head::Softmaxes)
            && let Wanted::Values(values) = &mut self.wanted
        {
            values.clear();
        }
        Self { head, ..self }
    }

    /// The outputs of a sample behind the function that is left out. Targets that are all negative are logarithms of
    /// probabilities.
    fn shown(&self, outputs: impl Iterator<Item = f64>, wanted: &[f64]) -> Vec<f64> {
        let outputs: Vec<f64> = outputs.collect();
        let Some(head) = self.head else {
            return outputs;
        };
        if head != Head::Softmax {
            return outputs.into_iter().map(|output| head.of(output)).collect();
        }
        let mut shares = head.probabilities(&outputs).unwrap_or(outputs);
        if wanted.iter().all(|wanted| *wanted <= 0.0) {
            let logarithm = |share: &mut f64| *share = share.max(f64::MIN_POSITIVE).ln();
            shares.iter_mut().for_each(logarithm);
        }
        shares
    }

    /// `true` if targets are the class of the largest output.
    #[must_use]
    pub fn ranks(&self) -> bool {
        matches!(self.wanted, Wanted::Class(_))
    }

    /// The outputs that should be above the threshold, if targets are those.
    #[must_use]
    pub fn sides(&self) -> Option<&[bool]> {
        match &self.wanted {
            Wanted::Sides(sides) => Some(sides),
            _ => None,
        }
    }

    /// `true` if targets are values, which have errors and no classes.
    #[must_use]
    pub fn measures(&self) -> bool {
        matches!(self.wanted, Wanted::Values(_))
    }

    /// Compares the outputs for a sample, in the network's units.
    pub fn add(&self, tally: &mut Tally, sample: usize, outputs: impl Iterator<Item = f64>) {
        let from = sample * self.outputs;
        match &self.wanted {
            Wanted::Class(classes) => {
                let Some(wanted) = classes.get(sample) else {
                    return;
                };
                tally.compared += 1;
                tally.right += usize::from(largest(outputs) == *wanted as usize);
            }
            Wanted::Sides(sides) => {
                for (output, side) in outputs.zip(sides.iter().skip(from).take(self.outputs)) {
                    tally.compared += 1;
                    tally.right += usize::from((output > self.threshold) == *side);
                }
            }
            Wanted::Values(values) => {
                let Some(wanted) = values.get(from..from + self.outputs) else {
                    return;
                };
                tally.targets.resize(self.outputs, [0.0; 2]);
                let outputs = self.shown(outputs, wanted).into_iter();
                for ((output, wanted), sums) in outputs.zip(wanted).zip(&mut tally.targets) {
                    tally.compared += 1;
                    tally.squares += (output - wanted) * (output - wanted);
                    *sums = [sums[0] + wanted, sums[1] + wanted * wanted];
                }
            }
        }
    }

    /// Compares the outputs for samples from `from` on.
    pub fn add_all(&self, tally: &mut Tally, from: usize, outputs: impl Iterator<Item = Vec<f64>>) {
        for (sample, outputs) in (from..).zip(outputs) {
            self.add(tally, sample, outputs.into_iter());
        }
    }

    /// The figures of all comparisons; none of none.
    #[must_use]
    pub fn figures(&self, tally: &Tally) -> Figures {
        if tally.compared == 0 {
            return Figures::default();
        }
        let compared = tally.compared as f64;
        if !self.measures() {
            return Figures {
                accuracy: Some(tally.right as f64 / compared),
                error: None,
            };
        }
        let samples = compared / self.outputs.max(1) as f64;
        let variance = |[sum, squares]: &[f64; 2]| squares - sum * sum / samples;
        let varied: f64 = tally.targets.iter().map(variance).sum();
        let all: f64 = tally.targets.iter().map(|[_, squares]| squares).sum();
        Figures {
            accuracy: None,
            error: Some(Deviation {
                rms_error: (tally.squares / compared).sqrt(),
                // The difference of two sums keeps so many digits.
                r2: (varied > all * 1e-12).then(|| 1.0 - tally.squares / varied),
            }),
        }
    }

    /// The figures of the outputs of all samples, one behind another.
    #[must_use]
    pub fn all(&self, outputs: &[f32]) -> Figures {
        let mut tally = Tally::default();
        for (sample, outputs) in outputs.chunks_exact(self.outputs.max(1)).enumerate() {
            self.add(&mut tally, sample, outputs.iter().map(|&v| v.into()));
        }
        self.figures(&tally)
    }
}

/// The place of the largest value, the first of equals.
pub fn largest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, value) in values.enumerate() {
        if value > best.1 {
            best = (place, value);
        }
    }
    best.0
}

/// The root mean squared difference of outputs from those of a reference, `size` for each sample, relative to the
/// reference's standard deviation.
pub fn relative_error(reference: &[f32], size: usize, outputs: impl Iterator<Item = f64>) -> f64 {
    let reference: Vec<f64> = reference.iter().map(|y| f64::from(*y)).collect();
    let n = (reference.len() as f64).max(1.0);
    let samples = (reference.len() / size.max(1)).max(1) as f64;
    let mean = |output| {
        let values = reference.iter().skip(output).step_by(size.max(1));
        values.sum::<f64>() / samples
    };
    let means: Vec<f64> = (0..size).map(mean).collect();
    let distances = reference.iter().zip(means.iter().cycle());
    let variance = distances
        .map(|(y, mean)| (y - mean) * (y - mean))
        .sum::<f64>()
        / n;
    let squares = outputs
        .zip(&reference)
        .map(|(output, y)| (output - y) * (output - y));
    (squares.sum::<f64>() / n / variance.max(f64::MIN_POSITIVE)).sqrt()
}

/// The threshold of a network's first output: one half if its last function is a sigmoid.
#[must_use]
pub fn threshold(network: &Network) -> f64 {
    let probe = network.outputs.first();
    let probe = probe.and_then(|(_, probe)| network.probes.get(probe.0));
    let sigmoid = probe.is_some_and(|probe| match probe.target {
        Pre::Neurons(e) => (network.ensembles.get(e.0))
            .is_some_and(|e| matches!(e.neuron_type, NeuronType::Sigmoid { .. })),
        Pre::Node(n) => network.nodes.get(n.0).is_some_and(|node| match &node.kind {
            NodeKind::Tensor(t) => {
                matches!(t.func.effect(), Effect::Head(head) if head.is_sigmoid())
            }
            _ => false,
        }),
    });
    if sigmoid {
        THRESHOLD_OF_SIGMOID
    } else {
        THRESHOLD
    }
}

impl fmt::Display for Figures {
    /// Lines such as `accuracy                 97.50 %`, none without targets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(accuracy) = self.accuracy {
            writeln!(f, "accuracy           {:>11.2} %", accuracy * 100.0)?;
        }
        if let Some(Deviation { rms_error, r2 }) = self.error {
            writeln!(f, "rms error          {rms_error:>12.6}")?;
            if let Some(r2) = r2 {
                writeln!(f, "R²                 {r2:>12.4}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Samples;

    fn set(targets: Targets, samples: usize) -> DataSet {
        let set = DataSet::new(vec![1], Samples::U8(vec![0; samples]), None).unwrap();
        set.with_targets(Some(targets))
    }

    fn values(size: usize, values: &[f32]) -> Targets {
        Targets::Values {
            size,
            values: values.to_vec(),
            bytes: false,
            labels: true,
        }
    }

    #[test]
    fn classes_are_ranked_and_one_output_has_a_threshold() {
        let two = set(Targets::classes(vec![1, 0, 1, 1]), 4);
        let ranked = Judge::new(&two, 2, THRESHOLD).unwrap();
        let figures = ranked.all(&[0.0, 1.0, 3.0, 3.0, 2.0, 1.0, -5.0, -4.0]);
        assert_eq!((figures.accuracy, figures.error), (Some(0.75), None));
        let outputs = [0.6, 0.4, 0.3, 0.9];
        let right = |threshold| {
            let judge = Judge::new(&two, 1, threshold).unwrap();
            judge.all(&outputs).accuracy
        };
        assert_eq!(right(THRESHOLD_OF_SIGMOID), Some(0.75));
        assert_eq!(right(THRESHOLD), Some(0.75));
        let hinge = set(values(1, &[1.0, -1.0, -1.0]), 3);
        let judge = Judge::new(&hinge, 1, THRESHOLD).unwrap();
        assert_eq!(judge.all(&[0.2, -0.2, 0.1]).accuracy, Some(2.0 / 3.0));
    }

    #[test]
    fn several_labels_are_judged_one_by_one() {
        let labels = set(values(3, &[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]), 2);
        let judge = Judge::new(&labels, 3, THRESHOLD).unwrap();
        let accuracy = judge.all(&[2.0, -1.0, -1.0, -1.0, -1.0, -2.0]).accuracy;
        assert_eq!(accuracy, Some(5.0 / 6.0));
    }

    #[test]
    fn values_have_an_error_and_no_accuracy() {
        let wanted = [1.0, 10.0, 3.0, 20.0];
        let data = set(values(2, &wanted), 2);
        let judge = Judge::new(&data, 2, THRESHOLD).unwrap();
        let error = judge.all(&[1.0, 12.0, 3.0, 20.0]).error.unwrap();
        assert_eq!(error.rms_error, 1.0);
        // The targets' squared distances to their means are 2 and 50.
        assert!((error.r2.unwrap() - (1.0 - 4.0 / 52.0)).abs() < 1e-12);
        assert_eq!(judge.all(&wanted).error.unwrap().r2, Some(1.0));
        // Whole numbers beyond 1 are no classes of a single output.
        let counts = set(Targets::classes(vec![0, 7, 7]), 3);
        let judge = Judge::new(&counts, 1, THRESHOLD).unwrap();
        assert_eq!(judge.all(&[0.0, 7.0, 7.0]).accuracy, None);
        let constant = set(values(1, &[0.1, 0.1, 0.1]), 3);
        let judge = Judge::new(&constant, 1, THRESHOLD).unwrap();
        assert_eq!(judge.all(&[0.1, 0.2, 0.3]).error.unwrap().r2, None);
    }

    #[test]
    fn zeros_and_ones_are_values_if_that_is_said() {
        for targets in [Targets::classes(vec![0, 1]), values(1, &[0.0, 1.0])] {
            let data = set(targets, 2);
            let judge = Judge::new(&data, 1, THRESHOLD).unwrap();
            assert_eq!(judge.all(&[0.25, 1.25]).accuracy, Some(0.5));
            let data = data.measured();
            let judge = Judge::new(&data, 1, THRESHOLD).unwrap();
            assert_eq!(judge.all(&[0.25, 1.25]).error.unwrap().rms_error, 0.25);
            // Before a sigmoid, 0 stands for one half.
            let judge = judge.behind(Some(Head::Sigmoid));
            assert_eq!(judge.all(&[0.0, 0.0]).error.unwrap().rms_error, 0.5);
        }
    }

    #[test]
    fn bytes_of_an_autoencoder_stand_for_what_its_samples_do() {
        let targets = Targets::Values {
            size: 2,
            values: vec![255.0, 0.0],
            bytes: true,
            labels: true,
        };
        let judge = Judge::of(&targets, 1.0 / 255.0, 2, THRESHOLD).unwrap();
        assert!(judge.all(&[1.0, 0.0]).error.unwrap().rms_error < 1e-7);
        assert!(Judge::of(&targets, 1.0, 3, THRESHOLD).is_none());
    }
}
