//! The board's timer.

use core::sync::atomic::{Ordering, compiler_fence};

use tinyspike_boards::Timer as Kind;
use tinyspike_firmware::bench::Meter;

use super::{PROGRAMS, Stack, processor};

/// The timer and the stack.
pub(crate) struct Timer {
    stack: Stack,
}

/// The registers of a CMSDK APB timer.
mod cmsdk {
    pub(super) const CONTROL: usize = 0;
    pub(super) const VALUE: usize = 4;
    pub(super) const RELOAD: usize = 8;
    pub(super) const ENABLE: u32 = 1;
}

/// The registers of a timer of the nRF51.
mod nrf51 {
    pub(super) const START: usize = 0;
    pub(super) const CAPTURE: usize = 0x40;
    pub(super) const BITMODE: usize = 0x508;
    pub(super) const PRESCALER: usize = 0x510;
    pub(super) const CAPTURED: usize = 0x540;
    pub(super) const BITS_32: u32 = 3;
}

fn store(address: usize, value: u32) {
    // SAFETY: the board's data name a timer, which has this register, and only this module uses it.
    unsafe { (address as *mut u32).write_volatile(value) };
}

fn load(address: usize) -> u32 {
    // SAFETY: as above.
    unsafe { (address as *const u32).read_volatile() }
}

impl Timer {
    pub(crate) fn start() -> Self {
        match PROGRAMS.timer {
            Kind::Cmsdk(timer) => {
                store(timer + cmsdk::RELOAD, u32::MAX);
                store(timer + cmsdk::VALUE, u32::MAX);
                store(timer + cmsdk::CONTROL, cmsdk::ENABLE);
            }
            Kind::Nrf51(timer) => {
                store(timer + nrf51::BITMODE, nrf51::BITS_32);
                store(timer + nrf51::PRESCALER, 0);
                store(timer + nrf51::START, 1);
            }
            Kind::Cycles => {}
        }
        Self {
            stack: Stack::new(),
        }
    }
}

impl Meter for Timer {
    #[inline(never)]
    fn ticks(&self) -> u32 {
        compiler_fence(Ordering::SeqCst);
        let ticks = match PROGRAMS.timer {
            Kind::Cmsdk(timer) => u32::MAX - load(timer + cmsdk::VALUE),
            Kind::Nrf51(timer) => {
                store(timer + nrf51::CAPTURE, 1);
                load(timer + nrf51::CAPTURED)
            }
            Kind::Cycles => (processor::cycles() / 16) as u32,
        };
        compiler_fence(Ordering::SeqCst);
        ticks
    }

    fn paint(&mut self) {
        self.stack.paint();
    }

    fn depth(&self) -> u32 {
        self.stack.depth()
    }
}
