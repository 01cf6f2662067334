//! Kernels for Cortex-M cores with the DSP extension: M4, M7, M33.
//!
//! Two 16-bit sums share a word, so that a count times two weights, added to two sums, is one
//! multiply-accumulate. The inner loops are in assembly, because what they cost is decided by which
//! fourteen registers hold what; the layouts of weights are made for them.

#[cfg(tinyspike_kernels = "dsp")]
mod dense;
pub(super) mod family;
#[cfg(tinyspike_kernels = "dsp")]
mod input;
#[cfg(tinyspike_kernels = "dsp")]
mod kernels;
#[cfg(tinyspike_kernels = "dsp")]
mod neurons;
#[cfg(tinyspike_kernels = "dsp")]
mod scatter;
#[cfg(all(tinyspike_kernels = "dsp", feature = "dense"))]
mod tiles;

#[cfg(tinyspike_kernels = "dsp")]
pub use kernels::Dsp;
