//! A power cut at any operation of an update leaves a device that runs the old model or the new one.

#![expect(
    clippy::print_stdout,
    reason = "the tests say how many cuts there were"
)]

use tinyspike::assemble::{Image, aligned_copy};
use tinyspike::quantize::QuantizeOptions;
use tinyspike_shared::slots::{Journal, LayoutError, Slot, SlotLayout, State, UpdateError, stored};
use tinyspike_tests::flash::{PowerCut, SimulatedFlash};
use tinyspike_tests::mnist;

/// A small device: two slots of 48 KiB, erase units of 1 KiB as on an nRF51.
fn layout() -> SlotLayout {
    SlotLayout {
        slots: [0x8000..0x1_4000, 0x1_4000..0x2_0000],
        state: [0x2_0000..0x2_0400, 0x2_0400..0x2_0800],
        write_size: 4,
    }
}

/// The smallest devices, of which the state's sectors are soon full: with so many bytes written at once, a
/// quarter of a sector, a half or all of it.
fn tiny(write_size: u32) -> SlotLayout {
    SlotLayout {
        slots: [0..64, 64..128],
        state: [128..160, 160..192],
        write_size,
    }
}

/// Blank flash of such a device.
fn tiny_flash(layout: &SlotLayout, erased: u8) -> SimulatedFlash {
    SimulatedFlash::new(layout, 64, erased)
}

fn start(
    layout: &SlotLayout,
    flash: &mut SimulatedFlash,
    version_of: impl Fn(&[u8]) -> Option<u32>,
) -> (State, Option<Slot>) {
    let state = Journal::new(layout, &mut *flash).unwrap().state().unwrap();
    // A device finds the same in its own flash.
    let sectors = [0, 1].map(|at: usize| flash.bytes(&layout.state[at]));
    assert_eq!(stored(sectors).unwrap_or(State::BLANK), state);
    let version = |slot: &Slot| version_of(flash.bytes(layout.slot(*slot)));
    let slot = state
        .order()
        .into_iter()
        .find(|slot| version(slot).is_some_and(|version| version >= state.minimum));
    (state, slot)
}

/// mnist_small for one step and for two: images that are really run.
fn models() -> [Vec<u8>; 2] {
    [1, 2].map(|steps| {
        let options = QuantizeOptions {
            steps,
            ..QuantizeOptions::default()
        };
        mnist::small(Some(64), &options)
    })
}

#[test]
fn a_cut_at_every_operation_leaves_the_old_model_or_the_new() {
    let layout = layout();
    let [old, new] = models();
    // Whole, and of as many steps as the model that it is: 1 or 2.
    let version_of = |bytes: &[u8]| {
        let bytes = aligned_copy(bytes);
        let image = Image::parse(&bytes).ok()?;
        Some(u32::from(image.description().steps))
    };
    let mut with_old = SimulatedFlash::new(&layout, 0x400, 0xff);
    let mut journal = Journal::new(&layout, &mut with_old).unwrap();
    assert_eq!(journal.update(Slot::B, &old, 1, 0), Ok(Slot::A));
    let before = with_old.operations;
    with_old.touched.clear();
    let mut whole = with_old.clone();
    let mut journal = Journal::new(&layout, &mut whole).unwrap();
    assert_eq!(journal.update(Slot::A, &new, 2, 0), Ok(Slot::B));
    let operations = whole.operations - before;
    assert!(operations > 10_000, "each word is a place to cut");
    let (mut found_old, mut found_new) = (0, 0);
    for cut in 0..operations {
        let mut flash = with_old.clone();
        flash.cut_after(cut, cut);
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(
            journal.update(Slot::A, &new, 2, 0),
            Err(UpdateError::Flash(PowerCut))
        );
        flash.power_on();
        let (state, slot) = start(&layout, &mut flash, version_of);
        match slot {
            Some(Slot::A) => {
                assert_eq!(state.slot, Slot::A);
                assert_eq!(flash.bytes(&layout.slots[0])[..old.len()], old);
                found_old += 1;
            }
            Some(Slot::B) => found_new += 1,
            None => panic!("no model is left after a cut at operation {cut} of {operations}"),
        }
        // Trying again always works; every cut would take long, and the erases come first.
        if cut.is_multiple_of(97) || cut < 100 || cut + 100 > operations {
            let running = slot.unwrap();
            let mut journal = Journal::new(&layout, &mut flash).unwrap();
            let written = journal.update(running, &new, 2, 2).unwrap();
            assert_eq!(written, running.other());
            let (state, slot) = start(&layout, &mut flash, version_of);
            assert_eq!((state.minimum, slot), (2, Some(written)));
        }
    }
    // The last operation is the switch; half of it is none.
    assert_eq!((found_old, found_new), (operations, 0));
    println!("{operations} cuts, one in each erase and each word of an update: all survived");
}

/// A model that is eight times the same word: its version.
fn stamp(version: u32) -> Vec<u8> {
    version.to_le_bytes().repeat(8)
}

fn stamped(bytes: &[u8]) -> Option<u32> {
    let version = u32::from_le_bytes(*bytes.first_chunk()?);
    (version != u32::MAX && bytes.starts_with(&stamp(version))).then_some(version)
}

#[test]
fn fifty_thousand_updates_with_cuts_never_lose_the_model() {
    // Cuts come within about twice as many operations as an update takes.
    for (write_size, erased, within) in [
        (4, 0xff, 23),
        (8, 0xff, 16),
        (8, 0, 16),
        (16, 0xff, 11),
        (32, 0xff, 9),
        (32, 0, 9),
    ] {
        let layout = tiny(write_size);
        let mut cuts = 0u64;
        for seed in 0..50u64 {
            let mut flash = tiny_flash(&layout, erased);
            let mut journal = Journal::new(&layout, &mut flash).unwrap();
            journal.update(Slot::B, &stamp(1), 1, 0).unwrap();
            let (mut version, mut minimum, mut running) = (1, 0, Slot::A);
            for round in 0..1000u64 {
                let next = version + 1;
                let asked = if round.is_multiple_of(3) { version } else { 0 };
                flash.touched.clear();
                flash.cut_after((round * 7 + seed) % within, seed * 1000 + round);
                let result = Journal::new(&layout, &mut flash).unwrap().update(
                    running,
                    &stamp(next),
                    next,
                    asked,
                );
                flash.power_on();
                let kept = layout.slot(running);
                let touched = |t: &std::ops::Range<u32>| t.start < kept.end && kept.start < t.end;
                assert!(!flash.touched.iter().any(touched));
                let (state, slot) = start(&layout, &mut flash, stamped);
                let slot =
                    slot.unwrap_or_else(|| panic!("seed {seed}, round {round}: no model is left"));
                let found = stamped(flash.bytes(layout.slot(slot))).unwrap();
                assert!(state.minimum >= minimum, "the minimum never falls");
                if result.is_ok() {
                    assert_eq!(found, next);
                } else {
                    cuts += 1;
                    assert!(found == version || found == next);
                }
                (version, minimum, running) = (found, state.minimum, slot);
            }
        }
        assert!(cuts > 10_000, "only {cuts} cuts");
        println!(
            "{write_size} of 32 bytes at once, erased to {erased:02x}: 50000 updates, {cuts} cut: all survived"
        );
    }
}

#[test]
fn a_damaged_journal_is_written_anew() {
    for write_size in [4, 8, 32] {
        let layout = tiny(write_size);
        let mut flash = tiny_flash(&layout, 0xff);
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(journal.stored(), Ok(None));
        journal.update(Slot::B, &stamp(1), 1, 1).unwrap();
        journal.update(Slot::A, &stamp(2), 2, 1).unwrap();
        assert_eq!(
            journal.stored(),
            Ok(Some(State {
                slot: Slot::B,
                minimum: 1
            }))
        );
        for sector in &layout.state {
            flash.damage(sector);
        }
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(journal.stored(), Ok(None));
        let (state, slot) = start(&layout, &mut flash, stamped);
        assert_eq!((state, slot), (State::BLANK, Some(Slot::A)));
        let mut journal = Journal::new(&layout, &mut flash).unwrap();
        assert_eq!(journal.update(Slot::A, &stamp(3), 3, 0), Ok(Slot::B));
        let stored = journal.stored().unwrap().unwrap();
        assert_eq!((stored.slot, stored.minimum), (Slot::B, 0));
    }
}

#[test]
fn older_models_are_refused_and_erase_nothing() {
    let layout = tiny(8);
    let mut flash = tiny_flash(&layout, 0xff);
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    assert_eq!(journal.update(Slot::B, &stamp(7), 7, 5), Ok(Slot::A));
    let refused = journal.update(Slot::A, &stamp(4), 4, 0);
    assert_eq!(
        refused,
        Err(UpdateError::Downgrade {
            version: 4,
            minimum: 5
        })
    );
    assert_eq!(journal.update(Slot::A, &stamp(6), 6, 0), Ok(Slot::B));
    journal.raise(7).unwrap();
    assert!(journal.raise(6).is_err());
    // Slot B holds version 6, which may not run any more; slot A still holds 7.
    let (state, slot) = start(&layout, &mut flash, stamped);
    assert_eq!((state.minimum, slot), (7, Some(Slot::A)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let layout = tiny(8);
    let mut flash = tiny_flash(&layout, 0xff);
    let mut journal = Journal::new(&layout, &mut flash).unwrap();
    let refused = journal.update(Slot::B, &[0; 65], 1, 0);
    assert_eq!(
        refused,
        Err(UpdateError::TooLarge {
            needed: 65,
            available: 64
        })
    );
    assert_eq!(flash.operations, 0);
    let overlapping = SlotLayout {
        state: [120..152, 160..192],
        ..tiny(8)
    };
    assert_eq!(overlapping.check(), Err(LayoutError::Overlap));
    let coarse = SlotLayout {
        write_size: 6,
        ..tiny(8)
    };
    assert_eq!(coarse.check(), Err(LayoutError::WriteSize));
}
