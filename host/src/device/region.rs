//! Parts of a chip's memory.

use std::fmt;

use serde::Serialize;

/// A part of a chip's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// The address of its first byte.
    pub address: u32,
    /// Its length in bytes.
    pub len: u32,
}

impl Region {
    /// Makes the region from one address up to another, which is not part of it; empty if that lies before.
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self {
            address: start,
            len: end.saturating_sub(start),
        }
    }

    /// The address behind its last byte; the last address of all if it reaches that.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.address.saturating_add(self.len)
    }

    /// Tells whether another region lies within it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.address <= other.address && other.end() <= self.end()
    }

    /// Tells whether they share a byte.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.address < other.end() && other.address < self.end()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}..{:#010x}", self.address, self.end())
    }
}
