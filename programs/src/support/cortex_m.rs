//! The core that programs run on: a Cortex-M.

pub(crate) use cortex_m::asm::wfi;
use cortex_m::register::msp;
pub(crate) use cortex_m_rt::entry;
use cortex_m_rt::{ExceptionFrame, exception};
pub(crate) use cortex_m_semihosting::{debug, hio};

use super::{exit, refuse};

/// The stack pointer.
#[inline(always)]
pub(crate) fn stack_pointer() -> u32 {
    msp::read()
}

/// The address behind all variables.
pub(crate) fn variables_end() -> u32 {
    cortex_m_rt::heap_start() as u32
}

/// The core's count of cycles: boards with a Cortex-M have timers instead.
pub(crate) fn cycles() -> u64 {
    0
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    refuse(format_args!("hard fault at {:#010x}", frame.pc()));
    exit(debug::EXIT_FAILURE)
}
