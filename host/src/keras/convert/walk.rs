//! The walk over a model's graph that converts each call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::{Call, Connect, LayerCall, Object};
use super::conversion::{Conversion, LayerObject};
use super::error::ConvertError;
use super::objects::{Build, Source, known};
use super::options::{ConvertOptions, ScaleFiringRates};
use super::order::Order;
use super::registry::{LayerConverter, Registry};
use super::warning::Warning;
use crate::keras::class::type_name;
use crate::keras::layers::kind::{LayerKind, Native};
use crate::keras::model::{Concatenate, Layer, LayerConfig, Model, TensorRef};
use crate::keras::shape::Shape;
use crate::keras::tensor_func::Joined;
use crate::network::{NodeId, NodeKind, Pre, Probe, ProbeId, TensorFunc, TensorNode};

/// Place of a layer: the index of each model layer that holds it, then its own.
type LayerPath = Vec<usize>;

/// The outputs of each (layer, call) of one model.
type Outputs = BTreeMap<(usize, usize), Vec<Source>>;

/// A conversion under way.
pub(super) struct Walk<'m> {
    build: Build<'m>,
    registry: &'m Registry,
    chosen: BTreeMap<LayerPath, Chosen<'m>>,
    /// The number of calls of each wrapped layer (of a TimeDistributed).
    wrapped_calls: BTreeMap<LayerPath, usize>,
}

/// The way in which a layer is converted.
#[derive(Clone)]
enum Chosen<'m> {
    /// Conversion by a custom converter.
    Custom(Arc<dyn LayerConverter>),
    /// Conversion by its class.
    Native(&'m dyn LayerKind),
    /// A nested network.
    Model(&'m Model),
    /// The wrapped layer alone: a Nengo network runs over time anyway.
    Wrapped(&'m Layer),
    /// The wrapped layer, which does the same at every step if it sees all steps at once.
    EachStep(&'m Layer, &'m dyn LayerKind),
    /// A `TensorNode` that runs the whole layer.
    Fallback,
}

/// A converted model: its inputs' nodes, the objects of its outputs and layers.
struct Converted {
    inputs: Vec<NodeId>,
    outputs: Vec<Source>,
    layers: Vec<LayerObject>,
}

/// One use of a layer of the model.
struct Use<'p, 'm> {
    layer: &'m Layer,
    path: &'p mut LayerPath,
    call: Call<'m>,
}

impl<'m> Walk<'m> {
    pub(super) fn new(options: &'m ConvertOptions, registry: &'m Registry) -> Self {
        Self {
            build: Build::new(options),
            registry,
            chosen: BTreeMap::new(),
            wrapped_calls: BTreeMap::new(),
        }
    }

    /// Checks the factors of `scale_firing_rates`, and that each belongs to a layer.
    pub(super) fn check_scales(&mut self, model: &Model) -> Result<(), ConvertError> {
        let scales: Vec<(Option<&str>, f32)> = match &self.build.options.scale_firing_rates {
            ScaleFiringRates::None => Vec::new(),
            ScaleFiringRates::All(scale) => vec![(None, *scale)],
            ScaleFiringRates::PerLayer(scales) => scales
                .iter()
                .map(|(layer, scale)| (Some(layer.as_str()), *scale))
                .collect(),
        };
        for (layer, scale) in scales {
            if !(scale.is_finite() && scale > 0.0) {
                return Err(ConvertError::ScaleFiringRates {
                    layer: layer.map(str::to_owned),
                    scale,
                });
            }
            if let Some(layer) = layer
                && !self.build.options.nengo_dl_compat
                && !has_layer(model, layer)
            {
                self.build
                    .warnings
                    .push(Warning::UnknownScaledLayer(layer.to_owned()));
            }
        }
        Ok(())
    }

    /// Converts the whole model and closes the network.
    pub(super) fn finish(mut self, model: &'m Model) -> Result<Conversion, ConvertError> {
        let converted = self.model(model, &mut LayerPath::new())?;
        let unused = self.build.unused_swaps();
        if !unused.is_empty() {
            self.build.warnings.push(Warning::UnusedSwaps(unused));
        }
        self.build.network.label = Some(model.name.clone());

        for (tensor, &node) in model.inputs.iter().zip(&converted.inputs) {
            let input = &mut self.build.network.nodes[node.0];
            input.size_in = 0;
            let layer = &model.layers[tensor.layer];
            let shape = model
                .shape_of(*tensor)
                .and_then(|shape| known(shape, self.build.temporal))
                .unwrap_or_else(|| vec![input.size_out]);
            input.kind = NodeKind::Input { shape };
            self.build.network.inputs.push((layer.name.clone(), node));
        }
        for (tensor, source) in model.outputs.iter().zip(&converted.outputs) {
            let label = model.layers[tensor.layer].name.clone();
            let synapse = match source.object {
                Pre::Neurons(_) => self.build.options.synapse,
                Pre::Node(_) => None,
            };
            let probe = ProbeId(self.build.network.probes.len());
            self.build.network.outputs.push((label.clone(), probe));
            self.build.network.probes.push(Probe {
                target: source.object,
                synapse,
                label,
            });
        }
        let order = Order::of(&self.build.network);
        let mut layers = converted.layers;
        for layer in &mut layers {
            layer.object = order.pre(layer.object);
        }
        Ok(Conversion {
            network: order.apply(self.build.network),
            warnings: self.build.warnings,
            layers,
        })
    }

    /// Converts the calls of one model in topological order.
    fn model(&mut self, model: &'m Model, path: &mut LayerPath) -> Result<Converted, ConvertError> {
        if model.sequential {
            self.build.warnings.push(Warning::Sequential);
        }
        let mut outputs = Outputs::new();
        let mut layers = Vec::new();
        for (index, call) in topological_order(model)? {
            let layer = &model.layers[index];
            path.push(index);
            let inputs = sources(model, &layer.calls[call].inputs, &outputs)?;
            let call_of = Call {
                layer: layer.layer_ref(),
                // A sequential model's layers have been called once before the converter makes a
                // functional model of them.
                number: call + usize::from(model.sequential),
                inputs,
                input_shapes: shapes(model, &layer.calls[call].inputs)?,
                output_shapes: layer.calls[call].output_shapes.clone(),
                label: match layer.config {
                    LayerConfig::Input(_) if model.sequential => functional_input_name(&layer.name),
                    _ => layer.name.clone(),
                },
            };
            let made = self.layer(Use {
                layer,
                path,
                call: call_of,
            });
            path.pop();
            let made = made?;
            if made.len() != layer.calls[call].output_shapes.len() {
                return Err(ConvertError::Graph {
                    model: model.name.clone(),
                    problem: format!(
                        "layer '{}' has {} outputs, but its converter made {} objects",
                        layer.name,
                        layer.calls[call].output_shapes.len(),
                        made.len()
                    ),
                });
            }
            layers.extend(made.iter().map(|source| LayerObject {
                layer: layer.name.clone(),
                call,
                object: source.object,
            }));
            outputs.insert((index, call), made);
        }
        let mut inputs = Vec::new();
        let sources_of_inputs = sources(model, &model.inputs, &outputs)?;
        for (tensor, source) in model.inputs.iter().zip(sources_of_inputs) {
            match (source.object, &model.layers[tensor.layer].config) {
                (Pre::Node(node), LayerConfig::Input(_)) => inputs.push(node),
                _ => {
                    return Err(ConvertError::Graph {
                        model: model.name.clone(),
                        problem: format!(
                            "the input '{}' is not an InputLayer",
                            model.layers[tensor.layer].name
                        ),
                    });
                }
            }
        }
        Ok(Converted {
            inputs,
            outputs: sources(model, &model.outputs, &outputs)?,
            layers,
        })
    }

    /// Converts one call of one layer.
    fn layer(&mut self, mut used: Use<'_, 'm>) -> Result<Vec<Source>, ConvertError> {
        match self.choose(used.layer, used.path)? {
            Chosen::Model(model) => self.nested(model, used),
            Chosen::Wrapped(layer) => self.wrapped(layer, &mut used),
            Chosen::Custom(converter) => {
                self.objects(used.call, |call| converter.convert(used.layer, call))
            }
            Chosen::Native(kind) => self.objects(used.call, |call| kind.convert(call)),
            Chosen::EachStep(layer, kind) => {
                used.call.layer = layer.layer_ref();
                self.objects(used.call, |call| kind.convert(call))
            }
            Chosen::Fallback => self.objects(used.call, |call| fall_back(used.layer, call)),
        }
    }

    fn objects(
        &mut self,
        call: Call<'m>,
        convert: impl FnOnce(&mut LayerCall<'_, 'm>) -> Result<Vec<Pre>, ConvertError>,
    ) -> Result<Vec<Source>, ConvertError> {
        let mut call = LayerCall::new(&mut self.build, call);
        let objects = convert(&mut call)?;
        let channels_last = call.channels_last();
        Ok(objects
            .into_iter()
            .map(|object| Source {
                object,
                channels_last,
            })
            .collect())
    }

    /// Converts a nested model; its inputs are the call's.
    fn nested(&mut self, model: &'m Model, used: Use<'_, 'm>) -> Result<Vec<Source>, ConvertError> {
        let label = LayerCall::new(&mut self.build, used.call.clone()).label();
        let parent = self.build.open(label);
        let converted = self.model(model, used.path);
        self.build.close(parent);
        let converted = converted?;
        let mut call = LayerCall::new(&mut self.build, used.call);
        for (input, &node) in converted.inputs.iter().enumerate() {
            call.connect(
                Object::node(node),
                Connect {
                    input,
                    ..Connect::default()
                },
            )?;
        }
        let layout = converted.outputs.first().map(|output| output.channels_last);
        let channels_last = layout.unwrap_or(call.channels_last());
        Ok((converted.outputs.iter())
            .map(|output| Source {
                channels_last,
                ..*output
            })
            .collect())
    }

    /// Converts the layer inside a TimeDistributed, once for all steps.
    fn wrapped(
        &mut self,
        layer: &'m Layer,
        used: &mut Use<'_, 'm>,
    ) -> Result<Vec<Source>, ConvertError> {
        let without_time = |shapes: &[Shape]| -> Vec<Shape> {
            (shapes.iter())
                .map(|shape| shape.iter().skip(1).copied().collect())
                .collect()
        };
        used.path.push(0);
        let calls = self.wrapped_calls.entry(used.path.clone()).or_insert(0);
        let number = *calls;
        *calls += 1;
        self.build.temporal = false;
        let made = self.layer(Use {
            layer,
            path: used.path,
            call: Call {
                layer: layer.layer_ref(),
                number,
                label: layer.name.clone(),
                inputs: used.call.inputs.clone(),
                input_shapes: without_time(&used.call.input_shapes),
                output_shapes: without_time(&used.call.output_shapes),
            },
        });
        self.build.temporal = true;
        used.path.pop();
        let made = made?;
        // The wrapper's layout is its input's.
        let channels_last = (used.call.inputs.first()).is_none_or(|input| input.channels_last);
        Ok((made.into_iter())
            .map(|source| Source {
                channels_last,
                ..source
            })
            .collect())
    }

    /// The way in which a layer is converted, chosen at its first use.
    fn choose(&mut self, layer: &'m Layer, path: &LayerPath) -> Result<Chosen<'m>, ConvertError> {
        let options = self.build.options;
        if let Some(chosen) = self.chosen.get(path) {
            let shares = match chosen {
                Chosen::Custom(converter) => converter.has_weights(),
                Chosen::Native(kind) | Chosen::EachStep(_, kind) => kind.has_weights(),
                Chosen::Model(_) | Chosen::Wrapped(_) | Chosen::Fallback => false,
            };
            // NengoDL trains them together; at inference each use may have weights of its own.
            if shares && options.nengo_dl_compat && !options.split_shared_weights {
                return Err(ConvertError::SharedLayer {
                    layer: layer.name.clone(),
                    class: type_name(&layer.class_name).to_owned(),
                });
            }
            return Ok(chosen.clone());
        }
        let (verdict, may_fall_back) = self.way(layer);
        let chosen = match verdict {
            Ok(chosen) => chosen,
            Err(reason) => {
                // A layer of an unknown class cannot be run, and its output has no shape.
                if let LayerConfig::Unknown { reason, .. } = &layer.config
                    && layer.calls.iter().any(|call| call.output_shapes.is_empty())
                {
                    return Err(ConvertError::Unknown {
                        layer: layer.name.clone(),
                        class: layer.class_name.clone(),
                        reason: reason.clone(),
                    });
                }
                if !(options.allow_fallback && may_fall_back) {
                    return Err(ConvertError::NotConvertible {
                        layer: layer.name.clone(),
                        reason,
                        fallback_would_help: may_fall_back,
                    });
                }
                self.build.warnings.push(Warning::Fallback {
                    layer: layer.name.clone(),
                    reason,
                });
                Chosen::Fallback
            }
        };
        self.chosen.insert(path.clone(), chosen.clone());
        Ok(chosen)
    }
}

impl<'m> Walk<'m> {
    /// The way to convert a layer, or why there is none; and whether it may then fall back.
    fn way(&self, layer: &'m Layer) -> (Result<Chosen<'m>, String>, bool) {
        let options = self.build.options;
        let unregistered = || {
            Err(format!(
                "Layer type {} does not have a registered converter",
                type_name(&layer.class_name)
            ))
        };
        if let Some(converter) = self.registry.get(&layer.class_name) {
            let verdict = converter.convertible(layer, options);
            return (
                verdict.map(|()| Chosen::Custom(Arc::clone(converter))),
                converter.allow_fallback(),
            );
        }
        match (&layer.config, layer.config.kind()) {
            (LayerConfig::Model(model), _) => (Ok(Chosen::Model(model)), true),
            (LayerConfig::TimeDistributed { layer }, _) if options.temporal_model => {
                (Ok(Chosen::Wrapped(layer)), false)
            }
            (LayerConfig::TimeDistributed { .. }, _) if options.nengo_dl_compat => (
                Err(
                    "TimeDistributed layers can only be converted when temporal_model=True"
                        .to_owned(),
                ),
                false,
            ),
            (LayerConfig::TimeDistributed { layer }, _) => match each_step(layer) {
                Some(kind) => {
                    let verdict = kind.convertible(layer.layer_ref(), options);
                    (verdict.map(|()| Chosen::EachStep(layer, kind)), true)
                }
                None => (unregistered(), true),
            },
            (_, Some(kind)) => match kind.native() {
                Native::Never => (unregistered(), true),
                Native::Extended if options.nengo_dl_compat => (unregistered(), true),
                Native::Extended | Native::NengoDl => {
                    let verdict = kind.convertible(layer.layer_ref(), options);
                    (
                        verdict.map(|()| Chosen::Native(kind)),
                        kind.allow_fallback(),
                    )
                }
            },
            (_, None) => (unregistered(), true),
        }
    }
}

/// A layer that works along the last axis alone, so that all steps can go through it at once.
fn each_step(layer: &Layer) -> Option<&dyn LayerKind> {
    match &layer.config {
        LayerConfig::Dense(_)
        | LayerConfig::Flatten(_)
        | LayerConfig::Identity(_)
        | LayerConfig::Activation(_)
        | LayerConfig::Relu(_)
        | LayerConfig::LeakyRelu(_) => layer.config.kind(),
        _ => None,
    }
}

/// Adds a `TensorNode` that runs the whole layer, labelled with the layer's plain name. Several inputs stand
/// side by side in its own, and so do several outputs, each of which a node then reads.
fn fall_back(layer: &Layer, call: &mut LayerCall<'_, '_>) -> Result<Vec<Pre>, ConvertError> {
    let outputs = call.output_shapes()?;
    let shapes = (0..call.n_inputs())
        .map(|input| call.input_shape(input))
        .collect::<Result<Vec<_>, _>>()?;
    let sizes: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
    let size_in = sizes.iter().sum();
    let (func, shape_in): (Arc<dyn TensorFunc>, _) = match &shapes[..] {
        [shape] => (Arc::new(layer.clone()), shape.clone()),
        _ if call.options().nengo_dl_compat => {
            return Err(ConvertError::Validation {
                layer: layer.name.clone(),
                parameter: "TensorNode.shape_in",
                problem: "Element 0 must be an int (got type tuple)".into(),
            });
        }
        // It would change the number of items.
        _ if matches!(
            layer.config,
            LayerConfig::Concatenate(Concatenate { axis: 0 })
        ) =>
        {
            return Err(call.shape_error("it joins items along the batch axis".to_owned()));
        }
        _ => {
            let layer = layer.clone();
            (Arc::new(Joined { layer, shapes }), vec![size_in])
        }
    };
    let label = call.plain_label().to_owned();
    let of_outputs: Vec<usize> = outputs.iter().map(|shape| shape.iter().product()).collect();
    let size_out = of_outputs.iter().sum();
    let shape_out = match &outputs[..] {
        [shape] => shape.clone(),
        _ => vec![size_out],
    };
    let node = TensorNode {
        func,
        shape_in,
        shape_out,
    };
    let object = call.add_node(label, size_in, size_out, NodeKind::Tensor(node));
    let mut start = 0;
    for (input, &size) in sizes.iter().enumerate() {
        let place = (sizes.len() > 1).then(|| (start..start + size).collect());
        call.connect(
            object,
            Connect {
                input,
                post_slice: place,
                synapse: Some(None),
                ..Connect::default()
            },
        )?;
        start += size;
    }
    if outputs.len() == 1 {
        return Ok(vec![object.pre]);
    }
    let mut start = 0;
    (of_outputs.into_iter())
        .map(|size| {
            let places = start..start + size;
            start += size;
            call.part(object.pre, places)
        })
        .collect()
}

/// `true` if the model or one nested in it has a layer of this name.
fn has_layer(model: &Model, name: &str) -> bool {
    model.layers.iter().any(|layer| {
        layer.name == name
            || match &layer.config {
                LayerConfig::Model(model) => has_layer(model, name),
                LayerConfig::TimeDistributed { layer } => layer.name == name,
                _ => false,
            }
    })
}

/// The name that Keras gives to the input of the functional model made of a sequential one: the
/// next free one after the sequential model's own.
fn functional_input_name(name: &str) -> String {
    let taken = name
        .strip_prefix("input_")
        .and_then(|number| number.parse::<u32>().ok())
        .unwrap_or(0);
    format!("input_{}", u64::from(taken) + 1)
}

/// The sources behind some tensors.
fn sources(
    model: &Model,
    tensors: &[TensorRef],
    outputs: &Outputs,
) -> Result<Vec<Source>, ConvertError> {
    tensors
        .iter()
        .map(|tensor| {
            outputs
                .get(&(tensor.layer, tensor.call))
                .and_then(|sources| sources.get(tensor.tensor))
                .copied()
                .ok_or_else(|| no_such_tensor(model, *tensor))
        })
        .collect()
}

/// The shapes of some tensors.
fn shapes(model: &Model, tensors: &[TensorRef]) -> Result<Vec<Shape>, ConvertError> {
    (tensors.iter())
        .map(|&tensor| {
            (model.shape_of(tensor).cloned()).ok_or_else(|| no_such_tensor(model, tensor))
        })
        .collect()
}

fn no_such_tensor(model: &Model, tensor: TensorRef) -> ConvertError {
    ConvertError::Graph {
        model: model.name.clone(),
        problem: format!(
            "there is no tensor {} of call {} of layer {}",
            tensor.tensor, tensor.call, tensor.layer
        ),
    }
}

/// The calls that the outputs need, inputs first: a depth-first walk from the first output on, as
/// Keras orders the nodes of a functional model. Inputs that no output needs come last.
fn topological_order(model: &Model) -> Result<Vec<(usize, usize)>, ConvertError> {
    let mut order = Vec::new();
    let mut finished = BTreeSet::new();
    let mut in_progress = BTreeSet::new();
    for &output in model.outputs.iter().chain(&model.inputs) {
        let mut stack = vec![(output, 0)];
        while let Some((tensor, next)) = stack.pop() {
            let key = (tensor.layer, tensor.call);
            if next == 0 {
                if finished.contains(&key) {
                    continue;
                }
                if !in_progress.insert(key) {
                    return Err(ConvertError::Graph {
                        model: model.name.clone(),
                        problem: format!("call {} of layer {} needs itself", key.1, key.0),
                    });
                }
            }
            let call = model
                .layers
                .get(tensor.layer)
                .and_then(|layer| layer.calls.get(tensor.call))
                .ok_or_else(|| no_such_tensor(model, tensor))?;
            match call.inputs.get(next) {
                Some(&input) => {
                    stack.push((tensor, next + 1));
                    stack.push((input, 0));
                }
                None => {
                    in_progress.remove(&key);
                    finished.insert(key);
                    order.push(key);
                }
            }
        }
    }
    Ok(order)
}
