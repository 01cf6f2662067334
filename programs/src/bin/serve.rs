//! Serves the protocol over the board's UART, without a probe: it runs an image that lies in the board's memory, and writes
//! another beside it. That memory is RAM, which outlives a reset.

#![no_std]
#![no_main]

#[cfg(not(tinyspike_baseline))]
#[path = "../support/copy.rs"]
#[expect(unsafe_code, reason = "assembly under the names of the run-time ABI")]
mod copy;
#[path = "../support/interrupts.rs"]
#[expect(
    unsafe_code,
    reason = "a table under the name and in the section that cortex-m-rt gives it"
)]
mod interrupts;
#[path = "../support/slots.rs"]
#[expect(unsafe_code, reason = "slots are where the board's memory is")]
mod slots;
#[path = "../support/uart.rs"]
#[expect(unsafe_code, reason = "a UART's registers")]
mod uart;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use tinyspike_boards::{Board, Programs};
use tinyspike_firmware::Image;
use tinyspike_firmware::serve::{Build, Device, Slots};
use tinyspike_firmware::stream::{Meter, Streamed};
use tinyspike_firmware::update::Updater;
use tinyspike_shared::accept::{Refusal, Start, Terms};
use tinyspike_shared::slots::{Slot, SlotLayout, stored};

use slots::Ram;
use uart::Uart;

const PROGRAMS: &Programs = {
    let board = Board::named(env!("TINYSPIKE_BOARD")).unwrap();
    board.programs().unwrap()
};
const ENSEMBLES: usize = PROGRAMS.traced[0];
const CONNECTIONS: usize = PROGRAMS.traced[1];

const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    architecture: env!("TINYSPIKE_BOARD"),
    key: None,
};

/// The slots, and behind them the journal.
static LAYOUT: SlotLayout = {
    let start = PROGRAMS.image.address;
    let (slot, sector) = (2 << 20, 4 << 10);
    let journal = start + 2 * slot;
    SlotLayout {
        slots: [start..start + slot, start + slot..journal],
        state: [
            journal..journal + sector,
            journal + sector..journal + 2 * sector,
        ],
        write_size: 4,
    }
};

/// The device's slots, which restarts it.
struct Own<S>(S);

impl<S: Slots> Meter for Own<S> {
    fn slots(&mut self) -> Option<&mut dyn Slots> {
        Some(&mut self.0)
    }

    fn restart(&mut self) {
        cortex_m::peripheral::SCB::sys_reset()
    }
}

#[entry]
fn main() -> ! {
    static mut STATE: [u32; PROGRAMS.arena] = [0; PROGRAMS.arena];
    let sectors = LAYOUT.state.each_ref().map(slots::bytes);
    let start = Start::find(stored(sectors), accept);
    let running = start.running.unwrap_or(start.named);
    let image = Image::<'_, ENSEMBLES, CONNECTIONS>::parse(slots::bytes(LAYOUT.slot(running)));
    let refused = start.passed_over().unwrap_or(NOTHING);
    let mut device = Device::new(BUILD, image.as_ref().map_err(|_| refused), start, STATE);
    let Ok(slots) = Updater::new(&LAYOUT, Ram, running, accept) else {
        cortex_m::asm::udf();
    };
    let mut board = Streamed::new(Uart::open(), Own(slots));
    loop {
        device.poll(&mut board);
    }
}

/// Refusal of a device without any image.
const NOTHING: Refusal = Refusal::Image(tinyspike_shared::ImageError::Magic);

/// Checks the image in a slot.
fn accept(slot: Slot, minimum: u32) -> Result<(), Refusal> {
    let bytes = slots::bytes(LAYOUT.slot(slot));
    let image: Image<'_, ENSEMBLES, CONNECTIONS> = Terms::version(minimum).accept(bytes)?;
    let needed = tinyspike_firmware::serve::needed(&image);
    let given = 4 * PROGRAMS.arena as u32;
    match needed <= given {
        true => Ok(()),
        false => Err(Refusal::NoRoom { needed, given }),
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::nop();
    }
}
