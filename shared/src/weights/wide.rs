//! [`Layout::Wide`](super::Layout::Wide): 16 bits for each weight of a convolution, in the order of its targets.

use super::{DECODED, Order, Place, half_word};
use crate::transform::{Convolution, Transform};

pub(super) struct Wide;

impl Order for Wide {
    fn stride(targets: usize) -> usize {
        targets.saturating_mul(2)
    }

    fn fits(transform: &Transform) -> bool {
        matches!(transform, Transform::Convolution(_))
    }

    fn range() -> (i16, i16) {
        (i16::MIN, i16::MAX)
    }

    fn tap(conv: &Convolution, [y, x]: [u32; 2], channel: u32) -> Option<Place> {
        let [rows, columns] = conv.kernel.map(u32::from);
        let line = channel * rows + conv.vertical().tap_at(y);
        let at = line * columns + conv.horizontal().tap_at(x);
        let stride = Self::stride(conv.row().into());
        Place::new(at as usize * stride, stride)
    }

    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        for (weight, half) in weights.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *weight = half_word(*half);
        }
    }

    fn encode(weights: &[i16], transform: &Transform, to: &mut [u8]) {
        each_tap::<Self>(weights, transform, to, |tap, to| {
            for (to, w) in to.as_chunks_mut::<2>().0.iter_mut().zip(tap) {
                *to = w.to_le_bytes();
            }
        });
    }
}

/// Calls `write` with the weights of each tap of a convolution, and where they go.
pub(super) fn each_tap<O: Order>(
    weights: &[i16],
    transform: &Transform,
    to: &mut [u8],
    write: impl Fn(&[i16], &mut [u8]),
) {
    let Transform::Convolution(conv) = transform else {
        return;
    };
    let [rows, columns] = conv.kernel.map(u32::from);
    let channels = u32::from(conv.input[2]);
    let places = (0..rows).flat_map(|y| (0..columns).map(move |x| [y, x]));
    let taps = places.flat_map(|place| (0..channels).map(move |channel| (place, channel)));
    let row = usize::from(conv.row()).max(1);
    for (tap, (at, channel)) in weights.chunks(row).zip(taps) {
        let place = O::tap(conv, at, channel);
        if let Some(to) = place.and_then(|place| to.get_mut(place.start..place.end)) {
            write(tap, to);
        }
    }
}

/// Reads weights of blocks of targets, a word apart, each block behind so many bytes of the one before.
pub(super) fn decode_blocks<const BLOCK: usize>(
    bytes: &[i8],
    block: usize,
    weights: &mut [i16; DECODED],
) {
    let blocks = bytes.chunks(block.max(1));
    for (weights, block) in weights.chunks_mut(BLOCK).zip(blocks) {
        for (weight, word) in weights.iter_mut().zip(block.chunks(4)) {
            if let Some(half) = word.first_chunk() {
                *weight = half_word(*half);
            }
        }
    }
}

/// Writes what [`decode_blocks`] reads.
pub(super) fn encode_blocks<O: Order, const BLOCK: usize>(
    weights: &[i16],
    transform: &Transform,
    to: &mut [u8],
    block: usize,
) {
    each_tap::<O>(weights, transform, to, |tap, to| {
        for (to, filters) in to.chunks_mut(block.max(1)).zip(tap.chunks(BLOCK)) {
            for (word, w) in to.chunks_mut(4).zip(filters) {
                if let Some(half) = word.first_chunk_mut() {
                    *half = w.to_le_bytes();
                }
            }
        }
    });
}
