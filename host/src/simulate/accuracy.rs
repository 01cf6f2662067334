//! Accuracy of a classifier's readout.

use crate::tensor::Tensor;

/// Steps of an output that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readout {
    /// The last step.
    Last,
    /// The mean of this many last steps.
    Mean(usize),
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
    let window = match readout {
        Readout::Last => 1,
        Readout::Mean(n) => n.clamp(1, steps),
    };
    let right = output
        .data()
        .chunks_exact(all * classes)
        .zip(labels)
        .filter(|(item, label)| {
            let mut sums = vec![0.0f64; classes];
            for step in steps - window..steps {
                let row = &item[step * classes..][..classes];
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*v);
                }
            }
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
