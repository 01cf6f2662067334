//! The application for any Cortex-M: it runs the image that lies in flash beside it, on inputs that a host
//! sends over the debug probe, and answers as [`tinyspike_shared::wire`] says.
//!
//! RTT's channels carry it all: up 0 defmt's log (with the feature `defmt`), up 1 answers, down 0 requests.
//! Everything that differs from chip to chip is in the linker's `memory.x`, so this program knows none.
//!
//! A missing or damaged image leaves a device that says so. After a panic or a hard fault it answers every
//! request with the reason.

#![no_std]
#![no_main]

use core::arch::naked_asm;
use core::panic::PanicInfo;
use core::ptr::{self, addr_of, addr_of_mut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use rtt_target::ChannelMode::{BlockIfFull, NoBlockTrim};
use rtt_target::{DownChannel, UpChannel, rtt_init};
use tinyspike_firmware::Image;
use tinyspike_firmware::serve::{Board, Build, Device, answer_with_fault};
use tinyspike_shared::image::ImageError;
use tinyspike_shared::wire::{Clock, Fault};

/// Sizes for the chips with little memory, whose cores are of the baseline.
#[cfg(tinyspike_baseline)]
mod size {
    use tinyspike_firmware::boards::Limits;

    pub(crate) const LIMITS: Limits = Limits::BASELINE;
    pub(crate) const LOG: usize = 256;
    pub(crate) const UP: usize = 512;
    pub(crate) const DOWN: usize = 512;
}

#[cfg(not(tinyspike_baseline))]
mod size {
    use tinyspike_firmware::boards::Limits;

    pub(crate) const LIMITS: Limits = Limits::MAINLINE;
    pub(crate) const LOG: usize = 1024;
    pub(crate) const UP: usize = 1024;
    pub(crate) const DOWN: usize = 1024;
}

const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    architecture: env!("TINYSPIKE_TARGET"),
};

/// What cortex-m-rt fills the stack with before it starts `main`.
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static _tinyspike_image: u32;
    static _tinyspike_image_end: u32;
    static mut _tinyspike_memory: u32;
    static _tinyspike_memory_end: u32;
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The connection and the clock, for `main` or for what ends it.
static mut CHIP: Option<Chip> = None;
/// What has become of the image.
static mut IMAGE: Result<
    Image<'static, { size::LIMITS.ensembles }, { size::LIMITS.connections }>,
    ImageError,
> = Err(ImageError::Magic);
/// How often the system timer has wrapped around.
static WRAPS: AtomicU32 = AtomicU32::new(0);
/// Whether a fault is being reported already.
static FAILING: AtomicBool = AtomicBool::new(false);

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
    // SAFETY: this is the start of the program, and no interrupt that is enabled uses this: the only
    // reference but for that of a fault, which does not come back.
    let chip = unsafe { &mut *addr_of_mut!(CHIP) };
    let chip = chip.insert(Chip {
        up: channels.up.1,
        down: channels.down.0,
        clock: start_clock(),
    });
    #[cfg(feature = "defmt")]
    defmt::info!(
        "tinyspike {=str} for {=str}, ticks from {}",
        BUILD.version,
        BUILD.architecture,
        chip.clock
    );
    // SAFETY: the end of RAM is a multiple of 8, nothing uses the memory before it yet, and there is more of it
    // than of the stack: what is left of it is for a network's state.
    unsafe { call_on(addr_of!(_tinyspike_memory_end) as u32, parse_image) };
    // SAFETY: nothing writes to it any more.
    let image = unsafe { &*addr_of!(IMAGE) };
    let image = image.as_ref().map_err(|reason| *reason);
    let mut device = Device::new(BUILD, image, memory());
    #[cfg(feature = "defmt")]
    match device.image() {
        tinyspike_shared::wire::ImageState::Ready {
            checksum, arena, ..
        } => defmt::info!(
            "image {=u32:08x} accepted, arena {=u32} bytes",
            checksum,
            arena
        ),
        refused => defmt::warn!("image refused: {}", refused),
    }
    loop {
        device.poll(chip);
    }
}

/// Parses the image, for which it needs more of a stack than all that comes later.
extern "C" fn parse_image() {
    let parsed = Image::parse(image());
    // SAFETY: `main` calls this once, before it reads it.
    unsafe { addr_of_mut!(IMAGE).write(parsed) };
}

/// Calls a function with another stack.
///
/// # Safety
/// `stack` is the end of memory that nothing else uses, at a multiple of 8, and that is large enough.
#[unsafe(naked)]
unsafe extern "C" fn call_on(stack: u32, function: extern "C" fn()) {
    naked_asm!(
        "push {{r4, lr}}",
        "mov r4, sp",
        "mov sp, r0",
        "blx r1",
        "mov sp, r4",
        "pop {{r4, pc}}",
    )
}

/// The flash that is set aside for the image.
fn image() -> &'static [u8] {
    let (start, end) = (addr_of!(_tinyspike_image), addr_of!(_tinyspike_image_end));
    let length = (end as usize).saturating_sub(start as usize);
    // SAFETY: the linker's memory.x keeps this flash free of all else, and nothing writes to it while this runs.
    unsafe { core::slice::from_raw_parts(start.cast(), length) }
}

/// The RAM that neither the stack nor variables take.
fn memory() -> &'static mut [u32] {
    let start = addr_of_mut!(_tinyspike_memory);
    let end = addr_of!(_tinyspike_memory_end) as usize;
    let words = end.saturating_sub(start as usize) / 4;
    // SAFETY: the linker places nothing here, the stack lies elsewhere, and `main` calls this once. The
    // start is a multiple of four bytes. Zeros are written before the slice is made.
    unsafe {
        ptr::write_bytes(start, 0, words);
        core::slice::from_raw_parts_mut(start, words)
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

/// Whether a counter moves in a while.
fn counts(read: impl Fn() -> u32) -> bool {
    let before = read();
    (0..WHILE).any(|_| read() != before)
}

/// How often a counter is read to see whether it moves: some milliseconds, for an emulated one may take its
/// time to start.
const WHILE: u32 = 200_000;

/// What the system timer starts from, again and again.
const RELOAD: u32 = (1 << 24) - 1;

#[exception]
fn SysTick() {
    // Only this writes to it.
    WRAPS.store(
        WRAPS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// What the application has of its chip.
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
        (addr_of!(_stack_start) as u32).wrapping_sub(addr_of!(_stack_end) as u32)
    }

    fn stack_high_water(&self) -> u32 {
        let (mut at, top) = (addr_of!(_stack_end), addr_of!(_stack_start));
        // SAFETY: these words are the stack's, of which all below the stack pointer are painted.
        while at < top && unsafe { at.read_volatile() } == PAINT {
            at = at.wrapping_add(1);
        }
        (top as u32).wrapping_sub(at as u32)
    }
}

/// Says to whoever asks how the firmware has failed.
fn fail(fault: Fault<'_>) -> ! {
    // With interrupts off nothing else runs any more.
    cortex_m::interrupt::disable();
    // Where reporting fails too, nothing is left but to stay.
    if FAILING.load(Ordering::Relaxed) {
        loop {
            cortex_m::asm::nop();
        }
    }
    FAILING.store(true, Ordering::Relaxed);
    #[cfg(feature = "defmt")]
    match fault {
        Fault::Panic { file, line } => defmt::error!("panicked at {=str}:{=u32}", file, line),
        Fault::HardFault { pc, lr } => {
            defmt::error!(
                "hard fault at {=u32:#010x}, called from {=u32:#010x}",
                pc,
                lr
            )
        }
        Fault::StackOverflow { sp } => {
            defmt::error!("stack overflow, stack pointer {=u32:#010x}", sp)
        }
        other => defmt::error!("{}", other),
    }
    // SAFETY: whatever held a reference to it has ended with the fault, and this does not return.
    match unsafe { &mut *addr_of_mut!(CHIP) } {
        Some(chip) => answer_with_fault(fault, chip),
        None => loop {
            cortex_m::asm::nop();
        },
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = match info.location() {
        Some(location) => (location.file(), location.line()),
        None => ("", 0),
    };
    fail(Fault::Panic { file, line })
}

/// Leaves the stack, which may be full or outside RAM, for an empty one, and takes along what the core has
/// stored on it, where that is there.
///
/// # Safety
/// Only the core calls it, for an exception.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn HardFault() {
    // The frame has the return address of the caller at byte 20 and the program counter at byte 24.
    naked_asm!(
        "mrs r0, MSP",
        "ldr r3, =_stack_end",
        "movs r1, #0",
        "movs r2, #0",
        "cmp r0, r3",
        "blo 1f",
        "ldr r1, [r0, #24]",
        "ldr r2, [r0, #20]",
        "1:",
        "ldr r3, =_stack_start",
        "msr MSP, r3",
        "ldr r3, ={hard_fault}",
        "bx r3",
        ".ltorg",
        hard_fault = sym hard_fault,
    )
}

/// What goes on after [`HardFault`], with the old stack pointer.
extern "C" fn hard_fault(sp: u32, pc: u32, lr: u32) -> ! {
    let outside = sp < addr_of!(_stack_end) as u32;
    if outside || stacking_failed() {
        fail(Fault::StackOverflow { sp });
    }
    fail(Fault::HardFault { pc, lr })
}

/// Whether the core could not store registers on the stack, or met its limit.
#[cfg(not(tinyspike_baseline))]
fn stacking_failed() -> bool {
    const CFSR: *const u32 = 0xe000_ed28 as *const u32;
    const MSTKERR: u32 = 1 << 4;
    const STKERR: u32 = 1 << 12;
    const STKOF: u32 = 1 << 20;
    // SAFETY: every core of the mainline has this register, and reading it changes nothing.
    let status = unsafe { CFSR.read_volatile() };
    status & (MSTKERR | STKERR | STKOF) != 0
}

/// The core does not say.
#[cfg(tinyspike_baseline)]
fn stacking_failed() -> bool {
    false
}
