//! A device without a chip: the firmware's own protocol server, at the other end of a wire in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tinyspike::device::session::{Link, Lost};
use tinyspike_firmware::serve::{Board, Build, Device};
use tinyspike_shared::wire::Clock;

/// The most ensembles of a network on this device.
pub const ENSEMBLES: usize = 16;
/// The most connections.
pub const CONNECTIONS: usize = 24;

/// Build that the firmware names as its own.
pub const BUILD: Build = Build {
    version: "0.0.0",
    architecture: "memory",
    key: None,
};

/// Changes some of what travels over a wire.
pub trait Noise {
    /// Passes a byte on: nothing, itself, or something else.
    fn pass(&mut self, byte: u8) -> Option<u8>;
}

/// Changes nothing.
impl Noise for () {
    fn pass(&mut self, byte: u8) -> Option<u8> {
        Some(byte)
    }
}

/// Spoils a byte now and then.
#[derive(Clone, Debug)]
pub struct Spoil {
    state: u32,
    /// One of so many bytes is lost or changed.
    every: u32,
}

impl Spoil {
    /// Makes a generator; the seed must be above 0.
    #[must_use]
    pub const fn new(seed: u32, every: u32) -> Self {
        Self { state: seed, every }
    }
}

impl Noise for Spoil {
    fn pass(&mut self, byte: u8) -> Option<u8> {
        // Xorshift.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        if !self.state.is_multiple_of(self.every) {
            return Some(byte);
        }
        let other = (self.state >> 8) as u8;
        (other & 1 == 0).then_some(other)
    }
}

/// The two directions of a wire.
#[derive(Debug, Default)]
struct Wire {
    down: VecDeque<u8>,
    up: VecDeque<u8>,
}

/// The device's end.
#[derive(Debug)]
struct End {
    wire: Rc<RefCell<Wire>>,
    ticks: RefCell<u32>,
    /// Signs of the device that it was alive, and idle.
    signs: [u32; 2],
}

impl Board for End {
    fn alive(&mut self) {
        self.signs[0] += 1;
    }

    fn idle(&mut self) {
        self.signs[1] += 1;
    }

    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        let mut wire = self.wire.borrow_mut();
        let count = bytes.len().min(wire.down.len());
        for (place, byte) in bytes.iter_mut().zip(wire.down.drain(..count)) {
            *place = byte;
        }
        count
    }

    fn send(&mut self, bytes: &[u8]) {
        self.wire.borrow_mut().up.extend(bytes);
    }

    fn clock(&self) -> Clock {
        Clock::CycleCounter
    }

    fn ticks(&self) -> u32 {
        let mut ticks = self.ticks.borrow_mut();
        *ticks = ticks.wrapping_add(1000);
        *ticks
    }

    fn stack(&self) -> u32 {
        4096
    }

    fn stack_high_water(&self) -> u32 {
        1024
    }
}

/// A device at the end of a wire, which runs whenever its host listens.
#[derive(Debug)]
pub struct Near<'a, N> {
    device: Device<'a, ENSEMBLES, CONNECTIONS>,
    end: End,
    noise: N,
}

impl<'a, N: Noise> Near<'a, N> {
    /// A device behind some noise.
    pub fn new(device: Device<'a, ENSEMBLES, CONNECTIONS>, noise: N) -> Self {
        let end = End {
            wire: Rc::default(),
            ticks: RefCell::new(0),
            signs: [0; 2],
        };
        Self { device, end, noise }
    }

    /// Times that the device has shown that it is alive, and that it is idle.
    #[must_use]
    pub const fn signs(&self) -> [u32; 2] {
        self.end.signs
    }
}

impl<N: Noise> Link for Near<'_, N> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        // As a small buffer does, it takes a part.
        let bytes = bytes.get(..100).unwrap_or(bytes);
        let passed = bytes.iter().filter_map(|&byte| self.noise.pass(byte));
        self.end.wire.borrow_mut().down.extend(passed);
        Ok(bytes.len())
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Lost> {
        self.device.poll(&mut self.end);
        let mut wire = self.end.wire.borrow_mut();
        let count = bytes.len().min(wire.up.len());
        let passed = wire.up.drain(..count);
        let passed = passed.filter_map(|byte| self.noise.pass(byte));
        Ok(bytes
            .iter_mut()
            .zip(passed)
            .map(|(place, byte)| *place = byte)
            .count())
    }

    fn state(&mut self) -> Result<Option<String>, Lost> {
        Ok(None)
    }
}
