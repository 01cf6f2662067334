//! A block of inputs in a device's memory, beside the image that runs on them.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `TSIN` |
//! | 4..6 | version, 1 |
//! | 6..8 | zero |
//! | 8..12 | how many inputs follow |
//! | 12..16 | the length of each in bytes |
//! | 16.. | the inputs, one after another |
//!
//! Integers are little-endian. An input holds one byte for each place of the network's inputs, in the
//! image's order, as [`Input`](crate::image::Input) defines them.

use core::fmt;

/// The first four bytes of every block.
pub const MAGIC: [u8; 4] = *b"TSIN";
/// The format version that this crate reads and writes.
pub const VERSION: u16 = 1;
/// The length of the header in bytes.
pub const HEADER_LEN: usize = 16;

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// Number of inputs.
    pub count: u32,
    /// The length of each in bytes.
    pub size: u32,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..].copy_from_slice(&self.size.to_le_bytes());
        bytes
    }
}

/// A checked block over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    header: Header,
    values: &'a [u8],
}

/// Reason why a block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputsError {
    /// The first bytes are not a block's.
    Magic,
    /// The block has another format version.
    Version {
        /// The version that it states.
        found: u16,
    },
    /// Reserved header bytes are not zero.
    Reserved,
    /// Inputs of no length.
    Empty,
    /// Fewer bytes than the header says.
    Truncated {
        /// Number of inputs that is stated.
        count: u32,
        /// The stated length of each in bytes.
        size: u32,
        /// Bytes that there are after the header.
        found: usize,
    },
}

impl fmt::Display for InputsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("this is not a block of inputs"),
            Self::Version { found } => write!(
                f,
                "the block of inputs has format version {found}, this build reads version {VERSION}"
            ),
            Self::Reserved => {
                f.write_str("reserved bytes in the header of the inputs are not zero")
            }
            Self::Empty => f.write_str("the inputs have no length"),
            Self::Truncated { count, size, found } => write!(
                f,
                "the block of inputs is cut short: {count} of {size} bytes are stated, {found} bytes are there"
            ),
        }
    }
}

impl core::error::Error for InputsError {}

impl<'a> Inputs<'a> {
    /// Checks `bytes` and reads the block in them. What follows the block is ignored, so that a whole
    /// memory region can be given.
    ///
    /// # Errors
    /// An [`InputsError`] that says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InputsError> {
        let (header, values) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(InputsError::Magic)?;
        if header[..4] != MAGIC {
            return Err(InputsError::Magic);
        }
        let found = u16::from_le_bytes([header[4], header[5]]);
        if found != VERSION {
            return Err(InputsError::Version { found });
        }
        if header[6..8] != [0; 2] {
            return Err(InputsError::Reserved);
        }
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (count, size) = (word(8), word(12));
        if size == 0 {
            return Err(InputsError::Empty);
        }
        let values = (count as usize)
            .checked_mul(size as usize)
            .and_then(|length| values.get(..length))
            .ok_or(InputsError::Truncated {
                count,
                size,
                found: values.len(),
            })?;
        Ok(Self {
            header: Header { count, size },
            values,
        })
    }

    /// Header: the number of inputs, and their length.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The inputs, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.values.chunks_exact((self.header.size as usize).max(1))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;

    fn block(count: u32, size: u32, values: &[u8]) -> Vec<u8> {
        let mut bytes = Header { count, size }.to_bytes().to_vec();
        bytes.extend_from_slice(values);
        bytes
    }

    #[test]
    fn inputs_come_back_and_what_follows_is_ignored() {
        let bytes = block(2, 3, &[1, 2, 3, 4, 5, 6, 99]);
        let inputs = Inputs::parse(&bytes).unwrap();
        assert_eq!(inputs.header(), Header { count: 2, size: 3 });
        let values: Vec<&[u8]> = inputs.iter().collect();
        assert_eq!(values, [&[1, 2, 3], &[4, 5, 6]]);
    }

    #[test]
    fn false_claims_are_refused() {
        let refused = |bytes: &[u8]| Inputs::parse(bytes).unwrap_err();
        assert_eq!(refused(&[]), InputsError::Magic);
        assert_eq!(refused(&[0; 64]), InputsError::Magic);
        assert_eq!(refused(&block(1, 0, &[])), InputsError::Empty);
        let (count, size, found) = (u32::MAX, u32::MAX, 1);
        let error = InputsError::Truncated { count, size, found };
        assert_eq!(refused(&block(count, size, &[0])), error);
        let mut bytes = block(1, 1, &[0]);
        bytes[6] = 1;
        assert_eq!(refused(&bytes), InputsError::Reserved);
        bytes[4] = 2;
        assert_eq!(refused(&bytes), InputsError::Version { found: 2 });
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            start in prop_oneof![Just(block(2, 2, &[1, 2, 3, 4])), proptest::collection::vec(any::<u8>(), 0..32)],
            flips in proptest::collection::vec((0usize..20, any::<u8>()), 0..4),
        ) {
            let mut bytes = start;
            for (at, value) in flips {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            if let Ok(inputs) = Inputs::parse(&bytes) {
                prop_assert_eq!(inputs.iter().len(), inputs.header().count as usize);
            }
        }
    }
}
