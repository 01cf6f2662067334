//! Accuracy of a classifier's readout.

use std::fmt;
use std::str::FromStr;

use crate::tensor::Tensor;

/// The result of an output that has a value at each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readout {
    /// The last step.
    #[default]
    Last,
    /// The mean of this many last steps.
    Mean(usize),
    /// The sum of all steps, such as the count of spikes.
    Sum,
    /// The largest of all steps, such as the highest potential.
    Largest,
    /// The first step that is above zero, as the number of steps from it to the end: who spikes first has most.
    First,
}

impl Readout {
    /// The result of each of `size` values, from `steps`: all values of a step, step by step.
    #[must_use]
    pub fn of(self, steps: &[f32], size: usize) -> Vec<f64> {
        let count = steps.len().checked_div(size).unwrap_or(0);
        let window = match self {
            Self::Last => 1,
            Self::Mean(n) => n.clamp(1, count.max(1)),
            Self::Sum | Self::Largest | Self::First => count,
        };
        let seen = &steps[steps.len().saturating_sub(window * size)..];
        let result = |place| {
            let values = seen.iter().skip(place).step_by(size).map(|v| f64::from(*v));
            match self {
                Self::Last | Self::Mean(_) => values.sum::<f64>() / window.min(count).max(1) as f64,
                Self::Sum => values.sum(),
                Self::Largest => values.fold(f64::NEG_INFINITY, f64::max),
                Self::First => {
                    let mut values = values;
                    values
                        .position(|v| v > 0.0)
                        .map_or(0.0, |at| (count - at) as f64)
                }
            }
        };
        (0..size).map(result).collect()
    }
}

impl fmt::Display for Readout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Mean(n) => write!(f, "mean:{n}"),
            Self::Sum => f.write_str("sum"),
            Self::Largest => f.write_str("largest"),
            Self::First => f.write_str("first"),
        }
    }
}

impl FromStr for Readout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let steps = |n: &str| n.parse().ok().filter(|n| *n > 0);
        match text.split_once(':') {
            None if text == "last" => Ok(Self::Last),
            None if text == "sum" => Ok(Self::Sum),
            None if text == "largest" => Ok(Self::Largest),
            None if text == "first" => Ok(Self::First),
            Some(("mean", n)) => steps(n)
                .map(Self::Mean)
                .ok_or("mean:N takes a number of steps".into()),
            _ => Err("a read-out is last, mean:N, sum, largest or first".into()),
        }
    }
}

/// The share of items whose largest output (the first of equals) is their label's, after `steps`
/// steps; `None` if there are no items, or if `output` does not have the shape
/// `[labels.len(), >= steps, classes]`.
#[must_use]
pub fn accuracy(output: &Tensor, labels: &[u32], steps: usize, readout: Readout) -> Option<f64> {
    let &[items, all, classes] = output.shape() else {
        return None;
    };
    if items == 0 || items != labels.len() || steps == 0 || steps > all || classes == 0 {
        return None;
    }
    let right = output
        .data()
        .chunks_exact(all * classes)
        .zip(labels)
        .filter(|(item, label)| {
            let sums = readout.of(&item[..steps * classes], classes);
            let mut best = 0;
            for (class, sum) in sums.iter().enumerate() {
                if *sum > sums[best] {
                    best = class;
                }
            }
            u32::try_from(best) == Ok(**label)
        })
        .count();
    Some(right as f64 / items as f64)
}
