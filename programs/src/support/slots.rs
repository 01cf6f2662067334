//! Slots and a journal in the board's memory.

use core::convert::Infallible;
use core::ops::Range;

use tinyspike_shared::slots::Flash;

/// Memory that serves as flash.
pub(crate) struct Ram;

/// The bytes at some addresses of the slots and the journal.
pub(crate) fn bytes(addresses: &Range<u32>) -> &'static [u8] {
    let len = addresses.end.saturating_sub(addresses.start) as usize;
    // SAFETY: the addresses are those of the layout, which is memory that the linker script leaves alone. What runs is
    // never written, and of what is written no slice is kept.
    unsafe { core::slice::from_raw_parts(addresses.start as *const u8, len) }
}

impl Flash for Ram {
    type Error = Infallible;

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), Infallible> {
        for (at, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: the journal and its layout ask for addresses of the slots and the journal alone.
            *byte = unsafe { (address as *const u8).add(at).read_volatile() };
        }
        Ok(())
    }

    fn erase(&mut self, addresses: Range<u32>) -> Result<(), Infallible> {
        for address in addresses {
            // SAFETY: as above; what runs is never erased.
            unsafe { (address as *mut u8).write_volatile(0xff) };
        }
        Ok(())
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Infallible> {
        for (at, byte) in bytes.iter().enumerate() {
            // SAFETY: as above; what runs is never written.
            unsafe { (address as *mut u8).add(at).write_volatile(*byte) };
        }
        Ok(())
    }
}
