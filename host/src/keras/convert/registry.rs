//! Which converter answers for which layer class.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::LayerCall;
use super::error::ConvertError;
use super::options::ConvertOptions;
use crate::keras::model::Layer;
use crate::network::Pre;

/// Turns the calls of one kind of Keras layer into Nengo objects.
///
/// Everything that the built-in layers do goes through this trait; a user's own layer class is
/// added to a [`Registry`] under its class name.
pub trait LayerConverter: Send + Sync {
    /// Whether the layer can be converted; if not, why, as a sentence without its full stop. The
    /// layer then becomes a `TensorNode`.
    ///
    /// # Errors
    /// The reason.
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let _ = (layer, options);
        Ok(())
    }

    /// Whether the layer has weights, so that using it twice would share them.
    fn has_weights(&self) -> bool {
        false
    }

    /// Whether a layer that is not convertible may become a `TensorNode`.
    fn allow_fallback(&self) -> bool {
        true
    }

    /// Adds the objects of one call; returns the object behind each of the call's outputs.
    ///
    /// # Errors
    /// Whatever makes the call inconvertible after all.
    fn convert(&self, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError>;
}

/// Converters by Keras class name.
#[derive(Clone)]
pub struct Registry {
    converters: BTreeMap<String, Arc<dyn LayerConverter>>,
}

impl Registry {
    /// The layers that NengoDL 3.6 converts.
    #[must_use]
    pub fn nengo_dl() -> Self {
        let mut registry = Self {
            converters: BTreeMap::new(),
        };
        super::layers::register_nengo_dl(&mut registry);
        registry
    }

    /// Adds or replaces the converter of a class; returns the one that it replaces.
    pub fn register(
        &mut self,
        class_name: &str,
        converter: Arc<dyn LayerConverter>,
    ) -> Option<Arc<dyn LayerConverter>> {
        self.converters.insert(class_name.to_owned(), converter)
    }

    /// The converter of a class: by its whole name, or by the name without its package.
    #[must_use]
    pub fn get(&self, class_name: &str) -> Option<&Arc<dyn LayerConverter>> {
        self.converters
            .get(class_name)
            .or_else(|| self.converters.get(type_name(class_name)))
    }
}

impl Default for Registry {
    /// What NengoDL converts, and every other layer that Nengo's objects can express.
    fn default() -> Self {
        let mut registry = Self::nengo_dl();
        super::layers::register_extended(&mut registry);
        registry
    }
}

/// A class's name without its package: `Lowpass` of `keras_spiking>Lowpass`.
pub(super) fn type_name(class_name: &str) -> &str {
    class_name.rsplit(['>', '.']).next().unwrap_or(class_name)
}
