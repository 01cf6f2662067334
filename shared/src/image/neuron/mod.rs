//! Kinds of neurons, each with its description, its wire form and its checks in a file.
//!
//! A kind is a variant of [`Neuron`]. Its parameters that are too many for the description are *constants*:
//! words at the end of the ensemble's parameters.

mod lif;
mod rectified;

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::reader::Reader;

pub use lif::{LEAK_BITS, LEAK_PIECES, Lif, MAX_VOLTAGE_BITS, STEP};
pub use rectified::Rectified;

/// The neurons of an ensemble. J is their current in a step, V their potential, θ the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Neuron {
    /// V += J; n = min(floor(V / θ), max_count) if V ≥ θ, else 0; V -= n θ.
    #[default]
    IntegrateAndFire,
    /// The same with a current that a rectifier has passed.
    Rectified(Rectified),
    /// Leaky integrate-and-fire neurons.
    Lif(Lif),
}

impl Neuron {
    /// Words of state for each neuron, of which the first is V.
    #[must_use]
    pub const fn words(&self) -> u32 {
        match self {
            Self::Lif(_) if cfg!(feature = "exact") => lif::WORDS,
            _ => 1,
        }
    }

    /// Words of constants.
    #[must_use]
    pub const fn constants(&self) -> u32 {
        match self {
            Self::Lif(_) if cfg!(feature = "exact") => lif::CONSTANTS,
            _ => 0,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        match reader.variant(3) {
            0 => Self::IntegrateAndFire,
            kind if reader.exact() => match kind {
                1 => Self::Rectified(Rectified::read(reader)),
                _ => Self::Lif(Lif::read(reader)),
            },
            _ => Self::default(),
        }
    }

    /// Checks what the kind asks of itself and of its constants.
    pub(super) fn validate(&self, constants: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Lif(lif) if cfg!(feature = "exact") => lif.validate(constants),
            _ => Ok(()),
        }
    }
}

/// V of each neuron at the start of an inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Initial {
    /// 0.
    Zero,
    /// Half the threshold, rounded down.
    #[default]
    Half,
    /// A share of the threshold for each neuron, rounded down: `u16` in parts of 2^16, among the ensemble's
    /// parameters.
    Each,
}

impl Initial {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        match reader.variant(3) {
            0 => Self::Zero,
            1 => Self::Half,
            _ => Self::Each,
        }
    }
}
