//! The application for any Cortex-M: it runs an image that lies in flash beside it, on inputs that a host
//! sends over the debug probe, and answers as [`tinyspike_shared::wire`] says.
//!
//! RTT's channels carry it all: up 0 defmt's log (with the feature `defmt`), up 1 answers, down 0 requests.
//! Everything that differs from chip to chip is in the linker's `memory.x`, so this program knows none.
//!
//! Of two slots it starts from the one that the journal names, or from the other if that one may not run.
//! With the feature `signature` only what the key has signed may. A missing, damaged or refused image leaves a
//! device that says so. After a panic or a hard fault it answers every request with the reason.

#![no_std]
#![no_main]

#[path = "app/fault.rs"]
#[expect(
    unsafe_code,
    reason = "a fault takes what the program held, and the core's handler is naked"
)]
mod fault;
#[path = "app/memory.rs"]
#[expect(
    unsafe_code,
    reason = "flash, RAM and stacks are where the linker says"
)]
mod memory;

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use rtt_target::ChannelMode::{BlockIfFull, NoBlockTrim};
use rtt_target::{DownChannel, UpChannel, rtt_init};
use tinyspike_firmware::Image;
use tinyspike_firmware::serve::{Board, Build, Device, needed};
use tinyspike_shared::accept::{Refusal, Start, Terms};
use tinyspike_shared::slots::{Slot, stored};
use tinyspike_shared::wire::Clock;

/// Times the usual room for ensembles and connections, as the build script was told.
const ROOMS: usize = match usize::from_str_radix(env!("TINYSPIKE_ROOMS"), 10) {
    Ok(rooms) => rooms,
    Err(_) => panic!("TINYSPIKE_ROOMS is no number"),
};

/// Sizes for the chips with little memory, whose cores are of the baseline.
#[cfg(tinyspike_baseline)]
mod size {
    use tinyspike_firmware::limits::Limits;

    pub(crate) const LIMITS: Limits = Limits::BASELINE.times(super::ROOMS);
    pub(crate) const LOG: usize = 256;
    pub(crate) const UP: usize = 512;
    pub(crate) const DOWN: usize = 512;
}

#[cfg(not(tinyspike_baseline))]
mod size {
    use tinyspike_firmware::limits::Limits;

    pub(crate) const LIMITS: Limits = Limits::MAINLINE.times(super::ROOMS);
    pub(crate) const LOG: usize = 1024;
    pub(crate) const UP: usize = 1024;
    pub(crate) const DOWN: usize = 1024;
}

/// The key that has to have signed an image.
#[cfg(feature = "signature")]
#[used]
#[unsafe(export_name = "_tinyspike_public_key")]
#[expect(unsafe_code, reason = "a host finds the key in the file by its name")]
static PUBLIC_KEY: [u8; tinyspike_shared::signature::PUBLIC_KEY_LEN] =
    *include_bytes!(concat!(env!("OUT_DIR"), "/public.key"));

/// Statement of this program about itself.
fn build() -> Build {
    Build {
        version: VERSION,
        architecture: ARCHITECTURE,
        // Read from its place alone: prebuilt firmware gets its key when it is moved to a chip.
        #[cfg(feature = "signature")]
        key: Some(core::hint::black_box(&PUBLIC_KEY)),
        #[cfg(not(feature = "signature"))]
        key: None,
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const ARCHITECTURE: &str = env!("TINYSPIKE_TARGET");

/// An image as this application holds it.
type Held = Image<'static, { size::LIMITS.ensembles }, { size::LIMITS.connections }>;

/// Times that the system timer has wrapped around.
static WRAPS: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    let channels = rtt_init! {
        up: {
            0: { size: size::LOG, mode: NoBlockTrim, name: "defmt" }
            1: { size: size::UP, mode: BlockIfFull, name: "tinyspike" }
        }
        down: {
            0: { size: size::DOWN, mode: BlockIfFull, name: "tinyspike" }
        }
    };
    #[cfg(feature = "defmt")]
    rtt_target::set_defmt_channel(channels.up.0);
    let chip = Chip {
        up: channels.up.1,
        down: channels.down.0,
        clock: start_clock(),
    };
    let Some(chip) = cortex_m::singleton!(: Chip = chip) else {
        cortex_m::asm::udf();
    };
    let chip = fault::answer_through(chip);
    #[cfg(feature = "defmt")]
    defmt::info!(
        "tinyspike {=str} for {=str}, ticks from {}",
        VERSION,
        ARCHITECTURE,
        chip.clock
    );
    let memory = memory::spare();
    let Some(room) = cortex_m::singleton!(: Option<Held> = None) else {
        cortex_m::asm::udf();
    };
    let start = start(memory, room, chip);
    let refused = start.passed_over().unwrap_or(NOTHING);
    let mut device = Device::new(build(), room.as_ref().ok_or(refused), start, memory);
    #[cfg(feature = "defmt")]
    log(device.image(), &start);
    loop {
        device.poll(chip);
        if memory::stack_is_full() {
            fault::overflow();
        }
    }
}

/// Refusal of a device without any image.
const NOTHING: Refusal = Refusal::Image(tinyspike_shared::ImageError::Magic);

/// Finds the image to run, for which it needs more of a stack than all that comes later: that of `memory`,
/// which it leaves filled with zeros.
fn start(
    memory: &mut [u32],
    room: &mut Option<Held>,
    #[cfg_attr(
        not(feature = "defmt"),
        expect(unused_variables, reason = "only the log says how long it took")
    )]
    chip: &Chip,
) -> Start {
    let given = size_of_val(memory) as u32;
    const NEEDED: u32 = size::LIMITS.stack_to_start(cfg!(feature = "signature"));
    if given < NEEDED {
        return Start::single(Some(Refusal::NoRoom {
            needed: NEEDED,
            given,
        }));
    }
    memory.fill(cortex_m_rt::STACK_PAINT_VALUE);
    #[cfg(feature = "defmt")]
    let begun = chip.ticks();
    let start = memory::with_stack(memory, || {
        let mut accept = |slot, minimum| accept(memory::slot(slot), minimum, given, room);
        match memory::journal() {
            Some(sectors) => Start::find(stored(sectors), accept),
            None => Start::single(accept(Slot::A, 0).err()),
        }
    });
    // Where the lowest word is written, more may be that is no part of this stack.
    if memory.first() != Some(&cortex_m_rt::STACK_PAINT_VALUE) {
        fault::overflow();
    }
    #[cfg(feature = "defmt")]
    {
        let ticks = chip.ticks().wrapping_sub(begun);
        let painted = |word: &&u32| **word == cortex_m_rt::STACK_PAINT_VALUE;
        let free = memory.iter().take_while(painted).count() as u32 * 4;
        defmt::info!(
            "the start took {=u32} bytes of stack and {=u32} ticks",
            given - free,
            ticks
        );
    }
    memory.fill(0);
    start
}

/// Checks what lies in a slot, and keeps it if it may run in so many bytes of memory.
fn accept(
    bytes: &'static [u8],
    minimum: u32,
    given: u32,
    room: &mut Option<Held>,
) -> Result<(), Refusal> {
    let terms = Terms::version(minimum);
    #[cfg(feature = "signature")]
    let terms = terms.signed(build().key.copied());
    Image::parse_kept(room, terms.admit(bytes)?)?;
    let stack = room
        .as_ref()
        .map_or(0, |image| size::LIMITS.stack(image.description()));
    if stack > memory::stack() {
        *room = None;
        return Err(Refusal::NoStack {
            needed: stack,
            given: memory::stack(),
        });
    }
    let needed = room.as_ref().map_or(0, needed);
    if needed > given {
        *room = None;
        return Err(Refusal::NoRoom { needed, given });
    }
    Ok(())
}

#[cfg(feature = "defmt")]
fn log(image: &tinyspike_shared::wire::ImageState, start: &Start) {
    use tinyspike_shared::accept::Journal;
    use tinyspike_shared::wire::ImageState;

    if start.journal == Journal::Damaged {
        defmt::warn!("the journal is damaged or has never been written");
    }
    match image {
        ImageState::Ready {
            checksum, arena, ..
        } => {
            let Some(running) = start.running else { return };
            if let Some(reason) = start.passed_over() {
                defmt::warn!(
                    "slot {} is passed over for {}: {}",
                    start.named,
                    running,
                    reason
                );
            }
            defmt::info!(
                "image {=u32:08x} of slot {} accepted, arena {=u32} bytes",
                checksum,
                running,
                arena
            );
        }
        ImageState::Refused(reason) => {
            defmt::warn!("image refused: {}", reason);
            if let Some(reason) = start.refusal(start.named.other()) {
                defmt::warn!("slot {} refused: {}", start.named.other(), reason);
            }
        }
    }
}

/// Starts what can count cycles, and sees that it does.
fn start_clock() -> Clock {
    let Some(mut core) = Peripherals::take() else {
        return Clock::None;
    };
    #[cfg(not(tinyspike_baseline))]
    {
        use cortex_m::peripheral::DWT;
        core.DCB.enable_trace();
        core.DWT.enable_cycle_counter();
        if counts(DWT::cycle_count) {
            return Clock::CycleCounter;
        }
    }
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(RELOAD);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    if !counts(SYST::get_current) {
        return Clock::None;
    }
    core.SYST.enable_interrupt();
    Clock::SysTick
}

/// Tells whether a counter moves in a while.
fn counts(read: impl Fn() -> u32) -> bool {
    let before = read();
    (0..WHILE).any(|_| read() != before)
}

/// Reads of a counter to see it move: some milliseconds, because an emulated one may take its time to start.
const WHILE: u32 = 200_000;

/// Value from which the system timer starts each time.
const RELOAD: u32 = (1 << 24) - 1;

#[exception]
fn SysTick() {
    // Only this writes to it.
    WRAPS.store(
        WRAPS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// Parts of the chip that the application uses.
struct Chip {
    up: UpChannel,
    down: DownChannel,
    clock: Clock,
}

impl Board for Chip {
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        self.down.read(bytes)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.up.write(bytes);
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    #[inline(never)]
    fn ticks(&self) -> u32 {
        match self.clock {
            #[cfg(not(tinyspike_baseline))]
            Clock::CycleCounter => cortex_m::peripheral::DWT::cycle_count(),
            Clock::SysTick => loop {
                let wraps = WRAPS.load(Ordering::SeqCst);
                let left = SYST::get_current();
                if WRAPS.load(Ordering::SeqCst) == wraps {
                    break (wraps << 24).wrapping_add(RELOAD - left);
                }
            },
            _ => 0,
        }
    }

    fn stack(&self) -> u32 {
        memory::stack()
    }

    fn stack_high_water(&self) -> u32 {
        memory::stack_high_water()
    }
}
