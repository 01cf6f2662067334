//! The integer network: a network brought to integers, before it is packed into an image.
//!
//! Fields that are not explained mean what they mean in the image, see `docs/image-format.md`.

use tinyspike_firmware::kernels::family::Family;
use tinyspike_shared::image::{self, LeftOut, Neuron, Readout, Synapse, Transform, Width};

use crate::coder::Coder;
use crate::graph::{self, Source};
use crate::network::Head;

/// A network in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The kernels that the image is for.
    pub target: &'static Family,
    /// Steps of an inference.
    pub steps: Steps,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// The neurons. Events without a delay lead from an ensemble to a later one.
    pub ensembles: Vec<Ensemble>,
    /// The parts that are read.
    pub outputs: Vec<Output>,
    /// The connections, sorted by source.
    pub connections: Vec<Connection>,
}

/// Number of steps that a network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// So many, at least 1; then the next inference starts from rest.
    Limited(u16),
    /// Any number: a stream.
    Endless,
}

impl Steps {
    /// The number of steps; `None` without end.
    #[must_use]
    pub const fn limit(self) -> Option<u16> {
        match self {
            Self::Limited(steps) => Some(steps),
            Self::Endless => None,
        }
    }
}

/// A quantized input, of bytes up to `max`, which connections see as byte - `zero_point`.
///
/// A byte's value is `scale` (byte - `zero_point`), or that of its place's channel if there are channels: those of place
/// i are i mod their number. Then `scale` is 1: the channels' are in the weights.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "said at the type")]
pub struct Input {
    pub label: String,
    pub size: usize,
    pub scale: f64,
    pub zero_point: u8,
    pub max: u8,
    pub channels: Vec<Channel>,
    /// Coder that makes the events; then bytes are its samples', and `scale` is that of an event.
    pub coder: Option<Coder>,
}

/// The encoding of a channel of an input: value = `scale` (byte - `zero_point`). The zero point may be no byte.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "said at the type")]
pub struct Channel {
    pub scale: f64,
    pub zero_point: i32,
}

impl Channel {
    /// The byte of a value, rounded and clamped to at most `max`.
    pub(crate) fn byte(self, value: f32, max: u8) -> u8 {
        let steps = (f64::from(value) / self.scale).round() + f64::from(self.zero_point);
        // A cast clamps to the range and takes no number for 0.
        (steps as u8).min(max)
    }

    /// The value of a byte.
    #[must_use]
    pub fn value(self, byte: u8) -> f64 {
        self.scale * (f64::from(byte) - f64::from(self.zero_point))
    }
}

impl Input {
    /// The largest and the least value of an event from it: a byte less the zero point.
    pub(crate) fn range(&self) -> (i64, i64) {
        let zero = i64::from(self.zero_point);
        (i64::from(self.max) - zero, -zero)
    }

    /// The encoding of a place.
    pub(crate) fn channel(&self, place: usize) -> Channel {
        let own = place.checked_rem(self.channels.len());
        let own = own.and_then(|channel| self.channels.get(channel)).copied();
        own.unwrap_or(Channel {
            scale: self.scale,
            zero_point: self.zero_point.into(),
        })
    }

    /// The value of a byte that connections see as 0.
    pub(crate) fn offset(&self, place: usize) -> f64 {
        self.channel(place).value(self.zero_point)
    }

    /// A value as connections see it, neither rounded nor clamped.
    pub(crate) fn unit(&self, place: usize, value: f32) -> f32 {
        match self.channels.len() {
            0 => value,
            _ => ((f64::from(value) - self.offset(place)) / self.channel(place).scale) as f32,
        }
    }
}

/// A population of neurons. The default has none, which integrate and fire, and which events reach directly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ensemble {
    /// The Nengo ensemble's label.
    pub label: String,
    /// Number of neurons.
    pub neurons: usize,
    /// The type of potentials.
    pub width: Width,
    /// The most spikes in one step.
    pub max_count: u8,
    /// The current of inputs is multiplied by 2^this.
    pub current_shift: i8,
    /// The threshold of each channel.
    pub threshold: Vec<i32>,
    /// The bias of each channel.
    pub bias: Vec<i32>,
    /// The least V - threshold at any time; without end, after an update.
    pub potential_min: i32,
    /// The largest V - threshold at any time; without end, after an update.
    pub potential_max: i32,
    /// The activation that one spike in one step stands for.
    pub theta: f64,
    /// The kind of neurons.
    pub neuron: Neuron,
    /// The constants of the kind.
    pub constants: Vec<u32>,
    /// V at the start.
    pub initial: Initial,
    /// Inbox that takes up events.
    pub inbox: Option<Inbox>,
}

/// V of each neuron at the start of an inference.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Initial {
    /// 0.
    Zero,
    /// Half the threshold.
    #[default]
    Half,
    /// A share of the threshold for each neuron, in parts of 2^16.
    Each(Vec<u16>),
}

/// Inbox of a part, which takes up events, and the bounds of p, q and y at any time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "said at the type, and in the image")]
pub struct Inbox {
    pub synapse: Synapse,
    pub fraction: u8,
    pub min: i32,
    pub max: i32,
}

impl Inbox {
    /// The inbox as an image has it.
    #[must_use]
    pub const fn image(&self) -> image::Inbox {
        image::Inbox {
            synapse: self.synapse,
            fraction: self.fraction,
        }
    }
}

/// A part that is read. The default has no values, and sums up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The probe's label.
    pub label: String,
    /// Added to each value in every step.
    pub bias: Vec<i32>,
    /// Brings each value to the common unit.
    pub multiplier: Vec<i32>,
    /// The product is shifted right by this.
    pub shift: u8,
    /// The lead of the largest value at which an inference may end, in common units; 0 for none.
    pub exit_margin: u32,
    /// The common unit.
    pub scale: f64,
    /// Value that is shown.
    pub readout: Readout,
    /// The current of inputs is multiplied by 2^this.
    pub current_shift: i8,
    /// Inbox that takes up events.
    pub inbox: Option<Inbox>,
    /// The model's last function, which is left out.
    pub left_out: LeftOut,
}

/// Functions that an image can leave out.
const HEADS: [(Head, LeftOut); 7] = [
    (Head::Softmax, LeftOut::Softmax),
    (Head::Sigmoid, LeftOut::Sigmoid),
    (Head::Tanh, LeftOut::Tanh),
    (Head::Softmaxes, LeftOut::Softmaxes),
    (Head::HardSigmoid, LeftOut::HardSigmoid),
    (Head::SteepHardSigmoid, LeftOut::SteepHardSigmoid),
    (Head::HardTanh, LeftOut::HardTanh),
];

/// The function after an output that is left out, as an image states it.
pub(crate) fn left_out(head: Option<Head>) -> LeftOut {
    let of = HEADS.into_iter().find(|(own, _)| Some(*own) == head);
    of.map_or(LeftOut::Nothing, |(_, stated)| stated)
}

/// The function that an image states.
pub(crate) fn head(stated: LeftOut) -> Option<Head> {
    let of = HEADS.into_iter().find(|(_, own)| *own == stated);
    of.map(|(head, _)| head)
}

/// Quantized weights between two parts.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in the graph")]
pub struct Connection {
    pub pre: Source,
    pub post: graph::Target,
    pub source: Seen,
    pub transform: Transform,
    pub weights: Vec<i16>,
    /// `true` if targets are computed from all values of the source at once, instead of event by event. Spikes and sums
    /// are the same.
    pub dense: bool,
}

/// View that the weights have of a connection's source.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The source as it is.
    Direct,
    /// Sums over neighbours, repetitions and offsets.
    Window(image::Window),
    /// Place that each place of the source stands for, or [`image::NOWHERE`].
    Table(Vec<u16>),
}
