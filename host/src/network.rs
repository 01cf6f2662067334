//! A float network of Nengo's objects: what the converter makes, and what calibration, quantization
//! and the float simulator read.
//!
//! Names, order and meaning follow Nengo: an [`Ensemble`] holds neurons, a [`Node`] passes or makes
//! signals, a [`Connection`] carries a signal through a [`Transform`] and an optional [`Synapse`], a
//! [`Probe`] marks what the user wants to see. Connections reach an ensemble's *neurons* directly.

use std::fmt;
use std::sync::Arc;

use crate::model::{Activation, Layer};
use crate::tensor::Tensor;

/// Index into [`Network::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);
/// Index into [`Network::ensembles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnsembleId(pub usize);
/// Index into [`Network::probes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(pub usize);
/// Index into [`Network::subnetworks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubnetworkId(pub usize);

/// A network: objects in the order in which Nengo's `all_nodes`, `all_ensembles`, `all_connections`
/// and `all_probes` list them.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// The Keras model's name.
    pub label: Option<String>,
    /// Every node, those of subnetworks after the parent's.
    pub nodes: Vec<Node>,
    /// Every ensemble.
    pub ensembles: Vec<Ensemble>,
    /// Every connection.
    pub connections: Vec<Connection>,
    /// Every probe.
    pub probes: Vec<Probe>,
    /// Nested networks, by label.
    pub subnetworks: Vec<Subnetwork>,
}

/// A nested network (a Keras model that is used as a layer).
#[derive(Clone, Debug)]
pub struct Subnetwork {
    /// Such as `sub.0`.
    pub label: String,
    /// The network that holds it; `None` for the top.
    pub parent: Option<SubnetworkId>,
}

/// A source of signals that is no neuron.
#[derive(Clone, Debug)]
pub struct Node {
    /// Such as `input_1` or `conv2d.0.bias`.
    pub label: String,
    /// The length of its input; 0 for a source.
    pub size_in: usize,
    /// The length of its output.
    pub size_out: usize,
    /// What it computes.
    pub kind: NodeKind,
    /// Where it stands; `None` for the top network.
    pub subnetwork: Option<SubnetworkId>,
}

/// What a node computes.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// An input that the user feeds; the shape without the batch axis.
    Input {
        /// The Keras input's shape.
        shape: Vec<usize>,
    },
    /// The same vector at every step, as a bias node's.
    Constant(Tensor),
    /// Hands its input on.
    Passthrough,
    /// A Keras function inside the network: runs on the host, never on a device.
    Tensor(TensorNode),
}

/// A node that runs a Keras layer or activation, for what has no native form.
#[derive(Clone, Debug)]
pub struct TensorNode {
    /// What runs.
    pub func: TensorFunc,
    /// The shape that the function sees, without the batch axis.
    pub shape_in: Vec<usize>,
    /// The shape that it returns.
    pub shape_out: Vec<usize>,
}

/// The function of a [`TensorNode`].
#[derive(Clone, Debug)]
pub enum TensorFunc {
    /// A whole layer, with its weights.
    Layer(Arc<Layer>),
    /// An activation alone.
    Activation(Activation),
}

/// A population of neurons of one type.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Such as `conv2d.0`.
    pub label: String,
    /// How many neurons it has.
    pub n_neurons: usize,
    /// How a neuron answers to its current.
    pub neuron_type: NeuronType,
    /// The gain on every neuron's input.
    pub gain: f32,
    /// The bias current of each neuron, before the gain's scaling has been applied by the simulator
    /// (the converter stores it pre-multiplied, as NengoDL does); `None` is zero everywhere.
    pub bias: Option<Tensor>,
    /// Whether training would change the bias.
    pub bias_trainable: Option<bool>,
    /// The Keras shape of the layer's output, without the batch axis.
    pub shape: Vec<usize>,
    /// Whether channels come last in `shape`.
    pub channels_last: bool,
    /// The neurons' voltages at the start, where the layer fixed them.
    pub initial_voltage: Option<Tensor>,
    /// Where it stands; `None` for the top network.
    pub subnetwork: Option<SubnetworkId>,
}

/// How a neuron turns current J into output. `amplitude` scales the output.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Nengo parameter of that name")]
#[non_exhaustive]
pub enum NeuronType {
    /// max(J, 0).
    RectifiedLinear {
        amplitude: f32,
    },
    /// V += max(J, 0) dt; n = floor(V) spikes; V -= n.
    SpikingRectifiedLinear {
        amplitude: f32,
    },
    /// max(J, 0) - negative_slope max(-J, 0).
    LeakyRelu {
        negative_slope: f32,
        amplitude: f32,
    },
    SpikingLeakyRelu {
        negative_slope: f32,
        amplitude: f32,
    },
    Sigmoid {
        tau_ref: f32,
    },
    Tanh {
        tau_ref: f32,
    },
    LifRate {
        tau_rc: f32,
        tau_ref: f32,
        amplitude: f32,
    },
    Lif {
        tau_rc: f32,
        tau_ref: f32,
        min_voltage: f32,
        amplitude: f32,
    },
    AdaptiveLif {
        tau_n: f32,
        inc_n: f32,
        tau_rc: f32,
        tau_ref: f32,
        min_voltage: f32,
        amplitude: f32,
    },
    /// The floor rule on any rate type.
    RegularSpiking {
        base: Box<NeuronType>,
        amplitude: f32,
    },
    PoissonSpiking {
        base: Box<NeuronType>,
        amplitude: f32,
    },
    StochasticSpiking {
        base: Box<NeuronType>,
        amplitude: f32,
    },
}

/// Where a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pre {
    /// A node's output.
    Node(NodeId),
    /// An ensemble's neurons.
    Neurons(EnsembleId),
}

/// Where a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// A node's input.
    Node(NodeId),
    /// The neurons' input currents.
    Neurons(EnsembleId),
}

/// A signal path. What several connections bring to one object is summed.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its source.
    pub pre: Pre,
    /// The places of the source that it reads, in order; `None` for all.
    pub pre_slice: Option<Arc<[usize]>>,
    /// Its target.
    pub post: Post,
    /// The places of the target that it writes, in order; `None` for all.
    pub post_slice: Option<Arc<[usize]>>,
    /// What happens to the signal on the way.
    pub transform: Transform,
    /// The filter after the transform.
    pub synapse: Option<Synapse>,
    /// Whether training would change it, where that is fixed.
    pub trainable: Option<bool>,
    /// Where it stands; `None` for the top network.
    pub subnetwork: Option<SubnetworkId>,
}

/// A linear map on a connection.
#[derive(Clone, Debug)]
pub enum Transform {
    /// The identity on vectors of this length.
    Identity(usize),
    /// y = factor x, element by element: Nengo's `Dense` of a scalar or a vector.
    Diagonal(Diagonal),
    /// y = W x with W of shape `[size_out, size_in]`.
    Dense(Tensor),
    /// `y[row] += value * x[col]` for each entry.
    Sparse(Sparse),
    /// A convolution as Nengo's `Convolution`.
    Convolution(Convolution),
}

/// A diagonal matrix.
#[derive(Clone, Debug)]
pub struct Diagonal {
    /// Rows and columns.
    pub size: usize,
    /// The factor of each element, of shape `[size]`, or of shape `[]` where all have the same.
    pub factor: Tensor,
}

/// A sparse matrix of entries (row, column, value).
#[derive(Clone, Debug)]
pub struct Sparse {
    /// Rows: the output's length.
    pub size_out: usize,
    /// Columns: the input's length.
    pub size_in: usize,
    /// Row and column of each entry.
    pub indices: Arc<[(u32, u32)]>,
    /// The value of each entry.
    pub values: Tensor,
}

/// A convolution over any number of axes; cross-correlation, as in Keras and Nengo.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// The input's shape, without a batch axis, with channels where `channels_last` says.
    pub input_shape: Vec<usize>,
    /// The output's shape.
    pub output_shape: Vec<usize>,
    /// The kernel: `[k.., in / groups, out]`.
    pub kernel: Tensor,
    /// Stride along each axis.
    pub strides: Vec<usize>,
    /// Dilation along each axis (Nengo knows only 1).
    pub dilation: Vec<usize>,
    /// `same` padding puts the smaller half of the zeros before (TensorFlow's rule).
    pub same_padding: bool,
    /// Channels form this many groups.
    pub groups: usize,
    /// Whether channels are the last axis.
    pub channels_last: bool,
}

/// A linear filter on a connection, with time constants in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Nengo parameter of that name")]
#[non_exhaustive]
pub enum Synapse {
    Lowpass { tau: f64 },
    Alpha { tau: f64 },
}

/// What a probe looks at.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The probed object.
    pub target: Pre,
    /// A filter on what it shows.
    pub synapse: Option<Synapse>,
    /// The Keras output that it stands for: the layer's name.
    pub label: String,
}

impl Transform {
    /// The length of the input.
    #[must_use]
    pub fn size_in(&self) -> usize {
        match self {
            Self::Identity(n) => *n,
            Self::Diagonal(d) => d.size,
            Self::Dense(w) => w.shape()[1],
            Self::Sparse(s) => s.size_in,
            Self::Convolution(c) => c.input_shape.iter().product(),
        }
    }

    /// The length of the output.
    #[must_use]
    pub fn size_out(&self) -> usize {
        match self {
            Self::Identity(n) => *n,
            Self::Diagonal(d) => d.size,
            Self::Dense(w) => w.shape()[0],
            Self::Sparse(s) => s.size_out,
            Self::Convolution(c) => c.output_shape.iter().product(),
        }
    }
}

impl NeuronType {
    /// Nengo's class name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RectifiedLinear { .. } => "RectifiedLinear",
            Self::SpikingRectifiedLinear { .. } => "SpikingRectifiedLinear",
            Self::LeakyRelu { .. } => "LeakyReLU",
            Self::SpikingLeakyRelu { .. } => "SpikingLeakyReLU",
            Self::Sigmoid { .. } => "Sigmoid",
            Self::Tanh { .. } => "Tanh",
            Self::LifRate { .. } => "LIFRate",
            Self::Lif { .. } => "LIF",
            Self::AdaptiveLif { .. } => "AdaptiveLIF",
            Self::RegularSpiking { .. } => "RegularSpiking",
            Self::PoissonSpiking { .. } => "PoissonSpiking",
            Self::StochasticSpiking { .. } => "StochasticSpiking",
        }
    }

    /// Whether the output is a function of the present current alone: such neurons never spike.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        matches!(
            self,
            Self::RectifiedLinear { .. }
                | Self::LeakyRelu { .. }
                | Self::Sigmoid { .. }
                | Self::Tanh { .. }
                | Self::LifRate { .. }
        )
    }

    /// What scales the output; Sigmoid and Tanh have none.
    #[must_use]
    pub fn amplitude(&self) -> Option<f32> {
        match self {
            Self::Sigmoid { .. } | Self::Tanh { .. } => None,
            Self::RectifiedLinear { amplitude }
            | Self::SpikingRectifiedLinear { amplitude }
            | Self::LeakyRelu { amplitude, .. }
            | Self::SpikingLeakyRelu { amplitude, .. }
            | Self::LifRate { amplitude, .. }
            | Self::Lif { amplitude, .. }
            | Self::AdaptiveLif { amplitude, .. }
            | Self::RegularSpiking { amplitude, .. }
            | Self::PoissonSpiking { amplitude, .. }
            | Self::StochasticSpiking { amplitude, .. } => Some(*amplitude),
        }
    }

    /// The amplitude, to change it.
    pub fn amplitude_mut(&mut self) -> Option<&mut f32> {
        match self {
            Self::Sigmoid { .. } | Self::Tanh { .. } => None,
            Self::RectifiedLinear { amplitude }
            | Self::SpikingRectifiedLinear { amplitude }
            | Self::LeakyRelu { amplitude, .. }
            | Self::SpikingLeakyRelu { amplitude, .. }
            | Self::LifRate { amplitude, .. }
            | Self::Lif { amplitude, .. }
            | Self::AdaptiveLif { amplitude, .. }
            | Self::RegularSpiking { amplitude, .. }
            | Self::PoissonSpiking { amplitude, .. }
            | Self::StochasticSpiking { amplitude, .. } => Some(amplitude),
        }
    }
}

impl fmt::Display for NeuronType {
    /// As Nengo writes it: the arguments that differ from Nengo's defaults, such as
    /// `SpikingRectifiedLinear(amplitude=0.01)`. A leaky slope is always shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arguments = Vec::new();
        let mut show = |name: &str, value: f32, default: f32| {
            if value != default {
                arguments.push(format!("{name}={value}"));
            }
        };
        match *self {
            Self::LeakyRelu { negative_slope, .. }
            | Self::SpikingLeakyRelu { negative_slope, .. } => {
                show("negative_slope", negative_slope, f32::NAN);
            }
            Self::Sigmoid { tau_ref } | Self::Tanh { tau_ref } => {
                show("tau_ref", tau_ref, 0.0025);
            }
            Self::LifRate {
                tau_rc, tau_ref, ..
            } => {
                show("tau_rc", tau_rc, 0.02);
                show("tau_ref", tau_ref, 0.002);
            }
            Self::Lif {
                tau_rc,
                tau_ref,
                min_voltage,
                ..
            } => {
                show("tau_rc", tau_rc, 0.02);
                show("tau_ref", tau_ref, 0.002);
                show("min_voltage", min_voltage, 0.0);
            }
            Self::AdaptiveLif {
                tau_n,
                inc_n,
                tau_rc,
                tau_ref,
                min_voltage,
                ..
            } => {
                show("tau_n", tau_n, 1.0);
                show("inc_n", inc_n, 0.01);
                show("tau_rc", tau_rc, 0.02);
                show("tau_ref", tau_ref, 0.002);
                show("min_voltage", min_voltage, 0.0);
            }
            Self::RectifiedLinear { .. }
            | Self::SpikingRectifiedLinear { .. }
            | Self::RegularSpiking { .. }
            | Self::PoissonSpiking { .. }
            | Self::StochasticSpiking { .. } => {}
        }
        if let Some(amplitude) = self.amplitude() {
            show("amplitude", amplitude, 1.0);
        }
        if let Self::RegularSpiking { base, .. }
        | Self::PoissonSpiking { base, .. }
        | Self::StochasticSpiking { base, .. } = self
        {
            arguments.insert(0, format!("base_type={base}"));
        }
        write!(f, "{}({})", self.name(), arguments.join(", "))
    }
}

impl fmt::Display for Synapse {
    /// As Nengo writes it, such as `Lowpass(tau=0.005)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowpass { tau } => write!(f, "Lowpass(tau={tau})"),
            Self::Alpha { tau } => write!(f, "Alpha(tau={tau})"),
        }
    }
}
