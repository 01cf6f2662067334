//! Reasons for refusing an image.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The format version that this crate reads and writes.
pub const VERSION: u16 = 4;

/// Reason why [`Image::parse`](super::Image::parse) refuses an image. Small enough to travel over a debug
/// probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ImageError {
    /// The first bytes are not an image's.
    Magic,
    /// The image has another format version.
    Version {
        /// The version that it states.
        found: u16,
    },
    /// Fewer bytes than stated.
    Truncated {
        /// Bytes that there should be.
        stated: u32,
        /// Bytes that there are.
        found: usize,
    },
    /// The bytes do not start at a multiple of four in memory.
    Misaligned,
    /// Reserved header bytes are not zero.
    Reserved,
    /// The checksum does not match: the image was altered or damaged.
    Checksum {
        /// The checksum in the header.
        stated: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// The description is not valid postcard data, or not as long as stated.
    Description,
    /// More ensembles, connections, inputs or outputs than this build has room for.
    TooLarge,
    /// An input is empty or too large to address.
    Input {
        /// Index of the input.
        index: u8,
    },
    /// An ensemble is inconsistent.
    Ensemble {
        /// Index of the ensemble.
        index: u8,
        /// Fault of the file.
        fault: Fault,
    },
    /// A connection is inconsistent.
    Connection {
        /// Index of the connection.
        index: u8,
        /// Fault of the file.
        fault: Fault,
    },
    /// An output is inconsistent.
    Output {
        /// Index of the output.
        index: u8,
        /// Fault of the file.
        fault: Fault,
    },
    /// The network has no input or no output.
    Empty,
    /// The labels are not one for each input, ensemble and output.
    Labels,
    /// The stated arena size is not what the network needs.
    Arena,
    /// The network has neurons, filters or outputs that this build was made without.
    NotBuilt,
}

/// Fault of a part of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Fault {
    /// A size is zero, above the limit, or not a multiple of the channels.
    Size,
    /// A section lies outside the image, is misaligned, or does not have the length that it should.
    Section {
        /// Its stated offset in the image, in bytes.
        offset: u32,
    },
    /// A threshold is not positive.
    Threshold,
    /// The largest spike count in a step is zero.
    MaxCount,
    /// A shift is too large.
    Shift,
    /// A source or target does not exist.
    Index,
    /// The connections are not sorted by source, or one leads back to a target without a delay.
    Order,
    /// The transform's sizes do not match its ends, or its geometry is inconsistent.
    Geometry,
    /// The stated bounds of the potential do not fit its width.
    Bounds,
    /// The window or table of the source does not fit the source or the transform.
    Source,
    /// The groups, filters or targets of a transform do not fit its channels.
    Channels,
    /// Sums over a whole input, or over parts of one, need a target of 32 bits.
    Width,
    /// The weights' layout is not one of its transform's.
    Layout,
    /// Its neurons' parameters contradict themselves or the ensemble.
    Neuron,
    /// Events reach it that nothing takes up, or it sums up and has an inbox, a shift or no end.
    Inbox,
    /// All counts of an ensemble reach it, but not in a single step, as they are, from neurons to neurons or sums that have no
    /// inbox.
    Counts,
    /// Weights that fill rows of windows up are not zero.
    Fill,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => f.write_str("a size is zero, too large or no multiple of its channels"),
            Self::Section { offset } => write!(
                f,
                "its section at byte {offset} is out of range, misaligned or of the wrong length"
            ),
            Self::Threshold => f.write_str("a threshold is not positive"),
            Self::MaxCount => f.write_str("the largest spike count is zero"),
            Self::Shift => f.write_str("a shift is too large"),
            Self::Index => f.write_str("it names a source or target that does not exist"),
            Self::Order => {
                f.write_str("it is out of order, or leads back to a target without a delay")
            }
            Self::Geometry => f.write_str("its transform does not fit its ends"),
            Self::Layout => f.write_str("its weights' layout is not one of its transform's"),
            Self::Bounds => f.write_str("the bounds of its potential do not fit its width"),
            Self::Source => f.write_str("the map of its source does not fit its ends"),
            Self::Channels => f.write_str("its groups or filters do not fit its channels"),
            Self::Neuron => f.write_str("its neurons' parameters contradict themselves"),
            Self::Inbox => {
                f.write_str("nothing takes up its events, or it takes up what it cannot")
            }
            Self::Width => f.write_str("it needs a target of 32 bits"),
            Self::Fill => f.write_str("weights that fill rows of its windows up are not zero"),
            Self::Counts => f.write_str(
                "it takes all counts at once, which only a direct connection in a network of one step can do",
            ),
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("this is not a tinyspike image"),
            Self::Version { found } => write!(
                f,
                "the image has format version {found}, this build reads version {VERSION}; convert the network again with the same release of tinyspike"
            ),
            Self::Truncated { stated, found } => write!(
                f,
                "the image is cut short: {stated} bytes are stated, {found} are there"
            ),
            Self::Misaligned => f.write_str("the image does not start at a multiple of 4 bytes"),
            Self::Reserved => f.write_str("reserved bytes of the header are not zero"),
            Self::Checksum { stated, found } => write!(
                f,
                "the checksum does not match (stated {stated:08x}, found {found:08x}): the image is damaged"
            ),
            Self::Description => f.write_str("the description of the network cannot be read"),
            Self::TooLarge => f.write_str(
                "the network has more ensembles or connections than this build can hold",
            ),
            Self::Input { index } => write!(f, "input {index}: its size, zero point or list of channels cannot be right"),
            Self::Ensemble { index, fault } => write!(f, "ensemble {index}: {fault}"),
            Self::Connection { index, fault } => write!(f, "connection {index}: {fault}"),
            Self::Output { index, fault } => write!(f, "output {index}: {fault}"),
            Self::Empty => f.write_str("the network has no input or no output"),
            Self::Labels => f.write_str("the labels do not match the network"),
            Self::Arena => f.write_str("the stated arena size is not what the network needs"),
            Self::NotBuilt => f.write_str(
                "the network has neurons, filters or outputs that this build was made without; build the firmware with the features `exact`, `max-pooling` and `current-based`",
            ),
        }
    }
}

impl core::error::Error for ImageError {}
