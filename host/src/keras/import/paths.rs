//! The weights of Keras's own format (`.keras`, `.weights.h5`): an HDF5 file in which each layer has
//! a group, and its variables are numbered.
//!
//! The group of a layer is not named after the layer, but after its class in snake case, with a
//! number from the second one on: `layers/conv2d_1/vars/0`. Keras 2.12 keeps the layers in
//! `_layer_checkpoint_dependencies` and counts a layer with weights twice.

use std::collections::BTreeMap;

use super::error::Problem;
use super::hdf5::Hdf5;
use super::weights::{Array, Assignment, first_inputs, slots};
use crate::keras::class::FUNCTIONS;
use crate::keras::model::{Layer, LayerConfig, Model};
use crate::keras::shape::Shape;

/// The group of the layers as Keras 3 writes it.
const LAYERS: &str = "layers";
/// The group of the layers as Keras 2 writes it.
const DEPENDENCIES: &str = "_layer_checkpoint_dependencies";
/// Greatest depth of the groups of a layer of an unknown class.
const MAX_DEPTH: usize = 16;
/// The most groups and arrays of a layer of an unknown class. Groups may hold each other.
const MAX_OBJECTS: usize = 4096;

/// `true` if the file is of this format.
pub(super) fn is(file: &Hdf5) -> Result<bool, Problem> {
    Ok(file.has_group(LAYERS)? || file.has_group(DEPENDENCIES)?)
}

/// Reads the weights of all layers of a model whose group is `place` (empty, or ending in `/`).
pub(super) fn fill(
    file: &Hdf5,
    model: &mut Model,
    place: &str,
    assignment: &mut Assignment,
) -> Result<(), Problem> {
    let twice = !file.has_group(&format!("{place}{LAYERS}"))?;
    let root = if twice { DEPENDENCIES } else { LAYERS };
    let inputs = first_inputs(model);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (layer, input) in model.layers.iter_mut().zip(inputs) {
        // Functions are listed among the layers, but have no group.
        if layer.class_name.starts_with(FUNCTIONS) {
            continue;
        }
        let base = layer.class_name.rsplit('.').next().unwrap_or_default();
        let class = snake_case(base);
        let count = counts.entry(class.clone()).or_default();
        let group = match *count {
            0 => format!("{place}{root}/{class}"),
            k => format!("{place}{root}/{class}_{k}"),
        };
        *count += 1;
        fill_layer(file, layer, input, &group, assignment)?;
        if twice && has_weights(layer) {
            *counts.entry(class).or_default() += 1;
        }
    }
    Ok(())
}

fn has_weights(layer: &Layer) -> bool {
    match &layer.config {
        LayerConfig::Model(model) => model.layers.iter().any(has_weights),
        LayerConfig::TimeDistributed { layer } => has_weights(layer),
        _ => !layer.weights.is_empty(),
    }
}

fn fill_layer(
    file: &Hdf5,
    layer: &mut Layer,
    input: Option<Shape>,
    group: &str,
    assignment: &mut Assignment,
) -> Result<(), Problem> {
    let slots = slots(layer, input.as_ref())?;
    let ignored = (layer.config.kind()).is_some_and(|kind| kind.ignores_weights());
    match &mut layer.config {
        LayerConfig::Model(model) => return fill(file, model, &format!("{group}/"), assignment),
        LayerConfig::TimeDistributed { layer } => {
            let input = input.map(|i| i.into_iter().skip(1).collect());
            return fill_layer(file, layer, input, &format!("{group}/layer"), assignment);
        }
        LayerConfig::Unknown { .. } => {
            let mut found = Found::default();
            found.collect(file, group, "", 0)?;
            layer.weights = assignment.all(&layer.name, found.arrays)?;
            return Ok(());
        }
        _ => {}
    }
    let kind = layer.config.kind();
    let place = |slot: usize| kind.map_or(("vars".into(), slot), |kind| kind.place(slot));
    let (last, more) = match slots.len() {
        0 => place(0),
        n => {
            let (last, number) = place(n - 1);
            (last, number + 1)
        }
    };
    // Keras 2 keeps the underscore of some attributes that hold layers.
    let places: Vec<[String; 2]> = (0..slots.len())
        .map(|slot| {
            let (vars, number) = place(slot);
            ["", "_"].map(|before| format!("{group}/{before}{vars}/{number}"))
        })
        .collect();
    for (slot, [place, older]) in slots.iter().zip(&places) {
        let array = match array(file, place, "")? {
            None => array(file, older, "")?,
            found => found,
        };
        let weight = assignment.weight(&layer.name, slot, array)?;
        layer.weights.push(weight);
    }
    let vars = format!("{group}/{last}");
    if !slots.is_empty() && !ignored && file.shape(&format!("{vars}/{more}"))?.is_some() {
        return Err(Problem::ExtraWeights {
            layer: layer.name.clone(),
            found: file.members(&vars)?.1.len(),
            expected: slots.len(),
        });
    }
    Ok(())
}

fn array<'a>(file: &'a Hdf5, path: &str, name: &str) -> Result<Option<Array<'a>>, Problem> {
    let path = path.to_owned();
    Ok(file.shape(&path)?.map(|shape| Array {
        name: name.to_owned(),
        shape,
        read: Box::new(move || file.read(&path)),
    }))
}

/// Weights of a layer of an unknown class.
#[derive(Default)]
struct Found<'a> {
    arrays: Vec<Array<'a>>,
    objects: usize,
}

impl<'a> Found<'a> {
    /// Adds all arrays below a group, named by their paths without the `vars`.
    fn collect(
        &mut self,
        file: &'a Hdf5,
        group: &str,
        name: &str,
        depth: usize,
    ) -> Result<(), Problem> {
        let (groups, datasets) = file.members(group)?;
        self.objects += groups.len() + datasets.len();
        if depth > MAX_DEPTH || self.objects > MAX_OBJECTS {
            return Err(Problem::Hdf5 {
                object: group.to_owned(),
                reason: format!(
                    "one layer has more than {MAX_OBJECTS} objects or {MAX_DEPTH} levels of groups"
                ),
            });
        }
        let join = |part: &str| match name {
            "" => part.to_owned(),
            _ => format!("{name}/{part}"),
        };
        for dataset in datasets {
            let array = array(file, &format!("{group}/{dataset}"), &join(&dataset))?;
            self.arrays.extend(array);
        }
        for child in groups {
            let inner = match child.as_str() {
                "vars" => name.to_owned(),
                _ => join(&child),
            };
            self.collect(file, &format!("{group}/{child}"), &inner, depth + 1)?;
        }
        Ok(())
    }
}

/// Keras's `to_snake_case`: `LeakyReLU` becomes `leaky_re_lu`, `Conv2DTranspose` `conv2d_transpose`.
pub(super) fn snake_case(class: &str) -> String {
    let chars: Vec<char> = (class.chars())
        .filter(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    // Where the first of Keras's two expressions, `(.)([A-Z][a-z]+)`, puts an underscore. Its
    // matches do not overlap, so a match must not start with a letter that the one before used up.
    let mut marked = Vec::new();
    let mut free = 0;
    for (i, &c) in chars.iter().enumerate() {
        let starts = c.is_ascii_uppercase()
            && chars.get(i + 1).is_some_and(char::is_ascii_lowercase)
            && i > free;
        if starts {
            marked.push('_');
            free = i + 1;
            while chars.get(free).is_some_and(char::is_ascii_lowercase) {
                free += 1;
            }
        }
        marked.push(c);
    }
    // The second: `([a-z])([A-Z])`.
    let mut out = String::new();
    let mut previous = None;
    for c in marked {
        if c.is_ascii_uppercase() && previous.is_some_and(|p: char| p.is_ascii_lowercase()) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
        previous = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn snake_case_is_that_of_keras() {
        for (class, expected) in [
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("LeakyReLU", "leaky_re_lu"),
            ("PReLU", "p_re_lu"),
            ("ELU", "elu"),
            ("SimpleRNN", "simple_rnn"),
            ("GlobalAveragePooling3D", "global_average_pooling3d"),
            ("BatchNormalization", "batch_normalization"),
            ("MyABCLayer2x", "my_abc_layer2x"),
            ("HTTPServer", "http_server"),
            ("A", "a"),
            ("Conv_2D", "conv_2d"),
            ("XYz", "x_yz"),
            ("AbCdEf", "ab_cd_ef"),
            ("STFTSpectrogram", "stft_spectrogram"),
            ("aBCd", "a_b_cd"),
            ("Élan Vital", "élan_vital"),
        ] {
            assert_eq!(snake_case(class), expected);
        }
    }
}
