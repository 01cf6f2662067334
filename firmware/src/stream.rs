//! A device's connection over a byte stream, such as a UART or a USB serial port.
//!
//! ```ignore
//! let mut board = Streamed::new(uart, NoMeter);
//! let mut device = Device::new(build, image.as_ref().map_err(|e| (*e).into()), start, memory);
//! loop {
//!     device.poll(&mut board);
//! }
//! ```

use embedded_io::{Read, ReadReady, Write};
use tinyspike_shared::wire::Clock;

use crate::serve::{Board, Slots};

/// Services of a device beside its connection. Each may be left out.
pub trait Meter {
    /// Clock that counts the ticks.
    fn clock(&self) -> Clock {
        Clock::None
    }

    /// A time in ticks, which counts up and wraps around.
    fn ticks(&self) -> u32 {
        0
    }

    /// Bytes of stack that there are.
    fn stack(&self) -> u32 {
        0
    }

    /// The most bytes of stack that have been in use.
    fn stack_high_water(&self) -> u32 {
        0
    }

    /// The slots that the device writes itself, if it does.
    fn slots(&mut self) -> Option<&mut dyn Slots> {
        None
    }

    /// Starts the device again, if it can.
    fn restart(&mut self) {}
}

/// A device that measures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMeter;

impl Meter for NoMeter {}

/// A board behind a byte stream. Bytes that cannot be read or written are lost: the host asks again.
#[derive(Clone, Debug)]
pub struct Streamed<S, M> {
    stream: S,
    meter: M,
}

impl<S, M> Streamed<S, M> {
    /// Joins a stream and a meter.
    pub const fn new(stream: S, meter: M) -> Self {
        Self { stream, meter }
    }
}

impl<S: Read + ReadReady + Write, M: Meter> Board for Streamed<S, M> {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        match self.stream.read_ready() {
            Ok(true) => self.stream.read(bytes).unwrap_or(0),
            _ => 0,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.flush();
    }

    fn clock(&self) -> Clock {
        self.meter.clock()
    }

    fn ticks(&self) -> u32 {
        self.meter.ticks()
    }

    fn stack(&self) -> u32 {
        self.meter.stack()
    }

    fn stack_high_water(&self) -> u32 {
        self.meter.stack_high_water()
    }

    fn slots(&mut self) -> Option<&mut dyn Slots> {
        self.meter.slots()
    }

    fn restart(&mut self) {
        self.meter.restart();
    }
}
