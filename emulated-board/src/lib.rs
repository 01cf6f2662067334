//! A microcontroller board that QEMU emulates, behind a debug probe: any program that uses probe-rs
//! 0.32 flashes, runs and debugs it as it does a real one, without a line of code for it.
//!
//! ```no_run
//! use emulated_board::{Board, Machine, Options};
//!
//! let board = Board::start(Machine::Mps2An386, &Options::default())?;
//! // For probe-rs: `--probe 20b7:9db1:tcp:127.0.0.1:PORT --chip MPS2_AN386`.
//! println!("--probe {} --chip {}", board.probe_selector(), board.machine().chip());
//! board.serve()?;
//! # Ok::<(), emulated_board::Error>(())
//! ```
//!
//! | machine | core | chip to probe-rs | flash |
//! |---|---|---|---|
//! | `microbit` | Cortex-M0 | `nRF51822_xxAA` | 256 KiB, by probe-rs's own algorithm |
//! | `mps2-an386` | Cortex-M4 | `MPS2_AN386` | 4 MiB of RAM that an algorithm makes flash of |
//! | `mps2-an500` | Cortex-M7 | `MPS2_AN500` | the same |
//! | `mps2-an505` | Cortex-M33 | `MPS2_AN505` | the same |
//! | `netduinoplus2` | Cortex-M4 | `STM32F405RGTx` | none that can be written: verification fails |
//!
//! probe-rs's database does not have the MPS2 boards: programs add [`Machine::chip_description`] to their registry.
//! QEMU's Arm system emulator must be installed; the crate is tested with 7.2.
//!
//! # How it works
//!
//! ```text
//! probe-rs ── TCP ── glasgow ── swd ── cortex_m ──┬── gdb stub ── run control, registers
//!            COBS    applet     ports             └── qtest ───── memory, also while the core runs
//! ```
//!
//! `glasgow` speaks the protocol of the Glasgow Interface Explorer's applet for probe-rs, which can
//! be reached over TCP. `swd` is the debug port and access port, `cortex_m` the debug registers (DHCSR,
//! DCRSR, DCRDR, DEMCR, DFSR, AIRCR), `breakpoints` the breakpoint unit. A run of transfers goes to
//! QEMU as one request.
//!
//! # As on a real board
//!
//! - The board has a life of its own. Debuggers come and go, one at a time (another waits); flash,
//!   RAM and a running program stay.
//! - A core without a program is locked up, can be halted, reset and flashed.
//! - Breakpoints, steps, vector catches, and RTT work while the core runs or sleeps.
//! - An address where nothing is answers FAULT.
//!
//! # Not as on a real board
//!
//! - QEMU aborts if a program locks its core up, as a fault in the HardFault handler does. The
//!   probe is gone then, and [`Board::serve`] returns QEMU's message.
//! - There are no watchpoints and no cycle counter (DWT), no trace, and no ROM table. With
//!   [`Options::icount_shift`] the board's timers count instructions exactly, between two reads by
//!   the program itself; a debugger's reads also see the time that stopping took.
//! - Only `BKPT #0` and `BKPT #0xab` halt the core, and only those in flash, or in memory that the
//!   debugger wrote.

#![forbid(unsafe_code)]

mod board;
mod breakpoints;
mod cortex_m;
mod error;
mod glasgow;
mod qemu;
mod swd;

pub use board::{Board, Fault, Options};
pub use error::Error;
pub use tinyspike_boards::{Board as Machine, UnknownBoard as UnknownMachine};
