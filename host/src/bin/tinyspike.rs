//! The command-line tool as a program of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;

use tinyspike::cli;

/// The system's memory. An allocation that fails ends the program with a paragraph, where the standard library would
/// abort it.
struct Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

#[expect(unsafe_code, reason = "memory is handed out as the trait wants it")]
// SAFETY: all calls are the system allocator's, whose promises these are. A null pointer is never returned, but that is allowed.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises what the system's allocator asks for.
        there(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        there(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; the memory is the system's, as all is.
        there(unsafe { System.realloc(place, layout, size) }, size)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; the memory is the system's, as all is.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Memory of so many bytes, if there is any.
fn there(place: *mut u8, bytes: usize) -> *mut u8 {
    if place.is_null() {
        cli::out_of_memory(bytes);
    }
    place
}

fn main() -> ExitCode {
    cli::main()
}
