//! The weights of one layer.

use crate::keras::forward::error::Problem;
use crate::keras::shape::Shape;
use crate::tensor::Tensor;

/// A named weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its role: `kernel`, `bias`, `gamma` ..., without the layer's name.
    pub name: String,
    /// Its values.
    pub value: Tensor,
}

/// A weight that a layer has by its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// `kernel`, `bias` ...
    pub(crate) role: &'static str,
    /// Its shape, with `None` for an axis that the configuration does not tell; `None` if it does not
    /// even tell the rank.
    pub(crate) shape: Option<Shape>,
    /// `true` if training changes it, if the layer is trainable.
    pub(crate) trainable: bool,
}

impl Slot {
    /// A weight that training changes.
    pub(crate) fn new(role: &'static str, shape: Shape) -> Self {
        Self {
            role,
            shape: Some(shape),
            trainable: true,
        }
    }

    /// A kernel, and the bias of `units` that may follow it.
    pub(crate) fn kernel_and_bias(kernel: Shape, use_bias: bool, units: Shape) -> Vec<Self> {
        let mut slots = vec![Self::new("kernel", kernel)];
        if use_bias {
            slots.push(Self::new("bias", units));
        }
        slots
    }
}

/// The product of a number of channels, if it is known, and `b`.
///
/// # Errors
/// If it is out of range.
pub(crate) fn channels_times(a: Option<usize>, b: usize) -> Result<Option<usize>, String> {
    a.map(|a| {
        a.checked_mul(b)
            .ok_or_else(|| format!("{a} * {b} channels are out of range"))
    })
    .transpose()
}

/// A layer's weights by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a>(pub(crate) &'a [Weight]);

impl<'a> Weights<'a> {
    pub(crate) fn find(self, name: &str) -> Option<&'a Tensor> {
        self.0.iter().find(|w| w.name == name).map(|w| &w.value)
    }

    pub(crate) fn get(self, name: &'static str) -> Result<&'a Tensor, Problem> {
        self.find(name).ok_or(Problem::Weight(name))
    }

    pub(crate) fn bias(self, used: bool) -> Result<Option<&'a Tensor>, Problem> {
        used.then(|| self.get("bias")).transpose()
    }
}

/// A layer without what its class does: its name and its weights.
#[derive(Clone, Copy, Debug)]
pub struct LayerRef<'m> {
    /// The layer's name.
    pub name: &'m str,
    /// Its Keras class.
    pub class_name: &'m str,
    /// `true` if Keras would train it.
    pub trainable: bool,
    /// Its weights in Keras's order.
    pub weights: &'m [Weight],
}

impl<'m> LayerRef<'m> {
    /// The weight with this role.
    #[must_use]
    pub fn weight(&self, name: &str) -> Option<&'m Tensor> {
        Weights(self.weights).find(name)
    }
}
