//! Custom converters for layer classes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::LayerCall;
use super::error::ConvertError;
use super::options::ConvertOptions;
use crate::keras::class::type_name;
use crate::keras::model::Layer;
use crate::network::Pre;

/// Turns the calls of one class of Keras layers, such as a custom one, into Nengo objects.
///
/// It is added to a [`Registry`] under the layer's class name, and comes before what the class does by
/// itself.
pub trait LayerConverter: Send + Sync {
    /// Checks if the layer can be converted; if not, why, as a sentence without its full stop. The
    /// layer then becomes a `TensorNode`.
    ///
    /// # Errors
    /// The reason.
    fn convertible(&self, layer: &Layer, options: &ConvertOptions) -> Result<(), String> {
        let _ = (layer, options);
        Ok(())
    }

    /// `true` if the layer has weights, so that using it twice would share them.
    fn has_weights(&self) -> bool {
        false
    }

    /// `true` if a layer that is not convertible may become a `TensorNode`.
    fn allow_fallback(&self) -> bool {
        true
    }

    /// Adds the objects of one call; returns the object behind each of the call's outputs.
    ///
    /// # Errors
    /// Whatever makes the call inconvertible after all.
    fn convert(
        &self,
        layer: &Layer,
        call: &mut LayerCall<'_, '_>,
    ) -> Result<Vec<Pre>, ConvertError>;
}

/// Custom converters by Keras class name.
#[derive(Clone, Default)]
pub struct Registry {
    converters: BTreeMap<String, Arc<dyn LayerConverter>>,
}

impl Registry {
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
