//! Tensors whose values the file tells: weights, and what is computed of them and of shapes.

use super::proto;
use crate::keras::forward::axes;
use crate::tensor::Tensor;

/// The most elements of one constant.
pub(super) const MAX_ELEMENTS: usize = 1 << 26;

/// The most axes of one constant.
const MAX_RANK: usize = 64;

/// The numbers of `TensorProto.DataType`.
mod types {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const UINT8: i32 = 2;
    pub(super) const INT8: i32 = 3;
    pub(super) const UINT16: i32 = 4;
    pub(super) const INT16: i32 = 5;
    pub(super) const INT32: i32 = 6;
    pub(super) const INT64: i32 = 7;
    pub(super) const BOOL: i32 = 9;
    pub(super) const FLOAT16: i32 = 10;
    pub(super) const DOUBLE: i32 = 11;
    pub(super) const UINT32: i32 = 12;
    pub(super) const UINT64: i32 = 13;
    pub(super) const BFLOAT16: i32 = 16;
}

/// Kind of the elements of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    /// Floats of any width.
    Floats,
    /// Integers of any width, and booleans.
    Integers,
}

/// The kind of a type's elements; `None` for texts, complex numbers and unknown types.
pub(super) fn elements(data_type: i32) -> Option<Elements> {
    use types::{
        BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32,
        UINT64,
    };
    match data_type {
        FLOAT | FLOAT16 | DOUBLE | BFLOAT16 => Some(Elements::Floats),
        UINT8 | INT8 | UINT16 | INT16 | INT32 | INT64 | BOOL | UINT32 | UINT64 => {
            Some(Elements::Integers)
        }
        _ => None,
    }
}

/// A tensor of known values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

/// Values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// The number of elements of a shape, if a constant may have as many. Axes of length 0 do not make room for longer ones:
/// strides stay in range.
pub(super) fn size(shape: &[usize]) -> Result<usize, String> {
    if shape.len() > MAX_RANK {
        return Err(format!(
            "a constant of {} axes; at most {MAX_RANK} are supported",
            shape.len()
        ));
    }
    (shape.iter())
        .try_fold(1usize, |n, &d| n.checked_mul(d.max(1)))
        .filter(|&n| n <= MAX_ELEMENTS)
        .map(|n| if shape.contains(&0) { 0 } else { n })
        .ok_or_else(|| {
            format!("a constant of shape {shape:?} has more than {MAX_ELEMENTS} elements, the most that is supported")
        })
}

impl Constant {
    pub(super) fn integers(values: Vec<i64>) -> Self {
        Self {
            shape: vec![values.len()],
            data: Data::Integers(values),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Floats(values) => values.len(),
            Data::Integers(values) => values.len(),
        }
    }

    /// The values as floats.
    pub(super) fn floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Floats(values) => values.clone(),
            Data::Integers(values) => values.iter().map(|&v| v as f32).collect(),
        }
    }

    /// The values, if they are integers.
    pub(super) fn as_integers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Integers(values) => Some(values),
            Data::Floats(_) => None,
        }
    }

    /// The values at these places under a shape of as many.
    pub(super) fn pick(&self, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Self {
        let data = match &self.data {
            Data::Floats(values) => Data::Floats(places.map(|at| values[at]).collect()),
            Data::Integers(values) => Data::Integers(places.map(|at| values[at]).collect()),
        };
        Self { shape, data }
    }

    /// The same values under a shape of as many.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Result<Self, String> {
        if size(&shape)? != self.len() {
            return Err(format!("{:?} cannot be reshaped to {shape:?}", self.shape));
        }
        Ok(Self {
            shape,
            data: self.data.clone(),
        })
    }

    /// The axes in another order, which names each once.
    pub(super) fn permuted(&self, order: &[usize]) -> Self {
        let strides = axes::strides(&self.shape);
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
        let places = axes::gather(&shape, &steps);
        self.pick(shape, places)
    }

    /// The values stretched to a shape by ONNX's rules: axes are aligned at the end.
    pub(super) fn broadcast(&self, to: &[usize]) -> Result<Self, String> {
        let misfit = || format!("{:?} does not stretch to {to:?}", self.shape);
        size(to)?;
        let skip = to.len().checked_sub(self.shape.len()).ok_or_else(misfit)?;
        let strides = axes::strides(&self.shape);
        let mut steps = vec![0; to.len()];
        for (axis, &length) in self.shape.iter().enumerate() {
            if length == to[skip + axis] {
                steps[skip + axis] = strides[axis];
            } else if length != 1 {
                return Err(misfit());
            }
        }
        Ok(self.pick(to.to_vec(), axes::gather(to, &steps)))
    }

    /// The values as a float tensor, none of which is NaN or infinite.
    pub(super) fn tensor(&self) -> Result<Tensor, String> {
        let values = self.floats();
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(format!(
                "a weight of shape {:?} is {} at index {at}; the training diverged or the file is damaged",
                self.shape, values[at]
            ));
        }
        Tensor::new(self.shape.clone(), values)
            .ok_or_else(|| format!("{:?} does not fit its values", self.shape))
    }

    /// Reads a tensor of the file.
    pub(super) fn read(tensor: &proto::Tensor) -> Result<Self, String> {
        if tensor.location == 1 {
            return Err(
                "its values are in another file, and only whole files are read; write one with \
                 onnx.save(onnx.load(\"model.onnx\"), \"whole.onnx\"), or export with external_data=False"
                    .to_owned(),
            );
        }
        let shape = (tensor.dims.iter())
            .map(|&d| usize::try_from(d).map_err(|_| format!("an axis has length {d}")))
            .collect::<Result<Vec<_>, _>>()?;
        let size = size(&shape)?;
        let data = values(tensor)?;
        let constant = Self { shape, data };
        if constant.len() == size {
            Ok(constant)
        } else {
            Err(format!(
                "it has {} values, but its shape {:?} asks for {size}; the file is damaged",
                constant.len(),
                constant.shape
            ))
        }
    }
}

fn values(tensor: &proto::Tensor) -> Result<Data, String> {
    use types::{
        BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32,
        UINT64,
    };
    let raw = &tensor.raw;
    let from_raw = !raw.is_empty();
    Ok(match tensor.data_type {
        FLOAT if from_raw => Data::Floats(words(raw, f32::from_le_bytes)?),
        FLOAT => Data::Floats(tensor.floats.clone()),
        DOUBLE if from_raw => Data::Floats(words(raw, |b| f64::from_le_bytes(b) as f32)?),
        DOUBLE => Data::Floats(tensor.doubles.iter().map(|&v| v as f32).collect()),
        FLOAT16 if from_raw => Data::Floats(words(raw, |b| half(u16::from_le_bytes(b)))?),
        FLOAT16 => Data::Floats(tensor.ints.iter().map(|&v| half(v as u16)).collect()),
        BFLOAT16 if from_raw => Data::Floats(words(raw, |b| brain(u16::from_le_bytes(b)))?),
        BFLOAT16 => Data::Floats(tensor.ints.iter().map(|&v| brain(v as u16)).collect()),
        UINT8 | BOOL if from_raw => Data::Integers(words(raw, |[b]: [u8; 1]| b.into())?),
        INT8 if from_raw => Data::Integers(words(raw, |b| i8::from_le_bytes(b).into())?),
        UINT16 if from_raw => Data::Integers(words(raw, |b| u16::from_le_bytes(b).into())?),
        INT16 if from_raw => Data::Integers(words(raw, |b| i16::from_le_bytes(b).into())?),
        INT32 if from_raw => Data::Integers(words(raw, |b| i32::from_le_bytes(b).into())?),
        UINT32 if from_raw => Data::Integers(words(raw, |b| u32::from_le_bytes(b).into())?),
        INT64 if from_raw => Data::Integers(words(raw, i64::from_le_bytes)?),
        UINT64 if from_raw => Data::Integers(words(raw, |b| u64::from_le_bytes(b) as i64)?),
        UINT8 | BOOL | INT8 | UINT16 | INT16 | INT32 => {
            Data::Integers(tensor.ints.iter().map(|&v| v.into()).collect())
        }
        INT64 => Data::Integers(tensor.longs.clone()),
        UINT32 | UINT64 => Data::Integers(tensor.unsigned.iter().map(|&v| v as i64).collect()),
        other => {
            return Err(format!(
                "its values have the type {other} of ONNX's TensorProto.DataType; floats and integers are read"
            ));
        }
    })
}

/// Words of N bytes.
fn words<const N: usize, T>(raw: &[u8], word: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (words, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        Ok(words.iter().map(|&bytes| word(bytes)).collect())
    } else {
        Err(format!(
            "its {} bytes are no multiple of {N}; the file is damaged",
            raw.len()
        ))
    }
}

/// A bfloat16: the upper half of a float.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// An IEEE half float.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 31);
    let fraction = f32::from(bits & 1023);
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats() {
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x3555, 0.333_251_95),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
        assert_eq!(brain(0x3f80), 1.0);
    }
}
