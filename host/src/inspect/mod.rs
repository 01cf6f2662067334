//! Lists a [`Network`] as Nengo lists one: what `all_nodes`, `all_ensembles`, `all_connections` and
//! `all_probes` hold, in Nengo's words, for people ([`Listing`]'s `Display`) and as data (serde).
//!
//! The listing keeps what Python prints of an object, except what is about Python alone:
//!
//! - no addresses: `<function softmax>`, not `<function softmax at 0x7f94...>`;
//! - numbers are numbers, however NumPy typed them, and floats are the shortest decimals that
//!   give the float32 value back: `negative_slope=0.1`, not `array(0.1, dtype=float32)`;
//! - index lists are on one line with single spaces; over 1000 entries they are shortened to
//!   `[[0 1 2 ... 997 998 999]]` as NumPy does;
//! - `trainable` is what the top network's configuration says, which knows nothing of the objects
//!   of nested networks: `None` for those.

mod text;

use serde::Serialize;

use crate::network::{
    Connection, Ensemble, Network, Node, NodeKind, PerNeuron, Post, Pre, Probe, Synapse, Transform,
};

/// A network's objects, in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listing {
    /// Nodes and TensorNodes.
    pub nodes: Vec<NodeListing>,
    /// Ensembles.
    pub ensembles: Vec<EnsembleListing>,
    /// Connections.
    pub connections: Vec<ConnectionListing>,
    /// Probes.
    pub probes: Vec<ProbeListing>,
    /// The network's label: the Keras model's name.
    pub net_label: Option<String>,
    /// The labels of nested networks; left out of the data if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

/// A node. The fields after `output` are a TensorNode's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeListing {
    /// Object as Nengo shows it, such as `<Node 'input_1'>`.
    pub repr: String,
    /// Label, such as `input_1`.
    pub label: String,
    /// `Node` or `TensorNode`.
    pub class: &'static str,
    /// The length of its input.
    pub size_in: usize,
    /// The length of its output.
    pub size_out: usize,
    /// A Node's: the shape of the constant that it sends; none if it hands its input on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Option<Vec<usize>>>,
    /// Function that it runs: `Layer Dropout` or `<function softmax>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor_func: Option<String>,
    /// The shape that the function sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape_in: Option<Vec<usize>>,
    /// The shape that it returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape_out: Option<Vec<usize>>,
    /// `true` if the function is given the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_time: Option<bool>,
}

/// An ensemble.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnsembleListing {
    /// Object as Nengo shows it, such as `<Ensemble 'conv2d.0'>`.
    pub repr: String,
    /// Label, such as `conv2d.0`.
    pub label: String,
    /// Number of its neurons.
    pub n_neurons: usize,
    /// Always 1: NengoDL connects to the neurons, not to what they represent.
    pub dimensions: usize,
    /// Neuron type, such as `SpikingRectifiedLinear(amplitude=0.01)`.
    pub neuron_type: String,
    /// Gain, such as `Choice(options=array([1.]))`.
    pub gain: String,
    /// `Choice(options=array([0.]))`, or `ndarray(64,)`.
    pub bias: String,
    /// `None`, `True` or `False`.
    pub bias_trainable: String,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionListing {
    /// Object as Nengo shows it, such as `<Connection from <Node 'a'> to <Neurons of <Ensemble 'b.0'>>>`.
    pub repr: String,
    /// Its source.
    pub pre: String,
    /// Its target.
    pub post: String,
    /// Its transform.
    pub transform: TransformListing,
    /// Synapse, such as `Lowpass(tau=0.005)`, or `None`.
    pub synapse: String,
    /// `None`, `True` or `False`.
    pub trainable: String,
}

/// A transform, by Nengo's class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "each is the Nengo attribute of that name")]
pub enum TransformListing {
    NoTransform {
        shape: [usize; 2],
    },
    Dense {
        size_in: usize,
        size_out: usize,
        shape: [usize; 2],
        /// Shape of the weights as given: a matrix, a diagonal, or a scalar.
        init_shape: Vec<usize>,
    },
    Sparse {
        size_in: usize,
        size_out: usize,
        shape: [usize; 2],
        /// Number of entries.
        nnz: usize,
    },
    Convolution {
        size_in: usize,
        size_out: usize,
        kernel_shape: Vec<usize>,
        input_shape: Vec<usize>,
        output_shape: Vec<usize>,
        strides: Vec<usize>,
        padding: &'static str,
        /// None for 1: Nengo 3.2 has no groups.
        groups: Option<usize>,
        channels_last: bool,
        /// Left out if there is none: Nengo has no dilation.
        #[serde(skip_serializing_if = "Option::is_none")]
        dilation: Option<Vec<usize>>,
    },
}

/// A probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeListing {
    /// Object that it looks at.
    pub target: String,
    /// Always `output`.
    pub attr: &'static str,
    /// Synapse, such as `Lowpass(tau=0.005)`, or `None`.
    pub synapse: String,
}

/// Lists a network.
#[must_use]
pub fn listing(network: &Network) -> Listing {
    Listing {
        nodes: network.nodes.iter().map(node).collect(),
        ensembles: network.ensembles.iter().map(ensemble).collect(),
        connections: network
            .connections
            .iter()
            .map(|c| connection(network, c))
            .collect(),
        probes: network.probes.iter().map(|p| probe(network, p)).collect(),
        net_label: network.label.clone(),
        networks: network
            .subnetworks
            .iter()
            .map(|subnetwork| subnetwork.label.clone())
            .collect(),
    }
}

fn class(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Tensor(_) => "TensorNode",
        NodeKind::Input { .. } | NodeKind::Constant(_) | NodeKind::Passthrough => "Node",
    }
}

fn node_repr(node: &Node) -> String {
    format!("<{} '{}'>", class(node), node.label)
}

fn node(node: &Node) -> NodeListing {
    let mut listing = NodeListing {
        repr: node_repr(node),
        label: node.label.clone(),
        class: class(node),
        size_in: node.size_in,
        size_out: node.size_out,
        output: None,
        tensor_func: None,
        shape_in: None,
        shape_out: None,
        pass_time: None,
    };
    match &node.kind {
        NodeKind::Input { .. } => listing.output = Some(Some(vec![node.size_out])),
        NodeKind::Constant(value) => listing.output = Some(Some(value.shape().to_vec())),
        NodeKind::Passthrough => listing.output = Some(None),
        NodeKind::Tensor(tensor) => {
            listing.tensor_func = Some(tensor.func.listed());
            listing.shape_in = Some(tensor.shape_in.clone());
            listing.shape_out = Some(tensor.shape_out.clone());
            listing.pass_time = Some(false);
        }
    }
    listing
}

fn ensemble_repr(ensemble: &Ensemble) -> String {
    format!("<Ensemble '{}'>", ensemble.label)
}

fn ensemble(ensemble: &Ensemble) -> EnsembleListing {
    let in_top_network = ensemble.subnetwork.is_none();
    let mut neuron_type = ensemble.neuron_type.to_string();
    if let Some(voltage) = &ensemble.initial_voltage {
        let values: Vec<String> = voltage.data().iter().map(f32::to_string).collect();
        let arguments = neuron_type.strip_suffix(')').unwrap_or(&neuron_type);
        neuron_type = format!(
            "{arguments}, initial_state={{'voltage': [{}]}})",
            values.join(", ")
        );
    }
    EnsembleListing {
        repr: ensemble_repr(ensemble),
        label: ensemble.label.clone(),
        n_neurons: ensemble.n_neurons,
        dimensions: 1,
        neuron_type,
        gain: gain(&ensemble.gain),
        bias: match &ensemble.bias {
            None => choice(0.0),
            Some(bias) => format!("ndarray({},)", bias.len()),
        },
        bias_trainable: trainable(ensemble.bias_trainable.filter(|_| in_top_network)),
    }
}

fn gain(gain: &PerNeuron) -> String {
    match (gain.uniform(), gain.count()) {
        (None, Some(n)) => format!("ndarray({n},)"),
        (value, _) => choice(value.unwrap_or(1.0)),
    }
}

/// A distribution of one value, with the value as NumPy writes it.
fn choice(value: f32) -> String {
    let mut value = value.to_string();
    if !value.contains('.') {
        value.push('.');
    }
    format!("Choice(options=array([{value}]))")
}

fn trainable(trainable: Option<bool>) -> String {
    match trainable {
        None => "None",
        Some(true) => "True",
        Some(false) => "False",
    }
    .to_owned()
}

fn synapse(synapse: Option<Synapse>) -> String {
    synapse.map_or_else(|| "None".to_owned(), |synapse| synapse.to_string())
}

fn pre_repr(network: &Network, pre: Pre) -> String {
    match pre {
        Pre::Node(node) => node_repr(&network.nodes[node.0]),
        Pre::Neurons(ensemble) => {
            format!(
                "<Neurons of {}>",
                ensemble_repr(&network.ensembles[ensemble.0])
            )
        }
    }
}

fn post_repr(network: &Network, post: Post) -> String {
    match post {
        Post::Node(node) => pre_repr(network, Pre::Node(node)),
        Post::Neurons(ensemble) => pre_repr(network, Pre::Neurons(ensemble)),
    }
}

/// `[[0 1 2 3]]`, shortened above `limit` entries.
fn slice_repr(slice: &[usize], limit: usize) -> String {
    let words = |indices: &[usize]| {
        let words: Vec<String> = indices.iter().map(usize::to_string).collect();
        words.join(" ")
    };
    if slice.len() <= limit {
        return format!("[[{}]]", words(slice));
    }
    let (head, tail) = (&slice[..3], &slice[slice.len() - 3..]);
    format!("[[{} ... {}]]", words(head), words(tail))
}

/// NumPy's: longer arrays are shortened.
const NUMPY_THRESHOLD: usize = 1000;

/// The two ends of a connection.
fn ends(network: &Network, connection: &Connection, limit: usize) -> (String, String) {
    let slice = |slice: &Option<std::sync::Arc<[usize]>>| {
        slice
            .as_ref()
            .map_or_else(String::new, |slice| slice_repr(slice, limit))
    };
    (
        pre_repr(network, connection.pre) + &slice(&connection.pre_slice),
        post_repr(network, connection.post) + &slice(&connection.post_slice),
    )
}

fn connection(network: &Network, connection: &Connection) -> ConnectionListing {
    let (pre, post) = ends(network, connection, NUMPY_THRESHOLD);
    let in_top_network = connection.subnetwork.is_none();
    ConnectionListing {
        repr: format!("<Connection from {pre} to {post}>"),
        pre,
        post,
        transform: transform(&connection.transform),
        synapse: synapse(connection.synapse),
        trainable: trainable(connection.trainable.filter(|_| in_top_network)),
    }
}

fn transform(transform: &Transform) -> TransformListing {
    let (size_in, size_out) = (transform.size_in(), transform.size_out());
    let shape = [size_out, size_in];
    match transform {
        Transform::Identity(_) => TransformListing::NoTransform { shape },
        Transform::Diagonal(diagonal) => TransformListing::Dense {
            size_in,
            size_out,
            shape,
            init_shape: diagonal.factor.shape().to_vec(),
        },
        Transform::Dense(weights) => TransformListing::Dense {
            size_in,
            size_out,
            shape,
            init_shape: weights.shape().to_vec(),
        },
        Transform::Sparse(sparse) => TransformListing::Sparse {
            size_in,
            size_out,
            shape,
            nnz: sparse.indices.len(),
        },
        Transform::Convolution(convolution) => TransformListing::Convolution {
            size_in,
            size_out,
            kernel_shape: convolution.kernel.shape().to_vec(),
            input_shape: convolution.input_shape.clone(),
            output_shape: convolution.output_shape.clone(),
            strides: convolution.strides.clone(),
            padding: if convolution.same_padding {
                "same"
            } else {
                "valid"
            },
            groups: (convolution.groups != 1).then_some(convolution.groups),
            channels_last: convolution.channels_last,
            dilation: convolution
                .dilation
                .iter()
                .any(|&dilation| dilation != 1)
                .then(|| convolution.dilation.clone()),
        },
    }
}

fn probe(network: &Network, probe: &Probe) -> ProbeListing {
    ProbeListing {
        target: pre_repr(network, probe.target),
        attr: "output",
        synapse: synapse(probe.synapse),
    }
}
