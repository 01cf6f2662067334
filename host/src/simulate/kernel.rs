//! Transforms that take one non-zero input place at a time: the cost of a step is that of its spikes.

use std::sync::Arc;

use crate::network::Transform;
use crate::ops::{self, ConvPlan, OUTSIDE, OpsError};

/// A transform laid out by its input places.
#[derive(Clone, Debug)]
pub(super) enum Kernel {
    Identity,
    Scale(f32),
    Diagonal(Arc<[f32]>),
    /// The matrix transposed: a row for each input place.
    Dense {
        columns: Vec<f32>,
        rows: usize,
    },
    /// The entries of each input place stand at `starts[i]..starts[i + 1]`.
    Sparse {
        starts: Vec<usize>,
        entries: Vec<(u32, f32)>,
    },
    Convolution(Scatter),
}

/// A convolution by its input places: where each goes, through which place of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Scatter {
    starts: Vec<usize>,
    /// Output place and kernel place.
    targets: Vec<(u32, u32)>,
    kernel: Arc<[f32]>,
    group_in: usize,
    group_out: usize,
    channels_in: usize,
    channels_out: usize,
    places_in: usize,
    places_out: usize,
    channels_last: bool,
}

/// Sorts pairs (input place, rest) by input place: starts and rests.
fn by_input<T: Copy>(inputs: usize, pairs: &[(usize, T)]) -> (Vec<usize>, Vec<T>) {
    let mut starts = vec![0usize; inputs + 1];
    for (input, _) in pairs {
        starts[input + 1] += 1;
    }
    for i in 0..inputs {
        starts[i + 1] += starts[i];
    }
    let mut sorted: Vec<(usize, T)> = pairs.to_vec();
    sorted.sort_by_key(|(input, _)| *input);
    (starts, sorted.into_iter().map(|(_, rest)| rest).collect())
}

impl Kernel {
    pub(super) fn new(transform: &Transform) -> Result<Self, OpsError> {
        Ok(match transform {
            Transform::Identity(_) => Self::Identity,
            Transform::Diagonal(d) => match d.factor.data() {
                [factor] => Self::Scale(*factor),
                factors => {
                    ops::check_len("a diagonal", d.size, factors.len())?;
                    Self::Diagonal(factors.into())
                }
            },
            Transform::Dense(w) => {
                let &[rows, cols] = w.shape() else {
                    return Err(OpsError::Shape {
                        what: "a dense transform's matrix",
                        expected: "two axes".to_owned(),
                        found: w.shape().to_vec(),
                    });
                };
                let mut columns = vec![0.0; rows * cols];
                if cols > 0 {
                    for (r, row) in w.data().chunks_exact(cols).enumerate() {
                        for (c, value) in row.iter().enumerate() {
                            columns[c * rows + r] = *value;
                        }
                    }
                }
                Self::Dense { columns, rows }
            }
            Transform::Sparse(s) => {
                ops::check_entries(s)?;
                ops::check_len("a sparse matrix's values", s.indices.len(), s.values.len())?;
                let pairs: Vec<(usize, (u32, f32))> = (s.indices.iter().zip(s.values.data()))
                    .map(|(&(row, col), &value)| (col as usize, (row, value)))
                    .collect();
                let (starts, entries) = by_input(s.size_in, &pairs);
                Self::Sparse { starts, entries }
            }
            Transform::Convolution(c) => {
                let plan = ConvPlan::new(c)?;
                let group_in = plan.channels_in / plan.groups;
                ops::check_len(
                    "a convolution's kernel",
                    plan.taps.kernel * group_in * plan.channels_out,
                    c.kernel.len(),
                )?;
                let pairs: Vec<(usize, (u32, u32))> = plan
                    .taps
                    .windows()
                    .enumerate()
                    .flat_map(|(o, window)| {
                        window
                            .iter()
                            .enumerate()
                            .filter(|(_, place)| **place != OUTSIDE)
                            .map(move |(k, place)| (*place as usize, (o as u32, k as u32)))
                    })
                    .collect();
                let (starts, targets) = by_input(plan.taps.input, &pairs);
                Self::Convolution(Scatter {
                    starts,
                    targets,
                    kernel: c.kernel.data().into(),
                    group_in,
                    group_out: plan.channels_out / plan.groups,
                    channels_in: plan.channels_in,
                    channels_out: plan.channels_out,
                    places_in: plan.taps.input,
                    places_out: plan.taps.output,
                    channels_last: plan.channels_last,
                })
            }
        })
    }

    /// Adds what the value at input place `i` brings.
    pub(super) fn add(&self, i: usize, value: f32, y: &mut [f32]) {
        match self {
            Self::Identity => add_at(y, i, value),
            Self::Scale(factor) => add_at(y, i, factor * value),
            Self::Diagonal(factors) => {
                add_at(y, i, factors.get(i).copied().unwrap_or(0.0) * value);
            }
            Self::Dense { columns, rows } => {
                if let Some(column) = columns.get(i * rows..(i + 1) * rows) {
                    axpy(y, column, value);
                }
            }
            Self::Sparse { starts, entries } => {
                for &(row, weight) in range(starts, entries, i) {
                    add_at(y, row as usize, weight * value);
                }
            }
            Self::Convolution(scatter) => scatter.add(i, value, y),
        }
    }
}

impl Scatter {
    fn add(&self, i: usize, value: f32, y: &mut [f32]) {
        let (place, channel) = if self.channels_last {
            (i / self.channels_in, i % self.channels_in)
        } else {
            (i % self.places_in, i / self.places_in)
        };
        let (group, within) = (channel / self.group_in, channel % self.group_in);
        let first = group * self.group_out;
        for &(o, k) in range(&self.starts, &self.targets, place) {
            let row = (k as usize * self.group_in + within) * self.channels_out + first;
            let Some(weights) = self.kernel.get(row..row + self.group_out) else {
                continue;
            };
            if self.channels_last {
                let at = o as usize * self.channels_out + first;
                if let Some(y) = y.get_mut(at..at + self.group_out) {
                    axpy(y, weights, value);
                }
            } else {
                for (c, weight) in weights.iter().enumerate() {
                    let at = (first + c) * self.places_out + o as usize;
                    add_at(y, at, weight * value);
                }
            }
        }
    }
}

fn range<'a, T>(starts: &[usize], entries: &'a [T], i: usize) -> &'a [T] {
    match (starts.get(i), starts.get(i + 1)) {
        (Some(&from), Some(&to)) => entries.get(from..to).unwrap_or_default(),
        _ => &[],
    }
}

fn add_at(y: &mut [f32], i: usize, value: f32) {
    if let Some(y) = y.get_mut(i) {
        *y += value;
    }
}

fn axpy(y: &mut [f32], weights: &[f32], value: f32) {
    let n = y.len().min(weights.len());
    let (y8, y) = y[..n].as_chunks_mut::<8>();
    let (w8, w) = weights[..n].as_chunks::<8>();
    for (y, w) in y8.iter_mut().zip(w8) {
        for (y, w) in y.iter_mut().zip(w) {
            *y += w * value;
        }
    }
    for (y, w) in y.iter_mut().zip(w) {
        *y += w * value;
    }
}
