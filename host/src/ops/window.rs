//! Sliding windows: which input places a kernel touches from each output place.

/// Padding where windows meet the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Padding {
    /// Whole windows only.
    #[default]
    Valid,
    /// Zeros around, so that the output has ceil(input / stride) places.
    Same,
    /// Zeros before the start only.
    Causal,
}

/// The mark of a tap that falls on padding.
pub const OUTSIDE: u32 = u32::MAX;

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Places of the input.
    pub input: usize,
    /// Places of the kernel.
    pub kernel: usize,
    /// Input places from one window to the next.
    pub stride: usize,
    /// Input places from one kernel place to the next.
    pub dilation: usize,
    /// Places of the output.
    pub output: usize,
    /// Padding before the first input place.
    pub before: usize,
}

impl Axis {
    /// The window of `kernel` places over `input` places; `None` if an argument is 0, or if
    /// no whole window fits without padding.
    ///
    /// `Same` is TensorFlow's rule: ceil(input / stride) windows, the smaller half of the padding
    /// before. `Causal` pads before only.
    #[must_use]
    pub fn new(
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        padding: Padding,
    ) -> Option<Self> {
        if kernel == 0 || stride == 0 || dilation == 0 {
            return None;
        }
        let span = (kernel - 1).checked_mul(dilation)?.checked_add(1)?;
        let (output, before) = match padding {
            Padding::Valid => (input.checked_sub(span)? / stride + 1, 0),
            Padding::Same => {
                let output = input.div_ceil(stride);
                let covered = output.checked_sub(1)?.checked_mul(stride)?;
                (output, covered.checked_add(span)?.saturating_sub(input) / 2)
            }
            Padding::Causal => (input.div_ceil(stride), span - 1),
        };
        Some(Self {
            input,
            kernel,
            stride,
            dilation,
            output,
            before,
        })
    }

    /// The input place under kernel place `k` of window `o`; `None` on padding.
    #[must_use]
    pub fn input_at(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation)
            .checked_sub(self.before)
            .filter(|i| *i < self.input)
    }
}

/// The taps of a window over several axes: for each output place, in row-major order, the input
/// place under each kernel place, or [`OUTSIDE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// Places of the kernel.
    pub kernel: usize,
    /// Places of the input.
    pub input: usize,
    /// Places of the output.
    pub output: usize,
    table: Vec<u32>,
}

impl Taps {
    /// The taps of the window over these axes; `None` if the table would not fit in memory's
    /// index type.
    #[must_use]
    pub fn new(axes: &[Axis]) -> Option<Self> {
        let product = |of: fn(&Axis) -> usize| {
            axes.iter()
                .try_fold(1usize, |n, a| n.checked_mul(of(a)))
                .filter(|n| u32::try_from(*n).is_ok_and(|n| n != OUTSIDE))
        };
        let (kernel, input, output) = (
            product(|a| a.kernel)?,
            product(|a| a.input)?,
            product(|a| a.output)?,
        );
        // Axis by axis: a table over the first axes, widened by the next.
        let mut table = vec![0u32];
        let (mut n_out, mut n_kernel) = (1, 1);
        for a in axes {
            let (outs, kernels) = (n_out * a.output, n_kernel * a.kernel);
            let mut wider = Vec::with_capacity(outs.checked_mul(kernels)?);
            for o in 0..outs {
                for k in 0..kernels {
                    let head = table
                        .get((o / a.output) * n_kernel + k / a.kernel)
                        .copied()?;
                    let here = a.input_at(o % a.output, k % a.kernel);
                    wider.push(match here {
                        Some(i) if head != OUTSIDE => {
                            u32::try_from(head as usize * a.input + i).ok()?
                        }
                        _ => OUTSIDE,
                    });
                }
            }
            (table, n_out, n_kernel) = (wider, outs, kernels);
        }
        Some(Self {
            kernel,
            input,
            output,
            table,
        })
    }

    /// Input places under each kernel place, for each output place.
    pub fn windows(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.table.chunks_exact(self.kernel.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_tensorflows() {
        let axis = |n, k, s| {
            let a = Axis::new(n, k, s, 1, Padding::Same).unwrap();
            (a.output, a.before)
        };
        assert_eq!(axis(28, 3, 1), (28, 1));
        assert_eq!(axis(28, 3, 2), (14, 0));
        assert_eq!(axis(5, 2, 1), (5, 0));
        assert_eq!(axis(7, 5, 3), (3, 2));
        assert_eq!(axis(4, 1, 3), (2, 0));
    }

    #[test]
    fn taps_mark_padding() {
        let a = Axis::new(3, 3, 1, 1, Padding::Same).unwrap();
        let taps = Taps::new(&[a]).unwrap();
        let rows: Vec<&[u32]> = taps.windows().collect();
        assert_eq!(rows, [&[OUTSIDE, 0, 1], &[0, 1, 2], &[1, 2, OUTSIDE]]);
    }
}
