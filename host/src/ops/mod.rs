//! Float32 kernels on slices: what a [`Transform`] does to a vector, and to a batch of vectors.
//!
//! Every function *adds* into its output, as what several connections bring to one object is summed.
//! Sums are in float32, in a fixed order that does not depend on the number of threads.

mod conv;
mod gemm;
mod window;

pub use conv::ConvPlan;
pub(crate) use conv::split_channels;
pub use gemm::{Mat, MatMut, MatRef, gemm};
pub use window::{Axis, OUTSIDE, Padding, Taps};

use thiserror::Error;

use crate::network::{Sparse, Transform};
use crate::tensor::Tensor;

/// Reason why a kernel could not run: shapes that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpsError {
    /// A slice is not as long as the operation needs.
    #[error("{what} has {found} values where {expected} are needed")]
    Length {
        /// Name of the slice.
        what: &'static str,
        /// The length that the operation needs.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
    /// A weight's shape does not fit the operation.
    #[error("{what} has the shape {found:?}, but the operation needs {expected}")]
    Shape {
        /// Name of the array.
        what: &'static str,
        /// Need, in words.
        expected: String,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// A sparse entry lies outside its matrix.
    #[error("the sparse entry ({row}, {col}) lies outside the {rows}x{cols} matrix")]
    SparseEntry {
        /// The entry's row.
        row: u32,
        /// The entry's column.
        col: u32,
        /// The matrix's number of rows.
        rows: usize,
        /// The matrix's number of columns.
        cols: usize,
    },
}

pub(crate) fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), OpsError> {
    if expected == found {
        Ok(())
    } else {
        Err(OpsError::Length {
            what,
            expected,
            found,
        })
    }
}

/// Adds `transform` of the vector `x` to `y`.
///
/// # Errors
/// [`OpsError`] if `x` or `y` is not as long as the transform's input or output, or if the
/// transform's own shapes contradict each other.
pub fn apply(transform: &Transform, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
    apply_batch(transform, 1, x, y)
}

/// Adds `transform` of each of `batch` vectors, one after another in `x`, to those in `y`.
///
/// # Errors
/// As [`apply`].
pub fn apply_batch(
    transform: &Transform,
    batch: usize,
    x: &[f32],
    y: &mut [f32],
) -> Result<(), OpsError> {
    match transform {
        Transform::Identity(n) => {
            check_len("the transform's input", n.saturating_mul(batch), x.len())?;
            check_len("the transform's output", x.len(), y.len())?;
            for (y, x) in y.iter_mut().zip(x) {
                *y += x;
            }
            Ok(())
        }
        Transform::Diagonal(d) => {
            check_len(
                "the transform's input",
                d.size.saturating_mul(batch),
                x.len(),
            )?;
            check_len("the transform's output", x.len(), y.len())?;
            match d.factor.data() {
                [factor] => y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x),
                factors => {
                    check_len("the diagonal", d.size, factors.len())?;
                    for ((y, x), factor) in y.iter_mut().zip(x).zip(factors.iter().cycle()) {
                        *y += factor * x;
                    }
                }
            }
            Ok(())
        }
        Transform::Dense(w) => dense(w, batch, x, y),
        Transform::Sparse(s) => sparse(s, batch, x, y),
        Transform::Convolution(c) => {
            let plan = ConvPlan::new(c)?;
            plan.apply_batch(c.kernel.data(), batch, x, y)
        }
    }
}

/// Adds W x to y for each of `batch` vectors; W has the shape `[size_out, size_in]`.
///
/// # Errors
/// [`OpsError`] if W is no matrix, or `x` or `y` is not as long as it needs.
pub fn dense(w: &Tensor, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
    let &[rows, cols] = w.shape() else {
        return Err(OpsError::Shape {
            what: "a dense transform's matrix",
            expected: "two axes".to_owned(),
            found: w.shape().to_vec(),
        });
    };
    check_len("the transform's input", cols.saturating_mul(batch), x.len())?;
    check_len(
        "the transform's output",
        rows.saturating_mul(batch),
        y.len(),
    )?;
    if cols == 0 || rows == 0 {
        return Ok(());
    }
    // Seen as x Wᵀ.
    gemm(
        MatRef::row_major(x, batch, cols),
        MatRef::row_major(w.data(), rows, cols).transposed(),
        MatMut::row_major(y, batch, rows),
    )
}

/// Adds `s` x to y for each of `batch` vectors, entry by entry in the order in which it holds them.
///
/// # Errors
/// [`OpsError`] if an entry lies outside the matrix, or `x`, `y` or the values are not as long as
/// it needs.
pub fn sparse(s: &Sparse, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
    check_len(
        "the transform's input",
        s.size_in.saturating_mul(batch),
        x.len(),
    )?;
    check_len(
        "the transform's output",
        s.size_out.saturating_mul(batch),
        y.len(),
    )?;
    check_len(
        "a sparse matrix's values",
        s.indices.len(),
        s.values.data().len(),
    )?;
    check_entries(s)?;
    for item in 0..batch {
        let x = &x[item * s.size_in..][..s.size_in];
        let y = &mut y[item * s.size_out..][..s.size_out];
        for (&(row, col), value) in s.indices.iter().zip(s.values.data()) {
            y[row as usize] += value * x[col as usize];
        }
    }
    Ok(())
}

/// Checks that every entry lies inside its matrix.
///
/// # Errors
/// [`OpsError::SparseEntry`] for the first that does not.
pub fn check_entries(s: &Sparse) -> Result<(), OpsError> {
    let (rows, cols) = (s.size_out, s.size_in);
    match s
        .indices
        .iter()
        .find(|(r, c)| *r as usize >= rows || *c as usize >= cols)
    {
        None => Ok(()),
        Some(&(row, col)) => Err(OpsError::SparseEntry {
            row,
            col,
            rows,
            cols,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Convolution;

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + 11) % 23) as f32 - 11.0).collect()
    }

    /// The definition, with no shortcut: every output place asks every kernel place.
    fn naive(c: &Convolution, x: &[f32]) -> Vec<f32> {
        let rank = c.strides.len();
        let split = |s: &[usize]| -> (Vec<usize>, usize) {
            if c.channels_last {
                (s[..rank].to_vec(), s[rank])
            } else {
                (s[1..].to_vec(), s[0])
            }
        };
        let ((ins, cin), (outs, cout)) = (split(&c.input_shape), split(&c.output_shape));
        let kernel = &c.kernel.shape()[..rank];
        let flat =
            |place: &[usize], dims: &[usize]| place.iter().zip(dims).fold(0, |n, (p, d)| n * d + p);
        let unflat = |mut n: usize, dims: &[usize]| {
            let mut p = vec![0; dims.len()];
            for (p, d) in p.iter_mut().zip(dims).rev() {
                *p = n % d;
                n /= d;
            }
            p
        };
        let at = |place: usize, channel: usize, places: usize, channels: usize| {
            if c.channels_last {
                place * channels + channel
            } else {
                channel * places + place
            }
        };
        let (n_in, n_out) = (
            ins.iter().product::<usize>(),
            outs.iter().product::<usize>(),
        );
        let (gin, gout) = (cin / c.groups, cout / c.groups);
        let mut y = vec![0.0; n_out * cout];
        for o in 0..n_out {
            let op = unflat(o, &outs);
            for k in 0..kernel.iter().product() {
                let kp = unflat(k, kernel);
                let ip: Option<Vec<usize>> = (0..rank)
                    .map(|a| {
                        let span = (kernel[a] - 1) * c.dilation[a] + 1;
                        let total = ((outs[a] - 1) * c.strides[a] + span).saturating_sub(ins[a]);
                        let before = if c.same_padding { total / 2 } else { 0 };
                        (op[a] * c.strides[a] + kp[a] * c.dilation[a])
                            .checked_sub(before)
                            .filter(|i| *i < ins[a])
                    })
                    .collect();
                let Some(ip) = ip else { continue };
                let i = flat(&ip, &ins);
                for oc in 0..cout {
                    for ic in 0..gin {
                        let g = oc / gout;
                        y[at(o, oc, n_out, cout)] += c.kernel.data()[(k * gin + ic) * cout + oc]
                            * x[at(i, g * gin + ic, n_in, cin)];
                    }
                }
            }
        }
        y
    }

    #[test]
    fn convolution_is_its_definition() {
        for (dims, kernel) in [
            (vec![9], vec![4]),
            (vec![7, 8], vec![3, 2]),
            (vec![5, 4, 6], vec![2, 3, 3]),
        ] {
            for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
                for same_padding in [false, true] {
                    for channels_last in [false, true] {
                        for groups in [1, 2] {
                            let outs: Option<Vec<usize>> = dims
                                .iter()
                                .zip(&kernel)
                                .map(|(&n, &k): (&usize, &usize)| {
                                    if same_padding {
                                        Some(n.div_ceil(stride))
                                    } else {
                                        n.checked_sub((k - 1) * dilation + 1)
                                            .map(|m| m / stride + 1)
                                    }
                                })
                                .collect();
                            let Some(outs) = outs else { continue };
                            let shape = |s: &[usize], ch: usize| {
                                let mut s = s.to_vec();
                                s.insert(if channels_last { s.len() } else { 0 }, ch);
                                s
                            };
                            let mut ks = kernel.clone();
                            ks.extend([4 / groups, 6]);
                            let c = Convolution {
                                input_shape: shape(&dims, 4),
                                output_shape: shape(&outs, 6),
                                kernel: Tensor::new(ks.clone(), ramp(ks.iter().product())).unwrap(),
                                strides: vec![stride; dims.len()],
                                dilation: vec![dilation; dims.len()],
                                same_padding,
                                groups,
                                channels_last,
                            };
                            let t = Transform::Convolution(c.clone());
                            let x = ramp(2 * t.size_in());
                            let mut y = vec![0.0; 2 * t.size_out()];
                            apply_batch(&t, 2, &x, &mut y).unwrap();
                            let mut expected = naive(&c, &x[..t.size_in()]);
                            expected.extend(naive(&c, &x[t.size_in()..]));
                            // Small integers: every order of summation is exact.
                            assert_eq!(y, expected, "{c:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn dense_adds_for_one_and_for_many() {
        let w = Tensor::new(vec![7, 9], ramp(63)).unwrap();
        for batch in [1, 4, 5, 20] {
            let x = ramp(9 * batch);
            let mut y = vec![1.0; 7 * batch];
            dense(&w, batch, &x, &mut y).unwrap();
            for b in 0..batch {
                for r in 0..7 {
                    let sum: f32 = (0..9).map(|c| w.data()[r * 9 + c] * x[b * 9 + c]).sum();
                    assert_eq!(y[b * 7 + r], 1.0 + sum);
                }
            }
        }
    }

    #[test]
    fn sparse_adds_repeated_entries() {
        let s = Sparse {
            size_out: 2,
            size_in: 3,
            indices: [(0, 1), (1, 2), (0, 1)].into(),
            values: Tensor::vector(vec![2.0, 3.0, 0.5]),
        };
        let mut y = vec![1.0, 0.0, 0.0, 1.0];
        apply_batch(
            &Transform::Sparse(s.clone()),
            2,
            &[1., 2., 3., 4., 5., 6.],
            &mut y,
        )
        .unwrap();
        assert_eq!(y, [6.0, 9.0, 12.5, 19.0]);
        let outside = Sparse {
            indices: [(0, 1), (2, 2), (0, 1)].into(),
            ..s
        };
        assert!(matches!(
            sparse(&outside, 1, &[0.0; 3], &mut [0.0; 2]),
            Err(OpsError::SparseEntry { row: 2, .. })
        ));
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let id = Transform::Identity(3);
        assert!(apply(&id, &[0.0; 2], &mut [0.0; 3]).is_err());
        assert!(apply(&id, &[0.0; 3], &mut [0.0; 2]).is_err());
        let dense = Transform::Dense(Tensor::filled(vec![2, 3], 1.0));
        assert!(apply(&dense, &[0.0; 2], &mut [0.0; 2]).is_err());
    }
}
