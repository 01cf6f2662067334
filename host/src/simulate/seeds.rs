//! Nengo's seeds: each object draws one from its network's generator.

use super::random::RandomState;
use crate::network::{Network, SubnetworkId};

/// The seed of every ensemble of a network whose seed is `seed`, as `nengo.builder.network` assigns
/// them: a network seeds its connections, ensembles, subnetworks and nodes in this order.
pub(super) fn ensembles(network: &Network, seed: u32) -> Vec<u32> {
    let mut seeds = vec![0; network.ensembles.len()];
    let mut queue: Vec<(Option<SubnetworkId>, u32)> = vec![(None, seed)];
    let mut seen = vec![false; network.subnetworks.len()];
    while let Some((here, seed)) = queue.pop() {
        let mut rng = RandomState::new(seed);
        for _ in network.connections.iter().filter(|c| c.subnetwork == here) {
            rng.seed();
        }
        for (ensemble, seed) in network.ensembles.iter().zip(&mut seeds) {
            if ensemble.subnetwork == here {
                *seed = rng.seed();
            }
        }
        for (i, subnetwork) in network.subnetworks.iter().enumerate() {
            if subnetwork.parent == here && !seen[i] {
                seen[i] = true;
                queue.push((Some(SubnetworkId(i)), rng.seed()));
            }
        }
    }
    seeds
}
