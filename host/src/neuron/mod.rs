//! Neuron kinds: the units and bounds of each, one file for each kind.
//!
//! A kind that charges a current as a whole, and has no recurrence, is one file here and a line in [`KINDS`].

pub(crate) mod cuba_lif;
pub(crate) mod integrate_and_fire;
mod lif;
pub(crate) mod pool;
mod rectified;

use tinyspike_shared::image::Neuron;

use crate::graph::Population;
use crate::integers::Initial;
use crate::network::NeuronType;
use crate::quantize::current::Bounds;
use crate::quantize::error::QuantizeError;
use crate::quantize::fan_in::Events;
use crate::quantize::options::QuantizeOptions;

/// Neurons that images have as they are: their types, and what brings them to integers.
const KINDS: [(&str, ToIntegers); 2] = [
    (rectified::TYPES, rectified::charged),
    ("LIF", lif::charged),
];

/// Brings neurons to integers, if they are of a kind.
type ToIntegers = fn(&NeuronType, &str, &QuantizeOptions) -> Result<Option<Charged>, QuantizeError>;

/// Parts of 2^16.
const PARTS: f64 = 65_536.0;

/// Neurons that charge their current as a whole, once a step.
pub(crate) struct Charged {
    /// Factor on the current before it is counted, with a threshold of 1.
    pub(crate) factor: f64,
    /// Their events, as far as they are known without the bounds of their currents.
    pub(crate) events: Events,
    /// Particulars of the kind.
    pub(crate) kind: Box<dyn Kind>,
}

/// The bounds of one kind of neurons.
pub(crate) trait Kind {
    /// The largest magnitude that follows from the extremes of currents, with the threshold of each
    /// channel.
    fn largest(&self, bounds: &Bounds, thresholds: &[i64]) -> i64;

    /// The neurons as an image has them, once all magnitudes fit 32 bits; `Err` is a bound that does not.
    fn settle(&self, bounds: &Bounds, thresholds: &[i64]) -> Result<Settled, i64>;
}

/// Neurons as an image has them.
pub(crate) struct Settled {
    pub(crate) neuron: Neuron,
    pub(crate) constants: Vec<u32>,
    /// The most spikes in a step, and the most below zero.
    pub(crate) spikes: (i64, i64),
    /// The least and the largest V - threshold: at any time, without end after an update.
    pub(crate) potential: (i64, i64),
}

/// The neurons of a type, if images have them as they are.
///
/// # Errors
/// [`QuantizeError::Limit`], if a parameter is more than an image can hold.
pub(crate) fn charged(
    neuron_type: &NeuronType,
    layer: &str,
    options: &QuantizeOptions,
) -> Result<Option<Charged>, QuantizeError> {
    for (_, to_integers) in KINDS {
        if let Some(charged) = to_integers(neuron_type, layer, options)? {
            return Ok(Some(charged));
        }
    }
    Ok(None)
}

/// Types of neurons that images have as they are.
pub(crate) fn known() -> String {
    KINDS.map(|(types, _)| types).join(", ")
}

/// First voltages as shares of the threshold.
pub(crate) fn initial(population: &Population, voltages: &[f32]) -> Result<Initial, QuantizeError> {
    if let Some(&voltage) = voltages.iter().find(|v| !(0.0..1.0).contains(*v)) {
        return Err(QuantizeError::Start {
            layer: population.label.clone(),
            voltage,
        });
    }
    if voltages.iter().all(|v| *v == 0.0) {
        return Ok(Initial::Zero);
    }
    if voltages.iter().all(|v| *v == 0.5) {
        return Ok(Initial::Half);
    }
    let share = |v: &f32| (f64::from(*v) * PARTS).round().min(PARTS - 1.0) as u16;
    Ok(Initial::Each(voltages.iter().map(share).collect()))
}
