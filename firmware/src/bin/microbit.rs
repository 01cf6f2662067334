//! Firmware for the BBC micro:bit (nRF51822, Cortex-M0), as QEMU's `microbit`.
//!
//! It runs every input that the host has put where [`MICROBIT`] says and prints the trace over
//! semihosting; an image or a block that cannot be used makes it end with an error.

#![no_std]
#![no_main]

mod support;

use cortex_m_rt::entry;
use tinyspike_firmware::boards::{Limits, MICROBIT, MICROBIT_ARENA};

/// What fits beside the arena.
const LIMITS: Limits = Limits::BASELINE;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; MICROBIT_ARENA] = [0; MICROBIT_ARENA];
    support::trace::<{ LIMITS.ensembles }, { LIMITS.connections }>(&MICROBIT, STATE)
}
