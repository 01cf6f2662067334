//! Where a board's firmware finds what it runs: the host puts it there.

/// A part of a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The address of its first byte.
    pub address: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// What a board's firmware and the host agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Where the packed image lies.
    pub image: Region,
    /// Where the block of inputs lies.
    pub inputs: Region,
}

/// What the application can hold of a network, which fixes the RAM that its parsed image takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most ensembles.
    pub ensembles: usize,
    /// The most connections.
    pub connections: usize,
}

impl Limits {
    /// On cores of the baseline (Cortex-M0, M0+ and M23), whose chips have little memory.
    pub const BASELINE: Self = Self {
        ensembles: 8,
        connections: 12,
    };
    /// On all others.
    pub const MAINLINE: Self = Self {
        ensembles: 16,
        connections: 24,
    };
}

/// Bytes of memory that the application takes as a stack to find and check its image, before that memory is the
/// network's.
pub const START_STACK: u32 = if cfg!(feature = "signature") {
    SIGNED_START_STACK
} else {
    PLAIN_START_STACK
};

/// The same where images need no signature.
pub const PLAIN_START_STACK: u32 = 3 << 10;

/// The same where they do: checking an Ed25519 signature takes the most.
pub const SIGNED_START_STACK: u32 = 8 << 10;

/// Arm's MPS2 with the image AN386 (Cortex-M4): both lie in the PSRAM of 16 MiB.
pub const MPS2_AN386: Board = in_psram(0x2100_0000);

/// Arm's MPS2 with the image AN500 (Cortex-M7): both lie in the PSRAM of 16 MiB.
pub const MPS2_AN500: Board = in_psram(0x6000_0000);

/// The BBC micro:bit (nRF51822, Cortex-M0): both lie in flash, behind the firmware.
pub const MICROBIT: Board = Board {
    image: Region {
        address: 0x1_0000,
        len: 0x1_c000,
    },
    inputs: Region {
        address: 0x2_c000,
        len: 0x1_4000,
    },
};

const fn in_psram(address: u32) -> Board {
    const HALF: u32 = 8 << 20;
    Board {
        image: Region { address, len: HALF },
        inputs: Region {
            address: address + HALF,
            len: HALF,
        },
    }
}
