//! Faults of the application, on emulated boards over probe-rs: whatever fails, the device says so to whoever asks.

#![expect(clippy::print_stdout, reason = "the tests say what was answered")]

use std::time::Duration;

use emulated_board::Machine;
use probe_rs::{Core, MemoryInterface as _};
use tinyspike::assemble::assemble;
use tinyspike::device::session::SessionError;
use tinyspike_board::elf::{Program, functions};
use tinyspike_tests::bench::{Bench, logged};
use tinyspike_tests::network::spiking;

/// A Cortex-M0 and a Cortex-M4.
const MACHINES: [Machine; 2] = [Machine::Microbit, Machine::Mps2An386];

/// An address at which nothing is, neither to be executed nor to be read.
const NOWHERE: u32 = 0x3000_0000;

/// The time that a core may take to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// A board that runs a small image.
fn running(machine: Machine) -> Bench {
    let bench = Bench::new(machine, None);
    bench.flash(assemble(&spiking()).unwrap().bytes(), true);
    bench
}

/// The address of a function.
fn place(bench: &Bench, function: &str) -> u64 {
    let functions = functions(&bench.firmware.path).unwrap();
    let found = functions.iter().find(|f| f.name == function);
    found.unwrap_or_else(|| panic!("no {function}")).address
}

/// Starts a board again, stops it where a function begins, and lets it go on after `work`.
fn interrupted(bench: &Bench, function: &str, work: impl FnOnce(&mut Core<'_>)) {
    let place = place(bench, function);
    let mut session = bench.attach();
    let mut core = session.core(0).unwrap();
    core.reset_and_halt(PATIENCE).unwrap();
    run_to(&mut core, place);
    work(&mut core);
    core.run().unwrap();
}

/// Lets a core go on to a place.
fn run_to(core: &mut Core<'_>, place: u64) {
    core.set_hw_breakpoint(place).unwrap();
    core.run().unwrap();
    core.wait_for_core_halted(PATIENCE).unwrap();
    let pc: u64 = core.read_core_reg(core.program_counter()).unwrap();
    assert_eq!(pc, place);
    core.clear_hw_breakpoint(place).unwrap();
}

/// Stops a board that has started, and lets it go on after `work`.
fn halted(bench: &Bench, work: impl FnOnce(&mut Core<'_>)) {
    bench.hello(false).unwrap();
    let mut session = bench.attach();
    let mut core = session.core(0).unwrap();
    core.halt(PATIENCE).unwrap();
    work(&mut core);
    core.run().unwrap();
}

/// Lets a core go on where nothing is.
fn go_nowhere(core: &mut Core<'_>) {
    let pc = core.program_counter();
    core.write_core_reg(pc, NOWHERE).unwrap();
}

/// The reason that a board answers with, after which a new start helps.
fn reason(bench: &Bench) -> String {
    let (answer, _) = bench.ask(false, |session| session.hello()).unwrap();
    let error = answer.unwrap_err();
    let SessionError::Fault(text) = error else {
        panic!("{error}");
    };
    let (identity, _) = bench.hello(true).unwrap();
    assert!(identity.image.is_ok());
    text
}

#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_hard_fault_long_after_the_start_is_reported() {
    for machine in MACHINES {
        let bench = running(machine);
        halted(&bench, |core| {
            let sp: u32 = core.read_core_reg(core.stack_pointer()).unwrap();
            assert_ne!(core.read_word_32(sp.into()).unwrap(), u32::MAX);
            go_nowhere(core);
        });
        let (_, log) = bench.ask(false, |session| session.hello()).unwrap();
        assert!(
            logged(&log, "hard fault at 0x30000000").is_some(),
            "{machine}: {log:?}"
        );
        let text = reason(&bench);
        assert!(text.contains("0x30000000"), "{machine}: {text}");
    }
}

/// The lowest word of the stack for the start, which lies in memory that the network gets afterwards, tells if
/// it was too small.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_start_that_fills_its_stack_is_reported() {
    for machine in MACHINES {
        let bench = running(machine);
        let elf = std::fs::read(&bench.firmware.path).unwrap();
        let program = Program::parse(&elf).unwrap();
        let lowest = program.symbol("_tinyspike_memory").unwrap();
        let write_to = |at: u32| {
            interrupted(&bench, "app::memory::call_on", |core| {
                core.write_word_32(at.into(), 0).unwrap();
            });
        };
        write_to(lowest + 4);
        let (identity, _) = bench.hello(false).unwrap();
        assert!(identity.image.is_ok(), "{machine}");
        write_to(lowest);
        let text = reason(&bench);
        println!("{machine}: {text}");
        assert!(text.contains("stack"), "{machine}: {text}");
    }
}

/// A log that fails is not written to again: the reason is answered without.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_fault_in_the_log_is_reported() {
    for machine in MACHINES {
        let bench = running(machine);
        // The first message of a start has begun there.
        interrupted(&bench, "_defmt_write", go_nowhere);
        let text = reason(&bench);
        println!("{machine}: {text}");
        assert!(text.contains("defmt"), "{machine}: {text}");
    }
}

/// A hard fault whose report fails, too, is answered: the second fault does not lock the core up.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_hard_fault_while_another_is_logged_is_reported() {
    for machine in MACHINES {
        let bench = running(machine);
        halted(&bench, |core| {
            go_nowhere(core);
            run_to(core, place(&bench, "_defmt_write"));
            go_nowhere(core);
        });
        let text = reason(&bench);
        println!("{machine}: {text}");
        assert!(text.contains("hard fault at 0x3000"), "{machine}: {text}");
    }
}

/// A stack pointer that leaves RAM is told with its value.
#[test]
#[ignore = "needs QEMU and a compiler for the boards: cargo xtask test"]
fn a_stack_pointer_outside_ram_is_reported() {
    for machine in MACHINES {
        let bench = running(machine);
        halted(&bench, |core| {
            let sp = core.stack_pointer();
            core.write_core_reg(sp, NOWHERE).unwrap();
        });
        let text = reason(&bench);
        println!("{machine}: {text}");
        assert!(text.contains("stack"), "{machine}: {text}");
    }
}
