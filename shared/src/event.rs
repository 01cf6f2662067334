//! Events: what travels over a connection in one step.

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// One neuron (or one input place) that has something to say in this step.
///
/// A spiking neuron emits `value` = floor(V / threshold) spikes at once, as Nengo's
/// `SpikingRectifiedLinear` does; an input place carries its quantized value less the zero point.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Event {
    /// The neuron's index in its ensemble, or the place in the input.
    pub source: u16,
    /// Number of spikes, or the input's value. Never 0.
    pub value: i16,
}

/// Events that are handed over at once.
pub const EVENTS: usize = 128;

/// A buffer of events on the stack.
pub type Events = Vec<Event, EVENTS>;
