//! Indices into row-major arrays, and nodes that read or scale elements by them.

use super::call::{Connect, LayerCall, Object};
use super::error::ConvertError;
use crate::keras::shape::{DataFormat, MAX_ELEMENTS};
use crate::network::{Diagonal, NodeKind, Pre, Transform};
use crate::tensor::Tensor;

/// A tuple as Python writes it: `(2, 2)`, `(1,)`.
pub(crate) fn tuple<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    match values.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    }
}

/// The distance between neighbours along each axis of a row-major array.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The coordinates of the element at `index` of a row-major array.
pub(crate) fn coordinates(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut coordinates = vec![0; shape.len()];
    for (axis, &length) in shape.iter().enumerate().rev() {
        coordinates[axis] = index % length;
        index /= length;
    }
    coordinates
}

/// The index of the element at these coordinates, given [`row_major`] strides.
pub(crate) fn index_of(coordinates: &[usize], strides: &[usize]) -> usize {
    coordinates.iter().zip(strides).map(|(c, s)| c * s).sum()
}

/// An axis counted from either end, as one of `0..rank`.
pub(crate) fn axis(axis: isize, rank: usize) -> Option<usize> {
    let from_end = axis.checked_add_unsigned(rank)?;
    let axis = if axis < 0 { from_end } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// The number of elements, unless it is 0 or more than a tensor may have.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|n| (1..=MAX_ELEMENTS).contains(n))
}

/// The indices of a block of a row-major array, in the block's own order.
pub(crate) fn block(shape: &[usize], offset: &[usize], block: &[usize]) -> Vec<usize> {
    let strides = row_major(shape);
    let base = index_of(offset, &strides);
    let Some((&row, outer)) = block.split_last() else {
        return vec![base];
    };
    (0..outer.iter().product())
        .flat_map(|i| {
            let first = base + index_of(&coordinates(i, outer), &strides);
            first..first + row
        })
        .collect()
}

/// Finds the element of `from` that each element of `shape` repeats: axes of length 1 are stretched, as Keras's
/// merging layers do.
pub(crate) fn broadcast(
    call: &LayerCall<'_, '_>,
    from: &[usize],
    shape: &[usize],
) -> Result<Vec<usize>, ConvertError> {
    let fits = from.len() <= shape.len()
        && from
            .iter()
            .rev()
            .zip(shape.iter().rev())
            .all(|(f, s)| f == s || *f == 1);
    if !fits {
        return Err(call.shape_error(format!(
            "an input of shape {} cannot be stretched to {}",
            tuple(from),
            tuple(shape)
        )));
    }
    let mut strides = vec![0; shape.len() - from.len()];
    strides.extend(
        row_major(from)
            .into_iter()
            .zip(from)
            .map(|(stride, &length)| if length == 1 { 0 } else { stride }),
    );
    Ok((0..shape.iter().product())
        .map(|i| index_of(&coordinates(i, shape), &strides))
        .collect())
}

/// A node that reads these elements of the input.
pub(crate) fn gather(
    call: &mut LayerCall<'_, '_>,
    indices: Vec<usize>,
) -> Result<Vec<Pre>, ConvertError> {
    call.set_channels_last(true);
    let object = call.add_object(None, None)?;
    call.connect(
        object,
        Connect {
            pre_slice: Some(indices.into()),
            ..Connect::default()
        },
    )?;
    Ok(vec![object.pre])
}

/// Finds the index in `shape` of each element of the array with its axes in the order `axes`.
pub(crate) fn permuted(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let strides = row_major(shape);
    let new_shape: Vec<usize> = axes.iter().map(|&axis| shape[axis]).collect();
    let strides: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
    (0..new_shape.iter().product())
        .map(|i| index_of(&coordinates(i, &new_shape), &strides))
        .collect()
}

/// The spatial axes of a shape.
pub(crate) struct Spatial {
    pub(crate) first: usize,
}

impl Spatial {
    /// The spatial axes of an image with one channel axis, for `arguments` spatial arguments.
    pub(crate) fn of(
        call: &LayerCall<'_, '_>,
        shape: &[usize],
        rank: usize,
        arguments: usize,
        data_format: DataFormat,
    ) -> Result<Self, ConvertError> {
        if shape.len() != rank + 1 || arguments != rank {
            return Err(call.shape_error(format!(
                "{arguments} arguments for {rank} axes do not fit the shape {}",
                tuple(shape)
            )));
        }
        Ok(Self {
            first: usize::from(data_format == DataFormat::ChannelsFirst),
        })
    }
}

/// Adds the node `X.bias` that holds a value for each element.
pub(crate) fn add_offsets(
    call: &mut LayerCall<'_, '_>,
    object: Object,
    offsets: Tensor,
) -> Result<(), ConvertError> {
    let size = offsets.len();
    let label = format!("{}.bias", call.label());
    let bias = call.add_node(label, 0, size, NodeKind::Constant(offsets));
    call.connect_objects(
        bias.pre,
        object.post,
        Transform::Identity(size),
        Some(false),
    )
}

/// Connects the input with a factor for each element.
pub(crate) fn connect_factors(
    call: &mut LayerCall<'_, '_>,
    object: Object,
    factor: Tensor,
) -> Result<(), ConvertError> {
    let size = call.output_shape()?.iter().product();
    call.connect(
        object,
        Connect {
            transform: Some(Transform::Diagonal(Diagonal { size, factor })),
            ..Connect::default()
        },
    )
}
