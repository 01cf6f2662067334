//! The same with an index that may be out of range. It must not link, or the check shows nothing.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::hint::black_box;

use tinyspike_no_panic as _;

#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the entry point has a fixed name")]
extern "C" fn _start() -> ! {
    let table: [u8; 4] = black_box([0; 4]);
    let index: usize = black_box(0);
    black_box(table[index]);
    loop {}
}
