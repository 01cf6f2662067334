//! The class of an object in a model's JSON configuration.

use serde_json::{Map, Value};

/// Owner of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A layer of Keras.
    Keras,
    /// A layer of keras_spiking.
    KerasSpiking,
    /// Any other.
    Other,
}

/// The class of an object in the configuration.
#[derive(Debug)]
pub(crate) struct Class {
    /// The class itself, without a package.
    pub(crate) base: String,
    /// The class as it is shown: with its package if it is not Keras's own.
    pub(crate) shown: String,
    /// The owner of the class.
    pub(crate) origin: Origin,
}

/// The class of an object `{"class_name": ..., "module": ..., "registered_name": ...}`; `None` if it
/// has no name.
pub(crate) fn class_of(entry: &Map<String, Value>) -> Option<Class> {
    let text = |key| entry.get(key).and_then(Value::as_str);
    let name = text("class_name")?;
    let registered = text("registered_name").filter(|n| n.contains('>'));
    let (package, base) = match registered.unwrap_or(name).rsplit_once('>') {
        Some((package, base)) => (Some(package), base),
        None => (text("module"), name),
    };
    let origin = match package {
        None if is_function(entry) => Origin::Other,
        None if ["SpikingActivation", "Lowpass", "Alpha"].contains(&base) => Origin::KerasSpiking,
        None => Origin::Keras,
        Some(p) if is_keras(p) => Origin::Keras,
        Some(p)
            if p.to_lowercase()
                .replace(['-', '_'], "")
                .starts_with("kerasspiking") =>
        {
            Origin::KerasSpiking
        }
        Some(_) => Origin::Other,
    };
    let shown = match (origin, package) {
        (Origin::Keras, _) => base.to_owned(),
        (Origin::KerasSpiking, _) => format!("keras_spiking.{base}"),
        (Origin::Other, None) => format!("{FUNCTIONS}.{base}"),
        (Origin::Other, Some(p)) if FUNCTION_MODULES.iter().any(|m| p.starts_with(m)) => {
            format!("{FUNCTIONS}.{base}")
        }
        (Origin::Other, Some(package)) => format!("{package}.{base}"),
    };
    Some(Class {
        base: base.to_owned(),
        shown,
        origin,
    })
}

/// The module of Keras 3's functions, which may stand among the layers: `x + y` is one.
pub(crate) const FUNCTIONS: &str = "keras.ops";

/// The modules that its files name.
const FUNCTION_MODULES: [&str; 2] = ["keras.src.ops", "keras.src.activations"];

/// Keras 3's functions have no `trainable` and no `dtype`; its HDF5 files do not tell the module.
fn is_function(entry: &Map<String, Value>) -> bool {
    let keras3 = (entry.get("inbound_nodes"))
        .and_then(|nodes| nodes.get(0))
        .is_some_and(|node| node.get("args").is_some());
    let config = entry.get("config").and_then(Value::as_object);
    keras3
        && config.is_some_and(|c| {
            ["trainable", "dtype", "layers"]
                .iter()
                .all(|k| !c.contains_key(*k))
        })
}

/// `true` if a module holds Keras's layers and models, those of its applications among them. Those of `keras.src.ops` are functions.
fn is_keras(module: &str) -> bool {
    let inner = module
        .strip_prefix("tensorflow.python.")
        .or_else(|| module.strip_prefix("tensorflow."))
        .unwrap_or(module);
    let Some(inner) = inner
        .strip_prefix("tf_keras")
        .or_else(|| inner.strip_prefix("keras"))
    else {
        return false;
    };
    let inner = inner.strip_prefix(".src").unwrap_or(inner);
    inner.is_empty()
        || ["layers", "models", "engine", "applications"]
            .iter()
            .any(|part| {
                inner
                    .strip_prefix('.')
                    .and_then(|i| i.strip_prefix(part))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
}

/// A class's name without its package: `Lowpass` of `keras_spiking>Lowpass`.
pub(crate) fn type_name(class_name: &str) -> &str {
    class_name.rsplit(['>', '.']).next().unwrap_or(class_name)
}
