//! Takes many steps on random inputs and prints a digest of all state.
//!
//! The board's memory holds images one behind another, each at a multiple of 4. Each input of the block is a run of all
//! of them, as [`tinyspike_firmware::soak`] defines it. A further byte lets plain Rust run in place of the core's kernels.

#![no_std]
#![no_main]

#[path = "../support/mod.rs"]
mod support;

use core::fmt::Write as _;

use tinyspike_firmware::soak::{self, SOAK_LEN, Soak};
use tinyspike_firmware::{Image, Inputs, Native, Portable};

use support::debug::{EXIT_FAILURE, EXIT_SUCCESS};
use support::{Console, Own, PROGRAMS, Refused, entry, exit, memory, refuse};

const ENSEMBLES: usize = PROGRAMS.traced[0];
const CONNECTIONS: usize = PROGRAMS.traced[1];
/// The most places of a network's inputs.
const INPUT: usize = 64 << 10;
/// The value of words that no run has written.
const MARK: u32 = 0x5a5a_5a5a;

static STATE: Own<u32, { PROGRAMS.arena }> = Own::new([0; PROGRAMS.arena]);
static VALUES: Own<u8, INPUT> = Own::new([0; INPUT]);

#[entry]
fn main() -> ! {
    match run(STATE.take(), VALUES.take()) {
        Ok(()) => exit(EXIT_SUCCESS),
        Err(Refused) => exit(EXIT_FAILURE),
    }
}

/// Words on either side of the arena that no run may change.
const GUARD: usize = 16;

fn run(state: &mut [u32], values: &mut [u8]) -> Result<(), Refused> {
    let block = Inputs::parse(memory(PROGRAMS.inputs)).map_err(refuse)?;
    let mut console = Console::open().map_err(refuse)?;
    let mut images = memory(PROGRAMS.image);
    loop {
        let image: Image<'_, ENSEMBLES, CONNECTIONS> = Image::parse(images).map_err(refuse)?;
        for input in block.iter() {
            let (soak, plain) = match input.split_last() {
                Some((plain, soak)) if soak.len() == SOAK_LEN => (soak, *plain != 0),
                _ => (input, false),
            };
            let soak = Soak::from_bytes(soak).ok_or_else(|| refuse("an input is no run"))?;
            let soak::Digest {
                steps,
                state,
                beyond,
            } = one(&image, state, values, soak, plain)?;
            writeln!(console, "{steps} steps {state:08x} {beyond} beyond").map_err(refuse)?;
        }
        let length = image.header().length as usize;
        // What runs an image does not write to it.
        Image::<'_, ENSEMBLES, CONNECTIONS>::parse(images).map_err(refuse)?;
        images = images.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        if !images.starts_with(b"TSPK") {
            return console.flush().map_err(refuse);
        }
    }
}

/// Runs an image in an arena that is just as long as it must be, between words that stay as they are.
fn one(
    image: &Image<'_, ENSEMBLES, CONNECTIONS>,
    state: &mut [u32],
    values: &mut [u8],
    soak: Soak,
    plain: bool,
) -> Result<soak::Digest, Refused> {
    let sizes = image.description().inputs.iter().map(|i| i.size as usize);
    let values = values
        .get_mut(..sizes.sum())
        .ok_or_else(|| refuse("the inputs are too large for this program"))?;
    let words = image.arena_bytes() / 4;
    let state = state
        .get_mut(..words + 2 * GUARD)
        .ok_or_else(|| refuse("the arena is too large for this program"))?;
    state.fill(MARK);
    let arena = state.get_mut(GUARD..GUARD + words).unwrap_or(&mut []);
    let digest = match plain {
        true => soak::run::<Portable, _, _>(image, arena, values, soak),
        false => soak::run::<Native, _, _>(image, arena, values, soak),
    };
    let digest = digest.map_err(refuse)?;
    let (before, rest) = state.split_at(GUARD);
    let after = rest.get(words..).unwrap_or(&[]);
    if before.iter().chain(after).all(|&word| word == MARK) {
        Ok(digest)
    } else {
        Err(refuse("a run has written beside its arena"))
    }
}
