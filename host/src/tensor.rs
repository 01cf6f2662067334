//! A dense float array with a shape: what the importer reads and the network's transforms hold.

use std::sync::Arc;

/// A row-major (C order) float32 array. Cloning shares the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Arc<[f32]>,
}

impl Tensor {
    /// The array of `shape` over `data`, in row-major order; `None` if the lengths differ.
    #[must_use]
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Option<Self> {
        let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (len == data.len()).then(|| Self {
            shape,
            data: data.into(),
        })
    }

    /// A vector, of shape `[data.len()]`.
    #[must_use]
    pub fn vector(data: Vec<f32>) -> Self {
        Self {
            shape: vec![data.len()],
            data: data.into(),
        }
    }

    /// A value at every place of `shape`.
    #[must_use]
    pub fn filled(shape: Vec<usize>, value: f32) -> Self {
        let len = shape.iter().product();
        Self {
            shape,
            data: vec![value; len].into(),
        }
    }

    /// The length along each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row-major.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Tells whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The array of `f` of each value.
    #[must_use]
    pub fn map(&self, f: impl FnMut(f32) -> f32) -> Self {
        Self {
            shape: self.shape.clone(),
            data: self.data.iter().copied().map(f).collect(),
        }
    }

    /// The same values under another shape of the same length.
    #[must_use]
    pub fn reshaped(&self, shape: Vec<usize>) -> Option<Self> {
        let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (len == self.data.len()).then(|| Self {
            shape,
            data: Arc::clone(&self.data),
        })
    }
}
