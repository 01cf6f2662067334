//! IDX arrays, the format of MNIST.

use std::io::Read;

use super::array::{Array, Element, Head, Role, damaged, eof};
use super::error::DataError;

/// Reads an IDX array.
pub(super) fn parse_idx(
    file: &str,
    role: Role,
    limit: u64,
    mut content: impl Read,
) -> Result<Array, DataError> {
    let head = idx_head(file, role, limit, &mut content)?;
    let values = head.all(&mut content)?;
    Ok(head.array(values))
}

/// The head of an IDX array: two zero bytes, the type, the number of axes, the axes.
pub(super) fn idx_head(
    file: &str,
    role: Role,
    limit: u64,
    content: &mut impl Read,
) -> Result<Head, DataError> {
    let name = match role {
        Role::Samples => "images",
        Role::Labels => "labels",
    };
    let cut = |e| damaged(file, "the IDX header", eof(e));
    let mut start = [0; 4];
    content.read_exact(&mut start).map_err(cut)?;
    let [0, 0, code, axes] = start else {
        return Err(DataError::UnknownFormat { file: file.into() });
    };
    let element =
        Element::of_idx(code).ok_or_else(|| DataError::UnknownFormat { file: file.into() })?;
    let mut shape = Vec::with_capacity(usize::from(axes));
    for _ in 0..axes {
        let mut axis = [0; 4];
        content.read_exact(&mut axis).map_err(cut)?;
        shape.push(u32::from_be_bytes(axis) as usize);
    }
    Ok(Head {
        file: file.into(),
        name: name.into(),
        role,
        dtype: format!("IDX type {code:#04x}"),
        limit,
        element,
        shape,
    })
}
