//! A float network of Nengo's objects: what front ends make, and what calibration, quantization and
//! the float simulator read. It knows no front end.
//!
//! Names, order and meaning follow Nengo: an [`Ensemble`] holds neurons, a [`Node`] passes or makes
//! signals, a [`Connection`] carries a signal through a [`Transform`] and an optional [`Synapse`], a
//! [`Probe`] marks what the user wants to see. Connections reach an ensemble's *neurons* directly.

mod max_pool;
mod neuron_type;
mod rule;

use std::fmt;
use std::sync::Arc;

pub use self::max_pool::MaxPool;
pub use self::neuron_type::{NeuronType, Parameter, PerNeuron, Range};
pub use self::rule::{Charge, Firing, Reset, Rule};
use crate::advice::Advice;
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
    /// The name of the model that it was made of.
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
    /// The name and the node of each input, in the order in which a caller gives them.
    pub inputs: Vec<(String, NodeId)>,
    /// The name and the probe of each output.
    pub outputs: Vec<(String, ProbeId)>,
}

impl Network {
    /// The node of an input.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<NodeId> {
        find(&self.inputs, name)
    }

    /// The probe on an output.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<ProbeId> {
        find(&self.outputs, name)
    }
}

fn find<T: Copy>(pairs: &[(String, T)], name: &str) -> Option<T> {
    pairs
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| *value)
}

/// A nested network (a model that is used as a layer).
#[derive(Clone, Debug)]
pub struct Subnetwork {
    /// The label, such as `sub.0`.
    pub label: String,
    /// The network that holds it; `None` for the top.
    pub parent: Option<SubnetworkId>,
}

/// A source of signals that is no neuron.
#[derive(Clone, Debug)]
pub struct Node {
    /// The label, such as `input_1` or `conv2d.0.bias`.
    pub label: String,
    /// The length of its input; 0 for a source.
    pub size_in: usize,
    /// The length of its output.
    pub size_out: usize,
    /// The kind of its output.
    pub kind: NodeKind,
    /// The network that holds it; `None` for the top one.
    pub subnetwork: Option<SubnetworkId>,
}

/// Kind of a node's output.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// An input that the user feeds; the shape without the batch axis.
    Input {
        /// The input's shape.
        shape: Vec<usize>,
    },
    /// The same vector at every step, as a bias node's.
    Constant(Tensor),
    /// Hands its input on.
    Passthrough,
    /// The largest of each window. Of spikes it is the growth of the largest sum over all steps so far, so that over
    /// several steps it approaches the largest activation.
    Max(MaxPool),
    /// A function of the front end inside the network.
    Tensor(TensorNode),
}

/// A node that runs a function of the front end, for what has no native form.
#[derive(Clone, Debug)]
pub struct TensorNode {
    /// The function that runs.
    pub func: Arc<dyn TensorFunc>,
    /// The shape that the function sees, without the batch axis.
    pub shape_in: Vec<usize>,
    /// The shape that it returns.
    pub shape_out: Vec<usize>,
}

/// The function of a [`TensorNode`]: it runs on the host, never on a device.
pub trait TensorFunc: fmt::Debug + Send + Sync {
    /// The function as listings show it, such as `Layer GRU` or `<function softmax>`.
    fn listed(&self) -> String;

    /// The function as messages name it, such as `GRU` or `activation softmax`.
    fn name(&self) -> String;

    /// The result for a batch. Both arrays have the batch axis first, then the node's shapes.
    ///
    /// # Errors
    /// The reason, if the function cannot run on this array.
    fn run(&self, x: &Tensor) -> Result<Tensor, String>;

    /// The part of the function that matters to a device.
    fn effect(&self) -> Effect {
        Effect::Other
    }

    /// Advice: how to get a network without this function.
    fn advice(&self) -> String;

    /// The remedy that the advice names, as data.
    fn remedy(&self) -> Option<Advice> {
        None
    }
}

/// The part of a [`TensorFunc`] that matters to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The values pass unchanged.
    Identity,
    /// A function that a device can leave out at the end of a network.
    Head(Head),
    /// A function of each value by itself, which takes arrays of any shape.
    Pointwise,
    /// Any other function, which a device cannot compute.
    Other,
}

/// A function at the end of a network, which a device leaves out: what it computes from the values before
/// it, any host can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// A softmax over all values, or its logarithm, which keep the ranking.
    Softmax,
    /// A logistic function, which has 0.5 at 0.
    Sigmoid,
    /// A hyperbolic tangent, which keeps the sign and the ranking.
    Tanh,
    /// A softmax at each of several places, or its logarithm.
    #[serde(rename = "softmax")]
    Softmaxes,
    /// x / 6 + 0.5 from 0 to 1.
    #[serde(rename = "hard_sigmoid")]
    HardSigmoid,
    /// 0.2 x + 0.5 from 0 to 1.
    #[serde(rename = "hard_sigmoid")]
    SteepHardSigmoid,
    /// x from -1 to 1.
    #[serde(rename = "hard_tanh")]
    HardTanh,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Softmax | Self::Softmaxes => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::HardSigmoid | Self::SteepHardSigmoid => "hard_sigmoid",
            Self::HardTanh => "hard_tanh",
        })
    }
}

impl Head {
    /// Reason why the values before it do, as a sentence without its full stop.
    #[must_use]
    pub fn omission(self) -> &'static str {
        match self {
            Self::Softmax => "it does not change the ranking",
            Self::Softmaxes => "it does not change the ranking within each of its groups",
            Self::Sigmoid | Self::HardSigmoid | Self::SteepHardSigmoid => {
                "an output above 0 stands for one above 0.5"
            }
            Self::Tanh | Self::HardTanh => {
                "outputs are the values before it, of the same sign and ranking"
            }
        }
    }

    /// Tells whether its values are probabilities of classes that are 0 or 1.
    #[must_use]
    pub fn is_sigmoid(self) -> bool {
        matches!(
            self,
            Self::Sigmoid | Self::HardSigmoid | Self::SteepHardSigmoid
        )
    }

    /// The value behind it; that before a softmax stays, as no single one makes it.
    #[must_use]
    pub fn of(self, value: f64) -> f64 {
        match self {
            Self::Softmax | Self::Softmaxes => value,
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
            Self::Tanh => value.tanh(),
            Self::HardSigmoid => (value / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::SteepHardSigmoid => (0.2 * value + 0.5).clamp(0.0, 1.0),
            Self::HardTanh => value.clamp(-1.0, 1.0),
        }
    }

    /// The probabilities that an output's values stand for; `None` if they stand for none.
    ///
    /// ```
    /// use tinyspike::network::Head;
    ///
    /// assert_eq!(Head::Softmax.probabilities(&[1.0, 1.0]), Some(vec![0.5, 0.5]));
    /// assert_eq!(Head::Tanh.probabilities(&[1.0, 1.0]), None);
    /// ```
    #[must_use]
    pub fn probabilities(self, values: &[f64]) -> Option<Vec<f64>> {
        if self == Self::Softmax {
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = values.iter().map(|v| (v - most).exp()).collect();
            let sum: f64 = powers.iter().sum();
            return Some(powers.iter().map(|power| power / sum).collect());
        }
        (self.is_sigmoid()).then(|| values.iter().map(|&v| self.of(v)).collect())
    }
}

/// A population of neurons of one type.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// The label, such as `conv2d.0`.
    pub label: String,
    /// The number of neurons.
    pub n_neurons: usize,
    /// The neurons' answer to their currents.
    pub neuron_type: NeuronType<PerNeuron>,
    /// The gain on the neurons' input.
    pub gain: PerNeuron,
    /// The bias current of each neuron, which the gain does not scale; `None` is zero everywhere.
    pub bias: Option<Tensor>,
    /// `Some(true)` if training would change the bias; `None` if that is not fixed.
    pub bias_trainable: Option<bool>,
    /// The shape of the layer's output, without the batch axis.
    pub shape: Vec<usize>,
    /// `true` if channels come last in `shape`.
    pub channels_last: bool,
    /// The neurons' voltages at the start, if the layer fixed them.
    pub initial_voltage: Option<Tensor>,
    /// The network that holds it; `None` for the top one.
    pub subnetwork: Option<SubnetworkId>,
}

/// Start of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pre {
    /// A node's output.
    Node(NodeId),
    /// An ensemble's neurons.
    Neurons(EnsembleId),
}

/// End of a connection.
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
    /// The linear map on the way.
    pub transform: Transform,
    /// The filter after the transform.
    pub synapse: Option<Synapse>,
    /// `Some(true)` if training would change it; `None` if that is not fixed.
    pub trainable: Option<bool>,
    /// The network that holds it; `None` for the top one.
    pub subnetwork: Option<SubnetworkId>,
}

impl Connection {
    /// A connection of all places, without a filter, in the top network.
    #[must_use]
    pub const fn new(pre: Pre, post: Post, transform: Transform) -> Self {
        Self {
            pre,
            pre_slice: None,
            post,
            post_slice: None,
            transform,
            synapse: None,
            trainable: None,
            subnetwork: None,
        }
    }
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
    /// The factor of each element, of shape `[size]`, or of shape `[]` if all have the same.
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
    /// The input's shape, without a batch axis, with channels at the place that `channels_last` says.
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
    /// `true` if channels are the last axis.
    pub channels_last: bool,
}

/// A linear filter on a connection, with time constants in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Nengo parameter of that name")]
#[non_exhaustive]
pub enum Synapse {
    Lowpass {
        tau: f64,
    },
    Alpha {
        tau: f64,
    },
    /// Delay of so many steps, at least one. A Lowpass without a time constant is a delay of one.
    Delay {
        steps: u32,
    },
}

/// Probe on an object.
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

impl fmt::Display for Synapse {
    /// Writes it as Nengo does, such as `Lowpass(tau=0.005)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowpass { tau } => write!(f, "Lowpass(tau={tau})"),
            Self::Alpha { tau } => write!(f, "Alpha(tau={tau})"),
            Self::Delay { steps } => write!(f, "Delay(steps={steps})"),
        }
    }
}
