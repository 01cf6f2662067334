//! NIR graph + semantics → network.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Problem;
use super::graph::{Conv, Graph, Neurons, Node, Schedule, Values, bounded};
use super::semantics::{Gain, Semantics, Start, guess, presets};
use crate::network::{
    Connection, Convolution, Diagonal, Ensemble, EnsembleId, Firing, Network, NeuronType,
    Node as Object, NodeId, NodeKind, PerNeuron, Post, Pre, Probe, ProbeId, Rule, Sparse, Synapse,
    Transform,
};
use crate::tensor::Tensor;

/// Semantics of a graph, and of single nodes that have their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choices {
    /// Those of all nodes.
    pub all: Semantics,
    /// Those of single nodes, by name. Their step is that of all.
    pub nodes: BTreeMap<String, Semantics>,
}

impl From<Semantics> for Choices {
    fn from(all: Semantics) -> Self {
        Self {
            all,
            nodes: BTreeMap::new(),
        }
    }
}

impl Choices {
    /// Reads choices as the command line has them, on top of those of the file's likely writer: `PRESET`,
    /// `KEY=VALUE`, several with commas between, and with `NODE:` before them for one node.
    ///
    /// # Errors
    /// [`Problem::Choice`], which says what there is.
    pub fn parse(graph: &Graph, texts: &[String]) -> Result<Self, Problem> {
        let guess = guess(graph);
        // What the file itself says of the step stays.
        let dt = guess
            .fixed
            .contains(&"dt")
            .then_some(guess.preset.semantics.dt);
        let mut choices = Self::from(guess.preset.semantics);
        // Those of all nodes first, on which a node's are built.
        let (single, all): (Vec<_>, Vec<_>) = texts.iter().partition(|text| text.contains(':'));
        for text in all {
            apply(&mut choices.all, text, dt)?;
        }
        for text in single {
            let (node, text) = text.rsplit_once(':').unwrap_or_default();
            let own = choices.nodes.entry(node.to_owned());
            apply(
                own.or_insert_with(|| choices.all.clone()),
                text,
                Some(choices.all.dt),
            )?;
        }
        for (node, own) in &choices.nodes {
            if own.dt != choices.all.dt {
                return Err(Problem::Choice(format!(
                    "\"{node}\" cannot have a step of {} s beside others of {} s",
                    own.dt, choices.all.dt
                )));
            }
        }
        Ok(choices)
    }
}

/// Applies presets and changes to semantics; a preset does not change the step if that is known.
fn apply(semantics: &mut Semantics, text: &str, dt: Option<f64>) -> Result<(), Problem> {
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            Some((key, value)) => semantics.set(key, value)?,
            None => {
                let all = presets();
                let preset = all
                    .iter()
                    .find(|preset| preset.name == part)
                    .ok_or_else(|| {
                        let names: Vec<&str> = all.iter().map(|preset| preset.name).collect();
                        Problem::Choice(format!(
                            "{part:?} is no semantics; there are {}, and KEY=VALUE",
                            names.join(", ")
                        ))
                    })?;
                *semantics = preset.semantics.clone();
                semantics.dt = dt.unwrap_or(semantics.dt);
            }
        }
    }
    Ok(())
}

/// A network made of a graph, and what was found on the way.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The network. Its ensembles have the names of NIR's nodes.
    pub network: Network,
    /// Edges that carry the value of the step before: each closes a cycle.
    pub delayed: Vec<(String, String)>,
    /// Oddities, a sentence each.
    pub remarks: Vec<String>,
}

impl Graph {
    /// Makes a network of the graph.
    ///
    /// # Errors
    /// [`Problem`], if the graph contradicts itself or the semantics.
    pub fn convert(&self, choices: &Choices) -> Result<Conversion, Problem> {
        for name in choices.nodes.keys() {
            if !matches!(self.nodes.get(name), Some(Node::Neurons(_))) {
                let there = self
                    .nodes
                    .iter()
                    .filter(|(_, node)| matches!(node, Node::Neurons(_)));
                let there: Vec<&str> = there.map(|(name, _)| name.as_str()).collect();
                return Err(Problem::Choice(format!(
                    "semantics are given for \"{name}\", which is no node of neurons; there are {}",
                    there.join(", ")
                )));
            }
        }
        let schedule = self.schedule()?;
        let mut build = Build {
            graph: self,
            schedule: &schedule,
            choices,
            network: Network::default(),
            ends: BTreeMap::new(),
        };
        for &name in &schedule.order {
            build.object(name)?;
        }
        for (from, to) in &self.edges {
            build.edge(from, to)?;
        }
        let network = build.network;
        let pair = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
        Ok(Conversion {
            network,
            delayed: schedule.delayed.iter().map(pair).collect(),
            remarks: self
                .remarks
                .iter()
                .chain(&schedule.remarks)
                .cloned()
                .collect(),
        })
    }
}

/// The objects that a node became.
#[derive(Clone, Debug)]
struct Ends {
    /// Target of what others bring.
    post: Post,
    /// The map on the way there.
    transform: Transform,
    /// Others take this from it.
    pre: Pre,
    /// The same without its bias, for edges that bring the bias themselves, and the bias.
    bare: Option<(Pre, Pre)>,
    /// Steps by which each element is late.
    delays: Vec<u32>,
}

struct Build<'a> {
    graph: &'a Graph,
    schedule: &'a Schedule<'a>,
    choices: &'a Choices,
    network: Network,
    ends: BTreeMap<&'a str, Ends>,
}

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

impl<'a> Build<'a> {
    fn semantics(&self, name: &str) -> &'a Semantics {
        let own = self.choices.nodes.get(name);
        own.unwrap_or(&self.choices.all)
    }

    fn node(&mut self, label: String, size_in: usize, size_out: usize, kind: NodeKind) -> NodeId {
        self.network.nodes.push(Object {
            label,
            size_in,
            size_out,
            kind,
            subnetwork: None,
        });
        NodeId(self.network.nodes.len() - 1)
    }

    fn relay(&mut self, label: String, size: usize) -> NodeId {
        self.node(label, size, size, NodeKind::Passthrough)
    }

    fn connect(&mut self, pre: Pre, post: Post, transform: Transform) {
        self.connection(Connection::new(pre, post, transform));
    }

    fn connection(&mut self, connection: Connection) {
        self.network.connections.push(connection);
    }

    /// Adds the objects of a node.
    fn object(&mut self, name: &'a str) -> Result<(), Problem> {
        let node = &self.graph.nodes[name];
        let [input, output] = &self.schedule.shapes[name];
        let refuse = |reason: String| Problem::Node {
            node: name.to_owned(),
            kind: node.type_name(),
            reason,
        };
        let identity = Transform::Identity(size(input));
        let is_source = !self.graph.edges.iter().any(|(_, to)| to == name);
        let ends = match node {
            Node::Input { .. } if is_source => {
                let kind = NodeKind::Input {
                    shape: output.clone(),
                };
                let id = self.node(name.to_owned(), 0, size(output), kind);
                self.network.inputs.push((name.to_owned(), id));
                Ends::relay(id, identity)
            }
            Node::Input { .. } | Node::Flatten { .. } => {
                Ends::relay(self.relay(name.to_owned(), size(output)), identity)
            }
            Node::Output => self.output(name, size(input)),
            Node::Affine { weight, bias } => {
                self.linear(name, Transform::Dense(weight.clone()), bias.clone())
            }
            Node::Scale { scale } => {
                let transform = diagonal(scale, input).ok_or_else(|| refuse("its scale".into()))?;
                self.linear(name, transform, None)
            }
            Node::Conv(conv) => {
                let padded = pad(input, &conv.padding);
                bounded(&padded).map_err(refuse)?;
                let transform = convolution(conv, &padded, output).map_err(refuse)?;
                let bias = conv.bias.as_ref().map(|bias| over_places(bias, output));
                let same = padded == *input;
                let ends = self.linear(name, transform, bias);
                if same {
                    ends
                } else {
                    self.padded(name, ends, input, &padded, &conv.padding)
                }
            }
            Node::Pool {
                average,
                kernel_size,
                stride,
                padding,
            } => {
                let padding = padding.map(|p| (p, p));
                let padded = pad(input, &padding);
                bounded(&padded).map_err(refuse)?;
                let value = if *average {
                    1.0 / (kernel_size[0] * kernel_size[1]) as f32
                } else {
                    1.0
                };
                let transform = pooling(&padded, output, *kernel_size, *stride, value)
                    .ok_or_else(|| refuse("its size".into()))?;
                let same = padded == *input;
                let ends = self.linear(name, transform, None);
                if same {
                    ends
                } else {
                    self.padded(name, ends, input, &padded, &padding)
                }
            }
            Node::Delay { delay } => {
                let dt = self.choices.all.dt;
                let steps = delay.spread(input).unwrap_or_default();
                let steps: Vec<u32> = steps.iter().map(|s| (s / dt).round() as u32).collect();
                if steps.iter().any(|steps| *steps > MAX_DELAY) {
                    return Err(refuse(format!(
                        "a delay is longer than {MAX_DELAY} steps of {dt} s"
                    )));
                }
                let mut ends = Ends::relay(self.relay(name.to_owned(), size(output)), identity);
                ends.delays = steps;
                ends
            }
            Node::Threshold { threshold } => {
                let rule = Rule {
                    reset: crate::network::Reset::Nothing,
                    ..Rule::default()
                };
                let threshold =
                    per_neuron(threshold, input).ok_or_else(|| refuse("its threshold".into()))?;
                let neurons = NeuronType::CubaLif {
                    rule,
                    decay: 0.0.into(),
                    gain: 1.0.into(),
                    leak: 0.0.into(),
                    threshold,
                    reset: 0.0.into(),
                    synapse_decay: 0.0.into(),
                    synapse_gain: 1.0.into(),
                    floor: f32::NEG_INFINITY.into(),
                    start: 0.0.into(),
                };
                self.ensemble(name, output, neurons)
            }
            Node::Neurons(neurons) => {
                let neurons = population(neurons, self.semantics(name), input).map_err(refuse)?;
                self.ensemble(name, output, neurons)
            }
        };
        self.ends.insert(name, ends);
        Ok(())
    }

    /// An output: a probe on neurons if they are all that comes into it, else on a node.
    fn output(&mut self, name: &'a str, size: usize) -> Ends {
        let mut into = self.graph.edges.iter().filter(|(_, to)| to == name);
        let only = match (into.next(), into.next()) {
            (Some((from, _)), None) if !self.schedule.delayed.contains(&(from, name)) => {
                self.ends.get(from.as_str()).map(|ends| ends.pre)
            }
            _ => None,
        };
        let target = match only {
            Some(Pre::Neurons(e)) => Pre::Neurons(e),
            _ => Pre::Node(self.relay(name.to_owned(), size)),
        };
        self.network.probes.push(Probe {
            target,
            synapse: None,
            label: name.to_owned(),
        });
        let probe = ProbeId(self.network.probes.len() - 1);
        self.network.outputs.push((name.to_owned(), probe));
        let post = match target {
            Pre::Node(id) => Post::Node(id),
            Pre::Neurons(e) => Post::Neurons(e),
        };
        Ends {
            post,
            transform: Transform::Identity(size),
            pre: target,
            bare: None,
            delays: Vec::new(),
        }
    }

    /// A linear map into a node, with the bias added there. If a cycle brings the bias of its first step, too, the
    /// map has a node of its own.
    fn linear(&mut self, name: &str, transform: Transform, bias: Option<Tensor>) -> Ends {
        let n = transform.size_out();
        let delayed = self.schedule.delayed.iter().any(|(from, _)| *from == name);
        let Some(bias) = bias else {
            return Ends::relay(self.relay(name.to_owned(), n), transform);
        };
        let bias = self.node(format!("{name}.bias"), 0, n, NodeKind::Constant(bias));
        let bias = Pre::Node(bias);
        let apart = delayed && self.choices.all.first_bias;
        let bare = apart.then(|| self.relay(format!("{name}.weighted"), n));
        let whole = self.relay(name.to_owned(), n);
        self.connect(bias, Post::Node(whole), Transform::Identity(n));
        if let Some(bare) = bare {
            self.connect(Pre::Node(bare), Post::Node(whole), Transform::Identity(n));
        }
        Ends {
            post: Post::Node(bare.unwrap_or(whole)),
            transform,
            pre: Pre::Node(whole),
            bare: bare.map(|bare| (Pre::Node(bare), bias)),
            delays: Vec::new(),
        }
    }

    /// Puts a node with zeros around the input before a map.
    fn padded(
        &mut self,
        name: &str,
        ends: Ends,
        input: &[usize],
        padded: &[usize],
        padding: &[(usize, usize)],
    ) -> Ends {
        let relay = self.relay(format!("{name}.padded"), size(padded));
        self.connect(Pre::Node(relay), ends.post, ends.transform.clone());
        let inner = self.relay(format!("{name}.input"), size(input));
        let identity = Transform::Identity(size(input));
        self.connection(Connection {
            post_slice: Some(inner_places(input, padded, padding)),
            ..Connection::new(Pre::Node(inner), Post::Node(relay), identity)
        });
        Ends {
            post: Post::Node(inner),
            transform: Transform::Identity(size(input)),
            ..ends
        }
    }

    fn ensemble(
        &mut self,
        name: &str,
        shape: &[usize],
        neuron_type: NeuronType<PerNeuron>,
    ) -> Ends {
        self.network.ensembles.push(Ensemble {
            label: name.to_owned(),
            n_neurons: size(shape),
            neuron_type,
            gain: 1.0.into(),
            bias: None,
            bias_trainable: None,
            shape: shape.to_vec(),
            channels_last: false,
            initial_voltage: None,
            subnetwork: None,
        });
        let id = EnsembleId(self.network.ensembles.len() - 1);
        Ends {
            post: Post::Neurons(id),
            transform: Transform::Identity(size(shape)),
            pre: Pre::Neurons(id),
            bare: None,
            delays: Vec::new(),
        }
    }

    /// Adds the connections of an edge.
    fn edge(&mut self, from: &'a str, to: &'a str) -> Result<(), Problem> {
        // What no input reaches has no objects.
        let (Some(source), Some(target)) = (self.ends.get(from), self.ends.get(to)) else {
            return Ok(());
        };
        let (source, target) = (source.clone(), target.clone());
        if matches!(target.post, Post::Neurons(_)) && matches!(self.graph.nodes[to], Node::Output) {
            // The probe is on the neurons themselves.
            return Ok(());
        }
        let late = u32::from(self.schedule.delayed.contains(&(from, to)));
        let pre = match source.bare {
            Some((bare, bias)) if late > 0 => {
                self.connect(bias, target.post, target.transform.clone());
                bare
            }
            _ => source.pre,
        };
        let mut connection = Connection {
            synapse: delay(late),
            ..Connection::new(pre, target.post, target.transform)
        };
        let mut steps = target.delays.clone();
        steps.sort_unstable();
        steps.dedup();
        match steps.as_slice() {
            [] => self.connection(connection),
            [all] => {
                connection.synapse = delay(all + late);
                self.connection(connection);
            }
            several => {
                for &one in several {
                    let places = target.delays.iter().enumerate().filter(|(_, d)| **d == one);
                    let places: Arc<[usize]> = places.map(|(place, _)| place).collect();
                    let mut part = connection.clone();
                    part.transform = Transform::Identity(places.len());
                    part.pre_slice = Some(Arc::clone(&places));
                    part.post_slice = Some(places);
                    part.synapse = delay(one + late);
                    self.connection(part);
                }
            }
        }
        Ok(())
    }
}

/// The longest delay in steps.
const MAX_DELAY: u32 = 10_000;

fn delay(steps: u32) -> Option<Synapse> {
    (steps > 0).then_some(Synapse::Delay { steps })
}

impl Ends {
    fn relay(id: NodeId, transform: Transform) -> Self {
        Self {
            post: Post::Node(id),
            transform,
            pre: Pre::Node(id),
            bare: None,
            delays: Vec::new(),
        }
    }
}

/// The shape with zeros around all axes but the first.
fn pad(input: &[usize], padding: &[(usize, usize)]) -> Vec<usize> {
    let (channels, axes) = input.split_at(input.len().min(1));
    let axes = axes
        .iter()
        .zip(padding)
        .map(|(n, (before, after))| n.saturating_add(*before).saturating_add(*after));
    channels.iter().copied().chain(axes).collect()
}

/// The places of an input in the middle of zeros, row-major.
fn inner_places(input: &[usize], padded: &[usize], padding: &[(usize, usize)]) -> Arc<[usize]> {
    let mut places = vec![0];
    for (axis, (&n, &all)) in input.iter().zip(padded).enumerate() {
        let before = axis
            .checked_sub(1)
            .and_then(|a| padding.get(a))
            .map_or(0, |p| p.0);
        places = (places.iter())
            .flat_map(|&place: &usize| (0..n).map(move |i| place * all + before + i))
            .collect();
    }
    places.into()
}

/// A bias for each channel at each of its places.
fn over_places(bias: &Tensor, output: &[usize]) -> Tensor {
    let places = size(output) / bias.len().max(1);
    let each = bias
        .data()
        .iter()
        .flat_map(|&b| std::iter::repeat_n(b, places));
    Tensor::vector(each.collect())
}

fn diagonal(scale: &Values, shape: &[usize]) -> Option<Transform> {
    let size = size(shape);
    let factor = scale.spread(shape)?;
    let factor = factor.iter().map(|v| *v as f32).collect();
    Some(Transform::Diagonal(Diagonal {
        size,
        factor: Tensor::vector(factor),
    }))
}

/// The sum over each window of a picture that has its zeros already, times a value.
fn pooling(
    input: &[usize],
    output: &[usize],
    window: [usize; 2],
    stride: [usize; 2],
    value: f32,
) -> Option<Transform> {
    let (&[_, height, width], &[channels, rows, columns]) = (input, output) else {
        return None;
    };
    let mut indices = Vec::new();
    for at in 0..channels * rows * columns {
        let (place, channel) = (at % (rows * columns), at / (rows * columns));
        let [top, left] = [place / columns * stride[0], place % columns * stride[1]];
        for y in (top..top + window[0]).take_while(|y| *y < height) {
            for x in (left..left + window[1]).take_while(|x| *x < width) {
                let from = (channel * height + y) * width + x;
                indices.push((u32::try_from(at).ok()?, u32::try_from(from).ok()?));
            }
        }
    }
    let values = Tensor::filled(vec![indices.len()], value);
    Some(Transform::Sparse(Sparse {
        size_out: size(output),
        size_in: size(input),
        indices: indices.into(),
        values,
    }))
}

/// A convolution over an input that has its zeros already.
fn convolution(conv: &Conv, input: &[usize], output: &[usize]) -> Result<Transform, String> {
    let &[outs, ins, ref kernel @ ..] = conv.weight.shape() else {
        return Err("its weight has too few axes".to_owned());
    };
    let taps = size(kernel);
    let w = conv.weight.data();
    // [out, in, k..] to [k.., in, out].
    let turned = (0..taps).flat_map(|k| {
        (0..ins).flat_map(move |i| (0..outs).map(move |o| w[(o * ins + i) * taps + k]))
    });
    let shape = [kernel, &[ins, outs]].concat();
    let kernel = Tensor::new(shape, turned.collect()).ok_or("its weight is too large")?;
    Ok(Transform::Convolution(Convolution {
        input_shape: input.to_vec(),
        output_shape: output.to_vec(),
        kernel,
        strides: conv.stride.clone(),
        dilation: conv.dilation.clone(),
        same_padding: false,
        groups: conv.groups,
        channels_last: false,
    }))
}

/// A parameter of each neuron.
fn per_neuron(values: &Values, shape: &[usize]) -> Option<PerNeuron> {
    each(values, shape, |v| v)
}

fn each(values: &Values, shape: &[usize], f: impl Fn(f64) -> f64) -> Option<PerNeuron> {
    if let Some(value) = values.uniform() {
        return Some(PerNeuron::Same(f(value) as f32));
    }
    let values = values.spread(shape)?;
    Some(PerNeuron::Each(
        values.iter().map(|v| f(*v) as f32).collect(),
    ))
}

/// The product of two parameters of each neuron.
fn product(a: &Values, b: &Values, shape: &[usize]) -> Option<Values> {
    let (a, b) = (a.spread(shape)?, b.spread(shape)?);
    let data: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    Some(Values {
        shape: shape.to_vec(),
        data,
    })
}

/// Neurons with the decays and gains of a step.
fn population(
    n: &Neurons,
    s: &Semantics,
    shape: &[usize],
) -> Result<NeuronType<PerNeuron>, String> {
    for (what, tau) in [("tau", &n.tau), ("tau_syn", &n.tau_syn)] {
        if let Some(least) = tau.as_ref().map(Values::least)
            && s.decay(least) < 0.0
        {
            return Err(format!(
                "its {what} of {least:e} s is shorter than a step of {} s, so that its decay is below zero; give the step \
                 that the network was trained with (dt), or mend {what}: Norse 1.1 multiplies it by the dt of to_nir()",
                s.dt
            ));
        }
    }
    let one = Values::scalar(1.0);
    let map = |values: &Values, f: &dyn Fn(f64) -> f64| Values {
        shape: values.shape.clone(),
        data: values.data.iter().map(|v| f(*v)).collect(),
    };
    let left = |tau: &Values| map(tau, &|tau| 1.0 - s.decay(tau));
    let fit = |found: Option<PerNeuron>| {
        found.ok_or_else(|| format!("its parameters do not fit {shape:?}"))
    };
    let by = |a: &Values, b: &Values| {
        product(a, b, shape).ok_or_else(|| format!("its parameters do not fit {shape:?}"))
    };
    let (decay, gain, leak) = match &n.tau {
        None => {
            let gain = match s.gain {
                Gain::File => map(&n.r, &|r| r * s.dt),
                Gain::One => one.clone(),
            };
            (PerNeuron::Same(1.0), gain, Values::scalar(0.0))
        }
        Some(tau) => {
            let gain = match s.gain {
                Gain::File => by(&n.r, &left(tau))?,
                Gain::One => one.clone(),
            };
            let leak = by(&n.v_leak, &left(tau))?;
            (fit(each(tau, shape, |tau| s.decay(tau)))?, gain, leak)
        }
    };
    let (synapse_decay, synapse_gain) = match &n.tau_syn {
        None => (PerNeuron::Same(0.0), one),
        Some(tau) => {
            let whole = s.gain == Gain::One
                || matches!(
                    s.current,
                    crate::network::Charge::Jump | crate::network::Charge::Decayed
                );
            let gain = if whole {
                n.w_in.clone()
            } else {
                by(&n.w_in, &left(tau))?
            };
            (fit(each(tau, shape, |tau| s.decay(tau)))?, gain)
        }
    };
    let reset = n.v_reset.clone().unwrap_or_else(|| Values::scalar(0.0));
    let reset = fit(per_neuron(&reset, shape))?;
    let threshold = n.v_threshold.clone().unwrap_or_else(|| Values::scalar(1.0));
    Ok(NeuronType::CubaLif {
        rule: Rule {
            charge: n.tau_syn.as_ref().map(|_| s.current),
            firing: if n.kind.spikes() {
                s.fires
            } else {
                Firing::Never
            },
            counts: s.counts,
            reset: s.reset,
            late: s.late,
            keeps_input: s.keeps_input,
            residual_blocks: s.residual_blocks,
        },
        decay,
        gain: fit(per_neuron(&gain, shape))?,
        leak: fit(per_neuron(&leak, shape))?,
        threshold: fit(per_neuron(&threshold, shape))?,
        start: match s.start {
            Start::Zero => 0.0.into(),
            Start::Reset => reset.clone(),
        },
        reset,
        synapse_decay,
        synapse_gain: fit(per_neuron(&synapse_gain, shape))?,
        floor: (s.floor as f32).into(),
    })
}
