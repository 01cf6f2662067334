//! Kernels for RISC-V with multiplication, in whatever 32-bit form: RV32IM, IMC, IMAC, IMAFC.
//!
//! Sums and layouts are those of [`Swar`](super::Swar): two 16-bit sums share a word. So are the callers of the
//! assembly in Rust, except that of scatters: with 31 registers, all events of a place are added to sums that stay in
//! registers.

pub(super) mod family;
#[cfg(tinyspike_kernels = "rv32")]
mod scatter;

#[cfg(tinyspike_kernels = "rv32")]
mod kernels;

#[cfg(tinyspike_kernels = "rv32")]
pub use kernels::Rv32;
