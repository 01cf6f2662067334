//! How int8 weights lie in memory.
//!
//! A processor without a vector unit still adds two 16-bit sums at once if it finds the weights of two
//! neighbouring targets in the right halves of a word. The host lays the weights out for the kernels of
//! the target, four at a time, and names the layout in the image; every layout holds the same weights.

use serde::{Deserialize, Serialize};

/// The order and encoding of weights within a row. Rows of `Pairs` have a length that is a multiple of
/// four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layout {
    /// As they come: w0 w1 w2 w3.
    Rows,
    /// Bytes w0, w2, w1 - [w0 < 0], w3 - [w2 < 0].
    ///
    /// Sign-extending bytes 0 and 2 of the word to 16 bits each gives the integer w0 + 2^16 w1, and
    /// bytes 1 and 3 likewise: a product with a count and a sum over many are right for both weights
    /// at once, borrows included. Weights are -127 or more, so the subtraction never leaves int8.
    Pairs,
    /// Bytes w0 + 128, w2 + 128, w1 + 128, w3 + 128.
    ///
    /// Zero-extended to 16 bits, neither products nor sums below 2^16 borrow; the surplus is 128 times
    /// the sum of the counts.
    Quads,
}

impl Layout {
    /// The length in bytes of a dense row of so many targets. Rows of `Quads` are filled up to a
    /// multiple of 16, for the kernels take 16 targets at a time.
    #[must_use]
    pub const fn stride(self, targets: usize) -> usize {
        match self {
            Self::Rows | Self::Pairs => targets,
            Self::Quads => match targets.checked_next_multiple_of(16) {
                Some(stride) => stride,
                None => targets,
            },
        }
    }
}

/// The weights of a group of four in the layout's bytes.
#[must_use]
pub const fn encode(layout: Layout, [w0, w1, w2, w3]: [i8; 4]) -> [i8; 4] {
    match layout {
        Layout::Rows => [w0, w1, w2, w3],
        Layout::Pairs => [
            w0,
            w2,
            w1.wrapping_sub((w0 < 0) as i8),
            w3.wrapping_sub((w2 < 0) as i8),
        ],
        Layout::Quads => [
            w0.wrapping_add(-128),
            w2.wrapping_add(-128),
            w1.wrapping_add(-128),
            w3.wrapping_add(-128),
        ],
    }
}

/// The weights in a group of four bytes.
#[must_use]
pub const fn decode(layout: Layout, [b0, b1, b2, b3]: [i8; 4]) -> [i8; 4] {
    match layout {
        Layout::Rows => [b0, b1, b2, b3],
        Layout::Pairs => [
            b0,
            b2.wrapping_add((b0 < 0) as i8),
            b1,
            b3.wrapping_add((b1 < 0) as i8),
        ],
        Layout::Quads => [
            b0.wrapping_add(-128),
            b2.wrapping_add(-128),
            b1.wrapping_add(-128),
            b3.wrapping_add(-128),
        ],
    }
}

/// Weights in the layout that they have in memory.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The bytes, row after row.
    pub bytes: &'a [i8],
    /// What they mean.
    pub layout: Layout,
}

impl<'a> Weights<'a> {
    /// The row that starts at `start`, if it lies inside.
    #[must_use]
    pub fn row(&self, start: usize, len: usize) -> Option<Row<'a>> {
        let bytes = self.bytes.get(start..start.checked_add(len)?)?;
        Some(Row {
            bytes,
            layout: self.layout,
        })
    }

    /// All weights, row after row.
    pub fn values(&self) -> impl Iterator<Item = i8> + use<'a> {
        let layout = self.layout;
        let (groups, rest) = self.bytes.as_chunks::<4>();
        let groups = groups.iter().flat_map(move |&group| decode(layout, group));
        groups.chain(rest.iter().copied())
    }
}

/// The weights from one source to neighbouring targets.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    bytes: &'a [i8],
    layout: Layout,
}

impl Row<'_> {
    /// Calls `f` with each target and its weight.
    #[inline]
    pub fn zip<T>(self, targets: &mut [T], f: impl FnMut(&mut T, i32)) {
        // A loop of its own for each layout, so that the compiler can unroll what the layout asks for.
        match self.layout {
            Layout::Rows => {
                let mut f = f;
                for (target, &w) in targets.iter_mut().zip(self.bytes) {
                    f(target, i32::from(w));
                }
            }
            Layout::Pairs => self.zip_groups(targets, |group| decode(Layout::Pairs, group), f),
            Layout::Quads => self.zip_groups(targets, |group| decode(Layout::Quads, group), f),
        }
    }

    #[inline]
    fn zip_groups<T>(
        self,
        targets: &mut [T],
        decode: impl Fn([i8; 4]) -> [i8; 4],
        mut f: impl FnMut(&mut T, i32),
    ) {
        let (groups, _) = self.bytes.as_chunks::<4>();
        let (fours, last) = targets.as_chunks_mut::<4>();
        for (four, &group) in fours.iter_mut().zip(groups) {
            for (target, w) in four.iter_mut().zip(decode(group)) {
                f(target, i32::from(w));
            }
        }
        if let Some(&group) = groups.get(fours.len()) {
            for (target, w) in last.iter_mut().zip(decode(group)) {
                f(target, i32::from(w));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYOUTS: [Layout; 3] = [Layout::Rows, Layout::Pairs, Layout::Quads];

    proptest! {
        #[test]
        fn every_layout_holds_the_weights(w in prop::array::uniform4(-127i8..=127)) {
            for layout in LAYOUTS {
                prop_assert_eq!(decode(layout, encode(layout, w)), w);
            }
        }

        /// What a processor's sign extension of bytes 0 and 2, and 1 and 3, makes of a word.
        #[test]
        fn pairs_are_integers(w in prop::array::uniform4(-127i8..=127)) {
            let b = encode(Layout::Pairs, w);
            let extend = |lo: i8, hi: i8| {
                i32::from(lo as i16 as u16) | (i32::from(hi as i16 as u16) << 16)
            };
            let word = |lo: i8, hi: i8| i32::from(lo).wrapping_add(i32::from(hi) << 16);
            prop_assert_eq!(extend(b[0], b[2]), word(w[0], w[1]));
            prop_assert_eq!(extend(b[1], b[3]), word(w[2], w[3]));
        }
    }
}
