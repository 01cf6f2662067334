//! Measures the layers of networks on Arm's MPS2 board with the image AN386 (Cortex-M4), as QEMU's `mps2-an386`.
//!
//! It runs every input that the host has put where [`MPS2_AN386`] says, and prints what
//! [`tinyspike_firmware::bench::layers`] measures over semihosting.

#![no_std]
#![no_main]

mod support;

use cortex_m_rt::entry;
use support::cmsdk::Timer;
use tinyspike_firmware::boards::MPS2_AN386;

/// The arena's length in words: 2 MiB, half of the board's RAM.
const ARENA: usize = 512 << 10;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; ARENA] = [0; ARENA];
    support::measure_layers::<16, 24>(&MPS2_AN386, STATE, &Timer::start())
}
