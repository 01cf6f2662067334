//! Sizes of a network in the application.

use tinyspike_shared::image::{Description, Ensemble};

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
    /// Bytes of stack for inferences of deployed networks with max pooling.
    pub pool_stack: u32,
    /// Bytes of stack for inferences of exact networks.
    pub exact_stack: u32,
    /// Bytes of the stack for inferences that each further room takes, see [`Limits::times`].
    pub room_stack: u32,
}

impl Limits {
    /// The most ensembles of any network.
    pub const MOST_ENSEMBLES: usize = 128;
    /// The most connections of any network.
    pub const MOST_CONNECTIONS: usize = 254;
    /// The most rooms that an application is built with, see [`Limits::times`].
    pub const MOST_ROOMS: usize = 16;

    /// Bytes of the stack to read an image that each further room takes.
    const START_ROOM_STACK: u32 = 48;

    /// Limits of the application with `rooms` times the usual room for ensembles and connections.
    #[must_use]
    pub const fn times(self, rooms: usize) -> Self {
        Self {
            ensembles: least(self.ensembles * rooms, Self::MOST_ENSEMBLES),
            connections: least(self.connections * rooms, Self::MOST_CONNECTIONS),
            start_stack: self.start_stack + Self::START_ROOM_STACK * (rooms as u32 - 1),
            plain_stack: self.plain_stack + self.room_stack * (rooms as u32 - 1),
            pool_stack: self.pool_stack + self.room_stack * (rooms as u32 - 1),
            exact_stack: self.exact_stack + self.room_stack * (rooms as u32 - 1),
            ..self
        }
    }

    /// The least rooms, a power of two of them, in which a network has its place; `None` if no application holds it.
    #[must_use]
    pub fn rooms(self, ensembles: usize, connections: usize) -> Option<usize> {
        let powers = core::iter::successors(Some(1), |rooms| Some(rooms * 2));
        powers
            .take_while(|&rooms| rooms <= Self::MOST_ROOMS)
            .find(|&rooms| {
                let limits = self.times(rooms);
                ensembles <= limits.ensembles && connections <= limits.connections
            })
    }

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

    /// Bytes of stack for inferences of a network, by its kind. Measured on emulated boards over all kinds of images,
    /// with an eighth to spare at least.
    #[must_use]
    pub fn stack<const E: usize, const C: usize>(self, network: &Description<'_, E, C>) -> u32 {
        if network.is_exact() {
            self.exact_stack
        } else if network.ensembles.iter().any(Ensemble::pools) {
            self.pool_stack
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
        start_stack: 5 << 8,
        signature_stack: 17 << 9,
        plain_stack: 70 << 6,
        pool_stack: 76 << 6,
        exact_stack: 6 << 10,
        room_stack: 192,
    };
    /// Limits on all other cores.
    pub const MAINLINE: Self = Self {
        ensembles: 16,
        connections: 24,
        start_stack: 5 << 8,
        signature_stack: 17 << 9,
        plain_stack: 9 << 9,
        pool_stack: 84 << 6,
        exact_stack: 6 << 10,
        room_stack: 384,
    };
}

const fn least(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}
