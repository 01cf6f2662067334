//! A network while it is being made.

use std::sync::Arc;

use super::error::ConvertError;
use super::options::{ActivationType, ConvertOptions};
use super::warning::Warning;
use crate::keras::shape::MAX_ELEMENTS;
use crate::network::{
    Connection, Ensemble, EnsembleId, Network, Node, NodeId, NodeKind, Post, Pre, Subnetwork,
    SubnetworkId,
};

/// An object with the way in which its values are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) object: Pre,
    pub(crate) channels_last: bool,
}

/// A network under construction.
pub(crate) struct Build<'m> {
    pub(crate) options: &'m ConvertOptions,
    pub(crate) network: Network,
    pub(crate) warnings: Vec<Warning>,
    /// The network that new objects belong to.
    pub(crate) subnetwork: Option<SubnetworkId>,
    /// `true` if shapes begin with a time axis that objects do not see.
    pub(crate) temporal: bool,
    swaps_read: Vec<bool>,
}

impl<'m> Build<'m> {
    pub(crate) fn new(options: &'m ConvertOptions) -> Self {
        Self {
            options,
            network: Network::default(),
            warnings: Vec::new(),
            subnetwork: None,
            temporal: options.temporal_model,
            swaps_read: vec![false; options.swap_activations.len()],
        }
    }

    /// The activations of `swap_activations` that no layer has asked for.
    pub(crate) fn unused_swaps(&self) -> Vec<ActivationType> {
        (self.options.swap_activations.iter())
            .zip(&self.swaps_read)
            .filter(|(_, read)| !**read)
            .map(|((from, _), _)| from.clone())
            .collect()
    }

    /// The activation that `swap_activations` puts in the place of one.
    pub(crate) fn swapped(&mut self, activation: ActivationType) -> ActivationType {
        let found = self
            .options
            .swap_activations
            .iter()
            .position(|(from, _)| from.is_called(&activation));
        match found {
            Some(i) => {
                self.swaps_read[i] = true;
                self.options.swap_activations[i].1.clone()
            }
            None => activation,
        }
    }

    pub(crate) fn add_node(
        &mut self,
        label: String,
        size_in: usize,
        size_out: usize,
        kind: NodeKind,
    ) -> NodeId {
        self.network.nodes.push(Node {
            label,
            size_in,
            size_out,
            kind,
            subnetwork: self.subnetwork,
        });
        NodeId(self.network.nodes.len() - 1)
    }

    pub(crate) fn add_ensemble(&mut self, ensemble: Ensemble) -> EnsembleId {
        self.network.ensembles.push(ensemble);
        EnsembleId(self.network.ensembles.len() - 1)
    }

    /// Opens a nested network; objects go there until [`Build::close`].
    pub(crate) fn open(&mut self, label: String) -> Option<SubnetworkId> {
        let parent = self.subnetwork;
        self.network.subnetworks.push(Subnetwork { label, parent });
        self.subnetwork = Some(SubnetworkId(self.network.subnetworks.len() - 1));
        parent
    }

    pub(crate) fn close(&mut self, parent: Option<SubnetworkId>) {
        self.subnetwork = parent;
    }

    /// The length of an object's output.
    pub(crate) fn size_out(&self, pre: Pre) -> usize {
        match pre {
            Pre::Node(node) => self.network.nodes[node.0].size_out,
            Pre::Neurons(ensemble) => self.network.ensembles[ensemble.0].n_neurons,
        }
    }

    /// The length of an object's input.
    pub(crate) fn size_in(&self, post: Post) -> usize {
        match post {
            Post::Node(node) => self.network.nodes[node.0].size_in,
            Post::Neurons(ensemble) => self.network.ensembles[ensemble.0].n_neurons,
        }
    }

    /// Adds a connection whose lengths must fit.
    pub(crate) fn add_connection(
        &mut self,
        layer: &str,
        connection: Connection,
    ) -> Result<(), ConvertError> {
        let size_pre = self.size_out(connection.pre);
        let size_post = self.size_in(connection.post);
        let problem = |problem: String| ConvertError::Shape {
            layer: layer.to_owned(),
            problem,
        };
        let picked = |slice: &Option<Arc<[usize]>>, size: usize| match slice {
            Some(slice) => slice
                .iter()
                .all(|&i| i < size)
                .then_some(slice.len())
                .ok_or_else(|| problem(format!("a slice reaches beyond the {size} elements"))),
            None => Ok(size),
        };
        let from = picked(&connection.pre_slice, size_pre)?;
        let to = picked(&connection.post_slice, size_post)?;
        let (size_in, size_out) = (
            connection.transform.size_in(),
            connection.transform.size_out(),
        );
        if (size_in, size_out) != (from, to) {
            return Err(problem(format!(
                "a transform from {size_in} to {size_out} elements cannot connect {from} to {to}"
            )));
        }
        self.network.connections.push(connection);
        Ok(())
    }
}

/// The shape without its time axis, if every length is known and above 0, and the whole is no larger
/// than a model's tensors may be.
pub(crate) fn known(shape: &[Option<usize>], temporal: bool) -> Option<Vec<usize>> {
    let shape: Vec<usize> = shape
        .iter()
        .skip(usize::from(temporal))
        .copied()
        .collect::<Option<_>>()?;
    let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    (1..=MAX_ELEMENTS).contains(&size).then_some(shape)
}
