//! Samples and their labels, checked against each other.

use super::array::{Array, Values};
use super::error::DataError;
use super::set::{DataSet, Samples};

/// Checks the samples and their labels against each other.
pub(super) fn join(x: Array, y: Option<Array>) -> Result<DataSet, DataError> {
    let refused = |reason: &str| DataError::Shape {
        file: x.file.clone(),
        array: x.name.clone(),
        shape: x.shape.clone(),
        reason: reason.into(),
    };
    let [count, shape @ ..] = x.shape.as_slice() else {
        return Err(refused(
            "a single value; put the samples along a first axis",
        ));
    };
    if *count == 0 {
        return Err(refused("there is no sample; at least one is needed"));
    }
    if shape.contains(&0) {
        return Err(refused("the samples are empty; no axis may have length 0"));
    }
    let labels = y
        .map(|y| labels_of(&y, &x.file, &x.name, &x.shape))
        .transpose()?;
    let samples = match x.values {
        Values::U8(v) => Samples::U8(v),
        Values::Float(v) => Samples::F32(v),
        Values::Int(v) => Samples::F32(v.iter().map(|&n| n as f32).collect()),
    };
    DataSet::new(shape.to_vec(), samples, labels).ok_or_else(|| DataError::Damaged {
        file: x.file.clone(),
        what: format!("array {}", x.name),
        reason: "its length does not match its shape".into(),
    })
}

/// The labels in `y`: integers of shape `[n]` or `[n, 1]`, or one-hot rows of shape `[n, classes]`.
pub(super) fn labels_of(
    y: &Array,
    x_file: &str,
    x_name: &str,
    x_shape: &[usize],
) -> Result<Vec<u32>, DataError> {
    let refused = |reason: String| DataError::Shape {
        file: y.file.clone(),
        array: y.name.clone(),
        shape: y.shape.clone(),
        reason,
    };
    let (count, classes) = match *y.shape.as_slice() {
        [n] => (n, 1),
        [n, classes] if classes > 0 => (n, classes),
        _ => {
            return Err(refused(
                "labels need the shape [n] or [n, 1], or [n, classes] for one-hot rows".into(),
            ));
        }
    };
    if Some(&count) != x_shape.first() {
        return Err(refused(format!(
            "it must have one label for each sample, and {x_name} in {x_file} has shape {x_shape:?}"
        )));
    }
    let at = |sample, reason: &str| DataError::Value {
        file: y.file.clone(),
        array: y.name.clone(),
        sample,
        reason: reason.into(),
    };
    let integers: Vec<i64> = match &y.values {
        Values::U8(v) => v.iter().map(|&n| i64::from(n)).collect(),
        Values::Int(v) => v.clone(),
        Values::Float(v) if classes > 1 => {
            return Ok(v.chunks_exact(classes).map(argmax).collect());
        }
        Values::Float(_) => {
            return Err(DataError::Dtype {
                file: y.file.clone(),
                array: y.name.clone(),
                dtype: y.dtype.clone(),
            });
        }
    };
    if classes == 1 {
        return integers
            .iter()
            .enumerate()
            .map(|(i, &n)| {
                u32::try_from(n).map_err(|_| {
                    at(
                        i,
                        &format!("label {n}; labels count from 0 and are below 2^32"),
                    )
                })
            })
            .collect();
    }
    integers
        .chunks_exact(classes)
        .enumerate()
        .map(|(i, row)| {
            let mut ones = (0u32..).zip(row).filter(|(_, n)| **n != 0);
            match (ones.next(), ones.next()) {
                (Some((class, _)), None) => Ok(class),
                _ => Err(at(
                    i,
                    "the row is not one-hot; give one label for each sample",
                )),
            }
        })
        .collect()
}

/// The place of the largest value, the first of equals.
fn argmax(row: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &value) in (0u32..).zip(row) {
        if value > best.1 {
            best = (class, value);
        }
    }
    best.0
}
