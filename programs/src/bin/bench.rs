//! Measures inferences on a board: it runs every input that the host has put into the board's memory, and prints what
//! [`tinyspike_firmware::bench`] measures over semihosting.

#![no_std]
#![no_main]

#[path = "../support/mod.rs"]
mod support;

use support::{Own, PROGRAMS, entry};

static STATE: Own<u32, { PROGRAMS.arena }> = Own::new([0; PROGRAMS.arena]);

#[entry]
fn main() -> ! {
    support::measure(STATE.take())
}
