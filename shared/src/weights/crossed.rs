//! [`Layout::Crossed`](super::Layout::Crossed): two rows of a matrix in one, for two values of an input at once.

use super::{DECODED, Order, Place};
use crate::transform::Transform;

pub(super) struct Crossed;

impl Order for Crossed {
    fn stride(targets: usize) -> usize {
        (targets.saturating_add(7) / 8 * 8).saturating_mul(2)
    }

    fn fits(transform: &Transform) -> bool {
        matches!(transform, Transform::Dense(_))
    }

    fn rows(transform: &Transform) -> Option<u32> {
        super::shape(transform).map(|(rows, _)| rows.div_ceil(2))
    }

    fn row(source: usize, stride: usize) -> Option<Place> {
        Some(Place {
            before: source % 2 * 2,
            ..Place::new((source / 2).checked_mul(stride)?, stride)?
        })
    }

    fn skip(at: usize, _block: usize) -> usize {
        at * 2
    }

    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        let (weights, _) = weights.as_chunks_mut::<2>();
        for (weights, group) in weights.iter_mut().zip(bytes.chunks(4)) {
            if let Some(&[low, high]) = group.first_chunk() {
                let carry = i16::from(low < 0);
                *weights = [i16::from(low), i16::from(high).wrapping_add(carry)];
            }
        }
    }

    fn encode(weights: &[i16], transform: &Transform, to: &mut [u8]) {
        let row = super::shape(transform).map_or(0, |(_, row)| row as usize);
        let twos = weights.chunks(row.saturating_mul(2).max(1));
        for (to, two) in to.chunks_mut(Self::stride(row).max(1)).zip(twos) {
            let (first, second) = two.split_at(row.min(two.len()));
            for (at, to) in to.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let half = |row: &[i16]| {
                    let weight = |at: usize| row.get(at).copied().unwrap_or(0);
                    (weight(at * 2) + weight(at * 2 + 1) * 256).to_le_bytes()
                };
                let ([a, b], [c, d]) = (half(first), half(second));
                *to = [a, b, c, d];
            }
        }
    }
}
