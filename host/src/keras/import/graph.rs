//! Reads a model's JSON configuration, in the dialect of Keras 2 or Keras 3, into a [`Model`] whose layers have
//! no weights yet.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::Problem;
use super::{keras1, masks};
use crate::keras::args::{Args, input_shape, shorten, truth, unbatched};
use crate::keras::class::{self, Class, Origin};
use crate::keras::dialect::{Dialect, Written};
use crate::keras::model::{Call, Input, Layer, LayerConfig, Model, TensorRef};
use crate::keras::shape::Shape;
use crate::keras::{infer, operators, unknown};

/// The layer that Keras 2 names for a constant argument of a function.
const CONSTANT: &str = "_CONSTANT_VALUE";

/// Greatest depth of nested models and wrappers.
const MAX_DEPTH: usize = 16;

/// The most bytes of JSON: real models take some kilobytes for each layer.
pub(super) const MAX_CONFIG_BYTES: usize = 16 << 20;

/// Reads what `model.to_json()` and the model files hold:
/// `{"class_name": "Functional", "config": {...}}`. `written` is what the container states of the Keras
/// that wrote it.
pub(super) fn parse(json: &[u8], written: Written) -> Result<Parsed, Problem> {
    if json.len() > MAX_CONFIG_BYTES {
        return Err(Problem::TooLarge {
            what: "the length of the model's configuration in bytes".to_owned(),
            found: json.len() as u64,
            limit: MAX_CONFIG_BYTES as u64,
        });
    }
    parse_value(
        serde_json::from_slice(json).map_err(Problem::Json)?,
        written,
    )
}

/// A model whose layers have no weights yet, and what its weights mean.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) model: Model,
    pub(super) dialect: Dialect,
}

/// Place of a layer: its depth within nested models, and the Keras that wrote them.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    dialect: Dialect,
}

impl Place {
    fn inner(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

/// Reads a model as [`parse`] does.
pub(super) fn parse_value(value: Value, written: Written) -> Result<Parsed, Problem> {
    let value = plain(value);
    let written = written.or(Written::of(&value));
    let dialect = written.dialect(&value);
    let entry = (value.as_object())
        .ok_or_else(|| Problem::model(format!("it is {}, not an object", shorten(&value))))?;
    let class = class_of(entry)?;
    let sequential = class.base == "Sequential";
    let functional = ["Functional", "Model"].contains(&class.base.as_str());
    let inner = entry.get("config");
    let layers = inner.and_then(|c| c.get("layers").or(Some(c)));
    if !(sequential || functional) || layers.is_none_or(|l| !l.is_array()) {
        return Err(Problem::model(format!(
            "it describes a model of class {}, but only functional and Sequential models state their \
             layers; rebuild it as one of these and save that",
            class.shown
        )));
    }
    let map = match inner {
        Some(Value::Object(map)) => map.clone(),
        // Before Keras 2.2.3, a Sequential's configuration was the list of its layers.
        Some(list) => Map::from_iter([("layers".to_owned(), list.clone())]),
        None => Map::new(),
    };
    let mut model = model(&map, sequential, Place { depth: 0, dialect })?;
    model.keras_version = written.version;
    Ok(Parsed { model, dialect })
}

/// Replaces the objects in which Keras's format wraps tuples and numbers by lists and numbers.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(plain).collect()),
        Value::Object(mut map) => {
            match map.get("class_name").and_then(Value::as_str) {
                Some("__tuple__" | "TensorShape") => {
                    if let Some(items @ Value::Array(_)) = map.remove("items") {
                        return plain(items);
                    }
                }
                Some("__numpy__" | "__tensor__") => {
                    if let Some(value) = map.get_mut("config").and_then(|c| c.get_mut("value")) {
                        return value.take();
                    }
                }
                _ => {}
            }
            // The number of an object in the memory of the program that wrote the file.
            map.shift_remove("shared_object_id");
            Value::Object(map.into_iter().map(|(k, v)| (k, plain(v))).collect())
        }
        other => other,
    }
}

/// A layer of the graph without its calls: `{"class_name": ..., "config": {...}, ...}`.
fn layer(entry: &Map<String, Value>, place: Place) -> Result<Layer, Problem> {
    if place.depth > MAX_DEPTH {
        return Err(Problem::model(format!(
            "models and wrappers are nested more than {MAX_DEPTH} deep"
        )));
    }
    let mut class = class_of(entry)?;
    let empty = Map::new();
    let mut map = match entry.get("config") {
        Some(Value::Object(map)) => map,
        // A nested Sequential of before Keras 2.2.3.
        Some(Value::Array(_)) if class.base == "Sequential" => entry,
        _ => &empty,
    };
    let older = keras1::arguments(&class.base, map).filter(|_| class.origin == Origin::Keras);
    if let Some(renamed) = &older {
        class.base = keras1::class(&class.base, map).to_owned();
        map = renamed;
    }
    let of_call = call_flags(&class, entry, map);
    if let Some(all) = &of_call {
        map = all;
    }
    let name = (map.get("name").or_else(|| entry.get("name")))
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::model(format!("a layer of class {} has no name", class.shown)))?;
    let config = match operators::layer(&class, entry) {
        Some(config) => config,
        None => layer_config(name, &class, map, place)?,
    };
    Ok(Layer {
        name: name.to_owned(),
        class_name: class.shown,
        trainable: map.get("trainable").and_then(truth).unwrap_or(true),
        config,
        weights: Vec::new(),
        calls: Vec::new(),
    })
}

/// Arguments of calls that make another function of a layer for attention.
const OF_CALLS: [&str; 3] = [
    "use_causal_mask",
    "return_attention_scores",
    "attention_mask",
];

/// The arguments of a layer with those of its calls that matter; `None` if there are none.
fn call_flags(
    class: &Class,
    entry: &Map<String, Value>,
    map: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    if class.origin != Origin::Keras || !class.base.ends_with("Attention") {
        return None;
    }
    fn find(value: &Value, found: &mut Map<String, Value>) {
        match value {
            Value::Array(list) => list.iter().for_each(|value| find(value, found)),
            Value::Object(map) => {
                for (key, value) in map {
                    let set = truth(value) == Some(true) || operators::has_tensor(value);
                    if OF_CALLS.contains(&key.as_str()) && set {
                        found.insert(key.clone(), Value::Bool(true));
                    }
                    find(value, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Map::new();
    find(entry.get("inbound_nodes")?, &mut found);
    (!found.is_empty()).then(|| {
        let mut all = map.clone();
        all.extend(found);
        all
    })
}

/// The class of an object in the configuration.
fn class_of(entry: &Map<String, Value>) -> Result<Class, Problem> {
    class::class_of(entry).ok_or_else(|| {
        Problem::model("a layer has no class_name; write it again with model.save()")
    })
}

/// A layer of `class` with the arguments `map`. One with an argument that [`LayerConfig`] cannot hold
/// (such as a recurrent layer that returns its state) is unknown: it can be listed, but nobody will
/// run it wrongly.
///
/// # Errors
/// If an argument of a known class is not of the kind that Keras writes.
fn layer_config(
    name: &str,
    class: &Class,
    map: &Map<String, Value>,
    place: Place,
) -> Result<LayerConfig, Problem> {
    let args = Args::new(map, place.dialect);
    let refuse = |reason| Problem::Layer {
        layer: name.to_owned(),
        class: class.shown.clone(),
        reason,
    };
    match class.base.as_str() {
        "Functional" | "Model" | "Sequential" if class.origin == Origin::Keras => {
            let model = model(map, class.base == "Sequential", place.inner())?;
            return Ok(LayerConfig::Model(Box::new(model)));
        }
        "TimeDistributed" if class.origin == Origin::Keras => {
            let Some(Value::Object(inner)) = args.get("layer") else {
                return Err(refuse(args.wrong("layer", "a layer")));
            };
            return Ok(LayerConfig::TimeDistributed {
                layer: Box::new(layer(inner, place.inner())?),
            });
        }
        _ => {}
    }
    let known = LayerConfig::read(class, &args).map_err(refuse)?;
    Ok(known.unwrap_or_else(|| LayerConfig::Unknown {
        config: Value::Object(map.clone()),
        reason: unknown::reason(class, &args),
    }))
}

/// A model, whose layers have no weights yet.
///
/// # Errors
/// If the layers do not form a graph, or cannot be applied to their inputs.
fn model(map: &Map<String, Value>, sequential: bool, place: Place) -> Result<Model, Problem> {
    let name = map.get("name").and_then(Value::as_str);
    let name = name.unwrap_or(if sequential { "sequential" } else { "model" });
    let entries = ["layers", "config"]
        .iter()
        .find_map(|k| map.get(*k)?.as_array());
    let entries: Vec<&Map<String, Value>> = entries
        .and_then(|list| list.iter().map(Value::as_object).collect())
        .ok_or_else(|| Problem::model(format!("model \"{name}\" has no list of layers")))?;
    if entries.is_empty() {
        return Err(Problem::model(format!("model \"{name}\" has no layers")));
    }
    let mut layers = Vec::with_capacity(entries.len() + 1);
    for entry in &entries {
        layers.push(layer(entry, place)?);
    }
    let mut draft = Draft {
        model: Model {
            name: name.to_owned(),
            sequential,
            layers,
            inputs: Vec::new(),
            outputs: Vec::new(),
            keras_version: None,
        },
        stated: BTreeMap::new(),
        masked: BTreeMap::new(),
    };
    if sequential {
        draft.chain(map, &entries)?;
    } else {
        draft.connect(map, &entries)?;
    }
    draft.finish(place.dialect)
}

/// A model in the making.
struct Draft {
    model: Model,
    /// The shapes of tensors that the file states.
    stated: BTreeMap<TensorRef, Shape>,
    /// The calls whose arguments would name masks, as Keras 3 writes them, and whether they do.
    masked: BTreeMap<(usize, usize), bool>,
}

impl Draft {
    fn refuse(&self, reason: &str) -> Problem {
        Problem::model(format!("model \"{}\": {reason}", self.model.name))
    }

    /// The calls of a sequential model: each layer is applied to the one before.
    fn chain(
        &mut self,
        map: &Map<String, Value>,
        entries: &[&Map<String, Value>],
    ) -> Result<(), Problem> {
        let first = &self.model.layers[0];
        if !matches!(first.config, LayerConfig::Input(_)) {
            // The input is an argument of the first layer, or of the model if it was built late;
            // a first layer that is a model brings its own.
            let own = match &first.config {
                LayerConfig::Model(inner) => match inner.inputs[..] {
                    [input] => inner.shape_of(input).cloned(),
                    _ => None,
                },
                _ => None,
            };
            let shape = (entries[0].get("config").and_then(Value::as_object))
                .and_then(input_shape)
                .or_else(|| unbatched(map.get("build_input_shape")?))
                .or_else(|| unbatched(entries[0].get("build_config")?.get("input_shape")?))
                .or(own)
                .ok_or_else(|| {
                    self.refuse(
                        "it was saved before it knew the shape of its input; call \
                         model.build(input_shape) and save it again",
                    )
                })?;
            let input = Layer {
                name: format!("{}_input", first.name),
                class_name: "InputLayer".to_owned(),
                trainable: true,
                config: Input {
                    shape,
                    integers: false,
                }
                .into(),
                weights: Vec::new(),
                calls: Vec::new(),
            };
            self.model.layers.insert(0, input);
        }
        let mut previous = None;
        for (index, layer) in self.model.layers.iter_mut().enumerate() {
            let inputs = previous.into_iter().collect();
            layer.calls.push(Call {
                inputs,
                output_shapes: Vec::new(),
            });
            previous = Some(TensorRef {
                layer: index,
                call: 0,
                tensor: 0,
            });
        }
        self.model.inputs = vec![TensorRef {
            layer: 0,
            call: 0,
            tensor: 0,
        }];
        self.model.outputs = previous.into_iter().collect();
        Ok(())
    }

    /// The calls of a functional model, which the file lists as each layer's `inbound_nodes`.
    fn connect(
        &mut self,
        map: &Map<String, Value>,
        entries: &[&Map<String, Value>],
    ) -> Result<(), Problem> {
        let mut names = BTreeMap::new();
        for (index, (entry, layer)) in entries.iter().zip(&self.model.layers).enumerate() {
            let name = (entry.get("name").and_then(Value::as_str)).unwrap_or(&layer.name);
            if names.insert(name.to_owned(), index).is_some() {
                return Err(self.refuse(&format!("two layers have the name \"{name}\"")));
            }
        }
        for (index, entry) in entries.iter().enumerate() {
            let nodes = entry.get("inbound_nodes").and_then(Value::as_array);
            let mut calls = Vec::new();
            for node in nodes.into_iter().flatten() {
                let mut inputs = Vec::new();
                self.tensors(node, &names, &mut inputs)?;
                if node.get("kwargs").is_some() {
                    self.masked.insert((index, calls.len()), names_mask(node));
                }
                calls.push(Call {
                    inputs,
                    output_shapes: Vec::new(),
                });
            }
            let layer = &mut self.model.layers[index];
            if calls.is_empty() && matches!(layer.config, LayerConfig::Input(_)) {
                calls.push(Call {
                    inputs: Vec::new(),
                    output_shapes: Vec::new(),
                });
            }
            layer.calls = calls;
        }
        for (key, is_input) in [("input_layers", true), ("output_layers", false)] {
            let mut tensors = Vec::new();
            if let Some(value) = map.get(key) {
                self.tensors(value, &names, &mut tensors)?;
            }
            if tensors.is_empty() {
                return Err(self.refuse(&format!("it has no {key}")));
            }
            if is_input {
                self.model.inputs = tensors;
            } else {
                self.model.outputs = tensors;
            }
        }
        self.count_calls_from_zero();
        Ok(())
    }

    /// Keras 2 counts the calls of a model that has its own input layer from 1: its call 0 is the
    /// one that made it. All calls in a file are used, so the highest number tells.
    fn count_calls_from_zero(&mut self) {
        let layers = &mut self.model.layers;
        let mut range: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let used = (layers.iter())
            .flat_map(|l| &l.calls)
            .flat_map(|c| &c.inputs)
            .chain(&self.model.outputs);
        for tensor in used {
            let (low, high) = range.entry(tensor.layer).or_insert((usize::MAX, 0));
            *low = tensor.call.min(*low);
            *high = tensor.call.max(*high);
        }
        range.retain(|&l, &mut (low, high)| {
            matches!(layers[l].config, LayerConfig::Model(_))
                && low > 0
                && high == layers[l].calls.len()
        });
        let shift = |tensor: &mut TensorRef| {
            if range.contains_key(&tensor.layer) {
                tensor.call -= 1;
            }
        };
        (layers.iter_mut())
            .flat_map(|l| &mut l.calls)
            .flat_map(|c| &mut c.inputs)
            .chain(&mut self.model.outputs)
            .for_each(shift);
    }

    /// Collects the tensors that a value names, in the order of the file. Keras 2 writes
    /// `["layer", node, tensor]` or `["layer", node, tensor, {arguments}]`; Keras 3
    /// `{"class_name": "__keras_tensor__", "config": {"keras_history": ["layer", node, tensor]}}`.
    fn tensors(
        &mut self,
        value: &Value,
        names: &BTreeMap<String, usize>,
        found: &mut Vec<TensorRef>,
    ) -> Result<(), Problem> {
        match value {
            Value::Array(list) => {
                if let [
                    Value::String(name),
                    Value::Number(call),
                    Value::Number(tensor),
                    rest @ ..,
                ] = &list[..]
                {
                    // Unless it is a constant argument of a function.
                    if name != CONSTANT {
                        found.push(self.tensor(name, call.as_u64(), tensor.as_u64(), names)?);
                    }
                    for argument in rest {
                        self.tensors(argument, names, found)?;
                    }
                    return Ok(());
                }
                let constant = matches!(&list[..], [Value::String(name), Value::Number(_), ..] if name == CONSTANT);
                for inner in list.iter().skip(if constant { 3 } else { 0 }) {
                    self.tensors(inner, names, found)?;
                }
                Ok(())
            }
            Value::Object(map) => {
                if map.get("class_name").and_then(Value::as_str) == Some("__keras_tensor__") {
                    let config = map.get("config");
                    let history = config.and_then(|c| c.get("keras_history"));
                    let Some([Value::String(name), call, tensor]) =
                        history.and_then(Value::as_array).map(Vec::as_slice)
                    else {
                        return Err(self.refuse(&format!(
                            "the tensor {} has no keras_history",
                            shorten(value)
                        )));
                    };
                    let tensor = self.tensor(name, call.as_u64(), tensor.as_u64(), names)?;
                    if let Some(shape) = config.and_then(|c| c.get("shape")).and_then(unbatched) {
                        self.stated.insert(tensor, shape);
                    }
                    found.push(tensor);
                    return Ok(());
                }
                for (key, inner) in map {
                    // Masks are worked out of those of the inputs.
                    if !masks::ARGUMENTS.contains(&key.as_str()) {
                        self.tensors(inner, names, found)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn tensor(
        &self,
        name: &str,
        call: Option<u64>,
        tensor: Option<u64>,
        names: &BTreeMap<String, usize>,
    ) -> Result<TensorRef, Problem> {
        let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
        match (names.get(name), number(call), number(tensor)) {
            (Some(&layer), Some(call), Some(tensor)) => Ok(TensorRef {
                layer,
                call,
                tensor,
            }),
            (None, ..) => Err(self.refuse(&format!(
                "a layer \"{name}\" is used, but there is none of this name"
            ))),
            _ => Err(self.refuse(&format!("an output of layer \"{name}\" has no valid index"))),
        }
    }

    /// Checks the graph and fills in the shapes.
    fn finish(mut self, dialect: Dialect) -> Result<Model, Problem> {
        let order = self.order()?;
        let keras3 = dialect.version >= 3;
        let handed = masks::hand_on(&mut self.model, &order, &self.masked, keras3);
        handed.map_err(|layer| Problem::Layer {
            layer: self.model.layers[layer].name.clone(),
            class: self.model.layers[layer].class_name.clone(),
            reason:
                "it would need the mask of a Masking or Embedding layer before it, which is not \
                     supported; build the model without masks"
                    .to_owned(),
        })?;
        let stated = std::mem::take(&mut self.stated);
        infer::infer_model(&mut self.model, &order, |tensor| {
            stated.get(&tensor).cloned()
        })?;
        for &tensor in self.model.inputs.iter().chain(&self.model.outputs) {
            self.check(tensor)?;
        }
        for layer in &self.model.layers {
            for call in &layer.calls {
                for &tensor in &call.inputs {
                    self.check(tensor)?;
                }
            }
        }
        for &tensor in &self.model.inputs {
            if !matches!(
                self.model.layers[tensor.layer].config,
                LayerConfig::Input(_)
            ) {
                let name = &self.model.layers[tensor.layer].name;
                return Err(self.refuse(&format!("its input \"{name}\" is not an InputLayer")));
            }
        }
        self.number_axes();
        Ok(self.model)
    }

    /// Refuses a tensor that its layer does not have.
    fn check(&self, tensor: TensorRef) -> Result<(), Problem> {
        let layer = &self.model.layers[tensor.layer];
        let shapes = layer.calls.get(tensor.call).map(|c| &c.output_shapes);
        match shapes {
            Some(shapes) if shapes.is_empty() || tensor.tensor < shapes.len() => Ok(()),
            Some(_) => Err(self.refuse(&format!(
                "output {} of layer \"{}\" is used, but it does not have so many",
                tensor.tensor, layer.name
            ))),
            None => Err(self.refuse(&format!(
                "call {} of layer \"{}\" is used, but the layer has {} calls",
                tensor.call,
                layer.name,
                layer.calls.len()
            ))),
        }
    }

    /// The calls in an order in which each comes after those that it takes its inputs from.
    fn order(&self) -> Result<Vec<(usize, usize)>, Problem> {
        let layers = &self.model.layers;
        let mut waiting: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut users: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        let mut ready = Vec::new();
        for (l, layer) in layers.iter().enumerate() {
            for (c, call) in layer.calls.iter().enumerate() {
                for tensor in &call.inputs {
                    if layers[tensor.layer].calls.get(tensor.call).is_none() {
                        self.check(*tensor)?;
                    }
                    users
                        .entry((tensor.layer, tensor.call))
                        .or_default()
                        .push((l, c));
                }
                if call.inputs.is_empty() {
                    ready.push((l, c));
                } else {
                    waiting.insert((l, c), call.inputs.len());
                }
            }
        }
        let mut order = Vec::new();
        while let Some(at) = ready.pop() {
            order.push(at);
            for user in users.get(&at).into_iter().flatten() {
                if let Some(open) = waiting.get_mut(user) {
                    *open -= 1;
                    if *open == 0 {
                        waiting.remove(user);
                        ready.push(*user);
                    }
                }
            }
        }
        match waiting.keys().next() {
            Some(&(l, _)) => Err(self.refuse(&format!(
                "layer \"{}\" takes its own output as its input",
                layers[l].name
            ))),
            None => Ok(order),
        }
    }

    /// Keras 2 counts the axes of a normalization from the start, Keras 3 as the user did: both are
    /// counted from the start here.
    fn number_axes(&mut self) {
        for l in 0..self.model.layers.len() {
            let input = (self.model.layers[l].calls.first())
                .and_then(|c| c.inputs.first())
                .and_then(|&r| self.model.shape_of(r));
            let Some(rank) = input.map(Vec::len) else {
                continue;
            };
            number_axes(&mut self.model.layers[l].config, rank);
        }
    }
}

/// `true` if an argument of a call names a mask.
fn names_mask(node: &Value) -> bool {
    match node {
        Value::Array(list) => list.iter().any(names_mask),
        Value::Object(map) => map.iter().any(|(key, inner)| {
            let mask = masks::ARGUMENTS.contains(&key.as_str());
            mask && operators::has_tensor(inner) || names_mask(inner)
        }),
        _ => false,
    }
}

fn number_axes(config: &mut LayerConfig, rank: usize) {
    if let LayerConfig::TimeDistributed { layer } = config {
        number_axes(&mut layer.config, rank.saturating_sub(1));
    } else if let Some(kind) = config.kind_mut() {
        kind.number_axes(rank);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::keras::model::{Activation, Parameter, Penalties, Penalty};

    fn read(value: &Value) -> Result<Model, Problem> {
        parse(value.to_string().as_bytes(), Written::default()).map(|parsed| parsed.model)
    }

    /// A functional model of an input of `shape` and one layer.
    fn with_layer(shape: &Value, class: &str, mut config: Value) -> Value {
        config["name"] = json!("l");
        json!({"class_name": "Functional", "config": {"name": "m", "layers": [
            {"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
             "config": {"batch_input_shape": shape, "name": "in"}},
            {"class_name": class, "name": "l", "config": config,
             "inbound_nodes": [[["in", 0, 0, {}]]]},
        ], "input_layers": [["in", 0, 0]], "output_layers": [["l", 0, 0]]}})
    }

    fn config_of(class: &str, config: Value) -> LayerConfig {
        let model = read(&with_layer(&json!([null, 4]), class, config)).unwrap();
        model.layers[1].config.clone()
    }

    fn refusal(value: &Value) -> String {
        read(value).unwrap_err().to_string()
    }

    #[test]
    fn activations_in_every_spelling() {
        let function = |module: &str| {
            json!({"module": module, "class_name": "function", "config": "relu",
                   "registered_name": "function"})
        };
        let by = |of: fn(Parameter) -> Activation, value| Parameter::new(value).map(of);
        let layer = |class: &str, config: Value| {
            json!({"module": "keras.layers", "class_name": class, "config": config,
                   "registered_name": null})
        };
        for (value, expected) in [
            (json!("relu"), Some(Activation::Relu)),
            (json!("silu"), Some(Activation::Swish)),
            (json!("softmax_v2"), Some(Activation::Softmax)),
            (json!(null), Some(Activation::Linear)),
            (function("builtins"), Some(Activation::Relu)),
            (function("my.module"), None),
            (json!("my_function"), None),
            (
                layer("ReLU", json!({"max_value": null})),
                Some(Activation::Relu),
            ),
            (
                layer("ReLU", json!({"max_value": 6.0})),
                Some(Activation::Relu6),
            ),
            (
                layer("ReLU", json!({"max_value": 5.0})),
                by(Activation::ReluUpTo, 5.0),
            ),
            (
                layer("ReLU", json!({"negative_slope": 0.1})),
                by(Activation::LeakyReluBy, 0.1),
            ),
            (
                layer("ReLU", json!({"negative_slope": 0.1, "max_value": 5.0})),
                None,
            ),
            (layer("ReLU", json!({"threshold": 1.0})), None),
            (
                layer("LeakyReLU", json!({"negative_slope": 0.2})),
                Some(Activation::LeakyRelu),
            ),
            (
                layer("LeakyReLU", json!({"alpha": 0.3})),
                by(Activation::LeakyReluBy, 0.3),
            ),
            (
                layer("LeakyReLU", json!({})),
                by(Activation::LeakyReluBy, 0.3),
            ),
            (layer("PReLU", json!({})), None),
            (
                layer("Softmax", json!({"axis": -1})),
                Some(Activation::Softmax),
            ),
            (
                layer("ELU", json!({"alpha": 0.5})),
                by(Activation::EluBy, 0.5),
            ),
            (
                layer("Activation", json!({"activation": "tanh"})),
                Some(Activation::Tanh),
            ),
        ] {
            let found = match config_of("Activation", json!({"activation": value})) {
                LayerConfig::Activation(layer) => Some(layer.activation),
                LayerConfig::Unknown { .. } => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{value}");
        }
        let text = refusal(&with_layer(
            &json!([null, 4]),
            "Activation",
            json!({"activation": 3}),
        ));
        assert!(
            text.contains("layer \"l\"") && text.contains("activation function"),
            "{text}"
        );
    }

    #[test]
    fn penalties_in_both_dialects() {
        let penalty = |value: Value| match config_of(
            "Dense",
            json!({"units": 2, "kernel_regularizer": value}),
        ) {
            LayerConfig::Dense(dense) => {
                let Penalties {
                    kernel_regularizer: Some(Penalty { class, config }),
                    ..
                } = dense.penalties
                else {
                    panic!("none")
                };
                (class, config)
            }
            other => panic!("{other:?}"),
        };
        let keras = |class: &str| format!("keras.regularizers.{class}");
        let amount = json!({"l2": 0.5});
        assert_eq!(
            penalty(json!({"class_name": "L2", "config": {"l2": 0.5}})),
            (keras("L2"), amount.clone())
        );
        assert_eq!(
            penalty(json!({"module": "keras.regularizers", "class_name": "L2",
                           "config": {"l2": 0.5}, "registered_name": null})),
            (keras("L2"), amount.clone())
        );
        assert_eq!(penalty(json!("l1_l2")).0, keras("L1L2"));
        assert_eq!(
            penalty(json!({"class_name": "Mine>Soft", "config": {"l2": 0.5}})),
            ("Mine.Soft".to_owned(), amount)
        );
    }

    #[test]
    fn classes_of_others_are_unknown_and_named_with_their_package() {
        for (class, shown) in [
            ("Lambda", "Lambda"),
            ("Mine>Dense", "Mine.Dense"),
            ("Keras>Unheard", "Keras.Unheard"),
        ] {
            let mut value = with_layer(&json!([null, 4]), class, json!({"units": 2}));
            let model = read(&value).unwrap();
            assert!(
                matches!(model.layers[1].config, LayerConfig::Unknown { .. }),
                "{class}"
            );
            assert_eq!(model.layers[1].class_name, shown);
            assert_eq!(model.layers[1].calls[0].output_shapes, Vec::<Shape>::new());
            value["config"]["layers"][1]["class_name"] = json!("Dense");
            value["config"]["layers"][1]["module"] = json!("mine.layers");
            assert_eq!(
                read(&value).unwrap().layers[1].class_name,
                "mine.layers.Dense"
            );
        }
        // What `LayerConfig` cannot hold is not run wrongly.
        for (class, config) in [
            ("LSTM", json!({"units": 2, "time_major": true})),
            ("BatchNormalization", json!({"axis": [1, 2]})),
            (
                "MultiHeadAttention",
                json!({"num_heads": 2, "key_dim": 3, "attention_axes": [2]}),
            ),
            (
                "RNN",
                json!({"cell": {"class_name": "Mine>Cell", "config": {"units": 2}}}),
            ),
            ("Discretization", json!({"num_bins": 3})),
            ("LayerNormalization", json!({"rms_scaling": true})),
        ] {
            assert!(
                matches!(config_of(class, config), LayerConfig::Unknown { .. }),
                "{class}"
            );
        }
    }

    #[test]
    fn sequential_models_find_their_input() {
        let dense = |extra: Value| {
            let mut config = json!({"name": "d", "units": 2});
            for (key, value) in extra.as_object().unwrap() {
                config[key] = value.clone();
            }
            json!({"class_name": "Dense", "config": config})
        };
        let layers = |list: Value| json!({"class_name": "Sequential", "config": list});
        let with_shape = dense(json!({"batch_input_shape": [null, 3]}));
        let inner = layers(json!({"name": "inner", "layers": [with_shape.clone()]}));
        for value in [
            layers(json!({"name": "s", "layers": [with_shape.clone()]})),
            layers(json!([with_shape])),
            layers(
                json!({"name": "s", "build_input_shape": [null, 3], "layers": [dense(json!({}))]}),
            ),
            layers(json!({"name": "s", "layers": [
                {"class_name": "InputLayer", "config": {"name": "d_input", "batch_shape": [null, 3]}},
                dense(json!({})),
            ]})),
            layers(json!({"name": "s", "layers": [inner, dense(json!({}))]})),
        ] {
            let model = read(&value).unwrap();
            assert!(model.sequential);
            let LayerConfig::Input(Input { shape, .. }) = &model.layers[0].config else {
                panic!("{value}");
            };
            assert_eq!(shape, &[Some(3)], "{value}");
            let last = model.layers.last().unwrap();
            assert_eq!(last.calls[0].output_shapes, [[Some(2)]]);
        }
        let text = refusal(&layers(json!({"name": "s", "layers": [dense(json!({}))]})));
        assert!(text.contains("model.build(input_shape)"), "{text}");
    }

    #[test]
    fn tensors_in_arguments_by_name_are_inputs() {
        let mut value = with_layer(&json!([null, 4]), "TFOpLambda", json!({}));
        value["config"]["layers"][1]["inbound_nodes"] = json!([["in", 0, 0, {"y": ["in", 0, 0], "name": null}], ["_CONSTANT_VALUE", -1, 3, {}]]);
        let model = read(&value).unwrap();
        let input = TensorRef {
            layer: 0,
            call: 0,
            tensor: 0,
        };
        assert_eq!(model.layers[1].calls[0].inputs, [input, input]);
        let tensor = json!({"class_name": "__keras_tensor__", "config":
            {"shape": [null, 4], "dtype": "float32", "keras_history": ["in", 0, 0]}});
        value["config"]["layers"][1]["inbound_nodes"] =
            json!([{"args": [], "kwargs": {"x": tensor, "y": [tensor]}}]);
        value["config"]["input_layers"] = json!({"a": ["in", 0, 0]});
        let model = read(&value).unwrap();
        assert_eq!(model.layers[1].calls[0].inputs, [input, input]);
        assert_eq!(model.inputs, [input]);
    }

    #[test]
    fn refuses_graphs_that_are_none() {
        let good = || with_layer(&json!([null, 4]), "ReLU", json!({}));
        assert!(read(&good()).is_ok());
        let change = |pointer: &str, to: Value| {
            let mut value = good();
            *value.pointer_mut(pointer).unwrap() = to;
            refusal(&value)
        };
        for (pointer, to, part) in [
            (
                "/config/layers/1/inbound_nodes",
                json!([[["l", 0, 0, {}]]]),
                "its own output",
            ),
            (
                "/config/layers/1/inbound_nodes",
                json!([[["x", 0, 0, {}]]]),
                "there is none",
            ),
            (
                "/config/layers/1/inbound_nodes",
                json!([[["in", 1, 0, {}]]]),
                "has 1 calls",
            ),
            (
                "/config/layers/1/inbound_nodes",
                json!([[["in", 0, 1, {}]]]),
                "does not have so many",
            ),
            (
                "/config/layers/1/name",
                json!("in"),
                "two layers have the name",
            ),
            (
                "/config/output_layers",
                json!([]),
                "it has no output_layers",
            ),
            (
                "/config/input_layers",
                json!([["l", 0, 0]]),
                "is not an InputLayer",
            ),
            ("/config/layers", json!([]), "has no layers"),
            ("/config/layers", json!(3), "state their layers"),
            ("/class_name", json!("MyModel"), "of class MyModel"),
            (
                "/config/layers/0/config/batch_input_shape",
                json!([null, 0]),
                "length 0",
            ),
            (
                "/config/layers/0/config/batch_input_shape",
                json!([null, 65536, 65536]),
                "elements",
            ),
            (
                "/config/layers/0/config/batch_input_shape",
                json!([null, -1]),
                "batch_input_shape",
            ),
        ] {
            let text = change(pointer, to);
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            parse(b"{", Written::default())
                .unwrap_err()
                .to_string()
                .contains("not valid JSON")
        );
        assert!(parse("[".repeat(100_000).as_bytes(), Written::default()).is_err());
    }

    /// A model that calls the model below it twice, `depth` levels deep, for inputs of any length.
    fn tower(depth: usize, length: &Value) -> Value {
        let layer = if depth == 0 {
            json!({"class_name": "ReLU", "name": "b", "config": {"name": "b"},
                   "inbound_nodes": [[["in", 0, 0, {}]], [["b", 0, 0, {}]]]})
        } else {
            let mut inner = tower(depth - 1, &json!(null));
            inner["config"]["name"] = json!("b");
            inner["name"] = json!("b");
            inner["inbound_nodes"] = json!([[["in", 0, 0, {}]], [["b", 0, 0, {}]]]);
            inner
        };
        json!({"class_name": "Functional", "config": {"name": "m", "layers": [
            {"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
             "config": {"batch_input_shape": [null, length, 3], "name": "in"}},
            layer,
        ], "input_layers": [["in", 0, 0]], "output_layers": [["b", 1, 0]]}})
    }

    /// A model in which each of `depth` layers puts its input beside itself.
    fn doubling(depth: usize, length: usize) -> Value {
        let mut layers = vec![
            json!({"class_name": "InputLayer", "name": "c0", "inbound_nodes": [],
                   "config": {"batch_input_shape": [null, length], "name": "c0"}}),
        ];
        for k in 1..=depth {
            let (name, before) = (format!("c{k}"), format!("c{}", k - 1));
            layers.push(json!({"class_name": "Concatenate", "name": name,
                "config": {"name": name, "axis": -1},
                "inbound_nodes": [[[before, 0, 0, {}], [before, 0, 0, {}]]]}));
        }
        let last = format!("c{depth}");
        json!({"class_name": "Functional", "config": {"name": "m", "layers": layers,
            "input_layers": [["c0", 0, 0]], "output_layers": [[last, 0, 0]]}})
    }

    #[test]
    fn all_tensors_together_are_limited() {
        assert!(read(&doubling(20, 8)).is_ok());
        let text = refusal(&doubling(26, 8));
        for part in [
            "\"c23\"",
            "Concatenate",
            "(67108864)",
            "67108856",
            "most that is supported",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // A nested model counts for each of its uses.
        let mut inner = doubling(20, 8);
        inner["name"] = json!("inner");
        inner["config"]["name"] = json!("inner");
        let uses = |n: usize| -> Value {
            let mut layer = inner.clone();
            layer["inbound_nodes"] = (0..n).map(|_| json!([["in", 0, 0, {}]])).collect();
            json!({"class_name": "Functional", "config": {"name": "m", "layers": [
                {"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
                 "config": {"batch_input_shape": [null, 8], "name": "in"}},
                layer,
            ], "input_layers": [["in", 0, 0]], "output_layers": [["inner", 0, 0]]}})
        };
        assert!(read(&uses(4)).is_ok());
        let text = refusal(&uses(5));
        assert!(
            text.contains("\"inner\"") && text.contains("all its layers"),
            "{text}"
        );
    }

    #[test]
    fn nested_models_are_inferred_in_bounded_time() {
        let model = read(&tower(5, &json!(8))).unwrap();
        assert_eq!(model.layers[1].calls[1].output_shapes, [[Some(8), Some(3)]]);
        let now = Instant::now();
        assert!(refusal(&tower(15, &json!(8))).contains("calls of layers"));
        assert!(refusal(&tower(20, &json!(null))).contains("deep"));
        assert!(
            now.elapsed() < Duration::from_secs(2),
            "{:?}",
            now.elapsed()
        );
    }
}
