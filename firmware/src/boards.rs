//! Places in memory at which the host puts what a board's firmware runs.

/// A part of a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The address of its first byte.
    pub address: u32,
    /// Its length in bytes.
    pub len: u32,
}

/// Agreement between a board's firmware and the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Region of the packed image.
    pub image: Region,
    /// Region of the block of inputs.
    pub inputs: Region,
}

/// Limits of a network in the application, which fix the RAM that its parsed image takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most ensembles.
    pub ensembles: usize,
    /// The most connections.
    pub connections: usize,
    /// Bytes of memory that it takes as a stack to find and read its image, before that memory is the network's.
    pub start_stack: u32,
    /// Bytes of such a stack for checking a signature.
    pub signature_stack: u32,
    /// Bytes of stack for inferences of deployed networks.
    pub plain_stack: u32,
    /// Bytes of stack for inferences of exact networks.
    pub exact_stack: u32,
}

impl Limits {
    /// Limits of the application for a target of the compiler's, such as `thumbv6m-none-eabi`.
    #[must_use]
    pub fn of(target: &str) -> Self {
        let baseline = ["thumbv6m", "thumbv8m.base"];
        if baseline.iter().any(|name| target.starts_with(name)) {
            Self::BASELINE
        } else {
            Self::MAINLINE
        }
    }

    /// Bytes of stack for inferences, which a network that runs exactly needs more of. Measured on emulated boards
    /// over all kinds of images, with a sixth to spare at least.
    #[must_use]
    pub const fn stack(self, exact: bool) -> u32 {
        if exact {
            self.exact_stack
        } else {
            self.plain_stack
        }
    }

    /// Bytes of stack for the start, with or without a signature to check.
    #[must_use]
    pub const fn stack_to_start(self, signature: bool) -> u32 {
        if signature && self.signature_stack > self.start_stack {
            self.signature_stack
        } else {
            self.start_stack
        }
    }

    /// Limits on cores of the baseline (Cortex-M0, M0+ and M23), whose chips have little memory.
    pub const BASELINE: Self = Self {
        ensembles: 8,
        connections: 12,
        start_stack: 6 << 10,
        signature_stack: 17 << 9,
        plain_stack: 9 << 9,
        exact_stack: 6 << 10,
    };
    /// Limits on all other cores.
    pub const MAINLINE: Self = Self {
        ensembles: 16,
        connections: 24,
        start_stack: 10 << 10,
        signature_stack: 17 << 9,
        plain_stack: 9 << 9,
        exact_stack: 6 << 10,
    };
}

/// Arm's MPS2 with the image AN386 (Cortex-M4): both lie in the PSRAM of 16 MiB.
pub const MPS2_AN386: Board = in_psram(0x2100_0000);

/// Arm's MPS2 with the image AN500 (Cortex-M7): both lie in the PSRAM of 16 MiB.
pub const MPS2_AN500: Board = in_psram(0x6000_0000);

/// The length in words of the arena in the programs for the micro:bit: 9.5 KiB of its 16.
pub const MICROBIT_ARENA: usize = 2432;

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
