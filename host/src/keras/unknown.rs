//! Reasons why a layer cannot be run, with the remedy.

use serde_json::Value;

use super::args::{Args, shorten};
use super::class::{Class, Origin};
use super::operators;

/// Classes of Keras that nothing here runs.
const OTHERS: &[&str] = &[
    "AutoContrast",
    "AveragePooling",
    "CategoryEncoding",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "Discretization",
    "EinsumDense",
    "Equalization",
    "GroupQueryAttention",
    "HashedCrossing",
    "Hashing",
    "IntegerLookup",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "MaxNumBoundingBoxes",
    "MelSpectrogram",
    "RNN",
    "RMSNormalization",
    "SpectralNormalization",
    "Solarization",
    "STFTSpectrogram",
    "StackedRNNCells",
    "StringLookup",
    "TextVectorization",
];

/// The reason for a layer of `class` with these arguments, as a sentence without its full stop.
pub(crate) fn reason(class: &Class, args: &Args<'_>) -> String {
    if let Some(function) = operators::function(class, args.map()) {
        return format!(
            "the function {function} with these arguments has no layer here; use a layer of Keras in its \
             place, such as Add, Rescaling, Activation, Concatenate or Reshape"
        );
    }
    if class.base == "Lambda" && class.origin == Origin::Keras {
        return "its Python code cannot be run here; replace it by layers that compute the same, such as \
                Rescaling(1/127.5, offset=-1) for x / 127.5 - 1, Reshape, Activation or ZeroPadding2D, or \
                leave it out and prepare the data before"
            .to_owned();
    }
    let functions = args
        .map()
        .iter()
        .filter(|(key, _)| key.ends_with("activation"));
    for (key, value) in functions {
        if let Ok(None) = args.activation(key, super::activation::Activation::Linear) {
            let name = match value {
                Value::String(name) => name.clone(),
                Value::Object(map) => match map.get("config") {
                    Some(Value::String(name)) => name.clone(),
                    _ => map
                        .get("class_name")
                        .map_or_else(|| shorten(value), shorten),
                },
                other => shorten(other),
            };
            return format!(
                "its {key} {name:?} is no function of Keras that is known here; train it again with one, \
                 such as relu"
            );
        }
    }
    let keras = class.origin == Origin::Keras;
    if keras && OTHERS.contains(&class.base.as_str()) {
        return "this class of Keras is not supported; replace it, or end the model before it"
            .to_owned();
    }
    if keras && super::model::LayerConfig::knows(class) {
        let set: Vec<&str> = [
            "return_state",
            "stateful",
            "time_major",
            "output_padding",
            "rms_scaling",
        ]
        .into_iter()
        .filter(|key| args.set(key))
        .collect();
        let which = match set[..] {
            [] => "its arguments are".to_owned(),
            _ => format!("its argument {} is", set.join(", ")),
        };
        return format!("{which} not supported for this class; build the model without it");
    }
    format!(
        "{} is no layer of Keras, but custom code, which cannot be run here; build the model of Keras's \
         own layers",
        class.shown
    )
}
