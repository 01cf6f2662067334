//! A float network of Nengo's objects: what front ends make, and what calibration, quantization and
//! the float simulator read. It knows no front end.
//!
//! Names, order and meaning follow Nengo: an [`Ensemble`] holds neurons, a [`Node`] passes or makes
//! signals, a [`Connection`] carries a signal through a [`Transform`] and an optional [`Synapse`], a
//! [`Probe`] marks what the user wants to see. Connections reach an ensemble's *neurons* directly.

use std::fmt;
use std::sync::Arc;

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
    /// Any other function, which a device cannot compute.
    Other,
}

/// A function at the end of a network, which a device leaves out: what it computes from the values before
/// it, any host can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A softmax along the only axis, which keeps the ranking.
    Softmax,
    /// A logistic function, which has 0.5 at 0.
    Sigmoid,
    /// A function that keeps the sign and the ranking.
    Tanh,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        })
    }
}

impl Head {
    /// Reason why the values before it do, as a sentence without its full stop.
    #[must_use]
    pub fn omission(self) -> &'static str {
        match self {
            Self::Softmax => "it does not change the ranking",
            Self::Sigmoid => "an output above 0 stands for one above 0.5",
            Self::Tanh => "outputs are the values before it, of the same sign and ranking",
        }
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

/// A parameter of an ensemble's neurons: one value, or one for each neuron.
#[derive(Clone, Debug, PartialEq)]
pub enum PerNeuron {
    /// The value of all neurons.
    Same(f32),
    /// The value of each neuron.
    Each(Arc<[f32]>),
}

impl PerNeuron {
    /// The value of all neurons; `None` if they differ.
    #[must_use]
    pub fn uniform(&self) -> Option<f32> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => {
                let (first, rest) = values.split_first()?;
                rest.iter().all(|value| value == first).then_some(*first)
            }
        }
    }

    /// The value of one neuron; NaN for a neuron that has none.
    #[must_use]
    pub fn at(&self, neuron: usize) -> f32 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(neuron).copied().unwrap_or(f32::NAN),
        }
    }

    /// The number of neurons that have a value; `None` if it is the same for any number.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Same(_) => None,
            Self::Each(values) => Some(values.len()),
        }
    }
}

impl PerNeuron {
    /// The values of the neurons at these places, in their order.
    #[must_use]
    pub fn ordered(&self, places: &[usize]) -> Self {
        match self {
            Self::Same(value) => Self::Same(*value),
            Self::Each(_) => Self::Each(places.iter().map(|&at| self.at(at)).collect()),
        }
    }
}

impl From<f32> for PerNeuron {
    fn from(value: f32) -> Self {
        Self::Same(value)
    }
}

impl PartialEq<f32> for PerNeuron {
    fn eq(&self, other: &f32) -> bool {
        self.uniform() == Some(*other)
    }
}

impl fmt::Display for PerNeuron {
    /// One number, or a list of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(value) => write!(f, "{value}"),
            Self::Each(values) => f.debug_list().entries(values.iter()).finish(),
        }
    }
}

/// A neuron's way from current J to output. `amplitude` scales the output. Its parameters are numbers
/// or, in an [`Ensemble`], [`PerNeuron`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the Nengo parameter of that name")]
#[non_exhaustive]
pub enum NeuronType<P = f32> {
    /// max(J, 0).
    RectifiedLinear {
        amplitude: P,
    },
    /// V += max(J, 0) dt; n = floor(V) spikes; V -= n.
    SpikingRectifiedLinear {
        amplitude: P,
    },
    /// max(J, 0) - negative_slope max(-J, 0).
    LeakyRelu {
        negative_slope: P,
        amplitude: P,
    },
    SpikingLeakyRelu {
        negative_slope: P,
        amplitude: P,
    },
    Sigmoid {
        tau_ref: P,
    },
    Tanh {
        tau_ref: P,
    },
    LifRate {
        tau_rc: P,
        tau_ref: P,
        amplitude: P,
    },
    Lif {
        tau_rc: P,
        tau_ref: P,
        min_voltage: P,
        amplitude: P,
    },
    AdaptiveLif {
        tau_n: P,
        inc_n: P,
        tau_rc: P,
        tau_ref: P,
        min_voltage: P,
        amplitude: P,
    },
    /// The floor rule on any rate type.
    RegularSpiking {
        base: Box<NeuronType<P>>,
        amplitude: P,
    },
    PoissonSpiking {
        base: Box<NeuronType<P>>,
        amplitude: P,
    },
    StochasticSpiking {
        base: Box<NeuronType<P>>,
        amplitude: P,
    },
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
    Lowpass { tau: f64 },
    Alpha { tau: f64 },
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

impl<P> NeuronType<P> {
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

    /// `true` if the output is a function of the present current alone: such neurons never spike.
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

    /// The same type with `f` of each parameter.
    pub fn map<Q>(&self, f: &mut dyn FnMut(&P) -> Q) -> NeuronType<Q> {
        match self {
            Self::RectifiedLinear { amplitude } => NeuronType::RectifiedLinear {
                amplitude: f(amplitude),
            },
            Self::SpikingRectifiedLinear { amplitude } => NeuronType::SpikingRectifiedLinear {
                amplitude: f(amplitude),
            },
            Self::LeakyRelu {
                negative_slope,
                amplitude,
            } => NeuronType::LeakyRelu {
                negative_slope: f(negative_slope),
                amplitude: f(amplitude),
            },
            Self::SpikingLeakyRelu {
                negative_slope,
                amplitude,
            } => NeuronType::SpikingLeakyRelu {
                negative_slope: f(negative_slope),
                amplitude: f(amplitude),
            },
            Self::Sigmoid { tau_ref } => NeuronType::Sigmoid {
                tau_ref: f(tau_ref),
            },
            Self::Tanh { tau_ref } => NeuronType::Tanh {
                tau_ref: f(tau_ref),
            },
            Self::LifRate {
                tau_rc,
                tau_ref,
                amplitude,
            } => NeuronType::LifRate {
                tau_rc: f(tau_rc),
                tau_ref: f(tau_ref),
                amplitude: f(amplitude),
            },
            Self::Lif {
                tau_rc,
                tau_ref,
                min_voltage,
                amplitude,
            } => NeuronType::Lif {
                tau_rc: f(tau_rc),
                tau_ref: f(tau_ref),
                min_voltage: f(min_voltage),
                amplitude: f(amplitude),
            },
            Self::AdaptiveLif {
                tau_n,
                inc_n,
                tau_rc,
                tau_ref,
                min_voltage,
                amplitude,
            } => NeuronType::AdaptiveLif {
                tau_n: f(tau_n),
                inc_n: f(inc_n),
                tau_rc: f(tau_rc),
                tau_ref: f(tau_ref),
                min_voltage: f(min_voltage),
                amplitude: f(amplitude),
            },
            Self::RegularSpiking { base, amplitude } => NeuronType::RegularSpiking {
                base: Box::new(base.map(f)),
                amplitude: f(amplitude),
            },
            Self::PoissonSpiking { base, amplitude } => NeuronType::PoissonSpiking {
                base: Box::new(base.map(f)),
                amplitude: f(amplitude),
            },
            Self::StochasticSpiking { base, amplitude } => NeuronType::StochasticSpiking {
                base: Box::new(base.map(f)),
                amplitude: f(amplitude),
            },
        }
    }

    /// The scale of the output; Sigmoid and Tanh have none.
    #[must_use]
    pub fn amplitude(&self) -> Option<P>
    where
        P: Clone,
    {
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
            | Self::StochasticSpiking { amplitude, .. } => Some(amplitude.clone()),
        }
    }

    /// The amplitude, to change it.
    pub fn amplitude_mut(&mut self) -> Option<&mut P> {
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

impl NeuronType<PerNeuron> {
    /// The type with the parameters of all neurons; `None` if they differ.
    #[must_use]
    pub fn uniform(&self) -> Option<NeuronType> {
        let mut same = true;
        let found = self.map(&mut |parameter| {
            parameter.uniform().unwrap_or_else(|| {
                same = false;
                0.0
            })
        });
        same.then_some(found)
    }

    /// The type with the parameters of one neuron.
    #[must_use]
    pub fn at(&self, neuron: usize) -> NeuronType {
        self.map(&mut |parameter| parameter.at(neuron))
    }
}

impl From<NeuronType> for NeuronType<PerNeuron> {
    fn from(neuron_type: NeuronType) -> Self {
        neuron_type.map(&mut |&parameter| parameter.into())
    }
}

impl<P: Clone + fmt::Display + PartialEq<f32>> fmt::Display for NeuronType<P> {
    /// Writes it as Nengo does: the arguments that differ from Nengo's defaults, such as
    /// `SpikingRectifiedLinear(amplitude=0.01)`. A leaky slope is always shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arguments = Vec::new();
        let mut show = |name: &str, value: &P, default: f32| {
            if *value != default {
                arguments.push(format!("{name}={value}"));
            }
        };
        match self {
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
            show("amplitude", &amplitude, 1.0);
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
    /// Writes it as Nengo does, such as `Lowpass(tau=0.005)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowpass { tau } => write!(f, "Lowpass(tau={tau})"),
            Self::Alpha { tau } => write!(f, "Alpha(tau={tau})"),
        }
    }
}
