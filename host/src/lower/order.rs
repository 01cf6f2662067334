//! The order of populations: sources before targets.

use super::error::{LowerError, unsupported};
use crate::network::{EnsembleId, Network, NodeId, NodeKind, Post, Pre};

/// Sources, one bit for each.
#[derive(Clone)]
struct Set(Vec<u64>);

impl Set {
    fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn contains(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }
}

/// The sources that reach each object through other nodes alone: on any way, and without a delay.
struct Reach {
    nodes: Vec<Option<[Set; 2]>>,
    sources: Vec<[Set; 2]>,
}

/// Ensembles, then nodes that pool: what a graph has as populations.
fn sources(network: &Network) -> Vec<Pre> {
    let ensembles = (0..network.ensembles.len()).map(|e| Pre::Neurons(EnsembleId(e)));
    let nodes = network.nodes.iter().enumerate();
    let pools = nodes.filter(|(_, node)| matches!(node.kind, NodeKind::Max(_)));
    let pools = pools.map(|(n, _)| Pre::Node(NodeId(n)));
    ensembles.chain(pools).collect()
}

/// Ensembles and nodes that pool, in an order in which every connection leads forward, except delayed ones that close
/// a loop.
pub(super) fn topological(network: &Network) -> Result<Vec<Pre>, LowerError> {
    let sources = sources(network);
    let reach = Reach::of(network, &sources)?;
    let n = sources.len();
    let mut order: Vec<Pre> = Vec::with_capacity(n);
    let mut placed = vec![false; n];
    while order.len() < n {
        let ready = |ways: usize, at: usize| {
            let waits = &reach.sources[at][ways];
            !placed[at] && (0..n).all(|other| placed[other] || !waits.contains(other))
        };
        // What waits for a delayed connection of its own loop may go ahead.
        let next = (0..2).find_map(|ways| (0..n).find(|&at| ready(ways, at)));
        let Some(at) = next else {
            let stuck = sources.iter().zip(&placed).find(|(_, placed)| !**placed);
            let label = stuck.map(|(source, _)| match source {
                Pre::Neurons(e) => &*network.ensembles[e.0].label,
                Pre::Node(n) => &*network.nodes[n.0].label,
            });
            return Err(looped(label.unwrap_or_default()));
        };
        placed[at] = true;
        order.push(sources[at]);
    }
    Ok(order)
}

pub(super) fn looped(label: &str) -> LowerError {
    unsupported(
        label,
        "a loop of connections without a synapse",
        "unroll it",
    )
}

impl Reach {
    fn of(network: &Network, sources: &[Pre]) -> Result<Self, LowerError> {
        let nothing = || {
            let words = sources.len().div_ceil(64);
            [(); 2].map(|()| Set(vec![0; words]))
        };
        let mut into: Vec<Vec<usize>> = vec![Vec::new(); network.nodes.len()];
        for (at, c) in network.connections.iter().enumerate() {
            if let Post::Node(n) = c.post {
                into[n.0].push(at);
            }
        }
        let mut reach = Self {
            nodes: vec![None; network.nodes.len()],
            sources: Vec::new(),
        };
        for (at, source) in sources.iter().enumerate() {
            if let Pre::Node(n) = source {
                let mut sets = nothing();
                sets.iter_mut().for_each(|set| set.insert(at));
                reach.nodes[n.0] = Some(sets);
            }
        }
        // Nodes from sources on, each after those before it; a node that is met again on its way is in a
        // loop.
        let mut open = vec![false; network.nodes.len()];
        for first in 0..network.nodes.len() {
            let mut waiting = vec![first];
            while let Some(&top) = waiting.last() {
                if reach.nodes[top].is_some() {
                    waiting.pop();
                    continue;
                }
                open[top] = true;
                let before = into[top]
                    .iter()
                    .find_map(|&at| match network.connections[at].pre {
                        Pre::Node(n) if reach.nodes[n.0].is_none() => Some(n.0),
                        _ => None,
                    });
                match before {
                    Some(before) if open[before] => {
                        return Err(looped(&network.nodes[before].label));
                    }
                    Some(before) => waiting.push(before),
                    None => {
                        let mut sets = nothing();
                        for &at in &into[top] {
                            reach.follow(network, at, &mut sets);
                        }
                        reach.nodes[top] = Some(sets);
                    }
                }
            }
        }
        reach.sources = sources.iter().map(|_| nothing()).collect();
        let mut place = vec![None; network.nodes.len()];
        for (at, source) in sources.iter().enumerate() {
            if let Pre::Node(n) = source {
                place[n.0] = Some(at);
            }
        }
        for (at, c) in network.connections.iter().enumerate() {
            let post = match c.post {
                Post::Neurons(e) => Some(e.0),
                Post::Node(n) => place[n.0],
            };
            if let Some(post) = post {
                let mut sets = std::mem::replace(&mut reach.sources[post], nothing());
                reach.follow(network, at, &mut sets);
                reach.sources[post] = sets;
            }
        }
        Ok(reach)
    }

    /// Adds what reaches the end of a connection.
    fn follow(&self, network: &Network, connection: usize, sets: &mut [Set; 2]) {
        let c = &network.connections[connection];
        let ways = if c.synapse.is_some() { 1 } else { 2 };
        for (way, set) in sets.iter_mut().enumerate().take(ways) {
            match c.pre {
                Pre::Neurons(e) => set.insert(e.0),
                Pre::Node(n) => {
                    if let Some(before) = &self.nodes[n.0] {
                        set.extend(&before[way]);
                    }
                }
            }
        }
    }
}
