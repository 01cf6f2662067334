//! Samples and what they should come to, checked against each other.

use super::array::{Array, Values};
use super::error::DataError;
use super::set::{DataSet, Samples, Targets};

/// Difference of a row's sum from 1 up to which its values are probabilities.
const ROUNDING: f32 = 1e-3;

/// Checks the samples and their targets against each other.
pub(super) fn join(x: Array, y: Option<Array>) -> Result<DataSet, DataError> {
    let refused = |reason: &str| x.refused(reason.into());
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
    let targets = y
        .map(|y| targets_of(&y, &x.file, &x.name, &x.shape))
        .transpose()?;
    let samples = match x.values {
        Values::U8(v) => Samples::U8(v),
        Values::Float(v) => Samples::F32(v),
        Values::Int(v) => Samples::F32(v.iter().map(|&n| n as f32).collect()),
    };
    let set = DataSet::new(shape.to_vec(), samples, None)
        .ok_or_else(|| DataError::Damaged {
            file: x.file.clone(),
            what: format!("array {}", x.name),
            reason: "its length does not match its shape".into(),
        })?
        .with_targets(targets);
    Ok(match x.dtype.ends_with("b1") {
        // A bool is 0 or 1.
        true => set.with_byte_scale(1.0),
        false => set,
    })
}

/// The targets in `y`. Classes are whole numbers from 0 on, one for each sample, rows in which one place alone is
/// not 0, or rows of probabilities. All else is values.
pub(super) fn targets_of(
    y: &Array,
    x_file: &str,
    x_name: &str,
    x_shape: &[usize],
) -> Result<Targets, DataError> {
    let [count, rest @ ..] = y.shape.as_slice() else {
        return Err(y.refused("a single value; give one for each sample".into()));
    };
    let size: usize = rest.iter().product();
    if size == 0 {
        return Err(y.refused("there are no values; no axis may have length 0".into()));
    }
    if Some(count) != x_shape.first() {
        return Err(y.refused(format!(
            "it must have one label, or one row of values, for each sample, and {x_name} in {x_file} has shape \
             {x_shape:?}"
        )));
    }
    let classes = match (&y.values, rest.len() < 2) {
        (_, false) => None,
        (Values::U8(v), _) if size == 1 => Some(v.iter().map(|&n| n.into()).collect()),
        (Values::Int(v), _) if size == 1 => v.iter().map(|&n| u32::try_from(n).ok()).collect(),
        (Values::Float(v), _) if size == 1 => v.iter().map(|&n| whole(n)).collect(),
        (Values::U8(v), _) => v.chunks_exact(size).map(one_hot).collect(),
        (Values::Int(v), _) => v.chunks_exact(size).map(one_hot).collect(),
        (Values::Float(v), _) => v.chunks_exact(size).map(likeliest).collect(),
    };
    // Other probabilities than 0 and 1 say more than a class.
    let hard = || match &y.values {
        Values::Float(v) => v.iter().all(|&v| v == 0.0 || v == 1.0),
        Values::U8(v) => v.iter().all(|&v| v <= 1),
        Values::Int(v) => v.iter().all(|&v| v == 0 || v == 1),
    };
    Ok(match (classes, &y.values) {
        (Some(classes), _) => Targets::Classes {
            classes,
            columns: (size > 1 && hard()).then_some(size),
            rows: match &y.values {
                Values::Float(v) if size > 1 && !hard() => v.clone(),
                _ => Vec::new(),
            },
        },
        (None, values) => Targets::Values {
            size,
            values: match values {
                Values::U8(v) => v.iter().map(|&n| n.into()).collect(),
                Values::Int(v) => v.iter().map(|&n| n as f32).collect(),
                Values::Float(v) => v.clone(),
            },
            // Bytes that are as many as the samples' are what an autoencoder should give back.
            bytes: matches!(values, Values::U8(_))
                && x_shape.iter().skip(1).product::<usize>() == size,
            labels: true,
        },
    })
}

/// The class that a float is, if it is whole and not below 0.
fn whole(value: f32) -> Option<u32> {
    let class = value as u32;
    (class as f32 == value).then_some(class)
}

/// The only place of a row that is not 0.
fn one_hot<T: Default + PartialEq>(row: &[T]) -> Option<u32> {
    let mut ones = (0u32..).zip(row).filter(|(_, n)| **n != T::default());
    match (ones.next(), ones.next()) {
        (Some((class, _)), None) => Some(class),
        _ => None,
    }
}

/// The place of the largest probability of a row, the first of equals.
fn likeliest(row: &[f32]) -> Option<u32> {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &value) in (0u32..).zip(row) {
        if value > best.1 {
            best = (class, value);
        }
    }
    let distribution =
        row.iter().all(|v| *v >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() <= ROUNDING;
    distribution.then_some(best.0)
}
