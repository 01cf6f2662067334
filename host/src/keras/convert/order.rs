//! The order of objects in a finished network: the top network's, then each nested network's.

use crate::network::{EnsembleId, Network, NodeId, Post, Pre, SubnetworkId};

/// The order of objects in a finished network: those of the top network, then each nested
/// network's, in the order in which the networks were opened.
pub(super) struct Order {
    nodes: Vec<usize>,
    ensembles: Vec<usize>,
}

impl Order {
    pub(super) fn of(network: &Network) -> Self {
        Self {
            nodes: places(network.nodes.iter().map(|n| n.subnetwork)),
            ensembles: places(network.ensembles.iter().map(|e| e.subnetwork)),
        }
    }

    fn node(&self, node: NodeId) -> NodeId {
        NodeId(self.nodes[node.0])
    }

    pub(super) fn pre(&self, pre: Pre) -> Pre {
        match pre {
            Pre::Node(node) => Pre::Node(self.node(node)),
            Pre::Neurons(ensemble) => Pre::Neurons(EnsembleId(self.ensembles[ensemble.0])),
        }
    }

    pub(super) fn apply(&self, mut network: Network) -> Network {
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

/// The place of each object after sorting by network, with the order within each kept.
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
