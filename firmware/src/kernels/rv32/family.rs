//! The family for RISC-V.

use super::super::family::Family;
use super::super::swar::family::FAMILY as SWAR;

/// RISC-V cores with multiplication, whose kernels read what those of [`SWAR`] read.
pub const FAMILY: Family = Family {
    name: "rv32",
    cores: "RISC-V with multiplication, 32 bits: ESP32-C3 and C6, CH32V, Hazard3",
    targets: include_str!("targets"),
    layouts: SWAR.layouts,
    reads: SWAR.reads,
    leaves: None,
    cost: SWAR.cost,
    cycles: SWAR.cycles,
};
