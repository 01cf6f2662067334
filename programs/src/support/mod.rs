//! Support for the firmware of emulated boards: the host's console, memory that the host has filled,
//! measurements, and the end of a program.

#![allow(dead_code, reason = "each program uses a part of it")]

#[cfg(all(target_arch = "arm", not(tinyspike_baseline)))]
#[expect(unsafe_code, reason = "assembly under the names of the run-time ABI")]
mod copy;
#[cfg(target_arch = "arm")]
#[expect(
    unsafe_code,
    reason = "a table under the name and in the section that cortex-m-rt gives it"
)]
mod interrupts;
#[expect(unsafe_code, reason = "a board's memory is where its manual says")]
mod memory;
#[expect(unsafe_code, reason = "memory that is handed out once")]
mod own;
#[cfg(target_arch = "arm")]
#[path = "cortex_m.rs"]
#[expect(unsafe_code, reason = "cortex-m-rt wants the handler to be unsafe")]
mod processor;
#[cfg(target_arch = "riscv32")]
#[path = "riscv.rs"]
#[expect(
    unsafe_code,
    reason = "a handler under the name that riscv-rt gives it, and the stack pointer"
)]
mod processor;
#[expect(unsafe_code, reason = "the free part of the stack")]
mod stack;
#[expect(unsafe_code, reason = "a timer's registers")]
mod timer;

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use heapless::String;
use tinyspike_boards::{Board, Programs};
use tinyspike_firmware::bench::{self, Measured};
use tinyspike_firmware::{Image, ImageError, Inputs, Native, trace};

pub(crate) use memory::memory;
pub(crate) use own::Own;
use processor::hio::{self, HostStream};
pub(crate) use processor::{debug, entry};
use stack::Stack;
use timer::Timer;

/// The board that this is built for.
pub(crate) const PROGRAMS: &Programs = {
    let board = Board::named(env!("TINYSPIKE_BOARD")).unwrap();
    board.programs().unwrap()
};

/// Measures every input that the host has put into the board's memory, and ends the emulator.
pub(crate) fn measure(arena: &mut [u32]) -> ! {
    const E: usize = PROGRAMS.measured[0];
    const C: usize = PROGRAMS.measured[1];
    const MORE_E: usize = PROGRAMS.roomy[0];
    const MORE_C: usize = PROGRAMS.roomy[1];
    let mut meter = Timer::start();
    let parsed = bench::measure(&mut meter, || Image::parse(memory(PROGRAMS.image)));
    exit_with(match parsed.result {
        Err(ImageError::TooLarge) => {
            let parsed = bench::measure(&mut meter, || Image::parse(memory(PROGRAMS.image)));
            measure_image::<MORE_E, MORE_C>(parsed, arena, &mut meter)
        }
        _ => measure_image::<E, C>(parsed, arena, &mut meter),
    })
}

/// Measures inferences of an image that has `E` ensembles and `C` connections at most.
#[inline(never)]
fn measure_image<const E: usize, const C: usize>(
    parsed: Measured<Result<Image<'_, E, C>, ImageError>>,
    arena: &mut [u32],
    meter: &mut Timer,
) -> Result<(), Refused> {
    let image: Measured<Image<'_, E, C>> = Measured {
        result: parsed.result.map_err(refuse)?,
        ticks: parsed.ticks,
        stack: parsed.stack,
    };
    let inputs = Inputs::parse(memory(PROGRAMS.inputs)).map_err(refuse)?;
    let mut console = Console::open().map_err(refuse)?;
    let run = bench::run::<Native, E, C>(&image, arena, &inputs, meter, &mut console);
    console.flush().map_err(refuse)?;
    run.map_err(refuse)
}

/// Measures what the layers take of every input that the host has put into the board's memory, and ends the emulator.
pub(crate) fn measure_layers(arena: &mut [u32]) -> ! {
    const E: usize = PROGRAMS.measured[0];
    const C: usize = PROGRAMS.measured[1];
    const MORE_E: usize = PROGRAMS.roomy[0];
    const MORE_C: usize = PROGRAMS.roomy[1];
    exit_with(match Image::parse(memory(PROGRAMS.image)) {
        Err(ImageError::TooLarge) => {
            layers_of::<MORE_E, MORE_C>(Image::parse(memory(PROGRAMS.image)), arena)
        }
        parsed => layers_of::<E, C>(parsed, arena),
    })
}

/// Measures the layers of an image that has `E` ensembles and `C` connections at most.
#[inline(never)]
fn layers_of<const E: usize, const C: usize>(
    parsed: Result<Image<'_, E, C>, ImageError>,
    arena: &mut [u32],
) -> Result<(), Refused> {
    let meter = Timer::start();
    let image = parsed.map_err(refuse)?;
    let inputs = Inputs::parse(memory(PROGRAMS.inputs)).map_err(refuse)?;
    let mut console = Console::open().map_err(refuse)?;
    let run = bench::layers::<Native, E, C>(&image, arena, &inputs, &meter, &mut console);
    console.flush().map_err(refuse)?;
    run.map_err(refuse)
}

/// Ends the emulator with what a program has come to.
fn exit_with(result: Result<(), Refused>) -> ! {
    exit(match result {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(Refused) => debug::EXIT_FAILURE,
    })
}

/// Runs every input that the host has put into the board's memory, prints the trace, and ends the emulator. `E` and
/// `C` are the most ensembles and connections of a network.
pub(crate) fn trace<const E: usize, const C: usize>(arena: &mut [u32]) -> ! {
    exit_with(traced::<E, C>(arena))
}

fn traced<const E: usize, const C: usize>(arena: &mut [u32]) -> Result<(), Refused> {
    let image: Image<'_, E, C> = Image::parse(memory(PROGRAMS.image)).map_err(refuse)?;
    #[cfg(feature = "defmt")]
    defmt::info!(
        "image {=u32:08x} of {=u32} bytes, arena {=usize} bytes",
        image.header().checksum,
        image.header().length,
        image.arena_bytes()
    );
    let inputs = Inputs::parse(memory(PROGRAMS.inputs)).map_err(refuse)?;
    let mut console = Console::open().map_err(refuse)?;
    let run = trace::run(&image, arena, &inputs, &mut console);
    console.flush().map_err(refuse)?;
    run.map_err(refuse)?;
    #[cfg(feature = "defmt")]
    defmt::info!("{=u32} inputs done", inputs.header().count);
    Ok(())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    refuse(info);
    exit(debug::EXIT_FAILURE)
}

/// The reason has been printed.
pub(crate) struct Refused;

/// Prints why nothing can be run.
pub(crate) fn refuse(reason: impl fmt::Display) -> Refused {
    if let Ok(mut stderr) = hio::hstderr() {
        // Where this fails, the exit code still tells.
        let _ = writeln!(stderr, "error: {reason}");
    }
    Refused
}

/// Ends the emulator.
pub(crate) fn exit(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    loop {
        processor::wfi();
    }
}

/// The host's console. It is handed whole blocks, since each call stops the core.
pub(crate) struct Console {
    stream: HostStream,
    block: String<1024>,
}

impl Console {
    pub(crate) fn open() -> Result<Self, fmt::Error> {
        Ok(Self {
            stream: hio::hstdout().map_err(|()| fmt::Error)?,
            block: String::new(),
        })
    }

    pub(crate) fn flush(&mut self) -> fmt::Result {
        let written = self.stream.write_str(&self.block);
        self.block.clear();
        written
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.block.push_str(text).is_ok() {
            return Ok(());
        }
        self.flush()?;
        match self.block.push_str(text) {
            Ok(()) => Ok(()),
            // It is longer than a block.
            Err(_) => self.stream.write_str(text),
        }
    }
}
