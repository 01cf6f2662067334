//! Resolution of a network: what reaches each object, in terms of inputs and neurons.

use std::rc::Rc;

use super::device::device_order;
use super::error::{LowerError, unsupported};
use super::link;
use super::path::Path;
use super::tensor_nodes::{ensemble_head, head, is_identity};
use super::wiring::Wiring;
use crate::network::{
    Connection, EnsembleId, Head, Network, NodeId, NodeKind, Post, Pre, Synapse, Transform,
};
use crate::ops::{self, OpsError};
use crate::tensor::Tensor;

/// The most values of a node: more than all neurons of an image together have.
const MAX_VALUES: usize = 1 << 22;
/// The most values that all nodes together hold while they are resolved, in entries of wirings.
const MAX_KEPT: usize = 1 << 25;
/// Terms of one source that stay apart, so that each finds its own form.
const APART: usize = 16;
/// The most terms of a sum: more links than this fit into no image.
const MAX_TERMS: usize = 128;

/// Sum that reaches an object: Σ transform · source + bias.
#[derive(Clone)]
pub(super) struct Resolved {
    pub(super) terms: Vec<Term>,
    pub(super) bias: Vec<f32>,
    /// The part of the bias that a delay keeps from the first step.
    pub(super) delayed_bias: Vec<f32>,
}

/// One way from a source to an object.
#[derive(Clone)]
pub(super) struct Term {
    pub(super) pre: Pre,
    pub(super) path: Path,
    /// The only filter on the way.
    pub(super) synapse: Option<Synapse>,
    /// The last node on the way whose values are sums of the source's.
    pub(super) sum: Option<NodeId>,
    /// The last node on the way behind weights.
    pub(super) product: Option<NodeId>,
}

/// A network that cannot be lowered as it is.
pub(super) struct Refused {
    pub(super) error: LowerError,
    /// A node that would be of help as a population.
    pub(super) cut: Option<NodeId>,
}

impl From<LowerError> for Refused {
    fn from(error: LowerError) -> Self {
        Self { error, cut: None }
    }
}

impl Resolved {
    /// The source itself.
    fn source(pre: Pre, path: Wiring) -> Self {
        Self {
            bias: vec![0.0; path.outputs()],
            delayed_bias: vec![0.0; path.outputs()],
            terms: vec![Term {
                pre,
                path: Path::of(path),
                synapse: None,
                sum: None,
                product: None,
            }],
        }
    }

    /// Adds a term: to an equal one if there is one, and to one of the same kind once there are many.
    fn add(&mut self, term: Term) -> Result<(), String> {
        type Join = fn(&Path, &Path) -> Option<Path>;
        let joins: &[Join] = match self.terms.len() {
            APART.. => &[Path::plus, Path::beside],
            _ => &[Path::plus],
        };
        for join in joins {
            let alike = |kept: &&mut Term| kept.pre == term.pre && kept.synapse == term.synapse;
            let mut kept = self.terms.iter_mut().filter(alike);
            let sum = kept.find_map(|kept| join(&kept.path, &term.path).map(|sum| (kept, sum)));
            if let Some((kept, sum)) = sum {
                kept.path = sum;
                return Ok(());
            }
        }
        if self.terms.len() == MAX_TERMS {
            return Err(format!("a sum of more than {MAX_TERMS} different maps"));
        }
        self.terms.push(term);
        Ok(())
    }

    /// A measure of its memory.
    fn size(&self) -> usize {
        let terms = self.terms.iter().map(|term| term.path.size());
        terms.sum::<usize>() + self.bias.len()
    }
}

/// Resolves each node of a network once, and keeps what it found as long as somebody may ask for it.
pub(super) struct Resolver<'a> {
    network: &'a Network,
    /// The connections into each node, and into each ensemble.
    into: [Vec<Vec<usize>>; 2],
    /// Resolution of each node.
    resolved: Vec<Option<Rc<Resolved>>>,
    /// Times that each node is yet to be asked for.
    asked: Vec<usize>,
    /// The sizes of all that is kept.
    kept: usize,
    /// `true` if linear layers whose products are large shall be populations.
    apart: bool,
    /// Factors and offsets behind each node that pools.
    pooled: Vec<Option<Affine>>,
}

/// Factor and offset of each value of a node that pools, behind its windows, and their order on a device.
pub(super) struct Affine {
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) order: Wiring,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(network: &'a Network, apart: bool) -> Self {
        let mut into = [
            vec![Vec::new(); network.nodes.len()],
            vec![Vec::new(); network.ensembles.len()],
        ];
        let mut asked = vec![0; network.nodes.len()];
        for (at, c) in network.connections.iter().enumerate() {
            match c.post {
                Post::Node(n) => into[0][n.0].push(at),
                Post::Neurons(e) => into[1][e.0].push(at),
            }
            if let Pre::Node(n) = c.pre {
                asked[n.0] += 1;
            }
        }
        for probe in &network.probes {
            if let Pre::Node(n) = probe.target {
                asked[n.0] += 1;
            }
        }
        Self {
            network,
            into,
            resolved: vec![None; network.nodes.len()],
            asked,
            kept: 0,
            apart,
            pooled: network.nodes.iter().map(|_| None).collect(),
        }
    }

    /// States what a node that pools hands on. All that stand before others of its kind must be stated first.
    pub(super) fn pooled(&mut self, node: NodeId, affine: Affine) {
        self.pooled[node.0] = Some(affine);
    }

    fn ends(&self, post: Post) -> impl Iterator<Item = &'a Connection> + use<'a> {
        let at = match post {
            Post::Node(n) => self.into[0][n.0].clone(),
            Post::Neurons(e) => self.into[1][e.0].clone(),
        };
        let network = self.network;
        at.into_iter().map(move |at| &network.connections[at])
    }

    /// Sums up all connections to an object.
    pub(super) fn sum_into(&mut self, post: Post) -> Result<Rc<Resolved>, Refused> {
        for c in self.ends(post) {
            if let Pre::Node(n) = c.pre {
                self.prepare(n)?;
            }
        }
        self.sum(post).map(Rc::new)
    }

    /// Resolves a probe's input, and the head before it that was left out.
    pub(super) fn output(&mut self, target: Pre) -> Result<(Rc<Resolved>, Option<Head>), Refused> {
        match target {
            Pre::Node(n) => {
                if let NodeKind::Tensor(t) = &self.network.nodes[n.0].kind
                    && let Some(head) = head(t)
                {
                    return Ok((self.sum_into(Post::Node(n))?, Some(head)));
                }
                self.prepare(n)?;
            }
            Pre::Neurons(e) => {
                if let Some(head) = ensemble_head(self.network, e) {
                    return Ok((self.currents(e)?, Some(head)));
                }
            }
        }
        Ok((self.output_of(target), None))
    }

    /// The currents of an ensemble's neurons.
    fn currents(&mut self, id: EnsembleId) -> Result<Rc<Resolved>, Refused> {
        let sum = self.sum_into(Post::Neurons(id))?;
        let ensemble = &self.network.ensembles[id.0];
        let mut currents = (*sum).clone();
        let own = ensemble.bias.as_ref().map(Tensor::data);
        for (at, bias) in currents.bias.iter_mut().enumerate() {
            *bias = *bias * ensemble.gain.at(at) + own.map_or(0.0, |own| own[at]);
        }
        let gains = Wiring::identity(currents.bias.len()).scaled(|at| ensemble.gain.at(at));
        if !gains.is_identity() {
            for term in &mut currents.terms {
                let scaled = term.path.then(&gains);
                term.path = scaled.map_err(|what| {
                    let advice = link::advice(&what);
                    unsupported(&ensemble.label, what, advice)
                })?;
            }
        }
        Ok(Rc::new(currents))
    }

    /// Resolves a node and all nodes before it, in a network whose order has been found: nodes form no loop.
    fn prepare(&mut self, node: NodeId) -> Result<(), Refused> {
        let mut waiting = vec![node];
        while let Some(&top) = waiting.last() {
            if self.resolved[top.0].is_some() {
                waiting.pop();
                continue;
            }
            // What pools is a source.
            let before = self.ends(Post::Node(top)).find_map(|c| match c.pre {
                Pre::Node(n) if self.resolved[n.0].is_none() => Some(n),
                _ => None,
            });
            let before = before.filter(|_| self.pooled[top.0].is_none());
            match before {
                Some(before) => waiting.push(before),
                None => {
                    let resolved = self.resolve(top)?;
                    self.kept += resolved.size();
                    if self.kept > MAX_KEPT {
                        return Err(unsupported(
                            &self.network.nodes[top.0].label,
                            format!(
                                "a network whose layers without neurons hold more than {MAX_KEPT} values",
                            ),
                            "use smaller layers",
                        )
                        .into());
                    }
                    self.resolved[top.0] = Some(Rc::new(resolved));
                }
            }
        }
        Ok(())
    }

    /// Resolves a node's output, once all before it are resolved.
    fn resolve(&mut self, node: NodeId) -> Result<Resolved, Refused> {
        let object = &self.network.nodes[node.0];
        let size = object.size_in.max(object.size_out);
        if size > MAX_VALUES {
            return Err(unsupported(
                &object.label,
                format!("a layer of {size} values, more than {MAX_VALUES},"),
                "use a smaller one",
            )
            .into());
        }
        match &object.kind {
            NodeKind::Input { .. } => Ok(Resolved::source(
                Pre::Node(node),
                Wiring::identity(object.size_out),
            )),
            NodeKind::Constant(value) => Ok(Resolved {
                terms: Vec::new(),
                bias: value.data().to_vec(),
                delayed_bias: vec![0.0; value.len()],
            }),
            NodeKind::Passthrough => {
                let mut sum = self.sum(Post::Node(node))?;
                let smaller = |kept: Option<NodeId>| {
                    kept.is_none_or(|n| size <= self.network.nodes[n.0].size_out)
                };
                for term in &mut sum.terms {
                    if term.path.middle.is_some() && smaller(term.product) {
                        term.product = Some(node);
                    } else if term.path.middle.is_none()
                        && term.path.before.adds()
                        && smaller(term.sum)
                    {
                        term.sum = Some(node);
                    }
                }
                Ok(sum)
            }
            NodeKind::Max(_) => {
                let Some(affine) = &self.pooled[node.0] else {
                    // All before it are stated, unless there is a loop.
                    return Err(super::order::looped(&object.label).into());
                };
                let order = affine.order.inverse();
                // Columns are values in the device's order, rows in the layer's.
                let factors = Wiring::identity(order.outputs()).scaled(|at| affine.scale[at]);
                let path = factors.after(&order).unwrap_or(order);
                let mut resolved = Resolved::source(Pre::Node(node), path);
                resolved.bias.clone_from(&affine.bias);
                Ok(resolved)
            }
            NodeKind::Tensor(t) if is_identity(t) => self.sum(Post::Node(node)),
            NodeKind::Tensor(t) => {
                Err(
                    LowerError::TensorNodes(vec![super::tensor_nodes::fallback(&object.label, t)])
                        .into(),
                )
            }
        }
    }

    /// Output of an object, in terms of inputs and neurons; its node is resolved.
    fn output_of(&mut self, pre: Pre) -> Rc<Resolved> {
        match pre {
            Pre::Neurons(e) => {
                let (_, order) = device_order(&self.network.ensembles[e.0]);
                Rc::new(Resolved::source(pre, order.inverse()))
            }
            Pre::Node(n) => {
                self.asked[n.0] = self.asked[n.0].saturating_sub(1);
                let slot = &mut self.resolved[n.0];
                let resolved = match self.asked[n.0] {
                    0 => slot.take(),
                    _ => slot.clone(),
                };
                if self.asked[n.0] == 0 {
                    self.kept -= resolved.as_ref().map_or(0, |r| r.size());
                }
                // Whoever asks has prepared it, and is counted.
                resolved.unwrap_or_else(|| {
                    Rc::new(Resolved {
                        terms: Vec::new(),
                        bias: vec![0.0; self.network.nodes[n.0].size_out],
                        delayed_bias: vec![0.0; self.network.nodes[n.0].size_out],
                    })
                })
            }
        }
    }

    /// Sums up all connections to an object, whose sources are resolved.
    fn sum(&mut self, post: Post) -> Result<Resolved, Refused> {
        let (label, size) = match post {
            Post::Node(n) => {
                let node = &self.network.nodes[n.0];
                (&node.label, node.size_in)
            }
            Post::Neurons(e) => {
                let ensemble = &self.network.ensembles[e.0];
                (&ensemble.label, ensemble.n_neurons)
            }
        };
        let refused = |what: String| {
            let advice = link::advice(&what);
            unsupported(label, what, advice)
        };
        let mut sum = Resolved {
            terms: Vec::new(),
            bias: vec![0.0; size],
            delayed_bias: vec![0.0; size],
        };
        for c in self.ends(post) {
            let from = self.output_of(c.pre);
            if c.synapse.is_some() {
                check_filter(self.network, &from, label, c.synapse)?;
            }
            let (pre_slice, post_slice) = (c.pre_slice.as_deref(), c.post_slice.as_deref());
            let delayed = match c.synapse {
                Some(_) => &from.bias,
                None => &from.delayed_bias,
            };
            for (bias, total) in [
                (&from.bias, &mut sum.bias),
                (delayed, &mut sum.delayed_bias),
            ] {
                if bias.iter().all(|&b| b == 0.0) {
                    continue;
                }
                let seen: Vec<f32> = match pre_slice {
                    Some(places) => places.iter().map(|&at| bias[at]).collect(),
                    None => bias.clone(),
                };
                let mut through = vec![0.0; c.transform.size_out()];
                ops::apply(&c.transform, &seen, &mut through).map_err(|source: OpsError| {
                    LowerError::Ops {
                        layer: label.clone(),
                        source,
                    }
                })?;
                for (i, b) in through.iter().enumerate() {
                    let at = post_slice.map_or(i, |places| places[i]);
                    total[at] += b;
                }
            }
            let before =
                pre_slice.map(|places| Wiring::gather(from.bias.len(), places.iter().copied()));
            let after = post_slice.map(|places| Wiring::spread(size, places));
            for term in &from.terms {
                let path = match &before {
                    Some(wiring) => term.path.then(wiring),
                    None => Ok(term.path.clone()),
                };
                let path = path.and_then(|path| path.then_transform(&c.transform));
                let path = path.and_then(|path| match &after {
                    Some(wiring) => path.then(wiring),
                    None => Ok(path),
                });
                let cut = term.product.filter(|_| self.apart);
                let path = path.map_err(|what| Refused {
                    error: refused(what),
                    cut: cut.or(term.sum),
                })?;
                if let Some(node) = cut
                    && path.weights() > 2 * self.apart(&term.path, &c.transform, node)
                {
                    return Err(Refused {
                        error: refused(
                            "a product of two linear layers that is larger than both".into(),
                        ),
                        cut,
                    });
                }
                let term = Term {
                    pre: term.pre,
                    path,
                    synapse: c.synapse.or(term.synapse),
                    sum: term.sum,
                    product: term.product,
                };
                sum.add(term).map_err(refused)?;
            }
        }
        Ok(sum)
    }
}

impl Resolver<'_> {
    /// The weights and state of a path and a transform with a population between them, which has a part
    /// above zero and one below.
    fn apart(&self, path: &Path, transform: &Transform, node: NodeId) -> usize {
        let outer = match transform {
            Transform::Dense(w) => w.len(),
            Transform::Convolution(c) => c.kernel.len(),
            // Without weights, nothing grows.
            Transform::Identity(_) | Transform::Diagonal(_) | Transform::Sparse(_) => {
                return usize::MAX / 2;
            }
        };
        2 * (path.weights() + outer + self.network.nodes[node.0].size_out)
    }
}

/// Refuses a filter on what it would have to be told apart from: another filter, a bias that it does more to than
/// delay it by a step, an input.
fn check_filter(
    network: &Network,
    from: &Resolved,
    label: &str,
    synapse: Option<Synapse>,
) -> Result<(), LowerError> {
    let input = |term: &Term| match term.pre {
        Pre::Node(n) => !matches!(network.nodes[n.0].kind, NodeKind::Max(_)),
        Pre::Neurons(_) => false,
    };
    let delays = matches!(synapse, Some(Synapse::Delay { steps: 1 }));
    let some = |bias: &[f32]| bias.iter().any(|&b| b != 0.0);
    let biased = some(&from.bias) && !delays || some(&from.delayed_bias);
    if biased || from.terms.iter().any(input) {
        if matches!(synapse, Some(Synapse::Delay { .. })) {
            return Err(unsupported(
                label,
                "a delay of an input, or of more than one step of a bias,",
                "simulate it on the host",
            ));
        }
        return Err(unsupported(
            label,
            "a synapse on something else than neurons",
            "put synapses on what neurons send",
        ));
    }
    if from.terms.iter().any(|term| term.synapse.is_some()) {
        return Err(unsupported(
            label,
            "a synapse behind another one",
            "keep one of them",
        ));
    }
    Ok(())
}
