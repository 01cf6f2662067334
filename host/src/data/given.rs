//! Arrays in memory → data set, by the rules for arrays in files.

use super::array::{Array, Values};
use super::error::DataError;
use super::labels::join;
use super::set::DataSet;

/// An array that a program hands over, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenArray {
    /// Its name in messages.
    pub name: String,
    /// Its shape, with the batch axis first.
    pub shape: Vec<usize>,
    /// Its values, as many as the shape says.
    pub values: GivenValues,
}

/// Values of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum GivenValues {
    /// Bytes.
    U8(Vec<u8>),
    /// Bools, as bytes of 0 and 1.
    Bool(Vec<u8>),
    /// Integers, for labels; as samples they become floats.
    Int(Vec<i64>),
    /// Floats, which must be finite.
    F32(Vec<f32>),
}

/// Makes a data set of samples and, if known, their targets. `origin` stands for the file in messages.
///
/// ```
/// use tinyspike::data::{GivenArray, GivenValues, of_arrays};
///
/// let array = |name: &str, shape: &[usize], values| GivenArray {
///     name: name.into(),
///     shape: shape.to_vec(),
///     values,
/// };
/// let x = array("x", &[2, 3], GivenValues::F32(vec![0.0, 0.5, 1.0, 1.0, 0.5, 0.0]));
/// let y = array("y", &[2], GivenValues::Int(vec![4, 7]));
/// let set = of_arrays("calibration", x, Some(y))?;
/// assert_eq!((set.shape(), set.labels()), ([3].as_slice(), Some([4, 7].as_slice())));
/// # Ok::<(), tinyspike::data::DataError>(())
/// ```
///
/// # Errors
/// [`DataError`], as for arrays of a file.
pub fn of_arrays(origin: &str, x: GivenArray, y: Option<GivenArray>) -> Result<DataSet, DataError> {
    let x = checked(origin, x)?;
    let y = y.map(|y| checked(origin, y)).transpose()?;
    join(x, y)
}

/// An array whose length fits its shape, and whose values are finite.
fn checked(origin: &str, given: GivenArray) -> Result<Array, DataError> {
    let GivenArray {
        name,
        shape,
        values,
    } = given;
    let (dtype, values) = match values {
        GivenValues::U8(values) => ("|u1", Values::U8(values)),
        GivenValues::Bool(values) => ("|b1", Values::U8(values)),
        GivenValues::Int(values) => ("<i8", Values::Int(values)),
        GivenValues::F32(values) => ("<f4", Values::Float(values)),
    };
    let array = Array {
        file: origin.to_owned(),
        name,
        dtype: dtype.to_owned(),
        shape,
        values,
    };
    let size = |axes: &[usize]| axes.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    if size(&array.shape) != Some(array.values.len()) {
        let count = array.values.len();
        return Err(array.refused(format!("it has {count} values, which are not as many")));
    }
    let infinite = match &array.values {
        Values::Float(values) => (values.iter().enumerate()).find(|(_, value)| !value.is_finite()),
        _ => None,
    };
    if let Some((at, value)) = infinite {
        let each = array.shape.get(1..).and_then(size).unwrap_or(1).max(1);
        return Err(DataError::not_finite(
            &array.file,
            &array.name,
            at / each,
            *value,
        ));
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], values: GivenValues) -> GivenArray {
        GivenArray {
            name: "x".into(),
            shape: shape.to_vec(),
            values,
        }
    }

    #[test]
    fn faults_are_named() {
        let floats = |values: &[f32]| GivenValues::F32(values.to_vec());
        let refused = |x, y| of_arrays("data", x, y).unwrap_err().to_string();
        let nan = refused(array(&[2, 2], floats(&[0.0, 1.0, 2.0, f32::NAN])), None);
        assert!(
            nan.contains("data: array x, sample 1: the value NaN"),
            "{nan}"
        );
        let short = refused(array(&[2, 2], floats(&[0.0])), None);
        assert!(short.contains("[2, 2]: it has 1 values"), "{short}");
        let huge = refused(array(&[usize::MAX, 2], floats(&[0.0])), None);
        assert!(huge.contains("it has 1 values"), "{huge}");
        let labels = array(&[3], GivenValues::Int(vec![1, 2, 3]));
        let other = refused(array(&[2, 1], floats(&[0.0, 1.0])), Some(labels));
        assert!(other.contains("one label, or one row of values"), "{other}");
    }

    #[test]
    fn bools_are_zero_and_one() {
        let set = of_arrays("data", array(&[1, 2], GivenValues::Bool(vec![0, 1])), None).unwrap();
        assert_eq!(set.to_floats(), [0.0, 1.0]);
    }
}
