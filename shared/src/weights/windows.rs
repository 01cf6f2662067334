//! [`Layout::Windows`](super::Layout::Windows): the weights of a convolution in the order of the windows that its
//! targets see, two values of a window at once.

use super::{DECODED, Order, Place};
use crate::transform::{Convolution, Transform};

pub(super) struct Windows;

/// Filters of a block.
pub(super) const BLOCK: usize = 8;

/// The values of a row of the kernel, filled up to whole fours.
fn run(conv: &Convolution) -> Option<u32> {
    let run = u32::from(conv.kernel[1]).checked_mul(conv.input[2].into())?;
    run.checked_next_multiple_of(4)
}

/// Bytes of the weights of a row of the kernel, for a block of filters.
fn line(conv: &Convolution) -> Option<u32> {
    run(conv)?.checked_mul(2 * BLOCK as u32)
}

impl Order for Windows {
    fn fits(transform: &Transform) -> bool {
        match transform {
            Transform::Convolution(conv) => {
                conv.groups == 1 && usize::from(conv.filters).is_multiple_of(BLOCK)
            }
            Transform::Dense(_) => false,
        }
    }

    fn stride(targets: usize) -> usize {
        targets.saturating_mul(2)
    }

    fn rows(transform: &Transform) -> Option<u32> {
        match transform {
            Transform::Convolution(conv) => run(conv)?.checked_mul(conv.kernel[0].into()),
            Transform::Dense(_) => None,
        }
    }

    fn range() -> (i16, i16) {
        (i16::MIN, i16::MAX)
    }

    fn tap(conv: &Convolution, [y, x]: [u32; 2], channel: u32) -> Option<Place> {
        let line = line(conv)? as usize;
        let at = (x * u32::from(conv.input[2]) + channel) as usize;
        let word = (at / 4 * 2 + at % 2) * BLOCK;
        let block = line * usize::from(conv.kernel[0]);
        let start = y as usize * line + word * 4 + at % 4 / 2 * 2;
        // The blocks behind the first one begin as many bytes further.
        let blocks = usize::from(conv.row()).div_ceil(BLOCK);
        Some(Place {
            block,
            ..Place::new(start, (blocks * block).checked_sub(start)?)?
        })
    }

    fn skip(at: usize, block: usize) -> usize {
        at / BLOCK * block
    }

    fn decode(bytes: &[i8], block: usize, weights: &mut [i16; DECODED]) {
        super::wide::decode_blocks::<BLOCK>(bytes, block, weights);
    }

    fn encode(weights: &[i16], transform: &Transform, to: &mut [u8]) {
        let Transform::Convolution(conv) = transform else {
            return;
        };
        let block = line(conv).unwrap_or(0) as usize * usize::from(conv.kernel[0]);
        super::wide::encode_blocks::<Self, BLOCK>(weights, transform, to, block);
    }
}
