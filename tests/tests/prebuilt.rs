//! Prebuilt applications, moved to a chip's memory, are what the linker makes for it, and run there.

use std::fs;
use std::io::Write as _;

use emulated_board::{Board, Machine, Options};
use tinyspike::device::{Firmware, Layout, LayoutOptions, Plan, PlanOptions, flash};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_board::elf::{Program, without_debug};
use tinyspike_board::firmware::{App, app};
use tinyspike_board::memory::Memory;
use tinyspike_board::prebuilt;
use tinyspike_board::relocate::{FOUND, relocate};
use tinyspike_firmware::kernels::families;
use tinyspike_tests::bench::{chip, flash_options};
use tinyspike_tests::mnist;

/// An application as the linker makes it for the memory of prebuilt ones, and that memory.
fn movable(target: &str, key: Option<&[u8; 32]>) -> (Vec<u8>, Memory) {
    let memory = prebuilt::memory();
    let parts = App {
        memory: &memory,
        target,
        features: &["defmt", "dense", "current-based"],
        key,
        rooms: 1,
    };
    let linked = fs::read(app(&parts).unwrap_or_else(|e| panic!("{e}"))).unwrap();
    (linked, memory)
}

/// Memories that differ from the prebuilt one in every place, with and without a second slot.
fn memories(layout: &Layout) -> [Memory; 3] {
    let planned = layout.memory();
    let far = Memory {
        flash: 0x0806_0000..0x080a_0000,
        ram: 0x2400_1000..0x2404_0000,
        images: 0x080a_0000..0x0810_0000,
        stack: 0x2348,
        turns: None,
    };
    let low = Memory {
        flash: 0..0x4_0000,
        ram: 0x1fff_8000..0x2000_8000,
        stack: 8,
        ..planned.clone()
    };
    [planned, far, low]
}

/// Moves an application to several memories, and compares it with what the linker makes for each.
fn moves_as_the_linker_links(machine: Machine, signed: bool) {
    let target = chip(machine).processor().target();
    let (none, key) = ([0; 32], [0x5a; 32]);
    let (whole, from) = movable(target, signed.then_some(&none));
    // As tools hold it.
    let file = without_debug(&whole).unwrap();
    assert_eq!(
        Program::parse(&file).unwrap().segments,
        Program::parse(&whole).unwrap().segments
    );
    let layout = Layout::of(&chip(machine), &LayoutOptions::default()).unwrap();
    for to in memories(&layout) {
        let key = signed.then_some(&key);
        let moved = relocate(&file, &from, &to, key).unwrap();
        let linked = app(&App {
            memory: &to,
            target,
            features: &["defmt", "dense", "current-based"],
            key,
            rooms: 1,
        });
        let linked = fs::read(linked.unwrap()).unwrap();
        // Every byte of the file, debug information included.
        assert!(
            relocate(&whole, &from, &to, key).unwrap() == linked,
            "{to:x?}"
        );
        let (program, expected) = (
            Program::parse(&moved).unwrap(),
            Program::parse(&linked).unwrap(),
        );
        assert!(program.segments == expected.segments, "{to:x?}");
        for name in to.symbols().map(|(name, _)| name).into_iter().chain(FOUND) {
            assert_eq!(program.symbol(name), expected.symbol(name), "{name}");
        }
        // What was moved can be moved again.
        let zero = signed.then_some(&none);
        let back = relocate(&moved, &to, &from, zero).unwrap();
        let (back, first) = (
            Program::parse(&back).unwrap(),
            Program::parse(&file).unwrap(),
        );
        assert!(back.segments == first.segments, "{to:x?}");
    }
    // What does not fit is refused, and so is a file that is cut or damaged.
    let small = Memory {
        flash: 0..0x8000,
        ..from.clone()
    };
    let error = relocate(&file, &from, &small, None).unwrap_err();
    assert!(error.to_string().contains("bytes of flash more"), "{error}");
    for cut in [0, 51, 52, 1000, file.len() / 2, file.len() - 1] {
        assert!(relocate(&file[..cut], &from, &layout.memory(), None).is_err());
    }
    for at in (0..file.len()).step_by(997) {
        let mut damaged = file.clone();
        damaged[at] ^= 0xff;
        let _ = relocate(&damaged, &from, &layout.memory(), None);
    }
}

#[test]
#[ignore = "needs the firmware's targets: cargo xtask test"]
fn an_application_for_a_cortex_m0_moves_as_the_linker_links() {
    moves_as_the_linker_links(Machine::Microbit, false);
}

#[test]
#[ignore = "needs the firmware's targets: cargo xtask test"]
fn a_signed_application_for_a_cortex_m4_moves_as_the_linker_links() {
    moves_as_the_linker_links(Machine::Mps2An386, true);
}

/// A moved application runs on an emulated board, through the probe.
#[test]
#[ignore = "needs QEMU and the firmware's targets: cargo xtask test"]
fn a_moved_application_runs_on_a_board() {
    let machine = Machine::Microbit;
    let chip = chip(machine);
    let options = QuantizeOptions {
        target: &families::PORTABLE,
        ..QuantizeOptions::default()
    };
    let image = mnist::small(None, &options);
    let layout = Layout::of(&chip, &LayoutOptions::default()).unwrap();
    let layout = layout.built_for(&chip, &image.image());
    let (file, from) = movable(chip.processor().target(), None);
    let moved = relocate(&file, &from, &layout.memory(), None).unwrap();
    let mut elf = tempfile::NamedTempFile::new().unwrap();
    elf.write_all(&moved).unwrap();
    let firmware = Firmware::read(elf.path()).unwrap();
    let plan = Plan::new(&chip, &image, Some(&firmware), &PlanOptions::default()).unwrap();
    let board = Board::start(machine, &Options::default()).unwrap_or_else(|e| panic!("{e}"));
    let flashed =
        flash(&plan, &flash_options(&board), &mut |_| ()).unwrap_or_else(|e| panic!("{e}"));
    assert!(flashed.trial.is_some());
}
