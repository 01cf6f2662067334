//! The bundled networks on every board.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tinyspike::ImageBuf;
use tinyspike::bench::{BenchOptions, Report, bench, block, code};
use tinyspike::data::{self, DataSet};
use tinyspike_board::elf::{Code, functions};
use tinyspike_board::firmware::{Board, Program, elf, family};
use tinyspike_board::{Failure, qemu, shell};

use super::host::Tool;
use super::results::{BoardResults, NetworkResults, Results};
use super::{argument, build, cycles, docs, micro};
use crate::profile;

/// A network, which is tuned for each board, and what it is measured against.
struct Case {
    /// Its file in `models/`, without the ending.
    network: &'static str,
    /// Test samples that are run on a board.
    images: usize,
    boards: &'static [Board],
    /// Executed instructions of TensorFlow Lite for Microcontrollers with CMSIS-NN on the same
    /// network in int8, GCC 12.2 -O3, the same emulator; on a Cortex-M4 and a Cortex-M0.
    rival: Rival,
}

struct Rival {
    m4: u64,
    m4_cycles: u64,
    m0: Option<u64>,
}

const ALL: &[Board] = &Board::MEASURED;
const LARGE: &[Board] = &[Board::Mps2An386, Board::Mps2An500];

const CASES: [Case; 3] = [
    Case {
        network: "mnist_small",
        images: 100,
        boards: ALL,
        rival: Rival {
            m4: 367_600,
            m4_cycles: 488_000,
            m0: Some(909_000),
        },
    },
    Case {
        network: "mnist_mlp",
        images: 100,
        boards: ALL,
        rival: Rival {
            m4: 198_900,
            m4_cycles: 246_000,
            m0: Some(629_000),
        },
    },
    Case {
        network: "mnist_forum_kr",
        images: 20,
        boards: LARGE,
        rival: Rival {
            m4: 23_640_000,
            m4_cycles: 30_000_000,
            m0: None,
        },
    },
];

/// The network that is run as an exact image too.
const EXACT: &str = "mnist_small";
/// Inferences that the plugin watches for an estimate of cycles.
const WATCHED: usize = 3;
/// Factor by which a count may grow before a check fails.
const TOLERANCE: f64 = 1.02;

/// Measures everything and stores the results.
pub(super) fn write() -> Result<(), Failure> {
    let results = measure()?;
    results.store()?;
    println!("{}", docs::tables(&results));
    println!("wrote {}", Results::path().display());
    Ok(())
}

/// Measures everything again and compares it with the stored results.
pub(super) fn check() -> Result<(), Failure> {
    let stored = Results::stored()?;
    compare(&stored, &measure()?)?;
    println!("no count has grown by more than 2 %");
    Ok(())
}

/// Fails if a count has grown by more than [`TOLERANCE`], or has nothing to be compared with.
fn compare(stored: &Results, now: &Results) -> Result<(), Failure> {
    let mut worse = Vec::new();
    for network in &now.networks {
        for board in &network.boards {
            let name = format!("{} on {}", network.network, board.report.board);
            let before = stored
                .networks
                .iter()
                .find(|n| n.network == network.network)
                .and_then(|n| {
                    n.boards
                        .iter()
                        .find(|b| b.report.board == board.report.board)
                });
            let Some(before) = before else {
                worse.push(format!("{name}: nothing is stored"));
                continue;
            };
            let before = counts(&before.report);
            for (what, after) in counts(&board.report) {
                let Some(&before) = before.get(&what) else {
                    worse.push(format!("{name}: nothing is stored of {what}"));
                    continue;
                };
                println!("{name}: {what} {before:.1} -> {after:.1}");
                if after > before * TOLERANCE {
                    worse.push(format!(
                        "{name}: {what} rose from {before:.1} to {after:.1}"
                    ));
                }
            }
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(Failure::Argument(format!(
        "{}\n`cargo xtask bench` stores new results",
        worse.join("\n")
    )))
}

/// The counts that a check compares, by what they are of.
fn counts(report: &Report) -> BTreeMap<String, f64> {
    let parts = [
        ("instructions of an inference", report.inference.mean),
        ("the worst inference", report.inference.worst as f64),
        ("set_input", report.input.mean),
        ("steps", report.steps.mean),
        ("reset", report.reset.mean),
        ("bytes of RAM", report.ram_bytes as f64),
        ("bytes of the parsed image", report.parsed_bytes as f64),
    ]
    .map(|(what, count)| (what.to_owned(), count));
    let flash = [
        ("bytes of flash", report.flash_bytes),
        ("bytes of code", report.code_bytes),
    ];
    let flash = (flash.into_iter())
        .filter_map(|(what, bytes)| bytes.map(|bytes| (what.to_owned(), bytes as f64)));
    let layers = report.layers.iter().map(|layer| {
        let what = format!("instructions of the {} {}", layer.kind, layer.label);
        (what, layer.instructions)
    });
    parts.into_iter().chain(flash).chain(layers).collect()
}

fn measure() -> Result<Results, Failure> {
    let start = Instant::now();
    for board in Board::MEASURED {
        build(board)?;
    }
    let plugin = profile::build_plugin()?;
    let tool = Tool::build()?;
    let root = shell::root();
    let calibration_path = root.join("data/mnist_calibration2k.npz");
    let test_path = root.join("data/mnist_test10k.npz");
    let test = data::load(&test_path).map_err(argument)?;
    let mut networks = Vec::new();
    for case in &CASES {
        eprintln!("{}", case.network);
        let mut images: BTreeMap<_, ImageBuf> = BTreeMap::new();
        // Several boards run the same one.
        let mut image_for = |target: &'static str| {
            Ok::<_, Failure>(match images.entry(target) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => {
                    let image = tool.tuned(case.network, &calibration_path, target)?;
                    place.insert(image).clone()
                }
            })
        };
        let image = image_for(family(Board::Mps2An386).name)?;
        let mut boards = Vec::new();
        for &board in case.boards {
            let image = image_for(family(board).name)?;
            let data = test.clone().take(case.images);
            let options = BenchOptions {
                board,
                code: code(&image, board).map_err(argument)?,
                ..BenchOptions::default()
            };
            let report = bench(&image, &data, &options).map_err(argument)?;
            let (rival_instructions, rival_cycles, cycles_of_each) = match board {
                Board::Mps2An386 => {
                    let data = test.clone().take(WATCHED);
                    (
                        Some(case.rival.m4),
                        Some(case.rival.m4_cycles),
                        Some(cycles_per_instruction(board, &plugin, &image, &data)?),
                    )
                }
                Board::Mps2An500 => (Some(case.rival.m4), None, None),
                Board::Microbit => (case.rival.m0, None, None),
                _ => (None, None, None),
            };
            eprintln!(
                "  {}: {:.0} instructions",
                board.name(),
                report.instructions_per_inference
            );
            boards.push(BoardResults {
                estimated_cycles: cycles_of_each.map(|c| c * report.instructions_per_inference),
                report,
                rival_instructions,
                rival_cycles,
            });
        }
        let parsed = image.image();
        let description = parsed.description();
        networks.push(NetworkResults {
            network: case.network.to_owned(),
            steps: description.steps,
            max_count: description
                .ensembles
                .iter()
                .map(|e| e.max_count)
                .max()
                .unwrap_or(0),
            boards,
            host: tool.emulate(&image, &test_path)?,
        });
    }
    Ok(Results {
        commit: commit(),
        rustc: shell::read(Command::new("rustc").arg("--version")).unwrap_or_default(),
        qemu: qemu::version().unwrap_or_default(),
        networks,
        exact: Some(tool.emulate(&tool.exact(EXACT, &calibration_path)?, &test_path)?),
        micro: micro::measure(&plugin)?,
        minutes: start.elapsed().as_secs_f64() / 60.0,
    })
}

/// The commit that is measured.
fn commit() -> String {
    let git =
        |args: &[&str]| shell::read(Command::new("git").args(args).current_dir(shell::root()));
    let mut commit = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    // Results are no source.
    let changed = git(&["status", "--porcelain", "--", ":!benches", ":!docs"]);
    if changed.is_none_or(|files| !files.is_empty()) {
        commit.push('+');
    }
    commit
}

/// Estimated cycles of an instruction, on the average of some inferences.
fn cycles_per_instruction(
    board: Board,
    plugin: &Path,
    image: &ImageBuf,
    data: &DataSet,
) -> Result<f64, Failure> {
    let elf = elf(board, Program::Bench);
    let inputs = block(image, data).map_err(argument)?;
    let counts = profile::count(board, plugin, &functions(&elf)?, image.bytes(), &inputs)?;
    let executed: u64 = counts.iter().map(|c| c.executed).sum();
    let cycles = cycles::estimate(&Code::read(&elf)?, &counts);
    Ok(cycles as f64 / executed.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A count by its name, how it is read, and how it grows.
    type Change = (&'static str, fn(&Report) -> f64, fn(&mut Report, f64));

    #[test]
    fn a_check_names_what_has_grown() {
        let stored = Results::stored().unwrap();
        compare(&stored, &stored).unwrap();
        let board = |results: &Results| results.networks[1].boards[2].report.clone();
        let before = board(&stored);
        let name = format!("{} on {}", stored.networks[1].network, before.board);
        let grown = |by: f64, change: fn(&mut Report, f64)| {
            let mut now = stored.clone();
            change(&mut now.networks[1].boards[2].report, by);
            let after = board(&now);
            (compare(&stored, &now).map_err(|e| e.to_string()), after)
        };
        let changes: [Change; 6] = [
            (
                "instructions of an inference",
                |r| r.inference.mean,
                |r, by| r.inference.mean *= by,
            ),
            ("set_input", |r| r.input.mean, |r, by| r.input.mean *= by),
            (
                "bytes of RAM",
                |r| r.ram_bytes as f64,
                |r, by| r.ram_bytes = (r.ram_bytes as f64 * by) as u64,
            ),
            (
                "bytes of the parsed image",
                |r| r.parsed_bytes as f64,
                |r, by| r.parsed_bytes = (r.parsed_bytes as f64 * by) as u64,
            ),
            (
                "bytes of code",
                |r| r.code_bytes.map_or(0.0, |bytes| bytes as f64),
                |r, by| r.code_bytes = r.code_bytes.map(|bytes| (bytes as f64 * by) as u64),
            ),
            (
                "instructions of the ensemble dense.0",
                |r| r.layers[1].instructions,
                |r, by| r.layers[1].instructions *= by,
            ),
        ];
        for (what, count, change) in changes {
            let (outcome, after) = grown(1.03, change);
            let (before, after) = (count(&before), count(&after));
            let expected = format!("{name}: {what} rose from {before:.1} to {after:.1}\n");
            let message = outcome.unwrap_err();
            assert!(message.contains(&expected), "{message}");
            assert_eq!(message.matches(" rose from ").count(), 1, "{message}");
            // What has grown less, or has shrunk, is no failure.
            grown(1.01, change).0.unwrap();
            grown(0.5, change).0.unwrap();
        }
        let mut fewer = stored.clone();
        fewer.networks[1].boards.remove(2);
        let message = compare(&fewer, &stored).unwrap_err().to_string();
        assert!(
            message.contains(&format!("{name}: nothing is stored")),
            "{message}"
        );
    }
}
