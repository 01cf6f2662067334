//! The first CMSDK APB timer of Arm's MPS2 boards, which counts down at 25 MHz.

use core::sync::atomic::{Ordering, compiler_fence};

use tinyspike_firmware::bench::Meter;

use super::Stack;

const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;

const ENABLE: u32 = 1;

/// The timer and the stack.
pub(crate) struct Timer {
    stack: Stack,
}

impl Timer {
    pub(crate) fn start() -> Self {
        // SAFETY: the board has this register at this address, and only this module uses it.
        unsafe { RELOAD.write_volatile(u32::MAX) };
        // SAFETY: as above.
        unsafe { VALUE.write_volatile(u32::MAX) };
        // SAFETY: as above.
        unsafe { CONTROL.write_volatile(ENABLE) };
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
        let left = unsafe { VALUE.read_volatile() };
        compiler_fence(Ordering::SeqCst);
        u32::MAX - left
    }

    fn paint(&mut self) {
        self.stack.paint();
    }

    fn depth(&self) -> u32 {
        self.stack.depth()
    }
}
