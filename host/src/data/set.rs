//! Samples of one shape, with or without what they should come to.

use std::sync::Arc;

/// Samples of one shape, with or without targets. There is at least one sample, and no sample is empty. Clones share the
/// samples.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    shape: Vec<usize>,
    samples: Arc<Samples>,
    targets: Option<Targets>,
    byte_scale: f32,
}

/// The results that a network should have for each sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A class for each sample.
    Classes {
        /// The class of each sample.
        classes: Vec<u32>,
        /// The length of the rows that named them by their one place that is 1, if such rows did.
        columns: Option<usize>,
        /// The rows of probabilities that named them by their largest, if such rows did; else empty.
        rows: Vec<f32>,
    },
    /// Values for each sample: those of a regression, or a 0 or 1 for each of several labels.
    Values {
        /// Number of values of a sample.
        size: usize,
        /// The values of all samples, one after another.
        values: Vec<f32>,
        /// `true` if they are bytes as the samples are, whose unit is [`DataSet::byte_scale`].
        bytes: bool,
        /// `true` if values that are all 0 or 1 are labels, `false` if they are values like others.
        labels: bool,
    },
}

/// The float that one unit of a byte stands for unless a data set says otherwise: bytes are 0 to 1 in 255 parts.
pub const BYTE_SCALE: f32 = 1.0 / 255.0;

/// The values of all samples, one after another, each row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Bytes as stored; a byte b stands for b · [`DataSet::byte_scale`].
    U8(Vec<u8>),
    /// Finite floats. Wider types are rounded to the nearest float32.
    F32(Vec<f32>),
}

/// The values of one sample, row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample<'a> {
    /// Bytes as stored.
    U8(&'a [u8]),
    /// Finite floats.
    F32(&'a [f32]),
}

impl<'a> Sample<'a> {
    /// Some of the values, of those that there are.
    pub(crate) fn part(self, range: std::ops::Range<usize>) -> Self {
        match self {
            Self::U8(values) => Self::U8(values.get(range).unwrap_or_default()),
            Self::F32(values) => Self::F32(values.get(range).unwrap_or_default()),
        }
    }
}

impl DataSet {
    /// A data set of samples of `shape` (without the batch axis), with one label for each.
    ///
    /// `None` if the lengths do not fit, or if there is no value at all.
    #[must_use]
    pub fn new(shape: Vec<usize>, samples: Samples, labels: Option<Vec<u32>>) -> Option<Self> {
        let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let whole = size > 0 && samples.len() > 0 && samples.len().is_multiple_of(size);
        let labelled = |l: &Vec<u32>| whole && l.len() == samples.len() / size;
        (whole && labels.as_ref().is_none_or(labelled)).then_some(Self {
            shape,
            samples: Arc::new(samples),
            targets: labels.map(Targets::classes),
            byte_scale: BYTE_SCALE,
        })
    }

    /// The same data set, whose bytes b stand for b · `byte_scale`.
    #[must_use]
    pub fn with_byte_scale(mut self, byte_scale: f32) -> Self {
        self.byte_scale = byte_scale;
        self
    }

    /// The float that one unit of a byte stands for.
    #[must_use]
    pub fn byte_scale(&self) -> f32 {
        self.byte_scale
    }

    /// Tells whether there are bytes, which nobody has said the meaning of: they stand for 0 to 1.
    #[must_use]
    pub fn has_plain_bytes(&self) -> bool {
        self.byte_scale == BYTE_SCALE && matches!(self.samples(), Samples::U8(_))
    }

    /// The shape of one sample, without the batch axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values of all samples.
    #[must_use]
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The class of each sample, if the targets are classes.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        match &self.targets {
            Some(Targets::Classes { classes, .. }) => Some(classes),
            _ => None,
        }
    }

    /// The results that a network should have, if known.
    #[must_use]
    pub fn targets(&self) -> Option<&Targets> {
        self.targets.as_ref()
    }

    /// The same samples with these targets, which are left out unless there are as many as samples.
    #[must_use]
    pub fn with_targets(mut self, targets: Option<Targets>) -> Self {
        self.targets = targets.filter(|targets| targets.len() == self.len());
        self
    }

    /// Number of values of one sample.
    #[must_use]
    pub fn sample_size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of samples.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.samples.len() / self.sample_size()
    }

    /// Sample `i`, or `None` past the end.
    #[must_use]
    pub fn sample(&self, i: usize) -> Option<Sample<'_>> {
        let size = self.sample_size();
        let range = i.checked_mul(size)?..i.checked_add(1)?.checked_mul(size)?;
        match &*self.samples {
            Samples::U8(v) => v.get(range).map(Sample::U8),
            Samples::F32(v) => v.get(range).map(Sample::F32),
        }
    }

    /// All values as floats.
    #[must_use]
    pub fn to_floats(&self) -> Vec<f32> {
        match &*self.samples {
            Samples::U8(v) => v.iter().map(|&b| f32::from(b) * self.byte_scale).collect(),
            Samples::F32(v) => v.clone(),
        }
    }

    /// The samples at `indices`, in that order; `None` if that is none at all or one is past the end.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Option<Self> {
        let size = self.sample_size();
        let samples = match &*self.samples {
            Samples::U8(v) => Samples::U8(gather(v, indices, size)?),
            Samples::F32(v) => Samples::F32(gather(v, indices, size)?),
        };
        let chosen = Self::new(self.shape.clone(), samples, None)?;
        let targets = self.targets.as_ref().and_then(|t| t.select(indices));
        Some(
            chosen
                .with_targets(targets)
                .with_byte_scale(self.byte_scale),
        )
    }

    /// So many samples at even distances; all of them if there are fewer.
    #[must_use]
    pub fn evenly(&self, most: usize) -> Self {
        let (most, all) = (most.clamp(1, self.len()), self.len());
        let chosen: Vec<usize> = (0..most).map(|k| k * all / most).collect();
        self.select(&chosen).unwrap_or_else(|| self.clone())
    }

    /// A part of each sample, as samples of their own with another shape; `None` if samples are shorter, or the
    /// shape has another size.
    #[must_use]
    pub fn part(&self, part: std::ops::Range<usize>, shape: Vec<usize>) -> Option<Self> {
        fn cut<T: Copy>(
            values: &[T],
            size: usize,
            part: &std::ops::Range<usize>,
        ) -> Option<Vec<T>> {
            let parts = values
                .chunks_exact(size)
                .map(|sample| sample.get(part.clone()));
            Some(parts.collect::<Option<Vec<_>>>()?.concat())
        }
        let size = self.sample_size();
        if shape.iter().product::<usize>() != part.len() {
            return None;
        }
        let samples = match &*self.samples {
            Samples::U8(values) => Samples::U8(cut(values, size, &part)?),
            Samples::F32(values) => Samples::F32(cut(values, size, &part)?),
        };
        let part = Self::new(shape, samples, None)?.with_targets(self.targets.clone());
        Some(part.with_byte_scale(self.byte_scale))
    }

    /// Joins the data of several inputs into one data set: a sample is one of each, one behind the other. Unless
    /// all are bytes of one scale, they become floats. Targets are the first that there are.
    ///
    /// `None` if that is none at all, or the numbers of samples differ.
    #[must_use]
    pub fn side_by_side(mut sets: Vec<Self>) -> Option<Self> {
        fn joined<'a, T: Copy + 'a>(parts: &[(&'a [T], usize)], count: usize) -> Vec<T> {
            let mut all = Vec::with_capacity(parts.iter().map(|(values, _)| values.len()).sum());
            for i in 0..count {
                for (values, size) in parts {
                    all.extend_from_slice(&values[i * size..][..*size]);
                }
            }
            all
        }
        let (count, byte_scale) = sets.first().map(|set| (set.len(), set.byte_scale))?;
        if sets.len() == 1 {
            return sets.pop();
        }
        if sets.iter().any(|set| set.len() != count) {
            return None;
        }
        let sizes = sets.iter().map(Self::sample_size);
        let bytes: Option<Vec<_>> = (sets.iter().zip(sizes.clone()))
            .map(|(set, size)| match &*set.samples {
                Samples::U8(values) if set.byte_scale == byte_scale => {
                    Some((values.as_slice(), size))
                }
                _ => None,
            })
            .collect();
        let samples = match bytes {
            Some(parts) => Samples::U8(joined(&parts, count)),
            None => {
                let floats: Vec<_> = sets.iter().map(Self::to_floats).collect();
                let parts: Vec<_> = floats
                    .iter()
                    .map(Vec::as_slice)
                    .zip(sizes.clone())
                    .collect();
                Samples::F32(joined(&parts, count))
            }
        };
        let size = sizes.sum();
        let targets = sets.into_iter().find_map(|set| set.targets);
        let joined = Self::new(vec![size], samples, None)?.with_targets(targets);
        Some(joined.with_byte_scale(byte_scale))
    }

    /// The same with targets that are values even if they look like labels: zeros and ones have errors. Classes become
    /// the rows that named them, or the values of one output.
    #[must_use]
    pub fn measured(mut self) -> Self {
        self.targets = self.targets.map(|targets| match targets {
            Targets::Classes { classes, rows, .. } if !rows.is_empty() => Targets::Values {
                size: rows.len() / classes.len().max(1),
                values: rows,
                bytes: false,
                labels: false,
            },
            Targets::Classes {
                classes, columns, ..
            } => {
                let classes = classes.into_iter();
                let values = match columns {
                    Some(columns) => classes
                        .flat_map(|class| {
                            (0..columns).map(move |at| f32::from(at == class as usize))
                        })
                        .collect(),
                    None => classes.map(|class| class as f32).collect(),
                };
                Targets::Values {
                    size: columns.unwrap_or(1),
                    values,
                    bytes: false,
                    labels: false,
                }
            }
            Targets::Values {
                size,
                values,
                bytes,
                ..
            } => Targets::Values {
                size,
                values,
                bytes,
                labels: false,
            },
        });
        self
    }

    /// All samples as the steps of one that has no targets: a recording without end, from its first sample on.
    #[must_use]
    pub fn as_stream(mut self) -> Self {
        self.shape.insert(0, self.len());
        self.targets = None;
        self
    }

    /// Appends samples of the same shape and kind; others are left out.
    pub(super) fn extend(&mut self, other: Self) {
        match (Arc::make_mut(&mut self.samples), &*other.samples) {
            (Samples::U8(own), Samples::U8(more)) => own.extend_from_slice(more),
            (Samples::F32(own), Samples::F32(more)) => own.extend_from_slice(more),
            _ => return,
        }
        match (&mut self.targets, other.targets) {
            (
                Some(Targets::Classes {
                    classes: own,
                    rows: own_rows,
                    ..
                }),
                Some(Targets::Classes { classes, rows, .. }),
            ) => {
                own.extend(classes);
                own_rows.extend(rows);
            }
            (Some(Targets::Values { values: own, .. }), Some(Targets::Values { values, .. })) => {
                own.extend(values);
            }
            _ => {}
        }
    }

    /// The first `n` samples; all of them if there are fewer. At least one stays.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        let n = n.clamp(1, self.len());
        let values = n * self.sample_size();
        match Arc::make_mut(&mut self.samples) {
            Samples::U8(v) => v.truncate(values),
            Samples::F32(v) => v.truncate(values),
        }
        match &mut self.targets {
            Some(Targets::Classes { classes, rows, .. }) => {
                rows.truncate(n * (rows.len() / classes.len().max(1)));
                classes.truncate(n);
            }
            Some(Targets::Values { size, values, .. }) => values.truncate(n * *size),
            None => {}
        }
        self
    }
}

impl Targets {
    /// Classes that no rows named.
    #[must_use]
    pub fn classes(classes: Vec<u32>) -> Self {
        Self::Classes {
            classes,
            columns: None,
            rows: Vec::new(),
        }
    }

    /// Number of values of a row of them; 1 of classes that no rows named.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Classes { columns, .. } => columns.unwrap_or(1),
            Self::Values { size, .. } => *size,
        }
    }

    /// Tells whether so many outputs can be held to them. Two columns may stand for the two sides of one output.
    pub(crate) fn fit(&self, outputs: usize) -> bool {
        match self {
            Self::Classes { columns, .. } => {
                columns.is_none_or(|n| n == outputs || (n, outputs) == (2, 1))
            }
            Self::Values { size, .. } => *size == outputs,
        }
    }

    /// Number of samples that they are for.
    fn len(&self) -> usize {
        match self {
            Self::Classes { classes, .. } => classes.len(),
            Self::Values { size, values, .. } => values.len().checked_div(*size).unwrap_or(0),
        }
    }

    /// Those of the samples at `indices`; `None` if one is past the end.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Option<Self> {
        Some(match *self {
            Self::Classes {
                ref classes,
                columns,
                ref rows,
            } => Self::Classes {
                classes: gather(classes, indices, 1)?,
                columns,
                rows: gather(rows, indices, rows.len() / classes.len().max(1))?,
            },
            Self::Values {
                size,
                ref values,
                bytes,
                labels,
            } => Self::Values {
                size,
                values: gather(values, indices, size)?,
                bytes,
                labels,
            },
        })
    }
}

/// The rows of `size` values at `indices`; `None` if one is past the end.
fn gather<T: Copy>(values: &[T], indices: &[usize], size: usize) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(indices.len() * size);
    for &i in indices {
        let start = i.checked_mul(size)?;
        all.extend_from_slice(values.get(start..start.checked_add(size)?)?);
    }
    Some(all)
}

impl Samples {
    /// Number of values, over all samples.
    fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }
}
