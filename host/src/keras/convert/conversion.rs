//! A converted model.

use super::warning::Warning;
use crate::network::{Network, Pre};

/// A converted model.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Its network.
    pub network: Network,
    /// Things that the user should know, in the order in which they were noticed.
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
    /// The number of its use.
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
