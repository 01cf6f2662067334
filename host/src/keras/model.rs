//! A trained Keras model as data: what the importer makes of a file, and all that later stages know of Keras.
//!
//! A [`Model`] is a directed acyclic graph of layer *calls*. A layer that is shared is one [`Layer`]
//! with several calls. Shapes never contain the batch axis.

use std::fmt;

use crate::tensor::Tensor;

/// A Keras model: functional, or sequential (which is a functional model with one chain).
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// Whether the file held a `Sequential` model.
    pub sequential: bool,
    /// The layers in the file's order.
    pub layers: Vec<Layer>,
    /// The model's inputs, in the order in which a caller gives them.
    pub inputs: Vec<TensorRef>,
    /// The model's outputs.
    pub outputs: Vec<TensorRef>,
    /// The `keras_version` that wrote the file, where it says so.
    pub keras_version: Option<String>,
}

/// One tensor of the graph: output `tensor` of call `call` of layer `layer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorRef {
    /// Index into [`Model::layers`].
    pub layer: usize,
    /// Which use of the layer.
    pub call: usize,
    /// Which of the call's outputs.
    pub tensor: usize,
}

/// A layer with its weights, and every place where it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The layer's name, unique in its model.
    pub name: String,
    /// The Keras class, such as `Conv2D`; with its package where it is not Keras's own.
    pub class_name: String,
    /// Whether Keras would train it.
    pub trainable: bool,
    /// What the layer does.
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
    pub output_shapes: Vec<Vec<Option<usize>>>,
}

/// A named weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its role: `kernel`, `bias`, `gamma` ..., without the layer's name.
    pub name: String,
    /// Its values.
    pub value: Tensor,
}

impl Layer {
    /// The weight with this role.
    #[must_use]
    pub fn weight(&self, name: &str) -> Option<&Tensor> {
        self.weights
            .iter()
            .find(|w| w.name == name)
            .map(|w| &w.value)
    }
}

/// Where the channel axis stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DataFormat {
    /// Channels on the last axis.
    #[default]
    ChannelsLast,
    /// Channels on the first axis after the batch.
    ChannelsFirst,
}

pub use crate::ops::Padding;

/// An activation function by its Keras name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the Keras function of that name")]
pub enum Activation {
    Linear,
    Relu,
    Sigmoid,
    Tanh,
    Softmax,
    Elu,
    Selu,
    Relu6,
    Softplus,
    Softsign,
    Swish,
    Gelu,
    Exponential,
    HardSigmoid,
    LeakyRelu,
    Mish,
    LogSoftmax,
}

/// A regularizer or constraint, kept for messages only.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    /// The Keras module and class, such as `keras.regularizers.L2`.
    pub class: String,
    /// Its configuration.
    pub config: serde_json::Value,
}

/// The training-only arguments of a layer with weights.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Penalties {
    pub kernel_regularizer: Option<Penalty>,
    pub bias_regularizer: Option<Penalty>,
    pub activity_regularizer: Option<Penalty>,
    pub kernel_constraint: Option<Penalty>,
    pub bias_constraint: Option<Penalty>,
}

/// A convolution over `rank` axes. The kernel's shape is `[k.., in / groups, filters]`; a depthwise
/// one's is `[k.., in, depth_multiplier]`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Keras argument of that name")]
pub struct Conv {
    pub rank: usize,
    pub filters: usize,
    pub kernel_size: Vec<usize>,
    pub strides: Vec<usize>,
    pub padding: Padding,
    pub data_format: DataFormat,
    pub dilation_rate: Vec<usize>,
    pub groups: usize,
    pub use_bias: bool,
    pub activation: Activation,
    pub penalties: Penalties,
}

/// What a pooling layer takes of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PoolKind {
    Average,
    Max,
}

/// What a layer does, with Keras's arguments. Arguments that a layer class does not have are at
/// their defaults.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each is the Keras layer or argument of that name"
)]
#[non_exhaustive]
pub enum LayerConfig {
    /// An input; `None` for an axis of unknown length.
    Input {
        shape: Vec<Option<usize>>,
    },
    Conv(Conv),
    /// Conv1DTranspose to Conv3DTranspose.
    ConvTranspose(Conv),
    DepthwiseConv {
        conv: Conv,
        depth_multiplier: usize,
    },
    SeparableConv {
        conv: Conv,
        depth_multiplier: usize,
    },
    Dense {
        units: usize,
        use_bias: bool,
        activation: Activation,
        penalties: Penalties,
    },
    Activation {
        activation: Activation,
    },
    Relu {
        max_value: Option<f64>,
        negative_slope: f64,
        threshold: f64,
    },
    LeakyRelu {
        negative_slope: f64,
    },
    PRelu {
        shared_axes: Vec<usize>,
    },
    Elu {
        alpha: f64,
    },
    Softmax {
        axis: isize,
    },
    Add,
    Average,
    Subtract,
    Multiply,
    Maximum,
    Minimum,
    /// `axis` as Keras has it: it counts the batch axis as 0, and may be negative.
    Concatenate {
        axis: isize,
    },
    Flatten {
        data_format: DataFormat,
    },
    Reshape {
        target_shape: Vec<isize>,
    },
    /// `dims` counts from 1.
    Permute {
        dims: Vec<usize>,
    },
    RepeatVector {
        n: usize,
    },
    Pool {
        kind: PoolKind,
        rank: usize,
        pool_size: Vec<usize>,
        strides: Vec<usize>,
        padding: Padding,
        data_format: DataFormat,
    },
    GlobalPool {
        kind: PoolKind,
        rank: usize,
        data_format: DataFormat,
        keepdims: bool,
    },
    /// `axis` counts the batch axis as 0. Weights: gamma, beta, moving_mean, moving_variance.
    BatchNormalization {
        axis: isize,
        epsilon: f64,
        center: bool,
        scale: bool,
    },
    LayerNormalization {
        axis: Vec<isize>,
        epsilon: f64,
        center: bool,
        scale: bool,
    },
    UpSampling {
        rank: usize,
        size: Vec<usize>,
        data_format: DataFormat,
        /// `nearest`, `bilinear` ...
        interpolation: String,
    },
    /// A pair (before, after) for each axis.
    ZeroPadding {
        rank: usize,
        padding: Vec<(usize, usize)>,
        data_format: DataFormat,
    },
    Cropping {
        rank: usize,
        cropping: Vec<(usize, usize)>,
        data_format: DataFormat,
    },
    Rescaling {
        scale: Vec<f64>,
        offset: Vec<f64>,
    },
    Dropout {
        rate: f64,
    },
    /// GaussianNoise, GaussianDropout, AlphaDropout, SpatialDropout1-3D, ActivityRegularization:
    /// the identity at inference.
    Noise,
    Embedding {
        input_dim: usize,
        output_dim: usize,
    },
    SimpleRnn {
        units: usize,
        activation: Activation,
        use_bias: bool,
        return_sequences: bool,
        go_backwards: bool,
    },
    Gru {
        units: usize,
        activation: Activation,
        recurrent_activation: Activation,
        use_bias: bool,
        reset_after: bool,
        return_sequences: bool,
        go_backwards: bool,
    },
    Lstm {
        units: usize,
        activation: Activation,
        recurrent_activation: Activation,
        use_bias: bool,
        return_sequences: bool,
        go_backwards: bool,
    },
    TimeDistributed {
        layer: Box<Layer>,
    },
    /// keras_spiking.SpikingActivation.
    SpikingActivation {
        activation: Activation,
        dt: f64,
        seed: Option<u64>,
        spiking_aware_training: bool,
        return_sequences: bool,
    },
    /// keras_spiking.Lowpass. Weights: initial_level, tau.
    Lowpass {
        tau_initializer: f64,
        dt: f64,
        return_sequences: bool,
    },
    /// keras_spiking.Alpha.
    Alpha {
        tau_initializer: f64,
        dt: f64,
        return_sequences: bool,
    },
    /// A model used as a layer.
    Model(Box<Model>),
    /// A layer that this importer does not know: it can be listed, but not run.
    Unknown {
        config: serde_json::Value,
    },
}

impl fmt::Display for Activation {
    /// The Keras name, such as `relu`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softmax => "softmax",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Relu6 => "relu6",
            Self::Softplus => "softplus",
            Self::Softsign => "softsign",
            Self::Swish => "swish",
            Self::Gelu => "gelu",
            Self::Exponential => "exponential",
            Self::HardSigmoid => "hard_sigmoid",
            Self::LeakyRelu => "leaky_relu",
            Self::Mish => "mish",
            Self::LogSoftmax => "log_softmax",
        })
    }
}
