//! Depth of the stack.

use core::ptr;

use super::processor;

/// The free part of the stack, as it was when it was last painted.
pub(crate) struct Stack {
    /// Ends of the painted part.
    low: *mut u32,
    high: *mut u32,
    /// The stack pointer then.
    top: u32,
}

/// Word that no program is likely to write.
const PAINT: u32 = 0xc5a3_5ca7;
/// The most bytes that are painted.
const PAINTED: u32 = 16 << 10;
/// Bytes below the stack pointer that are not painted, for the painting code's own frames.
const OWN: u32 = 128;

impl Stack {
    pub(crate) const fn new() -> Self {
        Self {
            low: ptr::null_mut(),
            high: ptr::null_mut(),
            top: 0,
        }
    }

    #[inline(never)]
    pub(crate) fn paint(&mut self) {
        self.top = processor::stack_pointer();
        let bottom = processor::variables_end();
        let high = self.top.saturating_sub(OWN).max(bottom);
        let low = high.saturating_sub(PAINTED).max(bottom);
        (self.low, self.high) = (low as *mut u32, high as *mut u32);
        let mut at = self.low;
        while at < self.high {
            // SAFETY: these words lie above all variables and below the stack pointer, further than this
            // code's own frames reach: nothing refers to them.
            unsafe { at.write_volatile(PAINT) };
            at = at.wrapping_add(1);
        }
    }

    /// Growth of the stack since it was painted, in bytes.
    #[inline(never)]
    pub(crate) fn depth(&self) -> u32 {
        let mut at = self.low;
        // SAFETY: the word is RAM that `paint` has written.
        while at < self.high && unsafe { at.read_volatile() } == PAINT {
            at = at.wrapping_add(1);
        }
        self.top - at as u32
    }
}
