//! The packed image: a network in integers, as one block of bytes that a device reads in place.
//!
//! `docs/image-format.md` is the specification. A [`Header`] of fixed size comes first, then the
//! [`Description`] in postcard's wire format, then the sections: int8 weights, biases and
//! thresholds, each aligned to four bytes.
//!
//! # Invariants
//! [`Image::parse`] is the only way to an [`Image`], and it checks everything: after it, no accessor
//! fails, every index and section is in range, connections only lead forward, and every threshold is
//! positive. The time that it takes grows linearly with the image.

mod description;
pub mod dynamics;
mod error;
mod header;
mod layout;
mod read;
mod validate;

pub use description::{
    Axis, Connection, Convolution, Dense, Description, Ensemble, Input, MAX_INPUTS, MAX_OUTPUTS,
    NOWHERE, Output, Post, Pre, Section, SourceMap, Span, Transform, Width, Window,
};
pub use error::{Fault, ImageError};
pub use header::{ALIGN, HEADER_LEN, Header, MAGIC, VERSION, checksum};
pub use layout::{Area, Layout};

use crate::weights::Weights;
use dynamics::Records;

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
        const { assert!(E <= 128 && C <= 254, "indices are bytes") };
        let (header, bytes) = whole(bytes)?;
        let body = bytes
            .get(HEADER_LEN..HEADER_LEN.saturating_add(header.description_len as usize))
            .ok_or(ImageError::Description)?;
        let mut image = Self {
            bytes,
            header,
            description: Description::default(),
            layout: Layout::default(),
        };
        read::read(body, image.description.room())?;
        let network = image.description.network();
        validate::validate(&network, bytes, &header)?;
        let dynamics = records(network.dynamics, bytes);
        image
            .layout
            .fill(&network, dynamics)
            .ok_or(ImageError::Arena)?;
        if image.layout.bytes() != header.arena_bytes {
            return Err(ImageError::Arena);
        }
        Ok(image)
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

    /// What the network consists of.
    #[must_use]
    pub const fn description(&self) -> &Description<'a, E, C> {
        &self.description
    }

    /// Where each ensemble's state lies in the arena.
    #[must_use]
    pub const fn layout(&self) -> &Layout<E> {
        &self.layout
    }

    /// The RAM that the engine needs, in bytes.
    #[must_use]
    pub const fn arena_bytes(&self) -> usize {
        self.header.arena_bytes as usize
    }

    /// How its parts run step by step; empty where they are integrate-and-fire neurons and sums.
    #[must_use]
    pub fn dynamics(&self) -> Records<'a> {
        records(self.description.dynamics, self.bytes)
    }

    /// A section of bytes; empty where it is out of range, which parsing has excluded.
    #[must_use]
    pub fn section(&self, section: Section) -> &'a [u8] {
        section.of(self.bytes).unwrap_or(&[])
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

    /// A section as int16 parameters.
    #[must_use]
    pub fn params16(&self, section: Section) -> &'a [i16] {
        bytemuck::try_cast_slice(self.section(section)).unwrap_or(&[])
    }

    /// A section as int32 parameters.
    #[must_use]
    pub fn params32(&self, section: Section) -> &'a [i32] {
        bytemuck::try_cast_slice(self.section(section)).unwrap_or(&[])
    }
}

/// The records of a network; empty where it has none.
fn records(section: Section, image: &[u8]) -> Records<'_> {
    match section {
        Section { len: 0, .. } => Records::default(),
        section => Records::new(section.of(image).unwrap_or(&[])),
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
