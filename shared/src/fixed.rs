//! Fixed-point numbers. Every function states its rounding and its range.

use serde::{Deserialize, Serialize};

/// A positive real number as `mantissa` · 2^`exponent`: the size of one quantization step.
///
/// The host computes it from a float and shows it as one; devices only carry it along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Scale {
    /// The significant bits; a normalised scale has bit 30 as its highest.
    pub mantissa: u32,
    /// The power of two.
    pub exponent: i16,
}

/// `x` / 2^`shift`, rounded to the nearest integer, ties towards positive infinity.
///
/// Exact for every `x` and any `shift` below 32; a larger shift counts as 31.
#[must_use]
pub const fn round_shift(x: i32, shift: u8) -> i32 {
    if shift == 0 {
        return x;
    }
    let shift = if shift > 31 { 31 } else { shift };
    // The last bit that is cut decides: no sum that could overflow.
    (x >> shift) + ((x >> (shift - 1)) & 1)
}

/// `x` · `multiplier` / 2^`shift`, rounded to nearest (ties up), clamped to the range of `i32`.
#[must_use]
pub const fn rescale(x: i32, multiplier: i32, shift: u8) -> i32 {
    let product = x as i64 * multiplier as i64;
    let shift = if shift > 62 { 62 } else { shift };
    let rounded = if shift == 0 {
        product
    } else {
        // The last bit that is cut decides.
        ((product >> (shift - 1)) + 1) >> 1
    };
    if rounded > i32::MAX as i64 {
        i32::MAX
    } else if rounded < i32::MIN as i64 {
        i32::MIN
    } else {
        rounded as i32
    }
}

/// `x` · `factor` / 2^16, rounded to nearest, ties up: exact for every `x`.
#[inline]
#[must_use]
pub const fn scaled(x: i32, factor: u16) -> i32 {
    let factor = factor as u32;
    // At most (2^16 - 1)^2 + 2^15: no carry is lost.
    let low = (x as u32 & 0xffff)
        .wrapping_mul(factor)
        .wrapping_add(1 << 15);
    let high = (x >> 16).wrapping_mul(factor as i32);
    high.wrapping_add((low >> 16) as i32)
}

/// `x` · 2^`shift`, modulo 2^32; rounded to nearest, ties up, if the shift is below zero.
#[inline]
#[must_use]
pub const fn shifted(x: i32, shift: i8) -> i32 {
    if shift < 0 {
        round_shift(x, shift.unsigned_abs())
    } else {
        x.wrapping_shl(shift.unsigned_abs() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_shift_is_floor_of_x_plus_half(x in any::<i32>(), shift in 0u8..40) {
            let s = u32::from(shift.min(31));
            let half = if s == 0 { 0 } else { 1i128 << (s - 1) };
            prop_assert_eq!(i128::from(round_shift(x, shift)), (i128::from(x) + half) >> s);
        }

        #[test]
        fn scaled_is_exact_in_wide_integers(x in any::<i32>(), factor in any::<u16>()) {
            let exact = (i128::from(x) * i128::from(factor) + (1 << 15)) >> 16;
            prop_assert_eq!(i128::from(scaled(x, factor)), exact);
        }

        #[test]
        fn rescale_is_exact_in_wide_integers(x in any::<i32>(), m in any::<i32>(), shift in 0u8..70) {
            let s = u32::from(shift.min(62));
            let half = if s == 0 { 0 } else { 1i128 << (s - 1) };
            let exact = (i128::from(x) * i128::from(m) + half) >> s;
            let clamped = exact.clamp(i128::from(i32::MIN), i128::from(i32::MAX));
            prop_assert_eq!(i128::from(rescale(x, m, shift)), clamped);
        }
    }
}
