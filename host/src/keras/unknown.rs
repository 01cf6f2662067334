//! Reasons why a layer cannot be run, with the remedy.

use serde_json::Value;

use super::args::{Args, object, shorten};
use super::class::{Class, Origin};
use super::operators;

/// Classes of Keras that turn texts and the like into numbers.
const TEXTS: &[&str] = &[
    "HashedCrossing",
    "Hashing",
    "IntegerLookup",
    "StringLookup",
    "TextVectorization",
];

/// Classes of Keras that turn sounds into pictures.
const SOUNDS: &[&str] = &["MelSpectrogram", "STFTSpectrogram"];

/// Classes of Keras that nothing here runs.
const OTHERS: &[&str] = &[
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AutoContrast",
    "AveragePooling",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "FlaxLayer",
    "GroupQueryAttention",
    "JaxLayer",
    "MaxNumBoundingBoxes",
    "ReversibleEmbedding",
    "SpectralNormalization",
    "Solarization",
    "TFSMLayer",
    "TorchModuleWrapper",
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
            // Layers with arguments that the function of this name does not have.
            if let Some((layer, _)) = object(Some(value))
                && layer.origin == Origin::Keras
                && super::model::LayerConfig::knows(&layer)
            {
                return format!(
                    "its {key} is a layer, {}, with arguments that the function does not have; put this layer \
                     behind it instead",
                    layer.shown
                );
            }
            let name = match value {
                Value::String(name) => name.clone(),
                Value::Object(map) => match map.get("config") {
                    Some(Value::String(name)) => name.clone(),
                    _ => (map.get("class_name").and_then(Value::as_str))
                        .map_or_else(|| shorten(value), str::to_owned),
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
    if keras && TEXTS.contains(&class.base.as_str()) {
        return "it works on texts or looks values up in a vocabulary, which only Python can do; leave it out, \
                and give the model the indices that it returns"
            .to_owned();
    }
    if keras && SOUNDS.contains(&class.base.as_str()) {
        return "spectrograms are not computed here; leave it out, and give the model the spectrogram".to_owned();
    }
    if keras && OTHERS.contains(&class.base.as_str()) {
        return "this class of Keras is not supported; replace it, or end the model before it"
            .to_owned();
    }
    if keras && super::model::LayerConfig::knows(class) {
        if class.base == "Discretization" {
            return "the file does not state its bin_boundaries, which adapt() found; give them to the layer, and \
                    save it again"
                .to_owned();
        }
        if class.base == "RNN" || class.base == "Bidirectional" {
            return "its cells or layers are not GRU's, LSTM's or SimpleRNN's, or have activations of their own, \
                    which cannot be run here; use these"
                .to_owned();
        }
        let set: Vec<&str> = [
            "stateful",
            "time_major",
            "sparse",
            "rms_scaling",
            "attention_mask",
            "interpolation",
            "antialias",
            "pad_to_aspect_ratio",
            "attention_axes",
            "output_shape",
        ]
        .into_iter()
        .filter(|key| args.set(key))
        .collect();
        let which = match set[..] {
            [] if args.get("axis").is_some_and(Value::is_array) => {
                "more than one axis is".to_owned()
            }
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
