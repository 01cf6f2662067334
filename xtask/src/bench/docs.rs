//! The tables of `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;

use tinyspike_board::{Failure, shell};

use super::suite::{BoardResults, NetworkResults, Results};

/// Between these lines of the document the tables are written.
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
        "flash: code",
        "image",
        "RAM: arena",
        "parsed image",
        "stack",
    ]));
    line(&row(&["---"; 7]));
    for (network, board) in each(results) {
        let r = &board.report;
        line(&[
            network.network.clone(),
            r.board.clone(),
            r.code_bytes
                .map_or_else(|| "-".into(), |n| grouped(n as f64)),
            grouped(r.image_bytes as f64),
            grouped(r.arena_bytes as f64),
            grouped(r.parsed_bytes as f64),
            grouped(r.stack_bytes as f64),
        ]);
    }
    text.push('\n');

    let mut line = |cells: &[String]| push(&mut text, cells);
    line(&row(&[
        "network",
        "images/s, one thread",
        "image-steps/s",
        "images/s, all threads",
        "image-steps/s",
        "threads",
        "accuracy on 1000",
    ]));
    line(&row(&["---"; 7]));
    for network in &results.networks {
        let h = &network.host;
        line(&[
            network.network.clone(),
            grouped(h.images_per_second_one_thread),
            grouped(h.image_steps_per_second_one_thread),
            grouped(h.images_per_second_all_threads),
            grouped(h.image_steps_per_second_all_threads),
            h.threads.to_string(),
            h.accuracy.map_or_else(|| "-".into(), percent),
        ]);
    }
    let commit = results.commit.get(..12).unwrap_or(&results.commit);
    let changed = if results.commit.ends_with('+') {
        " with changes"
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "\nMeasured at {commit}{changed}, {}, {}.",
        results.rustc, results.qemu
    );
    text
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
