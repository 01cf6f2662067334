//! A run of every target with a generator of a fixed seed, short unless [`volume`] says otherwise, and all inputs that once
//! broke one.

#![expect(clippy::print_stdout, reason = "a long run says what it has done")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tinyspike_fuzz::mutate::mutate_file;
use tinyspike_fuzz::{Outcome, TARGETS, Target, volume};
use tinyspike_tests::numbers::Numbers;

/// Inputs take milliseconds; on a busy machine a hundred times more.
const TOO_LONG: Duration = Duration::from_secs(20);

fn target(name: &str) -> Target {
    Target::named(name).unwrap_or_else(|| panic!("no target {name}"))
}

/// Runs a target on some bytes; if it panics, they are kept.
fn try_bytes(target: &Target, bytes: &[u8], what: &str) -> Outcome {
    let since = Instant::now();
    let run = || catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let mut outcome = run();
    let mut took = since.elapsed();
    if took >= TOO_LONG {
        // The machine may have stood still.
        let again = Instant::now();
        outcome = run();
        took = again.elapsed();
    }
    let fault = match outcome {
        Ok(outcome) if took < TOO_LONG => return outcome,
        Ok(_) => "takes too long",
        Err(_) => "panics",
    };
    let path = std::env::temp_dir().join(format!("tinyspike-{}-{what}", target.name));
    let kept = match std::fs::write(&path, bytes) {
        Ok(()) => format!("the input is in {}", path.display()),
        Err(e) => format!("the input could not be kept: {e}"),
    };
    panic!("{} {fault} on {what}; {kept}", target.name);
}

/// Real inputs are accepted, and of their mutations some are and some are not.
fn smoke(name: &str) {
    let target = target(name);
    let seeds = (target.seeds)().unwrap_or_else(|e| panic!("{e}"));
    assert!(seeds.len() >= 4, "{} seeds", seeds.len());
    let accepted = |(at, seed): (usize, &Vec<u8>)| {
        try_bytes(&target, seed, &format!("seed-{at}")) == Outcome::Accepted
    };
    let accepted = seeds.iter().enumerate().filter(|s| accepted(*s)).count();
    assert!(2 * accepted >= seeds.len(), "{accepted} of {}", seeds.len());
    let (count, seed) = match volume(0) {
        (0, seed) => (target.smoke.into(), seed),
        (each, seed) => (each * u64::from(target.formats), seed),
    };
    let mut numbers = Numbers::new(seed);
    let mut accepted = 0;
    for execution in 0..count {
        let mut bytes = seeds[numbers.below(seeds.len())].clone();
        let other = &seeds[numbers.below(seeds.len())];
        mutate_file(&mut bytes, other, &mut numbers);
        if try_bytes(&target, &bytes, &format!("execution-{execution}")) == Outcome::Accepted {
            accepted += 1;
        }
    }
    // A target that accepts all or nothing looks at nothing.
    println!("{name}: {accepted} of {count} accepted");
    let share = f64::from(accepted) / count as f64;
    assert!((0.01..0.99).contains(&share), "{name}: {accepted} accepted");
}

#[test]
fn images() {
    smoke("image");
}

#[test]
fn blocks_of_inputs() {
    smoke("inputs");
}

#[test]
fn model_files() {
    smoke("model");
}

#[test]
fn keras_archives() {
    smoke("archive");
}

#[test]
fn savedmodels() {
    smoke("savedmodel");
}

#[test]
fn data_sets() {
    smoke("data");
}

#[test]
fn graphs() {
    smoke("nir");
}

#[test]
fn onnx_files() {
    smoke("onnx");
}

#[test]
fn chip_descriptions() {
    smoke("chips");
}

#[test]
fn devices() {
    smoke("device");
}

#[test]
fn sessions() {
    smoke("session");
}

#[test]
fn what_once_broke_a_target_does_not_any_more() {
    for target in TARGETS {
        let Ok(folder) = std::fs::read_dir(target.regressions()) else {
            continue;
        };
        for entry in folder {
            let path = entry.unwrap_or_else(|e| panic!("{e}")).path();
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{e}"));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            try_bytes(&target, &bytes, &name);
        }
    }
}
