//! Turns a [`Model`] into a [`Network`] of Nengo's objects, as NengoDL 3.6's `Converter` does.
//!
//! Each call of a Keras layer becomes an object: an [`Ensemble`] if the layer's activation is a
//! neuron type, a passthrough [`Node`] if it is linear, a [`TensorNode`] if neither is
//! possible. Objects, their order, labels and connections are NengoDL's; `layer.<k>` is the k-th
//! use of a layer.
//!
//! NengoDL also gives up on layers that Nengo's objects could express. Here they have converters
//! too, so by default the network differs from NengoDL's in these layers alone:
//!
//! - Dropout, noise, random changes of images and ActivityRegularization layers are the identity and leave no
//!   object: a converted network is never trained here, so `inference_only` makes no difference to them.
//! - Depthwise, separable, transposed, dilated, grouped and causal convolution, `Dense` on more than one axis,
//!   `same` average pooling, PReLU, ReLU with a maximum, `relu6`, `leaky_relu`, Subtract, Permute,
//!   RepeatVector, Cropping, Rescaling, Normalization, Resizing, CenterCrop, means, slices, and `Flatten` of
//!   channels_first data. Functions such as `x + y` are the layers that compute the same.
//! - All unsupported arguments of a layer are named, not the first alone, and a layer of several
//!   inputs without a native form is a [`TensorNode`], too.
//!
//! [`ConvertOptions::nengo_dl_compat`] turns all of that off.
//!
//! [`Ensemble`]: crate::network::Ensemble
//! [`Node`]: crate::network::Node
//! [`TensorNode`]: crate::network::TensorNode

pub(crate) mod arguments;
pub(crate) mod call;
mod conversion;
pub(crate) mod error;
pub(crate) mod index;
mod objects;
pub(crate) mod options;
mod order;
mod registry;
mod walk;
pub(crate) mod warning;

pub use call::{Connect, LayerCall, Object};
pub use conversion::{Conversion, LayerObject};
pub use error::ConvertError;
pub use options::{ActivationType, ConvertOptions, ScaleFiringRates};
pub use registry::{LayerConverter, Registry};
pub use warning::Warning;

pub use crate::keras::weight::LayerRef;

use crate::keras::model::Model;

/// Converts a model.
///
/// # Errors
/// A layer, activation, shape or option for which there is no network; see [`ConvertError`].
pub fn convert(model: &Model, options: &ConvertOptions) -> Result<Conversion, ConvertError> {
    convert_with(model, options, &Registry::default())
}

/// Converts a model; the converters of a registry come before what layers do by themselves.
///
/// # Errors
/// As [`convert`], and what the registry's own converters return.
pub fn convert_with(
    model: &Model,
    options: &ConvertOptions,
    registry: &Registry,
) -> Result<Conversion, ConvertError> {
    let mut walk = walk::Walk::new(options, registry);
    walk.check_scales(model)?;
    walk.finish(model)
}
