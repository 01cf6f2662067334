//! Convolution as a matrix product over gathered patches.

use super::window::{Axis, OUTSIDE, Padding, Taps};
use super::{MatMut, MatRef, OpsError, check_len, gemm};
use crate::network::Convolution;

/// Values of gathered patches that are held at once: about the size of a core's cache.
const PATCH_VALUES: usize = 1 << 16;

/// A convolution's geometry, worked out and checked once.
#[derive(Clone, Debug)]
pub struct ConvPlan {
    /// Input place that each output place sees under each kernel place.
    pub taps: Taps,
    /// The output's places along each axis.
    pub places: Vec<usize>,
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Channels form this many groups.
    pub groups: usize,
    /// `true` if channels are the last axis of the vectors.
    pub channels_last: bool,
}

impl ConvPlan {
    /// The plan of a network's convolution.
    ///
    /// # Errors
    /// [`OpsError::Shape`] if the kernel, the strides or the output shape do not fit the input.
    pub fn new(c: &Convolution) -> Result<Self, OpsError> {
        let padding = if c.same_padding {
            Padding::Same
        } else {
            Padding::Valid
        };
        let plan = Self::with_padding(
            &c.input_shape,
            c.kernel.shape(),
            &c.strides,
            &c.dilation,
            padding,
            c.groups,
            c.channels_last,
        )?;
        let outputs = c.output_shape.iter().product::<usize>();
        check_len(
            "a convolution's output shape",
            plan.taps.output * plan.channels_out,
            outputs,
        )?;
        Ok(plan)
    }

    /// The plan of a convolution over an input of `input_shape` with a kernel of shape
    /// `[k.., in / groups, out]`.
    ///
    /// # Errors
    /// [`OpsError::Shape`] if these do not fit together.
    pub fn with_padding(
        input_shape: &[usize],
        kernel_shape: &[usize],
        strides: &[usize],
        dilation: &[usize],
        padding: Padding,
        groups: usize,
        channels_last: bool,
    ) -> Result<Self, OpsError> {
        let shape_error = |what, expected: String, found: &[usize]| OpsError::Shape {
            what,
            expected,
            found: found.to_vec(),
        };
        let rank = strides.len();
        let (places, channels_in) = split_channels(input_shape, channels_last)
            .filter(|(places, _)| places.len() == rank && dilation.len() == rank)
            .ok_or_else(|| {
                shape_error(
                    "a convolution's input",
                    format!("{rank} axes and channels"),
                    input_shape,
                )
            })?;
        let (kernel, group_in, channels_out) = match kernel_shape {
            [kernel @ .., group_in, out] if kernel.len() == rank => (kernel, *group_in, *out),
            _ => {
                return Err(shape_error(
                    "a convolution's kernel",
                    format!("{rank} axes, input channels and filters"),
                    kernel_shape,
                ));
            }
        };
        if groups == 0
            || group_in.checked_mul(groups) != Some(channels_in)
            || !channels_out.is_multiple_of(groups)
        {
            return Err(shape_error(
                "a convolution's kernel",
                format!("{channels_in} input channels in {groups} groups"),
                kernel_shape,
            ));
        }
        let (taps, places) = (0..rank)
            .map(|a| Axis::new(places[a], kernel[a], strides[a], dilation[a], padding))
            .collect::<Option<Vec<_>>>()
            .and_then(|axes| Some((Taps::new(&axes)?, axes.iter().map(|a| a.output).collect())))
            .ok_or_else(|| {
                shape_error(
                    "a convolution's input",
                    format!("room for the kernel {kernel:?} with strides {strides:?}"),
                    input_shape,
                )
            })?;
        Ok(Self {
            taps,
            places,
            channels_in,
            channels_out,
            groups,
            channels_last,
        })
    }

    /// The length of the input.
    #[must_use]
    pub fn size_in(&self) -> usize {
        self.taps.input * self.channels_in
    }

    /// The length of the output.
    #[must_use]
    pub fn size_out(&self) -> usize {
        self.taps.output * self.channels_out
    }

    /// Adds the convolution of each of `batch` inputs in `x` to the outputs in `y`.
    ///
    /// # Errors
    /// [`OpsError::Length`] if a slice does not fit the plan.
    pub fn apply_batch(
        &self,
        kernel: &[f32],
        batch: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), OpsError> {
        let group_in = self.channels_in / self.groups;
        let group_out = self.channels_out / self.groups;
        let depth = self.taps.kernel * group_in;
        check_len(
            "a convolution's kernel",
            depth * self.channels_out,
            kernel.len(),
        )?;
        check_len(
            "a convolution's input",
            self.size_in().saturating_mul(batch),
            x.len(),
        )?;
        check_len(
            "a convolution's output",
            self.size_out().saturating_mul(batch),
            y.len(),
        )?;
        if depth == 0 || self.size_out() == 0 {
            return Ok(());
        }
        if group_in == 1 && self.channels_last {
            self.depthwise(kernel, x, y);
            return Ok(());
        }
        let rows = (PATCH_VALUES / depth).clamp(1, self.taps.output);
        let mut patches = vec![0.0; rows * depth];
        let (place_in, channel_in) = self.strides(self.taps.input, self.channels_in);
        let (place_out, channel_out) = self.strides(self.taps.output, self.channels_out);
        let windows: Vec<&[u32]> = self.taps.windows().collect();
        for (x, y) in x
            .chunks_exact(self.size_in())
            .zip(y.chunks_exact_mut(self.size_out()))
        {
            for group in 0..self.groups {
                let x = &x[group * group_in * channel_in..];
                for (block, windows) in windows.chunks(rows).enumerate() {
                    for (row, taps) in patches.chunks_exact_mut(depth).zip(windows) {
                        for (cell, &place) in row.chunks_exact_mut(group_in).zip(*taps) {
                            if place == OUTSIDE {
                                cell.fill(0.0);
                            } else if channel_in == 1 {
                                let at = place as usize * place_in;
                                cell.copy_from_slice(&x[at..at + group_in]);
                            } else {
                                let at = place as usize * place_in;
                                for (c, cell) in cell.iter_mut().enumerate() {
                                    *cell = x[at + c * channel_in];
                                }
                            }
                        }
                    }
                    let first = block * rows * place_out + group * group_out * channel_out;
                    gemm(
                        MatRef::row_major(&patches, windows.len(), depth),
                        MatRef {
                            data: &kernel[group * group_out..],
                            rows: depth,
                            cols: group_out,
                            row_stride: self.channels_out,
                            col_stride: 1,
                        },
                        MatMut {
                            data: &mut y[first..],
                            rows: windows.len(),
                            cols: group_out,
                            row_stride: place_out,
                            col_stride: channel_out,
                        },
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Each input channel has its own outputs: too little for a matrix product.
    fn depthwise(&self, kernel: &[f32], x: &[f32], y: &mut [f32]) {
        let multiplier = self.channels_out / self.channels_in;
        for (x, y) in x
            .chunks_exact(self.size_in())
            .zip(y.chunks_exact_mut(self.size_out()))
        {
            for (y, window) in y
                .chunks_exact_mut(self.channels_out)
                .zip(self.taps.windows())
            {
                for (kernel, &place) in kernel.chunks_exact(self.channels_out).zip(window) {
                    if place == OUTSIDE {
                        continue;
                    }
                    let x = &x[place as usize * self.channels_in..][..self.channels_in];
                    for ((y, k), x) in y
                        .chunks_exact_mut(multiplier)
                        .zip(kernel.chunks_exact(multiplier))
                        .zip(x)
                    {
                        for (y, k) in y.iter_mut().zip(k) {
                            *y += x * k;
                        }
                    }
                }
            }
        }
    }

    /// Values from one place to the next, and from one channel to the next.
    fn strides(&self, places: usize, channels: usize) -> (usize, usize) {
        if self.channels_last {
            (channels, 1)
        } else {
            (1, places)
        }
    }
}

/// The places' axes and the number of channels; `None` for a shape without axes.
pub(crate) fn split_channels(shape: &[usize], channels_last: bool) -> Option<(&[usize], usize)> {
    if channels_last {
        shape
            .split_last()
            .map(|(channels, places)| (places, *channels))
    } else {
        shape
            .split_first()
            .map(|(channels, places)| (places, *channels))
    }
}
