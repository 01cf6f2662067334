//! Turns a [`Model`] into a [`Network`] of Nengo's objects, as NengoDL 3.6's `Converter` does.
//!
//! Each call of a Keras layer becomes an object: an [`Ensemble`] where the layer's activation is a
//! neuron type, a passthrough [`Node`] where it is linear, a [`TensorNode`] where neither is
//! possible. Objects, their order, labels and connections are NengoDL's; `layer.<k>` is the k-th
//! use of a layer.
//!
//! NengoDL also gives up on layers that Nengo's objects could express. Here they have converters
//! too, so by default the network differs from NengoDL's in these layers alone:
//!
//! - Dropout, noise and ActivityRegularization layers are the identity and leave no object: a
//!   converted network is never trained here, so `inference_only` makes no difference to them.
//! - Depthwise, separable, transposed, dilated, grouped and causal convolution, `Dense` on more than one axis,
//!   `same` average pooling, PReLU, ReLU with a maximum, `relu6`, `leaky_relu`, Subtract, Permute,
//!   RepeatVector, Cropping, Rescaling, and `Flatten` of channels_first data.
//! - All unsupported arguments of a layer are named, not the first alone, and a layer of several
//!   inputs without a native form is an error that says so.
//!
//! [`ConvertOptions::nengo_dl_compat`] turns all of that off.
//!
//! [`Ensemble`]: crate::network::Ensemble
//! [`Node`]: crate::network::Node
//! [`TensorNode`]: crate::network::TensorNode

mod build;
mod call;
mod error;
mod layers;
mod options;
mod registry;
mod warning;

pub use call::{Connect, LayerCall, Object};
pub use error::ConvertError;
pub use options::{ActivationType, ConvertOptions, ScaleFiringRates};
pub use registry::{LayerConverter, Registry};
pub use warning::Warning;

use crate::keras::model::Model;
use crate::network::{Network, Pre};

/// A converted model.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Its network.
    pub network: Network,
    /// What the user should know, in the order in which it was noticed.
    pub warnings: Vec<Warning>,
    /// The object behind each output of each call of the model's own layers (not of a nested
    /// model's), in topological order. A layer that leaves no object has its input's.
    pub layers: Vec<LayerObject>,
}

/// The object that a layer has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerObject {
    /// The Keras layer.
    pub layer: String,
    /// Which use of it.
    pub call: usize,
    /// The object whose output is the layer's.
    pub object: Pre,
}

impl Conversion {
    /// The object of a layer; `None` if there is no such layer, or if it is used more than once
    /// (see [`Conversion::layers`]).
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<Pre> {
        let mut objects = self.layers.iter().filter(|object| object.layer == name);
        match (objects.next(), objects.next()) {
            (Some(object), None) => Some(object.object),
            _ => None,
        }
    }
}

/// Converts a model with the built-in converters: NengoDL's alone with
/// [`ConvertOptions::nengo_dl_compat`], else all of them.
///
/// # Errors
/// A layer, activation, shape or option for which there is no network; see [`ConvertError`].
pub fn convert(model: &Model, options: &ConvertOptions) -> Result<Conversion, ConvertError> {
    let registry = if options.nengo_dl_compat {
        Registry::nengo_dl()
    } else {
        Registry::default()
    };
    convert_with(model, options, &registry)
}

/// Converts a model with the converters of a registry.
///
/// # Errors
/// As [`convert`], and what the registry's own converters return.
pub fn convert_with(
    model: &Model,
    options: &ConvertOptions,
    registry: &Registry,
) -> Result<Conversion, ConvertError> {
    let mut build = build::Build::new(options, registry);
    build.check_scales(model)?;
    build.finish(model)
}
