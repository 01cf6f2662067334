//! Quantizing at the edges of a network: values to the bytes of an input, and an output's sums to values.
//!
//! Floats come in and go out, but no float instruction is used: all is exact in integers, and the same on every
//! machine. Round trips and ties are tested against 64-bit floats on the host.

use core::fmt;

use crate::fixed::Scale;
use crate::image::description::{Channel, Input};

/// Bits of a float's significand, the hidden one among them.
const SIGNIFICAND: u32 = 24;
/// Power of two of the last bit of a float whose stored exponent is 1.
const LEAST_EXPONENT: i32 = -149;

/// The wrong number of values or bytes for an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LengthError {
    /// Places of the input.
    pub expected: usize,
    /// Number that the caller gave.
    pub found: usize,
}

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "the input has {expected} places, {found} were given")
    }
}

impl core::error::Error for LengthError {}

/// Brings values to the bytes that an input takes: scale (byte - zero point) is the value.
///
/// See [`Image::input`](crate::Image::input).
#[derive(Clone, Copy, Debug)]
pub struct Quantizer<'a> {
    input: Input,
    /// The encodings of channels, if they have some of their own.
    channels: &'a [u8],
}

impl<'a> Quantizer<'a> {
    pub(crate) const fn new(input: Input, channels: &'a [u8]) -> Self {
        Self { input, channels }
    }

    /// Description of the input: its size, its resting byte, and its largest byte.
    #[must_use]
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// Number of encodings: place i has that of channel i mod this.
    #[must_use]
    pub fn channels(&self) -> usize {
        (self.channels.len() / Channel::BYTES).max(1)
    }

    /// The encoding of a place.
    #[must_use]
    pub fn channel(&self, place: usize) -> Channel {
        let own = self.channels.as_chunks::<{ Channel::BYTES }>().0;
        let at = place.checked_rem(own.len());
        let bytes = at.and_then(|at| own.get(at));
        bytes.map_or(
            Channel {
                scale: self.input.scale,
                zero_point: self.input.zero_point.into(),
            },
            Channel::read,
        )
    }

    /// Quantizes values in the network's units, one for each place: rounded to nearest, ties away from zero, and
    /// cut to what the input takes. What is no number becomes 0.
    ///
    /// # Errors
    /// [`LengthError`] if `values` or `bytes` do not have the input's size.
    pub fn quantize(&self, values: &[f32], bytes: &mut [u8]) -> Result<(), LengthError> {
        self.each(values, bytes, |channel, value, max| {
            channel.quantize(value, max)
        })
    }

    /// Quantizes integers of a converter, of which each unit stands for `unit` in the network's units, as
    /// [`quantize`](Self::quantize) does their exact products.
    ///
    /// # Errors
    /// [`LengthError`] if `samples` or `bytes` do not have the input's size.
    pub fn quantize_i16(
        &self,
        samples: &[i16],
        unit: f32,
        bytes: &mut [u8],
    ) -> Result<(), LengthError> {
        let Some(unit) = Binary::of(unit) else {
            return self.each(samples, bytes, |_, _, _| 0);
        };
        self.each(samples, bytes, |channel, sample, max| {
            let significand = u64::from(sample.unsigned_abs()) * u64::from(unit.significand);
            let negative = (sample < 0) != unit.negative;
            channel.byte(negative, significand, unit.exponent, max)
        })
    }

    fn each<T: Copy>(
        &self,
        values: &[T],
        bytes: &mut [u8],
        byte: impl Fn(Channel, T, u8) -> u8,
    ) -> Result<(), LengthError> {
        let expected = self.input.size as usize;
        for found in [values.len(), bytes.len()] {
            if found != expected {
                return Err(LengthError { expected, found });
            }
        }
        let count = self.channels();
        for first in 0..count {
            let channel = self.channel(first);
            let values = values.iter().skip(first).step_by(count);
            for (to, &value) in bytes.iter_mut().skip(first).step_by(count).zip(values) {
                *to = byte(channel, value, self.input.max);
            }
        }
        Ok(())
    }
}

impl Channel {
    /// The byte of a value in the network's units, at most `max`.
    #[must_use]
    pub fn quantize(self, value: f32, max: u8) -> u8 {
        match Binary::of(value) {
            Some(Binary {
                negative,
                significand,
                exponent,
            }) => self.byte(negative, significand.into(), exponent, max),
            None => 0,
        }
    }

    /// The byte of ± significand · 2^exponent, for a significand of at most 40 bits.
    fn byte(self, negative: bool, significand: u64, exponent: i32, max: u8) -> u8 {
        let size = divided(significand, exponent, self.scale);
        let steps = i64::from(if negative { -size } else { size });
        let byte = steps + i64::from(self.zero_point);
        byte.clamp(0, max.into()) as u8
    }
}

/// A float in parts: ± significand · 2^exponent.
#[derive(Clone, Copy, Debug)]
struct Binary {
    negative: bool,
    /// Integer of at most 24 bits.
    significand: u32,
    exponent: i32,
}

impl Binary {
    /// The parts of a float; `None` if it is no number. What is infinite is larger than all others.
    fn of(value: f32) -> Option<Self> {
        let bits = value.to_bits();
        let fraction = bits & 0x7f_ffff;
        let stored = (bits >> 23 & 0xff) as i32;
        if stored == 0xff && fraction != 0 {
            return None;
        }
        Some(Self {
            negative: bits >> 31 != 0,
            significand: if stored == 0 {
                fraction
            } else {
                fraction | 1 << 23
            },
            exponent: stored.max(1) - 1 + LEAST_EXPONENT,
        })
    }
}

/// significand · 2^exponent / scale, rounded to nearest, ties up, and cut to the range of `i32`. The significand has at
/// most 40 bits. A scale of zero divides everything to zero.
fn divided(significand: u64, exponent: i32, scale: Scale) -> i32 {
    let (mut over, mut under) = (significand, u64::from(scale.mantissa));
    let shift = exponent - i32::from(scale.exponent);
    let bits = shift.unsigned_abs();
    if over == 0 || under == 0 {
        return 0;
    }
    if shift >= 0 {
        // What does not fit 64 bits is more than 2^32 times the scale.
        if bits > over.leading_zeros() {
            return i32::MAX;
        }
        over <<= bits;
    } else {
        // What does not fit 64 bits is more than 2^24 times the significand.
        if bits > under.leading_zeros() {
            return 0;
        }
        under <<= bits;
    }
    let (Some(whole), Some(rest)) = (over.checked_div(under), over.checked_rem(under)) else {
        return 0;
    };
    let up = u64::from(rest >= under - rest);
    (whole + up).min(i32::MAX as u64) as i32
}

/// value · scale / steps as the nearest float, ties to even; `steps` of 0 count as 1.
#[must_use]
pub fn dequantize(value: i32, scale: Scale, steps: u16) -> f32 {
    let product = u64::from(value.unsigned_abs()) * u64::from(scale.mantissa);
    let steps = u64::from(steps.max(1));
    let shift = product.leading_zeros();
    let over = product.checked_shl(shift).unwrap_or(0);
    let (Some(whole), Some(rest)) = (over.checked_div(steps), over.checked_rem(steps)) else {
        return 0.0;
    };
    // The lowest bit says that something follows; there are far more bits than a float has.
    let significand = whole << 1 | u64::from(rest != 0);
    if whole >> 63 == 0 {
        return float(
            value < 0,
            significand,
            i32::from(scale.exponent) - shift as i32 - 1,
        );
    }
    // All 64 bits are taken, for a single step: nothing follows.
    float(value < 0, whole, i32::from(scale.exponent) - shift as i32)
}

/// ± significand · 2^exponent as the nearest float, ties to even.
fn float(negative: bool, significand: u64, exponent: i32) -> f32 {
    let sign = u32::from(negative) << 31;
    if significand == 0 {
        return f32::from_bits(sign);
    }
    let length = (u64::BITS - significand.leading_zeros()) as i32;
    // The power of two of the last bit that stays.
    let last = (exponent + length - SIGNIFICAND as i32).max(LEAST_EXPONENT);
    let cut = last - exponent;
    let kept = if cut <= 0 {
        significand << cut.unsigned_abs().min(63)
    } else if cut > 64 {
        0
    } else {
        let cut = cut as u32;
        let kept = significand.checked_shr(cut).unwrap_or(0);
        let half = 1u64 << (cut - 1);
        let rest = significand & (half | (half - 1));
        kept + u64::from(rest > half || rest == half && kept & 1 == 1)
    };
    // A carry into the next power of two raises the stored exponent by itself.
    let hidden = kept >> (SIGNIFICAND - 1) != 0;
    let stored = if hidden { last - LEAST_EXPONENT + 1 } else { 0 };
    if stored >= 0xff {
        return f32::from_bits(sign | 0x7f80_0000);
    }
    let above = (stored as u32).saturating_sub(1) << 23;
    f32::from_bits(sign | (above.wrapping_add(kept as u32)))
}

#[cfg(test)]
#[expect(
    clippy::float_arithmetic,
    reason = "floats of 64 bits are the reference"
)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec;

    use super::*;
    use crate::image::Section;

    fn scale_of(mantissa: u32, exponent: i16) -> Scale {
        Scale { mantissa, exponent }
    }

    fn value(scale: Scale) -> f64 {
        f64::from(scale.mantissa) * f64::exp2(scale.exponent.into())
    }

    fn scales() -> impl Strategy<Value = Scale> {
        (1u32 << 30..=1 << 31, -45i16..=-28).prop_map(|(m, e)| scale_of(m, e))
    }

    fn byte(channel: Channel, steps: f64, max: u8) -> u8 {
        ((steps.round() + f64::from(channel.zero_point)) as u8).min(max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn bytes_are_those_of_wide_floats(
            scale in scales(), zero_point in -300i32..300, max in 1u8.., steps in -600f32..600.0,
        ) {
            let channel = Channel { scale, zero_point };
            let given = (f64::from(steps) * value(scale)) as f32;
            let expected = byte(channel, f64::from(given) / value(scale), max);
            prop_assert_eq!(channel.quantize(given, max), expected);
        }

        #[test]
        fn any_bits_have_the_byte_of_wide_floats(bits: u32, scale in scales(), zero_point in -300i32..300) {
            let channel = Channel { scale, zero_point };
            let given = f32::from_bits(bits);
            let expected = byte(channel, f64::from(given) / value(scale), 255);
            prop_assert_eq!(channel.quantize(given, 255), expected);
        }

        #[test]
        fn integers_count_as_their_products(
            sample: i16, unit in -1f32..1.0, scale in scales(), zero_point in -300i32..300,
        ) {
            let channel = Channel { scale, zero_point };
            let (input, places) = (input(scale), [0u8; 0]);
            let quantizer = Quantizer { input: Input { zero_point: 0, ..input }, channels: &places };
            let mut bytes = [0];
            quantizer.quantize_i16(&[sample], unit, &mut bytes).unwrap();
            let product = f64::from(sample) * f64::from(unit);
            let expected = byte(Channel { zero_point: 0, ..channel }, product / value(scale), 255);
            prop_assert_eq!(bytes[0], expected);
        }

        #[test]
        fn values_are_the_nearest_floats(v: i32, scale in scales(), steps in 1u16..) {
            let found = dequantize(v, scale, steps);
            // Wide floats round twice: only they may be off, and by the last bit alone.
            let wide = (f64::from(v) * value(scale) / f64::from(steps)) as f32;
            prop_assert!(found.to_bits().abs_diff(wide.to_bits()) <= 1, "{} {}", found, wide);
            let exact = |x: f32| (f64::from(x) * f64::from(steps) / value(scale) - f64::from(v)).abs();
            prop_assert!(exact(found) <= exact(wide) * (1.0 + 1e-6));
        }

        #[test]
        fn one_step_is_as_a_float_of_64_bits_says(v in -(1i32 << 21)..1 << 21, scale in scales()) {
            // The product is exact in 64 bits, so that it is rounded once.
            let wide = (f64::from(v) * value(scale)) as f32;
            prop_assert_eq!(dequantize(v, scale, 1), wide);
        }

        #[test]
        fn floats_come_back(bits in 0u32..0x7f80_0000, negative: bool) {
            let given = f32::from_bits(bits | u32::from(negative) << 31);
            let parts = Binary::of(given).unwrap();
            let found = float(parts.negative, parts.significand.into(), parts.exponent);
            prop_assert_eq!(found.to_bits(), given.to_bits());
        }

        #[test]
        fn nothing_overflows(bits: u32, m: u32, e: i16, zero_point: i32, max: u8, v: i32, steps: u16, s: i16) {
            let channel = Channel { scale: scale_of(m, e), zero_point };
            prop_assert!(channel.quantize(f32::from_bits(bits), max) <= max);
            let found = dequantize(v, channel.scale, steps);
            prop_assert!(!found.is_nan());
            let places = channel.to_bytes();
            let quantizer = Quantizer { input: Input { max, ..input(channel.scale) }, channels: &places };
            let mut bytes = [0];
            quantizer.quantize_i16(&[s], f32::from_bits(bits), &mut bytes).unwrap();
            prop_assert!(bytes[0] <= max);
        }
    }

    fn input(scale: Scale) -> Input {
        Input {
            size: 1,
            zero_point: 0,
            max: 255,
            scale,
            channels: Section::default(),
        }
    }

    #[test]
    fn ties_go_away_from_zero_and_what_is_no_number_to_zero() {
        let half = Channel {
            scale: scale_of(1 << 30, -29),
            zero_point: 100,
        };
        // The scale is 2: 3 and 5 are halves of it.
        let found = [3.0, 5.0, -3.0, -5.0, 2.9, f32::NAN].map(|x| half.quantize(x, 255));
        assert_eq!(found, [102, 103, 98, 97, 101, 0]);
        let infinite = [f32::INFINITY, f32::NEG_INFINITY].map(|x| half.quantize(x, 200));
        assert_eq!(infinite, [200, 0]);
    }

    #[test]
    fn channels_have_their_own_encodings() {
        let encodings = [(-30, 0), (-31, 10)].map(|(exponent, zero_point)| Channel {
            scale: scale_of(1 << 30, exponent),
            zero_point,
        });
        let bytes = encodings.map(Channel::to_bytes).concat();
        let quantizer = Quantizer {
            input: Input {
                size: 4,
                ..input(scale_of(0, 0))
            },
            channels: &bytes,
        };
        let mut found = vec![0; 4];
        quantizer
            .quantize(&[1.0, 1.0, 2.0, -2.0], &mut found)
            .unwrap();
        assert_eq!(found, [1, 12, 2, 6]);
        quantizer
            .quantize_i16(&[2, 2, 4, -4], 0.5, &mut found)
            .unwrap();
        assert_eq!(found, [1, 12, 2, 6]);
        let short = quantizer.quantize(&[1.0; 3], &mut found).unwrap_err();
        let (expected, number) = (4, 3);
        assert_eq!(
            short,
            LengthError {
                expected,
                found: number
            }
        );
    }
}
