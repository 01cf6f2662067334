//! Arm's MPS2 with the image AN500: Cortex-M7. Program and main memory are ZBT SRAMs of 4 MiB.

use crate::data::{Data, Emulator, Erase, Program, Programs, Region, Timer};

pub(crate) const BOARD: Data = Data {
    name: "mps2-an500",
    emulator: Emulator::arm("mps2-an500"),
    core: "Cortex-M7",
    target: "thumbv7em-none-eabi",
    chip: "MPS2_AN500",
    chip_description: Some(include_str!("chip.yaml")),
    flash: Region {
        address: 0,
        len: 4 << 20,
    },
    ram: Region {
        address: 0x2000_0000,
        len: 4 << 20,
    },
    // PSRAM.
    more: &[Region {
        address: 0x6000_0000,
        len: 16 << 20,
    }],
    mapped: &[],
    erase: Erase::Ram,
    breakpoints: 8,
    breakpoints_v2: true,
    fpu: true,
    programs: Some(Programs {
        which: &[Program::Bench, Program::Layers],
        image: Region {
            address: 0x6000_0000,
            len: 8 << 20,
        },
        inputs: Region {
            address: 0x6080_0000,
            len: 8 << 20,
        },
        arena: 512 << 10,
        traced: [16, 24],
        measured: [16, 24],
        roomy: [64, 96],
        whole: true,
        timer: Timer::Cmsdk(0x4000_0000),
        timer_hz: 25_000_000,
        uart: Some(0x4000_4000),
    }),
};
