//! Takes many steps on random inputs and prints a digest of all state.
//!
//! Each input that the host has put into the board's memory is a run, as [`tinyspike_firmware::soak`] defines it.

#![no_std]
#![no_main]

#[path = "../support/mod.rs"]
mod support;

use core::fmt::Write as _;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS};
use tinyspike_firmware::soak::{self, Soak};
use tinyspike_firmware::{Image, Inputs, Native};

use support::{Console, PROGRAMS, Refused, exit, memory, refuse};

const ENSEMBLES: usize = PROGRAMS.traced[0];
const CONNECTIONS: usize = PROGRAMS.traced[1];
/// The most places of a network's inputs.
const INPUT: usize = 64 << 10;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; PROGRAMS.arena] = [0; PROGRAMS.arena];
    static mut VALUES: [u8; INPUT] = [0; INPUT];
    match run(STATE, VALUES) {
        Ok(()) => exit(EXIT_SUCCESS),
        Err(Refused) => exit(EXIT_FAILURE),
    }
}

fn run(arena: &mut [u32], values: &mut [u8]) -> Result<(), Refused> {
    let image: Image<'_, ENSEMBLES, CONNECTIONS> =
        Image::parse(memory(PROGRAMS.image)).map_err(refuse)?;
    let block = Inputs::parse(memory(PROGRAMS.inputs)).map_err(refuse)?;
    let sizes = image.description().inputs.iter().map(|i| i.size as usize);
    let values = values
        .get_mut(..sizes.sum())
        .ok_or_else(|| refuse("the inputs are too large for this program"))?;
    let mut console = Console::open().map_err(refuse)?;
    for input in block.iter() {
        let soak = Soak::from_bytes(input).ok_or_else(|| refuse("an input is no run"))?;
        let digest = soak::run::<Native, ENSEMBLES, CONNECTIONS>(&image, arena, values, soak)
            .map_err(refuse)?;
        let soak::Digest {
            steps,
            state,
            beyond,
        } = digest;
        writeln!(console, "{steps} steps {state:08x} {beyond} beyond").map_err(refuse)?;
    }
    console.flush().map_err(refuse)
}
