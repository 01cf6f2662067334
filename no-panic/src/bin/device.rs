//! The device's side of the protocol with a host. It must link.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::hint::black_box;

use tinyspike_firmware::Image;
use tinyspike_firmware::serve::{Board, Build, Device};
use tinyspike_no_panic as _;
use tinyspike_shared::accept::{Refusal, Start, Terms};
use tinyspike_shared::slots::{Slot, stored};
use tinyspike_shared::wire::Clock;

#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the entry point has a fixed name")]
extern "C" fn _start() -> ! {
    let mut memory = [0; 64];
    loop {
        serve::<16, 24>(black_box(&[]), black_box(&mut memory));
    }
}

/// Answers a host.
fn serve<const E: usize, const C: usize>(bytes: &[u8], memory: &mut [u32]) {
    let build = Build {
        version: "",
        architecture: "",
        key: None,
    };
    let (mut state, mut other) = (None, None);
    let start = Start::find(stored([bytes, bytes]), |slot, minimum| {
        let image: Image<'_, E, C> = Terms::version(minimum).accept(bytes)?;
        *(if slot == Slot::A {
            &mut state
        } else {
            &mut other
        }) = Some(image);
        Ok(())
    });
    let image = state.as_ref().or(other.as_ref());
    let image = image.ok_or(Refusal::Version {
        version: 0,
        minimum: 0,
    });
    let mut device = Device::new(build, image, start, memory);
    device.poll(&mut Chip);
    black_box(device.image());
}

/// A chip of which the compiler knows nothing.
struct Chip;

impl Board for Chip {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        black_box(bytes).len()
    }

    fn send(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }

    fn clock(&self) -> Clock {
        black_box(Clock::CycleCounter)
    }

    fn ticks(&self) -> u32 {
        black_box(0)
    }

    fn stack(&self) -> u32 {
        black_box(0)
    }

    fn stack_high_water(&self) -> u32 {
        black_box(0)
    }
}
