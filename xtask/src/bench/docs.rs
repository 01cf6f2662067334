//! The tables of `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;

use tinyspike::bench::{Layer, LayerKind};
use tinyspike_board::{Failure, shell};

use super::results::{BoardResults, NetworkResults, Results};

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
    table(
        &mut text,
        "network (steps, most spikes) | board | instructions: mean | median | worst | CMSIS-NN \
         | of it | reached | accuracy",
        each(results).map(|(network, board)| {
            let r = &board.report;
            let rival = board.rival_instructions.map(|rival| rival as f64);
            let share = rival.map(|rival| r.instructions_per_inference / rival);
            let reached = |share| if share < 1.0 { "yes" } else { "no" }.into();
            [
                format!(
                    "{} ({}, {})",
                    network.network, network.steps, network.max_count
                ),
                format!("{} ({})", r.board, r.core),
                grouped(r.inference.mean),
                grouped(r.inference.median as f64),
                grouped(r.inference.worst as f64),
                known(rival, grouped),
                known(share, percent),
                known(share, reached),
                known(r.accuracy, |a| {
                    format!("{:.0} of {}", a * r.images as f64, r.images)
                }),
            ]
        }),
    );
    table(
        &mut text,
        "network | board | set_input | a step | reset | per synaptic op | one more, by a spike \
         | one more, by an input | per neuron update | estimated cycles | CMSIS-NN's",
        each(results).map(|(network, board)| {
            let r = &board.report;
            [
                network.network.clone(),
                r.board.clone(),
                grouped(r.input.mean),
                grouped(r.instructions_per_step),
                grouped(r.reset.mean),
                format!("{:.2}", r.instructions_per_synaptic_op),
                format!("{:.2}", r.marginal_instructions_per_spike_op),
                format!("{:.2}", r.marginal_instructions_per_input_op),
                format!("{:.2}", r.instructions_per_neuron_update),
                known(board.estimated_cycles, grouped),
                known(board.rival_cycles, |n| grouped(n as f64)),
            ]
        }),
    );
    let bytes = |n: u64| grouped(n as f64);
    table(
        &mut text,
        "network | board | flash: code that it needs | its features | code of the whole engine \
         | image | RAM: arena | parsed image | stack",
        each(results).map(|(network, board)| {
            let r = &board.report;
            [
                network.network.clone(),
                r.board.clone(),
                known(r.code_bytes, bytes),
                known(r.code_bytes, |_| r.engine_features.join(", ")),
                known(r.whole_code_bytes, bytes),
                bytes(r.image_bytes),
                bytes(r.arena_bytes),
                bytes(r.parsed_bytes),
                bytes(r.stack_bytes),
            ]
        }),
    );
    layers(&mut text, results);
    let networks = results.networks.iter();
    let exact = results.exact.iter();
    table(
        &mut text,
        "network | images/s, one thread | image-steps/s | images/s, two threads \
         | image-steps/s | image-steps in a second of a core | accuracy on 10,000",
        networks
            .map(|n| (n.network.as_str(), &n.host))
            .chain(exact.map(|h| ("mnist_small, --exact, 50 steps", h)))
            .map(|(name, h)| {
                [
                    name.to_owned(),
                    grouped(h.images_per_second_one_thread),
                    grouped(h.image_steps_per_second_one_thread),
                    grouped(h.images_per_second_all_threads),
                    grouped(h.image_steps_per_second_all_threads),
                    known(h.image_steps_per_cpu_second, grouped),
                    known(h.accuracy, |a| format!("{:.2} %", a * 100.0)),
                ]
            }),
    );
    table(
        &mut text,
        "on the Cortex-M4 | target | aim | measured | reached",
        goals(results).into_iter().map(Goal::row),
    );
    table(
        &mut text,
        "part of the work alone | instructions for each",
        (results.micro.iter()).map(|m| [m.what.clone(), format!("{:.2}", m.instructions)]),
    );
    let commit = results.commit.get(..12).unwrap_or(&results.commit);
    let changed = if results.commit.ends_with('+') {
        " with changes"
    } else {
        ""
    };
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "Measured at {commit}{changed}, {}, {}, in {:.0} minutes.",
        results.rustc, results.qemu, results.minutes
    );
    text
}

/// The tables of what the layers take, and of how their sums differ from the whole.
fn layers(text: &mut String, results: &Results) {
    // The Cortex-M7 runs the Cortex-M4's kernels.
    let boards = each(results).filter(|(_, board)| board.report.core != "Cortex-M7");
    let layers = boards.flat_map(|(network, board)| {
        let layers = board.report.layers.iter();
        layers.map(move |layer| (network, board, layer))
    });
    table(
        text,
        "network | board | layer | neurons | instructions | events | synaptic ops \
         | instructions for each",
        layers.map(|(network, board, layer)| {
            [
                network.network.clone(),
                board.report.board.clone(),
                format!("{} {}", layer.kind, layer.label),
                grouped(layer.neurons.into()),
                grouped(layer.instructions),
                known(layer.events, |n| format!("{n:.1}")),
                known(layer.synaptic_ops, grouped),
                known(layer.instructions_per_synaptic_op, |n| format!("{n:.2}")),
            ]
        }),
    );
    table(
        text,
        "network | board | set_input | its layers | steps | their layers | all layers differ by",
        each(results).map(|(network, board)| {
            let report = &board.report;
            let (inputs, others): (Vec<&Layer>, Vec<_>) =
                (report.layers.iter()).partition(|layer| layer.kind == LayerKind::Input);
            let sum = |layers: &[&Layer]| layers.iter().map(|l| l.instructions).sum::<f64>();
            let (inputs, others) = (sum(&inputs), sum(&others));
            let whole = report.input.mean + report.steps.mean;
            [
                network.network.clone(),
                report.board.clone(),
                grouped(report.input.mean),
                grouped(inputs),
                grouped(report.steps.mean),
                grouped(others),
                format!("{:+.2} %", ((inputs + others) / whole - 1.0) * 100.0),
            ]
        }),
    );
}

/// Goal to be reached.
struct Goal {
    what: &'static str,
    target: f64,
    aim: f64,
    measured: f64,
}

impl Goal {
    /// A row of the table of goals. Counts are to fall, speeds to rise.
    fn row(self) -> [String; 5] {
        let number = |n: f64| match n < 100.0 {
            true => format!("{n:.2}"),
            false => grouped(n),
        };
        let less = self.aim < self.target;
        let reaches = |mark: f64| match less {
            true => self.measured <= mark,
            false => self.measured >= mark,
        };
        let reached = match (reaches(self.aim), reaches(self.target)) {
            (true, _) => "aim",
            (_, true) => "target",
            _ => "no",
        };
        let [target, aim, measured] = [self.target, self.aim, self.measured].map(number);
        [self.what.to_owned(), target, aim, measured, reached.into()]
    }
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
                .exact
                .as_ref()
                .and_then(|h| h.image_steps_per_cpu_second)
                .map(|n| n * 2.0),
        ),
    ]
    .into_iter()
    .filter_map(|(what, target, aim, measured)| {
        Some(Goal {
            what,
            target,
            aim,
            measured: measured?,
        })
    })
    .collect()
}

/// Appends a table, and an empty line.
fn table<const N: usize>(
    text: &mut String,
    head: &str,
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let ruler = ["---"; N].join(" | ");
    let rows = rows.into_iter().map(|row| row.join(" | "));
    for row in [head.to_owned(), ruler].into_iter().chain(rows) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {row} |");
    }
    text.push('\n');
}

/// A cell with a value, if it is known.
fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".into(), show)
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
