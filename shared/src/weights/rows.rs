//! [`Layout::Rows`](super::Layout::Rows): a byte for each weight.

use super::{DECODED, Order};

pub(super) struct Rows;

impl Order for Rows {
    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]) {
        for (weight, &w) in weights.iter_mut().zip(bytes) {
            *weight = w.into();
        }
    }

    fn encode_row(row: &[i16], to: &mut [u8]) {
        for (to, &w) in to.iter_mut().zip(row) {
            *to = w as u8;
        }
    }
}
