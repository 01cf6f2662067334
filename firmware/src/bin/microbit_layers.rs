//! Measures the layers of networks on the BBC micro:bit (nRF51822, Cortex-M0), as QEMU's `microbit`.
//!
//! It runs every input that the host has put where [`MICROBIT`] says, and prints what
//! [`tinyspike_firmware::bench::layers`] measures over semihosting.

#![no_std]
#![no_main]

mod support;

use cortex_m_rt::entry;
use support::nrf51::Timer;
use tinyspike_firmware::boards::{MICROBIT, MICROBIT_ARENA};

#[entry]
fn main() -> ! {
    static mut STATE: [u32; MICROBIT_ARENA] = [0; MICROBIT_ARENA];
    support::measure_layers::<4, 6>(&MICROBIT, STATE, &Timer::start())
}
