//! Wiring: linear maps without weights of their own, such as slices, pooling and padding.

use crate::network::{Convolution, Diagonal, Sparse};
use crate::ops::Axis;

/// The most entries of a wiring: what a map of one layer onto another may hold while it is resolved.
pub(super) const MAX_ENTRIES: usize = 1 << 23;

/// A column and its value.
type Entry = (u32, f32);

/// A sparse matrix that says which places an object sees of another: y[row] = Σ value x[column].
///
/// Rows hold their columns in ascending order, each at most once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wiring {
    /// The length of x.
    pub(super) inputs: usize,
    /// The entries of all rows.
    entries: Vec<Entry>,
    /// The end of each row in `entries`.
    ends: Vec<u32>,
}

impl Wiring {
    fn with_capacity(inputs: usize, rows: usize) -> Self {
        Self {
            inputs,
            entries: Vec::with_capacity(rows),
            ends: Vec::with_capacity(rows),
        }
    }

    /// Appends a row, with the entries of equal columns added up.
    fn push(&mut self, row: impl IntoIterator<Item = Entry>) {
        let start = self.entries.len();
        self.entries.extend(row);
        let row = &mut self.entries[start..];
        if row.len() > 1 {
            row.sort_by_key(|&(column, _)| column);
            let mut kept = start;
            for at in start + 1..self.entries.len() {
                let (column, value) = self.entries[at];
                if self.entries[kept].0 == column {
                    self.entries[kept].1 += value;
                } else {
                    kept += 1;
                    self.entries[kept] = (column, value);
                }
            }
            self.entries.truncate(kept + 1);
        }
        self.ends.push(self.entries.len() as u32);
    }

    /// The wiring with so many rows and these entries, each with its row.
    fn of(inputs: usize, outputs: usize, mut entries: Vec<(u32, Entry)>) -> Self {
        entries.sort_by_key(|&(row, _)| row);
        let mut wiring = Self::with_capacity(inputs, outputs);
        let mut rest = entries.iter().peekable();
        for row in 0..outputs as u32 {
            let own = std::iter::from_fn(|| rest.next_if(|(of, _)| *of == row));
            wiring.push(own.map(|(_, entry)| *entry));
        }
        wiring
    }

    /// y = x.
    pub(super) fn identity(n: usize) -> Self {
        Self::gather(n, 0..n)
    }

    /// y[i] = x[places[i]].
    pub(super) fn gather(inputs: usize, places: impl IntoIterator<Item = usize>) -> Self {
        let entries: Vec<Entry> = places.into_iter().map(|at| (at as u32, 1.0)).collect();
        Self {
            inputs,
            ends: (1..=entries.len() as u32).collect(),
            entries,
        }
    }

    /// y[places[i]] = x[i], and 0 elsewhere.
    pub(super) fn spread(outputs: usize, places: &[usize]) -> Self {
        let entries = (0u32..).zip(places).map(|(i, &at)| (at as u32, (i, 1.0)));
        Self::of(places.len(), outputs, entries.collect())
    }

    pub(super) fn diagonal(d: &Diagonal) -> Self {
        let factors = d.factor.data().iter().cycle().take(d.size);
        Self {
            inputs: d.size,
            entries: (0..).zip(factors.copied()).collect(),
            ends: (1..=d.size as u32).collect(),
        }
    }

    pub(super) fn sparse(s: &Sparse) -> Self {
        let entries = s.indices.iter().zip(s.values.data());
        let entries = entries.map(|(&(row, column), &value)| (row, (column, value)));
        Self::of(s.size_in, s.size_out, entries.collect())
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
        let mut entries = Vec::new();
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
                    let to = index(&output, &outputs, channel);
                    entries.push((to as u32, (from as u32, value)));
                }
            }
        }
        let rows = outputs.iter().product::<usize>() * channels;
        Some(Self::of(c.input_shape.iter().product(), rows, entries))
    }

    /// Reorders channels last to channels first: y[(channel, place)] = x[(place, channel)].
    pub(super) fn channels_first(places: usize, channels: usize) -> Self {
        let order = (0..channels).flat_map(|c| (0..places).map(move |p| p * channels + c));
        Self::gather(places * channels, order)
    }

    /// Reorders channels first to channels last.
    pub(super) fn channels_last(places: usize, channels: usize) -> Self {
        Self::channels_first(channels, places)
    }

    /// x of y, if each row sees one column and no two the same.
    pub(super) fn inverse(&self) -> Self {
        let mut places = vec![0; self.outputs()];
        for (at, row) in self.rows().enumerate() {
            if let Some(place) = row
                .first()
                .and_then(|&(from, _)| places.get_mut(from as usize))
            {
                *place = at;
            }
        }
        Self::gather(self.outputs(), places)
    }

    pub(super) fn outputs(&self) -> usize {
        self.ends.len()
    }

    /// A measure of its memory.
    pub(super) fn size(&self) -> usize {
        self.entries.len() + self.ends.len()
    }

    /// The entries of a row.
    pub(super) fn row(&self, at: usize) -> &[Entry] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[start as usize..self.ends[at] as usize]
    }

    pub(super) fn rows(
        &self,
    ) -> impl DoubleEndedIterator<Item = &[Entry]> + ExactSizeIterator + Clone {
        (0..self.outputs()).map(|at| self.row(at))
    }

    /// Some of its rows.
    pub(super) fn part(&self, rows: std::ops::Range<usize>) -> Self {
        let mut part = Self::with_capacity(self.inputs, rows.len());
        rows.for_each(|at| part.push(self.row(at).iter().copied()));
        part
    }

    /// `true` if some row is a sum.
    pub(super) fn adds(&self) -> bool {
        self.rows().any(|row| row.len() > 1)
    }

    pub(super) fn is_identity(&self) -> bool {
        self.inputs == self.outputs()
            && self.entries.len() == self.inputs
            && (0u32..).zip(self.rows()).all(|(i, row)| row == [(i, 1.0)])
    }

    /// This after `inner`; `None` if it has too many entries.
    pub(super) fn after(&self, inner: &Self) -> Option<Self> {
        if self.is_identity() {
            return Some(inner.clone());
        }
        if inner.is_identity() {
            return Some(self.clone());
        }
        let mut wiring = Self::with_capacity(inner.inputs, self.outputs());
        for row in self.rows() {
            let through = |middle: u32| match inner.outputs() > middle as usize {
                true => inner.row(middle as usize),
                false => &[],
            };
            let size: usize = row.iter().map(|&(middle, _)| through(middle).len()).sum();
            if wiring.size() + size > MAX_ENTRIES {
                return None;
            }
            wiring.push(row.iter().flat_map(|&(middle, value)| {
                let terms = through(middle).iter();
                terms.map(move |&(column, v)| (column, value * v))
            }));
        }
        Some(wiring)
    }

    /// This after a diagonal matrix.
    pub(super) fn scaled(mut self, factor: impl Fn(usize) -> f32) -> Self {
        for (column, value) in &mut self.entries {
            *value *= factor(*column as usize);
        }
        self
    }

    /// The sum of two wirings whose rows see the same columns; `None` if they do not.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let columns = |w: &Self| w.entries.iter().map(|entry| entry.0).collect::<Vec<_>>();
        let alike = self.inputs == other.inputs
            && self.ends == other.ends
            && columns(self) == columns(other);
        alike.then(|| {
            let mut sum = self.clone();
            for ((_, value), (_, more)) in sum.entries.iter_mut().zip(&other.entries) {
                *value += more;
            }
            sum
        })
    }

    /// The sum of two wirings that bring the same to different rows, as two halves of a concatenation do;
    /// `None` if they are of another kind.
    pub(super) fn beside(&self, other: &Self) -> Option<Self> {
        let columns = |w: &Self| w.entries.iter().map(|entry| entry.0).collect::<Vec<_>>();
        let lengths = |w: &Self| {
            w.rows()
                .map(<[_]>::len)
                .filter(|n| *n > 0)
                .collect::<Vec<_>>()
        };
        let disjoint = || {
            let mut rows = self.rows().zip(other.rows());
            rows.all(|(a, b)| a.is_empty() || b.is_empty())
        };
        let halves = self.inputs == other.inputs
            && self.outputs() == other.outputs()
            && columns(self) == columns(other)
            && lengths(self) == lengths(other)
            && disjoint();
        halves.then(|| {
            let mut sum = Self::with_capacity(self.inputs, self.outputs());
            for (a, b) in self.rows().zip(other.rows()) {
                sum.push(a.iter().chain(b).copied());
            }
            sum
        })
    }

    /// The common value of each row's entries, 1 for an empty row; `None` if a row has several.
    pub(super) fn row_values(&self) -> Option<Vec<f32>> {
        self.rows()
            .map(|row| match row.split_first() {
                None => Some(1.0),
                Some((&(_, value), rest)) => rest.iter().all(|&(_, v)| v == value).then_some(value),
            })
            .collect()
    }
}

/// All places of an array, in row-major order.
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
