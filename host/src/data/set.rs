//! Samples of one shape, with or without labels.

/// Samples of one shape, with or without labels. There is at least one sample, and no sample is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    shape: Vec<usize>,
    samples: Samples,
    labels: Option<Vec<u32>>,
    byte_scale: f32,
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
            samples,
            labels,
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

    /// The class of each sample, if known.
    #[must_use]
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
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
        match &self.samples {
            Samples::U8(v) => v.get(range).map(Sample::U8),
            Samples::F32(v) => v.get(range).map(Sample::F32),
        }
    }

    /// All values as floats.
    #[must_use]
    pub fn to_floats(&self) -> Vec<f32> {
        match &self.samples {
            Samples::U8(v) => v.iter().map(|&b| f32::from(b) * self.byte_scale).collect(),
            Samples::F32(v) => v.clone(),
        }
    }

    /// The samples at `indices`, in that order; `None` if that is none at all or one is past the end.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Option<Self> {
        fn gather<T: Copy>(values: &[T], indices: &[usize], size: usize) -> Option<Vec<T>> {
            let mut all = Vec::with_capacity(indices.len() * size);
            for &i in indices {
                let start = i.checked_mul(size)?;
                all.extend_from_slice(values.get(start..start.checked_add(size)?)?);
            }
            Some(all)
        }
        let size = self.sample_size();
        let samples = match &self.samples {
            Samples::U8(v) => Samples::U8(gather(v, indices, size)?),
            Samples::F32(v) => Samples::F32(gather(v, indices, size)?),
        };
        let labels = match &self.labels {
            Some(labels) => Some(gather(labels, indices, 1)?),
            None => None,
        };
        let chosen = Self::new(self.shape.clone(), samples, labels)?;
        Some(chosen.with_byte_scale(self.byte_scale))
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
        let samples = match &self.samples {
            Samples::U8(values) => Samples::U8(cut(values, size, &part)?),
            Samples::F32(values) => Samples::F32(cut(values, size, &part)?),
        };
        let part = Self::new(shape, samples, self.labels.clone())?;
        Some(part.with_byte_scale(self.byte_scale))
    }

    /// Joins the data of several inputs into one data set: a sample is one of each, one behind the other. Unless
    /// all are bytes of one scale, they become floats. Labels are the first that there are.
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
            .map(|(set, size)| match &set.samples {
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
        let labels = sets.into_iter().find_map(|set| set.labels);
        Some(Self::new(vec![size], samples, labels)?.with_byte_scale(byte_scale))
    }

    /// The same samples with these labels, one for each.
    pub(super) fn with_labels(mut self, labels: Option<Vec<u32>>) -> Self {
        self.labels = labels;
        self
    }

    /// Appends samples of the same shape and kind; others are left out.
    pub(super) fn extend(&mut self, other: Self) {
        match (&mut self.samples, other.samples) {
            (Samples::U8(own), Samples::U8(more)) => own.extend(more),
            (Samples::F32(own), Samples::F32(more)) => own.extend(more),
            _ => return,
        }
        if let (Some(own), Some(more)) = (&mut self.labels, other.labels) {
            own.extend(more);
        }
    }

    /// The first `n` samples; all of them if there are fewer. At least one stays.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        let n = n.clamp(1, self.len());
        let values = n * self.sample_size();
        match &mut self.samples {
            Samples::U8(v) => v.truncate(values),
            Samples::F32(v) => v.truncate(values),
        }
        if let Some(labels) = &mut self.labels {
            labels.truncate(n);
        }
        self
    }
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
