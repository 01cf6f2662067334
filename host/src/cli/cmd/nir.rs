//! `tinyspike inspect` and `tinyspike verify` of a NIR graph: what is in it, what rests on which choice, and the choices that a
//! recorded sample confirms.

use std::io::Write;

use crate::nir::matching::{self, Candidate, Difference, Trace};
use crate::nir::{Choice, Graph, NirError, Node, Origin, Problem, Reading, Traits, origin};
use crate::text::escaped;
use serde::Serialize;

use crate::cli::args::{ConvertFlags, Verify};
use crate::cli::diagnostics::Failure;
use crate::cli::source::show_remarks;

/// A graph as JSON.
#[derive(Serialize)]
struct Listing<'a> {
    version: Option<&'a str>,
    nodes: Vec<NodeListing<'a>>,
    edges: &'a [(String, String)],
    /// Edges that carry the value of the step before.
    delayed: &'a [(String, String)],
    writer: &'a str,
    reason: &'a str,
    open: &'a str,
    semantics: Vec<ChoiceListing>,
    remarks: &'a [String],
}

#[derive(Serialize)]
struct NodeListing<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Equation or size, in words.
    what: String,
}

#[derive(Serialize)]
struct ChoiceListing {
    choice: &'static str,
    value: String,
    /// Origin of the value.
    from: String,
    decides: &'static str,
    matters: bool,
}

/// Shows a graph, its neurons' equations, and each choice with its origin.
pub(crate) fn inspect(
    reading: &Reading,
    flags: &ConvertFlags,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let graph = &reading.graph;
    let choices = choices(reading, flags)?;
    let nodes = graph.nodes.iter().map(|(name, node)| NodeListing {
        name,
        kind: node.type_name(),
        what: described(node),
    });
    let nodes: Vec<NodeListing<'_>> = nodes.collect();
    if json {
        let listing = Listing {
            version: graph.version.as_deref(),
            nodes,
            edges: &graph.edges,
            delayed: &reading.conversion.delayed,
            writer: reading.guess.preset.name,
            reason: &reading.guess.reason,
            open: reading.guess.open,
            semantics: choices,
            remarks: &reading.conversion.remarks,
        };
        writeln!(out, "{}", serde_json::to_string_pretty(&listing)?)?;
        return Ok(());
    }
    show_remarks(reading);
    let version = graph.version.as_deref().unwrap_or("unknown");
    writeln!(out, "NIR graph, version {}", escaped(version))?;
    writeln!(out, "nodes ({})", nodes.len())?;
    let wide = nodes
        .iter()
        .map(|n| n.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(32);
    for NodeListing { name, kind, what } in &nodes {
        writeln!(out, "  {:<wide$}  {kind:<10} {what}", escaped(name))?;
    }
    writeln!(out, "edges ({})", graph.edges.len())?;
    for (from, to) in &graph.edges {
        let late = reading
            .conversion
            .delayed
            .iter()
            .any(|d| d.0 == *from && d.1 == *to);
        let late = if late {
            "  closes a cycle: brings the value of the step before"
        } else {
            ""
        };
        writeln!(out, "  {} -> {}{late}", escaped(from), escaped(to))?;
    }
    writeln!(
        out,
        "likely writer: {} ({})",
        reading.guess.preset.name, reading.guess.reason
    )?;
    writeln!(out, "semantics, which the file leaves open")?;
    writeln!(
        out,
        "  {:<16} {:<10} {:<14} decides",
        "choice", "value", "from"
    )?;
    for choice in &choices {
        let decides = if choice.matters {
            choice.decides
        } else {
            "(nothing in this network)"
        };
        writeln!(
            out,
            "  {:<16} {:<10} {:<14} {decides}",
            choice.choice, choice.value, choice.from
        )?;
    }
    for (node, own) in &reading.choices.nodes {
        writeln!(out, "  node {} has its own: {own}", escaped(node))?;
    }
    if !reading.guess.open.is_empty() {
        writeln!(out, "still open: {}", reading.guess.open)?;
    }
    writeln!(
        out,
        "a recorded sample tells for sure: `tinyspike verify FILE --match sample.npz`, with x and the spikes of nodes by \
         their names"
    )?;
    Ok(())
}

/// Each choice, and where it comes from.
fn choices(reading: &Reading, flags: &ConvertFlags) -> Result<Vec<ChoiceListing>, Failure> {
    let traits = Traits::of(&reading.graph)?;
    let from = |choice: &Choice| match origin(choice, &reading.guess, &flags.semantics) {
        Origin::User => "--semantics".to_owned(),
        Origin::File => "file".to_owned(),
        Origin::Preset(preset) => preset.to_owned(),
        Origin::Guess => format!("as {}", reading.guess.preset.name),
    };
    let all = reading.choices.all.choices(Some(&traits));
    let listed = all.into_iter().map(|choice| ChoiceListing {
        from: from(&choice),
        choice: choice.key,
        value: choice.value,
        decides: choice.decides,
        matters: choice.matters,
    });
    Ok(listed.collect())
}

/// The equation of neurons, the size of others.
fn described(node: &Node) -> String {
    match node {
        Node::Input { shape } => format!("{shape:?}"),
        Node::Affine { weight, .. } => format!("weight {:?}", weight.shape()),
        Node::Conv(conv) => format!(
            "weight {:?}, stride {:?}, padding {:?}{}",
            conv.weight.shape(),
            conv.stride,
            conv.padding,
            if conv.groups > 1 {
                format!(", {} groups", conv.groups)
            } else {
                String::new()
            }
        ),
        Node::Pool {
            kernel_size,
            stride,
            ..
        } => format!("windows {kernel_size:?}, stride {stride:?}"),
        Node::Neurons(n) => {
            let range = |what: &str, values: &crate::nir::Values| {
                let most = values
                    .data
                    .iter()
                    .copied()
                    .fold(f64::NEG_INFINITY, f64::max);
                match values.uniform() {
                    Some(value) => format!(", {what} {value:.6}"),
                    None => format!(", {what} {:.6} to {most:.6}", values.least()),
                }
            };
            let mut text = n.kind.equation().to_owned();
            for (what, values) in [
                ("tau", n.tau.as_ref()),
                ("tau_syn", n.tau_syn.as_ref()),
                ("r", Some(&n.r)),
                ("threshold", n.v_threshold.as_ref()),
            ] {
                text += &values.map_or_else(String::new, |values| range(what, values));
            }
            text
        }
        Node::Flatten { start_dim, end_dim } => {
            format!("axes {start_dim} to {end_dim}, without a batch axis")
        }
        _ => String::new(),
    }
}

/// Outcome of a search.
#[derive(Serialize)]
struct Report {
    passed: bool,
    /// Cells of the record: samples times steps times neurons.
    cells: usize,
    tried: usize,
    /// Semantics that reproduce every cell, as --semantics takes them.
    found: Vec<String>,
    /// The record shows spikes a step after they were fired.
    late: bool,
    /// The nearest and its differing cells, if none does.
    nearest: Option<(String, usize)>,
}

/// Finds the semantics that reproduce a recorded sample.
pub(crate) fn verify(args: &Verify, reading: &Reading, out: &mut dyn Write) -> Result<(), Failure> {
    let file = args.model.display().to_string();
    let Some(path) = &args.trace else {
        return Err(Failure::new(format!(
            "{file}: a NIR graph has no forward pass of its own to compare with"
        ))
        .hint("--match sample.npz compares with a recorded sample: x, and the spikes of nodes by their names"));
    };
    let failed = |problem: Problem| NirError {
        file: file.clone(),
        problem,
    };
    let graph = &reading.graph;
    let trace = Trace::load(path, graph).map_err(failed)?;
    let found = matching::search(graph, &trace, &reading.choices.all).map_err(failed)?;
    let traits = Traits::of(graph).map_err(failed)?;
    let words = |candidate: &Candidate| {
        matching::described(&candidate.semantics, &traits, reading.guess.preset.name)
    };
    let late = found.found.first().is_some_and(|candidate| candidate.late);
    let mut names: Vec<String> = found.found.iter().map(words).collect();
    names.dedup();
    let report = Report {
        passed: !names.is_empty(),
        cells: trace.cells(),
        tried: found.tried,
        found: names,
        late,
        nearest: (found.best.as_ref()).map(|(candidate, d)| (words(candidate), d.cells)),
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, &trace, &found.found, graph, out)?;
    }
    if report.passed {
        return Ok(());
    }
    let failure = format!(
        "{file}: no semantics reproduce all {} cells of {}",
        report.cells,
        path.display()
    );
    Err(match found.best {
        Some((candidate, Difference { cells, first: Some(first) })) => Failure::new(format!(
            "{failure}; the nearest, {}, differs in {cells}, first in step {} of sample {}: neuron {} of \"{}\"",
            words(&candidate),
            first.step,
            first.sample,
            first.neuron,
            escaped(&first.node)
        )),
        _ => Failure::new(failure),
    }
    .hint("is x what the network got, in the same order, and does the record hold the spikes of each step? A step that is no round number of \
         seconds is tried only with --semantics dt=SECONDS"))
}

/// Values of a choice that is open: more than one reproduces the record.
fn open_choices(found: &[Candidate], graph: &Graph) -> Vec<String> {
    let traits = Traits::of(graph).ok();
    let of = |candidate: &Candidate| candidate.semantics.choices(traits.as_ref());
    let Some(first) = found.first().map(of) else {
        return Vec::new();
    };
    let others: Vec<Vec<Choice>> = found.iter().map(of).collect();
    let mut open = Vec::new();
    for (at, choice) in first
        .iter()
        .enumerate()
        .filter(|(_, choice)| choice.matters)
    {
        let mut values: Vec<&str> = others.iter().map(|o| o[at].value.as_str()).collect();
        values.sort_unstable();
        values.dedup();
        if values.len() > 1 {
            open.push(format!("{} ({})", choice.key, values.join(" or ")));
        }
    }
    open
}

/// Combinations that are shown.
const SHOWN: usize = 4;

fn print(
    report: &Report,
    trace: &Trace,
    found: &[Candidate],
    graph: &Graph,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "{} combinations of semantics tried on {} recorded cells of {}",
        report.tried,
        report.cells,
        escaped(&trace.nodes().join(", "))
    )?;
    if !report.passed {
        return Ok(());
    }
    writeln!(out, "0 cells differ with")?;
    for semantics in report.found.iter().take(SHOWN) {
        writeln!(out, "  --semantics {semantics}")?;
    }
    if report.found.len() > SHOWN {
        writeln!(out, "  and {} more", report.found.len() - SHOWN)?;
    }
    if report.late {
        writeln!(out, "the record shows each spike a step after it was fired")?;
    }
    let open = open_choices(found, graph);
    if !open.is_empty() {
        writeln!(out, "this record does not decide {}", open.join(", "))?;
    }
    Ok(())
}
