//! The weights of Keras's HDF5 format (`.h5`): each layer of the model has a group of its name, with
//! a list of its arrays in Keras's order. The arrays of a model that is used as a layer, or of a
//! wrapper, are in one list: all that training changes, then all others.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Problem;
use super::graph::Parsed;
use super::hdf5::Hdf5;
use super::weights::{Array, Assignment, first_inputs, slots};
use super::{cudnn, keras1};
use crate::keras::dialect::Dialect;
use crate::keras::model::{Layer, LayerConfig, Model, Weight};
use crate::keras::shape::Shape;
use crate::keras::weight::Slot;

/// The group of the weights: `model_weights` in a file with the whole model, else the root.
pub(super) fn root(file: &Hdf5) -> Result<Option<&'static str>, Problem> {
    for root in ["model_weights", "/"] {
        if file.texts(root, "layer_names")?.is_some() {
            return Ok(Some(root));
        }
    }
    Ok(None)
}

/// One layer with its own weights, somewhere in a layer of the model.
struct Leaf<'m> {
    name: String,
    slots: Vec<Slot>,
    trainable: bool,
    unknown: bool,
    config: &'m LayerConfig,
    weights: &'m mut Vec<Weight>,
}

/// Reads the weights of all layers of a model.
pub(super) fn fill(
    file: &Hdf5,
    root: &str,
    parsed: &mut Parsed,
    assignment: &mut Assignment,
) -> Result<(), Problem> {
    let Parsed { model, dialect } = parsed;
    let mut renamed = renamed(file, root, model)?;
    let inputs = first_inputs(model);
    for (layer, input) in model.layers.iter_mut().zip(inputs) {
        let name = layer.name.clone();
        let mut leaves = Vec::new();
        collect(layer, input.as_ref(), true, &mut leaves)?;
        let group = renamed.remove(&name).unwrap_or_else(|| name.clone());
        let arrays = arrays(file, &join(root, &group))?;
        if let [leaf] = &mut leaves[..]
            && leaf.unknown
        {
            *leaf.weights = assignment.all(&leaf.name, arrays)?;
            continue;
        }
        let expected = |apart| {
            let arrays_of =
                |leaf: &Leaf<'_>| keras1::arrays_of(leaf.config, leaf.slots.len(), apart);
            leaves.iter().map(arrays_of).sum::<usize>()
        };
        let apart = arrays.len() == expected(true);
        let expected = expected(apart);
        let ignored = |leaf: &Leaf<'_>| {
            leaf.config
                .kind()
                .is_some_and(|kind| kind.ignores_weights())
        };
        if arrays.len() > expected && !leaves.iter().any(ignored) {
            if let Some(leaf) = leaves.iter().find(|leaf| leaf.unknown) {
                return Err(Problem::model(format!(
                    "layer \"{name}\" holds layer \"{}\" of an unknown class, so its weights cannot \
                     be told apart; save the model in the .keras format",
                    leaf.name
                )));
            }
            return Err(Problem::ExtraWeights {
                layer: name,
                found: arrays.len(),
                expected,
            });
        }
        distribute(leaves, arrays, apart, *dialect, assignment)?;
    }
    Ok(())
}

fn join(root: &str, group: &str) -> String {
    format!("{}/{group}", root.trim_end_matches('/'))
}

/// The groups of the layers that the file has under other names. Keras numbers the layers of a
/// session, so the same model built again has other names: then, as in Keras, those with weights
/// correspond in their order.
fn renamed(
    file: &Hdf5,
    root: &str,
    model: &mut Model,
) -> Result<BTreeMap<String, String>, Problem> {
    let names = file.texts(root, "layer_names")?.unwrap_or_default();
    let inputs = first_inputs(model);
    let mut ours = Vec::new();
    for (layer, input) in model.layers.iter_mut().zip(inputs) {
        let name = layer.name.clone();
        let mut leaves = Vec::new();
        collect(layer, input.as_ref(), true, &mut leaves)?;
        if leaves.iter().any(|leaf| leaf.unknown) {
            return Ok(BTreeMap::new());
        }
        if leaves.iter().any(|leaf| !leaf.slots.is_empty()) {
            ours.push(name);
        }
    }
    let known: BTreeSet<&String> = names.iter().collect();
    if ours.iter().all(|name| known.contains(name)) {
        return Ok(BTreeMap::new());
    }
    let mut theirs = Vec::new();
    for name in names {
        let weights = file.texts(&join(root, &name), "weight_names")?;
        if weights.is_some_and(|w| !w.is_empty()) {
            theirs.push(name);
        }
    }
    if ours.len() != theirs.len() {
        return Ok(BTreeMap::new());
    }
    Ok(ours.into_iter().zip(theirs).collect())
}

/// Gives the arrays to the layers: first those that training changes, in the layers' order.
fn distribute(
    mut leaves: Vec<Leaf<'_>>,
    arrays: Vec<Array<'_>>,
    apart: bool,
    dialect: Dialect,
    assignment: &mut Assignment,
) -> Result<(), Problem> {
    let mut arrays = arrays.into_iter();
    let mut found: Vec<Vec<Option<Weight>>> = (leaves.iter())
        .map(|leaf| vec![None; leaf.slots.len()])
        .collect();
    for trainable in [true, false] {
        for (leaf, found) in leaves.iter().zip(&mut found) {
            let due = |slot: &Slot| (slot.trainable && leaf.trainable) == trainable;
            let count = leaf.slots.iter().filter(|slot| due(slot)).count();
            let own = (arrays.by_ref())
                .take(keras1::arrays_of(leaf.config, count, apart))
                .collect();
            let own = keras1::converted(leaf.config, count, dialect, own);
            let mut own = cudnn::converted(leaf.config, own).into_iter();
            for (slot, found) in leaf.slots.iter().zip(found) {
                if due(slot) {
                    *found = Some(assignment.weight(&leaf.name, slot, own.next())?);
                }
            }
        }
    }
    for (leaf, found) in leaves.iter_mut().zip(found) {
        leaf.weights.extend(found.into_iter().flatten());
    }
    Ok(())
}

/// The layers with own weights in a layer, in Keras's order.
fn collect<'m>(
    layer: &'m mut Layer,
    input: Option<&Shape>,
    trainable: bool,
    leaves: &mut Vec<Leaf<'m>>,
) -> Result<(), Problem> {
    let slots = slots(layer, input)?;
    let trainable = trainable && layer.trainable;
    match &mut layer.config {
        LayerConfig::Model(model) => {
            let inputs = first_inputs(model);
            for (layer, input) in model.layers.iter_mut().zip(inputs) {
                collect(layer, input.as_ref(), trainable, leaves)?;
            }
        }
        LayerConfig::TimeDistributed { layer } => {
            let input = input.map(|i| i.iter().copied().skip(1).collect());
            collect(layer, input.as_ref(), trainable, leaves)?;
        }
        config => leaves.push(Leaf {
            name: layer.name.clone(),
            slots,
            trainable,
            unknown: matches!(config, LayerConfig::Unknown { .. }),
            config,
            weights: &mut layer.weights,
        }),
    }
    Ok(())
}

/// The arrays of the group of one layer, in Keras's order.
fn arrays<'a>(file: &'a Hdf5, group: &str) -> Result<Vec<Array<'a>>, Problem> {
    let names = file.texts(group, "weight_names")?.unwrap_or_default();
    let mut arrays = Vec::with_capacity(names.len());
    for name in names {
        let path = format!("{group}/{name}");
        let Some(shape) = file.shape(&path)? else {
            return Err(Problem::Hdf5 {
                object: path,
                reason: "the weight is listed, but is not there".to_owned(),
            });
        };
        let last = name.rsplit('/').next().unwrap_or_default();
        arrays.push(Array {
            name: last.split(':').next().unwrap_or_default().to_owned(),
            shape,
            read: Box::new(move || file.read(&path)),
        });
    }
    Ok(arrays)
}
