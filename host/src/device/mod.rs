//! Real boards: which chips there are, where firmware and image go on one, how they get there, and what the
//! device then says and does.
//!
//! The chips and their flash algorithms are probe-rs's, and so are the probes; no type of probe-rs
//! leaves this module. Everything that can be known without a chip is decided first: [`MemoryMap`] says
//! what flash and RAM a chip has, [`Layout`] where things go, [`Plan`] what would be written and whether
//! it fits. [`flash()`] writes it; [`talk`] leads to a [`Session`] with what runs then, which [`run`] holds to the
//! emulator.

mod attach;
pub mod bench;
pub mod boards;
mod boot;
mod chip;
mod chips;
pub mod connection;
pub mod estimate;
mod families;
mod firmware;
mod flash;
mod flash_file;
mod likeness;
mod log;
pub mod memory;
mod on_board;
mod plan;
mod probe;
mod processor;
mod region;
pub mod run;
pub mod serial;
pub mod session;
mod update;
mod watchdog;
mod write;

pub use attach::ConnectError;
pub use boards::{BOARDS, Board, UnknownBoard};
pub use boot::BootBlock;
pub use chip::{Chip, ChipError};
pub use chips::{Chips, Summary};
pub use connection::{Connection, TalkOptions, talk};
pub use families::Obstacle;
pub use firmware::{Firmware, FirmwareError, Origin, Segment, application};
pub use flash::{FlashOptions, Flashed, Trial, flash};
pub use flash_file::{FileError, Format, UF2_PAGE};
pub use log::{LogMessage, LogReader, LogTable};
pub use memory::{
    Layout, LayoutError, LayoutOptions, MemoryError, MemoryMap, Region, Second, Slots,
    firmware_bytes, firmware_variables,
};
pub use on_board::BoardError;
pub use plan::{Budget, Mode, Place, Plan, PlanError, PlanOptions};
pub use probe::{ALL, ProbeError, ProbeInfo, Selector, probes, selected};
pub use processor::{Architecture, Processor};
pub use session::{Identity, Session};
pub use watchdog::{Stall, on_stall};
pub use write::{FlashError, Phase, Progress};
