//! Outputs of the network after some steps.

use tinyspike_shared::fixed::{Scale, rescale};
use tinyspike_shared::quantize;

/// The sums of one output, and how to read them.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    pub(crate) sums: &'a [i32],
    pub(crate) multiplier: &'a [i32],
    pub(crate) shift: u8,
    pub(crate) scale: Scale,
    /// Steps that the values are summed over.
    pub(crate) steps: u16,
}

impl<'a> Output<'a> {
    /// The sum of each channel, in units that differ from channel to channel.
    #[must_use]
    pub const fn sums(&self) -> &'a [i32] {
        self.sums
    }

    /// The value of each channel, all in units of [`scale`](Self::scale) summed over the steps.
    pub fn values(&self) -> impl Iterator<Item = i32> + use<'a> {
        let shift = self.shift;
        self.sums
            .iter()
            .zip(self.multiplier)
            .map(move |(&sum, &multiplier)| rescale(sum, multiplier, shift))
    }

    /// The float value of one unit.
    #[must_use]
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// The value of each channel in the network's units, the mean over the steps if it is summed up: the nearest
    /// `f32`. No float instruction is used.
    pub fn dequantized(&self) -> impl Iterator<Item = f32> + use<'a> {
        let (scale, steps) = (self.scale, self.steps);
        self.values()
            .map(move |value| quantize::dequantize(value, scale, steps))
    }

    /// Lead of the largest value over the second largest; 0 if there are not two.
    #[must_use]
    pub fn margin(&self) -> u32 {
        let (mut first, mut second) = (i32::MIN, i32::MIN);
        for value in self.values() {
            if value > first {
                second = first;
                first = value;
            } else if value > second {
                second = value;
            }
        }
        if self.sums.len() < 2 {
            return 0;
        }
        first.abs_diff(second)
    }

    /// The index of the largest value, the first of equals.
    #[must_use]
    pub fn class(&self) -> usize {
        let mut best = (0, i32::MIN);
        for (i, value) in self.values().enumerate() {
            if value > best.1 {
                best = (i, value);
            }
        }
        best.0
    }
}
