//! The least that a product needs: it classifies the first input of the block that [`MICROBIT`] names, and
//! tells nobody. Its size is what the engine takes of a microcontroller's flash.

#![no_std]
#![no_main]

#[path = "support/memory.rs"]
#[expect(unsafe_code, reason = "a board's memory is where its manual says")]
mod memory;

use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m_rt::entry;
use tinyspike_firmware::boards::{MICROBIT, MICROBIT_ARENA};
use tinyspike_firmware::{Engine, Image, Inputs, Native};

use memory::memory;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; MICROBIT_ARENA] = [0; MICROBIT_ARENA];
    black_box(classify(STATE));
    loop {
        cortex_m::asm::wfi();
    }
}

fn classify(arena: &mut [u32]) -> Option<usize> {
    let image: Image<'_, 4, 6> = Image::parse(memory(MICROBIT.image)).ok()?;
    let inputs = Inputs::parse(memory(MICROBIT.inputs)).ok()?;
    let mut engine = Engine::<Native, 4, 6>::new(&image, arena).ok()?;
    engine.set_input(inputs.iter().next()?).ok()?;
    for _ in 0..image.description().steps {
        engine.step();
    }
    Some(engine.output(0).class())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
