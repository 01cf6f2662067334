//! Prints the spikes of every input that the host has put into the board's memory, over semihosting. An image or a
//! block that cannot be used makes it end with an error. With the feature `defmt` it logs to the board's UART.

#![no_std]
#![no_main]

#[path = "../support/mod.rs"]
mod support;

use support::{Own, PROGRAMS, entry};

static STATE: Own<u32, { PROGRAMS.arena }> = Own::new([0; PROGRAMS.arena]);

#[entry]
fn main() -> ! {
    support::trace::<{ PROGRAMS.traced[0] }, { PROGRAMS.traced[1] }>(STATE.take())
}

/// Sends defmt's frames through the board's CMSDK APB UART.
#[cfg(feature = "defmt")]
#[expect(
    unsafe_code,
    reason = "a UART's registers, and the logger that defmt asks for"
)]
mod log {
    use core::cell::RefCell;

    use critical_section::Mutex;
    use defmt::Encoder;

    use super::PROGRAMS;

    const UART: usize = PROGRAMS.uart.unwrap();
    const DATA: *mut u32 = UART as *mut u32;
    const STATE: *const u32 = (UART + 4) as *const u32;
    const CONTROL: *mut u32 = (UART + 8) as *mut u32;
    const DIVISOR: *mut u32 = (UART + 16) as *mut u32;

    const TRANSMIT_FULL: u32 = 1;
    const TRANSMIT_ENABLE: u32 = 1;
    /// 25 MHz / 217 is 115,200 baud.
    const BAUD_DIVISOR: u32 = 217;

    static ENCODER: Mutex<RefCell<Encoder>> = Mutex::new(RefCell::new(Encoder::new()));

    #[defmt::global_logger]
    struct Uart;

    // SAFETY: no interrupt is ever enabled, so between `acquire` and `release` nothing else can log.
    unsafe impl defmt::Logger for Uart {
        fn acquire() {
            critical_section::with(|cs| ENCODER.borrow_ref_mut(cs).start_frame(send));
        }

        unsafe fn flush() {}

        unsafe fn release() {
            critical_section::with(|cs| ENCODER.borrow_ref_mut(cs).end_frame(send));
        }

        unsafe fn write(bytes: &[u8]) {
            critical_section::with(|cs| ENCODER.borrow_ref_mut(cs).write(bytes, send));
        }
    }

    fn send(bytes: &[u8]) {
        // SAFETY: the board has this register at this address, and only this module uses it.
        unsafe { DIVISOR.write_volatile(BAUD_DIVISOR) };
        // SAFETY: as above.
        unsafe { CONTROL.write_volatile(TRANSMIT_ENABLE) };
        for &byte in bytes {
            // SAFETY: as above.
            while unsafe { STATE.read_volatile() } & TRANSMIT_FULL != 0 {}
            // SAFETY: as above.
            unsafe { DATA.write_volatile(u32::from(byte)) };
        }
    }
}
