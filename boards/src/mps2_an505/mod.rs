//! Arm's MPS2 with the image AN505: Cortex-M33 with TrustZone, whose programs stay in the secure state that it
//! starts in. Program and main memory are SSRAMs of 4 MiB, at their secure addresses.

use crate::data::{Data, Emulator, Erase, Program, Programs, Region, Timer};

pub(crate) const BOARD: Data = Data {
    name: "mps2-an505",
    emulator: Emulator::arm("mps2-an505"),
    core: "Cortex-M33",
    target: "thumbv8m.main-none-eabi",
    chip: "MPS2_AN505",
    chip_description: Some(include_str!("chip.yaml")),
    flash: Region {
        address: 0x1000_0000,
        len: 4 << 20,
    },
    ram: Region {
        address: 0x3800_0000,
        len: 4 << 20,
    },
    // PSRAM, which is in neither state.
    more: &[Region {
        address: 0x8000_0000,
        len: 16 << 20,
    }],
    mapped: &[],
    erase: Erase::Ram,
    breakpoints: 8,
    breakpoints_v2: true,
    fpu: true,
    programs: Some(Programs {
        which: &[Program::Trace, Program::Soak],
        image: Region {
            address: 0x8000_0000,
            len: 8 << 20,
        },
        inputs: Region {
            address: 0x8080_0000,
            len: 8 << 20,
        },
        arena: 512 << 10,
        traced: [16, 24],
        measured: [16, 24],
        roomy: [64, 96],
        whole: true,
        timer: Timer::Cmsdk(0x5000_0000),
        timer_hz: 20_000_000,
        uart: Some(0x5020_0000),
    }),
};
