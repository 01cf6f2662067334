//! Changes of a network's connections, for passes that put other objects in the place of one.

use crate::network::{Connection, Network, NodeId, Post, Pre, Transform};

/// Leads connections to another target.
pub(super) fn move_ends(network: &mut Network, from: Post, to: Post) {
    for connection in &mut network.connections {
        if connection.post == from {
            connection.post = to;
        }
    }
}

/// Leads connections from another source, and probes it.
pub(super) fn move_starts(network: &mut Network, from: Pre, to: Pre) {
    for connection in &mut network.connections {
        if connection.pre == from {
            connection.pre = to;
        }
    }
    for probe in &mut network.probes {
        if probe.target == from {
            probe.target = to;
        }
    }
}

/// A connection that passes values on.
pub(super) fn plain(pre: Pre, post: Post, size: usize) -> Connection {
    Connection {
        trainable: Some(false),
        ..Connection::new(pre, post, Transform::Identity(size))
    }
}

/// The shape of a node's values, as the convolutions around it know it, and `true` if channels come last.
pub(super) fn shape(network: &Network, node: NodeId) -> (Vec<usize>, bool) {
    let size = network.nodes[node.0].size_out;
    let known = network.connections.iter().find_map(|c| {
        let Transform::Convolution(conv) = &c.transform else {
            return None;
        };
        let shape = if c.post == Post::Node(node) {
            &conv.output_shape
        } else if c.pre == Pre::Node(node) {
            &conv.input_shape
        } else {
            return None;
        };
        (shape.iter().product::<usize>() == size).then(|| (shape.clone(), conv.channels_last))
    });
    known.unwrap_or((vec![size], true))
}
