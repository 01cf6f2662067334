//! The header of fixed size, which tells whether the rest can be read at all.

use super::error::{ImageError, VERSION};
use crate::crc32::Crc32;

/// The first four bytes of every image.
pub const MAGIC: [u8; 4] = *b"TSPK";
/// The length of the header in bytes.
pub const HEADER_LEN: usize = 32;
/// The alignment of the image in memory, and of every section in it, in bytes.
pub const ALIGN: usize = 4;

const CHECKSUM_AT: usize = 28;

/// The header's fields. All integers are little-endian in the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// The length of the whole image in bytes, header included.
    pub length: u32,
    /// The length of the postcard description in bytes; it follows the header at once.
    pub description_len: u32,
    /// The RAM that the engine needs for this network, in bytes.
    pub arena_bytes: u32,
    /// Release of the model, as its maker counts; 0 if nobody counts. A device may refuse to go back below one.
    pub model_version: u32,
    /// CRC-32 (ISO-HDLC) of the whole image less these four bytes.
    pub checksum: u32,
}

impl Header {
    /// Reads and checks the header at the start of `bytes`.
    ///
    /// # Errors
    /// What makes it unreadable.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ImageError::Magic);
        }
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(ImageError::Truncated {
            stated: HEADER_LEN as u32,
            found: bytes.len(),
        })?;
        let version = u16::from_le_bytes([header[4], header[5]]);
        if version != VERSION {
            return Err(ImageError::Version { found: version });
        }
        if bytes.as_ptr().align_offset(ALIGN) != 0 {
            return Err(ImageError::Misaligned);
        }
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        // Reserved bytes are zero, so that a later version can give them a meaning.
        if header[6..8] != [0; 2] || header[24..CHECKSUM_AT] != [0; 4] {
            return Err(ImageError::Reserved);
        }
        let length = word(8);
        if (length as usize) < HEADER_LEN {
            return Err(ImageError::Truncated {
                stated: HEADER_LEN as u32,
                found: length as usize,
            });
        }
        Ok(Self {
            length,
            description_len: word(12),
            arena_bytes: word(16),
            model_version: word(20),
            checksum: word(CHECKSUM_AT),
        })
    }

    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.description_len.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.arena_bytes.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.model_version.to_le_bytes());
        bytes[CHECKSUM_AT..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }
}

/// The checksum of a whole image, header included: CRC-32 (ISO-HDLC) over all bytes but the four of
/// the checksum itself.
#[must_use]
pub fn checksum(image: &[u8]) -> u32 {
    Crc32::new()
        .and(image.get(..CHECKSUM_AT).unwrap_or(image))
        .and(image.get(HEADER_LEN..).unwrap_or(&[]))
        .value()
}
