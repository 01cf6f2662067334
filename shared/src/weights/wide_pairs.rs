//! [`Layout::WidePairs`](super::Layout::WidePairs): two weights of a convolution in a word, as one integer.

use super::wide::{Wide, each_tap};
use super::{DECODED, Order, Place, half_word};
use crate::transform::{Convolution, Transform};

pub(super) struct WidePairs;

impl Order for WidePairs {
    fn stride(targets: usize) -> usize {
        Wide::stride(targets)
    }

    fn fits(transform: &Transform) -> bool {
        match transform {
            Transform::Convolution(conv) => conv.row().is_multiple_of(2),
            Transform::Dense(_) => false,
        }
    }

    fn range() -> (i16, i16) {
        Wide::range()
    }

    fn tap(conv: &Convolution, at: [u32; 2], channel: u32) -> Option<Place> {
        Wide::tap(conv, at, channel)
    }

    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        let (weights, _) = weights.as_chunks_mut::<2>();
        for (weights, word) in weights.iter_mut().zip(bytes.as_chunks::<4>().0) {
            let [b0, b1, b2, b3] = *word;
            let (low, high) = (half_word([b0, b1]), half_word([b2, b3]));
            *weights = [low, high.wrapping_add(i16::from(low < 0))];
        }
    }

    fn encode(weights: &[i16], transform: &Transform, to: &mut [u8]) {
        each_tap::<Self>(weights, transform, to, |tap, to| {
            let (words, _) = to.as_chunks_mut::<4>();
            for (to, pair) in words.iter_mut().zip(tap.as_chunks::<2>().0) {
                let [low, high] = pair.map(i32::from);
                *to = low.wrapping_add(high << 16).to_le_bytes();
            }
        });
    }
}
