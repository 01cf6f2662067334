//! NumPy arrays as data sets, and vectors as arrays.

use std::sync::Arc;

use numpy::{
    Element, PyArray1, PyArrayMethods as _, PyReadonlyArrayDyn, PyUntypedArrayMethods as _,
};
use pyo3::prelude::*;
use tinyspike::data::{DataSet, GivenArray, GivenValues, of_arrays};

use crate::fault::Fault;

/// Samples, and what they should come to.
#[pyclass(frozen, module = "tinyspike._native")]
pub(crate) struct Data {
    pub(crate) set: Arc<DataSet>,
    /// The value of one unit of a byte, if the user says it.
    pub(crate) byte_scale: Option<f32>,
}

/// Data as the user gives it: a set for each input.
pub(crate) type Given = Vec<(Arc<DataSet>, Option<f32>)>;

pub(crate) fn all_given(data: &[PyRef<'_, Data>]) -> Given {
    data.iter()
        .map(|data| (data.set.clone(), data.byte_scale))
        .collect()
}

#[pymethods]
impl Data {
    /// Copies arrays in row-major order: uint8, bool or float32, and of targets int64 too.
    #[new]
    #[pyo3(signature = (origin, x, y=None, *, byte_scale=None, values=false))]
    fn new(
        py: Python<'_>,
        origin: &str,
        x: &Bound<'_, PyAny>,
        y: Option<&Bound<'_, PyAny>>,
        byte_scale: Option<f32>,
        values: bool,
    ) -> PyResult<Self> {
        let x = given(origin, x)?;
        let y = y.map(|y| given("labels", y)).transpose()?;
        let set = py
            .detach(|| of_arrays("the data", x, y))
            .map_err(|error| Fault::from(error).at("input", Some(origin)).raise(py))?;
        let set = if values { set.measured() } else { set };
        Ok(Self {
            set: Arc::new(set),
            byte_scale,
        })
    }

    fn __len__(&self) -> usize {
        self.set.len()
    }

    /// The shape of one sample.
    #[getter]
    fn shape(&self) -> Vec<usize> {
        self.set.shape().to_vec()
    }
}

fn given(name: &str, array: &Bound<'_, PyAny>) -> PyResult<GivenArray> {
    let taken = values_of::<u8>(array).map(|(shape, values)| (shape, GivenValues::U8(values)));
    let taken = taken.or_else(|| {
        let (shape, values) = values_of::<bool>(array)?;
        let bytes = values.into_iter().map(u8::from).collect();
        Some((shape, GivenValues::Bool(bytes)))
    });
    let taken = taken.or_else(|| {
        values_of::<f32>(array).map(|(shape, values)| (shape, GivenValues::F32(values)))
    });
    let taken = taken.or_else(|| {
        values_of::<i64>(array).map(|(shape, values)| (shape, GivenValues::Int(values)))
    });
    match taken {
        Some((shape, values)) => Ok(GivenArray {
            name: name.to_owned(),
            shape,
            values,
        }),
        None => {
            let message =
                format!("{name} is no array of uint8, bool, float32 or int64 in row-major order");
            Err(Fault::new("DataError", message).raise(array.py()))
        }
    }
}

/// The shape and the values of an array of this type.
fn values_of<T: Element + Copy>(array: &Bound<'_, PyAny>) -> Option<(Vec<usize>, Vec<T>)> {
    let array: PyReadonlyArrayDyn<'_, T> = array.extract().ok()?;
    let values = array.as_slice().ok()?.to_vec();
    Some((array.shape().to_vec(), values))
}

/// Values as an array of a shape, without a copy.
pub(crate) fn array<'py, T: Element>(
    py: Python<'py>,
    shape: &[usize],
    values: Vec<T>,
) -> PyResult<Bound<'py, PyAny>> {
    let flat = PyArray1::from_vec(py, values);
    Ok(flat.reshape(shape.to_vec())?.into_any())
}
