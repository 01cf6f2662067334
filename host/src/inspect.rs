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

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::network::{
    Connection, Ensemble, Network, Node, NodeKind, PerNeuron, Post, Pre, Probe, Synapse, Transform,
};
use crate::text::escaped;

/// A network's objects, in words.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a>(&'a Network);

/// Lists a network.
#[must_use]
pub const fn listing(network: &Network) -> Listing<'_> {
    Listing(network)
}

impl Serialize for Listing<'_> {
    /// Lists `nodes`, `ensembles`, `connections` and `probes` with Nengo's attributes, `net_label`, which is the Keras
    /// model's name, and the labels of nested `networks`, if there are any.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(network) = self;
        let connections = network.connections.iter();
        let probes = network.probes.iter();
        let mut data = json!({
            "nodes": network.nodes.iter().map(node).collect::<Vec<_>>(),
            "ensembles": network.ensembles.iter().map(ensemble).collect::<Vec<_>>(),
            "connections": connections.map(|c| connection(network, c)).collect::<Vec<_>>(),
            "probes": probes.map(|p| probe(network, p)).collect::<Vec<_>>(),
            "net_label": network.label,
        });
        if !network.subnetworks.is_empty() {
            data["networks"] = network
                .subnetworks
                .iter()
                .map(|s| s.label.as_str())
                .collect();
        }
        data.serialize(serializer)
    }
}

fn class(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Tensor(_) => "TensorNode",
        NodeKind::Max(_) => "MaxPool",
        NodeKind::Input { .. } | NodeKind::Constant(_) | NodeKind::Passthrough => "Node",
    }
}

fn node_repr(node: &Node) -> String {
    format!("<{} '{}'>", class(node), node.label)
}

fn node(node: &Node) -> Value {
    let mut data = json!({
        "repr": node_repr(node),
        "label": node.label,
        "class": class(node),
        "size_in": node.size_in,
        "size_out": node.size_out,
    });
    match &node.kind {
        NodeKind::Input { .. } => data["output"] = json!([node.size_out]),
        NodeKind::Constant(value) => data["output"] = json!(value.shape()),
        // It hands its input on.
        NodeKind::Passthrough => data["output"] = Value::Null,
        NodeKind::Tensor(tensor) => {
            data["tensor_func"] = json!(tensor.func.listed());
            data["shape_in"] = json!(tensor.shape_in);
            data["shape_out"] = json!(tensor.shape_out);
            data["pass_time"] = json!(false);
        }
        NodeKind::Max(pool) => {
            data["window"] = json!(pool.window);
            data["strides"] = json!(pool.stride);
        }
    }
    data
}

fn ensemble_repr(ensemble: &Ensemble) -> String {
    format!("<Ensemble '{}'>", ensemble.label)
}

/// The neuron type, such as `SpikingRectifiedLinear(amplitude=0.01)`.
fn neuron_type(ensemble: &Ensemble) -> String {
    let neuron_type = ensemble.neuron_type.to_string();
    let Some(voltage) = &ensemble.initial_voltage else {
        return neuron_type;
    };
    let values: Vec<String> = voltage.data().iter().map(f32::to_string).collect();
    let arguments = neuron_type.strip_suffix(')').unwrap_or(&neuron_type);
    format!(
        "{arguments}, initial_state={{'voltage': [{}]}})",
        values.join(", ")
    )
}

fn ensemble(ensemble: &Ensemble) -> Value {
    let in_top_network = ensemble.subnetwork.is_none();
    json!({
        "repr": ensemble_repr(ensemble),
        "label": ensemble.label,
        "n_neurons": ensemble.n_neurons,
        // NengoDL connects to the neurons, not to what they represent.
        "dimensions": 1,
        "neuron_type": neuron_type(ensemble),
        "gain": gain(&ensemble.gain),
        "bias": bias(ensemble),
        "bias_trainable": trainable(ensemble.bias_trainable.filter(|_| in_top_network)),
    })
}

/// The bias: `Choice(options=array([0.]))`, or `ndarray(64,)`.
fn bias(ensemble: &Ensemble) -> String {
    match &ensemble.bias {
        None => choice(0.0),
        Some(bias) => format!("ndarray({},)", bias.len()),
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

fn connection(network: &Network, connection: &Connection) -> Value {
    let (pre, post) = ends(network, connection, NUMPY_THRESHOLD);
    json!({
        "repr": format!("<Connection from {pre} to {post}>"),
        "pre": pre,
        "post": post,
        "transform": transform(&connection.transform),
        "synapse": synapse(connection.synapse),
        "trainable": connection_trainable(connection),
    })
}

fn connection_trainable(connection: &Connection) -> String {
    let in_top_network = connection.subnetwork.is_none();
    trainable(connection.trainable.filter(|_| in_top_network))
}

fn padding(same: bool) -> &'static str {
    if same { "same" } else { "valid" }
}

/// A transform, by Nengo's class. Weights are stated as they are given: a matrix, a diagonal, or a scalar.
fn transform(transform: &Transform) -> Value {
    let (size_in, size_out) = (transform.size_in(), transform.size_out());
    let shape = [size_out, size_in];
    let dense = |init_shape: &[usize]| {
        json!({
            "type": "Dense",
            "size_in": size_in,
            "size_out": size_out,
            "shape": shape,
            "init_shape": init_shape,
        })
    };
    match transform {
        Transform::Identity(_) => json!({ "type": "NoTransform", "shape": shape }),
        Transform::Diagonal(diagonal) => dense(diagonal.factor.shape()),
        Transform::Dense(weights) => dense(weights.shape()),
        Transform::Sparse(sparse) => json!({
            "type": "Sparse",
            "size_in": size_in,
            "size_out": size_out,
            "shape": shape,
            "nnz": sparse.indices.len(),
        }),
        Transform::Convolution(c) => {
            let mut data = json!({
                "type": "Convolution",
                "size_in": size_in,
                "size_out": size_out,
                "kernel_shape": c.kernel.shape(),
                "input_shape": c.input_shape,
                "output_shape": c.output_shape,
                "strides": c.strides,
                "padding": padding(c.same_padding),
                // Nengo 3.2 has no groups, and no dilation.
                "groups": (c.groups != 1).then_some(c.groups),
                "channels_last": c.channels_last,
            });
            if c.dilation.iter().any(|&dilation| dilation != 1) {
                data["dilation"] = json!(c.dilation);
            }
            data
        }
    }
}

fn probe(network: &Network, probe: &Probe) -> Value {
    json!({
        "target": pre_repr(network, probe.target),
        "attr": "output",
        "synapse": synapse(probe.synapse),
    })
}

/// Indices of a slice that are shown to a person as they are; of more, both ends.
const SHOWN: usize = 7;

impl fmt::Display for Listing<'_> {
    /// Writes one object a line, in Nengo's words, under its kind and count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(network) = self;
        if let Some(label) = &network.label {
            writeln!(f, "Network '{}'", escaped(label))?;
        }
        writeln!(f, "nodes ({})", network.nodes.len())?;
        for node in &network.nodes {
            write!(f, "  {}", escaped(&node_repr(node)))?;
            let size = node.size_out;
            match &node.kind {
                NodeKind::Tensor(t) => {
                    let (func, shape_in, shape_out) = (t.func.listed(), &t.shape_in, &t.shape_out);
                    let func = escaped(&func);
                    writeln!(f, " {func} {shape_in:?} -> {shape_out:?}")?;
                }
                NodeKind::Max(pool) => writeln!(
                    f,
                    " {} -> {size}, windows of {:?}, strides of {:?}",
                    node.size_in, pool.window, pool.stride
                )?,
                NodeKind::Passthrough => writeln!(f, " {} -> {size}", node.size_in)?,
                NodeKind::Input { .. } | NodeKind::Constant(_) => writeln!(f, " -> {size}")?,
            }
        }
        writeln!(f, "ensembles ({})", network.ensembles.len())?;
        for ensemble in &network.ensembles {
            writeln!(
                f,
                "  {} {} neurons, {}, gain={}, bias={}",
                escaped(&ensemble_repr(ensemble)),
                ensemble.n_neurons,
                neuron_type(ensemble),
                gain(&ensemble.gain),
                bias(ensemble)
            )?;
        }
        writeln!(f, "connections ({})", network.connections.len())?;
        for connection in &network.connections {
            let (pre, post) = ends(network, connection, SHOWN);
            write!(
                f,
                "  <Connection from {} to {}> ",
                escaped(&pre),
                escaped(&post)
            )?;
            write_transform(f, &connection.transform)?;
            writeln!(
                f,
                ", synapse={}, trainable={}",
                synapse(connection.synapse),
                connection_trainable(connection)
            )?;
        }
        writeln!(f, "probes ({})", network.probes.len())?;
        for probe in &network.probes {
            let (target, synapse) = (pre_repr(network, probe.target), synapse(probe.synapse));
            writeln!(f, "  <Probe of {}> synapse={synapse}", escaped(&target))?;
        }
        if !network.subnetworks.is_empty() {
            writeln!(f, "networks ({})", network.subnetworks.len())?;
            for subnetwork in &network.subnetworks {
                writeln!(f, "  <Network '{}'>", escaped(&subnetwork.label))?;
            }
        }
        Ok(())
    }
}

fn write_transform(f: &mut fmt::Formatter<'_>, transform: &Transform) -> fmt::Result {
    let shape = [transform.size_out(), transform.size_in()];
    match transform {
        Transform::Identity(_) => write!(f, "NoTransform {shape:?}"),
        Transform::Diagonal(d) => write!(f, "Dense {shape:?} of {:?}", d.factor.shape()),
        Transform::Dense(_) => write!(f, "Dense {shape:?}"),
        Transform::Sparse(s) => {
            write!(f, "Sparse {shape:?} with {} entries", s.indices.len())
        }
        Transform::Convolution(c) => {
            write!(
                f,
                "Convolution {:?} -> {:?} kernel {:?} strides {:?} {}",
                c.input_shape,
                c.output_shape,
                c.kernel.shape(),
                c.strides,
                padding(c.same_padding)
            )?;
            if c.groups != 1 {
                write!(f, " groups {}", c.groups)?;
            }
            if c.dilation.iter().any(|&dilation| dilation != 1) {
                write!(f, " dilation {:?}", c.dilation)?;
            }
            Ok(())
        }
    }
}
