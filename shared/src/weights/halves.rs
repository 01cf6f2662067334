//! [`Layout::Halves`](super::Layout::Halves): 16 bits for each weight.

use super::{DECODED, Order, half_word};

pub(super) struct Halves;

impl Order for Halves {
    fn stride(targets: usize) -> usize {
        targets.saturating_mul(2)
    }

    fn range() -> (i16, i16) {
        (i16::MIN, i16::MAX)
    }

    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        for (weight, half) in weights.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *weight = half_word(*half);
        }
    }

    fn encode_row(row: &[i16], to: &mut [u8]) {
        for (to, w) in to.as_chunks_mut::<2>().0.iter_mut().zip(row) {
            *to = w.to_le_bytes();
        }
    }
}
