//! Memory that the host has filled.

use tinyspike_boards::Region;

/// Bytes that the host has put into a region of the board's memory.
pub(crate) fn memory(region: Region) -> &'static [u8] {
    // SAFETY: the region is memory that the linker script leaves alone, so nothing else refers to it, and
    // nothing writes to it after reset.
    unsafe { core::slice::from_raw_parts(region.address as *const u8, region.len as usize) }
}
