//! The facts of a board.

use core::ops::Range;

/// A part of a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The address of its first byte.
    pub address: u32,
    /// Its length in bytes.
    pub len: u32,
}

impl Region {
    /// Its addresses.
    #[must_use]
    pub const fn range(self) -> Range<u32> {
        self.address..self.address + self.len
    }
}

/// The facts of a board.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// Its name: QEMU's of a Cortex-M board.
    pub name: &'static str,
    /// The start of a command that emulates it.
    pub emulator: Emulator,
    /// Its processor.
    pub core: &'static str,
    /// The compiler's target.
    pub target: &'static str,
    /// probe-rs's name of its chip; empty if it has no debug probe.
    pub chip: &'static str,
    /// The description of its chip, if probe-rs's database has none.
    pub chip_description: Option<&'static str>,
    /// Its flash, which starts with the vector table.
    pub flash: Region,
    /// Its main RAM.
    pub ram: Region,
    /// Further memory, which programs may use as they like.
    pub more: &'static [Region],
    /// Addresses that answer, besides memory and the peripherals of every core.
    pub mapped: &'static [Region],
    /// The way its flash is erased.
    pub erase: Erase,
    /// The instructions that its breakpoint unit compares.
    pub breakpoints: usize,
    /// `true` if that unit is of the second version.
    pub breakpoints_v2: bool,
    /// Tells whether it has floating-point registers.
    pub fpu: bool,
    /// The programs for it, if there are any.
    pub programs: Option<Programs>,
}

/// QEMU as a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emulator {
    /// The program.
    pub program: &'static str,
    /// Its name of the board.
    pub machine: &'static str,
    /// Further arguments.
    pub options: &'static [&'static str],
}

impl Emulator {
    /// QEMU for Arm boards, which needs no more than the board's name.
    pub(crate) const fn arm(machine: &'static str) -> Self {
        Self {
            program: "qemu-system-arm",
            machine,
            options: &[],
        }
    }
}

/// A way to erase flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase {
    /// The flash controller of the nRF51.
    Nrf51,
    /// Memory that is RAM.
    Ram,
    /// Nothing can erase it.
    Never,
}

/// The facts that a board's programs, and the host that runs them, agree on.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// The programs that it has.
    pub which: &'static [Program],
    /// The packed image lies there.
    pub image: Region,
    /// The block of inputs lies there.
    pub inputs: Region,
    /// The arena's length in words.
    pub arena: usize,
    /// The most ensembles and connections of a network whose spikes are printed.
    pub traced: [usize; 2],
    /// The most ensembles and connections of a network that is measured.
    pub measured: [usize; 2],
    /// The same of a network for which that is too little room.
    pub roomy: [usize; 2],
    /// `true` if its flash holds all parts of the engine, an image and inputs.
    pub whole: bool,
    /// The timer that is read to measure.
    pub timer: Timer,
    /// The timer's ticks in a second.
    pub timer_hz: u64,
    /// The registers of a CMSDK APB UART to log to.
    pub uart: Option<usize>,
}

impl Programs {
    /// The flash that programs may take, up to the image if that lies there.
    #[must_use]
    pub const fn flash(&self, data: &Data) -> Region {
        let Range { start, end } = data.flash.range();
        let own = start <= self.image.address && self.image.address < end;
        Region {
            address: start,
            len: (if own { self.image.address } else { end }) - start,
        }
    }
}

/// A timer, with the address of its registers if it has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A CMSDK APB timer, which counts down.
    Cmsdk(usize),
    /// A timer of the nRF51.
    Nrf51(usize),
    /// The core's own count of cycles, in sixteens. QEMU has a cycle take a nanosecond.
    Cycles,
}

/// A program for boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// Prints every spike.
    Trace,
    /// Measures each part of an inference.
    Bench,
    /// Measures the layers of an inference.
    Layers,
    /// Classifies one input and is silent: its size is the engine's.
    Minimal,
    /// Takes many steps on random inputs and prints a digest of all state.
    Soak,
    /// Serves the protocol over its UART, and writes its own slots.
    Serve,
}

impl Program {
    /// The name of its binary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Bench => "bench",
            Self::Layers => "layers",
            Self::Minimal => "minimal",
            Self::Soak => "soak",
            Self::Serve => "serve",
        }
    }
}
