//! The order of populations: sources before targets.

use super::error::{LowerError, unsupported};
use crate::network::{EnsembleId, Network, Post, Pre};

/// Ensembles, one bit for each.
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

/// The ensembles that reach each object through nodes alone: on any way, and without a delay.
struct Reach {
    nodes: Vec<Option<[Set; 2]>>,
    ensembles: Vec<[Set; 2]>,
}

/// Ensembles in an order in which every connection leads forward, except delayed ones that close a loop.
pub(super) fn topological(network: &Network) -> Result<Vec<EnsembleId>, LowerError> {
    let reach = Reach::of(network)?;
    let n = network.ensembles.len();
    let mut order: Vec<EnsembleId> = Vec::with_capacity(n);
    let mut placed = vec![false; n];
    while order.len() < n {
        let ready = |ways: usize, at: usize| {
            let waits = &reach.ensembles[at][ways];
            !placed[at] && (0..n).all(|other| placed[other] || !waits.contains(other))
        };
        // What waits for a delayed connection of its own loop may go ahead.
        let next = (0..2).find_map(|ways| (0..n).find(|&at| ready(ways, at)));
        let Some(at) = next else {
            let stuck = (0..n).find(|&at| !placed[at]).unwrap_or(0);
            return Err(looped(&network.ensembles[stuck].label));
        };
        placed[at] = true;
        order.push(EnsembleId(at));
    }
    Ok(order)
}

fn looped(label: &str) -> LowerError {
    unsupported(
        label,
        "a loop of connections without a synapse",
        "unroll it",
    )
}

impl Reach {
    fn of(network: &Network) -> Result<Self, LowerError> {
        let nothing = || {
            let words = network.ensembles.len().div_ceil(64);
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
            ensembles: Vec::new(),
        };
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
        reach.ensembles = network.ensembles.iter().map(|_| nothing()).collect();
        for (at, c) in network.connections.iter().enumerate() {
            if let Post::Neurons(e) = c.post {
                let mut sets = std::mem::replace(&mut reach.ensembles[e.0], nothing());
                reach.follow(network, at, &mut sets);
                reach.ensembles[e.0] = sets;
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
