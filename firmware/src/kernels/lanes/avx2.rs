//! The loops of [`lanes`](super), compiled for processors with AVX2: 16 potentials of 16 bits at a time.

use tinyspike_shared::Event;
use tinyspike_shared::image::Convolution;
use tinyspike_shared::weights::Weights;

use super::Potential;

cpufeatures::new!(processor, "avx2");

/// Tells whether this processor has AVX2, and the system keeps its registers.
#[inline]
pub(super) fn is_here() -> bool {
    processor::get()
}

#[target_feature(enable = "avx2")]
pub(super) fn dense<P: Potential>(
    weights: Weights<'_>,
    outputs: usize,
    events: &[Event],
    shift: u8,
    post: &mut [P],
) {
    super::dense(weights, outputs, events, shift, post);
}

#[target_feature(enable = "avx2")]
pub(super) fn convolution<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    events: &[Event],
    post: &mut [P],
) {
    super::convolution(conv, weights, events, post);
}

#[target_feature(enable = "avx2")]
pub(super) fn drive_convolution<P: Potential>(
    conv: &Convolution,
    weights: Weights<'_>,
    input: &[u8],
    zero_point: u8,
    shift: u8,
    currents: &mut [P],
) {
    super::drive_convolution(conv, weights, input, zero_point, shift, currents);
}

#[target_feature(enable = "avx2")]
pub(super) fn drive_dense<P: Potential>(
    weights: Weights<'_>,
    outputs: usize,
    input: &[u8],
    zero_point: u8,
    sums: &mut [P],
) {
    super::drive_dense(weights, outputs, input, zero_point, sums);
}
