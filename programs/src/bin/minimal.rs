//! The least that a product needs: it classifies the first input that the host has put into the board's memory, and
//! tells nobody. Its size is what the engine takes of a microcontroller's flash.

#![no_std]
#![no_main]

#[cfg(all(target_arch = "arm", not(tinyspike_baseline)))]
#[path = "../support/copy.rs"]
#[expect(unsafe_code, reason = "assembly under the names of the run-time ABI")]
mod copy;
#[cfg(target_arch = "arm")]
#[path = "../support/interrupts.rs"]
#[expect(
    unsafe_code,
    reason = "a table under the name and in the section that cortex-m-rt gives it"
)]
mod interrupts;
#[path = "../support/memory.rs"]
#[expect(unsafe_code, reason = "a board's memory is where its manual says")]
mod memory;
#[path = "../support/own.rs"]
#[expect(unsafe_code, reason = "memory that is handed out once")]
mod own;

use core::hint::black_box;
use core::panic::PanicInfo;

#[cfg(target_arch = "arm")]
use cortex_m::asm::wfi;
#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv::asm::wfi;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;
use tinyspike_boards::{Board, Programs};
use tinyspike_firmware::{Engine, Image, Inputs, Native};

use memory::memory;
use own::Own;

const PROGRAMS: &Programs = {
    let board = Board::named(env!("TINYSPIKE_BOARD")).unwrap();
    board.programs().unwrap()
};
const ENSEMBLES: usize = PROGRAMS.measured[0];
const CONNECTIONS: usize = PROGRAMS.measured[1];

static STATE: Own<u32, { PROGRAMS.arena }> = Own::new([0; PROGRAMS.arena]);

#[entry]
fn main() -> ! {
    black_box(classify(STATE.take()));
    loop {
        wfi();
    }
}

fn classify(arena: &mut [u32]) -> Option<usize> {
    // Borrowed, not moved out: it is large.
    let Ok(image) = &Image::<'_, ENSEMBLES, CONNECTIONS>::parse(memory(PROGRAMS.image)) else {
        return None;
    };
    let inputs = Inputs::parse(memory(PROGRAMS.inputs)).ok()?;
    let mut engine = Engine::<Native, ENSEMBLES, CONNECTIONS>::new(image, arena).ok()?;
    engine.set_input(inputs.iter().next()?).ok()?;
    for _ in 0..image.description().steps {
        engine.step();
    }
    Some(engine.output(0).class())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        wfi();
    }
}
