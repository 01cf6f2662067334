//! The parts of flash and RAM that the linker sets aside.

use core::arch::naked_asm;
use core::hint::black_box;
use core::ptr::{addr_of, addr_of_mut};

use tinyspike_shared::slots::Slot;

/// Word with which cortex-m-rt fills the stack before it starts `main`.
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static _tinyspike_journal: u32;
    static _tinyspike_journal_second: u32;
    static _tinyspike_journal_end: u32;
    static _tinyspike_image: u32;
    static _tinyspike_slot_b: u32;
    static _tinyspike_image_end: u32;
    static mut _tinyspike_memory: u32;
    static _tinyspike_memory_end: u32;
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Some flash from one symbol of the linker's up to another.
fn flash(start: *const u32, end: *const u32) -> &'static [u8] {
    // To the compiler these are different variables, of which no two have one address.
    let (start, end) = (black_box(start), black_box(end));
    let length = (end as usize).saturating_sub(start as usize);
    // SAFETY: the linker's memory.x keeps this flash free of all else, and nothing writes to it while this runs.
    unsafe { core::slice::from_raw_parts(start.cast(), length) }
}

/// The flash of a slot. An image in the first one may go on in the second.
pub(crate) fn slot(slot: Slot) -> &'static [u8] {
    match slot {
        Slot::A => flash(addr_of!(_tinyspike_image), addr_of!(_tinyspike_image_end)),
        Slot::B => flash(addr_of!(_tinyspike_slot_b), addr_of!(_tinyspike_image_end)),
    }
}

/// The two sectors of the journal; `None` if there is one place for an image.
pub(crate) fn journal() -> Option<[&'static [u8]; 2]> {
    let second = addr_of!(_tinyspike_journal_second);
    let sectors = [
        flash(addr_of!(_tinyspike_journal), second),
        flash(second, addr_of!(_tinyspike_journal_end)),
    ];
    let empty = sectors.iter().any(|sector| sector.is_empty());
    (!empty).then_some(sectors)
}

/// The RAM that neither the stack nor variables take; nothing if it has been taken before.
pub(crate) fn spare() -> &'static mut [u32] {
    let Some(()) = cortex_m::singleton!(: () = ()).copied() else {
        return &mut [];
    };
    let start = addr_of_mut!(_tinyspike_memory);
    let end = addr_of!(_tinyspike_memory_end) as usize;
    let words = end.saturating_sub(start as usize) / 4;
    // SAFETY: the linker places nothing here, the stack lies elsewhere, and this is done once. The start is a
    // multiple of four bytes. Every value is a word's. Zeros are written before the slice is made.
    unsafe {
        core::ptr::write_bytes(start, 0, words);
        core::slice::from_raw_parts_mut(start, words)
    }
}

/// Works with another stack, of which [`Limits`](tinyspike_firmware::limits::Limits) say how large it has to be for
/// the start of this application.
pub(crate) fn with_stack<T, W: FnOnce() -> T>(stack: &mut [u32], work: W) -> T {
    struct Job<T, W> {
        work: Option<W>,
        done: Option<T>,
    }
    extern "C" fn run<T, W: FnOnce() -> T>(job: *mut Job<T, W>) {
        // SAFETY: the caller waits meanwhile, and looks at it afterwards.
        let job = unsafe { &mut *job };
        job.done = job.work.take().map(|work| work());
    }
    let mut job = Job {
        work: Some(work),
        done: None,
    };
    let job_address: *mut Job<T, W> = &mut job;
    // The end of a stack is a multiple of 8.
    let end = stack.as_mut_ptr_range().end as u32 & !7;
    // SAFETY: the stack is nobody else's as long as it is borrowed, and large enough for what the program starts
    // with; the function takes the one argument that is handed to it.
    unsafe { call_on(end, run::<T, W> as *const () as u32, job_address.cast()) };
    match job.done {
        Some(done) => done,
        None => cortex_m::asm::udf(),
    }
}

/// Calls a function with another stack.
///
/// # Safety
/// `stack` is the end of memory that nothing else uses, at a multiple of 8, and that is large enough. `function`
/// is an `extern "C"` function of one pointer, and sound with `argument`.
#[unsafe(naked)]
unsafe extern "C" fn call_on(stack: u32, function: u32, argument: *mut ()) {
    naked_asm!(
        "push {{r4, lr}}",
        "mov r4, sp",
        "mov sp, r0",
        "mov r0, r2",
        "blx r1",
        "mov sp, r4",
        "pop {{r4, pc}}",
    )
}

/// Bytes of stack.
pub(crate) fn stack() -> u32 {
    (addr_of!(_stack_start) as u32).wrapping_sub(addr_of!(_stack_end) as u32)
}

/// The most bytes of stack that have been in use.
pub(crate) fn stack_high_water() -> u32 {
    let (mut at, top) = (addr_of!(_stack_end), addr_of!(_stack_start));
    // SAFETY: these words are the stack's, of which all below the stack pointer are painted.
    while at < top && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    (top as u32).wrapping_sub(at as u32)
}

/// Tells whether the stack's lowest word has been written: it was too small, or is about to be.
pub(crate) fn stack_is_full() -> bool {
    // SAFETY: this word is the stack's, which is painted.
    unsafe { addr_of!(_stack_end).read_volatile() != PAINT }
}

/// Tells whether a stack pointer lies in RAM: in the stack, or where [`with_stack`] has another one.
pub(crate) fn may_hold_stack(sp: u32) -> bool {
    (stack_end()..addr_of!(_tinyspike_memory_end) as u32).contains(&sp)
}

/// The lowest address of the stack.
pub(crate) fn stack_end() -> u32 {
    addr_of!(_stack_end) as u32
}
