//! Predictions held against what emulated boards count: layers of all kinds, and networks like MLPerf Tiny's.

use tinyspike::bench::{BenchOptions, LayerCounts, block, measure, measure_layers};
use tinyspike::cost::{Unit, predict};
use tinyspike_board::Failure;
use tinyspike_board::elf::{Code, functions};
use tinyspike_board::firmware::{Board, Program, elf, family};

use super::shapes::{self, Made, Network};
use super::{build, cycles};
use crate::profile;

/// Share by which a prediction may differ from a count.
const BOUND: f64 = 0.15;
/// Cycles of CMSIS-NN on MLPerf Tiny's networks, GCC 12.2 -O3, and instructions.
const RIVALS: [(&str, f64, f64); 4] = [
    ("keyword spotting, DS-CNN", 7.7e6, 9.2e6),
    ("image classification, ResNet-8", 29.7e6, 37.2e6),
    ("visual wake words, MobileNet", 24.2e6, 29.5e6),
    ("anomaly detection, autoencoder", 0.579e6, 0.719e6),
];
/// The most spikes in a step.
const COUNT: u8 = 31;

/// Counts of an inference.
struct Counted {
    instructions: f64,
    cycles: f64,
}

/// Measures everything, prints it, and fails if a prediction is off by more than [`BOUND`].
pub(super) fn run(only: Option<&str>) -> Result<(), Failure> {
    let board = Board::Mps2An386;
    build(board)?;
    let plugin = profile::build_plugin()?;
    let wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    let mut off = Vec::new();
    println!("| layer | way | instructions | predicted | cycles | predicted |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut grid = shapes::grid();
    grid.extend(shapes::kept_aside());
    for (name, network) in grid.iter().filter(|(name, _)| wanted(name)) {
        let made = network.image(family(board), COUNT)?;
        let counted = count(board, &plugin, &made)?;
        let predicted = |unit| predict(family(board), unit, &made.image.image(), &made.run).total();
        let both = [
            (counted.instructions, predicted(Unit::Instructions)),
            (counted.cycles, predicted(Unit::Cycles)),
        ];
        let ways: Vec<&str> = (made.choices.iter())
            .map(|c| if c.dense { "dense" } else { "events" })
            .collect();
        let shown = both.map(|(counted, predicted)| {
            format!(
                "{counted:.0} | {:+.0} %",
                (predicted / counted - 1.0) * 100.0
            )
        });
        println!("| {name} | {} | {} |", ways.join(", "), shown.join(" | "));
        if only.is_some() {
            by_layer(board, &made)?;
            functions_of(board, &plugin, &made)?;
        }
        if (both.iter()).any(|(counted, predicted)| (predicted / counted - 1.0).abs() > BOUND) {
            off.push(name.clone());
        }
    }
    println!();
    println!(
        "| network | instructions | CMSIS-NN | cycles | CMSIS-NN | predicted cycles | arena | image |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let networks: [fn() -> Network; 4] = [
        shapes::keywords,
        shapes::pictures,
        shapes::persons,
        shapes::sounds,
    ];
    for ((name, instructions, rival), network) in RIVALS.into_iter().zip(networks) {
        if !wanted(name) {
            continue;
        }
        let made = network().image(family(board), COUNT)?;
        let predicted = predict(family(board), Unit::Cycles, &made.image.image(), &made.run);
        let counted = match count(board, &plugin, &made) {
            Ok(counted) => counted,
            Err(reason) => {
                println!("| {name} | {reason} |");
                continue;
            }
        };
        println!(
            "| {name} | {:.0} | {instructions:.0} | {:.0} | {rival:.0} | {:.0} | {} | {} |",
            counted.instructions,
            counted.cycles,
            predicted.total(),
            made.image.image().arena_bytes(),
            made.image.bytes().len()
        );
        if only.is_some() {
            layers(&made);
            functions_of(board, &plugin, &made)?;
        }
    }
    if off.is_empty() {
        Ok(())
    } else {
        Err(Failure::Argument(format!(
            "predictions are off by more than {:.0} %: {}",
            BOUND * 100.0,
            off.join("; ")
        )))
    }
}

/// Prints the counts and the predictions of each layer.
fn by_layer(board: Board, made: &Made) -> Result<(), Failure> {
    let options = BenchOptions {
        board,
        ..BenchOptions::default()
    };
    let measured = measure_layers(&made.image, &made.data, &options).map_err(super::argument)?;
    let image = made.image.image();
    let predicted = predict(family(board), Unit::Instructions, &image, &made.run);
    let mean = |of: &dyn Fn(&LayerCounts) -> u64| {
        measured.iter().map(of).sum::<u64>() as f64 / measured.len().max(1) as f64
    };
    let input = mean(&|counts| counts.inputs.iter().sum());
    println!("  input: {input:.0}, predicted {:.0}", predicted.inputs[0]);
    for (at, predicted) in predicted.ensembles.iter().enumerate() {
        let ensemble = &image.description().ensembles[at];
        let counted = mean(&|counts| counts.steps[0].ensembles[at]);
        let events = made.run.ensembles[at].events as f64 / made.run.trials.len() as f64;
        println!(
            "  ensemble of {:?}, {} neurons, {events:.0} events: {counted:.0}, predicted {predicted:.0}",
            ensemble.width, ensemble.neurons
        );
    }
    println!("  all else: predicted {:.0}", predicted.rest);
    Ok(())
}

/// Prints the choices of a network, layer by layer.
fn layers(made: &Made) {
    let image = made.image.image();
    let network = image.description();
    for (c, choice) in network.connections.iter().zip(&made.choices) {
        let density = c.pre.ensemble().map_or(1.0, |e| {
            let e = usize::from(e);
            let events = made.run.ensembles[e].events as f64;
            events / made.run.trials.len() as f64 / f64::from(network.ensembles[e].neurons)
        });
        println!(
            "  {:?} to {:?}: {:?}, {:.0} % active, events {:.0}, dense {:.0} cycles",
            c.pre,
            c.post,
            c.layout,
            density * 100.0,
            choice.cycles.0,
            choice.cycles.1.unwrap_or(f64::NAN)
        );
    }
}

/// Prints the functions that execute the most instructions.
fn functions_of(board: Board, plugin: &std::path::Path, made: &Made) -> Result<(), Failure> {
    const TOP: usize = 12;
    let functions = functions(&elf(board, Program::Bench))?;
    let inputs = block(&made.image, &made.data).map_err(super::argument)?;
    let counts = profile::count(board, plugin, &functions, made.image.bytes(), &inputs)?;
    profile::print(&functions, &counts, made.data.len(), TOP);
    Ok(())
}

/// Counts the mean inference of an image's samples; what parsing takes is left out.
fn count(board: Board, plugin: &std::path::Path, made: &Made) -> Result<Counted, Failure> {
    let options = BenchOptions {
        board,
        ..BenchOptions::default()
    };
    let measured = measure(&made.image, &made.data, &options).map_err(super::argument)?;
    let samples = measured.inferences.len().max(1);
    let all: u64 = (measured.inferences.iter())
        .map(tinyspike::bench::Inference::instructions)
        .sum();
    let elf = elf(board, Program::Bench);
    let (code, functions) = (Code::read(&elf)?, functions(&elf)?);
    let cycles = |samples: usize| {
        let data = made.data.clone().take(samples);
        let inputs = block(&made.image, &data).map_err(super::argument)?;
        let counts = profile::count(board, plugin, &functions, made.image.bytes(), &inputs)?;
        Ok::<_, Failure>(cycles::estimate(&code, &counts) as f64)
    };
    let more = cycles(samples)? - cycles(1)?;
    Ok(Counted {
        instructions: all as f64 / samples as f64,
        cycles: more / (samples - 1).max(1) as f64,
    })
}
