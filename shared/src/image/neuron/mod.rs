//! Kinds of neurons, each in a file: its description, its wire form, its checks and its step.
//!
//! A kind is a variant of [`Neuron`]. Its parameters that are too many for the description are *constants*:
//! words at the end of the ensemble's parameters. Sums and products of a step wrap, for the host has proven that
//! they never leave their words.

mod cuba_lif;
mod integrate_and_fire;
mod lif;
mod pool;
mod rectified;

use core::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::inbox::Passing;
use super::reader::Reader;
use crate::event::Events;

pub use cuba_lif::{Charge, CubaLif, Firing, MAX_EVENT_SHIFT, MAX_SPIKES, Reset, Traits};
use integrate_and_fire::IntegrateAndFire;
pub use lif::{LEAK_BITS, LEAK_PIECES, Lif, MAX_VOLTAGE_BITS, STEP};
pub use pool::{Pool, Windows};
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
    /// Max pooling.
    Pool(Pool),
    /// Current-based leaky neurons, which events reach directly.
    CubaLif(CubaLif),
}

/// Does the same with whichever kind.
macro_rules! of_kind {
    ($neuron:expr, $kind:ident => $do:expr) => {
        match $neuron {
            // Pools and current-based neurons have steps of their own, which are none of a kind's.
            Neuron::IntegrateAndFire | Neuron::Pool(_) | Neuron::CubaLif(_) => {
                let $kind = &IntegrateAndFire;
                $do
            }
            Neuron::Rectified($kind) => $do,
            Neuron::Lif($kind) => $do,
        }
    };
}

impl Neuron {
    /// A kind by its number in an image. Only kinds of exact networks have particulars.
    fn read_kind(number: u32, reader: &mut Reader<'_>) -> Self {
        match number {
            1 => Self::Rectified(Rectified::read(reader)),
            2 => Self::Lif(Lif::read(reader)),
            _ => Self::IntegrateAndFire,
        }
    }

    /// The number of kinds.
    const KINDS: u32 = 5;
    /// The number of pools among them.
    const POOL: u32 = 3;
    /// The number of current-based neurons among them.
    const CUBA_LIF: u32 = 4;
}

/// A kind of neurons.
trait Kind {
    /// Words of state for each neuron, of which the first is V.
    const WORDS: u32 = 1;
    /// Words of constants.
    const CONSTANTS: u32 = 0;

    /// Checks what the kind asks of itself and of its constants.
    fn validate(&self, constants: &[u8]) -> Result<(), Fault> {
        let _ = constants;
        Ok(())
    }

    /// The stored potential at a share of the threshold, in parts of 2^16.
    fn start(&self, threshold: i32, share: u16) -> u32;

    /// The potential that is stored.
    fn potential(&self, stored: u32) -> i32;

    /// The current to keep of neurons that nothing else reaches.
    fn settle(&self, current: i32) -> i32 {
        current
    }

    /// Keeps potentials that have no bound of their own within limits.
    fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>);

    /// Tells whether settled currents are added to V as they are.
    fn adds(&self) -> bool {
        false
    }

    /// Tells whether it fires as integrate-and-fire neurons do.
    fn fires_above(&self) -> bool {
        false
    }

    /// Adds a step's current.
    fn charge(&self, neurons: &mut Neurons<'_>, drive: Drive<'_>);

    /// Fires the neurons from `from` on, until all are done or `events` has no room for more, and returns the
    /// first neuron that is not done.
    fn fire(&self, neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize;
}

/// The neurons of an ensemble at work.
#[derive(Debug)]
pub struct Neurons<'a> {
    /// The words of their state: V of each, then what the kind has besides.
    pub state: &'a mut [u32],
    /// Number of neurons.
    pub count: usize,
    /// θ of each channel.
    pub threshold: &'a [i32],
    /// The most spikes that a neuron emits in a step.
    pub max_count: u8,
    /// The constants of the kind.
    pub constants: &'a [u32],
}

/// Currents that reach neurons in a step.
#[derive(Debug)]
pub struct Drive<'a> {
    /// The current of each neuron, or of each channel.
    pub currents: &'a [i32],
    /// Inbox that brings events.
    pub inbox: Passing<'a>,
}

impl Neuron {
    /// Words of state for each neuron, of which the first is V.
    #[must_use]
    pub fn words(&self) -> u32 {
        fn words<K: Kind>(_: &K) -> u32 {
            K::WORDS
        }
        if cfg!(feature = "exact") {
            of_kind!(self, kind => words(kind))
        } else {
            1
        }
    }

    /// Words of constants for so many channels.
    #[must_use]
    pub fn constants(&self, channels: u32) -> u32 {
        fn constants<K: Kind>(_: &K) -> u32 {
            K::CONSTANTS
        }
        match self {
            Self::Pool(_) if cfg!(feature = "max-pooling") => pool::CONSTANTS,
            Self::CubaLif(kind) if cfg!(feature = "current-based") => kind.constants(channels),
            _ if cfg!(feature = "exact") => of_kind!(self, kind => constants(kind)),
            _ => 0,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let kind = reader.variant(Self::KINDS);
        if kind == Self::POOL {
            reader.built(cfg!(feature = "max-pooling"));
            let places = reader.u32();
            return Self::Pool(Pool { places });
        }
        if kind == Self::CUBA_LIF {
            reader.built(cfg!(feature = "current-based"));
            return if cfg!(feature = "current-based") {
                Self::CubaLif(CubaLif::read(reader))
            } else {
                Self::IntegrateAndFire
            };
        }
        if kind > 0 && reader.exact() {
            Self::read_kind(kind, reader)
        } else {
            Self::IntegrateAndFire
        }
    }

    /// Checks what the kind asks of itself and of its constants.
    pub(super) fn validate(&self, constants: &[u8]) -> Result<(), Fault> {
        if cfg!(feature = "exact") {
            of_kind!(self, kind => kind.validate(constants))
        } else {
            Ok(())
        }
    }

    /// Brings neurons to rest at shares of their thresholds, in parts of 2^16: one for each, or else `uniform`.
    pub fn rest(&self, neurons: Neurons<'_>, shares: &[u16], uniform: u16) {
        neurons.state.fill(0);
        let row = neurons.threshold.len().max(1);
        let mut shares = shares.iter();
        let potentials = neurons.state.get_mut(..neurons.count).unwrap_or(&mut []);
        for potentials in potentials.chunks_mut(row) {
            for (v, &threshold) in potentials.iter_mut().zip(neurons.threshold) {
                let share = shares.next().copied().unwrap_or(uniform);
                *v = of_kind!(self, kind => kind.start(threshold, share));
            }
        }
    }

    /// The potential that is stored: V - θ, or V of neurons that leak.
    #[must_use]
    pub fn potential(&self, stored: u32) -> i32 {
        of_kind!(self, kind => kind.potential(stored))
    }

    /// The current to keep of neurons that no events reach.
    #[must_use]
    pub fn settle(&self, current: i32) -> i32 {
        of_kind!(self, kind => kind.settle(current))
    }

    /// Tells whether settled currents are added to V as they are, so that kernels can do it.
    #[must_use]
    pub fn adds(&self) -> bool {
        of_kind!(self, kind => kind.adds())
    }

    /// Tells whether the neurons fire as integrate-and-fire neurons do, so that kernels can do it.
    #[must_use]
    pub fn fires_above(&self) -> bool {
        of_kind!(self, kind => kind.fires_above())
    }

    /// Adds a step's current.
    pub fn charge(&self, neurons: &mut Neurons<'_>, drive: Drive<'_>) {
        of_kind!(self, kind => kind.charge(neurons, drive));
    }

    /// Fires the neurons from `from` on, until all are done or `events` has no room for more, and returns the
    /// first neuron that is not done.
    pub fn fire(&self, neurons: &mut Neurons<'_>, from: usize, events: &mut Events) -> usize {
        of_kind!(self, kind => kind.fire(neurons, from, events))
    }

    /// Ends an update in a network without end: no potential leaves its limits.
    pub fn saturate(&self, state: &mut [u32], limits: RangeInclusive<i32>) {
        of_kind!(self, kind => kind.saturate(state, limits));
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
