//! A trained Keras model as data: the result of an import.
//!
//! A [`Model`] is a directed acyclic graph of layer *calls*. A layer that is shared is one [`Layer`]
//! with several calls. Shapes never contain the batch axis.

pub use super::activation::{Activation, Parameter};
use super::args::Args;
use super::class::Class;
use super::layers::kind::LayerKind;
pub use super::layers::*;
pub use super::penalty::{Penalties, Penalty};
pub use super::shape::DataFormat;
use super::shape::Shape;
use super::weight::LayerRef;
pub use super::weight::Weight;
pub use crate::ops::Padding;
use crate::tensor::Tensor;

/// A Keras model: functional, or sequential (which is a functional model with one chain).
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// `true` if the file held a `Sequential` model.
    pub sequential: bool,
    /// The layers in the file's order.
    pub layers: Vec<Layer>,
    /// The model's inputs, in the order in which a caller gives them.
    pub inputs: Vec<TensorRef>,
    /// The model's outputs.
    pub outputs: Vec<TensorRef>,
    /// The `keras_version` that wrote the file, if it says so.
    pub keras_version: Option<String>,
}

/// One tensor of the graph: output `tensor` of call `call` of layer `layer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorRef {
    /// Index into [`Model::layers`].
    pub layer: usize,
    /// The number of the use of the layer.
    pub call: usize,
    /// The number of the call's output.
    pub tensor: usize,
}

/// A layer with its weights, and every place where it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The layer's name, unique in its model.
    pub name: String,
    /// The Keras class, such as `Conv2D`; with its package if it is not Keras's own.
    pub class_name: String,
    /// `true` if Keras would train it.
    pub trainable: bool,
    /// The class of the layer, with its arguments.
    pub config: LayerConfig,
    /// Its weights in Keras's order (a kernel, then a bias ...).
    pub weights: Vec<Weight>,
    /// Its uses. An `InputLayer` has one call without inputs.
    pub calls: Vec<Call>,
}

/// One use of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The tensors that it is applied to.
    pub inputs: Vec<TensorRef>,
    /// The shape of each output, without the batch axis; `None` for an axis of unknown length.
    pub output_shapes: Vec<Shape>,
}

impl Model {
    /// The shape of a tensor, if it is known.
    #[must_use]
    pub fn shape_of(&self, tensor: TensorRef) -> Option<&Shape> {
        self.layers
            .get(tensor.layer)?
            .calls
            .get(tensor.call)?
            .output_shapes
            .get(tensor.tensor)
    }
}

/// No model that takes values up to 1 or so multiplies them first by less than this.
const SMALLEST_SCALE: f64 = 1.0 / 16.0;

impl Model {
    /// Tells whether the last function of the first output is a sigmoid, which is one half at 0.
    #[must_use]
    pub fn ends_in_sigmoid(&self) -> bool {
        let mut last = self.outputs.first().copied();
        // No chain is longer than there are layers.
        for _ in &self.layers {
            let Some(layer) = last.and_then(|tensor| self.layers.get(tensor.layer)) else {
                return false;
            };
            match &layer.config {
                LayerConfig::Dense(dense) => return dense.activation == Activation::Sigmoid,
                LayerConfig::Activation(only) => return only.activation == Activation::Sigmoid,
                LayerConfig::Model(model) => return model.ends_in_sigmoid(),
                LayerConfig::Flatten(_) | LayerConfig::Reshape(_) | LayerConfig::Identity(_) => {
                    let call = last.and_then(|tensor| layer.calls.get(tensor.call));
                    last = call.and_then(|call| call.inputs.first()).copied();
                }
                _ => return false,
            }
        }
        false
    }

    /// Tells whether an input takes bytes as they are: it is of an integer type, or the first function of its
    /// values scales them down or normalizes larger ones.
    #[must_use]
    pub fn takes_bytes(&self, input: usize) -> bool {
        let Some(input) = self.inputs.get(input) else {
            return false;
        };
        if let Some(LayerConfig::Input(Input { integers: true, .. })) =
            self.layers.get(input.layer).map(|layer| &layer.config)
        {
            return true;
        }
        let mut seen = vec![*input];
        let mut at = 0;
        while let Some(&tensor) = seen.get(at) {
            at += 1;
            for (index, layer) in self.layers.iter().enumerate() {
                let calls = layer.calls.iter().enumerate();
                let place = |call: &Call| call.inputs.iter().position(|t| *t == tensor);
                for (call, place) in calls.filter_map(|(at, call)| Some((at, place(call)?))) {
                    match &layer.config {
                        LayerConfig::Rescaling(Rescaling { scale, .. })
                            if scale.iter().all(|s| s.abs() < SMALLEST_SCALE) =>
                        {
                            return true;
                        }
                        LayerConfig::Normalization(own) if !own.invert => {
                            let learned = layer.weight("variance").map(Tensor::data);
                            let learned = learned.unwrap_or_default().iter().copied();
                            let given = own.variance.iter().flatten().map(|v| *v as f32);
                            // Values up to 1 vary by less.
                            if learned.chain(given).any(|variance| variance > 1.0) {
                                return true;
                            }
                        }
                        LayerConfig::BatchNormalization(_) => {
                            let learned = layer.weight("moving_variance").map(Tensor::data);
                            if learned.unwrap_or_default().iter().any(|v| *v > 1.0) {
                                return true;
                            }
                        }
                        LayerConfig::Model(model) if model.takes_bytes(place) => return true,
                        LayerConfig::Flatten(_)
                        | LayerConfig::Reshape(_)
                        | LayerConfig::Permute(_)
                        | LayerConfig::ZeroPadding(_)
                        | LayerConfig::Cropping(_)
                        | LayerConfig::Resizing(_)
                        | LayerConfig::Identity(_) => seen.push(TensorRef {
                            layer: index,
                            call,
                            tensor: 0,
                        }),
                        _ => {}
                    }
                }
            }
        }
        false
    }
}

impl Layer {
    /// The weight with this role.
    #[must_use]
    pub fn weight(&self, name: &str) -> Option<&Tensor> {
        self.layer_ref().weight(name)
    }

    /// The layer without what its class does.
    pub(crate) fn layer_ref(&self) -> LayerRef<'_> {
        LayerRef {
            name: &self.name,
            class_name: &self.class_name,
            trainable: self.trainable,
            weights: &self.weights,
        }
    }
}

/// Makes [`LayerConfig`] of the layer classes, each of which implements [`LayerKind`].
macro_rules! layers {
    ($($class:ident($arguments:ident),)*) => {
        /// Layer class with Keras's arguments. Arguments that a layer class does not have are
        /// at their defaults.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "the arguments of each layer class tell of it")]
        #[non_exhaustive]
        pub enum LayerConfig {
            $($class($arguments),)*
            /// A layer that runs at every step of its input.
            TimeDistributed {
                /// The layer.
                layer: Box<Layer>,
            },
            /// A model used as a layer.
            Model(Box<Model>),
            /// A layer that this importer does not know: it can be listed, but not run.
            Unknown {
                /// Its arguments.
                config: serde_json::Value,
                /// Reason why it cannot be run, and the remedy, as the rest of a sentence.
                reason: String,
            },
        }

        impl LayerConfig {
            /// The layer's class; `None` for what holds other layers, and for an unknown layer.
            pub(crate) fn kind(&self) -> Option<&dyn LayerKind> {
                match self {
                    $(Self::$class(kind) => Some(kind),)*
                    Self::TimeDistributed { .. } | Self::Model(_) | Self::Unknown { .. } => None,
                }
            }

            /// The same, to change it.
            pub(crate) fn kind_mut(&mut self) -> Option<&mut dyn LayerKind> {
                match self {
                    $(Self::$class(kind) => Some(kind),)*
                    Self::TimeDistributed { .. } | Self::Model(_) | Self::Unknown { .. } => None,
                }
            }

            /// `true` if a class is one of these.
            pub(crate) fn knows(class: &Class) -> bool {
                $($arguments::origin() == class.origin
                    && $arguments::names().contains(&class.base.as_str()))||*
            }

            /// Reads the arguments of a layer of a known class; `None` for any other.
            pub(crate) fn read(class: &Class, args: &Args<'_>) -> Result<Option<Self>, String> {
                $(if $arguments::origin() == class.origin
                    && $arguments::names().contains(&class.base.as_str())
                {
                    return Ok($arguments::read(&class.base, args)?.map(Self::$class));
                })*
                Ok(None)
            }
        }

        $(impl From<$arguments> for LayerConfig {
            fn from(arguments: $arguments) -> Self {
                Self::$class(arguments)
            }
        })*
    };
}

layers! {
    Input(Input),
    Conv(Conv),
    ConvTranspose(ConvTranspose),
    DepthwiseConv(DepthwiseConv),
    SeparableConv(SeparableConv),
    Dense(Dense),
    Activation(ActivationLayer),
    Relu(Relu),
    LeakyRelu(LeakyRelu),
    PRelu(PRelu),
    Elu(Elu),
    Softmax(Softmax),
    Merge(Merge),
    Concatenate(Concatenate),
    Flatten(Flatten),
    Reshape(Reshape),
    Permute(Permute),
    RepeatVector(RepeatVector),
    Pool(Pool),
    GlobalPool(GlobalPool),
    BatchNormalization(BatchNormalization),
    LayerNormalization(LayerNormalization),
    LayerScale(LayerScale),
    UpSampling(UpSampling),
    ZeroPadding(ZeroPadding),
    Cropping(Cropping),
    Rescaling(Rescaling),
    Normalization(Normalization),
    Resizing(Resizing),
    Reduce(Reduce),
    Slice(Slice),
    Identity(Identity),
    Masking(Masking),
    Embedding(Embedding),
    Recurrent(Recurrent),
    Bidirectional(Bidirectional),
    Attention(Attention),
    MultiHeadAttention(MultiHeadAttention),
    Dot(Dot),
    GroupNormalization(GroupNormalization),
    UnitNormalization(UnitNormalization),
    Function(Function),
    LengthsOfOne(LengthsOfOne),
    SpikingActivation(SpikingActivation),
    Filter(Filter),
    ConvLstm(ConvLstm),
    LocallyConnected(LocallyConnected),
    EinsumDense(EinsumDense),
    CategoryEncoding(CategoryEncoding),
    Discretization(Discretization),
    RmsNormalization(RmsNormalization),
}
