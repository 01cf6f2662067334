//! Last resort of the application: it reports the reason, and stays reachable.

use core::arch::naked_asm;
use core::panic::PanicInfo;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use tinyspike_firmware::serve::answer_with_fault;
use tinyspike_shared::wire::Fault;

use crate::{Chip, memory};

/// The connection, for what ends `main`.
static CHIP: AtomicPtr<Chip> = AtomicPtr::new(null_mut());
/// Stage of the report of a fault: 0 before there was one, 1 while it is logged, 2 while it is answered.
static STAGE: AtomicU8 = AtomicU8::new(0);

/// Faults are answered through this chip from now on.
pub(crate) fn answer_through(chip: &'static mut Chip) -> &'static mut Chip {
    let chip = core::ptr::from_mut(chip);
    CHIP.store(chip, Ordering::Relaxed);
    // SAFETY: the caller has had it for itself, and a fault takes it only after its last use.
    unsafe { &mut *chip }
}

/// Says to whoever asks how the firmware has failed.
fn fail(fault: Fault<'_>) -> ! {
    // With interrupts off nothing else runs any more.
    cortex_m::interrupt::disable();
    let stage = STAGE.load(Ordering::Relaxed);
    // If answering fails too, nothing is left but to stay.
    if stage > 1 {
        stay();
    }
    STAGE.store(stage + 1, Ordering::Relaxed);
    // A fault in the log, which may be what has failed, comes back here and is answered.
    if stage == 0 {
        log(fault);
    }
    STAGE.store(2, Ordering::Relaxed);
    // SAFETY: it is null or the chip that lives as long as the program. Whatever held a reference to that has
    // ended with the fault, and this does not return.
    match unsafe { CHIP.load(Ordering::Relaxed).as_mut() } {
        Some(chip) => answer_with_fault(fault, chip),
        None => stay(),
    }
}

/// Reports a stack that has grown beyond its end without a fault of the core's.
pub(crate) fn overflow() -> ! {
    fail(Fault::StackOverflow {
        sp: memory::stack_end(),
    })
}

/// Logs a fault.
#[cfg_attr(
    not(feature = "defmt"),
    expect(unused_variables, reason = "there is no log")
)]
fn log(fault: Fault<'_>) {
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
}

fn stay() -> ! {
    loop {
        cortex_m::asm::nop();
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
/// stored on it, if that is there.
///
/// It also leaves the exception, since a fault within one locks the core up: what follows may fail too, and comes
/// back here. A fault of another exception stays in it, for the core would refuse to leave both.
///
/// # Safety
/// Only the core calls it, for an exception.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn HardFault() {
    // The frame has the return address of the caller at byte 20, the program counter at byte 24 and the status at
    // byte 28. Bit 3 of the link register stands for a fault of no exception; bit 2 cleared and bit 4 set make the
    // core return to the main stack, to a frame without registers of the floating point unit.
    naked_asm!(
        "cpsid i",
        "mrs r0, MSP",
        "movs r1, #0",
        "movs r2, #0",
        "ldr r3, =_stack_end",
        "cmp r0, r3",
        "blo 1f",
        "ldr r3, =_tinyspike_memory_end",
        "cmp r0, r3",
        "bhs 1f",
        "ldr r1, [r0, #24]",
        "ldr r2, [r0, #20]",
        "1:",
        "ldr r3, =_stack_start",
        "subs r3, #32",
        "msr MSP, r3",
        "str r0, [r3]",
        "str r1, [r3, #4]",
        "str r2, [r3, #8]",
        "mov r1, lr",
        "movs r2, #8",
        "tst r1, r2",
        "beq 2f",
        "movs r2, #4",
        "bics r1, r1, r2",
        "movs r2, #16",
        "orrs r1, r1, r2",
        "mov lr, r1",
        "ldr r1, ={hard_fault}",
        "movs r2, #1",
        "bics r1, r1, r2",
        "str r1, [r3, #24]",
        "lsls r2, r2, #24",
        "str r2, [r3, #28]",
        "bx lr",
        "2:",
        "ldr r1, [r3, #4]",
        "ldr r2, [r3, #8]",
        "ldr r3, ={hard_fault}",
        "bx r3",
        ".ltorg",
        hard_fault = sym hard_fault,
    )
}

/// Goes on after [`HardFault`], with the old stack pointer.
extern "C" fn hard_fault(sp: u32, pc: u32, lr: u32) -> ! {
    if !memory::may_hold_stack(sp) || stacking_failed() {
        fail(Fault::StackOverflow { sp });
    }
    fail(Fault::HardFault { pc, lr })
}

/// Tells whether the core could not store registers on the stack, or met its limit.
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
