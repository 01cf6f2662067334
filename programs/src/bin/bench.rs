//! Measures inferences on a board: it runs every input that the host has put into the board's memory, and prints what
//! [`tinyspike_firmware::bench`] measures over semihosting.

#![no_std]
#![no_main]

#[path = "../support/mod.rs"]
mod support;

use cortex_m_rt::entry;
use support::PROGRAMS;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; PROGRAMS.arena] = [0; PROGRAMS.arena];
    support::measure(STATE)
}
