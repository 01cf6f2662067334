//! The board's CMSDK APB UART, as a byte stream.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::PROGRAMS;

const UART: usize = PROGRAMS.uart.unwrap();
const DATA: *mut u32 = UART as *mut u32;
const STATE: *const u32 = (UART + 4) as *const u32;
const CONTROL: *mut u32 = (UART + 8) as *mut u32;
const DIVISOR: *mut u32 = (UART + 16) as *mut u32;

const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
/// Transmitter and receiver are on.
const ENABLE: u32 = 3;
/// 25 MHz / 217 is 115,200 baud.
const BAUD_DIVISOR: u32 = 217;

/// The UART, opened.
pub(crate) struct Uart(());

impl Uart {
    pub(crate) fn open() -> Self {
        // SAFETY: the board has this register at this address, and only this module uses it.
        unsafe { DIVISOR.write_volatile(BAUD_DIVISOR) };
        // SAFETY: as above.
        unsafe { CONTROL.write_volatile(ENABLE) };
        Self(())
    }

    fn state(&self) -> u32 {
        // SAFETY: as above.
        unsafe { STATE.read_volatile() }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.state() & RECEIVE_FULL != 0)
    }
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for slot in bytes {
            // The first byte is waited for.
            while self.state() & RECEIVE_FULL == 0 {
                if count > 0 {
                    return Ok(count);
                }
            }
            // SAFETY: as above.
            *slot = unsafe { DATA.read_volatile() } as u8;
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for &byte in bytes {
            while self.state() & TRANSMIT_FULL != 0 {}
            // SAFETY: as above.
            unsafe { DATA.write_volatile(u32::from(byte)) };
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
