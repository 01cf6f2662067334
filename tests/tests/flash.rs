//! Firmware and images go onto emulated boards through a debug probe, as onto real ones.

use std::collections::BTreeMap;
use std::time::Duration;

use emulated_board::{Board, Fault, Machine, Options};
use tinyspike::ImageBuf;
use tinyspike::device::{
    self, Chips, ConnectError, FlashError, FlashOptions, Flashed, Layout, LayoutOptions, Mode,
    Origin, Phase, Plan, PlanOptions, Progress, flash,
};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_firmware::kernels::families;
use tinyspike_shared::slots::Slot;
use tinyspike_tests::bench::{chip, flash_options};
use tinyspike_tests::mnist;

/// An image of `mnist_small` for any core.
fn image(steps: u16) -> ImageBuf {
    let options = QuantizeOptions {
        steps,
        target: &families::PORTABLE,
        ..QuantizeOptions::default()
    };
    mnist::small(None, &options)
}

fn start(machine: Machine) -> Board {
    Board::start(machine, &Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn checksum(flashed: &Flashed) -> u32 {
    let greeting = flashed.greeting.as_ref().unwrap();
    greeting.image.as_ref().unwrap().checksum
}

/// Flashes firmware and an image, then another image alone, on one board.
fn firmware_then_image_alone(machine: Machine) {
    let chip = chip(machine);
    let layout = Layout::of(&chip, &LayoutOptions::default()).unwrap();
    let firmware = device::application(&chip, &layout, None, Origin::Prebuilt)
        .unwrap_or_else(|e| panic!("{e}"));
    let board = start(machine);
    let images = [2, 3].map(image);
    let checksums = [0, 1].map(|of: usize| images[of].image().header().checksum);

    let plan = Plan::new(&chip, &images[0], Some(&firmware), &PlanOptions::default()).unwrap();
    let mut seen: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let flashed = flash(
        &plan,
        &flash_options(&board),
        &mut |progress| match progress {
            Progress::Planned { phase, bytes } => {
                seen.entry(format!("{phase:?}")).or_default().0 += bytes
            }
            Progress::Done { phase, bytes } => {
                seen.entry(format!("{phase:?}")).or_default().1 += bytes
            }
            _ => {}
        },
    )
    .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(checksum(&flashed), checksums[0]);
    assert_eq!((flashed.slot, plan.mode), (Slot::A, Mode::Everything));
    let blocks = plan.erased.iter().chain(&plan.places[0].erased);
    let erased: u64 = blocks.map(|block| u64::from(block.len)).sum();
    assert_eq!(flashed.erased, erased);
    for phase in [Phase::Erase, Phase::Program, Phase::Verify] {
        let (planned, done) = seen[&format!("{phase:?}")];
        assert!(
            planned == done && done > 0,
            "{phase:?}: {done} of {planned}"
        );
    }

    // From A to B and back. The firmware is still there, or nobody would answer.
    for (of, slot) in [(1, Slot::B), (0, Slot::A), (1, Slot::B)] {
        let plan = Plan::new(&chip, &images[of], None, &PlanOptions::default()).unwrap();
        assert_eq!(plan.mode, Mode::InactiveSlot);
        assert_eq!(plan.erased, []);
        let place = &plan.places[slot as usize];
        let flashed =
            flash(&plan, &flash_options(&board), &mut |_| ()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(checksum(&flashed), checksums[of]);
        assert_eq!((flashed.slot, flashed.mode), (slot, Mode::InactiveSlot));
        assert!(!flashed.journal_repaired);
        let start = flashed.greeting.unwrap().start;
        assert_eq!((start.named, start.passed_over()), (slot, None));
        // The slot and at most a block of the journal, the firmware least of all.
        let slot: u64 = place.erased.iter().map(|block| u64::from(block.len)).sum();
        let journal = layout.slots.second.unwrap().journal[0].len;
        assert!(flashed.erased <= slot + u64::from(journal));
    }
    assert_ne!(checksums[0], checksums[1]);
}

#[test]
#[ignore = "needs QEMU and the firmware's targets: cargo xtask test"]
fn a_microbit_runs_what_was_flashed() {
    firmware_then_image_alone(Machine::Microbit);
}

#[test]
#[ignore = "needs QEMU and the firmware's targets: cargo xtask test"]
fn a_cortex_m4_runs_what_was_flashed() {
    firmware_then_image_alone(Machine::Mps2An386);
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn flash_that_does_not_keep_what_is_written_is_noticed() {
    let chip = chip(Machine::NetduinoPlus2);
    let image = image(2);
    let plan = Plan::new(&chip, &image, None, &PlanOptions::default()).unwrap();
    let board = start(Machine::NetduinoPlus2);
    let error = flash(&plan, &flash_options(&board), &mut |_| ()).unwrap_err();
    assert!(matches!(error, FlashError::Verify { .. }), "{error:?}");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_probe_that_vanishes_is_an_error() {
    let chip = chip(Machine::Microbit);
    let image = image(2);
    let plan = Plan::new(&chip, &image, None, &PlanOptions::default()).unwrap();
    let board = start(Machine::Microbit);
    let options = flash_options(&board);
    let mut pulled = false;
    let error = flash(&plan, &options, &mut |progress| {
        if let (
            Progress::Done {
                phase: Phase::Erase,
                ..
            },
            false,
        ) = (progress, pulled)
        {
            pulled = true;
            board.inject(Fault::ProbeVanishes { after: 50 });
        }
    })
    .unwrap_err();
    let FlashError::Connect(ConnectError::Lost { during, .. }) = &error else {
        panic!("{error:?}");
    };
    assert!(pulled && during.contains("flash"), "{error}");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn another_chip_than_was_said_is_left_alone() {
    let image = image(2);
    let board = start(Machine::Mps2An386);
    for (name, expected) in [("nRF51822_xxAA", "Armv6-M"), ("STM32F103ZG", "Armv7-M")] {
        let chip = Chips::builtin().find(name).unwrap();
        let plan = Plan::new(&chip, &image, None, &PlanOptions::default()).unwrap();
        let mut touched = false;
        let error = flash(&plan, &flash_options(&board), &mut |_| touched = true).unwrap_err();
        let text = error.to_string();
        assert!(!touched, "{text}");
        match error {
            FlashError::Connect(ConnectError::OtherChip { .. }) => {
                assert!(
                    text.contains(expected) && text.contains("Armv7E-M"),
                    "{text}"
                );
            }
            FlashError::Connect(ConnectError::Attach { .. }) => {
                assert!(text.contains(name), "{text}")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test"]
fn a_blank_chip_does_not_answer() {
    let chip = chip(Machine::Mps2An386);
    let image = image(2);
    let plan = Plan::new(&chip, &image, None, &PlanOptions::default()).unwrap();
    let board = start(Machine::Mps2An386);
    let options = FlashOptions {
        timeout: Duration::from_secs(1),
        ..flash_options(&board)
    };
    let error = flash(&plan, &options, &mut |_| ()).unwrap_err();
    assert!(matches!(error, FlashError::Silent { .. }), "{error:?}");
}
