//! The network as the image describes it, in postcard's wire format.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::fixed::Scale;
use crate::weights::Layout;

/// The most inputs that a network can have.
pub const MAX_INPUTS: usize = 4;
/// The most outputs that a network can have.
pub const MAX_OUTPUTS: usize = 4;

/// The whole network. Ensembles stand in topological order; connections are sorted by source,
/// inputs before ensembles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description<'a, const E: usize, const C: usize> {
    /// The label of every input, ensemble and output, in this order, each ended by a line feed.
    pub labels: &'a str,
    /// How many steps an inference takes.
    pub steps: u16,
    /// What the caller feeds.
    pub inputs: Vec<Input, MAX_INPUTS>,
    /// The spiking neurons.
    pub ensembles: Vec<Ensemble, E>,
    /// What the caller reads.
    pub outputs: Vec<Output, MAX_OUTPUTS>,
    /// The synapses.
    pub connections: Vec<Connection, C>,
}

impl<const E: usize, const C: usize> Description<'_, E, C> {
    fn label(&self, at: usize) -> &str {
        self.labels.lines().nth(at).unwrap_or("")
    }

    /// The label of an input.
    #[must_use]
    pub fn input_label(&self, index: usize) -> &str {
        self.label(index)
    }

    /// The label of an ensemble.
    #[must_use]
    pub fn ensemble_label(&self, index: usize) -> &str {
        self.label(self.inputs.len() + index)
    }

    /// The label of an output.
    #[must_use]
    pub fn output_label(&self, index: usize) -> &str {
        self.label(self.inputs.len() + self.ensembles.len() + index)
    }
}

/// A run of bytes in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Section {
    /// Bytes from the start of the image; a multiple of four.
    pub offset: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Section {
    /// The section's bytes in `image`, if they are there.
    #[must_use]
    pub fn of(self, image: &[u8]) -> Option<&[u8]> {
        let start = self.offset as usize;
        image.get(start..start.checked_add(self.len as usize)?)
    }
}

/// The integer type that holds a potential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Width {
    /// `i16`.
    I16,
    /// `i32`.
    I32,
}

impl Width {
    /// Bytes of one value.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::I16 => 2,
            Self::I32 => 4,
        }
    }

    /// The largest value; the smallest is one below its negative.
    #[must_use]
    pub const fn max(self) -> i32 {
        match self {
            Self::I16 => i16::MAX as i32,
            Self::I32 => i32::MAX,
        }
    }
}

/// An input: one byte for each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Input {
    /// How many places.
    pub size: u32,
    /// The byte that stands for 0.0; at most `max`.
    pub zero_point: u8,
    /// The largest byte: the bounds of potentials are proven for no larger one.
    pub max: u8,
    /// The float value of one quantization step: value = scale (byte - zero point).
    pub scale: Scale,
}

/// A population of integrate-and-fire neurons with reset by subtraction.
///
/// A step adds the current J (input current + bias + events) to the potential V. Where V reaches the
/// threshold θ, the neuron emits n = min(floor(V / θ), max_count) spikes and V falls by n θ.
/// Neuron i has the parameters of channel i mod `channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ensemble {
    /// How many neurons; a multiple of `channels`, at most 65,536.
    pub neurons: u32,
    /// How many different parameters.
    pub channels: u32,
    /// The type of the potential, of its thresholds and of its biases.
    pub width: Width,
    /// The most spikes that a neuron emits in a step.
    pub max_count: u8,
    /// Current that a convolution brings from an input is divided by 2^this, rounded to nearest.
    pub current_shift: u8,
    /// θ of each channel, of type `width`.
    pub threshold: Section,
    /// The current that each channel receives in every step, of type `width`.
    pub bias: Section,
    /// The proven least value of V - θ at any time of an inference.
    pub potential_min: i32,
    /// The proven largest value of V - θ at any time of an inference.
    pub potential_max: i32,
    /// The float activation that one spike in one step stands for.
    pub scale: Scale,
}

/// A readout: it sums what reaches it and never spikes.
///
/// After `steps` steps, value = scale · rescale(sum, multiplier, shift) / steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Output {
    /// How many values.
    pub size: u32,
    /// `i32` for each value, added in every step.
    pub bias: Section,
    /// `i32` for each value: brings the sums of all channels to one scale.
    pub multiplier: Section,
    /// The product with the multiplier is divided by 2^this, rounded to nearest.
    pub shift: u8,
    /// The inference may end once the largest value leads the second by this, in rescaled units;
    /// 0 where it may not.
    pub exit_margin: u32,
    /// The float value of one unit after rescaling.
    pub scale: Scale,
}

/// A source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pre {
    /// An input, whose current is computed once when it is set.
    Input(u8),
    /// An ensemble's spikes.
    Ensemble(u8),
}

/// A target of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Post {
    /// An ensemble's potentials.
    Ensemble(u8),
    /// An output's sums.
    Output(u8),
}

/// A bundle of synapses from one source to one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Connection {
    /// Where the events come from.
    pub pre: Pre,
    /// Where they go.
    pub post: Post,
    /// Which neurons it joins.
    pub transform: Transform,
    /// The int8 weights, in the order that the transform states.
    pub weights: Section,
    /// How they lie within a row.
    pub layout: Layout,
}

/// Which neurons a connection joins, and in which order its weights lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Transform {
    /// Each source with each target.
    Dense(Dense),
    /// A two-dimensional convolution, channels last.
    Convolution(Convolution),
}

/// A full matrix, one row of weights for each source: `[inputs][outputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dense {
    /// Sources.
    pub inputs: u32,
    /// Targets.
    pub outputs: u32,
}

/// A cross-correlation over two axes: target (y, x) sees the sources (y s - p + k, x s - p + k).
/// Weights lie as `[kernel y][kernel x][input channel][output channel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Convolution {
    /// Height, width and channels of the source.
    pub input: [u16; 3],
    /// Height, width and channels of the target.
    pub output: [u16; 3],
    /// Height and width of the kernel.
    pub kernel: [u8; 2],
    /// Vertical and horizontal stride.
    pub stride: [u8; 2],
    /// Rows of zeros above and columns of zeros to the left.
    pub padding: [u8; 2],
}

/// The number of elements of a shape; `None` where it exceeds 32 bits.
fn volume(dims: &[u32]) -> Option<u32> {
    dims.iter().try_fold(1u32, |n, &d| n.checked_mul(d))
}

impl Transform {
    /// The number of sources.
    #[must_use]
    pub fn inputs(&self) -> Option<u32> {
        match self {
            Self::Dense(d) => Some(d.inputs),
            Self::Convolution(c) => volume(&c.input.map(u32::from)),
        }
    }

    /// The number of targets.
    #[must_use]
    pub fn outputs(&self) -> Option<u32> {
        match self {
            Self::Dense(d) => Some(d.outputs),
            Self::Convolution(c) => volume(&c.output.map(u32::from)),
        }
    }

    /// The number of weights.
    #[must_use]
    pub fn weights(&self) -> Option<u32> {
        match self {
            Self::Dense(d) => d.inputs.checked_mul(d.outputs),
            Self::Convolution(c) => volume(&[
                c.kernel[0].into(),
                c.kernel[1].into(),
                c.input[2].into(),
                c.output[2].into(),
            ]),
        }
    }
}
