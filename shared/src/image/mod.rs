//! The packed image: a network in integers, as one block of bytes that a device reads in place.
//!
//! `docs/image-format.md` is the specification. A [`Header`] of fixed size comes first, then the
//! [`Description`] in postcard's wire format, then the sections: int8 weights, biases and
//! thresholds, each aligned to four bytes.
//!
//! # Invariants
//! [`Image::parse`] and its twins [`Image::parse_into`] and [`Image::parse_kept`] are the only ways to an [`Image`], and check
//! everything: after them, no accessor
//! fails, every index and section is in range, connections lead forward or to a target with a delay, and every
//! threshold is positive. The time that it takes grows linearly with the image.

pub mod coder;
pub(crate) mod description;
mod error;
mod header;
mod inbox;
mod layout;
pub mod neuron;
mod read;
mod reader;
mod section;
mod validate;

pub use crate::transform::{Axis, Convolution, Dense, Span, Transform};
pub use coder::Coder;
pub use description::{
    Channel, Connection, Description, Ensemble, Input, LeftOut, MAX_INPUTS, MAX_OUTPUTS, NOWHERE,
    Output, Post, Pre, Readout, SourceMap, Width, Window,
};
pub use error::{Fault, ImageError, VERSION};
pub use header::{ALIGN, HEADER_LEN, Header, MAGIC, checksum};
pub use inbox::{Inbox, MAX_FRACTION, Passing, Synapse};
use layout::Placing;
pub use layout::{Area, Layout};
pub use neuron::{
    Charge, CubaLif, Drive, Firing, Initial, LEAK_BITS, LEAK_PIECES, Lif, MAX_EVENT_SHIFT,
    MAX_SPIKES, MAX_VOLTAGE_BITS, Neuron, Neurons, Pool, Rectified, Reset, STEP, Traits, Windows,
};
pub use section::Section;

use core::mem::MaybeUninit;

use bytemuck::AnyBitPattern;

use crate::quantize::Quantizer;
use crate::weights::Weights;

/// A checked image over borrowed bytes.
///
/// `E` and `C` are the most ensembles and connections that it can hold: they fix its size in RAM.
#[derive(Clone, Debug)]
pub struct Image<'a, const E: usize = 16, const C: usize = 24> {
    bytes: &'a [u8],
    header: Header,
    description: Description<'a, E, C>,
    layout: Layout<E>,
}

impl<'a, const E: usize, const C: usize> Image<'a, E, C> {
    /// Checks `bytes` and reads the image in them. Bytes after the image's stated length are ignored,
    /// so that a whole flash region can be given.
    ///
    /// # Errors
    /// An [`ImageError`] that says what is wrong and where.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut place = Self::empty();
        place.read(bytes)?;
        Ok(place)
    }

    /// Parses an image as [`parse`](Self::parse) does, into its place in memory, so that no second one is on the stack.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); what is in the place then is no image.
    pub fn parse_into<'p>(
        place: &'p mut MaybeUninit<Self>,
        bytes: &'a [u8],
    ) -> Result<&'p Self, ImageError> {
        let image = place.write(Self::empty());
        image.read(bytes)?;
        Ok(image)
    }

    /// Parses an image as [`parse`](Self::parse) does, where it is kept, so that no second one is on the stack.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); nothing is kept then.
    // The caller's frame stays small for what else it calls, such as the check of a signature.
    #[inline(never)]
    pub fn parse_kept(kept: &mut Option<Self>, bytes: &'a [u8]) -> Result<(), ImageError> {
        let read = kept.insert(Self::empty()).read(bytes);
        if read.is_err() {
            *kept = None;
        }
        read
    }

    /// Room for an image, which is none yet.
    fn empty() -> Self {
        Self {
            bytes: &[],
            header: Header::default(),
            description: Description::default(),
            layout: Layout::default(),
        }
    }

    fn read(&mut self, bytes: &'a [u8]) -> Result<(), ImageError> {
        const { assert!(E <= 128 && C <= 254, "indices are bytes") };
        let (header, bytes) = whole(bytes)?;
        let body = bytes
            .get(HEADER_LEN..HEADER_LEN.saturating_add(header.description_len as usize))
            .ok_or(ImageError::Description)?;
        (self.bytes, self.header) = (bytes, header);
        read::read(body, self.description.room())?;
        let network = self.description.network();
        validate::validate(&network, bytes, &header)?;
        let stated = Some(header.arena_bytes);
        let mut fills = |placing| self.layout.fill(&network, placing) == stated;
        let reuses =
            network.may_reuse() && (fills(Placing::InOrder) || fills(Placing::LargestFirst));
        if reuses || fills(Placing::Apart) {
            Ok(())
        } else {
            Err(ImageError::Arena)
        }
    }

    /// The image's bytes, without what follows them in memory.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Description of the network.
    #[must_use]
    pub const fn description(&self) -> &Description<'a, E, C> {
        &self.description
    }

    /// Places of each ensemble's state in the arena.
    #[must_use]
    pub const fn layout(&self) -> &Layout<E> {
        &self.layout
    }

    /// The RAM that the engine needs, in bytes.
    #[must_use]
    pub const fn arena_bytes(&self) -> usize {
        self.header.arena_bytes as usize
    }

    /// The RAM that the state of an ensemble takes, in bytes.
    #[must_use]
    pub fn ensemble_ram(&self, index: usize) -> u32 {
        let ensemble = self.description.ensembles.get(index);
        let part = ensemble.zip(self.layout.ensembles.get(index));
        part.map_or(0, |(e, area)| area.ram(e.inbox, e.neurons))
    }

    /// The RAM that the state of an output takes, in bytes.
    #[must_use]
    pub fn output_ram(&self, index: usize) -> u32 {
        let output = self.description.outputs.get(index);
        let part = output.zip(self.layout.outputs.get(index));
        part.map_or(0, |(o, area)| area.ram(o.inbox, o.size))
    }

    /// A section of bytes; empty if it is out of range, which parsing has excluded.
    #[must_use]
    pub fn section(&self, section: Section) -> &'a [u8] {
        section.of(self.bytes).unwrap_or(&[])
    }

    /// The encodings of an input's channels: place i is of channel i mod their number. One if all are alike.
    pub fn channels(
        &self,
        input: &Input,
    ) -> impl ExactSizeIterator<Item = Channel> + use<'a, E, C> {
        let own = self.section(input.channels);
        let own = own.as_chunks::<{ Channel::BYTES }>().0.iter();
        let all = Channel {
            scale: input.scale,
            zero_point: input.zero_point.into(),
        };
        let count = own.len().max(1);
        let mut own = own.map(Channel::read);
        (0..count).map(move |_| own.next().unwrap_or(all))
    }

    /// An input's way from values to bytes; `None` if there is no such input, or a coder takes its samples as they are.
    #[must_use]
    pub fn input(&self, index: usize) -> Option<Quantizer<'a>> {
        if cfg!(feature = "current-based") && self.description.coder != Coder::None {
            return None;
        }
        let input = *self.description.inputs.get(index)?;
        Some(Quantizer::new(input, self.section(input.channels)))
    }

    /// The weights of a connection.
    #[must_use]
    pub fn weights(&self, connection: &Connection) -> Weights<'a> {
        Weights {
            bytes: bytemuck::cast_slice(self.section(connection.weights)),
            layout: connection.layout,
        }
    }

    /// A section as a table of places.
    #[must_use]
    pub fn table(&self, section: Section) -> &'a [u16] {
        bytemuck::try_cast_slice(self.section(section)).unwrap_or(&[])
    }

    /// θ of each channel of an ensemble, `i16` or `i32` as its width says.
    #[must_use]
    pub fn thresholds<T: AnyBitPattern>(&self, e: &Ensemble) -> &'a [T] {
        self.values(e.params, 0, e.channels as usize)
    }

    /// The bias of each channel of an ensemble, `i16` or `i32` as its width says.
    #[must_use]
    pub fn biases<T: AnyBitPattern>(&self, e: &Ensemble) -> &'a [T] {
        self.values(e.params, e.row(), e.channels as usize)
    }

    /// First voltages of an ensemble's neurons, if it states them: shares of the threshold in parts of 2^16.
    #[must_use]
    pub fn shares(&self, e: &Ensemble) -> &'a [u16] {
        match e.initial {
            Initial::Each => self.values(e.params, 2 * e.row(), e.neurons as usize),
            _ => &[],
        }
    }

    /// The constants of an ensemble's neurons.
    #[must_use]
    pub fn constants(&self, e: &Ensemble) -> &'a [u32] {
        let count = e.neuron.constants(e.channels);
        self.values(e.params, e.params_len() - 4 * count, count as usize)
    }

    /// θ and bias of each channel of current-based neurons, and their constants; found together.
    #[must_use]
    pub fn parameters(&self, e: &Ensemble, kind: CubaLif) -> (&'a [i32], &'a [i32], &'a [u32]) {
        let channels = e.channels as usize;
        let constants = kind.constants(e.channels) as usize;
        let count = 2 * channels + e.shares() as usize / 4 + constants;
        let all: &[u32] = self.values(e.params, 0, count);
        let (thresholds, rest) = all.split_at(channels.min(all.len()));
        let (biases, rest) = rest.split_at(channels.min(rest.len()));
        let shares = (e.shares() as usize / 4).min(rest.len());
        let constants = rest.get(shares..).unwrap_or(&[]);
        (
            bytemuck::cast_slice(thresholds),
            bytemuck::cast_slice(biases),
            constants,
        )
    }

    /// The bias of each value of an output.
    #[must_use]
    pub fn output_biases(&self, o: &Output) -> &'a [i32] {
        self.values(o.params, 0, o.size as usize)
    }

    /// The multiplier of each value of an output.
    #[must_use]
    pub fn multipliers(&self, o: &Output) -> &'a [i32] {
        self.values(o.params, o.size * 4, o.size as usize)
    }

    /// So many values that start `behind` an offset; none if they are not there, which parsing has excluded.
    fn values<T: AnyBitPattern>(&self, offset: u32, behind: u32, count: usize) -> &'a [T] {
        let len = (count * size_of::<T>()) as u32;
        bytemuck::try_cast_slice(self.bytes_at(offset + behind, len)).unwrap_or(&[])
    }

    /// So many bytes from an offset on, by code that is there once.
    #[inline(never)]
    fn bytes_at(&self, offset: u32, len: u32) -> &'a [u8] {
        self.section(Section { offset, len })
    }
}

/// The header, and the bytes of the whole image, which are those that it was made of.
fn whole(bytes: &[u8]) -> Result<(Header, &[u8]), ImageError> {
    let header = Header::read(bytes)?;
    let bytes = bytes
        .get(..header.length as usize)
        .ok_or(ImageError::Truncated {
            stated: header.length,
            found: bytes.len(),
        })?;
    let found = checksum(bytes);
    if found != header.checksum {
        return Err(ImageError::Checksum {
            stated: header.checksum,
            found,
        });
    }
    Ok((header, bytes))
}
