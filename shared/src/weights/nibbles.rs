//! [`Layout::Nibbles`](super::Layout::Nibbles): two weights to a byte.

use super::{DECODED, Order};

pub(super) struct Nibbles;

impl Order for Nibbles {
    fn stride(targets: usize) -> usize {
        targets.div_ceil(2)
    }

    fn range() -> (i16, i16) {
        (-8, 7)
    }

    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        let (weights, _) = weights.as_chunks_mut::<2>();
        for (weights, byte) in weights.iter_mut().zip(bytes) {
            *weights = [byte << 4 >> 4, byte >> 4].map(i16::from);
        }
    }

    fn encode_row(row: &[i16], to: &mut [u8]) {
        for (to, pair) in to.iter_mut().zip(row.chunks(2)) {
            let half = |at: usize| pair.get(at).map_or(0, |w| *w as u8 & 15);
            *to = half(0) | half(1) << 4;
        }
    }
}
