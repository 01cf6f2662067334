//! The first timer of the nRF51, at 16 MHz.

use core::sync::atomic::{Ordering, compiler_fence};

use tinyspike_firmware::bench::Meter;

use super::Stack;

const START: *mut u32 = 0x4000_8000 as *mut u32;
const CAPTURE: *mut u32 = 0x4000_8040 as *mut u32;
const BITMODE: *mut u32 = 0x4000_8508 as *mut u32;
const PRESCALER: *mut u32 = 0x4000_8510 as *mut u32;
const CAPTURED: *mut u32 = 0x4000_8540 as *mut u32;

const BITS_32: u32 = 3;

/// The first timer, at 16 MHz, and the stack.
pub(crate) struct Timer {
    stack: Stack,
}

impl Timer {
    pub(crate) fn start() -> Self {
        // SAFETY: the chip has this register at this address, and only this type uses it.
        unsafe { BITMODE.write_volatile(BITS_32) };
        // SAFETY: as above.
        unsafe { PRESCALER.write_volatile(0) };
        // SAFETY: as above.
        unsafe { START.write_volatile(1) };
        Self {
            stack: Stack::new(),
        }
    }
}

impl Meter for Timer {
    #[inline(never)]
    fn ticks(&self) -> u32 {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as in `start`.
        unsafe { CAPTURE.write_volatile(1) };
        // SAFETY: as in `start`.
        let ticks = unsafe { CAPTURED.read_volatile() };
        compiler_fence(Ordering::SeqCst);
        ticks
    }

    fn paint(&mut self) {
        self.stack.paint();
    }

    fn depth(&self) -> u32 {
        self.stack.depth()
    }
}
