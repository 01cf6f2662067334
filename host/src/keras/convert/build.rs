//! The network while it is being made: walks the model's graph and collects objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::{LayerCall, Source};
use super::error::ConvertError;
use super::layers::Fallback;
use super::options::{ActivationType, ConvertOptions, ScaleFiringRates};
use super::registry::{LayerConverter, Registry, type_name};
use super::warning::Warning;
use super::{Conversion, LayerObject};
use crate::keras::model::{Layer, LayerConfig, Model, TensorRef};
use crate::keras::shape::MAX_ELEMENTS;
use crate::network::{
    Connection, Ensemble, EnsembleId, Network, Node, NodeId, NodeKind, Post, Pre, Probe, ProbeId,
    Subnetwork, SubnetworkId,
};

/// Where a layer stands: the index of each model layer that holds it, then its own.
pub(super) type LayerPath = Vec<usize>;

/// The outputs of each (layer, call) of one model.
type Outputs = BTreeMap<(usize, usize), Vec<Source>>;

/// A network under construction.
pub(super) struct Build<'m> {
    pub(super) options: &'m ConvertOptions,
    registry: &'m Registry,
    pub(super) network: Network,
    pub(super) warnings: Vec<Warning>,
    /// The network that new objects belong to.
    pub(super) subnetwork: Option<SubnetworkId>,
    /// Whether shapes begin with a time axis that objects do not see.
    pub(super) temporal: bool,
    swaps_read: Vec<bool>,
    converters: BTreeMap<LayerPath, Arc<dyn LayerConverter>>,
    /// How often a wrapped layer (of a TimeDistributed) has been called.
    pub(super) wrapped_calls: BTreeMap<LayerPath, usize>,
}

/// A converted model: its inputs' nodes, the objects of its outputs and layers.
pub(super) struct Converted {
    pub(super) inputs: Vec<NodeId>,
    pub(super) outputs: Vec<Source>,
    layers: Vec<LayerObject>,
}

impl<'m> Build<'m> {
    pub(super) fn new(options: &'m ConvertOptions, registry: &'m Registry) -> Self {
        Self {
            options,
            registry,
            network: Network::default(),
            warnings: Vec::new(),
            subnetwork: None,
            temporal: options.temporal_model,
            swaps_read: vec![false; options.swap_activations.len()],
            converters: BTreeMap::new(),
            wrapped_calls: BTreeMap::new(),
        }
    }

    /// Checks the factors of `scale_firing_rates`, and that each belongs to a layer.
    pub(super) fn check_scales(&mut self, model: &Model) -> Result<(), ConvertError> {
        let scales: Vec<(Option<&str>, f32)> = match &self.options.scale_firing_rates {
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
                && !self.options.nengo_dl_compat
                && !has_layer(model, layer)
            {
                self.warnings
                    .push(Warning::UnknownScaledLayer(layer.to_owned()));
            }
        }
        Ok(())
    }

    /// Converts the whole model and closes the network.
    pub(super) fn finish(mut self, model: &'m Model) -> Result<Conversion, ConvertError> {
        let converted = self.model(model, &mut LayerPath::new())?;
        let unused: Vec<ActivationType> = self
            .options
            .swap_activations
            .iter()
            .zip(&self.swaps_read)
            .filter(|(_, read)| !**read)
            .map(|((from, _), _)| from.clone())
            .collect();
        if !unused.is_empty() {
            self.warnings.push(Warning::UnusedSwaps(unused));
        }
        self.network.label = Some(model.name.clone());

        for (tensor, &node) in model.inputs.iter().zip(&converted.inputs) {
            let input = &mut self.network.nodes[node.0];
            input.size_in = 0;
            let layer = &model.layers[tensor.layer];
            let shape = layer
                .calls
                .get(tensor.call)
                .and_then(|call| call.output_shapes.get(tensor.tensor))
                .and_then(|shape| known(shape, self.temporal))
                .unwrap_or_else(|| vec![input.size_out]);
            input.kind = NodeKind::Input { shape };
            self.network.inputs.push((layer.name.clone(), node));
        }
        for (tensor, source) in model.outputs.iter().zip(&converted.outputs) {
            let label = model.layers[tensor.layer].name.clone();
            let synapse = match source.object {
                Pre::Neurons(_) => self.options.synapse,
                Pre::Node(_) => None,
            };
            let probe = ProbeId(self.network.probes.len());
            self.network.outputs.push((label.clone(), probe));
            self.network.probes.push(Probe {
                target: source.object,
                synapse,
                label,
            });
        }
        let order = Order::of(&self.network);
        let mut layers = converted.layers;
        for layer in &mut layers {
            layer.object = order.pre(layer.object);
        }
        Ok(Conversion {
            network: order.apply(self.network),
            warnings: self.warnings,
            layers,
        })
    }

    /// Converts the calls of one model in topological order.
    pub(super) fn model(
        &mut self,
        model: &'m Model,
        path: &mut LayerPath,
    ) -> Result<Converted, ConvertError> {
        if model.sequential {
            self.warnings.push(Warning::Sequential);
        }
        let mut outputs = Outputs::new();
        let mut layers = Vec::new();
        for (index, call) in topological_order(model)? {
            let layer = &model.layers[index];
            path.push(index);
            let inputs = sources(model, &layer.calls[call].inputs, &outputs)?;
            let made = self.layer(Call {
                layer,
                path,
                // A sequential model's layers have been called once before the converter makes a
                // functional model of them.
                number: call + usize::from(model.sequential),
                inputs,
                input_shapes: shapes(model, &layer.calls[call].inputs)?,
                output_shapes: layer.calls[call].output_shapes.clone(),
                label: match layer.config {
                    LayerConfig::Input { .. } if model.sequential => {
                        functional_input_name(&layer.name)
                    }
                    _ => layer.name.clone(),
                },
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
                (Pre::Node(node), LayerConfig::Input { .. }) => inputs.push(node),
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
    pub(super) fn layer(&mut self, call: Call<'_, 'm>) -> Result<Vec<Source>, ConvertError> {
        let converter = self.converter(call.layer, call.path)?;
        let channels_last = call.inputs.first().is_none_or(|input| input.channels_last);
        let mut layer_call = LayerCall::new(self, call, channels_last);
        let objects = converter.convert(&mut layer_call)?;
        let channels_last = layer_call.channels_last();
        Ok(objects
            .into_iter()
            .map(|object| Source {
                object,
                channels_last,
            })
            .collect())
    }

    /// The converter of a layer, chosen at its first use.
    fn converter(
        &mut self,
        layer: &Layer,
        path: &LayerPath,
    ) -> Result<Arc<dyn LayerConverter>, ConvertError> {
        if let Some(converter) = self.converters.get(path) {
            if converter.has_weights() && !self.options.split_shared_weights {
                return Err(ConvertError::SharedLayer {
                    layer: layer.name.clone(),
                    class: type_name(&layer.class_name).to_owned(),
                });
            }
            return Ok(Arc::clone(converter));
        }
        let registered = self.registry.get(&layer.class_name);
        let verdict = match registered {
            None => Err(format!(
                "Layer type {} does not have a registered converter",
                type_name(&layer.class_name)
            )),
            Some(converter) => converter.convertible(layer, self.options),
        };
        let converter: Arc<dyn LayerConverter> = match (registered, verdict) {
            (Some(converter), Ok(())) => Arc::clone(converter),
            (_, verdict) => {
                let reason = verdict.err().unwrap_or_default();
                let may_fall_back = registered.is_none_or(|c| c.allow_fallback());
                let inputs = layer.calls.first().map_or(1, |call| call.inputs.len());
                if inputs != 1 && may_fall_back && !self.options.nengo_dl_compat {
                    return Err(ConvertError::MultipleInputs {
                        layer: layer.name.clone(),
                        class: type_name(&layer.class_name).to_owned(),
                        inputs,
                        reason,
                    });
                }
                if !(self.options.allow_fallback && may_fall_back) {
                    return Err(ConvertError::NotConvertible {
                        layer: layer.name.clone(),
                        reason,
                        fallback_would_help: may_fall_back,
                    });
                }
                self.warnings.push(Warning::Fallback {
                    layer: layer.name.clone(),
                    reason,
                });
                Arc::new(Fallback)
            }
        };
        self.converters.insert(path.clone(), Arc::clone(&converter));
        Ok(converter)
    }

    /// What `swap_activations` makes of an activation.
    pub(super) fn swapped(&mut self, activation: ActivationType) -> ActivationType {
        let found = self
            .options
            .swap_activations
            .iter()
            .position(|(from, _)| *from == activation);
        match found {
            Some(i) => {
                self.swaps_read[i] = true;
                self.options.swap_activations[i].1.clone()
            }
            None => activation,
        }
    }

    pub(super) fn add_node(
        &mut self,
        label: String,
        size_in: usize,
        size_out: usize,
        kind: NodeKind,
    ) -> NodeId {
        self.network.nodes.push(Node {
            label,
            size_in,
            size_out,
            kind,
            subnetwork: self.subnetwork,
        });
        NodeId(self.network.nodes.len() - 1)
    }

    pub(super) fn add_ensemble(&mut self, ensemble: Ensemble) -> EnsembleId {
        self.network.ensembles.push(ensemble);
        EnsembleId(self.network.ensembles.len() - 1)
    }

    /// Opens a nested network; objects go there until [`Build::close`].
    pub(super) fn open(&mut self, label: String) -> Option<SubnetworkId> {
        let parent = self.subnetwork;
        self.network.subnetworks.push(Subnetwork { label, parent });
        self.subnetwork = Some(SubnetworkId(self.network.subnetworks.len() - 1));
        parent
    }

    pub(super) fn close(&mut self, parent: Option<SubnetworkId>) {
        self.subnetwork = parent;
    }

    /// The length of an object's output.
    pub(super) fn size_out(&self, pre: Pre) -> usize {
        match pre {
            Pre::Node(node) => self.network.nodes[node.0].size_out,
            Pre::Neurons(ensemble) => self.network.ensembles[ensemble.0].n_neurons,
        }
    }

    /// The length of an object's input.
    pub(super) fn size_in(&self, post: Post) -> usize {
        match post {
            Post::Node(node) => self.network.nodes[node.0].size_in,
            Post::Neurons(ensemble) => self.network.ensembles[ensemble.0].n_neurons,
        }
    }

    /// Adds a connection whose lengths must fit.
    pub(super) fn add_connection(
        &mut self,
        layer: &str,
        connection: Connection,
    ) -> Result<(), ConvertError> {
        let size_pre = self.size_out(connection.pre);
        let size_post = self.size_in(connection.post);
        let problem = |problem: String| ConvertError::Shape {
            layer: layer.to_owned(),
            problem,
        };
        let picked = |slice: &Option<Arc<[usize]>>, size: usize| match slice {
            Some(slice) => slice
                .iter()
                .all(|&i| i < size)
                .then_some(slice.len())
                .ok_or_else(|| problem(format!("a slice reaches beyond the {size} elements"))),
            None => Ok(size),
        };
        let from = picked(&connection.pre_slice, size_pre)?;
        let to = picked(&connection.post_slice, size_post)?;
        let (size_in, size_out) = (
            connection.transform.size_in(),
            connection.transform.size_out(),
        );
        if (size_in, size_out) != (from, to) {
            return Err(problem(format!(
                "a transform from {size_in} to {size_out} elements cannot connect {from} to {to}"
            )));
        }
        self.network.connections.push(connection);
        Ok(())
    }
}

/// One use of a layer, with what flows in.
pub(super) struct Call<'p, 'm> {
    pub(super) layer: &'m Layer,
    pub(super) path: &'p mut LayerPath,
    pub(super) number: usize,
    pub(super) label: String,
    pub(super) inputs: Vec<Source>,
    pub(super) input_shapes: Vec<Vec<Option<usize>>>,
    pub(super) output_shapes: Vec<Vec<Option<usize>>>,
}

/// The shape without its time axis, if every length is known and above 0, and the whole is no larger
/// than a model's tensors may be.
pub(super) fn known(shape: &[Option<usize>], temporal: bool) -> Option<Vec<usize>> {
    let shape: Vec<usize> = shape
        .iter()
        .skip(usize::from(temporal))
        .copied()
        .collect::<Option<_>>()?;
    let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    (1..=MAX_ELEMENTS).contains(&size).then_some(shape)
}

/// Whether the model or one nested in it has a layer of this name.
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
fn shapes(model: &Model, tensors: &[TensorRef]) -> Result<Vec<Vec<Option<usize>>>, ConvertError> {
    tensors
        .iter()
        .map(|tensor| {
            model
                .layers
                .get(tensor.layer)
                .and_then(|layer| layer.calls.get(tensor.call))
                .and_then(|call| call.output_shapes.get(tensor.tensor))
                .cloned()
                .ok_or_else(|| no_such_tensor(model, *tensor))
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

/// The order of objects in a finished network: those of the top network, then each nested
/// network's, in the order in which the networks were opened.
struct Order {
    nodes: Vec<usize>,
    ensembles: Vec<usize>,
}

impl Order {
    fn of(network: &Network) -> Self {
        Self {
            nodes: places(network.nodes.iter().map(|n| n.subnetwork)),
            ensembles: places(network.ensembles.iter().map(|e| e.subnetwork)),
        }
    }

    fn node(&self, node: NodeId) -> NodeId {
        NodeId(self.nodes[node.0])
    }

    fn pre(&self, pre: Pre) -> Pre {
        match pre {
            Pre::Node(node) => Pre::Node(self.node(node)),
            Pre::Neurons(ensemble) => Pre::Neurons(EnsembleId(self.ensembles[ensemble.0])),
        }
    }

    fn apply(&self, mut network: Network) -> Network {
        for connection in &mut network.connections {
            connection.pre = self.pre(connection.pre);
            connection.post = match connection.post {
                Post::Node(node) => Post::Node(self.node(node)),
                Post::Neurons(ensemble) => Post::Neurons(EnsembleId(self.ensembles[ensemble.0])),
            };
        }
        for probe in &mut network.probes {
            probe.target = self.pre(probe.target);
        }
        for (_, node) in &mut network.inputs {
            *node = self.node(*node);
        }
        network.nodes.sort_by_key(|node| node.subnetwork);
        network
            .ensembles
            .sort_by_key(|ensemble| ensemble.subnetwork);
        network
            .connections
            .sort_by_key(|connection| connection.subnetwork);
        network
    }
}

/// Where each object goes when they are sorted by network, keeping the order within each.
fn places(networks: impl Iterator<Item = Option<SubnetworkId>>) -> Vec<usize> {
    let networks: Vec<_> = networks.collect();
    let mut order: Vec<usize> = (0..networks.len()).collect();
    order.sort_by_key(|&i| networks[i]);
    let mut places = vec![0; networks.len()];
    for (place, object) in order.into_iter().enumerate() {
        places[object] = place;
    }
    places
}
