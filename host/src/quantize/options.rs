//! Settings of quantization.

use tinyspike_firmware::kernels::families;
use tinyspike_firmware::kernels::family::Family;
use tinyspike_shared::image::Width;

use crate::simulate::InitialVoltage;

/// Bits of a weight, unless others are asked for.
pub const WEIGHT_BITS: u8 = 8;
/// The fewest.
pub const WEIGHT_BITS_MIN: u8 = 2;
/// The most, which only exact networks use.
pub const WEIGHT_BITS_MAX: u8 = 16;

/// Settings of quantization.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeOptions {
    /// Steps of an inference; 0 for a stream without end, which only exact networks run.
    pub steps: u16,
    /// The most spikes that a neuron emits in one step; further spikes wait for the next step.
    pub max_count: u8,
    /// The kernels that the image is for.
    pub target: &'static Family,
    /// Largest activation that a layer is taken to have: the share of the activations above zero that stay
    /// below it, or `None` for the one with the least squared error.
    pub percentile: Option<f64>,
    /// Bits of an input's bytes that are used, 1 to 8. With fewer, small values become zero, which costs
    /// nothing to run.
    pub input_bits: u8,
    /// Bits of a weight, 2 to 8; of exact networks up to 16. Exact layers in which sums of more than 8 bits
    /// would leave 32 bits have as many fewer.
    pub weight_bits: u8,
    /// Options of single layers, in the order of the graph's populations and then its outputs; layers beyond
    /// the end have the defaults.
    pub layers: Vec<LayerOptions>,
    /// `true` if the weights of all neurons of a current-based layer share a scale; else each neuron has its own.
    pub shared_scales: bool,
    /// Seconds per step of exact networks.
    pub dt: f64,
    /// The voltages at the start of exact networks.
    pub initial_voltage: InitialVoltage,
}

/// Settings of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerOptions {
    /// The most spikes that a neuron emits in one step; `None` for the network's.
    pub max_count: Option<u8>,
    /// The largest activation that can be shown, as a multiple of the one with the least squared error.
    pub clip: f64,
    /// Bits of its inputs' weights; `None` for the network's.
    pub weight_bits: Option<u8>,
}

impl Default for LayerOptions {
    /// The network's count and bits, and the clip with the least squared error.
    fn default() -> Self {
        Self {
            max_count: None,
            clip: 1.0,
            weight_bits: None,
        }
    }
}

impl QuantizeOptions {
    pub(crate) fn layer(&self, at: usize) -> LayerOptions {
        self.layers.get(at).copied().unwrap_or_default()
    }

    /// The most spikes in a step of a population's neurons.
    #[must_use]
    pub fn count(&self, at: usize) -> u8 {
        self.layer(at).max_count.unwrap_or(self.max_count)
    }

    /// The bits of the weights of the inputs of a layer.
    #[must_use]
    pub fn bits(&self, at: usize) -> u8 {
        self.layer(at).weight_bits.unwrap_or(self.weight_bits)
    }

    /// The largest weight of the inputs of a layer.
    pub(crate) fn weight_max(&self, at: usize) -> f64 {
        f64::from(largest(self.bits(at)))
    }

    /// Tells whether the settings make sense, for a network of which all parts are exact or for others.
    pub(crate) fn valid(&self, exact: bool, shown: bool) -> bool {
        let bits = WEIGHT_BITS_MIN..=if exact { WEIGHT_BITS_MAX } else { WEIGHT_BITS };
        (shown || self.steps > 0)
            && self.max_count > 0
            && self.dt.is_finite()
            && self.dt > 0.0
            && (1..=8).contains(&self.input_bits)
            && bits.contains(&self.weight_bits)
            && self.percentile.is_none_or(|p| p > 0.0 && p <= 1.0)
            && self.layers.iter().all(|l| {
                l.max_count != Some(0)
                    && l.clip.is_finite()
                    && l.clip > 0.0
                    && l.weight_bits.is_none_or(|b| bits.contains(&b))
            })
    }

    /// Fifty steps of a millisecond with weights as fine as there are: the settings of exact networks.
    #[must_use]
    pub fn exact() -> Self {
        Self {
            steps: 50,
            max_count: 63,
            weight_bits: WEIGHT_BITS_MAX,
            ..Self::default()
        }
    }
}

/// The largest weight of so many bits; the least is its negative.
pub(crate) const fn largest(bits: u8) -> i16 {
    i16::MAX >> (16 - bits)
}

impl Default for QuantizeOptions {
    /// Two steps of up to 15 spikes.
    fn default() -> Self {
        Self {
            steps: 2,
            max_count: 15,
            target: &families::DSP,
            percentile: None,
            input_bits: 8,
            weight_bits: WEIGHT_BITS,
            layers: Vec::new(),
            shared_scales: false,
            dt: 0.001,
            initial_voltage: InitialVoltage::default(),
        }
    }
}

/// Weights that are rounded another way than to nearest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounding {
    /// The units of each population whose weights are rounded so.
    pub units: Vec<Option<Units>>,
    /// Offsets of each link: what is added to each weight after rounding to nearest, in the image's order;
    /// empty for nothing.
    pub offsets: Vec<Vec<i8>>,
}

/// The units that offsets were chosen for.
#[derive(Clone, Debug, PartialEq)]
pub struct Units {
    /// The type of the potentials.
    pub width: Width,
    /// The shift right of an input's current.
    pub shift: u8,
    /// The threshold of each channel, in its units.
    pub threshold: Vec<i32>,
}

impl Rounding {
    pub(crate) fn offsets(&self, link: usize) -> &[i8] {
        self.offsets.get(link).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn units(&self, population: usize) -> Option<&Units> {
        self.units.get(population)?.as_ref()
    }
}
