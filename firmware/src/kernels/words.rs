//! Values as words, for kernels that take several at once.

use core::ops::Range;

/// Bytes as words; `None` if they are not aligned or no whole number of words.
pub(super) fn in_words(values: &[u8]) -> Option<&[u32]> {
    if values.is_empty() {
        // No values need not be aligned.
        return Some(&[]);
    }
    bytemuck::try_cast_slice(values).ok()
}

/// Copies words of a range from `distance` before them, as far as they are there.
pub(super) fn copy_from_before(words: &mut [u32], range: Range<usize>, distance: usize) {
    for at in range {
        if let Some(&word) = words.get(at - distance)
            && let Some(to) = words.get_mut(at)
        {
            *to = word;
        }
    }
}
