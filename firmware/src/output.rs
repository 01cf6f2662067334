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
        let mut products = (i64::MIN, i64::MIN);
        for (&sum, &multiplier) in self.sums.iter().zip(self.multiplier) {
            // Values rise with products: most are passed without a division.
            let product = i64::from(sum) * i64::from(multiplier);
            if product <= products.1 {
                continue;
            }
            let value = rescale(sum, multiplier, self.shift);
            if value > first {
                second = first;
                first = value;
                products = (product, products.0);
            } else {
                second = value;
                products.1 = product;
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
        let mut largest = i64::MIN;
        for (i, (&sum, &multiplier)) in self.sums.iter().zip(self.multiplier).enumerate() {
            // Values rise with products: most are passed without a division.
            let product = i64::from(sum) * i64::from(multiplier);
            if product <= largest {
                continue;
            }
            largest = product;
            let value = rescale(sum, multiplier, self.shift);
            if value > best.1 {
                best = (i, value);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// The place of the largest value, and its lead over the second largest, by the words that say so.
    fn largest(output: &Output<'_>) -> (usize, u32) {
        let mut values: Vec<(usize, i32)> = output.values().enumerate().collect();
        values.sort_by_key(|&(at, value)| (core::cmp::Reverse(value), at));
        let lead = match *values {
            [(_, first), (_, second), ..] => first.abs_diff(second),
            _ => 0,
        };
        (values[0].0, lead)
    }

    #[test]
    fn class_and_margin_are_those_of_the_values_whatever_the_multipliers() {
        let mut random = 1u32;
        let mut below = |n: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % n
        };
        for case in 0..2000 {
            let spread = [1, 2, 7, 40_000][case % 4];
            let kinds = [1, 2, 5][case % 3];
            let count = 1 + below(9) as usize;
            let sums: Vec<i32> = (0..count)
                .map(|_| below(spread) as i32 - spread as i32 / 2)
                .collect();
            let multiplier: Vec<i32> = (0..count)
                .map(|_| 3 * below(kinds) as i32 - i32::from(case % 5 == 0))
                .collect();
            let output = Output {
                sums: &sums,
                multiplier: &multiplier,
                shift: (case % 7) as u8,
                scale: Scale {
                    mantissa: 1,
                    exponent: 0,
                },
                steps: 1,
            };
            let found = (output.class(), output.margin());
            assert_eq!(found, largest(&output), "{sums:?} {multiplier:?}");
        }
    }
}
