//! The linear map of a link, in the forms that images have: weights, and a map of the source before
//! them.

use crate::ops::{self, Axis, ConvPlan, OpsError, Taps};
use crate::tensor::Tensor;

/// The part of a link's source that its weights see.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceMap {
    /// The source as it is.
    Direct,
    /// Sums over neighbours, repetitions and offsets.
    Window(Window),
    /// Each place of the source as one of `places`, or as none.
    Table {
        /// The number of places that the weights see.
        places: usize,
        /// Places that each place of the source stands for.
        to: Vec<Option<u32>>,
    },
}

/// Pooling, repetition and an offset along two axes; channels stay.
///
/// Place (y, x, c) stands for (floor(y / pool) repeat + offset + k, likewise for x, c) for every k
/// below `repeat`, as far as that lies inside `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height, width and channels of the source.
    pub input: [usize; 3],
    /// Height, width and channels of what the weights see.
    pub output: [usize; 3],
    /// Number of neighbours along each axis that add up to one place.
    pub pool: [usize; 2],
    /// Number of places that each of those becomes.
    pub repeat: [usize; 2],
    /// The distance of those behind the origin.
    pub offset: [isize; 2],
}

impl Window {
    fn axis(&self, axis: usize, place: usize) -> std::ops::Range<usize> {
        let repeat = self.repeat[axis];
        let first = (place / self.pool[axis] * repeat) as isize + self.offset[axis];
        let inside = |at: isize| at.clamp(0, self.output[axis] as isize) as usize;
        inside(first)..inside(first + repeat as isize)
    }

    /// Calls `each` with every place of the source and every place that it stands for.
    pub fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        let [height, width, channels] = self.input;
        for y in 0..height {
            for x in 0..width {
                for to_y in self.axis(0, y) {
                    for to_x in self.axis(1, x) {
                        let from = (y * width + x) * channels;
                        let to = (to_y * self.output[1] + to_x) * channels;
                        for c in 0..channels {
                            each(from + c, to + c);
                        }
                    }
                }
            }
        }
    }
}

impl SourceMap {
    /// Calls `each` with every place of a source of `inputs` places, and every place that it stands
    /// for.
    pub fn for_each(&self, inputs: usize, mut each: impl FnMut(usize, usize)) {
        match self {
            Self::Direct => (0..inputs).for_each(|at| each(at, at)),
            Self::Window(w) => w.for_each(each),
            Self::Table { to, .. } => {
                for (from, to) in to.iter().enumerate() {
                    if let Some(to) = to {
                        each(from, *to as usize);
                    }
                }
            }
        }
    }

    /// The number of places, of a source of `inputs` places, that the most crowded place stands for.
    #[must_use]
    pub fn crowd(&self, inputs: usize) -> usize {
        match self {
            Self::Direct => 1,
            Self::Window(w) => (0..2).map(|axis| w.pool[axis].min(w.input[axis])).product(),
            Self::Table { places, .. } => {
                let mut crowds = vec![0; *places];
                self.for_each(inputs, |_, to| crowds[to] += 1);
                crowds.into_iter().max().unwrap_or(0)
            }
        }
    }
}

/// The weights of a link.
#[derive(Clone, Debug, PartialEq)]
pub enum LinearMap {
    /// A full matrix to a part of the target.
    Dense(Dense),
    /// A convolution, channels last.
    Convolution(Convolution),
}

/// A full matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// `[outputs, inputs]`.
    pub weights: Tensor,
    /// The first place of the target that it reaches.
    pub first: usize,
}

/// A cross-correlation over two axes, channels last. One over one axis has the height 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Height, width and channels of what it sees.
    pub input: [usize; 3],
    /// Height, width and channels of the target.
    pub output: [usize; 3],
    /// `[kernel y, kernel x, input channels / groups, filters]`.
    pub kernel: Tensor,
    /// Stride along each axis.
    pub stride: [usize; 2],
    /// Zeros before each axis; what a window misses behind it is zero as well.
    pub padding: [usize; 2],
    /// Dilation along each axis.
    pub dilation: [usize; 2],
    /// Groups of channels and filters.
    pub groups: usize,
    /// The channel of the target that the first filter reaches.
    pub first: usize,
}

impl Convolution {
    /// The number of its filters.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.kernel.shape()[3]
    }

    /// y += W x for each of `batch` vectors.
    ///
    /// # Errors
    /// [`OpsError`] if the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        let axes = [0, 1].map(|axis| Axis {
            input: self.input[axis],
            kernel: self.kernel.shape()[axis],
            stride: self.stride[axis],
            dilation: self.dilation[axis],
            output: self.output[axis],
            before: self.padding[axis],
        });
        let filters = self.filters();
        let plan = ConvPlan {
            taps: Taps::new(&axes).ok_or_else(|| OpsError::Shape {
                what: "a convolution's input",
                expected: "fewer places".to_owned(),
                found: self.input.to_vec(),
            })?,
            places: self.output[..2].to_vec(),
            channels_in: self.input[2],
            channels_out: filters,
            groups: self.groups,
            channels_last: true,
        };
        let channels = self.output[2];
        if filters == channels {
            return plan.apply_batch(self.kernel.data(), batch, x, y);
        }
        let mut part = vec![0.0; y.len() / channels.max(1) * filters];
        plan.apply_batch(self.kernel.data(), batch, x, &mut part)?;
        let part = part.chunks(filters.max(1));
        for (y, part) in y.chunks_mut(channels.max(1)).zip(part) {
            let y = y.iter_mut().skip(self.first);
            y.zip(part).for_each(|(y, part)| *y += part);
        }
        Ok(())
    }
}

impl LinearMap {
    /// The map into a population that pools: each of so many places counts for itself, and a matrix without rows
    /// says so.
    #[must_use]
    pub fn counting(places: usize) -> Self {
        Self::Dense(Dense {
            weights: Tensor::filled(vec![0, places], 0.0),
            first: 0,
        })
    }

    /// Tells whether places count for themselves, without weights.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self, Self::Dense(d) if d.weights.shape()[0] == 0)
    }

    /// The number of places that it sees.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self {
            Self::Dense(d) => d.weights.shape()[1],
            Self::Convolution(c) => c.input.iter().product(),
        }
    }

    /// y += W x for each of `batch` vectors.
    ///
    /// # Errors
    /// [`OpsError`] if the lengths do not match.
    pub fn apply_batch(&self, batch: usize, x: &[f32], y: &mut [f32]) -> Result<(), OpsError> {
        match self {
            Self::Dense(d) => {
                let outputs = d.weights.shape()[0];
                let size = y.len().checked_div(batch).unwrap_or(0);
                if outputs == size {
                    return ops::dense(&d.weights, batch, x, y);
                }
                let mut part = vec![0.0; outputs * batch];
                ops::dense(&d.weights, batch, x, &mut part)?;
                let part = part.chunks(outputs.max(1));
                for (y, part) in y.chunks_mut(size.max(1)).zip(part) {
                    let y = y.iter_mut().skip(d.first);
                    y.zip(part).for_each(|(y, part)| *y += part);
                }
                Ok(())
            }
            Self::Convolution(c) => c.apply_batch(batch, x, y),
        }
    }

    /// The same with every weight changed by `f`.
    #[must_use]
    pub fn map(&self, f: impl FnMut(f32) -> f32) -> Self {
        match self {
            Self::Dense(d) => Self::Dense(Dense {
                weights: d.weights.map(f),
                first: d.first,
            }),
            Self::Convolution(c) => Self::Convolution(Convolution {
                kernel: c.kernel.map(f),
                ..c.clone()
            }),
        }
    }
}
