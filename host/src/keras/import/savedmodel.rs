//! SavedModels that Keras 2 has written: `keras_metadata.pb` has the model's configuration (until
//! TensorFlow 2.4 `saved_model.pb` has it), and the checkpoint has the weights, with a graph of objects
//! that tells which layer a tensor belongs to.

use prost::Message;
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::error::Problem;
use super::graph;
use super::weights::{Array, Assignment, first_inputs, slots};
use crate::keras::dialect::Written;
use crate::keras::model::{Layer, LayerConfig, Model};
use crate::keras::shape::Shape;

/// The file with the configuration.
pub(super) const METADATA: &str = "keras_metadata.pb";
/// The file that makes a directory a SavedModel.
pub(super) const GRAPH: &str = "saved_model.pb";
/// The key of the graph of objects in the checkpoint.
const OBJECTS: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";
/// The most bytes of either description: real ones take some kilobytes for each layer.
const MAX_DESCRIPTION_BYTES: usize = 16 << 20;
/// The most bytes of a description that has the model's functions, too.
const MAX_GRAPH_BYTES: usize = 256 << 20;
/// Reason why a SavedModel has no description of the layers.
const EXPORTED: &str = "it describes no layers, as in a SavedModel that was exported to run, or that \
     another program than Keras wrote";

/// `third_party.tensorflow.python.keras.protobuf.SavedMetadata`.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<MetadataNode>,
}

/// `SavedObject` of the same.
#[derive(Clone, PartialEq, Message)]
struct MetadataNode {
    #[prost(string, tag = "3")]
    path: String,
    #[prost(string, tag = "5")]
    metadata: String,
}

/// `tensorflow.TrackableObjectGraph`.
#[derive(Clone, PartialEq, Message)]
struct Objects {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Object>,
}

/// `TrackableObjectGraph.TrackableObject`.
#[derive(Clone, PartialEq, Message)]
struct Object {
    #[prost(message, repeated, tag = "1")]
    children: Vec<Child>,
    #[prost(message, repeated, tag = "2")]
    attributes: Vec<Attribute>,
}

/// `ObjectReference`.
#[derive(Clone, PartialEq, Message)]
struct Child {
    #[prost(int32, tag = "1")]
    node: i32,
    #[prost(string, tag = "2")]
    name: String,
}

/// `SerializedTensor`.
#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    full_name: String,
    #[prost(string, tag = "3")]
    key: String,
}

/// `tensorflow.SavedModel`, of which only the descriptions of objects matter.
#[derive(Clone, PartialEq, Message)]
struct SavedModel {
    #[prost(message, repeated, tag = "2")]
    meta_graphs: Vec<MetaGraph>,
}

/// `MetaGraphDef`.
#[derive(Clone, PartialEq, Message)]
struct MetaGraph {
    #[prost(message, optional, tag = "7")]
    objects: Option<SavedObjects>,
}

/// `SavedObjectGraph`.
#[derive(Clone, PartialEq, Message)]
struct SavedObjects {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<SavedObject>,
}

/// `SavedObject`.
#[derive(Clone, PartialEq, Message)]
struct SavedObject {
    #[prost(message, optional, tag = "4")]
    user: Option<UserObject>,
}

/// `SavedUserObject`.
#[derive(Clone, PartialEq, Message)]
struct UserObject {
    #[prost(string, tag = "3")]
    metadata: String,
}

fn refuse(part: &str, reason: impl Into<String>) -> Problem {
    Problem::SavedModel {
        part: part.to_owned(),
        reason: reason.into(),
    }
}

fn decode<M: Message + Default>(part: &str, bytes: &[u8], limit: usize) -> Result<M, Problem> {
    if bytes.len() > limit {
        return Err(Problem::TooLarge {
            what: format!("the length of {part} in bytes"),
            found: bytes.len() as u64,
            limit: limit as u64,
        });
    }
    M::decode(bytes).map_err(|e| refuse(part, e.to_string()))
}

/// Reads a SavedModel; `part` reads one of its files, if it is there.
pub(super) fn load(
    part: impl Fn(&str) -> Result<Option<Vec<u8>>, Problem>,
) -> Result<Model, Problem> {
    let needed = |name: &str| part(name)?.ok_or_else(|| refuse(name, "it is missing"));
    let config = match part(METADATA)? {
        Some(metadata) => {
            let metadata: Metadata = decode(METADATA, &metadata, MAX_DESCRIPTION_BYTES)?;
            let root = metadata.nodes.into_iter().find(|node| node.path == "root");
            let root = root.ok_or_else(|| refuse(METADATA, "it does not describe a model"))?;
            root.metadata
        }
        None => {
            let whole: SavedModel = decode(GRAPH, &needed(GRAPH)?, MAX_GRAPH_BYTES)?;
            let graph = whole.meta_graphs.into_iter().next();
            let root = graph.and_then(|g| g.objects?.nodes.into_iter().next()?.user);
            let root = root.filter(|user| user.metadata.starts_with('{'));
            root.ok_or_else(|| refuse(GRAPH, EXPORTED))?.metadata
        }
    };
    let value: Value = serde_json::from_str(&config).map_err(Problem::Json)?;
    let mut model = graph::parse_value(value, Written::default())?.model;
    let checkpoint = Checkpoint::open(needed)?;
    let objects = checkpoint
        .string(OBJECTS)?
        .ok_or_else(|| refuse(OBJECTS, "it is not in the checkpoint"))?;
    let objects: Objects = decode(OBJECTS, objects, MAX_DESCRIPTION_BYTES)?;
    let Some(root) = objects.nodes.first() else {
        return Err(refuse(OBJECTS, "it is empty"));
    };
    let reader = Reader {
        checkpoint: &checkpoint,
        objects: &objects,
    };
    reader.fill(&mut model, root, &mut Assignment::new(checkpoint.len()))?;
    Ok(model)
}

struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    objects: &'a Objects,
}

impl<'a> Reader<'a> {
    fn child(&self, object: &'a Object, name: &str) -> Option<&'a Object> {
        let child = object.children.iter().find(|c| c.name == name)?;
        self.objects.nodes.get(usize::try_from(child.node).ok()?)
    }

    fn fill(
        &self,
        model: &mut Model,
        object: &'a Object,
        assignment: &mut Assignment,
    ) -> Result<(), Problem> {
        let inputs = first_inputs(model);
        let sequential = model.sequential;
        let mut index = 0;
        for (layer, input) in model.layers.iter_mut().zip(inputs) {
            // Keras does not count a sequential model's input layer.
            if sequential && matches!(layer.config, LayerConfig::Input(_)) {
                continue;
            }
            let child = self.child(object, &format!("layer-{index}"));
            self.fill_layer(layer, input, child, assignment)?;
            index += 1;
        }
        Ok(())
    }

    fn fill_layer(
        &self,
        layer: &mut Layer,
        input: Option<Shape>,
        object: Option<&'a Object>,
        assignment: &mut Assignment,
    ) -> Result<(), Problem> {
        let slots = slots(layer, input.as_ref())?;
        let ignored = (layer.config.kind()).is_some_and(|kind| kind.ignores_weights());
        let missing = || refuse(OBJECTS, format!("layer \"{}\" is not in it", layer.name));
        match &mut layer.config {
            LayerConfig::Model(model) => {
                return self.fill(model, object.ok_or_else(missing)?, assignment);
            }
            LayerConfig::TimeDistributed { layer } => {
                let input = input.map(|i| i.into_iter().skip(1).collect());
                let inner = object.and_then(|o| self.child(o, "layer"));
                return self.fill_layer(layer, input, inner, assignment);
            }
            _ => {}
        }
        // A layer's variables in Keras's order.
        let variables = object.and_then(|o| self.child(o, "variables"));
        let array = |k: usize| -> Result<Option<Array<'a>>, Problem> {
            let variable = variables.and_then(|v| self.child(v, &k.to_string()));
            let attribute =
                variable.and_then(|v| v.attributes.iter().find(|a| a.name == "VARIABLE_VALUE"));
            let Some(Attribute { full_name, key, .. }) = attribute else {
                return Ok(None);
            };
            let name = full_name.rsplit('/').next().unwrap_or_default();
            self.checkpoint.array(key, name)
        };
        if matches!(layer.config, LayerConfig::Unknown { .. }) {
            let mut arrays = Vec::new();
            while let Some(array) = array(arrays.len())? {
                arrays.push(array);
            }
            layer.weights = assignment.all(&layer.name, arrays)?;
            return Ok(());
        }
        for (k, slot) in slots.iter().enumerate() {
            let weight = assignment.weight(&layer.name, slot, array(k)?)?;
            layer.weights.push(weight);
        }
        if !slots.is_empty() && !ignored && array(slots.len())?.is_some() {
            return Err(Problem::ExtraWeights {
                layer: layer.name.clone(),
                found: variables.map_or(0, |v| v.children.len()),
                expected: slots.len(),
            });
        }
        Ok(())
    }
}
