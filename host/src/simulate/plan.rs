//! A network laid out for simulation: its objects in the order in which a step visits them, and what
//! each takes from which.
//!
//! An object is *fixed* if its output depends on the present input alone: inputs, constants, and
//! what follows from them without a filter or a spiking neuron. All fixed values of many items, or
//! of many steps, are computed at once; a step then costs what its spikes cost.

use std::sync::Arc;

use super::SimulateError;
use super::filter::Filter;
use super::kernel::Kernel;
use super::neurons::Neurons;
use crate::network::{MaxPool, Network, NodeKind, PerNeuron, Post, Pre, TensorNode, Transform};
use crate::ops;
use crate::tensor::Tensor;

/// Function of an object.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Input,
    Constant(Tensor),
    Passthrough,
    Tensor(TensorNode),
    Max(MaxPool),
    Neurons {
        neurons: Neurons,
        gain: PerNeuron,
        bias: Option<Tensor>,
    },
}

/// A node or an ensemble.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) size_in: usize,
    pub(super) size_out: usize,
    pub(super) fixed: bool,
    /// Links whose contribution is fixed.
    pub(super) steady: Vec<usize>,
    /// Links without a filter from objects that are not fixed.
    pub(super) direct: Vec<usize>,
    /// Links with a filter.
    pub(super) filtered: Vec<usize>,
}

/// A connection between objects.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) pre: usize,
    pub(super) pre_slice: Option<Arc<[usize]>>,
    pub(super) post_slice: Option<Arc<[usize]>>,
    pub(super) transform: Transform,
    pub(super) size_in: usize,
    pub(super) size_out: usize,
    pub(super) filter: Option<Filter>,
    /// Kernel of a link that is not steady.
    pub(super) kernel: Option<Kernel>,
    /// Readers of a sliced source: the transform's input places that read each place of the source.
    readers: Option<Vec<Vec<u32>>>,
}

#[derive(Clone, Debug)]
pub(super) struct ProbePlan {
    pub(super) label: String,
    pub(super) target: usize,
    pub(super) filter: Option<Filter>,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Nodes, then ensembles.
    pub(super) objects: Vec<Object>,
    pub(super) links: Vec<Link>,
    /// Objects in topological order.
    pub(super) order: Vec<usize>,
    pub(super) probes: Vec<ProbePlan>,
    /// Number of nodes: the first ensemble's index.
    pub(super) nodes: usize,
}

/// Values by object: the output of fixed objects, and for the others what their fixed links bring (a current,
/// for neurons); rows of items or steps.
pub(super) type Fixed = Vec<Vec<f32>>;

impl Plan {
    pub(super) fn new(network: &Network, dt: f64) -> Result<Self, SimulateError> {
        let nodes = network.nodes.len();
        let mut objects: Vec<Object> = Vec::new();
        for node in &network.nodes {
            objects.push(Object {
                label: node.label.clone(),
                kind: match &node.kind {
                    NodeKind::Input { .. } => Kind::Input,
                    NodeKind::Constant(value) => Kind::Constant(value.clone()),
                    NodeKind::Passthrough => Kind::Passthrough,
                    NodeKind::Tensor(tensor) => Kind::Tensor(tensor.clone()),
                    NodeKind::Max(pool) => Kind::Max(pool.clone()),
                },
                size_in: node.size_in,
                size_out: node.size_out,
                fixed: false,
                steady: Vec::new(),
                direct: Vec::new(),
                filtered: Vec::new(),
            });
        }
        for ensemble in &network.ensembles {
            objects.push(Object {
                label: ensemble.label.clone(),
                kind: Kind::Neurons {
                    neurons: Neurons::new(&ensemble.neuron_type, ensemble.n_neurons),
                    gain: ensemble.gain.clone(),
                    bias: ensemble.bias.clone(),
                },
                size_in: ensemble.n_neurons,
                size_out: ensemble.n_neurons,
                fixed: false,
                steady: Vec::new(),
                direct: Vec::new(),
                filtered: Vec::new(),
            });
        }
        for object in &objects {
            check_object(object)?;
        }
        let index_of = |pre: Pre| match pre {
            Pre::Node(n) => Some(n.0).filter(|n| *n < nodes),
            Pre::Neurons(e) => Some(nodes + e.0).filter(|_| e.0 < network.ensembles.len()),
        };
        let mut links = Vec::new();
        let mut ends = Vec::new();
        for (i, connection) in network.connections.iter().enumerate() {
            let post = match connection.post {
                Post::Node(n) => Pre::Node(n),
                Post::Neurons(e) => Pre::Neurons(e),
            };
            let (Some(pre), Some(post)) = (index_of(connection.pre), index_of(post)) else {
                return Err(SimulateError::Dangling {
                    what: format!("connection {i}"),
                });
            };
            let problem = |problem: String| SimulateError::Connection {
                pre: objects[pre].label.clone(),
                post: objects[post].label.clone(),
                problem,
            };
            if let Transform::Dense(w) = &connection.transform
                && w.shape().len() != 2
            {
                return Err(problem(format!("its matrix has the shape {:?}", w.shape())));
            }
            let (size_in, size_out) = (
                connection.transform.size_in(),
                connection.transform.size_out(),
            );
            let fits = |slice: &Option<Arc<[usize]>>, object: usize, size: usize| match slice {
                None => object == size,
                Some(slice) => slice.len() == size && slice.iter().all(|i| *i < object),
            };
            if !fits(&connection.pre_slice, objects[pre].size_out, size_in)
                || !fits(&connection.post_slice, objects[post].size_in, size_out)
            {
                return Err(problem(format!(
                    "its transform takes {size_in} values to {size_out}, which is not what it connects"
                )));
            }
            ends.push((pre, post));
            links.push(Link {
                pre,
                pre_slice: connection.pre_slice.clone(),
                post_slice: connection.post_slice.clone(),
                transform: connection.transform.clone(),
                size_in,
                size_out,
                filter: connection.synapse.map(|s| Filter::new(s, dt)),
                kernel: None,
                readers: None,
            });
        }
        let order = order(&objects, &links, &ends)?;
        classify(&mut objects, &mut links, &ends, &order)?;
        let probes = network
            .probes
            .iter()
            .map(|probe| {
                let target = index_of(probe.target).ok_or_else(|| SimulateError::Dangling {
                    what: format!("the probe \"{}\"", probe.label),
                })?;
                Ok(ProbePlan {
                    label: probe.label.clone(),
                    target,
                    filter: probe.synapse.map(|s| Filter::new(s, dt)),
                })
            })
            .collect::<Result<_, SimulateError>>()?;
        Ok(Self {
            objects,
            links,
            order,
            probes,
            nodes,
        })
    }

    /// Computes all that is fixed for `rows` rows; `input` gives an input node's rows.
    pub(super) fn fixed<'a>(
        &self,
        rows: usize,
        input: impl Fn(usize) -> &'a [f32],
    ) -> Result<Fixed, SimulateError> {
        let mut values: Fixed = vec![Vec::new(); self.objects.len()];
        for &o in &self.order {
            let object = &self.objects[o];
            let mut u = vec![0.0; rows * object.size_in];
            for &l in &object.steady {
                let link = &self.links[l];
                let x = link.read(&values[link.pre], rows, self.objects[link.pre].size_out);
                let apply = |x: &[f32], y: &mut [f32]| {
                    ops::apply_batch(&link.transform, rows, x, y).map_err(|source| {
                        SimulateError::Ops {
                            object: object.label.clone(),
                            source,
                        }
                    })
                };
                let x = x.as_deref().unwrap_or(&values[link.pre]);
                if link.post_slice.is_none() {
                    apply(x, &mut u)?;
                } else {
                    let mut y = vec![0.0; rows * link.size_out];
                    apply(x, &mut y)?;
                    for row in 0..rows {
                        link.write(
                            &PerNeuron::Same(1.0),
                            &y[row * link.size_out..][..link.size_out],
                            &mut u[row * object.size_in..][..object.size_in],
                        );
                    }
                }
            }
            values[o] = match &object.kind {
                Kind::Input => input(o).to_vec(),
                Kind::Constant(value) => value.data().repeat(rows),
                Kind::Tensor(node) if object.fixed => tensor_node(object, node, rows, u)?,
                Kind::Max(pool) if object.fixed => {
                    let mut y = vec![0.0; rows * object.size_out];
                    let windows = y.chunks_exact_mut(object.size_out.max(1));
                    for (u, y) in u.chunks_exact(object.size_in.max(1)).zip(windows) {
                        pool.apply(u, |_| false, y);
                    }
                    y
                }
                Kind::Passthrough | Kind::Tensor(_) | Kind::Max(_) => u,
                Kind::Neurons {
                    neurons,
                    gain,
                    bias,
                } => {
                    let zeros;
                    let bias = match bias {
                        Some(bias) => bias.data(),
                        None => {
                            zeros = vec![0.0; object.size_in];
                            &zeros
                        }
                    };
                    if object.size_in > 0 {
                        for row in u.chunks_exact_mut(object.size_in) {
                            for (i, (u, b)) in row.iter_mut().zip(bias).enumerate() {
                                *u = b + gain.at(i) * *u;
                            }
                        }
                    }
                    if object.fixed {
                        neurons.rates(&mut u);
                    }
                    u
                }
            };
        }
        Ok(values)
    }
}

impl Link {
    /// Part of each row of the source that the transform reads, if it does not read all of it.
    fn read(&self, source: &[f32], rows: usize, width: usize) -> Option<Vec<f32>> {
        let slice = self.pre_slice.as_ref()?;
        let mut x = Vec::with_capacity(rows * self.size_in);
        for row in 0..rows {
            x.extend(slice.iter().map(|i| source[row * width + i]));
        }
        Some(x)
    }

    /// Adds `gain` times the transform's output to the target's input.
    pub(super) fn write(&self, gain: &PerNeuron, y: &[f32], target: &mut [f32]) {
        match &self.post_slice {
            None => {
                for (i, (t, y)) in target.iter_mut().zip(y).enumerate() {
                    *t += gain.at(i) * y;
                }
            }
            Some(slice) => {
                for (&i, y) in slice.iter().zip(y) {
                    if let Some(t) = target.get_mut(i) {
                        *t += gain.at(i) * y;
                    }
                }
            }
        }
    }

    /// Adds the transform of one value of the source to `y`.
    pub(super) fn scatter(&self, place: u32, value: f32, y: &mut [f32]) {
        let Some(kernel) = &self.kernel else { return };
        match &self.readers {
            None => kernel.add(place as usize, value, y),
            Some(readers) => {
                for &i in readers.get(place as usize).into_iter().flatten() {
                    kernel.add(i as usize, value, y);
                }
            }
        }
    }
}

fn check_object(object: &Object) -> Result<(), SimulateError> {
    let problem = |problem: String| {
        Err(SimulateError::Object {
            object: object.label.clone(),
            problem,
        })
    };
    match &object.kind {
        Kind::Constant(value) if value.len() != object.size_out => problem(format!(
            "its constant has {} values, but its output {}",
            value.len(),
            object.size_out
        )),
        Kind::Passthrough if object.size_in != object.size_out => problem(format!(
            "it passes {} values on as {}",
            object.size_in, object.size_out
        )),
        Kind::Max(pool)
            if pool.size_in() != object.size_in || pool.size_out() != object.size_out =>
        {
            problem("its windows do not fit its size".to_owned())
        }
        Kind::Tensor(node)
            if node.shape_in.iter().product::<usize>() != object.size_in
                || node.shape_out.iter().product::<usize>() != object.size_out =>
        {
            problem(format!(
                "its function takes {:?} to {:?}, which is not its size",
                node.shape_in, node.shape_out
            ))
        }
        Kind::Neurons {
            bias: Some(bias), ..
        } if bias.len() != object.size_in => problem(format!(
            "it has {} biases for {} neurons",
            bias.len(),
            object.size_in
        )),
        Kind::Neurons { neurons, gain, .. } => {
            if let Some(base) = neurons.spiking_base() {
                return problem(format!("{base} is no rate type to spike by"));
            }
            match gain.count().filter(|&gains| gains != object.size_in) {
                Some(gains) => problem(format!(
                    "it has {gains} gains for {} neurons",
                    object.size_in
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// An order in which every object comes after those that it takes something from in the same step.
fn order(
    objects: &[Object],
    links: &[Link],
    ends: &[(usize, usize)],
) -> Result<Vec<usize>, SimulateError> {
    let mut waiting = vec![0usize; objects.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); objects.len()];
    for (link, &(pre, post)) in links.iter().zip(ends) {
        if link.filter.is_none() {
            waiting[post] += 1;
            followers[pre].push(post);
        }
    }
    let mut order: Vec<usize> = (0..objects.len()).filter(|o| waiting[*o] == 0).collect();
    let mut next = 0;
    while let Some(&o) = order.get(next) {
        next += 1;
        for &f in &followers[o] {
            waiting[f] -= 1;
            if waiting[f] == 0 {
                order.push(f);
            }
        }
    }
    if order.len() < objects.len() {
        let stuck = objects.iter().zip(&waiting).filter(|(_, w)| **w > 0);
        return Err(SimulateError::Loop {
            objects: stuck.map(|(o, _)| o.label.clone()).collect(),
        });
    }
    Ok(order)
}

/// Finds out which objects are fixed, and prepares the links of the others.
fn classify(
    objects: &mut [Object],
    links: &mut [Link],
    ends: &[(usize, usize)],
    order: &[usize],
) -> Result<(), SimulateError> {
    let mut incoming: Vec<Vec<usize>> = vec![Vec::new(); objects.len()];
    for (l, &(_, post)) in ends.iter().enumerate() {
        incoming[post].push(l);
    }
    for &o in order {
        let (mut steady, mut direct, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
        for &l in &incoming[o] {
            let link = &mut links[l];
            if link.filter.is_some() {
                filtered.push(l);
            } else if objects[link.pre].fixed {
                steady.push(l);
                continue;
            } else {
                direct.push(l);
            }
            link.kernel =
                Some(
                    Kernel::new(&link.transform).map_err(|source| SimulateError::Ops {
                        object: objects[o].label.clone(),
                        source,
                    })?,
                );
            link.readers = link.pre_slice.as_ref().map(|slice| {
                let mut readers = vec![Vec::new(); objects[link.pre].size_out];
                for (i, &place) in slice.iter().enumerate() {
                    readers[place].push(i as u32);
                }
                readers
            });
        }
        let object = &mut objects[o];
        let instant = match &object.kind {
            Kind::Neurons { neurons, .. } => neurons.is_rate(),
            _ => true,
        };
        object.fixed = instant && direct.is_empty() && filtered.is_empty();
        (object.steady, object.direct, object.filtered) = (steady, direct, filtered);
    }
    Ok(())
}

/// Runs a tensor node on rows.
pub(super) fn tensor_node(
    object: &Object,
    node: &TensorNode,
    rows: usize,
    u: Vec<f32>,
) -> Result<Vec<f32>, SimulateError> {
    let mut shape = vec![rows];
    shape.extend(&node.shape_in);
    let wrong_size = |found: usize| SimulateError::Object {
        object: object.label.clone(),
        problem: format!(
            "its function has {found} values where {} belong",
            object.size_out
        ),
    };
    let x = Tensor::new(shape, u).ok_or_else(|| wrong_size(object.size_in))?;
    let y = (node.func.run(&x)).map_err(|reason| SimulateError::TensorNode {
        node: object.label.clone(),
        reason,
    })?;
    if y.len() != rows * object.size_out {
        return Err(wrong_size(y.len() / rows.max(1)));
    }
    Ok(y.data().to_vec())
}
