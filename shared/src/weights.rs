//! How weights lie in memory.
//!
//! A kernel is fast where it finds the weights that it needs next side by side, and in the halves of a
//! word in which its processor multiplies them. The host lays the weights out for the kernels of the
//! target and names the layout in the image. Weights are int8, -127 to 127; the layouts of 16 bits can hold
//! any of 16 bits.

use serde::{Deserialize, Serialize};

use crate::image::Convolution;

/// The order and encoding of a connection's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Layout {
    /// A byte each, in the order that the transform states.
    Rows,
    /// Of a matrix: rows filled up with zeros to a multiple of 16, each four weights as the bytes
    /// w0 + 128, w2 + 128, w1 + 128, w3 + 128.
    ///
    /// Bytes 0 and 2, and 1 and 3, zero-extended to 16 bits each: neither products nor sums below 2^16
    /// borrow from their neighbour. The surplus is 128 times the sum of the counts.
    Quads,
    /// Of a matrix: two rows in one, for sources 2i and 2i + 1; columns are filled up with zeros to a
    /// multiple of 8, rows to a multiple of 2. A group of four bytes holds the weights to targets t and
    /// t + 1: a, a' - [a < 0], b, b' - [b < 0] for weights a and a' of source 2i, b and b' of 2i + 1.
    ///
    /// The lower half of a group is the integer a + 256 a', the upper one b + 256 b': one dual
    /// multiply-accumulate with two values gives 256 times the sum for t + 1, plus the one for t.
    Crossed,
    /// Of a convolution: 16 bits each, `[input channel][kernel y][kernel x][filter]`, with the taps of
    /// an axis in the order of the targets that they lead to, as [`Axis::tap_at`](crate::image::Axis::tap_at) states.
    Wide,
    /// As `Wide`, but two neighbours share a word, the integer w0 + 2^16 w1 modulo 2^32.
    ///
    /// A product of the word with a count, added to two sums in a word, is right for both of them,
    /// borrows included.
    WidePairs,
    /// Of a convolution: for the windows that its targets see. A row of a window is a run of values,
    /// filled up to a multiple of four: `[8 filters][kernel y][four values][odd][filter]`, each a word
    /// with two 16-bit weights: those of values 0 and 2 of the four where `odd` is 0, else of 1 and 3.
    Windows,
    /// Weights from -8 to 7, two to a byte: the first in the lower half, both in two's complement, in the
    /// order that the transform states. Rows of a matrix, and the filters of a tap, are filled up with a zero
    /// to a multiple of 2.
    Nibbles,
    /// 16 bits each, little-endian, in the order that the transform states.
    Halves,
}

impl Layout {
    /// The length in bytes of a row of so many targets of a matrix, of two rows in
    /// [`Layout::Crossed`]; at most `usize::MAX`.
    #[must_use]
    pub const fn stride(self, targets: usize) -> usize {
        match self {
            Self::Quads => targets.saturating_add(15) / 16 * 16,
            Self::Crossed => (targets.saturating_add(7) / 8 * 8).saturating_mul(2),
            Self::Nibbles => targets.div_ceil(2),
            Self::Halves => targets.saturating_mul(2),
            Self::Rows | Self::Wide | Self::WidePairs | Self::Windows => targets,
        }
    }
}

/// Filters of a block in [`Layout::Windows`].
pub const WINDOWS: usize = 8;

/// Weights in the layout that they have in memory.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The bytes.
    pub bytes: &'a [i8],
    /// What they mean.
    pub layout: Layout,
}

impl<'a> Weights<'a> {
    /// The weights from a source of a matrix to all its targets; `None` where there is no such source.
    #[must_use]
    pub fn dense_row(&self, source: usize, outputs: usize) -> Option<Row<'a>> {
        let stride = self.layout.stride(outputs);
        let (row, skip) = match self.layout {
            Layout::Crossed => (source / 2, source % 2 * 2),
            _ => (source, 0),
        };
        let start = row.checked_mul(stride)?;
        let bytes = self.bytes.get(start..start.checked_add(stride)?)?;
        Some(Row {
            bytes: bytes.get(skip..)?,
            layout: self.layout,
            block: 0,
        })
    }

    /// The weights from an input channel through a place of a convolution's kernel to the filters of
    /// its group; `None` where there is no such channel or place.
    #[must_use]
    pub fn tap(
        &self,
        conv: &Convolution,
        kernel_y: u32,
        kernel_x: u32,
        channel: u32,
    ) -> Option<Row<'a>> {
        let filters = usize::from(conv.row());
        let columns = u32::from(conv.kernel[1]);
        let channels = u32::from(conv.input[2]);
        let (start, len) = match self.layout {
            Layout::Wide | Layout::WidePairs => {
                let line = channel * u32::from(conv.kernel[0]) + conv.vertical().tap_at(kernel_y);
                let at = line * columns + conv.horizontal().tap_at(kernel_x);
                (at as usize * filters * 2, filters * 2)
            }
            Layout::Windows => {
                let at = kernel_x * channels + channel;
                let fours = (columns * channels).div_ceil(4);
                let word = ((kernel_y * fours + at / 4) * 2 + at % 2) as usize * WINDOWS;
                let block = u32::from(conv.kernel[0]) * fours * 8 * WINDOWS as u32;
                let start = word * 4 + at as usize % 4 / 2 * 2;
                return Some(Row {
                    bytes: self.bytes.get(start..)?,
                    layout: self.layout,
                    block: block as usize,
                });
            }
            Layout::Nibbles | Layout::Halves => {
                let at = (kernel_y * columns + kernel_x) * channels + channel;
                let stride = self.layout.stride(filters);
                (at as usize * stride, stride)
            }
            Layout::Rows | Layout::Quads | Layout::Crossed => {
                let at = (kernel_y * columns + kernel_x) * channels + channel;
                (at as usize * filters, filters)
            }
        };
        Some(Row {
            bytes: self.bytes.get(start..start.checked_add(len)?)?,
            layout: self.layout,
            block: 0,
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
        let bytes = match self.layout {
            Layout::Nibbles => at / 2,
            Layout::Rows | Layout::Quads => at,
            Layout::Crossed | Layout::Wide | Layout::WidePairs | Layout::Halves => at * 2,
            Layout::Windows => at / WINDOWS * self.block,
        };
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
        match self.layout {
            Layout::Rows => {
                for (weight, &w) in weights.iter_mut().zip(self.bytes) {
                    *weight = w.into();
                }
            }
            Layout::Quads => {
                let (weights, _) = weights.as_chunks_mut::<4>();
                for (weights, group) in weights.iter_mut().zip(self.bytes.as_chunks::<4>().0) {
                    let [b0, b1, b2, b3] = group.map(|b| i16::from(b ^ i8::MIN));
                    *weights = [b0, b2, b1, b3];
                }
            }
            Layout::Nibbles => {
                let (weights, _) = weights.as_chunks_mut::<2>();
                for (weights, byte) in weights.iter_mut().zip(self.bytes) {
                    *weights = [byte << 4 >> 4, byte >> 4].map(i16::from);
                }
            }
            Layout::Crossed => {
                let (weights, _) = weights.as_chunks_mut::<2>();
                for (weights, group) in weights.iter_mut().zip(self.bytes.chunks(4)) {
                    if let Some(&[low, high]) = group.first_chunk() {
                        let carry = i16::from(low < 0);
                        *weights = [i16::from(low), i16::from(high).wrapping_add(carry)];
                    }
                }
            }
            Layout::Wide | Layout::Halves => {
                let halves = self.bytes.as_chunks::<2>().0;
                for (weight, half) in weights.iter_mut().zip(halves) {
                    *weight = half_word(*half);
                }
            }
            Layout::WidePairs => {
                let (weights, _) = weights.as_chunks_mut::<2>();
                for (weights, word) in weights.iter_mut().zip(self.bytes.as_chunks::<4>().0) {
                    let [b0, b1, b2, b3] = *word;
                    let (low, high) = (half_word([b0, b1]), half_word([b2, b3]));
                    *weights = [low, high.wrapping_add(i16::from(low < 0))];
                }
            }
            Layout::Windows => {
                let blocks = self.bytes.chunks(self.block.max(1));
                for (weights, block) in weights.chunks_mut(WINDOWS).zip(blocks) {
                    for (weight, word) in weights.iter_mut().zip(block.chunks(4)) {
                        if let Some(half) = word.first_chunk() {
                            *weight = half_word(*half);
                        }
                    }
                }
            }
        }
    }
}

/// A weight of 16 bits.
fn half_word(bytes: [i8; 2]) -> i16 {
    i16::from_le_bytes(bytes.map(|byte| byte as u8))
}

/// Weights that are decoded together.
const DECODED: usize = 16;
