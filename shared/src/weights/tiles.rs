//! [`Layout::Tiles`](super::Layout::Tiles): the weights of a convolution in the order of the windows that its targets
//! see, two values of a window at once, in small blocks of filters.

use super::{DECODED, Order, Place};
use crate::transform::{Convolution, Transform};

pub(super) struct Tiles;

/// Filters of a block.
pub(super) const BLOCK: usize = 4;
/// Bytes of the two words of a value for all filters of a block.
const WORDS: usize = 4 * BLOCK;

/// The values of a row of a window that a group sees, filled up to whole fours.
fn run(conv: &Convolution) -> Option<u32> {
    let run = u32::from(conv.kernel[1]).checked_mul(conv.group_inputs().into())?;
    run.checked_next_multiple_of(4)
}

/// Bytes of the weights of a block of filters, over the whole window.
fn block(conv: &Convolution) -> Option<u32> {
    let values = run(conv)?.checked_mul(conv.kernel[0].into())?;
    values.checked_mul(2 * BLOCK as u32)
}

impl Order for Tiles {
    fn fits(transform: &Transform) -> bool {
        matches!(transform, Transform::Convolution(_))
    }

    fn stride(targets: usize) -> usize {
        let filled = targets.checked_next_multiple_of(BLOCK);
        filled.map_or(usize::MAX, |filters| filters.saturating_mul(2))
    }

    fn rows(transform: &Transform) -> Option<u32> {
        match transform {
            Transform::Convolution(conv) => {
                let values = run(conv)?.checked_mul(conv.kernel[0].into())?;
                values.checked_mul(conv.groups.into())
            }
            Transform::Dense(_) => None,
        }
    }

    fn range() -> (i16, i16) {
        (i16::MIN, i16::MAX)
    }

    fn tap(conv: &Convolution, [y, x]: [u32; 2], channel: u32) -> Option<Place> {
        let inputs = u32::from(conv.group_inputs());
        let group = channel.checked_div(inputs)? as usize;
        let at = (x * inputs + channel.checked_rem(inputs)?) as usize;
        let word = (y * run(conv)?) as usize / 2 + at / 4 * 2 + at % 2;
        let within = word * WORDS + at % 4 / 2 * 2;
        let block = block(conv)? as usize;
        // The blocks behind the first one begin as many bytes further.
        let all = usize::from(conv.row()).div_ceil(BLOCK) * block;
        Some(Place {
            block,
            ..Place::new(group * all + within, all.checked_sub(within)?)?
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
        let block = block(conv).unwrap_or(0) as usize;
        super::wide::encode_blocks::<Self, BLOCK>(weights, transform, to, block);
    }
}
