//! Measures inferences on Arm's MPS2 board with the image AN386 (Cortex-M4), as QEMU's `mps2-an386`.
//!
//! It runs every input of the block at [`mps2_an386::INPUTS`] through the image at
//! [`mps2_an386::IMAGE`] and prints what [`bench`] has measured over semihosting.

#![no_std]
#![no_main]

mod support;

use core::panic::PanicInfo;
use core::sync::atomic::{Ordering, compiler_fence};

use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS};
use tinyspike_firmware::bench::{self, Meter};
use tinyspike_firmware::boards::mps2_an386;
use tinyspike_firmware::{Image, Inputs, Portable};

use support::{Console, Refused, Stack, exit, memory, refuse};

/// The arena's length in words: 2 MiB, half of the board's RAM.
const ARENA: usize = 512 << 10;

#[entry]
fn main() -> ! {
    static mut STATE: [u32; ARENA] = [0; ARENA];
    match run(STATE) {
        Ok(()) => exit(EXIT_SUCCESS),
        Err(Refused) => exit(EXIT_FAILURE),
    }
}

fn run(arena: &mut [u32]) -> Result<(), Refused> {
    let image: Image<'_> = Image::parse(memory(mps2_an386::IMAGE)).map_err(refuse)?;
    let inputs = Inputs::parse(memory(mps2_an386::INPUTS)).map_err(refuse)?;
    let mut console = Console::open().map_err(refuse)?;
    let mut meter = Timer::start();
    let run = bench::run::<Portable, _, _>(&image, arena, &inputs, &mut meter, &mut console);
    console.flush().map_err(refuse)?;
    run.map_err(refuse)
}

/// The first CMSDK APB timer, which counts down at 25 MHz, and the stack.
struct Timer {
    stack: Stack,
}

impl Timer {
    const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
    const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
    const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;
    const ENABLE: u32 = 1;

    fn start() -> Self {
        // SAFETY: the board has this register at this address, and only this type uses it.
        unsafe { Self::RELOAD.write_volatile(u32::MAX) };
        // SAFETY: as above.
        unsafe { Self::VALUE.write_volatile(u32::MAX) };
        // SAFETY: as above.
        unsafe { Self::CONTROL.write_volatile(Self::ENABLE) };
        Self {
            stack: Stack::new(),
        }
    }
}

impl Meter for Timer {
    #[inline(never)]
    fn ticks(&self) -> u32 {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as in `start`.
        let left = unsafe { Self::VALUE.read_volatile() };
        compiler_fence(Ordering::SeqCst);
        u32::MAX - left
    }

    fn paint(&mut self) {
        self.stack.paint();
    }

    fn depth(&self) -> u32 {
        self.stack.depth()
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    refuse(info);
    exit(EXIT_FAILURE)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    refuse(format_args!("hard fault at {:#010x}", frame.pc()));
    exit(EXIT_FAILURE)
}
