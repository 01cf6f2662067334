//! NumPy arrays: `.npy`.

use std::io::Read;

use super::array::{Array, Element, Head, Role, Values, array_called, damaged, eof};
use super::error::DataError;

/// The most bytes that a NumPy header may have; NumPy itself refuses longer ones.
const MAX_NPY_HEADER: usize = 10_000;

/// NumPy's limit on the number of axes.
const MAX_AXES: usize = 64;

/// Reads a `.npy` array; its header is a Python dictionary of a fixed form.
///
/// The crate `npyz` is not used for this: it believes the header's length, lets the product of the
/// axes overflow, and parses nested literals by recursion.
pub(super) fn parse_npy(
    file: &str,
    name: &str,
    role: Role,
    limit: u64,
    mut content: impl Read,
) -> Result<Array, DataError> {
    let (head, fortran_order) = npy_head(file, name, role, limit, &mut content)?;
    let values = head.all(&mut content)?;
    let values = if fortran_order {
        match values {
            Values::U8(v) => Values::U8(to_row_major(&head.shape, &v)),
            Values::Int(v) => Values::Int(to_row_major(&head.shape, &v)),
            Values::Float(v) => Values::Float(to_row_major(&head.shape, &v)),
        }
    } else {
        values
    };
    Ok(head.array(values))
}

/// The head of a `.npy` array, and whether its first axis is the fastest.
pub(super) fn npy_head(
    file: &str,
    name: &str,
    role: Role,
    limit: u64,
    content: &mut impl Read,
) -> Result<(Head, bool), DataError> {
    let what = array_called(name);
    let cut = |e| damaged(file, &format!("the header of {what}"), eof(e));
    let mut start = [0; 8];
    content.read_exact(&mut start).map_err(cut)?;
    let [0x93, b'N', b'U', b'M', b'P', b'Y', major, _] = start else {
        return Err(damaged(file, &what, "it does not start as a NumPy array"));
    };
    let mut length = [0; 4];
    let width = if major == 1 { 2 } else { 4 };
    content.read_exact(&mut length[..width]).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_NPY_HEADER {
        let reason = format!("a header of {length} bytes, at most {MAX_NPY_HEADER} are read");
        return Err(damaged(file, &what, reason));
    }
    let mut text = vec![0; length];
    content.read_exact(&mut text).map_err(cut)?;
    let header = std::str::from_utf8(&text)
        .ok()
        .and_then(NpyHeader::parse)
        .ok_or_else(|| {
            let text = String::from_utf8_lossy(&text);
            let text: String = text.trim().chars().take(120).collect();
            damaged(file, &what, format!("a header of unknown form: {text:?}"))
        })?;
    let unknown = || DataError::Dtype {
        file: file.into(),
        array: name.into(),
        dtype: header.descr.into(),
    };
    let element = Element::of_npy(header.descr).ok_or_else(unknown)?;
    let head = Head {
        file: file.into(),
        name: name.into(),
        role,
        dtype: header.descr.into(),
        limit,
        element,
        shape: header.shape,
    };
    Ok((head, header.fortran_order))
}

/// The header of a `.npy` array.
#[derive(Debug, PartialEq)]
struct NpyHeader<'a> {
    /// The type string, or the whole list of a structured type.
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl<'a> NpyHeader<'a> {
    /// Parses such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        while !rest.starts_with('}') {
            let (key, value) = quoted(rest)?;
            let value = value.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" if value.starts_with('[') => {
                    let end = value.rfind(']')? + 1;
                    descr = value.get(..end);
                    value.get(end..)?
                }
                "descr" => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text);
                    after
                }
                "fortran_order" => {
                    fortran_order = Some(value.starts_with("True"));
                    value
                        .strip_prefix("True")
                        .or_else(|| value.strip_prefix("False"))?
                }
                "shape" => {
                    let (axes, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(axes_of(axes)?);
                    after
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        (rest == "}").then_some(Self {
            descr: descr?,
            fortran_order: fortran_order?,
            shape: shape?,
        })
    }
}

/// The text of the Python string at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    ['\'', '"']
        .iter()
        .find_map(|&quote| text.strip_prefix(quote)?.split_once(quote))
}

/// The axes inside the brackets of a Python tuple of integers.
fn axes_of(tuple: &str) -> Option<Vec<usize>> {
    let tuple = tuple.trim();
    let tuple = tuple.strip_suffix(',').unwrap_or(tuple);
    if tuple.is_empty() {
        return Some(Vec::new());
    }
    // Python 2 marked long integers with an L.
    let axis = |a: &str| a.trim().trim_end_matches('L').parse().ok();
    let axes: Vec<_> = tuple.split(',').map(axis).collect::<Option<_>>()?;
    (axes.len() <= MAX_AXES).then_some(axes)
}

/// The values of an array that is stored with its first axis fastest, with the last axis fastest.
fn to_row_major<T: Copy>(shape: &[usize], values: &[T]) -> Vec<T> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &axis| {
            let this = *stride;
            *stride *= axis;
            Some(this)
        })
        .collect();
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        out.push(values[at]);
        for (i, &axis) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < axis {
                break;
            }
            *i = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn header_text_never_panics(text in "[{}()\\[\\]':, <>a-zA-Z0-9]{0,60}") {
            let _ = NpyHeader::parse(&text);
        }
    }
}
