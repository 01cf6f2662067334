//! Where a board's firmware finds what it runs: the host puts it there.

/// A part of a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The address of its first byte.
    pub address: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// Arm's MPS2 with the image AN386 (Cortex-M4): both lie in the PSRAM of 16 MiB.
pub mod mps2_an386 {
    use super::Region;

    /// The packed image.
    pub const IMAGE: Region = Region {
        address: 0x2100_0000,
        len: 8 << 20,
    };
    /// The block of inputs.
    pub const INPUTS: Region = Region {
        address: 0x2180_0000,
        len: 8 << 20,
    };
}
