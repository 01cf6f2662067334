//! Weight layouts: the order of weights in memory.
//!
//! A kernel is fast if it finds the weights that it needs next side by side, and in the halves of a
//! word in which its processor multiplies them. The host lays the weights out for the kernels of the
//! target and names the layout in the image. Weights are int8, -127 to 127; the layouts of 16 bits can hold
//! any of 16 bits.
//!
//! Each layout has a file, which says all of it: which transforms it fits, its length, how it is read and written.

mod crossed;
mod halves;
mod nibbles;
mod quads;
mod rows;
mod tiles;
mod wide;
mod wide_pairs;
mod windows;

use serde::{Deserialize, Serialize};

use crate::transform::{Convolution, Transform};

/// The order and encoding of a connection's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layout {
    /// A byte each, in the order that the transform states.
    Rows,
    /// Matrix with rows filled up with zeros to a multiple of 16, each four weights as the bytes w0 + 128, w2 +
    /// 128, w1 + 128, w3 + 128.
    ///
    /// Bytes 0 and 2, and 1 and 3, zero-extended to 16 bits each: neither products nor sums below 2^16
    /// borrow from their neighbour. The surplus is 128 times the sum of the counts.
    Quads,
    /// Matrix with two rows in one, for sources 2i and 2i + 1; columns are filled up with zeros to a multiple
    /// of 8, rows to a multiple of 2. A group of four bytes holds the weights to targets t and t + 1: a, a' -
    /// [a < 0], b, b' - [b < 0] for weights a and a' of source 2i, b and b' of 2i + 1.
    ///
    /// The lower half of a group is the integer a + 256 a', the upper one b + 256 b': one dual
    /// multiply-accumulate with two values gives 256 times the sum for t + 1, plus the one for t.
    Crossed,
    /// Convolution of 16 bits each, `[input channel][kernel y][kernel x][filter]`, with the taps of an axis in
    /// the order of the targets that they lead to, as [`Axis::tap_at`](crate::transform::Axis::tap_at) states.
    Wide,
    /// Convolution like `Wide`, except that two neighbours share a word, the integer w0 + 2^16 w1 modulo 2^32.
    ///
    /// A product of the word with a count, added to two sums in a word, is right for both of them,
    /// borrows included.
    WidePairs,
    /// Convolution for the windows that its targets see. A row of a window is a run of values, filled up to a
    /// multiple of four: `[8 filters][kernel y][four values][odd][filter]`, each a word with two 16-bit
    /// weights: those of values 0 and 2 of the four if `odd` is 0, otherwise of 1 and 3.
    Windows,
    /// Weights from -8 to 7, two to a byte: the first in the lower half, both in two's complement, in the
    /// order that the transform states. Rows of a matrix, and the filters of a tap, are filled up with a zero
    /// to a multiple of 2.
    Nibbles,
    /// 16 bits each, little-endian, in the order that the transform states.
    Halves,
    /// Convolution for the windows that its targets see, like `Windows` but with 4 filters to a block, and for each group
    /// by itself: `[group][4 filters][kernel y][four values][odd][filter]`. A row of a window has the values of the
    /// group's channels, filled up to a multiple of four; a group's filters are filled up likewise.
    Tiles,
}

/// Calls a function of the file of a layout.
macro_rules! of {
    ($layout:expr, $function:ident($($argument:expr),*)) => {
        match $layout {
            Layout::Rows => rows::Rows::$function($($argument),*),
            Layout::Quads => quads::Quads::$function($($argument),*),
            Layout::Crossed => crossed::Crossed::$function($($argument),*),
            Layout::Wide => wide::Wide::$function($($argument),*),
            Layout::WidePairs => wide_pairs::WidePairs::$function($($argument),*),
            Layout::Windows => windows::Windows::$function($($argument),*),
            Layout::Nibbles => nibbles::Nibbles::$function($($argument),*),
            Layout::Halves => halves::Halves::$function($($argument),*),
            Layout::Tiles => tiles::Tiles::$function($($argument),*),
        }
    };
}

impl Layout {
    /// Every layout, in the order of their numbers in an image.
    pub const ALL: [Self; 9] = [
        Self::Rows,
        Self::Quads,
        Self::Crossed,
        Self::Wide,
        Self::WidePairs,
        Self::Windows,
        Self::Nibbles,
        Self::Halves,
        Self::Tiles,
    ];

    /// The length in bytes of a row of so many targets of a matrix, of two rows in
    /// [`Layout::Crossed`]; at most `usize::MAX`.
    #[must_use]
    pub fn stride(self, targets: usize) -> usize {
        of!(self, stride(targets))
    }

    /// Tells whether it can hold the weights of a transform.
    #[must_use]
    pub fn fits(self, transform: &Transform) -> bool {
        of!(self, fits(transform))
    }

    /// The bytes of a transform's weights, those that fill up rows included; `None` above 32 bits.
    #[must_use]
    pub fn bytes(self, transform: &Transform) -> Option<u32> {
        let (_, row) = shape(transform)?;
        let stride = self.stride(row as usize).try_into().ok()?;
        of!(self, rows(transform))?.checked_mul(stride)
    }

    /// Tells whether rows of windows are filled up with zero weights, as kernels rely on that read whatever lies behind a row's
    /// values. `bytes` are as many as [`bytes`](Self::bytes) says; other layouts have no such rows.
    #[must_use]
    pub fn is_filled_up(self, transform: &Transform, bytes: &[u8]) -> bool {
        let block = match self {
            Self::Windows => windows::BLOCK,
            Self::Tiles => tiles::BLOCK,
            _ => return true,
        };
        let Transform::Convolution(conv) = transform else {
            return true;
        };
        let run = usize::from(conv.kernel[1]).saturating_mul(conv.group_inputs().into());
        let over = run % 4;
        if over == 0 {
            return true;
        }
        // Of the values 4n to 4n + 3, the first words hold 0 and 2, the others 1 and 3, each for all filters of a block.
        let (four, words) = (8 * block, 4 * block);
        let line = run.next_multiple_of(4).saturating_mul(2 * block);
        bytes.chunks_exact(line.max(1)).all(|line| {
            let last = line.rchunks_exact(four).next().unwrap_or(&[]);
            let halves = last.chunks_exact(words.max(1)).enumerate();
            halves.into_iter().all(|(odd, words)| {
                words.chunks_exact(4).all(|word| match word {
                    [a, b, c, d] => {
                        (odd < over || *a | *b == 0) && (odd + 2 < over || *c | *d == 0)
                    }
                    _ => false,
                })
            })
        })
    }

    /// The smallest and the largest weight that it holds.
    #[must_use]
    pub fn range(self) -> (i16, i16) {
        of!(self, range())
    }

    /// Writes weights, in the order that the transform states, to as many bytes as [`bytes`](Self::bytes) says,
    /// which are zeros before. It fits the transform, and the weights are in its range.
    pub fn encode(self, weights: &[i16], transform: &Transform, to: &mut [u8]) {
        of!(self, encode(weights, transform, to));
    }
}

/// One layout: what is said here is a byte for each weight, in the order that the transform states.
trait Order {
    /// Stride of [`Layout::stride`]; of a convolution, the length of a tap.
    fn stride(targets: usize) -> usize {
        targets
    }

    /// Answers [`Layout::fits`].
    fn fits(_transform: &Transform) -> bool {
        true
    }

    /// The number of rows of weights, each as long as [`stride`](Self::stride) says.
    fn rows(transform: &Transform) -> Option<u32> {
        shape(transform).map(|(rows, _)| rows)
    }

    /// Answers [`Layout::range`].
    fn range() -> (i16, i16) {
        (-127, 127)
    }

    /// Finds the weights of a source of a matrix.
    fn row(source: usize, stride: usize) -> Option<Place> {
        Place::new(source.checked_mul(stride)?, stride)
    }

    /// Finds the weights of a tap of a convolution, from an input channel to the filters of its group.
    fn tap(conv: &Convolution, [y, x]: [u32; 2], channel: u32) -> Option<Place> {
        let at = (y * u32::from(conv.kernel[1]) + x) * u32::from(conv.input[2]) + channel;
        let stride = Self::stride(conv.row().into());
        Place::new(at as usize * stride, stride)
    }

    /// Bytes from a row's first target to its target `at`, a multiple of [`DECODED`]. `block` is the row's.
    fn skip(at: usize, _block: usize) -> usize {
        Self::stride(at)
    }

    /// Reads a row's first weights; those behind its end stay as they are. `block` is the row's.
    fn decode(bytes: &[i8], _block: usize, weights: &mut [i16; DECODED]);

    /// Encodes for [`Layout::encode`].
    fn encode(weights: &[i16], transform: &Transform, to: &mut [u8]) {
        let row = shape(transform).map_or(0, |(_, row)| row as usize);
        let rows = to.chunks_mut(Self::stride(row).max(1));
        for (to, row) in rows.zip(weights.chunks(row.max(1))) {
            Self::encode_row(row, to);
        }
    }

    /// Writes a row, where rows are written one by one.
    fn encode_row(_row: &[i16], _to: &mut [u8]) {}
}

/// The rows of weights of a transform, and the weights of a row.
fn shape(transform: &Transform) -> Option<(u32, u32)> {
    match transform {
        Transform::Dense(d) => Some((d.inputs, d.outputs)),
        Transform::Convolution(c) => {
            let [rows, columns] = c.kernel.map(u32::from);
            let taps = rows.checked_mul(columns)?.checked_mul(c.input[2].into())?;
            Some((taps, c.row().into()))
        }
    }
}

/// Place of a row of weights among those of its connection.
struct Place {
    /// The bytes that have to be there.
    start: usize,
    end: usize,
    /// The bytes of those that come before the row's first.
    before: usize,
    /// Note of the layout to itself about the row.
    block: usize,
}

impl Place {
    fn new(start: usize, len: usize) -> Option<Self> {
        Some(Self {
            start,
            end: start.checked_add(len)?,
            before: 0,
            block: 0,
        })
    }
}

/// Weights in the layout that they have in memory.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The bytes.
    pub bytes: &'a [i8],
    /// Their layout.
    pub layout: Layout,
}

impl<'a> Weights<'a> {
    /// The weights from a source of a matrix to all its targets; `None` if there is no such source.
    #[must_use]
    pub fn dense_row(&self, source: usize, outputs: usize) -> Option<Row<'a>> {
        let stride = self.layout.stride(outputs);
        self.at(of!(self.layout, row(source, stride))?)
    }

    /// The weights from an input channel through a place of a convolution's kernel to the filters of
    /// its group; `None` if there is no such channel or place.
    #[must_use]
    pub fn tap(
        &self,
        conv: &Convolution,
        kernel_y: u32,
        kernel_x: u32,
        channel: u32,
    ) -> Option<Row<'a>> {
        self.at(of!(self.layout, tap(conv, [kernel_y, kernel_x], channel))?)
    }

    fn at(&self, place: Place) -> Option<Row<'a>> {
        let bytes = self.bytes.get(place.start..place.end)?;
        Some(Row {
            bytes: bytes.get(place.before..)?,
            layout: self.layout,
            block: place.block,
        })
    }
}

/// The weights from one source to neighbouring targets.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    bytes: &'a [i8],
    layout: Layout,
    /// Bytes from a block of filters to the next, in [`Layout::Windows`].
    block: usize,
}

impl Row<'_> {
    /// The row from its target `at` on, which is a multiple of 16.
    #[must_use]
    pub fn skip(self, at: usize) -> Self {
        let bytes = of!(self.layout, skip(at, self.block));
        Self {
            bytes: self.bytes.get(bytes..).unwrap_or(&[]),
            ..self
        }
    }

    /// Calls `f` with each target and its weight.
    #[inline]
    pub fn zip<T>(self, targets: &mut [T], mut f: impl FnMut(&mut T, i32)) {
        if self.layout == Layout::Rows {
            for (target, &w) in targets.iter_mut().zip(self.bytes) {
                f(target, i32::from(w));
            }
            return;
        }
        let mut row = self;
        for targets in targets.chunks_mut(DECODED) {
            let mut weights = [0; DECODED];
            row.decode(&mut weights);
            for (target, w) in targets.iter_mut().zip(weights) {
                f(target, i32::from(w));
            }
            row = row.skip(DECODED);
        }
    }

    /// The row's first weights; those behind its end stay as they are.
    fn decode(self, weights: &mut [i16; DECODED]) {
        of!(self.layout, decode(self.bytes, self.block, weights));
    }
}

/// A weight of 16 bits.
fn half_word(bytes: [i8; 2]) -> i16 {
    i16::from_le_bytes(bytes.map(|byte| byte as u8))
}

/// Weights that are decoded together.
const DECODED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::vec;

    /// Whatever byte is not a weight's and lies in a row of a window must be zero.
    #[test]
    fn rows_of_windows_are_filled_up_with_zeros() {
        for (layout, kernel, channels, filters, groups) in [
            (Layout::Windows, [3, 3], 1, 8, 1),
            (Layout::Windows, [2, 1], 2, 16, 1),
            (Layout::Windows, [1, 5], 3, 8, 1),
            (Layout::Windows, [2, 2], 2, 8, 1),
            (Layout::Tiles, [3, 3], 1, 4, 1),
            (Layout::Tiles, [2, 3], 6, 8, 2),
            (Layout::Tiles, [1, 1], 3, 12, 1),
            (Layout::Tiles, [5, 4], 3, 4, 1),
        ] {
            let transform = Transform::Convolution(Convolution {
                input: [8, 8, channels],
                output: [8, 8, filters],
                kernel,
                filters,
                groups,
                stride: [1, 1],
                padding: [0, 0],
                dilation: [1, 1],
                first: 0,
            });
            assert!(layout.fits(&transform));
            let count = Layout::Rows.bytes(&transform).unwrap() as usize;
            let mut bytes = vec![0; layout.bytes(&transform).unwrap() as usize];
            layout.encode(&vec![-1; count], &transform, &mut bytes);
            assert!(layout.is_filled_up(&transform, &bytes));
            let own = bytes.iter().filter(|byte| **byte != 0).count();
            assert_eq!(own, 2 * count, "{layout:?} {kernel:?}");
            for at in 0..bytes.len() {
                let before = bytes[at];
                bytes[at] = 1;
                let filled = layout.is_filled_up(&transform, &bytes);
                assert_eq!(filled, before != 0, "{layout:?} {kernel:?}, byte {at}");
                bytes[at] = before;
            }
        }
    }
}
