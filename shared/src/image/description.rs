//! The network as the image describes it, in postcard's wire format.

use heapless::{Vec, VecView};
use serde::{Deserialize, Serialize};

use super::coder::Coder;
use super::inbox::Inbox;
use super::neuron::{CubaLif, Initial, Neuron};
use super::section::Section;
use crate::fixed::Scale;
use crate::transform::{Transform, volume};
use crate::weights::Layout;

/// The most inputs that a network can have.
pub const MAX_INPUTS: usize = 4;
/// The most outputs that a network can have.
pub const MAX_OUTPUTS: usize = 4;

/// The whole network. Ensembles stand in topological order; connections are sorted by source,
/// inputs before ensembles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description<'a, const E: usize, const C: usize> {
    /// The label of every input, ensemble and output, in this order, each ended by a line feed: UTF-8.
    pub labels: &'a [u8],
    /// Number of steps of an inference; 0 if the network runs without end.
    pub steps: u16,
    /// Inputs that the caller feeds.
    pub inputs: Vec<Input, MAX_INPUTS>,
    /// The spiking neurons.
    pub ensembles: Vec<Ensemble, E>,
    /// Outputs that the caller reads.
    pub outputs: Vec<Output, MAX_OUTPUTS>,
    /// The synapses.
    pub connections: Vec<Connection, C>,
    /// The coder of the only input. In an image that has one it follows the rest.
    #[serde(skip)]
    pub coder: Coder,
}

impl<'a, const E: usize, const C: usize> Description<'a, E, C> {
    fn label(&self, at: usize) -> &str {
        let label = self.labels.split(|&b| b == b'\n').nth(at);
        label.map_or("", |label| core::str::from_utf8(label).unwrap_or(""))
    }

    /// Tells whether another step may follow so many.
    #[must_use]
    pub const fn goes_on(&self, taken: u16) -> bool {
        self.steps == 0 || taken < self.steps
    }

    /// Tells whether it has anything except integrate-and-fire neurons that events reach directly, pools, outputs
    /// that sum up, and an end.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        cfg!(feature = "exact")
            && (self.steps == 0
                || !(self.ensembles.iter()).all(|e| e.is_direct() || e.pools())
                || !self.outputs.iter().all(Output::sums_up))
    }

    /// Room into which all of it is filled, for any number of parts.
    pub(super) fn room(&mut self) -> Room<'_, 'a> {
        Room {
            labels: &mut self.labels,
            steps: &mut self.steps,
            inputs: self.inputs.as_mut_view(),
            ensembles: self.ensembles.as_mut_view(),
            outputs: self.outputs.as_mut_view(),
            connections: self.connections.as_mut_view(),
            coder: &mut self.coder,
        }
    }

    /// All of it, for any number of parts.
    pub(super) fn network(&self) -> Network<'_> {
        Network {
            labels: self.labels,
            steps: self.steps,
            inputs: &self.inputs,
            ensembles: &self.ensembles,
            outputs: &self.outputs,
            connections: &self.connections,
            coder: self.coder,
        }
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

/// An empty [`Description`], to be filled.
pub(super) struct Room<'r, 'a> {
    pub(super) labels: &'r mut &'a [u8],
    pub(super) steps: &'r mut u16,
    pub(super) inputs: &'r mut VecView<Input>,
    pub(super) ensembles: &'r mut VecView<Ensemble>,
    pub(super) outputs: &'r mut VecView<Output>,
    pub(super) connections: &'r mut VecView<Connection>,
    pub(super) coder: &'r mut Coder,
}

/// Contents of a [`Description`] of any capacity: code for it is there once.
#[derive(Clone, Copy)]
pub(super) struct Network<'n> {
    pub(super) labels: &'n [u8],
    pub(super) steps: u16,
    pub(super) inputs: &'n [Input],
    pub(super) ensembles: &'n [Ensemble],
    pub(super) outputs: &'n [Output],
    pub(super) connections: &'n [Connection],
    pub(super) coder: Coder,
}

impl Network<'_> {
    /// Tells whether states that are not needed at the same time may share memory.
    pub(super) fn may_reuse(&self) -> bool {
        self.steps == 1
            && self.ensembles.iter().all(|e| e.is_direct() || e.pools())
            && self.outputs.iter().all(Output::sums_up)
    }
}

/// The integer type that holds a potential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Width {
    /// `i16`.
    I16,
    /// `i32`.
    #[default]
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
///
/// A byte's value is scale (byte - zero point), see [`Image::channels`](super::Image::channels). Connections see
/// byte - `zero_point`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Input {
    /// Number of places.
    pub size: u32,
    /// The byte that brings nothing; at most `max`.
    pub zero_point: u8,
    /// The largest byte: the bounds of potentials are proven for no larger one.
    pub max: u8,
    /// The float value of one quantization step.
    pub scale: Scale,
    /// The [`Channel`] of each of several, if they have encodings of their own; else empty.
    pub channels: Section,
}

/// The encoding of an input's channel: value = scale (byte - zero point).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel {
    /// The float value of one quantization step.
    pub scale: Scale,
    /// Number that stands for 0.0, which need not be a byte.
    pub zero_point: i32,
}

impl Channel {
    /// Bytes of one in a section: the scale's mantissa, its exponent as `i32`, and the zero point.
    pub const BYTES: usize = 12;

    /// Its bytes in a section.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.scale.mantissa.to_le_bytes());
        bytes[4..8].copy_from_slice(&i32::from(self.scale.exponent).to_le_bytes());
        bytes[8..].copy_from_slice(&self.zero_point.to_le_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, _, _, zero @ ..] = *bytes;
        Self {
            scale: Scale {
                mantissa: u32::from_le_bytes([a, b, c, d]),
                exponent: i16::from_le_bytes([e, f]),
            },
            zero_point: i32::from_le_bytes(zero),
        }
    }
}

/// A population of spiking neurons.
///
/// Neuron i has the parameters of channel i mod `channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ensemble {
    /// Number of neurons; a multiple of `channels`, at most 65,536.
    pub neurons: u32,
    /// Number of different parameters.
    pub channels: u32,
    /// The type of the potential, of its thresholds and of its biases; 32 bits unless the ensemble
    /// [is direct](Self::is_direct).
    pub width: Width,
    /// The most spikes that a neuron emits in a step.
    pub max_count: u8,
    /// The current of inputs is multiplied by 2^this, rounded to nearest, ties up. Of a direct ensemble it is at
    /// most 0, and only what a convolution brings from an input is multiplied.
    pub current_shift: i8,
    /// V at the start.
    pub initial: Initial,
    /// Behaviour of the neurons in a step.
    pub neuron: Neuron,
    /// Inbox that takes up events; without one they reach the potential directly.
    pub inbox: Option<Inbox>,
    /// Start of its parameters, in bytes from the start of the image; a multiple of four. They are θ and then
    /// the bias of each channel, of type `width`; `u16` for each neuron if V starts at [`Initial::Each`]; and
    /// the neurons' constants. Each list starts at a word.
    pub params: u32,
    /// The proven least value of V - θ (of LIF neurons V) at any time of an inference. In networks without end V
    /// is no smaller after an update.
    pub potential_min: i32,
    /// The proven largest value of V - θ (of LIF neurons V) at any time of an inference. In networks without end
    /// V is no larger after an update.
    pub potential_max: i32,
    /// The float activation that one spike in one step stands for.
    pub scale: Scale,
}

impl Ensemble {
    /// Tells whether its neurons integrate and fire, and events reach their potentials directly.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        if cfg!(feature = "exact") {
            matches!(self.neuron, Neuron::IntegrateAndFire) && self.inbox.is_none()
        } else {
            !self.pools()
        }
    }

    /// Tells whether its neurons are windows over places that count.
    #[must_use]
    pub const fn pools(&self) -> bool {
        cfg!(feature = "max-pooling") && matches!(self.neuron, Neuron::Pool(_))
    }

    /// Its neurons, if they are current-based and events reach them directly, each once.
    #[must_use]
    pub const fn current_based(&self) -> Option<CubaLif> {
        match self.neuron {
            Neuron::CubaLif(kind) if cfg!(feature = "current-based") => Some(kind),
            _ => None,
        }
    }

    /// Bytes of the thresholds, or of the biases, to the next word.
    #[must_use]
    pub const fn row(&self) -> u32 {
        (self.channels * self.width.bytes() as u32).next_multiple_of(4)
    }

    /// Bytes of the first voltages, to the next word.
    pub(super) const fn shares(&self) -> u32 {
        match self.initial {
            Initial::Each if cfg!(feature = "exact") => (self.neurons * 2).next_multiple_of(4),
            _ => 0,
        }
    }

    /// Bytes of all parameters, which the ensemble's size bounds.
    #[must_use]
    pub fn params_len(&self) -> u32 {
        2 * self.row() + self.shares() + 4 * self.neuron.constants(self.channels)
    }
}

/// A part that never spikes, for the caller to read.
///
/// value = scale · rescale(sum, multiplier, shift), divided by the steps if it sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Output {
    /// Number of values.
    pub size: u32,
    /// Start of its parameters, in bytes from the start of the image; a multiple of four. They are, each `i32`
    /// for each value, what is added in every step, and the multipliers that bring the sums to one scale.
    pub params: u32,
    /// The product with the multiplier is divided by 2^this, rounded to nearest.
    pub shift: u8,
    /// Data that it shows.
    pub readout: Readout,
    /// The current of inputs is multiplied by 2^this, rounded to nearest, ties up; 0 if it sums up.
    pub current_shift: i8,
    /// Inbox that takes up events; none if it sums up.
    pub inbox: Option<Inbox>,
    /// The inference may end once the largest value leads the second by this, in rescaled units;
    /// 0 if it may not.
    pub exit_margin: u32,
    /// The float value of one unit after rescaling.
    pub scale: Scale,
    /// The model's last function, which is left to whoever reads the values.
    pub left_out: LeftOut,
}

/// A last function that an image leaves out: the ranking is the same without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LeftOut {
    /// None.
    #[default]
    Nothing,
    /// A softmax over all values.
    Softmax,
    /// A logistic function of each value.
    Sigmoid,
    /// A hyperbolic tangent of each value.
    Tanh,
    /// A softmax at each of several places.
    Softmaxes,
    /// x / 6 + 0.5 from 0 to 1, of each value.
    HardSigmoid,
    /// 0.2 x + 0.5 from 0 to 1, of each value.
    SteepHardSigmoid,
    /// x from -1 to 1, of each value.
    HardTanh,
}

impl Output {
    /// Tells whether it shows the sum of all that reached it.
    #[must_use]
    pub const fn sums_up(&self) -> bool {
        !cfg!(feature = "exact") || matches!(self.readout, Readout::Sum)
    }
}

/// Readout of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Readout {
    /// The sum of all that reached it since the start.
    #[default]
    Sum,
    /// Its current and what its inbox shows.
    Shown {
        /// `true` if the inbox is seen as it was at the end of the step before.
        delayed: bool,
    },
}

/// A source of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Pre {
    /// An input, whose current is computed once when it is set.
    Input(u8),
    /// An ensemble's spikes, each an event.
    Ensemble(u8),
    /// The counts of all neurons of an ensemble, from which targets are computed densely.
    Counts(u8),
}

impl Pre {
    /// The ensemble, if it is one.
    #[must_use]
    pub const fn ensemble(self) -> Option<u8> {
        match self {
            Self::Input(_) => None,
            Self::Ensemble(e) | Self::Counts(e) => Some(e),
        }
    }

    /// Number by which connections are sorted: inputs first, then ensembles.
    #[must_use]
    pub const fn order(self) -> u16 {
        match self {
            Self::Input(i) => i as u16,
            Self::Ensemble(e) | Self::Counts(e) => 1 << 8 | e as u16,
        }
    }
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
    /// Source end of the events.
    pub pre: Pre,
    /// Target end of the events.
    pub post: Post,
    /// View that the transform has of the source.
    pub source: SourceMap,
    /// Neurons that it joins.
    pub transform: Transform,
    /// The weights, as their layout states.
    pub weights: Section,
    /// Order of the weights within a row.
    pub layout: Layout,
}

impl Connection {
    /// The window through which it sees the counts of neurons, if these are summed up before weights see them: each place
    /// is then one event, instead of one for each neuron. That takes a single step of a network that is not exact, and
    /// room for counts and sums where the neurons' potentials were.
    #[must_use]
    pub fn sums(&self, source: &Ensemble, steps: u16) -> Option<&Window> {
        let SourceMap::Window(window) = &self.source else {
            return None;
        };
        let crowd = u32::from(window.pool[0]) * u32::from(window.pool[1]);
        let seen = volume(&window.output.map(u32::from))?;
        let room = source.neurons.checked_mul(source.width.bytes() as u32)?;
        let fits = steps == 1
            && source.is_direct()
            && matches!(self.pre, Pre::Ensemble(_))
            && window.repeat == [1, 1]
            && crowd > 1
            && crowd * u32::from(source.max_count) <= i16::MAX as u32
            && source.neurons.next_multiple_of(4) + seen.checked_mul(2)?.next_multiple_of(4)
                <= room;
        fits.then_some(window)
    }
}

/// Places of a transform's source that an event stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SourceMap {
    /// Its own.
    Direct,
    /// One or several, or none, by a rule along each axis.
    Window(Window),
    /// One, or none: `u16` for each place of the source, [`NOWHERE`] for none.
    Table(Section),
}

/// Place in a [`SourceMap::Table`] from which an event reaches nothing.
pub const NOWHERE: u16 = u16::MAX;

/// Pooling, repetition and an offset along each of two axes; channels stay.
///
/// Place (y, x, c) of the source stands for the places (Y, X, c) of the transform's source with
/// Y = floor(y / pool) repeat + offset + k for every k below `repeat`, and X likewise, as far as
/// they lie inside `output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Height, width and channels of the source.
    pub input: [u16; 3],
    /// Height, width and channels of what the transform sees.
    pub output: [u16; 3],
    /// Neighbours along each axis that stand for one place.
    pub pool: [u8; 2],
    /// Places along each axis that they stand for.
    pub repeat: [u8; 2],
    /// Offset of those behind the origin.
    pub offset: [i16; 2],
}

impl Window {
    /// The places that an event from `source` stands for.
    pub fn places(&self, source: u16) -> impl Iterator<Item = u16> + use<> {
        let Self { input, output, .. } = *self;
        let source = u32::from(source);
        let channels = u32::from(input[2]).max(1);
        let columns = u32::from(input[1]).max(1);
        let (place, channel) = (source / channels, source % channels);
        let columns_seen = self.axis::<1>(place % columns);
        let width = u32::from(output[1]);
        self.axis::<0>(place / columns).flat_map(move |y| {
            columns_seen
                .clone()
                .map(move |x| ((y * width + x) * channels + channel) as u16)
        })
    }

    /// Calls `add` with each run of channels of the source, and the run of places that it stands for: the starts of both,
    /// and their length. Nothing is repeated.
    pub fn runs(&self, mut add: impl FnMut(usize, usize, usize)) {
        let [height, width, channels] = self.input.map(usize::from);
        let mut from = 0;
        for y in 0..height {
            for x in 0..width {
                let place = (
                    self.axis::<0>(y as u32).next(),
                    self.axis::<1>(x as u32).next(),
                );
                if let (Some(y), Some(x)) = place {
                    let place = y * u32::from(self.output[1]) + x;
                    add(from, place as usize * channels, channels);
                }
                from += channels;
            }
        }
    }

    /// Places along one axis that `place` stands for.
    fn axis<const AXIS: usize>(&self, place: u32) -> core::ops::Range<u32> {
        let repeat = i32::from(self.repeat[AXIS]);
        let pooled = place.checked_div(self.pool[AXIS].into()).unwrap_or(0);
        let first = pooled as i32 * repeat + i32::from(self.offset[AXIS]);
        let end = i32::from(self.output[AXIS]);
        first.clamp(0, end) as u32..(first + repeat).clamp(0, end) as u32
    }
}
