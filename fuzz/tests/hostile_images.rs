//! Hostile images on the host and on emulated boards: no kernel faults or writes beside its arena, overflow checks and
//! debug assertions hold, and if the stated bounds hold, each board has the state that plain Rust has on the host.

#![expect(clippy::print_stdout, reason = "a long run says what it has done")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use tinyspike::assemble::{Image, aligned_copy};
use tinyspike_board::firmware::{Board, Program, build_checked};
use tinyspike_board::qemu;
use tinyspike_firmware::Portable;
use tinyspike_firmware::soak::{Digest, Soak, run};
use tinyspike_fuzz::mutate::mutate;
use tinyspike_fuzz::{Outcome, Target, generate, runnable, volume};
use tinyspike_shared::image::Firing;
use tinyspike_shared::inputs::Header;
use tinyspike_tests::numbers::Numbers;

/// The board program's arena in bytes, and its room for inputs.
const ARENA: usize = 2 << 20;
const INPUT: usize = 64 << 10;
/// The most ensembles and connections of its networks.
type Small<'a> = tinyspike_shared::image::Image<'a, 16, 24>;

const SOAK: Soak = Soak { seed: 7, steps: 3 };

/// The state that plain Rust has on the host; `None` if the board's program has no room for the image.
fn on_host(image: &[u8]) -> Option<Digest> {
    let bytes = aligned_copy(image);
    let small = Small::parse(&bytes).ok()?;
    let inputs = small.description().inputs.iter().map(|i| i.size as usize);
    let mut values = vec![0; inputs.sum()];
    // Whole inferences are taken.
    let short = small.description().steps <= 5;
    if !short || small.arena_bytes() + 128 > ARENA || values.len() > INPUT {
        return None;
    }
    let image: Image<'_> = Image::parse(&bytes).ok()?;
    let mut arena = vec![0; image.arena_bytes() / 4];
    run::<Portable, _, _>(&image, &mut arena, &mut values, SOAK).ok()
}

/// Tells whether values of neurons that never spike are shifted on their way. They may not fit 16 bits then, which
/// conversion sees to, and each kernel wraps in its own way.
fn shifts_values(image: &[u8]) -> bool {
    let bytes = aligned_copy(image);
    let Ok(image) = Small::parse(&bytes) else {
        return false;
    };
    let network = image.description();
    let kinds = || network.ensembles.iter().filter_map(|e| e.current_based());
    let inboxes = network.ensembles.iter().map(|e| e.inbox);
    let mut inboxes = inboxes.chain(network.outputs.iter().map(|o| o.inbox));
    kinds().any(|kind| kind.firing == Firing::Never)
        && (kinds().any(|kind| kind.event_shift > 0)
            || inboxes.any(|inbox| inbox.is_some_and(|inbox| inbox.fraction > 0)))
}

/// Images for a board's memory, one behind another, and what must come of each.
#[derive(Default)]
struct Batch {
    images: Vec<u8>,
    seeds: Vec<(u64, Digest, bool)>,
}

#[derive(Default)]
struct Tally {
    images: usize,
    compared: usize,
}

impl Batch {
    const MOST: usize = 4 << 20;

    /// Runs all images on a board, with its kernels and with plain Rust.
    fn run(self, board: Board, firmware: &Path, tally: &mut Tally) {
        if self.seeds.is_empty() {
            return;
        }
        let runs = [0, 1].map(|plain| [&SOAK.to_bytes()[..], &[plain]].concat());
        let header = Header {
            count: 2,
            size: runs[0].len() as u32,
        };
        let outcome = qemu::run(&qemu::Run {
            board,
            firmware,
            count: false,
            plugin: None,
            image: &self.images,
            inputs: &[&header.to_bytes()[..], &runs.concat()].concat(),
            timeout: Duration::from_secs(900),
        });
        let outcome = outcome.unwrap_or_else(|e| panic!("{e}"));
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        let ended = outcome.stderr.is_empty() && outcome.status.success();
        let next = self.seeds.get(lines.len() / 2).map(|(seed, ..)| seed);
        assert!(ended, "after seed {next:?}: {}", outcome.stderr);
        assert_eq!(lines.len(), 2 * self.seeds.len());
        for ((seed, host, comparable), lines) in self.seeds.iter().zip(lines.chunks(2)) {
            let Digest {
                steps,
                state,
                beyond,
            } = host;
            let expected = format!("{steps} steps {state:08x} {beyond} beyond");
            // If potentials leave the bounds that the image states, sums wrap, each kernel's in its own way. Plain Rust wraps
            // alike everywhere.
            let comparable = *comparable && *beyond == 0;
            for (line, (kernels, alike)) in lines
                .iter()
                .zip([("its kernels", comparable), ("plain Rust", true)])
            {
                let ended = line.starts_with(&format!("{steps} steps "));
                let same = ended && (*line == expected || !alike);
                assert!(
                    same,
                    "{board}, seed {seed}, {kernels}: {line} instead of {expected}"
                );
            }
            tally.images += 1;
            tally.compared += usize::from(comparable);
        }
    }
}

/// Runs what an image is made of on a board, many images at a time.
fn on_board(
    board: Board,
    seeds: impl Iterator<Item = (u64, Vec<u8>)>,
    comparable: impl Fn(u64) -> bool,
) -> Tally {
    let checked = build_checked(board, Program::Soak).unwrap_or_else(|e| panic!("{e}"));
    let mut tally = Tally::default();
    let mut batch = Batch::default();
    for (seed, image) in seeds {
        let Some(image) = runnable(&image) else {
            continue;
        };
        let Some(digest) = on_host(&image) else {
            continue;
        };
        if batch.images.len() + image.len() > Batch::MOST {
            std::mem::take(&mut batch).run(board, &checked, &mut tally);
        }
        batch.images.extend(&image);
        let end = batch.images.len().next_multiple_of(4);
        batch.images.resize(end, 0);
        let comparable = comparable(seed) && !shifts_values(&image);
        batch.seeds.push((seed, digest, comparable));
    }
    batch.run(board, &checked, &mut tally);
    tally
}

/// Generated images.
#[test]
fn generated_images_run_alike_with_all_kernels_of_the_host() {
    let target = Target::named("image").unwrap();
    let (count, first) = volume(1000);
    let (mut accepted, mut broken) = (0, Vec::new());
    for seed in first..first + count {
        let image = generate::image(seed);
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&image))) {
            Ok(outcome) => accepted += usize::from(outcome == Outcome::Accepted),
            Err(_) => broken.push(seed),
        }
    }
    assert!(
        broken.is_empty(),
        "the images of these seeds break it: {broken:?}"
    );
    println!("host: {accepted} of {count} generated images accepted");
    assert!(2 * accepted > count as usize, "{accepted} of {count}");
}

fn generated_images_never_fault(board: Board) {
    let (count, first) = volume(500);
    let seeds = (first..first + count).map(|seed| (seed, generate::image(seed)));
    let Tally { images, compared } = on_board(board, seeds, generate::is_calm);
    println!("{board}: {images} of {count} generated images run, {compared} compared");
    assert!(4 * images as u64 > count, "{images} of {count} run");
    assert!(4 * compared > images, "{compared} of {images} compared");
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask fuzz"]
fn generated_images_never_fault_on_a_cortex_m4() {
    generated_images_never_fault(Board::Mps2An386);
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask fuzz"]
fn generated_images_never_fault_on_a_cortex_m33() {
    generated_images_never_fault(Board::Mps2An505);
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask fuzz"]
fn generated_images_never_fault_on_risc_v() {
    generated_images_never_fault(Board::RiscvVirt);
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask fuzz"]
fn changed_images_never_fault_on_boards() {
    let target = Target::named("image").unwrap();
    let seeds = (target.seeds)().unwrap();
    let (count, first) = volume(500);
    let changed = |seed| {
        let mut numbers = Numbers::new(seed);
        let mut bytes = seeds[numbers.below(seeds.len())].clone();
        let other = &seeds[numbers.below(seeds.len())];
        mutate(&mut bytes, other, &mut numbers);
        (seed, bytes)
    };
    let board = Board::Mps2An386;
    // A byte more or less moves all weights: sums of the others may wrap and come back within their bounds.
    let Tally { images, .. } = on_board(board, (first..first + count).map(changed), |_| false);
    println!("{board}: {images} of {count} changed images run");
    assert!(8 * images as u64 > count, "{images} of {count} run");
}
