//! Rectified neurons: V += max(J, 0) - slope · max(-J, 0).

use serde::{Deserialize, Serialize};

use crate::image::reader::Reader;

/// Neurons that integrate a rectified current; n = V / θ, rounded towards zero and clamped to ± max_count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rectified {
    /// The slope below zero, in parts of 2^16.
    pub negative_slope: u16,
}

impl Rectified {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            negative_slope: reader.u16(),
        }
    }
}
