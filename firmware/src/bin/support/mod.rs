//! What the firmware of emulated boards shares: the host's console, memory that the host has filled,
//! the stack's depth.

use core::fmt::{self, Write};
use core::ptr;

use cortex_m::register::msp;
use cortex_m_semihosting::debug;
use cortex_m_semihosting::hio::{self, HostStream};
use heapless::String;
use tinyspike_firmware::boards::Region;

/// The reason has been printed.
pub(crate) struct Refused;

/// Prints why nothing can be run.
pub(crate) fn refuse(reason: impl fmt::Display) -> Refused {
    if let Ok(mut stderr) = hio::hstderr() {
        // Where this fails, the exit code still tells.
        let _ = writeln!(stderr, "error: {reason}");
    }
    Refused
}

/// Ends the emulator.
pub(crate) fn exit(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    loop {
        cortex_m::asm::wfi();
    }
}

/// What the host has put into a region of the board's memory.
pub(crate) fn memory(region: Region) -> &'static [u8] {
    // SAFETY: the region is memory that the linker script leaves alone, so nothing else refers to it, and
    // nothing writes to it after reset.
    unsafe { core::slice::from_raw_parts(region.address as *const u8, region.len as usize) }
}

/// The host's console. It is handed whole blocks, since each call stops the core.
pub(crate) struct Console {
    stream: HostStream,
    block: String<1024>,
}

impl Console {
    pub(crate) fn open() -> Result<Self, fmt::Error> {
        Ok(Self {
            stream: hio::hstdout().map_err(|()| fmt::Error)?,
            block: String::new(),
        })
    }

    pub(crate) fn flush(&mut self) -> fmt::Result {
        let written = self.stream.write_str(&self.block);
        self.block.clear();
        written
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.block.push_str(text).is_ok() {
            return Ok(());
        }
        self.flush()?;
        match self.block.push_str(text) {
            Ok(()) => Ok(()),
            // It is longer than a block.
            Err(_) => self.stream.write_str(text),
        }
    }
}

/// The free part of the stack, as it was when it was last painted.
pub(crate) struct Stack {
    /// Where the painted part starts and ends.
    low: *mut u32,
    high: *mut u32,
    /// The stack pointer then.
    top: u32,
}

/// What no program is likely to write.
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
        self.top = msp::read();
        let bottom = cortex_m_rt::heap_start() as u32;
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

    /// How far the stack has grown since it was painted, in bytes.
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
