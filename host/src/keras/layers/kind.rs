//! The trait that every layer class implements, in a file of its own.

use std::borrow::Cow;
use std::fmt;

use crate::advice::Advice;
use crate::keras::args::Args;
use crate::keras::class::Origin;
use crate::keras::convert::call::LayerCall;
use crate::keras::convert::error::ConvertError;
use crate::keras::convert::options::ConvertOptions;
use crate::keras::forward::error::Problem;
use crate::keras::penalty::HOST_ONLY;
use crate::keras::shape::Shape;
use crate::keras::weight::{LayerRef, Slot, Weights};
use crate::network::{Effect, Pre};
use crate::tensor::Tensor;

/// The first output, and the others if they are returned.
pub(super) fn with_others(
    (first, others): (Tensor, impl IntoIterator<Item = Tensor>),
    returned: bool,
) -> Vec<Tensor> {
    let others = others.into_iter().filter(|_| returned);
    [first].into_iter().chain(others).collect()
}

/// A layer class: its arguments, weights, shapes, forward pass and conversion.
///
/// Errors that are strings are reasons, without the layer's name: callers add it.
pub(crate) trait LayerKind: fmt::Debug {
    /// The Keras classes that it reads.
    fn names() -> &'static [&'static str]
    where
        Self: Sized;

    /// The owner of these classes.
    fn origin() -> Origin
    where
        Self: Sized,
    {
        Origin::Keras
    }

    /// Reads the arguments of a layer of class `name`; `None` if it has an argument that cannot be
    /// held: such a layer is listed, but nobody runs it wrongly.
    fn read(name: &str, args: &Args<'_>) -> Result<Option<Self>, String>
    where
        Self: Sized;

    /// The weights of the layer if it is applied to `input`, in Keras's order.
    fn slots(&self, input: Option<&Shape>) -> Result<Vec<Slot>, String> {
        let _ = input;
        Ok(Vec::new())
    }

    /// The group of a weight within the layer's own, in files of Keras 3, and its number there.
    fn place(&self, slot: usize) -> (Cow<'static, str>, usize) {
        ("vars".into(), slot)
    }

    /// `true` if files may hold more for it than its slots, such as the state of random numbers.
    fn ignores_weights(&self) -> bool {
        false
    }

    /// Counts axes from the start, given the rank of the input.
    fn number_axes(&mut self, rank: usize) {
        let _ = rank;
    }

    /// The shape of the first output.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The shapes of all outputs.
    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>, String> {
        Ok(vec![self.output(inputs)?])
    }

    /// The first output for a batch: tensors have the batch axis first.
    fn forward(&self, weights: Weights<'_>, inputs: &[Tensor]) -> Result<Tensor, Problem>;

    /// All outputs for a batch.
    fn forward_all(&self, weights: Weights<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Problem> {
        Ok(vec![self.forward(weights, inputs)?])
    }

    /// The part of it that matters to a device.
    fn effect(&self) -> Effect {
        Effect::Other
    }

    /// Advice on how to get a network without its `TensorNode`, and the remedy as data.
    fn advice(&self) -> (String, Option<Advice>) {
        (HOST_ONLY.to_owned(), None)
    }

    /// The ability of Nengo's objects to express it.
    fn native(&self) -> Native {
        Native::Never
    }

    /// Checks if this layer can be converted, with these arguments; if not, the reason, as a sentence
    /// without its full stop.
    fn convertible(&self, layer: LayerRef<'_>, options: &ConvertOptions) -> Result<(), String> {
        let _ = (layer, options);
        Ok(())
    }

    /// `true` if it hands on the mask of its input, which it does not use; `keras3` tells the version.
    fn hands_masks_on(&self, keras3: bool) -> bool {
        let _ = keras3;
        false
    }

    /// `true` if using it twice would share weights.
    fn has_weights(&self) -> bool {
        false
    }

    /// `true` if a layer that is not convertible may become a `TensorNode`.
    fn allow_fallback(&self) -> bool {
        true
    }

    /// Adds the objects of one call; returns the object behind its output.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
        Err(call.shape_error("it has no native form".to_owned()))
    }
}

/// Ability of Nengo's objects to express a layer class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// They cannot.
    Never,
    /// NengoDL converts it.
    NengoDl,
    /// They can, but NengoDL leaves it to a `TensorNode`.
    Extended,
}
