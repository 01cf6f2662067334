//! A panic handler that calls a function which exists nowhere.
//!
//! The linker drops what no code refers to. If the compiler has removed every panic from a program, it
//! drops this handler too, and the program links; if one call of `panic!` is left, it cannot.

#![no_std]
#![deny(unsafe_code)]

/// Calls what does not exist.
#[cfg(feature = "bare")]
#[panic_handler]
#[expect(unsafe_code, reason = "an external function")]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: no program that contains this call exists, for there is nothing to link it with.
    unsafe extern "C" {
        safe fn tinyspike_panic_is_reachable() -> !;
    }
    tinyspike_panic_is_reachable()
}
