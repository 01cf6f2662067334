//! A NIR graph: nodes with their parameters, and edges; subgraphs are flattened into names with dots.

use std::collections::BTreeMap;

use super::error::Problem;
use crate::tensor::Tensor;

/// A NIR graph as its file has it.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The version of the `nir` package that wrote it, if it says so.
    pub version: Option<String>,
    /// The nodes by their names. Names of nodes in subgraphs begin with the subgraph's and a dot.
    pub nodes: BTreeMap<String, Node>,
    /// Source and target of each edge, by name, sorted. Two edges between the same nodes add up.
    pub edges: Vec<(String, String)>,
    /// Oddities that do not keep the graph from being read, a sentence each.
    pub remarks: Vec<String>,
}

/// Values of a parameter, row-major, as wide as the widest file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The length along each axis; empty for a scalar, which stands for all elements.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f64>,
}

impl Values {
    /// One value for all.
    #[must_use]
    pub fn scalar(value: f64) -> Self {
        Self {
            shape: Vec::new(),
            data: vec![value],
        }
    }

    /// The value, if all are the same.
    #[must_use]
    pub fn uniform(&self) -> Option<f64> {
        let (first, rest) = self.data.split_first()?;
        rest.iter().all(|value| value == first).then_some(*first)
    }

    /// The smallest value.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.data.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Each element's value in an array of a shape: a scalar stands for all, a value for each channel for the
    /// channel's places. `None` if there is no such reading.
    #[must_use]
    pub fn spread(&self, shape: &[usize]) -> Option<Vec<f64>> {
        let size: usize = shape.iter().product();
        if self.data.len() == size {
            return Some(self.data.clone());
        }
        let places = match (self.data.len(), shape.first()) {
            (1, _) => size,
            (channels, Some(first)) if channels == *first => size / channels.max(1),
            _ => return None,
        };
        let each = self.data.iter();
        Some(each.flat_map(|&v| std::iter::repeat_n(v, places)).collect())
    }
}

/// A node of a NIR graph.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is NIR's parameter of that name")]
#[non_exhaustive]
pub enum Node {
    /// Source of data. The shape is without the batch axis, or so it should be.
    Input { shape: Vec<usize> },
    /// Target of results.
    Output,
    /// W x + b; without b a `Linear`.
    Affine {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    /// An element-wise product.
    Scale { scale: Values },
    /// `Conv1d` or `Conv2d`.
    Conv(Conv),
    /// `SumPool2d` or `AvgPool2d`.
    Pool {
        average: bool,
        kernel_size: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
    },
    /// Some axes as one.
    Flatten { start_dim: i64, end_dim: i64 },
    /// A delay of each element in seconds.
    Delay { delay: Values },
    /// 1 above the threshold, else 0.
    Threshold { threshold: Values },
    /// Neurons and integrators.
    Neurons(Neurons),
}

/// A convolution over one axis or two, channels first.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is NIR's parameter of that name")]
pub struct Conv {
    /// `[out, in / groups, k..]`.
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub stride: Vec<usize>,
    /// Zeros before and after each axis.
    pub padding: Vec<(usize, usize)>,
    pub dilation: Vec<usize>,
    pub groups: usize,
}

/// Neurons that step: their NIR type, and its parameters.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is NIR's parameter of that name")]
pub struct Neurons {
    pub kind: NeuronKind,
    /// `tau`, or `tau_mem`, in seconds; `None` if nothing leaks.
    pub tau: Option<Values>,
    /// `tau_syn` in seconds, of neurons with a current of their own.
    pub tau_syn: Option<Values>,
    pub r: Values,
    pub w_in: Values,
    pub v_leak: Values,
    /// `None` of integrators, which do not spike.
    pub v_threshold: Option<Values>,
    /// `None` if the file has none, as those of before nir 1.0.6.
    pub v_reset: Option<Values>,
}

/// NIR's types of neurons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is NIR's type of that name")]
pub enum NeuronKind {
    I,
    If,
    Li,
    Lif,
    CubaLi,
    CubaLif,
}

impl NeuronKind {
    /// Every type.
    pub(super) const ALL: [Self; 6] = [
        Self::I,
        Self::If,
        Self::Li,
        Self::Lif,
        Self::CubaLi,
        Self::CubaLif,
    ];

    /// NIR's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::I => "I",
            Self::If => "IF",
            Self::Li => "LI",
            Self::Lif => "LIF",
            Self::CubaLi => "CubaLI",
            Self::CubaLif => "CubaLIF",
        }
    }

    /// The equations, in words.
    #[must_use]
    pub fn equation(self) -> &'static str {
        match self {
            Self::I => "v' = r x",
            Self::If => "v' = r x, spikes",
            Self::Li => "tau v' = v_leak - v + r x",
            Self::Lif => "tau v' = v_leak - v + r x, spikes",
            Self::CubaLi => "tau_syn i' = -i + w_in x, tau_mem v' = v_leak - v + r i",
            Self::CubaLif => "tau_syn i' = -i + w_in x, tau_mem v' = v_leak - v + r i, spikes",
        }
    }

    /// Tells whether it spikes.
    #[must_use]
    pub fn spikes(self) -> bool {
        matches!(self, Self::If | Self::Lif | Self::CubaLif)
    }
}

/// The types of nodes that are known, in words.
pub(super) const KNOWN: &str = "Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten, \
     Delay, Threshold, I, IF, LI, LIF, CubaLI, CubaLIF and NIRGraph";

impl Node {
    /// NIR's name of the type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "Input",
            Self::Output => "Output",
            Self::Affine { bias: Some(_), .. } => "Affine",
            Self::Affine { bias: None, .. } => "Linear",
            Self::Scale { .. } => "Scale",
            Self::Conv(conv) if conv.stride.len() == 1 => "Conv1d",
            Self::Conv(_) => "Conv2d",
            Self::Pool { average: true, .. } => "AvgPool2d",
            Self::Pool { .. } => "SumPool2d",
            Self::Flatten { .. } => "Flatten",
            Self::Delay { .. } => "Delay",
            Self::Threshold { .. } => "Threshold",
            Self::Neurons(neurons) => neurons.kind.name(),
        }
    }

    /// The bias that it adds.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        match self {
            Self::Affine { bias, .. } | Self::Conv(Conv { bias, .. }) => bias.as_ref(),
            _ => None,
        }
    }

    /// The shape of the output for that of the input.
    ///
    /// # Errors
    /// The reason, if the input does not fit.
    pub(super) fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let size: usize = input.iter().product();
        match self {
            Self::Input { .. } | Self::Output => Ok(input.to_vec()),
            Self::Affine { weight, .. } => match weight.shape() {
                &[outs, ins] if ins == size => Ok(vec![outs]),
                &[_, ins] => Err(format!(
                    "its weight takes {ins} values, but {input:?} come in{}",
                    if input.contains(&ins) {
                        "; put a Flatten before it, or give each step alone"
                    } else {
                        ""
                    }
                )),
                other => Err(format!("its weight has the shape {other:?}, not [out, in]")),
            },
            Self::Conv(conv) => conv.output(input),
            Self::Pool {
                kernel_size,
                stride,
                padding,
                ..
            } => {
                let &[channels, height, width] = input else {
                    return Err(format!(
                        "it takes [channels, height, width], but {input:?} comes in"
                    ));
                };
                let pads = padding.map(|p| (p, p));
                let places = windows(&[height, width], kernel_size, stride, &pads, &[1, 1])?;
                Ok([&[channels][..], &places].concat())
            }
            Self::Flatten { start_dim, end_dim } => {
                let axes = input.len() as i64;
                let at = |dim: i64| if dim < 0 { dim + axes } else { dim };
                let (start, end) = (at(*start_dim), at(*end_dim));
                if !(0 <= start && start <= end && end < axes) {
                    return Err(format!(
                        "start_dim {start_dim} and end_dim {end_dim} are no axes of {input:?}, which has no batch axis"
                    ));
                }
                let (start, end) = (start as usize, end as usize);
                let joined = input[start..=end].iter().product();
                Ok([&input[..start], &[joined], &input[end + 1..]].concat())
            }
            Self::Scale { scale: each }
            | Self::Delay { delay: each }
            | Self::Threshold { threshold: each } => fits(each, input),
            Self::Neurons(n) => {
                let own = [Some(&n.r), Some(&n.w_in), Some(&n.v_leak)];
                let more = [&n.tau, &n.tau_syn, &n.v_threshold, &n.v_reset];
                for each in own.into_iter().chain(more.map(Option::as_ref)).flatten() {
                    fits(each, input)?;
                }
                Ok(input.to_vec())
            }
        }
    }

    /// The number of elements that its parameters are for, if they say so.
    pub(super) fn size(&self) -> Option<Vec<usize>> {
        let long = |each: &Values| (each.data.len() > 1).then(|| each.shape.clone());
        match self {
            Self::Affine { weight, .. } => weight.shape().get(1).map(|&ins| vec![ins]),
            Self::Scale { scale: each }
            | Self::Delay { delay: each }
            | Self::Threshold { threshold: each } => long(each),
            Self::Neurons(n) => [Some(&n.r), n.v_threshold.as_ref(), n.tau.as_ref()]
                .into_iter()
                .flatten()
                .find_map(long),
            _ => None,
        }
    }
}

fn fits(each: &Values, input: &[usize]) -> Result<Vec<usize>, String> {
    match each.spread(input) {
        Some(_) => Ok(input.to_vec()),
        None => Err(format!(
            "it has parameters of the shape {:?}, but {input:?} comes in",
            each.shape
        )),
    }
}

/// The number of windows along each axis.
fn windows(
    axes: &[usize],
    kernel: &[usize],
    stride: &[usize],
    padding: &[(usize, usize)],
    dilation: &[usize],
) -> Result<Vec<usize>, String> {
    let each = (0..axes.len()).map(|a| {
        let (before, after) = padding[a];
        let room = axes[a].saturating_add(before).saturating_add(after);
        let reach = kernel[a].saturating_sub(1).saturating_mul(dilation[a]).saturating_add(1);
        if kernel[a] == 0 || stride[a] == 0 || dilation[a] == 0 || reach > room {
            return Err(format!(
                "windows of {kernel:?} with strides {stride:?} and dilation {dilation:?} do not fit {axes:?} with \
                 padding {padding:?}"
            ));
        }
        Ok((room - reach) / stride[a] + 1)
    });
    each.collect()
}

impl Conv {
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let axes = self.stride.len();
        let (Some((&channels, places)), &[outs, ins, ref kernel @ ..]) =
            (input.split_first(), self.weight.shape())
        else {
            return Err(format!(
                "its weight has the shape {:?}",
                self.weight.shape()
            ));
        };
        if places.len() != axes || kernel.len() != axes {
            return Err(format!(
                "it takes channels and {axes} axes, but {input:?} comes in"
            ));
        }
        let groups = self.groups;
        if groups == 0 || outs % groups != 0 || ins.checked_mul(groups) != Some(channels) {
            return Err(format!(
                "its weight {:?} in {groups} groups does not fit {channels} channels",
                self.weight.shape()
            ));
        }
        if self.bias.as_ref().is_some_and(|bias| bias.len() != outs) {
            return Err(format!("it has not one bias for each of {outs} channels"));
        }
        let places = windows(places, kernel, &self.stride, &self.padding, &self.dilation)?;
        Ok([&[outs][..], &places].concat())
    }
}

/// Most elements that a node takes or brings.
const MAX_ELEMENTS: usize = 1 << 24;
/// Most elements that all nodes bring together.
const MAX_ALL: usize = 1 << 26;

/// Refuses shapes that no network can have.
pub(super) fn bounded(shape: &[usize]) -> Result<(), String> {
    let size = shape
        .iter()
        .try_fold(1usize, |n, &axis| n.checked_mul(axis));
    match size {
        Some(size) if size <= MAX_ELEMENTS => Ok(()),
        _ => Err(format!("{shape:?} has more than {MAX_ELEMENTS} elements")),
    }
}

/// A graph in the order of a step: what comes before what, and the shapes.
#[derive(Clone, Debug)]
pub(super) struct Schedule<'a> {
    /// The nodes that an input reaches; each comes after what it takes from in the same step.
    pub(super) order: Vec<&'a str>,
    /// Edges that carry the value of the step before: each closes a cycle.
    pub(super) delayed: Vec<(&'a str, &'a str)>,
    /// The shapes of what comes into each node and goes out of it.
    pub(super) shapes: BTreeMap<&'a str, [Vec<usize>; 2]>,
    /// Remarks of what was found.
    pub(super) remarks: Vec<String>,
}

impl Graph {
    /// The targets of each node's edges.
    fn targets(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (from, to) in &self.edges {
            targets.entry(from).or_default().push(to);
        }
        targets
    }

    /// The names of the inputs: nodes of the type Input into which nothing comes.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &str> {
        let names = self.nodes.iter().filter(|(name, node)| {
            matches!(node, Node::Input { .. }) && !self.edges.iter().any(|(_, to)| to == *name)
        });
        names.map(|(name, _)| name.as_str())
    }

    /// Puts the nodes into order. An edge that closes a cycle is delayed: NIR does not say where a cycle takes its
    /// step. Nodes nearer to the input come first, so that it is the way back that waits.
    pub(super) fn schedule(&self) -> Result<Schedule<'_>, Problem> {
        self.check_cycles()?;
        let mut targets = self.targets();
        let depth = self.depths(&targets);
        for names in targets.values_mut() {
            names.sort_by_key(|name| (depth.get(name).copied().unwrap_or(usize::MAX), *name));
            names.dedup();
        }
        let none = Vec::new();
        let after = |name: &str| targets.get(name).unwrap_or(&none);
        let mut open: BTreeMap<&str, bool> = BTreeMap::new();
        let (mut order, mut delayed) = (Vec::new(), Vec::new());
        for input in self.inputs() {
            // Each entry: a node that is open, and how many of its targets are done.
            let mut path = vec![(input, 0)];
            open.insert(input, true);
            while let Some((name, done)) = path.last_mut() {
                let name = *name;
                match after(name).get(*done) {
                    Some(&next) => {
                        *done += 1;
                        match open.get(next) {
                            Some(true) => delayed.push((name, next)),
                            Some(false) => {}
                            None => {
                                open.insert(next, true);
                                path.push((next, 0));
                            }
                        }
                    }
                    None => {
                        open.insert(name, false);
                        order.push(name);
                        path.pop();
                    }
                }
            }
        }
        order.reverse();
        let mut schedule = Schedule {
            order,
            delayed,
            shapes: BTreeMap::new(),
            remarks: Vec::new(),
        };
        for name in self
            .nodes
            .keys()
            .filter(|name| !open.contains_key(name.as_str()))
        {
            let remark = format!("no input reaches the node \"{name}\"; it is left out");
            schedule.remarks.push(remark);
        }
        self.shape(&mut schedule)?;
        Ok(schedule)
    }

    /// Edges from the nearest input to each node.
    fn depths<'a>(&'a self, targets: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeMap<&'a str, usize> {
        let mut depth: BTreeMap<&str, usize> = self.inputs().map(|name| (name, 0)).collect();
        let mut front: Vec<&str> = depth.keys().copied().collect();
        for far in 1.. {
            let reached = front.iter().filter_map(|name| targets.get(name)).flatten();
            let reached: Vec<&str> = reached.copied().collect();
            front.clear();
            for name in reached {
                if !depth.contains_key(name) {
                    depth.insert(name, far);
                    front.push(name);
                }
            }
            if front.is_empty() {
                break;
            }
        }
        depth
    }

    /// Refuses cycles that no neurons are in.
    fn check_cycles(&self) -> Result<(), Problem> {
        let steps = |name: &str| {
            matches!(
                self.nodes.get(name),
                Some(Node::Neurons(_) | Node::Threshold { .. })
            )
        };
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        for (from, to) in &self.edges {
            if !steps(from) && !steps(to) {
                *waiting.entry(to).or_default() += 1;
            }
        }
        let free = |name: &&str| !steps(name) && !waiting.contains_key(name);
        let mut ready: Vec<&str> = self.nodes.keys().map(String::as_str).filter(free).collect();
        let targets = self.targets();
        while let Some(name) = ready.pop() {
            for &next in targets.get(name).into_iter().flatten() {
                if let Some(left) = waiting.get_mut(next) {
                    *left -= 1;
                    if *left == 0 {
                        waiting.remove(next);
                        ready.push(next);
                    }
                }
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        // What only follows a cycle is none of it.
        loop {
            let before = waiting.len();
            let left = waiting.clone();
            waiting.retain(|name, _| {
                let mut next = targets.get(name).into_iter().flatten();
                next.any(|next| left.contains_key(next))
            });
            if waiting.len() == before {
                break;
            }
        }
        let nodes: Vec<&str> = waiting.into_keys().take(8).collect();
        Err(Problem::Cycle {
            nodes: nodes.join(", "),
        })
    }

    /// Finds the shape of what comes into each node and goes out of it.
    fn shape<'a>(&'a self, schedule: &mut Schedule<'a>) -> Result<(), Problem> {
        let mut all = 0;
        for &name in &schedule.order {
            let node = &self.nodes[name];
            let refuse = |reason: String| Problem::Node {
                node: name.to_owned(),
                kind: node.type_name(),
                reason,
            };
            let into = self.edges.iter().filter(|(_, to)| to == name);
            let mut shapes = into
                .filter(|(from, to)| !schedule.delayed.contains(&(from, to)))
                .filter_map(|(from, _)| {
                    let [_, shape] = schedule.shapes.get(from.as_str())?;
                    Some((from, shape))
                });
            let input = match (node, shapes.next()) {
                (_, Some((first, shape))) => {
                    let size: usize = shape.iter().product();
                    for (other, found) in shapes {
                        if found.iter().product::<usize>() != size {
                            return Err(refuse(format!(
                                "\"{first}\" brings {shape:?}, but \"{other}\" {found:?}; what comes into a node adds up, \
                                 and must be as large"
                            )));
                        }
                    }
                    shape.clone()
                }
                (Node::Input { shape }, None) => {
                    let (shape, remark) = self.input_shape(name, shape);
                    schedule.remarks.extend(remark);
                    shape
                }
                (_, None) => node
                    .size()
                    .ok_or_else(|| refuse("nothing says how large it is".to_owned()))?,
            };
            bounded(&input).map_err(refuse)?;
            let output = node.output(&input).map_err(refuse)?;
            bounded(&output).map_err(refuse)?;
            all += output.iter().product::<usize>();
            if all > MAX_ALL {
                return Err(refuse(format!(
                    "with its output {output:?} all nodes bring more than {MAX_ALL} elements, the most that is supported"
                )));
            }
            schedule.shapes.insert(name, [input, output]);
        }
        for &(from, to) in &schedule.delayed {
            let ([_, brought], [taken, _]) = (&schedule.shapes[from], &schedule.shapes[to]);
            if brought.iter().product::<usize>() != taken.iter().product::<usize>() {
                return Err(Problem::Node {
                    node: to.to_owned(),
                    kind: self.nodes[to].type_name(),
                    reason: format!(
                        "it takes {taken:?}, but \"{from}\" brings {brought:?} over a cycle"
                    ),
                });
            }
        }
        Ok(())
    }

    /// The shape of an input without axes of batch and time, which some writers put into it.
    fn input_shape(&self, name: &str, shape: &[usize]) -> (Vec<usize>, Option<String>) {
        let next = self.edges.iter().filter(|(from, _)| from == name);
        let wanted = next.filter_map(|(_, to)| match self.nodes.get(to)? {
            Node::Affine { weight, .. } => weight.shape().get(1).copied(),
            _ => None,
        });
        for size in wanted {
            let whole = shape
                .iter()
                .try_fold(1usize, |n, &axis| n.checked_mul(axis));
            if whole != Some(size) && shape.len() > 1 && shape.contains(&size) {
                let remark = format!(
                    "the input \"{name}\" of the shape {shape:?} has axes of batch or time: a step takes {size} values"
                );
                return (vec![size], Some(remark));
            }
        }
        (shape.to_vec(), None)
    }
}
