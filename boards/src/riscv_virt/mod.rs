//! QEMU's board `virt` with a 32-bit RISC-V core. All of its memory is RAM, of which the first part serves as flash.

use crate::data::{Data, Emulator, Erase, Program, Programs, Region, Timer};

pub(crate) const BOARD: Data = Data {
    name: "riscv-virt",
    emulator: Emulator {
        program: "qemu-system-riscv32",
        machine: "virt",
        // A program starts without firmware before it.
        options: &["-bios", "none"],
    },
    core: "RISC-V",
    target: "riscv32imac-unknown-none-elf",
    chip: "",
    chip_description: None,
    flash: Region {
        address: 0x8000_0000,
        len: 16 << 20,
    },
    ram: Region {
        address: 0x8100_0000,
        len: 16 << 20,
    },
    more: &[Region {
        address: 0x8200_0000,
        len: 16 << 20,
    }],
    mapped: &[],
    erase: Erase::Ram,
    breakpoints: 0,
    breakpoints_v2: false,
    fpu: false,
    programs: Some(Programs {
        which: &[
            Program::Trace,
            Program::Bench,
            Program::Layers,
            Program::Minimal,
            Program::Soak,
        ],
        image: Region {
            address: 0x8200_0000,
            len: 8 << 20,
        },
        inputs: Region {
            address: 0x8280_0000,
            len: 8 << 20,
        },
        arena: 512 << 10,
        traced: [16, 24],
        measured: [16, 24],
        roomy: [64, 96],
        whole: true,
        timer: Timer::Cycles,
        timer_hz: 62_500_000,
        uart: None,
    }),
};
