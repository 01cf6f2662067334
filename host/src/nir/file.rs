//! NIR files: HDF5 with a group for each node.

use std::collections::BTreeMap;
use std::path::Path;

use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{Dataset, Hdf5File, OpenOptions};

use super::error::{NirError, Problem};
use super::graph::{Conv, Graph, KNOWN, NeuronKind, Neurons, Node, Values};
use crate::file;
use crate::tensor::Tensor;

/// The longest file that is read: 2 GiB.
const MAX_FILE_BYTES: u64 = 2 << 30;
/// Most bytes of one parameter.
const MAX_VALUE_BYTES: usize = 1 << 30;
/// Most nodes of a graph.
const MAX_NODES: usize = 4096;
/// Most edges of a graph.
const MAX_EDGES: usize = 16_384;
/// Most graphs that lie in each other.
const MAX_DEPTH: usize = 16;

/// Reads a NIR graph from a file.
///
/// # Errors
/// [`NirError`], if it cannot be read, is no NIR graph, or has a node that is not known.
pub fn load(path: &Path) -> Result<Graph, NirError> {
    let name = path.display().to_string();
    let bytes = read(path).map_err(Problem::from);
    let graph = bytes.and_then(open).and_then(|file| parse(&file));
    graph.map_err(|problem| problem.in_file(&name))
}

/// Reads a NIR graph from a file's content; `name` stands for the file in messages.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Graph, NirError> {
    let graph = open(bytes.to_vec()).and_then(|file| parse(&file));
    graph.map_err(|problem| problem.in_file(name))
}

/// A file with a NIR graph in it.
pub struct NirFile {
    name: String,
    file: Hdf5File,
}

impl NirFile {
    /// Opens a regular file if it is HDF5 with a graph of NIR in it; `None` for all others. What is read of a pipe
    /// would be lost.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let bytes = path.is_file().then(|| read(path))?.ok()?;
        Self::of(&path.display().to_string(), bytes)
    }

    /// Opens a file's content if it is HDF5 with a graph of NIR in it; `name` stands for the file in messages.
    pub(crate) fn of(name: &str, bytes: Vec<u8>) -> Option<Self> {
        let file = open(bytes).ok()?;
        file.group("/node").ok()?;
        let name = name.to_owned();
        Some(Self { name, file })
    }

    /// Reads the graph.
    ///
    /// # Errors
    /// As [`load`].
    pub fn graph(&self) -> Result<Graph, NirError> {
        parse(&self.file).map_err(|problem| problem.in_file(&self.name))
    }
}

/// Reads a file whole if it may be HDF5, else its start.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    file::read_if(path, MAX_FILE_BYTES, |start| start == file::HDF5)
}

fn open(bytes: Vec<u8>) -> Result<Hdf5File, Problem> {
    let options = OpenOptions::default()
        .with_max_read_bytes(MAX_VALUE_BYTES)
        .with_max_chunk_bytes(MAX_VALUE_BYTES);
    Hdf5File::from_vec_with_options(bytes, options).map_err(|e| Problem::Format {
        reason: e.to_string(),
    })
}

fn parse(file: &Hdf5File) -> Result<Graph, Problem> {
    let root = file.group("/node").map_err(|_| Problem::Format {
        reason: "it has no group \"node\"".to_owned(),
    })?;
    let version = file.dataset("/version").ok();
    let mut graph = Graph {
        version: version.and_then(|v| v.read_string().ok()),
        nodes: BTreeMap::new(),
        edges: Vec::new(),
        remarks: Vec::new(),
    };
    Reader {
        graph: &mut graph,
        values: 0,
    }
    .graph(&root, "/node", "", 0)?;
    if graph.inputs().next().is_none() {
        return Err(Problem::Format {
            reason: "no node of the type Input is without edges into it".to_owned(),
        });
    }
    if !graph
        .nodes
        .values()
        .any(|node| matches!(node, Node::Output))
    {
        return Err(Problem::Format {
            reason: "it has no node of the type Output".to_owned(),
        });
    }
    // Older writers keep edges in a set, so that their order means nothing.
    graph.edges.sort();
    let twice = graph.edges.windows(2).filter(|pair| pair[0] == pair[1]);
    let twice: Vec<String> = twice
        .map(|pair| {
            let (from, to) = &pair[0];
            format!(
                "the edge from \"{from}\" to \"{to}\" is there more than once; each brings its part"
            )
        })
        .collect();
    graph.remarks.extend(twice);
    Ok(graph)
}

fn failed(object: &str, e: &hdf5_reader::error::Error) -> Problem {
    Problem::Object {
        object: object.to_owned(),
        reason: e.to_string(),
    }
}

fn too_large(what: &'static str, found: usize, limit: usize) -> Result<(), Problem> {
    if found > limit {
        return Err(Problem::TooLarge { what, found, limit });
    }
    Ok(())
}

/// The graph as far as it is read, and its size.
struct Reader<'a> {
    graph: &'a mut Graph,
    /// Values of all parameters so far.
    values: usize,
}

impl Reader<'_> {
    /// Reads the graph in a group. Names get the prefix, and edges of a subgraph end at its Input and Output.
    fn graph(
        &mut self,
        group: &Group,
        path: &str,
        prefix: &str,
        depth: usize,
    ) -> Result<(), Problem> {
        too_large("the depth of subgraphs", depth, MAX_DEPTH)?;
        let inside = format!("{path}/nodes");
        let nodes = group.group("nodes").map_err(|e| failed(&inside, &e))?;
        let (names, _) = nodes.member_names().map_err(|e| failed(&inside, &e))?;
        let mut here = Vec::new();
        for name in names {
            let path = format!("{inside}/{name}");
            let found = nodes.group(&name).map_err(|e| failed(&path, &e))?;
            let kind = text(&found, &path, "type")?;
            let full = format!("{prefix}{name}");
            here.push(name);
            if kind == "NIRGraph" {
                self.graph(&found, &path, &format!("{full}."), depth + 1)?;
                continue;
            }
            let node = self.node(&found, &path, &full, &kind)?;
            if self.graph.nodes.insert(full.clone(), node).is_some() {
                return Err(Problem::Object {
                    object: path,
                    reason: format!("two nodes are called \"{full}\"; rename one"),
                });
            }
            too_large("the number of nodes", self.graph.nodes.len(), MAX_NODES)?;
        }
        let at = format!("{path}/edges");
        let edges = group.dataset("edges").map_err(|e| failed(&at, &e))?;
        let count = edges.num_elements().map_err(|e| failed(&at, &e))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        too_large("the number of edges", count / 2, MAX_EDGES)?;
        if count == 0 {
            return Ok(());
        }
        let ends = edges.read_strings().map_err(|e| failed(&at, &e))?;
        let (pairs, rest) = ends.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Problem::Object {
                object: at,
                reason: "it is no list of pairs".to_owned(),
            });
        }
        for [from, to] in pairs {
            let start = self.end(prefix, from, false);
            let end = self.end(prefix, to, true);
            match (start, end) {
                (Some(start), Some(end)) => self.graph.edges.push((start, end)),
                (start, _) => {
                    let missing = if start.is_none() { from } else { to };
                    let nearest = nearest(missing, &here);
                    let nearest = nearest.map(|name| format!(" (is \"{name}\" meant?)"));
                    return Err(Problem::Dangling {
                        edge: format!("from \"{prefix}{from}\" to \"{prefix}{to}\""),
                        missing: missing.clone(),
                        there: format!(
                            "there are {}{}",
                            here.join(", "),
                            nearest.unwrap_or_default()
                        ),
                    });
                }
            }
        }
        too_large("the number of edges", self.graph.edges.len(), MAX_EDGES)
    }

    /// The node that an edge means: of a subgraph, its Input or Output.
    fn end(&self, prefix: &str, name: &str, is_target: bool) -> Option<String> {
        let full = format!("{prefix}{name}");
        if self.graph.nodes.contains_key(&full) {
            return Some(full);
        }
        let inside = format!("{full}.");
        let port = |(name, node): &(&String, &Node)| {
            let rest = name.strip_prefix(&inside);
            let own = rest.is_some_and(|rest| !rest.is_empty());
            own && match node {
                Node::Input { .. } => is_target,
                Node::Output => !is_target,
                _ => false,
            }
        };
        // The subgraph's own port has the shortest name.
        let ports = self.graph.nodes.iter().filter(port);
        let port = ports.min_by_key(|(name, _)| name.matches('.').count());
        port.map(|(name, _)| name.clone())
    }

    fn node(&mut self, group: &Group, path: &str, name: &str, kind: &str) -> Result<Node, Problem> {
        let (_, names) = group.member_names().map_err(|e| failed(path, &e))?;
        let mut p = Parameters {
            group,
            path,
            names,
            values: &mut self.values,
        };
        let neurons = NeuronKind::ALL.into_iter().find(|n| n.name() == kind);
        let node = match kind {
            _ if let Some(kind) = neurons => Node::Neurons(p.neurons(kind)?),
            "Input" => Node::Input {
                shape: p.sizes("shape")?,
            },
            "Output" => Node::Output,
            "Affine" => Node::Affine {
                weight: p.tensor("weight")?,
                bias: Some(p.tensor("bias")?),
            },
            "Linear" => Node::Affine {
                weight: p.tensor("weight")?,
                bias: None,
            },
            "Scale" => Node::Scale {
                scale: p.needed("scale")?,
            },
            "Conv1d" => Node::Conv(p.conv(1)?),
            "Conv2d" => Node::Conv(p.conv(2)?),
            "SumPool2d" | "AvgPool2d" => Node::Pool {
                average: kind == "AvgPool2d",
                kernel_size: p.pair("kernel_size")?,
                stride: p.pair("stride")?,
                padding: p.pair("padding")?,
            },
            "Flatten" => Node::Flatten {
                start_dim: p.integer("start_dim")?,
                end_dim: p.integer("end_dim")?,
            },
            "Delay" => Node::Delay {
                delay: p.needed("delay")?,
            },
            "Threshold" => Node::Threshold {
                threshold: p.needed("threshold")?,
            },
            _ => {
                return Err(Problem::Type {
                    node: name.to_owned(),
                    found: kind.to_owned(),
                    known: KNOWN.to_owned(),
                });
            }
        };
        check(&node).map_err(|reason| Problem::Node {
            node: name.to_owned(),
            kind: node.type_name(),
            reason,
        })?;
        Ok(node)
    }
}

/// Refuses parameters that no neurons can have.
fn check(node: &Node) -> Result<(), String> {
    match node {
        Node::Affine {
            weight,
            bias: Some(bias),
        } if weight.shape().first() != Some(&bias.len()) => Err(format!(
            "its bias has {} values, but its weight the shape {:?}",
            bias.len(),
            weight.shape()
        )),
        Node::Delay { delay } if delay.least() < 0.0 => {
            Err(format!("a delay of {} s is below zero", delay.least()))
        }
        Node::Neurons(neurons) => {
            for (what, tau) in [("tau", &neurons.tau), ("tau_syn", &neurons.tau_syn)] {
                if let Some(least) = tau.as_ref().map(Values::least)
                    && least <= 0.0
                {
                    return Err(format!("its {what} of {least} s is not above zero"));
                }
            }
            match neurons.v_threshold.as_ref().map(Values::least) {
                Some(least) if least <= 0.0 => {
                    Err(format!("its v_threshold of {least} is not above zero"))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The name of another node that is nearest to one.
fn nearest(name: &str, there: &[String]) -> Option<String> {
    let begins = |other: &&String| other.starts_with(name) || name.starts_with(other.as_str());
    there.iter().find(begins).cloned()
}

/// A text that is a dataset of a group.
fn text(group: &Group, path: &str, name: &str) -> Result<String, Problem> {
    let at = format!("{path}/{name}");
    let found = group.dataset(name).map_err(|e| failed(&at, &e))?;
    found.read_string().map_err(|e| failed(&at, &e))
}

/// The parameters of a node: datasets of its group.
struct Parameters<'a> {
    group: &'a Group,
    path: &'a str,
    /// The names of the datasets.
    names: Vec<String>,
    values: &'a mut usize,
}

impl Parameters<'_> {
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn refuse(&self, name: &str, reason: impl Into<String>) -> Problem {
        Problem::Object {
            object: self.at(name),
            reason: reason.into(),
        }
    }

    fn missing(&self, name: &str) -> Problem {
        self.refuse(name, "it is missing")
    }

    /// The values of a parameter, if it is there.
    fn get(&mut self, name: &str) -> Result<Option<Values>, Problem> {
        if !self.names.iter().any(|other| other == name) {
            return Ok(None);
        }
        let at = self.at(name);
        let dataset = self.group.dataset(name).map_err(|e| failed(&at, &e))?;
        let data = numbers(&dataset).map_err(|reason| self.refuse(name, reason))?;
        if let Some(odd) = data.iter().find(|value| !value.is_finite()) {
            return Err(self.refuse(name, format!("it holds {odd}, which is no finite number")));
        }
        *self.values += data.len();
        too_large("the number of values", *self.values, MAX_VALUE_BYTES / 8)?;
        let shape = dataset.shape().iter();
        let shape: Option<Vec<usize>> = shape.map(|&n| usize::try_from(n).ok()).collect();
        let shape = shape.filter(|shape| shape.iter().product::<usize>() == data.len());
        match shape {
            Some(shape) if !data.is_empty() => Ok(Some(Values { shape, data })),
            _ => Err(self.refuse(name, "it is empty")),
        }
    }

    fn needed(&mut self, name: &str) -> Result<Values, Problem> {
        let found = self.get(name)?;
        found.ok_or_else(|| self.missing(name))
    }

    /// A parameter as float32, if it is there.
    #[expect(clippy::cast_possible_truncation, reason = "weights are float32")]
    fn floats(&mut self, name: &str) -> Result<Option<Tensor>, Problem> {
        let Some(Values { shape, data }) = self.get(name)? else {
            return Ok(None);
        };
        let data = data.iter().map(|v| *v as f32).collect();
        let tensor = Tensor::new(shape, data);
        tensor
            .map(Some)
            .ok_or_else(|| self.refuse(name, "it is empty"))
    }

    fn tensor(&mut self, name: &str) -> Result<Tensor, Problem> {
        let found = self.floats(name)?;
        found.ok_or_else(|| self.missing(name))
    }

    /// A list of whole numbers that are not below zero.
    fn sizes(&mut self, name: &str) -> Result<Vec<usize>, Problem> {
        let values = self.needed(name)?;
        let size = |value: &f64| {
            let whole = value.fract() == 0.0 && (0.0..=65_536.0 * 65_536.0).contains(value);
            whole.then_some(*value as usize)
        };
        let sizes: Option<Vec<usize>> = values.data.iter().map(size).collect();
        sizes.ok_or_else(|| self.refuse(name, format!("{:?} are no sizes", values.data)))
    }

    /// A size for each of some axes, of which one may stand for all.
    fn each(&mut self, name: &str, axes: usize) -> Result<Vec<usize>, Problem> {
        let sizes = self.sizes(name)?;
        match sizes.as_slice() {
            [one] => Ok(vec![*one; axes]),
            all if all.len() == axes => Ok(sizes),
            _ => Err(self.refuse(name, format!("{sizes:?} are no sizes of {axes} axes"))),
        }
    }

    fn pair(&mut self, name: &str) -> Result<[usize; 2], Problem> {
        let sizes = self.each(name, 2)?;
        Ok([sizes[0], sizes[1]])
    }

    fn integer(&mut self, name: &str) -> Result<i64, Problem> {
        let value = self.needed(name)?.uniform();
        let whole = value.filter(|v| v.fract() == 0.0 && v.abs() < 1e6);
        let whole = whole.ok_or_else(|| self.refuse(name, "it is no whole number"))?;
        Ok(whole as i64)
    }

    fn conv(&mut self, axes: usize) -> Result<Conv, Problem> {
        let weight = self.tensor("weight")?;
        let kernel: Vec<usize> = weight.shape().iter().skip(2).copied().collect();
        if kernel.len() != axes {
            return Err(self.refuse(
                "weight",
                format!(
                    "its shape {:?} is not [out, in] and {axes} axes",
                    weight.shape()
                ),
            ));
        }
        let dilation = self.each("dilation", axes)?;
        let named = self.group.dataset("padding").ok();
        let padding = match named.and_then(|p| p.read_string().ok()) {
            Some(name) if name == "valid" => vec![(0, 0); axes],
            // PyTorch's rule: the larger half comes after.
            Some(name) if name == "same" => (0..axes)
                .map(|a| {
                    let all = dilation[a].saturating_mul(kernel[a].saturating_sub(1));
                    (all / 2, all - all / 2)
                })
                .collect(),
            Some(other) => {
                return Err(self.refuse(
                    "padding",
                    format!("{other:?} is neither \"same\" nor \"valid\", nor numbers"),
                ));
            }
            None => {
                let sizes = self.each("padding", axes)?;
                sizes.into_iter().map(|p| (p, p)).collect()
            }
        };
        let bias = self.floats("bias")?;
        let stride = self.each("stride", axes)?;
        let groups = self.each("groups", 1)?[0];
        Ok(Conv {
            weight,
            bias,
            stride,
            padding,
            dilation,
            groups,
        })
    }

    fn neurons(&mut self, kind: NeuronKind) -> Result<Neurons, Problem> {
        let cuba = matches!(kind, NeuronKind::CubaLi | NeuronKind::CubaLif);
        let leaks = !matches!(kind, NeuronKind::I | NeuronKind::If);
        let tau = if cuba { "tau_mem" } else { "tau" };
        let or = |found: Option<Values>, value| found.unwrap_or_else(|| Values::scalar(value));
        Ok(Neurons {
            kind,
            tau: leaks.then(|| self.needed(tau)).transpose()?,
            tau_syn: cuba.then(|| self.needed("tau_syn")).transpose()?,
            r: self.needed("r")?,
            w_in: or(self.get("w_in")?, 1.0),
            v_leak: or(self.get("v_leak")?, 0.0),
            v_threshold: (kind.spikes())
                .then(|| self.needed("v_threshold"))
                .transpose()?,
            v_reset: self.get("v_reset")?,
        })
    }
}

/// The values of a dataset of numbers.
fn numbers(dataset: &Dataset) -> Result<Vec<f64>, String> {
    let elements = dataset.num_elements().map_err(|e| e.to_string())?;
    if elements > MAX_VALUE_BYTES as u64 / 8 {
        return Err(format!("its {elements} values are too many"));
    }
    macro_rules! read {
        ($kind:ty) => {
            dataset
                .read_array::<$kind>()
                .map(|array| array.iter().map(|value| *value as f64).collect())
        };
    }
    let values = match dataset.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => read!(f32),
        Datatype::FloatingPoint { size: 8, .. } => read!(f64),
        Datatype::FixedPoint {
            size: 1, signed, ..
        } if *signed => read!(i8),
        Datatype::FixedPoint { size: 1, .. } => read!(u8),
        Datatype::FixedPoint {
            size: 2, signed, ..
        } if *signed => read!(i16),
        Datatype::FixedPoint { size: 2, .. } => read!(u16),
        Datatype::FixedPoint {
            size: 4, signed, ..
        } if *signed => read!(i32),
        Datatype::FixedPoint { size: 4, .. } => read!(u32),
        Datatype::FixedPoint {
            size: 8, signed, ..
        } if *signed => read!(i64),
        Datatype::FixedPoint { size: 8, .. } => read!(u64),
        _ => return Err("it holds neither floats of 4 or 8 bytes nor integers".to_owned()),
    };
    values.map_err(|e| e.to_string())
}
