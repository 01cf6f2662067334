//! Wiring: linear maps without weights of their own, such as slices, pooling and padding.

use crate::network::{Convolution, Diagonal, Sparse};
use crate::ops::Axis;

/// A sparse matrix that says which places an object sees of another: y[row] = Σ value x[column].
///
/// Rows hold their columns in ascending order, each at most once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wiring {
    /// The length of x.
    pub(super) inputs: usize,
    /// The entries of each row.
    rows: Vec<Vec<(u32, f32)>>,
}

impl Wiring {
    fn new(inputs: usize, rows: Vec<Vec<(u32, f32)>>) -> Self {
        let rows = rows.into_iter().map(summed).collect();
        Self { inputs, rows }
    }

    /// y = x.
    pub(super) fn identity(n: usize) -> Self {
        Self::gather(n, 0..n)
    }

    /// y[i] = x[places[i]].
    pub(super) fn gather(inputs: usize, places: impl IntoIterator<Item = usize>) -> Self {
        let rows = places.into_iter().map(|at| vec![(at as u32, 1.0)]);
        Self {
            inputs,
            rows: rows.collect(),
        }
    }

    /// y[places[i]] = x[i], and 0 elsewhere.
    pub(super) fn spread(outputs: usize, places: &[usize]) -> Self {
        let mut rows = vec![Vec::new(); outputs];
        for (i, &at) in places.iter().enumerate() {
            if let Some(row) = rows.get_mut(at) {
                row.push((i as u32, 1.0));
            }
        }
        Self::new(places.len(), rows)
    }

    pub(super) fn diagonal(d: &Diagonal) -> Self {
        let factors = d.factor.data().iter().cycle().take(d.size);
        Self {
            inputs: d.size,
            rows: (0..).zip(factors).map(|(i, &f)| vec![(i, f)]).collect(),
        }
    }

    pub(super) fn sparse(s: &Sparse) -> Self {
        let mut rows = vec![Vec::new(); s.size_out];
        for (&(row, column), &value) in s.indices.iter().zip(s.values.data()) {
            if let Some(row) = rows.get_mut(row as usize) {
                row.push((column, value));
            }
        }
        Self::new(s.size_in, rows)
    }

    /// A convolution that averages each channel over windows which do not overlap.
    pub(super) fn pooling(c: &Convolution) -> Option<Self> {
        let [kernel @ .., channels, filters] = c.kernel.shape() else {
            return None;
        };
        let value = *c.kernel.data().first()?;
        let plane = channels * filters;
        let averages = c.groups == 1
            && channels == filters
            && !c.same_padding
            && (0..kernel.len()).all(|axis| {
                // A single window has no neighbour to overlap with.
                let places = c.output_shape.get(axis + usize::from(!c.channels_last));
                c.strides.get(axis) == kernel.get(axis) || places == Some(&1)
            })
            && c.dilation.iter().all(|&d| d == 1)
            && c.kernel.data().chunks(plane).all(|plane| {
                plane.iter().enumerate().all(|(at, &w)| {
                    let diagonal = at % (channels + 1) == 0;
                    w == if diagonal { value } else { 0.0 }
                })
            });
        if !averages {
            return None;
        }
        let rank = kernel.len();
        let first = usize::from(!c.channels_last);
        let places = |shape: &[usize]| shape.get(first..first + rank).map(<[usize]>::to_vec);
        let (inputs, outputs) = (places(&c.input_shape)?, places(&c.output_shape)?);
        let index = |place: &[usize], shape: &[usize], channel: usize| {
            let flat = place.iter().zip(shape).fold(0, |n, (p, d)| n * d + p);
            if c.channels_last {
                flat * channels + channel
            } else {
                channel * shape.iter().product::<usize>() + flat
            }
        };
        let mut rows = vec![Vec::new(); outputs.iter().product::<usize>() * channels];
        for output in coordinates(&outputs) {
            for tap in coordinates(kernel) {
                let input: Vec<usize> = (0..rank)
                    .map(|axis| output[axis] * kernel[axis] + tap[axis])
                    .collect();
                if input.iter().zip(&inputs).any(|(at, n)| at >= n) {
                    return None;
                }
                for channel in 0..*channels {
                    let from = index(&input, &inputs, channel);
                    rows[index(&output, &outputs, channel)].push((from as u32, value));
                }
            }
        }
        Some(Self::new(c.input_shape.iter().product(), rows))
    }

    /// From channels last to channels first: y[(channel, place)] = x[(place, channel)].
    pub(super) fn channels_first(places: usize, channels: usize) -> Self {
        let order = (0..channels).flat_map(|c| (0..places).map(move |p| p * channels + c));
        Self::gather(places * channels, order)
    }

    /// From channels first to channels last.
    pub(super) fn channels_last(places: usize, channels: usize) -> Self {
        Self::channels_first(channels, places)
    }

    /// x of y, where each row sees one column and no two the same.
    pub(super) fn inverse(&self) -> Self {
        let mut places = vec![0; self.rows.len()];
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(place) = row
                .first()
                .and_then(|&(from, _)| places.get_mut(from as usize))
            {
                *place = at;
            }
        }
        Self::gather(self.rows.len(), places)
    }

    pub(super) fn outputs(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> &[Vec<(u32, f32)>] {
        &self.rows
    }

    pub(super) fn is_identity(&self) -> bool {
        self.inputs == self.rows.len()
            && (0u32..)
                .zip(&self.rows)
                .all(|(i, row)| row.as_slice() == [(i, 1.0)])
    }

    /// This after `inner`.
    pub(super) fn after(&self, inner: &Self) -> Self {
        if self.is_identity() {
            return inner.clone();
        }
        if inner.is_identity() {
            return self.clone();
        }
        let rows = self
            .rows
            .iter()
            .map(|row| {
                let terms = row.iter().flat_map(|&(middle, value)| {
                    let through = inner
                        .rows
                        .get(middle as usize)
                        .map_or(&[][..], Vec::as_slice);
                    through.iter().map(move |&(column, v)| (column, value * v))
                });
                terms.collect()
            })
            .collect();
        Self::new(inner.inputs, rows)
    }

    /// This times `factor`.
    pub(super) fn scaled(&self, factor: f32) -> Self {
        let rows = self.rows.iter();
        Self {
            inputs: self.inputs,
            rows: rows
                .map(|row| row.iter().map(|&(at, v)| (at, v * factor)).collect())
                .collect(),
        }
    }

    /// The common value of each row's entries, 1 for an empty row; `None` where a row has several.
    pub(super) fn row_values(&self) -> Option<Vec<f32>> {
        self.rows
            .iter()
            .map(|row| match row.split_first() {
                None => Some(1.0),
                Some((&(_, value), rest)) => rest.iter().all(|&(_, v)| v == value).then_some(value),
            })
            .collect()
    }
}

/// A row with its columns in order, those of equal columns added up.
fn summed(mut row: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    if row.len() > 1 {
        row.sort_by_key(|&(column, _)| column);
        row.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }
    row
}

/// Every place of an array, in row-major order.
fn coordinates(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut n| {
        let mut place = vec![0; shape.len()];
        for (p, d) in place.iter_mut().zip(&shape).rev() {
            *p = n % d;
            n /= d;
        }
        place
    })
}

/// The zeros that a convolution puts before one of its axes.
pub(super) fn padding_before(c: &Convolution, axis: usize, input: usize, kernel: usize) -> usize {
    let padding = if c.same_padding {
        crate::ops::Padding::Same
    } else {
        crate::ops::Padding::Valid
    };
    Axis::new(input, kernel, c.strides[axis], c.dilation[axis], padding)
        .map_or(0, |axis| axis.before)
}
