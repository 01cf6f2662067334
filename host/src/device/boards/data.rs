//! The boards, each fact with the document that it is from. What no document was found for is left out.

use super::{Board, Clock, Current, File, Place, Runs};
use crate::device::region::Region;

const K: u32 = 1 << 10;

const fn clock(full_mhz: f64, reset_mhz: f64) -> Clock {
    Clock {
        full_mhz,
        reset_mhz: Some([reset_mhz, reset_mhz]),
    }
}

const fn application(probe_rs: &'static str, place: Option<Place>) -> Runs {
    Runs::Application { probe_rs, place }
}

/// Families of UF2, by Microsoft's list (`utils/uf2families.json` of microsoft/uf2).
mod family {
    pub(super) const RP2040: u32 = 0xe48b_ff56;
    /// Programs in the Arm core's secure state (RP2350 datasheet, section 5.5.3).
    pub(super) const RP2350_ARM_S: u32 = 0xe48b_ff59;
    pub(super) const NRF52840: u32 = 0xada5_2840;
}

const NRF52840: &str = "nRF52840_xxAA";

/// Every board, makers side by side.
pub const BOARDS: [Board; 13] = [
    Board {
        name: "pico",
        title: "Raspberry Pi Pico",
        chip: "RP2040",
        core: "Cortex-M0+",
        // The boot ROM starts a program from the ring oscillator, 6.5 MHz nominally.
        clock: Clock {
            full_mhz: 133.0,
            reset_mhz: Some([1.8, 12.0]),
        },
        flash: 2048 * K,
        ram: 264 * K,
        runs: application("RP2040", Some(Place::External(2048 * K))),
        flashing: "UF2 onto the drive that it shows with BOOTSEL held; or a probe on its SWD pads",
        file: Some(File::Uf2 {
            family: family::RP2040,
        }),
        current: None,
        source: "Raspberry Pi Pico datasheet, introduction; RP2040 datasheet, page 238 (ring oscillator)",
    },
    Board {
        name: "pico-2",
        title: "Raspberry Pi Pico 2",
        chip: "RP2350",
        core: "Cortex-M33",
        // The ring oscillator: 11 MHz nominally, four times that from revision A3 of the chip on.
        clock: Clock {
            full_mhz: 150.0,
            reset_mhz: Some([4.6, 96.0]),
        },
        flash: 4096 * K,
        ram: 520 * K,
        runs: application("RP235x", Some(Place::External(4096 * K))),
        flashing: "UF2 onto the drive that it shows with BOOTSEL held; or a probe on its SWD pads",
        file: Some(File::Uf2 {
            family: family::RP2350_ARM_S,
        }),
        current: Some(Current {
            // 38.7 mW of all supplies at 3.3 V and 150 MHz, one core.
            ma_per_mhz: 38.7 / 3.3 / 150.0,
            volts: 3.3,
            source: "RP2350 datasheet, table 1446, page 1347: CoreMark on one core at 150 MHz, all supplies",
        }),
        source: "Raspberry Pi Pico 2 datasheet, introduction; RP2350 datasheet, section 8.3.1, page 561 (ring oscillator)",
    },
    Board {
        name: "microbit-v1",
        title: "BBC micro:bit v1",
        chip: "nRF51822",
        core: "Cortex-M0",
        clock: clock(16.0, 16.0),
        flash: 256 * K,
        ram: 16 * K,
        runs: application("nRF51822_xxAA", None),
        flashing: "over its own debug probe by USB; or hex onto the drive MICROBIT",
        file: Some(File::Hex),
        current: None,
        source: "tech.microbit.org, hardware, revision 1.5: application processor",
    },
    Board {
        name: "microbit-v2",
        title: "BBC micro:bit v2",
        chip: "nRF52833",
        core: "Cortex-M4",
        clock: clock(64.0, 64.0),
        flash: 512 * K,
        ram: 128 * K,
        runs: application("nRF52833_xxAA", None),
        flashing: "over its own debug probe by USB; or hex onto the drive MICROBIT",
        file: Some(File::Hex),
        current: None,
        source: "tech.microbit.org, hardware, revision 2: target microcontroller",
    },
    Board {
        name: "arduino-nano-33-ble",
        title: "Arduino Nano 33 BLE",
        chip: "nRF52840",
        core: "Cortex-M4",
        clock: clock(64.0, 64.0),
        flash: 1024 * K,
        ram: 256 * K,
        // Zephyr, boards/arduino/nano_33_ble: the boot loader has the first 64 KiB.
        runs: application(
            NRF52840,
            Some(Place::BehindLoader(Region::new(64 * K, 1024 * K))),
        ),
        flashing: "bin by `bossac`, after two presses of the reset button; or a probe on its SWD pads",
        file: Some(File::Bin),
        current: None,
        source: "docs.arduino.cc, Nano 33 BLE datasheet, features; Zephyr, boards/arduino/nano_33_ble",
    },
    Board {
        name: "xiao-nrf52840",
        title: "Seeed Studio XIAO nRF52840",
        chip: "nRF52840",
        core: "Cortex-M4",
        clock: clock(64.0, 64.0),
        flash: 1024 * K,
        ram: 256 * K,
        // Zephyr, dts/vendor/nordic/nrf52840_partition_uf2_sdv7.dtsi: before it lies Nordic's SoftDevice, behind it a
        // file system and the boot loader.
        runs: application(
            NRF52840,
            Some(Place::BehindLoader(Region::new(0x2_7000, 0xe_c000))),
        ),
        flashing: "UF2 onto the drive that it shows after two presses of the reset button; or a probe on its SWD pads",
        file: Some(File::Uf2 {
            family: family::NRF52840,
        }),
        current: None,
        source: "wiki.seeedstudio.com, XIAO_BLE, specifications; Zephyr, boards/seeed/xiao_ble",
    },
    Board {
        name: "nrf52840-dk",
        title: "nRF52840-DK",
        chip: "nRF52840",
        core: "Cortex-M4",
        clock: clock(64.0, 64.0),
        flash: 1024 * K,
        ram: 256 * K,
        runs: application(NRF52840, None),
        flashing: "over its own debug probe by USB; or hex onto the drive JLINK",
        file: Some(File::Hex),
        current: None,
        source: "docs.zephyrproject.org, boards/nordic/nrf52840dk; nRF52840 product specification, memory",
    },
    Board {
        name: "nrf5340-dk",
        title: "nRF5340-DK",
        chip: "nRF5340",
        core: "Cortex-M33",
        // The application core's clock is divided by two after a reset.
        clock: clock(128.0, 64.0),
        flash: 1024 * K,
        ram: 512 * K,
        runs: application("nRF5340_xxAA", None),
        flashing: "over its own debug probe by USB; or hex onto the drive JLINK",
        file: Some(File::Hex),
        current: None,
        source: "docs.zephyrproject.org, boards/nordic/nrf5340dk; nRF5340 product specification, clock control",
    },
    Board {
        name: "nucleo-f411re",
        title: "Nucleo-F411RE",
        chip: "STM32F411RE",
        core: "Cortex-M4",
        clock: clock(100.0, 16.0),
        flash: 512 * K,
        ram: 128 * K,
        runs: application("STM32F411RE", None),
        flashing: "over its own debug probe by USB; or bin onto the drive NODE_F411RE",
        file: Some(File::Bin),
        current: None,
        source: "docs.zephyrproject.org, boards/st/nucleo_f411re; RM0383, clocks",
    },
    Board {
        name: "nucleo-g071rb",
        title: "Nucleo-G071RB",
        chip: "STM32G071RB",
        core: "Cortex-M0+",
        clock: clock(64.0, 16.0),
        flash: 128 * K,
        ram: 36 * K,
        runs: application("STM32G071RBTx", None),
        flashing: "over its own debug probe by USB; or bin onto the drive NODE_G071RB",
        file: Some(File::Bin),
        current: None,
        source: "doc.riot-os.org, boards/nucleo-g071rb; RM0444, clocks",
    },
    Board {
        name: "nucleo-u575zi-q",
        title: "Nucleo-U575ZI-Q",
        chip: "STM32U575ZI",
        core: "Cortex-M33",
        clock: clock(160.0, 4.0),
        flash: 2048 * K,
        ram: 786 * K,
        runs: application("STM32U575ZITxQ", None),
        flashing: "over its own debug probe by USB; or bin onto the drive NOD_U575ZI",
        file: Some(File::Bin),
        current: Some(Current {
            ma_per_mhz: 0.0195,
            volts: 3.3,
            source: "STM32U575 datasheet, features on page 1: down to 19.5 uA/MHz in run mode, with the switching regulator",
        }),
        source: "docs.zephyrproject.org, boards/st/nucleo_u575zi_q; RM0456, clocks",
    },
    Board {
        name: "esp32-c3-devkit",
        title: "ESP32-C3-DevKitM-1",
        chip: "ESP32-C3",
        core: "RISC-V RV32IMC",
        clock: Clock {
            full_mhz: 160.0,
            reset_mhz: None,
        },
        flash: 4096 * K,
        ram: 400 * K,
        runs: Runs::Library("rv32imc"),
        flashing: "by ESP-IDF over USB: `tinyspike export --esp-idf DIR` writes a component with an example",
        file: None,
        current: None,
        source: "ESP32-C3 series datasheet, features; ESP32-C3-DevKitM-1 user guide",
    },
    Board {
        name: "ch32v307v-evt",
        title: "CH32V307V-EVT",
        chip: "CH32V307VCT6",
        core: "RISC-V RV32IMAFC",
        clock: Clock {
            full_mhz: 144.0,
            reset_mhz: None,
        },
        flash: 256 * K,
        ram: 64 * K,
        runs: Runs::Library("rv32imafc"),
        flashing: "by WCH's tools over WCH-Link: `tinyspike export --c DIR --core rv32imafc` writes a project in C",
        file: None,
        current: None,
        source: "CH32V307 datasheet, features",
    },
];
