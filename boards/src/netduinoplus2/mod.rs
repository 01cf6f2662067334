//! Netduino Plus 2: STM32F405, Cortex-M4.

use crate::data::{Data, Emulator, Erase, Region};

pub(crate) const BOARD: Data = Data {
    name: "netduinoplus2",
    emulator: Emulator::arm("netduinoplus2"),
    core: "Cortex-M4",
    target: "thumbv7em-none-eabi",
    chip: "STM32F405RGTx",
    chip_description: None,
    flash: Region {
        address: 0x0800_0000,
        len: 1 << 20,
    },
    ram: Region {
        address: 0x2000_0000,
        len: 128 << 10,
    },
    more: &[],
    // RAM for the core alone, which reads as zeros in QEMU 7.2, and factory information.
    mapped: &[
        Region {
            address: 0x1000_0000,
            len: 0x1_0000,
        },
        Region {
            address: 0x1fff_0000,
            len: 0x1_0000,
        },
    ],
    erase: Erase::Never,
    breakpoints: 6,
    breakpoints_v2: false,
    fpu: true,
    programs: None,
};
