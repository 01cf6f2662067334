//! The walk over a graph's nodes, in the file's order.

use std::collections::BTreeMap;

use super::build::Build;
use super::call::{Call, Value};
use super::constant::{Constant, Elements, elements};
use super::error::Problem;
use super::node::Node;
use super::{fuse, ops, proto};
use crate::keras::model::Model;

/// The most nodes, initializers, inputs and outputs of a graph.
const MAX_PARTS: usize = 1 << 16;
/// The most elements of all constants that are computed of others.
const MAX_FOLDED: usize = 1 << 27;

/// A model, and what was left out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The model.
    pub model: Model,
    /// Things that the user should know, a sentence each.
    pub remarks: Vec<String>,
}

/// A tensor of the graph; the place of a problem in the list of problems, if nothing computes it.
type Known = BTreeMap<String, Result<Value, usize>>;

/// Translates a graph of operators of version `opset`. `shapes` gives the inputs' shapes without the batch axis.
pub(super) fn walk(
    graph: &proto::Graph,
    opset: i64,
    shapes: Option<&[Vec<usize>]>,
) -> Result<Import, Problem> {
    for (what, found) in [
        ("nodes", graph.nodes.len()),
        ("initializers", graph.initializers.len()),
        ("inputs", graph.inputs.len()),
        ("outputs", graph.outputs.len()),
    ] {
        if found > MAX_PARTS {
            return Err(Problem::TooLarge {
                what,
                found,
                limit: MAX_PARTS,
            });
        }
    }
    let nodes = (graph.nodes.iter().enumerate())
        .map(|(at, bytes)| Node::read(bytes, at))
        .collect::<Result<Vec<_>, _>>()?;
    let outputs = (graph.outputs.iter())
        .map(|bytes| Ok(decode::<proto::ValueInfo>(bytes, "an output")?.name))
        .collect::<Result<Vec<_>, Problem>>()?;
    if outputs.is_empty() {
        return Err(fault("it has no outputs".to_owned()));
    }

    let mut known = Known::new();
    for bytes in &graph.initializers {
        let tensor = decode::<proto::Tensor>(bytes, "an initializer")?;
        let constant = Constant::read(&tensor).map_err(|reason| Problem::Tensor {
            tensor: tensor.name.clone(),
            reason,
        })?;
        add(&mut known, &tensor.name, Ok(constant.into()))?;
    }
    let mut build = Build::default();
    let batch = inputs(graph, shapes, &mut known, &mut build)?;

    let makers = makers(&nodes, &known)?;
    let needed = needed(&nodes, &outputs, &makers);
    let mut takers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate().filter(|(at, _)| needed[*at]) {
        for input in &node.inputs {
            takers.entry(input).or_default().push(at);
        }
    }

    let mut problems: Vec<(Problem, &Node)> = Vec::new();
    let mut folded = 0usize;
    for (at, node) in nodes.iter().enumerate().filter(|(at, _)| needed[*at]) {
        let value = |tensor: &str| known.get(tensor)?.as_ref().ok().cloned();
        let fused = fuse::fused(
            node,
            &fuse::Seen {
                nodes: &nodes,
                makers: &makers,
                value: &value,
            },
        );
        let taken = taken(&fused, at, &known, &makers, &nodes)?;
        let next = match &node.outputs[..] {
            [only] if !outputs.contains(only) => match takers.get(only.as_str()).map(Vec::as_slice)
            {
                Some(&[taker]) => nodes.get(taker),
                _ => None,
            },
            _ => None,
        };
        let made = taken.and_then(|inputs| {
            let mut call = Call {
                node: &fused,
                opset,
                batch,
                next,
                inputs,
                build: &mut build,
            };
            let made = ops::run(&mut call).and_then(|made| match fused.unread() {
                Some(name) if node.domain.is_empty() => {
                    Err(format!("its attribute {name} is not known here"))
                }
                _ => Ok(made),
            });
            made.map_err(|reason| {
                problems.push((node.problem(reason), node));
                problems.len() - 1
            })
        });
        if let Ok(made) = &made {
            let constants = made.iter().map(|value| match value {
                Value::Constant(constant) => constant.len(),
                Value::Live(_) => 0,
            });
            folded = folded.saturating_add(constants.sum());
            if folded > MAX_FOLDED {
                return Err(node.problem(format!(
                    "the constants computed up to it have more than {MAX_FOLDED} elements together, the most that is \
                     supported"
                )));
            }
        }
        for (k, output) in node
            .outputs
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
        {
            let value = match &made {
                Ok(made) => made.get(k).cloned().ok_or_else(|| {
                    problems.push((
                        node.problem(format!("its output {k}, \"{output}\", is not supported")),
                        node,
                    ));
                    problems.len() - 1
                }),
                Err(problem) => Err(*problem),
            };
            add(&mut known, output, value)?;
        }
    }
    finish(graph, &outputs, &known, problems, build)
}

/// The model of the outputs that have layers.
fn finish(
    graph: &proto::Graph,
    outputs: &[String],
    known: &Known,
    mut problems: Vec<(Problem, &Node)>,
    build: Build,
) -> Result<Import, Problem> {
    let (mut made, mut remarks, mut first) = (Vec::new(), Vec::new(), None);
    for output in outputs {
        match known.get(output) {
            Some(Ok(Value::Live(live))) => made.push((output.clone(), live.clone())),
            Some(Ok(Value::Constant(_))) => {
                return Err(fault(format!(
                    "its output \"{output}\" does not depend on its inputs"
                )));
            }
            Some(&Err(at)) => {
                first.get_or_insert(at);
                let Some((problem, node)) = problems.get(at) else {
                    continue;
                };
                if !ops::answers(&node.op) {
                    return Err(problems.swap_remove(at).0);
                }
                let scores = node.inputs.first().and_then(|input| known.get(input));
                if let (Some(Ok(Value::Live(live))), [_]) = (scores, outputs) {
                    made.push((output.clone(), live.clone()));
                    remarks.push(format!(
                        "the output \"{output}\" shows the scores of which {} \"{}\" would give an answer",
                        node.op, node.name
                    ));
                    continue;
                }
                remarks.push(format!("the output \"{output}\" is left out: {problem}"));
            }
            None => {
                return Err(fault(format!("its output \"{output}\" is made by no node")));
            }
        }
    }
    match first {
        Some(at) if made.is_empty() => Err(problems.swap_remove(at).0),
        _ => Ok(Import {
            model: build.finish(graph.name.clone(), made),
            remarks,
        }),
    }
}

fn fault(reason: String) -> Problem {
    Problem::Graph { reason }
}

fn decode<M: prost::Message + Default>(bytes: &[u8], what: &str) -> Result<M, Problem> {
    M::decode(bytes).map_err(|e| Problem::Format {
        reason: format!("{what}: {e}"),
    })
}

/// Adds a tensor, whose name must be new.
fn add(known: &mut Known, name: &str, value: Result<Value, usize>) -> Result<(), Problem> {
    match known.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(fault(format!("the tensor \"{name}\" is made twice"))),
    }
}

/// The node that makes each tensor.
fn makers<'n>(nodes: &'n [Node], known: &Known) -> Result<BTreeMap<&'n str, usize>, Problem> {
    let mut makers = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|name| !name.is_empty()) {
            if known.contains_key(output) || makers.insert(output.as_str(), at).is_some() {
                return Err(node.problem(format!("its output \"{output}\" is made twice")));
            }
        }
    }
    Ok(makers)
}

/// The nodes that the outputs depend on.
fn needed(nodes: &[Node], outputs: &[String], makers: &BTreeMap<&str, usize>) -> Vec<bool> {
    let mut needed = vec![false; nodes.len()];
    let maker = |name: &String| makers.get(name.as_str()).copied();
    let mut open: Vec<usize> = outputs.iter().filter_map(maker).collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut needed[at], true) {
            open.extend(nodes[at].inputs.iter().filter_map(maker));
        }
    }
    needed
}

/// The values that come into a node; the place of a problem, if one of them has none.
fn taken(
    node: &Node,
    at: usize,
    known: &Known,
    makers: &BTreeMap<&str, usize>,
    nodes: &[Node],
) -> Result<Result<Vec<Option<Value>>, usize>, Problem> {
    let mut taken = Vec::new();
    for input in &node.inputs {
        if input.is_empty() {
            taken.push(None);
            continue;
        }
        match known.get(input) {
            Some(Ok(value)) => taken.push(Some(value.clone())),
            Some(&Err(problem)) => return Ok(Err(problem)),
            None => {
                return Err(node.problem(match makers.get(input.as_str()) {
                    Some(&maker) if maker >= at => format!(
                        "its input \"{input}\" is made by the node \"{}\", which is not before it: the nodes form a cycle, \
                         or are not in order",
                        nodes[maker].name
                    ),
                    _ => format!("its input \"{input}\" is made by no node, and is no tensor of the file"),
                }));
            }
        }
    }
    Ok(Ok(taken))
}

/// Adds the inputs; returns the length of the batch axis.
fn inputs(
    graph: &proto::Graph,
    shapes: Option<&[Vec<usize>]>,
    known: &mut Known,
    build: &mut Build,
) -> Result<usize, Problem> {
    // Old files list initializers among the inputs.
    let infos = (graph.inputs.iter())
        .map(|bytes| decode::<proto::ValueInfo>(bytes, "an input"))
        .filter(|info| {
            !info
                .as_ref()
                .is_ok_and(|info| known.contains_key(&info.name))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if infos.is_empty() {
        return Err(fault("it has no inputs".to_owned()));
    }
    if let Some(shapes) = shapes
        && shapes.len() != infos.len()
    {
        return Err(fault(format!(
            "it has {} inputs, and {} shapes are given",
            infos.len(),
            shapes.len()
        )));
    }
    let mut batch = None;
    for (at, info) in infos.iter().enumerate() {
        let refuse = |reason: String| Problem::Input {
            input: info.name.clone(),
            reason,
        };
        let tensor = (info.of.as_ref().and_then(|of| of.tensor.as_ref()))
            .ok_or_else(|| refuse("it is no tensor".to_owned()))?;
        let integers = match elements(tensor.element) {
            Some(elements) => elements == Elements::Integers,
            None => return Err(refuse("its elements are no numbers".to_owned())),
        };
        let given = shapes.map(|shapes| &shapes[at]);
        let stated = tensor.shape.as_ref().map(lengths).transpose()?;
        let item: Vec<Option<usize>> = match (stated.as_deref(), given) {
            (Some([]), _) => return Err(refuse("it is a single number".to_owned())),
            (Some([_]), _) => {
                return Err(refuse(
                    "its only axis is the batch; export the network with the batch as first axis, even if it is 1"
                        .to_owned(),
                ));
            }
            (Some([first, item @ ..]), _) => {
                if let Some(n) = first.filter(|&n| n > MAX_BATCH) {
                    return Err(refuse(format!(
                        "its batch axis has the length {n}, above the limit of {MAX_BATCH}"
                    )));
                }
                if let Some(n) = *first
                    && batch.replace(n).is_some_and(|other| other != n)
                {
                    return Err(refuse(
                        "its batch axis is not as long as another input's".to_owned(),
                    ));
                }
                item.to_vec()
            }
            (None, Some(given)) => vec![None; given.len()],
            (None, None) => {
                return Err(Problem::UnknownShape {
                    input: info.name.clone(),
                    shape: "(?)".to_owned(),
                });
            }
        };
        let item = match given {
            Some(given) => {
                let fits = item.len() == given.len()
                    && (item.iter().zip(given)).all(|(s, g)| s.is_none_or(|s| s == *g));
                if !fits {
                    return Err(refuse(format!(
                        "its shape without the batch axis is {}, which {given:?} does not fit",
                        crate::keras::shape::display(&item)
                    )));
                }
                given.clone()
            }
            None => item
                .iter()
                .copied()
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| Problem::UnknownShape {
                    input: info.name.clone(),
                    shape: crate::keras::shape::display(&item),
                })?,
        };
        let live = build.input(&info.name, &item, integers).map_err(refuse)?;
        add(known, &info.name, Ok(live.into()))?;
    }
    Ok(batch.unwrap_or(1))
}

/// The longest batch axis of a file.
const MAX_BATCH: usize = 1 << 20;

/// The most axes of an input.
const MAX_RANK: usize = 16;

/// The lengths of an input's axes, `None` for an unknown one.
fn lengths(shape: &proto::Shape) -> Result<Vec<Option<usize>>, Problem> {
    if shape.dims.len() > MAX_RANK {
        return Err(Problem::TooLarge {
            what: "axes of an input",
            found: shape.dims.len(),
            limit: MAX_RANK,
        });
    }
    (shape.dims.iter())
        .map(|bytes| {
            let length = decode::<proto::Dimension>(bytes, "an axis of an input")?.length;
            // Some programs write -1 or 0 for an unknown length.
            Ok(length
                .and_then(|n| usize::try_from(n).ok())
                .filter(|&n| n > 0))
        })
        .collect()
}
