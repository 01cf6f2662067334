//! The core that programs run on: RISC-V.

use core::arch::asm;

pub(crate) use riscv::asm::wfi;
use riscv::register::{mcause, mcycle, mepc};
pub(crate) use riscv_rt::entry;
pub(crate) use riscv_semihosting::{debug, hio};

use super::{exit, refuse};

/// The stack pointer.
#[inline(always)]
pub(crate) fn stack_pointer() -> u32 {
    let pointer;
    // SAFETY: it reads a register.
    unsafe { asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// The address behind all variables.
pub(crate) fn variables_end() -> u32 {
    riscv_rt::heap_start() as u32
}

/// The core's count of cycles.
pub(crate) fn cycles() -> u64 {
    mcycle::read64()
}

// SAFETY: riscv-rt calls what has this name for an exception, and nothing comes after it.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    let (cause, at) = (mcause::read().code(), mepc::read());
    refuse(format_args!("exception {cause} at {at:#010x}"));
    exit(debug::EXIT_FAILURE)
}
