//! The tables of `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;

use tinyspike::bench::{Layer, LayerKind};
use tinyspike_board::{Failure, shell};

use super::suite::{BoardResults, NetworkResults, Results};

/// Lines of the document between which the tables are written.
const BEGIN: &str = "<!-- begin: cargo xtask bench --write-docs -->";
const END: &str = "<!-- end -->";

/// Puts the tables into the document.
pub(super) fn write(results: &Results) -> Result<(), Failure> {
    let path = shell::root().join("docs/performance.md");
    let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
    let parts = text
        .split_once(BEGIN)
        .and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = parts else {
        return Err(Failure::Argument(format!(
            "{} has no lines {BEGIN} and {END}",
            path.display()
        )));
    };
    let text = format!("{head}{BEGIN}\n\n{}\n{END}{tail}", tables(results));
    fs::write(&path, text).map_err(Failure::file(&path))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The results as Markdown.
pub(super) fn tables(results: &Results) -> String {
    let mut text = String::new();
    let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&[
        "network (steps, most spikes)",
        "board",
        "instructions: mean",
        "median",
        "worst",
        "CMSIS-NN",
        "of it",
        "reached",
        "accuracy",
    ]));
    line(&row(&["---"; 9]));
    for (network, board) in each(results) {
        let r = &board.report;
        let (rival, share, reached) = match board.rival_instructions {
            Some(rival) => {
                let share = r.instructions_per_inference / rival as f64;
                let reached = if share < 1.0 { "yes" } else { "no" };
                (grouped(rival as f64), percent(share), reached)
            }
            None => ("-".into(), "-".into(), "-"),
        };
        line(&[
            format!(
                "{} ({}, {})",
                network.network, network.steps, network.max_count
            ),
            format!("{} ({})", r.board, r.core),
            grouped(r.inference.mean),
            grouped(r.inference.median as f64),
            grouped(r.inference.worst as f64),
            rival,
            share,
            reached.into(),
            r.accuracy.map_or_else(
                || "-".into(),
                |a| format!("{:.0} of {}", a * r.images as f64, r.images),
            ),
        ]);
    }
    text.push('\n');

    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&[
        "network",
        "board",
        "set_input",
        "a step",
        "reset",
        "per synaptic op",
        "one more, by a spike",
        "one more, by an input",
        "per neuron update",
        "estimated cycles",
        "CMSIS-NN's",
    ]));
    line(&row(&["---"; 11]));
    for (network, board) in each(results) {
        let r = &board.report;
        let optional = |n: Option<f64>| n.map_or_else(|| "-".into(), grouped);
        line(&[
            network.network.clone(),
            r.board.clone(),
            grouped(r.input.mean),
            grouped(r.instructions_per_step),
            grouped(r.reset.mean),
            format!("{:.2}", r.instructions_per_synaptic_op),
            format!("{:.2}", r.marginal_instructions_per_spike_op),
            format!("{:.2}", r.marginal_instructions_per_input_op),
            format!("{:.2}", r.instructions_per_neuron_update),
            optional(board.estimated_cycles),
            optional(board.rival_cycles.map(|n| n as f64)),
        ]);
    }
    text.push('\n');

    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&[
        "network",
        "board",
        "flash: code that it needs",
        "its features",
        "code of the whole engine",
        "image",
        "RAM: arena",
        "parsed image",
        "stack",
    ]));
    line(&row(&["---"; 9]));
    let bytes = |n: Option<u64>| n.map_or_else(|| "-".into(), |n| grouped(n as f64));
    for (network, board) in each(results) {
        let r = &board.report;
        line(&[
            network.network.clone(),
            r.board.clone(),
            bytes(r.code_bytes),
            match r.code_bytes {
                Some(_) => r.engine_features.join(", "),
                None => "-".into(),
            },
            bytes(r.whole_code_bytes),
            grouped(r.image_bytes as f64),
            grouped(r.arena_bytes as f64),
            grouped(r.parsed_bytes as f64),
            grouped(r.stack_bytes as f64),
        ]);
    }
    text.push('\n');

    layers(&mut text, results);
    text.push('\n');

    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&[
        "network",
        "images/s, one thread",
        "image-steps/s",
        "images/s, two threads",
        "image-steps/s",
        "image-steps in a second of a core",
        "accuracy on 10,000",
    ]));
    line(&row(&["---"; 7]));
    let networks = results.networks.iter();
    let rows = networks.map(|n| (n.network.clone(), &n.host));
    let faithful = results.faithful.iter();
    let rows = rows.chain(faithful.map(|h| ("mnist_small, --exact, 50 steps".to_owned(), h)));
    for (name, h) in rows {
        line(&[
            name,
            grouped(h.images_per_second_one_thread),
            grouped(h.image_steps_per_second_one_thread),
            grouped(h.images_per_second_all_threads),
            grouped(h.image_steps_per_second_all_threads),
            h.image_steps_per_cpu_second
                .map_or_else(|| "-".into(), grouped),
            h.accuracy
                .map_or_else(|| "-".into(), |a| format!("{:.2} %", a * 100.0)),
        ]);
    }
    text.push('\n');

    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&[
        "on the Cortex-M4",
        "target",
        "aim",
        "measured",
        "reached",
    ]));
    line(&row(&["---"; 5]));
    for goal in goals(results) {
        let number = |n: f64| match n < 100.0 {
            true => format!("{n:.2}"),
            false => grouped(n),
        };
        // Counts are to fall, speeds to rise.
        let less = goal.aim < goal.target;
        let reaches = |mark: f64| match less {
            true => goal.measured <= mark,
            false => goal.measured >= mark,
        };
        let reached = match (reaches(goal.aim), reaches(goal.target)) {
            (true, _) => "aim",
            (_, true) => "target",
            _ => "no",
        };
        line(&[
            goal.what,
            number(goal.target),
            number(goal.aim),
            number(goal.measured),
            reached.into(),
        ]);
    }
    text.push('\n');

    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&["part of the work alone", "instructions for each"]));
    line(&row(&["---"; 2]));
    for micro in &results.micro {
        line(&[micro.what.clone(), format!("{:.2}", micro.instructions)]);
    }
    let commit = results.commit.get(..12).unwrap_or(&results.commit);
    let changed = if results.commit.ends_with('+') {
        " with changes"
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "\nMeasured at {commit}{changed}, {}, {}, in {:.0} minutes.",
        results.rustc, results.qemu, results.minutes
    );
    text
}

/// The tables of what the layers take, and of how their sums differ from the whole.
fn layers(text: &mut String, results: &Results) {
    let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
    // The Cortex-M7 runs the Cortex-M4's kernels.
    let boards = || each(results).filter(|(_, board)| board.report.core != "Cortex-M7");
    push(
        text,
        &row(&[
            "network",
            "board",
            "layer",
            "neurons",
            "instructions",
            "events",
            "synaptic ops",
            "instructions for each",
        ]),
    );
    push(text, &row(&["---"; 8]));
    for (network, board) in boards() {
        let report = &board.report;
        for layer in &report.layers {
            let optional = |n: Option<f64>| n.map_or_else(|| "-".into(), |n| format!("{n:.1}"));
            let each = layer.instructions_per_synaptic_op;
            push(
                text,
                &[
                    network.network.clone(),
                    report.board.clone(),
                    format!("{} {}", layer.kind, layer.label),
                    grouped(layer.neurons.into()),
                    grouped(layer.instructions),
                    optional(layer.events),
                    layer.synaptic_ops.map_or_else(|| "-".into(), grouped),
                    each.map_or_else(|| "-".into(), |n| format!("{n:.2}")),
                ],
            );
        }
    }
    text.push('\n');
    push(
        text,
        &row(&[
            "network",
            "board",
            "set_input",
            "its layers",
            "steps",
            "their layers",
            "all layers differ by",
        ]),
    );
    push(text, &row(&["---"; 7]));
    for (network, board) in each(results) {
        let report = &board.report;
        let (inputs, others): (Vec<&Layer>, Vec<_>) =
            (report.layers.iter()).partition(|layer| layer.kind == LayerKind::Input);
        let sum = |layers: &[&Layer]| layers.iter().map(|l| l.instructions).sum::<f64>();
        let (inputs, others) = (sum(&inputs), sum(&others));
        let whole = report.input.mean + report.steps.mean;
        push(
            text,
            &[
                network.network.clone(),
                report.board.clone(),
                grouped(report.input.mean),
                grouped(inputs),
                grouped(report.steps.mean),
                grouped(others),
                format!("{:+.2} %", ((inputs + others) / whole - 1.0) * 100.0),
            ],
        );
    }
}

/// Goal to be reached.
struct Goal {
    what: String,
    target: f64,
    aim: f64,
    measured: f64,
}

/// The goals that something was measured for.
fn goals(results: &Results) -> Vec<Goal> {
    let on_m4 = |network: &str| {
        let mut all = each(results);
        let found = all.find(|(n, b)| n.network == network && b.report.core == "Cortex-M4");
        found.map(|(_, board)| &board.report)
    };
    let micro = |start: &str| {
        let found = results.micro.iter().find(|m| m.what.starts_with(start));
        found.map(|m| m.instructions)
    };
    let small = on_m4("mnist_small");
    let code = |network: &str| on_m4(network).and_then(|r| r.code_bytes).map(|n| n as f64);
    let mean = |network: &str| on_m4(network).map(|r| r.inference.mean);
    [
        ("mnist_small, instructions", 92e3, 60e3, mean("mnist_small")),
        ("mnist_mlp, instructions", 50e3, 35e3, mean("mnist_mlp")),
        (
            "mnist_forum_kr, instructions",
            5.9e6,
            4e6,
            mean("mnist_forum_kr"),
        ),
        (
            "synaptic op of count one in a dense layer of 64 neurons",
            0.85,
            0.70,
            micro("synaptic op of count one"),
        ),
        (
            "IF neuron update of 16 bits",
            4.0,
            2.5,
            micro("IF neuron update of 16"),
        ),
        (
            "IF neuron update of 32 bits",
            4.0,
            2.5,
            micro("IF neuron update of 32"),
        ),
        (
            "firmware without weights, with what mnist_small needs, bytes",
            16384.0,
            10240.0,
            code("mnist_small"),
        ),
        (
            "the same with what mnist_mlp needs",
            16384.0,
            10240.0,
            code("mnist_mlp"),
        ),
        (
            "the same with what mnist_forum_kr needs",
            16384.0,
            10240.0,
            code("mnist_forum_kr"),
        ),
        (
            "the same with the whole engine",
            16384.0,
            10240.0,
            small.and_then(|r| r.whole_code_bytes).map(|n| n as f64),
        ),
        (
            "RAM of mnist_small with its stack, bytes",
            10240.0,
            6144.0,
            small.map(|r| r.ram_bytes as f64),
        ),
        (
            "on the host: mnist_small, --exact, image-steps/s of two cores, by their time",
            250e3,
            500e3,
            results
                .faithful
                .as_ref()
                .and_then(|h| h.image_steps_per_cpu_second)
                .map(|n| n * 2.0),
        ),
    ]
    .into_iter()
    .filter_map(|(what, target, aim, measured)| {
        Some(Goal {
            what: what.to_owned(),
            target,
            aim,
            measured: measured?,
        })
    })
    .collect()
}

fn push(text: &mut String, cells: &[String]) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn each(results: &Results) -> impl Iterator<Item = (&NetworkResults, &BoardResults)> {
    results
        .networks
        .iter()
        .flat_map(|n| n.boards.iter().map(move |b| (n, b)))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number without a fraction, its digits in groups of three.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [
            (0.4, "0"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (23_640_000.0, "23,640,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
