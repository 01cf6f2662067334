//! The call of a layer under conversion, as its converter sees it, and the objects that it adds.

use std::sync::Arc;

use super::error::ConvertError;
use super::objects::{Build, Source, known};
use super::options::{ActivationType, ConvertOptions};
use super::warning::Warning;
use crate::keras::activation::Activation;
use crate::keras::shape::Shape;
use crate::keras::weight::LayerRef;
use crate::network::{
    Connection, Diagonal, Ensemble, NeuronType, NodeKind, Post, Pre, Synapse, TensorNode, Transform,
};
use crate::tensor::Tensor;

/// The two ends of one call of a layer: its place in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// The end that the layer's inputs connect to.
    pub post: Post,
    /// The end that has the layer's output.
    pub pre: Pre,
}

impl Object {
    pub(crate) fn node(node: crate::network::NodeId) -> Self {
        Self {
            post: Post::Node(node),
            pre: Pre::Node(node),
        }
    }

    fn neurons(ensemble: crate::network::EnsembleId) -> Self {
        Self {
            post: Post::Neurons(ensemble),
            pre: Pre::Neurons(ensemble),
        }
    }
}

/// Settings of a connection from one of the call's inputs to an object.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    /// The number of the input.
    pub input: usize,
    /// The places of the input that are read; `None` for all.
    pub pre_slice: Option<Arc<[usize]>>,
    /// The places of the object that are written; `None` for all.
    pub post_slice: Option<Arc<[usize]>>,
    /// The transform; `None` for the identity.
    pub transform: Option<Transform>,
    /// A filter instead of the one that the options give to the output of ensembles.
    pub synapse: Option<Option<Synapse>>,
    /// `true` if training would change the transform.
    pub trainable: bool,
}

/// One call of a layer under conversion.
pub struct LayerCall<'b, 'm> {
    build: &'b mut Build<'m>,
    call: Call<'m>,
    channels_last: bool,
}

/// One use of a layer, with what flows in.
#[derive(Clone)]
pub(crate) struct Call<'m> {
    pub(crate) layer: LayerRef<'m>,
    pub(crate) number: usize,
    pub(crate) label: String,
    pub(crate) inputs: Vec<Source>,
    pub(crate) input_shapes: Vec<Shape>,
    pub(crate) output_shapes: Vec<Shape>,
}

impl<'b, 'm> LayerCall<'b, 'm> {
    pub(crate) fn new(build: &'b mut Build<'m>, call: Call<'m>) -> Self {
        let channels_last = call.inputs.first().is_none_or(|input| input.channels_last);
        Self {
            build,
            call,
            channels_last,
        }
    }

    /// The layer.
    #[must_use]
    pub fn layer(&self) -> LayerRef<'m> {
        self.call.layer
    }

    /// The converter's options.
    #[must_use]
    pub fn options(&self) -> &'m ConvertOptions {
        self.build.options
    }

    /// The label of this call's object: `layer.<k>`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}.{}", self.call.label, self.call.number)
    }

    /// The layer's name without the call's number.
    pub(crate) fn plain_label(&self) -> &str {
        &self.call.label
    }

    /// The number of inputs that the call has.
    #[must_use]
    pub fn n_inputs(&self) -> usize {
        self.call.inputs.len()
    }

    /// The object behind an input.
    ///
    /// # Errors
    /// If the call has no such input.
    pub fn input(&self, input: usize) -> Result<Pre, ConvertError> {
        self.call
            .inputs
            .get(input)
            .map(|source| source.object)
            .ok_or_else(|| self.shape_error(format!("there is no input {input}")))
    }

    /// The shape of an input, without batch and time.
    ///
    /// # Errors
    /// If the call has no such input, or a length is unknown.
    pub fn input_shape(&self, input: usize) -> Result<Vec<usize>, ConvertError> {
        self.call
            .input_shapes
            .get(input)
            .and_then(|shape| known(shape, self.build.temporal))
            .ok_or_else(|| {
                self.shape_error(format!(
                    "the shape of input {input} is not known, empty or too large"
                ))
            })
    }

    /// The shape of the first output, without batch and time.
    ///
    /// # Errors
    /// If a length is unknown.
    pub fn output_shape(&self) -> Result<Vec<usize>, ConvertError> {
        self.call
            .output_shapes
            .first()
            .and_then(|shape| known(shape, self.build.temporal))
            .ok_or_else(|| {
                self.shape_error("the shape of the output is not known, empty or too large".into())
            })
    }

    /// The shapes of all outputs, without the batch axis, and without a temporal model's time axis.
    pub(crate) fn output_shapes(&self) -> Result<Vec<Vec<usize>>, ConvertError> {
        self.output_shape()?;
        let temporal = self.build.temporal;
        (self.call.output_shapes.iter())
            .map(|shape| {
                known(shape, temporal).ok_or_else(|| {
                    self.shape_error(
                        "the shape of an output is not known, empty or too large".into(),
                    )
                })
            })
            .collect()
    }

    /// The output's shape as the model has it.
    pub(crate) fn raw_output_shape(&self) -> &[Option<usize>] {
        self.call.output_shapes.first().map_or(&[], Vec::as_slice)
    }

    /// `true` if shapes begin with a time axis that objects do not see.
    pub(crate) fn temporal(&self) -> bool {
        self.build.temporal
    }

    /// `true` if the output's channels come last.
    #[must_use]
    pub fn channels_last(&self) -> bool {
        self.channels_last
    }

    /// States whether the output's channels come last; otherwise that is as in the first input.
    pub fn set_channels_last(&mut self, channels_last: bool) {
        self.channels_last = channels_last;
    }

    /// A weight of the layer, which must have this shape.
    ///
    /// # Errors
    /// If the weight is missing or has another shape.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Result<&'m Tensor, ConvertError> {
        let error = |problem: String| ConvertError::Weight {
            layer: self.name(),
            weight: name.to_owned(),
            problem,
        };
        let weight = self
            .call
            .layer
            .weight(name)
            .ok_or_else(|| error("is missing".into()))?;
        if weight.shape() != shape {
            return Err(error(format!(
                "has the shape {:?}, but the layer's configuration says {shape:?}",
                weight.shape()
            )));
        }
        Ok(weight)
    }

    /// An error about this layer's shapes.
    #[must_use]
    pub fn shape_error(&self, problem: String) -> ConvertError {
        ConvertError::Shape {
            layer: self.name(),
            problem,
        }
    }

    /// Adds a warning.
    pub fn warn(&mut self, warning: Warning) {
        self.build.warnings.push(warning);
    }

    /// Adds a node of this kind.
    pub fn add_node(
        &mut self,
        label: String,
        size_in: usize,
        size_out: usize,
        kind: NodeKind,
    ) -> Object {
        Object::node(self.build.add_node(label, size_in, size_out, kind))
    }

    /// Adds the object of this call: a passthrough node if `activation` is `None` or linear, an
    /// ensemble if it is (mapped or swapped to) a neuron type, else a `TensorNode`. `biases`, one
    /// for each element of the output, go to the ensemble, or to a bias node.
    ///
    /// # Errors
    /// If the activation has no native form and may not fall back, or sizes do not fit.
    pub fn add_object(
        &mut self,
        activation: Option<ActivationType>,
        biases: Option<Tensor>,
    ) -> Result<Object, ConvertError> {
        let name = self.label();
        let shape = self.output_shape()?;
        let size = shape.iter().product();
        if let Some(biases) = biases.as_ref().filter(|biases| biases.len() != size) {
            return Err(self.shape_error(format!(
                "{} biases cannot belong to {size} outputs",
                biases.len()
            )));
        }
        let activation = activation.map(|activation| self.build.swapped(activation));
        let object = match self.resolve(activation) {
            Resolved::Linear => self.add_node(name.clone(), size, size, NodeKind::Passthrough),
            Resolved::Neuron(neuron_type) => {
                return self.add_ensemble(name, neuron_type, biases, None);
            }
            Resolved::Clipped(maximum) => {
                self.add_clipped(&name, Activation::Relu.into(), maximum)?
            }
            Resolved::Unsupported(activation) => {
                if !self.options().allow_fallback {
                    return Err(ConvertError::UnsupportedActivation {
                        layer: self.name(),
                        activation,
                    });
                }
                self.warn(Warning::ActivationFallback {
                    layer: self.name(),
                    activation: activation.clone(),
                });
                let ActivationType::Keras(activation) = activation else {
                    return Err(ConvertError::UnsupportedActivation {
                        layer: self.name(),
                        activation,
                    });
                };
                self.add_node(
                    name.clone(),
                    size,
                    size,
                    NodeKind::Tensor(TensorNode {
                        func: Arc::new(activation),
                        shape_in: shape.clone(),
                        shape_out: shape,
                    }),
                )
            }
        };
        if let Some(biases) = biases {
            self.add_bias_node(format!("{name}.bias"), &biases, object.post)?;
        }
        Ok(object)
    }

    /// Adds the object of an activation layer, and connects the input to it.
    pub(crate) fn add_activation(
        &mut self,
        activation: ActivationType,
    ) -> Result<Vec<Pre>, ConvertError> {
        let object = self.add_object(Some(activation), None)?;
        self.connect(object, Connect::default())?;
        Ok(vec![object.pre])
    }

    /// Adds an ensemble of the size of the output, with the firing rates scaled as the options say.
    ///
    /// # Errors
    /// If the output's shape is not known.
    pub fn add_ensemble(
        &mut self,
        label: String,
        neuron_type: NeuronType,
        biases: Option<Tensor>,
        initial_voltage: Option<Tensor>,
    ) -> Result<Object, ConvertError> {
        let shape = self.output_shape()?;
        let mut neuron_type = neuron_type;
        let mut bias = biases;
        let scale = self.options().scale_firing_rates.of(self.call.layer.name);
        if let Some(scale) = scale {
            bias = bias.map(|bias| bias.map(|b| b * scale));
            match neuron_type.amplitude_mut() {
                Some(amplitude) => *amplitude /= scale,
                None => self.warn(Warning::NoAmplitude {
                    layer: self.name(),
                    neuron_type: neuron_type.clone(),
                }),
            }
        }
        let ensemble = Ensemble {
            label,
            n_neurons: shape.iter().product(),
            neuron_type: neuron_type.into(),
            gain: scale.unwrap_or(1.0).into(),
            bias_trainable: if bias.is_some() { None } else { Some(false) },
            bias,
            shape,
            channels_last: self.channels_last,
            initial_voltage,
            subnetwork: self.build.subnetwork,
        };
        Ok(Object::neurons(self.build.add_ensemble(ensemble)))
    }

    /// Adds a constant source of 1 and connects it to `post` with these weights.
    ///
    /// # Errors
    /// If the biases do not fit `post`.
    pub fn add_bias_node(
        &mut self,
        label: String,
        biases: &Tensor,
        post: Post,
    ) -> Result<(), ConvertError> {
        let weights = biases
            .reshaped(vec![biases.len(), 1])
            .ok_or_else(|| self.shape_error("biases have no shape".into()))?;
        let bias = self.add_node(
            label,
            0,
            1,
            NodeKind::Constant(Tensor::filled(vec![1], 1.0)),
        );
        self.connect_objects(bias.pre, post, Transform::Dense(weights), None)
    }

    /// Adds a node that reads some places of an object.
    ///
    /// # Errors
    /// If the places are not the object's.
    pub(crate) fn part(
        &mut self,
        from: Pre,
        places: std::ops::Range<usize>,
    ) -> Result<Pre, ConvertError> {
        let label = format!("{}.output", self.label());
        let size = places.len();
        let node = self.add_node(label, size, size, NodeKind::Passthrough);
        self.add_connection(Connection {
            pre_slice: Some(places.collect()),
            subnetwork: self.build.subnetwork,
            ..Connection::new(from, node.post, Transform::Identity(size))
        })?;
        Ok(node.pre)
    }

    /// Connects two objects without a filter.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn connect_objects(
        &mut self,
        pre: Pre,
        post: Post,
        transform: Transform,
        trainable: Option<bool>,
    ) -> Result<(), ConvertError> {
        self.add_connection(Connection {
            trainable,
            subnetwork: self.build.subnetwork,
            ..Connection::new(pre, post, transform)
        })
    }

    /// Connects the output of one of the layer's own ensembles, filtered as any ensemble's.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn connect_neurons(
        &mut self,
        pre: Pre,
        post: Post,
        transform: Transform,
    ) -> Result<(), ConvertError> {
        self.add_connection(Connection {
            synapse: self.options().synapse,
            trainable: Some(false),
            subnetwork: self.build.subnetwork,
            ..Connection::new(pre, post, transform)
        })
    }

    /// Adds the object of a call that is nothing but a transform of its input, and returns its output.
    ///
    /// # Errors
    /// If the lengths do not fit.
    pub fn through(&mut self, transform: Transform) -> Result<Vec<Pre>, ConvertError> {
        let object = self.add_object(None, None)?;
        let connect = Connect {
            transform: Some(transform),
            ..Connect::default()
        };
        self.connect(object, connect)?;
        Ok(vec![object.pre])
    }

    /// Connects one of the call's inputs to an object. The output of an ensemble gets the filter of
    /// the options.
    ///
    /// # Errors
    /// If the call has no such input, or the lengths do not fit.
    pub fn connect(&mut self, object: Object, connect: Connect) -> Result<(), ConvertError> {
        let pre = self.input(connect.input)?;
        let synapse = connect.synapse.unwrap_or(match pre {
            Pre::Neurons(_) => self.options().synapse,
            Pre::Node(_) => None,
        });
        let transform = connect.transform.unwrap_or_else(|| {
            Transform::Identity(match &connect.pre_slice {
                Some(slice) => slice.len(),
                None => self.build.size_out(pre),
            })
        });
        self.add_connection(Connection {
            pre,
            pre_slice: connect.pre_slice,
            post: object.post,
            post_slice: connect.post_slice,
            transform,
            synapse,
            trainable: Some(connect.trainable),
            subnetwork: self.build.subnetwork,
        })
    }

    fn name(&self) -> String {
        self.call.layer.name.to_owned()
    }

    fn add_connection(&mut self, connection: Connection) -> Result<(), ConvertError> {
        self.build.add_connection(self.call.layer.name, connection)
    }

    /// The neuron type that an activation becomes in this network, after all swaps.
    ///
    /// # Errors
    /// If it is swapped to something that is not a neuron type.
    pub(crate) fn neuron_type(
        &mut self,
        activation: ActivationType,
    ) -> Result<NeuronType, ConvertError> {
        let swapped = self.build.swapped(activation.clone());
        match self.resolve(Some(swapped)) {
            Resolved::Neuron(neuron_type) => Ok(neuron_type),
            _ => Err(ConvertError::UnsupportedActivation {
                layer: self.name(),
                activation,
            }),
        }
    }

    /// The form of an activation in Nengo: through the default map, then `swap_activations` again.
    fn resolve(&mut self, activation: Option<ActivationType>) -> Resolved {
        let native = !self.options().nengo_dl_compat;
        let Some(activation) = activation else {
            return Resolved::Linear;
        };
        let neuron_type = match activation {
            ActivationType::Keras(function) => match function.neuron_type(native) {
                Some(Some(neuron_type)) => neuron_type,
                Some(None) => return Resolved::Linear,
                None if native && function == Activation::Relu6 => {
                    return Resolved::Clipped(6.0);
                }
                None => return Resolved::Unsupported(function.into()),
            },
            ActivationType::Neuron(neuron_type) => neuron_type,
        };
        match self.build.swapped(neuron_type.into()) {
            ActivationType::Neuron(neuron_type) => Resolved::Neuron(neuron_type),
            ActivationType::Keras(function) => match function.neuron_type(native) {
                Some(Some(neuron_type)) => Resolved::Neuron(neuron_type),
                Some(None) => Resolved::Linear,
                None => Resolved::Unsupported(function.into()),
            },
        }
    }
}

/// The form of an activation in Nengo.
enum Resolved {
    Linear,
    Neuron(NeuronType),
    /// A rectifier with this maximum.
    Clipped(f32),
    Unsupported(ActivationType),
}

impl LayerCall<'_, '_> {
    /// Adds min(f(x), maximum), f being this (leaky) rectifier, as f(x) - relu(x - maximum): two
    /// ensembles between an input node and the node of the call.
    pub(crate) fn add_clipped(
        &mut self,
        name: &str,
        activation: ActivationType,
        maximum: f32,
    ) -> Result<Object, ConvertError> {
        let neuron_type = self.neuron_type(activation)?;
        let rectifier = self.neuron_type(Activation::Relu.into())?;
        let size: usize = self.output_shape()?.iter().product();
        let current = self.add_node(format!("{name}.input"), size, size, NodeKind::Passthrough);
        let below = self.add_ensemble(format!("{name}.rectified"), neuron_type, None, None)?;
        let above = self.add_ensemble(
            format!("{name}.excess"),
            rectifier,
            Some(Tensor::filled(vec![size], -maximum)),
            None,
        )?;
        let output = self.add_node(name.to_owned(), size, size, NodeKind::Passthrough);
        for ensemble in [below, above] {
            self.connect_objects(
                current.pre,
                ensemble.post,
                Transform::Identity(size),
                Some(false),
            )?;
        }
        self.connect_neurons(below.pre, output.post, Transform::Identity(size))?;
        self.connect_neurons(above.pre, output.post, scaling(size, -1.0))?;
        Ok(Object {
            post: current.post,
            pre: output.pre,
        })
    }
}

/// The same factor on every element.
pub(crate) fn scaling(size: usize, factor: f32) -> Transform {
    Transform::Diagonal(Diagonal {
        size,
        factor: Tensor::filled(Vec::new(), factor),
    })
}
