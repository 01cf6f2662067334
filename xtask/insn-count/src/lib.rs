//! A plugin for QEMU that counts executed instructions by address.
//!
//! ```sh
//! qemu-system-arm ... -plugin libinsn_count.so,out=counts.txt,toggle=0x1234
//! ```
//!
//! Counting is switched on when the instruction at `toggle` is executed for the first time, off the
//! second time, and so on; without `toggle` all is counted. When QEMU ends, `out` has a line
//! `<address> <length> <executed> <jumped>` for each instruction that was executed: its address in
//! hexadecimal, its length in bytes, how often it was executed, and after how many of these the next
//! instruction was not the one behind it.
//!
//! It uses what version 1 of QEMU's plugin interface has in common with later ones; QEMU 4.2 to 8.2
//! take version 1.

#![expect(unsafe_code, reason = "QEMU's plugins have an interface in C")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// QEMU's identifier of a plugin.
type Id = u64;

/// A translated block of instructions.
#[repr(C)]
struct Block {
    opaque: [u8; 0],
}

/// A translated instruction.
#[repr(C)]
struct Instruction {
    opaque: [u8; 0],
}

type OnTranslate = unsafe extern "C" fn(Id, *mut Block);
type OnExecute = extern "C" fn(c_uint, *mut c_void);
type OnExit = extern "C" fn(Id, *mut c_void);

// The signatures are those of QEMU's include/qemu/qemu-plugin.h.
unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: OnTranslate);
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: OnExecute,
        registers: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_atexit_cb(id: Id, callback: OnExit, data: *mut c_void);
    fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Block, at: usize) -> *mut Instruction;
    fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
}

/// The version of the interface, which QEMU looks up.
// SAFETY: no other item has this name.
#[allow(non_upper_case_globals, reason = "QEMU prescribes the name")]
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

struct Counted {
    address: u64,
    length: u64,
    executed: u64,
    jumped: u64,
}

struct State {
    out: String,
    toggle: Option<u64>,
    counting: bool,
    /// Instructions in the order in which QEMU has seen them.
    instructions: Vec<Counted>,
    /// Index of each address and length among the instructions.
    places: BTreeMap<(u64, u64), usize>,
    /// The instruction that was counted last.
    last: Option<usize>,
}

static STATE: Mutex<State> = Mutex::new(State {
    out: String::new(),
    toggle: None,
    counting: true,
    instructions: Vec::new(),
    places: BTreeMap::new(),
    last: None,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Entry that QEMU calls when it loads the plugin; anything except 0 makes it stop.
///
/// # Safety
/// `arguments` must point to `count` strings that end with a zero.
// SAFETY: no other item has this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let mut state = state();
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller says that there are `count` pointers.
        let argument = unsafe { *arguments.add(at) };
        // SAFETY: the caller says that each is a string.
        let argument = unsafe { CStr::from_ptr(argument) }.to_string_lossy();
        match argument.split_once('=') {
            Some(("out", path)) => path.clone_into(&mut state.out),
            Some(("toggle", address)) => {
                let digits = address.trim_start_matches("0x");
                let Ok(address) = u64::from_str_radix(digits, 16) else {
                    return 1;
                };
                state.toggle = Some(address);
                state.counting = false;
            }
            _ => return 1,
        }
    }
    if state.out.is_empty() {
        return 1;
    }
    // SAFETY: `id` is ours, and the callback has the type that QEMU calls.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    // SAFETY: as above; the callback takes no notice of its data.
    unsafe { qemu_plugin_register_atexit_cb(id, ended, std::ptr::null_mut()) };
    0
}

/// Has every instruction of a new block counted.
///
/// # Safety
/// `block` must be a block that QEMU is translating.
unsafe extern "C" fn translated(_id: Id, block: *mut Block) {
    const NO_REGISTERS: c_int = 0;
    let mut state = state();
    // SAFETY: the caller says that it is a block.
    let count = unsafe { qemu_plugin_tb_n_insns(block) };
    for at in 0..count {
        // SAFETY: as above, and it has more than `at` instructions.
        let instruction = unsafe { qemu_plugin_tb_get_insn(block, at) };
        // SAFETY: QEMU returned it for this block.
        let address = unsafe { qemu_plugin_insn_vaddr(instruction) };
        // SAFETY: as above.
        let length = unsafe { qemu_plugin_insn_size(instruction) } as u64;
        let State {
            instructions,
            places,
            ..
        } = &mut *state;
        let place = *places.entry((address, length)).or_insert_with(|| {
            instructions.push(Counted {
                address,
                length,
                executed: 0,
                jumped: 0,
            });
            instructions.len() - 1
        });
        let data = std::ptr::without_provenance_mut(place);
        // SAFETY: as above; the callback reads its data as the number that it is.
        unsafe {
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, NO_REGISTERS, data);
        }
    }
}

/// Counts an instruction that is about to be executed.
extern "C" fn executed(_core: c_uint, data: *mut c_void) {
    let place = data.addr();
    let mut state = state();
    let State {
        toggle,
        counting,
        instructions,
        last,
        ..
    } = &mut *state;
    let Some(address) = instructions.get(place).map(|i| i.address) else {
        return;
    };
    if *toggle == Some(address) {
        *counting = !*counting;
        *last = None;
    }
    if !*counting {
        return;
    }
    if let Some(before) = last.and_then(|at| instructions.get_mut(at))
        && before.address + before.length != address
    {
        before.jumped += 1;
    }
    *last = Some(place);
    if let Some(instruction) = instructions.get_mut(place) {
        instruction.executed += 1;
    }
}

/// Writes the counts.
extern "C" fn ended(_id: Id, _data: *mut c_void) {
    let state = state();
    let mut text = String::new();
    for &place in state.places.values() {
        if let Some(i) = state.instructions.get(place).filter(|i| i.executed > 0) {
            let (address, length) = (i.address, i.length);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{address:x} {length} {} {}", i.executed, i.jumped);
        }
    }
    // Without the file, whoever started QEMU learns that there are no counts.
    let _ = std::fs::write(&state.out, text);
}
