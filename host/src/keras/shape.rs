//! Shapes without the batch axis, and the arithmetic on them: all of it is checked.

use crate::ops::Padding;

/// The length along each axis, without the batch axis; `None` if it is unknown.
pub type Shape = Vec<Option<usize>>;

/// The most elements that one tensor of a model may have.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// The most elements that all tensors of a model may have together: what is kept for each of them
/// takes some 20 bytes.
pub const MAX_TOTAL_ELEMENTS: usize = 1 << 26;

/// Position of the channel axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DataFormat {
    /// Channels on the last axis.
    #[default]
    ChannelsLast,
    /// Channels on the first axis after the batch.
    ChannelsFirst,
}

/// A shape as Keras prints it, without the batch axis: `(28, 28, 1)`, `(None, 3)`, `()`.
#[must_use]
pub fn display(shape: &[Option<usize>]) -> String {
    let axes: Vec<String> = shape
        .iter()
        .map(|d| d.map_or_else(|| "None".to_owned(), |d| d.to_string()))
        .collect();
    format!("({})", axes.join(", "))
}

/// The number of elements, if every axis is known.
pub(crate) fn elements(shape: &[Option<usize>]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| d.and_then(|d| n.checked_mul(d)))
}

/// Refuses axes of length 0 and shapes that no model has.
pub(crate) fn check(shape: &[Option<usize>]) -> Result<(), String> {
    if shape.contains(&Some(0)) {
        return Err(format!(
            "a tensor of shape {} has an axis of length 0",
            display(shape)
        ));
    }
    let mut known = 1usize;
    for d in shape.iter().flatten() {
        known = known
            .checked_mul(*d)
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| {
                format!(
                    "a tensor of shape {} has more than {MAX_ELEMENTS} elements, the most that is supported",
                    display(shape)
                )
            })?;
    }
    Ok(())
}

/// The only input of a layer that takes one.
pub(crate) fn single(inputs: &[Shape]) -> Result<&Shape, String> {
    match inputs {
        [input] => Ok(input),
        _ => Err(format!("it takes one input, but is given {}", inputs.len())),
    }
}

/// The only input, if it has `rank` axes.
pub(crate) fn of_rank(inputs: &[Shape], rank: usize) -> Result<&Shape, String> {
    let input = single(inputs)?;
    if input.len() == rank {
        Ok(input)
    } else {
        Err(format!(
            "it takes an input of rank {rank} (without the batch axis), but is given {}",
            display(input)
        ))
    }
}

/// The channel axis, and the spatial axes, of a shape of `rank` spatial axes.
pub(crate) fn axes(rank: usize, format: DataFormat) -> (usize, std::ops::Range<usize>) {
    match format {
        DataFormat::ChannelsLast => (rank, 0..rank),
        DataFormat::ChannelsFirst => (0, 1..rank + 1),
    }
}

/// The index, without the batch axis, of an axis that counts the batch axis as 0 and may be negative.
pub(crate) fn axis_index(axis: isize, rank: usize) -> Result<usize, String> {
    let batched = isize::try_from(rank + 1).unwrap_or(isize::MAX);
    let positive = if axis < 0 { axis + batched } else { axis };
    if positive == 0 {
        return Err(format!("axis {axis} is the batch axis"));
    }
    usize::try_from(positive - 1)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| {
            format!("axis {axis} is outside of an input of rank {rank} (without the batch axis)")
        })
}

/// Counts an axis from the start, the batch axis as 0, if the input has it.
pub(crate) fn number_axis(axis: &mut isize, rank: usize) {
    if let Some(index) = (axis_index(*axis, rank).ok()).and_then(|a| isize::try_from(a).ok()) {
        *axis = index + 1;
    }
}

/// Counts axes from the start as [`number_axis`] does.
pub(crate) fn number_axes(axes: &mut [isize], rank: usize) {
    axes.iter_mut().for_each(|axis| number_axis(axis, rank));
}

/// The only input, if it has these axes.
pub(crate) fn with_axes<'s>(inputs: &'s [Shape], axes: &[isize]) -> Result<&'s Shape, String> {
    let input = single(inputs)?;
    for &axis in axes {
        axis_index(axis, input.len())?;
    }
    Ok(input)
}

/// The number of places of a window of `k` with step `s` over `n`.
pub(crate) fn windows(
    n: usize,
    k: usize,
    s: usize,
    d: usize,
    padding: Padding,
) -> Result<usize, String> {
    let reach = span(k, d)?;
    match padding {
        Padding::Same | Padding::Causal => Ok(n.div_ceil(s)),
        Padding::Valid => Ok(n.checked_sub(reach).ok_or_else(|| {
            format!("a window over {reach} places does not fit into an axis of length {n}")
        })? / s
            + 1),
    }
}

/// The places that a window of `k` dilated by `d` spans.
pub(crate) fn span(k: usize, d: usize) -> Result<usize, String> {
    add(mul(k.saturating_sub(1), d)?, 1)
}

/// The sum of two lengths.
pub(crate) fn add(a: usize, b: usize) -> Result<usize, String> {
    a.checked_add(b)
        .ok_or_else(|| format!("the length {a} + {b} is out of range"))
}

/// The product of two lengths.
pub(crate) fn mul(a: usize, b: usize) -> Result<usize, String> {
    a.checked_mul(b)
        .ok_or_else(|| format!("the length {a} * {b} is out of range"))
}

/// An input with a time axis first, which only the last step leaves unless `sequences`.
pub(crate) fn temporal(inputs: &[Shape], sequences: bool) -> Result<Shape, String> {
    let input = single(inputs)?;
    match input.split_first() {
        Some(_) if sequences => Ok(input.clone()),
        Some((_, rest)) => Ok(rest.to_vec()),
        None => Err("its input has no time axis".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_lengths_are_shown() {
        assert_eq!(display(&[None, Some(3)]), "(None, 3)");
        assert_eq!(display(&[]), "()");
    }
}
