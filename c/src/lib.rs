//! The tinyspike engine for C and C++.
//!
//! `include/tinyspike.h` is the interface, with its contract. With the feature `calls` this crate defines its functions; with `static`
//! it can be built as a static library, which `tinyspike export` does. The parts of the engine are features of
//! `tinyspike-firmware`. The variables `TINYSPIKE_ENSEMBLES` and `TINYSPIKE_CONNECTIONS` set the largest network at compile time.
//!
//! Without features it has the header's text and the sizes, for programs that write C projects.

#![no_std]
#![deny(unsafe_code)]
#![deny(clippy::float_arithmetic)]

#[cfg(feature = "calls")]
mod callback;
#[cfg(feature = "calls")]
#[expect(
    unsafe_code,
    reason = "the calls of C, whose pointers are checked as far as they can be"
)]
pub mod calls;
#[cfg(all(feature = "static", target_arch = "arm", target_os = "none"))]
#[expect(unsafe_code, reason = "assembly under the names of the run-time ABI")]
mod copy;
#[cfg(feature = "calls")]
#[expect(unsafe_code, reason = "memory that C lends")]
mod memory;
pub mod size;
#[cfg(feature = "calls")]
mod state;
#[cfg(feature = "calls")]
pub mod status;

/// The interface, as C and C++ include it.
pub const HEADER: &str = include_str!("../include/tinyspike.h");

/// Nothing panics, which `cargo xtask no-panic` shows; but every program must say what a panic does.
#[cfg(all(feature = "static", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
