//! Weights of layers, made of the arrays of a container.
//!
//! Keras's containers number a layer's weights, or name them by paths that differ between versions.
//! What a weight *is* follows from the layer's configuration: its slots, in Keras's order. The
//! arrays are matched to them by place, and their shapes checked before any value is read.

use super::error::Problem;
use crate::keras::model::{Layer, Model, Weight};
use crate::keras::shape::{self, Shape};
use crate::keras::weight::Slot;
use crate::tensor::Tensor;

/// The most parameters of a model: 1 GiB of float32.
pub(super) const MAX_PARAMETERS: usize = 1 << 28;

/// The most bytes that a container of `packed` bytes may be unpacked to. Keras does not compress, and
/// others hardly can: more is a claim that is made to exhaust the memory.
pub(super) fn unpacked_limit(packed: usize) -> usize {
    packed
        .saturating_mul(16)
        .saturating_add(64 << 20)
        .min(MAX_FILE_BYTES)
}

/// The most bytes of a file: a model of the most parameters in float32, with an optimizer's state.
pub(super) const MAX_FILE_BYTES: usize = MAX_PARAMETERS * 4 * 3;

/// An array of a container, before its values are read.
pub(super) struct Array<'a> {
    /// Its name in the container, which is the weight's only if the layer's class is unknown.
    pub(super) name: String,
    /// Its shape.
    pub(super) shape: Vec<u64>,
    /// Reads its values as float32, row-major; gives the number format if they are no floats.
    #[expect(clippy::type_complexity, reason = "it is used once")]
    pub(super) read: Box<dyn Fn() -> Result<Result<Vec<f32>, String>, Problem> + 'a>,
}

/// Makes weights of arrays, and keeps count of how many parameters there are.
pub(super) struct Assignment {
    limit: usize,
    left: usize,
}

impl Assignment {
    /// Makes the limit of a container of that many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let limit = MAX_PARAMETERS.min(unpacked_limit(bytes) / 4);
        Self { limit, left: limit }
    }

    /// The weight that `array` holds for a slot of layer `layer`.
    pub(super) fn weight(
        &mut self,
        layer: &str,
        slot: &Slot,
        array: Option<Array<'_>>,
    ) -> Result<Weight, Problem> {
        let expected = || {
            slot.shape
                .as_deref()
                .map_or("any".to_owned(), shape::display)
        };
        let Some(array) = array else {
            return Err(Problem::MissingWeight {
                layer: layer.to_owned(),
                weight: slot.role.to_owned(),
                expected: expected(),
            });
        };
        let fits = slot.shape.as_ref().is_none_or(|shape| {
            shape.len() == array.shape.len()
                && (shape.iter().zip(&array.shape))
                    .all(|(e, &f)| e.is_none_or(|e| u64::try_from(e) == Ok(f)))
        });
        if !fits {
            return Err(Problem::WeightShape {
                layer: layer.to_owned(),
                weight: slot.role.to_owned(),
                found: display(&array.shape),
                expected: expected(),
            });
        }
        self.read(layer, slot.role, &array)
    }

    /// The weights of a layer of an unknown class: whatever floats the container has for it. Nobody can
    /// run the layer, so that other values do not matter.
    pub(super) fn all(
        &mut self,
        layer: &str,
        arrays: Vec<Array<'_>>,
    ) -> Result<Vec<Weight>, Problem> {
        let read = |array: &Array<'_>| match self.read(layer, &array.name, array) {
            Err(Problem::WeightType { .. }) => None,
            other => Some(other),
        };
        arrays.iter().filter_map(read).collect()
    }

    fn read(&mut self, layer: &str, role: &str, array: &Array<'_>) -> Result<Weight, Problem> {
        let shape: Option<Vec<usize>> = (array.shape.iter())
            .map(|&d| usize::try_from(d).ok())
            .collect();
        let len = (shape.as_ref())
            .and_then(|shape| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
        let (Some(shape), Some(len)) = (shape, len.filter(|&len| len <= self.left)) else {
            return Err(Problem::TooLarge {
                what: format!(
                    "the number of parameters, with weight \"{role}\" of shape {} of layer \"{layer}\",",
                    display(&array.shape)
                ),
                found: (array.shape.iter())
                    .fold(1u64, |n, &d| n.saturating_mul(d))
                    .saturating_add((self.limit - self.left) as u64),
                limit: self.limit as u64,
            });
        };
        self.left -= len;
        let values = (array.read)()?.map_err(|found| Problem::WeightType {
            layer: layer.to_owned(),
            weight: role.to_owned(),
            found,
        })?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let mut index = vec![0; shape.len()];
            let mut rest = at;
            for (i, &d) in index.iter_mut().zip(&shape).rev() {
                *i = rest % d;
                rest /= d;
            }
            return Err(Problem::NotFinite {
                layer: layer.to_owned(),
                weight: role.to_owned(),
                index,
                value: f64::from(values[at]),
            });
        }
        let found = values.len();
        let value = Tensor::new(shape, values).ok_or_else(|| Problem::WeightShape {
            layer: layer.to_owned(),
            weight: role.to_owned(),
            found: format!("({found})"),
            expected: display(&array.shape),
        })?;
        Ok(Weight {
            name: role.to_owned(),
            value,
        })
    }
}

fn display(shape: &[u64]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("({})", axes.join(", "))
}

/// The shape that each layer of a model is first applied to, if it is known.
pub(super) fn first_inputs(model: &Model) -> Vec<Option<Shape>> {
    let first = |layer: &Layer| {
        let tensor = layer.calls.first()?.inputs.first()?;
        model.shape_of(*tensor).cloned()
    };
    model.layers.iter().map(first).collect()
}

/// The weights that a layer applied to `input` has, in Keras's order. A model has none of its own,
/// nor has a wrapper.
///
/// # Errors
/// If the layer's configuration does not fit its input.
pub(super) fn slots(layer: &Layer, input: Option<&Shape>) -> Result<Vec<Slot>, Problem> {
    let Some(kind) = layer.config.kind() else {
        return Ok(Vec::new());
    };
    kind.slots(input).map_err(|reason| Problem::Layer {
        layer: layer.name.clone(),
        class: layer.class_name.clone(),
        reason,
    })
}
