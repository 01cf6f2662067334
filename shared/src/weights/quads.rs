//! [`Layout::Quads`](super::Layout::Quads): four weights to a word, for two sums in a word.

use super::{DECODED, Order};
use crate::transform::Transform;

pub(super) struct Quads;

impl Order for Quads {
    fn stride(targets: usize) -> usize {
        targets.saturating_add(15) / 16 * 16
    }

    fn fits(transform: &Transform) -> bool {
        matches!(transform, Transform::Dense(_))
    }

    fn skip(at: usize, _block: usize) -> usize {
        at
    }

    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        let (weights, _) = weights.as_chunks_mut::<4>();
        for (weights, group) in weights.iter_mut().zip(bytes.as_chunks::<4>().0) {
            let [b0, b1, b2, b3] = group.map(|b| i16::from(b ^ i8::MIN));
            *weights = [b0, b2, b1, b3];
        }
    }

    fn encode_row(row: &[i16], to: &mut [u8]) {
        for (at, to) in to.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *to = [0, 2, 1, 3].map(|i| {
                let w = row.get(at * 4 + i).copied().unwrap_or(0);
                w as u8 ^ 0x80
            });
        }
    }
}
