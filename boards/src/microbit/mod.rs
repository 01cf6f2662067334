//! The BBC micro:bit: nRF51822, Cortex-M0.

use crate::data::{Data, Emulator, Erase, Program, Programs, Region, Timer};

pub(crate) const BOARD: Data = Data {
    name: "microbit",
    emulator: Emulator::arm("microbit"),
    core: "Cortex-M0",
    target: "thumbv6m-none-eabi",
    chip: "nRF51822_xxAA",
    chip_description: None,
    flash: Region {
        address: 0,
        len: 256 << 10,
    },
    ram: Region {
        address: 0x2000_0000,
        len: 16 << 10,
    },
    more: &[],
    // Factory information, and the user's.
    mapped: &[Region {
        address: 0x1000_0000,
        len: 0x2000,
    }],
    erase: Erase::Nrf51,
    breakpoints: 4,
    breakpoints_v2: false,
    fpu: false,
    programs: Some(Programs {
        which: &[
            Program::Trace,
            Program::Bench,
            Program::Layers,
            Program::Minimal,
        ],
        image: Region {
            address: 0x1_0000,
            len: 0x1_c000,
        },
        inputs: Region {
            address: 0x2_c000,
            len: 0x1_4000,
        },
        arena: 2432,
        traced: [8, 12],
        measured: [4, 6],
        roomy: [4, 6],
        whole: false,
        timer: Timer::Nrf51(0x4000_8000),
        timer_hz: 16_000_000,
        uart: None,
    }),
};
