//! Takes many steps on random inputs on Arm's MPS2 board with the image AN386 (Cortex-M4), as QEMU's
//! `mps2-an386`, and prints a digest of all state.
//!
//! Each input of the block that [`MPS2_AN386`] names is a run, as [`tinyspike_firmware::soak`] defines
//! it.

#![no_std]
#![no_main]

mod support;

use core::fmt::Write as _;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS};
use tinyspike_firmware::boards::MPS2_AN386;
use tinyspike_firmware::soak::{self, Soak};
use tinyspike_firmware::{Image, Inputs, Native};

use support::{Console, Refused, exit, memory, refuse};

/// The arena's length in words: 2 MiB, half of the board's RAM.
const ARENA: usize = 512 << 10;
/// The most places of a network's inputs.
const INPUT: usize = 64 << 10;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; ARENA] = [0; ARENA];
    static mut VALUES: [u8; INPUT] = [0; INPUT];
    match run(STATE, VALUES) {
        Ok(()) => exit(EXIT_SUCCESS),
        Err(Refused) => exit(EXIT_FAILURE),
    }
}

fn run(arena: &mut [u32], values: &mut [u8]) -> Result<(), Refused> {
    let image: Image<'_> = Image::parse(memory(MPS2_AN386.image)).map_err(refuse)?;
    let block = Inputs::parse(memory(MPS2_AN386.inputs)).map_err(refuse)?;
    let sizes = image.description().inputs.iter().map(|i| i.size as usize);
    let values = values
        .get_mut(..sizes.sum())
        .ok_or_else(|| refuse("the inputs are too large for this program"))?;
    let mut console = Console::open().map_err(refuse)?;
    for input in block.iter() {
        let soak = Soak::from_bytes(input).ok_or_else(|| refuse("an input is no run"))?;
        let digest = soak::run::<Native, 16, 24>(&image, arena, values, soak).map_err(refuse)?;
        let soak::Digest {
            steps,
            state,
            beyond,
        } = digest;
        writeln!(console, "{steps} steps {state:08x} {beyond} beyond").map_err(refuse)?;
    }
    console.flush().map_err(refuse)
}
