//! Runs of bytes in an image.

use serde::{Deserialize, Serialize};

/// A run of bytes in the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
